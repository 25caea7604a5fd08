"""MAT-files put together by hand: elements of version 5, variables of version 4, in either byte order."""

import struct
import zlib

HEADER = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8)
MATRIX, COMPRESSED = 14, 15
DOUBLE = 6  # a class; of the types, 9


def head(order="<"):
    """The header of version 5."""
    return HEADER + struct.pack(order + "H", 0x100) + struct.pack(order + "H", 0x4D49)


def element(kind, data, order="<", size=None, pad=True):
    """A tag and its bytes; `size` is what it claims."""
    padding = bytes(-len(data) % 8) if pad else b""
    return struct.pack(order + "2I", kind, len(data) if size is None else size) + data + padding


def small(kind, data, order="<", size=None):
    """A tag with its bytes inside."""
    return struct.pack(order + "I", (len(data) if size is None else size) << 16 | kind) + data.ljust(4, b"\0")


def flags(kind, bits=0, order="<"):
    """The flags of an array."""
    return element(6, struct.pack(order + "2I", kind | bits, 0), order)


def axes(*lengths, order="<"):
    """The lengths of the axes."""
    return element(5, struct.pack(f"{order}{len(lengths)}i", *lengths), order)


def named(name, order="<"):
    """A name."""
    return element(1, name if isinstance(name, bytes) else name.encode(), order)


def doubles(*values, order="<"):
    """Values of 64 bits."""
    return element(9, struct.pack(f"{order}{len(values)}d", *values), order)


def array(*parts, order="<", size=None):
    """An array of parts."""
    return element(MATRIX, b"".join(parts), order, size)


def weight(name="w", shape=(2, 3), order="<"):
    """A sound array of doubles 0, 1, ... in column-major order."""
    count = shape[0] * shape[1]
    return array(flags(DOUBLE, 0, order), axes(*shape, order=order), named(name, order),
                 doubles(*range(count), order=order), order=order)  # fmt: skip


def packed(content, order="<", level=9):
    """An element that is a zlib stream of another."""
    data = zlib.compress(content, level)
    return element(COMPRESSED, data, order, pad=False)


def fields(*names, length=8):
    """The names of a struct's fields."""
    return small(5, struct.pack("<i", length)) + element(
        1, b"".join(name.encode().ljust(length, b"\0") for name in names)
    )


def file5(*variables, order="<"):
    """A file of version 5."""
    return head(order) + b"".join(variables)


def variable4(name="w", rows=2, columns=3, *, kind=0, pair=0, data=None, order="<", length=None, size=8):
    """A variable of version 4."""
    raw = name if isinstance(name, bytes) else name.encode() + b"\0"
    data = bytes(rows * columns * size * (1 + pair)) if data is None else data
    return struct.pack(order + "5i", kind, rows, columns, pair, len(raw) if length is None else length) + raw + data
