"""What a framework's model is for rules: parameters with roles and layouts, from which a plan is made.

The plan is the same in every framework: a role has one default, a parameter is drawn units first from the key of its
name, and then turned into the framework's layout.
"""

import difflib
import glob
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeAlias, final

from ._patterns import ROLE, Patterns, read_roles
from ._same import find_same
from ._visible import quoted
from .axes import AxesLike
from .dtypes import DTypeLike, as_float_dtype
from .errors import RuleError
from .initializers import (
    AbstractInitializer,
    Constant,
    ForgetBias,
    GlorotUniform,
    HeNormal,
    LecunNormal,
    Normal,
    Ones,
    Orthogonal,
    SameAs,
    Zeros,
)
from .recipes import ROLES as RECIPE_ROLES
from .recipes import AbstractRecipe
from .recipes import get as get_recipe
from .rules import Plan, Row, Rule, RuleLike, make_row, read_rule

NamesLike: TypeAlias = Mapping[str, str] | Callable[[str], str]
RulesLike: TypeAlias = "Mapping[str, RuleLike] | AbstractRecipe | None"

_HE = (HeNormal(), "keeps variance through ReLU")
_LECUN = (LecunNormal(), "linear: variance 1 / fan in")
_SMALL = (Normal(0.02), "a table: small, as in BERT")
_ZERO = (Zeros(), "starts at zero")
_ONE = (Ones(), "starts at one")

# Tables that a module holds itself, by what it calls them. They lie as embeddings do, a row each, in every framework.
POSITIONS = frozenset(
    {"pos", "pos_emb", "pos_embs", "pos_embed", "pos_embeds", "pos_embedding", "pos_embeddings", "pos_encoding", "wpe"}
    | {"positions", "position_embedding", "position_embeddings", "position_encoding", "embed_positions"}
    | {"positional_embedding", "positional_embeddings", "positional_encoding"}
)
TOKENS = frozenset({"cls", "cls_token", "class_token", "mask_token", "dist_token", "register_tokens"})

# What a parameter of each role starts as, in every framework, and why.
DEFAULTS: Mapping[str, tuple[AbstractInitializer, str]] = MappingProxyType(
    {
        "linear": _HE,
        "conv": _HE,
        "expert": _HE,
        "query": _LECUN,
        "key": _LECUN,
        "value": _LECUN,
        "qkv": _LECUN,
        "attention_out": _LECUN,
        "router": _LECUN,
        "recurrent_in": (GlorotUniform(), "each gate with its own fans"),
        "recurrent": (Orthogonal(), "each gate keeps lengths"),
        "embedding": _SMALL,
        "position": _SMALL,
        "token": _SMALL,
        "norm": _ONE,
        "centred_norm": (Zeros(), "the norm adds one to it"),
        "bias": _ZERO,
        "forget_bias": (ForgetBias(order="ifgo"), "the forget gate starts open"),
        "multiplier": _ONE,
        "slope": (Constant(0.25), "the slope of a PReLU"),
        "residual_gain": (Constant(1e-6), "the branch starts nearly closed"),
        "running_mean": _ZERO,
        "running_var": _ONE,
        "unknown_weight": (HeNormal(), "unknown: by shape, a weight"),
        "unknown_vector": (Zeros(), "unknown: by shape, a bias"),
    }
)


@final
@dataclass(frozen=True)
class Parameter:
    """One parameter of a framework's model.

    Attributes
    ----------
    name, shape
        In the framework.
    axes
        The layout, one letter an axis of `shape`; None for PyTorch's order and for what has no layout.
    role
        One of :data:`DEFAULTS`, or a word of the framework's own; then `initializer` says what it starts as.
    dtype
        A floating dtype, or None for float32.
    same_as
        The parameter that it is tied to: it shares its memory.
    transposed
        It is tied to the other's transpose.
    initializer, why
        What it starts as, and the reason, where the role's default is not right for it.
    wrap
        Makes what it starts as of what a rule or the default gives, such as an embedding whose padding stays zero.
    """

    name: str
    shape: tuple[int, ...]
    axes: AxesLike = None
    role: str | None = None
    dtype: DTypeLike | None = None
    same_as: str | None = None
    transposed: bool = False
    initializer: AbstractInitializer | None = None
    why: str | None = None
    wrap: Callable[[AbstractInitializer], AbstractInitializer] | None = None


def plan_model(
    parameters: Iterable[Parameter],
    rules: RulesLike = None,
    *,
    recipe: "AbstractRecipe | str | None" = None,
    roles: Mapping[str, str] | None = None,
    names: NamesLike | None = None,
    model: str = "the model",
) -> Plan:
    """Plan the parameters of a framework's model.

    Parameters
    ----------
    parameters
        In the model's order.
    rules
        Globs over names, or ``@`` and a role, to what :func:`symbreak.get` takes or a :class:`~symbreak.Rule`; the
        first that matches wins, and what none matches gets what `recipe` says, or the default of its role. A rule
        without axes leaves the layout to the framework. A recipe may stand in their place.
    recipe
        A recipe of :mod:`symbreak.recipes`, or its name: for what no rule hits.
    roles
        Globs to roles, before those that the framework knows.
    names
        From the name of a parameter to the name whose key it is drawn from: a mapping, in which those that keep theirs
        may be left out, or a function. With one table of names a model starts the same in every framework.
    model
        What the parameters are of, for errors.

    Returns
    -------
    Plan
        Tied parameters are drawn once, under the first name, and are rows of their own.

    Raises
    ------
    RuleError
        If an initializer can't make a parameter; a rule hits only what is tied to another; a role has no default; or
        there are no parameters; or a glob of `roles` hits none.
    TypeError, ValueError
        For rules, roles or names that make no sense, such as names that give two parameters one key.
    """
    every = list(parameters)
    if not every:
        raise RuleError(f"{model} has no parameters to initialize")
    if isinstance(rules, AbstractRecipe):
        if recipe is not None:
            raise TypeError("a recipe was given as `rules` and as `recipe`; give rules of your own and one recipe")
        rules, recipe = None, rules
    if not isinstance(rules, Mapping | None):
        raise TypeError(f"`rules` maps globs to initializers, or is a recipe; got {type(rules).__name__}")
    read = {pattern: read_rule(pattern, rule) for pattern, rule in (rules or {}).items()}
    told = _told(every, roles)
    recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
    prescribed = {} if recipe is None else _prescribe(recipe, every, told, roles, read)
    keys = _keys(every, names)
    find, used, rows = Patterns(read), set[str](), dict[str, Row]()
    for each in every:
        role = told[each.name]
        pattern = find.first(each.name, role)
        if each.same_as is not None:
            rule, shown = Rule(SameAs(each.same_as, each.transposed), why=f"tied to {each.same_as}"), each.name
        elif pattern is not None:
            used.add(pattern)
            given = read[pattern]
            axes = each.axes if given.axes is None and len(each.shape) > 1 else given.axes
            rule = replace_rule(given, axes=axes, why=given.why or f"the rule {quoted(pattern)}")
            shown = pattern
        else:
            rule, shown = prescribed.get(each.name) or _default(each, role), f"{ROLE}{role}"
        if each.wrap is not None and not isinstance(rule.initializer, SameAs):
            rule = replace_rule(Rule(each.wrap(rule.initializer), None, rule.dtype), axes=rule.axes, why=rule.why)
        row = make_row(each.name, each.shape, shown, rule, role)
        rows[each.name] = replace(
            row, dtype=_dtype_of(each, row.rule.initializer), key=keys[each.name], units_first=True
        )
    _check_tied(every, told, read, used)
    tied = find_same(rows, {}, ())
    unused = tuple(pattern for pattern in read if pattern not in used)
    return Plan(tuple(tied.values()), unused, (), {}, tuple(each.name for each in every))


def replace_rule(rule: Rule, *, axes: AxesLike, why: str | None) -> Rule:
    """Give a rule with another layout and reason."""
    made = Rule(rule.initializer, None, rule.dtype, why)
    object.__setattr__(made, "axes", axes)
    return made


def _dtype_of(each: Parameter, init: AbstractInitializer) -> Any:
    if each.dtype is None or each.same_as is not None:
        return None
    if isinstance(init, SameAs):
        return as_float_dtype(each.dtype)
    try:
        return init._as_dtype(each.dtype)
    except TypeError:
        raise RuleError(
            f"{quoted(each.name)} is {each.dtype}, which {init!r} does not make; give it a rule of its own, such as "
            f"Orthogonal() for a complex weight"
        ) from None


def _default(each: Parameter, role: str) -> Rule:
    if each.initializer is not None:
        init, why = each.initializer, each.why or "as its module has it"
    elif role in DEFAULTS:
        init, why = DEFAULTS[role]
    else:
        known = ", ".join(DEFAULTS)
        raise RuleError(
            f"the role {role!r} of {each.name!r} has no default; give it a rule, or one of the roles {known}"
        )
    return replace_rule(Rule(init), axes=each.axes if len(each.shape) > 1 else None, why=each.why or why)


def _told(every: list[Parameter], roles: Mapping[str, str] | None) -> dict[str, str]:
    """Give the role of each parameter: as told, as the framework knows it, or by its shape."""
    find, found = read_roles(roles), {}
    for pattern in roles or {}:
        alone, named = Patterns([pattern]), [each.name for each in every]
        if not any(alone.first(name) for name in named):
            near = difflib.get_close_matches(pattern, named, n=1, cutoff=0.0)
            raise RuleError(f"`roles` has {quoted(pattern)}, which hits no parameter; the nearest is {quoted(near[0])}")
    for each in every:
        glob_ = find.first(each.name)
        by_shape = "unknown_weight" if len(each.shape) > 1 else "unknown_vector"
        found[each.name] = roles[glob_] if glob_ is not None and roles is not None else each.role or by_shape
    return found


def _keys(every: list[Parameter], names: NamesLike | None) -> dict[str, str | None]:
    """Give the name of each parameter's key, None for its own; two parameters never share one."""
    known = {each.name: each for each in every}
    if names is None:
        return dict.fromkeys(known)
    if isinstance(names, Mapping):
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
                raise ValueError(
                    f"`names` has {quoted(str(name))}, which is no parameter; the nearest is {quoted(near[0])}"
                )
        table = {name: names.get(name, name) for name in known}
    elif callable(names):
        table = {name: names(name) for name in known}
    else:
        raise TypeError(f"`names` is a mapping from parameter to key, or a function; got {type(names).__name__}")
    seen: dict[str, str] = {}
    for name, key in table.items():
        if not isinstance(key, str):
            raise TypeError(f"`names` gives {quoted(name)} the key {key!r}, which is no string")
        if known[name].same_as is None and seen.setdefault(key, name) != name:
            raise ValueError(
                f"`names` gives {quoted(seen[key])} and {quoted(name)} one key, {quoted(key)}: they would be drawn "
                f"from one stream; give each its own"
            )
    return {name: None if key == name else key for name, key in table.items()}


def _check_tied(every: list[Parameter], told: Mapping[str, str], read: Mapping[str, Rule], used: set[str]) -> None:
    """Refuse a rule that only hits what is tied to another parameter, and so would do nothing."""
    for pattern in read:
        if pattern in used:
            continue
        alone = Patterns([pattern])
        tied = next((each for each in every if each.same_as and alone.first(each.name, told[each.name])), None)
        if tied is not None and tied.same_as is not None:
            raise RuleError(
                f"the rule {quoted(pattern)} hits {quoted(tied.name)}, which is tied to {quoted(tied.same_as)} and is "
                f"drawn under that name; write the rule for {quoted(tied.same_as)}"
            )


def _prescribe(
    recipe: Any,
    every: list[Parameter],
    told: Mapping[str, str],
    roles: Mapping[str, str] | None,
    read: Mapping[str, Rule],
) -> dict[str, Rule]:
    """Ask a recipe for the rules of the parameters that no rule hits."""
    if not isinstance(recipe, AbstractRecipe):
        raise TypeError(f"`recipe` is one of symbreak.recipes, or its name; got {type(recipe).__name__}")
    own = [each for each in every if each.same_as is None]
    given = {pattern: role for pattern, role in (roles or {}).items() if role in RECIPE_ROLES}
    # The names of usual models say more than modules do: which linear layer writes to the residual stream.
    sure = {glob.escape(each.name): told[each.name] for each in own if told[each.name] in ("norm", "bias")}
    sure |= {glob.escape(each.name): "bias" for each in own if told[each.name] == "forget_bias"}
    apart = [each for each in own if told[each.name] in ("centred_norm", "slope")]
    shapes = {each.name: each.shape for each in own if each not in apart}
    axes = {glob.escape(each.name): each.axes for each in own if each.axes is not None}
    found = recipe(shapes, roles={**given, **sure}, axes=axes, rules=dict(read))
    return {name: rule for name in shapes if (rule := found.rules.get(glob.escape(name))) is not None}
