"""Which axes of an array units lie along, and which of them read the same inputs: against a loop over all entries."""

import math

import numpy as np
import pytest

from symbreak import Axes
from symbreak.diagnosis import unit_axes
from symbreak.diagnosis._units import copies, name_unit_axes


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((), ()),
        ((5,), ()),
        ((2, 3), (0, 1)),
        ((100, 200), (0, 1)),
        ((1, 3), ()),
        ((20, 30, 16), (0, 1)),
        ((20, 30, 17), (0, 1, 2)),
        ((16, 30, 40), (1, 2)),
        ((17, 30, 40), (0, 1, 2)),
        ((3, 2, 4), (0, 1, 2)),
        ((20, 30, 16, 16), (0, 1)),
        ((20, 30, 16, 17), (0, 1, 2, 3)),
        ((16, 16, 20, 30), (2, 3)),
        ((2, 17, 20, 30), (0, 1, 2, 3)),
        ((3, 3, 3, 1, 30), (4,)),
        ((1, 64, 3, 3), (1,)),
        ((20, 1, 3), (0,)),
        ((3, 1, 20), (2,)),
        ((1, 1, 64), ()),
        ((64, 1, 1, 2), (0,)),
    ],
)
def test_units_lie_along_the_axes_that_the_rule_gives(shape, axes):
    assert unit_axes(shape) == axes


def slow_copies(array, axes):
    """For each copy its parts, each the units as dictionaries {(input, position): value}, found entry by entry."""
    stacked = axes.dims("b")
    found = {}
    inputs = math.prod(array.shape[dim] for dim in axes.dims("i"))
    outputs = math.prod(array.shape[dim] for dim in axes.dims("o"))
    along_inputs = axes.groups > 1 and axes.units(array.shape) != outputs
    sizes = axes.splits if isinstance(axes.splits, tuple) else (outputs // axes.splits,) * axes.splits
    part_of = np.repeat(np.arange(len(sizes)), sizes)
    for index in np.ndindex(array.shape):
        at = lambda letters, index=index: tuple(index[dim] for dim in axes.dims(letters))  # noqa: E731
        unit = int(np.ravel_multi_index(at("o"), [array.shape[dim] for dim in axes.dims("o")]))
        read = int(np.ravel_multi_index(at("i"), [array.shape[dim] for dim in axes.dims("i")]))
        if along_inputs:
            group, read = divmod(read, inputs // axes.groups)
        else:
            group = unit // (outputs // axes.groups)
        copy = tuple(index[dim] for dim in stacked)
        parts = found.setdefault(copy, {})
        parts.setdefault((group, part_of[unit]), {}).setdefault(unit, {})[read, at("dhw")] = array[index]
    return found


LAYOUTS = {
    "dense": (Axes("oi"), (4, 3)),
    "turned": (Axes("io"), (3, 4)),
    "kernel": (Axes("hwio"), (2, 3, 3, 4)),
    "grouped": (Axes("oihw", groups=2), (4, 3, 2, 1)),
    "each a group": (Axes("oiw", groups=4), (4, 1, 3)),
    "transposed": (Axes("iohw", groups=3), (6, 2, 2, 2)),
    "depthwise": (Axes("hwio", groups=3, grouped="i"), (2, 2, 3, 2)),
    "one input each": (Axes("hwio", groups=3, grouped="i"), (2, 2, 3, 1)),
    "halves": (Axes("oi", splits=2), (4, 3)),
    "parts": (Axes("io", splits=(1, 3, 2)), (3, 6)),
    "stacked": (Axes("boi"), (3, 2, 4)),
    "stacked twice": (Axes("obib"), (2, 3, 4, 2)),
    "heads": (Axes("ioo"), (3, 2, 2)),
    "heads of several inputs": (Axes("iio"), (3, 2, 2)),
    "stacked and grouped": (Axes("boiw", groups=2), (2, 4, 3, 2)),
    "stacked and transposed": (Axes("biow", groups=2), (2, 4, 3, 2)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_copies_and_parts_hold_the_units_that_a_loop_over_all_entries_finds(name):
    axes, shape = LAYOUTS[name]
    array = np.arange(math.prod(shape)).reshape(shape)
    expected = slow_copies(array, axes)
    found = dict(copies(array, axes))
    names = {(): ""} | {key: f", copy {key[0] if len(key) == 1 else key}" for key in expected if key}
    assert list(found) == [names[key] for key in sorted(expected)]
    for key, parts in expected.items():
        assert len(found[names[key]]) == len(parts)
        for part, each in zip(found[names[key]], (parts[place] for place in sorted(parts)), strict=True):
            for values, unit in zip(part, (each[number] for number in sorted(each)), strict=True):
                assert values.ravel().tolist() == [unit[place] for place in sorted(unit)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dense", "axis 0"),
        ("turned", "axis 1"),
        ("grouped", "axis 0"),
        ("each a group", "axis 0"),
        ("transposed", "axis 1, group by group"),
        ("depthwise", "axis 3, group by group"),
        ("halves", "axis 0"),
        ("heads", "axes 1 and 2"),
    ],
)
def test_the_axes_of_units_are_named(name, text):
    axes, shape = LAYOUTS[name]
    assert name_unit_axes(shape, axes) == text
