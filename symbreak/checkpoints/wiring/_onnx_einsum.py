"""ONNX's `Einsum`: sums of products over letters, by what each letter is to the units.

A letter that an array of the file shares with a value and the output keeps is one of heads, copies or positions: each
has a matrix of its own. One that the output hasn't is summed over, and so read; one that only the array has is written.
"""

import re
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from symbreak.checkpoints.wiring._factors import FIELD, Axis, NotUnderstood, Part, Value, has_units, length, out, read
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._onnx_nodes import Node
from symbreak.checkpoints.wiring._onnx_values import Step, placed
from symbreak.checkpoints.wiring._values import Const, Even, Known, aligned, entered, meet, say, varied

TERM = re.compile(r"([A-Za-z]*)(\.\.\.)?([A-Za-z]*)")
Letters = tuple[object, ...]  # a letter, or the number of an axis that stands in an ellipsis, counted from its end


class _Side(NamedTuple):
    """One factor: what it is, and the letter of each axis."""

    known: Known
    letters: Letters


def einsum(step: Step) -> Sequence[Known]:
    """Follow a sum of products, one factor after the other."""
    inputs = [placed(step, each) for each in step.inputs]
    sides, target = _parsed(step.node.text("equation"), inputs)
    values = [each for each in sides if isinstance(each.known, Value)]
    arrays = [each for each in sides if isinstance(each.known, Const)]
    if not values:
        raise NotUnderstood("it multiplies arrays of the file")
    found = values[0]
    rest = values[1:] + arrays
    for number, each in enumerate(rest):
        later = {letter for other in rest[number + 1 :] for letter in other.letters}
        kept = _kept(found, each, target, later)
        found = _of_values(step.flow, found, each, kept) if isinstance(each.known, Value) else _with_array(
            step.flow, step.node, found, each, kept
        )  # fmt: skip
    return [_turned(step.flow, found, target)]


def _parsed(equation: str, inputs: Sequence[Known]) -> tuple[list[_Side], Letters]:
    """Read the letters of every factor, and those of the output."""
    before, arrow, after = equation.replace(" ", "").partition("->")
    terms = before.split(",")
    if len(terms) != len(inputs) or not all(map(TERM.fullmatch, (*terms, after))):
        raise NotUnderstood(f"its equation {equation!r} isn't as the standard has it")
    sides = []
    for term, known in zip(terms, inputs, strict=True):
        rank = len(known.axes) if isinstance(known, Value | Const) else len(term.replace("...", ""))
        letters = _letters(term, rank)
        if len(set(letters)) < len(letters):
            raise NotUnderstood("it takes a diagonal")
        if isinstance(known, Even) and letters:
            raise NotUnderstood("one of its inputs isn't known")
        sides.append(_Side(known, letters))
    if arrow:
        wide = max((len(each) for each in (_ellipsis(side) for side in sides)), default=0)
        return sides, _letters(after, len(after.replace("...", "")) + wide * ("..." in after))
    every = [letter for side in sides for letter in side.letters]
    once = sorted(letter for letter in every if isinstance(letter, str) and every.count(letter) == 1)
    dots = sorted({letter for letter in every if isinstance(letter, int)})
    return sides, (*dots, *once)


def _letters(term: str, rank: int) -> Letters:
    """Give each axis its letter; those in an ellipsis are numbered from its end, as they are aligned there."""
    first, dots, last = ((hit := TERM.fullmatch(term)) and (hit[1], hit[2], hit[3])) or ("", "", "")
    free = rank - len(first) - len(last)
    if free < 0 or (free and not dots):
        raise NotUnderstood(f"{term!r} has other axes than its input")
    return (*first, *range(-free, 0), *last)


def _ellipsis(side: _Side) -> list[object]:
    return [letter for letter in side.letters if isinstance(letter, int)]


def _kept(one: _Side, other: _Side, target: Letters, later: set[object]) -> Letters:
    """Give the letters of a product: those that the output or a later factor has."""
    every = dict.fromkeys((*one.letters, *other.letters))
    return tuple(letter for letter in every if letter in target or letter in later)


def _axes(side: _Side) -> dict[object, Axis]:
    return dict(zip(side.letters, side.known.axes, strict=True)) if isinstance(side.known, Value) else {}


def _of_values(flow: Flow, one: _Side, other: _Side, kept: Letters) -> _Side:
    """Multiply two values: what has one letter is one axis."""
    left, right = _axes(one), _axes(other)
    axes = left | right
    for letter in left.keys() & right.keys():
        axes[letter] = meet(flow, left[letter], right[letter])
    _release(flow, axes, kept)
    passed = _passed(left, one, right, other, kept)
    return _Side(Value(tuple(axes[letter] for letter in kept), passed), kept)


def _release(flow: Flow, axes: dict[object, Axis], kept: Letters) -> None:
    for letter in axes.keys() - set(kept):
        flow.release(axes[letter], [axes[each] for each in kept if each in axes])


def _passed(
    left: dict[object, Axis], one: _Side, right: dict[object, Axis], other: _Side, kept: Letters
) -> tuple[str, ...]:
    """Give the functions that the units of a product passed through: those that one factor alone has, if there are."""
    seen: list[list[tuple[str, ...]]] = [[], []]
    for axes, others, side in ((left, right, one), (right, left, other)):
        units = [letter for letter in kept if letter in axes and has_units(axes[letter])]
        alone = any(letter not in others for letter in units)
        if units and isinstance(side.known, Value):
            seen[not alone].append(side.known.passed)
    found = list(dict.fromkeys(seen[0] or seen[1]))
    return found[0] if len(found) == 1 else ("unknown",) * bool(found)


def _with_array(flow: Flow, node: Node, one: _Side, other: _Side, kept: Letters) -> _Side:
    """Multiply a value by an array of the file: a weight, or where nothing is summed over a scale."""
    const = other.known
    if not isinstance(const, Const) or not isinstance(one.known, Value):
        raise NotUnderstood("one of its inputs isn't known")
    axes = _axes(one)
    sizes = dict(zip(other.letters, const.lengths, strict=True))
    new = [each for each in other.letters if sizes[each] > 1 and (each not in axes or length(axes[each]) == 1)]
    taken = [each for each in other.letters if sizes[each] > 1 and each not in new]
    summed = [each for each in taken if each not in kept]
    if any(each not in kept for each in new):
        raise NotUnderstood("it sums over an axis of an array alone")
    for each in taken:
        if length(axes[each]) not in (None, sizes[each]):
            raise NotUnderstood(f"{sizes[each]} values meet {length(axes[each])}")
    if not summed and new:
        return _of_values(flow, one, _Side(entered(flow, const), other.letters), kept)
    if not summed:
        return _scaled(flow, one, other, kept)
    if not new:
        raise NotUnderstood("it sums over all units that an array reads, and writes none")
    shared = [each for each in taken if each in kept]
    heads = [each for each in shared if has_units(axes[each])]
    made = _written(flow, node.stem(const.tensor), [axes[each] for each in heads], [sizes[each] for each in new])
    parts: dict[int, Part] = {}
    for number, each in enumerate(other.letters):
        if each in new:
            axes[each] = made[new.index(each)]
            parts[number] = out(axes[each])
        elif each in summed:
            parts[number] = read(flow.consume(one.known, one.letters.index(each)))
        elif each in heads:
            parts[number] = out(axes[each])
        elif each in taken:
            varied(axes[each])
            parts[number] = FIELD
    say(flow, const, parts)
    _release(flow, axes, kept)
    return _Side(Value(tuple(axes.get(letter, ()) for letter in kept)), kept)


def _written(flow: Flow, name: str, heads: list[Axis], sizes: list[int]) -> list[Axis]:
    """Make the axes that an array writes: of several the last is that of units, and those before it are their heads."""
    above = [length(axis) for axis in heads]
    known = [size for size in above if size is not None]
    if len(known) < len(above):
        raise NotUnderstood("the number of its heads isn't known")
    whole = flow.space(prod(known) * prod(sizes), name)
    made = flow.reshape(Value((whole,)), [*known, *sizes]).axes
    for axis, found in zip(heads, made, strict=False):
        flow.unify(axis, found)
    return list(made[len(heads) :])


def _scaled(flow: Flow, one: _Side, other: _Side, kept: Letters) -> _Side:
    """Multiply a value entry by entry by an array of the file."""
    const = other.known
    if not isinstance(const, Const) or not isinstance(one.known, Value):
        raise NotUnderstood("one of its inputs isn't known")
    there = dict(zip(other.letters, const.axes, strict=True))
    # An axis of length 1 that the value hasn't changes nothing.
    turned = Const(const.tensor, const.shape, tuple(there.get(letter) for letter in one.letters))
    found = aligned(flow, turned, one.known, "scale") if not const.single else one.known
    axes = dict(zip(one.letters, found.axes, strict=True))
    return _Side(Value(tuple(axes.get(letter, ()) for letter in kept), one.known.passed), kept)


def _turned(flow: Flow, side: _Side, target: Letters) -> Value:
    """Put the axes in the order of the output; what it hasn't was summed over."""
    axes = _axes(side)
    _release(flow, axes, target)
    if any(letter not in axes for letter in target):
        raise NotUnderstood("its output has a letter that no input has")
    passed = side.known.passed if isinstance(side.known, Value) else ()
    return Value(tuple(axes[letter] for letter in target), passed)
