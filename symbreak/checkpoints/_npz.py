"""NumPy's npz format: a zip archive of npy files. Stored members are mapped, deflated ones unpacked when asked for."""

from collections.abc import Iterator
from typing import final

import numpy as np

from symbreak._visible import quoted
from symbreak.checkpoints._arrays import Buffer, check_bool
from symbreak.checkpoints._npy import MAGIC, OPENING, Header, Text, Unsupported, array_at, parse_npy
from symbreak.checkpoints._reader import Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._zip import STORED, Archive, Member


@final
class Npz(Checkpoint):
    """One npz file."""

    def __init__(self, source: Source) -> None:
        self._archive = Archive(source)
        self._at: dict[str, tuple[Member, Header]] = {}
        tensors: dict[str, TensorInfo] = {}
        skipped = []
        for member in self._archive.members.values():
            if member.name.endswith("/") and not member.size:
                continue  # a folder's entry: it holds nothing
            name = member.name.removesuffix(".npy")
            try:
                header = self._header(source, member)
            except Unsupported as fault:
                skipped.append(Skipped(name, f"it holds {fault}", isinstance(fault, Text)))
                continue
            if name in tensors:
                raise source.bad(f"two arrays are called {quoted(name)}")
            tensors[name] = TensorInfo(name, header.shape, header.dtype)
            self._at[name] = member, header
        super().__init__(source, "npz", tensors, tuple(skipped))

    def _header(self, source: Source, member: Member) -> Header:
        opening = self._archive.opening(member, OPENING)
        if not member.name.endswith(".npy") and not opening.startswith(MAGIC):
            raise Unsupported("something other than an npy array")
        return parse_npy(source, opening, member.size, quoted(member.name))

    def _read(self, info: TensorInfo) -> np.ndarray:
        member, header = self._at[info.name]
        return check_bool(self._source, array_at(header, self._archive.data(member)), quoted(info.name))

    def _stream(self, info: TensorInfo) -> Iterator[Buffer] | None:
        member, header = self._at[info.name]
        if member.method == STORED or header.fortran:
            return None
        return _without(self._archive.unpacked(member), header.begin)


def _without(pieces: Iterator[bytes], opening: int) -> Iterator[Buffer]:
    """Leave out the first bytes, as many as `opening`."""
    for piece in pieces:
        yield memoryview(piece)[opening:]
        opening = max(0, opening - len(piece))
