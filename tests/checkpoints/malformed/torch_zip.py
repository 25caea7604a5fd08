"""PyTorch zip files: pickles that are none, or that describe what is not there."""

import struct

from tests.checkpoints._make import (
    DATA,
    Zip,
    called,
    dict_of,
    name,
    pickled,
    storage,
    tensor,
    text,
    torch_zip,
    tuple_of,
    typed,
)

STORAGE = {"0": bytes(16)}
HUGE = struct.pack("<I", 2**31)
HUGE8 = struct.pack("<Q", 2**62)
PICKLES = {
    "nothing": (b"", "is cut off"),
    "protocol 0": (b"N.", "does not begin with its protocol"),
    "protocol 1": (b"\x80\x01N.", "has protocol 1, and 2 to 5 are read"),
    "protocol 6": (b"\x80\x06N.", "has protocol 6, and 2 to 5 are read"),
    "a protocol twice": (b"\x80\x02\x80\x02N.", "begin with its protocol, once"),
    "no end": (b"\x80\x02N", "is cut off"),
    "two values": (pickled(b"NN"), "does not end with its one value"),
    "no value": (pickled(), "does not end with its one value"),
    "an open mark": (pickled(b"(N"), "does not end with its one value"),
    "something after the end": (pickled(b"N") + b"x", "does not end with its one value"),
    "an unknown opcode": (pickled(b"\xff"), "has the opcode 0xff"),
    "an opcode of protocol 0": (pickled(b"I1\n"), "has the opcode INT, which torch.save does not write"),
    "an extension": (pickled(b"\x82\x01"), "has the opcode EXT1"),
    "an outside buffer": (pickled(b"\x97"), "has the opcode NEXT_BUFFER"),
    "an empty stack": (pickled(b"\x85"), "takes a value that is not there"),
    "no mark": (pickled(b"t"), "takes a mark that is not there"),
    "no memo": (pickled(b"h\x07"), "recalls value 7, which it did not remember"),
    "a far memo": (pickled(b"Nr" + HUGE), "remembers value 2,147,483,648 as number 0"),
    "a text of 2 GiB": (pickled(b"X" + HUGE), "2,147,483,648 more bytes are claimed"),
    "a text of 2^62": (pickled(b"\x8d" + HUGE8), "more bytes are claimed"),
    "bytes of 2 GiB": (pickled(b"B" + HUGE), "2,147,483,648 more bytes are claimed"),
    "bytes of 2^62": (pickled(b"\x8e" + HUGE8), "more bytes are claimed"),
    "a bytearray of 2^62": (pickled(b"\x96" + HUGE8), "more bytes are claimed"),
    "an integer of 2 GiB": (pickled(b"\x8b" + HUGE), "more bytes are claimed"),
    "an integer of 5,000 bytes": (
        pickled(b"\x8b" + struct.pack("<I", 5000) + bytes(5000)),
        "an integer of 5,000 bytes",
    ),
    "a frame of 2^62": (pickled(b"\x95" + HUGE8), "a frame of 4,611,686,018,427,387,904 bytes"),
    "text that is not UTF-8": (pickled(b"\x8c\x01\xff"), "a text that is not UTF-8"),
    "a name without an end": (pickled(b"cos"), "a name without an end"),
    "a name of 2,000 bytes": (pickled(b"c" + b"a" * 2000 + b"\nb\n"), "a name without an end"),
    "a name that is a number": (pickled(b"K\1K\2\x93"), "a name that is no text"),
    "a call of a number": (pickled(b"K\1)R"), "would call an integer"),
    "a call of a call": (pickled(called(called(name("torch.Size"), tuple_of()))), "would call a tuple"),
    "a list set like a dict": (pickled(b"]", text("a"), b"Ns"), "sets an item of a list"),
    "a tensor set like a dict": (pickled(tensor(), text("a"), b"Ns"), "sets an item of a tensor"),
    "a dict filled like a list": (pickled(b"}Na"), "appends to a dict"),
    "a key without a value": (pickled(b"}(", text("a"), b"u"), "a key without a value"),
    "attributes of a tensor": (pickled(tensor(), b"}b"), "sets attributes of a tensor"),
    "attributes twice": (pickled(name("a.B"), b")\x81}b}b"), "sets an object's attributes twice"),
    "a key twice": (pickled(dict_of(w=tensor()), b"(", text("w"), tensor(), b"u"), "the key 'w' twice in one dict"),
    "a storage of four facts": (pickled(tuple_of(text("storage"), b"NNN"), b"Q"), "other than a storage"),
    "a module as persistent id": (pickled(tuple_of(text("module"), b"NNNN"), b"Q"), "other than a storage"),
    "a storage of minus one": (pickled(storage(-1)), "a storage that makes no sense"),
    "a storage of true": (
        pickled(tuple_of(text("storage"), name("torch.FloatStorage"), text("0"), text("cpu"), b"\x88"), b"Q"),
        "a storage that makes no sense",
    ),
    "a tensor of nothing": (pickled(called(name("torch._utils._rebuild_tensor_v2"))), "a tensor that makes no sense"),
    "a tensor over a number": (pickled(tensor(over=b"N")), "a tensor that makes no sense"),
    "a negative offset": (pickled(tensor(offset=-1)), "offset, size or stride makes no sense"),
    "a negative length": (pickled(tensor((-4,))), "offset, size or stride makes no sense"),
    "a negative stride": (pickled(tensor((4,), (-1,), offset=3)), "offset, size or stride makes no sense"),
    "an offset of 2^64": (pickled(tensor(offset=2**64)), "offset, size or stride makes no sense"),
    "more strides than lengths": (pickled(tensor((4,), (1, 1))), "offset, size or stride makes no sense"),
    "a length of true": (
        pickled(
            called(name("torch._utils._rebuild_tensor_v2"), storage(), b"K\0", tuple_of(b"\x88"), tuple_of(b"K\1"))
        ),
        "offset, size or stride makes no sense",
    ),
    "past the storage by length": (pickled(tensor((5,))), "reaches element 4 of a storage of 4"),
    "past the storage by offset": (pickled(tensor(offset=1)), "reaches element 4 of a storage of 4"),
    "past the storage by stride": (pickled(tensor((2,), (4,))), "reaches element 4 of a storage of 4"),
    "past the storage by overflow": (pickled(tensor((2**62, 2), (4, 1))), "reaches element"),
    "65 axes": (pickled(tensor((1,) * 65, (0,) * 65)), "offset, size or stride makes no sense"),
    "a product that overflows": (pickled(tensor((2**40, 2**40), (0, 0))), "more bytes than an index can count"),
    "a record that is not there": (
        pickled(tensor(over=storage(key="9"))),
        "the storage of 'tensor' should be 'archive/data/9', which is not in the file",
    ),
    "a record elsewhere": (pickled(tensor(over=storage(key="../data.pkl"))), "which is not in the file"),
    "a record of another size": (pickled(tensor(over=storage(5))), "claims 5 elements of 4 bytes.* has 16 bytes"),
    "a record of another type": (
        pickled(tensor(over=storage(4, kind="torch.DoubleStorage"))),
        "claims 4 elements of 8 bytes.* has 16 bytes",
    ),
    "a parameter of nothing": (
        pickled(called(name("torch._utils._rebuild_parameter"))),
        "a parameter that makes no sense",
    ),
    "an OrderedDict of a number": (
        pickled(called(name("collections.OrderedDict"), b"K\0")),
        "an OrderedDict of something other than keys and values",
    ),
    "an OrderedDict of two lists": (
        pickled(called(name("collections.OrderedDict"), b"]", b"]")),
        "an OrderedDict of something other than keys and values",
    ),
    "an OrderedDict of threes": (
        pickled(called(name("collections.OrderedDict"), b"]N\x89\x88\x87a")),
        "an OrderedDict of something other than keys and values",
    ),
    "a subclass in a subclass": (
        pickled(
            called(
                name("torch._tensor._rebuild_from_type_v2"),
                name("torch._tensor._rebuild_from_type_v2"),
                name("torch.Tensor"),
                tuple_of(),
                b"}",
            )
        ),
        "nests one tensor subclass in another",
    ),
    "501 levels": (pickled(b"]" * 600 + tensor() + b"a" * 600), "is nested more than 500 deep"),
}


def without_end(at):
    """A file of PyTorch's own, whose zip ends twice in two widths, with one byte of an end changed."""
    content = bytearray((DATA / "bare.pt").read_bytes())
    content[len(content) - 22 + at] ^= 1
    return bytes(content)


def between(junk):
    """The same with something between its two ends."""
    content = (DATA / "bare.pt").read_bytes()
    return content[:-42] + junk + content[-42:]


PROGRAM = pickled(tensor())
NO_ORDER = "its byteorder is .*; it should be little or big"
DIFFER = "the zip's two ends differ in what they claim"
ARCHIVES = {
    "a byte order of nothing": (torch_zip(PROGRAM, STORAGE, order=b""), NO_ORDER),
    "a middle byte order": (torch_zip(PROGRAM, STORAGE, order=b"middle"), NO_ORDER),
    "a byte order and a line end": (torch_zip(PROGRAM, STORAGE, order=b"big\n"), NO_ORDER),
    "a long byte order": (torch_zip(PROGRAM, STORAGE, order=b"little" * 9), NO_ORDER),
    "two pickles": (
        Zip().add("a/data.pkl", pickled(b"}")).add("b/data.pkl", pickled(b"}")).bytes(),
        r"it has 2 pickles named data\.pkl in a folder",
    ),
    "a pickle in no folder of its own": (
        Zip().add("a/b/data.pkl", pickled(b"}")).bytes(),
        r"it has 0 pickles named data\.pkl in a folder",
    ),
    "a pickle that is a bomb": (
        Zip().add("a/data.pkl", pickled(b"N" + b"0N" * 100_000), method=8).bytes(),
        "its pickle would unpack from .* to 200,004 bytes",
    ),
    "another count of members in the wide end": (without_end(10), DIFFER),
    "another length of the directory in the wide end": (without_end(12), DIFFER),
    "another offset of the directory in the wide end": (without_end(16), DIFFER),
    "a locator of another disk": (without_end(-20 + 4), "the zip64 end is malformed"),
    "a wide end of another length": (without_end(-20 - 56 + 4), "the zip64 end is malformed"),
    "a wide end of another count": (without_end(-20 - 56 + 32), DIFFER),
    "something between the two ends": (between(b"hidden"), "something lies between the zip64 end and its locator"),
    "a damaged pickle": (torch_zip(PROGRAM, STORAGE).replace(b"FloatStorage", b"HalfsStorage", 1), "is damaged"),
    "a dtype for a storage that has one": (
        torch_zip(pickled(typed("torch.uint16", 8)).replace(b"torch.storage\nUntyped", b"torch\nFloat"), STORAGE),
        r"gives a dtype to a torch\.FloatStorage, which has its own",
    ),
}


def files():
    """Yield (fault, content, message)."""
    for fault, (pickle, message) in PICKLES.items():
        yield fault, torch_zip(pickle, STORAGE), message
    for fault, (content, message) in ARCHIVES.items():
        yield fault, content, message
