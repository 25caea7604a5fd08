"""Where the entries of a network's parameters stand in the arrays of its graph.

A graph may have an array in pieces, one for each space that it reads, or with zeros where a group can't read. So the
entries are numbered: a twin of the network that holds the numbers is wired as the network is.
"""

from copy import deepcopy
from typing import Any

import numpy as np

from symbreak.graph import LayerGraph

from ._network import Network

Array = np.ndarray[Any, np.dtype[Any]]


def number_entries(net: Network, graph: LayerGraph) -> dict[str, Array]:
    """Give the number of each entry in the arrays of a network's graph, by the array's name; 0 for no parameter's.

    The first entry of the first parameter is 1, and so on through all parameters in their order.

    Raises
    ------
    NotImplementedError
        A graph that does not have all entries, or has others in their place.
    """
    values = np.concatenate([array.ravel() for array in net.parameters.values()])
    constants, counted = (_wired(net, given) for given in (np.zeros(len(values)), np.arange(1.0, 1 + len(values))))
    found = {name: (array - constants[name]).astype(np.int64) for name, array in counted.items()}
    missing = np.ones(len(values), bool)
    for name, array in found.items():
        array[(array < 0) | (array > len(values))] = 0  # no number of an entry
        there = array > 0
        missing[array[there] - 1] = graph.arrays[name][there] != values[array[there] - 1]
    if missing.any():
        ends = np.cumsum([array.size for array in net.parameters.values()])
        wrong = sorted(set(np.searchsorted(ends, np.flatnonzero(missing), side="right").tolist()))
        raise NotImplementedError(
            f"the graph of the network does not have the parameters "
            f"{', '.join(repr(list(net.parameters)[number]) for number in wrong)} as they are, so it can't say which "
            f"of their entries belong to which units"
        )
    return found


def _wired(net: Network, values: Array) -> dict[str, Array]:
    """Give the arrays of the graph that the network would have with these values for its parameters."""
    twin, begin = deepcopy(net), 0
    for name, layer in twin.layers.items():
        for part, array in layer.parameters.items():
            if f"{name}.{part}" in net.parameters:  # a layer's first use owns them
                layer.parameters[part] = values[begin : begin + array.size].reshape(array.shape)
                begin += array.size
    return dict(twin.graph.arrays)
