"""What graphs that files bring have in common: how an array of the file meets a value, and values each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from symbreak.checkpoints.wiring._factors import (
    FIELD,
    ONE,
    Axis,
    NotUnderstood,
    Part,
    Value,
    Var,
    expand,
    find,
    has_units,
    length,
    out,
    read,
)
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._spec import WEIGHT

# Functions of several numbers, value by value, and what an array in them is to the units.
TOGETHER: Mapping[str, str] = {
    "Add": "bias", "Sub": "bias", "Sum": "bias", "Mul": "scale", "Div": "scale", "PRelu": "slope",
    **dict.fromkeys(("Pow", "Max", "Min", "Mean", "Where", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
                     "And", "Or", "Xor", "Mod"), "constant"),
}  # fmt: skip
GATED = {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}  # what a value times a function of itself is


@final
@dataclass(frozen=True)
class Const:
    """An array of the file, perhaps turned, or passed through a function value by value.

    Parameters
    ----------
    tensor
        Its name in the file.
    shape
        Its shape there.
    axes
        For each axis the axis there; None for one of length 1 that was put in.
    """

    tensor: str
    shape: tuple[int, ...]
    axes: tuple[int | None, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(1 if axis is None else self.shape[axis] for axis in self.axes)

    @property
    def single(self) -> bool:
        """Whether it is one number, which all units share."""
        return all(size == 1 for size in self.shape)


@final
@dataclass(frozen=True)
class Even:
    """A value that no unit has a part of: lengths, or the same number everywhere."""


Known = Value | Const | Even | None  # None for what isn't understood


def entered(flow: Flow, const: Const) -> Value:
    """Take an array of the file for a value: only its last axis is one of units, others are of positions."""
    long = [number for number, size in enumerate(const.lengths) if size > 1]
    if not long:
        return Value(tuple(() for _ in const.lengths))
    units = flow.space(const.lengths[long[-1]], const.tensor)
    places = {number: (flow.var(const.lengths[number], name=f"{const.tensor}.positions"),) for number in long[:-1]}
    say(flow, const, {long[-1]: out(units)} | {number: read(flow.units_of(axis)) for number, axis in places.items()},
         WEIGHT if places else "bias")  # fmt: skip
    fresh = {number: (flow.var(const.lengths[number]),) for number in places}
    return Value(tuple(units if n == long[-1] else fresh.get(n, ()) for n in range(len(const.axes))))


def say(flow: Flow, const: Const, parts: Mapping[int, Part], kind: str = WEIGHT, norm: str | None = None) -> None:
    """Say what the axes of an array are, by their places as it is turned, and which norm it is of."""
    there = {const.axes[number]: part for number, part in parts.items()}
    flow.say(
        const.tensor,
        [there.get(axis, ONE if size == 1 else FIELD) for axis, size in enumerate(const.shape)],
        kind,
        norm,
    )


def place(axis: int, rank: int) -> int:
    """Give the number of an axis, which may be counted from the end."""
    if not -rank <= axis < rank:
        raise NotUnderstood(f"it names axis {axis} of {rank}")
    return axis % rank


def without_units(value: Value, axes: Sequence[int]) -> None:
    """Raise where one of these axes has units."""
    if any(has_units(value.axes[axis]) for axis in axes):
        raise NotUnderstood("it takes units for positions")


def varied(axis: Axis) -> None:
    """Note that a value differs along positions over which it may have been repeated."""
    for var in expand(axis):
        find(var).copies = False


def has_beside(axis: Axis) -> bool:
    row = expand(axis)
    return len(row) == 1 and bool(row[0].owners)


def same_length(axis: Axis) -> int | Var | None:
    size, row = length(axis), [var for var in expand(axis) if var.size != 1]
    return size if size is not None else find(row[0]) if len(row) == 1 else None


def turned(value: Known, order: Sequence[int]) -> Known:
    if isinstance(value, Const):
        return Const(value.tensor, value.shape, tuple(value.axes[axis] for axis in order))
    if isinstance(value, Value):
        return Value(tuple(value.axes[axis] for axis in order), value.passed)
    return value


def met(flow: Flow, op: str, inputs: Sequence[Known]) -> Sequence[Known]:
    values = [each for each in inputs if isinstance(each, Value)]
    arrays = [each for each in inputs if isinstance(each, Const) and not each.single]
    if not values:
        if len(arrays) > 1:
            raise NotUnderstood("arrays of the file meet before any value")
        return [arrays[0] if arrays else Even()]
    found, own = values[0], len(values) == 2 and values[0].axes == values[1].axes
    for each in values[1:]:
        found = merged(flow, found, each)
    for array in arrays:
        found = aligned(flow, array, found, TOGETHER[op])
    return [Value(found.axes, _passed(op, values, arrays, own=own))]


def _passed(op: str, values: Sequence[Value], arrays: Sequence[Const], *, own: bool) -> tuple[str, ...]:
    """Give the functions that units passed through: those of the values that have units, if they agree."""
    seen = list(dict.fromkeys(value.passed for value in values if any(map(has_units, value.axes))))
    if len(seen) < 2:
        return (*(seen[0] if seen else ()), *(["prelu"] if op == "PRelu" else []))
    if op in ("Add", "Sub", "Sum") and not arrays:
        return ()
    for inner, outer in (seen, seen[::-1]) if len(seen) == 2 else ():
        if own and op == "Mul" and outer[: len(inner)] == inner and len(outer) == len(inner) + 1 and outer[-1] in GATED:
            return (*inner, GATED[outer[-1]])
    return ("unknown",)


def merged(flow: Flow, a: Value, b: Value) -> Value:
    """Let two values meet, the axes of the shorter at the end; one of length 1 serves all of the other's."""
    rank = max(len(a.axes), len(b.axes))
    left, right = (((),) * (rank - len(each.axes)) + each.axes for each in (a, b))
    return Value(tuple(meet(flow, *axes) for axes in zip(left, right, strict=True)))


def meet(flow: Flow, a: Axis, b: Axis) -> Axis:
    if length(a) == 1:
        return b
    return a if length(b) == 1 else flow.unify(a, b)


def aligned(flow: Flow, const: Const, value: Value, kind: str, norm: str | None = None) -> Value:
    """Let an array of the file meet a value: it belongs to the units of the axes that it lies along."""
    while len(const.axes) < len(value.axes):
        const = Const(const.tensor, const.shape, (None, *const.axes))
    if len(const.axes) > len(value.axes):
        extra = len(const.axes) - len(value.axes)
        value = Value(((),) * extra + value.axes, value.passed)
    units: dict[int, Part] = {}
    places: dict[int, int] = {}
    axes = list(value.axes)
    for number, size in enumerate(const.lengths):
        if size == 1:
            continue
        if length(axes[number]) == 1 and not has_units(axes[number]):
            axes[number] = (flow.var(size),)
        if has_units(axes[number]):
            if length(axes[number]) != size:
                raise NotUnderstood(f"{size} values meet {length(axes[number])} units")
            units[number] = out(axes[number])
            if const.tensor.endswith(".bias"):
                flow.call(axes[number], const.tensor.removesuffix(".bias"))
        else:
            varied(axes[number])
            places[number] = size
    if not units:
        flow.ignore(const.tensor, "it runs over positions, and is the same for all units")
    elif places and kind == "bias":
        name = f"{const.tensor}.positions"
        reads = {number: read(flow.units_of((flow.var(size, name=name),))) for number, size in places.items()}
        say(flow, const, units | reads)
    else:
        say(flow, const, units | dict.fromkeys(places, FIELD), kind, norm)
    return Value(tuple(axes), value.passed)
