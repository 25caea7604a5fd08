"""The kind of a tie, against all permutations of small networks, and where there are many copies."""

import itertools

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak.graph import LayerGraph, Space, Weight


def permutations_of_heads(heads, groups):
    """Permutations of heads and of groups that go with each other: (heads, groups)."""
    of = np.arange(heads) // (heads // groups)
    for turned in map(np.array, itertools.permutations(range(heads))):
        for turned_groups in map(np.array, itertools.permutations(range(groups))):
            if np.array_equal(of[turned], turned_groups[of]):
                yield turned, turned_groups


def attention_orbits(query, key, value, output, embed, write):
    """Join, by trying all permutations, the units of (stream, heads, groups, query and key units, value units)."""
    (heads, size, stream), groups, units = query.shape, len(key), value.shape[1]
    of = np.arange(heads) // (heads // groups)
    labels = [
        np.arange(stream),
        np.arange(heads),
        np.arange(groups),
        np.arange(groups * size),
        np.arange(groups * units),
    ]
    inner = [list(itertools.product(itertools.permutations(range(each)), repeat=groups)) for each in (size, units)]
    for s in map(np.array, itertools.permutations(range(stream))):
        if not np.array_equal(embed[s], embed):
            continue
        for h, g in permutations_of_heads(heads, groups):
            for q, v in itertools.product(*(map(np.array, each) for each in inner)):
                moved_key = key[g[:, None, None], q[:, :, None], s]
                moved_query = query[h[:, None, None], q[of][:, :, None], s]
                moved_value = value[g[:, None, None], v[:, :, None], s]
                moved_output = output[:, h[:, None], v[of]]
                pairs = [(moved_key, key), (moved_query, query), (moved_value, value), (moved_output, output)]
                if all(np.array_equal(*pair) for pair in pairs):
                    images = [s, h, g, (g[:, None] * size + q).ravel(), (g[:, None] * units + v).ravel()]
                    for label, image in zip(labels, images, strict=True):
                        for unit, other in enumerate(image.tolist()):
                            label[label == label[other]] = label[unit]
    return dict(zip(["stream", "heads", "groups", "key", "value"], labels, strict=True))


@pytest.mark.parametrize("per", [1, 2])
@pytest.mark.parametrize("seed", range(40))
def test_kinds_of_attention_are_those_that_all_permutations_give(per, seed):
    rng = np.random.default_rng([per, seed])
    groups, size, stream, units = 2, 2, 2, 2
    heads = groups * per
    shapes = (heads, size, stream), (groups, size, stream), (groups, units, stream), (1, heads, units)
    arrays = [rng.choice([0.5, 1.0], shape, p=[0.85, 0.15]) for shape in shapes]
    if seed % 4 == 0:  # heads that are turned copies
        for array in arrays[:3]:
            array[...] = rng.choice([0.5, 1, 2], array.shape[1:])
            array[-1] = array[-1][::-1]
        arrays[3][...] = 1
    embed, write = np.ones((stream, 1)), np.ones((1, 1))
    net = engine.Network([engine.Dense(embed), engine.Attention(*arrays), engine.Dense(write)])
    expected = attention_orbits(*arrays, embed, write)
    names = {
        "layers.0": "stream",
        "layers.1.heads": "heads",
        "layers.1.groups": "groups",
        "layers.1.query_key": "key",
        "layers.1.value": "value",
        "layers.1.query_key of layers.1.groups": "key",
        "layers.1.value of layers.1.groups": "value",
    }
    for each in sb.diagnose(net.graph).classes:
        if each.space in names:
            together = len(set(expected[names[each.space]][list(each.units)].tolist())) == 1
            assert together == (each.kind != "equitable"), each


CIRCULANT = np.array([[1.0, 2, 3], [3, 1, 2], [2, 3, 1]])


@pytest.mark.parametrize("copies", [1, 5, 60])
def test_copies_elsewhere_do_not_hide_an_orbit(copies):
    """Units that can be swapped with each other, as those of heads that start constant, cost the search nothing."""
    ones = np.ones((2, copies, 3))
    attention = engine.Attention(ones, ones, ones, np.ones((3, 2, copies)))
    first, last = engine.Dense(np.ones((3, 2))), engine.Dense(np.ones((2, 3)))
    net = engine.Network([first, engine.Dense(CIRCULANT, activation="tanh"), attention, last])
    kinds = {each.space: each.kind for each in sb.diagnose(net.graph).classes}
    assert kinds["layers.0"] == kinds["layers.1"] == "orbit"
    assert kinds["layers.2.heads"] == "exchange"
    assert kinds.get("layers.2.query_key") in {"exchange", None}


def test_two_copies_of_each_unit_of_a_turned_recurrent_weight_are_an_orbit():
    turned = np.kron(CIRCULANT, np.ones((2, 2))) + 4 * np.eye(6)
    graph = LayerGraph(
        [Space("input", 1), Space("state", 6, "tanh"), Space("output", 1)],
        [
            Weight("read", np.ones((6, 1)), [("out", "state"), ("in", "input")]),
            Weight("recur", turned, [("out", "state"), ("in", "state")]),
            Weight("write", np.ones((1, 6)), [("out", "output"), ("in", "state")]),
        ],
        inputs=["input"],
        outputs=["output"],
    )
    assert [(each.units, each.kind) for each in sb.diagnose(graph).classes] == [((0, 1, 2, 3, 4, 5), "orbit")]
