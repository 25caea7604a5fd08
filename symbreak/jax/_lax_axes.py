"""Primitives of JAX that split, join, cut and reorder axes, and those that sum over them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ._symbols import Shape, Symbol, number
from ._trace import Trace

REDUCTIONS = {"reduce_max": "ReduceMax", "reduce_min": "ReduceMin", "reduce_prod": "ReduceProd"}


def reshape(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a reshape."""
    before, after = (tuple(each.aval.shape) for each in (equation.invars[0], equation.outvars[0]))
    return [reshaped(trace, inputs[0], before, after)]


def reshaped(trace: Trace, value: Symbol, before: Shape, after: Shape) -> Symbol:
    """Give a value of the shape `before` the shape `after`."""
    if value.even:
        return replace(value, shape=(1,) * len(after))
    if before == after:
        return value
    long = [axis for axis, size in enumerate(before) if size > 1]
    new = [axis for axis, size in enumerate(after) if size > 1]
    if [before[axis] for axis in long] == [after[axis] for axis in new]:  # axes of length 1 come and go
        places = dict(zip(long, new, strict=True))
        shape = [1] * len(after)
        for axis, place in places.items():
            shape[place] = value.shape[axis]
        if value.parts and value.axis in places:
            parts = [_with(part.shape, before, places, len(after)) for part in value.parts]
            made = tuple(
                reshaped(trace, part, part.shape, target) for part, target in zip(value.parts, parts, strict=True)
            )
            return Symbol(tuple(shape), parts=made, axis=places[value.axis])
        if value.inner is not None and not value.later and value.axis in places:
            return _inside(trace, value, value.inner, tuple(shape), places[value.axis])
        if value.later and all(array.shape == value.shape for _, array in value.later):
            later = tuple((op, reshaped(trace, array, array.shape, tuple(shape))) for op, array in value.later)
            return replace(reshaped(trace, value.bare, value.shape, tuple(shape)), later=later)
        return _write(trace, value, tuple(shape))
    if value.shape != before:
        repeated = _repeated(value, before, after)
        if repeated is not None:
            return repeated
        value = trace.full(value, before)
    if value.tensor and not value.later:
        return replace(_write(trace, value, after), tensor=False)
    return _write(trace, value, after)


def _repeated(value: Symbol, before: Shape, after: Shape) -> Symbol | None:
    """Keep what is the same within each group apart, where a reshape joins groups and what is in them to one axis."""
    if value.tensor or value.parts or value.later or value.inner is not None or len(after) != len(before) - 1:
        return None
    for at in range(len(after)):
        joined = (*before[:at], before[at] * before[at + 1], *before[at + 2 :])
        if joined == after and 1 in value.shape[at : at + 2] and after[at] > 1:
            shape = (*value.shape[:at], after[at], *value.shape[at + 2 :])
            return Symbol(shape, axis=at, inner=value, sizes=before[at : at + 2])
    return None


def _inside(trace: Trace, value: Symbol, inner: Symbol, shape: Shape, at: int) -> Symbol:
    """Let axes of length 1 come and go beside repeated groups."""
    wide = (*shape[:at], *inner.shape[value.axis : value.axis + 2], *shape[at + 1 :])
    return Symbol(shape, axis=at, inner=reshaped(trace, inner, inner.shape, wide), sizes=value.sizes)


def unfolded(trace: Trace, value: Symbol, lead: Symbol) -> Symbol:
    """Give a value the axes that the inner one of another has."""
    at, sizes = lead.axis, lead.sizes if value.shape[lead.axis] != 1 else (1, 1)
    return reshaped(trace, value, value.shape, (*value.shape[:at], *sizes, *value.shape[at + 1 :]))


def _with(shape: Shape, _: Shape, places: dict[int, int], rank: int) -> Shape:
    found = [1] * rank
    for axis, place in places.items():
        found[place] = shape[axis]
    return tuple(found)


def _write(trace: Trace, value: Symbol, shape: Shape) -> Symbol:
    if value.shape == shape:
        return value
    made = trace.emit("Reshape", [trace_name(trace, value), trace.list_of(shape)], shape, allowzero=1)
    return replace(made, tensor=value.tensor and not value.later)


def trace_name(trace: Trace, value: Symbol) -> str:
    """Give the name of a value that keeps being an array of the model where it was one."""
    return value.name if value.tensor and value.plain else trace.name(value)


def broadcast(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a broadcast: nothing is spread out until something needs it."""
    value = inputs[0]
    shape, places = equation.params["shape"], equation.params["broadcast_dimensions"]
    if value.even:
        return [replace(value, shape=(1,) * len(shape))]
    before = tuple(equation.invars[0].aval.shape)
    target = [1] * len(shape)
    for axis, place in enumerate(places):
        target[place] = before[axis]
    return [reshaped(trace, value, before, tuple(target))]


def squeeze(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate leaving out axes of length 1."""
    return reshape(trace, equation, inputs)


def transpose(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate another order of axes."""
    return [transposed(trace, inputs[0], equation.params["permutation"])]


def transposed(trace: Trace, value: Symbol, order: Sequence[int]) -> Symbol:
    """Put the axes of a value in another order."""
    order = [int(each) for each in order]
    if order == list(range(len(order))):
        return value
    shape = tuple(value.shape[axis] for axis in order)
    if value.even:
        return replace(value, shape=shape)
    if value.parts:
        parts = tuple(transposed(trace, part, order) for part in value.parts)
        return Symbol(shape, parts=parts, axis=order.index(value.axis))
    if value.later and all(len(array.shape) == len(order) for _, array in value.later):
        later = tuple((op, transposed(trace, array, order)) for op, array in value.later)
        return replace(transposed(trace, value.bare, order), shape=shape, later=later)
    if value.inner is not None and not value.later:
        at = value.axis
        wide = [each for axis in order for each in ([axis + (axis > at)] if axis != at else [at, at + 1])]
        return Symbol(shape, axis=order.index(at), inner=transposed(trace, value.inner, wide), sizes=value.sizes)
    made = trace.emit("Transpose", [trace_name(trace, value)], shape, perm=order)
    return replace(made, tensor=value.tensor and not value.later)


def reduce(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a function over axes; one that picks a value tells its units apart."""
    return _reduced(trace, equation, inputs, REDUCTIONS.get(equation.primitive.name, "ReduceSum"))


def sum_(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a function over axes that is symmetric in them."""
    return _reduced(trace, equation, inputs, "ReduceSum")


def _reduced(trace: Trace, equation: Any, inputs: Sequence[Symbol], op: str) -> Sequence[Symbol]:
    value, axes = inputs[0], [int(axis) for axis in equation.params["axes"]]
    shape = tuple(size for axis, size in enumerate(value.shape) if axis not in axes)
    if not axes:
        return [value]
    return [trace.emit(op, [trace.name(value)], shape, axes=axes, keepdims=0)]


def concatenate(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate values end to end."""
    axis = int(equation.params["dimension"])
    shapes = [tuple(each.aval.shape) for each in equation.invars]
    shape = tuple(equation.outvars[0].aval.shape)
    if all(each.even for each in inputs):
        return [number(inputs[0].number if len({each.number for each in inputs}) == 1 else None, len(shape))]
    if any(each.even for each in inputs):
        return [_padded(trace, inputs, shapes, axis, shape)]
    full = [_along(trace, each, axis, size) for each, size in zip(inputs, shapes, strict=True)]
    flat = [part for each in full for part in (each.parts if each.parts and each.axis == axis else (each,))]
    widest = tuple(max(part.shape[n] for part in flat) for n in range(len(shape)))
    shape = tuple(size if n == axis else widest[n] for n, size in enumerate(shape))
    if all(part.tensor for part in flat):
        return [Symbol(shape, parts=tuple(flat), axis=axis)]
    full = [trace.full(each, tuple(s if n != axis else each.shape[n] for n, s in enumerate(shape))) for each in flat]
    return [trace.emit("Concat", [trace.name(each) for each in full], shape, axis=axis)]


def _along(trace: Trace, value: Symbol, axis: int, shape: Shape) -> Symbol:
    """Give a value at its full length along one axis."""
    if value.shape[axis] == shape[axis]:
        return value
    return trace.full(value, tuple(size if n == axis else value.shape[n] for n, size in enumerate(shape)))


def _padded(trace: Trace, inputs: Sequence[Symbol], shapes: Sequence[Shape], axis: int, shape: Shape) -> Symbol:
    """Put numbers before and after values: padding, if the values are side by side."""
    moving = [place for place, each in enumerate(inputs) if not each.even]
    if moving != list(range(moving[0], moving[-1] + 1)):
        names = [trace.name(inputs[place]) for place in moving]
        return trace.emit("concatenate", names, shape)
    some = [trace.full(inputs[place], shapes[place]) for place in moving]
    whole = some[0]
    if len(some) > 1:
        size = sum(each.shape[axis] for each in some)
        joined = tuple(size if n == axis else each for n, each in enumerate(shape))
        whole = trace.emit("Concat", [trace.name(each) for each in some], joined, axis=axis)
    before = sum(shapes[place][axis] for place in range(moving[0]))
    after = sum(shapes[place][axis] for place in range(moving[-1] + 1, len(inputs)))
    pads = [0] * (2 * len(shape))
    pads[axis], pads[axis + len(shape)] = before, after
    return trace.emit("Pad", [trace.name(whole)], shape, pads=pads)


def slice_(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a stretch of axes."""
    params = equation.params
    before = tuple(equation.invars[0].aval.shape)
    starts, stops = [int(each) for each in params["start_indices"]], [int(each) for each in params["limit_indices"]]
    steps = params["strides"]
    if steps is not None and any(int(step) != 1 for step in steps):
        return [_strided(trace, equation, inputs[0], before)]
    return [sliced(trace, inputs[0], before, starts, stops)]


def sliced(trace: Trace, value: Symbol, before: Shape, starts: Sequence[int], stops: Sequence[int]) -> Symbol:
    """Cut a stretch out of axes."""
    if value.even:
        return value
    axes = [n for n, size in enumerate(before) if (starts[n], stops[n]) != (0, size) and value.shape[n] != 1]
    shape = tuple(stops[n] - starts[n] if n in axes else size for n, size in enumerate(value.shape))
    if not axes:
        return value
    if value.parts and axes == [value.axis]:
        at = 0
        for part in value.parts:
            if (at, at + part.shape[value.axis]) == (starts[value.axis], stops[value.axis]):
                return part
            at += part.shape[value.axis]
    return trace.emit(
        "Slice", [trace.name(value)], shape,
        starts=[starts[n] for n in axes], ends=[stops[n] for n in axes], axes=axes,
    )  # fmt: skip


def _strided(trace: Trace, equation: Any, value: Symbol, before: Shape) -> Symbol:
    """Take every other one of positions."""
    shape = tuple(equation.outvars[0].aval.shape)
    steps = [int(step) for step in equation.params["strides"]]
    return moved(trace, value, before, shape, [n for n, step in enumerate(steps) if step != 1 or shape[n] != before[n]])


def moved(trace: Trace, value: Symbol, before: Shape, after: Shape, axes: Sequence[int]) -> Symbol:
    """Give other positions along some axes, whatever is taken or moved there."""
    if value.even:
        return value
    value = trace.full(value, tuple(before[n] if n in axes else size for n, size in enumerate(value.shape)))
    shape = tuple(after[n] if n in axes else size for n, size in enumerate(value.shape))
    sizes = [after[n] for n in axes]
    return trace.emit("Positions", [trace.name(value)], shape, axes=list(axes), sizes=sizes)


def window(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate what sums over windows, or runs along an axis."""
    before, after = tuple(equation.invars[0].aval.shape), tuple(equation.outvars[0].aval.shape)
    params = equation.params
    reach = params.get("window_dimensions")
    if reach is not None:
        axes = [n for n, size in enumerate(reach) if size != 1 or before[n] != after[n]]
    else:
        given = params.get("axis", params.get("dimension", params.get("dimensions")))
        axes = [int(each) for each in (given if isinstance(given, tuple | list) else [given])]
    return [moved(trace, inputs[0], before, after, axes)]


def split(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate cutting an axis into pieces."""
    value = inputs[0]
    sizes, axis = [int(size) for size in equation.params["sizes"]], int(equation.params["axis"])
    return cut(trace, value, axis, sizes)


def cut(trace: Trace, value: Symbol, axis: int, sizes: Sequence[int]) -> list[Symbol]:
    """Cut a value along an axis."""
    if value.even or value.shape[axis] == 1:
        return [value] * len(sizes)
    if value.parts and value.axis == axis and [part.shape[axis] for part in value.parts] == list(sizes):
        return list(value.parts)
    trace.emit("Split", [trace.name(value)], (), outputs=len(sizes), axis=axis, split=list(sizes))
    shapes = [tuple(size if n == axis else each for n, each in enumerate(value.shape)) for size in sizes]
    return [Symbol(shape, name) for shape, name in zip(shapes, trace.outputs(), strict=True)]


def dynamic_slice(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a stretch that begins where a number says, which must be known but for whole axes."""
    value, starts = inputs[0], inputs[1:]
    before, sizes = tuple(equation.invars[0].aval.shape), equation.params["slice_sizes"]
    begins = [each.number if each.even else None for each in starts]
    some = [n for n, size in enumerate(sizes) if size != before[n]]
    if any(begins[n] is None for n in some):
        return [moved(trace, value, before, tuple(sizes), some)]
    first = [min(max(int(begins[n] or 0), 0), before[n] - size) if n in some else 0 for n, size in enumerate(sizes)]
    return [sliced(trace, value, before, first, [a + b for a, b in zip(first, sizes, strict=True)])]


def dynamic_update(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate values that are written over a stretch of others: both are of the same units."""
    value, other = inputs[0], inputs[1]
    shapes = [tuple(each.aval.shape) for each in equation.invars[:2]]
    some = [n for n, size in enumerate(shapes[1]) if size != shapes[0][n]]
    other = moved(trace, other, shapes[1], shapes[0], some) if some else other
    if value.even or other.even:
        return [other if value.even else value]
    shape = tuple(max(sizes) for sizes in zip(value.shape, other.shape, strict=True))
    return [trace.emit("Where", [trace.name(value), trace.name(other)], shape)]


def _unknown(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Symbol:
    names = [trace.name(each) for each in inputs if not each.even]
    return trace.emit(equation.primitive.name, names, tuple(equation.outvars[0].aval.shape))


def pad(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate padding, at the ends of axes and between."""
    value, config = inputs[0], equation.params["padding_config"]
    shape = tuple(equation.outvars[0].aval.shape)
    if not inputs[1].even:
        return [_unknown(trace, equation, inputs)]
    before = tuple(equation.invars[0].aval.shape)
    pads = [after - size for after, size in zip(shape, before, strict=True)]
    axes = [n for n, each in enumerate(config) if tuple(each) != (0, 0, 0)]
    value = trace.full(value, tuple(before[n] if n in axes else size for n, size in enumerate(value.shape)))
    made = tuple(shape[n] if n in axes else size for n, size in enumerate(value.shape))
    return [trace.emit("Pad", [trace.name(value)], made, pads=[0] * len(shape) + pads)]
