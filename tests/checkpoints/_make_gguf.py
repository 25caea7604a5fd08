"""GGUF files put together by hand, so that each fault can be placed exactly."""

import struct

FLOAT32, FLOAT16, Q4_0, Q8_0 = 0, 1, 2, 8  # element types
UINT8, INT32, UINT32, BOOL, TEXT, LIST = 0, 5, 4, 7, 8, 9  # types of values


def u32(value, order="<"):
    """Four bytes."""
    return struct.pack(order + "I", value)


def u64(value, order="<"):
    """Eight bytes."""
    return struct.pack(order + "Q", value)


def text(value, order="<", size=None):
    """A text; `size` is the length that it claims."""
    raw = value if isinstance(value, bytes) else value.encode()
    return u64(len(raw) if size is None else size, order) + raw


def pair(key, kind, value, order="<"):
    """A key and its value, given as bytes."""
    return text(key, order) + u32(kind, order) + value


def items(kind, *values, count=None, order="<"):
    """The value of a list; `count` is how many it claims."""
    return u32(kind, order) + u64(len(values) if count is None else count, order) + b"".join(values)


def tensor(name="w", dims=(8,), kind=FLOAT32, offset=0, *, axes=None, order="<"):
    """What a header says of one tensor; `axes` is the number that it claims."""
    lengths = b"".join(u64(length, order) for length in dims)
    counted = u32(len(dims) if axes is None else axes, order)
    return text(name, order) + counted + lengths + u32(kind, order) + u64(offset, order)


def gguf(pairs=(), tensors=(), data=b"", *, version=3, alignment=32, counts=None, order="<", magic=b"GGUF"):
    """A file; `counts` are the numbers of tensors and keys that it claims."""
    counted = (len(tensors), len(pairs)) if counts is None else counts
    head = magic + u32(version, order) + b"".join(u64(count, order) for count in counted) + b"".join([*pairs, *tensors])
    return head + bytes(-len(head) % alignment) + data
