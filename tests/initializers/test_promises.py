"""Every promise of the shelf, asked of every registered initializer through one table."""

import json
import math
import pickle
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.axes import units_first
from symbreak.dtypes import EXTENSION_FLOATS, NUMPY_FLOATS, as_float_dtype
from symbreak.initializers import _base, _registry
from symbreak.streams import _window

INF = math.inf
CUT = 2 / 0.87962566103423978  # bounds of a normal cut at two sigma, in its own standard deviations after the cut

LOWER = (32 * 33 / 2 + 32 * 32) / (64 * 32)  # the share of a (64, 32) weight on and below the diagonal

DEFAULT = (
    ((96, 160), None),
    ((160, 96), "io"),
    ((32, 16, 5, 5), None),
    ((5, 5, 16, 32), "hwio"),
    ((16, 32, 5, 5), "iohw"),
    ((8, 48, 32), "boi"),
    ((192, 96), sb.Axes("oi", splits=3)),
    ((160, 96), sb.Axes("oi", splits=(96, 32, 32))),
    ((64, 4, 5, 5), sb.Axes("oihw", groups=8)),
)

# With at most as many units as inputs in every copy, group and part; and with more than twice as many.
NARROW = (
    ((96, 160), None),
    ((160, 96), "io"),
    ((16, 32, 5, 5), None),
    ((5, 5, 32, 16), "hwio"),
    ((32, 16, 5, 5), "iohw"),
    ((8, 32, 48), "boi"),
    ((192, 96), sb.Axes("oi", splits=3)),
    ((16, 4, 5, 5), sb.Axes("oihw", groups=8)),
)
WIDE = (
    ((160, 40), None),
    ((40, 160), "io"),
    ((32, 8, 5, 5), None),
    ((5, 5, 8, 32), "hwio"),
    ((8, 48, 16), "boi"),
    ((192, 16), sb.Axes("oi", splits=3)),
    ((64, 2, 5, 5), sb.Axes("oihw", groups=8)),
)


@dataclass(frozen=True)
class Row:
    """What is published of one class, and where every promise is asked of it."""

    init: sb.AbstractInitializer
    names: set[str]
    ties: str
    # Of a weight of `shape` and `axes`: the exact mean and variance of an entry, and its bounds.
    mean: float | Fraction
    variance: float | Fraction
    high: float
    shape: tuple[int, ...] = (64, 32)
    axes: Any = None
    low: float | None = None  # None: as far below the mean as `high` is above
    layouts: tuple[tuple[tuple[int, ...], Any], ...] = DEFAULT  # (shape, axes) that promises are asked on
    empty: tuple[tuple[int, ...], ...] = ((0, 5), (5, 0), (0, 0), (3, 0, 2, 2))
    drawn: str = "all"  # which entries depend on the key: "all", "some" or "none"
    kurtosis: float = 3.0  # of an entry, at most: a standard deviation is known to sqrt((kurtosis - 1) / 4n) of itself


UNGROUPED = tuple((shape, axes) for shape, axes in DEFAULT if not (isinstance(axes, sb.Axes) and axes.groups > 1))
UNSPLIT = tuple((shape, axes) for shape, axes in UNGROUPED if not isinstance(axes, sb.Axes))
CHECKS = (np.indices((90, 70)).sum(axis=0) % 3 > 0).tolist()  # two of three entries
GATES = (((256,), None), ((12,), None))  # biases of units with four gates
SQUARE = (((48, 48), None), ((30, 30), "io"), ((6, 12, 12), "boi"), ((4, 16, 16), sb.Axes("bio")))
STATES = (((64, 4), None), ((4, 64), "io"), ((3, 20, 3), "boi"))  # 3 pi is finite in every 8-bit float
SMALL = (*DEFAULT[:6], DEFAULT[-1])  # a unit of small weights alone is zero in 8-bit floats
VECTORS = (((128,), None), ((7,), None))
NO_UNITS, NO_ENTRIES = ((0, 0),), ((0,),)


def log_square(low: float, high: float) -> float:
    """Give E ln(u)**2 of a uniform."""
    ends = [x * (math.log(x) ** 2 - 2 * math.log(x) + 2) for x in (low, high)]
    return (ends[1] - ends[0]) / (high - low)


# Of ln(exp(t) - 1) where ln(t) is uniform on [ln 0.001, ln 0.1], by mpmath's quadrature with 30 digits.
MAMBA_MEAN, MAMBA_VARIANCE = -4.594376164961114, 1.796622826471773

TABLE = [
    Row(sb.Zeros(), {"zeros", "zero"}, "zeroes", 0, 0, 0, drawn="none"),
    Row(sb.Ones(), {"ones", "one"}, "ties", 1, 0, 1, drawn="none"),
    Row(sb.Constant(0.25), {"constant"}, "ties", 0.25, 0, 0.25, drawn="none"),
    Row(sb.Constant([[0.25], [0.25], [-1.0]]), {"constant"}, "ties", -1 / 6, 25 / 72, 0.25, shape=(3, 32), low=-1.0,
        drawn="none", layouts=(((3, 40), None), ((40, 3, 5), "iow"), ((7, 3, 300), "boi"), ((3, 3, 500), "bio")),
        empty=((3, 0), (0, 3, 2))),
    Row(sb.Normal(0.5, mean=0.1), {"normal", "random_normal", "gaussian"}, "breaks", 0.1, 0.25, INF),
    Row(sb.Uniform(-1, 3), {"uniform", "random_uniform"}, "breaks", 1, Fraction(16, 12), 3),
    Row(sb.TruncatedNormal(0.5), {"truncated_normal", "trunc_normal"}, "breaks", 0, 0.25 * 0.7737413035499232, 1.0),
    Row(sb.TruncatedNormal(0.5, mean=1, low=-0.5, high=3, corrected=True), {"truncated_normal", "trunc_normal"},
        "breaks", 1 + 0.5 * 0.503734458504945 / 0.6869553422969052, 0.25, 1 + 1.5 / 0.6869553422969052,
        low=1 - 0.25 / 0.6869553422969052),
    Row(sb.Rademacher(0.5), {"rademacher", "random_sign"}, "breaks", 0, 0.25, 0.5, drawn="some", kurtosis=1.1),
    Row(sb.VarianceScaling(3, "out", "uniform"), {"variance_scaling"}, "breaks", 0, 3 / 64, math.sqrt(9 / 64)),
    Row(sb.LecunNormal(), {"lecun_normal"}, "breaks", 0, 1 / 32, INF),
    Row(sb.LecunUniform(), {"lecun_uniform"}, "breaks", 0, 1 / 32, math.sqrt(3 / 32)),
    Row(sb.LecunTruncatedNormal(), {"lecun_truncated_normal"}, "breaks", 0, 1 / 32, CUT * math.sqrt(1 / 32)),
    Row(sb.GlorotNormal(), {"glorot_normal", "xavier_normal"}, "breaks", 0, 2 / 96, INF),
    Row(sb.GlorotUniform(), {"glorot_uniform", "xavier_uniform"}, "breaks", 0, 2 / 96, math.sqrt(6 / 96)),
    Row(sb.GlorotTruncatedNormal(), {"glorot_truncated_normal", "xavier_truncated_normal"}, "breaks", 0, 2 / 96,
        CUT * math.sqrt(2 / 96)),
    Row(sb.HeNormal(), {"he_normal", "kaiming_normal"}, "breaks", 0, 2 / 32, INF),
    Row(sb.HeUniform(), {"he_uniform", "kaiming_uniform"}, "breaks", 0, 2 / 32, math.sqrt(6 / 32)),
    Row(sb.HeTruncatedNormal(), {"he_truncated_normal", "kaiming_truncated_normal"}, "breaks", 0, 2 / 32,
        CUT * math.sqrt(2 / 32)),
    Row(sb.Orthogonal(gain=2.0), {"orthogonal"}, "breaks", 0, 4 / 64, 2.0),
    Row(sb.Scaled(sb.Uniform(-1, 3), -0.5), {"scaled"}, "breaks", -0.5, Fraction(16, 12) / 4, 0.5),
    Row(sb.Scaled(sb.Ones(), 0.5), {"scaled"}, "ties", 0.5, 0, 0.5, drawn="none"),
    Row(sb.Masked(sb.Normal(0.5, mean=0.1), "lower"), {"masked"}, "breaks", 0.1 * LOWER,
        0.26 * LOWER - 0.01 * LOWER**2, INF, layouts=UNGROUPED, drawn="some", kurtosis=8),
    Row(sb.Masked(sb.Uniform(-1, 1), "blocks:2"), {"masked"}, "breaks", 0, 1 / 6, 1,
        layouts=UNGROUPED, drawn="some", kurtosis=6),
    Row(sb.Masked(sb.HeNormal(), CHECKS), {"masked"}, "breaks", 0, 2 / 70 * 2 / 3, INF, shape=(90, 70),
        layouts=(((90, 70), None), ((90, 70), "io")), empty=(), drawn="some", kurtosis=5),
    Row(sb.Masked(sb.HeNormal(), [[True, False], [False, False], [False, False]]), {"masked"}, "ties", 0, 1 / 6, INF,
        shape=(3, 2), layouts=(((3, 2), None),), empty=(), drawn="some", kurtosis=30),
    Row(sb.Masked(sb.Ones(), np.zeros((3, 2), bool)), {"masked"}, "zeroes", 0, 0, 0, shape=(3, 2),
        layouts=(((3, 2), None),), empty=(), drawn="none"),
    Row(sb.Blocks((sb.Normal(0.5), "zeros", sb.Uniform(-1, 3)), (-1, 2, 8), "i"), {"blocks"}, "breaks", 0.25,
        22 / 32 * 0.25 + 8 / 32 * (4 / 3 + 1) - 0.0625, INF, low=-INF, layouts=UNSPLIT, empty=(), drawn="some",
        kurtosis=9),
    Row(sb.Blocks((sb.HeNormal(), sb.Scaled(sb.LecunNormal(), 2)), axis=0), {"blocks"}, "breaks", 0, 3 / 32, INF,
        layouts=(((96, 160), None), ((5, 16, 32), "boi"), ((16, 8, 5, 5), "iohw"))[::2],
        empty=((0, 5), (4, 0), (0, 0), (2, 0, 2, 2)), kurtosis=4),
    Row(sb.Blocks((sb.Orthogonal(), sb.Constant(0.5)), (-1, 1)), {"blocks"}, "breaks", 0.5 / 64,
        63 / 64 / 63 + 0.25 / 64 - 0.25 / 64**2, 1.0, low=-1.0, layouts=UNSPLIT, empty=(), drawn="some", kurtosis=20),
    Row(sb.Perturbed(sb.Constant(0.25), 0.5), {"perturbed"}, "breaks", 0.25, 0.125**2, 0.25 + 0.125 * math.sqrt(3)),
    Row(sb.Perturbed(sb.Orthogonal()), {"perturbed"}, "breaks", 0, 1.0001 / 64, 1 + 0.01 / 8 * math.sqrt(3)),
    Row(sb.SameAs("embed", transpose=True), {"same_as"}, "ties", 0, 0, 0, layouts=(), empty=()),
    Row(sb.DeltaOrthogonal(gain=2.0), {"delta_orthogonal"}, "breaks", 0, 4 / 64, 2.0, kurtosis=75.0),
    Row(sb.Identity(gain=0.5, shift=3), {"identity", "eye"}, "breaks", 0.5 / 64, 0.25 / 64 - (0.5 / 64) ** 2, 0.5,
        shape=(32, 64), low=0.0, drawn="none", layouts=NARROW),
    Row(sb.Dirac(gain=2.0), {"dirac"}, "ties", 1 / 32, 4 / 64 - 1 / 32**2, 2.0, low=0.0, drawn="none", layouts=WIDE),
    Row(sb.PaddedIdentity(), {"padded_identity"}, "ties", 1 / 32, 1 / 32 - 1 / 32**2, 1.0, low=0.0, drawn="none",
        layouts=WIDE),
    Row(sb.PaddedIdentity(patches=True), {"padded_identity"}, "ties", 1 / 32, 1 / 32 - 1 / 32**2, 1.0, low=0.0,
        drawn="none", layouts=(((160, 40), None), ((64, 2, 5, 5), None), ((3, 3, 4, 80), "hwio"), ((8, 24, 16), "boi"),
                               ((64, 2, 5), sb.Axes("oiw", groups=2)))),
    Row(sb.ZerO(), {"zer_o", "zero_hadamard"}, "ties", 1 / 256, 1 / 64 - 1 / 256**2, 1 / 8, low=-1 / 8, drawn="none",
        layouts=WIDE),
    Row(sb.Sparse(5, std=0.5), {"sparse"}, "breaks", 0, 0.25 * 5 / 32, INF, drawn="some", kurtosis=480.0),
    Row(sb.Bilinear(), {"bilinear"}, "breaks", 0.5 / 8, 0.3125 / 8 - (0.5 / 8) ** 2, 0.75, shape=(8, 8, 4), axes="iow",
        low=0.0, drawn="none", empty=((0, 0, 4), (3, 0, 2, 2)),
        layouts=(((6, 6, 4, 4), "iohw"), ((24, 1, 4, 4), sb.Axes("iohw", groups=24)), ((7, 7, 5), None),
                 ((3, 4, 5, 5), "hwoi"))),
    Row(sb.ICNR("lecun_uniform"), {"icnr"}, "ties", 0, 1 / 32, math.sqrt(3 / 32), shape=(64, 8, 2, 2), kurtosis=4.2,
        layouts=(((32, 16, 5, 5), None), ((5, 5, 16, 32), "hwio"), ((12, 6, 7), None), ((3, 16, 8, 3, 3), "boihw"),
                 ((64, 4, 5, 5), sb.Axes("oihw", groups=8)))),
    Row(sb.LooksLinear("lecun_normal"), {"looks_linear"}, "breaks", 0, 1 / 16, INF, kurtosis=9.0, layouts=DEFAULT[:6]),
    Row(sb.Fourier(), {"fourier", "stft"}, "ties", 4 / 288, 54 / 288 - (4 / 288) ** 2, 1.0, shape=(18, 1, 16), low=-1.0,
        drawn="none", layouts=(((18, 1, 16), None), ((16, 1, 18), "wio"), ((18, 16), None), ((3, 18, 16), "boi"),
                               ((36, 1, 16), sb.Axes("oiw", groups=2)))),
    # Recurrent units: zeros beside what is written, and pairs of equal or opposite entries, widen the errors.
    Row(sb.ForgetBias(), {"forget_bias"}, "ties", Fraction(1, 4), Fraction(3, 16), 1, (256,), low=0, layouts=GATES,
        empty=NO_ENTRIES, drawn="none"),
    Row(sb.Chrono(100), {"chrono"}, "ties", 0, log_square(1, 99) / 2, math.log(99), (256,), layouts=GATES,
        empty=NO_ENTRIES, drawn="some", kurtosis=7),
    Row(sb.Henaff(), {"henaff"}, "breaks", 0, 1 / 64, 1, (64, 64), layouts=SQUARE, empty=NO_UNITS, drawn="some",
        kurtosis=200),
    Row(sb.Cayley(), {"cayley"}, "breaks", 2 / math.pi / 64, 1 / 64 - (2 / math.pi / 64) ** 2, 1, (64, 64), low=-1,
        layouts=SQUARE, empty=NO_UNITS, drawn="some", kurtosis=200),
    Row(sb.SpecialOrthogonal(), {"special_orthogonal"}, "breaks", 0, 1 / 64, 1, (64, 64), layouts=SQUARE,
        empty=NO_UNITS),
    # State spaces. ln(-ln u) of a uniform is Gumbel's variable with the sign turned: -gamma, pi**2 / 6.
    Row(sb.LruNuLog(), {"lru_nu_log"}, "breaks", -np.euler_gamma - math.log(2), math.pi**2 / 6, INF, kurtosis=5.4),
    Row(sb.LruThetaLog(), {"lru_theta_log"}, "breaks", math.log(2 * math.pi) - 1, 1, math.log(2 * math.pi), low=-INF,
        kurtosis=9),
    Row(sb.LogOfUniform(), {"log_of_uniform"}, "breaks", 16 * math.log(16) / 15 - 1,
        log_square(1, 16) - (16 * math.log(16) / 15 - 1) ** 2, math.log(16), low=0),
    Row(sb.MambaDtBias(), {"mamba_dt_bias"}, "breaks", MAMBA_MEAN, MAMBA_VARIANCE,
        math.log(math.expm1(0.1)), low=math.log(math.expm1(0.001))),
    Row(sb.S4dLogDecay(), {"s4d_log_decay", "mamba_a_log"}, "ties", math.lgamma(17) / 16,
        float(np.var(np.log(np.arange(1, 17)))), math.log(16), (64, 16), low=0, layouts=STATES, drawn="none"),
    Row(sb.S4dFrequency(), {"s4d_frequency"}, "ties", math.pi * 7.5, math.pi**2 * 255 / 12, 15 * math.pi, (64, 16),
        low=0, layouts=STATES, drawn="none"),
    Row(sb.HippoLegsA(), {"hippo_legs_a"}, "breaks", -(1 + 2 + math.sqrt(3)) / 4, (1 + 4 + 3) / 4
        - ((3 + math.sqrt(3)) / 4) ** 2, 0, (2, 2), low=-2, layouts=SQUARE, empty=NO_UNITS, drawn="none"),
    Row(sb.HippoLegsB(), {"hippo_legs_b"}, "breaks", (1 + math.sqrt(3)) / 2, 2 - (2 + math.sqrt(3)) / 2, math.sqrt(3),
        (2,), low=1, layouts=(*VECTORS, ((12, 1), None)), empty=NO_ENTRIES, drawn="none"),
    # Sines, and heads.
    Row(sb.Siren(), {"siren"}, "breaks", 0, 2 / 32 / 900, math.sqrt(6 / 32) / 30, layouts=SMALL),
    Row(sb.Siren(first=True), {"siren"}, "breaks", 0, 1 / 3 / 32**2, 1 / 32, layouts=SMALL),
    Row(sb.PriorBias(0.01), {"prior_bias"}, "ties", -math.log(99), 0, -math.log(99), (64,), layouts=VECTORS,
        empty=NO_ENTRIES, drawn="none"),
]  # fmt: skip
IDS = [repr(row.init) for row in TABLE]
INSTANCES = [row.init for row in TABLE]
MADE = [row for row in TABLE if row.layouts]  # the others say why they make nothing alone
each = pytest.mark.parametrize("row", MADE, ids=[repr(row.init) for row in MADE])
FLOATS = NUMPY_FLOATS + EXTENSION_FLOATS


def test_every_registered_name_has_a_row():
    ours = {name for name in sb.names() if _registry._find(name).__module__.startswith("symbreak.")}
    assert ours == set().union(*(row.names for row in TABLE))


@pytest.mark.parametrize("row", TABLE, ids=IDS)
def test_names_policy_and_stated_moments_are_the_published_ones(row):
    config = row.init.to_config()
    assert config["name"] in row.names
    for name in row.names:
        assert sb.from_config({**config, "name": name}) == row.init
    assert row.init.ties == row.ties
    if not row.layouts:
        return
    stated = row.init.expected(row.shape, row.axes)
    assert stated.mean == pytest.approx(float(row.mean), abs=1e-15)
    assert stated.std**2 == pytest.approx(float(row.variance), rel=1e-12)
    assert stated.high == pytest.approx(float(row.high), rel=1e-12)
    assert stated.low == pytest.approx(2 * float(row.mean) - float(row.high) if row.low is None else row.low, rel=1e-12)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_realised_moments_and_support_are_the_stated_ones(row, dtype):
    """Within 6.5 standard errors; entries of an orthogonal weight have less variance than independent ones."""
    for shape, axes in row.layouts:
        values = row.init(shape, sb.Key(1)["w"], dtype=dtype, axes=axes).astype(np.float64)
        stated = row.init.expected(shape, axes)
        n = values.size
        assert values.shape == shape
        assert values.min() >= stated.low - 1e-7 * abs(stated.low)
        assert values.max() <= stated.high + 1e-7 * abs(stated.high)
        assert abs(values.mean() - stated.mean) <= 6.5 * stated.std / math.sqrt(n) + 1e-7 * abs(stated.mean)
        assert values.std() == pytest.approx(stated.std, rel=6.5 * spread(row, n), abs=1e-7)


def spread(row, n):
    """Give the standard error of a standard deviation, as a share of it."""
    return math.sqrt((row.kurtosis - 1) / 4 / n)


@each
def test_realised_moments_are_told_from_those_of_a_scale_five_percent_off(row):
    """On the largest layout, where it has the 8,450 values that this takes (more, for heavier tails)."""
    shape, axes = max(row.layouts, key=lambda layout: math.prod(layout[0]))
    if row.init.ties != "breaks" or 6.5 * spread(row, math.prod(shape)) > 0.05:
        return
    values = row.init(shape, sb.Key(1)["w"], axes=axes).astype(np.float64)
    stated = row.init.expected(shape, axes)
    assert abs(1.05 * values.std() / stated.std - 1) > 6.5 * spread(row, values.size)


@each
@pytest.mark.parametrize("dtype", FLOATS)
def test_coarse_dtypes_are_the_float32_values_rounded_once(row, dtype):
    kind = as_float_dtype(dtype)
    shape, axes = row.layouts[0]
    with np.errstate(over="ignore"):
        rounded = row.init(shape, rng=5, axes=axes).astype(kind)
    if not np.isfinite(rounded).all():
        with pytest.raises(ValueError, match=f"reaches .* but {dtype} ends at"):
            row.init(shape, rng=5, dtype=dtype, axes=axes)
        return
    made = row.init(shape, rng=5, dtype=dtype, axes=axes)
    assert made.dtype == kind
    if kind != np.float64:
        assert made.tobytes() == rounded.tobytes()


def test_rounding_is_to_the_nearest_and_ties_go_to_even():
    """The cast that rounding relies on, against exact fractions."""
    grid = np.linspace(-3, 3, 5001, dtype=np.float32)
    with np.errstate(invalid="ignore"):
        every = np.arange(2**16, dtype=np.uint16).view(ml_dtypes.bfloat16).astype(np.float64)
    steps = sorted({Fraction(x) for x in every[np.isfinite(every)].tolist()})
    by_value = {float(step): k for k, step in enumerate(steps)}
    for x, rounded in zip(grid.tolist(), grid.astype(ml_dtypes.bfloat16).astype(float).tolist(), strict=True):
        k = by_value[rounded]
        error = abs(Fraction(rounded) - Fraction(x))
        assert error <= abs(steps[k - 1] - Fraction(x))
        assert error <= abs(steps[k + 1] - Fraction(x))


@pytest.mark.parametrize("init", INSTANCES, ids=IDS)
def test_instances_are_values(init):
    twin = pickle.loads(pickle.dumps(init))
    assert twin == init
    assert hash(twin) == hash(init)
    if "<" not in repr(init):  # a large array is told in short
        assert eval(repr(init), {name: getattr(sb, name) for name in dir(sb) if name[0].isupper()}) == init
    assert sb.from_config(json.loads(json.dumps(init.to_config()))) == init
    assert sb.get(init.to_config()) == init
    assert sb.get(init) is init
    with pytest.raises(AttributeError, match=f"cannot assign to field 'std': make another {type(init).__name__}"):
        init.std = 3
    with pytest.raises(AttributeError, match=f"cannot delete field 'std': make another {type(init).__name__}"):
        del init.std


def test_no_two_rows_are_equal():
    assert len(set(INSTANCES)) == len(INSTANCES)


@each
def test_an_instance_holds_no_state(row):
    (shape, axes), (another, its_axes) = row.layouts[0], row.layouts[-1]
    first = row.init(shape, rng=4, axes=axes)
    row.init(another, rng=9, axes=its_axes)
    assert (row.init(shape, rng=4, axes=axes) == first).all()
    same = row.init(shape, rng=5, axes=axes) == first
    assert {"all": not same.any(), "some": same.any() and not same.all(), "none": same.all()}[row.drawn]


@each
def test_fill_writes_what_a_call_gives_whatever_the_strides(row, tmp_path):
    for shape, axes in row.layouts:
        made = row.init(shape, rng=4, axes=axes)
        for out in (
            np.full(shape, 9, np.float32),
            np.full(shape[::-1], 9, np.float32).T,
            np.full((*shape[:-1], 3 * shape[-1]), 9, np.float32)[..., ::-3],
            np.full(shape, 9, ">f4"),
            np.lib.format.open_memmap(tmp_path / "w.npy", mode="w+", dtype=np.float32, shape=shape),
        ):
            assert row.init.fill(out, rng=4, axes=axes) is out
            assert (out == made).all()
        half = np.zeros(shape, np.float16)
        row.init.fill(half, rng=4, axes=axes)
        assert (half == made.astype(np.float16)).all()


@each
@given(data=st.data(), seed=st.integers(0, 2**64 - 1), workers=st.integers(1, 4))
def test_bits_do_not_depend_on_workers_or_the_split(row, data, seed, workers):
    shape, axes = data.draw(st.sampled_from(row.layouts))
    cut = data.draw(st.integers(1, shape[0]))
    whole = row.init(shape, rng=seed, axes=axes, workers=workers)
    halves = [row.init.region(shape, part, rng=seed, axes=axes) for part in (np.s_[:cut], np.s_[cut:])]
    assert (np.concatenate(halves) == whole).all()


@pytest.mark.parametrize(
    "init",
    [sb.HeNormal(), sb.GlorotUniform(), sb.LecunTruncatedNormal(), sb.TruncatedNormal(low=-3.0), sb.MambaDtBias()],
)
def test_threads_change_no_bit_of_a_weight_that_they_share(init):
    one = init((1030, 1100), rng=8, workers=1)
    for workers in (2, 3, 4):
        assert (init((1030, 1100), rng=8, workers=workers) == one).all()


@pytest.fixture
def small_pieces(monkeypatch):
    """Have small weights cut for threads."""
    for module in (_base, _window):
        monkeypatch.setattr(module, "PIECE", 512)


@each
def test_threads_change_no_bit_of_small_pieces(row, small_pieces):
    shape, axes = max(row.layouts, key=lambda layout: math.prod(layout[0]))
    longer = (shape[0] * -(-4096 // math.prod(shape)), *shape[1:])
    for sizes in (shape, longer):
        try:
            one = row.init(sizes, rng=8, axes=axes, workers=1)
        except ValueError:  # a shape that the class does not take
            continue
        assert np.array_equal(row.init(sizes, rng=8, axes=axes, workers=3), one)
        if row.init.elementwise:
            part = row.init.region(sizes, np.s_[1:], rng=8, axes=axes, workers=3)
            assert np.array_equal(part, one[1:])


def test_threads_change_no_bit_where_the_parts_of_an_axis_have_fans_of_their_own(small_pieces):
    axes = sb.Axes("oi", splits=(30, 10, 24))
    init = sb.VarianceScaling(1.0, "out")
    one = init((64, 100), rng=8, axes=axes, workers=1)
    assert len({round(float(part.std()), 3) for part in np.split(one, [30, 40])}) == 3
    assert np.array_equal(init((64, 100), rng=8, axes=axes, workers=4), one)


def test_a_sample_that_gives_what_its_stream_wrote_is_called_once_a_thread(small_pieces):
    calls = []

    class Plain(sb.AbstractInitializer):
        @_base.as_written()
        def sample(self, shape, stream, axes):
            calls.append(shape)
            return stream.normal(shape)

    for workers in (1, 3):
        calls.clear()
        assert np.array_equal(Plain()((64, 100), rng=8, workers=workers), sb.Normal()((64, 100), rng=8))
        assert 1 <= len(calls) <= workers


def test_a_sample_that_changes_what_it_inherits_is_called_piece_by_piece(small_pieces):
    class Doubled(sb.HeNormal):
        def sample(self, shape, stream, axes):
            values = super().sample(shape, stream, axes)
            values *= 2
            return values

    expected = 2 * sb.HeNormal()((64, 100), rng=8)
    for workers in (1, 2, 4):
        assert np.array_equal(Doubled()((64, 100), rng=8, workers=workers), expected)


@each
def test_what_is_asked_for_a_whole_stream_gives_the_whole(row):
    """A class that is made of others may ask them with a stream that has no window."""
    for shape, axes in row.layouts[:3]:
        whole = row.init(shape, sb.Key(3)["w"], axes=axes, dtype="float64")
        found = sb.Axes.of(axes, shape) if axes is not None or len(shape) in (2, 4) else None
        made = row.init.sample(shape, sb.Stream(sb.Key(3)["w"], dtype="float64"), found)
        np.testing.assert_array_equal(made, whole)


@each
def test_a_region_is_part_of_the_whole(row):
    for shape, axes in row.layouts:
        whole = row.init(shape, rng=6, dtype="bfloat16", axes=axes)
        indices = [np.s_[1:40:3, ..., ::-2], np.s_[..., ::-2, 1:3], 2, np.s_[..., -1], np.s_[None, 2:2], np.s_[-1, -1]]
        for index in indices if len(shape) > 1 else [np.s_[1:40:3], np.s_[::-2], 2, np.s_[None, 2:2], np.s_[..., -1]]:
            part = row.init.region(shape, index, rng=6, dtype="bfloat16", axes=axes)
            assert part.shape == whole[index].shape
            assert part.tobytes() == whole[index].tobytes()


@each
def test_a_zero_size_axis_gives_an_empty_array(row):
    for shape in row.empty:
        assert row.init(shape, rng=0).shape == shape
        assert row.init.fill(np.empty(shape), rng=0).shape == shape
        assert row.init.region(shape, np.s_[:], rng=0).shape == shape
        row.init.expected(shape)


@each
@pytest.mark.parametrize(
    "shape", [(0,), (0, 4), (4, 0), (0, 0), (2, 0, 3), (0, 3, 1, 1), (3, 1, 0, 2), (0,) * 7], ids=str
)
def test_the_moments_of_nothing_are_stated_wherever_nothing_is_made(row, shape):
    assert row.init(shape, rng=0).shape == shape
    stated = row.init.expected(shape)
    assert isinstance(stated, sb.Moments)
    assert np.isfinite([stated.mean, stated.std]).all()


def test_nothing_is_no_excuse_for_axes_that_make_no_sense():
    with pytest.raises(ValueError, match="axes 'bio' names 3 axes"):
        sb.HeNormal().expected((0,), "bio")
    with pytest.raises(ValueError, match="names 3 axes"):
        sb.HeNormal()((0,), axes="bio")


@each
def test_the_policy_is_what_the_units_show(row):
    for shape, axes in row.layouts:
        made = row.init(shape, rng=3, axes=axes)
        split = axes.parts(shape) if isinstance(axes, sb.Axes) and axes.splits != 1 else [slice(None)]
        maps = [each[part] for each in units_first(made, axes) for part in split]
        distinct = [len(np.unique(each, axis=0)) for each in maps]
        if row.init.ties == "breaks":
            assert distinct == [len(each) for each in maps]
        else:
            assert any(count < len(each) for count, each in zip(distinct, maps, strict=True))
        assert (row.init.ties == "zeroes") == (not made.any())


@each
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shape": (3, -1)}, ValueError, r"`shape` has a negative size: \(3, -1\)"),
        ({"shape": "big"}, TypeError, "`shape` is an integer or a sequence of integers; got 'big'"),
        ({"dtype": "float31"}, TypeError, "weights can't be made as 'float31'; choose one of float16"),
        ({"dtype": "float32,,"}, TypeError, "weights can't be made as 'float32,,'; choose one of float16"),
        ({"dtype": "int32"}, TypeError, "weights can't be made as 'int32'"),
        ({"dtype": "complex64"}, TypeError, "weights can't be made as 'complex64'"),
        ({"dtype": None}, TypeError, "weights can't be made as None"),
        ({"rng": -3}, ValueError, "a seed is a non-negative integer; got -3"),
        ({"rng": "seed"}, TypeError, "rng takes a Key"),
        ({"axes": "zz"}, ValueError, "the layout 'zz'"),
        ({"axes": "oihw"}, ValueError, "axes 'oihw' names 4 axes"),
        ({"workers": 0}, ValueError, "workers is a positive number of threads or None; got 0"),
        ({"workers": 1.5}, ValueError, "workers is a positive number"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(row, arguments, error, message):
    if arguments == {"dtype": "complex64"} and makes_complex(row.init):
        return
    with pytest.raises(error, match=message):
        row.init(**{"shape": (4, 3), "rng": 0, **arguments})


def makes_complex(init):
    return type(init).sample_complex is not sb.AbstractInitializer.sample_complex


@each
def test_fill_refuses_before_it_writes(row):
    locked = np.zeros((4, 3), np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="`out` is read-only"):
        row.init.fill(locked, rng=0)
    with pytest.raises(TypeError, match="`out` is a NumPy array; got list"):
        row.init.fill([[1.0]], rng=0)
    with pytest.raises(TypeError, match="weights can't be made as dtype"):
        row.init.fill(np.zeros((4, 3), np.int64), rng=0)


@each
@pytest.mark.parametrize("dtype", ["float16", "float8_e5m2"])
def test_rounding_raises_nothing_whatever_numpy_is_told_to_raise(row, dtype):
    shape, axes = row.layouts[0]
    made = row.init(shape, rng=0, dtype=dtype, axes=axes)
    with np.errstate(all="raise"):
        assert row.init(shape, rng=0, dtype=dtype, axes=axes, workers=1).tobytes() == made.tobytes()
        turned = row.init.fill(np.zeros(shape[::-1], made.dtype).T, rng=0, axes=axes)
    assert np.array_equal(turned, made)
