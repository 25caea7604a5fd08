"""Nearly equal units, against a comparison of every pair, and what is reported of them."""

import itertools
import json
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symbreak as sb
from symbreak.checkpoints import save_safetensors
from symbreak.cli import main
from symbreak.diagnosis import NearTies, _near, _pairs, find_near_ties, find_ties, judge_weight
from symbreak.diagnosis._likeness import judge_near
from symbreak.diagnosis._pairs import Window

FACTORS = [1.0, -1.0, 2.0, -0.3]
TOLERANCES = [1e-3, 1e-2, 0.1, 0.45]


def distance(one, other, symmetry):
    """The definition: the difference's length over that of the longer; of directions; or with the sign turned."""
    if symmetry == "scale":
        one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    difference = one + other if symmetry == "sign" else one - other
    return np.linalg.norm(difference) / max(np.linalg.norm(one), np.linalg.norm(other))


def slow_labels(rows, tolerance, symmetry="none"):
    """Every pair compared, classes closed transitively, numbered by first occurrence."""
    rows = np.asarray(rows)
    rows = (rows.astype(np.complex128).view(np.float64) if np.iscomplexobj(rows) else rows.astype(np.float64)).reshape(
        len(rows), -1
    )
    labels = np.arange(len(rows))
    for i, j in itertools.combinations(range(len(rows)), 2):
        one, other = rows[i], rows[j]
        nonzero = one.any() and other.any() and np.isfinite(one).all() and np.isfinite(other).all()
        if np.array_equal(one, other) or (nonzero and distance(one, other, symmetry) <= tolerance):
            labels[labels == labels[j]] = labels[i]
    order = {}
    return [order.setdefault(label, len(order)) for label in labels.tolist()]


@st.composite
def planted(draw):
    """Rows, some of them others' multiples with a little noise, of lengths that differ little or by powers of ten."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    units, width = draw(st.integers(1, 36)), draw(st.integers(1, 12))
    rows = random.normal(size=(units, width))
    if draw(st.booleans()):
        rows *= 10.0 ** random.integers(-4, 4, (units, 1))
    for _ in range(units // 3):
        i, j = random.integers(0, units, 2)
        noise = draw(st.sampled_from([0, 1e-4, 1e-3, 1e-2])) * random.normal(size=width)
        rows[i] = draw(st.sampled_from(FACTORS)) * rows[j] * (1 + noise)
    return rows.astype(draw(st.sampled_from(["float32", "float64", "float16"])))


@pytest.mark.parametrize("symmetry", ["none", "scale", "sign"])
@pytest.mark.parametrize(
    ("few", "candidates"),
    [(256, 1 << 22), (0, 1 << 22), (0, 0)],
    ids=["as few rows", "by the tree", "by products"],
)
@given(rows=planted(), tolerance=st.sampled_from(TOLERANCES))
def test_no_near_pair_is_missed_and_none_is_false(few, candidates, symmetry, rows, tolerance):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pairs, "FEW", few)
        patch.setattr(_pairs, "CANDIDATES", candidates)
        patch.setattr(_pairs, "ROWS", 7)  # so that there are several blocks
        found = find_near_ties(rows, tolerance, symmetry=symmetry)
    assert found.labels.tolist() == slow_labels(rows, tolerance, symmetry)


@pytest.mark.parametrize("symmetry", ["none", "scale", "sign"])
@pytest.mark.parametrize("candidates", [1 << 22, 0], ids=["by the tree", "by products"])
def test_every_pair_planted_among_many_is_found_up_to_the_border(monkeypatch, candidates, symmetry):
    monkeypatch.setattr(_pairs, "CANDIDATES", candidates)
    random = np.random.default_rng(1)
    rows = random.normal(size=(3000, 96)).astype(np.float32)
    pairs = random.permutation(3000)[:400].reshape(-1, 2)
    far = {}
    for number, (i, j) in enumerate(pairs.tolist()):
        noise = random.normal(size=96)
        length = (0.999 if number % 2 else 1.001) * 0.01  # just within, just outside
        rows[j] = rows[i] + length * np.linalg.norm(rows[i]) * noise / np.linalg.norm(noise)
        rows[j] *= {"none": 1, "scale": 3, "sign": -1}[symmetry]
        far[i, j] = distance(rows[i].astype(float), rows[j].astype(float), symmetry)
    found = find_near_ties(rows, 0.01, symmetry=symmetry)
    expected = sorted(tuple(sorted(pair)) for pair, each in far.items() if each <= 0.01)
    assert 100 < len(expected) < len(pairs) - 20
    assert sorted(found.groups) == expected


@pytest.mark.parametrize("tolerance", [0.01, 0.4])
def test_pairs_of_every_length_are_found(tolerance):
    """Of the same direction, and of lengths that differ by just less than the tolerance."""
    half = np.random.default_rng(5).normal(size=(70, 40))
    half *= np.exp2(np.arange(70) / 10)[:, np.newaxis] / np.linalg.norm(half, axis=1, keepdims=True)
    found = find_near_ties(np.concatenate([half, (1 - 0.999 * tolerance) * half]), tolerance)
    assert found.groups == tuple((unit, unit + 70) for unit in range(70))


@pytest.mark.parametrize("symmetry", ["none", "scale", "sign"])
@pytest.mark.parametrize("length", [1.0, 1.5, 1.99])
@pytest.mark.parametrize("candidates", [1 << 22, 0], ids=["by the tree", "by products"])
def test_pairs_at_the_border_are_found_where_no_direction_is_left_out(monkeypatch, candidates, length, symmetry):
    """Of units with five weights every direction is searched, so that no distance is shortened."""
    monkeypatch.setattr(_pairs, "FEW", 0)
    monkeypatch.setattr(_pairs, "CANDIDATES", candidates)
    monkeypatch.setattr(_pairs, "CHECKED", 4)  # so that a fine product follows the coarse one
    random = np.random.default_rng(4)
    half = random.normal(size=(60, 5))
    half *= length / np.linalg.norm(half, axis=1, keepdims=True)
    across = random.normal(size=half.shape)
    across -= half * np.einsum("ij,ij->i", across, half)[:, np.newaxis] / length**2
    far = 1e-3 * (1 + np.where(np.arange(60) % 2, -3e-10, 3e-10))
    angle = 2 * np.arcsin(far / 2)[:, np.newaxis]  # so that both are of one length
    other = np.cos(angle) * half + np.sin(angle) * length * across / np.linalg.norm(across, axis=1, keepdims=True)
    units = np.concatenate([half, {"none": 1, "scale": 3, "sign": -1}[symmetry] * other])
    assert find_near_ties(units, 1e-3, symmetry=symmetry).groups == tuple((unit, unit + 60) for unit in range(1, 60, 2))


@pytest.mark.parametrize("symmetry", ["none", "scale", "sign"])
@pytest.mark.parametrize(("tolerance", "width"), [(1e-5, 40), (1e-9, 40), (4e-16, 5)])
@pytest.mark.parametrize(
    ("few", "candidates"),
    [(256, 1 << 22), (0, 1 << 22), (0, 0)],
    ids=["as few rows", "by the tree", "by products"],
)
def test_no_near_pair_is_lost_to_rounding(monkeypatch, few, candidates, tolerance, width, symmetry):
    """The square of a small distance is far below a rounding of the lengths that it is computed from."""
    monkeypatch.setattr(_pairs, "FEW", few)
    monkeypatch.setattr(_pairs, "CANDIDATES", candidates)
    random = np.random.default_rng(2)
    half = random.normal(size=(120, width)) * np.exp2(random.uniform(0, 3, (120, 1)))
    noise = random.normal(size=half.shape)
    noise *= (
        0.9 * tolerance * np.linalg.norm(half, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    )
    other = np.nextafter(half, 2 * half) if tolerance < 1e-15 else half + noise
    found = find_near_ties(
        np.concatenate([half, {"none": 1, "scale": 4, "sign": -1}[symmetry] * other]), tolerance, symmetry=symmetry
    )
    assert found.groups == tuple((unit, unit + 120) for unit in range(120))


@pytest.mark.parametrize("symmetry", ["none", "sign"])
@pytest.mark.parametrize(
    ("few", "candidates"),
    [(256, 1 << 22), (0, 1 << 22), (0, 0)],
    ids=["as few rows", "by the tree", "by products"],
)
def test_no_more_pairs_are_compared_than_are_near(monkeypatch, few, candidates, symmetry):
    """Of units with five weights and one length nothing is left to chance but rounding; each pair is compared once."""
    compared, is_near = [], Window._is_near
    monkeypatch.setattr(Window, "_is_near", lambda self, *pair: compared.append(len(pair[0])) or is_near(self, *pair))
    monkeypatch.setattr(_pairs, "FEW", few)
    monkeypatch.setattr(_pairs, "CANDIDATES", candidates)
    monkeypatch.setattr(_pairs, "ROWS", 60)
    random = np.random.default_rng(6)
    half, across = random.normal(size=(2, 100, 5))
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    across -= half * np.einsum("ij,ij->i", across, half)[:, np.newaxis]
    across *= np.where(np.arange(100) % 2, 0.01, 0.03)[:, np.newaxis] / np.linalg.norm(across, axis=1, keepdims=True)
    units = np.stack([half, {"none": 1, "sign": -1}[symmetry] * (half + across)], axis=1).reshape(200, 5)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    near = [pair for pair in itertools.combinations(range(200), 2) if distance(*units[list(pair)], symmetry) <= 0.02]
    assert len({unit for pair in near for unit in pair}) == 2 * len(near) == 100
    assert find_near_ties(units, 0.02, symmetry=symmetry).groups == tuple(near)
    assert sum(compared) == len(near)


def test_the_tree_is_left_where_it_would_give_too_many_candidates(monkeypatch):
    tried = []
    by_tree = Window._by_tree
    monkeypatch.setattr(Window, "_by_tree", lambda self, classes: tried.append(by_tree(self, classes)) or tried[-1])
    rows = np.random.default_rng(0).normal(size=(600, 20))
    find_near_ties(rows, 0.01)
    monkeypatch.setattr(_pairs, "CANDIDATES", 100)
    found = find_near_ties(np.repeat(rows[:60], 10, axis=0) * np.linspace(1, 1.0001, 600)[:, None], 0.01)
    assert tried == [True, False]
    assert found.labels.tolist() == np.repeat(np.arange(60), 10).tolist()
    tried.clear()
    for units, candidates in ((256, 1000), (257, 129), (258, 129), (259, 129)):  # each of which is near itself alone
        monkeypatch.setattr(_pairs, "CANDIDATES", candidates)
        find_near_ties(rows[:units], 0.01)
    assert tried == [True, True, False]


@pytest.mark.parametrize("candidates", [1 << 22, 0], ids=["by the tree", "by products"])
def test_units_that_others_have_joined_are_not_compared_again(monkeypatch, candidates):
    compared, is_near = [], Window._is_near
    monkeypatch.setattr(Window, "_is_near", lambda self, *pair: compared.append(len(pair[0])) or is_near(self, *pair))
    for name, value in {"FEW": 0, "CANDIDATES": candidates, "CHECKED": 50, "ROWS": 30}.items():
        monkeypatch.setattr(_pairs, name, value)
    rows = 1 + 1e-6 * np.random.default_rng(0).normal(size=(60, 8))
    assert find_near_ties(rows, 0.01).groups == (tuple(range(60)),)
    assert sum(compared) < 60 * 59 / 2 / 5


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("symmetry", ["none", "scale", "sign"])
def test_squares_neither_overflow_nor_vanish(scale, symmetry):
    factor = {"none": 1, "scale": 2, "sign": -1}[symmetry]
    rows = np.array([[3.0, 4.0], [3.01 * factor, 4.0 * factor], [4.0, 3.0]]) * scale
    assert find_near_ties(rows, 0.01, symmetry=symmetry).groups == ((0, 1),)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", ">f4", "int8", "uint8", "bool", "longdouble"])
def test_every_dtype_of_numbers_is_compared(dtype):
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    rows = np.random.default_rng(0).integers(0, 2 if dtype.kind == "b" else 5, (30, 6)).astype(dtype)
    assert find_near_ties(rows, 0.3).labels.tolist() == slow_labels(rows, 0.3)


def test_complex_units_are_pairs_of_numbers():
    random = np.random.default_rng(0)
    rows = random.normal(size=(12, 3)) + 1j * random.normal(size=(12, 3))
    rows[5] = rows[2] * (1 + 1e-3j)
    rows[7] = -rows[2]
    rows = rows.astype(np.complex64)
    assert find_near_ties(rows, 0.01).groups == ((2, 5),)
    assert find_near_ties(rows, 0.01, symmetry="sign").groups == ((2, 5, 7),)
    assert find_near_ties(rows, 0.01).labels.tolist() == slow_labels(rows, 0.01)


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    axis=st.integers(-3, 2),
    seed=st.integers(0, 2**32),
)
def test_units_lie_along_any_axis(shape, axis, seed):
    array = np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)
    units = np.moveaxis(array, axis, 0)
    assert find_near_ties(array, 0.4, axis).labels.tolist() == slow_labels(units.reshape(len(units), -1), 0.4)


def test_zeros_and_what_is_not_finite_are_near_nothing():
    rows = np.array([[0, 0], [1e-30, 0], [np.nan, 1], [np.nan, 1], [np.inf, 1], [np.inf, 1], [0, -0.0], [1, 1]])
    found = find_near_ties(rows, 0.5)
    assert found.groups == ()
    assert found.labels.tolist() == find_ties(rows).labels.tolist() == [0, 1, 2, 3, 4, 4, 0, 5]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 5), (4,), (2, 0, 3)])
def test_there_need_not_be_anything(shape):
    assert find_near_ties(np.ones(shape), 0.1).labels.tolist() == find_ties(np.ones(shape)).labels.tolist()


def test_classes_are_closed_transitively_and_their_diameter_says_so():
    rows = np.array([[1.0, 0.0], [1.0, 0.009], [5, 5], [1.0, 0.018], [1.0, 0.027], [5.01, 5]])
    found = find_near_ties(rows, 0.01)
    assert found.groups == ((0, 1, 3, 4), (2, 5))
    assert found.labels.tolist() == [0, 0, 1, 0, 0, 1]
    assert found.diameters == pytest.approx(
        {0: distance(rows[0], rows[4], "none"), 1: distance(rows[2], rows[5], "none")}
    )


@pytest.mark.parametrize("symmetry", ["none", "scale", "sign"])
@given(rows=planted(), tolerance=st.sampled_from(TOLERANCES))
def test_the_diameter_is_the_largest_distance(symmetry, rows, tolerance):
    found = find_near_ties(rows, tolerance, symmetry=symmetry)
    rows = rows.astype(np.float64)
    for label, group in zip(sorted(found.diameters), found.groups, strict=True):
        pairs = [rows[list(pair)] for pair in itertools.combinations(group, 2)]
        if symmetry == "sign":  # of two signs the nearer: a unit's negative's negative is the unit
            apart = [min(distance(*pair, "sign"), distance(*pair, "none")) for pair in pairs]
        else:
            apart = [distance(*pair, symmetry) for pair in pairs]
        assert found.diameters[label] == pytest.approx(max(apart), abs=1e-12)


@pytest.mark.parametrize("rows_at_a_time", [3, 1 << 20])
def test_for_a_large_class_the_diameter_is_a_bound(monkeypatch, rows_at_a_time):
    random = np.random.default_rng(0)
    rows = random.normal(size=8) + 1e-3 * random.normal(size=(40, 8))
    exact = find_near_ties(rows, 0.1).diameters[0]
    monkeypatch.setattr(_near, "EXACT", 39)
    monkeypatch.setattr("symbreak.diagnosis._rows.BLOCK", 8 * rows_at_a_time)
    bound = find_near_ties(rows, 0.1).diameters[0]
    assert exact < bound < 4.1 * exact


@pytest.mark.parametrize("rows_at_a_time", [1, 3, 1 << 20])
@pytest.mark.parametrize("shortest", [0, 1, 9])
@pytest.mark.parametrize("symmetry", ["none", "sign"])
def test_the_bound_is_twice_the_largest_distance_from_the_first_over_the_shortest_length(
    monkeypatch, symmetry, shortest, rows_at_a_time
):
    rows = np.random.default_rng(0).normal(size=8) + 1e-2 * np.random.default_rng(1).normal(size=(10, 8))
    rows[shortest] *= 0.95
    distances = np.linalg.norm(rows - rows[0], axis=1)
    if symmetry == "sign":
        rows[::3] *= -1
    monkeypatch.setattr(_near, "EXACT", 9)
    monkeypatch.setattr("symbreak.diagnosis._rows.BLOCK", 8 * rows_at_a_time)
    found = find_near_ties(rows, 0.1, symmetry=symmetry)
    lengths = np.linalg.norm(rows, axis=1)
    assert found.diameters == {0: pytest.approx(2 * distances.max() / lengths.min(), rel=1e-12)}


def test_classes_of_up_to_1024_units_have_the_largest_of_all_distances():
    """The two that are farthest apart are on either side of the first."""
    rows = np.ones((1025, 2))
    rows[:, 1] += 1e-5 * np.arange(1025)
    rows[[0, 512]] = rows[[512, 0]]
    exact = distance(rows[1], rows[1023], "none")
    assert find_near_ties(rows[:1024], 0.01).diameters[0] == pytest.approx(distance(rows[512], rows[1023], "none"))
    assert find_near_ties(rows, 0.01).diameters[0] > 1.0001 * exact


def test_exactly_equal_units_are_one_row():
    """10,000 padding rows are compared with nothing: beyond the labels, memory is that of the few that differ."""
    rows = np.ones((10_000, 512))
    rows[-3:] = [[2.0], [2.001], [5.0]]
    tracemalloc.start()
    found = find_near_ties(rows, 0.01)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.groups == ((9997, 9998),)
    assert peak < rows.nbytes / 4


def test_the_bias_is_one_more_entry():
    rows = np.array([[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0]])
    assert find_near_ties(rows, 1e-6, symmetry="scale").groups == ((0, 1),)
    assert find_near_ties(rows, 1e-6, symmetry="scale", bias=np.array([1.0, 2.0, 0])).groups == ((0, 1),)
    assert find_near_ties(rows, 1e-6, symmetry="scale", bias=np.array([1.0, 1.0, 0])).groups == ()
    assert find_near_ties(rows, 1e-6, symmetry="sign", bias=np.array([1.0, 0, -1.0])).groups == ((0, 2),)
    assert find_near_ties(rows, 1e-6, symmetry="sign", bias=np.array([1.0, 0, 1.0])).groups == ()
    assert find_near_ties(rows[[0, 0]], 0.1, bias=np.array([1.0, 9.0])).groups == ()
    assert find_near_ties(np.eye(3)[[0, 0, 1, 2]], 0.1, bias=np.array([0.0, 9, 0, 0])).labels.tolist() == [0, 1, 2, 3]
    assert find_near_ties(rows[[0, 0]], 0.1, bias=np.array([1.0, np.nan])).labels.tolist() == [0, 1]
    assert find_near_ties(rows, 0.5, bias=np.array([np.inf, np.inf, 1e300])).labels.tolist() == [0, 1, 2]
    assert find_near_ties(np.zeros((2, 3)), 0.1, bias=np.array([1.0, 1.05])).groups == ((0, 1),)


@settings(max_examples=25)
@given(rows=planted(), workers=st.integers(2, 4))
def test_the_result_does_not_depend_on_threads(rows, workers):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pairs, "FEW", 0)
        one, many = find_near_ties(rows, 0.1, workers=1), find_near_ties(rows, 0.1, workers=workers)
    assert one.labels.tolist() == many.labels.tolist()
    assert one.diameters == many.diameters


@pytest.mark.parametrize("tolerance", [-0.1, 0.51, float("nan"), float("inf"), True, "0.1", 1j])
def test_a_tolerance_is_a_relative_distance(tolerance):
    with pytest.raises(ValueError, match=r"tolerance is a relative distance from 0 to 0.5; got "):
        find_near_ties(np.eye(3), tolerance)
    with pytest.raises(ValueError, match=r"tolerance is a relative distance"):
        sb.diagnose(np.eye(3), tolerance=tolerance)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"symmetry is one of none, scale, sign; got 'odd'"):
        find_near_ties(np.eye(3), 0.1, symmetry="odd")
    with pytest.raises(ValueError, match=r"bias has shape \(2,\), and there are 3 units"):
        find_near_ties(np.eye(3), 0.1, bias=np.ones(2))
    with pytest.raises(TypeError, match="numbers"):
        find_near_ties(np.array([["a"]]), 0.1)


def test_near_ties_of_a_tolerance_of_zero_are_those_of_powers_of_two():
    rows = np.array([[3.0, 1.0], [6.0, 2.0], [-3.0, -1.0]])
    assert find_near_ties(rows, 0).groups == ()
    assert find_near_ties(rows, 0, symmetry="scale").groups == ((0, 1),)
    assert find_near_ties(rows, 0, symmetry="sign").groups == ((0, 2),)


# What is reported.


def weight(**units):
    rows = np.random.default_rng(3).normal(size=(6, 8))
    for name, row in units.items():
        rows[int(name[1:])] = row
    return rows


BASE = weight()
NEAR = BASE[1] + 1e-3 * np.eye(8)[0]
CASES = {
    "nothing": (weight(), []),
    "near": (weight(u4=NEAR), [("SB103", ((1, 4),))]),
    "near, and equal": (weight(u2=BASE[1], u4=NEAR), [("SB102", ((1, 2),)), ("SB103", ((1, 2, 4),))]),
    "equal alone": (weight(u4=BASE[1]), [("SB102", ((1, 4),))]),
    "scaled": (weight(u4=3 * BASE[1]), [("SB104", ((1, 4),))]),
    "scaled and near": (weight(u4=3 * BASE[1], u5=NEAR), [("SB103", ((1, 5),)), ("SB104", ((1, 4, 5),))]),
    "negated": (weight(u0=-BASE[1]), [("SB105", ((0, 1),))]),
    "negated twice": (weight(u0=-BASE[1], u2=NEAR), [("SB103", ((1, 2),)), ("SB105", ((0, 1, 2),))]),
    "all equal": (np.ones((4, 3)), [("SB101", ((0, 1, 2, 3),))]),
    "all near": (1 + 1e-4 * np.arange(12).reshape(4, 3), [("SB103", ((0, 1, 2, 3),))]),
}


@pytest.mark.parametrize(("rows", "expected"), CASES.values(), ids=CASES)
def test_each_code_says_what_the_others_do_not(rows, expected):
    report = sb.diagnose(rows, tolerance=0.01)
    assert [(each.code, each.groups) for each in report.findings] == expected
    assert {each.code for each in sb.diagnose(rows).findings} <= {"SB101", "SB102", "SB106", "SB108"}


def test_only_what_is_nearly_equal_as_it_is_is_a_warning():
    levels = {
        each.code: str(each.level)
        for each in sb.diagnose(weight(u4=3 * BASE[1], u5=NEAR, u0=-BASE[1]), tolerance=0.01).findings
    }
    assert levels == {"SB103": "warning", "SB104": "note", "SB105": "note"}
    assert sb.diagnose(weight(u4=3 * BASE[1]), tolerance=0.01).ok


def test_a_finding_says_how_far_apart_and_rounds_up():
    rows = np.array([[1.0, 0.0], [1.0, 0.001198], [5, 5]])
    (finding,) = sb.diagnose(rows, tolerance=0.01).findings
    assert finding.message == "2 units have nearly equal incoming weights, within 0.01: 0, 1 (at most 0.0012 apart)"


def test_many_classes_are_cut_short_in_the_text_and_whole_in_the_groups():
    rows = np.repeat(np.random.default_rng(0).normal(size=(12, 9)), 2, axis=0)
    rows[::2] *= 1 + 1e-5
    (finding,) = sb.diagnose(rows, tolerance=1e-4).findings
    assert finding.groups == tuple((2 * i, 2 * i + 1) for i in range(12))
    assert (
        "24 units form 12 classes with nearly equal incoming weights, within 0.0001: 0, 1 (at most" in finding.message
    )
    assert finding.message.endswith("; ...")
    assert finding.message.count(";") == 8


@pytest.mark.parametrize("classes", [1, 8, 9])
def test_each_class_is_shown_with_its_own_distance_and_the_ninth_is_cut(classes):
    rows = 10 * np.eye(2 * classes, 4 * classes)
    rows[1::2] = rows[::2]
    rows[1::2, -1] = 10 * 1e-4 * (1 + np.arange(classes))
    (finding,) = sb.diagnose(rows, tolerance=1e-3).findings
    shown = finding.message.partition("0.001: ")[2].split("; ")
    assert len(shown) == min(classes, 8) + (classes == 9)
    assert (shown[-1] == "...") == (classes == 9)
    for number, text in enumerate(shown[:8]):
        units, diameter = text.removesuffix(" apart)").split(" (at most ")
        assert units == f"{2 * number}, {2 * number + 1}"
        assert -1e-9 < float(diameter) - 1e-4 * (number + 1) < 2e-5
    assert finding.groups == tuple((2 * k, 2 * k + 1) for k in range(classes))
    assert finding.message.startswith(f"{2 * classes} units {'have' if classes == 1 else f'form {classes} classes'}")


def test_exact_multiples_are_no_distance_apart():
    rows = weight(u4=2 * BASE[1], u5=-BASE[2])
    scaled, turned = sb.diagnose(rows, tolerance=0.01).findings
    assert (scaled.code, turned.code) == ("SB104", "SB105")
    assert scaled.message.endswith("equal up to a positive factor, within 0.01: 1, 4 (at most 0 apart)")
    assert turned.message.endswith("equal up to sign, within 0.01: 2, 5 (at most 0 apart)")


@pytest.mark.parametrize("rows", [np.ones((4, 3)), np.ones((1, 3)), np.ones((4, 0)), np.ones((0, 3)), np.zeros((4, 3))])
def test_where_all_units_are_equal_or_none_is_there_nothing_is_near(rows):
    assert judge_near("w", rows, 0.01, "weights") == []


@pytest.mark.parametrize("first", [0, 5])
def test_two_units_are_enough_and_are_numbered_from_the_first(first):
    rows = np.array([[1.0, 2.0], [1.0, 2.0001]])
    (finding,) = judge_near("w", rows, 0.01, "weights", first=first)
    assert (finding.code, finding.groups) == ("SB103", ((first, first + 1),))
    (finding,) = judge_near("w", np.array([[1.0, 2.0], [3.0, 6.0], [1.0, 0.0]]), 0.01, "weights", first=first)
    assert (finding.code, finding.groups) == ("SB104", ((first, first + 1),))


def test_units_are_compared_within_their_head():
    rows = np.random.default_rng(0).normal(size=(8, 6))
    rows[3], rows[6] = rows[2] * 1.0001, rows[1] * 1.0001
    report = sb.diagnose(rows, axes=sb.Axes("oi", splits=2), tolerance=0.01)
    assert [(each.code, each.groups) for each in report.findings] == [("SB103", ((2, 3),))]
    assert [each.groups for each in sb.diagnose(rows, tolerance=0.01).findings] == [((1, 6), (2, 3))]


def test_a_bias_that_is_not_one_of_these_units_is_left_out():
    rows = np.array([[1.0, 2.0], [2.0, 4.0], [5.0, 1.0]])
    (found,) = judge_weight(rows, tolerance=1e-6).findings
    assert (found.code, found.groups) == ("SB104", ((0, 1),))
    assert judge_weight(rows, tolerance=1e-6, bias=np.array([1.0, 1.0, 0.0])).findings == ()
    assert judge_weight(rows, tolerance=1e-6, bias=np.array([1.0, 1.0])).findings == (found,)
    twice, halves = np.concatenate([rows, 3 * rows + 1]), sb.Axes("oi", splits=2)
    parts = judge_weight(twice, axes=halves, tolerance=1e-6).findings
    assert [each.groups for each in parts] == [((0, 1),)]
    assert judge_weight(twice, axes=halves, tolerance=1e-6, bias=np.array([1.0, 1.0, 0.0])).findings == parts


@pytest.mark.parametrize(
    ("kernel", "bias"), [("fc.weight", "fc.bias"), ("fc/kernel", "fc/bias"), ("a.kernel", "a.bias")]
)
def test_biases_join_the_weights_by_name(kernel, bias):
    rows = np.random.default_rng(0).normal(size=(6, 5))
    rows[4] = 3 * rows[1]
    stored = rows if kernel.endswith("weight") else rows.T
    values = np.arange(6.0)
    axes = {kernel: "oi" if kernel.endswith("weight") else "io"}
    for known in (None, axes):
        assert sb.diagnose({kernel: stored, bias: values}, axes=known, tolerance=0.01).findings == ()
        values[4] = 3 * values[1]
        (finding,) = sb.diagnose({kernel: stored, bias: values}, axes=known, tolerance=0.01).findings
        assert (finding.code, finding.groups) == ("SB104", ((1, 4),))
        values[4] = 4


def test_the_command_takes_a_tolerance(tmp_path, capsys):
    path = tmp_path / "a.safetensors"
    save_safetensors(path, {"fc.weight": weight(u4=NEAR)})
    assert main(["check", str(path)]) == 0
    capsys.readouterr()
    assert main(["check", str(path), "--tolerance", "0.01", "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [(each["code"], each["groups"]) for each in found] == [("SB103", [[1, 4]])]


@pytest.mark.parametrize("value", ["0.6", "-1", "nan", "a\x1b[31m", ""])
def test_the_command_refuses_what_is_no_tolerance(value, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["check", "x", f"--tolerance={value}"])
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert "a relative distance from 0 to 0.5 is needed; got" in err
    assert "\x1b" not in err


def test_near_ties_show_their_groups_in_order():
    found = NearTies(np.array([0, 1, 0, 2, 1]), {1: 0.1, 0: 0.2})
    assert found.groups == ((0, 2), (1, 4))


@pytest.mark.parametrize("classes", [1, 20, 21, 24])
def test_a_notebook_shows_twenty_classes_with_their_distances_and_counts_the_others(classes):
    units = np.repeat(np.arange(1.0, classes + 1), 2)
    shown = NearTies(units.astype(np.intp) - 1, {label: (label + 1) / 1000 for label in range(classes)})._repr_html_()
    assert f"{2 * classes} units in {classes} class{'es' if classes > 1 else ''}" in shown
    assert shown.count("largest distance in the class of") == min(classes, 20)
    assert f"largest distance in the class of {2 * min(classes, 20) - 2}<" in shown
    assert f"{min(classes, 20) / 1000:.3g}" in shown
    assert ("more classes" in shown) == (classes > 20)
    assert classes <= 20 or f"and {classes - 20} more classes" in shown
