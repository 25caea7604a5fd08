"""One batch of starts: drawn, trained as one computation, each one's best weights kept. It runs in any worker."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from symbreak.engine import AbstractOptimizer
from symbreak.engine._batches import batches
from symbreak.initializers import AbstractInitializer
from symbreak.streams import Key

from ._draw import draw_beside
from ._record import Record, Trained
from ._stack import LANES, Slot, Stack, slots, turned

Array = np.ndarray[Any, np.dtype[Any]]

BUFFER = 512  # values: some that are of another dtype do go through it, such as the signs of a relu
STEPS_UNTOLD = 50  # between two calls of `tell`


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

    def stack(self, entries: Array) -> Stack:
        """Put networks side by side, (parameters, lanes)."""
        return Stack(entries, self.layout, self.activation, self.loss)


def draw(settings: Settings, first: int, count: int) -> Array:
    """Draw the entries of starts ``first`` to ``first + count - 1``, (parameters, count)."""
    layout = settings.layout
    entries = np.zeros((layout[-1].end, count), settings.dtype)
    keys = [settings.key[str(number)] for number in range(first, first + count)]
    for slot in layout:
        init = settings.init if slot.name.endswith(".weight") else settings.bias_init
        if init is not None and init.ties != "zeroes":  # zeros are there
            named = [key[slot.name] for key in keys]
            draw_beside(init, slot.shape, named, settings.dtype, entries[slot.begin : slot.end])
    return entries


def train_batch(settings: Settings, first: int, count: int, tell: Callable[[float], None] | None = None) -> Trained:
    """Train ``count`` starts from number ``first`` on.

    Now and then `tell` is called with how many finished starts would be as much work as is done.
    """
    order = turned(settings.layout)
    entries = draw(settings, first, count)[order]
    padding = np.broadcast_to(entries[:, :1], (len(entries), -count % LANES))
    stack = settings.stack(np.concatenate([entries, padding], axis=1))
    record = Record(stack.entries, count, settings.tolerance)
    x = stack.inputs(settings.x)
    t = settings.t[:, :, np.newaxis] if settings.t.ndim == 2 else settings.t  # values broadcast, labels index
    optimizer, size = settings.optimizer, settings.batch_size
    a_pass = 1 if size is None else -(-len(x) // size)  # steps
    rows_of = batches(len(x), size, settings.key["order"])
    state = optimizer.start(stack.entries)  # entry by entry: one call for all parameters of all starts
    with _short_buffers(), np.errstate(all="ignore"):  # what is not finite is recorded, start by start
        for number in range(settings.steps + 1):
            if size is None:
                y, read = stack.forward(x)
                losses, g = stack.judge(y, t)
                record.judge(stack.entries, losses, number)
            elif number % a_pass == 0 or number == settings.steps:
                record.judge(stack.entries, _losses_by_pieces(stack, x, t, size), number)
            if number == settings.steps or not record.live:
                break
            if tell is not None and number % STEPS_UNTOLD == 0:
                tell(count * number / settings.steps)
            if size is not None:
                rows = next(rows_of)
                y, read = stack.forward(x[rows])
                _, g = stack.judge(y, t[rows])
            stack.backward(g, read)
            state = optimizer.at(number).step(stack.entries, stack.gradient, state)
            if record.idle and can_narrow(state, stack.entries):
                lanes = record.narrow()
                state = narrowed(state, lanes)
                stack = settings.stack(np.take(stack.entries, lanes, axis=1))  # in C order, as indexing need not be
    return record.result(first, np.argsort(order))


@contextmanager
def _short_buffers() -> Iterator[None]:
    """Let NumPy's buffers be shorter than a row of lanes.

    With longer ones it lays out a plan of how to gather rows in a buffer for every operation that broadcasts, though
    nothing needs to be buffered, and twice the time goes into it.
    """
    before = np.setbufsize(BUFFER)
    try:
        yield
    finally:
        np.setbufsize(before)


def _losses_by_pieces(stack: Stack, x: Array, t: Array, size: int) -> Array:
    """Give the losses over all rows, at the memory of `size` rows."""
    total = np.zeros(stack.entries.shape[1])
    for begin in range(0, len(x), size):
        piece = x[begin : begin + size]
        total += stack.judge(stack.forward(piece)[0], t[begin : begin + size])[0] * len(piece)
    return total / len(x)


def can_narrow(state: Any, entries: Array) -> bool:
    """Say whether an optimizer's state is known to be arrays like the entries, numbers, and tuples of them."""
    if isinstance(state, np.ndarray):
        return bool(state.shape == entries.shape)
    if isinstance(state, tuple):
        return all(can_narrow(part, entries) for part in state)
    return state is None or isinstance(state, int | float)


def narrowed(state: Any, lanes: Array) -> Any:
    """Give the state of some lanes."""
    if isinstance(state, np.ndarray):
        return np.take(state, lanes, axis=1)
    if isinstance(state, tuple):
        parts = [narrowed(part, lanes) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)  # a NamedTuple is made of its fields
    return state
