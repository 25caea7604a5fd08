"""What is repaired in a graph goes back to the tensors that it was made from, however they are laid out."""

import numpy as np
import pytest

import symbreak as sb
from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from symbreak.repair import rewrite
from tests.repair._networks import TABLE, Draw, classes_left, dense, planted

SIZES = {"stream": 6, "heads": 4, "size": 3}


def separate(t, n):
    """As in BERT: (heads * size, in), and (out, heads * size)."""
    parts = {part: t[part].reshape(n["heads"], n["size"], n["stream"]) for part in ("query", "key", "value")}
    biases = {part: t[f"{part}.bias"].reshape(n["heads"], n["size"]) for part in parts}
    return parts, biases, t["output"].reshape(n["stream"], n["heads"], n["size"])


def fused(t, n):
    """As in torch's MultiheadAttention: three parts below each other."""
    whole = t["in_proj"].reshape(3, n["heads"], n["size"], n["stream"])
    bias = t["in_proj.bias"].reshape(3, n["heads"], n["size"])
    names = ("query", "key", "value")
    return dict(zip(names, whole, strict=True)), dict(zip(names, bias, strict=True)), separate_output(t, n)


def transposed(t, n):
    """As in GPT-2: (in, out), three parts side by side."""
    whole = t["c_attn"].reshape(n["stream"], 3, n["heads"], n["size"]).transpose(1, 2, 3, 0)
    bias = t["c_attn.bias"].reshape(3, n["heads"], n["size"])
    names = ("query", "key", "value")
    output = t["c_proj"].reshape(n["heads"], n["size"], n["stream"]).transpose(2, 0, 1)
    return dict(zip(names, whole, strict=True)), dict(zip(names, bias, strict=True)), output


def interleaved(t, n):
    """As in GPT-NeoX: the three parts of each head together."""
    whole = t["qkv"].reshape(n["heads"], 3, n["size"], n["stream"]).transpose(1, 0, 2, 3)
    bias = t["qkv.bias"].reshape(n["heads"], 3, n["size"]).transpose(1, 0, 2)
    names = ("query", "key", "value")
    return dict(zip(names, whole, strict=True)), dict(zip(names, bias, strict=True)), separate_output(t, n)


def with_heads(t, n):
    """As in Keras: (in, heads, size)."""
    parts = {part: t[part].transpose(1, 2, 0) for part in ("query", "key", "value")}
    biases = {part: t[f"{part}.bias"] for part in parts}
    return parts, biases, t["output"].transpose(2, 0, 1)


def separate_output(t, n):
    return t["output"].reshape(n["stream"], n["heads"], n["size"])


LAYOUTS = {
    separate: {
        **dict.fromkeys(("query", "key", "value"), (12, 6)),
        **{f"{part}.bias": (12,) for part in ("query", "key", "value")},
        "output": (6, 12),
    },
    fused: {"in_proj": (36, 6), "in_proj.bias": (36,), "output": (6, 12)},
    transposed: {"c_attn": (6, 36), "c_attn.bias": (36,), "c_proj": (12, 6)},
    interleaved: {"qkv": (36, 6), "qkv.bias": (36,), "output": (6, 12)},
    with_heads: {
        **dict.fromkeys(("query", "key", "value"), (6, 4, 3)),
        **{f"{part}.bias": (4, 3) for part in ("query", "key", "value")},
        "output": (4, 3, 6),
    },
}
COMMON = {"embed": (7, 6), "out": (3, 6), "norm": (6,)}


def wired(layout, t, n):
    """A graph of one attention layer in a stream, whose arrays are views of the tensors."""
    parts, biases, output = layout(t, n)
    connections = [Weight("embed", t["embed"], [("in", "tokens"), ("out", "stream")])]
    per_unit = [PerUnit("norm", t["norm"], [("out", "stream")], "scale")]
    for part, between in (("query", "query_key"), ("key", "query_key"), ("value", "value")):
        connections.append(
            Weight(f"{part}.weight", parts[part], [("head", "heads"), ("out", between), ("in", "stream")])
        )
        per_unit.append(PerUnit(f"{part}.bias", biases[part], [("head", "heads"), ("out", between)]))
    connections.append(Weight("output.weight", output, [("out", "stream"), ("head", "heads"), ("in", "value")]))
    connections.append(Weight("out", t["out"], [("out", "classes"), ("in", "stream")]))
    spaces = [
        Space("tokens", 7), Space("stream", n["stream"]), Space("heads", n["heads"]), Space("query_key", n["size"]),
        Space("value", n["size"]), Space("classes", 3),
    ]  # fmt: skip
    return LayerGraph(spaces, connections, per_unit, inputs=["tokens"], outputs=["classes"])


def tensors_with_ties(layout, ties):
    """Random tensors, with a step of 0 or more by which units along the stream, the heads and the sizes are tied."""
    rng = np.random.default_rng(0)
    tensors = {
        name: np.ascontiguousarray(rng.normal(size=shape).astype("float32"))
        for name, shape in {**COMMON, **LAYOUTS[layout], "steps": ()}.items()
    }
    graph = wired(layout, tensors, SIZES)
    for each in (*graph.connections, *graph.per_unit):
        array = each.array.view()
        tied = array
        for number, axis in enumerate(each.axes):
            if axis.space in ties:
                label = np.asarray(ties[axis.space])
                first = [int(np.flatnonzero(label == k)[0]) for k in label]
                tied = tied.take(first, number)
        np.lib.stride_tricks.as_strided(array, writeable=True)
        _write(tensors, array, tied)
    return tensors


def _write(tensors, view, values):
    """Write through a read-only view, by looking for its tensor."""
    for tensor in tensors.values():
        if np.shares_memory(tensor, view):
            offset = view.__array_interface__["data"][0] - tensor.__array_interface__["data"][0]
            flat = tensor.reshape(-1)[offset // 4 :]
            np.lib.stride_tricks.as_strided(flat, view.shape, view.strides)[...] = values


TIES = {
    "stream": {"stream": [0, 1, 2, 0, 1, 2]},
    "heads": {"heads": [0, 1, 0, 1]},
    "sizes": {"query_key": [0, 0, 1], "value": [0, 1, 1]},
    "all": {"stream": [0, 0, 1, 1, 2, 2], "heads": [0, 0, 0, 1], "query_key": [0, 1, 1], "value": [0, 0, 1]},
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("repair", [sb.merge, sb.untie, sb.reinit], ids=lambda each: each.__name__)
def test_the_new_tensors_are_wired_to_the_repaired_graph(layout, ties, repair):
    tensors = tensors_with_ties(layout, TIES[ties])
    before = {name: array.copy() for name, array in tensors.items()}
    graph = wired(layout, tensors, SIZES)
    assert classes_left(graph) > 0
    after = repair(graph) if repair is sb.merge else repair(graph, 0)
    found, changes = rewrite(tensors, graph, after)
    assert all(np.array_equal(tensors[name], array) for name, array in before.items())  # what was read is as it was
    assert list(found) == list(tensors)
    sizes = {space.name: space.units for space in after.spaces}
    again = wired(layout, found, {"stream": sizes["stream"], "heads": sizes["heads"], "size": sizes["value"]})
    for name, array in after.arrays.items():
        assert again.arrays[name].dtype == array.dtype
        assert np.array_equal(again.arrays[name], array), name
    changed = {
        name for name in tensors if found[name].shape != tensors[name].shape or (found[name] != tensors[name]).any()
    }
    assert {change.name for change in changes} == changed
    assert found["steps"] is tensors["steps"]


def test_changes_are_counted():
    tensors = {"a": np.ones((4, 3)), "b": np.ones((2, 4)), "other": np.ones(5)}
    graph = LayerGraph(
        [Space("x", 3), Space("h", 4), Space("y", 2)],
        [
            Weight("a", tensors["a"], [("out", "h"), ("in", "x")]),
            Weight("b", tensors["b"], [("out", "y"), ("in", "h")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    assert [str(change) for change in rewrite(tensors, graph, sb.merge(graph))[1]] == [
        "a: [4, 3] -> [1, 3]",
        "b: [2, 4] -> [2, 1]",
    ]
    assert [str(change) for change in rewrite(tensors, graph, sb.untie(graph, 0))[1]] == ["b: 8 of 8 values"]
    assert [str(change) for change in rewrite(tensors, graph, sb.reinit(graph, 0))[1]] == ["a: 12 of 12 values"]
    assert rewrite(tensors, graph, graph) == (tensors, [])


def test_two_names_of_one_tensor_stay_one():
    table = np.ones((5, 4), "float32")
    tensors = {"embed": table, "head": table, "norm": np.ones(4, "float32"), "up": np.ones((3, 4), "float32")}
    graph = LayerGraph(
        [Space("tokens", 5), Space("stream", 4), Space("logits", 5), Space("seen", 3)],
        [
            Weight("embed", table, [("in", "tokens"), ("out", "stream")], also=[[("out", "logits"), ("in", "stream")]]),
            Weight("up", tensors["up"], [("out", "seen"), ("in", "stream")]),
        ],
        inputs=["tokens"],
        outputs=["logits", "seen"],
    )
    found, changes = rewrite(tensors, graph, sb.reinit(graph, 0))
    assert np.array_equal(found["embed"], found["head"])
    assert [change.name for change in changes] == ["embed", "head"]


def graph_without_elements(tensors):
    kernel = [("out", "h"), ("in", "x"), ("receptive", None)]
    return LayerGraph(
        [Space("x", 2), Space("h", 3), Space("y", 1)],
        [
            Weight("none", tensors["none"], kernel),
            Weight("a", tensors["a"], [("out", "h"), ("in", "x")]),
            Weight("b", tensors["b"], [("out", "y"), ("in", "h")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )


@pytest.mark.parametrize("repair", [sb.untie, sb.reinit], ids=lambda each: each.__name__)
def test_a_tensor_without_elements_stays(repair):
    tensors = {"none": np.ones((3, 2, 0)), "a": np.ones((3, 2)), "b": np.ones((1, 3))}
    graph = graph_without_elements(tensors)
    found, changes = rewrite(tensors, graph, repair(graph, 0))
    assert found["none"] is tensors["none"]
    assert len(changes) == 1


def test_an_array_without_elements_is_merged_too():
    tensors = {"none": np.ones((3, 2, 0)), "a": np.ones((3, 2)), "b": np.ones((1, 3))}
    small = sb.merge(graph_without_elements(tensors)).arrays
    assert [small[name].shape for name in tensors] == [(1, 2, 0), (1, 2), (1, 1)]


def test_a_part_that_is_not_in_the_graph_keeps_a_tensor_from_being_cut():

    whole = np.ones((6, 3))
    tensors = {"both": whole, "out": np.ones((2, 4))}
    graph = LayerGraph(
        [Space("x", 3), Space("h", 4), Space("y", 2)],
        [
            Weight("both[h]", whole[:4], [("out", "h"), ("in", "x")]),
            Weight("out", tensors["out"], [("out", "y"), ("in", "h")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    with pytest.raises(CannotRepair, match="only a part of 'both' is in the network, so it can't be made smaller"):
        rewrite(tensors, graph, sb.merge(graph))
    found, _ = rewrite(tensors, graph, sb.untie(graph, 0))
    assert found["both"] is whole


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda each: each.__name__)
def test_parts_of_one_tensor_shrink_alike_or_not_at_all(layout):
    tensors = tensors_with_ties(layout, {"value": [0, 0, 1]})
    graph = wired(layout, tensors, SIZES)
    if layout in (separate, with_heads):
        assert rewrite(tensors, graph, sb.merge(graph))[0]["value"].size == tensors["value"].size * 2 / 3
        return
    reason = r"'query.weight' and 'value.weight' lie in one tensor, .* would keep 1 and 2/3 of their units"
    with pytest.raises(CannotRepair, match=reason):
        rewrite(tensors, graph, sb.merge(graph))


def test_parts_that_lie_beside_each_other_may_read_spaces_of_other_sizes():
    """A layer that reads two spaces one after the other: its outputs are the same ones."""
    whole = np.concatenate([np.ones((2, 4)), np.arange(6.0).reshape(2, 3)], axis=1)
    tensors = {"a": np.ones((4, 3)), "b": np.eye(3), "both": whole}
    graph = LayerGraph(
        [Space("x", 3), Space("h", 4), Space("k", 3), Space("y", 2)],
        [
            Weight("a", tensors["a"], [("out", "h"), ("in", "x")]),
            Weight("b", tensors["b"], [("out", "k"), ("in", "x")]),
            Weight("both[h]", whole[:, :4], [("out", "y"), ("in", "h")]),
            Weight("both[k]", whole[:, 4:], [("out", "y"), ("in", "k")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    found, _ = rewrite(tensors, graph, sb.merge(graph))
    assert found["both"].tolist() == [[4.0, 0, 1, 2], [4.0, 3, 4, 5]]
    assert len(rewrite(tensors, graph, sb.untie(graph, 0))[1]) == 1


def test_stacked_parts_that_read_spaces_of_other_sizes_can_not_stay_stacked():
    both = np.stack([np.ones((2, 4)), np.arange(8.0).reshape(2, 4)])
    tensors = {"a": np.ones((4, 3)), "b": np.eye(4, 3), "both": both}
    graph = LayerGraph(
        [Space("x", 3), Space("h", 4), Space("k", 4), Space("y", 2)],
        [
            Weight("a", tensors["a"], [("out", "h"), ("in", "x")]),
            Weight("b", tensors["b"], [("out", "k"), ("in", "x")]),
            Weight("both[0]", both[0], [("out", "y"), ("in", "h")]),
            Weight("both[1]", both[1], [("out", "y"), ("in", "k")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    with pytest.raises(CannotRepair, match="what would be left of 'both' has not the same number of units everywhere"):
        rewrite(tensors, graph, sb.merge(graph))


def test_an_array_that_is_computed_can_not_change():
    tensors = {"a": np.ones((4, 3))}
    graph = LayerGraph(
        [Space("x", 3), Space("h", 4), Space("y", 2)],
        [
            Weight("a", tensors["a"], [("out", "h"), ("in", "x")]),
            Weight("computed", np.ones((2, 4)), [("out", "y"), ("in", "h")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    for repaired in (sb.merge(graph), sb.untie(graph, 0)):
        with pytest.raises(
            CannotRepair, match="'computed' is not stored in the file as it is wired, so a change of it"
        ):
            rewrite(tensors, graph, repaired)
    assert np.ptp(rewrite(tensors, graph, sb.reinit(graph, 0))[0]["a"]) > 0


@pytest.mark.parametrize("cut", [1, 6, 7])
def test_an_array_across_two_tensors_is_in_neither(cut):
    """Two tensors of one storage, and an array that begins in the first and ends in the second."""
    storage = np.ones(8)
    tensors = {"a": np.ones((4, 3)), "one": storage[:cut], "two": storage[cut:]}
    graph = LayerGraph(
        [Space("x", 3), Space("h", 4), Space("y", 2)],
        [
            Weight("a", tensors["a"], [("out", "h"), ("in", "x")]),
            Weight("across", storage.reshape(2, 4), [("out", "y"), ("in", "h")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    with pytest.raises(CannotRepair, match="'across' is not stored in the file as it is wired"):
        rewrite(tensors, graph, sb.untie(graph, 0))


def test_a_mask_that_is_computed_follows_from_the_sizes():
    build, classes, _ = TABLE["grouped queries, tied heads"]
    graph = planted(build(Draw(0)), classes)
    mask = graph.weights["att.groups"].astype(np.int8)
    connections = [
        Weight(each.name, mask if each.name == "att.groups" else np.array(each.array), each.axes)
        for each in graph.connections
    ]
    graph = LayerGraph(graph.spaces, connections, graph.per_unit, inputs=graph.inputs, outputs=graph.outputs)
    tensors = {name: array for name, array in graph.arrays.items() if name != "att.groups"}
    small = sb.merge(graph)
    found, _ = rewrite(tensors, graph, small)
    assert {name: array.shape for name, array in found.items()} == {
        name: array.shape for name, array in small.arrays.items() if name != "att.groups"
    }


def test_values_that_units_share_can_not_become_different():
    scale = np.ones(1)
    tensors = {"a": np.ones((4, 3)), "scale": scale, "out": np.ones((2, 4))}
    shared = np.broadcast_to(scale, (4,))
    graph = LayerGraph(
        [Space("x", 3), Space("h", 4), Space("y", 2)],
        [
            Weight("a", tensors["a"], [("out", "h"), ("in", "x")]),
            Weight("out", tensors["out"], [("out", "y"), ("in", "h")]),
        ],
        [PerUnit("scale", shared, [("out", "h")], "slope")],
        inputs=["x"],
        outputs=["y"],
    )
    found, _ = rewrite(tensors, graph, sb.merge(graph))
    assert found["scale"].tolist() == [1.0]
    other = [PerUnit("scale", np.arange(4.0), [("out", "h")], "slope")]
    other = LayerGraph(graph.spaces, graph.connections, other, inputs=graph.inputs, outputs=graph.outputs)
    with pytest.raises(CannotRepair, match="units share values of 'scale', and would need different ones"):
        rewrite(tensors, graph, other)


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("fc.weight_v", "fc.weight_g"),
        ("fc.weight_orig", "fc.weight_u"),
        ("fc.parametrizations.weight.original1", "fc.parametrizations.weight.original0"),
        ("fc.parametrizations.weight.original", "fc.parametrizations.weight.0._u"),
    ],
)
def test_a_tensor_from_which_the_weight_is_computed_is_not_changed(name, beside):
    tensors = {"a": np.ones((4, 3)), name: np.ones((2, 4)), beside: np.ones((2, 1))}
    graph = LayerGraph(
        [Space("x", 3), Space("h", 4), Space("y", 2)],
        [
            Weight("a", tensors["a"], [("out", "h"), ("in", "x")]),
            Weight(name, tensors[name], [("out", "y"), ("in", "h")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    with pytest.raises(CannotRepair, match=f"the weight that '{name}' stands for is computed from it and '{beside}'"):
        rewrite(tensors, graph, sb.untie(graph, 0))
    assert rewrite(tensors, graph, sb.reinit(graph, 0))[1][0].name == "a"


def test_tensors_of_engine_networks_go_back_by_name():
    for case in ("dense", "lstm", "convolution"):
        build, classes, _ = TABLE[case]
        graph = planted(build(Draw(0)), classes)
        tensors = {name: np.array(array) for name, array in graph.arrays.items()}
        graph = LayerGraph(
            graph.spaces,
            [Weight(each.name, tensors[each.name], each.axes) for each in graph.connections],
            [PerUnit(each.name, tensors[each.name], each.axes, each.kind) for each in graph.per_unit],
            inputs=graph.inputs,
            outputs=graph.outputs,
        )
        small = sb.merge(graph)
        found, _ = rewrite(tensors, graph, small)
        assert all(np.array_equal(found[name], array) for name, array in small.arrays.items())
    assert dense(Draw(0)).graph.arrays.keys()
