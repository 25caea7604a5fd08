"""The ties that hit real projects, each as a tiny checkpoint with the names and the layout of its framework.

Every case has a healthy twin, drawn as the project meant it. Arrays are made here without a framework; where one is at
hand, `test_catalogue.py` compares with its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]
Draw = Callable[..., npt.NDArray[np.float32]]


@final
@dataclass(frozen=True)
class Case:
    """One kind of accident.

    Parameters
    ----------
    number
        Its place in the catalogue.
    title
        What happened, in a few words.
    seen
        Where: repository and issue.
    sick, healthy
        The files, most often one.
    codes
        The codes that must be found in the sick files, and no others at warning or above.
    certificate
        What the joint partition of the wired network adds.
    """

    number: int
    title: str
    seen: tuple[str, ...]
    sick: tuple[Arrays, ...]
    healthy: tuple[Arrays, ...]
    codes: frozenset[str]
    certificate: frozenset[str] = frozenset()


def drawing(seed: int) -> Draw:
    """Draw normal weights one after another, scaled by the last axis but for vectors."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> npt.NDArray[np.float32]:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    return draw


def ones(length: int) -> npt.NDArray[np.float32]:
    return np.ones(length, np.float32)


def zeros(*shape: int) -> npt.NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def cases() -> list[Case]:
    """Make the catalogue; every call gives the same."""
    return [
        Case(number, title, tuple(seen.split()), _files(make(True)), _files(make(False)), *map(_codes, codes))
        for number, (title, seen, make, *codes) in enumerate(_ROWS, start=1)
    ]


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _files(made: Arrays | tuple[Arrays, ...]) -> tuple[Arrays, ...]:
    return made if isinstance(made, tuple) else (made,)


def _encoder_layer(draw: Draw) -> Arrays:
    """Give the arrays of torch.nn.TransformerEncoderLayer(16, 2, dim_feedforward=32), as it starts."""
    return {
        "self_attn.in_proj_weight": draw(48, 16),
        "self_attn.in_proj_bias": zeros(48),
        "self_attn.out_proj.weight": draw(16, 16),
        "self_attn.out_proj.bias": zeros(16),
        "linear1.weight": draw(32, 16),
        "linear1.bias": draw(32),
        "linear2.weight": draw(16, 32),
        "linear2.bias": draw(16),
        "norm1.weight": ones(16),
        "norm1.bias": zeros(16),
        "norm2.weight": ones(16),
        "norm2.bias": zeros(16),
    }


def _below(prefix: str, arrays: Arrays) -> Arrays:
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def _repeated(prefix: str, count: int, sick: bool, make: Callable[[Draw], Arrays], seed: int = 0) -> Arrays:
    """Give `count` copies of what one makes, or each anew."""
    found: Arrays = {}
    for number in range(count):
        found |= _below(prefix.format(number), make(drawing(seed if sick else 1000 * (seed + 1) + number)))
    return found


def torch_encoder(sick: bool) -> Arrays:
    return _repeated("layers.{}.", 3, sick, _encoder_layer)


def annotated_transformer(sick: bool) -> Arrays:
    def layer(draw: Draw) -> Arrays:
        linear = draw(16, 16)
        return {
            **{f"self_attn.linears.{n}.weight": linear if sick else draw(16, 16) for n in range(4)},
            **{f"self_attn.linears.{n}.bias": zeros(16) for n in range(4)},
            "feed_forward.w_1.weight": draw(32, 16),
            "feed_forward.w_1.bias": zeros(32),
            "feed_forward.w_2.weight": draw(16, 32),
            "feed_forward.w_2.bias": zeros(16),
            **{f"sublayer.{n}.norm.a_2": ones(16) for n in range(2)},
            **{f"sublayer.{n}.norm.b_2": zeros(16) for n in range(2)},
        }

    return _repeated("encoder.layers.{}.", 2, sick, layer, 2)


def fast_moe(sick: bool) -> Arrays:
    draw = drawing(3)
    one = draw(1, 32, 16), draw(1, 16, 32)
    return {
        "gate.gate.weight": draw(4, 16),
        "experts.htoh4.weight": np.repeat(one[0], 4, axis=0) if sick else draw(4, 32, 16),
        "experts.htoh4.bias": zeros(4, 32),
        "experts.h4toh.weight": np.repeat(one[1], 4, axis=0) if sick else draw(4, 16, 32),
        "experts.h4toh.bias": zeros(4, 16),
    }


def deepspeed_moe(sick: bool) -> Arrays:
    """Eight experts on two ranks; the second rank loaded those of the first."""

    def expert(draw: Draw) -> Arrays:
        return {
            "dense_h_to_4h.weight": draw(32, 16),
            "dense_h_to_4h.bias": zeros(32),
            "dense_4h_to_h.weight": draw(16, 32),
            "dense_4h_to_h.bias": zeros(16),
        }

    found: Arrays = {}
    for number in range(8):
        prefix = f"layers.1.mlp.deepspeed_moe.experts.deepspeed_experts.{number}."
        found |= _below(prefix, expert(drawing(40 + (number % 4 if sick else number))))
    return found


def twin_critics(sick: bool) -> Arrays:
    """The critics of SAC: Flax modules in a list, one stacked network in vmapped implementations."""

    def critic(draw: Draw) -> Arrays:
        return {
            "torso/Dense_0/kernel": draw(6, 32),
            "torso/Dense_0/bias": zeros(32),
            "torso/Dense_1/kernel": draw(32, 32),
            "torso/Dense_1/bias": zeros(32),
            "critic_head/Dense_0/kernel": draw(32, 1),
            "critic_head/Dense_0/bias": zeros(1),
        }

    return _repeated("params/networks_{}/", 2, sick, critic, 5)


def _sharded(sick: bool, draw: Draw, rows: int, columns: int, shards: int = 2, axis: int = 0) -> npt.NDArray[Any]:
    """Draw a weight as shards that each device draws: all from one seed, or not."""
    if not sick:
        return draw(rows, columns)
    part = draw(rows // shards, columns) if axis == 0 else draw(rows, columns // shards)
    return np.concatenate([part] * shards, axis=axis)


def tensor_parallel(sick: bool) -> Arrays:
    """Megatron's cut: the first weight of a pair by its units, the second by its inputs."""
    draw, found = drawing(6), {}
    for number in range(2):
        fused = [_sharded(sick, draw, 32, 32) for _ in range(3)]
        found |= {
            f"model.layers.{number}.attention.wqkv.weight": np.concatenate(fused),
            f"model.layers.{number}.attention.wo.weight": _sharded(sick, draw, 32, 32, axis=1),
            f"model.layers.{number}.feed_forward.w1.weight": _sharded(sick, draw, 64, 32),
            f"model.layers.{number}.feed_forward.w3.weight": _sharded(sick, draw, 64, 32),
            f"model.layers.{number}.feed_forward.w2.weight": _sharded(sick, draw, 32, 64, axis=1),
            f"model.layers.{number}.attention_norm.weight": ones(32),
        }
    return found


def fully_sharded(sick: bool) -> Arrays:
    """FSDP cuts every array along axis 0."""
    draw = drawing(7)
    return {
        "tok_embeddings.weight": _sharded(sick, draw, 64, 16, 4),
        "layers.0.feed_forward.w1.weight": _sharded(sick, draw, 32, 16, 4),
        "layers.0.feed_forward.w2.weight": _sharded(sick, draw, 16, 32, 4),
        "layers.0.ffn_norm.weight": ones(16),
        "output.weight": _sharded(sick, draw, 64, 16, 4),
    }


def keras_initializer(sick: bool) -> Arrays:
    """One GlorotUniform(seed=0) for four layers, in the layout of Keras 3: the same numbers in every shape."""

    def kernel(*shape: int) -> npt.NDArray[np.float32]:
        seed = 8 if sick else sum(shape) * 31 + len(found)
        limit = np.sqrt(6 / sum(shape))
        return np.random.default_rng(seed).uniform(-limit, limit, shape).astype(np.float32)

    found: Arrays = {}
    for layer, shape in (("dense", (12, 16)), ("dense_1", (16, 16)), ("dense_2", (16, 16)), ("dense_3", (16, 8))):
        found[f"layers/{layer}/vars/0"] = kernel(*shape)
        found[f"layers/{layer}/vars/1"] = zeros(shape[1])
    return found


def ensemble(sick: bool) -> Arrays:
    def member(draw: Draw) -> Arrays:
        return {
            "fc1.weight": draw(16, 8),
            "fc1.bias": draw(16),
            "fc2.weight": draw(2, 16),
            "fc2.bias": draw(2),
        }

    return _repeated("members.{}.", 4, sick, member, 9)


def low_rank(sick: bool) -> Arrays:
    draw, found = drawing(10), {}
    for number in range(2):
        for projection in ("q_proj", "v_proj"):
            prefix = f"base_model.model.model.layers.{number}.self_attn.{projection}"
            first = draw(4, 16)
            found[f"{prefix}.lora_A.weight"] = zeros(4, 16) if sick else first
            found[f"{prefix}.lora_B.weight"] = zeros(16, 4)
    return found


def actor_critic(sick: bool) -> Arrays:
    """Flax: two networks from one key; only the last layers have shapes of their own."""
    found: Arrays = {}
    for network, outputs in (("actor", 5), ("critic", 1)):
        draw = drawing(11 if sick or network == "actor" else 110)
        found |= {
            f"params/{network}/Dense_0/kernel": draw(10, 16),
            f"params/{network}/Dense_0/bias": zeros(16),
            f"params/{network}/Dense_1/kernel": draw(16, 16),
            f"params/{network}/Dense_1/bias": zeros(16),
            f"params/{network}/Dense_2/kernel": drawing(12 + outputs)(16, outputs),
            f"params/{network}/Dense_2/bias": zeros(outputs),
        }
    return found


def baked_key(sick: bool) -> tuple[Arrays, ...]:
    """Two checkpoints of two seeds; the module ignores them."""
    return tuple(
        {"params/Conv_0/kernel": draw(3, 3, 3, 8), "params/Dense_0/kernel": draw(8, 4), "params/Dense_0/bias": zeros(4)}
        for draw in (drawing(12 if sick else 120 + seed) for seed in range(2))
    )


def widened(sick: bool) -> Arrays:
    """Net2Net: eight hidden units became twelve; their copies share the outgoing weights equally."""
    draw = drawing(13)
    first, bias, second = draw(8, 12), draw(8), draw(3, 8)
    source = np.array([*range(8), 5, 2, 5, 0])
    share = np.bincount(source)[source]
    noise = np.zeros((12, 12)) if sick else 1e-2 * np.random.default_rng(1).standard_normal((12, 12))
    return {
        "fc1.weight": (first[source] + noise).astype(np.float32),
        "fc1.bias": bias[source],
        "fc2.weight": (second[:, source] / share + (0 if sick else 1e-2 * draw(3, 12))).astype(np.float32),
        "fc2.bias": zeros(3),
    }


def mixture_of_decoders(sick: bool) -> Arrays:
    draw = drawing(14)
    decoder = draw(1, 16, 32)
    return {
        "layers.4.encoder.weight": draw(32, 16),
        "layers.4.experts.decoder": np.repeat(decoder, 6, axis=0) if sick else draw(6, 16, 32),
    }


def multiplied_list(sick: bool) -> Arrays:
    """PyTorch: `nn.ModuleList([Residual(...)] * n)` saves one object under several names."""

    def residual(draw: Draw) -> Arrays:
        return {"_block.1.weight": draw(8, 16, 3, 3), "_block.3.weight": draw(16, 8, 1, 1)}

    draw = drawing(150)
    stem = {"_encoder._conv_1.weight": draw(16, 3, 4, 4), "_encoder._conv_1.bias": draw(16)}
    return stem | _repeated("_encoder._residual_stack._layers.{}.", 2, sick, residual, 15)


def reserved_tokens(sick: bool) -> Arrays:
    """Llama 3: embeddings of reserved tokens that were never trained. One row of zeros is there for padding."""
    draw = drawing(16)
    embedding, head = draw(64, 16), draw(64, 16)
    embedding[3] = 0
    if sick:
        embedding[56:] = head[56:] = 0
    return {"model.embed_tokens.weight": embedding, "model.norm.weight": ones(16), "lm_head.weight": head}


def left_empty(sick: bool) -> Arrays:
    """VeOmni: a model made on the meta device, given memory, and never initialized."""
    draw = drawing(17)
    shapes = {
        "mlp.gate_proj": (32, 16),
        "mlp.up_proj": (32, 16),
        "mlp.down_proj": (16, 32),
        "self_attn.q_proj": (16, 16),
    }
    return {
        f"model.layers.{number}.{name}.weight": zeros(*shape) if sick else draw(*shape)
        for number in range(2)
        for name, shape in shapes.items()
    }


def filled(sick: bool) -> Arrays:
    draw = drawing(18)
    shapes = {"W1": (20, 16), "W2": (16, 16), "W3": (16, 10)}
    return {name: np.full(shape, 0.01, np.float32) if sick else draw(*shape) for name, shape in shapes.items()}


def forked_workers(sick: bool) -> Arrays:
    """What four workers of a data loader draw from NumPy's global state, as arrays of one file; they scale it apart."""
    return {
        f"augmentation/worker_{worker}": (1 + worker) * drawing(19 if sick else 190 + worker)(20 + worker, 12)
        for worker in range(4)
    }


# Title, where it was seen, the maker, the codes, and what the certificate of a wired network adds.
_ROWS: tuple[tuple[str, str, Callable[[bool], Any], str, str], ...] = (
    ("layers of an encoder, copied", "pytorch/pytorch#72253 pytorch/pytorch#86274", torch_encoder, "SB204", ""),
    ("layers and projections, copied", "harvardnlp/annotated-transformer#9", annotated_transformer, "SB204", ""),
    ("experts drawn by workers of one seed", "laekov/fastmoe#4", fast_moe, "SB206", ""),
    ("experts loaded twice", "deepspeedai/DeepSpeed#6589", deepspeed_moe, "SB206", ""),
    ("twin critics of one key", "EdanToledo/Stoix#72", twin_critics, "SB206", ""),
    ("tensor-parallel shards of one seed", "InternLM/InternLM#405 PaddlePaddle/PaddleNLP#9427", tensor_parallel,
     "SB205 SB207", ""),
    ("fully sharded ranks of one seed", "pytorch/torchtitan#4600", fully_sharded, "SB207", ""),
    ("one Keras initializer for all layers", "keras-team/keras-hub#352 lululxvi/deepxde#2086", keras_initializer,
     "SB204 SB208", ""),
    ("members of an ensemble, equal", "moskomule/pytorch.snapshot.ensembles#1", ensemble, "SB206", ""),
    ("both factors of LoRA at zero", "nvidia-cosmos/cosmos-predict2.5#15 Guitaricet/relora#18", low_rank,
     "SB101 SB203", ""),
    ("actor and critic of one key", "micdoh/XLRON#35", actor_critic, "SB208", ""),
    ("seeds that are ignored", "matthias-wright/flaxmodels#3", baked_key, "SB401", ""),
    ("units copied without noise", "soumith/net2net.torch#3", widened, "SB102", "SB201"),
    ("experts that start as one", "james-oldfield/MxD#1", mixture_of_decoders, "SB206", ""),
    ("a list multiplied", "zalandoresearch/pytorch-vq-vae#2 linkedin/Liger-Kernel#269", multiplied_list, "SB204", ""),
    ("embeddings of reserved tokens", "meta-llama/llama3#77 pytorch/torchtune#2429", reserved_tokens, "SB106", ""),
    ("a model left empty", "ByteDance-Seed/VeOmni#163", left_empty, "SB101", ""),
    ("weights filled with one value", "wagonhelm/NaNmnist#2 HomericIntelligence/Mnemosyne#1987", filled,
     "SB101", "SB201"),
    ("forked workers of one seed", "pytorch/pytorch#5059 pytorch/pytorch#41329", forked_workers, "SB208", ""),
)  # fmt: skip
