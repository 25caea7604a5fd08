"""Networks with tied units, and their Hessian, written out for dense layers: nothing of stability is used."""

from copy import deepcopy
from itertools import pairwise

import numpy as np

from symbreak import engine


def tied_network(sizes, activation="tanh", *, seed=0, copies=None, product="tie_preserving", dtype="float64"):
    """Dense layers with tied units: ``copies[n][u]`` is the class of unit u of hidden layer n, by default 0."""
    rng = np.random.default_rng(seed)
    copies = copies or [[0] * units for units in sizes[1:-1]]
    classes = [list(range(sizes[0])), *copies, list(range(sizes[-1]))]
    layers = []
    for number, (read, written) in enumerate(pairwise(classes)):
        fan_in = len(read)
        distinct = rng.normal(size=(max(written) + 1, max(read) + 1)) / (fan_in if number else np.sqrt(fan_in))
        bias = rng.normal(size=max(written) + 1) * 0.3
        last = number == len(sizes) - 2
        weight = distinct[np.ix_(written, read)].astype(dtype)
        layers.append(engine.Dense(weight, bias[written].astype(dtype), "identity" if last else activation))
    return engine.Network(layers, product=product)


def slices(parameters, number):
    """What each unit of a hidden layer reads, holds and writes: (units, inputs + 1 + outputs)."""
    below, above = f"layers.{number}", f"layers.{number + 1}.weight"
    parts = [parameters[f"{below}.weight"], parameters[f"{below}.bias"][:, np.newaxis], parameters[above].T]
    return np.concatenate(parts, axis=1)


def moved_apart(net, number, direction, units=(0, 1)):
    """A copy of the network, one unit of a hidden layer moved along the direction, the other against it."""
    other = deepcopy(net)
    weight, bias = (other.parameters[f"layers.{number}.{part}"] for part in ("weight", "bias"))
    above = other.parameters[f"layers.{number + 1}.weight"]
    inputs = weight.shape[1]
    for unit, sign in zip(units, (1, -1), strict=True):
        weight[unit] += sign * direction[:inputs]
        bias[unit] += sign * direction[inputs]
        above[:, unit] += sign * direction[inputs + 1 :]
    return other


def apart(net, number, units=(0, 1)):
    """How far two units of a hidden layer are apart, entry by entry."""
    each = slices(net.parameters, number)
    return each[units[0]] - each[units[1]]


def slopes_apart(net, number, x, y, loss):
    """The Hessian along what moves units 0 and 1 apart, by central differences one direction at a time."""
    columns = []
    for direction in np.eye(len(apart(net, number))) * 1e-5:
        ends = [
            slices(engine.gradients(moved_apart(net, number, sign * direction), x, y, loss=loss).parameters, number)
            for sign in (1, -1)
        ]
        columns.append((ends[0][0] - ends[0][1] - ends[1][0] + ends[1][1]) / 4e-5)
    matrix = np.array(columns)
    return (matrix + matrix.T) / 2


def full_hessian(net, x, y, loss):
    """The Hessian in all parameters, one after the other as `net.parameters` has them."""
    other = deepcopy(net)
    columns = []
    for array in other.parameters.values():
        for entry in range(array.size):
            kept, ends = array.flat[entry], []
            for step in (1e-5, -1e-5):
                array.flat[entry] = kept + step
                found = engine.gradients(other, x, y, loss=loss)
                ends.append(np.concatenate([found[name].ravel() for name in other.parameters]))
            array.flat[entry] = kept
            columns.append((ends[0] - ends[1]) / 2e-5)
    matrix = np.array(columns)
    return (matrix + matrix.T) / 2


def transverse_projection(net, copies):
    """The matrix that leaves of all parameters what averaging over every class takes away."""
    labels = [list(range(net.layers["layers.0"].inputs)), *copies, list(range(list(net.layers.values())[-1].units))]
    averages = []
    for label in labels:
        same = np.equal.outer(label, label).astype(float)
        averages.append(same / same.sum(axis=1, keepdims=True))
    blocks = []
    for read, written in pairwise(averages):  # row by row: entry [i, j] of a weight is averaged over i and over j
        blocks += [np.kron(written, read), written]
    size = sum(len(block) for block in blocks)
    mean = np.zeros((size, size))
    begin = 0
    for block in blocks:
        mean[begin : begin + len(block), begin : begin + len(block)] = block
        begin += len(block)
    return np.eye(size) - mean
