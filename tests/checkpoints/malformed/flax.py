"""Flax's msgpack files: values that claim too much, keys that repeat, arrays and chunks that don't fit."""

from collections.abc import Iterator

from tests.checkpoints._make_flax import array, chunked, extension, head, integer, listed, mapped, raw, text

W = ("w", array())
FLAG = ("__msgpack_chunked_array__", b"\xc3")
ONE = array((1,), data=bytes(4))
AXES, CHUNKS = mapped(("0", integer(2))), mapped(("0", ONE), ("1", ONE))
NAME, DATA, AXIS = text("float32"), raw(bytes(8)), listed(integer(2))


def lists(levels):
    """A list in a list, and so on."""
    return head(0xDC, 2, 1) * levels + b"\xc0"


# Behind a sound array, under the key "a".
VALUES = {
    "the byte that no value has": (b"\xc1", "'a' begins with the byte 0xc1, which no value has"),
    "a map of 2^32 pairs": (head(0xDF, 4, 2**32 - 1), "'a', a map, should take 8,589,934,590 bytes, where 0 are left"),
    "a list of 2^32 values": (head(0xDD, 4, 2**32 - 1), "'a', a list, should take 4,294,967,295 bytes, where 0 are"),
    "a text of 2^32 bytes": (
        head(0xDB, 4, 2**32 - 1),
        "'a', a text, should take 4,294,967,295 bytes, where 0 are left",
    ),
    "bytes beyond the file": (head(0xC6, 4, 9) + b"x", "'a', bytes, should take 9 bytes, where 1 are left"),
    "an extension beyond the file": (head(0xC9, 4, 9) + b"\5x", "'a', an extension, should take 9 bytes, where 1 are"),
    "an array beyond the file": (array()[:-1], "'a', an extension, should take .* bytes, where .* are left"),
    "half a number": (b"\xcb" + bytes(7), "'a' is missing: the file ends at byte"),
    "half a length": (b"\xc6" + bytes(3), "'a' is missing: the file ends at byte"),
    "an extension without a type": (b"\xd4", "'a' is missing: the file ends at byte"),
    "no value": (b"", "'a' is missing: the file ends at byte"),
    "501 levels": (lists(501), "nested more than 500 deep"),
    "60,000 levels": (lists(60_000), "nested more than 500 deep"),
    "a key twice": (mapped(("b", b"\1"), ("c", b"\2"), ("b", b"\3")), "'a' has the key 'b' twice"),
    "a key that is an integer": (mapped((integer(1), b"\1")), "'a' has a key that is an integer; keys should be texts"),
    "a key that is nothing": (mapped((b"\xc0", b"\1")), "'a' has a key that is nothing"),
    "a key of bytes": (mapped((raw(b"b"), b"\1")), "'a' has a key that is bytes"),
    "a key that is a list": (mapped((listed(), b"\1")), "'a' has a key that is a list"),
    "a key that is not UTF-8": (mapped((text(b"\xff"), b"\1")), "a key of 'a' is not UTF-8"),
    "a key of 65,537 bytes": (
        mapped((head(0xDB, 4, 65_537) + b"b" * 65_537, b"\1")),
        "a key of 'a' has 65,537 bytes; at most 65,536 are read",
    ),
    "a key of escapes": (mapped(("\x1b[2J\u202e", array((3,)))), r"'a/\\x1b\[2J\\u202e' needs 12 bytes"),
}
ARRAYS = {
    "nothing in it": (extension(b""), "'a' is missing"),
    "a map in it": (extension(mapped()), "'a' is an array that is not a list of shape, dtype and bytes"),
    "no bytes": (extension(listed(AXIS, NAME)), "'a' is an array that is not a list of shape, dtype and bytes"),
    "four parts": (extension(listed(AXIS, NAME, DATA, DATA)), "'a' is an array that is not a list of shape, dtype"),
    "an integer for a shape": (extension(listed(integer(2), NAME, DATA)), "'a' is an array whose shape is an integer"),
    "a text for a length": (extension(listed(listed(text("2")), NAME, DATA)), "'a' has an axis whose length is a text"),
    "a negative length": (array((-2,)), "'a' has an axis whose length is -2; a length is an integer, 0 or more"),
    "65 axes": (array((1,) * 65), "'a' has 65 axes; an array has at most 64"),
    "2^32 axes": (
        extension(listed(head(0xDD, 4, 2**32 - 1), NAME, DATA)),
        "'a', a list, should take 4,294,967,295 bytes",
    ),
    "an integer for a dtype": (extension(listed(AXIS, integer(4), DATA)), "'a' is an array whose dtype is an integer"),
    "a dtype that is not UTF-8": (extension(listed(AXIS, text(b"\xff"), DATA)), "the dtype of 'a' is not UTF-8"),
    "a text for bytes": (extension(listed(AXIS, NAME, text("x" * 8))), "'a' is an array whose values are a text, not"),
    "bytes behind it": (
        extension(listed(AXIS, NAME, DATA) + b"\0"),
        "'a' is an array that ends 1 bytes before its extension",
    ),
    "bytes beyond it": (
        extension(listed(AXIS, NAME, head(0xC6, 4, 9))) + bytes(9),
        "'a', bytes, should take 9 bytes, wh",
    ),
    "bytes too few": (array(data=bytes(7)), "'a' needs 8 bytes for its shape, and has 7"),
    "bytes too many": (array(data=bytes(9)), "'a' needs 8 bytes for its shape, and has 9"),
    "a claim of gigabytes": (array((1 << 30,)), "'a' needs 4294967296 bytes for its shape, and has 8"),
    "a product that wraps": (array((1 << 32, (1 << 32) + 1)), "more bytes than an index can count"),
    "a product that wraps to 0": (array((1 << 32, 1 << 32), data=b""), "more bytes than an index can count"),
    "a vast axis of none": (array((0, 1 << 62, 4), data=b""), "more bytes than an index can count"),
    "truth that is neither": (array(dtype="bool", data=b"\1\7"), "'a' holds truth values that are neither 0 nor 1"),
    "a scalar of 3 bytes": (array((), data=bytes(3), code=3), "'a' needs 4 bytes for its shape, and has 3"),
}
CHUNKED = {
    "no shape": (mapped(FLAG, ("chunks", CHUNKS)), "'a' is an array in chunks without its shape or its chunks"),
    "no chunks": (mapped(FLAG, ("shape", AXES)), "'a' is an array in chunks without its shape or its chunks"),
    "none of its chunks": (
        mapped(FLAG, ("shape", AXES), ("chunks", mapped())),
        "in chunks without its shape or its chunks",
    ),
    "a flag alone": (mapped(FLAG), "'a' is an array in chunks without its shape or its chunks"),
    "the flag behind others": (mapped(("b", b"\1"), FLAG), "'a' has the key __msgpack_chunked_array__ behind others"),
    "another key": (
        mapped(FLAG, ("shape", AXES), ("chunks", CHUNKS), ("more", b"\1")),
        "'a' is an array in chunks with the key 'more'",
    ),
    "a shape twice": (mapped(FLAG, ("shape", AXES), ("shape", AXES)), "'a' is an array in chunks with the key 'shape'"),
    "a list for a shape": (mapped(FLAG, ("shape", AXIS)), "'a' is an array in chunks that are not listed by index"),
    "65 axes": (chunked((1,) * 65), "'a' is an array in chunks that are not listed by index"),
    "a length that is a text": (
        mapped(FLAG, ("shape", mapped(("0", text("2"))))),
        "'a' has an axis whose length is a text",
    ),
    "chunks that begin at 1": (
        mapped(FLAG, ("shape", AXES), ("chunks", mapped(("1", ONE)))),
        "'a' is an array in chunks whose item 0 is called '1'",
    ),
    "a chunk twice": (
        mapped(FLAG, ("shape", AXES), ("chunks", mapped(("0", ONE), ("0", ONE)))),
        "'a' is an array in chunks whose item 1 is called '0'",
    ),
    "a chunk of bytes": (chunked(chunks=[raw(bytes(8))]), "'a' has a chunk that is bytes, not an array"),
    "a chunk that is a scalar": (chunked(chunks=[array(code=3)]), "'a' has a chunk that is an extension, not an array"),
    "two dtypes": (
        chunked(chunks=[ONE, array((1,), "int32", bytes(4))]),
        "'a' has chunks of several dtypes: float32, int32",
    ),
    "elements too few": (chunked((3,)), "'a' needs 3 elements for its shape, and its chunks have 2"),
    "elements too many": (chunked((1,)), "'a' needs 1 elements for its shape, and its chunks have 2"),
    "a claim of gigabytes": (chunked((1 << 40,)), "'a' needs 1099511627776 elements for its shape"),
    "a chunk of too few bytes": (
        chunked(chunks=[ONE, array((1,), data=bytes(3))]),
        "'a' needs 4 bytes for its shape, and has 3",
    ),
}


def files() -> Iterator[tuple[str, bytes, str]]:
    """Give each fault's name, the file, and the message."""
    for name, (value, message) in VALUES.items():
        yield name, mapped(W, ("a", value)), message
    for name, (value, message) in ARRAYS.items():
        yield f"an array with {name}", mapped(W, ("a", value)), message
    for name, (value, message) in CHUNKED.items():
        yield f"chunks with {name}", mapped(W, ("a", value)), message
    yield "a key twice at the top", mapped(W, W), "the file has the key 'w' twice"
    yield "a key that is no text at the top", mapped(W, (b"\1", b"\1")), "the file has a key that is an integer"
    yield "bytes behind it", mapped(W) + b"\0", "1 bytes follow the value that should be all of the file"
    yield "two files in one", mapped(W) * 2, "bytes follow the value that should be all of the file"
    yield "an array that is cut short", mapped(W)[:-1], "'w', an extension, should take .* it is truncated"
    yield (
        "a chunk that is cut short",
        mapped(("w", chunked()))[:-1],
        "'w', an extension, should take .* where .* are left",
    )
    yield "an array alone that is cut short", array()[:-1], "the file, an extension, should take"
    yield "no array", mapped(("a", b"\1")), "is no checkpoint that is known"
    yield "an empty map", b"\x80", "is no checkpoint that is known"
