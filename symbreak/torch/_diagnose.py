"""`diagnose`: a model's certificate, with its wiring from what the model does."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from symbreak._api import diagnose_wired
from symbreak._notes import in_python
from symbreak._visible import visible
from symbreak.diagnosis import check_tolerance
from symbreak.findings import Finding
from symbreak.reports import Report

from ._roles import padding_row
from ._wire import Found, by_names, opened, wired_with

LISTS = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)
LISTED = 5  # names in a message before it is cut short
REPEATED = (
    "make each entry a module of its own, as in [make() for _ in range(n)]; nothing, if they are shared on purpose"
)


def diagnose(
    model: torch.nn.Module,
    *example: Any,
    kwargs: Mapping[str, Any] | None = None,
    noise: bool = False,
    tolerance: float | None = None,
    workers: int | None = None,
) -> Report:
    """Say which units of a model are tied, blocked or equal, and whether training can ever part them.

    The model is run once on tensors without values, and its operators are followed unit by unit; so the wiring needs no
    names. Where it can't be run, the names of its parameters and its configuration say it, and the report says so.

    Parameters
    ----------
    model
        Data parallel and compiled models are looked into. It is left as it was: its mode, values and statistics, its
        hooks, and the state of random numbers. It is judged as it trains: batch norms take their statistics from the
        batch, and dropout is passed over, unless `noise`.
    example
        What it is called with, as in ``diagnose(model, x, mask)``. Values hardly count: only lengths, places and masks
        that decide what is run. Give a batch of two or more. Without any, the model's own ``dummy_inputs`` are taken,
        or inputs that fit its first layer are tried.
    kwargs
        Further arguments by name, as ``{"attention_mask": mask}``.
    noise
        Whether dropout tells apart the units that it acts on, as it does in training.
    tolerance
        A relative distance from 0 to 0.5, within which units are reported as nearly equal; see `symbreak.diagnose`.
    workers
        Threads; None is one for each processor where an array is large enough.

    Returns
    -------
    Report
        The findings of `symbreak.diagnose` for named arrays and for their network; `evidence` says where the wiring is
        from. A parameter under several names is judged once, under its first; a module that stands several times in a
        list, as in ``[layer] * n``, is a finding SB204.

    Raises
    ------
    TypeError
        No module, or parameters that are no plain tensors.
    ValueError
        A model without parameters, a lazy one, or one on the meta device.

    Examples
    --------
    >>> import torch
    >>> import symbreak.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> _ = torch.nn.init.constant_(model[0].weight, 0.5), torch.nn.init.zeros_(model[0].bias)
    >>> _ = torch.nn.init.ones_(model[2].weight)
    >>> report = symbreak.torch.diagnose(model, torch.zeros(4, 2))
    >>> [finding.code for finding in report.findings], report.evidence
    (['SB101', 'SB201'], 'the model as it runs, in training mode')
    """
    model = opened(model)
    return judge(model, wired_with(model, example, kwargs or {}, noise=noise), tolerance=tolerance, workers=workers)


def judge(
    model: torch.nn.Module, found: Found, *, tolerance: float | None = None, workers: int | None = None
) -> Report:
    """Judge a model whose wiring is found."""
    check_tolerance(tolerance)
    try:
        return _judge(model, found, tolerance, workers)
    except ValueError as fault:  # the certificate can't hold the graph
        if found.by_names:
            raise
        named = Found(by_names(model, found.arrays), found.arrays, f"what it does makes no graph: {fault}")
        return _judge(model, named, tolerance, workers)


def _judge(model: torch.nn.Module, found: Found, tolerance: float | None, workers: int | None) -> Report:
    notes = _repeated(model)
    if found.by_names:
        where = type(model).__name__
        notes.append(Finding.of("SB302", where, f"its wiring is from names and its configuration, as {found.by_names}"))
    evidence = found.wired.rule or "nothing: no rule knows these names"
    report = diagnose_wired(
        found.arrays, found.wired, workers=workers, tolerance=tolerance, evidence=evidence, notes=notes
    )
    meant = _padding(model)
    kept = tuple(each for each in report.findings if (each.code, each.where, each.groups) not in meant)
    return in_python(replace(report, findings=kept), "diagnose(model, x)" if found.by_names else "")


def _repeated(model: torch.nn.Module) -> list[Finding]:
    """Report modules that stand several times in a list, as in ``[layer] * n``: their parameters are one."""
    found = []
    for path, holder in model.named_modules():
        places: dict[int, list[str]] = {}
        for name, module in holder._modules.items() if isinstance(holder, LISTS) else ():
            if module is not None and next(module.parameters(), None) is not None:
                places.setdefault(id(module), []).append(f"{path}.{name}" if path else name)
        for names in places.values():
            if len(names) > 1:
                listed = ", ".join(map(visible, names[:LISTED])) + (", ..." if len(names) > LISTED else "")
                text = f"{len(names)} entries of a list are one module, so that every update moves all: {listed}"
                found.append(Finding.of("SB204", names[0], text, fix=REPEATED))
    return found


def _padding(model: torch.nn.Module) -> set[tuple[str, str, tuple[tuple[int, ...], ...]]]:
    """Give the findings that are none: of the row that a table keeps for padding, that it is zero."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rows = {names.get(id(each.weight)): row for each in model.modules() if (row := padding_row(each)) is not None}
    return {("SB106", f"{visible(name)}, axis 0", ((row,),)) for name, row in rows.items() if name is not None}
