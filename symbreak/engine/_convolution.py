"""Convolutions: one weight that reads every window of an image or a sequence.

A window is a row: what it sees, input by input, is multiplied by the weight as in a dense layer. Like elsewhere in deep
learning the kernel is not flipped, so that what is computed is a cross-correlation.
"""

from typing import Any, ClassVar, final

import numpy as np

from ._checks import as_count
from ._layers import AbstractLayer, Array, Backward, Run, Shape, as_parameters, check_fits, function_of, rows, summed
from ._windows import SIZES, Windows, check_axes, per_axis, shown
from ._wiring import Wire, Wiring

Sizes = int | tuple[int, ...]
PADDINGS = ("valid", "same")


class AbstractConvolution(AbstractLayer):
    """A convolution over as many axes of positions as its class says; `Conv1d` and `Conv2d` are the ones there are."""

    inputs: int
    units: int

    _axes: ClassVar[int]  # of positions

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        activation: str = "identity",
        *,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        groups: int = 1,
    ) -> None:
        self.parameters = as_parameters({"weight": weight, "bias": bias})
        if weight.ndim != self._axes + 2 or 0 in weight.shape:
            raise ValueError(
                f"the weight of a {type(self).__name__} has {self._axes + 2} axes, "
                f"(units, inputs, {', '.join(SIZES[self._axes])}), of 1 or more; got {weight.shape}"
            )
        self.groups = as_count(groups, "`groups`")
        self.units, self.inputs = len(weight), weight.shape[1] * self.groups
        if self.units % self.groups:
            raise ValueError(f"{self.units} units, of a weight of shape {weight.shape}, make no {groups} equal groups")
        check_fits(weight, "units first", "bias", bias, (self.units,))
        self.activation = activation
        self._function = function_of(activation, weight.dtype)
        self._windows = Windows(
            weight.shape[2:], per_axis(stride, self._axes, 1, "a stride"), _read_padding(padding, self._axes)
        )

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the outputs; the memory is (shape of the input, windows, pre-activation, output)."""
        windows = self._windows.see(x)  # (batch, ..., inputs, *sizes)
        patches = windows.reshape(-1, self.groups, self._weights().shape[-1])
        pairs = zip(_each(patches), self._weights(), strict=True)
        z = np.concatenate([run.product(patch, weight) for patch, weight in pairs], axis=1)
        z = z.reshape(*windows.shape[: self._axes + 1], self.units)
        if "bias" in self.parameters:
            z += self.parameters["bias"]
        y = self._function.forward(z)
        return y, (x.shape, patches, z, y)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Compute the gradients: of the weight, the sum over all windows of error times what the window sees."""
        shape, patches, z, y = memory
        error = self._function.backward(g, y, z)
        errors = rows(error).reshape(-1, self.groups, self.units // self.groups)
        pairs = list(zip(_each(errors), _each(patches), self._weights(), strict=True))
        of_weight = np.concatenate([run.product(e.T, patch.T) for e, patch, _ in pairs])
        gradients = {"weight": of_weight.reshape(self.parameters["weight"].shape)}
        if "bias" in self.parameters:
            gradients["bias"] = summed(error)
        if run.first:
            return Backward(None, error, gradients)
        of_windows = np.concatenate([run.product(e, weight.T) for e, _, weight in pairs], axis=1)
        seen = of_windows.reshape(*error.shape[:-1], self.inputs, *self._windows.sizes)
        return Backward(self._windows.put_back(seen, shape), error, gradients)

    def _weights(self) -> Array:
        """View the weight as one matrix a group: (groups, units of a group, inputs of a group * places)."""
        return self.parameters["weight"].reshape(self.groups, self.units // self.groups, -1)

    def shape(self, *shapes: Shape) -> Shape:
        """Give the shape of one row's output: the windows along each axis, and the units."""
        return (*self._windows.counts(check_axes(shapes[0], self._axes, self.inputs)), self.units)

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Add one space, its weight, slice by slice of the kernel, and its bias.

        A weight in groups reads nothing of the other groups: it is written out with zeros there, and a mask says where
        it can't read.
        """
        wire = wiring.space(name, self.units, self.activation)
        weight = self.parameters["weight"]
        if self.groups > 1:
            own = np.arange(self.units) // (self.units // self.groups)
            mask = own[:, np.newaxis] == np.arange(self.inputs) // weight.shape[1]
            wide = np.zeros((self.units, self.inputs, *weight.shape[2:]), weight.dtype)
            wide[mask] = weight.reshape(-1, *weight.shape[2:])
            wiring.weight("mask", mask.astype(np.int8), ["out", "in"], wire, sources[0])
            weight = wide
        wiring.weight("weight", weight, ["out", "in"] + ["receptive"] * self._axes, wire, sources[0])
        if "bias" in self.parameters:
            wiring.per_unit("bias", self.parameters["bias"], wire)
        return wire

    def __repr__(self) -> str:
        sizes, strides, padding = self._windows
        settings = [shown(sizes)]
        settings += [f"stride {shown(strides)}"] if max(strides) > 1 else []
        settings += [f"padding {padding if isinstance(padding, str) else shown(padding)}"] if self._pads() else []
        settings += [f"{self.groups} groups"] if self.groups > 1 else []
        settings += [self.activation] + ([] if "bias" in self.parameters else ["no bias"])
        return f"{type(self).__name__}({self.inputs} -> {self.units}, {', '.join(settings)})"

    def _pads(self) -> bool:
        return self._windows.padding == "same" or any(self._windows.padding)


@final
class Conv1d(AbstractConvolution):
    """Every unit reads every window of a sequence: a convolution over (batch, time, inputs).

    Parameters
    ----------
    weight
        (units, inputs / groups, width), float32 or float64, or exact numbers as in `Dense`. Copied.
    bias
        (units,), of the weight's dtype, or None for none.
    activation
        As `Dense` takes it.
    stride
        How many positions one window lies after the other.
    padding
        How many positions of zeros are added at both ends. ``"valid"`` is none; ``"same"`` as many as give one window
        every stride, an odd one at the end.
    groups
        Groups of as many units each, which read as many inputs each: the first group of units the first inputs, and so
        on. With one group an input, it is a depthwise convolution.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype, or an activation that exact numbers don't have.
    ValueError
        Shapes that don't meet, values that are not finite, or a stride, a padding or groups that make no sense.
    UnknownName
        An activation that is not in the table.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> layer = engine.Conv1d(np.array([[[-1.0, 1.0]]]))
    >>> layer
    Conv1d(1 -> 1, 2, identity, no bias)
    >>> engine.Network([layer])([[[1.0], [4.0], [9.0], [16.0]]])[..., 0]
    array([[3., 5., 7.]])
    """

    _axes = 1


@final
class Conv2d(AbstractConvolution):
    """Every unit reads every window of an image: a convolution over (batch, height, width, inputs).

    Parameters
    ----------
    weight
        (units, inputs / groups, height, width), float32 or float64, or exact numbers as in `Dense`. Copied.
    bias
        (units,), of the weight's dtype, or None for none.
    activation
        As `Dense` takes it.
    stride
        How many positions one window lies after the other; two numbers for (height, width).
    padding
        How many positions of zeros are added at both ends; two numbers for (height, width). ``"valid"`` is none;
        ``"same"`` as many as give one window every stride, an odd one at the end.
    groups
        Groups of as many units each, which read as many inputs each: the first group of units the first inputs, and so
        on. With one group an input, it is a depthwise convolution.

    Raises
    ------
    TypeError
        An array that is none, or of another dtype, or an activation that exact numbers don't have.
    ValueError
        Shapes that don't meet, values that are not finite, or a stride, a padding or groups that make no sense.
    UnknownName
        An activation that is not in the table.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner. "Gradient-based learning applied to document recognition". Proc. IEEE 86, 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> layer = engine.Conv2d(np.ones((8, 3, 5, 5)), np.zeros(8), "relu", stride=2, padding=2)
    >>> layer
    Conv2d(3 -> 8, 5x5, stride 2x2, padding 2x2, relu)
    >>> engine.Network([layer])(np.ones((1, 28, 28, 3))).shape
    (1, 14, 14, 8)
    """

    _axes = 2


def _each(groups: Array) -> Array:
    """View (rows, groups, values) group by group."""
    return groups.transpose(1, 0, 2)


def _read_padding(padding: Any, axes: int) -> Shape | str:
    if isinstance(padding, str):
        if padding not in PADDINGS:
            raise ValueError(f"`padding` must be a number, 0 or more, 'valid' or 'same'; got {padding!r}")
        return "same" if padding == "same" else (0,) * axes
    return per_axis(padding, axes, 0, "a padding")
