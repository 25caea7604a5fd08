"""Low-rank adapters: what they add, what they leave, and what it all sums to."""

import math

import ml_dtypes
import numpy as np
import pytest
from scipy import stats

import symbreak as sb
from symbreak import adapters
from symbreak.dtypes import as_float_dtype

KEY = sb.Key(0)


def weight_of(shape, dtype="float32", decay=0.9):
    """Give a weight whose singular values fall by `decay` each, as those of trained networks do."""
    left = sb.Orthogonal()(shape, KEY["left"], dtype="float64")
    small = min(shape)
    values = decay ** np.arange(small)
    right = sb.Orthogonal()((small, small), KEY["right"], dtype="float64")
    made = (left * values) @ right if shape[0] >= shape[1] else (right * values) @ left
    return made.astype(as_float_dtype(dtype))


GRADIENT = sb.Normal()((48, 40), KEY["gradient"], dtype="float64")
STARTS = {
    "pissa": lambda w, **options: adapters.pissa(w, 6, **options),
    "pissa, randomized": lambda w, **options: adapters.pissa(w, 6, rng=3, iterations=2, **options),
    "olora": lambda w, **options: adapters.olora(w, 6, **options),
    "lora_ga": lambda w, **options: adapters.lora_ga(w, gradient_like(w), 6, **options),
    "lora": lambda w, **options: adapters.lora(w, 6, rng=3, **options),
    "gaussian": lambda w, **options: adapters.lora(w, 6, rng=3, start="gaussian", **options),
    "orthogonal": lambda w, **options: adapters.lora(w, 6, rng=3, start="orthogonal", **options),
}
each = pytest.mark.parametrize("start", STARTS)


def gradient_like(weight):
    return (GRADIENT if weight.shape == (48, 40) else GRADIENT.T).astype(np.float32)


def epsilon(dtype):
    return float(ml_dtypes.finfo(as_float_dtype(dtype)).eps)


@each
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("scale", [1.0, 2.0, 0.25])
def test_residual_and_factors_sum_to_the_weight(start, dtype, scale):
    weight = weight_of((48, 40), dtype)
    made = STARTS[start](weight, scale=scale)
    assert (made.rank, made.scale) == (6, scale)
    assert made.a.shape == (6, 40)
    assert made.b.shape == (48, 6)
    assert made.residual.dtype == made.a.dtype == made.b.dtype == weight.dtype
    exact = scale * made.b.astype(np.float64) @ made.a.astype(np.float64) + made.residual.astype(np.float64)
    error = np.abs(exact - weight.astype(np.float64)).max()
    computed = epsilon("float64" if dtype == "float64" else "float32")
    largest = max(np.abs(weight.astype(np.float64)).max(), np.abs(made.residual.astype(np.float64)).max())
    sums = scale * (np.abs(made.b.astype(np.float64)) @ np.abs(made.a.astype(np.float64))).max()
    assert error <= epsilon(dtype) / 2 * largest * 1.01 + 8 * computed * sums
    assert made.merged() == pytest.approx(weight.astype(np.float64), abs=2 * error + 8 * computed * sums)
    assert np.linalg.matrix_rank(made.delta().astype(np.float64), tol=64 * computed * max(sums, 1)) <= 6


@each
def test_factors_may_have_another_dtype_than_the_weight(start):
    weight = weight_of((48, 40), "bfloat16")
    made = STARTS[start](weight, dtype="float32")
    assert made.a.dtype == made.b.dtype == np.float32
    assert made.residual.dtype == weight.dtype
    assert np.abs(made.merged() - weight.astype(np.float32)).max() <= epsilon("bfloat16") * 1.1


@each
def test_the_other_order_of_axes_is_the_transpose(start):
    weight = weight_of((48, 40))
    made, turned = STARTS[start](weight), STARTS[start](np.ascontiguousarray(weight.T), axes="io")
    assert turned.a.shape == (40, 6)
    assert turned.b.shape == (6, 48)
    assert turned.rank == 6
    assert turned.merged() == pytest.approx(weight.T, abs=1e-5)
    assert pytest.approx(made.delta(), abs=1e-4 * max(1, np.abs(made.delta()).max())) == turned.delta().T


@each
def test_the_same_key_gives_the_same_adapter(start):
    weight = weight_of((40, 48))
    one, two = STARTS[start](weight), STARTS[start](weight.copy())
    for first, second in zip(one[:3], two[:3], strict=True):
        assert first.tobytes() == second.tobytes()


def test_another_key_gives_another_adapter():
    weight = weight_of((48, 40))
    assert not (adapters.lora(weight, 4, rng=KEY["x"]).a == adapters.lora(weight, 4, rng=KEY["y"]).a).any()


@pytest.mark.parametrize("shape", [(48, 40), (40, 48), (7, 7)])
@pytest.mark.parametrize("rank", [1, 5])
def test_pissa_takes_the_largest_singular_values(shape, rank):
    weight = weight_of(shape, "float64")
    values = np.linalg.svd(weight, compute_uv=False)
    made = adapters.pissa(weight, rank, scale=0.5)
    assert np.linalg.svd(made.delta(), compute_uv=False)[:rank] == pytest.approx(values[:rank], rel=1e-12)
    assert np.linalg.svd(made.residual, compute_uv=False)[: len(values) - rank] == pytest.approx(
        values[rank:], rel=1e-9
    )
    assert made.energy() == pytest.approx(np.sum(values[:rank] ** 2) / np.sum(values**2), rel=1e-12)
    # The factors share the values: A A' = B' B = S / s.
    assert made.a @ made.a.T == pytest.approx(np.diag(values[:rank] / 0.5), abs=1e-12)
    assert made.b.T @ made.b == pytest.approx(np.diag(values[:rank] / 0.5), abs=1e-12)


def test_iterations_lead_to_the_exact_decomposition():
    """Halko, Martinsson, Tropp 2011: the spectral error tends to the next singular value."""
    weight = weight_of((150, 120), "float64", decay=0.97)
    next_value = 0.97**16
    errors = []
    for iterations in (0, 1, 2, 4):
        made = adapters.pissa(weight, 16, rng=1, iterations=iterations)
        errors.append(np.linalg.norm(made.residual, 2) / next_value - 1)
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05
    assert errors[-1] < 0.01
    exact = adapters.pissa(weight, 16)
    assert abs(made.energy() - exact.energy()) < 1e-3
    low_rank = weight_of((120, 100), "float64", decay=1e-3)  # of rank 5 to rounding: one pass finds it all
    assert adapters.pissa(low_rank, 8, iterations=0).delta() == pytest.approx(low_rank, abs=1e-12)


def test_olora_is_the_beginning_of_the_qr_decomposition():
    for shape in ((48, 40), (40, 48)):
        weight = weight_of(shape, "float64")
        q, r = np.linalg.qr(weight)
        made = adapters.olora(weight, 6, scale=2.0)
        assert made.b == pytest.approx(q[:, :6], abs=1e-12)
        assert made.a == pytest.approx(r[:6], abs=1e-12)
        assert made.b.T @ made.b == pytest.approx(np.eye(6), abs=1e-13)


def test_starts_that_change_nothing():
    weight = weight_of((48, 40))
    for start in ("default", "gaussian", "orthogonal"):
        made = adapters.lora(weight, 6, rng=0, start=start)
        assert made.residual is weight
        assert np.abs(made.delta()).max() < 1e-7
        assert made.energy() == pytest.approx(0, abs=1e-6)
        assert made.a.any()
        assert made.b.any() == (start == "orthogonal")


def test_the_distributions_of_the_plain_starts():
    weight = np.zeros((64, 2000), np.float32)
    uniform = adapters.lora(weight, 64, rng=0).a.ravel() * math.sqrt(2000)
    limit = math.sqrt(math.log(2e9) / (2 * uniform.size))
    assert stats.kstest(uniform, stats.uniform(-1, 2).cdf).statistic < limit
    assert stats.kstest(uniform * 1.02, stats.uniform(-1, 2).cdf).statistic > limit
    normal = adapters.lora(weight, 64, rng=0, start="gaussian").a.ravel() * 64
    assert stats.kstest(normal, stats.norm.cdf).statistic < limit
    assert normal.std() == pytest.approx(1, rel=6.5 / math.sqrt(2 * normal.size))
    made = adapters.lora(weight, 64, rng=0, start="orthogonal")
    # A row of Q' G has as many standard normals as half the rank, each times 1/10 of a unit vector's part.
    assert made.a.std() == pytest.approx(0.1 * math.sqrt(0.5), rel=0.02)
    assert made.b.std() == pytest.approx(0.1 * math.sqrt(0.5), rel=0.05)
    # Both factors get a gradient at once, unlike those with a zero factor.
    assert np.linalg.matrix_rank(made.b) == 32


@pytest.mark.parametrize("rank", [2, 5])
def test_the_first_step_of_lora_ga_is_the_best_of_twice_the_rank(rank):
    """Theorem 3.1: with orthonormal A, B, the step along B B' G + G A' A is the truncation of G to twice the rank."""
    weight, gradient = weight_of((48, 40), "float64"), GRADIENT
    made = adapters.lora_ga(weight, gradient, rank, gamma=math.sqrt(48))  # which makes the factors orthonormal
    assert made.a @ made.a.T == pytest.approx(np.eye(rank), abs=1e-12)
    step = made.b @ made.b.T @ gradient + gradient @ made.a.T @ made.a
    left, values, right = np.linalg.svd(gradient)
    best = (left[:, : 2 * rank] * values[: 2 * rank]) @ right[: 2 * rank]
    assert step == pytest.approx(best, abs=1e-11)
    same = adapters.pissa(gradient, rank)  # both factors in the same directions: the step counts them twice
    u, v = same.b / np.linalg.norm(same.b, axis=0), same.a / np.linalg.norm(same.a, axis=1)[:, None]
    twice = u @ u.T @ gradient + gradient @ v.T @ v
    assert np.linalg.norm(twice - gradient) > np.linalg.norm(step - gradient)


@pytest.mark.parametrize("shape", [(64, 64), (256, 64), (64, 256)])
@pytest.mark.parametrize("rank", [4, 16])
def test_what_lora_ga_adds_has_one_size_whatever_the_shape(shape, rank):
    """Section 3.3: with s = alpha / sqrt(rank), the outputs of s B A have the standard deviation alpha / gamma."""
    alpha, gamma = 8.0, 16.0
    weight, gradient = (sb.Normal()(shape, KEY[name]) for name in ("w", "g"))
    made = adapters.lora_ga(weight, gradient, rank, gamma=gamma, scale=alpha / math.sqrt(rank))
    x = sb.Normal()((shape[1], 2000), KEY["x"])
    assert (made.delta() @ x).std() == pytest.approx(alpha / gamma, rel=0.03)


def test_lora_ga_finds_the_directions_by_iterations_too():
    weight = weight_of((100, 80), "float64")
    exact = adapters.lora_ga(weight, weight, 4)
    fast = adapters.lora_ga(weight, weight, 4, iterations=4)
    assert np.abs(fast.a @ exact.a.T) == pytest.approx(np.abs(exact.a @ exact.a.T), abs=1e-4)


def test_energy_of_a_weight_of_zeros_is_none():
    assert adapters.lora(np.zeros((4, 3)), 2, rng=0).energy() == 0.0


W = np.ones((8, 6), np.float32)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: adapters.lora(W, 0), ValueError, "rank is an integer from 1 to 6, .* 6 inputs and 8 units; got 0"),
        (lambda: adapters.pissa(W, 7), ValueError, "rank is an integer from 1 to 6, .*; got 7"),
        (lambda: adapters.olora(W, 2.0), ValueError, "rank is an integer from 1 to 6, .*; got 2.0"),
        (lambda: adapters.lora(W, 3, start="orthogonal"), ValueError, "the orthogonal start cuts .* is even; got 3"),
        (
            lambda: adapters.lora(W, 2, start="pissa"),
            ValueError,
            "start is one of 'default', 'gaussian', .* got 'pissa'",
        ),
        (lambda: adapters.lora(W, 2, scale=0), ValueError, "scale is a positive number, alpha / rank in PEFT; got 0"),
        (lambda: adapters.pissa(W, 2, scale=-1), ValueError, "scale is a positive number"),
        (
            lambda: adapters.lora(W, 2, axes="boi"),
            ValueError,
            r"axes is 'oi' \(out, in\) or 'io' \(in, out\); got 'boi'",
        ),
        (lambda: adapters.lora(W, 2, dtype="int8"), TypeError, "weights can't be made as 'int8'"),
        (lambda: adapters.pissa(W.astype(int), 2), TypeError, "the weight is an array of floats; got ndarray of int64"),
        (
            lambda: adapters.pissa(W[0], 2),
            ValueError,
            r"is a matrix, .* got the shape \(6,\): a convolution's",
        ),
        (lambda: adapters.pissa(W[:0], 1), ValueError, r"one unit and one input at least; got the shape \(0, 6\)"),
        (lambda: adapters.pissa(W * np.nan, 2), ValueError, "the weight has values that are not finite"),
        (lambda: adapters.pissa(W, 2, iterations=-1), ValueError, "iterations is a number of steps, .* got -1"),
        (lambda: adapters.pissa(W, 2, iterations=1.5), ValueError, "iterations is a number of steps, .* got 1.5"),
        (lambda: adapters.lora_ga(W, W[:4], 2), ValueError, r"has the shape of the weight, \(8, 6\); got \(4, 6\)"),
        (lambda: adapters.lora_ga(W, W, 4), ValueError, "take 4 directions .* it has 6; the rank is 3 at most"),
        (lambda: adapters.lora_ga(W, 0 * W, 2), ValueError, "the gradient is zero and has no directions"),
        (lambda: adapters.lora_ga(W, W * np.inf, 2), ValueError, "the gradient has values that are not finite"),
        (lambda: adapters.lora_ga(W, W, 2, gamma=0), ValueError, "lora_ga: gamma is a positive number; got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.filterwarnings("ignore")  # PEFT's, of what it imports
@pytest.mark.parametrize(("start", "alpha"), [("pissa", 8), ("pissa", 3), ("olora", 8), ("olora", 16)])
def test_peft_starts_at_the_same_place(start, alpha):
    peft, torch = pytest.importorskip("peft"), pytest.importorskip("torch")
    weight = weight_of((48, 40))
    model = torch.nn.Sequential(torch.nn.Linear(40, 48))
    model[0].weight.data = torch.from_numpy(weight.copy())
    config = peft.LoraConfig(r=6, lora_alpha=alpha, target_modules=["0"], init_lora_weights=start)
    layer = peft.get_peft_model(model, config).base_model.model[0]
    a, b = (part["default"].weight.detach().numpy() for part in (layer.lora_A, layer.lora_B))
    made = (adapters.olora if start == "olora" else adapters.pissa)(weight, 6, scale=alpha / 6)
    assert b @ a == pytest.approx(made.b @ made.a, abs=1e-5)
    assert layer.base_layer.weight.detach().numpy() == pytest.approx(made.residual, abs=1e-5)


def test_the_factors_of_a_reshaped_kernel_are_a_convolution_and_a_pointwise_one_behind_it():
    """As PEFT has them: both convolutions together are the one with what the adapter adds."""
    weight = sb.HeNormal()((8, 4, 3, 3), rng=0, dtype="float64")
    adapter = sb.adapters.pissa(weight.reshape(8, -1), 5)
    a, b = adapter.a.reshape(5, 4, 3, 3), adapter.b.reshape(8, 5, 1, 1)
    image = sb.Normal()((4, 7, 7), rng=1, dtype="float64")

    def convolve(image, kernel):
        windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape[2:], axis=(1, 2))
        return np.einsum("ihwyx,oiyx->ohw", windows, kernel)

    both = convolve(convolve(image, a), b) + convolve(image, adapter.residual.reshape(weight.shape))
    assert both == pytest.approx(convolve(image, weight), rel=1e-10, abs=1e-10)
