"""The symmetry network of Rumelhart, Hinton and Williams: 6 inputs, 2 hidden units, 1 output, all logistic.

The loss of the paper is half the squared error summed over the 64 patterns; the engine's is its mean. So the paper's
learning rate, 0.1, is 0.1 * 64 / 2 here.
"""

from itertools import product
from typing import Any

import numpy as np

from symbreak.engine import Dense, Momentum, Network, train
from symbreak.engine._activations import sigmoid
from symbreak.initializers import Constant, Uniform
from symbreak.streams import Key

from ._comparison import Comparison, Row

Array = np.ndarray[Any, np.dtype[Any]]
Weights = dict[str, Array]

SOURCE = (
    "Rumelhart, Hinton, Williams. Learning representations by back-propagating errors. Nature 323, 533-536 (1986), "
    "figure 1"
)
SIZES = {"layers.0.weight": (2, 6), "layers.0.bias": (2,), "layers.1.weight": (1, 2), "layers.1.bias": (1,)}
PATTERNS = np.array(list(product((0.0, 1.0), repeat=6)))
SYMMETRIC = (PATTERNS[:, ::-1] == PATTERNS).all(axis=1, keepdims=True).astype(float)
RULE = Momentum(0.1 * len(PATTERNS) / 2, momentum=0.9)
SPREAD = 0.3  # starting weights are uniform between minus this and this
SWEEPS_OF_THE_PAPER = 1425.0
CONSTANTS = (0.0, 0.1, 0.3)
PIECE = 40  # starts trained side by side: their arrays stay in a core's cache


def symmetry_network(starts: int = 200, sweeps: int = 10_000) -> Comparison:
    """Train the symmetry network from constant and from random starts.

    Parameters
    ----------
    starts
        How many random ones.
    sweeps
        How many passes over the 64 patterns each start gets.

    Returns
    -------
    Comparison
        Its curves: ``sweeps``, (starts,), the sweep after which each random start first had all 64 patterns right, -1
        for never; ``ratios``, (hidden units of the solved starts, 3), the sizes of the three pairs of incoming weights
        after the last sweep, in ascending order, over the smallest; ``weights``, (2, 6), the incoming weights of the
        start that was first to solve it, after the last sweep.

    References
    ----------
    Rumelhart, Hinton, Williams. "Learning representations by back-propagating errors". Nature 323 (1986).

    Examples
    --------
    >>> from symbreak.published import symmetry_network
    >>> found = symmetry_network(starts=4, sweeps=20)
    >>> found["wrong patterns, start constant 0.1"].ours, found["its hidden units' distance, 0.1"].ours
    (8.0, 0.0)
    """
    rows = []
    for value in CONSTANTS:
        wrong, distance = _from_constant(value, sweeps)
        how = f"engine.train, {sweeps:,} sweeps; the 8 symmetric patterns stay wrong, as one unit can't tell them"
        rows.append(Row(f"wrong patterns, start constant {value}", None, wrong, how))
        rows.append(Row(f"its hidden units' distance, {value}", 0.0, distance, how))
    pieces = [
        train_side_by_side(_draw(range(first, min(first + PIECE, starts))), sweeps) for first in range(0, starts, PIECE)
    ]
    solved_at = np.concatenate([found for found, _ in pieces])
    incoming = np.concatenate([weights["layers.0.weight"] for _, weights in pieces], axis=-1)
    solved = np.flatnonzero(solved_at >= 0)
    rows.append(
        Row(
            f"random starts that solve it, of {starts}",
            None,
            float(len(solved)),
            f"all 64 outputs on the right side of 0.5 within {sweeps:,} sweeps; the paper reports one run",
        )
    )
    ratios = np.empty((0, 3))
    weights = np.zeros((2, 6))
    if len(solved):
        how = "the paper's is one run, whose starting weights are not known; ours are all starts that solve it"
        for what, published, number in (
            ("sweeps to solve it, fewest", None, solved_at[solved].min()),
            ("sweeps to solve it, median", SWEEPS_OF_THE_PAPER, np.median(solved_at[solved])),
            ("sweeps to solve it, most", None, solved_at[solved].max()),
        ):
            rows.append(Row(what, published, float(number), how))
        ratios = pair_ratios(incoming[..., solved])
        middle = np.median(ratios, axis=0)
        how = f"sizes of the pairs of incoming weights, ascending, after {sweeps:,} sweeps: median over hidden units"
        rows.append(Row("second pair over the first", 2.0, float(middle[1]), how))
        rows.append(Row("third pair over the first", 4.0, float(middle[2]), how))
        how = "largest |w + w'| of a pair of mirrored inputs over the largest |w|: median over the solved starts"
        rows.append(Row("opposite signs: what is left of a pair", 0.0, _asymmetry(incoming[..., solved]), how))
        weights = incoming[..., solved[np.argmin(solved_at[solved])]]
    curves = {"sweeps": solved_at, "ratios": ratios, "weights": weights}
    return Comparison("Mirror symmetry: 6 inputs, 2 hidden units, 1 output", SOURCE, tuple(rows), curves)


def _from_constant(value: float, sweeps: int) -> tuple[float, float]:
    """Train from a constant, for the number of patterns that are wrong and the distance of the hidden units."""
    w0, b0, w1, b1 = (Constant(value)(shape, rng=0, dtype="float64") for shape in SIZES.values())
    net = Network([Dense(w0, b0, "sigmoid"), Dense(w1, b1, "sigmoid")])
    train(net, PATTERNS, SYMMETRIC, optimizer=RULE, steps=sweeps)
    weight = net.parameters["layers.0.weight"]
    wrong = np.count_nonzero((net(PATTERNS) > 0.5) != (SYMMETRIC > 0.5))
    return float(wrong), float(abs(weight[0] - weight[1]).max())


def _draw(numbers: range) -> Weights:
    """Draw the starts of these numbers, on the last axis."""
    init = Uniform(-SPREAD, SPREAD)
    return {
        name: np.stack([init(shape, rng=Key(0)[str(n)][name], dtype="float64") for n in numbers], axis=-1)
        for name, shape in SIZES.items()
    }


def train_side_by_side(parameters: Weights, sweeps: int) -> tuple[Array, Weights]:
    """Train networks that lie on the last axis, as `engine.train` would each of them.

    The arrays are changed in place. Returns the sweep after which each network first had all patterns right (-1:
    never), and the arrays.
    """
    w0, b0, w1, b1 = parameters.values()
    count = w0.shape[-1]
    x, t = PATTERNS, SYMMETRIC[:, :, np.newaxis]
    states = {name: RULE.start(array) for name, array in parameters.items()}
    solved = np.full(count, -1)
    for sweep in range(sweeps + 1):
        z0 = (x @ w0.swapaxes(0, 1).reshape(6, -1)).reshape(-1, 2, count) + b0
        y0 = sigmoid(z0)
        z1 = (y0 * w1[0]).sum(axis=1, keepdims=True) + b1
        solved[((z1 > 0) == (t > 0)).all(axis=(0, 1)) & (solved < 0)] = sweep
        if sweep == sweeps:
            break
        y1 = sigmoid(z1)
        g1 = (y1 - t) * (2 / len(x)) * (y1 * (1 - y1))
        g0 = g1 * w1[0] * (y0 * (1 - y0))
        gradients = (
            (x.T @ g0.reshape(len(x), -1)).reshape(6, 2, count).swapaxes(0, 1), g0.sum(axis=0),
            (g1 * y0).sum(axis=0)[np.newaxis], g1.sum(axis=0),
        )  # fmt: skip
        for (name, array), gradient in zip(parameters.items(), gradients, strict=True):
            states[name] = RULE.step(array, gradient, states[name])
    return solved, parameters


def pair_ratios(incoming: Array) -> Array:
    """Give the sizes of the pairs of mirrored weights, ascending, over the smallest: (units * starts, 3)."""
    sizes = abs(incoming[:, :3] - incoming[:, :2:-1]) / 2  # (2, 3, starts): (w - w') / 2 where w' = -w
    sizes = np.sort(np.moveaxis(sizes, 1, -1).reshape(-1, 3), axis=1)
    return np.asarray(sizes / sizes[:, :1])


def _asymmetry(incoming: Array) -> float:
    left = abs(incoming[:, :3] + incoming[:, :2:-1]).max(axis=(0, 1))
    return float(np.median(left / abs(incoming).max(axis=(0, 1))))
