"""A network: layers run one after the other, forwards and backwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np

from symbreak.graph import LayerGraph, chain

from ._checks import as_finite, look_up
from ._exact import as_exact, as_float, kind_of
from ._layers import AbstractLayer, Dense
from ._losses import LOSSES, Loss
from ._products import PRODUCTS

Array = np.ndarray[Any, np.dtype[Any]]


@final
@dataclass(frozen=True, eq=False)
class Gradients:
    """What one backward pass over a batch gives; ``gradients["layers.0.weight"]`` is short for `parameters`.

    Attributes
    ----------
    loss
        The loss of the batch.
    parameters
        The gradient of the loss at each parameter, by its name.
    error_signals
        The gradient of the loss at the pre-activation of each layer's units, (batch, units), by the layer's name.
    activations
        The output of each layer's units, (batch, units), by the layer's name.
    """

    loss: float
    parameters: dict[str, Array]
    error_signals: dict[str, Array]
    activations: dict[str, Array]

    def __getitem__(self, name: str) -> Array:
        return look_up(self.parameters, name, "parameter")

    def __repr__(self) -> str:
        return f"Gradients(loss={self.loss!r}, {', '.join(self.parameters)})"


@final
class Network:
    """Layers in a row, whose parameters training changes in place.

    Parameters
    ----------
    layers
        The layers, first one first; each reads what the one before writes. Layer ``n`` is called ``layers.n``.
    product
        How sums of products are formed. ``"tie_preserving"`` reduces every entry in the same order, so that units with
        equal weights stay equal to the last bit; ``"blas"`` is faster and does not promise that. ``"exact"`` is for
        layers of fractions or residues: no rounding at all, slowly.

    Raises
    ------
    ValueError
        No layers, layers whose sizes don't meet, or one layer given twice.
    TypeError
        Parameters of more than one dtype, or exact numbers without the exact product.
    UnknownName
        A product that is not in the table.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Dense(np.ones((3, 2)), activation="relu"), engine.Dense(np.ones((1, 3)))])
    >>> net(np.array([[1.0, 2.0], [-1.0, -2.0]]))
    array([[9.],
           [0.]])
    """

    def __init__(self, layers: Sequence[AbstractLayer], *, product: str = "tie_preserving") -> None:
        self.product = product
        self._product = look_up(PRODUCTS, product, "product")
        self.layers = {f"layers.{number}": layer for number, layer in enumerate(layers)}
        if not self.layers:
            raise ValueError("a network needs at least one layer")
        for layer in layers:
            if not isinstance(layer, AbstractLayer):
                raise TypeError(f"a network is made of layers such as engine.Dense(weight, bias), not of {layer!r}")
        if len({id(layer) for layer in layers}) != len(layers):
            raise ValueError(
                "one layer is given twice, and would share its parameters under two names; make two layers"
            )
        self._last = next(reversed(self.layers))
        for (below, lower), (name, upper) in pairwise(self.layers.items()):
            if lower.units != upper.inputs:
                raise ValueError(
                    f"sizes don't meet: {below!r} writes {lower.units} units, but {name!r} reads {upper.inputs}: "
                    f"{list(layers)}"
                )
        dtypes = {array.dtype for array in self.parameters.values()}
        if len(dtypes) != 1:
            raise TypeError(
                f"the parameters of a network must have one dtype, not {' and '.join(sorted(map(str, dtypes)))}"
            )
        self.dtype = dtypes.pop()
        self._kind = None
        if (self.dtype == object) != (product == "exact"):
            raise TypeError(
                f"the product 'exact' is for parameters that are Fraction or Residue, and they for it; got "
                f"{self.dtype} parameters and the product {product!r}"
            )
        if self.dtype == object:
            kinds = {kind_of(array) for array in self.parameters.values()}
            if len(kinds) != 1:
                raise TypeError("the parameters of an exact network must all be Fraction or all be Residue, not both")
            self._kind = kinds.pop()

    @property
    def parameters(self) -> dict[str, Array]:
        """The parameters by name, ``layers.0.weight`` first; the arrays themselves, not copies."""
        return {
            f"{name}.{part}": array for name, layer in self.layers.items() for part, array in layer.parameters.items()
        }

    @property
    def graph(self) -> LayerGraph:
        """The network as data, with copies of the weights as they are now."""
        pairs, activations = [], []
        for layer in self.layers.values():
            if not isinstance(layer, Dense):
                raise NotImplementedError(
                    f"no graph can be made of {layer!r}: only dense layers say how they are wired"
                )
            bias = layer.parameters.get("bias")
            pairs.append((layer.parameters["weight"].copy(), None if bias is None else bias.copy()))
            activations.append(layer.activation)
        return chain(pairs, activations)

    def __call__(self, x: Any) -> Array:
        """Compute the outputs, (batch, out), of the inputs x, (batch, in)."""
        with np.errstate(under="ignore"):  # a product or an exponential may well vanish
            return self.forward(self.read_inputs(x))[0][self._last]

    def read_inputs(self, x: Any) -> Array:
        """Return x in the network's dtype, or raise if it is no batch of finite inputs."""
        array = np.asarray(x)
        inputs = next(iter(self.layers.values())).inputs
        if array.dtype.kind not in ("biuf" if self._kind is None else "biufO"):
            raise TypeError(f"the inputs must be numbers; their dtype is {array.dtype}")
        if array.ndim != 2 or array.shape[1] != inputs:
            raise ValueError(f"the inputs must have shape (batch, {inputs}); theirs is {array.shape}")
        if not len(array):
            raise ValueError(f"the batch is empty: the inputs have shape {array.shape}")
        return as_finite(array, self.dtype, "inputs") if self._kind is None else as_exact(array, self._kind, "inputs")

    def forward(self, x: Array) -> tuple[dict[str, Array], dict[str, Any]]:
        """Run the layers on x, as `read_inputs` gives it, for each one's output and what its backward remembers."""
        outputs, memories = {}, {}
        for name, layer in self.layers.items():
            x, memories[name] = layer.forward(x, self._product)
            outputs[name] = x
        return outputs, memories

    def gradients(self, x: Array, t: Array, loss: Loss) -> Gradients:
        """Run the layers backwards from the loss; x and t as `read_inputs` and the loss's `read` give them."""
        activations, memories = self.forward(x)
        y = activations[self._last]
        g = loss.gradient(y, t)
        errors, parameters = {}, {}
        for name, layer in reversed(self.layers.items()):
            back = layer.backward(g, memories[name], self._product)
            parameters[name] = back.parameters
            g, errors[name] = back.x, back.error
        return Gradients(
            loss=as_float(loss.value(y, t)),
            parameters={f"{name}.{part}": g for name in self.layers for part, g in parameters[name].items()},
            error_signals={name: errors[name] for name in self.layers},
            activations=activations,
        )

    def __repr__(self) -> str:
        return f"Network([{', '.join(map(repr, self.layers.values()))}], {self.dtype}, product={self.product!r})"


def read_batch(net: Network, x: Any, y: Any, loss: Loss) -> tuple[Array, Array]:
    """Return inputs and targets as the network and the loss take them, or raise saying what is wrong with them."""
    inputs = net.read_inputs(x)
    outputs = next(reversed(net.layers.values())).units
    if np.ndim(y) and len(y) != len(inputs):
        raise ValueError(f"inputs and targets must have as many rows; they have {len(inputs)} and {len(y)}")
    if net.dtype == object and loss is not LOSSES["mse"]:
        raise TypeError("a network of exact numbers has no other loss than 'mse': the others take logarithms")
    t = loss.read(y, (len(inputs), outputs), net.dtype)
    return inputs, as_exact(t, kind_of(inputs), "targets") if net.dtype == object else t


def gradients(net: Network, x: Any, y: Any, *, loss: str = "mse") -> Gradients:
    """Run a network forwards and backwards over one batch.

    Parameters
    ----------
    net
        The network; it is not changed.
    x
        Inputs, (batch, in).
    y
        Targets: of ``"mse"`` (batch, out), or (batch,) where there is one output; of ``"logistic"`` the same, each 0 or
        1; of ``"cross_entropy"`` integer labels, (batch,).
    loss
        ``"mse"``, the mean over batch and outputs of the squared difference; ``"cross_entropy"``, the mean over the
        batch of ``-log(softmax(outputs)[label])``; or ``"logistic"``, binary cross-entropy on logits: the mean over
        batch and outputs of ``log(1 + exp(-output))`` where the target is 1 and ``log(1 + exp(output))`` where it is 0.

    Returns
    -------
    Gradients
        The loss, the gradient of each parameter, and each layer's error signals and activations.

    Raises
    ------
    ValueError
        Shapes that don't meet, a batch of no rows, values that are not finite, or labels out of range.
    TypeError
        Inputs or targets that are not numbers, or labels that are not integers.
    UnknownName
        A loss that is not in the table.

    Examples
    --------
    Units with equal weights get equal error signals:

    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Dense(np.full((3, 2), 0.5), activation="tanh"), engine.Dense(np.ones((1, 3)))])
    >>> found = engine.gradients(net, [[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0])
    >>> signals = found.error_signals["layers.0"]
    >>> bool((signals == signals[:, :1]).all())
    True
    >>> found["layers.0.weight"].shape
    (3, 2)
    """
    row = look_up(LOSSES, loss, "loss")
    with np.errstate(under="ignore"):
        return net.gradients(*read_batch(net, x, y, row), row)
