"""What it means for units to be tied, as a check of a network at one moment, and of a whole run at every step."""

from collections import Counter
from itertools import pairwise

import numpy as np

from symbreak import engine


def hidden_layers(net):
    """Name of each hidden layer, and of the layer that reads it."""
    names = list(net.layers)
    return list(pairwise(names))


def one_class_a_layer(net):
    """The partition in which all units of each hidden layer are tied."""
    return {name: np.zeros(net.layers[name].units, int) for name, _ in hidden_layers(net)}


def differences(net, classes, found=None):
    """What differs, to the bit, between units of one class: an empty list where all classes are tied.

    `classes` has the label of each unit of each hidden layer. `found` are the gradients of one batch.
    """
    wrong = []
    for name, above in hidden_layers(net):
        parameters = net.parameters
        parts = {
            "incoming weights": parameters[f"{name}.weight"],
            "bias": parameters.get(f"{name}.bias"),
            "outgoing weights": parameters[f"{above}.weight"].T,
        }
        if found is not None:
            parts |= {
                "activations": found.activations[name].T,
                "error signals": found.error_signals[name].T,
                "gradient of the incoming weights": found[f"{name}.weight"],
                "gradient of the bias": found.parameters.get(f"{name}.bias"),
                "gradient of the outgoing weights": found[f"{above}.weight"].T,
            }
        for label in np.unique(classes[name]):
            members = classes[name] == label
            for what, units in parts.items():
                if units is not None:
                    first = units[members][:1]
                    if not np.array_equal(units[members], np.repeat(first, members.sum(), axis=0), equal_nan=True):
                        wrong.append(f"{what} of {name}")
    return wrong


def check_run(net, x, y, classes, *, differences=differences, **settings):
    """Train, and assert that the classes are tied at the start and at every step; returns how many steps were checked.

    `differences` lists what differs, of a network, its classes, and the gradients of a batch if given. A run that
    diverges is checked up to there: tied units run away together.
    """
    steps = 0

    def check(step):
        nonlocal steps
        steps += 1
        wrong = differences(net, classes, step.gradients)
        assert not wrong, f"at step {step.number} units of one class differ in: {', '.join(wrong)}"

    wrong = differences(net, classes)
    assert not wrong, f"at the start units of one class differ in: {', '.join(wrong)}"
    try:
        engine.train(net, x, y, callback=check, **settings)
    except engine.Diverged:
        assert steps > 0, "the first loss is not finite: nothing was tested"
    return steps


def tied_units(net):
    """Pairs of hidden units that read, hold and write the same to the bit: how many there are in each layer."""
    pairs = {}
    for name, above in hidden_layers(net):
        parts = [net.parameters[f"{name}.weight"], net.parameters[f"{above}.weight"].T]
        if f"{name}.bias" in net.parameters:
            parts.append(net.parameters[f"{name}.bias"][:, np.newaxis])
        units = np.concatenate(parts, axis=1) + 0.0  # makes -0.0, which equals 0.0, into it
        pairs[name] = sum(count * (count - 1) // 2 for count in Counter(unit.tobytes() for unit in units).values())
    return pairs
