"""Below the published signal the weights collapse to zero; above it their product lies where the law says."""

import numpy as np
import pytest

from symbreak import engine
from symbreak.published import stochastic_collapse
from symbreak.published._collapse import NOISE, RATE, law, next_order, run, step


@pytest.fixture(scope="module")
def found():
    return stochastic_collapse()


def test_a_step_is_the_engine_s_of_a_linear_network_with_noisy_targets():
    """The engine's loss has no half, so its rate is half of ours."""
    noise = np.random.default_rng(0).normal(size=50) * NOISE
    net = engine.Network([engine.Dense(np.array([[1.2]])), engine.Dense(np.array([[0.8]]))])
    u, v = np.array(0.8), np.array(1.2)
    for xi in noise:
        u, v = step(u, v, 0.7, RATE, xi)
        engine.train(net, [[1.0]], [[0.7 - xi]], optimizer=engine.SGD(RATE / 2), steps=1)
    weights = [float(net.parameters[f"layers.{n}.weight"][0, 0]) for n in (1, 0)]
    np.testing.assert_allclose([float(u), float(v)], weights, rtol=1e-12)


@pytest.mark.parametrize("signal", [0.1, 0.3])
def test_well_below_the_threshold_the_weights_are_gone(found, signal):
    row = found[f"E[uv] at signal {signal}"]
    assert row.published == 0
    assert 0 <= row.ours < 1e-9


@pytest.mark.parametrize("signal", [0.45, 0.55, 0.7, 1.0, 1.5])
def test_the_mean_is_that_of_the_law_up_to_its_next_order_and_the_sampling(found, signal):
    """The next order is 0.0075 here; five standard errors are allowed for the mean over runs."""
    errors = dict(zip(found.curves["signals"].tolist(), found.curves["errors"].tolist(), strict=True))
    row = found[f"E[uv] at signal {signal}"]
    assert row.published == pytest.approx(max(signal - 0.5, 0))
    assert abs(row.difference) < next_order() + 5 * errors[signal]
    assert errors[signal] < 0.005  # or the line above would allow anything


def test_the_law_has_the_published_threshold():
    assert law(0.5) == 0
    assert law(0.500001) > 0
    assert law(1.0, rate=0.02, noise=5.0) == 0.75


def test_without_noise_nothing_collapses():
    means, _ = run((0.1, 1.0), 0.05, 0.0, 4000)
    np.testing.assert_allclose(means, [0.1, 1.0], rtol=1e-6)
