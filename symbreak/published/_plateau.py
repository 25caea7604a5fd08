r"""The symmetric plateau of Saad and Solla: a student of K units that learns a teacher of K units, for small rates.

Student and teacher are sums of :math:`g(J_i \cdot \xi)` with :math:`g(x) = \operatorname{erf}(x / \sqrt2)`, of inputs
that are independent standard normals; the teacher's vectors are orthonormal. What the student gets wrong depends on
the overlaps alone: :math:`Q_{ik} = J_i \cdot J_k` among its vectors and :math:`R_{in}` with the teacher's.
"""

import math
from typing import Any

import numpy as np

from symbreak.engine import Dense, Network, gradients
from symbreak.streams import Key, Stream

from ._comparison import Comparison, Row

Array = np.ndarray[Any, np.dtype[Any]]

SOURCE = (
    "Saad, Solla. Exact solution for on-line learning in multilayer neural networks. Physical Review Letters 74, "
    "4337-4340 (1995); On-line learning in soft committee machines. Physical Review E 52, 4225-4243 (1995)"
)
OVERLAP = 1e-10  # how far the student's vectors lean to the teacher's at the start, at most
LEARNED = 1e-9  # the error at which the flow is stopped
TIED_RUN = (2**14, 80)  # inputs, spread evenly over the normal distribution, and steps of the engine's run
DRAWN_RUN = (2**12, 300)
RATE = 0.25  # of the engine's loss, twice the error, and of vectors over sqrt(2): a step of 1 in the time of the flow


def plateau_height(units: int) -> float:
    """Give the published height: (K / pi) (pi / 6 - K arcsin(1 / (2 K)))."""
    return units / math.pi * (math.pi / 6 - units * math.asin(1 / (2 * units)))


def generalization_error(Q: Array, R: Array) -> float:
    """Give half the mean squared difference of student and teacher, from the overlaps, (K, K) each."""
    q, k = np.diag(Q), len(Q)
    student = np.arcsin(Q / np.sqrt(np.outer(1 + q, 1 + q))).sum()
    both = np.arcsin(R / np.sqrt(2 * (1 + q))[:, np.newaxis]).sum()
    teacher = k * math.pi / 6  # K times arcsin(1/2): orthonormal vectors overlap with themselves alone
    return float((student + teacher - 2 * both) / math.pi)


def descent(J: Array) -> Array:
    """Give minus the gradient of the error at the student's vectors, (K, N), the teacher's being the first K axes."""
    k = len(J)
    q, R = (J * J).sum(axis=1), J[:, :k]
    a = 1 + q
    Q = J @ J.T
    # d arcsin(c) = dc / sqrt(1 - c^2), with c = Q_ij / sqrt(a_i a_j) and c = R_in / sqrt(2 a_i).
    inner = 1 / np.sqrt(np.outer(a, a) - Q * Q)
    outer = 1 / np.sqrt(2 * a[:, np.newaxis] - R * R)
    np.fill_diagonal(inner, 0)  # a unit with itself: d arcsin(q / (1 + q)) = dq / ((1 + q) sqrt(1 + 2 q))
    alone = 2 / (a * np.sqrt(1 + 2 * q)) - 2 * ((inner * Q).sum(axis=1) - (outer * R).sum(axis=1)) / a
    toward = np.zeros_like(J)
    toward[:, :k] = 2 * outer
    return np.asarray((toward - 2 * inner @ J - alone[:, np.newaxis] * J) / math.pi)


def symmetric_plateau(units: tuple[int, ...] = (2, 3)) -> Comparison:
    """Find how high the symmetric plateau lies, from the equations of the overlaps and from a network in training.

    Parameters
    ----------
    units
        The numbers of hidden units K, each 2 or more.

    Returns
    -------
    Comparison
        Its curves, for each K: ``time K`` and ``error K``, gradient flow by its equations; ``tied K`` and ``random K``,
        (steps,), half the loss of the engine's networks from a tied and from a random start.

    References
    ----------
    Saad, Solla. "On-line learning in soft committee machines". Physical Review E 52 (1995).

    Examples
    --------
    >>> from symbreak.published import symmetric_plateau
    >>> round(symmetric_plateau((2,))["K=2: gradient flow waits at"].published, 6)
    0.011611
    """
    rows: list[Row] = []
    curves: dict[str, Array] = {}
    for k in units:
        published = plateau_height(k)
        time, errors, speed = _flow(k)
        waits = errors[np.argmin(np.where(errors > published / 2, speed, np.inf))]
        tied, drawn = _engine(k)
        curves |= {f"time {k}": time, f"error {k}": errors, f"tied {k}": tied, f"random {k}": drawn}
        rows += [
            Row(f"K={k}: gradient flow waits at", published, float(waits), FLOW),
            Row(f"K={k}: tied units can come to", published, float(tied[-1]), TIED),
            Row(f"K={k}: random units come to", 0.0, float(drawn[-1]), DRAWN),
            Row(f"K={k}: gradient flow comes to", 0.0, float(errors[-1]), FLOW),
        ]
    return Comparison("The symmetric plateau of a soft committee machine", SOURCE, tuple(rows), curves)


FLOW = (
    "published: (K/pi)(pi/6 - K arcsin(1/(2K))), the error at the symmetric fixed point. Ours: gradient flow of the "
    "error as a function of the overlaps, by scipy.integrate, where it is slowest"
)
TIED = (
    f"{TIED_RUN[1]} steps of engine.gradients from equal units, over {TIED_RUN[0]:,} inputs of a Sobol sequence: they "
    "stay equal, bit for bit, and never leave"
)
DRAWN = f"the same from random units, {DRAWN_RUN[1]} steps over {DRAWN_RUN[0]:,} inputs: they leave"


def _flow(k: int) -> tuple[Array, Array, Array]:
    """Integrate the gradient flow, for times, errors, and the speed at which the error falls."""
    from scipy.integrate import solve_ivp

    # The student's part outside the teacher's span is another K axes; its vectors start there, of unequal lengths.
    start = np.zeros((k, 2 * k))
    start[:, :k] = OVERLAP * Stream(Key(0)["plateau"][str(k)], dtype="float64").uniform((k, k))
    start[:, k:] = np.diag(np.sqrt(0.5 * (np.arange(k) + 1) / k))

    def velocity(_: float, flat: Array) -> Array:
        return descent(flat.reshape(k, 2 * k)).ravel()

    def learned(_: float, flat: Array) -> float:
        J = flat.reshape(k, 2 * k)
        return generalization_error(J @ J.T, J[:, :k]) - LEARNED

    learned.terminal = True  # type: ignore[attr-defined]  # what SciPy asks for
    found = solve_ivp(
        velocity, (0.0, 5000.0), start.ravel(), method="DOP853", rtol=1e-8, atol=OVERLAP / 100, events=learned
    )
    vectors = found.y.T.reshape(-1, k, 2 * k)
    errors = np.array([generalization_error(J @ J.T, J[:, :k]) for J in vectors])
    speed = np.array([(descent(J) ** 2).sum() for J in vectors])
    return np.asarray(found.t), errors, speed


def _engine(k: int) -> tuple[Array, Array]:
    """Train a tied and a random student on evenly spread inputs, for their errors by step."""
    lean = 1 + 0.1 * Stream(Key(1)["plateau"][str(k)], dtype="float64").normal((k, k))
    return _train(0.3 * np.ones((k, k)), *TIED_RUN), _train(0.3 * lean, *DRAWN_RUN)


def _committee(J: Array) -> Network:
    return Network([Dense(J / math.sqrt(2), activation="erf"), Dense(np.ones((1, len(J))))])


def _train(J: Array, sample: int, steps: int) -> Array:
    """Train the vectors alone, the outgoing weights being 1 for ever, for half the loss before every step."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    k = len(J)
    points = qmc.Sobol(k, scramble=False).random(sample)
    x = ndtri(points + 0.5 / sample)  # the sequence starts at 0: moved to the middle of its cells
    y = _committee(np.eye(k))(x)
    net = _committee(J)
    weight = net.parameters["layers.0.weight"]
    losses = np.empty(steps)
    for step in range(steps):
        found = gradients(net, x, y)
        losses[step] = found.loss
        weight -= RATE * found["layers.0.weight"]
    return losses / 2
