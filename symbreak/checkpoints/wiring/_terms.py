"""How one axis of a tensor is said: what its indices are, in words that a wiring file and the rules share.

An axis is a row of factors, first the slowest. A factor is a `Term`, such as ``out hidden``, or a `Cut` of the axis
into parts one after the other. So ``[head heads, out query_key]`` is an axis of heads times units, and a fused query,
key and value is a cut into three of those.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

from symbreak._visible import quoted, visible

SPACED = ("out", "in", "head", "stack")  # roles that run over a space
SIZED = ("gate", "receptive")  # roles whose indices are positions; a number may say how many
ONE = "one"  # an axis of length 1, which is left out


class Term(NamedTuple):
    """One factor of an axis: a role, and the space or the number of positions that it runs over."""

    role: str
    space: str = ""
    size: int = 0  # of a gate or a receptive field; 0 where the shape says it

    def __str__(self) -> str:
        size = str(self.size) if self.size and self.role != ONE else ""
        return " ".join(word for word in (self.role, self.space, size) if word)


@final
@dataclass(frozen=True)
class Cut:
    """Parts of an axis, one after the other, by name.

    Parameters
    ----------
    parts
        Name and factors of each.
    whole
        Whether each part has the whole axis instead: where another axis is cut, this one runs over a space of its own
        for each of those parts.
    """

    parts: tuple[tuple[str, "Factors"], ...]
    whole: bool = False


Factors = tuple[Term | Cut, ...]
Axes = tuple[Factors, ...]


def flat_terms(factors: Factors) -> list[Term]:
    """Give the terms of an axis in order, those of the parts of a cut too."""
    found: list[Term] = []
    for factor in factors:
        if isinstance(factor, Term):
            found.append(factor)
        else:
            found += [term for _, inner in factor.parts for term in flat_terms(inner)]
    return found


def parse_axes(axes: object, where: str) -> Axes:
    """Read the axes of a tensor as a wiring file says them, and the rules do.

    Raises
    ------
    ValueError
        What is wrong, and what is expected; `where` says of which tensor.
    """
    if not isinstance(axes, list | tuple):
        raise ValueError(f"{where}: the axes are a list with one entry an axis, not {visible(axes)}")
    found = tuple(_factors(axis, where) for axis in axes)
    cuts = [factor for factors in found for factor in factors if isinstance(factor, Cut)]
    names = [[name for name, _ in cut.parts] for cut in cuts if not cut.whole]
    if len(names) > 1:
        raise ValueError(f"{where}: only one axis can be cut into parts")
    for cut in cuts:
        if cut.whole and [name for name, _ in cut.parts] not in names:
            raise ValueError(f"{where}: a table under 'by' has the parts, in order, into which another axis is cut")
    if any(isinstance(factor, Cut) and factor.whole and len(factors) > 1 for factors in found for factor in factors):
        raise ValueError(f"{where}: a table under 'by' stands for a whole axis, not for a factor of one")
    return found


def format_axes(axes: Axes) -> list[object]:
    """Undo `parse_axes`."""
    return [_plain(factors) for factors in axes]


def options(factors: Factors) -> list[Factors]:
    """Give what each part has for a whole axis; the axis itself where that is the same for all."""
    if len(factors) == 1 and isinstance(factors[0], Cut) and factors[0].whole:
        return [inner for _, inner in factors[0].parts]
    return [factors]


def terms(axes: Axes, part: str = "") -> Iterator[Term]:
    """Yield the terms of the axes, those of one part where an axis is cut and `part` names it."""
    for factors in axes:
        for factor in factors:
            if isinstance(factor, Term):
                yield factor
            else:
                for name, inner in factor.parts:
                    if part in ("", name):
                        yield from terms((inner,))


def parts(axes: Axes) -> tuple[str, ...]:
    """Names of the parts into which an axis is cut; one empty name where none is."""
    for factors in axes:
        for factor in factors:
            if isinstance(factor, Cut):
                return tuple(name for name, _ in factor.parts)
    return ("",)


def _factors(axis: object, where: str) -> Factors:
    if isinstance(axis, str | Mapping):
        return (_factor(axis, where),)
    if isinstance(axis, list | tuple) and axis:
        return tuple(_factor(each, where) for each in axis)
    raise ValueError(
        f"{where}: an axis is a text like 'out hidden', a list of them for an axis that is a product, or a table of "
        f"parts, not {visible(axis)}"
    )


def _factor(factor: object, where: str) -> Term | Cut:
    if isinstance(factor, str):
        return _term(factor, where)
    if isinstance(factor, Mapping) and factor:
        whole = list(factor) == ["by"] and isinstance(factor["by"], Mapping)
        found: list[tuple[str, Factors]] = []
        for name, inner in (factor["by"] if whole else factor).items():
            factors = _factors(inner, f"{where}, part {quoted(name)}")
            if any(isinstance(each, Cut) for each in factors):
                raise ValueError(f"{where}, part {quoted(name)}: a part can't be cut again")
            found.append((str(name), factors))
        return Cut(tuple(found), whole)
    raise ValueError(
        f"{where}: a factor of an axis is a text like 'out hidden', or a table of parts, not {visible(factor)}"
    )


def _term(text: str, where: str) -> Term:
    role, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if role in SPACED:
        if not rest:
            raise ValueError(f"{where}: {quoted(text)} names no space; write {quoted(role + ' hidden')}")
        return Term(role, rest)
    if role in SIZED:
        if rest and not re.fullmatch(r"[1-9][0-9]{0,8}", rest):
            raise ValueError(f"{where}: {quoted(text)} is followed by a number of positions or by nothing")
        return Term(role, size=int(rest or 0))
    if role == ONE and not rest:
        return Term(role, size=1)
    known = ", ".join((*SPACED, *SIZED, ONE))
    raise ValueError(f"{where}: {quoted(text)} has no role that is known; an axis begins with one of {known}")


def _plain(factors: Sequence[Term | Cut]) -> object:
    found: list[object] = []
    for factor in factors:
        if isinstance(factor, Term):
            found.append(str(factor))
        else:
            table = {name: _plain(inner) for name, inner in factor.parts}
            found.append({"by": table} if factor.whole else table)
    return found[0] if len(found) == 1 else found
