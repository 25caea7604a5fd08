"""What the axes of a value are made of: factors that are units of a space or positions, split, cut and joined.

A factor that turns out to be another one says so (`find`), one that is split is the product of what it was split into
(`expand`), and one that is cut holds its pieces.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final


class NotUnderstood(Exception):  # noqa: N818 - says what the matter is
    """Something that units can't be followed through, with the reason."""


@final
@dataclass(eq=False)
class Var:
    """One factor of an axis: the units of a space, or positions.

    Parameters
    ----------
    size
        How many; None where nothing says it, as of a batch.
    units
        Whether they are units; else positions, which are told apart by where they are.
    name
        What it would be called.
    """

    size: int | None
    units: bool = False
    name: str = ""
    same: "Var | None" = None  # what it was found to be
    product: "tuple[Var, ...]" = ()  # what it was split into, the slowest first
    pieces: "tuple[Axis, ...]" = ()  # what it was cut into, end to end
    owners: "list[Var]" = field(default_factory=list)  # what was split into this and others
    members: "tuple[tuple[Var, ...], ...]" = ()  # of an axis whose indices were taken apart: what each of them has
    family: "tuple[Var, int] | None" = None  # such an axis, and the place among what its members have
    readings: dict[tuple[str, ...], None] = field(default_factory=dict)  # activations that readers see it through
    apart: str = ""
    input: bool = False
    output: bool = False
    groups: "Var | None" = None  # the key and value heads that these heads share
    copies: bool = False  # whether they are positions at which a value is the same
    stack: "Var | None" = None  # the stacked copies, one of which writes these units for each position


Axis = tuple[Var, ...]  # the slowest factor first; none for an axis of length 1


@final
@dataclass(frozen=True)
class Value:
    """What is known of a value: the factors of each of its axes, and the functions that its units passed through."""

    axes: tuple[Axis, ...]
    passed: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Part:
    """What is said of one axis of an array: roles and the factors that they run over, the slowest first."""

    terms: tuple[tuple[str, Axis | int], ...]
    by: "tuple[Part, ...]" = ()  # what it is for each piece of an axis that is cut, instead
    whole: bool = True  # whether that axis is another one


ONE = Part((("one", 1),))
FIELD = Part((("receptive", 0),))


def out(axis: Axis) -> Part:
    """Say that an array writes to the units of an axis."""
    return Part((("out", axis),))


def read(axis: Axis) -> Part:
    """Say that an array reads the units of an axis."""
    return Part((("in", axis),))


@final
@dataclass(frozen=True)
class Spoken:
    """What is said of one array, before the factors of its axes have names."""

    tensor: str
    parts: tuple[Part, ...]
    kind: str
    norm: str | None = None


def find(var: Var) -> Var:
    """Give what a factor was found to be."""
    while var.same is not None:
        var = var.same
    return var


def expand(axis: Iterable[Var]) -> Axis:
    """Give the factors of an axis as they are split by now."""
    found: list[Var] = []
    for each in axis:
        var = find(each)
        found += expand(var.product) if var.product else [var]
    return tuple(found)


def length(axis: Axis) -> int | None:
    """Give the length of an axis, None where nothing says it."""
    sizes = [var.size for var in expand(axis)]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def rows(var: Var) -> list[tuple[Var, Axis]]:
    """List the axes that were split into this factor and others: each with all that it was split into."""
    found, open_ = [], list(var.owners)
    while open_:
        owner = open_.pop()
        above = find(owner).owners
        if above:
            open_ += above
        else:
            row = expand((owner,))
            found += [(find(owner), row)] if var in row else []
    return found[::-1]


def inside(axis: Axis) -> list[Var]:
    """List the factors of an axis, and those of its pieces and of what its indices have."""
    found: list[Var] = []
    for var in expand(axis):
        inner = [*var.pieces, *var.members]
        found += [var, *(each for some in inner for each in inside(some))]
    return found


def is_under(owner: Var, top: Var) -> bool:
    """Whether a factor is what was split, or was split from it."""
    return find(owner) is find(top) or any(is_under(each, top) for each in find(owner).owners)


def has_units(axis: Axis) -> bool:
    """Whether an axis runs over units, be it beside positions."""
    return any(var.units for var in expand(axis))
