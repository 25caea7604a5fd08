"""Weights that were drawn from one random stream, whatever their scales, shapes and dtypes (SB208).

Two such weights begin with the same draws, times a factor and plus a constant, or passed through a function that rises.
So whether each value is larger than the one before is the same in both; 24 such comparisons in a row are a fingerprint,
of which the first 1,024 values give 40. Weights that share one are candidates, and the correlation of their first
values decides.

What can be missed: rounding to few bits changes comparisons of neighbours that are nearly equal. Of the windows of
normal draws 0.3% change in float16, 1% in bfloat16, 15% to 30% in 8-bit floats, 8% in int8 and 83% in int4; one that
does not is enough, so of weights with 1,024 values all are found, and in int4 of those with 50 only a third. An
algorithm that draws otherwise for another dtype or shape is not found. A stream that is used again from a later place
on, a matrix that lies transposed, and values at the beginning that were overwritten are looked for in `_later`.

What can be found by mistake: two independent weights of 50 values, the fewest that are judged, correlate as asked for
with a probability below 1e-20.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from symbreak.findings import Finding
from symbreak.reports import visible

from ._identical import Classes
from ._later import Later, Place, find_later
from ._names import is_copy, is_embedding, may_share_table, template
from ._sketch import WINDOW, Sketch, Source, Values, first_floats

LEAST = 2 * WINDOW  # values that a weight must have
LEADERS = 8  # weights of one fingerprint with which the others are compared
LISTED = 5  # names in a message before it is cut short
SAME = 1e-6  # how far from one the correlation may be where nothing was rounded coarsely

# The largest relative error of rounding once, 2**-(bits of the mantissa + 1).
ROUNDING = {"float16": 2**-11, "bfloat16": 2**-8}
COARSE = 2**-3  # integers and the other types of one byte and less


def find_streams(source: Source, sketches: Mapping[str, Sketch]) -> list[list[str]]:
    """Group the weights that were drawn from one stream; each group and its names are in order."""
    drawn = [sketch for sketch in sketches.values() if sketch.drawn and sketch.count >= LEAST]
    parents = list(range(len(drawn)))

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    for group in _candidates(drawn):
        leaders: list[tuple[int, Values]] = []
        for item in group:
            if any(root(item) == root(leader) for leader, _ in leaders):
                continue
            try:
                values = first_floats(source, drawn[item].name)
            except source.errors:
                continue
            for leader, theirs in leaders:
                if _is_one(drawn[leader], theirs, drawn[item], values):
                    one, other = sorted((root(leader), root(item)))
                    parents[other] = one
                    break
            else:
                if len(leaders) < LEADERS:
                    leaders.append((item, values))
    groups: dict[int, list[str]] = {}
    for item, sketch in enumerate(drawn):
        groups.setdefault(root(item), []).append(sketch.name)
    return [names for names in groups.values() if len(names) > 1]


def judge_streams(source: Source, sketches: Mapping[str, Sketch], classes: Classes) -> list[Finding]:
    """Report weights of one stream, except where names say that it is meant."""
    alike: dict[object, list[list[str]]] = {}
    together: dict[str, int] = {}
    for number, names in enumerate(find_streams(source, sketches)):
        together |= dict.fromkeys(names, number)
        if _is_meant(names):
            continue
        names = [name for name in names if not is_copy(name)]
        if len(names) > 1:
            alike.setdefault((_are_equal(names, classes), *map(template, _stems(names))), []).append(names)
    findings = [_finding(source, groups, sketches, classes) for groups in alike.values()]
    further: dict[object, list[Later]] = {}
    for later in find_later(source, sketches, together):
        names = [later.one.name, later.other.name]
        if not _is_meant(names) and not any(map(is_copy, names)):
            further.setdefault(tuple(map(template, _stems(names))), []).append(later)
    return findings + [_further(each, sketches) for each in further.values()]


def _are_equal(names: list[str], classes: Classes) -> bool:
    """Whether weights are equal, value for value."""
    return len({classes.get(name, name) for name in names}) == 1


def _is_meant(names: list[str]) -> bool:
    """Whether weights are an embedding and what shares it: an output layer, or an embedding of another part."""
    return any(map(is_embedding, names)) and all(map(may_share_table, names))


def _candidates(drawn: list[Sketch]) -> Iterator[list[int]]:
    """Yield the numbers of weights that share a fingerprint."""
    if not drawn:
        return
    table = np.zeros((max(len(sketch.prints) for sketch in drawn), len(drawn)), np.int32)
    for item, sketch in enumerate(drawn):
        table[: len(sketch.prints), item] = sketch.prints
    for row in table:
        order = np.argsort(row, kind="stable")
        again = np.flatnonzero(row[order[1:]] == row[order[:-1]])  # each equals the one after it
        for group in np.split(again, np.flatnonzero(np.diff(again) > 1) + 1):
            if len(group) and row[order[group[0]]]:
                yield order[group[0] : group[-1] + 2].tolist()


def _is_one(one: Sketch, mine: Values, other: Sketch, yours: Values) -> bool:
    """Whether the first values of two weights agree up to a factor, a constant, a function and rounding."""
    return is_same(one, other, correlation(mine, yours))


def is_same(one: Sketch, other: Sketch, found: float) -> bool:
    """Whether a correlation is that of the same draws, in the types of two weights."""
    worst = max(_rounding(one.dtype), _rounding(other.dtype))
    return abs(found) > 1 - max(SAME, 4 * worst**2)


def correlation(one: Values, other: Values) -> float:
    """Give the correlation of the first values, as many as both have, or that of their ranks, whichever is larger.

    Ranks show that both came from one stream of uniform numbers, by functions of which each rises: JAX makes uniform,
    normal and truncated normal draws so.

    Examples
    --------
    >>> round(correlation(np.array([1.0, 2, 4, 7]), np.array([-1.0, -3, -7])), 6)
    -1.0
    """
    count = min(len(one), len(other))
    both = one[:count], other[:count]
    ranks = [np.argsort(np.argsort(values, kind="stable")).astype(np.float64) for values in both]
    return max(_pearson(*both), _pearson(*ranks), key=abs)


def _pearson(one: Values, other: Values) -> float:
    pair = [values - values.mean() for values in (one, other)]
    tops = [np.abs(each).max() for each in pair]
    if not all(tops):
        return 0.0
    x, y = (each / top for each, top in zip(pair, tops, strict=True))  # no square overflows or vanishes
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def _rounding(dtype: str) -> float:
    return 0.0 if dtype in ("float32", "float64", "longdouble") else ROUNDING.get(dtype, COARSE)


def _stems(names: list[str]) -> list[str]:
    """Take from names what all of them end in."""
    flipped = [name[::-1] for name in names]
    shortest, longest = min(flipped), max(flipped)
    same = next((place for place, char in enumerate(shortest) if char != longest[place]), len(shortest))
    return [name[: len(name) - same] for name in names]


def _finding(source: Source, groups: list[list[str]], sketches: Mapping[str, Sketch], classes: Classes) -> Finding:
    names, *others = groups
    listed = ", ".join(f"{visible(name)} {_shape(sketches[name])}" for name in names[:LISTED])
    rest = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
    if _are_equal(names, classes):
        what = f"{len(names)} weights are equal, value for value: {listed}{rest}"
    else:
        first = first_floats(source, names[0])
        least = min((abs(correlation(first, first_floats(source, name))), name) for name in names[1:])
        count = min(len(first), sketches[least[1]].count)
        what = (
            f"{len(names)} weights begin with the same draws, up to a factor or a function (the first {count:,} values "
            f"correlate to {least[0]:.6f}): {listed}{rest}"
        )
    also = f"; likewise {len(others)} more {'group' if len(others) == 1 else 'groups'} of weights" if others else ""
    return Finding.of("SB208", names[0], what + also)


def _shape(sketch: Sketch) -> str:
    return f"({', '.join(map(str, sketch.shape))})"


def _further(found: list[Later], sketches: Mapping[str, Sketch]) -> Finding:
    first, *others = found
    begins = [_begin(place, sketches[place.name]) for place in (first.one, first.other)]
    also = f"; likewise {len(others)} more {'pair' if len(others) == 1 else 'pairs'} of weights" if others else ""
    text = (
        f"2 weights hold the same draws, up to a factor or a function (of {first.count:,} values that correlate to "
        f"{first.correlation:.6f}): {begins[0]} and {begins[1]}{also}"
    )
    return Finding.of("SB208", first.one.name, text)


def _begin(place: Place, sketch: Sketch) -> str:
    columns = ", taken by columns" if place.turned else ""
    return f"{visible(place.name)} {_shape(sketch)} from value {place.begin:,} on{columns}"
