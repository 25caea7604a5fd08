"""Layers with hand-written derivatives.

A layer holds its parameters and nothing of the batch: what its backward pass needs, its forward pass hands out. So one
layer may be used several times in one network, and its gradients are summed.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, final

import numpy as np

from ._activations import ACTIVATIONS, POLYNOMIALS
from ._checks import look_up
from ._exact import as_exact, kind_of

Array = np.ndarray[Any, np.dtype[Any]]
Product: TypeAlias = Callable[[Array, Array], Array]  # (rows, k), (columns, k) -> (rows, columns)


class Backward(NamedTuple):
    """What a layer's backward pass gives."""

    x: Array  # the gradient at the layer's input, (batch, in)
    error: Array  # the gradient at its units' pre-activation, (batch, units): the error signal
    parameters: dict[str, Array]  # the gradient of each parameter, of its shape


class AbstractLayer(ABC):
    """One layer: subclass it to add a kind.

    The law: where ``y, memory = forward(x, product)``, ``backward(g, memory, product)`` is the gradient of
    ``(g * y).sum()``.

    Attributes
    ----------
    parameters
        The arrays that training changes in place, by name.
    inputs, units
        How many values it reads and writes for each row of a batch.
    """

    parameters: dict[str, Array]
    inputs: int
    units: int

    @abstractmethod
    def forward(self, x: Array, product: Product) -> tuple[Array, Any]:
        """Compute the outputs, (batch, units), from x, (batch, inputs), and what `backward` must remember."""

    @abstractmethod
    def backward(self, g: Array, memory: Any, product: Product) -> Backward:
        """Compute the gradients from g, the gradient at the outputs, (batch, units)."""


@final
class Dense(AbstractLayer):
    """Every unit reads every input: ``y = activation(x @ weight.T + bias)``.

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

    def __init__(self, weight: Array, bias: Array | None = None, activation: str = "identity") -> None:
        self.activation = activation
        self._function = look_up(ACTIVATIONS, activation, "activation")
        self.parameters = {"weight": _own(weight, "weight")}
        if weight.ndim != 2 or 0 in weight.shape:
            raise ValueError(
                f"the weight of a dense layer has two axes, (units, inputs), of 1 or more; got {weight.shape}"
            )
        self.units, self.inputs = weight.shape
        exact = weight.dtype == object
        if exact and activation not in POLYNOMIALS:
            raise TypeError(
                f"a layer of exact numbers needs a polynomial for its activation, {' or '.join(sorted(POLYNOMIALS))}; "
                f"got {activation!r}"
            )
        if bias is not None:
            self.parameters["bias"] = _own(bias, "bias")
            if bias.shape != (self.units,):
                raise ValueError(
                    f"a weight of shape {weight.shape}, (units, inputs), needs a bias of shape ({self.units},), "
                    f"not {bias.shape}"
                )
            if bias.dtype != weight.dtype:
                raise TypeError(f"the weight is {weight.dtype} and the bias {bias.dtype}; give both one dtype")
        if exact:
            kind = kind_of(weight)
            self.parameters = {name: as_exact(array, kind, name) for name, array in self.parameters.items()}

    def forward(self, x: Array, product: Product) -> tuple[Array, Any]:
        """Compute the outputs; the memory is (input, pre-activation, output)."""
        z = product(x, self.parameters["weight"])
        if "bias" in self.parameters:
            z += self.parameters["bias"]
        y = self._function.forward(z)
        return y, (x, z, y)

    def backward(self, g: Array, memory: Any, product: Product) -> Backward:
        """Compute the gradients: of the weight, the sum over the batch of error times input; of the bias, of error."""
        x, z, y = memory
        error = self._function.backward(g, y, z)
        gradients = {"weight": product(error.T, x.T)}
        if "bias" in self.parameters:  # a bias reads from an input that is always 1
            gradients["bias"] = product(error.T, np.ones((1, len(x)), x.dtype))[:, 0]
        return Backward(product(error, self.parameters["weight"].T), error, gradients)

    def __repr__(self) -> str:
        bias = "" if "bias" in self.parameters else ", no bias"
        return f"Dense({self.inputs} -> {self.units}, {self.activation}{bias})"


def _own(array: Array, name: str) -> Array:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"a {name} must be a NumPy array, not a {type(array).__name__}; use np.asarray")
    if array.dtype == object:
        return array
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"a {name} must be float32 or float64, not {array.dtype}; use .astype(np.float64)")
    if not np.isfinite(array).all():
        raise ValueError(f"a {name} must be finite; {np.count_nonzero(~np.isfinite(array))} of its values are not")
    return np.array(array, order="C")
