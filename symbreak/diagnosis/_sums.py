"""Sums over classes: what a unit reads from, or writes to, each class of another node, position by position.

Two units stay together where these sums are equal. There are as many sums as classes, so they are not written out:
random linear forms of them tell units apart in one pass over the array, whatever the number of classes. A form that
differs by more than its rounding can explain proves that the sums differ. That they are equal is shown at the end, sum
by sum, for the units that were never told apart.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ._bits import bits_of
from ._nodes import Side, System, View
from ._ties import Ties, search

Array = npt.NDArray[Any]
Labels = Sequence[npt.NDArray[np.intp]]  # one flat array a node
Magnitudes = dict[tuple[str, tuple[int, ...]], tuple[Array, Array, Array]]  # by array and axes

FORMS = 3  # random forms: one alone misses a difference of a few roundings too often
CHUNK = 1 << 20  # elements that are widened at a time, 8 MB
COPIED = 1 << 20  # elements of an array that may be copied to have its units first
EPS = float(np.finfo(np.float64).eps)  # twice what one rounding can be off by
EXPONENTS = 1100  # binary exponents of float64 lie between this and minus this


def as_doubles(array: Array) -> Array:
    """Widen values to float64, in a copy; complex ones gain an axis of two, last."""
    if array.dtype.kind == "c":
        wide = array.astype(np.complex128)
        return np.stack([wide.real, wide.imag], axis=-1)
    return array.astype(np.float64)


def check_numbers(array: Array, name: str) -> None:
    """Raise where Python objects are none that a float64 can stand for."""
    for value in array.flat if array.dtype == object else ():
        try:
            float(value + 0)  # a string makes a float too, but no sum
        except OverflowError:
            raise ValueError(f"{name!r} holds a number that is too large for a float64") from None
        except TypeError:
            short = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}..."
            raise TypeError(f"{name!r} holds objects that are no real numbers: {short}") from None


def units_first(view: View, side: Side) -> Array | None:
    """Give the array as (units of the side, everything else); None where that would copy many numbers."""
    over = len(side.axes)
    array = np.moveaxis(view.array, side.axes, range(over))
    if array.size > COPIED and array.dtype != object and not _join(array.shape[:over], array.strides[:over]):
        return None
    return array.reshape(prod(array.shape[:over]), *array.shape[over:])


def _join(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether axes can be made one without a copy."""
    kept = [(size, stride) for size, stride in zip(shape, strides, strict=True) if size > 1]
    return all(outer == size * inner for (_, outer), (size, inner) in pairwise(kept))


def slice_ties(view: View, side: Side, workers: int | None = None, *, finite: bool = False) -> Ties:
    """Find the units of a side whose slices are equal in every value.

    `finite` says that every value is known to be finite.
    """
    flat = units_first(view, side)
    if flat is None:
        array = np.moveaxis(view.array, side.axes, range(len(side.axes)))
        return _ties_by_parent(array, len(side.axes) - 1, workers, finite)
    return search(flat, workers=workers, finite=finite) if flat.dtype != object else _ties_of_objects(flat)


def _ties_of_objects(units: Array) -> Ties:
    """Find the units whose Python numbers are equal, however fine their differences are."""
    rows = [tuple(row) for row in units.reshape(len(units), -1).tolist()]
    seen: dict[tuple[Any, ...], int] = {}
    labels = np.array([seen.setdefault(row, len(seen)) for row in rows], np.intp)
    zero = [unit for unit, row in enumerate(rows) if not any(row)]
    infinite = [unit for unit, row in enumerate(rows) if not np.isfinite(as_doubles(np.array(row, object))).all()]
    return Ties(labels, np.array(zero, np.intp), np.array(infinite, np.intp))


def _ties_by_parent(array: Array, over: int, workers: int | None, finite: bool) -> Ties:
    """Find equal slices of units in parents, (parents, ..., units, ...), of a large array that can't be read as one.

    The units of each parent are searched where they lie; one of each class is copied, for the digest by which it is
    compared with those of other parents.
    """
    import hashlib  # loads OpenSSL

    bits = bits_of(array.dtype)
    each = array.shape[over]
    step = max(1, CHUNK // prod(array.shape[over + 1 :]))
    seen: dict[bytes, int] = {}
    labels, zero, infinite = [], [], []
    for number, place in enumerate(np.ndindex(array.shape[:over])):
        ties = search(array[place], workers=workers, finite=finite)
        firsts = np.unique(ties.labels, return_index=True)[1]
        numbers = []
        for low in range(0, len(firsts), step):
            picked = array[place][firsts[low : low + step]]
            loaded = np.empty(picked.shape, bits.dtype)
            bits.load(picked, loaded)
            digests = [hashlib.blake2b(row.tobytes()).digest() for row in loaded]
            numbers += [seen.setdefault(found, len(seen)) for found in digests]
        labels.append(np.array(numbers, np.intp)[ties.labels])
        zero.append(ties.zero + number * each)
        infinite.append(ties.not_finite + number * each)
    return Ties(*map(np.concatenate, (labels, zero, infinite)))


def forms(
    view: View, side: Side, system: System, labels: Labels, seed: int, known: Magnitudes | None = None
) -> tuple[Array, Array]:
    """Give random linear forms of a side's class sums, (units, FORMS), and the most that each can be off, (units,).

    What is large in some class and small in another would be lost in one sum, so every class is brought to one
    magnitude first, by a power of two. What was seen of magnitudes is kept in `known`.
    """
    array = view.array
    factors, scales, axes = _factors(view, side, system, labels, seed, {} if known is None else known)
    shape = tuple(array.shape[axis] for axis in side.axes)
    values, sizes = np.zeros((FORMS, *shape)), np.zeros(shape)
    plain = array.ndim == 2 and len(side.axes) == 1 and len(factors) == 1
    complex_ = array.dtype.kind == "c"
    names = [
        "".join(chr(ord("a") + axis) for axis in each) for each in (range(array.ndim + complex_), *axes, side.axes)
    ]
    terms = f"{','.join(names[:-1])}->{names[-1]}"
    for region in _regions(array):
        chunk = as_doubles(array[region])
        where: tuple[Any, ...] = (..., *(region[axis] for axis in side.axes))
        whole = (*region, slice(None))
        places: list[tuple[Any, ...]] = [(..., *(whole[axis] for axis in inner)) for inner in axes]
        cut, scale = ([each[place] for each, place in zip(every, places, strict=True)] for every in (factors, scales))
        if plain:
            by = chunk if side.axes[0] == 0 else chunk.T
            values[where] += (by @ cut[0].T).T
            sizes[where] += np.abs(by) @ scale[0]
            continue
        for form, value in enumerate(values):
            operands = [each[form] for each in cut]
            value[where] += np.einsum(terms, chunk, *operands)
        sizes[where] += np.einsum(terms, np.abs(chunk), *scale)
    count = array.size // max(1, int(np.prod(shape))) * (2 if complex_ else 1)
    return values.reshape(FORMS, -1).T, sizes.reshape(-1) * ((count + 8) * EPS)


def _factors(
    view: View, side: Side, system: System, labels: Labels, seed: int, known: Magnitudes
) -> tuple[list[Array], list[Array], list[list[int]]]:
    """Give what is summed over: the coefficients, (FORMS, ...), their scales, and the axes that each runs over."""
    factors: list[Array] = []
    scales: list[Array] = []
    axes: list[list[int]] = []
    for place, other in enumerate(view.sides):
        if other.axes != side.axes:
            rng = np.random.Generator(np.random.PCG64DXSM([seed, 0, place]))
            label = labels[other.node]
            if (view.name, other.axes) not in known:
                known[view.name, other.axes] = _magnitudes(view, other)
            scale = _scales(*known[view.name, other.axes], label)
            table = _coefficients(rng, len(scale)) * scale
            shape = system.nodes[other.node].shape
            order = np.argsort(other.axes)
            factors.append(table[:, label].reshape(FORMS, *shape).transpose(0, *(order + 1)))
            scales.append(scale[label].reshape(shape).transpose(order))
            axes.append(sorted(other.axes))
    for axis in view.positions:
        rng = np.random.Generator(np.random.PCG64DXSM([seed, 1, axis]))
        factors.append(_coefficients(rng, view.array.shape[axis]))
        scales.append(np.ones(view.array.shape[axis]))
        axes.append([axis])
    if view.array.dtype.kind == "c":  # the parts of a number lie along one more axis
        rng = np.random.Generator(np.random.PCG64DXSM([seed, 2]))
        factors.append(_coefficients(rng, 2))
        scales.append(np.ones(2))
        axes.append([view.array.ndim])
    return factors, scales, axes


def _magnitudes(view: View, side: Side) -> tuple[Array, Array, Array]:
    """Give the sum of the exponents of each unit's values, how many are not zero, and the largest exponent."""
    rest = tuple(axis for axis in range(view.array.ndim) if axis not in side.axes)
    order = sorted(side.axes)
    shape = [view.array.shape[axis] for axis in order]
    total, number, largest = np.zeros(shape), np.zeros(shape), np.full(shape, -EXPONENTS, np.int64)
    for region in _regions(view.array):
        chunk = np.abs(as_doubles(view.array[region]))
        chunk = chunk if chunk.ndim == view.array.ndim else chunk.max(axis=-1)
        place = tuple(region[axis] for axis in order)
        exponent, some = np.frexp(chunk)[1], chunk != 0
        total[place] += exponent.sum(axis=rest)  # that of 0 is 0
        number[place] += some.sum(axis=rest)
        np.copyto(exponent, -EXPONENTS, where=~some)
        largest[place] = np.maximum(largest[place], exponent.max(axis=rest, initial=-EXPONENTS))
    turn = np.argsort(np.argsort(side.axes))
    first, second, third = (each.transpose(turn).reshape(-1) for each in (total, number, largest))
    return first, second, third


def _scales(total: Array, number: Array, largest: Array, label: npt.NDArray[np.intp]) -> Array:
    """Give a power of two for each class of a side, which brings what is read from it to the magnitude of 1."""
    count = int(label.max()) + 1
    most = np.full(count, -EXPONENTS)
    np.maximum.at(most, label, largest)
    mean = np.rint(np.bincount(label, total, count) / np.maximum(np.bincount(label, number, count), 1))
    # One value that is far larger must not end up where floats end.
    power = np.clip(-np.maximum(mean, most - 400), -1000, 500)
    return np.asarray(np.ldexp(1.0, power.astype(np.intp)))


def _coefficients(rng: np.random.Generator, count: int) -> Array:
    """Draw numbers of size 1/2 to 1 and either sign, (FORMS, count); those of a longer table begin the same."""
    drawn = rng.random((count, FORMS)).T
    return np.where(drawn < 0.5, drawn - 1.0, drawn)


def _regions(array: Array) -> Iterator[tuple[slice, ...]]:
    """Cut an array along its first axes into parts of about CHUNK elements."""
    whole = (slice(None),) * array.ndim
    inner = prod(array.shape[1:])
    if inner > CHUNK:
        for index in range(len(array)):
            for region in _regions(array[index]):
                yield (slice(index, index + 1), *region)
        return
    step = max(1, CHUNK // max(1, inner))
    for low in range(0, len(array), step):
        yield (slice(low, low + step), *whole[1:])


def close(values: Array, bound: Array) -> npt.NDArray[np.intp]:
    """Give units, (units, forms), one number where a chain of gaps within the bounds joins them.

    The numbers go by the values, and don't depend on the order of the units.
    """
    numbers = np.zeros(len(values), np.intp)
    for form in values.T:
        low, high = form - bound, form + bound
        order = np.lexsort((low, numbers))
        rising = np.argsort(high)
        rank = np.empty_like(rising)
        rank[rising] = np.arange(len(form))
        of = numbers[order]
        # The furthest that the units before reach, of those that are one until now: a wide bound goes beyond the next.
        reach = np.maximum.accumulate(of * len(form) + rank[order]) - of * len(form)
        gap = low[order][1:] > high[rising[reach[:-1]]]
        numbers[order] = np.cumsum(np.concatenate([[False], gap | (np.diff(of) != 0)]))
    return numbers


def defects(
    view: View, side: Side, system: System, labels: Labels, units: npt.NDArray[np.intp], first: npt.NDArray[np.intp]
) -> tuple[Array, Array, Array]:
    """Compare, sum by sum, units with the first of their class.

    Returns
    -------
    tuple
        For each unit the largest difference of two sums, the largest excess over what rounding explains (0 or less
        where it does), and the size of the sums that it was seen among: all (units,).
    """
    shape = system.nodes[side.node].shape
    array = np.moveaxis(view.array, side.axes, range(len(side.axes)))
    rest = [axis for axis in range(view.array.ndim) if axis not in side.axes]
    worst, excess, scale = np.empty((3, len(units)))
    features, parts = prod(view.array.shape[axis] for axis in rest), 2 if view.array.dtype.kind == "c" else 1
    step = max(1, CHUNK // features)
    whole: dict[tuple[int, ...], tuple[Array, Array, Array]] = {}
    for low in range(0, len(units), step):
        both = [(some, np.unravel_index(some, shape)) for some in (units[low : low + step], first[low : low + step])]
        doubles = [as_doubles(array[places]).reshape(len(some), features, parts) for some, places in both]
        huge = any((np.abs(each) > 2.0**900).any() for each in doubles)
        sums = []
        for (some, places), picked in zip(both, doubles, strict=True):
            if huge:
                picked *= 2.0**-100  # no sum of them overflows then
            totals = []
            for inner in _distinct(places[:-1]):
                if inner not in whole:
                    whole[inner] = _class_order(view, side, system, labels, rest, inner)
                order, starts, lengths = whole[inner]
                here = np.flatnonzero(np.logical_and.reduce([p == i for p, i in zip(places[:-1], inner, strict=True)]))
                here = here if inner else np.arange(len(some))
                ordered = picked[here][:, order]
                each, absolute = (np.add.reduceat(values, starts, axis=1) for values in (ordered, np.abs(ordered)))
                totals.append((here, each, absolute, lengths))
            sums.append(_joined(totals, len(some)))
        (mine, sizes, counts), (others, other_sizes, _) = sums
        gap = np.abs(mine - others)
        allowed = EPS * np.maximum(counts - 1, 0)[:, :, np.newaxis] * (sizes + other_sizes)
        part = slice(low, low + step)
        worst[part] = gap.max(axis=(1, 2))
        excess[part] = (gap - allowed).max(axis=(1, 2))
        scale[part] = np.maximum(sizes, other_sizes).max(axis=(1, 2))
    return worst, excess, scale


def _distinct(places: tuple[Array, ...]) -> list[tuple[int, ...]]:
    return sorted(set(zip(*(place.tolist() for place in places), strict=True))) if places else [()]


def _joined(totals: list[tuple[Array, Array, Array, Array]], count: int) -> tuple[Array, Array, Array]:
    width = max(sums.shape[1] for _, sums, _, _ in totals)
    parts = totals[0][1].shape[2]
    joined, sizes, counts = np.zeros((count, width, parts)), np.zeros((count, width, parts)), np.zeros((count, width))
    for units, sums, absolute, lengths in totals:
        joined[units, : sums.shape[1]], sizes[units, : sums.shape[1]] = sums, absolute
        counts[units, : len(lengths)] = lengths
    return joined, sizes, counts


def _class_order(
    view: View, side: Side, system: System, labels: Labels, rest: list[int], inner: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """Give the order that brings the elements of a unit's slice together by class, and where each class begins.

    `inner` are the parents' indices of the unit, whose own heads' labels count where the other side is nested too.
    """
    shape = tuple(view.array.shape[axis] for axis in rest)
    number: Array = np.zeros(shape, np.int64)
    fixed = dict(zip(side.axes[:-1], inner, strict=True))

    def spread(values: Array, axes: Sequence[int]) -> Array:
        order = np.argsort(axes)
        wide = [1] * len(rest)
        for axis in axes:
            wide[rest.index(axis)] = view.array.shape[axis]
        return np.asarray(values.transpose(order).reshape(wide))

    for other in view.sides:
        if other.axes != side.axes:
            label = labels[other.node].reshape(system.nodes[other.node].shape)
            own = [axis for axis in other.axes if axis not in fixed]
            label = label[tuple(fixed.get(axis, slice(None)) for axis in other.axes)]
            number = number * (int(labels[other.node].max()) + 1) + spread(label, own)
    for axis in view.positions:
        number = number * view.array.shape[axis] + spread(np.arange(view.array.shape[axis]), [axis])
    flat = np.broadcast_to(number, shape).reshape(-1)
    order = np.argsort(flat, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(flat[order]) != 0]))
    return order, starts, np.diff([*starts, len(flat)])
