"""Gains against mpmath's quadrature and closed forms."""

import math

import mpmath
import numpy as np
import pytest
from scipy import special

import symbreak as sb
from symbreak.errors import UnknownName
from symbreak.initializers._activations import ACTIVATIONS, ALIASES
from symbreak.initializers._gains import GAINS, TORCH

SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
FUNCTIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "softplus": lambda z: np.logaddexp(0, z),
    "gelu": lambda z: z * special.ndtr(z),
    "gelu_tanh": lambda z: z / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z * special.expit(z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "selu": lambda z: SELU[0] * np.where(z > 0, z, SELU[1] * np.expm1(z)),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "erf": special.erf,
    "sin": np.sin,
    "relu6": lambda z: np.clip(z, 0, 6),
    "relu_squared": lambda z: np.maximum(z, 0) ** 2,
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "square": np.square,
    "celu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "quick_gelu": lambda z: z * special.expit(1.702 * z),
    "squareplus": lambda z: (z + np.sqrt(z**2 + 4)) / 2,
    "arctan": np.arctan,
    "softsign": lambda z: z / (1 + abs(z)),
    "hard_sigmoid": lambda z: np.clip(z + 3, 0, 6) / 6,
    "hard_swish": lambda z: z * np.clip(z + 3, 0, 6) / 6,
    "log_sigmoid": special.log_expit,
    "tanhshrink": lambda z: z - np.tanh(z),
    "softshrink": lambda z: np.sign(z) * np.maximum(abs(z) - 0.5, 0),
    "cos": np.cos,
    "gaussian": lambda z: np.exp(-(z**2)),
    "exp": np.exp,
}
CLOSED = {
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "erf": 1 / math.sqrt(2 / math.pi * math.asin(2 / 3)),
    "sin": 1 / math.sqrt((1 - math.exp(-2)) / 2),
    "relu_squared": math.sqrt(2 / 3),
    "square": 1 / math.sqrt(3),
    "cos": 1 / math.sqrt((1 + math.exp(-2)) / 2),
    "exp": math.exp(-1),
    "gaussian": 5**0.25,
    "squareplus": math.sqrt(2 / 3),
    "selu": 1.0,  # Klambauer et al. 2017: the constants are chosen for it
}


@pytest.mark.parametrize("name", GAINS)
def test_the_table_is_what_quadrature_gives(name):
    function = FUNCTIONS[name]
    with mpmath.workdps(20):
        points = [-14, -6, -3, -1, -0.5, 0, 0.5, 1, 3, 6, 14]
        value = lambda z: float(function(np.float64(z)))  # noqa: E731
        second = mpmath.quad(lambda z: value(z) ** 2 * mpmath.npdf(z), points)
        first = mpmath.quad(lambda z: value(z) * mpmath.npdf(z), points)
    assert sb.gain(name) == pytest.approx(float(1 / mpmath.sqrt(second)), rel=1e-12)
    assert sb.gain(name, normalise=True) == pytest.approx(float(1 / mpmath.sqrt(second - first**2)), rel=1e-12)
    assert sb.gain(function) == pytest.approx(sb.gain(name), rel=1e-9)
    assert sb.gain(function, normalise=True) == pytest.approx(sb.gain(name, normalise=True), rel=1e-9)


def test_every_activation_has_a_gain_and_every_alias_that_of_its_row():
    assert list(GAINS) == list(ACTIVATIONS)
    assert set(GAINS) == set(FUNCTIONS)
    grid = np.linspace(-9, 9, 73)
    for name, function in ACTIVATIONS.items():
        assert function(grid) == pytest.approx(FUNCTIONS[name](grid), rel=1e-13, abs=1e-14)
    for alias, name in ALIASES.items():
        assert sb.gain(alias) == sb.gain(name)
    assert all(f"``{name}``" in sb.gain.__doc__ for name in (*ACTIVATIONS, *ALIASES))


@pytest.mark.parametrize("slope", [0.01, 0.2, -0.5, 1.0])
def test_the_gain_of_leaky_relu_depends_on_its_slope(slope):
    function = lambda z: np.where(z > 0, z, slope * z)  # noqa: E731
    for normalise in (False, True):
        assert sb.gain("leaky_relu", slope, normalise=normalise) == pytest.approx(
            sb.gain(function, normalise=normalise), rel=1e-9
        )
    assert sb.gain("leaky_relu", 0.01) == sb.gain("leaky_relu")


@pytest.mark.parametrize("name", ["elu", "celu"])
def test_the_gains_of_elu_and_celu_depend_on_alpha(name):
    assert sb.gain(name, 1.0) == pytest.approx(sb.gain(name), rel=1e-9)
    alpha, rate = 0.3, 1 / 0.3 if name == "celu" else 1.0
    # E (exp(r z) - 1)**2 over z < 0, by completing the square.
    lost = math.exp(2 * rate**2) * special.ndtr(-2 * rate) - 2 * math.exp(rate**2 / 2) * special.ndtr(-rate) + 0.5
    assert sb.gain(name, alpha) == pytest.approx(1 / math.sqrt(0.5 + alpha**2 * lost), rel=1e-9)


def test_normalising_gains_are_those_of_normalizer_free_networks():
    """Brock et al. 2021 found theirs by simulation, to three digits; ReLU's is sqrt(2 / (1 - 1 / pi))."""
    published = {"relu": 1.7139, "gelu": 1.7015, "silu": 1.7881, "tanh": 1.5939, "sigmoid": 4.8038, "softsign": 2.3382}
    for name, value in published.items():
        assert sb.gain(name, normalise=True) == pytest.approx(value, rel=2e-3)
    assert sb.gain("relu", normalise=True) == pytest.approx(math.sqrt(2 / (1 - 1 / math.pi)), rel=1e-15)


def test_the_convention_of_torch_is_that_of_torch():
    init = pytest.importorskip("torch.nn.init")
    for name in TORCH:
        assert sb.gain(name, convention="torch") == init.calculate_gain("linear" if name == "identity" else name)
    assert sb.gain("leaky_relu", 0.2, convention="torch") == init.calculate_gain("leaky_relu", 0.2)
    differ = {name for name in TORCH if sb.gain(name) != pytest.approx(sb.gain(name, convention="torch"), rel=1e-12)}
    assert differ == {"sigmoid", "tanh", "selu"}


@pytest.mark.parametrize("name", CLOSED)
def test_the_table_is_the_closed_form_where_there_is_one(name):
    assert sb.gain(name) == pytest.approx(CLOSED[name], rel=1e-14)


def test_a_layer_with_the_gain_keeps_its_second_moment():
    x = sb.Normal()((500, 256), sb.Key(0)["x"], dtype="float64")
    for name in ("relu", "gelu", "tanh"):
        w = sb.VarianceScaling(sb.gain(name) ** 2)((4096, 256), sb.Key(0)[name], dtype="float64")
        assert np.mean((FUNCTIONS[name](x) @ w.T) ** 2) == pytest.approx(1, rel=0.08)  # six standard errors for ReLU


@pytest.mark.parametrize(
    ("function", "second"),
    [
        (lambda z: np.exp(3 * z), math.exp(18)),
        (lambda z: np.abs(z) ** -0.25, 2**-0.25 * math.gamma(0.25) / math.sqrt(math.pi)),
        (lambda z: z**10, math.prod(range(1, 20, 2))),
        (np.sign, 1.0),
        (lambda z: np.sin(30 * z), 0.5),
    ],
)
def test_steep_functions_with_a_second_moment_have_a_gain(function, second):
    assert sb.gain(function) == pytest.approx(1 / math.sqrt(second), rel=0.01)


@pytest.mark.parametrize(
    ("activation", "error", "message"),
    [
        ("gelo", UnknownName, "no activation is known for 'gelo'; did you mean 'gelu'"),
        ("zzzz", UnknownName, "no activation is known for 'zzzz'; known names: arctan, atan"),
        (3, TypeError, "gain takes a name or a function; got 3"),
        (lambda z: 0 * z, ValueError, r"E f\(z\)\*\*2 of .* is 0.0; a gain needs it positive and finite"),
        (lambda z: z / 0, ValueError, "a gain needs it positive and finite"),
        (lambda z: np.exp(50 * np.abs(z)), ValueError, "is inf; a gain needs it positive and finite"),
        (lambda z: z[:3], ValueError, r"gave shape \(3,\) for an array of shape .* pass an entry-by-entry function"),
        (
            lambda z: np.exp(z * z / 4),
            ValueError,
            r"is infinite, or comes from beyond 11 standard .* than exp\(z\*\*2 / 4",
        ),
        (lambda z: np.exp(8 * z), ValueError, r"E f\(z\)\*\*2 of .* is infinite, or comes from beyond 11 standard dev"),
        (lambda z: 1 / z, ValueError, "finer panels give 7665 where 3832 came before; pass a function without poles"),
        (lambda z: np.abs(z) ** -0.5, ValueError, "is infinite, or f changes too fast to tell"),
        (np.tan, ValueError, "is infinite, or f changes too fast to tell: .* pass a function without poles"),
    ],
)
def test_what_has_no_gain_is_refused(activation, error, message):
    with pytest.raises(error, match=message):
        sb.gain(activation)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("relu", 0.2), {}, TypeError, "'relu' has no parameter; one goes with 'leaky_relu', 'elu', 'celu'"),
        (
            (np.tanh, 0.2),
            {},
            TypeError,
            "a parameter goes with .*; write it into the function",
        ),
        (("leaky_relu", math.nan), {}, ValueError, "the parameter of 'leaky_relu' is the slope below zero below 1e6"),
        (("elu", 0.0), {}, ValueError, "the parameter of 'elu' is alpha, a positive number below 1e6; got 0.0"),
        (("relu",), {"convention": "keras"}, ValueError, "convention is 'theory' or 'torch'; got 'keras'"),
        (
            ("gelu",),
            {"convention": "torch"},
            UnknownName,
            "no gain of PyTorch's is known for 'gelu'",
        ),
        (
            (np.tanh,),
            {"convention": "torch"},
            TypeError,
            "convention='torch' is a table of names: 'iden",
        ),
        (("tanh", 0.2), {"convention": "torch"}, TypeError, "'tanh' has no parameter; one goes with 'leaky_relu'"),
        (("relu",), {"convention": "torch", "normalise": True}, ValueError, "convention='torch' has no normalise"),
        ((lambda z: 0 * z + 1,), {"normalise": True}, ValueError, r"Var f\(z\) of .* a gain needs it positive"),
        ((lambda z: 0 * z + 0.7,), {"normalise": True}, ValueError, r"Var f\(z\) of .* a gain needs it positive"),
        ((lambda z: 0 * z + 3,), {"normalise": True}, ValueError, r"Var f\(z\) of .* a gain needs it positive"),
        ((lambda z: 0 * z + 1.1,), {"normalise": True}, ValueError, r"Var f\(z\) of .* a gain needs it positive"),
        (("relu",), {"normalise": "yes"}, TypeError, "normalise is True or False; got 'yes'"),
    ],
)
def test_parameters_and_conventions_that_make_no_sense_are_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        sb.gain(*arguments, **options)
