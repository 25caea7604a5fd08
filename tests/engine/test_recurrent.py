"""A recurrent layer is the loop that it says, and its tied units stay tied through time and through training."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.engine._activations import ACTIVATIONS
from symbreak.engine._products import PRODUCTS, tie_preserving
from symbreak.errors import UnknownName
from tests.engine._networks import in_torch
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
    unequal,
    widths,
)

RUN = engine.Run(tie_preserving)
sizes = st.integers(1, 4)


def parameters(inputs, units, *, seed=0, bias=True):
    rng = np.random.default_rng(seed)
    drawn = {"weight": rng.normal(size=(units, inputs)), "recurrent": rng.normal(size=(units, units)) / units}
    return drawn | ({"bias": rng.normal(size=units)} if bias else {})


@pytest.mark.parametrize("product", [name for name in PRODUCTS if name != "exact"])
@pytest.mark.parametrize("bias", [True, False])
def test_each_step_reads_the_inputs_of_now_and_the_units_of_the_step_before(product, bias):
    p = parameters(3, 4, bias=bias)
    x = np.random.default_rng(1).normal(size=(2, 5, 3))
    y, _ = engine.Recurrent(**p).forward(x, engine.Run(PRODUCTS[product]))
    for n in range(2):
        h = np.zeros(4)
        for t in range(5):
            h = np.tanh(p["weight"] @ x[n, t] + p["recurrent"] @ h + p.get("bias", 0))
            np.testing.assert_allclose(y[n, t], h, rtol=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@given(batch=sizes, time=sizes, inputs=sizes, units=sizes, bias=st.booleans(), seed=seeds)
def test_backward_is_the_gradient_of_forward(activation, batch, time, inputs, units, bias, seed):
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(batch, time, inputs)), rng.normal(size=(batch, time, units))
    p = parameters(inputs, units, seed=seed, bias=bias)
    _, (_, _, z, y) = engine.Recurrent(**p, activation=activation).forward(x, RUN)
    assume("relu" not in activation or abs(z).min() > 0.05)  # at the kink there is no slope to compare with
    assume(abs(y).max() < 10)  # squares of squares soon leave what differences can measure
    check_layer(lambda q: engine.Recurrent(**q, activation=activation), p | {"x": x}, g, RUN)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "logistic"])
def test_gradients_are_the_slopes_of_the_loss_where_a_value_is_read_twice(loss):
    """The recurrent layer stands in a residual sum, and once more under another name."""
    layer = engine.Recurrent(**parameters(4, 4, seed=1))
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


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_those_of_torch(activation, dtype):
    torch = pytest.importorskip("torch")
    p = {name: array.astype(dtype) for name, array in parameters(3, 5, seed=3).items()}
    rng = np.random.default_rng(4)
    x, g = rng.normal(size=(2, 6, 3)).astype(dtype), rng.normal(size=(2, 6, 5)).astype(dtype)
    layer = engine.Recurrent(**p, activation=activation)
    y, memory = layer.forward(x, RUN)
    back = layer.backward(g, memory, RUN)

    theirs = torch.nn.RNN(3, 5, nonlinearity=activation, batch_first=True, dtype=getattr(torch, dtype))
    names = {"weight": theirs.weight_ih_l0, "recurrent": theirs.weight_hh_l0, "bias": theirs.bias_ih_l0}
    with torch.no_grad():
        theirs.bias_hh_l0.zero_()
        for name, tensor in names.items():
            tensor.copy_(torch.tensor(p[name]))
    read = torch.tensor(x, requires_grad=True)
    out, _ = theirs(read)
    out.backward(torch.tensor(g))
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-13}
    np.testing.assert_allclose(y, out.detach().numpy(), **close)
    np.testing.assert_allclose(back.x, read.grad.numpy(), **close)
    for name, tensor in names.items():
        assert back.parameters[name].dtype == dtype
        np.testing.assert_allclose(back.parameters[name], tensor.grad.numpy(), **close, err_msg=name)


def test_the_error_signal_is_the_gradient_at_the_pre_activation_of_each_step():
    torch = pytest.importorskip("torch")
    p = parameters(3, 4, seed=5)
    rng = np.random.default_rng(6)
    x, g = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 4))
    layer = engine.Recurrent(**p, activation="silu")
    back = layer.backward(g, layer.forward(x, RUN)[1], RUN)
    w, r, b = (torch.tensor(array) for array in p.values())
    h, total, kept = torch.zeros(2, 4, dtype=torch.float64), 0.0, []
    for t in range(5):
        z = (torch.tensor(x[:, t]) @ w.T + h @ r.T + b).requires_grad_()
        z.retain_grad()
        kept.append(z)
        h = in_torch("silu")(z)
        total = total + (h * torch.tensor(g[:, t])).sum()
    total.backward()
    np.testing.assert_allclose(back.error, np.stack([z.grad.numpy() for z in kept], axis=1), rtol=1e-12)


def test_the_gradient_at_the_inputs_is_left_out_where_nobody_asks():
    check_first(engine.Recurrent(**parameters(3, 4)), np.random.default_rng(0).normal(size=(2, 5, 3)))


# The proof.


def test_all_its_sums_are_formed_by_the_product_that_it_is_given():
    check_products(
        engine.Recurrent(**parameters(3, 4), activation="gelu"),
        np.random.default_rng(0).normal(size=(2, 5, 3)),
        tie_preserving,
    )


def tied_network(draw, kinds, shape, activation):
    """Two recurrent layers and a dense one, and the labels of their units."""
    inputs, first, second, outputs = shape
    a, b = draw.labels(first, kinds), draw.labels(second, kinds)
    read, out = np.arange(inputs), np.arange(outputs)
    net = engine.Network([
        engine.Recurrent(*(draw(f"layers.0.{n}", *of) for n, of in recurrent_axes(a, read)), activation),
        engine.Recurrent(*(draw(f"layers.1.{n}", *of) for n, of in recurrent_axes(b, a)), activation),
        engine.Dense(draw("layers.2.weight", out, b), draw("layers.2.bias", out)),
    ])  # fmt: skip
    return net, {"layers.0": (a,), "layers.1": (b,)}


def recurrent_axes(units, inputs):
    return [("weight", (units, inputs)), ("recurrent", (units, units)), ("bias", (units,))]


@given(
    shape=st.tuples(st.integers(1, 5), widths, widths, st.integers(2, 3)),
    batch=st.integers(2, 4), time=st.integers(1, 5), kinds=st.integers(1, 3), settings=runs(),
    value=st.sampled_from([None, None, 0.5, 0.1, 0.0]), dtype=st.sampled_from(["float32", "float64"]),
    activation=st.sampled_from(["tanh", "relu", "sigmoid", "gelu", "sin"]),
    seed=seeds,
)  # fmt: skip
def test_units_that_read_hold_and_write_the_same_stay_tied_at_every_step(
    shape, batch, time, kinds, settings, value, dtype, activation, seed
):
    draw = Tied(seed, dtype, value)
    net, signals = tied_network(draw, kinds, shape, activation)
    check_tied(
        net, *sequences(batch, time, shape[0], shape[-1], settings["loss"], seed), draw.classes, signals, **settings
    )


@pytest.mark.parametrize("width", AWKWARD)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_constant_start_stays_tied_under_every_optimizer_at_awkward_widths(width, optimizer):
    draw = Tied(0, value=0.05)
    net, signals = tied_network(draw, 1, (5, width, 3, 2), "tanh")
    x, y = sequences(8, 4, 5, 2, seed=width)
    assert check_tied(net, x, y, draw.classes, signals, optimizer=OPTIMIZERS[optimizer], steps=20) == 20


@pytest.mark.parametrize("init", [sb.HeNormal(), sb.Orthogonal(), sb.Uniform(-0.1, 0.1)], ids=repr)
def test_a_random_start_never_ties_two_units(init):
    key = sb.Key(1)
    layer = engine.Recurrent(init((9, 3), rng=key["w"]), init((9, 9), rng=key["r"]), np.zeros(9, "float32"), "relu")
    net = engine.Network([layer, engine.Dense(init((2, 9), rng=key["out"]))])
    x, y = sequences(4, 5, 3, 2)

    def check(step):
        assert all(len(np.unique(net.parameters[f"layers.0.{n}"], axis=0)) == 9 for n in ("weight", "recurrent"))

    assert len(engine.train(net, x, y, optimizer=engine.SGD(0.01), steps=50, callback=check).losses) == 50


def test_a_backward_pass_that_favours_one_unit_is_seen(monkeypatch):
    """By one place in the last digit, in what goes back through time."""
    truth = engine.Recurrent.backward

    def favour(self, g, memory, run):
        back = truth(self, g, memory, run)
        back.parameters["recurrent"][-1] = np.nextafter(back.parameters["recurrent"][-1], np.inf)
        return back

    monkeypatch.setattr(engine.Recurrent, "backward", favour)
    draw = Tied(0, value=0.05)
    net, signals = tied_network(draw, 1, (5, 4, 3, 2), "tanh")
    with pytest.raises(AssertionError, match=r"at step 0 units of one class differ in .*'layers.0.recurrent'"):
        check_tied(net, *sequences(8, 4, 5, 2), draw.classes, signals, optimizer=engine.SGD(0.1), steps=2)


# Without rounding: also classes in which only sums are equal.


RECURRENT = {
    "equal weights": np.full((3, 3), 2),
    "the identity": np.eye(3, dtype=int),
    "a circulant": np.array([[1, 2, 3], [3, 1, 2], [2, 3, 1]]),
    "equal sums": np.array([[0, 2, 4], [3, 2, 1], [3, 2, 1]]),
}


def exact_network(recurrent, kind, activation="square", scale=1):
    def exactly(values):
        return np.vectorize(lambda value: kind(Fraction(int(value), scale)), otypes=[object])(np.asarray(values))

    layer = engine.Recurrent(exactly([[1, 2]] * 3), exactly(recurrent), exactly([1, 1, 1]), activation)
    return engine.Network([layer, engine.Dense(exactly([[5, 5, 5]]))], product="exact")


EXACT_X, EXACT_Y = np.array([[[1, 2], [3, -1], [0, 1]], [[2, 1], [1, 1], [-1, 2]]]), np.array([[1, 4, 2], [0, 3, 1]])
ONE = np.zeros(3, int)


def check_exact(net, optimizer, steps):
    """All three units are tied: equal signals, equal sums of what they read, and of what reads them."""

    def check(step):
        found = step.gradients
        assert not unequal(found.activations | found.error_signals, {"layers.0": (ONE,)}), step.number
        recurrent, out = (step.network.parameters[f"layers.{name}"] for name in ("0.recurrent", "1.weight"))
        sums = {"rows": recurrent.sum(axis=1), "columns": recurrent.sum(axis=0), "out": out[0]}
        assert not unequal(sums, dict.fromkeys(sums, (ONE,))), step.number

    return engine.train(net, EXACT_X, EXACT_Y[..., np.newaxis], optimizer=optimizer, steps=steps, callback=check)


@pytest.mark.parametrize("recurrent", RECURRENT)
@pytest.mark.parametrize("optimizer", [engine.SGD(0.25), engine.Momentum(0.25, momentum=0.5)], ids=["SGD", "Momentum"])
def test_classes_stay_tied_modulo_a_prime_also_where_only_sums_are_equal(recurrent, optimizer):
    net = exact_network(RECURRENT[recurrent], engine.Residue)
    check_exact(net, optimizer, 50)
    assert (recurrent == "equal weights") == (not unequal(net.parameters, {"layers.0.recurrent": (ONE, ONE)}))


def test_equal_sums_keep_units_tied_for_a_thousand_steps_modulo_a_prime():
    assert (
        len(check_exact(exact_network(RECURRENT["equal sums"], engine.Residue), engine.SGD(0.25), 1000).losses) == 1000
    )


def test_classes_stay_tied_in_fractions_for_a_few_steps():
    check_exact(exact_network(RECURRENT["equal sums"], Fraction, "identity", 16), engine.SGD(0.25), 3)


@pytest.mark.parametrize("spoil", [(0, 0), (2, 1)])
def test_a_recurrent_weight_whose_sums_differ_separates_its_units(spoil):
    recurrent = RECURRENT["equal sums"].copy()
    recurrent[spoil] += 1
    with pytest.raises(AssertionError):
        check_exact(exact_network(recurrent, engine.Residue), engine.SGD(0.25), 1)


def test_exact_numbers_train_as_floats_do_but_for_rounding():
    exact = exact_network(RECURRENT["equal sums"], Fraction, "identity", 16)
    parts = {name: array.astype(float) for name, array in exact.parameters.items()}
    layer = engine.Recurrent(*(parts[f"layers.0.{n}"] for n in ("weight", "recurrent", "bias")), "identity")
    floats = engine.Network([layer, engine.Dense(parts["layers.1.weight"])])
    losses = [
        engine.train(net, EXACT_X, EXACT_Y[..., np.newaxis], optimizer=engine.SGD(2.0**-20), steps=3).losses
        for net in (exact, floats)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-12)


# What it says of itself.


@pytest.mark.parametrize("bias", [True, False])
def test_the_graph_has_one_space_that_the_recurrent_weight_reads_and_writes(bias):
    p = parameters(2, 3, bias=bias)
    net = engine.Network([engine.Recurrent(**p, activation="relu"), engine.Dense(np.ones((1, 3)))])
    graph = net.graph
    assert [(space.name, space.units, space.activation) for space in graph.spaces] == [
        ("input", 2, "identity"), ("layers.0", 3, "relu"), ("output", 1, "identity"),
    ]  # fmt: skip
    axes = {weight.name: weight.axes for weight in graph.connections}
    assert axes == {
        "layers.0.weight": (("out", "layers.0"), ("in", "input")),
        "layers.0.recurrent": (("out", "layers.0"), ("in", "layers.0")),
        "layers.1.weight": (("out", "output"), ("in", "layers.0")),
    }
    assert [(each.name, each.space, each.kind) for each in graph.per_unit] == [
        ("layers.0.bias", "layers.0", "bias")
    ] * bias
    assert graph.arrays.keys() == net.parameters.keys()
    for name, array in graph.arrays.items():
        np.testing.assert_array_equal(array, net.parameters[name])


def test_the_graph_says_which_arrays_the_units_are_in():
    """Two layers, the first of which stands in a residual sum."""
    rng = np.random.default_rng(1)
    net = engine.Network({
        "up": engine.Dense(rng.normal(size=(4, 3))),
        "first": engine.Recurrent(**parameters(4, 4, seed=1)),
        "sum": (engine.Add(), "up", "first"),
        "second": engine.Recurrent(**parameters(4, 5, seed=2)),
        "out": engine.Dense(rng.normal(size=(2, 5))),
    })  # fmt: skip
    assert check_graph(net, rng.normal(size=(2, 3, 3))) == 2


def test_a_recurrent_layer_says_what_it_is():
    assert repr(engine.Recurrent(**parameters(2, 3))) == "Recurrent(2 -> 3, tanh)"
    assert (
        repr(engine.Recurrent(**parameters(2, 3, bias=False), activation="relu")) == "Recurrent(2 -> 3, relu, no bias)"
    )


W, R = np.ones((3, 2)), np.ones((3, 3))
BAD = {
    "a list": ((W, [[1.0]]), TypeError, "a recurrent weight must be a NumPy array, not a list; use np.asarray"),
    "integers": ((W, np.ones((3, 3), int)), TypeError, "a recurrent weight must be float32 or float64, not int64"),
    "one axis": ((np.ones(3), R), ValueError, r"has two axes, \(units, inputs\), of 1 or more; got \(3,\)"),
    "no units": ((np.ones((0, 2)), R), ValueError, r"of 1 or more; got \(0, 2\)"),
    "units that don't meet": ((W, np.ones((3, 2))), ValueError, r"a recurrent weight of shape \(3, 3\), not \(3, 2\)"),
    "a bias of the inputs": ((W, R, np.ones(2)), ValueError, r"needs a bias of shape \(3,\), not \(2,\)"),
    "two dtypes": (
        (W, R.astype("float32")),
        TypeError,
        "the weight is float64 and the recurrent weight float32; give both one dtype",
    ),
    "nan": ((W, R * np.nan), ValueError, "a recurrent weight must be finite; 9 of its values are not"),
    "an activation misspelt": (
        (W, R, None, "than"),
        UnknownName,
        "no activation is called 'than'; did you mean 'tanh'",
    ),
    "an exact tanh": ((W.astype(object), R.astype(object)), TypeError, "identity or square; got 'tanh'"),
    "exact text": (
        (W.astype(object), np.full((3, 3), "a", object), None, "square"),
        TypeError,
        "the recurrent weight of an exact network must be numbers",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_parameters_that_make_no_sense_are_refused(case):
    arguments, error, message = BAD[case]
    with pytest.raises(error, match=message):
        engine.Recurrent(*arguments)


@pytest.mark.parametrize("shape", [(4, 2), (4, 5, 2, 2)])
def test_inputs_without_one_axis_of_time_are_refused(shape):
    net = engine.Network([engine.Recurrent(W, R)])
    with pytest.raises(ValueError, match=r"Recurrent\(2 -> 3, .*it reads \(batch, time, 2\), not \('batch', "):
        net(np.ones(shape))


def test_time_may_be_of_any_length():
    net = engine.Network([engine.Recurrent(**parameters(2, 3))])
    x = np.random.default_rng(0).normal(size=(2, 7, 2))
    np.testing.assert_array_equal(net(x)[:, :4], net(x[:, :4]))
