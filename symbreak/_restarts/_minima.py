"""How many distinct minima the starts came to, up to the symmetries that change no output.

Hidden units may be permuted [1, 2]. Under an odd activation a unit's incoming and outgoing weights may both change sign
[1, 2]; under one with f(cx) = c f(x), such as relu, the incoming ones may grow by a positive factor and the outgoing
ones shrink by it [3]; under the identity all weights with one product are one map.

[1] Sussmann. "Uniqueness of the weights for minimal feedforward nets with a given input-output map". Neural Networks 5,
1992. [2] Chen, Lu, Hecht-Nielsen. "On the geometry of feedforward neural network error surfaces". Neural Computation 5,
1993. [3] Phuong, Lampert. "Functional vs. parametric equivalence of ReLU networks". ICLR 2020.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np

from symbreak._table import html_table, table
from symbreak.engine._activations import ACTIVATIONS

Array = np.ndarray[Any, np.dtype[Any]]
Layers = list[Array]  # each (units, in + 1) with the bias last, float64

SHOWN = 10  # minima in the table
TITLES = ("minimum", "loss", "starts", "effective units", "best start")
PROBE = np.linspace(-3, 3, 13)
SAME = 1e-12  # of the probe's values, which are of size 1


@final
@dataclass(frozen=True, eq=False, repr=False)
class Minima:
    """The distinct minima among the starts; ``len(minima)`` is how many there are.

    Attributes
    ----------
    labels
        (starts,), int64: which minimum each start came to, from 0, that of the lowest loss; -1 where it was left out.
    starts
        (minima,): the start with the lowest loss of each.
    counts
        (minima,): how many starts came to each.
    losses
        (minima,): the loss of each one's best start.
    effective_units
        (minima,): how many hidden units its best start really has. Units count once where their incoming weights and
        biases are equal, up to sign under an odd activation and up to a positive factor under relu, and not at all
        where they read nothing or nothing reads them; all within the tolerance.
    tolerance
        The relative distance within which two starts are one.
    """

    labels: Array
    starts: Array
    counts: Array
    losses: Array
    effective_units: Array
    tolerance: float

    def __len__(self) -> int:
        return len(self.starts)

    def __repr__(self) -> str:
        return f"Minima({len(self)} distinct among {np.count_nonzero(self.labels >= 0)} starts)"

    def __str__(self) -> str:
        more = f"\n{self._more}" if self._more else ""
        return f"{self._head}\n{table(TITLES, self._rows, right=range(len(TITLES)))}{more}"

    def _repr_html_(self) -> str:
        return html_table(self._head, TITLES, self._rows, self._more)

    @property
    def _head(self) -> str:
        among = f"among {np.count_nonzero(self.labels >= 0)} starts"
        return f"{len(self)} distinct minima {among}, tolerance {self.tolerance:g}"

    @property
    def _rows(self) -> list[tuple[str, ...]]:
        columns = zip(self.losses[:SHOWN], self.counts, self.effective_units, self.starts, strict=False)
        return [(str(n), f"{loss:.6g}", *map(str, counts)) for n, (loss, *counts) in enumerate(columns)]

    @property
    def _more(self) -> str:
        return f"... and {len(self) - SHOWN} more" if len(self) > SHOWN else ""


def find_minima(
    parameters: Mapping[str, Array], losses: Array, activation: str, tolerance: float, threshold: float
) -> Minima:
    """Sort the starts into minima; `Restarts.minima` says how."""
    taken = np.flatnonzero(np.isfinite(losses) & (losses <= threshold))
    taken = taken[np.argsort(losses[taken], kind="stable")]
    function = ACTIVATIONS[activation].forward
    odd = bool(np.abs(function(-PROBE) + function(PROBE)).max() < SAME)
    labels = np.full(len(losses), -1)
    found: list[tuple[int, Layers]] = []
    marks: list[tuple[Array, Array]] = []
    for start in map(int, taken):
        layers = _canonical(_layers(parameters, start), function)
        mark = _marks(layers)
        for label, (_, other) in enumerate(found):
            reach = tolerance * max(_length(layers), _length(other))
            near = all(np.linalg.norm(one - two) <= reach for one, two in zip(mark, marks[label], strict=True))
            if near and distance(layers, other, odd=odd) <= reach:
                labels[start] = label
                break
        else:
            labels[start] = len(found)
            found.append((start, layers))
            marks.append(mark)
    starts = np.array([start for start, _ in found], dtype=np.int64)
    counts = np.bincount(labels[labels >= 0], minlength=len(found))
    homogeneous = bool(np.abs(function(2 * PROBE) - 2 * function(PROBE)).max() < SAME)
    units = [
        effective_units(_layers(parameters, start), odd=odd, homogeneous=homogeneous, tolerance=tolerance)
        for start, _ in found
    ]
    return Minima(labels, starts, counts, losses[starts], np.array(units, dtype=np.int64), tolerance)


def _layers(parameters: Mapping[str, Array], start: int) -> Layers:
    names = [name.removesuffix(".weight") for name in parameters if name.endswith(".weight")]
    layers = []
    for name in names:
        weight = parameters[f"{name}.weight"][start].astype(np.float64)
        bias = parameters.get(f"{name}.bias")
        offset = np.zeros(len(weight)) if bias is None else bias[start]
        layers.append(np.column_stack([weight, offset]))
    return layers


def _canonical(layers: Layers, function: Any) -> Layers:
    """Remove the symmetries that are no matter of matching: the scales of units, and the factors of a linear map."""
    if np.abs(function(PROBE) - PROBE).max() < SAME:
        return [_end_to_end(layers)]
    if np.abs(function(2 * PROBE) - 2 * function(PROBE)).max() < SAME:
        return _unit_lengths(layers)
    return layers


def _end_to_end(layers: Layers) -> Array:
    """Multiply out: the affine map from inputs to outputs, (out, in + 1)."""
    total = layers[0]
    for layer in layers[1:]:
        total = layer[:, :-1] @ total
        total[:, -1] += layer[:, -1]
    return total


def _unit_lengths(layers: Layers) -> Layers:
    """Give each hidden unit's incoming weights and bias the length 1, the first layer's first, and pass the rest on."""
    layers = [layer.copy() for layer in layers]
    for layer, above in pairwise(layers):
        lengths = np.linalg.norm(layer, axis=1)
        layer /= np.where(lengths > 0, lengths, 1)[:, np.newaxis]
        above[:, :-1] *= lengths
    return layers


def effective_units(layers: Layers, *, odd: bool, homogeneous: bool, tolerance: float) -> int:
    """Count the hidden units that differ and matter; `Minima` says how."""
    layers = _unit_lengths(layers) if homogeneous else layers
    count = 0
    for layer, above in pairwise(layers):
        reads, read = np.linalg.norm(layer[:, :-1], axis=1), np.linalg.norm(above[:, :-1], axis=0)
        seen: list[Array] = []
        for unit in layer[(reads > tolerance * reads.max()) & (read > tolerance * read.max())]:
            mirrored = (unit, -unit) if odd else (unit,)
            reach = tolerance * float(np.linalg.norm(unit))
            if all(np.linalg.norm(one - other) > reach for one in mirrored for other in seen):
                seen.append(unit)
        count += len(seen)
    return count


def _marks(layers: Layers) -> tuple[Array, Array]:
    """Compute two vectors that move no further than the weights do, and not at all under permutations and signs.

    They are the lengths of each hidden unit's incoming and of its outgoing weights, sorted. Where they are further
    apart than two starts may be, nothing needs to be matched.
    """
    hidden, last = layers[:-1], layers[-1]
    incoming = [np.sort(np.linalg.norm(layer, axis=1)) for layer in hidden]
    outgoing = [np.sort(np.linalg.norm(layer[:, :-1], axis=0)) for layer in layers[1:]]
    return np.concatenate([*incoming, last[:, -1]]), np.concatenate([*outgoing, last[:, -1]])


def _length(layers: Layers) -> float:
    return math.sqrt(sum(float((layer * layer).sum()) for layer in layers))


def distance(a: Layers, b: Layers, *, odd: bool) -> float:
    """Measure how far b is from a once its units are matched to a's.

    One hidden layer is matched as a linear assignment on incoming and outgoing weights, which is exact. Deeper ones are
    matched from the first up, by their incoming weights and the sizes of the outgoing ones, and then layer by layer by
    both, for as long as it helps (Ainsworth, Hayase, Srinivasa. "Git Re-Basin". ICLR 2023, section 3.2): a better match
    may be missed.
    """
    b = [layer.copy() for layer in b]
    hidden = range(len(a) - 1)
    if len(hidden) > 1:
        for number in hidden:
            above = [_profile(layers[number + 1], odd=odd) for layers in (a, b)]
            _match(b, number, a[number] @ b[number].T, above[0] @ above[1].T, odd=odd)
    best = _apart(a, b)
    while len(hidden):
        for number in hidden:
            incoming = a[number] @ b[number].T
            outgoing = a[number + 1][:, :-1].T @ b[number + 1][:, :-1]
            _match(b, number, incoming + outgoing, np.zeros_like(incoming), odd=odd)
        reached = _apart(a, b)
        if not reached < best or len(hidden) == 1:
            return min(reached, best)
        best = reached
    return best


def _profile(above: Array, *, odd: bool) -> Array:
    """Sort each unit's outgoing weights, (units, out), so that the order and signs of the units above don't matter."""
    outgoing = above[:, :-1].T
    return np.sort(np.abs(outgoing) if odd else outgoing, axis=1)


def _match(b: Layers, number: int, products: Array, more: Array, *, odd: bool) -> None:
    """Permute hidden layer `number` of b in place, with signs, for the largest sum of inner products with a's units.

    Lengths don't change, so the largest sum is the least sum of squared distances. The signs are those that make
    `products` positive; `more` is added whatever the sign.
    """
    from scipy.optimize import linear_sum_assignment

    _, order = linear_sum_assignment((np.abs(products) if odd else products) + more, maximize=True)
    chosen = products[np.arange(len(order)), order]
    signs = np.where(chosen < 0, -1.0, 1.0) if odd else np.ones(len(order))
    b[number] = b[number][order] * signs[:, np.newaxis]
    b[number + 1][:, :-1] = b[number + 1][:, :-1][:, order] * signs


def _apart(a: Layers, b: Layers) -> float:
    return _length([one - other for one, other in zip(a, b, strict=True)])
