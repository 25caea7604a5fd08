"""Tied units stay tied at every step, random ones never are, and without hidden units the start doesn't matter."""

import contextlib
import functools
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.engine import _activations, _losses, _products
from tests.engine._networks import random_data, random_network
from tests.engine._optimizers import OPTIMIZERS
from tests.engine._tied import check_run, differences, hidden_layers, one_class_a_layer, tied_units

AWKWARD = [17, 33, 65, 100]  # widths at which BLAS rounds the units at the edge of its tiles otherwise
ACTIVATIONS = sorted(_activations.ACTIVATIONS)
LOSSES = sorted(_losses.LOSSES)
BREAKING = [
    sb.HeNormal(), sb.HeUniform(), sb.HeTruncatedNormal(),
    sb.GlorotNormal(), sb.GlorotUniform(), sb.GlorotTruncatedNormal(),
    sb.LecunNormal(), sb.LecunUniform(), sb.LecunTruncatedNormal(),
    sb.Normal(), sb.Normal(0.01), sb.Uniform(), sb.TruncatedNormal(0.1), sb.VarianceScaling(), sb.Orthogonal(),
]  # fmt: skip

rates = st.sampled_from([0.001, 0.01, 0.1]) | st.builds(
    engine.LinearWarmup,
    st.builds(engine.CosineDecay, st.just(0.1), steps=st.integers(1, 40))
    | st.builds(engine.StepDecay, st.just(0.1), every=st.integers(1, 5)),
    steps=st.integers(1, 5),
)
optimizers = st.one_of(
    st.builds(engine.SGD, rates | st.sampled_from([1.0, 3.0])),
    *(st.builds(replace, st.just(optimizer), learning_rate=rates) for optimizer in OPTIMIZERS.values()),
    *(st.builds(type(optimizer), rates) for optimizer in OPTIMIZERS.values()),
)
limits = st.sampled_from([0.01, 0.1, 1.0])
clips = st.none() | st.builds(engine.ClipNorm, limits) | st.builds(engine.ClipValue, limits)
widths = st.integers(1, 8) | st.sampled_from(AWKWARD)
hidden = st.sampled_from([1, 2, 3, 4]).flatmap(lambda depth: st.lists(widths, min_size=depth, max_size=depth))
keys = st.integers(0, 2**64 - 1)


@st.composite
def problems(draw):
    """Sizes, data and settings of a run."""
    loss = draw(st.sampled_from(LOSSES))
    build = {
        "activation": draw(st.sampled_from(ACTIVATIONS)),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
    }
    depth = 2 if build == {"activation": "square", "dtype": "float32"} else 4  # squares of squares soon overflow
    sizes = [draw(st.integers(1, 21)), *draw(hidden)[:depth], draw(st.integers(2 if loss == "cross_entropy" else 1, 4))]
    x, y = random_data(draw(st.integers(1, 20) | st.just(64)), sizes[0], sizes[-1], loss, seed=draw(keys))
    settings = {
        "loss": loss,
        "steps": draw(st.integers(1, 30)),
        "optimizer": draw(optimizers),
        "clip": draw(clips),
        "batch_size": draw(st.none() | st.integers(1, len(x))),
        "rng": draw(keys),
    }
    return sizes, x, y, settings, build


values = st.sampled_from([0.0, 0.5, -0.5, 1.0, 0.1, 1e-3]) | st.floats(-1, 1, width=32)


@given(problem=problems(), value=values, bias=st.none() | values)
def test_a_constant_start_keeps_all_units_of_a_layer_tied_at_every_step(problem, value, bias):
    sizes, x, y, settings, build = problem
    bias_init = None if bias is None else sb.Constant(bias)
    net = engine.mlp(sizes, init=sb.Constant(value), bias_init=bias_init, rng=0, **build)
    check_run(net, x, y, one_class_a_layer(net), **settings)


@pytest.mark.parametrize("width", AWKWARD)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_constant_start_stays_tied_for_hundreds_of_steps_at_awkward_widths(width, dtype, activation):
    x, y = random_data(64, 20, 3, "mse", seed=width)
    net = engine.mlp([20, width, 3], activation=activation, init=sb.Constant(0.01), rng=0, dtype=dtype)
    steps = check_run(net, x, y, one_class_a_layer(net), optimizer=engine.SGD(0.01), steps=200)
    assert steps == 200


@pytest.mark.parametrize("width", AWKWARD)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_constant_start_stays_tied_under_every_optimizer_at_awkward_widths(width, dtype, optimizer):
    x, y = random_data(64, 20, 3, "mse", seed=width)
    net = engine.mlp([20, width, 5, 3], init=sb.Constant(0.1), rng=0, dtype=dtype)
    schedule = engine.LinearWarmup(engine.CosineDecay(0.03, steps=60), steps=10)
    optimizer = replace(OPTIMIZERS[optimizer], learning_rate=schedule)
    assert check_run(net, x, y, one_class_a_layer(net), optimizer=optimizer, steps=60, clip=engine.ClipNorm(1)) == 60


@given(problem=problems(), seed=keys, kinds=st.integers(1, 3))
def test_units_that_read_hold_and_write_the_same_stay_tied_at_every_step(problem, seed, kinds):
    sizes, x, y, settings, build = problem
    net, classes = tied_network(sizes, kinds, seed, **build)
    check_run(net, x, y, classes, **settings)


def tied_network(sizes, kinds, seed, activation, dtype, product="tie_preserving"):
    """A network with up to `kinds` random classes in each hidden layer, whose units are equal slice by slice."""
    rng = np.random.default_rng(seed)
    labels = [np.arange(sizes[0]), *(rng.integers(kinds, size=n) for n in sizes[1:-1]), np.arange(sizes[-1])]
    layers = []
    for number, (below, above) in enumerate(pairwise(labels)):
        table = rng.normal(size=(above.max() + 1, below.max() + 1)) / np.sqrt(len(below))
        bias = rng.normal(size=above.max() + 1)
        function = activation if number < len(sizes) - 2 else "identity"
        layers.append(engine.Dense(table[above][:, below].astype(dtype), bias[above].astype(dtype), function))
    net = engine.Network(layers, product=product)
    return net, dict(zip(net.layers, labels[1:-1], strict=False))


@given(problem=problems(), init=st.sampled_from(BREAKING), key=keys)
def test_a_random_start_never_ties_two_units_at_any_step(problem, init, key):
    sizes, x, y, settings, build = problem
    net = engine.mlp(sizes, init=init, rng=key, **build)
    check_untied(net, x, y, **settings)


def check_untied(net, x, y, **settings):
    """Train, and assert that no two units are tied at the start or at any step that leaves the weights finite."""
    assert not any(tied_units(net).values()), f"units are tied at the start: {tied_units(net)}"

    steps = 0

    def check(step):
        nonlocal steps
        steps += 1
        if all(np.isfinite(array).all() for array in net.parameters.values()):
            assert not any(tied_units(net).values()), f"units are tied at step {step.number}: {tied_units(net)}"

    with contextlib.suppress(engine.Diverged):
        engine.train(net, x, y, callback=check, **settings)
    assert steps > 0, "the first loss is not finite: nothing was tested"


@pytest.mark.parametrize("init", BREAKING, ids=repr)
def test_a_random_start_is_still_untied_after_hundreds_of_steps_with_dead_relus(init):
    """A relu unit that is never active has no gradient and keeps its weights: blocked, but tied to none."""
    x, y = random_data(16, 3, 2, "mse", seed=1)
    net = engine.mlp([3, 30, 2], activation="relu", init=init, bias_init=sb.Uniform(-6, 0), rng=3)
    dead = (engine.gradients(net, x, y).activations["layers.0"] == 0).all(axis=0)
    assert dead.any()
    check_untied(net, x, y, optimizer=engine.SGD(0.01), steps=300)


# No hidden layer: the loss is convex in the weights, and every start reaches the same infimum.


bias_starts = st.builds(sb.Constant, values) | st.just(sb.Zeros()) | st.just(sb.Normal(3.0))
starts = bias_starts | st.just(sb.HeNormal())


def well_conditioned(rows, columns, seed):
    """Inputs whose columns, with one of ones beside them, are orthogonal, and of root mean square 0.7 to 1.4."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(np.concatenate([np.ones((rows, 1)), rng.normal(size=(rows, columns))], axis=1))[0][:, 1:]
    return basis * np.sqrt(rows) * rng.uniform(0.7, 1.4, size=columns)


@given(inputs=st.integers(1, 5), outputs=st.integers(1, 4), seed=keys, init=starts, bias=bias_starts)
def test_without_hidden_units_every_start_reaches_the_least_squares(inputs, outputs, seed, init, bias):
    x = well_conditioned(30, inputs, seed)
    t = np.random.default_rng(seed).normal(size=(30, outputs))
    check_least_squares(x, t, init=init, bias_init=bias, rng=seed)


def check_least_squares(x, t, steps=200, slow=1.0, **start):
    """Train a network without hidden units; its loss must be the least there is, as `numpy.linalg.lstsq` finds it.

    A step of 1 / L, where L is the largest eigenvalue of the Hessian and m the smallest, leaves at most (1 - m / L)^2
    of the excess over the minimum.
    """
    a = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    solution = np.linalg.lstsq(a, t, rcond=None)[0]
    least = ((a @ solution - t) ** 2).mean()
    curvature = np.linalg.eigvalsh(2 * a.T @ a / t.size)
    net = engine.mlp([x.shape[1], t.shape[1]], **start)
    first = engine.gradients(net, x, t).loss
    engine.train(net, x, t, optimizer=engine.SGD(slow / curvature[-1]), steps=steps)
    last = engine.gradients(net, x, t).loss
    bound = (first - least) * (1 - curvature[0] / curvature[-1]) ** (2 * steps)
    rounding = 1e-13 * (least + (t**2).mean())
    assert -rounding <= last - least <= bound + rounding, f"loss {last}, least possible {least}, from {first}"


@given(inputs=st.integers(1, 3), classes=st.integers(2, 4), seed=keys, init=starts, bias=bias_starts)
def test_without_hidden_units_every_start_reaches_the_least_cross_entropy(inputs, classes, seed, init, bias):
    x, labels = overlapping_classes(inputs, classes, seed)
    check_least_cross_entropy(x, labels, classes, init=init, bias_init=bias, rng=seed)


def overlapping_classes(inputs, classes, seed):
    """Data in which every input comes with every label, so that the least loss is attained."""
    rng = np.random.default_rng(seed)
    x = well_conditioned(8, inputs, seed)
    labels = np.concatenate([np.repeat(np.arange(classes), 8), rng.integers(classes, size=8)])
    return np.tile(x, (classes + 1, 1)), labels


def check_least_cross_entropy(x, labels, classes, steps=400, slow=1.0, **start):
    """Train a network without hidden units; its loss must be the least that `scipy.optimize` finds."""
    a = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    wanted = np.eye(classes)[labels]

    def objective(flat):
        y = a @ flat.reshape(-1, classes)
        p = np.exp(y - scipy.special.logsumexp(y, axis=1, keepdims=True))
        loss = (scipy.special.logsumexp(y, axis=1) - (y * wanted).sum(axis=1)).mean()
        return loss, (a.T @ (p - wanted) / len(a)).ravel()

    least = scipy.optimize.minimize(objective, np.zeros(a.shape[1] * classes), jac=True, method="BFGS", tol=1e-9).fun
    largest = np.linalg.eigvalsh(a.T @ a / len(a))[-1] / 2  # softmax has curvature of at most 1/2 (Boehning 1992)
    net = engine.mlp([x.shape[1], classes], **start)
    engine.train(net, x, labels, optimizer=engine.SGD(slow / largest), steps=steps, loss="cross_entropy")
    last = engine.gradients(net, x, labels, loss="cross_entropy").loss
    assert abs(last - least) <= 1e-9, f"loss {last}, least possible {least}"


def test_with_hidden_units_the_start_matters():
    """The same check would fail for a hidden layer: a constant start ends higher than a random one."""
    x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0.0, 1, 1, 0])
    ends = {}
    for name, init in {"constant": sb.Constant(0.5), "random": sb.HeNormal()}.items():
        net = engine.mlp([2, 8, 1], init=init, rng=0)
        ends[name] = engine.train(net, x, y, optimizer=engine.SGD(0.2), steps=4000).losses[-1]
    assert ends["random"] < 1e-3
    assert ends["constant"] > 0.1


# BLAS breaks ties: the tie-preserving product is needed.


@functools.cache
def width_where_blas_breaks_ties():
    """The least width at which a run through BLAS separates tied units on this machine, or None."""
    for width in (*range(2, 35), 65, 100):
        net, x, y = constant_start(width, "blas")
        for _ in range(5):
            found = engine.gradients(net, x, y)
            if differences(net, one_class_a_layer(net), found):
                return width
            for name, array in net.parameters.items():
                array -= 0.1 * found[name]
    return None


def constant_start(width, product="tie_preserving"):
    net = engine.mlp([20, width, 3], init=sb.Constant(0.05), rng=0, product=product)
    return net, *random_data(64, 20, 3, "mse", seed=0)


def test_blas_breaks_ties_at_some_width_where_the_tie_preserving_product_does_not():
    width = width_where_blas_breaks_ties()
    if width is None:
        pytest.skip("this machine's BLAS keeps the ties of every width tried: 2 to 34, 65 and 100")
    net, x, y = constant_start(width, "blas")
    with pytest.raises(AssertionError, match="units of one class differ in"):
        check_run(net, x, y, one_class_a_layer(net), optimizer=engine.SGD(0.1), steps=5)
    net, x, y = constant_start(width)
    assert check_run(net, x, y, one_class_a_layer(net), optimizer=engine.SGD(0.1), steps=5) == 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_muon_through_blas_breaks_ties_that_the_network_keeps(dtype):
    def steps(width, product):
        net = engine.mlp([20, width, 3], init=sb.Constant(0.05), rng=0, dtype=dtype)
        x, y = random_data(64, 20, 3, "mse", seed=0)
        return check_run(net, x, y, one_class_a_layer(net), optimizer=engine.Muon(0.01, product=product), steps=5)

    for width in range(2, 35):
        try:
            steps(width, "blas")
        except AssertionError as error:
            assert "units of one class differ in" in str(error)  # noqa: PT017 - the widths before it do not fail
            assert steps(width, "tie_preserving") == 5
            return
    pytest.skip("this machine's BLAS keeps the ties of every width tried: 2 to 34")


# Engines that are wrong by a single rounding: the checks above must see each of them.


def last_backwards(a, b):
    """The inner products, those of the last row of b added up from the other end."""
    products = _products.tie_preserving(a, b)
    products[:, -1:] = _products.tie_preserving(a[:, ::-1], b[-1:, ::-1])
    return products


def last_row_pairwise(a, b):
    """The inner products, those of the last row of a with NumPy's pairwise sum: seen in weight gradients alone."""
    products = _products.tie_preserving(a, b)
    products[-1:] = (a[-1:, np.newaxis] * b).sum(axis=-1)
    return products


@pytest.mark.parametrize("mutant", [last_backwards, last_row_pairwise])
@pytest.mark.parametrize("width", [4, 17])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_that_sums_one_unit_in_another_order_is_seen(mutant, width, dtype, monkeypatch):
    monkeypatch.setitem(_products.PRODUCTS, "mutant", mutant)
    net = engine.mlp([20, width, 3], init=sb.Constant(0.05), rng=0, dtype=dtype, product="mutant")
    x, y = random_data(64, 20, 3, "mse", seed=0)
    with pytest.raises(AssertionError, match=r"at step \d units of one class differ in"):
        check_run(net, x, y, one_class_a_layer(net), optimizer=engine.SGD(0.1), steps=9)


@pytest.mark.parametrize(
    ("name", "index", "what"),
    [
        ("layers.0.weight", (2, 1), "incoming weights of layers.0"),
        ("layers.0.bias", (4,), "bias of layers.0"),
        ("layers.1.weight", (2, 3), "outgoing weights of layers.0"),
        ("layers.1.bias", (0,), "bias of layers.1"),
        ("layers.2.weight", (0, 4), "outgoing weights of layers.1"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_unit_that_is_off_by_one_place_is_seen(name, index, what, dtype):
    net = engine.mlp([3, 5, 5, 2], init=sb.Constant(0.5), bias_init=sb.Constant(0.1), rng=0, dtype=dtype)
    assert differences(net, one_class_a_layer(net)) == []
    array = net.parameters[name]
    array[index] = np.nextafter(array[index], array.dtype.type(1))
    assert what in differences(net, one_class_a_layer(net))
    x, y = random_data(4, 3, 2, "mse")
    with pytest.raises(AssertionError, match=f"at the start units of one class differ in: .*{what}"):
        check_run(net, x, y, one_class_a_layer(net), optimizer=engine.SGD(0.1), steps=1)


@pytest.mark.parametrize("part", ["activations", "error_signals", "parameters"])
def test_a_signal_that_is_off_by_one_place_is_seen(part):
    net = engine.mlp([3, 5, 2], init=sb.Constant(0.5), rng=0)
    x, y = random_data(4, 3, 2, "mse")
    found = engine.gradients(net, x, y)
    assert differences(net, one_class_a_layer(net), found) == []
    for array in getattr(found, part).values():
        array[..., -1] = np.nextafter(array[..., -1], np.inf)
    said = {"parameters": "gradient of the outgoing weights"}.get(part, part.replace("_", " "))
    assert f"{said} of layers.0" in differences(net, one_class_a_layer(net), found)


def test_an_optimizer_that_favours_one_unit_is_seen():
    class Favour(engine.AbstractOptimizer):
        def start(self, parameter):
            return None

        def step(self, parameter, gradient, state):
            parameter -= 0.1 * gradient
            parameter[-1] -= 1e-15 * gradient[-1]

    net, x, y = constant_start(5)
    with pytest.raises(AssertionError, match=r"at step 0 units of one class differ in: incoming weights of layers.0"):
        check_run(net, x, y, one_class_a_layer(net), optimizer=Favour(), steps=3)


def test_classes_that_are_not_tied_are_seen():
    net, classes = tied_network([4, 8, 8, 2], 2, seed=1, activation="tanh", dtype="float64")
    assert all(len(set(labels)) == 2 for labels in classes.values())
    x, y = random_data(6, 4, 2, "mse")
    found = engine.gradients(net, x, y)
    assert differences(net, classes, found) == []
    seen = differences(net, one_class_a_layer(net), found)
    parts = ["incoming weights", "bias", "outgoing weights", "activations", "error signals"]
    assert {f"{part} of {name}" for part in parts for name in classes} <= set(seen)


@pytest.mark.parametrize("bias", [True, False])
def test_a_pair_of_equal_units_is_counted(bias):
    net = random_network([3, 6, 4, 2], seed=1, bias=bias)
    assert tied_units(net) == {"layers.0": 0, "layers.1": 0}
    for name, above in hidden_layers(net)[:1]:
        for array in (net.parameters[f"{name}.weight"], net.parameters[f"{above}.weight"].T):
            array[5] = array[1]
        if bias:
            assert tied_units(net)["layers.0"] == 0, "the bias still tells the two apart"
            net.parameters[f"{name}.bias"][[1, 5]] = [0.0, -0.0]
    assert tied_units(net) == {"layers.0": 1, "layers.1": 0}
    x, y = random_data(4, 3, 2, "mse")
    with pytest.raises(AssertionError, match=r"units are tied at the start: {'layers.0': 1, 'layers.1': 0}"):
        check_untied(net, x, y, optimizer=engine.SGD(0.1), steps=1)


def test_a_step_that_ties_two_units_is_seen():
    class Tie(engine.AbstractOptimizer):
        def start(self, parameter):
            return None

        def step(self, parameter, gradient, state):
            parameter[...] = 0.5

    net = random_network([3, 4, 2])
    x, y = random_data(4, 3, 2, "mse")
    with pytest.raises(AssertionError, match=r"units are tied at step 0: {'layers.0': 6}"):
        check_untied(net, x, y, optimizer=Tie(), steps=1)


def test_a_run_that_stops_short_of_the_least_loss_is_seen():
    x, t = well_conditioned(30, 3, 0), np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(AssertionError, match="least possible"):
        check_least_squares(x, t, slow=0.001, init=sb.Constant(0.5))
    x, labels = overlapping_classes(2, 3, 0)
    with pytest.raises(AssertionError, match="least possible"):
        check_least_cross_entropy(x, labels, 3, slow=0.001, init=sb.Constant(0.5))


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_a_loss_whose_gradient_is_not_its_own_is_seen(loss, monkeypatch):
    from symbreak.engine._losses import LOSSES as ROWS

    right = ROWS[loss]

    def wrong(y, t):
        value, gradient = right.both(y, t)
        return value, gradient + 0.01 * y / y.size

    monkeypatch.setitem(ROWS, loss, right._replace(both=wrong))
    check, data = {
        "mse": (check_least_squares, (well_conditioned(30, 3, 0), np.eye(30, 1))),
        "cross_entropy": (check_least_cross_entropy, (*overlapping_classes(2, 3, 0), 3)),
    }[loss]
    with pytest.raises(AssertionError, match="least possible"):
        check(*data, init=sb.Constant(0.5))
