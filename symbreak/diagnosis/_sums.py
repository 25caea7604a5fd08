"""Sums over classes: what a unit reads from, or writes to, each class of another node, position by position.

Two units stay together where these sums are equal. There are as many sums as classes, so they are not written out:
random linear forms of them tell units apart in one pass over the array, whatever the number of classes. A form that
differs by more than its rounding can explain proves that the sums differ. That they are equal is shown at the end, sum
by sum, for the units that were never told apart.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._bits import bits_of
from ._nodes import Side, System, View
from ._ties import Ties, search

Array = npt.NDArray[Any]
Labels = Sequence[npt.NDArray[np.intp]]  # one flat array a node

FORMS = 3  # random forms: one alone misses a difference of a few roundings too often
CHUNK = 1 << 20  # elements that are widened at a time, 8 MB
COPIED = 1 << 20  # elements of an array that may be copied to have its units first
EPS = 2.0**-53


def as_doubles(array: Array) -> Array:
    """Widen values to float64; complex ones gain an axis of two, last."""
    if array.dtype.kind == "c":
        wide = array.astype(np.complex128)
        return np.stack([wide.real, wide.imag], axis=-1)
    return array.astype(np.float64)


def units_first(view: View, side: Side) -> Array | None:
    """Give the array as (units of the side, everything else); None where that would copy a large array."""
    array = np.moveaxis(view.array, side.axes, range(len(side.axes)))
    units = int(np.prod(array.shape[: len(side.axes)]))
    flat = array.reshape(units, *array.shape[len(side.axes) :])
    small = array.size <= COPIED
    return flat if small or np.shares_memory(flat, view.array) else None


def slice_ties(view: View, side: Side, workers: int | None = None, *, finite: bool = False) -> Ties | None:
    """Find the units of a side whose slices are equal in every value; None where the array does not lie so.

    `finite` says that every value is known to be finite.
    """
    flat = units_first(view, side)
    if flat is None:
        return None
    return search(flat if flat.dtype != object else flat.astype(np.float64), workers=workers, finite=finite)


def is_finite(array: Array) -> bool:
    """Whether every value is finite."""
    if array.dtype == object:
        return all(np.isfinite(float(value)) for value in array.flat)
    return bits_of(array.dtype).always_finite or all(np.isfinite(array[low:high]).all() for low, high in _chunks(array))


def zero_slices(view: View, side: Side) -> npt.NDArray[np.bool_]:
    """Say which units of a side have a slice that is zero everywhere."""
    array = np.moveaxis(view.array, side.axes, range(len(side.axes)))
    return ~np.asarray((array != 0).any(axis=tuple(range(len(side.axes), array.ndim)))).reshape(-1)


def forms(view: View, side: Side, system: System, labels: Labels, seed: int) -> tuple[Array, Array]:
    """Give random linear forms of a side's class sums, (units, FORMS), and the most that each can be off, (units,)."""
    array = view.array
    complex_ = array.dtype.kind == "c"
    letters = [chr(ord("a") + axis) for axis in range(array.ndim)]
    factors, subscripts = _factors(view, side, system, labels, seed, letters)
    rng = np.random.Generator(np.random.PCG64DXSM([seed, 2]))
    parts = _coefficients(rng, 2) if complex_ else None
    target = [letters[axis] for axis in side.axes]
    shape = tuple(array.shape[axis] for axis in side.axes)
    values, sizes = np.zeros((FORMS, *shape)), np.zeros(shape)
    plain = array.ndim == 2 and len(side.axes) == 1 and len(factors) == 1 and parts is None
    for low, high in _chunks(array):
        chunk = as_doubles(array[low:high])
        cut = [
            factor[(slice(None), slice(low, high))] if letters[0] in inner and letters[0] == inner[0] else factor
            for factor, inner in zip(factors, subscripts, strict=True)
        ]
        where = tuple(slice(low, high) if axis == 0 else slice(None) for axis in side.axes)
        if plain:
            by = chunk if side.axes[0] == 0 else chunk.T
            values[(slice(None), *where)] += (by @ cut[0].T).T
            sizes[where] += np.abs(by) @ np.ones(by.shape[1])
            continue
        all_letters = "".join(letters) + ("Z" if complex_ else "")
        operands = [*cut, *([parts] if parts is not None else [])]
        names = [*subscripts, *(["Z"] if complex_ else [])]
        source = ",".join([all_letters, *names])
        for form in range(FORMS):
            values[(form, *where)] += np.einsum(
                f"{source}->{''.join(target)}", chunk, *(each[form] for each in operands)
            )
        sizes[where] += np.einsum(f"{all_letters}->{''.join(target)}", np.abs(chunk))
    count = array.size // max(1, int(np.prod(shape))) * (2 if complex_ else 1)
    return values.reshape(FORMS, -1).T, sizes.reshape(-1) * ((count + 8) * 2 * EPS)


def _factors(
    view: View, side: Side, system: System, labels: Labels, seed: int, letters: list[str]
) -> tuple[list[Array], list[str]]:
    """Give the coefficients of every axis that is summed over, and the letters of the axes that each runs over."""
    factors, subscripts = [], []
    for place, other in enumerate(view.sides):
        if other is not side and other.axes != side.axes:
            rng = np.random.Generator(np.random.PCG64DXSM([seed, 0, place]))
            label = labels[other.node]
            table = _coefficients(rng, int(label.max()) + 1)
            shaped = table[:, label].reshape(FORMS, *system.nodes[other.node].shape)
            order = np.argsort(other.axes)  # an axis 0 that is cut comes first
            factors.append(shaped.transpose(0, *(order + 1)))
            subscripts.append("".join(letters[other.axes[axis]] for axis in order))
    for axis in view.positions:
        rng = np.random.Generator(np.random.PCG64DXSM([seed, 1, axis]))
        factors.append(_coefficients(rng, view.array.shape[axis]))
        subscripts.append(letters[axis])
    return factors, subscripts


def _coefficients(rng: np.random.Generator, count: int) -> Array:
    """Draw numbers of size 1/2 to 1 and either sign, (FORMS, count); those of a longer table begin the same."""
    drawn = rng.random((count, FORMS)).T
    return np.where(drawn < 0.5, drawn - 1.0, drawn)


def _chunks(array: Array) -> Iterator[tuple[int, int]]:
    step = max(1, CHUNK // max(1, array.size // max(1, len(array))))
    for low in range(0, len(array), step):
        yield low, min(low + step, len(array))


def close(values: Array, bound: Array) -> npt.NDArray[np.intp]:
    """Give units, (units, forms), one number where a chain of gaps within the bounds joins them.

    The numbers go by the values, and don't depend on the order of the units.
    """
    numbers = np.zeros(len(values), np.intp)
    for form in values.T:
        order = np.lexsort((form, numbers))
        ordered, of = form[order], numbers[order]
        gap = np.abs(np.diff(ordered)) > bound[order][1:] + bound[order][:-1]
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
    worst, excess, scale = np.zeros(len(units)), np.full(len(units), -np.inf), np.zeros(len(units))
    features = int(np.prod([view.array.shape[axis] for axis in rest], dtype=np.int64))
    step = max(1, CHUNK // max(1, features))
    whole: dict[tuple[int, ...], tuple[Array, Array, Array]] = {}
    for low in range(0, len(units), step):
        sums = []
        for some in (units[low : low + step], first[low : low + step]):
            places = np.unravel_index(some, shape)
            picked = as_doubles(array[places]).reshape(len(some), features, -1)
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
        allowed = 2 * EPS * np.maximum(counts - 1, 0)[:, :, np.newaxis] * (sizes + other_sizes)
        part = slice(low, low + step)
        worst[part] = gap.max(axis=(1, 2), initial=0)
        excess[part] = (gap - allowed).max(axis=(1, 2), initial=-np.inf)
        scale[part] = np.maximum(sizes, other_sizes).max(axis=(1, 2), initial=0)
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
