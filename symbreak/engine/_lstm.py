"""The LSTM: a unit is one memory cell with three gates, each of which reads the inputs and all units."""

from typing import Any, final

import numpy as np

from ._activations import ACTIVATIONS
from ._layers import AbstractLayer, Array, Backward, Run, Shape, as_parameters, check_fits, project, rows, summed
from ._time import shape_in_time
from ._wiring import Wire, Wiring

SIGMOID, TANH = ACTIVATIONS["sigmoid"], ACTIVATIONS["tanh"]
GATES = {"input": SIGMOID, "forget": SIGMOID, "cell": TANH, "output": SIGMOID}  # torch's i, f, g, o


@final
class LSTM(AbstractLayer):
    r"""Long short-term memory, from (batch, time, inputs) to (batch, time, units).

    .. math::
        i, f, o &= \sigma(W x_t + R h_{t-1} + b), \quad g = \tanh(W_g x_t + R_g h_{t-1} + b_g) \\
        c_t &= f c_{t-1} + i g, \quad h_t = o \tanh(c_t)

    with W, R and b of each gate its own. It writes :math:`h`, for any length of time, and begins with
    :math:`h = c = 0`. Its gradients go back through all of time.

    Parameters
    ----------
    weight
        (4, units, inputs), float32 or float64: the gates input (i), forget (f), cell (g) and output (o), in this order.
        Copied, as training changes it in place.
    recurrent
        (4, units, units), of the weight's dtype: what each gate of a unit reads of all units a step before.
    bias
        (4, units), of the weight's dtype, or None for none. What torch has in two biases is one here, their sum.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype; exact numbers, which have no exponential.
    ValueError
        Shapes that don't meet, or values that are not finite.

    Notes
    -----
    Draw `weight` and `recurrent` with ``axes="boi"``: each gate has fans of its own.

    Its error signal is (batch, time, 4, units), the gradient at the pre-activation of each gate: tied units are equal
    in all four.

    References
    ----------
    Hochreiter, Schmidhuber. "Long short-term memory". Neural Computation 9, 1997.

    Gers, Schmidhuber, Cummins. "Learning to forget: continual prediction with LSTM". Neural Computation 12, 2000 (the
    forget gate).

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> layer = engine.LSTM(np.ones((4, 8, 2)), np.ones((4, 8, 8)), np.zeros((4, 8)))
    >>> layer
    LSTM(2 -> 8)
    >>> engine.Network([layer])(np.ones((1, 5, 2))).shape
    (1, 5, 8)
    """

    inputs: int
    units: int

    def __init__(self, weight: Array, recurrent: Array, bias: Array | None = None) -> None:
        self.parameters = as_parameters(
            {"weight": weight, "recurrent": recurrent, "bias": bias}, {"recurrent": "recurrent weight"}
        )
        if weight.dtype == object:
            raise TypeError(
                "an LSTM takes exponentials, which exact numbers don't have; give float32 or float64 arrays"
            )
        if weight.ndim != 3 or len(weight) != len(GATES) or 0 in weight.shape:
            raise ValueError(
                f"the weight of an LSTM has three axes, (4 gates, units, inputs), of 1 or more; got {weight.shape}"
            )
        _, self.units, self.inputs = weight.shape
        axes, units = "(4 gates, units, inputs)", self.units
        check_fits(weight, axes, "recurrent weight", recurrent, (len(GATES), units, units))
        check_fits(weight, axes, "bias", bias, (len(GATES), units))

    def shape(self, *shapes: Shape) -> Shape:
        """Give (time, units) for (time, inputs)."""
        return shape_in_time(shapes[0], self.inputs, self.units)

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the outputs; the memory is (input, output of the step before, pre-activations, gates, cells)."""
        weight, recurrent = self._flat("weight"), self._flat("recurrent")
        z = project(x, weight, run).reshape(*x.shape[:2], len(GATES), self.units)  # (batch, time, 4, units)
        if "bias" in self.parameters:
            z += self.parameters["bias"]
        gates = np.empty_like(z)
        c, h = np.zeros_like(z[:, 0, 0]), np.zeros_like(z[:, 0, 0])
        cells, before, y = (np.empty_like(z[:, :, 0]) for _ in range(3))
        for t in range(z.shape[1]):
            before[:, t] = h
            z[:, t] += run.product(h, recurrent).reshape(z[:, t].shape)
            for n, function in enumerate(GATES.values()):
                gates[:, t, n] = function.forward(z[:, t, n])
            i, f, g, o = (gates[:, t, n] for n in range(len(GATES)))
            c = cells[:, t] = f * c + i * g
            h = y[:, t] = o * np.tanh(c)
        return y, (x, before, z, gates, cells)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Compute the gradients, from the last step back: one comes through the outputs, and one through the cells."""
        x, before, z, gates, cells = memory
        weight, recurrent = self._flat("weight"), self._flat("recurrent")
        error = np.zeros_like(z)
        dh, dc = np.zeros_like(g[:, 0]), np.zeros_like(g[:, 0])  # from the step after
        for t in reversed(range(z.shape[1])):
            i, f, u, o = (gates[:, t, n] for n in range(len(GATES)))  # u: what is written into the cell
            squashed = np.tanh(cells[:, t])
            last = cells[:, t - 1] if t else np.zeros_like(dc)
            dh = dh + g[:, t]
            dc = dc + dh * o * (1 - squashed * squashed)
            at_gates = dc * u, dc * last, dc * i, dh * squashed
            for n, function in enumerate(GATES.values()):
                error[:, t, n] = function.backward(at_gates[n], gates[:, t, n], z[:, t, n])
            dh = run.product(error[:, t].reshape(len(z), -1), recurrent.T)
            dc = dc * f
        flat = error.reshape(*x.shape[:2], -1)  # (batch, time, 4 units)
        gradients = {
            "weight": run.product(rows(flat).T, rows(x).T).reshape(self.parameters["weight"].shape),
            "recurrent": run.product(rows(flat).T, rows(before).T).reshape(self.parameters["recurrent"].shape),
        }
        if "bias" in self.parameters:
            gradients["bias"] = summed(flat).reshape(len(GATES), -1)
        down = None if run.first else project(flat, weight.T, run)
        return Backward(down, error, gradients)

    def _flat(self, name: str) -> Array:
        """Give a parameter with a row for each gate of each unit."""
        array = self.parameters[name]
        return array.reshape(-1, array.shape[-1])

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Add one space, whose units have a slice for each gate in every array."""
        wire = wiring.space(name, self.units, "lstm")
        wiring.weight("weight", self.parameters["weight"], ["gate", "out", "in"], wire, sources[0])
        wiring.weight("recurrent", self.parameters["recurrent"], ["gate", "out", "in"], wire, wire)
        if "bias" in self.parameters:
            wiring.per_unit("bias", self.parameters["bias"], wire, roles=["gate", "out"])
        return wire

    def __repr__(self) -> str:
        bias = "" if "bias" in self.parameters else ", no bias"
        return f"LSTM({self.inputs} -> {self.units}{bias})"
