"""Every recipe gives each parameter the scale that its paper states, and is refused where it does not apply."""

import math

import numpy as np
import pytest

import symbreak as sb
from symbreak import recipes
from symbreak.errors import RuleError, UnknownName
from symbreak.recipes import read_parts

from ._models import bert, both, gpt2, llama, mlp_blocks, resnet


def stds(found):
    """Give the standard deviation that each weight is expected to have, checked against what is drawn."""
    plan = found.plan()
    params = plan.initialize(3)
    audit = plan.audit(params)
    assert not audit.off, str(audit)
    assert not audit.tied
    return {row.name: row.expected.std for row in plan.rows}


def check(found, expected):
    """Compare by the ends of names; every weight is named by exactly one."""
    got = {name: std for name, std in stds(found).items() if not name.endswith(("norm.weight", "bias"))}
    used = set()
    for name, std in got.items():
        ends = [end for end in expected if name.endswith(end)]
        end = max(ends, key=len, default=None)
        if end is None:
            assert std == 0, name
            continue
        used.add(end)
        assert std == pytest.approx(expected[end], rel=1e-12), name
    assert used == set(expected)


@pytest.mark.parametrize("layers", [1, 3, 12])
def test_gpt2(layers):
    out = 0.02 / math.sqrt(2 * layers)
    check(
        recipes.GPT2()(gpt2(layers)),
        {"wte.weight": 0.02, "wpe.weight": 0.02, "c_attn.weight": 0.02, "c_fc.weight": 0.02, "lm_head.weight": 0.02,
         "c_proj.weight": out},
    )  # fmt: skip


def test_gpt2_by_the_layer():
    found = stds(recipes.GPT2(std=0.1, per_layer=True)(gpt2(4)))
    for k in range(4):
        assert found[f"transformer.h.{k}.mlp.c_proj.weight"] == pytest.approx(0.1 / math.sqrt(2 * (k + 1)))
        assert found[f"transformer.h.{k}.attn.c_proj.weight"] == pytest.approx(0.1 / math.sqrt(2 * (k + 1)))


def test_a_model_with_one_branch_a_layer_is_scaled_by_one():
    found = stds(recipes.GPT2()(mlp_blocks(9, 8)))
    assert found["h.0.fc2.weight"] == pytest.approx(0.02 / 3)


def test_a_layout_turned_around_has_the_same_numbers():
    for recipe in (recipes.GPT2(), recipes.SmallInit(), recipes.DeepNorm(), recipes.SubLN()):
        assert stds(recipe(gpt2(2, turned=True))) == pytest.approx(stds(recipe(gpt2(2))))


@pytest.mark.parametrize(("layers", "d"), [(2, 16), (12, 40)])
def test_small_init_and_wang(layers, d):
    small, out = math.sqrt(2 / (5 * d)), 2 / (layers * math.sqrt(d))
    assert out == pytest.approx(small * math.sqrt(10) / layers)  # as llm-foundry writes it
    check(
        recipes.SmallInit()(gpt2(layers, d)),
        {"wte.weight": small, "wpe.weight": small, "c_attn.weight": small, "c_fc.weight": small, "c_proj.weight": out,
         "lm_head.weight": small},
    )  # fmt: skip


@pytest.mark.parametrize(("convolutions", "power"), [(2, -1 / 2), (3, -1 / 4)])
def test_fixup_of_a_residual_network(convolutions, power):
    """A basic block, of two layers, is scaled by L^-1/2; a bottleneck, of three, by L^-1/4."""
    he = math.sqrt(2 / (8 * 9))
    expected = {f"conv{n}.weight": he * 4**power for n in range(1, convolutions)}
    del expected["conv1.weight"]
    expected |= {
        "0.conv1.weight": he * 4**power,
        "1.conv1.weight": he * 4**power,
        "conv1.weight": math.sqrt(2 / (3 * 49)),
    }
    expected["downsample.0.weight"] = math.sqrt(2 / 8)
    shapes = resnet(2, convolutions, norms=False) | {"layer1.0.bias1a": (1,), "layer1.0.scale": (1,)}
    found = recipes.Fixup()(shapes)
    check(found, expected)
    params = found.plan().initialize(0)
    assert not params[f"layer1.0.conv{convolutions}.weight"].any()
    assert not params["fc.weight"].any()
    assert (params["layer1.0.scale"], params["layer1.0.bias1a"]) == (1, 0)


def test_fixup_of_a_transformer():
    shapes = {name: shape for name, shape in gpt2(8).items() if ".ln_" not in name}
    plan = recipes.Fixup()(shapes).plan()
    made = {row.name: row.initializer for row in plan.rows}
    factor = 16**-0.5
    assert made["transformer.h.3.mlp.c_fc.weight"] == sb.Scaled(sb.HeNormal(), factor)
    assert made["transformer.h.3.attn.c_attn.weight"] == sb.Blocks(
        (sb.HeNormal(), sb.HeNormal(), sb.Scaled(sb.HeNormal(), factor))
    )
    assert made["transformer.h.3.attn.c_proj.weight"] == sb.Zeros()
    one = recipes.Fixup()({"a.0.out": (4, 4)}, roles={"*": "branch_out"})
    assert one.rules["a.0.out"].initializer == sb.Zeros()


@pytest.mark.parametrize("layers", [1, 18, 200])
def test_deepnorm_of_one_stack(layers):
    found = recipes.DeepNorm()(llama(layers))
    assert found.multipliers == {"the residual stream": pytest.approx((2 * layers) ** 0.25)}
    beta = (8 * layers) ** -0.25
    square, wide = math.sqrt(2 / 32), math.sqrt(2 / 64)
    expected = {f"self_attn.{name}_proj.weight": square for name in "qk"}
    expected |= {f"self_attn.{name}_proj.weight": beta * square for name in "vo"}
    expected |= {f"{name}_proj.weight": beta * wide for name in ("gate", "up", "down")}
    if layers < 100:
        check(found, expected | {"embed_tokens.weight": 0.25, "lm_head.weight": 0.25})


def test_deepnorm_of_two_stacks():
    n, m = 4, 3
    found = recipes.DeepNorm()(both(n, m))
    assert found.multipliers == {
        "the residual stream of the encoder": pytest.approx(0.81 * (n**4 * m) ** (1 / 16)),
        "the residual stream of the decoder": pytest.approx((3 * m) ** (1 / 4)),
    }
    encoder, decoder = 0.87 * (n**4 * m) ** (-1 / 16), (12 * m) ** (-1 / 4)
    made = {row.name: row.initializer for row in found.plan().rows}
    glorot = sb.GlorotNormal()
    for stack, beta in (("encoder", encoder), ("decoder", decoder)):
        for name in ("self_attn.out_proj", "linear1", "linear2"):
            each = made[f"{stack}.layers.0.{name}.weight"]
            assert each.init == glorot
            assert each.factor == pytest.approx(beta)
        fused = made[f"{stack}.layers.0.self_attn.in_proj_weight"]
        assert fused.inits[:2] == (glorot, glorot)
        assert fused.inits[2].factor == pytest.approx(beta)
    assert made["decoder.layers.0.multihead_attn.in_proj_weight"].inits[2].factor == pytest.approx(decoder)


@pytest.mark.parametrize(("n", "m"), [(6, 6), (18, 18), (100, 3), (3, 500)])
def test_the_constants_of_deepnorm_keep_the_bound_of_the_paper_at_one_half(n, m):
    """Section 4: what a step moves is at most a sum over the branches, 2 N (beta / alpha)^2 in an encoder.

    A decoder of M layers has three branches each, and what it reads of the encoder enters M times with beta^2 / alpha.
    """
    one = recipes.DeepNorm().constants("", read_parts(mlp_blocks(n, 4)))
    assert 2 * n * (one[1] / one[0]) ** 2 == pytest.approx(0.5)
    tree = read_parts(both(n, m))
    encoder, decoder = (recipes.DeepNorm().constants(stack, tree) for stack in ("encoder", "decoder"))
    assert 3 * m * (decoder[1] / decoder[0]) ** 2 == pytest.approx(0.5)
    read = m * decoder[1] ** 2 / decoder[0]
    assert read * 2 * n * (encoder[1] / encoder[0]) ** 2 == pytest.approx(0.5, rel=0.02)  # 0.81 and 0.87 are rounded


def test_a_fused_value_is_scaled_in_its_third():
    made = recipes.DeepNorm()(gpt2(2, 64)).plan().initialize(1)["transformer.h.0.attn.c_attn.weight"]
    for part, std in zip(np.split(made, 3), (0.125, 0.125, 0.125 * 16**-0.25), strict=True):
        assert part.std() == pytest.approx(std, rel=6.5 / math.sqrt(2 * 4096))
    turned = recipes.DeepNorm()(gpt2(2, 64, turned=True)).plan().initialize(1)["transformer.h.0.attn.c_attn.weight"]
    assert np.split(turned, 3, axis=1)[2].std() == pytest.approx(0.125 * 16**-0.25, rel=6.5 / math.sqrt(2 * 4096))


def test_subln():
    gain = math.sqrt(math.log(2 * 5))
    square, wide = math.sqrt(2 / 32), math.sqrt(2 / 80)
    check(
        recipes.SubLN()(bert(5)),
        {
            "word_embeddings.weight": 0.25, "position_embeddings.weight": 0.25, "classifier.weight": 0.25,
            "query.weight": square, "key.weight": square, "value.weight": gain * square,
            "attention.output.dense.weight": gain * square,
            "intermediate.dense.weight": gain * wide, "output.dense.weight": gain * wide,
        },
    )  # fmt: skip
    made = {row.name: row.initializer for row in recipes.SubLN()(both(4, 3)).plan().rows}
    encoder = math.sqrt(math.log(3 * 3) * math.log(2 * 4) / 3)
    assert made["encoder.layers.0.linear1.weight"].factor == pytest.approx(encoder)
    assert made["decoder.layers.0.linear1.weight"].factor == pytest.approx(math.sqrt(math.log(3 * 3)))


def test_tfixup():
    made = {row.name: row for row in recipes.TFixup()(both(4, 3, norms=False)).plan().rows}
    encoder, decoder = 0.67 * 4**-0.25, (9 * 3) ** -0.25
    glorot = sb.GlorotUniform()
    for stack, factor in (("encoder", encoder), ("decoder", decoder)):
        for name in ("self_attn.out_proj", "linear1", "linear2"):
            assert made[f"{stack}.layers.1.{name}.weight"].initializer.init == glorot
            assert made[f"{stack}.layers.1.{name}.weight"].initializer.factor == pytest.approx(factor)
        fused = made[f"{stack}.layers.0.self_attn.in_proj_weight"].initializer
        assert fused.inits[:2] == (glorot, glorot)
        assert fused.inits[2].factor == pytest.approx(factor)
    assert made["embed.weight"].expected.std == pytest.approx(16**-0.5 * decoder)
    assert made["output.weight"].initializer == glorot
    alone = {"encoder.embed_tokens.weight": (9, 16), **both(4, 3, norms=False)}
    assert recipes.TFixup()(alone).plan().rows[0].expected.std == pytest.approx(0.25 * (9 * 4) ** -0.25)


@pytest.mark.parametrize(("layers", "gain"), [(18, 0.1), (19, 1e-5), (24, 1e-5), (25, 1e-6)])
def test_layer_scale_is_smaller_in_deeper_networks(layers, gain):
    shapes = mlp_blocks(layers, 4, gain=(4,))
    found = recipes.LayerScale()(shapes)
    assert found.rules["h.0.resweight"].initializer == sb.Constant(gain)
    assert recipes.LayerScale(gain=0.3)(shapes).rules["h.0.resweight"].initializer == sb.Constant(0.3)
    assert found.rules["h.0.fc1.weight"].initializer.expected((4, 4)).std == pytest.approx(0.02)


def test_other_vectors_of_layer_scale_are_those_of_every_recipe():
    shapes = mlp_blocks(2, 4, gain=(4,)) | {"h.0.ln.weight": (4,), "h.0.fc1.bias": (4,)}
    found = recipes.LayerScale()(shapes).plan()
    made = {row.name: row.initializer for row in found.rows}
    assert made["h.0.ln.weight"] == sb.Ones()
    assert made["h.0.fc1.bias"] == sb.Zeros()


@pytest.mark.parametrize("shape", [(64, 16), (16, 64), (32, 32)])
def test_the_spectral_condition(shape):
    shapes = {"a": shape, "wte.weight": (50, 8)}
    fan_out, fan_in = shape
    exact = recipes.Spectral()(shapes, roles={"a": "hidden"})
    norm = math.sqrt(fan_out / fan_in)
    singular = np.linalg.svd(exact.plan().initialize(0, dtype="float64")["a"], compute_uv=False)
    assert singular == pytest.approx([norm] * min(shape))
    normal = recipes.Spectral("normal")(shapes, roles={"a": "hidden"})
    sigma = min(1, norm) / math.sqrt(fan_in)
    assert stds(normal) == pytest.approx({"a": sigma, "wte.weight": 1})
    assert sigma**2 == pytest.approx(min(shape) / fan_in**2)  # as others write it
    largest = np.linalg.norm(normal.plan().initialize(0)["a"], 2)
    assert 0.9 * norm < largest < 2.2 * norm
    assert exact.rates == {"a": {"adam": 1 / fan_in, "sgd": fan_out / fan_in}}


def test_empty_weights_are_empty():
    for recipe in (recipes.GPT2(), recipes.Spectral(), recipes.Spectral("normal")):
        made = recipe({"a": (0, 4), "b": (4, 0)}, roles={"*": "hidden"}).plan().initialize(0)
        assert [array.shape for array in made.values()] == [(0, 4), (4, 0)]


def test_vectors_start_at_zero_and_one():
    params = recipes.GPT2()(gpt2(1)).plan().initialize(0)
    assert (params["transformer.h.0.ln_1.weight"] == 1).all()
    assert (params["transformer.h.0.ln_1.bias"] == 0).all()
    assert (params["transformer.h.0.attn.c_attn.bias"] == 0).all()


def test_the_plan_prints_parameter_role_initializer_std_and_why():
    found = recipes.DeepNorm()(mlp_blocks(2, 8) | {"h.0.norm1.weight": (8,)})
    assert str(found).splitlines() == [
        "parameter         role     initializer                     std  why",
        "h.0.fc1.weight    mlp_in   Scaled(GlorotNormal(), 0.5)  0.1768  Glorot x beta",
        "h.0.fc2.weight    mlp_out  Scaled(GlorotNormal(), 0.5)  0.1768  Glorot x beta",
        "h.1.fc1.weight    mlp_in   Scaled(GlorotNormal(), 0.5)  0.1768  Glorot x beta",
        "h.1.fc2.weight    mlp_out  Scaled(GlorotNormal(), 0.5)  0.1768  Glorot x beta",
        "h.0.norm1.weight  norm     Ones()                            0  starts at one",
        "5 parameters, 264 values",
        "multiply the residual stream by 1.41421",
    ]
    rated = str(recipes.Spectral()({"a": (4, 2)}, roles={"a": "hidden"}))
    assert rated.splitlines()[-1] == "learning rate of a: adam x 0.5, sgd x 2"


def test_recipes_are_values_with_names():
    assert recipes.names() == [
        "deepnorm", "fixup", "gpt2", "layer_scale", "mup", "rezero", "skip_init", "small_init", "spectral", "subln",
        "tfixup",
    ]  # fmt: skip
    for name in recipes.names():
        options = {"base": {}} if name == "mup" else {}
        made = recipes.get(name, **options)
        assert made == recipes.get(name, **options)
        with pytest.raises(AttributeError):
            made.std = 3
    assert hash(recipes.GPT2(0.1)) == hash(recipes.GPT2(0.1))


NOT_FOR = {name: shape for name, shape in gpt2(1).items() if "c_proj" not in name}


class Shifted(recipes.GPT2):
    """Weights that are not about zero."""

    def weight(self, part, tree):
        return sb.Normal(0.02, mean=1.0), "off"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: recipes.get("gpt3"), UnknownName, "no recipe is called 'gpt3'; recipes are deepnorm, fixup"),
        (lambda: recipes.get("mup"), TypeError, r"the recipe .mup. needs base: recipes.get\(.mup., base=...\), or in"),
        (lambda: recipes.get("gpt2", sd=1), TypeError, "the recipe 'gpt2' can't be made with {'sd': 1}"),
        (lambda: recipes.GPT2(std=0), ValueError, "GPT2: std is a positive number; got 0"),
        (lambda: recipes.GPT2(std="0.1"), ValueError, "GPT2: std is a positive number; got '0.1'"),
        (lambda: recipes.LayerScale(gain=-1), ValueError, "LayerScale: gain is a positive number; got -1"),
        (lambda: recipes.Spectral("uniform"), ValueError, "Spectral: distribution is one of orthogonal, normal; got"),
        (lambda: recipes.DeepNorm()(NOT_FOR), RuleError, "DeepNorm goes by the residual branches of a model, and no"),
        (lambda: recipes.SubLN()(NOT_FOR), RuleError, "SubLN goes by the residual branches"),
        (lambda: recipes.SmallInit()(NOT_FOR), RuleError, "SmallInit goes by the residual branches"),
        (lambda: recipes.Fixup()(NOT_FOR), RuleError, "Fixup goes by the residual branches"),
        (lambda: recipes.Fixup()(gpt2(1)), RuleError, "Fixup is for networks without norms, and '.*ln_1.weight'"),
        (lambda: recipes.TFixup()(bert(2)), RuleError, r"T-Fixup is for networks without norms.*\(2 in all\)"),
        (lambda: recipes.ReZero()(mlp_blocks(2, 4)), RuleError, "ReZero multiplies.*'h.0.fc2.weight' is in a block"),
        (lambda: recipes.SkipInit()({"a.alpha": ()} | mlp_blocks(1, 4)), RuleError, "SkipInit.*is in a block"),
        (lambda: recipes.LayerScale()({"fc": (3, 3)}), RuleError, "LayerScale multiplies.*there is none; add it"),
        (
            lambda: recipes.SmallInit()({"0.fc2.weight": (4, 8), "1.fc2.weight": (6, 8)}),
            RuleError,
            "the width of the residual stream is that of what writes to it .*, which is not one: 4, 6",
        ),
        (
            lambda: recipes.DeepNorm()({"0.attn.query_key_value.weight": (24, 8), "0.attn.dense.weight": (8, 8)}),
            RuleError,
            "DeepNorm scales the values apart from queries and keys, but '0.attn.query_key_value.weight' of shape",
        ),
        (
            lambda: recipes.SubLN()({"0.attn.qkv.weight": (16, 8), "0.attn.proj.weight": (8, 8)}),
            RuleError,
            r"of shape \(16, 8\) fuses them in other parts than three of \(inputs, inputs\)",
        ),
        (
            lambda: recipes.Fixup()({"0.fc1.weight": (8, 8), "1.fc2.weight": (8, 8)}),
            RuleError,
            "Fixup scales '0.fc1.weight' by its residual branch, whose last layer is not there",
        ),
        (lambda: recipes.MuP(3), TypeError, "MuP: base maps parameter names to the shapes of the base model; got 3"),
        (lambda: recipes.MuP({}, recipe=3), TypeError, "MuP: recipe is another recipe.*got 3"),
        (lambda: recipes.MuP({})(gpt2(1)), RuleError, "MuP: 'transformer.wte.weight' is not in the base model"),
        (
            lambda: recipes.MuP({"wte": (3,)})({"wte": (3, 3)}),
            RuleError,
            r"MuP: 'wte' has shape \(3, 3\), and \(3,\) in the base model; shapes have as many",
        ),
        (lambda: recipes.MuP({"wte": (3, 0)})({"wte": (3, 3)}), RuleError, "axes, none of them empty"),
        (
            lambda: recipes.MuP({"wte": (3, 3)}, recipe=Shifted())({"wte": (3, 3)}),
            RuleError,
            "MuP scales weights about zero, and Normal.* of 'wte' has mean 1",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_gpt2_takes_a_bool_for_per_layer():
    with pytest.raises(TypeError, match="GPT2: per_layer is True or False; got 'yes'"):
        recipes.GPT2(per_layer="yes")


def test_names_are_printed_without_what_moves_a_cursor():
    base, wide = ({"a\x1b[31m.head.weight": (4, size)} for size in (8, 16))
    for recipe in (recipes.MuP(base), recipes.Spectral()):
        found = recipe(wide)
        assert found.rates
        assert found.multipliers or recipe.name == "spectral"
        assert "\x1b" not in str(found)
