"""Net2Net: a trained network made wider by copies of its units, with noise and without.

The copies of a unit share its outgoing weights out, so that the function stays what it was. Without noise they are
tied: the wider network is the old one for ever.
"""

from typing import Any

import numpy as np

from symbreak.engine import Adam, Dense, Network, mlp, train
from symbreak.initializers import GlorotNormal
from symbreak.streams import Key, Stream

from ._comparison import Comparison, Row

Array = np.ndarray[Any, np.dtype[Any]]

SOURCE = "Chen, Goodfellow, Shlens. Net2Net: accelerating learning via knowledge transfer. ICLR 2016, arXiv:1511.05641"
OLD, NEW = 4, 8  # hidden units
NOISE = 1e-3  # of all copies but the first
RULE = Adam(0.01)
ROWS = 64
KEY = Key(0)["widening"]


def widening(steps: int = 3000) -> Comparison:
    """Widen a trained network with noise and without, and go on training.

    Parameters
    ----------
    steps
        How many before widening, and how many after.

    Returns
    -------
    Comparison
        Its curves: ``before``, ``without noise`` and ``with noise``, (steps,), the losses; ``distance without noise``
        and ``distance with noise``, (steps,), the least distance of two hidden units' incoming weights and biases.

    References
    ----------
    Chen, Goodfellow, Shlens. "Net2Net: accelerating learning via knowledge transfer". ICLR 2016. :arxiv:`1511.05641`

    Examples
    --------
    >>> from symbreak.published import widening
    >>> found = widening(steps=100)
    >>> found["different units, without noise"].ours, found["different units, with noise"].ours
    (4.0, 8.0)
    """
    x, t = _data()
    old = mlp([2, OLD, 1], init=GlorotNormal(), rng=KEY["old"])
    curves: dict[str, Array] = {"before": train(old, x, t, optimizer=RULE, steps=steps).losses}
    reached = train_more(old, 1)[0][0]
    rows = [Row("loss before", None, float(reached), f"engine.train, 2-{OLD}-1, {steps:,} steps of Adam")]
    for noise, name in ((0.0, "without noise"), (NOISE, "with noise")):
        net = widen(old, noise)
        moved = float(abs(net(x) - old(x)).max())
        losses, distances = train_more(net, steps)
        curves |= {name: losses, f"distance {name}": distances}
        how = f"{OLD} units copied to {NEW}" + (
            f", normal noise of {NOISE} on each second copy" if noise else "; published: the function is preserved"
        )
        rows.append(Row(f"largest change of an output, {name}", None if noise else 0.0, moved, how))
        how = f"after {steps:,} further steps; published: copies without noise stay copies, and with it they separate"
        rows.append(Row(f"different units, {name}", float(NEW if noise else OLD), float(count_units(net)), how))
        rows.append(Row(f"loss, {name}", None, float(losses[-1]), f"after {steps:,} further steps"))
    return Comparison("Widening a network by copies of its units", SOURCE, tuple(rows), curves)


def _data() -> tuple[Array, Array]:
    x = Stream(KEY["x"], dtype="float64").uniform((ROWS, 2))
    return x, np.sin(3 * x[:, :1]) * np.cos(3 * x[:, 1:])


def widen(net: Network, noise: float) -> Network:
    """Copy every hidden unit of a network until there are `NEW`, with noise on all copies but the first."""
    w0, b0, w1, b1 = net.parameters.values()
    of = np.arange(NEW) % OLD  # whose copy each unit is
    copies = np.bincount(of)
    w0, b0, w1 = w0[of], b0[of], w1[:, of] / copies[of]
    w0[OLD:] += noise * Stream(KEY["noise"], dtype="float64").normal((NEW - OLD, 2))
    return Network([Dense(w0, b0, "tanh"), Dense(w1, b1)])


def train_more(net: Network, steps: int) -> tuple[Array, Array]:
    """Train, for the losses and the least distance of two units by step."""
    x, t = _data()
    distances: list[float] = []
    history = train(
        net, x, t, optimizer=RULE, steps=steps, callback=lambda step: distances.append(least_distance(step.network))
    )
    return history.losses, np.array(distances)


def least_distance(net: Network) -> float:
    """Give the least distance of two hidden units' incoming weights and biases."""
    units = np.column_stack([net.parameters["layers.0.weight"], net.parameters["layers.0.bias"]])
    apart = np.linalg.norm(units[:, np.newaxis] - units, axis=-1)
    return float(apart[np.triu_indices(len(units), 1)].min())


def count_units(net: Network) -> int:
    """Count the hidden units that are not equal, to the last bit, to one before them."""
    units = np.column_stack([net.parameters["layers.0.weight"], net.parameters["layers.0.bias"]])
    return len(np.unique(units, axis=0))
