"""ConvNeXt: stages of blocks that add to a stream, in the layouts of torchvision, timm and transformers."""

import re

from symbreak.checkpoints.wiring._blocks import close
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names, natural
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

TIMM = r"(?P<p>.*\.)?stages\.[0-9]+\.blocks\.[0-9]+\.conv_dw\.weight"
TRANSFORMERS = r"(?P<p>.*\.)?encoder\.stages\.[0-9]+\.layers\.[0-9]+\.dwconv\.weight"
PARTS = {  # of a block: depthwise layer, norm, two dense layers, norm of responses, scale of the branch
    "torchvision": ("block.0", "block.2", "block.3", "block.5", "", "layer_scale"),
    "timm": ("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "mlp.grn", "gamma"),
    "transformers": ("dwconv", "layernorm", "pwconv1", "pwconv2", "grn", "layer_scale_parameter"),
}


def torchvision_convnext(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``features.{n}.{m}.block`` with a scale of the branch; every other of ``features`` halves the positions."""
    wiring = Wiring("ConvNeXt")
    stream = _stem(wiring, names, f"{p}features.0.0", f"{p}features.0.1", p)
    for stage in _numbered(names, p, r"features\.[1-9][0-9]*"):
        if names.has(f"{stage}.1.weight") and not names.has(f"{stage}.0.block.0.weight"):
            stream = _halve(wiring, names, f"{stage}.0", f"{stage}.1", stream)
        for at in _numbered(names, f"{stage}.", r"[0-9]+(?=\.block\.)"):
            _block(wiring, names, at, PARTS["torchvision"], stream)
    norm(wiring, f"{p}classifier.0", stream, norm_of(names, f"{p}classifier.0", shifted="layer"))
    close(wiring, names, config, stream, (f"{p}classifier.2",))
    return wiring


def timm_convnext(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``stages.{n}.blocks.{m}``; the norm of the top is called by its place before or after the mean."""
    wiring = Wiring("ConvNeXt")
    stream = _stem(wiring, names, f"{p}stem.0", f"{p}stem.1", p)
    for stage in _numbered(names, p, r"stages\.[0-9]+"):
        stream = _halve(wiring, names, f"{stage}.downsample.0", f"{stage}.downsample.1", stream)
        for at in _numbered(names, f"{stage}.", r"blocks\.[0-9]+"):
            _block(wiring, names, at, PARTS["timm"], stream)
    for each in ("norm_pre", "head.norm"):
        norm(wiring, p + each, stream, norm_of(names, p + each, shifted="layer"))
    close(wiring, names, config, stream, (f"{p}head.fc",))
    return wiring


def transformers_convnext(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``encoder.stages.{n}.layers.{m}``, of both versions."""
    wiring = Wiring("ConvNeXt")
    stream = _stem(wiring, names, f"{p}embeddings.patch_embeddings", f"{p}embeddings.layernorm", p)
    for stage in _numbered(names, p, r"encoder\.stages\.[0-9]+"):
        stream = _halve(wiring, names, f"{stage}.downsampling_layer.0", f"{stage}.downsampling_layer.1", stream)
        for at in _numbered(names, f"{stage}.", r"layers\.[0-9]+"):
            _block(wiring, names, at, PARTS["transformers"], stream, config.activation)
    norm(wiring, f"{p}layernorm", stream, norm_of(names, f"{p}layernorm", shifted="layer"))
    root = p.rpartition(".")[0].rpartition(".")[0]
    close(wiring, names, config, stream, (f"{root}." * bool(root) + "classifier",))
    return wiring


def _stem(wiring: Wiring, names: Names, conv: str, after: str, p: str) -> str:
    stream = wiring.space(f"{p}stem")
    _conv(wiring, names, conv, f"out {stream}", f"in {p}input")
    norm(wiring, after, stream, norm_of(names, after, shifted="layer"))
    return stream


def _halve(wiring: Wiring, names: Names, before: str, conv: str, stream: str) -> str:
    """Say a norm and a convolution that begin a stage with a stream of its own; without them the stream goes on."""
    if not names.has(f"{conv}.weight"):
        return stream
    norm(wiring, before, stream, norm_of(names, before, shifted="layer"))
    _conv(wiring, names, conv, f"out {conv}", f"in {stream}")
    return wiring.space(conv)


def _block(
    wiring: Wiring, names: Names, at: str, parts: tuple[str, ...], stream: str, activation: str = "unknown"
) -> None:
    deep, middle, up, down, response, scale = (f"{at}.{each}" for each in parts)
    wiring.tensor(f"{deep}.weight", [f"out {stream}", "one", "receptive", "receptive"], "scale", norm="none")
    wiring.tensor(f"{deep}.bias", [f"out {stream}"], "bias")
    norm(wiring, middle, stream, norm_of(names, middle, shifted="layer"))
    hidden = wiring.space(f"{at}.hidden", activation=activation)
    for module, ends in ((up, (f"out {hidden}", f"in {stream}")), (down, (f"out {stream}", f"in {hidden}"))):
        _conv(wiring, names, module, *ends)  # a dense layer, or a convolution of one position
    for leaf, kind in (("weight", "scale"), ("bias", "shift")):
        _vector(wiring, names, f"{response}.{leaf}", hidden, kind)
    _vector(wiring, names, scale, stream, "scale", "none")


def _conv(wiring: Wiring, names: Names, module: str, target: str, source: str) -> None:
    rank = len(names.shapes.get(f"{module}.weight", (0, 0)))
    if rank == 2:
        linear(wiring, module, target, source)
        return
    wiring.tensor(f"{module}.weight", [target, source, *["receptive"] * (rank - 2)])
    wiring.tensor(f"{module}.bias", [target], "bias")


def _vector(wiring: Wiring, names: Names, name: str, space: str, kind: str, of: str | None = None) -> None:
    """Say one value a unit, whatever axes of length 1 are beside it."""
    shape = names.shapes.get(name, ())
    long = [number for number, length in enumerate(shape) if length > 1]
    if len(long) == 1:
        wiring.tensor(
            name, [f"out {space}" if number in long else "one" for number in range(len(shape))], kind, norm=of
        )


def _numbered(names: Names, p: str, pattern: str) -> list[str]:
    """List what the names of numbered modules begin with, in order."""
    found = {hit[0] for name in names.shapes if (hit := re.match(re.escape(p) + pattern, name))}
    return sorted(found, key=natural)
