"""Sine layers: the same distribution of activations and gradients at every depth."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

import symbreak as sb

WIDTH, DEPTH, BATCH = 512, 8, 64
# What a sine reads has variance v' = 2 E sin(z)**2 = 1 - exp(-2 v) in the next layer: at depth the v that stays.
VARIANCE = optimize.brentq(lambda v: 1 - math.exp(-2 * v) - v, 0.1, 1)


def forward(w0=30.0, wrong=1.0):
    """Give the pre-activations, outputs and weights of a deep sine network on a line of coordinates."""
    key = sb.Key(0)
    x = np.linspace(-1, 1, BATCH)[None]
    weights, read, made = [], [], []
    for depth in range(DEPTH):
        inputs = x.shape[0]
        w = sb.Siren(w0, first=depth == 0)((WIDTH, inputs), key[str(depth)], dtype="float64")
        weights.append(w if depth == 0 else wrong * w)
        read.append(w0 * weights[-1] @ x)
        x = np.sin(read[-1])
        made.append(x)
    return weights, read, made


def test_activations_are_arcsine_and_what_sines_read_is_normal_at_every_depth():
    """Theorem 1.8: arcsine up to the 0.065 by which a sine of such a normal differs from it."""
    _, read, made = forward()
    for depth in range(3, DEPTH):
        assert read[depth].std() == pytest.approx(math.sqrt(VARIANCE), rel=0.03)
        assert stats.kstest(read[depth].ravel(), stats.norm(0, math.sqrt(VARIANCE)).cdf).statistic < 0.01
        assert stats.kstest(made[depth].ravel(), stats.arcsine(-1, 2).cdf).statistic < 0.07


def test_weights_five_percent_too_small_are_caught():
    _, read, made = forward(wrong=0.95)
    assert read[-1].std() != pytest.approx(math.sqrt(VARIANCE), rel=0.03)
    assert stats.kstest(made[-1].ravel(), stats.arcsine(-1, 2).cdf).statistic > 0.07


def test_gradients_have_one_size_at_every_depth():
    weights, read, _ = forward()
    g = sb.Normal()((WIDTH, BATCH), rng=7, dtype="float64")
    stds = []
    for depth in reversed(range(1, DEPTH)):
        g = weights[depth].T @ (g * 30 * np.cos(read[depth]))
        stds.append(g.std())
    # Each layer multiplies the variance by w0**2 var(w) n E cos(z)**2 = 1 + exp(-2 v), 1.2: 10 % in the std.
    growth = np.exp(2 * np.diff(np.log(stds)))
    assert growth.mean() == pytest.approx(1 + math.exp(-2 * VARIANCE), rel=0.03)
    assert growth.std() < 0.05


def test_limits_are_the_papers_by_fans_of_every_layout():
    assert sb.Siren(first=True).expected((256, 3)).high == 1 / 3
    assert sb.Siren(w0=1).expected((64, 24)).high == pytest.approx(0.5, rel=1e-15)
    assert sb.Siren().expected((5, 5, 6, 8), "hwio").high == pytest.approx(math.sqrt(6 / 150) / 30, rel=1e-14)
    assert sb.Siren().expected((8, 3, 2, 2), sb.Axes("oihw", groups=4)).high == pytest.approx(
        math.sqrt(6 / 12) / 30, rel=1e-14
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.Siren(0), "Siren: w0 is a positive frequency, 30 in the paper; got 0"),
        (lambda: sb.Siren("fast"), "Siren: w0 is a positive frequency, 30 in the paper; got 'fast'"),
        (lambda: sb.Siren(first=1), "Siren: first is True or False; got 1"),
        (lambda: sb.Siren()(5, rng=0), "a weight needs an output and an input axis"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
