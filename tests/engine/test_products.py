"""The tie-preserving product gives equal entries for equal rows, wherever they stand; and it is the right product."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak.engine._products import ALONE, BLOCK, LINE, PRODUCTS, TOGETHER, alike, blas, tie_preserving

DTYPES = ["float32", "float64"]


def _misaligned(a):
    raw = np.empty(a.nbytes + 1, np.uint8)
    view = np.ndarray(a.shape, a.dtype, buffer=raw, offset=1)
    view[...] = a
    return view


LAYOUTS = {
    "contiguous": np.ascontiguousarray,
    "transposed": np.asfortranarray,
    "every second column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "columns backwards": lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
    "rows backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "a window of a wider array": lambda a: np.pad(a, ((1, 2), (3, 4)))[1:-2, 3:-4],
    "one byte off": _misaligned,
}
LENGTHS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 100, 127, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 20_011]


def _rows(count, length, dtype, seed, distinct):
    """Random rows of which only `distinct` differ, and the number of the row that each is equal to."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(distinct, size=count)
    return rng.normal(size=(distinct, length)).astype(dtype)[kind], kind


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_each_entry_is_an_inner_product(product, dtype, length):
    a, b = _rows(3, length, dtype, 0, 3)[0], _rows(4, length, dtype, 1, 4)[0]
    found = PRODUCTS[product](a, b)
    assert found.dtype == dtype
    assert found.shape == (3, 4)
    for i, row in enumerate(a.astype(np.float64)):
        for j, column in enumerate(b.astype(np.float64)):
            exact = math.fsum(row * column)
            bound = 2 * length * np.finfo(dtype).eps * math.fsum(abs(row * column))  # any order of the sum is within it
            assert abs(float(found[i, j]) - exact) <= bound


@given(
    rows=st.integers(1, 130),
    columns=st.integers(1, 130),
    length=st.integers(1, 150) | st.sampled_from(LENGTHS[:-4]),
    dtype=st.sampled_from(DTYPES),
    layout=st.tuples(st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(LAYOUTS))),
    seed=st.integers(0, 2**32),
)
def test_equal_rows_give_equal_entries(rows, columns, length, dtype, layout, seed):
    a, of_a = _rows(rows, length, dtype, seed, 3)
    b, of_b = _rows(columns, length, dtype, seed + 1, 3)
    found = tie_preserving(LAYOUTS[layout[0]](a), LAYOUTS[layout[1]](b))
    for k in range(3):
        for entries in (found[of_a == k], found[:, of_b == k].T):
            assert (entries == entries[:1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_equal_rows_give_equal_entries_at_every_length(dtype, length):
    """Lengths on either side of every register width and of the blocks, at the widths where BLAS breaks ties."""
    a = np.random.default_rng(length).normal(size=(5, length)).astype(dtype)
    for width in (1, 2, 3, 17, 33, 65, 100):
        for layout in LAYOUTS.values():
            found = tie_preserving(a, layout(np.tile(a[0], (width, 1))))
            assert (found == found[:, :1]).all()


@given(
    rows=st.integers(1, 40), columns=st.integers(1, 40), length=st.integers(1, 70), seed=st.integers(0, 2**32),
    dtype=st.sampled_from(DTYPES),
)  # fmt: skip
def test_an_entry_does_not_depend_on_its_index(rows, columns, length, seed, dtype):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(rows, length)).astype(dtype), rng.normal(size=(columns, length)).astype(dtype)
    p, q = rng.permutation(rows), rng.permutation(columns)
    np.testing.assert_array_equal(tie_preserving(a[p], b[q]), tie_preserving(a, b)[p][:, q])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 16), (7, 17), (100, 1)])
def test_rows_are_brought_to_one_alignment(dtype, layout, shape):
    a = np.random.default_rng(0).normal(size=shape).astype(dtype)
    rows = alike(LAYOUTS[layout](a))
    np.testing.assert_array_equal(rows, a)
    assert rows.strides[1] == rows.itemsize or shape[1] == 1
    assert len({row.__array_interface__["data"][0] % LINE for row in rows}) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_inner_product_gets_rows_of_one_alignment(layout, monkeypatch):
    seen = []

    def spy(a, b):
        seen.extend({row.__array_interface__["data"][0] % LINE for row in rows} for rows in (a[:, 0], b))
        return vecdot(a, b)

    vecdot = np.vecdot
    monkeypatch.setattr(np, "vecdot", spy)
    a, b = (np.random.default_rng(0).normal(size=shape) for shape in ((7, BLOCK + 3), (5, BLOCK + 3)))
    tie_preserving(LAYOUTS[layout](a), LAYOUTS[layout](b))
    assert len(seen) == 4, "two blocks of two operands"
    assert all(len(offsets) == 1 for offsets in seen)


def test_the_rows_are_left_as_they_were():
    a = np.arange(6.0).reshape(2, 3)
    tie_preserving(a, a)
    np.testing.assert_array_equal(a, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("rows", "columns", "length"),
    [(64, 128, 64), (128, 64, 64), (65, 127, 67), (3, 300, 300), (1, 600, 600), (63, 64, 64), (300, 300, 300)],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_blas_takes_middling_products_in_parts_that_it_keeps_on_one_core(rows, columns, length, dtype, monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(rows, length)).astype(dtype), rng.normal(size=(columns, length)).astype(dtype)
    parts = []

    def spy(left, right, out):
        parts.append((len(left), out.size * len(right)))
        return matmul(left, right, out=out)

    matmul = np.matmul
    monkeypatch.setattr(np, "matmul", spy)
    found = blas(a, b)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, a @ b.T, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-4)
    middling = ALONE < rows * columns * length <= TOGETHER
    assert sum(count for count, _ in parts) == (rows if middling else 0)
    assert all(terms <= ALONE or count == 1 for count, terms in parts)
