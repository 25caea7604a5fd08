"""GPT-NeoX and Pythia: queries, keys and values fused head by head, and rotary positions."""

from symbreak.checkpoints.wiring._blocks import NO_HEADS, ROTARY, Count, Heads, close, count_heads, first
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

ANCHOR = r"(?P<p>.*\.)?layers\.[0-9]+\.attention\.query_key_value\.weight"


def neox(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``layers.{n}.attention.query_key_value`` and its neighbours."""
    wiring = Wiring("GPT-NeoX")
    stream, tokens, block = f"{p}stream", f"{p}tokens", p + "layers.{n}"
    wiring.tensor(f"{p}embed_in.weight", [f"in {tokens}", f"out {stream}"])
    for each in ("input_layernorm", "post_attention_layernorm"):
        norm(wiring, f"{block}.{each}", stream, norm_of(names, f"{block}.{each}", shifted="layer"))
    norm(wiring, f"{p}final_layer_norm", stream, norm_of(names, f"{p}final_layer_norm", shifted="layer"))
    _attention(wiring, f"{block}.attention", stream, names, config)
    hidden = wiring.space(f"{block}.mlp", activation=config.activation)
    linear(wiring, f"{block}.mlp.dense_h_to_4h", f"out {hidden}", f"in {stream}")
    linear(wiring, f"{block}.mlp.dense_4h_to_h", f"out {stream}", f"in {hidden}")
    for each in ("bias", "masked_bias", "rotary_emb.inv_freq"):
        wiring.ignore(f"{block}.attention.{each}", "a mask or rotary frequencies")
    root = p.removesuffix("gpt_neox.")
    close(wiring, names, config, stream, (f"{root}embed_out", f"{root}lm_head", f"{root}score"))
    return wiring


def _attention(wiring: Wiring, at: str, stream: str, names: Names, config: Config) -> None:
    read = first(names, f"{at}.dense.weight") or (0, 0)
    count = count_heads(config, read[1])
    if count.heads is None:  # then even the order of the rows isn't known
        linear(wiring, f"{at}.dense", f"out {stream}", f"in {at}.value")
        units = wiring.space(f"{at}.query_key_value", input=True, output=True)
        linear(wiring, f"{at}.query_key_value", f"out {units}", f"in {stream}")
        wiring.space(f"{at}.value", input=True, output=True)
        for each in ("query_key_value", "dense"):
            wiring.doubt(f"{at}.{each}.weight", count.why or NO_HEADS)
        return
    heads = Heads(wiring, at, Count(count.heads, count.heads), apart=ROTARY)
    fused = {"query": f"out {at}.query_key", "key": f"out {at}.query_key", "value": f"out {at}.value"}
    linear(wiring, f"{at}.query_key_value", [f"head {heads.heads}", fused], f"in {stream}")
    linear(wiring, f"{at}.dense", f"out {stream}", heads.read)
