"""Parameters that are the same as others: looked up through any number of them, and refused where they don't meet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._visible import quoted, visible
from .dtypes import as_float_dtype
from .errors import RuleError
from .initializers import SameAs

if TYPE_CHECKING:
    from .rules import Row

Array = npt.NDArray[Any]


def find_same(rows: "Mapping[str, Row]", kept: Mapping[str, Array], untouched: Sequence[str]) -> "dict[str, Row]":
    """Look up the parameters that rows are the same as, through any number of others."""
    found: dict[str, Row] = {}
    for first in rows.values():
        path: dict[str, Row] = {}
        at: Row | None = first
        while at is not None and at.name not in found:
            same = at.rule.initializer
            if not isinstance(same, SameAs):
                found[at.name] = at
                break
            path[at.name] = at
            if same.parameter in path:
                circle = " -> ".join(map(visible, [*path, same.parameter]))
                raise RuleError(f"{_where(at, same.parameter)}, which is in a circle: {circle}")
            _check_same(at, same, rows, kept, untouched)
            at = rows.get(same.parameter)
        for row in reversed(path.values()):
            found[row.name] = _joined(row, found)
    return {name: found[name] for name in rows}


def _joined(row: "Row", found: "Mapping[str, Row]") -> "Row":
    """Give a row the source of the one that it is the same as; without one, that is an array that is kept."""
    same: Any = row.rule.initializer
    other = found.get(same.parameter)
    if other is None:
        return replace(row, source=same.parameter, transposed=same.transpose)
    source, origin = (other.name, other) if other.source is None else (other.source, other.origin)
    turned = same.transpose != other.transposed
    return replace(row, source=source, origin=origin, transposed=turned, expected=other.expected)


def _check_same(
    row: "Row", same: SameAs, rows: "Mapping[str, Row]", kept: Mapping[str, Array], untouched: Sequence[str]
) -> None:
    """Refuse a parameter that is not there, or has another shape or dtype."""
    given, name = row.shape, same.parameter
    if name not in rows and name not in kept:
        reason = "which no rule hits" if name in untouched else f"which is no parameter{_near(name, rows)}"
        raise RuleError(f"{_where(row, name)}, {reason}")
    shape = rows[name].shape if name in rows else kept[name].shape
    if (shape[::-1] if same.transpose else shape) != given:
        hint = f"SameAs({name!r}, transpose={not same.transpose})"
        meets = (shape if same.transpose else shape[::-1]) == given
        other = f"; {hint} would" if meets else ""
        turned = " transposed" if same.transpose else ""
        raise RuleError(f"{_where(row, name)}, but shape {given} is not met by {shape}{turned}{other}")
    _check_dtype(row, name, rows.get(name), kept.get(name))


def _where(row: "Row", name: str) -> str:
    return f"the rule {row.pattern!r} makes {row.name!r} the same as {quoted(name)}"


def _check_dtype(row: "Row", name: str, other: "Row | None", kept: Array | None) -> None:
    own = row.rule.dtype or row.dtype
    theirs = kept.dtype if kept is not None else other and (other.rule.dtype or other.dtype)
    if own is not None and (theirs is None or np.dtype(as_float_dtype(own)) != as_float_dtype(theirs)):
        have = "has no dtype of its own" if theirs is None else f"is {as_float_dtype(theirs).name}"
        wanted = as_float_dtype(own).name
        raise RuleError(f"{_where(row, name)}, which {have}, so it can't be {wanted}; give both one dtype")


def _near(name: str, rows: "Mapping[str, Row]") -> str:
    import difflib  # for errors only

    near = difflib.get_close_matches(name, rows, n=1)
    return f"; did you mean {quoted(near[0])}?" if near else ""
