"""The graph in an ONNX file says how its arrays are wired: units are followed through it, and nothing is guessed.

The files of `tests/data/graphs` are of PyTorch's exporters. They are run by the reference of the `onnx` library, where
it is installed.
"""

import time
import warnings

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import graph_wiring, open_checkpoint, save_wiring, wire
from symbreak.checkpoints.wiring._build import build
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._onnx import onnx_wiring
from tests.checkpoints._make import DATA
from tests.checkpoints.wiring._permute import axes_over, closed, moved, places
from tests.checkpoints.wiring._planted import plantable, planted, tied

GRAPHS = DATA.parent / "graphs"
FILES = {  # spaces of which every axis is known
    "convolutions": ["stem", "up", "squeeze", "wide.heads", "wide.units", "groups.units", "open", "more"],
    "dense": ["0"],
    "pictures": ["patch", "qkv.0.heads", "qkv.0.units", "qkv.2.units", "fc1"],
    "steps": ["table", "lstm.LSTM", "lstm.LSTM.back", "gru.GRU"],
    "words": ["table", "block.self_attn.0.heads", "block.self_attn.0.units", "block.self_attn.2.units", "block.linear1",
              "gated.1"],
}  # fmt: skip
KERAS = ("convolutions.keras", "steps.keras", "first.keras")
SAME = 1e-5  # of the largest output
INVARIANT = ("bias[1]",)  # of keys: a softmax doesn't see them


def opened(name):
    """Give the structure of a file, and its arrays."""
    with open_checkpoint(GRAPHS / f"{name}.onnx") as ckpt:
        return ckpt.structure, {key: np.array(ckpt[key]) for key in ckpt}


def placed(structure, arrays):
    """Give the graph with places for values, the places, and their number."""
    found, total = places({key: array.shape for key, array in arrays.items()})
    wiring = onnx_wiring(structure, {key: array.shape for key, array in arrays.items()}, arrays.__getitem__)
    names = Names.plain({key: array.shape for key, array in arrays.items()})
    return build(wiring, names, found.__getitem__, {}).graph, found, total


class Runner:
    """A model that is run with the values of its arrays in one row."""

    def __init__(self, name):
        onnx = pytest.importorskip("onnx")
        from onnx.reference import ReferenceEvaluator

        self.reference, self.onnx = ReferenceEvaluator, onnx
        self.structure, self.arrays = opened(name)
        self.model = onnx.load(GRAPHS / f"{name}.onnx")
        self.holders = {tensor.name: tensor for tensor in self.model.graph.initializer}
        for node in self.model.graph.node:
            if node.op_type == "Constant":
                self.holders[node.output[0]] = next(each.t for each in node.attribute if each.name == "value")
        self.graph, self.places, self.total = placed(self.structure, self.arrays)
        rng = np.random.default_rng(0)
        self.values = np.zeros(self.total)
        for key, array in self.arrays.items():
            drawn = array.astype(float)
            if array.dtype.kind == "f" and array.size > 1 and not (array.ndim == 3 and not array.any()):
                drawn = drawn * rng.uniform(0.7, 1.3, array.shape) + 0.1 * rng.uniform(0, 1, array.shape)
            self.values[self.places[key].ravel()] = drawn.ravel()

    def __call__(self, values):
        for key, array in self.arrays.items():
            if key in self.holders and array.dtype.kind == "f":
                new = values[self.places[key]].reshape(array.shape).astype(array.dtype)
                self.holders[key].CopyFrom(self.onnx.numpy_helper.from_array(new, key))
        given = {}
        for each in self.model.graph.input:
            shape = [axis.dim_value or 3 for axis in each.type.tensor_type.shape.dim]
            count = np.arange(np.prod(shape)).reshape(shape)
            given[each.name] = np.sin(count * 0.7).astype("f4") if each.type.tensor_type.elem_type == 1 else count % 7
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self.reference(self.model).run(None, given)
        return np.concatenate([np.ravel(each) for each in found])


@pytest.mark.parametrize("name", FILES)
def test_every_array_of_an_exported_network_is_in_its_graph(name):
    with open_checkpoint(GRAPHS / f"{name}.onnx") as ckpt:
        found = wire(ckpt)
        assert found.rule == "ONNX graph"
        assert (dict(found.unknown), dict(found.apart)) == ({}, {})
        held = {each.partition("[")[0].partition("@")[0] for each in found.graph.arrays}
        assert {
            key for key, info in ckpt.tensors.items() if info.dtype.kind == "f" and np.prod(info.shape) > 1
        } - held <= {key for key, pattern in found.wiring.ignored.items() if pattern == "lengths or places"}
    assert sorted(closed(found.graph)) == sorted(FILES[name])


def test_the_functions_through_which_units_are_read_are_named():
    with open_checkpoint(GRAPHS / "convolutions.onnx") as ckpt:
        spaces = {space.name: space.activation for space in wire(ckpt).graph.spaces}
    assert spaces["squeeze"] == "relu"
    assert spaces["up"] == "relu6 or relu6, hard_swish"  # by the depthwise layer, and by the next
    assert spaces["stem"] == "relu or identity or unknown"  # the last is a product of units and their weights
    assert spaces["wide.units"] == "silu"
    assert spaces["more"] == "unknown"  # what is joined has passed through several


@pytest.mark.parametrize("name", FILES)
def test_renumbering_the_units_of_a_space_on_all_its_axes_changes_nothing_and_on_all_but_one_does(name):
    run = Runner(name)
    before = run(run.values)
    scale = np.abs(before).max()
    for space in closed(run.graph):
        after = run(run.values[moved(run.graph, space, run.total)])
        assert np.abs(after - before).max() < SAME * scale, space
        for array, number in axes_over(run.graph, space):
            if array.endswith(INVARIANT) or (array.startswith("onnx::Add") and not run.arrays[array].any()):
                continue
            after = run(run.values[moved(run.graph, space, run.total, without=(array, number))])
            assert np.abs(after - before).max() > SAME * scale, (space, array, number)


@pytest.mark.parametrize("name", ["convolutions", "pictures", "words"])
def test_where_an_operator_is_not_known_no_space_is_closed_that_is_not(name):
    run = Runner(name)
    before = run(run.values)
    scale = np.abs(before).max()
    nodes = run.structure["graph"]["nodes"]
    for place in range(1, len(nodes), 1 + len(nodes) // 12):
        changed = [{**node, "op_type": "Mystery"} if n == place else node for n, node in enumerate(nodes)]
        structure = {"graph": {**run.structure["graph"], "nodes": changed}}
        graph, _, _ = placed(structure, run.arrays)
        for space in closed(graph) if graph is not None else []:
            after = run(run.values[moved(graph, space, run.total)])
            assert np.abs(after - before).max() < SAME * scale, (nodes[place]["op_type"], space)


@pytest.mark.parametrize("name", FILES)
def test_a_tie_in_any_space_is_found_and_none_where_there_is_none(name):
    structure, arrays = opened(name)
    graph, found, total = placed(structure, arrays)
    rng = np.random.default_rng(0)
    values = rng.normal(size=total)

    def judged(values):
        given = {key: values[found[key]] for key in arrays}
        shapes = {key: array.shape for key, array in arrays.items()}
        wiring = onnx_wiring(structure, shapes, arrays.__getitem__)
        return build(wiring, Names.plain(shapes), given.__getitem__, {}).graph

    assert tied(judged(values)) == set()
    for space in plantable(graph):
        assert tied(judged(values[planted(graph, space, total)])), space


def test_a_file_is_judged_by_its_graph(tmp_path):
    """Units 0 and 1 of the layer before a norm are alike, which only the graph shows: its names are numbers."""
    data = bytearray((GRAPHS / "dense.onnx").read_bytes())
    _, arrays = opened("dense")
    for name, axis in (("0.weight", 0), ("0.bias", 0), ("3.weight", 1)):
        array = arrays[name]
        tied_ = np.take(array, [0, 0, *range(2, array.shape[axis])], axis=axis)
        at = data.index(array.tobytes())
        data[at : at + array.nbytes] = tied_.tobytes()
    path = tmp_path / "tied.onnx"
    path.write_bytes(data)
    (finding,) = [each for each in sb.diagnose(path, wiring=True).findings if each.code == "SB201"]
    assert "units 0, 1" in str(finding) or finding.groups == ((0, 1),)
    assert not [each for each in sb.diagnose(GRAPHS / "dense.onnx", wiring=True).findings if each.code == "SB201"]


@pytest.mark.parametrize("name", [*(f"{each}.onnx" for each in FILES), *KERAS])
def test_a_wiring_that_a_graph_gave_is_the_same_from_a_file(tmp_path, name):
    with open_checkpoint(GRAPHS / name) as ckpt:
        one = wire(ckpt)
        save_wiring(one, tmp_path / "wiring.toml")
        other = wire(ckpt, wiring=tmp_path / "wiring.toml")
    assert other.rule == "wiring"
    for kind in ("spaces", "connections", "per_unit", "inputs", "outputs"):
        assert sorted(map(repr, getattr(one.graph, kind))) == sorted(map(repr, getattr(other.graph, kind)))


def node(op, inputs, outputs="y", name="it", domain="", **attributes):
    """One node; names are apart by spaces."""
    return {"op_type": op, "name": name, "domain": domain, "inputs": inputs.split(" "), "outputs": outputs.split(" "),
            "attributes": attributes}  # fmt: skip


def wired(nodes, shape=("n", 3), outputs="y", **arrays):
    """Wire a small graph whose input is `x`."""
    arrays = {key: np.asarray(array) for key, array in arrays.items()}
    structure = {
        "graph": {
            "initializers": list(arrays),
            "inputs": [{"name": "x", "type": "float32", "shape": list(shape) if shape is not None else None}],
            "outputs": [{"name": each} for each in outputs.split(" ")],
            "nodes": nodes,
        }
    }
    shapes = {key: array.shape for key, array in arrays.items()}
    wiring = onnx_wiring(structure, shapes, arrays.__getitem__)
    return build(wiring, Names.plain(shapes), arrays.__getitem__, {}).graph, wiring


RNG = np.random.default_rng(0)
W, V, B = RNG.normal(size=(3, 8)), RNG.normal(size=(8, 2)), RNG.normal(size=8)
K = RNG.normal(size=(6, 3, 3, 3))
IN, OUT = node("MatMul", "x w", "h", "in"), node("MatMul", "z v", "y", "out")


def between(*nodes, **arrays):
    """Put nodes from `h` to `z` between two dense layers of 8 units."""
    return wired([IN, *nodes, OUT], w=W, v=V, **arrays)


@pytest.mark.parametrize(
    ("nodes", "arrays", "axes"),
    [
        ([node("Relu", "h", "z")], {}, None),
        ([node("Add", "b h", "z")], {"b": B}, ("b", "bias", "(out in)")),
        ([node("Mul", "h b", "z")], {"b": B[None]}, ("b", "scale", "(out in)")),
        ([node("PRelu", "h b", "z")], {"b": B}, ("b", "slope", "(out in)")),
        ([node("Where", "c h b", "z")], {"b": B, "c": np.array(True)}, ("b", "constant", "(out in)")),
        ([node("LayerNormalization", "h b", "z")], {"b": B}, ("b", "scale of a layer norm", "(out in)")),
        ([node("BatchNormalization", "h b b b b", "z")], {"b": B}, ("b", "scale of a batch norm", "(out in)")),
        ([node("ReduceMean", "h", "m", axes=[-1]), node("Sub", "h m", "z")], {}, None),
        ([node("Softmax", "h", "z", axis=-1)], {}, None),
        ([node("Dropout", "h", "z")], {}, None),
        ([node("Unsqueeze", "h a", "u"), node("Squeeze", "u a", "z")], {"a": np.array([1])}, None),
        ([node("Reshape", "h a", "u"), node("Reshape", "u b", "z")],
         {"a": np.array([0, 2, 4]), "b": np.array([0, -1])}, None),
    ],
)  # fmt: skip
def test_a_node_that_treats_all_units_alike_keeps_their_space(nodes, arrays, axes):
    graph, wiring = between(*nodes, **arrays)
    assert not wiring.unknown
    assert not {"in", "in.heads", "in.units"} & {*graph.inputs, *graph.outputs}
    assert graph.writers("in" if "in" in [s.name for s in graph.spaces] else "in.units") == ("w",)
    if axes is not None:
        (each,) = [each for each in graph.per_unit if each.name == axes[0]]
        assert f"{axes[1]}, {axes[2]}" in repr(each)


EVEN, SIZE = node("ConstantOfShape", "size", "e"), {"size": np.array([1, 2])}  # zeros, of which no unit has a part
STEPS = node("Unsqueeze", "h", "u", axes=[0])

REFUSED = [
    (between, [node("Mystery", "h", "z")], {}, "no rule knows it"),
    (between, [node("Relu", "h", "z", domain="com.example")], {}, "com.example.Relu 'it' isn't understood: no rule"),
    (between, [node("Concat", "w v", "q", axis=0), node("Add", "h q", "z")], {}, "it joins arrays of the file"),
    (between, [node("Add", "w v", "q"), node("Add", "h q", "z")], {}, "arrays of the file meet before any value"),
    (between, [node("MatMul", "w v", "q"), node("Add", "h q", "z")], {}, "it multiplies arrays of the file"),
    (between, [node("MatMul", "h b", "z")], {"b": B}, "by an array that isn't a matrix"),
    (between, [node("MatMul", "h w", "z")], {}, "it reads 3 units of 8"),
    (between, [node("Add", "h b", "z")], {"b": B[:5]}, "5 values meet 8 units"),
    (between, [node("Slice", "h a a a a", "z")], {"a": np.array([2])}, "it takes every other one"),
    (between, [node("Slice", "h x x", "z")], {}, "what it cuts out isn't known"),
    (between, [node("Split", "h x", "z q", axis=1)], {}, "into what lengths it cuts isn't known"),
    (between, [node("Split", "h", "z q", axis=1, split=[3, 4])], {}, "an axis of 8 is cut into [3, 4]"),
    (between, [node("Gather", "h a", "z", axis=1)], {"a": np.array(1)}, "units are taken by their number"),
    (between, [node("Gather", "h a", "z", axis=1)], {"a": np.array([1, 2])}, "it takes units for positions"),
    (between, [node("Reshape", "h x", "z")], {}, "to what lengths it reshapes isn't known"),
    (between, [node("Reshape", "h a", "z")], {"a": np.array([-1, -1])}, "more than one new length isn't known"),
    (between, [node("Reshape", "h a", "z")], {"a": np.array([0, 3])}, "an axis of 8 is reshaped to 3"),
    (between, [node("Reshape", "h a", "z")], {"a": np.array([0, 4])}, "the lengths of a reshape don't meet"),
    (between, [node("Reshape", "h a", "z")], {"a": np.array([8, -1])}, "a batch is reshaped together with units"),
    (between, [node("Expand", "h x", "z")], {}, "to what lengths it expands isn't known"),
    (between, [node("Squeeze", "h", "z", axes=[1])], {}, "isn't known to be of length 1"),
    (between, [node("Squeeze", "h", "z")], {}, "which axes it means isn't known"),
    (between, [node("Pad", "h x", "z")], {}, "how much it pads isn't known"),
    (between, [node("Pad", "h", "z", pads=[0, 1, 0, 1])], {}, "it takes units for positions"),
    (between, [node("ReduceSum", "h x", "z")], {}, "over what it runs isn't known"),
    (between, [node("Split", "h", "z q", axis="one")], {}, "its attribute axis is no whole number"),
    (between, [node("Transpose", "h", "z", perm="ab")], {}, "its attribute perm is no list of whole numbers"),
    (between, [node("Transpose", "h", "z", perm=[0, 7])], {}, "it isn't as the standard has it"),
    (between, [node("Trilu", "h", "z")], {}, "it takes units for positions"),
    (between, [node("MatMul", "q h", "z")], {"q": np.ones((2, 2, 2))}, "by an array that isn't a matrix"),
    (between, [node("GroupNormalization", "h b b", "z", num_groups=3)], {"b": B}, "8 units don't make 3 groups"),
    (between, [node("GroupNormalization", "h b b", "z", num_groups=2)], {"b": B[:3]}, "its parameters don't meet"),
    (between, [node("BatchNormalization", "h b b b b", "z")], {"b": B[:3]}, "its parameters don't meet its input"),
    (between, [node("LayerNormalization", "h x", "z")], {}, "its parameters are no arrays of the file"),
    (between, [node("Einsum", "h", "q"), node("Add", "h q", "z")], {}, "something before it isn't understood"),
    (between, [node("Gather", "t x", "q", axis=1), node("Add", "h q", "z")], {"t": np.ones((3, 4, 5))}, "is no table"),
    (between, [node("Gather", "w h", "z")], {}, "units are looked up"),
    (between, [node("Split", "h", "z q", axis=2)], {}, "it names axis 2 of 2"),
    (between, [node("ReduceMean", "h", "z", axes=[5])], {}, "it names axis 5 of 2"),
    (between, [node("Mystery", "a", "q"), node("Add", "h q", "z")], {"a": np.ones((4, 8))}, "no rule knows it"),
    (between, [node("Conv", "h x", "z")], {}, "its kernel is no array of the file"),
    (between, [node("LSTM", "h x x", "z")], {}, "its weights are no arrays of the file"),
    (between, [node("LSTM", "h p q", "z")], {"p": np.ones((1, 32, 8)), "q": np.ones((1, 30, 8))}, "weights don't meet"),
    (between, [node("GatherElements", "b a", "q"), node("Add", "h q", "z")],
     {"b": B[None], "a": np.zeros((1, 8), int)}, "what it looks up isn't known"),
    (between, [node("GroupedMatMul", "h w x", "z")], {}, "its matrices are no stack in the file"),
    (between, [node("MatMul", "x u", "g", "other"), node("Add", "h g", "z")], {"u": np.ones((3, 4))},
     "axes of lengths 8 and 4 meet"),
    (between, [node("MatMul", "x u", "g", "other"), node("Add", "h g", "z")], {"u": np.ones((3, 5))},
     "an axis of 8 is split into 5 and others"),
    (between, [node("ReduceMean", "h", "m", axes=[0], keepdims=0), node("MatMul", "h m", "z")], {},
     "it multiplies a vector"),
    (between, [node("GroupedMatMul", "h s x", "z")], {"s": np.ones((2, 5, 4))}, "it reads 5 units of 8"),
    (between, [EVEN, node("Gather", "h e", "z")], SIZE, "what it looks up isn't known"),
    (between, [EVEN, node("Concat", "h e", "z", axis=1)], SIZE, "one of its inputs isn't known"),
    (between, [EVEN, node("MatMul", "e v", "q"), node("Add", "h q", "z")], SIZE, "MatMul 'it' isn't understood"),
    (between, [EVEN, node("Gemm", "e v", "q", transA=1), node("Add", "h q", "z")], SIZE, "Gemm 'it' isn't understood"),
    (between, [EVEN, node("Einsum", "h e", "z", equation="bd,cd->bd")], SIZE, "one of its inputs isn't known"),
    (between, [STEPS, node("LSTM", "u p p h", "z")], {"p": np.ones((1, 32, 8))}, "its parameters are no arrays of the"),
    (between, [STEPS, node("LSTM", "u p p   u", "z")], {"p": np.ones((2, 32, 8))}, "both directions begin with"),
    (between, [node("Add", "a b", "c"), node("Reshape", "h c", "z")], {"a": np.array([1, 2]), "b": np.array([1, 2, 3])},
     "something before it isn't understood"),
    (between, [node("Shape", "h", "s"), node("Slice", "s a a", "t"), node("Reshape", "h t", "z")],
     {"a": np.array([0, 1])}, "to what lengths it reshapes isn't known"),
    (between, [node("ConstantOfShape", "a", "t"), node("Reshape", "h t", "z")], {"a": np.array([2])},
     "to what lengths it reshapes isn't known"),
    (between, [node("ConstantOfShape", "a", "t", value={"tensor": "f"}), node("Reshape", "h t", "z")],
     {"a": np.array([2]), "f": np.zeros(1, "f4")}, "to what lengths it reshapes isn't known"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "nodes", "arrays", "reason"), REFUSED, ids=[row[3][:40] for row in REFUSED])
def test_what_is_not_understood_is_not_known_and_the_reason_is_said(make, nodes, arrays, reason):
    graph, wiring = make(*nodes, **arrays)
    assert any(reason in each for each in wiring.unknown.values()), wiring.unknown
    if graph is not None:
        assert closed(graph) == []


@pytest.mark.parametrize(
    ("last", "shape", "reason"),
    [
        (node("Slice", "x a b b", "y"), ("n", "m"), "it cuts units whose number isn't known"),
        (node("Einsum", "x k", "y", equation="bmd,mdf->bmf"), ("n", "m", 3), "the number of its heads isn't known"),
    ],
)
def test_units_whose_number_an_input_leaves_open_are_not_cut_and_are_no_heads(last, shape, reason):
    given = {"w": RNG.normal(size=(4, 8)), "k": RNG.normal(size=(4, 3, 5)), "a": np.array([0]), "b": np.array([1])}
    turn = node("Transpose", "x", "t", perm=[0, 1] if len(shape) == 2 else [0, 2, 1])
    _, wiring = wired([turn, node("MatMul", "t w", "h", "in"), last], shape, **given)
    assert any(reason in each for each in wiring.unknown.values()), wiring.unknown


@pytest.mark.parametrize(
    ("op", "number", "activation"),
    [("Pow", 2, "square"), ("Pow", 3, "unknown"), ("Add", 0, "identity"), ("Add", 1, "unknown"), ("Max", 0, "relu"),
     ("Mul", 3, "identity")],
)  # fmt: skip
def test_a_number_that_the_graph_holds_says_what_a_function_makes_of_units(op, number, activation):
    _, wiring = between(node("Constant", "", "it", value_int=number), node(op, "h it", "z"))
    assert not wiring.unknown
    assert wiring.spaces["in"].activation == activation


@pytest.mark.parametrize("batch", [2, 1000])
def test_a_state_of_zeros_is_no_parameter_and_a_large_one_is_not_looked_at(batch):
    arrays = {"p": np.ones((1, 5, 3)), "q": np.ones((1, 5, 5)), "s": np.zeros((1, batch, 5))}
    asked = []
    graph = {
        "inputs": [{"name": "x", "shape": [4, batch, 3]}],
        "outputs": [{"name": "y"}],
        "nodes": [node("RNN", "x p q   s", "y last", "it", hidden_size=5)],
    }
    shapes = {key: array.shape for key, array in arrays.items()}
    wiring = onnx_wiring({"graph": graph}, shapes, lambda key: asked.append(key) or arrays[key])
    assert not wiring.unknown
    assert asked == (["s"] if batch == 2 else [])
    assert wiring.ignored == ({"s": "lengths or places"} if batch == 2 else {})
    assert [each.pattern for each in wiring.statements] == (["p", "q"] if batch == 2 else ["p", "q", "s"])


def test_an_input_that_is_a_tensor_of_the_file_is_that_tensor():
    """Up to version 3 of the format, all of them are among the inputs."""
    shapes = {"w": W.shape, "v": V.shape}
    graph = {
        "initializers": ["w", "v"],
        "inputs": [{"name": name, "shape": list(shape)} for name, shape in {"x": ("n", 3), **shapes}.items()],
        "outputs": [{"name": "y"}],
        "nodes": [IN, node("Relu", "h", "z"), OUT],
    }
    wiring = onnx_wiring({"graph": graph}, shapes, {"w": W, "v": V}.__getitem__)
    _, same = between(node("Relu", "h", "z"))
    assert not wiring.unknown
    assert (wiring.statements, wiring.spaces) == (same.statements, same.spaces)


PICTURE = ("n", 3, 8, 8)


@pytest.mark.parametrize(
    ("nodes", "arrays", "reason"),
    [
        ([node("Conv", "h k", "y")], {"k": np.ones((4, 5, 3, 3))}, "it reads 5 units of 6"),
        ([node("Conv", "h k", "y", kernel_shape=[3])], {"k": np.ones((4, 6, 3))}, "its kernel is no array of the file"),
        ([node("Transpose", "h", "t", perm=[0, 2, 3, 1]), node("MaxPool", "t", "y", kernel_shape=[2, 2])], {},
         "it takes units for positions"),
        ([node("MaxPool", "h", "y", kernel_shape=[2])], {}, "its kernel has other axes than its input"),
        ([node("Conv", "h k", "y", group=4)], {"k": np.ones((4, 2, 3, 3))}, "it reads 8 units of 6"),
    ],
)  # fmt: skip
def test_convolutions_that_do_not_meet_are_not_known(nodes, arrays, reason):
    _, wiring = wired([node("Conv", "x k0", "h"), *nodes], PICTURE, k0=K, **arrays)
    assert any(reason in each for each in wiring.unknown.values()), wiring.unknown


def test_whole_numbers_and_flags_are_of_positions_and_tell_units_apart_that_they_meet():
    """A mask is made of them; along the axis of units they would be a number of each."""
    made = [node("GatherElements", "a b", "p"), node("LessOrEqual", "p c", "m")]
    mask = [
        node("Unsqueeze", "h t", "u"),
        *made,
        node("Where", "m u u", "w"),
        node("ReduceSum", "w t", "z", keepdims=0),
    ]
    places = {"a": np.arange(4)[:, None], "b": np.zeros((4, 1), int), "c": np.arange(4)[:, None], "t": np.array([1])}
    graph, wiring = between(*mask, **places)
    assert not wiring.unknown
    assert closed(graph) == ["in"]
    for numbers in (np.arange(8), np.arange(8) > 3):
        graph, wiring = between(node("Add", "h a", "z"), a=numbers)
        assert not wiring.unknown
        assert closed(graph) == []
        assert wiring.spaces["in"].apart == "they are added to positions"


def test_a_list_of_lengths_that_meets_values_is_not_understood():
    _, wiring = between(node("Shape", "h", "s"), node("Mul", "h s", "z"))
    assert any("lengths meet values" in reason for reason in wiring.unknown.values())


@pytest.mark.parametrize(
    ("groups", "spaces"), [(2, {("b", "in.heads"), ("c", "in.heads")}), (1, set()), (6, {("b", "in"), ("c", "in")})]
)
def test_parameters_of_the_groups_of_a_norm_are_those_of_heads(groups, spaces):
    """As they were up to operator set 20; all units share the parameters of one group."""
    norm = node("GroupNormalization", "h b c", "z", num_groups=groups)
    nodes = [node("Conv", "x k", "h", "in"), norm, node("Conv", "z l", "y", "out")]
    b, c = RNG.normal(size=(2, groups))
    graph, wiring = wired(nodes, PICTURE, k=K, l=np.ones((4, 6, 1, 1)), b=b, c=c)
    assert {(each.name, each.space) for each in graph.per_unit} == spaces
    assert {each.norm for each in graph.per_unit} <= {"group"}
    assert "b" not in wiring.unknown


@pytest.mark.parametrize(("steps", "left"), [(2, 2), (-1, 4)])
def test_positions_that_are_left_out_or_turned_round_are_counted(steps, left):
    nodes = [
        node("MatMul", "x w", "h", "in"),
        node("Slice", "h", "s", axes=[1], starts=[0], ends=[4], steps=[steps]),  # as traced models say it
        node("Reshape", "s to", "z"),
        node("MatMul", "z v", "y", "out"),
    ]
    graph, wiring = wired(nodes, (5, 4, 3), w=W, v=V, to=np.array([5 * left, 8]))
    assert not wiring.unknown
    assert closed(graph) == ["in"]
    _, wiring = wired(nodes, (5, 4, 3), w=W, v=V, to=np.array([5 * (left + 1), 8]))
    assert wiring.unknown


def test_a_depthwise_layer_that_makes_several_of_each_unit_gives_it_several_slices():
    nodes = [node("Conv", "x a", "h", "a"), node("Conv", "h d", "k", "d", group=6), node("Conv", "k c", "y", "c")]
    arrays = {"a": np.ones((6, 3, 1, 1)), "d": np.ones((12, 1, 3, 3)), "c": np.ones((4, 12, 1, 1))}
    graph, wiring = wired(nodes, PICTURE, **arrays)
    assert not wiring.unknown
    assert "scale of no norm, (out a, receptive, receptive, receptive)" in repr(graph.per_unit[0])
    assert next(weight for weight in graph.connections if weight.name == "c").array.shape == (4, 6, 2)
    assert closed(graph) == ["a"]


def test_one_array_for_the_units_of_two_spaces_ties_none_of_them_unless_it_is_of_one_number():
    """A parameter of both would get both gradients; but zeros are one array because the exporter found them equal."""
    nodes = [IN, node("Add", "h b", "k"), node("MatMul", "k u", "l", "mid"), node("Add", "l b", "z"), OUT]
    arrays = {"w": W, "v": V, "u": RNG.normal(size=(8, 8))}
    graph, wiring = wired(nodes, **arrays, b=B)
    assert closed(graph) == []
    assert wiring.spaces["in"].apart == wiring.spaces["mid"].apart == "they share an array with units of another space"
    assert closed(wired(nodes, **arrays, b=np.zeros(8))[0]) == ["in", "mid"]


def test_units_that_are_picked_by_their_values_are_told_apart_and_that_is_no_fault():
    for op in ("ArgMax", "TopK", "ReduceMax"):
        graph, wiring = between(node(op, "h", "m q", axis=1, axes=[1]), node("Relu", "h", "z"))
        assert not wiring.unknown
        assert "picked" in wiring.spaces["in"].apart
        assert closed(graph) == []


def test_an_input_that_is_added_to_units_tells_them_apart():
    graph, wiring = wired([node("MatMul", "x w", "h"), node("Add", "h x", "z"), OUT], (2, 8), w=np.eye(8), v=V)
    assert not wiring.unknown
    assert graph.inputs == ("it",)  # the layer's space is the input's too
    assert closed(graph) == []


def test_a_batch_of_any_size_is_followed_by_its_name():
    nodes = [
        IN,
        node("Shape", "h", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n", "n1", axes=[0]),
        node("Concat", "n1 heads", "to", axis=0),
        node("Reshape", "h to", "u"),
        node("Reshape", "u back", "z"),
        OUT,
    ]
    arrays = {"w": W, "v": V, "zero": np.array(0), "heads": np.array([2, 4]), "back": np.array([0, 8])}
    graph, wiring = wired(nodes, **arrays)
    assert not wiring.unknown
    assert sorted(closed(graph)) == ["in.heads", "in.units"]


def test_a_layer_without_a_name_has_that_of_its_bias_unless_something_has_read_it():
    nodes = [node("MatMul", "x w", "h", ""), node("Add", "h up.bias", "z"), OUT]
    arrays = {"w": W, "v": V, "up.bias": B}
    assert sorted(wired(nodes, **arrays)[1].spaces) == ["out", "up", "x"]
    nodes.insert(1, node("MatMul", "h u", "more", "beside"))
    assert sorted(wired(nodes, **arrays, u=V)[1].spaces) == ["MatMul_0", "beside", "out", "x"]


def test_a_name_that_would_be_read_as_a_pattern_leaves_its_units_apart():
    graph, wiring = wired([node("MatMul", "x w{n}", "h"), node("MatMul", "h v", "y", "out")], **{"w{n}": W, "v": V})
    assert closed(graph) == []
    assert "can't be named" in next(spec.apart for spec in wiring.spaces.values() if spec.apart)


def test_a_graph_that_says_nothing_of_its_input_is_not_known():
    graph, wiring = wired([IN, node("MatMul", "h v", "y")], None, w=W, v=V)
    assert graph is None
    assert set(wiring.unknown) == {"w", "v"}


def test_an_array_whose_units_are_heads_in_one_use_and_none_in_another_is_known_by_its_first():
    nodes = [
        node("MatMul", "x w", "h", "one"), node("Reshape", "h to", "r"), node("Relu", "r", "s"),
        node("Reshape", "s back", "z"), node("MatMul", "z v", "y", "out"),
        node("MatMul", "x w", "g", "two"), node("MatMul", "g v", "y2", "out2"),
    ]  # fmt: skip
    arrays = {"w": W, "v": V, "to": np.array([0, 2, 4]), "back": np.array([0, 8])}
    graph = {
        "inputs": [{"name": "x", "shape": ["n", 3]}],
        "nodes": nodes,
        "outputs": [{"name": "y"}, {"name": "y2"}],
    }
    shapes = {key: array.shape for key, array in arrays.items()}
    found = wire(arrays, wiring=graph_wiring(graph, shapes, arrays.__getitem__))
    assert found.unknown["w"] == "it is used twice, and its axes are split into (3, 2, 4) and into (3, 8)"
    assert closed(found.graph) == []


def test_a_square_that_is_read_and_written_in_groups_is_told_apart():
    """The units of a residual stream that a convolution reads in groups, and another as a whole, twice."""
    nodes = [
        node("Conv", "x a", "h", "a"),
        node("Conv", "h b", "r", "b"),
        node("Add", "h r", "s"),
        node("Conv", "s c", "y", "c", group=2),
    ]
    graph, wiring = wired(nodes, PICTURE, a=np.ones((6, 3, 1, 1)), b=np.ones((6, 6, 1, 1)), c=np.ones((4, 3, 1, 1)))
    assert "it runs over one space, or the heads of one, twice" in wiring.unknown["b"]
    assert closed(graph) == []
    assert set(graph.weights) == {"a", "b", "c"}


def test_a_graph_that_joins_axes_without_end_takes_no_more_time_than_another():
    """Each node joins what the one before it made to itself, or to a little more."""
    for other in ("{}", "h"):
        nodes = [IN]
        for number in range(3000):
            before = f"c{number - 1}" if number else "h"
            nodes.append(node("Concat", f"{before} {other.format(before)}", f"c{number}", axis=1))
        begin = time.perf_counter()
        _, wiring = wired([*nodes, node("MatMul", "c2999 v", "y", "out")], w=W, v=V)
        assert time.perf_counter() - begin < 20
        assert wiring.unknown


def test_a_graph_that_cuts_axes_without_end_is_not_known():
    first = np.ones((3, 2500), "f4")
    nodes = [node("MatMul", "x w", "s0", "in")]
    nodes += [node("Split", f"s{n}", f"p{n} s{n + 1}", axis=1, split=[1, 2499 - n]) for n in range(2000)]
    graph, wiring = wired([*nodes, node("Relu", "s2000", "y")], w=first)
    assert graph is None
    assert set(wiring.unknown.values()) == {"the graph cuts and joins axes too often"}


@pytest.mark.parametrize(
    ("nodes", "norm"),
    [
        ([node("LayerNormalization", "h b", "z")], "layer"),
        ([node("RMSNormalization", "h b", "z")], "rms"),
        ([node("SimplifiedLayerNormalization", "h b", "z")], "rms"),
        ([node("BatchNormalization", "h b b b b", "z")], "batch"),
        ([node("GroupNormalization", "h b b", "z", num_groups=2)], "group"),
        ([node("InstanceNormalization", "h b b", "z")], None),
        ([node("Mul", "h b", "z")], None),
        ([node("LayerNormalization", "h b", "g"), node("RMSNormalization", "g b", "z", "again")], None),
    ],
)
def test_a_graph_says_which_norm_a_parameter_is_of_and_one_of_two_norms_is_of_neither(nodes, norm):
    graph, _ = between(*nodes, b=B)
    (each,) = [each for each in graph.per_unit if each.name.partition("[")[0] == "b" and each.kind == "scale"]
    assert each.norm == norm


@pytest.mark.parametrize(("op", "norm"), [("LayerNormalization", None), ("RMSNormalization", "rms")])
def test_a_layer_norm_over_units_of_two_spaces_is_left_unnamed(op, norm):
    nodes = [IN, node("MatMul", "x u", "k", "beside"), node("Concat", "h k", "c", axis=1), node(op, "c b", "z"), OUT]
    graph, wiring = wired(nodes, w=W, u=W[:, :4], v=RNG.normal(size=(12, 2)), b=RNG.normal(size=12))
    assert not wiring.unknown
    assert {each.norm for each in graph.per_unit} == {norm}
    assert [len(each.array) for each in graph.per_unit] == [8, 4]


def test_a_graph_from_elsewhere_is_wired_like_that_of_a_file():
    arrays = {"up.weight": np.ones((8, 4)), "up.bias": np.zeros(8), "down.weight": np.ones((3, 8))}
    graph = {
        "inputs": [{"name": "x", "shape": ["batch", 4]}],
        "nodes": [
            {"op_type": "Gemm", "inputs": ["x", "up.weight", "up.bias"], "outputs": ["h"], "attributes": {"transB": 1}},
            {"op_type": "Relu", "inputs": ["h"], "outputs": ["a"], "attributes": {}},
            {"op_type": "Gemm", "inputs": ["a", "down.weight"], "outputs": ["y"], "attributes": {"transB": 1}},
        ],
        "outputs": [{"name": "y", "shape": ["batch", 3]}],
    }
    shapes = {name: array.shape for name, array in arrays.items()}
    found = wire(arrays, wiring=graph_wiring(graph, shapes, arrays.__getitem__, rule="a trace"))
    assert (found.rule, dict(found.unknown)) == ("a trace", {})
    assert {space.name: space.units for space in found.graph.spaces} == {"up": 8, "x": 4, "down": 3}
    assert list(sb.diagnose(found.graph).partition["up"]) == [0] * 8
