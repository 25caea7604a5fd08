"""Functions of uniforms against mpmath, word by word, and polynomials against what they stand for."""

import mpmath
import numpy as np
import pytest

import symbreak as sb
from symbreak.streams import Stream
from symbreak.streams import _functions as functions
from symbreak.streams._transforms import DOUBLE, SINGLE, constants, horner

BOTH = pytest.mark.parametrize("p", [SINGLE, DOUBLE], ids=["single", "double"])
ROUNDING = {"32": 2.0**-24, "64": 2.0**-53}


def words(p):
    """Give the first and last words, some at every scale from both ends, and others."""
    generator = np.random.default_rng(0)
    items = generator.integers(0, 2**p.bits, 512, dtype=p.unsigned)
    items[:96] = [int(x) for x in 2 ** generator.uniform(0, p.bits, 96)]
    items[:3] = [0, 1 << p.drop, 2 << p.drop]
    items[100:196] = np.iinfo(p.unsigned).max - items[:96]
    return items


def made(transform, p, *settings):
    out = np.empty((1, 512), p.real)
    transform(words(p).reshape(1, 512), out, p, *settings)
    return out.ravel().tolist()


def shares(p):
    return [(mpmath.mpf(int(item) >> p.drop) + 0.5) / 2 ** (p.bits - p.drop) for item in words(p)]


def assert_near(values, exact, rounding):
    """Within roundings of the value, and where it is below one, of one."""
    for value, want in zip(values, exact, strict=True):
        assert abs(value - want) <= rounding * max(1, abs(want))


@BOTH
@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 2 * np.pi), (1, 16), (0, 1e-37), (1e-40, 1e-37), (0.5, 0.50001), (0, 3e38)]
)
def test_logarithms_of_uniforms_are_those_of_each_word(p, low, high):
    with mpmath.workdps(40):
        a, b = mpmath.mpf(float(low)), mpmath.mpf(float(high))
        exact = [mpmath.log(a + u * (b - a)) for u in shares(p)]
        assert_near(made(functions.log_of_uniform, p, low, high), exact, 4 * ROUNDING[p.name])


@BOTH
@pytest.mark.parametrize(
    ("inner", "outer"), [(0.9, 0.999), (0.4, 0.9), (0.999, 1), (0.999999999, 1), (0, 0.5), (0.2, 0.3), (0, 1e-30)]
)
def test_decays_are_those_of_each_word(p, inner, outer):
    near = outer > 0.5**0.5  # where words count from the outer radius, and stop short of the inner one
    with mpmath.workdps(40):
        a, b = mpmath.mpf(inner) ** 2, mpmath.mpf(outer) ** 2
        stop = 1 - 8 * mpmath.mpf(ROUNDING[p.name])
        squares = [b - u * (b - a) * stop if near else a + u * (b - a) for u in shares(p)]
        exact = [mpmath.log(-mpmath.log(s) / 2) for s in squares]
        assert_near(made(functions.log_decay, p, inner, outer), exact, 8 * ROUNDING[p.name])


@BOTH
@pytest.mark.parametrize(("inner", "outer"), [(0, 1), (1e-9, 1), (0, 0.999999999), (0, 0.71), (1 - 1e-9, 1)])
def test_no_word_leaves_the_disk_however_near_to_its_centre_or_edge(p, inner, outer):
    values = np.array(made(functions.log_decay, p, inner, outer))
    assert np.isfinite(values).all()
    radii = np.exp(-np.exp(values.astype(np.float64)))
    assert radii.min() >= 0
    assert radii.max() <= outer * (1 + 4 * ROUNDING[p.name])


def test_a_narrow_angle_is_as_fine_next_to_zero_as_elsewhere():
    """Of a million float32 angles, the small ones are all different: a uniform on (-1, 1), halved, is too coarse."""
    values = np.sort(sb.LruThetaLog()(1_000_000, rng=0))[:400]
    assert len(np.unique(values)) == 400


@BOTH
def test_a_smooth_function_becomes_a_polynomial(p):
    def function(x):
        return 1 / (3 + x)

    found = functions.fit(function, p)
    x = np.linspace(-1, 1, 999).astype(p.real)
    out = np.empty_like(x)
    horner(x, constants(p.real, found), out)
    assert np.abs(out - function(x.astype(np.float64))).max() < 4 * ROUNDING[p.name]
    assert len(found) <= (13 if p is SINGLE else 25)
    values = Stream(5, dtype=p.real)._draw("uniform", 100, functions.polynomial, found)
    horner(Stream(5, dtype=p.real).uniform(100), constants(p.real, found), out[:100])
    assert (values == out[:100]).all()


@BOTH
@pytest.mark.parametrize(
    "function",
    [np.abs, lambda x: 1 / (1.001 + x), lambda x: np.polynomial.chebyshev.chebval(x, [0] * 12 + [1])],
    ids=["corner", "pole", "waves"],
)
def test_what_a_polynomial_gives_badly_becomes_none(p, function):
    assert functions.fit(function, p) is None
