"""A tensor's memory as NumPy sees it, and the parts of a sharded one that are this process's own.

Weights are drawn straight into the memory of a CPU tensor, whatever its strides. Elsewhere they are drawn on the CPU
and copied, so that every device gets the same bits.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from .._turned import draw, draw_region, fill_tasks, find_turn
from ..axes import AxesLike
from ..dtypes import EXTENSION_FLOATS, as_float_dtype
from ..initializers import AbstractInitializer
from ..streams import Key

Array = npt.NDArray[Any]
Task: TypeAlias = Callable[[], None]
Runs: TypeAlias = list[slice]

WORDS = {1: torch.uint8, 2: torch.uint16}  # what the types that only ml_dtypes knows are carried as
OVERLAPS = (
    "more than one element of this tensor refers to one place in memory; clone() it, or write to the tensor that it "
    "was expanded from"
)


def holds_values(tensor: torch.Tensor) -> bool:
    """Tell a tensor that has memory from one on the meta device and from a fake one."""
    from torch._subclasses.fake_tensor import FakeTensor

    return not (tensor.is_meta or isinstance(tensor, FakeTensor))


def is_sharded(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is a DTensor."""
    if not torch.distributed.is_available():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def check_overlap(tensor: torch.Tensor) -> None:
    """Refuse a tensor of which two elements are one, as torch's own functions do, and one that has no strides."""
    if tensor.layout != torch.strided:
        raise TypeError(
            f"weights are drawn into dense tensors, and this one's layout is {tensor.layout}; draw a dense one, and "
            f"convert it"
        )
    if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        raise RuntimeError(OVERLAPS)


def as_array(tensor: torch.Tensor) -> Array | None:
    """Give a tensor's memory as a NumPy array of the same strides; None where NumPy can't see it."""
    plain = tensor.detach()
    if plain.device.type != "cpu" or plain.layout != torch.strided or plain.is_conj() or plain.is_neg():
        return None
    name = str(plain.dtype).removeprefix("torch.")
    if name in EXTENSION_FLOATS:
        array: Array = plain.view(WORDS[plain.element_size()]).numpy().view(as_float_dtype(name))
        return array
    try:
        return plain.numpy()
    except (TypeError, RuntimeError):  # a type that NumPy hasn't, or a subclass without memory of its own
        return None


def from_array(array: Array) -> torch.Tensor:
    """Give an array of any floating type as a tensor, without a copy."""
    if array.dtype.name in EXTENSION_FLOATS:
        words = array.view(np.uint16 if array.itemsize == 2 else np.uint8)
        return torch.from_numpy(words).view(getattr(torch, array.dtype.name))
    return torch.from_numpy(array)


def find_shard(tensor: Any) -> tuple[torch.Tensor, list[Runs]]:
    """Give what a process has of a DTensor, and where in the whole it lies.

    Returns
    -------
    local : torch.Tensor
        Its memory.
    runs : list
        For each axis the slices of the whole that follow each other in `local`; one of them unless FSDP2 cut what
        tensor parallelism had cut before.

    Raises
    ------
    ValueError
        For a placement that holds no values of the whole, such as a partial sum.
    """
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.placement_types import _StridedShard

    with torch.no_grad():
        local = tensor.to_local()
    indices: list[Array] = [np.arange(size) for size in tensor.shape]
    coordinate = tensor.device_mesh.get_coordinate()
    for mesh_dim, placement in enumerate(tensor.placements):
        count = int(tensor.device_mesh.size(mesh_dim))
        if isinstance(placement, Replicate):
            continue
        if not isinstance(placement, Shard | _StridedShard):
            raise ValueError(
                f"a DTensor placed as {placement!r} on dim {mesh_dim} of its mesh holds no weights that could be "
                f"drawn; redistribute it to Shard or Replicate first"
            )
        if coordinate is None:  # this process is not in the mesh
            return local, [[slice(0, 0)] for _ in tensor.shape]
        factor = int(getattr(placement, "split_factor", 1))
        dim, place = placement.dim, coordinate[mesh_dim]
        each = [_chunk(part, count, place) for part in _chunks(indices[dim], factor)]
        indices[dim] = np.concatenate(each)
    if tuple(local.shape) != tuple(map(len, indices)) and local.numel() + np.prod([*map(len, indices)]) > 0:
        raise ValueError(
            f"a DTensor of shape {tuple(tensor.shape)}, placed as {tensor.placements}, has {tuple(local.shape)} here "
            f"where {tuple(map(len, indices))} was expected; symbreak does not know this way to cut it"
        )
    return local, [_runs(each) for each in indices]


def _chunks(indices: Array, count: int) -> list[Array]:
    """Cut as ``torch.chunk`` does: equal parts, the last ones shorter or empty."""
    size = -(-len(indices) // count) if count else 0
    return [indices[place * size : (place + 1) * size] for place in range(count)]


def _chunk(indices: Array, count: int, place: int) -> Array:
    return _chunks(indices, count)[place]


def _runs(indices: Array) -> Runs:
    """Give the slices that an array of ascending or piecewise ascending indices is made of."""
    if len(indices) == 0:
        return [slice(0, 0)]
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    edges = [0, *breaks.tolist(), len(indices)]
    return [slice(int(indices[begin]), int(indices[end - 1]) + 1) for begin, end in itertools.pairwise(edges)]


def write_tasks(
    tensor: torch.Tensor, init: AbstractInitializer, key: Key, *, axes: AxesLike = None, units_first: bool = False
) -> Iterator[Task]:
    """Give the tasks that together write a weight into a tensor, on any threads in any order.

    Parameters
    ----------
    tensor
        On any device; of a DTensor the part that is here. A tensor without values is left alone.
    init, key, axes
        What is drawn.
    units_first
        Draw it units first and turn it.
    """
    if not holds_values(tensor) or tensor.numel() == 0:
        return
    if is_sharded(tensor):
        yield from _shard_tasks(tensor, init, key, axes, units_first)
        return
    check_overlap(tensor)
    array = as_array(tensor)
    if array is None:
        yield partial(_copy, tensor, init, key, axes, units_first)
    elif units_first or find_turn(array.shape, axes) is None:
        yield from fill_tasks(init, array, key, axes=axes)
    else:
        yield partial(_fill, array, init, key, axes)


def _fill(array: Array, init: AbstractInitializer, key: Key, axes: AxesLike) -> None:
    init.fill(array, key, axes=axes)


def _copy(tensor: torch.Tensor, init: AbstractInitializer, key: Key, axes: AxesLike, units_first: bool) -> None:
    """Draw a weight on the CPU and copy it."""
    drawn = draw if units_first else _as_it_lies
    kind = _kind(tensor)
    values = drawn(init, tuple(tensor.shape), key, dtype=kind, axes=axes, workers=None)
    with torch.no_grad():
        tensor.detach().copy_(from_array(values))


def _kind(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _as_it_lies(init: AbstractInitializer, shape: tuple[int, ...], key: Key, **options: Any) -> Array:
    return init(shape, key, **options)


def _shard_tasks(
    tensor: torch.Tensor, init: AbstractInitializer, key: Key, axes: AxesLike, units_first: bool
) -> Iterator[Task]:
    local, runs = find_shard(tensor)
    if local.numel() == 0 or not holds_values(local):
        return
    shape = tuple(tensor.shape)
    whole = all(len(each) == 1 and each[0] == slice(0, size) for each, size in zip(runs, shape, strict=True))
    if whole:
        yield from write_tasks(local, init, key, axes=axes, units_first=units_first)
        return
    for places in itertools.product(*([*_with_offsets(each)] for each in runs)):
        target = local.detach()[tuple(mine for _, mine in places)]
        box = tuple(theirs for theirs, _ in places)
        yield partial(_write_region, target, init, key, shape, box, axes, units_first)


def _with_offsets(runs: Runs) -> Iterator[tuple[slice, slice]]:
    """Give each slice of the whole with the slice of the local part that holds it."""
    begin = 0
    for each in runs:
        end = begin + each.stop - each.start
        yield each, slice(begin, end)
        begin = end


def _write_region(
    target: torch.Tensor,
    init: AbstractInitializer,
    key: Key,
    shape: tuple[int, ...],
    box: Sequence[slice],
    axes: AxesLike,
    units_first: bool,
) -> None:
    if units_first:
        values = draw_region(init, shape, box, key, dtype=_kind(target), axes=axes)
    else:
        values = init.region(shape, tuple(box), key, dtype=_kind(target), axes=axes)
    with torch.no_grad():
        target.copy_(from_array(values))
