"""A graph as the partition sees it: sets of units that have one labelling, and the arrays between them.

A space is a node. Two things make it more. Where every array that names a space has heads or stacked copies beside it,
its units are those of each head: the space is *nested*, and a unit is (head, index). So are heads within copies, where
every array that names them has the copies too: then a head is (copy, head), and a unit (copy, head, index). And where
one array is used for several spaces, as an embedding that is the output layer too, the spaces along one of its axes are
one node.

An array that a mask multiplies is seen as the product. The mask is an array of its own too: where the sums of both are
equal, those of the gradients are, which the mask multiplies likewise.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from symbreak.graph import Axis, LayerGraph, PerUnit, Weight

Array = npt.NDArray[Any]
Key = tuple[str, tuple[str, ...]]  # a space, and the spaces of the heads or copies that it is nested in

OVER = ("head", "stack")  # roles of axes that others are nested in
PICKING = frozenset({"top_k", "maxout"})  # activations that choose among equal units by their index


@final
@dataclass(frozen=True)
class Node:
    """A set of units that have one labelling.

    Parameters
    ----------
    spaces
        The spaces that it stands for: several where they share an axis of an array.
    shape
        (units,), or (parents, ..., units) where it is nested.
    parents
        The nodes that it is nested in, one for each axis of `shape` but the last; each may lie in those before it.
    apart
        Whether its units are told apart by the world outside, or by noise of their own: then none are tied.
    """

    spaces: tuple[str, ...]
    shape: tuple[int, ...]
    parents: tuple[int, ...]
    apart: bool

    @property
    def size(self) -> int:
        """How many units it has, those of all parents."""
        return prod(self.shape)


class Side(NamedTuple):
    """One node of an array, the axes that run over it (those of its parents first), and what the array does with it."""

    node: int
    axes: tuple[int, ...]
    written: bool
    read: bool

    @property
    def incoming(self) -> bool:
        """Whether slices make the units what they are: they are written, or heads with weights of their own."""
        return self.written or not self.read


@final
@dataclass(frozen=True)
class View:
    """An array with the nodes along its axes; the axes that are left are positions: of a kernel, or gates.

    Parameters
    ----------
    name
        The array's name.
    array
        Its values, as they are stored, but for those that a mask multiplies by 0.
    sides
        Its nodes: one for a bias, two for a weight; a node twice where a weight reads and writes the same.
    over
        (axes, node) of heads or copies that a nested side stands in; the axes of their own parents come first.
    """

    name: str
    array: Array
    sides: tuple[Side, ...]
    over: tuple[tuple[tuple[int, ...], int], ...]

    @property
    def positions(self) -> tuple[int, ...]:
        """The axes that run over no node."""
        taken = {axis for side in self.sides for axis in side.axes} | {axis for axes, _ in self.over for axis in axes}
        return tuple(axis for axis in range(self.array.ndim) if axis not in taken)


class Link(NamedTuple):
    """A space nested twice: parent `of[i]` of node `fewer` goes with parent i of node `more`, index by index.

    Heads in copies are numbered through all copies.
    """

    more: int
    fewer: int
    of: npt.NDArray[np.intp]


@final
@dataclass(frozen=True)
class System:
    """The nodes of a graph, the arrays between them, and which nested nodes go with each other.

    Parameters
    ----------
    nodes, views, links
        These, in the order of the graph.
    masks
        Of each array that masks multiply, where none of them is 0; of its shape.
    masking
        The names of these masks.
    """

    nodes: tuple[Node, ...]
    views: tuple[View, ...]
    links: tuple[Link, ...]
    masks: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    masking: Set[str] = frozenset()

    @classmethod
    def of(cls, graph: LayerGraph, noise: Iterable[str] = (), *, picking: bool = True) -> "System":
        """Read a graph.

        Parameters
        ----------
        graph
            The network.
        noise
            Spaces whose units each draw noise of their own, as under dropout.
        picking
            Whether an activation that picks units by index, such as the top-k of a router, tells them apart.

        Raises
        ------
        ValueError
            A shared array whose uses put heads on different axes, or nested spaces that nothing connects.
        """
        apart = {graph.space(name).name for name in noise}
        apart |= {space.name for space in graph.spaces if picking and not PICKING.isdisjoint(space.functions)}
        return _Reading(graph, frozenset(apart)).system()

    @cached_property
    def _tables(self) -> "_Tables":
        return _Tables(self)

    def number_of(self, view: View) -> int:
        """Give the place of an array among all."""
        return self._tables.numbers[view.name]

    def views_of(self, node: int) -> Sequence[tuple[View, Side]]:
        """Give every array that has this node along some of its axes, once for each time."""
        return self._tables.views[node]

    def views_over(self, node: int) -> Sequence[tuple[View, tuple[int, ...]]]:
        """Give every array that has nodes nested in this one, and the axes that run over it."""
        return self._tables.over[node]

    def children_of(self, node: int) -> Sequence[tuple[int, int]]:
        """Give the nodes that are nested in this one, and which of their axes runs over it."""
        return self._tables.children[node]

    def axes_of_parent(self, node: int, place: int) -> tuple[int, ...]:
        """Give the axes of a node's shape that run over one of its parents, those of the parent's own parents first."""
        span = len(self.nodes[self.nodes[node].parents[place]].shape)
        return tuple(range(place + 1 - span, place + 1))

    def beside(self, node: int) -> Set[int]:
        """Give the nodes whose classes those of this one depend on."""
        return self._tables.beside[node]

    def is_judged(self, node: int) -> bool:
        """Whether any array says something of a node; of a space that none names there is nothing to say."""
        return bool(self.views_of(node) or self.children_of(node))

    def is_read(self, node: int) -> bool:
        """Whether a weight reads from a node, or from one that it goes with index by index."""
        return any(side.read for _, side in self.views_of(node)) or any(
            node == link.fewer and self.is_read(link.more) for link in self.links
        )


@final
class _Tables:
    """What is beside each node: arrays, nodes within it, and nodes whose classes its own depend on."""

    def __init__(self, system: System) -> None:
        every = range(len(system.nodes))
        self.numbers = {view.name: number for number, view in enumerate(system.views)}
        self.views: list[list[tuple[View, Side]]] = [[] for _ in every]
        self.children: list[list[tuple[int, int]]] = [[] for _ in every]
        self.over: list[list[tuple[View, tuple[int, ...]]]] = [[] for _ in every]
        self.beside: list[set[int]] = [set() for _ in every]
        for view in system.views:
            for axes, parent in view.over:
                self.over[parent].append((view, axes))
            for side in view.sides:
                self.views[side.node].append((view, side))
                self.beside[side.node] |= {other.node for other in view.sides if other.axes != side.axes}
        for number, node in enumerate(system.nodes):
            for place, parent in enumerate(node.parents):
                self.children[parent].append((number, place))
                self.beside[parent].add(number)
                self.beside[number].add(parent)
        for more, fewer, _ in system.links:
            self.beside[more].add(fewer)
            self.beside[fewer].add(more)


class _Reading:
    """Groups the axes of all arrays into nodes."""

    def __init__(self, graph: LayerGraph, noise: frozenset[str]) -> None:
        self.graph = graph
        self.noise = noise
        self.masks = _masks(graph)
        every: list[Weight | PerUnit] = [*graph.connections, *graph.per_unit]
        self.arrays: list[tuple[str, Array, tuple[tuple[Axis, ...], ...]]] = [
            (each.name, self._masked(each.name, each.array), each.uses if isinstance(each, Weight) else (each.axes,))
            for each in every
        ]
        self.heads = {axis.space for _, _, uses in self.arrays for use in uses for axis in use if axis.role == "head"}
        self.arrays = [self._in_copies(*each) for each in self.arrays]
        self.within: dict[str, tuple[str, ...]] = {}  # spaces of heads that lie in copies, and those of the copies
        self.nested = self._find_nested()
        self.root: dict[Key, Key] = {}

    def _masked(self, name: str, array: Array) -> Array:
        """Give the values of a weight where no mask is 0."""
        mask = self.masks.get(name)
        hidden = array[:0] if mask is None else array[~mask]
        wide = np.complex128 if array.dtype.kind == "c" else np.float64
        if mask is None or not (hidden != 0).any():
            return array
        if array.dtype.kind in "fcV" and not np.isfinite(hidden.astype(wide)).all():
            return array  # 0 times what is not finite is not finite
        return np.where(mask, array, np.zeros((), array.dtype))

    def _in_copies(
        self, name: str, array: Array, uses: tuple[tuple[Axis, ...], ...]
    ) -> tuple[str, Array, tuple[tuple[Axis, ...], ...]]:
        """Give an array that says which heads go with which the copies that all others have those heads in."""
        use = uses[0]
        ends = {axis.space for axis in use}
        if len(uses) > 1 or array.ndim != 2 or not ends <= self.heads or not _assigns(array):
            return name, array, uses
        others = [other for one, _, some in self.arrays if one != name for other in some]
        above = [
            tuple(axis for axis in other if axis.role == "stack")
            for other in others
            if not ends.isdisjoint(axis.space for axis in other if axis.role == "head")
        ]
        alone = any(not ends.isdisjoint(axis.space for axis in other if axis.role in ("out", "in")) for other in others)
        if alone or len(set(above)) != 1 or len(above[0]) != 1:
            return name, array, uses
        units = next(space.units for space in self.graph.spaces if space.name == above[0][0].space)
        return name, np.broadcast_to(array, (units, *array.shape)), ((*above[0], *use),)

    def _find_nested(self) -> frozenset[str]:
        """Give the spaces that no array names without heads or copies beside it."""
        alone = {*self.graph.inputs, *self.graph.outputs}
        beside: dict[str, set[tuple[str, ...]]] = {}  # each space, and what it lies beside
        above: dict[str, set[tuple[str, ...]]] = {}  # each space of heads or copies, and those that it lies in
        together: list[set[str]] = []  # the spaces of each use with heads or copies
        masks = set[frozenset[str]]()
        for _, _, uses in self.arrays:
            for use in uses:
                names = {axis.space for axis in use if axis.role not in OVER and axis.space}
                over = tuple(use[number].space or "" for number in _over(use))
                for place, name in enumerate(over):
                    above.setdefault(name, set()).add(over[:place])
                if over:
                    together.append(names)
                    for name in names:
                        beside.setdefault(name, set()).add(over)
                else:
                    alone.update(names)
                    masks.add(frozenset(names))
        for name, several in above.items():
            (first, *others) = several | beside.get(name, set())
            if first and not others and name not in alone:
                self.within[name] = first
        alone.update(above.keys() - self.within.keys())
        nested = frozenset(beside) - alone
        # One that heads write to and heads of another kind read from, as between two layers of attention, lies in none,
        # if it is not what these arrays have heads for.
        apart = {
            name for name in nested if not all(_go_together(*pair, masks) for pair in pairwise(sorted(beside[name])))
        }
        sure = nested - apart
        return frozenset(
            name for name in nested if name in sure or not all(names & sure for names in together if name in names)
        )

    def _sides(
        self, use: tuple[Axis, ...]
    ) -> tuple[list[tuple[Key, tuple[int, ...], str]], list[tuple[tuple[int, ...], Key]]]:
        """Give the nodes of one use, each with its axes and its role, and the heads that these are nested in."""
        over = _over(use)
        parents = tuple(use[number].space or "" for number in over)
        sides: list[tuple[Key, tuple[int, ...], str]] = []
        for number, axis in enumerate(use):
            if axis.role in ("out", "in") and axis.space:
                inner = axis.space in self.nested
                key = (axis.space, parents if inner else ())
                sides.append((key, (*over, number) if inner else (number,), axis.role))
        keys: list[tuple[tuple[int, ...], Key]] = []
        for place, name in enumerate(parents):
            inner = name in self.within
            keys.append((tuple(over[: place + 1]) if inner else (over[place],), self._parent(name)))
        if any(len(axes) > 1 for _, axes, _ in sides):
            return sides, keys
        covered = {axis for axes, _ in keys for axis in axes[:-1]}
        sides += [(key, axes, "head") for axes, key in keys if axes[-1] not in covered]
        return sides, [(axes, key) for axes, key in keys if axes[-1] in covered]

    def _parent(self, name: str) -> Key:
        """Give the node of a space of heads or copies."""
        return name, self.within.get(name, ())

    def _find(self, key: Key) -> Key:
        while self.root.setdefault(key, key) != key:
            key = self.root[key]
        return key

    def system(self) -> System:
        read = []
        for name, array, uses in self.arrays:
            several = [self._sides(use) for use in uses]
            forms = {(tuple(axes for _, axes, _ in sides), len(over)) for sides, over in several}
            if len(forms) > 1:
                raise ValueError(f"{name!r} is used twice, with heads or copies on different axes, and can't be judged")
            first = several[0]
            for sides, over in several:
                for (one, _, _), (other, _, _) in zip(first[0], sides, strict=True):
                    self.root[self._find(one)] = self._find(other)
                for (_, above), (_, other_above) in zip(first[1], over, strict=True):
                    self.root[self._find(above)] = self._find(other_above)
            roles = [{sides[place][2] for sides, _ in several} for place in range(len(first[0]))]
            read.append((name, array, first, roles))
        for space in self.graph.spaces:
            if space.name not in self.nested and space.name not in self.within:
                self._find((space.name, ()))
        keys = [key for key in self.root if self._find(key) == key]
        places = {key: place for place, key in enumerate(keys)}
        number = {key: places[self._find(key)] for key in self.root}
        merged: list[list[Key]] = [[] for _ in keys]
        for key in self.root:
            merged[number[key]].append(key)
        units = {space.name: space.units for space in self.graph.spaces}
        nodes = tuple(self._node(each, number, units) for each in merged)
        views = tuple(
            View(
                name,
                array,
                tuple(
                    Side(number[key], axes, "out" in role, "in" in role)
                    for (key, axes, _), role in zip(sides, roles, strict=True)
                ),
                tuple((axes, number[key]) for axes, key in over),
            )
            for name, array, (sides, over), roles in read
        )
        links = tuple(self._links(nodes, views, number))
        every: list[Weight | PerUnit] = [*self.graph.connections, *self.graph.per_unit]
        masking = frozenset(each.name for each in every if each.multiplies is not None)
        return System(nodes, views, links, self.masks, masking)

    def _node(self, merged: list[Key], number: dict[Key, int], units: dict[str, int]) -> Node:
        spaces = tuple(dict.fromkeys(space for space, _ in merged))
        parents = {tuple(number[self._parent(parent)] for parent in above) for _, above in merged}
        shapes = {tuple(units[name] for name in (*above, space)) for space, above in merged}
        if len(parents) > 1 or len(shapes) > 1:
            listed = ", ".join(repr(space) for space in spaces)
            raise ValueError(f"spaces {listed} share an axis of an array, but their units don't go with each other")
        seen = {*self.graph.inputs, *self.graph.outputs} | self.noise
        return Node(spaces, shapes.pop(), parents.pop(), any(space in seen for space in spaces))

    def _links(self, nodes: tuple[Node, ...], views: tuple[View, ...], number: dict[Key, int]) -> Iterator[Link]:
        for space in sorted(self.nested):
            found = sorted({number[key] for key in self.root if key[0] == space})
            for one, other in pairwise(found):
                more, fewer = sorted((one, other), key=lambda node: -nodes[node].size)
                above, beside = nodes[more].parents, nodes[fewer].parents
                if above[:-1] == beside[:-1]:
                    of = _which(views, above[-1], beside[-1])
                    if of is not None:
                        copies = prod(nodes[more].shape[:-2])
                        if of.ndim == 1:
                            of = np.broadcast_to(of, (copies, len(of)))
                        first = nodes[fewer].shape[-2] * np.arange(copies)[:, np.newaxis]
                        yield Link(more, fewer, (of + first).reshape(-1))
                        continue
                names = [nodes[parent].spaces[0] for node in (more, fewer) for parent in nodes[node].parents]
                raise ValueError(
                    f"the units of {space!r} lie in {' and in '.join(map(repr, names))}, and no weight says which goes "
                    f"with which: add a mask, ('out', {names[0]!r}), ('in', {names[-1]!r}), with a single 1 in each row"
                )


def _masks(graph: LayerGraph) -> dict[str, npt.NDArray[np.bool_]]:
    """Give, for each array that masks multiply, where none of them is 0."""
    every: list[Weight | PerUnit] = [*graph.connections, *graph.per_unit]
    arrays = {each.name: each for each in every}
    found: dict[str, npt.NDArray[np.bool_]] = {}
    for each in every:
        if each.multiplies is not None:
            weight = arrays[each.multiplies]
            alike = each.axes == weight.axes  # of a kernel several axes are, and then all are there
            places = [n if alike else weight.axes.index(axis) for n, axis in enumerate(each.axes)]
            wide = [size if axis in places else 1 for axis, size in enumerate(weight.array.shape)]
            open_ = (each.array != 0).transpose(np.argsort(places)).reshape(wide)
            found[weight.name] = np.logical_and(
                found.get(weight.name, True), np.broadcast_to(open_, weight.array.shape)
            )
    return found


def _over(use: tuple[Axis, ...]) -> list[int]:
    """Give the axes of copies, then those of heads."""
    return sorted((number for number, axis in enumerate(use) if axis.role in OVER), key=lambda n: use[n].role == "head")


def _go_together(one: tuple[str, ...], other: tuple[str, ...], masks: set[frozenset[str]]) -> bool:
    """Whether a weight may say which of some heads go with which of others."""
    return len(one) == len(other) == 1 and frozenset(one + other) in masks


def _which(views: tuple[View, ...], more: int, fewer: int) -> npt.NDArray[np.intp] | None:
    """Give, for each unit of node `more`, the one of `fewer` that a mask says; for each of their copies."""
    for view in views:
        nodes = [side.node for side in view.sides]
        if nodes in ([more, fewer], [fewer, more]) and view.array.ndim == len({a for s in view.sides for a in s.axes}):
            one, other = (next(side for side in view.sides if side.node == node) for node in (more, fewer))
            if one.axes[:-1] == other.axes[:-1]:
                mask = view.array.transpose(*one.axes, other.axes[-1])
                taken = np.asarray(mask, np.float64) != 0
                if (taken.sum(axis=-1) == 1).all():
                    return np.asarray(taken.argmax(axis=-1))
    return None


def _assigns(array: Array) -> bool:
    """Whether a matrix has a single entry that is not zero in each row, or in each column."""
    taken = array != 0
    return bool((taken.sum(axis=1) == 1).all() or (taken.sum(axis=0) == 1).all())
