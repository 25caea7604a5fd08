"""The abstract recipe: one method to write, the rule of one parameter, and what the base class makes of it."""

import abc
import glob
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, cast, final

from .._table import folded, html_text
from .._visible import visible
from ..axes import Axes, AxesLike
from ..errors import RuleError, UnknownName
from ..initializers import AbstractInitializer, Blocks, Normal, Ones, Scaled, Zeros
from ..rules import Plan, Rule, plan
from ._parts import OUTS, VECTORS, Part, RolesLike, Tree, read_tree


@final
@dataclass(frozen=True)
class Prescription:
    """What a recipe gives for a model: a rule a parameter, and the numbers that no parameter holds.

    Attributes
    ----------
    shapes
        As they were given.
    rules
        For :func:`symbreak.plan`, one a parameter, after those that were given beside the recipe.
    parts
        What each parameter is for.
    multipliers
        Factors of the forward pass, by what they multiply; each says so in words.
    rates
        Factors of the learning rate, by parameter and optimizer (``"sgd"``, ``"adam"``), where the recipe has any.
    others
        What each parameter is for that rules of your own hit, where it is known.
    """

    shapes: Mapping[str, Any] = field(repr=False)
    rules: Mapping[str, Rule]
    parts: tuple[Part, ...]
    multipliers: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    others: tuple[Part, ...] = ()

    def plan(self) -> Plan:
        """Make the plan, which prints as a table: parameter, role, initializer, std, why.

        Returns
        -------
        Plan
        """
        roles = {glob.escape(part.name): part.role for part in (*self.parts, *self.others)}
        return plan(self.shapes, self.rules, roles=roles)

    def __str__(self) -> str:
        return "\n".join([str(self.plan()), *(line for number in self._numbers() for line in folded(number))])

    def _repr_html_(self) -> str:
        numbers = self._numbers()
        return self.plan()._repr_html_() + (html_text("\n".join(numbers)) if numbers else "")

    def _numbers(self) -> list[str]:
        lines = [f"multiply {visible(what)} by {factor:.6g}" for what, factor in self.multipliers.items()]
        rated = {
            name: ", ".join(f"{optimizer} x {factor:.4g}" for optimizer, factor in each.items())
            for name, each in self.rates.items()
        }
        return lines + [f"learning rate of {visible(name)}: {text}" for name, text in rated.items()]


class AbstractRecipe(abc.ABC):
    """Base class of the recipes: small values that give one rule a parameter, by its role and place in the model.

    A subclass is a frozen dataclass that writes `weight`, the initializer of a weight and the reason; and `multipliers`
    or `rates` where it has any. Biases start at zero, and the scales of norms at one.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def weight(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Give the initializer of one weight, and why."""

    def check(self, tree: Tree) -> None:  # noqa: B027 - most recipes are for any model
        """Refuse a model that the recipe is not for."""

    def vector(self, part: Part, tree: Tree) -> tuple[AbstractInitializer, str]:
        """Give the initializer of a bias, the scale of a norm, a multiplier or a residual gain, and why."""
        return (Zeros(), "starts at zero") if part.role == "bias" else (Ones(), "starts at one")

    def multipliers(self, tree: Tree) -> dict[str, float]:
        """Give the factors of the forward pass."""
        return {}

    def rates(self, tree: Tree) -> dict[str, dict[str, float]]:
        """Give the factors of the learning rate."""
        return {}

    def __call__(
        self,
        shapes: Mapping[str, Any],
        *,
        roles: "RolesLike | None" = None,
        axes: "Mapping[str, AxesLike] | AxesLike" = None,
        rules: Mapping[str, Any] | None = None,
    ) -> Prescription:
        """Give the rules of a model.

        Parameters
        ----------
        shapes
            Parameter names to shapes or arrays.
        roles, axes
            As for :func:`read_parts`.
        rules
            Rules of your own, as :func:`symbreak.plan` takes them: what they hit is left to them. Blocks and branches
            that they hit count as before.

        Returns
        -------
        Prescription

        Raises
        ------
        RuleError
            If the role of a parameter is not known, or the recipe is not for such a model.
        """
        if not isinstance(rules or {}, Mapping):
            raise TypeError(f"`rules` maps globs to initializers; got {type(rules).__name__}")
        own = dict(rules or {})
        tree = read_tree(shapes, roles, axes, own)
        self.check(tree)
        found = {glob.escape(part.name): self._rule(part, tree) for part in tree.parts}
        multipliers, rates = self.multipliers(tree), self.rates(tree)
        return Prescription(shapes, {**own, **found}, tree.parts, multipliers, rates, tree.others)

    def _rule(self, part: Part, tree: Tree) -> Rule:
        vector = part.role in VECTORS
        init, why = self.vector(part, tree) if vector else self.weight(part, tree)
        return Rule(init, None if vector else part.axes, why=why)


def get(name: str, **options: Any) -> AbstractRecipe:
    """Give a recipe by its name.

    Parameters
    ----------
    name
        One of :func:`names`.
    **options
        For its constructor.

    Returns
    -------
    AbstractRecipe

    Raises
    ------
    UnknownName
        If no recipe has the name.
    TypeError, ValueError
        For options that it does not take.

    Examples
    --------
    >>> from symbreak import recipes
    >>> recipes.get("gpt2", std=0.01)
    GPT2(std=0.01, per_layer=False)
    """
    found = _recipes()
    if name not in found:
        raise UnknownName(f"no recipe is called {name!r}; recipes are {', '.join(found)}")
    needed = [
        each.name for each in fields(cast("type[Any]", found[name])) if each.default is each.default_factory is MISSING
    ]
    missing = [each for each in needed if each not in options]
    if missing:
        told = ", ".join(f"{each}=..." for each in missing)
        raise TypeError(
            f"the recipe {name!r} needs {' and '.join(missing)}: recipes.get({name!r}, {told}), or in a file of rules "
            f'[recipe] with name = "{name}" and {" and ".join(missing)}'
        )
    try:
        return found[name](**options)
    except TypeError as error:
        raise TypeError(f"the recipe {name!r} can't be made with {options!r}: {error}") from None


def names() -> list[str]:
    """List the names of the recipes.

    Returns
    -------
    list of str
        In alphabetical order; :func:`get` takes them.

    Examples
    --------
    >>> from symbreak import recipes
    >>> recipes.names()[:3]
    ['deepnorm', 'fixup', 'gpt2']
    """
    return list(_recipes())


def _recipes() -> dict[str, type[AbstractRecipe]]:
    return {each.name: each for each in sorted(AbstractRecipe.__subclasses__(), key=lambda cls: cls.name)}


def need_branches(recipe: str, tree: Tree) -> None:
    """Refuse a model without residual branches."""
    if not tree.stacks:
        raise RuleError(
            f"{recipe} goes by the residual branches of a model, and no parameter has a role that writes to a residual "
            f"stream: {', '.join(OUTS)}"
        )


def need_no_norms(recipe: str, tree: Tree) -> None:
    """Refuse a model with norms."""
    norms = tree.of("norm")
    if norms:
        raise RuleError(
            f"{recipe} is for networks without norms, and {norms[0].name!r} is one ({len(norms)} in all); take them "
            f"out of the model, or choose another recipe"
        )


def check_positive(instance: Any, *names: str) -> None:
    """Refuse an option that is no positive finite number."""
    for each in names:
        value = getattr(instance, each)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"{type(instance).__name__}: {each} is a positive number; got {value!r}")


def scaled(init: AbstractInitializer, factor: float) -> AbstractInitializer:
    """Scale an initializer, unless the factor is one."""
    if isinstance(init, Normal) and init.mean == 0:
        return Normal(init.std * factor)
    return init if factor == 1 else Scaled(init, factor)


def with_value_scaled(part: Part, init: AbstractInitializer, factor: float, recipe: str) -> AbstractInitializer:
    """Scale what makes the values; of a fused projection the last third, each with fans of its own."""
    if part.role == "value":
        return scaled(init, factor)
    axes = Axes.of(part.axes, part.shape)
    if part.role == "attention_in" or axes.units(part.shape) != 3 * axes._size("i", part.shape):
        raise RuleError(
            f"{recipe} scales the values apart from queries and keys, but {part.name!r} of shape {part.shape} fuses "
            f"them in other parts than three of (inputs, inputs); give it a rule of its own, such as Blocks"
        )
    return Blocks((init, init, scaled(init, factor)))
