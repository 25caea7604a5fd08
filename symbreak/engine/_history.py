"""What training leaves behind: the loss at every step, and the error that carries it when training breaks off."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from symbreak.errors import SymbreakError

from ._optimizers import AbstractOptimizer


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
    """

    losses: np.ndarray[Any, np.dtype[np.float64]]
    loss: str
    optimizer: AbstractOptimizer

    def __len__(self) -> int:
        return len(self.losses)

    def __repr__(self) -> str:
        ends = f": {self.losses[0]:.6g} -> {self.losses[-1]:.6g}" if len(self) else ""
        return f"History({len(self)} steps of {self.optimizer}, {self.loss}{ends})"

    def __str__(self) -> str:
        if not len(self):
            return f"no steps of {self.optimizer}, {self.loss}"
        shown = sorted({0, *(10**power for power in range(len(str(len(self))))), len(self) - 1} - {len(self)})
        width = len(str(shown[-1]))
        lines = [f"{len(self)} steps of {self.optimizer}, {self.loss}"]
        lines += [f"  step {step:>{width}}  loss {self.losses[step]:.6g}" for step in shown]
        lines.append(f"  lowest: {self.losses.min():.6g}, at step {self.losses.argmin()}")
        return "\n".join(lines)


@final
class Diverged(SymbreakError, ArithmeticError):  # noqa: N818 - says what happened
    """A loss, or a weight, that stopped being finite.

    Attributes
    ----------
    step
        The step at which it happened.
    history
        The steps before it.
    """

    def __init__(self, message: str, step: int, history: History) -> None:
        super().__init__(message)
        self.step = step
        self.history = history
