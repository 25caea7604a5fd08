"""Where results go: stdout, or a file that is written whole or not at all."""

import argparse
import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from symbreak.reports import visible


def wants_colour() -> bool:
    """Whether stdout may be coloured: a terminal, or where FORCE_COLOR is set, unless NO_COLOR is.

    References
    ----------
    https://no-color.org and https://force-color.org: set to anything but nothing.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")


def file_name(text: str) -> str:
    """Read the name of a file from the command line; an empty one is most often a variable that isn't set."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; name a file")
    return text


def file_or_stdout(text: str) -> str | None:
    """Read where a result goes: the name of a file, or None, which is stdout, for a dash."""
    return None if text == "-" else file_name(text)


def is_same(path: str, other: str) -> bool:
    """Whether two paths lead to one file."""
    try:
        return Path(path).samefile(other)
    except OSError:  # one of them is not there, or may not be looked at: reading and writing say so
        return False


def is_one(path: str, other: str) -> bool:
    """Whether two paths are of one file, which need not be there yet."""
    return is_same(path, other) or os.path.realpath(path) == os.path.realpath(other)


def cannot_write(path: str, error: OSError) -> str:
    """Say that a file can't be written, and why."""
    return f"cannot write to {visible(path)}: {why_not(path, error)}"


def why_not(path: str, error: OSError) -> str:
    """Say why a file can't be written; of a folder that is not there, which one, and what to do."""
    folder = Path(path).parent
    if isinstance(error, FileNotFoundError) and not folder.exists():
        return f"there is no folder {visible(str(folder))}; make it first"
    return error.strerror or str(error)


@contextlib.contextmanager
def output(path: str | None) -> Iterator[Callable[[str], None]]:
    """Give a function that writes the result to `path`, or to stdout for None.

    The place is tried before the work begins, and the file appears under its name only when it is complete.

    Raises
    ------
    OSError
        If the file can't be written there.
    """
    if path is None:
        yield print
        return
    target = Path(os.path.realpath(path))  # a symbolic link stays one
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(target))
    if target.exists() and not target.is_file():  # a device or a pipe can't be replaced; a folder is an OSError
        with target.open("w", encoding="utf-8") as stream:
            yield lambda text: print(text, file=stream)
        return
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(13, "the file may not be written", str(target))
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            yield lambda text: print(text, file=stream)
        part.chmod(_mode(target))
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """Give the permissions that the file has, or that a new one gets."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
