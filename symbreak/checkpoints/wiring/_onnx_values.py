"""What ONNX operators have in common: how an array of the file meets a value, and what is done value by value."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from symbreak.checkpoints.wiring._flow import (
    FIELD,
    ONE,
    Axis,
    Flow,
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
from symbreak.checkpoints.wiring._onnx_lists import Lists
from symbreak.checkpoints.wiring._onnx_nodes import Const, Even, Known, Node
from symbreak.checkpoints.wiring._spec import WEIGHT

# Functions of one number that leave a value as it is for what reads it: their name, empty for those of no effect.
FUNCTIONS: Mapping[str, str] = {
    "Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Gelu": "gelu", "Elu": "elu", "Selu": "selu", "Celu": "celu",
    "LeakyRelu": "leaky_relu", "Softplus": "softplus", "Softsign": "softsign", "Mish": "mish", "Swish": "silu",
    "HardSigmoid": "hard_sigmoid", "HardSwish": "hard_swish", "Identity": "", "Cast": "", "CastLike": "", "Neg": "",
    **dict.fromkeys(("Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Sin", "Cos", "Sign", "Floor", "Ceil", "Round",
                     "Not", "IsNaN", "IsInf", "Clip", "ThresholdedRelu", "Shrink"), "unknown"),
}  # fmt: skip
# Functions of several numbers, value by value, and what an array in them is to the units.
TOGETHER: Mapping[str, str] = {
    "Add": "bias", "Sub": "bias", "Sum": "bias", "Mul": "scale", "Div": "scale", "PRelu": "slope",
    **dict.fromkeys(("Pow", "Max", "Min", "Mean", "Where", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
                     "And", "Or", "Xor", "Mod"), "constant"),
}  # fmt: skip
GATED = {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}  # what a value times a function of itself is


class Step(NamedTuple):
    """One node on its turn: what was found before, and what is known of its inputs."""

    flow: Flow
    lists: Lists
    node: Node
    inputs: Sequence[Known]


def one(inputs: Sequence[Known], flow: Flow, number: int = 0) -> Value:
    """Give an input that must be a value; an array of the file becomes one, its last axis that of the units."""
    found = inputs[number]
    if isinstance(found, Const):
        return entered(flow, found)
    if not isinstance(found, Value):
        raise NotUnderstood("one of its inputs isn't known")
    return found


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


def say(flow: Flow, const: Const, parts: Mapping[int, Part], kind: str = WEIGHT) -> None:
    """Say what the axes of an array are, by their places as it is turned."""
    there = {const.axes[number]: part for number, part in parts.items()}
    flow.say(
        const.tensor, [there.get(axis, ONE if size == 1 else FIELD) for axis, size in enumerate(const.shape)], kind
    )


def without_units(value: Value, axes: Sequence[int]) -> None:
    """Raise where one of these axes has units."""
    if any(has_units(value.axes[axis]) for axis in axes):
        raise NotUnderstood("it takes units for positions")


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


def functional(step: Step) -> Sequence[Known]:
    """Follow a function of one number: every unit alike."""
    first = step.inputs[0]
    if not isinstance(first, Value):
        return [first]
    name = FUNCTIONS[step.node.op]
    if step.node.op == "Clip" and [_bound(step.lists, step.node, i, key) for i, key in ((1, "min"), (2, "max"))] == [
        0.0,
        6.0,
    ]:
        name = "relu6"
    return [Value(first.axes, (*first.passed, name) if name else first.passed)]


def _bound(lists: Lists, node: Node, number: int, key: str) -> float | None:
    value = node.attributes.get(key)
    if isinstance(value, int | float):
        return float(value)
    name = node.inputs[number] if len(node.inputs) > number else ""
    array = lists.get(name) if name in lists.shapes else None
    return float(array.ravel()[0]) if array is not None and array.size == 1 and array.dtype.kind == "f" else None


def together(step: Step) -> Sequence[Known]:
    """Follow a function of several numbers, value by value: what meets is one space."""
    return met(step.flow, step.node.op, step.inputs)


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


def aligned(flow: Flow, const: Const, value: Value, kind: str) -> Value:
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
            places[number] = size
    if not units:
        flow.ignore(const.tensor, "it runs over positions, and is the same for all units")
    elif places and kind == "bias":
        name = f"{const.tensor}.positions"
        reads = {number: read(flow.units_of((flow.var(size, name=name),))) for number, size in places.items()}
        say(flow, const, units | reads)
    else:
        say(flow, const, units | dict.fromkeys(places, FIELD), kind)
    return Value(tuple(axes), value.passed)


def softmax(step: Step) -> Sequence[Known]:
    """Follow a softmax, or a norm without parameters: symmetric in what it runs over."""
    value = one(step.inputs, step.flow)
    return [Value(value.axes, (*value.passed, "unknown") if has_units(value.axes[-1]) else value.passed)]


def even(_: Step) -> Sequence[Known]:
    """Give numbers that no unit has a part of."""
    return [Even()]


def constant(step: Step) -> Sequence[Known]:
    """Give an array of the file, or a number."""
    shape = step.lists.shapes.get(step.node.outputs[0])
    return [Even() if shape is None else Const(step.node.outputs[0], shape, tuple(range(len(shape))))]


def positions(step: Step) -> Sequence[Known]:
    """Give numbers that count positions."""
    return [Value(((step.flow.var(None),),))]


def alike(step: Step) -> Sequence[Known]:
    """Follow what changes no axis."""
    first = step.inputs[0]
    if isinstance(first, Value) and step.node.op in ("Trilu", "CumSum"):
        without_units(first, range(len(first.axes))[-2:])
    return [first, None]
