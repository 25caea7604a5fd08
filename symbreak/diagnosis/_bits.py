"""When two stored numbers are equal: every dtype turned into bytes that are equal where the values are.

Weights are compared as they are stored. Only the few codes that break "equal values, equal bytes" are rewritten on the
way: minus zero, the unused bits of types narrower than a byte, and the padding of extended precision. bfloat16 and the
8-bit floats are never widened.
"""

import functools
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@final
class NotNumbers(TypeError):  # noqa: N818 - says what is the matter
    """An array of strings, objects, dates, or bytes of no known type."""


@dataclass(frozen=True)
class _Small:
    """A type of one or two bytes, handled as integers.

    Codes whose magnitude, without the sign bit, is `first` or more are infinite or not a number. The `fnuz` types have
    one NaN instead, at the code where others have minus zero, and no minus zero.
    """

    keep: int  # the bits that count
    minus_zero: int | None = None
    first: int | None = None
    fnuz: bool = False


# The layouts are those of IEEE 754, the OCP specifications of 8-bit and microscaling formats, and ml_dtypes. The tests
# hold every row against the widened values of all codes. float8_e8m0fnu has no sign: its only NaN is the largest code.
_SMALL = {
    "float16":             _Small(0xFFFF, 0x8000, 0x7C00),
    "bfloat16":            _Small(0xFFFF, 0x8000, 0x7F80),
    "float8_e3m4":         _Small(0xFF, 0x80, 0x70),
    "float8_e4m3":         _Small(0xFF, 0x80, 0x78),
    "float8_e4m3fn":       _Small(0xFF, 0x80, 0x7F),
    "float8_e5m2":         _Small(0xFF, 0x80, 0x7C),
    "float8_e4m3b11fnuz":  _Small(0xFF, fnuz=True),
    "float8_e4m3fnuz":     _Small(0xFF, fnuz=True),
    "float8_e5m2fnuz":     _Small(0xFF, fnuz=True),
    "float8_e8m0fnu":      _Small(0xFF, first=0xFF),
    "float6_e2m3fn":       _Small(0x3F, 0x20),
    "float6_e3m2fn":       _Small(0x3F, 0x20),
    "float4_e2m1fn":       _Small(0x0F, 0x08),
    "int4":                _Small(0x0F),
    "uint4":               _Small(0x0F),
    "int2":                _Small(0x03),
    "uint2":               _Small(0x03),
    "int1":                _Small(0x01),
    "uint1":               _Small(0x01),
}  # fmt: skip


@final
class Bits:
    """How arrays of one dtype are loaded as comparable bytes.

    Raises
    ------
    NotNumbers
        For a dtype that holds no numbers.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.small = _SMALL.get(dtype.name)
        if self.small is None and dtype.kind not in "fcbiu":
            hint = " (the bytes of a type that NumPy does not know?)" if dtype.kind == "V" else ""
            raise NotNumbers(
                f"weights are numbers; got an array of dtype {dtype!s}{hint}: convert it or view it as its type"
            )
        self.stored = dtype
        self.dtype = dtype.newbyteorder("=")
        self.has_zero = dtype.name != "float8_e8m0fnu"  # powers of two only
        self.floating = self.small is None and dtype.kind in "fc"
        # x86's extended precision has 64 bits of mantissa (63 are stored) in the first 10 of 12 or 16 bytes.
        self.padded = self.floating and np.finfo(dtype).nmant == 63

    @property
    def always_finite(self) -> bool:
        """Whether the dtype has neither infinities nor a NaN."""
        return not self.floating and (self.small is None or (self.small.first is None and not self.small.fnuz))

    @property
    def plain(self) -> bool:
        """Whether the stored numbers can be compared as they are: floats in this machine's byte order."""
        return self.floating and not self.padded and self.stored.isnative

    def load(self, source: Array, out: Array) -> None:
        """Copy `source` into `out`, of the native dtype, so that equal values have equal bytes."""
        if self.floating:
            with np.errstate(invalid="ignore"):  # a NaN that signals, as memory never written may hold
                np.add(source, self.dtype.type(0), out=out)  # -0.0 + 0.0 is 0.0
            if self.padded:
                out.view(np.uint8).reshape(*out.shape, -1, np.finfo(self.dtype).dtype.itemsize)[..., 10:] = 0
            return
        np.copyto(out, source)
        if self.small is None:
            return
        signed, codes = _integers(out)
        keep, minus_zero = self.small.keep, self.small.minus_zero
        if keep not in (0xFF, 0xFFFF):
            np.bitwise_and(codes, codes.dtype.type(keep), out=codes)
            negative = minus_zero is not None
        else:
            negative = minus_zero is not None and signed.min(initial=0) == np.iinfo(signed.dtype).min
        if negative:
            # A product takes the same time however many there are; an assignment through a mask up to 50 times longer.
            np.multiply(codes, codes != minus_zero, out=codes)

    def not_finite(self, tile: Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]] | None:
        """Say which rows of a loaded tile (units, features) hold a value that is not finite, and which a NaN.

        None says that no row does; that answer costs one pass at the speed of the cache.
        """
        if not self.suspicious(tile):
            return None
        not_finite = np.any(~np.isfinite(tile), axis=1)
        nan = np.any(np.isnan(tile), axis=1)
        return np.asarray(not_finite), np.asarray(nan)

    def suspicious(self, tile: Array) -> bool:
        """Whether a value of a tile, not empty and in native byte order, may be not finite; False is certain."""
        if self.floating:
            # A sum that meets an infinity or a NaN is not finite. It may overflow without: the exact look settles it.
            return not np.isfinite(np.einsum("ij->i", tile)).all()
        if self.small is None:
            return False
        signed, codes = _integers(tile)
        limits = np.iinfo(signed.dtype)
        if self.small.fnuz:
            return bool(signed.min() == limits.min)
        first = self.small.first
        return first is not None and bool(signed.max() >= first or codes.max() >= first | (limits.max + 1))


@functools.cache
def bits_of(dtype: np.dtype[Any]) -> Bits:
    """Return `Bits(dtype)`; the same object for the same dtype."""
    return Bits(dtype)


def _integers(tile: Array) -> tuple[Array, Array]:
    """View numbers of one or two bytes as signed and as unsigned integers."""
    size = tile.dtype.itemsize
    return tile.view(f"i{size}"), tile.view(f"u{size}")
