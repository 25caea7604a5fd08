"""Every activation is the function of its name, and its derivative is right and the same wherever an entry stands."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak.engine._activations import ACTIVATIONS
from symbreak.testing import check_gradient
from tests.engine._networks import in_torch


def logistic(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


BY_HAND = {
    "identity": lambda x: x,
    "relu": lambda x: x if x > 0 else 0.0,
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "tanh": math.tanh,
    "sigmoid": logistic,
    "softplus": lambda x: x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x)),
    "silu": lambda x: x * logistic(x),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "erf": math.erf,
    "sin": math.sin,
    "square": lambda x: x * x,
}
SLOPES = {
    "identity": lambda x: 1.0,
    "relu": lambda x: float(x > 0),
    "leaky_relu": lambda x: 1.0 if x > 0 else 0.01,
    "tanh": lambda x: 1 - math.tanh(x) ** 2,
    "sigmoid": lambda x: logistic(x) * logistic(-x),
    "softplus": logistic,
    "silu": lambda x: logistic(x) + x * logistic(x) * logistic(-x),
    "gelu": lambda x: math.erfc(-x / math.sqrt(2)) / 2 + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    "erf": lambda x: 2 / math.sqrt(math.pi) * math.exp(-x * x),
    "sin": math.cos,
    "square": lambda x: 2 * x,
}


def test_every_activation_is_tested():
    assert BY_HAND.keys() == SLOPES.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_function_of_its_name(name, dtype):
    x = np.concatenate([np.linspace(-4, 4, 81), [-1e4, -20, -1e-9, 1e-9, 20, 1e4]]).astype(dtype)
    expected = np.array([BY_HAND[name](float(value)) for value in x])
    y = ACTIVATIONS[name].forward(x)
    assert y.dtype == dtype
    rounding = 4 * np.finfo(dtype).eps * abs(expected)
    if name == "gelu":  # the normal distribution function multiplies a relative error of a negative x by up to x^2
        rounding *= np.where(x < 0, 1 + x.astype(float) ** 2, 1)
    assert (abs(y - expected) <= rounding + np.finfo(dtype).smallest_subnormal).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_its_derivative_neither_overflows_nor_cancels_far_out(name, dtype):
    x = np.array([-1e4, -40, -12, -3, 3, 12, 40, 1e4], dtype)
    expected = np.array([SLOPES[name](float(value)) for value in x])
    function, derivative = ACTIVATIONS[name]
    slopes = derivative(np.ones_like(x), function(x), x)
    scale = abs(expected)
    if name == "tanh":
        scale = 1.0  # 1 - y^2 is off by the rounding of 1
    if name in ("gelu", "erf"):
        scale = scale * (1 + x.astype(float) ** 2)  # exp multiplies the relative error of x^2 by x^2
    assert (abs(slopes - expected) <= 4 * np.finfo(dtype).eps * scale + np.finfo(dtype).smallest_subnormal).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(seed=st.integers(0, 2**32))
def test_its_derivative_is_the_slope(name, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.01, 3, size=(4, 5)) * rng.choice([-1, 1], size=(4, 5))  # off the kink at 0
    g = rng.normal(size=(4, 5))
    function, derivative = ACTIVATIONS[name]
    check_gradient(lambda x: (g * function(x)).sum(), derivative(g, function(x), x), x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_gradient_is_kept_in_its_dtype(name):
    function, derivative = ACTIVATIONS[name]
    x = np.linspace(-1, 1, 5, dtype=np.float32)
    assert derivative(x, function(x), x).dtype == np.float32


@pytest.mark.parametrize(("name", "slope"), [("relu", 0), ("leaky_relu", 0.01)])
def test_a_kink_takes_the_slope_of_its_left_side(name, slope):
    x = np.array([0.0, -0.0])
    np.testing.assert_array_equal(ACTIVATIONS[name].backward(np.ones(2), x, x), [slope, slope])


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_entries_stay_equal_wherever_they_stand(name, dtype):
    function, derivative = ACTIVATIONS[name]
    for width in [*range(1, 70), 100, 127, 257]:
        column = np.random.default_rng(width).normal(scale=3, size=(3, 1)).astype(dtype)
        x = np.ascontiguousarray(np.broadcast_to(column, (3, width)))
        y = function(x)
        g = derivative(x, y, x)
        assert (y == y[:, :1]).all()
        assert (g == g[:, :1]).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("far", [1.0, 30.0, 1e6])
def test_equal_entries_stay_equal_whatever_their_neighbours(name, dtype, far):
    """A vector routine that turns to a slower path where one entry is large must not take the others with it."""
    function, derivative = ACTIVATIONS[name]
    for width in (5, 17, 64, 100, 257):
        rng = np.random.default_rng(width)
        values = np.array([0.3, 1.7, *(far * rng.normal(size=3))], dtype)
        kind = rng.integers(5, size=width)
        y = function(values[kind])
        g = derivative(np.ones_like(y), y, values[kind])
        for label in np.unique(kind):
            for entries in (y[kind == label], g[kind == label]):
                assert (entries == entries[0]).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_it_agrees_with_torch(name):
    torch = pytest.importorskip("torch")
    x = torch.linspace(-3, 3, 30, dtype=torch.float64, requires_grad=True)  # an even number, so that none is zero
    y = in_torch(name)(x)
    g = torch.linspace(1, 2, 30, dtype=torch.float64)
    y.backward(g)
    function, derivative = ACTIVATIONS[name]
    ours = function(x.detach().numpy())
    np.testing.assert_allclose(ours, y.detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(derivative(g.numpy(), ours, x.detach().numpy()), x.grad.numpy(), rtol=1e-13)
