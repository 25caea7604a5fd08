"""The layer between an image and dense layers: positions become units."""

from math import prod
from typing import Any, final

from ._layers import AbstractLayer, Array, Backward, Run, Shape, only
from ._wiring import Wire, Wiring


@final
class Flatten(AbstractLayer):
    """Make units of all positions: (batch, ..., units) to (batch, positions * units), the units of a position together.

    In the graph a layer that reads them reads the units from before, at each position apart.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Conv1d(np.ones((2, 1, 3))), engine.Flatten(), engine.Dense(np.ones((1, 4)))])
    >>> net(np.ones((5, 4, 1))).shape
    (5, 1)
    >>> net.graph.connections[1]
    Weight('layers.2.weight', (1, 2, 2) float64: (out output, receptive, in layers.0))
    """

    inputs = units = None

    def __init__(self) -> None:
        self.parameters = {}

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Flatten x; the memory is its shape."""
        return x.reshape(len(x), -1), x.shape

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Give the gradient the positions back."""
        return Backward(g.reshape(memory), g, {})

    def widths(self, *sizes: int | None) -> int | None:
        """Give None: how many positions there are is not known before there are inputs."""
        only(sizes)
        return None

    def shape(self, *shapes: Shape) -> Shape:
        """Give one axis that is as long as all axes of one row together."""
        return (prod(shapes[0]),)

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Pass its source on, flat."""
        return wiring.flatten(sources[0])

    def __repr__(self) -> str:
        return "Flatten()"
