"""What the variables of Keras' layers are for, and how they lie: the layer says it, never a guess by shape.

An embedding has the layout of PyTorch's, so that both draw the same numbers.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras

from .._model import POSITIONS, TOKENS, Parameter
from ..dtypes import is_float
from ..initializers import AbstractInitializer, HeUniform, Normal, Zeros
from ._layouts import axes_of
from ._variables import Found

L = keras.layers
CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell", "ConvLSTMCell")
HEADS = {"query": "query", "key": "key", "value": "value", "attention_output": "attention_out"}
ATTENTION = ("MultiHeadAttention", "GroupedQueryAttention")
NORMS = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")
NO_LAYOUT = ("embedding", "position", "token", "bias", "slope", "norm")
NORM_ROLES = {"gamma": "norm", "scale": "norm", "beta": "bias", "moving_mean": "running_mean",
              "moving_variance": "running_var"}  # fmt: skip


class Said(NamedTuple):
    """A role, and what it starts as where that isn't the role's default."""

    role: str | None
    initializer: AbstractInitializer | None = None
    why: str | None = None


def split(found: Iterable[Found]) -> tuple[list[Parameter], list[Found]]:
    """Tell the parameters of a model from what is not initialised: counters, and what `adapt` has measured."""
    parameters, kept = [], []
    for each in found:
        if not is_float(each.dtype) or _is(each.layer, ("Normalization",)):
            kept.append(each)
            continue
        said = _said(each)
        axes = None if said.role in NO_LAYOUT else axes_of(each.layer, each.leaf, each.shape)
        parameters.append(
            Parameter(
                each.name, each.shape, axes, said.role, each.dtype, each.same_as, False, said.initializer, said.why
            )
        )
    return parameters, kept


def _said(each: Found) -> Said:
    layer, leaf = each.layer, each.leaf
    if leaf.startswith("lora_"):
        if leaf.endswith("_a"):
            return Said("lora_a", HeUniform(), "the first factor of an adapter")
        return Said("lora_b", Zeros(), "the second factor of an adapter: it starts changing nothing")
    if _is(layer, NORMS) and leaf in NORM_ROLES:
        return Said(NORM_ROLES[leaf])
    if _is(layer, CELLS):
        roles = {"kernel": "recurrent_in", "recurrent_kernel": "recurrent"}
        return Said(roles.get(leaf, "forget_bias" if _is(layer, ("LSTMCell", "ConvLSTMCell")) else "bias"))
    if leaf == "bias":
        return Said("bias")
    if len(each.shape) == 1 and any(kind.__name__ == "LayerScale" for kind in type(layer).__mro__):
        return Said("residual_gain")  # of ConvNeXt and others: every library has its own class of this name
    if _is(layer, ("Embedding",)):
        return Said("embedding")
    if _is(layer, ("PReLU",)):
        return Said("slope")
    if _is(layer, ("EinsumDense",)) and leaf == "kernel":
        return Said(_einsum_role(each.layers, each.shape))
    if _is(layer, ("Dense",)) and leaf == "kernel":
        return Said("linear")
    if (
        leaf.endswith("kernel")
        and len(each.shape) > 2
        and _is(layer, ("BaseConv", "BaseDepthwiseConv", "BaseSeparableConv"))
    ):
        return Said("conv")
    if leaf.endswith("kernel") and _is(layer, ("BaseConvTranspose",)):
        return Said("conv")
    if _is(layer, ("SpectralNormalization",)):
        return Said("power_iteration", Normal(0.02), "where the search for the largest singular value begins")
    if leaf in POSITIONS or leaf in TOKENS:
        return Said("position" if leaf in POSITIONS else "token")
    return Said(None)


def _einsum_role(layers: Sequence[Any], shape: tuple[int, ...]) -> str:
    if len(layers) > 1 and _is(layers[-2], ATTENTION) and layers[-1].name in HEADS:
        return HEADS[layers[-1].name]
    axes = axes_of(layers[-1], "kernel", shape)
    return "expert" if axes is not None and "b" in axes.layout else "linear"


def _is(layer: Any, names: Sequence[str]) -> bool:
    """Whether a layer is of a class of Keras', or of one that is made from it."""
    return any(kind.__name__ in names and kind.__module__.startswith("keras.") for kind in type(layer).__mro__)
