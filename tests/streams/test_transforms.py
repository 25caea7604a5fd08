"""The transforms against slow arithmetic: a Python PCG64DXSM, math.log and math.sin, mpmath and exact fractions."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import symbreak as sb
from symbreak.streams import Stream
from symbreak.streams import _transforms as transforms
from symbreak.streams._transforms import DOUBLE, SINGLE

MULTIPLIER = 0xDA942042E4DD58B5
MASK64, MASK128 = 2**64 - 1, 2**128 - 1


def slow_words(key, lane, count):
    """PCG64DXSM from its definition (O'Neill 2014; the DXSM output of PCG's repository), in Python integers."""
    start = key.bit_generator(lane).state["state"]
    state, increment, words = start["state"], start["inc"], []
    for _ in range(count):
        high, low = state >> 64, (state & MASK64) | 1
        high ^= high >> 32
        high = high * MULTIPLIER & MASK64
        high ^= high >> 48
        words.append(high * low & MASK64)
        state = (state * MULTIPLIER + increment) & MASK128
    return words


def slow_halves(key, lane, count):
    words = slow_words(key, lane, (count + 1) // 2)
    return [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)][:count]


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


KEY = sb.Key(3)["w"]


def test_single_uniforms_are_each_half_plus_one_half_rounded_to_float32():
    values = Stream(KEY).uniform(700, -1.0, 1.0)
    for value, half in zip(values.tolist(), slow_halves(KEY, "uniform32", 700), strict=True):
        k = signed(half, 32)
        assert abs(Fraction(value) - Fraction(2 * k + 1, 2**32)) <= Fraction(abs(k), 2**53) + Fraction(1, 2**32)
        assert value == np.float32(np.float32(k) + np.float32(0.5)) * np.float32((1 - 2**-24) / 2**31)


def test_double_uniforms_are_the_top_53_bits_of_each_word_plus_one_half():
    values = Stream(KEY, dtype="float64").uniform(700, -1.0, 1.0)
    exact = [Fraction(2 * (signed(word, 64) >> 11) + 1, 2**53) for word in slow_words(KEY, "uniform64", 700)]
    assert [Fraction(float(value)) for value in values] == exact


def test_signs_are_the_top_bits():
    halves = slow_halves(KEY, "sign32", 600)
    assert Stream(KEY).sign(600).tolist() == [-1.0 if half >> 31 else 1.0 for half in halves]
    words = slow_words(KEY, "sign64", 600)
    assert Stream(KEY, dtype="float64").sign(600).tolist() == [-1.0 if word >> 63 else 1.0 for word in words]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 6e-7), ("float64", 2e-15)])
def test_normals_are_the_polar_coordinates_of_two_items_of_a_block(dtype, tolerance):
    single = dtype == "float32"
    bits = 32 if single else 64
    items = (slow_halves if single else slow_words)(KEY, f"normal{bits}", 1024)
    expected = np.empty(1024)
    for block in (0, 512):
        for j in range(256):
            radius, angle = items[block + j], items[block + 256 + j]
            u = (radius + 0.5) / 2**32 if single else ((radius >> 11) + 0.5) / 2**53
            phi = (signed(angle, 32) / 2**31 if single else (signed(angle, 64) >> 11) / 2**52) * math.pi / 4
            r = math.sqrt(-2 * math.log(u)) * (-1 if radius & 1 else 1)
            expected[block + j] = r * math.cos(2 * phi)
            expected[block + 256 + j] = r * math.sin(2 * phi)
    values = Stream(KEY, dtype=dtype).normal(1024)
    assert np.abs(values - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize(("dtype", "p", "reach"), [("float32", SINGLE, 6.7), ("float64", DOUBLE, 8.6)])
def test_the_smallest_radius_item_reaches_the_stated_sigma(dtype, p, reach):
    items = np.zeros((1, 512), p.unsigned)
    out = np.empty((1, 512), p.real)
    transforms.normal(items, out, p, 0.0, 1.0)
    assert out[0, 0] == pytest.approx(math.sqrt(2 * math.log(2) * (33 if p is SINGLE else 54)), rel=1e-6)
    assert out[0, 0] > reach


@pytest.mark.parametrize("p", [SINGLE, DOUBLE], ids=["single", "double"])
def test_extreme_items_stay_finite_and_uniforms_inside(p):
    low, high = np.iinfo(p.unsigned).min, np.iinfo(p.unsigned).max
    items = np.array([[low, high, 1, high - 1] * 128], p.unsigned)
    out = np.empty((1, 512), p.real)
    transforms.normal(items, out, p, 0.0, 1.0)
    assert np.isfinite(out).all()
    transforms.uniform(items, out, p, -1.0, 1.0)
    assert np.abs(out).max() < 1
    transforms.uniform(items, out, p, 0.1, 0.3)
    assert out.min() >= p.real(0.1)
    assert out.max() <= p.real(0.3)


@pytest.mark.parametrize(("p", "tolerance"), [(SINGLE, 3.6e-7), (DOUBLE, 6.7e-16)], ids=["single", "double"])
def test_the_logarithm_agrees_with_mpmath_over_the_whole_range(p, tolerance):
    """Within the error of the fit and four roundings: six times 2**-24, or 2**-53."""
    generator = np.random.default_rng(0)
    tiny = -120 if p is SINGLE else -1000
    x = np.ldexp(generator.uniform(1, 2, 400), generator.integers(tiny, 1, 400)).astype(p.real)
    x = np.concatenate([x, 1 - np.geomspace(1e-6, 0.4, 100).astype(p.real)]).astype(p.real)
    out, c, e = np.empty((3, x.size), p.real)
    transforms.negative_log(x.copy(), out, c, e, p)
    with mpmath.workdps(30):
        for value, got in zip(x.tolist(), out.tolist(), strict=True):
            expected = -mpmath.log(mpmath.mpf(value))
            assert abs(got - expected) <= tolerance * abs(expected)


@pytest.mark.parametrize(("p", "tolerance"), [(SINGLE, 1e-7), (DOUBLE, 1e-17)], ids=["single", "double"])
def test_the_polynomials_are_as_exact_as_they_say(p, tolerance):
    with mpmath.workdps(40):
        for k in range(1, 200):
            x = mpmath.mpf(k) / 199
            y = x * x
            sine = x * sum(mpmath.mpf(c) * y**power for power, c in enumerate(p.sin))
            cosine = sum(mpmath.mpf(c) * y**power for power, c in enumerate(p.cos))
            assert abs(sine - mpmath.sin(mpmath.pi / 4 * x)) < tolerance * 10
            assert abs(cosine - mpmath.cos(mpmath.pi / 4 * x)) < tolerance * 10


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (0.0, 2.0), (1.0, 2.0), (-1.0, 0.5)])
def test_normals_are_scaled_and_then_moved(mean, std, dtype):
    stream = Stream(3, dtype=dtype)
    for draw in (stream.normal, stream.truncated_normal):
        plain = draw(1000)
        assert np.array_equal(draw(1000, mean, std), plain * plain.dtype.type(std) + plain.dtype.type(mean))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniforms_between_close_bounds_stay_between_them(dtype):
    """Between bounds a few roundings apart the sum would round beyond one of them."""
    real, rng = np.dtype(dtype).type, np.random.default_rng(0)
    for low in rng.uniform(0.5, 4.0, 300):
        high = low + float(rng.uniform(0.2, 4.0)) * float(np.spacing(real(low)))
        values = Stream(0, dtype=dtype).uniform(600, low, high)
        assert real(low) <= values.min() <= values.max() <= real(high)


def test_the_memory_of_a_stream_is_shown_until_it_is_used():
    memory = np.empty(6, np.float32)
    stream = Stream(0, out=memory)
    assert stream.out is memory
    assert stream.uniform(6).base is memory
    assert stream.out is None


def test_a_permutation_is_the_order_of_its_words():
    words = slow_words(KEY, "permutation", 12)
    assert Stream(KEY).permutation(12).tolist() == sorted(range(12), key=words.__getitem__)
    rows = Stream(KEY).permutation(6, size=2)
    assert [sorted(row) for row in rows.tolist()] == [list(range(6))] * 2
    assert rows[0].tolist() == sorted(range(6), key=words[:6].__getitem__)
    assert rows[1].tolist() == sorted(range(6), key=words[6:].__getitem__)


def test_a_stream_computes_in_float32_or_float64_only():
    with pytest.raises(TypeError, match="computes in float32 or float64, not float16; round its values once"):
        Stream(0, dtype="float16")


@pytest.mark.parametrize("first", [0.0, -0.0])
def test_a_bound_of_zero_keeps_its_sign_whichever_came_first(first):
    for low in (first, -first, first):
        out = np.array([-1.0, 0.5, 2.0], np.float32)
        transforms.clip(out, SINGLE, low, 1.0)
        assert out.tolist() == [0.0, 0.5, 1.0]
        assert np.signbit(out[0]) == np.signbit(low)


@pytest.mark.parametrize("number", [float, int, np.float32, np.float64, np.array])
def test_a_draw_takes_numbers_of_any_kind(number):
    two = number(2)
    assert (Stream(0).normal(100, two, two) == Stream(0).normal(100) * np.float32(2) + np.float32(2)).all()
    assert (Stream(0).uniform(100, -two, two) == Stream(0).uniform(100) * np.float32(2)).all()
