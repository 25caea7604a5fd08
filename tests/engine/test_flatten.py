"""Flattened positions are units to the layer that reads them, and positions of the old units in the graph."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.demo._digits import load_digits
from symbreak.testing import check_gradient
from tests.engine._optimizers import OPTIMIZERS
from tests.engine._spaces import RUN, check_run, differences, loss_and_gradients


def test_units_of_one_position_stay_together():
    x = np.arange(24.0).reshape(2, 2, 3, 2)
    layer = engine.Flatten()
    y, memory = layer.forward(x, RUN)
    assert layer.shape((2, 3, 2)) == (12,)
    for n, i, j, unit in np.ndindex(x.shape):
        assert y[n, (i * 3 + j) * 2 + unit] == x[n, i, j, unit]
    back = layer.backward(y, memory, RUN)
    np.testing.assert_array_equal(back.x, x)
    assert back.error is y


def image_network(init, width=8, positions=(3, 3), dtype="float64", seed=0):
    """A convolution, a pool, and a dense layer on images of 8 x 8."""
    key = sb.Key(seed)
    read = sb.get(init)(((width, 1, 3, 3)), rng=key["conv"], dtype=dtype)
    write = sb.get(init)((10, width * positions[0] * positions[1]), rng=key["dense"], dtype=dtype)
    return engine.Network(
        [
            engine.Conv2d(read, np.zeros(width, dtype), "relu"),
            engine.MaxPool((2, 2)),
            engine.Flatten(),
            engine.Dense(write, np.zeros(10, dtype)),
        ]
    )


def digits(images):
    x, labels = images
    return x.reshape(-1, 8, 8, 1), labels


def test_a_small_image_network_learns_to_read_digits():
    net = image_network("he_normal", dtype="float32")
    x, labels = digits(load_digits().train)
    engine.train(net, x, labels, loss="cross_entropy", optimizer=engine.Adam(0.01), steps=80, batch_size=32)
    x, labels = digits(load_digits().test)
    share = (net(x).argmax(axis=1) == labels).mean()
    assert share > 0.85


def test_an_image_network_from_a_constant_stays_one_unit_wide():
    net = image_network(sb.Constant(0.05), width=17, dtype="float32")
    x, labels = digits(load_digits().train)
    one = np.zeros(17, int)
    classes = dict.fromkeys(["layers.0", "layers.1", "layers.2"], one)
    settings = {"loss": "cross_entropy", "optimizer": engine.Adam(0.01), "batch_size": 8}
    assert check_run(net, x[:100], labels[:100], classes, steps=15, **settings) == 15
    random = image_network("he_normal", width=17)
    found = engine.gradients(random, x[:8], labels[:8], loss="cross_entropy")
    assert {"layers.0.weight along out", "layers.3.weight along in", "error_signals of layers.2"} <= set(
        differences(random, classes, found)
    )


@given(
    width=st.integers(1, 4) | st.sampled_from([17, 33, 65, 100]), seed=st.integers(0, 2**32), steps=st.integers(1, 5),
    optimizer=st.sampled_from([*OPTIMIZERS.values()]), loss=st.sampled_from(["mse", "cross_entropy", "logistic"]),
    dtype=st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_units_tied_at_each_position_stay_tied(width, seed, steps, optimizer, loss, dtype):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=width)
    read = rng.normal(size=(2, 2, 3))[labels]
    write = rng.normal(size=(3, 4, 2))[..., labels].reshape(3, -1) / width
    first = engine.Conv1d(read.astype(dtype), None, "tanh", padding=1, stride=2)
    net = engine.Network([first, engine.Flatten(), engine.Dense(write.astype(dtype))])
    x = rng.normal(size=(3, 7, 2))
    y = rng.integers(3, size=3) if loss == "cross_entropy" else rng.integers(2, size=(3, 3))
    classes = {"layers.0": labels, "layers.1": labels}
    assert check_run(net, x, y, classes, optimizer=optimizer, steps=steps, loss=loss) == steps


def branches(seed=0):
    """Two convolutions side by side and their concatenation, flattened, read twice."""
    rng = np.random.default_rng(seed)
    return engine.Network(
        {
            "left": engine.Conv1d(rng.normal(size=(2, 1, 2)), rng.normal(size=2), "tanh"),
            "right": (engine.Conv1d(rng.normal(size=(3, 1, 2)), None, "tanh"), "input"),
            "both": (engine.Concatenate(), "left", "right"),
            "flat": engine.Flatten(),
            "one": engine.Dense(rng.normal(size=(2, 20)), None, "tanh"),
            "other": (engine.Dense(rng.normal(size=(2, 20))), "flat"),
            "sum": (engine.Add(), "one", "other"),
        }
    )


def test_gradients_are_the_slopes_of_the_loss_where_a_flat_value_is_read_twice():
    net, rng = branches(), np.random.default_rng(1)
    x, y = rng.normal(size=(3, 5, 1)), rng.normal(size=(3, 2))
    check_gradient(*loss_and_gradients(net, x, y), net.parameters)


def test_gradients_are_those_of_torch():
    torch = pytest.importorskip("torch")
    net = image_network("he_normal")
    x, labels = digits(load_digits().train)
    x, labels = x[:6].astype(float), labels[:6].astype(int)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in net.parameters.items()}
    weight, bias, above, offset = tensors.values()
    h = torch.nn.functional.conv2d(torch.tensor(x).movedim(-1, 1), weight, bias).relu()
    h = torch.nn.functional.max_pool2d(h, 2).movedim(1, -1).flatten(1)
    torch.nn.functional.cross_entropy(h @ above.T + offset, torch.tensor(labels)).backward()
    found = engine.gradients(net, x, labels, loss="cross_entropy")
    for name, gradient in found.parameters.items():
        np.testing.assert_allclose(gradient, tensors[name].grad.numpy(), rtol=1e-10, atol=1e-14, err_msg=name)


def test_the_graph_reads_each_unit_at_each_position():
    net = image_network("he_normal", width=3)
    graph = net.graph
    assert [(space.name, space.units) for space in graph.spaces] == [("input", 1), ("layers.0", 3), ("output", 10)]
    dense = graph.connections[1]
    assert dense.axes == (("out", "output"), ("receptive", None), ("in", "layers.0"))
    x, _ = digits(load_digits().test)
    h, _ = net.forward(net.read_inputs(x[:2]))
    pooled = h["layers.1"].reshape(2, 9, 3)
    y = np.einsum("opi,npi->no", dense.array, pooled) + graph.arrays["layers.3.bias"]
    np.testing.assert_allclose(net(x[:2]), y, rtol=1e-12)


def test_the_graph_cuts_what_reads_several_flat_spaces():
    net = branches()
    weights = {weight.name: weight for weight in net.graph.connections}
    x = np.random.default_rng(2).normal(size=(2, 5, 1))
    h, _ = net.forward(x)
    z = np.zeros((2, 2))
    for name, space in (("other.weight[in 0:2]", "left"), ("other.weight[in 2:5]", "right")):
        assert weights[name].axes == (("out", "output"), ("receptive", None), ("in", space))
        z += np.einsum("opi,npi->no", weights[name].array, h[space])
    np.testing.assert_allclose(h["other"], z, rtol=1e-12)


def test_joining_what_is_flat_has_no_graph():
    flat = engine.Flatten()
    layers = {"flat": flat, "both": (engine.Concatenate(), "flat", "flat"), "out": engine.Dense(np.ones((1, 8)))}
    net = engine.Network({"read": engine.Conv1d(np.ones((2, 1, 1)))} | layers)
    assert net(np.ones((1, 2, 1))).shape == (1, 1)
    with pytest.raises(NotImplementedError, match="'both': it joins positions that were made units"):
        _ = net.graph


def test_a_dense_layer_of_another_size_is_refused_when_inputs_come():
    net = engine.Network([engine.Conv1d(np.ones((2, 1, 2))), engine.Flatten(), engine.Dense(np.ones((1, 6)))])
    assert net(np.ones((1, 4, 1))).shape == (1, 1)
    with pytest.raises(
        ValueError, match=r"'layers.2', Dense.*, can't read .* \('batch', 5, 1\): .*, not \('batch', 8\)"
    ):
        net(np.ones((1, 5, 1)))
    assert repr(engine.Flatten()) == "Flatten()"
