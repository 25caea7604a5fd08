"""The partition at the edges: extreme magnitudes, depth and size, exact numbers, and arrays that lie in other ways."""

import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

import symbreak as sb
from symbreak.diagnosis import _partition, _sums
from symbreak.diagnosis._kinds import swappable
from symbreak.diagnosis._nodes import System
from symbreak.diagnosis._partition import Refiner
from symbreak.graph import LayerGraph, PerUnit, Space, Weight

RNG = np.random.default_rng(0)


def middle(weight, first=None, last=None, dtype=float):
    """Three layers about a middle weight; what is around it is constant."""
    first = np.ones((weight.shape[1], 2), dtype) if first is None else first
    last = np.ones((1, len(weight)), dtype) if last is None else last
    return sb.chain([(first, None), (weight, None), (last, None)])


def classes(graph):
    return [(each.space, each.units, each.kind) for each in sb.diagnose(graph).classes]


# Magnitudes

TURNED = np.array([[3.0, 2, 1], [2, 2, 2], [1, 2, 3]])  # rows and columns of one sum


@pytest.mark.parametrize("scale", [5e-324, 1e-308, 1e-30, 1, 1e300, 5e307])
def test_sums_are_equal_at_every_magnitude_that_floats_have(scale):
    with np.errstate(all="raise", under="ignore"):
        labels = sb.diagnose(middle(TURNED * scale)).partition
    assert labels["layers.0"].tolist() == labels["layers.1"].tolist() == [0, 0, 0]


def test_sums_of_float16_and_bfloat16_are_taken_in_float64():
    import ml_dtypes

    for dtype in ("float16", ml_dtypes.bfloat16):
        large = (TURNED * 8192).astype(dtype)
        labels = sb.diagnose(middle(large, dtype=dtype)).partition
        assert labels["layers.0"].tolist() == labels["layers.1"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("different", "copied", "expected"),
    [(2, 96, 2), (2, 95, 8), (4, 1 << 20, 4), (5, 1 << 20, 8), (1, None, 1), (8, 1 << 20, 8)],
)
def test_along_other_axes_only_different_slices_are_searched_where_these_are_few_and_small(
    different, copied, expected, monkeypatch
):
    """The first search has looked for values that are not finite."""
    searched, slice_ties = [], _partition.slice_ties

    def search(view, side, workers, *, finite):
        searched.append((view.array.shape, finite))
        return slice_ties(view, side, workers, finite=finite)

    monkeypatch.setattr(_partition, "slice_ties", search)
    monkeypatch.setattr(_partition, "COPIED", copied or _partition.COPIED)
    weight = RNG.normal(size=(different, 6))[np.arange(8) % different]
    weight[:, 4] = weight[:, 1]
    refiner = Refiner(System.of(middle(weight)))
    (view,) = (view for view in refiner.system.views if view.array.shape == (8, 6))
    found = [refiner.ties(view, side).labels.tolist() for side in view.sides]
    assert found == [[unit % different for unit in range(8)], [0, 1, 2, 3, 1, 4]]
    assert searched == [((8, 6), False), ((expected, 6), True)]


def test_what_sums_differ_by_is_that_of_the_unit_that_differs_most_and_copies_hide_none():
    rows = np.repeat([[1.0, 0, 0], [0.5, 0.25, 0.25], [1, 3 * 2.0**-54, 0]], 2, axis=0)
    found = Refiner(System.of(middle(rows)), forward=True).refine()
    assert [label.tolist() for label in found.labels if len(label) == 6] == [[0] * 6]
    assert found.defect == 2.0**-52 / (1 + 2.0**-52)


def test_a_difference_beside_values_that_are_far_larger_is_seen():
    first = np.array([[1.0, 1], [1, 1], [1, 2], [3, 1]])
    weight = np.array([[1e30, 0, 1e-30, 5], [0.5e30, 0.5e30, 2e-30, 5], [0, 1e30, 1e-30, 5]])
    assert sb.diagnose(middle(weight, first)).partition["layers.1"].tolist() == [0, 1, 0]


def test_one_large_value_hides_no_difference_from_the_forms():
    """They are left to the verification, which compares units one by one, only where rounding hides them."""
    weight = RNG.normal(size=(40, 40))
    weight[:, 0] = 1e22
    weight[:, 2] = weight[:, 1]
    first = RNG.normal(size=(40, 3))
    first[2] = first[1]
    system = System.of(middle(weight, first))
    found = Refiner(system).colour(Refiner(system)._start())
    number = next(place for place, node in enumerate(system.nodes) if node.spaces == ("layers.1",))
    assert len(set(found[number].tolist())) == 40


# Depth and size


def test_time_is_in_proportion_to_depth():
    eye = np.eye(4)
    depth = 400
    weights = [np.ones((4, 2)), *[eye] * depth, np.diag([1.0, 2, 3, 4]), *[eye] * depth, np.ones((1, 4))]
    begin = time.process_time()
    report = sb.diagnose(sb.chain([(weight, None) for weight in weights]))
    assert time.process_time() - begin < 10  # 13 s for a third of it, when all spaces were looked at again each time
    assert not report.classes


def test_time_is_in_proportion_to_the_number_of_spaces():
    weights = [RNG.normal(size=(4, 4)) for _ in range(1500)]
    graph = sb.chain([(weight, weight[0]) for weight in weights])
    begin = time.process_time()
    assert sb.diagnose(graph).ok
    assert time.process_time() - begin < 8  # 16 s when every space looked through all arrays


def recurrent(weight, first=None):
    units = weight.shape[-1]
    first = np.ones((units, 2)) if first is None else first
    return LayerGraph(
        [Space("input", 2), Space("state", units, "tanh"), Space("output", 1)],
        [
            Weight("read", first, [("out", "state"), ("in", "input")]),
            Weight("recur", weight, [("out", "state"), ("in", "state")]),
            Weight("write", np.ones((1, units)), [("out", "output"), ("in", "state")]),
        ],
        inputs=["input"],
        outputs=["output"],
    )


@pytest.mark.parametrize("turned", [False, True])
def test_units_of_a_recurrent_weight_are_not_swapped_in_pairs(turned):
    row = RNG.normal(size=1000)
    weight = np.stack([np.roll(row, k) for k in range(1000)]) if turned else RNG.normal(size=(1000, 1000))
    begin = time.process_time()
    system = System.of(recurrent(weight))
    refiner = Refiner(system)
    labels = refiner.refine().labels
    assert {len(np.unique(label)) for label, node in zip(labels, system.nodes, strict=True) if node.size == 1000} == {
        1 if turned else 1000
    }
    assert all(len(np.unique(label)) == label.size for label in swappable(refiner, labels))
    assert time.process_time() - begin < 10  # 13 s for every pair


@pytest.mark.parametrize("diagonal", [0.5, 2.0])
def test_units_within_a_recurrent_copy_are_swapped_on_both_axes(diagonal):
    """A recurrent weight for each member of an ensemble: its units are (member, unit), and its slices those of one."""
    copies, units = 3, 4
    recur = np.full((copies, units, units), 0.5) + (diagonal - 0.5) * np.eye(units)
    read = np.ones((copies, units, 2)) * np.arange(1.0, 4)[:, None, None]
    axes = {"read": ("out", "state", "in", "input"), "recur": ("out", "state", "in", "state")}
    axes["write"] = ("out", "output", "in", "state")

    def graph(recur):
        arrays = {"read": read, "recur": recur, "write": np.ones((copies, 1, units))}
        return LayerGraph(
            [Space("input", 2), Space("members", copies), Space("state", units, "tanh"), Space("output", 1)],
            [
                Weight(name, array, [("stack", "members"), axes[name][:2], axes[name][2:]])
                for name, array in arrays.items()
            ],
            inputs=["input"],
            outputs=["output"],
        )

    members = [("state", tuple(range(4 * k, 4 * k + 4)), "exchange") for k in range(copies)]
    assert classes(graph(recur)) == members
    turned = recur.copy()
    turned[1] = [[0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1], [1, 2, 3, 0]]
    assert classes(graph(turned)) == [members[0], ("state", (4, 5, 6, 7), "orbit"), members[2]]


# Where arrays lie


def experts(count=3, units=6, stream=5, **edits):
    arrays = {
        "router": RNG.normal(size=(count, stream)),
        "up": RNG.normal(size=(count, units, stream)),
        "down": RNG.normal(size=(count, stream, units)),
    }
    for name, edit in edits.items():
        edit(arrays[name])
    return LayerGraph(
        [Space("input", 3), Space("stream", stream), Space("experts", count), Space("hidden", units), Space("out", 2)],
        [
            Weight("embed", np.arange(3.0 * stream).reshape(stream, 3), [("out", "stream"), ("in", "input")]),
            Weight("router", arrays["router"], [("out", "experts"), ("in", "stream")]),
            Weight("up", arrays["up"], [("stack", "experts"), ("out", "hidden"), ("in", "stream")]),
            Weight("down", arrays["down"], [("stack", "experts"), ("out", "stream"), ("in", "hidden")]),
            Weight("head", np.arange(2.0 * stream).reshape(2, stream), [("out", "out"), ("in", "stream")]),
        ],
        inputs=["input"],
        outputs=["out"],
    )


def tie_rows(array):
    array[1, 3] = array[1, 1]


def tie_columns(array):
    array[1, :, 3] = array[1, :, 1]


def test_units_of_a_large_array_are_swapped_wherever_they_lie(monkeypatch):
    """Units in experts lie in two pieces, so that a large array can't be read as (units, values) without a copy."""
    expected = [("hidden", (7, 9), "exchange")]
    assert classes(experts(up=tie_rows, down=tie_columns)) == expected
    monkeypatch.setattr(_sums, "COPIED", 1)
    monkeypatch.setattr(_sums, "CHUNK", 4)
    assert classes(experts(up=tie_rows, down=tie_columns)) == expected

    def same_experts(array):
        array[2] = array[0]

    found = classes(experts(router=same_experts, up=same_experts, down=same_experts))
    assert ("experts", (0, 2), "exchange") in found
    assert {each for each in found if each[0] == "hidden"} == {("hidden", (k, k + 12), "exchange") for k in range(6)}


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (1, 2, 3, 2), (0, 3)])
def test_an_array_is_cut_into_regions_that_hold_each_element_once(shape, monkeypatch):
    monkeypatch.setattr(_sums, "CHUNK", 5)
    array, seen = np.zeros(shape), np.zeros(shape, int)
    for region in _sums._regions(array):
        assert array[region].size <= 5
        seen[region] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("order", ["C", "F", "strided", "reversed"])
def test_strides_make_no_difference(order):
    graph = experts(up=tie_rows, down=tie_columns)

    def laid(array):
        if order == "strided":
            wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]))
            wide[..., ::2] = array
            return wide[..., ::2]
        return np.flip(np.flip(array).copy()) if order == "reversed" else np.asarray(array, order=order)

    other = LayerGraph(
        graph.spaces,
        [Weight(each.name, laid(each.array), each.axes) for each in graph.connections],
        inputs=graph.inputs,
        outputs=graph.outputs,
    )
    assert classes(other) == [("hidden", (7, 9), "exchange")]


def test_a_few_large_slabs_are_read_in_parts():
    graph = experts(2, 500, 1200, up=tie_rows, down=tie_columns)
    sb.diagnose(experts())
    tracemalloc.start()
    try:
        assert classes(graph) == [("hidden", (501, 503), "exchange")]
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()


def test_kernels_of_one_position_and_of_none():
    def graph(*size):
        return LayerGraph(
            [Space("input", 2), Space("hidden", 3), Space("output", 1)],
            [
                Weight(
                    "a", np.ones((3, 2, *size)), [("out", "hidden"), ("in", "input"), *[("receptive",)] * len(size)]
                ),
                Weight("b", np.ones((1, 3)), [("out", "output"), ("in", "hidden")]),
            ],
            inputs=["input"],
            outputs=["output"],
        )

    assert classes(graph(1)) == classes(graph(1, 1)) == classes(graph(0)) == [("hidden", (0, 1, 2), "exchange")]


def test_a_kernel_of_no_positions_hides_no_orbit():
    turned = np.array([[1.0, 2, 3], [3, 1, 2], [2, 3, 1]])
    plain = middle(turned)
    none = Weight("none", np.ones((3, 3, 0)), [("out", "layers.1"), ("in", "layers.0"), ("receptive", None)])
    graph = LayerGraph(plain.spaces, [*plain.connections, none], inputs=plain.inputs, outputs=plain.outputs)
    assert classes(graph) == classes(plain) == [("layers.0", (0, 1, 2), "orbit"), ("layers.1", (0, 1, 2), "orbit")]


# Exact numbers


def test_exact_numbers_that_differ_by_less_than_a_float_can_say_are_not_equal():
    third = Fraction(1, 3)
    first = np.array([[third, 1], [third + Fraction(1, 10**30), 1], [third, 1]], object)
    graph = sb.chain([(first, None), (np.array([[Fraction(1)] * 3], object), None)])
    assert sb.diagnose(graph).partition["layers.0"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("a", TypeError, r"'layers\.0\.weight' holds objects that are no real numbers: 'a'"),
        (None, TypeError, r"'layers\.0\.weight' holds objects that are no real numbers: None"),
        (1j, TypeError, r"'layers\.0\.weight' holds objects that are no real numbers: 1j"),
        (10**400, ValueError, r"'layers\.0\.weight' holds a number that is too large for a float64"),
    ],
    ids=["string", "none", "complex", "huge"],
)
def test_objects_that_are_no_numbers_are_refused(value, error, message):
    with pytest.raises(error, match=message):
        sb.diagnose(sb.chain([(np.array([[value, 1], [2, 3]], object), None), (np.ones((1, 2)), None)]))


# Nothing at all


def test_spaces_that_no_array_names_are_not_tied():
    assert sb.diagnose(LayerGraph([], [])).ok
    report = sb.diagnose(LayerGraph([Space("alone", 3)], []))
    assert report.ok
    assert not report.classes


def test_a_space_that_is_input_and_output_keeps_its_units_apart():
    weight = Weight("w", np.ones((3, 3)), [("out", "a"), ("in", "a")])
    bias = PerUnit("b", np.zeros(3), [("out", "a")])
    report = sb.diagnose(LayerGraph([Space("a", 3)], [weight], [bias], inputs=["a"], outputs=["a"]))
    assert report.partition["a"].tolist() == [0, 1, 2]
