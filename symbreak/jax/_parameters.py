"""What the parameters of Flax, Haiku and Equinox are: roles and layouts from modules where they are there, else names.

Names are those that the libraries give: the last step of a path says what an array is (``kernel``, ``embedding``), and
the steps before it what its layer is (``Conv_0``, ``query``). An embedding has the layout of PyTorch's, so that both
draw the same numbers.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from symbreak._model import POSITIONS, TOKENS, Parameter
from symbreak.axes import Axes
from symbreak.initializers import HeUniform, Normal, Ones, Zeros

from ._tree import Leaf

RECEPTIVE = "dhw"
FIELD = 16  # positions along an axis of a kernel, at most, where nothing says whether it is one
PROJECTIONS = {"query": "query", "key": "key", "value": "value", "query_proj": "query", "key_proj": "key",
               "value_proj": "value", "output_proj": "attention_out"}  # fmt: skip
GATES = {"LSTMCell": 4, "OptimizedLSTMCell": 4, "ConvLSTMCell": 4, "GRUCell": 3}  # slices of a fused kernel
INPUT_GATES = {"ii", "if", "if_", "ig", "io", "ir", "iz", "in"}
STATE_GATES = {"hi", "hf", "hg", "ho", "hr", "hz", "hn"}
NORMS = {"LayerNorm", "RMSNorm", "BatchNorm", "GroupNorm", "InstanceNorm", "WeightNorm"}
GAINS = {"layer_scale", "layerscale", "gamma_1", "gamma_2", "ls1", "ls2"}


class Said(NamedTuple):
    """What is known of an array: its role, its layout, and what it starts as where that isn't the role's default."""

    role: str | None
    axes: Axes | str | None = None
    initializer: Any = None
    why: str | None = None


def parameters(leaves: Iterable[Leaf]) -> list[Parameter]:
    """Say of each array what it is."""
    every = list(leaves)
    around = _Around(every)
    return [_parameter(leaf, around) for leaf in every]


class _Around:
    """What stands beside an array: the names below each path, and shapes."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        self.names: dict[tuple[str, ...], set[str]] = {}
        self.shapes: dict[tuple[str, ...], tuple[int, ...]] = {}
        for leaf in leaves:
            self.shapes[leaf.path] = leaf.shape
            for depth in range(len(leaf.path)):
                self.names.setdefault(leaf.path[:depth], set()).add(leaf.path[depth])

    def below(self, path: tuple[str, ...]) -> set[str]:
        """Give the names below a path."""
        return self.names.get(path, set())


def _parameter(leaf: Leaf, around: _Around) -> Parameter:
    said = _of(leaf, around)
    if isinstance(said.axes, Axes | str):  # a name may mislead: what doesn't fit is left to the shape
        try:
            Axes.of(said.axes, leaf.shape)
        except ValueError:
            said = said._replace(axes=_guess(leaf.shape))
    made = Parameter(leaf.name, leaf.shape, said.axes, said.role, leaf.value.dtype.name)
    return replace(made, initializer=said.initializer, why=said.why)


def _of(leaf: Leaf, around: _Around) -> Said:
    last, rank, above = leaf.path[-1], len(leaf.shape), leaf.path[:-1]
    beside = around.below(above[:-1])
    owner = type(leaf.owner).__name__ if leaf.owner is not None else re.sub(r"_\d+$", "", above[-1] if above else "")
    if last in ("weight", "weight_ih", "weight_hh", "bias_n") and leaf.owner is not None:
        return _equinox(leaf, last, owner)
    if "mean_ema" in above or "var_ema" in above:
        return Said("running_mean", None, Zeros(), "an average of Haiku's starts at zero")
    if last in ("mean", "var") and ("batch_stats" in leaf.path or owner in NORMS):
        return Said("running_mean" if last == "mean" else "running_var")
    if "batch_stats" in leaf.path and last in ("u", "sigma"):
        return Said("spectral", None, Normal() if last == "u" else Ones(), "as a spectral norm has it")
    if last in ("bias", "b", "offset", "beta"):
        return _bias(leaf, owner, above, beside)
    if last in ("scale", "gamma") or (last == "weight" and owner in NORMS):
        alone = last == "gamma" and "beta" not in around.below(above)
        return Said("residual_gain" if alone else "norm")
    if last in GAINS:
        return Said("residual_gain")
    if last in ("embedding", "embeddings") and rank == 2:
        return Said("position" if any("pos" in step.lower() for step in above) else "embedding")
    if last in POSITIONS or last in TOKENS:
        return Said("position" if last in POSITIONS else "token")
    if last == "negative_slope":
        return Said("slope")
    if last in ("lora_a", "lora_b") and rank == 2:
        zero = Said("adapter", "io", Zeros(), "the product of an adapter starts at zero")
        return zero if last == "lora_b" else Said("adapter", "io", HeUniform(), "as Flax has it: its partner is zero")
    if rank < 2:
        return Said(None)
    if last in ("kernel", "w", "w_i", "w_h"):
        return _kernel(leaf, owner, around)
    expert = any(re.search("expert|moe", step, re.IGNORECASE) for step in leaf.path)
    return Said("expert" if expert else None, "b" * (rank - 2) + "io")


def _kernel(leaf: Leaf, owner: str, around: _Around) -> Said:
    """Say what a kernel of Flax or Haiku is."""
    rank, above = len(leaf.shape), leaf.path[:-1]
    layer, beside = above[-1] if above else "", around.below(above[:-1])
    recurrent = _recurrent(leaf, layer, around)
    if recurrent is not None:
        return recurrent
    if layer in PROJECTIONS and rank >= 3:
        return Said(PROJECTIONS[layer], "b" * (rank - 3) + "ioo")
    if layer == "out" and "query" in beside and rank >= 3:
        return Said("attention_out", "b" * (rank - 3) + "iio")
    if layer in PROJECTIONS and rank == 2 and {"query", "key", "value"} <= beside:
        return Said(PROJECTIONS[layer], "io")
    if owner == "LinearGeneral" and leaf.owner is not None:
        return Said("linear", _general(leaf.owner, rank))
    if owner in ("DenseGeneral", "LinearGeneral"):
        units = len(around.shapes.get((*above, "bias"), (0,)))  # a bias has the axes of the units
        return Said("linear", "i" * (rank - units) + "o" * units)
    if owner == "Einsum" and leaf.owner is not None:
        return Said("linear", _einsum(leaf.owner.einsum_str) or _guess(leaf.shape))
    convolution = "conv" in owner.lower() or "conv" in layer.lower()
    if convolution and rank >= 3:
        return Said("conv", _convolution(leaf, layer, rank))
    if owner in ("Dense", "Linear") or rank == 2:
        return Said("router" if re.search("router|gating", layer) else "linear", "b" * (rank - 2) + "io")
    return Said("conv" if _guess(leaf.shape)[0] != "b" else None, _guess(leaf.shape))


def _recurrent(leaf: Leaf, layer: str, around: _Around) -> Said | None:
    """Say what a kernel of a recurrent cell is, None for any other."""
    last, rank, above = leaf.path[-1], len(leaf.shape), leaf.path[:-1]
    beside = around.below(above[:-1])
    plain = "b" * (rank - 2) + "io"
    if (layer in INPUT_GATES and beside & STATE_GATES) or (layer in STATE_GATES and beside & INPUT_GATES):
        axes = plain if rank < 4 else RECEPTIVE[-(rank - 2) :] + "io"
        return Said("recurrent_in" if layer in INPUT_GATES else "recurrent", axes)
    if layer in ("dense_i", "dense_h") and {"dense_i", "dense_h"} <= beside:
        state = around.shapes.get((*above[:-1], "dense_h", last), leaf.shape)[-2]
        parts = leaf.shape[-1] // max(state, 1)
        return Said("recurrent" if layer == "dense_h" else "recurrent_in", Axes(plain, splits=max(parts, 1)))
    if layer in ("i", "h") and {"i", "h"} <= beside:
        return Said("recurrent_in" if layer == "i" else "recurrent", plain)
    if last in ("w_i", "w_h"):
        return Said("recurrent" if last == "w_h" else "recurrent_in", Axes(plain, splits=3))
    if last == "w" and any("lstm" in step.lower() for step in above) and "linear" in "/".join(above):
        return Said("recurrent_in", Axes(plain, splits=4))  # of the input and of the state, one below the other
    if last == "w" and "to_hidden" in "/".join(above):
        return Said("recurrent" if "hidden_to_hidden" in "/".join(above) else "recurrent_in", plain)
    return None


def _bias(leaf: Leaf, owner: str, above: Sequence[str], beside: set[str]) -> Said:
    """Say what a bias is: the gate that keeps the state starts open."""
    layer = above[-1] if above else ""
    if layer == "hf" and {"hi", "hg", "ho"} <= beside:
        return Said("forget_bias", None, Ones(), "the forget gate starts open")
    if layer == "dense_h" and "dense_i" in beside and 4 * getattr(leaf.owner, "in_features", 0) == leaf.shape[-1]:
        return Said("forget_bias")
    if owner == "LSTMCell":  # Equinox: one bias for all gates
        return Said("forget_bias")
    return Said("bias")


def _equinox(leaf: Leaf, last: str, owner: str) -> Said:
    """Say what an array of an Equinox module is, which lies as PyTorch's does."""
    rank = len(leaf.shape)
    if owner in NORMS:
        return Said("norm")
    if owner == "Embedding":
        return Said("embedding", "b" * (rank - 2) + "oi" if rank > 2 else None)
    if last == "bias_n":
        return Said("bias")
    if last in ("weight_ih", "weight_hh"):
        axes = Axes("b" * (rank - 2) + "oi", splits=GATES.get(owner, 1))
        return Said("recurrent_in" if last == "weight_ih" else "recurrent", axes)
    if owner == "PReLU":
        return Said("slope")
    if "Conv" in owner:
        dims = getattr(leaf.owner, "num_spatial_dims", rank - 2)
        groups = int(getattr(leaf.owner, "groups", 1))
        return Said("conv", Axes("b" * (rank - 2 - dims) + "oi" + RECEPTIVE[3 - dims :], groups=groups))
    if rank < 2:
        return Said(None)
    role = next((PROJECTIONS[step] for step in leaf.path if step in PROJECTIONS), "linear")
    return Said(role, "b" * (rank - 2) + "oi")


def _general(owner: Any, rank: int) -> str:
    """Give the layout of a LinearGeneral's kernel: copies, inputs, units."""
    count = len(owner.out_features) if isinstance(owner.out_features, tuple) else 1
    inputs = len(owner.in_features) if isinstance(owner.in_features, tuple) else 1
    return "b" * (rank - inputs - count) + "i" * inputs + "o" * count


def _einsum(equation: str) -> str | None:
    """Give the layout of the second operand of an einsum."""
    left, _, result = equation.replace(" ", "").partition("->")
    source, _, kernel = left.partition(",")
    if "." in kernel or not kernel:
        return None
    layout = "".join("b" if c in source and c in result else "o" if c in result else "i" for c in kernel)
    return layout if "o" in layout and "i" in layout else None


def _convolution(leaf: Leaf, layer: str, rank: int) -> Axes:
    """Give the layout of a convolution's kernel."""
    module = leaf.owner
    dims = len(module.kernel_size) if hasattr(getattr(module, "kernel_size", None), "__len__") else min(rank - 2, 3)
    turned = bool(getattr(module, "transpose_kernel", False)) or (leaf.path[-1] == "w" and "transpose" in layer)
    ends = "oi" if turned else "io"
    groups = int(getattr(module, "feature_group_count", 1) or 1)
    return Axes("b" * (rank - 2 - dims) + RECEPTIVE[3 - dims :] + ends, groups=groups, grouped="o")


def _guess(shape: Sequence[int]) -> str:
    """Give the layout that a shape looks like: short axes before the last two are those of a receptive field."""
    extra = len(shape) - 2
    field = 0 < extra <= len(RECEPTIVE) and all(size <= FIELD for size in shape[:extra])
    return (RECEPTIVE[3 - extra :] if field else "b" * extra) + "io"
