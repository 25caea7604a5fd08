"""What the engine checks of its arguments in more than one place: names in tables, numbers and their ranges."""

import math
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np

from symbreak.errors import UnknownName

Array = np.ndarray[Any, np.dtype[Any]]
Row = TypeVar("Row")


def look_up(table: Mapping[str, Row], name: str, kind: str) -> Row:
    """Return the row called `name`, or raise an `UnknownName` that shows the nearest names."""
    if isinstance(name, str) and name in table:
        return table[name]
    near = get_close_matches(str(name), table, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"choose one of {', '.join(map(repr, table))}"
    raise UnknownName(f"no {kind} is called {name!r}; {hint}")


def as_array(values: Any, what: str) -> Array:
    """Return the values as an array, or raise if they are lists of several lengths, or some of them are masked."""
    masked = np.count_nonzero(getattr(values, "mask", False)) if isinstance(values, np.ndarray) else 0
    if masked:
        raise ValueError(
            f"{masked} of the {what} are masked: what stands there is no value; leave out those rows, or fill them"
        )
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"the {what} make no array; are all rows of one length? NumPy says: {error}") from None


def as_finite(values: Array, dtype: np.dtype[Any], what: str) -> Array:
    """Return the values in C order and the network's dtype, or raise if one of them isn't finite there."""
    with np.errstate(over="ignore"):  # what is too large for the dtype becomes inf, and is named below
        array = np.ascontiguousarray(values, dtype=dtype)
    if not np.isfinite(array).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"the {what} must be finite {dtype} numbers; at {list(where)} there is {values[where]}")
    return array


def as_count(number: Any, what: str) -> int:
    """Return a whole number of 1 or more, or raise."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise ValueError(f"{what} must be a whole number, 1 or more; got {number!r}")
    return int(number)


def as_positive(number: Any, what: str) -> float:
    """Return a number above 0 as a Python float, or raise."""
    if not _is_number(number) or not 0 < number < math.inf:
        raise ValueError(f"{what} must be a positive number; got {number!r}")
    return float(number)  # a NumPy float64 would widen float32 weights


def as_not_negative(number: Any, what: str) -> float:
    """Return a number of 0 or more as a Python float, or raise."""
    if not _is_number(number) or not 0 <= number < math.inf:
        raise ValueError(f"{what} must be a number, 0 or more; got {number!r}")
    return float(number)


def as_share(number: Any, what: str) -> float:
    """Return a number of 0 or more and below 1 as a Python float, or raise."""
    if not _is_number(number) or not 0 <= number < 1:
        raise ValueError(f"{what} must be a number of 0 or more and below 1; got {number!r}")
    return float(number)


def _is_number(number: Any) -> bool:
    if isinstance(number, int) and abs(number) > sys.float_info.max:  # a float can't hold it
        return False
    return isinstance(number, int | float | np.number) and not isinstance(number, bool | np.complexfloating)
