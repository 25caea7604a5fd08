"""Swin transformers of both versions: attention in windows, and positions merged four by four between the stages.

The number of heads is that of the columns of the table of relative positions, or of the scales, so that no
configuration is needed.
"""

import re

from symbreak.checkpoints.wiring._blocks import Count, Heads, close
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names, natural
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

TORCHVISION = r"(?P<p>.*\.)?features\.[0-9]+\.[0-9]+\.attn\.qkv\.weight"
TIMM = r"(?P<p>.*\.)?layers\.[0-9]+\.blocks\.[0-9]+\.attn\.qkv\.weight"
TRANSFORMERS = r"(?P<p>.*\.)?encoder\.layers\.[0-9]+\.blocks\.[0-9]+\.attention\.o_proj\.weight"
NAMED_SELF = r"(?P<p>.*\.)?encoder\.layers\.[0-9]+\.blocks\.[0-9]+\.attention\.self\.query\.weight"
PLACED = ("cpb_mlp", "continuous_position_bias_mlp")  # what the second version has for the table
TABLES = ("relative_position_bias_table", "relative_position_bias.relative_position_bias_table")


def torchvision_swin(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``features.{n}.{m}.attn``; every other of ``features`` merges positions."""
    wiring = Wiring("Swin")
    stream = _patches(wiring, names, f"{p}features.0.0", f"{p}features.0.2", p)
    for stage in _numbered(names, p, r"features\.[0-9]+"):
        stream = _merge(wiring, names, stage, stream)
        for at in _numbered(names, f"{stage}.", r"[0-9]+(?=\.attn\.)"):
            _fused(wiring, names, at, stream, ("mlp.0", "mlp.3"))
    norm(wiring, f"{p}norm", stream, norm_of(names, f"{p}norm", shifted="layer"))
    close(wiring, names, config, stream, (f"{p}head",))
    return wiring


def timm_swin(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``layers.{n}.blocks.{m}.attn``; a stage begins with the merging of positions."""
    wiring = Wiring("Swin")
    stream = _patches(wiring, names, f"{p}patch_embed.proj", f"{p}patch_embed.norm", p)
    for stage in _numbered(names, p, r"layers\.[0-9]+"):
        stream = _merge(wiring, names, f"{stage}.downsample", stream)
        for at in _numbered(names, f"{stage}.", r"blocks\.[0-9]+"):
            _fused(wiring, names, at, stream, ("mlp.fc1", "mlp.fc2"))
    norm(wiring, f"{p}norm", stream, norm_of(names, f"{p}norm", shifted="layer"))
    close(wiring, names, config, stream, (f"{p}head.fc", f"{p}head"))
    return wiring


def transformers_swin(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``encoder.layers.{n}.blocks.{m}.attention.q_proj``, the first version as transformers 5 has it."""
    return _transformers(p, names, config, "", ("q_proj", "k_proj", "v_proj"), "o_proj", ("mlp.fc1", "mlp.fc2"))


def named_self_swin(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``attention.self.query``: the second version, and the first as transformers 4 has it."""
    dense = ("intermediate.dense", "output.dense")
    return _transformers(p, names, config, ".self", ("query", "key", "value"), "output.dense", dense)


def _transformers(
    p: str, names: Names, config: Config, inner: str, parts: tuple[str, ...], last: str, dense: tuple[str, str]
) -> Wiring:
    """Wire stages that end with the merging of positions."""
    wiring = Wiring("Swin")
    at = f"{p}embeddings"
    stream = _patches(wiring, names, f"{at}.patch_embeddings.projection", f"{at}.norm", p)
    wiring.tensor(f"{at}.position_embeddings", ["one", f"in {p}positions", f"out {stream}"])
    wiring.tensor(f"{at}.mask_token", ["one", "one", f"out {stream}"], "bias")
    for stage in _numbered(names, p, r"encoder\.layers\.[0-9]+"):
        for block in _numbered(names, f"{stage}.", r"blocks\.[0-9]+"):
            attention = f"{block}.attention{inner}"
            own = tuple(f"{attention}.{each}" for each in parts)
            heads = _heads(wiring, names, attention, (*own, f"{block}.attention.{last}"))
            for module, axis in zip(own, (heads.query, heads.key, heads.value), strict=True):
                linear(wiring, module, axis, f"in {stream}")
            linear(wiring, f"{block}.attention.{last}", f"out {stream}", heads.read)
            for each in ("layernorm_before", "layernorm_after"):
                norm(wiring, f"{block}.{each}", stream, norm_of(names, f"{block}.{each}", shifted="layer"))
            _feed_forward(wiring, block, stream, dense, config.activation)
        stream = _merge(wiring, names, f"{stage}.downsample", stream)
    norm(wiring, f"{p}layernorm", stream, norm_of(names, f"{p}layernorm", shifted="layer"))
    root = p.rpartition(".")[0].rpartition(".")[0]
    close(wiring, names, config, stream, (f"{root}." * bool(root) + "classifier",))
    return wiring


def _patches(wiring: Wiring, names: Names, module: str, after: str, p: str) -> str:
    stream = wiring.space(f"{p}stream")
    wiring.tensor(f"{module}.weight", [f"out {stream}", f"in {p}pixels", "receptive", "receptive"])
    wiring.tensor(f"{module}.bias", [f"out {stream}"], "bias")
    norm(wiring, after, stream, norm_of(names, after, shifted="layer"))
    return stream


def _merge(wiring: Wiring, names: Names, at: str, stream: str) -> str:
    """Say what makes one of four positions, with a stream of its own behind it; else the stream goes on."""
    shape = names.shapes.get(f"{at}.reduction.weight")
    if shape is None:
        return stream
    four: list[object] = ["receptive 4", f"in {stream}"]
    above = wiring.space(f"{at}.reduction")
    linear(wiring, f"{at}.reduction", f"out {above}", four)
    before = names.shapes.get(f"{at}.norm.weight") == shape[1:]  # of the four together; in version 2 it comes behind
    axis: object = ["receptive 4", f"out {stream}"] if before else f"out {above}"
    for leaf, kind in (("weight", "scale"), ("bias", "shift")):
        wiring.tensor(f"{at}.norm.{leaf}", [axis], kind, norm=norm_of(names, f"{at}.norm", shifted="layer"))
    return above


def _fused(wiring: Wiring, names: Names, at: str, stream: str, dense: tuple[str, str]) -> None:
    heads = _heads(wiring, names, f"{at}.attn", (f"{at}.attn.qkv", f"{at}.attn.proj"))
    linear(wiring, f"{at}.attn.qkv", heads.fused, f"in {stream}")
    for leaf, axis in (("q_bias", heads.query), ("v_bias", heads.value)):
        wiring.tensor(f"{at}.attn.{leaf}", [axis], "bias")
    linear(wiring, f"{at}.attn.proj", f"out {stream}", heads.read)
    for each in ("norm1", "norm2"):
        norm(wiring, f"{at}.{each}", stream, norm_of(names, f"{at}.{each}", shifted="layer"))
    _feed_forward(wiring, at, stream, dense, "unknown")


def _heads(wiring: Wiring, names: Names, attention: str, modules: tuple[str, ...]) -> Heads:
    """Say the heads, what each of them adds to pairs of positions, and by what it scales its products."""
    table = next((f"{attention}.{each}" for each in TABLES if names.has(f"{attention}.{each}")), "")
    shape, scale = names.shapes.get(table), names.shapes.get(f"{attention}.logit_scale")
    count = shape[1] if shape and len(shape) == 2 else scale[0] if scale else None
    read = names.shapes.get(f"{modules[-1]}.weight") or (0, 0)
    if count is not None and read[1] % count:
        count = None
    heads = Heads(wiring, attention, Count(count, count), rows=read[1])
    for leaf in ("relative_position_index", "relative_coords_table"):
        wiring.ignore(f"{attention}.{leaf}", "positions")
    if not heads.known:
        for module in modules:
            wiring.doubt(f"{module}.weight", "the number of its heads isn't known")
        return heads
    wiring.tensor(table or f"{attention}.{TABLES[0]}", [f"in {attention}.offsets", f"out {heads.heads}"])
    wiring.tensor(f"{attention}.logit_scale", [f"out {heads.heads}", "one", "one"], "scale")
    inner = next((f"{attention}.{each}" for each in PLACED if names.has(f"{attention}.{each}.0.weight")), attention)
    linear(wiring, f"{inner}.0", f"out {inner}", f"in {attention}.offsets")
    linear(wiring, f"{inner}.2", f"out {heads.heads}", f"in {inner}")
    if names.has(f"{inner}.0.weight"):
        wiring.space(inner, activation="relu")
    return heads


def _feed_forward(wiring: Wiring, at: str, stream: str, dense: tuple[str, str], activation: str) -> None:
    hidden = wiring.space(f"{at}.hidden", activation=activation)
    linear(wiring, f"{at}.{dense[0]}", f"out {hidden}", f"in {stream}")
    linear(wiring, f"{at}.{dense[1]}", f"out {stream}", f"in {hidden}")


def _numbered(names: Names, p: str, pattern: str) -> list[str]:
    """List what the names of numbered modules begin with, in order."""
    found = {hit[0] for name in names.shapes if (hit := re.match(re.escape(p) + pattern, name))}
    return sorted(found, key=natural)
