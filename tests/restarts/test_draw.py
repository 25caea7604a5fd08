"""Drawn together, the weights of each start are those that its key gives alone, to the bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak._restarts._draw import AT_ONCE, draw_beside


class Signs(sb.AbstractInitializer):
    def sample(self, shape, stream, axes):
        return stream.sign(shape) * np.float32(0.5)


class Rows(sb.AbstractInitializer):
    """Each unit has a scale of its own, and each weight a part from another stream."""

    def sample(self, shape, stream, axes):
        scale = stream.along(1 + np.arange(shape[0]), shape, 0)
        return scale * stream.normal(shape) + stream["more"].uniform(shape, 0.0, 1.0)


class Wide(sb.AbstractInitializer):
    """Computes in float64 whatever it is asked for."""

    def sample(self, shape, stream, axes):
        return stream.truncated_normal(shape, 0.5, 2.0, -1.0, 3.0).astype(np.float64) / 3


class OfItsKey(sb.AbstractInitializer):
    """Needs more than draws."""

    def sample(self, shape, stream, axes):
        return stream.normal(shape) + len(stream.key.path)


class Centred(sb.AbstractInitializer):
    """Breaks the law that an entry depends on its own position, as nobody notices in a small weight."""

    def sample(self, shape, stream, axes):
        values = stream.normal(shape)
        return values - values.mean()


class FromTheFirst(sb.AbstractInitializer):
    """Breaks it so that the first start is the same."""

    def sample(self, shape, stream, axes):
        values = stream.normal(shape)
        return values - values[0]


class Reshaped(sb.AbstractInitializer):
    """Counts on a flat array of the weight's size."""

    def sample(self, shape, stream, axes):
        return stream.normal(shape).reshape(shape).T.copy().T.reshape(-1)


ALL = [
    sb.Normal(0.5, mean=1.0), sb.Uniform(-0.5, 2.0), sb.TruncatedNormal(0.3), sb.TruncatedNormal(1.0, high=5.0),
    sb.GlorotNormal(), sb.HeUniform(), sb.LecunTruncatedNormal(), sb.Constant(0.25), sb.Orthogonal(), Signs(), Rows(),
    Wide(), OfItsKey(), Centred(), FromTheFirst(), Reshaped(),
]  # fmt: skip
SHAPES = [(4, 2), (1, 1), (16, 32), (27, 19), (40, 30)]  # 8, 1, 512, 513 and 1,200 entries; a block has 512


def compare(init, shape, count, dtype, seed=5):
    dtype, keys = np.dtype(dtype), [sb.Key(seed)[str(k)]["layers.0.weight"] for k in range(count)]
    out = np.full((int(np.prod(shape)), count), np.nan, dtype)
    draw_beside(init, shape, keys, dtype, out)
    for k, key in enumerate(keys):
        np.testing.assert_array_equal(out[:, k], init(shape, rng=key, dtype=dtype).ravel(), strict=True)


@pytest.mark.parametrize("init", ALL, ids=lambda init: type(init).__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_start_has_the_weights_of_its_key(init, shape, dtype):
    compare(init, shape, 9, dtype)


@given(
    units=st.integers(1, 40), inputs=st.integers(1, 40), count=st.integers(1, 20), seed=st.integers(0, 2**64),
    init=st.sampled_from(ALL),
)  # fmt: skip
def test_each_start_has_the_weights_of_its_key_whatever_the_shape(units, inputs, count, seed, init):
    compare(init, (units, inputs), count, "float32", seed)


def test_more_starts_than_are_drawn_at_once():
    compare(sb.GlorotNormal(), (4, 2), 2 * AT_ONCE + 3, "float32")


class Counted(sb.AbstractInitializer):
    """Counts how often it is asked."""

    def sample(self, shape, stream, axes):
        CALLS.append(shape)
        return stream.normal(shape)


CALLS = []


@pytest.mark.parametrize(("shape", "groups"), [((4, 2), 2), ((40, 30), 5)])
def test_starts_share_a_call(shape, groups):
    """One for as many starts as are drawn at once; among the first of them also the first and the last alone."""
    CALLS.clear()
    compare(Counted(), shape, 200, "float32")
    assert len(CALLS) == groups + 2 + 200  # 200 are those that it is compared with


class Fails(sb.AbstractInitializer):
    def sample(self, shape, stream, axes):
        raise ArithmeticError("no such number")


def test_what_an_initializer_raises_comes_through():
    with pytest.raises(ArithmeticError, match="no such number"):
        compare(Fails(), (4, 2), 5, "float32")


class OfAnotherShape(sb.AbstractInitializer):
    def sample(self, shape, stream, axes):
        return stream.normal(shape)[:-1]


def test_a_sample_of_a_wrong_shape_is_refused_as_it_is_alone():
    with pytest.raises(ValueError, match=r"OfAnotherShape\.sample gave ndarray of shape \(7,\)"):
        compare(OfAnotherShape(), (4, 2), 5, "float32")


def test_a_weight_that_overflows_in_float32_is_inf_without_a_warning():
    class Large(sb.AbstractInitializer):
        def sample(self, shape, stream, axes):
            return stream.normal(shape).astype(np.float64) * 1e60

    compare(Large(), (4, 2), 5, "float32")
