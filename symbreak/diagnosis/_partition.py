"""The coarsest partition of a network: which units of every space are tied, found by refining all spaces together.

A partition of all spaces is equitable where units of one class have equal class sums of incoming weights, equal class
sums of outgoing weights, and equal parameters of their own. Units of its classes then have equal activations and equal
gradients on every batch, and one step of gradient descent leaves the partition equitable [1]_. The coarsest one is
unique [2]_. It is found as colours of a graph are refined: all units of a space begin in one class, and a class is
split where its units differ in what they read from, or write to, the classes of the other spaces, until none is split.

Splitting by the incoming weights alone, by the outgoing ones alone, and then intersecting, is something else, and is
wrong.

.. [1] symbreak's documentation, "Concepts"; every case is a property test on the engine.
.. [2] Grohe, Kersting, Mladenov, Selman. "Dimension reduction via colour refinement". ESA 2014. :arxiv:`1307.5697`
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ._labels import first_seen, first_units, joined
from ._nodes import Side, System, View
from ._sums import Magnitudes, close, defects, forms, slice_ties
from ._ties import Ties

Indices = npt.NDArray[np.intp]

COPIED = 1 << 24  # bytes of different slices that are copied, so that the search along other axes is shorter


@final
@dataclass(frozen=True, eq=False)
class Partition:
    """The classes of every node of a system.

    Parameters
    ----------
    labels
        For each node the class of each of its units, flat, numbered by first occurrence.
    defect
        The largest difference between two class sums that are taken for equal, relative to the size of what is summed.
    """

    labels: tuple[Indices, ...]
    defect: float


@final
@dataclass(eq=False)
class Refiner:
    """Refines partitions of one system.

    Parameters
    ----------
    system
        The network.
    forward
        Whether only incoming weights and the units' own parameters count: then units of one class are equal for every
        input, and need not get equal updates.
    canonical
        Whether classes are numbered by their values alone, so that the numbers of two refinements can be compared.
    workers
        Threads that search for equal slices.
    """

    system: System
    forward: bool = False
    canonical: bool = False
    workers: int | None = None
    _ties: dict[tuple[int, tuple[int, ...]], Ties] = field(default_factory=dict)
    _counts: list[int] = field(default_factory=list)
    _magnitudes: Magnitudes = field(default_factory=dict)
    _kept: dict[tuple[int, int], tuple[tuple[int, ...], Indices]] = field(default_factory=dict)

    def refine(self, start: Sequence[Indices] | None = None) -> Partition:
        """Give the coarsest equitable partition that is at least as fine as `start`, which is one class a node."""
        labels = list(self._start() if start is None else start)
        while True:
            self._fixpoint(labels)
            defect, split = self._verify(labels)
            if not split:
                return Partition(tuple(map(first_seen, labels)), defect)

    def colour(self, start: Sequence[Indices]) -> list[Indices]:
        """Give the classes with the numbers that the refinement gave them; their sums are not verified."""
        labels = list(start)
        self._fixpoint(labels)
        return labels

    def _start(self) -> list[Indices]:
        return [np.arange(node.size) if node.apart else np.zeros(node.size, np.intp) for node in self.system.nodes]

    def _fixpoint(self, labels: list[Indices]) -> None:
        self._counts = [int(label.max()) + 1 for label in labels]
        self._kept.clear()
        waiting = set(range(len(labels)))
        while waiting:
            for number in sorted(waiting):
                waiting.discard(number)
                node = self.system.nodes[number]
                if node.apart or self._counts[number] == node.size:
                    continue
                before = self._counts[number]
                labels[number] = self._split(number, labels)
                self._counts[number] = int(labels[number].max()) + 1
                if self._counts[number] > before:
                    waiting |= self.system.beside(number)

    def _split(self, number: int, labels: list[Indices]) -> Indices:
        """Split the classes of one node by all that is known of its units."""
        node = self.system.nodes[number]
        label = labels[number]
        for place, parent in enumerate(node.parents):
            axes = self.system.axes_of_parent(number, place)
            shape = [size if axis in axes else 1 for axis, size in enumerate(node.shape)]
            label = joined(label, np.broadcast_to(labels[parent].reshape(shape), node.shape).reshape(-1))
        for child, place in self.system.children_of(number):
            inner = self.system.nodes[child]
            axes = self.system.axes_of_parent(child, place)
            rows = np.moveaxis(labels[child].reshape(inner.shape), axes, range(len(axes))).reshape(node.size, -1)
            label = joined(label, _rows(np.sort(rows)))
        for more, fewer, of in self.system.links:
            if number == more:
                units = self.system.nodes[more].shape[-1]
                theirs = labels[fewer].reshape(-1, units)[of]
                label = joined(label, theirs.reshape(-1))
            elif number == fewer:
                label = joined(label, self._of_group(labels[more], of, node.shape))
        views = list(self.system.views_of(number))
        views.sort(key=lambda pair: not self._told_apart(*pair))  # what costs least comes first
        for view, side in views:
            if int(label.max()) + 1 == node.size:
                break
            if side.incoming or not self.forward:
                label = joined(label, self._by(view, side, labels))
        return label

    @staticmethod
    def _of_group(theirs: Indices, of: Indices, shape: tuple[int, ...]) -> Indices:
        """Give units of groups one number where they go with the same classes, counted over the heads of each."""
        rows = theirs.reshape(len(of), shape[-1])
        lists = []
        for group in range(prod(shape[:-1])):
            members = np.sort(rows[of == group], axis=0)  # (heads, units)
            lists += [tuple(column) for column in members.T.tolist()]
        numbers = {each: number for number, each in enumerate(sorted(set(lists)))}
        return np.array([numbers[each] for each in lists], np.intp)

    def _told_apart(self, view: View, side: Side) -> bool:
        """Whether every other node of the array has only classes of one unit."""
        others = [other.node for other in view.sides if other.axes != side.axes]
        return all(self._counts[node] == self.system.nodes[node].size for node in others)

    def _by(self, view: View, side: Side, labels: list[Indices]) -> Indices:
        """Give units of a side one number where their sums over the classes of the others are equal."""
        others = [other for other in view.sides if other.axes != side.axes]
        inner = any(set(other.axes) & set(side.axes) for other in others)  # classes of a unit's own head
        equal = None if self.canonical or inner else self.equal(view, side)
        if equal is not None and (not equal.any() or self._told_apart(view, side)):
            return equal
        place = self._place(view, side)
        counts = tuple(self._counts[other.node] for other in others)
        if place not in self._kept or self._kept[place][0] != counts:
            found = close(*forms(view, side, self.system, labels, 64 * place[0] + place[1], self._magnitudes))
            self._kept[place] = counts, found
        return self._kept[place][1]

    def _place(self, view: View, side: Side) -> tuple[int, int]:
        return self.system.number_of(view), view.sides.index(side)

    def equal(self, view: View, side: Side) -> Indices:
        """Give units of a side whose slices are equal in every value one number."""
        return self.ties(view, side).labels

    def zero(self, view: View, side: Side) -> npt.NDArray[np.bool_]:
        """Say which units of a side have a slice that is zero everywhere."""
        ties = self.ties(view, side)
        found = np.zeros(len(ties.labels), np.bool_)
        found[ties.zero] = True
        return found

    def is_finite(self, view: View) -> bool:
        """Whether every value of an array is finite; a search for equal slices looks at them anyway."""
        return not len(self.ties(view, view.sides[0]).not_finite)

    def ties(self, view: View, side: Side) -> Ties:
        """Search for the units of a side whose slices are equal.

        Where few slices along the first side are different, the others are compared on these alone.
        """
        number = self.system.number_of(view)
        if (number, side.axes) not in self._ties:
            first = None if side.axes == view.sides[0].axes else self.ties(view, view.sides[0])
            searched = view
            if first is not None and len(view.sides[0].axes) == 1 and view.sides[0].axes[0] not in side.axes:
                kept = np.unique(first.labels, return_index=True)[1]
                copied = view.array.nbytes // len(first.labels) * len(kept)
                if 2 * len(kept) <= len(first.labels) and copied <= COPIED:
                    searched = replace(view, array=view.array.take(kept, view.sides[0].axes[0]))
            self._ties[number, side.axes] = slice_ties(searched, side, self.workers, finite=first is not None)
        return self._ties[number, side.axes]

    def _verify(self, labels: list[Indices]) -> tuple[float, bool]:
        """Compare the class sums of tied units one by one, and split what rounding does not explain."""
        largest, split = 0.0, False
        for number, node in enumerate(self.system.nodes):
            if node.apart or self._counts[number] == node.size:
                continue
            for view, side in self.system.views_of(number):
                if self.forward and not side.incoming:
                    continue
                units, first = self._distinct(view, side, labels[number])
                while len(units):
                    worst, excess, scale = defects(view, side, self.system, labels, units, first)
                    good = excess <= 0
                    seen = worst[good & (scale > 0)] / scale[good & (scale > 0)]
                    largest = max(largest, float(seen.max(initial=0)))
                    if good.all():
                        break
                    split = True
                    units, first = self._part(labels, number, view, side, units[~good])
        return largest, split

    def _distinct(self, view: View, side: Side, label: Indices) -> tuple[Indices, Indices]:
        """Give the units to be compared, and the first of the class of each; equal slices are compared once."""
        node = self.system.nodes[side.node]
        equal = self.equal(view, side)
        keys = [label, equal]
        keys += [place.reshape(-1) for place in np.indices(node.shape)[: len(node.parents)]]
        kept = np.unique(np.stack(keys), axis=1, return_index=True)[1]
        first = first_units(label)
        kept = kept[kept != first[kept]]
        return kept, first[kept]

    def _part(
        self, labels: list[Indices], number: int, view: View, side: Side, units: Indices
    ) -> tuple[Indices, Indices]:
        """Put units that differ from the first of their class in a class of their own, with all whose slices are equal.

        Returns the units to compare with each other then.
        """
        label, equal = labels[number].copy(), self.equal(view, side)
        firsts: dict[int, int] = {}  # by the old class
        fresh: dict[int, int] = {}
        again = []
        for unit in units.tolist():
            old = int(labels[number][unit])
            if old not in firsts:
                firsts[old] = unit
                fresh[old] = int(label.max()) + 1
            else:
                again.append((unit, firsts[old]))
            label[(labels[number] == old) & (equal == equal[unit])] = fresh[old]
        labels[number] = label
        self._counts[number] = int(label.max()) + 1
        return np.array([unit for unit, _ in again], np.intp), np.array([first for _, first in again], np.intp)


def _rows(values: npt.NDArray[Any]) -> Indices:
    _, label = np.unique(values, axis=0, return_inverse=True)
    return label.reshape(-1)
