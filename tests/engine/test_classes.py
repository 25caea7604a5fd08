"""Units are in one class if and only if swapping them changes no array."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._classes import find_classes
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from tests.engine._networks import random_data
from tests.engine._stable import tied_network


def judge(net, x, y, **settings):
    return engine.stability(net, x, y, optimizer=engine.SGD(0.1), **settings)


def classes_of(graph):
    return [(each.space, each.units) for each in find_classes(graph)]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=7), min_size=1, max_size=3), st.integers(0, 2**32))
def test_units_made_equal_are_found_and_no_others(copies, seed):
    copies = [np.unique(layer, return_inverse=True)[1].tolist() for layer in copies]
    net = tied_network([2, *map(len, copies), 2], copies=copies, seed=seed)
    expected = []
    for number, layer in enumerate(copies):
        members = [tuple(unit for unit, each in enumerate(layer) if each == label) for label in range(max(layer) + 1)]
        expected += [(f"layers.{number}", units) for units in members if len(units) > 1]
    assert sorted(classes_of(net.graph)) == sorted(expected)


@pytest.mark.parametrize("name", ["layers.0.weight", "layers.0.bias", "layers.1.weight"])
def test_units_that_differ_anywhere_are_not_tied(name):
    net = tied_network([2, 3, 2])
    array = net.parameters[name]
    array[..., 1] = np.nextafter(array[..., 1], 9)
    if name == "layers.0.weight":
        array[0] = array[2]
        array[1, 0] = np.nextafter(array[1, 0], 9)
    assert classes_of(net.graph) == [("layers.0", (0, 2))]


def test_zero_equals_minus_zero():
    net = engine.Network([engine.Dense(np.array([[0.0], [-0.0]])), engine.Dense(np.array([[-0.0, 0.0]]))])
    assert classes_of(net.graph) == [("layers.0", (0, 1))]


def test_inputs_and_outputs_are_never_tied():
    assert classes_of(engine.Network([engine.Dense(np.ones((3, 4)))]).graph) == []


def recurrent(weight, read=None):
    units = len(weight)
    return LayerGraph(
        [Space("input", 1), Space("state", units), Space("output", 1)],
        [
            Weight("read", np.ones((units, 1)) if read is None else read, [("out", "state"), ("in", "input")]),
            Weight("recur", np.array(weight, float), [("out", "state"), ("in", "state")]),
            Weight("write", np.ones((1, units)), [("out", "output"), ("in", "state")]),
        ],
        [PerUnit("bias", np.zeros((4, units)), [("gate", None), ("out", "state")])],
        inputs=["input"],
        outputs=["output"],
    )


@pytest.mark.parametrize(
    ("weight", "classes"),
    [
        (np.eye(3), [(0, 1, 2)]),
        (np.ones((3, 3)), [(0, 1, 2)]),
        ([[5, 2, 2], [2, 5, 2], [2, 2, 5]], [(0, 1, 2)]),
        ([[1, 2, 3], [3, 1, 2], [2, 3, 1]], []),  # an orbit: no swap of two fixes it
        ([[5, 2, 1], [2, 5, 1], [1, 1, 3]], [(0, 1)]),
        ([[5, 1, 2], [1, 3, 1], [2, 1, 5]], [(0, 2)]),
        ([[5, 2, 0, 0], [2, 5, 0, 0], [0, 0, 1, 2], [0, 0, 2, 1]], [(0, 1), (2, 3)]),
    ],
)
def test_what_a_recurrent_weight_has_moves_on_both_of_its_axes(weight, classes):
    assert classes_of(recurrent(weight)) == [("state", units) for units in classes]


@given(st.integers(2, 5), st.integers(0, 2**32))
def test_classes_are_those_that_every_single_swap_makes(units, seed):
    rng = np.random.default_rng(seed)
    weight, read = rng.integers(2, size=(units, units)), rng.integers(2, size=(units, 1)).astype(float)
    swappable = set()
    for a, b in combinations(range(units), 2):
        order = np.arange(units)
        order[[a, b]] = b, a
        if (weight[np.ix_(order, order)] == weight).all() and (read[order] == read).all():
            swappable.add((a, b))
    found = {pair for _, each in classes_of(recurrent(weight, read)) for pair in combinations(each, 2)}
    assert found == swappable


def test_every_gate_and_position_is_compared_apart():
    gates = np.zeros((2, 3, 1))
    gates[:, 1] = [[1], [2]]
    gates[:, 2] = [[2], [1]]  # the same values, in the other gate
    graph = LayerGraph(
        [Space("input", 1), Space("state", 3)],
        [Weight("read", gates, [("gate", None), ("out", "state"), ("in", "input")])],
        inputs=["input"],
    )
    assert classes_of(graph) == []


def test_a_space_that_shares_an_array_with_another_is_left_alone():
    shared = np.ones((3, 3))
    graph = LayerGraph(
        [Space("input", 3), Space("one", 3), Space("two", 3), Space("output", 1)],
        [
            Weight("shared", shared, [("out", "one"), ("in", "input")], also=[[("out", "two"), ("in", "one")]]),
            Weight("write", np.ones((1, 3)), [("out", "output"), ("in", "two")]),
        ],
        inputs=["input"],
        outputs=["output"],
    )
    assert classes_of(graph) == []


def test_classes_can_be_given():
    net = tied_network([2, 5, 2], copies=[[0, 0, 0, 1, 1]])
    x, y = random_data(5, 2, 2, "mse")
    assert [each.units for each in judge(net, x, y)] == [(0, 1, 2), (3, 4)]
    some = judge(net, x, y, classes={"layers.0": ["a", "b", "a", "c", "d"]})
    assert [each.units for each in some] == [(0, 2)]
    np.testing.assert_allclose(some[0].eigenvalues, judge(net, x, y)[0].eigenvalues, rtol=1e-9)
    assert len(judge(net, x, y, classes={})) == 0


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        ({"layers.0": [0, 0, 0, 0]}, ValueError, r"units 1 and 2 of 'layers.0' are given as one class, but are not "
         r"tied: swapping them changes 'layers.0.weight' by \d.*give them two labels"),
        ({"layers.0": [0, 0]}, ValueError, r"one label a unit, shape \(4,\); theirs is \(2,\)"),
        ({"layer": [0, 0]}, ValueError, "no space is called 'layer'"),
        ({"output": [0, 0]}, ValueError, "units 0, 1 of 'output' are given as one class, but inputs and outputs"),
        ([0, 0, 0, 0], TypeError, r"`classes` must be a mapping such as \{'layers.0': \[0, 0, 1\]\}; got \[0"),
    ],
)  # fmt: skip
def test_given_classes_are_checked(classes, error, message):
    net = tied_network([2, 4, 2], copies=[[0, 0, 1, 1]])
    x, y = random_data(5, 2, 2, "mse")
    with pytest.raises(error, match=message):
        judge(net, x, y, classes=classes)


@pytest.mark.parametrize("space", ["a", "again"])
def test_units_of_a_layer_used_twice_are_no_class_of_their_own(space):
    layer = engine.Dense(np.ones((3, 3)), activation="tanh")
    net = engine.Network({"a": layer, "again": layer, "out": engine.Dense(np.ones((1, 3)))})
    x, y = random_data(4, 3, 1, "mse")
    with pytest.raises(ValueError, match=f"'{space}' can't be swapped by themselves: an array is shared with another"):
        judge(net, x, y, classes={space: [0, 0, 1]})
