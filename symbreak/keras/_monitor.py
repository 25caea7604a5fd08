"""A callback that counts the distinct and the dead units of a Keras model while it trains."""

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from .._growth import Growth
from .._monitor import EVERY, MonitorRow, Watched
from .._monitor import Monitor as Counter
from ._layouts import axes_of
from ._variables import Found, find_variables

Array = npt.NDArray[Any]


class Monitor(keras.callbacks.Callback):
    """Counts the distinct and the dead units of each weight every so many steps.

    Parameters
    ----------
    every
        Steps from one look to the next.
    log
        Called after each look with the step and ``{"distinct/<name>": count, "dead/<name>": count, ...}``, and
        ``"spread/<name>"`` of the weights that `growth` follows; or an object with
        ``add_scalar(tag, value, step)``. None keeps to the record.

    Attributes
    ----------
    rows
        The record: a row where a weight was first seen, and one wherever its numbers changed.
    latest
        The last row of each weight.

    Notes
    -----
    A look reads a few values of each unit, and whole units only where these few agree. On the JAX backend Keras keeps
    the weights of a training loop apart from the variables: they are written back at the steps that are looked at. Each
    gate of a recurrent layer counts as units of its own.

    Examples
    --------
    >>> import keras, numpy as np, symbreak as sb  # doctest: +SKIP
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])  # doctest: +SKIP
    >>> model.compile("adam", "mse")  # doctest: +SKIP
    >>> monitor = sb.keras.Monitor(every=10)  # doctest: +SKIP
    >>> _ = model.fit(np.ones((320, 4)), np.ones((320, 1)), callbacks=[monitor], verbose=0)  # doctest: +SKIP
    >>> print(monitor)  # doctest: +SKIP
    """

    def __init__(self, *, every: int = EVERY, log: object = None) -> None:
        super().__init__()
        self.every = every
        self._log = log
        self._found: dict[str, tuple[Found, tuple[tuple[int, ...], int]]] = {}
        self._counter = Counter((), _nothing, every=every, log=log)

    def set_model(self, model: Any) -> None:
        """Take the model whose weights are looked at; `fit` calls it."""
        super().set_model(model)
        self._begin()

    def on_train_begin(self, logs: Any = None) -> None:
        """Look at a model that is built when training begins."""
        self._begin()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a step, and look if it is time."""
        if not self._found:
            self._begin()
        if self._counter.due:
            sync = getattr(self.model, "jax_state_sync", None)
            if sync is not None:
                sync()
        self._counter.step()

    @property
    def rows(self) -> tuple[MonitorRow, ...]:
        """The record."""
        return self._counter.rows

    @property
    def latest(self) -> dict[str, MonitorRow]:
        """The last row of each weight."""
        return self._counter.latest

    @property
    def growth(self) -> tuple[Growth, ...]:
        """How units come apart that were equal at the first look, or nearer than 1 %: the spread at each look.

        Of a weight at most four classes of sixteen units are followed.
        """
        return self._counter.growth

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._counter.steps

    def look(self) -> dict[str, MonitorRow]:
        """Look at every weight now; give a row each."""
        return self._counter.look()

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        return self._counter.to_dict()

    def __str__(self) -> str:
        return str(self._counter)

    def _repr_html_(self) -> str:
        return self._counter._repr_html_()

    def _begin(self) -> None:
        if self._found or not self.model.built:
            return
        every = {each.name: each for each in find_variables(self.model) if each.same_as is None}
        self._found = {name: (each, seen) for name, each in every.items() if (seen := _seen_as(each)) is not None}
        watched = [Watched(name, shape, axis) for name, (_, (shape, axis)) in self._found.items()]
        self._counter = Counter(watched, self._read, every=self.every, log=self._log)

    def _read(self, name: str, index: Any) -> Array:
        found, (shape, _) = self._found[name]
        value = found.variable.value
        if shape != found.shape:
            value = keras.ops.reshape(value, shape)
        place = next((number for number, each in enumerate(index) if isinstance(each, np.ndarray)), None)
        if place is not None:
            value = keras.ops.take(value, index[place].astype("int32"), axis=place)
            index = tuple(slice(None) if number == place else each for number, each in enumerate(index))
        return np.asarray(keras.ops.convert_to_numpy(value[tuple(index)]))


def _seen_as(each: Found) -> tuple[tuple[int, ...], int] | None:
    """Give the shape in which a weight's units lie along one axis, and that axis; None for what is no such weight."""
    if len(each.shape) < 2 or min(each.shape) == 0 or each.leaf in ("bias", "alpha"):
        return None
    axes = axes_of(each.layer, each.leaf, each.shape)
    if axes is None or axes.groups > 1 or "b" in axes.layout:
        return None
    units = axes.dims("o")
    if units != tuple(range(units[0], units[-1] + 1)):
        return None
    joined = math.prod(each.shape[units[0] : units[-1] + 1])
    return (*each.shape[: units[0]], joined, *each.shape[units[-1] + 1 :]), units[0]


def _nothing(name: str, _: Any) -> Array:
    raise KeyError(name)
