"""What starts tied or at zero on purpose, as far as names tell it.

A weight of zeros is no fault by itself: its units get different error signals from what they write to, or different
inputs, and the next step separates them, so long as the weights around it are alive. Which zeros are meant is known of
the modules in use. All of them were read in the code of PyTorch, timm, transformers, PEFT and diffusers, or are in the
models that the tests build.
"""

import numpy as np

from symbreak.findings import Finding

from ._names import is_embedding, is_output_head, parts, words
from ._repeats import Indices, subpixel_group

# The last module of a name, or the array itself.
ZERO = frozenset(
    {"head", "heads", "lm_head", "classifier", "final_layer"}  # output layers: ViT, Mixer, DiT, muP
    | {"lora_b", "lora_up", "lora_embedding_b", "lora_kernel_b", "lora_embeddings_b"}  # of a product the one factor
    | {"hada_w2_a", "lokr_w1"}
    | {"sampling_offsets", "attention_weights"}  # deformable attention, which starts from its bias
    | {"relative_position_bias_table", "rel_pos", "rel_pos_h", "rel_pos_w", "relative_attention_bias"}
    | {"pos_embed", "pos_embedding", "position_embedding", "position_embeddings", "positional_embedding", "pos_emb"}
    | {"absolute_pos_embed", "query_embed", "query_pos", "reg_token", "mask_token", "latents"}
    | {"proj_out", "conv_out", "zero_conv", "zero_convs", "zero_proj", "zero_module", "controlnet_cond_embedding"}
    | {"adaln_modulation", "adaln_modulation_layer", "adaln"}  # the outputs of residual branches in diffusion models
)
ZERO_WORDS = frozenset({"controlnet", "zero"})

# Tables whose rows are equal, or begin with a zero, as their method has it: decay rates of state spaces, slopes.
TABLES = frozenset(
    {"a_log", "attn_mask", "attention_mask", "causal_mask", "relative_coords_table", "inv_freq", "freqs_cis"}
)
TABLES |= {"position_ids", "anchors", "rope", "cos_cached", "sin_cached"}
TABLES |= {"alpha"}  # the slopes of a PReLU, of which Keras has one a position


def starts_at_zero(name: str) -> bool:
    """Whether a weight of this name may be all zeros on purpose.

    Examples
    --------
    >>> starts_at_zero("blocks.0.adaLN_modulation.1.weight"), starts_at_zero("q_proj.lora_B.default.weight")
    (True, True)
    >>> starts_at_zero("fc1.weight")
    False
    """
    every = [part.lower() for part in parts(name)]
    if every[-1] in ("weight", "kernel"):
        every.pop()
    near = [part for part in every[-3:] if not part.isdecimal() and part != "default"][-2:]
    return any(part in ZERO for part in near) or not words(name).isdisjoint(ZERO_WORDS)


def is_table(name: str) -> bool:
    """Whether an array of this name is a fixed table, or starts as one, in which equal units are meant.

    Examples
    --------
    >>> is_table("layers.0.mixer.A_log"), is_table("layers.0.mixer.in_proj.weight")
    (True, False)
    """
    return parts(name)[-1].lower() in TABLES


def is_padding(name: str, zero: Indices, units: int) -> bool:
    """Whether the units that are zero are the one row that an embedding keeps for padding.

    Examples
    --------
    >>> is_padding("wte.weight", np.array([0]), 100), is_padding("wte.weight", np.array([7, 8]), 100)
    (True, False)
    """
    return len(zero) == 1 and units > 2 and (is_embedding(name) or is_output_head(name))


def judge_subpixel(where: str, labels: Indices, dimensions: int) -> Finding | None:
    """Note a sub-pixel kernel that starts with equal units (ICNR), by how they are arranged."""
    group = subpixel_group(labels) if dimensions > 2 else None
    if group is None:
        return None
    classes = len(labels) // group
    groups = tuple(tuple(np.flatnonzero(labels == label).tolist()) for label in range(classes))
    side = int(np.sqrt(group))
    text = (
        f"the {len(labels)} units are {classes} classes of {group}, as a sub-pixel kernel for a factor of {side} "
        f"starts (ICNR): each goes to a place of its own, and the next step separates them"
    )
    return Finding.of("SB202", where, text, groups, "nothing, if a pixel shuffle follows; else draw the weight again")
