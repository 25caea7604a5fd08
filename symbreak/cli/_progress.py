"""Progress on stderr, on a terminal only, and only where rich is installed."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symbreak._scan import Entry, Step

Tell = Callable[["Step"], None]
UNITS = ("B", "kB", "MB", "GB", "TB")


@contextlib.contextmanager
def progress(entries: "Sequence[Entry]") -> Iterator[Tell]:
    """Give a function that is told of each step of a scan of these entries."""
    if not sys.stderr.isatty():
        yield _keep_quiet
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
    except ImportError:  # the extra [cli] is not installed
        yield _keep_quiet
        return
    from symbreak.reports import visible

    account = Account([entry.size for entry in entries])
    columns = TextColumn("{task.fields[name]}", markup=False), BarColumn(20), TextColumn("{task.description}")
    begin = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", name="", total=None)

        def tell(step: "Step") -> None:
            account.add(step)
            name = visible(entries[step.entry].path, 24)
            text = account.describe(time.monotonic() - begin)
            bar.update(task, name=name, description=text, completed=account.done, total=account.total)

        yield tell


def _keep_quiet(_: "Step") -> None:
    """Tell nobody."""


class Account:
    """How many bytes have been judged, and how many there are, as far as is known.

    Parameters
    ----------
    sizes
        The bytes of each file.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = list(sizes)  # those of its arrays, once a file is open
        self._entry, self._read = 0, 0

    def add(self, step: "Step") -> None:
        """Take note of a step."""
        if step.size:
            self._sizes[step.entry] = step.size
        self._entry, self._read = step.entry, step.read

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(self._sizes)

    @property
    def done(self) -> int:
        """Those that have been judged."""
        return sum(self._sizes[: self._entry]) + self._read

    def describe(self, seconds: float) -> str:
        """Say which file is in work, at what rate, and how long the others will take."""
        text = f"file {self._entry + 1} of {len(self._sizes)}"
        if not self.done or seconds <= 0:
            return text
        rate = self.done / seconds
        left = timedelta(seconds=round((self.total - self.done) / rate))
        return f"{text}, {_with_unit(rate)}/s, {left} left"


def _with_unit(amount: float) -> str:
    """Write bytes with three digits.

    Examples
    --------
    >>> _with_unit(12), _with_unit(1234567), _with_unit(9.99e20)
    ('12 B', '1.23 MB', '9.99e+08 TB')
    """
    for unit in UNITS[:-1]:
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} {UNITS[-1]}"
