"""Dense networks of one shape side by side: the starts are the last axis of every array.

Each number of a start is made by operations entry by entry along that axis, in an order that the shape of one network
fixes. So a start's bits do not depend on how many stand beside it, which a matrix product would not promise. The sums
are `einsum` without its optimizer: n counts rows, j units, i inputs, s starts. Starts have the smallest stride, so they
are always its inner loop. Weights lie as (in, units, starts): units and starts then make one long loop where an input
is the same for all of them, as it is in the first layer.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, final

import numpy as np

from symbreak.engine._activations import ACTIVATIONS, Activation
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
    """Views of one layer's parameters and of their gradients, with the lanes last."""

    weight: Array  # (in, units, lanes)
    bias: Array | None  # (units, lanes)
    weight_gradient: Array
    bias_gradient: Array | None
    function: Activation


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
        values, gradients = (
            {slot.name: array[slot.begin : slot.end].reshape(*slot.shape[::-1], -1) for slot in layout}
            for array in (self.entries, self.gradient)
        )
        names = [slot.name.removesuffix(".weight") for slot in layout if slot.name.endswith(".weight")]
        functions = [ACTIVATIONS[activation]] * (len(names) - 1) + [ACTIVATIONS["identity"]]
        self._layers = [
            _Layer(
                values[f"{name}.weight"], values.get(f"{name}.bias"),
                gradients[f"{name}.weight"], gradients.get(f"{name}.bias"), function,
            )
            for name, function in zip(names, functions, strict=True)
        ]  # fmt: skip
        self._loss = LOSSES[loss]
        self._room: dict[int, list[tuple[Array, Array]]] = {}

    def forward(self, x: Array) -> tuple[Array, list[Any]]:
        """Compute the outputs, (batch, out, lanes), of x, (batch, in, 1), and what `backward` must remember.

        Both are overwritten by the next call with as many rows.
        """
        memory = []
        for layer, (z, _) in zip(self._layers, self._arrays(len(x)), strict=True):
            np.einsum("ijs,nis->njs", layer.weight, x, out=z)
            if layer.bias is not None:
                z += layer.bias
            y = layer.function.forward(z)
            memory.append((x, z, y))
            x = y
        return x, memory

    def losses(self, y: Array, t: Array) -> Array:
        """Give the loss of each lane, float64, from its outputs and the targets."""
        return np.asarray(self._loss.value(y, t), dtype=np.float64)

    def backward(self, y: Array, t: Array, memory: list[Any]) -> None:
        """Write the gradient of the loss."""
        g, room = self._loss.gradient(y, t), self._arrays(len(y))
        for number in reversed(range(len(self._layers))):
            layer = self._layers[number]
            x, z, y = memory[number]
            error = layer.function.backward(g, y, z)  # (batch, units, lanes)
            np.einsum("njs,nis->ijs", error, x, out=layer.weight_gradient)
            if layer.bias_gradient is not None:
                np.add.reduce(error, axis=0, out=layer.bias_gradient)
            if number:
                g = np.einsum("njs,ijs->nis", error, layer.weight, out=room[number][1])

    def _arrays(self, rows: int) -> list[tuple[Array, Array]]:
        """Give two arrays that are kept for each layer and number of rows: its `z`, and the gradient at its `x`."""
        if rows not in self._room:
            shapes, kind = [layer.weight.shape for layer in self._layers], self.entries.dtype
            self._room[rows] = [
                (np.empty((rows, units, lanes), kind), np.empty((rows, inputs, lanes), kind))
                for inputs, units, lanes in shapes
            ]
        return self._room[rows]
