"""npy files: a header that is no header, and sizes that don't fit."""

from tests.checkpoints._make import npy

SOUND = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n"
DATA = bytes(12)

FAULTS = {
    "a version of the future": (npy(SOUND, DATA, version=(4, 0)), "does not begin as an npy array of version"),
    "a header beyond the file": (npy(SOUND, DATA, length=60_000), "its header claims 60,000 bytes"),
    "a header of 4 GiB": (npy(SOUND, DATA, version=(2, 0), length=2**32 - 1), "claims 4,294,967,295 bytes"),
    "a header that is too long": (npy(SOUND.rstrip() + " " * 10_001, DATA), "has a header of"),
    "a trailing byte": (npy(SOUND, DATA + b"x"), r"should take 80 bytes for shape \(3,\), but there are 81"),
    "a missing byte": (npy(SOUND, DATA[1:]), "should take 80 bytes"),
    "a product that overflows": (npy(SOUND.replace("3,", "4294967296, 4294967297"), DATA), "more bytes than an index"),
    "a product that wraps to 0": (
        npy(SOUND.replace("3,", "4294967296, 4294967296, 0"), b""),
        "more bytes than an index",
    ),
    "a length of 19 digits": (npy(SOUND.replace("3", "9" * 19), DATA), "more bytes than an index"),
    "4 TiB": (npy(SOUND.replace("3", str(2**40)), DATA), "should take 4398046511184 bytes"),
    "70 axes": (npy(SOUND.replace("3,", "1, " * 70), DATA), "has 70 axes"),
    "a negative length": (npy(SOUND.replace("3,", "-3,"), DATA), "malformed npy header"),
    "a length that is no tuple": (npy(SOUND.replace("(3,)", "(3)"), DATA), "malformed npy header"),
    "a length that is a text": (npy(SOUND.replace("(3,)", "'3'"), DATA), "malformed npy header"),
    "a key twice": (npy(SOUND.replace("{", "{'descr': '<f4', "), DATA), "malformed npy header"),
    "a key more": (npy(SOUND.replace("{", "{'more': True, "), DATA), "malformed npy header"),
    "a key less": (npy("{'descr': '<f4', 'shape': (3,), }\n", DATA), "malformed npy header"),
    "something after the dict": (npy(SOUND.replace("\n", "+ {}\n"), DATA), "malformed npy header"),
    "a call": (npy(SOUND.replace("False", "print()"), DATA), "malformed npy header"),
    "nothing": (npy("", DATA), "malformed npy header"),
    "an escape in a text": (npy(SOUND.replace("<f4", "\\x3cf4"), DATA), "malformed npy header"),
    "control characters": (npy(SOUND.replace("<f4", "\x1b[31m"), DATA), r"has the descr '\\x1b\[31m'"),
    "header that is not UTF-8": (npy(b"\xff" + SOUND.encode(), DATA, version=(3, 0)), "not UTF-8"),
    "no byte order": (npy(SOUND.replace("<f4", "|f4"), DATA), "'<' or '>' should give its byte order"),
    "objects": (npy(SOUND.replace("<f4", "|O"), DATA), "holds Python objects, which only a pickle machine"),
    "void": (npy(SOUND.replace("<f4", "|V4"), DATA), "bfloat16 and the 8-bit floats of ml_dtypes lose their name"),
    "text": (npy(SOUND.replace("<f4", "<U1"), DATA), r"holds text \(descr '<U1'\); save numbers"),
    "long doubles": (npy(SOUND.replace("<f4", "<f16"), DATA), "a type that is not portable"),
    "a structure": (npy(SOUND.replace("'<f4'", "[('a', '<f4')]"), DATA), "holds records of several fields"),
    "truth that is neither": (npy(SOUND.replace("<f4", "|b1"), b"\0\1\2"), "truth values that are neither 0 nor 1"),
}


def files():
    """Yield (fault, content, message)."""
    for fault, (content, message) in FAULTS.items():
        yield fault, content, message
