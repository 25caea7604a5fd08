"""One axis of an array, brought from all units to those that are left: one of each class, or the sum of it."""

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Mode = Literal["first", "sum", "any"]


def collapse(array: Array, axis: int, over: Sequence[int], index: Array, count: int, mode: Mode) -> Array:
    """Give the array with one slice for the units that become one.

    Parameters
    ----------
    array
        Of a type in which sums may be taken.
    axis
        The axis of the units.
    over
        The axes of the heads or copies that they lie in.
    index
        (heads, ..., units): the place of each unit among the `count` of its head.
    count
        How many places there are.
    mode
        ``"first"`` of those that become one, their ``"sum"``, or, of a mask, ``"any"``.
    """
    front = (*over, axis)
    moved = np.moveaxis(array, front, range(len(front)))
    heads, rest = moved.shape[: len(over)], moved.shape[len(front) :]
    rows = moved.reshape(prod(heads), moved.shape[len(over)], *rest)
    result = np.empty((len(rows), count, *rest), array.dtype)
    for row, place, out in zip(rows, index.reshape(len(rows), -1), result, strict=True):
        order = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[order], np.arange(count))
        if mode == "first":
            out[...] = row[order[starts]]
        elif mode == "any":
            out[...] = np.maximum.reduceat(row[order], starts, axis=0)
        else:
            out[...] = np.add.reduceat(row[order], starts, axis=0)
    return np.moveaxis(result.reshape(*heads, count, *rest), range(len(front)), front)


def widened(array: Array) -> Array:
    """Give the array in the type that its sums are taken in."""
    kind = array.dtype.kind
    if kind in "iu":
        return array.astype(np.int64)
    if kind == "c":
        return array.astype(np.result_type(array.dtype, np.complex128), copy=False)
    if kind == "O" or kind == "b":
        return array
    return array.astype(np.float64 if array.dtype.itemsize <= 8 else array.dtype, copy=False)


def rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    """Round sums once, to the type that the array had; whole numbers must fit.

    Raises
    ------
    OverflowError
        If one is too large for the type.
    """
    if values.dtype == dtype:
        return np.ascontiguousarray(values)
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(values.astype(dtype))
    if dtype.kind in "iu" and not np.array_equal(result, values):
        raise OverflowError
    if dtype.kind not in "iuO" and not np.isfinite(result.astype(values.dtype)).all():
        raise OverflowError
    return result
