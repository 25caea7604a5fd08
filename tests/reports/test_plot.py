"""The plot of a report: bars of units and of distinct units, in the style of all plots."""

import builtins
import sys

import numpy as np
import pytest

import symbreak as sb
from symbreak._figure import COLOURS, PALE
from symbreak.errors import MissingExtra
from symbreak.reports import Report

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")  # no window

from matplotlib import pyplot as plt  # noqa: E402 - after the backend is chosen
from matplotlib.colors import to_hex  # noqa: E402


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def network():
    init, key = sb.HeNormal(), sb.Key(0)
    tied = np.repeat(init((3, 8), rng=key["b"]), 2, axis=0)
    return sb.diagnose(sb.chain([(init((8, 4), rng=key["a"]), None), (tied, None), (np.ones((2, 6)), None)]))


def bars(axes):
    """{(place, width): colour}."""
    return {(round(bar.get_y() + 0.4), bar.get_width()): to_hex(bar.get_facecolor()).upper() for bar in axes.patches}


def test_bars_are_the_units_and_the_distinct_ones_in_the_order_of_the_network():
    axes = network().plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["layers.0", "layers.1"]
    assert [text.get_text() for text in axes.texts] == [" 8 of 8", " 3 of 6"]
    assert bars(axes) == {(0, 8): COLOURS[0], (1, 6): PALE, (1, 3): COLOURS[1]}  # all of 8 lies on its own grey
    assert axes.yaxis_inverted()
    axes.figure.draw_without_rendering()


def test_of_single_weights_those_that_repeat_are_drawn_and_the_others_counted():
    arrays = {"a": np.repeat(sb.HeNormal()((3, 5), rng=0), 2, axis=0), "b": sb.HeNormal()((5, 4), rng=1)}
    axes = sb.diagnose(arrays).plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a, axis 0"]
    assert axes.get_xlabel() == "units (3 more spaces not shown)"


def test_of_very_many_spaces_those_that_repeat_come_first():
    arrays = {f"{n}": np.ones((3, 2)) if n % 2 else sb.HeNormal()((3, 2), rng=sb.Key(n)) for n in range(90)}
    axes = sb.diagnose(arrays).plot()
    assert len(axes.get_yticklabels()) == 40
    assert axes.get_xlabel() == "units (140 more spaces not shown)"


def test_a_report_without_spaces_has_an_empty_plot_and_axes_that_are_given_are_drawn_on():
    axes = plt.figure().add_subplot()
    assert Report(arrays=1).plot(axes) is axes
    assert len(axes.patches) == 0


def test_names_are_made_safe_to_show():
    axes = sb.diagnose({"\x1b[31m" + "x" * 100: np.ones((3, 2))}).plot()
    label = axes.get_yticklabels()[0].get_text()
    assert label.isprintable()
    assert len(label) <= 40


def test_a_name_is_no_formula():
    axes = sb.diagnose({r"a$\nothing{$": np.ones((3, 2))}).plot()
    axes.figure.draw_without_rendering()
    assert axes.get_yticklabels()[0].get_text() == r"a$\nothing{$, axis 0"


def test_all_plots_have_one_style():
    from symbreak import engine

    net = engine.mlp([1, 2, 1], init="he_normal", rng=0)
    history = engine.train(net, [[1.0], [2.0]], [1.0, 3.0], optimizer=engine.SGD(0.1), steps=3)
    starts = sb.restarts([1, 2, 1], [[1.0], [2.0]], [1.0, 3.0], starts=3, steps=3, rng=0)
    for axes in (history.plot(), starts.plot(), network().plot()):
        assert axes.figure.get_size_inches()[0] == 9
        assert axes.get_axisbelow() is True
        assert [axes.spines[side].get_visible() for side in ("top", "right", "left", "bottom")] == [
            False,
            False,
            True,
            True,
        ]
        assert not axes.get_legend().get_frame_on()


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    load = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return load(name, *rest)

    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"the plot of a report needs matplotlib, .* 'symbreak\[plot\]'"):
        network().plot()
