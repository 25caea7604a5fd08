"""Models that people use, from their libraries' configs: `initialize` covers every parameter, and what it says holds.

All of them are gone through by ``python -m tests.torch.whole_models``.
"""

import importlib.util

import pytest

import symbreak as sb

torch = pytest.importorskip("torch")
for each in ("transformers", "timm", "torchvision"):
    if importlib.util.find_spec(each) is None:
        pytest.skip(f"{each} is not installed", allow_module_level=True)

from . import whole_models  # noqa: E402

NAMES = (
    "transformers bert", "transformers gpt2", "transformers llama", "transformers gemma", "transformers mixtral",
    "transformers gpt_oss", "transformers t5", "transformers whisper", "transformers vit", "transformers clip",
    "torchvision mobilenet_v3_small", "torchvision squeezenet1_1", "timm mobilenetv3_small_050", "timm convnext_atto",
)  # fmt: skip


@pytest.fixture(scope="module")
def built():
    """Give what builds each model; all libraries are imported once."""
    return dict(whole_models.builders())


@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_covered_and_as_planned(built, name):
    model = built[name]()
    _, known, unknown, complaints = whole_models.look(model)
    assert complaints == []
    assert known > 0.999
    assert all(each.endswith("sinks") for each in unknown)  # of GPT-OSS: one number a head


@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize(
    "name", ["transformers llama", "transformers bert", "transformers whisper", "transformers gemma"]
)
def test_a_meta_model_of_transformers_computes_what_one_on_the_cpu_does(built, name):
    with torch.device("meta"):
        meta = built[name]()
    sb.torch.initialize(meta, rng=2, device="cpu")
    plain = built[name]()
    sb.torch.initialize(plain, rng=2)
    assert not [name for name, buffer in meta.named_buffers() if buffer.is_meta]
    for (name_, mine), (_, theirs) in zip(meta.named_buffers(), plain.named_buffers(), strict=True):
        assert torch.equal(mine, theirs), name_
    tokens = torch.arange(2, 12).reshape(2, 5)
    given = {"input_ids": tokens}
    if "whisper" in name:
        given = {"input_features": torch.linspace(-1, 1, 2 * 80 * 100).reshape(2, 80, 100), "decoder_input_ids": tokens}
    with torch.no_grad():
        assert torch.equal(meta.eval()(**given).logits, plain.eval()(**given).logits)


@pytest.mark.filterwarnings("ignore::Warning")
def test_a_norm_that_adds_one_starts_at_zero_and_the_others_at_one(built):
    for name, value in (("transformers gemma", 0.0), ("transformers llama", 1.0)):
        model = built[name]()
        sb.torch.initialize(model)
        assert {each.item() for each in model.model.norm.weight.unique()} == {value}


@pytest.mark.filterwarnings("ignore::Warning")
def test_the_sinusoids_of_whisper_are_those_that_it_comes_with(built):
    model = built["transformers whisper"]()
    before = model.model.encoder.embed_positions.weight.clone()
    sb.torch.initialize(model)
    assert torch.allclose(model.model.encoder.embed_positions.weight, before, atol=1e-5)


@pytest.mark.filterwarnings("ignore::Warning")
def test_experts_have_the_fans_of_one_expert(built):
    rows = {row.name: row for row in sb.torch.plan(built["transformers mixtral"]()).rows}
    found = {name.rsplit(".", 1)[1]: (row.role, row.fans.fan_in) for name, row in rows.items() if "experts" in name}
    assert found == {"gate_up_proj": ("expert", 64), "down_proj": ("expert", 128)}
    rows = {row.name: row for row in sb.torch.plan(built["transformers gpt_oss"]()).rows}
    found = {name.rsplit(".", 1)[1]: row.fans for name, row in rows.items() if "experts" in name and len(row.shape) > 2}
    assert {name: fans.fan_in for name, fans in found.items()} == {"gate_up_proj": 64, "down_proj": 128}
