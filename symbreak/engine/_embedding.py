"""Embeddings: a table from which each index reads a row."""

from typing import Any, final

import numpy as np

from ._exact import zeros
from ._layers import AbstractLayer, Array, Backward, Run, as_parameters, rows
from ._wiring import Wire, Wiring


@final
class Embedding(AbstractLayer):
    """One row of a table for each index: ``y = weight[x]``, (batch, ...) to (batch, ..., units).

    It is what a dense layer without bias makes of indices written as zeros and a one. It reads the network's input.

    Parameters
    ----------
    weight
        (vocabulary, units), float32 or float64, or exact numbers as in `Dense`. Copied.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype.
    ValueError
        A weight that has not two axes, or values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Embedding(np.array([[0.0, 1.0], [2.0, 3.0]]))])
    >>> net(np.array([[1, 0, 1]]))
    array([[[2., 3.],
            [0., 1.],
            [2., 3.]]])
    """

    inputs = None
    units: int
    vocabulary: int

    def __init__(self, weight: Array) -> None:
        self.parameters = as_parameters({"weight": weight})
        if weight.ndim != 2 or 0 in weight.shape:
            raise ValueError(
                f"the weight of an embedding has two axes, (vocabulary, units), of 1 or more; got {weight.shape}"
            )
        self.vocabulary, self.units = weight.shape

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Look the indices up; the memory is the indices."""
        return self.parameters["weight"][x], x

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Sum the gradients of each index, one after the other; there is none at the indices."""
        of_weight = zeros(self.parameters["weight"].shape, self.parameters["weight"])
        np.add.at(of_weight, memory.ravel(), rows(g))
        return Backward(None, g, {"weight": of_weight})

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Add one space and the table, which reads from the indices."""
        wire = wiring.space(name, self.units)
        wiring.weight("weight", self.parameters["weight"], ["in", "out"], wire, sources[0])
        return wire

    def __repr__(self) -> str:
        return f"Embedding({self.vocabulary} -> {self.units})"
