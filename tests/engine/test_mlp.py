"""mlp draws every parameter from the key of its name, with units along axis 0."""

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak.errors import UnknownName


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_parameter_is_drawn_from_the_key_of_its_name(dtype):
    net = engine.mlp([3, 5, 4, 2], init=sb.HeNormal(), bias_init=sb.Normal(0.1), rng=7, dtype=dtype)
    shapes = {"layers.0": (5, 3), "layers.1": (4, 5), "layers.2": (2, 4)}
    assert list(net.parameters) == [f"{name}.{part}" for name in shapes for part in ("weight", "bias")]
    for name, (units, inputs) in shapes.items():
        weight = sb.HeNormal()((units, inputs), rng=sb.Key(7)[f"{name}.weight"], dtype=dtype)
        bias = sb.Normal(0.1)((units,), rng=sb.Key(7)[f"{name}.bias"], dtype=dtype)
        np.testing.assert_array_equal(net.parameters[f"{name}.weight"], weight, strict=True)
        np.testing.assert_array_equal(net.parameters[f"{name}.bias"], bias, strict=True)
    assert net.dtype == dtype


def test_the_contract_of_the_package_holds():
    net = engine.mlp([2, 8, 1], activation="tanh", init=sb.Constant(0.5), rng=0)
    x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
    history = engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=100, loss="mse")
    assert history.losses.shape == (100,)
    assert net(x).shape == (4, 1)
    assert {name: array.shape for name, array in net.graph.weights.items()} == {
        "layers.0.weight": (8, 2),
        "layers.1.weight": (1, 8),
    }
    found = engine.gradients(net, x, y, loss="mse")
    assert found.error_signals["layers.0"].shape == found.activations["layers.0"].shape == (4, 8)


def test_biases_are_zero_unless_said_otherwise():
    net = engine.mlp([2, 3, 1], init=sb.Ones(), rng=0)
    for name in net.layers:
        np.testing.assert_array_equal(net.parameters[f"{name}.bias"], 0)
    assert list(engine.mlp([2, 3, 1], init=sb.Ones(), bias_init=None).parameters) == [
        "layers.0.weight",
        "layers.1.weight",
    ]


def test_hidden_layers_have_the_activation_and_the_outputs_are_linear():
    net = engine.mlp([2, 3, 4, 1], activation="relu", init=sb.Ones())
    assert [layer.activation for layer in net.layers.values()] == ["relu", "relu", "identity"]
    assert [layer.activation for layer in engine.mlp([2, 1], init=sb.Ones()).layers.values()] == ["identity"]


@pytest.mark.parametrize("init", ["he_normal", sb.HeNormal, sb.HeNormal(), sb.HeNormal().to_config()])
def test_an_initializer_may_be_named(init):
    expected = engine.mlp([2, 3], init=sb.HeNormal(), rng=1).parameters["layers.0.weight"]
    np.testing.assert_array_equal(engine.mlp([2, 3], init=init, rng=1).parameters["layers.0.weight"], expected)


def test_without_a_seed_each_network_is_another():
    one, other = (engine.mlp([2, 3], init=sb.HeNormal()).parameters["layers.0.weight"] for _ in range(2))
    assert (one != other).all()


def test_a_network_carries_its_product():
    assert engine.mlp([2, 3], init=sb.Ones()).product == "tie_preserving"
    assert engine.mlp([2, 3], init=sb.Ones(), product="blas").product == "blas"


BAD = {
    "one size": ([3], {}, ValueError, r"such as \[2, 8, 1\]; got \[3\]"),
    "a number": (3, {}, ValueError, r"such as \[2, 8, 1\]; got 3"),
    "text": ("12", {}, ValueError, "got '12'"),
    "no units": ([2, 0, 1], {}, ValueError, "a size must be a whole number, 1 or more; got 0"),
    "half a unit": ([2, 1.5, 1], {}, ValueError, "a size must be a whole number, 1 or more; got 1.5"),
    "an activation misspelt": ([2, 3, 1], {"activation": "rellu"}, UnknownName, "no activation .* did you mean 'relu'"),
    "a product misspelt": ([2, 1], {"product": "blass"}, UnknownName, "no product .* did you mean 'blas'"),
    "an initializer misspelt": ([2, 1], {"init": "he_norml"}, UnknownName, "he_norml"),
    "a number for an initializer": ([2, 1], {"init": 0.5}, TypeError, "0.5"),
    "half precision": ([2, 1], {"dtype": "float16"}, TypeError, "must be float32 or float64, not float16"),
    "no seed": ([2, 1], {"rng": -1}, ValueError, "-1"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_network_is_refused(case):
    sizes, options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        engine.mlp(sizes, **({"init": sb.Ones()} | options))
