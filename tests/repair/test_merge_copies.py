"""Copies, such as experts, become one where a router weighs them and it is known how; the function is the same."""

import numpy as np
import pytest

import symbreak as sb
from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph, PerUnit, Space, Weight

X = np.random.default_rng(9).normal(size=(7, 5))
SHARES = {
    "softmax": lambda r: np.exp(r) / np.exp(r).sum(axis=-1, keepdims=True),
    "sigmoid": lambda r: 1 / (1 + np.exp(-r)),
    "linear": lambda r: r,
    "tanh": np.tanh,
    "relu": lambda r: np.maximum(r, 0),
}


def mixture_graph(activation, of=(0, 1, 1, 2), bias=True, turned=False, more=(), per_unit=(), seed=0):
    """Experts of two layers and of one, whose outputs are weighed; expert k is the copy of one numbered `of[k]`."""
    rng = np.random.default_rng(seed)
    of = np.array(of)

    def drawn(*shape):
        return rng.normal(size=(of.max() + 1, *shape))[of]

    router, up, down = drawn(5), drawn(4, 5), drawn(2, 4)
    b1, b2, direct = drawn(4), drawn(2), drawn(2, 5)
    if turned:  # the units of each copy stand in an order of their own
        for expert in range(len(of)):
            order = rng.permutation(4)
            up[expert], b1[expert], down[expert] = up[expert][order], b1[expert][order], down[expert][:, order]
    stack = ("stack", "experts")
    biases = [PerUnit("router.bias", drawn(), [("out", "experts")])] if bias else []
    return LayerGraph(
        [Space("x", 5), Space("experts", len(of), activation), Space("hidden", 4, "tanh"), Space("y", 2)],
        [
            Weight("router", router, [("out", "experts"), ("in", "x")]),
            Weight("up", up, [stack, ("out", "hidden"), ("in", "x")]),
            Weight("down", down.transpose(1, 0, 2).copy(), [("out", "y"), stack, ("in", "hidden")]),
            Weight("direct", direct, [stack, ("out", "y"), ("in", "x")]),
            *more,
        ],
        [*biases, PerUnit("b1", b1, [stack, ("out", "hidden")]), PerUnit("b2", b2, [stack, ("out", "y")]), *per_unit],
        inputs=["x"],
        outputs=["y"],
    )


def run(graph, share, x=X):
    """(batch, 5) -> (batch, 2): the sum over experts of share times output."""
    arrays = graph.arrays
    shares = share(x @ arrays["router"].T + arrays.get("router.bias", 0))
    hidden = np.tanh(np.einsum("ehi,bi->beh", arrays["up"], x) + arrays["b1"])
    out = np.einsum("oeh,beh->beo", arrays["down"], hidden) + np.einsum("eoi,bi->beo", arrays["direct"], x)
    return np.einsum("be,beo->bo", shares, out + arrays["b2"])


def experts_left(graph):
    return graph.space("experts").units


@pytest.mark.parametrize("activation", SHARES)
@pytest.mark.parametrize("of", [(0, 1, 1, 2), (0, 0, 1, 1), (0, 0, 0, 0, 0), (0, 1, 0, 2, 0, 1)])
@pytest.mark.parametrize("turned", [False, True])
def test_copies_that_a_router_weighs_become_one(activation, of, turned):
    graph = mixture_graph(activation, of, turned=turned)
    small = sb.merge(graph)
    assert experts_left(small) == len(set(of))
    assert {
        array.shape[axis] for name, axis in (("up", 0), ("down", 1), ("b2", 0)) for array in [small.arrays[name]]
    } == {len(set(of))}
    before, after = run(graph, SHARES[activation]), run(small, SHARES[activation])
    assert np.abs(after - before).max() < 1e-12 * max(1, np.abs(before).max())
    assert sb.diagnose(small).classes == ()


def test_what_the_copies_have_of_a_share_depends_on_what_weighs_them():
    """Equal classes under a softmax keep the bias of the router; others add the logarithms of their sizes."""
    graph = mixture_graph("softmax", (0, 0, 1, 1))
    small = sb.merge(graph)
    assert np.array_equal(small.arrays["router.bias"], graph.arrays["router.bias"][[0, 2]])
    assert np.array_equal(small.arrays["b2"], graph.arrays["b2"][[0, 2]])
    assert np.array_equal(sb.merge(mixture_graph("sigmoid", (0, 0, 1, 1))).arrays["b2"], 2 * graph.arrays["b2"][[0, 2]])
    graph = mixture_graph("softmax", (0, 0, 0, 1))
    added = sb.merge(graph).arrays["router.bias"] - graph.arrays["router.bias"][[0, 3]]
    assert np.allclose(added, np.log([3, 1]), atol=1e-15)
    assert experts_left(sb.merge(mixture_graph("softmax", (0, 0, 1, 1), bias=False))) == 2


def test_a_scale_of_no_norm_in_the_router_is_that_of_one_copy_of_each_class():
    scale = PerUnit("scale", np.array([3.0, 5.0, 5.0, 7.0]), [("out", "experts")], "scale", "none")
    graph = mixture_graph("sigmoid", per_unit=[scale])
    small = sb.merge(graph)
    assert small.arrays["scale"].tolist() == [3.0, 5.0, 7.0]

    def share(of):
        return lambda r: SHARES["sigmoid"](r * of.arrays["scale"])

    assert np.abs(run(small, share(small)) - run(graph, share(graph))).max() < 1e-12


def test_units_of_copies_are_merged_with_them():
    graph = mixture_graph("sigmoid", (0, 1, 1))
    arrays = {name: np.array(array) for name, array in graph.arrays.items()}
    arrays["up"][:, 1], arrays["b1"][:, 1] = arrays["up"][:, 0], arrays["b1"][:, 0]
    arrays["down"][..., 1] = arrays["down"][..., 0]
    graph = LayerGraph(
        graph.spaces,
        [Weight(each.name, arrays[each.name], each.axes) for each in graph.connections],
        [PerUnit(each.name, arrays[each.name], each.axes) for each in graph.per_unit],
        inputs=["x"],
        outputs=["y"],
    )
    for spaces, left in ((None, (2, 3)), (["experts"], (2, 4)), (["hidden"], (3, 3))):
        small = sb.merge(graph, spaces=spaces)
        assert (experts_left(small), small.space("hidden").units) == left
        assert np.abs(run(small, SHARES["sigmoid"]) - run(graph, SHARES["sigmoid"])).max() < 1e-12


def test_experts_of_stacked_layers_are_merged_in_each():
    rng = np.random.default_rng(3)
    stack = [("stack", "layers"), ("stack", "experts")]
    arrays = {"router": rng.normal(size=(2, 3, 4)), "bias": rng.normal(size=(2, 3)), "w": rng.normal(size=(2, 3, 2, 4))}
    arrays["gate"] = rng.normal(size=(2, 4))
    for array in (arrays["router"], arrays["bias"], arrays["w"]):
        array[0, 1], array[1, 2] = array[0, 0], array[1, 0]
    graph = LayerGraph(
        [Space("x", 4), Space("layers", 2, "sigmoid"), Space("experts", 3, "softmax"), Space("y", 2)],
        [
            Weight("gate", arrays["gate"], [("out", "layers"), ("in", "x")]),
            Weight("router", arrays["router"], [stack[0], ("out", "experts"), ("in", "x")]),
            Weight("w", arrays["w"], [*stack, ("out", "y"), ("in", "x")]),
        ],
        [PerUnit("bias", arrays["bias"], [stack[0], ("out", "experts")])],
        inputs=["x"],
        outputs=["y"],
    )

    def compute(graph):
        a, x = graph.arrays, X[:, :4]
        shares = SHARES["softmax"](np.einsum("lei,bi->ble", a["router"], x) + a["bias"])
        weighed = SHARES["sigmoid"](x @ a["gate"].T)[:, :, np.newaxis] * shares
        return np.einsum("ble,leoi,bi->bo", weighed, a["w"], x)

    small = sb.merge(graph)
    assert (small.space("layers").units, experts_left(small)) == (2, 2)
    assert np.abs(compute(small) - compute(graph)).max() < 1e-12


REFUSED = {
    "no router": (
        "its outputs",
        lambda: LayerGraph(
            [Space("x", 2), Space("members", 2, "sigmoid"), Space("y", 2)],
            [Weight("w", np.ones((2, 2, 2)), [("stack", "members"), ("out", "y"), ("in", "x")])],
            inputs=["x"],
            outputs=["y"],
        ),
    ),
    "nothing recorded": (
        r"what weighs its copies is 'identity', which is also what is recorded where it isn't known: copies are merged "
        r"under 'softmax', and under what weighs each by itself, such as 'sigmoid' and 'linear'",
        lambda: mixture_graph("identity"),
    ),
    "another function": (
        "what weighs its copies is 'sparsemax', of which no rule is known",
        lambda: mixture_graph("sparsemax"),
    ),
    "two readings": ("'softmax or sigmoid', of which no rule is known", lambda: mixture_graph("softmax or sigmoid")),
    "top-k": (
        r"its router picks copies by index \('softmax, top_k'\): of equal ones it takes some and others not",
        lambda: mixture_graph("softmax, top_k"),
    ),
    "no bias": (
        r"classes of 1 and 2 copies lie under a softmax, and their router has no bias that could take the logarithms",
        lambda: mixture_graph("softmax", bias=False),
    ),
    "shares that are read": (
        "'balance' reads what weighs its copies, so that their shares can't be added",
        lambda: mixture_graph("sigmoid", more=[Weight("balance", np.ones((2, 4)), [("out", "y"), ("in", "experts")])]),
    ),
    "a scale of each copy": (
        "'s' belongs to units that all copies share, and is not added to their outputs",
        lambda: mixture_graph(
            "sigmoid", per_unit=[PerUnit("s", np.ones((4, 2)), [("stack", "experts"), ("out", "y")], "scale")]
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_copies_that_can_not_become_one_are_refused_with_a_reason(case):
    message, build = REFUSED[case]
    message = "how their outputs are combined is not in the graph" if case == "no router" else message
    with pytest.raises(CannotRepair, match=f"space '(experts|members)': .*{message}"):
        sb.merge(build())


def test_under_top_k_two_copies_are_not_one_of_twice_the_weight():
    """Of three experts, two equal, the best two are taken: of the two that are left, both are."""

    def best(count):
        def share(logits):
            kept = np.argsort(-logits, axis=1, kind="stable")[:, :count]
            chosen = np.zeros(logits.shape)
            np.put_along_axis(chosen, kept, np.exp(np.take_along_axis(logits, kept, 1)), 1)
            return chosen / chosen.sum(axis=1, keepdims=True)

        return share

    graph = mixture_graph("softmax, top_k", (0, 0, 1))
    assert sb.diagnose(graph).classes == ()  # its experts are told apart by their index
    merged = sb.merge(mixture_graph("softmax", (0, 0, 1)))
    assert np.abs(run(merged, best(2)) - run(graph, best(2))).max() > 0.1
    assert np.array_equal(sb.merge(graph, spaces=["hidden"]).arrays["up"], graph.arrays["up"])
