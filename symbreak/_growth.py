"""How units that were equal come apart: the spread of their weights, from one look to the next, and its growth.

A difference of tied units is multiplied by about one factor a step as long as it is small, so that its logarithm rises
in a line; the line ends where the units are apart.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

APART = 0.1  # spread from which units do work of their own; below it a difference grows as the tied state lets it
CHUNK = 1 << 20  # values that are looked at in one go


@final
@dataclass(frozen=True)
class Growth:
    """How far units that were equal, or nearly so, are apart at each look.

    Parameters
    ----------
    where
        The weight and the axis of its units.
    units, classes
        How many units are followed, and in how many classes; each class is compared within itself.
    places
        When the looks were, rising: steps, epochs, or the numbers of files from 0.
    spread
        At each: the root mean square distance of the units from the mean of their class, relative to their root mean
        square length. 0 where the units of each class are equal; independent weights are near 1.
    along
        What a place counts, such as ``"step"``.
    run
        The files, with ``*`` for the numbers in which their names differ; empty where there are none.
    files
        One file each.
    source
        The place of the finding that says which units are followed; empty where there is none.

    Examples
    --------
    >>> growth = Growth("fc1.weight, axis 0", 8, 1, (0, 100, 200, 300), (0.0, 1e-6, 1e-4, 1e-2))
    >>> round(growth.factor, 6), growth.apart, growth.verdict
    (1.047129, None, 'coming apart, near step 350 at this rate')
    """

    where: str
    units: int
    classes: int
    places: tuple[int, ...]
    spread: tuple[float, ...]
    along: str = "step"
    run: str = ""
    files: tuple[str, ...] = ()
    source: str = ""

    @property
    def factor(self) -> float | None:
        """What the spread is multiplied by in one step; None where it is not seen at two looks in a row.

        By least squares of its logarithm, over the longest stretch of looks, of several the last, at which it lies
        between 0 and 0.1; in twelve digits.
        """
        begin, end = self._stretch()
        if end - begin < 2:
            return None
        x, y = np.array(self.places[begin:end], float), np.log(self.spread[begin:end])
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
        return float(f"{math.exp(min(slope, 700)):.12g}")

    @property
    def apart(self) -> int | None:
        """From which place on the spread is 0.1 and more; None where it is less at the last look."""
        return self._since(lambda value: value >= APART)

    @property
    def verdict(self) -> str:
        """What became of the units, in a few words."""
        if not any(self.spread):
            return "equal at every look"
        if (apart := self.apart) is not None:
            return f"apart since {self.along} {apart:,}"
        if (equal := self._since(lambda value: value == 0)) is not None:
            return f"equal since {self.along} {equal:,}"
        factor = self.factor
        if factor is None:
            return "not apart yet"
        if factor <= 1 or self._stretch()[1] < len(self.spread):
            return "coming closer" if factor < 1 else "not apart yet"
        left = math.log(APART / self.spread[-1]) / math.log(factor)
        return f"coming apart, near {self.along} {self.places[-1] + left:,.0f} at this rate"

    @property
    def each(self) -> str:
        """What the factor is for: "a step", "an epoch"."""
        return f"{'an' if self.along[:1] in 'aeiou' else 'a'} {self.along}"

    @property
    def sentence(self) -> str:
        """Everything that a reader needs, in a sentence."""
        classes = f" of {self.classes} classes" if self.classes > 1 else ""
        ends = dict.fromkeys((0, len(self.places) - 1))  # one look has one end
        spread = ", ".join(f"{spread_text(self.spread[n])} at {self.along} {self.places[n]:,}" for n in ends)
        factor = "" if self.factor is None else f", multiplied by {self.factor:.5g} {self.each}"
        return f"{self.units} units{classes}: spread {spread}{factor}; {self.verdict}"

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        return {
            "where": self.where,
            **({"run": self.run, "files": list(self.files)} if self.run else {}),
            "units": self.units,
            "classes": self.classes,
            "along": self.along,
            "places": list(self.places),
            "spread": list(self.spread),
            "factor": self.factor,
            "apart": self.apart,
            "verdict": self.verdict,
        }

    def _stretch(self) -> tuple[int, int]:
        """Give the longest run of looks at which the units differ and are not apart; of several the last."""
        best, begin = (0, 0), 0
        for end, value in enumerate((*self.spread, 0.0)):
            if not 0 < value < APART:
                if end - begin >= best[1] - best[0]:
                    best = (begin, end)
                begin = end + 1
        return best

    def _since(self, holds: Any) -> int | None:
        found = None
        for place, value in zip(self.places[::-1], self.spread[::-1], strict=True):
            if not holds(value):
                break
            found = place
        return found


def by_run(growths: Iterable[Growth]) -> dict[str, list[Growth]]:
    """Put the growths of each run together, in order."""
    found: dict[str, list[Growth]] = {}
    for each in growths:
        found.setdefault(each.run, []).append(each)
    return found


def spread_text(value: float) -> str:
    """Write a spread in three digits.

    Examples
    --------
    >>> spread_text(0.0), spread_text(1.2345e-9), spread_text(0.70711)
    ('0', '1.23e-09', '0.707')
    """
    return f"{value:.3g}"


def spread_of(units: Array, groups: Sequence[Sequence[int]]) -> float:
    r"""Measure how far the units of each class are apart.

    Parameters
    ----------
    units
        (units, ...), of any numeric dtype.
    groups
        The classes.

    Returns
    -------
    float
        :math:`\sqrt{\sum |w_i - m_c|^2 / \sum |w_i|^2}`, over the units :math:`i` of each class :math:`c` with its mean
        :math:`m_c`: from 0 to 1. NaN where a value is not finite.

    Examples
    --------
    >>> spread_of(np.array([[3.0, 4.0], [3.0, 4.0], [9.0, 9.0]]), [(0, 1)])
    0.0
    >>> round(spread_of(np.array([[1.0, 0.0], [0.0, 1.0]]), [(0, 1)]) ** 2, 9)
    0.5
    """
    apart = whole = 0.0
    width = max(math.prod(units.shape[1:]), 1)
    with np.errstate(all="ignore"):
        for group in groups:
            # Around one unit, so that differences far below the weights are exact; the mean is taken off after.
            first = wide_rows(units[[group[0]]])
            squares, total = 0.0, np.zeros_like(first[0])
            for begin in range(0, len(group), max(CHUNK // width, 1)):
                rows = wide_rows(units[list(group[begin : begin + max(CHUNK // width, 1)])])
                whole += float((np.abs(rows) ** 2).sum())
                rows -= first
                squares += float((np.abs(rows) ** 2).sum())
                total += rows.sum(axis=0)
            between = squares - float((np.abs(total) ** 2).sum()) / len(group)
            apart += between if not between < 0 else 0.0  # rounding may bring it below; a NaN stays one
    if not math.isfinite(apart + whole):
        return math.nan
    return min(math.sqrt(apart / whole), 1.0) if whole else 0.0


def wide_rows(units: Array) -> Array:
    """Give the values of each unit in a row, (units, values), as a copy in float64 or complex128."""
    kind = np.complex128 if np.iscomplexobj(units) else np.float64
    return np.asarray(units).reshape(len(units), -1).astype(kind)
