"""Llama and its many relatives: Mistral, Qwen, Gemma, Phi, OLMo, Mixtral and other mixtures of experts.

They share the names of the blocks and differ in what is there: grouped queries, latent spaces, fused or gated layers,
norms of queries and keys, experts by name or stacked.
"""

from symbreak.checkpoints.wiring._blocks import ROTARY, TOP_K, Heads, close, count_heads, first
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._latent import latent_attention
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

ANCHOR = r"(?P<p>.*\.)?layers\.[0-9]+\.self_attn\.(?:o_proj|dense)\.weight"
NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
    "post_self_attn_layernorm",
    "post_mlp_layernorm",
)
SCORES = {  # what a router makes of logits before it takes the largest, for models whose `config.json` says nothing
    **dict.fromkeys(("mixtral", "olmoe", "qwen2_moe", "qwen3_moe", "deepseek_v2"), "softmax"),
    **dict.fromkeys(("deepseek_v3", "glm4_moe"), "sigmoid"),
}


def llama(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``layers.{n}.self_attn.o_proj`` and its neighbours."""
    wiring = Wiring("Llama")
    config = config.part("text_config")
    stream, tokens, block = f"{p}stream", f"{p}tokens", p + "layers.{n}"
    if not any(first(names, f"{block}.{each}.{leaf}") for each in NORMS for leaf in ("weight", "bias")):
        wiring.space(stream, activation="layer_norm")  # OLMo's norms have no parameters
    wiring.tensor(f"{p}embed_tokens.weight", [f"in {tokens}", f"out {stream}"])
    for each in NORMS:
        norm(wiring, f"{block}.{each}", stream, _norm_of(names, f"{block}.{each}", config))
    _attention(wiring, f"{block}.self_attn", stream, names, config)
    _feed_forward(wiring, f"{block}.mlp", stream, config)
    for mixture in ("mlp", "block_sparse_moe"):
        _experts(wiring, f"{block}.{mixture}", stream, names, config)
    for each in ("norm", "final_layernorm"):
        norm(wiring, f"{p}{each}", stream, _norm_of(names, f"{p}{each}", config))
    wiring.ignore(f"{block}.self_attn.rotary_emb.inv_freq", "rotary frequencies")
    wiring.ignore(f"{p}rotary_emb.inv_freq", "rotary frequencies")
    root = p.removesuffix("language_model.").removesuffix("model.")
    close(
        wiring,
        names,
        config,
        stream,
        (f"{root}lm_head", f"{root}score"),
        table=f"{p}embed_tokens.weight",
        tokens=tokens,
    )
    return wiring


def _norm_of(names: Names, module: str, config: Config) -> str | None:
    """Say which norm a module is: Cohere's layer norms have no shift either, so the configuration must tell."""
    return norm_of(names, module, shifted="layer", plain=config.plain_norm)


def _attention(wiring: Wiring, at: str, stream: str, names: Names, config: Config) -> None:
    if first(names, f"{at}.kv_a_proj_with_mqa.weight"):
        latent_attention(wiring, at, stream, names, config)
        return
    read = first(names, f"{at}.o_proj.weight") or first(names, f"{at}.dense.weight") or (0, 0)
    queries, keys = first(names, f"{at}.q_proj.weight"), first(names, f"{at}.k_proj.weight")
    fused = first(names, f"{at}.qkv_proj.weight")
    rows = read[1]
    key_rows = keys[0] if keys else (fused[0] - rows) // 2 if fused else None
    q_norm = first(names, f"{at}.q_norm.weight")
    size = q_norm[0] if q_norm and len(q_norm) == 1 and q_norm[0] < rows else None
    count = count_heads(config, rows if queries or fused else None, key_rows, size=size)
    heads = Heads(wiring, at, count, apart=ROTARY)
    linear(wiring, f"{at}.q_proj", heads.query, f"in {stream}")
    linear(wiring, f"{at}.k_proj", heads.key, f"in {stream}")
    linear(wiring, f"{at}.v_proj", heads.value, f"in {stream}")
    linear(wiring, f"{at}.o_proj", f"out {stream}", heads.read)
    linear(wiring, f"{at}.dense", f"out {stream}", heads.read)
    if heads.known or (fused and fused[0] == 3 * rows):
        linear(wiring, f"{at}.qkv_proj", heads.fused, f"in {stream}")
    if not heads.known:
        for each in ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "dense"):
            wiring.doubt(f"{at}.{each}.weight", count.why)
        if fused and fused[0] == 3 * rows:
            for part in ("query", "key", "value"):
                wiring.space(f"{at}.{part}", units=rows)
    for each, axis in (("q", heads.query), ("k", heads.key)):
        of = _norm_of(names, f"{at}.{each}_norm", config)
        if size and heads.known:  # one norm for the units of every head
            wiring.tensor(
                f"{at}.{each}_norm.weight",
                [f"out {at}.query_key"],
                "scale",
                over=[f"head {heads.heads if each == 'q' else heads.groups}"],
                norm=of,
            )
        else:
            wiring.tensor(f"{at}.{each}_norm.weight", [axis], "scale", norm=of)


def _feed_forward(wiring: Wiring, at: str, stream: str, config: Config) -> None:
    hidden = wiring.space(f"{at}.hidden", activation=config.activation)
    for up in ("up_proj", "gate_proj", "fc1"):
        linear(wiring, f"{at}.{up}", f"out {hidden}", f"in {stream}")
    linear(wiring, f"{at}.gate_up_proj", {"gate": f"out {hidden}", "up": f"out {hidden}"}, f"in {stream}")
    for down in ("down_proj", "fc2"):
        linear(wiring, f"{at}.{down}", f"out {stream}", f"in {hidden}")


def _routing(names: Names, at: str, config: Config) -> str:
    """Say how the experts of a token are chosen: by names that only such mixtures have, or by the configuration."""
    corrected = first(names, f"{at}.gate.e_score_correction_bias") is not None
    if not corrected and not at.endswith("block_sparse_moe") and config.number("num_experts_per_tok") is None:
        return ""
    weighs = config.text("scoring_func") or SCORES.get(config.text("model_type") or "")
    return f"{weighs}, top_k" if weighs in SCORES.values() else "top_k"


def _experts(wiring: Wiring, at: str, stream: str, names: Names, config: Config) -> None:
    """Wire a router and its experts, stacked in one array or each under a number, and one that all tokens go to."""
    experts, hidden = f"{at}.experts", f"{at}.experts.hidden"
    router = f"{at}.gate"
    routing = _routing(names, at, config)
    wiring.space(experts, **({"activation": routing} if routing else {"apart": TOP_K}))
    wiring.tensor(f"{router}.weight", [f"out {experts}", f"in {stream}"])
    wiring.tensor(f"{router}.e_score_correction_bias", [f"out {experts}"], "bias")
    if first(names, f"{at}.experts.gate_up_proj") is not None:
        wiring.space(hidden, activation=config.activation)
        both = {"gate": f"out {hidden}", "up": f"out {hidden}"}
        wiring.tensor(f"{at}.experts.gate_up_proj", [f"stack {experts}", both, f"in {stream}"])
        wiring.tensor(f"{at}.experts.down_proj", [f"stack {experts}", f"out {stream}", f"in {hidden}"])
    each = at + ".experts.{m}"
    alone = wiring.space(f"{each}.hidden", activation=config.activation)
    for up in ("w1", "w3", "gate_proj", "up_proj"):
        linear(wiring, f"{each}.{up}", f"out {alone}", f"in {stream}")
    for down in ("w2", "down_proj"):
        linear(wiring, f"{each}.{down}", f"out {stream}", f"in {alone}")
    for shared in ("shared_expert", "shared_experts"):
        _feed_forward(wiring, f"{at}.{shared}", stream, config)
    gate = wiring.space(f"{at}.shared_expert_gate", output=True)
    wiring.tensor(f"{gate}.weight", [f"out {gate}", f"in {stream}"])
