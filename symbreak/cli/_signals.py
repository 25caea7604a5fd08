"""Signals that end a process, made exceptions: what was begun is taken away, as it is after an interrupt."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(BaseException):
    """Somebody ended the process.

    Attributes
    ----------
    code
        The exit code that shells give for the signal: 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


@contextmanager
def raising() -> Iterator[None]:
    """Raise :class:`Ended` in the main thread when such a signal comes, once; one that is ignored stays so."""
    if threading.current_thread() is not threading.main_thread():  # it alone may say what signals do
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    taken = [number for number, handler in before.items() if handler is signal.SIG_DFL]

    def end(number: int, _: Any) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_IGN)  # another must not interrupt the taking away
        raise Ended(number)

    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])
