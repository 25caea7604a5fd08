"""An LSTM is the loop that it says, and its tied units stay tied gate by gate through time and through training."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.engine._products import PRODUCTS, tie_preserving
from tests.engine._optimizers import OPTIMIZERS
from tests.engine._sequences import (
    AWKWARD,
    Tied,
    check_first,
    check_graph,
    check_layer,
    check_network,
    check_products,
    check_tied,
    runs,
    seeds,
    sequences,
    widths,
)

RUN = engine.Run(tie_preserving)
GATE = np.arange(4)
sizes = st.integers(1, 4)


def parameters(inputs, units, *, seed=0, bias=True):
    rng = np.random.default_rng(seed)
    drawn = {"weight": rng.normal(size=(4, units, inputs)), "recurrent": rng.normal(size=(4, units, units))}
    return drawn | ({"bias": rng.normal(size=(4, units))} if bias else {})


@pytest.mark.parametrize("product", [name for name in PRODUCTS if name != "exact"])
@pytest.mark.parametrize("bias", [True, False])
def test_each_unit_is_a_cell_with_three_gates(product, bias):
    p = parameters(3, 4, bias=bias)
    x = np.random.default_rng(1).normal(size=(2, 5, 3))
    y, _ = engine.LSTM(**p).forward(x, engine.Run(PRODUCTS[product]))
    w, r, b = p["weight"], p["recurrent"], p.get("bias", np.zeros((4, 4)))
    for n in range(2):
        h, c = np.zeros(4), np.zeros(4)
        for t in range(5):
            z = [w[gate] @ x[n, t] + r[gate] @ h + b[gate] for gate in range(4)]
            i, f, o = (scipy.special.expit(z[gate]) for gate in (0, 1, 3))
            c = f * c + i * np.tanh(z[2])
            h = o * np.tanh(c)
            np.testing.assert_allclose(y[n, t], h, rtol=1e-12)


@given(batch=sizes, time=sizes, inputs=sizes, units=sizes, bias=st.booleans(), seed=seeds)
def test_backward_is_the_gradient_of_forward(batch, time, inputs, units, bias, seed):
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(batch, time, inputs)), rng.normal(size=(batch, time, units))
    check_layer(lambda p: engine.LSTM(**p), parameters(inputs, units, seed=seed, bias=bias) | {"x": x}, g, RUN)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "logistic"])
def test_gradients_are_the_slopes_of_the_loss_where_a_value_is_read_twice(loss):
    """The LSTM stands in a residual sum, and once more under another name."""
    layer = engine.LSTM(**parameters(4, 4, seed=1))
    rng = np.random.default_rng(2)
    net = engine.Network({
        "up": engine.Dense(rng.normal(size=(4, 3))),
        "first": layer,
        "sum": (engine.Add(), "up", "first"),
        "second": layer,
        "all": (engine.Add(), "sum", "second"),
        "out": engine.Dense(rng.normal(size=(2, 4))),
    })  # fmt: skip
    check_network(net, *sequences(2, 3, 3, 2, loss), loss=loss)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_those_of_torch(dtype):
    torch = pytest.importorskip("torch")
    p = {name: array.astype(dtype) for name, array in parameters(3, 5, seed=3).items()}
    rng = np.random.default_rng(4)
    x, g = rng.normal(size=(2, 6, 3)).astype(dtype), rng.normal(size=(2, 6, 5)).astype(dtype)
    layer = engine.LSTM(**p)
    y, memory = layer.forward(x, RUN)
    back = layer.backward(g, memory, RUN)

    theirs = torch.nn.LSTM(3, 5, batch_first=True, dtype=getattr(torch, dtype))
    names = {"weight": theirs.weight_ih_l0, "recurrent": theirs.weight_hh_l0, "bias": theirs.bias_ih_l0}
    with torch.no_grad():
        theirs.bias_hh_l0.zero_()
        for name, tensor in names.items():
            tensor.copy_(torch.tensor(p[name]).reshape(tensor.shape))
    read = torch.tensor(x, requires_grad=True)
    out, _ = theirs(read)
    out.backward(torch.tensor(g))
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-13}
    np.testing.assert_allclose(y, out.detach().numpy(), **close)
    np.testing.assert_allclose(back.x, read.grad.numpy(), **close)
    for name, tensor in names.items():
        assert back.parameters[name].dtype == dtype
        np.testing.assert_allclose(back.parameters[name].reshape(tensor.shape), tensor.grad, **close, err_msg=name)


def test_the_error_signal_has_the_gradient_at_the_pre_activation_of_each_gate():
    """A bias is added to the pre-activation, so its gradient is the sum over batch and time of the error signal."""
    rng = np.random.default_rng(5)
    layer = engine.LSTM(**parameters(3, 4))
    back = layer.backward(rng.normal(size=(2, 5, 4)), layer.forward(rng.normal(size=(2, 5, 3)), RUN)[1], RUN)
    assert back.error.shape == (2, 5, 4, 4)
    np.testing.assert_allclose(back.error.sum(axis=(0, 1)), back.parameters["bias"], rtol=1e-12)
    np.testing.assert_allclose(
        back.x, sum(back.error[:, :, gate] @ layer.parameters["weight"][gate] for gate in range(4)), rtol=1e-12
    )


def test_the_gradient_at_the_inputs_is_left_out_where_nobody_asks():
    check_first(engine.LSTM(**parameters(3, 4)), np.random.default_rng(0).normal(size=(2, 5, 3)))


# The proof.


def test_all_its_sums_are_formed_by_the_product_that_it_is_given():
    check_products(engine.LSTM(**parameters(3, 4)), np.random.default_rng(0).normal(size=(2, 5, 3)), tie_preserving)


def tied_network(draw, kinds, shape):
    """Two LSTMs and a dense layer, and the labels of their units."""
    inputs, first, second, outputs = shape
    a, b = draw.labels(first, kinds), draw.labels(second, kinds)
    read, out = np.arange(inputs), np.arange(outputs)

    def lstm(name, units, of):
        axes = {"weight": (GATE, units, of), "recurrent": (GATE, units, units), "bias": (GATE, units)}
        return engine.LSTM(*(draw(f"{name}.{part}", *labels) for part, labels in axes.items()))

    layers = [lstm("layers.0", a, read), lstm("layers.1", b, a)]
    dense = engine.Dense(draw("layers.2.weight", out, b), draw("layers.2.bias", out))
    return engine.Network([*layers, dense]), {"layers.0": (a,), "layers.1": (b,)}


@given(
    shape=st.tuples(st.integers(1, 5), widths, widths, st.integers(2, 3)),
    batch=st.integers(2, 4), time=st.integers(1, 5), kinds=st.integers(1, 3), settings=runs(),
    value=st.sampled_from([None, None, 0.5, 0.1, 0.0]), dtype=st.sampled_from(["float32", "float64"]),
    seed=seeds,
)  # fmt: skip
def test_units_that_read_hold_and_write_the_same_stay_tied_at_every_step(
    shape, batch, time, kinds, settings, value, dtype, seed
):
    draw = Tied(seed, dtype, value)
    net, signals = tied_network(draw, kinds, shape)
    data = sequences(batch, time, shape[0], shape[-1], settings["loss"], seed)
    check_tied(net, *data, draw.classes, signals, **settings)


@pytest.mark.parametrize("width", AWKWARD)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_constant_start_stays_tied_under_every_optimizer_at_awkward_widths(width, optimizer):
    draw = Tied(0, value=0.05)
    net, signals = tied_network(draw, 1, (5, width, 3, 2))
    x, y = sequences(4, 3, 5, 2, seed=width)
    assert check_tied(net, x, y, draw.classes, signals, optimizer=OPTIMIZERS[optimizer], steps=10) == 10


@pytest.mark.parametrize("gate", range(4))
def test_units_that_differ_in_one_gate_alone_are_not_tied(gate):
    draw = Tied(0, value=0.05)
    net, signals = tied_network(draw, 1, (5, 4, 3, 2))
    net.parameters["layers.0.weight"][gate, 1, 0] += 1e-6
    with pytest.raises(AssertionError, match="units of one class differ at the start"):
        check_tied(net, *sequences(4, 3, 5, 2), draw.classes, signals, optimizer=engine.SGD(0.1), steps=1)
    del draw.classes["layers.0.weight"]
    found = engine.gradients(net, *sequences(4, 3, 5, 2))
    assert (found.error_signals["layers.0"][..., 1] != found.error_signals["layers.0"][..., 0]).any()


def test_a_backward_pass_that_favours_one_unit_is_seen(monkeypatch):
    """By one place in the last digit of one gate."""
    truth = engine.LSTM.backward

    def favour(self, g, memory, run):
        back = truth(self, g, memory, run)
        back.error[..., 2, -1] = np.nextafter(back.error[..., 2, -1], np.inf)
        return back

    monkeypatch.setattr(engine.LSTM, "backward", favour)
    draw = Tied(0, value=0.05)
    net, signals = tied_network(draw, 1, (5, 4, 3, 2))
    with pytest.raises(AssertionError, match=r"at step 0 units of one class differ in .*'layers.0'"):
        check_tied(net, *sequences(4, 3, 5, 2), draw.classes, signals, optimizer=engine.SGD(0.1), steps=1)


@pytest.mark.parametrize("init", [sb.HeNormal(), sb.Uniform(-0.1, 0.1)], ids=repr)
def test_a_random_start_never_ties_two_units(init):
    key = sb.Key(1)
    layer = engine.LSTM(init((4, 9, 3), rng=key["w"]), init((4, 9, 9), rng=key["r"]), np.zeros((4, 9), "float32"))
    net = engine.Network([layer, engine.Dense(init((2, 9), rng=key["out"]))])

    def check(step):
        for name in ("weight", "recurrent"):
            assert all(len(np.unique(gate, axis=0)) == 9 for gate in net.parameters[f"layers.0.{name}"])

    history = engine.train(net, *sequences(4, 5, 3, 2), optimizer=engine.Adam(0.01), steps=50, callback=check)
    assert len(history.losses) == 50


# What it says of itself.


@pytest.mark.parametrize("bias", [True, False])
def test_the_graph_has_one_space_whose_units_have_four_slices_in_every_array(bias):
    p = parameters(2, 3, bias=bias)
    net = engine.Network([engine.LSTM(**p), engine.Dense(np.ones((1, 3)))])
    graph = net.graph
    assert [(space.name, space.units, space.activation) for space in graph.spaces] == [
        ("input", 2, "identity"), ("layers.0", 3, "lstm"), ("output", 1, "identity"),
    ]  # fmt: skip
    axes = {weight.name: weight.axes for weight in graph.connections}
    assert axes == {
        "layers.0.weight": (("gate", None), ("out", "layers.0"), ("in", "input")),
        "layers.0.recurrent": (("gate", None), ("out", "layers.0"), ("in", "layers.0")),
        "layers.1.weight": (("out", "output"), ("in", "layers.0")),
    }
    assert [(each.name, each.axes, each.kind) for each in graph.per_unit] == [
        ("layers.0.bias", (("gate", None), ("out", "layers.0")), "bias")
    ] * bias
    assert graph.arrays.keys() == net.parameters.keys()
    for name, array in graph.arrays.items():
        np.testing.assert_array_equal(array, net.parameters[name])


def test_the_graph_says_which_arrays_the_units_are_in():
    """Two layers, the first of which stands in a residual sum."""
    rng = np.random.default_rng(1)
    net = engine.Network({
        "up": engine.Dense(rng.normal(size=(4, 3))),
        "first": engine.LSTM(**parameters(4, 4, seed=1)),
        "sum": (engine.Add(), "up", "first"),
        "second": engine.LSTM(**parameters(4, 5, seed=2)),
        "out": engine.Dense(rng.normal(size=(2, 5))),
    })  # fmt: skip
    assert check_graph(net, rng.normal(size=(2, 3, 3))) == 2


def test_an_lstm_says_what_it_is():
    assert repr(engine.LSTM(**parameters(2, 3))) == "LSTM(2 -> 3)"
    assert repr(engine.LSTM(**parameters(2, 3, bias=False))) == "LSTM(2 -> 3, no bias)"


W, R = np.ones((4, 3, 2)), np.ones((4, 3, 3))
BAD = {
    "a list": ((W, [[1.0]]), TypeError, "a recurrent weight must be a NumPy array, not a list; use np.asarray"),
    "integers": ((W, R, np.ones((4, 3), int)), TypeError, "a bias must be float32 or float64, not int64"),
    "torch's two axes": ((np.ones((12, 2)), R), ValueError, r"three axes, \(4 gates, units, .* got \(12, 2\)"),
    "three gates": ((np.ones((3, 3, 2)), R), ValueError, r"\(4 gates, units, inputs\), .* got \(3, 3, 2\)"),
    "no inputs": ((np.ones((4, 3, 0)), R), ValueError, r"of 1 or more; got \(4, 3, 0\)"),
    "units that don't meet": ((W, np.ones((4, 3, 2))), ValueError, r"weight of shape \(4, 3, 3\), not \(4, 3, 2\)"),
    "a flat bias": ((W, R, np.ones(12)), ValueError, r"needs a bias of shape \(4, 3\), not \(12,\)"),
    "two dtypes": ((W, R.astype("float32")), TypeError, "the recurrent weight float32; give both one dtype"),
    "nan": ((W, R * np.nan), ValueError, "a recurrent weight must be finite; 36 of its values are not"),
    "exact": ((W.astype(object), R.astype(object)), TypeError, "an LSTM takes exponentials, which exact numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_parameters_that_make_no_sense_are_refused(case):
    arguments, error, message = BAD[case]
    with pytest.raises(error, match=message):
        engine.LSTM(*arguments)


@pytest.mark.parametrize("shape", [(4, 2), (4, 5, 2, 2)])
def test_inputs_without_one_axis_of_time_are_refused(shape):
    net = engine.Network([engine.LSTM(W, R)])
    with pytest.raises(ValueError, match=r"LSTM\(2 -> 3, .*it reads \(batch, time, 2\), not \('batch', "):
        net(np.ones(shape))
