"""What training leaves behind: the loss at every step, and the errors that carry it when training breaks off."""

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from symbreak._figure import figure_axes, tidy
from symbreak.errors import SymbreakError

from ._lbfgs import LBFGS
from ._optimizers import AbstractOptimizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]

KEPT = "The losses up to there are in the error's `history`"


@final
@dataclass(frozen=True, eq=False)
class History:
    """The losses of one run.

    Attributes
    ----------
    losses
        (steps,), float64: entry ``n`` is the loss of step n's batch before that step's update.
    loss
        The name of the loss.
    optimizer
        The optimizer.
    stopped
        Why the run ended before its steps were over; None where it did not. The last step then changed nothing.
    """

    losses: np.ndarray[Any, np.dtype[np.float64]]
    loss: str
    optimizer: AbstractOptimizer | LBFGS
    stopped: str | None = None

    def __len__(self) -> int:
        return len(self.losses)

    def __repr__(self) -> str:
        ends = f": {self.losses[0]:.6g} -> {self.losses[-1]:.6g}" if len(self) else ""
        return f"History({len(self)} steps of {self.optimizer}, {self.loss}{ends})"

    def __str__(self) -> str:
        lines = [self._title, *(f"  step {step}  loss {loss}" for step, loss in self._shown()), *self._ends()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{step}</td><td>{loss}</td></tr>" for step, loss in self._shown())
        ends = "".join(f"<p>{html.escape(end.strip())}</p>" for end in self._ends())
        table = f"<table><tr><th>step</th><th>loss</th></tr>{rows}</table>" if rows else ""
        return f"<p>{html.escape(self._title)}</p>{table}{ends}"

    @property
    def _title(self) -> str:
        return f"{len(self) or 'no'} steps of {self.optimizer}, {self.loss}"

    def _shown(self) -> list[tuple[str, str]]:
        """Write step and loss of the first, the last, and of 1, 10, 100, ..."""
        shown = sorted({0, *(10**power for power in range(len(str(len(self))))), len(self) - 1})
        width = len(str(len(self) - 1))
        return [(f"{step:>{width}}", f"{self.losses[step]:.6g}") for step in shown if 0 <= step < len(self)]

    def _ends(self) -> list[str]:
        lowest = [f"  lowest: {self.losses.min():.6g}, at step {self.losses.argmin()}"] if len(self) else []
        return lowest + ([f"  stopped: {self.stopped}"] if self.stopped else [])

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw the loss by step, on a logarithmic scale.

        Losses of zero have no place on it, and leave a gap. Where no loss is above zero the scale is linear.

        Parameters
        ----------
        axes
            Where to draw; None makes a new figure with `matplotlib.pyplot`. Several histories can share one.

        Returns
        -------
        matplotlib.axes.Axes
            The line is its last, labelled with the loss and the optimizer.

        Raises
        ------
        MissingExtra
            Matplotlib is not installed.

        Examples
        --------
        >>> from symbreak import engine
        >>> net = engine.mlp([1, 1], init="zeros", rng=0)
        >>> history = engine.train(net, [[1.0], [2.0]], [1.0, 3.0], optimizer=engine.SGD(0.1), steps=20)
        >>> axes = history.plot()
        >>> axes.lines[0].get_label(), axes.get_yscale()
        ('mse, SGD(learning_rate=0.1)', 'log')
        """
        axes = figure_axes(axes, "the plot of a history")
        marker = "." if len(self) == 1 else None  # a line of one point can't be seen
        axes.plot(np.arange(len(self)), self.losses, marker=marker, label=f"{self.loss}, {self.optimizer}")
        if (self.losses > 0).any():
            axes.set_yscale("log", nonpositive="mask")
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.legend(frameon=False)
        return tidy(axes)


class BrokenOff(SymbreakError):  # noqa: N818 - says what happened
    """Training that broke off."""

    def __init__(self, message: str, step: int, history: History) -> None:
        super().__init__(message)
        self.step = step
        self.history = history

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all three, so that it comes back from another process."""
        return type(self), (str(self), self.step, self.history)


@final
class Diverged(BrokenOff, ArithmeticError):  # noqa: N818 - says what happened
    """A loss, or a weight, that stopped being finite.

    Attributes
    ----------
    step
        The step at which it happened.
    history
        The steps before it.
    """


@final
class Halted(BrokenOff, ValueError):  # noqa: N818 - says what happened
    """A step that could not be made: a batch that a layer can't train on, or a schedule that gave no rate.

    Attributes
    ----------
    step
        The step at which it happened. Nothing of it was done.
    history
        The steps before it.
    """


def diverged(what: str, step: int, losses: Array, loss: str, optimizer: AbstractOptimizer | LBFGS) -> Diverged:
    """Make the error that says what stopped being finite at a step, with the losses before it."""
    history = History(losses[:step].copy(), loss, optimizer)
    return Diverged(
        f"{what} at step {step}{_after(history)}; {optimizer} may take too large steps, or the inputs may need "
        f"scaling. {KEPT}",
        step,
        history,
    )


def halted(why: ValueError, step: int, losses: Array, loss: str, optimizer: AbstractOptimizer) -> Halted:
    """Make the error that says why a step could not be made, with the losses before it."""
    history = History(losses[:step].copy(), loss, optimizer)
    return Halted(f"training stopped at step {step}{_after(history)}: {why}. {KEPT}", step, history)


def _after(history: History) -> str:
    return f", after {history.losses[-1]:.6g}" if len(history) else ""
