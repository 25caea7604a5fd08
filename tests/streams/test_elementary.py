"""log, exp, expm1 and rotations against mpmath, and one chunk at a time."""

import mpmath
import numpy as np
import pytest

from symbreak.streams import _elementary as elementary

ULP = 2.0**-52
GENERATOR = np.random.default_rng(0)
NEAR_ONE = 1 + GENERATOR.normal(size=200) * 1e-6
ROWS = [
    (elementary.log, mpmath.log, GENERATOR.uniform(1e-12, 3, 500)),
    (elementary.log, mpmath.log, 10 ** GENERATOR.uniform(-300, 300, 200)),
    (elementary.log, mpmath.log, NEAR_ONE),
    (elementary.exp, mpmath.exp, GENERATOR.uniform(-690, 690, 500)),
    (elementary.exp, mpmath.exp, GENERATOR.uniform(-1, 1, 300)),
    (elementary.expm1, mpmath.expm1, GENERATOR.uniform(-5, 5, 500)),
    (elementary.expm1, mpmath.expm1, 10 ** GENERATOR.uniform(-20, 0, 300)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "oracle", "x"), ROWS, ids=lambda value: getattr(value, "__name__", None))
def test_functions_are_right_to_a_few_units_in_the_last_place(function, oracle, x):
    with mpmath.workdps(40):
        exact = [oracle(mpmath.mpf(each)) for each in x.tolist()]
        errors = [abs((mpmath.mpf(got) - want) / want) for got, want in zip(function(x).tolist(), exact, strict=True)]
    assert max(errors) < 3 * ULP


def test_rotations_are_right_all_around_the_circle():
    quarters = GENERATOR.uniform(-4, 4, 2000)
    cosine, sine = elementary.cos_sin(quarters)
    assert np.abs(cosine - np.cos(np.pi / 4 * quarters)).max() < 8 * ULP
    assert np.abs(sine - np.sin(np.pi / 4 * quarters)).max() < 8 * ULP


@pytest.mark.parametrize("size", [0, 1, elementary.CHUNK - 1, elementary.CHUNK + 1, 3 * elementary.CHUNK])
def test_chunks_give_what_the_whole_gives(size):
    x = np.linspace(-2, 2, size, dtype=np.float32)
    whole = elementary.exp(x.astype(np.float64)).astype(np.float32)
    assert (elementary.each(elementary.exp, x.copy()) == whole).all()
