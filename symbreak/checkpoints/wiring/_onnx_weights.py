"""ONNX operators that read arrays of the file: products, convolutions, norms, tables and recurrent layers."""

from collections.abc import Sequence

from symbreak.checkpoints.wiring._factors import (
    FIELD,
    ONE,
    Axis,
    NotUnderstood,
    Part,
    Value,
    expand,
    find,
    has_units,
    length,
    out,
    read,
)
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._onnx_axes import field_over
from symbreak.checkpoints.wiring._onnx_lists import Lists
from symbreak.checkpoints.wiring._onnx_nodes import Node
from symbreak.checkpoints.wiring._onnx_values import Step, one
from symbreak.checkpoints.wiring._values import (
    Const,
    Even,
    Known,
    aligned,
    merged,
    met,
    place,
    say,
    turned,
    varied,
    without_units,
)

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}  # slices of a unit


def multiply(step: Step) -> Sequence[Known]:
    """Follow a product of matrices: of values, or with an array of the file, which is a weight."""
    a, b = step.inputs[0], step.inputs[1]
    if isinstance(a, Const) and isinstance(b, Const):
        raise NotUnderstood("it multiplies arrays of the file")
    if isinstance(b, Const):
        value = one(step.inputs, step.flow)
        return [Value((*value.axes[:-1], weighed(step.flow, step.node, b, value, -1, source=-2)))]
    if isinstance(a, Const):
        value = one(step.inputs, step.flow, 1)
        made = weighed(step.flow, step.node, a, value, -2, source=-1)
        return [Value((*value.axes[:-2], made, value.axes[-1]))]
    left, right = one(step.inputs, step.flow), one(step.inputs, step.flow, 1)
    if len(left.axes) < 2 or len(right.axes) < 2:
        raise NotUnderstood("it multiplies a vector")
    step.flow.unify(left.axes[-1], right.axes[-2])
    batch = merged(step.flow, Value(left.axes[:-2]), Value(right.axes[:-2]))
    step.flow.release(left.axes[-1], (*batch.axes, left.axes[-2], right.axes[-1]))
    passed = right.passed if has_units(right.axes[-1]) else ()
    return [Value((*batch.axes, left.axes[-2], right.axes[-1]), passed)]


def weighed(flow: Flow, node: Node, const: Const, value: Value, axis: int, *, source: int) -> Axis:
    """Let an array read an axis of a value: give the axis that it writes."""
    if len(const.axes) < 2 or any(size > 1 for size in const.lengths[:-2]):
        raise NotUnderstood("it multiplies by an array that isn't a matrix")
    rank = len(const.axes)
    made = flow.space(const.lengths[-3 - source], node.stem(const.tensor))
    reads = flow.consume(value, axis)
    if length(reads) not in (None, const.lengths[source]):
        raise NotUnderstood(f"it reads {const.lengths[source]} units of {length(reads)}")
    say(flow, const, {rank + source: read(reads), rank - 3 - source: out(made)})
    return made


def experts(step: Step) -> Sequence[Known]:
    """Follow products of each position with one of several stacked matrices, such as those of experts."""
    value, const = one(step.inputs, step.flow), step.inputs[1]
    if not isinstance(const, Const) or len(const.axes) != 3 or len(value.axes) != 2:
        raise NotUnderstood("its matrices are no stack in the file")
    copies, into, many = const.lengths
    (stack,) = step.flow.space(copies, f"{step.node.stem(const.tensor)}.stack")
    step.flow.tell_apart([Value(((stack,),))], "routing picks by index")
    source = step.flow.consume(value, -1)
    if length(source) != into:
        raise NotUnderstood(f"it reads {into} units of {length(source)}")
    for var in expand(source):
        if var.stack is not None:
            step.flow.unify((var.stack,), (stack,))
        stack = find(stack)
    made = step.flow.space(many, step.node.stem(const.tensor))
    if all(var.stack is None for var in expand(source)):
        made[0].stack = stack
    say(step.flow, const, {0: Part((("stack", (stack,)),)), 1: read(source), 2: out(made)})
    return [Value((value.axes[0], made))]


def gemm(step: Step) -> Sequence[Known]:
    """Follow a dense layer: a product and a bias."""
    sides = [
        turned(each, (1, 0)) if step.node.number(key, 0) else each
        for each, key in zip(step.inputs[:2], ("transA", "transB"), strict=True)
    ]
    (found,) = multiply(Step(step.flow, step.lists, step.node, sides))
    return (
        met(step.flow, "Add", [found, step.inputs[2]])
        if len(step.inputs) > 2 and step.inputs[2] is not None
        else [found]
    )


def convolve(step: Step) -> Sequence[Known]:
    """Follow a convolution, plain, in groups or of each unit alone, and a transposed one."""
    value, kernel = one(step.inputs, step.flow), step.inputs[1]
    if not isinstance(kernel, Const) or len(kernel.axes) < 3 or len(kernel.axes) != len(value.axes):
        raise NotUnderstood("its kernel is no array of the file")
    field = range(2, len(kernel.axes))
    without_units(value, field)
    turned, groups = step.node.op == "ConvTranspose", step.node.number("group", 1)
    first, second = kernel.lengths[:2]
    many, few = (second * groups, first) if turned else (first, second * groups)
    source = step.flow.consume(value, 1)
    if length(source) not in (None, few) or groups < 1 or many % groups or few % groups:
        raise NotUnderstood(f"it reads {few} units of {length(source)}")
    made: Axis
    if groups == 1:
        made = step.flow.space(many, step.node.stem(kernel.tensor))
        ends = (read(source), out(made)) if turned else (out(made), read(source))
        say(step.flow, kernel, {0: ends[0], 1: ends[1]})
    elif groups == few:
        made = source if many == few else (*source, step.flow.var(many // few))
        ends = (out(source), ONE if many == few else FIELD) if turned else (out(made), ONE)
        say(step.flow, kernel, {0: ends[0], 1: ends[1]}, "scale", "none")
    else:
        inner = step.flow.reshape(Value((source,)), [groups, few // groups]).axes
        units = step.flow.space(many, step.node.stem(kernel.tensor))
        outer = step.flow.reshape(Value((units,)), [groups, many // groups]).axes
        step.flow.unify(inner[0], outer[0])
        made = (*inner[0], *outer[1])
        both = (read((*inner[0], *inner[1])), out(outer[1])) if turned else (out(made), read(inner[1]))
        say(step.flow, kernel, {0: both[0], 1: both[1]})
    if len(step.inputs) > 2 and isinstance(step.inputs[2], Const):
        say(step.flow, step.inputs[2], {0: out(made)}, "bias")
    places = [(step.flow.var(size),) for size in field_over(step.node, value, kernel.lengths[2:])]
    passed = value.passed if groups == few > 1 else ()
    return [Value((value.axes[0], made, *places), passed)]


def batch_norm(step: Step) -> Sequence[Known]:
    """Follow batch and instance norms: their parameters are those of the units of axis 1."""
    value = one(step.inputs, step.flow)
    axis = step.flow.units_of(value.axes[1])
    for each, kind in zip(step.inputs[1:], ("scale", "shift", "mean", "variance"), strict=False):
        if isinstance(each, Const) and each.shape == (length(axis),):
            # of an instance norm, each unit is normalized over its positions alone
            say(step.flow, each, {0: out(axis)}, kind, "batch" if step.node.op == "BatchNormalization" else None)
        elif not isinstance(each, Even):
            raise NotUnderstood("its parameters don't meet its input")
    return [Value((value.axes[0], axis, *value.axes[2:]), value.passed), None, None]


def layer_norm(step: Step) -> Sequence[Known]:
    """Follow a norm over the last axes, symmetric in all units and positions there."""
    value = one(step.inputs, step.flow)
    value = Value((*value.axes[:-1], step.flow.units_of(value.axes[-1])), value.passed)
    of = "layer" if step.node.op == "LayerNormalization" else "rms"
    if not any(isinstance(each, Const) and not each.single for each in step.inputs[1:]):
        value = Value(value.axes, (*value.passed, f"{of}_norm"))
    for each, kind in zip(step.inputs[1:], ("scale", "shift"), strict=False):
        if isinstance(each, Const) and not each.single:
            aligned(step.flow, each, value, kind, of)
        elif not isinstance(each, Const | Even | None):
            raise NotUnderstood("its parameters are no arrays of the file")
    return [value, None, None]


def group_norm(step: Step) -> Sequence[Known]:
    """Follow a norm over groups of units: the groups are heads of their units."""
    value = one(step.inputs, step.flow)
    axis, groups = step.flow.units_of(value.axes[1]), step.node.number("num_groups", 1)
    size = length(axis)
    if size is None or groups < 1 or size % groups:
        raise NotUnderstood(f"{size} units don't make {groups} groups")
    if 1 < groups < size:
        heads = step.flow.reshape(Value((axis,)), [groups, size // groups]).axes[0]
    for each, kind in zip(step.inputs[1:], ("scale", "shift"), strict=False):
        if not isinstance(each, Const) or each.shape not in ((size,), (groups,)):
            raise NotUnderstood("its parameters don't meet its input")
        if each.shape == (size,):
            say(step.flow, each, {0: out(axis)}, kind, "group")
        elif groups > 1:
            say(step.flow, each, {0: out(heads)}, kind, "group")
    return [Value((value.axes[0], axis, *value.axes[2:]), value.passed)]


def gather(step: Step) -> Sequence[Known]:
    """Look up rows of a table by number, or one index of an axis."""
    data, at = step.inputs[0], step.node.number("axis", 0)
    places = step.inputs[1]
    if isinstance(data, Even):
        return [Even()]
    if isinstance(data, Const) and not (isinstance(places, Const | Even) and step.lists.is_scalar(step.node.inputs[1])):
        if len(data.axes) != 2:
            raise NotUnderstood("what it looks up is no table")
        at = place(at, 2)
        rows = step.flow.units_of((step.flow.var(data.lengths[at], name=f"{step.node.stem(data.tensor)}.rows"),))
        made = step.flow.space(data.lengths[1 - at], step.node.stem(data.tensor))
        say(step.flow, data, {at: read(rows), 1 - at: out(made)})
        found = _positions(step.flow, step.lists, step.node.inputs[1], places)
        return [Value((made, *found) if at else (*found, made))]
    value = one(step.inputs, step.flow)
    at = place(at, len(value.axes))
    numbers = step.lists.whole(step.node.inputs[1])
    if numbers is not None and step.lists.is_scalar(step.node.inputs[1]):
        return [step.flow.member(value, at, numbers[0])]
    without_units(value, [at])
    before = _positions(step.flow, step.lists, step.node.inputs[1], places)
    return [Value((*value.axes[:at], *before, *value.axes[at + 1 :]), value.passed)]


def _positions(flow: Flow, lists: Lists, name: str, places: Known) -> tuple[Axis, ...]:
    if isinstance(places, Value):
        if any(map(has_units, places.axes)):
            raise NotUnderstood("units are looked up")
        return places.axes
    if isinstance(places, Const):
        lists.used.add(places.tensor)
        return tuple((flow.var(size),) if size > 1 else () for size in places.lengths)
    numbers = lists.of(name)
    if numbers is None:
        raise NotUnderstood("what it looks up isn't known")
    return ((flow.var(len(numbers)),),)


def recurrent(step: Step) -> Sequence[Known]:
    """Follow a recurrent layer: a unit has a slice a gate, and each direction units of its own."""
    value, (first, again) = one(step.inputs, step.flow), step.inputs[1:3]
    if not isinstance(first, Const) or not isinstance(again, Const) or step.node.number("layout", 0):
        raise NotUnderstood("its weights are no arrays of the file")
    ways, rows, units = again.shape
    gates = GATES[step.node.op]
    if rows != gates * units or first.shape[:2] != (ways, rows) or ways not in (1, 2):
        raise NotUnderstood("its weights don't meet")
    spaces = [step.flow.space(units, step.node.name + (".back" if n else "")) for n in range(ways)]

    def each(role: str, count: int = 1) -> Part:
        parts = [Part(((("gate", count),) if count > 1 else ()) + ((role, axis),)) for axis in spaces]
        return parts[0] if ways == 1 else Part((), tuple(parts))

    varied(value.axes[0])
    way = ONE if ways == 1 else Part((), (ONE, ONE), whole=False)
    step.flow.say(first.tensor, [way, each("out", gates), read(step.flow.consume(value, 2))])
    step.flow.say(again.tensor, [way, each("out", gates), each("in")])
    for axis in spaces:
        axis[0].readings[step.node.op.lower(),] = None
    for number, count, kind in ((3, 2 * gates, "bias"), (7, 3, "scale")):
        array = step.inputs[number] if len(step.inputs) > number else None
        if isinstance(array, Const):
            step.flow.say(array.tensor, [way, each("out", count)], kind)
        elif array is not None:
            raise NotUnderstood("its parameters are no arrays of the file")
    for start in step.inputs[5:7]:
        if not (isinstance(start, Const) and step.lists.is_even(start)):
            _start(step.flow, start, spaces)
    axes: tuple[Axis, ...] = ((), spaces[0]) if ways == 1 else _both(step.flow, spaces, step.node.name)
    whole = Value((value.axes[0], axes[0], value.axes[1], axes[1]), (step.node.op.lower(),))
    last = Value((axes[0], value.axes[1], axes[1]), (step.node.op.lower(),))
    return [whole, last, last]


def _start(flow: Flow, start: Known, spaces: Sequence[Axis]) -> None:
    """Let the state at the beginning meet the units."""
    if isinstance(start, Const):
        way = ONE if len(spaces) == 1 else Part((), (ONE, ONE), whole=False)
        ends = out(spaces[0]) if len(spaces) == 1 else Part((), tuple(out(axis) for axis in spaces))
        flow.say(start.tensor, [way, ONE if start.shape[1] == 1 else FIELD, ends], "constant")
    elif isinstance(start, Value) and len(spaces) == 1:
        flow.unify(start.axes[2], spaces[0])
    elif isinstance(start, Value):
        raise NotUnderstood("both directions begin with what was computed")


def _both(flow: Flow, spaces: Sequence[Axis], name: str) -> tuple[Axis, Axis]:
    """Give the axes of directions and units: what is beside an index of the first are that direction's own."""
    ways, units = flow.var(2, units=True), flow.var(spaces[0][0].size, units=True)
    whole = flow.var(2 * (units.size or 0), units=True, name=name)
    whole.product = (ways, units)
    ways.owners, units.owners = [whole], [whole]
    ways.members = tuple(tuple(axis) for axis in spaces)
    units.family = (ways, 0)
    return (ways,), (units,)
