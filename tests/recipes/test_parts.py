"""Roles: read from the names of usual models, given, or an error; with blocks, depths and stacks."""

import numpy as np
import pytest

import symbreak as sb
from symbreak import recipes
from symbreak.errors import RuleError
from symbreak.recipes import Role, read_parts

from ._models import bert, both, gpt2, llama, resnet


def roles_of(shapes, **options):
    return {part.name: part.role for part in read_parts(shapes, **options).parts}


def test_the_names_of_gpt2():
    found = roles_of(gpt2(1))
    assert {name.removeprefix("transformer."): role for name, role in found.items()} == {
        "wte.weight": "embedding",
        "wpe.weight": "position",
        "h.0.ln_1.weight": "norm",
        "h.0.ln_1.bias": "bias",
        "h.0.attn.c_attn.weight": "qkv",
        "h.0.attn.c_attn.bias": "bias",
        "h.0.attn.c_proj.weight": "attention_out",
        "h.0.ln_2.weight": "norm",
        "h.0.mlp.c_fc.weight": "mlp_in",
        "h.0.mlp.c_proj.weight": "mlp_out",
        "ln_f.weight": "norm",
        "lm_head.weight": "readout",
    }


def test_the_names_of_llama():
    found = roles_of(llama(1))
    assert {name.removeprefix("model.layers.0."): role for name, role in found.items()} == {
        "model.embed_tokens.weight": "embedding",
        "self_attn.q_proj.weight": "query",
        "self_attn.k_proj.weight": "key",
        "self_attn.v_proj.weight": "value",
        "self_attn.o_proj.weight": "attention_out",
        "mlp.gate_proj.weight": "mlp_gate",
        "mlp.up_proj.weight": "mlp_in",
        "mlp.down_proj.weight": "mlp_out",
        "input_layernorm.weight": "norm",
        "model.norm.weight": "norm",
        "lm_head.weight": "readout",
    }


def test_the_names_of_bert():
    found = roles_of(bert(1))
    assert {name.removeprefix("bert.encoder.layer.0."): role for name, role in found.items()} == {
        "bert.embeddings.word_embeddings.weight": "embedding",
        "bert.embeddings.position_embeddings.weight": "position",
        "attention.self.query.weight": "query",
        "attention.self.key.weight": "key",
        "attention.self.value.weight": "value",
        "attention.output.dense.weight": "attention_out",
        "attention.output.dense.bias": "bias",
        "attention.output.LayerNorm.weight": "norm",
        "intermediate.dense.weight": "mlp_in",
        "output.dense.weight": "mlp_out",
        "classifier.weight": "readout",
    }


def test_the_names_of_a_residual_network():
    found = roles_of(resnet(1))
    assert {name: role for name, role in found.items() if "layer2" not in name} == {
        "conv1.weight": "input",
        "layer1.0.conv1.weight": "branch",
        "layer1.0.bn1.weight": "norm",
        "layer1.0.conv2.weight": "branch_out",
        "layer1.0.bn2.weight": "norm",
        "layer1.0.downsample.0.weight": "shortcut",
        "layer1.0.downsample.1.weight": "norm",
        "fc.weight": "readout",
        "fc.bias": "bias",
    }
    assert [role for name, role in roles_of(resnet(1, 3)).items() if "layer1.0.conv" in name] == [
        "branch", "branch", "branch_out",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shape", "role"),
    [
        ("params/decoder/layers_0/mlp/wi_0/kernel", (8, 8), "mlp_gate"),
        ("gpt_neox.layers.0.attention.query_key_value.weight", (24, 8), "attention_in"),
        ("gpt_neox.layers.0.attention.dense.weight", (8, 8), "attention_out"),
        ("gpt_neox.layers.0.mlp.dense_4h_to_h.weight", (8, 8), "mlp_out"),
        ("encoder.block.0.layer.0.SelfAttention.q.weight", (8, 8), "query"),
        ("encoder.block.0.layer.0.SelfAttention.o.weight", (8, 8), "attention_out"),
        ("encoder.block.0.layer.1.DenseReluDense.wo.weight", (8, 8), "mlp_out"),
        ("layers.0.feed_forward.w1.weight", (8, 8), "mlp_gate"),
        ("layers.0.feed_forward.w2.weight", (8, 8), "mlp_out"),
        ("layers.0.attention.wo.weight", (8, 8), "attention_out"),
        ("blocks.0.ls1.gamma", (8,), "residual_gain"),
        ("blocks.0.gamma_2", (8,), "residual_gain"),
        ("blocks.0.attn.qkv.weight", (24, 8), "qkv"),
        ("blocks.0.attn.proj.weight", (8, 8), "attention_out"),
        ("patch_embed.proj.weight", (8, 3, 4, 4), "input"),
        ("stem.0.weight", (8, 3, 4, 4), "input"),
        ("encoder.embed_tokens.weight", (9, 8), "embedding"),
        ("pos_embed", (1, 9, 8), "position"),
        ("pos_emb", (1, 9, 8), "position"),  # minGPT
        ("pos_emb.weight", (9, 8), "position"),
        ("tok_emb.weight", (9, 8), "embedding"),  # minGPT
        ("tok_embeddings.weight", (9, 8), "embedding"),  # LLaMA as Meta saved it
        ("token_embedding.weight", (9, 8), "embedding"),
        ("emb/embedding", (9, 8), "embedding"),
        ("layer1.0.scale", (1,), "multiplier"),
        ("layer1.0.bias1a", (1,), "bias"),
        ("layer1.0.alpha", (), "residual_gain"),
    ],
)
def test_names_of_other_models(name, shape, role):
    assert roles_of({name: shape}) == {name: role}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("attn.bias", (1, 1, 8, 8)),  # a mask, not a bias
        ("relative_attention_bias.weight", (32, 4)),
        ("norm.weight", (8, 8)),
        ("lm_head.weight", (8,)),
        ("conv1.weight", (8, 8)),
        ("w", (8, 8)),
        ("proj.weight", (8, 8)),
        ("stem.mix", (8, 8)),
        ("h.0.fc.weight", (8, 8)),  # inside a block nothing reads out
        ("layers.3.mlp.output.weight", (8, 8)),
        ("layers_3/embed/kernel", (8, 8)),
    ],
)
def test_what_is_not_known_is_never_guessed(name, shape):
    with pytest.raises(RuleError, match=r"no role is known for '.*' \(1 of 2 parameters\); say what they are for"):
        read_parts({name: shape, "lm_head.weight" if "lm" not in name else "wte": (3, 3)})


def test_a_name_that_is_not_known_is_shown_once_escaped():
    with pytest.raises(RuleError, match=r"such as roles=\{'a\\x1b': 'hidden'\}"):
        read_parts({"a\x1b": (3, 3)})
    with pytest.raises(RuleError, match=r"such as roles=\{'a': 'bias'\}"):
        read_parts({"a": (3,)})


def test_all_that_are_not_known_are_listed():
    with pytest.raises(
        RuleError, match=r"no role is known for 'w0', 'w1', .*'w7', ... \(9 of 9 .*roles=\{'w0': 'hidden'\}"
    ):
        read_parts({f"w{k}": (3, 3) for k in range(9)})


def test_blocks_depths_and_stacks():
    tree = read_parts(both(2, 3))
    depths = {part.name: (part.stack, part.depth) for part in tree.of("mlp_out")}
    assert depths == {
        "encoder.layers.0.linear2.weight": ("encoder", 0),
        "encoder.layers.1.linear2.weight": ("encoder", 1),
        "decoder.layers.0.linear2.weight": ("decoder", 0),
        "decoder.layers.1.linear2.weight": ("decoder", 1),
        "decoder.layers.2.linear2.weight": ("decoder", 2),
    }
    assert tree.stacks == ("encoder", "decoder")
    assert [tree.layers(stack) for stack in tree.stacks] == [2, 3]
    assert [tree.branches(stack) for stack in tree.stacks] == [4, 9]  # two attentions and an MLP in the decoder
    assert tree.width() == 16
    blocks = read_parts(resnet(2))
    assert [part.depth for part in blocks.of("branch_out")] == [0, 1, 2, 3]
    assert blocks.layers("") == 4


def test_blocks_whose_words_are_numbered():
    flax = {f"layers_{k}/mlp/fc{n}/kernel": (8, 8) for k in range(3) for n in (1, 2)}
    assert read_parts(flax).layers("") == 3
    vit = {f"encoder.layers.encoder_layer_{k}.mlp.{n}.weight": (8, 8) for k in range(4) for n in (0, 3)}
    tree = read_parts(vit)
    assert [(part.role, part.depth) for part in tree.parts[2:4]] == [("mlp_in", 1), ("mlp_out", 1)]
    assert (tree.layers("encoder"), tree.branches("encoder")) == (4, 4)


def test_branches_that_can_not_be_told_apart_are_refused():
    shapes = {"first.fc2.weight": (8, 8), "second.fc2.weight": (8, 8)}
    with pytest.raises(RuleError, match=r"'first.fc2.weight' and 'second.fc2.weight' write to a residual stream, and"):
        read_parts(shapes)
    told = {"first*": Role("mlp_out", 0), "second*": Role("mlp_out", 1)}
    assert read_parts(shapes, told).layers("") == 2
    assert read_parts({"fc2.weight": (8, 8), "attn.proj.weight": (8, 8)}).branches("") == 2


def test_experts_of_a_block_share_a_branch():
    shapes = {f"layers.{k}.experts.{e}.feed_forward.w2.weight": (8, 8) for k in range(3) for e in range(5)}
    assert read_parts(shapes).branches("") == 3


def test_roles_are_given_by_globs_and_go_first():
    shapes = {"a.0.x": (8, 8), "a.1.x": (8, 8), "lm_head.weight": (5, 8)}
    tree = read_parts(shapes, {"a.1.*": Role("mlp_out", 7, "decoder"), "a.*": "mlp_in", "lm_head*": "hidden"})
    assert [(part.role, part.depth, part.stack) for part in tree.parts] == [
        ("mlp_in", 0, ""),
        ("mlp_out", 7, "decoder"),
        ("hidden", None, ""),
    ]


def test_the_role_of_a_weight_passes_vectors_over():
    shapes = {"first.weight": (4, 4), "first.bias": (4,), "gain": (4, 1, 1)}
    tree = read_parts(shapes, {"first.*": "input", "gain": "residual_gain"})
    assert [part.role for part in tree.parts] == ["input", "bias", "residual_gain"]
    with pytest.raises(RuleError, match="no role is known for 'odd'"):
        read_parts({"odd": (4,)}, {"odd": "mlp_in"})


def test_layouts_are_given_or_those_of_gpt2_turned():
    tree = read_parts(gpt2(1, turned=True))
    layouts = {part.name: part.axes for part in tree.parts if len(part.shape) > 1}
    assert {name for name, axes in layouts.items() if axes == "io"} == {name for name in layouts if ".c_" in name}
    assert tree.width() == 16
    assert {part.axes for part in read_parts(gpt2(1)).parts} == {None}
    given = read_parts({"wte": (9, 8), "head.kernel": (8, 9), "h.0.fc1.kernel": (8, 9)}, axes={"*.kernel": "io"})
    assert [part.axes for part in given.parts] == [None, "io", "io"]
    assert [part.axes for part in read_parts({"wte": (9, 8), "fc.bias": (9,)}, axes="io").parts] == ["io", None]


def test_arrays_that_no_initializer_makes_are_passed_over():
    shapes = {**gpt2(1), "steps": np.zeros(3, int)}
    found = recipes.GPT2()(shapes)
    assert len(found.parts) == len(shapes) - 1
    assert list(found.plan().kept) == ["steps"]


@pytest.mark.parametrize(
    ("shapes", "roles", "error", "message"),
    [
        ([(3, 3)], None, TypeError, "`shapes` maps parameter names to shapes; got list"),
        ({3: (3, 3)}, None, TypeError, "a parameter's name is a string; got 3"),
        ({"a": (3, 3)}, ["mlp_in"], TypeError, "`roles` maps globs to roles; got list"),
        (
            {"a": (3, 3)},
            {"a": "mlp"},
            ValueError,
            "'a' has no role that is known: 'mlp'; roles are embedding, position",
        ),
        ({"a": (3, 3)}, {"a": 3}, ValueError, "'a' has no role that is known: 3"),
        ({"a": (3, -3)}, {"a": "mlp_in"}, ValueError, "'a': `shape` has a negative size"),
    ],
)
def test_what_makes_no_sense_is_refused(shapes, roles, error, message):
    with pytest.raises(error, match=message):
        read_parts(shapes, roles)


def test_rules_beside_a_recipe_take_what_they_hit():
    shapes = {**gpt2(1), "odd[0]": (3, 3), "odd0": (3,)}
    found = recipes.GPT2()(shapes, rules={"lm_head.weight": sb.SameAs("transformer.wte.weight"), "odd*": "ones"})
    plan = found.plan()
    params = plan.initialize(0)
    assert params["lm_head.weight"] is params["transformer.wte.weight"]
    assert params["odd[0]"].all()
    assert plan.unused == ()
    assert "lm_head.weight" not in {part.name for part in found.parts}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rules": ["ones"]}, TypeError, "`rules` maps globs to initializers; got list"),
        ({"axes": "oihw"}, ValueError, "'0.fc1.weight': axes 'oihw' names 4 axes"),
        ({"axes": {"*fc2*": "io", "*": "oii"}}, ValueError, "'0.fc1.weight': axes 'oii' names 3 axes"),
        ({"roles": {"*fc2*": Role("mlp_out", depth=-1)}}, ValueError, r"'\*fc2\*' has a block .* a depth is 0 or more"),
        ({"roles": {"*fc2*": Role("mlp_out", depth="1")}}, ValueError, "depth='1', stack=None.; a depth is 0 or more"),
        ({"roles": {"*fc2*": Role("mlp_out", stack="both")}}, ValueError, "a stack 'encoder', 'decoder' or ''"),
    ],
)
def test_what_a_recipe_is_told_and_makes_no_sense_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        recipes.GPT2()({"0.fc1.weight": (8, 4), "0.fc2.weight": (4, 8)}, **options)


@pytest.mark.parametrize("recipe", ["deepnorm", "small_init", "subln", "tfixup"])
def test_a_stream_without_width_is_refused(recipe):
    shapes = {"0.fc1.weight": (8, 0), "0.fc2.weight": (0, 8), "wte.weight": (5, 0)}
    with pytest.raises(RuleError, match=r"the width of the residual stream .* which is zero"):
        recipes.get(recipe)(shapes)


def test_rules_of_your_own_by_role():
    found = recipes.GPT2()(gpt2(2), rules={"@mlp_out": "zeros"})
    plan = found.plan()
    assert plan.unused == plan.untouched == ()
    zeros = [row.name for row in plan.rows if row.pattern == "@mlp_out"]
    assert zeros == ["transformer.h.0.mlp.c_proj.weight", "transformer.h.1.mlp.c_proj.weight"]
    assert [part.name for part in found.others] == zeros


@pytest.mark.parametrize("pattern", ["transformer.h.0.*", "@mlp_out", "*.h.0.mlp.c_proj.weight"])
@pytest.mark.parametrize("recipe", ["gpt2", "small_init", "deepnorm"])
def test_blocks_that_rules_of_your_own_hit_count(recipe, pattern):
    whole, part = recipes.get(recipe)(gpt2(3)), recipes.get(recipe)(gpt2(3), rules={pattern: "zeros"})
    assert part.rules.items() - {pattern: part.rules[pattern]}.items() <= whole.rules.items()
    assert part.multipliers == whole.multipliers


def test_depths_count_what_rules_of_your_own_hit():
    found = recipes.GPT2(per_layer=True)(gpt2(2), rules={"transformer.h.0.*": "zeros"})
    assert found.rules["transformer.h.1.mlp.c_proj.weight"].initializer == sb.Normal(0.02 / 2)


def test_a_gain_of_your_own_is_a_gain():
    shapes = {"0.fc1.weight": (8, 4), "0.fc2.weight": (4, 8), "0.resweight": (1,)}
    assert recipes.ReZero()(shapes, rules={"*.resweight": sb.Constant(0.1)}).plan().unused == ()


def test_the_layout_of_a_rule_of_your_own_says_the_width():
    shapes = {"0.fc1.weight": (8, 4), "0.fc2.weight": (4, 8), "1.fc1.weight": (8, 4), "1.fc2.weight": (8, 4)}
    found = recipes.SmallInit()(shapes, rules={"1.fc2.*": sb.Rule("he_normal", axes="io")})
    assert found.rules["0.fc1.weight"].initializer == sb.Normal((2 / 20) ** 0.5)


def test_names_that_look_like_globs_have_rules_of_their_own():
    found = recipes.GPT2()({"w[0]": (3, 3), "w0": (4, 4)}, roles={"w0": "readout", "*": "hidden"})
    plan = found.plan()
    assert [row.role for row in plan.rows] == ["hidden", "readout"]
    assert plan.unused == ()
