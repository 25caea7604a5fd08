r"""The optimum that dropout leads a linear network to: all its units are used alike, and its singular values shrink.

Dropout on the hidden units of :math:`V U x` multiplies each by a factor of mean 1 and variance :math:`\lambda` =
rate / (1 - rate). For inputs of covariance 1 that adds

.. math:: R = \lambda \sum_i |u_i|^2 |v_i|^2

to the mean squared loss (Mianjy, Arora, Vidal), with :math:`u_i` and :math:`v_i` the incoming and outgoing weights of
unit i of r. The numbers that follow from R are derived here:

1. By Cauchy and Schwarz :math:`R \ge (\lambda / r) (\sum_i |u_i| |v_i|)^2`, with equality where all
   :math:`|u_i| |v_i|` are equal.
2. :math:`\sum_i |u_i| |v_i|` is at least the sum of the singular values of :math:`V U`, by the triangle inequality of
   that norm. With no fewer units than the rank of the map, some factors make both equalities.
3. So what is left to minimize is :math:`\sum_k (s_k - \sigma_k)^2 + (\lambda / r) (\sum_k \sigma_k)^2`, s being the
   singular values that are to be learned. Its derivative is zero at :math:`\sigma_k = s_k - (\lambda / r) \sum_j
   \sigma_j`; a :math:`\sigma_k` that would be negative is 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symbreak.engine import SGD, CosineDecay, Dense, Dropout, Network, train
from symbreak.streams import Key, Stream

from ._comparison import Comparison, Row

Array = np.ndarray[Any, np.dtype[Any]]

SOURCE = (
    "Mianjy, Arora, Vidal. On the implicit bias of dropout. ICML 2018, arXiv:1806.09777, for the regularizer; what "
    "follows from it is derived in symbreak"
)
SINGULAR = (3.0, 2.0, 1.0)  # of the linear map that is learned
UNITS, RATE, COPIES = 6, 1 / 3, 20  # hidden units; dropout's rate; rows of each input, each with noise of its own
LEARNING_RATE, START = 0.1, 0.5
KEY = Key(0)["dropout"]


def shrunk(singular: Sequence[float], units: int, rate: float) -> list[float]:
    """Give the singular values of the linear map that dropout leads to, on inputs of covariance 1.

    Those to learn are given in descending order. Each is lowered by lambda / units times the sum of what they become,
    or is 0 where that is more.

    Examples
    --------
    >>> [round(value, 6) for value in shrunk((3.0, 2.0, 1.0), 6, 1 / 3)]
    [2.6, 1.6, 0.6]
    """
    share = rate / (1 - rate) / units
    for rank in range(len(singular), 0, -1):
        # The sum over the first `rank` values of s - share * sum is the sum.
        lower = share * sum(singular[:rank]) / (1 + rank * share)
        if singular[rank - 1] > lower:
            return [max(value - lower, 0.0) for value in singular]
    return [0.0] * len(singular)


def dropout(steps: int = 2000) -> Comparison:
    """Train a linear network from a constant start with dropout and without, for the singular values of its map.

    Parameters
    ----------
    steps
        How many steps; the learning rate falls to zero over them.

    Returns
    -------
    Comparison
        Its curves: ``without dropout`` and ``with dropout``, (steps, 3), the singular values after each step.

    References
    ----------
    Mianjy, Arora, Vidal. "On the implicit bias of dropout". ICML 2018. :arxiv:`1806.09777`

    Examples
    --------
    >>> from symbreak.published import dropout
    >>> found = dropout(steps=20)
    >>> found["without dropout: classes of units"].ours, found["with dropout: classes of units"].ours
    (1.0, 6.0)
    """
    x, y = data()
    rows: list[Row] = []
    curves: dict[str, Array] = {}
    for name, rate in (("without dropout", 0.0), ("with dropout", RATE)):
        net, curves[name] = _train(x, y, rate, steps)
        incoming, outgoing = net.parameters["hidden.weight"], net.parameters["out.weight"]
        ours = f"Ours: {steps:,} steps of SGD from weights of {START}, of engine.train"
        # Tied units are one unit, of rank 1.
        values = shrunk(SINGULAR, UNITS, rate) if rate else [SINGULAR[0], 0.0, 0.0]
        how = f"{DERIVED if rate else TIED}. {ours}"
        rows += [
            Row(f"{name}: singular value {number}", published, float(found), how)
            for number, (published, found) in enumerate(zip(values, curves[name][-1], strict=True), 1)
        ]
        paths = np.linalg.norm(incoming, axis=1) * np.linalg.norm(outgoing, axis=0)
        rows += [
            Row(f"{name}: |u_i| |v_i|, {which}", sum(values) / UNITS, float(path), how)
            for which, path in (("least", paths.min()), ("largest", paths.max()))
        ]
        how = (
            "units whose weights differ in any bit. Dropout is drawn for each unit apart, so that none stay equal; "
            "without it a constant start stays tied"
        )
        units = np.column_stack([incoming, outgoing.T])
        rows.append(Row(f"{name}: classes of units", UNITS if rate else 1, float(len(np.unique(units, axis=0))), how))
    return Comparison("The linear map that dropout leads to", SOURCE, tuple(rows), curves)


TIED = (
    "published: tied units are one unit, of rank 1, and the best map of rank 1 keeps the largest singular value "
    "(Eckart and Young 1936), which equal units share alike"
)
DERIVED = (
    "published: derived here from the regularizer of the paper, not taken from it. sum (s - sigma)^2 + (lambda / r) "
    "(sum sigma)^2 is least at sigma = s - (lambda / r) sum sigma, with all |u_i| |v_i| equal; "
    f"lambda = {RATE / (1 - RATE):g}, r = {UNITS}"
)


def data() -> tuple[Array, Array]:
    """Give inputs of covariance 1, each many times, and what the map with the given singular values makes of them."""
    left, right = (np.linalg.qr(Stream(KEY[side], dtype="float64").normal((3, 3)))[0] for side in ("left", "right"))
    x = np.tile(np.sqrt(3) * np.eye(3), (COPIES, 1))
    return x, x @ (left * SINGULAR @ right.T).T


def _train(x: Array, y: Array, rate: float, steps: int) -> tuple[Network, Array]:
    """Train a constant start, for the network and its singular values after each step."""
    hidden, out = Dense(np.full((UNITS, 3), START)), Dense(np.full((3, UNITS), START))
    net = Network({"hidden": hidden, "drop": Dropout(rate), "out": out})
    incoming, outgoing = net.parameters["hidden.weight"], net.parameters["out.weight"]
    values: list[Array] = []
    train(
        net, x, y, optimizer=SGD(CosineDecay(LEARNING_RATE, steps=steps)), steps=steps, rng=KEY["noise"],
        callback=lambda _: values.append(np.linalg.svd(outgoing @ incoming, compute_uv=False)),
    )  # fmt: skip
    return net, np.array(values)
