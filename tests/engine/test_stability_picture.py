"""The picture of stability: a difference from rounding to separation, at the growth of each class."""

import html
import re

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak.engine import ClassStability, Stability


def of(growth, space="layers.0", gradient=0.0, reason=None):
    values = np.array([-0.5, 0.5])
    return ClassStability(space, (0, 1, 2), True, values, 2, 1e-9, growth, -0.5, gradient, reason)


def lines(markup):
    """Give the ends of each line in the units of the scale: pixels across, powers of ten down."""
    ticks = {}
    for at, text in re.findall(r'y="([0-9.]+)" text-anchor="end">([0-9.e-]+)</text>', markup):
        ticks[float(at) - 4] = np.log10(float(text))
    (low, high), (top, bottom) = (min(ticks), max(ticks)), (ticks[min(ticks)], ticks[max(ticks)])
    found = []
    for x, y, across, down in re.findall(r'd="M([0-9.]+) ([0-9.]+)L([0-9.]+) ([0-9.]+)" fill="none"', markup):
        powers = [top + (float(each) - low) / (high - low) * (bottom - top) for each in (y, down)]
        found.append((float(x), powers[0], float(across), powers[1]))
    return found


def test_a_line_rises_from_rounding_to_where_units_are_apart_at_the_step_that_is_predicted():
    slow, fast = of(1.5, "layers.0"), of(2.0, "layers.1")
    markup = Stability((slow, fast), engine.SGD(0.1), "mse", 0)._repr_html_()
    (left, start, right, end), (_, other, middle, apart) = lines(markup)
    assert (start, other) == (pytest.approx(-16, abs=0.1), pytest.approx(-16, abs=0.1))
    assert (end, apart) == (pytest.approx(-1, abs=0.1), pytest.approx(-1, abs=0.1))
    expected = fast.steps_to_separate() / slow.steps_to_separate()
    assert (middle - left) / (right - left) == pytest.approx(expected, abs=0.03)
    assert "layers.0: in 86 steps" in markup
    assert "layers.1: in 50 steps" in markup


@pytest.mark.parametrize(
    ("growth", "end", "word"),
    [
        (1.0, -16, "flat here"),
        (0.5, -18, "never"),
        (0.999999, -16, "never"),
        (0.97, -17.3, "never"),
        (0.0, -18, "never"),
    ],
)
def test_a_difference_that_does_not_grow_never_reaches_the_line(growth, end, word):
    markup = of(growth)._repr_html_()
    ((_, start, _, last),) = lines(markup)
    assert (start, last) == (pytest.approx(-16, abs=0.1), pytest.approx(end, abs=0.1))
    assert f"layers.0: {word}" in markup


def test_a_class_whose_growth_is_not_known_is_not_drawn():
    unknown = of(float("nan"), reason="A step of Adam is not linear.")
    assert "<svg" not in unknown._repr_html_()
    assert "<svg" not in Stability((unknown,), engine.SGD(0.1), "mse", 0)._repr_html_()
    markup = Stability((unknown, of(1.5)), engine.SGD(0.1), "mse", 0)._repr_html_()
    assert len(lines(markup)) == 1
    assert "1 of 2 classes are not drawn" in markup


def test_very_many_classes_and_hostile_names_are_drawn_safely():
    classes = tuple(of(1.5, f"<b>\x1b{number}") for number in range(20))
    markup = Stability(classes, engine.SGD(0.1), "mse", 0)._repr_html_()
    assert len(lines(markup)) == 8
    assert "12 of 20 classes are not drawn" in markup
    assert "<b>" not in markup
    svg = re.search("<svg.*?</svg>", markup)[0]
    assert "\x1b" not in svg


def test_a_network_shows_what_the_table_says():
    net = engine.mlp([2, 4, 1], init=sb.Constant(0.5))
    x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
    found = engine.stability(net, x, y, optimizer=engine.SGD(0.5))
    markup = html.unescape(found._repr_html_())
    assert "layers.0: in 90 steps" in markup
    assert f"layers.0, 4 units, times {found[0].growth:.6g} a step" in markup
    assert 'role="img"' in markup
    assert len(lines(found._repr_html_())) == 1
