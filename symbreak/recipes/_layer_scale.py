"""LayerScale: each channel of a residual branch multiplied by a small number."""

from dataclasses import dataclass
from typing import final

from ..initializers import AbstractInitializer, Constant, TruncatedNormal
from ._base import AbstractRecipe, check_positive
from ._parts import Part, Tree
from ._rezero import need_gains


@final
@dataclass(frozen=True)
class LayerScale(AbstractRecipe):
    """A small gain for each channel of each residual branch, smaller in deeper networks.

    Weights are normal with standard deviation 0.02, cut at -2 and 2, which is never reached, as in the authors' code.

    Parameters
    ----------
    gain
        What the gains start at; by default 0.1 up to 18 layers, 1e-5 up to 24, and 1e-6 beyond.

    References
    ----------
    Touvron, Cord, Sablayrolles, Synnaeve, Jégou. "Going deeper with image transformers". ICCV 2021, section 2.
    :arxiv:`2103.17239`

    Examples
    --------
    >>> from symbreak import recipes
    >>> plan = recipes.LayerScale()({"0.fc1.weight": (8, 4), "0.fc2.weight": (4, 8), "0.gamma_1": (4,)}).plan()
    >>> str(plan.rows[-1].rule.initializer)
    'Constant(0.1)'
    """

    gain: float | None = None

    name = "layer_scale"

    def __post_init__(self) -> None:
        if self.gain is not None:
            check_positive(self, "gain")

    def check(self, tree: Tree) -> None:
        """Need a gain for the branches."""
        need_gains("LayerScale", tree)

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Start as vision transformers do."""
        return TruncatedNormal(0.02, low=-2.0, high=2.0, bounds="absolute"), "std 0.02"

    def vector(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Give the gains their small value."""
        if part.role != "residual_gain":
            return super().vector(part, tree)
        layers = tree.layers(part.stack)
        gain = self.gain or (0.1 if layers <= 18 else 1e-5 if layers <= 24 else 1e-6)
        return Constant(gain), f"a small gain, for {layers} layers"
