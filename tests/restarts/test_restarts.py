"""Restarts train what the engine would train from the same starts, and keep the best of each."""

import math
from itertools import groupby, pairwise

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak._restarts._stack import Stack
from symbreak.engine._activations import ACTIVATIONS
from symbreak.errors import UnknownName
from tests.engine._networks import random_data
from tests.restarts.test_executors import assert_same

X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]


def run(**options):
    chosen = {"sizes": [2, 4, 1], "x": X, "y": Y, "starts": 20, "steps": 30, "rng": 0} | options
    return sb.restarts(chosen.pop("sizes"), chosen.pop("x"), chosen.pop("y"), **chosen)


def start(k, **options):
    chosen = {"sizes": [2, 4, 1], "init": sb.GlorotNormal(), "dtype": "float32"} | options
    return engine.mlp(chosen.pop("sizes"), rng=sb.Key(0)[str(k)], **chosen)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "logistic"])
@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("bias_init", [sb.Normal(0.1), None])
def test_a_start_ends_where_the_engine_takes_it(activation, loss, batch_size, bias_init):
    sizes = [3, 5, 4, 2]
    x, y = random_data(8, 3, 2, loss)
    # A square grows fast: small weights, so that none of them diverges.
    shared = {"activation": activation, "init": sb.Uniform(-0.4, 0.4), "bias_init": bias_init, "dtype": "float64"}
    how = {"optimizer": engine.SGD(0.05), "steps": 7, "loss": loss, "batch_size": batch_size}
    result = run(sizes=sizes, x=x, y=y, starts=6, **shared, **how)
    for k in range(6):
        net = start(k, sizes=sizes, **shared)
        engine.train(net, x, y, rng=sb.Key(0)["order"], **how)
        ours = result.network(k, final=True)
        assert ours.parameters.keys() == net.parameters.keys()
        for name, parameter in net.parameters.items():
            np.testing.assert_allclose(ours.parameters[name], parameter, rtol=1e-11, atol=1e-13)
        assert result.final_losses[k] == pytest.approx(engine.gradients(net, x, y, loss=loss).loss, rel=1e-11)
        np.testing.assert_allclose(ours(x), net(x), rtol=1e-10, atol=1e-12)


def test_the_losses_are_the_lowest_that_the_engine_sees():
    """Steps this large overshoot again and again, so the lowest loss is often in the middle."""
    optimizer, steps = engine.SGD(0.45), 60
    result = run(optimizer=optimizer, steps=steps, dtype="float64", starts=60)
    middle = 0
    for k in range(60):
        net = start(k, dtype="float64")
        losses, weights = [], []
        for _ in range(steps + 1):
            losses.append(engine.gradients(net, X, Y).loss)
            weights.append({name: array.copy() for name, array in net.parameters.items()})
            engine.train(net, X, Y, optimizer=optimizer, steps=1)
        at = int(np.argmin(losses))
        middle += 0 < at < steps
        assert result.losses[k] == pytest.approx(losses[at], rel=1e-9)
        for name, array in weights[at].items():
            np.testing.assert_allclose(result.parameters[name][k], array, rtol=1e-9, atol=1e-11)
        assert engine.gradients(result.network(k), X, Y).loss == pytest.approx(result.losses[k], rel=1e-12)
        assert result.final_losses[k] == pytest.approx(losses[-1], rel=1e-6)
    assert middle > 5


def test_mini_batches_are_judged_by_the_loss_over_all_rows():
    x, y = random_data(10, 2, 1, "mse")
    result = run(x=x, y=y, batch_size=4, steps=30, optimizer=engine.SGD(0.3), dtype="float64")
    for k in range(20):
        net, seen = start(k, dtype="float64"), []
        order = sb.Key(0)["order"]

        def look(step, seen=seen):
            seen.append(engine.gradients(step.network, x, y).loss)

        before = engine.gradients(net, x, y).loss
        engine.train(net, x, y, optimizer=engine.SGD(0.3), steps=30, batch_size=4, rng=order, callback=look)
        lowest = min([before, *seen[2::3]])  # 3 steps a pass, of 4, 4 and 2 rows
        assert result.losses[k] == pytest.approx(lowest, rel=1e-9)
        assert engine.gradients(result.network(k), x, y).loss == pytest.approx(result.losses[k], rel=1e-12)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_start_stops_at_the_tolerance_and_the_others_go_on(batch_size):
    options = {"sizes": [2, 2, 1], "steps": 2000, "optimizer": engine.SGD(0.3), "starts": 40, "batch_size": batch_size}
    whole, stopped = run(**options), run(**options, tolerance=0.01)
    early = stopped.steps < 2000
    assert 5 < early.sum() < 40
    assert (stopped.losses[early] <= 0.01).all()
    np.testing.assert_array_equal(stopped.losses[early], stopped.final_losses[early])
    np.testing.assert_array_equal(stopped.losses[~early], whole.losses[~early])
    assert (whole.losses[~early] > 0.01).sum() >= (~early).sum() - 1  # the last judgement may be the one that stops it
    for name, parameters in stopped.parameters.items():
        np.testing.assert_array_equal(parameters[early], stopped.final_parameters[name][early])
    k = int(np.flatnonzero(early)[0])
    again = run(**options | {"steps": int(stopped.steps[k])})
    for name, parameters in again.final_parameters.items():
        np.testing.assert_array_equal(parameters[k], stopped.final_parameters[name][k])
    before = run(**options | {"steps": int(stopped.steps[k]) - 1})
    assert before.losses[k] > 0.01


class Listed(engine.AbstractOptimizer):
    """Keeps a state that nobody knows how to cut."""

    def start(self, parameter):
        return [np.zeros_like(parameter)]

    def step(self, parameter, gradient, state):
        state[0] = 0.5 * state[0] + gradient
        parameter -= 0.1 * state[0]
        return state


@pytest.mark.parametrize("optimizer", [engine.SGD(0.3), engine.Momentum(0.1, 0.5), engine.Adam(0.03), Listed()])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_starts_that_stop_make_room_and_the_others_do_not_notice(optimizer, batch_size, monkeypatch):
    options = {"sizes": [2, 3, 1], "steps": 150, "optimizer": optimizer, "starts": 100, "batch_size": batch_size}
    whole = run(**options)
    tolerance = float(np.quantile(whole.losses, 0.9))
    lanes, forward = [], Stack.forward

    def watched(stack, x):
        lanes.append(stack.entries.shape[1])
        return forward(stack, x)

    monkeypatch.setattr(Stack, "forward", watched)
    result = run(**options, tolerance=tolerance)
    seen = [each for each, _ in groupby(lanes)]
    assert seen == [112] if isinstance(optimizer, Listed) else len(seen) > 2
    assert all(2 * after <= before for before, after in pairwise(seen))
    assert_same(result, run(**options, batch=20, tolerance=tolerance))
    going = result.steps == 150
    np.testing.assert_array_equal(result.losses[going], whole.losses[going])
    for k in np.flatnonzero(~going)[-2:]:  # as after a run of no more steps than that
        again = run(**options | {"steps": int(result.steps[k])})
        for name, parameters in again.final_parameters.items():
            np.testing.assert_array_equal(result.final_parameters[name][k], parameters[k])


def step_of_divergence(net, optimizer, steps):
    try:
        engine.train(net, X, Y, optimizer=optimizer, steps=steps)
    except engine.Diverged as error:
        return error.step
    return None


def test_a_start_that_diverges_is_recorded_and_the_others_go_on():
    result = run(optimizer=engine.SGD(0.5), steps=300, starts=40, dtype="float64")
    assert 2 < result.diverged.sum() < 35
    np.testing.assert_array_equal(result.diverged, ~np.isfinite(result.final_losses))
    assert (result.steps[~result.diverged] == 300).all()
    assert (result.steps[result.diverged] < 300).all()
    assert np.isfinite(result.losses).all()  # the best weights are those from before
    for k in range(40):
        ended = step_of_divergence(start(k, dtype="float64"), engine.SGD(0.5), 300)
        assert (ended is not None) == result.diverged[k]
        assert ended is None or abs(ended - result.steps[k]) <= 1  # rounding may decide at which step it overflows
    worst = int(np.flatnonzero(result.diverged)[0])
    with pytest.raises(ValueError, match=rf"start {worst} diverged: its loss was (inf|nan) after \d+ steps; leave out"):
        result.network(worst, final=True)
    assert np.isfinite(result.network(worst)(X)).all()
    assert f", {result.diverged.sum()} diverged" in str(result)


def test_a_start_without_a_finite_loss_has_the_loss_inf():
    result = run(init=sb.Constant(1e30), activation="relu", starts=3)
    assert result.losses.tolist() == [math.inf] * 3
    assert result.steps.tolist() == [0] * 3
    assert result.diverged.all()


def test_some_starts_solve_xor_and_others_do_not():
    """Two hidden units are the fewest that can, and get stuck at a loss of 1/8 or 1/4 now and then."""
    result = run(sizes=[2, 2, 1], starts=200, steps=2000, optimizer=engine.SGD(0.3))
    solved = result.solved(0.01)
    assert 0.7 < solved.fraction < 0.97
    assert solved.count == np.count_nonzero(result.losses <= 0.01)
    assert solved.fraction == solved.count / 200
    assert result.expected_starts(0.01) == pytest.approx(200 / solved.count, rel=1e-15)
    for k in range(200):
        right = ((result.network(k)(X)[:, 0] > 0.5) == np.array(Y)).all()
        assert right or result.losses[k] > 0.01


def test_the_number_of_starts_is_no_part_of_a_start():
    few, many = run(starts=3), run(starts=50)
    np.testing.assert_array_equal(few.losses, many.losses[:3])
    for name, parameters in few.parameters.items():
        np.testing.assert_array_equal(parameters, many.parameters[name][:3])


@pytest.mark.parametrize("batch", [1, 7, 16, 50])
def test_the_batch_changes_nothing(batch):
    whole, parts = run(starts=50), run(starts=50, batch=batch)
    np.testing.assert_array_equal(parts.losses, whole.losses)
    np.testing.assert_array_equal(parts.final_losses, whole.final_losses)
    for name, parameters in whole.parameters.items():
        np.testing.assert_array_equal(parts.parameters[name], parameters)
        np.testing.assert_array_equal(parts.final_parameters[name], whole.final_parameters[name])


def test_no_rng_gives_other_starts_at_every_call():
    assert (run(rng=None).losses != run(rng=None).losses).all()


def test_the_best_is_the_network_of_the_lowest_loss():
    result = run()
    assert engine.gradients(result.best, X, Y).loss == pytest.approx(result.losses.min(), rel=1e-6)
    assert result.best.graph.weights["layers.0.weight"].shape == (4, 2)


def test_a_threshold_counts_the_starts_at_it():
    result = run()
    middle = float(np.sort(result.losses)[9])
    assert result.solved(middle).count == 10
    assert result.expected_starts(middle) == 2
    assert result.expected_starts(-1) == math.inf


def test_one_start_of_one_step_is_no_plural():
    assert str(run(starts=1, steps=1)).splitlines()[0] == "1 start, 1 step, the best is start 0"


def test_the_table_says_how_many_starts_came_how_far():
    result = run(starts=40)
    lines = str(result).splitlines()
    assert lines[0] == f"40 starts, 30 steps, the best is start {result.losses.argmin()}"
    assert lines[1].split() == ["mse", "starts", "at", "or", "below"]
    names = [line.split()[0] for line in lines[2:]]
    assert names == ["lowest", "10", "25", "median", "75", "90", "highest"]
    assert [int(line.split()[-1]) for line in lines[2:]] == [1, 4, 10, 20, 30, 36, 40]
    assert float(lines[2].split()[1]) == pytest.approx(result.losses.min(), rel=1e-5)
    assert repr(result).startswith("Restarts(40 starts, mse ")
    shown = result._repr_html_()
    assert f"<p>{lines[0]}</p>" in shown
    rows = [line.rsplit(maxsplit=2) for line in lines[2:]]
    assert all(f"<tr><td style='text-align:left'>{'</td><td>'.join(row)}</td></tr>" in shown for row in rows)
    assert shown.count("<tr>") == 8


def test_progress_is_told_after_each_batch():
    told = []
    run(starts=20, batch=8, progress=lambda done, of: told.append((done, of)))
    assert told == [(8, 20), (16, 20), (20, 20)]


class Normalized(engine.AbstractOptimizer):
    """Divides the gradient by its length, which mixes whatever is in one array."""

    def start(self, parameter):
        return None

    def step(self, parameter, gradient, state):
        parameter -= gradient / np.sqrt((gradient**2).sum())


class Momentum(engine.AbstractOptimizer):
    """Has a state, an array and a count."""

    def start(self, parameter):
        return np.zeros_like(parameter), 0

    def step(self, parameter, gradient, state):
        velocity, count = state
        velocity = 0.9 * velocity + gradient
        parameter -= 0.05 / (1 + count) * velocity
        return velocity, count + 1


STATEFUL = [
    Momentum(), engine.Momentum(0.05), engine.Nesterov(0.05, weight_decay=0.01), engine.RMSProp(0.01),
    engine.Adam(0.02), engine.AdamW(0.02, weight_decay=0.1), engine.Adam(engine.CosineDecay(0.05, steps=15)),
    engine.SGD(engine.LinearWarmup(0.3, steps=10)),
]  # fmt: skip


@pytest.mark.parametrize("optimizer", STATEFUL, ids=lambda optimizer: type(optimizer).__name__)
def test_an_optimizer_may_have_a_state_and_a_schedule(optimizer):
    result = run(optimizer=optimizer, steps=20, dtype="float64", starts=5)
    for k in range(5):
        net = start(k, dtype="float64")
        engine.train(net, X, Y, optimizer=optimizer, steps=20)
        for name, parameter in net.parameters.items():
            np.testing.assert_allclose(result.final_parameters[name][k], parameter, rtol=1e-11, atol=1e-13)


BAD = {
    "no starts": ({"starts": 0}, ValueError, "the number of starts must be a whole number, 1 or more; got 0"),
    "half a start": ({"starts": 1.5}, ValueError, "the number of starts .* got 1.5"),
    "no steps": ({"steps": 0}, ValueError, "the number of steps must be a whole number, 1 or more; got 0"),
    "no batch": ({"batch": 0}, ValueError, "the batch must be a whole number, 1 or more; got 0"),
    "one size": ({"sizes": [2]}, ValueError, r"such as \[2, 8, 1\]; got \[2\]"),
    "inputs that don't meet": ({"sizes": [3, 4, 1]}, ValueError, r"inputs must have shape \(batch, 3\); .* \(4, 2\)"),
    "inputs with positions": (
        {"x": np.zeros((4, 5, 2)), "y": np.zeros((4, 5))},
        ValueError,
        r"the inputs must have shape \(rows, 2\); theirs is \(4, 5, 2\)",
    ),
    "targets that don't meet": ({"sizes": [2, 4, 2]}, ValueError, r"shape of the outputs, \(4, 2\); theirs is \(4,\)"),
    "rows that don't meet": ({"y": [0, 1]}, ValueError, "as many rows; they have 4 and 2"),
    "nan in x": ({"x": [[0, np.nan]] * 4}, ValueError, r"inputs must be finite .* at \[0, 1\] there is nan"),
    "nan in y": ({"y": [0, 1, np.nan, 0]}, ValueError, r"targets must be finite .* there is nan"),
    "a label out of range": (
        {"sizes": [2, 4, 2], "loss": "cross_entropy", "y": [0, 1, 2, 0]},
        ValueError,
        "label 2 is out of range: with 2",
    ),
    "labels that are no integers": (
        {"sizes": [2, 4, 2], "loss": "cross_entropy", "y": [0, 1, 1.5, 0]},
        TypeError,
        "integer labels, 0 to 1; .* float64",
    ),
    "an answer that is none": ({"loss": "logistic", "y": [0, 1, 2, 0]}, ValueError, "labels, each 0 or 1; got 2"),
    "infinity in x": ({"x": [[0, np.inf]] * 4}, ValueError, r"inputs must be finite .* at \[0, 1\] there is inf"),
    "no rows": ({"x": np.zeros((0, 2)), "y": []}, ValueError, "the batch is empty"),
    "too large a batch size": ({"batch_size": 5}, ValueError, "batch size, 5, is more than the 4 rows"),
    "a batch size of nothing": ({"batch_size": 0}, ValueError, "the batch size must be a whole number"),
    "a tolerance of nan": ({"tolerance": math.nan}, ValueError, "such as 1e-3, or None; got nan"),
    "a tolerance of text": ({"tolerance": "0.1"}, ValueError, "such as 1e-3, or None; got '0.1'"),
    "no optimizer": ({"optimizer": 0.5}, TypeError, r"must be one such as engine.SGD\(0.1\); got 0.5"),
    "an optimizer that mixes": ({"optimizer": Normalized()}, ValueError, "mixes the entries of a parameter"),
    "another that mixes": ({"optimizer": engine.Muon(0.1)}, ValueError, r"Muon\(learning_rate=0.1\) mixes the entries"),
    "an unknown loss": ({"loss": "mae"}, UnknownName, "no loss is called 'mae'"),
    "an unknown activation": ({"activation": "than"}, UnknownName, "did you mean 'tanh'"),
    "an unknown initializer": ({"init": "he_norml"}, UnknownName, "no initializer is called 'he_norml'"),
    "half precision": ({"dtype": "float16"}, TypeError, "must be float32 or float64, not float16"),
    "a pool of processes": ({"executor": "processes"}, TypeError, "concurrent.futures.Executor, or None"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_sense_is_refused(case):
    options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        run(**options)


@pytest.mark.parametrize("number", [-1, 20, 1.0, True])
def test_a_start_that_is_not_there_is_refused(number):
    with pytest.raises(IndexError, match="there are starts 0 to 19; got"):
        run().network(number)


@pytest.mark.parametrize("threshold", [math.nan, "low", None, True])
def test_a_threshold_that_is_no_loss_is_refused(threshold):
    with pytest.raises(ValueError, match=r"a threshold is a loss, a number such as 0\.01; got"):
        run().solved(threshold)
