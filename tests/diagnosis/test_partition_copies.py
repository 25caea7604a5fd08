"""Heads within stacked copies: each copy has heads and units of its own, as if it stood in the network by itself."""

import numpy as np
import pytest

import symbreak as sb
from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph, PerUnit, Space, Weight

COPIES, HEADS, SIZE, WIDTH = 3, 3, 4, 4
SPACES = [Space("x", WIDTH), Space("copies", COPIES), Space("heads", HEADS), Space("qk", SIZE), Space("v", SIZE)]
FRONT = [("stack", "copies"), ("head", "heads")]
AXES = {
    "query": [*FRONT, ("out", "qk"), ("in", "x")],
    "key": [*FRONT, ("out", "qk"), ("in", "x")],
    "value": [*FRONT, ("out", "v"), ("in", "x")],
    "output": [("stack", "copies"), ("out", "y"), ("head", "heads"), ("in", "v")],
    "router": [("out", "copies"), ("in", "x")],
}
SHAPE = {"copies": COPIES, "heads": HEADS, "qk": SIZE, "v": SIZE, "x": WIDTH, "y": 2}


def drawn(rng, values=None):
    def array(axes):
        shape = [SHAPE[space] for _, space in axes]
        return rng.normal(size=shape) if values is None else rng.choice(values, shape).astype(float)

    return {name: array(axes) for name, axes in AXES.items()}


def stacked(arrays, order=None, more=(), per_unit=()):
    """Copies of attention, whose outputs a router weighs; `order` turns the axes of the arrays round."""
    connections = []
    for name, array in arrays.items():
        axes = AXES[name]
        if order is not None:
            turn = order.permutation(len(axes))
            array, axes = array.transpose(turn), [axes[axis] for axis in turn]
        connections.append(Weight(name, array, axes))
    spaces = [*SPACES, Space("y", 2)]
    return LayerGraph(spaces, [*connections, *more], per_unit, inputs=["x"], outputs=["y"])


def apart(arrays):
    """The same copies, each with spaces and arrays of its own."""
    spaces, connections = [Space("x", WIDTH), Space("y", 2)], []
    for copy in range(COPIES):
        spaces += [Space(f"{space.name}{copy}", space.units) for space in SPACES[2:]]
        for name in ("query", "key", "value", "output"):
            axes = [
                (role, space if space in ("x", "y") else f"{space}{copy}")
                for role, space in AXES[name]
                if role != "stack"
            ]
            connections.append(Weight(f"{name}{copy}", arrays[name][copy], axes))
    return LayerGraph(spaces, connections, inputs=["x"], outputs=["y"])


def same_classes(one, other):
    pairs = set(zip(np.ravel(one).tolist(), np.ravel(other).tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def plant(arrays, copy, heads=(0, 2), units=()):
    """Make heads of one copy equal, and units of each of its heads."""
    for name in ("query", "key", "value"):
        arrays[name][copy, heads[-1]] = arrays[name][copy, heads[0]]
    arrays["output"][copy][:, heads[-1]] = arrays["output"][copy][:, heads[0]]
    if units:
        arrays["value"][copy][:, units[1]] = arrays["value"][copy][:, units[0]]
        arrays["output"][copy][..., units[1]] = arrays["output"][copy][..., units[0]]
    return arrays


@pytest.mark.parametrize("seed", range(30))
def test_copies_have_the_classes_that_each_has_by_itself(seed):
    rng = np.random.default_rng(seed)
    arrays = drawn(rng, [0, 1] if seed % 2 else None)
    for copy in np.flatnonzero(rng.integers(0, 2, COPIES)).tolist():
        plant(arrays, copy, rng.permutation(HEADS)[:2], (0, 1) if rng.integers(2) else ())
    found = sb.diagnose(stacked(arrays), noise=["copies"]).partition
    alone = sb.diagnose(apart(arrays)).partition
    for copy in range(COPIES):
        for space in ("heads", "qk", "v"):
            assert same_classes(found[space][copy], alone[f"{space}{copy}"]), (space, copy)
    assert found["heads"].shape == (COPIES, HEADS)
    assert found["v"].shape == (COPIES, HEADS, SIZE)


@pytest.mark.parametrize("order", [None, *range(4)])
def test_a_tie_in_one_copy_is_named_there_whatever_the_order_of_the_axes(order):
    arrays = plant(drawn(np.random.default_rng(0)), 1)
    report = sb.diagnose(stacked(arrays, None if order is None else np.random.default_rng(order)))
    assert report.partition["heads"].tolist() == [[0, 1, 2], [3, 4, 3], [5, 6, 7]]
    assert {(each.space, each.kind, each.places) for each in report.classes} == {
        ("heads", "exchange", ((1, 0), (1, 2))),
        *((space, "exchange", ((1, 0, unit), (1, 2, unit))) for space in ("qk", "v") for unit in range(SIZE)),
    }
    assert "1.0, 1.2 (exchange)" in next(f.message for f in report.findings if f.where == "space heads")


def test_copies_that_are_equal_tie_their_heads_and_those_whose_heads_are_turned_round_are_an_orbit():
    arrays = drawn(np.random.default_rng(0))
    for array in arrays.values():
        array[2] = array[0]
    report = sb.diagnose(stacked(arrays))
    assert report.partition["heads"].tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, 2]]
    assert {each.kind for each in report.classes} == {"exchange"}
    for name in ("query", "key", "value"):
        arrays[name][2] = arrays[name][0][[1, 2, 0]]
    arrays["output"][2] = arrays["output"][0][:, [1, 2, 0]]
    report = sb.diagnose(stacked(arrays))
    assert report.partition["heads"].tolist() == [[0, 1, 2], [3, 4, 5], [1, 2, 0]]
    assert {each.kind for each in report.classes} == {"orbit"}
    arrays["router"][2] += 1
    assert sb.diagnose(stacked(arrays)).classes == ()


def test_a_parameter_of_each_head_is_one_of_each_copy():
    arrays = plant(drawn(np.random.default_rng(0)), 1)
    bias = np.zeros((COPIES, HEADS, SIZE))
    more = [PerUnit("bias", bias, [*FRONT, ("out", "v")])]
    assert sb.diagnose(stacked(arrays, per_unit=more)).partition["heads"].max() == 7
    bias[1, 2] = 1
    assert sb.diagnose(stacked(arrays, per_unit=more)).partition["heads"].max() == 8


def test_heads_that_one_array_names_without_the_copies_are_those_of_all():
    arrays = plant(drawn(np.random.default_rng(0)), 1)
    shared = Weight("gate", np.ones((HEADS, WIDTH)), [("out", "heads"), ("in", "x")])
    report = sb.diagnose(stacked(arrays, more=[shared]))
    assert report.partition["heads"].tolist() == [0, 1, 2]
    for copy in range(COPIES):
        plant(arrays, copy)
    assert sb.diagnose(stacked(arrays, more=[shared])).partition["heads"].tolist() == [0, 1, 0]


def test_experts_of_several_layers_are_those_of_each_layer():
    rng = np.random.default_rng(0)
    shape = {"layers": 2, "experts": 3, "hidden": 4, "x": 3, "y": 2}
    axes = {
        "router": [("stack", "layers"), ("out", "experts"), ("in", "x")],
        "up": [("stack", "layers"), ("stack", "experts"), ("out", "hidden"), ("in", "x")],
        "down": [("stack", "layers"), ("stack", "experts"), ("out", "y"), ("in", "hidden")],
    }
    arrays = {name: rng.normal(size=[shape[space] for _, space in each]) for name, each in axes.items()}
    for array in arrays.values():
        array[1, 2] = array[1, 0]
    arrays["up"][0, 1, 3], arrays["down"][0, 1, :, 3] = arrays["up"][0, 1, 2], arrays["down"][0, 1, :, 2]
    graph = LayerGraph(
        [Space(name, size) for name, size in shape.items()],
        [Weight(name, array, axes[name]) for name, array in arrays.items()],
        inputs=["x"],
        outputs=["y"],
    )
    report = sb.diagnose(graph)
    assert report.partition["experts"].tolist() == [[0, 1, 2], [3, 4, 3]]
    tied = {each.places for each in report.classes if each.space == "hidden"}
    assert tied == {((0, 1, 2), (0, 1, 3)), *(((1, 0, unit), (1, 2, unit)) for unit in range(4))}


def run(graph, x):
    """(time, x) -> (time, y): attention of each copy, weighed by the router at each time."""
    arrays = graph.arrays
    out = 0
    for copy in range(COPIES):
        gate = 1 / (1 + np.exp(-x @ arrays["router"][copy]))
        for head in range(arrays["query"].shape[1]):
            q, k, v = (x @ arrays[name][copy, head].T for name in ("query", "key", "value"))
            a = np.exp(q @ k.T / np.sqrt(q.shape[1]))
            out = out + gate[:, np.newaxis] * (a / a.sum(axis=1, keepdims=True) @ v @ arrays["output"][copy][:, head].T)
    return out


def planted(copies, **more):
    arrays = drawn(np.random.default_rng(3))
    for copy in copies:
        plant(arrays, copy, (copy, (copy + 1) % 3), **more)
    return stacked(arrays)


@pytest.mark.parametrize("units", [(), (0, 1)])
def test_heads_that_each_copy_has_twice_are_merged_in_each(units):
    graph, x = planted(range(COPIES), units=units), np.random.default_rng(4).normal(size=(5, WIDTH))
    small = sb.merge(graph)
    assert {space.name: space.units for space in small.spaces}["heads"] == 2
    assert {space.name: space.units for space in small.spaces}["v"] == (SIZE - 1 if units else SIZE)
    assert np.abs(run(small, x) - run(graph, x)).max() < 1e-12
    assert sb.diagnose(small).classes == ()


def test_copies_that_would_keep_other_numbers_of_heads_are_refused():
    with pytest.raises(CannotRepair, match=r"space 'heads': its heads or copies would keep 2 to 3 units"):
        sb.merge(planted([1]))


def test_tied_heads_of_one_copy_are_untied_and_drawn():
    graph, x = planted([1]), np.random.default_rng(4).normal(size=(5, WIDTH))
    free = sb.untie(graph, rng=0)
    assert sb.diagnose(free).classes == sb.diagnose(sb.reinit(graph, rng=0)).classes == ()
    assert np.abs(run(free, x) - run(graph, x)).max() < 1e-12
    assert np.array_equal(free.weights["output"][[0, 2]], graph.weights["output"][[0, 2]])


GROUPS = 2
SHARED = AXES | {
    "query": [("stack", "copies"), ("head", "more"), ("out", "qk"), ("in", "x")],
    "output": [("stack", "copies"), ("out", "y"), ("head", "more"), ("in", "v")],
}
OF = np.repeat(np.eye(GROUPS), 2, axis=0)
COUNTS = SHAPE | {"heads": GROUPS, "more": 2 * GROUPS}
FAR = [
    Space("x", WIDTH),
    Space("copies", COPIES),
    Space("heads", GROUPS),
    Space("more", 2 * GROUPS),
    *SPACES[3:],
    Space("y", 2),
]


def shared(rng, copy=None):
    """Arrays of attention whose heads share keys and values two by two; in one copy two of them are equal."""
    arrays = {name: rng.normal(size=[COUNTS[space] for _, space in axes]) for name, axes in SHARED.items()}
    if copy is not None:
        arrays["query"][copy, 3] = arrays["query"][copy, 2]
        arrays["output"][copy, ..., 3, :] = arrays["output"][copy, ..., 2, :]
    return arrays


def in_copies(arrays, mask=OF, axes=(("out", "more"), ("in", "heads"))):
    weights = [Weight(name, array, SHARED[name]) for name, array in arrays.items()]
    return LayerGraph(FAR, [*weights, Weight("of", mask, axes)], inputs=["x"], outputs=["y"])


def each_alone(arrays):
    spaces, connections = [Space("x", WIDTH), Space("y", 2)], []
    for copy in range(COPIES):
        spaces += [Space(f"{space.name}{copy}", space.units) for space in FAR[2:-1]]
        for name in ("query", "key", "value", "output"):
            axes = [
                (role, space if space in ("x", "y") else f"{space}{copy}")
                for role, space in SHARED[name]
                if role != "stack"
            ]
            connections.append(Weight(f"{name}{copy}", arrays[name][copy], axes))
        connections.append(Weight(f"of{copy}", OF, [("out", f"more{copy}"), ("in", f"heads{copy}")]))
    return LayerGraph(spaces, connections, inputs=["x"], outputs=["y"])


TURNS = {
    "one for all": (OF, (("out", "more"), ("in", "heads"))),
    "turned, of other numbers": (5 * OF.T, (("in", "heads"), ("out", "more"))),
    "of each": (np.stack([OF] * COPIES), (("stack", "copies"), ("out", "more"), ("in", "heads"))),
}


@pytest.mark.parametrize("form", TURNS)
@pytest.mark.parametrize("seed", range(8))
def test_heads_in_copies_that_share_keys_have_the_classes_that_each_copy_has_by_itself(seed, form):
    rng = np.random.default_rng(seed)
    arrays = shared(rng, None if seed % 3 == 0 else int(rng.integers(COPIES)))
    if seed % 4 == 1:  # keys and values of both groups, in one copy
        for name in ("key", "value"):
            arrays[name][0, 1] = arrays[name][0, 0]
        arrays["query"][0, 2:] = arrays["query"][0, :2]
        arrays["output"][0][:, 2:] = arrays["output"][0][:, :2]
    if seed % 4 == 2:  # units of queries and keys, in all heads of one copy
        arrays["query"][1, :, 1], arrays["key"][1, :, 1] = arrays["query"][1, :, 0], arrays["key"][1, :, 0]
    found = sb.diagnose(in_copies(arrays, *TURNS[form]), noise=["copies"]).partition
    alone = sb.diagnose(each_alone(arrays)).partition
    for copy in range(COPIES):
        for space in ("more", "heads", "qk of more", "qk of heads", "v of more", "v of heads"):
            name = " of ".join(f"{each}{copy}" for each in space.split(" of "))
            assert same_classes(found[space][copy], alone[name]), (space, copy)


def test_equal_copies_whose_heads_share_keys_are_tied_and_a_dead_unit_is_blocked_in_each():
    arrays = shared(np.random.default_rng(0))
    for array in arrays.values():
        array[2] = array[0]
    report = sb.diagnose(in_copies(arrays))
    partition = report.partition
    assert {each.kind for each in report.classes} == {"exchange"}
    assert partition["copies"].tolist() == [0, 1, 0]
    assert partition["more"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
    dead = shared(np.random.default_rng(0))
    dead["query"][1, 2:, 0] = dead["key"][1, 1, 0] = 0
    found = {each.where: each.message.rpartition(": ")[2] for each in sb.diagnose(in_copies(dead)).findings}
    assert found == {"space qk of more": "1.2.0, 1.3.0", "space qk of heads": "1.1.0"}


def test_heads_in_copies_that_share_keys_are_not_merged_and_what_reads_them_is_untied():
    graph = in_copies(shared(np.random.default_rng(0), slice(None)))
    with pytest.raises(
        CannotRepair, match="its heads share keys and values within stacked copies, and stay as they are"
    ):
        sb.merge(graph)
    assert not [each for each in sb.diagnose(sb.untie(graph, rng=0)).findings if each.code == "SB201"]


def test_heads_in_copies_of_which_nothing_says_what_they_share_are_an_error():
    weights = [Weight(name, array, SHARED[name]) for name, array in shared(np.random.default_rng(0)).items()]
    with pytest.raises(ValueError, match="no weight says which goes with which: add a mask"):
        sb.diagnose(LayerGraph(FAR, weights, inputs=["x"], outputs=["y"]))
