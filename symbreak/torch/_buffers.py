"""Buffers that follow from a module alone, and so can be restored; the others of a meta model can't."""

import torch
from torch import nn

from ._memory import holds_values

COUNTERS = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}


def restore_buffers(model: nn.Module, device: torch.device | None) -> list[str]:
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


def _values(module: nn.Module, name: str, buffer: torch.Tensor, device: torch.device | None) -> torch.Tensor | None:
    """Give what a buffer holds at the start, on the device where it shall be; None where that is not known."""
    where = buffer.device if holds_values(buffer) else device
    if name in COUNTERS and hasattr(module, "track_running_stats"):
        return torch.full(tuple(buffer.shape), COUNTERS[name], dtype=buffer.dtype, device=where)
    if name == "position_ids" and not buffer.is_floating_point() and buffer.dim():
        return torch.arange(buffer.shape[-1], dtype=buffer.dtype, device=where).expand(buffer.shape).clone()
    if name == "token_type_ids" and not buffer.is_floating_point():
        return torch.zeros(tuple(buffer.shape), dtype=buffer.dtype, device=where)
    if name in ("inv_freq", "original_inv_freq") and hasattr(module, "config"):
        return _frequencies(module, buffer, where)
    return None


def _frequencies(module: nn.Module, buffer: torch.Tensor, where: torch.device | None) -> torch.Tensor | None:
    """Ask a rotary embedding of transformers for its frequencies."""
    function = getattr(module, "rope_init_fn", None) or getattr(module, "compute_default_rope_parameters", None)
    if function is None:
        return None
    found = function(module.config, where)[0]
    if not isinstance(found, torch.Tensor) or found.shape != buffer.shape:
        return None
    return found.to(device=where, dtype=buffer.dtype)


def _restore_by_itself(module: nn.Module) -> None:
    """Ask a module of timm that can make its buffers to do so."""
    function = getattr(module, "init_non_persistent_buffers", None)
    if callable(function) and not any(each is not None and not holds_values(each) for each in module.parameters(False)):
        function()
