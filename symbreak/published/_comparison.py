"""A published figure beside ours: rows of numbers, and the text that shows them."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from symbreak._table import html_text, table

Array = np.ndarray[Any, np.dtype[Any]]

WIDTH = 80  # columns of a terminal


@final
@dataclass(frozen=True)
class Row:
    """One number of a figure.

    Attributes
    ----------
    what
        What the number is of, in a few words.
    published
        The number that the source gives, or that follows from its formula; None where it gives none.
    ours
        The number that `symbreak` computes.
    how
        Where both numbers come from.
    """

    what: str
    published: float | None
    ours: float
    how: str

    @property
    def difference(self) -> float | None:
        """Ours less the published number; None where there is none."""
        return None if self.published is None else self.ours - self.published


@final
@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A published figure, reproduced.

    Attributes
    ----------
    title
        What the figure shows.
    source
        Who published it, and where.
    rows
        Its numbers.
    curves
        Arrays by name, to draw the figure of; each figure's function says which.
    """

    title: str
    source: str
    rows: tuple[Row, ...]
    curves: Mapping[str, Array] = field(default_factory=dict)

    def __getitem__(self, what: str) -> Row:
        for row in self.rows:
            if row.what == what:
                return row
        raise KeyError(
            f"no row of this figure is called {what!r}; there are {', '.join(row.what for row in self.rows)}"
        )

    def __repr__(self) -> str:
        return f"Comparison({self.title!r}, {len(self.rows)} rows)"

    def _repr_html_(self) -> str:
        return html_text(str(self))

    def __str__(self) -> str:
        """Lay it out in lines of at most 80 columns: title, source, the table, and how each row was made."""
        numbers: dict[str, list[int]] = {}
        for number, row in enumerate(self.rows, 1):
            numbers.setdefault(row.how, []).append(number)
        entries = [
            (str(number), row.what, _shown(row.published), _shown(row.ours), _shown(row.difference))
            for number, row in enumerate(self.rows, 1)
        ]
        lines = [*textwrap.wrap(self.title, WIDTH), *textwrap.wrap(self.source, WIDTH), ""]
        lines += [table(["", "", "published", "ours", "difference"], entries, right={0, 2, 3, 4}), ""]
        for how, rows in numbers.items():
            mark = f"{_ranges(rows)}: "
            lines += textwrap.wrap(how, WIDTH, initial_indent=mark, subsequent_indent="  ")
        return "\n".join(lines)


def _shown(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,.0f}" if float(number).is_integer() and abs(number) >= 1e5 else f"{number:.5g}"


def _ranges(numbers: list[int]) -> str:
    """Write ascending numbers shortly: 1-3, 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
