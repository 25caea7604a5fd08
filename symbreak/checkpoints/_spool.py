"""Values that come in pieces: a small array is gathered in memory, a large one in a nameless file that is mapped.

Unpacked or converted values lie nowhere in the checkpoint, so they can't be mapped from it. A nameless temporary file
keeps them out of memory, and vanishes with the last array that shows it, or with the process.
"""

import mmap
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from math import prod
from typing import IO, final

import numpy as np

from symbreak.checkpoints._arrays import Buffer, as_array
from symbreak.checkpoints._source import Source

IN_MEMORY = 1 << 26  # bytes; more goes to a file
SPARE = 1 << 26  # bytes of a disk that are left to others


def collect(source: Source, pieces: Iterable[Buffer], size: int, what: str) -> memoryview:
    """Join pieces to a read-only buffer of `size` bytes.

    Raises
    ------
    BadCheckpoint
        The pieces are more or fewer bytes than `size`; no byte beyond is kept.
    OSError
        The folder for temporary files has no room.
    """
    if size > IN_MEMORY:
        return _in_file(source, pieces, size, what)
    out = np.empty(size, np.uint8)  # no page is touched before it is written
    for piece, at in _counted(source, pieces, size, what):
        out[at - len(piece) : at] = np.frombuffer(piece, np.uint8)
    return out.data.toreadonly()


def gather(source: Source, pieces: Iterable[Buffer], dtype: np.dtype, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Join pieces, which are the values in C order, to a read-only array; the caller has checked the shape.

    Raises
    ------
    BadCheckpoint, OSError
        As `collect` does.
    """
    return as_array(collect(source, pieces, prod(shape) * dtype.itemsize, what), dtype, shape)


def blocks(
    source: Source, pieces: Iterable[Buffer], dtype: np.dtype, shape: tuple[int, ...], size: int, what: str
) -> Iterator[np.ndarray]:
    """Yield the values as consecutive read-only arrays along axis 0, of about `size` bytes each and one row at least.

    Raises
    ------
    BadCheckpoint
        The pieces are more or fewer bytes than the array takes.
    """
    row = prod(shape[1:]) * dtype.itemsize
    whole = shape[0] * row
    step = row * max(1, size // row) if row else 0
    waiting = bytearray()
    for piece, at in _counted(source, pieces, whole, what):
        waiting += piece
        while len(waiting) >= step or at == whole:
            if not waiting:
                break
            ready = bytes(waiting[:step])
            del waiting[:step]
            yield as_array(ready, dtype, (len(ready) // row, *shape[1:]))
    if not whole:
        yield as_array(b"", dtype, shape)


@final
class Spooled:
    """Pieces joined in a nameless file, which another process can be given.

    Parameters
    ----------
    source
        The checkpoint, for its name in errors.
    pieces
        The bytes.
    size
        How many they are.
    what
        What to call them in errors.

    Raises
    ------
    BadCheckpoint, OSError
        As `collect` does.
    """

    def __init__(self, source: Source, pieces: Iterable[Buffer], size: int, what: str) -> None:
        self._file = _filled(source, pieces, size, what)
        self.data = (
            memoryview(mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)) if size else memoryview(b"")
        )

    def reopen(self) -> int:
        """Return a new handle of the file; the caller closes it."""
        return os.dup(self._file.fileno())

    def close(self) -> None:
        """Let go of the file; `data` stays valid."""
        self._file.close()


def _in_file(source: Source, pieces: Iterable[Buffer], size: int, what: str) -> memoryview:
    with _filled(source, pieces, size, what) as file:
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))


def _filled(source: Source, pieces: Iterable[Buffer], size: int, what: str) -> IO[bytes]:
    """Write the pieces to a nameless file."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if size > free - SPARE:
        raise OSError(
            28, f"{what} takes {size:,} bytes, and {tempfile.gettempdir()} has {free:,}: set TMPDIR to a larger disk"
        )
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller closes it
    try:
        for piece, _ in _counted(source, pieces, size, what):
            rest = piece
            while rest:
                rest = rest[file.write(rest) :]
    except BaseException:
        file.close()
        raise
    return file


def _counted(source: Source, pieces: Iterable[Buffer], size: int, what: str) -> Iterator[tuple[memoryview, int]]:
    """Yield each piece that is not empty with the bytes so far, itself included; they must be `size` in the end."""
    at = 0
    for piece in pieces:
        flat = memoryview(piece).cast("B")
        at += len(flat)
        if at > size:
            raise source.bad(f"{what} gives more than the {size:,} bytes that it claims")
        if flat:
            yield flat, at
    if at != size:
        raise source.bad(f"{what} gives {at:,} of the {size:,} bytes that it claims")
