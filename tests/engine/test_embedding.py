"""An embedding looks rows up, and is a dense layer of zeros and ones to all else."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.testing import check_gradient
from tests.engine._optimizers import OPTIMIZERS
from tests.engine._spaces import RUN, check_run, loss_and_gradients

seeds = st.integers(0, 2**32)


@st.composite
def lookups(draw):
    """A table, and indices into it that repeat."""
    rng = np.random.default_rng(draw(seeds))
    vocabulary = draw(st.integers(1, 6))
    weight = rng.normal(size=(vocabulary, draw(st.integers(1, 5))))
    shape = draw(st.lists(st.integers(1, 5), min_size=2, max_size=3))
    return weight, rng.integers(vocabulary, size=shape), rng


@given(case=lookups())
def test_an_embedding_is_a_dense_layer_that_reads_zeros_and_a_one(case):
    weight, x, rng = case
    layer, dense = engine.Embedding(weight), engine.Dense(weight.T)
    hot = np.eye(len(weight))[x]
    y, memory = layer.forward(x, RUN)
    assert y.shape[1:] == layer.shape(x.shape[1:])
    wide, remembered = dense.forward(hot, RUN)
    np.testing.assert_array_equal(y, wide)
    g = rng.normal(size=y.shape)
    back = layer.backward(g, memory, RUN)
    assert back.x is None
    assert back.error is g
    gradient = dense.backward(g, remembered, RUN).parameters["weight"]
    np.testing.assert_allclose(back.parameters["weight"], gradient.T, rtol=1e-12, atol=1e-14)
    check_gradient(
        lambda p: (g * engine.Embedding(p).forward(x, RUN)[0]).sum(),
        back.parameters["weight"],
        weight,
        rounding=1e-15 * abs(g).sum() * (1 + abs(weight).max()),
    )


@given(case=lookups())
def test_gradients_are_those_of_torch(case):
    torch = pytest.importorskip("torch")
    weight, x, rng = case
    layer = engine.Embedding(weight)
    y, memory = layer.forward(x, RUN)
    g = rng.normal(size=y.shape)
    tensor = torch.tensor(weight, requires_grad=True)
    value = torch.nn.functional.embedding(torch.tensor(x), tensor)
    value.backward(torch.tensor(g))
    np.testing.assert_array_equal(y, value.detach().numpy())
    np.testing.assert_allclose(
        layer.backward(g, memory, RUN).parameters["weight"], tensor.grad.numpy(), rtol=1e-12, atol=1e-14
    )


def test_gradients_are_the_slopes_of_the_loss_where_an_embedding_is_read_twice():
    rng = np.random.default_rng(0)
    net = engine.Network(
        {
            "words": engine.Embedding(rng.normal(size=(7, 3))),
            "windows": engine.Conv1d(rng.normal(size=(3, 3, 3)), None, "tanh", padding="same"),
            "sum": (engine.Add(), "words", "windows"),
            "mean": engine.GlobalAveragePool(),
            "out": engine.Dense(rng.normal(size=(2, 3))),
        }
    )
    x, y = rng.integers(7, size=(4, 5)), rng.integers(2, size=4)
    check_gradient(*loss_and_gradients(net, x, y, loss="cross_entropy"), net.parameters)


@given(
    width=st.integers(1, 4) | st.sampled_from([17, 33, 65, 100]), vocabulary=st.integers(1, 40), seed=seeds,
    optimizer=st.sampled_from([*OPTIMIZERS.values()]), loss=st.sampled_from(["mse", "cross_entropy", "logistic"]),
    dtype=st.sampled_from(["float32", "float64"]), steps=st.integers(1, 6), kinds=st.integers(1, 3),
)  # fmt: skip
def test_units_with_equal_columns_stay_tied_at_every_step(
    width, vocabulary, seed, optimizer, loss, dtype, steps, kinds
):
    rng = np.random.default_rng(seed)
    labels = rng.integers(kinds, size=width)
    read = rng.normal(size=(vocabulary, kinds))[:, labels].astype(dtype)
    write = (rng.normal(size=(3, kinds))[:, labels] / width).astype(dtype)
    net = engine.Network([engine.Embedding(read), engine.Activate("tanh"), engine.Dense(write)])
    x = rng.integers(vocabulary, size=(4, 6))
    y = rng.integers(3, size=(4, 6)) if loss == "cross_entropy" else rng.integers(2, size=(4, 6, 3))
    classes = {"layers.0": labels, "layers.1": labels}
    assert check_run(net, x, y, classes, optimizer=optimizer, loss=loss, steps=steps, batch_size=3) == steps


def test_an_embedding_learns_what_each_index_stands_for():
    rng = np.random.default_rng(0)
    net = engine.Network([engine.Embedding(rng.normal(size=(5, 4))), engine.Dense(rng.normal(size=(1, 4)))])
    x = np.arange(10).reshape(2, 5) % 5
    engine.train(net, x, (x**2)[..., np.newaxis] / 16, optimizer=engine.SGD(0.3), steps=300)
    np.testing.assert_allclose(net(x)[..., 0], x**2 / 16, atol=1e-3)


@pytest.mark.parametrize("kind", [Fraction, engine.Residue])
def test_units_whose_rows_have_equal_sums_stay_tied_without_rounding(kind):
    """Two classes of two: the middle weight has equal sums over each class, and no two equal rows or columns."""

    def exactly(values):
        array = np.empty(np.shape(values), object)
        for index in np.ndindex(array.shape):
            array[index] = kind(int(np.asarray(values)[index]))
        return array

    table = np.array([[1, 1, 2, 2], [0, 0, -1, -1], [3, 3, 1, 1]])
    middle = np.array([[1, 2, 5, 0], [2, 1, 0, 5], [4, 3, 1, 1], [3, 4, 1, 1]])
    net = engine.Network(
        [engine.Embedding(exactly(table)), engine.Dense(exactly(middle)), engine.Dense(exactly([[1, 1, -2, -2]]))],
        product="exact",
    )
    labels, steps = np.array([0, 0, 1, 1]), []

    def check(step):
        steps.append(step.number)
        weight = net.parameters["layers.1.weight"]
        for name in ("layers.0", "layers.1"):
            for signals in (step.gradients.activations[name], step.gradients.error_signals[name]):
                assert (signals[..., ::2] == signals[..., 1::2]).all()
        for each in (weight, weight.T):
            sums = np.array([each[:, labels == label].sum(axis=1) for label in (0, 1)]).T
            assert (sums[::2] == sums[1::2]).all()
            assert (each[::2] != each[1::2]).any()

    count = 40 if kind is engine.Residue else 2
    x, y = np.array([[0, 2], [1, 0]]), np.array([[[1], [0]], [[2], [-1]]])
    engine.train(net, x, y, optimizer=engine.Momentum(0.125, momentum=0.5), steps=count, callback=check)
    assert steps == list(range(count))


@pytest.mark.parametrize("kind", [Fraction, engine.Residue])
def test_targets_are_read_as_the_kind_of_number_that_the_weight_is(kind):
    weight = np.array([[kind(3)]], object)
    net = engine.Network([engine.Embedding(weight)], product="exact")
    target = np.array([[[kind(Fraction(1, 2))]]], object)
    gradient = engine.gradients(net, [[0]], target)["layers.0.weight"]
    assert gradient[0, 0] == kind(5)
    engine.train(net, [[0]], target, optimizer=engine.SGD(0.5), steps=1)
    assert net.parameters["layers.0.weight"][0, 0] == kind(Fraction(1, 2))


def test_rows_may_be_one_index_each():
    rng = np.random.default_rng(0)
    net = engine.Network([engine.Embedding(rng.normal(size=(3, 2))), engine.Dense(rng.normal(size=(1, 2)))])
    x, y = np.array([0, 2, 2, 1]), rng.normal(size=4)
    np.testing.assert_array_equal(net(x), net(x[:, np.newaxis])[:, 0])
    ours, other = engine.gradients(net, x, y), engine.gradients(net, x[:, np.newaxis], y[:, np.newaxis])
    for name, gradient in other.parameters.items():
        np.testing.assert_array_equal(ours[name], gradient, strict=True)
    assert ours.loss == other.loss


def test_the_graph_reads_from_a_space_of_indices():
    net = engine.Network([engine.Embedding(np.ones((7, 3))), engine.Dense(np.ones((2, 3)))])
    graph = net.graph
    assert [(space.name, space.units) for space in graph.spaces] == [("input", 7), ("layers.0", 3), ("output", 2)]
    table = graph.connections[0]
    assert (table.name, table.axes) == ("layers.0.weight", (("in", "input"), ("out", "layers.0")))
    np.testing.assert_array_equal(table.array, net.parameters["layers.0.weight"])


NET = engine.Network([engine.Embedding(np.ones((7, 3)))])
BAD = {
    "one axis": (lambda: engine.Embedding(np.ones(3)), ValueError, r"\(vocabulary, units\), of 1 or more; got \(3,\)"),
    "no units": (lambda: engine.Embedding(np.ones((3, 0))), ValueError, r"of 1 or more; got \(3, 0\)"),
    "a list": (lambda: engine.Embedding([[1.0]]), TypeError, "a weight must be a NumPy array, not a list"),
    "nan": (lambda: engine.Embedding(np.full((2, 2), np.nan)), ValueError, "a weight must be finite; 4 of its values"),
    "an index too large": (lambda: NET([[0, 7]]), ValueError, "index 7 is out of range: the inputs go from 0 to 6"),
    "an index below 0": (lambda: NET([[0, -1]]), ValueError, "index -1 is out of range"),
    "numbers": (lambda: NET([[0.5]]), TypeError, "the inputs are indices, 0 to 6: integers; their dtype is float64"),
    "one index": (lambda: NET(1), ValueError, r"the inputs must have shape \(batch, ...\); theirs is \(\)"),
    "no index": (lambda: NET([]), ValueError, r"the batch is empty: the inputs have shape \(0,\)"),
    "what a layer writes": (
        lambda: engine.Network([engine.Dense(np.ones((1, 1))), engine.Embedding(np.ones((7, 3)))]),
        ValueError,
        r"'layers.1', Embedding\(7 -> 3\), reads indices: it reads the input, not",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_sense_is_refused(case):
    call, error, message = BAD[case]
    with pytest.raises(error, match=message):
        call()
