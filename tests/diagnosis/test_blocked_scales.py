"""Units that can never learn behind scales of no norm, and before norms without parameters: as gradients have it."""

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import graph_wiring, wire
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from tests.checkpoints.wiring.test_norms import blocked
from tests.checkpoints.wiring.test_onnx import between, node

UNIT = 2


def arrays(*, dead=(), closed=(), bias=True, seed=0):
    """Two dense layers of six units, and a scale between: `dead` units read nothing, `closed` are scaled by 0."""
    rng = np.random.default_rng(seed)
    found = {"up": rng.normal(size=(6, 3)), "scale": rng.normal(size=6), "down": rng.normal(size=(2, 6))}
    found |= {"bias": rng.normal(size=6)} if bias else {}
    found["up"][list(dead)] = 0
    found["scale"][list(closed)] = 0
    for units in (dead, closed):
        found["down"][:, list(units)] = 0
        if bias:
            found["bias"][list(units)] = 0
    return found


def network(given, *, norm=None, activation="tanh"):
    per_unit = [PerUnit("scale", given["scale"], [("out", "h")], "scale", norm)] if "scale" in given else []
    per_unit += [PerUnit("bias", given["bias"], [("out", "h")])] if "bias" in given else []
    return LayerGraph(
        [Space("x", 3), Space("h", 6, activation), Space("y", 2)],
        [
            Weight("up", given["up"], [("out", "h"), ("in", "x")]),
            Weight("down", given["down"], [("out", "y"), ("in", "h")]),
        ],
        per_unit,
        inputs=["x"],
        outputs=["y"],
    )


def gradients(given, norm=lambda h: h):
    """What PyTorch finds: what is read, a scale, a norm without parameters, a tanh, and what reads them."""
    torch = pytest.importorskip("torch")
    own = {name: torch.tensor(array, requires_grad=True) for name, array in given.items()}
    x = torch.tensor(np.random.default_rng(1).normal(size=(16, 3)))
    h = x @ own["up"].T + own.get("bias", 0)
    y = torch.tanh(norm(h * own.get("scale", 1))) @ own["down"].T
    (y - torch.ones_like(y)).pow(3).sum().backward()
    return {name: each.grad.numpy() for name, each in own.items()}


def moves(found):
    """Which arrays move along a unit."""
    return {name for name, each in found.items() if (each[:, UNIT] if name == "down" else each[UNIT]).any()}


def test_a_unit_that_is_dead_on_both_sides_of_a_scale_of_no_norm_is_blocked():
    given = arrays(dead=[UNIT])
    assert blocked(network(given, norm="none")) == {"h": [UNIT]}
    assert blocked(network(given)) == {}  # it may be a layer norm's
    assert moves(gradients(given)) == set()
    assert moves(gradients(arrays())) == {"up", "scale", "down", "bias"}


def test_a_unit_that_a_scale_of_no_norm_multiplies_by_zero_is_blocked_where_it_is_read_with_zero():
    given = arrays(closed=[UNIT])
    (finding,) = sb.diagnose(network(given, norm="none")).findings
    assert (finding.code, finding.groups) == ("SB203", ((UNIT,),))
    assert "a scale multiplies them by zero, and they are read with weights zero" in finding.message
    assert moves(gradients(given)) == set()


@pytest.mark.parametrize(
    ("name", "never"), [("layer_norm", False), ("group_norm", False), ("rms_norm", True), ("batch_norm", True)]
)
@pytest.mark.parametrize("scale", [True, False])
def test_before_a_norm_without_parameters_a_dead_unit_is_blocked_only_where_the_norm_leaves_zeros_alone(
    name, never, scale
):
    functional = pytest.importorskip("torch.nn.functional")
    norm = {
        "layer_norm": lambda h: functional.layer_norm(h, (6,)),
        "group_norm": lambda h: functional.group_norm(h, 2),
        "rms_norm": lambda h: functional.rms_norm(h, (6,)),
        "batch_norm": lambda h: functional.batch_norm(h, None, None, training=True),
    }[name]
    given = arrays(dead=[UNIT])
    if not scale:
        del given["scale"]
    graph = network(given, norm="none" if scale else None, activation=f"{name}, tanh")
    assert blocked(graph) == ({"h": [UNIT]} if never else {})
    assert (moves(gradients(given, norm)) == set()) == never


@pytest.mark.parametrize("name", ["layer_norm", "group_norm"])
def test_a_scale_of_zero_before_a_norm_without_parameters_shuts_no_unit_off(name):
    functional = pytest.importorskip("torch.nn.functional")
    given = arrays(closed=[UNIT])
    assert blocked(network(given, norm="none", activation=f"{name}, tanh")) == {}
    norm = {"layer_norm": lambda h: functional.layer_norm(h, (6,)), "group_norm": lambda h: functional.group_norm(h, 2)}
    assert moves(gradients(given, norm[name])) >= {"down"}


def test_a_relu_that_is_flat_is_not_at_zero_behind_a_norm_without_parameters():
    given = arrays(dead=[UNIT])
    del given["scale"]
    given["down"] = arrays(seed=3)["down"]
    given["bias"][UNIT] = -1.0
    assert blocked(network(given, activation="relu")) == {"h": [UNIT]}
    assert blocked(network(given, activation="batch_norm, relu")) == {}


def test_lengths_of_weight_norm_that_are_zero_block_units_that_nothing_reads():
    """What it divides by, the length of a row, is computed and is added to nothing."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).double()
    layers[0] = torch.nn.utils.parametrizations.weight_norm(layers[0])
    with torch.no_grad():
        layers[0].parametrizations.weight.original0[UNIT] = 0
        layers[0].bias[UNIT] = 0
        layers[2].weight[:, UNIT] = 0
    found = {name: each.detach().numpy() for name, each in layers.state_dict().items()}
    assert blocked(wire(found, config={"hidden_act": "tanh"}).graph) == {"0": [UNIT]}
    layers(torch.randn(8, 3, dtype=torch.float64)).pow(3).sum().backward()
    rows = {name: each.grad.T if name == "2.weight" else each.grad for name, each in layers.named_parameters()}
    assert not any(each[UNIT].any() for name, each in rows.items() if name != "2.bias")


@pytest.mark.parametrize(
    ("nodes", "activation"),
    [
        ([node("LayerNormalization", "h", "z")], "layer_norm"),
        ([node("RMSNormalization", "h one", "z")], "rms_norm"),
        ([node("ReduceMean", "h", "m", axes=[-1]), node("Sub", "h m", "z")], "unknown"),
        ([node("Add", "h one", "z")], "unknown"),
        ([node("Add", "h none", "z")], "identity"),
        ([node("Max", "h none", "z")], "relu"),
        ([node("Max", "h one", "z")], "unknown"),
        ([node("Pow", "h two", "z")], "square"),
        ([node("Mul", "h two", "z")], "identity"),
        ([node("Where", "flag h none", "z")], "identity"),
        ([node("Where", "flag h one", "z")], "unknown"),
        ([node("ReduceMean", "h", "m", axes=[-1]), node("Div", "h m", "z")], "identity"),
    ],
)
def test_a_graph_says_where_a_number_that_all_units_share_is_added_to_them(nodes, activation):
    numbers = {"one": np.array(1.0), "none": np.array(0.0), "two": np.array(2.0), "flag": np.array(True)}
    graph, wiring = between(*nodes, **numbers)
    assert not wiring.unknown
    assert graph.space("in").activation == activation


def test_a_dead_unit_of_a_graph_with_a_norm_without_parameters_is_not_called_blocked():
    rng = np.random.default_rng(0)
    given = {"up": rng.normal(size=(3, 6)), "down": rng.normal(size=(6, 2))}
    given["up"][:, UNIT] = given["down"][UNIT] = 0
    for op, found in (("LayerNormalization", {}), ("Relu", {"h": [UNIT]})):
        nodes = [node("MatMul", "x up", "h", "h"), node(op, "h", "z"), node("MatMul", "z down", "y", "y")]
        graph = {"inputs": [{"name": "x", "shape": ["n", 3]}], "outputs": [{"name": "y"}], "nodes": nodes}
        shapes = {name: array.shape for name, array in given.items()}
        wired = wire(given, wiring=graph_wiring(graph, shapes, given.__getitem__))
        assert blocked(wired.graph) == found, op


def test_a_norm_that_is_none_is_said_in_words():
    each = PerUnit("scale", np.ones(3), [("out", "h")], "scale", "none")
    assert "scale of no norm" in repr(each)
