"""Only tied units are drawn again, at the scale that the fan calls for; everything else stays bit for bit."""

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from tests.repair._networks import TABLE, Draw, classes_left, dense, planted, residual
from tests.repair.test_merge import products


@pytest.mark.parametrize("case", TABLE)
def test_no_class_is_left_and_what_is_not_tied_stays(case):
    build, classes, _ = TABLE[case]
    graph = planted(build(Draw(0)), classes)
    fresh = sb.reinit(graph, rng=0)
    assert classes_left(graph) > 0
    assert classes_left(fresh) == 0
    partition = sb.diagnose(graph).partition
    loose = {name: np.bincount(each.ravel())[each] == 1 for name, each in partition.items() if each.ndim == 1}
    for each in (*graph.connections, *graph.per_unit):
        after, axes = fresh.arrays[each.name], each.axes
        assert after.dtype == each.array.dtype
        if isinstance(each, PerUnit):
            assert np.array_equal(after, each.array)
            continue
        out = next(number for number, axis in enumerate(axes) if axis.role == "out")
        if axes[out].space in loose:
            stay = loose[axes[out].space]
            assert np.array_equal(np.moveaxis(after, out, 0)[stay], np.moveaxis(each.array, out, 0)[stay])


def test_arrays_that_write_to_no_tied_unit_are_the_same_ones():
    graph = planted(dense(Draw(0)), {"layers.1": [0, 0, 1, 2, 3]})
    fresh = sb.reinit(graph, rng=0)
    changed = [name for name, array in graph.arrays.items() if not np.shares_memory(array, fresh.arrays[name])]
    assert changed == ["layers.1.weight"]
    rows = (graph.weights["layers.1.weight"] != fresh.weights["layers.1.weight"]).any(axis=1)
    assert rows.tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity", "of my own", "of my own, relu"])
def test_the_scale_is_the_gain_over_the_root_of_the_fan(activation):
    graph = sb.chain([(np.ones((400, 64)), None), (np.ones((1, 400)), None)], activation=activation)
    drawn = sb.reinit(graph, rng=0).weights["layers.0.weight"]
    gain = 1.0 if activation == "of my own" else sb.gain(activation.removeprefix("of my own, "))
    assert drawn.std() == pytest.approx(gain / 8, rel=0.03)
    assert abs(drawn.mean()) < 0.01
    alone = sb.chain([(np.ones((4000, 1)), None), (np.ones((1, 4000)), None)], activation=activation)
    assert sb.reinit(alone, rng=0).weights["layers.0.weight"].std() == pytest.approx(gain, rel=0.04)


def test_weights_of_float64_are_drawn_in_float64():
    graph = sb.chain([(np.ones((5, 4)), None), (np.ones((1, 5)), None)])  # the scale is 1/2, which rounds nothing
    for drawn in (sb.reinit(graph, rng=0).weights["layers.0.weight"], sb.reinit(np.ones((5, 4)), rng=0)):
        assert (drawn != drawn.astype(np.float32)).mean() > 0.5


def test_fans_count_kernel_positions_and_the_heads_that_are_summed_but_no_gates_or_copies():
    net = engine.Network(
        {
            "one": engine.Conv2d(np.ones((300, 4, 2, 2)), None, "identity"),
            "two": engine.GlobalAveragePool(),
            "out": engine.Dense(np.ones((1, 300))),
        }
    )
    assert sb.reinit(net.graph, rng=0).weights["one.weight"].std() == pytest.approx(1 / 4, rel=0.03)
    net = engine.Network([engine.LSTM(np.ones((4, 50, 16)), np.ones((4, 50, 50))), engine.Dense(np.ones((1, 50)))])
    assert sb.reinit(net.graph, rng=0).weights["layers.0.weight"].std() == pytest.approx(1 / 4, rel=0.03)
    grouped = engine.Conv1d(np.ones((300, 8, 2)), None, "identity", groups=2)  # each unit reads 8 of 16 inputs
    net = engine.Network([engine.Conv1d(np.ones((16, 3, 1))), grouped, engine.Dense(np.ones((1, 300)))])
    drawn = sb.reinit(net.graph, rng=0).weights["layers.1.weight"]
    assert drawn[drawn != 0].std() == pytest.approx(1 / 4, rel=0.03)
    ones = (np.ones((4, 25, 16)), np.ones((4, 25, 16)), np.ones((4, 25, 16)), np.ones((60, 4, 25)))
    net = engine.Network([engine.Attention(*ones), engine.Dense(np.ones((1, 60)))])
    drawn = sb.reinit(net.graph, rng=0).weights
    assert drawn["layers.0.query"].std() == pytest.approx(1 / 4, rel=0.04)
    assert drawn["layers.0.output"].std() == pytest.approx(1 / 10, rel=0.04)


def test_a_branch_that_ends_in_zeros_on_purpose_stays_so():
    graph = planted(residual(Draw(0)), {"embed": [0, 0, 1, 2, 3, 4], "up": [0, 1, 2, 3, 4, 5, 6, 7]})
    zero = [
        Weight(each.name, each.array * (each.name != "down.weight"), each.axes, each.also) for each in graph.connections
    ]
    graph = LayerGraph(graph.spaces, zero, graph.per_unit, inputs=graph.inputs, outputs=graph.outputs)
    fresh = sb.reinit(graph, rng=0)
    assert not fresh.weights["down.weight"].any()
    assert (fresh.weights["embed.weight"][:, 0] != graph.weights["embed.weight"][:, 0]).all()


def test_masks_keep_what_they_keep_at_zero():
    net = TABLE["grouped convolution"][0](Draw(0))
    fresh = sb.reinit(planted(net, {"two": [0, 0, 0, 1, 1, 1]}), rng=0)
    mask = fresh.weights["two.mask"] != 0
    assert not fresh.weights["two.weight"][~mask].any()
    assert fresh.weights["two.weight"][mask].all()


def two_groups(seed=0):
    """Two grouped convolutions, one after the other, with two tied units in each."""
    a = Draw(seed)
    layers = [
        engine.Conv1d(a(4, 2, 3), a(4), "tanh", groups=1),
        engine.Conv1d(a(6, 2, 2), a(6), "relu", groups=2),
        engine.Conv1d(a(4, 3, 2), a(4), "relu", groups=2),
        engine.GlobalAveragePool(),
        engine.Dense(a(2, 4), a(2)),
    ]
    names = ("first", "one", "two", "pool", "last")
    net = engine.Network(dict(zip(names, layers, strict=True)))
    return planted(net, {"one": [0, 0, 1, 2, 3, 4], "two": [0, 0, 1, 2]})


def test_each_mask_keeps_its_own_weight():
    fresh = sb.reinit(two_groups(), rng=0)
    for name, closed in (("one", 12), ("two", 12)):
        mask = fresh.weights[f"{name}.mask"] != 0
        assert (~mask).sum() == closed
        assert not fresh.weights[f"{name}.weight"][~mask].any()
        assert fresh.weights[f"{name}.weight"][mask].all()


@pytest.mark.parametrize("turned", ["weight", "mask", "both"])
def test_a_mask_is_that_of_its_weight_however_both_lie(turned):
    def laid(each):
        turn = turned in ("both", "mask" if each.name.endswith(".mask") else "weight")
        return Weight(each.name, each.array.T, each.axes[::-1]) if turn else each

    graph = two_groups()
    graph = LayerGraph(
        graph.spaces,
        [laid(each) for each in graph.connections],
        graph.per_unit,
        inputs=graph.inputs,
        outputs=graph.outputs,
    )
    fresh = sb.reinit(graph, rng=0).weights
    for name in ("one", "two"):
        weight, mask = fresh[f"{name}.weight"], fresh[f"{name}.mask"]
        weight = weight if turned == "mask" else weight.T
        mask = mask if turned == "weight" else mask.T
        assert not weight[mask == 0].any()
        assert weight[mask == 1].all()


def test_a_mask_of_kernel_positions_is_no_mask_of_units():
    """Nothing says that it belongs to the weight beside it, which it does not fit either."""
    mask = np.ones((3, 4, 2), np.int8)
    mask[:, 1], mask[0] = 0, 0
    axes = [("out", "h"), ("in", "x")]
    graph = LayerGraph(
        [Space("x", 4), Space("h", 3), Space("y", 1)],
        [
            Weight("a", np.tile([1.0, 0, 1, 1], (3, 1)), axes),
            Weight("mask", mask, [*axes, ("receptive", None)]),
            Weight("out", np.ones((1, 3)), [("out", "y"), ("in", "h")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    fresh = sb.reinit(graph, rng=0).weights
    assert np.array_equal(fresh["mask"], mask)
    assert fresh["a"][1:].all()


def test_a_weight_with_zeros_is_no_mask_of_another():
    """Two weights between the same spaces, both with a column of zeros: nothing says that zeros stay."""
    arrays = np.ones((2, 3, 4))
    arrays[..., 1] = 0
    graph = LayerGraph(
        [Space("x", 4), Space("h", 3), Space("y", 1)],
        [Weight(name, array, [("out", "h"), ("in", "x")]) for name, array in zip("ab", arrays, strict=True)]
        + [Weight("out", np.ones((1, 3)), [("out", "y"), ("in", "h")])],
        inputs=["x"],
        outputs=["y"],
    )
    fresh = sb.reinit(graph, rng=0).weights
    assert fresh["a"].all()
    assert fresh["b"].all()


@pytest.mark.parametrize("bias", [None, np.ones(3)])
def test_zeros_are_drawn_where_no_other_weight_writes_to_the_units(bias):
    graph = sb.chain([(np.zeros((3, 2)), bias), (np.ones((2, 3)), None)])
    assert sb.reinit(graph, rng=0).weights["layers.0.weight"].all()


def test_units_that_are_redundant_and_not_tied_stay():
    """They are equal now, and the next step separates them."""
    graph = sb.chain([(np.ones((3, 2)), None), (np.array([[1.0, 2.0, 4.0]]), None)])
    fresh = sb.reinit(graph, rng=0)
    assert np.array_equal(fresh.weights["layers.0.weight"], np.ones((3, 2)))


def test_queries_and_keys_are_both_drawn():
    fresh = sb.reinit(products(), rng=0)
    for name in ("q.weight", "k.weight"):
        assert len(np.unique(fresh.weights[name], axis=0)) == 4
    assert np.array_equal(fresh.weights["v.weight"], products().weights["v.weight"])


def test_the_numbers_follow_from_the_seed_and_the_name():
    graph = sb.chain([(np.ones((4, 4)), None), (np.ones((4, 4)), None), (np.ones((1, 4)), None)])
    one, same, other = (sb.reinit(graph, rng=rng).weights for rng in (1, sb.Key(1), 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["layers.0.weight"], other["layers.0.weight"])
    assert not np.allclose(one["layers.0.weight"], one["layers.1.weight"])  # the names differ, and nothing else


def test_units_that_no_weight_of_fractions_writes_to_are_refused():
    graph = LayerGraph(
        [Space("h", 3), Space("y", 1)],
        [Weight("out", np.ones((1, 3)), [("out", "y"), ("in", "h")])],
        [PerUnit("start", np.ones(3), [("out", "h")])],
        outputs=["y"],
    )
    with pytest.raises(
        CannotRepair, match=r"can't draw all units: space 'h' would keep 3 .*: no weight writes to them"
    ):
        sb.reinit(graph)
    graph = sb.chain([(np.ones((3, 2), np.int8) * 2, None), (np.ones((1, 3)), None)])
    with pytest.raises(CannotRepair, match=r"'layers.0.weight', int8, can't be drawn"):
        sb.reinit(graph)


# One weight, and weights by name.


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_of_one_weight_the_equal_units_are_drawn(dtype):
    weight = sb.HeNormal()((300, 64), rng=0, dtype=dtype)
    before = weight.copy()
    weight[100:250] = weight[7]
    fresh = sb.reinit(weight, rng=3)
    drawn = np.r_[7, 100:250]
    stay = np.setdiff1d(np.arange(300), drawn)
    assert np.array_equal(fresh[stay], before[stay])
    assert fresh.dtype == weight.dtype
    assert sb.diagnose(fresh).ok
    assert fresh[drawn].astype(float).std() == pytest.approx(1 / 8, rel=0.03)
    assert np.array_equal(sb.reinit(weight, rng=3), fresh)
    assert sb.reinit(np.ones((4000, 1), dtype), rng=3).astype(float).std() == pytest.approx(1, rel=0.04)


def test_units_are_found_along_the_axis_that_the_layout_says():
    weight = sb.HeNormal()((5, 6), rng=0)
    weight[:, 2] = weight[:, 4]
    assert sb.reinit(weight, rng=0) is weight
    fresh = sb.reinit(weight, rng=0, axes="io")
    assert (fresh != weight).any(axis=0).tolist() == [False, False, True, False, True, False]
    stacked = sb.HeNormal()((3, 4, 5), rng=0, axes="boi")
    stacked[1, 2] = stacked[1, 0]
    fresh = sb.reinit(stacked, rng=0, axes="boi")
    assert np.argwhere((fresh != stacked).any(axis=2)).tolist() == [[1, 0], [1, 2]]


def test_named_weights_are_drawn_from_their_names():
    arrays = {"a": np.ones((4, 3)), "b": np.ones((4, 3)), "bias": np.zeros(4), "ids": np.ones((4, 3), int)}
    fresh = sb.reinit(arrays, rng=0)
    assert list(fresh) == list(arrays)
    assert fresh["bias"] is arrays["bias"]
    assert fresh["ids"] is arrays["ids"]
    assert not np.array_equal(fresh["a"], fresh["b"])
    assert sb.diagnose({"a": fresh["a"], "b": fresh["b"]}).ok
    alone = sb.reinit({"b": arrays["b"]}, rng=0)
    assert np.array_equal(alone["b"], fresh["b"])
    turned = sb.reinit({"a": np.eye(4, 3)[[0, 1, 2, 2]].T}, rng=0, axes={"a": "io"})["a"]
    assert (turned[:, :2] == np.eye(3)[:, :2]).all()


def test_named_arrays_of_up_to_five_axes_are_weights():
    arrays = {"volume": np.ones((4, 3, 2, 2, 2)), "six": np.ones((2,) * 6)}
    fresh = sb.reinit(arrays, rng=0)
    assert sb.diagnose(fresh["volume"]).ok
    assert fresh["six"] is arrays["six"]


def test_wrong_calls_say_what_is_wrong():
    graph = dense(Draw(0)).graph
    with pytest.raises(TypeError, match="`axes` is not for a network"):
        sb.reinit(graph, axes="oi")
    with pytest.raises(TypeError, match="a weight must be a LayerGraph, a NumPy array or arrays by name, not a list"):
        sb.reinit([[1.0]])
    with pytest.raises(TypeError, match="'a' must be a LayerGraph, a NumPy array or arrays by name, not a list"):
        sb.reinit({"a": [[1.0]]})
    with pytest.raises(TypeError, match="for named weights `axes` maps names to layouts; got 'oi'"):
        sb.reinit({"a": np.ones((2, 2))}, axes="oi")
    with pytest.raises(ValueError, match="`axes` names 'b', which is not among the weights"):
        sb.reinit({"a": np.ones((2, 2))}, axes={"b": "oi"})
    with pytest.raises(TypeError, match="for one weight `axes` is one layout, such as 'io'; got a mapping of 1"):
        sb.reinit(np.ones((2, 2)), axes={"b": "oi"})
    with pytest.raises(ValueError, match="needs an output and an input axis, but `shape` is"):
        sb.reinit(np.ones(3))
