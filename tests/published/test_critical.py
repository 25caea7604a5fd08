"""A minimum makes a line of critical points of the larger network, with as many ways down as the theorem says."""

import numpy as np
import pytest

from symbreak.published import critical_lines
from symbreak.published._critical import (
    FLAT,
    SHARES,
    _gradient,
    copy_first_unit,
    curvature_of_copying,
    find_minimum,
    hessian,
    network,
)  # fmt: skip

MINIMA = 6


@pytest.fixture(scope="module")
def found():
    return critical_lines(MINIMA)


@pytest.mark.parametrize("number", range(MINIMA))
@pytest.mark.parametrize("share", SHARES)
def test_there_are_as_many_ways_down_as_published(found, number, share):
    row = found[f"minimum {number + 1}, lambda {share}"]
    assert row.ours == row.published


def test_the_minima_are_of_more_than_one_kind(found):
    """Otherwise the theorem would be tested on one case."""
    assert len({*zip(found.curves["inside"].tolist(), found.curves["outside"].tolist(), strict=True)}) > 1


def test_nothing_but_rounding_moves_on_the_line(found):
    assert found["largest gradient on the lines"].ours < 1e-14
    assert found["largest change of the loss on the lines"].ours < 1e-15
    assert found["flat directions other than the line"].ours == 0


def test_the_minimum_is_strict_and_the_copy_is_the_same_function():
    x, t, theta = find_minimum(0)
    assert np.linalg.eigvalsh(hessian(x, t, theta))[0] > 1e-4
    for share in SHARES:
        np.testing.assert_allclose(network(copy_first_unit(theta, share))(x), network(theta)(x), rtol=0, atol=1e-14)


def test_no_eigenvalue_is_near_the_line_between_zero_and_not():
    x, t, theta = find_minimum(1)
    for share in SHARES:
        sizes = np.sort(abs(np.linalg.eigvalsh(hessian(x, t, copy_first_unit(theta, share)))))
        assert sizes[0] < FLAT / 100
        assert sizes[1] > FLAT * 100


def test_the_matrix_is_the_curvature_of_pulling_the_copies_apart():
    """The loss when one copy moves by d and the other by -d, at lambda = 1/2, is A[d, d] / 2 to second order."""
    x, t, theta = find_minimum(2)
    A, d, h = curvature_of_copying(x, t, theta), np.array([0.3, -0.5, 0.8]), 1e-5
    apart = np.zeros(3 * 4)
    apart[:3], apart[3:6] = d, -d
    middle = copy_first_unit(theta, 0.5)
    slopes = [_gradient(x, t, middle + sign * h * apart) @ apart for sign in (1, -1)]
    assert (slopes[0] - slopes[1]) / (2 * h) == pytest.approx(d @ A @ d, rel=1e-5)
