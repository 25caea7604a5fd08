"""The last position is read, and it alone gets a gradient."""

from fractions import Fraction

import numpy as np
import pytest

from symbreak import engine
from symbreak.testing import check_gradient


def network(p):
    return engine.Network(
        [
            engine.Recurrent(p["layers.0.weight"], p["layers.0.recurrent"]),
            engine.Last(),
            engine.Dense(p["layers.2.weight"]),
        ]
    )


def test_a_network_that_answers_once_has_the_slopes_of_its_loss():
    rng = np.random.default_rng(0)
    shapes = {"layers.0.weight": (4, 2), "layers.0.recurrent": (4, 4), "layers.2.weight": (1, 4)}
    p = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x, y = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 1))
    h = np.zeros((3, 4))
    for step in range(5):
        h = np.tanh(x[:, step] @ p["layers.0.weight"].T + h @ p["layers.0.recurrent"].T)
    np.testing.assert_allclose(network(p)(x), h @ p["layers.2.weight"].T, rtol=1e-12)
    check_gradient(lambda q: engine.gradients(network(q), x, y).loss, engine.gradients(network(p), x, y).parameters, p)
    assert [space.name for space in network(p).graph.spaces] == ["input", "layers.0", "output"]


def test_other_positions_get_no_gradient():
    layer = engine.Last()
    y, memory = layer.forward(np.arange(12.0).reshape(2, 3, 2), engine.Run(np.dot))
    assert y.tolist() == [[4.0, 5.0], [10.0, 11.0]]
    assert layer.backward(y, memory, engine.Run(np.dot)).x.tolist() == [
        [[0.0, 0.0], [0.0, 0.0], [4.0, 5.0]],
        [[0.0, 0.0], [0.0, 0.0], [10.0, 11.0]],
    ]


def test_exact_numbers_stay_exact():
    weight = np.array([[Fraction(1, 3)]], object)
    net = engine.Network([engine.Dense(weight), engine.Last()], product="exact")
    assert net(np.array([[[1], [2]]])).tolist() == [[Fraction(2, 3)]]


def test_what_has_no_time_is_refused():
    net = engine.Network([engine.Dense(np.ones((2, 2))), engine.Last()])
    with pytest.raises(
        ValueError, match=r"'layers.1', Last\(\), .*: it reads \(batch, time, units\), not \('batch', 2\)"
    ):
        net(np.ones((3, 2)))
