"""The spectral condition: every layer moves its features by as much as their size, at any width."""

import math
from dataclasses import dataclass
from typing import final

from ..initializers import AbstractInitializer, Normal, Orthogonal
from ._base import AbstractRecipe
from ._parts import Part, Tree

DISTRIBUTIONS = ("orthogonal", "normal")


@final
@dataclass(frozen=True)
class Spectral(AbstractRecipe):
    r"""Weights of spectral norm :math:`\sqrt{\text{fan}_\text{out} / \text{fan}_\text{in}}`.

    Orthogonal weights have it exactly; normal ones, with
    :math:`\sigma = \text{fan}_\text{in}^{-1/2} \min(1, \sqrt{\text{fan}_\text{out} / \text{fan}_\text{in}})`, up to a
    factor from 1 to 2. An embedding reads one token, so its entries are normal with standard deviation 1. Rates are
    :math:`\text{fan}_\text{out} / \text{fan}_\text{in}` for SGD, and :math:`1 / \text{fan}_\text{in}` for Adam.

    Parameters
    ----------
    distribution
        ``"orthogonal"`` or ``"normal"``.

    References
    ----------
    Yang, Simon, Bernstein. "A spectral condition for feature learning". 2023, condition 1 and parametrization 1.
    :arxiv:`2310.17813`

    Examples
    --------
    >>> from symbreak import recipes
    >>> found = recipes.Spectral()({"mid.weight": (64, 16)}, roles={"mid.*": "hidden"})
    >>> found.plan().rows[0].expected.singular_values
    (2.0, 2.0)
    >>> found.rates
    {'mid.weight': {'adam': 0.0625, 'sgd': 4.0}}
    """

    distribution: str = "orthogonal"

    name = "spectral"

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(f"Spectral: distribution is one of {', '.join(DISTRIBUTIONS)}; got {self.distribution!r}")

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Go by the fans."""
        if part.role in ("embedding", "position"):
            return Normal(1.0), "one token is read at a time"
        fan_in, fan_out = part.fans
        norm = math.sqrt(fan_out / fan_in) if fan_in and fan_out else 1.0  # an empty weight has none
        why = f"norm sqrt({fan_out} / {fan_in})"
        if self.distribution == "orthogonal":
            return Orthogonal(gain=norm), why
        return Normal(min(1.0, norm) / math.sqrt(max(fan_in, 1))), why

    def rates(self, tree: Tree) -> dict[str, dict[str, float]]:
        """Give the rates of the weights."""
        found = {}
        for part in tree.parts:
            if len(part.shape) > 1 and part.role not in ("embedding", "position"):
                fan_in, fan_out = map(float, part.fans)
                if fan_in and fan_out:
                    found[part.name] = {"adam": 1 / fan_in, "sgd": fan_out / fan_in}
        return found
