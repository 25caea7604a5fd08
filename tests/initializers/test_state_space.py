"""State spaces and linear recurrent units: rings, steps, frequencies, and a memory in Legendre polynomials."""

import math

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy import stats

import symbreak as sb

from .test_recurrent import ks_limit

N = 20_000


@pytest.mark.parametrize(("inner", "outer"), [(0.0, 1.0), (0.4, 0.9), (0.999, 1.0), (0.9, 0.999)])
def test_eigenvalues_are_uniform_on_the_ring_by_area(inner, outer):
    nu = sb.LruNuLog(inner, outer)(N, rng=0, dtype="float64")
    theta = sb.LruThetaLog()(N, rng=1, dtype="float64")
    eigenvalues = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    squares = np.abs(eigenvalues) ** 2
    width = outer**2 - inner**2
    assert stats.kstest(squares, stats.uniform(inner**2, width).cdf).statistic < ks_limit(N)
    turns = np.angle(eigenvalues) % (2 * np.pi)
    assert stats.kstest(turns, stats.uniform(0, 2 * np.pi).cdf).statistic < ks_limit(N)
    # Independent: the area left of any line through the ring is that of its share.
    share = np.mean(eigenvalues.real < 0)
    assert abs(share - 0.5) < 6 * 0.5 / math.sqrt(N)


def test_radii_that_are_uniform_themselves_are_caught():
    radii = np.random.default_rng(0).uniform(0.7, 0.9, N)
    assert stats.kstest(radii**2, stats.uniform(0.49, 0.81 - 0.49).cdf).statistic > ks_limit(N)


@pytest.mark.parametrize(("inner", "outer"), [(0.0, 1.0), (0.4, 0.9), (0.999, 1.0), (0.9, 0.999)])
def test_moments_of_the_decays_are_those_of_many(inner, outer):
    init = sb.LruNuLog(inner, outer)
    stated, nu = init.expected(5), init(400_000, rng=5, dtype="float64")
    assert nu.mean() == pytest.approx(stated.mean, abs=6.5 * stated.std / math.sqrt(nu.size))
    assert nu.std() == pytest.approx(stated.std, rel=0.02)
    assert nu.min() >= stated.low - 1e-12
    assert nu.max() <= stated.high + 1e-12


def test_states_keep_the_variance_of_what_they_read():
    """Proposition 3.3 of the paper: with gamma, the stationary variance of x' = lambda x + gamma u is that of u."""
    nu, theta = (init(64, rng=0, dtype="float64") for init in (sb.LruNuLog(0.5, 0.95), sb.LruThetaLog()))
    gamma = np.exp(sb.lru_gamma_log(nu))
    eigenvalues = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    assert gamma == pytest.approx(np.sqrt(1 - np.abs(eigenvalues) ** 2), rel=1e-12)
    inputs = sb.Normal()((1000, 400), rng=1, dtype="float64")
    state = np.zeros((64, 400), complex)
    for row in inputs:
        state = eigenvalues[:, None] * state + gamma[:, None] * row
    assert np.mean(np.abs(state) ** 2) == pytest.approx(1, rel=0.05)


def test_gamma_is_given_in_the_shape_and_dtype_of_nu():
    nu = sb.LruNuLog()((3, 4), rng=0)
    assert sb.lru_gamma_log(nu).dtype == np.float32
    assert sb.lru_gamma_log(nu).shape == (3, 4)
    assert sb.lru_gamma_log(0).shape == ()
    assert sb.lru_gamma_log([0]).dtype == np.float64
    assert np.isfinite(sb.lru_gamma_log([-1e4, 1e4])).all()
    with pytest.raises(ValueError, match="`nu_log` has values that are not finite; pass what `LruNuLog` gave"):
        sb.lru_gamma_log([np.nan])


@pytest.mark.parametrize(("low", "high"), [(0.001, 0.1), (1e-5, 1.0), (0.5, 20.0)])
def test_the_softplus_of_the_bias_is_log_uniform(low, high):
    bias = sb.MambaDtBias(low, high, floor=0)(N, rng=0, dtype="float64")
    step = np.logaddexp(0, bias)
    assert step.min() >= low * (1 - 1e-12)
    assert step.max() <= high * (1 + 1e-12)
    assert stats.kstest(step, stats.loguniform(low, high).cdf).statistic < ks_limit(N)
    assert stats.kstest(step, stats.uniform(low, high - low).cdf).statistic > ks_limit(N)


def test_steps_below_the_floor_are_raised_to_it():
    init = sb.MambaDtBias(1e-6, 0.1, floor=1e-3)
    bias = init(N, rng=0, dtype="float64")
    step = np.logaddexp(0, bias)
    raised = np.isclose(step, 1e-3, rtol=1e-12).mean()
    assert raised == pytest.approx(math.log(1e3) / math.log(1e5), abs=6 * 0.5 / math.sqrt(N))
    stated = init.expected(N)
    assert bias.mean() == pytest.approx(stated.mean, abs=6.5 * stated.std / math.sqrt(N))
    assert bias.std() == pytest.approx(stated.std, rel=0.03)
    assert bias.min() == stated.low == pytest.approx(math.log(math.expm1(1e-3)), rel=1e-12)


def test_the_projection_of_the_step_is_a_variance_scaling():
    init = sb.VarianceScaling(1 / 3, "in", "uniform")
    assert init.expected((64, 16)).high == pytest.approx(1 / math.sqrt(16), rel=1e-12)


def test_decays_are_mambas_and_those_of_s4d():
    assert np.exp(sb.get("mamba_a_log")((3, 5), dtype="float64")) == pytest.approx(np.tile(np.arange(1, 6), (3, 1)))
    for kind in ("lin", "inv"):
        assert np.exp(sb.S4dLogDecay(kind)((2, 8), dtype="float64")) == pytest.approx(np.full((2, 8), 0.5))
    assert (sb.S4dLogDecay()((5, 3), axes="io") == sb.S4dLogDecay()((3, 5)).T).all()
    assert (sb.S4dFrequency("real")((2, 3)) == 0).all()
    assert sb.S4dFrequency()(4, dtype="float64") == pytest.approx(np.pi * np.arange(4))


def legs(n):
    return sb.HippoLegsA()((n, n), dtype="float64"), sb.HippoLegsB()(n, dtype="float64")


@pytest.mark.parametrize(("n", "error"), [(64, 0.016), (256, 0.004)])
def test_frequencies_approximate_the_normal_part_of_legs(n, error):
    """S4D-Inv, and the decay of 1/2, from the eigenvalues of A + p p', p = sqrt(n + 1/2)."""
    a, b = legs(n)
    p = b / math.sqrt(2)
    normal = a + np.outer(p, p)
    assert np.abs(normal + normal.T + np.eye(n)).max() < 1e-10  # skew-symmetric beside -1/2
    eigenvalues = np.linalg.eigvals(normal)
    assert eigenvalues.real == pytest.approx(np.full(n, -0.5), abs=1e-8)
    exact = np.sort(eigenvalues.imag[eigenvalues.imag > 0])
    approximate = np.sort(sb.S4dFrequency("inv")(n // 2, dtype="float64"))
    assert approximate[-1] == pytest.approx(exact[-1], rel=error)  # conjecture 5 is asymptotic
    assert approximate[-4:] == pytest.approx(exact[-4:], rel=0.1)


@pytest.mark.parametrize("n", [1, 4, 12])
def test_the_state_of_legs_is_the_legendre_series_of_the_past(n):
    """Theorem 2: the coefficients of any polynomial of degree < n on [0, t] obey t c' = A c + B f(t)."""
    a, b = legs(n)
    f = np.polynomial.Polynomial(np.random.default_rng(n).normal(size=n))

    def coefficients(t):
        """c_k = sqrt(2k + 1) int_0^1 f(t x) P_k(2x - 1) dx, by exact quadrature."""
        points, weights = legendre.leggauss(2 * n + 2)
        x = (points + 1) / 2
        values = legendre.legvander(points, n - 1) * np.sqrt(2 * np.arange(n) + 1)
        return (weights / 2 * f(t * x)) @ values

    t, step = 1.3, 1e-5
    slope = (coefficients(t + step) - coefficients(t - step)) / (2 * step)
    assert t * slope == pytest.approx(a @ coefficients(t) + b * f(t), rel=1e-7, abs=1e-7)


def test_the_eigenvalues_of_legs_are_the_negative_integers():
    a, _ = legs(9)
    assert np.sort(np.linalg.eigvals(a).real) == pytest.approx(-np.arange(9, 0, -1.0), rel=1e-6)


def test_copies_of_legs_are_equal_and_inputs_may_be_a_column():
    stacked = sb.HippoLegsA()((2, 4, 4), axes="boi")
    assert (stacked == sb.HippoLegsA()((4, 4))).all()
    assert (sb.HippoLegsA()((4, 4), axes="io") == sb.HippoLegsA()((4, 4)).T).all()
    assert (sb.HippoLegsB()((4, 1))[:, 0] == sb.HippoLegsB()(4)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.LruNuLog(0.9, 0.5), "0 <= inner < outer <= 1; got inner=0.9, outer=0.5"),
        (lambda: sb.LruNuLog(0.5, 1.5), "LruNuLog: the ring lies within the unit disk"),
        (lambda: sb.LruNuLog("a"), "LruNuLog: inner is a radius, a number from 0 to 1; got 'a'"),
        (lambda: sb.LruThetaLog(0), "LruThetaLog: largest is a positive number within float32; got 0"),
        (lambda: sb.LogOfUniform(-1, 2), "LogOfUniform: the uniform is positive, 0 <= low < high; got low=-1.0"),
        (lambda: sb.LogOfUniform(2, 2), "LogOfUniform: the uniform is positive"),
        (lambda: sb.MambaDtBias(0), "MambaDtBias: low is a positive number within float32; got 0"),
        (lambda: sb.MambaDtBias(0.2), "low < high <= 100; got low=0.2, high=0.1"),
        (lambda: sb.MambaDtBias(floor=0.1), "MambaDtBias: floor is a step below high, or 0; got 0.1"),
        (lambda: sb.S4dLogDecay("legs"), "S4dLogDecay: kind is one of 'real', 'lin', 'inv'; got 'legs'"),
        (lambda: sb.S4dFrequency(3), "S4dFrequency: kind is one of 'real', 'lin', 'inv'; got 3"),
        (lambda: sb.HippoLegsA()((4, 5)), r"HippoLegsA: the transition is square, .* 4 states that read 5"),
        (lambda: sb.HippoLegsB()((4, 2)), r"HippoLegsB: each state reads one input, .* has 2 inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
