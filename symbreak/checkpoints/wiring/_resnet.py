"""Residual networks of torchvision and timm: stages ``layer1`` to ``layer4`` of blocks that add to a stream."""

import re

from symbreak.checkpoints.wiring._blocks import close, norm_behind
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names, natural
from symbreak.checkpoints.wiring._spec import Wiring

ANCHOR = r"(?P<p>.*\.)?layer1\.0\.conv1\.weight"


def resnet(p: str, names: Names, config: Config) -> Wiring:
    """Wire a stem of one convolution, blocks of two or three, and the layer of classes.

    A block that changes the width, or the positions, has a ``downsample`` and with it a stream of its own. Where one
    holds something else as well, such as an attention over units, it isn't known and its stream is told apart.
    """
    wiring = Wiring("ResNet")
    stream = wiring.space(f"{p}stem", activation="relu")
    wiring.tensor(f"{p}conv1.weight", [f"out {stream}", f"in {p}input", "receptive", "receptive"])
    norm_behind(wiring, names, config, f"{p}bn1", stream)
    found = {match[1] for name in names.shapes if (match := re.match(re.escape(p) + r"(layer[0-9]+\.[0-9]+)\.", name))}
    for block in (p + each for each in sorted(found, key=natural)):
        convs = [f"{block}.conv{n}" for n in (1, 2, 3) if names.has(f"{block}.conv{n}.weight")]
        above = stream
        if names.has(f"{block}.downsample.0.weight"):
            above = wiring.space(f"{block}.stream", activation="relu")
            axes = [f"out {above}", f"in {stream}", "receptive", "receptive"]
            wiring.tensor(f"{block}.downsample.0.weight", axes)
            norm_behind(wiring, names, config, f"{block}.downsample.1", above)
        _chain(wiring, names, config, block, convs, stream, above)
        stream = above
    close(wiring, names, config, stream, (f"{p}fc",))
    return wiring


def _chain(wiring: Wiring, names: Names, config: Config, block: str, convs: list[str], stream: str, above: str) -> None:
    """Wire the convolutions of a block; one in groups makes the spaces around it those of copies."""
    sizes = [names.shapes[f"{conv}.weight"] for conv in convs]
    units = [shape[0] for shape in sizes[:-1]]  # of the spaces between them
    groups = [1] * len(convs)
    for number in range(1, len(convs)):
        if len(sizes[number]) == 4 and sizes[number][1] and units[number - 1] % sizes[number][1] == 0:
            groups[number] = units[number - 1] // sizes[number][1]
    whole: list[object] = [f"{block}.conv{number + 1}" for number in range(len(convs) - 1)]
    grouped = next((number for number in range(1, len(convs)) if groups[number] > 1), None)
    parent = f"{block}.groups"
    if grouped is not None:
        wiring.space(parent, units=groups[grouped])

    def axis(role: str, number: int) -> object:
        """Give the axis of the space behind convolution `number`; that before the first is the stream."""
        if number < 0:
            return f"{role} {stream}"
        if number == len(convs) - 1:
            return f"{role} {above}"
        space = f"{role} {whole[number]}"
        return [f"stack {parent}", space] if grouped is not None and number in (grouped - 1, grouped) else space

    for number, conv in enumerate(convs):
        source = f"in {whole[number - 1]}" if number == grouped else axis("in", number - 1)
        wiring.tensor(f"{conv}.weight", [axis("out", number), source, "receptive", "receptive"])
        if number < len(convs) - 1:
            wiring.space(str(whole[number]), activation="relu")
        space = str(whole[number]) if number < len(convs) - 1 else above
        along = axis("out", number)
        norm_behind(wiring, names, config, f"{block}.bn{number + 1}", space, along)
        if isinstance(along, list) and wiring.spaces[space].apart:
            wiring.space(parent, apart=wiring.spaces[space].apart)  # its groups may lie across the copies
