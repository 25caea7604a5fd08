"""Units that can be swapped: those that read, hold and write the same, so that a swap of two changes no array.

Then the loss is the same function before and after the swap, whatever the data. Swaps that change nothing make classes:
where a can be swapped with b, and b with c, so can a with c.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, final

import numpy as np

from symbreak.graph import LayerGraph

Array = np.ndarray[Any, np.dtype[Any]]


@final
class TiedClass(NamedTuple):
    """Two units or more of one space, any two of which can be swapped."""

    space: str
    units: tuple[int, ...]


def axes_over(graph: LayerGraph, space: str) -> dict[str, tuple[int, ...]] | None:
    """Give the axes of each array that run over a space, by the array's name; arrays without such an axis are left out.

    None where one array is used twice and its axes run over the space in one use and not in the other: a swap of units
    in this space would be another one in the other.
    """
    found = {}
    uses = {each.name: each.uses for each in graph.connections} | {each.name: (each.axes,) for each in graph.per_unit}
    for name, all_axes in uses.items():
        over = {tuple(number for number, axis in enumerate(axes) if axis.space == space) for axes in all_axes}
        if len(over) > 1:
            return None
        if axes := over.pop():
            found[name] = axes
    return found


def swap(array: Array, axes: tuple[int, ...], a: int, b: int) -> Array:
    """Give a copy with the slices of two units swapped, on every axis that runs over their space."""
    order = np.arange(array.shape[axes[0]])
    order[[a, b]] = b, a
    for axis in axes:
        array = array.take(order, axis)
    return array


def find_classes(graph: LayerGraph) -> list[TiedClass]:
    """Give the classes of every space but the inputs and outputs, whose units are told apart by what they mean."""
    found = []
    for space in graph.spaces:
        axes = axes_over(graph, space.name)
        if axes and space.name not in (*graph.inputs, *graph.outputs):
            groups = _equal_slices(graph, axes, space.units)
            recurrent = any(len(over) > 1 for over in axes.values())
            for group in groups:
                parts = _swappable(graph, axes, group) if recurrent else [group]
                found += [TiedClass(space.name, tuple(units)) for units in parts if len(units) > 1]
    return found


def _equal_slices(graph: LayerGraph, axes: Mapping[str, tuple[int, ...]], units: int) -> list[list[int]]:
    """Group the units by their slices of the arrays that have one axis over the space."""
    slices = [
        np.moveaxis(graph.arrays[name], over[0], 0).reshape(units, -1) + 0.0  # makes -0.0, which equals 0.0, into it
        for name, over in axes.items()
        if len(over) == 1
    ]
    groups: dict[bytes, list[int]] = {}
    for unit in range(units):
        groups.setdefault(b"".join(each[unit].tobytes() for each in slices), []).append(unit)
    return list(groups.values())


def _swappable(graph: LayerGraph, axes: Mapping[str, tuple[int, ...]], group: list[int]) -> list[list[int]]:
    """Part a group by trying the swaps: what a recurrent weight has between two units moves on both of its axes."""
    parts: list[list[int]] = []
    for unit in group:
        for part in parts:
            if difference(graph, axes, part[0], unit) is None:
                part.append(unit)
                break
        else:
            parts.append([unit])
    return parts


def difference(graph: LayerGraph, axes: Mapping[str, tuple[int, ...]], a: int, b: int) -> tuple[str, float] | None:
    """Give the first array that a swap of two units changes, and by how much at most; None where it changes none."""
    for name, over in axes.items():
        array = graph.arrays[name]
        swapped = swap(array, over, a, b)
        if not np.array_equal(array, swapped):
            return name, float(abs(array - swapped).max())
    return None


def read_classes(graph: LayerGraph, labels: Mapping[str, Any]) -> list[TiedClass]:
    """Give the classes that the caller's labels make, or raise where their units are not tied."""
    if not isinstance(labels, Mapping):
        raise TypeError(f"`classes` must be a mapping such as {{'layers.0': [0, 0, 1]}}; got {labels!r}")
    found = []
    for name, given in labels.items():
        space = graph.space(name)
        label = np.asarray(given)
        if label.shape != (space.units,):
            raise ValueError(
                f"the classes of {name!r} must be one label a unit, shape ({space.units},); theirs is {label.shape}"
            )
        _, inverse = np.unique(label, return_inverse=True)
        classes = [np.flatnonzero(inverse == number).tolist() for number in range(inverse.max() + 1)]
        for units in sorted(units for units in classes if len(units) > 1):
            _check_tied(graph, name, units)
            found.append(TiedClass(name, tuple(units)))
    return found


def _check_tied(graph: LayerGraph, space: str, units: list[int]) -> None:
    if space in (*graph.inputs, *graph.outputs):
        raise ValueError(
            f"units {', '.join(map(str, units))} of {space!r} are given as one class, but inputs and outputs are told "
            f"apart by what they mean; give each a label of its own"
        )
    axes = axes_over(graph, space)
    if not axes:
        raise ValueError(
            f"the units of {space!r} can't be swapped by themselves: "
            f"{'an array is shared with another space' if axes is None else 'no array has an axis over it'}"
        )
    for a, b in pairwise(units):
        if found := difference(graph, axes, a, b):
            name, gap = found
            raise ValueError(
                f"units {a} and {b} of {space!r} are given as one class, but are not tied: swapping them changes "
                f"{name!r} by {gap:.3g}; give them two labels, or make their slices equal"
            )
