"""The losses of the starts as a figure: sorted, coloured by minimum."""

from typing import TYPE_CHECKING, Any

import numpy as np

from symbreak._figure import COLOURS, GREY, figure_axes, tidy

from ._minima import Minima

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]

DECADES = 10.0  # how many times the lowest loss the highest is, for the axis to be logarithmic


def plot_losses(losses: Array, loss: str, minima: Minima, threshold: float | None, axes: "Axes | None") -> "Axes":
    """Draw what `Restarts.plot` says."""
    axes = figure_axes(axes, "the plot of restarts")
    from matplotlib.ticker import MaxNLocator  # which is there, since there are axes

    order = np.argsort(losses, kind="stable")
    ranks = np.empty(len(losses), np.int64)
    ranks[order] = np.arange(1, len(losses) + 1)
    shared = [label for label in np.argsort(-minima.counts, kind="stable") if minima.counts[label] > 1]
    groups = [
        (minima.labels == label, colour, f"{minima.counts[label]} starts, the best at {minima.losses[label]:.3g}")
        for label, colour in zip(shared, COLOURS, strict=False)
    ]
    drawn = np.any([members for members, _, _ in groups], axis=0) if groups else np.zeros(len(losses), bool)
    finite = np.isfinite(losses)
    others = finite & ~drawn
    if others.any():
        count, apart = int(others.sum()), len(minima) - len(groups)
        told = f"{count} start{'s' * (count > 1)} in {apart} {'other ' * bool(groups)}minim{'a' if apart > 1 else 'um'}"
        groups.append((others, GREY, told))
    for members, colour, label in groups:
        axes.plot(ranks[members], losses[members], "o", color=colour, label=label, markersize=4, clip_on=False)
    if threshold is not None:
        reached = f"{np.count_nonzero(losses <= threshold)} of {len(losses)} starts at {threshold:g} or less"
        axes.axhline(threshold, color="black", linestyle=(0, (4, 3)), linewidth=1, label=reached)
    shown = losses[finite] if threshold is None else np.append(losses[finite], threshold)
    if len(shown) and shown.min() > 0 and shown.max() > DECADES * shown.min():
        axes.set_yscale("log")
    lost = len(losses) - int(finite.sum())
    axes.set_xlim(0.5, len(losses) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("starts, the best first" + (f" ({lost} without a finite loss)" if lost else ""))
    axes.set_ylabel(f"lowest loss ({loss})")
    tidy(axes)
    if axes.get_legend_handles_labels()[0]:  # without a finite loss nothing is drawn
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # beside the points, which may be anywhere
    return axes
