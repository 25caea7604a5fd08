"""The wiring of an ONNX model, from the graph in its file: units are followed from node to node.

Operators are those of the standard's own domain [1]. A node that isn't known, or that treats units as it can't treat
them all alike, tells apart the units that it reads; what it reads and what it writes are not known.

[1] https://onnx.ai/onnx/operators/
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

from symbreak.checkpoints.wiring._factors import Axis, NotUnderstood, Value, Var
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._onnx_bodies import bodies, either, inlined, names_inside
from symbreak.checkpoints.wiring._onnx_lists import Lists
from symbreak.checkpoints.wiring._onnx_nodes import Node
from symbreak.checkpoints.wiring._onnx_operators import OPERATORS
from symbreak.checkpoints.wiring._onnx_values import Step
from symbreak.checkpoints.wiring._patterns import is_plain
from symbreak.checkpoints.wiring._spec import Wiring
from symbreak.checkpoints.wiring._values import Const, Even, Known

RULE = "ONNX graph"
TOO_DEEP = "the graph cuts and joins axes too often"
DOMAINS = ("", "ai.onnx")
Array = np.ndarray[Any, np.dtype[Any]]


def onnx_wiring(
    structure: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]], get: Callable[[str], Array]
) -> Wiring:
    """Wire what the graph of an ONNX model reads.

    Parameters
    ----------
    structure
        The model as `Checkpoint.structure` has it.
    shapes
        The tensors of the file that can be read.
    get
        Gives their values; only short arrays are asked for, which may say lengths and places.
    """
    graph = structure.get("graph")
    return graph_wiring(graph if isinstance(graph, Mapping) else {}, shapes, get)


def graph_wiring(
    graph: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    get: Callable[[str], Array],
    *,
    rule: str = RULE,
) -> Wiring:
    """Wire what a graph of ONNX's operators reads, wherever it is from.

    Parameters
    ----------
    graph
        ``"inputs"`` and ``"outputs"``, each a list of ``{"name": str, "shape": list}`` whose lengths are whole numbers,
        names of lengths that vary, or None; and ``"nodes"`` in the order in which they run, each with ``"op_type"``,
        ``"inputs"`` and ``"outputs"`` (names of values; empty for one that is left out), ``"attributes"``, and if it
        has them ``"name"``, ``"domain"``, and ``"shapes"``, a mapping from outputs to shapes like those of inputs: if
        the node isn't understood, they are followed from there. Names of inputs that are tensors are read from
        `shapes`.
    shapes
        The tensors that can be read.
    get
        Gives their values; only short arrays are asked for, which may say lengths and places.
    rule
        On what evidence, for reports.
    """
    try:
        return _Run(graph, shapes, get, rule).wiring()
    except RecursionError:
        return Wiring(rule, unknown=dict.fromkeys(filter(is_plain, shapes), TOO_DEEP), plain=True)


@final
class _Run:
    """All nodes, in their order."""

    def __init__(
        self, graph: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], get: Callable[[str], Array], rule: str
    ) -> None:
        self.graph, self.shapes = graph, shapes
        self.flow = Flow(rule)
        self.lists = Lists(shapes, get)
        self.known: dict[str, Known] = {}
        self.unclear: dict[str, str] = {}  # arrays that something reads which isn't understood

    def wiring(self) -> Wiring:
        inside = set(self.graph.get("initializers", ()))
        for said in self.graph.get("inputs", ()):
            if said["name"] not in inside:
                self.known[said["name"]] = self.entry(said)
        for place, said in enumerate(self.graph.get("nodes", ())):
            self.step(Node(said, place))
        for said in self.graph.get("outputs", ()):
            value = self.known.get(said["name"])
            for axis in value.axes if isinstance(value, Value) else ():
                self.flow.show(axis)
        for tensor in self.flow.shared():
            if not self.lists.is_constant(tensor):
                self.flow.part(tensor, "they share an array with units of another space")
        for tensor, reason in self.unclear.items():
            self.flow.part(tensor, reason)
        for name in self.lists.used & set(self.shapes):
            self.flow.ignore(name, "lengths or places")
        return self.flow.wiring()

    def entry(self, said: Mapping[str, Any]) -> Known:
        """Make the value of an input: no axis of it is one of units until a weight reads it."""
        shape = said.get("shape")
        if shape is None:
            return None
        batches: dict[str, Var] = {}
        axes: list[Axis] = []
        for size in shape:
            var = self.flow.var(size if isinstance(size, int) else None, name=said["name"])
            axes.append((batches.setdefault(size, var) if isinstance(size, str) else var,))
        return Value(tuple(axes))

    def step(self, node: Node) -> None:
        """Follow the units through one node."""
        inputs = [self.value(name) for name in node.inputs]
        try:
            if node.domain not in DOMAINS or (node.op not in OPERATORS and node.op != "If"):
                raise NotUnderstood("no rule knows it")
            found = self.lists.follow(node, inputs)
            if found is not None:
                self.lists.known[node.outputs[0]] = found
                self.known[node.outputs[0]] = Even()
                return
            if any(name and value is None for name, value in zip(node.inputs, inputs, strict=True)):
                raise NotUnderstood("something before it isn't understood")
            made: Sequence[Known] = (
                self.branches(node)
                if node.op == "If"
                else OPERATORS[node.op](Step(self.flow, self.lists, node, inputs))
            )
        except NotUnderstood as fault:
            self.give_up(node, inputs, str(fault))
        except (IndexError, TypeError, ValueError, AttributeError, KeyError, ZeroDivisionError):
            self.give_up(node, inputs, "it isn't as the standard has it")
        else:
            self.known |= dict(zip(node.outputs, made, strict=False))

    def branches(self, node: Node) -> Sequence[Known]:
        """Follow both branches of an `If`: what they give is one value."""
        found: list[list[Known]] = []
        for place, body in enumerate(bodies(node)):
            nodes, outputs = inlined(body, place)
            for each in nodes:
                self.step(each)
            found.append([self.value(name) for name in outputs])
        if len(found) != 2 or any(each is None for some in found for each in some):
            raise NotUnderstood("something in its branches isn't")
        return [either(self.flow, *both) for both in zip(*found, strict=True)]

    def give_up(self, node: Node, inputs: Sequence[Known], fault: str) -> None:
        """Tell apart what a node reads that isn't understood, and say so of the arrays around it."""
        operator = ".".join(word for word in (node.domain, node.op) if word)
        reason = f"the graph's {operator} {node.name!r} isn't understood: {fault}"
        inside = [self.value(name) for name in names_inside(node)]
        self.flow.tell_apart([*inputs, *inside], reason, fault=True)
        for each in (*inputs, *inside):
            if isinstance(each, Const) and not each.single:
                self.flow.doubt(each.tensor, reason)
                self.unclear[each.tensor] = reason
        self.known |= dict.fromkeys(node.outputs)
        for name, shape in node.shapes.items():  # it goes on from there as from an input
            self.known[name] = self.entry({"name": node.name, "shape": shape})

    def value(self, name: str) -> Known:
        """Give what is known of a value by name."""
        if name and name not in self.known and name in self.shapes:
            shape = self.shapes[name]
            self.known[name] = Const(name, shape, tuple(range(len(shape))))
        return self.known.get(name)
