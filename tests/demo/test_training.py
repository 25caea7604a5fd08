"""Two starts of one network: the tied one stays tied, the random one learns, and nothing else differs."""

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak.demo import HIDDEN, STARTS, STEPS, load_digits, save_and_judge, train_from

CONSTANT, RANDOM = STARTS


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture(scope="module")
def whole(digits):
    """Both runs as the command makes them."""
    return [train_from(start, digits) for start in STARTS]


def right(parameters, digits):
    """Give the least and the most test images that are told right, in float64 and without the engine.

    They differ by the images whose two best digits are too close for float32 to tell.
    """
    x, labels = digits.test
    w = {name: array.astype(float) for name, array in parameters.items()}
    hidden = np.tanh(x.astype(float) @ w["layers.0.weight"].T + w["layers.0.bias"])
    outputs = hidden @ w["layers.1.weight"].T + w["layers.1.bias"]
    wrong = np.ma.masked_array(outputs, np.eye(10, dtype=bool)[labels]).max(axis=1).filled()
    margin = outputs[np.arange(len(labels)), labels] - wrong
    return np.count_nonzero(margin > 1e-4), np.count_nonzero(margin > -1e-4)


def test_the_starts_are_a_constant_and_he_normal():
    assert [start.initializer for start in STARTS] == [sb.Constant(0.5), sb.HeNormal()]
    for start in STARTS:
        assert eval(f"sb.{start.name}", {"sb": sb}) == start.initializer


def test_the_constant_start_ends_with_one_unit_and_the_random_one_with_all(whole):
    tied, free = (run.parameters["layers.0.weight"] for run in whole)
    assert (tied == tied[0]).all()
    assert len(np.unique(free, axis=0)) == HIDDEN
    tied_bias, tied_out = whole[0].parameters["layers.0.bias"], whole[0].parameters["layers.1.weight"]
    assert (tied_bias == tied_bias[0]).all()
    assert (tied_out == tied_out[:, :1]).all()
    assert len(np.unique(tied_out[:, 0])) == 10  # it learned: the outputs are told apart


def test_the_random_start_learns_the_digits_and_the_constant_one_does_not(whole):
    tied, free = whole
    assert free.accuracy > 0.95
    assert 0.1 < tied.accuracy < 0.6
    assert free.loss < 0.05 < 1 < tied.loss


@pytest.mark.parametrize("number", [0, 1])
def test_the_accuracy_is_what_the_saved_arrays_give(whole, digits, number):
    run = whole[number]
    low, high = right(run.parameters, digits)
    assert high - low <= 2
    assert low <= round(run.accuracy * 449) <= high


def test_one_constant_start_does_what_one_unit_can(whole, digits):
    """32 tied units are one unit: merged into one, with its outgoing weights summed, the network says the same."""
    w = whole[0].parameters
    merged = engine.Network(
        [
            engine.Dense(w["layers.0.weight"][:1].copy(), w["layers.0.bias"][:1].copy(), "tanh"),
            engine.Dense(w["layers.1.weight"].sum(axis=1, keepdims=True), w["layers.1.bias"].copy()),
        ]
    )
    x = digits.test[0]
    full = np.tanh(x @ w["layers.0.weight"].T + w["layers.0.bias"]) @ w["layers.1.weight"].T + w["layers.1.bias"]
    np.testing.assert_allclose(merged(x), full, rtol=0, atol=1e-4)


def test_the_loss_is_the_cross_entropy_of_all_training_images(digits):
    run = train_from(RANDOM, digits, steps=5)
    x, labels = digits.train
    w = run.parameters
    outputs = np.tanh(x @ w["layers.0.weight"].T + w["layers.0.bias"]) @ w["layers.1.weight"].T + w["layers.1.bias"]
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    assert run.loss == pytest.approx(-np.log(shares[np.arange(len(x)), labels]).mean(), rel=1e-5)


@pytest.mark.parametrize(("steps", "points"), [(1, [0, 1]), (25, [0, 25]), (26, [0, 25, 26]), (60, [0, 25, 50, 60])])
def test_the_test_images_are_looked_at_every_25_steps_and_at_the_end(digits, steps, points):
    told = []
    run = train_from(RANDOM, digits, steps=steps, tell=lambda done, accuracy: told.append((done, accuracy)))
    assert run.steps.tolist() == points
    assert told == list(zip(run.steps.tolist(), run.accuracies.tolist(), strict=True))


def test_a_run_follows_from_the_seed_alone(digits):
    first, again, other = (train_from(RANDOM, digits, seed=seed, steps=30) for seed in (7, 7, 8))
    for name, array in first.parameters.items():
        assert array.tobytes() == again.parameters[name].tobytes()
        assert array.tobytes() != other.parameters[name].tobytes()


def test_the_order_of_the_images_follows_from_the_seed_also_for_the_constant_start(digits):
    first, other = (train_from(CONSTANT, digits, seed=seed, steps=5) for seed in (0, 1))
    assert first.parameters["layers.1.bias"].tobytes() != other.parameters["layers.1.bias"].tobytes()


@pytest.mark.parametrize(("start", "distinct"), [(CONSTANT, 1), (RANDOM, HIDDEN)])
def test_the_distinct_units_are_those_that_the_diagnostic_reads_in_the_file(digits, tmp_path, start, distinct):
    run = train_from(start, digits, steps=30)
    outcome = save_and_judge(run, tmp_path / "a.safetensors")
    assert (outcome.distinct, outcome.units) == (distinct, HIDDEN)
    assert outcome.report.ok == (start is RANDOM)
    run.parameters["layers.0.weight"][3] = run.parameters["layers.0.weight"][4] + 1
    run.parameters["layers.0.weight"][9] = run.parameters["layers.0.weight"][3]
    changed = save_and_judge(run, tmp_path / "a.safetensors")
    assert changed.distinct == (2 if start is CONSTANT else HIDDEN - 1)


def test_the_file_says_what_made_it(digits, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    run = train_from(CONSTANT, digits, seed=3, steps=2)
    save_and_judge(run, tmp_path / "a.safetensors")
    with safetensors.safe_open(tmp_path / "a.safetensors", "np") as file:
        assert file.metadata() == {"made_by": "symbreak demo", "start": "Constant(0.5)", "seed": "3", "steps": "2"}
        assert {name: file.get_tensor(name).tobytes() for name in file.keys()} == {  # noqa: SIM118 - no mapping
            name: array.tobytes() for name, array in run.parameters.items()
        }


def test_the_command_trains_for_as_long_as_the_whole_run_here(whole):
    assert [run.steps[-1] for run in whole] == [STEPS, STEPS]


@pytest.mark.parametrize("seed", [0, 7])
def test_the_weights_start_where_the_initializer_and_the_seed_say(digits, monkeypatch, seed):
    monkeypatch.setattr("symbreak.demo._training.RATE", 1e-30)  # too small a step to move a float32
    run = train_from(RANDOM, digits, seed=seed, steps=1)
    drawn = sb.HeNormal()((HIDDEN, 64), rng=sb.Key(seed)["layers.0.weight"])
    np.testing.assert_array_equal(run.parameters["layers.0.weight"], drawn)
