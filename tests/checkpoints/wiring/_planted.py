"""Ties put into the arrays of a graph, to see whether the diagnosis finds them through the wiring that was found."""

import numpy as np

import symbreak as sb
from tests.checkpoints.wiring._permute import closed, one_labelling, uses

TIES = {"SB201", "SB205", "SB206"}


def plantable(graph):
    """Name the closed spaces in which two units can be made alike: not heads that share groups."""
    masks = [each for each in graph.connections if each.name.endswith(".groups")]
    shared = {axis.space for each in masks for axis in each.axes}
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


def expected(graph, space):
    """Give the classes that `planted` makes, by space: of units in each head, of all units of two heads."""
    same, found, beside = one_labelling(graph, space), {}, {}
    for _, _, axes in uses(graph):
        heads = [axis.space for axis in axes if axis.role in ("head", "stack")]
        for axis in axes:
            if axis.role in ("out", "in"):
                beside.setdefault(axis.space, set()).update(heads or [None])
    seen = {None, *graph.inputs, *graph.outputs}  # by the world outside, or without its heads
    nests = {(unit, head) for unit, heads in beside.items() if not seen & {unit, *heads} for head in heads}
    for unit, head in nests:
        count, heads = graph.space(unit).units, graph.space(head).units
        name = unit if len(beside[unit]) == 1 else f"{unit} of {head}"  # as the diagnosis calls it
        if unit in same:
            found[name] = [(place * count, place * count + 1) for place in range(heads)]
        elif head in same:
            found[name] = [(place, count + place) for place in range(count)]
    return found | {each: [(0, 1)] for each in same if each not in {unit for unit, _ in nests}}


def found(graph):
    """Give the classes that the diagnosis finds, by space."""
    classes = {}
    for space, labels in sb.diagnose(graph).partition.items():
        flat = np.ravel(labels)
        order = np.argsort(flat, kind="stable")
        runs = np.split(order, np.flatnonzero(np.diff(flat[order])) + 1)
        tied_ = sorted(tuple(map(int, run)) for run in runs if len(run) > 1)
        classes |= {space: tied_} if tied_ else {}
    return classes


def tied(graph):
    """Give what is found of ties in a network: codes, each with the space that it names."""
    report = sb.diagnose(graph)
    return {(finding.code, finding.where) for finding in report.findings if finding.code in TIES}
