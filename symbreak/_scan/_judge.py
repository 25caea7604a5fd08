"""Judging one array by its name: its layout, its bias, and what is said of one that can't be read."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from symbreak.axes import Axes
from symbreak.diagnosis import NotNumbers, judge_array, judge_weight
from symbreak.errors import BadCheckpoint, MissingExtra, SymbreakError
from symbreak.findings import Finding
from symbreak.reports import Report, Skipped, visible

from ._pictures import with_pictures

if TYPE_CHECKING:
    from symbreak.checkpoints import Checkpoint, Wiring

Array = npt.NDArray[Any]
Arrays: TypeAlias = "Mapping[str, Array] | Checkpoint"
WiringLike: TypeAlias = "Wiring | Mapping[str, object] | str | os.PathLike[str] | bool | None"
ConfigLike: TypeAlias = "Mapping[str, object] | str | os.PathLike[str] | None"
Layouts: TypeAlias = Mapping[str, Axes | str | None]

# How weights and their biases are called, and the axis of the units: PyTorch's layers, and those of Keras and Flax.
BIASED = {".weight": 0, ".kernel": -1, "/kernel": -1}

# What a file can do wrong, or the machine while it is read. Anything else is a fault of the program and is not caught.
UNREADABLE = (SymbreakError, OSError, MemoryError, NotNumbers)

REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EACCES: "make it readable for you, or have its owner check it",
    errno.EPERM: "make it readable for you, or have its owner check it",
    errno.ENOSPC: "set TMPDIR to a folder on a larger disk",
}


@final
@dataclass(frozen=True, slots=True)
class Options:
    """How arrays are judged.

    Parameters
    ----------
    workers
        Threads; None is one for each processor.
    tolerance
        The relative distance of units that are nearly equal; None does not look for them.
    layouts
        {name: layout}, for the arrays whose layouts are known.
    wiring
        How the arrays are connected, as `symbreak.checkpoints.wire` takes it, or True where their names say so; then
        they are judged as one network too.
    config
        The model's configuration, as `wire` takes it.
    pictures
        Whether samples of the weights are kept for what is found.
    """

    workers: int | None = None
    tolerance: float | None = None
    layouts: Layouts = field(default_factory=dict)
    wiring: "WiringLike" = None
    config: "ConfigLike" = None
    pictures: bool = True


def judge_named(array: Array, name: str, where: str, arrays: Arrays, options: Options) -> Report:
    """Judge one of several arrays, which are at hand for its bias."""
    report = _judge(array, name, where, arrays, options)
    if not options.pictures or not report.findings:
        return report
    return with_pictures(report, array, where, options.layouts.get(name))


def _judge(array: Array, name: str, where: str, arrays: Arrays, options: Options) -> Report:
    bias = None if options.tolerance is None else _bias(name, array, arrays)
    layout = options.layouts.get(name)
    if layout is None:
        biases = {} if bias is None else {bias[0]: bias[1]}
        return judge_array(array, where, options.workers, name, options.tolerance, biases)
    try:
        own = None if bias is None else bias[1]
        return judge_weight(array, where, layout, options.workers, options.tolerance, own)
    except ValueError as error:
        raise ValueError(f"{visible(name)}: {error}") from None


def judge_tensor(checkpoint: "Checkpoint", name: str, where: str, options: Options) -> Report:
    """Judge one tensor of a file; what can't be read is reported."""
    try:
        return judge_named(checkpoint[name], name, where, checkpoint, options)
    except UNREADABLE as error:
        return unread(where, error)


def unread(where: str, error: Exception | str, fix: str | None = None) -> Report:
    """Report what could not be read: a finding, and an entry among the skipped."""
    if isinstance(error, BadCheckpoint | MissingExtra) and error.problem is not None:
        reason, fix = error.problem, error.fix
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
        fix = REMEDIES.get(error.errno or 0, fix)
    elif isinstance(error, MemoryError):
        reason = f"not enough memory: {error}"
    else:
        reason = str(error)
    return Report((Finding.of("SB301", where, reason, fix=fix),), (Skipped(where, reason),))


def _bias(name: str, array: Array, arrays: Arrays) -> tuple[int, Array] | None:
    """Return the biases that go with a weight by their names, and the axis along which its units lie."""
    for ending, axis in BIASED.items():
        if name.endswith(ending) and array.ndim > 1:
            partner = name.removesuffix(ending) + ending[0] + "bias"
            if partner in arrays and (bias := np.asarray(arrays[partner])).shape == (array.shape[axis],):
                return axis % array.ndim, bias
    return None
