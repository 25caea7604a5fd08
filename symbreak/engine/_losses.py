"""The losses and their gradients, one row a loss: `y` is what the network says, (batch, out), and `t` what it should.

All are means over the batch, so that a learning rate means the same for every batch size. Axes of `y` after the first
two are kept: many networks side by side, (batch, out, networks), have one loss each.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ._activations import sigmoid, softplus
from ._checks import as_finite

Array = np.ndarray[Any, np.dtype[Any]]


Shape = tuple[int, ...]  # of the outputs: (batch, ..., out)


class Loss(NamedTuple):
    """How targets are read, and the loss of a batch with its gradient at the outputs: they share most of the work."""

    read: Callable[[Any, Shape, np.dtype[Any]], Array]  # targets, shape and dtype of y -> t
    both: Callable[[Array, Array], tuple[Any, Array]]  # y, t -> loss, gradient at y, (batch, out)

    def value(self, y: Array, t: Array) -> Any:
        """Compute the loss: a number, or one for each entry of y's further axes."""
        return self.both(y, t)[0]

    def gradient(self, y: Array, t: Array) -> Array:
        """Compute the gradient at y, (batch, out)."""
        return self.both(y, t)[1]


def _read_numbers(targets: Any, shape: Shape, loss: str, kinds: str = "biuf") -> Array:
    t = np.asarray(targets)
    if t.dtype.kind not in kinds:
        raise TypeError(f"the targets of {loss!r} must be numbers; their dtype is {t.dtype}")
    if t.shape == shape[:-1] and shape[-1] == 1:
        t = t[..., np.newaxis]  # one output: a plain list of targets has one meaning only
    if t.shape != shape:
        raise ValueError(f"the targets of {loss!r} must have the shape of the outputs, {shape}; theirs is {t.shape}")
    return t


def _read_values(targets: Any, shape: Shape, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "O":
        return _read_numbers(targets, shape, "mse", "biufO")  # the network makes exact numbers of them
    return as_finite(_read_numbers(targets, shape, "mse"), dtype, "targets")


def _read_answers(targets: Any, shape: Shape, dtype: np.dtype[Any]) -> Array:
    t = _read_numbers(targets, shape, "logistic")
    if wrong := [value for value in t.ravel().tolist() if value not in (0, 1)]:
        raise ValueError(f"the targets of 'logistic' are labels, each 0 or 1; got {wrong[0]!r}")
    return t.astype(dtype)


def _read_labels(targets: Any, shape: Shape, dtype: np.dtype[Any]) -> Array:  # noqa: ARG001 - as in its row
    *rows, classes = shape
    t = np.asarray(targets)
    if classes < 2:
        raise ValueError(
            "'cross_entropy' over one output is zero whatever the weights; give the network 2 or more outputs"
        )
    if t.dtype.kind not in "iu":
        raise TypeError(
            f"the targets of 'cross_entropy' must be integer labels, 0 to {classes - 1}; their dtype is {t.dtype}"
        )
    if t.shape != tuple(rows):
        raise ValueError(
            f"the targets of 'cross_entropy' must be one label a row, shape {tuple(rows)}; theirs is {t.shape}"
        )
    if t.min() < 0 or t.max() >= classes:
        wrong = t[(t < 0) | (t >= classes)][0]
        raise ValueError(f"label {wrong} is out of range: with {classes} outputs, labels go from 0 to {classes - 1}")
    return t.astype(np.intp)


def _mse(y: Array, t: Array) -> tuple[Any, Array]:
    d = y - t
    size = y.shape[0] * y.shape[1]
    if y.dtype == object:
        return (d * d).sum() * Fraction(1, size), d * Fraction(2, size)
    return np.add.reduce(np.square(d), axis=(0, 1)) / size, d * (2 / size)


def _cross_entropy(y: Array, t: Array) -> tuple[Any, Array]:
    labelled = np.arange(len(t)), t
    shifted = y - y.max(axis=1, keepdims=True)  # the largest becomes 0, so that no exp overflows
    g = np.exp(shifted)
    total = g.sum(axis=1, keepdims=True)
    value = (np.log(total[:, 0]) - shifted[labelled]).mean(axis=0)
    g /= total
    g[labelled] -= 1
    g /= len(t)
    return value, g


def _logistic(y: Array, t: Array) -> tuple[Any, Array]:
    side = 2 * t - 1
    below = -y * side  # how far y is on the wrong side of 0; log(1 + exp(y)) - t * y would cancel
    g = sigmoid(below) * -side / (y.shape[0] * y.shape[1])
    return softplus(below).mean(axis=(0, 1)), np.asarray(g)


# fmt: off
LOSSES = {
    "mse":           Loss(_read_values,  _mse),
    "cross_entropy": Loss(_read_labels,  _cross_entropy),
    "logistic":      Loss(_read_answers, _logistic),
}
# fmt: on
