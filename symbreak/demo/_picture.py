"""The picture of two runs: how well they learned, and what their hidden units look for."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symbreak.checkpoints._write import replacing
from symbreak.errors import MissingExtra

from ._files import MAKER
from ._outcome import HIDDEN_WEIGHT, Outcome
from ._training import HIDDEN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, np.dtype[Any]]

# Okabe, Ito. "Color Universal Design", 2008: vermilion and blue are told apart whatever one's colour vision.
COLOURS = ("#D55E00", "#0072B2")
GREY = "#5A5A5A"
SIDE = 8  # pixels of an image
COLUMNS = 8  # units in a row
GAP = 1  # pixels between units
INCHES, DPI = (10.8, 6.0), 150
LINE = 13.0  # percent of the curves' height that a text of two lines takes
SETTING = (
    f"8 x 8 pixels → {HIDDEN} tanh units → 10 digits, trained by SGD. Weights after training. "
    "Data: optdigits, Alpaydin and Kaynak 1998"
)


def draw(outcomes: tuple[Outcome, ...]) -> "Figure":
    """Draw the test accuracies by step, and the hidden units' incoming weights as images.

    Parameters
    ----------
    outcomes
        Two.

    Returns
    -------
    matplotlib.figure.Figure
        1620 x 900 pixels; it belongs to no window and no pyplot state.

    Raises
    ------
    MissingExtra
        Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot", "the picture") from error
    figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white")
    figure.suptitle(
        "The same network, the same digits: only the start differs", x=0.03, y=0.97, ha="left", size=18, weight="bold"
    )
    figure.text(0.03, 0.892, SETTING, size=11.5, color=GREY, va="center")
    _draw_curves(figure.add_axes((0.06, 0.115, 0.32, 0.67)), outcomes)
    weights = [outcome.run.parameters[HIDDEN_WEIGHT] for outcome in outcomes]
    limit = max(float(np.abs(weight).max()) for weight in weights)
    for weight, outcome, colour, bottom in zip(weights, outcomes, COLOURS, (0.485, 0.055), strict=True):
        image = _draw_units(figure.add_axes((0.535, bottom, 0.36, 0.325)), weight, limit)
        share = f"{outcome.distinct} distinct unit{'s' * (outcome.distinct != 1)} of {outcome.units}"
        figure.text(0.535, bottom + 0.34, f"{outcome.run.start.name}: {share}", size=14, weight="bold", color=colour)
    bar = figure.colorbar(image, cax=figure.add_axes((0.906, 0.055, 0.013, 0.755)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=11, length=3)
    bar.set_label("incoming weight, from each of 8 x 8 pixels", size=12)
    return figure


def _draw_curves(axes: "Axes", outcomes: tuple[Outcome, ...]) -> None:
    from matplotlib.ticker import MaxNLocator

    steps = max(int(outcome.run.steps[-1]) for outcome in outcomes)
    ends = [(10.0, "guessing", GREY, "normal")]
    for outcome, colour in zip(outcomes, COLOURS, strict=True):
        run = outcome.run
        axes.plot(run.steps, 100 * run.accuracies, color=colour, linewidth=2.2, clip_on=False)
        ends.append((100 * run.accuracy, f"{run.start.name}\n{run.accuracy:.1%}", colour, "bold"))
    axes.axhline(10, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    ends.sort()
    for height, (_, text, colour, weight) in zip(_apart([end[0] for end in ends]), ends, strict=True):
        axes.text(steps * 1.03, height, text, color=colour, weight=weight, size=12, va="center", linespacing=1.3)
    axes.set_xlim(0, steps)
    axes.set_ylim(0, 100)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.set_xlabel("training steps", size=12)
    axes.set_title("test accuracy (%)", loc="left", size=12, pad=12)
    axes.tick_params(labelsize=11)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _apart(heights: list[float]) -> list[float]:
    """Move sorted heights up until each is `LINE` above the one before, so that no two texts overlap."""
    moved = heights[:1]
    for height in heights[1:]:
        moved.append(max(height, moved[-1] + LINE))
    return moved


def _draw_units(axes: "Axes", weight: Array, limit: float) -> Any:
    rows = -(-len(weight) // COLUMNS)
    pitch = SIDE + GAP
    mosaic = np.full((rows * pitch - GAP, COLUMNS * pitch - GAP), np.nan)
    for unit, incoming in enumerate(weight):
        top, left = unit // COLUMNS * pitch, unit % COLUMNS * pitch
        mosaic[top : top + SIDE, left : left + SIDE] = incoming.reshape(SIDE, SIDE)
    axes.set_axis_off()
    axes.set_anchor("NW")
    return axes.imshow(mosaic, cmap="PuOr_r", vmin=-limit, vmax=limit, interpolation="nearest")


def save_picture(outcomes: tuple[Outcome, ...], path: Path) -> None:
    """Draw the picture and save it as PNG.

    Raises
    ------
    MissingExtra
        Matplotlib is not installed.
    OSError
        The file can't be written; what was there is as it was.
    """
    png = io.BytesIO()
    draw(outcomes).savefig(png, format="png", metadata={"Software": MAKER})
    with replacing(path) as file:
        file.write(png.getvalue())
