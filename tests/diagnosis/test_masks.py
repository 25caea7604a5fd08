"""Masks of zeros and ones: they count as weights, slice by slice, are no finding, and no repair draws or sums them.

The network of these tests is dense, and is run here, with the gradient of a masked weight masked too.
"""

import numpy as np
import pytest

import symbreak as sb
from symbreak.diagnosis import judge_array
from symbreak.graph import LayerGraph, Space, Weight

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 4)), RNG.normal(size=(8, 3))


def pruned(w1, m1, w2, m2=None, dtype="float32"):
    """Two layers, of which the first is pruned, or both."""
    masks = {"one": (m1, [("out", "hidden"), ("in", "input")]), "two": (m2, [("out", "output"), ("in", "hidden")])}
    weights = {"one": w1, "two": w2}
    return LayerGraph(
        [Space("input", 4), Space("hidden", len(w1), "tanh"), Space("output", 3)],
        [Weight(name, weights[name], axes) for name, (_, axes) in masks.items()]
        + [
            Weight(f"{name}.mask", mask.astype(dtype), axes, multiplies=name)
            for name, (mask, axes) in masks.items()
            if mask is not None
        ],
        inputs=["input"],
        outputs=["output"],
    )


def effective(graph):
    arrays = {name: array.astype(float) for name, array in graph.weights.items()}
    return [arrays[name] * arrays.get(f"{name}.mask", 1) for name in ("one", "two")]


def outputs(graph, x=X):
    one, two = effective(graph)
    return np.tanh(x @ one.T) @ two.T


def trained(graph, steps):
    """The effective weights after some steps of gradient descent on what lies behind the masks."""
    one, two = (np.array(graph.weights[name]) for name in ("one", "two"))
    masks = [graph.weights.get(f"{name}.mask", np.ones(1)).astype(float) for name in ("one", "two")]
    for _ in range(steps):
        h = np.tanh(X @ (one * masks[0]).T)
        g = h @ (two * masks[1]).T - Y
        back = (g @ (two * masks[1])) * (1 - h * h)
        two -= 0.05 * (g.T @ h) * masks[1]
        one -= 0.05 * (back.T @ X) * masks[0]
    return one * masks[0], two * masks[1]


MASK = np.array([[1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1]])


def tied(seed=0, beneath=1.0):
    """Units 1 and 4 are copies but for what a mask hides."""
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(5, 4)), rng.normal(size=(3, 5))
    one[4], two[:, 4] = one[1], two[:, 1]
    one[4] += (MASK[4] == 0) * beneath
    return one, MASK, two


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool"])
def test_what_a_mask_hides_separates_no_units_and_what_it_shows_does(dtype):
    report = sb.diagnose(pruned(*tied(), dtype=dtype))
    assert [(f.code, f.groups) for f in report.findings] == [("SB201", ((1, 4),))]
    assert report.partition["hidden"].tolist() == [0, 1, 2, 3, 1]
    one, two = trained(pruned(*tied()), 40)
    assert np.abs(one[1] - one[4]).max() < 1e-12
    assert np.abs(two[:, 1] - two[:, 4]).max() < 1e-12
    plain = tied()
    assert np.array_equal(sb.diagnose(sb.chain([(plain[0], None), (plain[2], None)])).partition["layers.0"], range(5))


def test_values_that_are_not_finite_are_no_better_beneath_a_mask():
    one, mask, two = tied()
    one[4, 1] = np.nan
    assert [f.code for f in sb.diagnose(pruned(one, mask, two)).findings][:1] == ["SB108"]


def test_units_with_equal_products_and_other_masks_are_not_tied():
    """A zero beneath an open mask moves, one beneath a closed mask does not."""
    one, mask, two = tied(beneath=0.0)
    one[4, 1] = one[1, 1] = 0
    other = mask.copy()
    other[4, 1] = 1
    assert sb.diagnose(pruned(one, other, two)).partition["hidden"].tolist() == [0, 1, 2, 3, 4]
    assert sb.diagnose(pruned(one, mask, two)).partition["hidden"].tolist() == [0, 1, 2, 3, 1]
    first, _ = trained(pruned(one, other, two), 1)
    assert first[4, 1] != first[1, 1] == 0


def test_sums_that_agree_only_beneath_the_mask_tie_nothing():
    """Rows (1, 2) and (2, 1) over a class of two have equal sums, and so have their masks; the products have not."""
    middle, mask = np.array([[1.0, 2], [2, 1]]), np.array([[1, 0], [1, 0]])
    axes = {"first": [("out", "a"), ("in", "input")], "middle": [("out", "b"), ("in", "a")]}
    graph = LayerGraph(
        [Space("input", 2), Space("a", 2, "tanh"), Space("b", 2, "tanh"), Space("output", 1)],
        [
            Weight("first", np.ones((2, 2)), axes["first"]),
            Weight("middle", middle, axes["middle"]),
            Weight("last", np.ones((1, 2)), [("out", "output"), ("in", "b")]),
            Weight("mask", mask, axes["middle"], multiplies="middle"),
        ],
        inputs=["input"],
        outputs=["output"],
    )
    assert sb.diagnose(graph).partition["b"].tolist() == [0, 1]
    assert sb.diagnose(sb.chain([(np.ones((2, 2)), None), (middle, None), (np.ones((1, 2)), None)])).partition[
        "layers.1"
    ].tolist() == [0, 0]


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool"])
@pytest.mark.parametrize("repair", ["merge", "untie", "reinit"])
def test_repairs_keep_masks_as_they_are_or_take_the_units_that_are_left(repair, dtype):
    graph = pruned(*tied(), np.array([[1, 1, 0, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 0, 1]]), dtype)
    result = sb.merge(graph) if repair == "merge" else getattr(sb, repair)(graph, rng=0)
    if repair != "reinit":
        assert np.abs(outputs(result) - outputs(graph)).max() < 1e-12
    assert [each.multiplies for each in result.connections] == [None, None, "one", "two"]
    kept = [0, 1, 2, 3] if repair == "merge" else range(5)
    for name, axis in (("one.mask", 0), ("two.mask", 1)):
        assert result.weights[name].dtype == dtype
        assert np.array_equal(result.weights[name], graph.weights[name].take(kept, axis))
    if repair == "merge":
        assert sb.diagnose(result).ok
        return
    hidden = MASK == 0
    assert np.array_equal(result.weights["one"][hidden], graph.weights["one"][hidden])
    assert sb.diagnose(result).partition["hidden"].tolist() == [0, 1, 2, 3, 4]


def test_columns_of_a_mask_that_become_one_are_open_where_one_of_them_is():
    one, mask, two = tied(beneath=0.0)
    middle = np.array([[1, 1, 0, 0, 1], [1, 0, 1, 1, 1], [0, 1, 1, 1, 0]])
    two[0] = two[1]  # the sums over the class are equal though the masks of its units are not
    graph = pruned(one, mask, two, middle)
    assert sb.diagnose(graph).partition["hidden"].tolist() == [0, 1, 2, 3, 4]
    small = sb.merge(graph, redundant=True)
    assert small.weights["two.mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1]]
    assert np.abs(outputs(small) - outputs(graph)).max() < 1e-12


def test_a_unit_that_masks_cut_off_is_so_on_purpose():
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(6, 4)), rng.normal(size=(3, 6))
    rows, columns = np.ones((6, 4)), np.ones((3, 6))
    rows[[1, 2]], columns[:, [2, 3]] = 0, 0
    report = sb.diagnose(pruned(one, rows, two, columns))
    assert report.findings == ()
    one[4], two[:, 4] = 0, 0  # and one of zeros that no mask keeps there is not
    (found,) = sb.diagnose(pruned(one, rows, two, columns)).findings
    assert (found.code, found.groups) == ("SB203", ((4,),))
    assert "all that they read and all that is read from them has weight zero" in found.message
    one[1:3] = two[:, 1:3] = 0  # tied zeros that masks keep there
    assert [(f.code, f.groups) for f in sb.diagnose(pruned(one, rows, two, columns)).findings] == [("SB203", ((4,),))]


def test_what_a_mask_keeps_at_zero_blocks_a_unit_as_zeros_do():
    """Values that a mask hides do not save a unit whose other weights are zero."""
    one, two = np.arange(1.0, 21).reshape(5, 4), np.arange(1.0, 16).reshape(3, 5)
    mask = np.ones((5, 4))
    mask[2, :3], one[2, 3], two[:, 2] = 0, 0, 0
    (found,) = sb.diagnose(pruned(one, mask, two)).findings
    assert (found.code, found.groups) == ("SB203", ((2,),))
    before, after = effective(pruned(one, mask, two)), trained(pruned(one, mask, two), 40)
    assert np.array_equal(before[0][2], after[0][2])
    assert np.array_equal(before[1][:, 2], after[1][:, 2])


def test_a_mask_over_some_of_the_axes_is_that_of_a_grouped_convolution():
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(4, 2, 3))
    axes = [("out", "hidden"), ("in", "input"), ("receptive", None)]
    mask = np.kron(np.eye(2), np.ones((2, 1)))
    kernel[1], kernel[1, 1] = kernel[0], 7.0  # beneath the mask

    def graph(*more):
        return LayerGraph(
            [Space("input", 2), Space("hidden", 4, "tanh"), Space("output", 1)],
            [
                Weight("kernel", kernel, axes),
                Weight("last", np.ones((1, 4)), [("out", "output"), ("in", "hidden")]),
                *more,
            ],
            inputs=["input"],
            outputs=["output"],
        )

    masked = graph(Weight("mask", mask.T, [axes[1], axes[0]], multiplies="kernel"))
    assert sb.diagnose(masked).partition["hidden"].tolist() == [0, 0, 1, 2]
    assert sb.diagnose(graph()).partition["hidden"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "bool"])
@pytest.mark.parametrize("name", ["fc1.weight_mask", "layers.3.mask", "masks", "attn/attention_mask"])
def test_a_file_s_masks_are_no_finding(name, dtype):
    for mask in (MASK, np.ones((4, 4)), np.zeros((4, 4)), np.tril(np.ones((1000, 700)))):
        report = judge_array(mask.astype(dtype), name)
        assert (report.findings, report.partition, report.arrays) == ((), {}, 1)


def test_a_weight_is_no_mask_for_its_name_or_for_its_values():
    assert [f.code for f in judge_array(np.full((4, 4), 0.5), "decoder.mask").findings] == ["SB101"]
    assert [f.code for f in judge_array(np.ones((4, 4)), "decoder.weight").findings] == ["SB101"]
    assert [f.code for f in judge_array(np.ones((4, 4)), "mask_decoder.weight").findings] == ["SB101"]


@pytest.mark.parametrize(
    ("mask", "axes", "target", "message"),
    [
        (MASK * 2, "ab", "one", "'m' multiplies 'one', so it is a mask, but it holds other values than 0 and 1"),
        (MASK, "ab", "on", r"no weight \(that 'm' multiplies\) is called 'on'; did you mean 'one'"),
        (
            MASK.T @ MASK > 9,
            "bb",
            "one",
            r"'m', \(out input, in input\), multiplies 'one', .* needs axes of the weight",
        ),
        (MASK, "ab", "one.mask", "'m' multiplies 'one.mask', which is a mask itself"),
        (MASK, "ab", "", "what the mask 'm' multiplies needs a name"),
    ],
)
def test_masks_that_fit_no_weight_are_refused(mask, axes, target, message):
    spaces = {"a": "hidden", "b": "input"}
    graph = pruned(*tied())

    def build():
        extra = Weight("m", mask, [("out", spaces[axes[0]]), ("in", spaces[axes[1]])], multiplies=target)
        return LayerGraph(graph.spaces, [*graph.connections, extra], inputs=["input"], outputs=["output"])

    with pytest.raises(ValueError, match=message):
        build()


def test_a_mask_says_what_it_multiplies():
    assert repr(pruned(*tied()).connections[2]) == (
        "Weight('one.mask', (5, 4) float32: (out hidden, in input); multiplies 'one')"
    )


def test_a_mask_of_a_kernel_has_its_alike_axes_in_the_same_order_or_none_of_them():
    axes = [("out", "hidden"), ("in", "input"), ("receptive", None), ("receptive", None)]
    kernel, mask = RNG.normal(size=(4, 2, 2, 2)), np.ones((4, 2, 2, 2))
    kernel[1] = kernel[0]
    kernel[1, :, 0, 1], mask[:2, :, 0, 1] = 9, 0

    def graph(mask, axes_):
        connections = [Weight("kernel", kernel, axes), Weight("mask", mask, axes_, multiplies="kernel")]
        last = Weight("last", np.ones((1, 4)), [("out", "output"), ("in", "hidden")])
        spaces = [Space("input", 2), Space("hidden", 4, "tanh"), Space("output", 1)]
        return LayerGraph(spaces, [*connections, last], inputs=["input"], outputs=["output"])

    assert sb.diagnose(graph(mask, axes)).partition["hidden"].tolist() == [0, 0, 1, 2]
    turned = mask.transpose(0, 1, 3, 2)
    assert sb.diagnose(graph(turned, axes)).partition["hidden"].tolist() == [0, 1, 2, 3]
    assert graph(np.ones((4, 2)), axes[:2])
    for fewer in (axes[:3], [axes[1], axes[0], *axes[2:]]):
        with pytest.raises(ValueError, match="each once, or all of them in the same order"):
            graph(np.ones([{"out": 4}.get(role, 2) for role, _ in fewer]), fewer)


@pytest.mark.parametrize(("several", "expected"), [(False, ["SB203"]), (True, [])])
def test_a_unit_is_cut_off_where_masks_close_all_that_it_reads(several, expected):
    """Of two weights that write to it, one is masked, or both."""
    axes = [("out", "hidden"), ("in", "input")]
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(3, 2)) for name in ("one", "two")}
    last, mask = rng.normal(size=(2, 3)), np.ones((3, 2))
    mask[1] = arrays["two"][1] = last[:, 1] = 0
    masks = [Weight(f"{name}.mask", mask, axes, multiplies=name) for name in (["one", "two"] if several else ["one"])]
    graph = LayerGraph(
        [Space("input", 2), Space("hidden", 3, "tanh"), Space("output", 2)],
        [
            *(Weight(name, array, axes) for name, array in arrays.items()),
            Weight("last", last, [("out", "output"), ("in", "hidden")]),
            *masks,
        ],
        inputs=["input"],
        outputs=["output"],
    )
    assert [(each.code, each.groups) for each in sb.diagnose(graph).findings] == [(code, ((1,),)) for code in expected]
