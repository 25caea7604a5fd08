"""What the papers prove of structured initializers, on real layers: convolutions, deep networks, signals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, ndimage, signal, stats

import symbreak as sb
from symbreak.initializers._sparse import choose_many
from symbreak.streams import Stream

ALPHA = 1e-9  # of each statistical test here; keys are fixed, so that nothing fails by chance


def convolve(images, kernel):
    """Circular convolution of (n, i, h, w) by (o, i, h, w), as networks have it, by the Fourier transform."""
    taps = kernel.shape[2:]
    padded = np.zeros((*kernel.shape[:2], *images.shape[2:]))
    padded[tuple(slice(0, size) for size in padded.shape[:2]) + tuple(slice(0, tap) for tap in taps)] = kernel
    padded = np.roll(padded, [-((tap - 1) // 2) for tap in taps], axis=tuple(range(2, kernel.ndim)))
    axes = tuple(range(2, images.ndim))
    spectrum = np.einsum("ni...,oi...->no...", np.fft.fftn(images, axes=axes), np.fft.fftn(padded, axes=axes).conj())
    return np.fft.ifftn(spectrum, axes=axes).real


def norms(x):
    return np.sqrt((x.reshape(len(x), -1) ** 2).sum(axis=1))


IMAGES = np.random.default_rng(0).normal(size=(5, 6, 9, 8))


def test_the_convolution_of_these_tests_is_that_of_a_slow_loop():
    kernel = np.random.default_rng(1).normal(size=(2, 6, 3, 4))
    slow = np.zeros((5, 2, 9, 8))
    for i in range(9):
        for j in range(8):
            for a in range(3):
                for b in range(4):
                    slow[:, :, i, j] += IMAGES[:, :, (i + a - 1) % 9, (j + b - 1) % 8] @ kernel[:, :, a, b].T
    assert convolve(IMAGES, kernel) == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize("taps", [(3, 3), (1, 1), (5, 4), (2, 6)])
@pytest.mark.parametrize("units", [6, 13])
def test_a_delta_orthogonal_convolution_keeps_every_norm(units, taps):
    kernel = sb.DeltaOrthogonal(gain=1.5)((units, 6, *taps), rng=0, dtype="float64")
    assert norms(convolve(IMAGES, kernel)) == pytest.approx(1.5 * norms(IMAGES), rel=1e-12)
    assert (
        convolve(IMAGES, kernel) != pytest.approx(convolve(IMAGES, np.roll(kernel, 1, axis=2)), abs=1e-3) or taps[0] < 2
    )


def test_with_fewer_units_it_is_the_transpose_that_keeps_every_norm():
    kernel = sb.DeltaOrthogonal()((4, 6, 3, 3), rng=0, dtype="float64")
    small = np.random.default_rng(2).normal(size=(5, 4, 9, 8))
    back = convolve(small, np.flip(kernel, axis=(2, 3)).swapaxes(0, 1))
    assert norms(back) == pytest.approx(norms(small), rel=1e-12)
    assert convolve(back, kernel) == pytest.approx(small, abs=1e-12)
    assert (norms(convolve(IMAGES, kernel)) < norms(IMAGES)).all()


@pytest.mark.parametrize("units", [3, 5, 2])
def test_the_singular_values_of_a_delta_orthogonal_convolution_are_its_gain(units):
    """Of the whole linear map of images, a doubly block circulant matrix: Sedghi, Gupta, Long 2019."""
    kernel = sb.DeltaOrthogonal()((units, 3, 3, 3), rng=0, dtype="float64")
    transformed = np.fft.fft2(kernel, (7, 7)).transpose(2, 3, 0, 1)
    assert np.linalg.svd(transformed, compute_uv=False) == pytest.approx(1, rel=1e-12)
    gaussian = np.fft.fft2(sb.LecunNormal()((units, 3, 3, 3), rng=0), (7, 7)).transpose(2, 3, 0, 1)
    assert np.ptp(np.linalg.svd(gaussian, compute_uv=False)) > 0.5


def test_a_thousand_delta_orthogonal_layers_keep_the_norm():
    kernel = sb.DeltaOrthogonal()((6, 6, 3, 3), rng=0, dtype="float64")
    x = IMAGES[:1]
    for _ in range(1000):
        x = convolve(x, kernel)
    assert norms(x) == pytest.approx(norms(IMAGES[:1]), rel=1e-10)


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 3, 6, 6), "hwio"), ((4, 8, 6, 3), "boiw"), ((12, 3, 3, 3), sb.Axes("oihw", groups=2))]
)
def test_delta_orthogonal_copies_and_groups_are_orthogonal_apart(shape, axes):
    made = sb.DeltaOrthogonal()(shape, rng=0, axes=axes, dtype="float64")
    for each in sb.Axes.of(axes, shape).matrices(made):
        columns = each[:, np.any(each, axis=0)]
        assert columns.T @ columns == pytest.approx(np.eye(columns.shape[1]), abs=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_an_even_kernel_has_its_middle_where_padding_same_looks():
    torch = pytest.importorskip("torch")
    image = torch.from_numpy(IMAGES[:1])
    for taps in ((4, 4), (3, 3), (2, 5)):
        for init in (sb.Identity(), sb.Dirac(), sb.PaddedIdentity(), sb.ZerO()):
            kernel = torch.from_numpy(init((6, 6, *taps), dtype="float64"))
            assert torch.equal(torch.nn.functional.conv2d(image, kernel, padding="same"), image)
        delta = sb.DeltaOrthogonal()((6, 6, *taps), rng=0)
        assert np.argwhere(delta[0, 0]).tolist() == [[(tap - 1) // 2 for tap in taps]]
    theirs = torch.nn.init.dirac_(torch.empty(6, 6, 4, 4, dtype=torch.float64))
    assert not torch.equal(torch.nn.functional.conv2d(image, theirs, padding="same"), image)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_dirac_is_that_of_torch_where_kernels_are_odd(groups):
    torch = pytest.importorskip("torch")
    for shape in ((8, 3, 3), (8, 5, 3, 5), (12, 2, 1, 3, 3)):
        theirs = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
        layout = {3: "oiw", 4: "oihw", 5: "oidhw"}[len(shape)]
        assert (sb.Dirac()(shape, axes=sb.Axes(layout, groups=groups)) == theirs).all()


def test_a_grouped_identity_passes_every_channel_on():
    torch = pytest.importorskip("torch")
    kernel = torch.from_numpy(sb.Identity()((6, 3, 3, 3), axes=sb.Axes("oihw", groups=2), dtype="float64"))
    image = torch.from_numpy(IMAGES)
    assert torch.equal(torch.nn.functional.conv2d(image, kernel, padding="same", groups=2), image)


@given(units=st.integers(1, 12), more=st.integers(0, 9), shift=st.integers(-20, 20))
def test_an_identity_is_a_shifted_eye(units, more, shift):
    expected = 2 * np.roll(np.eye(units + more), shift, axis=1)[:units]
    assert (sb.Identity(gain=2, shift=shift)((units, units + more)) == expected).all()
    assert (sb.Identity(gain=2, shift=shift)((units + more, units), axes="io") == expected.T).all()


@given(units=st.integers(1, 40), inputs=st.integers(1, 40))
def test_zero_is_the_product_of_its_three_matrices(units, inputs):
    """Zhao et al. 2022, algorithm 1, with SciPy's Hadamard matrix."""
    made = sb.ZerO()((units, inputs), dtype="float64")
    if units <= inputs:
        assert (made == np.eye(units, inputs)).all()
        return
    p = 1 << (units - 1).bit_length()
    assert made == pytest.approx(np.eye(units, p) @ (linalg.hadamard(p) / math.sqrt(p)) @ np.eye(p, inputs), abs=1e-15)
    stated = sb.ZerO().expected((units, inputs))
    assert (stated.mean, stated.std) == pytest.approx((made.mean(), made.std()), abs=1e-12)
    labels = len(np.unique(made, axis=0))
    assert labels == min(units, 1 << (inputs - 1).bit_length())  # what the class says of its ties


def test_zero_grows_in_rank_where_a_partial_identity_does_not():
    """Zhao et al. 2022, theorem 1: how far a square layer behind an expanding one comes from the identity."""
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(4, 200)), rng.normal(size=(16, 16)) @ rng.normal(size=(16, 200))
    ranks = {}
    for name, first in (("zero", sb.ZerO()((16, 4), dtype="float64")), ("partial", np.eye(16, 4))):
        weights = [first.copy(), np.eye(16), np.eye(16)]
        for _ in range(200):
            a = [x]
            for k, w in enumerate(weights):
                a.append(w @ a[-1] if k == 2 else np.maximum(w @ a[-1], 0))
            g = (a[-1] - targets) / 200
            for k in (2, 1, 0):
                g = g if k == 2 else g * (a[k + 1] > 0)
                step, g = g @ a[k].T, weights[k].T @ g
                weights[k] -= 0.005 * step
        ranks[name] = np.linalg.matrix_rank(weights[1] - np.eye(16), tol=1e-6)
    assert ranks["partial"] <= 4 < ranks["zero"]


def test_a_padded_identity_repeats_its_inputs():
    x = np.arange(3.0)
    assert (sb.PaddedIdentity()((8, 3)) @ x).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert (sb.PaddedIdentity()((3, 8)) @ np.ones(8)).tolist() == [3, 3, 2]


@pytest.mark.parametrize(
    ("shape", "axes", "flat"),
    [
        ((6, 2, 3, 3), None, lambda w: w.reshape(6, 18)),
        ((20, 2, 3), None, lambda w: w.reshape(20, 6)),  # wider than its patch
        ((3, 3, 2, 6), "hwio", lambda w: w.transpose(3, 2, 0, 1).reshape(6, 18)),
        ((8, 2, 5), sb.Axes("oiw", groups=2), lambda w: w[:4].reshape(4, 10)),
        ((8, 2, 5), sb.Axes("oiw", groups=2), lambda w: w[4:].reshape(4, 10)),
        ((8, 2, 5), sb.Axes("oiw", splits=2), lambda w: w[4:].reshape(4, 10)),
        ((3, 6, 2, 4), "boiw", lambda w: w[1].reshape(6, 8)),
    ],
    ids=["patch", "wide", "hwio", "first group", "second group", "part", "copy"],
)
def test_a_padded_identity_over_patches_is_that_of_the_flattened_kernel(shape, axes, flat):
    """Pan et al. 2025: unit u reads column j of the flat kernel where j - u is a multiple of the shorter side."""
    made = flat(sb.PaddedIdentity(patches=True, gain=0.5)(shape, axes=axes))
    units, columns = made.shape
    expected = np.subtract.outer(np.arange(units), np.arange(columns)) % min(units, columns) == 0
    assert (made == 0.5 * expected).all()
    assert np.linalg.matrix_rank(made) == min(units, columns)  # of the middle alone it is the number of inputs at most


def test_units_that_read_patches_see_more_than_the_inputs_alone():
    middle, patches = (sb.PaddedIdentity(patches=each)((16, 2, 3, 3)).reshape(16, -1) for each in (False, True))
    assert (np.linalg.matrix_rank(middle), np.linalg.matrix_rank(patches)) == (2, 16)
    assert [len(np.unique(each, axis=0)) for each in (middle, patches)] == [2, 16]


def test_whether_patches_are_read_is_yes_or_no():
    with pytest.raises(TypeError, match="PaddedIdentity: patches is True or False; got 'all'"):
        sb.PaddedIdentity(patches="all")


SPARSE = [
    ((40, 784), None, 784), ((784, 40), "io", 784), ((30, 8, 5, 5), None, 200), ((5, 5, 8, 30), "hwio", 200),
    ((6, 20, 50), "boi", 50), ((64, 4, 5, 5), sb.Axes("oihw", groups=8), 100), ((30, 9), None, 9),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "axes", "incoming"), SPARSE)
@pytest.mark.parametrize("inputs", [1, 15, 0.1, 0.9])
def test_every_unit_reads_exactly_so_many_inputs(shape, axes, incoming, inputs):
    made = sb.Sparse(inputs)(shape, rng=0, axes=axes)
    count = min(inputs, incoming) if isinstance(inputs, int) else math.ceil(inputs * incoming - 1e-9)
    maps = sb.Axes.of(axes, shape).matrices(made)
    assert (np.count_nonzero(maps, axis=-1) == count).all()


@pytest.mark.parametrize(("k", "n"), [(1, 7), (3, 12), (11, 12), (65, 70), (64, 70)])
def test_all_inputs_are_chosen_alike_alone_and_in_pairs(k, n):
    rows = 20_000
    chosen = sb.Sparse(k)((rows, n), rng=3) != 0
    p = k / n
    z = (chosen.mean(axis=0) - p) / math.sqrt(p * (1 - p) / rows)
    assert np.abs(z).max() < stats.norm.isf(ALPHA / n)
    if k > 1:
        both, q = (chosen[:, 0] & chosen[:, n - 1]).mean(), p * (k - 1) / (n - 1)
        assert abs(both - q) < stats.norm.isf(ALPHA) * math.sqrt(q * (1 - q) / rows)
    biased = chosen.copy()  # one row in ten that reads the first input in any case is seen
    biased[::10, 0] = True
    if k <= n / 2:
        assert abs(biased[:, 0].mean() - p) / math.sqrt(p * (1 - p) / rows) > stats.norm.isf(ALPHA / n)


def test_equal_words_are_chosen_in_order_and_never_too_many():
    """With words of four values nearly every row has a tie at its threshold."""

    class Coarse:
        def __init__(self, stream):
            self.key = self
            self.generator = stream.key.bit_generator("choice")

        def bit_generator(self, lane):
            return self

        def random_raw(self, n):
            return self.generator.random_raw(n) & np.uint64(0x0000000300000003)

    mask = choose_many(Coarse(Stream(0)), 50, 101, 70)
    assert (mask.sum(axis=1) == 70).all()


def test_the_weights_that_are_there_are_normal():
    made = sb.Sparse(100, std=0.3)((2000, 300), rng=0, dtype="float64")
    values = made[made != 0] / 0.3
    bound = math.sqrt(math.log(2 / ALPHA) / (2 * len(values)))
    assert stats.kstest(values, "norm").statistic < bound
    assert stats.kstest(np.where(np.arange(len(values)) % 50 == 0, -9, values), "norm").statistic > bound
    assert values.std() == pytest.approx(1, abs=6.2 / math.sqrt(2 * len(values)))
    assert values.std() * 1.02 != pytest.approx(1, abs=6.2 / math.sqrt(2 * len(values)))


def test_units_are_never_dead_where_those_of_torch_may_be():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = torch.nn.init.sparse_(torch.empty(64, 64), 0.95).numpy()
    assert not theirs.any(axis=1).all()
    assert sb.Sparse(0.05)((64, 64), rng=0).any(axis=1).all()


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_bilinear_kernel_enlarges_as_interpolation_does(factor):
    torch = pytest.importorskip("torch")
    size = 2 * factor - factor % 2
    image = torch.from_numpy(IMAGES)
    for groups, shape in ((1, (6, 6, size, size)), (6, (6, 1, size, size))):
        kernel = torch.from_numpy(sb.Bilinear()(shape, axes=sb.Axes("iohw", groups=groups), dtype="float64"))
        padding = (size - factor + 1) // 2
        ours = torch.nn.functional.conv_transpose2d(image, kernel, stride=factor, padding=padding, groups=groups)
        inner = ours.numpy()[..., factor:-factor, factor:-factor]
        theirs = torch.nn.functional.interpolate(image, scale_factor=factor, mode="bilinear").numpy()
        assert inner == pytest.approx(theirs[..., factor : factor + inner.shape[-2], factor : factor + inner.shape[-1]])


def test_a_bilinear_kernel_is_that_of_ndimage_along_a_line():
    line = IMAGES[0, 0, 0]
    kernel = sb.Bilinear()((1, 1, 4), axes="iow", dtype="float64").ravel()
    ours = np.convolve(np.insert(line, range(1, len(line)), 0), kernel)[1:-1]
    places = (np.arange(2 * len(line)) - 0.5) / 2
    inside = (places >= 0) & (places <= len(line) - 1)
    assert ours[inside[: len(ours)]] == pytest.approx(ndimage.map_coordinates(line, [places[inside]], order=1))


@pytest.mark.parametrize("scale", [2, 3])
def test_a_sub_pixel_convolution_starts_as_nearest_neighbours(scale):
    torch = pytest.importorskip("torch")
    image = torch.from_numpy(IMAGES)
    init = sb.ICNR(sb.HeNormal(), scale=scale)
    kernel = init((5 * scale**2, 6, 3, 3), sb.Key(0)["up"], dtype="float64")
    small = sb.HeNormal()((5, 6, 3, 3), sb.Key(0)["up"], dtype="float64")
    large = torch.nn.functional.conv2d(image, torch.from_numpy(kernel), padding=1)
    low = torch.nn.functional.conv2d(image, torch.from_numpy(small), padding=1)
    ours = torch.nn.functional.pixel_shuffle(large, scale).numpy()
    assert ours == pytest.approx(torch.nn.functional.interpolate(low, scale_factor=scale, mode="nearest").numpy())


def test_the_other_order_is_that_of_depth_to_space():
    kernel = sb.ICNR(sb.HeNormal(), order="DCR")((3, 3, 6, 20), rng=0, axes="hwio")
    blocks = kernel.reshape(3, 3, 6, 4, 5)  # depth_to_space: units are (block, channel)
    assert (blocks == blocks[:, :, :, :1]).all()
    assert len(np.unique(kernel.reshape(-1, 20).T, axis=0)) == 5


def relu(x):
    return np.maximum(x, 0)


def test_a_deep_network_of_mirrored_weights_is_linear():
    """Balduzzi et al. 2017: fifty ReLU layers are exactly the product of fifty orthogonal matrices."""
    key, width = sb.Key(0), 32
    x = np.random.default_rng(0).normal(size=(width // 2, 10))
    first = sb.LooksLinear(position="first")((width, width // 2), key["first"], dtype="float64")
    h, linear = relu(first @ x), first[: width // 2] @ x
    for layer in range(48):
        w = sb.LooksLinear()((width, width), key[str(layer)], dtype="float64")
        h, linear = relu(w @ h), w[: width // 2, : width // 2] @ linear
    last = sb.LooksLinear(position="last")((width // 2, width), key["last"], dtype="float64")
    assert last @ h == pytest.approx(last[:, : width // 2] @ linear, abs=1e-10)
    assert np.linalg.norm(last @ h, axis=0) == pytest.approx(np.linalg.norm(x, axis=0), rel=1e-10)


def test_mirrored_convolutions_are_linear_too():
    torch = pytest.importorskip("torch")
    image = torch.from_numpy(IMAGES)
    first = sb.LooksLinear("delta_orthogonal", position="first")((12, 6, 3, 3), sb.Key(0)["a"], dtype="float64")
    last = sb.LooksLinear("delta_orthogonal", position="last")((6, 12, 3, 3), sb.Key(0)["b"], dtype="float64")
    conv = lambda x, w: torch.nn.functional.conv2d(x, torch.from_numpy(w), padding=1)  # noqa: E731
    through = conv(torch.relu(conv(image, first)), last).numpy()
    assert through == pytest.approx(conv(conv(image, first[:6].copy()), last[:, :6].copy()).numpy(), abs=1e-12)


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "boxcar"])
@pytest.mark.parametrize("n", [16, 15, 1, 2])
def test_a_fourier_kernel_gives_the_spectrum_of_each_frame(window, n):
    sound = np.random.default_rng(0).normal(size=64)
    frames = np.lib.stride_tricks.sliding_window_view(sound, n)[::3]
    expected = np.fft.rfft(frames * signal.get_window(window, n), axis=1)
    for part, theirs in (("real", expected.real), ("imaginary", expected.imag), ("both", None)):
        theirs = np.concatenate([expected.real, expected.imag], axis=1) if theirs is None else theirs
        kernel = sb.Fourier(window, part=part)((theirs.shape[1], 1, n), dtype="float64")
        assert frames @ kernel[:, 0].T == pytest.approx(theirs, abs=1e-12)


def test_fourier_kernels_have_the_units_of_scipys_transform():
    sound = np.random.default_rng(0).normal(size=400)
    _, _, theirs = signal.stft(sound, nperseg=32, noverlap=24, boundary=None, padded=False, scaling="spectrum")
    kernel = sb.Fourier("hann")((34, 32), dtype="float64")
    ours = kernel @ np.lib.stride_tricks.sliding_window_view(sound, 32)[::8].T
    window = signal.get_window("hann", 32).sum()
    assert ours[:17] / window == pytest.approx(theirs.real, abs=1e-12)
    assert ours[17:] / window == pytest.approx(theirs.imag, abs=1e-12)
    assert sb.Fourier(part="real").ties == "breaks"
    assert sb.Fourier().ties == "ties"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.DeltaOrthogonal(gain=0), r"DeltaOrthogonal: gain is 0, .*; for that use `Zeros\(\)`"),
        (lambda: sb.Identity(gain=math.nan), "Identity: gain is a finite number within float32; got nan"),
        (lambda: sb.Identity(shift=0.5), "Identity: shift is an integer; got 0.5"),
        (lambda: sb.Identity()((4, 3)), r"has 4 units and 3 inputs; the others are zero with `Dirac\(\)`, repeat"),
        (
            lambda: sb.Sparse(0),
            "Sparse: inputs is how many a unit reads, an integer of 1 or more.*; got 0",
        ),
        (lambda: sb.Sparse(1.0), "Sparse: inputs is .* or a share between 0 and 1; got 1.0"),
        (lambda: sb.Sparse(True), "Sparse: inputs is .*; got True"),
        (lambda: sb.Sparse(std=0), "Sparse: std is 0"),
        (
            lambda: sb.Bilinear()((3, 4, 2, 2)),
            r"\(3, 4, 2, 2\) has 3 units and 4 inputs a group; name the axes",
        ),
        (lambda: sb.Bilinear()((3, 3)), r"Bilinear: .* `shape` \(3, 3\) has no receptive field"),
        (lambda: sb.ICNR(scale=1), "ICNR: scale is an integer of 2 or more; got 1"),
        (lambda: sb.ICNR(order="RCD"), "ICNR: order is 'CRD' .* or 'DCR' .*; got 'RCD'"),
        (lambda: sb.ICNR("he"), "no initializer is called 'he'"),
        (lambda: sb.ICNR()((6, 3, 3, 3), 0), r"2-fold enlargement takes a multiple of 4 units a group; .* has 6"),
        (lambda: sb.ICNR()((8, 3), 0), r"ICNR: takes the kernel of a convolution .*; got `shape` \(8, 3\)"),
        (lambda: sb.LooksLinear(position="middle"), "position is one of 'first', 'hidden', 'last'; got 'middle'"),
        (lambda: sb.LooksLinear()((6, 3), 0), r"position 'hidden' takes inputs in pairs; `shape` \(6, 3\) has 3"),
        (lambda: sb.LooksLinear(position="first")((5, 4), 0), r"takes units in pairs; `shape` \(5, 4\) has 5"),
        (
            lambda: sb.LooksLinear()((6, 4, 3), 0, axes=sb.Axes("oiw", groups=2)),
            "takes layouts of one output and one input axis, without groups and splits; got Axes",
        ),
        (lambda: sb.Fourier("square"), "window is one of 'boxcar', 'hann', .*; got 'square'"),
        (lambda: sb.Fourier(part="phase"), "part is one of 'both', .*; got 'phase'"),
        (lambda: sb.Fourier(part="phase"), "part is one of 'both', 'real', 'imaginary'; got 'phase'"),
        (lambda: sb.Fourier()((4, 2, 8)), r"a unit reads one channel, but `shape` \(4, 2, 8\) has 2"),
        (lambda: sb.Fourier()((4, 1, 8, 8)), r"a frame has one axis, but `shape` \(4, 1, 8, 8\) has 2"),
        (
            lambda: sb.Fourier()((12, 8)),
            "8 samples has 5 frequencies, so part 'both' takes up to 10 units, an",
        ),
        (lambda: sb.Fourier(part="real")((6, 8)), "part 'real' takes up to 5 units; `shape`"),
        (lambda: sb.Fourier()((3, 8)), "an even number; `shape` .* has 3"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_wraps_another_names_itself_where_that_is_none():
    for make in (sb.ICNR, sb.LooksLinear):
        with pytest.raises(TypeError, match=f"{make.__name__}: init: an initializer is given by name"):
            make(3)
        assert make("normal").portable
        assert not make("orthogonal").portable
        assert not make("normal").elementwise
