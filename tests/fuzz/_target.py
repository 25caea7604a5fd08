"""One input to the readers: whatever its bytes, it is read or refused, soon, and in little memory."""

import contextlib
import resource
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from symbreak.checkpoints import find_checkpoints, open_checkpoint
from symbreak.errors import BadCheckpoint, MissingExtra

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


class Target:
    """Reads inputs from a file in memory."""

    def __init__(self) -> None:
        room = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=room if room.is_dir() else None)
        self._path = Path(self._folder.name) / "input"
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
        self._folder.cleanup()
