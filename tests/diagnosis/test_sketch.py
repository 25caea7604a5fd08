"""What is kept of the beginning of every array, against slow readings of the definitions."""

from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak.diagnosis import Source, _sketch, in_memory
from symbreak.diagnosis._sketch import fingerprints, first_floats, first_values, is_weight, looks_drawn, sketches


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


# Fingerprints.


def slow_prints(row):
    """Of each 25 values in turn: which of the last 24 are larger than the one before, all turned if the first is."""
    found = []
    for low in range(0, len(row) - 24, 25):
        rises = [later > earlier for earlier, later in pairwise(row[low : low + 25])]
        found.append(sum((rise != rises[0]) << place for place, rise in enumerate(rises)))
    return found


@given(
    count=st.sampled_from([0, 24, 25, 49, 50, 130]), few=st.sampled_from([2, 3, 1000]), seed=st.integers(0, 2**32 - 1)
)
def test_fingerprints_are_those_of_the_definition(count, few, seed):
    rows = np.random.default_rng(seed).integers(0, few, (3, count)).astype(float)
    found = fingerprints(rows)
    assert found.dtype == np.int32
    assert found.tolist() == [slow_prints(row) for row in rows.tolist()]


def test_a_factor_of_either_sign_and_a_constant_change_no_fingerprint():
    values = np.random.default_rng(0).normal(size=(4, 1000))
    expected = fingerprints(values)
    assert expected.shape == (4, 40)
    assert len(np.unique(expected)) == expected.size
    for factor in (-3.0, 0.1, 1e9):
        assert np.array_equal(fingerprints(2 + factor * values), expected)


@pytest.mark.parametrize("step", [-1.0, 0.0, 1.0])
def test_the_fingerprint_of_a_window_that_says_nothing_is_zero(step):
    assert fingerprints(step * np.arange(50.0)[np.newaxis]).tolist() == [[0, 0]]


# Whether values look drawn.


def slow_drawn(row):
    """Finite; at least eight different values, or all of a few; and no large correlation with itself within a third."""
    row = np.asarray(row[:256])
    if not np.isfinite(row).all() or len(set(row.tolist())) < min(8, len(row)):
        return False
    row = row - row.mean()
    for lag in range(1, len(row) // 3 + 1):
        ahead, behind = row[lag:], row[:-lag]
        if ahead @ behind >= 0.8 * max(np.sqrt((ahead @ ahead) * (behind @ behind)), 1e-12):
            return False
    return True


@pytest.mark.parametrize("count", [9, 12, 50, 256, 300])
def test_what_looks_drawn_is_that_of_the_definition(count):
    rng = np.random.default_rng(count)
    periods = rng.integers(2, max(3, count // 3 + 2), 60)
    waves = np.sin(2 * np.pi * np.arange(count) / periods[:, np.newaxis] + rng.uniform(0, 6, (60, 1)))
    rows = waves + np.linspace(0, 2, 60)[:, np.newaxis] * rng.normal(size=(60, count)) + rng.normal(size=(60, 1))
    expected = [slow_drawn(row) for row in rows]
    assert 5 < sum(expected) < 55
    assert looks_drawn(rows).tolist() == expected


def test_eight_different_values_look_drawn_and_seven_do_not():
    rng = np.random.default_rng(0)
    for count in (60, 256):
        many, few = rng.permutation(np.arange(count) % 8), rng.permutation(np.arange(count) % 7)
        assert looks_drawn(np.array([many, few], float)).tolist() == [True, False]
    assert looks_drawn(np.array([[3.0, -1.0, 2.0, -5.0, 1.0]])).tolist() == [True]
    assert looks_drawn(np.array([[3.0, -1.0, 3.0, -5.0, 1.0]])).tolist() == [False]


def test_rows_are_judged_each_by_itself_and_by_their_beginning():
    rows = np.random.default_rng(0).normal(size=(4, 600))
    rows[1, 7], rows[2, 3] = np.nan, -np.inf
    rows[3, 256:] = 0
    with np.errstate(all="raise"):
        assert looks_drawn(rows).tolist() == [True, False, False, True]
    assert not looks_drawn(rows[:, 256:])[3]


@pytest.mark.parametrize("factor", [1e-300, -1e-9, 1e9, 1e300])
def test_a_factor_changes_nothing_of_what_looks_drawn(factor):
    rows = np.array([np.random.default_rng(0).normal(size=200), np.sin(np.arange(200)), np.arange(200) / 200])
    assert looks_drawn(factor * rows).tolist() == [True, False, False]


# Sketches.


def several():
    """Arrays of several lengths and dtypes, in an order that is not that of their lengths."""
    arrays = {str(number): random(4 + number % 3, 5, seed=number) for number in range(8)}
    arrays["long"] = random(60, 40)
    arrays["other"] = random(4, 5, seed=3).astype(">f8")
    arrays["half"] = random(5, 5).astype(ml_dtypes.bfloat16)
    arrays["complex"] = random(4, 5) + 1j * random(5, 4).T.astype(np.complex64)
    return arrays


@pytest.mark.parametrize("batch", [1, 2, 512])
def test_sketches_come_in_order_and_are_those_of_each_array_alone(batch, monkeypatch):
    monkeypatch.setattr(_sketch, "BATCH", batch)
    arrays = several()
    found = sketches(in_memory(arrays))
    assert list(found) == list(arrays)
    for name, sketch in found.items():
        values = arrays[name].reshape(-1)[:1024]
        values = (values.real if values.dtype.kind == "c" else values).astype(np.float64)
        assert (sketch.name, sketch.shape, sketch.count) == (name, arrays[name].shape, len(values))
        assert sketch.dtype == arrays[name].dtype.newbyteorder("=").name
        assert sketch.std == pytest.approx(values.std(), rel=1e-12)
        assert sketch.drawn == slow_drawn(values)
        assert sketch.prints.tolist() == slow_prints(values.tolist())
        assert sketch.digest == sketches(in_memory({"alone": arrays[name]}))["alone"].digest
    assert len({sketch.digest for sketch in found.values()}) == len(arrays)


def test_digests_are_equal_where_the_first_values_are():
    w = random(60, 40)
    w[0, :4] = 0
    turned, late, early = w.copy(), w.copy(), w.copy()
    turned[0, :4] = -0.0
    late.reshape(-1)[1024] += 1
    early.reshape(-1)[1023] += 1
    found = sketches(in_memory({"w": w, "turned": turned, "late": late, "early": early, "big": w.astype(">f4")}))
    assert found["turned"].digest == found["late"].digest == found["big"].digest == found["w"].digest
    assert found["early"].digest != found["w"].digest


def test_what_can_not_be_read_has_no_sketch():
    arrays = several()

    def pieces(name, size):
        if name in ("3", "long"):
            raise OSError("gone")
        yield from in_memory(arrays).pieces(name, size)

    found = sketches(Source(in_memory(arrays).arrays, pieces, (OSError,)))
    assert list(found) == [name for name in arrays if name not in ("3", "long")]


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "expected"),
    [
        ("w", (3, 2), "f4", True),
        ("w", (1, 3, 1, 2), "f4", True),
        ("w", (3, 2), "i4", True),
        ("w", (3, 2), "c8", True),
        ("w", (3, 1), "f4", False),
        ("w", (3,), "f4", False),
        ("w", (), "f4", False),
        ("w", (3, 0, 2), "f4", False),
        ("w", (3, 2), "?", False),
        ("w", (3, 2), "i8", False),
        ("w.exp_avg", (3, 2), "f4", False),
        ("layers.bias", (3, 2), "f4", False),
    ],
)
def test_weights_are_told_by_name_shape_and_dtype(name, shape, dtype, expected):
    assert is_weight(name, shape, np.dtype(dtype)) is expected
    assert (name in sketches(in_memory({name: np.ones(shape, dtype)}))) is expected


# Arrays in memory.


@pytest.mark.parametrize("size", [1, 100, 160, 161, 10_000])
@pytest.mark.parametrize("array", [random(30, 40), random(30, 1), random(7, 3, 5), random(0, 4), random(4, 0)])
def test_pieces_make_up_the_array_and_are_of_about_the_size_that_is_asked(size, array):
    source = in_memory({"a": array})
    found = list(source.pieces("a", size))
    assert source.size("a") == array.size
    if len(array):
        assert np.array_equal(np.concatenate(found), array)
        row = array.nbytes // len(array)
        assert max(piece.nbytes for piece in found) <= max(size, row)
        assert all(piece.nbytes > size - row for piece in found[:-1])


def test_no_more_pieces_are_read_than_the_first_values_need():
    array, read = random(100, 8), []

    def pieces(name, size):
        for row in array:
            read.append(size)
            yield row[np.newaxis]

    source = Source({"a": (array.shape, array.dtype)}, pieces)
    for count, rows in ((1, 1), (8, 1), (9, 2), (80, 10)):
        read.clear()
        assert first_values(source, "a", count).tolist() == array.reshape(-1)[:count].tolist()
        assert read == [4 * count] * rows


def test_first_floats_are_the_values_in_float64():
    half = random(5, 5).astype(ml_dtypes.bfloat16)
    both = random(4, 5) + 1j * random(5, 4).T
    source = in_memory(
        {"half": half, "complex": both.astype(">c16"), "signalling": np.array([[0x7F800001]], "u4").view("f4")}
    )
    assert first_floats(source, "half").tolist() == half.astype(np.float64).reshape(-1).tolist()
    assert first_floats(source, "complex").tolist() == both.real.reshape(-1).tolist()
    assert np.isnan(first_floats(source, "signalling")).all()
    largest = np.array([[np.finfo(np.longdouble).max]])
    assert first_floats(in_memory({"largest": largest}), "largest")[0] >= np.finfo(np.float64).max
