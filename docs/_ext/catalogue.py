"""The directive `catalogue-matrix`: each accident of the catalogue against symbreak and the rules of other tools.

The rules are written again here in a few lines, from what the tools' code and papers say; none of their code is used.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from docutils import nodes
from docutils.parsers.rst import Directive
from scipy.cluster.hierarchy import fcluster, linkage
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[2]))

import symbreak as sb
from symbreak._scan import compare
from symbreak.checkpoints import save_safetensors
from symbreak.findings import Level
from tests.catalogue._cases import Arrays, Case, cases

VARIANCE = 1e-8
COSINE = 0.05  # the code's own thresholds, 0.4 to 1.5, would join random rows as short as these
FEATURES = 8  # shorter rows point the same way by chance


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("catalogue-matrix", Matrix)
    return {"parallel_read_safe": True}


def variance(arrays: Arrays) -> bool:
    """TheDeepChecker: the variance of a weight is at most 1e-8."""
    return any(np.var(array) <= VARIANCE for array in weights(arrays))


def duplicates(arrays: Arrays) -> bool:
    """Rows or columns that are equal, the rule nearest at hand: `numpy.unique` along both axes."""
    return any(len(np.unique(rows, axis=0)) < len(rows) for rows in slices(arrays))


def clusters(arrays: Arrays) -> bool:
    """Fibration code: rows or columns in one cluster, by average linkage of their cosine distances."""
    for rows in slices(arrays):
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        units = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float64)
        if len(units) > 1 and units.shape[1] >= FEATURES:
            distances = np.maximum(1 - units @ units.T, 0)[np.triu_indices(len(units), 1)]
            if fcluster(linkage(distances, "average"), COSINE, "distance").max() < len(units):
                return True
    return False


def equal_tensors(arrays: Arrays) -> bool:
    """ONNX, Core ML: two whole tensors of one shape with equal bytes."""
    every = [(array.shape, array.tobytes()) for array in weights(arrays)]
    return len(set(every)) < len(every)


RULES: dict[str, Callable[[Arrays], bool]] = {
    "variance": variance,
    "equal rows or columns": duplicates,
    "cosine clusters": clusters,
    "equal tensors": equal_tensors,
}


def weights(arrays: Arrays) -> list[np.ndarray[Any, Any]]:
    """Give the arrays with two dimensions and more, but for stacked biases."""
    return [array for name, array in arrays.items() if array.ndim > 1 and not name.endswith("bias")]


def slices(arrays: Arrays) -> list[np.ndarray[Any, Any]]:
    """Give each weight as its rows, and as its columns."""
    found = []
    for array in weights(arrays):
        found.append(array.reshape(len(array), -1))
        found.append(np.moveaxis(array, -1, 0).reshape(array.shape[-1], -1))
    return found


def joined(files: tuple[Arrays, ...]) -> Arrays:
    """Give several files as one, so that rules for one file see them all."""
    if len(files) == 1:
        return files[0]
    return {f"{number}/{name}": array for number, file in enumerate(files) for name, array in file.items()}


def found(files: tuple[Arrays, ...]) -> list[str]:
    """Give the codes that symbreak finds at warning or above, comparing files too."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.safetensors" for number in range(len(files))]
        for path, arrays in zip(paths, files, strict=True):
            save_safetensors(path, arrays)
        reports = [*map(sb.diagnose, paths), compare(paths)]
    return sorted({finding.code for report in reports for finding in report.at_least(Level.WARNING)})


def row(case: Case) -> list[str]:
    """Give a line of the matrix: what is found in the sick files, and in brackets what is said of the healthy ones."""
    healthy = found(case.healthy)
    cells = [
        f"{case.number}. {case.title}",
        " ".join(found(case.sick)) + (f" ({' '.join(healthy)})" if healthy else ""),
    ]
    for rule in RULES.values():
        sick, alarm = rule(joined(case.sick)), rule(joined(case.healthy))
        cells.append(("no", "false", "yes", "both")[2 * sick + alarm])
    return [*cells, " ".join(case.seen)]


def matrix() -> list[list[str]]:
    """Give all lines, and one with the counts of cases that are told from their healthy twins."""
    rows = [row(case) for case in cases()]
    counts = [sum(each[2 + number] == "yes" for each in rows) for number in range(len(RULES))]
    told = sum(bool(each[1]) and "(" not in each[1] for each in rows)
    return [*rows, [f"told apart, of {len(rows)}", str(told), *map(str, counts), ""]]


class Matrix(Directive):
    """Write the matrix as a table."""

    def run(self) -> list[nodes.Node]:
        head = ["accident", "symbreak", *RULES, "seen in"]
        group = nodes.tgroup(cols=len(head))
        group += [nodes.colspec(colwidth=1) for _ in head]
        top, body = nodes.thead(), nodes.tbody()
        top += line(head)
        body += [line(cells) for cells in matrix()]
        group += [top, body]
        table = nodes.table()
        table += group
        return [table]


def line(cells: list[str]) -> nodes.row:
    found = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += nodes.paragraph(text=cell)
        found += entry
    return found
