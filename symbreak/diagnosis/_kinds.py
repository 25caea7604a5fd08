"""Why the units of a class are tied: they can be swapped, or permuted together with others, or only their sums agree.

*Exchange*: swapping any two units changes no array. *Orbit*: a permutation of the units of several spaces at once
changes no array; it is searched for, and checked entry by entry. *Equitable*: neither was found. The first two stay
tied under every optimizer that treats all units alike; the last leaves where something acts on the weights entry by
entry.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ._labels import first_seen, first_units, joined
from ._nodes import Link, Node, Side, System, View
from ._partition import Indices, Refiner

Array = npt.NDArray[Any]

EXCHANGE, ORBIT, EQUITABLE = "exchange", "orbit", "equitable"
LARGEST = 1 << 22  # elements of all arrays, of units that can't be swapped, beyond which no permutation is searched for
TRIES = 32  # refinements in the search for one permutation


def swappable(refiner: Refiner, labels: tuple[Indices, ...] | None = None) -> list[Indices]:
    """Give, for each node, units that can be swapped with each other one number.

    Those of different classes of an equitable partition can't: they need not be tried where it is given as `labels`.
    Units of two heads can be swapped where the heads can, as wholes; units within one head where they can by
    themselves.
    """
    system = refiner.system
    found: dict[int, Indices] = {}

    def of(number: int) -> Indices:
        if number not in found:
            parents = [of(parent) for parent in system.nodes[number].parents]
            found[number] = _of_node(refiner, number, parents, None if labels is None else labels[number])
        return found[number]

    equal = [of(number) for number in range(len(system.nodes))]
    for link in system.links:
        _tie_link(system, link, equal)
    return equal


def _of_node(refiner: Refiner, number: int, parents: list[Indices], classes: Indices | None) -> Indices:
    system = refiner.system
    node = system.nodes[number]
    every = np.arange(node.size)
    if node.apart:
        return every
    label = np.zeros(node.size, np.intp) if classes is None else classes
    places = np.indices(node.shape).reshape(len(node.shape), -1)
    for above in places[:-1]:
        label = joined(label, above)
    several: dict[str, tuple[View, list[Side]]] = {}
    for view, side in system.views_of(number):
        if sum(other.node == number for other in view.sides) > 1:
            several.setdefault(view.name, (view, []))[1].append(side)
        else:
            label = joined(label, refiner.equal(view, side))
    for view, axes in system.views_over(number):
        label = joined(label, refiner.equal(view, Side(number, axes, written=False, read=False)))
    label = first_seen(label)
    for view, sides in several.values():
        label = _both_axes(view, sides, label, node.shape)
    # Heads that can be swapped as wholes bring along the units within.
    first = places.copy()
    for place, equal in enumerate(parents):
        above = system.axes_of_parent(number, place)
        shape = tuple(node.shape[axis] for axis in above)
        flat = first_units(equal)[np.ravel_multi_index(tuple(places[axis] for axis in above), shape)]
        for axis, index in zip(above, np.unravel_index(flat, shape), strict=True):
            first[axis] = index
    return first_seen(label[np.ravel_multi_index(tuple(first), node.shape)])


def _ranks(label: Indices) -> Indices:
    """Give each unit its place in its class, from 0."""
    order = np.argsort(label, kind="stable")
    begins = np.cumsum(np.bincount(label)) - np.bincount(label)
    ranks = np.empty_like(label)
    ranks[order] = np.arange(len(label)) - begins[label[order]]
    return ranks


def _both_axes(view: View, sides: list[Side], label: Indices, shape: tuple[int, ...]) -> Indices:
    """Part units by trying the swaps: what an array has between two units moves on all of its axes."""
    over = sides[0].axes[:-1]  # of parents, whose units are parted by themselves
    array = np.moveaxis(view.array, over, range(len(over)))
    axes = [side.axes[-1] - sum(above < side.axes[-1] for above in over) for side in sides]
    result = np.empty(shape, np.intp)
    for place in np.ndindex(shape[:-1]):  # which the labels part already
        result[place] = _swappable_within(array[place], axes, label.reshape(shape)[place])
    return joined(label, result.reshape(-1))


def _swappable_within(array: Array, axes: list[int], label: Indices) -> Indices:
    """Give one number to units of one label that can be swapped along some axes at once."""
    square = np.moveaxis(array, axes[:2], (0, 1))
    alike = partial(np.all, axis=tuple(range(1, square.ndim - 1)))
    result = np.empty_like(label)
    count = 0
    for number in np.flatnonzero(np.bincount(label)).tolist():
        firsts = np.empty(0, np.intp)
        for unit in np.flatnonzero(label == number).tolist():
            # What has to agree of a pair, looked at for all pairs at once.
            near = firsts[alike(square[firsts, firsts] == square[unit, unit])]
            for probe in {0, len(label) // 2, len(label) - 1}:
                same = alike(square[near, probe] == square[unit, probe])
                near = near[same | (near == probe) | (unit == probe)]
            found = next((one for one in near.tolist() if _same_after_swap(array, axes, one, unit)), None)
            if found is None:
                firsts = np.append(firsts, unit)
                result[unit] = count
                count += 1
            else:
                result[unit] = result[found]
    return result


def _same_after_swap(array: Array, axes: list[int], a: int, b: int) -> bool:
    """Whether swapping two units along all axes that run over them changes nothing: only their slices can."""
    order = np.arange(array.shape[axes[0]])
    order[[a, b]] = b, a
    for axis in axes:
        for unit, other in ((a, b), (b, a)):
            mine, theirs = array.take(unit, axis), array.take(other, axis)
            for moved in axes:
                if moved != axis:
                    theirs = theirs.take(order, moved - (moved > axis))
            if not np.array_equal(mine, theirs):
                return False
    return True


def _tie_link(system: System, link: Link, labels: list[Indices]) -> None:
    """Let units of a group be swapped only with those of the same index in each of its heads, and these alike."""
    units = system.nodes[link.fewer].shape[-1]
    theirs, own = labels[link.more].reshape(-1, units), labels[link.fewer].reshape(-1, units)
    columns = [
        (int(own[group, unit]), *theirs[link.of == group, unit].tolist())
        for group in range(len(own))
        for unit in range(units)
    ]
    number = {each: place for place, each in enumerate(dict.fromkeys(columns))}
    tied = np.array([number[each] for each in columns], np.intp)
    labels[link.fewer] = tied
    labels[link.more] = joined(labels[link.more], tied.reshape(-1, units)[link.of].reshape(-1))


@final
class Orbits:
    """Searches for permutations that change no array, and joins the units that they bring together.

    Parameters
    ----------
    refiner
        Of the whole network.
    labels
        Its coarsest equitable partition, a flat array a node.
    equal
        Its units that can be swapped, as `swappable` gives them.
    """

    def __init__(self, refiner: Refiner, labels: tuple[Indices, ...], equal: list[Indices]) -> None:
        self.small = _without_copies(refiner.system, equal)
        self.labels = [label[kept] for label, kept in zip(labels, self.small.kept, strict=True)]
        same = [first_seen(each[kept]) for each, kept in zip(equal, self.small.kept, strict=True)]
        sizes = [np.bincount(each)[each][kept] for each, kept in zip(equal, self.small.kept, strict=True)]
        # Of units that can be swapped, the first can be brought to the first, the second to the second, and so on.
        ranks = [_ranks(each) for each in same]
        self.start = [
            joined(joined(label, size), rank) for label, size, rank in zip(self.labels, sizes, ranks, strict=True)
        ]
        self.first = [first_units(each) for each in same]
        self.joined = [each.copy() for each in self.first]
        self.refiner = Refiner(self.small.system, canonical=True)
        self.possible = sum(view.array.size for view in self.small.system.views) <= LARGEST

    def join(self, number: int, label: int) -> bool:
        """Whether the units of one class, those that can be swapped taken once, are brought together."""
        members = np.unique(self.first[number][self.labels[number] == label])
        for other in members[1:].tolist():
            if self.joined[number][other] != self.joined[number][members[0]] and not (
                self.possible
                and self.start[number][other] == self.start[number][members[0]]
                and self._search(number, int(members[0]), other)
            ):
                return False
        return True

    def _search(self, number: int, a: int, b: int) -> bool:
        """Look for a permutation that brings unit a to unit b."""
        tries = [TRIES]
        found = self._match(self._alone(self.start, number, a), self._alone(self.start, number, b), tries)
        if found is None:
            return False
        for node, order in enumerate(found):
            numbers = self.joined[node]
            for unit, image in enumerate(order.tolist()):
                if numbers[unit] != numbers[image]:
                    numbers[numbers == numbers[image]] = numbers[unit]
        return True

    @staticmethod
    def _alone(labels: list[Indices], number: int, unit: int) -> list[Indices]:
        """Give one unit a class of its own."""
        result = list(labels)
        result[number] = labels[number].copy()
        result[number][unit] = int(labels[number].max()) + 1
        return result

    def _match(self, one: list[Indices], other: list[Indices], tries: list[int]) -> list[Indices] | None:
        """Refine both; where classes of several units are left, bring one of the first to each of the second."""
        tries[0] -= 1
        one, other = self.refiner.colour(one), self.refiner.colour(other)
        found: list[Indices] | None
        for mine, theirs in zip(one, other, strict=True):
            if not np.array_equal(np.bincount(mine), np.bincount(theirs)):
                return None
        number = next((n for n, label in enumerate(one) if int(label.max()) + 1 < len(label)), None)
        if number is None:
            found = [np.argsort(theirs)[mine] for mine, theirs in zip(one, other, strict=True)]
            return found if self._fixes(found) else None
        sizes = np.bincount(one[number])
        label = int(np.argmax(sizes > 1))
        unit = int(np.flatnonzero(one[number] == label)[0])
        for image in np.flatnonzero(other[number] == label).tolist():
            if tries[0] <= 0:
                return None
            found = self._match(self._alone(one, number, unit), self._alone(other, number, image), tries)
            if found is not None:
                return found
        return None

    def _fixes(self, found: list[Indices]) -> bool:
        """Whether permuting all nodes at once leaves every entry of every array, and all units in their heads."""
        system = self.small.system
        for number, (node, images) in enumerate(zip(system.nodes, found, strict=True)):
            for place, parent in enumerate(node.parents):
                axes = system.axes_of_parent(number, place)
                wide = [size if axis in axes else 1 for axis, size in enumerate(node.shape)]
                index = np.unravel_index(images.reshape(node.shape), node.shape)
                above = np.ravel_multi_index([index[axis] for axis in axes], [node.shape[axis] for axis in axes])
                if not (above == found[parent].reshape(wide)).all():
                    return False
        for more, fewer, of in system.links:
            units = system.nodes[more].shape[-1]
            heads, within = np.divmod(found[more].reshape(-1, units), units)
            if not np.array_equal(of[heads] * units + within, found[fewer].reshape(-1, units)[of]):
                return False
        return all(np.array_equal(view.array, view.array[_moved(view, system, found)]) for view in system.views)


def _moved(view: View, system: System, found: list[Indices]) -> tuple[Array, ...]:
    """Give the index of the entry that each entry of an array is brought to."""
    shape = view.array.shape
    index: list[Array] = [
        np.arange(n).reshape([-1 if k == axis else 1 for k in range(len(shape))]) for axis, n in enumerate(shape)
    ]
    for axes, number in (*view.over, *((side.axes, side.node) for side in view.sides)):
        node = system.nodes[number]
        images = np.unravel_index(found[number].reshape(node.shape), node.shape)
        wide = [size if axis in axes else 1 for axis, size in enumerate(shape)]
        index[axes[-1]] = images[-1].transpose(np.argsort(axes)).reshape(wide)
    return tuple(np.broadcast_arrays(*index))


class _Small:
    """A system with one unit for those that can be swapped, and which units these are."""

    def __init__(self, system: System, kept: list[Indices]) -> None:
        self.system = system
        self.kept = kept


def _without_copies(system: System, equal: list[Indices]) -> _Small:
    """Keep the first of the units of a node that can be swapped.

    Kept whole are nested nodes, heads, and nodes that an array runs over twice: it has something else between two units
    that can be swapped than between a unit and itself.
    """
    whole = {parent for node in system.nodes for parent in node.parents}
    whole |= {number for number, node in enumerate(system.nodes) if node.parents}
    for view in system.views:
        over = [side.node for side in view.sides]
        whole |= {node for node in over if over.count(node) > 1}
    kept = [
        np.arange(node.size) if number in whole else np.flatnonzero(first_units(label) == np.arange(node.size))
        for number, (node, label) in enumerate(zip(system.nodes, equal, strict=True))
    ]
    views = []
    for view in system.views:
        array = view.array
        for side in view.sides:
            if len(side.axes) == 1 and len(kept[side.node]) < array.shape[side.axes[0]]:
                array = array.take(kept[side.node], side.axes[0])
        views.append(View(view.name, array, view.sides, view.over))
    nodes = tuple(
        Node(node.spaces, node.shape if node.parents else (len(units),), node.parents, node.apart)
        for node, units in zip(system.nodes, kept, strict=True)
    )
    return _Small(System(nodes, tuple(views), system.links), kept)


def kinds(refiner: Refiner, labels: tuple[Indices, ...]) -> Iterator[tuple[int, Indices, str]]:
    """Yield each class of two units or more: its node, its units, and the kind of its tie."""
    equal = swappable(refiner, labels)
    orbits: Orbits | None = None
    for number, (node, label) in enumerate(zip(refiner.system.nodes, labels, strict=True)):
        if node.apart or not refiner.system.is_judged(number):
            continue
        sizes = np.bincount(label)
        for each in np.flatnonzero(sizes > 1).tolist():
            units = np.flatnonzero(label == each)
            if len(np.unique(equal[number][units])) == 1:
                yield number, units, EXCHANGE
                continue
            orbits = orbits or Orbits(refiner, labels, equal)
            yield number, units, ORBIT if orbits.join(number, each) else EQUITABLE
