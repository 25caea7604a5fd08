"""ONNX models put together field by field, so that each fault can be placed exactly."""

import struct

FLOAT, UINT8, INT8, UINT16, INT32, INT64, BOOL, DOUBLE, UINT32, INT4 = 1, 2, 3, 4, 6, 7, 9, 11, 12, 22
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(value):
    """An integer in groups of seven bits; a negative one as 64 bits."""
    value %= 1 << 64
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def tag(number, wire):
    """What comes before a value."""
    return varint(number << 3 | wire)


def field(number, value):
    """A field: an integer, a number of 32 bits, a text, bytes, or a message."""
    if isinstance(value, int):
        return tag(number, VARINT) + varint(value)
    if isinstance(value, float):
        return tag(number, FIXED32) + struct.pack("<f", value)
    raw = value.encode() if isinstance(value, str) else value
    return tag(number, BYTES) + varint(len(raw)) + raw


def packed(number, values):
    """A list of integers in one piece."""
    return field(number, b"".join(map(varint, values)))


def tensor(name="W", dims=(2,), kind=FLOAT, raw=bytes(8), more=b""):
    """A tensor; without `raw` it has no values but those in `more`."""
    parts = [field(1, length) for length in dims] + [field(2, kind)]
    parts += [field(8, name)] if name else []
    return b"".join(parts) + (field(9, raw) if raw is not None else b"") + more


def external(location, name="W", dims=(2,), kind=FLOAT, **keys):
    """A tensor in another file."""
    pairs = {"location": location, **keys}
    said = b"".join(
        field(13, field(1, key) + field(2, str(value))) for key, value in pairs.items() if value is not None
    )
    return tensor(name, dims, kind, None, said + field(14, 1))


def initializer(*args, **options):
    """A tensor of the graph."""
    return field(5, tensor(*args, **options))


def attribute(name, more):
    """An attribute of a node."""
    return field(5, field(1, name) + more)


def node(op_type, *attributes, inputs=(), outputs=("y",), name=None):
    """A node of the graph."""
    parts = [field(1, each) for each in inputs] + [field(2, each) for each in outputs]
    parts += [field(3, name)] if name is not None else []
    return field(1, b"".join([*parts, field(4, op_type), *attributes]))


def model(*graph, more=b""):
    """A model around the fields of its graph."""
    return field(1, 10) + field(7, b"".join(graph)) + field(8, field(1, "") + field(2, 21)) + more
