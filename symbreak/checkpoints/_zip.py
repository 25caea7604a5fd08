"""Zip archives read by their own rules: every byte has one owner, and the two copies of each fact agree.

A zip file says everything twice, in each member's own header and in the directory at the end. Readers that trust
different copies see different files, and members that share bytes let a small file claim a huge one. So: the directory
ends the file, the members lie one after another from its first byte, and both copies match. Nothing is ever extracted.

Layout as in PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from symbreak._visible import quoted
from symbreak.checkpoints._source import TRUNCATED, Source
from symbreak.checkpoints._spool import collect

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF  # "the value is in the zip64 field"
DESCRIPTOR, UTF8 = 1 << 3, 1 << 11
ALLOWED_FLAGS = DESCRIPTOR | UTF8 | 0b110  # bits 1 and 2 tell how hard the compressor tried
STORED, DEFLATED = 0, 8
MOST_EXPANSION = 1032  # deflate's limit: 258 bytes from two bits
BUDGET = 4 << 30  # bytes; a member may expand to more only if it does so less than USUAL_EXPANSION times
USUAL_EXPANSION = 100
PIECE = 1 << 20  # bytes of compressed input at a time
DRIVE = re.compile(r"[A-Za-z]:/")
FAR = 1 << 20  # bytes at the end of a file in which the end of a zip is looked for
REPACK = "pack it again without encryption, comments or other additions"


@dataclass(frozen=True, slots=True)
class Member:
    """One member, as both its headers have it."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int  # bytes in the file
    size: int  # bytes when unpacked
    header: int  # offset of its local header
    begin: int = 0  # offset of its bytes


@final
class Archive:
    """The members of a zip file by name, in the order of their bytes.

    Raises
    ------
    BadCheckpoint
        Two copies of a fact differ, bytes belong to two members or to none, a name occurs twice or is a path trick, or
        a member is encrypted, compressed with something other than deflate, or claims more than deflate can give.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._sound: set[str] = set()  # stored members whose checksum was compared: many tensors can share one
        start, directory, count = self._directory()
        members = sorted(self._central(directory, count), key=lambda member: member.header)
        self.members: dict[str, Member] = {}
        ends = [*(member.header for member in members), start][1:]
        for member, end in zip(members, ends, strict=True):
            if member.name in self.members:
                raise source.bad(f"two members are called {quoted(member.name)}")
            self.members[member.name] = self._local(member, end)
        first = members[0].header if members else start
        if first != 0:
            raise source.bad(f"{first:,} bytes come before the first member of the zip", REPACK)

    def data(self, member: Member, *, crc_optional: bool = False) -> memoryview:
        """Return a member's bytes: a view of the file when they are stored, else unpacked; the checksum is compared.

        Parameters
        ----------
        member
            One of `members`.
        crc_optional
            A checksum of 0 means that there is none, as PyTorch writes on request.
        """
        what = quoted(member.name)
        if member.method != STORED:
            return collect(self.source, self.unpacked(member, crc_optional=crc_optional), member.size, what)
        data = self.source.view(member.begin, member.packed, what)
        if member.name not in self._sound:
            if not (crc_optional and member.crc == 0):
                self._compare(member, zlib.crc32(data))
            self._sound.add(member.name)
        return data

    def unpacked(self, member: Member, *, crc_optional: bool = False) -> Iterator[bytes]:
        """Yield the bytes of a deflated member piece by piece; the checksum is compared after the last.

        Raises
        ------
        BadCheckpoint
            The member is damaged, or does not unpack to the size that it claims. One byte more is the most that is
            unpacked beyond it.
        """
        packed = self.source.view(member.begin, member.packed, quoted(member.name))
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        crc = size = at = 0
        try:
            while not unpacker.eof:
                piece: bytes | memoryview = unpacker.unconsumed_tail
                if not piece:
                    piece = packed[at : at + PIECE]
                    at += len(piece)
                more = unpacker.decompress(piece, min(member.size + 1 - size, PIECE))
                crc, size = zlib.crc32(more, crc), size + len(more)
                if size > member.size or not (more or piece):
                    break
                yield more
        except zlib.error as error:
            raise self._damaged(member, error) from None
        if size != member.size or not unpacker.eof or at != len(packed) or unpacker.unused_data:
            raise self.source.bad(f"{quoted(member.name)} does not unpack to the {member.size:,} bytes that it claims")
        if not (crc_optional and member.crc == 0):
            self._compare(member, crc)

    def _compare(self, member: Member, crc: int) -> None:
        if crc != member.crc:
            raise self.source.bad(f"{quoted(member.name)} is damaged: its checksum does not match", "fetch it again")

    def opening(self, member: Member, length: int) -> bytes:
        """Return the first bytes of a member, at most `length`, unpacking no more than that."""
        if member.method == STORED:
            return self.source.take(member.begin, min(length, member.size), quoted(member.name))
        packed = self.source.view(member.begin, min(member.packed, PIECE), quoted(member.name))
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, min(length, member.size) or 1)
        except zlib.error as error:
            raise self._damaged(member, error) from None

    def _damaged(self, member: Member, error: Exception) -> Exception:
        return self.source.bad(f"{quoted(member.name)} is damaged: {error}", "fetch it again")

    def _directory(self) -> tuple[int, bytes, int]:
        """Return the directory's offset, its bytes, and the number of members; it must end the file."""
        source = self.source
        end = source.size - END.size
        if end < 0:
            raise source.bad("the zip is truncated", TRUNCATED)
        magic, disk, first, here, count, size, start, comment = END.unpack(source.take(end, END.size, "the zip's end"))
        if magic != b"PK\x05\x06" or comment:
            if has_end(source):
                raise source.bad("something comes after the zip's directory", REPACK)
            raise source.bad("the zip's directory, which ends it, is missing", TRUNCATED)
        numbers = [disk, first, here, count, size, start]
        locator = source.data[max(0, end - LOCATOR.size) : end]
        if len(locator) == LOCATOR.size and locator[:4] == b"PK\x06\x07":
            end = self._end64(end, locator, numbers)
        disk, first, here, count, size, start = numbers
        if disk or first or here != count:
            raise source.bad("the zip spans several disks", "join its parts first")
        if start + size != end:
            raise source.bad("the zip's directory is not where its end says", REPACK)
        return start, source.take(start, size, "the zip's directory"), count

    def _end64(self, end: int, locator: bytes, numbers: list[int]) -> int:
        """Replace the numbers by those of the zip64 end, which must agree; return where the directory ends."""
        source = self.source
        _, disk, at, disks = LOCATOR.unpack(locator)
        fields = END64.unpack(source.take(at, END64.size, "the zip64 end"))
        if fields[0] != b"PK\x06\x06" or fields[1] != END64.size - 12 or disk or disks != 1:
            raise source.bad("the zip64 end is malformed")
        if at + END64.size + LOCATOR.size != end:
            raise source.bad("something lies between the zip64 end and its locator", REPACK)
        for i, wide in enumerate(fields[4:]):
            full = FULL16 if i < 4 else FULL32
            if numbers[i] not in (wide, full):
                raise source.bad("the zip's two ends differ in what they claim")
            numbers[i] = wide
        return int(at)

    def _central(self, directory: bytes, count: int) -> list[Member]:
        found, at = [], 0
        while at < len(directory):
            if at + CENTRAL.size > len(directory):
                raise self.source.bad("the zip's directory is cut off")
            fields = CENTRAL.unpack_from(directory, at)
            magic, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment, disk, _, _, header = (
                fields
            )
            begin = at + CENTRAL.size
            at = begin + name_size + extra_size + comment
            if magic != b"PK\x01\x02" or at > len(directory) or disk not in (0, FULL16) or comment:
                raise self.source.bad("the zip's directory is malformed")
            name = self._name(directory[begin : begin + name_size], flags)
            extra = directory[begin + name_size : begin + name_size + extra_size]
            size, packed, header = self._wide(name, extra, [size, packed, header])
            found.append(self._checked(Member(name, flags, method, crc, packed, size, header)))
        if len(found) != count:
            raise self.source.bad(f"the zip claims {count:,} members and lists {len(found):,}")
        return found

    def _local(self, member: Member, end: int) -> Member:
        """Compare a member's own header with the directory, and see that it ends where the next one begins."""
        source, what = self.source, quoted(member.name)
        head = source.take(member.header, LOCAL.size, f"the header of {what}")
        magic, _, flags, method, _, _, crc, packed, size, name_size, extra_size = LOCAL.unpack(head)
        at = member.header + LOCAL.size
        if magic != b"PK\x03\x04":
            raise source.bad(f"there is no member where the directory places {what}")
        name = self._name(source.take(at, name_size, f"the name of {what}"), flags)
        extra = source.take(at + name_size, extra_size, f"the header of {what}")
        size, packed = self._wide(name, extra, [size, packed])
        later = flags & DESCRIPTOR and (crc, packed, size) == (0, 0, 0)  # the facts follow the bytes
        facts = (member.name, member.flags, member.method)
        same = later or (crc, packed, size) == (member.crc, member.packed, member.size)
        if (name, flags, method) != facts or not same:
            raise source.bad(f"the directory and {what} itself differ in what they claim")
        begin = at + name_size + extra_size
        source.check(begin, member.packed, what)
        rest = end - begin - member.packed
        if rest < 0:
            raise source.bad(f"{what} overlaps what comes after it")
        if rest and not (flags & DESCRIPTOR and self._describes(member, begin + member.packed, rest)):
            raise source.bad(f"{rest:,} bytes after {what} belong to no member", REPACK)
        return Member(name, flags, method, member.crc, member.packed, member.size, member.header, begin)

    def _describes(self, member: Member, at: int, length: int) -> bool:
        """Whether the bytes after a member are its descriptor: the same facts, in one of the four forms in use."""
        found = self.source.take(at, length, "a descriptor")
        narrow, facts = max(member.packed, member.size) <= FULL32, (member.crc, member.packed, member.size)
        forms = [struct.pack("<IQQ", *facts), *([struct.pack("<III", *facts)] if narrow else [])]
        return found in forms or found in [b"PK\x07\x08" + form for form in forms]

    def _wide(self, name: str, extra: bytes, values: list[int]) -> list[int]:
        """Replace the values that are too large for their field by those of the zip64 extra field, in its order."""
        wanted = [i for i, value in enumerate(values) if value == FULL32]
        at = 0
        while wanted and at + 4 <= len(extra):
            kind, length = struct.unpack_from("<2H", extra, at)
            body = extra[at + 4 : at + 4 + length]
            if kind == 1 and len(body) == length and length >= 8 * len(wanted):
                for k, i in enumerate(wanted):
                    values[i] = int.from_bytes(body[8 * k : 8 * k + 8], "little")
                return values
            at += 4 + length
        if wanted:
            raise self.source.bad(f"{quoted(name)} lacks the zip64 field that its header calls for")
        return values

    def _name(self, raw: bytes, flags: int) -> str:
        try:
            name = raw.decode("utf-8" if flags & UTF8 else "cp437")
        except UnicodeDecodeError:
            raise self.source.bad(f"a member's name is not UTF-8: {quoted(raw)}") from None
        parts = name.removesuffix("/").split("/")
        if "\0" in name or "\\" in name or DRIVE.match(name) or any(part in ("", ".", "..") for part in parts):
            raise self.source.bad(f"a member is called {quoted(name)}, which is no plain relative name")
        return name

    def _checked(self, member: Member) -> Member:
        what = quoted(member.name)
        if member.flags & ~ALLOWED_FLAGS or member.method not in (STORED, DEFLATED):
            kind = "encrypted" if member.flags & 1 else f"packed with method {member.method}, flags {member.flags:#x}"
            raise self.source.bad(f"{what} is {kind}", "store or deflate it, without encryption")
        if member.method == STORED and member.packed != member.size:
            raise self.source.bad(f"{what} is stored, yet claims {member.packed:,} and {member.size:,} bytes")
        if member.size > MOST_EXPANSION * member.packed + 64:
            raise self.source.bad(
                f"{what} claims {member.size:,} bytes from {member.packed:,}, more than deflate can give"
            )
        if member.size > BUDGET and member.size > USUAL_EXPANSION * member.packed:
            raise self.source.bad(
                f"{what} would unpack from {member.packed:,} to {member.size:,} bytes", "store it without compression"
            )
        return member


def looks_like_zip(source: Source) -> bool:
    """Whether the file begins with a zip member, or is an empty zip."""
    return source.data[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def has_end(source: Source) -> bool:
    """Whether the end of a zip is there, be it that other bytes follow."""
    tail = source.data[-FAR:]
    return 0 <= tail.rfind(b"PK\x05\x06") <= len(tail) - END.size


def glimpse_names(source: Source) -> set[str]:
    """Return what the members seem to be called, without trust: only to say what kind of zip a file is."""
    end = source.data[-END.size :]
    start = int.from_bytes(end[16:20], "little") if end[:4] == b"PK\x05\x06" else source.size
    directory = source.data[start : start + (64 << 20)] if start < min(source.size, FULL32) else b""
    names, at = set(), 0
    while directory[at : at + 4] == b"PK\x01\x02" and at + CENTRAL.size <= len(directory):
        name, extra, comment = struct.unpack_from("<3H", directory, at + 28)
        names.add(directory[at + CENTRAL.size :][:name].decode("utf-8", "replace"))
        at += CENTRAL.size + name + extra + comment
    head = source.data[: LOCAL.size + 1024]
    if not names and len(head) > LOCAL.size:
        names.add(head[LOCAL.size :][: int.from_bytes(head[26:28], "little")].decode("utf-8", "replace"))
    return names
