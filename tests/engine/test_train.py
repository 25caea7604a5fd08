"""Training is gradient descent, its history is kept, and it stops with an error when numbers run away."""

import itertools
import math
import pickle

import numpy as np
import pytest

from symbreak import engine
from symbreak.engine._losses import LOSSES
from symbreak.streams import Key
from tests.engine._networks import loss_in_torch, random_data, random_network


def run(steps=5, *, seed=0, sizes=(2, 4, 1), loss="mse", batch=8, rate=0.1, dtype="float64", **options):
    net = random_network(sizes, seed=seed, dtype=dtype)
    x, y = random_data(batch, sizes[0], sizes[-1], loss, seed=seed)
    return net, engine.train(net, x, y, optimizer=engine.SGD(rate), steps=steps, loss=loss, **options)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_step_goes_down_the_gradient(loss, dtype):
    net, other = (random_network([3, 5, 2], seed=1, dtype=dtype) for _ in range(2))
    x, y = random_data(7, 3, 2, loss, seed=1)
    losses = []
    for _ in range(10):
        found = engine.gradients(other, x, y, loss=loss)
        losses.append(found.loss)
        for name, array in other.parameters.items():
            array -= array.dtype.type(0.25) * found[name]
    history = engine.train(net, x, y, optimizer=engine.SGD(0.25), steps=10, loss=loss)
    np.testing.assert_array_equal(history.losses, losses)
    for name, array in net.parameters.items():
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, other.parameters[name])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_is_that_of_torch(loss):
    torch = pytest.importorskip("torch")
    net = random_network([3, 6, 2], "tanh", seed=2)
    x, y = random_data(9, 3, 2, loss, seed=2)
    model = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).double()
    with torch.no_grad():
        for theirs, ours in zip(model.parameters(), net.parameters.values(), strict=True):
            theirs.copy_(torch.from_numpy(ours))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    function = loss_in_torch(loss)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        value = function(model(torch.from_numpy(x)), torch.from_numpy(y))
        value.backward()
        optimizer.step()
        losses.append(value.item())
    history = engine.train(net, x, y, optimizer=engine.SGD(0.3), steps=60, loss=loss)
    np.testing.assert_allclose(history.losses, losses, rtol=1e-9)
    for theirs, ours in zip(model.parameters(), net.parameters.values(), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-9, atol=1e-11)


def test_a_network_with_hidden_units_learns_xor():
    net = random_network([2, 8, 1], seed=3)
    x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    history = engine.train(net, x, [0, 1, 1, 0], optimizer=engine.SGD(0.1), steps=2000)
    assert history.losses[0] > 0.1
    assert history.losses[-1] < 1e-4
    np.testing.assert_array_equal(net(x)[:, 0].round(), [0, 1, 1, 0])


def test_training_twice_gives_the_same_bits():
    (net, history), (again, repeated) = run(batch_size=3, rng=5), run(batch_size=3, rng=5)
    np.testing.assert_array_equal(history.losses, repeated.losses)
    for one, other in zip(net.parameters.values(), again.parameters.values(), strict=True):
        np.testing.assert_array_equal(one, other)


def rows_of_each_step(batch, size, steps, rng):
    """Which rows every step reads, told from the inputs: row n of x is n."""
    net = engine.Network([engine.Dense(np.ones((1, 1)))])
    x = np.arange(batch, dtype=float)[:, None]
    seen = []
    engine.train(
        net, x, x, optimizer=engine.SGD(1e-9), steps=steps, batch_size=size, rng=rng,
        callback=lambda step: seen.append(step.gradients.activations["layers.0"][:, 0].round().astype(int).tolist()),
    )  # fmt: skip
    return seen


@pytest.mark.parametrize(
    ("batch", "size", "sizes"), [(10, 4, [4, 4, 2]), (9, 3, [3, 3, 3]), (5, 5, [5]), (4, 1, [1] * 4)]
)
def test_every_pass_reads_every_row_once_in_a_new_order(batch, size, sizes):
    seen = rows_of_each_step(batch, size, 3 * len(sizes), rng=0)
    assert [len(rows) for rows in seen] == sizes * 3
    passes = [list(itertools.chain(*seen[n : n + len(sizes)])) for n in range(0, len(seen), len(sizes))]
    assert all(sorted(order) == list(range(batch)) for order in passes)
    assert len({tuple(order) for order in passes}) == 3


def test_the_order_of_the_rows_is_a_function_of_the_seed():
    orders = [rows_of_each_step(20, 7, 5, rng) for rng in (0, 0, 1, Key(0), Key(0)["other"])]
    assert orders[0] == orders[1] == orders[3]
    assert orders[0] != orders[2]
    assert orders[0] != orders[4]


def test_without_a_batch_size_every_step_reads_all_rows_in_their_order():
    assert rows_of_each_step(6, None, 2, rng=0) == [list(range(6))] * 2


def test_the_callback_sees_every_step_after_its_update():
    seen = []
    net, history = run(
        steps=4, callback=lambda step: seen.append((step, step.network.parameters["layers.0.bias"].copy()))
    )
    assert [step.number for step, _ in seen] == [0, 1, 2, 3]
    assert [step.gradients.loss for step, _ in seen] == history.losses.tolist()
    assert all(step.network is net for step, _ in seen)
    first = random_network([2, 4, 1]).parameters["layers.0.bias"] - 0.1 * seen[0][0].gradients["layers.0.bias"]
    np.testing.assert_array_equal(seen[0][1], first)
    np.testing.assert_array_equal(seen[-1][1], net.parameters["layers.0.bias"])


def test_an_error_in_the_callback_reaches_the_caller():
    def stop(step):
        if step.number == 2:
            raise KeyboardInterrupt

    net = random_network([2, 4, 1])
    x, y = random_data(8, 2, 1, "mse")
    with pytest.raises(KeyboardInterrupt):
        engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=10, callback=stop)
    np.testing.assert_array_equal(net.parameters["layers.0.weight"], run(steps=3)[0].parameters["layers.0.weight"])


def test_the_callback_gets_numpys_warnings_as_ever():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        run(steps=1, callback=lambda step: np.float64(1) / np.float64(0))


def test_a_history_is_read_at_a_glance():
    _, history = run(steps=150)
    assert len(history) == 150
    assert history.losses.dtype == np.float64
    first, last = (f"{history.losses[n]:.6g}" for n in (0, -1))
    assert repr(history) == f"History(150 steps of SGD(learning_rate=0.1), mse: {first} -> {last})"
    lines = str(history).splitlines()
    assert lines[0] == "150 steps of SGD(learning_rate=0.1), mse"
    assert [line.split()[1] for line in lines[1:-1]] == ["0", "1", "10", "100", "149"]
    assert lines[1] == f"  step   0  loss {first}"
    assert lines[-1] == f"  lowest: {history.losses.min():.6g}, at step {history.losses.argmin()}"


@pytest.mark.parametrize("steps", [1, 2, 10, 11])
def test_a_short_history_shows_each_step_once(steps):
    shown = [line.split()[1] for line in str(run(steps=steps)[1]).splitlines()[1:-1]]
    assert shown == [str(n) for n in sorted({0, 1, 10, steps - 1}) if n < steps]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_a_run_that_diverges_says_at_which_step_and_keeps_its_history(dtype, activation):
    net = random_network([2, 4, 1], activation, seed=4, dtype=dtype)
    x, y = random_data(8, 2, 1, "mse", seed=4)
    seen = []
    with pytest.raises(engine.Diverged, match=r"at step \d+, after .* SGD\(learning_rate=1000.0\) may take") as caught:
        engine.train(
            net, x, y, optimizer=engine.SGD(1e3), steps=500, callback=lambda step: seen.append(step.gradients.loss)
        )
    error = caught.value
    assert 0 < error.step < 500
    assert error.history.losses.tolist() == seen
    assert len(error.history) == error.step
    assert np.isfinite(error.history.losses).all()
    assert isinstance(error, ArithmeticError)


def test_an_error_that_says_that_a_run_diverged_comes_back_from_a_pickle():
    net = engine.Network([engine.Dense(np.full((1, 1), 2.0))])
    with pytest.raises(engine.Diverged) as caught:
        engine.train(net, [[1.0]], [0.0], optimizer=engine.SGD(1e3), steps=500)
    read = pickle.loads(pickle.dumps(caught.value))
    assert str(read) == str(caught.value)
    assert read.step == caught.value.step > 0
    np.testing.assert_array_equal(read.history.losses, caught.value.history.losses)
    assert read.history.optimizer == engine.SGD(1e3)


def test_a_batch_that_a_layer_can_not_train_on_stops_the_run_and_keeps_its_history():
    """Five rows in pairs leave a single one for the last batch of each pass, and that has no variance."""
    net = engine.Network([engine.BatchNorm(np.ones(2), np.zeros(2)), engine.Dense(np.ones((1, 2)))])
    x, y = random_data(5, 2, 1, "mse")
    seen, kept = [], []

    def look(step):
        seen.append(step.gradients.loss)
        kept[:] = [array.copy() for array in (*net.parameters.values(), *net.buffers.values())]

    with pytest.raises(
        engine.Halted, match=r"stopped at step 2, after .*: a batch norm needs two .*`history`"
    ) as caught:
        engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=9, batch_size=2, callback=look)
    error = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(error, ValueError)
    assert error.step == len(error.history) == 2
    assert error.history.losses.tolist() == seen
    for before, now in zip(kept, (*net.parameters.values(), *net.buffers.values()), strict=True):
        np.testing.assert_array_equal(now, before)


def test_a_schedule_without_a_rate_stops_the_run_and_keeps_its_history():
    net = engine.Network([engine.Dense(np.ones((1, 2)))])
    x, y = random_data(5, 2, 1, "mse")
    rate = [0.1, 0.1, float("nan")].__getitem__
    with pytest.raises(engine.Halted, match=r"at step 2, after .* gives step 2 must be a number, 0 or more") as caught:
        engine.train(net, x, y, optimizer=engine.SGD(rate), steps=5)
    assert caught.value.step == len(caught.value.history) == 2


def test_a_first_loss_that_is_not_finite_leaves_an_empty_history():
    net = engine.Network([engine.Dense(np.full((1, 1), 1e200))])
    with pytest.raises(engine.Diverged, match="the loss became inf at step 0; SGD") as caught:
        engine.train(net, [[1.0]], [0.0], optimizer=engine.SGD(0.1), steps=5)
    assert caught.value.step == len(caught.value.history) == 0
    assert str(caught.value.history) == "no steps of SGD(learning_rate=0.1), mse"
    assert repr(caught.value.history) == "History(0 steps of SGD(learning_rate=0.1), mse)"


def test_weights_that_the_last_step_breaks_are_found():
    """The last update is followed by no loss that would show it."""
    net = engine.Network([engine.Dense(np.full((1, 1), 1e10))])
    with pytest.raises(
        engine.Diverged, match=r"'layers.0.weight' holds values that are not finite at step 1, after 1e"
    ) as caught:
        engine.train(net, [[1.0]], [0.0], optimizer=engine.SGD(1e308), steps=1)
    assert caught.value.history.losses.tolist() == [1e20]


@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf, "0.1", None, True, [0.1], 10**400, np.complex128(1)])
def test_a_learning_rate_must_be_positive(rate):
    with pytest.raises(ValueError, match="a learning rate must be a positive number; got"):
        engine.SGD(rate)


@pytest.mark.parametrize("rate", [1, 0.1, np.float32(0.1), np.float64(0.1), np.int64(2)])
def test_a_learning_rate_of_any_type_leaves_the_dtype_of_the_weights(rate):
    weight, gradient = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    expected = weight - np.float32(rate) * gradient
    engine.SGD(rate).step(weight, gradient, None)
    np.testing.assert_array_equal(weight, expected, strict=True)
    assert engine.SGD(rate) == engine.SGD(float(rate))
    assert repr(engine.SGD(rate)) == f"SGD(learning_rate={float(rate)})"


@pytest.mark.parametrize("net", [None, [engine.Dense(np.ones((1, 2)))]])
def test_what_is_no_network_is_refused(net):
    for call in (engine.train, engine.gradients):
        options = {"optimizer": engine.SGD(0.1), "steps": 1} if call is engine.train else {}
        with pytest.raises(TypeError, match=r"the network must be an engine\.Network; got (None|\[Dense)"):
            call(net, [[1.0, 2.0]], [1.0], **options)


BAD = {
    "no steps": ({"steps": 0}, ValueError, "the number of steps must be a whole number, 1 or more; got 0"),
    "half a step": ({"steps": 1.5}, ValueError, "the number of steps .* got 1.5"),
    "a truth value": ({"steps": True}, ValueError, "the number of steps .* got True"),
    "an empty batch": ({"batch_size": 0}, ValueError, "the batch size must be a whole number, 1 or more; got 0"),
    "more than there is": (
        {"batch_size": 9},
        ValueError,
        "batch size, 9, is more than the 8 rows there are; None takes all",
    ),
    "a rate for an optimizer": ({"optimizer": 0.1}, TypeError, r"must be one such as engine.SGD\(0.1\); got 0.1"),
    "a class for an optimizer": ({"optimizer": engine.SGD}, TypeError, "must be one such as .* got <class"),
    "a limit for a clip": (
        {"clip": 1.0},
        TypeError,
        r"`clip` must be one such as engine.ClipNorm\(1.0\), or None; got 1.0",
    ),
    "a class for a clip": ({"clip": engine.ClipNorm}, TypeError, "`clip` must be one such as .* got <class"),
    "a number for a callback": ({"callback": 3}, TypeError, "`callback` must be a function of a Step, or None; got 3"),
    "no seed": ({"rng": "a", "batch_size": 2}, TypeError, "'a'"),
}


@pytest.mark.parametrize("case", BAD)
def test_settings_that_make_no_sense_are_refused(case):
    options, error, message = BAD[case]
    net = random_network([2, 4, 1])
    x, y = random_data(8, 2, 1, "mse")
    with pytest.raises(error, match=message):
        engine.train(net, x, y, **({"optimizer": engine.SGD(0.1), "steps": 1} | options))
    for name, array in random_network([2, 4, 1]).parameters.items():
        np.testing.assert_array_equal(net.parameters[name], array)  # nothing was trained
