"""Figures in one style: where to draw, what colours, and axes without what is not needed."""

from typing import TYPE_CHECKING

from symbreak.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe, Ito. "Color Universal Design", 2008: told apart whatever one's colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#8A8A8A"
PALE = "#D9D9D9"
SIZE = (9, 4.2)  # inches


def figure_axes(axes: "Axes | None", purpose: str, size: tuple[float, float] = SIZE) -> "Axes":
    """Give the axes to draw in: those that came, or those of a new figure of `matplotlib.pyplot`.

    So a notebook shows the figure, and elsewhere `matplotlib.pyplot.show` does.

    Parameters
    ----------
    axes
        Axes, or None.
    purpose
        What needs matplotlib, for the message where it is missing.
    size
        Of a new figure, in inches.

    Raises
    ------
    MissingExtra
        Matplotlib is not installed.
    """
    if axes is not None:
        return axes
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot", purpose) from error
    return plt.subplots(figsize=size, layout="constrained")[1]


def tidy(axes: "Axes", grid: str = "y") -> "Axes":
    """Give axes thin lines behind what is drawn, and no frame above and on the right."""
    axes.grid(visible=False)
    axes.grid(axis=grid, color="#E4E4E4", linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes
