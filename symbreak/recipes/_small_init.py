"""SmallInit with Wang's start of what writes to the residual stream, as in GPT-NeoX."""

import math
from dataclasses import dataclass
from typing import final

from ..initializers import AbstractInitializer, Normal
from ._base import AbstractRecipe, need_branches
from ._parts import OUTS, Part, Tree


@final
@dataclass(frozen=True)
class SmallInit(AbstractRecipe):
    r"""Normal with variance :math:`2 / 5d`, and standard deviation :math:`2 / L \sqrt d` where a branch ends.

    :math:`d` is the width of the residual stream and :math:`L` the number of layers.

    References
    ----------
    Nguyen, Salazar. "Transformers without tears". IWSLT 2019, section 2.2. :arxiv:`1910.05895`

    Wang, Komatsuzaki. "Mesh-Transformer-JAX", whose start of the residual outputs GPT-NeoX took over: Black et al.
    "GPT-NeoX-20B". 2022, section 2.1. :arxiv:`2204.06745`

    Examples
    --------
    >>> from symbreak import recipes
    >>> plan = recipes.SmallInit()({"h.0.mlp.fc1.weight": (256, 64), "h.0.mlp.fc2.weight": (64, 256)}).plan()
    >>> [round(row.expected.std, 4) for row in plan.rows]
    [0.0791, 0.25]
    """

    name = "small_init"

    def check(self, tree: Tree) -> None:
        """Need residual branches."""
        need_branches("SmallInit", tree)

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Go by the width, and by the depth where a branch ends."""
        stack = part.stack if part.stack in tree.stacks else None
        width = tree.width(stack)
        if part.role in OUTS:
            layers = tree.layers(part.stack)
            return Normal(2 / (layers * math.sqrt(width))), f"2 / (L sqrt(d)), L = {layers}, d = {width}"
        return Normal(math.sqrt(2 / (5 * width))), f"sqrt(2 / 5d), d = {width}"
