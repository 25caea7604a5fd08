"""How far a run has come: told to a function, or shown on stderr with the rate and the time left."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeAlias

Progress: TypeAlias = "bool | Callable[[int, int], object] | None"

PAUSE = 0.1  # seconds between two writings of a line


class Watch:
    """What a run tells how far it has come; this one keeps it to itself."""

    def within(self, done: float) -> None:
        """Take note of a batch that is being trained: how many starts would be as much work."""

    def finished(self, done: int) -> None:
        """Take note of a finished batch: how many starts are trained."""


@contextlib.contextmanager
def watching(progress: Progress, before: int, starts: int) -> Iterator[Watch]:
    """Give what to tell.

    Parameters
    ----------
    progress
        As `restarts` takes it.
    before
        How many starts are trained already.
    starts
        How many there are.
    """
    terminal = sys.stderr.isatty()
    if callable(progress):
        yield _Told(progress, starts)
    elif progress not in (None, True, False):
        raise TypeError(
            f"`progress` is True, False, None for a bar on terminals only, or a function of how many starts are "
            f"trained and how many there are; got {progress!r}"
        )
    elif not (terminal if progress is None else progress):
        yield Watch()
    elif not terminal:
        yield _Lines(before, starts)
    else:
        with _bar(before, starts) as watch:
            yield watch


class _Told(Watch):
    """Calls a function."""

    def __init__(self, function: Callable[[int, int], object], starts: int) -> None:
        self._function, self._starts = function, starts

    def finished(self, done: int) -> None:
        self._function(done, self._starts)


class _Lines(Watch):
    """Writes a line for each batch, as fits a log file."""

    def __init__(self, before: int, starts: int) -> None:
        self._before, self._starts, self._begin = before, starts, time.monotonic()

    def _text(self, done: float) -> str:
        return describe(done, self._before, self._starts, time.monotonic() - self._begin)

    def finished(self, done: int) -> None:
        sys.stderr.write(f"{self._text(done)}\n")
        sys.stderr.flush()


class _OneLine(_Lines):
    """Writes over the same line again and again, as fits a terminal."""

    def __init__(self, before: int, starts: int) -> None:
        super().__init__(before, starts)
        self._written = -PAUSE
        self._width = 0

    def within(self, done: float) -> None:
        if time.monotonic() >= self._written + PAUSE:
            self._write(self._text(done))

    def finished(self, done: int) -> None:
        self._write(self._text(done))

    def close(self) -> None:
        self._write("")
        sys.stderr.write("\r")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r{text:<{self._width}}")
        sys.stderr.flush()
        self._written, self._width = time.monotonic(), len(text)


@contextlib.contextmanager
def _bar(before: int, starts: int) -> Iterator[Watch]:
    """Show a bar where rich is installed, and else a plain line. Neither is left behind."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar
    except ImportError:  # the extra [cli] is not installed
        line = _OneLine(before, starts)
        try:
            yield line
        finally:
            line.close()
        return

    class Rich(_Lines):
        def within(self, done: float) -> None:
            bar.update(task, completed=done, description=self._text(done))

        def finished(self, done: int) -> None:
            self.within(done)

    columns = BarColumn(), TextColumn("{task.description}", markup=False)
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(describe(before, before, starts, 0), total=starts, completed=before)
        yield Rich(before, starts)


def describe(done: float, before: int, starts: int, seconds: float) -> str:
    """Say how many starts are trained, at what rate in this run, and how long the others will take.

    Parameters
    ----------
    done
        How many are trained, those of the batch in work by their share.
    before
        How many of them were when this run began.
    starts
        How many there are.
    seconds
        Since then.
    """
    text = f"{int(done)} of {starts} starts"
    if done <= before or seconds <= 0:
        return text
    rate = (done - before) / seconds
    left = timedelta(seconds=round((starts - done) / rate))
    return f"{text}, {rate:.3g} a second, {left} left"
