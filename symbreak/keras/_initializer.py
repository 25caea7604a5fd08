"""An initializer of symbreak's as Keras calls one: with a shape and a dtype, for the layer that asks."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import keras

from .. import initializers as shelf
from ..axes import Axes, AxesLike, as_shape
from ._layouts import BY_RANK, axes_of
from ._seeds import AbstractSeeded, asking_layer

PACKAGE = "symbreak"  # under which the initializers are registered


class AbstractRandom(AbstractSeeded):
    """Base of the initializers here: a shape and a dtype in, a tensor of the backend out."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Make a weight.

        Parameters
        ----------
        shape
            Of the weight.
        dtype
            A floating dtype; None for ``keras.config.floatx()``.

        Returns
        -------
        tensor
            Of Keras' backend.
        """
        sizes = as_shape(shape)
        kind = keras.backend.standardize_dtype(dtype)
        array = self._array(sizes, kind, axes_of(asking_layer(), None, sizes))
        return keras.ops.convert_to_tensor(array, dtype=kind)

    def _array(self, shape: tuple[int, ...], dtype: str, axes: Axes | None) -> Any:
        """Make the weight; `axes` are what the layer that asks says, or the usual ones of its rank."""
        raise NotImplementedError

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items() if value is not None)
        return f"{type(self).__name__}({inside})"


class Initializer(AbstractRandom):
    """Any initializer of symbreak's, for Keras: its layout is the layer's, and it can be copied and saved.

    Parameters
    ----------
    initializer
        What :func:`symbreak.get` takes: an instance, a class, a name, or a configuration.
    seed
        None, an integer, or a ``keras.random.SeedGenerator``.
    axes
        The layout, for a layer that isn't Keras' own; by default what the layer says, or the order of Keras: units
        last.

    Notes
    -----
    **Seeds.** With None, every call draws a seed from Python's `random`, which ``keras.utils.set_random_seed`` sets.
    With an integer, the numbers follow from it, from the names of the layers around the weight, and from how often this
    instance was called before: one instance used for two weights does not tie them, nor do the copies of it that
    attention makes for its queries, keys and values; the same program gives the same weights. Automatic names
    (``dense_3``) count without their number, so that it does not matter what a process built before; in a model that is
    cloned or made from its configuration they are no longer automatic, and count whole, so that its copies of one
    instance tie nothing. Two instances with one seed do give two layers of automatic names the same numbers. A
    ``SeedGenerator`` gives its next state at every call.

    Keras' own initializers give the same numbers at every call.

    Raises
    ------
    TypeError, ValueError
        For an initializer, seed or axes that makes no sense.

    Examples
    --------
    >>> import keras, symbreak as sb  # doctest: +SKIP
    >>> keras.layers.Dense(64, kernel_initializer=sb.keras.Initializer(sb.HeNormal(), seed=0))  # doctest: +SKIP
    """

    def __init__(self, initializer: Any, seed: Any = None, axes: "AxesLike | Mapping[str, Any]" = None) -> None:
        self.initializer = shelf.get(initializer)
        self.axes = _read_axes(axes)
        super().__init__(seed)

    def _array(self, shape: tuple[int, ...], dtype: str, axes: Axes | None) -> Any:
        found = self.axes or axes or (Axes(BY_RANK[len(shape)]) if len(shape) in BY_RANK else None)
        return self.initializer(shape, self.next_key(), dtype=dtype, axes=None if len(shape) < 2 else found)

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor takes, as plain values."""
        axes = None if self.axes is None else asdict(self.axes)
        return {"initializer": self.initializer.to_config(), **super().get_config(), "axes": axes}

    def __repr__(self) -> str:
        more = [
            f", {name}={value!r}" for name, value in (("seed", self.seed), ("axes", self.axes)) if value is not None
        ]
        return f"Initializer({self.initializer!r}{''.join(more)})"


def _read_axes(axes: "AxesLike | Mapping[str, Any]") -> Axes | None:
    if axes is None or isinstance(axes, Axes):
        return axes
    if isinstance(axes, Mapping):
        return Axes(**axes)
    return Axes(axes)


keras.saving.register_keras_serializable(PACKAGE)(Initializer)
