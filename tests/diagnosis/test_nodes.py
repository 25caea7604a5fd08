"""A graph as the partition sees it: masks, heads that lie in copies or don't, and which of them go together."""

import ml_dtypes
import numpy as np
import pytest

import symbreak as sb
from symbreak.diagnosis._nodes import System
from symbreak.graph import LayerGraph, PerUnit, Space, Weight

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


# Masks


def masked(dtype, hidden, *masks, other=0):
    """Units 0 and 1 are equal but for a value of unit 1 that is hidden, or not."""
    one = np.arange(12.0).reshape(4, 3).astype(dtype)
    one[1] = one[0]
    one[1, 2], one[1, 0] = hidden, other
    axes = [("out", "h"), ("in", "x")]
    return LayerGraph(
        [Space("x", 3), Space("h", 4, "tanh"), Space("y", 1)],
        [
            Weight("one", one, axes),
            Weight("two", np.ones((1, 4)), [("out", "y"), ("in", "h")]),
            *(Weight(f"mask{number}", mask, axes, multiplies="one") for number, mask in enumerate(masks)),
        ],
        inputs=["x"],
        outputs=["y"],
    )


CLOSED = np.ones((4, 3))
CLOSED[:2, 2] = 0


@pytest.mark.parametrize("dtype", ["float32", "complex64", "int8", "bool", object, ml_dtypes.bfloat16])
def test_what_a_mask_hides_is_not_there_whatever_the_dtype(dtype):
    hidden = masked(dtype, 1, CLOSED)
    assert sb.diagnose(hidden).partition["h"][:2].tolist() == [0, 0]
    (view,) = (view for view in System.of(hidden).views if view.name == "one")
    assert view.array.dtype == hidden.weights["one"].dtype
    assert view.array[1, 2] == 0
    assert hidden.weights["one"][1, 2] == 1  # the graph's own array stays
    if dtype != "bool":
        assert sb.diagnose(masked(dtype, 1, np.ones((4, 3)))).partition["h"][:2].tolist() == [0, 1]


@pytest.mark.parametrize("dtype", ["float32", "complex64", ml_dtypes.bfloat16])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_zero_times_what_is_not_finite_is_not_finite_whatever_the_dtype(dtype, value):
    found = [finding.code for finding in sb.diagnose(masked(dtype, value, CLOSED)).findings]
    assert found == ["SB108", "SB302"]
    imaginary = masked("complex64", 1j * value, CLOSED)
    assert [finding.code for finding in sb.diagnose(imaginary).findings] == ["SB108", "SB302"]


def test_two_masks_of_one_weight_hide_what_either_hides():
    first, second = np.ones((4, 3)), np.ones((4, 3))
    first[:2, 2] = second[:2, 0] = 0
    assert sb.diagnose(masked(float, 7, first, second, other=9)).partition["h"][:2].tolist() == [0, 0]
    assert sb.diagnose(masked(float, 7, second, second, other=9)).partition["h"][:2].tolist() == [0, 1]


def test_a_mask_that_hides_only_zeros_changes_no_array():
    mask = np.ones((4, 3))
    mask[1, 2] = 0
    graph = masked(float, 0, mask)
    (view,) = (view for view in System.of(graph).views if view.name == "one")
    assert view.array is next(each.array for each in graph.connections if each.name == "one")


# Heads in copies


def copies(weights=(), per_unit=()):
    """Three copies of three heads, of which heads 0 and 2 are equal."""
    value, output = np.repeat(normal(3, 1, 2, 4), 3, axis=1), normal(3, 2, 3, 2)
    output[:, :, 2] = output[:, :, 0]
    spaces = [Space("x", 4), Space("copies", 3), Space("heads", 3), Space("v", 2), Space("y", 2)]
    every = [
        Weight("value", value, [("stack", "copies"), ("head", "heads"), ("out", "v"), ("in", "x")]),
        Weight("output", output, [("stack", "copies"), ("out", "y"), ("head", "heads"), ("in", "v")]),
        Weight("router", normal(3, 4), [("out", "copies"), ("in", "x")]),
    ]
    return LayerGraph(spaces, [*every, *weights], per_unit, inputs=["x"], outputs=["y"])


def test_heads_that_stand_in_no_copies_are_those_of_all_though_copies_of_a_gate_write_to_them():
    value, output, gate = np.repeat(normal(1, 2, 4), 3, axis=0), normal(2, 3, 2), np.repeat(normal(3, 1, 4), 3, axis=1)
    output[:, 2] = output[:, 0]

    def graph(gate):
        return LayerGraph(
            [Space("x", 4), Space("copies", 3), Space("heads", 3), Space("v", 2), Space("y", 2)],
            [
                Weight("value", value, [("head", "heads"), ("out", "v"), ("in", "x")]),
                Weight("output", output, [("out", "y"), ("head", "heads"), ("in", "v")]),
                Weight("router", normal(3, 4), [("out", "copies"), ("in", "x")]),
                Weight("gate", gate, [("stack", "copies"), ("out", "heads"), ("in", "x")]),
            ],
            inputs=["x"],
            outputs=["y"],
        )

    assert sb.diagnose(graph(gate)).partition["heads"].tolist() == [0, 1, 0]
    gate[1, 2] += 1
    apart = sb.diagnose(graph(gate))
    assert apart.partition["heads"].tolist() == [0, 1, 2]
    assert not apart.classes


def test_heads_that_all_arrays_have_in_copies_are_those_of_each():
    report = sb.diagnose(copies())
    assert report.partition["heads"].tolist() == [[0, 1, 0], [2, 3, 2], [4, 5, 4]]
    own = PerUnit("own", np.array([[1.0, 1, 1], [1, 1, 1], [1, 1, 2]]), [("stack", "copies"), ("out", "heads")])
    assert sb.diagnose(copies(per_unit=[own])).partition["heads"].tolist() == [[0, 1, 0], [2, 3, 2], [4, 5, 6]]


@pytest.mark.parametrize(("turned", "kind"), [(False, "exchange"), (True, "orbit")])
def test_equal_copies_are_swapped_as_wholes_only_where_what_each_head_writes_alike_is_equal(turned, kind):
    """An array with copies and heads, and no units of theirs, that is turned round within the copies."""
    graph = copies()
    weights = {each.name: each for each in graph.connections}
    own = np.repeat(normal(1, 3, 2, 4), 3, axis=0)
    arrays = {name: np.repeat(each.array[:1], 3, axis=0) for name, each in weights.items()}
    arrays["output"][:] = arrays["output"][:, :, :1]
    if turned:
        own[1], own[2] = own[1, [1, 2, 0]], own[2, [2, 0, 1]]
    report = sb.diagnose(
        LayerGraph(
            graph.spaces,
            [
                *(Weight(name, array, weights[name].axes) for name, array in arrays.items()),
                Weight("own", own, [("stack", "copies"), ("head", "heads"), ("out", "y"), ("in", "x")]),
            ],
            inputs=["x"],
            outputs=["y"],
        )
    )
    assert report.partition["copies"].tolist() == [0, 0, 0]
    assert {each.kind for each in report.classes if each.space == "copies"} == {kind}


# What goes together


def test_spaces_on_one_axis_of_an_array_of_which_one_lies_in_copies_are_refused():
    """The heads of one use lie in copies, those of the other do not."""
    also = [[("stack", "copies"), ("head", "others"), ("out", "u"), ("in", "x")]]
    weights = [
        Weight("w", normal(2, 3, 2, 4), [("stack", "copies"), ("head", "heads"), ("out", "v"), ("in", "x")], also=also),
        Weight("alone", normal(3, 4), [("out", "others"), ("in", "x")]),
    ]
    spaces = [Space("x", 4), Space("copies", 2), Space("heads", 3), Space("others", 3), Space("v", 2), Space("u", 2)]
    with pytest.raises(ValueError, match="spaces 'heads', 'others' share an axis of an array, but their units don't"):
        sb.diagnose(LayerGraph(spaces, weights, inputs=["x"]))


OF = np.repeat(np.eye(2), 2, axis=0)


def grouped(*more):
    """Four heads that share keys two by two; the units of queries and keys are one space."""
    spaces = [Space("x", 3), Space("heads", 4), Space("groups", 2), Space("qk", 2)]
    weights = [
        Weight("query", normal(4, 2, 3), [("head", "heads"), ("out", "qk"), ("in", "x")]),
        Weight("key", normal(2, 2, 3), [("head", "groups"), ("out", "qk"), ("in", "x")]),
    ]
    return LayerGraph(spaces, [*weights, *more], inputs=["x"])


@pytest.mark.parametrize(
    "mask",
    [OF, OF[[0, 2, 1, 3]], 5 * OF, OF.astype(bool), OF.astype(int), OF.astype(ml_dtypes.bfloat16)],
    ids=["pairs", "turned", "scaled", "bool", "int", "bfloat16"],
)
@pytest.mark.parametrize("turn", [False, True])
def test_a_mask_with_one_entry_in_each_row_says_which_heads_go_together(mask, turn):
    axes = [("out", "heads"), ("in", "groups")]
    weight = Weight("of", mask.T if turn else mask, axes[::-1] if turn else axes)
    (link,) = System.of(grouped(weight)).links
    assert link.of.tolist() == np.argmax(mask.astype(float), axis=1).tolist()


@pytest.mark.parametrize(
    "weights",
    [
        [],
        [Weight("of", np.ones((4, 2)), [("out", "heads"), ("in", "groups")])],
        [Weight("of", OF * [[1], [1], [1], [0]], [("out", "heads"), ("in", "groups")])],
        [Weight("of", OF[:, :, None].repeat(2, 2), [("out", "heads"), ("in", "groups"), ("gate", None)])],
        [Weight("of", np.eye(4), [("out", "heads"), ("in", "heads")])],
    ],
    ids=["none", "all with all", "one with none", "gates", "with themselves"],
)
def test_other_arrays_say_nothing_of_which_heads_go_together(weights):
    with pytest.raises(ValueError, match="the units of 'qk' lie in 'heads' and in 'groups', and no weight says which"):
        sb.diagnose(grouped(*weights))


def test_a_later_mask_says_it_where_an_earlier_weight_between_heads_says_nothing():
    axes = [("out", "heads"), ("in", "groups")]
    (link,) = System.of(grouped(Weight("first", np.ones((4, 2)), axes), Weight("of", OF, axes))).links
    assert link.of.tolist() == [0, 0, 1, 1]


def told_late(order):
    """Grouped queries that differ only where units of the stream do, and these where units behind them do."""
    swap, same = np.array([[1.0, 2], [2, 1]]), np.ones((1, 2, 2))
    query = np.concatenate([same, swap[np.newaxis], 2 * same, 2 * same])
    weights = [
        Weight("embed", np.ones((2, 1)), [("out", "s"), ("in", "x")]),
        Weight("key", np.concatenate([same, same]), [("head", "groups"), ("out", "qk"), ("in", "s")]),
        Weight("query", query, [("head", "heads"), ("out", "qk"), ("in", "s")]),
        Weight("of", OF, [("out", "heads"), ("in", "groups")]),
        Weight("behind", swap, [("out", "b"), ("in", "s")]),
        Weight("last", np.array([[1.0, 2]]), [("out", "y"), ("in", "b")]),
    ]
    spaces = [Space(name, 2) for name in ("s", "b", "qk", "groups")] + [Space("heads", 4), Space("x", 1), Space("y", 1)]
    return LayerGraph(spaces, [weights[number] for number in order], inputs=["x"], outputs=["y"])


@pytest.mark.parametrize("seed", range(12))
def test_classes_do_not_depend_on_the_order_of_the_arrays_however_late_units_are_told_apart(seed):
    """From the output to the stream, from there to one query, and from that to the key that it goes with."""
    partition = sb.diagnose(told_late(np.random.default_rng(seed).permutation(6))).partition
    assert [partition[name].tolist() for name in ("s", "b", "groups", "heads")] == [
        [0, 1],
        [0, 1],
        [0, 1],
        [0, 1, 2, 2],
    ]
    assert partition["qk of groups"].tolist() == [[0, 1], [2, 2]]
    assert partition["qk of heads"].tolist() == [[0, 1], [2, 3], [4, 4], [4, 4]]
