"""The picture: it says what the runs say, its texts don't overlap, and it leaves no state behind."""

import builtins
import itertools
import sys

import numpy as np
import pytest

from symbreak.demo import STARTS, draw, load_digits, save_and_judge, save_picture, train_from
from symbreak.demo._picture import _apart
from symbreak.errors import MissingExtra

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module", params=[1, 40, 1000])
def outcomes(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    digits = load_digits()
    runs = [train_from(start, digits, steps=request.param) for start in STARTS]
    return tuple(save_and_judge(run, folder / f"{run.start.file}.safetensors") for run in runs)


@pytest.fixture(scope="module")
def figure(outcomes):
    return draw(outcomes)


def shown_texts(figure):
    """Give the texts that are drawn: not those of axes that are off, nor of ticks beyond the ends of an axis."""
    own = [*figure.texts, *([figure._suptitle] if figure._suptitle not in figure.texts else [])]
    for axes in figure.axes:
        if axes.axison:
            own += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
                own += [label for place, label in ticks if min(limits) <= place <= max(limits)]
    return [text for text in own if text.get_visible() and text.get_text().strip()]


def test_the_titles_say_how_many_units_are_distinct(figure):
    texts = [text.get_text() for text in shown_texts(figure)]
    assert "Constant(0.5): 1 distinct unit of 32" in texts
    assert "HeNormal(): 32 distinct units of 32" in texts


def test_the_curves_are_the_accuracies(figure, outcomes):
    curves = figure.axes[0].lines[:2]
    for curve, outcome in zip(curves, outcomes, strict=True):
        np.testing.assert_array_equal(curve.get_xdata(), outcome.run.steps)
        np.testing.assert_array_equal(curve.get_ydata(), 100 * outcome.run.accuracies)
        label = next(text for text in shown_texts(figure) if text.get_text().startswith(f"{outcome.run.start.name}\n"))
        assert label.get_text().endswith(f"\n{100 * outcome.run.accuracy:.1f}%")
        assert label.get_color() == curve.get_color()


def test_every_unit_is_shown_where_it_belongs_on_one_scale(figure, outcomes):
    images = [axes.images[0] for axes in figure.axes[1:3]]
    assert images[0].get_clim() == images[1].get_clim()
    low, high = images[0].get_clim()
    assert low == -high
    for image, outcome in zip(images, outcomes, strict=True):
        weight = outcome.run.parameters["layers.0.weight"]
        assert high >= np.abs(weight).max()
        mosaic = np.ma.filled(image.get_array(), np.nan)
        shown = [mosaic[9 * row : 9 * row + 8, 9 * k : 9 * k + 8].ravel() for row in range(4) for k in range(8)]
        np.testing.assert_array_equal(shown, weight)


def test_no_text_overlaps_another_or_leaves_the_picture(figure):
    figure.draw_without_rendering()
    drawn = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    inside = figure.bbox
    assert len(drawn) > 15
    for text, box in drawn:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= inside.x1, text
        assert box.y1 <= inside.y1, text
    for (a, first), (b, second) in itertools.combinations(drawn, 2):
        assert not first.overlaps(second), f"{a!r} and {b!r}"


@pytest.mark.parametrize(
    ("heights", "moved"),
    [([10.0], [10.0]), ([10, 50, 98], [10, 50, 98]), ([10, 10, 10], [10, 23, 36]), ([5, 10, 20], [5, 18, 31])],
)
def test_texts_are_moved_up_until_they_are_apart(heights, moved):
    assert _apart(heights) == moved


def test_the_file_is_a_png_that_names_its_maker_and_a_second_one_is_the_same(outcomes, tmp_path):
    import matplotlib.image

    first, second = tmp_path / "a.png", tmp_path / "b.png"
    save_picture(outcomes, first)
    save_picture(outcomes, second)
    assert first.read_bytes() == second.read_bytes()
    assert b"tEXtSoftware\0symbreak demo" in first.read_bytes()
    assert matplotlib.image.imread(first).shape == (900, 1620, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_drawing_opens_no_pyplot_figure_and_changes_no_setting(outcomes, tmp_path):
    import matplotlib.pyplot as plt

    before, open_before = dict(matplotlib.rcParams), plt.get_fignums()
    save_picture(outcomes, tmp_path / "a.png")
    assert plt.get_fignums() == open_before
    assert dict(matplotlib.rcParams) == before


def test_without_matplotlib_the_message_names_the_extra_and_nothing_is_written(outcomes, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *arguments, **options)

    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    message = r"the picture needs matplotlib, which is not installed: pip install 'symbreak\[plot\]'"
    with pytest.raises(MissingExtra, match=message):
        save_picture(outcomes, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
