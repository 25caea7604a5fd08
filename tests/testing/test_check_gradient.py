"""check_gradient passes right gradients and fails the wrong ones that people write."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak.testing import check_gradient

POINT = np.array([0.3, -1.2, 2.0])
RIGHT = {
    "a square": (lambda p: (p**2).sum(), lambda p: 2 * p),
    "an exponential": (lambda p: np.exp(p).sum(), np.exp),
    "a product": (np.prod, lambda p: np.prod(p) / p),
    "a value used twice": (lambda p: p[0] * p[1] + np.sin(p[0]), lambda p: np.array([p[1] + np.cos(p[0]), p[0], 0])),
    "a constant": (lambda p: 5.0, np.zeros_like),
    "a large constant beside a small slope": (lambda p: 1e6 + 1e-3 * p.sum(), lambda p: np.full_like(p, 1e-3)),
}
WRONG = {
    "a factor left out": (lambda p: (p**2).sum(), lambda p: p),
    "a sign": (lambda p: np.cos(p).sum(), np.sin),
    "one entry of three": (lambda p: (p**2).sum(), lambda p: 2 * p * [1, 1, 1.001]),
    "a mean for a sum": (lambda p: (p**2).sum(), lambda p: 2 * p / 3),
    "a value used twice, overwritten": (
        lambda p: p[0] * p[1] + np.sin(p[0]),
        lambda p: np.array([np.cos(p[0]), p[0], 0]),
    ),
    "zero": (lambda p: p.sum(), np.zeros_like),
    "not a number": (lambda p: p.sum(), lambda p: np.full_like(p, np.nan)),
    "infinite": (lambda p: p.sum(), lambda p: np.array([1, np.inf, 1])),
    "off by one in a million and a half": (lambda p: p.sum(), lambda p: np.ones_like(p) * (1 + 1.5e-6)),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_gradient_passes(case):
    function, gradient = RIGHT[case]
    check_gradient(function, gradient, POINT)
    check_gradient(function, gradient(POINT), POINT)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_gradient_fails(case):
    function, gradient = WRONG[case]
    with pytest.raises(AssertionError, match="the gradient says that the slope along direction 0 is"):
        check_gradient(function, gradient, POINT)


def test_a_function_that_is_nowhere_finite_fails():
    with pytest.raises(AssertionError, match="the function's slope is nan"):
        check_gradient(lambda p: np.nan, np.zeros_like, POINT)


def test_a_small_difference_of_large_numbers_passes_where_its_rounding_is_said():
    def function(p):
        return (1e6 + 1e-3 * p.sum()) - 1e6

    gradient = np.full(3, 1e-3)
    with pytest.raises(AssertionError, match="the slope"):
        check_gradient(function, gradient, POINT)
    check_gradient(function, gradient, POINT, rounding=2 * np.spacing(1e6))
    with pytest.raises(AssertionError, match="the slope"):
        check_gradient(function, 1.01 * gradient, POINT, rounding=2 * np.spacing(1e6))


def test_a_slope_that_is_small_by_chance_is_held_to_what_the_others_are():
    """Along the first direction the slope is 1e-9, less than the difference's own error, of order step**4."""
    direction = np.random.default_rng(0).standard_normal(3)
    direction /= np.linalg.norm(direction)
    across = np.array([1.0, 1.0, 0.0]) - direction * direction[:2].sum()

    def function(p):
        return across @ p + 1e-9 * direction @ p + 1e3 * (direction @ (p - POINT)) ** 5

    claimed = across + 1e-9 * direction
    assert claimed @ direction == pytest.approx(1e-9, rel=1e-6)
    check_gradient(function, claimed, POINT)
    with pytest.raises(AssertionError, match="along direction 0 is"):
        check_gradient(function, claimed + 3e-6 * direction, POINT)  # the usual slope is 0.58


def test_the_message_has_both_slopes():
    with pytest.raises(AssertionError) as caught:
        check_gradient(lambda p: 3.0 * p[0], lambda p: np.array([2.0]), np.array([1.0]))
    claimed, measured = (float(number) for number in re.findall(r"is (-?[\d.]+)", str(caught.value)))
    assert abs(claimed) == pytest.approx(2, rel=1e-9)  # in one dimension a direction is 1 or -1
    assert abs(measured) == pytest.approx(3, rel=1e-9)


def test_points_may_have_names():
    point = {"weight": np.ones((2, 3)), "bias": np.full(2, 0.5)}

    def function(p):
        return np.tanh(p["weight"].sum(axis=1) + p["bias"]).sum()

    def gradient(p):
        slope = 1 - np.tanh(p["weight"].sum(axis=1) + p["bias"]) ** 2
        return {"weight": np.repeat(slope[:, None], 3, axis=1), "bias": slope}

    check_gradient(function, gradient, point)
    with pytest.raises(AssertionError, match="the slope"):
        check_gradient(function, lambda p: gradient(p) | {"bias": np.zeros(2)}, point)


def test_the_point_is_left_as_it_was():
    point = POINT.copy()

    def function(p):
        p += 1
        return (p**2).sum()

    def gradient(p):
        p += 1
        return 2 * p

    check_gradient(function, gradient, point)
    check_gradient(lambda p: function(p["a"]), lambda p: {"a": gradient(p["a"])}, {"a": point})
    np.testing.assert_array_equal(point, POINT)


def test_the_function_gets_float64_whatever_the_point_is():
    check_gradient(lambda p: float((p**2).sum()), lambda p: 2 * p, np.array([1, 2, 3]))
    check_gradient(lambda p: float((p**2).sum()), lambda p: 2 * p, POINT.astype("float32"))


@given(matrix=st.lists(st.floats(-3, 3), min_size=9, max_size=9), seed=st.integers(0, 1000), error=st.floats(1e-4, 10))
def test_any_quadratic_form_passes_and_its_perturbed_gradient_fails(matrix, seed, error):
    m = np.array(matrix).reshape(3, 3)
    check_gradient(lambda p: p @ m @ p, lambda p: (m + m.T) @ p, POINT, rng=seed)
    wrong = np.linalg.norm((m + m.T) @ POINT) * error + 1e-3
    with pytest.raises(AssertionError, match="the slope"):
        check_gradient(lambda p: p @ m @ p, lambda p: (m + m.T) @ p + wrong, POINT, rng=seed, directions=8)


@pytest.mark.parametrize(
    ("gradient", "point", "error", "message"),
    [
        (np.ones(2), POINT, ValueError, r"shaped as the point: \(3,\), not \(2,\)"),
        (np.ones((3, 1)), POINT, ValueError, r"\(3,\), not \(3, 1\)"),
        ({"b": np.ones(1)}, {"a": np.ones(1)}, ValueError, r"\{'a': \(1,\)\}, not \{'b': \(1,\)\}"),
        (np.ones(0), np.ones(0), ValueError, "the point is empty"),
        (np.ones(3), POINT + 1j, TypeError, "the point must hold real numbers, not complex128"),
        ({"a": np.array(["x"])}, {"a": np.ones(1)}, TypeError, "the gradient 'a' must hold real numbers, not <U1"),
    ],
)
def test_what_cannot_be_compared_is_refused(gradient, point, error, message):
    with pytest.raises(error, match=message):
        check_gradient(lambda p: 0.0, gradient, point)
