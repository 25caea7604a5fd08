"""NumPy's npy format: a magic, a header of three facts, and the bytes of one array.

The header looks like a Python dict, but is read by a grammar of just those three facts: nothing is evaluated. Layout as
in "A simple file format for NumPy arrays", NEP 1, versions 1.0 to 3.0.
"""

import re
from dataclasses import dataclass
from typing import NoReturn, final

import numpy as np

from symbreak._visible import is_text, number, quoted
from symbreak.checkpoints._arrays import Buffer, as_array, check_bool, check_shape
from symbreak.checkpoints._reader import Checkpoint, TensorInfo
from symbreak.checkpoints._source import TRUNCATED, Source

MAGIC = b"\x93NUMPY"
LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # bytes of the header's length, by version
LONGEST = 10_000  # characters of a header; NumPy's own limit
OPENING = len(MAGIC) + 2 + 4 + LONGEST  # bytes in which a header ends if it is one
NUMBERS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"}
OTHERS = {
    "O": "Python objects, which only a pickle machine can read",
    "V": "void bytes: bfloat16 and the 8-bit floats of ml_dtypes lose their name in this format",
    "S": "byte strings",
    "a": "byte strings",
    "U": "text",
    "M": "dates",
    "m": "time spans",
}

TOKEN = re.compile(r"[ \n]*(?:'([^'\\]*)'|\"([^\"\\]*)\"|(\d{1,20})L?|(True|False)|([{}():,\[]))")
END = re.compile(r"[ \n]*\Z")
DESCR = re.compile(r"([<>|])([a-zA-Z])(\d{0,9})\Z")


class Unsupported(Exception):  # noqa: N818 - says what the array is
    """A sound array of something other than numbers."""


class Text(Unsupported):
    """Text, which is no weight."""


@dataclass(frozen=True, slots=True)
class Header:
    """The three facts, and where the array's bytes begin."""

    dtype: np.dtype
    fortran: bool
    shape: tuple[int, ...]
    begin: int  # bytes from the magic to the array
    size: int  # bytes of the array


def looks_like_npy(source: Source) -> bool:
    """Whether the file begins with the magic."""
    return source.data[: len(MAGIC)] == MAGIC


def parse_npy(source: Source, opening: bytes, total: int, what: str) -> Header:
    """Read a header.

    Parameters
    ----------
    source
        The file, for its name in errors.
    opening
        The first `OPENING` bytes, or as many as there are.
    total
        The bytes that there are in all: header and array must take exactly that many.
    what
        What is being read, in a message.

    Raises
    ------
    BadCheckpoint
        The header is malformed, or does not fit `total`.
    Unsupported
        It is sound, but the elements are not numbers; Text where they are text. Bytes are text if they are few, so that
        they can be looked at, and are UTF-8 without control characters.
    """
    version = (opening[6], opening[7]) if len(opening) > 7 else (0, 0)
    if opening[: len(MAGIC)] != MAGIC or version not in LENGTH_BYTES:
        raise source.bad(f"{what} does not begin as an npy array of version 1.0, 2.0 or 3.0")
    begin = 8 + LENGTH_BYTES[version]
    length = int.from_bytes(opening[8:begin], "little")
    if len(opening) < begin or begin + length > total:
        raise source.bad(
            f"{what} is truncated: its header claims {length:,} bytes of the {total:,} there are", TRUNCATED
        )
    if length > LONGEST:
        raise source.bad(
            f"{what} has a header of {length:,} bytes", f"an array of numbers needs fewer than {LONGEST:,}"
        )
    try:
        text = opening[begin : begin + length].decode("utf-8" if version == (3, 0) else "latin-1")
    except UnicodeDecodeError:
        raise source.bad(f"{what} has a header that is not UTF-8") from None
    facts = _Parser(source, text, what).facts()
    try:
        dtype = _dtype(source, facts["descr"], what)
    except Unsupported as fault:
        kind, whole = str(facts["descr"])[1:2], len(opening) == total
        if kind == "U" or (kind in ("S", "a") and whole and is_text(opening[begin + length :])):
            raise Text(str(fault)) from None
        raise
    shape = facts["shape"]
    assert isinstance(shape, tuple)  # noqa: S101 - the grammar gives a tuple
    begin += length
    size = check_shape(source, shape, dtype.itemsize, what)
    if begin + size != total:
        cut = [TRUNCATED] if begin + size > total else []
        raise source.bad(
            f"{what} should take {number(begin + size)} bytes for shape {shape}, but there are {total:,}", *cut
        )
    return Header(dtype, bool(facts["fortran_order"]), shape, begin, size)


@final
class Npy(Checkpoint):
    """One npy file: a single array, named `array`."""

    NAME = "array"

    def __init__(self, source: Source) -> None:
        try:
            self._header = parse_npy(source, source.data[:OPENING], source.size, "the file")
        except Unsupported as fault:
            raise source.bad(f"the array holds {fault}", "save numbers, or safetensors for bfloat16") from None
        info = TensorInfo(self.NAME, self._header.shape, self._header.dtype)
        super().__init__(source, "npy", {self.NAME: info})

    def _read(self, info: TensorInfo) -> np.ndarray:
        return check_bool(self._source, array_at(self._header, memoryview(self._source.data)), "the array")


def array_at(header: Header, buffer: Buffer) -> np.ndarray:
    """Return the array whose magic is at the first byte of `buffer`."""
    return as_array(buffer, header.dtype, header.shape, order="F" if header.fortran else "C", start=header.begin)


def _dtype(source: Source, descr: object, what: str) -> np.dtype:
    if descr is None:
        raise Unsupported("records of several fields (a structured dtype)")
    match = DESCR.match(str(descr))
    if match is None:
        raise source.bad(f"{what} has the descr {quoted(descr)}", "it should be one such as '<f4'")
    kind, size = match[2], match[3]
    if kind + size not in NUMBERS:
        raise Unsupported(f"{OTHERS.get(kind, 'a type that is not portable')} (descr {quoted(descr)})")
    if match[1] == "|" and size != "1":
        raise source.bad(f"{what} has the descr {quoted(descr)}", "'<' or '>' should give its byte order")
    return np.dtype(match[0])


class _Parser:
    """The grammar `{'descr': TEXT, 'fortran_order': BOOL, 'shape': (INT, ...), }`, in any order of the keys."""

    def __init__(self, source: Source, text: str, what: str) -> None:
        self.source, self.text, self.what, self.at = source, text, what, 0

    def facts(self) -> dict[str, object]:
        found: dict[str, object] = {}
        self.expect("{")
        while (key := self.token()) != "}":
            if key not in ("'descr", "'fortran_order", "'shape") or key[1:] in found:
                self.fail()
            self.expect(":")
            found[key[1:]] = self.value(key[1:])
            if found.get("descr", "") is None:  # a list of fields: the rest of the header is not for us
                return {"descr": None, "fortran_order": False, "shape": ()}
            if (mark := self.token()) == "}":
                break
            if mark != ",":
                self.fail()
        if len(found) != 3 or not END.match(self.text, self.at):
            self.fail()
        return found

    def value(self, key: str) -> object:
        found = self.token()
        if key == "shape" and found == "(":
            return self.lengths()
        if key == "fortran_order" and found in ("True", "False"):
            return found == "True"
        if key == "descr" and found == "[":
            return None
        if key != "descr" or not found.startswith("'"):
            self.fail()
        return found[1:]

    def lengths(self) -> tuple[int, ...]:
        found: list[int] = []
        while (token := self.token()) != ")":
            if not token.isdecimal():
                self.fail()
            found.append(int(token))
            if (mark := self.token()) == ")":
                if len(found) == 1:  # (3) is a number; (3,) is a shape
                    self.fail()
                break
            if mark != ",":
                self.fail()
        return tuple(found)

    def token(self) -> str:
        match = TOKEN.match(self.text, self.at)
        if match is None:
            self.fail()
        self.at = match.end()
        single, double, digits, truth, mark = match.groups()
        if single is not None or double is not None:
            return "'" + (single if single is not None else double)
        return str(digits or truth or mark)

    def expect(self, mark: str) -> None:
        if self.token() != mark:
            self.fail()

    def fail(self) -> NoReturn:
        raise self.source.bad(
            f"{self.what} has a malformed npy header at character {self.at}: {quoted(self.text[:120].rstrip())}"
        )
