"""SkipInit: a number at the end of each residual branch, instead of batch norm."""

from dataclasses import dataclass
from typing import final

from ..initializers import AbstractInitializer, HeNormal, Zeros
from ._base import AbstractRecipe
from ._parts import Part, Tree
from ._rezero import need_gains


@final
@dataclass(frozen=True)
class SkipInit(AbstractRecipe):
    r"""He's start, and a multiplier :math:`\alpha = 0` at the end of each residual branch.

    Batch norm biases residual blocks towards the identity, by a factor that falls with depth; the multiplier does so
    from zero.

    References
    ----------
    De, Smith. "Batch normalization biases residual blocks towards the identity function in deep networks". NeurIPS
    2020, section 4. :arxiv:`2002.10444`

    Examples
    --------
    >>> from symbreak import recipes
    >>> plan = recipes.SkipInit()({"0.fc1.weight": (8, 4), "0.fc2.weight": (4, 8), "0.skip_gain": ()}).plan()
    >>> [str(row.rule.initializer) for row in plan.rows]
    ['HeNormal()', 'HeNormal()', 'Zeros()']
    """

    name = "skip_init"

    def check(self, tree: Tree) -> None:
        """Need a gain for the branches."""
        need_gains("SkipInit", tree)

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Start as He."""
        return HeNormal(), "He"

    def vector(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Zero the gains."""
        return (Zeros(), "the branch starts at zero") if part.role == "residual_gain" else super().vector(part, tree)
