"""A history draws what it holds, and shows it in a notebook."""

import builtins
import sys

import numpy as np
import pytest

from symbreak import engine
from symbreak.errors import MissingExtra

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")  # no window

from matplotlib import pyplot as plt  # noqa: E402 - after the backend is chosen


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


def history(losses, optimizer=engine.SGD(0.1), stopped=None):  # noqa: B008 - frozen
    return engine.History(np.array(losses, float), "mse", optimizer, stopped)


def test_the_line_is_the_losses_on_a_logarithmic_scale():
    net = engine.mlp([2, 4, 1], init="he_normal", rng=0)
    trained = engine.train(net, np.eye(2), [0.0, 1.0], optimizer=engine.Adam(0.01), steps=30)
    axes = trained.plot()
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), np.arange(30))
    np.testing.assert_array_equal(line.get_ydata(), trained.losses)
    assert axes.get_yscale() == "log"
    assert line.get_label() == "mse, Adam(learning_rate=0.01)"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [line.get_label()]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")
    assert line.get_linestyle() == "-"


def test_two_histories_share_axes():
    first = history([3, 2, 1]).plot()
    second = history([5, 4], engine.LBFGS()).plot(first)
    assert second is first
    assert [line.get_ydata().tolist() for line in first.lines] == [[3, 2, 1], [5, 4]]
    assert [text.get_text() for text in first.get_legend().get_texts()] == [
        "mse, SGD(learning_rate=0.1)",
        "mse, LBFGS()",
    ]
    assert len(plt.get_fignums()) == 1
    assert history([1]).plot() is not first


def test_losses_of_zero_leave_a_gap_and_take_no_room():
    axes = history([1, 0.1, 0, 0.01]).plot()
    axes.figure.draw_without_rendering()
    assert axes.get_ylim()[0] > 1e-3
    drawn = axes.transData.transform(np.column_stack(axes.lines[0].get_data()))
    assert not np.isfinite(drawn[2, 1])
    assert np.isfinite(drawn[[0, 1, 3]]).all()


@pytest.mark.parametrize("losses", [[], [0.0, 0.0]])
def test_without_a_loss_above_zero_the_scale_is_linear(losses):
    axes = history(losses).plot()
    axes.figure.draw_without_rendering()
    assert axes.get_yscale() == "linear"
    assert axes.lines[0].get_ydata().tolist() == losses


def test_a_single_loss_is_a_point_that_can_be_seen():
    assert history([2.0]).plot().lines[0].get_marker() == "."
    assert history([2.0, 1.0]).plot().lines[0].get_marker() == "None"


def test_without_matplotlib_the_message_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *arguments, **options)

    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    message = r"the plot of a history needs matplotlib, which is not installed: pip install 'symbreak\[plot\]'"
    with pytest.raises(MissingExtra, match=message):
        history([1.0]).plot()


def test_a_notebook_shows_the_lines_of_the_text_as_a_table():
    class Odd(engine.AbstractOptimizer):
        def start(self, parameter):
            return None

        def step(self, parameter, gradient, state):
            return None

        def __repr__(self):
            return "<Odd & co>"

    shown = history([4.0, 3.0, 2.5], Odd(), "it was <done>")
    assert shown._repr_html_() == (
        "<p>3 steps of &lt;Odd &amp; co&gt;, mse</p><table><tr><th>step</th><th>loss</th></tr>"
        "<tr><td>0</td><td>4</td></tr><tr><td>1</td><td>3</td></tr><tr><td>2</td><td>2.5</td></tr></table>"
        "<p>lowest: 2.5, at step 2</p><p>stopped: it was &lt;done&gt;</p>"
    )
    assert str(shown) == (
        "3 steps of <Odd & co>, mse\n  step 0  loss 4\n  step 1  loss 3\n  step 2  loss 2.5\n"
        "  lowest: 2.5, at step 2\n  stopped: it was <done>"
    )
    assert history([])._repr_html_() == "<p>no steps of SGD(learning_rate=0.1), mse</p>"
