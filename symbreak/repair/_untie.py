r"""Splitting what the units of a class are read with: the same function, and no class left.

The outgoing weights of a class may be shared out among its units in any way that keeps their sum, since the units are
equal for every input. Shares that differ by unit give the units different gradients, so that training separates them.
They must differ after summing over the classes of what they are read by, too: else the sums of the partition stay as
they are, and so does the partition. Independent random shares do.
"""

from fractions import Fraction
from math import prod, sqrt
from typing import Any, final

import numpy as np
import numpy.typing as npt

from symbreak.diagnosis._nodes import Side, View
from symbreak.diagnosis._partition import Indices
from symbreak.graph import LayerGraph
from symbreak.initializers import Normal
from symbreak.reports import visible
from symbreak.streams import Key, RngLike, as_key

from ._facts import Facts, members, tied
from ._replace import UNTIE, check_discrete, fan_in, with_arrays

Array = npt.NDArray[Any]

BLOCK = 1 << 17  # elements that are shared out at a time


def untie(graph: LayerGraph, rng: RngLike = None, *, size: float = 0.5) -> LayerGraph:
    """Share out the outgoing weights of tied units, so that none are tied and the outputs stay the same.

    Parameters
    ----------
    graph
        The network; it is not changed.
    rng
        Anything that `symbreak.Key` can be made from. The shares of an array follow from the key, the array's name and
        its classes alone. None draws other shares at every call.
    size
        The root mean square of a class's shares, as a multiple of that of its outgoing weights. Where these are zero,
        the shares have the size that the fan of the array calls for.

    Returns
    -------
    LayerGraph
        With the same spaces and arrays, but for the weights that read from tied units. Biases, incoming weights, and
        all that belongs to units that are not tied, are those of `graph`, bit for bit.

    Raises
    ------
    CannotRepair
        Where a class would be left, with the reason: an array that is shared between spaces in such a way that it both
        writes and reads the units; norms of queries and keys; units that nothing reads, or that nothing with a
        fraction reads; stacked copies whose outputs are not combined by a router.
    ValueError
        A graph that can't be read as a network, values that are not finite, or a `size` that is not positive.

    See Also
    --------
    merge : A smaller network with the same function.
    reinit : Draw them again, at the price of the function.
    diagnose : Find the ties.

    Notes
    -----
    The shares of a class add up to zero, in each kernel position and gate and for each unit that reads, to within a
    rounding of the smallest weight: the outputs change by rounding. Query and key units have nothing that reads them;
    their shares are in the queries, whose sum over equal keys is what counts.

    The units separate in training unless they are blocked (SB203) or the loss is stationary where they are.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> graph = sb.chain([(np.full((3, 2), 0.5), np.zeros(3)), (np.full((1, 3), 0.25), None)])
    >>> free = sb.untie(graph, rng=0)
    >>> free.weights["layers.1.weight"].round(3), float(free.weights["layers.1.weight"].sum())
    (array([[-0.002,  0.537,  0.215]]), 0.75)
    >>> sb.diagnose(free).partition["layers.0"]
    array([0, 1, 2])
    """
    if not (isinstance(size, int | float) and 0 < size < float("inf")):
        raise ValueError(f"the size of the shares is a positive number, a multiple of the weights; got {size!r}")
    facts, key = Facts.of(graph), as_key(rng)["untie"]
    labels = facts.classes()
    why: dict[int, str] = {}
    changed: dict[str, Array] = {}
    for view in facts.system.views:
        for side in view.sides:
            if tied(labels[side.node]).any() and _shares_out(facts, view, side, why):
                before = changed.get(view.name, view.array)
                changed[view.name] = _shared_out(facts, view, side, before, labels[side.node], key[view.name], size)
    changed = {view.name: facts.stored(view, changed[view.name]) for view in facts.system.views if view.name in changed}
    return check_discrete(with_arrays(graph, changed), UNTIE, why, facts)


def _shares_out(facts: Facts, view: View, side: Side, why: dict[int, str]) -> bool:
    """Whether shares may be put into an array along a side; the reason where one might have thought so."""
    query = facts.is_query(view, side.node) and facts.kinds[view.name] == "weight"
    if not (side.read or query):
        return False
    reason = None
    if facts.is_shared(side):
        reason = f"{visible(view.name)!r} is shared between spaces: it both writes and reads these units"
    elif query and (norm := facts.norm_of_product(side.node)) is not None:
        reason = f"queries or keys pass through a norm, {visible(norm)!r}"
    elif not facts.free(view):
        if not query and view.array.dtype.kind in "iub":
            reason = f"{visible(view.name)!r}, {view.array.dtype}, holds no fractions"
    else:
        return True
    if reason is not None:
        why.setdefault(side.node, reason)
    return False


def _shared_out(facts: Facts, view: View, side: Side, array: Array, labels: Indices, key: Key, size: float) -> Array:
    """Give an array with shares along one side; beyond the result, memory is needed for a block of it."""
    node = facts.system.nodes[side.node]
    heads = np.arange(node.size) // node.shape[-1]
    if node.parents and not facts.parents_summed(view, side):
        labels = labels * (int(heads.max()) + 1) + heads  # each head shares out among its own units
    groups = list(members(np.unique(labels, return_inverse=True)[1].reshape(-1)))
    if not groups:
        return array
    support = facts.support(view)
    result = np.array(array, order="C")
    rows = _Rows(result, side)
    open_ = None if support is None else _Rows(support, side)
    scale = 1 / sqrt(fan_in(view, facts))
    shape = (rows.features * sum(map(len, groups)),)
    narrow = result.dtype.kind not in "cO" and result.dtype.itemsize <= 4
    begin = 0
    for units in groups:
        step = rows.size if result.dtype == object else max(1, BLOCK // (len(units) * rows.within))
        cuts = [slice(low, min(low + step, rows.size)) for low in range(0, rows.size, step)]
        root = 0.0 if result.dtype == object else _root_mean_square(rows, open_, units, cuts)
        for cut in cuts:
            weights = rows.get(units, cut)
            drawn = slice(begin, begin + weights.size)
            begin += weights.size
            dtype = "float32" if narrow else "float64"
            shares = Normal().region(shape, drawn, rng=key, dtype=dtype).reshape(weights.shape)
            if result.dtype == object:
                rows.put(units, cut, _exactly(weights, _sum_to_zero(shares, None), size, scale))
            else:
                allowed = None if open_ is None else open_.get(units, cut)
                rows.put(units, cut, _with_shares(weights, shares, allowed, size * root if root else scale))
    return result


@final
class _Rows:
    """Slices of an array along one side, by units, and of these some: the longest of the other axes is cut.

    Parameters
    ----------
    array
        The array; what is put goes there.
    side
        The side that the units lie along.
    """

    def __init__(self, array: Array, side: Side) -> None:
        self.over = len(side.axes)
        moved = np.moveaxis(array, side.axes, range(self.over))
        rest = moved.shape[self.over :]
        self.view = np.moveaxis(moved, self.over + int(np.argmax(rest)), self.over)
        self.size = self.view.shape[self.over]
        self.features = prod(rest)
        self.within = self.features // max(1, self.size)

    def _index(self, units: Indices, cut: slice) -> tuple[Any, ...]:
        if self.over == 1 and int(units[-1]) - int(units[0]) == len(units) - 1:
            return slice(int(units[0]), int(units[-1]) + 1), cut
        return (*np.unravel_index(units, self.view.shape[: self.over]), cut)

    def get(self, units: Indices, cut: slice) -> Array:
        """Give (cut, ..., units)."""
        return np.moveaxis(self.view[self._index(units, cut)], 0, -1)

    def put(self, units: Indices, cut: slice, values: Array) -> None:
        """Write what `get` gives."""
        self.view[self._index(units, cut)] = np.moveaxis(values, -1, 0)


def _root_mean_square(rows: _Rows, open_: _Rows | None, units: Indices, cuts: list[slice]) -> float:
    """Give that of the weights of some units, where they are open."""
    total, count = 0.0, 0
    for cut in cuts:
        wide = _widened(rows.get(units, cut))
        if open_ is not None:
            wide = wide[open_.get(units, cut)]
        total += float(np.square(np.abs(wide), dtype=np.float64).sum())
        count += wide.size
    return sqrt(total / count) if count else 0.0


def _widened(weights: Array) -> Array:
    kind, size = weights.dtype.kind, weights.dtype.itemsize
    return weights.astype(np.complex128 if kind == "c" else np.float32 if size <= 4 else np.float64, copy=False)


def _sum_to_zero(shares: Array, allowed: Array | None, scale: float = 1.0) -> Array:
    """Take the mean of shares, (..., units), from them, and make them as wide as they were drawn, times a scale."""
    kind = shares.dtype.type
    count = np.float64(shares.shape[-1]) if allowed is None else allowed.sum(axis=-1, dtype=np.float64)[..., np.newaxis]
    if allowed is not None:
        shares = np.where(allowed, shares, kind(0))
    shares -= (shares.sum(axis=-1, keepdims=True, dtype=np.float64) / np.maximum(count, 1)).astype(kind)
    shares *= (scale * np.sqrt(count / np.maximum(count - 1, 1))).astype(kind)
    return shares if allowed is None else np.where(allowed & (count > 1), shares, kind(0))


def _with_shares(weights: Array, shares: Array, allowed: Array | None, scale: float) -> Array:
    """Add shares, (..., units), that sum to zero over the units, to weights that lie alike."""
    wide = _widened(weights)
    double = np.complex128 if wide.dtype.kind == "c" else np.float64
    result = (wide + _sum_to_zero(shares, allowed, scale)).astype(weights.dtype, copy=False)
    left = result.astype(wide.dtype, copy=False)
    missing = wide.sum(axis=-1, dtype=double) - left.sum(axis=-1, dtype=double)  # what rounding took from the sum
    size = np.abs(left)
    if allowed is not None:
        open_ = allowed & (allowed.sum(axis=-1, keepdims=True) > 1)
        size[~open_] = np.inf
    least = size.argmin(axis=-1)[..., np.newaxis]  # what has the finest spacing
    before = np.take_along_axis(left, least, -1)
    fixed = (before.astype(double) + missing[..., np.newaxis]).astype(result.dtype)
    if allowed is not None:
        fixed = np.where(np.take_along_axis(open_, least, -1), fixed, before.astype(result.dtype))
    np.put_along_axis(result, least, fixed, -1)
    return result


def _exactly(weights: Array, shares: Array, size: float, scale: float) -> Array:
    """Add shares to fractions; they sum to zero exactly."""
    share = sqrt(sum(float(value) ** 2 for value in weights.flat) / weights.size)
    exact = np.vectorize(lambda value: Fraction(float(value)).limit_denominator(1000), otypes=[object])
    part: Array = exact(shares * (size * share if share else scale))
    part[..., -1] -= part.sum(axis=-1)
    return np.asarray(weights + part)
