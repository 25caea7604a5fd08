"""Pooling takes the largest value or the mean of each window, unit by unit, and its backward pass is the gradient."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._products import PRODUCTS
from symbreak.testing import check_gradient
from tests.engine._optimizers import OPTIMIZERS
from tests.engine._spaces import RUN, check_run, loss_and_gradients

POOLS = {"MaxPool": engine.MaxPool, "AveragePool": engine.AveragePool}
seeds = st.integers(0, 2**32)


@st.composite
def pools(draw, kind):
    """Shape of x, and the settings of a layer that pools it, as tuples."""
    axes = draw(st.sampled_from([1, 2]))

    def each(numbers):
        return tuple(draw(numbers) for _ in range(axes))

    settings = {"size": each(st.integers(1, 3)), "stride": each(st.integers(1, 3))}
    settings["padding"] = tuple(draw(st.integers(0, n - 1)) if kind == "MaxPool" else 0 for n in settings["size"])
    positions = tuple(max(draw(st.integers(1, 6)), n) for n in settings["size"])
    return (draw(st.integers(1, 3)), *positions, draw(st.integers(1, 4))), settings


def make(kind, settings):
    size, rest = settings["size"], {key: value for key, value in settings.items() if key != "size"}
    return engine.MaxPool(size, **rest) if kind == "MaxPool" else engine.AveragePool(size, stride=settings["stride"])


def distinct(shape, seed):
    """Numbers that are at least 0.1 apart, so that no small step changes which is the largest."""
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) / 10 - 1


def slow_pool(kind, x, size, stride, padding):
    """Window by window."""
    _, *positions, _ = x.shape
    each = zip(positions, size, stride, padding, strict=True)
    counts = [(n + 2 * p - k) // s + 1 for n, k, s, p in each]
    y = np.empty((len(x), *counts, x.shape[-1]))
    for n, *where, unit in np.ndindex(y.shape):
        starts = [w * s - p for w, s, p in zip(where, stride, padding, strict=True)]
        places = itertools.product(*(range(a, a + k) for a, k in zip(starts, size, strict=True)))
        inside = [at for at in places if all(0 <= a < m for a, m in zip(at, positions, strict=True))]
        seen = [x[(n, *at, unit)] for at in inside]
        y[(n, *where, unit)] = max(seen) if kind == "MaxPool" else sum(seen) / len(seen)
    return y


@pytest.mark.parametrize("kind", POOLS)
@given(data=st.data(), seed=seeds)
def test_a_pool_says_of_each_window_what_it_is_called_for(kind, data, seed):
    shape, settings = data.draw(pools(kind))
    x = distinct(shape, seed)
    layer = make(kind, settings)
    y, _ = layer.forward(x, RUN)
    assert y.shape == (shape[0], *layer.shape(shape[1:]))
    np.testing.assert_allclose(y, slow_pool(kind, x, **settings), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("kind", POOLS)
@given(data=st.data(), seed=seeds)
def test_backward_is_the_gradient_of_forward(kind, data, seed):
    shape, settings = data.draw(pools(kind))
    layer, x = make(kind, settings), distinct(shape, seed)
    y, memory = layer.forward(x, RUN)
    g = np.random.default_rng(seed).normal(size=y.shape)
    back = layer.backward(g, memory, RUN)
    assert back.error is g
    rounding = 1e-15 * abs(g).sum() * abs(y).max()
    check_gradient(lambda p: (g * layer.forward(p, RUN)[0]).sum(), back.x, x, rounding=rounding)


@pytest.mark.parametrize("kind", POOLS)
@given(data=st.data(), seed=seeds, ties=st.booleans())
def test_pools_are_those_of_torch(kind, data, seed, ties):
    torch = pytest.importorskip("torch")
    shape, settings = data.draw(pools(kind))
    settings["padding"] = tuple(min(n // 2, p) for n, p in zip(settings["size"], settings["padding"], strict=True))
    rng = np.random.default_rng(seed)
    x = rng.integers(2, size=shape).astype(float) if ties else rng.normal(size=shape)
    layer = make(kind, settings)
    y, memory = layer.forward(x, RUN)
    g = rng.normal(size=y.shape)
    tensor = torch.tensor(x, requires_grad=True)
    name = f"{'max' if kind == 'MaxPool' else 'avg'}_pool{len(shape) - 2}d"
    value = getattr(torch.nn.functional, name)(tensor.movedim(-1, 1), *settings.values())
    value.backward(torch.tensor(np.moveaxis(g, -1, 1)))
    np.testing.assert_allclose(y, value.detach().movedim(1, -1).numpy(), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(layer.backward(g, memory, RUN).x, tensor.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_of_several_largest_values_the_first_gets_the_gradient_for_every_unit():
    x = np.zeros((1, 3, 3, 40))
    x[0, 1:, 1:] = 7.0
    x[0, 2, 0] = 7.0
    layer = engine.MaxPool((3, 3))
    y, memory = layer.forward(x, RUN)
    g = layer.backward(y, memory, RUN).x
    where = np.zeros((3, 3))
    where[1, 1] = 7.0  # row by row it is the first
    np.testing.assert_array_equal(g[0], np.repeat(where[..., np.newaxis], 40, axis=-1))


def test_a_pool_takes_windows_side_by_side_by_default():
    for layer in (engine.MaxPool(2), engine.AveragePool((2,))):
        assert layer.shape((6, 1)) == (3, 1)
    assert engine.MaxPool((2, 3), stride=1).shape((6, 6, 1)) == (5, 4, 1)


@given(shape=st.lists(st.integers(1, 4), min_size=3, max_size=5).map(tuple), seed=seeds)
def test_the_global_mean_is_that_over_all_positions(shape, seed):
    layer, rng = engine.GlobalAveragePool(), np.random.default_rng(seed)
    x = rng.normal(size=shape)
    y, memory = layer.forward(x, RUN)
    assert y.shape == (shape[0], *layer.shape(shape[1:])) == (shape[0], shape[-1])
    np.testing.assert_allclose(y, x.mean(axis=tuple(range(1, len(shape) - 1))), rtol=1e-12, atol=1e-14)
    g = rng.normal(size=y.shape)
    back = layer.backward(g, memory, RUN)
    assert back.x.shape == shape
    assert back.error is g
    check_gradient(lambda p: (g * layer.forward(p, RUN)[0]).sum(), back.x, x, rounding=1e-15 * abs(g).sum() * 4)


def pooled_network(pool, width, seed, *, constant=False, dtype="float64", outputs=2):
    """A convolution whose units are all equal, or of two classes, before the pool; with those classes."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(width, int) if constant else rng.integers(2, size=width)
    below, bias, above = (rng.normal(size=size)[..., labels] for size in ((2, 2, 1, 2), (2,), (outputs, 2)))
    weight = np.moveaxis(below, -1, 0).astype(dtype)
    layers = [engine.Conv2d(weight, bias.astype(dtype), "tanh"), pool]
    layers.append(engine.Dense((above / width).astype(dtype)))
    return engine.Network(layers), {"layers.0": labels, "layers.1": labels}


LAYERS = {
    "max": engine.MaxPool((2, 2), stride=(1, 2), padding=1),
    "average": engine.AveragePool((2, 3), stride=1),
    "global": engine.GlobalAveragePool(),
}
widths = st.integers(1, 4) | st.sampled_from([17, 33, 65, 100])


@pytest.mark.parametrize("pool", LAYERS)
@given(
    width=widths, seed=seeds, constant=st.booleans(), dtype=st.sampled_from(["float32", "float64"]),
    optimizer=st.sampled_from([*OPTIMIZERS.values()]), loss=st.sampled_from(["mse", "cross_entropy", "logistic"]),
    batch=st.integers(1, 5), steps=st.integers(1, 6),
)  # fmt: skip
def test_tied_units_stay_tied_through_a_pool(pool, width, seed, constant, dtype, optimizer, loss, batch, steps):
    net, classes = pooled_network(LAYERS[pool], width, seed, constant=constant, dtype=dtype)
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, size=(batch, 5, 7, 2)) / 2  # values that repeat: several are the largest
    *places, outputs = net(x).shape
    y = rng.integers(2, size=places if loss == "cross_entropy" else (*places, outputs))
    check_run(net, x, y, classes, optimizer=optimizer, loss=loss, steps=steps)


@pytest.mark.parametrize("pool", LAYERS)
def test_gradients_are_the_slopes_of_the_loss_where_a_value_is_pooled_and_read_besides(pool):
    rng = np.random.default_rng(0)
    layers = {
        "stem": engine.Conv2d(rng.normal(size=(3, 1, 2, 2)), rng.normal(size=3), "tanh"),
        "pool": LAYERS[pool],
        "other": (engine.GlobalAveragePool(), "stem"),
        "mean": (engine.GlobalAveragePool(), "pool"),
        "both": (engine.Concatenate(), "mean", "other"),
        "out": engine.Dense(rng.normal(size=(2, 6))),
    }
    if pool == "global":
        layers |= {"mean": (engine.Activate("square"), "pool")}
    net = engine.Network(layers)
    x, y = rng.normal(size=(3, 5, 6, 1)), rng.normal(size=(3, 2))
    check_gradient(*loss_and_gradients(net, x, y), net.parameters, step=1e-4)


def test_means_of_fractions_and_of_residues_are_exact():
    exact = engine.Run(PRODUCTS["exact"])
    for kind in (Fraction, engine.Residue):
        x = np.array([[[kind(1)], [kind(2)], [kind(4)]]], object)
        for layer, y in (
            (engine.AveragePool(2, stride=1), [[[kind(Fraction(3, 2))], [kind(3)]]]),
            (engine.GlobalAveragePool(), [[kind(Fraction(7, 3))]]),
        ):
            found, memory = layer.forward(x, exact)
            assert found.tolist() == y
            back = layer.backward(np.array(y, object), memory, exact).x
            third, half = kind(Fraction(7, 9)), kind(Fraction(1, 2))
            sums = [kind(Fraction(3, 2)) * half, kind(Fraction(9, 2)) * half, kind(3) * half]
            assert [kind(number) for number in back.ravel()] == ([third] * 3 if layer.shape((3, 1)) == (1,) else sums)


@pytest.mark.parametrize("pool", LAYERS)
def test_a_pool_leaves_the_graph_as_it_is(pool):
    net, _ = pooled_network(LAYERS[pool], 3, 0)
    graph = net.graph
    assert [space.name for space in graph.spaces] == ["input", "layers.0", "output"]
    assert graph.readers("layers.0") == ("layers.2.weight",)


BAD = {
    "a size of 0": (lambda: engine.MaxPool(0), "the size of a window must be a whole number, 1 or more; got 0"),
    "half a size": (
        lambda: engine.AveragePool((2, 0.5)),
        r"1 or more, or 2 of them, \(height, width\); got \(2, 0.5\)",
    ),
    "three sizes": (lambda: engine.MaxPool((2, 2, 2)), r"one size or two, width or \(height, width\); got \(2, 2, 2\)"),
    "no sizes": (lambda: engine.MaxPool(()), r"windows have one size or two, .*; got \(\)"),
    "a stride of 0": (lambda: engine.AveragePool(2, stride=0), "a stride must be a whole number, 1 or more; got 0"),
    "two strides for one size": (lambda: engine.MaxPool(2, stride=(1, 1)), r"a stride must be .*; got \(1, 1\)"),
    "a padding below 0": (lambda: engine.MaxPool(2, padding=-1), "a padding must be a whole number, 0 or more; got -1"),
    "a window of padding": (
        lambda: engine.MaxPool((3, 2), padding=2),
        "a padding of 2x2 lets windows of 3x2 see nothing else; make it less than the size",
    ),
    "no room": (
        lambda: pooled_network(engine.MaxPool((5, 1)), 1, 0)[0](np.ones((1, 5, 7, 2))),
        r"'layers.1', MaxPool\(5x1\), can't read .*: a window of 5x1 has no room in 4x7 positions$",
    ),
    "other positions": (
        lambda: pooled_network(engine.AveragePool(2), 1, 0)[0](np.ones((1, 5, 7, 2))),
        r"it reads \(batch, time, units\), not \('batch', 4, 7, 1\)",
    ),
    "no positions": (
        lambda: engine.Network([engine.Dense(np.ones((1, 1))), engine.GlobalAveragePool()])([[1.0]]),
        r"it reads \(batch, ..., units\), with positions to average over, not \('batch', 1\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_sense_is_refused(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_residues_which_have_no_order_have_no_largest():
    weight = np.array([[[engine.Residue(2)]]], object)
    net = engine.Network([engine.Conv1d(weight), engine.MaxPool(2)], product="exact")
    with pytest.raises(TypeError, match=r"residues have no order, and so no largest; MaxPool\(2\) takes fractions"):
        net([[[1], [2]]])


def test_pools_say_what_they_are():
    assert repr(engine.MaxPool(2)) == "MaxPool(2)"
    assert repr(engine.MaxPool((3, 3), stride=2, padding=1)) == "MaxPool(3x3, stride 2x2, padding 1x1)"
    assert repr(engine.AveragePool([2, 3])) == "AveragePool(2x3)"
    assert repr(engine.GlobalAveragePool()) == "GlobalAveragePool()"
