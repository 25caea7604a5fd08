"""Nguyen and Widrow's layers, and output biases that know how often each class occurs."""

import math

import numpy as np
import pytest

import symbreak as sb


@pytest.mark.parametrize(("units", "inputs"), [(1, 1), (20, 1), (20, 2), (7, 5), (300, 40)])
def test_incoming_weights_have_the_length_of_the_paper(units, inputs):
    weight, bias = sb.nguyen_widrow((units, inputs), rng=0, dtype="float64")
    beta = 0.7 * units ** (1 / inputs)
    assert np.linalg.norm(weight, axis=1) == pytest.approx(np.full(units, beta), rel=1e-13)
    steps = beta * (np.linspace(-1, 1, units) if units > 1 else np.zeros(1))
    assert bias == pytest.approx(steps * np.sign(weight[:, 0]), rel=1e-13)


def intervals(units, low=-1.0, high=1.0, active=(-1.0, 1.0)):
    """Give the part of the input where each unit is active, sorted by its begin: (units, 2)."""
    weight, bias = sb.nguyen_widrow((units, 1), rng=3, low=low, high=high, active=active, dtype="float64")
    ends = (np.array(active) - bias[:, None]) / weight
    return np.sort(np.sort(ends, axis=1), axis=0)


@pytest.mark.parametrize(
    ("low", "high", "active"), [(-1, 1, (-1, 1)), (0, 10, (-1, 1)), (-5, -4.5, (-2, 2)), (0, 1, (0, 3))]
)
@pytest.mark.parametrize("units", [4, 10, 50])  # with three, steps of 1 are longer than 2 / 2.1
def test_active_intervals_tile_the_range_of_the_input(units, low, high, active):
    parts = intervals(units, low, high, active)
    width = (high - low) / (0.7 * units)
    assert np.diff(parts, axis=1)[:, 0] == pytest.approx(np.full(units, width), rel=1e-9)
    assert np.diff(parts.mean(axis=1)) == pytest.approx(np.full(units - 1, (high - low) / (units - 1)), rel=1e-9)
    assert parts[0].mean() == pytest.approx(low, abs=1e-9)
    assert parts[-1].mean() == pytest.approx(high, abs=1e-9)
    assert (parts[1:, 0] <= parts[:-1, 1] + 1e-9).all()  # no gap


def test_a_beta_that_forgets_the_number_of_units_leaves_gaps():
    """mlpack's integer division makes beta 0.7 for every number of units: all intervals cover everything."""
    parts = intervals(50)
    widths = np.diff(parts, axis=1)[:, 0]
    assert not np.allclose(widths, 2 / 0.7)


@pytest.mark.parametrize("ranges", [(0, 10), ([0, -3, 5], [1, 3, 6])])
def test_inputs_of_any_range_are_mapped_to_the_units_first(ranges):
    low, high = (np.broadcast_to(np.asarray(each, float), 3) for each in ranges)
    plain = sb.nguyen_widrow((8, 3), rng=1, dtype="float64")
    mapped = sb.nguyen_widrow((8, 3), rng=1, low=ranges[0], high=ranges[1], dtype="float64")
    x = np.random.default_rng(0).uniform(low, high, (20, 3))
    scaled = 2 * (x - low) / (high - low) - 1
    assert x @ mapped.weight.T + mapped.bias == pytest.approx(scaled @ plain.weight.T + plain.bias, abs=1e-12)


def test_directions_are_random_by_key_and_layouts_are_read():
    one = sb.nguyen_widrow((8, 3), rng=1)
    assert (one.weight == sb.nguyen_widrow((8, 3), rng=1).weight).all()
    assert not (one.weight == sb.nguyen_widrow((8, 3), rng=2).weight).any()
    turned = sb.nguyen_widrow((3, 8), rng=1, axes="io")
    assert np.linalg.norm(turned.weight, axis=0) == pytest.approx(np.full(8, 0.7 * 8 ** (1 / 3)), rel=1e-6)
    stacked = sb.nguyen_widrow((4, 8, 3), rng=1, axes="boi")
    assert stacked.bias.shape == (4, 8)
    assert sb.nguyen_widrow((0, 3), rng=0).bias.shape == (0,)
    assert sb.nguyen_widrow((5, 0), rng=0).bias.tolist() == [0.0] * 5
    half = sb.nguyen_widrow((8, 3), rng=1, dtype="bfloat16")
    assert half.weight.tobytes() == one.weight.astype(half.weight.dtype).tobytes()
    assert half.bias.tobytes() == one.bias.astype(half.bias.dtype).tobytes()


def test_frequencies_are_what_an_untrained_head_predicts():
    bias = sb.PriorBias((0.5, 0.01, 1e-6))(6, dtype="float64")
    assert 1 / (1 + np.exp(-bias)) == pytest.approx(np.array([0.5, 0.01, 1e-6] * 2), rel=1e-12)
    counts = np.array([900, 90, 9, 1])
    logits = sb.PriorBias(tuple(counts.tolist()), head="softmax")(4, dtype="float64")
    assert np.exp(logits) == pytest.approx(counts / 1000, rel=1e-12)
    assert sb.PriorBias(counts / 1000, head="softmax")(4, dtype="float64") == pytest.approx(logits, rel=1e-12)


def test_the_first_loss_of_a_rare_class_is_its_entropy():
    """RetinaNet's reason: with bias 0 the loss over the negatives is ln 2 each."""
    p = 0.01
    b = sb.PriorBias(p)(1, dtype="float64")[0]
    loss = p * np.logaddexp(0, -b) + (1 - p) * np.logaddexp(0, b)
    assert loss == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p), rel=1e-12)
    assert loss < math.log(2) / 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.PriorBias(0), "PriorBias: prior is frequencies between 0 and 1, one or one a class; got 0"),
        (lambda: sb.PriorBias((0.5, 1.0)), "frequencies between 0 and 1, .* got 1.0"),
        (lambda: sb.PriorBias("rare"), "got 'rare'"),
        (
            lambda: sb.PriorBias((3, -1), head="softmax"),
            "PriorBias: prior is positive frequencies or counts, .* got -1",
        ),
        (lambda: sb.PriorBias(0.5, head="softmax"), "a softmax takes the frequency of each class; got 1 of them"),
        (lambda: sb.PriorBias(()), "a sigmoid takes the frequency of each class; got 0 of them"),
        (lambda: sb.PriorBias(head="relu"), "PriorBias: head is 'sigmoid' or 'softmax'; got 'relu'"),
        (lambda: sb.PriorBias((0.1, 0.2))(3), r"a multiple of the 2 frequencies; got `shape` \(3,\)"),
        (lambda: sb.PriorBias()((3, 4)), r"PriorBias: a bias has one axis .* got `shape` \(3, 4\)"),
        (
            lambda: sb.nguyen_widrow((4, 2), low=1),
            "the inputs lie between low and high, low < high; got low=1, high=1.0",
        ),
        (lambda: sb.nguyen_widrow((4, 2), low=[0, 0, 0]), "one for each of the 2 inputs; got low="),
        (lambda: sb.nguyen_widrow((4, 2), high="x"), "low and high are numbers, .* high='x'"),
        (lambda: sb.nguyen_widrow((4, 2), active=(1, -1)), r"two numbers, the lower first; got \(1, -1\)"),
        (lambda: sb.nguyen_widrow((4, 2), active=3), "active is two numbers, such as .* got 3"),
        (lambda: sb.nguyen_widrow((4, 2), axes=sb.Axes("oi", splits=2)), "make the groups or parts of 'oi' one by one"),
        (
            lambda: sb.nguyen_widrow((4, 2), rng=0, low=-1e-6, high=1e-6, dtype="float16"),
            "between low=-1e-06 and high=1e-06 take weights that float16 doesn't hold; scale the inputs",
        ),
        (lambda: sb.nguyen_widrow(5), "a weight needs an output and an input axis"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
