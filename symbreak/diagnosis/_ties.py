"""Which units of one weight are exactly equal."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from symbreak._table import html_table
from symbreak.reports import fold_units

from ._bits import bits_of
from ._search import Indices, Search, search_small
from ._tiles import Tiles

SMALL = 1 << 13  # values up to which a dictionary is faster
LISTED = 20  # classes in a notebook

_Found = dict[tuple[Any, ...], tuple[npt.NDArray[Any], "Ties"]]  # by where arrays lie
_FOUND: ContextVar[_Found | None] = ContextVar("_FOUND", default=None)


@final
@dataclass(frozen=True, eq=False)
class Ties:
    """Which units of one weight are equal.

    Parameters
    ----------
    labels
        (units,): the class of each unit, numbered by first occurrence. A unit that holds a NaN is a class of its own.
    zero
        The units whose values are all zero, in order.
    not_finite
        The units that hold an infinity or a NaN, in order.
    """

    labels: Indices
    zero: Indices
    not_finite: Indices

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The classes of two units or more, in the order of their first units."""
        sizes = np.bincount(self.labels)
        if not (sizes > 1).any():
            return ()
        order = np.argsort(self.labels, kind="stable")
        ends = np.cumsum(sizes)
        several = np.flatnonzero(sizes > 1)
        pairs = zip(sizes[several].tolist(), ends[several].tolist(), strict=True)
        return tuple(tuple(order[end - size : end].tolist()) for size, end in pairs)

    def _repr_html_(self) -> str:
        others = (("all zero", self.zero), ("not finite", self.not_finite))
        rows = [(name, fold_units(units.tolist())) for name, units in others if len(units)]
        return html_classes(self.labels, self.groups, rows)


def html_classes(labels: Indices, groups: Sequence[Sequence[int]], rows: Sequence[tuple[str, str]]) -> str:
    """Write classes of units, and other facts of them, as an HTML fragment for notebooks."""
    classes = len(np.unique(labels))
    head = f"{len(labels)} units in {classes} {'class' if classes == 1 else 'classes'}"
    listed = [(f"class of {len(group)}", fold_units(group)) for group in groups[:LISTED]]
    more = f"and {len(groups) - LISTED} more classes" if len(groups) > LISTED else ""
    return html_table(head, ("", "units"), [*listed, *rows], more)


def find_ties(array: npt.ArrayLike, axis: int = 0, workers: int | None = None) -> Ties:
    """Find the units of one weight that are exactly equal.

    Values are compared as they are stored: 0.0 and -0.0 are equal, infinities are equal to themselves, and a unit that
    holds a NaN is equal to none. The time is that of reading the array once, or three times where many units agree
    in their first values; beside it a few megabytes, and
    about 60 bytes a unit where few are tied, are used, whatever its axis, strides or dtype.

    Parameters
    ----------
    array
        Of at least one dimension: booleans, integers, floats, complex numbers, or a type of ml_dtypes; in any byte
        order, of any strides, in memory or mapped.
    axis
        The axis along which the units lie.
    workers
        Threads to use; None is one for each processor where the array is large enough. The result does not depend on
        them.

    Returns
    -------
    Ties

    Raises
    ------
    TypeError
        If the dtype holds no numbers.
    ValueError
        If there is no such axis, or `workers` is not positive.

    References
    ----------
    Carter, Wegman. "Universal classes of hash functions". J. Comput. Syst. Sci. 18 (1979), 143-154.

    Examples
    --------
    >>> import numpy as np
    >>> ties = find_ties(np.array([[1.0, 2.0], [0.0, -0.0], [1.0, 2.0], [np.nan, 2.0]]))
    >>> ties.labels, ties.zero, ties.not_finite
    (array([0, 1, 0, 2]), array([1]), array([3]))
    >>> ties.groups
    ((0, 2),)
    """
    return search(array, axis, workers)


def search(array: npt.ArrayLike, axis: int = 0, workers: int | None = None, *, finite: bool = False) -> Ties:
    """Find equal units as `find_ties` does; `finite` says that every value is known to be finite."""
    whole = np.asarray(array)
    if not -whole.ndim <= axis < whole.ndim:
        raise ValueError(f"an array of {whole.ndim} dimensions has no axis {axis!r} for the units to lie along")
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise ValueError(f"workers is a positive integer or None; got {workers!r}")
    units_first = np.moveaxis(whole, axis, 0)
    found = _FOUND.get()
    if found is None:
        return _search(units_first, workers, finite=finite)
    place = (_address(units_first), units_first.shape, units_first.strides, units_first.dtype)
    if place not in found:
        # The array is held, so that its place stays its own.
        found[place] = units_first, _search(units_first, workers, finite=finite)
    return found[place][1]


def _search(units_first: npt.NDArray[Any], workers: int | None, *, finite: bool) -> Ties:
    whole, every = units_first, np.arange(len(units_first))
    if units_first.size == 0:
        bits_of(whole.dtype)  # refuses what is no number
        return Ties(np.zeros_like(every), every, every[:0])
    if whole.size <= SMALL:
        return Ties(*search_small(units_first))
    return Ties(*Search(Tiles(units_first), workers or processors()).run(finite))


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Search each array once along each axis, as long as this lasts: nobody may write to any.

    Examples
    --------
    >>> array = np.ones((3, 2))
    >>> with remembering():
    ...     find_ties(array) is find_ties(array)
    True
    >>> find_ties(array) is find_ties(array)
    False
    """
    token = _FOUND.set({})
    try:
        yield
    finally:
        _FOUND.reset(token)


def _address(array: npt.NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def processors() -> int:
    """Count the processors that this process may use.

    Examples
    --------
    >>> processors() > 0
    True
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
