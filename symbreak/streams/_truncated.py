"""The normal distribution cut to an interval: moments, and its quantile function with bits the same everywhere.

Two ways to the quantile, chosen by dtype and bounds alone. Within two standard deviations, in float32, a sum of four
partial fractions (all terms positive, so that nothing cancels). Elsewhere, in float64, the probability of the nearer
tail goes through Wichura's rational functions [1]_; beyond 36 standard deviations, where that probability leaves the
range of float64, through Newton's method on the logarithm of the tail [2]_.

.. [1] Wichura. "Algorithm AS 241: the percentage points of the normal distribution". Appl. Statist. 37 (1988).
.. [2] Abramowitz, Stegun. "Handbook of mathematical functions", 26.2.12 (asymptotic expansion of the tail).
"""

import decimal
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np

from ._transforms import (
    DOUBLE,
    SINGLE,
    Array,
    Precision,
    centred,
    clip,
    constant,
    constants,
    horner,
    negative_log,
    scratch,
    setting,
)

NEAR_ROWS, FAR_ROWS = 180, 112  # blocks at a time in float64, whose arrays take 4 MB a thread
CENTRE = 2.0  # sigma. Part of the stream's format: where the partial fractions end.
FAR = 36.0  # sigma: tail(37.5) is the last one that float64 holds

# z / q in y = q**2, where q = Phi(z) - 1/2 and |z| <= 2: constant + sum residue / (pole - y). Relative error 6.9e-8.
CONSTANT = 0.8581130993596612
POLES = (0.25517074047607186, 0.28507984975046385, 0.40249640249840074, 1.1438511110222578)
RESIDUES = (0.00892780004229944, 0.04081808528908646, 0.1749935848000508, 1.1845447566669716)

# Wichura's PPND16: numerator and denominator, lowest coefficient first.
MIDDLE = (
    (3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
     45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
    (1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
     21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610),
)  # fmt: skip
TAIL = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
     1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
     0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
EXTREME = (
    (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
     0.0265321895265761230930, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798")
SERIES = (1.0, -1.0, 3.0, -15.0, 105.0, -945.0, 10395.0, -135135.0)  # of the tail, in 1 / z**2
DIGITS = 90  # of the decimal arithmetic: the variance of a far, narrow tail loses two digits for each of its bound


@dataclass(frozen=True)
class TruncatedMoments:
    """Mean and standard deviation of the standard normal cut to an interval.

    Attributes
    ----------
    mean, std
        In standard deviations of the normal before it is cut.
    """

    mean: float
    std: float


@lru_cache(maxsize=256)
def truncated_moments(low: float, high: float) -> TruncatedMoments:
    """Give mean and standard deviation of the standard normal cut to [low, high].

    Computed in decimal arithmetic, which is the same on every machine, because scales follow from it.

    Parameters
    ----------
    low, high
        Bounds in standard deviations, ``low < high``; infinities are allowed.

    Returns
    -------
    TruncatedMoments

    References
    ----------
    Johnson, Kotz, Balakrishnan. "Continuous univariate distributions", volume 1, 13.10.1.

    Examples
    --------
    >>> from symbreak.streams import truncated_moments
    >>> round(truncated_moments(-2, 2).std, 6)
    0.879626
    """
    with _decimal(DIGITS):
        if low + high < 0:  # reflect, so that the nearer tail is the upper one
            mirrored = truncated_moments(-high, -low)
            return TruncatedMoments(-mirrored.mean, mirrored.std)
        a, b = Decimal(low), Decimal(high)
        mass = _tail(a) - _tail(b)
        density_a, density_b = _density(a), _density(b)
        first = (density_a - density_b) / mass
        edge_a = a * density_a if a.is_finite() else Decimal(0)
        edge_b = b * density_b if b.is_finite() else Decimal(0)
        variance = 1 + (edge_a - edge_b) / mass - first * first
        return TruncatedMoments(float(first), float(variance.sqrt()))


def _decimal(digits: int) -> AbstractContextManager[decimal.Context]:
    context = decimal.Context(
        prec=digits, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX, rounding=decimal.ROUND_HALF_EVEN
    )
    context.traps[decimal.Underflow] = False
    return decimal.localcontext(context)


def _density(x: Decimal) -> Decimal:
    if x.is_infinite():
        return Decimal(0)
    return (-x * x / 2).exp() / (2 * PI).sqrt()


def _tail(x: Decimal) -> Decimal:
    """P(Z > x): the series in odd powers near zero, the continued fraction of Laplace further out."""
    if x < 0:
        return 1 - _tail(-x)
    if x.is_infinite():
        return Decimal(0)
    if x < 5:
        term, total, n = x, x, 1
        while abs(term) > abs(total) * Decimal(10) ** -(decimal.getcontext().prec + 3) and term != 0:
            n += 2
            term = term * x * x / n
            total += term
        return Decimal("0.5") - _density(x) * total
    fraction = x
    for k in range(1500, 0, -1):
        fraction = x + k / fraction
    return _density(x) / fraction


@dataclass(frozen=True, eq=False, repr=False)
class Cut:
    """An interval of the standard normal and the constants that its quantile function needs."""

    low: float
    high: float
    below: float  # P(Z < low)
    above: float  # P(Z > high)
    mass: float  # P(low < Z < high)
    start: float  # P(Z < low) - 1/2, without cancellation near zero

    @staticmethod
    @lru_cache(maxsize=256)
    def of(low: float, high: float) -> "Cut":
        """Compute the constants of [low, high], once an interval."""
        with _decimal(60):
            a, b = Decimal(low), Decimal(high)
            above_a, above_b = _tail(a), _tail(b)
            below_a, below_b = _tail(-a), _tail(-b)
            mass = above_a - above_b if a > 0 else below_b - below_a
            return Cut(low, high, float(below_a), float(above_b), float(mass), float(below_a - Decimal("0.5")))


def truncated_normal(items: Array, out: Array, p: Precision, mean: float, std: float, low: float, high: float) -> None:
    """Write normals cut to [low, high] (in standard deviations), scaled by `std` and moved by `mean`.

    `items` are overwritten.
    """
    if p is SINGLE and max(abs(low), abs(high)) <= CENTRE:
        _centre(items, out, p, Cut.of(low, high))
    else:
        mirrored = low + high < 0  # the quantile is odd: the nearer tail becomes the upper one
        a, b = (-high, -low) if mirrored else (low, high)
        step = FAR_ROWS if a > FAR else NEAR_ROWS
        if mirrored:
            np.invert(items, items)
        for row in range(0, len(items), step):
            some, place = (each[row : row + step].reshape(-1) for each in (items, out))
            _general(some, place, p, a, b)
        if mirrored:
            np.negative(out, out)
    clip(out, p, low, high)
    if std != 1.0:
        out *= setting(p.real, std)
    if mean != 0.0:
        out += setting(p.real, mean)


def _centre(items: Array, out: Array, p: Precision, cut: Cut) -> None:
    centred(items, out, p)
    out *= setting(p.real, cut.mass * 2.0 ** -(p.bits - p.drop))
    middle = setting(p.real, cut.start + cut.mass / 2)
    if middle != 0:
        out += middle
    total, term = scratch(out.shape, out.shape, p=p)
    y = np.multiply(out, out, out=items.view(p.real))
    fractions = zip(constants(p.real, RESIDUES), constants(p.real, POLES), strict=True)
    residue, pole = next(fractions)
    np.subtract(pole, y, total)
    np.divide(residue, total, total)
    total += constant(p.real, CONSTANT)
    for residue, pole in fractions:
        np.subtract(pole, y, term)
        np.divide(residue, term, term)
        total += term
    out *= total


def _general(items: Array, out: Array, p: Precision, low: float, high: float) -> None:
    """Write quantiles of an interval whose upper tail is the nearer one, from 32 or 53 bits a position.

    In float64, and in arrays of one axis, here and below.
    """
    u, x, *rest = scratch(*[items.shape] * (9 if low > FAR else 5), p=DOUBLE)
    centred(items, u, p)
    u *= constant(np.float64, 2.0 ** (p.drop - p.bits))  # on (-1/2, 1/2)
    if low > FAR:
        np.subtract(0.5, u, x)
        z = _far(x, low, high, [u, *rest])
    else:
        z = _near(u, Cut.of(low, high), [x, *rest])
    out[...] = z


def _near(u: Array, cut: Cut, memory: list[Array]) -> Array:
    """Give the quantiles of an interval that begins within 36 sigma; `u` and the arrays of `memory` are overwritten."""
    upper, q, tail, spare = memory
    np.multiply(u, cut.mass, q)
    q += cut.start + cut.mass / 2
    np.subtract(0.5, u, upper)
    upper *= cut.mass
    upper += cut.above
    lower = u
    lower += 0.5
    lower *= cut.mass
    lower += cut.below
    np.minimum(upper, lower, out=tail)
    tails = np.flatnonzero(tail < 0.075)
    lower -= upper
    np.copysign(tail, lower, tail)  # as z will be
    if len(tails) == len(u):
        return _from_tail(tail, [lower, upper, spare])
    square, z = lower, upper
    np.multiply(q, q, square)
    np.subtract(0.180625, square, square)
    _rational(square, MIDDLE, z, spare)
    z *= q
    if len(tails):
        square, spare, q = (each[: len(tails)] for each in (square, spare, q))
        np.take(tail, tails, out=square, mode="clip")
        z[tails] = _from_tail(square, [tail[: len(tails)], spare, q])
    return z


def _rational(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]], out: Array, spare: Array) -> None:
    """Write the quotient of two polynomials in `x`."""
    horner(x, constants(np.float64, coefficients[0]), out)
    horner(x, constants(np.float64, coefficients[1]), spare)
    out /= spare


def _from_tail(probability: Array, memory: list[Array]) -> Array:
    """Give z >= 0 with P(Z > z) = probability, and -z where that is negative; all arrays are overwritten."""
    below = probability < 0
    np.abs(probability, probability)
    r, z, spare = memory
    negative_log(probability, r, spare, z, DOUBLE)
    np.sqrt(r, r)
    x = np.minimum(r, 5.0, out=probability)
    x -= 1.6
    _rational(x, TAIL, z, spare)
    far = np.flatnonzero(r > 5.0)
    if len(far):
        x, out, spare = (each[: len(far)] for each in (x, r, spare))
        np.take(r, far, out=x, mode="clip")
        x -= 5.0
        _rational(x, EXTREME, out, spare)
        z[far] = out
    np.subtract(0.5, below, r)
    return np.copysign(z, r, z)


def _far(u: Array, low: float, high: float, memory: list[Array]) -> Array:
    """Solve P(Z > z) = P(Z > low) v by Newton's method, where v runs from P(Z > high) / P(Z > low) to 1.

    With L(z) = -ln P(Z > z) and the expansion P(Z > z) = phi(z) / z S(z), L(z) - L(low) = (z - low)(z + low) / 2 +
    ln(z / low) - ln(S(z) / S(low)), and L'(z) = z / S(z). The step is written in d = z - low, which does not cancel.
    `u` and the arrays of `memory` are overwritten.
    """
    target, d, z, value, series, log, c, e = memory
    ratio = _far_ratio(low, high)
    u *= 1.0 - ratio
    u += ratio
    negative_log(u, target, c, e, DOUBLE)  # L(z) - L(low)
    np.multiply(target, 2.0, d)
    d += low * low
    np.sqrt(d, d)
    d += low
    np.divide(2.0, d, d)
    d *= target
    nearest = np.empty(1)
    _series(np.array([low]), nearest, np.empty(1))
    for _ in range(4):  # the error falls from 1/low**2 of d to rounding in three
        np.add(d, low, z)
        np.add(z, low, value)
        value *= d
        value *= 0.5
        np.divide(z, low, u)
        negative_log(u, log, c, e, DOUBLE)
        value -= log
        _series(z, series, u)
        np.divide(series, nearest, u)
        negative_log(u, log, c, e, DOUBLE)
        value += log
        value -= target
        value *= series
        value /= z
        d -= value
    d += low
    return d


def _far_ratio(low: float, high: float) -> float:
    """P(Z > high) / P(Z > low), where both may lie below the range of float64."""
    if math.isinf(high):
        return 0.0
    with _decimal(50):
        return float(_tail(Decimal(high)) / _tail(Decimal(low)))


def _series(z: Array, out: Array, spare: Array) -> None:
    """Write S(z) = 1 - 1/z**2 + 3/z**4 - 15/z**6 + ...: eight terms leave 1e-19 at z = 36."""
    np.multiply(z, z, spare)
    np.divide(1.0, spare, spare)
    horner(spare, constants(np.float64, SERIES), out)
