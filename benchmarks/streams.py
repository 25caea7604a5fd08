"""Looking for streams that begin further on: against the diagnosis that it is a part of, and reading the weights."""

from collections.abc import Iterator

import symbreak as sb
from symbreak.diagnosis import in_memory
from symbreak.diagnosis._later import find_later
from symbreak.diagnosis._sketch import sketches

from ._measure import Row

SIZES = {(16, 2048): 0.3, (256, 256): 0.6}  # weights, units: the largest share of the diagnosis


def rows() -> Iterator[Row]:
    """Yield the rows of a few large weights and of many small ones, without any shared draws."""
    for (count, units), share in SIZES.items():
        weights = {f"w{number}": sb.HeNormal()((units, units), sb.Key(0)[f"w{number}"]) for number in range(count)}
        source = in_memory(weights)
        drawn = sketches(source)
        ours = lambda source=source, drawn=drawn: find_later(source, drawn, {})  # noqa: E731
        name = f"streams further on, {count} weights of {units} x {units}"
        yield Row(name, "all of diagnose", ours, lambda w=weights: sb.diagnose(w), share, at_most=True, rounds=5)
        yield Row(name, "X.sum() of each", ours, lambda w=weights: sum(x.sum() for x in w.values()), rounds=5)
