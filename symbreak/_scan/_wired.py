"""Judging the tensors of a model as one network, as far as it is known how they are connected."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from symbreak.findings import Finding
from symbreak.reports import Report, visible

from ._judge import Array, Arrays, ConfigLike, Options, WiringLike
from ._pictures import with_network_pictures, with_widths

if TYPE_CHECKING:
    from symbreak.checkpoints import Wired
    from symbreak.graph import LayerGraph

    from ._answers import Answers

LISTED = 3  # tensors in a message before it is cut short


def read_wired(wiring: WiringLike, config: ConfigLike) -> tuple[WiringLike, ConfigLike]:
    """Read a wiring file and a configuration once for all files, so that a fault in them is not one of each.

    Raises
    ------
    OSError
        A file that can't be read.
    ValueError
        One that is malformed.
    TypeError
        Something else than `judge_wired` takes, or a configuration without a wiring.
    """
    if wiring is None or isinstance(wiring, bool):
        if config is not None and not wiring:
            raise TypeError("`config` goes with `wiring`: wiring=True takes the wiring from the names")
    else:
        from symbreak.checkpoints.wiring._file import as_wiring

        wiring = as_wiring(wiring)
    if config is not None:
        from symbreak.checkpoints.wiring._config import as_config

        config = as_config(config).values
    return wiring, config


def judge_wired(
    arrays: Arrays, options: Options, path: str = "", judged: Iterable[tuple[str, Report]] = ()
) -> "tuple[Report, Answers]":
    """Judge the network that tensors make up: its certificate, and what is not known of it (SB302).

    Parameters
    ----------
    arrays
        An open checkpoint, or arrays by name.
    options
        `wiring` says how they are connected, or that their names are to say so.
    path
        What names of the file's spaces and tensors begin with.
    judged
        (name, report) of the tensors that were judged one by one.

    Returns
    -------
    report
        Without the findings that are known of single arrays. Nothing where `options` ask for no network.
    answers
        Pairs of a finding in `judged` and the note that takes its place, as the network has it.

    Raises
    ------
    ValueError
        A wiring or configuration that is malformed, or does not meet the tensors.
    """
    if not options.wiring:
        return Report(), ()
    from symbreak.checkpoints import wire

    found = wire(arrays, config=options.config, wiring=None if options.wiring is True else options.wiring)
    return judge_found(found, arrays, options, path, judged)


def judge_found(
    found: "Wired",
    arrays: Arrays,
    options: Options,
    path: str = "",
    judged: Iterable[tuple[str, Report]] = (),
) -> "tuple[Report, Answers]":
    """Judge the network of tensors whose wiring is found, as `judge_wired` does.

    Parameters
    ----------
    found
        How they are connected.
    arrays, options, path, judged
        As for `judge_wired`.
    """
    report = Report(tuple(_unknown(found, path)))
    if found.graph is None:
        return report, ()
    from symbreak.diagnosis import judge_network  # when it is needed

    from ._answers import EQUAL, find_answers

    network = judge_network(found.graph, workers=options.workers)
    before = f"{path}: " if path else ""
    equal = [
        (name, f"{before}{name}", finding)
        for name, one in judged
        for finding in one.findings
        if finding.code in EQUAL and network.partition
    ]
    second = second_names(found.graph, arrays, dict.fromkeys(name for name, _, _ in equal))
    equal = [(second.get(name, name), where, finding) for name, where, finding in equal]
    answers = find_answers(found, network, equal, _shapes(arrays)) if equal else ()
    placed = with_widths(_placed(network, path), found.graph, path)
    if options.pictures:
        placed = with_network_pictures(placed, found.graph, path)
    return Report.merged([placed, report]), answers


def second_names(graph: "LayerGraph", arrays: Arrays, names: Iterable[str]) -> dict[str, str]:
    """Find arrays that a file has under a second name, which the graph lacks: {that name: the one in the graph}.

    Where a wiring says of one array that it is the embedding and the output layer, a file may have it under two names.
    """
    shared = [weight.name for weight in graph.connections if len(weight.uses) > 1 and weight.name in arrays]
    missing = [name for name in names if name not in graph.arrays] if shared else []
    return {name: table for name in missing for table in shared if is_copy(arrays[name], arrays[table])}


def is_copy(array: Array, other: Array) -> bool:
    """Whether two arrays have the same values, and not one alone: a constant is no evidence of a copy."""
    same = array.shape == other.shape and array.dtype == other.dtype
    return bool(same and array.size and (array != array.flat[0]).any() and np.array_equal(array, other))


def _shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    if isinstance(arrays, Mapping):
        return {name: array.shape for name, array in arrays.items()}
    return {name: info.shape for name, info in arrays.tensors.items()}


def _placed(report: Report, path: str) -> Report:
    """Put the file's name before those of the spaces; arrays are counted, and not finite, where they are read alone."""
    before = f"{path}: " if path else ""
    alone = [finding for finding in report.findings if finding.code != "SB108"]
    return Report(
        tuple(replace(finding, where=f"{before}{finding.where}") for finding in alone),
        tuple(replace(skipped, where=f"{before}{skipped.where}") for skipped in report.skipped),
        {f"{before}{name}": labels for name, labels in report.partition.items()},
        classes=tuple(replace(each, space=f"{before}{each.space}") for each in report.classes),
    )


def _unknown(found: "Wired", path: str) -> list[Finding]:
    """SB302, once a file: a tensor that no rule knows, or that lacks something, ties nothing and breaks every tie."""
    if not found.unknown:
        return []
    where = path or "the network"
    if found.graph is None:
        text = f"no rule knows how its tensors are connected, so they are judged one by one: {_listed(found.unknown)}"
    else:
        count = len(found.unknown)
        what = "1 tensor" if count == 1 else f"{count} tensors"
        text = f"of {what} it is not known how they are connected: {_listed(found.unknown)}"
    return [Finding.of("SB302", where, text)]


def _listed(unknown: Mapping[str, str]) -> str:
    first = [f"{visible(name)} ({visible(reason)})" for name, reason in list(unknown.items())[:LISTED]]
    return "; ".join(first) + ("; ..." if len(unknown) > LISTED else "")
