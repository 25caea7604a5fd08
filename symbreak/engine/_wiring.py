"""From layers to a graph: the spaces that wires run over, and the arrays that read and write them.

Layers say what they read and write, one after the other; sums say that two spaces are one. The graph is made at the
end, when it is known which spaces are the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np

from symbreak.graph import Axis, LayerGraph, PerUnit, Space, Weight

Array = np.ndarray[Any, np.dtype[Any]]


class Wire(NamedTuple):
    """What the units along the last axis of an array are.

    Attributes
    ----------
    spaces
        The names of the spaces that it runs over, one after the other.
    flat
        Whether positions were made units: then it runs over all its spaces once a position, and the arrays that read it
        show how many positions there are.
    passed
        For each of the spaces, the activations that stand alone which its units have passed on the way, or nothing;
        empty where none of them has passed any.
    """

    spaces: tuple[str, ...]
    flat: bool = False
    passed: tuple[str, ...] = ()

    @property
    def seen(self) -> tuple[tuple[str, str], ...]:
        """Each space with the activations that it has passed."""
        return tuple(zip(self.spaces, self.passed or ("",) * len(self.spaces), strict=True))


class _Array(NamedTuple):
    name: str
    array: Array
    axes: list[Axis]


@final
class Wiring:
    """Gathers the graph of a network while its layers are gone through."""

    def __init__(self) -> None:
        self.owner = ""  # the name that the parameters of the present layer begin with
        self._sizes: dict[str, int] = {}
        self._activations: dict[str, str] = {}
        self._seen: dict[tuple[str, str], None] = {}  # spaces, and the activations through which they are read
        self._same: dict[str, str] = {}  # a space that was merged into another: its name there
        self._weights: list[_Array] = []
        self._per_unit: list[tuple[_Array, str, str | None]] = []
        self._cuts: dict[str, list[tuple[str, tuple[int, ...]]]] = {}  # of each array: names and shapes of its pieces

    def space(self, name: str, units: int, activation: str = "identity") -> Wire:
        """Add a space.

        Raises
        ------
        NotImplementedError
            If there is one of that name, which would become the same.
        """
        if name in self._sizes:
            raise NotImplementedError(
                f"no graph can be made: two of its spaces would be called {name!r}; give the layer another name"
            )
        self._sizes[name], self._activations[name] = units, activation
        return Wire((name,))

    def units(self, wire: Wire) -> int:
        """Count the units along a wire, those of one position where it is flat."""
        return sum(self._sizes[self._name(space)] for space in wire.spaces)

    def through(self, wire: Wire, activation: str) -> Wire:
        """Let the units of a wire pass through an activation; who reads them elsewhere does not see it."""
        return wire._replace(passed=tuple(_then(passed, activation) for _, passed in wire.seen))

    def merge(self, wires: Sequence[Wire]) -> Wire:
        """Make one wire of several that are summed unit by unit.

        Raises
        ------
        NotImplementedError
            If they don't run over spaces of the same sizes in the same order.
        """
        sizes = [(wire.flat, [self._sizes[self._name(space)] for space in wire.spaces]) for wire in wires]
        if any(size != sizes[0] for size in sizes):
            raise NotImplementedError("no graph can be made of a sum whose sources run over spaces of other sizes")
        for wire in wires[1:]:
            for first, space in zip(wires[0].spaces, wire.spaces, strict=True):
                self._unite(self._name(first), self._name(space))
        self._seen |= {each: None for wire in wires for each in wire.seen if wire.passed}
        return wires[0]._replace(passed=())

    def concatenate(self, name: str, wires: Sequence[Wire]) -> Wire:
        """Put wires side by side.

        Raises
        ------
        NotImplementedError
            If positions were made units in one of them.
        """
        if any(wire.flat for wire in wires):
            raise NotImplementedError(f"no graph can be made of {name!r}: it joins positions that were made units")
        seen = [each for wire in wires for each in wire.seen]
        return Wire(tuple(space for space, _ in seen), passed=tuple(passed for _, passed in seen))

    def flatten(self, wire: Wire) -> Wire:
        """Make units of the positions of a wire."""
        return wire._replace(flat=True)

    def weight(
        self,
        part: str,
        array: Array,
        roles: Sequence[str | tuple[str, str | None]],
        out: Wire | None = None,
        source: Wire | None = None,
    ) -> None:
        """Add a weight that writes to a wire of one space and reads from another.

        Parameters
        ----------
        part
            Its name after that of the layer.
        array
            Its values, copied.
        roles
            One for each axis: ``"out"`` is the wire `out` and ``"in"`` the wire `source`, which may run over several
            spaces, or over one several times; then the weight is cut, or its axis made two. Other roles as in a graph:
            ``"gate"``, ``"receptive"``, or a pair of role and space.
        out, source
            The wires.

        Raises
        ------
        NotImplementedError
            If the array is used a second time, over wires with other borders.
        """
        axes = [Axis(*((role, None) if isinstance(role, str) else role)) for role in roles]
        pieces = [_Array(f"{self.owner}.{part}", np.array(array), axes)]
        for role, wire in (("out", out), ("in", source)):
            pieces = [cut for piece in pieces for cut in self._cut(piece, role, wire)]
        self._weights += self._cut_as_before(f"{self.owner}.{part}", pieces)
        self._seen |= dict.fromkeys(() if source is None else source.seen)

    def per_unit(
        self,
        part: str,
        array: Array,
        wire: Wire,
        kind: str = "bias",
        roles: Sequence[str | tuple[str, str | None]] = ("out",),
        norm: str | None = None,
    ) -> None:
        """Add a parameter with values of each unit of a wire; `roles` as in `weight`, and so is what raises."""
        axes = [Axis(*((role, None) if isinstance(role, str) else role)) for role in roles]
        name = f"{self.owner}.{part}"
        for piece in self._cut_as_before(name, self._cut(_Array(name, np.array(array), axes), "out", wire)):
            self._per_unit.append((piece, kind, norm))

    def _cut_as_before(self, name: str, pieces: list[_Array]) -> list[_Array]:
        """Return the pieces of an array, or raise if it is used again and has others: they would overlap unseen."""
        cuts = [(piece.name, piece.array.shape) for piece in pieces]
        if self._cuts.setdefault(name, cuts) != cuts:
            raise NotImplementedError(
                f"no graph can be made of {name!r}, which is used twice, over units that are parted in another way "
                f"each time"
            )
        return pieces

    def graph(self, inputs: Wire, outputs: Wire) -> LayerGraph:
        """Make the graph.

        Raises
        ------
        NotImplementedError
            If units of two spaces share a parameter, and no weight says that they are the same: a graph can't.
        """
        self._seen |= dict.fromkeys(outputs.seen)
        names = {space: self._name(space) for space in self._sizes}
        last = names[outputs.spaces[0]]
        taken = "output" in names.values()  # a layer may be called so
        if len(outputs.spaces) == 1 and last not in {names[space] for space in inputs.spaces} and not taken:
            names = {space: "output" if name == last else name for space, name in names.items()}
        spaces = {
            name: Space(name, self._sizes[space], self._activation(self._name(space))) for space, name in names.items()
        }
        weights: dict[str, Weight] = {}
        for name, array, axes in self._weights:
            found = [Axis(role, names.get(space or "")) for role, space in axes]
            if name in weights:  # one array used again
                before = weights[name]
                weights[name] = Weight(name, before.array, before.axes, (*before.also, tuple(found)))
            else:
                weights[name] = Weight(name, array, found)
        per_unit: dict[str, PerUnit] = {}
        for (name, array, axes), kind, norm in self._per_unit:
            found = [Axis(role, names.get(space or "")) for role, space in axes]
            each = PerUnit(name, array, found, kind, norm)
            first = per_unit.setdefault(name, each).space
            if first != each.space:
                if not any(_alike(weight, first, each.space) for weight in weights.values()):
                    raise NotImplementedError(
                        f"no graph can be made of {name!r}, which the units of {first!r} and of {each.space!r} share"
                    )
                per_unit[f"{name}@{each.space}"] = PerUnit(f"{name}@{each.space}", array, found, kind, norm)
        return LayerGraph(
            spaces.values(),
            weights.values(),
            per_unit.values(),
            inputs=dict.fromkeys(names[space] for space in inputs.spaces),
            outputs=dict.fromkeys(names[space] for space in outputs.spaces),
        )

    def _name(self, space: str) -> str:
        while space in self._same:
            space = self._same[space]
        return space

    def _activation(self, space: str) -> str:
        """Say through what a space is read, and through what else."""
        own = self._activations[space]
        readings = {_then(own, passed): None for name, passed in self._seen if self._name(name) == space}
        return " or ".join(readings or [own])

    def _unite(self, first: str, second: str) -> None:
        if first == second:
            return
        if second == "input":  # the input keeps its name: its units are told apart by what they mean
            first, second = second, first
        self._same[second] = first
        if self._activations[first] == "identity":
            self._activations[first] = self._activations[second]

    def _cut(self, piece: _Array, role: str, wire: Wire | None) -> list[_Array]:
        """Cut the axis of a role where its wire runs from one space to the next."""
        at = next((place for place, axis in enumerate(piece.axes) if axis == Axis(role)), None)
        if at is None or wire is None:
            return [piece]
        name, array, axes = piece
        if wire.flat:
            array = array.reshape(*array.shape[:at], -1, self.units(wire), *array.shape[at + 1 :])
            axes = [*axes[:at], Axis("receptive"), *axes[at:]]
            at += 1
        found, begin = [], 0
        for space in wire.spaces:
            end = begin + self._sizes[space]
            part = array[(slice(None),) * at + (slice(begin, end),)]
            index = "" if len(wire.spaces) == 1 else f"[{role} {begin}:{end}]"
            found.append(_Array(name + index, part, [*axes[:at], Axis(role, space), *axes[at + 1 :]]))
            begin = end
        return found


def _then(first: str, second: str) -> str:
    """Name one activation after another; either may be none."""
    return second or first if first in ("", "identity") else ", ".join(filter(None, (first, second)))


def _alike(weight: Weight, one: str, other: str) -> bool:
    """Whether an axis of a weight runs over both spaces, each in its own use: their units are numbered alike."""
    return any({one, other} <= {axis.space for axis in axes} for axes in zip(*weight.uses, strict=True))
