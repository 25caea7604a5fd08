"""MATLAB's MAT-files of version 5, which MATLAB also calls 6 and 7: 128 bytes, and then one element a variable.

An element is a tag of a type and a length, and so many bytes. An array is an element made of others: flags, lengths of
the axes, name, values; a cell or struct holds arrays in place of values. A variable may be a zlib stream of one array.
Values lie in column-major order, often in a narrower type than the array's. Layout as in "MAT-File Format" of The
MathWorks, chapter 1.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import final

import numpy as np

from symbreak._visible import number, quoted
from symbreak.checkpoints._arrays import MOST_AXES, Buffer, as_array, check_bool, check_shape
from symbreak.checkpoints._flatten import MOST_CHARACTERS
from symbreak.checkpoints._inflate import Mapped, Run, Stream, Unpacking, unpack
from symbreak.checkpoints._reader import TEXT, Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._spool import collect

HEADER = 128  # bytes: 116 of text, the place of notes on objects, version and byte order
TAG = 8  # bytes; inside an array, whatever follows begins at a multiple of as many
ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}  # version 1.0 and the letters MI, as the writer's bytes lie
MATRIX, COMPRESSED = 14, 15
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
INT32, UINT32, DOUBLE = 5, 6, 9
TEXTS = (1, 2, 16)  # types of names: bytes, or UTF-8
CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
COMPLEX, LOGICAL = 0x800, 0x200
OTHERS = {
    OBJECT: "an object of a class, which is not rebuilt",
    CHAR: "text",
    SPARSE: "a sparse array; full() in MATLAB makes one that is read",
    FUNCTION: "a function",
    OPAQUE: "an object of a class, which is not rebuilt",
}
NOTES = "__function_workspace__"  # what SciPy calls the variable without a name
DEEPEST = 100
MOST_FIELDS = 1 << 16
LONGEST = 1 << 20  # bytes of a name, or of all the field names of a struct
SPARE = 10_000  # arrays, and one more for each byte of the file: a cell of empty arrays packs a thousandfold
STEP = 1 << 20  # values that are converted at a time
ALONE = "save the weights alone"


def looks_like_mat5(source: Source) -> bool:
    """Whether the file begins with the text that MATLAB writes, or has version and byte order at their place."""
    return source.data[:10] == b"MATLAB 5.0" or source.data[124:HEADER] in ORDERS


@dataclass(frozen=True, slots=True)
class Part:
    """An element: its type, and where its bytes are, in the file or in what a stream unpacks to."""

    kind: int
    begin: int
    size: int
    stop: int  # where the next element begins
    small: bytes | None = None  # the bytes, when they lie in the tag itself


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one array, as they are stored."""

    dtype: np.dtype
    shape: tuple[int, ...]
    real: Part
    imaginary: Part | None = None
    stream: Stream | None = None  # that holds them, packed


@final
class Mat5(Checkpoint):
    """One MAT-file of version 5."""

    def __init__(self, source: Source) -> None:
        head = source.take(0, HEADER, "the header")
        order = ORDERS.get(head[124:])
        if order is None:
            raise source.bad(f"its header ends with {head[124:].hex(' ')}, not with version 1.0 and a byte order")
        self._order = order
        self._at: dict[str, Values] = {}
        self._last: tuple[Stream, memoryview] | None = None  # the arrays of one struct come after each other
        tensors: dict[str, TensorInfo] = {}
        skipped = []
        for name, found in _Walk(source, order).variables():
            if isinstance(found, str):
                skipped.append(Skipped(name, found, found == TEXT))
            elif name in tensors:
                skipped.append(Skipped(name, "another array of the file has this name too"))
            else:
                tensors[name] = TensorInfo(name, found.shape, found.dtype)
                self._at[name] = found
        metadata = {"header": head[:116].decode("latin-1").rstrip(" \0")}
        super().__init__(source, "mat", tensors, tuple(skipped), metadata)

    def _read(self, info: TensorInfo) -> np.ndarray:
        values, what = self._at[info.name], quoted(info.name)
        data = memoryview(self._source.data) if values.stream is None else self._unpacked(values.stream)
        real = self._stored(data, values.real, prod(info.shape))
        if info.dtype == np.bool_ and real.dtype.itemsize == 1:
            real = real.view(np.bool_)
        if real.dtype == info.dtype:
            return check_bool(self._source, real, what).reshape(info.shape, order="F")
        if info.dtype == np.bool_ and not np.isin(real, (0, 1)).all():
            raise self._source.bad(f"{what} holds truth values that are neither 0 nor 1", "save it as double")
        imaginary = None if values.imaginary is None else self._stored(data, values.imaginary, len(real))
        size = len(real) * info.dtype.itemsize
        buffer = collect(self._source, _converted(real, imaginary, info.dtype), size, what)
        return as_array(buffer, info.dtype, info.shape, order="F")

    def _stored(self, data: memoryview, part: Part, count: int) -> np.ndarray:
        return as_array(data, np.dtype(self._order + TYPES[part.kind]), (count,), start=part.begin)

    def _unpacked(self, stream: Stream) -> memoryview:
        last = self._last
        if last is None or last[0] is not stream:
            last = stream, collect(self._source, unpack(self._source, stream), stream.size, stream.what)
            self._last = last
        return last[1]

    def close(self) -> None:
        """Let go of the file, and of what was unpacked last."""
        self._last = None
        super().close()


Found = tuple[str, Values | str]  # the name, and the array or the reason that it can't be read


@final
class _Walk:
    """Finds the arrays among the elements of a file."""

    def __init__(self, source: Source, order: str) -> None:
        self.source, self.order = source, order
        self.pair = struct.Struct(order + "2I")
        self.arrays = self.characters = 0
        self.stream: Stream | None = None  # that is being walked

    def variables(self) -> Iterator[Found]:
        source, at = self.source, HEADER
        while at < source.size:
            what = f"the variable at byte {at:,}"
            kind, size = self.pair.unpack(source.take(at, TAG, what))
            begin, at = at + TAG, at + TAG + size
            source.check(begin, size, what)
            if kind == COMPRESSED:
                yield from self.packed(begin, size, what)
            elif kind == MATRIX:
                yield from self.array(Mapped(source, begin), at, None, what)
            else:
                raise source.bad(f"{what} is of type {kind}, where an array should be")

    def packed(self, begin: int, length: int, what: str) -> Iterator[Found]:
        stream = Stream(begin, length, what)
        run = Unpacking(self.source, stream)
        kind, size = self.pair.unpack(run.take(TAG, what))
        if kind != MATRIX:
            raise self.source.bad(f"{what} unpacks to an element of type {kind}, where an array should be")
        stream.claim(self.source, TAG + size)
        self.stream = stream
        found = list(self.array(run, TAG + size, None, what))
        if run.at == stream.size:
            run.finish()
        self.stream = None
        yield from found

    def array(self, run: Run, end: int, path: str | None, what: str, depth: int = 0) -> Iterator[Found]:
        """Find what an array holds; `run` is behind its tag, and it ends at `end`, up to which not all need be read."""
        self.arrays += 1
        if self.arrays > SPARE + self.source.size:
            raise self.source.bad(f"it holds more than {SPARE + self.source.size:,} arrays", ALONE)
        if depth > DEEPEST:
            raise self.source.bad(f"its cells and structs are nested more than {DEEPEST} deep", ALONE)
        if path is not None and run.at == end:  # the empty array, [] in MATLAB
            yield self.named(path), Values(np.dtype(self.order + "f8"), (0, 0), Part(DOUBLE, 0, 0, 0))
            return
        flags, _ = self.pair.unpack(self.content(run, end, f"the flags of {what}", (UINT32,), 8, 8))
        kind = flags & 0xFF
        shape = () if kind == OPAQUE else self.lengths(run, end, what)
        name = _text(self.content(run, end, f"the name of {what}", TEXTS, 0, LONGEST))
        notes = path is None and not name
        path = path if path is not None else name or NOTES
        what = quoted(path)
        if notes:
            yield self.named(path), "it holds MATLAB's notes on functions and objects"
        elif kind in CLASSES:
            yield self.named(path), self.values(run, end, shape, flags, what)
        elif kind in (CELL, STRUCT):
            names = self.fields(run, end, what) if kind == STRUCT else None
            yield from self.parts(run, end, prod(shape), names, path, depth)
        else:
            yield self.named(path), f"it holds {OTHERS.get(kind, f'an array of class {kind}, which is not known')}"

    def parts(self, run: Run, end: int, count: int, names: list[str] | None, path: str, depth: int) -> Iterator[Found]:
        """Find what the arrays in a cell or struct hold: `count` of them, or as many for each field name."""
        source, what = self.source, quoted(path)
        wanted = count * (1 if names is None else len(names))
        if wanted * TAG > end - run.at:
            raise source.bad(f"{what} claims to hold {number(wanted)} arrays in {end - run.at:,} bytes")
        for i in range(count if wanted else 0):
            item = path if names is not None and count == 1 else f"{path}.{i}"
            for inner in [item] if names is None else [f"{item}.{name}" for name in names]:
                part = self.part(run, end, quoted(inner))
                if part.kind != MATRIX or part.small is not None:
                    raise source.bad(f"{quoted(inner)} is of type {part.kind}, where an array should be")
                yield from self.array(run, part.begin + part.size, inner, quoted(inner), depth + 1)
                run.skip(part.stop - run.at, quoted(inner))
        if run.at != end:
            raise source.bad(f"{end - run.at:,} bytes of {what} belong to none of its arrays")

    def fields(self, run: Run, end: int, what: str) -> list[str]:
        """Return the names of a struct's fields, each of which takes the same number of bytes."""
        (length,) = struct.unpack(self.order + "i", self.content(run, end, f"the fields of {what}", (INT32,), 4, 4))
        names = self.content(run, end, f"the fields of {what}", TEXTS, 0, LONGEST)
        if names and (length < 1 or len(names) % length or len(names) // length > MOST_FIELDS):
            raise self.source.bad(f"{what} has fields with names of {length:,} bytes in {len(names):,}")
        return [_text(names[low : low + length].split(b"\0")[0]) for low in range(0, len(names), max(length, 1))]

    def values(self, run: Run, end: int, shape: tuple[int, ...], flags: int, what: str) -> Values | str:
        """Return the values of a numeric array, or the reason that they can't be read."""
        source, kind = self.source, CLASSES[flags & 0xFF]
        logical, pair = flags & LOGICAL, flags & COMPLEX
        parts = [self.part(run, end, f"the values of {what}")]
        if pair:
            run.skip(parts[0].stop - run.at, what)
            parts.append(self.part(run, end, f"the imaginary part of {what}"))
        if parts[-1].stop != end:
            raise source.bad(f"{end - parts[-1].stop:,} bytes of {what} are no part of it")
        for part in parts:
            stored = TYPES.get(part.kind)
            if stored is None or not (logical or _holds(kind, stored)):
                raise source.bad(f"{what} is stored as type {part.kind}, as no array of its class is")
            size = check_shape(source, shape, np.dtype(stored).itemsize, what)
            if size != part.size:
                raise source.bad(f"{what} needs {size:,} bytes for shape {shape}, but has {part.size:,}")
        if pair and (logical or kind[0] != "f"):
            return "it holds complex integers, which NumPy does not have"
        dtype = np.dtype("?" if logical else f"{self.order}c{2 * int(kind[1])}" if pair else self.order + kind)
        check_shape(source, shape, dtype.itemsize, what)
        return Values(dtype, shape, parts[0], parts[1] if pair else None, self.stream)

    def lengths(self, run: Run, end: int, what: str) -> tuple[int, ...]:
        """Return the shape."""
        data = self.content(run, end, f"the axes of {what}", (INT32, UINT32), 8, 4 * MOST_AXES)
        if len(data) % 4:
            raise self.source.bad(f"the axes of {what} take {len(data)} bytes, where each takes 4")
        shape = tuple(np.frombuffer(data, self.order + "i4").tolist())
        check_shape(self.source, shape, 1, what)
        return shape

    def content(self, run: Run, end: int, what: str, kinds: tuple[int, ...], least: int, most: int) -> bytes:
        """Return the bytes of the next element, which is of one of some types and takes so many bytes."""
        part = self.part(run, end, what)
        if part.kind not in kinds or not least <= part.size <= most:
            raise self.source.bad(f"{what} can't be {part.size:,} bytes of type {part.kind}")
        if part.small is not None:
            return part.small
        data = run.take(part.size, what)
        run.skip(part.stop - run.at, what)
        return data

    def part(self, run: Run, end: int, what: str) -> Part:
        """Read the next tag."""
        begin = run.at + TAG
        if begin > end:
            raise self.source.bad(f"{what} should follow, but {end - run.at:,} bytes are left of what holds it")
        tag = run.take(TAG, what)
        kind, size = self.pair.unpack(tag)
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise self.source.bad(f"{what} claims {size:,} bytes within its tag, where 4 fit")
            return Part(kind, begin - 4, size, begin, tag[4 : 4 + size])
        if begin + size > end:
            raise self.source.bad(f"{what} should take {size:,} bytes, but {end - begin:,} are left of what holds it")
        return Part(kind, begin, size, min(begin + size + -size % TAG, end))

    def named(self, name: str) -> str:
        """Return a name, counted."""
        self.characters += len(name)
        if self.characters > MOST_CHARACTERS:
            raise self.source.bad(f"its names take more than {MOST_CHARACTERS:,} characters", ALONE)
        return name


def _holds(kind: str, stored: str) -> bool:
    """Whether a class of arrays may lie in the file as a type: one that loses nothing."""
    return np.can_cast(stored, kind) or (kind[0] == "f" and stored[0] in "iu")


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _converted(real: np.ndarray, imaginary: np.ndarray | None, dtype: np.dtype) -> Iterator[Buffer]:
    """Yield the bytes of the values in the array's own type."""
    for low in range(0, len(real), STEP):
        block = real[low : low + STEP].astype(dtype)
        if imaginary is not None:
            block.imag = imaginary[low : low + STEP]
        yield block.view(np.uint8).data
