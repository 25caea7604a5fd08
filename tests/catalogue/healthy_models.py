"""Healthy models of 30 million parameters and more, as their frameworks start them: no warning, no error.

Needs torch, torchvision, timm and transformers, and some minutes, so it is run by name::

    python -m tests.catalogue.healthy_models [NAME...]

`--write` writes `healthy.jsonl`, what `test_healthy.py` makes small models of: names and shapes of the first two
layers of some families, and how each array starts.
"""

import itertools
import json
import re
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LEAST = 30_000_000  # parameters

# {name: (class of configuration, class of model, changes of the configuration)}. Depths are cut where the parameters
# allow it; widths, norms, sharing and initializers are those of the families.
TRANSFORMERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertConfig", "BertForPreTraining", {"num_hidden_layers": 4}),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {"n_layer": 4}),
    "t5": ("T5Config", "T5ForConditionalGeneration", {"num_layers": 4}),
    "llama": (
        "LlamaConfig",
        "LlamaForCausalLM",
        {
            "hidden_size": 768,
            "intermediate_size": 2048,
            "num_hidden_layers": 4,
            "num_attention_heads": 12,
            "num_key_value_heads": 4,
        },
    ),
    "mistral": (
        "MistralConfig",
        "MistralForCausalLM",
        {
            "hidden_size": 768,
            "intermediate_size": 2048,
            "num_hidden_layers": 4,
            "num_attention_heads": 12,
            "num_key_value_heads": 4,
        },
    ),
    "mixtral": (
        "MixtralConfig",
        "MixtralForCausalLM",
        {
            "hidden_size": 512,
            "intermediate_size": 1024,
            "num_hidden_layers": 3,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
        },
    ),
    "qwen2-moe": (
        "Qwen2MoeConfig",
        "Qwen2MoeForCausalLM",
        {
            "hidden_size": 512,
            "intermediate_size": 1024,
            "moe_intermediate_size": 256,
            "shared_expert_intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "vocab_size": 32000,
        },
    ),
    "gpt-oss": (
        "GptOssConfig",
        "GptOssForCausalLM",
        {
            "hidden_size": 512,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "num_local_experts": 16,
            "vocab_size": 32000,
        },
    ),
    "phi": (
        "PhiConfig",
        "PhiForCausalLM",
        {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 4, "num_attention_heads": 12},
    ),
    "gemma": (
        "GemmaConfig",
        "GemmaForCausalLM",
        {
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_hidden_layers": 3,
            "num_attention_heads": 8,
            "num_key_value_heads": 1,
            "head_dim": 64,
            "vocab_size": 64000,
        },
    ),
    "vit": ("ViTConfig", "ViTForImageClassification", {"num_hidden_layers": 6}),
    "clip": ("CLIPConfig", "CLIPModel", {}),
    "whisper": (
        "WhisperConfig",
        "WhisperForConditionalGeneration",
        {
            "d_model": 384,
            "encoder_layers": 4,
            "decoder_layers": 4,
            "encoder_attention_heads": 6,
            "decoder_attention_heads": 6,
        },
    ),
    "bart": (
        "BartConfig",
        "BartForConditionalGeneration",
        {"d_model": 512, "encoder_layers": 3, "decoder_layers": 3, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048},
    ),
    "mamba": ("MambaConfig", "MambaForCausalLM", {"num_hidden_layers": 6}),
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2ForPreTraining", {"num_hidden_layers": 4}),
    "deberta": (
        "DebertaV2Config",
        "DebertaV2ForMaskedLM",
        {
            "hidden_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "intermediate_size": 1536,
            "vocab_size": 80000,
        },
    ),
    "swin": ("SwinConfig", "SwinForImageClassification", {"depths": [2, 2, 18, 2]}),
    "beit": ("BeitConfig", "BeitForImageClassification", {"num_hidden_layers": 5}),
    "deformable-detr": (
        "DeformableDetrConfig",
        "DeformableDetrForObjectDetection",
        {
            "use_timm_backbone": False,
            "use_pretrained_backbone": False,
            "backbone": None,
            "backbone_config": {"model_type": "resnet"},
        },
    ),
    "dinov2": ("Dinov2Config", "Dinov2Model", {"num_hidden_layers": 5}),
    "albert": ("AlbertConfig", "AlbertForMaskedLM", {}),
    "rwkv": ("RwkvConfig", "RwkvForCausalLM", {"hidden_size": 512, "num_hidden_layers": 3}),
}
TORCHVISION = (
    "resnet101", "vgg16", "convnext_small", "vit_b_16", "swin_s", "efficientnet_b5",
    "regnet_y_8gf", "alexnet", "wide_resnet50_2",
)  # fmt: skip
TIMM = (
    "mixer_b16_224", "deit_base_patch16_224", "nfnet_f0", "resmlp_24_224", "coatnet_1_224", "cait_s24_224",
    "dm_nfnet_f0", "hrnet_w30", "efficientnetv2_rw_m", "eva02_base_patch14_224",
    "vit_relpos_base_patch16_224", "maxvit_tiny_tf_224", "xcit_medium_24_p16_224", "swinv2_small_window8_256",
)  # fmt: skip


def models() -> dict[str, Callable[[], Any]]:
    """Give a way to build each model."""
    found: dict[str, Callable[[], Any]] = {}
    for name, (config, model, changes) in TRANSFORMERS.items():
        found[name] = lambda config=config, model=model, changes=changes: _transformer(config, model, changes)
    for name in TORCHVISION:
        found[f"torchvision-{name}"] = lambda name=name: _torchvision(name)
    for name in TIMM:
        found[f"timm-{name}"] = lambda name=name: _timm(name)
    for build in (_torch_transformer, _lstm, _plain_mlp):
        found[build.__name__.strip("_").replace("_", "-")] = build
    return found


def _transformer(config: str, model: str, changes: dict[str, Any]) -> Any:
    import transformers

    return getattr(transformers, model)(getattr(transformers, config)(**changes))


def _torchvision(name: str) -> Any:
    import torchvision

    return getattr(torchvision.models, name)(weights=None)


def _timm(name: str) -> Any:
    import timm

    return timm.create_model(name, pretrained=False)


def _torch_transformer() -> Any:
    """Layers built one by one: `nn.TransformerEncoder` would copy one (see the catalogue)."""
    import torch

    return torch.nn.ModuleList([torch.nn.TransformerEncoderLayer(768, 12) for _ in range(6)])


def _lstm() -> Any:
    import torch

    return torch.nn.LSTM(1024, 1024, num_layers=3, bidirectional=True)


def _plain_mlp() -> Any:
    import torch

    widths = [784, *[2048] * 9, 10]
    layers: list[Any] = []
    for inner, outer in itertools.pairwise(widths):
        layers += [torch.nn.Linear(inner, outer), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers)


def state_of(name: str) -> dict[str, Any]:
    """Build one model and give its arrays."""
    import torch

    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state: dict[str, Any] = models()[name]().state_dict()
    return state


def saved(name: str) -> Iterator[Path]:
    """Build one model and save it, as a file of PyTorch."""
    import torch

    state = state_of(name)
    count = sum(value.numel() for value in {value.data_ptr(): value for value in state.values()}.values())
    print(f"{name}: {count / 1e6:.0f}M parameters", end="", flush=True)
    if count < LEAST:
        print(" - too small", end="")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.pt"
        torch.save(state, path)
        yield path


def _without_operators() -> None:
    """Let torchvision be imported where its compiled operators don't fit this torch: only its layers are needed."""
    name = "torchvision._meta_registrations"
    sys.modules.setdefault(name, types.ModuleType(name))


KEPT = (
    "bert", "gpt2", "t5", "llama", "mixtral", "gpt-oss", "clip", "whisper", "bart", "mamba", "wav2vec2", "swin",
    "deformable-detr", "torchvision-resnet101", "torchvision-vgg16", "timm-mixer_b16_224", "timm-nfnet_f0",
    "timm-swinv2_small_window8_256", "rwkv", "lstm",
)  # fmt: skip


def write() -> None:
    """Write names, shapes and starts of the kept models."""
    lines = []
    for name in KEPT:
        rows: list[list[Any]] = []
        first: dict[int, str] = {}
        for key, value in state_of(name).items():
            if value.is_floating_point() and all(int(number) < 2 for number in re.findall(r"(?<=\.)\d+(?=\.)", key)):
                rows.append([key, list(value.shape), _start(key, value, first)])
        lines.append(json.dumps({"model": name, "arrays": rows}, separators=(",", ":")))
    (Path(__file__).parent / "healthy.jsonl").write_text("\n".join(lines) + "\n")


def _start(key: str, value: Any, first: dict[int, str]) -> Any:
    """Say how an array starts: with one value, as another array, with a row of zeros, with equal rows, or drawn."""
    owner = first.setdefault(value.data_ptr(), key)
    if owner != key:
        return {"same": owner}
    if (value == value.reshape(-1)[0]).all():
        return {"value": float(value.reshape(-1)[0])}
    rows = value.reshape(len(value), -1)
    zero = (rows == 0).all(dim=1).nonzero().reshape(-1).tolist()
    if value.dim() == 2 and len(zero) == 1:
        return {"zero": zero[0]}
    if value.dim() == 2 and len(rows) > 1 and (rows == rows[0]).all():
        return {"table": key}
    return "drawn"


def main(names: list[str]) -> int:
    _without_operators()
    if names == ["--write"]:
        write()
        return 0
    import symbreak as sb
    from symbreak.findings import Level

    failed = []
    for name in names or list(models()):
        try:
            for path in saved(name):
                begin = time.perf_counter()
                report = sb.diagnose(path)
                print(f", {report.verdict}, {time.perf_counter() - begin:.2f} s", flush=True)
                for finding in report.findings:
                    print(
                        f"    {finding.level} {finding.code} {finding.where.split(': ')[-1]}: {finding.message[:150]}"
                    )
                if report.at_least(Level.WARNING) or report.skipped:
                    failed.append(name)
        except Exception as error:
            print(f"{name}: {type(error).__name__} {error}"[:300])
            failed.append(name)
    print("failed:", failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
