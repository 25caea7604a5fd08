"""Ties in networks with branches, by the spaces of their graphs; and residual networks to look for them in."""

from functools import partial

import numpy as np

from symbreak import engine
from tests.engine import _tied


def slices(net):
    """For each space of a network's graph, what the units read, hold and write: name -> array, units along axis 0."""
    graph = net.graph
    found = {space.name: {} for space in graph.spaces}
    for item in (*graph.connections, *graph.per_unit):
        for number, axis in enumerate(item.axes):
            if axis.space is not None:
                key = f"{item.name} ({axis.role})" if hasattr(item, "uses") else item.name
                found[axis.space][key] = np.moveaxis(item.array, number, 0)
    return found


def classes_of(net):
    """Label the units of each hidden space: equal labels where all slices are equal to the bit."""
    labels = {}
    for space, parts in slices(net).items():
        if space not in ("input", "output"):
            units = np.concatenate([array.reshape(len(array), -1) for array in parts.values()], axis=1) + 0.0
            seen = {}
            labels[space] = [seen.setdefault(unit.tobytes(), len(seen)) for unit in units]
    return labels


def differences(net, labels, found=None):
    """What differs, to the bit, between units of one class: an empty list where all classes are tied.

    `labels` has those of each space that is looked at. `found` are the gradients of one batch; the activations and
    error signals of a layer are looked at where its name is that of a space.
    """
    wrong = []
    for space, parts in slices(net).items():
        if space not in labels:
            continue
        parts = dict(parts)
        if found is not None:
            axes = {f"{name} (gradient)": value for name, value in _gradients(net, found, space).items()}
            signals = {"activations": found.activations[space], "error signals": found.error_signals[space]}
            parts |= axes | {what: np.moveaxis(array, -1, 0) for what, array in signals.items()}
        for what, units in parts.items():
            for label in np.unique(labels[space]):
                members = units[labels[space] == label]
                if not np.array_equal(members, np.broadcast_to(members[:1], members.shape), equal_nan=True):
                    wrong.append(f"{what} of {space}")
                    break
    return wrong


def _gradients(net, found, space):
    """The gradients of what belongs to a space, its units along axis 0."""
    graph = net.graph
    return {
        f"{item.name} {axis.role}": np.moveaxis(found[item.name], number, 0)
        for item in (*graph.connections, *graph.per_unit)
        if item.name in found.parameters
        for number, axis in enumerate(item.axes)
        if axis.space == space
    }


check_run = partial(_tied.check_run, differences=differences)


def residual_network(
    order, norm, sizes, *, seed=0, activation="tanh", dtype="float64", product="tie_preserving", labels=None,
    constant=None, after=None,
):  # fmt: skip
    """A stream, a block that is added to it, and a norm before the block (`"pre"`) or after the sum (`"post"`).

    `sizes` are those of the input, the stream, the block and the output. `labels` has classes of the spaces `"embed"`
    (the stream) and `"up"` (the block), whose units are copies of one; `constant` fills every weight with one value.
    `after` maps the name of a layer to one that stands right after it.
    """
    rng = np.random.default_rng(seed)
    inputs, stream, hidden, outputs = sizes
    of = {"input": np.arange(inputs), "embed": np.arange(stream), "up": np.arange(hidden), "head": np.arange(outputs)}
    of |= labels or {}

    def drawn(*spaces):
        table = rng.normal(size=[of[space].max() + 1 for space in spaces]) / np.sqrt(len(of[spaces[-1]]))
        array = table[np.ix_(*(of[space] for space in spaces))] if constant is None else np.full(table.shape, constant)
        return (array if constant is None else np.full([len(of[s]) for s in spaces], constant)).astype(dtype)

    def dense(space, below, function="identity"):
        return engine.Dense(drawn(space, below), drawn(space), function)

    embed, up, down = dense("embed", "input", "tanh"), dense("up", "embed", activation), dense("embed", "up")
    normed = norm({"scale": 1 + drawn("embed"), "shift": drawn("embed")})
    head = dense("head", "embed")
    rows = {"embed": (embed, "input")}
    if order == "pre":
        rows |= {"norm": (normed, "embed"), "up": (up, "norm"), "down": (down, "up")}
        rows |= {"sum": (engine.Add(), "embed", "down"), "head": (head, "sum")}
    else:
        rows |= {"up": (up, "embed"), "down": (down, "up"), "sum": (engine.Add(), "embed", "down")}
        rows |= {"norm": (normed, "sum"), "head": (head, "norm")}
    return engine.Network(_with(rows, after or {}), product=product)


def _with(rows, after):
    """Put layers in behind others, and let what read those read them."""
    result = {}
    for name, (layer, *sources) in rows.items():
        result[name] = (layer, *(f"{source}.after" if source in after else source for source in sources))
        if name in after:
            result[f"{name}.after"] = (after[name], name)
    return result
