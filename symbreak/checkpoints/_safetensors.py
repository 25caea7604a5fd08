"""The safetensors format: a length, a JSON header, and the bytes.

Every byte of the file has one owner: the tensors lie one after another from the header's end to the file's, with no
overlap and no hole, so that nothing can hide between them [1].

[1] https://github.com/huggingface/safetensors, section "Format".
"""

import itertools
from typing import TypeGuard, final

import numpy as np

from symbreak._visible import number, quoted
from symbreak.checkpoints._arrays import as_array, check_bool, check_shape
from symbreak.checkpoints._dtypes import SAFETENSORS, SUB_BYTE, element_type
from symbreak.checkpoints._json import LARGEST, parse_object, type_name
from symbreak.checkpoints._reader import Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import TRUNCATED, Source

PREFIX = 8  # bytes of the header's length, little-endian
FIELDS = {"dtype", "shape", "data_offsets"}
METADATA = "__metadata__"


def looks_like_safetensors(source: Source) -> bool:
    """Whether a length comes before the opening brace of a JSON object; a length has zero bytes, and text has none."""
    head = source.data[: PREFIX + 2]
    return b"\0" in head[:PREFIX] and head[PREFIX:] in {b"{", b'{"', b"{}", b"{ ", b"{\n"}


@final
class Safetensors(Checkpoint):
    """One safetensors file."""

    def __init__(self, source: Source) -> None:
        length = int.from_bytes(source.take(0, PREFIX, "the header's length"), "little")
        if length > LARGEST:
            raise source.bad(f"the header claims {length:,} bytes", f"a safetensors header has at most {LARGEST:,}")
        text = source.take(PREFIX, length, "the header")
        if not text.startswith(b"{") or not text.rstrip(b" ").endswith(b"}"):
            raise source.bad("the header is not a JSON object padded with spaces")
        header = parse_object(source, text, "the header")
        metadata = _metadata(source, header.pop(METADATA, {}))
        self._begin = PREFIX + length
        self._at: dict[str, int] = {}
        tensors, skipped = self._layout(source, header)
        super().__init__(source, "safetensors", tensors, skipped, metadata)

    def _layout(self, source: Source, header: dict[str, object]) -> tuple[dict[str, TensorInfo], tuple[Skipped, ...]]:
        # A million entries take a gigabyte as JSON has them, so each is let go of when it is read.
        entries = sorted((_entry(source, name, header.pop(name)) for name in list(header)), key=lambda e: e[:2])
        size = source.size - self._begin
        ends = itertools.chain([0], (end for _, end, *_ in entries))
        tensors, skipped = {}, []
        for (begin, end, name, code, shape), before in zip(entries, ends, strict=False):
            what = quoted(name)
            if begin != before:
                relation = "overlaps what comes before it" if begin < before else "leaves a hole before it"
                raise source.bad(f"{what} {relation}: it begins at {number(begin)}, not at {number(before)}")
            if code in SUB_BYTE:
                _check_span(source, what, begin, end, check_shape(source, shape, SUB_BYTE[code], what), 8)
                skipped.append(Skipped(name, f"{code} packs its values below one byte, which NumPy does not hold"))
                continue
            dtype = element_type(SAFETENSORS[code])
            _check_span(source, what, begin, end, check_shape(source, shape, dtype.itemsize, what), 1)
            tensors[name] = TensorInfo(name, shape, dtype)
            self._at[name] = begin
        last = entries[-1][1] if entries else 0
        if last != size:
            cut = [TRUNCATED] if last > size else []
            raise source.bad(f"the tensors take {number(last)} bytes and the file has {size:,} for them", *cut)
        return tensors, tuple(skipped)

    def _read(self, info: TensorInfo) -> np.ndarray:
        array = as_array(memoryview(self._source.data), info.dtype, info.shape, start=self._begin + self._at[info.name])
        return check_bool(self._source, array, quoted(info.name))


def _entry(source: Source, name: str, value: object) -> tuple[int, int, str, str, tuple[int, ...]]:
    what = quoted(name)
    if not isinstance(value, dict):
        raise source.bad(f"{what} is {type_name(value)}, not an object with dtype, shape and data_offsets")
    if set(value) != FIELDS:
        odd = ", ".join(quoted(field) for field in sorted(set(value) ^ FIELDS))
        raise source.bad(f"{what} has fields that don't match dtype, shape, data_offsets: {odd}")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or (code not in SAFETENSORS and code not in SUB_BYTE):
        known = ", ".join([*SAFETENSORS, *SUB_BYTE])
        raise source.bad(f"{what} has the dtype {quoted(code)}", f"known are {known}")
    if not _naturals(shape):
        raise source.bad(f"{what} has the shape {quoted(shape)}", "it should be an array of non-negative integers")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise source.bad(f"{what} has the data_offsets {quoted(offsets)}", "they should be [begin, end] in bytes")
    return offsets[0], offsets[1], name, code, tuple(shape)


def _naturals(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**64 for item in value)


def _check_span(source: Source, what: str, begin: int, end: int, needed: int, unit: int) -> None:
    if needed != (end - begin) * unit:
        exact = number(needed) if unit == 1 else f"{number(needed)} / {unit}"
        raise source.bad(f"{what} needs {exact} bytes for its shape, but its offsets give it {number(end - begin)}")


def _metadata(source: Source, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise source.bad(f"{METADATA} is not an object of strings")
    return value
