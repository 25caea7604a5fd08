r"""The quotient of a network: one unit for each class, the same function.

A class is written by one of its units and read as the sum of all: units that are equal for every input give
:math:`\sum_u w_u h = (\sum_u w_u) h`. Each gate, each kernel position and each head is a slice of its own.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from symbreak.diagnosis._nodes import PICKING, Side, View
from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from symbreak.reports import visible

from ._collapse import Mode, collapse, rounded, widened
from ._facts import ONE_BY_ONE, WEIGHT, Facts
from ._fold import Fold, fold_all

Array = npt.NDArray[Any]


def merge(
    graph: LayerGraph,
    *,
    spaces: Iterable[str] | None = None,
    redundant: bool = False,
    scaled: bool = True,
    multiplicity: bool = False,
) -> LayerGraph:
    r"""Make one unit of each class of tied units: a smaller network with the same outputs, up to rounding.

    Parameters
    ----------
    graph
        The network; it is not changed.
    spaces
        Names of the spaces whose units may become one; by default all.
    redundant
        Whether units that are equal for every input are made one although they are read differently, and training would
        separate them (SB202).
    scaled
        Whether attention divides its scores by the root of the number of query and key units, as almost all does (T5's
        does not). The merged queries make up for the smaller number.
    multiplicity
        What to do where classes of several sizes lie in a space with a norm over its units. By default an error; True
        gives the space a per-unit parameter of kind ``"multiplicity"``, the number of units that each one stands for.
        The norm must weigh the units by it when it takes its means, so only a norm that can do that runs the result.

    Returns
    -------
    LayerGraph
        With the same spaces, weights and per-unit parameters, in the same order, and fewer units. Arrays in which
        nothing changes are those of `graph`.

    Raises
    ------
    CannotRepair
        Where units can't be made one without a change of the function, with the reason for each space and the names of
        those that can be merged: an array that writes a space in one use and reads it in another; heads or copies that
        would keep different numbers of units; copies, such as experts, that no router weighs, or that it picks by
        index (top-k); norms of queries
        and keys; classes of several sizes under a norm; an activation in which units meet, such as softmax; sums that
        the type of an array can't hold.
    ValueError
        A graph that can't be read as a network, values that are not finite, or a space that it has not.

    See Also
    --------
    untie : Keep the size, and let the units become different.
    reinit : Draw them again.
    diagnose : Find the ties.

    Notes
    -----
    The queries of an attention layer carry the multiplicity: their rows are summed over each class, and multiplied by
    :math:`\sqrt{\text{units after} / \text{units before}}`, since the score is a sum over units, over the root of
    their number. Where two arrays write query and key units without any difference in wiring, the first is the queries.

    A layer or RMS norm whose units all stand for equally many is unchanged: a mean over equal copies is the mean over
    one of each. A norm that has no parameters is known where an activation such as ``layer_norm`` names it;
    else `spaces` can leave out what it reads.

    Copies such as experts become one where a router writes to their space and what weighs them is recorded as its
    activation: the outputs are then :math:`\sum_e g_e(x) f_e(x)`. Where each share :math:`g_e` depends on its own
    logit alone (``"sigmoid"``, ``"linear"``), what reads the units of a class of copies is summed. Under ``"softmax"``
    it is averaged, since a class of s copies has the share :math:`s e^{r} / \sum_c s_c e^{r_c}`: sizes that are equal
    cancel, and others are added to the bias of the router as logarithms.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> graph = sb.chain([(np.full((4, 2), 0.5), np.zeros(4)), (np.full((1, 4), 0.25), None)])
    >>> small = sb.merge(graph)
    >>> small.weights["layers.0.weight"], small.weights["layers.1.weight"]
    (array([[0.5, 0.5]]), array([[1.]]))
    """
    facts = Facts.of(graph, picking=False)
    chosen = _chosen(facts, spaces)
    why: dict[int, str] = {}
    folds = fold_all(facts, facts.classes(redundant=redundant), chosen, why)
    for link in facts.system.links:
        nodes = facts.system.nodes
        if len(nodes[link.more].parents) > 1:
            for number in {link.more, link.fewer, *nodes[link.more].parents, *nodes[link.fewer].parents}:
                if folds[number].changes:
                    why.setdefault(
                        number, "its heads share keys and values within stacked copies, and stay as they are"
                    )
    for number, fold in enumerate(folds):
        if fold.changes and number not in why:
            reason = _reason(facts, number, folds, multiplicity)
            if reason is not None:
                why[number] = reason
    if why:
        raise _refusal(facts, folds, why)
    arrays = {}
    for view in facts.system.views:
        try:
            arrays[view.name] = _merged(facts, view, folds, scaled)
        except OverflowError:
            raise CannotRepair(
                f"{visible(view.name)!r} is {view.array.dtype}, which can't hold the sums over its classes: give it "
                f"a wider type first"
            ) from None
    return _rebuilt(facts, folds, arrays)


def _chosen(facts: Facts, spaces: Iterable[str] | None) -> set[int]:
    if isinstance(spaces, str):
        raise TypeError(f"`spaces` takes a list of names: [{spaces!r}], not {spaces!r}")
    wanted = None if spaces is None else {facts.graph.space(name).name for name in spaces}
    return {number for number in range(len(facts.system.nodes)) if wanted is None or wanted & set(facts.names(number))}


def _reason(facts: Facts, number: int, folds: list[Fold], multiplicity: bool) -> str | None:
    """Say why the units of a node can't become fewer, if they can't."""
    for view, side in facts.system.views_of(number):
        if facts.is_shared(side):
            return (
                f"{visible(view.name)!r} is shared between spaces: it both writes these units and reads them, and "
                f"can't hold one of each class and its sum"
            )
    if facts.copies(number):
        if (reason := _uncombined(facts, number, folds[number])) is not None:
            return reason
    elif (activation := facts.mixing(number)) is not None:
        return f"units meet in its activation, {visible(activation)!r}, which would count a class once"
    if number in facts.pairs:
        if facts.pairs[number] is None:
            return f"more than two weights write to its units and nothing reads them: {facts.writers(number)}"
        if (norm := facts.norm_of_product(number)) is not None:
            return f"queries or keys pass through a norm, {visible(norm)!r}"
        if (bias := facts.unclear_bias(number)) is not None:
            return f"its name does not say whether {visible(bias)!r} is the bias of the queries or of the keys"
    if facts.is_parent(number) and (reason := _unclear_heads(facts, number, folds)) is not None:
        return reason
    norm = facts.norm_over(number)
    kept = multiplicity and not facts.system.nodes[number].parents
    if norm is not None and len(np.unique(folds[number].sizes)) > 1 and not kept:
        return (
            f"classes of {_listed(folds[number])} units lie under a norm, {visible(norm)!r}, which must weigh them by "
            f"that; merge(..., multiplicity=True) keeps the numbers for a norm that can"
        )
    return None


def _uncombined(facts: Facts, number: int, fold: Fold) -> str | None:
    """Say why copies that become one would not be weighed as all of them together were."""
    if not facts.writers(number):
        return "stacked copies would become one, and how their outputs are combined is not in the graph"
    for view, side in facts.system.views_of(number):
        if side.read:
            return f"{visible(view.name)!r} reads what weighs its copies, so that their shares can't be added"
        alone = not side.written and not side.read
        if alone and facts.kinds[view.name] not in (WEIGHT, "bias"):
            return f"{visible(view.name)!r} belongs to units that all copies share, and is not added to their outputs"
    function = " or ".join(facts.functions(number))
    named = {name for space in facts.names(number) for name in facts.graph.space(space).functions}
    if not named.isdisjoint(PICKING):
        return (
            f"its router picks copies by index ({visible(function)!r}): of equal ones it takes some and others not, "
            f"which one copy can't stand for"
        )
    if function in ONE_BY_ONE:
        return None
    if not facts.is_softmax(number):
        what = "which is also what is recorded where it isn't known"
        what = what if function == "identity" else "of which no rule is known"
        return (
            f"what weighs its copies is {visible(function)!r}, {what}: copies are merged under 'softmax', and under "
            f"what weighs each by itself, such as 'sigmoid' and 'linear'"
        )
    if _weighs_unevenly(facts, number, fold) and facts.added_to(number) is None:
        return (
            f"classes of {_listed(fold)} copies lie under a softmax, and their router has no bias that could take the "
            f"logarithms of these numbers: give it one, of zeros"
        )
    return None


def _weighs_unevenly(facts: Facts, number: int, fold: Fold) -> bool:
    """Whether a softmax over copies must weigh them by the sizes of their classes; those that are equal cancel."""
    return facts.is_softmax(number) and bool(np.ptp(fold.sizes, axis=-1).any())


def _listed(fold: Fold) -> str:
    sizes = np.unique(fold.sizes).tolist()
    return f"{', '.join(map(str, sizes[:-1]))} and {sizes[-1]}"


def _unclear_heads(facts: Facts, number: int, folds: list[Fold]) -> str | None:
    """Say why heads can't be made one: an array of which it isn't clear what heads are in it, or uneven groups."""
    for view in facts.system.views:
        for side in view.sides:
            if side.node == number and not side.written and not side.read and not facts.copies(number):
                return f"{visible(view.name)!r} has heads beside units that all heads share"
    for link in facts.system.links:
        more, fewer = (facts.system.nodes[each].parents[-1] for each in (link.more, link.fewer))
        if number in (more, fewer):
            of = np.zeros(folds[more].count, np.intp)
            of[folds[more].index] = folds[fewer].index[link.of]
            heads, groups = folds[more].count, folds[fewer].count
            if heads % groups or not np.array_equal(of, np.repeat(np.arange(groups), heads // groups)):
                return f"the {heads} heads that are left would not share {groups} key and value heads evenly"
    return None


def _refusal(facts: Facts, folds: list[Fold], why: dict[int, str]) -> CannotRepair:
    reasons = "; ".join(f"space {facts.name(number)}: {reason}" for number, reason in why.items())
    able = [
        space
        for number, fold in enumerate(folds)
        if fold.changes and number not in why
        for space in facts.names(number)
    ]
    able = [space for space in dict.fromkeys(able) if not any(space in facts.names(number) for number in why)]
    problem = f"can't merge without changing the function: {reasons}"
    rest = f"; the others can be merged: spaces={able!r}" if able else ""
    return CannotRepair(problem + rest, problem, tuple(able))


def _merged(facts: Facts, view: View, folds: list[Fold], scaled: bool) -> Array:
    """Give one array of the merged network."""
    numbers = {side.node for side in view.sides} | {number for _, number in view.over}
    numbers |= {parent for number in numbers for parent in facts.system.nodes[number].parents}
    if not any(folds[number].changes for number in numbers):
        return facts.arrays[view.name]
    array = widened(view.array)
    for side in view.sides:
        fold = folds[side.node]
        mode = _mode(facts, view, side)
        if mode is not None and (fold.changes or len(side.axes) > 1):
            array = collapse(array, side.axes[-1], side.axes[:-1], fold.index, fold.count, mode)
            if mode == "sum" and facts.is_softmax(side.node):
                array = array / _spread(fold.sizes, side.axes, array.ndim)
        if side.written and view.name == facts.added_to(side.node) and _weighs_unevenly(facts, side.node, fold):
            array = array + np.log(_spread(fold.sizes, side.axes, array.ndim))
        if facts.is_query(view, side.node) and scaled and fold.changes:
            array = array * np.sqrt(fold.count / fold.index.shape[-1])
    for axes, number, mode in reversed(_heads(facts, view)):  # those that lie in others first
        if folds[number].changes:
            array = collapse(array, axes[-1], axes[:-1], folds[number].index, folds[number].count, mode)
            if mode == "sum" and facts.is_softmax(number):
                array = array / _spread(folds[number].sizes, axes, array.ndim)
    return rounded(array, view.array.dtype)


def _spread(sizes: Array, axes: tuple[int, ...], dimensions: int) -> Array:
    """Give the sizes of classes as an array that lies along some axes of another."""
    order = np.argsort(axes)
    wide = [1] * dimensions
    for axis, size in zip(axes, sizes.shape, strict=True):
        wide[axis] = size
    return sizes.transpose(order).reshape(wide)


def _mode(facts: Facts, view: View, side: Side) -> Mode | None:
    """Say what an array has of each class of a side: one of it, or its sum."""
    if not side.written and not side.read:  # beside units that all share: copies are summed, heads are not merged
        return "sum" if facts.copies(side.node) else None
    if side.written and (facts.kinds[view.name] == "multiplicity" or facts.is_query(view, side.node)):
        return "sum"
    if side.written:
        return "first"
    return "any" if facts.is_mask(view) else "sum"


def _heads(facts: Facts, view: View) -> list[tuple[tuple[int, ...], int, Mode]]:
    """Give the axes of heads that the nodes of an array are nested in, and what it has of heads that become one."""
    found: dict[tuple[int, ...], tuple[int, bool]] = {}
    for side in view.sides:
        for place, parent in enumerate(facts.system.nodes[side.node].parents):
            axes = tuple(side.axes[axis] for axis in facts.system.axes_of_parent(side.node, place))
            _, written = found.get(axes, (parent, False))
            found[axes] = parent, written or side.written  # heads that write each keep what they read apart
    modes: list[tuple[tuple[int, ...], int, Mode]] = []
    for axes, (parent, written) in found.items():
        modes.append((axes, parent, "first" if written else "any" if facts.is_mask(view) else "sum"))
    return modes


def _rebuilt(facts: Facts, folds: list[Fold], arrays: dict[str, Array]) -> LayerGraph:
    graph = facts.graph
    counts = {name: folds[number].count for number in range(len(folds)) for name in facts.names(number)}
    per_unit = [
        PerUnit(each.name, arrays[each.name], each.axes, each.kind, each.norm, each.multiplies)
        for each in graph.per_unit
    ]
    for number, fold in enumerate(folds):
        if facts.norm_over(number) is not None and len(np.unique(fold.sizes)) > 1:
            per_unit += _multiplicities(facts, number, fold)
    return LayerGraph(
        [Space(space.name, counts.get(space.name, space.units), space.activation) for space in graph.spaces],
        [Weight(each.name, arrays[each.name], each.axes, each.also, each.multiplies) for each in graph.connections],
        per_unit,
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


def _multiplicities(facts: Facts, number: int, fold: Fold) -> list[PerUnit]:
    """Say how many units each unit under a norm stands for, if that is not said yet."""
    if any(facts.kinds[view.name] == "multiplicity" for view, _ in facts.system.views_of(number)):
        return []
    norm = facts.norm_over(number)
    space = next(each.space for each in facts.graph.per_unit if each.name == norm)
    return [PerUnit(f"{space}.multiplicity", fold.sizes.astype(np.float64), [("out", space)], "multiplicity")]
