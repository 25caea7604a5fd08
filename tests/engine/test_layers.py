"""A dense layer is the sum that it says, and its backward pass is the gradient of its forward pass."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._activations import ACTIVATIONS
from symbreak.engine._products import PRODUCTS
from symbreak.errors import UnknownName
from symbreak.testing import check_gradient


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_sums_what_each_unit_reads(product, bias):
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(4, 3)), rng.normal(size=(5, 3)), rng.normal(size=5)
    y, _ = engine.Dense(w, b if bias else None, "tanh").forward(x, engine.Run(PRODUCTS[product]))
    for n in range(4):
        for j in range(5):
            z = sum(w[j, i] * x[n, i] for i in range(3)) + (b[j] if bias else 0)
            assert y[n, j] == pytest.approx(np.tanh(z), rel=1e-14)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
@given(batch=st.integers(1, 5), inputs=st.integers(1, 5), units=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_backward_is_the_gradient_of_forward(product, activation, bias, batch, inputs, units, seed):
    rng = np.random.default_rng(seed)
    point = {"x": rng.normal(size=(batch, inputs)), "weight": rng.normal(size=(units, inputs))}
    if bias:
        point["bias"] = rng.normal(size=units)
    g = rng.normal(size=(batch, units))
    z = point["x"] @ point["weight"].T + point.get("bias", 0)
    assume("relu" not in activation or abs(z).min() > 0.01)  # at the kink there is no slope to compare with
    multiply = engine.Run(PRODUCTS[product])

    def layer(p):
        return engine.Dense(p["weight"], p.get("bias"), activation)

    def gradient(p):
        _, memory = layer(p).forward(p["x"], multiply)
        back = layer(p).backward(g, memory, multiply)
        return {"x": back.x} | back.parameters

    terms = g * layer(point).forward(point["x"], multiply)[0]
    rounding = 16 * np.spacing(abs(terms).sum())  # saturated units may cancel in the sum
    check_gradient(lambda p: (g * layer(p).forward(p["x"], multiply)[0]).sum(), gradient, point, rounding=rounding)


def test_the_error_signal_is_the_gradient_at_the_pre_activation():
    """The bias is added to the pre-activation, so its gradient is the sum over the batch of the error signal."""
    rng = np.random.default_rng(1)
    layer = engine.Dense(rng.normal(size=(4, 3)), rng.normal(size=4), "tanh")
    y, memory = layer.forward(rng.normal(size=(1, 3)), engine.Run(PRODUCTS["tie_preserving"]))
    back = layer.backward(np.ones((1, 4)), memory, engine.Run(PRODUCTS["tie_preserving"]))
    np.testing.assert_array_equal(back.error, 1 - y * y)
    np.testing.assert_array_equal(back.parameters["bias"], back.error[0])


def test_a_layer_used_twice_gathers_both_gradients():
    """A layer keeps nothing of the batch, so the memory of the second use doesn't overwrite that of the first."""
    rng = np.random.default_rng(2)
    multiply = engine.Run(PRODUCTS["tie_preserving"])
    x = rng.normal(size=(3, 4))

    def run(p):
        layer = engine.Dense(p["weight"], p["bias"], "tanh")
        h, first = layer.forward(x, multiply)
        y, second = layer.forward(h, multiply)
        return layer, y, first, second

    def gradient(p):
        layer, y, first, second = run(p)
        upper = layer.backward(np.ones_like(y), second, multiply)
        lower = layer.backward(upper.x, first, multiply)
        return {name: upper.parameters[name] + lower.parameters[name] for name in p}

    point = {"weight": rng.normal(size=(4, 4)), "bias": rng.normal(size=4)}
    check_gradient(lambda p: run(p)[1].sum(), gradient, point)
    _, y, _, second = run(point)
    only = engine.Dense(point["weight"], point["bias"], "tanh").backward(np.ones_like(y), second, multiply)
    with pytest.raises(AssertionError, match="slope"):  # one of the two alone is not the gradient
        check_gradient(lambda p: run(p)[1].sum(), only.parameters, point)


def test_a_layer_owns_its_parameters():
    weight = np.ones((2, 2))
    layer = engine.Dense(np.asfortranarray(weight))
    layer.parameters["weight"] += 1
    np.testing.assert_array_equal(weight, np.ones((2, 2)))
    assert layer.parameters["weight"].flags.c_contiguous


def test_a_layer_says_what_it_is():
    assert repr(engine.Dense(np.ones((3, 2)), np.ones(3), "relu")) == "Dense(2 -> 3, relu)"
    assert repr(engine.Dense(np.ones((3, 2)))) == "Dense(2 -> 3, identity, no bias)"


W = np.ones((3, 2))
BAD = {
    "a list": (([[1.0]],), TypeError, "a weight must be a NumPy array, not a list; use np.asarray"),
    "a list for a bias": ((W, [0.0] * 3), TypeError, "a bias must be a NumPy array, not a list"),
    "integers": ((np.ones((3, 2), int),), TypeError, "a weight must be float32 or float64, not int64; use .astype"),
    "half precision": ((W.astype("float16"),), TypeError, "a weight must be float32 or float64, not float16"),
    "one axis": ((np.ones(3),), ValueError, r"has two axes, \(units, inputs\), of 1 or more; got \(3,\)"),
    "no units": ((np.ones((0, 2)),), ValueError, r"of 1 or more; got \(0, 2\)"),
    "a bias of the inputs": ((W, np.ones(2)), ValueError, r"shape \(3, 2\), .* a bias of shape \(3,\), not \(2,\)"),
    "a bias that would broadcast": ((W, np.ones(1)), ValueError, r"a bias of shape \(3,\), not \(1,\)"),
    "two dtypes": (
        (W, np.ones(3, "float32")),
        TypeError,
        "weight is float64 and the bias float32; give both one dtype",
    ),
    "nan": ((np.full((3, 2), np.nan),), ValueError, "a weight must be finite; 6 of its values are not"),
    "inf": ((W, np.array([0, np.inf, 0])), ValueError, "a bias must be finite; 1 of its values are not"),
    "an activation misspelt": ((W, None, "than"), UnknownName, "no activation is called 'than'; did you mean 'tanh'"),
    "a function": ((W, None, np.tanh), UnknownName, "no activation is called <ufunc 'tanh'>"),
}


@pytest.mark.parametrize("case", BAD)
def test_parameters_that_make_no_sense_are_refused(case):
    arguments, error, message = BAD[case]
    with pytest.raises(error, match=message):
        engine.Dense(*arguments)
