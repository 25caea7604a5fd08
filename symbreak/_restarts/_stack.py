"""Dense networks of one shape side by side: the starts are the last axis of every array.

Each number of a start is made by operations entry by entry along that axis, in an order that the shape of one network
fixes. So a start's bits do not depend on how many stand beside it, which a matrix product would not promise. The sums
are `einsum` without its optimizer: n counts rows, j units, i inputs, s starts. Starts have the smallest stride, so they
are always its inner loop.
"""

from collections.abc import Iterator, Sequence
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


@final
class Stack:
    """Networks side by side.

    Parameters
    ----------
    entries
        (parameters, lanes): a network a column, its parameters as `slots` lays them out. Training changes it in place.
    layout
        The slots.
    activation, loss
        Names in the engine's tables.
    """

    def __init__(self, entries: Array, layout: Sequence[Slot], activation: str, loss: str) -> None:
        lanes = entries.shape[1]
        self.parameters = {slot.name: entries[slot.begin : slot.end].reshape(*slot.shape, lanes) for slot in layout}
        names = [slot.name.removesuffix(".weight") for slot in layout if slot.name.endswith(".weight")]
        functions = [ACTIVATIONS[activation]] * (len(names) - 1) + [ACTIVATIONS["identity"]]
        self._layers = list(zip(names, functions, strict=True))
        self._loss = LOSSES[loss]

    def forward(self, x: Array) -> tuple[Array, list[Any]]:
        """Compute the outputs, (batch, out, lanes), of x, (batch, in, 1), and what `gradients` must remember."""
        memory = []
        for name, function in self._layers:
            z = np.einsum("jis,nis->njs", self.parameters[f"{name}.weight"], x)
            if (bias := self.parameters.get(f"{name}.bias")) is not None:
                z += bias
            y = function.forward(z)
            memory.append((x, z, y))
            x = y
        return x, memory

    def losses(self, y: Array, t: Array) -> Array:
        """Give the loss of each lane, float64, from its outputs and the targets."""
        return np.asarray(self._loss.value(y, t), dtype=np.float64)

    def gradients(self, y: Array, t: Array, memory: list[Any]) -> Iterator[tuple[str, Array]]:
        """Yield each parameter's name and gradient, the last layer's first."""
        g = self._loss.gradient(y, t)
        for number in reversed(range(len(self._layers))):
            name, function = self._layers[number]
            x, z, y = memory[number]
            error = function.backward(g, y, z)  # (batch, units, lanes)
            if number:  # before the caller changes the weight
                g = np.einsum("njs,jis->nis", error, self.parameters[f"{name}.weight"])
            yield f"{name}.weight", np.einsum("njs,nis->jis", error, x)
            if f"{name}.bias" in self.parameters:
                yield f"{name}.bias", error.sum(axis=0)
