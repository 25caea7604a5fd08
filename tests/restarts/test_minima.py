"""Weights that a symmetry leads from one to the other count once, others as often as they are."""

import math
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak._restarts import Restarts, _minima

SHAPES = ([2, 4, 1], [3, 7, 2], [2, 5, 4, 1], [2, 6, 5, 3, 2], [2, 1, 1])


def random_parameters(sizes, rng, bias=True):
    found = {}
    for number, (inputs, units) in enumerate(pairwise(sizes)):
        found[f"layers.{number}.weight"] = rng.normal(size=(units, inputs))
        if bias:
            found[f"layers.{number}.bias"] = rng.normal(size=units)
    return found


def transformed(parameters, activation, rng):
    """Change every hidden layer by a random element of the group, so that no output changes."""
    parameters = {name: array.copy() for name, array in parameters.items()}
    count = sum(name.endswith(".weight") for name in parameters)
    for number in range(count - 1):
        units = len(parameters[f"layers.{number}.weight"])
        order = rng.permutation(units)
        factor = {"tanh": rng.choice([-1.0, 1.0], units), "relu": np.exp(rng.normal(size=units))}[activation]
        for part in ("weight", "bias"):
            if (name := f"layers.{number}.{part}") in parameters:
                parameters[name] = (parameters[name].T * factor).T[order]
        above = f"layers.{number + 1}.weight"
        parameters[above] = (parameters[above] / factor)[:, order]
    return parameters


def result_of(networks, activation, losses=None):
    stacked = {name: np.stack([each[name] for each in networks]) for name in networks[0]}
    losses = np.zeros(len(networks)) if losses is None else np.array(losses)
    return Restarts(losses, losses, np.ones(len(networks), np.int64), stacked, stacked, activation, "mse")


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
@given(seed=st.integers(0, 2**32), bias=st.booleans())
def test_planted_copies_count_once_and_others_apart(activation, sizes, seed, bias):
    rng = np.random.default_rng(seed)
    originals = [random_parameters(sizes, rng, bias) for _ in range(3)]
    networks = [transformed(originals[n % 3], activation, rng) for n in range(9)]
    result = result_of(originals + networks, activation)
    x = rng.normal(size=(4, sizes[0]))
    np.testing.assert_allclose(result.network(3)(x), result.network(0)(x), rtol=1e-8, atol=1e-8)  # the plant is sound
    minima = result.minima(1e-6)
    assert minima.labels.tolist() == [0, 1, 2] * 4
    assert minima.counts.tolist() == [4, 4, 4]
    assert minima.starts.tolist() == [0, 1, 2]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_change_that_is_no_symmetry_counts_twice(activation):
    rng = np.random.default_rng(0)
    one = random_parameters([2, 4, 1], rng)
    other = transformed(one, activation, rng)
    wrong = {name: array.copy() for name, array in other.items()}
    wrong["layers.0.weight"][0] *= -1 if activation == "relu" else 2  # the other activation's symmetry
    wrong["layers.1.weight"][:, 0] *= -1 if activation == "relu" else 0.5
    wrong["layers.0.bias"][0] *= -1 if activation == "relu" else 2
    half = {name: array.copy() for name, array in other.items()}
    half["layers.0.weight"][0] *= -1  # without the outgoing side
    moved = {name: array.copy() for name, array in other.items()}
    moved["layers.1.bias"] += 0.5
    assert result_of([one, other, wrong, half, moved], activation).minima().labels.tolist() == [0, 0, 1, 2, 3]


def test_the_tolerance_is_the_distance_over_the_length():
    rng = np.random.default_rng(1)
    one = random_parameters([2, 4, 1], rng)
    length = math.sqrt(sum((array**2).sum() for array in one.values()))
    other = transformed(one, "tanh", rng)
    other["layers.1.bias"] += 0.01 * length
    assert len(result_of([one, other], "tanh").minima(0.0101)) == 1
    assert len(result_of([one, other], "tanh").minima(0.0099)) == 2


def test_one_hidden_layer_is_matched_as_well_as_by_trying_everything():
    rng = np.random.default_rng(2)
    for odd in (True, False):
        for _ in range(10):
            a, b = ([rng.normal(size=(3, 3)), rng.normal(size=(2, 4))] for _ in range(2))
            tried = []
            for order, signs in product(permutations(range(3)), product([1, -1] if odd else [1], repeat=3)):
                first = b[0][list(order)] * np.array(signs)[:, None]
                last = np.column_stack([b[1][:, list(order)] * signs, b[1][:, 3]])
                tried.append(math.hypot(np.linalg.norm(a[0] - first), np.linalg.norm(a[1] - last)))
            assert _minima.distance(a, b, odd=odd) == pytest.approx(min(tried), rel=1e-12)


@given(seed=st.integers(0, 2**32), sizes=st.sampled_from(SHAPES), odd=st.booleans())
def test_the_marks_move_no_further_than_the_weights(seed, sizes, odd):
    rng = np.random.default_rng(seed)
    a, b = (_minima._layers({k: v[None] for k, v in random_parameters(sizes, rng).items()}, 0) for _ in range(2))
    apart = _minima.distance(a, b, odd=odd)
    for one, other in zip(_minima._marks(a), _minima._marks(b), strict=True):
        assert np.linalg.norm(one - other) <= apart * (1 + 1e-12)


def test_outgoing_weights_tell_apart_what_incoming_ones_leave_open():
    rng = np.random.default_rng(3)
    for _ in range(20):
        one = random_parameters([2, 4, 4, 1], rng)
        one["layers.0.weight"][1] = one["layers.0.weight"][0]
        one["layers.0.bias"][1] = one["layers.0.bias"][0]
        other = transformed(one, "tanh", rng)
        assert len(result_of([one, other], "tanh").minima(1e-6)) == 1


def test_under_the_identity_one_map_is_one_minimum():
    rng = np.random.default_rng(4)
    one = random_parameters([3, 4, 4, 2], rng)
    mixed = {name: array.copy() for name, array in one.items()}
    change = rng.normal(size=(4, 4))
    mixed["layers.0.weight"], mixed["layers.0.bias"] = change @ one["layers.0.weight"], change @ one["layers.0.bias"]
    mixed["layers.1.weight"] = one["layers.1.weight"] @ np.linalg.inv(change)
    shifted = {name: array.copy() for name, array in one.items()}
    shifted["layers.1.bias"] += 1
    networks = [one, mixed, shifted, random_parameters([3, 4, 4, 2], rng)]
    assert result_of(networks, "identity").minima().labels.tolist() == [0, 0, 1, 2]


def test_a_relu_unit_that_reads_nothing_writes_nothing():
    one = random_parameters([2, 3, 1], np.random.default_rng(5))
    one["layers.0.weight"][0] = one["layers.0.bias"][0] = 0
    other = {name: array.copy() for name, array in one.items()}
    other["layers.1.weight"][0, 0] += 5
    assert len(result_of([one, other], "relu").minima()) == 1


def test_minima_come_in_the_order_of_their_losses_and_starts_above_the_threshold_are_left_out():
    rng = np.random.default_rng(6)
    networks = [random_parameters([2, 3, 1], rng) for _ in range(4)]
    copy = transformed(networks[1], "tanh", rng)
    result = result_of([*networks, copy], "tanh", [0.3, 0.2, math.inf, 0.1, 0.15])
    minima = result.minima()
    assert minima.labels.tolist() == [2, 1, -1, 0, 1]
    assert minima.starts.tolist() == [3, 4, 0]
    assert minima.losses.tolist() == [0.1, 0.15, 0.3]
    assert len(minima) == 3
    assert result.minima(threshold=0.2).labels.tolist() == [-1, 1, -1, 0, 1]
    assert len(result.minima(threshold=0.01)) == 0


def test_training_finds_few_minima_where_there_are_few():
    """Two hidden units and 40 points that no such network fits: minima are isolated."""
    x = np.linspace(-2, 2, 40)[:, np.newaxis]
    result = sb.restarts([1, 2, 1], x, np.sin(3 * x), starts=40, steps=6000, optimizer=engine.SGD(0.1), rng=0,
                         dtype="float64")  # fmt: skip
    minima = result.minima(0.05, threshold=float(np.median(result.losses)))
    assert minima.counts.max() > 5
    assert len(minima) < 10


def test_the_table_shows_each_minimum():
    rng = np.random.default_rng(7)
    networks = [random_parameters([2, 3, 1], rng) for _ in range(12)]
    minima = result_of([*networks, networks[0]], "tanh", [*(n / 10 for n in range(12)), 5]).minima()
    assert repr(minima) == "Minima(12 distinct among 13 starts)"
    lines = str(minima).splitlines()
    assert lines[0] == "12 distinct minima among 13 starts, tolerance 0.001"
    assert lines[1].split() == ["minimum", "loss", "starts", "effective", "units", "best", "start"]
    assert lines[2].split() == ["0", "0", "2", "3", "0"]
    assert lines[11].split() == ["9", "0.9", "1", "3", "9"]
    assert lines[12:] == ["... and 2 more"]
    shown = minima._repr_html_()
    assert shown.startswith(
        "<div><p>12 distinct minima among 13 starts, tolerance 0.001</p><table><thead><tr><th>minimum"
    )
    assert shown.count("<tr>") == 11
    assert "<tr><td>9</td><td>0.9</td><td>1</td><td>3</td><td>9</td></tr></tbody></table>" in shown
    assert shown.endswith("<p>... and 2 more</p></div>")


def copied(one, unit, factor=1.0):
    """Put a multiple of hidden unit `unit` in the place of unit 0, half of what is read of it from either."""
    found = {name: array.copy() for name, array in one.items()}
    for part in ("weight", "bias"):
        found[f"layers.0.{part}"][0] = factor * found[f"layers.0.{part}"][unit]
    return found


@pytest.mark.parametrize(
    ("activation", "factor", "units"),
    [
        ("tanh", 1.0, 3), ("tanh", -1.0, 3), ("tanh", 2.0, 4), ("relu", 1.0, 3), ("relu", 2.0, 3), ("relu", -1.0, 4),
        ("sigmoid", 1.0, 3), ("sigmoid", -1.0, 4), ("identity", -3.0, 3),
    ],
)  # fmt: skip
def test_units_that_compute_one_thing_count_once(activation, factor, units):
    one = random_parameters([3, 4, 2], np.random.default_rng(9))
    assert result_of([one], activation).minima().effective_units.tolist() == [4]
    assert result_of([copied(one, 2, factor)], activation).minima().effective_units.tolist() == [units]


def test_units_that_read_nothing_or_that_nothing_reads_do_not_count():
    one = random_parameters([3, 4, 4, 2], np.random.default_rng(10))
    one["layers.0.weight"][1] = 0  # its bias is left
    one["layers.2.weight"][:, 3] = 0
    assert result_of([one], "tanh").minima().effective_units.tolist() == [3 + 3]


def test_units_within_the_tolerance_count_once():
    one = copied(random_parameters([3, 4, 2], np.random.default_rng(11)), 2)
    one["layers.0.bias"][0] += 0.01 * math.hypot(np.linalg.norm(one["layers.0.weight"][2]), one["layers.0.bias"][2])
    result = result_of([one], "tanh")
    assert result.minima(0.02).effective_units.tolist() == [3]
    assert result.minima(0.005).effective_units.tolist() == [4]


def test_no_hidden_layer_has_no_hidden_units():
    assert result_of(
        [random_parameters([3, 2], np.random.default_rng(0))], "tanh"
    ).minima().effective_units.tolist() == [0]


@pytest.mark.parametrize("tolerance", [0, -1, math.nan, True, "0.1"])
def test_a_tolerance_that_makes_no_sense_is_refused(tolerance):
    result = result_of([random_parameters([2, 3, 1], np.random.default_rng(0))], "tanh")
    with pytest.raises(ValueError, match="a relative distance above 0, such as 1e-3; got"):
        result.minima(tolerance)


def test_a_threshold_of_nan_is_refused():
    result = result_of([random_parameters([2, 3, 1], np.random.default_rng(0))], "tanh")
    with pytest.raises(ValueError, match="a threshold is a loss"):
        result.minima(threshold=math.nan)


def test_float32_results_are_compared():
    rng = np.random.default_rng(8)
    one = {name: array.astype("float32") for name, array in random_parameters([2, 4, 1], rng).items()}
    other = {name: array.astype("float32") for name, array in transformed(one, "tanh", rng).items()}
    assert len(result_of([one, other], "tanh").minima(1e-6)) == 1
