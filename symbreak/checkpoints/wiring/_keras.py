"""The wiring of a Keras model, from the configuration in its file: units are followed from layer to layer.

A configuration lists the layers of a model, in a row or with what each is called on [1]. A layer that isn't known, or
that treats units as it can't treat them all alike, tells apart the units that it reads; its arrays are not known, nor
is what comes after it. Nothing of the configuration is made or called.

[1] https://github.com/keras-team/keras, keras/src/models/functional.py
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

from symbreak.checkpoints._keras_names import is_optimizer
from symbreak.checkpoints.wiring._factors import NotUnderstood, Value
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._keras_layer import Layer
from symbreak.checkpoints.wiring._keras_layers import LAYERS
from symbreak.checkpoints.wiring._spec import Wiring

RULE = "Keras configuration"
MODELS = ("Sequential", "Functional", "Model")
POINTWISE = ("Dense", "Activation", "Dropout")  # layers that do the same at each position anyway
OPERATIONS = "keras.src.ops"  # where functions are that a model calls on what its layers give
DEEPEST = 20  # models in models
Config = Mapping[str, Any]
Origin = tuple[str, int, int]  # a layer, which of its calls, which of its outputs


def keras_wiring(structure: Config, shapes: Mapping[str, tuple[int, ...]]) -> Wiring | None:
    """Wire what the layers of a Keras model hold; None where the configuration lists no layers.

    Parameters
    ----------
    structure
        The configuration as `Checkpoint.structure` has it.
    shapes
        The tensors of the file that can be read.
    """
    inner = structure.get("config")
    if structure.get("class_name") not in MODELS or not isinstance(inner, Mapping) or not inner.get("layers"):
        return None
    run = _Run(shapes)
    try:
        for each in run.model(structure, None, ()):
            for axis in each.axes:
                run.flow.show(axis)
    except (NotUnderstood, IndexError, TypeError, ValueError, AttributeError, KeyError) as fault:
        reason = str(fault) if isinstance(fault, NotUnderstood) else "its configuration isn't as Keras writes it"
        for name in shapes:
            run.flow.doubt(name, reason)
        run.flow.said.clear()
    for name in run.flow.shared():
        run.flow.part(name, "they share an array with units of another space")
    for name in shapes:
        if any(map(is_optimizer, name.split("/"))):
            run.flow.ignore(name, "the state of an optimizer")
    return run.flow.wiring()


@final
class _Run:
    """All layers, each when its inputs are known."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.flow = Flow(RULE)

    def model(self, said: Config, given: Sequence[Value | None] | None, path: tuple[str, ...]) -> list[Value]:
        """Follow the layers of a model; `given` are its inputs where it is a layer of another."""
        if len(path) > DEEPEST:
            raise NotUnderstood(f"more than {DEEPEST} models are one in another")
        inner = said["config"]
        row = self.sequential if said.get("class_name") == "Sequential" else self.functional
        return row(inner, given, path)

    def sequential(self, inner: Config, given: Sequence[Value | None] | None, path: tuple[str, ...]) -> list[Value]:
        layers = list(inner["layers"])
        value = given[0] if given else None
        if layers[0].get("class_name") == "InputLayer":
            first = layers.pop(0)
            value = value or self.entry(first["config"])
        if value is None and given is None:
            head = layers[0]["config"]
            shape = head.get("batch_input_shape", head.get("batch_shape", inner.get("build_input_shape")))
            value = self.entry({"batch_shape": shape, "name": "input"})
        for layer in layers:
            made = self.step(layer, [value], path)
            value = made[0] if made else None
        return [] if value is None else [value]

    def functional(self, inner: Config, given: Sequence[Value | None] | None, path: tuple[str, ...]) -> list[Value]:
        known: dict[Origin, Value | None] = {}
        for number, (name, call, place) in enumerate(_ends(inner["input_layers"])):
            layer = next(each for each in inner["layers"] if _named(each) == name)
            known[name, call, place] = given[number] if given else self.entry(layer["config"])
        waiting = [
            (layer, call, origins)
            for layer in inner["layers"]
            for call, origins in enumerate(_calls(layer))
            if layer.get("class_name") != "InputLayer"
        ]
        while waiting:
            ready = [each for each in waiting if all(origin in known for origin in each[2])]
            if not ready:
                raise NotUnderstood("a layer reads what no layer writes")
            for layer, call, origins in ready:
                made = self.step(layer, [known[origin] for origin in origins], path)
                for place in range(max(len(made), 8)):
                    known[_named(layer), call, place] = made[place] if place < len(made) else None
            waiting = [each for each in waiting if all(each is not one for one in ready)]
        found = [known.get(origin) for origin in _ends(inner["output_layers"])]
        return [each for each in found if each is not None]

    def entry(self, config: Config) -> Value | None:
        """Make the value of an input: no axis of it is one of units until a weight reads it."""
        shape = config.get("batch_shape", config.get("batch_input_shape"))
        if not isinstance(shape, list):
            return None
        name = str(config.get("name") or "input")
        return Value(tuple((self.flow.var(size if isinstance(size, int) else None, name=name),) for size in shape))

    def step(self, said: Config, inputs: Sequence[Value | None], path: tuple[str, ...]) -> list[Value]:
        """Follow the units through one layer."""
        name, kind = _named(said), str(said.get("class_name"))
        own = (*path, name)
        layer = Layer(kind, said.get("config") or {}, self.tensors(own), ".".join(own))
        try:
            if any(each is None for each in inputs):
                raise NotUnderstood("something before it isn't understood")
            values = [each for each in inputs if each is not None]
            if not _is_keras(said):
                raise NotUnderstood("it is no layer of Keras")
            if kind in MODELS:
                return self.model(said, values, own)
            if kind == "TimeDistributed":
                inner = said["config"]["layer"]
                if inner.get("class_name") not in POINTWISE:
                    raise NotUnderstood(f"a {inner.get('class_name')} at each time is not followed")
                return self.step(inner, values, own)
            if kind not in LAYERS:
                raise NotUnderstood("no rule knows it")
            if str(said.get("module")).startswith(OPERATIONS) and not _is_of_units(said.get("inbound_nodes")):
                raise NotUnderstood("a constant meets the units, and its values are not looked at")
            return list(LAYERS[kind](self.flow, layer, values))
        except NotUnderstood as fault:
            reason = str(fault)
        except (IndexError, TypeError, ValueError, AttributeError, KeyError, ZeroDivisionError):
            reason = "it isn't as Keras writes it"
        reason = f"the layer {layer.name!r}, a {kind}, isn't understood: {reason}"
        self.flow.tell_apart(inputs, reason, fault=True)
        for tensor in layer.tensors.values():
            self.flow.doubt(tensor, reason)
        return []

    def tensors(self, path: tuple[str, ...]) -> dict[str, str]:
        """Find the tensors of a layer, by what they are called within it."""
        own = "/".join(path) + "/"
        found = {name.removeprefix(own): name for name in self.shapes if name.startswith(own)}
        if not found:  # files of before have the model's name first
            found = {name.partition("/" + own)[2]: name for name in self.shapes if "/" + own in name}
        return {re.sub(r":0\Z", "", inner): name for inner, name in found.items()}


def _named(said: Config) -> str:
    name = said.get("name", (said.get("config") or {}).get("name"))
    if not isinstance(name, str):
        raise NotUnderstood("a layer has no name")
    return name


def _is_keras(said: Config) -> bool:
    """Whether a class is one of Keras' own: newer files say where it comes from."""
    module, registered = said.get("module"), said.get("registered_name")
    ours = module is None or (isinstance(module, str) and re.match(r"keras(\.|\Z)", module) is not None)
    return ours and (registered is None or registered in (said.get("class_name"), "Functional"))


def _ends(listed: object) -> Iterator[Origin]:
    """Give the values that are inputs or outputs of a model: one, a list, or a table of them."""
    if isinstance(listed, Mapping):
        listed = list(listed.values())
    if isinstance(listed, list) and len(listed) == 3 and isinstance(listed[0], str):
        yield str(listed[0]), int(listed[1]), int(listed[2])
    elif isinstance(listed, list):
        for each in listed:
            yield from _ends(each)


def _calls(layer: Config) -> Iterator[list[Origin]]:
    """Give what each call of a layer reads, in the order of its arguments."""
    for node in layer.get("inbound_nodes", ()):
        if isinstance(node, Mapping):
            yield [*_tensors(node.get("args")), *_tensors(node.get("kwargs"))]
        else:  # Keras 2: a list of name, call, place and keywords
            yield [
                origin
                for each in (node if node and isinstance(node[0], list) else [node])
                for origin in [*_ends([each[:3]]), *_keywords(each[3] if len(each) > 3 else {})]
            ]


def _keywords(keywords: object) -> Iterator[Origin]:
    for value in keywords.values() if isinstance(keywords, Mapping) else ():
        if isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str):
            yield from _ends(value[:3])


def _is_of_units(value: object) -> bool:
    """Whether an operation is given nothing but what layers give, and single numbers: they meet all units alike."""
    if isinstance(value, Mapping):
        own = value.get("class_name")
        return own == "__keras_tensor__" or (own is None and all(map(_is_of_units, value.values())))
    return all(map(_is_of_units, value)) if isinstance(value, list) else True


def _tensors(value: object) -> Iterator[Origin]:
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            yield from _ends(value["config"]["keras_history"])
        else:
            for each in value.values():
                yield from _tensors(each)
    elif isinstance(value, list):
        for each in value:
            yield from _tensors(each)
