"""Drawing only the tied units again: what they read with, at the scale that the fan calls for."""

from collections.abc import Mapping
from math import prod, sqrt
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from symbreak.axes import Axes, AxesLike
from symbreak.diagnosis import find_ties
from symbreak.diagnosis._nodes import View
from symbreak.errors import UnknownName
from symbreak.graph import LayerGraph
from symbreak.initializers import Normal, gain
from symbreak.reports import visible
from symbreak.streams import Key, RngLike, as_key

from ._facts import Facts, tied
from ._replace import DRAW, as_rows, check_discrete, fan_in, from_rows, with_arrays

Array = npt.NDArray[Any]


@overload
def reinit(weights: LayerGraph, rng: RngLike = None, *, axes: None = None) -> LayerGraph: ...
@overload
def reinit(weights: Array, rng: RngLike = None, *, axes: AxesLike = None) -> Array: ...
@overload
def reinit(
    weights: Mapping[str, Array], rng: RngLike = None, *, axes: Mapping[str, AxesLike] | None = None
) -> dict[str, Array]: ...
def reinit(
    weights: LayerGraph | Array | Mapping[str, Array],
    rng: RngLike = None,
    *,
    axes: Axes | str | Mapping[str, AxesLike] | None = None,
) -> LayerGraph | Array | dict[str, Array]:
    r"""Draw the tied units afresh, and leave everything else bit for bit as it is.

    Parameters
    ----------
    weights
        A network, whose classes of tied units are drawn again; or one weight, or weights by name, in which units with
        equal incoming weights are.
    rng
        Anything that `symbreak.Key` can be made from. The numbers of a named weight follow from the key and the name.
        None draws others at every call.
    axes
        For one weight its layout; for named ones a mapping from names to layouts, by default those of PyTorch.

    Returns
    -------
    LayerGraph, numpy.ndarray or dict
        Of the same kind. Arrays without tied units are the same objects.

    Raises
    ------
    CannotRepair
        A network in which a class would be left: no weight of a floating type writes to its units.
    TypeError
        Something else.
    ValueError
        A graph that can't be read as a network, values that are not finite, or a layout that does not fit.

    See Also
    --------
    untie : Keep the function.
    merge : Keep the function in a smaller network.
    diagnose : Find the ties.

    Notes
    -----
    The new weights are normal with mean 0 and variance :math:`g^2 / \text{fan}_\text{in}`, where g is the gain of the
    activation of the units, 1 for one that is not known. Biases stay, and so does a weight that is zero everywhere
    where another one writes to the same units: the end of a residual branch is at zero on purpose. The function
    changes; `untie` keeps it.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> weight = sb.HeNormal()((6, 4), rng=0)
    >>> weight[4] = weight[1]
    >>> fresh = sb.reinit(weight, rng=sb.Key(1)["fc1.weight"])
    >>> np.flatnonzero((fresh != weight).any(axis=1))
    array([1, 4])
    """
    if isinstance(weights, LayerGraph):
        if axes is not None:
            raise TypeError("`axes` is not for a network: a LayerGraph says how its arrays lie")
        return _network(weights, as_key(rng)["reinit"])
    if isinstance(weights, Mapping):
        if axes is not None and not isinstance(axes, Mapping):
            raise TypeError(f"for named weights `axes` maps names to layouts; got {axes!r}")
        layouts = dict(axes or {})
        if strangers := [name for name in layouts if name not in weights]:
            raise ValueError(f"`axes` names {strangers[0]!r}, which is not among the weights")
        key = as_key(rng)["reinit"]
        return {name: _one(array, key[name], layouts.get(name), name) for name, array in weights.items()}
    if isinstance(axes, Mapping):
        raise TypeError(f"for one weight `axes` is one layout, such as 'io'; got a mapping of {len(axes)}")
    return _one(weights, as_key(rng)["reinit"], axes, None)


def _one(array: object, key: Key, axes: AxesLike, name: str | None) -> Array:
    """Draw the units of one weight again that have equal incoming weights."""
    if not isinstance(array, np.ndarray):
        what = "a weight" if name is None else f"{name!r}"
        raise TypeError(f"{what} must be a LayerGraph, a NumPy array or arrays by name, not a {type(array).__name__}")
    if array.dtype.kind not in "fcV" or (name is not None and axes is None and not 2 <= array.ndim <= 5):
        return array
    layout = Axes.of(axes, array.shape)
    matrices = layout.matrices(array)  # (copies, units, incoming)
    groups = [tied(find_ties(each).labels) for each in matrices]
    if not any(group.any() for group in groups):
        return array
    result = matrices.copy()
    fresh = Normal()((int(sum(group.sum() for group in groups)), matrices.shape[2]), rng=key, dtype="float64")
    begin = 0
    for each, group in zip(result, groups, strict=True):
        end = begin + int(group.sum())
        each[group] = (fresh[begin:end] / sqrt(max(1, matrices.shape[2]))).astype(array.dtype)
        begin = end
    return np.ascontiguousarray(layout.from_matrices(result, array.shape))


def _network(graph: LayerGraph, key: Key) -> LayerGraph:
    facts = Facts.of(graph)
    labels = facts.classes()
    changed: dict[str, Array] = {}
    why: dict[int, str] = {}
    for view in facts.system.views:
        for side in view.sides:
            units = tied(labels[side.node])
            if not side.written or not units.any() or facts.kinds[view.name] != "weight":
                continue
            if not facts.free(view):
                why.setdefault(side.node, f"{visible(view.name)!r}, {view.array.dtype}, can't be drawn")
            elif not _is_zero_on_purpose(facts, view, side.node):
                before = changed.get(view.name, view.array)
                rows = as_rows(before, side).copy()
                drawn = Normal()((int(units.sum()), prod(rows.shape[1:])), rng=key[view.name], dtype="float64")
                scale = _gain(facts, side.node) / sqrt(fan_in(view, facts))
                rows[units] = (drawn * scale).reshape(-1, *rows.shape[1:]).astype(rows.dtype)
                support = facts.support(view)
                if support is not None:
                    rows[~as_rows(support, side)] = 0
                changed[view.name] = from_rows(rows, side, before)
    changed = {view.name: facts.stored(view, changed[view.name]) for view in facts.system.views if view.name in changed}
    return check_discrete(with_arrays(graph, changed), DRAW, why, facts)


def _is_zero_on_purpose(facts: Facts, view: View, number: int) -> bool:
    """Whether a weight is zero everywhere, and another writes to the same units that is not."""
    others = [one for one, side in facts.system.views_of(number) if side.written and one is not view]
    others = [one for one in others if facts.kinds[one.name] == "weight"]
    return not view.array.any() and any(one.array.any() for one in others)


def _gain(facts: Facts, number: int) -> float:
    for name in facts.names(number):
        for function in facts.graph.space(name).functions:
            try:
                return gain(function)
            except UnknownName:
                continue
    return 1.0
