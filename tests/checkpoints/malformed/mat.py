"""MAT-files of versions 4 and 5: tags that claim too much, parts that don't fit, streams that are damaged."""

import struct
import zlib

from tests.checkpoints._make_mat import (
    COMPRESSED,
    DOUBLE,
    MATRIX,
    array,
    axes,
    doubles,
    element,
    fields,
    file5,
    flags,
    head,
    named,
    packed,
    small,
    variable4,
    weight,
)

SIX = doubles(*range(6))
CELL, STRUCT, INT8, LOGICAL, COMPLEX = 1, 2, 8, 0x200, 0x800
OPENING = flags(DOUBLE) + axes(2, 3) + named("w")


def nested(depth):
    """A cell in a cell in a cell."""
    inner = array(flags(CELL), axes(0, 0), named(""))
    for level in range(depth):
        inner = array(flags(CELL), axes(1, 1), named("" if level < depth - 1 else "c"), inner)
    return inner


def damaged(at, content=None):
    """A file of one packed weight, a byte of whose stream is changed."""
    made = bytearray(file5(packed(weight()) if content is None else content))
    made[at] ^= 0xFF
    return bytes(made)


def stream(data):
    """A file of one element that should be a zlib stream."""
    return file5(element(COMPRESSED, data, pad=False))


FIVE = {
    "a header of 20 bytes": (b"MATLAB 5.0 MAT-file ", "the header should take 128 bytes at offset 0"),
    "a header of version 9": (head()[:124] + b"\0\x09IM", "its header ends with .*, not with version 1.0"),
    "a header without a byte order": (head()[:126] + b"XX", "its header ends with .*, not with version 1.0"),
    "a byte order that is not that of the version": (
        head()[:126] + b"MI",
        "its header ends with .*, not with version 1.0",
    ),
    "seven bytes for a tag": (file5(weight(), bytes(7)), "the variable at byte 240 should take 8 bytes"),
    "a variable of doubles": (file5(SIX), "the variable at byte 128 is of type 9, where an array should be"),
    "a variable of zeros": (file5(bytes(8)), "is of type 0, where an array should be"),
    "a variable within its tag": (file5(small(MATRIX, b"abcd")), "should take 1,684,234,849 bytes"),
    "an array of nothing": (file5(element(MATRIX, b"")), "the flags of the variable at byte 128 should follow, but 0"),
    "an array of 4 GiB": (file5(array(size=2**32 - 1)), "should take 4,294,967,295 bytes at offset 136"),
    "an array that is cut off": (file5(weight())[:-1], "the variable at byte 128 should take 104 bytes"),
    "an array that ends too soon": (file5(array(OPENING, SIX, size=80)), "the values of 'w' should take 48 bytes, but"),
    "flags of 4 bytes": (
        file5(array(element(6, bytes(4)), axes(1, 1), named("w"))),
        "the flags of .* can't be 4 bytes",
    ),
    "flags of doubles": (file5(array(element(9, bytes(8)), axes(1, 1), named("w"))), "can't be 8 bytes of type 9"),
    "flags within their tag": (file5(array(small(6, b"\6\0\0\0"), axes(1, 1))), "the flags of .* can't be 4 bytes"),
    "one axis": (file5(array(flags(DOUBLE), axes(6), named("w"), SIX)), "the axes of .* can't be 4 bytes of type 5"),
    "65 axes": (file5(array(flags(DOUBLE), axes(*[1] * 65), named("w"), SIX)), "the axes of .* can't be 260 bytes"),
    "axes of 9 bytes": (
        file5(array(flags(DOUBLE), element(5, bytes(9)), named("w"), SIX)),
        "the axes of .* take 9 bytes, where each takes 4",
    ),
    "axes of doubles": (file5(array(flags(DOUBLE), doubles(2, 3), named("w"), SIX)), "can't be 16 bytes of type 9"),
    "a negative axis": (file5(array(flags(DOUBLE), axes(-2, -3), named("w"), SIX)), "has a negative axis length"),
    "axes that overflow": (
        file5(array(flags(DOUBLE), axes(*[2**31 - 1] * 3), named("w"), SIX)),
        "more bytes than an index can count",
    ),
    "axes that overflow, one of none": (
        file5(array(flags(DOUBLE), axes(0, *[2**31 - 1] * 3), named("w"), doubles())),
        "more bytes than an index can count",
    ),
    "axes of 16 GiB": (
        file5(array(flags(DOUBLE), axes(2**31 - 1, 1), named("w"), SIX)),
        r"'w' needs 17,179,869,176 bytes for shape \(2147483647, 1\), but has 48",
    ),
    "a name of numbers": (file5(array(flags(DOUBLE), axes(2, 3), SIX, SIX)), "the name of .* can't be 48 bytes"),
    "a name of 2 MiB": (
        file5(array(flags(DOUBLE), axes(2, 3), named(b"w" * (1 << 21)), SIX)),
        "the name of .* can't be 2,097,152 bytes",
    ),
    "a name that is cut off": (
        file5(array(flags(DOUBLE), axes(2, 3), element(1, b"w", size=99))),
        "the name of .* should take 99 bytes, but",
    ),
    "a name of 5 bytes in its tag": (
        file5(array(flags(DOUBLE), axes(2, 3), small(1, b"wide", size=5), SIX)),
        "the name of .* claims 5 bytes within its tag, where 4 fit",
    ),
    "no values": (file5(array(OPENING)), "the values of 'w' should follow, but 0 bytes are left"),
    "four bytes of values": (file5(array(OPENING, bytes(4), size=52)), "the values of 'w' should follow, but 4 bytes"),
    "values too few": (file5(array(OPENING, doubles(*range(5)))), r"needs 48 bytes for shape \(2, 3\), but has 40"),
    "values too many": (file5(array(OPENING, doubles(*range(7)))), r"needs 48 bytes for shape \(2, 3\), but has 56"),
    "values of 4 GiB": (
        file5(array(OPENING, element(9, b"", size=2**32 - 8))),
        "'w' should take 4,294,967,288 bytes, but 0",
    ),
    "values of no type": (file5(array(OPENING, element(8, bytes(48)))), "'w' is stored as type 8, as no array"),
    "values of text": (file5(array(OPENING, element(16, bytes(48)))), "'w' is stored as type 16"),
    "values that are an array": (file5(array(OPENING, weight())), "'w' is stored as type 14"),
    "bytes stored as doubles": (
        file5(array(flags(INT8), axes(2, 3), named("w"), SIX)),
        "'w' is stored as type 9, as no array of its class is",
    ),
    "signed bytes stored as unsigned": (
        file5(array(flags(INT8), axes(2, 3), named("w"), element(2, bytes(6)))),
        "'w' is stored as type 2, as no array of its class is",
    ),
    "something after the values": (file5(array(OPENING, SIX, bytes(8))), "8 bytes of 'w' are no part of it"),
    "an imaginary part that nothing announces": (file5(array(OPENING, SIX, SIX)), "56 bytes of 'w' are no part of it"),
    "no imaginary part": (
        file5(array(flags(DOUBLE, COMPLEX), axes(2, 3), named("w"), SIX)),
        "the imaginary part of 'w' should follow, but 0 bytes",
    ),
    "a shorter imaginary part": (
        file5(array(flags(DOUBLE, COMPLEX), axes(2, 3), named("w"), SIX, doubles(1))),
        "needs 48 bytes .* but has 8",
    ),
    "truth that is neither": (
        file5(array(flags(9, LOGICAL), axes(1, 2), named("w"), small(2, b"\1\2"))),
        "holds truth values that are neither 0 nor 1",
    ),
    "truth of doubles that is neither": (
        file5(array(flags(DOUBLE, LOGICAL), axes(1, 2), named("w"), doubles(0, 0.5))),
        "holds truth values that are neither 0 nor 1; save it as double",
    ),
    "a cell of more than there is": (
        file5(array(flags(CELL), axes(1000, 1000), named("c"), weight(""))),
        "'c' claims to hold 1000000 arrays in 104 bytes",
    ),
    "a cell of numbers": (file5(array(flags(CELL), axes(1, 1), named("c"), SIX)), r"'c\.0' is of type 9"),
    "a cell with more than it claims": (
        file5(array(flags(CELL), axes(1, 1), named("c"), weight(""), weight(""))),
        "104 bytes of 'c' belong to none of its arrays",
    ),
    "a cell with an array that goes on": (
        file5(array(flags(CELL), axes(1, 1), named("c"), element(MATRIX, OPENING, size=999))),
        r"'c\.0' should take 999 bytes, but",
    ),
    "a cell in a stream in a cell": (
        file5(array(flags(CELL), axes(1, 1), named("c"), packed(weight("")), bytes(8))),
        r"'c\.0' is of type 15, where an array should be",
    ),
    "cells 200 deep": (file5(nested(200)), "nested more than 100 deep"),
    "a struct without field names": (
        file5(array(flags(STRUCT), axes(1, 1), named("s"))),
        "the fields of 's' should follow",
    ),
    "field names of no bytes": (
        file5(array(flags(STRUCT), axes(1, 1), named("s"), small(5, bytes(4)), named("abc"), weight(""))),
        "'s' has fields with names of 0 bytes in 3",
    ),
    "field names of negative length": (
        file5(array(flags(STRUCT), axes(1, 1), named("s"), small(5, b"\xff" * 4), named("abc"), weight(""))),
        "'s' has fields with names of -1 bytes in 3",
    ),
    "field names that are cut off": (
        file5(array(flags(STRUCT), axes(1, 1), named("s"), small(5, struct.pack("<i", 8)), named("abcd"), weight(""))),
        "'s' has fields with names of 8 bytes in 4",
    ),
    "70,000 fields": (
        file5(array(flags(STRUCT), axes(1, 1), named("s"), fields(*["a"] * 70_000, length=1))),
        "'s' has fields with names of 1 bytes in 70,000",
    ),
    "a struct with a field too few": (
        file5(array(flags(STRUCT), axes(1, 1), named("s"), fields("a", "b"), weight(""))),
        r"'s\.b' should follow, but 0 bytes",
    ),
    "a million empty structs": (
        file5(array(flags(STRUCT), axes(1000, 1000), named("s"), fields("a"), weight(""))),
        "'s' claims to hold 1000000 arrays",
    ),
    "a name of escapes": (
        file5(array(flags(DOUBLE), axes(9, 9), named("\x1b[31m\u202e"), SIX)),
        r"'\\x1b\[31m\\u202e' needs 648 bytes",
    ),
    "a stream of nothing": (stream(b""), "is cut off within"),
    "a stream that is none": (stream(b"not zlib at all"), "the variable at byte 128 is damaged: Error -3"),
    "a stream that ends early": (stream(zlib.compress(weight())[:-9]), "is cut off within its zlib stream"),
    "a stream with a tail": (stream(zlib.compress(weight()) + b"tail"), "has something after its zlib stream"),
    "a stream of two arrays": (file5(packed(weight() + weight("v"))), "gives more than the 112 bytes that it claims"),
    "a stream of half an array": (file5(packed(weight()[:-8])), "gives 104 of the 112 bytes that it claims"),
    "a stream of doubles": (file5(packed(SIX)), "unpacks to an element of type 9, where an array should be"),
    "a stream of a stream": (file5(packed(packed(weight()))), "unpacks to an element of type 15"),
    "a stream of four bytes": (file5(packed(b"four")), "is cut off: its stream unpacks to 4 bytes"),
    "a stream with another checksum": (damaged(-1), "is damaged: .*incorrect data check"),
    "a damaged stream": (damaged(150), "is damaged: Error -3"),
    "a damaged stream of a struct": (
        damaged(-1, packed(array(flags(STRUCT), axes(1, 1), named("s"), fields("a"), weight("")))),
        "is damaged: .*incorrect data check",
    ),
    "a struct whose stream goes on": (
        file5(packed(array(flags(STRUCT), axes(1, 1), named("s"), fields("a"), weight("")) + b"more")),
        "unpacks to more than the 184 bytes that it claims",
    ),
    "a struct whose stream is cut": (
        file5(packed(array(flags(STRUCT), axes(1, 1), named("s"), fields("a"), weight(""))[:-20])),
        r"'s\.a' is cut off: its stream unpacks to 164 bytes",
    ),
    "more than deflate can give": (
        file5(packed(array(OPENING, SIX, size=2**31))),
        "claims 2,147,483,656 bytes from [0-9]+, more than deflate can give",
    ),
    "cells of nothing, a hundred thousand": (
        file5(packed(array(flags(CELL), axes(1, 100_000), named("c"), element(MATRIX, b"") * 100_000))),
        "it holds more than .* arrays; save the weights alone",
    ),
}
FOUR = {
    "version 4: a header that is cut off": (variable4() + bytes(9), "the variable at byte 70 should take 20 bytes"),
    "version 4: values that are cut off": (variable4()[:-1], "'w' should take 48 bytes at offset 22"),
    "version 4: an imaginary part that is cut off": (variable4(pair=1, data=bytes(48)), "'w' should take 96 bytes"),
    "version 4: sizes of 32 EiB": (
        variable4(rows=2**31 - 1, columns=2**31 - 1, data=bytes(48)),
        "more bytes than an index can count",
    ),
    "version 4: rows of 16 GiB": (
        variable4(rows=2**31 - 1, columns=1, data=b""),
        "'w' should take 17,179,869,176 bytes",
    ),
    "version 4: negative columns": (variable4() + variable4(columns=-3, data=bytes(48)), "has a negative axis length"),
    "version 4: a second variable of the VAX": (variable4() + variable4(kind=2000), "is of type 2000, which is none"),
    "version 4: a second variable with a digit of its own": (variable4() + variable4(kind=100), "is of type 100"),
    "version 4: values of no type": (
        variable4() + variable4(kind=60),
        "is of type 60, which is none of the IEEE types",
    ),
    "version 4: a matrix of no kind": (variable4() + variable4(kind=3), "is of type 3, which is none"),
    "version 4: a negative type": (variable4() + variable4(kind=-1), "is of type -1, which is none"),
    "version 4: three imaginary parts": (
        variable4() + variable4(pair=3, data=b""),
        "claims 3 for an imaginary part, and a name of 2 bytes",
    ),
    "version 4: no name": (variable4() + variable4(b""), "claims 0 for an imaginary part, and a name of 0 bytes"),
    "version 4: a name of 2 GiB": (variable4() + variable4(length=2**31 - 1), "and a name of 2,147,483,647 bytes"),
    "version 4: a name of negative length": (variable4() + variable4(length=-1), "and a name of -1 bytes"),
    "version 4: a name without its end": (
        variable4() + variable4(b"wide"),
        "a name that begins with 'wid' and does not end",
    ),
    "version 4: a name that is cut off": (
        variable4() + variable4(length=60_000),
        "the name of the variable at byte 70 should take 60,000 bytes",
    ),
}


def files():
    """Yield (fault, content, message)."""
    for fault, (content, message) in (FIVE | FOUR).items():
        yield fault, content, message
