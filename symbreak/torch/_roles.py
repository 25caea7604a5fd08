"""What each parameter of a torch module is for, and how it lies: said by the module's class, else by name and shape."""

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from torch import nn

from ..axes import Axes, AxesLike
from ..initializers import AbstractInitializer, Constant, MambaDtBias, S4dLogDecay
from ..recipes import find_role
from ._special import Sinusoids


@final
@dataclass(frozen=True)
class Found:
    """What is known of one parameter."""

    role: str
    axes: AxesLike = None
    initializer: AbstractInitializer | None = None
    why: str | None = None


LOGIT_SCALE = math.log(1 / 0.07)  # of CLIP, arXiv 2103.00020, section 2.5
BIAS, NORM = Found("bias"), Found("norm")
GATES = {"LSTM": 4, "GRU": 3}  # along the units of a recurrent layer's weights
CONVOLUTIONS = {1: "w", 2: "hw", 3: "dhw"}
TOKENS = re.compile(
    r"(?:.*[._])?(?:\w*tokens?|\w*cls\w*|quer(?:y|ies)(?:_tokens)?|latents?|mask\w*_embed\w*|class_embedding|prompt\w*|probe)"
)
POSITIONS = re.compile(r"(?:.*[._])?(?:\w*pos(?:ition)?_?\w*|rel_\w+|relative_\w+)")
CLOSED = re.compile(r"(?:.*[._])?(?:layer_?scale\w*|ls\d?|gamma(?:_\d+)?)")
CENTRED = re.compile(r"\(?1(?:\.0)? \+ self\.weight|self\.weight(?:\.\w+\(\))* \+ 1(?:\.0)?\b")

_CENTRED: dict[type[nn.Module], bool] = {}


def describe(module: nn.Module) -> dict[str, Found]:
    """Say what the parameters of a module are for that its class tells, by their names in it."""
    for classes, function in _TABLE:
        if isinstance(module, classes):
            return function(module)
    by_name = _BY_NAME.get(type(module).__name__)
    return by_name(module) if by_name is not None else {}


def guess(module: nn.Module, local: str, name: str, shape: tuple[int, ...]) -> Found:
    """Say what a parameter is for of a module that is not known, by its names and its shape."""
    kind = type(module).__name__.lower()
    local = local.lower()
    long = [size for size in shape if size != 1]
    if len(long) <= 1:
        return _guess_vector(module, kind, local, name, shape)
    if "bias" in local and not POSITIONS.fullmatch(local):
        return BIAS
    told = find_role(name, shape)
    if told == "position" or POSITIONS.fullmatch(local):
        return Found("position")
    if shape[0] == 1 and len(shape) > 2:
        return Found("token")
    if TOKENS.fullmatch(local):
        return Found("token")
    if len(shape) == 3:
        return _guess_stack(module, kind, local)
    if len(shape) == 2:
        if "router" in kind or "gate" in kind:
            return Found("router", why="the class says that it routes")
        return Found("embedding") if told == "embedding" else Found("unknown_weight")
    return Found("unknown_weight", "o" + "i" * (len(shape) - 1) if len(shape) > 5 else None)


def _guess_vector(module: nn.Module, kind: str, local: str, name: str, shape: tuple[int, ...]) -> Found:
    told = find_role(name, (math.prod(shape),))
    if "bias" in local or local == "beta":
        return BIAS
    if "norm" in kind or (local == "weight" and len(shape) == 1):
        return Found("centred_norm") if _adds_one(type(module)) else Found("norm", why="a vector called weight")
    if told == "residual_gain" or CLOSED.fullmatch(local):
        return Found("residual_gain")
    if TOKENS.fullmatch(local) or (len(shape) > 1 and (POSITIONS.fullmatch(local) or math.prod(shape[:-1]) == 1)):
        return Found("position" if POSITIONS.fullmatch(local) else "token")
    if local == "logit_scale":
        return Found("multiplier", None, Constant(LOGIT_SCALE), "log(1 / 0.07), as CLIP has it")
    if told in ("norm", "multiplier"):
        return Found("multiplier")
    return Found("unknown_vector")


def _guess_stack(module: nn.Module, kind: str, local: str) -> Found:
    turned = bool(getattr(module, "is_transposed", False))
    fused = "gate_up" in local and getattr(module, "is_concatenated", True)
    layout = Axes("bio" if turned else "boi", splits=2 if fused else 1)
    if "expert" in kind or "moe" in kind or hasattr(module, "num_experts"):
        return Found("expert", layout)
    return Found("unknown_weight", layout, why="unknown: by shape, a stack")


def _adds_one(kind: type[nn.Module]) -> bool:
    """Tell a norm that scales by one plus its weight, as Gemma's, from its source."""
    if kind not in _CENTRED:
        try:
            _CENTRED[kind] = bool(CENTRED.search(inspect.getsource(kind)))
        except (OSError, TypeError):
            _CENTRED[kind] = False
    return _CENTRED[kind]


LINEAR = {"weight": Found("linear"), "bias": BIAS}
ATTENTION = {
    "in_proj_weight": Found("qkv", Axes("oi", splits=3)),
    "q_proj_weight": Found("query"),
    "k_proj_weight": Found("key"),
    "v_proj_weight": Found("value"),
    "in_proj_bias": BIAS,
    "bias_k": Found("token", why="one more key, as a token"),
    "bias_v": Found("token", why="one more value, as a token"),
    "out_proj.weight": Found("attention_out"),
    "out_proj.bias": BIAS,
}


def _convolution(module: Any) -> dict[str, Found]:
    layout = ("io" if module.transposed else "oi") + CONVOLUTIONS[len(module.kernel_size)]
    axes = Axes(layout, groups=module.groups) if module.groups > 1 else layout if module.transposed else None
    return {"weight": Found("conv", axes), "bias": BIAS}


def _recurrent(module: Any) -> dict[str, Found]:
    kind = getattr(module, "mode", None) or type(module).__name__.removesuffix("Cell")
    gates = next((count for name, count in GATES.items() if kind.startswith(name)), 1)
    axes = Axes("oi", splits=gates) if gates > 1 else None
    found = {}
    for name in module._parameters:
        if name.startswith("weight_ih"):
            found[name] = Found("recurrent_in", axes)
        elif name.startswith("weight_hh"):
            found[name] = Found("recurrent", axes)
        elif name.startswith("weight_hr"):
            found[name] = Found("recurrent", why="keeps lengths")
        elif name.startswith("bias_ih") and gates == GATES["LSTM"]:
            found[name] = Found("forget_bias")
        elif name.startswith("bias"):
            found[name] = BIAS
    return found


def _norm(module: Any) -> dict[str, Found]:
    return {"weight": Found("centred_norm") if _adds_one(type(module)) else NORM, "bias": BIAS}


def _hugging_face_linear(module: Any) -> dict[str, Found]:
    """Give the layout of transformers' Conv1D, a linear layer whose weight lies inputs first."""
    inputs, units = module.weight.shape
    if units == 3 * inputs:
        return {"weight": Found("qkv", Axes("io", splits=3)), "bias": BIAS}
    return {"weight": Found("linear", "io"), "bias": BIAS}


_TABLE: tuple[tuple[tuple[type[nn.Module], ...], Callable[[Any], dict[str, Found]]], ...] = (
    ((nn.Linear,), lambda _: LINEAR),
    ((nn.modules.conv._ConvNd,), _convolution),
    ((nn.Embedding, nn.EmbeddingBag), lambda _: {"weight": Found("embedding")}),
    ((nn.MultiheadAttention,), lambda _: ATTENTION),
    ((nn.RNNBase, nn.RNNCellBase), _recurrent),
    (
        (
            nn.modules.batchnorm._NormBase,
            nn.LayerNorm,
            nn.GroupNorm,
            *((nn.RMSNorm,) if hasattr(nn, "RMSNorm") else ()),
        ),
        _norm,
    ),
    ((nn.PReLU,), lambda _: {"weight": Found("slope")}),
    ((nn.Bilinear,), lambda _: {"weight": Found("linear", "oii"), "bias": BIAS}),
)

# Classes of libraries that are not imported for the sake of their names.
_BY_NAME: dict[str, Callable[[Any], dict[str, Found]]] = {
    "Conv1D": _hugging_face_linear,
    "MambaMixer": lambda _: {
        "A_log": Found("state", None, S4dLogDecay(), "decays 1 to n, as S4D-Real has them"),
        "D": Found("multiplier"),
        "dt_proj.bias": Found("state", None, MambaDtBias(), "time steps of a range of lengths"),
    },
    "WhisperEncoder": lambda _: {
        "embed_positions.weight": Found("position", None, Sinusoids(), "fixed sines and cosines")
    },
}


def padding_row(module: nn.Module) -> int | None:
    """Give the row of an embedding that stays zero."""
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return module.padding_idx
    return None
