"""GGUF, the format of llama.cpp: keys and values that say what the model is, where each tensor lies, and the bytes.

Every count in the header is compared with what is left of the file before it is followed, and lists, such as a
tokenizer's vocabulary, are walked and not built. The tensors lie one after another, each padded to the alignment, and
no byte belongs to two of them or to none. Layout as in the specification [1], versions 2 and 3, in either byte order.

[1] https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Literal, final

import numpy as np

from symbreak._visible import number, quoted
from symbreak.checkpoints._arrays import Buffer, as_array, check_shape
from symbreak.checkpoints._dtypes import element_type, in_order
from symbreak.checkpoints._ggml import KINDS, PIECE, dequantised, has_codebooks
from symbreak.checkpoints._reader import Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import TRUNCATED, Source
from symbreak.checkpoints._spool import gather

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ARCHITECTURE, ALIGNMENT = "general.architecture", "general.alignment"
USUAL_ALIGNMENT = 32  # bytes, where the file does not say another
MOST_AXES = 4  # of a tensor; GGML's own limit

LARGEST = 100_000_000  # bytes of a header; the largest vocabularies take a tenth of it
MOST_KEYS = 1 << 16
MOST_TENSORS = 1_000_000
MOST_KEPT = 1 << 20  # values in all lists that are kept
MOST_WALKED = 4_000_000  # texts in all lists of a header; the largest vocabularies have a fifth of it
LIST_IN_TEXTS = 16  # a list in a list takes as long as so many texts
DEEPEST = 4  # lists in lists
LONGEST_NAME = (1 << 16) - 1  # bytes of a key, as the specification has it, or of a tensor's name
LONGEST_TEXT = 1000  # bytes of a value that is kept
LONGEST_LIST = 1024  # values of a list that is kept, such as one for each layer
LEAST_PAIR = 8 + 1 + 4 + 1  # bytes of a key and its value
LEAST_TENSOR = 8 + 4 + 4 + 8  # bytes of what is said of a tensor

# The types of values, by number, as `struct` has them; a text and a list are told apart.
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
UINT32, BOOL, TEXT, LIST = 4, 7, 8, 9
CONVERT = "convert it to F16 or Q8_0 with llama-quantize"


def looks_like_gguf(source: Source) -> bool:
    """Whether the file begins with the magic."""
    return source.data[: len(MAGIC)] == MAGIC


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the header says of one tensor."""

    name: str
    shape: tuple[int, ...]
    kind: int  # the number of its element type
    offset: int  # bytes from where the tensors begin


@final
class Gguf(Checkpoint):
    """One GGUF file."""

    def __init__(self, source: Source) -> None:
        header = _Header(source)
        entries, values = header.read()
        alignment = values.get(ALIGNMENT, USUAL_ALIGNMENT)
        assert isinstance(alignment, int)  # noqa: S101 - the header has looked
        self._big = header.order == "big"
        self._begin = _padded(header.at, alignment)
        self._check_layout(source, entries, alignment)
        self._at: dict[str, _Entry] = {}
        tensors, skipped = {}, []
        for entry in entries:
            if (reason := self._unread(entry)) is not None:
                skipped.append(Skipped(entry.name, reason))
                continue
            tensors[entry.name] = TensorInfo(entry.name, entry.shape, _dtype(entry.kind, ">" if self._big else "<"))
            self._at[entry.name] = entry
        notes = {key: str(value) for key, value in values.items() if not isinstance(value, list)}
        super().__init__(source, "gguf", tensors, tuple(skipped), notes, _structure(values))

    def _check_layout(self, source: Source, entries: list[_Entry], alignment: int) -> None:
        """See that the tensors lie one after another, each at a multiple of the alignment, up to the file's end."""
        sizes = {entry.name: _size(source, entry) for entry in entries}
        expected: int | None = 0
        # A tensor without values ends where it begins, and comes before the one that begins there too.
        for entry in sorted(entries, key=lambda entry: (entry.offset, sizes[entry.name] or 0)):
            what, size = quoted(entry.name), sizes[entry.name]
            if entry.offset % alignment:
                raise source.bad(f"{what} begins at {number(entry.offset)}, no multiple of the alignment {alignment}")
            if expected is not None and entry.offset != expected:
                relation = "overlaps what comes before it" if entry.offset < expected else "leaves a hole before it"
                raise source.bad(f"{what} {relation}: it begins at {number(entry.offset)}, not at {number(expected)}")
            if size != 0:
                source.check(self._begin + entry.offset, size or 1, what)
            expected = None if size is None else _padded(entry.offset + size, alignment)
        if expected is not None and source.size > self._begin + expected:
            rest = source.size - self._begin - expected
            raise source.bad(f"{rest:,} bytes after its last tensor belong to none")

    def _unread(self, entry: _Entry) -> str | None:
        """Return why a tensor can't be read, or None where it can."""
        kind = KINDS.get(entry.kind)
        if kind is None:
            return f"its elements are of GGML's type {entry.kind}, which is not known: {CONVERT}"
        if kind.values == 1:
            return None
        if kind.arithmetic is None:
            return f"it is quantised as {kind.name}, which is not decoded: {CONVERT}"
        if kind.codebook and not has_codebooks():
            return f"it is quantised as {kind.name}, which takes gguf: pip install 'symbreak[files]', or {CONVERT}"
        if self._big:  # converters differ in which bytes of a block they turn around
            return f"it is quantised as {kind.name} in a big-endian file: convert the little-endian original"
        return None

    def _read(self, info: TensorInfo) -> np.ndarray:
        stream = self._stream(info)
        if stream is not None:
            return gather(self._source, stream, info.dtype, info.shape, quoted(info.name))
        start = self._begin + self._at[info.name].offset
        return as_array(memoryview(self._source.data), info.dtype, info.shape, start=start)

    def _stream(self, info: TensorInfo) -> Iterator[Buffer] | None:
        entry = self._at[info.name]
        kind = KINDS[entry.kind]
        turn = self._big and info.dtype.isbuiltin == 2  # bfloat16 has the machine's order alone
        if kind.arithmetic is None and not turn:
            return None
        start, size = self._begin + entry.offset, _size(self._source, entry) or 0
        blocks = memoryview(self._source.data)[start : start + size]
        return _turned(blocks) if turn else dequantised(blocks, kind)


@cache
def _dtype(kind: int, order: str) -> np.dtype:
    return in_order(element_type(KINDS[kind].dtype), order)


def _size(source: Source, entry: _Entry) -> int | None:
    """Return the bytes that a tensor takes; None of a type that is not known."""
    what, kind = quoted(entry.name), KINDS.get(entry.kind)
    check_shape(source, entry.shape, 4 if kind is None or kind.values > 1 else kind.size, what)
    if kind is None:
        return None
    row = entry.shape[-1] if entry.shape else 1
    if row % kind.values:
        raise source.bad(f"{what} has rows of {row:,} values, and {kind.name} packs {kind.values} together")
    return prod(entry.shape) // kind.values * kind.size


@final
class _Header:
    """The header, from its first byte to its last; `at` only passes bytes that are there."""

    def __init__(self, source: Source) -> None:
        self.source, self.at, self.walked, self.kept = source, len(MAGIC), 0, 0
        self.order: Literal["little", "big"] = "little"
        self.mark = "<"  # the byte order, as `struct` has it
        raw = source.take(self.take(4, "the version"), 4, "the version")
        version, turned = (int.from_bytes(raw, order) for order in ("little", "big"))
        if turned in VERSIONS:
            self.order, self.mark = "big", ">"
        elif version not in VERSIONS:
            raise source.bad(f"it is GGUF of version {version}", "2 and 3 are read: convert the original model again")

    def read(self) -> tuple[list[_Entry], dict[str, object]]:
        """Return what is said of the tensors, in order, and the values that are short enough to keep."""
        tensors = self.count(LEAST_TENSOR, "tensors", MOST_TENSORS)
        pairs = self.count(LEAST_PAIR, "keys", MOST_KEYS)
        values: dict[str, object] = {}
        keys: set[str] = set()
        for _ in range(pairs):
            key = self.name("a key")
            if not key or key in keys:
                raise self.source.bad(f"it has the key {quoted(key)} twice" if key else "it has a key without a name")
            keys.add(key)
            kind = self.integer(4, quoted(key))
            if key == ALIGNMENT and kind != UINT32:
                raise self.source.bad(f"its alignment is a value of type {kind}", f"it should be of type {UINT32}")
            if (value := self.value(kind, quoted(key))) is not None:
                values[key] = value
        alignment = values.get(ALIGNMENT, USUAL_ALIGNMENT)
        if not isinstance(alignment, int) or alignment.bit_count() != 1:
            raise self.source.bad(f"its alignment is {alignment}", "it should be a power of two")
        entries = [self.tensor() for _ in range(tensors)]
        names: set[str] = set()
        for entry in entries:
            if entry.name in names:
                raise self.source.bad(f"two tensors are called {quoted(entry.name)}")
            names.add(entry.name)
        return entries, values

    def tensor(self) -> _Entry:
        name = self.name("a tensor's name")
        what = f"what is said of {quoted(name)}"
        axes = self.integer(4, what)
        if axes > MOST_AXES:
            raise self.source.bad(f"{quoted(name)} has {axes:,} axes", f"a tensor of GGML has at most {MOST_AXES}")
        facts = struct.Struct(f"{self.mark}{axes}QIQ")
        *lengths, kind, offset = facts.unpack_from(self.source.data, self.take(facts.size, what))
        return _Entry(name, tuple(reversed(lengths)), kind, offset)  # the file lists the innermost axis first

    def value(self, kind: int, what: str) -> object:
        """Pass one value, and return it, or None where it is too long to keep."""
        if kind == TEXT:
            return self.text(what)
        if kind == LIST:
            return self.items(what, 1)
        return self.numbers(kind, 1, what)[0]

    def text(self, what: str) -> str | None:
        size = self.integer(8, what)
        start = self.take(size, what)
        return self.source.data[start : self.at].decode("utf-8", "replace") if size <= LONGEST_TEXT else None

    def items(self, what: str, depth: int) -> list[object] | None:
        if depth > DEEPEST:
            raise self.source.bad(f"{what} nests lists more than {DEEPEST} deep")
        kind, count = self.integer(4, what), self.integer(8, what)
        if kind not in (TEXT, LIST):
            if self.keeps(count):
                return self.numbers(kind, count, what)
            self.raw(kind, count, what)
            return None
        self.source.check(self.at, count * (8 if kind == TEXT else 12), what)  # each has a length, a list a type too
        self.walked += count * (1 if kind == TEXT else LIST_IN_TEXTS)
        if self.walked > MOST_WALKED:
            raise self.source.bad(f"its header lists more than {MOST_WALKED:,} texts", "leave the tokenizer out")
        if kind == LIST:
            for _ in range(count):
                self.items(what, depth + 1)
            return None
        if not self.keeps(count):
            self.pass_texts(count, what)
            return None
        found: list[object] = [self.text(what) for _ in range(count)]
        return None if None in found else found

    def keeps(self, count: int) -> bool:
        """Whether a list of so many values is kept: one of a value for each layer is, a vocabulary is not."""
        self.kept += count if count <= LONGEST_LIST else 0
        return count <= LONGEST_LIST and self.kept <= MOST_KEPT

    def pass_texts(self, count: int, what: str) -> None:
        """Pass texts as fast as can be: a vocabulary has some hundred thousand."""
        at, data = self.at, self.source.data
        end, length = min(self.source.size, LARGEST) - 8, struct.Struct(self.mark + "Q").unpack_from
        for _ in range(count):
            if at > end:
                break
            at += 8 + length(data, at)[0]
        else:
            self.take(at - self.at, what)
            return
        self.take(at + 8 - self.at, what)

    def numbers(self, kind: int, count: int, what: str) -> list[object]:
        raw, code = self.raw(kind, count, what)
        found = struct.unpack(f"{self.mark}{count}{code}", raw)
        return [bool(value) for value in found] if kind == BOOL else list(found)

    def raw(self, kind: int, count: int, what: str) -> tuple[memoryview, str]:
        """Pass numbers, and return their bytes and how `struct` calls their type."""
        code = SCALARS.get(kind)
        if code is None:
            raise self.source.bad(f"{what} is a value of type {kind:,}, which is not known")
        size = count * struct.calcsize(self.mark + code)
        raw = self.source.view(self.take(size, what), size, what)
        if kind == BOOL and count and np.frombuffer(raw, np.uint8).max() > 1:
            raise self.source.bad(f"{what} is a truth value that is neither 0 nor 1")
        return raw, code

    def name(self, what: str) -> str:
        size = self.integer(8, what)
        start = self.take(size, what)
        if size > LONGEST_NAME:
            raise self.source.bad(f"{what} has {size:,} bytes", f"at most {LONGEST_NAME:,} are read")
        raw = self.source.data[start : self.at]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.source.bad(f"{what} is not UTF-8: {quoted(raw[:80])}") from None

    def count(self, least: int, what: str, most: int) -> int:
        """Read how many there are of something that takes at least so many bytes of the header."""
        found = self.integer(8, f"the number of {what}")
        if found * least > self.source.size - self.at:
            raise self.source.bad(
                f"it claims {number(found)} {what}, more than its {self.source.size:,} bytes can hold", TRUNCATED
            )
        if found > most:
            raise self.source.bad(f"it has {found:,} {what}", f"at most {most:,} are read")
        return found

    def integer(self, width: int, what: str) -> int:
        start = self.take(width, what)
        return int.from_bytes(self.source.data[start : self.at], self.order)

    def take(self, size: int, what: str) -> int:
        """Pass `size` bytes, and return where they begin."""
        self.source.check(self.at, size, what)
        self.at += size
        if self.at > LARGEST:
            raise self.source.bad(f"its header has more than {LARGEST:,} bytes", "leave the tokenizer out")
        return self.at - size


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _turned(data: memoryview) -> Iterator[Buffer]:
    """Yield elements of two bytes, big-endian, in the machine's order."""
    for low in range(0, len(data), PIECE):
        yield np.frombuffer(data[low : low + PIECE], ">u2").astype(np.uint16).tobytes()


def _structure(values: dict[str, object]) -> dict[str, object]:
    """Return the architecture's name and its own keys, without the name that each of them begins with."""
    name = values.get(ARCHITECTURE)
    if not isinstance(name, str):
        return {}
    own = {key.removeprefix(name + "."): value for key, value in values.items() if key.startswith(name + ".")}
    return {"architecture": name, "hyperparameters": own}
