"""ONNX operators that split, join, cut and reorder axes, and those that run over positions; they read no weight."""

import math
from collections.abc import Sequence

from symbreak.checkpoints.wiring._factors import Axis, NotUnderstood, Value, Var, has_units, length
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._onnx_nodes import Node
from symbreak.checkpoints.wiring._onnx_values import Step, one
from symbreak.checkpoints.wiring._values import (
    Const,
    Even,
    Known,
    aligned,
    entered,
    has_beside,
    meet,
    place,
    same_length,
    turned,
    without_units,
)


def pool(step: Step) -> Sequence[Known]:
    """Follow pooling over positions."""
    value = one(step.inputs, step.flow)
    without_units(value, range(2, len(value.axes)))
    if step.node.op.startswith("Global"):
        return [Value((*value.axes[:2], *((),) * (len(value.axes) - 2)), value.passed)]
    places = [(step.flow.var(size),) for size in field_over(step.node, value, None)]
    return [Value((*value.axes[:2], *places), value.passed)]


def field_over(node: Node, value: Value, kernel: Sequence[int] | None) -> list[int | None]:
    """Count the positions after a kernel went over those of a value."""
    before = [length(axis) for axis in value.axes[2:]]
    kernel = kernel if kernel is not None else node.numbers("kernel_shape") or []
    if len(kernel) != len(before):
        raise NotUnderstood("its kernel has other axes than its input")
    steps = node.numbers("strides") or [1] * len(before)
    wide = node.numbers("dilations") or [1] * len(before)
    pads = node.numbers("pads") or [0] * (2 * len(before))
    found: list[int | None] = []
    for axis, (size, reach, step, dilation) in enumerate(zip(before, kernel, steps, wide, strict=True)):
        if size is None or node.op == "ConvTranspose":
            found.append(None if size is None else _stretched(node, axis, size, reach, step, dilation, pads))
        elif node.text("auto_pad").startswith("SAME"):
            found.append(math.ceil(size / step))
        else:
            free = size + pads[axis] + pads[axis + len(before)] - dilation * (reach - 1) - 1
            found.append((math.ceil(free / step) if node.number("ceil_mode", 0) else free // step) + 1)
    return found


def _stretched(
    node: Node, axis: int, size: int, reach: int, step: int, dilation: int, pads: Sequence[int]
) -> int | None:
    if node.text("auto_pad") not in ("", "NOTSET") or node.numbers("output_shape"):
        return None
    more = (node.numbers("output_padding") or [0] * (axis + 1))[axis]
    return step * (size - 1) + more + dilation * (reach - 1) + 1 - pads[axis] - pads[axis + len(pads) // 2]


def resize(step: Step) -> Sequence[Known]:
    """Give more or fewer positions; the axes of batch and units stay."""
    value = one(step.inputs, step.flow)
    without_units(value, range(2, len(value.axes)))
    sizes = step.lists.whole(step.node.inputs[3]) if len(step.node.inputs) > 3 else None
    known = sizes is not None and len(sizes) == len(value.axes)
    lengths = sizes[2:] if sizes is not None and known else [None] * (len(value.axes) - 2)
    return [Value((*value.axes[:2], *((step.flow.var(size),) if size != 1 else () for size in lengths)), value.passed)]


def pad(step: Step) -> Sequence[Known]:
    """Give more positions at the ends of axes."""
    value = one(step.inputs, step.flow)
    pads = step.node.numbers("pads") or (step.lists.whole(step.node.inputs[1]) if len(step.node.inputs) > 1 else None)
    if pads is None or len(pads) != 2 * len(value.axes) or len(step.node.inputs) > 3:
        raise NotUnderstood("how much it pads isn't known")
    axes = []
    for axis, before, after in zip(value.axes, pads, pads[len(value.axes) :], strict=False):
        if before or after:
            without_units(value, [value.axes.index(axis)])
        size = length(axis)
        axes.append(
            axis if not before and not after else (step.flow.var(None if size is None else size + before + after),)
        )
    return [Value(tuple(axes), value.passed)]


def reduce(step: Step) -> Sequence[Known]:
    """Follow a sum over axes, or another symmetric function; one that picks tells units apart."""
    value = one(step.inputs, step.flow)
    axes = step.node.numbers("axes") or (
        step.lists.whole(step.node.inputs[1]) if len(step.node.inputs) > 1 and step.node.inputs[1] else None
    )
    if axes is None and len(step.node.inputs) > 1 and step.node.inputs[1]:
        raise NotUnderstood("over what it runs isn't known")
    if axes is None:
        axes = [] if step.node.number("noop_with_empty_axes", 0) else list(range(len(value.axes)))
    over = {place(axis, len(value.axes)) for axis in axes}
    if step.node.op in ("ReduceMax", "ReduceMin"):
        step.flow.tell_apart([Value(tuple(value.axes[axis] for axis in over))], "one of them is picked by its value")
    keep = step.node.number("keepdims", 1)
    rest = [axis for number, axis in enumerate(value.axes) if number not in over]
    for number in over:
        step.flow.release(value.axes[number], rest)
    return [
        Value(
            tuple(() if n in over else axis for n, axis in enumerate(value.axes) if keep or n not in over), value.passed
        )
    ]


def pick(step: Step) -> Sequence[Known]:
    """Give the largest along an axis: its units are picked, and so told apart."""
    value = one(step.inputs, step.flow)
    axis = place(step.node.number("axis", -1 if step.node.op == "TopK" else 0), len(value.axes))
    step.flow.tell_apart([Value((value.axes[axis],))], "they are picked by their values")
    rest = list(value.axes)
    rest[axis] = (step.flow.var(None),) if step.node.op == "TopK" else ()
    if step.node.op != "TopK" and not step.node.number("keepdims", 1):
        del rest[axis]
    found = Value(tuple(rest), value.passed)
    return [found, found]


def reshape(step: Step) -> Sequence[Known]:
    """Split and join axes."""
    wanted = step.lists.of(step.node.inputs[1])
    first = step.inputs[0]
    if isinstance(first, Even):
        return [first]
    if wanted is None:
        raise NotUnderstood("to what lengths it reshapes isn't known")
    if isinstance(first, Const) and all(isinstance(each, int) for each in wanted):
        return [_reshaped(step.flow, first, [each for each in wanted if isinstance(each, int)])]
    value = one(step.inputs, step.flow)
    if not step.node.number("allowzero", 0):
        wanted = [same_length(value.axes[n]) if each == 0 else each for n, each in enumerate(wanted)]
    return [step.flow.reshape(value, wanted)]


def _reshaped(flow: Flow, const: Const, wanted: list[int]) -> Known:
    """Reshape an array of the file: axes of length 1 come and go; else it is a value."""
    long = [axis for axis, size in zip(const.axes, const.lengths, strict=True) if size > 1]
    total = math.prod(const.lengths)
    wanted = [const.lengths[n] if each == 0 else each for n, each in enumerate(wanted)]
    known = math.prod(each for each in wanted if each != -1)
    wanted = [total // known if each == -1 and known else each for each in wanted]
    if [each for each in wanted if each > 1] == [const.shape[axis] for axis in long if axis is not None]:
        rest = iter(long)
        return Const(const.tensor, const.shape, tuple(next(rest) if each > 1 else None for each in wanted))
    return flow.reshape(entered(flow, const), wanted)


def flatten(step: Step) -> Sequence[Known]:
    """Make one axis of all before a place, and another of all others."""
    value = one(step.inputs, step.flow)
    at = step.node.number("axis", 1)
    at = at + len(value.axes) if at < 0 else at
    rows = [tuple(var for axis in some for var in axis) for some in (value.axes[:at], value.axes[at:])]
    return [Value(tuple(rows), value.passed)]


def transpose(step: Step) -> Sequence[Known]:
    """Put axes in another order."""
    first = step.inputs[0]
    if isinstance(first, Even):
        return [first]
    rank = len(first.axes) if isinstance(first, Const | Value) else 0
    return [turned(first, step.node.numbers("perm") or list(range(rank))[::-1])]


def squeeze(step: Step) -> Sequence[Known]:
    """Leave out axes of length 1, or put them in."""
    first = step.inputs[0]
    axes = step.node.numbers("axes") or (step.lists.whole(step.node.inputs[1]) if len(step.node.inputs) > 1 else None)
    if isinstance(first, Even):
        return [first]
    if axes is None or first is None:
        raise NotUnderstood("which axes it means isn't known")
    if step.node.op == "Unsqueeze":
        rank = len(first.axes) + len(axes)
        places = {axis % rank for axis in axes}
        if isinstance(first, Const):
            rest = iter(first.axes)
            return [Const(first.tensor, first.shape, tuple(None if n in places else next(rest) for n in range(rank)))]
        others = iter(first.axes)
        return [Value(tuple(() if n in places else next(others) for n in range(rank)), first.passed)]
    gone = {place(axis, len(first.axes)) for axis in axes}
    lengths = first.lengths if isinstance(first, Const) else [length(axis) for axis in first.axes]
    if any(lengths[axis] != 1 for axis in gone):
        raise NotUnderstood("an axis that it leaves out isn't known to be of length 1")
    if isinstance(first, Const):
        return [Const(first.tensor, first.shape, tuple(a for n, a in enumerate(first.axes) if n not in gone))]
    return [Value(tuple(axis for n, axis in enumerate(first.axes) if n not in gone), first.passed)]


def expand_(step: Step) -> Sequence[Known]:
    """Make axes of length 1 longer: the same for all positions there."""
    if isinstance(step.inputs[0], Even):
        return [Even()]
    wanted = step.lists.of(step.node.inputs[1])
    if wanted is None:
        raise NotUnderstood("to what lengths it expands isn't known")
    first = step.inputs[0]
    if isinstance(first, Const):  # the same for all that is laid beside it, as one axis of length 1 is
        return [Const(first.tensor, first.shape, (None,) * (len(wanted) - len(first.axes)) + first.axes)]
    value = one(step.inputs, step.flow)
    axes: tuple[Axis, ...] = ((),) * (len(wanted) - len(value.axes)) + value.axes
    ones: list[int | Var | None] = [1] * (len(axes) - len(wanted))
    wanted = ones + wanted
    found = []
    for axis, size in zip(axes, wanted, strict=True):
        stays = length(axis) != 1 or size == 1
        found.append(axis if stays else (size if isinstance(size, Var) else step.flow.var(size),))
        if not stays and not isinstance(size, Var):
            found[-1][0].copies = True
    return [Value(tuple(found), value.passed)]


def concatenate(step: Step) -> Sequence[Known]:
    """Lay values end to end along one axis, and unit by unit along all others."""
    if all(isinstance(each, Even) or (isinstance(each, Const) and each.single) for each in step.inputs):
        return [Even()]
    inputs: Sequence[Known] = step.inputs
    if not any(isinstance(each, Value) for each in inputs):
        if any(len(each.axes) != 1 for each in inputs if isinstance(each, Const)):
            raise NotUnderstood("it joins arrays of the file")
        inputs = [entered(step.flow, each) if isinstance(each, Const) else each for each in inputs]
    rank = max(len(each.axes) for each in inputs if isinstance(each, Value))
    at = place(step.node.number("axis", 0), rank)
    values = []
    first = next(each for each in inputs if isinstance(each, Value))
    for each in inputs:
        if isinstance(each, Const):
            bare = list(first.axes)
            bare[at] = (step.flow.var(each.lengths[at], units=has_units(first.axes[at]), name=each.tensor),)
            values.append(aligned(step.flow, each, Value(tuple(bare)), "bias"))
        elif isinstance(each, Value):
            values.append(each)
        else:
            raise NotUnderstood("one of its inputs isn't known")
    axes = list(values[0].axes)
    for each in values[1:]:
        for number, axis in enumerate(each.axes):
            if number != at:
                axes[number] = meet(step.flow, axes[number], axis)
    axes[at] = step.flow.joined([value.axes[at] for value in values])
    seen = list(dict.fromkeys(value.passed for value in values))
    return [Value(tuple(axes), seen[0] if len(seen) == 1 else ("unknown",))]


def split(step: Step) -> Sequence[Known]:
    """Cut an axis into pieces."""
    value = one(step.inputs, step.flow)
    at = place(step.node.number("axis", 0), len(value.axes))
    sizes = step.node.numbers("split") or (step.lists.whole(step.node.inputs[1]) if len(step.node.inputs) > 1 else None)
    total = length(value.axes[at])
    if sizes is None and total is not None and len(step.node.inputs) < 2:
        each = -(-total // len(step.node.outputs))
        sizes = [min(each, total - each * n) for n in range(len(step.node.outputs))]
    if sizes is None:
        raise NotUnderstood("into what lengths it cuts isn't known")
    if set(sizes) == {1} and has_beside(value.axes[at]):
        found = [step.flow.member(value, at, n) for n in range(len(sizes))]
        return [Value((*each.axes[:at], (), *each.axes[at:]), each.passed) for each in found]
    return [
        Value((*value.axes[:at], piece, *value.axes[at + 1 :]), value.passed)
        for piece in step.flow.pieces(value.axes[at], sizes)
    ]


def cut(step: Step) -> Sequence[Known]:
    """Cut a stretch out of axes."""
    if isinstance(step.inputs[0], Even):
        return [Even()]
    value = one(step.inputs, step.flow)
    given = [step.lists.whole(name) if name else None for name in step.node.inputs[1:]]
    starts, ends, axes = (step.node.numbers(key) for key in ("starts", "ends", "axes"))
    if starts is None and len(given) >= 2:
        starts, ends, axes = given[0], given[1], given[2] if len(given) > 2 else None
        if len(given) > 3 and (given[3] is None or set(given[3]) != {1}):
            raise NotUnderstood("it takes every other one")
    strides = step.node.numbers("steps") or [1] * len(starts or ())
    if starts is None or ends is None:
        raise NotUnderstood("what it cuts out isn't known")
    found = list(value.axes)
    places = axes if axes is not None else range(len(starts))
    for axis, begin, end, stride in zip(places, starts, ends, strides, strict=True):
        size = length(found[axis])
        if stride != 1:
            without_units(value, [place(axis, len(found))])
            count = None if size is None else len(range(begin, end, stride) if stride > 0 else range(size))
            found[axis] = (step.flow.var(count),)
            continue
        if not has_units(found[axis]):
            whole = size is not None and len(range(size)[begin:end]) == size
            found[axis] = found[axis] if whole else (_left(step.flow, size, begin, end),)
            continue
        if size is None:
            raise NotUnderstood("it cuts units whose number isn't known")
        a, b, _ = slice(begin, end).indices(size)
        if b - a == 1 < size and has_beside(found[axis]):
            row = step.flow.member(Value(tuple(found), value.passed), place(axis, len(found)), a)
            found = [*row.axes]
            found.insert(place(axis, len(value.axes)), ())
            continue
        sizes = [each for each in (a, b - a, size - b) if each > 0]
        found[axis] = found[axis] if len(sizes) == 1 else step.flow.pieces(found[axis], sizes)[1 if a else 0]
    return [Value(tuple(found), value.passed)]


def _left(flow: Flow, size: int | None, begin: int, end: int) -> Var:
    return flow.var(len(range(size)[begin:end]) if size is not None else None)
