"""The plot shows every start once, at its loss, in the colour of its minimum."""

import builtins
import math

import numpy as np
import pytest

from symbreak._restarts._plot import COLOURS, GREY
from symbreak.errors import MissingExtra
from tests.restarts.test_minima import random_parameters, result_of

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")  # no window


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


def result(losses, groups):
    """Starts of equal group have equal weights."""
    rng = np.random.default_rng(0)
    minima = [random_parameters([2, 3, 1], rng) for _ in range(max(groups) + 1)]
    return result_of([minima[group] for group in groups], "tanh", losses)


def points(axes):
    """Each group's label, colour, ranks and losses."""
    drawn = [line for line in axes.lines if line.get_marker() == "o"]
    return {line.get_label(): (line.get_color(), *(values.tolist() for values in line.get_data())) for line in drawn}


LOSSES = [0.3, 0.01, 0.2, 0.01, 0.4, 0.02, 0.5]
GROUPS = [1, 0, 1, 0, 2, 0, 3]


def test_starts_are_sorted_and_coloured_by_minimum():
    assert points(result(LOSSES, GROUPS).plot()) == {
        "3 starts, the best at 0.01": (COLOURS[0], [1, 2, 3], [0.01, 0.01, 0.02]),
        "2 starts, the best at 0.2": (COLOURS[1], [5, 4], [0.3, 0.2]),
        "2 starts in 2 other minima": (GREY, [6, 7], [0.4, 0.5]),
    }


def test_minima_of_one_start_each_are_grey():
    assert points(result([0.3, 0.1], [0, 1]).plot()) == {"2 starts in 2 minima": (GREY, [2, 1], [0.3, 0.1])}
    assert points(result([0.3], [0]).plot()) == {"1 start in 1 minimum": (GREY, [1], [0.3])}


def test_minima_beyond_the_colours_are_grey():
    groups = [number for number in range(len(COLOURS) + 1) for _ in range(2)]
    drawn = points(result([0.1 + number / 10 for number in groups], groups).plot())
    assert [colour for colour, _, _ in drawn.values()] == [*COLOURS, GREY]
    assert "2 starts in 1 other minimum" in drawn


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_starts_are_counted_in_whole_numbers(count):
    axes = result(np.linspace(0.1, 0.2, count), [0] * count).plot()
    ticks = [tick for tick in axes.get_xticks() if 0.5 <= tick <= count + 0.5]
    assert ticks
    assert all(tick == int(tick) for tick in ticks)


def test_the_threshold_is_marked_with_how_many_reached_it():
    axes = result(LOSSES, GROUPS).plot(0.2)
    line = next(line for line in axes.lines if line.get_label() == "4 of 7 starts at 0.2 or less")
    assert line.get_ydata() == [0.2, 0.2]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[-1] == "4 of 7 starts at 0.2 or less"
    assert len(texts) == 4


@pytest.mark.parametrize(("losses", "scale"), [([0.01, 0.5], "log"), ([0.1, 0.5], "linear"), ([0.0, 0.5], "linear")])
def test_the_axis_is_logarithmic_where_losses_are_decades_apart(losses, scale):
    assert result(losses, [0, 1]).plot().get_yscale() == scale


def test_a_threshold_decades_below_the_losses_is_on_the_axis():
    axes = result([0.3, 0.4], [0, 1]).plot(1e-6)
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low < 1e-6 < high


def test_starts_without_a_finite_loss_are_counted_in_the_label():
    axes = result([0.2, math.inf, 0.1], [0, 1, 0]).plot()
    assert axes.get_xlabel() == "starts, the best first (1 without a finite loss)"
    assert axes.get_xlim() == (0.5, 3.5)
    assert points(axes) == {"2 starts, the best at 0.1": (COLOURS[0], [2, 1], [0.2, 0.1])}


def test_starts_none_of_which_has_a_finite_loss_are_counted_and_nothing_is_drawn():
    axes = result([math.inf, math.inf], [0, 1]).plot()
    assert points(axes) == {}
    assert "(2 without a finite loss)" in axes.get_xlabel()


def test_axes_that_are_given_are_drawn_on():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    assert result(LOSSES, GROUPS).plot(axes=axes) is axes
    assert axes.get_ylabel() == "lowest loss (mse)"


def test_a_figure_can_be_saved_and_is_one_that_notebooks_show(tmp_path):
    from matplotlib import pyplot as plt

    figure = result(LOSSES, GROUPS).plot(0.2).figure
    figure.savefig(tmp_path / "starts.png")
    assert (tmp_path / "starts.png").read_bytes().startswith(b"\x89PNG")
    assert plt.gcf() is figure


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    load = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"the plot of restarts needs matplotlib, .* 'symbreak\[plot\]'"):
        result(LOSSES, GROUPS).plot()


def test_a_threshold_and_a_tolerance_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="a threshold is a loss"):
        result(LOSSES, GROUPS).plot(math.nan)
    with pytest.raises(ValueError, match="a relative distance above 0"):
        result(LOSSES, GROUPS).plot(tolerance=0)
