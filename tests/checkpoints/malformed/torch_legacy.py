"""PyTorch files of before version 1.6: pickles that are none or that would call, and storages that are not there."""

import pickle
import struct

from tests.checkpoints._make import DATA, called, dict_of, integer, name, pickled, text, tuple_of
from tests.checkpoints._make_legacy import FOUR, legacy, record, storage, tensor, typed

HUGE, HUGE8 = struct.pack("<I", 2**31), struct.pack("<Q", 2**62)


def opening():
    """The three pickles before the object."""
    whole = legacy()
    yield "the magic alone", whole[:15], "its pickle is cut off"
    yield "the magic and its version", pickled(integer(0x1950A86A20F9469CFC6C)) + pickled(b"M\xe9"), "is cut off"
    yield "the magic plus nothing", pickled(integer(0x1950A86A20F9469CFC6C)[:-1] + b"\x19N"), "end with its one value"
    yield "the magic in a list", pickled(b"\x8a\x0a" + whole[4:14] + b"0]"), "its magic number is not 1195"
    yield "version 1000", legacy(version=b"M\xe8\3"), "its version of the format is not 1001; PyTorch did not write it"
    yield "a version that is a text", legacy(version=text("1001")), "its version of the format is not 1001"
    yield "a version of 2 GiB", legacy(version=b"\x8b" + HUGE), "its pickle is cut off: 2,147,483,648 more bytes"
    yield "facts that are a list", legacy(facts=b"]"), "its third pickle is no dict of facts about the machine"
    yield "facts that call", legacy(facts=called(name("os.system"), text("true"))), r"would call os\.system"
    yield "facts of a storage", legacy(facts=storage()), "refers to something other than a storage"


def objects():
    """The pickle of the object."""

    def program(*parts):
        return legacy(object_pickle=pickled(*parts))

    class Calls:
        def __reduce__(self):
            return eval, ("1",)

    evil = called(name("posix.system"), text("touch canary"))
    yield "no object", legacy(object_pickle=b"", keys=b"")[: -len(record())], "its pickle is cut off"
    yield "protocol 0", legacy(object_pickle=b"(dp0\n."), "its pickle does not begin with its protocol"
    yield "protocol 1", legacy(object_pickle=b"\x80\1}."), "its pickle has protocol 1, and 2 to 5 are read"
    yield "a call of os.system", program(evil), "its pickle would call posix.system, which no tensor needs; nothing was"
    yield "a call of eval", legacy(object_pickle=pickle.dumps(Calls(), 2)), r"would call __builtin__\.eval"
    yield "a call of eval, protocol 4", legacy(object_pickle=pickle.dumps(Calls(), 4)), r"would call builtins\.eval"
    yield "a call in the keys", legacy(keys=pickled(evil)), "its pickle would call posix.system"
    yield "a call thrown away", program(evil, b"0", tensor()), "its pickle would call posix.system"
    yield "a name only", program(name("os.system"), b"0", tensor()), r"its pickle names os\.system"
    module = tuple_of(text("module"), name("subprocess.Popen"), text("a.py"), text("import os")) + b"Q"
    yield "a module that is subprocess", program(module), r"its pickle names subprocess\.Popen"
    yield "a module that is a text", program(tuple_of(text("module"), b"NNN"), b"Q"), "other than a storage"
    yield "a memo of 2^31", program(b"Nr" + HUGE), "remembers value 2,147,483,648 as number 0"
    yield "a text of 2 GiB", program(b"X" + HUGE), "its pickle is cut off: 2,147,483,648 more bytes are claimed"
    yield "a text of 2^62", program(b"\x8d" + HUGE8), "4,611,686,018,427,387,904 more bytes are claimed"
    yield "bytes of 2 GiB", program(b"B" + HUGE), "2,147,483,648 more bytes are claimed"
    yield "a text of Python 2 of 2 GiB", program(b"T" + HUGE), "2,147,483,648 more bytes are claimed"
    yield "an integer of 2 GiB", program(b"\x8b" + HUGE), "2,147,483,648 more bytes are claimed"
    yield "a frame of 2^62", program(b"\x95" + HUGE8), "a frame of 4,611,686,018,427,387,904 bytes is claimed"
    yield "an unknown opcode", program(b"\xff"), r"has the opcode 0xff, .* \(at byte 3 of the pickle\)"
    yield "an empty stack", program(b"\x85"), "takes a value that is not there"
    yield "a value put into a tuple", program(b")Na"), "its pickle appends to a tuple"
    listed = program(name("collections.OrderedDict"), b")]\x92")
    yield "keyword arguments in a list", listed, "makes an object with a list for its keyword arguments"
    yield "two values", program(b"NN"), "does not end with its one value"
    yield "lists nested 600 deep", program(b"]" * 600, tensor(), b"a" * 600), "is nested more than 500 deep"
    yield "a key twice", program(dict_of(w=tensor()), b"(", text("w"), tensor(), b"u"), "the key 'w' twice in one dict"
    laughs = b"]" + tensor() + b"aq\0" + (b"0](" + b"h\0" * 10 + b"eq\0") * 40
    yield "a billion laughs", program(laughs), "lists the same tensors under endless names"


def claims():
    """What the object says of storages and tensors."""
    yield "a storage of five facts", legacy(tuple_of(text("storage"), b"NNNN") + b"Q"), "other than a storage"
    seven = (text("storage"), name("torch.FloatStorage"), text("0"), text("cpu"), b"K\4", b"N", b"N")
    yield "a storage of seven facts", legacy(tuple_of(*seven) + b"Q"), "other than a storage"
    four = tuple_of(text("class"), name("project.Model"), text("a.py"), text(""))
    yield "a class that is no module's", legacy(four + b"Q"), "other than a storage"
    yield "a storage that is a number", legacy(b"K\0Q"), "other than a storage"
    yield "a storage of minus one", legacy(storage(-1)), "describes a storage that makes no sense"
    yield (
        "a storage whose key is a number",
        legacy(tuple_of(text("storage"), name("torch.FloatStorage"), b"K\0", text("cpu"), b"K\4", b"N") + b"Q"),
        "describes a storage that makes no sense",
    )
    other = dict_of(a=tensor(), b=tensor((2,), over=storage(2)))
    yield "one storage of two sizes", legacy(other), "describes the storage '0' in two ways"
    other = dict_of(a=tensor(), b=tensor(over=storage(kind="torch.IntStorage")))
    yield "one storage of two types", legacy(other), "describes the storage '0' in two ways"
    for fault, view in {
        "that is a number": b"K\1",
        "of two facts": tuple_of(text("1"), b"K\0"),
        "that is too long": tuple_of(text("1"), b"K\1", b"K\4"),
        "at minus one": tuple_of(text("1"), integer(-1), b"K\4"),
        "of true": tuple_of(text("1"), b"K\0\x88"),
        "at 2^63": tuple_of(text("1"), integer(2**63), b"K\1"),
    }.items():
        made = legacy(tensor((1,), over=storage(view=view)))
        yield f"a part {fault}", made, "describes a part of a storage that makes no sense"
    part = storage(view=tuple_of(text("1"), b"K\2", b"K\2"))
    yield "past the end of a part", legacy(tensor((3,), over=part)), "reaches element 2 of a storage of 2"
    yield "past the storage", legacy(tensor((5,))), "a tensor reaches element 4 of a storage of 4"
    yield "past the storage by overflow", legacy(tensor((2**62, 2), (4, 1))), "reaches element"
    yield "a negative offset", legacy(tensor(offset=-1)), "offset, size or stride makes no sense"
    yield "a negative stride", legacy(tensor((4,), (-1,), offset=3)), "offset, size or stride makes no sense"
    yield "65 axes", legacy(tensor((1,) * 65, (0,) * 65)), "offset, size or stride makes no sense"
    yield "a product that overflows", legacy(tensor((2**40, 2**40), (0, 0))), "more bytes than an index can count"


def keys():
    """The last pickle."""
    yield "no keys", legacy(keys=b""), "has the opcode 0x04, which torch.save does not write"
    yield "keys that are a dict", legacy(keys=pickled(b"}")), "its last pickle is no list of keys of storages"
    yield "keys that are numbers", legacy(keys=pickled(b"](K\0e")), "its last pickle is no list of keys of storages"
    yield "a key of no tensor", legacy(keys=("0", "1")), "the storage '1' is of no tensor"
    yield "a key that escapes", legacy(keys=("\x1b[2J",)), r"the storage '\\x1b\[2J' is of no tensor"
    yield (
        "a key twice in the list",
        legacy(None, record(), record(), keys=("0", "0")),
        "the storage '0' is listed twice",
    )
    yield "a key missing", legacy(keys=()), "the storage '0' of its tensors is not in the file"
    two = dict_of(a=tensor(), b=tensor(over=storage(key="1")))
    yield "one key of two", legacy(two), "the storage '1' of its tensors is not in the file"


def storages():
    """The bytes behind the pickles."""
    whole = legacy()
    yield "no storages", whole[: -len(record())], "the size of the storage '0' should take 8 bytes"
    yield "half a size", whole[: 4 - len(record())], "the size of the storage '0' should take 8 bytes"
    yield "a size alone", whole[: -len(FOUR)], "the storage '0' should take 16 bytes at offset"
    yield "a byte missing", whole[:-1], "the storage '0' should take 16 bytes at offset"
    yield "a byte more", whole + b"\0", "1 bytes after its last storage belong to none; save it alone"
    yield "another file behind it", whole + whole, "bytes after its last storage belong to none"
    for numel in (0, 3, 5, -1, 2**62, -(2**63)):
        shown = numel % 2**64 if numel % 2**64 < 10**20 else "an integer"
        yield f"a size of {numel}", legacy(None, record(numel=numel)), f"claims 4 elements, but has {shown}"
    vast = tensor((4,), over=storage(2**61))
    yield "a storage of 2^61 elements", legacy(vast, record(numel=2**61)), "should take 9,223,372,036,854,775,808 bytes"
    vast = tensor((2**40,), over=storage(2**40))
    yield "a tensor of 4 TiB", legacy(vast, record(numel=2**40)), "should take 4,398,046,511,104 bytes at offset"
    double = tensor(over=storage(kind="torch.DoubleStorage"))
    yield "a storage of wider elements", legacy(double), "the storage '0' should take 32 bytes at offset"
    odd = tensor(over=storage(kind="evil.FloatStorage"))
    yield "a storage of an unknown type", legacy(odd), r"elements of a evil\.FloatStorage have no known size"
    truths = tensor(over=storage(kind="torch.BoolStorage"))
    yield "truths of 2", legacy(truths, record(b"\0\1\2\0")), "'tensor' holds truth values that are neither 0 nor 1"
    bare = storage(kind="torch.BoolStorage", key="1")
    yield "a dtype for a storage that has one", legacy(typed("torch.uint16", storage())), "which has its own"
    yield "a bare storage that is cut off", legacy(bare, record(b"\0"), keys=("1",)), "the storage '1' should take 4"
    cut = (DATA / "legacy_state.pt").read_bytes()
    yield "a sound file, cut in its storages", cut[:-40], "should take"
    yield "a sound file, cut in its pickle", cut[:700], "its pickle is cut off"


def files():
    """Yield the faults."""
    for part in (opening, objects, claims, keys, storages):
        yield from part()
