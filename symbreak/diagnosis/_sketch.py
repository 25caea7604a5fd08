"""The beginning of every array: what is enough to find those that may be equal, or drawn from one stream.

A few kilobytes of each array are read, whatever its size. What they suggest is then verified on the arrays themselves.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ._bits import bits_of
from ._names import is_vector
from ._others import is_index, is_optimizer_state

Array = npt.NDArray[Any]

VALUES = 1024  # values that are read of each array
JUDGED = 256  # of these, those by which they are judged to be drawn
BATCH = 512  # arrays that are judged so at a time
WHITE = 0.8  # the largest correlation with itself, some places on, of values that look drawn
DISTINCT = 8  # the fewest different values of these


@final
@dataclass(frozen=True)
class Source:
    """Named arrays, in memory or in a file, that are judged together.

    Parameters
    ----------
    arrays
        {name: (shape, dtype)}, in order.
    pieces
        Gives an array by name as consecutive blocks along its first axis, of about so many bytes.
    errors
        What `pieces` may raise where an array can't be read; it is left out here, and reported by who reads it whole.
    """

    arrays: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
    pieces: Callable[[str, int], Iterator[Array]]
    errors: tuple[type[BaseException], ...] = ()

    def size(self, name: str) -> int:
        """Count the values of an array."""
        return prod(self.arrays[name][0])


@final
@dataclass(slots=True)
class Sketch:
    """The beginning of one array.

    Parameters
    ----------
    name
        The array's name.
    key
        Equal for arrays that may be equal: shape, dtype, and the first bytes.
    values
        The first values, (at most 1,024,), in float64.
    drawn
        Whether they look as if they had been drawn at random: neither few different ones, nor periodic, nor smooth.
        Positions, rotations, masks and lookup tables do not.
    """

    name: str
    key: tuple[tuple[int, ...], str, bytes]
    values: npt.NDArray[np.float64]
    drawn: bool = False


def in_memory(arrays: Mapping[str, Array]) -> Source:
    """Give arrays in memory as a source."""

    def pieces(name: str, size: int) -> Iterator[Array]:
        array = arrays[name]
        step = max(1, size * len(array) // max(array.nbytes, 1))
        yield from (array[low : low + step] for low in range(0, len(array), step))

    return Source({name: (array.shape, array.dtype) for name, array in arrays.items()}, pieces)


def sketches(source: Source) -> dict[str, Sketch]:
    """Sketch every array that may be a weight: numbers with two axes longer than one, no state of an optimizer."""
    found: dict[str, Sketch] = {}
    batches: dict[int, list[Sketch]] = {}
    for name, (shape, dtype) in source.arrays.items():
        if is_weight(name, shape, dtype):
            try:
                sketch = _sketch(source, name)
            except source.errors:
                continue
            found[name] = sketch
            batch = batches.setdefault(len(sketch.values), [])
            batch.append(sketch)
            if len(batch) == BATCH:
                _mark(batches.pop(len(sketch.values)))
    for batch in batches.values():
        _mark(batch)
    return found


def _mark(batch: list[Sketch]) -> None:
    """Say of a batch of sketches which look drawn."""
    for sketch, drawn in zip(batch, looks_drawn(np.stack([each.values for each in batch])), strict=True):
        sketch.drawn = bool(drawn)


def is_weight(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array may be a weight, by its name, shape and dtype."""
    if sum(length > 1 for length in shape) < 2 or 0 in shape or dtype.kind == "b":
        return False
    return not (is_index(np.empty(0, dtype)) or is_optimizer_state(name) or is_vector(name))


def _sketch(source: Source, name: str) -> Sketch:
    shape, dtype = source.arrays[name]
    beginning = first_values(source, name)
    native = np.empty(beginning.shape, dtype.newbyteorder("="))
    bits_of(dtype).load(beginning, native)
    kind = native.real if native.dtype.kind == "c" else native
    with np.errstate(all="ignore"):
        values = kind.astype(np.float64)
    return Sketch(name, (shape, native.dtype.name, native.tobytes()), values)


def first_values(source: Source, name: str, count: int = VALUES) -> Array:
    """Read the first values of an array, in C order."""
    _, dtype = source.arrays[name]
    parts, have = [], 0
    for piece in source.pieces(name, count * dtype.itemsize):
        # A view where the piece lies in order; else only what is asked for is copied.
        flat = piece.reshape(-1)[: count - have] if piece.flags.c_contiguous else piece.flat[: count - have]
        parts.append(flat)
        have += len(flat)
        if have >= count:
            break
    return np.concatenate(parts)


def looks_drawn(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Say of each row of values whether they look as if they had been drawn at random.

    Of 256 independent values the largest correlation with themselves, some places on, is about 0.25; of positions,
    tables and masks it is nearly one.

    Examples
    --------
    >>> looks_drawn(np.stack([np.random.default_rng(0).standard_normal(200), np.sin(np.arange(200))]))
    array([ True, False])
    """
    rows = rows[:, :JUDGED]
    count = rows.shape[1]
    finite = np.asarray(np.isfinite(rows).all(axis=1))
    rows = np.where(finite[:, np.newaxis], rows, 0)
    ordered = np.sort(rows, axis=1)
    distinct = 1 + np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1)
    tops = np.abs(rows).max(axis=1, initial=0)
    rows = rows / np.where(tops > 0, tops, 1)[:, np.newaxis]  # no square overflows or vanishes
    rows -= rows.mean(axis=1, keepdims=True)
    spectra = np.fft.rfft(rows, 2 * count, axis=1)
    lags = np.arange(1, count // 3 + 1)
    products = np.fft.irfft(spectra * spectra.conj(), 2 * count, axis=1)[:, lags]
    squares = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows**2, axis=1)], axis=1)
    ends = np.sqrt(squares[:, count - lags] * (squares[:, -1:] - squares[:, lags]))
    white = (products < WHITE * np.maximum(ends, 1e-12)).all(axis=1)
    return np.asarray(finite & white & (distinct >= min(DISTINCT, count)))
