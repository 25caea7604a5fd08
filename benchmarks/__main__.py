"""Run every benchmark, or those whose file is named, print the table of ratios and write it as JSON."""

import argparse
import importlib
import json
import platform
import sys
from importlib import metadata
from pathlib import Path

import numpy as np

import symbreak as sb
from symbreak._table import table

from ._measure import Result, measure

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
)
PEERS = ("numpy", "scipy", "torch", "jax", "keras", "pandas", "faiss-cpu")


def run(name: str) -> list[Result]:
    """Run one file of benchmarks, telling each result on stderr as it comes."""
    module = importlib.import_module(f"benchmarks.{name}")
    found = []
    for result in module.results() if hasattr(module, "results") else map(measure, module.rows()):
        print(f"{result.name} / {result.peer}: {result.ratio:.3g}", file=sys.stderr)
        found.append(result)
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
    return {**machine, "simd": " ".join(features), "symbreak": sb.__version__, **versions}


def main() -> None:
    """Read the arguments, run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "files", nargs="*", default=FILES, metavar="FILE", help=f"of {', '.join(FILES)}; all by default"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks.json"), help="where the JSON goes")
    arguments = parser.parse_args()
    unknown = set(arguments.files) - set(FILES)
    if unknown:
        parser.error(f"no benchmarks are called {', '.join(sorted(unknown))}; choose of {', '.join(FILES)}")
    results = [result for name in arguments.files for result in run(name)]
    header = ("what", "against", "symbreak", "peer", "ratio", "goal", "")
    print(table(header, [show(result) for result in results], right=(2, 3, 4)))
    document = {
        "schema_version": 1,
        "environment": environment(),
        "results": [{**vars(result), "met": result.met} for result in results],
    }
    arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
