"""Primitives of JAX that read arrays of a model: products, convolutions and tables."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ._lax_axes import reshaped, sliced, transposed
from ._symbols import Shape, Symbol, number
from ._trace import Trace

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def multiply(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a product that sums over axes."""
    ((left, right), (first, second)) = equation.params["dimension_numbers"]
    shapes = [tuple(each.aval.shape) for each in equation.invars]
    letters = iter(LETTERS)
    names: list[dict[int, str]] = [{}, {}]
    for pairs in ((first, second), (left, right)):
        for a, b in zip(*pairs, strict=True):
            names[0][int(a)] = names[1][int(b)] = next(letters)
    for side in (0, 1):
        for axis in range(len(shapes[side])):
            names[side].setdefault(axis, "") or names[side].update({axis: next(letters)})
    batch = "".join(names[0][int(axis)] for axis in first)
    free = [
        "".join(names[side][axis] for axis in range(len(shapes[side])) if axis not in {*map(int, (*c, *b))})
        for side, c, b in ((0, left, first), (1, right, second))
    ]
    own = ["".join(names[side][axis] for axis in range(len(shapes[side]))) for side in (0, 1)]
    result = batch + free[0] + free[1]
    shape = tuple(equation.outvars[0].aval.shape)
    if any(each.even for each in inputs):
        if any(each.even and each.number == 0 for each in inputs):
            return [number(0.0, len(shape))]
        moving = next(each for each in inputs if not each.even)
        return [trace.emit("dot_general", [trace.name(moving)], shape)]
    return [_product(trace, (inputs[0], inputs[1]), (shapes[0], shapes[1]), (own[0], own[1]), result, shape)]


def _product(
    trace: Trace,
    sides: tuple[Symbol, Symbol],
    shapes: tuple[Shape, Shape],
    own: tuple[str, str],
    result: str,
    shape: Shape,
) -> Symbol:
    """Write a product; a kernel that is laid end to end is multiplied part by part, one that is masked likewise."""
    for at in (0, 1):
        array = sides[at]
        letter = own[at][array.axis] if array.parts else ""
        if array.parts and all(part.tensor for part in array.parts) and letter not in own[1 - at] and letter in result:
            axis, made = result.index(letter), []
            for part in array.parts:
                size = part.shape[array.axis]
                less = tuple(size if n == axis else each for n, each in enumerate(shape))
                cut_ = tuple(size if n == array.axis else each for n, each in enumerate(shapes[at]))
                pair, both = (part, sides[1 - at]), (cut_, shapes[1 - at])
                made.append(
                    _product(trace, pair if at == 0 else pair[::-1], both if at == 0 else both[::-1], own, result, less)
                )
            return Symbol(shape, parts=tuple(made), axis=axis)
    for at in (0, 1):
        if sides[at].tensor and sides[at].later:
            factors = [sides[at].bare, *(array for _, array in sides[at].later)]
            found = None
            for factor in factors:
                if factor.shape != shapes[at]:
                    continue  # a factor that lies along some axes only is the units' own: it is told where they meet
                pair = (factor, sides[1 - at])
                each = _product(trace, pair if at == 0 else pair[::-1], shapes, own, result, shape)
                found = each if found is None else trace.emit("Add", [trace.name(found), trace.name(each)], shape)
            if found is not None:
                return found
    full = []
    for side, before, letters in zip(sides, shapes, own, strict=True):
        summed = [n for n, letter in enumerate(letters) if letter not in result]
        if any(side.shape[n] != before[n] for n in summed) or side.tensor:
            side = trace.full(side, before) if side.shape != before else side
        full.append(side)
    sizes: dict[str, int] = {}
    for side, letters in zip(full, own, strict=True):
        for letter, size in zip(letters, side.shape, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), size)
    made_ = tuple(sizes[letter] for letter in result)
    for at in (0, 1):
        if full[at].tensor and not full[1 - at].tensor and len(own[at]) == 2 and own[at].count(own[at][0]) == 1:
            dense = _dense(trace, full[1 - at], full[at], own[1 - at], own[at], result, made_)
            if dense is not None:
                return dense
    operands = [each.name if each.tensor and each.plain else trace.name(each) for each in full]
    return trace.emit("Einsum", operands, made_, equation=f"{own[0]},{own[1]}->{result}")


def _dense(
    trace: Trace, value: Symbol, matrix: Symbol, letters: str, own: str, result: str, shape: Shape
) -> Symbol | None:
    """Write a product with a matrix of the model, which reads one axis and writes another; None for any other."""
    reads = [letter for letter in own if letter in letters and letter not in result]
    new = [letter for letter in own if letter not in letters]
    if len(reads) != 1 or len(new) != 1:
        return None
    at = letters.index(reads[0])
    order = [n for n in range(len(letters)) if n != at]
    turned = transposed(trace, value, [*order, at])
    kernel = transposed(trace, matrix, [own.index(reads[0]), own.index(new[0])])
    name = kernel.name if kernel.plain else trace.name(kernel)
    now = "".join(letters[n] for n in order) + new[0]
    sizes = dict(zip(result, shape, strict=True))
    made = trace.emit("MatMul", [trace.name(turned), name], tuple(sizes[letter] for letter in now))
    return transposed(trace, made, [now.index(letter) for letter in result])


def convolve(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a convolution: to batch, units, positions; kernels to units, inputs, receptive field."""
    params = equation.params
    numbers = params["dimension_numbers"]
    shapes = [tuple(each.aval.shape) for each in equation.invars]
    shape = tuple(equation.outvars[0].aval.shape)
    if params["batch_group_count"] != 1 or any(each.even for each in inputs):
        names = [trace.name(each) for each in inputs if not each.even]
        return [trace.emit("conv_general_dilated", names, shape)]
    value = transposed(trace, trace.full(inputs[0], shapes[0]), numbers.lhs_spec)
    kernel = inputs[1].bare if inputs[1].tensor else inputs[1]
    kernel = transposed(trace, kernel, numbers.rhs_spec)
    made = tuple(shape[axis] for axis in numbers.out_spec)
    steps = [int(each) for each in params["window_strides"]]
    wide = [int(each) for each in params["rhs_dilation"]]
    pads = [
        (after - 1) * step + dilation * (reach - 1) + 1 - size
        for after, step, dilation, reach, size in zip(
            made[2:], steps, wide, kernel.shape[2:], value.shape[2:], strict=True
        )
    ]
    name = kernel.name if kernel.tensor and kernel.plain else trace.name(kernel)
    found = trace.emit(
        "Conv", [trace.name(value), name], made,
        group=int(params["feature_group_count"]), strides=steps, dilations=wide, pads=pads + [0] * len(pads),
    )  # fmt: skip
    return [transposed(trace, found, [list(numbers.out_spec).index(axis) for axis in range(len(shape))])]


def gather(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate looking up rows of a table, or one place of an axis."""
    data, places = inputs
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    before, given = (tuple(each.aval.shape) for each in equation.invars)
    shape = tuple(equation.outvars[0].aval.shape)
    single = len(numbers.start_index_map) == 1 and not numbers.operand_batching_dims
    if single and not data.even:
        axis = int(numbers.start_index_map[0])
        rest = all(sizes[n] == before[n] for n in range(len(before)) if n != axis)
        alone = tuple(numbers.collapsed_slice_dims) in ((axis,), ())
        if rest and alone and places.even and places.number is not None:
            begins = [0] * len(before)
            begins[axis] = min(max(int(places.number), 0), before[axis] - sizes[axis])
            stops = [a + b for a, b in zip(begins, sizes, strict=True)]
            found = sliced(trace, trace.full(data, before), before, begins, stops)
            cut_ = tuple(sizes)
            return [_spread(trace, reshaped(trace, found, cut_, _without(cut_, axis, numbers)), shape)]
        if rest and tuple(numbers.collapsed_slice_dims) == (axis,) and not places.even:
            count = len(given) - 1
            offset = tuple(range(axis)) + tuple(range(axis + count, len(before) - 1 + count))
            if tuple(numbers.offset_dims) == offset:
                ids = reshaped(trace, trace.full(places, given), given, given[:-1])
                table = data.name if data.tensor and data.plain else trace.name(trace.full(data, before))
                return [trace.emit("Gather", [table, trace.name(ids)], shape, axis=axis)]
    names = [trace.name(each) for each in inputs if not each.even]
    return [trace.emit("gather", names, shape)]


def _without(shape: Shape, axis: int, numbers: Any) -> Shape:
    return tuple(size for n, size in enumerate(shape) if n != axis or axis not in numbers.collapsed_slice_dims)


def _spread(trace: Trace, found: Symbol, shape: Shape) -> Symbol:
    """Give what was looked up once the axes of the places: there is the same everywhere."""
    if len(found.shape) == len(shape):
        return found
    extra = len(shape) - len(found.shape)
    return replace(reshaped(trace, found, found.shape, (1,) * extra + found.shape), tensor=False)
