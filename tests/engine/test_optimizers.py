"""Every optimizer is the one of its paper and that of torch, starts from zero, and treats all units alike."""

import inspect
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._muon import orthogonalise
from symbreak.engine._products import PRODUCTS
from symbreak.errors import UnknownName
from tests.engine._networks import random_data, random_network
from tests.engine._optimizers import OPTIMIZERS

STEPS = 12


# The formulas of the papers, one entry at a time, in Python's floats.


def sgd(o, w, gradients):
    for g in gradients:
        w -= o.learning_rate * (g + o.weight_decay * w)
        yield w


def momentum(o, w, gradients):
    v = 0.0
    for g in gradients:
        v = o.momentum * v + g + o.weight_decay * w
        w = w - o.learning_rate * v
        yield w


def nesterov(o, w, gradients):
    """In Nesterov's own two sequences (Sutskever et al. 2013): the gradient is that at theta + momentum * v."""
    v, theta = 0.0, w
    for g in gradients:
        ahead = theta + o.momentum * v
        v = o.momentum * v - o.learning_rate * (g + o.weight_decay * ahead)
        theta = theta + v
        yield theta + o.momentum * v


def rmsprop(o, w, gradients):
    mean = 0.0
    for g in gradients:
        mean = o.decay * mean + (1 - o.decay) * g**2
        w = w - o.learning_rate * g / (math.sqrt(mean) + o.eps)
        yield w


def adam(o, w, gradients):
    """With the running means written out as the sums that they are."""
    seen = []
    for g in gradients:
        seen.append(g + o.weight_decay * w)
        t = len(seen)
        m = (1 - o.beta1) * sum(o.beta1 ** (t - 1 - i) * seen[i] for i in range(t)) / (1 - o.beta1**t)
        v = (1 - o.beta2) * sum(o.beta2 ** (t - 1 - i) * seen[i] ** 2 for i in range(t)) / (1 - o.beta2**t)
        w = w - o.learning_rate * m / (math.sqrt(v) + o.eps)
        yield w


def adamw(o, w, gradients):
    """Adam's steps do not depend on the weight, so that they can be taken from a weight that is not decayed."""
    path = [w, *adam(replace(o, weight_decay=0.0), w, gradients)]
    for before, after in pairwise(path):
        w = w * (1 - o.learning_rate * o.weight_decay) + (after - before)
        yield w


BY_HAND = {
    "SGD": sgd, "Momentum": momentum, "Nesterov": nesterov, "RMSProp": rmsprop, "Adam": adam, "Adam with L2": adam,
    "AdamW": adamw,
}  # fmt: skip


def muon(o, w, gradients):
    """The whole matrix, through its singular values."""
    m, n = w.shape
    for t in range(len(gradients)):
        b = sum(o.momentum ** (t - i) * gradients[i] for i in range(t + 1))
        left, s, right = np.linalg.svd(gradients[t] + o.momentum * b, full_matrices=False)
        s = s / math.sqrt((s**2).sum())
        for _ in range(5):
            s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
        direction = left @ np.diag(s) @ right
        w = (1 - o.learning_rate * o.weight_decay) * w - o.learning_rate * math.sqrt(max(1, m / n)) * direction
        yield w


def run(optimizer, w, gradients):
    """The parameter after each step."""
    w = w.copy()
    state = optimizer.start(w)
    for g in gradients:
        state = optimizer.step(w, g, state)
        yield w.copy()


def random_run(shape, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape).astype(dtype), rng.normal(size=(STEPS, *shape)).astype(dtype)


def test_every_optimizer_is_tested():
    public = [value for value in vars(engine).values() if inspect.isclass(value)]
    kinds = {each for each in public if issubclass(each, engine.AbstractOptimizer) and not inspect.isabstract(each)}
    assert {type(optimizer) for optimizer in OPTIMIZERS.values()} == kinds
    assert {*BY_HAND, "Muon"} == OPTIMIZERS.keys()


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("shape", [(3, 4), (5,)])
def test_it_is_the_one_of_its_paper(name, shape):
    optimizer = OPTIMIZERS[name]
    w, gradients = random_run(shape)
    found = np.array(list(run(optimizer, w, gradients)))
    for index in np.ndindex(shape):
        entry = (slice(None), *index)
        expected = list(BY_HAND[name](optimizer, float(w[index]), gradients[entry].tolist()))
        np.testing.assert_allclose(found[entry], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (1, 5), (5, 1), (1, 1)])
def test_muon_is_the_one_of_its_paper(shape, product):
    optimizer = replace(OPTIMIZERS["Muon"], product=product)
    w, gradients = random_run(shape)
    found = list(run(optimizer, w, gradients))
    np.testing.assert_allclose(found, list(muon(optimizer, w, gradients)), rtol=1e-10, atol=1e-11)


def test_muon_hands_what_is_no_matrix_to_another():
    optimizer = OPTIMIZERS["Muon"]
    w, gradients = random_run((5,))
    np.testing.assert_array_equal(list(run(optimizer, w, gradients)), list(run(optimizer.others, w, gradients)))


@given(rows=st.integers(1, 8), columns=st.integers(1, 8), seed=st.integers(0, 2**32))
def test_newton_schulz_takes_singular_values_near_one(rows, columns, seed):
    matrix = np.random.default_rng(seed).normal(size=(rows, columns))
    before = np.linalg.svd(matrix, compute_uv=False)
    after = np.linalg.svd(orthogonalise(matrix, PRODUCTS["tie_preserving"]), compute_uv=False)
    large = before / np.linalg.norm(before) > 0.01
    assert after[: large.sum()].min() > 0.6
    assert after.max() < 1.25


def test_newton_schulz_leaves_zero():
    np.testing.assert_array_equal(orthogonalise(np.zeros((2, 3)), PRODUCTS["tie_preserving"]), 0)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_it_is_that_of_torch(name, shape, monkeypatch):
    torch = pytest.importorskip("torch")
    o = OPTIMIZERS[name]
    w, gradients = random_run(shape, seed=1)
    tensor = torch.nn.Parameter(torch.tensor(w))
    theirs = {
        "SGD": lambda: torch.optim.SGD([tensor], lr=0.1, weight_decay=0.2),
        "Momentum": lambda: torch.optim.SGD([tensor], lr=0.1, momentum=0.7, weight_decay=0.2),
        "Nesterov": lambda: torch.optim.SGD([tensor], lr=0.1, momentum=0.7, weight_decay=0.2, nesterov=True),
        "RMSProp": lambda: torch.optim.RMSprop([tensor], lr=0.02, alpha=0.8, eps=1e-3),
        "Adam": lambda: torch.optim.Adam([tensor], lr=0.02, betas=(0.8, 0.95), eps=1e-3),
        "Adam with L2": lambda: torch.optim.Adam([tensor], lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
        "AdamW": lambda: torch.optim.AdamW([tensor], lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
        "Muon": lambda: torch.optim.Muon([tensor], lr=0.02, momentum=0.8, weight_decay=0.2),
    }
    if name == "Muon":
        if not hasattr(torch.optim, "Muon"):
            pytest.skip("this version of torch has no Muon")
        monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # torch rounds to it; the formulas do not
    optimizer = theirs[name]()
    for g, ours in zip(gradients, run(o, w, gradients), strict=True):
        tensor.grad = torch.tensor(g)
        optimizer.step()
        np.testing.assert_allclose(ours, tensor.detach().numpy(), rtol=1e-10, atol=1e-11)


def arrays_of(state):
    if isinstance(state, np.ndarray):
        return [state]
    return [array for part in state for array in arrays_of(part)] if isinstance(state, tuple) else []


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 4), (4,)])
def test_its_state_starts_at_zero_and_keeps_the_dtype(name, dtype, shape):
    w, gradients = random_run(shape, dtype=dtype)
    before = w.copy()
    state = OPTIMIZERS[name].start(w)
    for array in arrays_of(state):
        np.testing.assert_array_equal(array, np.zeros(shape, dtype), strict=True)
    np.testing.assert_array_equal(w, before)
    state = OPTIMIZERS[name].step(w, gradients[0], state)
    assert {array.dtype for array in (w, *arrays_of(state))} == {np.dtype(dtype)}
    assert not np.array_equal(w, before)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(3, 4), (4,)])
def test_a_step_changes_the_parameter_alone(name, shape):
    optimizer = OPTIMIZERS[name]
    w, gradients = random_run(shape)
    state = optimizer.step(w, gradients[0], optimizer.start(w))
    kept = [array.copy() for array in (gradients, *arrays_of(state))]
    one, other = w.copy(), w.copy()
    after, again = (optimizer.step(each, gradients[1], state) for each in (one, other))
    np.testing.assert_array_equal(one, other)
    for array, repeated in zip(arrays_of(after), arrays_of(again), strict=True):
        np.testing.assert_array_equal(array, repeated)
    for array, before in zip((gradients, *arrays_of(state)), kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(
    rows=st.integers(1, 40), columns=st.integers(1, 40), kinds=st.integers(1, 4), seed=st.integers(0, 2**32),
    dtype=st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_equal_units_stay_equal_to_the_bit_wherever_they_stand(name, rows, columns, kinds, seed, dtype):
    rng = np.random.default_rng(seed)
    row, column = rng.integers(kinds, size=rows), rng.integers(kinds, size=columns)
    w, *gradients = rng.normal(size=(4, kinds, kinds)).astype(dtype)[:, row][:, :, column]
    for after in run(OPTIMIZERS[name], np.ascontiguousarray(w), gradients):
        for kind in range(kinds):
            assert (after[row == kind] == after[row == kind][:1]).all()
            assert (after[:, column == kind] == after[:, column == kind][:, :1]).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_permuting_the_units_permutes_what_comes_out(name, rows, columns, seed):
    rng = np.random.default_rng(seed)
    w, *gradients = rng.normal(size=(4, rows, columns))
    p, q = rng.permutation(rows), rng.permutation(columns)
    straight = np.array(list(run(OPTIMIZERS[name], w, gradients)))[:, p][:, :, q]
    permuted = np.array(list(run(OPTIMIZERS[name], w[p][:, q], [g[p][:, q] for g in gradients])))
    if name == "Muon":  # sums over units, in another order
        np.testing.assert_allclose(permuted, straight, rtol=1e-9, atol=1e-10)
    else:
        np.testing.assert_array_equal(permuted, straight)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_takes_the_optimizers_steps(name):
    """Each parameter has a state of its own, and a second run starts from zero again."""
    net, again, other = (random_network([3, 5, 2], seed=1) for _ in range(3))
    x, y = random_data(7, 3, 2, "mse", seed=1)
    optimizer = OPTIMIZERS[name]
    states = {key: optimizer.start(array) for key, array in other.parameters.items()}
    for _ in range(6):
        found = engine.gradients(other, x, y)
        for key, array in other.parameters.items():
            states[key] = optimizer.step(array, found[key], states[key])
    for each in (net, again):
        engine.train(each, x, y, optimizer=optimizer, steps=6)
        for key, array in each.parameters.items():
            np.testing.assert_array_equal(array, other.parameters[key])


def test_an_optimizer_shows_the_settings_that_are_not_the_defaults():
    assert repr(engine.SGD(0.1)) == "SGD(learning_rate=0.1)"
    assert repr(engine.Adam(1, beta2=0.9, weight_decay=0)) == "Adam(learning_rate=1.0, beta2=0.9)"
    assert repr(engine.Muon(0.02, others=engine.SGD(0.1))) == "Muon(learning_rate=0.02, others=SGD(learning_rate=0.1))"
    for optimizer in OPTIMIZERS.values():
        assert eval(repr(optimizer), vars(engine)) == optimizer
        assert hash(optimizer) == hash(replace(optimizer))


def test_an_optimizer_that_is_no_dataclass_can_be_shown():
    class Still(engine.AbstractOptimizer):
        def start(self, parameter):
            return None

        def step(self, parameter, gradient, state):
            return None

    assert "Still object at" in repr(Still())
    assert Still().at(3).start(np.zeros(1)) is None


BAD = {
    "a rate of zero": (engine.Adam, (0,), {}, ValueError, "a learning rate must be a positive number; got 0"),
    "a rate that is a class": (engine.SGD, (engine.CosineDecay,), {}, ValueError, "a learning rate .* got <class"),
    "a negative decay": (engine.SGD, (0.1, -1), {}, ValueError, "`weight_decay` must be a number, 0 or more; got -1"),
    "an endless decay": (engine.AdamW, (0.1,), {"weight_decay": math.inf}, ValueError, "`weight_decay` .* got inf"),
    "a momentum of one": (engine.Momentum, (0.1, 1), {}, ValueError, "`momentum` .* 0 or more and below 1; got 1"),
    "a negative momentum": (engine.Nesterov, (0.1, -0.1), {}, ValueError, "`momentum` .* got -0.1"),
    "a momentum of muon": (engine.Muon, (0.1, 1.0), {}, ValueError, "`momentum` .* got 1.0"),
    "a mean that forgets nothing": (engine.RMSProp, (0.1, 1.0), {}, ValueError, "`decay` .* below 1; got 1.0"),
    "betas as a pair": (engine.Adam, (0.1, (0.9, 0.99)), {}, ValueError, r"`beta1` .* got \(0.9, 0.99\)"),
    "a beta of one": (engine.AdamW, (0.1,), {"beta2": 1}, ValueError, "`beta2` .* below 1; got 1"),
    "no eps": (engine.Adam, (0.1,), {"eps": 0}, ValueError, "`eps` must be a positive number; got 0"),
    "a truth value": (engine.RMSProp, (0.1,), {"eps": True}, ValueError, "`eps` must be a positive number; got True"),
    "not a number": (engine.Adam, (0.1,), {"weight_decay": math.nan}, ValueError, "`weight_decay` .* got nan"),
    "a product misspelt": (engine.Muon, (0.1,), {"product": "blass"}, UnknownName, "did you mean 'blas'"),
    "a rate for the others": (engine.Muon, (0.1,), {"others": 0.1}, TypeError, "`others` must be an .* got 0.1"),
}


@pytest.mark.parametrize("case", BAD)
def test_settings_that_make_no_sense_are_refused(case):
    kind, arguments, options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        kind(*arguments, **options)
