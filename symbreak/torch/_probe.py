"""`probe`: what one batch shows of every module's outputs, beside the certificate; the model is left as it was."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from symbreak._probe import TOLERANCE, Probe, Recorder
from symbreak.checkpoints import Wired
from symbreak.graph import PerUnit, Weight
from symbreak.reports import Report

from ._arrays import as_array
from ._diagnose import judge
from ._wire import checked, opened, wired_with

Loss = Callable[[Any, Any], torch.Tensor]

# Modules whose outputs have their units along the second axis; those of all others have them along the last.
CHANNELS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.BatchNorm1d,
    nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d,
    nn.InstanceNorm3d, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d, nn.Upsample, nn.PixelShuffle, nn.PixelUnshuffle,
)  # fmt: skip


def probe(
    model: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    certificate: Report | bool = True,
    tolerance: float = TOLERANCE,
) -> Probe:
    """Find the units that have identical activations and identical gradients on a batch, whatever the architecture.

    The model is run on the batch in the mode that it is in, the loss's gradients at the outputs of its modules are
    computed, and units are compared, bit for bit and within a tolerance. The certificate says of every batch which
    units are tied; the two are put side by side.

    Parameters
    ----------
    model
        Of data parallel and compiled models, what they wrap is run. It is left exactly as it was: mode, parameters and
        their gradients, statistics, hooks, and the state of random numbers.
    batch
        What the model is called with: a tensor; a tuple or list of arguments; or a mapping of arguments by name. With
        `loss`, a pair ``(inputs, targets)`` of these, as a data loader gives it.
    loss
        A function of the model's outputs and the targets, or of the outputs alone where it takes one argument. None
        takes what the model gives as ``loss``, as those of transformers do with labels.
    certificate
        Whether to diagnose the model as well, or its report, as `diagnose` made it.
    tolerance
        A relative distance from 0 to 0.5, within which activations, and gradients, are near. Ties of exact arithmetic
        differ by rounding where sums run in another order.

    Returns
    -------
    Probe
        A space for each module that gives one tensor of floats: the units lie along the last axis (along the second for
        convolutions, their norms and pools, and for 4-dimensional outputs of what runs after them), and samples along
        all others. A module that runs several times is one space.

    Raises
    ------
    TypeError, ValueError
        No module, one without parameters, or a loss that is no scalar that depends on the parameters.

    Examples
    --------
    >>> import torch
    >>> import symbreak.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    >>> _ = torch.nn.init.constant_(model[0].weight, 0.5), torch.nn.init.zeros_(model[0].bias)
    >>> _ = torch.nn.init.ones_(model[2].weight)
    >>> batch = torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.tensor([[1.0], [0.0]])
    >>> print(symbreak.torch.probe(model, batch, torch.nn.functional.mse_loss))  # doctest: +ELLIPSIS
    space  units  distinct  near  dead  still  certified  verdict
    0          3         1     1     0      0          1  agrees
    1          3         1     1     0      0          1  agrees
    2          1         1     1     0      0          1  agrees
    0: 0-2
    1: 0-2
    in 2 of 3 spaces units agree in activations and gradients on this batch; loss
        ...
    """
    model = opened(model)
    checked(model)
    recorder = Recorder(tolerance)
    args, kwargs, targets = _arguments(batch, loss)
    left_out: dict[str, str] = {}
    with _as_it_was(model), torch.enable_grad():
        with _hooked(model, recorder, left_out) as outputs:  # not while gradients are computed: checkpoints run again
            value = _loss(model(*args, **kwargs), targets, loss)
        if not outputs:
            raise ValueError("no module gives a tensor that the loss could depend on, so there is nothing to compare")
        gradients = torch.autograd.grad(value, [each for _, each, _ in outputs], allow_unused=True)
    for (name, _, axis), gradient in zip(outputs, gradients, strict=True):
        if gradient is not None:
            recorder.gradients(name, as_array(gradient, name), axis)
    report, named = certificate if isinstance(certificate, Report) else None, dict[str, str]()
    if certificate is not False:
        found = wired_with(model, args, kwargs)
        report = judge(model, found) if report is None else report
        named = _named(recorder, found.wired)
    return recorder.probe(report, named, loss=float(value.detach()), left_out=left_out)


def _arguments(batch: Any, loss: Loss | None) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Give what the model is called with, and the targets."""
    targets = None
    if loss is not None:
        if isinstance(batch, Sequence) and len(batch) == 2:
            batch, targets = batch
        elif not isinstance(batch, torch.Tensor | Mapping):
            raise TypeError(
                f"with `loss`, `batch` is a pair (inputs, targets), a tensor, or a mapping of arguments by name; got a "
                f"{type(batch).__name__}"
            )
    if isinstance(batch, Mapping):
        return (), dict(batch), targets
    return (tuple(batch) if isinstance(batch, tuple | list) else (batch,)), {}, targets


def _loss(out: Any, targets: Any, loss: Loss | None) -> torch.Tensor:
    if loss is None:
        value = out.get("loss") if isinstance(out, Mapping) else getattr(out, "loss", None)
        if value is None:
            raise TypeError("the model gives no `loss` for this batch: give one, a function of its outputs and targets")
    else:
        value = loss(out) if targets is None else loss(out, targets)  # type: ignore[call-arg]
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise TypeError(f"`loss` gives one number, in a tensor; got {shape}")
    if not value.requires_grad:
        raise ValueError("the loss depends on no parameter: do all of them have requires_grad=False?")
    return value


@contextlib.contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Put back what a run leaves: statistics of norms and other buffers, modes, and the state of random numbers."""
    held = [(module, name, each) for module in model.modules() for name, each in module._buffers.items()]
    buffers = [(module, name, each, each.clone()) for module, name, each in held if each is not None]
    modes = [(module, module.training) for module in model.modules()]
    devices = sorted({each.device.index or 0 for each in model.parameters() if each.is_cuda})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        with torch.no_grad():
            for module, name, each, kept in buffers:
                each.copy_(kept)
                module._buffers[name] = each
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def _hooked(
    model: nn.Module, recorder: Recorder, left_out: dict[str, str]
) -> Iterator[list[tuple[str, torch.Tensor, int]]]:
    """Record what each module gives; list the outputs at which gradients are wanted."""
    outputs: list[tuple[str, torch.Tensor, int]] = []
    handles = []

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(module: nn.Module, given: Any, out: Any) -> None:
            found = [each for each in tree_leaves(out) if isinstance(each, torch.Tensor) and each.is_floating_point()]
            first = (
                out[0] if isinstance(module, nn.RNNBase | nn.MultiheadAttention) and isinstance(out, tuple) else None
            )
            each = first if isinstance(first, torch.Tensor) else found[0] if len(found) == 1 else None
            if each is None or each.ndim < 1:
                left_out[name] = f"it gives {len(found)} tensors of floats" if len(found) != 1 else "it gives a number"
                return
            axis = _axis(module, each, given)
            try:
                recorder.activations(name, as_array(each, name), axis)
            except ValueError:
                left_out[name] = "its outputs have another number of units each time"
                return
            if each.requires_grad:
                outputs.append((name, each, axis))

        return record

    try:
        for name, module in model.named_modules():
            if name and (not isinstance(module, nn.ModuleList | nn.ModuleDict)):
                handles.append(module.register_forward_hook(hook(name), prepend=True))
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _axis(module: nn.Module, out: torch.Tensor, given: Any) -> int:
    """Give the axis along which the units of an output lie."""
    if isinstance(module, CHANNELS) and out.ndim > 2:
        return 1 if not isinstance(module, nn.BatchNorm1d) or out.ndim == 3 else -1
    weights = [each for each in module.parameters(recurse=False) if each.ndim == 2]
    if out.ndim < 4 or weights or isinstance(module, nn.LayerNorm):
        return -1
    first = given[0] if isinstance(given, tuple) and given else None
    parts = [each for each in module.modules() if each is not module]
    before = [each for each in parts if isinstance(each, (*CHANNELS, nn.Linear, nn.LayerNorm))]
    if before:
        return 1 if isinstance(before[-1], CHANNELS) else -1
    same = isinstance(first, torch.Tensor) and first.ndim == out.ndim
    return 1 if same else -1


def _named(recorder: Recorder, wired: Wired) -> dict[str, str]:
    """Find what the certificate calls the space of a module's outputs: by the arrays of the module that run over it."""
    graph = wired.graph
    if graph is None:
        return {}
    spaces: dict[str, set[str]] = {}
    arrays: tuple[Weight | PerUnit, ...] = (*graph.connections, *graph.per_unit)
    for each in arrays:
        module = each.name.rpartition(".")[0]
        uses = each.uses if isinstance(each, Weight) else (each.axes,)
        written = {axis.space for axes in uses for axis in axes if axis.role == "out" and axis.space}
        spaces.setdefault(module, set()).update(written)
    found: dict[str, str] = {}
    last = ""
    for name in recorder.units:
        own = spaces.get(name, set())
        if own:
            found |= {name: next(iter(own))} if len(own) == 1 else {}
            last = name if len(own) == 1 else ""
        elif (
            last and recorder.units[name] == recorder.units[last] and name.rpartition(".")[0] == last.rpartition(".")[0]
        ):
            found[name] = found[last]  # what comes behind a layer in one container, such as its activation
        else:
            last = ""
    return found
