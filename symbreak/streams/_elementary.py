"""log, exp, expm1 and rotations with operations whose bits are the same on every machine, in float64.

NumPy's own round differently from one CPU to the next. Only ``+ - * /``, rint, casts and integer operations are used,
as in the transforms of the words; what is computed here is right to a few units in the last place.
"""

import math
from collections.abc import Callable

import numpy as np

from ._transforms import DOUBLE, Array, constants, horner, negative_log

CHUNK = 1 << 14  # elements: a chunk and its scratch arrays stay in cache
PER_LN2 = 1.4426950408889634  # 1 / ln 2
LN2_HIGH = float.fromhex("0x1.62e42feep-1")  # 33 bits: an exponent times it is exact
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")  # ln 2 - LN2_HIGH
# exp(r) = sum r**k / k!: what follows 1/14! is below 2**-57 for |r| <= ln(2) / 2.
EXP = tuple(1 / math.factorial(k) for k in range(15))
EXPM1 = EXP[1:]  # (exp(r) - 1) / r


def log(x: Array) -> Array:
    """Give ln x of positive, normal float64 numbers."""
    m = np.array(x, np.float64)
    out, c, e = (np.empty_like(m) for _ in range(3))
    negative_log(m, out, c, e, DOUBLE, scale=-1.0)
    return out


def exp(x: Array) -> Array:
    """Give exp(x) of float64 numbers between -700 and 700."""
    k = np.rint(x * PER_LN2)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    out = np.empty_like(r)
    horner(r, constants(np.float64, EXP), out)
    power: Array = ((k.astype(np.int64) + 1023) << 52).view(np.float64)
    out *= power
    return out


def expm1(x: Array) -> Array:
    """Give exp(x) - 1 of float64 numbers between -700 and 700, right to the last places near zero too."""
    near = np.abs(x) < 0.3
    small = np.where(near, x, 0.0)
    out = np.empty_like(small)
    horner(small, constants(np.float64, EXPM1), out)
    out *= small
    if near.all():
        return out
    return np.where(near, out, exp(np.where(near, 0.0, x)) - 1.0)


def cos_sin(quarters: Array) -> tuple[Array, Array]:
    """Give cosine and sine of ``pi/4 * quarters``, for float64 numbers between -4 and 4."""
    x = quarters * 0.25
    square = x * x
    sine, cosine = np.empty_like(x), np.empty_like(x)
    horner(square, constants(np.float64, DOUBLE.sin), sine)
    horner(square, constants(np.float64, DOUBLE.cos), cosine)
    sine *= x
    for _ in range(2):  # cos 2a = 1 - 2 sin**2 a, sin 2a = 2 sin a cos a
        cosine, sine = 1.0 - 2.0 * sine * sine, 2.0 * sine * cosine
    return cosine, sine


def each(function: Callable[[Array], Array], values: Array) -> Array:
    """Replace the entries of a contiguous array, computed in float64, a chunk at a time."""
    flat = values.reshape(-1)
    for begin in range(0, flat.size, CHUNK):
        part = flat[begin : begin + CHUNK]
        part[...] = function(part.astype(np.float64))
    return values
