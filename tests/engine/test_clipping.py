"""Clipping bounds what it says, leaves what is within the bound, and a run takes the clipped gradients."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak import engine
from tests.engine._networks import random_data, random_network

CLIPS = {"norm": engine.ClipNorm, "value": engine.ClipValue}


def random_gradients(seed=0, scale=1.0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return {name: (scale * rng.normal(size=shape)).astype(dtype) for name, shape in {"w": (3, 4), "b": (5,)}.items()}


def norm_of(gradients):
    return math.sqrt(math.fsum(float(entry) ** 2 for g in gradients.values() for entry in g.flat))


@given(limit=st.floats(1e-3, 1e3), seed=st.integers(0, 2**32))
def test_a_norm_above_the_limit_becomes_the_limit_in_the_same_direction(limit, seed):
    gradients = random_gradients(seed)
    norm = norm_of(gradients)
    clipped = engine.ClipNorm(limit)(gradients)
    assert norm_of(clipped) == pytest.approx(min(limit, norm), rel=1e-13)
    for name, g in gradients.items():
        np.testing.assert_allclose(clipped[name], g * min(1, limit / norm), rtol=1e-13)
        if limit > norm:
            np.testing.assert_array_equal(clipped[name], g)


@given(limit=st.floats(1e-3, 1e3), seed=st.integers(0, 2**32))
def test_a_value_beyond_the_limit_becomes_the_limit_of_its_sign(limit, seed):
    gradients = random_gradients(seed)
    clipped = engine.ClipValue(limit)(gradients)
    for name, g in gradients.items():
        expected = [math.copysign(min(abs(entry), limit), entry) for entry in g.flat]
        np.testing.assert_array_equal(clipped[name].ravel(), expected)


@pytest.mark.parametrize("kind", CLIPS)
def test_it_is_that_of_torch(kind):
    torch = pytest.importorskip("torch")
    gradients = random_gradients(1)
    tensors = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients.values()]
    for tensor, g in zip(tensors, gradients.values(), strict=True):
        tensor.grad = torch.tensor(g)
    limit = 0.7
    if kind == "norm":
        torch.nn.utils.clip_grad_norm_(tensors, limit)
        limit *= norm_of(gradients) / (norm_of(gradients) + 1e-6)  # torch adds this to the norm
    else:
        torch.nn.utils.clip_grad_value_(tensors, limit)
    for tensor, ours in zip(tensors, CLIPS[kind](limit)(gradients).values(), strict=True):
        np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("kind", CLIPS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradients_are_left_as_they_were_and_their_dtype_is_kept(kind, dtype):
    gradients = random_gradients(dtype=dtype)
    clipped = CLIPS[kind](np.float64(0.1))(gradients)
    for name, g in random_gradients(dtype=dtype).items():
        np.testing.assert_array_equal(gradients[name], g)
        assert clipped[name].dtype == dtype


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e30), ("float64", 1e200), ("float64", 1e-200)])
def test_a_norm_whose_square_is_out_of_range_is_clipped_all_the_same(dtype, scale):
    limit = 0.5 * scale if scale < 1 else 0.5
    clipped = engine.ClipNorm(limit)(random_gradients(2, scale, dtype))
    assert norm_of({name: g.astype("float64") / limit for name, g in clipped.items()}) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("kind", CLIPS)
def test_gradients_of_zero_stay_zero(kind):
    for g in CLIPS[kind](1.0)({"w": np.zeros((2, 3)), "b": np.zeros(2)}).values():
        np.testing.assert_array_equal(g, 0)


@pytest.mark.parametrize("kind", CLIPS)
def test_a_run_takes_the_clipped_gradients_and_shows_those_before(kind):
    net, other = (random_network([3, 5, 2], seed=1) for _ in range(2))
    x, y = random_data(7, 3, 2, "mse", seed=1)
    clip, seen = CLIPS[kind](0.02), []
    engine.train(net, x, y, optimizer=engine.SGD(0.5), steps=5, clip=clip, callback=lambda s: seen.append(s.gradients))
    for gradients in seen:
        found = engine.gradients(other, x, y)
        clipped = clip(found.parameters)
        for name, array in other.parameters.items():
            np.testing.assert_array_equal(gradients[name], found[name])
            assert not np.array_equal(clipped[name], found[name])
            array -= 0.5 * clipped[name]
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, other.parameters[name])


def test_a_clip_says_what_it_is():
    assert repr(engine.ClipNorm(1)) == "ClipNorm(limit=1.0)"
    assert engine.ClipValue(np.float32(0.5)) == engine.ClipValue(0.5)


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf, None, "1", True])
def test_a_limit_must_be_positive(limit):
    with pytest.raises(ValueError, match="the limit of a norm must be a positive number; got"):
        engine.ClipNorm(limit)
    with pytest.raises(ValueError, match="the limit of a value must be a positive number; got"):
        engine.ClipValue(limit)
