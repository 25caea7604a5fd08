"""`diagnose`: one function for a weight, named arrays, and saved files."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symbreak._scan import (
    ConfigLike,
    Layouts,
    Options,
    Step,
    WiringLike,
    bounded,
    find_runs,
    joined,
    judge_found,
    judge_named,
    judge_wired,
    list_entries,
    read_wired,
    scan,
    with_growth,
    with_network_pictures,
    with_pictures,
    with_widths,
)
from symbreak.axes import Axes
from symbreak.diagnosis import NotNumbers, check_tolerance, in_memory, judge_together, judge_weight, remembering
from symbreak.findings import Finding
from symbreak.graph import LayerGraph
from symbreak.reports import Report, visible

if TYPE_CHECKING:
    import concurrent.futures

    from symbreak.checkpoints import Wired

Array = npt.NDArray[Any]

# The packages whose models symbreak judges by how they compute: (the class that its models have above them, its
# package there, our part for it).
FRAMEWORKS = (
    ("Module", "torch", "symbreak.torch"),
    ("Model", "keras", "symbreak.keras"),
    ("Module", "flax", "symbreak.jax"),
    ("Module", "equinox", "symbreak.jax"),
)


def diagnose(
    weights: npt.ArrayLike | Mapping[str, npt.ArrayLike] | LayerGraph | str | os.PathLike[str],
    *,
    axes: Axes | str | Layouts | None = None,
    workers: int | None = None,
    tolerance: float | None = None,
    executor: "concurrent.futures.Executor | None" = None,
    noise: Iterable[str] = (),
    wiring: WiringLike = None,
    config: ConfigLike = None,
) -> Report:
    """Say which units of a weight, of named arrays, of saved files or of a network are tied.

    Parameters
    ----------
    weights
        One of:

        - an array: one weight, its units along axis 0 or as `axes` says, and along no other axis;
        - a mapping from names to arrays. Of an array that `axes` does not name, every axis that units may lie along is
          judged and named: of two dimensions both; of three and more the first two if the others look like a receptive
          field (none longer than 16), the last two if the leading ones do, and every axis if both or neither do;
        - a path: a file, a folder of files, or the index of a sharded one. Its arrays are judged like named ones. Of
          files that differ in the number of a step alone the report's `growth` says how equal units come apart;
        - a network, a `LayerGraph`: all of its spaces are judged together, and the report is its certificate.
    axes
        For one weight its layout, such as ``"io"``, ``"hwio"`` or ``"boi"``, or an `Axes`. For named arrays and files a
        mapping from names to layouts; of those arrays only the output units are judged.
    workers
        Threads to use; None is one for each processor where an array is large enough. The result does not depend on it.
    tolerance
        A relative distance from 0 to 0.5. Units that differ by no more are reported too: as they are (SB103), up to a
        positive factor (SB104) and up to sign (SB105); see `symbreak.diagnosis.find_near_ties`. By default they are not
        looked for.
    executor
        A `concurrent.futures.Executor` whose workers read and judge files: threads, processes, or those of a Dask
        cluster, ``Client.get_executor()``; they must see the files under the same paths. None takes threads. The result
        does not depend on it.
    noise
        For a network: spaces whose units each draw noise of their own in training, as under dropout. It separates them,
        so none is tied.
    wiring
        For named arrays and files: True judges them as one network too, as far as their names say how they are
        connected; a wiring file, its content or a `symbreak.checkpoints.Wiring` says it for names that no rule knows.
        Equal units of single weights (SB101, SB102) that the network tells apart are notes then.
    config
        With `wiring`, what the names don't say, such as the number of heads: the path or content of a
        ``config.json``. By default the one beside the file.

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

    See Also
    --------
    symbreak.testing.assert_no_ties : The same in a test.
    merge, untie, reinit : What to do about ties.
    symbreak.engine.stability : Whether tied units separate by themselves.
    symbreak.torch.diagnose, symbreak.jax.diagnose, symbreak.keras.diagnose : Models of frameworks.

    Notes
    -----
    Vectors (biases, norm scales), numbers and masks of booleans are only looked at for values that are not finite. An
    axis of one unit can't be tied. Units that hold a NaN are equal to none, and 0.0 equals -0.0.

    Of named arrays and files, unless `axes` names them, these too are only looked at for values that are not finite:

    - arrays with a single axis longer than one, such as a bias of shape (1, n);
    - 64-bit integers: ids, positions, counters;
    - optimizer state: names whose last component is what PyTorch's optimizers call it, such as ``exp_avg``,
      ``exp_avg_sq`` or ``momentum_buffer``, below ``state`` also ``sum``, ``ax`` or ``prev``, all names below
      ``opt_state`` or ``param_states``, as Flax has them, and those of Keras, ``optimizer/vars/...`` and
      ``optimizer_weights/...``;
    - stacked biases and scales of norms, and tables such as ``A_log``, by the last component of their names.

    Named arrays and the arrays of a file are also judged together, for identical layers, heads and experts, one random
    stream used twice, and scales (SB203 to SB206, SB208, SB109). What is tied or zero on purpose, as far as names tell
    it, is passed over or is a note (SB202); the page on saved weights lists it.

    Of an additive mask, a float array whose every value is 0 or -inf with at least one of each, nothing is said.

    Of a network, the coarsest partition of all spaces is found in which units of one class have equal class sums of
    incoming and of outgoing weights, and equal parameters of their own. They get equal updates at every step. That is
    sufficient, and not every coincidence: ties through blocked units, or in biases that a norm cancels, can be missed.

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
    >>> report = sb.diagnose(sb.chain([(np.full((4, 2), 0.5), np.zeros(4)), (np.ones((1, 4)), None)]))
    >>> [finding.code for finding in report.findings], report.partition["layers.0"]
    (['SB201'], array([0, 0, 0, 0]))
    """
    check_tolerance(tolerance)
    if isinstance(weights, str | os.PathLike):
        options = Options(workers, tolerance, _layouts(axes), *read_wired(wiring, config))
        return _diagnose_path(weights, options, executor)
    if isinstance(weights, LayerGraph):
        _refuse_for_network(axes=axes, tolerance=tolerance, executor=executor, wiring=wiring, config=config)
        from symbreak.diagnosis import judge_network  # when it is needed

        report = with_widths(judge_network(weights, noise, workers), weights)
        return with_network_pictures(report, weights)
    if noise:
        raise TypeError(f"`noise` names spaces of a network, a LayerGraph; got a {type(weights).__name__}")
    if isinstance(weights, Mapping):
        layouts = _layouts(axes)
        arrays = {_name(name): _as_array(value, f"the array {name!r}") for name, value in weights.items()}
        _refuse_strangers(layouts, arrays)
        options = Options(workers, tolerance, layouts, *read_wired(wiring, config))
        steps = _one_by_one(arrays, options)
        network, answers = judge_wired(arrays, options, judged=_judged(steps))
        steps += bounded([Step(0, judge_together(in_memory(arrays))), Step(0, network, answers=answers)])
        return joined(steps)
    if wiring is not None or config is not None:
        raise TypeError("`wiring` and `config` are for named arrays and files; one weight is no network")
    if isinstance(axes, Mapping):
        raise TypeError(f"for one weight `axes` is one layout, such as 'io'; got a mapping of {len(axes)}")
    array = _as_array(weights, "`weights`")
    report = judge_weight(array, axes=axes, workers=workers, tolerance=tolerance)
    return with_pictures(report, array, "weight", axes)


def diagnose_wired(
    arrays: Mapping[str, Array],
    found: "Wired",
    *,
    workers: int | None = None,
    tolerance: float | None = None,
    evidence: str = "",
    notes: Iterable[Finding] = (),
) -> Report:
    """Judge the arrays of a model whose wiring is found, one by one, together, and as a network.

    Parameters
    ----------
    arrays
        Parameters and buffers by name.
    found
        How they are connected; it may have arrays of its own.
    workers, tolerance
        As for `diagnose`.
    evidence
        Where the wiring is from, for the report.
    notes
        Findings to add.

    Returns
    -------
    Report
        As of `diagnose` with `wiring`.
    """
    check_tolerance(tolerance)
    options = Options(workers, tolerance)
    with remembering():
        steps = _one_by_one(arrays, options)
        network, answers = judge_found(found, arrays, options, judged=_judged(steps))
    steps += bounded([Step(0, judge_together(in_memory(arrays))), Step(0, network, answers=answers)])
    return replace(joined([*steps, Step(0, Report(tuple(notes)))]), evidence=evidence)


def _one_by_one(arrays: Mapping[str, Array], options: Options) -> list[Step]:
    """Judge arrays in memory, and keep of the pictures of each code the first few."""
    reports = ((name, _judge_in_memory(array, name, arrays, options)) for name, array in arrays.items())
    return list(bounded(Step(0, report, judged=((name, report),)) for name, report in reports))


def _judged(steps: Iterable[Step]) -> list[tuple[str, Report]]:
    return [each for step in steps for each in step.judged]


def _diagnose_path(
    path: str | os.PathLike[str], options: Options, executor: "concurrent.futures.Executor | None"
) -> Report:
    """Judge every checkpoint that a path leads to."""
    steps, names, entries = [], set[str](), list_entries([path])
    for step in bounded(scan(entries, options, executor=executor)):
        steps.append(step)
        names.update(name for name, _ in step.judged)
    report = with_growth(joined(steps), find_runs(entries))
    if not report.skipped:  # what was not read may hold any name
        _refuse_strangers(options.layouts, names)
    return report


def _judge_in_memory(array: Array, name: str, arrays: Mapping[str, Array], options: Options) -> Report:
    try:
        return judge_named(array, name, name, arrays, options)
    except NotNumbers as error:
        raise NotNumbers(f"{visible(name)}: {error}") from None


def _refuse_for_network(**options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise TypeError(f"`{name}` is not for a network: a LayerGraph says how its arrays lie, and ties are exact")


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
            import difflib  # for errors only

            near = difflib.get_close_matches(str(name), known, n=3, cutoff=0)
            raise ValueError(f"`axes` names {name!r}, which is not among the arrays; nearest: {near}")


def framework_part(model: object) -> str | None:
    """Name our part for the framework that a model is of; no framework is imported for that."""
    return next(
        (
            part
            for cls in type(model).__mro__
            for name, package, part in FRAMEWORKS
            if cls.__name__ == name and cls.__module__.split(".")[0] == package
        ),
        None,
    )


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
    if part := framework_part(value):
        raise TypeError(f"a {type(value).__name__} is a model of a framework: call {part}.diagnose(model)")
    raise TypeError(
        f"{what} is neither an array, nor a mapping from names to arrays, nor a path to a file or folder; "
        f"got {type(value).__name__}"
    )
