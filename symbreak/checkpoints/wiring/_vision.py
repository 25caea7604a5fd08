"""Vision transformers, those of timm and of Hugging Face, with patches, positions and a token for the class."""

from symbreak.checkpoints.wiring._blocks import Heads, close, count_heads, first
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

TIMM = r"(?P<p>.*\.)?blocks\.[0-9]+\.attn\.qkv\.weight"
VIT = r"(?P<p>.*\.)?layers\.[0-9]+\.attention\.o_proj\.weight"
OLD_VIT = r"(?P<p>.*\.)?encoder\.layer\.[0-9]+\.attention\.attention\.query\.weight"


def timm_vit(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``blocks.{n}.attn.qkv`` and its neighbours."""
    wiring = Wiring("timm ViT")
    stream, block = f"{p}stream", p + "blocks.{n}"
    _patches(wiring, f"{p}patch_embed.proj", stream, p)
    for token in ("cls_token", "dist_token"):
        wiring.tensor(p + token, ["one", "one", f"out {stream}"], "bias")
    for token in ("reg_token", "pos_embed"):
        wiring.tensor(p + token, ["one", f"in {p}{token}", f"out {stream}"])
    read = first(names, f"{block}.attn.proj.weight") or (0, 0)
    q_norm = first(names, f"{block}.attn.q_norm.weight")
    count = count_heads(config, read[1], size=q_norm[0] if q_norm else None)
    heads = Heads(wiring, f"{block}.attn", count, rows=read[1])
    linear(wiring, f"{block}.attn.qkv", heads.fused, f"in {stream}")
    linear(wiring, f"{block}.attn.proj", f"out {stream}", heads.read)
    if heads.known:
        for each in ("q_norm", "k_norm"):
            for leaf, kind in (("weight", "scale"), ("bias", "shift")):
                over = [f"head {heads.heads}"]
                of = norm_of(names, f"{block}.attn.{each}", shifted="layer")
                wiring.tensor(f"{block}.attn.{each}.{leaf}", [f"out {block}.attn.query_key"], kind, over=over, norm=of)
    else:
        for each in ("qkv", "proj"):
            wiring.doubt(f"{block}.attn.{each}.weight", count.why)
    for each in ("norm1", "norm2"):
        norm(wiring, f"{block}.{each}", stream, norm_of(names, f"{block}.{each}", shifted="layer"))
    for each in ("ls1", "ls2"):
        wiring.tensor(f"{block}.{each}.gamma", [f"out {stream}"], "scale", norm="none")
    hidden = wiring.space(f"{block}.mlp", activation=config.activation)
    linear(wiring, f"{block}.mlp.fc1", f"out {hidden}", f"in {stream}")
    linear(wiring, f"{block}.mlp.fc2", f"out {stream}", f"in {hidden}")
    for each in ("norm", "fc_norm", "norm_pre"):
        norm(wiring, p + each, stream, norm_of(names, p + each, shifted="layer"))
    close(wiring, names, config, stream, (f"{p}head", f"{p}head_dist"))
    return wiring


def vit(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``layers.{n}.attention.q_proj``, as transformers 5 has it."""
    wiring = Wiring("ViT")
    block = p + "layers.{n}"
    attention = [f"{block}.attention.{each}" for each in ("q_proj", "k_proj", "v_proj", "o_proj")]
    _vit(wiring, p, block, attention, (f"{block}.mlp.fc1", f"{block}.mlp.fc2"), names, config)
    return wiring


def old_vit(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``encoder.layer.{n}.attention.attention.query``, as transformers 4 has it; DeiT and DINOv2 too."""
    wiring = Wiring("ViT")
    block = p + "encoder.layer.{n}"
    attention = [f"{block}.attention.attention.{each}" for each in ("query", "key", "value")]
    attention.append(f"{block}.attention.output.dense")
    wide = names.has(f"{p}encoder.layer.0.mlp.fc1.weight")
    ups = (f"{block}.mlp.fc1", f"{block}.mlp.fc2") if wide else (f"{block}.intermediate.dense", f"{block}.output.dense")
    _vit(wiring, p, block, attention, ups, names, config)
    for each in ("norm1", "norm2"):
        norm(wiring, f"{block}.{each}", f"{p}stream", norm_of(names, f"{block}.{each}", shifted="layer"))
    for each in ("layer_scale1", "layer_scale2"):
        wiring.tensor(f"{block}.{each}.lambda1", [f"out {p}stream"], "scale", norm="none")
    return wiring


def _vit(
    wiring: Wiring,
    p: str,
    block: str,
    attention: list[str],
    feed_forward: tuple[str, str],
    names: Names,
    config: Config,
) -> None:
    stream = f"{p}stream"
    _patches(wiring, f"{p}embeddings.patch_embeddings.projection", stream, p)
    for token in ("cls_token", "distillation_token"):
        wiring.tensor(f"{p}embeddings.{token}", ["one", "one", f"out {stream}"], "bias")
    wiring.tensor(f"{p}embeddings.position_embeddings", ["one", f"in {p}positions", f"out {stream}"])
    wiring.tensor(f"{p}embeddings.mask_token", _mask_axes(names, f"{p}embeddings.mask_token", stream), "bias")
    shape = first(names, f"{attention[0]}.weight")
    count = count_heads(config, shape[0] if shape else None)
    heads = Heads(wiring, f"{block}.attention", count)
    for module, axis in zip(attention[:3], (heads.query, heads.key, heads.value), strict=True):
        linear(wiring, module, axis, f"in {stream}")
    linear(wiring, attention[3], f"out {stream}", heads.read)
    if not heads.known:
        for module in attention:
            wiring.doubt(f"{module}.weight", count.why)
    for each in ("layernorm_before", "layernorm_after"):
        norm(wiring, f"{block}.{each}", stream, norm_of(names, f"{block}.{each}", shifted="layer"))
    hidden = wiring.space(f"{block}.hidden", activation=config.activation)
    linear(wiring, feed_forward[0], f"out {hidden}", f"in {stream}")
    linear(wiring, feed_forward[1], f"out {stream}", f"in {hidden}")
    norm(wiring, f"{p}layernorm", stream, norm_of(names, f"{p}layernorm", shifted="layer"))
    root = p.rpartition(".")[0].rpartition(".")[0]
    root = f"{root}." if root else ""
    if names.has(f"{p}pooler.dense.weight"):
        pooled = wiring.space(f"{p}pooler", activation="tanh")
        linear(wiring, f"{p}pooler.dense", f"out {pooled}", f"in {stream}")
        wiring.space(pooled, output=True)
    close(
        wiring,
        names,
        config,
        stream,
        tuple(root + each for each in ("classifier", "cls_classifier", "distillation_classifier")),
    )


def _mask_axes(names: Names, name: str, stream: str) -> list[str]:
    shape = names.shapes.get(name, ())
    return ["one"] * (len(shape) - 1) + [f"out {stream}"]


def _patches(wiring: Wiring, module: str, stream: str, p: str) -> None:
    wiring.tensor(f"{module}.weight", [f"out {stream}", f"in {p}pixels", "receptive", "receptive"])
    wiring.tensor(f"{module}.bias", [f"out {stream}"], "bias")
