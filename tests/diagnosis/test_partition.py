"""The partition is the coarsest one, of any network: against exact fractions and training, and under renaming."""

import copy
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.diagnosis import _partition
from symbreak.diagnosis._nodes import System
from symbreak.diagnosis._partition import Refiner
from symbreak.graph import LayerGraph, PerUnit, Space, Weight


def partition(graph, **options):
    """The labels of every space, by its name."""
    return {name: labels.tolist() for name, labels in sb.diagnose(graph, **options).partition.items()}


def same_classes(one, other):
    """Whether two labellings, of arrays of any shape, make the same classes."""
    pairs = set(zip(np.ravel(one).tolist(), np.ravel(other).tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for space, labels in expected.items():
        assert same_classes(found[space], labels), (space, found[space], labels)


# By exact fractions: every class sum is written out, and nothing but == decides.


def exact_partition(graph, *, forward=True, backward=True):
    """Refine the spaces of a graph of plain spaces jointly."""
    labels = {space.name: [0] * space.units for space in graph.spaces}
    for name in {*graph.inputs, *graph.outputs}:
        labels[name] = list(range(len(labels[name])))
    while True:
        new = {}
        for space in graph.spaces:
            signs = [[label] for label in labels[space.name]]
            for item in (*graph.connections, *graph.per_unit):
                for use in getattr(item, "uses", (item.axes,)):
                    for number, axis in enumerate(use):
                        asked = (forward and axis.role == "out") or (backward and axis.role == "in")
                        if axis.space == space.name and asked:
                            for unit, sums in enumerate(class_sums(item.array, use, number, labels)):
                                signs[unit].append(sums)
            seen = {}
            new[space.name] = [seen.setdefault(repr(sign), len(seen)) for sign in signs]
        if all(len(set(new[name])) == len(set(labels[name])) for name in labels):
            return labels
        labels = new


def class_sums(array, use, number, labels):
    """For each unit along one axis: {(classes and positions along the others): sum}."""
    result = [{} for _ in range(array.shape[number])]
    for index in np.ndindex(array.shape):
        place = tuple(
            i if axis.space is None else labels[axis.space][i]
            for k, (i, axis) in enumerate(zip(index, use, strict=True))
            if k != number
        )
        sums = result[index[number]]
        sums[place] = sums.get(place, 0) + Fraction(array[index].item())
    return [sorted(sums.items()) for sums in result]


def small_dense(rng, sizes, values, bias=True):
    layers = [
        (rng.choice(values, (m, n)).astype(float), rng.choice(values, m).astype(float) if bias else None)
        for n, m in itertools.pairwise(sizes)
    ]
    return sb.chain(layers)


@pytest.mark.parametrize("seed", range(300))
def test_dense_networks_of_few_values_have_the_classes_that_fractions_give(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, rng.integers(2, 6)).tolist()
    graph = small_dense(rng, sizes, [0, 1] if seed % 2 else [0, 0.1, -0.3], bias=bool(seed % 3))
    assert_same(partition(graph), exact_partition(graph))


@st.composite
def graphs(draw):
    """Networks of plain spaces wired at random: sums, recurrent weights, shared arrays, kernels and gates."""
    count = draw(st.integers(2, 4))
    spaces = [Space(f"s{number}", draw(st.integers(1, 4))) for number in range(count)]
    names = st.sampled_from([space.name for space in spaces])
    units = {space.name: space.units for space in spaces}
    values = st.sampled_from([0.0, 1.0, 0.1, -0.5])
    connections, per_unit = [], []
    for number in range(draw(st.integers(1, 5))):
        out, source = draw(names), draw(names)
        axes, shape = [("out", out), ("in", source)], [units[out], units[source]]
        for role in draw(st.lists(st.sampled_from(["receptive", "gate"]), max_size=1)):
            axes.append((role, None))
            shape.append(2)
        order = draw(st.permutations(range(len(axes))))
        drawn = draw(st.lists(values, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        array = np.reshape(drawn, shape).transpose(order)
        connections.append(Weight(f"w{number}", array, [axes[k] for k in order]))
    for number in range(draw(st.integers(0, 2))):
        space = draw(names)
        drawn = draw(st.lists(values, min_size=units[space], max_size=units[space]))
        per_unit.append(PerUnit(f"b{number}", np.array(drawn), [("out", space)]))
    ends = st.lists(names, max_size=2)
    return LayerGraph(spaces, connections, per_unit, inputs=draw(ends), outputs=draw(ends))


@given(graph=graphs())
def test_networks_wired_at_random_have_the_classes_that_fractions_give(graph):
    assert_same(partition(graph), exact_partition(graph))
    system = System.of(graph)
    forward = Refiner(system, forward=True).refine()
    assert_same(labels_by_space(system, forward.labels), exact_partition(graph, backward=False))


def labels_by_space(system, labels):
    return {name: each for node, each in zip(system.nodes, labels, strict=True) for name in node.spaces}


@given(graph=graphs())
def test_the_forms_alone_tell_units_apart(graph):
    """What is verified afterwards is right already: nothing rests on the verification but the rounding."""
    system = System.of(graph)
    for canonical in (False, True):
        refiner = Refiner(system, canonical=canonical)
        found = refiner.colour(refiner._start())
        assert_same(labels_by_space(system, found), exact_partition(graph))


@pytest.mark.parametrize("seed", range(25))
def test_the_forms_alone_tell_units_of_deep_networks_apart(seed):
    """What parts units of the last layers is brought back to the first."""
    rng = np.random.default_rng(seed)
    graph = small_dense(rng, [2, 4, 5, 4, 5, 4, 2], [0, 1] if seed % 2 else [0.1, -0.3, 0.2], bias=False)
    system = System.of(graph)
    for canonical in (False, True):
        refiner = Refiner(system, canonical=canonical)
        assert_same(labels_by_space(system, refiner.colour(refiner._start())), exact_partition(graph))


@given(graph=graphs())
def test_what_the_forms_miss_the_verification_splits(graph):
    system = System.of(graph)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_partition, "close", lambda values, bound: np.zeros(len(values), np.intp))
        found = Refiner(system).refine()
    assert_same(labels_by_space(system, found.labels), exact_partition(graph))


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_the_verification_alone_finds_the_classes_of_dense_networks(seed, forward, monkeypatch):
    rng = np.random.default_rng(seed)
    graph = small_dense(rng, [2, 5, 6, 5, 2], [0, 1] if seed % 2 else [0, 0.1, -0.3, 0.2], bias=False)
    monkeypatch.setattr(_partition, "close", lambda values, bound: np.zeros(len(values), np.intp))
    system = System.of(graph)
    found = Refiner(system, forward=forward).refine()
    assert_same(labels_by_space(system, found.labels), exact_partition(graph, backward=not forward))


@given(graph=graphs(), seed=st.integers(0, 2**32 - 1))
def test_renaming_the_units_renames_the_classes_and_no_more(graph, seed):
    rng = np.random.default_rng(seed)
    turns = {space.name: rng.permutation(space.units) for space in graph.spaces}

    def turned(array, axes):
        for number, axis in enumerate(axes):
            if axis.space is not None:
                array = array.take(turns[axis.space], number)
        return array

    other = LayerGraph(
        graph.spaces,
        [Weight(each.name, turned(each.array, each.axes), each.axes) for each in graph.connections],
        [PerUnit(each.name, turned(each.array, each.axes), each.axes, each.kind) for each in graph.per_unit],
        inputs=graph.inputs,
        outputs=graph.outputs,
    )
    one, two = sb.diagnose(graph), sb.diagnose(other)
    assert_same(two.partition, {name: labels[turns[name]] for name, labels in one.partition.items()})
    assert sorted((c.space, len(c.units), c.kind) for c in one.classes) == sorted(
        (c.space, len(c.units), c.kind) for c in two.classes
    )


def test_refining_apart_and_intersecting_is_wrong():
    """The meet of what is equal forwards and what is equal backwards, which other tools report, is not equitable."""
    wrong = 0
    for seed in range(400):
        graph = small_dense(np.random.default_rng(seed), [2, 3, 4, 4, 2], [0, 1], bias=False)
        ahead, back = exact_partition(graph, backward=False), exact_partition(graph, forward=False)
        meet = {name: list(zip(ahead[name], back[name], strict=True)) for name in ahead}
        found = partition(graph)
        for name, pairs in meet.items():
            numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
            meet[name] = [numbers[pair] for pair in pairs]
        wrong += not all(same_classes(found[name], meet[name]) for name in found)
    assert wrong > 20


def test_equal_rows_and_columns_are_not_all_ties():
    graph = sb.chain(
        [(np.ones((3, 2)), None), (np.array([[1, 2, 3], [3, 1, 2], [2, 3, 1]]), None), (np.ones((2, 3)), None)]
    )
    middle = graph.weights["layers.1.weight"]
    assert len(np.unique(middle, axis=0)) == len(np.unique(middle, axis=1).T) == 3
    assert partition(graph)["layers.0"] == partition(graph)["layers.1"] == [0, 0, 0]


# By training.


def in_engine(graph, activation="tanh"):
    biases = {each.name: each.array for each in graph.per_unit}
    layers = [
        engine.Dense(
            np.array(array, float),
            np.array(biases[name.replace("weight", "bias")], float)
            if name.replace("weight", "bias") in biases
            else None,
            activation if number < len(graph.weights) - 1 else "identity",
        )
        for number, (name, array) in enumerate(graph.weights.items())
    ]
    return engine.Network(layers)


def bring_back(array, *labels):
    """Average an array over the blocks of its classes' sums, so that these are equal again."""
    for axis, label in enumerate(labels):
        others = [np.eye(max(each) + 1)[each] for k, each in enumerate(labels) if k != axis]
        same = np.equal.outer(label, label) / np.bincount(label)[label][:, None]
        if not others:
            return same @ array
        other = others[0]
        spread = other / other.sum(axis=0)  # back from sums to entries, evenly
        moved = array if axis == 0 else array.T
        sums = moved @ other
        moved = moved + (same @ sums - sums) @ spread.T
        array = moved if axis == 0 else moved.T
    return array


def ties_in_training(net, steps, seed, labels=None):
    """Whether units of given classes stay tied, or, without them, which pairs have equal signals and gradients."""
    rng = np.random.default_rng(seed)
    names = list(net.layers)
    for _ in range(steps):
        x, y = rng.normal(size=(6, net.layers[names[0]].inputs)), rng.normal(size=(6, net.layers[names[-1]].units))
        found = engine.gradients(net, x, y)
        for name in names[:-1] if labels else ():
            for what in ("activations", "error_signals"):
                each = getattr(found, what)[name]
                for label in set(labels[name]):
                    members = each[:, np.array(labels[name]) == label]
                    assert np.ptp(members, axis=1).max() <= 1e-12 * max(1, abs(each).max())
        for name, array in net.parameters.items():
            array -= 0.1 * found[name]
            if labels:
                layer, part = name.rsplit(".", 1)
                place = names.index(layer)
                below = labels["input"] if place == 0 else labels[names[place - 1]]
                above = labels["output"] if place == len(names) - 1 else labels[layer]
                array[...] = bring_back(array, *([above, below] if part == "weight" else [above]))
    return net


def check_against_training(seeds):
    """Every class stays through 40 steps; every pair that training leaves together is in one class, or blocked."""
    more = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        graph = small_dense(rng, [2, 3, 4, 4, 2], [0, 1], bias=False)
        report = sb.diagnose(graph)
        labels = {name: found.tolist() for name, found in report.partition.items()}
        ties_in_training(in_engine(graph), 40, seed, labels)
        rounded = copy.deepcopy(in_engine(graph))
        ties_in_training(rounded, 12, seed + 1)
        blocked = {f.where: set(f.groups[0]) for f in report.findings if f.code == "SB203"}
        x = rng.normal(size=(8, 2))
        found = engine.gradients(rounded, x, rng.normal(size=(8, 2)))
        for name in list(rounded.layers)[:-1]:
            a, g = found.activations[name], found.error_signals[name]
            for i, j in itertools.combinations(range(a.shape[1]), 2):
                together = np.allclose(a[:, i], a[:, j], atol=1e-9) and np.allclose(g[:, i], g[:, j], atol=1e-9)
                if together and labels[name][i] != labels[name][j]:
                    more += 1
                    silent = np.allclose(a[:, i], 0, atol=1e-9) and np.allclose(g[:, i], 0, atol=1e-9)
                    assert silent or {i, j} <= blocked.get(f"space {name}", set()), (seed, name, i, j)
    return more


def test_training_leaves_together_what_the_partition_says():
    check_against_training(range(60))


@pytest.mark.slow
def test_training_leaves_together_what_the_partition_says_of_thousands():
    check_against_training(range(1000, 4000))
