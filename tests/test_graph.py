"""LayerGraph says every wiring that a network can have, and refuses those that make no sense."""

import dataclasses
import pickle
import time

import ml_dtypes
import numpy as np
import pytest

from symbreak.graph import KINDS, ROLES, Axis, LayerGraph, PerUnit, Space, Weight, chain

OUT_IN = [("out", "hidden"), ("in", "input")]


def one_layer(**changes):
    """A valid graph, or one with some part replaced."""
    parts = {
        "spaces": [Space("input", 2), Space("hidden", 3, "tanh")],
        "connections": [Weight("w", np.ones((3, 2)), OUT_IN)],
        "per_unit": [PerUnit("b", np.zeros(3), [("out", "hidden")])],
        "inputs": ["input"],
        "outputs": ["hidden"],
    }
    return LayerGraph(**(parts | changes))


def test_a_chain_wires_each_layer_to_the_next():
    w1, w2, w3 = np.ones((4, 2)), np.ones((5, 4)), np.ones((1, 5))
    graph = chain([(w1, np.zeros(4)), (w2, np.zeros(5)), (w3, None)], activation="relu")
    assert [(space.name, space.units, space.activation) for space in graph.spaces] == [
        ("input", 2, "identity"),
        ("layers.0", 4, "relu"),
        ("layers.1", 5, "relu"),
        ("output", 1, "identity"),
    ]
    assert list(graph.weights) == ["layers.0.weight", "layers.1.weight", "layers.2.weight"]
    assert list(graph.arrays) == [*graph.weights, "layers.0.bias", "layers.1.bias"]
    for array, held in zip((w1, w2, w3), graph.weights.values(), strict=True):
        assert np.shares_memory(array, held)
    assert [each.space for each in graph.per_unit] == ["layers.0", "layers.1"]
    assert graph.writers("layers.1") == ("layers.1.weight",)
    assert graph.readers("layers.1") == ("layers.2.weight",)
    assert graph.writers("input") == graph.readers("output") == ()
    assert (graph.inputs, graph.outputs) == (("input",), ("output",))


def test_a_chain_takes_one_activation_a_layer():
    graph = chain([(np.ones((4, 2)), None), (np.ones((1, 4)), None)], activation=["relu", "tanh"])
    assert [space.activation for space in graph.spaces] == ["identity", "relu", "tanh"]


def test_several_weights_may_write_to_one_space():
    graph = LayerGraph(
        [Space("tokens", 9), Space("stream", 4), Space("mlp", 8, "relu")],
        [
            Weight(
                "embed",
                np.ones((9, 4)),
                [("in", "tokens"), ("out", "stream")],
                also=[[("out", "tokens"), ("in", "stream")]],
            ),
            Weight("up", np.ones((8, 4)), [("out", "mlp"), ("in", "stream")]),
            Weight("down", np.ones((4, 8)), [("out", "stream"), ("in", "mlp")]),
        ],
        inputs=["tokens"],
        outputs=["tokens"],
    )
    assert graph.writers("stream") == ("embed", "down")
    assert graph.readers("stream") == ("embed", "up")
    assert graph.writers("tokens") == graph.readers("tokens") == ("embed",), "a tied embedding reads and writes"
    assert graph.inputs == graph.outputs == ("tokens",), "and its space is both input and output"


def test_a_recurrent_weight_reads_and_writes_one_space():
    graph = LayerGraph([Space("state", 3, "tanh")], [Weight("recur", np.eye(3), [("out", "state"), ("in", "state")])])
    assert graph.writers("state") == graph.readers("state") == ("recur",)


def test_gates_kernels_heads_and_stacks_are_axes_of_their_own():
    graph = LayerGraph(
        [Space("x", 2), Space("cell", 3), Space("image", 5), Space("heads", 4), Space("query", 6), Space("experts", 7)],
        [
            Weight("lstm", np.ones((4, 3, 2)), [("gate", None), ("out", "cell"), ("in", "x")]),
            Weight(
                "conv", np.ones((5, 2, 3, 3)), [("out", "image"), ("in", "x"), ("receptive", None), ("receptive", None)]
            ),
            Weight("w_q", np.ones((4, 6, 2)), [("head", "heads"), ("out", "query"), ("in", "x")]),
            Weight("moe", np.ones((7, 3, 2)), [("stack", "experts"), ("out", "cell"), ("in", "x")]),
        ],
        [PerUnit("lstm.bias", np.zeros((4, 3)), [Axis("gate"), Axis("out", "cell")])],
    )
    assert graph.writers("cell") == ("lstm", "moe")
    assert graph.connections[0].axes[0] == Axis("gate", None)
    assert graph.connections[2].spaces("head") == ("heads",)
    assert graph.per_unit[0].space == "cell"


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "bool", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, object]
)
def test_arrays_of_any_numbers_are_held_as_they_are(dtype):
    array = np.zeros((3, 2), dtype=dtype)
    held = one_layer(connections=[Weight("w", array, OUT_IN)]).weights["w"]
    assert held.dtype == array.dtype
    assert np.shares_memory(held, array)


def test_a_graph_is_frozen():
    array = np.ones((3, 2))
    graph = one_layer(connections=[Weight("w", array, OUT_IN)])
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.inputs = ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.connections[0].name = "other"
    with pytest.raises(ValueError, match="read-only"):
        graph.weights["w"][0, 0] = 2
    graph.weights["another"] = array
    assert list(graph.weights) == ["w"], "the dict that comes back is the caller's own"
    assert array.flags.writeable, "the caller's array is left as it was"


def test_a_graph_survives_pickling():
    graph = one_layer()
    again = pickle.loads(pickle.dumps(graph))
    assert str(again) == str(graph)
    assert again.connections[0].axes == graph.connections[0].axes
    np.testing.assert_array_equal(again.weights["w"], graph.weights["w"])


def test_the_text_names_sizes_writers_and_readers():
    graph = one_layer()
    assert repr(graph) == "LayerGraph(input: 2, hidden: 3; 1 weight)"
    assert str(graph).splitlines() == [
        "LayerGraph: 2 spaces, 1 weight, 1 per-unit parameter",
        "  space   units  activation  written by  read by",
        "  input       2  identity    (input)     w",
        "  hidden      3  tanh        w           (output)",
    ]
    assert "nothing" in str(one_layer(outputs=[])), "a space that nothing reads says so"
    assert repr(graph.connections[0]) == "Weight('w', (3, 2) float64: (out hidden, in input))"
    assert repr(graph.per_unit[0]) == "PerUnit('b', (3,) float64: bias, (out hidden))"
    tied = Weight("w", np.ones((3, 2)), OUT_IN, also=[[("in", "a"), ("out", "b")]])
    assert repr(tied).endswith("(out hidden, in input); also (in a, out b))")


def test_a_text_that_is_too_wide_for_a_table_gives_each_space_its_lines():
    layers = [f"transformer.blocks.{k}.linear.weight" for k in range(12)]
    spaces = [Space("input", 1), Space("transformer.stream", 3, "tanh")]
    weights = [Weight(name, np.ones((3, 1)), [("out", "transformer.stream"), ("in", "input")]) for name in layers[:9]]
    weights += [
        Weight(f"{name}\x1b", np.ones((1, 3)), [("out", "input"), ("in", "transformer.stream")]) for name in layers
    ]
    shown = str(LayerGraph(spaces, weights, inputs=["input"], outputs=["transformer.stream"]))
    assert max(map(len, shown.split("\n"))) <= 80
    words = " ".join(shown.split())
    nine = ", ".join(layers[:9])
    eight = ", ".join(f"{name}\\x1b" for name in layers[:7])
    assert words == (
        "LayerGraph: 2 spaces, 21 weights "
        f"input: 1 unit, activation identity written by (input), {eight}, and 5 more read by {', '.join(layers[:8])}, "
        f"{layers[8]} transformer.stream: 3 units, activation tanh written by {nine} "
        f"read by (output), {eight}, and 5 more"
    )
    assert f"\n    written by {layers[0]}," in shown
    assert f"\n      {layers[1]}," in shown


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_known(role):
    space = None if role in ("receptive", "gate") else "s"
    assert Weight("w", np.ones((1, 1, 1)), [("out", "a"), ("in", "b"), (role, space)]).axes[2] == (role, space)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known(kind):
    assert PerUnit("p", np.ones(1), [("out", "a")], kind).kind == kind


W, B = np.ones((3, 2)), np.zeros(3)
BAD = {
    "no units": (ValueError, "space 'x' needs a whole number of units, 1 or more, not 0", lambda: Space("x", 0)),
    "half a unit": (ValueError, "1 or more, not 2.5", lambda: Space("x", 2.5)),
    "a bool for a size": (ValueError, "1 or more, not True", lambda: Space("x", True)),
    "no name": (ValueError, "a space needs a name, a string that is not empty; got ''", lambda: Space("", 1)),
    "no activation": (ValueError, "the activation of space 'x' needs a name.*got None", lambda: Space("x", 1, None)),
    "weight without name": (ValueError, "a weight needs a name", lambda: Weight(None, W, OUT_IN)),
    "parameter without name": (ValueError, "a per-unit parameter needs a name", lambda: PerUnit("", B, [("out", "x")])),
    "a list": (
        TypeError,
        r"'w' must be a NumPy array, not a list: \[\[1, 2\]\]; use np.asarray",
        lambda: Weight("w", [[1, 2]], OUT_IN),
    ),
    "text": (TypeError, "'w' must hold numbers; its dtype is <U1", lambda: Weight("w", np.full((3, 2), "a"), OUT_IN)),
    "records": (TypeError, "'w' must hold numbers", lambda: Weight("w", np.zeros((3, 2), "i4,i4"), OUT_IN)),
    "a role misspelt": (
        ValueError,
        "no role of an axis .* is called 'inn'; did you mean 'in'",
        lambda: Weight("w", W, [("out", "a"), ("inn", "b")]),
    ),
    "an axis that is none": (
        TypeError,
        "must be a pair like .'out', 'hidden'., not 'out'",
        lambda: Weight("w", W, ["out", "in"]),
    ),
    "out without space": (
        ValueError,
        "has role 'out' and must name its space",
        lambda: Weight("w", W, [("out", None), ("in", "b")]),
    ),
    "gate with space": (
        ValueError,
        "role 'gate', which runs over no space, but names 'b'",
        lambda: Weight("w", W, [("out", "a"), ("gate", "b")]),
    ),
    "too few axes": (
        ValueError,
        r"'w' has shape \(3, 2\), 2 axes, but 1 are named: \(out a\)",
        lambda: Weight("w", W, [("out", "a")]),
    ),
    "nothing read": (
        ValueError,
        "weight 'w' has no 'in' axis",
        lambda: Weight("w", W, [("out", "a"), ("receptive", None)]),
    ),
    "nothing written": (ValueError, "weight 'w' has no 'out' axis", lambda: Weight("w", W, [("in", "a"), ("in", "b")])),
    "a bad second use": (
        ValueError,
        "'w' has shape .* 1 are named",
        lambda: Weight("w", W, OUT_IN, also=[[("in", "a")]]),
    ),
    "a kind misspelt": (
        ValueError,
        "no kind of per-unit parameter .* 'bais'; did you mean 'bias'",
        lambda: PerUnit("b", B, [("out", "a")], "bais"),
    ),
    "a parameter that reads": (ValueError, "'b' needs exactly one 'out' axis", lambda: PerUnit("b", B, [("in", "a")])),
    "a parameter that also reads": (
        ValueError,
        "'b' needs exactly one 'out' axis and no 'in' axis",
        lambda: PerUnit("b", W, [("out", "a"), ("in", "c")]),
    ),
    "a parameter of nothing": (
        ValueError,
        "'b' needs exactly one 'out' axis",
        lambda: PerUnit("b", B, [("gate", None)]),
    ),
    "a size that differs": (
        ValueError,
        r"axis 0 \('out'\) of 'w', shape \(4, 2\), has size 4, but space 'hidden' has 3 units",
        lambda: one_layer(connections=[Weight("w", np.ones((4, 2)), OUT_IN)]),
    ),
    "a size that differs in a second use": (
        ValueError,
        r"axis 0 \('out'\) of 'w', shape \(3, 2\), has size 3, but space 'input' has 2 units",
        lambda: one_layer(connections=[Weight("w", W, OUT_IN, also=[[("out", "input"), ("in", "hidden")]])]),
    ),
    "a bias that differs": (
        ValueError,
        r"of 'b', shape \(2,\), has size 2, but space 'hidden' has 3",
        lambda: one_layer(per_unit=[PerUnit("b", np.zeros(2), [("out", "hidden")])]),
    ),
    "an unknown space": (
        ValueError,
        "no space is called 'hiden'; did you mean 'hidden'",
        lambda: one_layer(connections=[Weight("w", W, [("out", "hiden"), ("in", "input")])]),
    ),
    "an unknown output": (ValueError, "no space is called 'y'", lambda: one_layer(outputs=["y"])),
    "no space at all": (ValueError, "there is none", lambda: LayerGraph([], [], inputs=["x"])),
    "a name for a list": (TypeError, r"`inputs` takes a list of names: \['input'\]", lambda: one_layer(inputs="input")),
    "two spaces of one name": (
        ValueError,
        "two spaces are called 'a'",
        lambda: LayerGraph([Space("a", 1), Space("a", 1)], []),
    ),
    "a weight and a bias of one name": (
        ValueError,
        "two weights or per-unit parameters are called 'w'",
        lambda: one_layer(per_unit=[PerUnit("w", B, [("out", "hidden")])]),
    ),
    "an array for a weight": (TypeError, "expected a Weight, got a ndarray", lambda: one_layer(connections=[W])),
    "an empty chain": (ValueError, "a chain needs at least one layer", lambda: chain([])),
    "a chain of arrays": (TypeError, r"layer 0 must be a pair \(weight, bias\)", lambda: chain([W, W])),
    "a chain of lists": (TypeError, "'layers.0.weight' must be a NumPy array", lambda: chain([([[1.0]], None)])),
    "a list for a bias": (TypeError, "'layers.0.bias' must be a NumPy array", lambda: chain([(W, [0.0] * 3)])),
    "a chain that breaks": (
        ValueError,
        r"'layers.0.weight' \(3, 2\) writes 3 units, but 'layers.1.weight' \(1, 4\) reads 4; weights are \(out, in\)",
        lambda: chain([(W, None), (np.ones((1, 4)), None)]),
    ),
    "a convolution in a chain": (
        ValueError,
        r"must have two axes, \(out, in\)",
        lambda: chain([(np.ones((3, 2, 3)), None)]),
    ),
    "activations that don't match": (
        ValueError,
        "1 layers need 1 activations, one a layer, not 2",
        lambda: chain([(W, None)], ["tanh", "tanh"]),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_sense_is_refused_and_named(case):
    error, message, make = BAD[case]
    with pytest.raises(error, match=message):
        make()


def test_time_is_in_proportion_to_the_number_of_spaces():
    layers = [(np.ones((2, 2)), np.ones(2))] * 10_000
    begin = time.process_time()
    graph = chain(layers)
    lines = str(graph).splitlines()
    found = [graph.writers(space.name) for space in graph.spaces[1:-1]]
    assert time.process_time() - begin < 8  # 0.5 s; the graph alone took 15 s when each name was looked for among all
    assert found == [(f"layers.{number}.weight",) for number in range(9999)]
    assert len(lines) == 10_003


@pytest.mark.parametrize(
    ("mask", "error"),
    [
        (("m", np.array([1.0, 0.5]), [("out", "h")], "bias", None, "b"), "it is a mask, but it holds other values"),
        (("m", np.ones(2), [("out", "h")], "bias", None, "c"), "no per-unit parameter .that 'm' multiplies. is called"),
        (
            ("m", np.ones((2, 2)), [("gate",), ("out", "h")], "bias", None, "b"),
            "of a per-unit parameter needs its axes",
        ),
        (("m", np.ones(2), [("out", "h")], "bias", None, "m"), "'m' multiplies 'm', which is a mask itself"),
        (("m", np.ones(2), [("out", "h")], "bias", None, ""), "what the mask 'm' multiplies needs a name"),
    ],
)
def test_the_mask_of_a_per_unit_parameter_has_its_axes_and_holds_zeros_and_ones(mask, error):
    weights = [Weight("w", np.ones((2, 3)), [("out", "h"), ("in", "x")])]
    bias = PerUnit("b", np.ones(2), [("out", "h")])
    with pytest.raises(ValueError, match=error):
        LayerGraph([Space("x", 3), Space("h", 2)], weights, [bias, PerUnit(*mask)])
    good = PerUnit("m", np.ones(2), [("out", "h")], "constant", None, "b")
    graph = LayerGraph([Space("x", 3), Space("h", 2)], weights, [bias, good])
    assert repr(graph.per_unit[1]).endswith("constant, (out h); multiplies 'b')")
