"""Files of shapes and of rules: TOML or JSON, read into what `plan` takes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from symbreak.axes import Axes
from symbreak.dtypes import as_float_dtype
from symbreak.initializers import get
from symbreak.reports import visible

if TYPE_CHECKING:
    from symbreak.rules import Plan, Rule

KEYS = ("rules", "roles", "recipe", "axes")
RULE_KEYS = ("initializer", "axes", "dtype", "why")


class Wanted(NamedTuple):
    """The shape and dtype of a parameter."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_table(path: str) -> dict[str, Any]:
    """Read a TOML file, by its suffix, or a JSON file.

    Raises
    ------
    ValueError
        If it is neither, or no table of keys.
    OSError
        If it can't be read.
    """
    text = Path(path).read_bytes()
    try:
        if Path(path).suffix == ".toml":
            import tomllib

            return tomllib.loads(text.decode("utf-8"))
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise ValueError(f"{visible(path)} is not UTF-8 at byte {error.start:,}") from None
    except RecursionError:
        raise ValueError(f"{visible(path)} is nested too deeply") from None
    except ValueError as error:
        kind = "TOML" if Path(path).suffix == ".toml" else "JSON"
        hint = "" if kind == "TOML" else " (TOML files end in .toml)"
        raise ValueError(f"{visible(path)} is not {kind}{hint}: {visible(error)}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{visible(path)} holds no JSON object, with names for keys")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {visible(key)!r} is there twice")
        found[key] = value
    return found


def read_shapes(table: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Read shapes, some with dtypes.

    Raises
    ------
    TypeError, ValueError
        For anything else, with its name.
    """
    found: dict[str, Any] = {}
    for name, given in table.items():
        shape: Any = given.get("shape") if isinstance(given, Mapping) else given
        extra = sorted(set(given) - {"shape", "dtype"}) if isinstance(given, Mapping) else []
        if not _is_shape(shape) or extra:
            raise ValueError(
                f"{visible(path)}: {visible(name)!r} is a list of sizes, such as [64, 32], or a table with 'shape' and "
                f"'dtype'; got {visible(given)}"
            )
        dtype = given.get("dtype") if isinstance(given, Mapping) else None
        try:
            found[name] = tuple(shape) if dtype is None else Wanted(tuple(shape), as_float_dtype(dtype))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{visible(path)}: {visible(name)!r}: {visible(error, 1000)}") from None
    return found


def _is_shape(shape: Any) -> bool:
    whole = isinstance(shape, list) and all(isinstance(size, int) and not isinstance(size, bool) for size in shape)
    return whole and all(0 <= size < 1 << 62 for size in shape)


@dataclass(frozen=True)
class RulesFile:
    """What a file of rules says."""

    rules: "Mapping[str, Rule]" = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    recipe: Any = None
    axes: Mapping[str, Any] = field(default_factory=dict)

    def with_recipe(self, name: str) -> "RulesFile":
        """Give the same with a recipe that was named beside it."""
        if self.recipe is not None:
            raise ValueError(f"the file of rules has a recipe, {self.recipe!r}, and --recipe names another")
        from symbreak import recipes

        return replace(self, recipe=recipes.get(name))

    def plan(self, shapes: Mapping[str, Any]) -> "Plan":
        """Make the plan."""
        from symbreak.rules import plan

        if self.recipe is None:
            return plan(shapes, self.rules, roles=self.roles or None)
        made: Plan = self.recipe(shapes, roles=self.roles, axes=self.axes, rules=self.rules).plan()
        return made


def read_rules(table: Mapping[str, Any], path: str) -> RulesFile:
    """Read rules, roles and a recipe.

    Raises
    ------
    TypeError, ValueError
        For what is none of them, with the key.
    """
    where = visible(path)
    unknown = sorted(set(table) - set(KEYS))
    if unknown or not table:
        got = f"; got {', '.join(map(repr, map(visible, unknown)))}" if unknown else ""
        raise ValueError(f"{where} has the keys {', '.join(map(repr, KEYS))}, one of them at least{got}")
    for key in ("rules", "roles", "axes"):
        if not isinstance(table.get(key, {}), Mapping):
            raise ValueError(f"{where}: {key!r} is a table with globs for keys; got {visible(table[key])}")
    try:
        rules = {glob: _read_rule(glob, given) for glob, given in table.get("rules", {}).items()}
        axes = {glob: _read_axes(given) for glob, given in table.get("axes", {}).items()}
        return RulesFile(rules, table.get("roles", {}), _read_recipe(table.get("recipe")), axes)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {visible(error, 1000)}") from None


def _read_rule(glob: str, given: Any) -> "Rule":
    try:
        return _as_rule(given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"the rule {visible(glob)!r}: {error}") from None


def _as_rule(given: Any) -> "Rule":
    from symbreak.rules import Rule

    if not isinstance(given, Mapping) or "initializer" not in given:
        return Rule(get(given))
    unknown = sorted(set(given) - set(RULE_KEYS))
    if unknown:
        raise ValueError(f"a rule has the keys {', '.join(map(repr, RULE_KEYS))}; got {unknown[0]!r}")
    axes = None if given.get("axes") is None else _read_axes(given["axes"])
    return Rule(get(given["initializer"]), axes, given.get("dtype"), given.get("why"))


def _read_axes(given: Any) -> Axes:
    if not isinstance(given, Mapping):
        return Axes(given)
    unknown = sorted(set(given) - {"layout", "groups", "grouped", "splits"})
    if unknown or "layout" not in given:
        raise ValueError(
            f"axes are a layout, or a table with 'layout' and 'groups', 'grouped', 'splits'; got {given!r}"
        )
    return Axes(**given)


def _read_recipe(given: Any) -> Any:
    if given is None:
        return None
    from symbreak import recipes

    if isinstance(given, Mapping) and isinstance(given.get("name"), str):
        return recipes.get(given["name"], **{key: value for key, value in given.items() if key != "name"})
    if isinstance(given, str):
        return recipes.get(given)
    raise ValueError(f"'recipe' is a name, or a table with its name and options; got {given!r}")
