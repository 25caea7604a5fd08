"""The table that a plan prints: a line a parameter, with its fans or, where its rule gives one, the reason."""

from collections.abc import Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

from ._table import table
from ._visible import visible
from .axes import Axes
from .initializers import AbstractInitializer

if TYPE_CHECKING:
    from .rules import Row, Rule


def table_with_fans(rows: "Sequence[Row]") -> str:
    """Give shapes, rules and fans."""
    lines = [
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
    header = ("parameter", "shape", "rule", "initializer", "fan in", "fan out", "std")
    return table(header, lines, right=(4, 5, 6), fold=(0, 1, 2, 3))


def table_with_reasons(rows: "Sequence[Row]") -> str:
    """Give roles, and why each parameter starts as it does."""
    lines = [
        (visible(row.name), visible(row.role or "-"), _describe(row.rule), _std(row), visible(row.rule.why or "-"))
        for row in rows
    ]
    return table(("parameter", "role", "initializer", "std", "why"), lines, right=(3,), fold=(0, 1, 2, 4))


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
