"""The layer between a sequence and one answer: the last position alone."""

from typing import Any, final

import numpy as np

from ._layers import AbstractLayer, Array, Backward, Run, Shape
from ._wiring import Wire, Wiring


@final
class Last(AbstractLayer):
    """Read the last position: (batch, time, units) to (batch, units), as after an LSTM that answers once.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Dense(np.ones((1, 2))), engine.Last()])
    >>> net(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    array([[7.]])
    """

    inputs = units = None

    def __init__(self) -> None:
        self.parameters = {}

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Take the last position of x; the memory is its shape."""
        return np.ascontiguousarray(x[:, -1]), x.shape

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Give the gradient to the last position, and none to the others."""
        down = np.zeros(memory, g.dtype)
        down[:, -1] = g
        return Backward(down, g, {})

    def shape(self, *shapes: Shape) -> Shape:
        """Give the shape without the time."""
        (shape,) = shapes
        if len(shape) != 2:
            raise ValueError(f"it reads (batch, time, units), not {('batch', *shape)}")
        return shape[1:]

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Pass its source on."""
        return sources[0]

    def __repr__(self) -> str:
        return "Last()"
