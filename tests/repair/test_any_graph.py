"""Merging and untying keep what any graph computes: networks wired at random, in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from tests.diagnosis.test_partition import graphs

WHOLE = {0.0: 0, 1.0: 1, 0.1: 3, -0.5: -2}


def in_fractions(graph):
    """The same wiring, with a whole number for each of the few values."""

    def exact(array):
        return np.vectorize(lambda value: Fraction(WHOLE[value]), otypes=[object])(array)

    return LayerGraph(
        graph.spaces,
        [Weight(each.name, exact(each.array), each.axes) for each in graph.connections],
        [PerUnit(each.name, exact(each.array), each.axes, each.kind) for each in graph.per_unit],
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


def run(graph, start, steps=3):
    """Let every space read all that it reads, again and again; each position and gate counts by a factor of its own."""
    units = {space.name: np.full(space.units, Fraction(0), object) for space in graph.spaces}
    units |= start
    for _ in range(steps):
        new = {name: np.full(len(each), Fraction(0), object) for name, each in units.items()}
        for each in graph.per_unit:
            new[each.space] = new[each.space] + each.array
        for each in graph.connections:
            roles = [axis.role for axis in each.axes]
            out, source = roles.index("out"), roles.index("in")
            array = np.moveaxis(each.array, (out, source), (0, 1)).reshape(
                each.array.shape[out], each.array.shape[source], -1
            )
            factors = np.array([Fraction(place + 2) for place in range(array.shape[2])], object)
            new[each.axes[out].space] = new[each.axes[out].space] + (array @ factors) @ units[each.axes[source].space]
        units = {name: each * each if name not in start else start[name] for name, each in new.items()}
    return units


def start_of(graph, seed):
    rng = np.random.default_rng(seed)
    return {
        name: np.array([Fraction(int(value)) for value in rng.integers(-3, 4, graph.space(name).units)], object)
        for name in graph.inputs
    }


def repaired(repair, graph, **options):
    """The repaired graph, or the reason why there is none."""
    try:
        return repair(graph, **options)
    except CannotRepair as error:
        return str(error)


@given(graph=graphs(), seed=st.integers(0, 2**32 - 1), redundant=st.booleans())
def test_every_unit_that_is_left_computes_what_its_class_did(graph, seed, redundant):
    graph = in_fractions(graph)
    small = repaired(sb.merge, graph, redundant=redundant)
    if isinstance(small, str):  # what several weights write and nothing reads may be queries and keys
        lost = [
            space.name for space in graph.spaces if not graph.readers(space.name) and space.name not in graph.outputs
        ]
        assert any(f"space '{name}': " in small for name in lost), small
        assert "more than two weights write to" in small or "its name does not say whether" in small
        return
    one, two = run(graph, start_of(graph, seed)), run(small, start_of(graph, seed))
    labels = sb.diagnose(graph).partition
    for space in graph.spaces:
        if not graph.readers(space.name) and space.name not in graph.outputs:
            continue  # read by nothing: units of queries and keys, or of no use
        if redundant:
            assert {*one[space.name]} == {*two[space.name]}
        else:
            assert (two[space.name][labels[space.name]] == one[space.name]).all()
    assert sum(space.units for space in small.spaces) <= sum(int(each.max()) + 1 for each in labels.values())


@given(graph=graphs(), seed=st.integers(0, 2**32 - 1))
def test_untied_units_compute_what_they_did(graph, seed):
    graph = in_fractions(graph)
    free = repaired(sb.untie, graph, rng=seed)
    if isinstance(free, str):
        unread = [space.name for space in graph.spaces if not graph.readers(space.name)]
        assert any(f"space '{name}' would keep" in free for name in unread), free
        return
    assert sb.diagnose(free).classes == ()
    one, two = run(graph, start_of(graph, seed)), run(free, start_of(graph, seed))
    assert all((one[name] == two[name]).all() for name in one if graph.readers(name) or name in graph.outputs)


@given(graph=graphs(), seed=st.integers(0, 2**32 - 1))
def test_units_that_are_drawn_again_are_not_tied(graph, seed):
    fresh = repaired(sb.reinit, graph, rng=seed)
    if isinstance(fresh, str):
        unwritten = [space.name for space in graph.spaces if not graph.writers(space.name)]
        assert any(f"space '{name}' would keep" in fresh for name in unwritten), fresh
        return
    assert sb.diagnose(fresh).classes == ()
    for name, array in graph.arrays.items():
        assert fresh.arrays[name].shape == array.shape


@pytest.mark.parametrize("repair", ["merge", "untie", "reinit"])
def test_the_repaired_graph_is_wired_as_the_graph_was(repair):
    axes = [("out", "a"), ("in", "x")], [("out", "y"), ("in", "a")], [("out", "a"), ("in", "a")]
    graph = LayerGraph(
        [Space("x", 2), Space("a", 3, "tanh"), Space("y", 3, "softmax")],
        [
            Weight("one", np.ones((3, 2)), axes[0]),
            Weight("two", np.ones((3, 3)), axes[1], also=[axes[1]]),
            Weight("mask", np.ones((3, 2)), axes[0], multiplies="one"),
        ],
        [
            PerUnit("scale", np.ones(3), axes[0][:1], "scale", "none"),
            PerUnit("bias", np.zeros(3), axes[0][:1]),
            PerUnit("open", np.ones(3), axes[0][:1], "bias", multiplies="bias"),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    found = sb.merge(graph) if repair == "merge" else getattr(sb, repair)(graph, rng=0)
    assert (found.inputs, found.outputs) == (graph.inputs, graph.outputs)
    assert [(each.name, each.activation) for each in found.spaces] == [
        ("x", "identity"),
        ("a", "tanh"),
        ("y", "softmax"),
    ]
    for old, new in zip(graph.connections, found.connections, strict=True):
        assert (old.name, old.axes, old.also, old.multiplies) == (new.name, new.axes, new.also, new.multiplies)
    for old, new in zip(graph.per_unit, found.per_unit, strict=True):
        assert (old.name, old.kind, old.norm, old.multiplies) == (new.name, new.kind, new.norm, new.multiplies)
        assert old.axes == new.axes


@pytest.mark.parametrize("redundant", [False, True])
def test_a_wrong_quotient_would_be_seen(redundant):
    """Means in place of sums: the check above tells them apart."""
    ones = np.full((2, 1), Fraction(1), object)
    graph = sb.chain([(ones, None), (np.full((1, 2), Fraction(1), object), None)])
    small = sb.merge(graph, redundant=redundant)
    wrong = sb.chain([(small.weights["layers.0.weight"], None), (small.weights["layers.1.weight"] / 2, None)])
    start = {"input": np.array([Fraction(2)], object)}
    assert (run(graph, start)["output"] == run(small, start)["output"]).all()
    assert (run(graph, start)["output"] != run(wrong, start)["output"]).all()
