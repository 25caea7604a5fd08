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
@dataclass(frozen=True, slots=True)
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
    drawn: bool


def in_memory(arrays: Mapping[str, Array]) -> Source:
    """Give arrays in memory as a source."""

    def pieces(name: str, size: int) -> Iterator[Array]:
        array = arrays[name]
        step = max(1, size * len(array) // max(array.nbytes, 1))
        yield from (array[low : low + step] for low in range(0, len(array), step))

    return Source({name: (array.shape, array.dtype) for name, array in arrays.items()}, pieces)


def sketches(source: Source) -> dict[str, Sketch]:
    """Sketch every array that may be a weight: numbers with two axes longer than one, no state of an optimizer."""
    found = {}
    for name, (shape, dtype) in source.arrays.items():
        if is_weight(name, shape, dtype):
            try:
                found[name] = _sketch(source, name)
            except source.errors:
                continue
    return found


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
    return Sketch(name, (shape, native.dtype.name, native.tobytes()), values, looks_drawn(values))


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


def looks_drawn(values: npt.NDArray[np.float64]) -> bool:
    """Whether values look as if they had been drawn at random.

    Of 1,024 independent values the largest correlation with themselves, some places on, is about 0.15; of positions,
    tables and masks it is nearly one.

    Examples
    --------
    >>> looks_drawn(np.random.default_rng(0).standard_normal(200)), looks_drawn(np.sin(np.arange(200)))
    (True, False)
    """
    count = len(values)
    if not np.isfinite(values).all():
        return False
    centred = values - values.mean()
    top = np.abs(centred).max(initial=0)
    if not top or len(np.unique(values)) < min(DISTINCT, count):
        return False
    centred = centred / top  # no square overflows or vanishes
    spectrum = np.fft.rfft(centred, 2 * count)
    products = np.fft.irfft(spectrum * spectrum.conj(), 2 * count)[: count // 2 + 1]
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    lags = np.arange(1, count // 2 + 1)
    ends = np.sqrt(squares[count - lags] * (squares[count] - squares[lags]))
    return bool((products[1:] < WHITE * np.maximum(ends, 1e-12)).all())
