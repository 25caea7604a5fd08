"""HDF5, Keras and MATLAB 7.3 files: structures that are cut, point nowhere or to themselves, or claim too much."""

import io
import struct
from collections.abc import Callable, Iterator

import h5py
import numpy as np

from tests.checkpoints._make import Zip

W = np.arange(6, dtype="f4").reshape(2, 3)
SPACE, TYPE, LAYOUT, FILTERS, ATTRIBUTE = 1, 3, 8, 11, 12  # messages of an object's header
SAYS = "is damaged: "


def made(write: Callable[[h5py.File], object], **options: object) -> bytearray:
    """A sound file."""
    out = io.BytesIO()
    with h5py.File(out, "w", **options) as file:
        write(file)
    return bytearray(out.getvalue())


def one(file: h5py.File) -> None:
    file["w"] = W


def packed(**options: object) -> Callable[[h5py.File], object]:
    return lambda file: file.create_dataset(
        "w", data=np.arange(400, dtype="i4").reshape(20, 20), chunks=(10, 20), **options
    )


def edited(data: bytes, *edits: tuple[int, bytes]) -> bytes:
    out = bytearray(data)
    for at, new in edits:
        out[at : at + len(new)] = new
    return bytes(out)


def find(data: bytes, mark: bytes, number: int = 0) -> int:
    """Where a mark is, the `number`-th time."""
    at = -1
    for _ in range(number + 1):
        at = data.index(mark, at + 1)
    return at


def header(data: bytes, name: str = "w") -> int:
    """Where the header of an object begins."""
    with h5py.File(io.BytesIO(data)) as file:
        return h5py.h5o.get_info(file[name].id).addr


def message(data: bytes, kind: int, name: str = "w") -> int:
    """Where the data of a message begins, in the header of an object as the first version of the format has it."""
    at = header(data, name) + 16
    while True:
        found, size = struct.unpack_from("<HH", data, at)
        if found == kind:
            return at + 8
        at += 8 + size


def changed(kind: int, offset: int, new: bytes, write: Callable[[h5py.File], object] = one) -> bytes:
    """A file of which one message has other bytes."""
    data = made(write)
    return edited(data, (message(data, kind) + offset, new))


def nested(depth: int) -> bytes:
    def write(file: h5py.File) -> None:
        group = file
        for _ in range(depth):
            group = group.create_group("g")

    return bytes(made(write))


def superblock() -> Iterator[tuple[str, bytes, str]]:
    data = bytes(made(one))
    yield "cut in two", data[: len(data) // 2], "its HDF5 can't be read: truncated file"
    yield "the signature alone", data[:8], "its HDF5 can't be read"
    yield "the last byte gone", data[:-1], "truncated file"
    yield "version 9", edited(data, (8, b"\x09")), "bad superblock version number"
    yield "addresses of 3 bytes", edited(data, (13, b"\x03")), "bad byte number in an address"
    yield "lengths of 0 bytes", edited(data, (14, b"\0")), "bad byte number for object size"
    yield "an end beyond the file", edited(data, (40, struct.pack("<Q", 1 << 40))), "truncated file"
    yield "a root beyond the file", edited(data, (64, struct.pack("<Q", 1 << 40))), "can't be read"
    yield "a root in the signature", edited(data, (64, bytes(8))), "can't be read"
    yield "a base beyond the file", edited(data, (24, struct.pack("<Q", 1 << 40))), "can't be read"
    yield "no tree", edited(data, (find(data, b"TREE"), b"EERT")), SAYS
    new = bytes(made(one, libver="latest"))
    yield "a superblock with another checksum", edited(new, (44, b"\xff\xff\xff\xff")), "bad checksum|can't be read"
    yield "a root with another checksum", edited(new, (find(new, b"OHDR") + 6, b"\x01")), "can't be read|damaged"


def groups() -> Iterator[tuple[str, bytes, str]]:
    data = bytes(made(one))
    tree, heap, node = find(data, b"TREE"), find(data, b"HEAP"), find(data, b"SNOD")
    yield "no heap", edited(data, (heap, b"PAEH")), SAYS
    yield "no node", edited(data, (node, b"DONS")), SAYS
    yield "a heap beyond the file", edited(data, (heap + 24, struct.pack("<Q", 1 << 40))), SAYS
    yield "a heap of 2^63 bytes", edited(data, (heap + 8, struct.pack("<Q", 1 << 63))), SAYS
    yield "a tree of 65535 entries", edited(data, (tree + 6, b"\xff\xff")), SAYS
    yield "a tree of level 200", edited(data, (tree + 5, b"\xc8")), SAYS
    yield (
        "a tree that holds itself",
        edited(data, (tree + 5, b"\x01"), (tree + 32, struct.pack("<Q", tree))),
        "ended by SIG",
    )
    yield "a node of 65535 entries", edited(data, (node + 6, b"\xff\xff")), SAYS
    yield "a node beyond the file", edited(data, (tree + 32, struct.pack("<Q", 1 << 50))), SAYS
    yield "a name beyond the heap", edited(data, (node + 8, struct.pack("<Q", 1 << 20))), SAYS
    yield "a name that is a path", bytes(made(lambda file: file.create_group("a.b"))).replace(b"a.b", b"a/b"), "no name"
    yield (
        "a name that is the group",
        bytes(made(lambda file: file.create_group("a"))).replace(b"\0a\0\0\0\0", b"\0.\0\0\0\0"),
        "is called '.', which is no name in HDF5",
    )
    yield "an object beyond the file", edited(data, (node + 16, struct.pack("<Q", 1 << 50))), "'w' is damaged"
    yield "an object in the middle of another", edited(data, (node + 16, struct.pack("<Q", 104))), "'w' is damaged"
    yield "600 groups deep", nested(600), "its groups are nested more than 500 deep"
    dense = bytes(made(lambda file: [file.create_group(f"g{i}") for i in range(20)], libver="latest"))
    yield "a heap of links with another checksum", edited(dense, (find(dense, b"FRHP") + 20, b"\xff")), SAYS
    yield "links of which none is there", edited(dense, (find(dense, b"FHDB") + 30, bytes(64))), SAYS


def headers() -> Iterator[tuple[str, bytes, str]]:
    data = bytes(made(one))
    at = header(data)
    yield "a header of version 9", edited(data, (at, b"\x09")), "'w' is damaged"
    yield "a header of 4 GiB", edited(data, (at + 8, b"\xff\xff\xff\xff")), "'w' is damaged"
    yield "a message of 65528 bytes", edited(data, (at + 18, b"\xf8\xff")), "'w' is damaged"
    yield "no type", edited(data, (message(data, TYPE) - 8, b"\0\0")), "'w' is damaged"
    yield "no layout", edited(data, (message(data, LAYOUT) - 8, b"\0\0")), "'w' is damaged"
    yield "a dataspace of 200 axes", changed(SPACE, 1, b"\xc8"), "'w' is damaged"
    yield "a dataspace of version 9", changed(SPACE, 0, b"\x09"), "'w' is damaged"
    yield "an axis of 2^62", changed(SPACE, 8, struct.pack("<Q", 1 << 62)), "'w' "
    yield "an axis of 2^64 - 1", changed(SPACE, 8, b"\xff" * 8), "'w' "
    yield "axes whose product wraps around", changed(SPACE, 8, struct.pack("<QQ", 1 << 32, (1 << 32) + 1)), "'w' "
    yield "a type of the class 15", changed(TYPE, 0, b"\x1f"), "'w' is damaged"
    yield "a type of version 9", changed(TYPE, 0, b"\x91"), "'w' is damaged"
    yield "elements of no byte", changed(TYPE, 4, bytes(4)), "'w' is damaged"
    yield "elements of 2 GiB", changed(TYPE, 4, b"\xff\xff\xff\x7f"), "'w' "
    yield "an exponent outside of its number", changed(TYPE, 12, b"\xf0"), "'w' is damaged"
    yield "a layout of version 9", changed(LAYOUT, 0, b"\x09"), "'w' is damaged"
    yield "a layout of the class 7", changed(LAYOUT, 1, b"\x07"), "'w' is damaged"
    yield "values beyond the file", changed(LAYOUT, 2, struct.pack("<Q", 1 << 40)), "'w' "
    yield "values up to the end of all addresses", changed(LAYOUT, 2, struct.pack("<Q", (1 << 64) - 16)), "'w' "
    yield "values that end behind the file", changed(LAYOUT, 2, struct.pack("<Q", len(data) - 4)), "'w' "
    yield "fewer bytes than values", changed(LAYOUT, 10, struct.pack("<Q", 4)), "take 24 bytes, and the file has 4"
    two = bytes(made(lambda file: (one(file), file.create_dataset("v", data=W))))
    place = struct.unpack_from("<Q", two, message(two, LAYOUT) + 2)[0]
    both = edited(two, (message(two, LAYOUT, "v") + 2, struct.pack("<Q", place + 8)))
    yield "values in the bytes of others", both, "'w' and 'v' share bytes of the file"
    flags = bytes(made(lambda file: file.create_dataset("w", data=np.ones(8, bool))))
    place = struct.unpack_from("<Q", flags, message(flags, LAYOUT) + 2)[0]
    yield "a boolean that is 2", edited(flags, (place, b"\x02")), "truth values that are neither 0 nor 1"


def chunks() -> Iterator[tuple[str, bytes, str]]:
    def tree(data: bytes) -> int:
        return find(data, b"TREE", 1)  # the first is that of the group

    plain, deflated = bytes(made(packed())), bytes(made(packed(compression="gzip")))
    first = tree(plain) + 24
    yield "a chunk beyond the file", edited(plain, (first + 32, struct.pack("<Q", 1 << 40))), "'w' is damaged"
    yield "a chunk of 4 GiB", edited(plain, (first, b"\xff\xff\xff\xff")), "'w' is damaged"
    yield "no tree of chunks", edited(plain, (tree(plain), b"EERT")), "'w' is damaged"
    yield "a tree of chunks of 65535 entries", edited(plain, (tree(plain) + 6, b"\xff\xff")), "'w' is damaged"
    stream = struct.unpack_from("<Q", deflated, tree(deflated) + 24 + 32)[0]
    yield "a damaged stream", edited(deflated, (stream + 4, b"\xff" * 9)), "'w' is damaged: filter returned failure"
    yield "a stream that is cut", edited(deflated, (tree(deflated) + 24, b"\x05\0\0\0")), "'w' is damaged"
    summed = bytes(made(packed(fletcher32=True)))
    place = struct.unpack_from("<Q", summed, tree(summed) + 24 + 32)[0]
    yield "another checksum", edited(summed, (place, b"\xff")), "'w' is damaged: filter returned failure"
    scaled = bytes(made(packed(scaleoffset=0)))
    yield "a filter of odd numbers", edited(scaled, (message(scaled, FILTERS) + 8 + 8 + 16, b"\xff" * 8)), "'w' "
    yield "chunks of no length", changed(LAYOUT, 11, bytes(8), packed()), "'w' is damaged"
    yield "chunks of 15 GiB", changed(LAYOUT, 11, b"\xff\xff\xff\x3f\xff\xff\xff\x3f", packed()), "'w' "


def keras() -> Iterator[tuple[str, bytes, str]]:
    def write(file: h5py.File) -> None:
        file["layers/dense/vars/0"] = W

    inner = bytes(made(write))
    sound = Zip().add("config.json", b"{}").add("model.weights.h5", inner)
    data = sound.bytes()
    yield "an archive whose weights are cut", Zip().add("model.weights.h5", inner[:-1]).bytes(), "truncated file"
    yield "an archive whose weights are none", Zip().add("model.weights.h5", b"x" * 99).bytes(), "can't be read"
    yield "an archive of no weights at all", Zip().add("model.weights.h5", b"").bytes(), "can't be read"
    yield "weights that are cut and deflated", Zip().add("model.weights.h5", inner[:-1], method=8).bytes(), "truncated"
    place = find(data, W.tobytes())
    yield "weights with another checksum", edited(data, (place, b"\xff")), "is damaged: its checksum does not match"
    claims = {"size": 0xFFFFFFF0}
    bomb = Zip().add("model.weights.h5", inner, method=8, local=claims, central=claims).bytes()
    yield "weights that claim 4 GiB", bomb, "more than deflate can give"
    short = {"size": len(inner) - 1}
    lie = Zip().add("model.weights.h5", inner, method=8, local=short, central=short).bytes()
    yield "weights that unpack to more", lie, "does not unpack to the"
    yield "weights twice", Zip().add("model.weights.h5", inner).add("model.weights.h5", inner).bytes(), "two members"
    yield "an archive cut", data[:-5], "the zip's directory, which ends it, is missing; .* fetch or save it again"

    def listed(file: h5py.File) -> None:
        file.attrs["layer_names"] = ["w"]
        file.create_group("w").attrs["weight_names"] = ["w/kernel"]
        file["w/w/kernel"] = W

    old = bytes(made(listed))
    yield "names that lie nowhere", edited(old, (find(old, b"GCOL"), b"LOCG")), "is damaged"
    heap = struct.pack("<Q", find(old, b"GCOL"))
    yield "names beyond their heap", old.replace(heap + b"\1\0\0\0", heap + b"\xff\xff\0\0"), "is damaged"


def mat73() -> Iterator[tuple[str, bytes, str]]:
    def write(file: h5py.File) -> None:
        file["w"] = np.array([2, 3], "u8")
        file["w"].attrs["MATLAB_class"] = np.bytes_("double")
        file["w"].attrs["MATLAB_empty"] = np.uint8(1)

    notes = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM"
    data = notes + bytes(made(write, userblock_size=512))[128:]
    yield "an empty array of 6 elements", data, r"'w' is damaged: an empty array of the shape \[2, 3\]"
    yield "a MATLAB file that is cut", data[:-9], "truncated file"

    def cells(file: h5py.File) -> None:
        file["w"] = W
        file["c"] = np.array([file["w"].ref], h5py.ref_dtype)

    data = notes + bytes(made(cells, userblock_size=512))[128:]
    at = 512 + message_behind(data, LAYOUT, "c")
    yield "cells beyond the file", edited(data, (at + 2, struct.pack("<Q", 1 << 40))), "'c' is damaged"


def message_behind(data: bytes, kind: int, name: str) -> int:
    """Where a message begins behind a block of 512 bytes."""
    return message(data[512:], kind, name)


def files() -> Iterator[tuple[str, bytes, str]]:
    for family in (superblock, groups, headers, chunks, keras, mat73):
        yield from family()
