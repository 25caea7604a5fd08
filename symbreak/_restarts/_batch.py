"""One batch of starts: drawn, trained as one computation, each one's best weights kept. It runs in any worker."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from symbreak.engine import AbstractOptimizer
from symbreak.engine._batches import batches
from symbreak.initializers import AbstractInitializer
from symbreak.streams import Key

from ._stack import LANES, Slot, Stack, slots

Array = np.ndarray[Any, np.dtype[Any]]


@final
@dataclass(frozen=True, eq=False)
class Settings:
    """All that decides what becomes of a start, checked and in plain forms."""

    sizes: tuple[int, ...]
    x: Array  # (rows, in)
    t: Array  # the targets, as the loss reads them
    steps: int
    optimizer: AbstractOptimizer
    activation: str
    loss: str
    init: AbstractInitializer
    bias_init: AbstractInitializer | None
    key: Key
    dtype: np.dtype[Any]
    batch_size: int | None
    tolerance: float | None

    @property
    def layout(self) -> list[Slot]:
        """Where each parameter lies among the entries of a start."""
        return slots(self.sizes, self.bias_init is not None)


class Trained(NamedTuple):
    """What became of a batch of starts; row n belongs to start ``first + n``."""

    first: int
    losses: Array  # (count,), float64: the lowest seen
    final_losses: Array  # (count,), float64
    steps: Array  # (count,), int64: updates made
    best: Array  # (count, parameters): the entries where the loss was lowest
    final: Array  # (count, parameters)


def draw(settings: Settings, first: int, count: int) -> Array:
    """Draw the entries of starts ``first`` to ``first + count - 1``, (parameters, count)."""
    layout = settings.layout
    entries = np.zeros((layout[-1].end, count), settings.dtype)
    for lane in range(count):
        key = settings.key[str(first + lane)]
        for slot in layout:
            init = settings.init if slot.name.endswith(".weight") else settings.bias_init
            if init is not None and init.ties != "zeroes":  # zeros are there
                values = init(slot.shape, rng=key[slot.name], dtype=settings.dtype, workers=1)
                entries[slot.begin : slot.end, lane] = values.ravel()
    return entries


def train_batch(settings: Settings, first: int, count: int) -> Trained:
    """Train ``count`` starts from number ``first`` on."""
    entries = draw(settings, first, count)
    padding = np.broadcast_to(entries[:, :1], (len(entries), -count % LANES))
    entries = np.concatenate([entries, padding], axis=1)
    stack = Stack(entries, settings.layout, settings.activation, settings.loss)
    record = _Record(entries, count, settings.tolerance)
    x = settings.x[:, :, np.newaxis]
    t = settings.t[:, :, np.newaxis] if settings.t.ndim == 2 else settings.t  # values broadcast, labels index
    optimizer, size = settings.optimizer, settings.batch_size
    a_pass = 1 if size is None else -(-len(x) // size)  # steps
    rows_of = batches(len(x), size, settings.key["order"])
    states = {name: optimizer.start(parameter) for name, parameter in stack.parameters.items()}
    with np.errstate(all="ignore"):  # what is not finite is recorded, start by start
        for number in range(settings.steps + 1):
            if size is None:
                y, memory = stack.forward(x)
                record.judge(stack.losses(y, t), number)
            elif number % a_pass == 0 or number == settings.steps:
                record.judge(_losses_by_pieces(stack, x, t, size), number)
            if number == settings.steps or not record.live.any():
                break
            wanted = t
            if size is not None:
                rows = next(rows_of)
                wanted = t[rows]
                y, memory = stack.forward(x[rows])
            for name, gradient in stack.gradients(y, wanted, memory):
                states[name] = optimizer.step(stack.parameters[name], gradient, states[name])
    return record.result(first)


def _losses_by_pieces(stack: Stack, x: Array, t: Array, size: int) -> Array:
    """Give the losses over all rows, at the memory of `size` rows."""
    total = np.zeros(next(iter(stack.parameters.values())).shape[-1])
    for begin in range(0, len(x), size):
        piece = x[begin : begin + size]
        total += stack.losses(stack.forward(piece)[0], t[begin : begin + size]) * len(piece)
    return total / len(x)


class _Record:
    """The lowest loss of each start and the entries where it was; starts that are done are frozen in it."""

    def __init__(self, entries: Array, count: int, tolerance: float | None) -> None:
        lanes = entries.shape[1]
        self._entries = entries  # as training changes them
        self._count = count
        self._enough = -np.inf if tolerance is None else tolerance
        self.live = np.arange(lanes) < count
        self.losses = np.full(lanes, np.inf)
        self._best = entries.copy()
        # Most starts improve at every step. So the best entries are copied only when a start leaves them behind.
        self._seen = entries.copy()  # the entries at the last judgement
        self._at_best = np.zeros(lanes, bool)  # there the loss was the lowest, and they aren't copied yet
        self._final = entries.copy()
        self._final_losses = np.full(lanes, np.nan)
        self._steps = np.zeros(lanes, np.int64)

    def judge(self, losses: Array, number: int) -> None:
        """Take note of every live start's loss after `number` updates."""
        improved = (losses < self.losses) & self.live
        left = np.flatnonzero(self._at_best & ~improved)
        if left.size:
            self._best[:, left] = self._seen[:, left]
        self._at_best = improved
        np.copyto(self.losses, losses, where=improved)
        self._seen[...] = self._entries
        stopped = np.flatnonzero(self.live & ~((losses > self._enough) & (losses < np.inf)))
        if stopped.size:
            self._stop(stopped, losses, number)
        self._last = losses, number

    def _stop(self, lanes: Array, losses: Array, number: int) -> None:
        kept = lanes[self._at_best[lanes]]
        self._best[:, kept] = self._entries[:, kept]
        self._final[:, lanes] = self._entries[:, lanes]
        self._final_losses[lanes] = losses[lanes]
        self._steps[lanes] = number
        self.live[lanes] = False

    def result(self, first: int) -> Trained:
        """Give the rows of the starts, without the padding."""
        losses, number = self._last
        self._stop(np.flatnonzero(self.live), losses, number)
        own = slice(self._count)
        return Trained(
            first,
            self.losses[own],
            self._final_losses[own],
            self._steps[own],
            np.ascontiguousarray(self._best[:, own].T),
            np.ascontiguousarray(self._final[:, own].T),
        )
