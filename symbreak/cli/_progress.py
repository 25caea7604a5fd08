"""Progress on stderr, on a terminal only, and only where rich is installed."""

import contextlib
import sys
from collections.abc import Callable, Iterator

Tell = Callable[[str, int, int], None]


@contextlib.contextmanager
def progress() -> Iterator[Tell | None]:
    """Give a function that is told the file, the arrays done and the arrays in all; or None."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.text import Text
    except ImportError:  # the extra [cli] is not installed
        yield None
        return
    from symbreak.reports import visible

    class Name(TextColumn):
        """The file, taken as text: a name is no markup."""

        def render(self, task: object) -> Text:
            return Text(visible(str(getattr(task, "description", "")), 40))

    bar = Progress(Name(""), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task("", total=None)
        yield lambda file, done, total: bar.update(task, description=file, completed=done, total=total)
