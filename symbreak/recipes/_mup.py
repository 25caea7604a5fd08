"""muP: widths that share their learning rate with the narrow model that it was tuned on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

from ..axes import Axes, as_shape
from ..errors import RuleError
from ..initializers import AbstractInitializer, Normal, Zeros
from ._base import AbstractRecipe, get
from ._gpt2 import GPT2
from ._parts import Part, Tree


@final
@dataclass(frozen=True)
class MuP(AbstractRecipe):
    r"""The maximal update parametrization: what another recipe gives a base model, carried over to another width.

    With :math:`m` the number of inputs over that of the base model, a weight whose units and inputs both grow has the
    base's standard deviation times :math:`m^{-1/2}`; one with a fixed number of inputs, as an embedding, and the
    readout have the base's. The readout's outputs are divided by :math:`m`. Attention logits are to be divided by the
    size of a head, not by its root. The rates are those of MuAdam and MuSGD. At the width of the base, all is as in the
    base model.

    Parameters
    ----------
    base
        The shapes of the base model, by the same names.
    recipe
        What the base model starts by: a recipe, its name, or a mapping with its name and its options.
    zero_readout
        Start the readout at zero, as the authors advise.

    References
    ----------
    Yang et al. "Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer". 2022, table 8.
    :arxiv:`2203.03466`

    Examples
    --------
    >>> from symbreak import recipes
    >>> base = {"fc1.weight": (64, 16), "mid.weight": (64, 64), "head.weight": (10, 64)}
    >>> wide = {"fc1.weight": (1024, 16), "mid.weight": (1024, 1024), "head.weight": (10, 1024)}
    >>> roles = {"fc1.*": "input", "mid.*": "hidden"}
    >>> found = recipes.MuP(base)(wide, roles=roles)
    >>> [row.expected.std for row in found.plan().rows]
    [0.02, 0.005, 0.02]
    >>> found.multipliers
    {'the outputs of head.weight': 0.0625}
    """

    base: Mapping[str, Any] = field(hash=False)
    recipe: AbstractRecipe = field(default_factory=GPT2)
    zero_readout: bool = False

    name = "mup"

    def __post_init__(self) -> None:
        if not isinstance(self.base, Mapping):
            raise TypeError(f"MuP: base maps parameter names to the shapes of the base model; got {self.base!r}")
        given: Any = self.recipe
        if isinstance(given, str):
            object.__setattr__(self, "recipe", get(given))
        elif isinstance(given, Mapping) and isinstance(given.get("name"), str):
            object.__setattr__(self, "recipe", get(**given))
        if not isinstance(self.recipe, AbstractRecipe) or isinstance(self.recipe, MuP):
            raise TypeError(f"MuP: recipe is another recipe, for the base model; got {self.recipe!r}")

    def check(self, tree: Tree) -> None:
        """Need the shape of each parameter in the base model."""
        for part in tree.parts:
            found = self._base(part)
            if len(found) != len(part.shape) or 0 in (*found, *part.shape):
                raise RuleError(
                    f"MuP: {part.name!r} has shape {part.shape}, and {found} in the base model; shapes have as many "
                    f"axes, none of them empty"
                )
        self.recipe.check(self._tree(tree))

    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Carry the base's standard deviation over."""
        if part.role == "readout" and self.zero_readout:
            return Zeros(), "the readout is zero"
        same, small = self._in_base(part, tree)
        init, why = self.recipe.weight(same, small)
        stated = init.expected(same.shape, same.axes)
        if stated.std == 0:
            return init, why
        if stated.mean != 0:
            raise RuleError(f"MuP scales weights about zero, and {init!r} of {part.name!r} has mean {stated.mean:g}")
        units, inputs = self._growth(part)
        if part.role != "readout" and units != 1 and inputs != 1:
            return Normal(stated.std * inputs**-0.5), f"base {stated.std:.4g} x {inputs:g}^-1/2"
        return Normal(stated.std), f"base {stated.std:.4g}"

    def vector(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Start as the base does."""
        return self.recipe.vector(*self._in_base(part, tree))

    def multipliers(self, tree: Tree) -> dict[str, float]:
        """Divide the outputs of the readout; the base's own factors stay."""
        readouts = {f"the outputs of {part.name}": 1 / self._growth(part)[1] for part in tree.of("readout")}
        return self.recipe.multipliers(self._tree(tree)) | readouts

    def rates(self, tree: Tree) -> dict[str, dict[str, float]]:
        """Give the rates of what does not keep the base's."""
        found = {}
        for part in tree.parts:
            units, inputs = self._growth(part)
            if units != 1 and inputs != 1:
                rates = {"adam": 1 / inputs, "sgd": units / inputs}
            else:  # one side grows, or the only axis of a vector
                rates = {"adam": 1.0, "sgd": units * inputs}
            if set(rates.values()) != {1.0}:
                found[part.name] = rates
        return found

    def _base(self, part: Part) -> tuple[int, ...]:
        if part.name not in self.base:
            raise RuleError(f"MuP: {part.name!r} is not in the base model; give its shape there")
        given = self.base[part.name]
        return as_shape(given.shape if hasattr(given, "shape") else given)

    def _tree(self, tree: Tree) -> Tree:
        """Give the parts of the base model."""
        return Tree(tuple(self._small(tree).values()))

    def _small(self, tree: Tree) -> dict[str, Part]:
        return {part.name: replace(part, shape=self._base(part)) for part in tree.parts}

    def _in_base(self, part: Part, tree: Tree) -> tuple[Part, Tree]:
        """Give a part as it is in the base model, and that model."""
        key = "base", id(self)
        if key not in tree.notes:
            small = self._small(tree)
            tree.notes[key] = small, Tree(tuple(small.values()))
        small, whole = tree.notes[key]
        return small[part.name], whole

    def _growth(self, part: Part) -> tuple[float, float]:
        """Give the units and the inputs over those of the base; of a vector, its size, and one."""
        base = self._base(part)
        if len(base) < 2:
            return (part.shape[0] / base[0] if base else 1.0), 1.0
        now, then = (Axes.of(part.axes, shape).part_fans(shape)[0].fan_in for shape in (part.shape, base))
        units, before = (Axes.of(part.axes, shape).units(shape) for shape in (part.shape, base))
        if part.role in ("embedding", "position"):  # one row a token: the width is the second axis
            return part.shape[1] / base[1], 1.0
        return units / before, now / then
