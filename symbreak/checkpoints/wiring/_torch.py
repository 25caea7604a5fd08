"""PyTorch's own modules: MultiheadAttention, the layers of Transformer, and RNN, GRU and LSTM."""

import re

from symbreak.checkpoints.wiring._blocks import Heads, count_heads, first
from symbreak.checkpoints.wiring._config import HEADS, Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

TRANSFORMER = r"(?P<p>(?:.+?\.)??)(?:(?:en|de)coder\.)?layers\.[0-9]+\.self_attn\.in_proj_weight"
ATTENTION = r"(?P<p>.*\.)?(?:in_proj_weight|q_proj_weight)"
RECURRENT = r"(?P<p>.*\.)?weight_ih_l0"
GATES = {1: "", 3: "gru", 4: "lstm"}
EMBEDDING = re.compile(r"(?:.*\.)?(?:word_?)?emb(?:ed(?:ding)?)?s?\.weight|encoder\.weight")
TOP = re.compile(r"(?:.*\.)?(?:fc|linear|dense|out|output|head|classifier|decoder|proj)\.weight")
KEYWORDS = (*HEADS, "nhead")


def transformer(p: str, names: Names, config: Config) -> Wiring:
    """Wire nn.TransformerEncoder, nn.TransformerDecoder, or the two of nn.Transformer."""
    wiring = Wiring("torch Transformer")
    sides = [side for side in ("encoder.", "decoder.", "") if first(names, p + side + "layers.{n}.linear1.weight")]
    for side in sides:
        at, block = f"{p}{side}", p + side + "layers.{n}"
        stream = f"{at}stream"
        _attention(wiring, f"{block}.self_attn", names, config, stream, stream, stream)
        crossed = first(names, f"{block}.multihead_attn.in_proj_weight") or first(
            names, f"{block}.multihead_attn.q_proj_weight"
        )
        if crossed:
            memory = f"{p}encoder.stream" if "encoder." in sides else f"{at}memory"
            _attention(wiring, f"{block}.multihead_attn", names, config, stream, memory, memory)
            if "encoder." not in sides:
                wiring.space(memory, input=True, output=True)
        for each in ("norm1", "norm2", "norm3"):
            norm(wiring, f"{block}.{each}", stream, "layer")
        hidden = wiring.space(f"{block}.hidden", activation=config.activation)
        linear(wiring, f"{block}.linear1", f"out {hidden}", f"in {stream}")
        linear(wiring, f"{block}.linear2", f"out {stream}", f"in {hidden}")
        norm(wiring, f"{at}norm", stream, norm_of(names, f"{at}norm", shifted="layer"))
        wiring.space(stream, input=True, output=True)  # what feeds it and what reads it have names of their own
    return wiring


def attention(p: str, names: Names, config: Config) -> Wiring:
    """Wire an nn.MultiheadAttention that stands alone."""
    wiring = Wiring("torch MultiheadAttention")
    for each in ("query", "key", "value", "output"):
        wiring.space(f"{p}inputs.{each}" if each != "output" else f"{p}output", input=True, output=True)
    at = p.removesuffix(".")
    _attention(wiring, at, names, config, f"{p}inputs.query", f"{p}inputs.key", f"{p}inputs.value", output=f"{p}output")
    return wiring


def _attention(
    wiring: Wiring, at: str, names: Names, config: Config, query: str, key: str, value: str, output: str = ""
) -> None:
    """Wire the arrays of nn.MultiheadAttention; the three that it reads may be one space."""
    p = f"{at}." if at else ""
    read = first(names, f"{p}out_proj.weight") or (0, 0)
    count = count_heads(config, read[1], keyword=KEYWORDS)
    heads = Heads(wiring, f"{p}attention", count, rows=read[1])
    sources = {"query": query, "key": key, "value": value}
    parts = heads.fused
    same = len(set(sources.values())) == 1
    reads: object = f"in {query}" if same else {"by": {part: f"in {source}" for part, source in sources.items()}}
    wiring.tensor(f"{p}in_proj_weight", [parts, reads])
    wiring.tensor(f"{p}in_proj_bias", [parts], "bias")
    for letter, part in zip("qkv", parts, strict=True):
        wiring.tensor(f"{p}{letter}_proj_weight", [parts[part], f"in {sources[part]}"])
    linear(wiring, f"{p}out_proj", f"out {output or query}", heads.read)
    if not heads.known:
        for each in ("in_proj_weight", "out_proj.weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            wiring.doubt(p + each, count.why)


def recurrent(p: str, names: Names, config: Config) -> Wiring:  # noqa: ARG001 - as all families
    """Wire nn.RNN, nn.GRU or nn.LSTM: layers, both directions, and the projection of an LSTM."""
    wiring = Wiring("torch RNN, GRU, LSTM")
    layers = [int(numbers["n"]) for _, numbers in names.find(p + "weight_ih_l{n}")]
    below: list[str] = [f"{p}input"]
    for layer in sorted(layers):
        above = []
        for suffix in ("", "_reverse"):
            end = f"l{layer}{suffix}"
            recur = names.shapes.get(f"{p}weight_hh_{end}")
            if recur is None or len(recur) != 2:
                continue
            projected = names.shapes.get(f"{p}weight_hr_{end}")
            units = projected[1] if projected else recur[1]
            gates = recur[0] // units if units and recur[0] % units == 0 else 0
            if gates not in GATES:
                continue
            cell = wiring.space(p + end, activation=GATES[gates] or "unknown")
            state = cell if projected is None else f"{p}{end}.projected"
            rows: object = [f"gate {gates}", f"out {cell}"] if gates > 1 else f"out {cell}"
            reads: object = f"in {below[0]}" if len(below) == 1 else {each[len(p) :]: f"in {each}" for each in below}
            wiring.tensor(f"{p}weight_ih_{end}", [rows, reads])
            wiring.tensor(f"{p}weight_hh_{end}", [rows, f"in {state}"])
            wiring.tensor(f"{p}weight_hr_{end}", [f"out {state}", f"in {cell}"])
            for bias in ("ih", "hh"):
                wiring.tensor(f"{p}bias_{bias}_{end}", [rows], "bias")
            above.append(state)
        below = above or below
    for space in below:
        wiring.space(space, output=True)
    wiring.space(f"{p}input", input=True, output=True)
    _around(wiring, p, names, below)
    return wiring


def _around(wiring: Wiring, p: str, names: Names, above: list[str]) -> None:
    """Wire an embedding before and a dense layer after a recurrent module, where there is nothing else beside it."""
    others = [name for name in names.shapes if not name.startswith(p)] if p else []
    table = next((name for name in others if EMBEDDING.fullmatch(name)), None)
    top = next((name.removesuffix(".weight") for name in others if TOP.fullmatch(name)), None)
    if set(others) - {table, f"{top}.weight", f"{top}.bias"} or re.search(r"[{}*]", f"{table}{top}"):
        return
    read, written = names.shapes.get(f"{p}weight_ih_l0", ()), names.shapes.get(f"{top}.weight", ())
    if table is not None and len(names.shapes[table]) == 2 == len(read) and names.shapes[table][1] == read[1]:
        wiring.tensor(table, [f"in {p}tokens", f"out {p}input"])
        wiring.space(f"{p}input", input=False, output=False)
    elif table is not None:
        return
    if top is not None and len(written) == 2:
        reads = f"in {above[0]}" if len(above) == 1 else {each[len(p) :]: f"in {each}" for each in above}
        linear(wiring, top, f"out {top}", reads)
        wiring.space(top, output=True)
        for space in above:
            wiring.space(space, output=False)
