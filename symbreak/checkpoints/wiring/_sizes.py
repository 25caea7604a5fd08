"""How many units each space has, from the shapes of the tensors that run over it.

The length of an axis is the product of its factors, and that of a cut the sum of its parts. So an axis tells the size
of a space as soon as it is the only one there that isn't known.
"""

from collections.abc import Mapping
from typing import NamedTuple, final

from symbreak._visible import quoted
from symbreak.checkpoints.wiring._terms import Axes, Cut, Factors, Term, flat_terms, options

LARGEST = 1 << 48  # units; the product of the sizes of an axis stays far below the size of a tensor


ONE = '; an axis of length 1 over which no space runs is called "one"'


class _Form(NamedTuple):
    """A length as a function of the one size u that isn't known, fixed + slope * u; without one, `space` is empty."""

    fixed: int
    slope: int = 0
    space: str = ""


class Unsolved(ValueError):  # noqa: N818 - says what the matter is
    """An axis whose length can't be made of its factors, or more than one of whose sizes are not known."""


@final
class Sizes:
    """Sizes of spaces, as far as they are known.

    Parameters
    ----------
    known
        Those that are declared.
    """

    def __init__(self, known: Mapping[str, int]) -> None:
        self.known = dict(known)
        self.origin: dict[str, str] = dict.fromkeys(known, "it was declared")

    def learn(self, name: str, shape: tuple[int, ...], axes: Axes) -> bool:
        """Take what the shape of one tensor says; return whether a size became known.

        Raises
        ------
        Unsolved
            The shape contradicts what is known.
        """
        if len(shape) != len(axes):
            hint = ONE if len(shape) > len(axes) and 1 in shape else ""
            raise Unsolved(f"its shape {shape} has {_count(len(shape))}, but {len(axes)} are said{hint}")
        news = False
        each_axis = enumerate(zip(shape, axes, strict=True))
        for number, length, factors in [(i, size, one) for i, (size, some) in each_axis for one in options(some)]:
            form = self._form(factors)
            if form is None:
                continue
            if not form.space:
                if form.fixed != length:
                    raise Unsolved(
                        f"axis {number} of its shape {shape} has {length}, {self._against(factors, form.fixed)}"
                        f"{ONE if length == 1 else ''}"
                    )
                continue
            rest = length - form.fixed
            if rest <= 0 or rest % form.slope:
                raise Unsolved(
                    f"axis {number} of its shape {shape} has {length}, which no whole number of "
                    f"{_shown(form.space)} fits: {form.fixed} + {form.slope} for each"
                )
            if not form.space.startswith("\0"):
                self.known[form.space] = rest // form.slope
                self.origin[form.space] = f"{quoted(name)} says so"
                news = True
        return news

    def length(self, factors: Factors, total: int | None = None) -> int:
        """Give the length of factors whose sizes are known; one position's may be free, and `total` gives it.

        Raises
        ------
        Unsolved
            A space's size isn't known.
        """
        form = self._form(options(factors)[0])
        if form is None or (form.space and not form.space.startswith("\0")):
            missing = [term.space for term in flat_terms(factors) if term.space and term.space not in self.known]
            raise Unsolved(f"the size of space {quoted(missing[0] if missing else '?')} isn't known; say its `units`")
        if form.space:
            if total is None:
                raise Unsolved("the number of positions isn't known; write it, as in 'gate 4'")
            return total
        return form.fixed

    def positions(self, factors: Factors, total: int) -> int:
        """Give the number of positions that is left free on an axis of length `total`."""
        form = self._form(options(factors)[0])
        if form is None or not form.space.startswith("\0"):
            return 1
        return (total - form.fixed) // form.slope

    def _against(self, factors: Factors, wanted: int) -> str:
        spaces = [term.space for term in flat_terms(factors) if term.space]
        why = f"; of {quoted(spaces[0])}, {self.origin.get(spaces[0], 'it was said')}" if spaces else ""
        return f"but what is said of it makes {wanted}{why}"

    def _form(self, factors: Factors) -> _Form | None:
        """Give the length of a product, or None where several sizes in it are not known."""
        found = _Form(1)
        for factor in factors:
            each = self._cut(factor) if isinstance(factor, Cut) else self._term(factor)
            if each is None or (each.space and found.space):
                return None
            found = _Form(
                found.fixed * each.fixed,
                found.fixed * each.slope or found.slope * each.fixed,
                each.space or found.space,
            )
            if found.fixed > LARGEST or found.slope > LARGEST:
                raise Unsolved("the sizes that are said of it multiply to more than any tensor has")
        return found

    def _term(self, term: Term) -> _Form:
        if term.space:
            size = self.known.get(term.space)
            return _Form(size) if size is not None else _Form(0, 1, term.space)
        return _Form(term.size) if term.size else _Form(0, 1, "\0" + term.role)

    def _cut(self, cut: Cut) -> _Form | None:
        fixed, slope, space = 0, 0, ""
        for _, factors in cut.parts:
            form = self._form(factors)
            if form is None or (form.space and space not in ("", form.space)):
                return None
            fixed, slope, space = fixed + form.fixed, slope + form.slope, space or form.space
        return _Form(fixed, slope, space)


def _shown(space: str) -> str:
    return f"{space[1:]} positions" if space.startswith("\0") else f"units of {quoted(space)}"


def _count(axes: int) -> str:
    return f"{axes} {'axis' if axes == 1 else 'axes'}"
