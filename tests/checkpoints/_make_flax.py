"""Flax's msgpack files put together value by value, so that each fault can be placed exactly."""


def head(first, size, number):
    """The first byte of a value, and a length of so many bytes."""
    return bytes([first]) + number.to_bytes(size, "big")


def text(value):
    """A text of up to 65,535 bytes."""
    raw = value.encode() if isinstance(value, str) else value
    return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else head(0xDA, 2, len(raw))) + raw


def raw(value):
    """Bytes."""
    return head(0xC6, 4, len(value)) + value


def integer(value):
    """An integer of 64 bits."""
    return head(0xCF, 8, value) if value >= 0 else b"\xd3" + value.to_bytes(8, "big", signed=True)


def listed(*items):
    """A list."""
    return head(0xDD, 4, len(items)) + b"".join(items)


def mapped(*pairs):
    """A map of texts, or of values that are packed already, to values."""
    parts = (text(key) + value if isinstance(key, str) else key + value for key, value in pairs)
    return head(0xDF, 4, len(pairs)) + b"".join(parts)


def extension(content, code=1):
    """An extension."""
    return head(0xC9, 4, len(content)) + bytes([code % 256]) + content


def array(shape=(2,), dtype="float32", data=bytes(8), code=1):
    """An array as Flax has it."""
    return extension(listed(listed(*map(integer, shape)), text(dtype), raw(data)), code)


def chunked(shape=(2,), chunks=None):
    """An array in chunks, of one element each unless others are given."""
    chunks = [array((1,), data=bytes(4))] * 2 if chunks is None else chunks
    axes = mapped(*((str(i), integer(length)) for i, length in enumerate(shape)))
    items = mapped(*((str(i), chunk) for i, chunk in enumerate(chunks)))
    return mapped(("__msgpack_chunked_array__", b"\xc3"), ("shape", axes), ("chunks", items))
