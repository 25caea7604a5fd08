"""Windows: which positions of a stream are asked for, as runs of equal length, and how their words are fetched.

A whole array is one run; a slab of rows is one run; a slab of columns is one run a row. Words are drawn for whole
blocks: neighbouring runs in one call where the gap between them costs less to draw than to jump.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ._transforms import BLOCK, Array, Precision
from ._words import Words

# Elements at a time: threads seldom wait for the interpreter when NumPy's calls are long; two of them take 14 MB.
PIECE = 7 << 16
FEW = 16  # blocks: below it one call of a transform is faster than three
GAP = 8  # blocks: drawing 2,048 words takes as long as the jump over them

Transform = Callable[..., None]  # of items, values, a precision and settings
Settings = tuple[Any, ...]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Window:
    """Positions of a C-ordered array of `total` elements: `starts` of runs, each `length` long, in ascending order."""

    total: int
    starts: npt.NDArray[np.int64]
    length: int

    @classmethod
    def whole(cls, total: int) -> "Window":
        """Give the window on every position."""
        return cls(total, np.zeros(1, np.int64), total)

    @property
    def size(self) -> int:
        """Number of positions."""
        return len(self.starts) * self.length

    def pieces(self, itemsize: int, shares: int = 1) -> Iterator["Piece"]:
        """Cut into windows small enough to be drawn at once, each with its place [begin, end) in the flat result.

        Parameters
        ----------
        itemsize
            Bytes of a value as it is computed, 4 or 8: memory is what limits a piece.
        shares
            Threads that draw at a time. The number of windows is a multiple of it where that is possible, and they are
            about equally large.
        """
        largest = max(BLOCK, PIECE * 4 * 2 // (itemsize * max(2, shares)) // BLOCK * BLOCK)
        if self.size == 0:
            return
        count = -(-self.size // (shares * largest)) * shares
        if count == 1:
            yield self, 0, self.size
            return
        most = -(-self.size // count // BLOCK) * BLOCK if self.size > count * BLOCK else BLOCK
        if self.length > most:
            for run, start in enumerate(self.starts.tolist()):
                aligned = most - start % BLOCK
                cuts = [0, *range(aligned, self.length, most), self.length]
                for begin, end in pairwise(cuts):
                    yield (
                        Window(self.total, np.array([start + begin]), end - begin),
                        run * self.length + begin,
                        run * self.length + end,
                    )
            return
        runs = max(1, most // self.length)
        for first in range(0, len(self.starts), runs):
            starts = self.starts[first : first + runs]
            yield Window(self.total, starts, self.length), first * self.length, (first + len(starts)) * self.length


Piece = tuple[Window, int, int]  # a part of a window, and where it begins and ends in the flat result


def region(shape: tuple[int, ...], index: Any) -> tuple[Window, tuple[int, ...], tuple[slice, ...]]:
    """Read a basic index as a window.

    Parameters
    ----------
    shape
        Of the whole array.
    index
        Integers, slices with any step, Ellipsis and None, alone or in a tuple.

    Returns
    -------
    window : Window
        The positions, ascending.
    shape : tuple of int
        Of the result.
    flips : tuple of slice
        An index that turns the axes whose step was negative.

    Raises
    ------
    IndexError
        If an integer is out of bounds, there are too many indices, or an index is of another kind.
    ValueError
        If the whole array has 2**63 elements or more: positions are counted in 64 bits.

    Examples
    --------
    >>> import numpy as np
    >>> window, shape, flips = region((4, 6), np.s_[1:3, ::2])
    >>> window.size, shape
    (6, (2, 3))
    """
    if math.prod(shape) >= 1 << 63:
        raise ValueError(f"a weight has fewer than 2**63 elements; got `shape` {shape}: cut it into several")
    entries = list(index) if isinstance(index, tuple) else [index]
    if sum(entry is Ellipsis for entry in entries) > 1:
        raise IndexError("an index has at most one Ellipsis")
    taken = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if taken > len(shape):
        raise IndexError(f"{taken} indices for an array of shape {shape}")
    if not any(entry is Ellipsis for entry in entries):
        entries.append(Ellipsis)
    where = next(place for place, entry in enumerate(entries) if entry is Ellipsis)
    entries[where : where + 1] = [slice(None)] * (len(shape) - taken)

    ranges: list[range] = []
    result: list[int] = []
    flips: list[slice] = []
    for entry in entries:
        if entry is None:
            result.append(1)
            flips.append(slice(None))
            continue
        size = shape[len(ranges)]
        if isinstance(entry, slice):
            chosen = range(size)[entry]
            result.append(len(chosen))
            flips.append(slice(None, None, -1 if chosen.step < 0 else None))
            ranges.append(chosen[::-1] if chosen.step < 0 else chosen)
        elif isinstance(entry, int | np.integer) and not isinstance(entry, bool):
            if not -size <= entry < size:
                raise IndexError(f"index {entry} is out of bounds for axis {len(ranges)} of shape {shape}")
            at = int(entry) % size
            ranges.append(range(at, at + 1))
        else:
            raise IndexError(f"a region is cut by integers, slices, Ellipsis and None; got {entry!r}")
    return _from_ranges(shape, ranges), tuple(result), tuple(flips)


def _from_ranges(shape: tuple[int, ...], ranges: list[range]) -> Window:
    total = math.prod(shape)
    if any(len(chosen) == 0 for chosen in ranges):
        return Window(total, np.zeros(0, np.int64), 0)
    # A run goes through every trailing axis that is taken whole, and through consecutive places of one more.
    length, axis = 1, len(shape)
    while axis and len(ranges[axis - 1]) == shape[axis - 1]:
        axis -= 1
        length *= shape[axis]
    starts = np.zeros(1, np.int64)
    if axis and (ranges[axis - 1].step == 1 or len(ranges[axis - 1]) == 1):
        axis -= 1
        starts = starts + ranges[axis].start * length
        length, inner = length * len(ranges[axis]), length * shape[axis]
    else:
        inner = length
    strides = [inner * math.prod(shape[k + 1 : axis]) for k in range(axis)]
    for k in reversed(range(axis)):
        offsets = np.arange(ranges[k].start, ranges[k].stop, ranges[k].step, dtype=np.int64) * strides[k]
        starts = (offsets[:, None] + starts).ravel()
    return Window(total, starts, length)


def draw(words: Words, p: Precision, window: Window, transform: Transform, settings: Settings, out: Array) -> None:
    """Write the values at the positions of `window` into the flat array `out`.

    Parameters
    ----------
    words
        Of the stream.
    p
        How words are read: items of 32 or 64 bits.
    window
        At most a few PIECEs large.
    transform, settings
        Called with items and values, both (blocks, 512), `p` and the settings.
    out
        Contiguous, of ``window.size`` elements of ``p.real``.
    """
    if len(window.starts) == 1:
        _draw_run(words, p, int(window.starts[0]), transform, settings, out)
    else:
        _draw_runs(words, p, window, transform, settings, out)


def _items(words: Words, p: Precision, first: int, blocks: int) -> Array:
    """Give the items of some blocks, (blocks, 512)."""
    per_block = BLOCK * p.bits // 64
    return p.items(words.take(first * per_block, blocks * per_block)).reshape(blocks, BLOCK)


def _draw_run(words: Words, p: Precision, start: int, transform: Transform, settings: Settings, out: Array) -> None:
    first, skipped = divmod(start, BLOCK)
    done = 0
    if skipped and len(out) >= FEW * BLOCK:  # the rest of a block, and then whole ones in place
        done = BLOCK - skipped
        values = np.empty((1, BLOCK), p.real)
        transform(_items(words, p, first, 1), values, p, *settings)
        out[:done] = values[0, skipped:]
        first, skipped = first + 1, 0
    whole = 0 if skipped else (len(out) - done) // BLOCK
    if whole:
        place = out[done : done + whole * BLOCK].reshape(whole, BLOCK)
        transform(_items(words, p, first, whole), place, p, *settings)
        done += whole * BLOCK
    rest = len(out) - done
    if rest:
        blocks = -(-(skipped + rest) // BLOCK)
        values = np.empty((blocks, BLOCK), p.real)
        transform(_items(words, p, first + whole, blocks), values, p, *settings)
        out[done:] = values.ravel()[skipped : skipped + rest]


def _draw_runs(
    words: Words, p: Precision, window: Window, transform: Transform, settings: Settings, out: Array
) -> None:
    """Draw several short runs, in batches whose values stay in cache."""
    firsts = window.starts // BLOCK
    lasts = (window.starts + (window.length - 1)) // BLOCK
    batch = np.cumsum(lasts - firsts + 1) // (PIECE // BLOCK)
    edges = (np.flatnonzero(np.diff(batch)) + 1).tolist()
    for begin, end in pairwise([0, *edges, len(firsts)]):
        values, ids = _draw_blocks(words, p, firsts[begin:end], lasts[begin:end], transform, settings)
        _pick(values, ids, firsts[begin:end], window, slice(begin, end), out)


def _draw_blocks(
    words: Words, p: Precision, firsts: Places, lasts: Places, transform: Transform, settings: Settings
) -> tuple[Array, Places]:
    """Draw every block from a first to a last, once: give the values, (blocks, 512), and which blocks they are."""
    wanted = firsts[:, None] + np.arange(int((lasts - firsts).max()) + 1)
    ids = np.unique(wanted[wanted <= lasts[:, None]])
    per_block = BLOCK * p.bits // 64
    raw = np.empty((len(ids), per_block), np.uint64)
    flat = raw.reshape(-1)
    # A new call where the gap is wide, and where the one before would draw more than a piece.
    breaks = (np.diff(ids) > GAP) | (np.diff((ids - ids[0]) // (PIECE // BLOCK)) > 0)
    edges = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(ids)]])
    bases, counts = ids[edges[:-1]], ids[edges[1:] - 1] - ids[edges[:-1]] + 1
    for (a, b), base, count in zip(pairwise(edges.tolist()), bases.tolist(), counts.tolist(), strict=True):
        drawn = words.take(base * per_block, count * per_block)
        if count == b - a:
            flat[a * per_block : b * per_block] = drawn
        else:
            raw[a:b] = drawn.reshape(count, per_block)[ids[a:b] - base]
    picked = p.items(raw)
    values = np.empty((len(ids), BLOCK), p.real)
    transform(picked, values, p, *settings)
    return values, ids


def _pick(values: Array, ids: Places, firsts: Places, window: Window, runs: slice, out: Array) -> None:
    """Write those of the drawn values that some runs of the window show."""
    flat, length = values.ravel(), window.length
    offsets = np.searchsorted(ids, firsts) * BLOCK + window.starts[runs] % BLOCK
    target = out.reshape(-1, length)[runs]
    if length == BLOCK and len(ids) == len(firsts):  # whole blocks, one a run
        target[...] = values
    elif length >= 64:
        for row, offset in zip(target, offsets.tolist(), strict=True):
            row[:] = flat[offset : offset + length]
    else:
        np.take(flat, offsets[:, None] + np.arange(length), out=target)
