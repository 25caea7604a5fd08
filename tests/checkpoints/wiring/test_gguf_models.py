"""A GGUF model is wired as the model that it was converted from: the same arrays run over the same spaces."""

import json
import re

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import open_checkpoint, save_wiring, wire
from symbreak.checkpoints.wiring._build import build
from symbreak.checkpoints.wiring._gguf import gguf_wiring
from symbreak.checkpoints.wiring._names import Names
from tests.checkpoints._make import DATA
from tests.checkpoints._make_gguf import FLOAT32, TEXT, UINT32, gguf, pair, tensor, text, u32

ROWS = {row["model"]: row for row in map(json.loads, (DATA.parent / "wirings.jsonl").read_text("utf-8").splitlines())}
FOUR = ("gemma2", "olmo2")  # with norms behind attention and dense layers
NAMES = {
    r"(?:model\.embed_tokens|transformer\.wte|gpt_neox\.embed_in)": "token_embd",
    r"transformer\.wpe": "position_embd",
    r"(?:model\.norm|model\.final_layernorm|transformer\.ln_f|gpt_neox\.final_layer_norm)": "output_norm",
    r"lm_head": "output",
    r"(?:model\.layers|transformer\.h|gpt_neox\.layers)\.(\d+)\.(.+)": None,
}
PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.dense": "attn_output", "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up", "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm", "mlp.gate": "ffn_gate_inp",
    "mlp.experts.gate_proj": "ffn_gate_exps", "mlp.experts.up_proj": "ffn_up_exps",
    "mlp.experts.down_proj": "ffn_down_exps", "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp", "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down", "ln_1": "attn_norm", "ln_2": "ffn_norm",
}  # fmt: skip
MODELS = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2",
          "olmo2": "olmo2", "phi3": "phi3", "phi": "phi2", "mixtral": "llama", "qwen2 moe": "qwen2moe",
          "gpt2": "gpt2"}  # fmt: skip


def original(name):
    """The arrays of a model of transformers, with stacked experts apart as GGUF has them."""
    rng = np.random.default_rng(0)
    arrays = {}
    for key, shape in ROWS[name]["tensors"].items():
        array = rng.normal(size=shape)
        if key.endswith("experts.gate_up_proj"):
            half = shape[1] // 2
            for part, some in (("gate", array[:, :half]), ("up", array[:, half:])):
                arrays[key.replace("gate_up_proj", f"{part}_proj")] = np.ascontiguousarray(some)
        else:
            arrays[key] = array
    return arrays


def converted(name, key):
    stem, _, leaf = key.rpartition(".") if key.endswith((".weight", ".bias")) else (key, "", "weight")
    for pattern, made in NAMES.items():
        found = re.fullmatch(pattern, stem)
        if found and made is not None:
            return f"{made}.{leaf}"
        if found:
            part = PARTS[found[2]]
            if name in FOUR and found[2] == "post_attention_layernorm":
                part = "post_attention_norm"
            return f"blk.{found[1]}.{part}.{leaf}"
    raise KeyError(key)


def keys_of(name):
    config = ROWS[name]["config"]
    heads = config.get("num_attention_heads", config.get("n_head"))
    own = {"attention.head_count": heads, "attention.head_count_kv": config.get("num_key_value_heads", heads)}
    epsilon = "layer_norm_rms_epsilon" if "rms_norm_eps" in config else "layer_norm_epsilon"
    return {"architecture": MODELS[name], "hyperparameters": own | {f"attention.{epsilon}": 1e-6}}


def in_gguf(name):
    """The same arrays under GGUF's names: weights are (out, in) there, and a gate of one number is a vector."""
    arrays = {}
    for key, array in original(name).items():
        turned = name == "gpt2" and ".c_" in key and array.ndim == 2
        array = array[0] if key.endswith("shared_expert_gate.weight") else array
        arrays[converted(name, key)] = array.T if turned else array
    return arrays


def built(name, arrays, keys=None):
    shapes = {key: array.shape for key, array in arrays.items()}
    wiring = gguf_wiring(keys or keys_of(name), shapes)
    return build(wiring, Names.plain(shapes), arrays.__getitem__, {})


def uses(graph):
    return {each.name: (each.axes, *getattr(each, "also", ())) for each in (*graph.connections, *graph.per_unit)}


@pytest.mark.parametrize("name", MODELS)
def test_a_converted_model_has_the_graph_of_the_original(name):
    found = built(name, in_gguf(name))
    assert (dict(found.unknown), dict(found.apart)) == ({}, {})
    same = wire(original(name) | stacked(name), config=ROWS[name]["config"]).graph
    mine = uses(found.graph)
    spaces = {}
    for key, axes in uses(same).items():
        stem, bracket, part = key.partition("[")
        if stem.endswith(("experts.gate_up_proj",)):
            own = f"{converted(name, stem.replace('gate_up', part[:-1]))}"
        elif stem.endswith((".apart", ".groups")):
            continue
        else:
            own = converted(name, stem) + bracket + part
        assert own in mine, own
        for theirs, use in zip(axes, mine[own], strict=True):
            assert sorted(axis.role for axis in theirs) == sorted(axis.role for axis in use), own
            order = (
                sorted(range(len(use)), key=lambda n: use[n].role),
                sorted(range(len(theirs)), key=lambda n: theirs[n].role),
            )
            for a, b in zip(*order, strict=True):
                assert spaces.setdefault(theirs[b].space, use[a].space) == use[a].space, (own, theirs, use)
    assert len(set(spaces.values())) == len(spaces)
    theirs = {each.name: each.norm for each in same.per_unit if each.kind in ("scale", "shift")}
    assert {converted(name, key): norm for key, norm in theirs.items()} == {
        each.name: each.norm for each in found.graph.per_unit if each.kind in ("scale", "shift")
    }
    functions = {space.name: space.activation for space in found.graph.spaces}
    assert all(
        functions[own].startswith(same.space(space).activation[:4])
        for space, own in spaces.items()
        if space and same.space(space).activation not in ("identity", "unknown")
    )


def stacked(name):
    """The arrays of experts as transformers has them."""
    arrays = original(name)
    return {
        key.replace("gate_proj", "gate_up_proj"): np.concatenate([array, arrays[key.replace("gate_", "up_")]], axis=1)
        for key, array in arrays.items()
        if key.endswith("experts.gate_proj")
    }


def test_heads_of_every_layer_may_be_listed():
    arrays = in_gguf("llama")
    for part in ("k", "v"):
        arrays[f"blk.1.attn_{part}.weight"] = np.ones((24, 24))
    own = keys_of("llama")["hyperparameters"] | {"attention.head_count": [4, 4], "attention.head_count_kv": [2, 4]}
    found = built("llama", arrays, {"architecture": "llama", "hyperparameters": own})
    assert not found.unknown
    sizes = {space.name: space.units for space in found.graph.spaces}
    assert (sizes["blk.0.attn.groups"], sizes["blk.1.attn.heads"]) == (2, 4)
    assert "blk.1.attn.groups" not in sizes


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"attention.head_count": None}, "the file has no key attention.head_count"),
        ({"attention.head_count": 5}, "5 heads don't fit 24 units of queries and 12 of keys"),
        ({"attention.head_count": True}, "the file has no key attention.head_count"),
        ({"attention.head_count": [4]}, "the file has no key attention.head_count"),
    ],
)
def test_numbers_of_heads_that_are_not_there_or_do_not_fit_tell_units_apart(change, reason):
    own = keys_of("llama")["hyperparameters"] | change
    found = built("llama", in_gguf("llama"), {"architecture": "llama", "hyperparameters": own})
    assert any(reason in each for each in found.wiring.unknown.values()), found.wiring.unknown
    assert {"blk.1.attn.value", "blk.1.attn.query"} <= set(found.graph.inputs)


def test_heads_that_do_not_fit_fused_rows_are_said():
    own = keys_of("phi3")["hyperparameters"] | {"attention.head_count": 7}
    found = built("phi3", in_gguf("phi3"), {"architecture": "phi3", "hyperparameters": own})
    assert any("7 and 2 heads don't fit 48 rows" in each for each in found.wiring.unknown.values())


def test_norms_of_each_head_have_its_heads():
    """Of queries and keys, as Command R has them."""
    norms = {
        f"blk.{n}.attn_{part}_norm.weight": np.ones((heads, 6)) for n in (0, 1) for part, heads in (("q", 4), ("k", 2))
    }
    found = built("llama", in_gguf("llama") | norms)
    assert not found.unknown
    spaces = {each.name: [axis.space for axis in each.axes] for each in found.graph.per_unit if each.name in norms}
    assert spaces["blk.0.attn_q_norm.weight"] == ["blk.0.attn.heads", "blk.0.attn.query_key"]
    assert spaces["blk.1.attn_k_norm.weight"] == ["blk.1.attn.groups", "blk.1.attn.query_key"]


def test_slopes_of_positions_tell_heads_apart_and_rotary_ones_units():
    arrays = in_gguf("gpt2")
    for architecture, apart in (("bloom", {"blk.0.attn.heads"}), ("gpt2", set()), ("falcon", {"blk.0.attn.query_key"})):
        graph = built("gpt2", arrays, keys_of("gpt2") | {"architecture": architecture}).graph
        made = {each.name.removesuffix(".apart") for each in graph.per_unit if each.name.endswith(".apart")}
        assert {each for each in made if "blk.0" in each} == apart


def test_norms_without_parameters_are_known_by_the_lack_of_any():
    arrays = {key: array for key, array in in_gguf("llama").items() if "norm" not in key}
    graph = built("llama", arrays, keys_of("llama") | {"architecture": "olmo"}).graph
    assert graph.space("stream").activation == "layer_norm"


def written(path, arrays, architecture="llama", own=()):
    """Write a file; `own` are the numbers of the architecture."""
    pairs = [pair("general.architecture", TEXT, text(architecture))]
    pairs += [pair(f"{architecture}.{key}", UINT32, u32(value)) for key, value in dict(own).items()]
    entries, data = [], b""
    for name, array in arrays.items():
        data += bytes(-len(data) % 32)
        entries.append(tensor(name, tuple(reversed(array.shape)), FLOAT32, len(data)))
        data += np.ascontiguousarray(array, "<f4").tobytes()
    path.write_bytes(gguf(pairs, entries, data))


def test_a_file_is_wired_by_its_architecture_and_a_tie_in_it_is_found(tmp_path):
    arrays = in_gguf("llama")
    for part in ("gate", "up"):
        arrays[f"blk.1.ffn_{part}.weight"][3] = arrays[f"blk.1.ffn_{part}.weight"][0]
    arrays["blk.1.ffn_down.weight"][:, 3] = arrays["blk.1.ffn_down.weight"][:, 0]
    own = {"attention.head_count": 4, "attention.head_count_kv": 2}
    written(tmp_path / "m.gguf", arrays, own=own)
    with open_checkpoint(tmp_path / "m.gguf") as ckpt:
        found = wire(ckpt)
        save_wiring(found, tmp_path / "wiring.toml")
        again = wire(ckpt, wiring=tmp_path / "wiring.toml")
    assert (found.rule, dict(found.unknown)) == ("GGUF architecture", {})
    assert sorted(map(repr, again.graph.connections)) == sorted(map(repr, found.graph.connections))
    ties = [each for each in sb.diagnose(tmp_path / "m.gguf", wiring=True).findings if each.code == "SB201"]
    assert [(each.where.rpartition("space ")[2], each.groups) for each in ties] == [("blk.1.ffn", ((0, 3),))]
    written(tmp_path / "n.gguf", arrays, "novel", own)
    with open_checkpoint(tmp_path / "n.gguf") as ckpt:
        found = wire(ckpt)
    assert (found.graph, found.rule) == (None, "")
