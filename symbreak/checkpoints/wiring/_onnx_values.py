"""ONNX operators that work value by value, and those whose outputs have no units."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from symbreak.checkpoints.wiring._factors import NotUnderstood, Value, has_units
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._onnx_lists import Lists
from symbreak.checkpoints.wiring._onnx_nodes import Node
from symbreak.checkpoints.wiring._values import Const, Even, Known, entered, met, place, varied, without_units

# Functions of one number that leave a value as it is for what reads it: their name, empty for those of no effect.
FUNCTIONS: Mapping[str, str] = {
    "Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Gelu": "gelu", "Elu": "elu", "Selu": "selu", "Celu": "celu",
    "LeakyRelu": "leaky_relu", "Softplus": "softplus", "Softsign": "softsign", "Mish": "mish", "Swish": "silu",
    "HardSigmoid": "hard_sigmoid", "HardSwish": "hard_swish", "Identity": "", "Cast": "", "CastLike": "", "Neg": "",
    **dict.fromkeys(("Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Sin", "Cos", "Sign", "Floor", "Ceil", "Round",
                     "Not", "IsNaN", "IsInf", "Clip", "ThresholdedRelu", "Shrink"), "unknown"),
}  # fmt: skip


BY_UNIT = ("Mul", "Div", "PRelu")  # functions by which a number that all units share leaves zeros as they are
KNOWN: Mapping[tuple[str, float | None], str]
KNOWN = {("Add", 0.0): "", ("Sub", 0.0): "", ("Where", 0.0): "", ("Max", 0.0): "relu", ("Pow", 2.0): "square",
         ("Pow", 1.0): ""}  # fmt: skip


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
    inputs = [placed(step, each) for each in step.inputs]
    units = any(has_units(axis) for each in inputs if isinstance(each, Value) for axis in each.axes)
    if units and any(len(step.lists.known.get(name, ())) > 1 for name in step.node.inputs):
        raise NotUnderstood("lengths meet values")
    found = met(step.flow, step.node.op, inputs)
    if units and isinstance(found[0], Value) and step.node.op not in BY_UNIT:
        return [Value(found[0].axes, (*found[0].passed, *_common(step, inputs, found[0])))]
    return found


def _common(step: Step, inputs: Sequence[Known], found: Value) -> list[str]:
    """Name what a number that all units share makes of them: it may be one that is added, such as a mean of all."""
    names = []
    for number, each in enumerate(inputs):
        if step.node.op == "Where" and number == 0:
            continue
        axes = each.axes if isinstance(each, Value) else ()
        whole = isinstance(each, Value) and any(map(has_units, axes)) and all(
            has_units(axes[-back]) if back <= len(axes) else False
            for back in range(1, len(found.axes) + 1)
            if has_units(found.axes[-back])
        )  # fmt: skip
        if not whole and not (isinstance(each, Const) and not each.single):
            names.append(KNOWN.get((step.node.op, _number(step, number)), "unknown"))
    return [name for name in dict.fromkeys(names) if name]


def _number(step: Step, number: int) -> float | None:
    """Give an input that is one number, None where it isn't known."""
    name = step.node.inputs[number]
    if name in step.lists.known:
        found = step.lists.whole(name)
        return float(found[0]) if found is not None and len(found) == 1 else None
    array = step.lists.get(name) if name in step.lists.shapes else None
    return float(array.ravel()[0]) if array is not None and array.size == 1 and array.dtype.kind in "fiu" else None


def placed(step: Step, known: Known) -> Known:
    """Take whole numbers and flags for what they are of: positions."""
    if not isinstance(known, Const) or known.single or not step.lists.are_places(known):
        return known
    return Value(tuple((step.flow.var(size),) if size > 1 else () for size in known.lengths))


def look_up(step: Step) -> Sequence[Known]:
    """Give elements of places by their numbers, as many as there are numbers."""
    data, numbers = (placed(step, each) for each in step.inputs)
    if not isinstance(data, Value | Even) or not isinstance(numbers, Value):
        raise NotUnderstood("what it looks up isn't known")
    without_units(Value((*numbers.axes, *(data.axes if isinstance(data, Value) else ()))), range(len(numbers.axes)))
    return [numbers]


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
        rank = len(first.axes)
        said = step.lists.whole(step.node.inputs[1]) if step.node.op == "CumSum" else [-2, -1]
        axes = [place(axis, rank) for axis in said] if said is not None else list(range(rank))
        without_units(first, axes)
        for axis in axes:
            varied(first.axes[axis])
    if step.node.op == "Dropout" and step.node.number("noise", 0):
        step.flow.tell_apart([first], "each draws noise of its own in training")
    return [first, None]
