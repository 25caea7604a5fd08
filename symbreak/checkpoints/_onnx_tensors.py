"""One tensor of an ONNX model: where its values lie, checked against its shape, and how they are decoded.

A tensor keeps its values in one of three ways: as raw bytes; as a list of numbers whose field depends on the element
type, in which narrow types lie as wider integers, one varint each; or in another file. Types of four and two bits are
packed, the first value in the lowest bits of a byte, and are given one a byte, as ml_dtypes has them. Which field goes
with which type is said beside each in onnx.proto [1].

[1] https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, message TensorProto.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import final

import numpy as np

from symbreak._visible import number, quoted
from symbreak.checkpoints._arrays import MOST_AXES, Buffer, as_array, check_shape
from symbreak.checkpoints._dtypes import element_type
from symbreak.checkpoints._onnx_files import SideFiles
from symbreak.checkpoints._protobuf import (
    LONGEST_VARINT,
    NO_RUNS,
    PIECE,
    Message,
    Runs,
    decode_varints,
    joined,
    length_of,
    spans_of,
    stream_varints,
)
from symbreak.checkpoints._reader import TensorInfo
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._spool import gather

EXTERNAL = 1
LISTED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
PLAIN = {"raw_data", "float_data", "double_data"}  # the values' own bytes
# The element types by their numbers: the name of each, and the list in which its values lie.
TYPES = {
    1: ("float32", "float_data"),
    2: ("uint8", "int32_data"),
    3: ("int8", "int32_data"),
    4: ("uint16", "int32_data"),
    5: ("int16", "int32_data"),
    6: ("int32", "int32_data"),
    7: ("int64", "int64_data"),
    9: ("bool", "int32_data"),
    10: ("float16", "int32_data"),
    11: ("float64", "double_data"),
    12: ("uint32", "uint64_data"),
    13: ("uint64", "uint64_data"),
    14: ("complex64", "float_data"),
    15: ("complex128", "double_data"),
    16: ("bfloat16", "int32_data"),
    17: ("float8_e4m3fn", "int32_data"),
    18: ("float8_e4m3fnuz", "int32_data"),
    19: ("float8_e5m2", "int32_data"),
    20: ("float8_e5m2fnuz", "int32_data"),
    21: ("uint4", "int32_data"),
    22: ("int4", "int32_data"),
    23: ("float4_e2m1fn", "int32_data"),
    24: ("float8_e8m0fnu", "int32_data"),
    25: ("uint2", "int32_data"),
    26: ("int2", "int32_data"),
}
BITS = {"uint4": 4, "int4": 4, "float4_e2m1fn": 4, "uint2": 2, "int2": 2}
UNREAD = {
    0: "its element type is not defined",
    8: "its elements are texts, not numbers",
    27: "float6_e2m3 packs its values below one byte in more ways than one",
    28: "float6_e3m2 packs its values below one byte in more ways than one",
}


@final
@dataclass(frozen=True, slots=True)
class Values:
    """Where the values of a tensor lie.

    Parameters
    ----------
    info
        What is said of the tensor.
    source
        The file: the model, or one beside it.
    runs
        The places in it, in order.
    field
        The field that they are in; the bytes of another file are as in ``"raw_data"``.
    bits
        Of one element, as it is stored.
    """

    info: TensorInfo
    source: Source
    runs: Runs
    field: str
    bits: int

    @property
    def plain(self) -> bool:
        """Whether the values lie in the file as an array has them."""
        return self.field in PLAIN and self.bits >= 8 and len(self.runs) <= 2

    def read(self) -> np.ndarray:
        """Return the values: a view of the file where they are plain."""
        info = self.info
        if self.plain:
            start = self.runs[0] if self.runs else 0
            return as_array(memoryview(self.source.data), info.dtype, info.shape, start=start)
        return gather(self.source, self.stream(), info.dtype, info.shape, quoted(info.name))

    def stream(self) -> Iterator[Buffer]:
        """Yield the bytes of the values in C order."""
        left = prod(self.info.shape)
        for piece in self._bytes() if self.field in PLAIN else self._numbers():
            if self.bits >= 8:
                yield piece.tobytes()
            else:
                unpacked = _unpack(piece, self.bits)[:left]
                left -= len(unpacked)
                yield unpacked.tobytes()

    def _bytes(self) -> Iterator[np.ndarray]:
        for begin, end in spans_of(self.runs):
            for low in range(begin, end, PIECE):
                yield np.frombuffer(self.source.data[low : min(low + PIECE, end)], np.uint8)

    def _numbers(self) -> Iterator[np.ndarray]:
        """Yield what a list of varints holds, as the integers that the values are stored as."""
        what, stored, count = quoted(self.info.name), self._stored(), 0
        lowest, highest = (0, 1) if self.info.dtype == np.bool_ else (np.iinfo(stored).min, np.iinfo(stored).max)
        for piece in stream_varints(self.source, self.runs, what):
            signed = piece if self.field == "uint64_data" else piece.view(np.int64)
            for extreme in (int(signed.min()), int(signed.max())):
                if not lowest <= extreme <= highest:
                    raise self.source.bad(f"{what} has {extreme} in its {self.field}, which its type does not hold")
            count += len(signed)
            yield signed.astype(stored)
        needed = _numbers_of(self.info.shape, self.bits)
        if count != needed:
            raise self.source.bad(f"{what} needs {needed:,} numbers for its shape, and its {self.field} has {count:,}")

    def _stored(self) -> np.dtype:
        """Return the integers as which values lie in a list of numbers."""
        if self.bits >= 8 and self.info.dtype.kind in "iu":
            return self.info.dtype
        return np.dtype("<u2" if self.bits == 16 else "u1")


def place(tensor: Message, name: str, files: SideFiles) -> Values | str:
    """Return where the values of a tensor lie, or why they can't be read.

    Raises
    ------
    BadCheckpoint
        The shape, the type and what there is of values don't fit.
    """
    source, what = tensor.walker.source, quoted(name)
    shape = _shape(tensor, what)
    if "segment" in tensor.places:
        return "it is stored in segments, which no library writes"
    code = tensor.integers.get("data_type", 0)
    if code not in TYPES:
        return UNREAD.get(code, f"its elements are of type {number(code)}, which is not known")
    type_name, listed = TYPES[code]
    dtype = element_type(type_name)
    bits = BITS.get(type_name, 8 * dtype.itemsize)
    check_shape(source, shape, dtype.itemsize, what)
    info = TensorInfo(name, shape, dtype)
    needed = -(-prod(shape) * bits // 8)
    fields = [field for field in ("raw_data", *LISTED) if field in tensor.places or field in tensor.runs]
    location = tensor.integers.get("data_location", 0)
    if location == EXTERNAL:
        if fields:
            raise source.bad(f"{what} has its values in another file, and {fields[0]} too")
        found = files.find(tensor, needed, what)
        if isinstance(found, str):
            return found
        file, begin = found
        return Values(info, file, array("Q", (begin, begin + needed)), "raw_data", bits)
    if location:
        raise source.bad(f"{what} has the data_location {number(location)}", "known are 0 and 1")
    if len(fields) > 1:
        raise source.bad(f"{what} has its values twice, in {fields[0]} and in {fields[1]}")
    if not fields:
        if needed:
            raise source.bad(f"{what} has no values, and needs {number(needed)} bytes for its shape")
        return Values(info, source, NO_RUNS, "raw_data", bits)
    (field,) = fields
    if field not in ("raw_data", listed):
        raise source.bad(f"{what} is {type_name} and has {field}", f"its values should be in raw_data or {listed}")
    runs = array("Q", tensor.places[field]) if field == "raw_data" else tensor.runs[field]
    _check_length(source, runs, field, needed if field in PLAIN else _numbers_of(shape, bits), what)
    return Values(info, source, runs, field, bits)


def _shape(tensor: Message, what: str) -> tuple[int, ...]:
    source, dims = tensor.walker.source, tensor.runs.get("dims", NO_RUNS)
    if length_of(dims) > MOST_AXES * LONGEST_VARINT:
        raise source.bad(f"{what} has {length_of(dims):,} bytes of axes", f"an array has at most {MOST_AXES}")
    return tuple(decode_varints(source, joined(source, dims), what).view(np.int64).tolist())


def _numbers_of(shape: tuple[int, ...], bits: int) -> int:
    """Return the numbers that a list of them has for a shape: packed types have a byte in each."""
    return -(-prod(shape) * min(bits, 8) // 8)


def _check_length(source: Source, runs: Runs, field: str, needed: int, what: str) -> None:
    """Compare the bytes that there are with what the shape needs; varints are counted when they are read."""
    length = length_of(runs)
    if field in PLAIN:
        if length != needed:
            raise source.bad(f"{what} needs {number(needed)} bytes for its shape, but its {field} has {length:,}")
    elif not needed <= length <= needed * LONGEST_VARINT:
        raise source.bad(f"{what} needs {number(needed)} numbers, which its {field} of {length:,} bytes can't hold")


def _unpack(packed: np.ndarray, bits: int) -> np.ndarray:
    """Return the codes of fewer bits than a byte, one a byte; the first is in the lowest bits."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return (packed[:, None] >> shifts & np.uint8((1 << bits) - 1)).reshape(-1)
