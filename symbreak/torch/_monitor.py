"""`Monitor`: distinct and dead units of a model while it trains, from its weights and what its activations give."""

import threading
import weakref
from collections.abc import Callable
from typing import Any, final

import torch
from torch import nn

from symbreak._growth import Growth
from symbreak._monitor import EVERY, MonitorRow, Watched, part_of
from symbreak._monitor import Monitor as Counter

from ._arrays import as_array
from ._wire import checked, opened

# Modules that zero values: a unit that is zero on every sample behind one of them is dead.
ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.CELU, nn.Hardswish, nn.Hardtanh, nn.Mish,
    nn.PReLU, nn.Sigmoid, nn.Softplus, nn.Tanh,
)  # fmt: skip
TURNED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)  # units along the second axis, if in one group


@final
class Monitor:
    """Count the distinct and the dead units of every weight and activation of a model every so many steps.

    A look reads a few values of each unit, and whole units only where these agree; so it costs less than a hundredth of
    a training step at the default interval. The numbers are exact.

    Parameters
    ----------
    model
        Whose weights are looked at: its parameters of two and more axes, and what its activation modules give in the
        step that is looked at.
    every
        Steps from one look to the next.
    log
        Called after each look with the step and ``{"distinct/<name>": count, "dead/<name>": count, ...}``, and
        ``"spread/<name>"`` of the weights that `growth` follows; or a writer with ``add_scalar``, as
        TensorBoard's ``SummaryWriter``. None keeps to the record.
    optimizer
        If one is given, each of its steps counts; else call :meth:`step`.
    activations
        Whether what activation modules give is looked at too.

    Examples
    --------
    >>> import torch
    >>> import symbreak.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> with torch.no_grad():
    ...     _ = model[0].weight.copy_(torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]])), model[0].bias.fill_(1.0)
    >>> monitor = symbreak.torch.Monitor(model, every=1)
    >>> _ = model(torch.ones(4, 2)).sum().backward()
    >>> monitor.step()
    True
    >>> print(monitor)
    space     units  distinct  dead  since step
    0.weight      3         2     0           1
    2.weight      1         1     0           1
    1             3         2     0           1
    0.weight: 2 units: spread 0 at step 1; equal at every look
    looked 1 time in 1 step, every 1
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        every: int = EVERY,
        log: object = None,
        optimizer: "torch.optim.Optimizer | None" = None,
        activations: bool = True,
    ) -> None:
        model = opened(model)
        checked(model)
        self._parameters = {
            name: each for name, each in model.named_parameters() if each.ndim > 1 and 0 not in each.shape
        }
        axes = _axes(model)
        watched = [Watched(name, tuple(each.shape), axes.get(name, 0)) for name, each in self._parameters.items()]
        self._counter = Counter(watched, self._read, every=every, log=log)
        self._handles: list[Any] = []
        self._lock = threading.Lock()
        if activations:
            for name, module in model.named_modules():
                if isinstance(module, ACTIVATIONS):
                    self._handles.append(module.register_forward_hook(_hook(weakref.ref(self), name)))
        if optimizer is not None:
            self._handles.append(optimizer.register_step_post_hook(_after(weakref.ref(self))))

    @property
    def rows(self) -> tuple[MonitorRow, ...]:
        """The record: a row where a space was first seen, and one wherever its numbers changed."""
        return self._counter.rows

    @property
    def latest(self) -> dict[str, MonitorRow]:
        """The last row of each space; its step says since when it is so."""
        return self._counter.latest

    @property
    def growth(self) -> tuple[Growth, ...]:
        """How units come apart that were equal at the first look, or nearer than 1 %: the spread at each look.

        Of a weight at most four classes of sixteen units are followed. Call :meth:`look` before the first step to see
        them from the start.
        """
        return self._counter.growth

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._counter.steps

    def step(self) -> bool:
        """Count a training step, and look if it is time; say whether it was."""
        return self._counter.step()

    def look(self) -> dict[str, MonitorRow]:
        """Look at every weight now; give a row each."""
        return self._counter.look()

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        return self._counter.to_dict()

    def __str__(self) -> str:
        return str(self._counter)

    def _repr_html_(self) -> str:
        return self._counter._repr_html_()

    def _read(self, name: str, index: tuple[Any, ...]) -> Any:
        with torch.no_grad():
            whole = self._parameters[name].detach()
            for axis, each in enumerate(index):
                whole = (
                    whole.narrow(axis, each.start or 0, (each.stop or whole.shape[axis]) - (each.start or 0))
                    if (isinstance(each, slice))
                    else whole.index_select(axis, torch.as_tensor(each, device=whole.device))
                )
            return as_array(whole, name)

    def _observe(self, name: str, out: Any) -> None:
        if not self._counter.due or not isinstance(out, torch.Tensor) or out.ndim < 2 or not torch.is_grad_enabled():
            return
        axis = 1 if out.ndim > 3 else out.ndim - 1
        with self._lock, torch.no_grad():
            part = out.detach()[part_of(out.shape, axis)]
            self._counter.observe(name, as_array(part, name), axis)


def _hook(monitor: "weakref.ref[Monitor]", name: str) -> Callable[..., None]:
    def observe(_: nn.Module, __: Any, out: Any) -> None:
        found = monitor()
        if found is not None:
            found._observe(name, out)

    return observe


def _after(monitor: "weakref.ref[Monitor]") -> Callable[..., None]:
    def count(*_: object) -> None:
        found = monitor()
        if found is not None:
            found.step()

    return count


def _axes(model: nn.Module) -> dict[str, int]:
    """Give the axis along which the units of a weight lie, where it isn't the first."""
    found: dict[str, int] = {}
    for at, module in model.named_modules():
        turned = isinstance(module, TURNED) and module.groups == 1
        if turned or type(module).__name__ == "Conv1D":  # of transformers, (in, out)
            found[f"{at}.weight" if at else "weight"] = 1
        for name, each in module.named_parameters(recurse=False):
            if each.ndim == 3 and not isinstance(module, (nn.Conv1d, nn.MultiheadAttention, *TURNED)):
                stacked = each.shape[0] > 1  # experts; else features of a token or of positions
                found[f"{at}.{name}" if at else name] = 1 if stacked else 2
    return found
