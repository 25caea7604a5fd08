"""Attention is the sum that it says; equal heads, and equal units within a head, stay equal through training."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.engine import _attention
from symbreak.engine._classes import find_classes
from symbreak.engine._products import LINE, PRODUCTS, tie_preserving
from symbreak.testing import check_gradient
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
)

RUN = engine.Run(tie_preserving)
sizes = st.integers(1, 4)
shapes = st.fixed_dictionaries(
    {"groups": st.integers(1, 3), "per": st.integers(1, 3), "size": sizes, "value_size": sizes, "units": sizes}
)


def parameters(inputs=3, groups=2, per=1, size=4, value_size=5, units=3, *, seed=0, bias=True):
    rng = np.random.default_rng(seed)
    weights = {
        "query": (groups * per, size, inputs),
        "key": (groups, size, inputs),
        "value": (groups, value_size, inputs),
        "output": (units, groups * per, value_size),
    }
    drawn = {name: rng.normal(size=shape) for name, shape in weights.items()}
    biases = {f"{name}_bias": shape[:2] for name, shape in weights.items()} | {"output_bias": (units,)}
    return drawn | ({name: rng.normal(size=shape) for name, shape in biases.items()} if bias else {})


def by_loop(x, p, causal):
    """Attention of one row, (time, inputs), head by head and position by position."""
    heads, size, _ = p["query"].shape
    y = np.zeros((len(x), len(p["output"]))) + p.get("output_bias", 0)
    for head in range(heads):
        group = head * len(p["key"]) // heads
        read = {"query": head, "key": group, "value": group}
        q, k, v = (
            np.array([p[name][n] @ row + (p[f"{name}_bias"][n] if f"{name}_bias" in p else 0) for row in x])
            for name, n in read.items()
        )
        for t in range(len(x)):
            until = t + 1 if causal else len(x)
            a = scipy.special.softmax([q[t] @ k[s] / np.sqrt(size) for s in range(until)])
            y[t] += p["output"][:, head] @ sum(a[s] * v[s] for s in range(until))
    return y


@pytest.mark.parametrize("product", [name for name in PRODUCTS if name != "exact"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("groups", "per"), [(1, 1), (3, 1), (2, 2), (1, 3)])
def test_each_head_mixes_values_by_how_near_their_keys_are_to_its_query(product, causal, bias, groups, per):
    p = parameters(groups=groups, per=per, bias=bias)
    x = np.random.default_rng(1).normal(size=(2, 5, 3))
    y, _ = engine.Attention(**p, causal=causal).forward(x, engine.Run(PRODUCTS[product]))
    for n in range(2):
        np.testing.assert_allclose(y[n], by_loop(x[n], p, causal), rtol=1e-11)


@given(
    batch=sizes, time=sizes, inputs=sizes, shape=shapes, causal=st.booleans(), bias=st.booleans(), seed=seeds
)  # fmt: skip
def test_backward_is_the_gradient_of_forward(batch, time, inputs, shape, causal, bias, seed):
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(batch, time, inputs)), rng.normal(size=(batch, time, shape["units"]))
    p = parameters(inputs, **shape, seed=seed, bias=bias)
    check_layer(lambda q: engine.Attention(**q, causal=causal), p | {"x": x}, g, RUN)


@pytest.mark.parametrize("part", parameters())
@pytest.mark.parametrize("causal", [False, True])
def test_the_gradient_of_each_parameter_alone_is_its_slope(part, causal):
    """One that is small beside the others could hide in a direction through all of them."""
    rng = np.random.default_rng(2)
    p, x, g = parameters(per=2), rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3))

    def layer(q):
        return engine.Attention(**(p | q), causal=causal)

    def slope(q):
        return {part: layer(q).backward(g, layer(q).forward(x, RUN)[1], RUN).parameters[part]}

    check_gradient(lambda q: (g * layer(q).forward(x, RUN)[0]).sum(), slope, {part: p[part]}, rounding=1e-13)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "logistic"])
def test_gradients_are_the_slopes_of_the_loss_where_a_value_is_read_twice(loss):
    """Attention stands in a residual sum, and once more under another name."""
    layer = engine.Attention(**parameters(4, units=4, seed=1), causal=True)
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
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("per", [1, 2])
def test_gradients_are_those_of_torch(dtype, causal, per):
    torch = pytest.importorskip("torch")
    p = {name: array.astype(dtype) for name, array in parameters(per=per, seed=3).items()}
    rng = np.random.default_rng(4)
    x, g = rng.normal(size=(2, 6, 3)).astype(dtype), rng.normal(size=(2, 6, 3)).astype(dtype)
    layer = engine.Attention(**p, causal=causal)
    y, memory = layer.forward(x, RUN)
    back = layer.backward(g, memory, RUN)
    assert y.dtype == back.x.dtype == dtype

    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in p.items()}
    read = torch.tensor(x, requires_grad=True)
    q, k, v = (
        torch.einsum("bti,hai->bhta", read, theirs[name]) + theirs[f"{name}_bias"][:, None]
        for name in ("query", "key", "value")
    )
    k, v = (each.repeat_interleave(per, dim=1) for each in (k, v))
    mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    out = torch.einsum("bhtv,uhv->btu", mixed, theirs["output"]) + theirs["output_bias"]
    out.backward(torch.tensor(g))
    largest = max(float(abs(tensor.grad).max()) for tensor in theirs.values())  # that of the key bias is rounding alone
    close = {"rtol": 1e-4, "atol": 1e-6 * largest} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-14 * largest}
    np.testing.assert_allclose(y, out.detach().numpy(), **close)
    np.testing.assert_allclose(back.x, read.grad.numpy(), **close)
    for name, tensor in theirs.items():
        assert back.parameters[name].dtype == dtype
        np.testing.assert_allclose(back.parameters[name], tensor.grad.numpy(), **close, err_msg=name)


def test_the_weights_of_torchs_attention_give_its_outputs():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(6, 3, batch_first=True, dtype=torch.float64)
    arrays = {name: array.detach().numpy() for name, array in theirs.named_parameters()}
    rng = np.random.default_rng(0)
    arrays["in_proj_bias"][:], arrays["out_proj.bias"][:] = (
        rng.normal(size=18),
        rng.normal(size=6),
    )  # torch's own memory
    query, key, value = arrays["in_proj_weight"].reshape(3, 3, 2, 6)
    names = ("query_bias", "key_bias", "value_bias")
    ours = engine.Attention(
        query, key, value, arrays["out_proj.weight"].reshape(6, 3, 2), output_bias=arrays["out_proj.bias"],
        **dict(zip(names, arrays["in_proj_bias"].reshape(3, 3, 2), strict=True)),
    )  # fmt: skip
    x = rng.normal(size=(2, 5, 6))
    wanted = theirs(*[torch.tensor(x)] * 3, need_weights=False)[0].detach().numpy()
    np.testing.assert_allclose(ours.forward(x, RUN)[0], wanted, rtol=1e-11)


def test_with_causal_no_position_reads_a_later_one():
    net = engine.Network([engine.Attention(**parameters(per=2), causal=True)])
    x = np.random.default_rng(0).normal(size=(2, 7, 3))
    other = x.copy()
    other[:, 4:] += 1
    changed = (net(x) != net(other)).any(axis=(0, 2))
    np.testing.assert_array_equal(changed, np.arange(7) >= 4)


def test_scores_too_large_to_exponentiate_are_compared_all_the_same():
    p = {name: np.ones((1, 1, 1)) for name in ("query", "key", "value", "output")}
    net = engine.Network([engine.Attention(**p)])
    np.testing.assert_array_equal(net(np.array([[[1e3], [2e3], [-1e3]]])), [[[2e3], [2e3], [-1e3]]])


def test_the_gradient_at_the_inputs_is_left_out_where_nobody_asks():
    check_first(engine.Attention(**parameters(per=2)), np.random.default_rng(0).normal(size=(2, 5, 3)))


# The proof.


def test_all_its_sums_are_formed_by_the_product_that_it_is_given():
    check_products(
        engine.Attention(**parameters(per=2), causal=True),
        np.random.default_rng(0).normal(size=(2, 5, 3)),
        tie_preserving,
    )


def tied_network(draw, kinds, shape, causal):
    """A dense layer, attention and a dense layer, and the labels of the units that they write.

    In the attention heads are tied, key heads with all their queries, query and key units within a head, and value
    units within a head.
    """
    inputs, stream, groups, per, size, value_size, units, outputs = shape
    s, u = draw.labels(stream, kinds), draw.labels(units, kinds)
    g, p = draw.labels(groups, kinds), draw.labels(per, kinds)
    h = (g[:, np.newaxis] * (p.max() + 1) + p).ravel()
    q, v = draw.labels(size, kinds), draw.labels(value_size, kinds)
    axes = {
        "query": (h, q, s), "key": (g, q, s), "value": (g, v, s), "output": (u, h, v),
        "query_bias": (h, q), "key_bias": (g, q), "value_bias": (g, v), "output_bias": (u,),
    }  # fmt: skip
    out = np.arange(outputs)
    net = engine.Network([
        engine.Dense(draw("layers.0.weight", s, np.arange(inputs)), draw("layers.0.bias", s), "tanh"),
        engine.Attention(**{part: draw(f"layers.1.{part}", *labels) for part, labels in axes.items()}, causal=causal),
        engine.Dense(draw("layers.2.weight", out, u), draw("layers.2.bias", out)),
    ])  # fmt: skip
    return net, {"layers.0": (s,), "layers.1": (u,)}


few, some = st.integers(1, 3), st.integers(1, 6) | st.sampled_from([17, 33])


@given(
    shape=st.tuples(few, some, few, few, some, some, some, st.integers(2, 3)),
    batch=st.integers(2, 3), time=st.integers(1, 5), kinds=few, settings=runs(), causal=st.booleans(),
    value=st.sampled_from([None, None, 0.5, 0.1, 0.0]), dtype=st.sampled_from(["float32", "float64"]),
    seed=seeds,
)  # fmt: skip
def test_heads_and_units_that_read_hold_and_write_the_same_stay_tied_at_every_step(
    shape, batch, time, kinds, settings, causal, value, dtype, seed
):
    draw = Tied(seed, dtype, value)
    net, signals = tied_network(draw, kinds, shape, causal)
    data = sequences(batch, time, shape[0], shape[-1], settings["loss"], seed)
    check_tied(net, *data, draw.classes, signals, **settings)


@pytest.mark.parametrize("width", AWKWARD)
@pytest.mark.parametrize("what", ["stream", "heads", "query units", "value units", "outputs", "times"])
def test_a_constant_start_stays_tied_at_awkward_widths(width, what):
    shape = {
        "inputs": 3,
        "stream": 4,
        "heads": 2,
        "shared": 1,
        "query units": 3,
        "value units": 3,
        "outputs": 3,
        "y": 2,
    }
    draw = Tied(0, value=0.1)
    net, signals = tied_network(draw, 1, (shape | ({what: width} if what in shape else {})).values(), True)
    x, y = sequences(2, width if what == "times" else 4, 3, 2, seed=width)
    assert check_tied(net, x, y, draw.classes, signals, optimizer=engine.SGD(0.1), steps=4) == 4


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_constant_start_stays_tied_under_every_optimizer(optimizer):
    draw = Tied(0, value=0.1)
    net, signals = tied_network(draw, 1, (3, 17, 3, 2, 5, 7, 9, 2), False)
    x, y = sequences(3, 5, 3, 2)
    assert check_tied(net, x, y, draw.classes, signals, optimizer=OPTIMIZERS[optimizer], steps=30) == 30


def test_a_constant_start_has_all_heads_and_all_units_of_a_kind_in_one_class():
    net, _ = tied_network(Tied(0, value=0.1), 1, (3, 4, 2, 1, 3, 5, 6, 2), False)
    assert {each.space: each.units for each in find_classes(net.graph)} == {
        "layers.0": (0, 1, 2, 3),
        "layers.1": (0, 1, 2, 3, 4, 5),
        "layers.1.heads": (0, 1),
        "layers.1.query_key": (0, 1, 2),
        "layers.1.value": (0, 1, 2, 3, 4),
    }


PARTS = {
    "a head": ("query", np.s_[1, 0, 0]),
    "a query unit": ("query", np.s_[:, 1, 0]),
    "a key unit": ("key", np.s_[:, 1, 0]),
    "a value unit": ("value", np.s_[:, 1, 0]),
    "what is written": ("output", np.s_[0, :, 1]),
}


@pytest.mark.parametrize("part", PARTS)
def test_heads_and_units_that_differ_in_one_array_get_other_gradients_in_the_next(part):
    draw = Tied(0, value=0.1)
    net, _ = tied_network(draw, 1, (3, 4, 2, 1, 3, 3, 3, 2), False)
    name, index = PARTS[part]
    net.parameters[f"layers.1.{name}"][index] += 0.5
    found = engine.gradients(net, *sequences(2, 4, 3, 2))
    partner = {"query": "key", "key": "query", "value": "output", "output": "value"}[name]
    axis = 2 if partner == "output" else 0 if part == "a head" else 1
    gradient = np.moveaxis(found[f"layers.1.{partner}"], axis, 0)
    assert (gradient[1] != gradient[0]).any()


@pytest.mark.parametrize("causal", [False, True])
def test_heads_that_differ_in_the_order_of_their_units_alone_get_gradients_in_that_order(causal):
    """Key heads are alike too whose query heads stand in another order: but for rounding, as sums are reordered."""
    p = parameters(groups=2, per=3)
    heads, size, value_size = np.array([2, 0, 1]), np.array([1, 3, 0, 2]), np.array([4, 2, 0, 1, 3])
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3))

    def copies(arrays):
        """The second half of each array, and the first half reordered."""
        for part, own in {"query": size, "key": size, "value": value_size}.items():
            order = heads if part == "query" else np.array([0])
            for name in (part, f"{part}_bias"):
                yield arrays[name][len(order) :], arrays[name][order][:, own]
        yield arrays["output"][:, 3:], arrays["output"][:, heads][..., value_size]

    for second, first in copies(p):
        second[...] = first
    layer = engine.Attention(**p, causal=causal)
    found = layer.backward(g, layer.forward(x, RUN)[1], RUN).parameters
    for second, first in copies(found):
        np.testing.assert_allclose(second, first, rtol=1e-10, atol=1e-13)


def test_rows_of_all_heads_start_alike_in_every_product():
    """Heads are multiplied in calls of their own, and a routine may treat rows by where in memory they start."""
    rng = np.random.default_rng(0)
    starts = []

    def product(a, b):
        assert all(rows.strides[0] % LINE == 0 and rows.strides[1] == rows.itemsize for rows in (a, b))
        starts.append([rows.ctypes.data % LINE for rows in (a, b)])
        return tie_preserving(a, b)

    for k in (3, 8, 17):
        a, b = rng.normal(size=(2, 3, 5, k)), rng.normal(size=(2, 3, k, 4)).swapaxes(-1, -2)
        starts.clear()
        found = _attention._each(a, b, engine.Run(product))
        assert len(starts) == 6
        assert all(start == starts[0] for start in starts)
        np.testing.assert_allclose(found, np.einsum("bgmk,bgnk->bgmn", a, b), rtol=1e-12)


@pytest.mark.parametrize("part", ["query", "key", "value", "output"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_backward_pass_that_favours_one_head_or_unit_is_seen(part, axis, monkeypatch):
    """By one place in the last digit of a gradient."""
    truth = engine.Attention.backward

    def favour(self, g, memory, run):
        back = truth(self, g, memory, run)
        gradient = np.moveaxis(back.parameters[part], axis, 0)
        gradient[-1] = np.nextafter(gradient[-1], np.inf)
        return back

    monkeypatch.setattr(engine.Attention, "backward", favour)
    draw = Tied(0, value=0.1)
    net, signals = tied_network(draw, 1, (3, 4, 2, 2, 3, 3, 3, 2), False)
    with pytest.raises(AssertionError, match=f"at step 0 units of one class differ in .*'layers.1.{part}'"):
        check_tied(net, *sequences(2, 4, 3, 2), draw.classes, signals, optimizer=engine.SGD(0.1), steps=1)


@pytest.mark.parametrize("init", [sb.HeNormal(), sb.Uniform(-0.1, 0.1)], ids=repr)
def test_a_random_start_never_ties_two_heads_or_units(init):
    key = sb.Key(1)
    names = {name: array.shape for name, array in parameters(4, 3, size=5, units=4, bias=False).items()}
    layer = engine.Attention(**{name: init(shape, rng=key[name]) for name, shape in names.items()})
    net = engine.Network([layer, engine.Dense(init((2, 4), rng=key["out"]))])

    def check(step):
        for name in names:
            array = net.parameters[f"layers.0.{name}"]
            for axis, size in enumerate(array.shape):
                assert len(np.unique(np.moveaxis(array, axis, 0).reshape(size, -1), axis=0)) == size, name

    x, y = sequences(4, 5, 4, 2)
    assert len(engine.train(net, x, y, optimizer=engine.Adam(0.01), steps=50, callback=check).losses) == 50


# What it says of itself.


def test_the_graph_names_heads_query_and_key_units_and_value_units():
    p = parameters(4, 3, size=5, value_size=2, units=4)
    net = engine.Network({"attend": engine.Attention(**p), "out": engine.Dense(np.ones((1, 4)))})
    graph = net.graph
    assert [(space.name, space.units) for space in graph.spaces] == [
        ("input", 4), ("attend", 4), ("attend.heads", 3), ("attend.query_key", 5), ("attend.value", 2), ("output", 1),
    ]  # fmt: skip
    head = ("head", "attend.heads")
    assert {weight.name: weight.axes for weight in graph.connections} == {
        "attend.query": (head, ("out", "attend.query_key"), ("in", "input")),
        "attend.key": (head, ("out", "attend.query_key"), ("in", "input")),
        "attend.value": (head, ("out", "attend.value"), ("in", "input")),
        "attend.output": (("out", "attend"), head, ("in", "attend.value")),
        "out.weight": (("out", "output"), ("in", "attend")),
    }
    assert {each.name: (each.axes, each.kind) for each in graph.per_unit} == {
        "attend.query_bias": ((head, ("out", "attend.query_key")), "bias"),
        "attend.key_bias": ((head, ("out", "attend.query_key")), "bias"),
        "attend.value_bias": ((head, ("out", "attend.value")), "bias"),
        "attend.output_bias": ((("out", "attend"),), "bias"),
    }
    assert graph.arrays.keys() == net.parameters.keys()
    for name, array in graph.arrays.items():
        np.testing.assert_array_equal(array, net.parameters[name])


def test_the_graph_of_shared_keys_says_which_queries_share_them():
    p = parameters(4, groups=2, per=2, units=4, bias=False)
    graph = engine.Network({"attend": engine.Attention(**p), "sum": (engine.Add(), "input", "attend")}).graph
    assert [(space.name, space.units) for space in graph.spaces] == [
        ("input", 4), ("attend.heads", 4), ("attend.groups", 2), ("attend.query_key", 4), ("attend.value", 5),
    ]  # fmt: skip
    heads, groups = ("head", "attend.heads"), ("head", "attend.groups")
    axes = {weight.name: weight.axes for weight in graph.connections}
    assert axes == {
        "attend.groups": (("out", "attend.heads"), ("in", "attend.groups")),
        "attend.query": (heads, ("out", "attend.query_key"), ("in", "input")),
        "attend.key": (groups, ("out", "attend.query_key"), ("in", "input")),
        "attend.value": (groups, ("out", "attend.value"), ("in", "input")),
        "attend.output": (("out", "input"), heads, ("in", "attend.value")),
    }
    np.testing.assert_array_equal(graph.weights["attend.groups"], [[1, 0], [1, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize("per", [1, 2])
@pytest.mark.parametrize("causal", [False, True])
def test_the_graph_says_which_arrays_the_units_and_heads_are_in(per, causal):
    """Of heads that share their keys those that share one can change places; the key heads can't without theirs."""
    rng = np.random.default_rng(1)
    layers = [engine.Attention(**parameters(4, 2, per, units=4, seed=seed), causal=causal) for seed in (1, 2)]
    net = engine.Network({
        "up": engine.Dense(rng.normal(size=(4, 3))),
        "first": layers[0],
        "sum": (engine.Add(), "up", "first"),
        "second": layers[1],
        "out": engine.Dense(rng.normal(size=(2, 4))),
    })  # fmt: skip
    orders = {} if per == 1 else {"heads": [1, 0, 3, 2], "groups": None}
    no_effect = ["first.key_bias", "second.key_bias"]
    assert check_graph(net, rng.normal(size=(2, 3, 3)), no_effect, **orders) == 8


def test_attention_says_what_it_is():
    assert repr(engine.Attention(**parameters())) == "Attention(3 -> 3, 2 heads)"
    assert repr(engine.Attention(**parameters(groups=1), causal=True)) == "Attention(3 -> 3, 1 head, causal)"
    shared = engine.Attention(**parameters(groups=2, per=3))
    assert repr(shared) == "Attention(3 -> 3, 6 heads, 2 of keys and values)"


GOOD = parameters(bias=False)
BAD = {
    "a list": ({"key": [1.0]}, TypeError, "a weight of the key must be a NumPy array, not a list; use np.asarray"),
    "integers": (
        {"query_bias": np.ones((2, 4), int)},
        TypeError,
        "a bias of the query must be float32 or float64, not int64",
    ),
    "flat heads": ({"query": np.ones((8, 3))}, ValueError, r"weight of the query has three axes, .* got \(8, 3\)"),
    "no units": ({"output": np.ones((0, 2, 5))}, ValueError, r"weight of the output .* 1 or more; got \(0, 2, 5\)"),
    "heads that don't divide": (
        {"query": np.ones((3, 4, 3))},
        ValueError,
        "3 query heads can't share 2 key heads: their number must be a multiple of it",
    ),
    "keys of another size": (
        {"key": np.ones((2, 5, 3))},
        ValueError,
        r"the weight of the key, \(heads, size, inputs\), must have shape \(2, 4, 3\), not \(2, 5, 3\)",
    ),
    "other inputs": ({"value": np.ones((2, 5, 4))}, ValueError, r"value, .* shape \(2, 5, 3\), not \(2, 5, 4\)"),
    "an output of keys": ({"output": np.ones((3, 2, 4))}, ValueError, r"output, .* \(3, 2, 5\), not \(3, 2, 4\)"),
    "a flat bias": ({"value_bias": np.ones(10)}, ValueError, r"bias of the value, .* \(2, 5\), not \(10,\)"),
    "an output bias of the inputs": ({"output_bias": np.ones(4)}, ValueError, r"\(units,\), .* \(3,\), not \(4,\)"),
    "two dtypes": (
        {"value": GOOD["value"].astype("float32")},
        TypeError,
        "the weight of the output is float64 and the weight of the value float32; give both one dtype",
    ),
    "nan": ({"key": GOOD["key"] * np.nan}, ValueError, "a weight of the key must be finite; 24 of its values are not"),
    "exact": (
        {name: np.ones(array.shape, int).astype(object) for name, array in GOOD.items()},
        TypeError,
        "attention takes exponentials, which exact numbers don't have",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_parameters_that_make_no_sense_are_refused(case):
    changed, error, message = BAD[case]
    with pytest.raises(error, match=message):
        engine.Attention(**(GOOD | changed))


@pytest.mark.parametrize("shape", [(4, 3), (4, 5, 2, 3)])
def test_inputs_without_one_axis_of_time_are_refused(shape):
    net = engine.Network([engine.Attention(**GOOD)])
    with pytest.raises(ValueError, match=r"Attention\(3 -> 3, .*it reads \(batch, time, 3\), not \('batch', "):
        net(np.ones(shape))
