"""Merging keeps the function and leaves one unit of each class, or says why it can't."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from tests.repair._networks import (
    TABLE,
    Draw,
    attention,
    classes_left,
    dense,
    grouped_attention,
    in_fractions,
    inputs,
    planted,
    rebuilt,
    residual,
    rms_residual,
    spaces,
)


def assert_close(found, wanted, dtype="float64"):
    scale = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=64 * np.finfo(dtype).eps * scale)


@pytest.mark.parametrize("case", TABLE)
@pytest.mark.parametrize("seed", range(3))
def test_the_merged_network_gives_the_same_outputs_with_fewer_units(case, seed):
    build, classes, left = TABLE[case]
    net = build(Draw(seed))
    graph = planted(net, classes)
    small = sb.merge(graph)
    sizes = spaces(small)
    assert {name: sizes[name] for name in left} == left
    x = inputs(net, seed)
    wanted = rebuilt(net, graph)(x)
    assert np.ptp(wanted) > 1e-3
    assert_close(rebuilt(net, small)(x), wanted)
    assert classes_left(graph) > 0
    assert classes_left(small) == 0


@pytest.mark.parametrize("case", TABLE)
def test_merging_what_is_merged_changes_nothing(case):
    build, classes, _ = TABLE[case]
    small = sb.merge(planted(build(Draw(0)), classes))
    again = sb.merge(small)
    assert all(
        again.arrays[name] is array or again.arrays[name].base is array.base for name, array in small.arrays.items()
    )


def test_a_network_without_classes_keeps_its_arrays():
    graph = dense(Draw(0)).graph
    small = sb.merge(graph)
    assert [np.shares_memory(small.arrays[name], array) for name, array in graph.arrays.items()] == [True] * 6


@given(
    sizes=st.lists(st.integers(1, 5), min_size=3, max_size=5), seed=st.integers(0, 2**32 - 1), redundant=st.booleans()
)
def test_dense_networks_of_few_values_merge_exactly(sizes, seed, redundant):
    """In fractions: all classes, also those without two equal rows, and the outputs are equal with ==."""
    net = in_fractions(sizes, seed)
    assert max(sizes[1:-1]) == 1 or classes_left(net.graph)
    small = sb.merge(net.graph, redundant=redundant)
    x = np.vectorize(Fraction, otypes=[object])(np.random.default_rng(seed).integers(-1, 2, (3, sizes[0])))
    assert (rebuilt(net, small)(x) == net(x)).all()
    labels = sb.diagnose(net.graph).partition
    left = spaces(small)
    assert all(left[name] <= len(np.unique(each)) for name, each in labels.items())
    if not redundant:
        assert left == {name: len(np.unique(each)) for name, each in labels.items()}


def test_classes_without_two_equal_rows_are_merged():
    middle = np.array([[1.0, 2, 3], [3, 1, 2], [2, 3, 1]])
    graph = sb.chain([(np.ones((3, 2)), None), (middle, None), (np.ones((2, 3)), None)])
    small = sb.merge(graph)
    assert small.weights["layers.1.weight"].tolist() == [[6.0]]
    assert small.weights["layers.2.weight"].tolist() == [[3.0], [3.0]]


def test_redundant_units_are_merged_when_that_is_asked():
    out = np.array([[1.0, 2.0, 4.0]])
    graph = sb.chain([(np.ones((3, 2)), np.zeros(3)), (out, None)])
    assert spaces(sb.merge(graph))["layers.0"] == 3
    small = sb.merge(graph, redundant=True)
    assert small.weights["layers.1.weight"].tolist() == [[7.0]]


@pytest.mark.parametrize("case", ["attention", "grouped queries, tied heads", "lstm", "dense"])
def test_redundant_units_of_every_kind_keep_the_function(case):
    build, classes, _ = TABLE[case]
    net = build(Draw(1))
    graph = planted(net, classes)
    rng = np.random.default_rng(5)
    name = {"attention": "att.output", "grouped queries, tied heads": "att.output", "lstm": "out.weight"}.get(
        case, "layers.2.weight"
    )
    noisy = [
        Weight(each.name, each.array + (rng.normal(size=each.array.shape) if each.name == name else 0), each.axes)
        for each in graph.connections
    ]
    graph = LayerGraph(graph.spaces, noisy, graph.per_unit, inputs=graph.inputs, outputs=graph.outputs)
    small = sb.merge(graph, redundant=True)
    assert sum(spaces(small).values()) < sum(spaces(sb.merge(graph)).values())
    x = inputs(net, 1)
    assert_close(rebuilt(net, small)(x), rebuilt(net, graph)(x))


@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16])
def test_sums_are_taken_in_float64_and_rounded_once(dtype):
    rng = np.random.default_rng(0)
    above = rng.normal(size=(4, 1000)).astype(dtype)
    graph = sb.chain([(np.ones((1000, 2), dtype), None), (above, None)], activation="relu")
    small = sb.merge(graph, redundant=True)
    found = small.weights["layers.1.weight"]
    assert found.dtype == np.dtype(dtype)
    assert (found[:, 0] == above.astype(np.float64).sum(axis=1).astype(dtype)).all()
    assert small.weights["layers.0.weight"].dtype == np.dtype(dtype)


def test_complex_weights_are_summed_too():
    graph = sb.chain([(np.ones((3, 2), complex), None), (np.full((1, 3), 1 + 2j), None)])
    assert sb.merge(graph).weights["layers.1.weight"].tolist() == [[3 + 6j]]


# Norms over units.


@pytest.mark.parametrize("build", [residual, rms_residual])
def test_classes_of_several_sizes_under_a_norm_are_refused(build):
    graph = planted(build(Draw(0)), {"embed": [0, 0, 1, 2, 3, 4], "up": [0, 0, 1, 2, 3, 4, 5, 6]})
    with pytest.raises(
        CannotRepair, match=r"space 'embed': classes of 1 and 2 units lie under a norm, 'norm1.scale'"
    ) as e:
        sb.merge(graph)
    assert "the others can be merged: spaces=['up']" in str(e.value)
    assert spaces(sb.merge(graph, spaces=["up"]))["up"] == 7
    assert spaces(sb.merge(graph, spaces=["up"]))["embed"] == 6


class WeighedNorm(engine.AbstractLayer):
    """A layer or RMS norm that counts each unit as often as it is told."""

    def __init__(self, scale, counts, shift=None, *, eps, centred):
        self.parameters = {"scale": scale}
        self.inputs = self.units = len(scale)
        self.shift, self.share, self.eps, self.centred = shift, counts / counts.sum(), eps, centred

    def forward(self, x, run):
        if self.centred:
            x = x - (x * self.share).sum(axis=-1, keepdims=True)
        y = x / np.sqrt((x * x * self.share).sum(axis=-1, keepdims=True) + self.eps) * self.parameters["scale"]
        return y + (0 if self.shift is None else self.shift), None

    def backward(self, g, memory, run):
        raise NotImplementedError


@pytest.mark.parametrize("build", [residual, rms_residual])
def test_a_norm_that_weighs_units_by_their_multiplicity_gives_the_same_outputs(build):
    net = build(Draw(3))
    graph = planted(net, {"embed": [0, 0, 1, 2, 0, 1], "up": [0, 0, 1, 2, 3, 4, 5, 6]})
    small = sb.merge(graph, multiplicity=True)
    counts = small.arrays["embed.multiplicity"]
    assert counts.tolist() == [3, 2, 1]
    assert small.per_unit[-1].kind == "multiplicity"
    x = inputs(net, 3)
    wanted = rebuilt(net, graph)(x)

    def norms(counts):
        def make(scale, shift=None):
            return WeighedNorm(scale, counts, shift, eps=net.layers["norm1"].eps, centred=build is residual)

        return dict.fromkeys(("norm1", "norm2", "norm3"), make)

    assert_close(rebuilt(net, small, norms=norms(counts))(x), wanted)
    off = rebuilt(net, small, norms=norms(np.ones(3)))(x)
    assert np.abs(off - wanted).max() > 1e-2  # what the numbers are there for
    assert sb.merge(small).arrays["embed.multiplicity"].tolist() == [3, 2, 1]


def test_the_numbers_of_units_are_kept_where_they_differ_and_not_where_they_are_equal():
    for classes, counts in (([0, 0, 1, 2, 3, 4], [2, 1, 1, 1, 1]), ([0, 0, 1, 1, 2, 2], None)):
        small = sb.merge(planted(residual(Draw(0)), {"embed": classes}), multiplicity=True)
        found = small.arrays.get("embed.multiplicity")
        assert found is counts is None or found.tolist() == counts


def test_each_space_under_a_norm_has_multiplicities_of_its_own():
    rng = np.random.default_rng(0)
    first, second = [0, 0, 1], [0, 1, 1, 1]
    graph = LayerGraph(
        [Space("x", 2), Space("a", 3, "tanh"), Space("b", 4, "tanh"), Space("y", 2)],
        [
            Weight("0", rng.normal(size=(2, 2))[first], [("out", "a"), ("in", "x")]),
            Weight("1", rng.normal(size=(2, 2))[np.ix_(second, first)], [("out", "b"), ("in", "a")]),
            Weight("2", rng.normal(size=(2, 2))[:, second], [("out", "y"), ("in", "b")]),
        ],
        [PerUnit("norm1", np.ones(3), [("out", "a")], "scale"), PerUnit("norm2", np.ones(4), [("out", "b")], "scale")],
        inputs=["x"],
        outputs=["y"],
    )
    small = sb.merge(graph, multiplicity=True).arrays
    assert (small["a.multiplicity"].tolist(), small["b.multiplicity"].tolist()) == ([2, 1], [1, 3])


def test_a_norm_within_each_head_can_not_keep_multiplicities():
    rng = np.random.default_rng(0)
    label = [0, 0, 1]
    graph = LayerGraph(
        [Space("x", 4), Space("heads", 2), Space("v", 3), Space("y", 2)],
        [
            Weight("in", rng.normal(size=(2, 3, 4))[:, label], [("head", "heads"), ("out", "v"), ("in", "x")]),
            Weight("out", rng.normal(size=(2, 2, 3))[:, :, label], [("out", "y"), ("head", "heads"), ("in", "v")]),
        ],
        [PerUnit("norm", np.ones((2, 3)), [("head", "heads"), ("out", "v")], "scale")],
        inputs=["x"],
        outputs=["y"],
    )
    for multiplicity in (False, True):
        with pytest.raises(CannotRepair, match="classes of 1 and 2 units lie under a norm, 'norm'"):
            sb.merge(graph, multiplicity=multiplicity)


def test_multiplicities_add_up_when_units_are_merged_again():
    spaces_ = [Space("x", 2), Space("h", 4), Space("y", 1)]
    weights = [
        Weight("a", np.ones((4, 2)), [("out", "h"), ("in", "x")]),
        Weight("b", np.ones((1, 4)), [("out", "y"), ("in", "h")]),
    ]
    per_unit = [
        PerUnit("norm", np.ones(4), [("out", "h")], "scale"),
        PerUnit("count", np.array([2.0, 2, 2, 2]), [("out", "h")], "multiplicity"),
    ]
    small = sb.merge(LayerGraph(spaces_, weights, per_unit, inputs=["x"], outputs=["y"]))
    assert small.arrays["count"].tolist() == [8.0]


# Queries and keys.


def test_merged_queries_carry_the_multiplicity_and_the_root_of_the_width():
    net = attention(Draw(0))
    graph = planted(net, {"att.query_key": [0, 0, 0, 1]})
    small = sb.merge(graph)
    query, key = graph.weights["att.query"], graph.weights["att.key"]
    root = np.sqrt(2 / 4)
    np.testing.assert_allclose(small.weights["att.query"][:, 0], 3 * query[:, 0] * root, rtol=1e-15)
    np.testing.assert_allclose(small.weights["att.query"][:, 1], query[:, 3] * root, rtol=1e-15)
    assert (small.weights["att.key"] == key[:, [0, 3]]).all()
    np.testing.assert_allclose(small.arrays["att.query_bias"][:, 0], 3 * graph.arrays["att.query_bias"][:, 0] * root)
    assert (small.arrays["att.key_bias"] == graph.arrays["att.key_bias"][:, [0, 3]]).all()


def test_attention_that_does_not_divide_by_the_root_has_plain_sums():
    graph = planted(attention(Draw(0)), {"att.query_key": [0, 0, 0, 1]})
    small = sb.merge(graph, scaled=False)
    np.testing.assert_allclose(small.weights["att.query"][:, 0], 3 * graph.weights["att.query"][:, 0], rtol=1e-15)


def products(*extra, weights=("q.weight", "k.weight"), per_unit=()):
    """One head of four query and key units, all equal."""
    spaces_ = [Space("x", 3), Space("qk", 4), Space("v", 2), Space("y", 2)]
    connections = [Weight(name, np.ones((4, 3)), [("out", "qk"), ("in", "x")]) for name in weights]
    connections += [
        Weight("v.weight", np.eye(2, 3), [("out", "v"), ("in", "x")]),
        Weight("o.weight", np.eye(2), [("out", "y"), ("in", "v")]),
    ]
    return LayerGraph(spaces_, connections, per_unit, inputs=["x"], outputs=["y"])


def test_one_head_without_an_axis_of_heads_is_merged_too():
    small = sb.merge(products())
    assert small.weights["q.weight"].tolist() == [[2.0] * 3]  # 4 * sqrt(1 / 4)
    assert small.weights["k.weight"].tolist() == [[1.0] * 3]


def test_what_queries_and_keys_have_beside_their_biases_is_not_scaled():
    """A slope is that of one unit of a class; only the queries carry the number of the units."""
    slope = PerUnit("slope", np.full(4, 3.0), [("out", "qk")], "slope")
    assert sb.merge(products(per_unit=[slope])).arrays["slope"].tolist() == [3.0]
    count = PerUnit("count", np.full(4, 2.0), [("out", "qk")], "multiplicity")
    assert sb.merge(products(per_unit=[count])).arrays["count"].tolist() == [8.0]


def test_norms_of_queries_and_keys_are_refused():
    norm = PerUnit("q_norm.weight", np.ones(4), [("out", "qk")], "scale")
    with pytest.raises(CannotRepair, match=r"space 'qk': queries or keys pass through a norm, 'q_norm.weight'"):
        sb.merge(products(per_unit=[norm]))


def test_three_arrays_that_might_be_queries_are_refused():
    with pytest.raises(CannotRepair, match=r"more than two weights write to its units and nothing reads them: \['q"):
        sb.merge(products(weights=("q.weight", "k.weight", "r.weight")))


def test_a_bias_of_unclear_belonging_is_refused():
    bias = PerUnit("offset", np.ones(4), [("out", "qk")])
    with pytest.raises(CannotRepair, match=r"its name does not say whether 'offset' is the bias of the queries or"):
        sb.merge(products(per_unit=[bias]))


def test_under_grouped_queries_a_bias_is_known_by_its_heads():
    """Whatever it is called: the queries have heads of their own."""
    build, classes, _ = TABLE["grouped queries"]
    net = build(Draw(0))
    graph = planted(net, classes)
    names = {"att.query_bias": "one", "att.key_bias": "two"}

    def renamed(graph, names):
        per_unit = [
            PerUnit(names.get(each.name, each.name), each.array, each.axes, each.kind) for each in graph.per_unit
        ]
        return LayerGraph(graph.spaces, graph.connections, per_unit, inputs=graph.inputs, outputs=graph.outputs)

    small = renamed(sb.merge(renamed(graph, names)), {new: old for old, new in names.items()})
    x = inputs(net, 0)
    assert_close(rebuilt(net, small)(x), rebuilt(net, graph)(x))


@pytest.mark.parametrize(
    ("query", "key", "bias", "of"),
    [
        ("h.q_proj.weight", "h.k_proj.weight", "h.q_proj.bias", "h.q_proj.weight"),
        ("h.q_proj.weight", "h.k_proj.weight", "h.k_proj.bias", "h.k_proj.weight"),
        ("att.query", "att.key", "att.key_bias", "att.key"),
        ("c_attn.weight[query]", "c_attn.weight[key]", "c_attn.bias[query]", "c_attn.weight[query]"),
        ("c_attn.weight[query]", "c_attn.weight[key]", "c_attn.bias[key]", "c_attn.weight[key]"),
        ("query/kernel", "key/kernel", "key/bias", "key/kernel"),
        ("in_proj_weight[q]", "in_proj_weight[k]", "bias", None),
    ],
)
def test_a_bias_goes_with_the_weight_of_the_nearest_name(query, key, bias, of):
    from symbreak.repair._facts import owner

    assert owner(bias, [query, key]) == of


def with_arrays(graph, **arrays):
    """A graph with other arrays of attention."""
    return LayerGraph(
        graph.spaces,
        [
            Weight(each.name, arrays.get(each.name.removeprefix("att."), each.array), each.axes)
            for each in graph.connections
        ],
        [PerUnit(each.name, each.array, each.axes, each.kind) for each in graph.per_unit],
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


def turned_heads():
    """Two heads that are equal but for the order of their units."""
    net = attention(Draw(2), heads=2, groups=2, biases=False, size=4, value=3)
    arrays = {part: np.array(net.graph.weights[f"att.{part}"]) for part in ("query", "key", "value", "output")}
    for part in ("query", "key"):
        arrays[part][0, 3] = arrays[part][0, 0]  # a class within the head
        arrays[part][1] = arrays[part][0][[2, 3, 1, 0]]
    arrays["value"][1] = arrays["value"][0][[1, 2, 0]]
    arrays["output"][:, 1] = arrays["output"][:, 0][:, [1, 2, 0]]
    return net, with_arrays(net.graph, **arrays)


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        (None, (1, 3, 3)),
        (["att.heads"], (1, 4, 3)),
        (["att.query_key"], (2, 3, 3)),
        (["att.heads", "att.value"], (1, 4, 3)),
    ],
)
def test_heads_whose_units_lie_in_another_order_are_merged_unit_by_unit(chosen, left):
    net, graph = turned_heads()
    small = sb.merge(graph, spaces=chosen)
    sizes = spaces(small)
    assert (sizes["att.heads"], sizes["att.query_key"], sizes["att.value"]) == left
    x = inputs(net, 2)
    assert_close(rebuilt(net, small)(x), rebuilt(net, graph)(x))


def test_equal_keys_are_one_whose_queries_differ_head_by_head():
    """What the heads of a group have with one key unit, they have with the other, in turn: the queries add up."""
    net = attention(Draw(2), heads=2, groups=1, biases=False, size=2)
    arrays = {part: np.array(net.graph.weights[f"att.{part}"]) for part in ("query", "key", "output")}
    arrays["key"][0, 1] = arrays["key"][0, 0]
    arrays["query"][1] = arrays["query"][0][::-1]
    arrays["output"][:, 1] = arrays["output"][:, 0]
    graph = with_arrays(net.graph, **arrays)
    small = sb.merge(graph)
    assert spaces(small)["att.query_key"] == spaces(small)["att.heads"] == 1
    x = inputs(net, 2)
    assert_close(rebuilt(net, small)(x), rebuilt(net, graph)(x))


# What can't be merged.


def tied_embedding(per_unit=(), extra=()):
    table = np.repeat([[1.0], [2.0], [3.0]], 4, axis=1)
    spaces_ = [Space("tokens", 3), Space("stream", 4), Space("logits", 3), *(s for s, _ in extra)]
    both = Weight("table", table, [("in", "tokens"), ("out", "stream")], also=[[("out", "logits"), ("in", "stream")]])
    return LayerGraph(
        spaces_, [both, *(w for _, each in extra for w in each)], per_unit, inputs=["tokens"], outputs=["logits"]
    )


def test_an_array_that_writes_and_reads_the_units_is_refused():
    with pytest.raises(CannotRepair, match=r"space 'stream': 'table' is shared between spaces: it both writes these"):
        sb.merge(tied_embedding())


def test_the_other_spaces_of_a_network_with_a_shared_array_are_merged():
    extra = [
        (
            Space("mlp", 6, "relu"),
            [
                Weight("up", np.ones((6, 4)), [("out", "mlp"), ("in", "stream")]),
                Weight("down", np.ones((4, 6)), [("out", "stream"), ("in", "mlp")]),
            ],
        )
    ]
    graph = tied_embedding(extra=extra)
    with pytest.raises(CannotRepair, match=r"spaces=\['mlp'\]"):
        sb.merge(graph)
    small = sb.merge(graph, spaces=["mlp"])
    assert spaces(small) == {"tokens": 3, "stream": 4, "logits": 3, "mlp": 1}
    assert small.weights["down"].tolist() == [[6.0]] * 4


def test_one_layer_used_twice_is_merged():
    """Shared, but with the same part in both uses."""
    spaces_ = [Space("x", 3), Space("a", 3), Space("b", 3), Space("y", 2)]
    graph = LayerGraph(
        spaces_,
        [
            Weight("first", np.ones((3, 3)), [("out", "a"), ("in", "x")]),
            Weight("twice", np.ones((3, 3)), [("out", "b"), ("in", "a")]),
            Weight("last", np.eye(2, 3), [("out", "y"), ("in", "b")], also=[[("out", "y"), ("in", "a")]]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    small = sb.merge(graph, redundant=True)
    assert spaces(small)["a"] == spaces(small)["b"] == 1
    assert small.weights["last"].tolist() == [[1.0], [1.0]]


def test_heads_that_would_keep_different_numbers_of_units_are_refused():
    net = attention(Draw(0), biases=False)
    graph = planted(net, {})
    value, query = np.array(graph.weights["att.value"]), np.array(graph.weights["att.output"])
    value[1, 1], query[:, 1, 1] = value[1, 0], query[:, 1, 0]  # two tied units in one of four heads
    changed = {"att.value": value, "att.output": query}
    graph = LayerGraph(
        graph.spaces,
        [Weight(each.name, changed.get(each.name, each.array), each.axes) for each in graph.connections],
        inputs=graph.inputs,
        outputs=graph.outputs,
    )
    with pytest.raises(CannotRepair, match=r"'att.value': its heads or copies would keep 2 to 3 units, and a layout"):
        sb.merge(graph)


def test_heads_that_would_not_share_keys_evenly_are_refused():
    net = grouped_attention(Draw(0))
    graph = planted(net, {"att.heads": [0, 0, 1, 2]})
    with pytest.raises(
        CannotRepair, match=r"'att.heads': the 3 heads that are left would not share 2 key and value heads"
    ):
        sb.merge(graph)


def test_heads_that_divide_and_would_not_share_keys_evenly_are_refused():
    """Of six heads in two groups four are left, one in the first group and three in the second."""
    graph = planted(attention(Draw(0), heads=6, groups=2), {"att.heads": [0, 0, 0, 1, 2, 3]})
    with pytest.raises(CannotRepair, match="the 4 heads that are left would not share 2 key and value heads evenly"):
        sb.merge(graph)
    even = planted(attention(Draw(0), heads=6, groups=2), {"att.heads": [0, 0, 1, 2, 3, 3]})
    assert spaces(sb.merge(even))["att.heads"] == 4


def experts(tied_experts, tied_units=True):
    """A soft mixture of three experts with four hidden units each."""
    rng = np.random.default_rng(0)
    router, up, down = rng.normal(size=(3, 5)), rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 2, 4))
    if tied_units:
        up[:, 1], down[:, :, 1] = up[:, 0], down[:, :, 0]
    if tied_experts:
        router[1], up[1], down[1] = router[0], up[0], down[0]
    return LayerGraph(
        [Space("x", 5), Space("experts", 3), Space("hidden", 4, "tanh"), Space("y", 2)],
        [
            Weight("router", router, [("out", "experts"), ("in", "x")]),
            Weight("up", up, [("stack", "experts"), ("out", "hidden"), ("in", "x")]),
            Weight("down", down, [("stack", "experts"), ("out", "y"), ("in", "hidden")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )


def mixture(graph, x):
    """What a soft mixture computes."""
    arrays = graph.arrays
    logits = x @ arrays["router"].T
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    hidden = np.tanh(np.einsum("ehi,bi->beh", arrays["up"], x))
    return np.einsum("be,beh,eoh->bo", share, hidden, arrays["down"])


def test_units_of_experts_are_merged_in_each():
    graph = experts(tied_experts=False)
    small = sb.merge(graph)
    assert spaces(small)["hidden"] == 3
    x = np.random.default_rng(1).normal(size=(6, 5))
    assert_close(mixture(small, x), mixture(graph, x))


def test_experts_that_would_become_one_are_refused():
    graph = experts(tied_experts=True)
    with pytest.raises(CannotRepair, match=r"space 'experts': what weighs its copies is 'identity', which is also"):
        sb.merge(graph)
    small = sb.merge(graph, spaces=["hidden"])
    assert spaces(small)["hidden"] == 3
    x = np.random.default_rng(1).normal(size=(6, 5))
    assert_close(mixture(small, x), mixture(graph, x))


@pytest.mark.parametrize("activation", ["softmax", "softmax or identity"])
def test_units_that_meet_in_a_softmax_are_refused(activation):
    graph = sb.chain([(np.ones((3, 2)), None), (np.ones((1, 3)), None)], activation=activation)
    with pytest.raises(CannotRepair, match=r"units meet in its activation, 'softmax', which would count a class once"):
        sb.merge(graph)


def test_sums_that_an_integer_type_can_not_hold_are_refused():
    graph = sb.chain([(np.ones((3, 2)), None), (np.full((1, 3), 100, np.int8), None)])
    with pytest.raises(CannotRepair, match=r"'layers.1.weight' is int8, which can't hold the sums over its classes"):
        sb.merge(graph)
    with pytest.raises(CannotRepair, match="float16, which can't hold"):
        sb.merge(sb.chain([(np.ones((3, 2)), None), (np.full((1, 3), 6e4, np.float16), None)]))


def test_heads_beside_units_that_all_heads_share_are_not_merged():
    graph = LayerGraph(
        [Space("x", 2), Space("heads", 2), Space("h", 3), Space("y", 1)],
        [
            Weight("in", np.ones((2, 3, 2)), [("head", "heads"), ("out", "h"), ("in", "x")]),
            Weight("shared", np.eye(3), [("out", "h"), ("in", "h")]),
            Weight("out", np.ones((1, 3)), [("out", "y"), ("in", "h")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    with pytest.raises(CannotRepair, match=r"space 'heads': 'in' has heads beside units that all heads share"):
        sb.merge(graph)


def test_heads_that_only_a_parameter_of_units_names_are_not_merged():
    graph = LayerGraph(
        [Space("x", 2), Space("heads", 2), Space("h", 3), Space("y", 1)],
        [
            Weight("gate", np.ones((2, 2)), [("out", "heads"), ("in", "x")]),
            Weight("read", np.ones((1, 2)), [("out", "y"), ("in", "heads")]),
            Weight("in", np.ones((3, 2)), [("out", "h"), ("in", "x")]),
            Weight("out", np.ones((1, 3)), [("out", "y"), ("in", "h")]),
        ],
        [PerUnit("slope", np.ones((2, 3)), [("head", "heads"), ("out", "h")], "slope")],
        inputs=["x"],
        outputs=["y"],
    )
    with pytest.raises(CannotRepair, match=r"space 'heads': 'slope' has heads beside units that all heads share"):
        sb.merge(graph)


def test_masks_stay_masks():
    net = TABLE["grouped convolution"][0](Draw(0))
    small = sb.merge(planted(net, TABLE["grouped convolution"][1]))
    mask = small.weights["two.mask"]
    assert mask.dtype == np.int8
    assert set(mask.ravel().tolist()) == {0, 1}
    assert not small.weights["two.weight"][mask == 0].any()


def test_values_that_are_not_finite_are_refused():
    graph = sb.chain([(np.ones((3, 2)), None), (np.array([[1.0, np.nan, 1.0]]), None)])
    with pytest.raises(ValueError, match=r"'layers.1.weight' has values that are not finite, so its network can't be"):
        sb.merge(graph)


def test_wrong_calls_say_what_is_wrong():
    with pytest.raises(TypeError, match=r"repaired as a LayerGraph, such as sb.chain\(...\); got ndarray"):
        sb.merge(np.ones((3, 2)))
    graph = dense(Draw(0)).graph
    with pytest.raises(ValueError, match=r"no space is called 'layer.0'; did you mean 'layers.0'"):
        sb.merge(graph, spaces=["layer.0"])
    with pytest.raises(TypeError, match=r"`spaces` takes a list of names: \['layers.0'\], not 'layers.0'"):
        sb.merge(graph, spaces="layers.0")


def test_a_scale_of_no_norm_is_merged_and_a_norm_without_parameters_is_refused():
    def graph(norm, activation):
        return LayerGraph(
            [Space("x", 2), Space("h", 3, activation), Space("y", 1)],
            [Weight("up", np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 0.0]]), [("out", "h"), ("in", "x")]),
             Weight("down", np.ones((1, 3)), [("out", "y"), ("in", "h")])],
            [PerUnit("scale", np.full(3, 2.0), [("out", "h")], "scale", norm)],
            inputs=["x"],
            outputs=["y"],
        )  # fmt: skip

    small = sb.merge(graph("none", "tanh"))
    assert (small.arrays["scale"].tolist(), small.arrays["down"].tolist()) == ([2.0, 2.0], [[2.0, 1.0]])
    assert not [each for each in small.per_unit if each.kind == "multiplicity"]
    with pytest.raises(CannotRepair, match=r"classes of 1 and 2 units lie under a norm, 'scale'"):
        sb.merge(graph("layer", "tanh"))
    with pytest.raises(
        CannotRepair, match=r"units meet in its activation, 'layer_norm', which would count a class once"
    ):
        sb.merge(graph("none", "layer_norm, tanh"))
