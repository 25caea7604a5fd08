"""What a deterministic class writes at the positions of a stream's window, at a cost in proportion to them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..streams import Stream, Window
from ._base import Array

LONG = 256  # elements: from here on runs are cut one by one, below it positions are looked up one by one

Indices = npt.NDArray[np.int64]


def take(every: Array, window: Window | None) -> Array:
    """Give the entries of a broadcast view at the positions of `window`, flat; the view itself for None."""
    if window is None:
        return every
    if window.length < LONG and len(window.starts) > 1:
        return np.asarray(every[np.unravel_index(positions(window), every.shape)])
    if not every.ndim:
        return every.reshape(1)
    inner = every[0].size
    runs = []
    for begin in window.starts.tolist():
        first, last = begin // inner, -(-(begin + window.length) // inner)
        runs.append(every[first:last].ravel()[begin - first * inner :][: window.length])
    return np.concatenate(runs) if len(runs) > 1 else runs[0]


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
        Positions of a C-ordered array of `shape`, each once.
    values
        One a place, or one for all.
    """
    out = stream.full(shape, 0.0)
    values = np.broadcast_to(np.asarray(values, stream.dtype), places.shape)
    window = stream.window
    if window is None:
        out.reshape(-1)[places] = values
        return out
    run = np.searchsorted(window.starts, places, "right") - 1
    offset = places - window.starts[np.maximum(run, 0)]
    inside = np.flatnonzero((run >= 0) & (offset < window.length))
    out[run[inside] * window.length + offset[inside]] = values[inside]
    return out


def evaluate(stream: Stream, shape: tuple[int, ...], function: Callable[..., Array]) -> Array:
    """Give ``function(*indices)`` for every position of an array of `shape`, or of a stream's window on it, flat.

    `function` takes one array of integers an axis, which broadcast together, and gives an array of the stream's dtype
    of the shape that they broadcast to.
    """
    window = stream.window
    if window is None:
        return np.asarray(function(*np.ogrid[tuple(slice(0, size) for size in shape)]))
    inner = int(np.prod(shape[1:], dtype=np.int64))
    if len(window.starts) > 1 or inner > max(LONG, window.length):
        return np.asarray(function(*np.unravel_index(positions(window), shape)))
    # One long run: whole entries of the first axis, which are cheaper than looking up every position, and a cut.
    begin = int(window.starts[0])
    first, last = begin // inner, -(-(begin + window.length) // inner)
    rows = function(*np.ogrid[slice(first, last), *(slice(0, size) for size in shape[1:])])
    return rows.reshape(-1)[begin - first * inner :][: window.length]
