"""Training: gradients, steps, and the history of the losses."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from symbreak.streams import RngLike, as_key

from ._batches import batches
from ._checks import as_count, look_up
from ._clipping import AbstractClip
from ._full_batch import Descent
from ._history import History, diverged, halted
from ._lbfgs import LBFGS
from ._losses import LOSSES
from ._network import Gradients, Network, read_batch
from ._optimizers import AbstractOptimizer

Array = np.ndarray[Any, np.dtype[Any]]


@final
@dataclass(frozen=True, eq=False)
class Step:
    """What a callback is told after each step.

    Attributes
    ----------
    number
        The step, from 0.
    network
        The network, after the update. Its parameters are the live arrays: copy what you keep.
    gradients
        The loss, gradients, error signals and activations of this step's batch, from before the update and before
        clipping.
    """

    number: int
    network: Network
    gradients: Gradients


def train(
    net: Network,
    x: Any,
    y: Any,
    *,
    optimizer: AbstractOptimizer | LBFGS,
    steps: int,
    loss: str = "mse",
    clip: AbstractClip | None = None,
    batch_size: int | None = None,
    rng: RngLike = 0,
    callback: Callable[[Step], object] | None = None,
) -> History:
    """Train a network in place.

    Parameters
    ----------
    net
        The network, whose parameters are changed.
    x, y
        Inputs and targets, as `gradients` takes them.
    optimizer
        Such as ``SGD(0.1)`` or ``Adam(CosineDecay(0.01, steps=500))``. Its state starts anew.
    steps
        How many updates, at least 1.
    loss
        ``"mse"``, ``"cross_entropy"`` or ``"logistic"``.
    clip
        What bounds the gradients before the optimizer takes them, such as ``ClipNorm(1.0)``; None leaves them.
    batch_size
        Rows a step. None takes all of them at every step; a number goes through the rows in an order that is drawn anew
        for each pass, the last batch of a pass holding what is left.
    rng
        What the order of the rows, and the noise of layers such as dropout, is drawn from. Unlike elsewhere it is a
        fixed seed by default.
    callback
        Called after every update with a `Step`.

    Returns
    -------
    History
        The loss before every update.

    Raises
    ------
    Diverged
        The loss, a parameter or a buffer is no longer finite. The error has the step and the history up to it.
    Halted
        A step can't be made: its batch is one that a layer can't train on, such as a single row for a batch norm, or a
        schedule gives no rate. The error is a ValueError, and has the step and the history up to it.
    ValueError, TypeError, UnknownName
        As for `gradients`; a clip, a batch size or a network that `LBFGS` doesn't take; or a number of steps or rows
        that makes no sense.

    See Also
    --------
    symbreak.restarts : From many starts side by side.
    gradients : One step, looked at.
    stability : Whether ties will last.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Dense(np.zeros((1, 2)), np.zeros(1))])
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> history = engine.train(net, x, x @ [2.0, -1.0] + 0.5, optimizer=engine.SGD(0.5), steps=200)
    >>> net.parameters["layers.0.weight"].round(6), net.parameters["layers.0.bias"].round(6)
    (array([[ 2., -1.]]), array([0.5]))
    """
    row = look_up(LOSSES, loss, "loss")
    x, t = read_batch(net, x, y, row)
    steps = as_count(steps, "the number of steps")
    if callback is not None and not callable(callback):
        raise TypeError(f"`callback` must be a function of a Step, or None; got {callback!r}")
    if isinstance(optimizer, LBFGS):
        if clip is not None or batch_size is not None:
            raise ValueError(
                f"L-BFGS takes the gradients of all rows as they are: leave `clip` and `batch_size` None; got {clip!r} "
                f"and {batch_size!r}"
            )
        follow = None if callback is None else lambda number, found: callback(Step(number, net, found))
        return Descent(net, x, t, row, loss, optimizer, follow).run(steps)
    if not isinstance(optimizer, AbstractOptimizer):
        raise TypeError(f"the optimizer must be one such as engine.SGD(0.1); got {optimizer!r}")
    if clip is not None and not isinstance(clip, AbstractClip):
        raise TypeError(f"`clip` must be one such as engine.ClipNorm(1.0), or None; got {clip!r}")
    exact = net.dtype == object
    if exact and not (optimizer.polynomial and clip is None):
        raise TypeError(
            f"a network of exact numbers trains with an optimizer that only adds and multiplies, SGD, Momentum or "
            f"Nesterov, and without clipping; got {optimizer!r} and {clip!r}"
        )
    order = batches(len(x), batch_size, rng)
    noise = as_key(rng)["noise"] if net.noisy else None
    parameters, buffers = net.parameters, net.buffers
    states = {name: optimizer.start(parameter) for name, parameter in parameters.items()}
    losses = np.empty(steps)
    told = np.geterr()  # for the callback
    with np.errstate(all="ignore"):  # what is not finite is told by the errors below
        for number in range(steps):
            rows = next(order)
            try:
                found = net.gradients(x[rows], t[rows], row, key=None if noise is None else noise[f"step.{number}"])
                now = optimizer.at(number)
            except ValueError as error:
                raise halted(error, number, losses, loss, optimizer) from error
            losses[number] = found.loss
            if not math.isfinite(found.loss):
                raise diverged(f"the loss became {found.loss}", number, losses, loss, optimizer)
            wanted = found.parameters if clip is None else clip(found.parameters)
            for name, parameter in parameters.items():
                states[name] = now.step(parameter, wanted[name], states[name])
            for name, array in found.buffers.items():
                buffers[name][...] = array
            if callback is not None:
                with np.errstate(**told):
                    callback(Step(number, net, found))
    for name, array in {**parameters, **buffers}.items():
        if not exact and not np.isfinite(array).all():
            raise diverged(f"{name!r} holds values that are not finite", steps, losses, loss, optimizer)
    return History(losses, loss, optimizer)
