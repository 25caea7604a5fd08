"""Renumbering the units of one space in a real model: nothing may change if the graph names all axes over it.

The graph is made of arrays that hold the places of their elements instead of values. So a renumbering of its axes says
which value goes where in the model, whatever was fused, cut or shared.
"""

import numpy as np

from symbreak.graph import Weight

MADE = (".apart", ".groups", ".norm_groups", ".length", ".rows")  # arrays that no file holds


def is_made(name):
    """Whether an array of a graph is one that no file holds."""
    return name.partition("[")[0].partition("@")[0].endswith(MADE)


def places(shapes):
    """Give arrays whose every element is a number of its own, by name, and the number of all."""
    found, begin = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape, dtype=int))
        found[name] = np.arange(begin, begin + size).reshape(shape)
        begin += size
    return found, begin


def uses(graph):
    """Yield name, array and axes of each use of each array that a file holds."""
    for each in (*graph.connections, *graph.per_unit):
        if not is_made(each.name):
            for axes in each.uses if isinstance(each, Weight) else (each.axes,):
                yield each.name, each.array, axes


def closed(graph):
    """Name the spaces of which every axis must be in the graph: nothing else tells their units apart."""
    made = {each.name for each in graph.per_unit}
    picked = {space.name for space in graph.spaces if "top_k" in space.functions}  # by index
    open_ = {*graph.inputs, *graph.outputs, *picked}
    found = []
    for space in graph.spaces:
        if space.units < 2 or space.name in open_ or f"{space.name}.apart" in made:
            continue
        if not any(other in open_ or f"{other}.apart" in made for other in one_labelling(graph, space.name)):
            found.append(space.name)
    return found


def one_labelling(graph, space):
    """Name the spaces that lie on one axis of a shared array with this one: their units are numbered alike."""
    found = [space]
    for name in found:
        for weight in graph.connections:
            for axes in zip(*weight.uses, strict=True):
                some = {axis.space for axis in axes if axis.space}
                if name in some:
                    found += sorted(some - set(found))
    return found


def renumbering(graph, space, rng):
    """Give an order of the units of each space that must go along, as {space: order}."""
    for weight in graph.connections:
        if not weight.name.endswith(".groups"):
            continue
        heads, groups = weight.axes[0].space, weight.axes[1].space
        count = graph.space(groups).units
        ratio = graph.space(heads).units // count
        if space == groups:
            order = derangement(count, rng)
            return {groups: order, heads: (order[:, None] * ratio + np.arange(ratio)).ravel()}
        if space == heads:
            return {heads: np.concatenate([group * ratio + derangement(ratio, rng) for group in range(count)])}
    order = derangement(graph.space(space).units, rng)
    return dict.fromkeys(one_labelling(graph, space), order)


def derangement(units, rng):
    """Give an order in which no unit keeps its place, if there are two or more."""
    order, at = np.empty(units, int), rng.permutation(units)
    order[at] = np.roll(at, 1)
    return order


def moved(graph, space, total, without=None):
    """Give for each place of the model the place from which it takes its value.

    `without` leaves out one axis of one array: its name and the number of the axis.
    """
    orders = renumbering(graph, space, np.random.default_rng(3))
    source = np.arange(total)
    for name, array, axes in uses(graph):
        new = array
        for number, axis in enumerate(axes):
            if axis.space in orders and (name, number) != without:
                new = np.take(new, orders[axis.space], axis=number)
        if new is not array:
            source[array.ravel()] = new.ravel()
    return source


def axes_over(graph, space):
    """List name and number of each axis over a space along which an array has values of its own, each once."""
    found = [
        (name, number)
        for name, array, axes in uses(graph)
        for number, axis in enumerate(axes)
        if axis.space == space and array.strides[number]
    ]
    return list(dict.fromkeys(found))
