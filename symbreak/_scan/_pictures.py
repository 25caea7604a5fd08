"""Samples of the weights that findings are about, taken while the arrays are at hand: some kilobytes of each."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symbreak.axes import Axes, AxesLike
from symbreak.diagnosis._units import copies, name_unit_axes
from symbreak.findings import Finding
from symbreak.reports import DISTANCES, WEIGHTS, Picture, Report, Space

if TYPE_CHECKING:
    from symbreak.graph import LayerGraph

    from ._step import Step

Array = npt.NDArray[Any]

SINGLE = ("SB101", "SB102", "SB103", "SB104", "SB105", "SB106", "SB108")  # findings of the units of one weight
APART = ("SB102", "SB103", "SB201")  # those whose distances are drawn too
NETWORK = ("SB201", "SB202", "SB203", "SB107")
ROWS, COLUMNS = 24, 48  # units and weights in a picture of weights
SIDE, VALUES = 32, 256  # units in one of distances, and the weights of each that are compared
GROUPS = 3  # classes in a picture
OTHERS = 4  # units of no class in it, to be compared with
EACH = 12  # pictures of one code and kind in a report
AXIS = re.compile(r"(?:, axis (\d+))?")


def with_pictures(report: Report, array: Array, where: str, axes: AxesLike = None) -> Report:
    """Add samples of one weight for what was found in it.

    Parameters
    ----------
    report
        What was found.
    array
        The weight. The least of it is read that the pictures show.
    where
        What findings call it.
    axes
        Its layout, where that is known: then units may lie in stacked copies, and along several axes.
    """
    found: list[Picture] = []
    nested = {} if axes is None else _nested(array, where, axes, {each.where for each in report.findings})
    for finding in report.findings:
        if finding.where in nested and finding.code in SINGLE:
            found += _pictures(finding, nested[finding.where])
            continue
        match = AXIS.fullmatch(finding.where.removeprefix(where))
        axis = int(match[1] or 0) if match and finding.where.startswith(where) else array.ndim
        if finding.code in SINGLE and axis < array.ndim and array.ndim > 1 and array.size:
            found += _pictures(finding, np.moveaxis(array, axis, 0))
    return replace(report, pictures=(*report.pictures, *found)) if found else report


def _nested(array: Array, where: str, axes: AxesLike, wanted: set[str]) -> dict[str, Array]:
    """Give the units of the copies in which something was found, and those along several axes, by what findings say.

    Units that are compared in parts, as in groups, are not among them.
    """
    layout = Axes.of(axes, array.shape)
    along = f"{where}, {name_unit_axes(array.shape, layout)}"
    if not any(place.startswith(along) and not AXIS.fullmatch(place.removeprefix(where)) for place in wanted):
        return {}
    every = ((f"{along}{name}", parts) for name, parts in copies(array, layout))
    return {place: parts[0] for place, parts in every if place in wanted and len(parts) == 1}


def with_widths(report: Report, graph: "LayerGraph", path: str = "") -> Report:
    """Add how many units of each hidden space of a network are distinct, in the order of the graph."""
    before = f"{path}: " if path else ""
    order = {space.name: number for number, space in enumerate(graph.spaces)}
    found = []
    for where, labels in report.partition.items():
        name = where.removeprefix(before)
        first = name if name in order else name.rpartition(" of ")[0]
        if first not in graph.inputs and first not in graph.outputs:
            units = Space(where, labels.size, int(labels.max(initial=-1)) + 1, network=True)
            found.append((order.get(first, len(order)), units))
    spaces = tuple(units for _, units in sorted(found, key=lambda each: each[0]))
    return replace(report, spaces=spaces)


def with_network_pictures(report: Report, graph: "LayerGraph", path: str = "") -> Report:
    """Add samples of the weights that write to the spaces in which something was found.

    Of a space whose units lie in heads or copies those of the first come first, as findings number them.
    """
    before = f"{path}: " if path else ""
    units = {f"{before}space {space.name}": space.name for space in graph.spaces}
    found: list[Picture] = []
    for finding in report.findings:
        space = units.get(finding.where)
        labels = report.partition.get(f"{before}{space}")
        if finding.code not in NETWORK or space is None or labels is None:
            continue
        if (array := _incoming(graph, space, labels.shape)) is not None:
            found += _pictures(finding, array)
    return replace(report, pictures=(*report.pictures, *found))


def bounded(steps: "Iterable[Step]") -> "Iterator[Step]":
    """Leave out of the steps of a scan the pictures beyond the first few of each code."""
    kept: dict[tuple[str, str], int] = {}
    for step in steps:
        judged = tuple(
            (name, replace(each, pictures=())) if each.pictures else (name, each) for name, each in step.judged
        )
        pictures = tuple(_first(step.report.pictures, kept))
        yield replace(step, report=replace(step.report, pictures=pictures), judged=judged)


def _first(pictures: Iterable[Picture], kept: dict[tuple[str, str], int]) -> Iterator[Picture]:
    for each in pictures:
        count = kept.get((each.code, each.kind), 0)
        if count < EACH:
            kept[each.code, each.kind] = count + 1
            yield each


def _incoming(graph: "LayerGraph", space: str, shape: tuple[int, ...]) -> Array | None:
    """Give the first weight that writes to all units of a space, these first.

    Parameters
    ----------
    graph, space
        The network and the name of the space.
    shape
        Of its units: (units,), or (heads, units).
    """
    for name in graph.writers(space):
        weight = next(weight for weight in graph.connections if weight.name == name)
        roles = [axis.role for axis in weight.axes]
        out = [n for n, axis in enumerate(weight.axes) if axis.role == "out" and axis.space == space]
        over = [n for n, role in enumerate(roles) if role in ("head", "stack")]
        if len(out) == 1 and roles.count("out") == 1:
            units = np.moveaxis(weight.array, [*over, *out], range(len(over) + 1))
            if len(over) < 2 and units.shape[: len(shape)] == shape and len(over) + 1 == len(shape):
                return units.reshape(prod(shape), *units.shape[len(shape) :])
    return None


def _pictures(finding: Finding, units: Array) -> list[Picture]:
    if units.dtype.kind not in "fiubcV" or any(unit >= len(units) for group in finding.groups for unit in group):
        return []
    found = []
    groups = finding.groups or (tuple(range(min(len(units), ROWS))),)
    facts = (len(units), prod(units.shape[1:]))
    rows, classes = _choose(groups, len(units), ROWS)
    values = _sample(units, rows, COLUMNS)
    if not (values == values[:1, :1]).all():  # one colour shows nothing
        found.append(Picture(finding.code, finding.where, WEIGHTS, rows, classes, values, *facts))
    if finding.code in APART and len(units) > 2:
        rows, classes = _choose(groups, len(units), SIDE, others=SIDE // 2)
        distances = _distances(_sample(units, rows, VALUES))
        found.append(Picture(finding.code, finding.where, DISTANCES, rows, classes, distances, *facts))
    return found


def _choose(
    groups: Sequence[Sequence[int]], units: int, most: int, others: int = OTHERS
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Choose units to show: the first of the first classes, and a few of none."""
    shown = groups[:GROUPS]
    grouped = {unit for group in groups for unit in group}
    beside: list[int] = []
    for unit in range(min(units, 4 * most + len(grouped))):
        if unit not in grouped and len(beside) < min(others, most // 2):
            beside.append(unit)
    each = max((most - len(beside)) // len(shown), 1)
    rows = [(unit, number) for number, group in enumerate(shown) for unit in group[:each]]
    rows += [(unit, -1) for unit in beside]
    return tuple(unit for unit, _ in rows), tuple(label for _, label in rows)


def _sample(units: Array, rows: Sequence[int], most: int) -> npt.NDArray[np.float32]:
    """Take the first values of some units, from as few places as can be."""
    index: list[slice] = []
    left = most
    for size in units.shape[:0:-1]:
        index.append(slice(0, min(size, max(left, 1))))
        left //= max(size, 1)
    part = units[(slice(None), *index[::-1])]
    taken = np.stack([np.asarray(part[row]) for row in rows]).reshape(len(rows), -1)[:, :most]
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(taken) if np.iscomplexobj(taken) else taken, np.float32)


def _distances(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give the lengths of differences, relative to the longest unit; NaN where a unit is not finite."""
    with np.errstate(all="ignore"):
        wide = values.astype(np.float64)
        longest = float(np.nanmax(np.linalg.norm(wide, axis=1), initial=0)) or 1.0
        found = np.linalg.norm(wide[:, None] - wide[None], axis=2) / longest
        found[found > 0] = np.maximum(found[found > 0], np.finfo(np.float32).tiny)  # only equal units are at zero
    return np.asarray(found, np.float32)
