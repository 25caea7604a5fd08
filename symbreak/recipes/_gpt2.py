"""The start of GPT-2: one small normal, and less for what writes to the residual stream."""

import math
from dataclasses import dataclass
from typing import final

from ..initializers import AbstractInitializer, Normal
from ._base import AbstractRecipe, check_positive
from ._parts import OUTS, Part, Tree


@final
@dataclass(frozen=True)
class GPT2(AbstractRecipe):
    r"""All weights normal with one standard deviation; what writes to the residual stream is scaled down by depth.

    A stream that sums :math:`n` branches of equal variance has :math:`n` times that variance; the factor
    :math:`1 / \sqrt n` on the last layer of each branch takes it back. :math:`n` counts the branches that the names
    show, two a layer in a transformer.

    Parameters
    ----------
    std
        Of all weights.
    per_layer
        Scale the branches of layer l, counted from 0, by :math:`1 / \sqrt{2 (l + 1)}` instead, as torchtitan does.

    References
    ----------
    Radford et al. "Language models are unsupervised multitask learners". 2019, section 2.3.

    Examples
    --------
    >>> from symbreak import recipes
    >>> shapes = {
    ...     "wte.weight": (1000, 64),
    ...     "h.0.attn.c_attn.weight": (192, 64), "h.0.attn.c_proj.weight": (64, 64),
    ...     "h.0.mlp.c_fc.weight": (256, 64), "h.0.mlp.c_proj.weight": (64, 256),
    ... }
    >>> print(recipes.GPT2()(shapes))
    parameter               role        initializer          std  why
    wte.weight              embedding   Normal(0.02)        0.02  std
    h.0.attn.c_attn.weight  qkv         Normal(0.02)        0.02  std
    h.0.attn.c_proj.weight  attention_  Normal(0.01414)  0.01414  std / sqrt(2
                              out                                   branches)
    h.0.mlp.c_fc.weight     mlp_in      Normal(0.02)        0.02  std
    h.0.mlp.c_proj.weight   mlp_out     Normal(0.01414)  0.01414  std / sqrt(2
                                                                    branches)
    5 parameters, 113,152 values
    """

    std: float = 0.02
    per_layer: bool = False

    name = "gpt2"

    def __post_init__(self) -> None:
        check_positive(self, "std")
        if not isinstance(self.per_layer, bool):
            raise TypeError(f"GPT2: per_layer is True or False; got {self.per_layer!r}")

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Scale what writes to the residual stream."""
        if part.role not in OUTS:
            return Normal(self.std), "std"
        if self.per_layer:
            layer = (part.depth or 0) + 1
            return Normal(self.std / math.sqrt(2 * layer)), f"std / sqrt(2 x layer {layer})"
        branches = tree.branches(part.stack)
        return Normal(self.std / math.sqrt(branches)), f"std / sqrt({branches} branches)"
