"""Fixup: residual networks without norms, whose first steps don't grow with depth."""

from dataclasses import dataclass
from typing import final

from ..errors import RuleError
from ..initializers import AbstractInitializer, HeNormal, Zeros
from ._base import AbstractRecipe, need_branches, need_no_norms, scaled, with_value_scaled
from ._parts import OUTS, Part, Tree

INNER = {"attention_out": ("value", "qkv"), "mlp_out": ("mlp_in", "mlp_gate"), "branch_out": ("branch",)}
WRITER = {inner: out for out, inners in INNER.items() for inner in inners}


@final
@dataclass(frozen=True)
class Fixup(AbstractRecipe):
    r"""He's start, scaled by :math:`L^{-1 / (2m - 2)}` inside the branches, which end in zero, as the readout does.

    :math:`L` counts the residual branches, and :math:`m` the layers of a branch that multiply what passes through it:
    its weights in line, two for an MLP, and for an attention two as well, values and output. Queries and keys keep He's
    start. A branch of one layer is zero only. Multipliers start at one and biases, which the scheme adds before every
    layer, at zero.

    References
    ----------
    Zhang, Dauphin, Ma. "Fixup initialization: residual learning without normalization". ICLR 2019, section 3.
    :arxiv:`1901.09321`

    Examples
    --------
    >>> from symbreak import recipes
    >>> shapes = {f"{k}.{name}.weight": (8, 8) for k in range(4) for name in ("fc1", "fc2")}
    >>> plan = recipes.Fixup()(shapes).plan()
    >>> [str(row.rule.initializer) for row in plan.rows[:2]]
    ['Scaled(init=HeNormal(), factor=0.5)', 'Zeros()']
    """

    name = "fixup"

    def check(self, tree: Tree) -> None:
        """Need residual branches and no norms."""
        need_branches("Fixup", tree)
        need_no_norms("Fixup", tree)

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Scale what is inside a branch, and zero where it ends."""
        if part.role in (*OUTS, "readout"):
            return Zeros(), "the readout is zero" if part.role == "readout" else "a branch ends in zero"
        if part.role not in WRITER:
            return HeNormal(), "He"
        branches = sum(tree.branches(stack) for stack in tree.stacks)
        layers = _layers(part, tree)
        factor = branches ** (-1 / (2 * layers - 2))
        why = f"He x L^(-1/{2 * layers - 2}), L = {branches} branches of m = {layers}"
        if part.role in ("value", "qkv"):
            return with_value_scaled(part, HeNormal(), factor, "Fixup"), why
        return scaled(HeNormal(), factor), why


def _layers(part: Part, tree: Tree) -> int:
    """Count the layers of the branch in line."""
    out = WRITER[part.role]
    where = part.stack, part.block
    if not tree.counts[(*where, out)]:
        raise RuleError(
            f"Fixup scales {part.name!r} by its residual branch, whose last layer is not there: no parameter of "
            f"{part.block!r} has the role {out}"
        )
    return 1 + tree.counts[(*where, "branch")] if out == "branch_out" else 2
