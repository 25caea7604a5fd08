"""Every promise of the shelf, asked of every registered initializer through one table."""

import json
import math
import pickle
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.dtypes import EXTENSION_FLOATS, NUMPY_FLOATS, as_float_dtype

INF = math.inf
CUT = 2 / 0.87962566103423978  # bounds of a normal cut at two sigma, in its own standard deviations after the cut

# instance, names, policy, and for a (64, 32) weight (fan_in 32, fan_out 64): mean, variance, high
TABLE = [
    (sb.Zeros(), {"zeros", "zero"}, "zeroes", 0, 0, 0),
    (sb.Ones(), {"ones", "one"}, "ties", 1, 0, 1),
    (sb.Constant(0.25), {"constant"}, "ties", 0.25, 0, 0.25),
    (sb.Normal(0.5, mean=0.1), {"normal", "random_normal", "gaussian"}, "breaks", 0.1, 0.25, INF),
    (sb.Uniform(-1, 3), {"uniform", "random_uniform"}, "breaks", 1, Fraction(16, 12), 3),
    (sb.TruncatedNormal(0.5), {"truncated_normal", "trunc_normal"}, "breaks", 0, 0.25 * 0.7737413035499232, 1.0),
    (sb.VarianceScaling(3, "out", "uniform"), {"variance_scaling"}, "breaks", 0, 3 / 64, math.sqrt(9 / 64)),
    (sb.LecunNormal(), {"lecun_normal"}, "breaks", 0, 1 / 32, INF),
    (sb.LecunUniform(), {"lecun_uniform"}, "breaks", 0, 1 / 32, math.sqrt(3 / 32)),
    (sb.LecunTruncatedNormal(), {"lecun_truncated_normal"}, "breaks", 0, 1 / 32, CUT * math.sqrt(1 / 32)),
    (sb.GlorotNormal(), {"glorot_normal", "xavier_normal"}, "breaks", 0, 2 / 96, INF),
    (sb.GlorotUniform(), {"glorot_uniform", "xavier_uniform"}, "breaks", 0, 2 / 96, math.sqrt(6 / 96)),
    (sb.GlorotTruncatedNormal(), {"glorot_truncated_normal", "xavier_truncated_normal"}, "breaks", 0, 2 / 96,
     CUT * math.sqrt(2 / 96)),
    (sb.HeNormal(), {"he_normal", "kaiming_normal"}, "breaks", 0, 2 / 32, INF),
    (sb.HeUniform(), {"he_uniform", "kaiming_uniform"}, "breaks", 0, 2 / 32, math.sqrt(6 / 32)),
    (sb.HeTruncatedNormal(), {"he_truncated_normal", "kaiming_truncated_normal"}, "breaks", 0, 2 / 32,
     CUT * math.sqrt(2 / 32)),
    (sb.Orthogonal(gain=2.0), {"orthogonal"}, "breaks", 0, 4 / 64, 2.0),
]  # fmt: skip
IDS = [repr(row[0]) for row in TABLE]
INSTANCES = [row[0] for row in TABLE]
each = pytest.mark.parametrize("init", INSTANCES, ids=IDS)
FLOATS = NUMPY_FLOATS + EXTENSION_FLOATS


def test_every_registered_name_has_a_row():
    ours = {name for name in sb.names() if type(sb.get(name, **needed(name))).__module__.startswith("symbreak.")}
    assert ours == set().union(*(row[1] for row in TABLE))


def needed(name):
    return {"value": 1.0} if name == "constant" else {}


@pytest.mark.parametrize(("init", "names", "ties", "mean", "variance", "high"), TABLE, ids=IDS)
def test_names_policy_and_stated_moments_are_the_published_ones(init, names, ties, mean, variance, high):
    for name in names:
        assert type(sb.get(name, **needed(name))) is type(init)
    assert init.ties == ties
    stated = init.expected((64, 32))
    assert stated.mean == pytest.approx(float(mean), abs=1e-15)
    assert stated.std**2 == pytest.approx(float(variance), rel=1e-12)
    assert stated.high == pytest.approx(float(high), rel=1e-12)
    assert stated.low == pytest.approx(2 * float(mean) - float(high), rel=1e-12) or init == sb.Orthogonal(gain=2.0)


LAYOUTS = [
    ((96, 160), None),
    ((160, 96), "io"),
    ((32, 16, 5, 5), None),
    ((5, 5, 16, 32), "hwio"),
    ((16, 32, 5, 5), "iohw"),
    ((8, 48, 32), "boi"),
    ((192, 96), sb.Axes("oi", splits=3)),
    ((160, 96), sb.Axes("oi", splits=(96, 32, 32))),
    ((64, 4, 5, 5), sb.Axes("oihw", groups=8)),
]


@each
@pytest.mark.parametrize(("shape", "axes"), LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_realised_moments_and_support_are_the_stated_ones(init, shape, axes, dtype):
    """Within 6.5 standard errors; entries of an orthogonal weight have less variance than independent ones."""
    values = init(shape, sb.Key(1)["w"], dtype=dtype, axes=axes).astype(np.float64)
    stated = init.expected(shape, axes)
    n = values.size
    assert values.shape == shape
    assert values.min() >= stated.low - 1e-7 * abs(stated.low)
    assert values.max() <= stated.high + 1e-7 * abs(stated.high)
    assert abs(values.mean() - stated.mean) <= 6.5 * stated.std / math.sqrt(n) + 1e-7 * abs(stated.mean)
    assert values.std() == pytest.approx(stated.std, rel=6.5 / math.sqrt(2 * n), abs=1e-7)


@each
def test_realised_moments_are_told_from_those_of_a_scale_five_percent_off(init):
    if init.ties != "breaks":
        return
    values = init((96, 160), sb.Key(1)["w"]).astype(np.float64)
    stated = init.expected((96, 160))
    assert abs(1.05 * values.std() / stated.std - 1) > 6.5 / math.sqrt(2 * values.size)


@each
@pytest.mark.parametrize("dtype", FLOATS)
def test_coarse_dtypes_are_the_float32_values_rounded_once(init, dtype):
    kind = as_float_dtype(dtype)
    made = init((40, 24), rng=5, dtype=dtype)
    assert made.dtype == kind
    if kind == np.float64:
        return
    with np.errstate(over="ignore"):
        assert made.tobytes() == init((40, 24), rng=5).astype(kind).tobytes()


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


@each
def test_instances_are_values(init):
    twin = pickle.loads(pickle.dumps(init))
    assert twin == init
    assert hash(twin) == hash(init)
    assert eval(repr(init), {name: getattr(sb, name) for name in dir(sb)}) == init
    assert sb.from_config(json.loads(json.dumps(init.to_config()))) == init
    assert sb.get(init.to_config()) == init
    assert sb.get(init) is init
    with pytest.raises(AttributeError):
        init.std = 3


def test_no_two_rows_are_equal():
    assert len(set(INSTANCES)) == len(INSTANCES)


@each
def test_an_instance_holds_no_state(init):
    first = init((30, 20), rng=4)
    init((7, 5), rng=9)
    assert (init((30, 20), rng=4) == first).all()
    if init.ties == "breaks":
        assert not (init((30, 20), rng=5) == first).any()


@each
def test_fill_writes_what_a_call_gives_whatever_the_strides(init, tmp_path):
    made = init((90, 110), rng=4)
    for out in (
        np.full((90, 110), 9, np.float32),
        np.full((110, 90), 9, np.float32).T,
        np.full((180, 330), 9, np.float32)[::2, ::-3],
        np.full((90, 110), 9, ">f4"),
        np.lib.format.open_memmap(tmp_path / "w.npy", mode="w+", dtype=np.float32, shape=(90, 110)),
    ):
        assert init.fill(out, rng=4) is out
        assert (out == made).all()
    half = np.zeros((90, 110), np.float16)
    init.fill(half, rng=4)
    assert (half == made.astype(np.float16)).all()


@each
@given(cut=st.integers(1, 200), seed=st.integers(0, 2**64 - 1), workers=st.integers(1, 4))
def test_bits_do_not_depend_on_workers_or_the_split(init, cut, seed, workers):
    shape = (201, 30)
    whole = init(shape, rng=seed, workers=workers)
    halves = [init.region(shape, np.s_[:cut], rng=seed), init.region(shape, np.s_[cut:], rng=seed)]
    assert (np.concatenate(halves) == whole).all()


@pytest.mark.parametrize(
    "init", [sb.HeNormal(), sb.GlorotUniform(), sb.LecunTruncatedNormal(), sb.TruncatedNormal(low=-3.0)]
)
def test_threads_change_no_bit_of_a_weight_that_they_share(init):
    one = init((1030, 1100), rng=8, workers=1)
    for workers in (2, 3, 4):
        assert (init((1030, 1100), rng=8, workers=workers) == one).all()


@each
def test_a_region_is_part_of_the_whole(init):
    whole = init((60, 50), rng=6, dtype="bfloat16")
    for index in (np.s_[3:40:7, ::-2], 5, np.s_[..., 3], np.s_[None, 2:2], np.s_[-1, -1]):
        part = init.region((60, 50), index, rng=6, dtype="bfloat16")
        assert part.shape == whole[index].shape
        assert part.tobytes() == whole[index].tobytes()


@each
@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (3, 0, 2, 2)])
def test_a_zero_size_axis_gives_an_empty_array(init, shape):
    assert init(shape, rng=0).shape == shape
    assert init.fill(np.empty(shape), rng=0).shape == shape
    assert init.region(shape, np.s_[:], rng=0).shape == shape
    init.expected(shape)


@each
def test_the_policy_is_what_the_units_show(init):
    made = init((50, 40), rng=3)
    distinct = len(np.unique(made, axis=0))
    assert distinct == (50 if init.ties == "breaks" else 1)
    assert (init.ties == "zeroes") == (not made.any())


@each
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shape": (3, -1)}, ValueError, r"`shape` has a negative size: \(3, -1\)"),
        ({"shape": "big"}, TypeError, "`shape` is an integer or a sequence of integers; got 'big'"),
        ({"dtype": "float31"}, TypeError, "weights can't be made as 'float31'; choose one of float16"),
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
def test_arguments_that_make_no_sense_are_refused(init, arguments, error, message):
    with pytest.raises(error, match=message):
        init(**{"shape": (4, 3), "rng": 0, **arguments})


@each
def test_fill_refuses_before_it_writes(init):
    locked = np.zeros((4, 3), np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="`out` is read-only"):
        init.fill(locked, rng=0)
    with pytest.raises(TypeError, match="`out` is a NumPy array; got list"):
        init.fill([[1.0]], rng=0)
    with pytest.raises(TypeError, match="weights can't be made as dtype"):
        init.fill(np.zeros((4, 3), np.int64), rng=0)
