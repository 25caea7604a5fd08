"""Which axes of an array can be those of units, and which of its units read the same inputs."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from symbreak.axes import Axes

Array = npt.NDArray[Any]

RECEPTIVE = 16  # a receptive field is at most this long along each axis; the convolutions in use reach 14 (patches)


def unit_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the axes that units may lie along, where nothing is known of an array but its shape.

    Two dimensions: both. Three and more: the first two if the others look like a receptive field (none is longer than
    16), the last two if the leading ones do, and every axis if both or neither do. Axes of one unit are left out. An
    array with a single axis that is longer than one is a vector, whatever its dimensions: a bias may be saved as
    (1, n). It has no axis of units.

    Examples
    --------
    >>> unit_axes((64, 32)), unit_axes((64, 32, 3, 3)), unit_axes((3, 3, 32, 64)), unit_axes((64, 12, 64))
    ((0, 1), (0, 1), (2, 3), (0, 1, 2))
    >>> unit_axes((64,)), unit_axes((1, 64)), unit_axes((64, 1)), unit_axes((1, 64, 1, 1))
    ((), (), (), ())
    """
    long = tuple(axis for axis, length in enumerate(shape) if length > 1)
    if len(long) < 2:
        return ()
    if len(shape) == 2:
        return long
    last = len(shape) - 2
    trailing, leading = (all(length <= RECEPTIVE for length in ends) for ends in (shape[2:], shape[:last]))
    if trailing == leading:
        return long
    kept = (0, 1) if trailing else (last, last + 1)
    return tuple(axis for axis in long if axis in kept)


def name_unit_axes(shape: tuple[int, ...], axes: Axes) -> str:
    """Name the axes that the units of a weight lie along.

    Where the inputs are grouped, each output index stands for one unit of every group.

    Examples
    --------
    >>> name_unit_axes((3, 3, 16, 32), Axes("hwio")), name_unit_axes((4, 2, 3, 3), Axes("iohw", groups=2))
    ('axis 3', 'axis 1, group by group')
    """
    outputs = axes.dims("o")
    several = "axis" if len(outputs) == 1 else "axes"
    grouped = "" if axes.units(shape) == math.prod(shape[dim] for dim in outputs) else ", group by group"
    return f"{several} {' and '.join(map(str, outputs))}{grouped}"


def copies(array: Array, axes: Axes) -> Iterator[tuple[str, list[Array]]]:
    """Give each stacked copy of a weight: a name for it, and its units in parts, each (units, ...), in order.

    Only units of one part can be tied: those of one group read the same inputs, and those of one split belong to the
    same weight. Without copies, groups and splits it is one copy of one part.
    """
    stacked, outputs, inputs = axes.dims("b"), axes.dims("o"), axes.dims("i")
    order = (*stacked, *outputs, *inputs, *axes.dims("dhw"))
    shape = array.shape
    units = math.prod(shape[dim] for dim in outputs)
    incoming = math.prod(shape[dim] for dim in inputs)
    receptive = [shape[dim] for dim in axes.dims("dhw")]
    moved = np.transpose(array, order)
    along_inputs = axes.units(shape) != units
    edges = {part.start for part in axes.parts(shape)} | {0}
    if not along_inputs:
        edges |= set(range(0, units, max(1, units // axes.groups)))
    bounds = [*sorted(edges - {units}), units]
    for index in np.ndindex(moved.shape[: len(stacked)]):
        copy = moved[index].reshape(units, incoming, *receptive)
        fields = np.split(copy, axes.groups, axis=1) if along_inputs else [copy]
        parts = [field[low:high] for field in fields for low, high in itertools.pairwise(bounds)]
        name = f", copy {index[0] if len(index) == 1 else index}" if index else ""
        yield name, parts
