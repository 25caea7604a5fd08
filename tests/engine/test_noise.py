"""Noise that is drawn for each unit breaks the ties of its own space, noise that all units share breaks none."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._activations import ACTIVATIONS
from symbreak.streams import Stream
from tests.engine._networks import random_data
from tests.engine._optimizers import OPTIMIZERS
from tests.engine._units import check_run, classes_of, differences, residual_network

AWKWARD = [17, 33, 65, 100]  # widths at which BLAS rounds the units at the edge of its tiles otherwise
widths = st.integers(2, 8) | st.sampled_from(AWKWARD)
optimizers = st.sampled_from(sorted(OPTIMIZERS)).map(OPTIMIZERS.__getitem__)
rates = st.floats(0.1, 0.9)
seeds = st.integers(0, 2**32)
LOSSES = ["mse", "logistic", "cross_entropy"]


def numbered(labels):
    """Classes in the order of their first units, so that two partitions can be compared."""
    seen = {}
    return [seen.setdefault(label, len(seen)) for label in labels]


def one_hidden(inputs, units, outputs, drop, *, incoming=0.5, bias=0.1, outgoing=0.3, activation="tanh"):
    """Tied hidden units, then what drops them: names ``hidden``, ``drop``, ``out``."""
    hidden = engine.Dense(np.full((units, inputs), incoming), np.full(units, bias), activation)
    return engine.Network({"hidden": hidden, "drop": drop, "out": engine.Dense(np.full((outputs, units), outgoing))})


def chain_with_dropout(sizes, labels, rate, seed):
    """``below``, ``middle`` and ``above``, each with the classes of `labels`, and dropout on ``middle`` alone."""
    rng = np.random.default_rng(seed)
    names = ["input", "below", "middle", "above", "out"]
    labels = {"input": np.arange(sizes[0]), "out": np.arange(sizes[-1])} | labels
    layers = {}
    for below, name in pairwise(names):
        # Copies add up: over the square root of their number, they would saturate what reads them.
        table = rng.normal(size=(labels[name].max() + 1, labels[below].max() + 1)) / len(labels[below])
        bias = rng.normal(size=labels[name].max() + 1)
        function = "identity" if name == "out" else "tanh"
        layers[name] = engine.Dense(table[labels[name]][:, labels[below]], bias[labels[name]], function)
        if name == "middle":
            layers["drop"] = engine.Dropout(rate)
    return engine.Network(layers)


# Noise drawn for each unit.


@given(
    units=widths, batch=st.integers(1, 6), rate=rates, steps=st.integers(1, 4), optimizer=optimizers,
    activation=st.sampled_from(["tanh", "gelu", "sigmoid", "erf"]), loss=st.sampled_from(LOSSES), seed=seeds,
)  # fmt: skip
def test_after_a_step_the_units_are_tied_that_were_dropped_together_and_no_others_are(
    units, batch, rate, steps, optimizer, activation, loss, seed
):
    """The first step separates two units where one is dropped in some row and the other not; none does elsewhere."""
    # Outputs so small that no row is learned to the last bit; two outputs alike would cancel under cross-entropy.
    net = one_hidden(3, units, 2, engine.Dropout(rate), activation=activation, outgoing=1 / units)
    net.parameters["out.weight"][0] *= 2
    x, y = random_data(batch, 3, 2, loss, seed=seed)
    masks = [()] * units

    def check(step):
        nonlocal masks
        dropped = step.gradients.activations["drop"] == 0
        masks = [(*before, *column) for before, column in zip(masks, dropped.T.tolist(), strict=True)]
        found = numbered(classes_of(net)["hidden"])
        together = numbered(masks)
        # Later, steps that swap two units' parts may lead them to the same weights again.
        assert found == together if step.number == 0 else len({*zip(found, together, strict=True)}) == len({*together})

    engine.train(net, x, y, loss=loss, optimizer=optimizer, steps=steps, rng=seed, callback=check)


@given(
    sizes=st.tuples(st.integers(1, 5), widths, widths, widths, st.integers(1, 3)), kinds=st.integers(1, 3),
    rate=st.floats(0.3, 0.7), steps=st.integers(2, 6), optimizer=optimizers, seed=seeds,
)  # fmt: skip
def test_dropout_leaves_the_ties_of_other_spaces_bit_for_bit(sizes, kinds, rate, steps, optimizer, seed):
    rng = np.random.default_rng(seed)
    labels = {name: rng.integers(kinds, size=size) for name, size in zip(("below", "above"), sizes[1::2], strict=True)}
    net = chain_with_dropout(sizes, labels | {"middle": np.zeros(sizes[2], int)}, rate, seed)
    assert set(classes_of(net)["middle"]) == {0}
    x, y = random_data(40, sizes[0], sizes[-1], "mse", seed=seed)
    check_run(net, x, y, labels, optimizer=optimizer, steps=steps, rng=seed, batch_size=20)
    assert len(set(classes_of(net)["middle"])) == sizes[2]  # while its own ties are gone


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize(("dropped", "broken", "tied"), [("up", "up", "embed"), ("down", "embed", "up")])
@pytest.mark.parametrize("norm", [engine.LayerNorm, engine.BatchNorm])
def test_in_a_residual_block_dropout_breaks_the_space_that_it_drops(order, dropped, broken, tied, norm):
    """On the block's units it breaks those; on what the block adds to the stream, it breaks the stream."""
    net = residual_network(
        order,
        lambda p: norm(p["scale"], p["shift"]),
        (3, 17, 33, 2),
        constant=0.3,
        after={dropped: engine.Dropout(0.5)},
    )
    sizes = {"embed": 17, "up": 33}
    x, y = random_data(30, 3, 2, "mse")
    check_run(net, x, y, {tied: np.zeros(sizes[tied], int)}, optimizer=engine.Adam(0.01), steps=20, rng=1)
    assert {space: len(set(labels)) for space, labels in classes_of(net).items()} == {broken: sizes[broken], tied: 1}


# Noise that all units share.


class SharedNoise(engine.AbstractLayer):
    """Dropout of whole rows and more: one random factor a row, the same for all units."""

    inputs = units = None
    noisy = True

    def __init__(self):
        self.parameters = {}

    def forward(self, x, run):
        factors = Stream(run.key, dtype="float64").uniform((len(x), 1), 0, 2)
        return x * factors, factors

    def backward(self, g, memory, run):
        return engine.Backward(g * memory, g, {})

    def wire(self, wiring, name, *sources):
        return sources[0]


@given(
    units=widths, batch=st.integers(1, 33), steps=st.integers(1, 20), optimizer=optimizers,
    loss=st.sampled_from(LOSSES), seed=seeds,
)  # fmt: skip
def test_noise_that_all_units_share_breaks_no_tie_bit_for_bit(units, batch, steps, optimizer, loss, seed):
    """Noise in inputs and targets, other at every step; the order of the rows; the learning rate; a factor a row."""
    rng = np.random.default_rng(seed)
    learning_rates = rng.uniform(0, 0.1, size=steps)
    x, y = random_data(batch * steps, 3, 2, loss, seed=seed)  # one pass: no row, and no noise in it, comes twice
    net = one_hidden(3, units, 2, SharedNoise(), outgoing=1 / units)
    net.parameters["out.weight"][0] *= 2  # two outputs alike would cancel under cross-entropy
    start = net.parameters["hidden.weight"].copy()
    settings = {"loss": loss, "steps": steps, "batch_size": batch, "rng": seed}
    noisy = replace(optimizer, learning_rate=lambda step: learning_rates[step])
    check_run(net, x, y, {"hidden": np.zeros(units, int)}, optimizer=noisy, **settings)
    assert (net.parameters["hidden.weight"] != start).any()


def test_the_same_noise_breaks_ties_where_each_unit_has_its_own():
    x, y = random_data(33, 3, 2, "mse")
    for drop, classes in ((SharedNoise(), 1), (engine.Dropout(0.5), 65)):
        net = one_hidden(3, 65, 2, drop)
        engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=1)
        assert len(set(classes_of(net)["hidden"])) == classes


def test_a_dropout_of_nothing_breaks_no_tie():
    net = one_hidden(3, 65, 2, engine.Dropout(0.0))
    x, y = random_data(33, 3, 2, "mse")
    assert check_run(net, x, y, {"hidden": np.zeros(65, int)}, optimizer=engine.SGD(0.1), steps=20, rng=3) == 20


# Blocked units.

AT_ZERO = sorted(name for name, row in ACTIVATIONS.items() if row.forward(np.zeros(1))[0] == 0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("activation", AT_ZERO)
def test_dropout_does_not_break_the_ties_of_blocked_units(optimizer, activation):
    """What reads zeros into zeros has no gradient either way, dropped or not; units beside them do train."""
    x, y = random_data(20, 3, 2, "mse", seed=2)
    net = one_hidden(3, 10, 2, engine.Dropout(0.5), activation=activation)
    blocked = np.arange(10) < 6
    rng = np.random.default_rng(3)
    net.parameters["hidden.weight"][~blocked] = 0.3 * rng.normal(size=(4, 3))
    net.parameters["hidden.weight"][blocked] = net.parameters["hidden.bias"][blocked] = 0
    net.parameters["out.weight"][:, blocked] = 0
    before = net.parameters["hidden.weight"].copy()
    engine.train(net, x, y, optimizer=replace(OPTIMIZERS[optimizer], learning_rate=0.02), steps=20, rng=4)
    assert not net.parameters["hidden.weight"][blocked].any()
    assert not net.parameters["hidden.bias"][blocked].any()
    assert not net.parameters["out.weight"][:, blocked].any()
    assert (net.parameters["hidden.weight"] != before)[~blocked].any(axis=1).all()
    assert numbered(classes_of(net)["hidden"]) == [0] * 6 + [1, 2, 3, 4]


@pytest.mark.parametrize("zeros", [("incoming", "bias"), ("outgoing",)])
def test_units_that_are_zero_on_one_side_only_are_not_blocked(zeros):
    net = one_hidden(3, 33, 2, engine.Dropout(0.5), **dict.fromkeys(zeros, 0.0))
    x, y = random_data(20, 3, 2, "mse", seed=2)
    assert set(classes_of(net)["hidden"]) == {0}
    engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=1, rng=4)
    assert len(set(classes_of(net)["hidden"])) == 33


def test_a_broken_tie_is_found_by_the_check():
    """The check that finds nothing above finds what there is."""
    net = one_hidden(3, 4, 2, engine.Dropout(0.5))
    x, y = random_data(20, 3, 2, "mse")
    with pytest.raises(AssertionError, match=r"at step 0 units of one class differ in: hidden\.weight"):
        check_run(net, x, y, {"hidden": np.zeros(4, int)}, optimizer=engine.SGD(0.1), steps=1)
    found = engine.gradients(one_hidden(3, 4, 2, engine.Dropout(0.5)), x, y, rng=0)
    wrong = differences(one_hidden(3, 4, 2, engine.Dropout(0.5)), {"hidden": np.zeros(4, int)}, found)
    assert "error signals of hidden" in wrong
    assert "activations of hidden" not in wrong
