"""Element types by the names that formats give them; ml_dtypes is imported when one of its types is met."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

# The sub-byte types have no array of their own. The number is bits an element.
SUB_BYTE: Mapping[str, int] = MappingProxyType({"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6})

# The names of https://github.com/huggingface/safetensors; the values are NumPy's or ml_dtypes'.
SAFETENSORS: Mapping[str, str] = MappingProxyType(
    {
        "BOOL": "bool",
        "U8": "uint8",
        "I8": "int8",
        "U16": "uint16",
        "I16": "int16",
        "U32": "uint32",
        "I32": "int32",
        "U64": "uint64",
        "I64": "int64",
        "F16": "float16",
        "BF16": "bfloat16",
        "F32": "float32",
        "F64": "float64",
        "C64": "complex64",
        "F8_E4M3": "float8_e4m3fn",
        "F8_E4M3FNUZ": "float8_e4m3fnuz",
        "F8_E5M2": "float8_e5m2",
        "F8_E5M2FNUZ": "float8_e5m2fnuz",
        "F8_E8M0": "float8_e8m0fnu",
    }
)

# The storage classes of torch, which give the element type of every tensor that lies in one.
TORCH_STORAGES: Mapping[str, str] = MappingProxyType(
    {
        "BoolStorage": "bool",
        "ByteStorage": "uint8",
        "CharStorage": "int8",
        "ShortStorage": "int16",
        "IntStorage": "int32",
        "LongStorage": "int64",
        "HalfStorage": "float16",
        "BFloat16Storage": "bfloat16",
        "FloatStorage": "float32",
        "DoubleStorage": "float64",
        "ComplexFloatStorage": "complex64",
        "ComplexDoubleStorage": "complex128",
    }
)

# torch's dtypes, as its newer pickles name them beside an untyped storage.
TORCH: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in TORCH_STORAGES.values()},
        "half": "float16",
        "float": "float32",
        "double": "float64",
        "short": "int16",
        "int": "int32",
        "long": "int64",
        "cfloat": "complex64",
        "cdouble": "complex128",
        "uint16": "uint16",
        "uint32": "uint32",
        "uint64": "uint64",
        "float8_e4m3fn": "float8_e4m3fn",
        "float8_e4m3fnuz": "float8_e4m3fnuz",
        "float8_e5m2": "float8_e5m2",
        "float8_e5m2fnuz": "float8_e5m2fnuz",
        "float8_e8m0fnu": "float8_e8m0fnu",
    }
)

# The names of NumPy's and ml_dtypes' types in a file of Flax's. Types below one byte have one byte an element there.
FLAX = frozenset(
    {"bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"}
    | {"complex64", "complex128", "bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn"}
    | {"float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn"}
    | {"int4", "uint4", "int2", "uint2"}
)


@cache  # a million tensors share it
def element_type(name: str) -> np.dtype:
    """Return the dtype that NumPy or ml_dtypes calls `name`, little-endian."""
    if name.startswith(("bfloat", "float8", "float4")) or name in ("int4", "uint4", "int2", "uint2"):
        import ml_dtypes

        found: np.dtype = np.dtype(getattr(ml_dtypes, name))
        return found
    return in_order(np.dtype(name), "<")


def in_order(dtype: np.dtype, order: str) -> np.dtype:
    """Return the dtype with a byte order, "<" or ">"; those of ml_dtypes have the machine's alone."""
    return dtype if dtype.isbuiltin == 2 else np.dtype(order + dtype.str[1:])
