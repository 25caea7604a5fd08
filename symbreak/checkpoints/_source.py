"""One open file: its bytes, read only and mapped, and no way to ask for a byte that is not there.

Everything that a reader learns from a file's own words goes through `take`, which compares the words with the file's
size before memory is asked for.
"""

import errno
import mmap
import os
import stat
from typing import Self, final

from symbreak._visible import visible
from symbreak.errors import BadCheckpoint

TRUNCATED = "it is truncated or not what it claims: fetch or save it again"

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


@final
class Source:
    """A regular file, mapped.

    Parameters
    ----------
    path
        The file; a symbolic link is followed unless `follow` is false.
    follow
        Whether a symbolic link at `path` may be followed: not for a path that another file names.

    Raises
    ------
    OSError
        The file is missing, is a folder, or can't be opened, as the operating system says it.
    BadCheckpoint
        What is at `path` is no regular file: opening a named pipe would wait for ever.
    """

    def __init__(self, path: str | os.PathLike[str], *, follow: bool = True) -> None:
        self.path = os.fspath(path)
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        if not follow:
            if os.path.islink(self.path):  # noqa: PTH114 - O_NOFOLLOW closes the gap where the system has it
                raise self.bad("is a symbolic link", "put the file itself beside its index")
            flags |= getattr(os, "O_NOFOLLOW", 0)
        mode = os.stat(self.path, follow_symlinks=follow).st_mode  # noqa: PTH116 - the path stays the caller's text
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder, where a file is needed", self.path)
        if not stat.S_ISREG(mode):
            raise self.bad(
                f"is {KINDS.get(stat.S_IFMT(mode), 'not a regular file')}", "give the path of a regular file"
            )
        self._flags = flags
        handle = os.open(self.path, flags)
        try:
            facts = os.fstat(handle)
            self.size, self._identity = facts.st_size, (facts.st_dev, facts.st_ino)
            self.state = (self.path, facts.st_size, facts.st_mtime_ns)
            # An empty file can't be mapped. The map outlives the handle, and arrays outlive the checkpoint.
            self.data: mmap.mmap | bytes = mmap.mmap(handle, 0, access=mmap.ACCESS_READ) if self.size else b""
        finally:
            os.close(handle)
        self.size = len(self.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the bytes; arrays that were given out keep the map alive for as long as they need it."""
        self.data = b""

    def changed(self) -> bool:
        """Whether the file was written to, replaced or removed since it was opened."""
        try:
            facts = os.stat(self.path)  # noqa: PTH116 - the path stays the caller's text
        except OSError:
            return True
        same = (facts.st_dev, facts.st_ino) == self._identity and (facts.st_size, facts.st_mtime_ns) == self.state[1:]
        return not same

    def reopen(self) -> int:
        """Return a new handle of the same file, for another process; the caller closes it.

        Raises
        ------
        OSError
            The file is gone or can't be opened.
        BadCheckpoint
            Another file has taken its place, or it is shorter than it was.
        """
        handle = os.open(self.path, self._flags)
        facts = os.fstat(handle)
        if (facts.st_dev, facts.st_ino) != self._identity or facts.st_size < self.size:
            os.close(handle)
            raise self.bad("was replaced while it was read", "try again when nothing writes to it")
        return handle

    def take(self, start: int, length: int, what: str) -> bytes:
        """Return a copy of `length` bytes at `start`, or raise BadCheckpoint when they are not all in the file."""
        self.check(start, length, what)
        return self.data[start : start + length]

    def view(self, start: int, length: int, what: str) -> memoryview:
        """Return the bytes without a copy, under the same check."""
        self.check(start, length, what)
        return memoryview(self.data)[start : start + length]

    def check(self, start: int, length: int, what: str) -> None:
        """Raise BadCheckpoint unless the bytes from `start` on, `length` of them, are in the file."""
        if start < 0 or length < 0 or start + length > self.size:
            raise self.bad(
                f"{what} should take {length:,} bytes at offset {start:,}, but the file has {self.size:,}",
                TRUNCATED,
            )

    def bad(self, problem: str, fix: str = "save it again with the library that wrote it") -> BadCheckpoint:
        """Return an error that names the file, what came, and what to do."""
        return BadCheckpoint(f"{visible(self.path)}: {problem}; {fix}", problem, fix)
