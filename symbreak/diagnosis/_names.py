"""What the names of arrays say: their parts, the numbers in them, and what an array is for.

Names are evidence, not proof. They choose between codes and tell what is tied or zero on purpose; that two arrays are
equal is never concluded from them.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

PARTS = re.compile(r"[./]")
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
NUMBERED = re.compile(r"(.*?)(\d+)\Z", re.DOTALL)
KERAS = re.compile(r":\d+\Z")  # TensorFlow's number of an operation's output

# What copies of one model are called that are meant to be equal, or to follow one another: target networks of
# Q-learning, averages of weights, momentum encoders, teachers, and the copies in float32 that mixed precision keeps.
COPIES = frozenset(
    {"target", "targets", "tgt", "ema", "teacher", "momentum", "shadow", "averaged", "avg", "swa", "reference", "ref"}
    | {"master", "old", "frozen", "backup", "best", "online", "slow"}
)
EMBEDDINGS = frozenset(
    {"token", "tokens", "tok", "word", "words", "wte", "vocab", "embedding", "embeddings", "embedder"}
)
TABLES_OF_TOKENS = frozenset(
    {"shared", "embed", "emb", "embed_in"}
)  # whole parts: a patch_embed is none, nor a shared_expert
HEADS = frozenset(
    {"lm_head", "output", "decoder", "logits", "proj_out", "predictions", "generator", "classifier", "embed_out"}
)
# What else an output layer is called, where one weight is also an embedding: "head" alone says too little by itself.
READS_TABLE = frozenset(
    {"head", "out", "output_layer", "output_projection", "unembed", "unembedding", "to_logits", "readout", "fc_out"}
    | {"generator_lm_head", "lm_head_decoder", "vocab_projector", "cls", "output_proj", "final_logits", "lm"}
)

# What a number counts, if it is an index below such a name, as in experts.0; and if it is part of it, as in critic_1
# and q2.
SEVERAL = frozenset(
    {"experts", "members", "ensemble", "ensembles", "models", "estimators", "critics", "qs", "qnets", "networks"}
    | {"replicas", "copies"}
)
ONE = frozenset({"expert", "member", "model", "estimator", "critic", "q", "qf", "qnet", "replica", "copy", "network"})
NORMS = frozenset({"norm", "norms", "ln", "bn", "layernorm", "rmsnorm", "batchnorm", "groupnorm"})
VECTORS = ("bias", "scale", "gamma", "beta", "running_mean", "running_var", "moving_mean", "moving_variance")

# The projections of attention, by the last part of a name that is not "weight" or "kernel": PyTorch, transformers,
# timm, diffusers, Keras, Flax, Megatron, llama.cpp.
INWARD = frozenset(
    {"q", "k", "v", "query", "key", "value", "q_proj", "k_proj", "v_proj", "q_lin", "k_lin", "v_lin", "wq", "wk", "wv"}
    | {"to_q", "to_k", "to_v", "to_qkv", "in_proj", "in_proj_weight", "qkv", "qkv_proj", "query_key_value", "c_attn"}
    | {"wqkv", "w_pack", "attn_q", "attn_k", "attn_v", "attn_qkv", "q_einsum", "kv_einsum", "qkv_einsum"}
)
OUTWARD = frozenset({"o_proj", "out_proj", "o", "wo", "out_lin", "attn_output", "attention_output", "attn_vec_einsum"})
SHORT = frozenset({"q", "k", "v", "o", "query", "key", "value"})  # only where a part says "attention"
OUTWARD_BELOW = frozenset({"c_proj", "dense", "proj", "out", "output", "to_out", "0"})  # where a part says "attention"


class Slot(NamedTuple):
    """A number in a name: what stands before it, the part that it is in, and what stands after that part."""

    container: str
    block: str
    rest: str


def parts(name: str) -> list[str]:
    """Split a name at its dots and slashes, without what TensorFlow adds.

    Examples
    --------
    >>> parts("encoder.0/kernel:0")
    ['encoder', '0', 'kernel']
    """
    return PARTS.split(KERAS.sub("", name))


def words(name: str) -> set[str]:
    """Give the words of a name, in lower case.

    Examples
    --------
    >>> sorted(words("model_ema.layerNorm1.weight"))
    ['1', 'ema', 'layer', 'model', 'norm', 'weight']
    """
    return {word.lower() for word in WORDS.findall(name)}


def slots(name: str) -> Iterator[Slot]:
    """Give the places where names may be alike but for a number.

    Numbers that end the last part count only if they are the whole of it: ``w1`` and ``w2`` are two weights, not two
    layers.

    Examples
    --------
    >>> [slot.container for slot in slots("layers.3.conv1.weight")], [slot.block for slot in slots("dense_1/kernel")]
    (['layers.*', 'layers.3.conv*'], ['dense_1'])
    >>> list(slots("members.0")), list(slots("experts.w1"))
    ([Slot(container='members.*', block='members.0', rest='')], [])
    """
    clean, start = KERAS.sub("", name), 0
    for part in PARTS.split(clean):
        end = start + len(part)
        found = NUMBERED.match(part)
        if found is not None and (end < len(clean) or not found[1]):
            yield Slot(f"{clean[:start]}{found[1]}*", clean[:end], clean[end:])
        start = end + 1


def template(name: str) -> str:
    """Write a name with a star for each number.

    Examples
    --------
    >>> template("layers.3.conv1.weight")
    'layers.*.conv*.weight'
    """
    return re.sub(r"\d+", "*", name)


def is_copy(name: str) -> bool:
    """Whether a name says that the array copies or follows another on purpose.

    Examples
    --------
    >>> is_copy("target_critic.fc1.weight"), is_copy("critic.fc1.weight")
    (True, False)
    """
    return not words(name).isdisjoint(COPIES)


def is_embedding(name: str) -> bool:
    """Whether a name is that of an embedding of tokens.

    Examples
    --------
    >>> is_embedding("model.embed_tokens.weight"), is_embedding("shared.weight"), is_embedding("patch_embed.weight")
    (True, True, False)
    """
    last = _module(name)
    return last in TABLES_OF_TOKENS or not words(last).isdisjoint(EMBEDDINGS)


def is_output_head(name: str) -> bool:
    """Whether a name may be that of the output layer that shares an embedding's weight.

    Examples
    --------
    >>> is_output_head("lm_head.weight"), is_output_head("cls.predictions.decoder.weight"), is_output_head("fc1.weight")
    (True, True, False)
    """
    return _module(name) in HEADS


def may_share_table(name: str) -> bool:
    """Whether a name may be that of an array that is one with an embedding: another embedding, or an output layer.

    Examples
    --------
    >>> may_share_table("head.weight"), may_share_table("model.shared.weight"), may_share_table("fc1.weight")
    (True, True, False)
    """
    return is_embedding(name) or is_output_head(name) or _module(name) in READS_TABLE


def _module(name: str) -> str:
    """Give the last part of a name that says what the array belongs to, in lower case."""
    said = [part.lower() for part in parts(name) if part not in ("weight", "kernel") and not part.isdecimal()]
    return said[-1] if said else ""


def is_vector(name: str) -> bool:
    """Whether a name is that of a bias, or of a norm's scale, shift or statistics, stacked or with a shape of heads.

    Examples
    --------
    >>> is_vector("experts.down_proj_bias"), is_vector("layers/norm/scale"), is_vector("bias.weight")
    (True, True, False)
    """
    *parents, last = parts(name)
    if last.lower().endswith(VECTORS):
        return True
    return last == "weight" and bool(parents) and not words(parents[-1]).isdisjoint(NORMS)


def is_norm(name: str) -> bool:
    """Whether a name is that of a norm's scale, shift or statistics.

    Examples
    --------
    >>> is_norm("h.0.ln_1.weight"), is_norm("bn1.running_mean"), is_norm("fc1.bias"), is_norm("fc1.weight")
    (True, True, False, False)
    """
    *parents, last = parts(name)
    if last.lower() in ("gamma", "running_mean", "running_var", "moving_mean", "moving_variance", "scale"):
        return True
    return any(not words(part).isdisjoint(NORMS) for part in parents[-2:])


def is_member(container: str) -> bool:
    """Whether what a number counts are experts, members of an ensemble, or twin critics.

    Examples
    --------
    >>> is_member("layers.0.experts.*"), is_member("critic_*"), is_member("q*")
    (True, True, True)
    >>> is_member("layers.*"), is_member("critic.*"), is_member("q.*")  # the layers of one critic
    (False, False, False)
    """
    every = parts(container)
    index = every[-1] == "*"
    if index:
        every.pop()
    last = words(every[-1]) if every else set()
    return not last.isdisjoint(SEVERAL) or (not index and not last.isdisjoint(ONE))


def head_axis(name: str, dimensions: int) -> int | None:
    """Say along which axis of a projection of attention its heads lie, or None if the name is not that of one.

    Examples
    --------
    >>> head_axis("layers.0.self_attn.q_proj.weight", 2), head_axis("layers.0.self_attn.o_proj.weight", 2)
    (0, 1)
    >>> head_axis("h.0.attn.c_attn.weight", 2), head_axis("attention/query/kernel", 3), head_axis("fc1.weight", 2)
    (1, 1, None)
    """
    every = [part.lower() for part in parts(name)]
    ending = every[-1]
    if ending in ("weight", "kernel", "w") and len(every) > 1:
        every.pop()
    *parents, last = every
    attention = any("attn" in part or "attention" in part or part == "mha" for part in parents)
    transposed = ending == "kernel" or last in ("c_attn", "c_proj")  # (in, out): Keras, Flax, GPT-2
    if last in INWARD and (attention or last not in SHORT):
        if dimensions == 3:
            return 0 if last.endswith("einsum") else 1
        return 1 if transposed else 0
    if (last in OUTWARD and (attention or last not in SHORT)) or (attention and last in OUTWARD_BELOW):
        return 0 if dimensions == 3 or transposed else 1
    return None
