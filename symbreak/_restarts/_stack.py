"""Dense networks of one shape side by side: the starts are the last axis of every array.

Each number of a start is made by operations entry by entry along that axis, in an order that the shape of one network
fixes. So a start's bits do not depend on how many stand beside it, which a matrix product would not promise. The sums
are `einsum` without its optimizer: n counts rows, j units, i inputs, s starts. Starts have the smallest stride, so they
are always its inner loop. Weights lie as (in, units, starts): units and starts then make one long loop where an input
is the same for all of them, as it is in the first layer. A bias is the weight of one more input, which is always 1, so
that one sum does for both.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, final

import numpy as np

from symbreak.engine._activations import ACTIVATIONS
from symbreak.engine._losses import LOSSES

Array = np.ndarray[Any, np.dtype[Any]]

# Starts are padded to a multiple of this: no reduction then sees a last axis of length 1, which NumPy would drop and
# sum in another order, and every vector loop runs without a remainder.
LANES = 16


class Slot(NamedTuple):
    """Where one parameter lies among the entries of a network."""

    name: str
    shape: tuple[int, ...]
    begin: int
    end: int


def slots(sizes: Sequence[int], bias: bool) -> list[Slot]:
    """Lay the parameters of a network out one after the other, in the order of the engine."""
    found: list[Slot] = []
    begin = 0
    for number, (inputs, units) in enumerate(pairwise(sizes)):
        parts: dict[str, tuple[int, ...]] = {"weight": (units, inputs)} | ({"bias": (units,)} if bias else {})
        for part, shape in parts.items():
            end = begin + int(np.prod(shape))
            found.append(Slot(f"layers.{number}.{part}", shape, begin, end))
            begin = end
    return found


class _Layer(NamedTuple):
    """Views of one layer's parameters and of their gradients, (in, units, lanes): the bias last, where there is one."""

    weight: Array
    gradient: Array


class _Room(NamedTuple):
    """Arrays that one layer fills at every step, for one number of rows."""

    z: Array  # (rows, units, lanes)
    y: Array  # as z, and a view of `above`
    above: Array  # (rows, units, lanes), with a 1 more for the bias of the next layer: what that reads
    g: Array  # as y: the gradient there


def turned(layout: Sequence[Slot]) -> Array:
    """Give the order of entries in which every weight is (in, units) instead of (units, in)."""
    return np.concatenate([np.arange(slot.begin, slot.end).reshape(slot.shape).T.ravel() for slot in layout])


@final
class Stack:
    """Networks side by side.

    Parameters
    ----------
    entries
        (parameters, lanes), in C order: a network a column, in the order of `turned`. Training changes it in place.
    layout
        The slots.
    activation, loss
        Names in the engine's tables.

    Attributes
    ----------
    gradient
        As `entries`: what `backward` wrote last.
    """

    def __init__(self, entries: Array, layout: Sequence[Slot], activation: str, loss: str) -> None:
        self.entries, self.gradient = entries, np.zeros_like(entries)
        weights = [slot for slot in layout if slot.name.endswith(".weight")]
        ends = [slot.begin for slot in weights[1:]] + [len(entries)]  # a bias lies behind its weight
        parts = [
            (slice(slot.begin, end), (-1, slot.shape[0], entries.shape[1]))
            for slot, end in zip(weights, ends, strict=True)
        ]
        self._layers = [
            _Layer(entries[part].reshape(shape), self.gradient[part].reshape(shape)) for part, shape in parts
        ]
        self._ones = int(len(weights) < len(layout))  # for the biases
        self._function, self._loss = ACTIVATIONS[activation], LOSSES[loss]
        self._rooms: dict[int, list[_Room]] = {}

    def inputs(self, x: Array) -> Array:
        """Lay inputs, (rows, in), out as `forward` reads them: (rows, in, 1), and a 1 more for the biases."""
        ones = np.ones((len(x), self._ones), x.dtype)
        return np.concatenate([x, ones], axis=1)[:, :, np.newaxis]

    def forward(self, x: Array) -> tuple[Array, list[Array]]:
        """Compute the outputs, (rows, out, lanes), of x as `inputs` gives it, and what `backward` must remember.

        Both are overwritten by the next call with as many rows.
        """
        read, function = [x], self._function.forward
        *hidden, last = zip(self._layers, self._arrays(len(x)), strict=True)
        for layer, room in hidden:
            np.einsum("ijs,nis->njs", layer.weight, read[-1], out=room.z)
            if isinstance(function, np.ufunc):
                function(room.z, out=room.y)
            else:
                room.y[...] = function(room.z)
            read.append(room.above)
        layer, room = last
        return np.einsum("ijs,nis->njs", layer.weight, read[-1], out=room.z), read

    def judge(self, y: Array, t: Array) -> tuple[Array, Array]:
        """Give the loss of each lane, float64, from its outputs and the targets, and the gradient at the outputs."""
        losses, g = self._loss.both(y, t)
        return np.asarray(losses, dtype=np.float64), g

    def backward(self, g: Array, read: list[Array]) -> None:
        """Write the gradient of the loss, from that at the outputs."""
        rooms = self._arrays(len(g))
        for number in reversed(range(len(self._layers))):
            weight, gradient = self._layers[number]
            np.einsum("njs,nis->ijs", g, read[number], out=gradient)
            if number:
                below = rooms[number - 1]
                weight = weight[: below.y.shape[1]]
                if weight.shape[1] == 1:  # a sum of one term, and no sum is faster
                    np.multiply(g, weight[:, 0], out=below.g)
                else:
                    np.einsum("njs,ijs->nis", g, weight, out=below.g)
                g = self._function.backward(below.g, below.y, below.z)  # (rows, units, lanes)

    def _arrays(self, rows: int) -> list[_Room]:
        """Give the arrays that are kept for a number of rows."""
        if rows not in self._rooms:
            self._rooms[rows] = [self._room(rows, layer.weight) for layer in self._layers]
        return self._rooms[rows]

    def _room(self, rows: int, weight: Array) -> _Room:
        _, units, lanes = weight.shape
        z, above, g = (np.ones((rows, units + more, lanes), weight.dtype) for more in (0, self._ones, 0))
        return _Room(z, above[:, :units], above, g)
