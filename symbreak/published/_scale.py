r"""The scale of a random start sets the speed of learning: too small waits at the equilibrium, too large saturates.

At zero weights a network with one hidden layer is at a saddle. Near it, with an odd activation of slope 1,

.. math:: \frac{dw_j}{dt} = 2 a_j c, \quad \frac{da_j}{dt} = 2 c \cdot w_j, \qquad c = \operatorname{E}[t x],

so that what is smaller by ten takes :math:`\ln 10 / \ln(1 + 2 \eta |c|)` steps longer.
"""

import math
from typing import Any

import numpy as np

from symbreak._restarts import restarts
from symbreak.engine import SGD
from symbreak.initializers import Normal
from symbreak.streams import Key, Stream

from ._comparison import Comparison, Row

Array = np.ndarray[Any, np.dtype[Any]]

SOURCE = (
    "Saxe, McClelland, Ganguli. Exact solutions to the nonlinear dynamics of learning in deep linear neural networks. "
    "ICLR 2014, arXiv:1312.6120: the time to leave a small start goes with the logarithm of its size"
)
INPUTS, HIDDEN, ROWS = 4, 8, 64
RATE = 0.05
ENOUGH = 0.05  # the loss that counts as learned
STDS = tuple(float(10**power) for power in np.linspace(-3, 1, 9))


def scale_of_start(starts: int = 16, steps: int = 2000) -> Comparison:
    """Train from starts of many sizes, and count the epochs that each takes to a loss.

    Parameters
    ----------
    starts
        How many of each size.
    steps
        How many epochs each gets, one step of all rows an epoch.

    Returns
    -------
    Comparison
        Its curves: ``stds``, (sizes,), and ``epochs``, (sizes, starts): those to the loss, inf where it is not
        reached.

    References
    ----------
    Saxe, McClelland, Ganguli. "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".
    ICLR 2014. :arxiv:`1312.6120`

    Examples
    --------
    >>> from symbreak.published import scale_of_start
    >>> scale_of_start(starts=2, steps=200).curves["epochs"].shape
    (9, 2)
    """
    x, t = data()
    epochs = np.array([_epochs(std, x, t, starts, steps) for std in STDS])
    middle = np.median(epochs, axis=1)
    decade = len(STDS) // 4
    predicted = steps_a_decade(x, t)
    how = "published: ln 10 / ln(1 + 2 rate |E[t x]|). Ours: the difference of the median epochs"
    with np.errstate(invalid="ignore"):  # inf less inf: not learned from either size
        waits = middle[0] - middle[decade], middle[decade] - middle[2 * decade]
    rows = [
        Row("epochs more, std 0.001 for 0.01", predicted, float(waits[0]), how),
        Row("epochs more, std 0.01 for 0.1", predicted, float(waits[1]), how),
    ]
    rows += [
        Row(
            f"median epochs from std {STDS[index]:g}",
            None,
            float(middle[index]),
            f"to a loss of {ENOUGH}, over {starts} starts; inf: not within {steps:,} epochs",
        )
        for index in range(0, len(STDS), decade)
    ]
    best = int(np.argmin(middle))
    rows.append(Row("std that learns fastest", None, STDS[best], f"of {len(STDS)} from {STDS[0]:g} to {STDS[-1]:g}"))
    curves = {"stds": np.array(STDS), "epochs": epochs}
    return Comparison("Epochs to a loss by the scale of the start", SOURCE, tuple(rows), curves)


def data() -> tuple[Array, Array]:
    """Make inputs, and targets that one tanh unit gives: learned in one go, so that there is one wait."""
    key = Key(0)["scale"]
    x = Stream(key["x"], dtype="float64").normal((ROWS, INPUTS))
    weight = Stream(key["weight"], dtype="float64").normal(INPUTS)
    return x, np.tanh(x @ weight / np.linalg.norm(weight))


def steps_a_decade(x: Array, t: Array) -> float:
    """Give how many steps more a start takes that is ten times smaller."""
    return math.log(10) / math.log1p(2 * RATE * float(np.linalg.norm(t @ x) / len(x)))


def _epochs(std: float, x: Array, t: Array, starts: int, steps: int) -> Array:
    found = restarts(
        [INPUTS, HIDDEN, 1], x, t, starts=starts, steps=steps, optimizer=SGD(RATE), init=Normal(std), bias_init=None,
        rng=Key(0)["scale"]["starts"], dtype="float64", tolerance=ENOUGH, progress=False,
    )  # fmt: skip
    return np.where(found.losses <= ENOUGH, found.steps, np.inf)
