"""The table that a plan prints: a line a parameter, with its fans or, where its rule gives one, the reason."""

from collections.abc import Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

from ._table import html_table, table
from ._visible import visible
from .axes import Axes
from .initializers import AbstractInitializer

if TYPE_CHECKING:
    from .rules import Row, Rule


Lines = tuple[tuple[str, ...], list[tuple[str, ...]]]  # the titles, and the lines under them


def plan_table(rows: "Sequence[Row]") -> str:
    """Lay out the lines for a terminal."""
    if _explained(rows):
        return table(*_reasons(rows), right=(3,), fold=(0, 1, 2, 4))
    return table(*_fans(rows), right=(4, 5, 6), fold=(0, 1, 2, 3))


def plan_html(head: str, rows: "Sequence[Row]", tail: str) -> str:
    """Write them as an HTML fragment, between a line before and perhaps one after."""
    return html_table(head, *(_reasons(rows) if _explained(rows) else _fans(rows)), tail)


def _explained(rows: "Sequence[Row]") -> bool:
    return any(row.rule.why for row in rows)


def _fans(rows: "Sequence[Row]") -> Lines:
    """Give shapes, rules and fans."""
    lines: list[tuple[str, ...]] = [
        (
            visible(row.name),
            "x".join(map(str, row.shape)) or "scalar",
            visible(row.pattern),
            _describe(row.rule),
            *((str(row.fans.fan_in), str(row.fans.fan_out)) if row.fans else ("-", "-")),
            _std(row),
        )
        for row in rows
    ]
    return ("parameter", "shape", "rule", "initializer", "fan in", "fan out", "std"), lines


def _reasons(rows: "Sequence[Row]") -> Lines:
    """Give roles, and why each parameter starts as it does."""
    lines: list[tuple[str, ...]] = [
        (visible(row.name), visible(row.role or "-"), _describe(row.rule), _std(row), visible(row.rule.why or "-"))
        for row in rows
    ]
    return ("parameter", "role", "initializer", "std", "why"), lines


def _describe(rule: "Rule") -> str:
    """Give the initializer, and what the rule says of layout and dtype."""
    axes = rule.axes.layout if isinstance(rule.axes, Axes) else rule.axes
    dtype = None if rule.dtype is None else rule.initializer._as_dtype(rule.dtype).name
    return " ".join([_brief(rule.initializer), *filter(None, (axes, dtype))])


def _brief(value: Any) -> str:
    """Show an initializer as one writes it: by place what has one, and numbers to the digits of the column of stds."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_brief, value))}{',' * (len(value) == 1)})"
    if not isinstance(value, AbstractInitializer) or type(value).__repr__ is not AbstractInitializer.__repr__:
        return repr(value)
    shown, by_place = [], True
    for each in value._fields():
        given = getattr(value, each.name)
        if each.init and (each.default is MISSING or given != each.default):
            named = "" if by_place and not each.kw_only else f"{each.name}="
            shown.append(named + _brief(given))
        else:
            by_place &= each.kw_only is True
    return f"{type(value).__name__}({', '.join(shown)})"


def _std(row: "Row") -> str:
    return "-" if row.expected is None else f"{row.expected.std:.4g}"
