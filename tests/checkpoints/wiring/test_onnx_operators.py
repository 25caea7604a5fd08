"""Operators of ONNX one by one: the graph names every axis over a space of units, and no axis too many.

Each network is run by the reference of the `onnx` library: units that are renumbered on all axes that the graph names
change nothing, and on all axes but one they do.
"""

import numpy as np
import pytest

from symbreak.checkpoints.wiring._build import build
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._onnx import onnx_wiring
from tests.checkpoints.wiring._permute import axes_over, closed, moved, places
from tests.checkpoints.wiring.test_onnx import IN, OUT, node

DENSE, ROWS, PICTURE = (2, 3), (2, 4, 3), (2, 3, 6, 6)  # shapes of inputs
W, V, K, L = (3, 8), (8, 2), (6, 3, 3, 3), (4, 6, 1, 1)  # of weights
FIRST, LAST = node("Conv", "x k", "h", "in"), node("Conv", "z l", "y", "out")


def numbers(*values, of="i8"):
    """Give lengths, places or constants, which stay as they are."""
    return np.array(values[0] if len(values) == 1 else values, of)


def dense(*nodes, known=("in",), **arrays):
    return [IN, *nodes, OUT], DENSE, {"w": W, "v": V} | arrays, list(known)


def rows(*nodes, known=("in",), **arrays):
    return [IN, *nodes, OUT], ROWS, {"w": W, "v": V} | arrays, list(known)


def picture(*nodes, known=("in",), **arrays):
    return [FIRST, *nodes, LAST], PICTURE, {"k": K, "l": L} | arrays, list(known)


def flat(*nodes, known=("in",), **arrays):
    """Read units and positions together, so that the positions are counted."""
    last = [node("Flatten", "p", "f"), node("MatMul", "f m", "y", "out")]
    return [FIRST, *nodes, *last], PICTURE, {"k": K} | arrays, list(known)


def recurrent(*nodes, batch=2, known=("it",), **arrays):
    it = node("RNN", "x p q   s", "h last", "it", hidden_size=5)
    nodes = [*nodes, it, node("Squeeze", "h one", "z"), node("MatMul", "z v", "y", "out")]
    shapes = {"p": (1, 5, 3), "q": (1, 5, 5), "v": (5, 2), "one": numbers([1])}
    return nodes, (4, batch, 3), shapes | arrays, list(known)


NETWORKS = {  # nodes, the input's shape, arrays or their shapes, the spaces of which every axis is known
    "zeros that are moved about": dense(
        node("ConstantOfShape", "size", "zeros"),
        node("Cast", "zeros", "e0", to=11),  # as all others here, of 64 bits
        node("Transpose", "e0", "e1"),
        node("Reshape", "e1 flat", "e2"),
        node("Unsqueeze", "e2 a", "e3"),
        node("Squeeze", "e3 a", "e4"),
        node("Expand", "e4 wide", "e5"),
        node("Slice", "e5 a one", "e6"),
        node("Gather", "e6 a", "e7", axis=0),
        node("Concat", "e7 e7", "e8", axis=0),
        node("Add", "h e8", "z"),
        size=numbers([1, 8]), flat=numbers([8]), a=numbers([0]), wide=numbers([2, 8]), one=numbers([1]),
    ),
    "a number by a table": dense(
        node("Gather", "t at", "q", "table"), node("Add", "h q", "z"), t=(5, 8), at=numbers([0, 3])
    ),
    "a number of the graph by a table": dense(
        node("Constant", "", "at", value_ints=[1, 4]) | {"inputs": []},
        node("Gather", "t at", "q", "table"), node("Add", "h q", "z"), t=(5, 8)
    ),
    "lengths of an array": dense(
        node("Reshape", "h to", "g"), node("Shape", "v", "s"), node("Gather", "s at", "n"),
        node("Concat", "two n", "back", axis=0), node("Reshape", "g back", "z"),
        to=numbers([2, 4, 2]), at=numbers([0]), two=numbers([2]),
        known=["in.heads", "in.units"],
    ),
    "an array of more axes": dense(node("Add", "h b", "g"), node("Squeeze", "g a", "z"), b=(1, 1, 8), a=numbers([0])),
    "an array turned": dense(node("Unsqueeze", "b a", "c"), node("Mul", "h c", "z"), b=(8,), a=numbers([0])),
    "an array without its axes": dense(node("Squeeze", "b a", "c"), node("Mul", "h c", "z"), b=(1, 8), a=numbers([0])),
    "an array in heads": dense(
        node("Reshape", "b heads", "c"), node("Reshape", "h to", "g"), node("Add", "g c", "k"),
        node("Reshape", "k back", "z"),
        b=(8,), heads=numbers([2, 4]), to=numbers([2, 2, 4]), back=numbers([2, 8]),
        known=["in.heads", "in.units"],
    ),
    "arrays end to end": dense(
        node("Concat", "b c", "d", axis=0), node("Add", "h d", "z"), b=(3,), c=(5,),
        known=["b", "c"],
    ),
    "one number of the file": dense(node("Softmax", "c", "d"), node("Mul", "h d", "z"), c=(1,)),
    "all summed": dense(node("ReduceMean", "h", "m"), node("Add", "h m", "z")),
    "none summed": dense(node("ReduceMean", "h", "z", noop_with_empty_axes=1)),
    "halves": dense(
        node("Split", "h", "p q", axis=1, num_outputs=2), node("Mul", "p q", "z"), v=(4, 2),
        known=["in.0"],
    ),
    "heads one by one": dense(
        node("Reshape", "h to", "g"), node("Slice", "g a b c", "one_"), node("Slice", "g b d c", "other"),
        node("Squeeze", "one_ c", "p"), node("Squeeze", "other c", "q"), node("Mul", "p q", "z"),
        v=(4, 2), to=numbers([0, 2, 4]), a=numbers([0]), b=numbers([1]), c=numbers([1]), d=numbers([2]),
        known=["in.0"],
    ),
    "sums so far": rows(node("CumSum", "h a", "z"), a=numbers(1)),
    "halves of the rows": rows(
        node("Split", "h", "p q", axis=1, num_outputs=2), node("Add", "p q", "s"), node("Relu", "s", "z")
    ),
    "rows of other lengths": (
        [IN, node("Reshape", "h to", "r"), node("ReduceMax", "r two", "z"), OUT], (2, 4, 6, 3),
        {"w": W, "v": V, "to": numbers([2, 3, 8, 8]), "two": numbers([1])}, ["in"],
    ),
    "rows of other lengths from the end": (
        [IN, node("Reshape", "h to", "r"), node("ReduceMax", "r two", "z"), OUT], (2, 4, 6, 3),
        {"w": W, "v": V, "to": numbers([-1, 3, 8, 8]), "two": numbers([1])}, ["in"],
    ),
    "all rows together": (
        [node("Reshape", "x to", "f"), node("MatMul", "f w", "h", "in"), node("Relu", "h", "z"), OUT], ROWS,
        {"w": (12, 8), "v": V, "to": numbers([2, 12])}, ["in"],
    ),
    "one unit": (
        [node("Unsqueeze", "x last", "u"), node("MatMul", "u w", "h", "in"), node("Relu", "h", "z"), OUT], DENSE,
        {"w": (1, 8), "v": V, "last": numbers([2])}, ["in"],
    ),
    "global pooling": flat(node("GlobalAveragePool", "h", "p"), m=(6, 2)),
    "half as large": flat(
        node("Conv", "h k2", "p", "mid", auto_pad="SAME_UPPER", strides=[2, 2]), k2=(5, 6, 3, 3), m=(20, 2),
        known=["in", "mid"],
    ),
    "twice as large": flat(
        node("ConvTranspose", "h k2", "p", "mid", auto_pad="SAME_UPPER", strides=[2, 2]), k2=(6, 5, 3, 3), m=(320, 2),
        known=["in", "mid"],
    ),
    "one group": picture(node("GroupNormalization", "h b c", "z", num_groups=1, stash_type=11), b=(6,), c=(6,)),
    "three groups": picture(
        node("GroupNormalization", "h b c", "z", num_groups=3, stash_type=11), b=(6,), c=(6,),
        known=["in.heads", "in.units"],
    ),
    "a group for each": picture(node("GroupNormalization", "h b c", "z", num_groups=6, stash_type=11), b=(6,), c=(6,)),
    "a product with all": dense(
        node("Einsum", "h c", "g", equation="bd,f->bdf"), node("Einsum", "g t", "z", "t", equation="bdf,dfo->bo"),
        c=(5,), t=(8, 5, 4), v=(4, 2),
        known=["in", "t"],
    ),
    "an axis of one": dense(node("Einsum", "h t", "g", "t", equation="bd,adf->baf"), node("Squeeze", "g one", "z"),
        t=(1, 8, 5), v=(5, 2), one=numbers([1]),
        known=["in", "t"],
    ),
    "one by one": dense(
        node("OneHot", "at depth values", "o"), node("MatMul", "o t", "p", "t"), node("Add", "h p", "z"),
        at=numbers([0, 2]), depth=numbers(3), values=numbers([0, 1], of="f8"), t=(3, 8),
    ),
    "other rows put in": dense(
        node("MatMul", "x u", "g", "other"), node("Slice", "g a b a", "first"), node("ScatterND", "h at first", "z"),
        u=(3, 8), a=numbers([0]), b=numbers([1]), at=numbers([[1]]),
    ),
    "a state at the beginning": recurrent(s=(1, 2, 5)),
    "two directions from a state": (
        [
            node("RNN", "x p q   s", "h last", "it", hidden_size=5, direction="bidirectional"),
            node("Transpose", "h", "t", perm=[0, 2, 1, 3]),
            node("Reshape", "t to", "z"), node("MatMul", "z v", "y", "out"),
        ],
        (4, 2, 3),
        {"p": (2, 5, 3), "q": (2, 5, 5), "s": (2, 2, 5), "v": (10, 2), "to": numbers([0, 0, 10])},
        ["it", "it.back"],
    ),
    "a large state at the beginning": recurrent(s=(1, 820, 5), batch=820),
    "zeros at the beginning": recurrent(s=numbers(np.zeros((1, 2, 5)), of="f8")),
    "zeros of the graph at the beginning": recurrent(
        node("ConstantOfShape", "size", "zeros"), node("Cast", "zeros", "s", to=11), size=numbers([1, 2, 5])
    ),
    "a state that was computed": recurrent(
        node("Slice", "x a b a", "first"), node("MatMul", "first u", "s", "start"),
        u=(3, 5), a=numbers([0]), b=numbers([1]),
        known=["start"],
    ),
}  # fmt: skip


class Network:
    """One of them, with the values of its arrays in one row."""

    def __init__(self, name):
        self.nodes, self.shape, arrays, self.known = NETWORKS[name]
        self.fixed = {key: each for key, each in arrays.items() if isinstance(each, np.ndarray)}
        self.places, self.total = places({key: each for key, each in arrays.items() if key not in self.fixed})
        inputs = [{"name": "x", "shape": list(self.shape)}]
        graph = {"inputs": inputs, "outputs": [{"name": "y"}], "nodes": self.nodes}
        given = self.places | self.fixed
        shapes = {key: each.shape for key, each in given.items()}
        self.wiring = onnx_wiring({"graph": graph}, shapes, lambda key: given[key] + (0.5 if key in self.places else 0))
        self.graph = build(self.wiring, Names.plain(shapes), given.__getitem__, {}).graph

    def run(self, values):
        onnx = pytest.importorskip("onnx")
        from onnx.reference import ReferenceEvaluator

        arrays = {key: values[place] for key, place in self.places.items()} | self.fixed
        make = onnx.helper
        nodes = [
            make.make_node(
                each["op_type"], each["inputs"] if each["inputs"] != [""] else [], each["outputs"], **each["attributes"]
            )
            for each in self.nodes
        ]
        ends = [make.make_tensor_value_info(key, onnx.TensorProto.DOUBLE, None) for key in "xy"]
        tensors = [onnx.numpy_helper.from_array(array, key) for key, array in arrays.items()]
        made = make.make_model(
            make.make_graph(nodes, "it", ends[:1], ends[1:], tensors), opset_imports=[make.make_opsetid("", 21)]
        )
        x = np.sin(np.arange(np.prod(self.shape)).reshape(self.shape) * 0.7)
        return ReferenceEvaluator(made).run(None, {"x": x})[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_renumbering_the_units_of_a_space_on_all_its_axes_changes_nothing_and_on_all_but_one_does(name):
    network = Network(name)
    assert not network.wiring.unknown
    assert sorted(closed(network.graph)) == network.known
    values = np.random.default_rng(0).normal(size=network.total)
    before = network.run(values)
    for space in network.known:
        after = network.run(values[moved(network.graph, space, network.total)])
        assert np.abs(after - before).max() < 1e-12 * np.abs(before).max(), space
        for array, number in axes_over(network.graph, space):
            after = network.run(values[moved(network.graph, space, network.total, without=(array, number))])
            assert np.abs(after - before).max() > 1e-6 * np.abs(before).max(), (space, array, number)
