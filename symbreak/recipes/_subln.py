"""SubLN: a second norm inside each branch, and weights that grow with the logarithm of the depth."""

import math
from dataclasses import dataclass
from typing import final

from ..initializers import AbstractInitializer, GlorotNormal, Normal
from ._base import AbstractRecipe, need_branches, scaled, with_value_scaled
from ._deepnorm import SCALED
from ._parts import Part, Tree


@final
@dataclass(frozen=True)
class SubLN(AbstractRecipe):
    r"""Glorot's start with gain :math:`\gamma` inside the branches, for blocks with a second norm inside.

    With :math:`N` encoder and :math:`M` decoder layers, :math:`\gamma` is :math:`\sqrt{\ln 2L}` for one stack of
    :math:`L`; with both, :math:`\sqrt{\tfrac{1}{3} \ln 3M \ln 2N}` in the encoder and :math:`\sqrt{\ln 3M}` in the
    decoder. The gain is that of values, outputs and MLPs; queries and keys keep gain 1. Embeddings and readout are
    normal with variance 1 / d.

    References
    ----------
    Wang et al. "Foundation transformers" (Magneto). ICML 2023, figure 2 and section 3. :arxiv:`2210.06423`

    Examples
    --------
    >>> from symbreak import recipes
    >>> shapes = {f"{k}.{name}.weight": (8, 8) for k in range(8) for name in ("fc1", "fc2")}
    >>> round(recipes.SubLN()(shapes).rules["0.fc1.weight"].initializer.factor, 4)  # sqrt(ln 16)
    1.6651
    """

    name = "subln"

    def check(self, tree: Tree) -> None:
        """Need residual branches."""
        need_branches("SubLN", tree)

    def gain(self, stack: str, tree: Tree) -> float:
        """Give gamma of a stack."""
        if {"encoder", "decoder"} <= set(tree.stacks):
            n, m = tree.layers("encoder"), tree.layers("decoder")
            return math.sqrt(math.log(3 * m) * math.log(2 * n) / 3 if stack == "encoder" else math.log(3 * m))
        return math.sqrt(math.log(2 * tree.layers(stack)))

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Scale values, outputs and MLPs."""
        if part.role in ("embedding", "position", "readout"):
            width = tree.width()
            return Normal(width**-0.5), f"variance 1 / {width}"
        if part.role not in (*SCALED, "value", "qkv", "attention_in"):
            return GlorotNormal(), "Glorot"
        gain = self.gain(part.stack, tree)
        why = "Glorot x gamma"
        if part.role in SCALED:
            return scaled(GlorotNormal(), gain), why
        return with_value_scaled(part, GlorotNormal(), gain, "SubLN"), why
