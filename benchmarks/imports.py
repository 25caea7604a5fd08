"""The time that importing an initializer adds to ``import numpy``, each in a fresh process."""

import statistics
import subprocess
import sys
from collections.abc import Iterator

from ._measure import Result, compiled, seconds

GOAL = 0.060  # seconds over NumPy


def results(rounds: int = 15) -> Iterator[Result]:
    """Yield one result whose ratio is the time added, in seconds."""
    scripts = {"symbreak": "from symbreak import HeNormal, Key", "numpy": "import numpy"}
    samples: dict[str, list[float]] = {"symbreak": [], "numpy": []}
    with compiled() as environment:
        for turn in range(rounds + 1):
            for package, script in scripts.items():
                command = [sys.executable, "-c", script]
                taken = seconds(lambda command=command: subprocess.run(command, check=True, env=environment))
                if turn:  # the first round compiles, and fills the file cache
                    samples[package].append(taken)
    ours, theirs = (statistics.median(samples[package]) for package in samples)
    added = statistics.median(a - b for a, b in zip(samples["symbreak"], samples["numpy"], strict=True))
    yield Result("import, seconds over numpy", "import numpy", ours, theirs, added, GOAL, True, samples)
