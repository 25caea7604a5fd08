"""How the equal units of one weight are arranged: block by block, group by group, or anyhow.

The classes are known already, so nothing of the weight is read here. Which arrangement is what:

- Every unit of the axis lies in blocks that repeat: the mark of shards drawn from one seed (SB207). A fused weight may
  repeat part by part: queries, keys and values each on their own.
- In a projection of attention, along its heads, blocks of up to 256 units that repeat are heads (SB205): if every block
  is the same one, or if only some are. Larger ones are shards.
- In a convolution, groups of 4, 9 or 16 equal units one after another that fill the axis: a sub-pixel kernel that
  starts like that on purpose [1]. Keras and TensorFlow place the copies one axis length apart.

[1] Aitken et al. "Checkerboard artifact free sub-pixel convolution". :arxiv:`1707.02937`
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]

HEAD = 256  # units of the largest head in use
SMALLEST_HEAD = 8
SUBPIXEL = (4, 9, 16)  # a factor of 2, 3 or 4 along both axes


class Segment(NamedTuple):
    """Units in blocks that are equal one after another."""

    start: int
    block: int
    times: int


def find_segments(labels: Indices) -> list[Segment]:
    """Find where blocks of two units and more repeat one after another.

    Examples
    --------
    >>> find_segments(np.array([0, 1, 2, 0, 1, 2, 3, 4, 3, 4, 5]))
    [Segment(start=0, block=3, times=2), Segment(start=6, block=2, times=2)]
    """
    units = len(labels)
    period = _period(labels)
    if period is not None:
        return [Segment(0, period, units // period)]
    return [
        Segment(start, gap, length // gap + 1) for start, length, gap in _runs(labels) if gap > 1 and length % gap == 0
    ]


def covers(segments: list[Segment], units: int) -> bool:
    """Whether segments cover every unit of an axis.

    Examples
    --------
    >>> covers([Segment(0, 3, 2), Segment(6, 2, 2)], 10), covers([Segment(0, 3, 2)], 7)
    (True, False)
    """
    end = 0
    for start, block, times in segments:
        if start != end:
            return False
        end = start + block * times
    return end == units


def find_heads(labels: Indices) -> int | None:
    """Find the size of the blocks that all equal units lie in, where each is of one head; None if they don't.

    Examples
    --------
    >>> labels = np.arange(64)
    >>> labels[32:48] = labels[:16]
    >>> find_heads(labels), find_heads(np.array([0, 1, 0, 2]))
    (16, None)
    """
    units = len(labels)
    if not labels.any():
        return None
    runs = _runs(labels)
    if not runs:
        return None
    sizes = [size for run in runs for size in (run[0], run[1], run[2])]
    block = int(np.gcd.reduce([*sizes, units]))
    return block if SMALLEST_HEAD <= block <= HEAD else None


def subpixel_group(labels: Indices) -> int | None:
    """Give the size of the groups of equal units that a sub-pixel kernel starts with; None if it has none.

    Examples
    --------
    >>> subpixel_group(np.repeat(np.arange(8), 4)), subpixel_group(np.tile(np.arange(8), 9))
    (4, 9)
    >>> subpixel_group(np.array([0, 0, 1, 1])) is None
    True
    """
    units, classes = len(labels), int(labels.max(initial=-1)) + 1
    if classes < 2 or units / classes not in SUBPIXEL:
        return None
    group = units // classes
    arrangements = (np.repeat(np.arange(classes), group), np.tile(np.arange(classes), group))
    return group if any(np.array_equal(labels, each) for each in arrangements) else None


def _period(labels: Indices) -> int | None:
    """Give the smallest period that divides the number of units, if it is more than one unit and less than all."""
    units = len(labels)
    for period in range(1, units // 2 + 1):
        if units % period == 0 and labels[period] == labels[0] and np.array_equal(labels[period:], labels[:-period]):
            return period if period > 1 else None
    return None


def _runs(labels: Indices) -> list[tuple[int, int, int]]:
    """Give the runs of units whose next equal unit is equally far: (start, length, distance)."""
    order = np.argsort(labels, kind="stable")
    gaps = np.zeros(len(labels), np.intp)
    same = labels[order[1:]] == labels[order[:-1]]
    gaps[order[:-1][same]] = (order[1:] - order[:-1])[same]
    edges = [0, *(np.flatnonzero(np.diff(gaps)) + 1).tolist(), len(gaps)]
    found: list[tuple[int, int, int]] = []
    for low, high in itertools.pairwise(edges):
        gap: Any = gaps[low]
        if gap:
            found.append((low, high - low, int(gap)))
    return found
