"""ReZero: every residual branch multiplied by a number that starts at zero."""

from dataclasses import dataclass
from typing import final

from ..errors import RuleError
from ..initializers import AbstractInitializer, GlorotUniform, Zeros
from ._base import AbstractRecipe
from ._parts import OUTS, Part, Tree


@final
@dataclass(frozen=True)
class ReZero(AbstractRecipe):
    r"""Glorot's start, and each branch in :math:`x + \alpha F(x)` with :math:`\alpha = 0`.

    At the start the network's blocks are the identity, whatever its depth; the first step moves the gains, and then the
    branches.

    References
    ----------
    Bachlechner, Majumder, Mao, Cottrell, McAuley. "ReZero is all you need". UAI 2021, section 3. :arxiv:`2003.04887`

    Examples
    --------
    >>> from symbreak import recipes
    >>> plan = recipes.ReZero()({"0.fc1.weight": (8, 4), "0.fc2.weight": (4, 8), "0.resweight": (1,)}).plan()
    >>> str(plan.rows[-1].rule.initializer)
    'Zeros()'
    """

    name = "rezero"

    def check(self, tree: Tree) -> None:
        """Need a gain for the branches."""
        need_gains("ReZero", tree)

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Start as Glorot."""
        return GlorotUniform(), "Glorot"

    def vector(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Zero the gains."""
        return (Zeros(), "the branch starts at zero") if part.role == "residual_gain" else super().vector(part, tree)


def need_gains(recipe: str, tree: Tree) -> None:
    """Refuse a model some of whose blocks with branches have no residual gain."""
    known = (*tree.parts, *tree.others)
    gains = {(part.stack, part.block) for part in known if part.role == "residual_gain"}
    without = [part for part in tree.of(*OUTS) if (part.stack, part.block) not in gains]
    if without or not gains:
        where = f"{without[0].name!r} is in a block without one" if without else "there is none"
        raise RuleError(
            f"{recipe} multiplies each residual branch by a parameter of its own, with the role 'residual_gain', and "
            f"{where}; add it to the model, or name it: roles={{'*.gain': 'residual_gain'}}"
        )
