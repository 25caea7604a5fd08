"""What it means for units to be tied in any network: by the spaces of its graph, slice by slice of every array."""

import copy
from functools import partial

import numpy as np

from symbreak import engine
from tests.engine import _tied

RUN = engine.Run(engine._products.tie_preserving)


def set_parameters(net, parameters):
    """Write these values into a network, and return it."""
    for name, array in net.parameters.items():
        array[...] = parameters[name]
    return net


def copied(net, parameters):
    """A network like `net`, with other parameters."""
    return set_parameters(copy.deepcopy(net), parameters)


def loss_and_gradients(net, x, y, **options):
    """The loss as a function of parameters, and its gradients: what `check_gradient` takes."""
    net = copy.deepcopy(net)

    def of(parameters):
        return engine.gradients(set_parameters(net, parameters), x, y, **options)

    return lambda parameters: of(parameters).loss, lambda parameters: of(parameters).parameters


def unequal(units, labels):
    """Whether units of one class differ; they lie along the first axis."""
    return any(
        not np.array_equal(members, np.repeat(members[:1], len(members), axis=0), equal_nan=members.dtype != object)
        for members in (units[labels == label] for label in np.unique(labels))
    )


def differences(net, classes, found=None):
    """What differs, to the bit, between units of one class: an empty list where all classes are tied.

    `classes` has the label of each unit by the name of its space, or, for layers that pass units on, of the layer.
    """
    graphs = {"": net.graph}
    if found is not None:
        graphs["gradient of "] = copied(net, found.parameters).graph
    wrong = []
    for what, graph in graphs.items():
        for weight in (*graph.connections, *graph.per_unit):
            for axes in getattr(weight, "uses", (weight.axes,)):
                for number, axis in enumerate(axes):
                    if axis.space in classes and unequal(np.moveaxis(weight.array, number, 0), classes[axis.space]):
                        wrong.append(f"{what}{weight.name} along {axis.role}")
    for what in ("activations", "error_signals") if found is not None else ():
        for name, labels in classes.items():
            signals = getattr(found, what)[name]
            signals = signals.reshape(*signals.shape[:-1], -1, len(labels))  # a flat layer's are those of each position
            if unequal(np.moveaxis(signals, -1, 0), labels):
                wrong.append(f"{what} of {name}")
    return wrong


check_run = partial(_tied.check_run, differences=differences)
