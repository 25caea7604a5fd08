"""Files put together by hand, so that each fault can be placed exactly."""

import json
import pathlib
import struct
import zlib

from symbreak.checkpoints import open_checkpoint
from symbreak.errors import BadCheckpoint

DATA = pathlib.Path(__file__).parent.parent / "data" / "checkpoints"


def read_all(path):
    """Open a file and read every tensor in it."""
    with open_checkpoint(path) as ckpt:
        return {name: ckpt[name] for name in ckpt}


def refusal(path):
    """The message with which a file is refused, or None when all of it is read; any other exception is a failure."""
    try:
        read_all(path)
    except BadCheckpoint as error:
        return str(error)
    return None


def safetensors(header, data=b"", length=None):
    """A safetensors file: `header` is text, or an object."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape=(2,), begin=0, end=8, dtype="F32", **more):
    """What a safetensors header says of one tensor."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def npy(header, data=b"", version=(1, 0), length=None):
    """An npy file around a header's text."""
    text = header.encode("latin-1") if isinstance(header, str) else header
    size = 2 if version == (1, 0) else 4
    return (
        b"\x93NUMPY" + bytes(version) + (len(text) if length is None else length).to_bytes(size, "little") + text + data
    )


def npy_of(count=3):
    """A sound npy file of float32 zeros."""
    return npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count},), }}\n", bytes(4 * count))


LOCAL, CENTRAL, END = "<4s5H3I2H", "<4s6H3I5H2I", "<4s4H2IH"


class Zip:
    """A zip archive in which any fact can be told differently in either place."""

    def __init__(self):
        self.body, self.directory, self.count = b"", b"", 0

    def add(self, name, data, *, method=0, packed=None, local=None, central=None, at=None, extra=b"", after=b""):
        """Add a member; `local` and `central` override facts, `at` places it where another one is."""
        raw = name if isinstance(name, bytes) else name.encode()
        packed = packed if packed is not None else deflate(data) if method == 8 else data
        facts = {
            "name": raw,
            "flags": 0x800,
            "method": method,
            "crc": zlib.crc32(data),
            "packed": len(packed),
            "size": len(data),
            "header": len(self.body) if at is None else at,
        }
        here, there = facts | (local or {}), facts | (central or {})
        if at is None:
            self.body += struct.pack(
                LOCAL, b"PK\3\4", 20, here["flags"], here["method"], 0, 0, here["crc"], here["packed"], here["size"],
                len(here["name"]), len(extra),
            )  # fmt: skip
            self.body += here["name"] + extra + packed + after
        self.directory += struct.pack(
            CENTRAL, b"PK\1\2", 20, 20, there["flags"], there["method"], 0, 0, there["crc"], there["packed"],
            there["size"], len(there["name"]), 0, 0, 0, 0, 0, there["header"],
        )  # fmt: skip
        self.directory += there["name"]
        self.count += 1
        return self

    def bytes(self, *, count=None, start=None, comment=b""):
        """The archive; `count` and `start` are what its end claims."""
        count, start = self.count if count is None else count, len(self.body) if start is None else start
        end = struct.pack(END, b"PK\5\6", 0, 0, count, count, len(self.directory), start, len(comment))
        return self.body + self.directory + end + comment


def deflate(data):
    """Raw deflate, as zip has it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def torch_zip(pickle, records=None, *, order=b"little", prefix="archive"):
    """A PyTorch zip file around a pickle."""
    made = Zip().add(f"{prefix}/data.pkl", pickle)
    if order is not None:
        made.add(f"{prefix}/byteorder", order)
    for key, data in (records or {}).items():
        made.add(f"{prefix}/data/{key}", data)
    return made.add(f"{prefix}/version", b"3\n").bytes()


# Pickles, opcode by opcode.


def pickled(*parts):
    """A whole pickle of protocol 2 around the opcodes of one value."""
    return b"\x80\x02" + b"".join(parts) + b"."


def text(value):
    """Push a text."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value):
    """Push an integer of any size."""
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(dotted):
    """Push a name, by GLOBAL."""
    module, _, attribute = dotted.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def stack_name(dotted):
    """Push a name, by STACK_GLOBAL."""
    module, _, attribute = dotted.rpartition(".")
    return text(module) + text(attribute) + b"\x93"


def tuple_of(*parts):
    """Push a tuple."""
    return b"(" + b"".join(parts) + b"t"


def integers(values):
    """Push a tuple of integers."""
    return tuple_of(*(integer(value) for value in values))


def called(maker, *args):
    """Push what a call returns."""
    return maker + tuple_of(*args) + b"R"


def dict_of(**items):
    """Push a dict."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def storage(numel=4, *, kind="torch.FloatStorage", key="0"):
    """Push a storage, by its persistent id."""
    return tuple_of(text("storage"), name(kind), text(key), text("cpu"), integer(numel)) + b"Q"


def tensor(shape=(4,), strides=(1,), *, offset=0, over=None, extra=b""):
    """Push a tensor of float32."""
    over = storage() if over is None else over
    hooks = called(name("collections.OrderedDict"))
    parts = (over, integer(offset), integers(shape), integers(strides), b"\x89", hooks, extra)
    return called(name("torch._utils._rebuild_tensor_v2"), *parts)


def typed(kind, numel):
    """A tensor of four elements over an untyped storage."""
    over = storage(numel, kind="torch.storage.UntypedStorage")
    parts = (
        over,
        integer(0),
        integers([4]),
        integers([1]),
        b"\x89",
        called(name("collections.OrderedDict")),
        name(kind),
    )
    return called(name("torch._utils._rebuild_tensor_v3"), *parts)
