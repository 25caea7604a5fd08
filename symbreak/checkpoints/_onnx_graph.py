"""The graph of an ONNX model as plain data, and the tensors that lie in it, by the paths that lead to them.

An initializer of the main graph keeps its name. One of a graph within a node, the body of a loop say, is called by the
node, the attribute and its own name: `loop/body/W`. The value of a Constant node bears the name of the node's output,
which is how other nodes refer to it; tensors in other attributes are called by the node and the attribute.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import final

import numpy as np

from symbreak._visible import quoted
from symbreak.checkpoints._onnx_messages import (
    ATTRIBUTE,
    DIMENSION,
    FUNCTION,
    GRAPH,
    MODEL,
    NODE,
    OPSET,
    PAIR,
    SHAPE,
    SPARSE,
    TENSOR,
    TENSOR_TYPE,
    TRAINING,
    TYPE,
    VALUE,
)
from symbreak.checkpoints._onnx_tensors import TYPES
from symbreak.checkpoints._protobuf import (
    LONGEST_VARINT,
    Message,
    Runs,
    Span,
    Walker,
    decode_varints,
    joined,
    length_of,
)
from symbreak.checkpoints._reader import Skipped
from symbreak.checkpoints._source import TRUNCATED, Source

PRODUCER = {"producer_name", "producer_version"}
OPSETS_SINCE = 3  # version of the format: from there on a model says which operators it uses
LONGEST_LIST = 4096  # numbers or texts of an attribute that are kept
LONGEST_VALUE = 4096  # bytes of a text of an attribute that is kept
# The fields of an attribute of which one holds its value.
HELD = {"f", "i", "s", "t", "g", "floats", "ints", "strings", "tensors", "graphs", "sparse_tensor", "sparse_tensors"}
# What an attribute of each type is that holds nothing: lists may be empty, and some writers leave out zeros.
EMPTY: Mapping[int, Callable[[], object]] = MappingProxyType({1: float, 2: int, 3: str, 6: list, 7: list, 8: list})
SPARSE_REASON = "a sparse tensor: save it dense"
TWICE = "another tensor of the file has this name too"
Fields = dict[str, object]


@final
class Graphs:
    """What a model holds: `structure` and `metadata`, and each tensor with its name in `tensors`.

    Parameters
    ----------
    source
        The file.

    Raises
    ------
    BadCheckpoint
        A message is malformed, or two tensors of one graph have one name.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.walker = Walker(source)
        self.tensors: dict[str, Message] = {}
        self.skipped: list[Skipped] = []
        model = Message(self.walker, (0, source.size), MODEL, "the model")
        self.metadata = self._metadata(model)
        self.structure = self._model(model)

    def _metadata(self, model: Message) -> dict[str, str]:
        found = {name: text for name, text in model.texts.items() if name in PRODUCER}
        own = set()
        for pair in model.parts("metadata_props", PAIR, "note"):
            key = pair.texts.get("key", "")
            if key in own:
                raise self.source.bad(f"the model has the note {quoted(key)} twice")
            own.add(key)
            found[key] = pair.texts.get("value", "")
        return found

    def _model(self, model: Message) -> Fields:
        said: Fields = {**model.integers, **model.texts}
        said["opset"] = self._opset(model)
        if not said["opset"] and model.integers.get("ir_version", 0) >= OPSETS_SINCE:
            raise self.source.bad("the model has no opset_import", TRUNCATED)
        graph = model.places.get("graph")
        if graph is None:
            raise self.source.bad("the model has no graph")
        said["graph"] = self._graph(model.part(graph, GRAPH, "the graph"), "")
        said["functions"] = [self._function(each) for each in model.parts("functions", FUNCTION, "function")]
        said["training"] = [
            {
                name: self._graph(each.part(each.places[name], GRAPH, f"the {name}"), f"training/{i}/{name}/")
                for name in ("initialization", "algorithm")
                if name in each.places
            }
            for i, each in enumerate(model.parts("training_info", TRAINING, "training"))
        ]
        return said

    def _opset(self, message: Message) -> dict[str, int]:
        versions: dict[str, int] = {}
        for part in message.parts("opset_import", OPSET, f"{message.what}, opset"):
            domain = part.texts.get("domain", "")
            if domain in versions:
                raise self.source.bad(f"{message.what} imports the operators of {quoted(domain)} twice")
            versions[domain] = part.integers.get("version", 0)
        return versions

    def _function(self, function: Message) -> Fields:
        names = {name: function.texts.get(name, "") for name in ("domain", "name", "overload")}
        path = "/".join(filter(None, names.values())) + "/"
        own: set[str] = set()
        defaults = [self._attribute(each, path, None) for each in self._attributes(function, "attribute_proto")]
        return {
            **names,
            "path": path,
            "inputs": function.listed("input"),
            "outputs": function.listed("output"),
            "attributes": function.listed("attribute"),
            "defaults": dict(defaults),
            "opset": self._opset(function),
            "nodes": self._nodes(function, path, own),
        }

    def _graph(self, graph: Message, path: str) -> Fields:
        """Describe a graph; `path` goes before the names of its tensors."""
        own: set[str] = set()
        initializers = []
        for tensor in graph.parts("initializer", TENSOR, f"{graph.what}, initializer"):
            name = tensor.texts.get("name", "")
            self._keep(name, path, tensor, own)
            initializers.append(name)
        for sparse in graph.parts("sparse_initializer", SPARSE, f"{graph.what}, sparse initializer"):
            values = sparse.places.get("values")
            name = "" if values is None else sparse.part(values, TENSOR, sparse.what).texts.get("name", "")
            self._keep(name, path, SPARSE_REASON, own)
            initializers.append(name)
        return {
            "name": graph.texts.get("name", ""),
            "path": path,
            "inputs": [self._value(value) for value in graph.parts("input", VALUE, f"{graph.what}, input")],
            "outputs": [self._value(value) for value in graph.parts("output", VALUE, f"{graph.what}, output")],
            "initializers": initializers,
            "nodes": self._nodes(graph, path, own),
        }

    def _nodes(self, parent: Message, path: str, own: set[str]) -> list[Fields]:
        return [
            self._node(node, i, path, own) for i, node in enumerate(parent.parts("node", NODE, f"{parent.what}, node"))
        ]

    def _node(self, node: Message, index: int, path: str, own: set[str]) -> Fields:
        op_type, outputs = node.texts.get("op_type", ""), node.listed("output")
        called = node.texts.get("name", "")
        said: Fields = {"op_type": op_type, "name": called}
        said |= {name: node.texts[name] for name in ("domain", "overload") if node.texts.get(name)}
        constant = op_type == "Constant" and node.texts.get("domain", "") in ("", "ai.onnx") and len(outputs) == 1
        place = f"{path}{called or f'{op_type}_{index}'}/"
        attributes: Fields = {}
        for each in self._attributes(node, "attribute"):
            name = each.texts.get("name", "")
            if name in attributes:
                raise self.source.bad(f"{node.what} has the attribute {quoted(name)} twice")
            value = (path, outputs[0], own) if constant and name == "value" else None
            attributes |= [self._attribute(each, place, value)]
        return said | {"inputs": node.listed("input"), "outputs": outputs, "attributes": attributes}

    def _attributes(self, parent: Message, field: str) -> Iterator[Message]:
        return parent.parts(field, ATTRIBUTE, f"{parent.what}, attribute")

    def _attribute(self, each: Message, path: str, constant: tuple[str, str, set[str]] | None) -> tuple[str, object]:
        """Describe one attribute; `constant` is the path, the name and the graph's names of a Constant's value."""
        name = each.texts.get("name", "")
        held = sorted(each.given & HELD)
        if len(held) > 1:
            raise self.source.bad(f"{each.what}, {quoted(name)}, holds two values, {held[0]} and {held[1]}")
        if reference := each.texts.get("ref_attr_name"):
            if held:
                raise self.source.bad(f"{each.what}, {quoted(name)}, holds {held[0]} and refers to {quoted(reference)}")
            return name, {"reference": reference}
        if not held:
            empty = EMPTY.get(each.integers.get("type", 0))
            return name, None if empty is None else empty()
        (kind,) = held
        if kind == "t" and constant is not None:
            prefix, output, own = constant
            self._keep(output, prefix, self._tensor(each, each.places["t"]), own)
            return name, {"tensor": prefix + output}
        return name, self._held(each, kind, path + name)

    def _held(self, each: Message, kind: str, path: str) -> object:
        """Describe what an attribute holds: a number, a text, a list of such, or where its tensors and graphs are.

        None stands for what is longer than anyone needs in order to know the wiring.
        """
        if kind == "f":
            return each.numbers[kind]
        if kind == "i":
            return each.integers[kind]
        if kind == "s":
            return self._short(each.places[kind])
        if kind in ("floats", "ints"):
            return self._numbers(each, each.runs[kind], kind)
        if kind == "strings":
            spans = list(each.spans(kind))
            return [self._short(span) for span in spans] if len(spans) <= LONGEST_LIST else None
        if kind in ("t", "sparse_tensor"):
            self._keep(path, "", self._tensor(each, each.places[kind]) if kind == "t" else SPARSE_REASON)
            return {"tensor": path}
        if kind in ("tensors", "sparse_tensors"):
            for i, span in enumerate(each.spans(kind)):
                self._keep(f"{path}/{i}", "", self._tensor(each, span) if kind == "tensors" else SPARSE_REASON)
            return {"tensors": [f"{path}/{i}" for i, _ in enumerate(each.spans(kind))]}
        if kind == "g":
            return {"graph": self._graph(each.part(each.places[kind], GRAPH, f"{each.what}, graph"), path + "/")}
        if kind == "graphs":
            graphs = enumerate(each.parts(kind, GRAPH, f"{each.what}, graph"))
            return {"graphs": [self._graph(graph, f"{path}/{i}/") for i, graph in graphs]}
        return None

    def _tensor(self, each: Message, span: Span) -> Message:
        return each.part(span, TENSOR, f"{each.what}, tensor")

    def _numbers(self, each: Message, runs: Runs, kind: str) -> list[float] | list[int] | None:
        if length_of(runs) > LONGEST_LIST * (4 if kind == "floats" else LONGEST_VARINT):
            return None
        raw = joined(self.source, runs)
        if kind == "floats":
            return list(struct.unpack(f"<{len(raw) // 4}f", raw))
        integers: list[int] = decode_varints(self.source, raw, each.what).view(np.int64).tolist()
        return integers

    def _short(self, span: Span) -> str | None:
        """Return a text, if it is one and short: an attribute may hold any bytes, a program for a processor say."""
        begin, end = span
        if end - begin > LONGEST_VALUE:
            return None
        try:
            text = self.source.data[begin:end].decode("utf-8")
        except UnicodeDecodeError:
            return None
        self.walker.count(len(text))
        return text

    def _value(self, value: Message) -> Fields:
        """Describe an input or an output: its element type and its shape, as far as they are told."""
        said: Fields = {"name": value.texts.get("name", ""), "type": None, "shape": None}
        if "type" not in value.places:
            return said
        kind = value.part(value.places["type"], TYPE, f"{value.what}, type")
        if "tensor_type" not in kind.places:
            return said
        tensor = kind.part(kind.places["tensor_type"], TENSOR_TYPE, kind.what)
        said["type"] = TYPES.get(tensor.integers.get("elem_type", 0), (None, ""))[0]
        if "shape" in tensor.places:
            shape = tensor.part(tensor.places["shape"], SHAPE, f"{value.what}, shape")
            said["shape"] = [_length(axis) for axis in shape.parts("dim", DIMENSION, f"{shape.what}, axis")]
        return said

    def _keep(self, name: str, path: str, found: Message | str, own: set[str] | None = None) -> None:
        """Note a tensor, or the reason why it can't be read; `own` are the names that its graph has so far."""
        if own is not None:
            if not name:
                raise self.source.bad(f"{found.what if isinstance(found, Message) else 'a tensor'} has no name")
            if name in own:
                raise self.source.bad(f"two tensors of one graph are called {quoted(path + name)}")
            own.add(name)
        full = path + name
        self.walker.count(len(full))
        if full in self.tensors:
            self.skipped.append(Skipped(full, TWICE))
        elif isinstance(found, str):
            self.skipped.append(Skipped(full, found))
        else:
            self.tensors[full] = found


def _length(axis: Message) -> int | str | None:
    return axis.integers.get("dim_value", axis.texts.get("dim_param"))
