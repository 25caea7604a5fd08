"""The function `restarts`: what it takes, checked; batches sent out; what comes back, put in order."""

import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from contextlib import closing
from typing import Any

import numpy as np

from symbreak.engine import SGD, AbstractOptimizer, mlp
from symbreak.engine._checks import as_count, look_up
from symbreak.engine._losses import LOSSES
from symbreak.engine._network import read_batch
from symbreak.initializers import AbstractInitializer, GlorotNormal, Zeros, get
from symbreak.streams import RngLike, as_key

from ._batch import Settings, train_batch
from ._kept import Kept
from ._progress import Progress, watching
from ._record import Trained
from ._result import Restarts
from ._stack import LANES

Array = np.ndarray[Any, np.dtype[Any]]
InitializerLike = AbstractInitializer | type[AbstractInitializer] | str | Mapping[str, Any]

RATE = SGD(0.3)  # at 0.5 some starts diverge on XOR
GLOROT = GlorotNormal()
ZEROS = Zeros()
LARGEST = 1 << 16  # bytes of a batch's largest array by default: the few that a step reads then stay in a core's cache
SHARES = 8  # batches at least, by default, where there is an executor to share them out to


def restarts(
    sizes: Sequence[int],
    x: Any,
    y: Any,
    *,
    starts: int,
    steps: int,
    optimizer: AbstractOptimizer = RATE,
    activation: str = "tanh",
    loss: str = "mse",
    init: InitializerLike = GLOROT,
    bias_init: InitializerLike | None = ZEROS,
    rng: RngLike = None,
    dtype: str = "float32",
    batch_size: int | None = None,
    tolerance: float | None = None,
    batch: int | None = None,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress = None,
) -> Restarts:
    """Train dense networks from many starts, side by side, and keep the best weights of each.

    Start k is ``engine.mlp(sizes, ..., rng=Key(rng)[str(k)])``. What becomes of it does not depend on how many starts
    there are, which are trained together, or which worker does it: it is the same to the last bit on one machine.

    Parameters
    ----------
    sizes
        How many inputs, hidden units of each layer, and outputs: ``[2, 8, 1]`` has one hidden layer of 8.
    x, y
        Inputs, (rows, in), and targets, as `engine.gradients <symbreak.engine.gradients>` takes them.
    starts
        How many.
    steps
        How many updates of each, at least 1.
    optimizer
        One that treats every entry of a parameter alike and apart, such as ``engine.SGD(0.3)``, the default.
    activation
        That of the hidden units. The outputs are linear.
    loss
        ``"mse"``, ``"cross_entropy"`` or ``"logistic"``.
    init
        The initializer of the weights. `GlorotNormal` by default, which was derived for activations that are odd with
        slope 1 at zero, as tanh is; with ``activation="relu"`` take `HeNormal`.
    bias_init
        The initializer of the biases, zero by default. None for no biases.
    rng
        Anything that `symbreak.Key` can be made from. None draws other starts at every call.
    dtype
        ``"float32"`` or ``"float64"``.
    batch_size
        Rows a step. None takes all of them. Else every start goes through the rows in one order, that of
        ``engine.train(..., rng=Key(rng)["order"])``, and its loss over all rows is looked at once a pass.
    tolerance
        A start whose loss is this or less stops there. None: it makes all its steps.
    batch
        How many starts are trained together. By default as many as a core's cache holds. It changes the time and the
        memory, never the result.
    executor
        A `concurrent.futures.Executor` whose workers train the batches: processes, threads, or those of a Dask cluster,
        ``Client.get_executor()``, which needs ``pip install 'symbreak[dask]'``. None trains them here.
    checkpoint
        A file that holds the batches that are trained, replaced whole after each. Where it is there, and of the same
        settings and data, only the other starts are trained, and the result is the same to the last bit.
    progress
        True shows on stderr how many starts are trained, the rate and the time left: as a bar on a terminal, which
        needs rich (``pip install 'symbreak[cli]'``) and is a plain line without it, and else as a line a batch. None
        does so on a terminal only, False never. Or a function, called after each batch with how many starts are
        trained and how many there are.

    Returns
    -------
    Restarts
        The losses and weights of every start, in order. A start that diverges is recorded with a final loss of inf or
        nan, and the others go on.

    Raises
    ------
    ValueError, TypeError, UnknownName
        As for `engine.mlp <symbreak.engine.mlp>` and `engine.gradients <symbreak.engine.gradients>`; or a count,
        tolerance or optimizer that makes no sense here; or a checkpoint that was made with other settings.
    BadCheckpoint
        A checkpoint that is damaged or something else.
    RuntimeError
        The executor's workers died, or it was shut down.

    See Also
    --------
    symbreak.engine.train : One start.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks". AISTATS 2010,
    equation 12: the default `init`.

    Examples
    --------
    >>> import symbreak as sb
    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> result = sb.restarts([2, 4, 1], x, y, starts=20, steps=500, rng=0)
    >>> len(result), result.losses.shape
    (20, (20,))
    >>> bool(result.losses.min() < 0.01)
    True
    >>> result.best
    Network([Dense(2 -> 4, tanh), Dense(4 -> 1, identity)], float32, product='tie_preserving')
    """
    starts, steps = as_count(starts, "the number of starts"), as_count(steps, "the number of steps")
    if checkpoint is not None and rng is None:
        raise ValueError("a run with a checkpoint must draw the same starts when it goes on; give `rng`, such as rng=0")
    key = as_key(rng)
    weights, biases = get(init), None if bias_init is None else get(bias_init)
    first = mlp(sizes, init=weights, activation=activation, bias_init=biases, rng=key["0"], dtype=dtype)
    inputs, targets = read_batch(first, x, y, look_up(LOSSES, loss, "loss"))
    if inputs.ndim > 2:
        raise ValueError(f"the inputs must have shape (rows, {inputs.shape[-1]}); theirs is {inputs.shape}")
    if batch_size is not None and as_count(batch_size, "the batch size") > len(inputs):
        raise ValueError(
            f"the batch size, {batch_size}, is more than the {len(inputs)} rows there are; None takes all of them"
        )
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"the executor must be a concurrent.futures.Executor, or None; got {executor!r}")
    _check_tolerance(tolerance)
    _check_optimizer(optimizer)
    settings = Settings(
        tuple(map(int, sizes)), inputs, targets, steps, optimizer, activation, loss, weights, biases, key,
        first.dtype, batch_size, tolerance,
    )  # fmt: skip
    if batch is None:
        batch = _default_batch(settings, starts if executor is None else -(-starts // SHARES))
    batch = as_count(batch, "the batch")
    kept = Kept(settings, starts, checkpoint)
    ranges = list(kept.missing(batch))
    with (
        watching(progress, kept.done, starts) as watch,
        closing(_train(settings, ranges, executor, checkpoint, lambda more: watch.within(kept.done + more))) as ready,
    ):
        for trained in ready:
            kept.put(trained)
            watch.finished(kept.done)
    return kept.result()


def _train(
    settings: Settings,
    ranges: list[tuple[int, int]],
    executor: Executor | None,
    checkpoint: object,
    tell: Callable[[float], None],
) -> Generator[Trained, None, None]:
    """Train every range of starts, and yield each as it is ready."""
    if executor is None:
        for first, count in ranges:
            yield train_batch(settings, first, count, tell)
        return
    waiting: list[Future[Trained]] = []
    ready = 0
    try:
        for first, count in ranges:
            waiting.append(_submit(executor, settings, first, count))
        for future in as_completed(waiting):
            trained = future.result()
            yield trained
            ready += 1
    except (BrokenExecutor, CancelledError, _Refused) as error:
        kept = "and give `checkpoint` to keep those" if checkpoint is None else f"those are kept in {checkpoint}"
        raise RuntimeError(
            f"the executor, {type(executor).__name__}, stopped with {ready} of {len(ranges)} batches trained: "
            f"{str(error.__cause__ or error) or type(error).__name__}; start again with one that lives, {kept}"
        ) from error
    finally:
        for future in waiting:
            future.cancel()


class _Refused(Exception):  # noqa: N818 - says what happened
    """An executor that takes no more work."""


def _submit(executor: Executor, settings: Settings, first: int, count: int) -> "Future[Trained]":
    try:
        return executor.submit(train_batch, settings, first, count)
    except BrokenExecutor:
        raise
    except RuntimeError as error:  # how the standard library's executors say that they were shut down
        raise _Refused from error


def _default_batch(settings: Settings, most: int) -> int:
    rows = settings.batch_size or len(settings.x)
    bytes_a_start = rows * max(settings.sizes) * settings.dtype.itemsize
    groups = max(1, LARGEST // bytes_a_start // LANES)
    # An odd number of cache lines from row to row: at a power of two, rows would push each other out of the cache.
    return int(max(1, min((groups - 1 | 1) * LANES, most)))


def _check_tolerance(tolerance: object) -> None:
    if tolerance is None:
        return
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.number) or math.isnan(tolerance):
        raise ValueError(f"the tolerance is a loss at which a start stops, such as 1e-3, or None; got {tolerance!r}")


def _check_optimizer(optimizer: object) -> None:
    """Hold the optimizer to acting entry by entry: two networks side by side must move as each does alone."""
    if not isinstance(optimizer, AbstractOptimizer):
        raise TypeError(f"the optimizer must be one such as engine.SGD(0.1); got {optimizer!r}")
    values = np.array([[[0.5, -2.0], [1.5, 0.25]], [[-1.0, 3.0], [0.75, -0.5]]])  # (units, in, networks)

    def moved(parameter: Array, gradient: Array) -> Array:
        parameter = parameter.copy()
        state = optimizer.start(parameter)
        for number, factor in enumerate((1.0, -0.5)):
            state = optimizer.at(number).step(parameter, factor * gradient, state)
        return parameter

    together = moved(values.reshape(4, 2), values[::-1].reshape(4, 2) * 0.5)  # as they are trained: entries in a row
    apart = [moved(values[..., n].copy(), values[::-1, :, n] * 0.5) for n in range(2)]
    if not np.array_equal(together, np.stack(apart, axis=-1).reshape(4, 2)):
        raise ValueError(
            f"{optimizer} mixes the entries of a parameter, and would mix the starts that are trained together; take "
            f"one that acts on each entry alone, such as engine.SGD(0.1)"
        )
