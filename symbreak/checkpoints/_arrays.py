"""Bytes of a file as an array: sizes in Python's integers, checked before NumPy hears of them."""

from math import prod

import numpy as np

from symbreak._visible import number
from symbreak.checkpoints._source import Source

MOST_AXES = 64  # NumPy's own limit since 2.0
LARGEST = 2**63 - 1  # elements or bytes that an index of NumPy's can count
Buffer = bytes | memoryview


def check_shape(source: Source, shape: tuple[int, ...], itemsize: int, what: str) -> int:
    """Return the bytes that `shape` takes, in exact integers; raise BadCheckpoint when no array can have that shape.

    NumPy counts an axis of length zero as one here, so that a shape such as (0, 2**62, 2**62) is refused too.
    """
    if len(shape) > MOST_AXES:
        raise source.bad(f"{what} has {len(shape)} axes", f"an array has at most {MOST_AXES}")
    if any(length < 0 for length in shape):
        raise source.bad(f"{what} has a negative axis length", "a length is 0 or more")
    if prod(max(length, 1) for length in shape) * max(itemsize, 1) > LARGEST:
        shown = ", ".join(number(length) for length in shape)
        raise source.bad(f"{what} has shape ({shown}), more bytes than an index can count", "save it again")
    return prod(shape) * itemsize


def as_array(
    buffer: Buffer, dtype: np.dtype, shape: tuple[int, ...], *, order: str = "C", start: int = 0
) -> np.ndarray:
    """Return a view of `buffer` from byte `start` on; the caller has checked that it is long enough."""
    start, buffer = (0, b"") if 0 in shape else (start, buffer)
    return np.ndarray(shape, dtype, buffer=buffer, offset=start, order="F" if order == "F" else "C")


def check_bool(source: Source, array: np.ndarray, what: str) -> np.ndarray:
    """Return the array; raise BadCheckpoint when a truth value is stored as another byte than 0 or 1.

    NumPy trusts those bytes, and two true values that differ in their bytes would not compare as the file has them.
    """
    if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise source.bad(f"{what} holds truth values that are neither 0 nor 1", "save it as uint8 or repair it")
    return array
