"""Constructors: what they refuse, and what they say."""

import math
import pickle

import numpy as np
import pytest
from scipy import stats

import symbreak as sb

INF, NAN = math.inf, math.nan

REFUSED = [
    (lambda: sb.Constant(NAN), "Constant: value is a finite number within float32; got nan"),
    (lambda: sb.Constant("x"), "Constant: value is a finite number within float32; got 'x'"),
    (lambda: sb.Constant(True), "Constant: value is a finite number"),
    (lambda: sb.Constant(10**400), "Constant: value is a finite number within float32"),
    (lambda: sb.Constant(np.float16("inf")), "Constant: value is a finite number within float32; got np.float16.inf"),
    (
        lambda: sb.Constant([[1.0], [2.0, 3.0]]),
        "Constant: value is .*, or an array of them; got \\[\\[1.0\\], \\[2.0, 3.0",
    ),
    (lambda: sb.Constant(["a"]), "Constant: value is .*, or an array of them; got \\['a'\\]"),
    (lambda: sb.Constant([True]), "Constant: value is .*, or an array of them; got \\[True\\]"),
    (
        lambda: sb.Constant([1, NAN, INF]),
        r"Constant: values are finite within float32; got .*nan.* at index \(1,\) and 1",
    ),
    (
        lambda: sb.Rademacher(0),
        r"Rademacher: std is 0, which makes every weight equal; for that use `Constant\(0.0\)`$",
    ),
    (lambda: sb.Rademacher(-1), "Rademacher: std is positive; got -1.0"),
    (lambda: sb.TruncatedNormal(corrected=1), "TruncatedNormal: corrected is True or False; got 1"),
    (
        lambda: sb.TruncatedNormal(0.6, low=-1, high=1, bounds="absolute", corrected=True),
        "a std of 0.6 after the cut is more than bounds 2.0 apart leave room for: less than 0.577.*that of a uniform",
    ),
    (lambda: sb.VarianceScaling(10**400), "VarianceScaling: scale is a positive number; got 1000"),
    (lambda: sb.Constant(1e39), "within float32; got 1e\\+39"),
    (
        lambda: sb.Normal(0),
        r"Normal: std is 0, which makes every weight equal; for that use `Constant\(0.0\)`.*torch's",
    ),
    (lambda: sb.Normal(0, mean=0.5), r"use `Constant\(0.5\)`"),
    (lambda: sb.Normal(-1), "Normal: std is positive; got -1.0"),
    (lambda: sb.Normal(INF), "Normal: std is a finite number"),
    (lambda: sb.Normal(NAN), "Normal: std is a finite number within float32; got nan"),
    (lambda: sb.Normal(mean=INF), "Normal: mean is a finite number"),
    (lambda: sb.Uniform(1, 1), "Uniform: low is below high; got low=1.0, high=1.0"),
    (lambda: sb.Uniform(2, 1), "Uniform: low is below high"),
    (lambda: sb.Uniform(-INF, 1), "Uniform: low is a finite number"),
    (lambda: sb.Uniform(-3e38, 3e38), "Uniform: high - low is within float32"),
    (lambda: sb.TruncatedNormal(0), "TruncatedNormal: std is 0"),
    (lambda: sb.TruncatedNormal(low=2, high=-2), "TruncatedNormal: low is below high; got low=2.0, high=-2.0"),
    (lambda: sb.TruncatedNormal(low=NAN), "TruncatedNormal: low is a number or an infinity; got nan"),
    (lambda: sb.TruncatedNormal(low="a"), "TruncatedNormal: low is a number or an infinity; got 'a'"),
    (lambda: sb.TruncatedNormal(bounds="units"), "TruncatedNormal: bounds is 'sigma' or 'absolute'; got 'units'"),
    (lambda: sb.TruncatedNormal(low=1e9, high=INF), "lies more than 1e8 sigma from the mean; give bounds nearer"),
    (lambda: sb.TruncatedNormal(1e-9, low=1, high=2, bounds="absolute"), "more than 1e8 sigma"),
    (lambda: sb.TruncatedNormal(low=0, high=1e-300), "from 0.0 to 1e-300 sigma is narrower than 1e-20 sigma; give"),
    (lambda: sb.TruncatedNormal(1e30, low=0, high=1e-5, bounds="absolute"), "narrower than 1e-20 sigma"),
    (lambda: sb.VarianceScaling(0), "VarianceScaling: scale is a positive number; got 0"),
    (lambda: sb.VarianceScaling(-1), "VarianceScaling: scale is a positive number; got -1"),
    (lambda: sb.VarianceScaling(NAN), "VarianceScaling: scale is a positive number; got nan"),
    (lambda: sb.VarianceScaling(1, "avg"), "fan is one of 'in', 'out', 'average', 'geometric'; got 'avg'"),
    (lambda: sb.VarianceScaling(1, "in", "cauchy"), "distribution is one of 'normal', 'uniform', 'truncated_normal'"),
    (lambda: sb.Orthogonal(gain=0), r"Orthogonal: gain is 0, which makes every weight zero; for that use `Zeros\(\)`"),
    (lambda: sb.Orthogonal(gain=INF), "Orthogonal: gain is a finite number"),
    (
        lambda: sb.Normal(1e38),
        r"Normal: values up to 14 sigma from the mean are within float32; got std=1e\+38, mean=0",
    ),
    (lambda: sb.TruncatedNormal(1e37, low=30, high=INF), "TruncatedNormal: values up to 44 sigma from the mean"),
    (lambda: sb.Normal(1e-46), "Normal: std is at least 1.2e-38, where float32 begins to lose it; got 1e-46"),
    (lambda: sb.TruncatedNormal(1e-45), "TruncatedNormal: std is at least 1.2e-38"),
    (lambda: sb.Uniform(-1e-38, 1e-38), "Uniform: high - low is at least 5e-29, where float32 .*; got 2e-38"),
    (lambda: sb.Orthogonal(gain=-1e-46), "Orthogonal: gain is at least 1.2e-38, where float32 .*; got -1e-46"),
    (lambda: sb.VarianceScaling(1e-300), "VarianceScaling: scale is at least 1e-30, where float32 .*; got 1e-300"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[row[1][:40] for row in REFUSED])
def test_a_parameter_that_makes_no_sense_is_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_torch_order_of_mean_and_std_is_no_silent_constant():
    with pytest.raises(TypeError):
        sb.Normal(0, 0.02)


@pytest.mark.parametrize("init", [sb.HeNormal(), sb.GlorotUniform(), sb.Orthogonal()])
def test_a_bias_has_no_fans(init):
    with pytest.raises(
        ValueError, match=r"needs an output and an input axis, but `shape` is \(5,\); for a bias use `Zeros"
    ):
        init((5,), rng=0)


def test_numpy_numbers_are_taken_and_made_plain():
    init = sb.Normal(np.float32(0.5))
    assert init == sb.Normal(0.5)
    assert type(init.std) is float


def test_infinite_and_absolute_bounds():
    init = sb.TruncatedNormal(0.5, mean=1.0, low=1.0, high=INF, bounds="absolute")
    assert init((1000,), rng=0).min() >= 1.0
    half = init.expected((1000,))
    assert half.mean == pytest.approx(1 + 0.5 * math.sqrt(2 / math.pi), rel=1e-12)
    assert half.std == pytest.approx(0.5 * math.sqrt(1 - 2 / math.pi), rel=1e-12)
    assert (half.low, half.high) == (1.0, INF)


@pytest.mark.parametrize(
    ("std", "low", "high"), [(0.02, -0.03, 0.05), (0.5, -1, 1), (0.57, -1, 1), (1.0, 0, INF), (0.1, 1, 5)]
)
def test_a_corrected_std_is_what_is_left_between_absolute_bounds(std, low, high):
    init = sb.TruncatedNormal(std, low=low, high=high, bounds="absolute", corrected=True)
    stated = init.expected((3, 4))
    parent = init._parent()
    oracle = stats.truncnorm(low / parent, high / parent, scale=parent)
    assert (stated.std, stated.low, stated.high) == (std, low, high)
    assert oracle.std() == pytest.approx(std, rel=1e-9)
    assert stated.mean == pytest.approx(oracle.mean(), rel=1e-9, abs=1e-15)
    assert init((200, 200), rng=0).std() == pytest.approx(std, rel=0.02)


def test_a_correction_by_sigma_is_that_of_jax():
    """variance_scaling of JAX: a normal cut at two sigma, widened by 1 / 0.87962566103423978."""
    init = sb.TruncatedNormal(0.02, corrected=True)
    assert init.expected((3, 4)).high == pytest.approx(2 * 0.02 / 0.87962566103423978, rel=1e-15)
    plain = sb.TruncatedNormal(0.02 / 0.87962566103423978)
    assert init((30, 40), rng=0).tobytes() == plain((30, 40), rng=0).tobytes()


def test_an_array_is_copied_and_kept_from_change():
    given = np.arange(6.0).reshape(2, 3)
    init = sb.Constant(given)
    given[:] = 9
    assert init((2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    for each in (init, pickle.loads(pickle.dumps(init))):
        with pytest.raises(ValueError, match="read-only"):
            each.value[0, 0] = 7
    assert init != sb.Constant([[0, 1, 2], [3, 4, 6]]) != sb.Constant(0.0) != init
    assert sb.Constant(np.float32([[0, 1, 2], [3, 4, 5]])) == init


def test_an_array_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"Constant: an array of shape \(2,\) can't be broadcast to `shape` \(2, 3\)"):
        sb.Constant([1, 2])((2, 3))
    with pytest.raises(ValueError, match="can't be broadcast"):
        sb.Constant([1, 2]).expected((2, 3))


def test_a_large_array_is_not_shown_in_full():
    assert repr(sb.Constant(np.zeros((40, 50)))) == "Constant(<array of shape (40, 50)>)"
    assert repr(sb.Constant([[1, 2]])) == "Constant([[1.0, 2.0]])"


@pytest.mark.parametrize("fan", [("in", 32), ("out", 64), ("average", 48), ("geometric", math.sqrt(32 * 64))])
def test_variance_is_scale_over_fan(fan):
    assert sb.VarianceScaling(2.0, fan[0]).expected((64, 32)).std == pytest.approx(math.sqrt(2 / fan[1]), rel=1e-14)


def test_unequal_splits_are_scaled_apart():
    axes = sb.Axes("oi", splits=(512, 64))
    made = sb.VarianceScaling(1.0, "out")((576, 256), rng=0, axes=axes)
    assert made[:512].std() == pytest.approx(1 / math.sqrt(512), rel=0.02)
    assert made[512:].std() == pytest.approx(1 / 8, rel=0.04)
    part = sb.VarianceScaling(1.0, "out").region((576, 256), np.s_[500:520, ::3], rng=0, axes=axes)
    assert (part == made[500:520, ::3]).all()


def test_extreme_fans_neither_overflow_nor_vanish_in_half_precision():
    wide = sb.LecunNormal().region((4, 2**25), np.s_[:, :1000], rng=0, dtype="float16")
    assert wide.std(dtype=np.float64) == pytest.approx(2**-12.5, rel=0.1)
    assert np.isfinite(sb.LecunNormal()((1000, 1), rng=0, dtype="float16")).all()


@pytest.mark.parametrize(
    "init",
    [
        sb.Normal(1.2e-38),
        sb.TruncatedNormal(1.2e-38),
        sb.Uniform(-2.6e-29, 2.6e-29),
        sb.Orthogonal(gain=1.2e-38),
        sb.VarianceScaling(1e-30, "in", "uniform"),
    ],
)
def test_the_smallest_scales_that_are_taken_are_kept(init):
    made = init((200, 150), rng=0).astype(np.float64)
    stated = init.expected((200, 150))
    assert made.std() == pytest.approx(stated.std, rel=0.03)
    assert made.max() <= stated.high * (1 + 1e-6)
    assert len(np.unique(made, axis=0)) == 200


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("low", [0.0, -0.5e-19, 1e-21])
def test_the_narrowest_interval_is_that_of_a_uniform(dtype, low):
    init = sb.TruncatedNormal(low=low, high=low + 1e-19)
    stated = init.expected((100, 90))
    made = init((100, 90), rng=0, dtype=dtype).astype(np.float64)
    assert stated.std == pytest.approx(1e-19 / math.sqrt(12), rel=1e-9)
    assert made.std() == pytest.approx(stated.std, rel=0.02)
    assert made.mean() == pytest.approx(low + 0.5e-19, abs=6 * stated.std / 94)


@pytest.mark.parametrize("init", [sb.Normal(2.4e37), sb.TruncatedNormal(2.4e37, low=-INF, high=INF)])
def test_the_largest_std_that_is_taken_gives_finite_values(init):
    made = init((1000, 1000), rng=0)
    assert np.isfinite(made).all()
    assert made.std(dtype=np.float64) == pytest.approx(2.4e37, rel=0.01)


def test_numbers_of_a_coarse_type_are_compared_as_what_they_are():
    """In NumPy the largest float32 is an infinite float16, and a warning."""
    with np.errstate(all="raise"):
        assert sb.Normal(np.float16(0.5), mean=np.float16(2)) == sb.Normal(0.5, mean=2.0)
    assert sb.TruncatedNormal(low=-(10**400)) == sb.TruncatedNormal(low=-INF)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("shape", [(4, 4), (300, 8), (300, 7), (5, 6, 4), (40, 3, 5, 12), (64, 1), (2, 100_000)])
def test_an_array_is_repeated_as_numpy_broadcasts_it_wherever_it_is_written(shape, dtype):
    ones = (1,) * (len(shape) - 1)
    for part in (shape, shape[-1:], (*ones, shape[-1]), (shape[0], *ones)):
        value = np.random.default_rng(0).normal(size=part)
        computed = "float64" if dtype == "float64" else "float32"  # coarser ones are that, rounded once
        due = np.broadcast_to(value, shape).astype(computed).astype(dtype)
        np.testing.assert_array_equal(sb.Constant(value)(shape, dtype=dtype), due)
        out = np.empty(due.size + 3, dtype)[3:].reshape(shape)  # off the borders of words
        sb.Constant(value).fill(out, 0)
        np.testing.assert_array_equal(out, due)
