"""A mixture of experts as exporters write it: tokens are looked up, go through an expert each, and are put back."""

import numpy as np
import pytest

from tests.checkpoints.wiring._permute import closed, moved
from tests.checkpoints.wiring._planted import expected, found, plantable, planted
from tests.checkpoints.wiring.test_einsum import NETWORKS, Network
from tests.checkpoints.wiring.test_onnx import between, node

T, D, F, E = 10, 6, 5, 2  # tokens, and lengths of axes of units; the network of `Network` has rows and positions


def expert(number, put):
    """The nodes of one expert, from the stream `s` and what is there already."""
    before = "zeros" if number == 0 else f"sum{number - 1}"
    first = [
        node("Equal", f"top n{number}", f"is{number}"),
        node("NonZero", f"is{number}", f"at{number}"),
        node("Gather", f"at{number} row", f"rows{number}", axis=0),
        node("Gather", f"s rows{number}", f"in{number}", axis=0),
        node("MatMul", f"in{number} up{number}", f"up{number}_", f"up{number}"),
        node("Relu", f"up{number}_", f"act{number}"),
        node("MatMul", f"act{number} down{number}", f"down{number}_", f"down{number}"),
    ]
    if put == "ScatterND":
        last = [node("Unsqueeze", f"rows{number} last", f"to{number}"),
                node("ScatterND", f"{before} to{number} down{number}_", f"sum{number}", reduction="add")]  # fmt: skip
    else:
        ends = f"{before} to{number} down{number}_"
        last = [node("Unsqueeze", f"rows{number} last", f"u{number}"),
                node("Expand", f"u{number} width", f"to{number}"),
                node("ScatterElements", ends, f"sum{number}", axis=0, reduction="add")]  # fmt: skip
    return first + last


def mixture(put):
    nodes = [
        node("MatMul", "x in", "s", "in"),
        node("MatMul", "s router", "r", "router"),
        node("ArgMax", "r", "top", "top", axis=-1, keepdims=0),
        node("ConstantOfShape", "size", "zeros"),
        *expert(0, put), *expert(1, put),
        node("Add", "s sum1", "t"),
        node("MatMul", "t top_", "y", "top_"),
    ]  # fmt: skip
    shapes = {"in": (3, D), "router": (D, E), "up0": (D, F), "down0": (F, D), "up1": (D, F), "down1": (F, D),
              "top_": (D, 2)}  # fmt: skip
    lengths = {"n0": np.array(0), "n1": np.array(1), "row": np.array(0), "last": np.array([1]),
               "width": np.array([1, D]), "size": np.array([2, D])}  # fmt: skip

    def run(w, x):
        s = x @ w["in"]
        top = (s @ w["router"]).argmax(-1)
        made = np.stack([np.maximum(s @ w[f"up{n}"], 0) @ w[f"down{n}"] for n in range(2)])
        return (s + made[top, np.arange(len(s))]) @ w["top_"]

    return nodes, shapes, lengths, run, ["in", "up0", "up1"]


@pytest.fixture(params=["ScatterND", "ScatterElements"])
def network(request, monkeypatch):
    monkeypatch.setitem(NETWORKS, "factors", mixture(request.param))  # its input has rows alone
    return Network("factors")


def test_the_stream_and_the_units_of_each_expert_are_found(network):
    assert not network.wiring.unknown
    assert closed(network.graph) == ["in", "up0", "up1"]
    values = np.random.default_rng(0).normal(size=network.total)
    before = network(values)
    for space in closed(network.graph):
        after = network(values[moved(network.graph, space, network.total)])
        assert np.abs(after - before).max() < 1e-12 * np.abs(before).max(), space
    for space in plantable(network.graph):
        tied = values[planted(network.graph, space, network.total)]
        again = network.built({key: tied[place] for key, place in network.places.items()})
        assert found(again) == expected(network.graph, space), space


@pytest.mark.parametrize(("attributes", "read"), [({}, "unknown"), ({"reduction": "add"}, "identity")])
def test_values_that_replace_others_have_passed_through_other_functions_and_sums_through_none(attributes, read):
    nodes = [
        node("Relu", "h", "r"),
        node("MatMul", "x u", "g", "other"),
        node("ScatterND", "r one g", "z", **attributes),
    ]
    graph, wiring = between(*nodes, u=np.ones((3, 8)), one=np.array([[0]]))
    assert not wiring.unknown
    assert [spec.activation for spec in wiring.spaces.values() if spec.units == 8] == [read]
    assert len(closed(graph)) == 1


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("NonZero", "h", "z")], "it takes units for positions"),
        ([node("ScatterND", "h two h", "z")], "it takes units for positions"),
        ([node("ScatterND", "h h h", "z")], "where it puts or looks isn't known"),
        ([node("ScatterElements", "h k h", "z", axis=1)], "it takes units for positions"),
        ([node("ScatterElements", "h k h", "z", axis=0)], "units go to different places"),
        ([node("Unsqueeze", "h", "u", axes=[0]), node("ScatterND", "h one u", "z")], "doesn't meet what is there"),
        (
            [node("Unsqueeze", "h", "u", axes=[0]), node("ScatterElements", "h one u", "z")],
            "doesn't meet what is there",
        ),
        ([node("ScatterND", "h zero h", "z")], "of how many axes its places are isn't known"),
        ([node("GatherND", "h k", "z")], "it takes units for positions"),
        ([node("GatherND", "h one", "z", batch_dims=1)], "it looks up batch by batch"),
    ],
)
def test_what_depends_on_units_is_not_followed(nodes, reason):
    numbers = {"zero": np.array(0), "one": np.array([[0]]), "two": np.array([[0, 1]])}
    _, wiring = between(*nodes, k=np.arange(8)[None], **numbers)
    assert any(reason in each for each in wiring.unknown.values()), wiring.unknown
