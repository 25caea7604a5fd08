"""T-Fixup: transformers without norms and without warm-up."""

from dataclasses import dataclass
from typing import final

from ..initializers import AbstractInitializer, GlorotUniform, Normal
from ._base import AbstractRecipe, need_branches, need_no_norms, scaled, with_value_scaled
from ._deepnorm import SCALED
from ._parts import Part, Tree


@final
@dataclass(frozen=True)
class TFixup(AbstractRecipe):
    r"""Glorot's start, smaller with depth for values, outputs, MLPs and embeddings, in transformers without norms.

    In an encoder of :math:`N` layers the factor is :math:`0.67 N^{-1/4}`, in a decoder of :math:`M` layers, and in a
    single stack, :math:`(9M)^{-1/4}`. Queries and keys keep factor 1. Embeddings are normal with standard deviation
    :math:`d^{-1/2} (9M)^{-1/4}`, with :math:`N` for those of an encoder.

    References
    ----------
    Huang, Perez, Ba, Volkovs. "Improving transformer optimization through better initialization". ICML 2020,
    section 3.2.

    Examples
    --------
    >>> from symbreak import recipes
    >>> shapes = {f"decoder.{k}.{name}.weight": (8, 8) for k in range(9) for name in ("fc1", "fc2")}
    >>> round(recipes.TFixup()(shapes).rules["decoder.0.fc1.weight"].initializer.factor, 4)  # 81 ** -1/4
    0.3333
    """

    name = "tfixup"

    def check(self, tree: Tree) -> None:
        """Need residual branches and no norms."""
        need_branches("T-Fixup", tree)
        need_no_norms("T-Fixup", tree)

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Scale values, outputs, MLPs and embeddings."""
        stack = part.stack if part.stack in tree.stacks else tree.stacks[-1]
        layers = tree.layers(stack)
        if part.role in ("embedding", "position"):
            width = tree.width(stack)
            return Normal(width**-0.5 * (9 * layers) ** -0.25), f"d^-1/2 (9 x {layers})^-1/4, d = {width}"
        if part.role not in (*SCALED, "value", "qkv", "attention_in"):
            return GlorotUniform(), "Glorot"
        factor, text = (
            (0.67 * layers**-0.25, f"0.67 x {layers}^-1/4")
            if stack == "encoder"
            else ((9 * layers) ** -0.25, f"(9 x {layers})^-1/4")
        )
        if part.role in SCALED:
            return scaled(GlorotUniform(), factor), f"Glorot x {text}"
        return with_value_scaled(part, GlorotUniform(), factor, "T-Fixup"), f"Glorot x {text}"
