"""One input to the readers: whatever its bytes, it is read or refused, soon, and in little memory."""

import contextlib
import faulthandler
import io
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from symbreak.checkpoints import _hdf5_file, find_checkpoints, open_checkpoint
from symbreak.errors import BadCheckpoint, MissingExtra
from symbreak.reports import visible

HANG = 5  # seconds in HDF5, which no alarm interrupts, after which `watched` ends the process with exit code 1
SECONDS = 20  # for one input; the longest that a sound file of this size takes is a hundredth of it
MEMORY = 2 << 30  # bytes of address space beyond those at the start
MOST = 1 << 26  # bytes of arrays that are read of one input; what a deflated stream holds is more than its file


class TooSlow(BaseException):
    """An input took too long."""


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Bound the memory of this process, and make the alarm an exception."""

    def ring(*_: object) -> None:
        raise TooSlow(f"no answer within {SECONDS} seconds")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    old = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, before)


class Here:
    """The process that reads HDF5, without the process: its code runs in this one, and a fault of it is one of ours.

    What the code itself says of a file is a ValueError; the process would tell any other exception as well.
    """

    def __init__(self, source, module, *, begin=0, size=None, options=None, opened=None):
        from symbreak.checkpoints import _hdf5_child  # takes h5py, which nothing else loads here

        assert module == _hdf5_child.__name__
        if opened is None:
            data = source.data[begin : source.size if size is None else begin + size]
        else:
            with os.fdopen(opened(), "rb") as file:
                file.seek(begin)
                data = file.read(-1 if size is None else size)
        self._source, self._child, self._file, self._options = source, _hdf5_child, io.BytesIO(data), options or {}
        self._served = None

    def describe(self):
        """Give what the process would send."""
        try:
            self._served = self._child.serve(self._file, self._options)
            return json.loads(json.dumps(self._served.describe()))
        except ValueError as error:
            raise self._source.bad(visible(error, 500)) from None

    def read(self, name):
        """Yield the pieces that it would send."""
        try:
            for piece in self._served.read(name):
                yield bytes(memoryview(piece).cast("B"))
        except ValueError as error:
            raise self._source.bad(visible(error, 500)) from None

    def close(self):
        """Let go of the file."""
        self._served = None


def watched(target: "Target") -> "Callable[[bytes], None]":
    """Make a target that ends the process where an input takes too long within HDF5."""

    def one(data: bytes) -> None:
        faulthandler.dump_traceback_later(HANG, exit=True, file=sys.stderr)
        try:
            target(data)
        finally:
            faulthandler.cancel_dump_traceback_later()

    return one


@contextlib.contextmanager
def in_this_process() -> Iterator[None]:
    """Read HDF5 without a process for each file, which is a hundred times as fast."""
    before = _hdf5_file.Child
    _hdf5_file.Child = Here
    try:
        yield
    finally:
        _hdf5_file.Child = before


class Target:
    """Reads inputs from a file, `path`; by default it is in a folder that `close` takes away."""

    def __init__(self, path: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory() if path is None else None
        self._path = path or Path(self._folder.name) / "input"
        self.read = self.refused = 0

    def __call__(self, data: bytes) -> None:
        """Read one input; anything but BadCheckpoint is a fault of ours."""
        self._path.write_bytes(data)
        signal.alarm(SECONDS)
        try:
            self._look()
            self.read += 1
        except BadCheckpoint as error:
            if not str(error).isprintable() or "not enough memory" in str(error):
                raise AssertionError(f"an unclear message: {error!r}") from error
            self.refused += 1
        except MissingExtra:
            self.refused += 1
        finally:
            signal.alarm(0)

    def _look(self) -> None:
        find_checkpoints(self._path.parent)
        with open_checkpoint(self._path) as checkpoint:
            for skipped in checkpoint.skipped:
                if not skipped.reason.isprintable():
                    raise AssertionError(f"an unclear reason: {skipped.reason!r}")
            taken = 0
            for name, info in checkpoint.tensors.items():
                for block in checkpoint.pieces(name):
                    if block.dtype != info.dtype or block.shape[1:] != info.shape[1:]:
                        raise AssertionError(f"{name!r} is not what was said of it")
                    taken += block.nbytes
                    if taken > MOST:
                        return

    def close(self) -> None:
        """Take the file away."""
        if self._folder is not None:
            self._folder.cleanup()
