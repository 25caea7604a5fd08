"""Measuring side by side: contestants take turns, round after round, and their medians are compared.

Absolute times drift with the machine's load and clock; turns put the same drift on every contestant.
"""

import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Action = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One comparison: what symbreak does against what each peer does."""

    name: str
    peer: str
    ours: Action
    theirs: Action
    goal: float | None = None  # the ratio theirs / ours that is asked for, at least
    at_most: bool = False  # True where the goal is the largest ratio ours / theirs instead
    rounds: int = 9


@dataclass(frozen=True)
class Result:
    """The medians of a row, in seconds (or MiB, for memory), and their ratio."""

    name: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    goal: float | None
    at_most: bool
    samples: dict[str, list[float]] = field(repr=False)
    unit: str = "s"

    @property
    def met(self) -> bool | None:
        """Say whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal


def have(*packages: str) -> bool:
    """Say whether every package is installed."""
    return all(importlib.util.find_spec(package) is not None for package in packages)


@contextmanager
def compiled() -> Iterator[dict[str, str]]:
    """Give the environment of processes that keep the bytecode of what they import, as pip does when it installs."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        yield {**environment, "PYTHONPYCACHEPREFIX": folder}


def seconds(action: Action) -> float:
    """Time one call."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def measure(row: Row) -> Result:
    """Run both sides of a row in turns, after one warm-up each, the order swapped every round."""
    sides = {"ours": row.ours, "theirs": row.theirs}
    for action in sides.values():
        action()
    samples: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(row.rounds):
        for side in list(sides) if turn % 2 else list(sides)[::-1]:
            samples[side].append(seconds(sides[side]))
    ours, theirs = statistics.median(samples["ours"]), statistics.median(samples["theirs"])
    ratio = ours / theirs if row.at_most else theirs / ours
    return Result(row.name, row.peer, ours, theirs, ratio, row.goal, row.at_most, samples)
