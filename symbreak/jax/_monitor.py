"""Counts of distinct and dead units while a model of JAX's trains."""

from typing import Any, final

import jax
import numpy as np

from symbreak._growth import Growth
from symbreak._monitor import EVERY, Index, MonitorRow, Watched
from symbreak._monitor import Monitor as Counter
from symbreak.axes import Axes

from ._parameters import parameters
from ._tree import Model, read_model

Array = np.ndarray[Any, np.dtype[Any]]
TABLES = ("embedding", "position", "token")  # whose units are their features, along the last axis


@final
class Monitor:
    """Counts the distinct and the dead units of each weight every so many steps of training.

    Call it after each step with the number of the step and the parameters. Between looks a call does nothing; a look
    reads a few values of each unit, and whole units only where these few agree.

    Parameters
    ----------
    every
        Steps from one look to the next.
    log
        Called after each look with the step and ``{"distinct/<name>": count, "dead/<name>": count, ...}``, and
        ``"spread/<name>"`` of the weights that `growth` follows; or a writer of TensorBoard's. None keeps
        to the record.

    Raises
    ------
    TypeError, ValueError
        A `log` that is neither, or `every` that is no whole number from 1.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import symbreak as sb
    >>> params = {"Dense_0": {"kernel": jnp.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]])}}
    >>> monitor = sb.jax.Monitor(every=10)
    >>> for step in range(1, 21):
    ...     monitor(step, params)
    >>> print(monitor)
    space           units  distinct  dead  since step
    Dense_0/kernel      3         2     1          10
    Dense_0/kernel: 2 units: spread 0 at step 10, 0 at step 20; equal at every look
    looked 2 times in 20 steps, every 10
    """

    def __init__(self, *, every: int = EVERY, log: object = None) -> None:
        self._log, self._arrays = log, dict[str, Any]()
        self._counter = Counter((), self._read, every=every, log=log)
        self._known: tuple[tuple[str, tuple[int, ...]], ...] = ()
        self._flat: dict[str, tuple[int, ...]] = {}

    @property
    def every(self) -> int:
        """Steps from one look to the next."""
        return self._counter.every

    @property
    def rows(self) -> tuple[MonitorRow, ...]:
        """The record: a row where a weight was first seen, and one wherever its numbers changed."""
        return self._counter.rows

    @property
    def latest(self) -> dict[str, MonitorRow]:
        """The last row of each weight; its step says since when it is so."""
        return self._counter.latest

    @property
    def growth(self) -> tuple[Growth, ...]:
        """How units come apart that were equal at the first look, or nearer than 1 %: the spread at each look.

        Of a weight at most four classes of sixteen units are followed. Call :meth:`look` before the first step to see
        them from the start.
        """
        return self._counter.growth

    def __call__(self, step: Any, params: Any) -> None:
        """Look if it is time.

        Parameters
        ----------
        step
            How many steps were taken.
        params
            The tree of parameters, or a module of Flax nnx or Equinox. Neither is changed nor kept.
        """
        number = int(step)
        self._counter._count = number
        if number % self.every == 0:
            self.look(params)

    def look(self, params: Any) -> dict[str, MonitorRow]:
        """Look at every weight now; give a row each.

        Parameters
        ----------
        params
            As for a call.

        Raises
        ------
        ValueError
            There are no weights.
        """
        model = read_model(params)
        shapes = tuple((leaf.name, leaf.shape) for leaf in model.leaves)
        if shapes != self._known:
            self._known = shapes
            self._counter._weights = self._watched(model)
        self._arrays = model.arrays()
        try:
            return self._counter.look()
        finally:
            self._arrays = {}

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        return self._counter.to_dict()

    def __str__(self) -> str:
        return str(self._counter)

    def _repr_html_(self) -> str:
        return self._counter._repr_html_()

    def _watched(self, model: Model) -> tuple[Watched, ...]:
        """Say of each weight along which axis its units lie; heads and what is in them are joined to one."""
        found = []
        self._flat = {}
        for each in parameters(model.leaves):
            if len(each.shape) < 2 or each.role in ("bias", "norm", "running_mean", "running_var") or 0 in each.shape:
                continue
            layout = "i" * (len(each.shape) - 1) + "o"
            if each.role not in TABLES and each.axes is not None:
                layout = Axes.of(each.axes, each.shape).layout
            elif each.role not in TABLES:
                layout = "o" + "i" * (len(each.shape) - 1)
            dims = [n for n, letter in enumerate(layout) if letter == "o"]
            size = int(np.prod([each.shape[n] for n in dims], dtype=int))
            shape = (*each.shape[: dims[0]], size, *each.shape[dims[-1] + 1 :])
            self._flat[each.name] = shape
            found.append(Watched(each.name, shape, dims[0]))
        if not found:
            raise ValueError(f"{model.kind} has no weights to look at")
        return tuple(found)

    def _read(self, name: str, index: Index) -> Array:
        """Give a part of a weight: from the memory of the processor as it is, else what is asked for alone."""
        array, shape = self._arrays[name], self._flat[name]
        if _is_near(array):
            whole: Array = np.asarray(array).reshape(shape)
            return whole[index]
        return np.asarray(array.reshape(shape)[index])


def _is_near(array: Any) -> bool:
    """Whether an array lies where NumPy can see it without a copy."""
    if not isinstance(array, jax.Array):
        return True
    return array.is_fully_addressable and all(each.platform == "cpu" for each in array.devices())
