"""Names and shapes of real models become graphs: who writes and who reads, with nothing guessed and nothing copied.

The shapes are those of `tests/data/wirings.jsonl`, which the libraries themselves gave; `test_models` runs the models.
"""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

from symbreak.checkpoints import open_checkpoint, save_safetensors, save_wiring, wire
from symbreak.checkpoints.wiring._patterns import matches
from tests.checkpoints.wiring._permute import is_made

DATA = Path(__file__).parents[2] / "data" / "wirings.jsonl"
ROWS = {row["model"]: row for row in map(json.loads, DATA.read_text("utf-8").splitlines())}
WITH_HEADS = [
    name
    for name, row in ROWS.items()
    if any("num_heads" in key or "nhead" in key or "n_head" in key or "attention_heads" in key for key in row["config"])
    and name
    not in (
        "timm vit",
        "qwen3",
        "t5",
        "t5 gated",
        "transformers swin",
        "transformers swin v2",
    )  # there a shape shows the size of a head
]
FORMS = sorted({name for row in ROWS.values() for name in row["tensors"]})
ATTENTION = ("q", "k", "v", "o", "query", "key", "value", "attn", "attention", "dense", "proj", "lin")


def arrays(name):
    """Arrays of the shapes of a model, each of numbers of its own."""
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=shape).astype("f4") for key, shape in ROWS[name]["tensors"].items()}


def wired(name, **changes):
    return wire(arrays(name), config=changes.get("config", ROWS[name]["config"]))


def names_of(found):
    """Names of tensors that are known to belong to no units."""
    return [name for pattern in found.wiring.ignored for name, _ in matches(pattern, FORMS)]


def text(graph):
    """All that a graph says, as text."""
    lines = [f"{space}" for space in graph.spaces] + [f"{each}" for each in (*graph.connections, *graph.per_unit)]
    return "\n".join(sorted([*lines, f"inputs {sorted(graph.inputs)}", f"outputs {sorted(graph.outputs)}"]))


@pytest.mark.parametrize("name", ROWS)
def test_every_tensor_of_a_known_model_is_in_the_graph(name):
    found = wired(name)
    assert (dict(found.unknown), dict(found.apart)) == ({}, {})
    held = {each.partition("[")[0] for each in found.graph.arrays}
    numbers = {key for key, shape in ROWS[name]["tensors"].items() if np.prod(shape) > 1}
    assert numbers - set(names_of(found)) <= held


@pytest.mark.parametrize("name", ROWS)
def test_arrays_of_a_graph_are_views(name):
    given = arrays(name)
    for key, array in wire(given, config=ROWS[name]["config"]).graph.arrays.items():
        if not is_made(key):
            assert np.shares_memory(array, given[key.partition("[")[0].partition("@")[0]]), key


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_wiring_that_the_rules_found_is_the_same_from_a_file(tmp_path, name, suffix):
    found = wired(name)
    path = tmp_path / f"wiring{suffix}"
    save_wiring(found, path)
    again = wire(arrays(name), wiring=path)
    assert again.rule == "wiring"
    assert text(again.graph) == text(found.graph)


@pytest.mark.parametrize("name", WITH_HEADS)
def test_without_the_number_of_heads_its_units_are_told_apart_and_that_is_said(name):
    found = wired(name, config={})
    assert found.unknown
    assert all("heads isn't known" in reason for reason in found.unknown.values())
    assert not any(axis.role == "head" for weight in found.graph.connections for axis in weight.axes)
    values = [space.name for space in found.graph.spaces if space.name.endswith((".value", ".query", ".key"))]
    assert values
    assert set(values) <= set(found.graph.inputs) & set(found.graph.outputs)


@pytest.mark.parametrize("name", WITH_HEADS)
def test_a_number_of_heads_that_does_not_fit_is_not_believed(name):
    wrong = dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "nhead"), 7)
    sides = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 7)
    parts = dict.fromkeys(("text_config", "vision_config"), wrong)
    found = wired(name, config=wrong | sides | parts)
    assert found.unknown
    assert all("7 heads don't fit" in reason for reason in found.unknown.values())


@pytest.mark.parametrize("name", ROWS)
def test_a_tensor_that_no_rule_knows_opens_the_spaces_that_it_may_touch(name):
    given = arrays(name)
    sizes = wire(given, config=ROWS[name]["config"]).graph.spaces
    widest = max(space.units for space in sizes)
    stranger = next(iter(given)).rpartition(".")[0] + ".mystery.weight"
    found = wire(given | {stranger: np.ones((widest, 1013))}, config=ROWS[name]["config"])
    if found.graph is None:
        assert set(found.unknown) or found.rule == ""  # a plain row is known as a whole or not at all
        return
    assert found.unknown[stranger] in ("no rule knows it",)
    open_ = {space.name for space in found.graph.spaces if space.units == widest}
    assert open_ <= set(found.graph.inputs) & set(found.graph.outputs)
    assert open_ <= set(found.apart)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ROWS)
def test_a_missing_tensor_never_raises_and_never_closes_a_space(name):
    """A space without its only writer or reader is seen by the world outside, as something must write or read it."""
    given = arrays(name)
    for missing in list(given)[:40]:
        rest = {key: array for key, array in given.items() if key != missing}
        graph = wire(rest, config=ROWS[name]["config"]).graph
        if graph is None:
            continue
        nested = {
            axis.space
            for each in (*graph.connections, *graph.per_unit)
            for axes in (each.axes,)
            if any(axis.role in ("head", "stack") for axis in axes)
            for axis in axes
        }
        for space in graph.spaces:
            if space.name not in nested:
                assert graph.writers(space.name) or space.name in graph.inputs, (missing, space.name)
                assert graph.readers(space.name) or space.name in graph.outputs, (missing, space.name)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ROWS)
def test_a_tensor_of_another_size_never_raises_and_is_named_where_it_is_left_out(name):
    given = arrays(name)
    for wrong in list(given)[:25:2]:
        other = {**given, wrong: np.ones(tuple(size + 1 for size in given[wrong].shape))}
        found = wire(other, config=ROWS[name]["config"])
        held = {each.partition("[")[0] for each in found.graph.arrays} if found.graph is not None else set()
        passed_over = given[wrong].size == 1 or wrong in names_of(found)
        assert wrong in held or wrong in found.unknown or passed_over, wrong


@pytest.mark.parametrize(
    ("name", "rule", "lines"),
    [
        ("gpt2", "GPT-2", [
            "transformer.wte.weight', (17, 24) float32: (in transformer.tokens, out transformer.stream); "
            "also (out transformer.tokens, in transformer.stream)",
            "transformer.h.1.attn.c_attn.weight[key]', (24, 4, 6) float32: (in transformer.stream, "
            "head transformer.h.1.attn.heads, out transformer.h.1.attn.query_key)",
            "transformer.h.0.attn.c_proj.weight', (4, 6, 24) float32: (head transformer.h.0.attn.heads, "
            "in transformer.h.0.attn.value, out transformer.stream)",
            "transformer.h.0.mlp.c_fc.weight', (24, 96) float32: (in transformer.stream, out transformer.h.0.mlp)",
        ]),
        ("llama", "Llama", [
            "model.layers.0.self_attn.k_proj.weight', (2, 6, 24) float32: (head model.layers.0.self_attn.groups, "
            "out model.layers.0.self_attn.query_key, in model.stream)",
            "model.layers.0.self_attn.heads.groups', (4, 2) int8: (out model.layers.0.self_attn.heads, "
            "in model.layers.0.self_attn.groups)",
            "model.layers.0.self_attn.query_key.apart', (4, 6) int64: constant, (head model.layers.0.self_attn.heads, "
            "out model.layers.0.self_attn.query_key)",
            "lm_head.weight', (17, 24) float32: (out lm_head, in model.stream)",
        ]),
        ("mixtral", "Llama", [
            "model.layers.1.mlp.experts.gate_up_proj[up]', (3, 20, 24) float32: (stack model.layers.1.mlp.experts, "
            "out model.layers.1.mlp.experts.hidden, in model.stream)",
            "model.layers.1.mlp.gate.weight', (3, 24) float32: (out model.layers.1.mlp.experts, in model.stream)",
            "Space(name='model.layers.1.mlp.experts', units=3, activation='softmax, top_k')",
        ]),
        ("resnext", "ResNet", [
            "layer1.0.conv2.weight', (4, 4, 4, 3, 3) float32: (stack layer1.0.groups, out layer1.0.conv2, "
            "in layer1.0.conv1, receptive, receptive)",
            "layer1.0.conv3.weight', (32, 4, 4, 1, 1) float32: (out layer1.0.stream, stack layer1.0.groups, "
            "in layer1.0.conv2, receptive, receptive)",
            "layer1.1.bn3.running_mean', (32,) float32: mean of a batch norm, (out layer1.0.stream)",
        ]),
        ("lstm", "torch RNN, GRU, LSTM", [
            "weight_hh_l0', (4, 6, 6) float32: (gate, out l0, in l0)",
            "weight_ih_l1_reverse[l0_reverse]', (4, 6, 6) float32: (gate, out l1_reverse, in l0_reverse)",
            "bias_ih_l1', (4, 6) float32: bias, (gate, out l1)",
        ]),
        ("tagger", "torch RNN, GRU, LSTM", [
            "embedding.weight', (17, 4) float32: (in lstm.tokens, out lstm.input)",
            "fc.weight[l0_reverse]', (5, 6) float32: (out fc, in lstm.l0_reverse)",
            "inputs ['lstm.tokens']", "outputs ['fc']",
        ]),
        ("transformer", "torch Transformer", [
            "decoder.layers.1.multihead_attn.in_proj_weight[key]', (4, 6, 24) float32: "
            "(head decoder.layers.1.multihead_attn.attention.heads, "
            "out decoder.layers.1.multihead_attn.attention.query_key, in encoder.stream)",
        ]),
        ("adapters", "GPT-2", [
            "base_model.model.transformer.h.0.attn.c_attn.lora_B.default.weight[value]', (4, 6, 3) float32: "
            "(head transformer.h.0.attn.heads, out transformer.h.0.attn.value, "
            "in transformer.h.0.attn.c_attn.rank.default)",
            "base_model.model.transformer.h.0.attn.c_proj.lora_A.default.weight', (3, 4, 6) float32: "
            "(out transformer.h.0.attn.c_proj.rank.default, head transformer.h.0.attn.heads, "
            "in transformer.h.0.attn.value)",
        ]),
        ("cnn", "numbered layers", [
            "3.weight', (8, 3, 3) float32: scale of no norm, (out 0, receptive, receptive)",
            "6.running_var', (5, 16) float32: variance of a batch norm, (out 4, receptive)",
            "7.weight', (2, 5, 16) float32: (out output, in 4, receptive)",
        ]),
    ],
)  # fmt: skip
def test_the_arrays_of_a_family_lie_over_these_spaces(name, rule, lines):
    found = wired(name)
    assert found.rule == rule
    for line in lines:
        assert line in text(found.graph)


def varied(name, drop=None, add=(), config=(), rename=()):
    """Wire a variant of a model: without some tensors, with others, and under other names."""
    given = {key: array for key, array in arrays(name).items() if drop is None or not re.match(drop, key)}
    for one, other in dict(rename).items():
        given = {key.replace(one, other): array for key, array in given.items()}
    rng = np.random.default_rng(1)
    return wire(given | {key: rng.normal(size=shape) for key, shape in dict(add).items()},
                config=ROWS[name]["config"] | dict(config))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes", "lines"),
    [
        ("distilbert", {"drop": "vocab", "add": {"pre_classifier.weight": (24, 24), "classifier.weight": (2, 24)}},
         ["(out pre_classifier, in distilbert.stream)", "(out classifier, in pre_classifier)",
          "Space(name='pre_classifier', units=24, activation='relu')", "outputs ['classifier']"]),
        ("roberta", {"drop": "lm_head", "add": {"classifier.dense.weight": (24, 24), "classifier.dense.bias": (24,),
                                                "classifier.out_proj.weight": (2, 24)}},
         ["(out classifier.dense, in roberta.stream)", "(out classifier.out_proj, in classifier.dense)",
          "outputs ['classifier.out_proj']"]),
        ("bert pre-training", {"drop": r"cls\.seq"}, ["outputs ['bert.pooler', 'bert.tokens']"]),
        ("bert", {"add": {"cls.predictions.decoder.weight": (17, 24)}},
         ["'cls.predictions.decoder.weight', (17, 24) float64: (out bert.tokens, in cls.predictions.transform.dense)",
          "'bert.embeddings.word_embeddings.weight', (17, 24) float32: (in bert.tokens, out bert.stream))",
          "outputs ['bert.tokens']"]),
        ("bart", {"add": {"model.encoder.embed_tokens.weight": (17, 24)}},
         [f"'model.{table}.weight', (17, 24) float{bits}: (in model.tokens, out model.encoder.stream)"
          for table, bits in {"shared": 32, "encoder.embed_tokens": 64}.items()]),
        ("t5", {"add": {"encoder.embed_tokens.weight": (17, 24)}},
         [f"'{table}.weight', (17, 24) float{bits}: (in tokens, out encoder.stream)"
          for table, bits in {"shared": 32, "encoder.embed_tokens": 64}.items()]),
        ("t5", {"add": {f"{side}.block.1.layer.0.SelfAttention.relative_attention_bias.weight": (32, 4)
                        for side in ("encoder", "decoder")}},
         ["'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight', (32, 4) float32: "
          "(in encoder.distances, out encoder.block.0.layer.0.SelfAttention.heads))",
          "'decoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight', (32, 4) float64: "
          "(in decoder.distances, out decoder.block.1.layer.0.SelfAttention.heads))"]),
        ("clip", {"drop": "vision|visual|text_proj"},
         ["(in text_model.tokens, out text_model.stream)", "outputs ['text_model.stream']"]),
        ("vit", {"drop": "classifier", "add": {"vit.pooler.dense.weight": (24, 24), "vit.pooler.dense.bias": (24,)}},
         ["(out vit.pooler, in vit.stream)", "Space(name='vit.pooler', units=24, activation='tanh')"]),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_other_heads_and_tables_of_a_family_are_known(name, changes, lines):
    found = varied(name, **changes)
    assert (dict(found.unknown), dict(found.apart)) == ({}, {})
    for line in lines:
        assert line in text(found.graph)


OLD_VIT = {
    "layers.": "encoder.layer.",
    **{f"attention.{one}_proj": f"attention.attention.{other}"
       for one, other in {"q": "query", "k": "key", "v": "value"}.items()},
    "attention.o_proj": "attention.output.dense",
}  # fmt: skip


@pytest.mark.parametrize(
    "rename",
    [{"mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense"},
     {"layernorm_before": "norm1", "layernorm_after": "norm2"}],
    ids=["transformers 4", "dinov2"],
)  # fmt: skip
def test_a_vision_transformer_under_its_names_of_before_has_the_same_graph(rename):
    found = varied("vit", rename=OLD_VIT | rename)
    assert not found.unknown
    shown = text(found.graph)
    for one, other in (OLD_VIT | rename).items():
        shown = shown.replace(other, one)
    assert sorted(shown.split("\n")) == text(wired("vit").graph).split("\n")


def test_scales_of_the_branches_of_dinov2_belong_to_its_stream():
    add = {f"vit.encoder.layer.{n}.layer_scale{k}.lambda1": (24,) for n in (0, 1) for k in (1, 2)}
    found = varied("vit", rename=OLD_VIT, add=add)
    assert not found.unknown
    held = {each.name: (each.kind, each.norm, each.space) for each in found.graph.per_unit}
    assert {held[key] for key in add} == {("scale", "none", "vit.stream")}


def test_a_fused_query_key_and_value_is_cut_in_three_where_the_number_of_heads_is_not_known():
    add = {f"model.layers.{n}.self_attn.qkv_proj.weight": (72, 24) for n in (0, 1)}
    given = {key: array for key, array in arrays("phi3").items() if "qkv" not in key}
    found = wire(given | {key: np.ones(shape) for key, shape in add.items()}, config={})
    assert all("heads isn't known" in reason for reason in found.unknown.values())
    assert {each.name for each in found.graph.connections if "qkv" in each.name} == {
        f"{key}[{part}]" for key in add for part in ("query", "key", "value")
    }
    for part in ("query", "key", "value"):
        assert f"model.layers.0.self_attn.{part}" in {*found.graph.inputs} & {*found.graph.outputs}


def test_activations_are_recorded_where_they_are_known():
    assert {s.activation for s in wired("bert").graph.spaces if s.name.endswith(".hidden")} == {"gelu"}
    assert {s.activation for s in wired("llama", config={}).graph.spaces if s.name.endswith(".hidden")} == {"unknown"}


def test_a_language_model_without_an_output_layer_reads_with_its_embedding_only_where_its_configuration_says_so():
    config = ROWS["gpt2"]["config"]
    tied = wire(arrays("gpt2"), config=config).graph
    assert "transformer.stream" not in tied.outputs
    for other in ({**config, "architectures": ["GPT2Model"]}, {**config, "tie_word_embeddings": False}):
        assert "transformer.stream" in wire(arrays("gpt2"), config=other).graph.outputs


def test_one_array_under_two_names_is_one_weight_used_twice():
    given = arrays("gpt2")
    given["lm_head.weight"] = given["transformer.wte.weight"]
    graph = wire(given, config=ROWS["gpt2"]["config"]).graph
    assert "lm_head.weight" not in graph.weights
    assert graph.writers("lm_head") == ("transformer.wte.weight",)


def test_names_as_long_as_a_header_allows_take_no_time():
    given = {"module." * 300_000 + "weight": np.ones((3, 2)), "a." * 300_000: np.ones((2, 2))}
    given |= {"h" + "." * 900 + str(number): np.ones((2, 2)) for number in range(100)}
    start = time.perf_counter()
    assert set(wire(given).unknown) == set(given)
    assert time.perf_counter() - start < 5


def test_a_prefix_that_would_be_read_as_a_pattern_leaves_all_not_known():
    given = {f"a{{n}}.{key}": array for key, array in arrays("llama").items()}
    found = wire(given, config=ROWS["llama"]["config"])
    assert (found.graph, set(found.unknown)) == (None, set(given))


def test_a_number_of_key_heads_that_the_shapes_have_not_is_not_believed():
    found = varied("llama", config={"num_key_value_heads": 1})
    reason = "1 key heads are said, but the shapes have 2"
    assert found.unknown
    assert all(each.startswith(reason) for each in found.unknown.values())


def test_a_decoder_without_its_encoder_reads_a_memory_that_is_the_world_s():
    """`nn.TransformerDecoder` alone: what an encoder gave is an input."""
    given = {
        key.removeprefix("decoder."): array for key, array in arrays("transformer").items() if "encoder" not in key
    }
    found = wire(given, config=ROWS["transformer"]["config"])
    assert not found.unknown
    assert "memory" in {*found.graph.inputs} & {*found.graph.outputs}
    assert "layers.0.multihead_attn.in_proj_weight[key]" in found.graph.readers("memory")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model_state_dict.module."])
def test_wrappers_are_taken_off_the_names(prefix):
    given = {prefix + key: array for key, array in arrays("llama").items()}
    found = wire(given, config=ROWS["llama"]["config"])
    assert not found.unknown
    assert sorted(text(found.graph).replace(prefix, "").split("\n")) == text(wired("llama").graph).split("\n")


def test_names_that_collide_without_their_wrappers_are_reported():
    given = arrays("mlp")
    found = wire(given | {"module.0.weight": given["0.weight"]})
    assert found.unknown == {"module.0.weight": "without its wrapper it has the name of another tensor"}


def test_experts_that_are_numbered_are_wired_each_alone():
    given = arrays("mixtral")
    for layer in (0, 1):
        up = given.pop(f"model.layers.{layer}.mlp.experts.gate_up_proj")
        down = given.pop(f"model.layers.{layer}.mlp.experts.down_proj")
        given[f"model.layers.{layer}.block_sparse_moe.gate.weight"] = given.pop(f"model.layers.{layer}.mlp.gate.weight")
        for expert in range(3):
            at = f"model.layers.{layer}.block_sparse_moe.experts.{expert}"
            given |= {f"{at}.w1.weight": up[expert, :20], f"{at}.w3.weight": up[expert, 20:]}
            given[f"{at}.w2.weight"] = down[expert]
    found = wire(given, config=ROWS["mixtral"]["config"])
    assert not found.unknown
    at = "model.layers.1.block_sparse_moe.experts.2"
    assert found.graph.writers(f"{at}.hidden") == (f"{at}.w1.weight", f"{at}.w3.weight")
    assert found.graph.readers(f"{at}.hidden") == (f"{at}.w2.weight",)


def test_adapters_without_their_model_are_wired_from_rank_to_rank():
    given = {key: array for key, array in arrays("adapters").items() if "lora_" in key}
    found = wire(given)
    assert (found.rule, dict(found.unknown)) == ("low-rank adapters", {})
    rank = "transformer.h.0.attn.c_attn.rank.default"
    assert found.graph.space(rank).units == 3
    assert rank not in {*found.graph.inputs, *found.graph.outputs}


KERAS = {
    "conv2d/kernel": (3, 3, 3, 4), "conv2d/bias": (4,), "batch_normalization/gamma": (4,),
    "batch_normalization/beta": (4,), "batch_normalization/moving_mean": (4,),
    "batch_normalization/moving_variance": (4,), "dense/kernel": (36, 5), "dense/bias": (5,), "dense_1/kernel": (5, 2),
}  # fmt: skip
KERAS_FILE = {
    "layers/dense/vars/0": (6, 5), "layers/dense/vars/1": (5,), "layers/dense_1/vars/0": (5, 4),
    "layers/dense_1/vars/1": (4,),
}  # fmt: skip
KERAS_LSTM = {
    "lstm/lstm_cell/kernel": (3, 16), "lstm/lstm_cell/recurrent_kernel": (4, 16), "lstm/lstm_cell/bias": (16,),
    "dense/kernel": (4, 2), "dense/bias": (2,),
}  # fmt: skip
FLAX = {
    "params.Conv_0.kernel": (3, 3, 3, 4), "params.Conv_0.bias": (4,), "params.BatchNorm_0.scale": (4,),
    "params.BatchNorm_0.bias": (4,), "params.Dense_0.kernel": (256, 5), "params.Dense_0.bias": (5,),
    "params.Dense_1.kernel": (5, 3), "batch_stats.BatchNorm_0.mean": (4,), "batch_stats.BatchNorm_0.var": (4,),
}  # fmt: skip


@pytest.mark.parametrize(
    ("shapes", "lines"),
    [
        (KERAS, ["'dense/kernel', (9, 4, 5) float64: (receptive, in conv2d, out dense)",
                 "(receptive, receptive, in input, out conv2d)", "variance of a batch norm, (out conv2d)"]),
        (KERAS_FILE, ["'layers/dense_1/vars/0', (5, 4) float64: (in dense, out output)"]),
        (KERAS_LSTM, ["'lstm/lstm_cell/recurrent_kernel', (4, 4, 4) float64: (in lstm, gate, out lstm)"]),
        (FLAX, ["'params.Dense_0.kernel', (64, 4, 5) float64: (receptive, in Conv_0, out Dense_0)",
                "'batch_stats.BatchNorm_0.var', (4,) float64: variance of a batch norm, (out Conv_0)"]),
        ({"conv2d_7/kernel": (3, 3, 3, 4), "conv2d_10/kernel": (3, 3, 4, 5), "dense/kernel": (5, 2)},
         ["(receptive, receptive, in conv2d_7, out conv2d_10)", "'dense/kernel', (5, 2) float64: (in conv2d_10, out"]),
        ({"depthwise_conv2d/kernel": (3, 3, 3, 1), "depthwise_conv2d_1/kernel": (3, 3, 3, 1), "dense/kernel": (3, 2)},
         ["'depthwise_conv2d/kernel', (3, 3, 3) float64: scale of no norm, (receptive, receptive, out input)",
          "'depthwise_conv2d_1/kernel', (3, 3, 3) float64: scale of no norm, (receptive, receptive, out input)",
          "'dense/kernel', (3, 2) float64: (in input, out output)"]),
        ({"W1": (5, 3), "b1": (5,), "W2": (2, 5), "b2": (2,)}, ["'W2', (2, 5) float64: (out output, in 1)"]),
        ({"W1": (3, 5), "b1": (5,), "W2": (5, 2), "b2": (2,)}, ["'W2', (5, 2) float64: (in 1, out output)"]),
        ({"hidden.weight": (5, 3), "top.weight": (2, 5)}, ["(out output, in hidden)"]),
        ({"0.weight": (3,), "0.bias": (3,), "1.weight": (5, 3), "2.weight": (2, 5)},
         ["'0.weight', (3,) float64: scale, (out input)", "'1.weight', (5, 3) float64: (out 1, in input)"]),
        ({"0.weight": (5, 3), "1.weight": (1,), "2.weight": (2, 5)}, ["(out output, in 0)"]),
        ({key: shape for key, shape in KERAS_LSTM.items() if "bias" not in key},
         ["'lstm/lstm_cell/kernel', (3, 4, 4) float64: (in input, gate, out lstm)"]),
    ],
)  # fmt: skip
def test_layers_of_other_frameworks_have_their_units_along_the_last_axis(shapes, lines):
    found = wire({name: np.ones(shape) for name, shape in shapes.items()})
    assert not found.unknown
    for line in lines:
        assert line in text(found.graph)


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({"0.weight": (5, 3), "2.weight": (2, 4)}, "2 reads 4 units, and the layer before it writes 5"),
        ({"0.weight": (8, 3, 3, 3), "1.weight": (8, 4, 3, 3)}, "1 is transposed or in groups, and no bias says which"),
        ({"0.weight": (5, 3), "1.weight": (4,), "1.bias": (4,), "2.weight": (2, 5)}, "1 normalizes 4 units"),
        ({"fc1.weight": (5, 5), "conv.weight": (5, 5)}, "no rule knows it"),  # two words: which comes first?
        ({"left.weight": (5, 5), "right.weight": (5, 5)}, "no rule knows it"),
        ({"left.weight": (5, 3), "right.weight": (5, 3)}, "no rule knows it"),
        ({"actor.0.weight": (5, 3), "critic.0.weight": (5, 3)}, "no rule knows it"),
        ({"W1": (5, 5), "W2": (5, 5)}, "no rule knows it"),
        ({"q1.weight": (5, 5), "q2.weight": (5, 5)}, "no rule knows it"),  # twin critics are no row
        ({"fc1.weight": (5, 3), "fc1_weight": (5, 3)}, "no rule knows it"),  # one layer twice
        ({"W1": (5, 3), "conv.weight": (2, 5, 3, 3)}, "no rule knows it"),
        ({"conv1.weight": (8, 3, 3, 3), "conv2.weight": (8, 8, 3, 3)} | {f"bn{n}.weight": (8,) for n in (1, 2, 3)}
         | {f"bn{n}.bias": (8,) for n in (1, 2, 3)}, "no rule knows it"),  # which norm follows which?
        ({"0.weight": (5, 3), "1.weight": (5,), "1.bias": (4,), "2.weight": (2, 5)}, "vectors of several lengths"),
        ({"lstm/lstm_cell/kernel": (3, 20), "lstm/lstm_cell/recurrent_kernel": (10, 20), "dense/kernel": (10, 2)},
         "lstm has 20 slices of 10 units, which is no recurrent layer that is known"),
        ({"a{n}.weight": (5, 3)}, "no rule knows it"),
        ({"depthwise_conv2d/kernel": (3, 3, 3, 2), "dense/kernel": (6, 2)}, "depthwise_conv2d makes 2 units of each"),
        ({"fc1.weight": (5, 5), "fc_1.weight": (5, 5)}, "no rule knows it"),  # which is the first?
        ({"0.weight": (8, 3, 3, 3), "1.weight": (8, 5, 3, 3), "1.bias": (5,), "2.weight": (5, 5, 3, 3)},
         "2 is square, and others are transposed: which axis it reads isn't known"),
        ({"x": (3, 4, 5)}, "no rule knows it"),
    ],
)  # fmt: skip
def test_what_is_no_plain_row_for_certain_is_not_guessed(shapes, reason):
    found = wire({name: np.ones(shape) for name, shape in shapes.items()})
    assert found.graph is None
    assert found.rule == ""
    assert set(found.unknown) == set(shapes)
    assert any(reason in each for each in found.unknown.values()), dict(found.unknown)


def test_a_norm_after_a_convolution_may_be_one_of_groups():
    shapes = {"0.weight": (8, 3, 3, 3), "1.weight": (8,), "1.bias": (8,), "2.weight": (2, 8, 3, 3)}
    found = wire({name: np.ones(shape) for name, shape in shapes.items()})
    assert "0" in {*found.graph.inputs} & {*found.graph.outputs}
    assert "may be one of groups" in found.unknown["1.weight"]


def test_a_checkpoint_is_wired_with_the_configuration_beside_it(tmp_path):
    path = tmp_path / "model.safetensors"
    save_safetensors(path, arrays("gpt2"))
    with open_checkpoint(path) as ckpt:
        assert wire(ckpt).unknown
    (tmp_path / "config.json").write_text(json.dumps(ROWS["gpt2"]["config"]))
    with open_checkpoint(path) as ckpt:
        found = wire(ckpt)
        assert not found.unknown
        assert text(found.graph) == text(wired("gpt2").graph)
        assert wire(ckpt, config={}).unknown, "what is given goes before what lies beside"
        assert not wire(ckpt, config=tmp_path / "config.json").unknown


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "it can't be used: the configuration is an array, not a JSON object"),
        ('{"a": NaN}', "it can't be used: the configuration holds NaN"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "more than a configuration has"),
    ],
)
def test_a_malformed_configuration_beside_is_reported_and_the_rest_is_wired(tmp_path, content, reason):
    save_safetensors(tmp_path / "model.safetensors", arrays("mlp"))
    (tmp_path / "config.json").write_text(content)
    with open_checkpoint(tmp_path / "model.safetensors") as ckpt:
        found = wire(ckpt)
    assert found.graph is not None
    assert reason in found.unknown["config.json"]


def test_a_configuration_that_is_a_symbolic_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere.json").write_text(json.dumps(ROWS["gpt2"]["config"]))
    (tmp_path / "config.json").symlink_to(tmp_path / "elsewhere.json")
    save_safetensors(tmp_path / "model.safetensors", arrays("gpt2"))
    with open_checkpoint(tmp_path / "model.safetensors") as ckpt:
        assert "symbolic link" in wire(ckpt).unknown["config.json"]


def test_what_can_not_be_part_of_a_graph_is_reported_with_its_reason():
    given = arrays("mlp") | {"names": np.array(["a"]), "nothing": np.zeros((0, 3))}
    found = wire(given)
    assert found.unknown["names"].startswith("it holds no numbers")
    assert found.unknown["nothing"] == "it is empty"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wire([np.ones(3)]), "an open checkpoint or a mapping"),
        (lambda: wire({"w": [1.0]}), "'w' is a list"),
        (lambda: wire({"w": np.ones((2, 2))}, config=3), "`config` is a mapping"),
        (lambda: wire({"w": np.ones((2, 2))}, wiring=3), "`wiring` is a path"),
    ],
)
def test_arguments_of_another_kind_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_a_wired_model_prints_what_was_understood_and_what_was_not():
    shown = str(wire(arrays("mlp") | {"module.0.weight": np.ones((8, 3))}))
    assert shown.startswith("wired by: numbered layers\nLayerGraph: ")
    assert "not known:\n  'module.0.weight': without its wrapper" in shown
    assert "told apart:\n  '0': " in shown
    gpt2 = str(wire(arrays("gpt2")))
    assert "heads isn't known, so" in gpt2
    assert max(map(len, f"{shown}\n{gpt2}".split("\n"))) <= 80
    assert str(wire({"x": np.ones((3, 4, 5))})).startswith("wired by: nothing, no rule knows these names")


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("names", [("fc{}_weight", "fc{}_bias"), ("fc{}.weight", "fc{}.bias"), ("W{}", "b{}")])
def test_rows_of_layers_in_the_names_and_shapes_of_matlab(names, axis):
    """MATLAB's names have no dots, and its vectors are rows or columns."""
    weight, bias = names
    vector = np.zeros if axis is None else (lambda n: np.expand_dims(np.zeros(n), 1 - axis))
    sizes = (3, 6, 5, 2)
    arrays = {weight.format(n): np.ones((sizes[n], sizes[n - 1])) for n in (1, 2, 3)}
    arrays |= {bias.format(n): vector(sizes[n]) for n in (1, 2, 3)}
    found = wire(arrays)
    assert (found.rule, dict(found.unknown), dict(found.apart)) == ("numbered layers", {}, {})
    assert found.graph is not None
    assert {each.name: each.array.shape for each in found.graph.per_unit} == {
        bias.format(n): (sizes[n],) for n in (1, 2, 3)
    }
    assert [space.units for space in found.graph.spaces if space.name not in ("input", "output")] == [6, 5]


def test_a_bias_of_another_length_is_not_taken_for_a_row():
    arrays = {"fc1_weight": np.ones((6, 3)), "fc1_bias": np.zeros((1, 5)), "fc2_weight": np.ones((2, 6))}
    assert "doesn't meet the others" in wire(arrays).unknown["fc1_bias"]


def test_dora_s_lengths_belong_to_the_units_that_are_written_and_equal_rows_are_told_from_others():
    """It divides by the length of each row of a sum, which rows have in common that are equal, and no others surely."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(6, 3))
    first[4] = first[1]
    given = {
        "fc1.base_layer.weight": first,
        "fc1.lora_A.default.weight": rng.normal(size=(2, 3)),
        "fc1.lora_B.default.weight": np.zeros((6, 2)),
        "fc1.lora_magnitude_vector.default.weight": np.linalg.norm(first, axis=1),
        "fc2.weight": rng.normal(size=(2, 6)),
    }
    found = wire(given)
    assert not found.unknown
    per_unit = {each.name: each for each in found.graph.per_unit}
    assert per_unit["fc1.lora_magnitude_vector.default.weight"].kind == "scale"
    assert per_unit["fc1.lora_magnitude_vector.default.weight"].space == "fc1"
    labels = per_unit["fc1.base_layer.weight.rows"].array
    assert labels[1] == labels[4]
    assert len(np.unique(labels)) == 5
