"""Ties put into the arrays of a graph, to see whether the diagnosis finds them through the wiring that was found."""

import numpy as np

import symbreak as sb
from tests.checkpoints.wiring._permute import closed, one_labelling, uses

TIES = {"SB201", "SB205", "SB206"}


def plantable(graph):
    """Name the closed spaces in which two units can be made alike: not heads that share groups."""
    shared = {
        axis.space
        for each in graph.connections
        if each.name.endswith(".groups")
        for axis in each.axes
    }  # fmt: skip
    return [space for space in closed(graph) if space not in shared]


def planted(graph, space, total):
    """Give for each place of the model the place from which it takes its value, so that units 0 and 1 are alike."""
    same = one_labelling(graph, space)
    source = np.arange(total)
    for _, array, axes in uses(graph):
        new = array
        for number, axis in enumerate(axes):
            if axis.space in same:
                order = np.arange(array.shape[number])
                order[1] = 0
                new = np.take(new, order, axis=number)
        if new is not array:
            source[array.ravel()] = source[new.ravel()]
    return source


def tied(graph):
    """Give what is found of ties in a network: codes, each with the space that it names."""
    report = sb.diagnose(graph)
    return {(finding.code, finding.where) for finding in report.findings if finding.code in TIES}
