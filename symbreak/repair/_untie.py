r"""Splitting what the units of a class are read with: the same function, and no class left.

The outgoing weights of a class may be shared out among its units in any way that keeps their sum, since the units are
equal for every input. Shares that differ by unit give the units different gradients, so that training separates them.
They must differ after summing over the classes of what they are read by, too: else the sums of the partition stay as
they are, and so does the partition. Independent random shares do.
"""

from fractions import Fraction
from math import prod, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from symbreak.diagnosis._nodes import Side, View
from symbreak.diagnosis._partition import Indices
from symbreak.graph import LayerGraph
from symbreak.initializers import Normal
from symbreak.reports import visible
from symbreak.streams import Key, RngLike, as_key

from ._facts import Facts, members, tied
from ._replace import UNTIE, as_rows, check_discrete, fan_in, from_rows, with_arrays

Array = npt.NDArray[Any]


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
    """Give an array with shares along one side."""
    node = facts.system.nodes[side.node]
    heads = np.arange(node.size) // node.shape[-1]
    if node.parents and not facts.parents_summed(view, side):
        labels = labels * (int(heads.max()) + 1) + heads  # each head shares out among its own units
    rows = as_rows(array, side)
    support = facts.support(view)
    allowed = None if support is None else as_rows(support, side)
    groups = list(members(np.unique(labels, return_inverse=True)[1].reshape(-1)))
    if not groups:
        return array
    scale = 1 / sqrt(fan_in(view, facts))
    drawn = Normal()((sum(map(len, groups)), prod(rows.shape[1:])), rng=key, dtype="float64")
    result, begin = rows.copy(), 0
    for units in groups:
        shares = drawn[begin : begin + len(units)].reshape(len(units), *rows.shape[1:])
        begin += len(units)
        mask = None if allowed is None else allowed[units]
        result[units] = _with_shares(rows[units], shares, mask, size, scale)
    return from_rows(result, side, array)


def _with_shares(weights: Array, shares: Array, allowed: Array | None, size: float, scale: float) -> Array:
    """Add shares, (units, ...), that sum to zero over the units."""
    count = np.float64(len(weights)) if allowed is None else allowed.sum(axis=0, dtype=np.float64)
    if allowed is not None:
        shares = np.where(allowed, shares, 0.0)
    shares = shares - shares.sum(axis=0) / np.maximum(count, 1)
    shares *= np.sqrt(count / np.maximum(count - 1, 1))  # the mean is taken out: as wide as they were drawn
    if allowed is not None:
        shares = np.where(allowed & (count > 1), shares, 0.0)
    if weights.dtype == object:
        return _exactly(weights, shares, size, scale)
    wide = weights.astype(np.complex128 if weights.dtype.kind == "c" else np.float64)
    share = float(np.sqrt(np.mean(np.abs(wide if allowed is None else wide[allowed]) ** 2))) if wide.size else 0.0
    total = wide.sum(axis=0)
    result = (wide + shares * (size * share if share else scale)).astype(weights.dtype)
    open_ = np.ones(result.shape, np.bool_) if allowed is None else allowed & (count > 1)
    left = result.astype(wide.dtype)
    least = np.where(open_, np.abs(left), np.inf).argmin(axis=0)[np.newaxis]  # what has the finest spacing
    missing = (total - left.sum(axis=0))[np.newaxis]  # what rounding took from the sum
    fixed = (np.take_along_axis(left, least, 0) + missing).astype(result.dtype)
    keep = np.take_along_axis(open_, least, 0)
    np.put_along_axis(result, least, np.where(keep, fixed, np.take_along_axis(result, least, 0)), 0)
    return result


def _exactly(weights: Array, shares: Array, size: float, scale: float) -> Array:
    """Add shares to fractions; they sum to zero exactly."""
    share = sqrt(sum(float(value) ** 2 for value in weights.flat) / weights.size)
    exact = np.vectorize(lambda value: Fraction(float(value)).limit_denominator(1000), otypes=[object])
    part: Array = exact(shares * (size * share if share else scale))
    part[-1] -= part.sum(axis=0)
    return weights + part
