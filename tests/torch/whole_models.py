"""Initialize models that people use, built from their libraries' configs, and print what was found of them.

Run it by name: ``python -m tests.torch.whole_models [WORD]``. A word leaves out the models whose name has it not.
"""

import functools
import sys
import types
import warnings

import numpy as np
import torch

import symbreak as sb

SMALL = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 500,
}  # fmt: skip
GROUPED = SMALL | {"num_key_value_heads": 2, "head_dim": 16}
IMAGE = {**SMALL, "image_size": 32, "patch_size": 8}
WHISPER = {
    "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "vocab_size": 500, "max_source_positions": 50, "pad_token_id": 0,
    "max_target_positions": 40, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
T5 = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 500}
SPEECH = {"conv_dim": [32] * 7, "vocab_size": 40, "num_conv_pos_embedding_groups": 4, "num_conv_pos_embeddings": 16}
NUMBERS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}

# name: (model class, config class, options)
TRANSFORMERS = {
    "bert": ("BertForMaskedLM", "BertConfig", SMALL),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", SMALL),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 500, **NUMBERS}),
    "llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", GROUPED),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", GROUPED),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", GROUPED | {"num_local_experts": 4}),
    "gpt_oss": ("GptOssForCausalLM", "GptOssConfig", GROUPED | NUMBERS | {"num_local_experts": 4}),
    "t5": ("T5ForConditionalGeneration", "T5Config", T5),
    "whisper": ("WhisperForConditionalGeneration", "WhisperConfig", WHISPER),
    "vit": ("ViTForImageClassification", "ViTConfig", IMAGE),
    "clip": ("CLIPModel", "CLIPConfig", {"text_config": SMALL | NUMBERS, "vision_config": IMAGE}),
    "mamba": ("MambaForCausalLM", "MambaConfig", {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 500}),
    "wav2vec2": ("Wav2Vec2ForCTC", "Wav2Vec2Config", SMALL | SPEECH),
}
TORCHVISION = (
    "resnet18", "resnet50", "vgg11_bn", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
    "convnext_tiny", "regnet_y_400mf", "vit_b_32", "swin_t", "maxvit_t", "squeezenet1_1", "shufflenet_v2_x0_5",
)  # fmt: skip
TIMM = (
    "resnet18", "vit_tiny_patch16_224", "convnext_atto", "efficientnet_b0", "swin_tiny_patch4_window7_224",
    "mixer_s32_224", "deit3_small_patch16_224", "cait_xxs24_224", "beit_base_patch16_224", "eva02_tiny_patch14_224",
    "mobilenetv3_small_050", "pvt_v2_b0", "coatnet_nano_rw_224", "levit_128s", "vit_small_patch14_dinov2",
)  # fmt: skip


def build(transformers, model, config, options):
    """Build a model of transformers."""
    return getattr(transformers, model)(getattr(transformers, config)(**options))


def builders():
    """Give a function that builds each model, by name, on the device that torch is told."""
    # The compiled part of torchvision may be for another torch; its models don't use it.
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    import timm
    import torchvision
    import transformers

    for name, (model, config, options) in TRANSFORMERS.items():
        yield f"transformers {name}", functools.partial(build, transformers, model, config, options)
    for name in TORCHVISION:
        yield f"torchvision {name}", functools.partial(getattr(torchvision.models, name), weights=None)
    for name in TIMM:
        yield f"timm {name}", functools.partial(timm.create_model, name, pretrained=False)


def look(model, rng=0):
    """Initialize a model and give numbers of its plan; a complaint where it does not keep what it says."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.fill_(float("nan"))
    plan = sb.torch.initialize(model, rng=rng)
    weights = dict(model.named_parameters(remove_duplicate=False))
    complaints = [f"not in the plan: {name}" for name in weights if name not in {row.name for row in plan.rows}]
    complaints += [f"not finite: {name}" for name, each in weights.items() if not bool(torch.isfinite(each).all())]
    complaints += [line for line in str(plan.audit(weights)).splitlines() if line != "as planned"]
    sizes = {row.name: int(np.prod(row.shape)) for row in plan.rows if row.source is None}
    unknown = [row for row in plan.rows if (row.role or "").startswith("unknown")]
    known = 1 - sum(sizes.get(row.name, 0) for row in unknown) / max(1, sum(sizes.values()))
    return plan, known, [row.name for row in unknown], complaints


def main() -> None:
    """Print a line a model."""
    words = sys.argv[1:]
    for name, build in builders():
        if words and not all(word in name for word in words):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with torch.device("meta"):
                    model = build()
                model = model.to_empty(device="cpu")
            except NotImplementedError:  # it computes sizes with tensors
                model = build()
        plan, known, unknown, complaints = look(model)
        count = sum(int(np.prod(row.shape)) for row in plan.rows if row.source is None)
        print(f"{name:40} {len(plan.rows):5} parameters {count / 1e6:8.2f} M, role known {known:7.2%}", flush=True)
        for each in unknown[:6]:
            print(f"    unknown: {each}")
        for each in complaints[:6]:
            print(f"    {each}")


if __name__ == "__main__":
    main()
