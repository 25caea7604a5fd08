"""What stability says of tied units is what the Hessian has and what training does."""

import math
from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.engine import _transverse
from symbreak.engine._entries import number_entries
from symbreak.engine._growth import growth_of
from symbreak.errors import UnknownName
from tests.engine._networks import random_data
from tests.engine._stable import (
    apart,
    full_hessian,
    moved_apart,
    slices,
    slopes_apart,
    tied_network,
    transverse_projection,
)

ACTIVATIONS = ("tanh", "sigmoid", "softplus", "gelu", "sin")
LOSSES = ("mse", "cross_entropy", "logistic")
SGD = engine.SGD(0.1)


def judge(net, x, y, **settings):
    return engine.stability(net, x, y, **{"optimizer": SGD, **settings})


def random_case(seed):
    """Sizes, activation, loss and optimizer of one of the random networks, and the generator for its data."""
    rng = np.random.default_rng([7, seed])
    activation, loss = ACTIVATIONS[seed % 5], LOSSES[seed // 5 % 3]
    hidden = rng.integers(2, 7, size=1 + seed % 2).tolist()
    outputs = int(rng.integers(1, 4)) + (loss == "cross_entropy")
    if seed // 15 % 2:
        optimizer = engine.SGD(rng.uniform(0.01, 0.025))
    else:
        optimizer = engine.Momentum(rng.uniform(0.005, 0.02), momentum=rng.uniform(0.5, 0.8))
    return [int(rng.integers(1, 6)), *hidden, outputs], activation, loss, optimizer


def lengths_of_training(net, number, x, y, **settings):
    """How far apart units 0 and 1 of a hidden layer are after each step."""
    lengths = []
    engine.train(net, x, y, callback=lambda step: lengths.append(np.linalg.norm(apart(net, number))), **settings)
    return np.array(lengths)


@pytest.mark.parametrize("seed", range(50))
def test_the_growth_is_within_five_percent_of_that_of_training(seed):
    sizes, activation, loss, optimizer = random_case(seed)
    net = tied_network(sizes, activation, seed=seed)
    x, y = random_data(12, sizes[0], sizes[-1], loss, seed=seed)
    settings = {"loss": loss, "optimizer": optimizer}
    engine.train(net, x, y, loss=loss, optimizer=engine.Momentum(0.05), steps=800)  # to where it moves slowly
    start = 40 if isinstance(optimizer, engine.Momentum) else 0  # until the velocity points along the difference
    window = 20
    middle = deepcopy(net)
    engine.train(middle, x, y, steps=start + window // 2 + 1, **settings)
    for number, found in enumerate(judge(middle, x, y, **settings)):
        lowest = np.linalg.eigh(slopes_apart(net, number, x, y, loss))[1][:, 0]
        other = moved_apart(net, number, 1e-7 * lowest)
        lengths = lengths_of_training(other, number, x, y, steps=start + window + 1, **settings)
        assert found.growth > 1
        assert math.log(found.growth) == pytest.approx(math.log(lengths[-1] / lengths[-1 - window]) / window, rel=0.05)


def counted(eigenvalues, times):
    return [value for value in eigenvalues for _ in range(times)]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("sizes", "copies"),
    [
        ([3, 4, 2], [[0, 0, 0, 0]]),
        ([2, 6, 2], [[0, 1, 0, 1, 2, 1]]),
        ([2, 3, 4, 2], [[0, 0, 0], [0, 1, 2, 3]]),
        ([2, 4, 3, 2], [[0, 1, 2, 3], [0, 1, 1]]),
    ],
)
def test_the_eigenvalues_are_those_of_the_full_hessian_across_the_tied_state(sizes, copies, loss):
    net = tied_network(sizes, copies=copies, seed=3)
    x, y = random_data(9, sizes[0], sizes[-1], loss, seed=3)
    found = judge(net, x, y, loss=loss)
    ours = [value for each in found for value in counted(each.eigenvalues, len(each.units) - 1)]
    across = transverse_projection(net, copies)
    hessian = full_hessian(net, x, y, loss)
    np.testing.assert_allclose(across @ hessian, hessian @ across, atol=1e-8)  # nothing couples it to the tied state
    values = np.linalg.eigvalsh(across @ hessian @ across)
    zeros = round(len(values) - np.trace(across))  # those of the directions that the projection takes away
    np.testing.assert_allclose(np.sort(ours + [0.0] * zeros), values, atol=2e-9)


def test_what_separates_classes_of_two_layers_at_once_is_in_both_blocks_and_flat():
    copies = [[0, 0, 0], [0, 0, 0, 0]]
    net = tied_network([2, 3, 4, 2], copies=copies, seed=5)
    x, y = random_data(9, 2, 2, "mse", seed=5)
    first, second = judge(net, x, y)
    across = transverse_projection(net, copies)
    values = np.linalg.eigvalsh(across @ full_hessian(net, x, y, "mse") @ across)
    both = 2 * 3  # (3 - 1) (4 - 1) directions of the weight between the two layers
    ours = sorted([*counted(first.eigenvalues, 2), *counted(second.eigenvalues, 3)], key=abs)
    assert ours[:both] == [0.0] * both
    zeros = round(len(values) - np.trace(across))
    np.testing.assert_allclose(np.sort([*ours[both:], *[0.0] * zeros]), values, atol=2e-9)


def closed_form(net, x, t):
    """The block of a tanh layer under squared loss: [[A, B], [B^T, 0]], A over inputs and bias, B with outputs."""
    w, b, a = (net.parameters[name] for name in ("layers.0.weight", "layers.0.bias", "layers.1.weight"))
    h = np.tanh(x @ w[0] + b[0])
    e = 2 / t.size * (net(x) - t)
    inputs = np.column_stack([x, np.ones(len(x))])
    upper = inputs.T @ (inputs * (e @ a[:, 0] * -2 * h * (1 - h * h))[:, None])
    side = inputs.T @ ((1 - h * h)[:, None] * e)
    return np.block([[upper, side], [side.T, np.zeros((t.shape[1],) * 2)]])


@given(sizes=st.tuples(st.integers(1, 8), st.integers(2, 9), st.integers(1, 4)), seed=st.integers(0, 2**32))
def test_the_eigenvalues_of_a_tanh_layer_are_those_of_the_closed_form(sizes, seed):
    net = tied_network(sizes, seed=seed)
    x, t = random_data(10, sizes[0], sizes[-1], "mse", seed=seed)
    [found] = judge(net, x, t)
    expected = np.linalg.eigvalsh(closed_form(net, x, t))
    assert found.directions == len(expected) == sizes[0] + 1 + sizes[2]
    assert found.resolution < 1e-6 * abs(expected).max()
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-8 * abs(expected).max() + found.resolution)


@pytest.mark.parametrize(("inputs", "outputs"), [(250, 1), (220, 12), (3, 240)])
def test_a_block_too_large_to_form_gives_its_lowest_and_its_largest_eigenvalues(inputs, outputs):
    net = tied_network([inputs, 3, outputs], seed=1)
    x, t = random_data(30, inputs, outputs, "mse", seed=1)
    [found] = judge(net, x, t)
    expected = np.linalg.eigvalsh(closed_form(net, x, t))
    assert found.directions == len(expected) > _transverse.FORMED
    np.testing.assert_allclose(found.eigenvalues, expected[[0, 1, 2, 3, 4, 5, -1]], atol=1e-7 * abs(expected).max())


def test_a_large_block_is_never_formed(monkeypatch):
    net = tied_network([600, 2, 3], seed=1)
    x, t = random_data(5, 600, 3, "mse", seed=1)
    passes = []
    monkeypatch.setattr(_transverse, "gradients", lambda *args, **kw: passes.append(1) or engine.gradients(*args, **kw))
    [found] = judge(net, x, t)
    assert found.directions == 604
    assert 0 < len(passes) < 300


def test_eigenvalues_in_float32_are_good_to_three_digits():
    nets = [tied_network([4, 6, 2], seed=2, dtype=dtype) for dtype in ("float32", "float64")]
    x, y = random_data(20, 4, 2, "mse", seed=2)
    single, double = (judge(net, x, y)[0].eigenvalues for net in nets)
    np.testing.assert_allclose(single, double, atol=1e-3 * abs(double).max())


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_step_of_the_differences_follows_the_scale_of_the_inputs(scale):
    net = tied_network([3, 4, 2], seed=4)
    x, t = random_data(12, 3, 2, "mse", seed=4)
    net.parameters["layers.0.weight"][...] /= scale
    [found] = judge(net, x * scale, t)
    expected = np.linalg.eigvalsh(closed_form(net, x * scale, t))
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-7 * abs(expected).max())


def formula(optimizer, curvature):
    """The growth from the textbook's quadratic z**2 - trace z + determinant."""
    rate, momentum = optimizer.learning_rate, getattr(optimizer, "momentum", 0.0)
    curvature += optimizer.weight_decay
    if isinstance(optimizer, engine.SGD):
        return abs(1 - rate * curvature)
    if isinstance(optimizer, engine.Momentum):
        return max(abs(np.roots([1, -(1 + momentum - rate * curvature), momentum])))
    left = 1 - rate * curvature
    return max(abs(np.roots([1, -(1 + momentum) * left, momentum * left])))


LINEAR = {
    "SGD": engine.SGD(0.2),
    "SGD with decay": engine.SGD(0.2, weight_decay=0.3),
    "Momentum": engine.Momentum(0.1, momentum=0.8),
    "Momentum with decay": engine.Momentum(0.1, momentum=0.5, weight_decay=0.3),
    "Nesterov": engine.Nesterov(0.1, momentum=0.8),
    "Nesterov with decay": engine.Nesterov(0.1, momentum=0.6, weight_decay=0.3),
}


@pytest.mark.parametrize("curvature", [-3.0, -0.5, -1e-3, 0.0, 0.01, 1.0, 7.0, 60.0])
@pytest.mark.parametrize("name", LINEAR)
def test_the_growth_is_that_of_the_formula(name, curvature):
    assert growth_of(LINEAR[name], curvature) == pytest.approx(formula(LINEAR[name], curvature), abs=1e-7)


@pytest.mark.parametrize("curvature", [-0.5, -0.01, 60.0])
@pytest.mark.parametrize("name", LINEAR)
def test_the_growth_is_what_many_steps_on_a_quadratic_show(name, curvature):
    optimizer, point = LINEAR[name], np.array([1e-100])
    state, sizes = optimizer.start(point), []
    for _ in range(220):
        state = optimizer.step(point, curvature * point, state)
        sizes.append(abs(point[0]))
    assert growth_of(optimizer, curvature) == pytest.approx((sizes[-1] / sizes[-21]) ** (1 / 20), rel=1e-4)


UNKNOWN = [engine.Adam(0.1), engine.AdamW(0.1), engine.RMSProp(0.1), engine.Muon(0.1, others=engine.SGD(0.1))]


@pytest.mark.parametrize("optimizer", UNKNOWN, ids=repr)
def test_an_optimizer_whose_step_is_not_linear_gives_eigenvalues_and_a_reason(optimizer):
    net = tied_network([2, 3, 1])
    x, y = random_data(6, 2, 1, "mse")
    [found] = judge(net, x, y, optimizer=optimizer)
    np.testing.assert_array_equal(found.eigenvalues, judge(net, x, y)[0].eigenvalues)
    assert math.isnan(found.growth)
    assert math.isnan(found.steps_to_separate())
    assert f"A step of {type(optimizer).__name__} is not linear in the gradient" in found.verdict
    assert "not known" in str(judge(net, x, y, optimizer=optimizer))


class Cubic(engine.AbstractOptimizer):
    """Adds and multiplies, and is not linear."""

    polynomial = True

    def start(self, parameter):
        return None

    def step(self, parameter, gradient, state):
        parameter -= 0.1 * gradient**3


class Drifting(Cubic):
    """Linear but for a constant."""

    def step(self, parameter, gradient, state):
        parameter -= 0.1 * gradient + 1e-3


class Pair(Cubic):
    """Linear, with a state that is no array."""

    def start(self, parameter):
        return (parameter * 0, parameter * 0)


class Half(Cubic):
    """Somebody's own linear optimizer."""

    def step(self, parameter, gradient, state):
        parameter -= 0.05 * gradient


@pytest.mark.parametrize("optimizer", [Cubic(), Drifting(), Pair()])
def test_an_optimizer_that_only_adds_and_multiplies_need_not_be_linear(optimizer):
    assert math.isnan(growth_of(optimizer, -1.0))


def test_any_optimizer_with_a_linear_step_has_a_growth():
    assert growth_of(Half(), -2.0) == pytest.approx(1.1)


def test_a_schedule_gives_the_rate_of_the_step():
    net = tied_network([2, 3, 1])
    x, y = random_data(6, 2, 1, "mse")
    optimizer = engine.SGD(engine.StepDecay(0.4, every=10, factor=0.5))
    growths = [judge(net, x, y, optimizer=optimizer, step=step)[0].growth for step in (0, 9, 10)]
    expected = [judge(net, x, y, optimizer=engine.SGD(rate))[0].growth for rate in (0.4, 0.4, 0.2)]
    assert growths == expected
    assert growths[0] > growths[2] > 1


def test_weight_decay_stronger_than_the_lowest_eigenvalue_keeps_units_together():
    net = tied_network([2, 3, 1], seed=1)
    x, y = random_data(6, 2, 1, "mse", seed=1)
    [free] = judge(net, x, y)
    assert free.growth > 1
    slopes = engine.gradients(net, x, y).parameters

    def held_by(decay):
        return engine.SGD(0.1, weight_decay=decay)

    for factor, stays in ((1.1, True), (0.9, False)):
        decay = factor * -free.eigenvalues[0]
        [held] = judge(net, x, y, optimizer=held_by(decay))
        assert (held.growth < 1) == stays
        assert math.isinf(held.steps_to_separate()) == stays
        assert (" not from here. A difference is multiplied by 0.98" in held.verdict) == stays
        assert held.gradient == pytest.approx(np.sqrt(sum((g**2).sum() for g in slopes.values())))
        assert ("not from here" in str(engine.stability(net, x, y, optimizer=held_by(decay)))) == stays


def test_steps_too_large_for_the_highest_curvature_separate_units_too():
    net = tied_network([2, 3, 1], seed=1)
    x, y = random_data(6, 2, 1, "mse", seed=1)
    rate = 2.5 / judge(net, x, y)[0].eigenvalues[-1]
    [found] = judge(net, x, y, optimizer=engine.SGD(rate, weight_decay=-judge(net, x, y)[0].eigenvalues[0]))
    assert found.eigenvalue == found.eigenvalues[-1]
    assert "as the steps are too large for a curvature so high" in found.verdict


def halves_at_rest(upper):
    """Two halves of one tanh unit, with errors that give no gradient, and `upper` for the block of inputs and bias."""
    x = np.random.default_rng(0).normal(size=(30, 1))
    w, b, a = 1.2, -0.4, 1.5  # of each half
    h = np.tanh(w * x[:, 0] + b)
    slope, bend = 1 - h * h, -2 * h * (1 - h * h)
    column = x[:, 0]
    conditions = np.array(
        [slope * column, slope, h, h * 0 + 1, *(a * bend * power for power in (column**2, column, 1))]
    )
    e = np.linalg.lstsq(conditions, [0, 0, 0, 0, upper[0][0], upper[0][1], upper[1][1]], rcond=None)[0]
    hidden = engine.Dense(np.full((2, 1), w), np.full(2, b), "tanh")
    net = engine.Network([hidden, engine.Dense(np.full((1, 2), a), np.zeros(1))])
    return net, x, net(x) - e[:, np.newaxis] * len(x) / 2


@pytest.mark.parametrize(
    "upper", [[[0.3, 0.1], [0.1, 0.2]], [[-0.3, 0.1], [0.1, -0.2]], [[0.3, 0.0], [0.0, -0.2]], [[0.1, 0.2], [0.2, 0.1]]]
)
def test_halves_of_a_unit_at_rest_separate_if_and_only_if_the_curvature_is_somewhere_negative(upper):
    net, x, y = halves_at_rest(upper)
    assert all(abs(g).max() < 1e-12 for g in engine.gradients(net, x, y).parameters.values())
    [found] = judge(net, x, y)
    values = np.linalg.eigvalsh(upper)
    np.testing.assert_allclose(found.eigenvalues, np.sort([*values, 0.0]), atol=1e-8)
    assert (found.growth > 1) == (values[0] < 0)
    assert math.isinf(found.steps_to_separate()) == (values[0] > 0)
    other = moved_apart(net, 0, np.array([3e-7, 1e-7, 1e-7]))
    lengths = lengths_of_training(other, 0, x, y, optimizer=SGD, steps=400)
    assert (lengths[-1] > 10 * lengths[0]) == (values[0] < 0)
    assert (lengths[-1] < lengths[0]) == (values[0] > 0)


def test_units_that_get_no_gradient_never_separate():
    net = engine.Network([engine.Dense(np.zeros((3, 2)), -np.ones(3), "relu"), engine.Dense(np.zeros((1, 3)))])
    x, y = random_data(6, 2, 1, "mse")
    [found] = judge(net, abs(x) * 0.1, y)
    assert found.eigenvalues.tolist() == [0.0] * 4
    assert found.growth == 1.0
    assert found.steps_to_separate() == math.inf
    assert "flat here" in found.verdict


def test_never_is_said_at_rest_only_and_where_a_difference_shrinks():
    net = engine.mlp([2, 3, 1], init=sb.Zeros())
    x = np.random.default_rng(0).normal(size=(6, 2))
    rest = engine.stability(net, x, np.zeros((6, 1)), optimizer=engine.SGD(0.1, weight_decay=0.5))
    assert (rest[0].gradient, rest[0].growth) == (0.0, 0.95)
    assert "3 tied units of layers.0: never. A difference is multiplied by 0.95" in rest[0].verdict
    assert str(rest).splitlines()[2].endswith("never")
    assert "not at rest" not in str(rest)
    moving = engine.stability(net, x, np.ones((6, 1)), optimizer=engine.SGD(0.1))
    assert moving[0].gradient > 1
    assert "not at rest: the gradient's norm is 2," in str(moving)


@pytest.mark.parametrize("optimizer", [engine.SGD(0.5), engine.Momentum(0.1, momentum=0.8)], ids=repr)
def test_the_steps_to_separate_are_those_that_training_takes(optimizer):
    net = tied_network([3, 4, 2], seed=6)
    x, y = random_data(12, 3, 2, "mse", seed=6)
    engine.train(net, x, y, optimizer=engine.Momentum(0.2), steps=4000)  # to the plateau
    [found] = judge(net, x, y, optimizer=optimizer)
    lowest = np.linalg.eigh(slopes_apart(net, 0, x, y, "mse"))[1][:, 0]
    other = moved_apart(net, 0, 1e-12 / 2 * lowest)
    expected = found.steps_to_separate(perturbation=1e-12, distance=1e-3)
    lengths = lengths_of_training(other, 0, x, y, optimizer=optimizer, steps=int(expected * 1.5))
    assert expected > 100
    assert np.argmax(lengths > 1e-3) == pytest.approx(expected, rel=0.05)


def test_through_blas_units_part_at_the_growth_that_is_given():
    tied = tied_network([20, 17, 3], seed=0)
    x, y = random_data(64, 20, 3, "mse", seed=0)
    through_blas = engine.Network(list(deepcopy(tied).layers.values()), product="blas")
    growths, spreads = [], []

    def look(step):
        spreads.append(np.linalg.norm(np.ptp(slices(through_blas.parameters, 0), axis=0)))

    engine.train(through_blas, x, y, optimizer=SGD, steps=700, callback=look)
    if spreads[99] == 0:
        pytest.skip("BLAS keeps 17 units tied on this machine")
    engine.train(tied, x, y, optimizer=SGD, steps=300)
    for _ in range(5):
        growths.append(math.log(judge(tied, x, y)[0].growth))
        engine.train(tied, x, y, optimizer=SGD, steps=10)
    shown = math.log(spreads[339] / spreads[299]) / 40
    assert np.mean(growths) == pytest.approx(shown, rel=0.05)


def small():
    net = tied_network([2, 4, 1], seed=1)
    return (net, *random_data(6, 2, 1, "mse", seed=1))


def test_a_network_without_tied_units_gives_an_empty_result_that_says_so():
    net, x, y = small()
    net.parameters["layers.0.bias"][:] = range(4)
    found = judge(net, x, y)
    assert list(found) == []
    assert len(found) == 0
    assert str(found) == "no tied class: no two units read, hold and write the same"


def test_the_network_is_not_changed():
    net, x, y = small()
    before = {name: array.copy() for name, array in net.parameters.items()}
    judge(net, x, y)
    assert all((array == before[name]).all() for name, array in net.parameters.items())


def test_the_same_call_gives_the_same_bits():
    net, x, y = small()
    one, other = judge(net, x, y)[0], judge(net, x, y)[0]
    np.testing.assert_array_equal(one.eigenvalues, other.eigenvalues)
    assert one.growth == other.growth


def test_steps_to_separate_count_from_the_perturbation_to_the_distance():
    net, x, y = small()
    [found] = judge(net, x, y)
    steps = found.steps_to_separate(1e-12, 1e-2)
    assert found.growth**steps >= 1e10 > found.growth ** (steps - 1)
    assert found.steps_to_separate() == found.steps_to_separate(perturbation=1e-16, distance=0.1)
    assert found.steps_to_separate(0.2, 0.1) == 0
    assert f"in about {found.steps_to_separate():.0f} steps" in found.verdict


@pytest.mark.parametrize(("name", "what"), [("perturbation", "the perturbation"), ("distance", "the distance")])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, "1"])
def test_perturbation_and_distance_are_positive_numbers(name, what, value):
    net, x, y = small()
    with pytest.raises(ValueError, match=f"{what} must be a positive number; got {value!r}"):
        judge(net, x, y)[0].steps_to_separate(**{name: value})


@pytest.mark.parametrize("optimizer", [SGD, UNKNOWN[1], engine.Adam(engine.LinearWarmup(0.1, 10), 0.5, 0.6, 1e-3, 0.2)])
def test_the_table_has_a_row_a_class_in_80_columns(optimizer):
    copies = [[0] * 30 + [1] * 30, [0] * 5, [0, 1, 2, 0]]
    net = tied_network([3, 60, 5, 4, 2], copies=copies)
    x, y = random_data(6, 3, 2, "mse")
    found = judge(net, x, y, optimizer=optimizer, step=12_000)
    assert [(each.space, len(each.units)) for each in found] == [
        ("layers.0", 30), ("layers.0", 30), ("layers.1", 5), ("layers.2", 2)
    ]  # fmt: skip
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 80
    for start in ("layers.0 [0, 1, 2...  ", "layers.0 [30, 31,...  ", "layers.1  ", "layers.2 [0, 3]  "):
        assert sum(line.startswith(start) for line in lines) == 1
    assert "at step 12000" in str(found).replace("\n", " ")


def test_the_text_and_the_repr_say_the_numbers():
    net, x, y = small()
    found = judge(net, x, y)
    growth = f"{found[0].growth:.6g}"
    assert repr(found) == (
        f"Stability([ClassStability(layers.0, 4 units, growth={growth})], SGD(learning_rate=0.1), 'mse', step 0)"
    )
    assert str(found[0]).replace("\n", " ") == found[0].verdict
    assert max(map(len, str(found[0]).splitlines())) <= 80 < len(found[0].verdict)
    assert f"multiplied by {growth} a step (eigenvalue {found[0].eigenvalue:.4g})." in found[0].verdict
    row = str(found).splitlines()[2].split()
    steps = f"{found[0].steps_to_separate():,.0f}"
    lowest, largest = f"{found[0].eigenvalues[0]:.3g}", f"{found[0].eigenvalues[-1]:.3g}"
    assert row == ["layers.0", "4", lowest, largest, growth, "in", steps, "steps"]


def broken(value):
    net, x, y = small()
    net.parameters["layers.0.weight"][:] = value
    return net, x, y


def exact():
    net = engine.Network([engine.Dense(np.array([[Fraction(1)]], object))], product="exact")
    return net, [[1]], [[1]]


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (small, {"loss": "mae"}, UnknownName, "no loss is called 'mae'"),
        (small, {"optimizer": 0.1}, TypeError, r"must be one such as engine.SGD\(0.1\); got 0.1"),
        (small, {"step": -1}, ValueError, "the step must be a whole number, 0 or more; got -1"),
        (small, {"step": 1.5}, ValueError, "the step must be a whole number, 0 or more; got 1.5"),
        (small, {"loss": "logistic"}, ValueError, "labels, each 0 or 1"),
        (lambda: (small()[0], np.ones((3, 3)), [1, 2, 3]), {}, ValueError, r"must have shape \(batch, 2\)"),
        (lambda: (small()[0], np.ones((3, 2)), [1, 2]), {}, ValueError, "as many rows; they have 3 and 2"),
        (lambda: ("net", [[1.0]], [1.0]), {}, TypeError, "must be an engine.Network; got 'net'"),
        (lambda: broken(np.nan), {}, ValueError, "the loss at this point is nan: there is no Hessian"),
        (exact, {}, TypeError, "exact numbers has no eigenvalues to compute"),
    ],
)
def test_bad_input_is_told(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        judge(*arguments(), **settings)


def test_a_gradient_that_is_not_finite_is_told():
    layers = [engine.Dense(np.full((2, 1), 1e-200)), engine.Dense(np.full((1, 2), 1e200))]
    with pytest.raises(ValueError, match=r"the gradient of 'layers.0.weight' at this point is not finite"):
        judge(engine.Network(layers), [[1e150]], [0.0])


class Shifted(engine.AbstractLayer):
    """A layer that is wired without its shift, or with another."""

    inputs = units = None

    def __init__(self, shift, wired):
        self.parameters, self._wired = {"shift": shift}, wired

    def forward(self, x, run):
        return x + self.parameters["shift"], None

    def backward(self, g, memory, run):
        return engine.Backward(g, g, {"shift": g.sum(axis=0)})

    def wire(self, wiring, name, *sources):
        if self._wired:
            wiring.per_unit("shift", 2 * self.parameters["shift"], sources[0])
        return sources[0]


@pytest.mark.parametrize("wired", [False, True])
def test_a_parameter_that_the_graph_does_not_have_is_told(wired):
    net = engine.Network([engine.Dense(np.ones((3, 2))), Shifted(np.ones(3), wired), engine.Dense(np.ones((1, 3)))])
    with pytest.raises(NotImplementedError, match=r"does not have the parameters 'layers.1.shift' as they are, so it"):
        judge(net, np.ones((4, 2)), np.ones(4))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_away_from_the_corner_of_a_relu_there_is_no_curvature_within_a_unit(activation):
    net = tied_network([3, 4, 2], activation, seed=2)
    x, t = random_data(12, 3, 2, "mse", seed=2)
    [found] = judge(net, x, t)
    w, b = net.parameters["layers.0.weight"][0], net.parameters["layers.0.bias"][0]
    slope = np.where(x @ w + b > 0, 1.0, 0.0 if activation == "relu" else 0.01)
    e = 2 / t.size * (net(x) - t)
    side = np.column_stack([x, np.ones(12)]).T @ (slope[:, np.newaxis] * e)
    expected = np.linalg.eigvalsh(np.block([[np.zeros((4, 4)), side], [side.T, np.zeros((2, 2))]]))
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-8)


def test_noise_drawn_for_each_unit_is_told(monkeypatch):
    def noisy(*args, **settings):
        found = engine.gradients(*args, **settings)
        found.parameters["layers.0.bias"][0] += 0.01
        return found

    monkeypatch.setattr(_transverse, "gradients", noisy)
    message = r"units 0 and 1 of 'layers.0' are equal, but their gradients in 'layers.0.bias' differ by 0.01: noise"
    with pytest.raises(ValueError, match=message):
        judge(*small())


def test_in_a_network_with_branches_the_eigenvalues_are_among_those_of_the_full_hessian():
    rng = np.random.default_rng(0)
    net = engine.Network(
        {
            "stem": engine.Dense(rng.normal(size=(3, 2)), np.zeros(3), "tanh"),
            "up": engine.Dense(np.repeat(rng.normal(size=(1, 3)), 4, axis=0), np.zeros(4), "tanh"),
            "down": engine.Dense(np.repeat(rng.normal(size=(3, 1)), 4, axis=1), np.zeros(3)),
            "sum": (engine.Add(), "stem", "down"),
            "value": engine.Dense(rng.normal(size=(2, 3)), np.zeros(2)),
        }
    )
    x, y = random_data(9, 2, 2, "mse")
    [found] = judge(net, x, y)
    assert found.units == (0, 1, 2, 3)
    assert found.directions == 3 + 1 + 3
    values = np.linalg.eigvalsh(full_hessian(net, x, y, "mse"))
    for value in found.eigenvalues[abs(found.eigenvalues) > 1e-4]:
        assert np.sum(abs(values - value) < 1e-7) == 3  # four units differ in three ways


def test_units_before_a_flatten_are_judged_at_every_position():
    """The dense weight has (1, 3 positions, 4 units) in the graph, and (1, 12) in the network."""
    rng = np.random.default_rng(0)
    wide = np.repeat(rng.normal(size=(1, 3, 1)), 4, axis=2).reshape(1, 12)
    net = engine.Network(
        [
            engine.Conv1d(np.repeat(rng.normal(size=(1, 2, 3)), 4, axis=0), np.full(4, 0.2), "tanh"),
            engine.Flatten(),
            engine.Dense(wide),
        ]
    )
    x, y = rng.normal(size=(8, 5, 2)), rng.normal(size=(8, 1))
    found = engine.stability(net, x, y, optimizer=SGD)
    assert (found[0].units, found[0].directions) == ((0, 1, 2, 3), 2 * 3 + 1 + 3)
    check_by_full_hessian(net, x, y, found)


def check_by_full_hessian(net, x, y, found):
    """Compare with a Hessian that knows of no classes: each eigenvalue is there once less than there are units."""
    whole = np.linalg.eigvalsh(full_hessian(net, x, y, "mse"))
    for each in found:
        for value in each.eigenvalues:
            assert np.sort(abs(whole - value))[len(each.units) - 2] < 1e-7


def copies(values, units, axis=0):
    return np.repeat(np.expand_dims(values, axis), units, axis)


def test_units_that_are_read_side_by_side_are_judged():
    """A weight that reads two branches is two arrays in the graph; its entries are those of one."""
    rng = np.random.default_rng(0)
    reads = np.concatenate(
        [copies(rng.normal(size=2), 3, 1), rng.normal(size=(2, 1)), copies(rng.normal(size=2), 2, 1)], 1
    )
    net = engine.Network(
        {
            "left": engine.Dense(copies(rng.normal(size=2), 3), np.full(3, 0.1), "tanh"),
            "right": (engine.Dense(rng.normal(size=(3, 2))[[0, 1, 1]], np.zeros(3), "sigmoid"), "input"),
            "both": (engine.Concatenate(), "left", "right"),
            "value": engine.Dense(reads, np.zeros(2)),
        }
    )
    x, y = random_data(9, 2, 2, "mse")
    found = judge(net, x, y)
    assert [(each.space, each.units, each.directions) for each in found] == [
        ("left", (0, 1, 2), 2 + 1 + 2),
        ("right", (1, 2), 2 + 1 + 2),
    ]
    check_by_full_hessian(net, x, y, found)


def test_units_of_a_convolution_in_groups_are_judged():
    """The weight has zeros in the graph where a group can't read; its entries are those that it has."""
    rng = np.random.default_rng(0)
    first, second, bias = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), np.array([0.1, 0.1, 0.3, 0.3])
    net = engine.Network(
        [
            engine.Conv1d(np.concatenate([copies(first, 2), copies(second, 2)]), bias, "tanh", groups=2),
            engine.Conv1d(np.concatenate([copies(rng.normal(size=(3, 1)), 2, 1) for _ in range(2)]), groups=2),
            engine.GlobalAveragePool(),
        ]
    )  # fmt: skip
    x, y = rng.normal(size=(6, 5, 4)), rng.normal(size=(6, 6))
    found = judge(net, x, y)
    assert [(each.units, each.directions) for each in found] == [((0, 1), 2 * 3 + 1 + 3), ((2, 3), 2 * 3 + 1 + 3)]
    check_by_full_hessian(net, x, y, found)


def test_statistics_and_masks_are_no_entries():
    """A batch norm's variance of 1, and a mask's 1, are not taken for the first entry."""
    rng = np.random.default_rng(0)
    net = engine.Network(
        [
            engine.Conv1d(copies(rng.normal(size=(1, 2)), 4), np.zeros(4), groups=2),
            engine.BatchNorm(np.ones(4), np.zeros(4)),
            engine.Activate("tanh"),
            engine.Conv1d(rng.normal(size=(1, 4, 1))),
            engine.GlobalAveragePool(),
        ]
    )
    entries = number_entries(net, net.graph)
    seen = np.concatenate([array[array > 0] for array in entries.values()])
    assert sorted(seen.tolist()) == list(range(1, 1 + sum(array.size for array in net.parameters.values())))
    for name in ("layers.0.mask", "layers.1.mean", "layers.1.variance"):
        assert not entries[name].any()
