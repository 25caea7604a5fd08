"""DeepNorm: post-norm transformers of a thousand layers."""

from dataclasses import dataclass
from typing import final

from ..initializers import AbstractInitializer, GlorotNormal, Normal
from ._base import AbstractRecipe, need_branches, scaled, with_value_scaled
from ._parts import OUTS, Part, Tree

SCALED = (*OUTS, "mlp_in", "mlp_gate", "branch")


@final
@dataclass(frozen=True)
class DeepNorm(AbstractRecipe):
    r"""Glorot's start with gain :math:`\beta` inside the branches, and a residual stream multiplied by :math:`\alpha`.

    Blocks compute :math:`\text{LN}(\alpha x + F(x))`. With :math:`N` encoder and :math:`M` decoder layers:

    ==================  =============================  ============================
    stack               :math:`\alpha`                 :math:`\beta`
    ==================  =============================  ============================
    encoder only        :math:`(2N)^{1/4}`             :math:`(8N)^{-1/4}`
    decoder only        :math:`(2M)^{1/4}`             :math:`(8M)^{-1/4}`
    encoder, with both  :math:`0.81 (N^4 M)^{1/16}`    :math:`0.87 (N^4 M)^{-1/16}`
    decoder, with both  :math:`(3M)^{1/4}`             :math:`(12M)^{-1/4}`
    ==================  =============================  ============================

    The gain is that of values, outputs and MLPs; queries and keys keep gain 1. Embeddings and readout are normal with
    variance 1 / d.

    References
    ----------
    Wang, Ma, Dong, Huang, Zhang, Wei. "DeepNet: scaling transformers to 1,000 layers". 2022, figure 2 and section 4.
    :arxiv:`2203.00555`

    Examples
    --------
    >>> from symbreak import recipes
    >>> shapes = {f"{k}.{name}.weight": (8, 8) for k in range(8) for name in ("fc1", "fc2")}
    >>> found = recipes.DeepNorm()(shapes)
    >>> found.multipliers
    {'the residual stream': 2.0}
    >>> found.rules["0.fc1.weight"].initializer.factor == 64 ** -0.25
    True
    """

    name = "deepnorm"

    def check(self, tree: Tree) -> None:
        """Need residual branches."""
        need_branches("DeepNorm", tree)

    def constants(self, stack: str, tree: Tree) -> tuple[float, float]:
        """Give alpha and beta of a stack."""
        if {"encoder", "decoder"} <= set(tree.stacks):
            n, m = tree.layers("encoder"), tree.layers("decoder")
            if stack == "encoder":
                both = (n**4 * m) ** (1 / 16)
                return 0.81 * both, 0.87 / both
            return (3 * m) ** 0.25, (12 * m) ** -0.25
        layers = tree.layers(stack)
        return (2 * layers) ** 0.25, (8 * layers) ** -0.25

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Scale values, outputs and MLPs."""
        if part.role in ("embedding", "position", "readout"):
            width = tree.width()
            return Normal(width**-0.5), f"variance 1 / {width}"
        if part.role not in (*SCALED, "value", "qkv", "attention_in"):
            return GlorotNormal(), "Glorot"
        _, beta = self.constants(part.stack, tree)
        why = "Glorot x beta"
        if part.role in SCALED:
            return scaled(GlorotNormal(), beta), why
        return with_value_scaled(part, GlorotNormal(), beta, "DeepNorm"), why

    def multipliers(self, tree: Tree) -> dict[str, float]:
        """Give alpha."""
        return {_stream(stack): self.constants(stack, tree)[0] for stack in tree.stacks}


def _stream(stack: str) -> str:
    return f"the residual stream of the {stack}" if stack else "the residual stream"
