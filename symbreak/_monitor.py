"""How many units of a model are distinct, and how many dead, while it trains: looked at every so many steps.

A look reads a few values of each unit; whole units are read only where these few agree, so that a healthy model is
looked at for a small part of what reading it costs, and the numbers are exact all the same. Units that are equal, or
nearly so, at the first look are followed: how far they come apart, and by what factor a step.
"""

import html
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from ._curves import curves_svg, growth_curves, growth_label
from ._growth import Growth, spread_of, wide_rows
from ._table import LINE, html_table, named_table
from ._visible import visible
from .diagnosis import find_ties
from .diagnosis._labels import joined

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]
Index: TypeAlias = "tuple[slice | Array, ...]"
Read = Callable[[str, Index], Array]
Log = Callable[[int, dict[str, float]], object]

EVERY = 100  # steps
VALUES = 32  # of a unit, which are read first
SAMPLES = 1024  # activations of a unit
NEAR = 0.01  # relative distance of units that are followed
CHANCE = 1e-6  # pairs of independent units that are taken for near, of all pairs of a weight
CLASSES, MEMBERS = 4, 16  # classes of a weight that are followed, and units of each
POINTS = 1000  # looks of which the spread is kept; of more, every other one is left out
TITLES = ("space", "units", "distinct", "dead", "since step")


@final
@dataclass(frozen=True)
class Watched:
    """A weight that a monitor looks at.

    Parameters
    ----------
    name
        By which it is read.
    shape
        Of the array.
    axis
        Along which its units lie.
    """

    name: str
    shape: tuple[int, ...]
    axis: int = 0


@final
@dataclass(frozen=True)
class MonitorRow:
    """What was seen of one space.

    Attributes
    ----------
    step
        When.
    name
        Of the weight, or of what gave the activations.
    units
        How many it has.
    distinct
        How many differ from each other, bit for bit: in their incoming weights, or on the samples.
    dead
        How many have incoming weights of zero alone, or were zero on every sample.
    """

    step: int
    name: str
    units: int
    distinct: int
    dead: int


@final
class Monitor:
    """Counts the distinct and the dead units of each space every so many steps.

    Parameters
    ----------
    weights
        What to look at.
    read
        Gives a part of a weight as NumPy's, called with its name and an index: a tuple of one slice, or one array of
        whole numbers, for each axis; at most one is an array.
    every
        Steps from one look to the next.
    log
        Called after each look with the step and ``{"distinct/<name>": count, "dead/<name>": count, ...}``, and
        ``"spread/<name>"`` of what `growth` follows; or an object with ``add_scalar(tag, value, step)``, as
        TensorBoard's ``SummaryWriter``. None keeps to the record.

    Raises
    ------
    TypeError, ValueError
        A `log` that is neither, or `every` that is no whole number from 1.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.array([[0.5, 0.5], [0.5, 0.5], [0.0, 0.0], [1.0, 2.0]])
    >>> monitor = Monitor([Watched("fc1.weight", (4, 2))], lambda name, index: weight[index], every=10)
    >>> for _ in range(20):
    ...     _ = monitor.step()
    >>> print(monitor)
    space       units  distinct  dead  since step
    fc1.weight      4         3     1          10
    fc1.weight: 2 units: spread 0 at step 10, 0 at step 20; equal at every look
    looked 2 times in 20 steps, every 10
    """

    def __init__(self, weights: Iterable[Watched], read: Read, *, every: int = EVERY, log: object = None) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"`every` is a whole number of steps, 1 or more; got {every!r}")
        self.every, self._log = every, as_log(log)
        self._weights, self._read = tuple(weights), read
        self._count = self._looks = 0
        self._seen: dict[str, tuple[int, npt.NDArray[np.intp], npt.NDArray[np.bool_]]] = {}
        self._rows: list[MonitorRow] = []
        self._last: dict[str, MonitorRow] = {}
        self._followed: dict[tuple[str, tuple[int, ...]], _Followed | None] = {}

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._count

    @property
    def due(self) -> bool:
        """Whether the step that is under way will be looked at: what `observe` is told counts."""
        return (self._count + 1) % self.every == 0

    @property
    def rows(self) -> tuple[MonitorRow, ...]:
        """The record: a row where a space was first seen, and one wherever its numbers changed."""
        return tuple(self._rows)

    @property
    def latest(self) -> dict[str, MonitorRow]:
        """The last row of each space; its step says since when it is so."""
        return dict(self._last)

    @property
    def growth(self) -> tuple[Growth, ...]:
        """How units come apart that were equal at the first look, or nearer than 1 %: the spread at each look.

        Of a weight at most four classes of sixteen units are followed. Look before the first step to see them from the
        start.
        """
        return tuple(each.growth(name) for (name, _), each in self._followed.items() if each and each.points)

    def observe(self, name: str, activations: npt.ArrayLike, axis: int = -1) -> None:
        """Take note of activations in the step that is under way; several of one name count together.

        Parameters
        ----------
        name
            Of the space.
        activations
            Of any shape, the units along `axis`. `part_of` says which samples are enough.
        axis
            Along which the units lie.
        """
        values = np.asarray(activations)
        ties = find_ties(values, axis)
        zero = np.zeros(len(ties.labels), bool)
        zero[ties.zero] = True
        uses, labels, dead = self._seen.get(name, (0, np.zeros_like(ties.labels), np.ones_like(zero)))
        if len(labels) != len(zero):
            raise ValueError(f"{visible(name)} had {len(labels)} units before, and now has {len(zero)}")
        self._seen[name] = (uses + 1, joined(labels, ties.labels), dead & zero)

    def step(self) -> bool:
        """Count a step, and look if it is time; say whether it was."""
        due = self.due
        self._count += 1
        if due:
            self.look()
        return due

    def look(self) -> dict[str, MonitorRow]:
        """Look at every space now; give a row each."""
        found: dict[str, MonitorRow] = {}
        spreads: dict[str, float] = {}
        for each in self._weights:
            axis = each.axis % len(each.shape)
            part = self._read(each.name, part_of(each.shape, axis, VALUES))
            found[each.name] = MonitorRow(self._count, each.name, *self._counts(each, axis, part))
            spread = self._spread(each, axis, part)
            if spread is not None:
                spreads[f"spread/{each.name}"] = spread
        for name, (_, labels, dead) in self._seen.items():
            found[name] = MonitorRow(self._count, name, len(dead), len(np.unique(labels)), int(dead.sum()))
        self._seen.clear()
        self._looks += 1
        for name, row in found.items():
            last = self._last.get(name)
            if last is None or (last.units, last.distinct, last.dead) != (row.units, row.distinct, row.dead):
                self._rows.append(row)
                self._last[name] = row
        if self._log is not None:
            values = [(f"{what}/{name}", getattr(row, what)) for name, row in found.items() for what in COUNTS]
            self._log(self._count, {tag: float(value) for tag, value in values} | spreads)
        return found

    def _counts(self, watched: Watched, axis: int, values: Array) -> tuple[int, int, int]:
        """Count the units of a weight, the distinct and the dead ones."""
        units = watched.shape[axis]
        part = find_ties(values, axis, 1)
        if math.prod(watched.shape) <= VALUES * units:
            return units, len(np.unique(part.labels)), len(part.zero)
        sizes = np.bincount(part.labels, minlength=1)
        again = np.union1d(np.flatnonzero(sizes[part.labels] > 1), part.zero)
        if not len(again):
            return units, units, 0
        whole = find_ties(self._whole(watched, axis, again), axis, 1)
        return units, units - len(again) + len(np.unique(whole.labels)), len(whole.zero)

    def _whole(self, watched: Watched, axis: int, units: Array) -> Array:
        """Read all values of some units."""
        index: list[slice | Array] = [slice(None)] * len(watched.shape)
        index[axis] = units if len(units) < watched.shape[axis] else slice(None)
        return self._read(watched.name, tuple(index))

    def _spread(self, watched: Watched, axis: int, part: Array) -> float | None:
        """Measure how far the units are apart that are followed; None where there are none."""
        key = (watched.name, watched.shape)
        if key not in self._followed:
            classes = near_classes(np.moveaxis(part, axis, 0))[:CLASSES]
            self._followed[key] = _Followed([each[:MEMBERS] for each in classes]) if classes else None
        followed = self._followed[key]
        if followed is None:
            return None
        rows = np.moveaxis(self._whole(watched, axis, followed.units), axis, 0)
        if not followed.points:
            followed.groups = [each.tolist() for some in followed.groups for each in _truly_near(rows, some)]
        spread = spread_of(rows, followed.groups)
        if not followed.groups or not math.isfinite(spread):
            self._followed[key] = followed if followed.groups else None
            return None
        followed.add(self._count, spread)
        return spread

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        return {
            "every": self.every,
            "steps": self._count,
            "looks": self._looks,
            "rows": [asdict(row) for row in self._rows],
            "growth": [each.to_dict() for each in self.growth],
        }

    def __str__(self) -> str:
        rows = self._table()
        lines = [named_table(TITLES, rows, right=range(1, 5))] if rows else []
        for each in self.growth:
            lines += textwrap.wrap(f"{visible(each.where)}: {each.sentence}", LINE, subsequent_indent="    ")
        return "\n".join([*lines, self._head])

    def _repr_html_(self) -> str:
        shown = html_table(self._head, TITLES, [(visible(row[0]), *row[1:]) for row in self._table()])
        if not (growths := self.growth):
            return shown
        told = "".join(f"<li>{html.escape(f'{visible(each.where)}: {each.sentence}')}</li>" for each in growths)
        drawn = curves_svg(growth_curves(growths), "step", growth_label(growths))
        return f"{shown}<figure>{drawn}<figcaption><ul>{told}</ul></figcaption></figure>"

    @property
    def _head(self) -> str:
        times = f"{self._looks} time{'' if self._looks == 1 else 's'}"
        return f"looked {times} in {self._count} step{'' if self._count == 1 else 's'}, every {self.every}"

    def _table(self) -> list[tuple[str, ...]]:
        return [(row.name, *map(str, (row.units, row.distinct, row.dead, row.step))) for row in self._last.values()]


COUNTS = ("distinct", "dead")


@final
class _Followed:
    """Units of one weight that were near each other, and how far they have been apart."""

    def __init__(self, classes: Sequence[Indices]) -> None:
        self.units: Indices = np.sort(np.concatenate(classes))  # that are read
        self.groups: list[list[int]] = [np.searchsorted(self.units, each).tolist() for each in classes]  # among them
        self.points: dict[int, float] = {}

    def add(self, step: int, spread: float) -> None:
        self.points[step] = spread
        if len(self.points) > POINTS:
            self.points = dict(sorted(self.points.items())[::2])  # of an odd number: the last one stays

    def growth(self, name: str) -> Growth:
        places, spread = zip(*sorted(self.points.items()), strict=True)
        return Growth(name, sum(map(len, self.groups)), len(self.groups), places, spread)


def near_classes(units: Array) -> list[Indices]:
    """Find units that are equal or near each other, from a few values of each, by one sort.

    None is false on these values. One can be missed, where a unit that is not near lies between two that are along the
    line on which they are sorted. Units of zeros, and those that are not finite, are left out.

    Parameters
    ----------
    units
        (units, ...): some values of each.

    Returns
    -------
    list of arrays
        The units of each class, in order, the class with the first unit first.

    Examples
    --------
    >>> near_classes(np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]))
    [array([0, 2])]
    """
    rows = wide_rows(units)
    line = np.cos(np.arange(1, rows.shape[1] + 1) ** 2)  # a direction that no weight has
    with np.errstate(all="ignore"):
        order = np.argsort((rows @ line).real, kind="stable")
        rows = rows[order]
        lengths = np.linalg.norm(rows, axis=1)
        apart = np.linalg.norm(rows[1:] - rows[:-1], axis=1)
        near = apart <= _tolerance(rows.shape) * np.maximum(lengths[1:], lengths[:-1])
        near &= (lengths[1:] > 0) & (lengths[:-1] > 0)
    parts = np.split(order, np.flatnonzero(~near) + 1)
    return sorted((np.sort(part) for part in parts if len(part) > 1), key=lambda each: int(each[0]))


def _tolerance(shape: tuple[int, ...]) -> float:
    """Give the relative distance of units that are near, less where they are many of few values: t**values is chance.

    Examples
    --------
    >>> _tolerance((512, 32)), _tolerance((1000, 1))
    (0.01, 1e-12)
    """
    units, values = shape
    return float(min(NEAR, (CHANCE / units**2) ** (1 / max(values, 1))))


def _truly_near(rows: Array, members: Sequence[int]) -> list[Indices]:
    """Keep of a class, of which a few values are near, the units near its first in all values, and so with the rest."""
    found, left, wide = [], np.array(members), wide_rows(rows)
    tolerance = _tolerance(wide.shape)
    while len(left) > 1:
        apart = np.linalg.norm(wide[left] - wide[left[0]], axis=1)
        longer = np.maximum(np.linalg.norm(wide[left], axis=1), np.linalg.norm(wide[left[0]]))
        near = apart <= tolerance * longer
        near[0] = True  # a NaN is near nothing
        if near.sum() > 1:
            found.append(left[near])
        left = left[~near]
    return found


def part_of(shape: Sequence[int], axis: int, values: int = SAMPLES) -> tuple[slice, ...]:
    """Give the index of a few values of each unit, which lie together.

    Parameters
    ----------
    shape
        Of the array.
    axis
        Of the units, all of which are in it.
    values
        The most of each unit.

    Examples
    --------
    >>> part_of((4096, 1024), 0, 32)
    (slice(0, 4096, None), slice(0, 32, None))
    >>> part_of((256, 128, 3, 3), 0, 32)
    (slice(0, 256, None), slice(0, 3, None), slice(0, 3, None), slice(0, 3, None))
    """
    found, left = [], values
    for number in range(len(shape))[::-1]:
        take = shape[number] if number == axis % len(shape) else min(shape[number], max(left, 1))
        left = left if number == axis % len(shape) else left // max(take, 1)
        found.append(slice(0, take))
    return tuple(found[::-1])


def as_log(log: object) -> Log | None:
    """Take what a caller gives for a log: a function, a writer of TensorBoard's, or None.

    Raises
    ------
    TypeError
        It is none of these.
    """
    if log is None:
        return None
    add = getattr(log, "add_scalar", None)
    if callable(add):
        return _writer(add)
    if not callable(log):
        raise TypeError(
            f"`log` is called with a step and a dictionary of numbers, or has add_scalar as TensorBoard's writers do; "
            f"got a {type(log).__name__}"
        )
    call: Log = log
    return call


def _writer(add: Callable[[str, float, int], object]) -> Log:
    def write(step: int, values: Mapping[str, float]) -> None:
        for tag, value in values.items():
            add(tag, value, step)

    return write
