"""Operators of graphs that are traced from a program: loops that are written once, and positions that move."""

import numpy as np
import pytest

from tests.checkpoints.wiring._permute import closed
from tests.checkpoints.wiring.test_onnx import B, between, node, wired

U = np.random.default_rng(1).normal(size=(8, 8))


def recurrence(*, tied=True):
    """A loop of tanh(x w + h u), whose state is read by a last layer."""
    nodes = [
        node("LoopBegin", "", "s", "loop", sizes=[3, 8]),
        node("MatMul", "x w", "a", "in"),
        node("MatMul", "s u", "r", "again"),
        node("Add", "a r", "c"),
        node("Tanh", "c", "h"),
        node("LoopEnd", "s h", "e") if tied else node("Identity", "h", "e"),
        node("MatMul", "e v", "y", "out"),
    ]
    return wired(nodes, (3, 4), w=U[:4], u=U, v=U[:, :2])


def test_what_a_loop_begins_with_is_of_the_units_that_it_ends_with():
    graph, wiring = recurrence()
    assert not wiring.unknown
    (space,) = closed(graph)
    weight = next(each for each in graph.connections if each.name == "u")
    assert {axis.space for axis in weight.axes} == {space}
    apart, _ = recurrence(tied=False)
    assert [space.units for space in apart.spaces].count(8) == 2


def test_a_loop_that_ends_with_other_axes_is_not_understood():
    nodes = [node("LoopBegin", "", "s", sizes=[2, 3, 8]), node("LoopEnd", "s h", "z")]
    _, wiring = between(*nodes)
    assert any("a loop ends with other axes than it began" in each for each in wiring.unknown.values())


def test_positions_may_move_and_units_may_not():
    graph, wiring = between(node("Positions", "h", "z", axes=[0], sizes=[5]), node("Add", "z b", "q"), b=B)
    assert not wiring.unknown
    assert closed(graph) == ["in"]
    graph, wiring = between(node("Positions", "h", "z", axes=[1], sizes=[8]))
    assert any("it takes units for positions" in each for each in wiring.unknown.values())
    assert "in" not in (closed(graph) if graph is not None else [])


@pytest.mark.parametrize("sizes", [[8], [1, 8], [2, 1, 8]])
def test_the_last_axis_of_a_state_is_of_units(sizes):
    graph, wiring = wired([node("LoopBegin", "", "s", sizes=sizes), node("MatMul", "s v", "y", "out")], v=U[:, :2])
    assert not wiring.unknown
    assert {space.units for space in graph.spaces} == {8, 2}
