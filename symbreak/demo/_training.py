"""Training the network of the demonstration from one start, with everything else the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np

from symbreak import engine
from symbreak.initializers import AbstractInitializer, Constant, HeNormal

from ._digits import Digits

Array = np.ndarray[Any, np.dtype[Any]]
Tell: TypeAlias = Callable[[int, float], object]  # steps done, test accuracy


@final
@dataclass(frozen=True)
class Start:
    """A start that is tried: how it is written, what its file is called, and the weights; the biases start at zero."""

    name: str
    file: str  # without its ending
    initializer: AbstractInitializer


STARTS = (
    Start("Constant(0.5)", "constant", Constant(0.5)),
    Start("HeNormal()", "he_normal", HeNormal()),
)
HIDDEN = 32  # units
STEPS = 3000
BATCH = 32  # images a step
RATE = 0.5
TEST_EVERY = 25  # steps


@final
@dataclass(frozen=True, eq=False)
class Run:
    """A network trained from one start.

    Attributes
    ----------
    start
        How it started.
    seed
        What was drawn.
    parameters
        The trained arrays by name, ``layers.0.weight`` (32, 64) first.
    loss
        The cross-entropy over all training images, in nats, after the last step.
    steps
        (points,): the steps after which the test images were looked at; 0 is before training.
    accuracies
        (points,): the share of the test images whose digit was told right.
    """

    start: Start
    seed: int
    parameters: dict[str, Array]
    loss: float
    steps: Array
    accuracies: Array

    @property
    def accuracy(self) -> float:
        """The share of the test images whose digit is told right after the last step."""
        return float(self.accuracies[-1])


def train_from(start: Start, digits: Digits, *, seed: int = 0, steps: int = STEPS, tell: Tell | None = None) -> Run:
    """Train the network from one start.

    Parameters
    ----------
    start
        How it starts.
    digits
        The images.
    seed
        What the weights and the order of the images are drawn from: the same order for every start.
    steps
        How many, at least 1.
    tell
        Called every few steps with the steps done and the test accuracy.

    Returns
    -------
    Run

    Examples
    --------
    >>> from symbreak.demo import STARTS, load_digits
    >>> run = train_from(STARTS[0], load_digits(), steps=10)
    >>> hidden = run.parameters["layers.0.weight"]
    >>> hidden.shape, bool((hidden == hidden[0]).all())
    ((32, 64), True)
    """
    x, labels = digits.train
    x_test, labels_test = digits.test
    net = engine.mlp([x.shape[1], HIDDEN, 10], activation="tanh", init=start.initializer, rng=seed, dtype="float32")
    points: list[tuple[int, float]] = []

    def look(done: int) -> None:
        points.append((done, float(np.mean(net(x_test).argmax(axis=1) == labels_test))))
        if tell is not None:
            tell(*points[-1])

    def after(step: engine.Step) -> None:
        done = step.number + 1
        if done % TEST_EVERY == 0 or done == steps:
            look(done)

    look(0)
    engine.train(
        net,
        x,
        labels,
        optimizer=engine.SGD(RATE),
        steps=steps,
        loss="cross_entropy",
        batch_size=BATCH,
        rng=seed,
        callback=after,
    )
    loss = engine.gradients(net, x, labels, loss="cross_entropy").loss
    at, accuracies = map(np.array, zip(*points, strict=True))
    return Run(start, seed, dict(net.parameters), loss, at, accuracies)
