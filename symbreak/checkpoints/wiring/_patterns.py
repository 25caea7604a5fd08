"""Patterns of tensor names: ``{n}`` stands for a number, the same one wherever it is written; ``*`` for any text."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from symbreak._visible import quoted

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
LONGEST = 1000  # characters; a longer pattern is refused, and a longer name matches none


def check_pattern(pattern: str, where: str) -> None:
    """Raise a ValueError if a pattern has braces that hold no placeholder, or is too long."""
    if len(pattern) > LONGEST:
        raise ValueError(f"{where}: a pattern has at most {LONGEST} characters; one has {len(pattern):,}")
    if re.search(r"[{}]", PLACEHOLDER.sub("", pattern)):
        raise ValueError(
            f"{where}: {quoted(pattern)} has a brace that is no placeholder; a placeholder looks like {{n}}"
        )
    if pattern.count("*") > 2:
        raise ValueError(f"{where}: {quoted(pattern)} has more than two '*'")


def is_plain(name: str) -> bool:
    """Whether a name, taken as a pattern, matches itself alone."""
    return len(name) <= LONGEST and not re.search(r"[{}*]", name)


def placeholders(pattern: str) -> tuple[str, ...]:
    """Names of the placeholders of a pattern, each once."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(pattern)))


def match(pattern: str, name: str) -> dict[str, str] | None:
    """Give the numbers for which a pattern is the name, or None."""
    if len(name) > LONGEST:
        return None
    found = _compiled(pattern).fullmatch(name)
    return None if found is None else found.groupdict()


def fill(pattern: str, numbers: Mapping[str, str]) -> str:
    """Put numbers in the place of placeholders; those that are not given stay."""
    return PLACEHOLDER.sub(lambda found: numbers.get(found[1], found[0]), pattern)


def matches(pattern: str, names: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """List the names that a pattern matches, in their order, each with its numbers."""
    found = ((name, match(pattern, name)) for name in names)
    return [(name, numbers) for name, numbers in found if numbers is not None]


def form(name: str) -> str:
    """Give a name or a pattern with every number, and every placeholder, replaced by one sign."""
    return re.sub(r"[0-9]+", "#", PLACEHOLDER.sub("0", name))


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    text, seen = "", set[str]()
    for piece in re.split(r"(\{[a-z][a-z0-9_]*\}|\*)", pattern):
        if piece == "*":
            text += ".*"
        elif named := PLACEHOLDER.fullmatch(piece):
            text += f"(?P={named[1]})" if named[1] in seen else f"(?P<{named[1]}>[0-9]+)"
            seen.add(named[1])
        else:
            text += re.escape(piece)
    return re.compile(text, re.DOTALL)
