"""Networks with branches: sums, concatenations, shared layers, and what their graphs say."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.testing import check_gradient
from tests.engine._networks import loss_in_torch, random_data


def residual(p, product="tie_preserving"):
    """Three inputs; a block whose middle value is read twice; two heads that are joined."""
    return engine.Network(
        {
            "stem": engine.Dense(p["stem.weight"], p["stem.bias"], "tanh"),
            "up": engine.Dense(p["up.weight"], p["up.bias"], "softplus"),
            "down": engine.Dense(p["down.weight"]),
            "sum": (engine.Add(), "stem", "down"),
            "soft": engine.Activate("sigmoid"),
            "left": engine.Dense(p["left.weight"], p["left.bias"]),
            "right": (engine.Dense(p["right.weight"]), "soft"),
            "both": (engine.Concatenate(), "left", "right"),
        },
        product=product,
    )


def parameters(seed, width=5, inner=4):
    rng = np.random.default_rng(seed)
    shapes = {
        "stem.weight": (width, 3),
        "stem.bias": (width,),
        "up.weight": (inner, width),
        "up.bias": (inner,),
        "down.weight": (width, inner),
        "left.weight": (1, width),
        "left.bias": (1,),
        "right.weight": (2, width),
    }
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def by_hand(p, x):
    stem = np.tanh(x @ p["stem.weight"].T + p["stem.bias"])
    total = stem + np.log1p(np.exp(stem @ p["up.weight"].T + p["up.bias"])) @ p["down.weight"].T
    soft = 1 / (1 + np.exp(-total))
    return np.concatenate([soft @ p["left.weight"].T + p["left.bias"], soft @ p["right.weight"].T], axis=1)


@pytest.mark.parametrize("product", ["tie_preserving", "blas"])
def test_a_network_with_branches_computes_what_is_written(product):
    p, x = parameters(0), np.random.default_rng(1).normal(size=(7, 3))
    np.testing.assert_allclose(residual(p, product)(x), by_hand(p, x), rtol=1e-13)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "logistic"])
@given(seed=st.integers(0, 2**32), batch=st.integers(1, 4))
def test_where_wires_meet_gradients_are_summed(loss, seed, batch):
    """`stem` is read by `up` and by `sum`, and `soft` by both heads: a gradient that is overwritten would show."""
    p = parameters(seed)
    x, y = random_data(batch, 3, 3, loss, seed=seed)
    check_gradient(
        lambda q: engine.gradients(residual(q), x, y, loss=loss).loss,
        engine.gradients(residual(p), x, y, loss=loss).parameters,
        p,
    )


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "logistic"])
def test_gradients_and_error_signals_are_those_of_torch(loss):
    torch = pytest.importorskip("torch")
    p = parameters(3)
    x, y = random_data(6, 3, 3, loss, seed=3)
    t = {name: torch.tensor(array, requires_grad=True) for name, array in p.items()}
    linear, wires = torch.nn.functional.linear, {}
    wires["stem"] = linear(torch.tensor(x), t["stem.weight"], t["stem.bias"])
    stem = torch.tanh(wires["stem"])
    wires["up"] = linear(stem, t["up.weight"], t["up.bias"])
    wires["down"] = linear(torch.nn.functional.softplus(wires["up"]), t["down.weight"])
    wires["sum"] = stem + wires["down"]
    soft = torch.sigmoid(wires["sum"])
    wires["left"], wires["right"] = linear(soft, t["left.weight"], t["left.bias"]), linear(soft, t["right.weight"])
    wires["both"] = torch.cat([wires["left"], wires["right"]], dim=1)
    for wire in wires.values():
        wire.retain_grad()
    loss_in_torch(loss)(wires["both"], torch.tensor(y)).backward()
    found = engine.gradients(residual(p), x, y, loss=loss)
    for name, array in t.items():
        np.testing.assert_allclose(found[name], array.grad.numpy(), rtol=1e-10, atol=1e-13, err_msg=name)
    for name, wire in wires.items():
        np.testing.assert_allclose(found.error_signals[name], wire.grad.numpy(), rtol=1e-10, atol=1e-13, err_msg=name)
    np.testing.assert_array_equal(found.error_signals["soft"], found.error_signals["sum"])


def test_a_layer_under_two_names_is_one_layer():
    rng = np.random.default_rng(0)
    p = {"a.weight": rng.normal(size=(3, 3)), "a.bias": rng.normal(size=3), "out.weight": rng.normal(size=(1, 3))}
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 1))

    def shared(p):
        layer = engine.Dense(p["a.weight"], p["a.bias"], "tanh")
        return engine.Network({"a": layer, "again": layer, "out": engine.Dense(p["out.weight"])})

    net = shared(p)
    assert list(net.parameters) == list(p)
    check_gradient(lambda q: engine.gradients(shared(q), x, y).loss, engine.gradients(net, x, y).parameters, p)
    graph = net.graph
    (first, second), bias = (
        next(weight for weight in graph.connections if weight.name == "a.weight").uses,
        graph.per_unit,
    )
    assert [axis.space for axis in (*first, *second)] == ["a", "input", "again", "a"]
    assert [(each.name, each.space) for each in bias] == [("a.bias", "a"), ("a.bias@again", "again")]
    before = p["a.weight"].copy()
    engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=1)
    moved = before - 0.1 * engine.gradients(shared(p), x, y)["a.weight"]
    np.testing.assert_allclose(net.parameters["a.weight"], moved, rtol=1e-14)


def test_what_is_summed_is_one_space_of_the_graph():
    graph = residual(parameters(0)).graph
    assert {space.name: space.units for space in graph.spaces} == {
        "input": 3,
        "stem": 5,
        "up": 4,
        "left": 1,
        "right": 2,
    }
    assert graph.writers("stem") == ("stem.weight", "down.weight")
    assert graph.readers("stem") == ("up.weight", "left.weight", "right.weight")
    assert graph.space("stem").activation == "tanh or tanh, sigmoid"  # the block reads it before the sigmoid
    assert graph.inputs == ("input",)
    assert graph.outputs == ("left", "right")
    for name, array in residual(parameters(0)).parameters.items():
        np.testing.assert_array_equal(graph.arrays[name], array)


def test_an_activation_alone_is_that_of_what_is_read_behind_it():
    first = engine.Dense(np.ones((2, 2)))
    behind = {"first": first, "act": engine.Activate("relu"), "last": engine.Dense(np.ones((1, 2)))}
    assert engine.Network(behind).graph.space("first").activation == "relu"
    several = behind | {"side": (engine.Dense(np.ones((1, 2))), "first"), "sum": (engine.Add(), "last", "side")}
    assert engine.Network(several).graph.space("first").activation == "relu or identity"
    twice = {
        "first": first,
        "one": engine.Activate("tanh"),
        "two": engine.Activate("sin"),
        "both": (engine.Add(), "one", "two"),
    }
    assert engine.Network(twice).graph.space("output").activation == "tanh or tanh, sin or identity"
    end = {"first": first, "act": engine.Activate("tanh")}
    assert engine.Network(end).graph.space("output").activation == "tanh"
    beside = {
        "left": engine.Dense(np.ones((1, 2)), activation="sin"),
        "act": engine.Activate("relu"),
        "right": (engine.Dense(np.ones((1, 2))), "input"),
        "both": (engine.Concatenate(), "act", "right"),
        "flat": engine.Flatten(),
        "last": engine.Dense(np.ones((1, 2))),
    }
    spaces = {space.name: space.activation for space in engine.Network(beside).graph.spaces}
    assert spaces == {"input": "identity", "left": "sin, relu", "right": "identity", "output": "identity"}


def test_what_is_summed_with_the_input_is_the_input():
    net = engine.Network(
        {
            "body": engine.Dense(np.ones((2, 2))),
            "sum": (engine.Add(), "body", "input"),
            "out": engine.Dense(np.ones((1, 2))),
        }
    )
    graph = net.graph
    assert [space.name for space in graph.spaces] == ["input", "output"]
    assert (graph.writers("input"), graph.readers("input")) == (("body.weight",), ("body.weight", "out.weight"))


def test_a_weight_that_reads_two_spaces_is_cut_at_their_border():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(2, 5))
    net = engine.Network(
        {
            "a": engine.Dense(rng.normal(size=(2, 4))),
            "b": (engine.Dense(rng.normal(size=(3, 4))), "input"),
            "both": (engine.Concatenate(), "a", "b"),
            "out": engine.Dense(weight),
        }
    )
    graph = net.graph
    assert graph.readers("a") == ("out.weight[in 0:2]",)
    assert graph.readers("b") == ("out.weight[in 2:5]",)
    np.testing.assert_array_equal(graph.weights["out.weight[in 2:5]"], weight[:, 2:])


@pytest.mark.parametrize("width", [2, 17, 33, 65, 100])
@pytest.mark.parametrize("optimizer", [engine.SGD(0.1), engine.Momentum(0.05), engine.Adam(0.01), engine.AdamW(0.01)])
def test_a_constant_start_keeps_a_residual_stream_tied_at_every_step(width, optimizer):
    """The units of the stream, and those within the block, are one class each: their error signals stay equal too."""
    p = {name: np.full_like(array, 0.1) for name, array in parameters(0, width, width + 1).items()}
    net = residual(p)
    x, y = random_data(5, 3, 3, "mse", seed=width)

    def check(step):
        for name in ("stem", "up", "down", "sum", "soft"):
            for what in (step.gradients.activations[name], step.gradients.error_signals[name]):
                np.testing.assert_array_equal(what, np.broadcast_to(what[:, :1], what.shape))
        for name in ("stem.weight", "up.weight", "down.weight"):
            rows = net.parameters[name]
            np.testing.assert_array_equal(rows, np.broadcast_to(rows[:1], rows.shape))
        np.testing.assert_array_equal(
            net.parameters["left.weight"], np.full((1, width), net.parameters["left.weight"][0, 0])
        )

    before = {name: array.copy() for name, array in net.parameters.items()}
    engine.train(net, x, y, optimizer=optimizer, steps=25, callback=check)
    assert all((net.parameters[name] != before[name]).any() for name in before)


def test_a_random_start_leaves_no_two_units_of_a_residual_stream_tied():
    rng_free = {
        name: sb.Normal(0.3)(array.shape, sb.Key(0)[name], dtype="float64")
        for name, array in parameters(0, 33, 17).items()
    }
    net = residual(rng_free)
    x, y = random_data(5, 3, 3, "mse", seed=1)
    engine.train(net, x, y, optimizer=engine.SGD(0.05), steps=50)
    for name in ("stem.weight", "up.weight", "down.weight"):
        assert len(np.unique(net.parameters[name], axis=0)) == len(net.parameters[name])


def test_positions_are_read_alike():
    """(batch, time, units): each place in time is a row of its own, to the layers and to the loss."""
    rng = np.random.default_rng(0)
    net = engine.Network(
        [engine.Dense(rng.normal(size=(4, 3)), rng.normal(size=4), "tanh"), engine.Dense(rng.normal(size=(2, 4)))]
    )
    x, y, labels = rng.normal(size=(3, 5, 3)), rng.normal(size=(3, 5, 2)), rng.integers(2, size=(3, 5))
    assert net(x).shape == (3, 5, 2)
    for loss, t in (("mse", y), ("cross_entropy", labels)):
        there = engine.gradients(net, x, t, loss=loss)
        flat = engine.gradients(net, x.reshape(15, 3), t.reshape(15, *t.shape[2:]), loss=loss)
        assert there.loss == pytest.approx(flat.loss)
        assert there.error_signals["layers.0"].shape == (3, 5, 4)
        for name in net.parameters:
            np.testing.assert_allclose(there[name], flat[name], rtol=1e-12)
    history = engine.train(net, x, labels, loss="cross_entropy", optimizer=engine.SGD(0.1), steps=4, batch_size=2)
    assert len(history.losses) == 4


def test_a_network_with_branches_says_what_it_is():
    net = engine.Network({"a": engine.Dense(np.ones((2, 2))), "sum": (engine.Add(), "input", "a")})
    shown = "a: Dense(2 -> 2, identity, no bias), sum: Add() of input and a"
    assert repr(net) == f"Network([{shown}], float64, product='tie_preserving')"


D22, D32 = engine.Dense(np.ones((2, 2))), engine.Dense(np.ones((3, 2)))
BAD = {
    "a source that is not there": (
        {"a": (D22, "b")},
        ValueError,
        r"'a' reads 'b', which no layer before it writes; there are \['input'\]",
    ),
    "a source that comes later": ({"a": (D22, "b"), "b": D22}, ValueError, "'a' reads 'b'"),
    "a layer called input": ({"input": D22}, ValueError, "a name of its own, not empty and not 'input'"),
    "a layer without a name": ({"": D22}, ValueError, "got ''"),
    "an end that is no end": ({"a": D22, "b": (D32, "input")}, ValueError, "nothing reads what 'a' writes"),
    "a sum of one": (
        {"a": D22, "s": engine.Add()},
        ValueError,
        r"'s' joins two sources or more; name them: \(Add\(\), 'first'",
    ),
    "a sum of two sizes": (
        {"a": D32, "s": (engine.Add(), "input", "a")},
        ValueError,
        "'s' adds sources of one size, not of 2 and 3",
    ),
    "inputs of two sizes": (
        {"a": D22, "b": (engine.Dense(np.ones((2, 3))), "input"), "s": (engine.Add(), "a", "b")},
        ValueError,
        "layers read inputs of several sizes",
    ),
    "two kinds of input": (
        {"words": engine.Embedding(np.ones((5, 2))), "d": (D22, "input"), "s": (engine.Add(), "words", "d")},
        ValueError,
        "must read one kind of it, numbers or indices",
    ),
    "no parameters": ({"s": (engine.Add(), "input", "input")}, TypeError, "one dtype, not none: it has no parameters"),
    "a source in a list": (
        {"a": D22, "s": (engine.Add(), ["input", "a"])},
        ValueError,
        r"'s' reads \['input', 'a'\], ",
    ),
    "a dense layer of two sources": (
        {"a": D22, "b": (D32, "input", "a")},
        ValueError,
        "'input' writes 2 units and 'a' writes 2 units, but 'b' reads one source, not 2",
    ),
    "two sources made flat": (
        {"a": D22, "flat": (engine.Flatten(), "input", "a")},
        ValueError,
        "but 'flat' reads one source, not 2",
    ),
    "a tuple of nothing": ({"a": ()}, TypeError, "made of layers such as .*, not of None"),
    "a layer in place of a list": (D22, TypeError, r"layers in a list, or by name in a dictionary; got Dense\(2 -> 2"),
    "a generator": (iter([D22]), TypeError, "layers in a list, or by name in a dictionary; got <list_iterator"),
    "what is no layer": ({"a": ("tanh", "input")}, TypeError, "made of layers such as .*, not of 'tanh'"),
}


@pytest.mark.parametrize("case", BAD)
def test_wires_that_don_t_meet_are_refused(case):
    layers, error, message = BAD[case]
    with pytest.raises(error, match=message):
        engine.Network(layers)


@pytest.mark.parametrize("product", ["tie_preserving", "blas"])
def test_a_sum_of_three_hands_its_gradient_to_each(product):
    rng = np.random.default_rng(0)
    p = {f"{name}.weight": rng.normal(size=(4, 3)) for name in "abc"} | {"out.weight": rng.normal(size=(2, 4))}
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))

    def net(p):
        read = {name: (engine.Dense(p[f"{name}.weight"], activation="tanh"), "input") for name in "abc"}
        joined = {"sum": (engine.Add(), "a", "b", "c"), "out": engine.Dense(p["out.weight"])}
        return engine.Network(read | joined, product=product)

    hidden = sum(np.tanh(x @ p[f"{name}.weight"].T) for name in "abc")
    np.testing.assert_allclose(net(p)(x), hidden @ p["out.weight"].T, rtol=1e-12)
    check_gradient(lambda q: engine.gradients(net(q), x, y).loss, engine.gradients(net(p), x, y).parameters, p)
    graph = net(p).graph
    assert [(space.name, space.units) for space in graph.spaces] == [("input", 3), ("a", 4), ("output", 2)]


def test_a_sum_over_other_maps_has_no_graph():
    """Two channels at four positions and four at two are eight values each; their units are not the same."""
    wide, narrow = engine.Conv1d(np.ones((2, 1, 1))), engine.Conv1d(np.ones((4, 1, 2)), stride=2)
    net = engine.Network(
        {
            "wide": wide,
            "flat": engine.Flatten(),
            "narrow": (narrow, "input"),
            "also": engine.Flatten(),
            "sum": (engine.Add(), "flat", "also"),
            "out": engine.Dense(np.ones((1, 8))),
        }
    )
    assert net(np.ones((1, 4, 1))) == 24
    with pytest.raises(NotImplementedError, match="a sum whose sources run over spaces of other sizes"):
        _ = net.graph


def test_positions_that_don_t_meet_are_named():
    class First(engine.AbstractLayer):
        """The first place in time alone."""

        parameters = {}  # noqa: RUF012 - of a class that lives for one test
        inputs = units = None

        def shape(self, *shapes):
            return shapes[0][-1:]

        def forward(self, x, run):
            return x[:, 0], x.shape

        def backward(self, g, memory, run):
            raise NotImplementedError

    for join, message in (
        (engine.Add(), "it adds arrays of one shape"),
        (engine.Concatenate(), "one shape but for the units"),
    ):
        net = engine.Network({"a": D22, "first": First(), "both": (join, "a", "first")})
        with pytest.raises(ValueError, match=rf"'both', .*, can't read inputs of shape \('batch', 4, 2\): .*{message}"):
            net(np.ones((1, 4, 2)))


def test_an_unknown_activation_is_refused():
    with pytest.raises(sb.errors.UnknownName, match="did you mean 'tanh'"):
        engine.Activate("tahn")
    assert repr(engine.Activate("tanh")) == "Activate('tanh')"
    assert repr(engine.Concatenate()) == "Concatenate()"


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "gelu"])
@pytest.mark.parametrize("kind", [Fraction, engine.Residue])
def test_an_activation_alone_takes_exact_numbers_only_where_it_is_a_polynomial(activation, kind):
    one = np.array([[kind(1)]], object)
    net = engine.Network([engine.Dense(one), engine.Activate(activation)], product="exact")
    with pytest.raises(TypeError, match=f"needs a polynomial .* identity or square; got '{activation}'"):
        net([[2]])
    squared = engine.Network([engine.Dense(one), engine.Activate("square")], product="exact")
    assert squared([[3]])[0, 0] == kind(9)


def shared_norm(kind):
    """Tied units of one space, random ones of another, and one norm for both."""
    rng = np.random.default_rng(0)
    return engine.Network(
        {
            "tied": engine.Dense(np.tile(rng.normal(size=(1, 3)), (2, 1)), activation="tanh"),
            "first": kind,
            "loose": (engine.Dense(rng.normal(size=(2, 3)), activation="tanh"), "input"),
            "second": (kind, "loose"),
            "sum": (engine.Concatenate(), "first", "second"),
            "out": engine.Dense(np.array([[1.0, 1.0, 2.0, 3.0]])),
        }
    )


@pytest.mark.parametrize("kind", [engine.LayerNorm, engine.BatchNorm])
def test_a_norm_that_two_spaces_share_unties_units_and_so_has_no_graph_that_would_call_them_tied(kind):
    net = shared_norm(kind(np.ones(2), np.zeros(2)))
    rng = np.random.default_rng(1)
    scale = engine.gradients(net, rng.normal(size=(5, 3)), rng.normal(size=5))["first.scale"]
    assert abs(scale[0] - scale[1]) > 0.01
    with pytest.raises(
        NotImplementedError, match=r"made of 'first\.scale', which the units of 'tied' and of 'loose' share"
    ):
        _ = net.graph


def test_a_layer_that_reads_units_parted_in_two_ways_has_no_graph():
    rng = np.random.default_rng(0)
    shared = engine.Dense(np.concatenate([np.ones((2, 2)), rng.normal(size=(2, 3))], axis=1))
    net = engine.Network(
        {
            "two": engine.Dense(np.ones((2, 3))),
            "three": (engine.Dense(rng.normal(size=(3, 3))), "input"),
            "ahead": (engine.Concatenate(), "two", "three"),
            "first": shared,
            "behind": (engine.Concatenate(), "three", "two"),
            "second": shared,
            "sum": (engine.Add(), "first", "second"),
        }
    )
    weight = engine.gradients(net, rng.normal(size=(5, 3)), rng.normal(size=(5, 2)))["first.weight"]
    assert (abs(weight[:, 0] - weight[:, 1]) > 0.01).all()  # the columns of the tied units of "two"
    with pytest.raises(
        NotImplementedError, match=r"'first\.weight', which is used twice, over units that are parted in another way"
    ):
        _ = net.graph


def test_a_hidden_layer_called_output_is_no_output_of_the_graph():
    net = engine.Network({"output": engine.Dense(np.ones((2, 2)), activation="tanh"), "last": engine.Dense(np.eye(2))})
    graph = net.graph
    assert [(space.name, space.activation) for space in graph.spaces] == [
        ("input", "identity"),
        ("output", "tanh"),
        ("last", "identity"),
    ]
    assert graph.outputs == ("last",)
    assert [each.axes for each in graph.connections] == [
        (("out", "output"), ("in", "input")),
        (("out", "last"), ("in", "output")),
    ]


def test_a_layer_called_as_a_space_of_another_has_no_graph():
    weights = [np.ones((2, 2, 2))] * 4
    net = engine.Network({"a": engine.Attention(*weights), "a.heads": engine.Dense(np.eye(2))})
    with pytest.raises(
        NotImplementedError, match=r"two of its spaces would be called 'a\.heads'; give the layer another name"
    ):
        _ = net.graph
