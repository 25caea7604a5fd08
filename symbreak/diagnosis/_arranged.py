"""Equal units that lie so that their cause can be told: heads (SB205), stacked copies (SB206), shards (SB207)."""

import numpy as np

from symbreak.findings import Finding
from symbreak.reports import fold_units

from ._names import head_axis, is_member, parts, words
from ._purpose import judge_subpixel
from ._repeats import Segment, covers, find_heads, find_segments
from ._ties import Ties
from ._units import RECEPTIVE

CONVOLUTIONS = frozenset({"conv", "convs", "convolution", "depthwise", "dwconv", "patch"})
LISTED = 8  # classes in a message before it is cut short


def stack_axis(name: str, shape: tuple[int, ...]) -> int | None:
    """Say along which axis of an array copies are stacked, each a weight of its own; None if along none.

    Arrays of three axes are stacks along the first, unless the last is as short as a kernel or the name says
    convolution. Of more axes only those are whose names speak of experts or members.

    Examples
    --------
    >>> stack_axis("experts.gate_up_proj", (8, 64, 128)), stack_axis("conv1d/kernel", (3, 64, 128))
    (0, None)
    >>> stack_axis("features.0.weight", (64, 32, 3)), stack_axis("a", (64, 32))
    (None, None)
    """
    if len(shape) < 3 or shape[0] < 2 or sum(length > 1 for length in shape[1:]) < 2:
        return None
    if not words(name).isdisjoint(CONVOLUTIONS):
        return None
    named = any(is_member(part) for part in parts(name))
    return 0 if named or (len(shape) == 3 and shape[2] > RECEPTIVE) else None


def judge_stack(where: str, name: str, dimensions: int, ties: Ties) -> list[Finding]:
    """Judge the copies along a stack's axis; those that are all zeros don't count."""
    zero = set(ties.zero.tolist())
    groups = tuple(group for group in ties.groups if group[0] not in zero)
    if not groups:
        return []
    heads = head_axis(name, dimensions) is not None
    count, of = sum(map(len, groups)), len(ties.labels)
    what, code = ("heads", "SB205") if heads else ("copies", "SB206")
    return [
        Finding.of(
            code, where, f"{_some(count, of)} {what} {_are(groups)} equal, value for value: {_list(groups)}", groups
        )
    ]


def judge_arranged(where: str, name: str, shape: tuple[int, ...], axis: int, ties: Ties) -> list[Finding] | None:
    """Judge equal units by how they are arranged along an axis; None if they lie anyhow."""
    labels = ties.labels
    if not labels.any() or int(labels.max()) + 1 == len(labels):  # they are numbered by first occurrence
        return None
    along = head_axis(name, len(shape)) == axis
    if along and len(shape) > 2:
        return judge_stack(where, name, len(shape), ties) or None
    if along and (block := find_heads(labels)) is not None:
        return [_heads(where, ties, block)]
    subpixel = judge_subpixel(where, labels, len(shape))
    if subpixel is not None:
        return [subpixel]
    segments = find_segments(labels)
    if covers(segments, len(labels)):
        return [_blocks(where, ties, segments)]
    return None


def _heads(where: str, ties: Ties, block: int) -> Finding:
    heads = ties.labels[::block]
    count = len(heads)
    groups = [np.flatnonzero(heads == label).tolist() for label in np.unique(heads)]
    several = tuple(tuple(group) for group in groups if len(group) > 1)
    tied = sum(map(len, several))
    text = (
        f"{_some(tied, count)} blocks of {block} units {_are(several)} equal: {_list(several)}; they are identical "
        f"heads, if a head has {block} units or a part of that, or else shards drawn from one seed"
    )
    return Finding.of("SB205", where, text, ties.groups)


def _blocks(where: str, ties: Ties, segments: list[Segment]) -> Finding:
    if len(segments) == 1:
        _, block, count = segments[0]
        text = f"the {len(ties.labels)} units are {count} times the same block of {block}"
    else:
        listed = [f"units {low}-{low + block * count - 1} are {count} times {block}" for low, block, count in segments]
        rest = "; ..." if len(listed) > LISTED else ""
        text = f"each of {len(segments)} parts repeats itself: {'; '.join(listed[:LISTED])}{rest}"
    return Finding.of("SB207", where, text, ties.groups)


def _some(count: int, of: int) -> str:
    return f"all {of}" if count == of else f"{count} of {of}"


def _are(groups: tuple[tuple[int, ...], ...]) -> str:
    return "are" if len(groups) == 1 else f"form {len(groups)} classes that are"


def _list(groups: tuple[tuple[int, ...], ...]) -> str:
    return "; ".join(fold_units(group) for group in groups[:LISTED]) + ("; ..." if len(groups) > LISTED else "")
