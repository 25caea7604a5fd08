"""The parameters of a torch model, in order, with what each is for and which share their memory."""

import copy
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
import torch
from torch import nn

from .._model import Parameter
from .._visible import quoted
from ..axes import AxesLike
from ..dtypes import is_float
from ..initializers import AbstractInitializer
from ._memory import as_array, holds_values, is_sharded
from ._roles import Found, describe, guess, padding_row
from ._special import LengthOf, WithZeroRow

WORK = 1 << 20  # candidates at most that are tried to tell whether two views meet
WRAPPERS = ("_orig_mod.", "_checkpoint_wrapped_module.")  # of compiled and checkpointed modules, in names


@final
@dataclass(frozen=True)
class Entry:
    """One parameter of a model.

    Attributes
    ----------
    parameter
        As rules see it; its name is without the prefixes of wrappers.
    tensor
        In the model.
    owner, local
        The module that has it, and its name there.
    length_of
        The name of the directions whose lengths it holds.
    """

    parameter: Parameter
    tensor: torch.Tensor
    owner: nn.Module
    local: str
    length_of: str | None = None

    @property
    def name(self) -> str:
        """The name in the model."""
        return self.parameter.name


def unwrap(model: Any) -> nn.Module:
    """Give the module inside of data parallel and compiled ones, whose names it keeps."""
    while True:
        if not isinstance(model, nn.Module):
            raise TypeError(f"a model is a torch.nn.Module; got {type(model).__name__}")
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif type(model).__name__ == "OptimizedModule" and hasattr(model, "_orig_mod"):
            model = model._orig_mod
        else:
            return model


def plain_name(name: str) -> str:
    """Give a name without the prefixes of wrappers."""
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def read_entries(model: nn.Module) -> tuple[list[Entry], dict[str, torch.Tensor]]:
    """List the parameters of a model, tied ones too, and apart from them those that no initializer makes.

    Returns
    -------
    entries : list of Entry
        In the order of the modules.
    kept : dict
        Parameters of integers and the like, by name.

    Raises
    ------
    ValueError
        For parameters that are not there yet, or that share a part of their memory with another.
    """
    known: dict[str, Found] = {}
    entries: list[Entry] = []
    kept: dict[str, torch.Tensor] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = plain_name(path + "." if path else "")
        for local, found in describe(module).items():
            known.setdefault(prefix + local, found)
        for local, tensor in module._parameters.items():
            if tensor is None:
                continue
            name = prefix + local
            _check_there(name, tensor)
            if not is_float(tensor.dtype) and not tensor.is_complex():
                kept[name] = tensor
                continue
            entries.append(_entry(name, module, local, tensor, known))
    return _tied(entries), kept


def _check_there(name: str, tensor: torch.Tensor) -> None:
    if isinstance(tensor, nn.parameter.UninitializedParameter):
        raise ValueError(
            f"{quoted(name)} has no shape yet: it is of a lazy module. Run one batch through the model first, and "
            f"initialize it then"
        )
    if type(tensor).__name__ == "FlatParameter":
        raise ValueError(
            f"{quoted(name)} holds many parameters in one row, as FSDP1 makes them; initialize the model before it is "
            f"wrapped, or shard it with fully_shard"
        )


def _entry(name: str, module: nn.Module, local: str, tensor: torch.Tensor, known: dict[str, Found]) -> Entry:
    shape = tuple(tensor.shape)
    home, natural, length_of = name, local, None
    if ".parametrizations." in f".{name}":  # base.parametrizations.weight.original
        before, _, after = f".{name}".rpartition(".parametrizations.")
        natural, _, which = after.partition(".")
        home = f"{before[1:]}.{natural}".lstrip(".")
        if which == "original0" and type(module[0]).__name__ == "_WeightNorm":  # type: ignore[index]
            length_of = name.removesuffix("0") + "1"
        elif which not in ("original", "original1"):
            natural, home = local, name
    elif local.endswith("_g") and f"{local[:-2]}_v" in module._parameters:
        natural, length_of = local[:-2], name[:-2] + "_v"
        home = name[:-2]
    elif local.endswith("_v") and f"{local[:-2]}_g" in module._parameters:
        natural, home = local[:-2], name[:-2]
    elif local.endswith("_orig"):
        natural, home = local.removesuffix("_orig"), name.removesuffix("_orig")
    found = known.get(home)
    if length_of is not None:
        found = Found("norm", why="the lengths of what was drawn")
    if found is None or (found.axes is None and len(shape) > 5):
        found = guess(module, natural, home, shape)
    row = padding_row(module)
    wrap: Callable[[AbstractInitializer], AbstractInitializer] | None = None
    if row is not None and local == "weight":
        wrap = partial(_with_zero_row, row)
    dtype = str(tensor.dtype).removeprefix("torch.")
    axes: AxesLike = found.axes if len(shape) > 1 else None
    parameter = Parameter(
        name, shape, axes, found.role, dtype, initializer=found.initializer, why=found.why, wrap=wrap
    )  # fmt: skip
    return Entry(parameter, tensor, module, local, length_of)


def _with_zero_row(row: int, init: AbstractInitializer) -> AbstractInitializer:
    return WithZeroRow(init, row)


def with_lengths(entries: list[Entry], drawn: dict[str, AbstractInitializer], keys: dict[str, str]) -> list[Entry]:
    """Give weight norm's lengths an initializer that measures what the rules draw as directions.

    Parameters
    ----------
    entries
        Of the model.
    drawn, keys
        What the plan draws each parameter with, and the name of its key.
    """
    every = {entry.name: entry.parameter for entry in entries}
    found = []
    for entry in entries:
        other = entry.length_of
        if other is not None and other in drawn:
            directions = every[other]
            length = LengthOf(drawn[other], keys.get(other, other), directions.shape, directions.axes)
            found.append(replace(entry, parameter=replace(entry.parameter, initializer=length)))
        else:
            found.append(entry)
    return found


def _tied(entries: list[Entry]) -> list[Entry]:
    """Find parameters that are one tensor, or that lie in the same memory, straight or transposed."""
    by_id: dict[int, Entry] = {}
    by_place: dict[Any, Entry] = {}
    found: list[Entry] = []
    for entry in entries:
        first, transposed = by_id.get(id(entry.tensor)), False
        if first is None and (place := _place(entry.tensor)) is not None:
            first = by_place.get(place)
            if first is None and (other := by_place.get((place[0], place[1][::-1], place[2][::-1]))) is not None:
                first, transposed = other, True
            if first is None:
                by_place[place] = entry
        if first is None:
            by_id[id(entry.tensor)] = entry
            found.append(entry)
        else:
            tied = replace(entry.parameter, same_as=first.name, transposed=transposed)
            found.append(replace(entry, parameter=tied))
    _check_apart([entry for entry in found if entry.parameter.same_as is None])
    return found


def _place(tensor: torch.Tensor) -> tuple[Any, tuple[int, ...], tuple[int, ...]] | None:
    """Give where a tensor lies in memory; None where it lies nowhere, or each process has its own part."""
    if is_sharded(tensor) or not holds_values(tensor) or tensor.numel() == 0:
        return None
    try:
        return (tensor.device, tensor.data_ptr(), tensor.dtype), tuple(tensor.shape), tuple(tensor.stride())
    except RuntimeError:  # a subclass without memory of its own
        return None


def _check_apart(entries: list[Entry]) -> None:
    """Refuse parameters that share a part of their memory: the second would write over the first."""
    reaching: list[tuple[Any, int, Entry]] = []  # those before that reach as far as here
    for storage, begin, end, entry in sorted(_spans(entries), key=lambda span: (span[:2], span[3].name)):
        reaching = [each for each in reaching if each[0] == storage and each[1] > begin]
        for _, _, other in reaching:
            if _overlap(other.tensor, entry.tensor):
                raise ValueError(
                    f"{quoted(other.name)} and {quoted(entry.name)} share a part of their memory, so that one would be "
                    f"written over the other; make them one parameter, or clone() one of them"
                )
        reaching.append((storage, end, entry))


def _spans(entries: list[Entry]) -> Iterator[tuple[Any, int, int, Entry]]:
    """Give the storage of each parameter, and the bytes of it between which its values lie."""
    for entry in entries:
        tensor = entry.tensor
        if _place(tensor) is None:
            continue
        begin = int(tensor.storage_offset()) * tensor.element_size()
        reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)) + 1
        end = begin + reach * tensor.element_size()
        yield (str(tensor.device), tensor.untyped_storage().data_ptr()), begin, end, entry


def _overlap(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two tensors whose bytes reach into each other have one in common; rows may lie side by side."""
    if one.is_contiguous() and other.is_contiguous():
        return True
    first, second = as_array(one), as_array(other)
    if first is None or second is None:
        return False
    try:
        # NumPy's stubs know of -1 and 0 alone.
        return np.shares_memory(first, second, max_work=WORK)  # type: ignore[arg-type,unused-ignore]
    except np.exceptions.TooHardError:
        return False


def set_apart(model: nn.Module, entries: list[Entry], globs: Sequence[str]) -> None:
    """Give parameters that are tied to an earlier one memory of their own: modules used twice are copied.

    Raises
    ------
    ValueError
        For a glob that hits no parameter that is tied.
    """
    tied = {entry.name: entry for entry in entries if entry.parameter.same_as is not None}
    every = [entry.name for entry in entries]
    for glob in globs:
        if not fnmatch.filter(tied, glob):
            hint = "the model ties none" if not tied else f"tied are {', '.join(map(quoted, list(tied)[:5]))}"
            what = "is not tied to another" if fnmatch.filter(every, glob) else "hits no parameter that is tied"
            raise ValueError(f"`apart` has {quoted(glob)}, which {what}; {hint}")
    asked = {name for glob in globs for name in fnmatch.filter(tied, glob)}
    seen: set[int] = set()
    for path, module in [*model.named_modules(remove_duplicate=False)]:
        if id(module) in seen and path:
            own = {plain_name(f"{path}.{name}"): each for name, each in module.named_parameters()}
            if not asked.isdisjoint(own):
                parent, _, child = path.rpartition(".")
                kept = {id(each): each for name, each in own.items() if name not in asked}  # stay those of both
                model.get_submodule(parent)._modules[child] = copy.deepcopy(module, kept)
        seen.add(id(module))
    again, _ = read_entries(model)
    for entry in again:
        if entry.parameter.same_as is not None and entry.name in asked:
            old = entry.tensor
            entry.owner._parameters[entry.local] = nn.Parameter(old.detach().clone(), requires_grad=old.requires_grad)
