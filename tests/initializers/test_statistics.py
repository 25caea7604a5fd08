"""Every distribution of the shelf against its formula: moments, Kolmogorov-Smirnov, and samplers that must fail.

The Kolmogorov-Smirnov distance of n values is above sqrt(ln(2 / alpha) / (2 n)) with probability below alpha (Massart
1990), and a mean or standard deviation is 6.2 standard errors off with about that probability too. With alpha 1e-9 and
three comparisons for each of about fifty weights, other keys would fail once in six million runs; these are fixed.
Beside each stands its power: the same values two percent too wide, with two percent of them elsewhere, or moved by two
percent, must fail.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

import symbreak as sb
from symbreak.dtypes import EXTENSION_FLOATS, NUMPY_FLOATS, as_float_dtype

ALPHA = 1e-9
SIGMAS = 6.2  # two-sided, 6e-10
SHAPE = (640, 500)  # fan_in 500, fan_out 640
N = math.prod(SHAPE)
INF = math.inf
CUT = stats.truncnorm(-2, 2).std()


def normal(std, mean=0.0):
    return stats.norm(mean, std)


def uniform(low, high):
    return stats.uniform(low, high - low)


def truncated(std, low=-2.0, high=2.0, mean=0.0):
    return stats.truncnorm(low, high, loc=mean, scale=std)


def of_family(std):
    """The three members of a family with one standard deviation."""
    return normal(std), uniform(-math.sqrt(3) * std, math.sqrt(3) * std), truncated(std / CUT)


LECUN, GLOROT, HE = (of_family(math.sqrt(variance)) for variance in (1 / 500, 2 / (640 + 500), 2 / 500))
CASES = {
    sb.Normal(0.5, mean=0.1): normal(0.5, 0.1),
    sb.Uniform(-1, 3): uniform(-1, 3),
    sb.TruncatedNormal(0.5): truncated(0.5),
    sb.TruncatedNormal(0.5, mean=1.0, low=-1, high=3): truncated(0.5, -1, 3, 1.0),
    sb.TruncatedNormal(0.5, corrected=True): truncated(0.5 / CUT),
    sb.TruncatedNormal(0.02, low=-0.03, high=0.05, bounds="absolute"): truncated(0.02, -1.5, 2.5),
    sb.TruncatedNormal(low=0, high=INF): stats.halfnorm(),
    sb.TruncatedNormal(low=8, high=2000): truncated(1.0, 8, 2000),
    sb.TruncatedNormal(low=-40, high=-30): truncated(1.0, -40, -30),
    sb.VarianceScaling(3, "out", "uniform"): uniform(-3 / math.sqrt(640), 3 / math.sqrt(640)),
    sb.VarianceScaling(1, "geometric"): normal((640 * 500) ** -0.25),
    sb.VarianceScaling(2, "average", "truncated_normal"): truncated(math.sqrt(4 / (640 + 500)) / CUT),
    **dict(zip((sb.LecunNormal(), sb.LecunUniform(), sb.LecunTruncatedNormal()), LECUN, strict=True)),
    **dict(zip((sb.GlorotNormal(), sb.GlorotUniform(), sb.GlorotTruncatedNormal()), GLOROT, strict=True)),
    **dict(zip((sb.HeNormal(), sb.HeUniform(), sb.HeTruncatedNormal()), HE, strict=True)),
}
each = pytest.mark.parametrize("init", CASES, ids=repr)


def distance(values, oracle):
    """The Kolmogorov-Smirnov distance."""
    cdf = oracle.cdf(np.sort(values))
    steps = np.arange(len(values) + 1) / len(values)
    return max(np.max(steps[1:] - cdf), np.max(cdf - steps[:-1]))


EVERYTHING = ("mean", "std", "distribution")


def faults(values, oracle, asked=EVERYTHING):
    """Say which of mean, standard deviation and distribution the values don't have."""
    n, kurtosis = len(values), float(oracle.stats("k")) + 3
    found = set()
    if abs(values.mean() - oracle.mean()) > SIGMAS * oracle.std() / math.sqrt(n):
        found.add("mean")
    if abs(values.std() / oracle.std() - 1) > SIGMAS * math.sqrt((kurtosis - 1) / (4 * n)):
        found.add("std")
    if "distribution" in asked and distance(values, oracle) > math.sqrt(math.log(2 / ALPHA) / (2 * n)):
        found.add("distribution")
    return found


def draw(init, dtype):
    return init(SHAPE, sb.Key(7)["w"], dtype=dtype).astype(np.float64).ravel()


@each
def test_values_have_the_stated_distribution(init):
    assert faults(draw(init, "float32"), CASES[init]) == set()
    stated, oracle = init.expected(SHAPE), CASES[init]
    assert stated.mean == pytest.approx(oracle.mean(), rel=1e-7, abs=1e-12)
    assert stated.std == pytest.approx(oracle.std(), rel=1e-5)  # SciPy's, far out


@each
def test_so_have_those_in_double_precision_and_wrong_samplers_fail(init):
    values, oracle = draw(init, "float64"), CASES[init]
    assert faults(values, oracle) == set()
    assert "std" in faults(oracle.mean() + (values - oracle.mean()) * 1.02, oracle, ("std",))
    assert "mean" in faults(values + 0.02 * oracle.std(), oracle, ("mean",))
    moved = np.where(np.arange(N) % 50 == 0, oracle.ppf(1e-9), values)
    assert "distribution" in faults(moved, oracle)


def test_every_random_elementwise_class_is_here():
    from .test_promises import TABLE

    random = {type(row.init) for row in TABLE if row.init.elementwise and row.drawn == "all" and row.layouts}
    ours = {cls for cls in random if cls.__module__.startswith("symbreak.initializers")}
    missing = ours - {type(init) for init in CASES}
    assert {cls for cls in missing if cls.__module__.endswith(("_distributions", "_variance_scaling"))} == set()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_signs_are_even_apart_and_in_pairs(dtype):
    signs = draw(sb.Rademacher(0.5), dtype) * 2
    even = lambda x: abs(x.mean()) < SIGMAS / math.sqrt(len(x))  # noqa: E731
    assert even(signs)
    assert even(signs[1:] * signs[:-1])
    assert even(signs[500:] * signs[:-500])  # neighbours along the other axis
    assert not even(np.where(np.arange(N) % 50 == 0, 1.0, signs))


@each
def test_neighbours_along_both_axes_are_uncorrelated(init):
    values = draw(init, "float32")
    z = (values - values.mean()) / values.std()
    assert abs(np.mean(z[1:] * z[:-1])) < SIGMAS / math.sqrt(N)
    assert abs(np.mean(z[500:] * z[:-500])) < SIGMAS / math.sqrt(N)
    tied = z.copy()
    tied[1::50] = tied[::50]  # one value in fifty repeated
    assert abs(np.mean(tied[1:] * tied[:-1])) > SIGMAS / math.sqrt(N)


@pytest.mark.parametrize("low", [8.0, 30.0])
def test_far_tails_agree_with_mpmath(low):
    """The mean of a normal beyond `low`, by quadrature with forty digits; JAX and PyTorch have no such values."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(40):
        density = lambda x: mpmath.exp((low**2 - x * x) / 2)  # noqa: E731
        points = [low + k / low for k in (0, 1, 4, 10, 30, 80)]
        mass = mpmath.quad(density, points)
        mean = mpmath.quad(lambda x: x * density(x), points) / mass
        spread = mpmath.sqrt(mpmath.quad(lambda x: (x - mean) ** 2 * density(x), points) / mass)
    init = sb.TruncatedNormal(low=low, high=2000)
    stated = init.expected(SHAPE)
    assert stated.mean == pytest.approx(float(mean), rel=1e-14)
    assert stated.std == pytest.approx(float(spread), rel=1e-10)
    values = draw(init, "float64")
    assert values.min() >= low
    assert abs(values.mean() - float(mean)) < SIGMAS * float(spread) / math.sqrt(N)


COARSE = [name for name in NUMPY_FLOATS + EXTENSION_FLOATS if name not in ("float32", "float64")]


@pytest.mark.parametrize("dtype", COARSE)
def test_rounding_is_to_the_nearest_and_to_even_between_two(dtype):
    """The cast that every coarse weight goes through, against exact fractions; halfway values among them."""
    kind = as_float_dtype(dtype)
    bits = np.arange(1 << (8 * kind.itemsize), dtype=f"u{kind.itemsize}")
    with np.errstate(all="ignore"):
        every = bits.view(kind).astype(np.float64)
    finite = np.isfinite(every) & (np.abs(every) < 2.0**20)
    order = np.unique(every[finite], return_index=True)
    steps, patterns = order[0], bits[finite][order[1]]
    some = np.linspace(0, len(steps) - 2, 500).astype(int)
    middles = (steps[some] + steps[some + 1]) / 2
    given = np.concatenate([middles, steps[some] * 0.7 + steps[some + 1] * 0.3]).astype(np.float32)
    given = given[(given > steps[0]) & (given < steps[-1])]
    for x, rounded in zip(given.tolist(), given.astype(kind).astype(np.float64).tolist(), strict=True):
        above = int(np.searchsorted(steps, x))
        below = above - 1 if steps[above] != x else above
        gap_below, gap_above = Fraction(x) - Fraction(steps[below]), Fraction(steps[above]) - Fraction(x)
        if gap_below == gap_above and below != above:
            assert rounded in (steps[below], steps[above])
            chosen = below if rounded == steps[below] else above
            assert patterns[chosen] % 2 == 0 or steps[chosen] == 0
        else:
            assert rounded == (steps[below] if gap_below < gap_above else steps[above])


@pytest.mark.parametrize("dtype", COARSE)
@pytest.mark.parametrize("init", [sb.Normal(), sb.TruncatedNormal(low=8, high=2000), sb.Rademacher(0.3)], ids=repr)
def test_coarse_weights_are_the_rounded_values_and_no_others(init, dtype):
    made = init((300, 200), rng=3, dtype=dtype)
    assert made.tobytes() == init((300, 200), rng=3).astype(made.dtype).tobytes()
