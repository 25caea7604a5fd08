"""How equal units are arranged, and the codes that follow: SB202, SB205, SB206 and SB207 within one array."""

import numpy as np
import pytest

import symbreak as sb
from symbreak.diagnosis._arranged import stack_axis
from symbreak.diagnosis._repeats import HEAD, covers, find_heads, find_segments, subpixel_group


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def found(name, array):
    return [(finding.code, finding.where.removeprefix(name)) for finding in sb.diagnose({name: array}).findings]


def slow_segments(labels):
    """Cut labels into blocks that repeat, by trying every start, block and number of times."""
    start, segments = 0, []
    while start < len(labels):
        best = None
        for block in range(2, (len(labels) - start) // 2 + 1):
            times = 1
            while list(labels[start + times * block : start + (times + 1) * block]) == list(
                labels[start : start + block]
            ):
                times += 1
            if times > 1 and len(set(labels[start : start + block])) == block:
                best = (start, block, times)
                break
        if best is None:
            return None
        segments.append(best)
        start += best[1] * best[2]
    return segments


@pytest.mark.parametrize("seed", range(40))
def test_segments_are_those_of_a_slow_search(seed):
    rng = np.random.default_rng(seed)
    labels, fresh = [], 0
    for _ in range(rng.integers(1, 4)):
        block, times = int(rng.integers(2, 5)), int(rng.integers(1, 4))
        labels += list(range(fresh, fresh + block)) * times
        fresh += block
    segments = find_segments(np.array(labels))
    slow = slow_segments(labels)
    assert covers(segments, len(labels)) == (slow is not None)
    if slow is not None:
        assert segments == slow


@pytest.mark.parametrize(("units", "block"), [(64, 16), (6, 3), (4096, 1024)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_weight_of_equal_blocks_is_named_with_the_size_of_its_block(units, block, axis):
    weight = np.concatenate([random(block, 12)] * (units // block))
    report = sb.diagnose({"fc.weight": weight if axis == 0 else weight.T})
    (finding,) = report.findings
    assert (finding.code, finding.where) == ("SB207", f"fc.weight, axis {axis}")
    assert finding.message == f"the {units} units are {units // block} times the same block of {block}"
    assert finding.groups[1] == tuple(range(1, units, block))
    assert len(finding.groups) == block


def test_parts_of_a_fused_weight_may_repeat_each_by_itself():
    """Queries of 32 units and keys and values of 8, on two devices."""
    parts = [np.concatenate([random(size, 12, seed=size + n)] * 2) for n, size in enumerate((16, 4, 4))]
    (finding,) = sb.diagnose({"wkqv": np.concatenate(parts)}).findings
    assert finding.code == "SB207"
    assert finding.message == (
        "each of 3 parts repeats itself: units 0-31 are 2 times 16; units 32-39 are 2 times 4; "
        "units 40-47 are 2 times 4"
    )


@pytest.mark.parametrize(
    "rows",
    [
        [0, 1, 2, 3, 0, 1, 2, 4],  # the last unit of the second block differs
        [0, 1, 2, 0, 1, 2, 3],  # no block fills the axis
        [0, 0, 1, 1, 2, 2],  # pairs of equal units, as of a widened layer
        [0, 1, 1, 0],
    ],
)
def test_other_arrangements_are_units_that_are_equal(rows):
    assert found("fc", random(8, 12)[rows]) == [("SB102", ", axis 0")]


# Heads.


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        ("layers.0.self_attn.q_proj.weight", 0),
        ("h.0.attn.c_attn.weight", 1),
        ("encoder/attention/query/kernel", 1),
        ("layers.0.self_attn.o_proj.weight", 1),
        ("bert.encoder.layer.0.attention.output.dense.weight", 1),
        ("h.0.attn.c_proj.weight", 0),
        ("blk.0.attn_k.weight", 0),
    ],
)
def test_blocks_of_a_projection_of_attention_are_heads(name, axis):
    weight = random(64, 40)
    weight[32:48] = weight[:16]  # the third of four heads
    (finding,) = sb.diagnose({name: weight if axis == 0 else weight.T}).findings
    assert (finding.code, finding.where) == ("SB205", f"{name}, axis {axis}")
    assert finding.message.startswith("2 of 4 blocks of 16 units are equal: 0, 2; they are identical heads, if a head")
    assert finding.groups == tuple((unit, unit + 32) for unit in range(16))


@pytest.mark.parametrize("name", ["q", "value.weight", "feed_forward.key.weight", "fc1.weight"])
def test_without_a_word_of_attention_blocks_are_shards(name):
    assert found(name, np.concatenate([random(16, 20)] * 4)) == [("SB207", ", axis 0")]


def test_all_heads_may_be_equal_and_large_blocks_are_shards():
    name = "layers.0.self_attn.q_proj.weight"
    assert found(name, np.concatenate([random(8, 20)] * 4)) == [("SB205", ", axis 0")]
    assert found(name, np.concatenate([random(HEAD, 20)] * 4)) == [("SB205", ", axis 0")]
    assert found(name, np.concatenate([random(HEAD + 1, 20)] * 4)) == [("SB207", ", axis 0")]
    assert found(name, random(32, 20)[[*range(31), 5]]) == [("SB102", ", axis 0")]  # a unit is no head


@pytest.mark.parametrize(
    ("name", "shape", "axis"),
    [
        ("attention/query/kernel", (40, 4, 20), 1),
        ("attention/attention_output/kernel", (4, 20, 40), 0),
        ("attn/q_einsum/w", (4, 40, 20), 0),
        ("attn/attn_vec_einsum/w", (4, 20, 40), 0),
    ],
)
def test_kernels_with_an_axis_of_heads_are_compared_along_it(name, shape, axis):
    kernel = random(*shape)
    assert found(name, kernel) == []
    np.moveaxis(kernel, axis, 0)[3] = np.moveaxis(kernel, axis, 0)[1]
    assert found(name, kernel) == [("SB205", f", axis {axis}")]


# Stacked copies.


@pytest.mark.parametrize("copies", [2, 8, 40])
def test_copies_stacked_along_the_first_axis_are_compared(copies):
    stack = random(copies, 24, 32)
    assert found("layers/mlp/kernel", stack) == []
    stack[1] = stack[0]
    (finding,) = sb.diagnose({"layers/mlp/kernel": stack}).findings
    of = "all 2" if copies == 2 else f"2 of {copies}"
    assert (finding.code, finding.where, finding.groups) == ("SB206", "layers/mlp/kernel, axis 0", ((0, 1),))
    assert finding.message == f"{of} copies are equal, value for value: 0, 1"


def test_kernels_of_convolutions_are_no_stacks():
    """One dimension in Keras: (positions, in, out); positions may be equal."""
    kernel = np.repeat(random(1, 24, 32), 3, axis=0)
    assert found("conv1d/kernel", kernel) == []
    assert found("features.0.weight", np.repeat(random(1, 24, 3), 8, axis=0)) == [("SB101", ", axis 0")]


def test_stacks_of_more_axes_go_by_their_names():
    stack = np.repeat(random(1, 3, 24, 32), 2, axis=0)
    assert found("params/members/kernel", stack) == [("SB206", ", axis 0")]
    assert found("params/kernel", stack) == []


def test_copies_of_zeros_are_not_equal_by_accident():
    stack = random(4, 24, 32)
    stack[1] = stack[3] = 0
    assert "SB206" not in [code for code, _ in found("experts", stack)]


def test_a_stack_whose_layout_is_told_is_compared_too():
    stack = random(4, 6, 5)
    stack[2] = stack[0]
    report = sb.diagnose({"w": stack}, axes={"w": "boi"})
    assert [(f.code, f.where, f.groups) for f in report.findings] == [("SB206", "w, axis 0", ((0, 2),))]
    constant = sb.diagnose({"w": np.ones((4, 6, 5))}, axes={"w": "boi"})
    assert {f.code for f in constant.findings} == {"SB101"}


# What is meant.


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_a_subpixel_kernel_is_noted_and_is_no_warning(factor, layout):
    kernel = np.repeat(random(6, 5, 3, 3), factor**2, axis=0)
    if layout == "keras":
        kernel = np.tile(random(3, 3, 5, 6), (1, 1, 1, factor**2))
    report = sb.diagnose({"upsample.0.weight": kernel})
    (finding,) = report.findings
    assert (finding.code, report.ok) == ("SB202", True)
    assert f"6 classes of {factor**2}, as a sub-pixel kernel for a factor of {factor} starts (ICNR)" in finding.message
    turned = kernel if layout == "torch" else np.moveaxis(kernel, -1, 0)
    units = [
        tuple(np.flatnonzero((turned == turned[first]).all(axis=(1, 2, 3))).tolist()) for first in range(len(turned))
    ]
    assert set(finding.groups) == set(units)


def test_a_dense_weight_arranged_so_is_no_subpixel_kernel():
    assert subpixel_group(np.repeat(np.arange(6), 4)) == 4
    assert found("up.weight", np.repeat(random(6, 30), 4, axis=0)) == [("SB102", ", axis 0")]
    assert found("up.weight", np.repeat(random(6, 5, 3, 3), 5, axis=0)) == [("SB102", ", axis 0")]


def test_one_row_of_zeros_is_the_padding_of_an_embedding_and_two_are_not():
    weight = random(30, 8)
    weight[3] = 0
    assert found("embed_tokens.weight", weight) == []
    assert found("lm_head.weight", weight) == []
    assert found("fc1.weight", weight) == [("SB106", ", axis 0")]
    weight[29] = 0
    assert found("embed_tokens.weight", weight) == [("SB106", ", axis 0")]


@pytest.mark.parametrize("name", ["experts.gate_up_proj_bias", "encoder/norm/scale", "mha/query/bias", "h.ln_1.weight"])
def test_stacked_biases_and_norms_start_at_zeros_and_ones(name):
    assert found(name, np.ones((4, 16))) == []
    assert found(name.replace("bias", "w").replace("scale", "w").replace("ln_1", "fc"), np.ones((4, 16))) != []


def test_tables_are_equal_in_every_row():
    table = np.tile(np.log(np.arange(1.0, 17)), (24, 1))
    assert found("layers.0.mixer.A_log", table) == []
    assert found("layers.0.mixer.w", table) == [("SB101", ", axis 0"), ("SB106", ", axis 1")]
    table[2, 3] = np.inf
    assert found("layers.0.mixer.A_log", table) == [("SB108", "")]


def test_heads_have_at_least_eight_units_and_fill_the_axis():
    labels = np.arange(40)
    labels[24:32] = labels[:8]
    assert find_heads(labels) == 8
    labels[32:34] = labels[2:4]
    assert find_heads(labels) is None
    assert find_heads(np.zeros(40, int)) is None
    assert find_heads(np.arange(40)) is None


@pytest.mark.parametrize(
    ("units", "first", "again", "length", "size"),
    [
        (64, 0, 32, 16, 16),
        (64, 16, 48, 16, 16),
        (48, 8, 32, 16, 8),
        (40, 0, 16, 8, 8),
        (40, 4, 20, 8, None),  # begins within a head
        (40, 0, 16, 2, None),  # ends within one
        (40, 8, 20, 8, None),  # at half a head's distance
        (36, 0, 16, 8, None),  # the axis ends within one
        (28, 0, 14, 7, None),  # seven units are no head
        (1024, 0, 512, 256, 256),
        (1024, 0, 512, 512, None),
    ],
)
def test_heads_begin_end_and_repeat_at_multiples_of_their_size(units, first, again, length, size):
    labels = np.arange(units)
    labels[again : again + length] = labels[first : first + length]
    assert find_heads(labels) == size


def test_heads_in_several_classes_are_said_class_by_class():
    weight = random(64, 40)
    weight[32:] = weight[:32]
    (finding,) = sb.diagnose({"self_attn.q_proj.weight": weight}).findings
    assert finding.message.startswith("all 2 blocks of 32 units are equal: 0, 1; ")
    weight[32:] = weight[[*range(16, 32), *range(16)]]
    (finding,) = sb.diagnose({"self_attn.q_proj.weight": weight}).findings
    assert finding.message.startswith("all 4 blocks of 16 units form 2 classes that are equal: 0, 3; 1, 2; ")
    assert finding.groups == tuple((u, u + 48) for u in range(16)) + tuple((u, u + 16) for u in range(16, 32))


def test_many_parts_or_classes_are_cut_short_in_the_text_and_whole_in_the_groups():
    for parts in (8, 9):
        weight = np.concatenate([random(2 + part, 12, seed=part) for part in range(parts) for _ in range(2)])
        (finding,) = sb.diagnose({"fc": weight}).findings
        assert finding.message.startswith(f"each of {parts} parts repeats itself: units 0-3 are 2 times 2; units 4-9")
        assert (finding.message.count(" are 2 times "), finding.message.endswith("; ...")) == (8, parts == 9)
        assert len(finding.groups) == len(weight) // 2
        stack = np.concatenate([random(parts, 24, 32)] * 2)
        (finding,) = sb.diagnose({"experts.w": stack}).findings
        assert finding.message.startswith(f"all {2 * parts} copies form {parts} classes that are equal")
        assert (finding.message.count("; "), finding.message.endswith("; ...")) == (7 + (parts == 9), parts == 9)
        assert finding.groups == tuple((copy, copy + parts) for copy in range(parts))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([0, 1] * 3, [(0, 2, 3)]),
        ([0, 1, 2] * 2, [(0, 3, 2)]),
        ([0] * 6, []),
        ([0, 1, 0], []),
        ([0, 1, 2, 0, 1], []),
        ([0, 1, 0, 1, 0], []),
        ([0, 0, 1] * 2, [(0, 3, 2)]),
        ([0, 1, 0, 2] * 2, [(0, 4, 2)]),
        ([0, 1, 0, 1, 2], [(0, 2, 2)]),
        ([0, 1, 2, 1, 2], [(1, 2, 2)]),
        ([0, 1, 2, 0, 3, 4], []),
        ([0], []),
    ],
)
def test_blocks_have_two_units_and_follow_one_another(rows, expected):
    assert [tuple(each) for each in find_segments(np.array(rows, np.intp))] == expected


@pytest.mark.parametrize("group", [4, 9, 16])
def test_a_subpixel_kernel_has_whole_groups_side_by_side_or_an_axis_apart(group):
    for classes in (2, 3):
        assert subpixel_group(np.repeat(np.arange(classes), group)) == group
        assert subpixel_group(np.tile(np.arange(classes), group)) == group
    one_more = np.append(np.repeat(np.arange(3), group), 3)
    swapped = np.repeat(np.arange(3), group)
    swapped[[group - 1, group]] = swapped[[group, group - 1]]
    others = (one_more, swapped, np.repeat(np.arange(3), group + 1), np.zeros(group, int), np.zeros(0, int))
    assert [subpixel_group(labels) for labels in others] == [None] * 5


@pytest.mark.parametrize(
    ("name", "shape", "axis"),
    [
        ("a", (2, 64, 128), 0),
        ("a", (2, 64, 17), 0),
        ("a", (8, 64, 16), None),  # as short as a kernel
        ("experts.w", (8, 64, 16), 0),
        ("experts.w", (8, 64), None),
        ("experts.w", (8, 4, 24, 32), 0),
        ("a", (8, 4, 24, 32), None),
        ("experts.conv.w", (8, 64, 128), None),
        ("depthwise/kernel", (8, 64, 128), None),
        ("a", (1, 64, 128), None),
        ("a", (8, 64, 1), None),
    ],
)
def test_copies_are_stacked_where_the_shape_or_the_name_says_so(name, shape, axis):
    assert stack_axis(name, shape) == axis


def test_equal_heads_along_an_axis_of_their_own_are_called_heads():
    kernel = random(40, 4, 20)
    kernel[:, 3] = kernel[:, 1]
    (finding,) = sb.diagnose({"attention/query/kernel": kernel}).findings
    assert finding.message == "2 of 4 heads are equal, value for value: 1, 3"
    assert finding.groups == ((1, 3),)
    kernel[:, [0, 3]] = 0
    assert "SB205" not in [code for code, _ in found("attention/query/kernel", kernel)]


def test_a_stack_has_two_long_axes_beside_the_first():
    assert [stack_axis("a", shape) for shape in ((4, 1, 128), (4, 2, 128), (1, 2, 128))] == [None, 0, None]
