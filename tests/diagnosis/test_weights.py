"""What is said of one weight: each code with weights that must fire it and weights that must not."""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from symbreak import Axes
from symbreak.diagnosis import judge_array, judge_weight, unit_axes


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def with_units(weight, **units):
    """Set units: `u3=0` sets unit 3 to 0."""
    for name, value in units.items():
        weight[int(name[1:])] = value
    return weight


def codes(report):
    return [finding.code for finding in report.findings]


NAN, INF = np.nan, np.inf
ROW = np.array([1.0, 2.0, 3.0, 4.0], np.float32)

CASES = {
    "random": (random(6, 4), []),
    "constant": (np.full((6, 4), 0.5), ["SB101"]),
    "one row": (np.tile(ROW, (6, 1)), ["SB101"]),
    "all zero says it once": (np.zeros((6, 4)), ["SB101"]),
    "minus zero": (np.array([[0.0, 1.0], [-0.0, 1.0]]), ["SB101"]),
    "all but one equal": (with_units(np.ones((6, 4)), u5=2), ["SB102"]),
    "two equal": (with_units(random(6, 4), u1=ROW, u4=ROW), ["SB102"]),
    "two equal but for one bit": (with_units(random(6, 4), u1=ROW, u4=np.nextafter(ROW, ROW + 1)), []),
    "one zero unit": (with_units(random(6, 4), u3=0), ["SB106"]),
    "one zero weight": (np.where(random(6, 4) == random(6, 4)[0, 0], 0, random(6, 4)), []),
    "zero units are no equal group": (with_units(random(6, 4), u3=0, u4=-0.0), ["SB106"]),
    "zero and equal units": (with_units(random(6, 4), u0=0, u3=0, u4=ROW, u5=ROW), ["SB102", "SB106"]),
    "not finite": (with_units(random(6, 4), u2=[1, INF, 1, 1]), ["SB108"]),
    "NaN units are not equal": (with_units(random(6, 4), u2=NAN, u3=NAN), ["SB108"]),
    "infinite units are equal": (with_units(random(6, 4), u2=INF, u3=INF), ["SB108", "SB102"]),
    "all NaN": (np.full((6, 4), NAN), ["SB108"]),
    "all infinite": (np.full((6, 4), INF), ["SB108", "SB101"]),
    "large but finite": (np.full((2, 4), 3e38, np.float32) * [[1], [0.5]], []),
    "one unit": (np.ones((1, 4)), []),
    "one zero unit alone": (np.zeros((1, 4)), ["SB106"]),
    "no units": (np.ones((0, 4)), []),
    "no inputs": (np.ones((4, 0)), []),
    "vector": (np.zeros(6), []),
    "vector with NaN": (np.array([0, NAN, 0]), ["SB108"]),
    "number": (np.float32(0), []),
    "infinite number": (np.float32(INF), ["SB108"]),
    "mask": (np.ones((6, 4), bool), []),
    "integers": (np.ones((6, 4), int), ["SB101"]),
    "bfloat16": (random(6, 4).astype(ml_dtypes.bfloat16), []),
    "constant bfloat16": (np.full((6, 4), 0.5, ml_dtypes.bfloat16), ["SB101"]),
    "8-bit NaN": (np.array([0, NAN], ml_dtypes.float8_e4m3fn), ["SB108"]),
    "4-bit integers": (np.zeros(3, ml_dtypes.int4), []),
    "constant kernels": (np.full((6, 4, 3, 3), 0.1), ["SB101"]),
    "complex": (np.full((6, 4), 1 + 2j), ["SB101"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_weight_gets_the_codes_it_deserves(name):
    weight, expected = CASES[name]
    assert codes(judge_weight(np.asarray(weight))) == expected


MESSAGES = {
    "constant": "all 6 units are equal: every weight is 0.5",
    "one row": "all 6 units are equal: one row of weights, repeated",
    "all zero says it once": "all 6 units are equal: every weight is zero",
    "all but one equal": "5 units have equal incoming weights: 0-4",
    "two equal": "2 units have equal incoming weights: 1, 4",
    "one zero unit": "all incoming weights of 1 of 6 units are zero: 3",
    "zero units are no equal group": "all incoming weights of 2 of 6 units are zero: 3, 4",
    "not finite": "1 of 6 units holds values that are not finite: 2",
    "all NaN": "6 of 6 units hold values that are not finite: 0-5",
    "vector with NaN": "1 of 3 values are not finite: 1",
    "infinite number": "it is not finite",
    "complex": "all 6 units are equal: every weight is 1+2j",
    "constant kernels": "all 6 units are equal: every weight is 0.1",
    "constant bfloat16": "all 6 units are equal: every weight is 0.5",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_says_which_units(name):
    assert judge_weight(np.asarray(CASES[name][0])).findings[0].message == MESSAGES[name]


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("constant", [((0, 1, 2, 3, 4, 5),)]),
        ("zero and equal units", [((4, 5),), ((0, 3),)]),
        ("infinite units are equal", [((2, 3),), ((2, 3),)]),
        ("vector with NaN", [((1,),)]),
    ],
)
def test_groups_hold_the_units(name, groups):
    assert [finding.groups for finding in judge_weight(np.asarray(CASES[name][0])).findings] == groups


def test_a_large_class_makes_no_pairs_and_a_short_message():
    weight = random(10_001, 3)
    weight[1:] = 7
    (finding,) = judge_weight(weight).findings
    assert finding.groups == (tuple(range(1, 10_001)),)
    assert finding.message == "10000 units have equal incoming weights: 1-10000"


def test_many_classes_are_cut_short_in_the_message_only():
    (finding,) = judge_weight(np.repeat(random(500, 3), 2, axis=0)).findings
    assert len(finding.groups) == 500
    assert finding.message.startswith("1000 units form 500 classes with equal incoming weights: 0, 1; 2, 3; ")
    assert finding.message.endswith("14, 15; ...")


LAYOUTS = [
    ("io", np.tile(random(5, 1), (1, 4)), ["SB101"]),
    ("io", np.tile(random(1, 4), (5, 1)), []),
    ("hwio", np.tile(random(3, 3, 5, 1), (1, 1, 1, 4)), ["SB101"]),
    ("hwio", np.tile(random(3, 3, 1, 4), (1, 1, 5, 1)), []),
    ("iohw", np.tile(random(5, 1, 3, 3), (1, 4, 1, 1)), ["SB101"]),
    ("ioo", np.tile(random(5, 1, 1), (1, 2, 3)), ["SB101"]),
    ("ioo", np.tile(random(5, 2, 1), (1, 1, 3)), ["SB102"]),
    ("iio", np.tile(random(2, 3, 1), (1, 1, 4)), ["SB101"]),
    (Axes("oi", splits=2), np.concatenate([random(3, 4)] * 2), []),  # equal units, but of different weights
    (Axes("oi", splits=2), np.concatenate([np.ones((3, 4)), random(3, 4)]), ["SB102"]),
    (Axes("oi", splits=2), np.concatenate([np.ones((3, 4)), np.full((3, 4), 2.0)]), ["SB101"]),
    (Axes("oi", splits=(2, 4)), np.concatenate([random(2, 4), np.ones((4, 4))]), ["SB102"]),
    (Axes("oi", splits=(1, 5)), np.ones((6, 4)), ["SB101"]),  # the part of one unit has nothing to be tied to
    (Axes("oihw", groups=3), np.ones((6, 2, 3, 3)), ["SB101"]),
    (Axes("oihw", groups=6), np.ones((6, 1, 3, 3)), []),  # each unit reads an input of its own
    (Axes("oihw", groups=6), np.zeros((6, 1, 3, 3)), ["SB106"]),
    (Axes("hwio", groups=4, grouped="i"), np.ones((3, 3, 4, 2)), ["SB101"]),
    (Axes("hwio", groups=4, grouped="i"), np.ones((3, 3, 4, 1)), []),
]


@pytest.mark.parametrize(("axes", "weight", "expected"), LAYOUTS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_units_are_found_in_any_layout(axes, weight, expected, order):
    assert codes(judge_weight(np.asarray(weight, order=order), axes=axes)) == expected


def test_grouped_units_are_numbered_group_by_group():
    weight = random(4, 2, 3, 3)  # transposed: 2 groups of 2 inputs, each with 2 units: units 0, 1 and 2, 3
    weight[2:, 1] = weight[2:, 0]
    report = judge_weight(weight, axes=Axes("iohw", groups=2))
    assert report.findings[0].groups == ((2, 3),)
    assert report.partition["weight"].tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("shape", "axes", "where"),
    [
        ((6, 4), None, "axis 0"),
        ((6,), None, None),
        ((6, 4), "oi", "axis 0"),
        ((3, 3, 4, 6), "hwio", "axis 3"),
        ((4, 2, 5), "ioo", "axes 1 and 2"),
        ((6, 2, 3, 3), Axes("oihw", groups=2), "axis 0"),
        ((4, 3, 3, 3), Axes("iohw", groups=2), "axis 1, group by group"),
    ],
)
def test_findings_name_the_axes_that_were_judged_and_the_partition_the_weight(shape, axes, where):
    report = judge_weight(np.ones(shape), "w", axes)
    assert [finding.where for finding in report.findings] == ([] if where is None else [f"w, {where}"])
    assert list(report.partition) == ([] if where is None else ["w"])


def test_units_of_later_parts_keep_their_numbers():
    weight = random(6, 4)
    weight[1], weight[4], weight[5, 2] = 0, 0, np.nan
    report = judge_weight(weight, axes=Axes("oi", splits=(2, 4)))
    assert [(f.code, f.groups) for f in report.findings] == [("SB108", ((5,),)), ("SB106", ((1, 4),))]
    assert report.partition["weight"].tolist() == [0, 1, 2, 3, 4, 5]


def test_stacked_copies_are_judged_each_by_itself():
    experts = random(3, 4, 5)
    experts[1] = 0.5
    experts[2, 3] = experts[2, 0]
    experts[0] = experts[2][::-1] + 1
    report = judge_weight(experts, "experts", "boi")
    assert [(f.code, f.where, f.groups) for f in report.findings] == [
        ("SB102", "experts, axis 1, copy 0", ((0, 3),)),
        ("SB101", "experts, axis 1, copy 1", ((0, 1, 2, 3),)),
        ("SB102", "experts, axis 1, copy 2", ((0, 3),)),
    ]
    assert report.partition["experts"].tolist() == [[0, 1, 2, 0], [0, 0, 0, 0], [0, 1, 2, 0]]


def test_equal_copies_tie_no_units():
    report = judge_weight(np.stack([random(4, 5)] * 3), axes="boi")
    assert [(f.code, f.where, f.groups) for f in report.findings] == [("SB206", "weight, axis 0", ((0, 1, 2),))]
    assert report.partition["weight"].tolist() == [[0, 1, 2, 3]] * 3


def test_copies_of_two_axes_are_named_by_both():
    weight = random(2, 2, 4, 5)
    weight[1, 0] = 1
    assert [f.where for f in judge_weight(weight, "w", "bboi").findings] == ["w, axis 2, copy (1, 0)"]


def test_a_layout_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"axes 'oihw' names 4 axes, but `shape` is \(2, 3\)"):
        judge_weight(np.ones((2, 3)), axes="oihw")


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((), ()),
        ((7,), ()),
        ((64, 32), (0, 1)),
        ((1, 32), ()),
        ((64, 1), ()),
        ((1, 1), ()),
        ((64, 32, 3), (0, 1)),
        ((3, 32, 64), (1, 2)),
        ((64, 32, 3, 3), (0, 1)),
        ((3, 3, 32, 64), (2, 3)),
        ((64, 1, 7, 7), (0,)),
        ((3, 3, 64, 1), (2,)),
        ((64, 17, 18), (0, 1, 2)),
        ((16, 16, 3, 3), (0, 1, 2, 3)),
        ((64, 12, 64), (0, 1, 2)),
        ((1, 64, 1, 1), ()),
        ((1, 1, 768), ()),
        ((1, 197, 768), (1, 2)),
    ],
)
def test_the_axes_of_units_follow_from_the_shape(shape, axes):
    assert unit_axes(shape) == axes


def test_an_array_is_judged_along_both_axes():
    array = random(6, 5)
    array[:, 4] = array[:, 1]
    array[3] = 0
    report = judge_array(array, "a")
    assert [(f.code, f.where, f.groups) for f in report.findings] == [
        ("SB106", "a, axis 0", ((3,),)),
        ("SB102", "a, axis 1", ((1, 4),)),
    ]
    assert report.findings[1].message == "2 units have equal weights: 1, 4"
    assert {name: labels.tolist() for name, labels in report.partition.items()} == {
        "a, axis 0": [0, 1, 2, 3, 4, 5],
        "a, axis 1": [0, 1, 2, 3, 1],
    }


def test_a_constant_array_is_one_finding_for_all_axes():
    report = judge_array(np.full((6, 5), 0.5), "a")
    assert [(f.code, f.where, f.groups) for f in report.findings] == [("SB101", "a", ())]
    assert (
        report.findings[0].message == "all 6 units of axis 0 and all 5 units of axis 1 are equal: every weight is 0.5"
    )


def test_a_constant_array_with_one_axis_of_units_names_it():
    (finding,) = judge_array(np.full((20, 1, 3, 3), 0.5), "a").findings
    assert (finding.where, finding.groups) == ("a, axis 0", (tuple(range(20)),))
    assert finding.message == "all 20 units are equal: every weight is 0.5"


def test_masks_are_no_weights():
    assert codes(judge_array(np.ones((6, 5), bool), "mask")) == []
    assert judge_array(np.ones((6, 5), bool), "mask").partition == {}


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("int64", []), ("uint64", []), (">i8", []), ("int32", ["SB101"]), ("int8", ["SB101"]), ("float64", ["SB101"])],
)
def test_64_bit_integers_are_indices_and_no_weights_unless_told(dtype, expected):
    ones = np.ones((6, 5), dtype)
    assert codes(judge_array(ones, "ids")) == expected
    assert bool(judge_array(ones, "ids").partition) == bool(expected)
    assert codes(judge_weight(ones)) == ["SB101"]


FLOATS = [np.float16, np.float32, np.float64, np.longdouble, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ">f4"]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(7,), (5, 5), (1, 1, 5, 5), (600, 600)])
def test_a_mask_of_0_and_minus_infinity_is_no_weight(dtype, shape):
    mask = np.triu(np.full(shape, -np.inf), 1).astype(dtype)
    for array in (mask, mask.T, np.where(mask == 0, dtype_of(dtype).type(-0.0), mask)):
        report = judge_array(array, "mask")
        assert (codes(report), dict(report.partition), report.arrays) == ([], {}, 1)
    assert "SB108" in codes(judge_weight(mask))


def dtype_of(dtype):
    return np.dtype(dtype)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1, -1e300, 5e-324])
def test_one_other_value_makes_an_additive_mask_an_array_like_others(value):
    mask = np.tril(np.full((600, 600), -np.inf), -1)
    mask[-1, -1] = value
    assert "SB108" in codes(judge_array(mask, "mask"))


def test_minus_infinity_alone_is_no_additive_mask():
    assert codes(judge_array(np.full((6, 5), -np.inf), "w")) == ["SB108", "SB101"]


def test_zeros_alone_are_no_additive_mask():
    assert codes(judge_array(np.zeros((6, 5)), "w")) == ["SB101"]


def test_a_complex_array_is_no_additive_mask():
    assert codes(judge_array(np.array([0, complex(-np.inf, 1)]), "w")) == ["SB108"]


def test_an_array_of_equal_rows_is_constant_along_one_axis_only():
    (finding,) = judge_array(np.tile(ROW, (6, 1)), "a").findings
    assert (finding.code, finding.where) == ("SB101", "a, axis 0")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_one_finding_for_all_axes(value):
    array = random(6, 5)
    array[2, 3] = value
    report = judge_array(array, "a")
    assert [(f.code, f.where, f.groups) for f in report.findings] == [("SB108", "a, axis 0", ((2,),))]
    constant = judge_array(np.full((6, 5), np.inf), "a")
    assert codes(constant) == ["SB108", "SB101"]


@pytest.mark.parametrize("shape", [(1, 64), (64, 1), (1, 1, 64), (1, 64, 1, 1)])
def test_a_vector_in_disguise_is_no_weight_unless_told(shape):
    for value in (0, 1):
        report = judge_array(np.full(shape, value), "bias")
        assert (codes(report), dict(report.partition), report.arrays) == ([], {}, 1)
    told = judge_weight(np.ones(shape).reshape(64, 1), "w", "oi")
    assert codes(told) == ["SB101"]


def test_a_vector_in_disguise_is_looked_at_for_values_that_are_not_finite():
    bad = np.ones((1, 64, 1, 1))
    bad[0, 5] = np.nan
    assert judge_array(bad, "scale").findings[0].message == "1 of 64 values are not finite: 5"


def test_values_of_a_long_vector_are_looked_at_to_the_end():
    vector = np.zeros(600_000, np.float32)
    vector[[0, 300_000, 599_999]] = np.nan
    assert judge_array(vector, "v").findings[0].groups == ((0, 300_000, 599_999),)


@pytest.mark.parametrize("judge", [lambda a: judge_array(a, "a"), judge_weight])
@pytest.mark.parametrize("shape", [(), (3,), (3, 3), (0, 3)])
def test_what_is_no_number_is_refused_whatever_its_shape(judge, shape):
    with pytest.raises(TypeError, match="weights are numbers; got an array of dtype <U1"):
        judge(np.zeros(shape, "U1"))


def test_units_that_are_sound_are_not_listed():
    """A list of all units would take more memory than the search itself."""
    units = 200_000
    weight = np.arange(2 * units, dtype=np.float32).reshape(units, 2)
    judge_weight(weight[:10])
    tracemalloc.start()
    try:
        assert not judge_weight(weight, workers=1).findings
        assert tracemalloc.get_traced_memory()[1] < 70 * units
    finally:
        tracemalloc.stop()


# Reports.


ARRAYS = {
    "sound": random(6, 4),
    "sound integers": np.arange(24, dtype=np.int32).reshape(6, 4) + 1,
    "sound and large": random(200, 300),
    "sound kernels": random(20, 30, 3, 3),
    "equal": with_units(random(6, 4), u1=ROW, u4=ROW),
    "constant": np.ones((6, 4)),
    "not finite": np.array([[1.0, np.nan], [2, 3], [4, 5]]),
    "a vector": np.ones(6),
    "a vector with NaN": np.array([0, np.nan, 0]),
    "a number": np.array(np.inf),
    "indices": np.ones((6, 4), np.int64),
    "booleans": np.ones((6, 4), bool),
    "a mask that is added": np.triu(np.full((4, 4), -np.inf), 1),
    "nothing": np.ones((0, 4)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_report_of_one_array_counts_one(name):
    assert judge_array(ARRAYS[name], "w").arrays == judge_weight(ARRAYS[name], "w").arrays == 1
    for tolerance in (None, 0.01):
        assert judge_array(ARRAYS[name], "w", tolerance=tolerance).arrays == 1


@pytest.mark.parametrize("name", [name for name in ARRAYS if name.startswith("sound")])
@pytest.mark.parametrize("tolerance", [None, 1e-9])
def test_units_that_are_sound_are_classes_of_their_own_along_each_axis(name, tolerance):
    array = ARRAYS[name]
    report = judge_array(array, "w", tolerance=tolerance)
    assert report.ok
    assert {where: labels.tolist() for where, labels in report.partition.items()} == {
        f"w, axis {axis}": list(range(array.shape[axis])) for axis in unit_axes(array.shape)
    }


@pytest.mark.parametrize(("classes", "rest"), [(8, False), (9, True)])
def test_eight_classes_are_listed(classes, rest):
    (finding,) = judge_weight(np.repeat(random(classes, 3), 2, axis=0)).findings
    listed = "; ".join(f"{2 * unit}, {2 * unit + 1}" for unit in range(8)) + ("; ..." if rest else "")
    assert finding.message == f"{2 * classes} units form {classes} classes with equal incoming weights: {listed}"


def test_of_equal_units_it_is_said_what_they_hold():
    kernels = np.tile(random(1, 1, 3, 3), (20, 16, 1, 1))
    (finding,) = judge_array(kernels, "w").findings
    sizes = "all 20 units of axis 0 and all 16 units of axis 1"
    assert finding.message == f"{sizes} are equal: one row of weights, repeated"
    halves = Axes("oi", splits=2)
    for second, content in ((2.0, "every weight is 2"), (3.0, "one row of weights, repeated")):
        parts = np.concatenate([np.full((3, 4), 2.0), np.full((3, 4), second)])
        (finding,) = judge_weight(parts, axes=halves).findings
        assert finding.message == f"all units of each of 2 parts are equal: {content}"
        assert finding.groups == ((0, 1, 2, 3, 4, 5),)


def test_near_units_of_later_parts_keep_their_numbers():
    weight = random(9, 40).astype(np.float64)
    weight[4] = weight[3] * (1 + 1e-4)
    weight[8] = weight[6] * (1 + 1e-4)
    found = judge_weight(weight, axes=Axes("oi", splits=3), tolerance=0.01).findings
    assert [(each.code, each.groups) for each in found] == [("SB103", ((3, 4),)), ("SB103", ((6, 8),))]


def test_copies_of_constants_are_no_equal_copies_and_some_of_them_are():
    ones, some, rows = np.ones((3, 4, 5)), np.ones((3, 4, 5)), np.tile(random(4, 5), (3, 1, 1))
    some[1] = 2
    rows[:, 3] = rows[:, 1]
    assert codes(judge_weight(ones, axes="boi")) == ["SB101"] * 3
    assert codes(judge_weight(some, axes="boi")) == ["SB101"] * 3 + ["SB206"]
    assert codes(judge_weight(rows, axes="boi")) == ["SB102"] * 3 + ["SB206"]
    assert codes(judge_weight(np.tile(random(4, 5), (2, 2, 1, 1)), axes="bboi")) == []


def test_a_tolerance_finds_near_units_along_each_axis_with_the_biases_of_it():
    array = random(6, 5).astype(np.float64)
    array[4] = array[1] * (1 + 1e-5)
    array[:, 3] = 2 * array[:, 0]
    found = judge_array(array, "w", tolerance=1e-3).findings
    assert [(each.code, each.where, each.groups) for each in found] == [
        ("SB103", "w, axis 0", ((1, 4),)),
        ("SB104", "w, axis 1", ((0, 3),)),
    ]
    for biases, expected in (
        ({0: np.arange(6.0)}, ["SB103", "SB104"]),
        ({1: np.arange(5.0)}, ["SB103"]),
        ({1: np.array([1.0, 0, 0, 2, 0])}, ["SB103", "SB104"]),
    ):
        assert codes(judge_array(array, "w", tolerance=1e-3, biases=biases)) == expected


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x7F800001, "float32"), (0x7C01, "float16"), (0x7F81, "bfloat16"), (0x7D, "float8_e5m2")]
)
def test_a_vector_with_a_nan_that_signals_is_judged_without_a_warning(code, dtype):
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    vector = np.array([0, code, 0], f"u{dtype.itemsize}").view(dtype)
    assert judge_array(vector, "v").findings[0].message == "1 of 3 values are not finite: 1"
