"""Gains against mpmath's quadrature and closed forms."""

import math

import mpmath
import numpy as np
import pytest
from scipy import special

import symbreak as sb
from symbreak.errors import UnknownName
from symbreak.initializers._gains import GAINS

SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
FUNCTIONS = {
    "identity": lambda z: z,
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "softplus": lambda z: np.logaddexp(0, z),
    "gelu": lambda z: z * special.ndtr(z),
    "gelu_tanh": lambda z: z / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z * special.expit(z),
    "swish": lambda z: z * special.expit(z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "selu": lambda z: SELU[0] * np.where(z > 0, z, SELU[1] * np.expm1(z)),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "erf": special.erf,
    "sin": np.sin,
    "relu6": lambda z: np.clip(z, 0, 6),
    "relu_squared": lambda z: np.maximum(z, 0) ** 2,
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "square": np.square,
}
CLOSED = {
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "erf": 1 / math.sqrt(2 / math.pi * math.asin(2 / 3)),
    "sin": 1 / math.sqrt((1 - math.exp(-2)) / 2),
    "relu_squared": math.sqrt(2 / 3),
    "square": 1 / math.sqrt(3),
    "selu": 1.0,  # Klambauer et al. 2017: the constants are chosen for it
}


@pytest.mark.parametrize("name", GAINS)
def test_the_table_is_what_quadrature_gives(name):
    function = FUNCTIONS[name]
    with mpmath.workdps(20):
        points = [-14, -6, -3, -1, 0, 1, 3, 6, 14]
        moment = mpmath.quad(lambda z: float(function(np.float64(z))) ** 2 * mpmath.npdf(z), points)
    assert sb.gain(name) == pytest.approx(float(1 / mpmath.sqrt(moment)), rel=1e-12)
    assert sb.gain(function) == pytest.approx(sb.gain(name), rel=1e-9)


@pytest.mark.parametrize("name", CLOSED)
def test_the_table_is_the_closed_form_where_there_is_one(name):
    assert sb.gain(name) == pytest.approx(CLOSED[name], rel=1e-14)


def test_a_layer_with_the_gain_keeps_its_second_moment():
    x = sb.Normal()((500, 256), sb.Key(0)["x"], dtype="float64")
    for name in ("relu", "gelu", "tanh"):
        w = sb.VarianceScaling(sb.gain(name) ** 2)((4096, 256), sb.Key(0)[name], dtype="float64")
        assert np.mean((FUNCTIONS[name](x) @ w.T) ** 2) == pytest.approx(1, rel=0.08)  # six standard errors for ReLU


@pytest.mark.parametrize(
    ("activation", "error", "message"),
    [
        ("gelo", UnknownName, "no gain is known for 'gelo'; did you mean 'gelu'"),
        ("zzzz", UnknownName, "no gain is known for 'zzzz'; known names: elu, erf"),
        (3, TypeError, "gain takes a name or a function; got 3"),
        (lambda z: 0 * z, ValueError, r"E f\(z\)\*\*2 of .* is 0.0; a gain needs it positive and finite"),
        (lambda z: z / 0, ValueError, "a gain needs it positive and finite"),
        (lambda z: np.exp(50 * np.abs(z)), ValueError, "is inf; a gain needs it positive and finite"),
        (lambda z: z[:3], ValueError, r"gave shape \(3,\) for an array of shape .* pass an entry-by-entry function"),
    ],
)
def test_what_has_no_gain_is_refused(activation, error, message):
    with pytest.raises(error, match=message):
        sb.gain(activation)
