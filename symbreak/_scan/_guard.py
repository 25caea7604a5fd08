"""A scan in a process of its own, so that whatever ends it is reported, and the other files are still judged.

Files are mapped. One that is cut short while it is read, as a training run does that saves over its checkpoint, makes
the system end whoever touches the part that is gone (SIGBUS); one that needs too much memory can have the same effect.
So the scan runs in a fork, which costs a millisecond, and what it judged comes through a pipe, step by step.
"""

import os
import pickle
import signal
import struct
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import NoReturn

from ._entries import Entry
from ._judge import unread
from ._step import Step

LENGTH = struct.Struct("<Q")
PATIENCE = 2.0  # seconds that a scan is given to end when it is told to
REASONS = {signal.SIGBUS: "was cut short while it was read"} if hasattr(signal, "SIGBUS") else {}
FIX = "check it again when nothing writes to it, on a machine with memory enough"


def guarded(entries: Sequence[Entry], steps: Callable[[int], Iterator[Step]]) -> Iterator[Step]:
    """Yield the steps of a scan that runs in a fork; where there can be none, it runs here.

    Parameters
    ----------
    entries
        What is scanned.
    steps
        Gives the steps of the entries from a number on.
    """
    if sys.platform != "linux" or threading.active_count() > 1:  # a fork takes over locks, but not who holds them
        yield from steps(0)
        return
    begin = 0
    while begin < len(entries):
        last = begin
        scanning = _Fork(partial(steps, begin))
        for step in scanning:
            last = step.entry
            yield step
        if scanning.code == 0:
            return
        yield Step(last, unread(entries[last].path, _how(scanning.code), FIX))
        begin = last + 1


class _Fork:
    """The steps that a forked process takes; when they are over, `code` says how it ended."""

    def __init__(self, steps: Callable[[], Iterator[Step]]) -> None:
        self.code = 0
        ours, theirs = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of a BLAS are no threads of ours
            self._child = os.fork()
        if self._child == 0:
            os.close(ours)
            _serve(steps, theirs)
        os.close(theirs)
        self._pipe = os.fdopen(ours, "rb")

    def __iter__(self) -> Iterator[Step]:
        whole = False
        try:
            with self._pipe as pipe:
                while len(head := pipe.read(LENGTH.size)) == LENGTH.size:
                    (size,) = LENGTH.unpack(head)
                    data = pipe.read(size)
                    if len(data) < size:
                        break
                    item = pickle.loads(data)  # noqa: S301 - our own process wrote it
                    if isinstance(item, BaseException):
                        raise item
                    yield item
            whole = True
        finally:
            self.code = self._wait(patient=whole)

    def _wait(self, *, patient: bool) -> int:
        if not patient:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGTERM)
            timer = threading.Timer(PATIENCE, os.kill, (self._child, signal.SIGKILL))
            timer.start()
        code = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        if not patient:
            timer.cancel()
        return code


def _serve(steps: Callable[[], Iterator[Step]], handle: int) -> NoReturn:
    """Write the steps, or what went wrong, and end without what the parent has to do at its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends this one
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that children are ended on the way
    code = 1
    try:
        with os.fdopen(handle, "wb") as pipe:
            try:
                for step in steps():
                    _write(pipe.write, step)
                    pipe.flush()
            except Exception as error:
                error.add_note("".join(traceback.format_exception(error)))
                _write(pipe.write, error)
        code = 0
    finally:
        os._exit(code)


def _write(write: Callable[[bytes], object], item: Step | Exception) -> None:
    data = pickle.dumps(item)
    write(LENGTH.pack(len(data)))
    write(data)


def _how(code: int) -> str:
    """Say what a scan that ended early means for the file that it read."""
    if code >= 0:
        return f"the process that read it ended with code {code}"
    name = signal.Signals(-code).name if -code in {int(each) for each in signal.Signals} else f"signal {-code}"
    return REASONS.get(-code, f"the process that read it was ended by {name}")  # type: ignore[call-overload,no-any-return]
