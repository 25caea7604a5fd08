"""What training leaves of each start: its lowest loss, the entries where that was, and how it ended."""

from typing import Any, NamedTuple, final

import numpy as np

from ._stack import LANES

Array = np.ndarray[Any, np.dtype[Any]]


class Trained(NamedTuple):
    """What became of a batch of starts; row n belongs to start ``first + n``."""

    first: int
    losses: Array  # (count,), float64: the lowest seen
    final_losses: Array  # (count,), float64
    steps: Array  # (count,), int64: updates made
    best: Array  # (count, parameters): the entries where the loss was lowest
    final: Array  # (count, parameters)


@final
class Record:
    """The lowest loss of each start and the entries where it was; one that is done is not looked at again.

    Parameters
    ----------
    entries
        (parameters, lanes), before the first step: a start a lane, and lanes of padding behind.
    count
        How many starts.
    tolerance
        The loss at which a start is done; None for none.

    Attributes
    ----------
    live
        How many starts are not done.
    """

    def __init__(self, entries: Array, count: int, tolerance: float | None) -> None:
        self._enough = -np.inf if tolerance is None else tolerance
        self._losses = np.full(count, np.inf)
        self._final_losses = np.full(count, np.nan)
        self._steps = np.zeros(count, np.int64)
        self._best = entries[:, :count].T.copy()
        self._final = self._best.copy()
        self._starts = np.arange(entries.shape[1])  # which start each lane is
        self._done = self._starts >= count  # the lanes that are
        self._lowest = np.where(self._done, -np.inf, np.inf)  # so that no loss of a lane that is done is lower
        # Most starts improve at every step. So the best entries are copied only when a start leaves them behind.
        self._seen = entries.copy()  # the entries at the last judgement
        self._at_best = np.zeros(len(self._starts), bool)  # there the loss was the lowest, and they aren't copied yet
        self._last = self._final_losses, 0
        self.live = count

    def judge(self, entries: Array, losses: Array, number: int) -> None:
        """Take note of the loss of every start that is not done after `number` updates."""
        improved = losses < self._lowest
        left = self._at_best > improved  # was, and is no more
        if np.count_nonzero(left):
            self._best[self._starts[left]] = self._seen[:, left].T
        self._at_best = improved
        np.fmin(self._lowest, losses, out=self._lowest)  # of a number and nan, the number
        np.copyto(self._seen, entries)
        self._last = losses, number
        going = losses < np.inf
        if self._enough > -np.inf:
            going &= losses > self._enough
        if np.count_nonzero(going) == len(going):
            return
        ended = ~(going | self._done)
        if np.count_nonzero(ended):
            self._stop(np.flatnonzero(ended), losses, number)

    def _stop(self, lanes: Array, losses: Array, number: int) -> None:
        starts, seen = self._starts[lanes], self._seen[:, lanes].T
        kept = self._at_best[lanes]
        self._best[starts[kept]] = seen[kept]
        self._final[starts] = seen
        self._final_losses[starts] = losses[lanes]
        self._steps[starts] = number
        self._losses[starts] = self._lowest[lanes]
        self.live -= len(lanes)
        self._done[lanes] = True
        self._at_best[lanes] = False
        self._lowest[lanes] = -np.inf

    @property
    def idle(self) -> bool:
        """Whether half the lanes or more could be left out."""
        return 2 * (self.live + -self.live % LANES) <= len(self._done)

    def narrow(self) -> Array:
        """Leave out the lanes that are done, and say which stay, with new padding."""
        live = np.flatnonzero(~self._done)
        lanes = np.concatenate([live, np.repeat(live[:1], -len(live) % LANES)])
        self._starts, self._lowest = self._starts[lanes], self._lowest[lanes]
        self._seen, self._at_best = self._seen[:, lanes], self._at_best[lanes]
        self._done = np.arange(len(lanes)) >= len(live)
        self._lowest[self._done], self._at_best[self._done] = -np.inf, False
        return lanes

    def result(self, first: int, order: Array) -> Trained:
        """Give what is noted, the entries in another order, once no start goes on."""
        losses, number = self._last
        self._stop(np.flatnonzero(~self._done), losses, number)
        return Trained(
            first, self._losses, self._final_losses, self._steps, self._best[:, order], self._final[:, order]
        )
