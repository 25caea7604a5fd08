"""Flax's msgpack files, as `flax.serialization.to_bytes` writes them, read without loading the file.

The file is one MessagePack value, dictionaries within dictionaries; an array is an extension of type 1 that holds
(shape, name of the dtype, bytes), and one of more than 1 GiB is a dictionary of chunks [1]. The msgpack library builds
all values in memory, and lets the last of two equal keys win; so the values are walked here, in the mapped file, by
`_msgpack`, and arrays are mapped. The library writes the files of the tests.

An array is called by the path that leads to it, joined with slashes as Flax's own libraries join them:
`params/Dense_0/kernel`. Numbers, texts and other small values are passed over.

[1] https://github.com/google/flax/blob/main/flax/serialization.py
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from math import prod
from typing import TypeVar, final

import numpy as np

from symbreak._visible import number, quoted, visible
from symbreak.checkpoints._arrays import MOST_AXES, Buffer, as_array, check_bool, check_shape
from symbreak.checkpoints._dtypes import FLAX, element_type
from symbreak.checkpoints._msgpack import DAMAGED, Head, Kind, check_claim, read_head
from symbreak.checkpoints._reader import Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._spool import gather
from symbreak.errors import BadCheckpoint

ARRAY, COMPLEX, SCALAR, TIME = 1, 2, 3, -1  # types of extensions
CHUNKED = "__msgpack_chunked_array__"
ELSEWHERE = b"PLACEHOLDER://"  # Orbax writes such a text where it keeps an array in other files
DEEPEST = 500
MOST_VALUES = 4_000_000
MOST_CHARACTERS = 64 << 20  # of all names together
LONGEST_KEY = 1 << 16  # bytes
LOOKED_AT = 10_000  # values, before the first array, of a file that is recognised
WHOLE = "array"  # what the only array of a file is called
PIECE = 1 << 24  # bytes of a chunk at a time


@final
class Place:
    """A place in the file: its text is the path that leads to it, made when it is asked for."""

    __slots__ = ("key", "parent")

    def __init__(self, parent: "Place | None" = None, key: str = "") -> None:
        self.parent, self.key = parent, key

    def name(self) -> str:
        """Return the keys, joined with slashes."""
        keys = []
        place = self
        while place.parent is not None:
            keys.append(place.key)
            place = place.parent
        return "/".join(reversed(keys)) if keys else WHOLE

    def __str__(self) -> str:
        return "the file" if self.parent is None else quoted(self.name())


@final
@dataclass(frozen=True, slots=True)
class Packed:
    """What an array's extension holds: its shape, the name of its dtype, and where its bytes lie."""

    shape: tuple[int, ...]
    dtype: str
    begin: int
    end: int


@final
@dataclass(frozen=True, slots=True)
class Array:
    """An array in one chunk, which has its shape, or in several, which are parts of it in C order."""

    shape: tuple[int, ...]
    chunks: list[Packed]


Item = TypeVar("Item")
Found = tuple[Place, Array | str]  # where, and the array or the reason why it can't be read


@final
class _Frame:
    """A map or a list that is being walked."""

    __slots__ = ("index", "keys", "left", "place")

    def __init__(self, place: Place, head: Head) -> None:
        self.place, self.left, self.index = place, head.count, 0
        self.keys: set[str] | None = set() if head.kind is Kind.MAP else None


@final
class Walk:
    """The arrays of a file, in its order.

    Parameters
    ----------
    source
        The file.
    most
        Values that are looked at.
    cut
        Whether an array may end beyond the file.

    Raises
    ------
    BadCheckpoint
        A value is malformed, claims more than there is, or follows the one that should be all of the file; a key is no
        text, or is there twice; or there are too many values.
    """

    def __init__(self, source: Source, *, most: int, cut: bool = False) -> None:
        self.source, self.most, self.cut = source, most, cut
        self.values = 0
        self.frames: list[_Frame] = []

    def __iter__(self) -> Iterator[Found]:
        at = yield from self._value(Place(), 0)
        while self.frames:
            frame = self.frames[-1]
            if not frame.left:
                self.frames.pop()
                continue
            frame.left -= 1
            key = str(frame.index)
            frame.index += 1
            if frame.keys is not None:
                key, at = self._key(frame.place, at)
                if key in frame.keys:
                    raise self.source.bad(f"{frame.place} has the key {quoted(key)} twice")
                if key == CHUNKED:
                    raise self.source.bad(f"{frame.place} has the key {CHUNKED} behind others", DAMAGED)
                frame.keys.add(key)
            at = yield from self._value(Place(frame.place, key), at)
        if at != self.source.size:
            raise self.source.bad(f"{self.source.size - at:,} bytes follow the value that should be all of the file")

    def _value(self, place: Place, at: int) -> Generator[Found, None, int]:
        """Yield what is found in one value; return the place after it, or for a map or a list after its head."""
        head = self._head(place, at)
        if head.kind is Kind.EXT:
            if head.code in (ARRAY, SCALAR):
                packed = self._packed(place, head)
                yield place, Array(packed.shape, [packed])
            elif head.code not in (COMPLEX, TIME):
                yield place, f"an extension of type {head.code}, which Flax does not write"
            return head.end
        if head.kind is Kind.TEXT and self.source.data[head.begin : head.begin + len(ELSEWHERE)] == ELSEWHERE:
            yield place, "Orbax keeps its values in other files, which are not read"
        if head.kind is Kind.MAP and head.count:
            key, after = self._key(place, head.begin)
            if key == CHUNKED:
                found, after = self._chunked(place, head, after)
                yield place, found
                return after
        if head.kind in (Kind.MAP, Kind.LIST):
            if len(self.frames) == DEEPEST:
                raise self.source.bad(f"it is nested more than {DEEPEST} deep", DAMAGED)
            self.frames.append(_Frame(place, head))
        return head.end

    def _head(self, place: Place, at: int, end: int | None = None, *, cut: bool = False) -> Head:
        """Return the head of a value that ends within `end`, unless it may be cut."""
        self.values += 1
        if self.values > self.most:
            raise self.source.bad(f"it has more than {self.most:,} values", "save arrays, not lists of numbers")
        end = self.source.size if end is None else end
        head = read_head(self.source, at, end, place)
        if not (cut or (self.cut and head.kind is Kind.EXT)):
            check_claim(self.source, head, end, place)
        return head

    def _key(self, place: Place, at: int) -> tuple[str, int]:
        head = self._head(place, at)
        if head.kind is not Kind.TEXT:
            raise self.source.bad(f"{place} has a key that is {head.kind.value}", "keys should be texts")
        return self._text(head, f"a key of {place}"), head.end

    def _text(self, head: Head, what: object) -> str:
        if head.end - head.begin > LONGEST_KEY:
            raise self.source.bad(f"{what} has {head.end - head.begin:,} bytes", f"at most {LONGEST_KEY:,} are read")
        try:
            return self.source.data[head.begin : head.end].decode("utf-8")
        except UnicodeDecodeError:
            raise self.source.bad(f"{what} is not UTF-8", DAMAGED) from None

    def _packed(self, place: Place, extension: Head) -> Packed:
        """Read an array's extension: a list of shape, dtype and bytes, which fill it."""
        end = extension.end
        head = self._head(place, extension.begin, end)
        if head.kind is not Kind.LIST or head.count != 3:
            raise self.source.bad(f"{place} is an array that is not a list of shape, dtype and bytes", DAMAGED)
        axes = self._head(place, head.end, end)
        if axes.kind is not Kind.LIST:
            raise self.source.bad(f"{place} is an array whose shape is {axes.kind.value}", DAMAGED)
        shape, at = [], axes.end
        for _ in range(axes.count):
            length, at = self._length(place, at, end)
            shape.append(length)
        name = self._head(place, at, end)
        if name.kind not in (Kind.TEXT, Kind.BYTES):
            raise self.source.bad(f"{place} is an array whose dtype is {name.kind.value}", DAMAGED)
        data = self._head(place, name.end, end, cut=self.cut)
        if data.kind is not Kind.BYTES:
            raise self.source.bad(f"{place} is an array whose values are {data.kind.value}, not bytes", DAMAGED)
        if data.end != end:
            raise self.source.bad(
                f"{place} is an array that ends {end - data.end:,} bytes before its extension", DAMAGED
            )
        return Packed(tuple(shape), self._text(name, f"the dtype of {place}"), data.begin, data.end)

    def _length(self, place: Place, at: int, end: int | None = None) -> tuple[int, int]:
        head = self._head(place, at, end)
        if head.kind is not Kind.INT or head.count < 0:
            shown = number(head.count) if head.kind is Kind.INT else head.kind.value
            raise self.source.bad(f"{place} has an axis whose length is {shown}", "a length is an integer, 0 or more")
        return head.count, head.end

    def _chunk(self, place: Place, at: int) -> tuple[Packed, int]:
        head = self._head(place, at)
        if head.kind is not Kind.EXT or head.code != ARRAY:
            raise self.source.bad(f"{place} has a chunk that is {head.kind.value}, not an array", DAMAGED)
        return self._packed(place, head), head.end

    def _chunked(self, place: Place, head: Head, at: int) -> tuple[Array, int]:
        """Read a map of a flag, the lengths by axis, and the chunks by index; the flag's key has been read."""
        at = self._head(place, at).end
        shape: list[int] | None = None
        chunks: list[Packed] | None = None
        for _ in range(head.count - 1):
            key, at = self._key(place, at)
            if key == "shape" and shape is None:
                shape, at = self._indexed(place, at, self._length, MOST_AXES)
            elif key == "chunks" and chunks is None:
                chunks, at = self._indexed(place, at, self._chunk, self.most)
            else:
                raise self.source.bad(f"{place} is an array in chunks with the key {quoted(key)}", DAMAGED)
        if shape is None or not chunks:
            raise self.source.bad(f"{place} is an array in chunks without its shape or its chunks", DAMAGED)
        return Array(tuple(shape), chunks), at

    def _indexed(
        self, place: Place, at: int, read: Callable[[Place, int], tuple[Item, int]], most: int
    ) -> tuple[list[Item], int]:
        """Read a map from "0", "1", ... to items."""
        head = self._head(place, at)
        if head.kind is not Kind.MAP or head.count > most:
            raise self.source.bad(f"{place} is an array in chunks that are not listed by index", DAMAGED)
        items, at = [], head.end
        for i in range(head.count):
            key, at = self._key(place, at)
            if key != str(i):
                raise self.source.bad(f"{place} is an array in chunks whose item {i} is called {quoted(key)}", DAMAGED)
            item, at = read(place, at)
            items.append(item)
            if self.cut and at > self.source.size:
                break
        return items, at


def looks_like_flax(source: Source) -> bool:
    """Whether an array of Flax's is met in a MessagePack value that is sound so far; it may be cut short after that."""
    first = source.data[:1]
    # A map or a list that is not empty, or an extension.
    if not first or not (0x80 < first[0] < 0xA0 or 0xC7 <= first[0] <= 0xC9 or 0xDC <= first[0] <= 0xDF):
        return False
    try:
        return any(isinstance(found, Array) for _, found in Walk(source, most=LOOKED_AT, cut=True))
    except BadCheckpoint:
        return False


@final
class Flax(Checkpoint):
    """One msgpack file of Flax."""

    def __init__(self, source: Source) -> None:
        self._chunks: dict[str, list[Packed]] = {}
        tensors: dict[str, TensorInfo] = {}
        skipped: list[Skipped] = []
        characters = 0
        for place, found in Walk(source, most=MOST_VALUES):
            name = place.name()
            characters += len(name)
            if characters > MOST_CHARACTERS:
                raise source.bad(f"it has names of more than {MOST_CHARACTERS:,} characters", "nest its arrays less")
            if isinstance(found, str):
                skipped.append(Skipped(name, found))
                continue
            dtype = _dtype(source, found, quoted(name))
            if isinstance(dtype, str):
                skipped.append(Skipped(name, dtype))
            elif name in tensors:
                skipped.append(Skipped(name, "another array of the file has this name too"))
            else:
                tensors[name] = TensorInfo(name, found.shape, dtype)
                self._chunks[name] = found.chunks
        super().__init__(source, "flax", tensors, tuple(skipped))

    def _read(self, info: TensorInfo) -> np.ndarray:
        stream = self._stream(info)
        if stream is None:
            (chunk,) = self._chunks[info.name]
            array = as_array(memoryview(self._source.data), info.dtype, info.shape, start=chunk.begin)
        else:
            array = gather(self._source, stream, info.dtype, info.shape, quoted(info.name))
        return check_bool(self._source, array, quoted(info.name))

    def _stream(self, info: TensorInfo) -> Iterator[Buffer] | None:
        chunks = self._chunks[info.name]
        return self._joined(chunks) if len(chunks) > 1 else None

    def _joined(self, chunks: list[Packed]) -> Iterator[Buffer]:
        whole = memoryview(self._source.data)
        for chunk in chunks:
            yield from (whole[low : min(low + PIECE, chunk.end)] for low in range(chunk.begin, chunk.end, PIECE))


def _dtype(source: Source, array: Array, what: str) -> np.dtype | str:
    """Return the dtype of an array whose shape, chunks and bytes fit; or why it can't be read."""
    names = {chunk.dtype for chunk in array.chunks}
    if len(names) > 1:
        raise source.bad(f"{what} has chunks of several dtypes: {visible(', '.join(sorted(names)))}")
    (name,) = names
    if name not in FLAX:
        return f"its elements are {visible(name)}, which are not numbers"
    dtype = element_type(name)
    check_shape(source, array.shape, dtype.itemsize, what)
    for chunk in array.chunks:
        needed, length = check_shape(source, chunk.shape, dtype.itemsize, what), chunk.end - chunk.begin
        if needed != length:
            raise source.bad(f"{what} needs {number(needed)} bytes for its shape, and has {length:,}")
    total, held = prod(array.shape), sum(prod(chunk.shape) for chunk in array.chunks)
    if total != held:
        raise source.bad(f"{what} needs {number(total)} elements for its shape, and its chunks have {number(held)}")
    return dtype
