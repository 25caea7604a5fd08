"""Ties break through BLAS: rounding alone leads tied units off their plateau, at a steady factor a step."""

import itertools
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
INPUTS = (20, 33, 100)  # tried in turn: what a tile's edge is depends on how long the sums are, too
OUTPUTS, ROWS = 3, 64
WIDTHS = (17, 33, 65, 100, 3, 5, 6, 7, 9, 10, 11, 13, 19, 21, 25, 31, 37, 49, 51, 57, 67, 81, 97, 113, 129, 145, 200)
SMALL, LARGE = 1e-11, 1e-7  # distances between which the growth is measured: above rounding, below saturation
PLACES = 5  # steps between them at which the growth is predicted
H = 2.0**-17  # step of a central difference


def blas_escape(steps: int = 3000) -> Comparison:
    """Train tied units through BLAS and through the tie-preserving product, at a size where BLAS breaks ties.

    Parameters
    ----------
    steps
        How many.

    Returns
    -------
    Comparison
        Its curves: for each product ``blas`` and ``tie_preserving``, ``loss ...`` and ``distance ...``, (steps,): the
        loss, and the largest difference between the incoming weights of two units, after each step. Where no size that
        is tried breaks a tie on this machine, as is so for some BLAS libraries, the row ``width`` is 0 and no others
        are there but those of the tie-preserving product.

    References
    ----------
    Chen, Goodfellow, Shlens. "Net2Net: accelerating learning via knowledge transfer". ICLR 2016. :arxiv:`1511.05641`

    Examples
    --------
    >>> from symbreak.published import blas_escape
    >>> blas_escape(steps=10)["tie-preserving: distance at the end"].ours
    0.0
    """
    inputs, width = breaking_size()
    losses, distances, _ = run(inputs, width or WIDTHS[0], "tie_preserving", steps)
    curves = {"loss tie_preserving": losses, "distance tie_preserving": distances}
    searched = f"the first of {len(WIDTHS)} widths at which BLAS breaks a tie within 5 steps; 0 where none does"
    rows = [
        Row("inputs", None, float(inputs), f"the first of {', '.join(map(str, INPUTS))} that has such a width"),
        Row("width", None, float(width), searched),
        Row("tie-preserving: distance at the end", 0.0, float(distances[-1]), f"engine.train, {steps:,} steps"),
        Row("tie-preserving: loss at the end", None, float(losses[-1]), f"engine.train, {steps:,} steps"),
    ]
    if width:
        plateau = losses[-1]
        losses, distances, _ = run(inputs, width, "blas", steps)
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
            places = np.linspace(first, last, PLACES).astype(int).tolist()
            predicted = sum(predicted_growth(inputs, width, step) for step in places) / PLACES
            how = (
                f"published: ln(1 - rate * lowest eigenvalue) of the Hessian across the tie, the mean at {PLACES} "
                f"steps from {first} to {last}. Ours: the mean growth of ln(distance) a step between them"
            )
            rows.append(Row("growth a step, ln", predicted, measured, how))
    return Comparison("Tied units escape through BLAS", SOURCE, tuple(rows), curves)


def breaking_size() -> tuple[int, int]:
    """Find numbers of inputs and hidden units at which BLAS breaks ties on this machine; no units if there are none."""
    sizes = itertools.product(INPUTS, WIDTHS)
    return next(((inputs, width) for inputs, width in sizes if run(inputs, width, "blas", 5)[1].any()), (INPUTS[0], 0))


def rate(width: int) -> float:
    """Give a learning rate at which training is stable: all units move the output together."""
    return 0.3 * min(1.0, 33 / width)


def tied_network(inputs: int, width: int, product: str) -> tuple[Network, Array, Array]:
    """Make a network of tied units, inputs and targets."""
    key = Key(0)["blas"]
    one, x, t, out = (
        Stream(key[name], dtype="float64").normal(shape)
        for name, shape in {"one": (1, inputs), "x": (ROWS, inputs), "t": (ROWS, OUTPUTS), "out": (OUTPUTS, 1)}.items()
    )
    hidden = Dense(np.tile(one / math.sqrt(inputs), (width, 1)), np.zeros(width), "tanh")
    return Network([hidden, Dense(np.tile(out / width, (1, width)), np.zeros(OUTPUTS))], product=product), x, t


def run(inputs: int, width: int, product: str, steps: int) -> tuple[Array, Array, Network]:
    """Train tied units, for the loss and the largest distance of two units' incoming weights by step."""
    net, x, t = tied_network(inputs, width, product)
    weight = net.parameters["layers.0.weight"]
    distances: list[float] = []

    def note(_: Step) -> None:
        distances.append(float(np.ptp(weight, axis=0).max()))

    history = train(net, x, t, optimizer=SGD(rate(width)), steps=steps, callback=note)
    return history.losses, np.array(distances), net


def predicted_growth(inputs: int, width: int, steps: int) -> float:
    """Give ln(1 - rate * lowest eigenvalue) across the tie, where tied units are after so many steps."""
    net = run(inputs, width, "tie_preserving", steps)[2]
    _, x, t = tied_network(inputs, width, "tie_preserving")
    incoming, bias, outgoing = (net.parameters[f"layers.{name}"] for name in ("0.weight", "0.bias", "1.weight"))

    def move(direction: Array) -> None:  # one unit this way, another the other way
        for unit, sign in ((0, 1), (1, -1)):
            incoming[unit] += sign * direction[:inputs]
            bias[unit] += sign * direction[inputs]
            outgoing[:, unit] += sign * direction[inputs + 1 :]

    def across() -> Array:
        g = gradients(net, x, t)
        rows = [
            np.concatenate([g["layers.0.weight"][u], g["layers.0.bias"][u : u + 1], g["layers.1.weight"][:, u]])
            for u in (0, 1)
        ]
        return np.asarray((rows[0] - rows[1]) / 2)

    columns = []
    for direction in np.eye(inputs + 1 + OUTPUTS) * H:
        move(direction)
        ahead = across()
        move(-2 * direction)
        columns.append((ahead - across()) / (2 * H))
        move(direction)
    matrix = np.array(columns)
    return math.log1p(-rate(width) * float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0]))
