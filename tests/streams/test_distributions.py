"""Statistical tests, each with a wrong sampler that it must catch.

The Kolmogorov-Smirnov distance of n values is above sqrt(ln(2 / alpha) / (2 n)) with probability below alpha
(Dvoretzky, Kiefer, Wolfowitz; the constant is Massart's). Seeds are fixed, so that nothing here fails by chance; with
60 tests at 1e-9 each, changing them fails once in ten million runs.
"""

import math

import numpy as np
import pytest
from scipy import stats

from symbreak.streams import Stream

ALPHA = 1e-9
N = 400_000  # sees a KS distance of 0.01, and a standard deviation off by 2 %

CASES = {
    "uniform": (lambda s: s.uniform(N, -1, 1), stats.uniform(-1, 2)),
    "normal": (lambda s: s.normal(N), stats.norm()),
    "truncated": (lambda s: s.truncated_normal(N), stats.truncnorm(-2, 2)),
    "truncated at three": (lambda s: s.truncated_normal(N, low=-3, high=3), stats.truncnorm(-3, 3)),
    "half normal": (lambda s: s.truncated_normal(N, low=0, high=math.inf), stats.halfnorm()),
    "far tail": (lambda s: s.truncated_normal(N, low=8, high=2000), stats.truncnorm(8, 2000)),
    "farther tail": (lambda s: s.truncated_normal(N, low=-40, high=-30), stats.truncnorm(-40, -30)),
}


def distance(values, oracle):
    """The KS distance, in float64."""
    x = np.sort(np.asarray(values, np.float64).ravel())
    cdf = oracle.cdf(x)
    steps = np.arange(len(x) + 1) / len(x)
    return max(np.max(steps[1:] - cdf), np.max(cdf - steps[:-1]))


def bound(n):
    return math.sqrt(math.log(2 / ALPHA) / (2 * n))


def std_bound(oracle, n):
    kurtosis = float(oracle.stats("k")) + 3
    return 6.2 * math.sqrt((kurtosis - 1) / (4 * n))


def passes(values, oracle):
    scaled = float(np.std(np.asarray(values, np.float64))) / oracle.std()
    return distance(values, oracle) < bound(len(values)) and abs(scaled - 1) < std_bound(oracle, len(values))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_values_follow_the_distribution(name, dtype):
    draw, oracle = CASES[name]
    assert passes(draw(Stream(11, dtype=dtype)), oracle)


@pytest.mark.parametrize("name", CASES)
def test_a_sampler_two_percent_too_wide_is_caught(name):
    draw, oracle = CASES[name]
    values = draw(Stream(11, dtype="float64"))
    assert not passes(oracle.mean() + (values - oracle.mean()) * 1.02, oracle)


@pytest.mark.parametrize("name", CASES)
def test_a_sampler_off_by_a_distance_of_two_percent_is_caught(name):
    draw, oracle = CASES[name]
    values = draw(Stream(11, dtype="float64"))
    assert not passes(np.where(np.arange(N) % 50 == 0, oracle.ppf(1e-9), values), oracle)


def test_signs_are_even_and_a_biased_coin_is_caught():
    signs = Stream(11).sign(N)
    even = lambda values: abs(float(values.mean())) < 6.2 / math.sqrt(N)  # noqa: E731
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert even(signs)
    assert not even(np.where(np.arange(N) % 50 == 0, 1.0, signs))


def test_float32_normals_reach_their_tail_as_often_as_they_should():
    """Beyond 4.5 sigma lie 6.8e-6 of the values, 114 of 2**24."""
    n = 1 << 24
    values = Stream(3).normal(n)
    count = int(np.count_nonzero(np.abs(values) > 4.5))
    expected = n * 2 * float(stats.norm.sf(4.5))
    assert stats.poisson.cdf(count, expected) > ALPHA
    assert stats.poisson.sf(count - 1, expected) > ALPHA
    assert np.abs(values).max() > 5


@pytest.mark.parametrize("name", ["normal", "uniform", "truncated"])
@pytest.mark.parametrize("lag", [1, 2, 255, 256, 257, 512, 1024])
def test_values_at_a_distance_are_uncorrelated(name, lag):
    """Above all the two coordinates of one pair, 256 apart; their squares too, which Box and Muller could tie."""
    values = CASES[name][0](Stream(11, dtype="float64"))
    for x in (values, values**2):
        z = (x - x.mean()) / x.std()
        assert abs(float(np.mean(z[lag:] * z[:-lag]))) < 7 / math.sqrt(N)


def test_correlated_pairs_are_caught():
    values = Stream(11, dtype="float64").normal(N)
    z = values[1:] + 0.05 * values[:-1]
    assert abs(float(np.mean(z[1:] * z[:-1]))) > 7 / math.sqrt(N)


def test_pairs_lie_evenly_on_the_circle():
    values = Stream(12, dtype="float64").normal(512 * 700).reshape(-1, 2, 256)
    angle = np.arctan2(values[:, 1], values[:, 0]).ravel()
    assert distance(angle, stats.uniform(-math.pi, 2 * math.pi)) < bound(angle.size)
    radius = np.hypot(values[:, 0], values[:, 1]).ravel()
    assert distance(radius, stats.rayleigh()) < bound(radius.size)


def test_streams_of_two_keys_and_of_two_lanes_are_uncorrelated():
    a = Stream(1).normal(N)
    for b in (Stream(2).normal(N), Stream(1)["x"].normal(N), Stream(1).uniform(N), Stream(1).sign(N)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 7 / math.sqrt(N)


def test_permutations_are_even():
    counts = np.zeros((5, 5))
    rows = Stream(4).permutation(5, size=40_000)
    for place in range(5):
        counts[place] = np.bincount(rows[:, place], minlength=5)
    assert np.abs(counts - 8000).max() < 7 * math.sqrt(8000 * 0.8)
    assert len({tuple(row) for row in rows.tolist()}) == math.factorial(5)
