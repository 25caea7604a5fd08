"""What is known of a value while a jaxpr is translated: more than a node of a graph can say.

JAX writes out what a graph of layers leaves implicit: numbers are spread over whole shapes, the scale of a norm is
multiplied with the deviation before either meets the units, kernels of gates are laid end to end before they are used.
A symbol keeps such a value as what it is made of, until something needs it whole.
"""

from dataclasses import dataclass, replace
from typing import final

Shape = tuple[int, ...]


@final
@dataclass(frozen=True)
class Symbol:
    """One value.

    Attributes
    ----------
    shape
        Its shape, but 1 along axes where it is the same everywhere.
    name
        In the graph; empty where it has none.
    even
        Whether it is one number everywhere, or noise: no unit has a part of it.
    number
        That number, where it is known.
    tensor
        Whether it is an array of the model, perhaps turned.
    later
        Operations and arrays that are still to be carried out on it, one after the other.
    parts
        Values that it is made of, end to end along `axis`.
    inner, sizes
        Where it repeats what it has of each group of units, as a group norm does: the value with the groups and what is
        in them as axes of their own, and the lengths of these; joined they are `axis`.
    """

    shape: Shape
    name: str = ""
    even: bool = False
    number: float | None = None
    tensor: bool = False
    later: "tuple[tuple[str, Symbol], ...]" = ()
    parts: "tuple[Symbol, ...]" = ()
    axis: int = 0
    inner: "Symbol | None" = None
    sizes: Shape = ()

    @property
    def plain(self) -> bool:
        """Whether it is a value of the graph as it stands."""
        return bool(self.name) and not self.later

    @property
    def bare(self) -> "Symbol":
        """It without what is still to be carried out."""
        return replace(self, later=())


def number(value: float | None, rank: int = 0) -> Symbol:
    """Make a value that is one number everywhere."""
    return Symbol((1,) * rank, even=True, number=value)


def together(*shapes: Shape) -> Shape:
    """Give the shape of values that meet."""
    rank = max(map(len, shapes))
    full = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(max(sizes) for sizes in zip(*full, strict=True))
