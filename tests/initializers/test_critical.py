"""Critical scales: against closed forms, a second quadrature, and real networks a hundred layers deep."""

import math

import numpy as np
import pytest

import symbreak as sb
from symbreak.errors import UnknownName
from symbreak.initializers._activations import ACTIVATIONS

HERMITE = np.polynomial.hermite_e.hermegauss(80)


def expect(function):
    """E f(x, y) for independent standard normals, by Gauss and Hermite: for smooth functions."""
    nodes, weights = HERMITE
    weights = weights / weights.sum()
    return float(np.sum(function(nodes[:, None], nodes[None, :]) * weights[:, None] * weights))


@pytest.mark.parametrize("bias_std", [0.02, 0.3, 1.0])
def test_erf_has_its_closed_forms(bias_std):
    """Williams 1998: E erf(x)**2 = 2/pi asin(2q / (1 + 2q)) and E erf'(x)**2 = 4/pi / sqrt(1 + 4q)."""
    found = sb.critical("erf", bias_std=bias_std)
    q, weights = found.variance, found.weight_std**2
    assert weights * 4 / math.pi / math.sqrt(1 + 4 * q) == pytest.approx(1, rel=1e-8)
    assert weights * 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) + bias_std**2 == pytest.approx(q, rel=1e-8)


def test_sine_has_its_closed_forms():
    """E sin(x)**2 = (1 - exp(-2q)) / 2 and E cos(x)**2 = (1 + exp(-2q)) / 2."""
    found = sb.critical("sin", bias_std=0.4)
    q, weights = found.variance, found.weight_std**2
    assert weights * (1 + math.exp(-2 * q)) / 2 == pytest.approx(1, rel=1e-8)
    assert weights * (1 - math.exp(-2 * q)) / 2 + 0.16 == pytest.approx(q, rel=1e-8)
    assert found.slope == pytest.approx(weights * math.exp(-2 * q), rel=1e-5)


@pytest.mark.parametrize(("name", "bias", "weight"), [("gelu", 0.17292, 1.98306), ("silu", 0.55514, 1.98800)])
def test_the_half_stable_points_of_gelu_and_swish_are_found(name, bias, weight):
    """Roberts, Yaida, Hanin, "The principles of deep learning theory", 5.3.4: variances of biases and weights."""
    found = sb.critical(name, bias_std=math.sqrt(bias))
    assert found.weight_std**2 == pytest.approx(weight, rel=1e-4)
    assert found.slope == pytest.approx(1.0, abs=2e-3)


def test_without_biases_the_slope_at_zero_counts_and_relu_keeps_every_variance():
    assert sb.critical("tanh") == (1.0, 0.0, 0.0, 1.0)
    assert sb.critical("gelu")[:3] == (2.0, 0.0, 0.0)
    assert sb.critical("relu")[:3] == (1.414213562, 0.0, 1.0)
    assert sb.critical("leaky_relu").weight_std == pytest.approx(sb.gain("leaky_relu"), rel=1e-9)
    assert sb.critical(lambda z: 3 * np.tanh(z)).weight_std == pytest.approx(1 / 3, rel=1e-8)


@pytest.mark.parametrize("name", ["tanh", "erf", "softsign", "gelu", "hard_tanh", "selu"])
def test_named_and_given_functions_agree(name):
    assert sb.critical(ACTIVATIONS[name], bias_std=0.1) == sb.critical(name, bias_std=0.1)


def correlations(name, weights, bias_std, q, depth):
    """Follow 1 - c of two inputs through `depth` layers."""
    f, root, c, found = ACTIVATIONS[name], math.sqrt(q), 0.5, []
    for _ in range(depth):
        pair = expect(lambda x, y, c=c: f(root * x) * f(root * (c * x + math.sqrt(1 - c * c) * y)))
        c = min(1.0, (weights * pair + bias_std**2) / q)
        found.append(1 - c)
    return np.array(found)


@pytest.mark.parametrize("name", ["tanh", "erf", "sin"])
def test_a_hundred_layers_keep_the_variance_and_forget_slowly(name):
    """On the edge 1 - c falls like 1 / depth; with weights five percent smaller it falls like exp(-depth / xi)."""
    found = sb.critical(name, bias_std=0.2)
    weights, q = found.weight_std**2, found.variance
    f = ACTIVATIONS[name]
    start = q * 1.5
    for _ in range(100):
        start = weights * expect(lambda x, y, q=start: f(math.sqrt(q) * x) ** 2 + 0 * y) + 0.04
    assert start == pytest.approx(q, rel=1e-3)
    apart = correlations(name, weights, 0.2, q, 100)
    assert 100 * apart[-1] == pytest.approx(50 * apart[49], rel=0.15)  # depth times distance comes to a constant
    less = weights * 0.95**2
    fixed = q
    for _ in range(200):
        fixed = less * expect(lambda x, y, q=fixed: f(math.sqrt(q) * x) ** 2 + 0 * y) + 0.04
    assert correlations(name, less, 0.2, fixed, 100)[-1] < apart[-1] / 5


def test_a_real_network_a_hundred_layers_deep_keeps_its_variance():
    found = sb.critical("tanh", bias_std=0.3)
    weight, bias = sb.VarianceScaling(found.weight_std**2), sb.Normal(found.bias_std)
    width, key = 256, sb.Key(5)
    x = sb.Normal(2.0)((width, 8), key["x"])
    for layer in range(100):
        x = weight((width, width), key[f"{layer}.w"]) @ np.tanh(x) + bias(width, key[f"{layer}.b"])[:, None]
    assert x.var() == pytest.approx(found.variance, rel=0.2)
    drifted = sb.Normal(2.0)((width, 8), key["x"])
    for layer in range(100):  # a network whose weights are a fifth smaller is seen
        w = weight((width, width), key[f"{layer}.w"]) * 0.8
        drifted = w @ np.tanh(drifted) + bias(width, key[f"{layer}.b"])[:, None]
    assert drifted.var() < found.variance * 0.7


def test_a_fixed_point_that_repels_says_so():
    """For exp, q = W exp(2q): the slope there is 2q, whatever W."""
    found = sb.critical("exp", bias_std=0.3)
    assert found.slope == pytest.approx(2.0, rel=1e-4)
    assert sb.critical("tanh", bias_std=0.3).slope < 1


@pytest.mark.parametrize("width", [0.33, 1.0])
def test_corners_anywhere_and_steep_slopes_are_no_jumps(width):
    found = sb.critical(lambda z: np.clip(z, -width, width), bias_std=0.1)
    same = sb.critical(lambda z: 20 * np.clip(z, -width, width), bias_std=0.1)
    assert same.weight_std == pytest.approx(found.weight_std / 20, rel=1e-8)
    assert sb.critical(lambda z: np.tanh(20 * z)).weight_std == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(
    ("activation", "bias_std", "error", "message"),
    [
        ("gelo", 0.0, UnknownName, "no activation is known for 'gelo'; did you mean 'gelu'"),
        (3, 0.0, TypeError, "an activation is a name or a function; got 3"),
        ("tanh", -1.0, ValueError, "bias_std is a number from 0 to 100; got -1.0"),
        ("tanh", "x", ValueError, "bias_std is a number from 0 to 100; got 'x'"),
        ("relu", 0.1, ValueError, "no weights are critical for 'relu' with bias_std=0.1; take biases up to 0$"),
        ("softplus", 0.0, ValueError, "no weights are critical for 'softplus' with bias_std=0.0; take others"),
        (np.ones_like, 0.0, ValueError, "has no slope, or no finite moments; no weights are critical for it"),
        (lambda z: z[:3], 0.0, ValueError, "pass an entry-by-entry function"),
        (np.sign, 0.0, ValueError, "jumps between -0.25 and 0: it has no slope there .*; pass a continuous function"),
        (np.floor, 0.1, ValueError, "<ufunc 'floor'> jumps between -3.25 and -3"),
        (lambda z: np.heaviside(z - 0.1, 0.5), 0.0, ValueError, "jumps between 0 and 0.25"),
        (lambda z: z - np.floor(z), 0.2, ValueError, "jumps between .*, and no weights are critical for it"),
        (lambda z: np.exp(z * z / 4), 0.0, ValueError, "is infinite, or comes from beyond 11 standard deviations"),
        (lambda z: 1 / z, 0.0, ValueError, "finer panels give 7665 where 3832 came before"),
        (np.cbrt, 0.0, ValueError, "has no finite slope at 0, where it rises by 4.64e.04 a unit and"),
    ],
)
def test_what_has_no_critical_scale_is_refused(activation, bias_std, error, message):
    with pytest.raises(error, match=message):
        sb.critical(activation, bias_std=bias_std)
