"""Orthogonal weights: exactly orthonormal, Haar distributed, one matrix a copy, group and part."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import symbreak as sb


def error(matrix):
    matrix = matrix.astype(np.float64)
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return np.abs(gram - np.eye(len(gram))).max()


@given(rows=st.integers(1, 90), columns=st.integers(1, 90), seed=st.integers(0, 9))
def test_rows_or_columns_are_orthonormal(rows, columns, seed):
    assert error(sb.Orthogonal()((rows, columns), rng=seed, dtype="float64")) < 1e-13
    assert error(sb.Orthogonal()((rows, columns), rng=seed)) < 3e-6


@pytest.mark.parametrize("shape", [(600, 600), (513, 700), (700, 513), (1100, 40)])
def test_large_ones_too_across_blocks_of_reflections(shape):
    assert error(sb.Orthogonal()(shape, rng=0, dtype="float64")) < 1e-12


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 20, 30), "boi"),
        ((60, 20), sb.Axes("oi", splits=3)),
        ((60, 20), sb.Axes("oi", splits=(30, 20, 10))),
        ((24, 3, 3, 3), sb.Axes("oihw", groups=4)),
        ((8, 6, 3, 3), sb.Axes("iohw", groups=4)),
        ((3, 3, 4, 12), "hwio"),
    ],
)
def test_every_copy_group_and_part_is_orthogonal_on_its_own(shape, axes):
    made = sb.Orthogonal(gain=3.0)(shape, rng=0, axes=axes, dtype="float64")
    found = sb.Axes.of(axes, shape)
    for each in found.matrices(made):
        parts = found.parts(shape) if found.splits != 1 else [slice(None)]
        for part in parts:
            assert error(each[part] / 3) < 1e-13
    stated = sb.Orthogonal(gain=3.0).expected(shape, axes)
    assert made.std() == pytest.approx(stated.std, rel=0.15)
    values = np.linalg.svd(found.matrices(made)[0][: found.parts(shape)[0].stop], compute_uv=False)
    assert values == pytest.approx([stated.singular_values[0]] * len(values), rel=1e-12)


def test_copies_and_parts_differ():
    made = sb.Orthogonal()((4, 10, 10), rng=0, axes="boi")
    assert len(np.unique(made.reshape(40, 10), axis=0)) == 40


def trace_moments_pass(matrices):
    """Diaconis and Shahshahani 1994: E tr(Q) = 0, E tr(Q)**2 = 1, E tr(Q)**4 = 3 (n >= 4), and E tr(Q**2) = 1."""
    t = np.trace(matrices, axis1=1, axis2=2)
    t2 = np.trace(matrices @ matrices, axis1=1, axis2=2)
    n = len(t)
    checks = [
        (t.mean(), 0, 1), ((t**2).mean(), 1, math.sqrt(2)), ((t**4).mean(), 3, math.sqrt(96)), (t2.mean(), 1,
        math.sqrt(2)),
    ]  # fmt: skip
    return all(abs(got - expected) < 6 * spread / math.sqrt(n) for got, expected, spread in checks)


def draw(n, count, stack=1000):
    return np.concatenate(
        [sb.Orthogonal()((stack, n, n), sb.Key(1)[str(k)], axes="boi", dtype="float64") for k in range(count // stack)]
    )


def test_the_distribution_is_haar():
    matrices = draw(5, 10_000)
    assert trace_moments_pass(matrices)
    # A column is uniform on the sphere: an entry squared is Beta(1/2, (n - 1)/2).
    for i, j in ((0, 0), (4, 4), (2, 3)):
        assert stats.kstest(matrices[:, i, j] ** 2, stats.beta(0.5, 2).cdf).statistic < math.sqrt(
            math.log(2e9) / 20_000
        )
    assert abs(np.linalg.det(matrices).mean()) < 6 / 100  # both halves of the group


def test_the_eigen_angles_of_the_plane_are_uniform():
    matrices = draw(2, 10_000)
    turns = matrices[np.linalg.det(matrices) > 0]
    angles = np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
    bound = math.sqrt(math.log(2e9) / (2 * len(angles)))
    assert stats.kstest(angles, stats.uniform(-math.pi, 2 * math.pi).cdf).statistic < bound


def test_a_qr_without_the_signs_is_caught():
    """LAPACK's Q alone is not Haar: Mezzadri 2007, section 4."""
    gaussians = np.random.default_rng(0).normal(size=(10_000, 5, 5))
    assert not trace_moments_pass(np.linalg.qr(gaussians)[0])


def test_half_precision_is_rounded_once_and_gain_is_every_singular_value():
    made = sb.Orthogonal(gain=-1.5)((16, 24), rng=0, dtype="bfloat16")
    exact = sb.Orthogonal(gain=-1.5)((16, 24), rng=0)
    assert made.tobytes() == exact.astype(made.dtype).tobytes()
    assert np.linalg.svd(exact, compute_uv=False) == pytest.approx([1.5] * 16, rel=1e-5)


def test_it_says_that_its_bits_depend_on_the_machine_and_that_it_makes_the_whole():
    assert not sb.Orthogonal.portable
    assert not sb.Orthogonal.elementwise
