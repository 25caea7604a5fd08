"""GGUF files: counts, lengths and offsets that lie, and headers that the specification does not allow."""

from tests.checkpoints._make import DATA
from tests.checkpoints._make_gguf import (
    BOOL,
    INT32,
    LIST,
    Q4_0,
    TEXT,
    UINT8,
    UINT32,
    gguf,
    items,
    pair,
    tensor,
    text,
    u32,
)

EIGHT = bytes(32)  # the data of eight values of float32, which fill one unit of the alignment
MAX = 2**64 - 1
ALIGNMENT = "general.alignment"


def listed(*, kind, count, values=b""):
    """A file with one key, whose value is a list."""
    return gguf([pair("a", LIST, items(kind, values, count=count))])


def aligned(value, kind=UINT32, size=4):
    """A sound file but for its alignment."""
    return gguf([pair(ALIGNMENT, kind, value.to_bytes(size, "little"))], [tensor()], EIGHT)


def two(first, second, data=bytes(64)):
    """A file of two tensors."""
    return gguf([], [tensor("a", **first), tensor("b", **second)], data)


def nested(depth):
    """Lists in lists."""
    value = items(UINT8)
    for _ in range(depth - 1):
        value = items(LIST, value)
    return gguf([pair("a", LIST, value)])


def headers():
    """The first 24 bytes."""
    yield "the magic alone", b"GGUF", "the version should take 4 bytes at offset 4, but the file has 4"
    yield "no counts", b"GGUF" + u32(3), "the number of tensors should take 8 bytes"
    yield "half a count", gguf()[:20], "the number of keys should take 8 bytes"
    yield "version 0", gguf(version=0), "it is GGUF of version 0; 2 and 3 are read"
    yield "version 1", gguf(version=1), "it is GGUF of version 1; 2 and 3 are read"
    yield "version 4", gguf(version=4), "it is GGUF of version 4"
    yield "version 2^32 - 1", gguf(version=2**32 - 1), "it is GGUF of version 4294967295"
    yield "version 1, big-endian", gguf(version=1, order=">"), "it is GGUF of version 16777216"
    yield "2^64 - 1 tensors", gguf(counts=(MAX, 0)), "it claims 18446744073709551615 tensors, more than its 32 bytes"
    yield "2^64 - 1 keys", gguf(counts=(0, MAX)), "it claims 18446744073709551615 keys, more than its 32 bytes"
    yield "2^60 tensors, whose bytes wrap", gguf(counts=(2**61, 0)), "it claims 2305843009213693952 tensors"
    yield "one tensor and no room for it", gguf(counts=(1, 0)), "it claims 1 tensors, more than its 32 bytes can hold"
    yield "one key and no room for it", gguf(counts=(0, 1)), "it claims 1 keys, more than its 32 bytes can hold"
    more = gguf([], [tensor()], EIGHT, counts=(3, 0))
    yield "two tensors more than there are", more, "what is said of '' should take 12 bytes at offset 93"
    yield "one key more than there are", gguf([pair("a", UINT8, b"\0")], counts=(0, 2)), "a key without a name"
    yield "big-endian counts in a little-endian file", gguf()[:8] + gguf(counts=(1, 1), order=">")[8:], "it claims"


def keys():
    """Keys and values."""
    one = pair("a", UINT8, b"\0")
    yield "a key of 2^64 - 1 bytes", gguf([text("a", size=MAX) + u32(UINT8) + b"\0"]), "a key should take 18,446"
    yield "a key past the end", gguf([text("a", size=99) + u32(UINT8) + b"\0"]), "a key should take 99 bytes"
    yield "a key of 70,000 bytes", gguf([pair("a" * 70_000, UINT8, b"\0")]), "a key has 70,000 bytes; at most 65,535"
    yield "an empty key", gguf([pair("", UINT8, b"\0")]), "it has a key without a name"
    yield "a key twice", gguf([one, one]), "it has the key 'a' twice"
    yield "a key that is not UTF-8", gguf([pair(b"\xff\x1b", UINT8, b"\0")]), r"a key is not UTF-8: 'b'\\xff\\x1b''"
    yield "a value of type 13", gguf([pair("a", 13, bytes(8))]), "'a' is a value of type 13, which is not known"
    yield "a value of type 2^32 - 1", gguf([pair("a", 2**32 - 1, b"")]), "'a' is a value of type 4,294,967,295"
    yield "a truth of 2", gguf([pair("a", BOOL, b"\2")]), "'a' is a truth value that is neither 0 nor 1"
    yield "truths of 255", listed(kind=BOOL, count=2, values=b"\1\xff"), "neither 0 nor 1"
    yield "a text of 2^64 - 1 bytes", gguf([pair("a", TEXT, text("b", size=MAX))]), "'a' should take 18,446,744"
    yield "a text of 1 GiB", gguf([pair("a", TEXT, text("b", size=2**30))]), "'a' should take 1,073,741,824 bytes"
    yield "a text that wraps", gguf([pair("a", TEXT, text("b", size=MAX - 24))]), "'a' should take"
    yield "no value", gguf([pair("abcd", UINT32, b"")])[:40], "'abcd' should take 4 bytes"


def lists():
    """Lists, on which the format's own library hangs."""
    yield "a list of 2^62 numbers", listed(kind=UINT8, count=2**62), "'a' should take 4,611,686,018,427,387,904 bytes"
    yield "a list of 2^61 numbers, whose bytes wrap", listed(kind=UINT32, count=2**62), "'a' should take 18,446,744"
    yield "a list of 2^62 texts", listed(kind=TEXT, count=2**62), "'a' should take 36,893,488,147,419,103,232 bytes"
    yield "a list of 2^62 lists", listed(kind=LIST, count=2**62), "'a' should take 55,340,232,221,128,654,848 bytes"
    yield "a list of type 13", listed(kind=13, count=1), "'a' is a value of type 13"
    yield "a list of type 13 without values", listed(kind=13, count=0), "'a' is a value of type 13"
    yield "a list of a text of 2^63 bytes", listed(kind=TEXT, count=1, values=text("", size=2**63)), "should take 9,223"
    long = text("") * 1999 + text("", size=2**63)
    yield "a long list whose last text lies", listed(kind=TEXT, count=2000, values=long), "'a' should take 9,223"
    long = text("", size=2**63) + text("") * 1999
    yield "a long list whose first text lies", listed(kind=TEXT, count=2000, values=long), "'a' should take 9,223"
    yield "lists nested five deep", nested(5), "'a' nests lists more than 4 deep"
    yield "lists nested 3,000 deep", nested(3000), "'a' nests lists more than 4 deep"
    many = items(LIST, items(TEXT, *[text("")] * 10, count=2**60))
    yield "a list of a list that lies", gguf([pair("a", LIST, many)]), "'a' should take 9,223,372,036,854,775,808 bytes"


def alignments():
    """The alignment, which everything after the header rests on."""
    yield "an alignment of 0", aligned(0), "its alignment is 0; it should be a power of two"
    yield "an alignment of 13", aligned(13), "its alignment is 13; it should be a power of two"
    yield "an alignment of 2^32 - 1", aligned(2**32 - 1), "its alignment is 4294967295"
    yield "an alignment past the file", aligned(2**31), "'w' should take 32 bytes at offset 2,147,483,648"
    yield (
        "an alignment that is signed",
        aligned(32, INT32),
        "its alignment is a value of type 5; it should be of type 4",
    )
    yield "an alignment of eight bytes", aligned(32, 10, 8), "its alignment is a value of type 10"
    yield "an alignment that is a text", gguf([pair(ALIGNMENT, TEXT, text("32"))]), "is a value of type 8"
    yield "an alignment that is a list", gguf([pair(ALIGNMENT, LIST, items(UINT32, u32(32)))]), "a value of type 9"
    other = gguf([pair(ALIGNMENT, UINT32, u32(64))], [tensor("a"), tensor("b", offset=32)], bytes(64))
    yield "offsets of another alignment", other, "'b' begins at 32, no multiple of the alignment 64"


def tensors():
    """What is said of tensors."""
    yield "a name of 2^64 - 1 bytes", gguf([], [text("w", size=MAX) + bytes(24)], EIGHT), "a tensor's name should take"
    long = gguf([], [tensor("w" * 70_000)], EIGHT)
    yield "a name of 70,000 bytes", long, "a tensor's name has 70,000 bytes; at most 65,535"
    yield "a name that is not UTF-8", gguf([], [tensor(b"\xe2\x80")], EIGHT), r"a tensor's name is not UTF-8: 'b'\\xe2"
    yield "two tensors of one name", gguf([], [tensor(), tensor(offset=32)], bytes(64)), "two tensors are called 'w'"
    yield "five axes", gguf([], [tensor(dims=(1,) * 5)], EIGHT), "'w' has 5 axes; a tensor of GGML has at most 4"
    yield "2^32 - 1 axes", gguf([], [tensor(axes=2**32 - 1)], EIGHT), "'w' has 4,294,967,295 axes"
    yield "three axes and one length", gguf([], [tensor(axes=3)])[:50], "what is said of 'w' should take 36 bytes"
    yield "a length of 2^63", gguf([], [tensor(dims=(2**63,))], EIGHT), "has shape .*, more bytes than an index"
    yield "a length of -1", gguf([], [tensor(dims=(MAX,))], EIGHT), "has shape .*, more bytes than an index can count"
    product = tensor(dims=(2**32, 2**32))
    yield "a product that wraps to 0", gguf([], [product], EIGHT), "more bytes than an index can count"
    product = tensor(dims=(2**61 + 2,))
    yield "bytes that wrap to 8", gguf([], [product], EIGHT), "more bytes than an index can count"
    yield "nothing times 2^62 squared", gguf([], [tensor(dims=(0, 2**62, 2**62))]), "more bytes than an index can count"
    yield "a length that is too long", gguf([], [tensor(dims=(9,))], EIGHT), "'w' should take 36 bytes at offset 64"
    yield "a length of 2^40", gguf([], [tensor(dims=(2**40,))], EIGHT), "'w' should take 4,398,046,511,104 bytes"
    row = tensor(dims=(33, 2), kind=Q4_0)
    yield "rows of broken blocks", gguf([], [row], bytes(64)), "'w' has rows of 33 values, and Q4_0 packs 32 together"
    row = tensor(dims=(), kind=Q4_0)
    yield "a block without axes", gguf([], [row], bytes(32)), "'w' has rows of 1 values, and Q4_0 packs 32 together"
    row = tensor(dims=(2**61,), kind=Q4_0)
    yield "2^61 quantised values", gguf([], [row], bytes(32)), "more bytes than an index can count"
    row = tensor(dims=(64, 64), kind=Q4_0)
    yield "blocks past the end", gguf([], [row], bytes(96)), "'w' should take 2,304 bytes at offset"
    yield "an unknown type without data", gguf([], [tensor(kind=99)]), "'w' should take 1 bytes at offset 64"
    cut = gguf([], [tensor("a"), tensor("b", kind=4, offset=32)], EIGHT)
    yield "a type that was removed, past the end", cut, "'b' should take 1 bytes at offset"


def layouts():
    """Where tensors lie."""
    yield "an offset of 1", gguf([], [tensor(offset=1)], EIGHT), "'w' begins at 1, no multiple of the alignment 32"
    yield "an offset past the end", gguf([], [tensor(offset=64)], EIGHT), "'w' leaves a hole before it: it begins at 64"
    yield "an offset back into the header", gguf([], [tensor(offset=MAX - 31)], EIGHT), "leaves a hole before it"
    yield "two tensors in one place", two({}, {}, EIGHT), "'b' overlaps what comes before it: it begins at 0, not at 32"
    yield "tensors that overlap", two({"dims": (16,)}, {"offset": 32}), "'b' overlaps what comes before it"
    yield "a hole", two({}, {"offset": 64}, bytes(96)), "'b' leaves a hole before it: it begins at 64, not at 32"
    yield "a hole at the beginning", gguf([], [tensor(offset=32)], bytes(64)), "'w' leaves a hole before it"
    yield "bytes after the end", gguf([], [tensor()], bytes(33)), "1 bytes after its last tensor belong to none"
    yield "data of no tensor", gguf([], [], EIGHT), "32 bytes after its last tensor belong to none"
    yield "no data", gguf([], [tensor()]), "'w' should take 32 bytes at offset 64, but the file has 64"
    yield "not enough data", gguf([], [tensor()], bytes(31)), "'w' should take 32 bytes at offset 64"
    cut = (DATA / "quantised.gguf").read_bytes()
    yield "a sound file, cut in its data", cut[:-100], "'NVFP4.weight' should take 72 bytes"
    yield "a sound file, cut in its header", cut[:500], "should take"


def files():
    """Yield the faults."""
    for part in (headers, keys, lists, alignments, tensors, layouts):
        yield from part()
