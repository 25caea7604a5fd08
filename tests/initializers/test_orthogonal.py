"""Orthogonal weights: exactly orthonormal, Haar distributed, one matrix a copy, group and part."""

import math
from concurrent.futures import ThreadPoolExecutor

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
        ((20, 6, 8), "ibo"),  # each head of an attention kernel
        ((4, 10, 40), sb.Axes("bio", splits=4)),  # each gate of each layer
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


COMPLEX = ("complex64", "complex128")


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("shape", [(30, 30), (20, 33), (33, 20), (1, 7), (140, 130)])
def test_complex_ones_are_unitary(shape, dtype):
    made = sb.Orthogonal(gain=2.0)(shape, rng=0, dtype=dtype) / 2
    assert made.dtype == dtype
    short = made if shape[0] <= shape[1] else made.T
    assert np.abs(short @ short.conj().T - np.eye(min(shape))).max() < {"complex64": 3e-6, "complex128": 1e-13}[dtype]
    stated = sb.Orthogonal(gain=2.0).expected(shape)
    assert np.sqrt((np.abs(made) ** 2).mean()) * 2 == pytest.approx(stated.std, rel=1e-5)


def unitary_moments_pass(matrices):
    """Diaconis and Shahshahani 1994: E tr = 0, E |tr|**2 = 1, E |tr|**4 = 2, E |tr(Q**2)|**2 = 2 (n >= 4)."""
    t = np.trace(matrices, axis1=1, axis2=2)
    square = np.trace(matrices @ matrices, axis1=1, axis2=2)
    n = len(t)
    checks = [
        (t.real.mean(), 0, math.sqrt(0.5)), (t.imag.mean(), 0, math.sqrt(0.5)), ((abs(t) ** 2).mean(), 1, 1),
        ((abs(t) ** 4).mean(), 2, math.sqrt(20)), ((abs(square) ** 2).mean(), 2, 2),
    ]  # fmt: skip
    return all(abs(got - expected) < 6 * spread / math.sqrt(n) for got, expected, spread in checks)


def test_complex_ones_are_haar_on_the_unitary_group():
    """An entry squared is Beta(1, n - 1); the determinant is uniform on the circle, as is each eigen-angle alone."""
    stack = sb.Orthogonal()((4000, 4, 4), sb.Key(1)["u"], axes="boi", dtype="complex128")
    assert unitary_moments_pass(stack)
    bound = math.sqrt(math.log(2e9) / (2 * 4000))
    assert stats.kstest(abs(stack[:, 1, 2]) ** 2, stats.beta(1, 3).cdf).statistic < bound
    turn = stats.uniform(-math.pi, 2 * math.pi).cdf
    assert stats.kstest(np.angle(np.linalg.det(stack)), turn).statistic < bound
    first = np.linalg.eigvals(stack)[np.arange(4000), np.random.default_rng(0).integers(4, size=4000)]
    assert stats.kstest(np.angle(first), turn).statistic < bound


def test_a_complex_qr_without_the_phases_is_caught():
    rng = np.random.default_rng(0)
    gaussians = rng.normal(size=(4000, 4, 4)) + 1j * rng.normal(size=(4000, 4, 4))
    assert not unitary_moments_pass(np.linalg.qr(gaussians)[0])


def test_the_phases_of_real_and_imaginary_parts_come_from_streams_of_their_own():
    made = sb.Orthogonal()((60, 60), rng=0, dtype="complex128")
    assert abs(np.corrcoef(made.real.ravel(), made.imag.ravel())[0, 1]) < 6 / 60
    assert np.abs(made.imag).min() > 0


@pytest.mark.parametrize("init", [sb.Orthogonal(), sb.DeltaOrthogonal()])
def test_complex_weights_are_filled_cut_and_refused_like_others(init):
    whole = init((4, 6, 3), rng=3, dtype="complex64")
    assert (init.region((4, 6, 3), np.s_[1:, ::2], rng=3, dtype="complex64") == whole[1:, ::2]).all()
    for out in (np.zeros((4, 6, 3), "complex64"), np.zeros((3, 6, 4), "complex64").T, np.zeros((4, 6, 3), ">c8")):
        assert (init.fill(out, rng=3) == whole).all()
        with ThreadPoolExecutor(1) as executor:
            out[...] = 0
            assert (init.fill(out, rng=3, executor=executor) == whole).all()
    pieces = [piece.copy() for piece in init.pieces((4, 6, 3), rng=3, dtype="complex64", size=50)]
    assert (np.concatenate(pieces) == whole.ravel()).all()
    assert init((0, 3), dtype="complex64").shape == (0, 3)
    with pytest.raises(TypeError, match="weights can't be made as 'complex512'; choose one of float16"):
        init((4, 6, 3), dtype="complex512")
    with pytest.raises(TypeError, match="weights can't be made as dtype"):
        sb.HeNormal().fill(np.zeros((3, 3), complex))
    with pytest.raises(NotImplementedError, match="HeNormal makes no complex weights"):
        sb.HeNormal().sample_complex((3, 3), None, None)


def test_a_rule_may_ask_for_complex_weights():
    plan = sb.plan({"w": (4, 4)}, {"w": sb.Rule(sb.Orthogonal(), dtype="complex64")})
    params = plan.initialize(0)
    assert params["w"].dtype == np.complex64
    assert (np.concatenate([piece.copy() for piece in next(plan.pieces(0)).draw()]) == params["w"].ravel()).all()
    assert plan.audit(params).ok
    with pytest.raises(TypeError, match="weights can't be made as 'complex64'"):
        sb.Rule(sb.HeNormal(), dtype="complex64")


def test_the_audit_judges_complex_weights_as_pairs():
    plan = sb.plan({"w": (40, 30)}, {"w": sb.Rule(sb.Orthogonal(), dtype="complex128")})
    params = plan.initialize(0)
    found = plan.audit(params)
    assert found.ok
    assert found.parameters["w"].std == pytest.approx(1 / math.sqrt(40), rel=0.01)
    assert plan.audit({"w": params["w"] * 1.3}).off
    tied = params["w"].copy()
    tied[3] = tied[5]
    assert plan.audit({"w": tied}).tied
    tied[0, 0] = complex(0, math.nan)
    assert plan.audit({"w": tied}).not_finite
    real = sb.plan({"w": (40, 30)}, {"w": sb.HeNormal()})
    assert "holds no real numbers" in real.audit(params).unexpected["w"]


def test_delta_orthogonal_is_unitary_in_the_middle():
    made = sb.DeltaOrthogonal()((5, 3, 3, 3), rng=0, dtype="complex128")
    assert np.count_nonzero(made) == 15
    assert made[:, :, 1, 1].conj().T @ made[:, :, 1, 1] == pytest.approx(np.eye(3), abs=1e-13)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn"])
def test_coarse_dtypes_are_the_single_precision_ones_rounded_for_every_copy(dtype):
    made = sb.Orthogonal()((3, 6, 6), rng=0, axes="boi", dtype=dtype)
    assert made.tobytes() == sb.Orthogonal()((3, 6, 6), rng=0, axes="boi").astype(made.dtype).tobytes()
