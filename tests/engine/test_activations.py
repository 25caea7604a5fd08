"""Every activation is the function of its name, and its derivative is right and the same wherever an entry stands."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak.engine._activations import ACTIVATIONS
from symbreak.testing import check_gradient

BY_HAND = {
    "identity": lambda x: x,
    "relu": lambda x: x if x > 0 else 0.0,
    "tanh": math.tanh,
}


def test_every_activation_is_tested():
    assert BY_HAND.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_function_of_its_name(name, dtype):
    x = np.concatenate([np.linspace(-4, 4, 81), [-1e4, -20, -1e-9, 1e-9, 20, 1e4]]).astype(dtype)
    expected = np.array([BY_HAND[name](float(value)) for value in x])
    y = ACTIVATIONS[name].forward(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(seed=st.integers(0, 2**32))
def test_its_derivative_is_the_slope(name, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.01, 3, size=(4, 5)) * rng.choice([-1, 1], size=(4, 5))  # off the kink of relu
    g = rng.normal(size=(4, 5))
    function, derivative = ACTIVATIONS[name]
    check_gradient(lambda x: (g * function(x)).sum(), derivative(g, function(x), x), x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_gradient_is_kept_in_its_dtype(name):
    function, derivative = ACTIVATIONS[name]
    x = np.linspace(-1, 1, 5, dtype=np.float32)
    assert derivative(x, function(x), x).dtype == np.float32


def test_relu_takes_zero_for_its_slope_at_zero():
    x = np.array([0.0, -0.0])
    np.testing.assert_array_equal(ACTIVATIONS["relu"].backward(np.ones(2), x, x), [0, 0])


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
def test_it_agrees_with_torch(name):
    torch = pytest.importorskip("torch")
    x = torch.linspace(-3, 3, 30, dtype=torch.float64, requires_grad=True)  # an even number, so that none is zero
    y = {"identity": lambda x: x * 1.0}.get(name, getattr(torch, name, None))(x)
    g = torch.linspace(1, 2, 30, dtype=torch.float64)
    y.backward(g)
    function, derivative = ACTIVATIONS[name]
    ours = function(x.detach().numpy())
    np.testing.assert_allclose(ours, y.detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(derivative(g.numpy(), ours, x.detach().numpy()), x.grad.numpy(), rtol=1e-13)
