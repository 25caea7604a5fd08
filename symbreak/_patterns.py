"""Patterns of rules and roles: globs over names, and roles; the first that matches wins."""

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

ROLE = "@"  # a pattern that begins with it is a role, not a glob


def read_roles(roles: Mapping[str, str] | None) -> "Patterns":
    """Read globs to roles."""
    if roles is None:
        return Patterns(())
    if not isinstance(roles, Mapping):
        raise TypeError(f"`roles` maps globs to roles; got {type(roles).__name__}")
    for pattern, role in roles.items():
        if not isinstance(pattern, str) or not isinstance(role, str):
            raise TypeError(f"`roles` maps globs to roles, both strings; got {pattern!r}: {role!r}")
    return Patterns(roles)


class Patterns:
    """Globs in order, of which the first that matches wins; those that are plain names are looked up."""

    def __init__(self, patterns: "Mapping[str, Any] | Sequence[str]") -> None:
        self._order = {pattern: place for place, pattern in enumerate(patterns)}
        self._globs = [each for each in self._order if any(mark in each for mark in "*?[")]

    def first(self, name: str, role: str | None = None) -> str | None:
        """Give the first pattern that matches a name or its role."""
        found = [each for each in (name, f"{ROLE}{role}" if role else None) if each is not None and each in self._order]
        glob = next((each for each in self._globs if fnmatch.fnmatchcase(name, each)), None)
        return min([*found, *([] if glob is None else [glob])], key=self._order.__getitem__, default=None)
