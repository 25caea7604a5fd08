"""Classes whose units have equal sums and not equal weights, in a network of any layers: by the arrays of its graph.

Let every space have labels. In each array, slice by slice of the axes that are neither read nor written (gates, heads,
places of a kernel), the sums over each class that is read are equal within each class that reads, and so are those over
each class that reads, within each class that is read. What belongs to units alone is equal within each class.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from symbreak import engine
from symbreak.engine._classes import find_classes
from symbreak.engine._entries import number_entries


@dataclass
class Equitable:
    """A network, the labels of the units of each space, and those of what each layer writes.

    Its parameters are brought to the nearest that have equal sums.
    """

    net: engine.Network
    classes: dict  # space: labels
    layers: dict  # layer: labels

    def __post_init__(self):
        self.graph = self.net.graph
        self.entries = number_entries(self.net, self.graph)
        self.bring_back()
        assert not find_classes(self.net.graph), "two units can be swapped: that is a simpler kind of class"

    def nearest(self):
        """The parameters with equal sums that are nearest to those there are."""
        flat = np.concatenate([array.ravel() for array in self.net.parameters.values()])
        graph = self.net.graph
        found = flat.copy()
        for item in (*graph.connections, *graph.per_unit):
            numbers = self.entries[item.name]
            array, own = equal_sums(item, self.classes), numbers > 0
            found[numbers[own] - 1] = array[own]
        parts = np.split(found, np.cumsum([array.size for array in self.net.parameters.values()])[:-1])
        return {
            name: part.reshape(self.net.parameters[name].shape)
            for name, part in zip(self.net.parameters, parts, strict=True)
        }

    def bring_back(self):
        for name, array in self.nearest().items():
            self.net.parameters[name][...] = array

    def defect(self):
        """How far the parameters are from equal sums, against their size."""
        nearest = self.nearest()
        return max(
            abs(array - nearest[name]).max() / max(1.0, abs(array).max()) for name, array in self.net.parameters.items()
        )

    def spread(self, found):
        """How far the activations and error signals of one class are apart, against their size."""
        worst = 0.0
        for name, labels in self.layers.items():
            for each in (found.activations[name], found.error_signals[name]):
                each = each.reshape(-1, len(labels))  # of a flat layer, position after position
                size = max(1.0, abs(each).max())
                worst = max(worst, *(np.ptp(each[:, labels == k], axis=1).max() / size for k in np.unique(labels)))
        return worst

    def unequal(self, found):
        """Layers in which signals of one class are not `==`, and parameters without equal sums: for exact numbers."""
        wrong = []
        for name, labels in self.layers.items():
            for what in ("activations", "error_signals"):
                each = getattr(found, what)[name].reshape(-1, len(labels))
                first = [np.flatnonzero(labels == label)[0] for label in labels]
                wrong += [f"{what} of {name}"] if (each != each[:, first]).any() else []
        nearest = self.nearest()
        return wrong + [name for name, array in self.net.parameters.items() if (array != nearest[name]).any()]


def equal_sums(item, classes):
    """The array of a graph that has equal sums in every block of two classes, and is nearest to this one."""
    array = item.array.copy()
    axes = [next((n for n, axis in enumerate(item.axes) if axis.role == role), None) for role in ("out", "in")]
    others = [range(size) if n not in axes else [None] for n, size in enumerate(array.shape)]
    labels = [np.arange(array.shape[n]) if n is None else label(item, n, classes) for n in axes if n is not None]
    for place in product(*others):
        index = tuple(slice(None) if n is None else n for n in place)
        part = array[index]
        if axes[1] is not None and axes[0] > axes[1]:
            part = part.T
        part[...] = bring_back(part, *labels) if axes[1] is not None else bring_back(part[:, None], *labels, [0])[:, 0]
    return array


def label(item, number, classes):
    return np.asarray(classes.get(item.axes[number].space, np.arange(item.array.shape[number])))


def bring_back(array, above, below):
    """The nearest array whose blocks have rows of one sum each, and columns of one sum each."""
    result = array.copy()
    for row in np.unique(above):
        for column in np.unique(below):
            block = np.ix_(above == row, below == column)
            part = array[block]
            m, n = part.shape
            rows, columns = part.sum(axis=1, keepdims=True) / n, part.sum(axis=0, keepdims=True) / m
            mean = rows.sum() / m
            result[block] = part - (rows - mean) - (columns - mean)
    return result
