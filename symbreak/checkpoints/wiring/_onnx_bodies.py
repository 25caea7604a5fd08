"""Graphs within nodes of an ONNX graph: the branches of an `If`, the body of a `Loop` or a `Scan`.

What is inside is seen with names of its own, made of the path that leads to it, as its tensors have them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from symbreak.checkpoints.wiring._factors import NotUnderstood, Value
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._onnx_nodes import Node
from symbreak.checkpoints.wiring._values import Const, Even, Known, meet

Graph = Mapping[str, Any]


def bodies(node: Node) -> Iterator[Graph]:
    """Yield the graphs of a node."""
    for value in node.attributes.values():
        if isinstance(value, Mapping):
            some = value.get("graphs", [value["graph"]] if "graph" in value else [])
            yield from (each for each in some if isinstance(each, Mapping))


def inlined(body: Graph, place: int) -> tuple[list[Node], list[str]]:
    """Give the nodes of a body, and its outputs, under names that no other graph has."""
    path = str(body.get("path", f"{place}/"))
    body = _renamed(body, {name: f"{path}{name}" for name in _own(body)})
    nodes = [Node(said, number) for number, said in enumerate(body.get("nodes", ()))]
    return nodes, [said["name"] for said in body.get("outputs", ())]


def _own(body: Graph) -> set[str]:
    """Give the names that a graph makes itself."""
    made = (name for said in body.get("nodes", ()) for name in said.get("outputs", ()) if name)
    return {*body.get("initializers", ()), *(said["name"] for said in body.get("inputs", ())), *made}


def _renamed(body: Graph, names: Mapping[str, str]) -> Graph:
    """Give names of a graph others, in its nodes, and in the bodies of these where they have none of that name."""
    nodes = []
    for said in body.get("nodes", ()):
        ends = {key: [names.get(name, name) for name in said.get(key, ())] for key in ("inputs", "outputs")}
        held = {key: _renamed_within(value, names) for key, value in said.get("attributes", {}).items()}
        nodes.append({**said, **ends, "attributes": held})
    outputs = [{**said, "name": names.get(said["name"], said["name"])} for said in body.get("outputs", ())]
    return {**body, "nodes": nodes, "outputs": outputs}


def _renamed_within(value: object, names: Mapping[str, str]) -> object:
    if not isinstance(value, Mapping) or not ("graph" in value or "graphs" in value):
        return value

    def inner(body: Graph) -> Graph:
        own = _own(body)
        return _renamed(body, {name: new for name, new in names.items() if name not in own})

    if "graph" in value:
        return {"graph": inner(value["graph"])}
    return {"graphs": [inner(each) for each in value["graphs"]]}


def names_inside(node: Node) -> Iterator[str]:
    """Yield the names of all that the bodies of a node read or hold, those of bodies within them too."""
    for place, body in enumerate(bodies(node)):
        path = str(body.get("path", f"{place}/"))
        yield from (f"{path}{name}" for name in body.get("initializers", ()))
        nodes, outputs = inlined(body, place)
        yield from outputs
        for each in nodes:
            yield from each.inputs
            yield from each.outputs
            yield from names_inside(each)


def either(flow: Flow, one: Known, other: Known) -> Known:
    """Give what is known of a value that is one or the other: its units are those of both."""
    if isinstance(one, Even) and isinstance(other, Even):
        return one
    if isinstance(one, Const) and one == other:
        return one
    if not isinstance(one, Value) or not isinstance(other, Value) or len(one.axes) != len(other.axes):
        raise NotUnderstood("its branches give values of two kinds")
    axes = tuple(meet(flow, a, b) for a, b in zip(one.axes, other.axes, strict=True))
    passed = tuple(dict.fromkeys((one.passed, other.passed)))
    return Value(axes, passed[0] if len(passed) == 1 else ("unknown",))
