"""Which units of one weight are nearly equal, within a stated distance, none missed and none false."""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from symbreak.diagnosis._labels import first_seen, joined
from symbreak.diagnosis._pairs import Classes, Window
from symbreak.diagnosis._rows import BLOCK, Array, Indices, Rows
from symbreak.diagnosis._ties import LISTED, find_ties, html_classes

LARGEST = 0.5  # of a tolerance: beyond, "near" would mean nothing
SPREAD = 2.0  # powers of two by which lengths in one window differ, besides what the tolerance allows
EXACT = 1024  # units of a class whose diameter is the largest of all distances; for more, a bound is given
SYMMETRIES = ("none", "scale", "sign")


@final
@dataclass(frozen=True, eq=False)
class NearTies:
    """Which units of one weight are nearly equal.

    Parameters
    ----------
    labels
        (units,), the class of each unit, numbered by first occurrence: units that are near, by way of others too, are
        of one class.
    diameters
        {class: the largest distance of two of its units, relative to the longer of them}, for the classes with units
        that differ. For a class of more than 1024 different units, or of more than 16 MiB in float64, it is a bound
        above: twice the largest distance from the first, over the shortest length.
    """

    labels: Indices
    diameters: dict[int, float]

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The classes with units that differ, in the order of their first units."""
        order = np.argsort(self.labels, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(self.labels))[:-1]) if len(order) else []
        return tuple(tuple(parts[label].tolist()) for label in sorted(self.diameters))

    def _repr_html_(self) -> str:
        rows = [
            (f"largest distance in the class of {group[0]}", f"{self.diameters[int(self.labels[group[0]])]:.3g}")
            for group in self.groups[:LISTED]
        ]
        return html_classes(self.labels, self.groups, rows)


def find_near_ties(
    array: npt.ArrayLike,
    tolerance: float,
    axis: int = 0,
    *,
    symmetry: str = "none",
    bias: npt.ArrayLike | None = None,
    workers: int | None = None,
) -> NearTies:
    r"""Find the units of one weight that are nearly equal: no near pair is missed, and none is false.

    Two units :math:`a, b` are near when :math:`\lVert a - b \rVert_2 \le t \max(\lVert a \rVert_2, \lVert b \rVert_2)`,
    as float64 has it. Classes are closed transitively, so units of one class can be farther apart: their diameter says
    how far.

    Parameters
    ----------
    array
        Of at least one dimension, of any numeric dtype, as for `find_ties`.
    tolerance
        :math:`t`, from 0 to 0.5.
    axis
        The axis along which the units lie.
    symmetry
        ``"none"``; ``"scale"``: units are near when their directions are, as behind a ReLU, whose units can be scaled
        against what reads them; ``"sign"``: units are near when one is close to the other's negative, as with odd
        activations. Directions are rounded to float64: at a tolerance of 0, factors that are powers of two are found.
    bias
        (units,): joined to each unit as one more entry.
    workers
        Threads to use; the result does not depend on them.

    Returns
    -------
    NearTies
        Units of zeros, and units that hold a value that is not finite, are classes of their own, equal ones of one.

    Raises
    ------
    TypeError
        If a dtype holds no numbers.
    ValueError
        If the tolerance, the axis, the symmetry or the length of the bias does not fit.

    Notes
    -----
    Units that are equal bit for bit are collapsed first. Of the rest, those of like lengths are projected on six
    orthonormal directions, which brings no two farther apart, and searched with a k-d tree; where that would give more
    than four million candidates, distances come from products of blocks instead. Every candidate is compared in
    float64. About 200 MB are used beside the array, at most.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.array([[1.0, 2.0], [1.001, 2.0], [-3.0, -6.0], [2.0, 4.0]])
    >>> find_near_ties(weight, 0.01).groups
    ((0, 1),)
    >>> find_near_ties(weight, 0.01, symmetry="scale").groups
    ((0, 1, 3),)
    """
    check_tolerance(tolerance)
    if symmetry not in SYMMETRIES:
        raise ValueError(f"symmetry is one of {', '.join(SYMMETRIES)}; got {symmetry!r}")
    ties = find_ties(array, axis, workers)
    units = np.moveaxis(np.asarray(array), axis, 0)
    extra = None if bias is None else np.asarray(bias)
    if extra is not None and extra.shape != (len(units),):
        raise ValueError(f"bias has shape {extra.shape}, and there are {len(units)} units")
    labels = ties.labels if extra is None else first_seen(joined(ties.labels, find_ties(extra).labels))
    first = np.unique(labels, return_index=True)[1]
    rows = Rows(units, extra, directions=symmetry == "scale")
    some = first[~np.isin(first, ties.not_finite)]
    if extra is not None:
        some = some[np.isfinite(extra[some].astype(np.float64))]
    rows.measure(some)
    some = some[rows.lengths[some] > 0]
    classes = Classes(len(units))
    for window, power in _windows(rows, some, tolerance):
        Window(rows, window, power, tolerance, symmetry == "sign", workers or 1).join(classes)
    near = classes.labels[first][labels]
    return _named(near, rows, some, opposite=symmetry == "sign")


def check_tolerance(tolerance: float | None) -> None:
    """Check that a tolerance is a relative distance in its range, or None.

    Parameters
    ----------
    tolerance
        What was given.

    Raises
    ------
    ValueError
        If it is not a number from 0 to 0.5.

    Examples
    --------
    >>> check_tolerance(0.01)
    >>> check_tolerance(2)
    Traceback (most recent call last):
    ValueError: tolerance is a relative distance from 0 to 0.5; got 2
    """
    if tolerance is None:
        return
    if (
        isinstance(tolerance, bool)
        or not isinstance(tolerance, int | float | np.number)
        or not 0 <= tolerance <= LARGEST
    ):
        raise ValueError(f"tolerance is a relative distance from 0 to {LARGEST}; got {tolerance!r}")


def _windows(rows: Rows, some: Indices, tolerance: float) -> list[tuple[Indices, int]]:
    """Part rows by their lengths so that every near pair is in one window; of like lengths there is one window."""
    logs = rows.log_lengths(some)
    order = np.argsort(logs)
    ordered, found, begin = logs[order], [], 0
    while begin < len(order):
        reach = ordered[begin] + SPREAD
        end = int(np.searchsorted(ordered, reach - np.log2(1 - tolerance) + 1e-9, "right"))
        if end - begin > 1:
            found.append((np.sort(some[order[begin:end]]), int(np.floor(ordered[end - 1]))))
        begin = int(np.searchsorted(ordered, reach, "right"))
    return found


def _named(near: Indices, rows: Rows, some: Indices, *, opposite: bool) -> NearTies:
    """Return the classes numbered by first occurrence, with the diameters of those whose rows differ."""
    labels = first_seen(near)
    found = labels[some]
    diameters = {}
    for label in np.flatnonzero(np.bincount(found) > 1).tolist():
        diameters[label] = _diameter(rows, some[found == label], opposite=opposite)
    return NearTies(labels, diameters)


def _diameter(rows: Rows, members: Indices, *, opposite: bool) -> float:
    """Return the largest distance of two rows relative to the longer one, or for many rows a bound above it."""
    power = int(np.floor(rows.log_lengths(members).max()))
    if len(members) > EXACT or len(members) * rows.width > BLOCK:
        first, shortest, largest = rows.take(members[:1], power), np.inf, 0.0
        for low in range(0, len(members), rows.step):
            some = rows.take(members[low : low + rows.step], power)
            largest = max(largest, float(_squares(some, first, opposite=opposite).max()))
            shortest = min(shortest, float(np.einsum("ij,ij->i", some, some).min()))
        return float(2 * np.sqrt(largest / shortest))
    every = rows.take(members, power)
    lengths = np.einsum("ij,ij->i", every, every)
    largest = 0.0
    for number in range(len(every) - 1):
        rest = every[number + 1 :]
        longer = np.maximum(lengths[number + 1 :], lengths[number])
        largest = max(largest, float((_squares(rest, every[number : number + 1], opposite=opposite) / longer).max()))
    return float(np.sqrt(largest))


def _squares(rows: Array, one: Array, *, opposite: bool) -> Array:
    """Return the squared distances of rows from one, with the nearer sign if both count."""
    squares: Array = np.einsum("ij,ij->i", rows - one, rows - one)
    return np.minimum(squares, np.einsum("ij,ij->i", rows + one, rows + one)) if opposite else squares
