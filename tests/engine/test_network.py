"""A network's gradients are the slopes of its loss, and what it yields as a graph is what it computes with."""

import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._activations import ACTIVATIONS
from symbreak.engine._losses import LOSSES
from symbreak.engine._products import PRODUCTS
from symbreak.errors import UnknownName
from symbreak.testing import check_gradient
from tests.engine._networks import in_torch, loss_in_torch, random_data, random_network, with_parameters

architectures = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def far_from_kinks(net, x):
    """Whether no relu, leaky or not, is near the corner, where there is no slope to compare with."""
    for layer in net.layers.values():
        z = x @ layer.parameters["weight"].T + layer.parameters.get("bias", 0)
        if "relu" in layer.activation and abs(z).min() < 0.005:
            return False
        x = ACTIVATIONS[layer.activation].forward(z)
    return True


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@given(sizes=architectures, bias=st.booleans(), batch=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_gradients_are_the_slopes_of_the_loss(loss, activation, sizes, bias, batch, seed):
    net = random_network([*sizes, 3], activation, seed=seed, bias=bias)
    x, y = random_data(batch, sizes[0], 3, loss, seed=seed)
    assume(far_from_kinks(net, x))
    found = engine.gradients(net, x, y, loss=loss)
    largest = max(abs(found.activations[name]).max() for name in net.layers)  # a loss near 0 is a difference of these
    assume(largest < 3000)  # squares of squares: a step would move a logit past the bend of the loss, not along it
    check_gradient(
        lambda p: engine.gradients(with_parameters(net, p), x, y, loss=loss).loss,
        found.parameters,
        net.parameters,
        step=1e-4,  # moves no pre-activation across a kink
        rounding=16 * np.spacing(max(found.loss, largest)),
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("product", [name for name in PRODUCTS if name != "exact"])
def test_gradients_are_those_of_torch(loss, activation, dtype, product):
    torch = pytest.importorskip("torch")
    net = random_network([5, 7, 4, 3], activation, seed=3, dtype=dtype, product=product)
    x, y = random_data(6, 5, 3, loss, seed=3)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in net.parameters.items()}
    h = torch.tensor(x.astype(dtype))
    for name, layer in net.layers.items():
        z = torch.nn.functional.linear(h, tensors[f"{name}.weight"], tensors[f"{name}.bias"])
        z.retain_grad()
        tensors[name] = z
        h = in_torch(layer.activation)(z)
    target = torch.tensor(y if loss == "cross_entropy" else y.astype(dtype))
    value = loss_in_torch(loss)(h, target)
    value.backward()

    found = engine.gradients(net, x, y, loss=loss)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-13}
    assert found.loss == pytest.approx(value.item(), rel=close["rtol"])
    for name, gradient in (found.parameters | found.error_signals).items():
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, tensors[name].grad.numpy(), **close, err_msg=name)
    np.testing.assert_allclose(found.activations["layers.2"], h.detach().numpy(), **close)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_of_a_batch_is_the_mean_of_those_of_its_rows(loss):
    net = random_network([3, 4, 2], seed=1)
    x, y = random_data(5, 3, 2, loss, seed=1)
    rows = [engine.gradients(net, x[[n]], y[[n]], loss=loss) for n in range(5)]
    whole = engine.gradients(net, x, y, loss=loss)
    assert whole.loss == pytest.approx(np.mean([row.loss for row in rows]))
    for name in net.parameters:
        np.testing.assert_allclose(whole[name], np.mean([row[name] for row in rows], axis=0), atol=1e-14)
    for name in net.layers:
        np.testing.assert_allclose(whole.error_signals[name], np.concatenate([r.error_signals[name] for r in rows]) / 5)


def test_names_come_in_the_order_of_the_layers():
    net = random_network([2, 3, 4, 1])
    x, y = random_data(6, 2, 1, "mse")
    found = engine.gradients(net, x, y)
    layers = ["layers.0", "layers.1", "layers.2"]
    names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    assert list(net.parameters) == list(found.parameters) == names
    assert list(found.error_signals) == list(found.activations) == layers
    for name, array in net.parameters.items():
        assert found[name].shape == array.shape
    for layer, units in zip(layers, (3, 4, 1), strict=True):
        assert found.error_signals[layer].shape == found.activations[layer].shape == (6, units)
    np.testing.assert_array_equal(found.activations["layers.2"], net(x))
    assert repr(found) == f"Gradients(loss={found.loss!r}, {', '.join(names)})"
    with pytest.raises(UnknownName, match=r"no parameter is called 'layers.0.wieght'; did you mean 'layers.0.weight'"):
        found["layers.0.wieght"]


def test_gradients_change_nothing():
    net = random_network([2, 3, 1])
    before = {name: array.copy() for name, array in net.parameters.items()}
    x, y = random_data(4, 2, 1, "mse")
    copies = x.copy(), y.copy()
    engine.gradients(net, x, y)
    np.testing.assert_array_equal(x, copies[0])
    np.testing.assert_array_equal(y, copies[1])
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, before[name])


@given(sizes=st.lists(st.integers(1, 6), min_size=2, max_size=5), bias=st.booleans(), seed=st.integers(0, 2**32))
def test_the_graph_is_what_the_network_computes_with(sizes, bias, seed):
    net = random_network(sizes, "relu", seed=seed, bias=bias)
    graph = net.graph
    assert [space.units for space in graph.spaces] == sizes
    assert [space.activation for space in graph.spaces[1:]] == [layer.activation for layer in net.layers.values()]
    assert graph.arrays.keys() == net.parameters.keys()
    h = x = np.random.default_rng(seed).normal(size=(3, sizes[0]))
    for number in range(len(net.layers)):
        z = h @ graph.arrays[f"layers.{number}.weight"].T + graph.arrays.get(f"layers.{number}.bias", 0)
        h = ACTIVATIONS[graph.spaces[number + 1].activation].forward(z)
    np.testing.assert_allclose(net(x), h, rtol=1e-10, atol=1e-12)


def test_a_graph_keeps_the_weights_of_its_moment():
    net = random_network([2, 3, 1])
    graph = net.graph
    before = {name: array.copy() for name, array in graph.arrays.items()}
    for array in net.parameters.values():
        array += 1
    for name, array in graph.arrays.items():
        np.testing.assert_array_equal(array, before[name])
        np.testing.assert_array_equal(net.graph.arrays[name], before[name] + 1)


def test_a_layer_that_cannot_say_how_it_is_wired_has_no_graph():
    class Same(engine.AbstractLayer):
        inputs = units = 2
        parameters = {"unused": np.zeros(1)}  # noqa: RUF012 - of a class that lives for one test

        def forward(self, x, run):
            return x, None

        def backward(self, g, memory, run):
            return engine.Backward(g, g, {})

    net = engine.Network([Same()])
    np.testing.assert_array_equal(net(np.ones((1, 2))), np.ones((1, 2)))
    with pytest.raises(
        NotImplementedError, match=r"no graph can be made of .*Same.*: a layer says how it is wired in a method"
    ):
        _ = net.graph


def test_a_network_says_what_it_is():
    assert repr(random_network([2, 3, 1], "relu")) == (
        "Network([Dense(2 -> 3, relu), Dense(3 -> 1, identity)], float64, product='tie_preserving')"
    )


def test_inputs_of_any_numbers_are_read_in_the_networks_dtype():
    net = random_network([2, 3], dtype="float32")
    assert net([[1, 2]]).dtype == np.float32
    np.testing.assert_array_equal(net([[1, 0]]), net(np.array([[True, False]])))
    np.testing.assert_array_equal(net(np.asfortranarray([[1.0, 2], [3, 4]])), net([[1, 2], [3, 4]]))


NET, X, Y = random_network([2, 3, 1]), np.ones((4, 2)), np.ones((4, 1))
BAD = {
    "inputs of another width": (
        np.ones((4, 3)),
        Y,
        ValueError,
        r"inputs must have shape \(batch, 2\); theirs is \(4, 3\)",
    ),
    "one row without its axis": (np.ones(2), Y, ValueError, r"\(batch, 2\); theirs is \(2,\)"),
    "an empty batch": (np.ones((0, 2)), np.ones((0, 1)), ValueError, r"the batch is empty: .* shape \(0, 2\)"),
    "text": (np.full((4, 2), "a"), Y, TypeError, "the inputs must be numbers; their dtype is <U1"),
    "masked inputs": (np.ma.array(X, mask=[[0, 1]] * len(X)), Y, ValueError, "of the inputs are masked: .* leave out"),
    "masked targets": (
        X,
        np.ma.array(Y, mask=[[1], [0], [0], [1]]),
        ValueError,
        "[1-9] of the targets are masked: .* or fill them",
    ),
    "rows of two lengths": ([[1, 2], [3]], Y, ValueError, "the inputs make no array; are all rows of one length"),
    "targets of two lengths": (X, [[1], [2], [3], []], ValueError, "the targets make no array; are all rows of one"),
    "complex": (X + 1j, Y, TypeError, "the inputs must be numbers; their dtype is complex128"),
    "nan": (
        np.where(np.eye(4, 2), np.nan, X),
        Y,
        ValueError,
        r"inputs must be finite float64 .* at \[0, 0\] there is nan",
    ),
    "inf": (X * [1, np.inf], Y, ValueError, r"at \[0, 1\] there is inf"),
    "too few targets": (X, Y[:3], ValueError, "as many rows; they have 4 and 3"),
    "targets of another width": (X, np.ones((4, 2)), ValueError, r"shape of the outputs, \(4, 1\); theirs is \(4, 2\)"),
    "a number for targets": (X, 1.0, ValueError, r"shape of the outputs, \(4, 1\); theirs is \(\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_data_that_makes_no_sense_is_refused(case):
    x, y, error, message = BAD[case]
    with pytest.raises(error, match=message):
        engine.gradients(NET, x, y)
    with pytest.raises(error, match=message):
        engine.train(NET, x, y, optimizer=engine.SGD(0.1), steps=1)


def test_inputs_too_large_for_the_dtype_are_refused():
    with pytest.raises(ValueError, match=r"inputs must be finite float32 numbers; at \[0, 1\] there is 1e\+39"):
        random_network([2, 1], dtype="float32")([[1, 1e39]])


SAME = engine.Dense(np.ones((2, 2)))
NO_NETWORKS = {
    "no layers": ([], {}, ValueError, "a network needs at least one layer"),
    "an array": (
        [np.ones((1, 1))],
        {},
        TypeError,
        r"made of layers such as engine.Dense\(weight, bias\), not of array",
    ),
    "one layer twice": ([SAME, SAME], {}, ValueError, "one layer is given twice"),
    "sizes that don't meet": (
        [engine.Dense(np.ones((3, 2))), engine.Dense(np.ones((1, 4)))],
        {},
        ValueError,
        r"'layers.0' writes 3 units, but 'layers.1' reads 4: \[Dense\(2 -> 3, .*\), Dense\(4 -> 1, .*\)\]",
    ),
    "two dtypes": (
        [engine.Dense(np.ones((2, 2))), engine.Dense(np.ones((1, 2), "float32"))],
        {},
        TypeError,
        "must have one dtype, not float32 and float64",
    ),
    "an unknown product": ([SAME], {"product": "tie-preserving"}, UnknownName, "did you mean 'tie_preserving'"),
}


@pytest.mark.parametrize("case", NO_NETWORKS)
def test_layers_that_make_no_network_are_refused(case):
    layers, options, error, message = NO_NETWORKS[case]
    with pytest.raises(error, match=message):
        engine.Network(layers, **options)


def test_what_vanishes_raises_nothing_whatever_numpy_is_told_to_raise():
    net = engine.Network([engine.Dense(np.array([[1e-200], [2000.0]]))])
    with np.errstate(all="raise"):
        assert net([[1e-200]])[0, 0] == 0
        assert engine.gradients(net, [[1.0]], [1], loss="cross_entropy").loss == 0


def test_a_parameter_is_written_into_and_never_replaced():
    net = random_network([2, 3, 1])
    with pytest.raises(TypeError, match="does not support item assignment"):
        net.parameters["layers.0.weight"] = np.zeros((3, 2))
    net.parameters["layers.0.weight"][...] = 0
    assert not engine.gradients(net, X, Y).activations["layers.0"].std(axis=0).any()


def test_what_a_layer_must_return_is_said():
    class Wrong(engine.AbstractLayer):
        inputs = units = 2
        parameters = {}  # noqa: RUF012 - of a class that lives for one test

        def forward(self, x, run):
            return x, None

        def backward(self, g, memory, run):
            return g, g, {}

    net = engine.Network([engine.Dense(np.ones((2, 2))), Wrong()])
    with pytest.raises(TypeError, match=r"`backward` of Wrong\(2 -> 2\) must return an engine.Backward, not a tuple"):
        engine.gradients(net, X, X)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_network_comes_back_from_a_pickle_and_trains_on_as_itself(activation):
    net = random_network([2, 3, 1], activation)
    engine.train(net, X, Y, optimizer=engine.SGD(0.01), steps=1)
    read = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(read(X), net(X))
    for each in (net, read):
        engine.train(each, X, Y, optimizer=engine.SGD(0.01), steps=2)
    for name, parameter in net.parameters.items():
        np.testing.assert_array_equal(read.parameters[name], parameter, strict=True)
        np.testing.assert_array_equal(read.graph.arrays[name], parameter, strict=True)


CONV = engine.Network([engine.Conv1d(np.ones((3, 1, 2))), engine.Flatten(), engine.Dense(np.ones((1, 6)))])
FLAT = engine.Network([engine.Flatten(), engine.Dense(np.ones((1, 6)))])


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (CONV, (4, 3), r"'layers.0', Conv1d.*: it reads \(batch, time, 1\), not \('batch', 3\)"),
        (CONV, (4, 1), r"'layers.0', Conv1d.*: it reads \(batch, time, 1\), not \('batch', 1\)"),
        (CONV, (3,), r"must have shape \(batch, ..., 1\); theirs is \(3,\)"),
        (CONV, (4, 4, 1), r"'layers.2', Dense.*: it reads \(batch, ..., 6\), not \('batch', 9\)"),
        (FLAT, (4, 5), r"'layers.1', Dense.*: it reads \(batch, ..., 6\), not \('batch', 5\)"),
        (NET, (4, 3, 3), r"'layers.0', Dense.*: it reads \(batch, ..., 2\), not \('batch', 3, 3\)"),
        (CONV, (4, 0), "the batch is empty"),
    ],
)
def test_inputs_that_a_layer_cannot_read_are_told_in_its_words(net, shape, message):
    with pytest.raises(ValueError, match=message):
        net(np.ones(shape))


W2, W3 = np.ones((2, 2)), np.ones((2, 2, 2))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: engine.Dense(None), "a weight"),
        (lambda: engine.Conv1d(None), "a weight"),
        (lambda: engine.Embedding(None), "a weight"),
        (lambda: engine.Recurrent(W2, None), "a recurrent weight"),
        (lambda: engine.LSTM(np.ones((4, 2, 2)), None), "a recurrent weight"),
        (lambda: engine.Attention(W3, W3, W3, None), "a weight of the output"),
        (lambda: engine.LayerNorm(None), "a scale"),
        (lambda: engine.RMSNorm(None), "a scale"),
        (lambda: engine.BatchNorm(np.ones(2), None), "a shift"),
    ],
)
def test_a_layer_without_an_array_that_it_needs_is_refused(make, what):
    with pytest.raises(TypeError, match=f"^{what} must be a NumPy array, not a NoneType"):
        make()
