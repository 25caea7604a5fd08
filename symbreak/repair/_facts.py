"""What a repair has to know of a network beside its classes: queries and keys, norms, masks, activations.

A graph says how arrays are wired, and not what is computed from them. What follows from the wiring alone is found here:
units that two weights write to and nothing reads are those of queries and keys, whose product is taken; a scale without
running statistics is that of a norm over the units, or may be.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, final

import numpy as np
import numpy.typing as npt

from symbreak.diagnosis._nodes import OVER, Side, System, View
from symbreak.diagnosis._partition import Indices, Refiner
from symbreak.graph import Axis, LayerGraph, Weight
from symbreak.reports import visible

Array = npt.NDArray[Any]

WEIGHT = "weight"

# Activations in which the units of a space meet, so that leaving one out changes what the others give.
# What a router weighs copies with, one by one. `identity` is what is recorded where nothing is known.
ONE_BY_ONE = frozenset(
    {
        "linear",
        "sigmoid",
        "hard_sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "elu",
        "gelu",
        "silu",
        "softplus",
        "exp",
        "square",
    }
)

MIXING = frozenset({"softmax", "log_softmax", "softmin", "sparsemax", "maxout", "glu", "group_sort", "top_k"})
MIXING |= {"layer_norm", "rms_norm", "group_norm"}  # those without parameters


@final
@dataclass(frozen=True)
class Pair:
    """The arrays whose product over the units of a node is taken: queries, and keys."""

    queries: frozenset[str]
    keys: frozenset[str]


@final
@dataclass(eq=False)
class Facts:
    """A graph, read as a system of nodes."""

    graph: LayerGraph
    system: System
    kinds: dict[str, str] = field(init=False)
    alone: set[str] = field(init=False)  # scales that are of no norm
    pairs: dict[int, Pair | None] = field(init=False)
    arrays: dict[str, Array] = field(init=False)
    connections: dict[str, Weight] = field(init=False)
    _found: dict[tuple[str, ...], frozenset[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.arrays = self.graph.arrays
        self.connections = {each.name: each for each in self.graph.connections}
        self.kinds = {each.name: WEIGHT for each in self.graph.connections}
        self.kinds |= {each.name: each.kind for each in self.graph.per_unit}
        self.alone = {each.name for each in self.graph.per_unit if each.norm == "none"}
        self.pairs = self._find_pairs()

    @classmethod
    def of(cls, graph: LayerGraph, *, picking: bool = True) -> "Facts":
        """Read a graph; one that is no network is a ValueError or a TypeError. `picking` as in `System.of`."""
        if not isinstance(graph, LayerGraph):
            raise TypeError(f"a network is repaired as a LayerGraph, such as sb.chain(...); got {type(graph).__name__}")
        return cls(graph, System.of(graph, picking=picking))

    def classes(self, *, redundant: bool = False) -> tuple[Indices, ...]:
        """Give the class of each unit of each node: those of the partition, or of what is equal for every input."""
        refiner = Refiner(self.system, forward=redundant)
        for view in self.system.views:
            if not refiner.is_finite(view):
                raise ValueError(
                    f"{visible(view.name)!r} has values that are not finite, so its network can't be repaired: go back "
                    f"to weights from before they appeared"
                )
        return refiner.refine().labels

    def name(self, number: int) -> str:
        """Name a node by its spaces."""
        return ", ".join(repr(visible(space)) for space in self.names(number))

    def names(self, number: int) -> tuple[str, ...]:
        """Give the spaces of a node; one that lies in two kinds of heads is in both nodes."""
        node = self.system.nodes[number]
        return node.spaces

    def is_shared(self, side: Side) -> bool:
        """Whether an array both writes to a node and is read from it along one axis, in two of its uses."""
        return side.written and side.read

    def writers(self, number: int) -> list[str]:
        """Name the weights that write to a node."""
        return [
            view.name for view, side in self.system.views_of(number) if side.written and self.kinds[view.name] == WEIGHT
        ]

    def _find_pairs(self) -> dict[int, Pair | None]:
        """Find the nodes of queries and keys; None where more weights write, and it can't be said which is which."""
        found: dict[int, Pair | None] = {}
        for link in self.system.links:
            if not self.system.is_read(link.more):
                queries, keys = (frozenset(self.writers(number)) for number in (link.more, link.fewer))
                if queries and keys:
                    found[link.more] = found[link.fewer] = Pair(queries, keys)
        for number, node in enumerate(self.system.nodes):
            if number not in found and not node.apart and not self.system.is_read(number):
                writers = self.writers(number)
                if len(writers) == 2:
                    found[number] = Pair(frozenset(writers[:1]), frozenset(writers[1:]))
                elif len(writers) > 2:
                    found[number] = None
        return found

    def is_query(self, view: View, number: int) -> bool:
        """Whether an array gives the queries of a node, or the bias of those."""
        pair = self.pairs.get(number)
        if pair is None:
            return False
        if self.kinds[view.name] == WEIGHT:
            return view.name in pair.queries
        if self.kinds[view.name] != "bias":
            return False
        if self._linked(number):  # the queries have a node of their own
            return any(number == link.more for link in self.system.links)
        return owner(view.name, [*pair.queries, *pair.keys]) in pair.queries

    def unclear_bias(self, number: int) -> str | None:
        """Name a bias of which it can't be said whether it is the queries' or the keys'."""
        pair = self.pairs.get(number)
        if pair is None or self._linked(number):
            return None
        names = [view.name for view, _ in self.system.views_of(number) if self.kinds[view.name] == "bias"]
        return next((name for name in names if owner(name, [*pair.queries, *pair.keys]) is None), None)

    def _linked(self, number: int) -> bool:
        return any(number in (link.more, link.fewer) for link in self.system.links)

    def norm_of_product(self, number: int) -> str | None:
        """Name a norm of queries or keys."""
        if number not in self.pairs:
            return None
        kinds = ("scale", "shift", "mean", "variance")
        return next((view.name for view, _ in self.system.views_of(number) if self.kinds[view.name] in kinds), None)

    def norm_over(self, number: int) -> str | None:
        """Name a scale or shift of a norm over the units of a node, or one that may be.

        A batch norm is known by its running statistics: it treats each unit by itself, as do scales of no norm.
        """
        of = [(view.name, self.kinds[view.name]) for view, _ in self.system.views_of(number)]
        of = [(name, kind) for name, kind in of if name not in self.alone]
        counts = {kind: sum(each == kind for _, each in of) for kind in ("scale", "shift", "mean", "variance")}
        if max(counts["scale"], counts["shift"]) <= max(counts["mean"], counts["variance"]):
            return None
        return next(name for name, kind in of if kind in ("scale", "shift"))

    def mixing(self, number: int) -> str | None:
        """Give the activation of a node in which its units meet."""
        functions = (function for name in self.names(number) for function in self.graph.space(name).functions)
        return next((function for function in functions if function in MIXING), None)

    def functions(self, number: int) -> tuple[str, ...]:
        """Give the activations of a node, as they are recorded of its spaces."""
        return tuple(dict.fromkeys(self.graph.space(name).activation for name in self.names(number)))

    def is_softmax(self, number: int) -> bool:
        """Whether copies are weighed by a softmax over them."""
        return self.copies(number) and self.functions(number) == ("softmax",)

    def added_to(self, number: int) -> str | None:
        """Name a bias of the units of a node, to which something can be added."""
        found = (view for view, _ in self.system.views_of(number) if self.kinds[view.name] == "bias")
        return next((view.name for view in found if len(view.sides) == 1 and view.array.dtype.kind in "fV"), None)

    def copies(self, number: int) -> bool:
        """Whether the units of a node are stacked copies, such as experts or members, rather than heads."""
        return not self._over("stack").isdisjoint(self.names(number))

    def is_parent(self, number: int) -> bool:
        """Whether other nodes lie in the units of this one, or arrays have one of its units along an axis as a head."""
        return not self._over(*OVER).isdisjoint(self.names(number))

    def _over(self, *roles: str) -> frozenset[str]:
        """Give the spaces that an axis of some role runs over."""
        if roles not in self._found:
            self._found[roles] = frozenset(axis.space for axis in self._axes() if axis.role in roles and axis.space)
        return self._found[roles]

    def _axes(self) -> Iterator[Axis]:
        for weight in self.graph.connections:
            for use in weight.uses:
                yield from use
        for each in self.graph.per_unit:
            yield from each.axes

    def free(self, view: View) -> bool:
        """Whether an array is a weight that training changes, of a type with fractions, and no mask."""
        if self.kinds[view.name] != WEIGHT or self.is_mask(view) or self._is_assignment(view):
            return False
        if view.array.dtype == object:
            return all(isinstance(value, Fraction) for value in view.array.flat)
        return view.array.dtype.kind in "fcV"

    def _is_assignment(self, view: View) -> bool:
        """Whether an array says which head reads which key and value head."""
        nodes = self.system.nodes
        ends = {(nodes[link.more].parents[-1], nodes[link.fewer].parents[-1]) for link in self.system.links}
        over = tuple(side.node for side in view.sides)
        return over in ends or over[::-1] in ends

    def is_mask(self, view: View) -> bool:
        """Whether an array only says what is connected: by what it holds, or because the graph says so."""
        return view.name in self.system.masking or is_mask(view.array)

    def stored(self, view: View, array: Array) -> Array:
        """Give an array of a weight's shape the values that the weight holds where a mask is 0, which do not count."""
        mask, before = self.system.masks.get(view.name), self.arrays[view.name]
        return array if mask is None or before.shape != array.shape else np.where(mask, array, before)

    def support(self, view: View) -> Array | None:
        """Give where a weight may be other than zero, if a mask says so: a grouped or depthwise convolution."""
        if view.name in self.system.masks:
            return self.system.masks[view.name]
        plain = [side for side in view.sides if len(side.axes) == 1]
        if len(plain) != 2 or len(view.sides) != 2:
            return None
        for mask in self.system.views:
            if mask is view or not is_mask(mask.array) or len(mask.sides) != 2 or mask.array.ndim != 2:
                continue
            ends, theirs = [side.node for side in plain], [side.node for side in mask.sides]
            if ends not in (theirs, theirs[::-1]):
                continue
            wide = [1] * view.array.ndim
            allowed = (mask.array if ends == theirs else mask.array.T) != 0
            for side in plain:
                wide[side.axes[0]] = view.array.shape[side.axes[0]]
            allowed = np.broadcast_to(allowed.reshape(wide), view.array.shape)
            if not (view.array[~allowed] != 0).any():
                return np.asarray(allowed)
        return None

    def parents_summed(self, view: View, side: Side) -> bool:
        """Whether what units of several heads, or copies, are read with is added up: then they may share it out."""
        if any(other.written and set(other.axes[:-1]) & set(side.axes[:-1]) for other in view.sides):
            return False  # each head writes to units of its own
        return not self.uncombined(side.node)

    def uncombined(self, number: int) -> bool:
        """Whether units are, or lie in, stacked copies that no router weighs, whose outputs may be anything."""
        around = (number, *self.system.nodes[number].parents)
        return any(self.copies(each) and not self.writers(each) for each in around)


def is_mask(array: Array) -> bool:
    """Whether an array only says what is connected: booleans, or whole numbers that are 0 or 1."""
    if array.dtype.kind == "b":
        return True
    return array.dtype.kind in "iu" and bool(((array == 0) | (array == 1)).all())


def owner(name: str, among: Sequence[str]) -> str | None:
    """Give the weight that a bias goes with, by the beginning and the end of its name; None where two are as near."""
    near = [_alike(name, each) + _alike(name[::-1], each[::-1]) for each in among]
    best = [each for each, score in zip(among, near, strict=True) if score == max(near)]
    return best[0] if len(best) == 1 else None


def _alike(one: str, other: str) -> int:
    """Count the characters that two names begin with together."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def tied(labels: Indices) -> npt.NDArray[np.bool_]:
    """Say which units are in a class of two or more."""
    return np.asarray(np.bincount(labels)[labels] > 1)


def members(labels: Indices) -> Iterator[Indices]:
    """Yield the units of each class of two or more."""
    sizes = np.bincount(labels)
    order = np.argsort(labels, kind="stable")
    for units in np.split(order, np.cumsum(sizes)[:-1]):
        if len(units) > 1:
            yield units
