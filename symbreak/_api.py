"""`diagnose`: one function for a weight, named arrays, and saved files."""

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from symbreak.axes import Axes
from symbreak.diagnosis import NotNumbers, check_tolerance, judge_array, judge_weight
from symbreak.errors import BadCheckpoint, SymbreakError
from symbreak.findings import Finding
from symbreak.reports import Report, Skipped, visible

if TYPE_CHECKING:
    from symbreak.checkpoints import Checkpoint

Array = npt.NDArray[Any]
Arrays: TypeAlias = "Mapping[str, Array] | Checkpoint"
Layouts: TypeAlias = Mapping[str, Axes | str | None]
Progress: TypeAlias = Callable[[str, int, int], None]  # file, arrays done, arrays in all

# How weights and their biases are called, and the axis of the units: PyTorch's layers, and those of Keras and Flax.
BIASED = {".weight": 0, ".kernel": -1, "/kernel": -1}

# What a file can do wrong, or the machine while it is read. Anything else is a fault of the program and is not caught.
UNREADABLE = (SymbreakError, OSError, MemoryError, NotNumbers)


@final
@dataclass(frozen=True, slots=True)
class Options:
    """How arrays are judged."""

    workers: int | None = None
    tolerance: float | None = None


def diagnose(
    weights: npt.ArrayLike | Mapping[str, npt.ArrayLike] | str | os.PathLike[str],
    *,
    axes: Axes | str | Layouts | None = None,
    workers: int | None = None,
    tolerance: float | None = None,
) -> Report:
    """Say which units of a weight, of named arrays, or of saved files are tied.

    Parameters
    ----------
    weights
        One of:

        - an array: one weight, its units along axis 0 or as `axes` says, and along no other axis;
        - a mapping from names to arrays. Of an array that `axes` does not name, every axis that units may lie along is
          judged and named: of two dimensions both; of three and more the first two if the others look like a receptive
          field (none longer than 16), the last two if the leading ones do, and every axis if both or neither do;
        - a path: a file, a folder of files, or the index of a sharded one. Its arrays are judged like named ones.
    axes
        For one weight its layout, such as ``"io"``, ``"hwio"`` or ``"boi"``, or an `Axes`. For named arrays and files a
        mapping from names to layouts; of those arrays only the output units are judged.
    workers
        Threads to use; None is one for each processor where an array is large enough. The result does not depend on it.
    tolerance
        A relative distance from 0 to 0.5. Units that differ by no more are reported too: as they are (SB103), up to a
        positive factor (SB104) and up to sign (SB105); see `symbreak.diagnosis.find_near_ties`. By default they are not
        looked for.

    Returns
    -------
    Report
        Its verdict covers what was read; what could not be read is in `skipped` and is a finding SB301.

    Raises
    ------
    TypeError
        If `weights` is of another kind, or an array in memory holds no numbers.
    ValueError
        If `axes` does not fit a shape, or names an array that is not there, or `tolerance` is out of its range.

    Notes
    -----
    Vectors (biases, norm scales), numbers and masks of booleans are only looked at for values that are not finite. An
    axis of one unit can't be tied. Units that hold a NaN are equal to none, and 0.0 equals -0.0.

    Of named arrays and files, unless `axes` names them, these too are only looked at for values that are not finite:

    - arrays with a single axis longer than one, such as a bias of shape (1, n);
    - 64-bit integers: ids, positions, counters;
    - optimizer state: names whose last component is what PyTorch's optimizers call it, such as ``exp_avg``,
      ``exp_avg_sq`` or ``momentum_buffer``, and below ``state`` also ``sum``, ``ax`` or ``prev``.

    Of an additive mask, a float array whose every value is 0 or -inf with at least one of each, nothing is said.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> print(sb.diagnose(np.full((4, 3), 0.5)))
    error SB101 weight, axis 0
        all 4 units are equal: every weight is 0.5
        fix: draw the weight from a random initializer, such as HeNormal() or
             GlorotUniform()
    1 error; read 1 array
    >>> sb.diagnose({"fc1.weight": sb.HeNormal()((64, 32), rng=0), "fc1.bias": np.zeros(64)}).ok
    True
    """
    check_tolerance(tolerance)
    if isinstance(weights, str | os.PathLike):
        return diagnose_path(weights, axes=_layouts(axes), workers=workers, tolerance=tolerance)
    if isinstance(weights, Mapping):
        layouts = _layouts(axes)
        arrays = {_name(name): _as_array(value, f"the array {name!r}") for name, value in weights.items()}
        _refuse_strangers(layouts, arrays)
        return Report.merged(
            _judge_in_memory(array, name, arrays, layouts, Options(workers, tolerance))
            for name, array in arrays.items()
        )
    if isinstance(axes, Mapping):
        raise TypeError(f"for one weight `axes` is one layout, such as 'io'; got a mapping of {len(axes)}")
    return judge_weight(_as_array(weights, "`weights`"), axes=axes, workers=workers, tolerance=tolerance)


def diagnose_path(
    path: str | os.PathLike[str],
    *,
    axes: Layouts | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    seen: set[Path] | None = None,
    tolerance: float | None = None,
) -> Report:
    """Judge every checkpoint that a path leads to; `progress` is told of each array.

    Files in `seen` are left out, and those judged are added to it: a file is reported once, by whatever paths.

    See Also
    --------
    diagnose : the same, and what the parameters mean
    """
    from symbreak.checkpoints import find_checkpoints

    try:
        files = find_checkpoints(path)
    except UNREADABLE as error:
        return _unread(os.fspath(path), error)
    if not files:
        return _unread(os.fspath(path), "there is no checkpoint in this folder")
    if seen is not None:
        files = [file for file in files if file.resolve() not in seen]
        seen.update(file.resolve() for file in files)
    layouts, names = axes or {}, set[str]()
    report = Report.merged(_judge_file(file, layouts, names, Options(workers, tolerance), progress) for file in files)
    if not report.skipped:  # what was not read may hold any name
        _refuse_strangers(layouts, names)
    return report


def _judge_file(file: Path, axes: Layouts, names: set[str], options: Options, progress: Progress | None) -> Report:
    from symbreak.checkpoints import open_checkpoint

    where = os.fspath(file)
    reports = [Report(files=(where,))]
    try:
        with open_checkpoint(file) as checkpoint:
            names.update(checkpoint.tensors)
            for done, name in enumerate(checkpoint.tensors):
                if progress is not None:
                    progress(where, done, len(checkpoint.tensors))
                reports.append(_judge_tensor(checkpoint, name, f"{where}: {name}", axes, options))
            reports += [_unread(f"{where}: {skipped.name}", skipped.reason) for skipped in checkpoint.skipped]
    except UNREADABLE as error:
        reports.append(_unread(where, error))
    return Report.merged(reports)


def _judge_tensor(checkpoint: "Checkpoint", name: str, where: str, axes: Layouts, options: Options) -> Report:
    try:
        return _judge_named(checkpoint[name], name, where, checkpoint, axes, options)
    except UNREADABLE as error:
        return _unread(where, error)


def _judge_in_memory(array: Array, name: str, arrays: Mapping[str, Array], axes: Layouts, options: Options) -> Report:
    try:
        return _judge_named(array, name, name, arrays, axes, options)
    except NotNumbers as error:
        raise NotNumbers(f"{visible(name)}: {error}") from None


def _judge_named(array: Array, name: str, where: str, arrays: Arrays, axes: Layouts, options: Options) -> Report:
    bias = None if options.tolerance is None else _bias(name, array, arrays)
    if axes.get(name) is None:
        biases = {} if bias is None else {bias[0]: bias[1]}
        return judge_array(array, where, options.workers, name, options.tolerance, biases)
    try:
        own = None if bias is None else bias[1]
        return judge_weight(array, where, axes[name], options.workers, options.tolerance, own)
    except ValueError as error:
        raise ValueError(f"{visible(name)}: {error}") from None


def _bias(name: str, array: Array, arrays: Arrays) -> tuple[int, Array] | None:
    """Return the biases that go with a weight by their names, and the axis along which its units lie."""
    for ending, axis in BIASED.items():
        if name.endswith(ending) and array.ndim > 1:
            partner = name.removesuffix(ending) + ending[0] + "bias" if ending[0] in "./" else "bias"
            if partner in arrays and (bias := arrays[partner]).shape == (array.shape[axis],):
                return axis % array.ndim, bias
    return None


def _unread(where: str, error: Exception | str) -> Report:
    """Report what could not be read: a finding, and an entry among the skipped."""
    fix = None
    if isinstance(error, BadCheckpoint) and error.problem is not None:
        reason, fix = error.problem, error.fix
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
        fix = "check the path" if isinstance(error, FileNotFoundError) else None
    elif isinstance(error, MemoryError):
        reason = f"not enough memory: {error}"
    else:
        reason = str(error)
    return Report((Finding.of("SB301", where, reason, fix=fix),), (Skipped(where, reason),))


def _layouts(axes: Axes | str | Layouts | None) -> Layouts:
    if axes is None:
        return {}
    if isinstance(axes, str | Axes) or not isinstance(axes, Mapping):
        raise TypeError(
            f"for named arrays and files `axes` maps names to layouts, as in {{'fc1.weight': 'io'}}; got {axes!r}"
        )
    return axes


def _refuse_strangers(axes: Layouts, names: Iterable[str]) -> None:
    """Refuse a layout for an array that is not there: it would have no effect."""
    known = set(names)
    for name in axes:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=3, cutoff=0)
            raise ValueError(f"`axes` names {name!r}, which is not among the arrays; nearest: {near}")


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the names of arrays are strings; got {name!r}")
    return name


def _as_array(value: object, what: str) -> Array:
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        return np.asarray(value)
    if isinstance(getattr(value, "weights", None), Mapping):
        raise TypeError(f"a {type(value).__name__} is not judged as a whole: pass its arrays, diagnose(graph.weights)")
    if isinstance(value, Mapping):
        inner = next(iter(value), "kernel")
        raise TypeError(f"{what} holds names itself, and nesting isn't read: flatten them, as in '<outer>.{inner}'")
    raise TypeError(
        f"{what} is neither an array, nor a mapping from names to arrays, nor a path to a file or folder; "
        f"got {type(value).__name__}"
    )
