"""Which units of a network become one, and where each goes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from symbreak.diagnosis._partition import Indices

from ._facts import Facts


@final
@dataclass(frozen=True, eq=False)
class Fold:
    """What becomes of the units of one node.

    Parameters
    ----------
    index
        Of each unit its place among those that are left; in a nested node among those of its parent, (parents, units).
    count
        How many are left; in a nested node in each parent.
    """

    index: Indices
    count: int

    @property
    def changes(self) -> bool:
        """Whether units become one."""
        return self.count < int(self.index.shape[-1])

    @property
    def sizes(self) -> Indices:
        """Count the units that become each of those that are left, (parents, count) in a nested node."""
        rows = self.index.reshape(-1, self.index.shape[-1])
        found = np.stack([np.bincount(row, minlength=self.count) for row in rows])
        return found.reshape(*self.index.shape[:-1], self.count)


def fold_all(facts: Facts, labels: Sequence[Indices], chosen: Collection[int], why: dict[int, str]) -> list[Fold]:
    """Fold the units of each class into one, in the nodes that are chosen.

    Parameters
    ----------
    facts
        The network.
    labels
        The class of each unit of each node.
    chosen
        The numbers of the nodes whose units may become one.
    why
        Gains the nodes that can't be folded, and the reason; their units stay.
    """
    nodes = facts.system.nodes
    found: dict[int, Fold] = {}
    follows = {link.more: link for link in facts.system.links}

    def of(number: int) -> Fold:
        if number not in found:
            found[number] = make(number)
        return found[number]

    def make(number: int) -> Fold:
        node = nodes[number]
        if not node.parents:
            return _plain(labels[number]) if number in chosen else _same(node.shape)
        if number in follows:  # index by index with the heads that they share
            link = follows[number]
            theirs = of(link.fewer)
            index = theirs.index.reshape(-1, node.shape[-1])[link.of]
            return Fold(index.reshape(node.shape), theirs.count)
        place = np.zeros(node.shape[:-1], np.intp)
        for axis, parent in enumerate(node.parents):
            fold = of(parent)
            axes = facts.system.axes_of_parent(number, axis)
            wide = [size if each in axes else 1 for each, size in enumerate(node.shape[:-1])]
            place = place * fold.count + fold.index.reshape(wide)
        return _nested(labels[number].reshape(node.shape), place, number in chosen, number, why)

    return [of(number) for number in range(len(nodes))]


def _same(shape: tuple[int, ...]) -> Fold:
    return Fold(np.broadcast_to(np.arange(shape[-1]), shape), shape[-1])


def _plain(label: Indices) -> Fold:
    return Fold(label, int(label.max()) + 1)  # classes are numbered by first occurrence


def _nested(label: Indices, place: Indices, chosen: bool, number: int, why: dict[int, str]) -> Fold:
    """Fold the units of each parent, so that those of parents that become one go with each other."""
    units = label.shape[-1]
    rows, places = label.reshape(-1, units), place.reshape(-1)
    if chosen:
        counts = [len(np.unique(row)) for row in rows]
        if len(set(counts)) > 1:
            chosen = False
            why[number] = (
                f"its heads or copies would keep {min(counts)} to {max(counts)} units, and a layout needs as many in "
                f"each"
            )
    index = np.empty_like(rows)
    first: dict[int, int] = {}
    for row, (classes, at) in enumerate(zip(rows, places.tolist(), strict=True)):
        if at not in first:
            first[at] = row
        model = rows[first[at]]
        if chosen:
            order = {label: position for position, label in enumerate(dict.fromkeys(model.tolist()))}
            index[row] = [order[label] for label in classes.tolist()]
        else:  # unit by unit, those of a class in order
            index[row][np.argsort(classes, kind="stable")] = np.argsort(model, kind="stable")
    return Fold(index.reshape(label.shape), int(index.max()) + 1)
