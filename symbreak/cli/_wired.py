"""How the tensors of a file are connected: what `symbreak.checkpoints.wire` finds, or else a stack of layers."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from symbreak.graph import LayerGraph, PerUnit, Space, Weight

Array = npt.NDArray[Any]


def find_graph(
    arrays: Mapping[str, Array], path: str, wiring: str | None, config: str | None
) -> tuple[LayerGraph | None, str, Mapping[str, str]]:
    """Give the graph of the tensors, by what rule it is known, and the tensors of which something is not known.

    Raises
    ------
    ValueError, OSError
        A wiring or configuration that can't be used.
    """
    import symbreak.checkpoints

    wire = getattr(symbreak.checkpoints, "wire", None)
    if wire is None:
        return (*_stack(arrays), {})
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    beside = folder / "config.json"
    if config is None and wiring is None and beside.is_file():
        config = str(beside)
    found = wire(arrays, config=config, wiring=wiring)
    return found.graph, found.rule, found.unknown


def _stack(arrays: Mapping[str, Array]) -> tuple[LayerGraph | None, str]:
    """Wire dense layers that follow each other, NAME.weight with NAME.bias or without; None where there is more."""
    weights = {name.removesuffix(".weight"): array for name, array in arrays.items() if array.ndim == 2}
    known = {f"{stem}{end}" for stem in weights for end in (".weight", ".bias")}
    sizes = [array.shape for array in weights.values()]
    if not weights or not set(arrays) <= known or any(a[0] != b[1] for a, b in pairwise(sizes)):
        return None, ""
    spaces, connections, per_unit = [Space("input", sizes[0][1])], [], []
    for number, (stem, array) in enumerate(weights.items()):
        name = stem if number < len(weights) - 1 else "output"
        connections.append(Weight(f"{stem}.weight", array, [("out", name), ("in", spaces[-1].name)]))
        spaces.append(Space(name, len(array), "unknown"))
        bias = arrays.get(f"{stem}.bias")
        if bias is not None and np.shape(bias) != (len(array),):
            return None, ""
        if bias is not None:
            per_unit.append(PerUnit(f"{stem}.bias", bias, [("out", name)]))
    return LayerGraph(spaces, connections, per_unit, inputs=["input"], outputs=["output"]), "dense layers in order"
