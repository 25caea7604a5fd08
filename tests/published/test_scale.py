"""A start ten times smaller waits longer by the predicted number of steps; a large one saturates."""

import numpy as np
import pytest

from symbreak import engine
from symbreak.published import scale_of_start
from symbreak.published._scale import HIDDEN, INPUTS, RATE, STDS, data, steps_a_decade


@pytest.fixture(scope="module")
def found():
    return scale_of_start()


def test_the_stds_span_four_decades():
    assert STDS[0] == pytest.approx(1e-3)
    assert STDS[-1] == pytest.approx(10)


def test_a_decade_costs_the_predicted_number_of_epochs(found):
    """Within 2 epochs: what comes after the wait is the same, and both medians are whole or half numbers."""
    row = found["epochs more, std 0.001 for 0.01"]
    assert row.ours == pytest.approx(row.published, abs=2)
    assert row.published > 10


def test_the_prediction_is_the_growth_of_small_weights():
    """The weights of a start of 1e-9 grow by a tenfold in that many steps, once they lean the right way."""
    x, t = data()
    draw = np.random.default_rng(0).normal
    net = engine.Network(
        [
            engine.Dense(1e-9 * draw(size=(HIDDEN, INPUTS)), activation="tanh"),
            engine.Dense(1e-9 * draw(size=(1, HIDDEN))),
        ]
    )
    sizes = []
    engine.train(
        net, x, t, optimizer=engine.SGD(RATE), steps=150,
        callback=lambda step: sizes.append(np.linalg.norm(step.network.parameters["layers.1.weight"])),
    )  # fmt: skip
    growth = np.log(sizes[149] / sizes[99]) / 50
    assert np.log(10) / growth == pytest.approx(steps_a_decade(x, t), rel=0.01)


def test_the_middle_is_fastest_and_both_ends_are_slow(found):
    middle = np.median(found.curves["epochs"], axis=1)
    best = found["std that learns fastest"].ours
    assert 0.05 < best < 2
    assert middle[0] > 2 * middle.min()
    assert middle[-1] > 4 * middle.min()
    assert (np.diff(middle[: STDS.index(best) + 1]) < 0).all()
