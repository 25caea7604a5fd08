"""MessagePack, walked where it lies: each value is a head and a place in the mapped file, and nothing is copied.

The format is that of [1]. A head says of what kind a value is and how many bytes or values follow; a claim is compared
with what is left of the file before anyone acts on it.

[1] https://github.com/msgpack/msgpack/blob/master/spec.md
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import final

from symbreak.checkpoints._source import TRUNCATED, Source

DAMAGED = "it is damaged or not what it claims: save it again"


class Kind(Enum):
    """What a value is."""

    NIL = "nothing"
    BOOL = "a boolean"
    INT = "an integer"
    FLOAT = "a number"
    TEXT = "a text"
    BYTES = "bytes"
    LIST = "a list"
    MAP = "a map"
    EXT = "an extension"


@final
@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a value.

    Parameters
    ----------
    kind
        What it is.
    begin, end
        Where its bytes lie, after the head; those of a list or a map are its values', and end is begin.
    count
        The values of a list, the pairs of a map; of an integer its value.
    code
        The type of an extension.
    """

    kind: Kind
    begin: int
    end: int
    count: int = 0
    code: int = 0


# The first byte of each kind whose length or value follows in so many bytes.
LENGTHS: Mapping[int, tuple[Kind, int]] = MappingProxyType(
    {
        0xC4: (Kind.BYTES, 1),
        0xC5: (Kind.BYTES, 2),
        0xC6: (Kind.BYTES, 4),
        0xC7: (Kind.EXT, 1),
        0xC8: (Kind.EXT, 2),
        0xC9: (Kind.EXT, 4),
        0xD9: (Kind.TEXT, 1),
        0xDA: (Kind.TEXT, 2),
        0xDB: (Kind.TEXT, 4),
        0xDC: (Kind.LIST, 2),
        0xDD: (Kind.LIST, 4),
        0xDE: (Kind.MAP, 2),
        0xDF: (Kind.MAP, 4),
    }
)
NUMBERS: Mapping[int, tuple[Kind, str]] = MappingProxyType(
    {
        0xCA: (Kind.FLOAT, ">f"),
        0xCB: (Kind.FLOAT, ">d"),
        0xCC: (Kind.INT, ">B"),
        0xCD: (Kind.INT, ">H"),
        0xCE: (Kind.INT, ">I"),
        0xCF: (Kind.INT, ">Q"),
        0xD0: (Kind.INT, ">b"),
        0xD1: (Kind.INT, ">h"),
        0xD2: (Kind.INT, ">i"),
        0xD3: (Kind.INT, ">q"),
    }
)
SINGLE: Mapping[int, Kind] = MappingProxyType({0xC0: Kind.NIL, 0xC2: Kind.BOOL, 0xC3: Kind.BOOL})
FIXED_EXTENSIONS: Mapping[int, int] = MappingProxyType({0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16})


def read_head(source: Source, at: int, end: int, what: object) -> Head:
    """Return the head at `at`; its bytes or values may be claimed beyond `end`, which `check_claim` tells.

    `what` is the value for errors: anything that has a text, which is made when it is needed.

    Raises
    ------
    BadCheckpoint
        There is no head, or not all of one.
    """
    first = source.data[_within(source, at, 1, end, what)]
    at += 1
    if first < 0x80 or first >= 0xE0:
        return Head(Kind.INT, at, at, first if first < 0x80 else first - 256)
    if first < 0xA0:
        return Head(Kind.MAP if first < 0x90 else Kind.LIST, at, at, first & 15)
    if first < 0xC0:
        return Head(Kind.TEXT, at, at + (first & 31))
    if first in SINGLE:
        return Head(SINGLE[first], at, at)
    if first in NUMBERS:
        kind, code = NUMBERS[first]
        size = struct.calcsize(code)
        _within(source, at, size, end, what)
        (value,) = struct.unpack(code, source.data[at : at + size])
        return Head(kind, at + size, at + size, value if kind is Kind.INT else 0)
    if first in FIXED_EXTENSIONS:
        _within(source, at, 1, end, what)
        return Head(Kind.EXT, at + 1, at + 1 + FIXED_EXTENSIONS[first], code=_signed(source.data[at]))
    if first not in LENGTHS:
        raise source.bad(f"{what} begins with the byte 0x{first:02x}, which no value has", DAMAGED)
    kind, size = LENGTHS[first]
    extra = kind is Kind.EXT
    _within(source, at, size + extra, end, what)
    length = int.from_bytes(source.data[at : at + size], "big")
    at += size
    if kind in (Kind.LIST, Kind.MAP):
        return Head(kind, at, at, length)
    return Head(kind, at + extra, at + extra + length, code=_signed(source.data[at]) if extra else 0)


def check_claim(source: Source, head: Head, end: int, what: object) -> None:
    """Raise BadCheckpoint when a value claims more bytes, or more values, than are left."""
    needed = head.end - head.begin
    if head.kind in (Kind.LIST, Kind.MAP):
        needed = head.count * (2 if head.kind is Kind.MAP else 1)  # a value has at least one byte
    if head.begin + needed > end:
        left = f"{max(end - head.begin, 0):,} are left"
        raise source.bad(f"{what}, {head.kind.value}, should take {needed:,} bytes, where {left}", TRUNCATED)


def _within(source: Source, at: int, size: int, end: int, what: object) -> int:
    if at + size > min(end, source.size):
        raise source.bad(f"{what} is missing: the file ends at byte {source.size:,}", TRUNCATED)
    return at


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte
