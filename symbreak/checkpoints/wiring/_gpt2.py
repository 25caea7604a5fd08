"""GPT-2 and what copies its names: fused queries, keys and values, and weights that are (in, out)."""

from symbreak.checkpoints.wiring._blocks import Heads, close, count_heads, first
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

ANCHOR = r"(?P<p>.*\.)?h\.[0-9]+\.attn\.c_attn\.weight"


def gpt2(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``h.{n}.attn.c_attn`` and its neighbours."""
    wiring = Wiring("GPT-2")
    stream, tokens, block = f"{p}stream", f"{p}tokens", p + "h.{n}"
    wiring.tensor(f"{p}wte.weight", [f"in {tokens}", f"out {stream}"])
    wiring.tensor(f"{p}wpe.weight", [f"in {p}positions", f"out {stream}"])
    fused = first(names, f"{block}.attn.c_attn.weight") or (0, 0)
    queries = fused[1] // 3
    heads = Heads(wiring, f"{block}.attn", count := count_heads(config, queries), rows=queries)
    for each in ("ln_1", "ln_2"):
        norm(wiring, f"{block}.{each}", stream, norm_of(names, f"{block}.{each}", shifted="layer"))
    linear(wiring, f"{block}.attn.c_attn", heads.fused, f"in {stream}", transposed=True)
    linear(wiring, f"{block}.attn.c_proj", f"out {stream}", heads.read, transposed=True)
    if not heads.known:
        wiring.doubt(f"{block}.attn.c_attn.weight", count.why)
        wiring.doubt(f"{block}.attn.c_proj.weight", count.why)
    hidden = wiring.space(f"{block}.mlp", activation=config.text("activation_function") or "unknown")
    linear(wiring, f"{block}.mlp.c_fc", f"out {hidden}", f"in {stream}", transposed=True)
    linear(wiring, f"{block}.mlp.c_proj", f"out {stream}", f"in {hidden}", transposed=True)
    norm(wiring, f"{p}ln_f", stream, norm_of(names, f"{p}ln_f", shifted="layer"))
    wiring.ignore(f"{block}.attn.bias", "a causal mask")
    wiring.ignore(f"{block}.attn.masked_bias", "a causal mask")
    root = p.removesuffix("transformer.")
    close(wiring, names, config, stream, (f"{root}lm_head", f"{root}score"), table=f"{p}wte.weight", tokens=tokens)
    return wiring
