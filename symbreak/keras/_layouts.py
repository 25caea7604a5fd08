"""What the axes of a Keras layer's weights are: the layer knows what a shape can't tell.

Keras counts fans by rank alone, so that a depthwise kernel has the fan of a plain one, and a transposed one those of
its mirror image [1]. A layer says what it is: its class, its groups, its equation.

[1] https://github.com/keras-team/keras, keras/src/initializers/random_initializers.py, compute_fans
"""

from collections.abc import Sequence
from typing import Any

import keras

from ..axes import Axes

RECEPTIVE = {1: "w", 2: "hw", 3: "dhw"}
BY_RANK = {2: "io", 3: "wio", 4: "hwio", 5: "dhwio"}  # Keras' order: units last, what they read before them
GATES = {"LSTMCell": 4, "GRUCell": 3, "ConvLSTMCell": 4}
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


def axes_of(layer: Any, leaf: str | None, shape: Sequence[int]) -> Axes | None:
    """Give the layout of a weight, by the layer that has it.

    Parameters
    ----------
    layer
        A Keras layer, or None where none asks.
    leaf
        What the layer calls the weight; None while it is made, when only the layer can be asked.
    shape
        Of the weight.

    Returns
    -------
    Axes or None
        None for vectors, and for shapes of which no layer and no rank says what they are.
    """
    rank = len(shape)
    if rank < 2 or leaf == "bias":
        return None
    if isinstance(layer, keras.layers.EinsumDense) and leaf in (None, "kernel"):
        return Axes(_einsum(layer.equation, rank))
    plain = BY_RANK.get(rank)
    if plain is None:
        return None
    if rank > 2:
        if isinstance(layer, DEPTHWISE) or (isinstance(layer, SEPARABLE) and _is_depthwise(layer, leaf)):
            return Axes(plain, groups=max(1, shape[-2]), grouped="i")
        if isinstance(layer, TRANSPOSED):
            return Axes(plain[:-2] + "oi")
        groups = getattr(layer, "groups", 1)
        if groups != 1 and isinstance(groups, int) and shape[-1] % groups == 0:
            return Axes(plain, groups=groups)
    gates = next((GATES[each.__name__] for each in type(layer).__mro__ if each.__name__ in GATES), 1)
    if gates != 1 and shape[-1] % gates == 0:
        return Axes(plain, splits=gates)
    return Axes(plain)


def _is_depthwise(layer: Any, leaf: str | None) -> bool:
    """Whether a weight is the first of the two kernels of a separable convolution: the second is made after it."""
    return leaf == "depthwise_kernel" if leaf is not None else getattr(layer, "depthwise_kernel", None) is None


def _einsum(equation: str, rank: int) -> str:
    """Give the layout of the kernel of an einsum: letters summed over are read, those of the result written."""
    left, _, result = equation.replace(" ", "").partition("->")
    source, _, kernel = left.partition(",")
    letters = "".join(("b" if each in source else "o") if each in result else "i" for each in kernel)
    fits = len(letters) == rank and {"i", "o"} <= set(letters)
    return letters if fits else "i" * (rank - 1) + "o"
