"""Which tests run which line, and how long they take: measured once, and kept until a source or a test changes."""

import hashlib
import json
import os
import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from ._mutants import Mutant

KEPT = Path(".cache/mutation")


@dataclass(frozen=True)
class Map:
    """Seconds of the processor by test, and the tests that run each line, by file."""

    seconds: dict[str, float]
    lines: dict[str, dict[int, list[str]]]

    def tests(self, mutant: Mutant, kills: Counter[tuple[str, str]], budget: float) -> list[str]:
        """Give the tests that run the changed lines, until `budget` seconds are spent.

        First those that killed mutants of this function; then one case of each test, those named for the module first
        and the fastest first, then a second case of each, and so on.
        """
        found = {test for path, line in self._where(mutant) for test in self.lines.get(path, {}).get(line, ())}
        cases: Counter[str] = Counter()
        order: list[tuple[int, int, bool, float, str]] = []
        for test in sorted(found, key=lambda test: (self.seconds[test], test)):
            function = test.partition("[")[0]
            cases[function] += 1
            other = Path(mutant.path).stem not in Path(function.partition("::")[0]).stem
            order.append((-kills[mutant.path + mutant.scope, test], cases[function], other, self.seconds[test], test))
        chosen, spent = [], 0.0
        for *_, test in sorted(order):
            if spent > budget:
                break
            chosen.append(test)
            spent += self.seconds[test]
        return chosen

    def _where(self, mutant: Mutant) -> list[tuple[str, int]]:
        if mutant.scope:
            return [(mutant.path, line) for line in range(mutant.runs[0], mutant.runs[1] + 1)]
        word = re.compile(rf"\b{mutant.name}\b")
        return [
            (path, number)
            for path in self.lines
            for number, line in enumerate(Path(path).read_text().splitlines(), 1)
            if word.search(line)
        ]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"seconds": self.seconds, "lines": self.lines}))

    @classmethod
    def load(cls, path: Path) -> "Map":
        read = json.loads(path.read_text())
        lines = {path: {int(line): tests for line, tests in each.items()} for path, each in read["lines"].items()}
        return cls(read["seconds"], lines)


def place(sources: list[Path], tests: list[str], profile: str) -> Path:
    """Where the map of these files is kept: under a name that changes with what is in them."""
    digest = hashlib.sha256(profile.encode())
    files = [file for test in map(Path, tests) for file in ([test] if test.is_file() else sorted(test.rglob("*.py")))]
    for path in (*sources, *files):
        digest.update(path.read_bytes())
    return KEPT / f"{digest.hexdigest()[:16]}.json"


def measure(session, sources: list[Path], run) -> Map:
    """Run every test and note its lines. A test that fails, or is skipped, is left out: it can't judge."""
    os.environ["COVERAGE_CORE"] = "ctrace"  # the others don't tell the tests apart
    from coverage import Coverage

    coverage = Coverage(data_file=None, include=[str(path.resolve()) for path in sources], config_file=False)
    coverage.start()
    seconds, names = {}, {}
    for number, (item, following) in enumerate(zip(session.items, [*session.items[1:], None], strict=True)):
        coverage.switch_context(str(number))
        started = time.process_time()
        if run(item, following):
            seconds[item.nodeid] = time.process_time() - started
            names[str(number)] = item.nodeid
    coverage.stop()
    data = coverage.get_data()
    lines: dict[str, dict[int, list[str]]] = {}
    for path in sources:
        lines[str(path)] = found = defaultdict(list)
        for line, contexts in data.contexts_by_lineno(str(path.resolve())).items():
            found[line] = [names[each] for each in contexts if each in names]
    return Map(seconds, lines)
