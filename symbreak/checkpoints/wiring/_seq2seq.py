"""OPT, BART, CLIP and others whose blocks have ``self_attn.out_proj``, biases, and layer norms of their own names."""

from symbreak.checkpoints.wiring._blocks import attention, close, count_heads, first
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of

OPT_ANCHOR = r"(?P<p>.*\.)?decoder\.layers\.[0-9]+\.self_attn\.out_proj\.weight"
CLIP_ANCHOR = r"(?P<p>.*\.)?(?:text|vision)_model\.encoder\.layers\.[0-9]+\.self_attn\.out_proj\.weight"


def opt(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``decoder.layers.{n}.self_attn``, and the encoder that it reads where there is one: OPT, BART, Marian."""
    wiring = Wiring("OPT and BART")
    tokens = f"{p}tokens"
    sides = [
        side for side in ("encoder", "decoder") if first(names, p + side + ".layers.{n}.self_attn.out_proj.weight")
    ]
    table = f"{p}shared.weight"
    for side in sides:
        stream, block = f"{p}{side}.stream", p + side + ".layers.{n}"
        own = f"{p}{side}.embed_tokens.weight"
        narrow = f"{p}{side}.embedded" if names.has(f"{p}{side}.project_in.weight") else stream
        wiring.tensor(own if names.has(own) else table, [f"in {tokens}", f"out {narrow}"])
        if names.has(own) and names.has(table):
            wiring.tensor(table, [f"in {tokens}", f"out {narrow}"])
        if narrow != stream:
            linear(wiring, f"{p}{side}.project_in", f"out {stream}", f"in {narrow}")
        wiring.tensor(f"{p}{side}.embed_positions.weight", [f"in {p}{side}.positions", f"out {stream}"])
        keyword = (f"{side}_attention_heads", "num_attention_heads")
        _attention(wiring, f"{block}.self_attn", names, config, stream, stream, keyword)
        if side == "decoder" and "encoder" in sides:
            _attention(wiring, f"{block}.encoder_attn", names, config, stream, f"{p}encoder.stream", keyword)
        for each in ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"):
            norm(wiring, f"{block}.{each}", stream, norm_of(names, f"{block}.{each}", shifted="layer"))
        for each in ("layernorm_embedding", "final_layer_norm", "layer_norm"):
            norm(wiring, f"{p}{side}.{each}", stream, norm_of(names, f"{p}{side}.{each}", shifted="layer"))
        hidden = wiring.space(f"{block}.hidden", activation=config.activation)
        linear(wiring, f"{block}.fc1", f"out {hidden}", f"in {stream}")
        linear(wiring, f"{block}.fc2", f"out {stream}", f"in {hidden}")
    stream = f"{p}decoder.stream"
    root = p.removesuffix("model.")
    wiring.tensor(f"{root}final_logits_bias", ["one", f"out {tokens}"], "bias")
    if names.has(f"{p}decoder.project_out.weight"):
        last = wiring.space(f"{p}decoder.project_out")
        linear(wiring, f"{p}decoder.project_out", f"out {last}", f"in {stream}")
        stream = last
    own = f"{p}decoder.embed_tokens.weight"
    table = own if names.has(own) else table
    close(wiring, names, config, stream, (f"{root}lm_head", f"{root}score"), table=table, tokens=tokens)
    return wiring


def clip(p: str, names: Names, config: Config) -> Wiring:
    """Wire the two encoders of CLIP, and the projections into the space that they share."""
    wiring = Wiring("CLIP")
    for side in ("text", "vision"):
        model, settings = f"{p}{side}_model.", config.part(f"{side}_config")
        if first(names, model + "encoder.layers.{n}.self_attn.out_proj.weight") is None:
            continue
        stream, block = f"{model}stream", model + "encoder.layers.{n}"
        wiring.tensor(f"{model}embeddings.token_embedding.weight", [f"in {model}tokens", f"out {stream}"])
        wiring.tensor(f"{model}embeddings.position_embedding.weight", [f"in {model}positions", f"out {stream}"])
        wiring.tensor(f"{model}embeddings.class_embedding", [f"out {stream}"], "bias")
        patch = f"{model}embeddings.patch_embedding"
        wiring.tensor(f"{patch}.weight", [f"out {stream}", f"in {model}pixels", "receptive", "receptive"])
        wiring.tensor(f"{patch}.bias", [f"out {stream}"], "bias")
        wiring.ignore(f"{model}embeddings.position_ids", "positions")
        _attention(wiring, f"{block}.self_attn", names, settings, stream, stream, ("num_attention_heads",))
        for each in ("layer_norm1", "layer_norm2"):
            norm(wiring, f"{block}.{each}", stream, norm_of(names, f"{block}.{each}", shifted="layer"))
        for each in ("pre_layrnorm", "post_layernorm", "final_layer_norm"):
            norm(wiring, model + each, stream, norm_of(names, model + each, shifted="layer"))
        hidden = wiring.space(f"{block}.mlp", activation=settings.activation)
        linear(wiring, f"{block}.mlp.fc1", f"out {hidden}", f"in {stream}")
        linear(wiring, f"{block}.mlp.fc2", f"out {stream}", f"in {hidden}")
        projection = f"{p}{'visual' if side == 'vision' else side}_projection"
        if names.has(f"{projection}.weight"):
            shared = wiring.space(f"{p}shared", output=True)
            linear(wiring, projection, f"out {shared}", f"in {stream}")
        else:
            close(wiring, names, settings, stream, (f"{p}classifier",))
    return wiring


def _attention(
    wiring: Wiring, at: str, names: Names, config: Config, stream: str, source: str, keyword: tuple[str, ...]
) -> None:
    shape = first(names, f"{at}.q_proj.weight")
    count = count_heads(config, shape[0] if shape else None, keyword=keyword)
    modules = (f"{at}.q_proj", f"{at}.k_proj", f"{at}.v_proj", f"{at}.out_proj")
    attention(wiring, at, modules, count, stream, source)
