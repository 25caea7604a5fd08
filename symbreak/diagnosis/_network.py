"""The certificate of a network: which units are tied for good, which only now, and which can never learn."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, final

import numpy as np
import numpy.typing as npt

from symbreak.findings import Finding
from symbreak.graph import LayerGraph
from symbreak.reports import Report, TiedClass, fold_units, visible

from ._blocked import Blocked
from ._kinds import EQUITABLE, kinds
from ._nodes import Node, System, View
from ._partition import Indices, Refiner
from ._sums import check_numbers
from ._weights import judge_array

Array = npt.NDArray[Any]

CLASSES = 8  # classes in a message before it is cut short
RUNS = 12  # units of a nested space in a message
LISTED = 3  # arrays in a message

WHY = {
    "exchange": "any two can be swapped without a change of any array",
    "orbit": "a permutation of several spaces at once brings them to each other and changes no array",
    "equitable": "they read the same from every class and write the same to every class",
}


def judge_network(graph: LayerGraph, noise: Iterable[str] = (), workers: int | None = None) -> Report:
    """Say which units of a network are tied for good, which are equal only now, and which can never learn.

    Parameters
    ----------
    graph
        The network.
    noise
        Spaces whose units each draw noise of their own, as under dropout: it tells them apart.
    workers
        Threads that read large arrays; the result does not depend on them.

    Returns
    -------
    Report
        Findings SB107, SB108, SB201, SB202 and SB203; every class of tied units with its kind in `classes`; the class
        of each unit of every space in `partition`. Where values are not finite, SB302 and no partition.

    Raises
    ------
    TypeError
        An array of objects that are no real numbers, or `noise` that is one string.
    ValueError
        A graph that can't be read as a network, or `noise` that names no space.
    """
    if isinstance(noise, str):
        raise TypeError(f"`noise` takes a list of names of spaces: [{noise!r}], not {noise!r}")
    system = System.of(graph, noise)
    arrays = len(system.views)
    for view in system.views:
        check_numbers(view.array, view.name)
    refiner = Refiner(system, workers=workers)
    broken = [view for view in system.views if not refiner.is_finite(view)]
    if broken:
        found = [judge_array(view.array, visible(view.name), workers, view.name) for view in broken]
        findings = [finding for report in found for finding in report.findings if finding.code == "SB108"]
        return Report((*findings, _no_certificate(broken)), arrays=arrays)
    partition = refiner.refine()
    certificate = _Certificate(graph, refiner, partition.labels, partition.defect)
    classes = tuple(certificate.classes())
    return Report(
        (*certificate.tied(classes), *certificate.redundant(), *certificate.blocked(), *certificate.unread()),
        partition=certificate.partition(),
        arrays=arrays,
        classes=tuple(each for _, each in classes),
    )


def _no_certificate(broken: list[View]) -> Finding:
    """SB302: why the network is not judged as a whole."""
    names = ", ".join(visible(view.name) for view in broken[:LISTED]) + (", ..." if len(broken) > LISTED else "")
    text = (
        f"there is no certificate: values that are not finite spread to all that is computed from them, so of no units "
        f"it is said whether they are tied: {names}"
    )
    fix = "mend these values (SB108), then judge the network again"
    return Finding.of("SB302", "the network", text, fix=fix)


@final
class _Certificate:
    """What there is to say of the partition of one network."""

    def __init__(self, graph: LayerGraph, refiner: Refiner, labels: tuple[Indices, ...], defect: float) -> None:
        self.graph = graph
        self.refiner = refiner
        self.system = refiner.system
        self.labels = labels
        self.defect = defect
        names = Counter(name for node in self.system.nodes for name in node.spaces)
        self.twice = {name for name, count in names.items() if count > 1}
        self.linked = {number for link in self.system.links for number in (link.more, link.fewer)}
        self.dead = Blocked(graph, refiner)
        self.stuck = self.dead.units

    def partition(self) -> dict[str, Indices]:
        """Give the class of each unit by the name of its space; for each kind of heads where it lies in two."""
        found: dict[str, Indices] = {}
        for number, node in enumerate(self.system.nodes):
            parent = self.system.nodes[node.parents[-1]].spaces[0] if node.parents else ""
            for name in node.spaces:
                label = self.labels[number].reshape(node.shape)
                found[f"{name} of {parent}" if name in self.twice else name] = label
        return found

    def name(self, number: int) -> str:
        """Name a node by its spaces, and by the heads that it lies in where that is needed."""
        node = self.system.nodes[number]
        above = f" of {visible(self.system.nodes[node.parents[-1]].spaces[0])}" if number in self.linked else ""
        return ", ".join(map(visible, node.spaces)) + above

    def classes(self) -> Iterator[tuple[int, TiedClass]]:
        """Yield the classes of two units or more, each with its node."""
        for number, units, kind in kinds(self.refiner, self.labels):
            node = self.system.nodes[number]
            places = [tuple(place) for place in np.stack(np.unravel_index(units, node.shape), axis=1).tolist()]
            lost = self._lost(number, len(units))
            yield number, TiedClass(self.name(number), tuple(units.tolist()), kind, tuple(places), lost)

    def _lost(self, number: int, units: int) -> int:
        """Count the parameters of a class of some units that one unit has not; a head has those of its units."""
        held = {
            view.name: (view.array.size, sum(side.node == number for side in view.sides))
            for view, _ in self.system.views_of(number)
        }
        for child, _ in self.system.children_of(number):
            for view, _ in self.system.views_of(child):
                held.setdefault(view.name, (view.array.size, 1))
        every, left = self.system.nodes[number].size, self.system.nodes[number].size - units + 1
        return sum(size - size * left**times // every**times for size, times in held.values())

    def tied(self, classes: Iterable[tuple[int, TiedClass]]) -> Iterator[Finding]:
        """SB201: classes that no step of training parts."""
        by_node: dict[int, list[TiedClass]] = {}
        for number, each in classes:
            by_node.setdefault(number, []).append(each)
        for number, every in by_node.items():
            node = self.system.nodes[number]
            found = [each for each in every if not (self.stuck[number] | self.dead.cut[number])[list(each.units)].all()]
            if not found:
                continue
            width = int(self.labels[number].max()) + 1
            lost = sum(each.parameters for each in found)
            listed = _folded(f"{self._units(node, each.units)} ({each.kind})" for each in found)
            reasons = "; ".join(f"{kind}: {why}" for kind, why in WHY.items() if any(e.kind == kind for e in found))
            classes_ = "1 class that gets" if len(found) == 1 else f"{len(found)} classes that get"
            does = f"{width} unit{'' if width == 1 else 's'}"
            text = (
                f"{sum(len(each.units) for each in found)} units form {classes_} the same update at every step: "
                f"{listed}; the space does the work of {does} instead of {node.size}, its effective width, and "
                f"{lost:,} parameters only repeat others ({reasons})"
            )
            if any(each.kind == EQUITABLE for each in found) and self.defect:
                text += f"; sums agree to {self.defect:.1g} of their size"
            yield Finding.of("SB201", self._place(number), text, tuple(each.units for each in found))

    def redundant(self) -> Iterator[Finding]:
        """SB202: units that are equal for every input, and that the next step separates."""
        forward = Refiner(self.system, forward=True, workers=self.refiner.workers)
        forward._ties = self.refiner._ties
        for number, label in enumerate(forward.refine().labels):
            node = self.system.nodes[number]
            if node.apart or not self.dead.is_written(number):
                continue
            groups = []
            for each in np.flatnonzero(np.bincount(label) > 1).tolist():
                units = np.flatnonzero(label == each)
                # Units that read nothing are a start from zero, as of one factor of a low-rank pair.
                meant = (self.stuck[number] | self.dead.incoming[number])[units].all()
                if len(np.unique(self.labels[number][units])) > 1 and not meant:
                    groups.append(tuple(units.tolist()))
            if groups:
                listed = _folded(self._units(node, group) for group in groups)
                text = f"{sum(map(len, groups))} units are equal for every input, but are read differently: {listed}"
                yield Finding.of("SB202", self._place(number), text, tuple(groups))

    def blocked(self) -> Iterator[Finding]:
        """SB203: units whose gradient is exactly zero at every step."""
        for number, stuck in enumerate(self.stuck):
            units = np.flatnonzero(stuck & ~self.dead.cut[number])
            if len(units):
                node = self.system.nodes[number]
                every = len(units) == node.size
                which = f"all {node.size} units" if every else f"{len(units)} of {node.size} units"
                text = f"{which} can never learn: {self.dead.reason(number)}: {self._units(node, units.tolist())}"
                yield Finding.of("SB203", self._place(number), text, (tuple(units.tolist()),))

    def unread(self) -> Iterator[Finding]:
        """SB107: units that nothing reads, where other units of their space are read."""
        for number, node in enumerate(self.system.nodes):
            unread = self.dead.outgoing[number] & ~self.stuck[number] & ~self.dead.cut[number]
            if node.apart or not self.dead.is_written(number) or not self.system.is_read(number):
                continue
            units = np.flatnonzero(unread).tolist()
            if units and len(units) < node.size:
                text = f"nothing reads {len(units)} of {node.size} units: {self._units(node, units)}"
                yield Finding.of("SB107", self._place(number), text, (tuple(units),))

    def _place(self, number: int) -> str:
        return f"space {self.name(number)}"

    @staticmethod
    def _units(node: Node, units: Iterable[int]) -> str:
        """List units; those of a nested space as head.unit."""
        flat = list(units)
        if len(node.shape) == 1:
            return fold_units(flat)
        places = np.stack(np.unravel_index(np.array(flat), node.shape), axis=1).tolist()
        shown = ", ".join(".".join(map(str, place)) for place in places[:RUNS])
        return shown + (f", ... ({len(flat)} in all)" if len(flat) > RUNS else "")


def _folded(classes: Iterable[str]) -> str:
    """List classes; a long list is cut short and counted."""
    every = list(classes)
    return "; ".join(every[:CLASSES]) + (f"; ... ({len(every)} classes in all)" if len(every) > CLASSES else "")
