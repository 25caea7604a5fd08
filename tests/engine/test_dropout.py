"""Dropout drops what its key says, at its rate, and only while training."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.engine._losses import LOSSES
from symbreak.engine._products import PRODUCTS
from symbreak.testing import check_gradient
from tests.engine._networks import in_torch, loss_in_torch, random_data
from tests.engine._units import residual_network

RUN = engine.Run(PRODUCTS["tie_preserving"], key=sb.Key(0))
rates = st.floats(0.05, 0.95)
seeds = st.integers(0, 2**32)


def factors_of(rate, shape, run=RUN, dtype="float64"):
    y, _ = engine.Dropout(rate).forward(np.ones(shape, dtype), run)
    return y


@given(rate=rates, seed=seeds)
def test_values_are_dropped_at_the_rate_and_the_others_keep_the_mean(rate, seed):
    y = factors_of(rate, (40, 5, 20), RUN._replace(key=sb.Key(seed)))
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-15)
    dropped = (y == 0).mean()
    assert abs(dropped - rate) < 6 * np.sqrt(rate * (1 - rate) / y.size)


def test_what_is_dropped_differs_between_rows_positions_and_units():
    dropped = factors_of(0.5, (30, 30, 30)) == 0
    for axis in range(3):
        slices = np.moveaxis(dropped, axis, 0).reshape(30, -1)
        assert len({each.tobytes() for each in slices}) == 30
        assert abs(np.corrcoef(slices) - np.eye(30)).max() < 6 / np.sqrt(900)


def test_what_is_dropped_follows_from_the_key_and_not_from_the_dtype():
    np.testing.assert_array_equal(factors_of(0.3, (7, 9)), factors_of(0.3, (7, 9)))
    np.testing.assert_array_equal(factors_of(0.5, (7, 9)), factors_of(0.5, (7, 9), dtype="float32"))
    assert factors_of(0.3, (7, 9), dtype="float32").dtype == np.float32
    assert (factors_of(0.3, (7, 9)) != factors_of(0.3, (7, 9), RUN._replace(key=sb.Key(1)))).any()


def dropping_network(rate=0.5, **kwargs):
    return residual_network(
        "pre",
        lambda p: engine.LayerNorm(p["scale"], p["shift"], eps=0.1),
        (3, 6, 8, 2),
        after={"up": engine.Dropout(rate), "embed": engine.Dropout(rate)},
        **kwargs,
    )


def test_every_layer_and_every_step_draws_noise_of_its_own():
    layers = {"hidden": engine.Dense(np.eye(20)), "one": engine.Dropout(0.5), "two": engine.Dropout(0.5)}
    net = engine.Network({**layers, "out": engine.Dense(np.eye(20))})
    x = np.ones((10, 20))
    masks = []

    def keep(step):
        one, two = (step.gradients.activations[name] != 0 for name in ("one", "two"))
        masks.extend([one, ~one | two])  # of the second, what the first leaves to be seen

    engine.train(net, x, x, optimizer=engine.SGD(1e-9), steps=3, rng=4, callback=keep)
    assert len({mask.tobytes() for mask in masks}) == 6
    first = engine.gradients(net, x, x, rng=4).activations
    assert ((first["one"] != 0) & (first["two"] == 0)).any()  # the second drops what the first kept


def test_a_network_at_rest_drops_nothing():
    net = dropping_network()
    x, y = random_data(5, 3, 2, "mse")
    plain = dropping_network(rate=0.0)
    np.testing.assert_array_equal(net(x), plain(x))
    rest, without = engine.gradients(net, x, y, training=False), engine.gradients(plain, x, y)
    assert rest.loss == without.loss
    for name in net.parameters:
        np.testing.assert_array_equal(rest[name], without[name])
    assert engine.gradients(net, x, y, rng=0).loss != rest.loss


def test_the_noise_of_gradients_and_of_training_follows_from_rng():
    x, y = random_data(5, 3, 2, "mse")

    def trained(rng):
        net = dropping_network()
        engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=5, rng=rng)
        return net.parameters

    for name, array in trained(1).items():
        np.testing.assert_array_equal(array, trained(1)[name])
        assert (array != trained(2)[name]).any()
    net = dropping_network()
    assert engine.gradients(net, x, y, rng=1).loss == engine.gradients(net, x, y, rng=1).loss
    assert engine.gradients(net, x, y, rng=1).loss != engine.gradients(net, x, y, rng=2).loss
    assert engine.gradients(net, x, y).loss != engine.gradients(net, x, y).loss


@pytest.mark.parametrize("loss", LOSSES)
@given(rate=rates, batch=st.integers(1, 5), seed=seeds)
def test_gradients_are_the_slopes_of_the_loss_under_the_same_noise(loss, rate, batch, seed):
    net = dropping_network(rate, seed=seed)
    x, y = random_data(batch, 3, 2, loss, seed=seed)
    found = engine.gradients(net, x, y, loss=loss, rng=seed)

    def value(parameters):
        other = dropping_network(rate, seed=seed)
        for name, array in other.parameters.items():
            array[...] = parameters[name]
        return engine.gradients(other, x, y, loss=loss, rng=seed).loss

    # A rate near 1 multiplies what is left by up to 20, twice over.
    check_gradient(
        value, found.parameters, net.parameters, step=1e-4, tolerance=1e-5, rounding=1e-14 * (1 + found.loss)
    )


def test_gradients_are_those_of_torch_under_the_same_noise():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(6, 3)), "b": rng.normal(size=(2, 6))}
    drop = engine.Dropout(0.4)
    net = engine.Network({"a": engine.Dense(arrays["a"], None, "tanh"), "drop": drop, "b": engine.Dense(arrays["b"])})
    x, y = random_data(4, 3, 2, "mse")
    found = engine.gradients(net, x, y, rng=5)
    factors = torch.tensor(found.activations["drop"] / found.activations["a"])
    p = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    outputs = (in_torch("tanh")(torch.tensor(x) @ p["a"].T) * factors) @ p["b"].T
    value = loss_in_torch("mse")(outputs, torch.tensor(y))
    value.backward()
    assert 0 < (factors == 0).sum() < factors.numel()
    assert found.loss == pytest.approx(value.item(), rel=1e-12)
    for name, tensor in p.items():
        np.testing.assert_allclose(found[f"{name}.weight"], tensor.grad.numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", [Fraction, engine.Residue])
def test_exact_numbers_are_dropped_without_rounding(kind):
    values = np.array([[kind(Fraction(n, 3)) for n in range(1, 9)] for _ in range(4)])
    y, memory = engine.Dropout(0.75).forward(values, RUN)
    kept = factors_of(0.75, (4, 8)) != 0
    np.testing.assert_array_equal(y, np.where(kept, values * 4, values * 0))
    back = engine.Dropout(0.75).backward(values, memory, RUN)
    np.testing.assert_array_equal(back.x, y)
    assert all(isinstance(value, kind) for value in y.flat)


def test_the_graph_passes_through_dropout():
    net = engine.Network(
        {"a": engine.Dense(np.ones((3, 2))), "drop": engine.Dropout(0.5), "b": engine.Dense(np.eye(3))}
    )
    assert {space.name: space.units for space in net.graph.spaces} == {"input": 2, "a": 3, "output": 3}
    assert net.graph.readers("a") == ("b.weight",)
    assert net.noisy


def test_dropout_says_what_it_is():
    assert repr(engine.Dropout(0.25)) == "Dropout(0.25)"


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, np.nan, None, "half"])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match="the rate of dropout must be a number of 0 or more and below 1; got"):
        engine.Dropout(rate)


def test_dropout_without_a_key_is_refused():
    net = dropping_network()
    x = np.ones((2, 3))
    with pytest.raises(
        ValueError, match=r"Dropout\(0.5\) draws noise while training, and there is no key .*: give one"
    ):
        net.forward(x)
    assert net.forward(x, key=sb.Key(0))[0]["head"].shape == net.forward(x, training=False)[0]["head"].shape == (2, 2)
    dropping_network(rate=0.0).forward(x)  # draws nothing, and needs no key
