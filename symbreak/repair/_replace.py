"""A graph with other arrays, and whether it has classes left."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from symbreak.diagnosis._nodes import Side, System, View
from symbreak.diagnosis._partition import Refiner
from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph, PerUnit, Weight

from ._facts import Facts, tied

Array = npt.NDArray[Any]

UNTIE, DRAW = "untie", "draw"


def with_arrays(graph: LayerGraph, arrays: Mapping[str, Array]) -> LayerGraph:
    """Give a graph like this one, in which some arrays are others of the same shape."""
    return LayerGraph(
        graph.spaces,
        [
            Weight(each.name, arrays.get(each.name, each.array), each.axes, each.also, each.multiplies)
            for each in graph.connections
        ],
        [
            PerUnit(each.name, arrays.get(each.name, each.array), each.axes, each.kind, each.norm, each.multiplies)
            for each in graph.per_unit
        ],
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


def as_rows(array: Array, side: Side) -> Array:
    """Give the array as (units of the side, everything else)."""
    moved = np.moveaxis(array, side.axes, range(len(side.axes)))
    return moved.reshape(-1, *moved.shape[len(side.axes) :])


def from_rows(rows: Array, side: Side, like: Array) -> Array:
    """Undo `as_rows`."""
    front = tuple(like.shape[axis] for axis in side.axes)
    return np.ascontiguousarray(np.moveaxis(rows.reshape(*front, *rows.shape[1:]), range(len(side.axes)), side.axes))


def fan_in(view: View, facts: Facts) -> int:
    """Count the weights that a unit reads with in one gate: inputs, kernel positions, and heads that are summed."""
    each = facts.connections.get(view.name)
    if each is None:
        return 1
    written = {axis for side in view.sides if side.written and not side.read for axis in side.axes}
    count = 1
    for number, (axis, size) in enumerate(zip(each.axes, view.array.shape, strict=True)):
        if axis.role in ("in", "receptive") or (axis.role == "head" and number not in written):
            count *= size
    support = facts.support(view)
    return max(1, round(count * float(support.mean()))) if support is not None else max(1, count)


def _unwritten(facts: Facts, number: int) -> str | None:
    return None if facts.writers(number) else "no weight writes to them"


def _unread(facts: Facts, number: int) -> str | None:
    if facts.uncombined(number):
        return "how the outputs of stacked copies are combined is not in the graph"
    unread = not facts.system.is_read(number) and number not in facts.pairs and not facts.is_parent(number)
    return "nothing reads them" if unread else None


def check_discrete(graph: LayerGraph, verb: str, why: Mapping[int, str], facts: Facts) -> LayerGraph:
    """Return the repaired graph, or say which classes it still has, and why."""
    left = []
    labels = Refiner(System.of(graph)).refine().labels
    for number, label in enumerate(labels):
        if not tied(label).any():
            continue
        reason = why.get(number) or (_unwritten(facts, number) if verb == DRAW else _unread(facts, number))
        classes = int((np.bincount(label) > 1).sum())
        some = f"{int(tied(label).sum())} units in {classes} class{'' if classes == 1 else 'es'}"
        left.append(f"space {facts.name(number)} would keep {some}{f': {reason}' if reason else ''}")
    if left:
        raise CannotRepair(f"can't {verb} all units: {'; '.join(left)}")
    return graph
