# ruff: noqa: E501 - a model is a row
"""Write `tests/data/wirings.jsonl`: the names and shapes of real models at small sizes, a line each.

Run it where torch, timm, transformers and peft are installed. The tests read what it wrote, so that they need none of
them; the tests that run the models need them, and are passed over without.
"""

import argparse
import contextlib
import json
import pathlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

FILE = pathlib.Path(__file__).parent / "wirings.jsonl"
KEYS = (
    "activation_function", "architectures", "decoder_attention_heads", "dense_act_fn", "encoder_attention_heads",
    "feed_forward_proj", "head_dim", "hidden_act", "n_head", "n_heads", "num_attention_heads", "num_heads",
    "num_experts_per_tok", "num_key_value_heads", "rms_norm_eps", "scoring_func", "text_config",
    "tie_word_embeddings", "vision_config", "d_kv", "model_type",
)  # fmt: skip
SMALL = {"num_hidden_layers": 2, "hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 20}
TEXT = SMALL | {"vocab_size": 17, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SHARED = TEXT | {"num_key_value_heads": 2}
PICTURE = SMALL | {"image_size": 8, "patch_size": 4}


class Model(NamedTuple):
    """How a model is made and run."""

    build: Callable[[], Any]
    inputs: Callable[[], dict[str, Any]]
    config: dict[str, Any] | None = None  # what a user gives beside names and shapes; of transformers its own


def hf(name: str, config: str | None = None, **settings: Any) -> Callable[[], Any]:
    def build() -> Any:
        tolerate()
        import transformers

        model = getattr(transformers, name)
        made = getattr(transformers, config) if config else model.config_class
        return model(made(**settings, attn_implementation="eager"))

    return build


def tokens(**more: Any) -> Callable[[], dict[str, Any]]:
    def inputs() -> dict[str, Any]:
        import torch

        return {"input_ids": torch.arange(3, 15).reshape(2, 6), **more}

    return inputs


def pixels(name: str = "pixel_values", size: int = 8) -> Callable[[], dict[str, Any]]:
    def inputs() -> dict[str, Any]:
        import torch

        return {name: torch.linspace(-1, 1, 6 * size * size).reshape(2, 3, size, size).sin()}

    return inputs


def several(*makers: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    return lambda: {name: value for maker in makers for name, value in maker().items()}


def given(**shapes: tuple[int, ...]) -> Callable[[], dict[str, Any]]:
    def inputs() -> dict[str, Any]:
        import torch

        return {
            name: (torch.arange(torch.tensor(shape).prod()) * 0.7).sin().reshape(shape)
            for name, shape in shapes.items()
        }

    return inputs


def nn(text: str) -> Callable[[], Any]:
    def build() -> Any:
        import torch
        from torch import nn

        return eval(text, {"nn": nn, "torch": torch})

    return build


def named(**layers: str) -> Callable[[], Any]:
    """Layers by name, run one after the other; "relu" stands for the function."""

    def build() -> Any:
        import torch
        from torch import nn

        class Named(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                for name, text in layers.items():
                    setattr(self, name, eval(text, {"nn": nn}))

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                for name in layers:
                    x = getattr(self, name)(x)
                    if isinstance(getattr(self, name), nn.Linear | nn.BatchNorm2d) and name != list(layers)[-1]:
                        x = torch.relu(x)
                return x

        return Named()

    return build


def vision(text: str) -> Callable[[], Any]:
    def build() -> Any:
        tolerate()
        import timm

        return eval(text, {"timm": timm})

    return build


def built(text: str) -> Callable[[], Any]:
    """A model of torchvision."""

    def build() -> Any:
        tolerate()
        from functools import partial

        from torchvision.models import convnext, efficientnet, mobilenetv2, mobilenetv3, swin_transformer

        scope = {"convnext": convnext, "efficientnet": efficientnet, "mobilenetv2": mobilenetv2, "partial": partial}
        return eval(text, scope | {"mobilenetv3": mobilenetv3, "swin": swin_transformer})

    return build


def tolerate() -> None:
    """Let torchvision be imported beside a CPU build of torch that lacks some of its operators."""
    import torch

    register = torch.library.register_fake

    def tolerant(op: Any, func: Any = None, /, **options: Any) -> Any:
        def put(function: Any) -> Any:
            try:
                return register(op, function, **options)
            except RuntimeError:
                return function

        return put if func is None else put(func)

    torch.library.register_fake = tolerant
    try:
        with contextlib.suppress(ImportError):
            import torchvision  # noqa: F401
    finally:
        torch.library.register_fake = register


def tagger() -> Any:
    """An embedding, an LSTM of both directions and a dense layer, as in many scripts."""
    import torch
    from torch import nn

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(17, 4)
            self.lstm = nn.LSTM(4, 6, bidirectional=True)
            self.fc = nn.Linear(12, 5)

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return self.fc(self.lstm(self.embedding(input_ids))[0])

    return Tagger()


def vgg() -> Any:
    """The containers of torchvision's VGG and AlexNet, at a small size."""
    from torch import nn

    layers = [
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3),
        nn.ReLU(),
        nn.Flatten(),
    ]
    top = [nn.Linear(12, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 5)]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers), classifier=nn.Sequential(*top)))


def adapted() -> Any:
    tolerate()
    import peft

    config = peft.LoraConfig(r=3, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)
    return peft.get_peft_model(MODELS["gpt2"].build(), config)


def decomposed(name: str, *targets: str) -> Callable[[], Any]:
    """DoRA beside some weights of a model."""

    def build() -> Any:
        tolerate()
        import peft

        turned = name == "gpt2"
        config = peft.LoraConfig(r=3, target_modules=list(targets), use_dora=True, fan_in_fan_out=turned)
        return peft.get_peft_model(MODELS[name].build(), config)

    return build


def normed(function: str) -> Callable[[], Any]:
    def build() -> Any:
        import torch
        from torch.nn.utils import parametrizations

        torch.manual_seed(0)
        layers = [torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)]
        wrap = getattr(parametrizations, function)
        return torch.nn.Sequential(*(wrap(each) if isinstance(each, torch.nn.Linear) else each for each in layers))

    return build


RESNET = "timm.models.resnet.ResNet(timm.models.resnet."  # its names are those of torchvision, its widths can be small
MODELS: dict[str, Model] = {
    "gpt2": Model(
        hf(
            "GPT2LMHeadModel",
            n_layer=2,
            n_head=4,
            n_embd=24,
            vocab_size=17,
            n_positions=11,
            bos_token_id=1,
            eos_token_id=2,
        ),
        tokens(),
    ),
    "gpt2 base": Model(
        hf("GPT2Model", n_layer=2, n_head=4, n_embd=24, vocab_size=17, n_positions=11, bos_token_id=1, eos_token_id=2),
        tokens(),
    ),
    "bert": Model(hf("BertForMaskedLM", **TEXT, max_position_embeddings=11), tokens()),
    "bert pre-training": Model(hf("BertForPreTraining", **TEXT, max_position_embeddings=11), tokens()),
    "bert classifier": Model(hf("BertForSequenceClassification", **TEXT, max_position_embeddings=11), tokens()),
    "roberta": Model(hf("RobertaForMaskedLM", **TEXT, max_position_embeddings=20), tokens()),
    "electra": Model(hf("ElectraForMaskedLM", **TEXT, embedding_size=16, max_position_embeddings=11), tokens()),
    "distilbert": Model(
        hf(
            "DistilBertForMaskedLM",
            n_layers=2,
            dim=24,
            n_heads=4,
            hidden_dim=128,
            vocab_size=17,
            max_position_embeddings=11,
        ),
        tokens(),
    ),
    "llama": Model(hf("LlamaForCausalLM", **SHARED), tokens()),
    "mistral": Model(hf("MistralForCausalLM", **SHARED), tokens()),
    "qwen2": Model(hf("Qwen2ForCausalLM", **SHARED, tie_word_embeddings=True), tokens()),
    "qwen3": Model(hf("Qwen3ForCausalLM", **SHARED, head_dim=8), tokens()),
    "gemma2": Model(hf("Gemma2ForCausalLM", **SHARED, head_dim=6), tokens()),
    "olmo2": Model(hf("Olmo2ForCausalLM", **SHARED), tokens()),
    "phi": Model(hf("PhiForCausalLM", **TEXT | {"hidden_size": 32}), tokens()),
    "phi3": Model(hf("Phi3ForCausalLM", **SHARED), tokens()),
    "mixtral": Model(hf("MixtralForCausalLM", **SHARED, num_local_experts=3, experts_implementation="eager"), tokens()),
    "qwen2 moe": Model(
        hf(
            "Qwen2MoeForCausalLM",
            **SHARED,
            num_experts=3,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=10,
            num_experts_per_tok=2,
            experts_implementation="eager",
        ),
        tokens(),
    ),
    "deepseek v2": Model(
        hf(
            "DeepseekV2ForCausalLM",
            **TEXT,
            num_key_value_heads=4,
            q_lora_rank=None,
            kv_lora_rank=8,
            qk_rope_head_dim=4,
            qk_nope_head_dim=6,
            v_head_dim=5,
            moe_intermediate_size=8,
            n_routed_experts=4,
            num_experts_per_tok=2,
            n_group=1,
            topk_group=1,
            first_k_dense_replace=1,
            n_shared_experts=1,
            experts_implementation="eager",
        ),
        tokens(),
    ),
    "deepseek v3": Model(
        hf(
            "DeepseekV3ForCausalLM",
            **TEXT,
            num_key_value_heads=4,
            q_lora_rank=10,
            kv_lora_rank=8,
            qk_rope_head_dim=4,
            qk_nope_head_dim=6,
            v_head_dim=5,
            moe_intermediate_size=8,
            n_routed_experts=4,
            num_experts_per_tok=2,
            n_group=2,
            topk_group=1,
            first_k_dense_replace=1,
            n_shared_experts=1,
            experts_implementation="eager",
        ),
        tokens(),
    ),
    "neox": Model(hf("GPTNeoXForCausalLM", **TEXT), tokens()),
    "t5": Model(
        hf(
            "T5ForConditionalGeneration",
            num_layers=2,
            d_model=24,
            num_heads=4,
            d_kv=6,
            d_ff=20,
            vocab_size=17,
            decoder_start_token_id=0,
        ),
        several(tokens(), lambda: {"decoder_input_ids": tokens()()["input_ids"]}),
    ),
    "t5 gated": Model(
        hf(
            "T5EncoderModel",
            num_layers=2,
            d_model=24,
            num_heads=4,
            d_kv=6,
            d_ff=20,
            vocab_size=17,
            feed_forward_proj="gated-gelu",
        ),
        tokens(),
    ),
    "opt": Model(
        hf(
            "OPTForCausalLM",
            num_hidden_layers=2,
            hidden_size=24,
            word_embed_proj_dim=16,
            num_attention_heads=4,
            ffn_dim=20,
            vocab_size=17,
            max_position_embeddings=11,
        ),
        tokens(),
    ),
    "bart": Model(
        hf(
            "BartForConditionalGeneration",
            d_model=24,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=3,
            encoder_ffn_dim=20,
            decoder_ffn_dim=20,
            vocab_size=17,
            max_position_embeddings=11,
            bos_token_id=0,
            eos_token_id=2,
            forced_eos_token_id=2,
        ),
        several(tokens(), lambda: {"decoder_input_ids": tokens()()["input_ids"]}),
    ),
    "vit": Model(hf("ViTForImageClassification", **PICTURE), pixels()),
    "clip": Model(
        hf(
            "CLIPModel",
            "CLIPConfig",
            text_config=TEXT | {"max_position_embeddings": 11},
            vision_config=PICTURE,
            projection_dim=10,
        ),
        several(tokens(), pixels()),
    ),
    "timm vit": Model(
        vision(
            "timm.models.VisionTransformer(img_size=8, patch_size=4, embed_dim=24, depth=2, num_heads=4, num_classes=5, init_values=0.1, qk_norm=True)"
        ),
        pixels("x"),
        {},
    ),
    "timm vit, plain": Model(
        vision(
            "timm.models.VisionTransformer(img_size=8, patch_size=4, embed_dim=24, depth=2, num_heads=4, num_classes=5)"
        ),
        pixels("x"),
        {"num_heads": 4},
    ),
    "resnet": Model(
        vision(f"{RESNET}BasicBlock, [2, 1, 1, 1], channels=(64, 8, 8, 8), num_classes=5)"), pixels("x", 32)
    ),
    "resnet, deep": Model(
        vision(f"{RESNET}Bottleneck, [2, 1, 1, 1], channels=(8, 12, 8, 8), num_classes=5)"), pixels("x", 32)
    ),
    "resnext": Model(
        vision(
            f"{RESNET}Bottleneck, [2, 1, 1, 1], channels=(8, 12, 8, 8), num_classes=5, cardinality=4, base_width=32)"
        ),
        pixels("x", 32),
    ),
    "mobilenet v2": Model(built("mobilenetv2.MobileNetV2(5, 0.1, [[1, 8, 1, 1], [2, 16, 2, 2]], 4)"), pixels("x", 16)),
    "mobilenet v3": Model(
        built(
            "mobilenetv3.MobileNetV3([mobilenetv3.InvertedResidualConfig(8, 3, 8, 8, True, 'RE', 1, 1, 1), mobilenetv3.InvertedResidualConfig(8, 3, 12, 16, True, 'HS', 2, 1, 1), mobilenetv3.InvertedResidualConfig(16, 3, 12, 16, True, 'HS', 2, 1, 1)], 10, 5)"
        ),
        pixels("x", 16),
    ),
    "efficientnet": Model(
        built(
            "efficientnet.EfficientNet([efficientnet.FusedMBConvConfig(1, 3, 1, 8, 8, 1), efficientnet.FusedMBConvConfig(2, 3, 2, 8, 16, 1), efficientnet.MBConvConfig(2, 3, 1, 16, 16, 2)], 0.0, num_classes=5, last_channel=20)"
        ),
        pixels("x", 16),
    ),
    "timm mobilenet v2": Model(
        vision(
            "timm.models.efficientnet.EfficientNet(timm.models._efficientnet_builder.decode_arch_def([['ds_r1_k3_s1_c8'], ['ir_r2_k3_s2_e2_c12']]), num_classes=5, stem_size=8, num_features=20)"
        ),
        pixels("x", 16),
    ),
    "timm mobilenet v3": Model(
        vision(
            "timm.models.mobilenetv3.MobileNetV3(timm.models._efficientnet_builder.decode_arch_def([['ds_r1_k3_s1_e1_c8_nre_se0.5'], ['ir_r2_k3_s2_e2_c12_se0.25'], ['er_r1_k3_s1_e2_c12'], ['cn_r1_k1_s1_c16']]), num_classes=5, stem_size=8, num_features=20)"
        ),
        pixels("x", 16),
    ),
    "transformers mobilenet v2": Model(
        hf(
            "MobileNetV2ForImageClassification",
            depth_multiplier=0.1,
            min_depth=4,
            depth_divisible_by=4,
            num_labels=5,
            finegrained_output=False,
        ),
        pixels(size=32),
    ),
    "transformers mobilenet v1": Model(
        hf("MobileNetV1ForImageClassification", depth_multiplier=0.125, min_depth=4, num_labels=5), pixels(size=32)
    ),
    "transformers efficientnet": Model(
        hf(
            "EfficientNetForImageClassification",
            width_coefficient=0.1,
            depth_coefficient=0.1,
            hidden_dim=128,
            num_labels=5,
            num_block_repeats=[1, 1],
            in_channels=[32, 16],
            out_channels=[16, 24],
            kernel_sizes=[3, 3],
            strides=[1, 2],
            expand_ratios=[1, 6],
            depthwise_padding=[],
        ),
        pixels(size=32),
    ),
    "convnext": Model(
        built(
            "convnext.ConvNeXt([convnext.CNBlockConfig(8, 12, 1), convnext.CNBlockConfig(12, None, 1)], num_classes=5)"
        ),
        pixels("x", 16),
    ),
    "timm convnext": Model(
        vision("timm.models.convnext.ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 12, 8, 8), num_classes=5)"), pixels("x", 32)
    ),
    "timm convnext v2": Model(
        vision(
            "timm.models.convnext.ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 12, 8, 8), num_classes=5, use_grn=True, ls_init_value=None, conv_mlp=True)"
        ),
        pixels("x", 32),
    ),
    "transformers convnext": Model(
        hf("ConvNextForImageClassification", num_stages=2, hidden_sizes=[8, 12], depths=[1, 1], num_labels=5),
        pixels(size=16),
    ),
    "transformers convnext v2": Model(
        hf("ConvNextV2ForImageClassification", num_stages=2, hidden_sizes=[8, 12], depths=[1, 1], num_labels=5),
        pixels(size=16),
    ),
    "swin": Model(built("swin.SwinTransformer([2, 2], 8, [2, 1], [2, 4], [2, 2], num_classes=5)"), pixels("x", 16)),
    "swin v2": Model(
        built(
            "swin.SwinTransformer([2, 2], 8, [1, 1], [2, 4], [2, 2], num_classes=5, block=swin.SwinTransformerBlockV2, downsample_layer=swin.PatchMergingV2)"
        ),
        pixels("x", 16),
    ),
    "timm swin": Model(
        vision(
            "timm.models.SwinTransformer(img_size=16, patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(2, 4), window_size=2, num_classes=5)"
        ),
        pixels("x", 16),
    ),
    "timm swin v2": Model(
        vision(
            "timm.models.SwinTransformerV2(img_size=16, patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(2, 4), window_size=2, num_classes=5)"
        ),
        pixels("x", 16),
    ),
    "transformers swin v2": Model(
        hf(
            "Swinv2ForImageClassification",
            image_size=16,
            patch_size=2,
            embed_dim=8,
            depths=[1, 1],
            num_heads=[2, 4],
            window_size=4,
            num_labels=5,
        ),
        pixels(size=16),
    ),
    "transformers swin": Model(
        hf(
            "SwinForImageClassification",
            image_size=16,
            patch_size=2,
            embed_dim=8,
            depths=[1, 1],
            num_heads=[2, 4],
            window_size=2,
            num_labels=5,
        ),
        pixels(size=16),
    ),
    "vgg": Model(vgg, given(input=(2, 3, 8, 8))),
    "mlp": Model(
        nn("nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 2))"),
        given(input=(4, 3)),
    ),
    "named mlp": Model(named(fc1="nn.Linear(3, 8)", fc2="nn.Linear(8, 6)", fc3="nn.Linear(6, 2)"), given(x=(4, 3))),
    "cnn": Model(
        nn(
            "nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.PReLU(8), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 5, 1), nn.Flatten(), nn.BatchNorm1d(80), nn.Linear(80, 2))"
        ),
        given(input=(2, 3, 8, 8)),
    ),
    "named cnn": Model(
        named(
            conv1="nn.Conv2d(3, 8, 3)",
            bn1="nn.BatchNorm2d(8)",
            conv2="nn.Conv2d(8, 4, 3)",
            bn2="nn.BatchNorm2d(4)",
            pool="nn.Flatten()",
            fc="nn.Linear(64, 2)",
        ),
        given(x=(2, 3, 8, 8)),
    ),
    "autoencoder": Model(
        nn(
            "nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Conv2d(8, 5, 3), nn.Tanh(), nn.ConvTranspose2d(5, 7, 3), nn.Tanh(), nn.ConvTranspose2d(7, 3, 3))"
        ),
        given(input=(2, 3, 8, 8)),
    ),
    "lstm": Model(nn("nn.LSTM(3, 6, 2, bidirectional=True)"), given(input=(5, 2, 3))),
    "lstm, projected": Model(nn("nn.LSTM(3, 6, 2, proj_size=4)"), given(input=(5, 2, 3))),
    "tagger": Model(tagger, tokens()),
    "gru": Model(nn("nn.GRU(3, 6, 2)"), given(input=(5, 2, 3))),
    "rnn": Model(nn("nn.RNN(3, 6, 2)"), given(input=(5, 2, 3))),
    "attention": Model(
        nn("nn.MultiheadAttention(24, 4)"), given(query=(5, 2, 24), key=(7, 2, 24), value=(7, 2, 24)), {"num_heads": 4}
    ),
    "attention, other widths": Model(
        nn("nn.MultiheadAttention(24, 4, kdim=10, vdim=14)"),
        given(query=(5, 2, 24), key=(7, 2, 10), value=(7, 2, 14)),
        {"num_heads": 4},
    ),
    "encoder": Model(
        nn("nn.TransformerEncoder(nn.TransformerEncoderLayer(24, 4, 20), 2, enable_nested_tensor=False)"),
        given(src=(5, 2, 24)),
        {"nhead": 4},
    ),
    "transformer": Model(nn("nn.Transformer(24, 4, 2, 2, 20)"), given(src=(5, 2, 24), tgt=(4, 2, 24)), {"nhead": 4}),
    "adapters": Model(adapted, tokens()),
    "decomposed adapters": Model(decomposed("llama", "q_proj", "up_proj", "down_proj"), tokens()),
    "decomposed adapters, turned": Model(decomposed("gpt2", "c_attn", "c_fc"), tokens()),
    "weight norm": Model(normed("weight_norm"), given(input=(4, 3))),
    "spectral norm": Model(normed("spectral_norm"), given(input=(4, 3))),
}


def plain(config: Any) -> dict[str, Any]:
    """The keys of a configuration that a reader may need."""
    found = {key: value for key, value in config.items() if key in KEYS and value is not None}
    return {key: plain(value) if isinstance(value, dict) else value for key, value in found.items()}


def saved(model: Any) -> dict[str, Any]:
    """The tensors that a file of the model has: one that has two names is saved under the first alone."""
    found: dict[tuple[int, tuple[int, ...]], str] = {}
    state = model.state_dict()
    for name, tensor in state.items():
        found.setdefault((tensor.data_ptr() or id(tensor), tuple(tensor.shape)), name)
    return {name: state[name] for name in found.values()}


def config_of(row: Model, model: Any) -> dict[str, Any]:
    """What is beside the file: of transformers the configuration."""
    if row.config is not None:
        return row.config
    config = getattr(model, "config", None)
    if not hasattr(config, "to_dict"):
        return {}
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    return plain(config.to_dict() | {"architectures": [type(inner).__name__]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="models to make again; all by default")
    chosen = parser.parse_args().names
    lines = [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.exists() else []
    rows = {line["model"]: line for line in lines}
    for name in chosen or MODELS:
        model = MODELS[name].build()
        shapes = {key: list(tensor.shape) for key, tensor in saved(model).items()}
        rows[name] = {"model": name, "config": config_of(MODELS[name], model), "tensors": shapes}
    FILE.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))


if __name__ == "__main__":
    main()
