"""What a batch shows of units, beside the certificate: classes of every kind, each against a slow loop."""

import itertools

import numpy as np
import pytest

import symbreak as sb
from symbreak._probe import ProbedSpace, Recorder

KEY = sb.Key(0)


def run(weights, x, target, recorder):
    """Run a network of two layers, tanh between them, and hand on what its hidden units give and get."""
    hidden = np.tanh(x @ weights["fc1"].T)
    out = hidden @ weights["fc2"].T
    error = (out - target) / len(x)
    recorder.activations("fc1", hidden)
    recorder.gradients("fc1", error @ weights["fc2"])
    recorder.activations("fc2", out)
    recorder.gradients("fc2", error)


def network(tied=(), seed=0):
    weights = {
        "fc1": sb.HeNormal()((6, 4), sb.Key(seed)["fc1"], dtype="float64"),
        "fc2": sb.HeNormal()((2, 6), sb.Key(seed)["fc2"], dtype="float64"),
    }
    for unit in tied:
        weights["fc1"][unit], weights["fc2"][:, unit] = weights["fc1"][0], weights["fc2"][:, 0]
    return weights


def certificate(weights):
    graph = sb.chain([(weights["fc1"], None), (weights["fc2"], None)], activation="tanh")
    return sb.diagnose(graph)


NAMED = {"fc1": "layers.0", "fc2": "output"}
X, TARGET = sb.Normal()((32, 4), KEY["x"], dtype="float64"), sb.Normal()((32, 2), KEY["y"], dtype="float64")


@pytest.mark.parametrize("tied", [(), (3,), (2, 5)])
def test_a_batch_and_the_certificate_agree_on_tied_units_and_on_free_ones(tied):
    weights, recorder = network(tied), Recorder()
    run(weights, X, TARGET, recorder)
    probe = recorder.probe(certificate(weights), NAMED)
    hidden = probe.spaces[0]
    assert hidden.groups == (((0, *tied),) if tied else ())
    assert hidden.verdict == "agrees"
    assert probe.ok == (not tied)
    assert [space.name for space in probe.spaces] == ["fc1", "fc2"]


def test_equal_activations_alone_are_not_enough_nor_equal_gradients_alone():
    weights = network((3,))
    weights["fc2"][:, 3] *= 2  # read differently: redundant, not tied
    recorder = Recorder()
    run(weights, X, TARGET, recorder)
    assert recorder.probe().spaces[0].groups == ()
    weights = network((3,))
    weights["fc1"][3] *= 2
    recorder = Recorder()
    run(weights, X, TARGET, recorder)
    assert recorder.probe().spaces[0].groups == ()


def test_units_that_are_equal_on_this_batch_alone_are_more_than_certified():
    weights, recorder = network(), Recorder()
    weights["fc1"][4], weights["fc2"][:, 4] = weights["fc1"][1], weights["fc2"][:, 1]
    weights["fc1"][4, 2] += 1.0
    x = X.copy()
    x[:, 2] = 0  # the input by which they differ says nothing in this batch
    run(weights, x, TARGET, recorder)
    probe = recorder.probe(certificate(weights), NAMED)
    assert (probe.spaces[0].groups, probe.spaces[0].verdict) == (((1, 4),), "more")
    assert "not certified" in str(probe)


def test_units_that_the_certificate_ties_and_noise_parts_are_fewer():
    weights, recorder = network((3,)), Recorder()
    run(weights, X, TARGET, recorder)
    noisy = np.tanh(X @ weights["fc1"].T)
    noisy[:, 3] = 0
    recorder.activations("fc1", noisy)  # a second use, with a unit dropped
    recorder.gradients("fc1", noisy)
    probe = recorder.probe(certificate(weights), NAMED)
    assert (probe.spaces[0].groups, probe.spaces[0].verdict) == ((), "fewer")
    assert "differ here" in str(probe)


def test_a_space_that_the_certificate_does_not_know_is_unknown():
    weights, recorder = network((3,)), Recorder()
    run(weights, X, TARGET, recorder)
    assert recorder.probe().spaces[0].verdict == "unknown"
    assert recorder.probe(certificate(weights), {"fc1": "elsewhere"}).spaces[0].certified is None
    assert recorder.probe(certificate(weights), {"fc1": "output"}).spaces[0].certified is None  # of another size


@pytest.mark.parametrize("seed", range(4))
def test_classes_are_those_of_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    activations, gradients = rng.integers(0, 2, (2, 3, 20)).astype(np.float32)
    recorder = Recorder(tolerance=0)
    recorder.activations("s", activations)
    recorder.gradients("s", gradients)
    space = recorder.probe().spaces[0]
    for a, b in itertools.product(range(20), repeat=2):
        same = bool((activations[:, a] == activations[:, b]).all() and (gradients[:, a] == gradients[:, b]).all())
        assert (space.labels[a] == space.labels[b]) == same
        assert (space.near[a] == space.near[b]) == same
    assert space.dead == tuple(np.flatnonzero((activations == 0).all(axis=0)))
    assert space.still == tuple(np.flatnonzero((gradients == 0).all(axis=0)))


def test_rounding_is_within_the_tolerance_and_a_real_difference_is_not():
    base = sb.Normal()((64, 1), KEY["base"])
    activations = np.concatenate([base, base * (1 + 3e-6), base * (1 + 1e-3)], axis=1)
    recorder, coarse = Recorder(), Recorder(0.01)
    for each in (recorder, coarse):
        each.activations("s", activations)
        each.gradients("s", activations)
    assert recorder.probe().spaces[0].distinct == 3
    assert recorder.probe().spaces[0].groups == ((0, 1),)
    assert coarse.probe().spaces[0].groups == ((0, 1, 2),)


def test_near_activations_with_other_gradients_are_not_near():
    base = sb.Normal()((64, 2), KEY["base"])
    recorder = Recorder(0.01)
    recorder.activations("s", np.concatenate([base[:, :1], base[:, :1] * 1.001], axis=1))
    recorder.gradients("s", base)
    assert recorder.probe().ok


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_units_lie_along_any_axis(axis):
    values = sb.Normal()((5, 6, 7), KEY["values"])
    other = np.moveaxis(values.copy(), axis, 0)
    other[3] = other[1]
    values = np.moveaxis(other, 0, axis)
    recorder = Recorder()
    recorder.activations("s", values, axis)
    recorder.gradients("s", values, axis)
    space = recorder.probe().spaces[0]
    assert space.groups == ((1, 3),)
    assert (space.units, space.samples) == (values.shape[axis], values.size // values.shape[axis])


def test_uses_of_one_space_count_together():
    first = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]])
    second = np.array([[1.0, 3.0, 0.0]])
    recorder = Recorder()
    for values in (first, second):
        recorder.activations("s", values)
        recorder.gradients("s", values)
    space = recorder.probe().spaces[0]
    assert (space.groups, space.dead, space.samples) == ((), (2,), 3)


def test_units_that_hold_a_nan_are_equal_to_none():
    values = np.array([[np.nan, np.nan, 1.0, 1.0]])
    recorder = Recorder()
    recorder.activations("s", values)
    recorder.gradients("s", values)
    assert recorder.probe().spaces[0].groups == ((2, 3),)


def test_what_was_not_computed_is_said():
    recorder = Recorder()
    recorder.activations("no gradient", np.ones((2, 3)))
    recorder.gradients("no activation", np.ones((2, 3)))
    recorder.activations("empty", np.ones((2, 0)))
    recorder.gradients("empty", np.ones((2, 0)))
    probe = recorder.probe(left_out={"pool": "it gives no array"})
    assert dict(probe.left_out) == {
        "pool": "it gives no array",
        "no gradient": "no gradient came to it",
        "no activation": "nothing was computed",
        "empty": "it has no units",
    }
    assert probe.ok
    assert str(probe).endswith("nothing to judge: no space was computed")
    assert "left out: pool: it gives no array" in str(probe)


def test_the_table_has_80_columns_and_shows_names_safely():
    recorder = Recorder()
    name = "encoder.layers.0.a.very.long.name.of.a.module.that.has.no.end\x1b[31m<b>"
    for each in (name, "fc1"):
        recorder.activations(each, np.ones((4, 128_256)))
        recorder.gradients(each, np.ones((4, 128_256)))
    probe = recorder.probe(loss=1.25)
    assert max(map(len, str(probe).splitlines())) <= 80
    assert "\x1b" not in str(probe)
    assert "<b>" not in probe._repr_html_()
    assert probe.summary == "in 2 of 2 spaces units agree in activations and gradients on this batch; loss 1.25"
    assert "fc1: 0-128255" in str(probe)


def test_a_list_of_classes_is_cut_short():
    recorder = Recorder()
    values = np.repeat(sb.Normal()((4, 9), KEY["nine"]), 2, axis=1)
    recorder.activations("s", values)
    recorder.gradients("s", values)
    assert "s: 0, 1; 2, 3; 4, 5; 6, 7; ... (9 classes in all)" in str(recorder.probe())


def test_a_dictionary_has_everything():
    weights, recorder = network((3,)), Recorder(1e-4)
    run(weights, X, TARGET, recorder)
    found = recorder.probe(certificate(weights), NAMED, loss=0.5).to_dict()
    assert (found["ok"], found["tolerance"], found["loss"], found["left_out"]) == (False, 1e-4, 0.5, {})
    assert found["spaces"][0] == {
        "name": "fc1", "units": 6, "samples": 32, "distinct": 5, "near": 5, "certified": 5, "verdict": "agrees",
        "groups": [[0, 3]], "dead": [], "still": [],
    }  # fmt: skip


def test_certified_heads_are_flattened():
    recorder = Recorder()
    values = np.repeat(sb.Normal()((4, 2), KEY["two"]), 2, axis=1)
    recorder.activations("heads", values)
    recorder.gradients("heads", values)
    report = sb.Report(partition={"heads": np.array([[0, 0], [1, 1]])})
    assert recorder.probe(report).spaces[0].verdict == "agrees"


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: Recorder(0.7), r"tolerance is a relative distance from 0 to 0.5; got 0.7"),
        (lambda: Recorder().activations("s", np.ones(3), axis=1), r"s: an array of shape \(3,\) has no axis 1"),
        (lambda: twice(3, 4), r"s had 3 units before, and now has 4"),
    ],
)
def test_what_makes_no_sense_is_refused(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
    with pytest.raises(TypeError, match="weights are numbers"):
        Recorder().activations("s", np.array(["a"]))


def twice(first, second):
    recorder = Recorder()
    recorder.activations("s", np.ones((2, first)))
    recorder.gradients("s", np.ones((2, second)))


def test_verdicts_follow_the_partitions():
    def space(near, certified):
        labels = np.array(near)
        return ProbedSpace(
            "s", len(near), 1, labels, labels, (), (), None if certified is None else np.array(certified)
        )

    assert space([0, 0, 1], [0, 0, 1]).verdict == "agrees"
    assert space([0, 0, 1], [0, 1, 2]).verdict == "more"
    assert space([0, 1, 2], [0, 0, 1]).verdict == "fewer"
    assert space([0, 0, 1], [0, 1, 1]).verdict == "fewer"
    assert space([0, 1], None).verdict == "unknown"
