"""Engine networks with planted ties, and engine networks made anew from the arrays of a repaired graph."""

from fractions import Fraction
from itertools import pairwise

import numpy as np

import symbreak as sb
from symbreak import engine
from symbreak.graph import LayerGraph, PerUnit, Weight


def rebuilt(net, graph, *, norms=None, **options):
    """A network like `net`, run on the arrays of `graph`; `norms` makes a layer of a norm's name and arrays instead."""
    arrays = graph.arrays
    layers, made = {}, {}
    for use in net._uses:
        layer = use.layer
        if id(layer) not in made:
            found = {part: gathered(arrays, f"{use.owner}.{part}") for part in (*layer.parameters, *layer.buffers)}
            make = norms.get(use.name) if norms else None
            made[id(layer)] = make(**found) if make else like(layer, found)
        layers[use.name] = (made[id(layer)], *use.sources)
    return engine.Network(layers, product=net.product, **options)


def gathered(arrays, name):
    if name in arrays:
        return np.array(arrays[name])
    pieces = [array for each, array in arrays.items() if each.startswith(f"{name}[in ")]
    return np.concatenate(pieces, axis=1)


def like(layer, arrays):
    match layer:
        case engine.Dense():
            return engine.Dense(
                arrays["weight"].reshape(len(arrays["weight"]), -1), arrays.get("bias"), layer.activation
            )
        case engine.Conv1d() | engine.Conv2d():
            _, strides, padding = layer._windows
            return type(layer)(arrays["weight"], arrays.get("bias"), layer.activation, stride=strides, padding=padding)
        case engine.BatchNorm():
            norm = engine.BatchNorm(arrays["scale"], arrays["shift"], eps=layer.eps)
            norm.buffers = {name: arrays[name] for name in ("mean", "variance")}
            return norm
        case engine.LayerNorm():
            return engine.LayerNorm(arrays["scale"], arrays.get("shift"), eps=layer.eps)
        case engine.RMSNorm():
            return engine.RMSNorm(arrays["scale"], eps=layer.eps)
        case engine.Recurrent():
            return engine.Recurrent(arrays["weight"], arrays["recurrent"], arrays.get("bias"), layer.activation)
        case engine.LSTM():
            return engine.LSTM(arrays["weight"], arrays["recurrent"], arrays.get("bias"))
        case engine.Attention():
            return engine.Attention(**arrays, causal=layer.causal)
        case engine.Embedding():
            return engine.Embedding(arrays["weight"])
        case _:
            return layer


def planted(net, classes):
    """The graph of a network in which units of one class have equal slices in every array.

    `classes` has the class of each unit by the name of its space; of a space in heads, of each unit of every head.
    Which head reads which key head stays.
    """

    def tied(array, axes):
        for number, axis in enumerate(axes):
            if axis.space in classes and axes[-1] != ("in", "att.groups"):
                label = np.asarray(classes[axis.space])
                first = np.array([int(np.flatnonzero(label == each)[0]) for each in label])
                array = array.take(first, number)
        return array

    graph = net.graph
    return LayerGraph(
        graph.spaces,
        [Weight(each.name, tied(each.array, each.axes), each.axes, each.also) for each in graph.connections],
        [PerUnit(each.name, tied(each.array, each.axes), each.axes, each.kind) for each in graph.per_unit],
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


class Draw:
    """Arrays of random values, in one dtype."""

    def __init__(self, seed, dtype="float64"):
        self.rng, self.dtype = np.random.default_rng(seed), dtype

    def __call__(self, *shape):
        return (self.rng.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(self.dtype)


def dense(a):
    return engine.Network(
        [engine.Dense(a(6, 3), a(6), "tanh"), engine.Dense(a(5, 6), a(5), "relu"), engine.Dense(a(2, 5), a(2))]
    )


def convolution(a):
    net = engine.Network(
        {
            "one": engine.Conv2d(a(6, 2, 3, 3), a(6), padding="same"),
            "norm": engine.BatchNorm(1 + a(6), a(6)),
            "act": engine.Activate("relu"),
            "two": engine.Conv2d(a(4, 6, 2, 2), a(4), "tanh", stride=2),
            "flat": engine.Flatten(),
            "out": engine.Dense(a(3, 4 * 9), a(3)),
        }
    )
    net.layers["norm"].buffers["mean"][...] = a(6)
    net.layers["norm"].buffers["variance"][...] = 1 + a(6) ** 2
    return net


def grouped_convolution(a):
    return engine.Network(
        {
            "one": engine.Conv1d(a(4, 2, 3), a(4), "tanh"),
            "two": engine.Conv1d(a(6, 2, 2), a(6), "relu", groups=2),
            "last": engine.GlobalAveragePool(),
            "out": engine.Dense(a(2, 6), a(2)),
        }
    )


def recurrent(a):
    return engine.Network(
        {
            "one": engine.Recurrent(a(5, 3), a(5, 5), a(5), "tanh"),
            "out": engine.Dense(a(2, 5), a(2)),
        }
    )


def lstm(a):
    return engine.Network({"one": engine.LSTM(a(4, 6, 3), a(4, 6, 6), a(4, 6)), "out": engine.Dense(a(2, 6), a(2))})


def attention(a, heads=4, groups=4, biases=True, size=4, value=3):
    bias = {
        "query_bias": a(heads, size),
        "key_bias": a(groups, size),
        "value_bias": a(groups, value),
        "output_bias": a(5),
    }
    return engine.Network(
        {
            "in": engine.Dense(a(6, 3), a(6)),
            "att": engine.Attention(
                2 * a(heads, size, 6), 2 * a(groups, size, 6), a(groups, value, 6), a(5, heads, value),
                **(bias if biases else {}), causal=True,
            ),
            "out": engine.Dense(a(2, 5), a(2)),
        }
    )  # fmt: skip


def grouped_attention(a):
    return attention(a, heads=4, groups=2)


def residual(a, norm=engine.LayerNorm):
    """A stream of 6 units: embedded, then attention and a feed-forward branch, each behind a norm."""
    extra = (lambda: (1 + a(6), a(6))) if norm is engine.LayerNorm else (lambda: (1 + a(6),))
    return engine.Network(
        {
            "embed": engine.Embedding(a(7, 6)),
            "norm1": norm(*extra()),
            "att": engine.Attention(a(2, 3, 6), a(2, 3, 6), a(2, 3, 6), a(6, 2, 3)),
            "sum1": (engine.Add(), "embed", "att"),
            "norm2": norm(*extra()),
            "up": engine.Dense(a(8, 6), a(8), "gelu"),
            "down": engine.Dense(a(6, 8), a(6)),
            "sum2": (engine.Add(), "sum1", "down"),
            "norm3": norm(*extra()),
            "out": engine.Dense(a(3, 6), a(3)),
        }
    )


def rms_residual(a):
    return residual(a, engine.RMSNorm)


# name: how it is built, the planted classes, and what is left of each space.
TABLE = {
    "dense": (dense, {"layers.0": [0, 0, 1, 0, 2, 1], "layers.1": [0, 0, 0, 0, 0]}, {"layers.0": 3, "layers.1": 1}),
    "convolution": (convolution, {"one": [0, 1, 0, 1, 1, 2], "two": [0, 1, 1, 1]}, {"one": 3, "two": 2}),
    "grouped convolution": (
        grouped_convolution,
        {"one": [0, 0, 1, 2], "two": [0, 0, 1, 2, 2, 2]},
        {"one": 3, "two": 3},
    ),
    "recurrent": (recurrent, {"one": [0, 1, 0, 0, 1]}, {"one": 2}),
    "lstm": (lstm, {"one": [0, 1, 2, 0, 0, 1]}, {"one": 3}),
    "attention": (
        attention,
        {"in": [0, 0, 1, 2, 3, 3], "att.query_key": [0, 0, 0, 1], "att.value": [0, 1, 1], "att.heads": [0, 1, 0, 0]},
        {"in": 4, "att.query_key": 2, "att.value": 2, "att.heads": 2},
    ),
    "attention, tied heads only": (
        attention,
        {"att.heads": [0, 1, 1, 0]},
        {"att.query_key": 4, "att.value": 3, "att.heads": 2},
    ),
    "attention without biases": (
        lambda a: attention(a, biases=False),
        {"att.query_key": [0, 1, 0, 1], "att.value": [0, 0, 0]},
        {"att.query_key": 2, "att.value": 1, "att.heads": 4},
    ),
    "grouped queries": (
        grouped_attention,
        {"att.query_key": [0, 1, 1, 1], "att.value": [0, 1, 0]},
        {"att.query_key": 2, "att.value": 2, "att.heads": 4, "att.groups": 2},
    ),
    "grouped queries, tied heads": (
        grouped_attention,
        {"att.heads": [0, 0, 1, 1], "att.value": [0, 1, 0]},
        {"att.query_key": 4, "att.value": 2, "att.heads": 2, "att.groups": 2},
    ),
    "grouped queries, tied groups": (
        grouped_attention,
        {"att.heads": [0, 1, 0, 1], "att.groups": [0, 0], "att.query_key": [0, 0, 1, 2]},
        {"att.query_key": 3, "att.value": 3, "att.heads": 2, "att.groups": 1},
    ),
    "layer norm, classes of one size": (
        residual,
        {"embed": [0, 1, 1, 2, 2, 0], "up": [0, 0, 0, 1, 2, 3, 4, 4], "att.value": [0, 0, 1]},
        {"embed": 3, "up": 5, "att.value": 2},
    ),
    "RMS norm, classes of one size": (rms_residual, {"embed": [0, 0, 0, 1, 1, 1]}, {"embed": 2, "up": 8}),
}


def in_fractions(sizes, seed):
    """A dense network of small whole numbers with planted classes, whose units are not all copies: block by block the
    rows have equal sums, and so have the columns.
    """
    rng = np.random.default_rng(seed)
    labels = [np.arange(size) for size in sizes]
    for number in range(1, len(sizes) - 1):
        labels[number] = np.sort(rng.integers(0, max(1, sizes[number] // 2), sizes[number]))

    def weight(above, below):
        array = np.zeros((len(above), len(below)), int)
        for row in np.unique(above):
            for column in np.unique(below):
                block = np.ix_(above == row, below == column)
                array[block] = rng.integers(-1, 2)
                if (size := len(array[block])) == len(array[block].T):
                    array[block] += np.stack([np.roll(np.arange(size), place) for place in range(size)])
        return array

    def bias(label):
        return rng.integers(-1, 2, int(label.max()) + 1)[label]

    exact = np.vectorize(Fraction, otypes=[object])
    last = len(sizes) - 2
    return engine.Network(
        [
            engine.Dense(exact(weight(above, below)), exact(bias(above)), "square" if number < last else "identity")
            for number, (below, above) in enumerate(pairwise(labels))
        ],
        product="exact",
    )


def inputs(net, seed, batch=4):
    rng = np.random.default_rng([seed, 9])
    if net.vocabulary is not None:
        return rng.integers(net.vocabulary, size=(batch, 5))
    first = next(iter(net.layers.values()))
    if isinstance(first, engine.Conv2d):
        return rng.normal(size=(batch, 7, 7, first.inputs))
    if isinstance(first, engine.Dense) and not any(isinstance(each, engine.Attention) for each in net.layers.values()):
        return rng.normal(size=(batch, first.inputs))
    return rng.normal(size=(batch, 6, first.inputs))


def spaces(graph):
    return {space.name: space.units for space in graph.spaces}


def classes_left(graph):
    """How many units are in a class with another one."""
    return sum(len(each.units) for each in sb.diagnose(graph).classes)
