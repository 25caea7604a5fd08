"""Einsum in a graph: products that contract several axes, or whose weights have axes of heads.

A letter of the array alone is of units that it writes; one that it shares with the value and that is summed over is of
units that it reads; one that all three have is of heads, or copies, each with a weight of its own.
"""

import math
from collections.abc import Sequence

from symbreak.checkpoints.wiring._flow import Axis, NotUnderstood, Part, Value, has_units, length, out, read
from symbreak.checkpoints.wiring._onnx_values import Step, one
from symbreak.checkpoints.wiring._values import Const, Known, meet, say


def einsum(step: Step) -> Sequence[Known]:
    """Follow a product that an equation describes, of two values, or of a value and an array of the file."""
    left, _, result = step.node.text("equation").replace(" ", "").partition("->")
    letters = left.split(",")
    if "." in left or len(letters) != len(step.inputs) or len(letters) != 2:
        raise NotUnderstood("its equation isn't one of two factors with a letter an axis")
    if any(len(set(each)) < len(each) for each in (*letters, result)):
        raise NotUnderstood("its equation has a letter twice")
    arrays = [isinstance(each, Const) and not each.single for each in step.inputs]
    if all(arrays):
        raise NotUnderstood("it multiplies arrays of the file")
    if any(arrays):
        at = arrays.index(True)
        return [_weighed(step, at, letters[at], letters[1 - at], result)]
    first, second = (one(step.inputs, step.flow, number) for number in (0, 1))
    axes = _axes(first, letters[0])
    for letter, axis in _axes(second, letters[1]).items():
        if letter not in axes:
            axes[letter] = axis
        elif letter in result:
            axes[letter] = meet(step.flow, axes[letter], axis)
        else:
            step.flow.unify(axes[letter], axis)
    seen = [
        each.passed
        for each, own in ((first, letters[0]), (second, letters[1]))
        if any(has_units(axes[letter]) for letter in own if letter in result)
    ]
    passed = seen[0] if seen and all(each == seen[0] for each in seen) else ("unknown",) if seen else ()
    return [Value(tuple(axes[letter] for letter in result), passed)]


def _axes(value: Value, letters: str) -> dict[str, Axis]:
    if len(letters) != len(value.axes):
        raise NotUnderstood(f"its equation names {len(letters)} axes of {len(value.axes)}")
    return dict(zip(letters, value.axes, strict=True))


def _weighed(step: Step, at: int, own: str, others: str, result: str) -> Known:
    """Let an array read and write axes of a value."""
    const, value = step.inputs[at], one(step.inputs, step.flow, 1 - at)
    axes = _axes(value, others)
    if not isinstance(const, Const) or len(own) != len(const.lengths):
        raise NotUnderstood("its equation names other axes than its array has")
    sizes = dict(zip(own, const.lengths, strict=True))
    reads = [letter for letter in own if letter in others and letter not in result]
    copies = [letter for letter in own if letter in others and letter in result]
    new = [letter for letter in own if letter not in others]
    if any(letter not in result for letter in new):
        raise NotUnderstood("it sums over an axis that its array alone has")
    if not reads or not new or len(copies) > 1:
        raise NotUnderstood("its array doesn't read some axes and write others")
    for letter in (*reads, *copies):
        if length(axes[letter]) not in (None, sizes[letter]):
            raise NotUnderstood(f"it reads {sizes[letter]} units of {length(axes[letter])}")
    for letter in reads:
        axes[letter] = step.flow.consume(value, others.index(letter))
    ordered = [letter for letter in result if letter in new]
    whole = step.flow.space(math.prod(sizes[each] for each in (*copies, *ordered)), step.node.stem(const.tensor))
    split = [sizes[letter] for letter in (*copies, *ordered)]
    parts = step.flow.reshape(Value((whole,)), split).axes if len(split) > 1 else (whole,)
    made = dict(zip((*copies, *ordered), parts, strict=True))
    for letter in copies:
        axes[letter] = step.flow.unify(step.flow.units_of(axes[letter]), made[letter])
    axes |= {letter: made[letter] for letter in ordered}
    said: dict[int, Part] = {
        number: read(axes[letter]) if letter in reads else out(axes[letter]) for number, letter in enumerate(own)
    }
    say(step.flow, const, said)
    return Value(tuple(axes[letter] for letter in result))
