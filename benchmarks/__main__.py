"""Run every benchmark, or those whose file is named, print the table of ratios and write it as JSON.

A file that is there is added to: what is run again takes the place of what it has. Machine and
versions must be the same.
`python -m benchmarks --json docs/benchmarks.json` makes the page of the documentation; `--rounds 1` is a short run, and
the file says so.
"""

import argparse
import contextlib
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import symbreak as sb
from symbreak._table import table

from . import sizes
from ._measure import Result, Row, measure

FILES = (
    "fills",
    "orthogonal",
    "structured",
    "ties",
    "near",
    "certificate",
    "streams",
    "files",
    "engine",
    "restarts",
    "imports",
    "memory",
    "init",
    "torch_models",
    "sizes",
    "keras_models",
)
PEERS = ("numpy", "scipy", "torch", "jax", "keras", "pandas", "faiss-cpu")


def run(name: str, rounds: int | None) -> list[Result]:
    """Run one file of benchmarks, telling each result on stderr as it comes."""
    module = importlib.import_module(f"benchmarks.{name}")
    found = []
    for result in module.results() if hasattr(module, "results") else measured(module.rows(), rounds):
        print(f"{result.name} / {result.peer}: {result.ratio:.3g}", file=sys.stderr)
        found.append(result)
    return found


def measured(rows: Iterable[Row], rounds: int | None) -> Iterator[Result]:
    """Measure each row, in its own number of rounds or in fewer."""
    for row in rows:
        yield measure(row if rounds is None else replace(row, rounds=min(rounds, row.rounds)))


def draw(rounds: int | None) -> list[sizes.Curve]:
    """Take the curves of `sizes`, telling each on stderr as it comes."""
    found = []
    for curve in sizes.curves(**({} if rounds is None else {"rounds": rounds})):
        print(f"{curve.group} / {curve.name}: {curve.seconds[-1] * 1e3:.3g} ms at most", file=sys.stderr)
        found.append(curve)
    return found


def show(result: Result) -> tuple[str, ...]:
    """Give a line of the table: times in milliseconds, memory in MiB."""
    in_seconds = result.unit == "s"
    goal = "" if result.goal is None else f"{'<=' if result.at_most else '>='} {result.goal:g}"
    met = {None: "", True: "met", False: "MISSED"}[result.met]
    ours = f"{result.ours * 1e3:.2f} ms" if in_seconds else f"{result.ours:.1f} {result.unit}"
    theirs = f"{result.theirs * 1e3:.2f} ms" if in_seconds else "-"
    return result.name, result.peer, ours, theirs, f"{result.ratio:.3g}", goal, met


def environment() -> dict[str, str]:
    """Describe the machine and the versions."""
    versions = {}
    for peer in PEERS:
        try:
            versions[peer] = metadata.version(peer)
        except metadata.PackageNotFoundError:
            versions[peer] = "not installed"
    machine = {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}
    features = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    cores = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    hardware = {"processor": processor(), "cores": cores, "simd": " ".join(features)}
    return {**machine, **hardware, "symbreak": sb.__version__, **versions}


def processor() -> str:
    """Name the processor, as Linux does; elsewhere as Python does."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or "unknown"


def started(path: Path, here: dict[str, str]) -> dict[str, Any]:
    """Read the results that a file has, or begin a new one; raise if they are of another machine or other versions."""
    if not path.exists():
        return {"schema_version": 2, "environment": here, "files": {}, "curves": []}
    document = json.loads(path.read_text("utf-8"))
    there = document.get("environment", {})
    other = [name for name in here.keys() | there.keys() if here.get(name) != there.get(name)]
    if other or document.get("schema_version") != 2:
        told = (
            ", ".join(f"{name} {there.get(name)} (here {here.get(name)})" for name in sorted(other)) or "another schema"
        )
        raise ValueError(
            f"{path} has results of another machine or other versions: {told}; name another file, or delete it"
        )
    return document


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "files", nargs="*", default=FILES, metavar="FILE", help=f"of {', '.join(FILES)}; all by default"
    )
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), metavar="F", help="where the JSON goes")
    parser.add_argument("--rounds", type=int, metavar="N", help="at most so many rounds a row, for a short run")
    said = parser.parse_args(arguments)
    unknown = set(said.files) - set(FILES)
    if unknown:
        parser.error(f"no benchmarks are called {', '.join(sorted(unknown))}; choose of {', '.join(FILES)}")
    if said.rounds is not None and said.rounds < 1:
        parser.error(f"--rounds is 1 or more; got {said.rounds}")
    try:
        document = started(said.json, environment())
    except ValueError as error:
        parser.error(str(error))
    results = []
    for name in said.files:
        if name == "sizes":
            document["curves"] = [{**vars(curve), "rounds": said.rounds} for curve in draw(said.rounds)]
        else:
            found = run(name, said.rounds)
            results += found
            rows = [{**vars(result), "met": result.met} for result in found]
            document["files"][name] = {"rounds": said.rounds, "results": rows}
        said.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")  # what is measured is kept
    if results:
        header = ("what", "against", "symbreak", "peer", "ratio", "goal", "")
        print(table(header, [show(result) for result in results], right=(2, 3, 4)))


if __name__ == "__main__":
    main()
