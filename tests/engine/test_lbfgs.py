"""L-BFGS is SciPy's, goes down the loss of the whole batch, says why it stops, and treats all units alike."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize

import symbreak as sb
from symbreak import engine
from symbreak.engine._full_batch import Descent
from symbreak.engine._losses import LOSSES
from symbreak.engine._network import read_batch
from tests.engine._networks import random_data, random_network
from tests.engine._tied import differences, one_class_a_layer

XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0.0, 1, 1, 0])
DEFAULT = engine.LBFGS()


def fit(net, x, y, steps, *, optimizer=DEFAULT, loss="mse", callback=None):
    row = LOSSES[loss]
    return Descent(net, *read_batch(net, x, y, row), row, loss, optimizer, callback).run(steps)


def copies(net):
    return {name: array.copy() for name, array in net.parameters.items()}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("memory", [1, 10])
def test_a_run_is_that_of_scipy(loss, memory):
    x, y = random_data(20, 3, 2, loss, seed=1)
    net, other = (random_network([3, 4, 2], seed=1) for _ in range(2))
    shapes = [array.shape for array in other.parameters.values()]
    cuts = np.cumsum([math.prod(shape) for shape in shapes])[:-1]

    def objective(point):
        for array, part in zip(other.parameters.values(), np.split(point, cuts), strict=True):
            array[...] = part.reshape(array.shape)
        found = engine.gradients(other, x, y, loss=loss)
        return found.loss, np.concatenate([found[name].ravel() for name in other.parameters])

    start = np.concatenate([array.ravel() for array in other.parameters.values()])
    losses = [objective(start)[0]]
    theirs = scipy.optimize.minimize(
        objective, start, jac=True, method="L-BFGS-B",
        callback=lambda point: losses.append(objective(point)[0]),
        options={"maxiter": 30, "maxcor": memory, "ftol": 0, "gtol": 0},
    )  # fmt: skip
    history = fit(net, x, y, 30, loss=loss, optimizer=engine.LBFGS(memory, tolerance=0))
    assert theirs.nit == 30
    np.testing.assert_array_equal(history.losses, losses[:30])
    np.testing.assert_array_equal(np.concatenate([array.ravel() for array in net.parameters.values()]), theirs.x)
    assert history.stopped is None
    assert history.loss == loss


def test_a_step_has_the_loss_and_gradients_before_its_update():
    net = random_network([2, 4, 1], seed=3)
    seen, points = [], [copies(net)]

    def follow(number, found):
        seen.append((number, found))
        points.append(copies(net))

    history = fit(net, *XOR, 6, callback=follow)
    assert [number for number, _ in seen] == [*range(6)]
    assert [found.loss for _, found in seen] == history.losses.tolist()
    for (_, found), before in zip(seen, points, strict=False):
        for name, array in net.parameters.items():
            array[...] = before[name]
        again = engine.gradients(net, *XOR)
        assert again.loss == found.loss
        for name, gradient in again.parameters.items():
            np.testing.assert_array_equal(found[name], gradient)
    assert all((np.diff(history.losses) < 0).tolist())
    assert not np.array_equal(points[0]["layers.0.weight"], points[1]["layers.0.weight"])


def test_it_learns_xor_in_a_hundred_steps_and_stops_there():
    net = random_network([2, 8, 1], seed=3)
    history = fit(net, *XOR, 1000)
    assert history.losses[-1] < 1e-12
    assert len(history) < 100
    assert history.stopped == "no entry of the gradient is farther from zero than 1e-08"
    found = engine.gradients(net, *XOR)
    assert max(abs(gradient).max() for gradient in found.parameters.values()) <= 1e-8
    assert found.loss == history.losses[-1]  # the last step changed nothing
    assert str(history).endswith(f"\n  stopped: {history.stopped}")


def test_at_a_minimum_it_stops_at_once_and_changes_nothing():
    net = engine.mlp([2, 1], init="ones", rng=0)
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    before = copies(net)
    numbers = []
    history = fit(net, x, x.sum(axis=1), 5, callback=lambda number, found: numbers.append(number))
    assert history.losses.tolist() == [0.0]
    assert numbers == [0]
    assert history.stopped.startswith("no entry of the gradient")
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, before[name])


def test_where_rounding_ends_the_descent_it_says_so():
    net = random_network([2, 1], seed=1)
    x, y = random_data(20, 2, 1, "mse", seed=1)
    history = fit(net, x, y, 1000, optimizer=engine.LBFGS(tolerance=0))
    assert len(history) < 100
    message = "no step lowers the loss as far as rounding shows; entries of the gradient are up to "
    assert history.stopped.startswith(message)
    assert 0 < float(history.stopped.removeprefix(message)) < 1e-6


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6])
def test_the_tolerance_is_that_of_the_gradient(tolerance):
    net = random_network([2, 8, 1], seed=3)
    largest = []
    history = fit(
        net, *XOR, 500, optimizer=engine.LBFGS(tolerance=tolerance),
        callback=lambda number, found: largest.append(max(abs(g).max() for g in found.parameters.values())),
    )  # fmt: skip
    assert history.stopped == f"no entry of the gradient is farther from zero than {tolerance:g}"
    assert len(largest) > 1
    assert largest[-1] <= tolerance < min(largest[:-1])


def test_training_hands_it_the_run():
    net, other = (random_network([2, 4, 1], seed=3) for _ in range(2))
    seen = []
    history = engine.train(net, *XOR, optimizer=engine.LBFGS(), steps=6, callback=seen.append)
    np.testing.assert_array_equal(history.losses, fit(other, *XOR, 6).losses)
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, other.parameters[name])
    assert [(step.number, step.network, step.gradients.loss) for step in seen] == [
        (number, net, loss) for number, loss in enumerate(history.losses)
    ]


@pytest.mark.parametrize("options", [{"clip": engine.ClipNorm(1)}, {"batch_size": 2}])
def test_training_refuses_what_would_change_its_gradients(options):
    with pytest.raises(ValueError, match=r"leave `clip` and `batch_size` None; got (ClipNorm\(.*and None|None and 2)"):
        engine.train(random_network([2, 4, 1]), *XOR, optimizer=engine.LBFGS(), steps=1, **options)


# Ties


@pytest.mark.parametrize("activation", ["tanh", "relu", "square"])
@pytest.mark.parametrize("width", [2, 3, 17, 33, 65, 100])
def test_a_constant_start_stays_tied_to_the_bit_in_the_first_step_and_up_to_rounding_in_five(width, activation):
    net = engine.mlp([20, width, 3], activation=activation, init=sb.Constant(0.05), rng=0)
    x, y = random_data(64, 20, 3, "mse", seed=0)
    first = net.parameters["layers.0.weight"].copy()
    classes = one_class_a_layer(net)
    fit(net, x, y, 1)
    assert differences(net, classes, engine.gradients(net, x, y)) == []
    fit(net, x, y, 5)
    assert abs(net.parameters["layers.0.weight"] - first).max() > 1e-3
    assert np.ptp(net.parameters["layers.0.weight"], axis=0).max() <= 1e-12
    assert np.ptp(net.parameters["layers.1.weight"], axis=1).max() <= 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_permuting_the_units_permutes_the_steps(seed):
    x, y = random_data(16, 3, 2, "mse", seed=seed)
    straight, permuted = (random_network([3, 9, 2], seed=seed) for _ in range(2))
    order = np.random.default_rng(seed).permutation(9)
    permute(permuted, order)
    for net in (straight, permuted):
        fit(net, x, y, 5)
    permute(straight, order)
    for name, array in straight.parameters.items():
        np.testing.assert_allclose(permuted.parameters[name], array, rtol=1e-9, atol=1e-10)


def permute(net, order):
    for name, array in net.parameters.items():
        if name.startswith("layers.0"):
            array[...] = array[order]
        elif name == "layers.1.weight":
            array[...] = array[:, order]


def test_a_constant_start_ends_where_its_one_unit_does_and_a_random_one_goes_on():
    ends = {}
    for name, init in {"constant": sb.Constant(0.5), "random": sb.HeNormal()}.items():
        net = engine.mlp([2, 8, 1], init=init, rng=3)
        ends[name] = fit(net, *XOR, 500).losses[-1]
    assert ends["random"] < 1e-10
    assert ends["constant"] > 0.1


# Bad input


def test_a_first_loss_that_is_not_finite_is_told():
    net = engine.Network([engine.Dense(np.full((1, 1), 1e200))])
    with pytest.raises(engine.Diverged, match=r"the loss became inf at step 0; LBFGS\(\) may take") as caught:
        fit(net, [[1.0]], [0.0], 5)
    assert len(caught.value.history) == caught.value.step == 0


def test_a_loss_that_stops_being_finite_leaves_the_parameters_of_the_last_step():
    """The first step has length 1, and from 1e-20 it goes to about -1: the 16th power of 1e20 is more than a float."""
    ones = [engine.Dense(np.ones((1, 1)), None, "square") for _ in range(3)]
    net = engine.Network([engine.Dense(np.full((1, 1), 1e-20), None, "square"), *ones])
    before = copies(net)
    with pytest.raises(engine.Diverged, match=r"the loss became inf at step 0; LBFGS\(\) may take"):
        fit(net, [[1e20]], [0.0], 5)
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, before[name])


def test_a_loss_that_stops_being_finite_later_leaves_the_history_up_to_there():
    class Walk:
        def minimize(self, function, start, steps, each):
            point = start.copy()  # one array for all points, as a minimizer may have
            function(point)
            point -= 1
            function(point)
            each(point)
            point *= 1e200
            function(point)

    net = engine.Network([engine.Dense(np.full((1, 1), 3.0))])
    with pytest.raises(engine.Diverged, match="the loss became inf at step 1, after 9; ") as caught:
        fit(net, [[1.0]], [0.0], 5, optimizer=Walk())
    assert caught.value.history.losses.tolist() == [9.0]
    assert net.parameters["layers.0.weight"] == 2


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (KeyboardInterrupt("enough"), KeyboardInterrupt, "enough"),
        (StopIteration(), RuntimeError, "the callback raised StopIteration"),
    ],
)
def test_an_error_in_the_callback_reaches_the_caller(error, raised, message):
    def stop(number, found):
        if number == 2:
            raise error

    net, other = (random_network([2, 4, 1], seed=3) for _ in range(2))
    with pytest.raises(raised, match=message):
        fit(net, *XOR, 10, callback=stop)
    fit(other, *XOR, 3)
    for name, array in other.parameters.items():
        np.testing.assert_array_equal(net.parameters[name], array)


EXACT = engine.Network([engine.Dense(np.array([[Fraction(1)]], object))], product="exact")


@pytest.mark.parametrize("net", [random_network([1, 1], dtype="float32"), EXACT], ids=["float32", "exact"])
def test_a_network_of_another_dtype_is_refused(net):
    with pytest.raises(TypeError, match=f"needs a network of float64; this one is {net.dtype}: build it with"):
        fit(net, [[1]], [1], 5)


@pytest.mark.parametrize("what", [{"noisy": True}, {"buffers": {"mean": np.zeros(1)}}], ids=["noise", "buffers"])
def test_a_network_whose_loss_may_change_by_itself_is_refused(what):
    kind = type("Odd", (type(random_network([1, 1]).layers["layers.0"]),), what)
    net = engine.Network([kind(np.ones((1, 1)))])
    with pytest.raises(ValueError, match=r"draws no noise and keeps no running statistics; take .* for Network\("):
        fit(net, [[1.0]], [1.0], 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"memory": 0}, "the memory of L-BFGS must be a whole number, 1 or more; got 0"),
        ({"memory": 1.5}, "the memory of L-BFGS .* got 1.5"),
        ({"tolerance": -1}, "`tolerance` must be a number, 0 or more; got -1"),
        ({"tolerance": math.nan}, "`tolerance` .* got nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        engine.LBFGS(**settings)


def test_it_shows_the_settings_that_are_not_the_defaults():
    assert repr(engine.LBFGS()) == "LBFGS()"
    optimizer = engine.LBFGS(np.int64(5), tolerance=0)
    assert repr(optimizer) == "LBFGS(memory=5, tolerance=0.0)"
    assert eval(repr(optimizer), vars(engine)) == optimizer
    assert hash(replace(optimizer)) == hash(optimizer)
