"""A report as a figure: how many units of each space differ from each other."""

from typing import TYPE_CHECKING

from symbreak._figure import COLOURS, PALE, figure_axes, tidy
from symbreak._visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ._report import Report

MOST = 40  # spaces
NAME = 40  # characters


def plot_widths(report: "Report", axes: "Axes | None") -> "Axes":
    """Draw what `Report.plot` says."""
    spaces, sound = report.widths()
    network = [space for space in spaces if space.network]
    every = network or spaces
    shown = every if len(every) <= MOST else ([each for each in every if each.distinct < each.units] or every)[:MOST]
    axes = figure_axes(axes, "the plot of a report", (9, 1.2 + 0.26 * max(len(shown), 4)))
    places = range(len(shown))
    axes.barh(places, [space.units for space in shown], color=PALE, label="units")
    for label, colour, tied in (("distinct, all of them", COLOURS[0], False), ("distinct", COLOURS[1], True)):
        some = [
            (place, each.distinct)
            for place, each in zip(places, shown, strict=True)
            if tied == (each.distinct < each.units)
        ]
        if some:
            axes.barh([place for place, _ in some], [count for _, count in some], color=colour, label=label)
    for place, space in zip(places, shown, strict=True):
        axes.text(space.units, place, f" {space.distinct} of {space.units}", va="center", fontsize="small")
    axes.set_yticks(list(places), [visible(visible(space.where), NAME) for space in shown])
    axes.invert_yaxis()
    rest = len(every) - len(shown) + (0 if network else sound)
    more = f" ({rest} more {'space' if rest == 1 else 'spaces'} not shown)" if rest else ""
    axes.set_xlabel(f"units{more}")
    tidy(axes, "x")
    if shown:
        axes.set_xlim(0, 1.15 * max(space.units for space in shown))
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return axes
