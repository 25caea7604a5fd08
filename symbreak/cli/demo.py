"""Train one network on handwritten digits from two starts, and diagnose both.

Everything is the same but the start: Constant(0.5), whose hidden units stay tied, and HeNormal(). The digits come with
the package. Both networks are saved as safetensors, the diagnostic reads the files, and a picture shows the rest.
Findings are expected here, so the exit code is 0 when the files were written, and 2 when they could not be.
"""

import argparse
import contextlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from symbreak._table import table
from symbreak.cli._output import wants_colour
from symbreak.errors import MissingExtra
from symbreak.reports import fold_units, to_text, visible

if TYPE_CHECKING:
    from symbreak.demo import Digits, Outcome, Start, Tell

Bars: TypeAlias = "Callable[[Start], Tell | None]"

PICTURE = "demo.png"
MOST_STEPS = 10**8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a folder, a seed and a number of steps."""
    parser.add_argument(
        "--output", metavar="DIR", default="symbreak-demo", help="the folder to write to (default: symbreak-demo)"
    )
    parser.add_argument("--seed", metavar="N", type=_count(0), default=0, help="what is drawn (default: 0)")
    parser.add_argument(
        "--steps",
        metavar="N",
        type=_count(1, MOST_STEPS),
        default=3000,
        help="how long each network is trained (default: 3000)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, save, diagnose, draw, and print what came of it."""
    from symbreak import demo

    digits = demo.load_digits()
    names = (*(_file(start) for start in demo.STARTS), PICTURE)
    written = list(names)
    try:
        with demo.claimed(arguments.output, names) as folder:
            with _bars(arguments.steps) as bar:
                runs = [
                    demo.train_from(start, digits, seed=arguments.seed, steps=arguments.steps, tell=bar(start))
                    for start in demo.STARTS
                ]
            outcomes = tuple(demo.save_and_judge(run, folder / _file(run.start)) for run in runs)
            try:
                demo.save_picture(outcomes, folder / PICTURE)
            except MissingExtra as error:
                written.remove(PICTURE)
                _say(str(error))
    except OSError as error:
        _say(f"cannot write to {visible(arguments.output)}: {error.strerror or error}")
        return 2
    print(_text(digits, outcomes, arguments.seed, [folder / name for name in written]))
    return 0


def _text(digits: "Digits", outcomes: "tuple[Outcome, ...]", seed: int, written: list[Path]) -> str:
    from symbreak import demo

    steps = int(outcomes[0].run.steps[-1])
    train, test = len(digits.train[1]), len(digits.test[1])
    setting = (
        f"{train + test:,} handwritten digits, 8 x 8 pixels: {train:,} to train on, {test} to test on. 64 inputs, "
        f"{demo.HIDDEN} tanh units, 10 outputs, {steps:,} step{'s' * (steps != 1)} of SGD, "
        f"seed {seed}: only the start differs."
    )
    rows = [
        [
            outcome.run.start.name,
            f"{outcome.run.accuracy:.1%}",
            f"{outcome.run.loss:.4f}",
            f"{outcome.distinct} of {outcome.units}",
            _short(outcome),
        ]
        for outcome in outcomes
    ]
    header = ("start", "test accuracy", "training loss", "distinct units", "verdict")
    blank = (
        f"Axis 1 of layers.0.weight is the pixels; {fold_units(digits.blank.tolist())} are blank in every image, so "
        "no step moves their weights apart."
    )
    tied = [to_text(outcome.report, colour=wants_colour()) for outcome in outcomes if outcome.report.findings]
    return "\n\n".join(
        [
            textwrap.fill(setting, 80),
            table(header, rows, right=(1, 2, 3)),
            *tied,
            textwrap.fill(blank, 80),
            "\n".join(["written:", *(f"    {visible(os.fspath(path))}" for path in written)]),
        ]
    )


def _short(outcome: "Outcome") -> str:
    """Give the verdict without what was read."""
    summary = outcome.report.summary
    counts = [(summary[f"{level}s"], level) for level in ("error", "warning", "note")]
    return ", ".join(f"{n} {level}{'s' * (n != 1)}" for n, level in counts if n) or "clean"


def _file(start: "Start") -> str:
    return f"{start.file}.safetensors"


def _say(text: str) -> None:
    print(f"symbreak: {text}", file=sys.stderr)


def _count(least: int, most: int | None = None) -> Callable[[str], int]:
    def count(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{visible(repr(text))} is no whole number of {least} or more")
        if most is not None and number > most:
            raise argparse.ArgumentTypeError(f"{visible(text)} is more than {most:,}, which is days of training")
        return number

    return count


def _no_bar(start: "Start") -> None:
    """Show nothing."""


@contextlib.contextmanager
def _bars(steps: int) -> Iterator[Bars]:
    """Give a function that gives each start a live bar on stderr, or None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield _no_bar
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    except ImportError:
        _say(str(MissingExtra("rich", "cli", "the progress bar")))
        yield _no_bar
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TextColumn("steps, test accuracy {task.fields[accuracy]:5.1%}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def bar(start: "Start") -> "Tell":
            task = progress.add_task(f"{start.name:<13}", total=steps, accuracy=0.0)
            return lambda done, accuracy: progress.update(task, completed=done, accuracy=accuracy)

        yield bar
