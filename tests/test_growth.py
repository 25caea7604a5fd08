"""Spreads of units that were equal, the factor by which they grow, and their picture."""

import html
import math
import re

import ml_dtypes
import numpy as np
import pytest

import symbreak._growth as growth_module
from symbreak._curves import COLOURS, MOST, POINTS, WIDE, Curve, curves_svg, growth_curves, growth_label
from symbreak._growth import APART, Growth, spread_of
from symbreak.reports._page import DARK, LIGHT
from tests.reports.test_formats import luminance

DRAW = np.random.default_rng(0).standard_normal


def of(*spread, places=None, **facts):
    places = tuple(range(0, 10 * len(spread), 10)) if places is None else places
    return Growth("fc1.weight, axis 0", 8, 1, places, spread, **facts)


def slow_spread(units, groups):
    """Measure another way: mean by mean, in long double."""
    rows = units.reshape(len(units), -1).astype(np.longdouble)
    apart = sum(float(((rows[list(group)] - rows[list(group)].mean(axis=0)) ** 2).sum()) for group in groups)
    return math.sqrt(apart / sum(float((rows[list(group)] ** 2).sum()) for group in groups))


@pytest.mark.parametrize("chunk", [1, 60, 1 << 20])
@pytest.mark.parametrize("groups", [((0, 1, 2, 3),), ((0, 2), (1, 3, 5)), (tuple(range(12)),)])
def test_the_spread_is_the_distance_from_the_mean_of_the_class_relative_to_the_length(monkeypatch, chunk, groups):
    monkeypatch.setattr(growth_module, "CHUNK", chunk)
    units = DRAW((12, 5, 3)) + 2
    assert spread_of(units, groups) == pytest.approx(slow_spread(units, groups), rel=1e-12)


@pytest.mark.parametrize("size", [1e-3, 1e-8, 1e-12])
def test_a_spread_far_below_the_weights_is_that_of_the_differences(size):
    """Differences that are exact in float64 come out to nine digits, though squares of the weights hold none of it."""
    differences = np.round(DRAW((6, 40)) * 2**20) * 2.0**-20 * 2.0 ** round(math.log2(size))
    units = np.ones(40) + differences
    kept = units - 1
    expected = math.sqrt(((kept - kept.mean(axis=0)) ** 2).sum() / (units**2).sum())
    assert spread_of(units, [range(6)]) == pytest.approx(expected, rel=1e-9)


def test_units_that_are_equal_have_no_spread_and_independent_ones_one():
    assert spread_of(np.tile(DRAW(7), (5, 1)), [range(5)]) == 0
    assert spread_of(np.zeros((5, 7)), [range(5)]) == 0
    assert spread_of(DRAW((400, 50)), [range(400)]) == pytest.approx(1, abs=0.01)
    assert spread_of(np.array([[1.0], [-1.0]]), [(0, 1)]) == 1


def test_a_spread_ignores_units_of_no_class_and_the_scale():
    units = DRAW((9, 4))
    groups = [(0, 1, 2)]
    other = units * 1e-30
    other[5:] = 7
    assert spread_of(other, groups) == pytest.approx(spread_of(units, groups), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ml_dtypes.bfloat16, np.int8, ">f4", np.complex64])
def test_every_dtype_has_a_spread(dtype):
    units = (DRAW((6, 9)) * 20).astype(dtype)
    wide = units.astype(np.complex128 if np.iscomplexobj(units) else np.float64)
    expected = math.sqrt((abs(wide - wide.mean(axis=0)) ** 2).sum() / (abs(wide) ** 2).sum())
    assert spread_of(units, [range(6)]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_leaves_no_spread(value):
    units = DRAW((4, 3))
    units[1, 1] = value
    assert math.isnan(spread_of(units, [range(4)]))


def test_the_factor_is_the_slope_of_the_logarithm():
    places, spread = (3, 10, 11, 40), (1e-9, 4e-8, 3e-8, 9e-3)
    slope = np.polyfit(places, np.log(spread), 1)[0]
    assert of(*spread, places=places).factor == pytest.approx(math.exp(slope), rel=1e-9)


@pytest.mark.parametrize(
    ("spread", "factor", "apart", "verdict"),
    [
        ((0, 0, 0), None, None, "equal at every look"),
        ((0, 1e-8, 1e-6, 1e-4), 10**0.2, None, "coming apart, near step 45 at this rate"),
        ((0, 1e-8, 1e-6, 0.2, 0.9), 10**0.2, 30, "apart since step 30"),
        ((0, 1e-8, 0.2, 1e-3, 1e-2), 10**0.1, None, "coming apart, near step 50 at this rate"),
        ((0.9, 1e-2, 1e-4, 1e-6), 10**-0.2, None, "coming closer"),
        ((0.9, 1e-2, 1e-4, 0), 10**-0.2, None, "equal since step 30"),
        ((0, 1e-5), None, None, "not apart yet"),
        ((0, 0.4), None, 10, "apart since step 10"),
        ((0, 1e-5, 1e-5), 1, None, "not apart yet"),
        ((1e-8, 1e-6, 1e-4, 0.3, 0.01), 10**0.2, None, "not apart yet"),
        ((1e-8, 1e-6, 0.5, 1e-5, 1e-2), 10**0.3, None, "coming apart, near step 43 at this rate"),
        ((APART, APART), None, 0, "apart since step 0"),
    ],
)
def test_what_became_of_units_is_said(spread, factor, apart, verdict):
    growth = of(*spread)
    assert growth.factor == (None if factor is None else pytest.approx(factor))
    assert (growth.apart, growth.verdict) == (apart, verdict)


def test_the_step_at_which_units_will_be_apart_is_where_the_line_meets_it():
    growth = of(1e-8, 1e-7, 1e-6, places=(0, 100, 200))
    assert growth.verdict == "coming apart, near step 700 at this rate"
    assert growth.spread[-1] * growth.factor**500 == pytest.approx(APART, rel=1e-8)


def test_a_sentence_and_a_dictionary_say_the_same():
    growth = of(0.0, 1e-6, 1e-4, along="epoch", run="e-*.npz", files=("e-1.npz", "e-2.npz", "e-3.npz"))
    facts = growth.to_dict()
    assert growth.sentence == (
        "8 units: spread 0 at epoch 0, 0.0001 at epoch 20, multiplied by 1.5849 an epoch; coming apart, near epoch 35 "
        "at this rate"
    )
    assert facts == {
        "where": "fc1.weight, axis 0", "run": "e-*.npz", "files": ["e-1.npz", "e-2.npz", "e-3.npz"], "units": 8,
        "classes": 1, "along": "epoch", "places": [0, 10, 20], "spread": [0.0, 1e-6, 1e-4],
        "factor": growth.factor, "apart": None, "verdict": growth.verdict,
    }  # fmt: skip
    assert "run" not in of(0.0, 0.0).to_dict()
    assert "of 3 classes" in Growth("w", 9, 3, (0, 1), (0.0, 0.0)).sentence


# The picture


def drawn(curves):
    """Read back the points of each curve, and the text."""
    svg = curves_svg(curves, "step", "a label")
    lines = re.findall(r'<path d="M([0-9.]+ [0-9.]+(?:L[0-9.]+ [0-9.]+)*)" fill="none" stroke="(#[0-9a-f]+)"', svg)
    points = [([tuple(map(float, each.split())) for each in path.split("L")], colour) for path, colour in lines]
    return points, re.findall(r"<text[^>]*>([^<]*)</text>", svg), svg


def test_a_curve_is_where_its_numbers_say():
    """Steps are even across, powers of ten are even down, and what is equal lies below the scale."""
    points, text, _ = drawn([Curve("w", ((0, 0.0), (50, 1e-6), (100, 1e-4), (200, 1e-2)))])
    ((line, colour),) = points
    (x, y) = zip(*line, strict=True)
    assert colour == COLOURS[0]
    assert np.diff(x).tolist() == pytest.approx([95, 95, 190], abs=0.2)
    assert y[1] - y[2] == pytest.approx(y[2] - y[3], abs=0.2)
    assert y[0] > y[1] + 10
    assert {"w", "equal", "apart", "step", "0", "200", "1e-6", "1"} <= set(text)


def test_curves_are_told_apart_by_colour_and_dashes_and_named():
    curves = [Curve(f"w{n}", ((0, 1e-5), (1, 10.0**-n))) for n in range(MOST + 3)]
    points, text, svg = drawn(curves)
    assert len(points) == MOST
    assert [colour for _, colour in points] == [*COLOURS, *COLOURS]
    assert svg.count("stroke-dasharray") == 1 + MOST  # the line of what is apart; half of the curves and their keys
    assert [each for each in text if each.startswith("w")] == [f"w{n}" for n in range(MOST)]


def test_curves_that_rise_are_drawn_first():
    growths = [of(0.0, 0.0, run=str(n)) for n in range(MOST)] + [of(0.0, 1e-3)]
    assert growth_curves(growths)[0].points == ((0, 0.0), (10, 1e-3))
    assert len(growth_curves(growths)) == MOST


@pytest.mark.parametrize(
    "points",
    [(), ((5, 0.0),), ((5, 1e-300), (6, 1.0)), ((0, 0.0), (10**15, 0.0)), ((0, 1e-3),), ((7, 0.5), (8, 0.5))],
)
def test_a_picture_of_little_is_drawn_without_a_fault(points):
    svg = curves_svg([Curve("w", points)] if points else [], "step", "label")
    assert svg.startswith("<svg")
    assert "nan" not in svg
    assert "inf" not in svg


def test_of_many_points_some_are_drawn_and_the_last_is_among_them():
    points = tuple((float(n), 10.0 ** (-9 + n / 1000)) for n in range(8000))
    (line, _), *_ = drawn([Curve("w", points)])[0]
    assert len(line) == POINTS
    assert line[-1] == drawn([Curve("w", points[:1] + points[-1:])])[0][0][0][-1]
    assert len(drawn([Curve("w", points)])[2]) < 8000


def test_names_are_shown_as_text():
    _, text, svg = drawn([Curve("<b>\x1b\u202e" + "x" * 300, ((0, 0.1),))])
    assert "<b>" not in svg
    assert svg.isprintable()
    assert max(len(html.unescape(each)) for each in text) <= WIDE


def test_the_name_of_a_picture_says_the_numbers_of_a_few():
    label = growth_label([of(0.0, 1e-6, 1e-4), of(0.0, 0.0), of(0.0, 0.0)])
    assert "0 at 0, 0.0001 at 20, coming apart, near step 35 at this rate" in label
    assert label.endswith("and 1 more")


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("colour", COLOURS)
def test_curves_stand_out_from_the_page(theme, colour):
    """WCAG 2.2, 1.4.11: 3 to 1 for what is drawn."""
    low, high = sorted([luminance(colour), luminance(theme["ground"])])
    assert (high + 0.05) / (low + 0.05) >= 3
