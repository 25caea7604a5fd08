"""The tensors that a pickle of torch.save describes: views of storages, whichever way the file holds these."""

from collections.abc import Iterator
from math import prod

import numpy as np

from symbreak._visible import number, quoted
from symbreak.checkpoints._arrays import Buffer, as_array, check_bool, check_shape
from symbreak.checkpoints._flatten import flatten
from symbreak.checkpoints._inert import Tensor
from symbreak.checkpoints._opcodes import Machine
from symbreak.checkpoints._reader import Skipped, TensorInfo
from symbreak.checkpoints._source import Source

MOST_REPEATED = 256 << 20  # bytes of a view that has more elements than its storage


def find_tensors(source: Source, machine: Machine) -> Iterator[tuple[str, Tensor] | Skipped]:
    """Run a pickle, and yield each tensor with its name, or what is not read of it, in the order of the file.

    Raises
    ------
    BadCheckpoint
        The pickle is malformed, or describes what no file of weights needs.
    """
    root = machine.run()
    names: set[str] = set()
    for found in flatten(source, root, machine.steps):
        if isinstance(found, Skipped):
            yield found
            continue
        name, tensor = found
        if name in names:
            yield Skipped(name, "another tensor of the file has this name too")
        elif (reason := _disproportion(source, name, tensor)) is not None:
            yield Skipped(name, reason)
        else:
            names.add(name)
            yield found


def view_of(source: Source, info: TensorInfo, tensor: Tensor, storage: Buffer) -> np.ndarray:
    """Return a tensor as a view of its storage; that it lies within was checked when it was described."""
    if 0 in tensor.shape:
        return as_array(b"", info.dtype, info.shape)
    itemsize = info.dtype.itemsize
    # The stride of an axis of one is never taken: it can be any number, also one that NumPy can't hold in bytes.
    steps = zip(tensor.shape, tensor.strides, strict=True)
    strides = tuple(stride * itemsize if length > 1 else itemsize for length, stride in steps)
    begin = tensor.storage.begin + tensor.offset
    array: np.ndarray = np.ndarray(info.shape, info.dtype, storage, begin * itemsize, strides)
    return check_bool(source, array, quoted(info.name))


def _disproportion(source: Source, name: str, tensor: Tensor) -> str | None:
    """Return why a view is not given out, when it repeats a small storage many times, as an expanded tensor does.

    Such a view costs nothing until someone copies it, and then a file of a few bytes would ask for all memory.
    """
    size = check_shape(source, tensor.shape, tensor.dtype.itemsize, quoted(name))
    if prod(tensor.shape) > tensor.storage.numel and size > MOST_REPEATED:
        return f"a view of {size:,} bytes that repeats a storage of {number(tensor.storage.numel)} elements"
    return None
