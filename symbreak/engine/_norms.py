"""Layer, RMS and batch norm: each unit less a mean, over a deviation, times a scale.

The statistics are over units (layer and RMS norm) or over rows (batch norm). Either way all units are treated alike, so
that what is tied before a norm, and has equal scales and shifts, is tied after it.
"""

from typing import Any, final

import numpy as np

from ._checks import as_positive, as_share
from ._layers import AbstractLayer, Array, Backward, Run, as_parameters, own, rows, summed, totals
from ._wiring import Wire, Wiring


@final
class LayerNorm(AbstractLayer):
    r"""Normalize over the units of each position: ``y = a * scale + shift``.

    .. math:: a = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}},

    with the mean :math:`\mu` and the variance :math:`\sigma^2` (over n, not n - 1) of the units of each position of
    each row.

    Parameters
    ----------
    scale
        (units,), float32 or float64. Copied, as training changes it in place.
    shift
        (units,), of the scale's dtype, or None for none.
    eps
        What is added to the variance, above 0.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype. Exact numbers have no square root.
    ValueError
        Shapes that don't meet, values that are not finite, or an `eps` that is not positive.

    References
    ----------
    Ba, Kiros, Hinton. "Layer normalization". 2016. :arxiv:`1607.06450`

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.LayerNorm(np.ones(3), np.zeros(3))])
    >>> net(np.array([[1.0, 2.0, 3.0], [10.0, 10.0, 40.0]])).round(3)
    array([[-1.225,  0.   ,  1.225],
           [-0.707, -0.707,  1.414]])
    """

    inputs: int
    units: int

    def __init__(self, scale: Array, shift: Array | None = None, *, eps: float = 1e-5) -> None:
        self.parameters = _per_unit_parameters("a layer norm", scale, shift)
        self.inputs = self.units = len(scale)
        self.eps = as_positive(eps, "eps")

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the outputs; the memory is (normalized input, 1 / deviation)."""
        centred = x - _mean_over_units(x, run)
        r = 1 / np.sqrt(_mean_over_units(centred * centred, run) + self.eps)
        a = centred * r
        y = a * self.parameters["scale"]
        if "shift" in self.parameters:
            y += self.parameters["shift"]
        return y, (a, r)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Compute the gradients: mean and variance read every unit, and so hand on two means over all units."""
        a, r = memory
        at_a = g * self.parameters["scale"]
        x = r * (at_a - _mean_over_units(at_a, run) - a * _mean_over_units(at_a * a, run))
        gradients = {"scale": summed(g * a)}
        if "shift" in self.parameters:
            gradients["shift"] = summed(g)
        return Backward(x, g, gradients)

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Pass its source on, with a scale and a shift for each unit."""
        return _wire(self, wiring, sources[0], "layer")

    def __repr__(self) -> str:
        return f"LayerNorm({self.units}{'' if 'shift' in self.parameters else ', no shift'})"


@final
class RMSNorm(AbstractLayer):
    r"""Divide by the root mean square over the units of each position: ``y = a * scale``.

    .. math:: a = \frac{x}{\sqrt{\overline{x^2} + \epsilon}}.

    Parameters
    ----------
    scale
        (units,), float32 or float64. Copied, as training changes it in place.
    eps
        What is added to the mean square, above 0.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype. Exact numbers have no square root.
    ValueError
        A scale without units, values that are not finite, or an `eps` that is not positive.

    References
    ----------
    Zhang, Sennrich. "Root mean square layer normalization". NeurIPS 2019. :arxiv:`1910.07467`

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> engine.Network([engine.RMSNorm(np.ones(2))])(np.array([[1.0, 7.0]])).round(3)
    array([[0.2, 1.4]])
    """

    inputs: int
    units: int

    def __init__(self, scale: Array, *, eps: float = 1e-6) -> None:
        self.parameters = _per_unit_parameters("an RMS norm", scale)
        self.inputs = self.units = len(scale)
        self.eps = as_positive(eps, "eps")

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the outputs; the memory is (normalized input, 1 / root mean square)."""
        r = 1 / np.sqrt(_mean_over_units(x * x, run) + self.eps)
        a = x * r
        return a * self.parameters["scale"], (a, r)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Compute the gradients, as of a layer norm without its mean."""
        a, r = memory
        at_a = g * self.parameters["scale"]
        return Backward(r * (at_a - a * _mean_over_units(at_a * a, run)), g, {"scale": summed(g * a)})

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Pass its source on, with a scale for each unit."""
        return _wire(self, wiring, sources[0], "rms")

    def __repr__(self) -> str:
        return f"RMSNorm({self.units})"


@final
class BatchNorm(AbstractLayer):
    r"""Normalize each unit over the rows of the batch and their positions: ``y = a * scale + shift``.

    .. math:: a = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}.

    While training, :math:`\mu` and :math:`\sigma^2` are the mean and the variance (over n) of the batch, and the
    buffers ``"mean"`` and ``"variance"`` follow them: each becomes ``(1 - momentum)`` times itself plus `momentum`
    times that of the batch, whose variance is there taken over n - 1. Else they are the buffers. A layer that stands
    in a network twice has one pair of buffers, and they follow the mean of what its uses see.

    Parameters
    ----------
    scale
        (units,), float32 or float64. Copied, as training changes it in place.
    shift
        (units,), of the scale's dtype.
    eps
        What is added to the variance, above 0.
    momentum
        The share of the new batch in the buffers, 0 or more and below 1.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype. Exact numbers have no square root.
    ValueError
        Shapes that don't meet, values that are not finite, or an `eps` or `momentum` out of range; while training, a
        batch of a single value for each unit, which has no variance.

    References
    ----------
    Ioffe, Szegedy. "Batch normalization". ICML 2015. :arxiv:`1502.03167`

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.BatchNorm(np.ones(1), np.zeros(1))])
    >>> x = np.array([[1.0], [3.0]])
    >>> engine.gradients(net, x, x).activations["layers.0"].round(3)
    array([[-1.],
           [ 1.]])
    >>> net(x).round(3)
    array([[1.],
           [3.]])
    """

    inputs: int
    units: int

    def __init__(self, scale: Array, shift: Array, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.parameters = _per_unit_parameters("a batch norm", scale, own(shift, "shift"))
        self.inputs = self.units = len(scale)
        self.eps = as_positive(eps, "eps")
        self.momentum = as_share(momentum, "the momentum of a batch norm")
        self.buffers = {"mean": np.zeros(self.units, scale.dtype), "variance": np.ones(self.units, scale.dtype)}

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the outputs; the memory is (normalized input, 1 / deviation, mean, variance)."""
        mean, variance = self._statistics(x, run)
        r = 1 / np.sqrt(variance + self.eps)
        a = (x - mean) * r
        return a * self.parameters["scale"] + self.parameters["shift"], (a, r, mean, variance)

    def _statistics(self, x: Array, run: Run) -> tuple[Array, Array]:
        if not run.training:
            return self.buffers["mean"], self.buffers["variance"]
        count = len(rows(x))
        if count < 2:
            raise ValueError(
                f"a batch norm needs two values or more of each unit while training, to have a variance; the batch has "
                f"shape {x.shape}: give more rows, or choose a batch size that leaves no single row for the last batch"
            )
        mean = summed(x) / count
        centred = x - mean
        return mean, summed(centred * centred) / count

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Compute the gradients; while training, mean and variance read every row, and hand on two means over them."""
        a, r, mean, variance = memory
        gradients = {"scale": summed(g * a), "shift": summed(g)}
        if not run.training:
            return Backward(g * (self.parameters["scale"] * r), g, gradients)
        count = len(rows(g))
        x = (self.parameters["scale"] * r) * (g - gradients["shift"] / count - a * (gradients["scale"] / count))
        found = {"mean": mean, "variance": variance * (count / (count - 1))}
        share = self.momentum
        buffers = {name: (1 - share) * self.buffers[name] + share * now for name, now in found.items()}
        return Backward(x, g, gradients, buffers)

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Pass its source on, with a scale, a shift, a mean and a variance for each unit."""
        return _wire(self, wiring, sources[0], "batch")

    def __repr__(self) -> str:
        return f"BatchNorm({self.units})"


def _per_unit_parameters(what: str, scale: Array, shift: Array | None = None) -> dict[str, Array]:
    parameters = as_parameters({"scale": scale, "shift": shift})
    if parameters["scale"].dtype == object:
        raise TypeError(f"{what} takes a square root, which exact numbers don't have; give it float32 or float64")
    if scale.ndim != 1 or not scale.size:
        raise ValueError(f"the scale of {what} has one axis, (units,), of 1 or more; got {scale.shape}")
    if shift is not None and shift.shape != scale.shape:
        raise ValueError(f"a scale of shape {scale.shape}, (units,), needs a shift of that shape, not {shift.shape}")
    return parameters


def _mean_over_units(values: Array, run: Run) -> Array:
    """Average (batch, ..., units) over the units: (batch, ..., 1), one number for all of them."""
    return np.asarray(totals(values, run) / values.shape[-1])


def _wire(layer: AbstractLayer, wiring: Wiring, wire: Wire, norm: str) -> Wire:
    known = None if norm == "layer" and len(wire.spaces) > 1 else norm  # its mean is over several spaces
    for kind, array in {**layer.parameters, **layer.buffers}.items():  # they are called as their kinds are
        wiring.per_unit(kind, array, wire, kind, norm=known)
    return wire
