"""The recurrent layer: every unit reads the inputs of now, and all units of the step before."""

from typing import Any, final

import numpy as np

from ._layers import (
    AbstractLayer,
    Array,
    Backward,
    Run,
    Shape,
    as_parameters,
    check_fits,
    function_of,
    project,
    rows,
    summed,
)
from ._time import shape_in_time
from ._wiring import Wire, Wiring


@final
class Recurrent(AbstractLayer):
    """Units that read one another over time: ``y[t] = activation(x[t] @ weight.T + y[t - 1] @ recurrent.T + bias)``.

    It goes from (batch, time, inputs) to (batch, time, units), for any length of time, and begins with ``y[-1] = 0``.
    Its gradients go back through all of time.

    Parameters
    ----------
    weight
        (units, inputs), float32 or float64. Copied, as training changes it in place. Or an array of objects that are
        `fractions.Fraction` or `Residue`, for a network whose product is ``"exact"``.
    recurrent
        (units, units), of the weight's dtype: row i is what unit i reads of all units a step before.
    bias
        (units,), of the weight's dtype, or None for none.
    activation
        As `Dense` takes it.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype, or an activation that exact numbers don't have.
    ValueError
        Shapes that don't meet, or values that are not finite.
    UnknownName
        An activation that is not in the table.

    References
    ----------
    Elman. "Finding structure in time". Cognitive Science 14, 1990.

    Werbos. "Backpropagation through time: what it does and how to do it". Proceedings of the IEEE 78, 1990.

    Examples
    --------
    One unit that adds up what it reads:

    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Recurrent(np.ones((1, 1)), np.ones((1, 1)), activation="identity")])
    >>> net(np.array([[[1.0], [2.0], [3.0]]])).tolist()
    [[[1.0], [3.0], [6.0]]]
    """

    inputs: int
    units: int

    def __init__(self, weight: Array, recurrent: Array, bias: Array | None = None, activation: str = "tanh") -> None:
        self.parameters = as_parameters(
            {"weight": weight, "recurrent": recurrent, "bias": bias}, {"recurrent": "recurrent weight"}
        )
        if weight.ndim != 2 or 0 in weight.shape:
            raise ValueError(
                f"the weight of a recurrent layer has two axes, (units, inputs), of 1 or more; got {weight.shape}"
            )
        self.units, self.inputs = weight.shape
        self.activation = activation
        self._function = function_of(activation, weight.dtype)
        check_fits(weight, "(units, inputs)", "recurrent weight", recurrent, (self.units, self.units))
        check_fits(weight, "(units, inputs)", "bias", bias, (self.units,))

    def shape(self, *shapes: Shape) -> Shape:
        """Give (time, units) for (time, inputs)."""
        return shape_in_time(shapes[0], self.inputs, self.units)

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the outputs; the memory is (input, output of the step before, pre-activation, output)."""
        z = project(x, self.parameters["weight"], run)  # (batch, time, units)
        if "bias" in self.parameters:
            z += self.parameters["bias"]
        y, before = np.zeros_like(z), np.zeros_like(z)
        for t in range(z.shape[1]):
            before[:, t] = y[:, t - 1]  # zero at first: the last one is not yet written
            z[:, t] += run.product(before[:, t], self.parameters["recurrent"])
            y[:, t] = self._function.forward(z[:, t])
        return y, (x, before, z, y)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Compute the gradients, from the last step back: what a unit writes is also read a step later."""
        x, before, z, y = memory
        weight, recurrent = self.parameters["weight"], self.parameters["recurrent"]
        error = np.empty_like(z)
        later = np.zeros_like(z[:, 0])
        for t in reversed(range(z.shape[1])):
            at_output = g[:, t] + run.product(later, recurrent.T)
            later = error[:, t] = self._function.backward(at_output, y[:, t], z[:, t])
        gradients = {
            "weight": run.product(rows(error).T, rows(x).T),
            "recurrent": run.product(rows(error).T, rows(before).T),
        }
        if "bias" in self.parameters:
            gradients["bias"] = summed(error)
        down = None if run.first else project(error, weight.T, run)
        return Backward(down, error, gradients)

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Add one space, which the recurrent weight both writes to and reads from."""
        wire = wiring.space(name, self.units, self.activation)
        wiring.weight("weight", self.parameters["weight"], ["out", "in"], wire, sources[0])
        wiring.weight("recurrent", self.parameters["recurrent"], ["out", "in"], wire, wire)
        if "bias" in self.parameters:
            wiring.per_unit("bias", self.parameters["bias"], wire)
        return wire

    def __repr__(self) -> str:
        bias = "" if "bias" in self.parameters else ", no bias"
        return f"Recurrent({self.inputs} -> {self.units}, {self.activation}{bias})"
