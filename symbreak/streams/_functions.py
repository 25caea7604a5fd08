"""Functions of uniforms: logarithms of them, logarithms of those, and polynomials, in one pass over the words.

The operations are those of the transforms, so that the bits are the same on every machine. A smooth function becomes a
polynomial through its values at Chebyshev's points [1]_, which is as good as the best but for a small factor.

.. [1] Trefethen. "Approximation theory and approximation practice". SIAM (2013), chapters 3 and 16.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from ._elementary import cos_sin, log
from ._transforms import SINGLE, Array, Precision, constants, horner, negative_log, scratch, uniform

SMALL = 2.0**-60  # below it a uniform on [0, high] is lifted, so that float32 holds the smallest as a normal number
LIFT = 64
ROWS = 448  # blocks at a time where it takes five arrays: half a piece, for the memory that they are
POINTS = 64  # at which a function is looked at


def between(items: Array, out: Array, p: Precision, low: float, high: float) -> None:
    """Write low + (k + 1/2) (high - low) / 2**bits, k unsigned: a uniform that is finest next to `low`.

    `items` may be overwritten, here and below.
    """
    if p.drop:
        np.right_shift(items, p.unsigned(p.drop), out=items)
    out[...] = items
    out += p.real(0.5)
    out *= p.real((high - low) * 2.0 ** -(p.bits - p.drop))
    if low != 0.0:
        out += p.real(low)


def log_of_uniform(items: Array, out: Array, p: Precision, low: float, high: float) -> None:
    """Write ln x for x uniform on [low, high], 0 <= low < high."""
    shift = LIFT if high < SMALL else 0
    x, e = scratch(out.shape, out.shape, p=p)
    between(items, x, p, low * 2.0**shift, high * 2.0**shift)
    negative_log(x, out, items.view(p.real), e, p, scale=-1.0, shift=shift)


def log_decay(items: Array, out: Array, p: Precision, inner: float, outer: float) -> None:
    """Write ln(-ln(s) / 2) for s uniform on [inner**2, outer**2], 0 <= inner < outer <= 1.

    Near s = 1 the logarithm is had from v = 1 - s, of which s keeps little: ln(1 - v) = v ln(t) / (1 - t) for any t as
    near to 1 - v as rounding leaves it (Kahan). There t stays a rounding or more away from 0 and 1.
    """
    for row in range(0, len(items), ROWS):
        _log_decay(items[row : row + ROWS], out[row : row + ROWS], p, inner, outer)


def _log_decay(items: Array, out: Array, p: Precision, inner: float, outer: float) -> None:
    x, e, decay = scratch(out.shape, out.shape, out.shape, p=p)
    width = (outer - inner) * (outer + inner)
    if outer * outer > 0.5:
        step = 2.0**-24 if p is SINGLE else 2.0**-53
        beyond = (1.0 - outer) * (1.0 + outer)
        between(items, out, p, beyond, beyond + width * (1.0 - 8.0 * step))
        np.subtract(p.real(1.0 - step), out, out=x)
        np.subtract(p.real(1.0), x, out=e)
        out /= e
        negative_log(x, decay, items.view(p.real), e, p, scale=0.5)
        decay *= out
    else:
        between(items, x, p, (inner / outer) ** 2, 1.0)
        negative_log(x, decay, items.view(p.real), e, p, scale=0.5)
        decay -= p.real(log(np.array([outer])).item())
    negative_log(decay, out, items.view(p.real), e, p, scale=-1.0)


def polynomial(items: Array, out: Array, p: Precision, coefficients: Sequence[float]) -> None:
    """Write the polynomial, lowest coefficient first, of a uniform on (-1, 1)."""
    (x,) = scratch(out.shape, p=p)
    uniform(items, x, p, -1.0, 1.0)
    horner(x, constants(p.real, tuple(coefficients)), out)


def fit(function: Callable[[Array], Array], p: Precision) -> tuple[float, ...] | None:
    """Give the coefficients of a polynomial that is `function` on [-1, 1] up to a rounding of its largest value.

    Parameters
    ----------
    function
        Of a float64 array between -1 and 1, with bits that are the same on every machine.
    p
        The precision that it will be computed in.

    Returns
    -------
    tuple of float or None
        Lowest first; None where a polynomial would take more operations than most functions do, or lose digits.
    """
    most, rounding = (16, 2.0**-25) if p is SINGLE else (28, 2.0**-51)
    circle, _ = cos_sin(np.arange(2 * POINTS) * (2.0 / POINTS))  # cos(pi m / 2 POINTS)
    circle = np.concatenate([circle, -circle])
    odd = 2 * np.arange(POINTS) + 1
    values = function(circle[odd])
    series = [
        math.fsum((values * circle[k * odd % (4 * POINTS)]).tolist()) * ((1.0 if k == 0 else 2.0) / POINTS)
        for k in range(POINTS)
    ]
    largest = float(np.abs(values).max())
    sizes = [abs(term) if abs(term) > 2.0**-52 * largest else 0.0 for term in series]  # the others are rounding
    rest = np.cumsum(sizes[::-1])[::-1]  # of the terms from k on
    degree = next((k for k in range(most) if rest[k + 1] <= rounding * largest), None)
    if degree is None:
        return None
    powers = np.polynomial.chebyshev.cheb2poly
    parts = [np.pad(powers([0] * k + [1]), (0, degree - k)) * series[k] for k in range(degree + 1)]
    found = tuple(math.fsum(column) for column in np.array(parts).T.tolist())
    return found if math.fsum(map(abs, found)) <= 4.0 * largest else None
