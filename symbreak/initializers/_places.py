"""What a deterministic class writes at the positions of a stream's window, at a cost in proportion to them."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..axes import RECEPTIVE, Axes
from ..streams import Stream, Window
from ._base import Array

LONG = 256  # elements: from here on runs are cut one by one, below it positions are looked up one by one

Indices = npt.NDArray[np.int64]


class Coordinates(NamedTuple):
    """Where entries of a weight stand in its linear maps; the arrays broadcast together."""

    copy: Any  # the stacked copy and group
    unit: Any  # of the copy
    input: Any
    tap: Any  # of the receptive field


def copy(stream: Stream, every: Array) -> Array:
    """Give the entries of a broadcast view in the stream's dtype, or those that its window shows, flat."""
    out = stream.empty(every.shape)
    if stream.window is None:
        out[...] = every
        return out
    for window, begin, end in stream._parts(len(out)):
        part = out[begin:end]
        if window.length < LONG and len(window.starts) > 1:
            part[...] = every[np.unravel_index(positions(window), every.shape)]
        else:
            for run, start in enumerate(window.starts.tolist()):
                _copy_run(part[run * window.length :][: window.length], every, start)
    return out


def _copy_run(out: Array, every: Array, begin: int) -> None:
    """Write ``every.ravel()[begin : begin + len(out)]`` without making the whole."""
    if every.ndim < 2:
        out[...] = every.reshape(-1)[begin:][: len(out)]
        return
    inner = every[0].size
    first, skipped = divmod(begin, inner)
    if skipped or len(out) < inner:  # part of an entry of the first axis
        some = min(len(out), inner - skipped)
        _copy_run(out[:some], every[first], skipped)
        if some < len(out):
            _copy_run(out[some:], every, begin + some)
        return
    whole = len(out) // inner
    rows, some = out[: whole * inner].reshape(whole, *every.shape[1:]), every[first : first + whole]
    whole_words = some.strides[-1] == some.itemsize and some.shape[-1] * some.itemsize % 16 == 0
    if whole_words and some.dtype == rows.dtype:
        rows, some = rows.view(np.complex128), some.view(np.complex128)  # a loop of wide moves, no call for each row
    rows[...] = some
    if whole * inner < len(out):
        _copy_run(out[whole * inner :], every[first + whole], 0)


def positions(window: Window) -> Indices:
    """List every position of a window."""
    return (window.starts[:, None] + np.arange(window.length)).ravel()


def scatter(stream: Stream, shape: tuple[int, ...], places: Indices, values: Any) -> Array:
    """Give an array of zeros with `values` at `places`, or what a stream's window shows of it, flat.

    Parameters
    ----------
    stream
        Whose window and dtype it is.
    shape
        Of the whole array.
    places
        Positions of a C-ordered array of `shape`, ascending.
    values
        One a place, or one for all.
    """
    out = stream.full(shape, 0.0)
    window = stream.window
    if window is None:
        out.reshape(-1)[places] = values
        return out
    first, last = np.searchsorted(places, (window.starts[0], window.starts[-1] + window.length))
    if len(window.starts) == 1:
        out[places[first:last] - window.starts[0]] = values[first:last] if isinstance(values, np.ndarray) else values
        return out
    places = places[first:last]
    run = np.searchsorted(window.starts, places, "right") - 1
    offset = places - window.starts[run]
    inside = np.flatnonzero(offset < window.length)
    some = values[first:last][inside] if isinstance(values, np.ndarray) else values
    out[run[inside] * window.length + offset[inside]] = some
    return out


def evaluate(stream: Stream, shape: tuple[int, ...], axes: Axes, function: Callable[[Coordinates], Array]) -> Array:
    """Give a function of the coordinates at every position of a weight, or of a stream's window on it, flat.

    `function` gives an array of a floating type, of the shape that the coordinates broadcast to.
    """
    window = stream.window
    if window is None:
        found = function(coordinates(axes, shape, np.ogrid[tuple(slice(0, size) for size in shape)]))
        return found.astype(stream.dtype, copy=False)
    inner = int(np.prod(shape[1:], dtype=np.int64))
    if len(window.starts) > 1 or inner > max(LONG, window.length):
        found = function(coordinates(axes, shape, np.unravel_index(positions(window), shape)))
        return found.astype(stream.dtype, copy=False)
    # One long run: whole entries of the first axis, which are cheaper than looking up every position, and a cut.
    begin = int(window.starts[0])
    first, last = begin // inner, -(-(begin + window.length) // inner)
    grid = np.ogrid[slice(first, last), *(slice(0, size) for size in shape[1:])]
    rows = np.broadcast_to(function(coordinates(axes, shape, grid)), (last - first, *shape[1:]))
    out = stream.empty(shape)
    out[...] = rows.reshape(-1)[begin - first * inner :][: window.length]
    return out


def coordinates(axes: Axes, shape: tuple[int, ...], indices: Sequence[Any]) -> Coordinates:
    """Turn an index along each axis into coordinates of the linear maps (:meth:`symbreak.Axes.matrices`)."""
    expanded, order = axes._expanded(shape)
    split = axes.dims(axes._grouped_axis)[0]
    size = max(1, expanded[split + 1])
    each = [*indices[:split], indices[split] // size, indices[split] % size, *indices[split + 1 :]]
    found = []
    for dims in _by_rank(axes, order):
        place: Any = np.int64(0)
        for dim in dims:
            place = place * expanded[dim] + each[dim]
        found.append(place)
    return Coordinates(*found)


def places(axes: Axes, shape: tuple[int, ...], at: Coordinates) -> Indices:
    """Turn coordinates into positions of the C-ordered weight: the inverse of :func:`coordinates`."""
    expanded, order = axes._expanded(shape)
    strides = [math.prod(expanded[dim + 1 :]) for dim in range(len(expanded))]
    total: Any = np.int64(0)
    for place, dims in zip(at, _by_rank(axes, order), strict=True):
        for dim in reversed(dims):
            total = total + place % expanded[dim] * strides[dim]
            place = place // expanded[dim]
    return np.asarray(total).ravel()


def _by_rank(axes: Axes, order: list[int]) -> list[list[int]]:
    """Cut the expanded dimensions into those of copies and groups, units, inputs, and the receptive field."""
    copies = axes.layout.count("b") + 1
    units = copies + axes.layout.count("o")
    inputs = units + axes.layout.count("i")
    return [order[:copies], order[copies:units], order[units:inputs], order[inputs:]]


def field(axes: Axes, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the sizes of the receptive field, in the order in which taps count."""
    return tuple(shape[dim] for dim in axes.dims(RECEPTIVE))


def centre(axes: Axes, shape: tuple[int, ...]) -> int:
    """Give the tap that padding "same" lays over a unit's own position: (size - 1) // 2 along each axis."""
    tap = 0
    for size in field(axes, shape):
        tap = tap * size + (size - 1) // 2
    return tap


def parts(axes: Axes, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Give the units of a copy that are a weight of their own: all, or the parts that the axes split off."""
    return axes.parts(shape) if axes.splits != 1 else (slice(0, axes._map_shape(shape)[1]),)
