"""What there is to say about one weight by itself: SB101, SB102, SB106 and SB108."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from symbreak.axes import Axes, AxesLike
from symbreak.findings import Finding
from symbreak.reports import Report, fold_units

from ._arranged import judge_arranged, judge_stack, stack_axis
from ._bits import bits_of
from ._likeness import judge_near
from ._names import is_vector
from ._others import SLAB, is_additive_mask, is_index, is_named_mask, is_optimizer_state
from ._purpose import is_padding, is_table, starts_at_zero
from ._ties import SMALL, Ties, find_ties, search
from ._units import copies, name_unit_axes, unit_axes

Array = npt.NDArray[Any]

CLASSES = 8  # classes of equal units in a message before it is cut short


def judge_weight(
    array: Array,
    where: str = "weight",
    axes: AxesLike = None,
    workers: int | None = None,
    tolerance: float | None = None,
    bias: Array | None = None,
) -> Report:
    """Judge one weight whose layout is known.

    Parameters
    ----------
    array
        Of any shape; one without two dimensions, and a mask of booleans, are only looked at for values that are not
        finite.
    where
        What to call it; the axis of the units is added to it in the findings.
    axes
        Its layout, such as ``"io"`` or ``"boi"``; by default the units lie along axis 0 and all else is incoming. Units
        are compared within each stacked copy, each group and each split.
    workers
        Threads to use; None is one for each processor where the weight is large enough.
    tolerance
        The relative distance within which units are nearly equal, for SB103, SB104 and SB105; by default these are not
        looked for.
    bias
        The units' biases, (units,), which join the weights for SB104 and SB105.

    Returns
    -------
    Report
        With the class of each unit under `where` in `partition`.

    Raises
    ------
    TypeError
        If the dtype holds no numbers.
    ValueError
        If `axes` does not fit the shape.

    Examples
    --------
    >>> import numpy as np
    >>> report = judge_weight(np.array([[1, 2], [3, 4], [1, 2]]), "fc1.weight")
    >>> print(report.findings[0].where, "-", report.findings[0].message)
    fc1.weight, axis 0 - 2 units have equal incoming weights: 0, 2
    """
    layout = None if axes is None else Axes.of(axes, array.shape)
    if array.ndim < 2 or array.size == 0 or array.dtype == np.bool_:
        return _judge_values(array, where)
    blocks = [("", [array])] if layout is None else list(copies(array, layout))
    along = "axis 0" if layout is None else name_unit_axes(array.shape, layout)
    findings: list[Finding] = []
    labels = []
    for name, parts in blocks:
        found = [find_ties(part, workers=workers) for part in parts]
        space = f"{where}, {along}{name}"
        findings += _judge_units(space, parts, found, "incoming weights")
        if tolerance is not None:
            begin = 0
            for part in parts:
                own = None if bias is None or len(parts) > 1 or len(bias) != len(part) else bias
                findings += judge_near(space, part, tolerance, "incoming weights", own, begin, workers)
                begin += len(part)
        labels.append(_join(found).labels)
    if layout is not None and len(layout.dims("b")) == 1:
        axis = layout.dims("b")[0]
        stacked = search(array, axis, workers)
        if not _is_one_class(stacked) or any(len(np.unique(each)) > 1 for each in labels):
            findings += judge_stack(f"{where}, axis {axis}", where, array.ndim, stacked)
    partition = {where: np.stack(labels) if blocks[0][0] else labels[0]}
    return Report(tuple(findings), partition=partition, arrays=1)


def judge_array(
    array: Array,
    where: str,
    workers: int | None = None,
    name: str | None = None,
    tolerance: float | None = None,
    biases: Mapping[int, Array] = MappingProxyType({}),
) -> Report:
    """Judge an array of which only the shape is known, along every axis that units may lie along.

    Parameters
    ----------
    array
        Of any shape. Vectors, masks (of booleans, or called so and of zeros and ones), 64-bit integers and optimizer
        state are only looked at for values that are not finite. Of a mask of 0 and -inf nothing is said.
    where
        What to call it in the findings; the axis is added to it.
    workers
        Threads to use; None is one for each processor where the array is large enough.
    name
        Its name in the file, by which optimizer state is told; by default `where`.
    tolerance
        The relative distance within which units are nearly equal, for SB103, SB104 and SB105; by default these are not
        looked for.
    biases
        {axis: the biases of its units}, which join the weights for SB104 and SB105.

    Returns
    -------
    Report

    See Also
    --------
    unit_axes : the rule by which axes are chosen

    Examples
    --------
    >>> import numpy as np
    >>> report = judge_array(np.array([[1.0, 2.0, 1.0], [3.0, 4.0, 3.0]]), "a")
    >>> print(report.findings[0].where, "-", report.findings[0].message)
    a, axis 1 - 2 units have equal weights: 0, 2
    """
    name = where if name is None else name
    axes = unit_axes(array.shape)
    other = array.dtype == np.bool_ or is_index(array) or is_optimizer_state(name) or is_vector(name) or is_table(name)
    looked_at = not other and axes and array.size
    if looked_at and tolerance is None and _differs(array, axes) and stack_axis(name, array.shape) is None:
        return Report(partition={f"{where}, axis {axis}": np.arange(array.shape[axis]) for axis in axes}, arrays=1)
    if is_additive_mask(array):
        return Report(arrays=1)
    if not looked_at or is_named_mask(name, array):
        return _judge_values(array, where)
    found: dict[int, Ties] = {}
    for axis in axes:
        finite = bool(found) and not len(found[axes[0]].not_finite)
        found[axis] = search(array, axis, workers, finite=finite)
    partition = {f"{where}, axis {axis}": ties.labels for axis, ties in found.items()}
    findings: list[Finding] = []
    if len(axes) > 1 and all(_is_one_class(ties) for ties in found.values()):
        # One sentence says it of all axes.
        first = array[tuple(slice(1) if axis in axes else slice(None) for axis in range(array.ndim))]
        findings += _not_finite(where, found[axes[0]], axes[0])
        if not (len(found[axes[0]].zero) and starts_at_zero(name)):
            sizes = " and ".join(f"all {array.shape[axis]} units of axis {axis}" for axis in axes)
            findings.append(Finding.of("SB101", where, f"{sizes} are equal: {_content(first)}"))
        return Report(tuple(findings), partition=partition, arrays=1)
    findings += _not_finite(where, found[axes[0]], axes[0])
    stack = stack_axis(name, array.shape)
    copied = None
    if stack is not None:
        among = found[stack] if stack in found else search(array, stack, workers, finite=True)
        copied = judge_stack(f"{where}, axis {stack}", name, array.ndim, among) or None
        findings += copied if copied is not None and stack not in found else []
    for axis, ties in found.items():
        place, units_first = f"{where}, axis {axis}", np.moveaxis(array, axis, 0)
        arranged = copied if axis == stack else judge_arranged(place, name, array.shape, axis, ties)
        findings += _judge_axis(place, name, units_first, ties, arranged)
        if tolerance is not None:
            findings += judge_near(place, units_first, tolerance, "weights", biases.get(axis), 0, workers)
    return Report(tuple(findings), partition=partition, arrays=1)


def _differs(array: Array, axes: tuple[int, ...]) -> bool:
    """Whether the first values of a small array tell that there is nothing to find; False says nothing.

    Where these differ from unit to unit, and none is zero, no two units are equal and none is zero. It halves the
    time that models of many small arrays take.
    """
    if array.size > SMALL or array.dtype.kind != "f":
        return False
    with np.errstate(all="ignore"):
        if not np.isfinite(array.sum()):  # it may overflow too: the long way settles it
            return False
    for axis in axes:
        first = array[tuple(slice(None) if other == axis else 0 for other in range(array.ndim))].tolist()
        if 0 in first or len(set(first)) < len(first):
            return False
    return True


def _judge_axis(where: str, name: str, units: Array, ties: Ties, arranged: list[Finding] | None) -> list[Finding]:
    """Judge the units along one axis: by their arrangement, where that tells the cause, or class by class."""
    left_out = {"SB108"} if arranged is None else {"SB101", "SB102", "SB108"}
    if is_padding(name, ties.zero, len(ties.labels)):
        left_out.add("SB106")
    findings = _judge_units(where, [units], [ties], "weights")
    return (arranged or []) + [finding for finding in findings if finding.code not in left_out]


def _not_finite(where: str, ties: Ties, axis: int) -> list[Finding]:
    units, of = ties.not_finite.tolist(), len(ties.labels)
    return [_found_not_finite(f"{where}, axis {axis}", units, of)] if units else []


def _found_not_finite(where: str, units: list[int], of: int) -> Finding:
    verb = "holds" if len(units) == 1 else "hold"
    text = f"{len(units)} of {of} units {verb} values that are not finite: {fold_units(units)}"
    return Finding.of("SB108", where, text, (tuple(units),))


def _judge_units(where: str, parts: list[Array], found: list[Ties], weights: str) -> list[Finding]:
    """Judge the units of one space, which lie in parts that are compared apart."""
    whole = _join(found)
    count, zero = len(whole.labels), set(whole.zero.tolist())
    findings = []
    if len(whole.not_finite):
        findings.append(_found_not_finite(where, whole.not_finite.tolist(), count))
    several = [(part, ties) for part, ties in zip(parts, found, strict=True) if len(part) > 1]
    if several and all(_is_one_class(ties) for _, ties in several):
        alike = f"all {count} units" if len(parts) == 1 else f"all units of each of {len(parts)} parts"
        content = _content(*(part[:1] for part in parts))
        return [*findings, Finding.of("SB101", where, f"{alike} are equal: {content}", (tuple(range(count)),))]
    groups = tuple(group for group in whole.groups if group[0] not in zero)
    if groups:
        findings.append(Finding.of("SB102", where, _say_groups(groups, weights), groups))
    if zero:
        units = sorted(zero)
        text = f"all {weights} of {len(units)} of {count} units are zero: {fold_units(units)}"
        findings.append(Finding.of("SB106", where, text, (tuple(units),)))
    return findings


def _is_one_class(ties: Ties) -> bool:
    return len(ties.labels) > 1 and not ties.labels.any()


def _join(found: list[Ties]) -> Ties:
    """Join the ties of several parts, the units and classes of each numbered after those before."""
    if len(found) == 1:
        return found[0]
    units = np.cumsum([0] + [len(ties.labels) for ties in found])
    classes = np.cumsum([0] + [int(ties.labels.max()) + 1 for ties in found])
    return Ties(
        np.concatenate([ties.labels + first for ties, first in zip(found, classes, strict=False)]),
        np.concatenate([ties.zero + first for ties, first in zip(found, units, strict=False)]),
        np.concatenate([ties.not_finite + first for ties, first in zip(found, units, strict=False)]),
    )


def _say_groups(groups: tuple[tuple[int, ...], ...], weights: str) -> str:
    units = sum(len(group) for group in groups)
    listed = "; ".join(fold_units(group) for group in groups[:CLASSES])
    if len(groups) == 1:
        return f"{units} units have equal {weights}: {listed}"
    rest = "; ..." if len(groups) > CLASSES else ""
    return f"{units} units form {len(groups)} classes with equal {weights}: {listed}{rest}"


def _content(*parts: Array) -> str:
    """Say what equal units hold: one value, or one row."""
    first = parts[0].reshape(-1)[0]
    if all((part == first).all() for part in parts):
        return "every weight is zero" if first == 0 else f"every weight is {_number(first)}"
    return "one row of weights, repeated"


def _number(value: Any) -> str:
    return f"{complex(value):.6g}" if np.iscomplexobj(value) else f"{float(value):.6g}"


def _judge_values(array: Array, where: str) -> Report:
    """Look only for values that are not finite."""
    if bits_of(array.dtype).always_finite:
        return Report(arrays=1)
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        slabs = (np.flatnonzero(~np.isfinite(flat[low : low + SLAB])) + low for low in range(0, len(flat), SLAB))
        bad = np.concatenate([np.zeros(0, np.intp), *slabs]).tolist()
    if not bad:
        return Report(arrays=1)
    text = f"{len(bad)} of {len(flat)} values are not finite: {fold_units(bad)}" if array.ndim else "it is not finite"
    groups = (tuple(bad),) if array.ndim == 1 else ()
    return Report((Finding.of("SB108", where, text, groups),), arrays=1)
