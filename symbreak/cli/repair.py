"""Repair the tied units of a file of saved weights: merge, untie or draw them again, and write another file.

The file that is read is never changed, and the new one appears whole or not at all, with the same names, dtypes and
metadata. Every change is listed. Exit code: 0 if the file was written, 2 if it could not be read, repaired or written.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from symbreak.cli._output import cannot_write, file_name
from symbreak.cli._show import listed
from symbreak.cli._target import Refused, check_suffix, refuse_same, run_refusing, seed
from symbreak.errors import BadCheckpoint, CannotRepair, MissingExtra
from symbreak.reports import visible

if TYPE_CHECKING:
    from symbreak.checkpoints import Wiring

LISTED = 8  # tensors in an error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a file, where the new one goes, and what to do."""
    parser.add_argument("path", metavar="FILE", help="a file of saved weights, or the index of a sharded model")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=file_name, required=True, help="the file to write: .safetensors or .npz"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--merge", action="store_true", help="one unit for each class: the same function, smaller")
    how.add_argument(
        "--untie", action="store_true", help="split the outgoing weights: the same function, no class left (default)"
    )
    how.add_argument("--reinit", action="store_true", help="draw the tied units again, and only them")
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="of the random numbers (default: 0)")
    parser.add_argument(
        "--space", metavar="NAME", action="append", help="merge the units of this space only; may be repeated"
    )
    parser.add_argument(
        "--redundant",
        action="store_true",
        help="merge units too that are equal for every input but are read differently (SB202)",
    )
    parser.add_argument("--wiring", metavar="F", type=file_name, help="a file that says how its tensors are connected")
    parser.add_argument(
        "--config", metavar="F", type=file_name, help="the model's config.json (default: the one beside FILE)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Repair one file."""
    return run_refusing(lambda: _repair(arguments))


def _check_call(arguments: argparse.Namespace) -> None:
    check_suffix(arguments.output)
    if arguments.space and not arguments.merge:
        raise Refused("--space is for --merge; the other repairs take every tied unit")
    if arguments.redundant and not arguments.merge:
        raise Refused(
            "--redundant is for --merge; the other repairs leave redundant units to training, which parts them"
        )
    refuse_same(arguments.output, (arguments.path, arguments.wiring, arguments.config))


def _repair(arguments: argparse.Namespace) -> list[str]:
    """Read, repair and write; give the lines that say what was done."""
    from symbreak.repair import rewrite

    _check_call(arguments)
    arrays, metadata, brought = _read(arguments)
    graph, rule = _graph(arguments, arrays, brought)
    try:
        repaired = _apply(arguments, graph, rule)
        tensors, changes = rewrite(arrays, graph, repaired)
    except CannotRepair as error:
        options = " ".join(f"--space {visible(name)}" for name in error.spaces)
        able = f"; the others can be merged: {options}" if options else ""
        raise Refused(f"{visible(arguments.path)}: {error.problem}{able}") from None
    except ValueError as error:  # values that are not finite, spaces that are not there, a graph that is no network
        raise Refused(f"{visible(arguments.path)}: {error}") from None
    parted = list(_no_longer_equal(arrays, tensors, [change.name for change in changes]))
    if parted:
        name, other = parted[0]
        more = f" (and {len(parted) - 1} more so)" if len(parted) > 1 else ""
        print(
            f"symbreak: {visible(name)} was equal to {visible(other)}{more} and no longer is: if the model has one "
            f"array for both, say so in its configuration or in a wiring",
            file=sys.stderr,
        )
    _write(arguments.output, tensors, metadata)
    out = visible(arguments.output)
    wired = f"wired by {visible(rule)}"
    if not changes:
        same = f"{out} has the tensors of {visible(arguments.path)} as they are"
        return [f"no tied units are known ({wired}): {same}", *_redundant(graph)]
    lines = [f"{_verb(arguments)} ({wired})"]
    sizes = {space.name: space.units for space in repaired.spaces}
    fewer = [space for space in graph.spaces if sizes[space.name] != space.units]
    lines += [f"  space {visible(space.name)}: {space.units} -> {sizes[space.name]} units" for space in fewer]
    lines += [f"  {change}" for change in changes]
    rest = len(tensors) - len(changes)
    lines.append(f"{rest} other tensor{'' if rest == 1 else 's'} as before; written to {out}")
    if fewer:
        lines.append("a configuration of the model must be given the new sizes")
    return lines


def _redundant(graph: Any) -> list[str]:
    """Say which units of a network without tied ones could still be merged."""
    from symbreak.diagnosis import judge_network

    found = [finding for finding in judge_network(graph).findings if finding.code == "SB202"]
    units = ", ".join(f"{sum(map(len, each.groups))} of {visible(each.where)}" for each in found)
    if not found:
        return []
    return [f"units are redundant (SB202), {units}: they separate at the next step, or --merge --redundant merges them"]


def _no_longer_equal(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], changed: list[str]
) -> Iterator[tuple[str, str]]:
    """Find tensors of two axes or more that were equal, and not just constant, and of which one was changed."""
    for name in changed:
        array = before[name]
        if array.ndim < 2 or (array == array.flat[0]).all():
            continue
        for other, found in before.items():
            if other != name and found.shape == array.shape and np.array_equal(found, array):
                if not np.array_equal(after[other], after[name]):
                    yield name, other
                break


def _verb(arguments: argparse.Namespace) -> str:
    return "merged" if arguments.merge else "drawn again" if arguments.reinit else "untied"


def _read(arguments: argparse.Namespace) -> "tuple[dict[str, np.ndarray], dict[str, str], Wiring | None]":
    """Read every tensor, and the graph if the file has one; what can't be read could not be written either."""
    from symbreak.checkpoints import open_checkpoint
    from symbreak.checkpoints.wiring import wiring_in

    try:
        with open_checkpoint(arguments.path) as ckpt:
            refuse_same(arguments.output, (file for file, *_ in ckpt.state))
            if ckpt.skipped:
                some = ", ".join(f"{visible(item.name)}: {item.reason}" for item in ckpt.skipped[:LISTED])
                more = ", ..." if len(ckpt.skipped) > LISTED else ""
                raise Refused(f"{visible(ckpt.path)}: not all of it can be read, and so not be written: {some}{more}")
            arrays = {name: np.asarray(ckpt[name], order="C") for name in ckpt}
            return arrays, dict(ckpt.metadata), wiring_in(ckpt)
    except (BadCheckpoint, MissingExtra) as error:
        raise Refused(str(error)) from None
    except IsADirectoryError:
        raise Refused(
            f"{visible(arguments.path)} is a folder; a repair takes one file, or a folder with the *.index.json of a "
            f"sharded model"
        ) from None
    except OSError as error:
        raise Refused(f"cannot read {visible(arguments.path)}: {error.strerror or error}") from None


def _graph(arguments: argparse.Namespace, arrays: dict[str, np.ndarray], brought: "Wiring | None") -> tuple[Any, str]:
    from symbreak.cli._wired import find_graph

    try:
        graph, rule, unknown = find_graph(arrays, arguments.path, arguments.wiring or brought, arguments.config)
    except OSError as error:
        raise Refused(f"cannot read {visible(error.filename or 'the wiring')}: {error.strerror or error}") from None
    except ValueError as error:
        raise Refused(str(error)) from None
    if graph is None and len(arrays) < 2:
        raise Refused(
            f"{visible(arguments.path)} holds {'1 array' if arrays else 'no arrays'}, and a repair takes a whole "
            f"model, in which one weight reads what another writes; sb.reinit draws one weight again"
        )
    if graph is None:
        raise Refused(
            f"{visible(arguments.path)}: no rule knows how its tensors are connected, and a repair needs that; say it "
            f"in a file: --wiring F"
        )
    for reason, names in _by_reason(unknown).items():
        read = "reads or writes" if len(names) == 1 else "read or write"
        print(f"symbreak: ties of what {listed(names)} {read} may stay: {visible(reason)}", file=sys.stderr)
    if unknown and arguments.wiring is None and brought is None:
        print("symbreak: a file can say how they are connected, --wiring F", file=sys.stderr)
    return graph, rule


def _by_reason(unknown: Mapping[str, str]) -> dict[str, list[str]]:
    """Bring together the tensors of one reason, so that a model of many blocks is told in a few lines."""
    found: dict[str, list[str]] = {}
    for name, reason in unknown.items():
        found.setdefault(reason, []).append(name)
    return found


def _apply(arguments: argparse.Namespace, graph: Any, rule: str) -> Any:
    from symbreak.repair import merge, reinit, untie

    if arguments.merge:
        scaled = "T5" not in rule.split(", ")
        return merge(graph, spaces=arguments.space, redundant=arguments.redundant, scaled=scaled)
    if arguments.reinit:
        return reinit(graph, arguments.seed)
    return untie(graph, arguments.seed)


def _write(path: str, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    from symbreak.checkpoints import save_safetensors
    from symbreak.checkpoints._write_npz import save_npz

    try:
        if path.endswith(".npz"):
            if metadata:
                raise Refused(
                    f"npz has no place for the metadata of the file, {visible(sorted(metadata))}: write safetensors"
                )
            save_npz(path, tensors)
        else:
            save_safetensors(path, tensors, metadata or None)
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(cannot_write(path, error)) from None
