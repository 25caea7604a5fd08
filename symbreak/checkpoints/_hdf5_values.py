"""What a dataset of HDF5 holds, and its values block by block; for the child process, which alone imports h5py.

An element type is told by its description in the file, bit by bit: HDF5 can describe floats and integers of any layout,
and only those are read that NumPy or ml_dtypes have. Values are read as they are stored, with no conversion.
"""

import itertools
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
from h5py import h5d, h5s, h5t

from symbreak._visible import is_text, number, quoted

BLOCK = 1 << 24  # bytes that are read together, unless a row of chunks has more
WIDEST = 1 << 28  # bytes of a row of chunks that is read together
LONGEST = 1 << 20  # bytes of texts of one length that are looked at

# The filters that come with HDF5 and h5py; others are somebody's plug-in.
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
# (bits, sign's place, exponent's place and length, fraction's place and length, exponent's bias): the type, by the name
# of NumPy or ml_dtypes. The 8-bit types are those of the Open Compute Project.
FLOATS = {
    (64, 63, 52, 11, 0, 52, 1023): "f8",
    (32, 31, 23, 8, 0, 23, 127): "f4",
    (16, 15, 10, 5, 0, 10, 15): "f2",
    (16, 15, 7, 8, 0, 7, 127): "bfloat16",
    (8, 7, 3, 4, 0, 3, 7): "float8_e4m3fn",
    (8, 7, 2, 5, 0, 2, 15): "float8_e5m2",
}
SIZES = {"bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1}  # bytes; of NumPy's types the name says it
ORDERS = {h5t.ORDER_LE: "<", h5t.ORDER_BE: ">"}
COMPLEX = ({"r", "i"}, {"real", "imag"})  # what h5py and MATLAB call the two parts
COMPLEX_CLASS = 11  # H5T_COMPLEX, new in HDF5 2.0
OTHERS = {
    h5t.STRING: "text",
    h5t.OPAQUE: "opaque bytes",
    h5t.REFERENCE: "references to other parts of the file",
    h5t.VLEN: "lists of different lengths",
    h5t.BITFIELD: "bit fields",
    h5t.TIME: "times",
    h5t.COMPOUND: "records of several fields",
    h5t.ENUM: "enumerated names",
}


class Unread(Exception):  # noqa: N818 - says what it is
    """Something sound that is not read, and why."""


class Value(NamedTuple):
    """What a dataset holds."""

    shape: tuple[int, ...]
    code: str  # the element type
    stored: int  # bytes in the file
    offset: int | None = None  # where they are, if all of them lie there plain and in order
    swapped: bool = False  # whether the bytes of an element have another order than the code says

    @property
    def size(self) -> int:
        """The bytes of all values."""
        return prod(self.shape) * (SIZES.get(self.code) or np.dtype(self.code).itemsize)


def value_of(dataset: Any, label: object) -> Value:
    """Say what a dataset holds; `label` is what Keras says of its type.

    Raises
    ------
    Unread
        It is something that is not read, or lies in another file.
    ValueError
        The file contradicts itself.
    """
    check_storage(dataset)
    if dataset.get_type().get_class() == h5t.STRING and not _is_text(dataset):
        raise Unread("it holds strings of bytes, which may be anything")
    code, inner, swapped = element(dataset.get_type(), label)
    stored = dataset.get_storage_size()
    value = Value((*shape_of(dataset), *inner), code, stored, None, swapped)
    if dataset.get_create_plist().get_layout() != h5d.CONTIGUOUS or not stored:  # before the first write there is none
        return value
    if stored != value.size:
        raise ValueError(f"its values take {number(value.size)} bytes, and the file has {stored:,} for them")
    return value if swapped else value._replace(offset=dataset.get_offset())


def check_storage(dataset: Any) -> None:
    """Raise Unread where the values lie in another file, or are packed by a filter that HDF5 does not bring."""
    plan = dataset.get_create_plist()
    if plan.get_external_count():
        raise Unread("its values lie in another file, which is not opened")
    if plan.get_layout() == h5d.VIRTUAL:
        raise Unread("its values lie in other datasets, which may be those of other files")
    for place in range(plan.get_nfilters()):
        kind, _, _, name = plan.get_filter(place)
        if kind not in FILTERS:
            shown = quoted(name.decode("utf-8", "replace"))
            raise Unread(f"its values are packed by the filter {kind}, {shown}, which is a plug-in")


def shape_of(dataset: Any) -> tuple[int, ...]:
    """Return the shape; a dataset without a dataspace holds no value, and is as one of length zero."""
    space = dataset.get_space()
    return (0,) if space.get_simple_extent_type() == h5s.NULL else tuple(space.get_simple_extent_dims())


def element(described: Any, label: object = None) -> tuple[str, tuple[int, ...], bool]:
    """Return an element type's code, the axes that each element has of its own, and whether its bytes are swapped."""
    kind = described.get_class()
    if kind == h5t.ARRAY:
        code, inner, swapped = element(described.get_super())
        return code, (*described.get_array_dims(), *inner), swapped
    if kind == h5t.INTEGER:
        return _integer(described), (), False
    if kind == h5t.FLOAT:
        code = _float(described)
        if code in SIZES:
            return code, (), SIZES[code] > 1 and described.get_order() == h5t.ORDER_BE
        return _order(described) + code, (), False
    if kind == h5t.ENUM and _is_bool(described):
        return "|b1", (), False
    if kind == h5t.OPAQUE and label == "bfloat16" and described.get_size() == 2:  # Keras notes the type beside it
        return "bfloat16", (), False
    if (parts := _complex(described, kind)) is not None:
        return parts, (), False
    raise Unread(f"it holds {OTHERS.get(kind, f'elements of the class {kind}')}")


def blocks(dataset: Any, value: Value) -> Iterator[memoryview]:
    """Yield the values in C order, a few rows of chunks at a time."""
    if not value.size:
        return
    described = dataset.get_type()
    outer = shape_of(dataset)
    itemsize = described.get_size()
    plan = dataset.get_create_plist()
    chunk = plan.get_chunk() if plan.get_layout() == h5d.CHUNKED else (1,) * len(outer)
    space = dataset.get_space()
    for begin, count in _slabs(outer, tuple(chunk), itemsize):
        out = np.zeros((prod(count), itemsize), np.uint8)
        if count:
            space.select_hyperslab(begin, count)
            dataset.read(h5s.create_simple(count), space, out, mtype=described)
        else:
            dataset.read(h5s.ALL, h5s.ALL, out, mtype=described)
        yield (out.view(np.uint16).byteswap() if value.swapped else out).reshape(-1).data


def _slabs(
    shape: tuple[int, ...], chunk: tuple[int, ...], itemsize: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield (begin, count) of parts that follow one another in C order, each of whole rows of chunks if these fit."""
    if not shape:
        yield (), ()
        return
    axis = 0
    while axis + 1 < len(shape) and prod(shape[axis + 1 :]) * itemsize > WIDEST:
        axis += 1
    rest = shape[axis + 1 :]
    row = prod(rest) * itemsize
    step = max(chunk[axis], BLOCK // row // chunk[axis] * chunk[axis])
    step = max(1, min(step, WIDEST // row))
    for before in itertools.product(*(range(length) for length in shape[:axis])):
        for low in range(0, shape[axis], step):
            high = min(low + step, shape[axis])
            yield (*before, low, *(0 for _ in rest)), (*(1 for _ in before), high - low, *rest)


def _order(described: Any) -> str:
    if described.get_size() == 1:
        return "|"
    order = ORDERS.get(described.get_order())
    if order is None:
        raise Unread("it holds numbers in the byte order of another machine")
    return order


def _integer(described: Any) -> str:
    size = described.get_size()
    if size not in (1, 2, 4, 8) or described.get_precision() != 8 * size or described.get_offset():
        raise Unread(f"it holds integers of {described.get_precision()} bits in {size} bytes")
    sign = "u" if described.get_sign() == h5t.SGN_NONE else "i"
    return f"{_order(described)}{sign}{size}"


def _float(described: Any) -> str:
    size = described.get_size()
    whole = described.get_precision() == 8 * size and not described.get_offset()
    code = FLOATS.get((8 * size, *described.get_fields(), described.get_ebias())) if whole else None
    if code is None or described.get_norm() != h5t.NORM_IMPLIED:
        raise Unread(f"it holds floats of {described.get_precision()} bits that NumPy does not have")
    return code


def _is_text(dataset: Any) -> bool:
    """Whether strings are text: those of one length can hold any bytes."""
    described = dataset.get_type()
    if described.is_variable_str():
        return True
    value = Value(shape_of(dataset), f"S{described.get_size()}", dataset.get_storage_size())
    return value.size <= LONGEST and is_text(b"".join(blocks(dataset, value)))


def _is_bool(described: Any) -> bool:
    """Whether it is how h5py writes booleans: one byte, called FALSE and TRUE."""
    if described.get_size() != 1 or described.get_nmembers() != 2:
        return False
    members: Mapping[bytes, int] = {described.get_member_name(i): described.get_member_value(i) for i in (0, 1)}
    return members == {b"FALSE": 0, b"TRUE": 1}


def _complex(described: Any, kind: int) -> str | None:
    """Return the code of a complex type: a record of two floats of one kind, or HDF5's own."""
    if kind == COMPLEX_CLASS:
        part = described.get_super()
    elif kind == h5t.COMPOUND and described.get_nmembers() == 2:
        if {described.get_member_name(i).decode("utf-8", "replace") for i in (0, 1)} not in COMPLEX:
            return None
        if not described.get_member_name(0).startswith(b"r"):
            return None
        part = described.get_member_type(0)
        offsets = [described.get_member_offset(i) for i in (0, 1)]
        if offsets != [0, part.get_size()] or not part.equal(described.get_member_type(1)):
            return None
    else:
        return None
    if part.get_class() != h5t.FLOAT or described.get_size() != 2 * part.get_size():
        return None
    code = _float(part)
    return {"f4": f"{_order(part)}c8", "f8": f"{_order(part)}c16"}.get(code)
