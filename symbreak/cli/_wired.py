"""How the tensors of a file are connected, as `symbreak.checkpoints.wire` finds, with copies of an embedding as one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from symbreak.graph import LayerGraph

if TYPE_CHECKING:
    from symbreak.checkpoints import Wiring

Array = npt.NDArray[Any]


def find_graph(
    arrays: dict[str, Array], path: str, wiring: "str | Wiring | None", config: str | None
) -> tuple[LayerGraph | None, str, Mapping[str, str]]:
    """Give the graph of the tensors, by what rule it is known, and the tensors of which something is not known.

    An output layer that equals the embedding in every value is taken for a copy of it, as files have that keep both
    names of one array: in `arrays` it becomes the same array. So does what the graph does not hold, where it equals an
    array that is used more than once.

    Raises
    ------
    ValueError, OSError
        A wiring or configuration that can't be used.
    """
    from symbreak.checkpoints import wire

    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    beside = folder / "config.json"
    if config is None and wiring is None and beside.is_file():
        config = str(beside)
    found = wire(arrays, config=config, wiring=wiring)
    if found.graph is not None and (copies := find_copies(found.graph, arrays)):
        arrays |= {name: arrays[table] for name, table in copies.items()}
        known = found.graph.arrays
        found = wire(
            {name: array for name, array in arrays.items() if name in known or name not in copies},
            config=config,
            wiring=wiring,
        )
    return found.graph, found.rule, found.unknown


def find_copies(graph: LayerGraph, arrays: Mapping[str, Array]) -> dict[str, str]:
    """Find output layers that have the values of an embedding: {name of the layer: name of the embedding}.

    Two layers that are equal by mistake both read the same and write the same. With them stand the second names that
    the graph lacks.
    """
    from symbreak._scan import is_copy, second_names

    ends = {
        weight.name: (
            bool({axis.space for axis in weight.axes if axis.role == "in"} & set(graph.inputs)),
            bool({axis.space for axis in weight.axes if axis.role == "out"} & set(graph.outputs)),
        )
        for weight in graph.connections
        if weight.name in arrays and len(weight.uses) == 1
    }
    tables = [name for name, seen in ends.items() if seen == (True, False)]
    last = [name for name, seen in ends.items() if seen == (False, True)]
    found = {name: table for name in last for table in tables if is_copy(arrays[name], arrays[table])}
    return found | second_names(graph, arrays, arrays)
