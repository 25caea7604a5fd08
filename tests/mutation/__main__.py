"""The command: which mutants, the table of what became of them, and the survivors as diffs."""

import argparse
import importlib
import random
import re
import sys
import tempfile
import time
from collections import Counter
from math import sqrt
from pathlib import Path

import pytest

from ._map import place
from ._mutants import Mutant, mutants
from ._run import KILLED, NO_TESTS, SURVIVED, TIMED_OUT, Runner

TESTS = {
    "diagnosis": ["tests/diagnosis", "tests/catalogue/test_catalogue.py"],
    "repair": ["tests/repair", "tests/diagnosis/test_masks.py", "tests/diagnosis/test_partition_copies.py"],
    "streams": ["tests/streams"],
}
OPTIONS = ("-n", "0", "-q", "-p", "no:cacheprovider", "-p", "no:faulthandler")
MARKS = "not slow and not exhaustive and not cluster"
VERDICTS = (KILLED, TIMED_OUT, SURVIVED, NO_TESTS)


def interval(part: int, whole: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval for a share: at 95 % by default."""
    share, square = part / whole, z * z / whole
    middle, half = share + square / 2, z * sqrt(share * (1 - share) / whole + square / (4 * whole))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


def table(verdicts: list[tuple[Mutant, str]], of: int) -> str:
    """Give the verdicts by file, and the share that was killed with its interval."""
    counts: dict[str, Counter[str]] = {}
    for mutant, verdict in verdicts:
        counts.setdefault(mutant.path, Counter())[verdict] += 1
    total = sum(counts.values(), Counter())
    rows = [*sorted(counts.items()), ("all", total)]
    lines = [f"{'':36}" + "".join(f"{each:>11}" for each in VERDICTS)]
    lines += [f"{path:36}" + "".join(f"{count[each]:>11}" for each in VERDICTS) for path, count in rows]
    killed, whole = total[KILLED] + total[TIMED_OUT], len(verdicts)
    low, high = interval(killed, whole)
    lines.append(
        f"\n{killed} of {whole} mutants killed, of {of} that there are: "
        f"{killed / whole:.1%} ({low:.1%} to {high:.1%} at 95 %)"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("package", choices=TESTS, help="the part of symbreak to change")
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants, drawn by --seed (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="TEXT", help="of those, the mutants with TEXT in their names")
    parser.add_argument(
        "--again", action="store_true", help="try those that the last run left (after tests were added)"
    )
    parser.add_argument("--budget", type=float, default=20, metavar="S", help="seconds of tests a mutant (default: 20)")
    parser.add_argument("--profile", default="brief", help="of Hypothesis (default: brief)")
    parser.add_argument("--output", type=Path, help="where survivors go (default: .cache/mutation/PACKAGE.diff)")
    options = parser.parse_args(arguments)

    folder = Path("symbreak", options.package)
    if not folder.is_dir():
        parser.error(f"{folder} is not here; run this in the folder that holds pyproject.toml")
    sources = sorted(folder.glob("*.py"))
    texts = {str(path): path.read_text() for path in sources}
    every = [mutant for path, text in texts.items() for mutant in mutants(path, text)]
    output = options.output or Path(".cache/mutation", f"{options.package}.diff")
    chosen = random.Random(options.seed).sample(every, len(every))  # so that a run that is stopped is a sample
    if options.again:
        if not output.exists():
            parser.error(f"--again reads {output}, which is not there: run without it first")
        chosen = [every[int(number)] for number in re.findall(r"^# (\d+) ", output.read_text(), re.MULTILINE)]
    elif options.sample is not None:
        chosen = chosen[: options.sample]
    chosen = [each for each in chosen if options.only in str(each)]
    if not chosen:
        parser.error(f"no mutant is named like {options.only!r}; names are like '{every[0]}'")

    started = time.monotonic()

    def tell(line: str) -> None:
        sys.__stderr__.write(f"{time.monotonic() - started:6.0f} s  {line}\n")
        sys.__stderr__.flush()

    for path in sources:
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
    tests = TESTS[options.package]
    runner = Runner(sources, place(sources, tests, options.profile), options.profile, options.budget, chosen, tell)
    with tempfile.TemporaryDirectory() as scratch:
        status = pytest.main(
            [*OPTIONS, "-m", MARKS, f"--basetemp={scratch}/tests", *tests],
            plugins=[runner],
        )
    if not runner.verdicts:
        return int(status) or 1

    output.parent.mkdir(parents=True, exist_ok=True)
    numbers = {mutant: number for number, mutant in enumerate(every)}
    runner.verdicts.sort(key=lambda each: numbers[each[0]])
    output.write_text(
        "\n".join(
            f"# {numbers[mutant]} {verdict}\n{mutant.diff(texts[mutant.path])}"
            for mutant, verdict, _ in runner.verdicts
            if verdict in (SURVIVED, NO_TESTS)
        )
    )
    print(table([(mutant, verdict) for mutant, verdict, _ in runner.verdicts], len(every)))
    print(f"survivors: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
