"""The beginning of every array: what is enough to find those that may be equal, or drawn from one stream.

A few kilobytes of each array are read, whatever its size. What they suggest is then verified on the arrays themselves.
"""

import hashlib
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
Values = npt.NDArray[np.float64]
Prints = npt.NDArray[np.int32]

PIECE = 1 << 22  # bytes of an array that are read at a time
VALUES = 1024  # values that are read of each array
JUDGED = 256  # of these, those by which they are judged to be drawn
BATCH = 512  # arrays that are judged so at a time
WHITE = 0.8  # the largest correlation with itself, some places on, of values that look drawn
WINDOW = 25  # values of a fingerprint, 24 comparisons
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
@dataclass(frozen=True, slots=True)
class Sketch:
    """What is kept of the beginning of one array: some hundred bytes, so that models of 100,000 arrays can be judged.

    Parameters
    ----------
    name, shape
        The array's name and shape.
    dtype
        The name of its dtype.
    digest
        Of the first values; equal for arrays that may be equal.
    count
        How many values were read, at most 1,024.
    std
        Their standard deviation.
    drawn
        Whether they look as if they had been drawn at random: neither few different ones, nor periodic, nor smooth.
        Positions, rotations, masks and lookup tables do not.
    prints
        The fingerprints of their windows, see `fingerprints`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    digest: bytes
    count: int
    std: float
    drawn: bool
    prints: Prints


def in_memory(arrays: Mapping[str, Array]) -> Source:
    """Give arrays in memory as a source.

    Parameters
    ----------
    arrays
        By name; they are not copied.

    Returns
    -------
    Source
        Gives each array as views along its first axis.

    Examples
    --------
    >>> import numpy as np
    >>> source = in_memory({"w": np.ones((4, 2))})
    >>> source.size("w"), [piece.shape for piece in source.pieces("w", 32)]
    (8, [(2, 2), (2, 2)])
    """

    def pieces(name: str, size: int) -> Iterator[Array]:
        array = arrays[name]
        step = max(1, size * len(array) // max(array.nbytes, 1))
        yield from (array[low : low + step] for low in range(0, len(array), step))

    return Source({name: (array.shape, array.dtype) for name, array in arrays.items()}, pieces)


def sketches(source: Source) -> dict[str, Sketch]:
    """Sketch every array that may be a weight: numbers with two axes longer than one, no state of an optimizer."""
    found: dict[str, Sketch | None] = {}
    batches: dict[int, list[tuple[str, bytes, Values]]] = {}
    for name, (shape, dtype) in source.arrays.items():
        if is_weight(name, shape, dtype):
            try:
                beginning = _canonical(first_values(source, name))
            except source.errors:
                continue
            digest = hashlib.blake2b(beginning.tobytes(), digest_size=16).digest()
            found[name] = None  # the order is that of the arrays
            batch = batches.setdefault(len(beginning), [])
            batch.append((name, digest, _as_float(beginning)))
            if len(batch) == BATCH:
                found |= _sketch(source, batches.pop(len(beginning)))
    for batch in batches.values():
        found |= _sketch(source, batch)
    return {name: sketch for name, sketch in found.items() if sketch is not None}


def _sketch(source: Source, batch: list[tuple[str, bytes, Values]]) -> dict[str, Sketch]:
    """Sketch arrays of which equally many values were read."""
    rows = np.stack([values for _, _, values in batch])
    with np.errstate(all="ignore"):
        stds = rows.std(axis=1)
    columns = zip(batch, stds.tolist(), looks_drawn(rows).tolist(), fingerprints(rows), strict=True)
    found = {}
    for (name, digest, _), std, drawn, prints in columns:
        shape, dtype = source.arrays[name]
        found[name] = Sketch(name, shape, dtype.newbyteorder("=").name, digest, rows.shape[1], std, drawn, prints)
    return found


def is_weight(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array may be a weight, by its name, shape and dtype."""
    if sum(length > 1 for length in shape) < 2 or 0 in shape or dtype.kind == "b":
        return False
    return not (is_index(np.empty(0, dtype)) or is_optimizer_state(name) or is_vector(name))


def _canonical(values: Array) -> Array:
    """Copy values so that equal ones have equal bytes."""
    native = np.empty(values.shape, values.dtype.newbyteorder("="))
    bits_of(values.dtype).load(values, native)
    return native


def _as_float(values: Array) -> Values:
    real = values.real if values.dtype.kind == "c" else values
    with np.errstate(all="ignore"):
        return real.astype(np.float64)


def first_floats(source: Source, name: str) -> Values:
    """Read the first values of an array as float64; of complex ones the real parts."""
    return _as_float(_canonical(first_values(source, name)))


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


def looks_drawn(rows: Values) -> npt.NDArray[np.bool_]:
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
    ordered = np.sort(rows)
    distinct = 1 + np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1)
    tops = np.abs(rows).max(axis=1)
    rows = rows / np.where(tops > 0, tops, 1)[:, np.newaxis]  # no square overflows or vanishes
    rows -= rows.mean(axis=1, keepdims=True)
    spectra = np.fft.rfft(rows, 2 * count)
    lags = np.arange(1, count // 3 + 1)
    products = np.fft.irfft(spectra * spectra.conj(), 2 * count)[:, lags]
    squares = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows**2, axis=1)], axis=1)
    ends = np.sqrt(squares[:, count - lags] * (squares[:, -1:] - squares[:, lags]))
    white = (products < WHITE * np.maximum(ends, 1e-12)).all(axis=1)
    return np.asarray(finite & white & (distinct >= min(DISTINCT, count)))


def fingerprints(rows: Values) -> Prints:
    """Give the fingerprints of the windows of each row, (rows, windows); 0 is that of a window that says nothing.

    A fingerprint says of each of the last 24 values of 25 whether it is larger than the one before. It is the same for
    values times a factor, which may be negative, plus a constant.

    Examples
    --------
    >>> values = np.random.default_rng(0).standard_normal((1, 50))
    >>> (fingerprints(values) == fingerprints(3 - 7 * values)).all()
    np.True_
    """
    count = rows.shape[1] // WINDOW
    windows = rows[:, : count * WINDOW].reshape(len(rows), count, WINDOW)
    rises = windows[:, :, 1:] > windows[:, :, :-1]
    found = rises @ (1 << np.arange(WINDOW - 1, dtype=np.int32))
    return np.where(found & 1, found ^ ((1 << (WINDOW - 1)) - 1), found)
