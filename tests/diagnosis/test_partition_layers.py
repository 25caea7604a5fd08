"""The classes of every kind of layer: heads, gates, kernels, norms, sums, shared arrays and copies."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from tests.diagnosis.test_partition import same_classes


def draw(rng, *shape, values=None):
    return rng.normal(size=shape) if values is None else rng.choice(values, shape).astype(float)


def dense(rng, out, source, activation="tanh", values=None, bias=True):
    return engine.Dense(
        draw(rng, out, source, values=values), draw(rng, out, values=values) if bias else None, activation
    )


def attention(rng, stream=3, groups=2, per=1, size=2, value_size=2, units=3, values=None, bias=True, causal=False):
    heads = groups * per
    arrays = [
        draw(rng, *shape, values=values)
        for shape in (
            (heads, size, stream), (groups, size, stream), (groups, value_size, stream), (units, heads, value_size),
        )
    ]  # fmt: skip
    shapes = {"query": (heads, size), "key": (groups, size), "value": (groups, value_size), "output": (units,)}
    biases = {f"{part}_bias": draw(rng, *shape, values=values) for part, shape in shapes.items()} if bias else {}
    return engine.Attention(*arrays, **biases, causal=causal)


def norm(units):
    return engine.LayerNorm(np.ones(units), np.zeros(units))


def networks(rng, values=None):
    """One network of each kind, by name."""
    c = lambda *shape: draw(rng, *shape, values=values)  # noqa: E731
    d = lambda *sizes, **options: dense(rng, *sizes, values=values, **options)  # noqa: E731
    return {
        "dense": engine.Network([d(4, 2), d(5, 4), d(2, 5)]),
        "conv": engine.Network([
            engine.Conv2d(c(4, 2, 2, 2), c(4), "tanh"), engine.Conv2d(c(3, 4, 1, 1), c(3), "tanh"),
            engine.GlobalAveragePool(), d(2, 3),
        ]),
        "flat": engine.Network([engine.Conv1d(c(4, 2, 2), c(4), "tanh"), engine.Flatten(), d(3, 4 * 4), d(2, 3)]),
        "recurrent": engine.Network([engine.Recurrent(c(4, 2), c(4, 4), c(4)), engine.Last(), d(2, 4)]),
        "lstm": engine.Network([engine.LSTM(c(4, 3, 2), c(4, 3, 3), c(4, 3)), engine.Last(), d(2, 3)]),
        "attention": engine.Network([d(3, 2), attention(rng, values=values), d(2, 3)]),
        "grouped": engine.Network([d(3, 2), attention(rng, per=2, values=values), d(2, 3)]),
        "residual": engine.Network({
            "embed": d(4, 2, activation="identity"),
            "norm": (norm(4), "embed"),
            "up": (d(6, 4), "norm"),
            "down": (d(4, 6, activation="identity"), "up"),
            "sum": (engine.Add(), "embed", "down"),
            "last": (norm(4), "sum"),
            "out": (d(2, 4, activation="identity"), "last"),
        }),
    }  # fmt: skip


SHAPES = {
    "conv": (3, 3, 2),
    "flat": (5, 2),
    "recurrent": (4, 2),
    "lstm": (4, 2),
    "attention": (4, 2),
    "grouped": (4, 2),
}
KINDS = sorted(networks(np.random.default_rng(0)))


def data(kind, rng, batch=3):
    x = rng.normal(size=(batch, *SHAPES.get(kind, (2,))))
    return x, None


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_start_ties_every_hidden_space(kind):
    net = networks(np.random.default_rng(0), [0.25])[kind]
    report = sb.diagnose(net.graph)
    ends = {*net.graph.inputs, *net.graph.outputs}
    for space, labels in report.partition.items():
        if space not in ends:
            assert not labels.any() or labels.size == 1, space
    assert {each.kind for each in report.classes} <= {"exchange"} | ({"orbit"} if kind == "grouped" else set())
    assert {finding.code for finding in report.findings} == {"SB201"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_a_random_start_ties_nothing(kind, seed):
    report = sb.diagnose(networks(np.random.default_rng(seed))[kind].graph)
    assert not report.findings
    assert not report.classes
    assert all(len(np.unique(labels)) == labels.size for labels in report.partition.values())


# What the engine says: after any step the class sums of all arrays are equal again.


def spread(graph, partition):
    """The most that two class sums of one class differ by; each space's labels are one-hot factors."""
    worst = 0.0
    nested = {name.split(" of ")[0] for name, labels in partition.items() if labels.ndim > 1}
    for item in (*graph.connections, *graph.per_unit):
        for use in getattr(item, "uses", (item.axes,)):
            letters = {number: chr(ord("a") + number) for number in range(len(use))}
            parents = [k for k, axis in enumerate(use) if axis.role in ("head", "stack")]
            sides = []
            for number, axis in enumerate(use):
                if axis.role not in ("out", "in"):
                    continue
                inner = axis.space in nested
                name = axis.space
                if inner and name not in partition:
                    name = f"{axis.space} of {use[parents[0]].space}"
                sides.append(([*parents, number] if inner else [number], partition[name]))
            if not any(len(axes) > 1 for axes, _ in sides):
                sides += [([k], partition[use[k].space]) for k in parents]
            for axes, labels in sides:
                target = "".join(letters[k] for k in axes)
                operands, names, capital = [item.array.astype(float)], ["".join(letters.values())], iter("XYZUVW")
                result = target
                for other, theirs in sides:
                    if other != axes:
                        big = next(capital)
                        operands.append(np.eye(int(theirs.max()) + 1)[theirs])
                        names.append("".join(letters[k] for k in other) + big)
                        result += big
                taken = {k for side, _ in sides for k in side} | set(parents)
                result += "".join(letters[k] for k in letters if k not in taken)
                sums = np.einsum(f"{','.join(names)}->{result}", *operands)
                sums = sums.reshape(labels.size, -1)
                for label in np.unique(labels):
                    members = sums[labels.ravel() == label]
                    worst = max(worst, float(np.ptp(members, axis=0).max(initial=0)))
    return worst


def stepped(net, x, rate=0.1, seed=0):
    """A copy of the network after one step of gradient descent."""
    net = copy.deepcopy(net)
    y = np.random.default_rng([seed, 5]).normal(size=np.shape(net(x)))
    found = engine.gradients(net, x, y)
    for name, array in net.parameters.items():
        array -= rate * found[name]
    return net


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), values=st.sampled_from([[0, 0.5], [0.25, -0.25], [0, 0, 0.5, 1]]))
def test_a_step_leaves_the_sums_over_the_classes_equal(kind, seed, values):
    rng = np.random.default_rng(seed)
    net = networks(rng, values)[kind]
    partition = sb.diagnose(net.graph).partition
    assert spread(net.graph, partition) <= 1e-13
    after = stepped(net, data(kind, rng)[0], seed=seed)
    assert spread(after.graph, partition) <= 1e-11


# Classes of equal sums, planted: in every block of two classes, at every position and in every head, all rows have one
# sum and all columns have one, though the entries differ.


def block(rng, rows, columns):
    found = np.full((rows, columns), rng.integers(-8, 9) / 16)
    for _ in range(3 if min(rows, columns) > 1 else 0):
        (i, j), (k, m) = rng.choice(rows, 2, replace=False), rng.choice(columns, 2, replace=False)
        change = rng.integers(1, 9) / 16
        found[[i, j], [k, m]] += change
        found[[i, j], [m, k]] -= change
    return found


def blocks(rng, above, below):
    found = np.empty((len(above), len(below)))
    for i in np.unique(above):
        for j in np.unique(below):
            found[np.ix_(above == i, below == j)] = block(rng, (above == i).sum(), (below == j).sum())
    return found


def stacked(rng, count, above, below):
    """(count, above, below): a matrix of blocks for each head, gate or position."""
    return np.stack([blocks(rng, above, below) for _ in range(count)])


def planted(rng):
    """A network of each kind, and the classes that were planted in each of its hidden spaces."""
    apart = np.arange
    s, h, u = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1])
    bias = lambda label: (rng.integers(-4, 5, label.max() + 1) / 8)[label]  # noqa: E731
    first = lambda label, inputs=2: blocks(rng, label, apart(inputs))  # noqa: E731
    d = lambda above, below, f="tanh": engine.Dense(blocks(rng, above, below), bias(above), f)  # noqa: E731
    last = lambda below: d(apart(2), below, "identity")  # noqa: E731

    def attend(groups, per, q, v):
        heads = groups * per
        parts = {
            "query": stacked(rng, heads, q, s), "key": stacked(rng, groups, q, s), "value": stacked(rng, groups, v, s),
            "output": stacked(rng, heads, u, v).transpose(1, 0, 2),
            "query_bias": np.stack([bias(q) for _ in range(heads)]),
            "key_bias": np.stack([bias(q) for _ in range(groups)]),
            "value_bias": np.stack([bias(v) for _ in range(groups)]), "output_bias": bias(u),
        }  # fmt: skip
        net = engine.Network([engine.Dense(first(s), bias(s), "tanh"), engine.Attention(**parts), last(u)])
        return net, {"layers.0": s, "layers.1": u}

    kernel = lambda above, below, *size: np.moveaxis(  # noqa: E731
        stacked(rng, int(np.prod(size)), above, below), 0, 2
    ).reshape(len(above), len(below), *size)
    residual = {
        "embed": engine.Dense(first(s), bias(s), "identity"),
        "norm": (engine.LayerNorm(1 + bias(s), bias(s)), "embed"),
        "up": (d(h, s), "norm"),
        "down": (d(s, h, "identity"), "up"),
        "sum": (engine.Add(), "embed", "down"),
        "out": (last(s), "sum"),
    }
    return {
        "dense": (engine.Network([d(s, apart(2)), d(h, s), last(h)]), {"layers.0": s, "layers.1": h}),
        "conv": (
            engine.Network([
                engine.Conv2d(kernel(s, apart(2), 2, 2), bias(s), "tanh"),
                engine.Conv2d(kernel(h, s, 1, 2), bias(h), "tanh"), engine.GlobalAveragePool(), last(h),
            ]),
            {"layers.0": s, "layers.1": h},
        ),
        "flat": (
            engine.Network([
                engine.Conv1d(kernel(s, apart(2), 2), bias(s), "tanh"), engine.Flatten(),
                engine.Dense(kernel(h, s, 4).transpose(0, 2, 1).reshape(5, 16), bias(h), "tanh"), last(h),
            ]),
            {"layers.0": s, "layers.2": h},
        ),
        "recurrent": (
            engine.Network([engine.Recurrent(first(s), blocks(rng, s, s), bias(s)), engine.Last(), last(s)]),
            {"layers.0": s},
        ),
        "lstm": (
            engine.Network([
                engine.LSTM(stacked(rng, 4, s, apart(2)), stacked(rng, 4, s, s), np.stack([bias(s) for _ in range(4)])),
                engine.Last(), last(s),
            ]),
            {"layers.0": s},
        ),
        "attention": attend(2, 1, np.array([0, 0, 1]), np.array([0, 0, 0, 1])),
        "grouped": attend(2, 2, np.array([0, 0]), np.array([0, 0, 0])),
        "residual": (engine.Network(residual), {"embed": s, "up": h}),
    }  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1))
def test_planted_classes_are_found_and_a_step_leaves_them(kind, seed):
    rng = np.random.default_rng(seed)
    net, labels = planted(rng)[kind]
    partition = sb.diagnose(net.graph).partition
    for space, planted_ in labels.items():
        found = partition[space]
        assert all(len(np.unique(found[planted_ == label])) == 1 for label in np.unique(planted_)), (space, found)
    assert spread(net.graph, partition) <= 1e-13
    after = stepped(net, data(kind, rng)[0], seed=seed)
    assert spread(after.graph, partition) <= 1e-11


@pytest.mark.parametrize("kind", KINDS)
def test_planted_classes_are_more_than_copies_and_a_finer_change_breaks_them(kind):
    kinds = set()
    for seed in range(8):
        net, _ = planted(np.random.default_rng(seed))[kind]
        kinds |= {each.kind for each in sb.diagnose(net.graph).classes}
    assert "equitable" in kinds
    net, labels = planted(np.random.default_rng(3))[kind]
    name = next(name for name, array in net.parameters.items() if array.ndim > 1)
    net.parameters[name].flat[0] += 1e-9
    before = sum(len(np.unique(each)) for each in labels.values())
    report = sb.diagnose(net.graph)
    assert sum(len(np.unique(report.partition[space])) for space in labels) > before


# Heads


def with_heads(seed=0, per=1, **changes):
    rng = np.random.default_rng(seed)
    net = engine.Network([dense(rng, 3, 2), attention(rng, groups=2, per=per, size=3, value_size=4), dense(rng, 2, 3)])
    for name, change in changes.items():
        change(net.parameters[f"layers.1.{name}"])
    return net


def same_heads(array):
    array[...] = array[:1]


def same_columns(array):
    array[...] = array[:, :1]


EVERY = dict.fromkeys(("query", "key", "value", "query_bias", "key_bias", "value_bias"), same_heads)


def test_heads_that_are_equal_in_all_arrays_are_one_class_with_their_units():
    report = sb.diagnose(with_heads(**EVERY, output=same_columns).graph)
    assert ("layers.1.heads", "exchange", (0, 1)) in {(each.space, each.kind, each.units) for each in report.classes}
    labels = report.partition["layers.1.query_key"]
    assert labels.shape == (2, 3)
    assert labels[0].tolist() == labels[1].tolist() == [0, 1, 2]
    assert report.partition["layers.1.value"].tolist() == [[0, 1, 2, 3]] * 2
    assert all(each.kind == "exchange" for each in report.classes)


@pytest.mark.parametrize("part", [*EVERY, "output"])
def test_heads_that_differ_in_one_array_are_not_tied(part):
    changes = {**EVERY, "output": same_columns}
    del changes[part]
    report = sb.diagnose(with_heads(**changes).graph)
    assert not report.classes


def test_heads_whose_units_stand_in_another_order_are_an_orbit():
    net = with_heads(**EVERY, output=same_columns)
    parameters = net.parameters
    for part in ("query", "key", "query_bias", "key_bias"):
        array = parameters[f"layers.1.{part}"]
        array[1] = array[1][[2, 0, 1]]
    report = sb.diagnose(net.graph)
    assert report.partition["layers.1.heads"].tolist() == [0, 0]
    assert same_classes(report.partition["layers.1.query_key"], [[0, 1, 2], [2, 0, 1]])
    assert {each.space: each.kind for each in report.classes}["layers.1.heads"] == "orbit"


def test_query_and_key_units_are_tied_where_both_their_rows_are():
    def tie(array):
        array[0, 1] = array[0, 0]

    both = sb.diagnose(with_heads(query=tie, key=tie, query_bias=tie, key_bias=tie).graph)
    assert [(each.space, each.places, each.kind) for each in both.classes] == [
        ("layers.1.query_key", ((0, 0), (0, 1)), "exchange")
    ]
    one = sb.diagnose(with_heads(query=tie, query_bias=tie).graph)
    assert not one.classes
    assert [finding.code for finding in one.findings] == []


def test_under_grouped_queries_a_key_unit_answers_to_all_the_heads_of_its_group():
    def in_group(array):
        array[0, 1] = array[0, 0]

    def in_both_heads(array):
        array[:2, 1] = array[:2, 0]

    changes = {"key": in_group, "key_bias": in_group}
    all_heads = sb.diagnose(with_heads(per=2, **changes, query=in_both_heads, query_bias=in_both_heads).graph)
    assert {(each.space, each.places) for each in all_heads.classes} == {
        ("layers.1.query_key of layers.1.heads", ((0, 0), (0, 1))),
        ("layers.1.query_key of layers.1.heads", ((1, 0), (1, 1))),
        ("layers.1.query_key of layers.1.groups", ((0, 0), (0, 1))),
    }
    assert {each.kind for each in all_heads.classes} == {"exchange"}
    one_head = sb.diagnose(with_heads(per=2, **changes, query=in_group, query_bias=in_group).graph)
    assert not one_head.classes


@pytest.mark.parametrize("per", [1, 2])
def test_a_stream_that_only_heads_write_to_and_read_from_lies_in_no_heads(per):
    """Two layers of attention, one right after the other, without a bias or a norm between."""
    rng = np.random.default_rng(0)
    layers = [attention(rng, per=per, bias=False) for _ in range(2)]
    for name, array in layers[0].parameters.items():
        array[...] = array[:, :1] if name == "output" else array[:1]
    net = engine.Network([dense(rng, 3, 2), *layers, dense(rng, 2, 3)])
    report = sb.diagnose(net.graph)
    assert report.partition["layers.1"].shape == (3,)
    assert {each.space.split(" ")[0].removeprefix("layers.1.") for each in report.classes} == (
        {"heads", "query_key", "value"} | ({"groups"} if per > 1 else set())
    )


def test_rotary_positions_are_singletons():
    net = with_heads(**{part: (lambda array: array.__setitem__(..., 0.5)) for part in ("query", "key")})
    for part in ("query_bias", "key_bias"):
        net.parameters[f"layers.1.{part}"][...] = 0.1
    graph = net.graph
    assert sb.diagnose(graph).partition["layers.1.query_key"].tolist()[0] == [0, 0, 0]
    rotary = PerUnit(
        "rotary",
        np.tile(np.arange(3.0), (2, 1)),
        [("head", "layers.1.heads"), ("out", "layers.1.query_key")],
        "constant",
    )
    turned = LayerGraph(
        graph.spaces, graph.connections, (*graph.per_unit, rotary), inputs=graph.inputs, outputs=graph.outputs
    )
    labels = sb.diagnose(turned).partition["layers.1.query_key"]
    assert all(len(set(row)) == 3 for row in labels.tolist())


# Gates, kernels, groups, copies, shared arrays


@pytest.mark.parametrize(("kind", "name", "axis"), [("lstm", "layers.0.weight", 0), ("conv", "layers.0.weight", 2)])
def test_slices_are_compared_apart_and_not_their_sums(kind, name, axis):
    """Two units whose gates, or kernel positions, are those of the other in another order are not tied."""
    rng = np.random.default_rng(0)
    net = networks(rng, [0.25])[kind]
    array = net.parameters[name]
    units = np.moveaxis(array, 1 if kind == "lstm" else 0, 0)
    units[...] = 0
    first = rng.normal(size=units.shape[1:])
    units[0], units[1] = first, np.flip(first, axis=0 if kind == "lstm" else 1)
    labels = sb.diagnose(net.graph).partition["layers.0"]
    assert labels[0] != labels[1]
    assert len(set(labels.tolist())) == 3


def group_norm_graph(mask, scale):
    groups, units = mask.shape
    rng = np.random.default_rng(0)
    return LayerGraph(
        [Space("input", 2), Space("hidden", units, "relu"), Space("groups", groups), Space("output", 2)],
        [
            Weight("w1", np.tile(rng.normal(size=2), (units, 1)), [("out", "hidden"), ("in", "input")]),
            Weight("into", mask, [("out", "groups"), ("in", "hidden")]),
            Weight("outof", mask.T, [("out", "hidden"), ("in", "groups")]),
            Weight("w2", np.ones((2, units)), [("out", "output"), ("in", "hidden")]),
        ],
        [PerUnit("scale", scale, [("out", "hidden")], "scale")],
        inputs=["input"],
        outputs=["output"],
    )


def test_the_groups_of_a_norm_are_parents_of_their_units():
    mask = np.kron(np.eye(2), np.ones(2))
    tied = sb.diagnose(group_norm_graph(mask, np.ones(4)))
    assert tied.partition["hidden"].tolist() == [0, 0, 0, 0]
    assert {each.kind for each in tied.classes} == {"orbit"}
    one_scale = sb.diagnose(group_norm_graph(mask, np.array([1.0, 1.0, 1.0, 2.0])))
    assert same_classes(one_scale.partition["hidden"], [0, 0, 1, 2])


def experts_graph(up, down, router, routed):
    experts, hidden, stream = up.shape
    constant = [PerUnit("rank", np.arange(float(experts)), [("out", "experts")], "constant")] if routed else []
    rng = np.random.default_rng(1)
    return LayerGraph(
        [
            Space("input", 3), Space("stream", stream), Space("experts", experts), Space("hidden", hidden, "gelu"),
            Space("output", 2),
        ],
        [
            Weight("embed", rng.normal(size=(stream, 3)), [("out", "stream"), ("in", "input")]),
            Weight("router", router, [("out", "experts"), ("in", "stream")]),
            Weight("up", up, [("stack", "experts"), ("out", "hidden"), ("in", "stream")]),
            Weight("down", down, [("stack", "experts"), ("out", "stream"), ("in", "hidden")]),
            Weight("head", rng.normal(size=(2, stream)), [("out", "output"), ("in", "stream")]),
        ],
        constant,
        inputs=["input"],
        outputs=["output"],
    )  # fmt: skip


def test_copied_experts_are_tied_where_the_router_mixes_them_and_not_where_it_picks():
    rng = np.random.default_rng(0)
    up, down = np.tile(rng.normal(size=(1, 5, 4)), (3, 1, 1)), np.tile(rng.normal(size=(1, 4, 5)), (3, 1, 1))
    router = np.tile(rng.normal(size=(1, 4)), (3, 1))
    mixed = sb.diagnose(experts_graph(up, down, router, routed=False))
    assert mixed.partition["experts"].tolist() == [0, 0, 0]
    assert mixed.partition["hidden"].tolist() == [[0, 1, 2, 3, 4]] * 3
    assert {each.kind for each in mixed.classes} == {"exchange"}
    assert not sb.diagnose(experts_graph(up, down, router, routed=True)).classes
    other = router.copy()
    other[2] += 0.5
    assert sb.diagnose(experts_graph(up, down, other, routed=False)).partition["experts"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(("activation", "classes"), [("maxout", 4), ("relu, top_k", 4), ("softmax", 1), ("tanh", 1)])
def test_units_that_are_picked_by_index_are_told_apart(activation, classes):
    graph = sb.chain([(np.ones((4, 2)), None), (np.ones((1, 4)), None)], activation=activation)
    assert len(np.unique(sb.diagnose(graph).partition["layers.0"])) == classes


def test_the_spaces_on_one_axis_of_a_shared_array_have_one_labelling():
    shared = np.full((3, 3), 0.5)
    spaces = [Space("input", 2), Space("a", 3), Space("b", 3), Space("c", 3), Space("output", 1)]

    def graph(first):
        return LayerGraph(
            spaces,
            [
                Weight("w1", first, [("out", "a"), ("in", "input")]),
                Weight("shared", shared, [("out", "b"), ("in", "a")], also=[[("out", "c"), ("in", "b")]]),
                Weight("w2", np.ones((1, 3)), [("out", "output"), ("in", "c")]),
            ],
            inputs=["input"],
            outputs=["output"],
        )

    tied = sb.diagnose(graph(np.ones((3, 2))))
    assert [tied.partition[name].tolist() for name in "abc"] == [[0, 0, 0]] * 3
    apart = sb.diagnose(graph(np.array([[1.0, 0], [0, 1], [1, 1]])))
    assert [apart.partition[name].tolist() for name in "abc"] == [[0, 1, 2]] * 3


def test_a_tied_embedding_keeps_its_tokens_apart_and_may_tie_its_stream():
    table = np.repeat(np.random.default_rng(0).normal(size=(6, 2)), 2, axis=1)
    graph = LayerGraph(
        [Space("tokens", 6), Space("stream", 4)],
        [Weight("table", table, [("in", "tokens"), ("out", "stream")], also=[[("out", "tokens"), ("in", "stream")]])],
        inputs=["tokens"],
        outputs=["tokens"],
    )
    assert sb.diagnose(graph).partition["stream"].tolist() == [0, 0, 1, 1]


def test_noise_of_its_own_tells_the_units_of_a_space_apart():
    net = networks(np.random.default_rng(0), [0.25])["dense"]
    report = sb.diagnose(net.graph, noise=["layers.0"])
    assert report.partition["layers.0"].tolist() == [0, 1, 2, 3]
    assert report.partition["layers.1"].tolist() == [0] * 5


@pytest.mark.parametrize("ask", [False, True], ids=["each its own", "two ask the same"])
def test_heads_whose_queries_share_a_norm_are_equal_where_their_queries_are(ask):
    """The norm has one scale for all heads, so that the units of queries stand in no head; keys go with two heads."""
    rng = np.random.default_rng(0)
    query = rng.normal(size=(4, 3, 6))
    if ask:
        query[1] = query[0]
    graph = LayerGraph(
        [
            Space("input", 6),
            Space("heads", 4),
            Space("groups", 2),
            Space("query", 3),
            Space("value", 3),
            Space("out", 6),
        ],
        [
            Weight("q", query, [("head", "heads"), ("out", "query"), ("in", "input")]),
            Weight("k", rng.normal(size=(2, 3, 6)), [("head", "groups"), ("out", "query"), ("in", "input")]),
            Weight("v", rng.normal(size=(2, 3, 6)), [("head", "groups"), ("out", "value"), ("in", "input")]),
            Weight("o", rng.normal(size=(6, 4, 3)), [("out", "out"), ("head", "heads"), ("in", "value")]),
            Weight("pairs", np.kron(np.eye(2), np.ones((2, 1))), [("out", "heads"), ("in", "groups")]),
        ],
        [PerUnit("norm", np.ones(3), [("out", "query")], "scale")],
        inputs=["input"],
        outputs=["out"],
    )
    found = {(each.where, each.groups) for each in sb.diagnose(graph).findings if each.code == "SB202"}
    assert found == ({("space heads", ((0, 1),)), ("space value of heads", ((0, 3), (1, 4), (2, 5)))} if ask else set())
