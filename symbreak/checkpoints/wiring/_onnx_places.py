"""ONNX operators that find places and take or put values there, as mixtures of experts do with the tokens of each."""

from collections.abc import Sequence

from symbreak.checkpoints.wiring._factors import Axis, NotUnderstood, Value, has_units, length
from symbreak.checkpoints.wiring._onnx_values import Step, one, placed
from symbreak.checkpoints.wiring._values import Const, Even, Known, meet, place, varied, without_units


def places(step: Step) -> Sequence[Known]:
    """Give where a value is not zero, or a flag for each number: both are of positions."""
    value = placed(step, step.inputs[0])
    if not isinstance(value, Value) or any(map(has_units, value.axes)):
        raise NotUnderstood("it takes units for positions")
    if step.node.op == "NonZero":
        return [Value(((step.flow.var(len(value.axes)),), (step.flow.var(None),)))]
    at = step.node.number("axis", -1)
    at = at + len(value.axes) + 1 if at < 0 else at
    return [Value((*value.axes[:at], (step.flow.var(None),), *value.axes[at:]))]


def take(step: Step) -> Sequence[Known]:
    """Look up values by numbers along the first axes."""
    value, numbers = one(step.inputs, step.flow), _numbers(step)
    count = _count(numbers)
    if step.node.number("batch_dims", 0):
        raise NotUnderstood("it looks up batch by batch")
    without_units(value, range(count))
    return [Value((*numbers.axes[:-1], *value.axes[count:]), value.passed)]


def put(step: Step) -> Sequence[Known]:
    """Put values, or add them, at places along the first axes: what is put there has the units of what was there."""
    numbers, new = _numbers(step), one(step.inputs, step.flow, 2)
    count = _count(numbers)
    rest = len(new.axes) - len(numbers.axes) + 1
    without_units(new, range(len(numbers.axes) - 1))
    first = step.inputs[0]
    if isinstance(first, Even):
        before: Value | None = None
        free: tuple[Axis, ...] = tuple((step.flow.var(None),) for _ in range(count))
    else:
        before = one(step.inputs, step.flow)
        without_units(before, range(count))
        free = before.axes[:count]
        if len(before.axes) != count + rest:
            raise NotUnderstood("what it puts doesn't meet what is there")
    behind = new.axes[len(new.axes) - rest :]
    return [_put(step, before, new, free, behind, count)]


def put_each(step: Step) -> Sequence[Known]:
    """Put values, or add them, at places along one axis."""
    numbers, new = _numbers(step), one(step.inputs, step.flow, 2)
    at = place(step.node.number("axis", 0), len(new.axes))
    without_units(new, [at])
    first = step.inputs[0]
    before = None if isinstance(first, Even) else one(step.inputs, step.flow)
    if len(numbers.axes) != len(new.axes) or (before is not None and len(before.axes) != len(new.axes)):
        raise NotUnderstood("what it puts doesn't meet what is there")
    without_units(numbers, range(len(numbers.axes)))
    if before is not None:
        without_units(before, [at])
    # Numbers that differ from unit to unit put each at places of its own.
    for axis in [axis for number, axis in enumerate(numbers.axes) if number != at and has_units(new.axes[number])]:
        if length(axis) != 1 and not all(var.copies for var in axis):
            raise NotUnderstood("units go to different places")
    there = None if before is None else Value((*before.axes[:at], *before.axes[at + 1 :]), before.passed)
    behind = (*new.axes[:at], *new.axes[at + 1 :])
    free = ((step.flow.var(None),) if before is None else before.axes[at],)
    made = _put(step, there, new, (), behind, 0)
    return [Value((*made.axes[:at], *free, *made.axes[at:]), made.passed)]


def _put(
    step: Step, before: Value | None, new: Value, free: tuple[Axis, ...], behind: tuple[Axis, ...], count: int
) -> Value:
    for axis in (*free, *behind):
        varied(axis)
    if before is None:  # a number that all units share, where nothing is put
        return Value((*free, *behind), (*new.passed, "unknown"))
    axes = [meet(step.flow, a, b) for a, b in zip(before.axes[count:], behind, strict=True)]
    if step.node.text("reduction") == "add":
        return Value((*free, *axes), before.passed if before.passed == new.passed else ())
    return Value((*free, *axes), before.passed if before.passed == new.passed else ("unknown",))


def _numbers(step: Step) -> Value:
    numbers = placed(step, step.inputs[1])
    if isinstance(numbers, Const) and step.lists.are_places(numbers):  # one number
        return Value(((),) * len(numbers.axes))
    if not isinstance(numbers, Value) or any(map(has_units, numbers.axes)):
        raise NotUnderstood("where it puts or looks isn't known")
    return numbers


def _count(numbers: Value) -> int:
    """Give how many axes each place has a number of."""
    size = length(numbers.axes[-1]) if numbers.axes else None
    if size is None:
        raise NotUnderstood("of how many axes its places are isn't known")
    return size
