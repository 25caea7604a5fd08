r"""The scalar law of stochastic collapse: noise in the gradient can hold a network at zero, where its units are lost.

A product of two weights, :math:`u v`, learns a signal :math:`s` from targets with noise :math:`\sigma \xi`, by SGD of
:math:`(u v - s + \sigma \xi)^2 / 2`. Each weight is multiplied by the same factor, so with :math:`u = v`,

.. math:: u \leftarrow u (1 - \eta r), \qquad r = u^2 - s + \sigma \xi.

The mean of :math:`\log(1 - \eta r)` is :math:`-\eta (u^2 - s) - \eta^2 \sigma^2 / 2` to leading order. Where it is
negative at :math:`u = 0`, the weights collapse; elsewhere :math:`u v` settles where it vanishes.
"""

from typing import Any

import numpy as np

from symbreak.streams import Key, Stream

from ._comparison import Comparison, Row

Array = np.ndarray[Any, np.dtype[Any]]

SOURCE = (
    "Chen, Kunin, Yamamura, Ganguli. Stochastic collapse: how gradient noise attracts SGD dynamics towards simpler "
    "subnetworks. NeurIPS 2023, arXiv:2306.04251"
)
RATE, NOISE = 0.01, 10.0
SIGNALS = (0.1, 0.3, 0.45, 0.55, 0.7, 1.0, 1.5)
LANES = 128  # runs side by side, each with its own noise
PIECE = 500  # steps of noise drawn at once


def law(signal: float, rate: float = RATE, noise: float = NOISE) -> float:
    """Give the mean of u v to leading order in the rate: the signal less rate * noise^2 / 2, or 0 where that is less.

    Examples
    --------
    >>> law(1.0), law(0.3)
    (0.5, 0.0)
    """
    return max(signal - rate * noise**2 / 2, 0.0)


def stochastic_collapse(steps: int = 80_000) -> Comparison:
    """Train a product of two weights on noisy targets, below and above the signal at which it collapses.

    Parameters
    ----------
    steps
        How many steps; the mean is over the later half.

    Returns
    -------
    Comparison
        Its curves: ``signals``, ``means`` and ``errors``, one entry a signal: the mean of u v and its standard error;
        ``signals x``, ``law``, the line of the formula.

    References
    ----------
    Chen, Kunin, Yamamura, Ganguli. "Stochastic collapse". NeurIPS 2023. :arxiv:`2306.04251`

    Examples
    --------
    >>> from symbreak.published import stochastic_collapse
    >>> found = stochastic_collapse(steps=2000)
    >>> found["E[uv] at signal 1.0"].published
    0.5
    """
    means, errors = run(SIGNALS, RATE, NOISE, steps)
    how = (
        f"published: s - eta sigma^2 / 2, or 0 where that is negative, for small eta; here eta = {RATE}, sigma = "
        f"{NOISE:g}, so the threshold is {RATE * NOISE**2 / 2:g}. Ours: the mean over the later half of "
        f"{steps:,} steps of {LANES} runs. The law's next order lowers it by up to {next_order():.2g} and "
        "slows the collapse near the threshold"
    )
    rows = [
        Row(f"E[uv] at signal {signal}", law(signal), float(mean), how)
        for signal, mean in zip(SIGNALS, means, strict=True)
    ]
    fine = np.linspace(0, SIGNALS[-1], 61)
    curves = {
        "signals": np.array(SIGNALS),
        "means": means,
        "errors": errors,
        "signals x": fine,
        "law": np.array([law(signal) for signal in fine]),
    }
    return Comparison("Stochastic collapse of a product of two weights", SOURCE, tuple(rows), curves)


def next_order(rate: float = RATE, noise: float = NOISE) -> float:
    """Give the next term of the mean of log(1 - rate * noise * xi) / rate: the fourth moment's, 3/4 rate^3 noise^4."""
    return 0.75 * rate**3 * noise**4


def run(signals: tuple[float, ...], rate: float, noise: float, steps: int) -> tuple[Array, Array]:
    """Give the mean of u v for each signal over the later half of the steps, and its standard error over the lanes."""
    s = np.array(signals)[:, np.newaxis]
    u = np.ones((len(signals), LANES))
    v = np.ones((len(signals), LANES))
    total = np.zeros((len(signals), LANES))
    stream = Key(0)["collapse"]
    for start in range(0, steps, PIECE):
        xi = Stream(stream[str(start)], dtype="float64").normal((PIECE, 1, LANES))
        for k in range(min(PIECE, steps - start)):
            u, v = step(u, v, s, rate, noise * xi[k])
            if start + k >= steps // 2:
                total += u * v
    lanes = total / (steps - steps // 2)
    return lanes.mean(axis=1), lanes.std(axis=1, ddof=1) / np.sqrt(LANES)


def step(u: Array, v: Array, signal: Array | float, rate: float, noise: Array | float) -> tuple[Array, Array]:
    """Make one step of SGD on (u v - signal + noise)^2 / 2."""
    pull = rate * (u * v - signal + noise)
    return u - pull * v, v - pull * u
