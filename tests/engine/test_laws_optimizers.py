"""Which ties survive which optimizer, and where the start doesn't matter.

Three kinds of class. *Exchange*: units with equal incoming, own and outgoing values; `tests.test_headline` follows them
to the bit. *Orbit*: a permutation of the units of all hidden layers at once that changes no array. *Equitable*: only
the sums over classes of the incoming, and of the outgoing, weights are equal.

In floating point the last two hold at rounding, and a difference may grow from there. So the weights are brought back
to where the tie is exact before every step, and each step is held to a bound for what rounding alone can do to it.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.engine import _activations
from symbreak.engine._muon import COEFFICIENTS, ROUNDS, SMALLEST
from tests.engine._networks import random_data, random_network
from tests.engine._optimizers import OPTIMIZERS
from tests.engine._tied import check_run, hidden_layers, tied_units
from tests.engine.test_exact import OPTIMIZERS as POLYNOMIAL
from tests.engine.test_exact import check_equitable, network
from tests.engine.test_lbfgs import fit
from tests.test_headline import well_conditioned

AWKWARD = [17, 33, 65, 100]
KINKED, EXPLODING = {"relu", "leaky_relu"}, {"square"}  # rounding decides a slope; squares of squares leave all bounds
SMOOTH = sorted(set(_activations.ACTIVATIONS) - KINKED - EXPLODING)
ROUNDING = 1e-12


class EntryByEntry(engine.AbstractOptimizer):
    """Gradient descent whose weights go through a function of one entry after each step."""

    def __init__(self, function):
        self.function = function

    def start(self, parameter):
        return None

    def step(self, parameter, gradient, state):
        parameter -= 0.05 * gradient
        parameter[...] = self.function(parameter)


def rounded(parameter):
    import ml_dtypes

    return parameter.astype(ml_dtypes.bfloat16).astype(parameter.dtype)


# What acts on each weight by itself, and not only on its gradient.
ON_ENTRIES = {
    "Adam with L2": OPTIMIZERS["Adam with L2"],
    "L1 decay": EntryByEntry(lambda w: w - 0.01 * np.sign(w)),
    "weight clipping": EntryByEntry(lambda w: np.clip(w, -0.6, 0.6)),
    "rounding to bfloat16": EntryByEntry(rounded),
}
ON_GRADIENTS = {name: each for name, each in OPTIMIZERS.items() if name != "Adam with L2"} | {
    "RMSProp by default": engine.RMSProp(0.02),
    "Adam by default": engine.Adam(0.02),
    "AdamW by default": engine.AdamW(0.02),
    "Muon": replace(OPTIMIZERS["Muon"], others=engine.AdamW(0.02, eps=1e-3)),
}
ALL = ON_GRADIENTS | ON_ENTRIES


def rounding_bound(optimizer):
    """What one step can make of gradients that differ by rounding: where they are divided by their size, up to eps."""
    eps = getattr(getattr(optimizer, "others", optimizer), "eps", 1)
    return ROUNDING + 0.02 * 2**-46 / eps


limits = st.sampled_from([0.01, 0.1, 1.0])
clips = st.none() | st.builds(engine.ClipNorm, limits) | st.builds(engine.ClipValue, limits)
seeds = st.integers(0, 2**64 - 1)


@dataclass
class Problem:
    """A network with ties, and how to bring an array of the shape of a parameter back to them."""

    net: engine.Network
    classes: dict  # layer: the label of each unit
    project: object  # name of a parameter, array -> array

    def defect(self):
        """How far the network is from its ties, against the size of its parameters."""
        return max(
            abs(array - self.project(name, array)).max() / max(1.0, abs(array).max())
            for name, array in self.net.parameters.items()
        )


def check_steps(problem, optimizer, *, steps=8, loss="mse", clip=None, seed=0, batch=6):
    """Take steps on data drawn anew for each, as mini-batches are, each from where the ties are exact.

    Returns the largest defect that a step made. On the way, units of one class must have equal activations and equal
    error signals, which is the reason that they stay tied.
    """
    net, worst = problem.net, 0.0
    inputs, outputs = next(iter(net.layers.values())).inputs, list(net.layers.values())[-1].units
    states = {name: optimizer.start(array) for name, array in net.parameters.items()}
    for number in range(steps):
        x, y = random_data(batch, inputs, outputs, loss, seed=seed % 2**32 + number)
        found = engine.gradients(net, x, y, loss=loss)
        if not found.loss < 1e6:
            assert number > 0, "the first loss is out of range: nothing was tested"
            break  # it runs away; what it showed up to here counts
        check_signals(problem, found)
        gradients = found.parameters if clip is None else clip(found.parameters)
        now = optimizer.at(number)
        for name, array in net.parameters.items():
            states[name] = now.step(array, gradients[name], states[name])
        defect = problem.defect()
        assert np.isfinite(defect)
        worst = max(worst, defect - magnified(now, [gradients[name] for name in net.parameters]))
        for name, array in net.parameters.items():
            array[...] = problem.project(name, array)
    return worst


def magnified(optimizer, gradients):
    """What Muon makes of a gradient's rounding: it takes every matrix to one size, also what is zero but for that."""
    if not isinstance(optimizer, engine.Muon):
        return 0.0
    smallest = min(np.linalg.norm(each) for each in gradients if each.ndim == 2)
    return 0.02 * COEFFICIENTS[0] ** ROUNDS / max(smallest, SMALLEST) * 2**-53


def check_signals(problem, found):
    for name, labels in problem.classes.items():
        for what in ("activations", "error_signals"):
            each = getattr(found, what)[name]
            size = max(1.0, abs(each).max())
            for label in np.unique(labels):
                spread = np.ptp(each[:, labels == label], axis=1).max()
                assert spread <= ROUNDING * size, f"{what} of {name} differ by {spread} within class {label}"


# Orbits


def orbit_problem(cycles, inputs, outputs, activation, seed, middle=None):
    """A network that one permutation leaves as it is: it turns each cycle of units of every hidden layer by one.

    `middle` is the weight between two hidden layers of one cycle each, in its order, instead of a random one.
    """
    rng = np.random.default_rng(seed)
    turns, labels = [np.arange(inputs)], []
    for lengths in cycles:
        names = np.arange(sum(lengths))
        if middle is None:
            rng.shuffle(names)  # the units of a cycle need not stand side by side
        turn, label = np.empty(len(names), int), np.empty(len(names), int)
        for number, cycle in enumerate(np.split(names, np.cumsum(lengths)[:-1])):
            turn[cycle], label[cycle] = np.roll(cycle, 1), number
        turns.append(turn)
        labels.append(label)
    turns.append(np.arange(outputs))
    net = random_network([len(turn) for turn in turns], activation, seed=seed % 2**32)
    maps = {}
    for name, (below, above) in zip(net.layers, pairwise(turns), strict=True):
        maps[f"{name}.weight"] = representatives(above, below)
        maps[f"{name}.bias"] = representatives(above, np.zeros(1, int))

    def project(name, array):
        return array.ravel()[maps[name]].reshape(array.shape)

    for name, array in net.parameters.items():
        array[...] = project(name, array) / np.sqrt(array.shape[-1])
    if middle is not None:
        net.parameters["layers.1.weight"][...] = middle
    return Problem(net, dict(zip(net.layers, labels, strict=False)), project)


def representatives(above, below):
    """For each entry of a weight, the first entry that turning both of its axes brings it to."""
    place = np.arange(len(above) * len(below)).reshape(len(above), len(below))
    first = place
    while not np.array_equal(place := place[above][:, below], np.sort(place.ravel()).reshape(place.shape)):
        first = np.minimum(first, place)
    return first.ravel()


@st.composite
def orbits(draw):
    """Lengths of cycles that divide one number, so that turning comes round soon."""
    order = draw(st.sampled_from([2, 3, 4, 6]))
    lengths = st.sampled_from([n for n in range(1, order + 1) if order % n == 0])
    middle = st.lists(lengths, max_size=3).map(lambda rest: [order, *rest])
    return draw(st.lists(middle, min_size=2, max_size=3))


@given(
    name=st.sampled_from([*ALL]),
    cycles=orbits(), inputs=st.integers(1, 3), outputs=st.integers(2, 3), activation=st.sampled_from(SMOOTH),
    loss=st.sampled_from(["mse", "cross_entropy", "logistic"]), clip=clips, seed=seeds,
)  # fmt: skip
def test_orbits_survive_a_step_of_every_optimizer(name, cycles, inputs, outputs, activation, loss, clip, seed):
    problem = orbit_problem(cycles, inputs, outputs, activation, seed)
    assert problem.defect() == 0
    worst = check_steps(problem, ALL[name], steps=4, loss=loss, clip=clip, seed=seed)
    assert worst <= rounding_bound(ALL[name])


@pytest.mark.parametrize("width", AWKWARD)
@pytest.mark.parametrize("name", ALL)
def test_orbits_of_awkward_widths_survive_every_optimizer(name, width):
    problem = orbit_problem([[width], [width]], 5, 3, "tanh", seed=width)
    middle = problem.net.parameters["layers.1.weight"]
    assert len(np.unique(middle)) == width, "the units of a class read the same weights in another order"
    assert check_steps(problem, ALL[name], batch=20, seed=width) <= rounding_bound(ALL[name])


# Equitable classes


def equitable_problem(classes, inputs, outputs, activation, seed, middle=None):
    """A network whose units of one class have equal sums; sums of dyadic numbers, so that at the start they are exact.

    `middle` is the weight between two hidden layers of one class each, instead of a random one.
    """
    rng = np.random.default_rng(seed)
    sizes = [[1] * inputs, *classes, [1] * outputs]
    labels = [np.repeat(np.arange(len(each)), each) for each in sizes]
    layers = []
    for number, (below, above) in enumerate(pairwise(sizes)):
        weight = np.block([[equal_sums(m, n, rng) for n in below] for m in above])
        if middle is not None and number == 1:
            weight = np.array(middle, float)
        bias = np.repeat(rng.integers(-8, 9, len(above)) / 16, above)
        layers.append(engine.Dense(weight, bias, activation if number < len(sizes) - 2 else "identity"))
    net = engine.Network(layers)
    ends = dict(zip(net.layers, pairwise(labels), strict=True))

    def project(name, array):
        below, above = ends[name.rpartition(".")[0]]
        return bring_back(array, above, below) if array.ndim == 2 else bring_back(array[:, None], above, [0])[:, 0]

    return Problem(net, dict(zip(net.layers, labels[1:-1], strict=False)), project)


def equal_sums(rows, columns, rng):
    """A block whose rows have one sum and whose columns have one, though its entries differ."""
    block = np.full((rows, columns), rng.integers(-16, 17) / 16)
    for _ in range(2 * max(rows, columns) if min(rows, columns) > 1 else 0):
        (i, j), (k, m) = rng.choice(rows, 2, replace=False), rng.choice(columns, 2, replace=False)
        change = rng.integers(1, 9) / 16
        block[[i, j], [k, m]] += change
        block[[i, j], [m, k]] -= change
    return block / 2.0 ** np.ceil(np.log2(max(rows, columns)))


def bring_back(array, above, below):
    """The nearest array whose blocks have rows of one sum each, and columns of one sum each."""
    result = array.copy()
    for row in np.unique(above):
        for column in np.unique(below):
            block = np.ix_(above == row, below == column)
            part = array[block]
            rows, columns = part.mean(axis=1, keepdims=True), part.mean(axis=0, keepdims=True)
            result[block] = part - (rows - part.mean()) - (columns - part.mean())
    return result


sizes = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=2), min_size=2, max_size=3)


@given(
    name=st.sampled_from([*ON_GRADIENTS]),
    classes=sizes, inputs=st.integers(1, 3), outputs=st.integers(2, 3), activation=st.sampled_from(SMOOTH),
    loss=st.sampled_from(["mse", "cross_entropy", "logistic"]), clip=clips, seed=seeds,
)  # fmt: skip
def test_equal_sums_survive_a_step_of_what_acts_on_gradients(
    name, classes, inputs, outputs, activation, loss, clip, seed
):
    problem = equitable_problem(classes, inputs, outputs, activation, seed)
    assert problem.defect() <= 1e-15
    worst = check_steps(problem, ON_GRADIENTS[name], steps=4, loss=loss, clip=clip, seed=seed)
    assert worst <= rounding_bound(ON_GRADIENTS[name])


@pytest.mark.parametrize("width", AWKWARD)
@pytest.mark.parametrize("name", ON_GRADIENTS)
def test_equal_sums_of_awkward_widths_survive_what_acts_on_gradients(name, width):
    problem = equitable_problem([[width], [width]], 5, 3, "tanh", seed=width)
    middle = problem.net.parameters["layers.1.weight"]
    assert len({tuple(sorted(row)) for row in middle.tolist()}) > 1, "some rows hold other values, in any order"
    assert check_steps(problem, ON_GRADIENTS[name], batch=20, seed=width) <= rounding_bound(ON_GRADIENTS[name])


CIRCULANT = np.array([[1, 2, 3], [3, 1, 2], [2, 3, 1]])
EQUITABLE = np.array([[0, 2, 4], [3, 2, 1], [3, 2, 1]])


@pytest.mark.parametrize("name", ON_ENTRIES)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu"])
def test_a_circulant_weight_stays_under_what_acts_on_entries_and_one_of_equal_sums_goes(name, activation):
    stays = orbit_problem([[3], [3]], 2, 2, activation, 1, CIRCULANT / 4)
    goes = equitable_problem([[3], [3]], 2, 2, activation, 1, EQUITABLE / 4)
    for problem in (stays, goes):
        assert problem.defect() == 0
        assert check_steps(problem, OPTIMIZERS["Adam"], steps=1) <= ROUNDING
    assert check_steps(stays, ON_ENTRIES[name]) <= ROUNDING
    assert check_steps(goes, ON_ENTRIES[name]) > 1e-5


def test_units_of_equal_sums_become_different_under_adam_with_l2_alone():
    """The same run, left to itself: after it the units of a class are far apart, or as near as at the start."""
    x, y = random_data(20, 2, 2, "mse", seed=3)
    spreads = {}
    for name in ("Adam", "AdamW", "Adam with L2"):
        problem = equitable_problem([[3], [3]], 2, 2, "tanh", 1, EQUITABLE / 4)
        engine.train(problem.net, x, y, optimizer=OPTIMIZERS[name], steps=60)
        seen = engine.gradients(problem.net, x, y).activations
        spreads[name] = max(np.ptp(seen[layer], axis=1).max() for layer in problem.classes)
    assert spreads["Adam with L2"] > 1e-3
    assert max(spreads["Adam"], spreads["AdamW"]) < 1e-9


@pytest.mark.parametrize(("optimizer", "middle"), [("SGD with decay", CIRCULANT), ("Nesterov", EQUITABLE)])
def test_equal_sums_hold_without_rounding_for_a_thousand_steps(optimizer, middle):
    arrays = [(np.full((3, 2), [1, 2]), [1, 1, 1]), (middle, [2, 2, 2]), ([[5, 5, 5]], [1])]
    net = network(arrays, "residues")
    classes = {"layers.0": np.zeros(3, int), "layers.1": np.zeros(3, int)}
    check_equitable(net, classes, [[1, 2], [3, -1]], [1, 4], POLYNOMIAL[optimizer], 1000)


# Exchange: where the values are literally equal, to the bit; several classes a layer, noise of the data, and clipping.


@pytest.mark.parametrize("width", AWKWARD)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_classes_of_equal_units_stay_tied_to_the_bit_under_noise_that_all_units_share(name, width):
    rng = np.random.default_rng(width)
    labels = [np.arange(4), rng.integers(3, size=width), rng.integers(5, size=width), np.arange(2)]
    layers = []
    for number, (below, above) in enumerate(pairwise(labels)):
        table = rng.normal(size=(above.max() + 1, below.max() + 1)) / np.sqrt(len(below))
        layers.append(
            engine.Dense(table[above][:, below], rng.normal(size=5)[above], "identity" if number > 1 else "tanh")
        )
    net = engine.Network(layers)
    x, y = random_data(32, 4, 2, "mse", seed=width)
    schedule = engine.LinearWarmup(engine.StepDecay(0.02, every=3, factor=0.7), steps=4)
    steps = check_run(
        net, x, y, dict(zip(net.layers, labels[1:-1], strict=False)), batch_size=5, rng=width, steps=15,
        optimizer=replace(OPTIMIZERS[name], learning_rate=schedule), clip=engine.ClipValue(0.1),
    )  # fmt: skip
    assert steps == 15


# L-BFGS


@pytest.mark.parametrize("width", [3, 17, 33])
def test_orbits_survive_lbfgs_up_to_rounding(width):
    problem = orbit_problem([[width], [width]], 5, 3, "tanh", seed=width)
    x, y = random_data(40, 5, 3, "mse", seed=width)
    before = problem.net.parameters["layers.1.weight"].copy()
    fit(problem.net, x, y, 4)
    assert problem.defect() <= 1e-11
    assert abs(problem.net.parameters["layers.1.weight"] - before).max() > 1e-3


@pytest.mark.parametrize("width", [2, *AWKWARD])
def test_a_random_start_is_untied_after_lbfgs(width):
    net = engine.mlp([3, width, 2], init=sb.HeNormal(), rng=width)
    x, y = random_data(30, 3, 2, "mse", seed=width)
    fit(net, x, y, 30)
    assert tied_units(net) == {name: 0 for name, _ in hidden_layers(net)}


# No hidden layer: the loss is convex in the weights. `tests.test_headline` holds the losses of all starts to the least
# there is; here the weights are compared: where they are unique, where they are not, and where none are best.


def descend(x, t, start, *, steps, loss="mse", slow=1.0, optimizer=None):
    """The parameters, inputs by outputs with the bias below, that the full gradient reaches in steps of slow / L.

    L bounds the curvature of the loss: 2 / outputs times the largest eigenvalue of the mean of a a^T for squares, and a
    quarter of it for one logistic output, where a is a row of x with 1 beside it.
    """
    a = with_ones(x)
    factor = {"mse": 2 / t.shape[1], "logistic": 1 / 4}[loss]
    rate = slow / (factor * np.linalg.eigvalsh(a.T @ a / len(a))[-1])
    net = engine.Network([engine.Dense(np.ascontiguousarray(start[:-1].T), start[-1].copy())])
    if optimizer is None:
        history = engine.train(net, x, t, optimizer=engine.SGD(rate), steps=steps, loss=loss)
    else:
        history = fit(net, x, t, steps, optimizer=optimizer, loss=loss)
    end = np.concatenate([net.parameters["layers.0.weight"].T, net.parameters["layers.0.bias"][None]])
    return end, history.losses, engine.gradients(net, x, t, loss=loss).loss, rate


def with_ones(x):
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def starts(rows, columns, seed):
    return np.full((rows, columns), 0.5), 3 * np.random.default_rng(seed).normal(size=(rows, columns))


@given(inputs=st.integers(1, 4), outputs=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_where_the_least_squares_are_unique_a_constant_and_a_random_start_reach_the_same_weights(inputs, outputs, seed):
    x, t = well_conditioned(20, inputs, seed), np.random.default_rng(seed).normal(size=(20, outputs))
    best = np.linalg.lstsq(with_ones(x), t, rcond=None)[0]
    for start in starts(inputs + 1, outputs, seed):
        np.testing.assert_allclose(descend(x, t, start, steps=120)[0], best, atol=1e-11)
    by_lbfgs = descend(x, t, start, steps=50, optimizer=engine.LBFGS(tolerance=1e-10))[0]
    np.testing.assert_allclose(by_lbfgs, best, atol=1e-8)


@given(inputs=st.integers(1, 3), outputs=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_where_they_are_not_unique_the_loss_is_the_same_and_the_weights_keep_what_the_data_does_not_see(
    inputs, outputs, seed
):
    x = np.repeat(well_conditioned(20, inputs, seed), 2, axis=1)  # every input twice: only sums of weights are seen
    t = np.random.default_rng(seed).normal(size=(20, outputs))
    a = with_ones(x)
    solution = np.linalg.lstsq(a, t, rcond=None)[0]
    least = ((a @ solution - t) ** 2).mean()
    unseen = np.eye(2 * inputs + 1) - np.linalg.pinv(a) @ a
    first = starts(2 * inputs + 1, outputs, seed)
    ends = []
    for start in first:
        end, _, loss, _ = descend(x, t, start, steps=120)
        assert abs(loss - least) <= 1e-12
        np.testing.assert_allclose(end, solution + unseen @ start, atol=1e-10)
        ends.append(end)
    assert abs(ends[0] - ends[1]).max() >= 0.9 * abs(unseen @ (first[0] - first[1])).max() > 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_where_no_weights_are_best_both_starts_near_the_infimum_and_the_weights_never_settle(seed):
    """Of classes that a line separates the logistic loss has the infimum zero, at infinity.

    Descent with steps of 1 / L has f(end) <= f(u) + |start - u|^2 L / (2 steps) for every u (Beck, Teboulle. "A fast
    iterative shrinkage-thresholding algorithm". 2009, theorem 3.1).
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, 2))
    side = x @ [1.0, -2.0] + 0.3
    x += np.sign(side)[:, None] * [0.2, -0.4]  # a gap between the two
    t = (side[:, None] > 0).astype(float)
    line = np.array([[1.0], [-2.0], [0.3]])
    for start in starts(3, 1, seed):
        ends = [descend(x, t, start, steps=steps, loss="logistic") for steps in (200, 1600)]
        for steps, (_, losses, loss, rate) in zip((200, 1600), ends, strict=True):
            assert (np.diff(losses) < 0).all()
            bounds = [
                np.logaddexp(0, -(with_ones(x) @ u) * (2 * t - 1)).mean()
                + ((start - u) ** 2).sum() / (2 * rate * steps)
                for u in (scale * line for scale in np.geomspace(0.1, 100, 60))
            ]
            assert 0 < loss <= min(bounds)
        assert ends[1][2] < ends[0][2] / 2
        assert np.linalg.norm(ends[1][0]) > 1.1 * np.linalg.norm(ends[0][0])


def test_a_step_that_is_too_large_goes_up():
    x, t = well_conditioned(20, 3, 0), np.random.default_rng(0).normal(size=(20, 1))
    for start in starts(4, 1, 0):
        _, losses, loss, _ = descend(x, t, start, steps=50, slow=2.2)
        assert loss > losses[0]
        _, losses, loss, _ = descend(x, t, start, steps=50, slow=1.8)
        assert loss < losses[0]
