"""The picture of how units come apart: spreads on a logarithmic scale, one curve for each, as inline SVG."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from ._growth import APART, Growth, spread_text
from ._svg import drawing, px
from ._visible import visible

# Okabe, Ito. "Color Universal Design", 2008; those with a contrast of 3 to a white and to a black page (WCAG 1.4.11).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#c77ba3")
MOST = 8  # curves, the second half of them dashed
TOLD = 2  # curves whose numbers the name of the picture says
POINTS = 120  # of one curve
WIDE = 44  # characters of a name
LEFT, RIGHT, TOP = 62, 20, 8  # pixels around the plot
WIDTH, HEIGHT = 380, 200  # of the plot
BAND = 26  # pixels below it for what is equal
LINE = 17  # pixels of a line of the legend
TICKS = 6  # along each axis, about

Position = Callable[[float], float]


@final
@dataclass(frozen=True)
class Curve:
    """Spreads by place; 0 is drawn below the scale.

    Parameters
    ----------
    name
        For the legend.
    points
        (place, spread), in order.
    """

    name: str
    points: tuple[tuple[float, float], ...]


def growth_curves(growths: Sequence[Growth]) -> list[Curve]:
    """Give the curves of spreads that were seen; of very many the first that differ at all."""
    some = sorted(growths, key=lambda each: not any(each.spread))[:MOST]
    return [Curve(each.where, tuple(zip(each.places, each.spread, strict=True))) for each in some]


def curves_svg(curves: Sequence[Curve], along: str, label: str) -> str:
    """Draw spreads by place.

    Parameters
    ----------
    curves
        At most eight are drawn.
    along
        What a place counts.
    label
        What is to be seen, in words.
    """
    shown = curves[:MOST]
    values = [value for curve in shown for _, value in curve.points if value > 0]
    low, high = min(math.floor(math.log10(min(values, default=1e-8))), -2), 0  # a spread is at most 1
    ends = [place for curve in shown for place, _ in curve.points]
    begin, end = min(ends, default=0), max(ends, default=1)
    span = (end - begin) or 1

    def across(place: float) -> float:
        return LEFT + WIDTH * (place - begin) / span if end > begin else LEFT + WIDTH / 2

    def down(value: float) -> float:
        if value <= 0:
            return TOP + HEIGHT + BAND - 6
        return TOP + HEIGHT * (high - max(math.log10(value), low)) / (high - low)

    zero = any(value <= 0 for curve in shown for _, value in curve.points)
    floor = TOP + HEIGHT + (BAND if zero else 0)
    parts = _scale(low, high, down) + _places(begin, end, along, across, floor)
    if zero:
        parts.append(f'<text x="{LEFT - 6}" y="{px(down(0) + 4)}" text-anchor="end">equal</text>')
        parts.append(_stroke(f"M{LEFT} {TOP + HEIGHT}h{WIDTH}", "currentColor", 'stroke-opacity="0.5"'))
    for number, curve in enumerate(shown):
        parts.append(_drawn(curve, number, across, down))
        middle = floor + 40 + LINE * number
        parts.append(_stroke(f"M{LEFT} {middle}h26", *_style(number)))
        name = html.escape(visible(visible(curve.name), WIDE))
        parts.append(f'<text x="{LEFT + 34}" y="{middle + 4}">{name}</text>')
    height = floor + 36 + LINE * len(shown)
    return drawing(LEFT + WIDTH + RIGHT, height, label, "".join(parts))


def growth_label(growths: Sequence[Growth]) -> str:
    """Say in words what a picture of growths shows.

    Examples
    --------
    >>> growth_label([Growth("fc1.weight, axis 0", 8, 1, (0, 100), (0.0, 0.25))])
    'spread of units that were equal, by step: fc1.weight, axis 0: 0 at 0, 0.25 at 100, apart since step 100'
    """
    along = growths[0].along if growths else "step"
    told = [
        f"{each.where}: {spread_text(each.spread[0])} at {each.places[0]}, {spread_text(each.spread[-1])} at "
        f"{each.places[-1]}, {each.verdict}"
        for each in growths[:TOLD]
    ]
    more = f"; and {len(growths) - TOLD} more" if len(growths) > TOLD else ""
    return f"spread of units that were equal, by {along}: {'; '.join(told)}{more}"


def _drawn(curve: Curve, number: int, across: Position, down: Position) -> str:
    points = [(px(across(place)), px(down(value))) for place, value in _some(curve.points)]
    colour, dashes = _style(number)
    line = "M" + "L".join(f"{x} {y}" for x, y in points)
    dots = "".join(f"M{x} {y}h0" for x, y in points)
    return _stroke(line, colour, f'{dashes} shape-rendering="auto"') + (
        f'<path d="{dots}" stroke="{colour}" stroke-width="6" stroke-linecap="round" shape-rendering="auto"/>'
    )


def _some(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Take points at even distances, the ends among them."""
    if len(points) <= POINTS:
        return list(points)
    return [points[round(number * (len(points) - 1) / (POINTS - 1))] for number in range(POINTS)]


def _style(number: int) -> tuple[str, str]:
    dashes = ' stroke-dasharray="7 4"' if number >= len(COLOURS) else ""
    return COLOURS[number % len(COLOURS)], dashes


def _scale(low: int, high: int, down: Position) -> list[str]:
    """Draw the powers of ten, and where units are apart."""
    every = math.ceil((high - low) / TICKS)
    parts = [
        f'<text x="{LEFT - 6}" y="{px(down(10.0**power) + 4)}" text-anchor="end">'
        f"{f'1e{power}' if power < -2 else f'{10.0**power:g}'}</text>"
        for power in range(high, low - 1, -every)
    ]
    lines = "".join(f"M{LEFT} {px(down(10.0**power))}h{WIDTH}" for power in range(high, low - 1, -every))
    parts.append(_stroke(lines, "currentColor", 'stroke-opacity="0.15"'))
    parts.append(_stroke(f"M{LEFT} {px(down(APART))}h{WIDTH}", "currentColor", 'stroke-dasharray="2 3"'))
    parts.append(f'<text x="{LEFT + WIDTH - 2}" y="{px(down(APART) + 12)}" text-anchor="end">apart</text>')
    return parts


def _places(begin: float, end: float, along: str, across: Position, floor: float) -> list[str]:
    """Draw the places below the plot."""
    parts = [_stroke(f"M{LEFT} {TOP}V{px(floor)}H{LEFT + WIDTH}", "currentColor")]
    for place in _ticks(begin, end):
        at = px(across(place))
        parts.append(f'<text x="{at}" y="{px(floor + 15)}" text-anchor="middle">{_short(place)}</text>')
    parts.append(f'<text x="{LEFT + WIDTH}" y="{px(floor + 29)}" text-anchor="end">{html.escape(along)}</text>')
    return parts


def _ticks(begin: float, end: float) -> list[float]:
    """Give round numbers between two.

    Examples
    --------
    >>> _ticks(0, 1000), _ticks(3, 5), _ticks(7, 7)
    ([0, 200, 400, 600, 800, 1000], [3, 4, 5], [7])
    """
    if end <= begin:
        return [begin]
    step = 10 ** math.floor(math.log10((end - begin) / TICKS))
    step = next(step * times for times in (1, 2, 5, 10) if (end - begin) / (step * times) <= TICKS)
    step = max(step, 1)
    first = math.ceil(begin / step)
    return [number * step for number in range(first, math.floor(end / step) + 1)]


def _short(place: float) -> str:
    """Write a place in few characters.

    Examples
    --------
    >>> _short(200), _short(120_000), _short(1_500_000), _short(3e12)
    ('200', '120k', '1.5M', '3e+12')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size <= place < 1e12:
            return f"{place / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{place:g}"


def _stroke(path: str, colour: str, more: str = "") -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{1 if colour == "currentColor" else 2}" {more}/>'
    )
