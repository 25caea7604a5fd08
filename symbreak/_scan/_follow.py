"""Checkpoints of one run, told by the numbers in their names, and how units that are equal in one come apart in others.

What was found says which units to follow, so that of a healthy run nothing is read again.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias, final

import numpy as np

from symbreak._growth import Growth, spread_of
from symbreak.diagnosis import unit_axes
from symbreak.findings import Finding
from symbreak.reports import Report, split_place

from ._entries import Entry
from ._judge import UNREADABLE, unread
from ._step import Step

if TYPE_CHECKING:
    from symbreak.checkpoints import Checkpoint

EQUAL = ("SB101", "SB102", "SB103")
MOST = 512  # classes of one weight that are followed
# A word before the number of a checkpoint, and what the number counts. That of a checkpoint is its step.
WORDS = {
    "global_step": "step", "globalstep": "step", "steps": "step", "step": "step",
    "checkpoints": "step", "checkpoint": "step", "ckpt": "step", "chkpt": "step", "snapshot": "step",
    "updates": "update", "update": "update", "iterations": "iteration", "iteration": "iteration",
    "iters": "iteration", "iter": "iteration", "epochs": "epoch", "epoch": "epoch", "tokens": "token",
}  # fmt: skip
NUMBER = re.compile(rf"(?<![a-zA-Z])({'|'.join(WORDS)})[-_= ]*([0-9]{{1,15}})(k|m|b)?(?![a-zA-Z0-9])", re.IGNORECASE)
TIMES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
PLACE = re.compile(r"(.*?)(?:, axis ([0-9]+))?", re.DOTALL)

Groups = tuple[tuple[int, ...], ...]


@final
@dataclass(frozen=True)
class Run:
    """Files that one run wrote, in order.

    Parameters
    ----------
    name
        Their path, with ``*`` where they differ.
    along
        What their numbers count.
    places
        The number of each, rising.
    entries
        The files.
    """

    name: str
    along: str
    places: tuple[int, ...]
    entries: tuple[Entry, ...]


@final
@dataclass(frozen=True)
class _Units:
    """Units of one weight to be followed through the files of a run."""

    groups: Groups  # empty: all units are one class
    source: str


Placed: TypeAlias = dict[str, list[tuple[str, Finding]]]
Followed: TypeAlias = dict[str, dict[int | None, _Units]]
Guard: TypeAlias = Callable[[Sequence[Entry], Callable[[int], Iterator[Step]]], Iterator[Step]]


def find_runs(entries: Sequence[Entry]) -> list[Run]:
    """Find the files whose paths differ in nothing but the number behind a word such as step or epoch.

    Where several such numbers differ, as in ``epoch=2-step=400``, the last that rises with every file counts.

    Examples
    --------
    >>> runs = find_runs([Entry(f"runs/step-{step}.npz") for step in (100, 20, 3)])
    >>> runs[0].name, runs[0].along, runs[0].places
    ('runs/step-*.npz', 'step', (3, 20, 100))
    """
    alike: dict[tuple[str, tuple[str, ...]], list[tuple[tuple[int, ...], Entry]]] = {}
    for entry in entries:
        found = list(NUMBER.finditer(entry.path))
        if entry.fault is None and found:
            words = tuple(WORDS[match[1].lower()] for match in found)
            numbers = tuple(int(match[2]) * TIMES[(match[3] or "").lower()] for match in found)
            alike.setdefault((_starred(entry.path, found), words), []).append((numbers, entry))
    runs = []
    for (name, words), files in alike.items():
        files.sort(key=lambda each: each[0])
        columns = list(zip(*(numbers for numbers, _ in files), strict=True))
        rising = [n for n, column in enumerate(columns) if all(a < b for a, b in pairwise(column))]
        if len(files) > 1 and rising:
            runs.append(Run(name, words[rising[-1]], columns[rising[-1]], tuple(entry for _, entry in files)))
    return runs


def one_run(entries: Sequence[Entry]) -> list[Run]:
    """Take files for those of one run, in the order in which they are given."""
    files = tuple(entry for entry in entries if entry.fault is None)
    return [Run("in the order given", "file", tuple(range(1, len(files) + 1)), files)] if len(files) > 1 else []


def with_growth(report: Report, runs: Iterable[Run], guard: Guard | None = None) -> Report:
    """Add to what was found in the files of runs how units that are equal in one file come apart in others.

    Parameters
    ----------
    report
        Of all files.
    runs
        Which of them belong together.
    guard
        Runs the reading where it can do no harm, as `guarded` does; None reads here.

    Returns
    -------
    Report
        What can't be read any more, and could be before, is reported.
    """
    told = {skipped.where for skipped in report.skipped}
    parts = [replace(report, growth=())]
    runs = list(runs)
    placed = _by_file(report.findings, {entry.path for run in runs for entry in run.entries})
    for run in runs:
        followed = _to_follow(run, placed)
        if not followed:
            continue
        steps = partial(_follow, run, followed)
        taken = steps(0) if guard is None else guard(run.entries, steps)
        reports = (step.report for step in taken)
        parts += [each for each in reports if not told.intersection(skipped.where for skipped in each.skipped)]
    return _joined(Report.merged(parts)) if len(parts) > 1 else parts[0]


def _follow(run: Run, followed: Followed, begin: int) -> Iterator[Step]:
    """Yield a step a file, with a `Growth` of one look for each weight."""
    from symbreak.checkpoints import open_checkpoint

    for number in range(begin, len(run.entries)):
        path = run.entries[number].path
        yield Step(number, Report())  # what ends the reading now is of this file
        try:
            with open_checkpoint(path) as checkpoint:
                for name, axes in followed.items():
                    if name in checkpoint.tensors:
                        yield Step(number, _look(run, number, checkpoint, name, axes))
        except UNREADABLE as error:
            yield Step(number, unread(path, error))


def _joined(report: Report) -> Report:
    """Join the looks at each weight, in the order of the files; one look shows no growth."""
    looks: dict[tuple[str, str], list[Growth]] = {}
    for each in report.growth:
        looks.setdefault((each.run, each.where), []).append(each)
    joined = []
    for some in looks.values():
        columns = zip(*((*each.places, *each.spread, *each.files) for each in some), strict=True)
        places, spread, files = (tuple(column) for column in columns)
        if len(some) > 1:
            joined.append(replace(some[0], places=places, spread=spread, files=files))
    return replace(report, growth=tuple(joined))


def _starred(path: str, found: "Sequence[re.Match[str]]") -> str:
    parts, begin = [], 0
    for match in found:
        parts += [path[begin : match.start(2)], "*"]
        begin = match.end(3) if match[3] else match.end(2)
    return "".join([*parts, path[begin:]])


def _by_file(findings: Iterable[Finding], paths: Collection[str]) -> Placed:
    """Give the findings of equal units in each file, and the place of each within it."""
    found: Placed = {path: [] for path in paths}
    for finding in findings:
        if finding.code in EQUAL:
            path, rest = split_place(finding.where, paths)
            if path and rest:
                found[path].append((rest, finding))
    return found


def _to_follow(run: Run, placed: Placed) -> Followed:
    """Give, for each tensor, the axes and classes to follow; the axis is None where it is every axis of units."""
    first: dict[tuple[str, int | None], tuple[int, list[Finding]]] = {}
    for number, entry in enumerate(run.entries):
        for rest, finding in placed[entry.path]:
            match = PLACE.fullmatch(rest)
            assert match is not None  # noqa: S101 - it takes any text
            key = (match[1], None if match[2] is None else int(match[2]))
            found = first.setdefault(key, (number, []))
            if found[0] == number:
                found[1].append(finding)
    followed: Followed = {}
    for (name, axis), (_, some) in first.items():
        groups = () if any(not each.groups for each in some) else _classes(some)
        followed.setdefault(name, {})[axis] = _Units(groups, some[0].where)
    return followed


def _classes(findings: Sequence[Finding]) -> Groups:
    """Give the classes of findings, the widest first where one holds units of another."""
    groups = sorted((group for finding in findings for group in finding.groups), key=len, reverse=True)
    taken, kept = set[int](), []
    for group in groups[:MOST]:
        if len(group) > 1 and taken.isdisjoint(group):
            taken.update(group)
            kept.append(group)
    return tuple(sorted(kept))


def _look(run: Run, number: int, checkpoint: "Checkpoint", name: str, axes: Mapping[int | None, _Units]) -> Report:
    """Measure one weight in one file."""
    path, shape = run.entries[number].path, checkpoint.tensors[name].shape
    wanted: dict[int, _Units] = {}
    for axis, each in axes.items():
        for one in unit_axes(shape) if axis is None else (axis,):
            wanted.setdefault(one, each)
    found = []
    try:
        array = checkpoint[name]
        for axis, each in wanted.items():
            units = shape[axis] if axis < len(shape) else 0
            groups = each.groups or (tuple(range(units)),)
            if len(shape) < 2 or units < 2 or any(group[-1] >= units for group in groups):
                continue  # it has another shape in this file
            spread = spread_of(np.moveaxis(array, axis, 0), groups)
            if math.isfinite(spread):
                count, place = sum(map(len, groups)), f"{name}, axis {axis}"
                facts = (place, count, len(groups), (run.places[number],), (spread,), run.along, run.name)
                found.append(Growth(*facts, (path,), each.source))
    except UNREADABLE as error:
        return unread(f"{path}: {name}", error)
    return Report(growth=tuple(found))
