"""Words into uniforms, normals and signs, with operations whose bits are the same on every machine.

Only ``+ - * / sqrt``, casts, and integer and bit operations are used: IEEE 754 fixes their results, while log, sin, exp
and BLAS round differently from one CPU to the next. Polynomials are minimax fits on reduced ranges (Remez exchange, 50
digits), written out by Horner's rule so that the order of the roundings is fixed too.

A block is 512 elements. In a 32-bit lane it takes 256 words, read as 512 halves, low half first; in a 64-bit lane it
takes 512 words. Normals come from the polar form of Box and Muller [1]_: item j < 256 of a block gives the radius, item
256 + j the angle, and elements j and 256 + j are its two coordinates.

.. [1] Box, Muller. "A note on the generation of random normal deviates". Ann. Math. Statist. 29 (1958).
"""

import itertools
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 512  # elements. Part of the stream's format: another value means other weights.
PAIRS = BLOCK // 2

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Precision:
    """What differs between the float32 and the float64 transforms."""

    name: str  # ends the lane's name
    real: Any  # scalar types
    signed: Any
    unsigned: Any
    bits: int  # of a word, as this lane reads it
    drop: int  # low bits of an item that are dropped before it is cast
    mantissa: int  # bits of the float's mantissa field
    inside: float  # factor that keeps uniforms off their bounds, where items have more bits than values
    sqrt_half: int  # the bit pattern of sqrt(1/2)
    log: tuple[float, ...]  # 2 atanh(s) / s in s**2, for |s| <= (sqrt(2) - 1) / (sqrt(2) + 1)
    sin: tuple[float, ...]  # sin(pi/4 x) / x in x**2, for |x| <= 1
    cos: tuple[float, ...]  # cos(pi/4 x) in x**2

    def items(self, words: Array) -> Array:
        """Read raw 64-bit words as this lane's items, low half first."""
        return words.astype("<u8", copy=False).view(f"<u{self.bits // 8}").astype(self.unsigned, copy=False)

    @cached_property
    def of_normals(self) -> tuple[Array, Array, Array]:
        """Half a step of the radius, the place of a sign, and the step of the angle in quarters of pi."""
        angle = 2.0 ** (self.drop + 1 - self.bits)
        return constant(self.real, 0.5), constant(self.unsigned, self.bits - 1), constant(self.real, angle)

    @cached_property
    def pairs(self) -> list[Array]:
        """The coefficients of both polynomials, (2, 1, 1) for each power."""
        both = zip(self.sin, self.cos, strict=False)
        return [np.array(pair, self.real)[:, None, None] for pair in both]


# Relative errors of log 1.2e-7, sin 3.2e-9, cos 2.8e-8.
SINGLE = Precision(
    name="32", real=np.float32, signed=np.int32, unsigned=np.uint32,
    bits=32, drop=0, inside=1 - 2.0**-24, mantissa=23, sqrt_half=0x3F3504F3,
    log=(2.0000002373714074, 0.6665222371828269, 0.4129637285570854),
    sin=(0.785398160854182, -0.08074543252905782, 0.0024900010236146436, -3.595045193546348e-05),
    cos=(0.9999999724234473, -0.3084242535607553, 0.015849915251986188, -0.0003188805046833658),
)  # fmt: skip

# Relative errors of log 1.2e-18, sin 3.4e-18, cos 3.1e-20.
DOUBLE = Precision(
    name="64", real=np.float64, signed=np.int64, unsigned=np.uint64,
    bits=64, drop=11, inside=1.0, mantissa=52, sqrt_half=0x3FE6A09E667F3BCD,
    log=(2.0, 0.6666666666666765, 0.3999999999929889, 0.28571428761344986, 0.22222196988403517, 0.18183635086617797,
         0.15312443945650436, 0.14810527973337131),
    sin=(0.7853981633974483, -0.08074551218828054, 0.0024903945701887364, -3.657620415845665e-05,
         3.1336162166388865e-07, -1.7571492946272105e-09, 6.877101002868963e-12),
    cos=(1.0, -0.30842513753404244, 0.01585434424381542, -0.0003259918869267379, 3.5908604460287683e-06,
         -2.4611364034851807e-08, 1.1500512115559051e-10, -3.858191505820609e-13),
)  # fmt: skip

LN2 = 0.6931471805599453


@lru_cache(maxsize=256)
def constant(kind: Any, value: float) -> Array:
    """Give a number of a transform as an array of no axes, which NumPy takes up in a third of the time of a scalar.

    The thread holds the interpreter for that time, and another one may wait. Not for zero, whose sign would be lost.
    """
    found = np.array(value, kind)
    found.flags.writeable = False
    return found


def setting(kind: Any, value: Any) -> Any:
    """Give a caller's number as such an array, if it is a Python float; else as NumPy reads it."""
    return constant(kind, value) if value and isinstance(value, float) else kind(value)


@lru_cache(maxsize=64)
def constants(kind: Any, values: tuple[float, ...]) -> tuple[Array, ...]:
    """Give the coefficients of a polynomial as such arrays."""
    return tuple(constant(kind, value) for value in values)


_buffers = threading.local()


def scratch(*shapes: tuple[int, ...], p: Precision) -> list[Array]:
    """Give uninitialised arrays, in memory that the thread keeps: fresh pages cost time."""
    buffer, known, arrays = getattr(_buffers, p.name, (None, None, []))
    if shapes != known:
        sizes = [math.prod(shape) for shape in shapes]
        if buffer is None or buffer.size < sum(sizes):
            buffer = np.empty(sum(sizes), p.real)
        edges = itertools.accumulate(sizes, initial=0)
        arrays = [
            buffer[edge : edge + size].reshape(shape) for edge, size, shape in zip(edges, sizes, shapes, strict=False)
        ]
        setattr(_buffers, p.name, (buffer, shapes, arrays))
    return arrays


class Spare:
    """Memory for one result after the other, each until the next is asked for; for whoever makes it, unlike scratch."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._memory: Array = np.empty(0, dtype)

    def of(self, size: int) -> Array:
        """Give an uninitialised flat array."""
        if size > self._memory.size:
            self._memory = np.empty(size + size // 8, self._memory.dtype)
        return self._memory[:size]


def centred(items: Array, out: Array, p: Precision) -> None:
    """Write k + 1/2 for each item k, taken as signed and rounded: symmetric about zero, never zero.

    `items` may be overwritten, here and in what follows.
    """
    signed = items.view(p.signed)
    if p.drop:
        np.right_shift(signed, constant(p.signed, p.drop), signed)
    out[...] = signed
    out += constant(p.real, 0.5)


def uniform(items: Array, out: Array, p: Precision, low: float, high: float) -> None:
    """Write uniforms on [low, high]: (low + high)/2 + (k + 1/2) (high - low) / 2**bits inside."""
    centred(items, out, p)
    out *= setting(p.real, (high - low) * 2.0 ** -(p.bits - p.drop) * p.inside)
    middle = setting(p.real, (low + high) / 2)
    if middle != 0:
        out += middle
        clip(out, p, low, high)


def clip(out: Array, p: Precision, low: float, high: float) -> None:
    """Bring back what was rounded to a step beyond a bound; a zero has the sign of its bound."""
    out.clip(setting(p.real, low), setting(p.real, high), out=out)


def sign(items: Array, out: Array, p: Precision, size: float = 1.0) -> None:
    """Write -size or +size by the top bit of each item."""
    bits = out.view(p.unsigned)
    np.bitwise_and(items, constant(p.unsigned, 1 << (p.bits - 1)), bits)
    bits ^= setting(p.real, size).view(p.unsigned)


def normal(items: Array, out: Array, p: Precision, mean: float, std: float) -> None:
    """Write normals; `items`, which are overwritten, and `out` are (blocks, 512), contiguous.

    The radius is sqrt(-2 ln u), u = (k + 1/2) / 2**bits, which reaches 6.76 in single and 8.65 in double precision.
    The angle is taken in (-pi/2, pi/2) as twice a phi in (-pi/4, pi/4), through cos 2phi = 1 - 2 sin**2 phi and
    sin 2phi = 2 sin phi cos phi; a sign for the pair, the lowest bit of its radius, makes the circle full.
    """
    shape = (len(items), PAIRS)
    a, e = scratch(shape, shape, p=p)
    b, c = out.reshape(2, *shape)  # what is written last, and below what is read no more: less of the cache is taken
    radius_items, angle_items = items[:, :PAIRS], items[:, PAIRS:]
    half, top_bit, quarters = p.of_normals

    b[...] = (
        np.right_shift(radius_items, constant(p.unsigned, p.drop), out=a.view(p.unsigned)) if p.drop else radius_items
    )
    b += half
    negative_log(b, a, c, e, p, scale=8.0, shift=p.bits - p.drop)  # (2 r)**2
    np.sqrt(a, a)
    flip, bits = c.view(p.unsigned), a.view(p.unsigned)
    np.left_shift(radius_items, top_bit, flip)
    bits ^= flip
    if std != 1.0:
        a *= setting(p.real, std)

    signed = angle_items.view(p.signed)
    b[...] = np.right_shift(signed, constant(p.signed, p.drop), out=c.view(p.signed)) if p.drop else signed
    b *= quarters  # of pi
    np.multiply(b, b, c)
    both = items.view(p.real).reshape(2, *shape)
    sine, cosine = both
    if len(p.sin) == len(p.cos):  # two polynomials in one pass: with threads, longer calls are faster calls
        horner(c, p.pairs, both)
    else:
        horner(c, constants(p.real, p.sin), sine)
        horner(c, constants(p.real, p.cos), cosine)
    sine *= b
    cosine *= sine
    sine *= sine
    np.subtract(half, sine, sine)
    np.multiply(a, both, out.reshape(-1, 2, PAIRS).swapaxes(0, 1))
    if mean != 0.0:
        out += setting(p.real, mean)


def horner(x: Array, coefficients: Sequence[Array], out: Array) -> None:
    """Write the polynomial in `x`, lowest coefficient first, one rounding an operation."""
    np.multiply(x, coefficients[-1], out)
    for coefficient in coefficients[-2:0:-1]:
        out += coefficient
        out *= x
    out += coefficients[0]


def negative_log(x: Array, out: Array, c: Array, e: Array, p: Precision, scale: float = 1.0, shift: int = 0) -> None:
    """Write -scale ln(x / 2**shift) for positive normal `x`, which is overwritten, as are the scratch arrays `c`, `e`.

    x = m 2**k with m in [sqrt(1/2), sqrt(2)), and ln m = 2 atanh(s), s = (m - 1) / (m + 1).
    """
    least, field, unit, one, terms = _of_log(p, scale, shift)
    bits, power = x.view(p.signed), c.view(p.signed)
    np.subtract(bits, least, power)
    power &= field  # k - shift, in the place of the exponent
    bits -= power  # m 2**shift
    out[...] = power
    out *= unit
    np.add(x, one, c)
    x -= one
    x /= c
    np.multiply(x, x, c)
    horner(c, terms, e)
    e *= x
    out += e


@lru_cache(maxsize=16)
def _of_log(p: Precision, scale: float, shift: int) -> tuple[Array, Array, Array, Array, Sequence[Array]]:
    """Give the numbers of a logarithm: of the bits of sqrt(1/2) and the exponent, then of its unit, and of the rest."""
    return (
        constant(p.signed, p.sqrt_half + (shift << p.mantissa)),
        constant(p.signed, -(1 << p.mantissa)),
        constant(p.real, -scale * LN2 * 2.0**-p.mantissa),
        constant(p.real, 2.0**shift),
        constants(p.real, tuple(-scale * coefficient for coefficient in p.log)),
    )
