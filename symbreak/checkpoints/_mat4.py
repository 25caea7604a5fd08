"""MATLAB's MAT-files of version 4: one variable after the other, each with a header of five integers.

The integers are the type, rows, columns, whether there is an imaginary part, and the bytes of the name. The type has
four decimal digits: byte order, 0, the values' type, and the kind of matrix. Values lie in column-major order.
Layout as in "MAT-File Format" of The MathWorks, chapter 2.
"""

import re
import struct
from typing import final

import numpy as np

from symbreak._visible import quoted
from symbreak.checkpoints._arrays import as_array, check_shape
from symbreak.checkpoints._reader import TEXT, Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._spool import collect

HEADER = 20  # bytes
ORDERS = {0: "<", 1: ">"}  # 2 to 4 are the floats of VAX and Cray
TYPES = ("f8", "f4", "i4", "i2", "u2", "u1")
FULL, OTHERS = 0, {1: "text", 2: "a sparse array; full() in MATLAB makes one that is read"}
NAME = re.compile(rb"[A-Za-z]\w{0,254}\0", re.ASCII)
LONGEST = 1 << 16  # bytes of a name
STEP = 1 << 20  # values that are joined at a time


def looks_like_mat4(source: Source) -> bool:
    """Whether the file begins with a variable: there is no magic, but a known type, sizes and a plain name."""
    head = source.data[:HEADER]
    if len(head) < HEADER:
        return False
    kind, rows, columns, pair, length = struct.unpack(_order(head) + "5i", head)
    known = 0 <= kind < 2000 and not kind // 100 % 10 and kind // 10 % 10 < len(TYPES) and kind % 10 < 3
    sizes = rows >= 0 and columns >= 0 and pair in (0, 1)
    return known and sizes and NAME.fullmatch(source.data[HEADER : HEADER + max(0, min(length, 256))]) is not None


@final
class Mat4(Checkpoint):
    """One MAT-file of version 4."""

    def __init__(self, source: Source) -> None:
        self._at: dict[str, tuple[int, np.dtype]] = {}
        tensors: dict[str, TensorInfo] = {}
        skipped = []
        at = 0
        while at < source.size:
            name, found, begin, stored, at = _variable(source, at)
            if isinstance(found, str):
                skipped.append(Skipped(name, found, found == TEXT))
            elif name in tensors:
                skipped.append(Skipped(name, "another array of the file has this name too"))
            else:
                tensors[name] = found
                self._at[name] = begin, stored
        super().__init__(source, "mat", tensors, tuple(skipped))

    def _read(self, info: TensorInfo) -> np.ndarray:
        begin, stored = self._at[info.name]
        data = memoryview(self._source.data)
        if stored == info.dtype:
            return as_array(data, stored, info.shape, order="F", start=begin)
        count = info.shape[0] * info.shape[1]
        parts = as_array(data, stored, (2, count), start=begin)

        def joined(low: int) -> memoryview:
            block = parts[:, low : low + STEP]
            return np.ascontiguousarray(block.T).view(np.uint8).data

        pieces = (joined(low) for low in range(0, count, STEP))
        buffer = collect(self._source, pieces, count * info.dtype.itemsize, quoted(info.name))
        return as_array(buffer, info.dtype, info.shape, order="F")


def _variable(source: Source, at: int) -> tuple[str, TensorInfo | str, int, np.dtype, int]:
    """Return a variable's name, what it is or why it can't be read, its values' place and type, and where it ends."""
    what = f"the variable at byte {at:,}"
    head = source.take(at, HEADER, what)
    kind, rows, columns, pair, length = struct.unpack(_order(head) + "5i", head)
    order = ORDERS.get(kind // 1000)
    if order is None or kind // 100 % 10 or kind // 10 % 10 >= len(TYPES) or kind % 10 not in (FULL, *OTHERS):
        raise source.bad(f"{what} is of type {kind}, which is none of the IEEE types", "save it in version 5 (-v6)")
    if pair not in (0, 1) or not 1 <= length <= LONGEST:
        raise source.bad(f"{what} claims {pair} for an imaginary part, and a name of {length:,} bytes")
    raw = source.take(at + HEADER, length, f"the name of {what}")
    name = raw[:-1].decode("latin-1")
    if not raw.endswith(b"\0"):
        raise source.bad(f"{what} has a name that begins with {quoted(name)} and does not end with a NUL")
    stored, shape = np.dtype(order + TYPES[kind // 10 % 10]), (rows, columns)
    size = check_shape(source, shape, stored.itemsize * (1 + pair), quoted(name))
    begin = at + HEADER + length
    source.check(begin, size, quoted(name))
    found: TensorInfo | str
    if kind % 10 != FULL:
        found = f"it holds {OTHERS[kind % 10]}"
    elif pair and stored.kind != "f":
        found = "it holds complex integers, which NumPy does not have"
    else:
        found = TensorInfo(name, shape, np.dtype(f"{order}c{2 * stored.itemsize}") if pair else stored)
    return name, found, begin, stored, begin + size


def _order(head: bytes) -> str:
    """Return the order in which the first integer is one of four digits."""
    return "<" if int.from_bytes(head[:4], "little") < 10_000 else ">"
