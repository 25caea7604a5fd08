"""Untying keeps the function and leaves no class, so that training separates the units, or says why it can't."""

import tracemalloc
from fractions import Fraction
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from symbreak.repair import _facts, _untie
from tests.repair._networks import TABLE, Draw, classes_left, dense, in_fractions, inputs, planted, rebuilt, residual
from tests.repair.test_merge import assert_close, experts, mixture, products, tied_embedding, turned_heads
from tests.repair.test_merge_copies import mixture_graph

CASES = {name: row[:2] for name, row in TABLE.items() if name != "grouped convolution"}
CASES["layer norm, classes of several sizes"] = (
    residual,
    {"embed": [0, 0, 0, 1, 2, 2], "up": [0, 0, 1, 1, 2, 3, 4, 5]},
)
CASES["all units tied"] = (dense, {"layers.0": [0] * 6, "layers.1": [0] * 5})


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_the_untied_network_gives_the_same_outputs_and_has_no_class(case, seed):
    build, classes = CASES[case]
    net = build(Draw(seed))
    graph = planted(net, classes)
    free = sb.untie(graph, rng=seed)
    assert classes_left(graph) > 0
    assert classes_left(free) == 0
    x = inputs(net, seed)
    assert_close(rebuilt(net, free)(x), rebuilt(net, graph)(x))


def gaps(net, classes):
    """How far the incoming weights of two units of one class are from each other, for each pair of every class."""
    arrays, found = net.graph.arrays, []
    for each in net.graph.connections:
        for number, axis in enumerate(each.axes):
            if axis.role == "out" and axis.space in classes and "groups" not in each.name:
                units = np.moveaxis(arrays[each.name], number, 0)
                label = np.asarray(classes[axis.space])
                found += [
                    np.abs(units[i] - units[j]).max()
                    for i in range(len(label))
                    for j in range(i)
                    if label[i] == label[j]
                ]
    return found


@pytest.mark.parametrize("case", CASES)
def test_training_separates_the_untied_units_and_not_the_tied_ones(case):
    build, classes = CASES[case]
    net = build(Draw(0))
    graph = planted(net, classes)
    x = inputs(net, 0, batch=16)
    y = np.random.default_rng(1).normal(size=rebuilt(net, graph)(x).shape)
    trained = {}
    for name, start in {"tied": graph, "untied": sb.untie(graph, rng=0)}.items():
        run = rebuilt(net, start)
        engine.train(run, x, y, optimizer=engine.SGD(0.01), steps=20)
        trained[name] = gaps(run, classes)
    assert max(trained["tied"], default=0) < 1e-12
    assert min(trained["untied"], default=1) > 1e-7


def test_heads_that_are_tied_as_wholes_separate():
    build, classes, _ = TABLE["attention, tied heads only"]
    net = build(Draw(0))
    graph = planted(net, classes)
    x = inputs(net, 0, batch=16)
    y = np.random.default_rng(1).normal(size=(16, 6, 2))
    for start, apart in ((graph, False), (sb.untie(graph, rng=0), True)):
        run = rebuilt(net, start)
        engine.train(run, x, y, optimizer=engine.SGD(0.05), steps=20)
        for part in ("query", "key", "value"):
            array = run.parameters[f"att.{part}"]
            gap = min(np.abs(array[0] - array[3]).max(), np.abs(array[1] - array[2]).max())
            assert (gap > 1e-7) == apart


@given(sizes=st.lists(st.integers(1, 5), min_size=3, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_dense_networks_of_few_values_are_untied_exactly(sizes, seed):
    """In fractions: classes without two equal rows too, and the outputs are equal with ==."""
    net = in_fractions(sizes, seed)
    assert max(sizes[1:-1]) == 1 or classes_left(net.graph)
    free = sb.untie(net.graph, rng=seed)
    x = np.vectorize(Fraction, otypes=[object])(np.random.default_rng(seed).integers(-1, 2, (3, sizes[0])))
    assert (rebuilt(net, free)(x) == net(x)).all()
    assert classes_left(free) == 0


@pytest.mark.parametrize("case", CASES)
def test_shares_do_not_depend_on_the_blocks_that_they_are_made_in(case, monkeypatch):
    build, classes = CASES[case]
    graph = planted(build(Draw(0)), classes)
    whole = sb.untie(graph, rng=0).arrays
    monkeypatch.setattr(_untie, "BLOCK", 1)
    for name, array in sb.untie(graph, rng=0).arrays.items():
        assert np.allclose(array, whole[name], rtol=1e-12, atol=1e-15)


def test_beyond_the_result_little_memory_is_needed():
    weights = [np.full((1024, 1024), 0.5, np.float32) for _ in range(3)]
    graph = sb.chain([(weight, None) for weight in weights])
    sb.untie(sb.chain([(np.ones((3, 2)), None), (np.ones((2, 3)), None)]), rng=0)  # loads what is loaded late
    tracemalloc.start()
    try:
        sb.untie(graph, rng=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (8 + 40) << 20  # 29 MB, the new weights among them; 69 MB when all shares were made at once


def test_only_what_reads_tied_units_is_changed():
    graph = planted(dense(Draw(0)), {"layers.0": [0, 1, 0, 2, 3, 3]})
    free = sb.untie(graph, rng=0)
    before, after = graph.arrays, free.arrays
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == ["layers.1.weight"]
    columns = (before["layers.1.weight"] != after["layers.1.weight"]).any(axis=0)
    assert columns.tolist() == [True, False, True, False, True, True]


def test_shares_of_a_convolution_add_up_to_zero_at_each_position_and_those_of_an_lstm_in_each_gate():
    for case, name, axis in (("convolution", "two.weight", 1), ("lstm", "one.recurrent", 2)):
        build, classes, _ = TABLE[case]
        graph = planted(build(Draw(0)), classes)
        shares = sb.untie(graph, rng=0).arrays[name] - graph.arrays[name]
        units = np.moveaxis(shares, axis, 0)
        label = np.asarray(classes["one"])
        for each in set(label):
            members = units[label == each]
            assert np.abs(members.sum(axis=0)).max() < 1e-15
            assert len(members) == 1 or np.abs(members).min() > 0


def test_shares_still_differ_after_summing_over_the_classes_that_they_are_read_by():
    graph = sb.chain([(np.ones((3, 2)), None), (np.ones((4, 3)), None), (np.ones((1, 4)), None)])
    sums = sb.untie(graph, rng=0).weights["layers.1.weight"].sum(axis=0)
    assert np.abs(np.subtract.outer(sums, sums)[np.triu_indices(3, 1)]).min() > 1e-3


@pytest.mark.parametrize("size", [0.01, 0.5, 2.0])
def test_shares_are_in_proportion_to_the_outgoing_weights(size):
    graph = sb.chain([(np.ones((64, 2)), None), (np.full((200, 64), 0.25), None)])
    shares = sb.untie(graph, rng=0, size=size).weights["layers.1.weight"] - 0.25
    assert np.sqrt(np.mean(shares**2)) == pytest.approx(0.25 * size, rel=0.02)


def test_shares_of_two_units_are_as_wide_as_those_of_many():
    graph = sb.chain([(np.ones((2, 2)), None), (np.full((2000, 2), 0.25), None)])
    shares = sb.untie(graph, rng=0).weights["layers.1.weight"] - 0.25
    assert np.sqrt(np.mean(shares**2)) == pytest.approx(0.125, rel=0.04)


def test_each_class_has_shares_in_proportion_to_its_own_weights():
    """A thousand classes of two units, half of which are read with weights ten times as large."""
    one = np.repeat(np.random.default_rng(0).normal(size=(1000, 2)), 2, axis=0)
    weight = np.repeat(np.tile([0.25, 2.5], 500), 2)[np.newaxis]
    shares = sb.untie(sb.chain([(one, None), (weight, None)]), rng=0).weights["layers.1.weight"] - weight
    for size in (0.25, 2.5):
        assert np.sqrt(np.mean(shares[weight == size] ** 2)) == pytest.approx(size / 2, rel=0.05)


def test_shares_of_fractions_have_the_same_size():
    one, two = (np.full(shape, Fraction(1, 4), object) for shape in ((16, 2), (40, 16)))
    found = sb.untie(sb.chain([(one, None), (two, None)]), rng=0, size=2.0).weights["layers.1.weight"]
    assert np.sqrt(np.mean((found - two).astype(float) ** 2)) == pytest.approx(0.5, rel=0.1)


def test_shares_of_fractions_add_up_to_zero_at_each_position():
    kernel = np.full((2, 3, 4), Fraction(1, 4), object)
    graph = LayerGraph(
        [Space("x", 2), Space("h", 3, "tanh"), Space("y", 2)],
        [
            Weight("first", np.full((3, 2), Fraction(1), object), [("out", "h"), ("in", "x")]),
            Weight("kernel", kernel, [("out", "y"), ("in", "h"), ("receptive", None)]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    shares = sb.untie(graph, rng=0).weights["kernel"] - kernel
    assert (shares.sum(axis=1) == 0).all()
    assert (shares != 0).all()


def test_classes_are_listed_unit_by_unit_in_order():
    """The shares follow from the seed on every machine, whatever its sort does with equal labels."""
    found = [units.tolist() for units in _facts.members(np.tile([2, 0, 1], 500)[:-1])]
    assert found == [list(range(1, 1499, 3)), list(range(2, 1499, 3)), list(range(0, 1499, 3))]


def test_weights_whose_squares_are_too_large_are_shared_out_too():
    weight = np.full((50, 16), 1e30, np.float32)
    found = sb.untie(sb.chain([(np.ones((16, 2), np.float32), None), (weight, None)]), rng=0).weights["layers.1.weight"]
    assert np.sqrt(np.mean((found / 1e30 - 1.0) ** 2)) == pytest.approx(0.5, rel=0.1)


def test_shares_of_zero_weights_have_the_size_that_the_fan_calls_for():
    graph = sb.chain([(np.ones((64, 2)), None), (np.zeros((200, 64)), None)])
    shares = sb.untie(graph, rng=0).weights["layers.1.weight"]
    assert np.sqrt(np.mean(shares**2)) == pytest.approx(1 / 8, rel=0.02)
    assert np.abs(shares.sum(axis=1)).max() < 1e-15


def test_shares_follow_from_the_seed_and_the_name_alone():
    graph = planted(dense(Draw(0)), CASES["dense"][1])
    one, two = sb.untie(graph, rng=7), sb.untie(graph, rng=sb.Key(7))
    assert all(np.array_equal(one.arrays[name], array) for name, array in two.arrays.items())
    other = sb.untie(graph, rng=8)
    assert not np.array_equal(one.arrays["layers.1.weight"], other.arrays["layers.1.weight"])
    twice = sb.chain(
        [(np.ones((4, 3)), None), (np.ones((4, 4)), None), (np.ones((4, 4)), None), (np.ones((2, 4)), None)]
    )
    shares = sb.untie(twice, rng=7).weights
    assert not np.allclose(shares["layers.1.weight"], shares["layers.2.weight"])
    weights = [graph.weights[f"layers.{n}.weight"] for n in range(3)]
    wider = [graph.arrays[f"layers.{n}.bias"] for n in range(3)]
    wider[2] = wider[2] + 1.0  # another network, in which the array and its classes are the same
    third = sb.untie(sb.chain(list(zip(weights, wider, strict=True))), rng=7)
    assert np.array_equal(third.weights["layers.1.weight"], one.weights["layers.1.weight"])


@pytest.mark.parametrize(("dtype", "off"), [("float32", 2e-7), ("float16", 2e-3), (ml_dtypes.bfloat16, 2e-2)])
def test_the_sums_of_low_precision_weights_stay_as_they_are(dtype, off):
    weight = np.random.default_rng(0).normal(size=(50, 1)).astype(dtype) * np.ones((1, 16), dtype)
    graph = sb.chain([(np.ones((16, 2), dtype), None), (weight, None)])
    found = sb.untie(graph, rng=0).weights["layers.1.weight"]
    assert found.dtype == np.dtype(dtype)
    assert len(np.unique(found.astype(float), axis=1).T) == 16
    drift = np.abs(found.astype(float).sum(axis=1) - weight.astype(float).sum(axis=1))
    finest = np.spacing(np.abs(found).astype(dtype).min(axis=1)).astype(float)
    assert (drift <= finest).all()
    assert drift.max() < off


def test_complex_weights_are_shared_out_too():
    graph = sb.chain([(np.ones((3, 2), complex), None), (np.full((1, 3), 1 + 2j), None)])
    found = sb.untie(graph, rng=0).weights["layers.1.weight"]
    assert abs(found.sum() - (3 + 6j)) < 1e-14
    assert len(np.unique(found)) == 3


def test_queries_and_keys_are_untied_in_the_queries_alone():
    free = sb.untie(products(), rng=0)
    assert (free.weights["k.weight"] == 1).all()
    query = free.weights["q.weight"]
    assert len(np.unique(query, axis=0)) == 4
    assert np.abs(query.sum(axis=0) - 4).max() < 1e-14


def test_norms_of_queries_and_keys_are_refused():
    norm = PerUnit("q_norm.weight", np.ones(4), [("out", "qk")], "scale")
    reason = (
        r"can't untie all units: space 'qk' would keep 4 units in 1 class: queries or keys pass through a norm, 'q_n"
    )
    with pytest.raises(CannotRepair, match=reason):
        sb.untie(products(per_unit=[norm]))


def test_shared_arrays_are_refused_where_nothing_else_reads_the_units():
    with pytest.raises(CannotRepair, match=r"space 'stream' would keep 4 units in 1 class: 'table' is shared between"):
        sb.untie(tied_embedding())


def test_a_stream_of_a_shared_array_is_untied_through_what_else_reads_it():
    extra = [
        (
            Space("mlp", 2, "relu"),
            [
                Weight("up", np.array([[1.0] * 4, [2.0] * 4]), [("out", "mlp"), ("in", "stream")]),
                Weight("down", np.ones((4, 2)), [("out", "stream"), ("in", "mlp")]),
            ],
        )
    ]
    graph = tied_embedding(extra=extra)
    free = sb.untie(graph, rng=0)
    assert np.array_equal(free.weights["table"], graph.weights["table"])
    assert classes_left(graph) == 4
    assert classes_left(free) == 0


def test_units_that_nothing_reads_are_refused():
    graph = LayerGraph(
        [Space("x", 2), Space("lost", 3), Space("y", 1)],
        [
            Weight("in", np.ones((3, 2)), [("out", "lost"), ("in", "x")]),
            Weight("out", np.ones((1, 2)), [("out", "y"), ("in", "x")]),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    with pytest.raises(CannotRepair, match=r"space 'lost' would keep 3 units in 1 class: nothing reads them"):
        sb.untie(graph)


def test_whole_numbers_can_not_be_shared_out():
    graph = sb.chain([(np.ones((3, 2)), None), (np.full((1, 3), 7, np.int8), None)])
    with pytest.raises(CannotRepair, match=r"'layers.1.weight', int8, holds no fractions"):
        sb.untie(graph)


def test_what_a_mask_keeps_at_zero_stays_at_zero():
    net = TABLE["grouped convolution"][0](Draw(0))
    graph = planted(net, {"one": [0, 0, 1, 2], "two": [0, 0, 1, 2, 3, 3]})
    free = sb.untie(graph, rng=0)
    mask = graph.weights["two.mask"] != 0
    assert np.array_equal(free.weights["two.mask"], graph.weights["two.mask"])
    assert not free.weights["two.weight"][~mask].any()
    assert classes_left(free) == 0
    x = inputs(net, 0)
    assert_close(rebuilt(net, free)(x), rebuilt(net, graph)(x))


@pytest.mark.parametrize("turned", [False, True])
def test_which_head_reads_which_keys_stays(turned):
    build, classes, _ = TABLE["grouped queries, tied groups"]
    graph = planted(build(Draw(0)), classes)
    connections = [
        Weight(each.name, each.array.T, each.axes[::-1]) if turned and each.name == "att.groups" else each
        for each in graph.connections
    ]
    graph = LayerGraph(graph.spaces, connections, graph.per_unit, inputs=graph.inputs, outputs=graph.outputs)
    free = sb.untie(graph, rng=0)
    assert np.array_equal(free.weights["att.groups"], graph.weights["att.groups"])
    assert classes_left(free) == 0


def test_units_that_are_redundant_and_not_tied_keep_their_weights():
    graph = sb.chain([(np.ones((3, 2)), None), (np.array([[1.0, 2.0, 4.0]]), None)])
    assert sb.untie(graph, rng=0).weights["layers.1.weight"].tolist() == [[1.0, 2.0, 4.0]]


def test_shares_of_a_masked_kernel_add_up_to_zero_over_what_is_open():
    """Units 0 and 1 are read by the first group of outputs, unit 2 by the second; all three are a class."""
    rng = np.random.default_rng(0)
    kernel, mask = rng.normal(size=(4, 1, 3)) * np.ones((4, 3, 1)), np.ones((4, 3), np.int8)
    mask[:2, 2], mask[2:, :2] = 0, 0
    kernel[mask == 0] = 0
    mask_axes = [("out", "y"), ("in", "h")]
    graph = LayerGraph(
        [Space("x", 2), Space("h", 3, "tanh"), Space("y", 4)],
        [
            Weight("first", np.ones((3, 2)), [("out", "h"), ("in", "x")]),
            Weight("kernel", kernel, [*mask_axes, ("receptive", None)]),
            Weight("mask", mask, mask_axes, multiplies="kernel"),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    assert sb.diagnose(graph).partition["h"].tolist() == [0, 0, 1]
    shares = sb.untie(graph, rng=0).weights["kernel"] - kernel
    assert np.abs(shares[:2, :2]).min() > 0
    assert np.abs(shares.sum(axis=1)).max() < 1e-15
    assert not shares[2:].any()
    assert not shares[:, 2].any()
    spread = np.sqrt(np.mean(shares[:2, :2] ** 2) / np.mean(kernel[:2, :2] ** 2))
    assert 0.2 < spread < 1.2


def test_shares_of_units_that_a_mask_hides_from_each_other_in_turn():
    """Each unit of the second class reads two of the three of the first, so that no unit is open to all."""
    rng = np.random.default_rng(0)
    mask = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    middle = np.where(mask, 0.5, rng.normal(size=(3, 3)))
    weights = [rng.normal(size=(1, 2)) * np.ones((3, 1)), middle, rng.normal(size=(2, 1)) * np.ones(3)]
    names = ("x", "a", "b", "y")
    axes = [[("out", above), ("in", below)] for below, above in pairwise(names)]
    graph = LayerGraph(
        [Space(name, units, "tanh") for name, units in zip(names, (2, 3, 3, 2), strict=True)],
        [Weight(str(k), weight, axes[k]) for k, weight in enumerate(weights)]
        + [Weight("mask", mask, axes[1], multiplies="1")],
        inputs=["x"],
        outputs=["y"],
    )

    def run(graph, x):
        arrays = [graph.weights["0"], graph.weights["1"] * mask, graph.weights["2"]]
        for array in arrays:
            x = np.tanh(x @ array.T)
        return x

    free = sb.untie(graph, rng=0)
    assert (classes_left(graph), classes_left(free)) == (6, 0)
    assert np.array_equal(free.weights["1"][mask == 0], middle[mask == 0])
    assert np.abs(free.weights["1"] - middle)[mask == 1].min() > 0
    x = rng.normal(size=(5, 2))
    assert_close(run(free, x), run(graph, x))


def test_the_sums_behind_a_mask_stay_as_they_are_in_low_precision():
    """What rounding takes from a sum goes to an open weight, and to none that the mask hides."""
    mask = 1 - np.eye(9, dtype=np.int8)
    middle = np.full((9, 9), 0.7, np.float16)
    axes = [[("out", above), ("in", below)] for below, above in pairwise("xaby")]
    graph = LayerGraph(
        [Space("x", 1), Space("a", 9, "tanh"), Space("b", 9, "tanh"), Space("y", 1)],
        [
            Weight("0", np.ones((9, 1), np.float16), axes[0]),
            Weight("1", middle, axes[1]),
            Weight("2", np.ones((1, 9), np.float16), axes[2]),
            Weight("mask", mask, axes[1], multiplies="1"),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    found = sb.untie(graph, rng=0).weights["1"]
    assert np.array_equal(found[mask == 0], middle[mask == 0])
    for row, shown in zip(found, mask == 1, strict=True):
        drift = row[shown].astype(float).sum() - 8 * float(np.float16(0.7))
        assert abs(drift) <= float(np.spacing(np.abs(row[shown]).min()))


def test_shares_behind_a_mask_are_as_wide_as_those_without():
    """Eight of nine units are open to each that reads them."""
    mask = np.tile(1 - np.eye(9), (20, 1))
    axes = [[("out", above), ("in", below)] for below, above in pairwise("xaby")]
    graph = LayerGraph(
        [Space("x", 1), Space("a", 9, "tanh"), Space("b", 180, "tanh"), Space("y", 1)],
        [
            Weight("0", np.ones((9, 1)), axes[0]),
            Weight("1", np.full((180, 9), 0.7), axes[1]),
            Weight("2", np.ones((1, 180)), axes[2]),
            Weight("mask", mask, axes[1], multiplies="1"),
        ],
        inputs=["x"],
        outputs=["y"],
    )
    shares = (sb.untie(graph, rng=0, size=0.5).weights["1"] - 0.7)[mask == 1]
    assert np.sqrt(np.mean(shares**2)) == pytest.approx(0.35, rel=0.08)


@pytest.mark.parametrize("repair", ["untie", "reinit"])
def test_experts_that_are_picked_by_index_are_not_tied(repair):
    graph = mixture_graph("softmax, top_k", (0, 0, 1))
    found = getattr(sb, repair)(graph, rng=0)
    assert all(np.array_equal(found.arrays[name], array) for name, array in graph.arrays.items())


def test_tied_experts_behind_a_router_are_untied():
    graph = experts(tied_experts=True)
    free = sb.untie(graph, rng=0)
    assert classes_left(free) == 0
    x = np.random.default_rng(1).normal(size=(6, 5))
    assert_close(mixture(free, x), mixture(graph, x))


def members(graph):
    """The experts of a mixture without their router."""
    return LayerGraph(graph.spaces, graph.connections[1:], inputs=graph.inputs, outputs=graph.outputs)


def test_copies_without_a_router_share_out_each_by_itself():
    """How the outputs of members are combined is not known, so each one's must stay."""
    graph = members(experts(tied_experts=True))
    free = sb.untie(graph, rng=0)
    assert classes_left(free) == 0
    x = np.random.default_rng(1).normal(size=(6, 5))
    for up, down, found in zip(graph.arrays["up"], graph.arrays["down"], free.arrays["down"], strict=True):
        hidden = np.tanh(x @ up.T)
        assert_close(hidden @ found.T, hidden @ down.T)
        assert np.abs(found - down).max() > 0.01


def test_copies_that_are_tied_only_as_wholes_are_refused_without_a_router():
    graph = experts(tied_experts=True, tied_units=False)
    assert classes_left(sb.untie(graph, rng=0)) == 0
    with pytest.raises(CannotRepair, match=r"'hidden' would keep 8 units in 4 classes: how the outputs of stacked"):
        sb.untie(members(graph))


def test_heads_whose_units_lie_in_another_order_are_untied():
    net, graph = turned_heads()
    free = sb.untie(graph, rng=0)
    assert classes_left(free) == 0
    x = inputs(net, 2)
    assert_close(rebuilt(net, free)(x), rebuilt(net, graph)(x))


def test_a_network_without_classes_keeps_its_arrays():
    graph = dense(Draw(0)).graph
    free = sb.untie(graph, rng=0)
    assert all(np.shares_memory(free.arrays[name], array) for name, array in graph.arrays.items())


def test_blocked_units_learn_again():
    """Both sides zero, as in a low-rank pair that was filled with zeros: the shares give the other side a gradient."""
    net = engine.Network([engine.Dense(np.zeros((3, 2)), None, "tanh"), engine.Dense(np.zeros((2, 3)))])
    free = rebuilt(net, sb.untie(net.graph, rng=0))
    x = np.random.default_rng(0).normal(size=(8, 2))
    assert (free(x) == 0).all()
    for run, moves in ((net, False), (free, True)):
        engine.train(run, x, x, optimizer=engine.SGD(0.1), steps=30)
        assert (np.ptp(run.parameters["layers.0.weight"], axis=0).min() > 1e-3) == moves


@pytest.mark.parametrize("size", [0, -1.0, float("inf"), float("nan"), "half"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="the size of the shares is a positive number, a multiple of the weights; got"):
        sb.untie(dense(Draw(0)).graph, size=size)
