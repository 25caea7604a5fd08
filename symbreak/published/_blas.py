"""Ties break through BLAS: rounding alone leads tied units off their plateau, at a steady factor a step."""

import math
from typing import Any

import numpy as np

from symbreak.engine import SGD, Dense, Network, Step, gradients, train
from symbreak.streams import Key, Stream

from ._comparison import Comparison, Row

Array = np.ndarray[Any, np.dtype[Any]]

SOURCE = (
    "The observation that widened copies separate without noise, as precision is limited: soumith/net2net.torch, pull "
    "request 3 (2015). The factor a step: linear stability of the plateau, computed here"
)
INPUTS, OUTPUTS, ROWS = 20, 3, 64
WIDTHS = (17, 33, 65, 100, 3, 5, 6, 7, 9, 10, 11, 13, 19, 21, 25, 31, 37, 49, 51, 57, 67, 81, 97, 113, 129, 145, 200)
RATE = 0.3
SMALL, LARGE = 1e-11, 1e-7  # distances between which the growth is measured: above rounding, below saturation
H = 2.0**-17  # step of a central difference


def blas_escape(steps: int = 3000) -> Comparison:
    """Train tied units through BLAS and through the tie-preserving product, at a width where BLAS breaks ties.

    Parameters
    ----------
    steps
        How many.

    Returns
    -------
    Comparison
        Its curves: for each product ``blas`` and ``tie_preserving``, ``loss ...`` and ``distance ...``, (steps,): the
        loss, and the largest difference between the incoming weights of two units, after each step. Where no width
        breaks on this machine, as is so for some BLAS libraries, the row ``width`` is 0 and no others are there but
        those of the tie-preserving product.

    References
    ----------
    Chen, Goodfellow, Shlens. "Net2Net: accelerating learning via knowledge transfer". ICLR 2016. :arxiv:`1511.05641`

    Examples
    --------
    >>> from symbreak.published import blas_escape
    >>> blas_escape(steps=10)["tie-preserving: distance at the end"].ours
    0.0
    """
    width = breaking_width()
    losses, distances, _ = run(width or WIDTHS[0], "tie_preserving", steps)
    curves = {"loss tie_preserving": losses, "distance tie_preserving": distances}
    searched = f"the first of {len(WIDTHS)} widths at which BLAS breaks a tie within 5 steps; 0 where none does"
    rows = [
        Row("width", None, float(width), searched),
        Row("tie-preserving: distance at the end", 0.0, float(distances[-1]), f"engine.train, {steps:,} steps"),
        Row("tie-preserving: loss at the end", None, float(losses[-1]), f"engine.train, {steps:,} steps"),
    ]
    if width:
        plateau = losses[-1]
        losses, distances, _ = run(width, "blas", steps)
        curves |= {"loss blas": losses, "distance blas": distances}
        how = f"engine.train, {steps:,} steps, product='blas'"
        rows += [
            Row("BLAS: distance, first above 0", None, float(distances[distances > 0][0]), how),
            Row("BLAS: distance at the end", None, float(distances[-1]), how),
            Row("BLAS: loss at the end, over the plateau's", None, float(losses[-1] / plateau), how),
        ]
        window = np.flatnonzero((distances > SMALL) & (distances < LARGE))
        if len(window) > 1:
            first, last = int(window[0]), int(window[-1])
            measured = (math.log(distances[last]) - math.log(distances[first])) / (last - first)
            at_first, at_last = (predicted_growth(width, step) for step in (first, last))
            how = (
                f"published: ln(1 - rate * lowest eigenvalue) of the Hessian across the tie, at steps {first} and "
                f"{last}. Ours: the mean growth of ln(distance) a step between them"
            )
            rows.append(Row("growth a step, ln", (at_first + at_last) / 2, measured, how))
    return Comparison("Tied units escape through BLAS", SOURCE, tuple(rows), curves)


def breaking_width() -> int:
    """Find a number of hidden units at which BLAS breaks ties on this machine; 0 if there is none to be found."""
    return next((width for width in WIDTHS if run(width, "blas", 5)[1].any()), 0)


def tied_network(width: int, product: str) -> tuple[Network, Array, Array]:
    """Make a network of tied units, inputs and targets."""
    key = Key(0)["blas"]
    one, x, t, out = (
        Stream(key[name], dtype="float64").normal(shape)
        for name, shape in {"one": (1, INPUTS), "x": (ROWS, INPUTS), "t": (ROWS, OUTPUTS), "out": (OUTPUTS, 1)}.items()
    )
    hidden = Dense(np.tile(one / math.sqrt(INPUTS), (width, 1)), np.zeros(width), "tanh")
    return Network([hidden, Dense(np.tile(out / width, (1, width)), np.zeros(OUTPUTS))], product=product), x, t


def run(width: int, product: str, steps: int) -> tuple[Array, Array, Network]:
    """Train tied units, for the loss and the largest distance of two units' incoming weights by step."""
    net, x, t = tied_network(width, product)
    weight = net.parameters["layers.0.weight"]
    distances: list[float] = []

    def note(_: Step) -> None:
        distances.append(float(np.ptp(weight, axis=0).max()))

    history = train(net, x, t, optimizer=SGD(RATE), steps=steps, callback=note)
    return history.losses, np.array(distances), net


def predicted_growth(width: int, steps: int) -> float:
    """Give ln(1 - rate * lowest eigenvalue) across the tie, where tied units are after so many steps."""
    net = run(width, "tie_preserving", steps)[2]
    _, x, t = tied_network(width, "tie_preserving")
    incoming, bias, outgoing = (net.parameters[f"layers.{name}"] for name in ("0.weight", "0.bias", "1.weight"))

    def move(direction: Array) -> None:  # one unit this way, another the other way
        for unit, sign in ((0, 1), (1, -1)):
            incoming[unit] += sign * direction[:INPUTS]
            bias[unit] += sign * direction[INPUTS]
            outgoing[:, unit] += sign * direction[INPUTS + 1 :]

    def across() -> Array:
        g = gradients(net, x, t)
        rows = [
            np.concatenate([g["layers.0.weight"][u], g["layers.0.bias"][u : u + 1], g["layers.1.weight"][:, u]])
            for u in (0, 1)
        ]
        return np.asarray((rows[0] - rows[1]) / 2)

    columns = []
    for direction in np.eye(INPUTS + 1 + OUTPUTS) * H:
        move(direction)
        ahead = across()
        move(-2 * direction)
        columns.append((ahead - across()) / (2 * H))
        move(direction)
    matrix = np.array(columns)
    return math.log1p(-RATE * float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0]))
