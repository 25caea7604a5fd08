"""Branches of an ONNX graph are followed; of a loop, what its body reads and holds is told apart, and named."""

import re

import numpy as np
import pytest

from tests.checkpoints.wiring._permute import closed
from tests.checkpoints.wiring.test_onnx import between, node, wired

RNG = np.random.default_rng(0)
A, C, D, W, V = (RNG.normal(size=shape) for shape in ((8, 8), (8, 8), 8, (3, 8), (8, 2)))


def body(path, nodes, outputs, initializers=(), inputs=()):
    ends = {"inputs": [{"name": name} for name in inputs], "outputs": [{"name": name} for name in outputs]}
    return {"graph": {"path": path, "nodes": nodes, "initializers": list(initializers), **ends}}


def branches(then, other, inputs="flag", outputs="z"):
    return node("If", inputs, outputs, "if", then_branch=then, else_branch=other)


def of_a_weight(side, name="W"):
    """A branch that multiplies `h` by an array of its own."""
    made = node("MatMul", f"h {name}", f"{side}_z", f"{side}_layer")
    return body(f"if/{side}/", [made], [f"{side}_z"], [name])


FLAG = {"flag": np.array(True)}


def test_both_branches_write_the_units_that_come_behind():
    graph, wiring = between(
        branches(of_a_weight("then"), of_a_weight("else")), **FLAG, **{"if/then/W": A, "if/else/W": C}
    )
    assert not wiring.unknown
    space = next(each for each in graph.connections if each.name == "v").spaces("in")[0]
    assert set(graph.writers(space)) == {"if/then/W", "if/else/W"}
    assert set(graph.readers("in")) == {"if/then/W", "if/else/W"}
    assert sorted(closed(graph)) == sorted(["in", space])


def test_a_branch_that_passes_units_on_makes_them_those_of_the_other():
    passing = body("if/else/", [node("Identity", "h", "e")], ["e"])
    graph, wiring = between(branches(of_a_weight("then"), passing), **FLAG, **{"if/then/W": A})
    assert not wiring.unknown
    (space,) = closed(graph)
    assert set(graph.writers(space)) == {"w", "if/then/W"}
    assert set(graph.readers(space)) == {"v", "if/then/W"}


def test_branches_within_branches_read_what_is_around_them():
    inner = branches(body("if/then/if/then/", [node("Add", "t b", "i")], ["i"], ["b"]),
                     body("if/then/if/else/", [node("Relu", "t", "i")], ["i"]), outputs="q")  # fmt: skip
    outer = body("if/then/", [node("MatMul", "h W", "t", "layer"), inner], ["q"], ["W"])
    other = body("if/else/", [node("Identity", "h", "e")], ["e"])
    arrays = {"if/then/W": A, "if/then/if/then/b": D}
    graph, wiring = between(branches(outer, other), **FLAG, **arrays)
    assert not wiring.unknown
    (space,) = closed(graph)
    assert [(each.name, each.space) for each in graph.per_unit] == [("if/then/if/then/b", space)]
    assert set(graph.writers(space)) == {"w", "if/then/W"}


@pytest.mark.parametrize(
    ("op", "attributes", "arrays"),
    [
        ("Loop", {"body": body("loop/body/", [node("MatMul", "s h", "p"), node("Add", "p W", "z")], ["z"], ["W"])},
         {"loop/body/W": D}),
        ("Scan", {"body": body("scan/body/", [node("Relu", "h", "p")], ["p"])}, {}),
        ("If", {"then_branch": body("if/a/", [node("Mystery", "h W", "p")], ["p"], ["W"]),
                "else_branch": body("if/b/", [node("Relu", "h", "p")], ["p"])}, {"if/a/W": D}),
        ("If", {"then_branch": body("if/a/", [node("Relu", "h", "p")], ["p"])}, {}),
    ],
)  # fmt: skip
def test_what_a_body_that_is_not_followed_reads_is_told_apart_and_what_it_holds_is_named(op, attributes, arrays):
    nodes = [
        node("MatMul", "x w", "h", "in"),
        node(op, "flag", "y", "it", **attributes),
        node("MatMul", "h v", "top", "out"),
    ]
    graph, wiring = wired(nodes, outputs="top", w=W, v=V, **FLAG, **arrays)
    assert re.match(f"the graph's ({op}|Mystery) 'it' isn't understood", wiring.spaces["in"].apart)
    assert arrays.keys() <= wiring.unknown.keys()
    assert all(f"{op} 'it'" in wiring.unknown[name] or "Mystery" in wiring.unknown[name] for name in arrays)
    assert closed(graph) == []


def test_of_two_values_of_other_kinds_nothing_is_known():
    flat = body("if/else/", [node("ReduceMean", "h", "e", axes=[0, 1], keepdims=0)], ["e"])
    _, wiring = between(branches(of_a_weight("then"), flat), **FLAG, **{"if/then/W": A})
    assert any("its branches give values of two kinds" in reason for reason in wiring.unknown.values())


def test_branches_that_give_one_array_or_numbers_that_no_unit_has_a_part_of_are_followed():
    one = [body(f"if/{side}/", [], ["b"]) for side in ("then", "else")]
    graph, wiring = between(branches(*one, outputs="c"), node("Mul", "h c", "z"), **FLAG, b=D)
    assert not wiring.unknown
    assert [(each.name, each.kind, each.space) for each in graph.per_unit] == [("b", "scale", "in")]
    even = [body(f"if/{side}/", [node("ConstantOfShape", "size", "e")], ["e"]) for side in ("then", "else")]
    graph, wiring = between(branches(*even, outputs="c"), node("Mul", "h c", "z"), **FLAG, size=np.array([1, 8]))
    assert not wiring.unknown
    assert closed(graph) == ["in"]


def test_bodies_that_an_operator_of_a_branch_has_several_of_are_named_too():
    inner = [body(f"if/then/{n}/", [node("Add", "t W", "i")], ["i"], ["W"])["graph"] for n in "01"]
    outer = body(
        "if/then/", [node("Relu", "h", "t"), node("Switch", "t", "q", "switch", cases={"graphs": inner})], ["q"]
    )
    arrays = {"if/then/0/W": D, "if/then/1/W": D}
    graph, wiring = between(branches(outer, body("if/else/", [node("Relu", "h", "e")], ["e"])), **FLAG, **arrays)
    assert {wiring.unknown[name] for name in arrays} == {
        "the graph's Switch 'switch' isn't understood: no rule knows it"
    }
    assert closed(graph) == []
