"""The wire format of Protocol Buffers, walked where it lies: a message is a table of spans, and nothing is copied.

The public library parses a whole file into objects: every weight is copied to memory before the first name is known, no
message may be larger than 2 GiB, and of a field that is given twice it takes the last. Here a message is a list of
fields, the ones that a schema names are kept as places in the mapped file, and a field that is given twice is refused.

The format is that of [1]. Fields that a schema does not name are passed over, as the format asks for.

[1] https://protobuf.dev/programming-guides/encoding
"""

import struct
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np

from symbreak.checkpoints._source import TRUNCATED, Source

Span: TypeAlias = tuple[int, int]  # a part of the file: its first byte, and the one after its last
Runs: TypeAlias = "array[int]"  # spans one after another: begin, end, begin, end, ...

DEEPEST = 100  # messages in one another, as in the public library
MOST_FIELDS = 2_000_000  # of all messages together
MOST_CHARACTERS = 64 << 20  # of all texts together
LONGEST_TEXT = 1 << 16  # bytes
LONGEST_VARINT = 10  # bytes; 64 bits, seven in each
LARGEST_NUMBER = (1 << 29) - 1  # of a field
FEW = 64  # bytes of a short list, whose numbers mostly have one byte each
PIECE = 1 << 18  # bytes of varints that are decoded together


VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
FIXED = {FIXED32: 4, FIXED64: 8}


@final
@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What a field holds.

    Parameters
    ----------
    what
        In words.
    wires
        The wire types that it may have; a list of numbers comes in pieces, or number by number.
    listed
        Whether the field may be given several times.
    size
        Bytes of a number in a list; 1 for varints, which say themselves where they end, and 0 where there are none.
    """

    what: str
    wires: tuple[int, ...]
    listed: bool = False
    size: int = 0


KINDS = {
    "INT": Kind("an integer", (VARINT,)),
    "FLOAT": Kind("a number of 32 bits", (FIXED32,)),
    "TEXT": Kind("a text", (BYTES,)),
    "DATA": Kind("bytes", (BYTES,)),  # or a message: the wire does not tell
    "INTS": Kind("integers", (VARINT, BYTES), listed=True, size=1),
    "FLOATS": Kind("numbers of 32 bits", (FIXED32, BYTES), listed=True, size=4),
    "DOUBLES": Kind("numbers of 64 bits", (FIXED64, BYTES), listed=True, size=8),
    "TEXTS": Kind("texts", (BYTES,), listed=True),
    "DATAS": Kind("parts", (BYTES,), listed=True),
}
INT, FLOAT, TEXT = KINDS["INT"], KINDS["FLOAT"], KINDS["TEXT"]
Schema: TypeAlias = Mapping[int, tuple[str, Kind]]
NO_RUNS: Runs = array("Q")
NO_PROTOBUF = "it is damaged or not what it claims: save it again"


@final
class Walker:
    """Reads messages of one file, and counts what it reads.

    Parameters
    ----------
    source
        The file.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.fields = self.characters = 0

    def field(self, at: int, end: int, what: str) -> tuple[int, int, int, int]:
        """Return (number, wire type, begin, end) of the field at `at`: where its value lies, without its length."""
        self.fields += 1
        if self.fields > MOST_FIELDS:
            raise self.source.bad(f"it has more than {MOST_FIELDS:,} fields", "save the weights apart from the graph")
        tag, at = self.varint(at, end, what)
        number, wire = tag >> 3, tag & 7
        if not 0 < number <= LARGEST_NUMBER:
            raise self.source.bad(f"{what} has a field of number {number}", NO_PROTOBUF)
        if wire == BYTES:
            length, at = self.varint(at, end, what)
        elif wire == VARINT:
            return number, wire, at, self.varint(at, end, what)[1]
        elif wire in FIXED:
            length = FIXED[wire]
        else:
            raise self.source.bad(f"{what} has a field of wire type {wire}", NO_PROTOBUF)
        if length > end - at:
            claim = f"field {number} of {what} should take {length:,} bytes, where {max(end - at, 0):,} are left"
            raise self.source.bad(claim, TRUNCATED)
        return number, wire, at, at + length

    def varint(self, at: int, end: int, what: str) -> tuple[int, int]:
        """Return the unsigned integer at `at`, and the place after it."""
        data = self.source.data
        if at < end and (value := data[at]) < 0x80:  # most are of one byte
            return value, at + 1
        value = 0
        for shift in range(0, 7 * LONGEST_VARINT, 7):
            if at >= end:
                raise self.source.bad(f"{what} ends within a number", TRUNCATED)
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= 1 << 64:
                    break
                return value, at
        raise self.source.bad(f"{what} has a number of more than 64 bits", NO_PROTOBUF)

    def text(self, span: Span, what: str) -> str:
        """Return a text, which is valid UTF-8."""
        begin, end = span
        if end - begin > LONGEST_TEXT:
            raise self.source.bad(f"{what} has a name of {end - begin:,} bytes", f"at most {LONGEST_TEXT:,} are read")
        try:
            text = self.source.data[begin:end].decode("utf-8")
        except UnicodeDecodeError:
            raise self.source.bad(f"{what} has a text that is not UTF-8", NO_PROTOBUF) from None
        self.count(len(text))
        return text

    def count(self, characters: int) -> None:
        """Count the characters of a text that is kept."""
        self.characters += characters
        if self.characters > MOST_CHARACTERS:
            raise self.source.bad(f"it has names of more than {MOST_CHARACTERS:,} characters", "shorten them")


@final
class Message:
    """The fields of one message, by name: single ones in `integers`, `numbers`, `texts`, `places`, lists in `runs`.

    All that are given are in `given`.

    Parameters
    ----------
    walker
        What reads the file.
    span
        Where the message lies.
    schema
        Its fields by number. Fields that are not in it are passed over.
    what
        The message, for errors.
    depth
        How many messages it lies in.

    Raises
    ------
    BadCheckpoint
        A field reaches beyond the message, is of the wrong type or is given twice, or a budget is spent.
    """

    def __init__(self, walker: Walker, span: Span, schema: Schema, what: str, depth: int = 0) -> None:
        source = walker.source
        if depth > DEEPEST:
            raise source.bad(f"it is nested more than {DEEPEST} messages deep", "save it without nested graphs")
        self.walker, self.what, self.depth = walker, what, depth
        self.given: set[str] = set()
        self.integers: dict[str, int] = {}
        self.numbers: dict[str, float] = {}
        self.texts: dict[str, str] = {}
        self.places: dict[str, Span] = {}  # of bytes, and of messages
        self.runs: dict[str, Runs] = {}
        at, end = span
        while at < end:
            number, wire, begin, at = walker.field(at, end, what)
            if (row := schema.get(number)) is None:
                continue
            name, kind = row
            if wire not in kind.wires:
                raise source.bad(f"in {what}, {name} has wire type {wire} and should be {kind.what}", NO_PROTOBUF)
            if kind.listed:
                if kind.size and wire == BYTES and self._splits(kind, begin, at):
                    raise source.bad(f"in {what}, {name} ends within a number", NO_PROTOBUF)
                if name not in self.runs:
                    self.runs[name] = array("Q")
                self.runs[name].extend((begin, at))
            elif name in self.given:
                raise source.bad(f"{what} has two fields {name}", NO_PROTOBUF)
            elif kind is INT:
                value, _ = walker.varint(begin, at, what)
                self.integers[name] = value - (1 << 64) if value >> 63 else value
            elif kind is FLOAT:
                (self.numbers[name],) = struct.unpack("<f", source.data[begin:at])
            elif kind is TEXT:
                self.texts[name] = walker.text((begin, at), what)
            else:
                self.places[name] = begin, at
            self.given.add(name)

    def _splits(self, kind: Kind, begin: int, end: int) -> bool:
        """Whether a run of numbers ends within one."""
        if kind.size == 1:
            return end > begin and self.walker.source.data[end - 1] >= 0x80
        return (end - begin) % kind.size != 0

    def part(self, span: Span, schema: Schema, what: str) -> "Message":
        """Return a message that lies in this one."""
        return Message(self.walker, span, schema, what, self.depth + 1)

    def parts(self, name: str, schema: Schema, what: str) -> "Iterator[Message]":
        """Yield the messages of a list; `what` and their index name them in errors."""
        for i, span in enumerate(self.spans(name)):
            yield self.part(span, schema, f"{what} {i}")

    def spans(self, name: str) -> Iterator[Span]:
        """Yield where each item of a list lies."""
        return spans_of(self.runs.get(name, NO_RUNS))

    def listed(self, name: str) -> list[str]:
        """Return the texts of a list."""
        return [self.walker.text(span, self.what) for span in self.spans(name)]


def spans_of(runs: Runs) -> Iterator[Span]:
    """Yield the spans that runs stand for."""
    return zip(runs[::2], runs[1::2], strict=True)


def length_of(runs: Runs) -> int:
    """Return the bytes of all runs together."""
    return sum(runs[1::2]) - sum(runs[::2])


def joined(source: Source, runs: Runs) -> bytes:
    """Return the bytes of all runs; the caller has looked at their length."""
    return b"".join(source.data[begin:end] for begin, end in spans_of(runs))


def decode_varints(source: Source, raw: bytes | bytearray, what: str) -> np.ndarray:
    """Return the unsigned 64-bit integers that whole varints stand for.

    Raises
    ------
    BadCheckpoint
        One has more than 64 bits.
    """
    if len(raw) < FEW and max(raw, default=0) < 0x80:
        return np.array([*raw], np.uint64)
    codes = np.frombuffer(raw, np.uint8)
    ends = np.flatnonzero(codes < 0x80)
    starts = np.append(0, ends[:-1] + 1) if len(ends) else ends
    lengths = ends - starts + 1
    longest = int(lengths.max(initial=0))
    if longest > LONGEST_VARINT or (codes[ends[lengths == LONGEST_VARINT]] > 1).any():
        raise source.bad(f"{what} has a number of more than 64 bits", NO_PROTOBUF)
    values = np.zeros(len(ends), np.uint64)
    for place in range(longest):
        has = lengths > place
        bits = (codes[starts[has] + place] & 0x7F).astype(np.uint64)
        values[has] |= bits << np.uint64(7 * place)
    return values


def stream_varints(source: Source, runs: Runs, what: str) -> Iterator[np.ndarray]:
    """Yield the unsigned 64-bit integers of all runs, piece by piece."""
    waiting = bytearray()
    for begin, end in spans_of(runs):
        for low in range(begin, end, PIECE):
            waiting += source.data[low : min(low + PIECE, end)]
            if len(waiting) >= PIECE:
                whole = next((n for n in range(len(waiting), len(waiting) - LONGEST_VARINT, -1)
                              if waiting[n - 1] < 0x80), 0)  # fmt: skip
                if not whole:
                    raise source.bad(f"{what} has a number of more than 64 bits", NO_PROTOBUF)
                yield decode_varints(source, bytes(waiting[:whole]), what)
                del waiting[:whole]
    if waiting:
        yield decode_varints(source, bytes(waiting), what)


def names(*rows: str) -> Schema:
    """Return a schema from rows such as "1 ir_version INT".

    Examples
    --------
    >>> names("1 ir_version INT", "7 graph DATA")[7]
    ('graph', Kind(what='bytes', wires=(2,), listed=False, size=0))
    """
    split = (row.split() for row in rows)
    return {int(number): (name, KINDS[kind]) for number, name, kind in split}
