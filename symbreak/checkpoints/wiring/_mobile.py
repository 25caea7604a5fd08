"""MobileNet and EfficientNet: inverted bottlenecks with depthwise layers, and attention over units, in three layouts.

A block adds its input to its output where neither the width nor the positions change. Names and shapes don't show the
positions, so any block that keeps its width is taken for one of those: if it isn't, its two spaces are numbered alike
without need, which claims no tie that isn't one.
"""

import re
from typing import NamedTuple

from symbreak.checkpoints.wiring._blocks import close, norm_behind
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names, natural
from symbreak.checkpoints.wiring._spec import Wiring

TORCHVISION = r"(?P<p>.*\.)?features\.[0-9]+\.(?:[0-9]+\.)?(?:conv|block)\.[0-9]+(?:\.0)?\.weight"
TIMM = r"(?P<p>.*\.)?blocks\.[0-9]+\.[0-9]+\.(?:conv_pwl?|conv_dw|conv_exp)\.weight"
TRANSFORMERS = (
    r"(?P<p>.*\.)?(?:layer\.[0-9]+\.reduce_1x1\.convolution|encoder\.blocks\.[0-9]+\.projection\.project_conv)\.weight"
)
FIRST = r"(?P<p>.*\.)?layer\.0\.convolution\.weight"
INNER = (  # a block of torchvision, and one of its layers
    r"(features\.[0-9]+(?:\.[0-9]+(?=\.block))?)"
    r"\.(?:[0-9]+|conv\.[0-9]+(?:\.[0-9]+)?|block\.[0-9]+(?:\.[0-9]+|\.fc[12])?)\.weight"
)


class Layer(NamedTuple):
    """A convolution and the norm behind it; or, where `gate` is given, two that weigh units by their means."""

    module: str
    norm: str = ""
    gate: str = ""


class Row:
    """Layers one after the other, in blocks that add to a stream.

    Parameters
    ----------
    wiring
        Where they are said.
    names, config
        As elsewhere.
    start
        The space that the first one reads.
    activation
        Of the spaces within.
    """

    def __init__(self, wiring: Wiring, names: Names, config: Config, start: str, activation: str = "unknown") -> None:
        self.wiring, self.names, self.config, self.activation = wiring, names, config, activation
        self.space, self.units = start, 0  # 0 for inputs, of which any number will do

    def block(self, layers: list[Layer], *, adds: bool = True) -> None:
        """Say the layers of a block."""
        layers = [each for each in layers if self.names.has(f"{each.module}.weight")]
        stream, width = self.space, self.units
        weights = [each for each in layers if not each.gate]
        for layer in layers:
            if layer.gate:
                self.gate(layer)
            elif adds and layer is weights[-1] and self.names.shapes[f"{layer.module}.weight"][0] == width:
                self.layer(layer, stream)
            else:
                self.layer(layer, layer.module)

    def layer(self, layer: Layer, target: str) -> None:
        """Say one layer and its norm; one that reads each unit alone writes to the same space."""
        name = f"{layer.module}.weight"
        shape = self.names.shapes[name]
        field = ["receptive"] * (len(shape) - 2)
        if self.units > 1 and len(shape) > 2 and shape[:2] == (self.units, 1):
            self.wiring.tensor(name, [f"out {self.space}", "one", *field], "scale", norm="none")
            self.wiring.tensor(f"{layer.module}.bias", [f"out {self.space}"], "bias")
        else:
            self.wiring.tensor(name, [f"out {target}", f"in {self.space}", *field])
            self.wiring.tensor(f"{layer.module}.bias", [f"out {target}"], "bias")
            self.space, self.units = target, shape[0]
            self.wiring.space(target, activation=self.activation)
        if layer.norm:
            norm_behind(self.wiring, self.names, self.config, layer.norm, self.space)

    def gate(self, layer: Layer) -> None:
        """Say the two layers that give each unit a weight."""
        inner = self.wiring.space(layer.module, activation=self.activation)
        for module, ends in ((layer.module, ("out", "in")), (layer.gate, ("in", "out"))):
            axes = {"out": f"{ends[0]} {inner}", "in": f"{ends[1]} {self.space}"}
            first, second = (axes["out"], axes["in"]) if ends[0] == "out" else (axes["in"], axes["out"])
            field = ["receptive"] * (len(self.names.shapes.get(f"{module}.weight", (0, 0))) - 2)
            self.wiring.tensor(f"{module}.weight", [first, second, *field])
            self.wiring.tensor(f"{module}.bias", [first], "bias")


def torchvision_mobile(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``features.{n}.conv``, ``features.{n}.block`` and ``features.{n}.{m}.block``, as torchvision has them."""
    from symbreak.checkpoints.wiring._convnext import torchvision_convnext

    if any(re.fullmatch(re.escape(p) + r"features\.[0-9]+\.[0-9]+\.layer_scale", name) for name in names.shapes):
        return torchvision_convnext(p, names, config)
    wiring = Wiring("MobileNet, EfficientNet")
    row = Row(wiring, names, config, f"{p}input")
    blocks: dict[str, list[str]] = {}
    for name in sorted(names.shapes, key=natural):
        found = re.fullmatch(re.escape(p) + INNER, name)
        if found:
            blocks.setdefault(p + found[1], []).append(name.removesuffix(".weight"))
    for modules in blocks.values():
        row.block(_pairs(names, modules), adds=True)
    _top(wiring, names, row, p)
    return wiring


def _pairs(names: Names, modules: list[str]) -> list[Layer]:
    """Put each norm to the layer before it, and the two layers of a gate together."""
    found: list[Layer] = []
    for module in modules:
        if module.endswith((".fc1", ".fc2")):
            if module.endswith(".fc1"):
                found.append(Layer(module, gate=module.removesuffix("1") + "2"))
        elif len(names.shapes[f"{module}.weight"]) > 1:
            found.append(Layer(module))
        elif found:
            found[-1] = found[-1]._replace(norm=module)
    return found


def _top(wiring: Wiring, names: Names, row: Row, p: str) -> None:
    """Say the layers of classes: one dense layer after the other."""
    modules = [
        name.removesuffix(".weight")
        for name in sorted(names.shapes, key=natural)
        if re.fullmatch(re.escape(p) + r"classifier\.[0-9]+\.weight", name)
    ]
    for layer in _pairs(names, modules):
        row.layer(layer, layer.module)
    wiring.space(row.space, output=True, activation="identity")


def timm_mobile(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``blocks.{n}.{m}`` of timm: bottlenecks, depthwise, plain and fused blocks."""
    wiring = Wiring("MobileNet, EfficientNet")
    row = Row(wiring, names, config, f"{p}input")
    row.block([Layer(f"{p}conv_stem", f"{p}bn1")], adds=False)
    for at in _blocks(names, p, r"blocks\.[0-9]+\.[0-9]+"):
        gate = Layer(f"{at}.se.conv_reduce", gate=f"{at}.se.conv_expand")
        if names.has(f"{at}.conv_exp.weight"):
            layers = [Layer(f"{at}.conv_exp", f"{at}.bn1"), gate, Layer(f"{at}.conv_pwl", f"{at}.bn2")]
        elif names.has(f"{at}.conv_pwl.weight"):
            layers = [Layer(f"{at}.conv_pw", f"{at}.bn1"), Layer(f"{at}.conv_dw", f"{at}.bn2"), gate]
            layers.append(Layer(f"{at}.conv_pwl", f"{at}.bn3"))
        elif names.has(f"{at}.conv_dw.weight"):
            layers = [Layer(f"{at}.conv_dw", f"{at}.bn1"), gate, Layer(f"{at}.conv_pw", f"{at}.bn2")]
        else:
            layers = [Layer(f"{at}.conv", f"{at}.bn1")]
        row.block(layers)
    row.block([Layer(f"{p}conv_head", f"{p}bn2")], adds=False)
    norm_behind(wiring, names, config, f"{p}norm_head", row.space)
    close(wiring, names, config, row.space, (f"{p}classifier",))
    return wiring


def transformers_mobile(p: str, names: Names, config: Config) -> Wiring:
    """Wire MobileNetV2 and EfficientNet as transformers has them."""
    wiring = Wiring("MobileNet, EfficientNet")
    row = Row(wiring, names, config, f"{p}input", config.activation)

    def pair(at: str) -> Layer:
        return Layer(f"{at}.convolution", f"{at}.normalization")

    row.block([pair(f"{p}conv_stem.first_conv"), Layer(f"{p}embeddings.convolution", f"{p}embeddings.batchnorm")])
    row.block([pair(f"{p}conv_stem.{each}") for each in ("expand_1x1", "conv_3x3", "reduce_1x1")])
    for at in _blocks(names, p, r"layer\.[0-9]+"):
        row.block([pair(f"{at}.{each}") for each in ("expand_1x1", "conv_3x3", "reduce_1x1")])
    for at in _blocks(names, p, r"encoder\.blocks\.[0-9]+"):
        deep, gate, last = f"{at}.depthwise_conv.depthwise_", f"{at}.squeeze_excite", f"{at}.projection.project_"
        row.block(
            [
                Layer(f"{at}.expansion.expand_conv", f"{at}.expansion.expand_bn"),
                Layer(f"{deep}conv", f"{deep}norm"),
                Layer(f"{gate}.reduce", gate=f"{gate}.expand"),
                Layer(f"{last}conv", f"{last}bn"),
            ]
        )
    row.block([pair(f"{p}conv_1x1"), Layer(f"{p}encoder.top_conv", f"{p}encoder.top_bn")], adds=False)
    root = p.rpartition(".")[0].rpartition(".")[0]
    close(wiring, names, config, row.space, (f"{root}." * bool(root) + "classifier",))
    return wiring


def first_mobile(p: str, names: Names, config: Config) -> Wiring:
    """Wire MobileNetV1 as transformers has it: layers in a row, of which none adds its input."""
    wiring = Wiring("MobileNet, EfficientNet")
    row = Row(wiring, names, config, f"{p}input", config.activation)
    for at in (f"{p}conv_stem", *_blocks(names, p, r"layer\.[0-9]+")):
        row.block([Layer(f"{at}.convolution", f"{at}.normalization")], adds=False)
    root = p.rpartition(".")[0].rpartition(".")[0]
    close(wiring, names, config, row.space, (f"{root}." * bool(root) + "classifier",))
    return wiring


def _blocks(names: Names, p: str, pattern: str) -> list[str]:
    """List what the names of the tensors of each block begin with, in order."""
    found = {
        hit[0].removesuffix(".") for name in names.shapes if (hit := re.match(re.escape(p) + pattern + r"\.", name))
    }
    return sorted(found, key=natural)
