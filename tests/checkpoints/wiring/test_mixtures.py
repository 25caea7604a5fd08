"""How a router chooses experts is read from names and configurations, and copied experts are not called tied."""

import json

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import wire
from symbreak.errors import CannotRepair
from tests.checkpoints._make import DATA

ROWS = {row["model"]: row for row in map(json.loads, (DATA.parent / "wirings.jsonl").read_text("utf-8").splitlines())}
NUMBERED = {
    "model.embed_tokens.weight": (17, 24),
    "model.layers.0.self_attn.o_proj.weight": (24, 24),
    "model.layers.0.block_sparse_moe.gate.weight": (3, 24),
    **{f"model.layers.0.block_sparse_moe.experts.{n}.{w}.weight": (8, 24) for n in range(3) for w in ("w1", "w3")},
    **{f"model.layers.0.block_sparse_moe.experts.{n}.w2.weight": (24, 8) for n in range(3)},
    "model.norm.weight": (24,),
    "lm_head.weight": (17, 24),
}


def shapes_of(name):
    return {key: tuple(shape) for key, shape in ROWS[name]["tensors"].items()}


def drawn(shapes, copied=False):
    """Arrays of numbers of their own; where `copied`, expert 1 of all that has experts is as expert 0."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    if copied:
        for name, array in arrays.items():
            if ".experts." in name or name.endswith(("mlp.gate.weight", "score_correction_bias")):
                array[1] = array[0]
    return arrays


def routers(graph):
    return {space.activation for space in graph.spaces if space.name.endswith(("mlp.experts", "moe.experts"))}


def told_apart(graph):
    return [each.name for each in graph.per_unit if each.name.endswith("experts.apart")]


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("mixtral", "softmax, top_k"),
        ("qwen2 moe", "softmax, top_k"),
        ("deepseek v2", "softmax, top_k"),
        ("deepseek v3", "sigmoid, top_k"),
    ],
)
def test_a_configuration_says_how_experts_are_chosen(name, activation):
    graph = wire(drawn(shapes_of(name)), config=ROWS[name]["config"]).graph
    assert routers(graph) == {activation}
    assert told_apart(graph) == []


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({"num_experts_per_tok": 2}, "top_k"),
        ({"num_experts_per_tok": 2, "model_type": "somebody's"}, "top_k"),
        ({"num_experts_per_tok": 2, "scoring_func": "sigmoid"}, "sigmoid, top_k"),
        ({"num_experts_per_tok": 2, "scoring_func": "sigmoid", "model_type": "mixtral"}, "sigmoid, top_k"),
        ({"num_experts_per_tok": 2, "scoring_func": "new"}, "top_k"),
        ({"scoring_func": "sigmoid"}, "identity"),
        ({}, "identity"),
    ],
)
def test_where_a_configuration_does_not_say_how_experts_are_chosen_it_is_left_open(config, activation):
    graph = wire(drawn(shapes_of("mixtral")), config=config).graph
    assert routers(graph) == {activation}
    assert bool(told_apart(graph)) == (activation == "identity")


def test_names_that_only_sparse_mixtures_have_say_that_experts_are_chosen_by_index():
    assert routers(wire(drawn(NUMBERED)).graph) == {"top_k"}
    bare = {name: shape for name, shape in shapes_of("deepseek v3").items() if "gate." in name or "experts" in name}
    bare |= {name: shape for name, shape in shapes_of("deepseek v3").items() if "o_proj" in name}
    assert "e_score_correction_bias" in " ".join(bare)
    assert routers(wire(drawn(bare)).graph) == {"top_k"}


@pytest.mark.parametrize("config", [{}, ROWS["mixtral"]["config"]])
def test_copied_experts_are_not_called_tied_whether_or_not_the_router_is_known(config):
    graph = wire(drawn(shapes_of("mixtral"), copied=True), config=config).graph
    report = sb.diagnose(graph)
    assert not [each for each in report.findings if each.code == "SB201"]
    assert report.partition["model.layers.0.mlp.experts"].tolist() == [0, 1, 2]


def test_a_merge_of_copied_experts_is_refused_with_the_router_as_the_reason():
    graph = wire(drawn(shapes_of("mixtral"), copied=True), config=ROWS["mixtral"]["config"]).graph
    with pytest.raises(CannotRepair, match=r"picks copies by index \('softmax, top_k'\)"):
        sb.merge(graph)
