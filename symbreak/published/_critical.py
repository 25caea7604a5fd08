r"""Fukumizu and Amari: a minimum of a small network is a line of critical points of a larger one.

Copy one hidden unit of a minimum and share its outgoing weight :math:`v` out, :math:`\lambda v` to one copy and
:math:`(1 - \lambda) v` to the other: the function is the same for every :math:`\lambda`, and so is the gradient, zero.
Which kind of critical point it is depends on :math:`\lambda` and on one matrix,
:math:`A = \sum_n e_n v \phi''(w \cdot x_n) x_n x_n^T`, with :math:`e` the gradient at the output.
"""

from typing import Any

import numpy as np

from symbreak.engine import Dense, Network, gradients
from symbreak.streams import Key, Stream

from ._comparison import Comparison, Row

Array = np.ndarray[Any, np.dtype[Any]]

SOURCE = (
    "Fukumizu, Amari. Local minima and plateaus in hierarchical structures of multilayer perceptrons. Neural Networks "
    "13, 317-327 (2000)"
)
INPUTS, HIDDEN, ROWS = 2, 2, 24
NOISE = 0.3  # of the targets, so that the errors at the minimum, and with them A, are not zero
STRICT = 1e-3  # the lowest eigenvalue of the Hessian that a minimum must have
SHARES = (0.25, 0.5, -0.5, 1.5)  # lambda: inside (0, 1), and on either side of it
H = 2.0**-10  # step of a difference of fourth order, whose error is about H^4 and the rounding's about eps / H


def critical_lines(minima: int = 6) -> Comparison:
    """Count the directions of descent on the line of critical points that a minimum of a smaller network makes.

    Parameters
    ----------
    minima
        How many minima to find, each of its own data.

    Returns
    -------
    Comparison
        Its curves: ``shares``, values of lambda, and ``lowest``, (minima, shares), the lowest eigenvalue of the Hessian
        there; ``inside`` and ``outside``, (minima,), the numbers that the theorem gives.

    References
    ----------
    Fukumizu, Amari. "Local minima and plateaus in hierarchical structures of multilayer perceptrons". Neural Networks
    13 (2000).

    Examples
    --------
    >>> from symbreak.published import critical_lines
    >>> critical_lines(minima=1)["minimum 1, lambda 0.5"].difference
    0.0
    """
    rows = []
    largest = change = flat = 0.0
    inside, outside, lowest = [], [], []
    shares = np.linspace(-1.0, 2.0, 13)
    for number in range(minima):
        x, t, theta = find_minimum(number)
        negative, positive = signature(curvature_of_copying(x, t, theta))
        inside.append(negative)
        outside.append(positive)
        before, _ = _both(theta, x, t)
        for share in SHARES:
            copied = copy_first_unit(theta, share)
            loss, gradient = _both(copied, x, t)
            values = np.linalg.eigvalsh(hessian(x, t, copied))
            largest, change = max(largest, float(abs(gradient).max())), max(change, abs(loss - before))
            published = negative if 0 < share < 1 else positive
            rows.append(Row(f"minimum {number + 1}, lambda {share}", published, float((values < -FLAT).sum()), COUNT))
            flat = max(flat, abs((abs(values) <= FLAT).sum() - 1.0))
        lowest.append([np.linalg.eigvalsh(hessian(x, t, copy_first_unit(theta, share)))[0] for share in shares])
    rows += [
        Row("largest gradient on the lines", 0.0, largest, LINE),
        Row("largest change of the loss on the lines", 0.0, change, LINE),
        Row("flat directions other than the line", 0.0, flat, LINE),
    ]
    curves = {
        "shares": shares,
        "lowest": np.array(lowest),
        "inside": np.array(inside),
        "outside": np.array(outside),
    }
    return Comparison("Directions of descent on a line of critical points", SOURCE, tuple(rows), curves)


FLAT = 1e-8  # an eigenvalue of this size or less is zero: the differences are good to about 1e-11
COUNT = (
    "published: the negative eigenvalues of the matrix A where lambda is between 0 and 1, its positive ones elsewhere. "
    "Ours: the negative eigenvalues of the larger network's Hessian, by differences of engine.gradients"
)
LINE = "over all minima and lambdas; the line itself is the one direction along which nothing changes"


def find_minimum(number: int) -> tuple[Array, Array, Array]:
    """Find a strict minimum of the small network on data of its own: inputs with a column of ones, targets, weights.

    The weights are those of the hidden units, row by row, then the outgoing ones.
    """
    from scipy.optimize import minimize

    for attempt in range(100):
        key = Key(0)["critical"][str(number)][str(attempt)]
        x = np.ones((ROWS, INPUTS + 1))
        x[:, :INPUTS] = Stream(key["x"], dtype="float64").normal((ROWS, INPUTS))
        theta = Stream(key["teacher"], dtype="float64").normal(HIDDEN * (INPUTS + 2))
        t = network(theta)(x) + NOISE * Stream(key["noise"], dtype="float64").normal((ROWS, 1))
        theta = minimize(_both, theta, args=(x, t), jac=True, method="BFGS", options={"gtol": 1e-6, "maxiter": 150}).x
        if np.linalg.eigvalsh(hessian(x, t, theta))[0] < STRICT:
            continue  # not strict to our eyes, or not there: perhaps on its way to infinity
        for _ in range(4):  # Newton's method, to the last bits
            theta = theta - np.linalg.solve(hessian(x, t, theta), _gradient(x, t, theta))
        if abs(_gradient(x, t, theta)).max() < 1e-14:
            return x, t, theta
    raise AssertionError("100 sets of data had no strict minimum")


def network(theta: Array) -> Network:
    """Make the network of flat weights."""
    units = len(theta) // (INPUTS + 2)
    hidden, outgoing = theta[: units * (INPUTS + 1)], theta[units * (INPUTS + 1) :]
    return Network([Dense(hidden.reshape(units, -1), activation="tanh"), Dense(outgoing.reshape(1, -1))])


def copy_first_unit(theta: Array, share: float) -> Array:
    """Copy the first hidden unit, and share its outgoing weight out."""
    split = HIDDEN * (INPUTS + 1)
    hidden, outgoing = theta[:split], theta[split:]
    return np.concatenate(
        [hidden[: INPUTS + 1], hidden, [share * outgoing[0], (1 - share) * outgoing[0]], outgoing[1:]]
    )


def curvature_of_copying(x: Array, t: Array, theta: Array) -> Array:
    """Compute the matrix A of the first hidden unit; tanh'' = -2 tanh (1 - tanh^2)."""
    found = gradients(network(theta), x, t)
    y, e = found.activations["layers.0"][:, 0], found.error_signals["layers.1"][:, 0]
    factor = e * theta[HIDDEN * (INPUTS + 1)] * (-2 * y * (1 - y * y))
    return np.asarray((x.T * factor) @ x)


def signature(matrix: Array) -> tuple[int, int]:
    """Count the negative and the positive eigenvalues."""
    values = np.linalg.eigvalsh(matrix)
    return int((values < -FLAT).sum()), int((values > FLAT).sum())


def hessian(x: Array, t: Array, theta: Array) -> Array:
    """Compute the Hessian from differences of the gradient, of fourth order, made symmetric."""
    columns = []
    for direction in np.eye(len(theta)) * H:
        near = _gradient(x, t, theta + direction) - _gradient(x, t, theta - direction)
        far = _gradient(x, t, theta + 2 * direction) - _gradient(x, t, theta - 2 * direction)
        columns.append((8 * near - far) / (12 * H))
    matrix = np.array(columns)
    return np.asarray((matrix + matrix.T) / 2)


def _both(theta: Array, x: Array, t: Array) -> tuple[float, Array]:
    found = gradients(network(theta), x, t)
    return found.loss, np.concatenate([found["layers.0.weight"].ravel(), found["layers.1.weight"].ravel()])


def _gradient(x: Array, t: Array, theta: Array) -> Array:
    return _both(theta, x, t)[1]
