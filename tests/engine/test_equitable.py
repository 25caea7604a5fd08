"""Equal sums keep units tied in every kind of layer, where no two units have equal weights.

One step at a time, each from where the sums are equal, within a bound on what rounding does; and, where all operations
are sums, products and quotients, with `==` for a thousand steps modulo a prime. Norms take a square root, an LSTM and
attention exponentials. Neither fractions nor residues have these, so that for them the bound is all there is: a
polynomial in place of the sigmoids would be another layer, and attention without its softmax no attention. MaxPool
needs an order, which residues don't have.
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._muon import COEFFICIENTS, ROUNDS, SMALLEST
from tests.engine._equitable import Equitable
from tests.engine.test_exact import OPTIMIZERS as POLYNOMIAL
from tests.engine.test_laws_optimizers import ON_GRADIENTS, rounding_bound

A, B, C = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1, 1, 2])
ROUNDING = 1e-12


class Draw:
    """Draws arrays: floats, or small whole numbers as residues."""

    def __init__(self, seed, kind=float):
        self.rng, self.kind = np.random.default_rng(seed), kind

    def __call__(self, *shape):
        if self.kind is float:
            return self.rng.normal(size=shape) / np.sqrt(shape[-1])
        numbers = np.empty(shape, object)
        for index in np.ndindex(shape):
            numbers[index] = self.kind(int(self.rng.integers(-9, 10)))
        return numbers


def dense(draw, squash="tanh"):
    layers = [engine.Dense(draw(5, 2), draw(5), squash), engine.Dense(draw(4, 5), draw(4), squash)]
    return [*layers, engine.Dense(draw(2, 4), draw(2))], {"layers.0": A, "layers.1": B}


def recurrent(draw, squash="tanh"):
    layers = [engine.Recurrent(draw(5, 2), draw(5, 5), draw(5), squash)]
    layers += [engine.Recurrent(draw(4, 5), draw(4, 4), draw(4), squash), engine.Dense(draw(2, 4))]
    return layers, {"layers.0": A, "layers.1": B}


def lstm(draw):
    layers = [engine.LSTM(draw(4, 5, 2), draw(4, 5, 5), draw(4, 5)), engine.LSTM(draw(4, 4, 5), draw(4, 4, 4))]
    return [*layers, engine.Dense(draw(2, 4), draw(2))], {"layers.0": A, "layers.1": B}


def attention(draw, *, causal=False, groups=2):
    """Two heads; the classes are those of the stream, of the query and key units of a head, and of its value units."""
    biases = {"query_bias": draw(2, 4), "key_bias": draw(groups, 4), "value_bias": draw(groups, 5)}
    heads = engine.Attention(
        draw(2, 4, 6),
        draw(groups, 4, 6),
        draw(groups, 5, 6),
        draw(6, 2, 5),
        output_bias=draw(6),
        causal=causal,
        **biases,
    )
    layers = {
        "stream": engine.Dense(draw(6, 2), draw(6)),
        "heads": heads,
        "sum": (engine.Add(), "stream", "heads"),
        "out": engine.Dense(draw(2, 6)),
    }
    return layers, {"stream": C, "heads.query_key": B, "heads.value": A}, {"stream": C, "heads": C, "sum": C}


def norm(make, draw):
    """A norm of what a dense layer writes, and a norm before the last."""
    layers = [
        engine.Dense(draw(5, 2), draw(5)),
        make(draw, 5),
        engine.Activate("tanh"),
        engine.Dense(draw(4, 5), draw(4)),
    ]
    layers += [make(draw, 4), engine.Dense(draw(2, 4), draw(2))]
    return (
        layers,
        {"layers.0": A, "layers.3": B},
        {"layers.0": A, "layers.1": A, "layers.2": A, "layers.3": B, "layers.4": B},
    )


def pooling(make, draw, squash="tanh"):
    layers = [engine.Conv1d(draw(5, 2, 2), draw(5), squash, stride=2), make()]
    layers += [engine.Conv1d(draw(4, 5, 2), draw(4), squash, padding=1), make(), engine.Flatten()]
    written = {"layers.0": A, "layers.1": A, "layers.2": B, "layers.3": B, "layers.4": B}
    return [*layers, engine.Dense(draw(2, 4), draw(2))], {"layers.0": A, "layers.2": B}, written


def global_pooling(draw, squash="tanh"):
    layers = [engine.Conv1d(draw(5, 2, 2), draw(5), squash, stride=2), engine.Conv1d(draw(4, 5, 1), draw(4), squash)]
    layers += [engine.GlobalAveragePool(), engine.Dense(draw(2, 4))]
    return layers, {"layers.0": A, "layers.1": B}, {"layers.0": A, "layers.1": B, "layers.2": B}


def image(draw, squash="tanh"):
    layers = [engine.Conv2d(draw(5, 2, 2, 1), draw(5), squash), engine.Conv2d(draw(4, 5, 1, 2), draw(4), squash)]
    return [*layers, engine.GlobalAveragePool(), engine.Dense(draw(2, 4))], {"layers.0": A, "layers.1": B}


def in_groups(draw, squash="tanh"):
    """Two groups, whose units are of different classes: a group reads its own inputs alone."""
    halves, fours = np.repeat([0, 1], 3), np.array([0, 0, 1, 1])
    layers = [engine.Conv1d(draw(6, 2, 2), draw(6), squash), engine.Conv1d(draw(4, 3, 1), draw(4), squash, groups=2)]
    layers += [engine.GlobalAveragePool(), engine.Dense(draw(2, 4))]
    return layers, {"layers.0": halves, "layers.1": fours}


def branches(draw, squash="tanh"):
    """A sum, and a concatenation that a last layer reads."""
    layers = {
        "stem": engine.Dense(draw(5, 2), draw(5), squash),
        "body": engine.Dense(draw(4, 5), draw(4), squash),
        "back": engine.Dense(draw(5, 4), draw(5)),
        "sum": (engine.Add(), "stem", "back"),
        "both": (engine.Concatenate(), "sum", "body"),
        "out": engine.Dense(draw(2, 9), draw(2)),
    }
    return layers, {"stem": A, "body": B}, {"stem": A, "body": B, "back": A, "sum": A}


def embedding(draw, squash="tanh"):
    layers = [engine.Embedding(draw(7, 5)), engine.Dense(draw(4, 5), draw(4), squash), engine.Dense(draw(2, 4))]
    return layers, {"layers.0": A, "layers.1": B}


def batch_norm(draw, units):
    return engine.BatchNorm(1 + draw(units), draw(units), eps=1e-2)


NETWORKS = {
    "dense": dense,
    "recurrent": recurrent,
    "LSTM": lstm,
    "attention": attention,
    "attention, causal, keys and values shared": partial(attention, causal=True, groups=1),
    "layer norm": partial(norm, lambda draw, units: engine.LayerNorm(1 + draw(units), draw(units), eps=1e-2)),
    "RMS norm": partial(norm, lambda draw, units: engine.RMSNorm(1 + draw(units), eps=1e-2)),
    "batch norm": partial(norm, batch_norm),
    "max pool": partial(pooling, lambda: engine.MaxPool(2)),
    "average pool": partial(pooling, lambda: engine.AveragePool(2)),
    "global average pool": global_pooling,
    "convolution over images": image,
    "convolution in groups": in_groups,
    "sum and concatenation": branches,
    "embedding": embedding,
}
EXACT = (
    "dense", "recurrent", "average pool", "global average pool", "convolution over images", "convolution in groups",
    "sum and concatenation", "embedding",
)  # fmt: skip
ROW = {  # the shape of one row of the inputs, and of the targets
    "recurrent": ((2, 2), (2, 2)),
    "LSTM": ((3, 2), (3, 2)),
    "attention": ((4, 2), (4, 2)),
    "attention, causal, keys and values shared": ((4, 2), (4, 2)),
    "max pool": ((8, 2), (2,)),
    "average pool": ((8, 2), (2,)),
    "global average pool": ((6, 2), (2,)),
    "convolution over images": ((2, 2, 2), (2,)),
    "convolution in groups": ((4, 2), (2,)),
    "embedding": ((), (2,)),
}


def problem(name, seed, kind=float):
    draw = Draw(seed, kind)
    layers, classes, *written = NETWORKS[name](draw) if kind is float else NETWORKS[name](draw, squash="square")
    net = engine.Network(layers, product="tie_preserving" if kind is float else "exact")
    return Equitable(net, classes, written[0] if written else classes)


def data(name, batch, rng, numbers):
    """Inputs and targets; `numbers` draws them."""
    row, targets = ROW.get(name, ((2,), (2,)))
    x = rng.integers(7, size=(batch, *row)) if name == "embedding" else numbers((batch, *row))
    return x, numbers((batch, *targets))


def steps_from_where_sums_are_equal(tied, name, optimizer, steps, seed, batch=5):
    """The largest defect that a step made; on the way, activations and error signals must be equal but for rounding."""
    rng, worst = np.random.default_rng(seed), 0.0
    states = {part: optimizer.start(array) for part, array in tied.net.parameters.items()}
    for number in range(steps):
        found = engine.gradients(tied.net, *data(name, batch, rng, lambda shape: rng.normal(size=shape)))
        assert tied.spread(found) <= ROUNDING
        now = optimizer.at(number)
        for part, array in tied.net.parameters.items():
            states[part] = now.step(array, found.parameters[part], states[part])
        for part, array in found.buffers.items():
            tied.net.buffers[part][...] = array
        worst = max(worst, tied.defect())
        tied.bring_back()
    return worst


def bound(name, optimizer):
    """What rounding may do in a step.

    The gradient of a key bias is zero but for rounding, 2**-53 of what cancels in it. Muon takes every matrix to one
    size, and so multiplies a gradient as small as that by up to 3.4445**5 / 1e-7.
    """
    magnified = 0.02 * COEFFICIENTS[0] ** ROUNDS / SMALLEST * 0.1 * 2**-53
    muon = isinstance(optimizer, engine.Muon) and name.startswith("attention")
    return rounding_bound(optimizer) + (magnified if muon else 0)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("optimizer", ON_GRADIENTS)
def test_equal_sums_survive_a_step_in_every_kind_of_layer(name, optimizer):
    chosen = ON_GRADIENTS[optimizer]
    worst = steps_from_where_sums_are_equal(problem(name, 1), name, chosen, steps=5, seed=2)
    assert worst <= bound(name, chosen)


@pytest.mark.parametrize("name", NETWORKS)
@given(
    seed=st.integers(0, 2**32), optimizer=st.sampled_from(["SGD", "Nesterov", "Adam", "AdamW"]), batch=st.integers(2, 9)
)
def test_equal_sums_survive_a_step_from_any_point(name, seed, optimizer, batch):
    chosen = ON_GRADIENTS[optimizer]
    worst = steps_from_where_sums_are_equal(problem(name, seed), name, chosen, steps=2, seed=seed, batch=batch)
    assert worst <= bound(name, chosen)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_weight_that_spoils_its_sums_is_seen_in_the_signals(name):
    """That what was found equal is no accident. A softmax cancels what all keys have in common, their bias."""
    rng, spoilt = np.random.default_rng(3), 0
    for part, array in problem(name, 1).net.parameters.items():
        tied, (x, y) = problem(name, 1), data(name, 40, rng, lambda shape: rng.normal(size=shape))
        assert tied.spread(engine.gradients(tied.net, x, y)) <= ROUNDING
        tied.net.parameters[part].flat[array.size // 2] += 0.25
        if tied.defect() > 1e-3 and part != "heads.key_bias":  # else the unit is alone in its class
            assert tied.spread(engine.gradients(tied.net, x, y)) > 1e-6, part
            spoilt += 1
    assert spoilt >= 3


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", EXACT)
def test_equal_sums_hold_without_rounding_for_a_thousand_steps_modulo_a_prime(name):
    tied = problem(name, 4, engine.Residue)
    rng, seen = np.random.default_rng(5), []

    def check(step):
        seen.append(step.number)
        if step.number % 50 in (0, 1):
            assert tied.unequal(step.gradients) == [], f"at step {step.number}"

    x, y = data(name, 1, rng, lambda shape: rng.integers(-3, 4, size=shape))
    assert tied.unequal(engine.gradients(tied.net, x, y)) == []
    engine.train(tied.net, x, y, optimizer=POLYNOMIAL["Momentum"], steps=1000, callback=check)
    assert seen == list(range(1000))
