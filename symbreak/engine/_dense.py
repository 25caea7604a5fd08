"""The dense layer: every unit reads every input."""

from typing import Any, final

from ._layers import AbstractLayer, Array, Backward, Run, as_parameters, check_fits, function_of, project, rows, summed
from ._wiring import Wire, Wiring


@final
class Dense(AbstractLayer):
    """Every unit reads every input: ``y = activation(x @ weight.T + bias)``.

    It reads the last axis of (batch, ..., inputs), each position alike.

    Parameters
    ----------
    weight
        (units, inputs), float32 or float64. Copied, as training changes it in place. Or an array of objects that are
        `fractions.Fraction` or `Residue`, for a network whose product is ``"exact"``.
    bias
        (units,), of the weight's dtype, or None for none.
    activation
        ``"identity"``, ``"relu"``, ``"leaky_relu"`` (slope 0.01 below zero), ``"tanh"``, ``"sigmoid"``, ``"softplus"``,
        ``"silu"``, ``"gelu"`` (the form with erf: x times the normal distribution function of x), ``"erf"``, ``"sin"``
        or ``"square"``.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype, or an activation that exact numbers don't have.
    ValueError
        Shapes that don't meet, or values that are not finite.
    UnknownName
        An activation that is not in the table.

    Examples
    --------
    >>> import numpy as np
    >>> Dense(np.ones((8, 2)), np.zeros(8), activation="tanh")
    Dense(2 -> 8, tanh)
    """

    inputs: int
    units: int

    def __init__(self, weight: Array, bias: Array | None = None, activation: str = "identity") -> None:
        self.parameters = as_parameters({"weight": weight, "bias": bias})
        if weight.ndim != 2 or 0 in weight.shape:
            raise ValueError(
                f"the weight of a dense layer has two axes, (units, inputs), of 1 or more; got {weight.shape}"
            )
        self.units, self.inputs = weight.shape
        self.activation = activation
        self._function = function_of(activation, weight.dtype)
        check_fits(weight, "(units, inputs)", "bias", bias, (self.units,))

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the outputs; the memory is (input, pre-activation, output)."""
        z = project(x, self.parameters["weight"], run)
        if "bias" in self.parameters:
            z += self.parameters["bias"]
        y = self._function.forward(z)
        return y, (x, z, y)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Compute the gradients: of the weight, the sum over all rows of error times input; of the bias, of error."""
        x, z, y = memory
        error = self._function.backward(g, y, z)
        gradients = {"weight": run.product(rows(error).T, rows(x).T)}
        if "bias" in self.parameters:
            gradients["bias"] = summed(error)
        down = None if run.first else project(error, self.parameters["weight"].T, run)
        return Backward(down, error, gradients)

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Add one space, its weight and its bias."""
        wire = wiring.space(name, self.units, self.activation)
        wiring.weight("weight", self.parameters["weight"], ["out", "in"], wire, sources[0])
        if "bias" in self.parameters:
            wiring.per_unit("bias", self.parameters["bias"], wire)
        return wire

    def __repr__(self) -> str:
        bias = "" if "bias" in self.parameters else ", no bias"
        return f"Dense({self.inputs} -> {self.units}, {self.activation}{bias})"
