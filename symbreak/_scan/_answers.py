"""What the certificate of a network answers: units of one weight that are equal there, and all the same not tied.

A weight alone shows equal units (SB101, SB102). Where its network is judged too, the partition says whether these stay
equal; if not, the finding is a note that says so.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from symbreak.diagnosis import unit_axes
from symbreak.diagnosis._nodes import Node, Side, System, View
from symbreak.findings import Finding, Level
from symbreak.reports import Report, visible

if TYPE_CHECKING:
    from symbreak.checkpoints import Wired

Array = npt.NDArray[Any]
Answers = tuple[tuple[Finding, Finding], ...]  # findings as they are said of one weight, and as the network has them

EQUAL = ("SB101", "SB102")
AXIS = re.compile(r", axis (\d+)")
FIX = "nothing: training can tell these units apart"


def find_answers(
    found: "Wired", network: Report, equal: Iterable[tuple[str, str, Finding]], shapes: Mapping[str, tuple[int, ...]]
) -> Answers:
    """Answer findings of equal units in single weights by the certificate of the network.

    Parameters
    ----------
    found
        How the tensors are connected.
    network
        The certificate.
    equal
        (name of a tensor, what findings call it, a finding SB101 or SB102).
    shapes
        Those of all tensors.

    Returns
    -------
    tuple
        Pairs of a finding and the note in its place. Units that are tied, blocked, or told apart only because something
        is not known of them have none.
    """
    certificate = _Certificate(found, network, shapes)
    answers = []
    for name, where, finding in equal:
        axes = _axes(finding, where, shapes[name])
        spaces = [
            certificate.parted(name, axis, finding.groups or (tuple(range(shapes[name][axis])),)) for axis in axes
        ]
        if spaces and all(space is not None for space in spaces):
            told = dict.fromkeys(space for space in spaces if space is not None)
            answers.append((finding, _note(finding, tuple(told), network)))
    return tuple(answers)


def _axes(finding: Finding, where: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the axes that a finding is about: the one it names, or all that units may lie along."""
    rest = finding.where.removeprefix(where)
    if not rest and finding.code == "SB101":
        return unit_axes(shape)
    named = AXIS.fullmatch(rest)
    return (int(named[1]),) if named else ()


def _note(finding: Finding, spaces: Sequence[str], network: Report) -> Finding:
    there = {f"space {space}" for space in spaces}
    redundant = any(each.code == "SB202" and each.where in there for each in network.findings)
    also = "; see SB202" if redundant else ""
    text = f"{finding.message}; not tied all the same: the network tells them apart (space {', '.join(spaces)}{also})"
    return Finding(finding.code, Level.NOTE, finding.where, finding.groups, text, FIX)


@final
@dataclass
class _Place:
    """Where the units along one axis of a tensor lie in one array of the graph."""

    space: str
    positions: npt.NDArray[np.intp]  # (units,) along the axis of the tensor
    labels: npt.NDArray[np.intp]  # (copies, units): their classes; -1 where the certificate does not part them


class _Certificate:
    def __init__(self, found: "Wired", network: Report, shapes: Mapping[str, tuple[int, ...]]) -> None:
        assert found.graph is not None  # noqa: S101 - there is a certificate
        self.found, self.shapes = found, shapes
        self.system = System.of(found.graph)
        self.labels = self._labels(network)
        self.graphs: dict[int, dict[str, Array]] = {}
        self.places: dict[tuple[str, int], list[_Place] | None] = {}

    def parted(self, name: str, axis: int, groups: Iterable[Sequence[int]]) -> str | None:
        """Give the space along an axis of a tensor if the units of no group are tied in it; else None."""
        if (name, axis) not in self.places:
            self.places[name, axis] = self._find(name, axis)
        places = self.places[name, axis]
        if not places:
            return None
        covered = np.concatenate([place.positions for place in places])
        for group in groups:
            if not np.isin(group, covered).all():
                return None
            for place in places:
                labels = place.labels[:, np.isin(place.positions, group)]
                if any(len(np.unique(row)) < len(row) for row in labels):
                    return None
        return places[0].space

    def _labels(self, network: Report) -> list[npt.NDArray[np.intp] | None]:
        """Give the class of each unit of each node; -1 where units are blocked, None where nothing is known of them."""
        blocked = {each.where: each.groups[0] for each in network.findings if each.code == "SB203" and each.groups}
        twice = [name for node in self.system.nodes for name in node.spaces]
        found: list[npt.NDArray[np.intp] | None] = []
        for number, node in enumerate(self.system.nodes):
            label = network.partition.get(node.spaces[0])
            known = not node.apart or self._is_end(number)
            if label is None or not known or any(twice.count(name) > 1 for name in node.spaces):
                found.append(None)
                continue
            label = label.copy()
            label.reshape(-1)[list(blocked.get(f"space {_named(node)}", ()))] = -1
            found.append(label)
        return found

    def _is_end(self, number: int) -> bool:
        """Whether the world outside sees a node: as input or output, since both is said where too little is known."""
        graph, spaces = self.found.graph, self.system.nodes[number].spaces
        assert graph is not None  # noqa: S101 - as in `__init__`
        return not any(name in self.found.apart or (name in graph.inputs and name in graph.outputs) for name in spaces)

    def _find(self, name: str, axis: int) -> list[_Place] | None:
        if axis not in self.graphs:
            self.graphs[axis] = self._positions(axis)
        at = self.graphs[axis]
        views = [view for view in self.system.views if view.name == name or view.name.startswith(f"{name}[")]
        places = []
        for view in views:
            positions = at.get(view.name)
            if positions is None or positions.shape != view.array.shape:
                return None
            if positions.size:
                place = self._place(view, positions)
                if place is None:
                    return None
                places.append(place)
        return places

    def _positions(self, axis: int) -> dict[str, Array]:
        """Build the graph of arrays whose values are their places along one axis; they take no memory."""
        from symbreak.checkpoints import wire

        arrays = {}
        for name, shape in self.shapes.items():
            places = np.arange(shape[axis] if axis < len(shape) else 1)
            places = places.reshape([-1 if number == axis else 1 for number in range(len(shape))])
            arrays[name] = np.broadcast_to(places, shape)
        found = wire(arrays, wiring=replace(self.found.wiring, strict=False))
        return {} if found.graph is None else dict(found.graph.arrays)

    def _place(self, view: View, positions: Array) -> _Place | None:
        along = [a for a in range(positions.ndim) if positions.strides[a] and positions.shape[a] > 1]
        sides = [side for side in view.sides if side.axes[-1] in along] or _over(view, along)
        if len(sides) != 1 or (labels := self.labels[sides[0].node]) is None:
            return None
        (side,) = sides
        above = [a for a in side.axes if a not in along]
        wide = [positions.shape[a] if a in side.axes else 1 for a in range(positions.ndim)]
        order = np.argsort(side.axes)
        spread = np.broadcast_to(labels.transpose(order).reshape(wide), positions.shape)
        index = tuple(slice(None) if a in along or a in above else 0 for a in range(positions.ndim))
        kept = sorted([*along, *above])
        first = [kept.index(a) for a in above]
        rows = 1 if not above else int(np.prod([positions.shape[a] for a in above]))
        front = range(len(first))
        here = np.moveaxis(positions[index], first, front).reshape(rows, -1)[0]
        classes = np.moveaxis(spread[index], first, front).reshape(rows, -1)
        return _Place(_named(self.system.nodes[side.node]), here, classes)


def _named(node: Node) -> str:
    """Name a node as the certificate does."""
    return ", ".join(map(visible, node.spaces))


def _over(view: View, along: Sequence[int]) -> list[Side]:
    """Give the heads or copies that lie along some axes, where no units do."""
    return [Side(number, axes, False, False) for axes, number in view.over if axes[-1] in along]
