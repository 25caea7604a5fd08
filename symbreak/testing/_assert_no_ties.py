"""One line for a project's own tests: no units of this model are tied."""

import contextlib
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from symbreak._api import diagnose, framework_part
from symbreak.findings import CODES, Level, select_codes
from symbreak.graph import LayerGraph
from symbreak.reports import Report, visible


def assert_no_ties(
    model: object,
    *example: object,
    select: Iterable[str] | str = (),
    ignore: Iterable[str] | str = (),
    fail_on: str = "warning",
    **options: Any,
) -> Report:
    """Fail with the report as message if a model's units are tied, or anything else is found in it.

    Parameters
    ----------
    model
        What `symbreak.diagnose` takes: an array, named arrays, a `LayerGraph`, or the path of a file or folder; named
        arrays may be nested, as in a tree of parameters. Or a model: a PyTorch module, a Keras model, a Flax or Equinox
        module, an engine's network, or anything whose ``state_dict()`` or ``graph`` gives one of these.
    example
        What a framework's model is called with, where its own part wants to know: see ``diagnose`` there.
    select, ignore
        Codes, or their beginnings, as in ``select=["SB1", "SB201"]``; by default all codes count.
    fail_on
        The lowest level that fails: ``"error"``, ``"warning"`` or ``"note"``. What could not be read always fails.
    **options
        Of `symbreak.diagnose`, or of the framework's own.

    Returns
    -------
    Report
        What was found below that level, or left out.

    Raises
    ------
    AssertionError
        Something was found. In pytest the message is shown by itself, without this function's lines.
    TypeError
        It is no model, or a class and not a model of it.
    ValueError
        A code or level that there is not, codes that leave nothing to look for, a model without arrays, or nested names
        of which two are the same when they are joined.

    See Also
    --------
    symbreak.diagnose : The report itself.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> from symbreak.testing import assert_no_ties
    >>> assert_no_ties({"fc1.weight": sb.HeNormal()((64, 32), rng=0)}).ok
    True
    >>> assert_no_ties({"fc1.weight": np.full((64, 32), 0.5)})
    Traceback (most recent call last):
        ...
    AssertionError: 1 error; read 1 array
    error SB101 fc1.weight
        all 64 units of axis 0 and all 32 units of axis 1 are equal: every weight is
        0.5
        fix: draw the weight from a random initializer, such as HeNormal() or
             GlorotUniform()
    1 error; read 1 array
    """
    __tracebackhide__ = True
    level = next((level for level in Level if str(level) == fail_on), None)
    if level is None:
        raise ValueError(f"`fail_on` is one of {', '.join(map(str, Level))}; got {fail_on!r}")
    codes = set(_codes("select", select) or CODES) - set(_codes("ignore", ignore))
    if not codes:
        raise ValueError("`ignore` leaves none of the codes of `select`: leave one of the two out")
    report = _diagnose(model, example, options).only(codes)
    if not report.arrays and not report.skipped:
        raise ValueError(f"{visible(type(model).__name__)} holds no arrays, so there is nothing to judge")
    wrong = report.at_least(level)
    if wrong or report.skipped:
        shown = replace(report, findings=wrong, unselected=report.unselected + len(report.findings) - len(wrong))
        raise AssertionError(f"{shown.verdict}\n{shown}")
    return report


def _codes(name: str, prefixes: Iterable[str] | str) -> tuple[str, ...]:
    every = (
        [prefixes] if isinstance(prefixes, str) else list(prefixes) if isinstance(prefixes, Iterable) else [prefixes]
    )
    if not all(isinstance(each, str) for each in every):
        raise TypeError(f"`{name}` is codes or their beginnings, such as ['SB1', 'SB201']; got {prefixes!r}")
    return tuple(code for prefix in every for code in select_codes(prefix))


def _diagnose(model: object, example: tuple[object, ...], options: dict[str, Any]) -> Report:
    if isinstance(model, type):
        raise TypeError(f"a model is needed, not its class: make one, {visible(model.__name__)}(...)")
    if (own := _framework(model)) is not None:
        report = own(model, *example, **options)
        assert isinstance(report, Report)  # noqa: S101 - the contract of our own parts
        return report
    if example:
        raise TypeError(
            f"{visible(type(model).__name__)} is not called, so there are no examples of what it is called with"
        )
    if isinstance(model, str | os.PathLike | LayerGraph):
        return diagnose(model, **options)
    if hasattr(model, "__array__"):
        return diagnose(_array(model), **options)
    if isinstance(model, Mapping):
        return diagnose(_named(model), **options)
    if isinstance(graph := getattr(model, "graph", None), LayerGraph):
        return diagnose(graph, **options)
    if callable(state := getattr(model, "state_dict", None)):
        return diagnose(_named(state()), **{"wiring": True, **options})
    raise TypeError(
        f"a model is needed: arrays, a path, a LayerGraph, or something with a `state_dict`; got "
        f"{visible(type(model).__name__)}"
    )


def _framework(model: object) -> Any:
    """Give the `diagnose` of our part for the model's framework, where there is one."""
    if (part := framework_part(model)) is not None:
        with contextlib.suppress(ImportError, AttributeError):
            return importlib.import_module(part).diagnose
    return None


def _named(tree: Mapping[Any, object]) -> dict[str, Any]:
    """Give the arrays of a tree by their joined names."""
    found: dict[str, Any] = {}
    for name, array in _flat(tree):
        if name in found:
            raise ValueError(f"two arrays are called '{visible(name)}' when names are joined by points; rename one")
        found[name] = array
    return found


def _flat(tree: Mapping[Any, object], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays of nested mappings and sequences, each with the names above it, joined by points."""
    for name, value in tree.items():
        place = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{place}.")
        elif isinstance(value, list | tuple) and not _is_table(value):
            yield from _flat(dict(enumerate(value)), f"{place}.")
        elif value is not None:
            yield place, _array(value)


def _is_table(value: object) -> bool:
    """Whether a list holds nothing but numbers, in lists of equal lengths: an array that was written out."""
    if not isinstance(value, list | tuple):
        return np.isscalar(value)
    lengths = {len(each) if isinstance(each, list | tuple) else -1 for each in value}
    return len(lengths) == 1 and all(map(_is_table, value))


def _array(value: Any) -> Any:
    if not hasattr(value, "detach"):
        return value if hasattr(value, "__array__") else np.asarray(value)
    here = value.detach().cpu()
    try:
        return here.numpy()
    except TypeError:  # bfloat16: as float32 the same values are equal
        return here.float().numpy()
