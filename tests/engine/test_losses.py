"""Every loss has the value of its definition and the gradient of its value, and refuses targets that it can't mean."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak.engine._losses import LOSSES
from symbreak.errors import UnknownName
from symbreak.testing import check_gradient
from tests.engine._networks import loss_in_torch, random_data, random_network

F64 = np.dtype("float64")


def mse_by_hand(y, t):
    return (
        math.fsum((a - b) ** 2 for row, wanted in zip(y, t, strict=True) for a, b in zip(row, wanted, strict=True))
        / y.size
    )


def cross_entropy_by_hand(y, t):
    return math.fsum(math.log(math.fsum(math.exp(v - row[k]) for v in row)) for row, k in zip(y, t, strict=True)) / len(
        y
    )


def logistic_by_hand(y, t):
    chances = [1 / (1 + math.exp(-v)) if k else 1 / (1 + math.exp(v)) for v, k in zip(y.flat, t.flat, strict=True)]
    return math.fsum(-math.log(chance) for chance in chances) / y.size


BY_HAND = {"mse": mse_by_hand, "cross_entropy": cross_entropy_by_hand, "logistic": logistic_by_hand}


def test_every_loss_is_tested():
    assert BY_HAND.keys() == LOSSES.keys()


@pytest.mark.parametrize("loss", LOSSES)
@given(batch=st.integers(1, 9), outputs=st.integers(2, 7), seed=st.integers(0, 2**32))
def test_its_value_is_that_of_its_definition(loss, batch, outputs, seed):
    y, t = random_data(batch, outputs, outputs, loss, seed=seed)
    assert LOSSES[loss].value(y, t) == pytest.approx(BY_HAND[loss](y, t), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@given(batch=st.integers(1, 9), outputs=st.integers(2, 7), seed=st.integers(0, 2**32))
def test_its_gradient_is_the_slope_of_its_value(loss, batch, outputs, seed):
    y, t = random_data(batch, outputs, outputs, loss, seed=seed)
    row = LOSSES[loss]
    check_gradient(lambda y: row.value(y, t), lambda y: row.gradient(y, t), y)


@pytest.mark.parametrize("loss", LOSSES)
def test_it_agrees_with_torch(loss):
    torch = pytest.importorskip("torch")
    theirs = loss_in_torch(loss)
    y, t = random_data(6, 4, 4, loss)
    tensor = torch.tensor(y, requires_grad=True)
    value = theirs(tensor, torch.tensor(t))
    value.backward()
    assert LOSSES[loss].value(y, t) == pytest.approx(value.item(), rel=1e-14)
    np.testing.assert_allclose(LOSSES[loss].gradient(y, t), tensor.grad.numpy(), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_neither_overflows_nor_loses_small_losses(dtype):
    row, t = LOSSES["cross_entropy"], np.array([0, 1])
    far = np.array([[1e4, -1e4], [1e4, -1e4]], dtype=dtype)
    assert row.value(far, t) == 1e4  # the mean of 0 and 2e4
    np.testing.assert_array_equal(row.gradient(far, t), [[0, 0], [0.5, -0.5]])
    even = np.full((2, 5), 3e30, dtype=dtype)
    assert row.value(even, t) == pytest.approx(math.log(5), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logistic_neither_overflows_nor_loses_small_losses(dtype):
    row, t = LOSSES["logistic"], np.array([[0, 1], [1, 0]], dtype)
    far = np.array([[1e4, 1e4], [1e4, 1e4]], dtype)
    assert row.value(far, t) == 5e3  # the mean of two losses of 1e4 and two of 0
    np.testing.assert_array_equal(row.gradient(far, t), [[0.25, 0], [0, 0.25]])
    right = np.array([[-40, 40], [40, -40]], dtype)
    assert row.value(right, t) == pytest.approx(math.exp(-40), rel=1e-6, abs=0)
    np.testing.assert_allclose(row.gradient(right, t), math.exp(-40) / 4 * (1 - 2 * t), rtol=1e-6)


@pytest.mark.parametrize("targets", [[True, False, True], [1, 0, 1], [1.0, 0.0, 1.0], np.array([1, 0, 1], np.uint8)])
def test_labels_of_logistic_may_be_of_any_type(targets):
    t = LOSSES["logistic"].read(targets, (3, 1), F64)
    np.testing.assert_array_equal(t, [[1.0], [0.0], [1.0]], strict=True)


@pytest.mark.parametrize("loss", LOSSES)
def test_its_gradient_has_the_dtype_of_the_outputs(loss):
    y, t = random_data(3, 2, 2, loss)
    t = LOSSES[loss].read(t, y.shape, np.dtype("float32"))
    assert LOSSES[loss].gradient(y.astype("float32"), t).dtype == np.float32


@pytest.mark.parametrize("loss", LOSSES)
def test_value_and_gradient_leave_outputs_and_targets_as_they_are(loss):
    y, t = random_data(3, 2, 2, loss)
    t = LOSSES[loss].read(t, y.shape, F64)
    before = y.copy(), t.copy()
    LOSSES[loss].both(y, t)
    np.testing.assert_array_equal(y, before[0])
    np.testing.assert_array_equal(t, before[1])


def test_one_output_takes_a_plain_list_of_targets():
    np.testing.assert_array_equal(LOSSES["mse"].read([1, 2, 3], (3, 1), F64), [[1], [2], [3]])


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64"])
def test_labels_may_be_integers_of_any_width(dtype):
    np.testing.assert_array_equal(LOSSES["cross_entropy"].read(np.array([2, 0], dtype), (2, 3), F64), [2, 0])


BAD = {
    "a shape that would broadcast": (
        "mse",
        [1, 2, 3],
        (3, 2),
        ValueError,
        r"shape of the outputs, \(3, 2\); theirs is \(3,\)",
    ),
    "a row that would broadcast": ("mse", [[1, 2]], (3, 2), ValueError, r"theirs is \(1, 2\)"),
    "text": ("mse", [["a"]], (1, 1), TypeError, "must be numbers; their dtype is <U1"),
    "complex": ("mse", [[1j]], (1, 1), TypeError, "must be numbers; their dtype is complex128"),
    "nan": (
        "mse",
        [[0.0, np.nan]],
        (1, 2),
        ValueError,
        r"targets must be finite float64 numbers; at \[0, 1\] there is nan",
    ),
    "inf": ("mse", [[np.inf]], (1, 1), ValueError, r"at \[0, 0\] there is inf"),
    "a label of two classes": (
        "logistic",
        [[0, 2]],
        (1, 2),
        ValueError,
        "of 'logistic' are labels, each 0 or 1; got 2",
    ),
    "a sign": ("logistic", [1, -1], (2, 1), ValueError, "each 0 or 1; got -1"),
    "a chance": ("logistic", [[0.5]], (1, 1), ValueError, "each 0 or 1; got 0.5"),
    "no answer": ("logistic", [[np.nan]], (1, 1), ValueError, "each 0 or 1; got nan"),
    "answers as text": ("logistic", [["1"]], (1, 1), TypeError, "targets of 'logistic' must be numbers; .* <U1"),
    "answers that would broadcast": (
        "logistic",
        [1, 0],
        (2, 3),
        ValueError,
        r"of 'logistic' .* \(2, 3\); theirs is \(2,\)",
    ),
    "a label too high": (
        "cross_entropy",
        [0, 3],
        (2, 3),
        ValueError,
        "label 3 is out of range: with 3 outputs, .* 0 to 2",
    ),
    "a label below zero": ("cross_entropy", [0, -1], (2, 3), ValueError, "label -1 is out of range"),
    "labels as floats": ("cross_entropy", [0.0, 1.0], (2, 3), TypeError, "must be integer labels, 0 to 2; .* float64"),
    "labels as truth values": ("cross_entropy", [True, False], (2, 3), TypeError, "integer labels.*bool"),
    "labels one-hot": (
        "cross_entropy",
        [[1, 0, 0]],
        (1, 3),
        ValueError,
        r"one label a row, shape \(1,\); theirs is \(1, 3\)",
    ),
    "labels as a column": ("cross_entropy", [[1], [0]], (2, 3), ValueError, r"shape \(2,\); theirs is \(2, 1\)"),
    "one class": (
        "cross_entropy",
        [0],
        (1, 1),
        ValueError,
        "over one output is zero whatever the weights; give .* 2 or more",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_targets_that_make_no_sense_are_refused(case):
    loss, targets, shape, error, message = BAD[case]
    with pytest.raises(error, match=message):
        LOSSES[loss].read(targets, shape, F64)


def test_a_target_too_large_for_the_dtype_is_refused():
    with pytest.raises(ValueError, match=r"targets must be finite float32 numbers; at \[0, 0\] there is 1e\+300"):
        LOSSES["mse"].read([[1e300]], (1, 1), np.dtype("float32"))


def test_an_unknown_loss_names_its_neighbours():
    from symbreak import engine

    x, y = random_data(2, 2, 1, "mse")
    with pytest.raises(UnknownName, match="no loss is called 'crossentropy'; did you mean 'cross_entropy'"):
        engine.gradients(random_network([2, 1]), x, y, loss="crossentropy")
    with pytest.raises(UnknownName, match="no loss is called 'hinge'; choose one of 'mse', 'cross_entropy'"):
        engine.gradients(random_network([2, 1]), x, y, loss="hinge")
