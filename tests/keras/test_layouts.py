"""What a layer says of its weights, against what its own arithmetic does with them."""

import math

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import symbreak as sb  # noqa: E402
from symbreak.keras import Initializer, initializers  # noqa: E402
from symbreak.keras._layouts import axes_of  # noqa: E402
from tests.keras._arrays import array  # noqa: E402

L = keras.layers

# layer, what it reads, its weight, how many numbers feed one output and how many outputs one number feeds
CASES = {
    "dense": (lambda: L.Dense(6), (4,), "kernel", (4, 6)),
    "convolution": (lambda: L.Conv2D(6, (3, 2)), (9, 9, 4), "kernel", (24, 36)),
    "one dimension": (lambda: L.Conv1D(6, 3), (9, 4), "kernel", (12, 18)),
    "three dimensions": (lambda: L.Conv3D(6, 2), (4, 4, 4, 3), "kernel", (24, 48)),
    "groups": (lambda: L.Conv2D(6, 3, groups=2), (9, 9, 4), "kernel", (18, 27)),
    "depthwise": (lambda: L.DepthwiseConv2D(3), (9, 9, 4), "kernel", (9, 9)),
    "depthwise, several": (lambda: L.DepthwiseConv1D(3, depth_multiplier=2), (9, 4), "kernel", (3, 6)),
    "separable, first": (lambda: L.SeparableConv2D(6, 3), (9, 9, 4), "depthwise_kernel", (9, 9)),
    "separable, second": (lambda: L.SeparableConv2D(6, 3), (9, 9, 4), "pointwise_kernel", (4, 6)),
    "transposed": (lambda: L.Conv2DTranspose(6, 3), (9, 9, 4), "kernel", (36, 54)),
    "transposed, one dimension": (lambda: L.Conv1DTranspose(6, 3), (9, 4), "kernel", (12, 18)),
    "einsum of a query": (lambda: L.EinsumDense("abc,cde->abde", (5, 2, 3)), (5, 4), "kernel", (4, 6)),
    "einsum of an output": (lambda: L.EinsumDense("abcd,cde->abe", (5, 6)), (5, 2, 3), "kernel", (6, 6)),
    "einsum of experts": (lambda: L.EinsumDense("bxi,xio->bxo", (3, 6)), (3, 4), "kernel", (4, 6)),
    "einsum with dots": (lambda: L.EinsumDense("...x,xy->...y", 6), (5, 4), "kernel", (4, 6)),
    "embedding": (lambda: L.Embedding(7, 5), (3,), "embeddings", (7, 5)),
    "recurrent": (lambda: L.LSTM(5), (6, 4), "kernel", (4, 5)),
    "recurrent, state": (lambda: L.GRU(5), (6, 4), "recurrent_kernel", (5, 5)),
    "simple": (lambda: L.SimpleRNN(5), (6, 4), "kernel", (4, 5)),
    "recurrent convolution": (lambda: L.ConvLSTM2D(5, 3), (6, 9, 9, 4), "kernel", (36, 45)),
}


def built(case):
    make, shape, leaf, fans = CASES[case]
    layer = make()
    layer.build((None, *shape))
    owner = getattr(layer, "cell", layer)
    return layer, owner, leaf, getattr(owner, leaf), fans


@pytest.mark.parametrize("case", CASES)
def test_fans_are_counted_as_the_layer_computes(case):
    _, owner, leaf, weight, expected = built(case)
    assert sb.fans(tuple(weight.shape), axes_of(owner, leaf, tuple(weight.shape))) == expected


@pytest.mark.parametrize("case", [each for each in CASES if "recurrent" not in each and each != "simple"])
def test_an_initializer_asks_the_layer(case):
    seen = []

    class Spy(Initializer):
        def _array(self, shape, dtype, axes):
            seen.append((shape, axes))
            return super()._array(shape, dtype, axes)

    make, shape, leaf, fans = CASES[case]
    layer = make()
    for name in vars(layer):
        if name.endswith("_initializer") and "bias" not in name:
            setattr(layer, name, Spy("normal"))
    layer.build((None, *shape))
    wanted = tuple(getattr(layer, leaf).shape)
    assert [sb.fans(shape, axes) for shape, axes in seen if shape == wanted] == [fans]


@pytest.mark.parametrize(
    ("make", "shape", "leaf", "fan_in", "keras_counts"),
    [
        (lambda init: L.DepthwiseConv2D(3, depthwise_initializer=init), (3, 3, 400), "kernel", 9, 3600),
        (lambda init: L.Conv2DTranspose(40, 3, kernel_initializer=init), (3, 3, 10), "kernel", 90, 360),
    ],
)
def test_he_is_scaled_by_what_a_unit_reads_where_keras_is_not(make, shape, leaf, fan_in, keras_counts):
    def std(init):
        layer = make(init)
        layer.build((None, *shape))
        return float(array(getattr(layer, leaf)).std())

    assert std(initializers.HeNormal(seed=0)) == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
    assert std(Initializer(sb.HeNormal(), seed=0)) == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
    assert std(keras.initializers.HeNormal(seed=0)) == pytest.approx(math.sqrt(2 / keras_counts), rel=0.05)


def test_each_gate_of_a_wrapped_orthogonal_is_orthogonal_and_keras_name_has_keras_matrix():
    def recurrent(init):
        layer = L.LSTM(6, recurrent_initializer=init)
        layer.build((None, 5, 4))
        return array(layer.cell.recurrent_kernel)

    whole = recurrent(initializers.Orthogonal(seed=0))
    np.testing.assert_allclose(whole @ whole.T, np.eye(6), atol=1e-5)
    for gate in np.split(recurrent(Initializer(sb.Orthogonal(), seed=0)), 4, axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-5)


def test_the_units_of_all_heads_are_orthogonal():
    layer = L.MultiHeadAttention(2, 3, kernel_initializer=initializers.Orthogonal(seed=0))
    layer.build((None, 5, 8), (None, 5, 8))
    query = array(layer.query_dense.kernel).reshape(8, 6)
    np.testing.assert_allclose(query.T @ query, np.eye(6), atol=1e-5)


def test_a_vector_and_a_shape_that_nobody_knows_have_no_layout():
    assert axes_of(None, None, (5,)) is None
    assert axes_of(None, None, (2,) * 6) is None
    assert axes_of(None, None, (4, 5)) == sb.Axes("io")
