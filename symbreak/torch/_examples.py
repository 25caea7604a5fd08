"""Inputs for a model of which no example was given: its own, or what fits its first layer."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

Example = tuple[tuple[Any, ...], Mapping[str, Any], str]

SIZES = (64, 32, 224, 16, 256, 384, 299)  # of pictures
LENGTHS = (8, 16)  # of sequences


def examples_of(model: nn.Module) -> Iterator[Example]:
    """Yield inputs to try, as (arguments, arguments by name, what they are); no values of numbers with a point."""
    own = _own(model)
    if own is not None:
        yield (), own, "its own dummy inputs"
    shape = _pictures(model)
    if shape is not None:
        yield (_empty(2, *shape),), {}, f"an input of shape {(2, *shape)}, by its configuration"
    first = next((each for each in model.modules() if _reads(each) is not None), None)
    for shapes in _reads(first) or () if first is not None else ():
        whole = isinstance(first, nn.Embedding | nn.EmbeddingBag)
        given = torch.zeros(shapes, dtype=torch.long) if whole else _empty(*shapes)
        said = f"an input of shape {tuple(shapes)}, by its first layer"
        yield (given,), {}, said
        if isinstance(model, nn.Transformer | nn.TransformerDecoder):
            yield (given, given), {}, f"two inputs of shape {tuple(shapes)}, by its first layer"
        if isinstance(model, nn.MultiheadAttention):
            yield (given, given, given), {}, f"three inputs of shape {tuple(shapes)}, by its first layer"


def _own(model: nn.Module) -> dict[str, Any] | None:
    """Give the inputs that a model of transformers has for such runs, two samples and more of each."""
    try:
        own = getattr(model, "dummy_inputs", None)
        if not isinstance(own, Mapping) or not own:
            return None
        found = dict(own)
    except Exception:
        return None
    config = getattr(model, "config", None)
    if hasattr(config, "use_cache"):
        found.setdefault("use_cache", False)
    return found


def _pictures(model: nn.Module) -> tuple[int, ...] | None:
    """Give the shape of the pictures that a model of timm is made for."""
    told = getattr(model, "default_cfg", None)
    shape = told.get("input_size") if isinstance(told, Mapping) else None
    return tuple(shape) if isinstance(shape, tuple | list) and all(isinstance(each, int) for each in shape) else None


def _reads(module: nn.Module) -> list[list[int]] | None:
    """List shapes that a module reads, None where it reads no input of its own."""
    if isinstance(module, nn.Linear):
        return [[4, module.in_features], [2, LENGTHS[0], module.in_features]]
    if isinstance(module, nn.Conv1d):
        return [[2, module.in_channels, each] for each in SIZES]
    if isinstance(module, nn.Conv2d):
        return [[2, module.in_channels, each, each] for each in SIZES]
    if isinstance(module, nn.Conv3d):
        return [[2, module.in_channels, each, each, each] for each in SIZES[1::2]]
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return [[2, LENGTHS[0]], [2, LENGTHS[1]]]
    if isinstance(module, nn.RNNBase):
        return [[3, 2, module.input_size], [2, module.input_size]]
    if isinstance(module, nn.RNNCellBase):
        return [[2, module.input_size]]
    if isinstance(module, nn.MultiheadAttention):
        return [[3, 2, module.embed_dim]]
    return None


def _empty(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")
