"""T5 and mT5: an encoder and a decoder of two streams, and positions as a table that all layers' heads share."""

from symbreak.checkpoints.wiring._blocks import Count, attention, close, count_heads, first
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

ANCHOR = r"(?P<p>.*\.)?(?:en|de)coder\.block\.[0-9]+\.layer\.0\.SelfAttention\.q\.weight"
BIAS = "layer.0.SelfAttention.relative_attention_bias.weight"


def t5(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``encoder.block.{n}.layer`` and ``decoder.block.{n}.layer``."""
    wiring = Wiring("T5")
    tokens = f"{p}tokens"
    streams = {side: f"{p}{side}.stream" for side in ("encoder", "decoder")}
    table = f"{p}shared.weight"
    sides = [side for side in streams if first(names, f"{p}{side}.block.{{n}}.layer.0.SelfAttention.q.weight")]
    for side in sides:
        stream, block = streams[side], f"{p}{side}.block.{{n}}"
        own = f"{p}{side}.embed_tokens.weight"
        wiring.tensor(own if names.has(own) else table, [f"in {tokens}", f"out {stream}"])
        if names.has(own) and names.has(table):
            wiring.tensor(table, [f"in {tokens}", f"out {stream}"])
        count = _attention(wiring, f"{block}.layer.0.SelfAttention", names, config, stream, stream)
        norm(wiring, f"{block}.layer.0.layer_norm", stream, norm_of(names, f"{block}.layer.0.layer_norm", plain="rms"))
        last = 1
        if side == "decoder":
            _attention(wiring, f"{block}.layer.1.EncDecAttention", names, config, stream, streams["encoder"])
            norm(
                wiring,
                f"{block}.layer.1.layer_norm",
                stream,
                norm_of(names, f"{block}.layer.1.layer_norm", plain="rms"),
            )
            last = 2
        _feed_forward(wiring, f"{block}.layer.{last}", stream, names, config)
        norm(wiring, f"{p}{side}.final_layer_norm", stream, norm_of(names, f"{p}{side}.final_layer_norm", plain="rms"))
        _positions(wiring, f"{p}{side}", names, count)
    end = streams[sides[-1]]
    if "decoder" in sides:
        own = f"{p}decoder.embed_tokens.weight"
        close(wiring, names, config, end, (f"{p}lm_head",), table=table if names.has(table) else own, tokens=tokens)
    else:
        wiring.space(end, output=True)
    return wiring


def _attention(wiring: Wiring, at: str, names: Names, config: Config, stream: str, source: str) -> Count:
    queries = first(names, f"{at}.q.weight")
    bias = first(names, f"{at.replace('{n}', '0')}.relative_attention_bias.weight")
    size = queries[0] // bias[1] if queries and bias and len(bias) == 2 else None
    count = count_heads(config, queries[0] if queries else None, size=size)
    modules = (f"{at}.q", f"{at}.k", f"{at}.v", f"{at}.o")
    attention(wiring, at, modules, count, stream, source)
    return count


def _feed_forward(wiring: Wiring, at: str, stream: str, names: Names, config: Config) -> None:
    hidden = wiring.space(f"{at}.hidden", activation=config.text("dense_act_fn") or config.activation)
    for up in ("wi", "wi_0", "wi_1"):
        linear(wiring, f"{at}.DenseReluDense.{up}", f"out {hidden}", f"in {stream}")
    linear(wiring, f"{at}.DenseReluDense.wo", f"out {stream}", f"in {hidden}")
    norm(wiring, f"{at}.layer_norm", stream, norm_of(names, f"{at}.layer_norm", plain="rms"))


def _positions(wiring: Wiring, side: str, names: Names, count: Count) -> None:
    """Wire the table of relative positions, which the heads of all layers add to their scores."""
    tables = names.find(f"{side}.block.{{n}}.{BIAS}")
    if count.heads is None or not tables:
        return
    if len(tables) > 1:  # of umT5 each layer has its own
        at = f"{side}.block.{{n}}"
        wiring.tensor(f"{at}.{BIAS}", [f"in {side}.distances", f"out {at}.layer.0.SelfAttention.heads"])
        return
    for _, numbers in names.find(f"{side}.block.{{n}}.layer.0.SelfAttention.q.weight"):
        heads = f"{side}.block.{numbers['n']}.layer.0.SelfAttention.heads"
        wiring.tensor(tables[0][0], [f"in {side}.distances", f"out {heads}"])
