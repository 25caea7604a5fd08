"""Which norm a scale is of is read from names, statistics and configurations, so that blocked units are found there."""

import json
import re

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import wire
from symbreak.checkpoints.wiring._build import build
from symbreak.checkpoints.wiring._keras import keras_wiring
from symbreak.checkpoints.wiring._names import Names
from symbreak.graph import OF_NORMS
from tests.checkpoints._make import DATA
from tests.checkpoints.wiring._permute import places, uses
from tests.data.make_wirings import MODELS, saved, tolerate

ROWS = {row["model"]: row for row in map(json.loads, (DATA.parent / "wirings.jsonl").read_text("utf-8").splitlines())}
UNIT = 2
LAYER = ("gpt2", "bert", "distilbert", "phi", "neox", "opt", "bart", "vit", "clip", "timm vit", "encoder",
         "transformer", "swin", "timm swin", "transformers swin", "transformers swin v2", "convnext",
         "timm convnext")  # fmt: skip
RMS = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "olmo2", "phi3", "mixtral", "qwen2 moe", "deepseek v2", "t5",
       "t5 gated")  # fmt: skip
BATCH = (
    "transformers mobilenet v1",
    "resnet",
    "resnext",
    "vgg",
    "cnn",
    "mobilenet v2",
    "timm mobilenet v3",
    "transformers efficientnet",
)
# Scales of lengths and responses; and those of branches, and kernels that read each unit alone, which are of no norm.
MADE_OF_MANY = r".*(\.original0|magnitude_vector\..*|grn\.(weight|bias)|logit_scale)"
ALONE = (
    r".*(layer_scale(_parameter)?|\.gamma)"
    r"|mobilenet_v1\.layer\.[0-9]*[02468]\.convolution\.weight"
    r"|.*(conv_dw|dwconv|depthwise_conv|conv_3x3\.convolution)\.weight"
    r"|features\..*\.(conv|block)\.[0-9](\.0)?\.weight|3\.weight"
)


def shapes_of(name):
    return {key: tuple(shape) for key, shape in ROWS[name]["tensors"].items()}


def norms(graph):
    """The norms that are named, by the names of their parameters."""
    return {each.name: each.norm for each in graph.per_unit if each.kind in OF_NORMS}


def wired(shapes, config=None):
    return wire({name: np.zeros(shape) for name, shape in shapes.items()}, config=config or {}).graph


@pytest.mark.parametrize(
    ("norm", "name"),
    [(norm, name) for norm, names in (("layer", LAYER), ("rms", RMS), ("batch", BATCH)) for name in names],
)
def test_a_family_says_which_norms_it_has(norm, name):
    found = norms(wired(shapes_of(name), ROWS[name]["config"]))
    assert norm in found.values()
    assert set(found.values()) <= {norm, "none", None}
    assert [each for each, which in found.items() if which is None and not re.fullmatch(MADE_OF_MANY, each)] == []
    assert [each for each, which in found.items() if which == "none" and not re.fullmatch(ALONE, each)] == []


def test_without_a_shift_or_a_configuration_nothing_is_guessed():
    """Cohere's layer norms have the names and shapes of Llama's RMS norms."""
    shapes = shapes_of("llama")
    assert set(norms(wired(shapes)).values()) == {None}
    assert set(norms(wired(shapes, {"layer_norm_eps": 1e-5})).values()) == {None}
    assert set(norms(wired(shapes, {"model_type": "cohere", "layer_norm_eps": 1e-5})).values()) == {"layer"}
    assert set(norms(wired(shapes, {"text_config": {"rms_norm_eps": 1e-5}})).values()) == {"rms"}


def test_a_shift_shows_that_a_norm_is_no_rms_norm_whatever_the_configuration_says():
    shapes = shapes_of("llama") | {"model.norm.bias": (24,)}
    found = norms(wired(shapes, {"rms_norm_eps": 1e-5}))
    assert (found.pop("model.norm.weight"), found.pop("model.norm.bias")) == ("layer", "layer")
    assert set(found.values()) == {"rms"}


def test_norms_of_gpt2_without_shifts_and_of_residual_networks_without_statistics_are_not_named():
    bare = {name: shape for name, shape in shapes_of("gpt2").items() if not (".ln_" in name and name.endswith("bias"))}
    assert set(norms(wired(bare)).values()) == {None}
    for statistics in ("running", "running_var", "running_mean"):
        bare = {name: shape for name, shape in shapes_of("resnet").items() if statistics not in name}
        assert set(norms(wired(bare)).values()) == {None}


@pytest.mark.parametrize(
    ("leaves", "word", "norm"),
    [
        (("weight", "bias"), "layer_norm", "layer"),
        (("gamma", "beta"), "layer_normalization", "layer"),
        (("scale", "bias"), "LayerNorm", "layer"),
        (("weight", "bias"), "batch_norm", "batch"),
        (("weight", "bias", "running_mean", "running_var"), "norm", "batch"),
        (("weight", "bias", "running_mean"), "norm", None),
        (("weight", "bias"), "norm", None),
        (("weight", "bias"), "ln", None),
    ],
)
def test_in_a_plain_row_a_norm_is_known_by_its_statistics_or_its_whole_name(leaves, word, norm):
    shapes = {"fc1.weight": (6, 3), "fc2.weight": (2, 6)} | {f"{word}1.{leaf}": (6,) for leaf in leaves}
    found = norms(wired(shapes))
    assert found == dict.fromkeys([f"{word}1.{leaf}" for leaf in leaves], norm)


def zeroed(graph, space, units):
    """Places of what units hold and of what they read and are read with; and those of all that belongs to them."""
    kinds = {each.name: each.kind for each in graph.per_unit}
    some, all_ = [], []
    for name, array, axes in uses(graph):
        for number, axis in enumerate(axes):
            if axis.space in space.split(", "):
                found = np.take(array, units, axis=number).ravel()
                all_ += found.tolist()
                some += found.tolist() if kinds.get(name) not in ("scale", "variance") else []
    return some, all_


def planted(shapes, config, space, units):
    """A graph in which units are dead on both sides; `units` is None for all of a space."""
    at, total = places(shapes)
    rng = np.random.default_rng(0)
    values = np.abs(rng.normal(size=total)) + 0.1
    graph = wire(at, config=config).graph
    units = list(range(graph.space(space.partition(",")[0]).units)) if units is None else units
    values[zeroed(graph, space, units)[0]] = 0
    return wire({name: np.asarray(values[place]) for name, place in at.items()}, config=config).graph


def blocked(graph):
    """The units of each space of which SB203 is said."""
    return {f.where.removeprefix("space "): list(f.groups[0]) for f in sb.diagnose(graph).findings if f.code == "SB203"}


PLANTED = {
    "llama": ("model.stream", "rms"),
    "mixtral": ("model.stream", "rms"),
    "t5": ("encoder.stream, decoder.stream", "rms"),  # one labelling: they share a table
    "deepseek v3": ("model.layers.1.self_attn.key_value", "rms"),
    "resnet": ("layer1.0.conv1", "batch"),
    "vgg": ("features.0", "batch"),
    "gpt2": ("transformer.stream", "layer"),
    "bert": ("bert.stream", "layer"),
    "clip": ("text_model.stream", "layer"),
    "encoder": ("layers.0.hidden", ""),
    "transformers efficientnet": (
        "efficientnet.encoder.blocks.1.expansion.expand_conv",
        "batch",
    ),  # with a depthwise kernel, which is of no norm
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_unit_that_is_dead_on_both_sides_is_blocked_behind_an_rms_or_a_batch_norm_and_not_behind_a_layer_norm(name):
    space, norm = PLANTED[name]
    config = ROWS[name]["config"] | ({"hidden_act": "relu"} if name in ("encoder", "vgg") else {})
    found = blocked(planted(shapes_of(name), config, space, [UNIT]))
    assert found == ({} if norm == "layer" else {space: [UNIT]})


def test_without_the_configuration_nothing_is_said_of_a_unit_behind_a_norm_that_it_would_name():
    config = {key: value for key, value in ROWS["llama"]["config"].items() if key != "rms_norm_eps"}
    assert blocked(planted(shapes_of("llama"), config, "model.stream", [UNIT])) == {}


def test_norms_without_parameters_are_known_by_the_lack_of_any():
    """OLMo's first model has layer norms that nothing of is in a file."""
    config = {key: value for key, value in ROWS["llama"]["config"].items() if key != "rms_norm_eps"}
    shapes = {name: shape for name, shape in shapes_of("llama").items() if "norm" not in name}
    graph = planted(shapes, config, "model.stream", [UNIT])
    assert graph.space("model.stream").activation == "layer_norm"
    assert blocked(graph) == {}


def test_all_units_of_a_stream_are_blocked_behind_a_layer_norm_too():
    config = ROWS["gpt2"]["config"]
    graph = planted(shapes_of("gpt2"), config, "transformer.stream", None)
    assert blocked(graph)["transformer.stream"] == list(range(24))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["llama", "t5", "resnet", "gpt2", "bert"])
def test_in_the_model_itself_a_blocked_unit_has_no_gradient_at_all_and_one_behind_a_layer_norm_has(name):
    torch = pytest.importorskip("torch")
    tolerate()
    pytest.importorskip("timm" if name == "resnet" else "transformers", exc_type=ImportError)
    space, norm = PLANTED[name]
    torch.manual_seed(0)
    model = MODELS[name].build().train()
    at, total = places({key: tuple(tensor.shape) for key, tensor in saved(model).items()})
    graph = wire(at, config=ROWS[name]["config"]).graph
    dead, own = zeroed(graph, space, [UNIT])
    mask = np.ones(total, bool)
    mask[dead] = False
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for key, tensor in saved(model).items():
            if key in parameters:
                tensor *= torch.tensor(mask[at[key]])
    output = model(**MODELS[name].inputs())
    output = output if torch.is_tensor(output) else output[0]
    (output**2).sum().backward()
    gradient = np.zeros(total)
    for key, parameter in parameters.items():
        if key in at and parameter.grad is not None:
            gradient[at[key]] = parameter.grad.numpy()
    assert np.abs(gradient).max() > 0
    assert (not gradient[own].any()) == (norm != "layer")


def layer(kind, **config):
    return {"class_name": kind, "config": {"name": kind.lower(), **config}}


@pytest.mark.parametrize(
    ("kind", "leaves", "config", "norm"),
    [
        ("BatchNormalization", ("gamma", "beta", "moving_mean", "moving_variance"), {}, "batch"),
        ("LayerNormalization", ("gamma", "beta"), {}, "layer"),
        ("LayerNormalization", ("gamma",), {"rms_scaling": True}, None),
        ("RMSNormalization", ("scale",), {}, "rms"),
        ("GroupNormalization", ("gamma", "beta"), {"groups": 2}, "group"),
    ],
)
def test_a_layer_of_keras_says_which_norm_it_is(kind, leaves, config, norm):
    layers = [layer("Dense", units=6), layer(kind, **config), layer("Dense", units=2) | {"name": "last"}]
    layers[2]["config"]["name"] = "last"
    layers[0]["config"]["batch_input_shape"] = [None, 3]
    shapes = {"dense/kernel": (3, 6), "last/kernel": (6, 2)} | {f"{kind.lower()}/{leaf}": (6,) for leaf in leaves}
    arrays = {name: np.ones(shape) for name, shape in shapes.items()}
    wiring = keras_wiring({"class_name": "Sequential", "config": {"layers": layers}}, shapes)
    graph = build(wiring, Names.plain(shapes), arrays.__getitem__, {}).graph
    assert norms(graph) == dict.fromkeys([f"{kind.lower()}/{leaf}" for leaf in leaves], norm)
    bare = keras_wiring(
        {"class_name": "Sequential", "config": {"layers": layers}},
        {name: shape for name, shape in shapes.items() if "d" in name},
    )
    named = f"{norm}_norm" if norm else "unknown"
    assert {spec.activation for name, spec in bare.spaces.items() if name.startswith("dense")} == {named}
