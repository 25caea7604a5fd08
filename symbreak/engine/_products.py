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
# Products of more terms than ALONE OpenBLAS shares out to all cores. Where they are not all idle it then waits for the
# slowest, many times as long as the product takes; up to TOGETHER little is lost by taking it in parts that it keeps.
ALONE, TOGETHER = 2**18, 2**21
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
    (count, length), (step, along), size = rows.shape, rows.strides, rows.itemsize
    if along == size and (count == 1 or step % LINE == 0):
        return rows
    padded = np.empty((count, length + -length % (LINE // size)), rows.dtype)[:, :length]
    padded[...] = rows
    return padded


def blas(a: Array, b: Array) -> Array:
    """Multiply rows by rows through BLAS: several times as fast, and at some widths equal rows give unequal entries."""
    count, terms = len(a), len(a) * b.size
    if not ALONE < terms <= TOGETHER:
        return np.asarray(a @ b.T)
    out = np.empty((count, len(b)), np.result_type(a, b))
    step = max(1, count * ALONE // terms)
    for start in range(0, count, step):
        np.matmul(a[start : start + step], b.T, out=out[start : start + step])
    return out


PRODUCTS = {
    "tie_preserving": tie_preserving,
    "blas": blas,
    "exact": exact,
}
