"""Sums of products over letters, and heads that share keys and values, as traced models have them: units are followed.

Every network is computed with NumPy too: units are renumbered on all axes that the graph names, which must change
nothing, and on all axes but one, which must.
"""

import numpy as np
import pytest

from symbreak.checkpoints.wiring._build import build
from symbreak.checkpoints.wiring._factors import Value, rows
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._onnx import onnx_wiring
from tests.checkpoints.wiring._permute import axes_over, closed, moved, places
from tests.checkpoints.wiring._planted import expected, found, plantable, planted
from tests.checkpoints.wiring.test_onnx import node

B, S, D, H, G, K, V, E, F = 2, 5, 6, 4, 2, 3, 4, 3, 7  # rows, positions, and lengths of axes of units
SHARED = {"g1": np.array([2]), "to": np.array([B, G, H // G, S, K]), "flat": np.array([B, H, S, K]),
          "to_v": np.array([B, G, H // G, S, V]), "flat_v": np.array([B, H, S, V])}  # fmt: skip


def sum_(equation, inputs, output, name=None):
    return node("Einsum", inputs, output, name or output, equation=equation)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def flax(w, x):
    q, k, v = (np.einsum("bsd,dhk->bshk", x @ w["in"], w[each]) + w[f"{each}b"] for each in "qkv")
    scores = softmax(np.einsum("bqhk,bshk->bhqs", q, k))
    return np.einsum("bshv,hvd->bsd", np.einsum("bhqs,bshv->bqhv", scores, v), w["o"]) @ w["top"]


FLAX = [
    node("MatMul", "x in", "s", "in"),
    *(n for each in "qkv" for n in (sum_("bsd,dhk->bshk", f"s {each}", f"{each}0", each),
                                    node("Add", f"{each}0 {each}b", f"{each}1"))),
    sum_("bqhk,bshk->bhqs", "q1 k1", "scores"),
    node("Softmax", "scores", "p", axis=-1),
    sum_("bhqs,bshv->bqhv", "p v1", "mixed"),
    sum_("bshv,hvd->bsd", "mixed o", "t", "o"),
    node("MatMul", "t top", "y", "top"),
]  # fmt: skip


def experts(w, x):
    s = x @ w["in"]
    gates = softmax(np.einsum("...d,ed->...e", s, w["router"]))
    hidden = np.maximum(np.einsum("bsd,edf->ebsf", s, w["up"]), 0)
    made = np.einsum("ebsf,efd->ebsd", hidden, w["down"])
    return (s + np.einsum("ebsd,bse->bsd", made, gates)) @ w["top"]


EXPERTS = [
    node("MatMul", "x in", "s", "in"),
    sum_("...d,ed->...e", "s router", "r", "router"),
    node("Softmax", "r", "gates", axis=-1),
    sum_("bsd,edf->ebsf", "s up", "u", "up"),
    node("Relu", "u", "a"),
    sum_("ebsf,efd->ebsd", "a down", "d", "down"),
    sum_("ebsd,bse->bsd", "d gates", "m"),
    node("Add", "s m", "t"),
    node("MatMul", "t top", "y", "top"),
]


def factors(w, x):
    return np.einsum("bd,dr,rf,f->bf", x @ w["in"], w["a"], w["b"], w["c"]) @ w["top"]


FACTORS = [
    node("MatMul", "x in", "s", "in"),
    sum_("bd,dr,rf,f->bf", "s a b c", "t"),
    node("MatMul", "t top", "y", "top"),
]


def places_(w, x):
    return np.einsum("bfs,scf->bsc", np.tanh(np.einsum("bsd,df", x, w["in"])), w["each"]) @ w["top"]


PLACES = [
    sum_("bsd,df", "x in", "s", "in"),
    node("Tanh", "s", "h"),
    sum_("bfs,scf->bsc", "h each", "t", "each"),
    node("MatMul", "t top", "y", "top"),
]


def grouped(w, x):
    q = (x @ w["in"] @ w["q"]).reshape(B, S, H, K).transpose(0, 2, 1, 3)
    k = (x @ w["in"] @ w["k"]).reshape(B, S, G, K).transpose(0, 2, 1, 3).repeat(H // G, axis=1)
    v = (x @ w["in"] @ w["v"]).reshape(B, S, G, V).transpose(0, 2, 1, 3).repeat(H // G, axis=1)
    mixed = softmax(q @ k.swapaxes(-1, -2)) @ v
    return mixed.transpose(0, 2, 1, 3).reshape(B, S, H * V) @ w["o"] @ w["top"]


def repeated(name, to, flat):
    return [node("Unsqueeze", f"{name}2 g1", f"{name}3"), node("Expand", f"{name}3 {to}", f"{name}4"),
            node("Reshape", f"{name}4 {flat}", f"{name}5")]  # fmt: skip


def heads(name, count):
    return [node("MatMul", f"s {name}", f"{name}0", name), node("Reshape", f"{name}0 {count}", f"{name}1"),
            node("Transpose", f"{name}1", f"{name}2", perm=[0, 2, 1, 3])]  # fmt: skip


GROUPED = [
    node("MatMul", "x in", "s", "in"),
    *heads("q", "nq"), *heads("k", "nk"), *heads("v", "nv"),
    *repeated("k", "to", "flat"), *repeated("v", "to_v", "flat_v"),
    node("Transpose", "k5", "kt", perm=[0, 1, 3, 2]),
    node("MatMul", "q2 kt", "scores"),
    node("Softmax", "scores", "p", axis=-1),
    node("MatMul", "p v5", "m"),
    node("Transpose", "m", "m1", perm=[0, 2, 1, 3]),
    node("Reshape", "m1 back", "m2"),
    node("MatMul", "m2 o", "t", "o"),
    node("MatMul", "t top", "y", "top"),
]  # fmt: skip
LENGTHS = SHARED | {"nq": np.array([B, S, H, K]), "nk": np.array([B, S, G, K]), "nv": np.array([B, S, G, V]),
                    "back": np.array([B, S, H * V])}  # fmt: skip

NETWORKS = {  # nodes, shapes of arrays, lengths, the network, the spaces of which every axis is known
    "attention": (FLAX, {"in": (3, D), "q": (D, H, K), "k": (D, H, K), "v": (D, H, V), "qb": (H, K), "kb": (H, K),
                         "vb": (H, V), "o": (H, V, F), "top": (F, 2)}, {}, flax,
                  ["in", "o", "q.heads", "q.units", "v.units"]),
    "experts": (EXPERTS, {"in": (3, D), "router": (E, D), "up": (E, D, F), "down": (E, F, D), "top": (D, 2)}, {},
                experts, ["in", "up.heads", "up.units"]),
    "factors": (FACTORS, {"in": (3, D), "a": (D, K), "b": (K, F), "c": (F,), "top": (F, 2)}, {}, factors,
                ["in", "t", "t.2"]),
    "positions": (PLACES, {"in": (3, D), "each": (S, F, D), "top": (F, 2)}, {}, places_, ["each", "in"]),
    "grouped": (GROUPED, {"in": (3, D), "q": (D, H * K), "k": (D, G * K), "v": (D, G * V), "o": (H * V, F),
                          "top": (F, 2)}, LENGTHS, grouped,
                ["in", "k.heads", "o", "q.heads", "q.units", "v.units"]),
}  # fmt: skip
ALIKE = {("attention", "kb")}  # which of the keys' biases a softmax sees not at all


class Network:
    """One of them, with the values of its arrays in one row."""

    def __init__(self, name):
        nodes, shapes, lengths, self.function, self.known = NETWORKS[name]
        self.places, self.total = places(shapes)
        graph = {"inputs": [{"name": "x", "shape": [B, S, 3]}], "outputs": [{"name": "y"}], "nodes": nodes}
        graph["inputs"][0]["shape"] = [B, 3] if name == "factors" else [B, S, 3]
        given = {key: np.zeros(shape) for key, shape in shapes.items()} | lengths
        self.wiring = onnx_wiring({"graph": graph}, {key: each.shape for key, each in given.items()}, given.__getitem__)
        self.lengths, self.shape = lengths, graph["inputs"][0]["shape"]
        self.graph = self.built(self.places)

    def built(self, arrays):
        arrays = arrays | self.lengths
        names = Names.plain({key: array.shape for key, array in arrays.items()})
        return build(self.wiring, names, arrays.__getitem__, {}).graph

    def __call__(self, values):
        x = np.sin(np.arange(np.prod(self.shape)).reshape(self.shape) * 0.7)
        return self.function({key: values[place] for key, place in self.places.items()}, x)


@pytest.mark.parametrize("name", NETWORKS)
def test_renumbering_the_units_of_a_space_on_all_its_axes_changes_nothing_and_on_all_but_one_does(name):
    network = Network(name)
    assert not network.wiring.unknown
    assert sorted(closed(network.graph)) == network.known
    values = np.random.default_rng(0).normal(size=network.total)
    before = network(values)
    for space in closed(network.graph):
        after = network(values[moved(network.graph, space, network.total)])
        assert np.abs(after - before).max() < 1e-12 * np.abs(before).max(), space
        for array, number in axes_over(network.graph, space):
            if (name, array) in ALIKE:
                continue
            after = network(values[moved(network.graph, space, network.total, without=(array, number))])
            assert np.abs(after - before).max() > 1e-6 * np.abs(before).max(), (space, array, number)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_tie_in_any_space_is_found_and_none_where_there_is_none(name):
    network = Network(name)
    values = np.random.default_rng(0).normal(size=network.total)
    assert found(network.built({key: values[place] for key, place in network.places.items()})) == {}
    for space in plantable(network.graph):
        tied = values[planted(network.graph, space, network.total)]
        again = network.built({key: tied[place] for key, place in network.places.items()})
        assert found(again) == expected(network.graph, space), space


def test_heads_that_share_keys_and_values_are_groups_of_them():
    graph = Network("grouped").graph
    (mask,) = [each for each in graph.connections if each.name.endswith(".groups")]
    assert [axis.space for axis in mask.axes] == ["q.heads", "k.heads"]
    assert mask.array.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (node("Add", "k4 vary", "k6"), "they are added to positions"),  # the copies differ
        (node("Trilu", "k4", "k6"), "it takes units for positions"),
    ],
)
def test_heads_whose_copies_are_changed_are_told_apart(change, reason):
    nodes = [node("Reshape", "k6 flat", "k5") if each["outputs"] == ["k5"] else each for each in GROUPED]
    at = next(number for number, each in enumerate(nodes) if each["outputs"] == ["k5"])
    nodes = [*nodes[:at], change, *nodes[at:]]
    rng = np.random.default_rng(0)
    arrays = {key: rng.normal(size=shape) for key, shape in NETWORKS["grouped"][1].items()} | LENGTHS
    arrays |= {"vary": rng.normal(size=(H // G, 1, 1))}
    graph = {"inputs": [{"name": "x", "shape": [B, S, 3]}], "outputs": [{"name": "y"}], "nodes": nodes}
    shapes = {key: array.shape for key, array in arrays.items()}
    wiring = onnx_wiring({"graph": graph}, shapes, arrays.__getitem__)
    assert any(reason in each for each in [*wiring.unknown.values(), *(spec.apart for spec in wiring.spaces.values())])
    built = build(wiring, Names.plain(shapes), arrays.__getitem__, {}).graph
    assert not {"q.heads", "q.units", "k.heads"} & set(closed(built))


REFUSED = [
    ("bd,df->b?", "w", "isn't as the standard has it"),
    ("bd->b", "w", "isn't as the standard has it"),
    ("bdd,df->bf", "w", "'bdd' has other axes than its input"),
    ("bb,bf->f", "w", "it takes a diagonal"),
    ("bd,df->b", "w", "it sums over an axis of an array alone"),
    ("bd,fd->bf", "w", "5 values meet 6"),
    ("bd,d->b", "c", "it sums over all units that an array reads, and writes none"),
    ("bd,df->bfz", "w", "its output has a letter that no input has"),
    ("df,df->f", None, "it multiplies arrays of the file"),
]


@pytest.mark.parametrize(("equation", "array", "reason"), REFUSED, ids=[row[0] for row in REFUSED])
def test_an_equation_that_can_not_be_followed_tells_units_apart_and_the_reason_is_said(equation, array, reason):
    rng = np.random.default_rng(0)
    arrays = {"in": rng.normal(size=(3, 6)), "w": rng.normal(size=(6, 5)), "c": rng.normal(size=6)}
    nodes = [node("MatMul", "x in", "s", "in"), sum_(equation, f"s {array}" if array else "w w", "t")]
    graph = {"inputs": [{"name": "x", "shape": ["n", 3]}], "outputs": [{"name": "t"}], "nodes": nodes}
    wiring = onnx_wiring({"graph": graph}, {key: each.shape for key, each in arrays.items()}, arrays.__getitem__)
    assert any(reason in each for each in wiring.unknown.values()), wiring.unknown
    if array is not None:
        assert wiring.spaces["in"].apart


def test_an_equation_with_an_array_alone_per_unit_is_a_scale_and_an_outer_product_keeps_units():
    rng = np.random.default_rng(0)
    arrays = {
        "in": rng.normal(size=(3, 6)),
        "c": rng.normal(size=6),
        "one": np.ones((1, 6)),
        "top": rng.normal(size=(6, 2)),
    }
    nodes = [
        node("MatMul", "x in", "s", "in"),
        sum_("bd,d->bd", "s c", "t"),
        sum_("bd,bd->bd", "t one", "u"),
        node("MatMul", "u top", "y", "top"),
    ]
    graph = {"inputs": [{"name": "x", "shape": ["n", 3]}], "outputs": [{"name": "y"}], "nodes": nodes}
    shapes = {key: each.shape for key, each in arrays.items()}
    wiring = onnx_wiring({"graph": graph}, shapes, arrays.__getitem__)
    assert not wiring.unknown
    built = build(wiring, Names.plain(shapes), arrays.__getitem__, {}).graph
    assert {each.name: each.kind for each in built.per_unit} == {"c": "scale", "one": "scale"}
    assert closed(built) == ["in"]


def test_what_is_summed_over_heads_is_no_longer_of_each_head_and_heads_summed_over_units_stay_heads():
    flow = Flow("it")
    heads, units = flow.reshape(Value((flow.space(8, "whole"),)), [2, 4]).axes
    flow.release(units, [heads])
    assert [row for _, row in rows(heads[0])] == [(*heads, *units)]
    flow.release(heads, [units])
    assert (rows(units[0]), len(rows(heads[0]))) == ([], 1)
