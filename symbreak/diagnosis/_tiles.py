"""One weight cut into tiles that fit the cache, whichever axis its units lie along.

A tile holds some units and a block of their features, as unsigned integers. Where the values of a unit lie together in
memory, eight bytes of them make one integer. Where neighbouring values belong to neighbouring units (the last axis of
a C-ordered array), each value is one integer, and the tile keeps the order of the memory: nothing is ever transposed,
and nothing but a tile is ever copied.
"""

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ._bits import bits_of

Array = npt.NDArray[Any]
Words = npt.NDArray[np.uint64]
Units = slice | npt.NDArray[np.intp]
Block = tuple[int | slice, ...]

TILE = 1 << 21  # bytes. With two threads, shorter NumPy calls lose their gain to the hand-over of the interpreter lock.
ROW = 1 << 16  # bytes of one unit in a tile, at most, where the values of a unit lie together
ACROSS = 1 << 11  # units in a tile, at most, where those of a feature do
HEAD = 32  # features that tell most units apart


@final
class Tiles:
    """The tiles of an array whose first axis is that of the units.

    Parameters
    ----------
    array
        (units, ...), of any strides, at least one feature a unit.
    """

    def __init__(self, array: Array) -> None:
        self.bits = bits_of(array.dtype)
        self.view = _merge_features(array)
        self.units = len(self.view)
        size = self.view.dtype.itemsize
        features = math.prod(self.view.shape[1:])
        self.unit_bytes = features * size
        unit_stride, *strides = (abs(stride) for stride in self.view.strides)
        self.across = size <= 8 and unit_stride < min((s for s in strides if s), default=0)
        if self.across:
            self.height = min(ACROSS, self.units)
            self.limit = TILE // 8 // self.height
            self.width = min(self.limit, features)
        else:
            self.limit = ROW // size
            self.width = -(-min(self.limit, features) * size // 8)
            self.height = TILE // 8 // self.width
        self.head = next(_feature_blocks(self.view.shape[1:], min(self.limit, HEAD)))
        # All values as one row where they lie together; not across, as many rows as units, which need not be theirs.
        self.flat = _flatten(array) if self.bits.stored.isnative and self.view.flags.aligned else None
        self.rows = None if self.flat is None or self.across else self.flat.reshape(self.units, features)
        # Where neighbours in memory are neighbours in a tile, aligned floats are hashed and compared where they lie.
        near = self.view.strides[0 if self.across else -1]
        whole = self.bits.stored.kind == "f" or not self.across
        self.in_place = self.bits.plain and self.view.ndim == 2 and near == size and whole and self.view.flags.aligned

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The features, in blocks that are as wide as a tile; most searches end before they need them."""
        return tuple(_feature_blocks(self.view.shape[1:], self.limit))

    def ranges(self, begin: int, end: int, tiles: int = 1) -> Iterator[slice]:
        """Cut the range from `begin` to `end` into ranges as high as a tile, or as several."""
        height = tiles * self.height
        for low in range(begin, end, height):
            yield slice(low, min(low + height, end))

    def buffer(self) -> npt.NDArray[np.uint8]:
        """Make room for one tile."""
        size = self.view.dtype.itemsize if self.across else 8
        return np.empty(self.height * self.width * size, np.uint8)

    def values(self, units: Units, block: Block, buffer: npt.NDArray[np.uint8]) -> Array:
        """Give a tile as numbers to compare with ``==``: where they lie, if that can be, and else loaded."""
        return self.view[(units, *block)] if self.in_place else self.load(units, block, buffer)[0]

    def load(self, units: Units, block: Block, buffer: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        """Load a tile into `buffer`.

        Returns
        -------
        codes
            (units, at most `width`), unsigned integers: equal where the values are equal.
        values
            (units, features), the same memory as numbers.
        """
        source = self.view[(units, *block)]
        features, size = math.prod(source.shape[1:]), source.dtype.itemsize
        if self.across:
            raw = buffer[: features * len(source) * size].view(self.bits.dtype)
            values = raw.reshape(features, len(source)).T
            self.bits.load(np.moveaxis(source, 0, -1), raw.reshape(*source.shape[1:], len(source)))
            return values.view(f"u{size}"), values
        used = -(-features * size // 8)
        rows = buffer[: len(source) * used * 8].reshape(len(source), used * 8)
        if features * size % 8:
            rows[:, features * size :] = 0
        values = rows[:, : features * size].view(self.bits.dtype)
        self.bits.load(source, values.reshape(source.shape))
        return rows.view(np.uint64), values


def _merge_features(array: Array) -> Array:
    """View (units, ...) with as few feature axes as the strides allow, the furthest apart in memory first.

    The order of the features does not matter to ties, as long as it is the same for every unit.
    """
    axes = sorted(range(1, array.ndim), key=lambda axis: -abs(array.strides[axis]))
    merged: list[tuple[int, int]] = []  # (length, stride)
    for axis in axes:
        length, stride = array.shape[axis], array.strides[axis]
        if length == 1:
            continue
        if merged and merged[-1][1] == stride * length:
            merged[-1] = (merged[-1][0] * length, stride)
        else:
            merged.append((length, stride))
    merged = merged or [(1, array.dtype.itemsize)]
    shape = (len(array), *(length for length, _ in merged))
    strides = (array.strides[0], *(stride for _, stride in merged))
    # NumPy's stride tricks ask for a dtype by its letter and size, which types of ml_dtypes share with others.
    plain = array.view(f"u{array.dtype.itemsize}") if array.dtype.itemsize <= 2 else array
    return np.lib.stride_tricks.as_strided(plain, shape, strides, writeable=False).view(array.dtype)


def _flatten(array: Array) -> Array | None:
    """View an array that lies together in memory as one row, in the order of the memory; None if it does not."""
    row = _merge_features(array[np.newaxis])
    together = row.ndim == 2 and row.strides[1] == row.dtype.itemsize
    return row[0] if together else None


def _feature_blocks(shape: tuple[int, ...], limit: int) -> Iterator[Block]:
    """Cut the features into blocks of at most `limit`, in order, each a block of consecutive features."""
    inner, axis = 1, len(shape)
    while axis and inner * shape[axis - 1] <= limit:
        axis -= 1
        inner *= shape[axis]
    if axis == 0:
        yield ()
        return
    step = limit // inner
    for outer in np.ndindex(shape[: axis - 1]):
        for low in range(0, shape[axis - 1], step):
            yield (*outer, slice(low, min(low + step, shape[axis - 1])))
