"""Values that come in pieces: a small array is gathered in memory, a large one in a nameless file that is mapped.

Unpacked or converted values lie nowhere in the checkpoint, so they can't be mapped from it. A nameless temporary file
keeps them out of memory, and vanishes with the last array that shows it, or with the process.
"""

import mmap
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from math import prod

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


def _in_file(source: Source, pieces: Iterable[Buffer], size: int, what: str) -> memoryview:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if size > free - SPARE:
        raise OSError(
            28, f"{what} takes {size:,} bytes, and {tempfile.gettempdir()} has {free:,}: set TMPDIR to a larger disk"
        )
    with tempfile.TemporaryFile(buffering=0) as file:
        for piece, _ in _counted(source, pieces, size, what):
            rest = piece
            while rest:
                rest = rest[file.write(rest) :]
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))


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
