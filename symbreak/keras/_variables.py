"""The variables of a Keras model: where each is, what the layer that has it calls it, and the name that its key has.

A name is the path of layers that leads to a variable, as ``model.get_layer`` and Keras' summary have them. An automatic
name (``dense_7``) counts the layers that a process has made; the name of the key counts those of the model, as Keras
does in its files, so that a model that is made again has the same keys.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import keras
import numpy as np
import numpy.typing as npt

from .._visible import quoted
from ..checkpoints._keras_names import snake_case
from ._seeds import AUTOMATIC

LISTED = 5  # layers in an error


@final
@dataclass(frozen=True, eq=False)
class Found:
    """A variable of a model.

    Attributes
    ----------
    variable
        Keras'.
    layers
        The layers that lead to it, from below the model to the one that has it.
    leaf
        What its layer calls it.
    name
        The names of the layers and the leaf.
    key
        The same, with automatic names numbered within the model.
    same_as
        The name under which it came before.
    """

    variable: Any
    layers: tuple[Any, ...]
    leaf: str
    name: str
    key: str
    same_as: str | None = None

    @property
    def layer(self) -> Any:
        """The layer that has it, or None where the model itself has."""
        return self.layers[-1] if self.layers else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(int(size) for size in self.variable.shape)

    @property
    def dtype(self) -> str:
        """Its dtype by name."""
        return str(keras.backend.standardize_dtype(self.variable.dtype))


def find_variables(model: Any) -> list[Found]:
    """Find the variables of a model, tied ones under each name, in the order of its layers.

    Raises
    ------
    TypeError
        `model` is no model or layer of Keras.
    ValueError
        It has layers that aren't built.
    """
    check_model(model)
    found: list[Found] = []
    seen: dict[int, str] = {}
    taken: set[str] = set()
    for path, layers, keys, variable in _walk(model, (), (), ()):
        name = _free("/".join((*path, variable.name)), taken)
        taken.add(name)
        first = seen.setdefault(id(variable), name)
        key = "/".join((*keys, variable.name))
        found.append(Found(variable, layers, variable.name, name, key, None if first == name else first))
    used = Counter(each.key for each in found if each.same_as is None)
    return [each if used[each.key] < 2 else _with_key(each, each.name) for each in found]


def check_model(model: Any) -> None:
    """Refuse what is no model of Keras, and one that is not built."""
    if not isinstance(model, keras.Layer):
        kind = type(model)
        raise TypeError(f"a model or layer of Keras 3 is needed; got {kind.__module__}.{kind.__qualname__}")
    waiting = [each for each in _every_layer(model) if not each.built and type(each).build is not keras.Layer.build]
    if waiting:
        names = ", ".join(quoted(each.name) for each in waiting[:LISTED]) + (" ..." if len(waiting) > LISTED else "")
        raise ValueError(
            f"{quoted(model.name)} has no weights yet in {names}: call it on a batch, or `build` it with the shape of "
            f"one"
        )


def inner_layers(layer: Any) -> Sequence[Any]:
    """Give the layers that a layer is made of, one level down."""
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    return list(layer._flatten_layers(recursive=False, include_self=False))


def numpy_of(variable: Any) -> npt.NDArray[Any]:
    """Give the values of a variable."""
    return np.asarray(keras.ops.convert_to_numpy(variable.value))  # of the variable itself, NumPy 2 warns


def arrays(model: Any) -> dict[str, npt.NDArray[Any]]:
    """Give the weights of a model as arrays by name, as a plan names them.

    Parameters
    ----------
    model
        A Keras model or layer that is built.

    Returns
    -------
    dict of str to numpy.ndarray
        Tied weights under each of their names.

    Raises
    ------
    TypeError, ValueError
        `model` is none of Keras', or isn't built.
    """
    return {each.name: numpy_of(each.variable) for each in find_variables(model)}


def _every_layer(layer: Any) -> Iterator[Any]:
    yield layer
    for each in inner_layers(layer):
        yield from _every_layer(each)


def _walk(
    layer: Any, path: tuple[str, ...], layers: tuple[Any, ...], keys: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], tuple[Any, ...], tuple[str, ...], Any]]:
    """Give the variables below a layer with the names and layers that lead to each."""
    inner = inner_layers(layer)
    deeper = {id(variable) for each in inner for variable in each.weights}
    for variable in layer.weights:
        if id(variable) not in deeper:
            yield path, layers, keys, variable
    for each, key in zip(inner, _numbered(inner), strict=True):
        yield from _walk(each, (*path, each.name), (*layers, each), (*keys, key))


def _numbered(layers: Sequence[Any]) -> list[str]:
    """Give the names of layers beside each other, automatic ones numbered from the first of their class."""
    count: Counter[str] = Counter()
    found = []
    for layer in layers:
        kind = re.escape(snake_case(type(layer).__name__))
        match = re.fullmatch(rf"({AUTOMATIC}{kind})(?:_\d+)?", layer.name)
        if match is None:
            found.append(layer.name)
            continue
        plain = match[1]
        found.append(f"{plain}_{count[plain]}" if count[plain] else plain)
        count[plain] += 1
    return found


def _free(name: str, taken: set[str]) -> str:
    """Tell apart what layers of one name have."""
    number, found = 2, name
    while found in taken:
        found = f"{name}:{number}"
        number += 1
    return found


def _with_key(found: Found, key: str) -> Found:
    return Found(found.variable, found.layers, found.leaf, found.name, key, found.same_as)
