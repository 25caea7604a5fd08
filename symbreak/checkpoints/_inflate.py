"""Bytes that are read forward, as they lie in a file or as a zlib stream unpacks to them, piece by piece."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, final

from symbreak.checkpoints._source import TRUNCATED, Source
from symbreak.checkpoints._zip import BUDGET, MOST_EXPANSION, USUAL_EXPANSION

IN, OUT = 1 << 14, 1 << 16  # bytes that are unpacked, and that come of it, at a time


class Run(Protocol):
    """Bytes that are read forward."""

    at: int  # bytes before the next one

    def take(self, length: int, what: str) -> bytes:
        """Return the next bytes; the caller bounds their number."""

    def skip(self, length: int, what: str) -> None:
        """Pass over the next bytes."""


@final
class Mapped:
    """The bytes of a file from `at` on."""

    def __init__(self, source: Source, at: int) -> None:
        self.source, self.at = source, at

    def take(self, length: int, what: str) -> bytes:
        """Return the next bytes."""
        data = self.source.take(self.at, length, what)
        self.at += length
        return data

    def skip(self, length: int, what: str) -> None:
        """Pass over the next bytes."""
        self.source.check(self.at, length, what)
        self.at += length


@final
@dataclass(slots=True, eq=False)
class Stream:
    """A zlib stream in a file: where it begins, its bytes there, what it is called, and its bytes when unpacked."""

    begin: int
    packed: int
    what: str
    size: int = 0

    def claim(self, source: Source, size: int) -> None:
        """Note the size; raise BadCheckpoint for one that deflate can't give, or that is out of all proportion."""
        if size > MOST_EXPANSION * self.packed + 64:
            raise source.bad(f"{self.what} claims {size:,} bytes from {self.packed:,}, more than deflate can give")
        if size > BUDGET and size > USUAL_EXPANSION * self.packed:
            raise source.bad(
                f"{self.what} would unpack from {self.packed:,} to {size:,} bytes", "save it without compression"
            )
        self.size = size


@final
class Unpacking:
    """What a stream unpacks to; no more is unpacked than is asked for, and a piece."""

    def __init__(self, source: Source, stream: Stream) -> None:
        self.source, self.stream, self.at = source, stream, 0
        self._pieces = unpack(source, stream)
        self._ready = memoryview(b"")

    def take(self, length: int, what: str) -> bytes:
        """Return the next bytes."""
        out = bytearray()
        while len(out) < length:
            out += self._next(length - len(out), what)
        return bytes(out)

    def skip(self, length: int, what: str) -> None:
        """Pass over the next bytes."""
        while length > 0:
            length -= len(self._next(length, what))

    def finish(self) -> None:
        """Raise BadCheckpoint unless the stream ends here, and its checksum is that of what came before."""
        if len(self._ready) or next(self._pieces, None) is not None:
            raise self.source.bad(f"{self.stream.what} unpacks to more than the {self.at:,} bytes that it claims")

    def _next(self, most: int, what: str) -> memoryview:
        if not self._ready:
            piece = next(self._pieces, None)
            if piece is None:
                raise self.source.bad(f"{what} is cut off: its stream unpacks to {self.at:,} bytes", TRUNCATED)
            self._ready = memoryview(piece)
        data, self._ready = self._ready[:most], self._ready[most:]
        self.at += len(data)
        return data


def unpack(source: Source, stream: Stream) -> Iterator[bytes]:
    """Yield what a stream unpacks to; its checksum is compared after the last piece.

    Raises
    ------
    BadCheckpoint
        The stream is damaged, ends early, or has something after it.
    """
    packed = source.view(stream.begin, stream.packed, stream.what)
    unpacker = zlib.decompressobj()
    at = 0
    try:
        while not unpacker.eof:
            piece: bytes | memoryview = unpacker.unconsumed_tail
            if not piece:
                piece = packed[at : at + IN]
                at += len(piece)
            more = unpacker.decompress(piece, OUT)
            if more:
                yield more
            elif not piece:
                raise source.bad(f"{stream.what} is cut off within its zlib stream", TRUNCATED)
    except zlib.error as error:
        raise source.bad(f"{stream.what} is damaged: {error}", TRUNCATED) from None
    if at != len(packed) or unpacker.unused_data:
        raise source.bad(f"{stream.what} has something after its zlib stream")
