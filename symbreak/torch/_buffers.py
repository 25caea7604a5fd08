"""Buffers that follow from a module alone, and so can be restored; the others of a meta model can't."""

from typing import Any

import torch
import torch.nn.utils.parametrize
from torch import nn

from ._memory import holds_values

POWERS = 30  # iterations for the largest singular value
COUNTERS = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}


def restore_buffers(model: nn.Module, device: "torch.device | None") -> list[str]:
    """Write the buffers that are known, and make those that are on the meta device.

    Parameters
    ----------
    model
        Whose running statistics, position numbers and rotary frequencies are written.
    device
        For buffers on the meta device.

    Returns
    -------
    list of str
        Those that stay on the meta device, for nothing says what they hold.
    """
    lost: list[str] = []
    seen: dict[int, torch.Tensor] = {}
    for module in model.modules():
        if torch.nn.utils.parametrize.is_parametrized(module):
            _restore_spectral_norms(module)
    for path, module in model.named_modules():
        own = {name: buffer for name, buffer in module._buffers.items() if buffer is not None}
        for name, buffer in own.items():
            values = _values(module, name, buffer, device)
            if values is None:
                if not holds_values(buffer):
                    lost.append(f"{path}.{name}" if path else name)
                continue
            if id(buffer) in seen:
                module._buffers[name] = seen[id(buffer)]
            elif holds_values(buffer):
                with torch.no_grad():
                    buffer.copy_(values)
            else:
                seen[id(buffer)] = module._buffers[name] = values.to(dtype=buffer.dtype)
        _restore_by_itself(module)
    return [name for name in lost if not holds_values(model.get_buffer(name))]


def _values(module: nn.Module, name: str, buffer: torch.Tensor, device: "torch.device | None") -> "torch.Tensor | None":
    """Give what a buffer holds at the start, on the device where it shall be; None where that is not known."""
    where = buffer.device if holds_values(buffer) else device
    if name in COUNTERS and hasattr(module, "track_running_stats"):
        return torch.full(tuple(buffer.shape), COUNTERS[name], dtype=buffer.dtype, device=where)
    if name == "position_ids" and not buffer.is_floating_point() and buffer.dim():
        return torch.arange(buffer.shape[-1], dtype=buffer.dtype, device=where).expand(buffer.shape).clone()
    if name == "token_type_ids" and not buffer.is_floating_point():
        return torch.zeros(tuple(buffer.shape), dtype=buffer.dtype, device=where)
    scale = getattr(module, "scalar_embed_scale", None)
    if name == "embed_scale" and isinstance(scale, int | float):
        return torch.full(tuple(buffer.shape), float(scale), dtype=buffer.dtype, device=where)
    if type(module).__name__.endswith("RotaryEmbedding"):
        return _made_anew(module, name, buffer, where)
    return None


def _made_anew(
    module: nn.Module, name: str, buffer: torch.Tensor, where: "torch.device | None"
) -> "torch.Tensor | None":
    """Give a buffer of a rotary embedding of transformers as another one of the same configuration makes it."""
    config = getattr(module, "config", None)
    if config is None or next(module.parameters(), None) is not None:
        return None
    try:
        with torch.device("cpu"):
            build: Any = type(module)
            values = dict(build(config).named_buffers(recurse=False)).get(name)
    except (TypeError, ValueError, AttributeError, KeyError):  # it is made in another way
        return None
    if values is None or values.shape != buffer.shape:
        return None
    found: torch.Tensor = values.to(device=where, dtype=buffer.dtype)
    return found


def _restore_spectral_norms(module: Any) -> None:
    """Write the singular vectors that spectral norm keeps, which belong to the weight that was there before."""
    for listed in module.parametrizations.values():
        for each in listed:
            weight = getattr(listed, "original", None)
            if type(each).__name__ != "_SpectralNorm" or weight is None or getattr(each, "_u", None) is None:
                continue
            with torch.no_grad():
                matrix = each._reshape_weight_to_matrix(weight.detach())
                left = nn.functional.normalize(matrix.sum(1), dim=0)
                for _ in range(POWERS):
                    right = nn.functional.normalize(matrix.mT @ left, dim=0)
                    left = nn.functional.normalize(matrix @ right, dim=0)
            each._buffers.update(_u=left, _v=right)


def _restore_by_itself(module: nn.Module) -> None:
    """Ask a module of timm that can make its buffers to do so."""
    function = getattr(module, "init_non_persistent_buffers", None)
    if callable(function) and not any(each is not None and not holds_values(each) for each in module.parameters(False)):
        function()
