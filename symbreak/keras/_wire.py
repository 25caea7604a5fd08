"""How the weights of a Keras model are connected: from its configuration; else from a trace; else from their names.

A functional or sequential model says in its configuration what each layer reads. One whose `call` is somebody's own is
called once on symbolic inputs, of which Keras makes a functional model; layers of somebody's own that hold others are
looked into. Neither computes anything.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy.typing as npt

from .._visible import visible
from ..checkpoints import Wired
from ..checkpoints import wire as wire_arrays
from ..checkpoints.wiring._keras import MODELS, keras_wiring
from ._variables import arrays, check_model, inner_layers

Array = npt.NDArray[Any]
Config = Mapping[str, Any]
STAND_IN = "symbreak-layer-{}-"  # stands for a layer's path while the model is traced


class _CannotTrace(Exception):  # noqa: N818 - says what is the matter
    """Why a model could not be called on symbolic inputs."""


def wire(model: Any, example: Any = None) -> Wired:
    """Find out how the weights of a model are connected.

    Parameters
    ----------
    model
        A Keras model or layer that is built.
    example
        What the model is called with, an array or a nest of them, for a model whose ``call`` is your own: shapes and
        dtypes count alone. By default the shapes that it was built with.

    Returns
    -------
    Wired
        Printable: the graph, the evidence, and what is not known. ``rule`` says ``Keras configuration``, or ``the
        model's own call``; else the rules that know the names of its weights, and why.

    Raises
    ------
    TypeError, ValueError
        `model` is none of Keras', isn't built, or has no weights.
    """
    return wired_with(model, example)[0]


def wired_with(model: Any, example: Any = None) -> tuple[Wired, dict[str, Array]]:
    """Wire a model; give its arrays too."""
    check_model(model)
    held = arrays(model)
    if not held:
        raise ValueError(f"the model {model.name!r} has no weights, so there is nothing to judge")
    shapes = {name: array.shape for name, array in held.items() if 0 not in array.shape}
    said, how, fault = _configuration(model), "Keras configuration", ""
    if said is None:
        try:
            said, how = _traced(model, example), "the model's own call"
        except _CannotTrace as error:
            fault = str(error)
    if said is not None:
        wiring = keras_wiring(said, shapes)
        if wiring is not None:
            wired = wire_arrays(held, wiring=wiring)
            return replace(wired, rule=how if wired.graph is not None else ""), held  # names may say more, not better
        fault = fault or "it has no layers"
    named = wire_arrays(held)
    return replace(named, rule=f"{named.rule or 'nothing'}, as {fault}"), held


def understood(wired: Wired, held: Mapping[str, Array]) -> float:
    """Give the share of values, of 0 to 1, in arrays of which nothing is left open."""
    if wired.graph is None:
        return 0.0
    known = sum(array.size for name, array in held.items() if name not in wired.unknown)
    return known / max(sum(array.size for array in held.values()), 1)


def _configuration(model: Any) -> Config | None:
    """Give what a model says of its layers, as its file would have it; None where it says nothing of them."""
    if type(model).__name__ not in MODELS or not isinstance(model, keras.Sequential | keras.Model):
        return None
    try:
        said: Config = json.loads(model.to_json())
    except Exception:  # whatever a layer of somebody's own does where it should describe itself
        return None
    return said if isinstance(said.get("config"), dict) and said["config"].get("layers") else None


def _traced(model: Any, example: Any) -> Config:
    """Call a model on symbolic inputs, and give the configuration of what Keras makes of it.

    Raises
    ------
    _CannotTrace
        It can't be called so, or what is made of it can't be described.
    """
    fault: Exception | None = None
    for inputs in _inputs(model, example):
        paths: dict[str, str] = {}
        try:
            with _looked_into(model, paths):
                made = keras.Model(inputs, model.call(inputs))
                text = made.to_json()
        except Exception as error:  # whatever somebody's own `call` does
            fault = error
            continue
        for token, path in paths.items():
            text = text.replace(token, json.dumps(path)[1:-1])
        said: Config = json.loads(text)
        return said
    if fault is None:
        raise _CannotTrace("no example of its input was given, and it doesn't say what it was built with")
    raise _CannotTrace(f"its `call` could not be followed: {_reason(fault)}") from fault


def _reason(fault: Exception) -> str:
    """Say in a line why a call could not be followed; a weight is named, not shown."""
    own = re.match(r"Cannot serialize object <Variable path=([^,]+),", str(fault))
    if own is not None:
        return f"it reads the weight {visible(own[1])} itself, not by way of one of Keras' layers"
    return f"{type(fault).__name__}: {str(fault).partition(chr(10))[0]}"


def _inputs(model: Any, example: Any) -> Iterator[Any]:
    """Give symbolic inputs of the shape of an example, or of the shapes that a model was built with."""
    if example is not None:
        yield keras.tree.map_structure(
            lambda each: _symbol(each.shape, keras.backend.standardize_dtype(each.dtype)), example
        )
        return
    said = model.get_build_config() or {}
    shape = said.get("input_shape") or next(iter((said.get("shapes_dict") or {}).values()), None)
    if isinstance(shape, list | tuple) and shape and all(isinstance(each, int | None) for each in shape):
        yield _symbol(shape, "float32")
        yield _symbol(shape, "int32")


def _symbol(shape: Any, dtype: str) -> Any:
    return keras.Input(batch_shape=(None, *shape[1:]), dtype=dtype)


@contextmanager
def _looked_into(model: Any, paths: dict[str, str]) -> Iterator[None]:
    """Let layers of somebody's own that hold others be part of the trace, and every layer bear a name of its own."""
    renamed: list[tuple[Any, str]] = []
    opened: set[type] = set()

    def name(layer: Any, path: tuple[str, ...]) -> None:
        for each in inner_layers(layer):
            where = (*path, each.name)
            renamed.append((each, each.name))
            if _is_composite(each):
                opened.add(type(each))
                name(each, where)
            token = STAND_IN.format(len(paths))
            paths[token] = "/".join(where)
            each.name = token

    plain: dict[type, Any] = {}
    try:
        name(model, ())
        for kind in opened:
            plain[kind] = vars(kind).get("__call__")
            type.__setattr__(kind, "__call__", _straight)
        yield
    finally:
        for kind, before in plain.items():
            if before is None:
                type.__delattr__(kind, "__call__")
            else:
                type.__setattr__(kind, "__call__", before)
        for layer, before in reversed(renamed):
            layer.name = before


def _is_composite(layer: Any) -> bool:
    """Whether a layer is somebody's own and holds others."""
    kind = type(layer)
    return not kind.__module__.startswith("keras.") and kind.__name__ not in MODELS and bool(inner_layers(layer))


def _straight(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Stand for the calling of a layer: what it does, without a node of its own."""
    return layer.call(*args, **kwargs)
