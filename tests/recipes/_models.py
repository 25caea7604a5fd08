"""Shapes of usual models, by the names that they have, and small networks to carry them out."""

import numpy as np


def gpt2(layers=3, d=16, turned=False):
    """nanoGPT's names; `turned` as Hugging Face stores them, inputs first."""
    shapes = {"transformer.wte.weight": (100, d), "transformer.wpe.weight": (20, d)}
    for k in range(layers):
        block = f"transformer.h.{k}"
        shapes |= {
            f"{block}.ln_1.weight": (d,),
            f"{block}.ln_1.bias": (d,),
            f"{block}.attn.c_attn.weight": (3 * d, d)[:: -1 if turned else 1],
            f"{block}.attn.c_attn.bias": (3 * d,),
            f"{block}.attn.c_proj.weight": (d, d),
            f"{block}.ln_2.weight": (d,),
            f"{block}.mlp.c_fc.weight": (4 * d, d)[:: -1 if turned else 1],
            f"{block}.mlp.c_proj.weight": (d, 4 * d)[:: -1 if turned else 1],
        }
    return shapes | {"transformer.ln_f.weight": (d,), "lm_head.weight": (100, d)}


def llama(layers=2, d=16):
    """Hugging Face's names."""
    shapes = {"model.embed_tokens.weight": (100, d)}
    for k in range(layers):
        block = f"model.layers.{k}"
        shapes |= {f"{block}.self_attn.{name}_proj.weight": (d, d) for name in "qkvo"}
        shapes |= {f"{block}.mlp.{name}_proj.weight": (3 * d, d) for name in ("gate", "up")}
        shapes |= {f"{block}.mlp.down_proj.weight": (d, 3 * d), f"{block}.input_layernorm.weight": (d,)}
    return shapes | {"model.norm.weight": (d,), "lm_head.weight": (100, d)}


def bert(layers=2, d=16):
    """Hugging Face's names."""
    shapes = {"bert.embeddings.word_embeddings.weight": (100, d), "bert.embeddings.position_embeddings.weight": (9, d)}
    for k in range(layers):
        block = f"bert.encoder.layer.{k}"
        shapes |= {f"{block}.attention.self.{name}.weight": (d, d) for name in ("query", "key", "value")}
        shapes |= {
            f"{block}.attention.output.dense.weight": (d, d),
            f"{block}.attention.output.dense.bias": (d,),
            f"{block}.attention.output.LayerNorm.weight": (d,),
            f"{block}.intermediate.dense.weight": (4 * d, d),
            f"{block}.output.dense.weight": (d, 4 * d),
        }
    return shapes | {"classifier.weight": (2, d)}


def both(encoder=4, decoder=3, d=16, norms=True):
    """An encoder and a decoder, by the names of torch.nn.Transformer."""
    shapes = {"embed.weight": (100, d)}
    for stack, layers in (("encoder", encoder), ("decoder", decoder)):
        for k in range(layers):
            block = f"{stack}.layers.{k}"
            for attention in ("self_attn", "multihead_attn")[: 1 + (stack == "decoder")]:
                shapes[f"{block}.{attention}.in_proj_weight"] = (3 * d, d)
                shapes[f"{block}.{attention}.in_proj_bias"] = (3 * d,)
                shapes[f"{block}.{attention}.out_proj.weight"] = (d, d)
            shapes[f"{block}.linear1.weight"] = (2 * d, d)
            shapes[f"{block}.linear2.weight"] = (d, 2 * d)
            if norms:
                shapes[f"{block}.norm1.weight"] = (d,)
    return shapes | {"output.weight": (100, d)}


def resnet(blocks=2, convolutions=2, c=8, norms=True):
    """The names of torchvision."""
    shapes = {"conv1.weight": (c, 3, 7, 7)}
    for layer in (1, 2):
        for k in range(blocks):
            for n in range(1, convolutions + 1):
                shapes[f"layer{layer}.{k}.conv{n}.weight"] = (c, c, 3, 3)
                if norms:
                    shapes[f"layer{layer}.{k}.bn{n}.weight"] = (c,)
        shapes[f"layer{layer}.0.downsample.0.weight"] = (c, c, 1, 1)
        if norms:
            shapes[f"layer{layer}.0.downsample.1.weight"] = (c,)
    return shapes | {"fc.weight": (10, c), "fc.bias": (10,)}


def mlp_blocks(layers, d, hidden=None, gain=None, names=("fc1", "fc2")):
    """Residual blocks of an MLP each."""
    hidden = hidden or d
    shapes = {}
    for k in range(layers):
        sizes = [(hidden, d), *[(hidden, hidden)] * (len(names) - 2), (d, hidden)]
        shapes |= {f"h.{k}.{name}.weight": size for name, size in zip(names, sizes, strict=True)}
        if gain is not None:
            shapes[f"h.{k}.resweight"] = gain
    return shapes


def relu(x):
    return np.maximum(x, 0)
