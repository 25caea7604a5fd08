"""Pictures of findings: a bounded sample of a weight, taken while it is at hand, and its drawing as inline SVG.

A sample of some kilobytes stands for a weight of any size, so that a report can be drawn when the weights are gone.
The drawing is plain SVG: lines of cells in a few colours, each colour one path, so that it takes some kilobytes too.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from symbreak._svg import drawing, px
from symbreak._visible import visible

Array = npt.NDArray[Any]

WEIGHTS, DISTANCES = "weights", "distances"

# Blue below zero, orange above, as ColorBrewer's PuOr and RdBu have them: told apart whatever one's colour vision.
DIVERGING = ("#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#eeeeee", "#fddbc7", "#f4a582", "#d6604d", "#b2182b")
DISTANT = ("#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c")  # ColorBrewer's Blues
EQUAL, MISSING = "#d55e00", "#8a8a8a"
CELL = 8  # pixels
GAP = 6  # pixels between classes
LABELS = 64  # pixels for the numbers of the units
LINE = 14  # pixels of a line of text
WIDE = 34  # characters of a name beside a bar


@final
@dataclass(frozen=True, eq=False)
class Picture:
    """A sample of the weights of one finding.

    Parameters
    ----------
    code, where
        Of the finding.
    kind
        ``"weights"``: some weights of some units; ``"distances"``: the distances between some units.
    rows
        The units shown, class by class.
    classes
        The class of each, numbered as the finding's groups; -1 for units of none, shown beside them.
    values
        (rows, columns), float32: the weights; or (rows, rows): the distances, relative to the longest of the units.
    units, width
        How many units there are, and how many weights each has.
    """

    code: str
    where: str
    kind: str
    rows: tuple[int, ...]
    classes: tuple[int, ...]
    values: Array
    units: int
    width: int

    @property
    def caption(self) -> str:
        """What is to be seen, in one or two sentences."""
        some = f"{len(self.rows)} of {self.units} units" if len(self.rows) < self.units else f"all {self.units} units"
        if self.kind == DISTANCES:
            return f"Distances between {some}, class by class. Orange: equal; the darker, the farther."
        columns = self.values.shape[1]
        weights = f"the first {columns} of {self.width} weights" if columns < self.width else f"all {columns} weights"
        grey = "" if np.isfinite(self.values).all() else " Grey: not finite."
        told = f"{some[0].upper()}{some[1:]}, one a line, {weights} of each. Lines that stand together are one class."
        return told + grey

    def svg(self) -> str:
        """Draw it."""
        return _distances(self) if self.kind == DISTANCES else _weights(self)


def depth_svg(rows: Sequence[tuple[str, int, int]]) -> str:
    """Draw how many units of each space are distinct, one bar a space.

    Parameters
    ----------
    rows
        (name, units, distinct units), in the order in which the network computes them.
    """
    most = max((units for _, units, _ in rows), default=1) or 1
    left, bar = 250, 300
    parts = []
    for number, (name, units, distinct) in enumerate(rows):
        top = number * (LINE + 4)
        shown = html.escape(visible(visible(name), WIDE))
        colour = EQUAL if distinct < units else "#0072b2"
        parts.append(
            f'<text x="{left - 6}" y="{top + 11}" text-anchor="end">{shown}</text>'
            f'<rect x="{left}" y="{top}" width="{px(bar * units / most)}" height="{LINE}" fill="{MISSING}" '
            f'fill-opacity="0.35"/>'
            f'<rect x="{left}" y="{top}" width="{px(max(bar * distinct / most, 1))}" height="{LINE}" fill="{colour}"/>'
            f'<text x="{px(left + bar * units / most + 6)}" y="{top + 11}">{distinct} of {units}</text>'
        )
    label = f"distinct units of {len(rows)} spaces, in the order in which the network computes them"
    return drawing(left + bar + 110, len(rows) * (LINE + 4), label, "".join(parts))


def _weights(picture: Picture) -> str:
    values = picture.values
    finite = np.isfinite(values)
    largest = float(np.abs(values[finite]).max(initial=0))
    steps = len(DIVERGING) // 2
    with np.errstate(invalid="ignore"):
        level = np.rint(values / (largest or 1) * steps)
    colours = np.where(finite, np.nan_to_num(level, posinf=0, neginf=0).astype(int) + steps, len(DIVERGING))
    tops = _tops(picture.classes)
    cells = _cells(colours, [LABELS + CELL * column for column in range(values.shape[1])], tops)
    lines = [_line(cells.get(number), colour) for number, colour in enumerate((*DIVERGING, MISSING))]
    low = tops[-1] + CELL + LINE if tops else LINE
    scale = f'<text x="{LABELS}" y="{low}">from {_number(-largest)} (blue) to {_number(largest)} (red)</text>'
    width = LABELS + CELL * values.shape[1]
    return drawing(
        max(width, 300), low + 4, f"weights of {_what(picture)}", _names(picture, tops) + "".join(lines) + scale
    )


def _distances(picture: Picture) -> str:
    values = picture.values
    largest = float(np.nanmax(values, initial=0)) or 1.0
    steps = len(DISTANT)
    level = np.ceil(np.nan_to_num(values) / largest * steps).astype(int)  # 0 only where units are equal
    colours = np.where(np.isnan(values), steps + 1, np.minimum(level, steps))
    tops = _tops(picture.classes)
    cells = _cells(colours, [LABELS + top for top in tops], tops)
    lines = [_line(cells.get(number), colour) for number, colour in enumerate((EQUAL, *DISTANT, MISSING))]
    side = tops[-1] + CELL if tops else 0
    parts = _names(picture, tops) + "".join(lines)
    return drawing(max(LABELS + side, 200), side + 4, f"distances between units of {_what(picture)}", parts)


def _what(picture: Picture) -> str:
    return f"{picture.where}, {picture.code}"


def _tops(classes: Sequence[int]) -> list[int]:
    """Place the lines, with a gap between classes."""
    tops, top = [], 0
    for number, label in enumerate(classes):
        if number and label != classes[number - 1]:
            top += GAP
        tops.append(top)
        top += CELL
    return tops


def _cells(colours: Array, lefts: Sequence[int], tops: Sequence[int]) -> dict[int, list[str]]:
    """Give the path of each colour: runs of cells of one colour that touch are one stroke."""
    found: dict[int, list[str]] = {}
    for row, top in zip(colours.tolist(), tops, strict=True):
        start = 0
        for column in range(1, len(row) + 1):
            ends = column == len(row) or row[column] != row[start] or lefts[column] - lefts[column - 1] != CELL
            if ends:
                found.setdefault(row[start], []).append(f"M{lefts[start]} {top + CELL // 2}h{CELL * (column - start)}")
                start = column
    return found


def _line(path: list[str] | None, colour: str) -> str:
    return f'<path d="{"".join(path)}" stroke="{colour}" stroke-width="{CELL}"/>' if path else ""


def _names(picture: Picture, tops: Sequence[int]) -> str:
    """Name the first unit of each class, and every unit where there is room for it."""
    parts = []
    for number, (unit, top) in enumerate(zip(picture.rows, tops, strict=True)):
        if number == 0 or picture.classes[number] != picture.classes[number - 1]:
            parts.append(f'<text x="{LABELS - 6}" y="{top + CELL}" text-anchor="end">unit {unit}</text>')
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:.3g}"
