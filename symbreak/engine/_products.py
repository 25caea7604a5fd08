"""How sums of products are formed, which decides whether equal units stay equal to the last bit.

In real numbers tied units get equal updates. In floating point a sum depends on the order of its terms, and a BLAS
matrix product reduces the columns at the edge of its tiles in another order than those inside: two units with equal
weights then differ in the last bit, and from there training pulls them apart.
"""

from typing import Any

import numpy as np

from ._exact import exact

Array = np.ndarray[Any, np.dtype[Any]]

LINE = 64  # bytes. The widest vector register: rows that start alike with respect to it are loaded alike.
BLOCK = 8192  # terms. Below the length (10,000) from which OpenBLAS may share one inner product out to several threads.


def tie_preserving(a: Array, b: Array) -> Array:
    """Multiply rows by rows: entry [i, j] is the inner product of row i of `a` and row j of `b`.

    Every entry is a call of its own to one inner-product routine, with the same length, the same strides and the same
    alignment. The routine can't know which entry it computes, so equal rows give equal entries, for every shape.
    """
    a, b = alike(a)[:, np.newaxis], alike(b)
    if a.shape[-1] <= BLOCK:
        return np.asarray(np.vecdot(a, b))
    total: Array = np.vecdot(a[..., :BLOCK], b[:, :BLOCK])
    for start in range(BLOCK, a.shape[-1], BLOCK):
        total += np.vecdot(a[..., start : start + BLOCK], b[:, start : start + BLOCK])
    return total


def alike(rows: Array) -> Array:
    """Return the rows contiguous, and all starting at the same offset from a multiple of `LINE` bytes."""
    (count, length), size = rows.shape, rows.itemsize
    if rows.strides[1] == size and (count == 1 or rows.strides[0] % LINE == 0):
        return rows
    padded = np.empty((count, -(-length * size // LINE) * LINE // size), rows.dtype)[:, :length]
    padded[...] = rows
    return padded


def blas(a: Array, b: Array) -> Array:
    """Multiply rows by rows through BLAS: several times as fast, and at some widths equal rows give unequal entries."""
    return np.asarray(a @ b.T)


PRODUCTS = {
    "tie_preserving": tie_preserving,
    "blas": blas,
    "exact": exact,
}
