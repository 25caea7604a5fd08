"""Side by side or alone, a start is the same to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak._restarts._batch import BUFFER, Settings, train_batch
from symbreak.engine._activations import ACTIVATIONS
from symbreak.engine._losses import LOSSES
from tests.engine._networks import random_data

BATCHES = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40)


def settings(
    sizes, loss="mse", *, rows=5, steps=6, activation="tanh", dtype="float32", batch_size=None, tolerance=None
):
    dtype = np.dtype(dtype)
    x, y = random_data(rows, sizes[0], sizes[-1], loss)
    t = LOSSES[loss].read(y, (rows, sizes[-1]), dtype)
    return Settings(
        tuple(sizes), x.astype(dtype), t, steps, engine.SGD(0.1), activation, loss, sb.Normal(0.5), sb.Normal(0.1),
        sb.Key(3), dtype, batch_size, tolerance,
    )  # fmt: skip


def assert_same_bits(parts, whole):
    for name in ("losses", "final_losses", "steps", "best", "final"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name), strict=True, err_msg=name)


CASES = {
    "one hidden layer": {"sizes": [2, 4, 1]},
    "one of everything": {"sizes": [1, 1, 1], "rows": 1},
    "no hidden layer": {"sizes": [3, 2]},
    "deeper, odd widths": {"sizes": [3, 17, 9, 2], "rows": 11},
    "float64": {"sizes": [2, 5, 1], "dtype": "float64"},
    "relu": {"sizes": [2, 9, 1], "activation": "relu"},
    "more classes than a vector has lanes": {"sizes": [3, 4, 33], "loss": "cross_entropy", "rows": 40},
    "mini-batches": {"sizes": [2, 4, 12], "loss": "cross_entropy", "rows": 21, "batch_size": 4},
    "early stopping": {"sizes": [2, 4, 1], "tolerance": 0.9},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch", BATCHES)
def test_bits_do_not_depend_on_how_many_starts_are_trained_together(case, batch):
    chosen = settings(**CASES[case])
    whole = train_batch(chosen, 0, 41)
    parts = [train_batch(chosen, first, min(batch, 41 - first)) for first in range(0, 41, batch)]
    assert_same_bits(parts, whole)


@given(
    sizes=st.lists(st.integers(1, 20), min_size=2, max_size=4),
    rows=st.integers(1, 40),
    batch=st.integers(1, 30),
    loss=st.sampled_from(sorted(LOSSES)),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_bits_do_not_depend_on_the_batch_for_any_shape(sizes, rows, batch, loss, activation, dtype):
    sizes[-1] += loss == "cross_entropy"
    chosen = settings(sizes, loss, rows=rows, steps=2, activation=activation, dtype=dtype)
    parts = [train_batch(chosen, first, min(batch, 30 - first)) for first in range(0, 30, batch)]
    assert_same_bits(parts, train_batch(chosen, 0, 30))


def test_the_size_of_the_buffers_of_numpy_is_as_before_whatever_happens():
    before = np.getbufsize()
    seen = []
    train_batch(settings([2, 3, 1]), 0, 3, lambda _: seen.append(np.getbufsize()))
    assert seen == [BUFFER]
    with pytest.raises(ZeroDivisionError):
        train_batch(settings([2, 3, 1]), 0, 3, lambda _: 1 // 0)
    assert np.getbufsize() == before != BUFFER


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_networks_side_by_side_is_that_of_each(name):
    row = LOSSES[name]
    ys = np.stack([random_data(7, 5, 5, name, seed=seed)[0] for seed in range(4)], axis=-1)
    t = row.read(random_data(7, 5, 5, name)[1], (7, 5), np.dtype("float64"))
    beside = t[:, :, np.newaxis] if t.ndim == 2 else t
    values, gradients = row.value(ys, beside), row.gradient(ys, beside)
    assert values.shape == (4,)
    for n in range(4):
        y = np.ascontiguousarray(ys[..., n])
        assert values[n] == pytest.approx(row.value(y, t), rel=1e-14)
        np.testing.assert_allclose(gradients[..., n], row.gradient(y, t), rtol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_of_networks_side_by_side_is_that_of_each(name):
    function = ACTIVATIONS[name]
    x, g = np.random.default_rng(0).normal(size=(2, 3, 5, 16))
    y = function.forward(x)
    back = function.backward(g, y, x)
    for n in range(16):
        one = np.ascontiguousarray(x[..., n])
        np.testing.assert_array_equal(y[..., n], function.forward(one))
        alone = function.backward(np.ascontiguousarray(g[..., n]), function.forward(one), one)
        np.testing.assert_array_equal(back[..., n], alone)
