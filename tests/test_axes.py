"""Axes and fans: against counting connections one by one, and against what is published for each framework's layers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.axes import as_shape

# layer, shape, axes, fan_in, fan_out: what feeds one output unit, what one input feeds.
LAYERS = [
    ("torch Linear(32, 64)", (64, 32), None, 32, 64),
    ("keras Dense(64)", (32, 64), "io", 32, 64),
    ("torch Conv1d(8, 16, 5)", (16, 8, 5), None, 40, 80),
    ("torch Conv2d(3, 64, 7)", (64, 3, 7, 7), None, 147, 3136),
    ("torch Conv3d(2, 4, 3)", (4, 2, 3, 3, 3), None, 54, 108),
    ("keras Conv2D(64, 7)", (7, 7, 3, 64), "hwio", 147, 3136),
    ("torch ConvTranspose2d(64, 16, 4)", (64, 16, 4, 4), "iohw", 1024, 256),
    ("keras Conv2DTranspose(16, 4)", (4, 4, 16, 64), "hwoi", 1024, 256),
    ("torch Conv2d(64, 64, 3, groups=64)", (64, 1, 3, 3), sb.Axes("oihw", groups=64), 9, 9),
    ("torch Conv2d(64, 128, 3, groups=64)", (128, 1, 3, 3), sb.Axes("oihw", groups=64), 9, 18),
    ("torch Conv2d(64, 128, 3, groups=4)", (128, 16, 3, 3), sb.Axes("oihw", groups=4), 144, 288),
    ("torch ConvTranspose2d(64, 128, 3, groups=4)", (64, 32, 3, 3), sb.Axes("iohw", groups=4), 144, 288),
    ("keras DepthwiseConv2D(3)", (3, 3, 64, 2), sb.Axes("hwio", groups=64, grouped="i"), 9, 18),
    ("keras MultiHeadAttention query", (32, 4, 8), "ioo", 32, 32),
    ("keras MultiHeadAttention output", (4, 8, 32), "iio", 32, 32),
    ("eight experts", (8, 64, 32), "boi", 32, 64),
    ("fused q, k, v", (192, 64), sb.Axes("oi", splits=3), 64, 64),
    ("LSTM gates", (64, 20), sb.Axes("oi", splits=4), 20, 16),
    ("grouped queries", (96, 64), sb.Axes("oi", splits=(64, 16, 16)), 64, 96),
]


@pytest.mark.parametrize(("layer", "shape", "axes", "fan_in", "fan_out"), LAYERS, ids=[row[0] for row in LAYERS])
def test_the_fans_of_known_layers(layer, shape, axes, fan_in, fan_out):
    assert sb.fans(shape, axes=axes) == (fan_in, fan_out)


def test_unequal_splits_have_fans_of_their_own():
    axes = sb.Axes("oi", splits=(64, 16, 16))
    assert axes.part_fans((96, 64)) == ((64, 64), (64, 16), (64, 16))
    assert axes.parts((96, 64)) == (slice(0, 64), slice(64, 80), slice(80, 96))


@given(
    layout=st.permutations("oihw"), sizes=st.lists(st.integers(1, 4), min_size=4, max_size=4), groups=st.integers(1, 3)
)
def test_fans_are_the_connections_counted_one_by_one(layout, sizes, groups):
    """Build the connections of a grouped convolution as (unit, input, tap) triples and count."""
    layout = "".join(layout)
    size = dict(zip(layout, sizes, strict=True))
    per_group = size["o"], size["i"]
    axes = sb.Axes(layout, groups=groups, grouped="o")
    shape = tuple(size[letter] * (groups if letter == "o" else 1) for letter in layout)
    triples = [
        (g * per_group[0] + o, g * per_group[1] + i, tap)
        for g in range(groups)
        for o, i, tap in itertools.product(range(per_group[0]), range(per_group[1]), range(size["h"] * size["w"]))
    ]
    fans = sb.fans(shape, axes=axes)
    assert fans.fan_in == sum(unit == 0 for unit, _, _ in triples)
    assert fans.fan_out == sum(read == 0 for _, read, _ in triples)


@given(layout=st.permutations("boihw"), data=st.data())
def test_matrices_and_back_is_the_identity(layout, data):
    layout = "".join(layout)
    groups = data.draw(st.integers(1, 3))
    grouped = data.draw(st.sampled_from("oi"))
    shape = tuple(data.draw(st.integers(1, 3)) * (groups if letter == grouped else 1) for letter in layout)
    axes = sb.Axes(layout, groups=groups, grouped=grouped)
    array = np.arange(np.prod(shape)).reshape(shape)
    maps = axes.matrices(array)
    size = dict(zip(layout, shape, strict=True))
    assert maps.shape == axes._map_shape(shape)
    assert maps.shape[0] == size["b"] * groups
    assert (axes.from_matrices(maps, shape) == array).all()


def test_matrices_hold_each_units_incoming_weights():
    array = np.arange(2 * 3 * 4 * 5).reshape(4, 5, 3, 2)  # h w i o
    maps = sb.Axes("hwio").matrices(array)
    assert maps.shape == (1, 2, 60)
    for unit in range(2):
        assert sorted(maps[0, unit]) == sorted(array[..., unit].ravel())
    grouped = np.arange(6 * 2).reshape(6, 2)
    maps = sb.Axes("oi", groups=3).matrices(grouped)
    assert maps.tolist() == [grouped[0:2].tolist(), grouped[2:4].tolist(), grouped[4:6].tolist()]


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((5,), None, r"needs an output and an input axis, but `shape` is \(5,\); for a bias use `Zeros\(\)`"),
        ((), None, r"but `shape` is \(\); name them"),
        ((1, 2, 3, 4, 5, 6), None, "name them: axes='boi'"),
        ((3, 4), "oihw", r"axes 'oihw' names 4 axes, but `shape` is \(3, 4\)"),
        ((3, 4), "xy", "the layout 'xy' is not one letter an axis"),
        ((3, 4), "oo", "with at least one o and one i"),
        ((3, 4, 5, 6), "oihh", "the layout 'oihh'"),
        ((3, 4), sb.Axes("oi", splits=2), r"3 units of `shape` \(3, 4\) can't be split into 2 equal parts"),
        ((3, 4), sb.Axes("oi", splits=(2, 2)), r"splits \(2, 2\) add up to 4, but `shape` \(3, 4\) has 3 units"),
        ((4, 3, 2), sb.Axes("ooi", splits=2), "splits lie along one output axis, but axes 'ooi' has several"),
        ((3, 4), sb.Axes("oi", groups=2), r"axis 'o' of `shape` \(3, 4\) has size 3, which 2 groups don't divide"),
        ((4, 4), sb.Axes("oi", groups=2, splits=2), "has both groups and splits"),
        ((-1, 4), None, r"`shape` has a negative size: \(-1, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused(shape, axes, message):
    with pytest.raises(ValueError, match=message):
        sb.fans(shape, axes=axes)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: sb.Axes(3), TypeError, "a layout is a string with one letter an axis"),
        (lambda: sb.Axes("oi", groups=0), ValueError, "groups is a positive integer; got 0"),
        (lambda: sb.Axes("oi", groups=True), ValueError, "groups is a positive integer; got True"),
        (lambda: sb.Axes("oi", grouped="b"), ValueError, "grouped is 'o' or 'i'"),
        (lambda: sb.Axes("oi", splits=0), ValueError, "splits is a number of equal parts or the sizes"),
        (lambda: sb.Axes("oi", splits=()), ValueError, "splits is a number of equal parts"),
        (lambda: sb.Axes("oi", splits="ab"), ValueError, "splits is a number of equal parts"),
        (lambda: sb.Axes("oi", splits=2.5), ValueError, "splits is a number of equal parts"),
        (lambda: as_shape("ab"), TypeError, "`shape` is an integer or a sequence of integers; got 'ab'"),
        (lambda: as_shape(2.0), TypeError, "`shape` is an integer or a sequence of integers; got 2.0"),
        (lambda: as_shape((2, True)), TypeError, "`shape` is an integer or a sequence"),
        (lambda: as_shape(None), TypeError, "got None"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_lists_of_splits_are_taken_and_axes_compare_and_hash():
    assert sb.Axes("oi", splits=[2, 3]) == sb.Axes("oi", splits=(2, 3))
    assert len({sb.Axes("oi", splits=[2, 3]), sb.Axes("oi", splits=(2, 3)), sb.Axes("oi")}) == 2
