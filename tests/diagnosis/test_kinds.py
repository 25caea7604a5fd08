"""The kind of a tie, against all permutations of small networks, and where there are many copies."""

import itertools

import numpy as np
import pytest
from hypothesis import given

import symbreak as sb
from symbreak import engine
from symbreak.diagnosis import _kinds
from symbreak.diagnosis._kinds import swappable
from symbreak.diagnosis._nodes import System
from symbreak.diagnosis._partition import Refiner
from symbreak.graph import LayerGraph, Space, Weight
from tests.diagnosis.test_partition import graphs


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


def test_a_permutation_keeps_units_in_their_heads_and_those_of_heads_that_go_together():
    """Where all weights are equal, only that can be wrong with one."""
    of = np.repeat(np.eye(2), 2, axis=0)
    graph = LayerGraph(
        [Space("x", 1), Space("heads", 4), Space("groups", 2), Space("qk", 2)],
        [
            Weight("query", np.ones((4, 2, 1)), [("head", "heads"), ("out", "qk"), ("in", "x")]),
            Weight("key", np.ones((2, 2, 1)), [("head", "groups"), ("out", "qk"), ("in", "x")]),
            Weight("of", of, [("out", "heads"), ("in", "groups")]),
        ],
        inputs=["x"],
    )
    refiner = Refiner(System.of(graph))
    labels = refiner.refine().labels
    orbits = _kinds.Orbits(refiner, labels, swappable(refiner, labels))
    nodes = orbits.small.system.nodes
    heads, groups, queries, keys = (
        next(number for number, node in enumerate(nodes) if (node.spaces, node.size) == each)
        for each in ((("heads",), 4), (("groups",), 2), (("qk",), 8), (("qk",), 4))
    )

    def fixes(**turns):
        found = [np.arange(node.size) for node in nodes]
        for name, order in turns.items():
            found[{"heads": heads, "groups": groups, "queries": queries, "keys": keys}[name]] = np.array(order)
        return orbits._fixes(found)

    assert fixes()
    assert fixes(heads=[1, 0, 2, 3], queries=[2, 3, 0, 1, 4, 5, 6, 7])
    assert not fixes(queries=[2, 3, 0, 1, 4, 5, 6, 7])
    assert not fixes(heads=[1, 0, 2, 3])
    assert fixes(queries=[1, 0, 3, 2, 4, 5, 6, 7], keys=[1, 0, 2, 3])
    assert not fixes(queries=[1, 0, 3, 2, 4, 5, 6, 7])
    assert not fixes(keys=[1, 0, 2, 3])
    swapped = [4, 5, 6, 7, 0, 1, 2, 3]
    assert fixes(heads=[2, 3, 0, 1], groups=[1, 0], queries=swapped, keys=[2, 3, 0, 1])
    assert not fixes(heads=[2, 3, 0, 1], queries=swapped)
    assert not fixes(groups=[1, 0], keys=[2, 3, 0, 1])


def test_units_of_a_class_are_ranked_in_their_order():
    label = np.random.default_rng(0).integers(0, 5, 300)
    assert _kinds._ranks(label).tolist() == [np.sum(label[:unit] == each) for unit, each in enumerate(label)]


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


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_orbit_within_a_class_makes_it_no_orbit(order):
    """Of six units with equal sums three can be turned round, and the others can't."""
    rigid = np.array([[0.0, 2, 4], [3, 2, 1], [3, 2, 1]])
    middle = np.zeros((6, 6))
    for place, block in zip(order, (CIRCULANT, rigid), strict=True):
        middle[3 * place : 3 * place + 3, 3 * place : 3 * place + 3] = block
    graph = sb.chain([(np.ones((6, 2)), None), (middle, None), (np.ones((1, 6)), None)])
    found = [(each.units, each.kind) for each in sb.diagnose(graph).classes]
    assert found == [(tuple(range(6)), "equitable")] * 2


def test_two_orbits_that_nothing_turns_into_each_other_are_one_equitable_class():
    """Cycles of three and of four with the same sums: every unit is turned, and none of one to one of the other."""
    four = np.stack([np.roll([1.0, 3, 2, 0], k) for k in range(4)])
    middle = np.zeros((7, 7))
    middle[:3, :3], middle[3:, 3:] = CIRCULANT, four
    graph = sb.chain([(np.ones((7, 2)), None), (middle, None), (np.ones((1, 7)), None)])
    assert {(each.units, each.kind) for each in sb.diagnose(graph).classes} == {(tuple(range(7)), "equitable")}
    middle = np.zeros((6, 6))
    middle[:3, :3], middle[3:, 3:] = CIRCULANT, CIRCULANT[[1, 2, 0]]
    graph = sb.chain([(np.ones((6, 2)), None), (middle, None), (np.ones((1, 6)), None)])
    assert {(each.units, each.kind) for each in sb.diagnose(graph).classes} == {(tuple(range(6)), "orbit")}


def grouped(rng, turn):
    """Two groups with equal keys and values; the heads of the second are those of the first, in an order."""
    query, output = rng.normal(size=(4, 2, 3)), rng.normal(size=(3, 4, 2))
    key, value = (np.repeat(rng.normal(size=(1, 2, 3)), 2, axis=0) for _ in range(2))
    query[2:], output[:, 2:] = query[:2][turn], output[:, :2][:, turn]
    first, last = engine.Dense(rng.normal(size=(3, 2))), engine.Dense(rng.normal(size=(2, 3)))
    return engine.Network([first, engine.Attention(query, key, value, output), last]).graph


@pytest.mark.parametrize("turn", [[0, 1], [1, 0]])
def test_groups_whose_heads_stand_in_another_order_are_tied(turn):
    report = sb.diagnose(grouped(np.random.default_rng(0), turn))
    partition = report.partition
    assert partition["layers.1.groups"].tolist() == [0, 0]
    assert partition["layers.1.heads"].tolist() == [0, 1, *turn]
    assert partition["layers.1.query_key of layers.1.groups"].tolist() == [[0, 1], [0, 1]]
    assert partition["layers.1.query_key of layers.1.heads"].tolist() == [
        [0, 1],
        [2, 3],
        *([2 * head, 2 * head + 1] for head in turn),
    ]
    assert {each.kind for each in report.classes} == {"orbit"}  # groups are brought to each other with their heads


@pytest.mark.parametrize(("turned", "kind"), [(False, "exchange"), (True, "orbit")])
def test_key_units_are_swapped_only_with_the_units_of_all_their_queries(turned, kind):
    """Of two heads with one key: where the second has its units the other way round, the heads must be swapped too."""
    rng = np.random.default_rng(0)
    query, key, value = np.empty((2, 2, 3)), np.ones((1, 2, 3)), rng.normal(size=(1, 2, 3))
    query[:] = rng.normal(size=(2, 3)) if turned else rng.normal(size=3)
    if turned:
        query[1] = query[1, ::-1]
    output = np.repeat(rng.normal(size=(3, 1, 2)), 2, axis=1)
    first, last = engine.Dense(rng.normal(size=(3, 2))), engine.Dense(rng.normal(size=(2, 3)))
    report = sb.diagnose(engine.Network([first, engine.Attention(query, key, value, output), last]).graph)
    name = "layers.1.query_key of layers.1.groups"
    assert report.partition[name].tolist() == [[0, 0]]
    assert {each.kind for each in report.classes if each.space == name} == {kind}


@given(graph=graphs())
def test_units_can_be_swapped_where_trying_every_swap_says_so(graph):
    """With the classes of the certificate, which part what need not be tried, and without."""
    system = System.of(graph)
    refiner = Refiner(system)
    labels = refiner.refine().labels
    for found in (swappable(refiner), swappable(refiner, labels)):
        for number, node in enumerate(system.nodes):
            for a, b in itertools.combinations(range(node.size), 2):
                alike = not node.apart and all(
                    np.array_equal(view.array, swapped(view, number, a, b)) for view in system.views
                )
                assert (found[number][a] == found[number][b]) == alike


@pytest.mark.parametrize("seed", range(6))
def test_units_of_heads_in_copies_are_swapped_on_both_axes_wherever_these_lie(seed):
    rng = np.random.default_rng(seed)
    recur = rng.normal(size=(2, 3, 4, 4))
    for place in ((0, 1), (1, 0), (1, 2)):
        a, b, *_ = rng.permutation(4)
        one = recur[place]
        one[[a, b]], one[:, [a, b]] = one[a], one[:, [a]]
        one[[a, b], [a, b]], one[[a, b], [b, a]] = 1, 2
    order = rng.permutation(4)
    axes = [("stack", "copies"), ("head", "heads"), ("out", "u"), ("in", "u")]
    graph = LayerGraph(
        [Space("x", 1), Space("copies", 2), Space("heads", 3), Space("u", 4, "tanh")],
        [
            Weight("read", np.ones((2, 3, 4, 1)), [*axes[:3], ("in", "x")]),
            Weight("recur", recur.transpose(order), [axes[axis] for axis in order]),
        ],
        inputs=["x"],
    )
    system = System.of(graph)
    (number,) = (number for number, node in enumerate(system.nodes) if node.spaces == ("u",))
    found = swappable(Refiner(system))[number].reshape(2, 3, 4)
    pairs = 0
    for place in np.ndindex(2, 3):
        for a, b in itertools.combinations(range(4), 2):
            turned = np.arange(4)
            turned[[a, b]] = b, a
            alike = np.array_equal(recur[place], recur[place][turned][:, turned])
            assert (found[place][a] == found[place][b]) == alike
            pairs += alike
    assert pairs == 3
    assert len({*found.ravel().tolist()}) == 24 - 3


@pytest.mark.parametrize("gates", [(), (4,), (2, 3)])
def test_few_swaps_are_tried_whole(gates, monkeypatch):
    """A unit is compared with one of each class, and only where they agree between themselves and on a few others."""
    tried, same = [], _kinds._same_after_swap
    monkeypatch.setattr(_kinds, "_same_after_swap", lambda *pair: tried.append(pair) or same(*pair))
    units = np.repeat(np.arange(20), 2)
    square = np.random.default_rng(0).normal(size=(20, 20))[units][:, units]
    square[np.equal.outer(units, units)] = 5
    np.fill_diagonal(square, 7)
    array = np.multiply.outer(square, np.arange(np.prod(gates)).reshape(gates) - 1.0)
    assert _kinds._swappable_within(array, [0, 1], np.zeros(40, int)).tolist() == units.tolist()
    assert len(tried) == 20


def swapped(view, number, a, b):
    """An array after the swap of two units of a node, on all axes that run over it."""
    array = view.array
    for side in view.sides:
        if side.node == number:
            order = np.arange(array.shape[side.axes[0]])
            order[[a, b]] = b, a
            array = array.take(order, side.axes[0])
    return array


@pytest.mark.parametrize(("largest", "kind"), [(18, "orbit"), (17, "equitable")])
def test_no_permutation_is_searched_for_beyond_so_many_elements(largest, kind, monkeypatch):
    """They are those of all arrays, 3 x 2, 3 x 3 and 1 x 3, where units that can be swapped are taken once."""
    monkeypatch.setattr(_kinds, "LARGEST", largest)
    graph = sb.chain([(np.ones((3, 2)), None), (CIRCULANT, None), (np.ones((1, 3)), None)])
    assert {each.kind for each in sb.diagnose(graph).classes} == {kind}
    twice = np.repeat(np.repeat(CIRCULANT, 2, axis=0), 2, axis=1)
    graph = sb.chain([(np.ones((6, 2)), None), (twice, None), (np.ones((1, 6)), None)])
    assert {each.kind for each in sb.diagnose(graph).classes} == {kind}


def cube(turned):
    """The edges of a cube, or, where they are `turned`, of another graph with eight corners of three edges each."""
    edges = np.array([[bin(a ^ b).count("1") == 1 for b in range(8)] for a in range(8)], float)
    if turned:
        edges[[0, 1, 6, 7], [1, 0, 7, 6]] = 0
        edges[[0, 6, 1, 7], [6, 0, 7, 1]] = 1
    return edges


@pytest.mark.parametrize("turned", [False, True])
def test_a_recurrent_weight_is_turned_where_its_corners_are_alike(turned):
    """Refinement parts none: one after the other is brought to one, until all have their places.

    A cube is turned by any a -> a XOR b. Of the other graph's corners some have more closed walks than others.
    """
    edges = cube(turned)
    walks = [np.linalg.matrix_power(edges, length).diagonal() for length in range(1, 9)]
    assert (edges.sum(axis=0) == 3).all()
    assert any(np.ptp(each) for each in walks) == turned
    graph = LayerGraph(
        [Space("input", 1), Space("state", 8, "tanh"), Space("output", 1)],
        [
            Weight("read", np.ones((8, 1)), [("out", "state"), ("in", "input")]),
            Weight("recur", edges, [("out", "state"), ("in", "state")]),
            Weight("write", np.ones((1, 8)), [("out", "output"), ("in", "state")]),
        ],
        inputs=["input"],
        outputs=["output"],
    )
    (found,) = sb.diagnose(graph).classes
    assert (found.units, found.kind) == (tuple(range(8)), "equitable" if turned else "orbit")
