"""The element types of GGML: plain numbers, and blocks of quantised ones with the arithmetic that gives their values.

A block holds 32 or 256 small integers and the scales that they are multiplied by. Its layout is a dtype of NumPy's, its
arithmetic one function of the fields, in float32 and in the order of GGML's own, so that the values are those that a
model computes with, bit for bit [1].

[1] https://github.com/ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from symbreak.checkpoints._arrays import Buffer

PIECE = 1 << 20  # bytes of values that come at a time

Blocks: TypeAlias = np.ndarray  # (blocks,) of a structured dtype
Values: TypeAlias = np.ndarray  # (blocks, groups, values of a group); a group shares its scales


@dataclass(frozen=True, slots=True)
class Kind:
    """An element type: how many values a block holds, one of plain numbers, and how they come out of it."""

    name: str
    values: int  # of a block
    size: int  # bytes of a block
    dtype: str = "float32"  # of the values
    layout: np.dtype | None = None
    arithmetic: Callable[[Blocks], Values] | None = None  # None for plain numbers, and for what is not decoded
    codebook: bool = False  # decoded by the format's own library, which has the tables of values


def has_codebooks() -> bool:
    """Whether the format's own library is installed."""
    try:
        import gguf.quants  # noqa: F401
    except ImportError:
        return False
    return True


def dequantised(data: memoryview, kind: Kind) -> Iterator[Buffer]:
    """Yield the float32 values of whole blocks, little-endian, piece by piece."""
    assert kind.arithmetic is not None  # noqa: S101 - the caller has looked
    step = PIECE // (4 * kind.values) * kind.size
    for low in range(0, len(data), step):
        blocks = np.frombuffer(data[low : low + step], kind.layout)
        with np.errstate(all="ignore"):  # a scale that is not finite gives values that are not
            values = kind.arithmetic(blocks)
        yield np.ascontiguousarray(values, "<f4").tobytes()


def _fields(packed: np.ndarray, bits: int, run: int) -> np.ndarray:
    """Split bytes into fields of `bits` bits: of each run of `run` bytes the lowest fields first, then the next."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    runs = packed.reshape(len(packed), -1, 1, run) >> shifts
    return (runs & np.uint8((1 << bits) - 1)).reshape(len(packed), -1)


def _factor(*scales: np.ndarray) -> Values:
    """Multiply scales of a block, and of its groups, in float32; the last axis is left for a group's values."""
    factor: Values = np.ones((1, 1, 1), np.float32)
    for scale in scales:
        factor = factor * scale.astype(np.float32).reshape(len(scale), -1, 1)
    return factor


def _scaled(integers: np.ndarray, *scales: np.ndarray) -> Values:
    """Multiply each integer by the product of its scales."""
    factor = _factor(*scales)
    values: Values = factor * integers.astype(np.float32).reshape(len(integers), factor.shape[1], -1)
    return values


def _raised(values: Values, least: Values) -> Values:
    raised: Values = values + least
    return raised


def _signed(integers: np.ndarray, middle: int) -> np.ndarray:
    signed: np.ndarray = integers.astype(np.int8) - np.int8(middle)
    return signed


def _joined(low: np.ndarray, high: np.ndarray, bits: int) -> np.ndarray:
    """Put the integers together whose lowest `bits` bits are apart."""
    joined: np.ndarray = low | high << np.uint8(bits)
    return joined


def _q4(b: Blocks) -> np.ndarray:
    return _fields(b["q"], 4, 16)


def _q5(b: Blocks) -> np.ndarray:
    return _joined(_q4(b), _fields(b["high"], 1, 1), 4)


def _from_least(b: Blocks, integers: np.ndarray) -> Values:
    return _raised(_scaled(integers, b["d"]), _factor(b["m"]))


def _q2_k(b: Blocks) -> Values:
    scales, least = b["scales"] & np.uint8(15), b["scales"] >> np.uint8(4)
    return _raised(_scaled(_fields(b["q"], 2, 32), b["d"], scales), -_factor(b["m"], least))


def _q3_k(b: Blocks) -> Values:
    scales = _joined(_fields(b["scales"][:, :8], 4, 8), _fields(b["scales"][:, 8:], 2, 4), 4)
    integers = _joined(_fields(b["q"], 2, 32), _fields(b["high"], 1, 32), 2)
    return _scaled(_signed(integers, 4), b["d"], _signed(scales, 32))


def _in_eights(b: Blocks, integers: np.ndarray) -> Values:
    """Decode Q4_K and Q5_K: eight scales and eight least values, of six bits each, in twelve bytes.

    The first four of each have a byte of their own; its two bits that are left belong to one of the last four.
    """
    first, rest = b["scales"][:, :8] & np.uint8(63), b["scales"][:, :8] >> np.uint8(6)
    last = _joined(_fields(b["scales"][:, 8:], 4, 4), rest, 4)
    scales, least = (np.hstack([first[:, i : i + 4], last[:, i : i + 4]]) for i in (0, 4))
    return _raised(_scaled(integers, b["d"], scales), -_factor(b["m"], least))


def _q5_k(b: Blocks) -> Values:
    return _in_eights(b, _joined(_fields(b["q"], 4, 32), _fields(b["high"], 1, 32), 4))


def _q6_k(b: Blocks) -> Values:
    integers = _joined(_fields(b["q"], 4, 64), _fields(b["high"], 2, 32), 4)
    return _scaled(_signed(integers, 32), b["d"], b["scales"])


# The levels of the non-linear types: a table of GGML's.
LEVELS = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8)
# Twice the values of a float of 2 bits exponent and 1 of mantissa: OCP Microscaling Formats 1.0, section 5.3.3.
E2M1 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)


def _iq4_xs(b: Blocks) -> Values:
    scales = _joined(_fields(b["low"], 4, 1), _fields(b["high"], 2, 1), 4)
    return _scaled(LEVELS[_q4(b)], b["d"], _signed(scales, 32))


def _mxfp4(b: Blocks) -> Values:
    # The scale is 2 ** (e - 127); half of it, for the levels are doubled.
    return _scaled(E2M1[_q4(b)], np.ldexp(np.float32(1), b["e"].astype(np.int32) - 128))


# Half of a float of 4 bits exponent and 3 of mantissa, without a sign; zero where it would be no number.
_EXPONENT, _MANTISSA = np.arange(256) >> 3 & 15, np.arange(256) & 7
E4M3 = np.where(_EXPONENT, np.ldexp(8 + _MANTISSA, _EXPONENT - 11), np.ldexp(_MANTISSA, -10)).astype(np.float32)
E4M3[0x7F] = 0


def _nvfp4(b: Blocks) -> Values:
    return _scaled(E2M1[_fields(b["q"], 4, 8)], E4M3[b["d"]])


def _trits(packed: np.ndarray, digits: int, run: int) -> np.ndarray:
    """Split bytes into digits of base 3: a byte is their fraction of 3 ** 5, in 256ths and rounded up."""
    powers = np.uint8(3) ** np.arange(digits, dtype=np.uint8)[:, None]
    moved = packed.reshape(len(packed), -1, 1, run) * powers  # the digits before leave the byte at its top
    digit: np.ndarray = moved.astype(np.uint16) * np.uint16(3) >> np.uint16(8)
    return digit.astype(np.uint8).reshape(len(packed), -1)


def _tq1_0(b: Blocks) -> Values:
    parts = [_trits(b["q"][:, :32], 5, 32), _trits(b["q"][:, 32:], 5, 16), _trits(b["last"], 4, 4)]
    return _scaled(_signed(np.hstack(parts), 1), b["d"])


def _block(name: str, values: int, arithmetic: Callable[[Blocks], Values], *fields: tuple[str, str, int]) -> Kind:
    layout = np.dtype([(field, code, (count,)) if count > 1 else (field, code) for field, code, count in fields])
    return Kind(name, values, layout.itemsize, "float32", layout, arithmetic)


def _in_codebook(name: str, size: int) -> Kind:
    def values(b: Blocks) -> Values:
        import gguf

        made: Values = gguf.quants.dequantize(b["raw"], gguf.GGMLQuantizationType[name])
        return made

    return Kind(name, 256, size, "float32", np.dtype([("raw", "u1", (size,))]), values, codebook=True)


D, M = ("d", "<f2", 1), ("m", "<f2", 1)
SIX = ("scales", "u1", 12)

# One row a type: its number, name, values of a block, and what they are, or the arithmetic and the fields of a block.
KINDS: Mapping[int, Kind] = MappingProxyType(
    {
        0: Kind("F32", 1, 4, "float32"),
        1: Kind("F16", 1, 2, "float16"),
        24: Kind("I8", 1, 1, "int8"),
        25: Kind("I16", 1, 2, "int16"),
        26: Kind("I32", 1, 4, "int32"),
        27: Kind("I64", 1, 8, "int64"),
        28: Kind("F64", 1, 8, "float64"),
        30: Kind("BF16", 1, 2, "bfloat16"),
        2: _block("Q4_0", 32, lambda b: _scaled(_signed(_q4(b), 8), b["d"]), D, ("q", "u1", 16)),
        3: _block("Q4_1", 32, lambda b: _from_least(b, _q4(b)), D, M, ("q", "u1", 16)),
        6: _block("Q5_0", 32, lambda b: _scaled(_signed(_q5(b), 16), b["d"]), D, ("high", "u1", 4), ("q", "u1", 16)),
        7: _block("Q5_1", 32, lambda b: _from_least(b, _q5(b)), D, M, ("high", "u1", 4), ("q", "u1", 16)),
        8: _block("Q8_0", 32, lambda b: _scaled(b["q"], b["d"]), D, ("q", "i1", 32)),
        10: _block("Q2_K", 256, _q2_k, ("scales", "u1", 16), ("q", "u1", 64), D, M),
        11: _block("Q3_K", 256, _q3_k, ("high", "u1", 32), ("q", "u1", 64), SIX, D),
        12: _block("Q4_K", 256, lambda b: _in_eights(b, _fields(b["q"], 4, 32)), D, M, SIX, ("q", "u1", 128)),
        13: _block("Q5_K", 256, _q5_k, D, M, SIX, ("high", "u1", 32), ("q", "u1", 128)),
        14: _block("Q6_K", 256, _q6_k, ("q", "u1", 128), ("high", "u1", 64), ("scales", "i1", 16), D),
        20: _block("IQ4_NL", 32, lambda b: _scaled(LEVELS[_q4(b)], b["d"]), D, ("q", "u1", 16)),
        23: _block("IQ4_XS", 256, _iq4_xs, D, ("high", "u1", 2), ("low", "u1", 4), ("q", "u1", 128)),
        34: _block("TQ1_0", 256, _tq1_0, ("q", "u1", 48), ("last", "u1", 4), D),
        35: _block("TQ2_0", 256, lambda b: _scaled(_signed(_fields(b["q"], 2, 32), 1), b["d"]), ("q", "u1", 64), D),
        39: _block("MXFP4", 32, _mxfp4, ("e", "u1", 1), ("q", "u1", 16)),
        40: _block("NVFP4", 64, _nvfp4, ("d", "u1", 4), ("q", "u1", 32)),
        # Those whose values lie in tables of thousands.
        16: _in_codebook("IQ2_XXS", 66),
        17: _in_codebook("IQ2_XS", 74),
        18: _in_codebook("IQ3_XXS", 98),
        19: _in_codebook("IQ1_S", 50),
        21: _in_codebook("IQ3_S", 110),
        22: _in_codebook("IQ2_S", 82),
        29: _in_codebook("IQ1_M", 56),
        # Those that are not decoded: activations, and one that nothing but llama.cpp itself can tell us of.
        15: Kind("Q8_K", 256, 292),
        41: Kind("Q1_0", 128, 18),
    }
)
