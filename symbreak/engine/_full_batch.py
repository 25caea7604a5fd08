"""Training by an optimizer that goes down the loss of the whole batch as one function of all parameters."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ._history import History, diverged
from ._lbfgs import LBFGS
from ._losses import Loss
from ._network import Gradients, Network

Array = np.ndarray[Any, np.dtype[Any]]


class Descent:
    """A run of L-BFGS over a network, whose parameters are one vector to it.

    As in other training, step n has the loss and the gradients from before its update. A run that ends early has one
    more step, which changes nothing: the loss of where it ended is that step's.

    Parameters
    ----------
    net
        The network, float64. Its parameters follow the run.
    x, t
        The batch, as the network and the loss have read it.
    row, loss
        The loss, and its name.
    optimizer
        The L-BFGS.
    callback
        Called after every update with the number of the step and its gradients; None for nothing.

    Raises
    ------
    TypeError
        A network of another dtype.
    ValueError
        A network that draws noise, or whose layers have buffers: between two tries its loss may change by itself.
    """

    def __init__(
        self, net: Network, x: Array, t: Array, row: Loss, loss: str, optimizer: LBFGS,
        callback: Callable[[int, Gradients], object] | None = None,
    ) -> None:  # fmt: skip
        if net.dtype != np.float64:
            raise TypeError(
                f"L-BFGS compares losses that differ by little, and needs a network of float64; this one is "
                f"{net.dtype}: build it with dtype='float64'"
            )
        if net.noisy or net.buffers:
            raise ValueError(
                f"L-BFGS needs a loss that the parameters alone decide, and a network that draws no noise and keeps no "
                f"running statistics; take engine.Adam(0.01) for {net!r}"
            )
        self.net, self.x, self.t, self.row, self.loss = net, x, t, row, loss
        self.optimizer, self.callback = optimizer, callback
        self.losses: list[float] = []  # of the steps that are over
        self.point = self.tried = _flat(net.parameters)  # where the last step ended, and where the parameters are
        self.found = self.here = self._gradients(self.point)  # at the point tried, and at the end of the last step

    def run(self, steps: int) -> History:
        """Go as many steps, or to where no step goes farther.

        Raises
        ------
        Diverged
            A loss that the run came upon is not finite. The parameters are those after the last whole step.
        """
        try:
            self.optimizer.minimize(self._function, self.point, steps, self._stepped)
        finally:
            self._write(self.point)
        if len(self.losses) == steps:
            return History(np.array(self.losses), self.loss, self.optimizer)
        self._note(self.here)
        largest, bound = max(float(abs(g).max()) for g in self.here.parameters.values()), self.optimizer.tolerance
        stopped = (
            f"no entry of the gradient is farther from zero than {bound:g}"
            if largest <= bound
            else f"no step lowers the loss as far as rounding shows; entries of the gradient are up to {largest:.2g}"
        )
        return History(np.array(self.losses), self.loss, self.optimizer, stopped)

    def _function(self, point: Array) -> tuple[float, Array]:
        found = self._at(point)
        return found.loss, _flat(found.parameters)

    def _at(self, point: Array) -> Gradients:
        """Compute the gradients at a point; those of the point last tried are still there."""
        if not np.array_equal(point, self.tried):
            self.found = self._gradients(point)
            self.tried = point.copy()
        return self.found

    def _gradients(self, point: Array) -> Gradients:
        self._write(point)
        with np.errstate(all="ignore"):  # what is not finite is told by the error below
            found = self.net.gradients(self.x, self.t, self.row)
        if not np.isfinite(found.loss):
            raise diverged(
                f"the loss became {found.loss}", len(self.losses), np.array(self.losses), self.loss, self.optimizer
            )
        return found

    def _stepped(self, point: Array) -> None:
        before = self.here
        self.here, self.point = self._at(point), point.copy()
        self._note(before)

    def _note(self, found: Gradients) -> None:
        self.losses.append(found.loss)
        if self.callback is None:
            return
        try:
            self.callback(len(self.losses) - 1, found)
        except StopIteration as error:  # SciPy would take it as a sign to stop
            raise RuntimeError("the callback raised StopIteration") from error

    def _write(self, point: Array) -> None:
        start = 0
        for array in self.net.parameters.values():
            array[...] = point[start : start + array.size].reshape(array.shape)
            start += array.size


def _flat(arrays: Mapping[str, Array]) -> Array:
    return np.concatenate([array.ravel() for array in arrays.values()])
