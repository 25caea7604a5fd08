"""The truncated normal against SciPy and mpmath: quantiles, moments, far tails, bounds."""

import math
from decimal import Decimal

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from symbreak.streams import Stream, truncated_moments
from symbreak.streams._transforms import DOUBLE, SINGLE
from symbreak.streams._truncated import _decimal, _tail, truncated_normal

INF = math.inf
INTERVALS = [
    (-2, 2), (-1, 2), (0, 1.5), (-0.5, 0.5), (-3, 3), (-INF, INF), (0, INF), (-INF, -1), (1.9, 2.1), (0.5, 0.5001),
    (8, 2000), (-2000, -8), (-40, -30), (35.9, 37), (36.5, 36.6), (50, INF), (-INF, -50), (1e5, INF), (-1e-3, 9),
]  # fmt: skip


def items_at(u, p):
    """Give the items whose position in (0, 1) is nearest to `u`."""
    bits = p.bits
    k = np.floor((np.asarray(u) - 0.5) * 2.0**bits).astype(np.float64)
    k = np.clip(k, -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) * (1 - 2.0**-52))
    return k.astype(p.signed).view(p.unsigned)


def quantile(u, low, high):
    """The quantile function with mpmath, by bisection on the tail's logarithm."""
    with mpmath.workdps(60):
        a, b = mpmath.mpf(low), mpmath.mpf(high)
        if a + b < 0 or (a == -mpmath.inf and b <= 0):
            return -quantile(1 - u, -high, -low)
        tail = lambda z: mpmath.erfc(z / mpmath.sqrt(2)) / 2  # noqa: E731
        u = mpmath.mpf(u)
        target = tail(a) * (1 - u) + (tail(b) if b < mpmath.inf else 0) * u
        lo = a if a > -mpmath.inf else mpmath.mpf(-40)
        hi = b if b < mpmath.inf else max(lo, 0) + 40
        for _ in range(180):
            middle = (lo + hi) / 2
            lo, hi = (middle, hi) if tail(middle) > target else (lo, middle)
        return float((lo + hi) / 2)


@pytest.mark.parametrize(("low", "high"), INTERVALS)
@pytest.mark.parametrize(("p", "tolerance"), [(SINGLE, 1e-6), (DOUBLE, 4e-15)], ids=["single", "double"])
def test_quantiles_agree_with_mpmath(low, high, p, tolerance):
    grid = np.array([2e-9, 1e-6, 1e-3, 0.02, 0.1, 0.3, 0.4999, 0.5, 0.7, 0.93, 0.99, 0.99999, 1 - 1e-7])
    items = np.zeros((1, 512), p.unsigned)
    items[0, : len(grid)] = items_at(grid, p)
    out = np.empty((1, 512), p.real)
    with np.errstate(all="ignore"):
        truncated_normal(items.copy(), out, p, 0.0, 1.0, low, high)
    kept = p.bits - p.drop
    k = items[0, : len(grid)].view(p.signed).astype(object) >> (p.bits - kept)
    for position, got in zip(k, out[0].tolist(), strict=False):
        with mpmath.workdps(60):
            expected = quantile(mpmath.mpf(2 * int(position) + 1) / 2 ** (kept + 1) + mpmath.mpf(1) / 2, low, high)
        assert got == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize(("low", "high"), INTERVALS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_stay_within_the_bounds_and_follow_the_distribution(low, high, dtype):
    values = Stream(1, dtype=dtype).truncated_normal(20_000, low=low, high=high)
    assert np.isfinite(values).all()
    assert values.min() >= np.dtype(dtype).type(low)
    assert values.max() <= np.dtype(dtype).type(high)
    moments = truncated_moments(low, high)
    if max(abs(low), abs(high)) >= 1e5 and dtype == "float32":
        return  # float32 has 7 digits: the width of the tail, 1e-5 at 1e5, is below its spacing
    assert abs(float(values.mean(dtype=np.float64)) - moments.mean) < 6 * moments.std / 20_000**0.5
    assert float(values.std(dtype=np.float64)) == pytest.approx(moments.std, rel=0.04)


@pytest.mark.exhaustive
@given(
    low=st.floats(-37, 37),
    width=st.floats(1e-6, 50),
)
def test_moments_agree_with_a_quadrature(low, width):
    high = low + width
    with mpmath.workdps(40):
        points = [mpmath.mpf(low) + (mpmath.mpf(high) - mpmath.mpf(low)) * k / 16 for k in range(17)]
        peak = min(max(mpmath.mpf(low), 0), mpmath.mpf(high))
        points = sorted(
            {
                *points,
                *(min(mpmath.mpf(high), max(mpmath.mpf(low), peak + d / (1 + abs(peak)))) for d in range(-30, 31, 3)),
            }
        )
        density = lambda x: mpmath.exp((peak**2 - x * x) / 2)  # noqa: E731
        mass = mpmath.quad(density, points)
        mean = mpmath.quad(lambda x: (x - peak) * density(x), points) / mass + peak
        variance = mpmath.quad(lambda x: (x - mean) ** 2 * density(x), points) / mass
        moments = truncated_moments(low, high)
        assert moments.mean == pytest.approx(float(mean), rel=1e-12, abs=1e-12)
        assert moments.std == pytest.approx(float(mpmath.sqrt(variance)), rel=1e-9)


def test_moments_agree_with_scipy_where_scipy_is_exact():
    for low, high in ((-2, 2), (-1, 3), (0, 1), (-3, 0.5)):
        moments, oracle = truncated_moments(low, high), stats.truncnorm(low, high)
        assert moments.mean == pytest.approx(oracle.mean(), abs=1e-14)
        assert moments.std == pytest.approx(oracle.std(), rel=1e-13)


def test_the_far_moments_follow_the_asymptotic_series():
    """Above a the tail is nearly exponential: mean a + 1/a - 2/a**3, standard deviation 1/a - 3/a**3."""
    moments = truncated_moments(1e4, INF)
    assert moments.mean - 1e4 == pytest.approx(1e-4 - 2e-12, rel=1e-7)
    assert moments.std == pytest.approx(1e-4 - 3e-12, rel=1e-12)


@pytest.mark.parametrize("x", [-40, -8.3, -1, 0, 1e-9, 0.3, 2, 4.99, 5, 5.01, 12, 37])
def test_the_tail_agrees_with_scipy(x):
    with _decimal(50):
        assert float(_tail(Decimal(x))) == pytest.approx(float(special.ndtr(-x)), rel=2e-14)


def test_mirrored_intervals_have_mirrored_moments():
    assert truncated_moments(-40, -30).mean == -truncated_moments(30, 40).mean
    assert truncated_moments(-40, -30).std == truncated_moments(30, 40).std


def test_large_fills_take_the_same_way_as_small_ones():
    whole = Stream(2).truncated_normal(100_000, low=-3, high=3)
    assert (whole[:1000] == Stream(2).truncated_normal(1000, low=-3, high=3)).all()
