"""What names say: numbers in them, norms, members, heads of attention, and what may start at zero."""

import numpy as np
import pytest

from symbreak.diagnosis import _names as names
from symbreak.diagnosis._purpose import is_padding, is_table, judge_subpixel, starts_at_zero


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.3.fc1.weight", [("a.*", "a.3", ".fc1.weight"), ("a.3.fc*", "a.3.fc1", ".weight")]),
        ("a/dense_12/kernel:0", [("a/dense_*", "a/dense_12", "/kernel")]),
        ("members.0", [("members.*", "members.0", "")]),
        ("0.weight", [("*", "0", ".weight")]),
        ("7", [("*", "7", "")]),
        ("fc.w1", []),
        ("conv1d.weight", []),
        ("weight", []),
    ],
)  # fmt: skip
def test_the_slots_of_a_name_are_its_numbers_with_what_is_before_and_behind(name, expected):
    assert [tuple(slot) for slot in names.slots(name)] == expected
    assert all(block + rest == name.removesuffix(":0") for _, block, rest in names.slots(name))


HEADS = [
    # PyTorch has (out, in); the outward projection reads heads.
    ("layers.0.self_attn.q_proj.weight", 2, 0),
    ("q_proj.weight", 2, 0),
    ("in_proj_weight", 2, 0),
    ("self_attn.in_proj_weight", 2, 0),
    ("attention.self.query.weight", 2, 0),
    ("mha.v.weight", 2, 0),
    ("blk.0.attn_q.weight", 2, 0),
    ("out_proj.weight", 2, 1),
    ("self_attn.wo.weight", 2, 1),
    ("attn.o.weight", 2, 1),
    ("attn.proj.weight", 2, 1),
    ("attention.output.dense.weight", 2, 1),
    ("attn1.to_out.0.weight", 2, 1),
    # Keras, Flax and GPT-2 have (in, out).
    ("attention/query/kernel", 2, 1),
    ("h.0.attn.c_attn.weight", 2, 1),
    ("h.0.attn.c_proj.weight", 2, 0),
    ("attention/out/kernel", 2, 0),
    # With an axis of heads: (in, heads, units), or heads first in an einsum.
    ("mha/query/kernel", 3, 1),
    ("attn/q_einsum/w", 3, 0),
    ("q_einsum/w", 3, 0),
    ("attention/out/kernel", 3, 0),
    ("attn/attn_vec_einsum/w", 3, 0),
    # What is called so elsewhere is no projection.
    ("query.weight", 2, None),
    ("o.weight", 2, None),
    ("xmha.k.weight", 2, None),
    ("output.dense.weight", 2, None),
    ("mlp.c_proj.weight", 2, None),
    ("attn.norm.weight", 2, None),
    ("attn", 2, None),
    ("weight", 2, None),
    ("kernel", 3, None),
]


@pytest.mark.parametrize(("name", "dimensions", "axis"), HEADS)
def test_heads_lie_along_the_axis_that_the_layout_of_the_library_says(name, dimensions, axis):
    assert names.head_axis(name, dimensions) == axis


# A name, and what each question says of it.
SAID = [
    (names.is_vector, ["fc.bias", "bias", "fc.Bias", "experts.down_proj_bias", "bn.moving_variance"], True),
    (names.is_vector, ["0/norm/scale", "bn1.weight", "h.0.ln_1.weight", "encoder.layer_norm.weight"], True),
    (names.is_vector, ["weight", "norm", "norm.kernel", "norm.fc.weight", "bias.weight", "fc1.weight"], False),
    (names.is_norm, ["gamma", "bn.running_mean", "fc.scale", "ln.bias", "norm.proj.weight", "LayerNorm_0/beta"], True),
    (names.is_norm, ["norm", "fc.bias", "norm.block.fc.weight", "weight", "enormous.weight"], False),
    (names.is_member, ["experts.*", "mlp/experts_*", "critic_*", "q*", "twin.qf*", "models.*"], True),
    (names.is_member, ["*", "layers.*", "critic.*", "q.*", "expert.*", "experts.fc*", "experts.0.layers.*"], False),
    (names.is_copy, ["target_critic.fc.weight", "fc.weight.master", "model_ema.fc", "Teacher/fc"], True),
    (names.is_copy, ["critic.fc.weight", "oldest.fc", "embedding"], False),
    (names.is_embedding, ["wte.weight", "embed_tokens.weight", "shared", "emb.0.weight", "embedding/kernel"], True),
    (names.is_embedding, ["patch_embed.weight", "wte.proj.weight", "weight", "0", "shared_expert.weight"], False),
    (names.is_output_head, ["lm_head.weight", "LM_Head/kernel", "decoder.3.weight", "output"], True),
    (names.is_output_head, ["decoder.fc.weight", "head.weight", "weight", "lm_head.fc.weight"], False),
    (names.may_share_table, ["head.weight", "lm_head.weight", "model.shared.weight", "unembed/kernel"], True),
    (names.may_share_table, ["fc1.weight", "head.fc.weight", "weight"], False),
    (starts_at_zero, ["head.weight", "head", "Head/kernel", "head.proj.weight", "head.0.weight", "pos_embed"], True),
    (starts_at_zero, ["q.lora_B.default.weight", "adaLN_modulation.1.weight", "head.proj.0.weight"], True),
    (starts_at_zero, ["controlnet_down.3.fc.proj.weight", "unet.zero.a.b.c.weight"], True),
    (starts_at_zero, ["weight", "fc.weight", "head.a.fc.weight", "head.a.fc.0.weight", "head.0.1.b.weight"], False),
    (is_table, ["mixer.A_log", "inv_freq", "rope.sin_cached", "prelu/alpha"], True),
    (is_table, ["A_log.weight", "mixer.in_proj.weight", "alpha/kernel"], False),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "name", "answer"), [(ask, name, said) for ask, some, said in SAID for name in some])
def test_names_say_what_they_say_and_no_more(ask, name, answer):
    assert ask(name) is answer


def test_a_number_of_tensorflow_is_no_part_of_a_name():
    assert names.parts("encoder.0/kernel:0") == ["encoder", "0", "kernel"]
    assert names.template("layers.13.conv1.weight") == "layers.*.conv*.weight"
    assert names.words("modelEMA.layerNorm12") == {"model", "ema", "layer", "norm", "12"}


@pytest.mark.parametrize("name", ["wte.weight", "lm_head.weight"])
def test_one_row_of_zeros_of_at_least_three_is_padding(name):
    one, two = np.array([0]), np.array([0, 1])
    assert is_padding(name, one, 3)
    assert not is_padding(name, one, 2)
    assert not is_padding(name, two, 3)
    assert not is_padding(name, one[:0], 3)
    assert not is_padding("fc1.weight", one, 3)


def test_a_kernel_for_a_pixel_shuffle_has_three_axes_and_says_which_units_are_equal():
    labels = np.repeat(np.arange(3), 4)
    found = judge_subpixel("up", labels, 3)
    assert (found.code, found.where) == ("SB202", "up")
    assert found.groups == ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11))
    assert found.message.startswith("the 12 units are 3 classes of 4, as a sub-pixel kernel for a factor of 2 starts")
    assert judge_subpixel("up", labels, 2) is None
    assert judge_subpixel("up", labels[:-1], 4) is None
