"""GGUF models: llama.cpp gives the layers of all architectures the same names, and the file says which one it is.

Numbers of heads are among the file's own keys [1]. Rows of queries and keys may be ordered otherwise than in the model
that was converted: rotary positions tell their units apart anyway.

[1] https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, final

from symbreak.checkpoints.wiring._blocks import ROTARY, Count, Heads, count_heads, first
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names, natural
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

RULE = "GGUF architecture"
ALIBI = "each head weighs positions by a slope of its own"
NORMS = ("attn_norm", "attn_norm_2", "ffn_norm", "post_attention_norm", "post_ffw_norm")
HEADS, GROUPS = "attention.head_count", "attention.head_count_kv"


class Architecture(NamedTuple):
    """What no key of a file says: the activation, and how positions come in."""

    activation: str
    positions: str = "rotary"
    routing: str = "top_k"


SOFTMAX = "softmax, top_k"
ARCHITECTURES: Mapping[str, Architecture] = {
    **dict.fromkeys(("llama", "qwen2moe", "qwen3moe", "olmoe", "deepseek"), Architecture("silu", routing=SOFTMAX)),
    **dict.fromkeys(("qwen2", "qwen3", "phi3", "stablelm", "olmo", "olmo2", "orion", "internlm2", "minicpm", "xverse",
                     "command-r", "cohere2", "granite", "granitemoe", "exaone", "smollm3"), Architecture("silu")),
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "falcon", "gptneox", "starcoder2", "phi2"), Architecture("gelu")),
    **dict.fromkeys(("gpt2", "starcoder"), Architecture("gelu", "table")),
    **dict.fromkeys(("bloom", "mpt"), Architecture("gelu", ALIBI)),
}  # fmt: skip


def gguf_wiring(structure: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]]) -> Wiring | None:
    """Wire ``blk.{n}``; None for an architecture that isn't known.

    Parameters
    ----------
    structure
        What `Checkpoint.structure` has of the file's keys.
    shapes
        The tensors of the file that can be read.
    """
    said, own = structure.get("architecture"), structure.get("hyperparameters")
    known = ARCHITECTURES.get(said) if isinstance(said, str) else None
    if known is None or not isinstance(own, Mapping):
        return None
    return _Model(known, own, Names.plain(shapes)).wiring()


@final
class _Model:
    """One file."""

    def __init__(self, known: Architecture, own: Mapping[str, object], names: Names) -> None:
        self.known, self.own, self.names = known, own, names
        self.made = Wiring(RULE, plain=True)
        rms = "attention.layer_norm_rms_epsilon" in own
        self.plain = "rms" if rms else "layer" if "attention.layer_norm_epsilon" in own else None

    def wiring(self) -> Wiring:
        """Say the embedding, the layers and what reads the stream at the end."""
        made, names = self.made, self.names
        made.tensor("token_embd.weight", ["in tokens", "out stream"])
        made.tensor("position_embd.weight", ["in positions", "out stream"])
        for each in ("token_embd_norm", "output_norm"):
            self.norm(each)
        found = {hit[0] for name in names.shapes if (hit := re.match(r"blk\.[0-9]+", name))}
        several = any(isinstance(self.own.get(key), list) for key in (HEADS, GROUPS))
        for at in sorted(found, key=natural) if several else ["blk.{n}"]:
            self.block(at)
        if not any(first(names, f"{at}.{each}.weight") for at in ("blk.{n}",) for each in NORMS):
            made.space("stream", activation="layer_norm")  # OLMo's norms have no parameters
        if names.has("output.weight"):
            linear(made, "output", "out output", "in stream")
            made.space("output", output=True)
        else:
            made.tensor("token_embd.weight", ["out tokens", "in stream"])
            made.space("tokens", input=True, output=True)
        for each in ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"):
            made.ignore(each, "rotary frequencies")
        return made

    def norm(self, module: str) -> None:
        norm(self.made, module, "stream", self.which(module))

    def which(self, module: str) -> str | None:
        return norm_of(self.names, module, shifted="layer", plain=self.plain)

    def block(self, at: str) -> None:
        for each in NORMS:
            self.norm(f"{at}.{each}")
        self.attention(at)
        self.feed_forward(at, "", "")
        self.feed_forward(at, "_shexp", f"{at}.ffn_gate_inp_shexp")
        self.experts(at)

    def attention(self, at: str) -> None:
        made, names = self.made, self.names
        fused, queries = first(names, f"{at}.attn_qkv.weight"), first(names, f"{at}.attn_q.weight")
        keys, read = first(names, f"{at}.attn_k.weight"), first(names, f"{at}.attn_output.weight")
        count = self.count(at, fused, queries, keys, read)
        apart = ROTARY if self.known.positions == "rotary" else ""
        heads = Heads(made, f"{at}.attn", count, apart=apart, rows=fused[0] // 3 if fused else None)
        for each, axis in (("q", heads.query), ("k", heads.key), ("v", heads.value)):
            linear(made, f"{at}.attn_{each}", axis, "in stream")
        linear(made, f"{at}.attn_output", "out stream", heads.read)
        linear(made, f"{at}.attn_qkv", heads.fused, "in stream")
        if not heads.known:
            for each in ("q", "k", "v", "qkv", "output"):
                made.doubt(f"{at}.attn_{each}.weight", count.why)
            return
        if self.known.positions == ALIBI:
            made.space(heads.heads, apart=ALIBI)
        for each, axis, over in (("q", heads.query, heads.heads), ("k", heads.key, heads.groups)):
            module = f"{at}.attn_{each}_norm"
            shape = first(names, f"{module}.weight") or ()
            one = len(shape) == 1 and shape[0] == self.size(queries, count)
            axes: list[object] = [f"out {at}.attn.query_key"] if one else [axis]
            if len(shape) == 2:
                axes = [f"head {over}", f"out {at}.attn.query_key"]
            for leaf, kind in (("weight", "scale"), ("bias", "shift")):
                over_heads = [f"head {over}"] if one else []
                made.tensor(f"{module}.{leaf}", axes, kind, over=over_heads, norm=self.which(module))

    def size(self, queries: tuple[int, ...] | None, count: Count) -> int:
        return queries[0] // count.heads if queries and count.heads else 0

    def count(
        self,
        at: str,
        fused: tuple[int, ...] | None,
        queries: tuple[int, ...] | None,
        keys: tuple[int, ...] | None,
        read: tuple[int, ...] | None,
    ) -> Count:
        """Count heads by the file's keys, as far as the shapes agree."""
        heads, groups = (self.number(key, at) for key in (HEADS, GROUPS))
        if heads is None:
            return Count(None, why=f"the file has no key {HEADS}")
        groups = groups or heads
        config = Config({"num_attention_heads": heads, "num_key_value_heads": groups})
        if fused and read:
            size = fused[0] // (heads + 2 * groups)
            if fused[0] != size * (heads + 2 * groups) or read[-1] != size * heads:
                return Count(None, why=f"{heads} and {groups} heads don't fit {fused[0]} rows")
            return count_heads(config, heads * size, groups * size)
        return count_heads(config, queries[0] if queries else None, keys[0] if keys else None)

    def number(self, key: str, at: str) -> int | None:
        """Give a number of the file, that of a layer where each has its own."""
        value = self.own.get(key)
        if isinstance(value, list):
            place = at.rpartition(".")[2]
            value = value[int(place)] if place.isdecimal() and int(place) < len(value) else None
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31 else None

    def feed_forward(self, at: str, end: str, gate: str) -> None:
        """Say a dense layer and what reads it; gate and values may be one array."""
        made = self.made
        up, down = (first(self.names, f"{at}.ffn_{each}{end}.weight") for each in ("up", "down"))
        hidden = made.space(f"{at}.ffn{end}", activation=self.known.activation)
        whole: object = f"out {hidden}"
        both = {"gate": whole, "up": whole} if up and down and up[0] == 2 * down[1] else whole
        linear(made, f"{at}.ffn_gate{end}", whole, "in stream")
        linear(made, f"{at}.ffn_up{end}", both, "in stream")
        linear(made, f"{at}.ffn_down{end}", "out stream", f"in {hidden}")
        if gate and first(self.names, f"{gate}.weight") is not None:
            flat = len(first(self.names, f"{gate}.weight") or ()) == 1  # it gives one number
            made.space(gate, output=True, units=1)
            axes = ["in stream"] if flat else [f"out {gate}", "in stream"]
            made.tensor(f"{gate}.weight", axes, over=[f"out {gate}"] if flat else [])

    def experts(self, at: str) -> None:
        """Say a router and its experts, stacked in one array."""
        made, experts = self.made, f"{at}.experts"
        if first(self.names, f"{at}.ffn_gate_inp.weight") is None:
            return
        hidden = made.space(f"{experts}.hidden", activation=self.known.activation)
        made.space(experts, activation=self.known.routing)
        linear(made, f"{at}.ffn_gate_inp", f"out {experts}", "in stream")
        for each, axes in (("gate", (f"out {hidden}", "in stream")), ("up", (f"out {hidden}", "in stream")),
                           ("down", ("out stream", f"in {hidden}"))):  # fmt: skip
            made.tensor(f"{at}.ffn_{each}_exps.weight", [f"stack {experts}", *axes])
