"""Layers over time in the tests: units that are literally equal, drawn from tables and looked for at every step."""

import numpy as np
import pytest
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._classes import axes_over
from symbreak.engine._products import PRODUCTS
from symbreak.testing import check_gradient
from tests.engine._networks import random_data
from tests.engine._optimizers import OPTIMIZERS

AWKWARD = [17, 33, 65, 100]  # widths at which BLAS rounds the units at the edge of its tiles otherwise
seeds = st.integers(0, 2**32)
widths = st.integers(1, 6) | st.sampled_from(AWKWARD)


class Tied:
    """Draws arrays whose slices are equal within the classes of each axis, and keeps the labels of each by its name.

    With a value it draws nothing: the arrays are constant.
    """

    def __init__(self, seed, dtype="float64", value=None):
        self.rng = np.random.default_rng(seed)
        self.dtype, self.value = dtype, value
        self.classes = {}

    def labels(self, size, kinds):
        return np.zeros(size, int) if self.value is not None else self.rng.integers(kinds, size=size)

    def __call__(self, name, *labels):
        self.classes[name] = labels
        table = self.rng.normal(size=[each.max() + 1 for each in labels]) / np.sqrt(len(labels[-1]))
        if self.value is not None:
            table = np.full_like(table, self.value)
        return table[np.ix_(*labels)].astype(self.dtype)


def unequal(arrays, classes):
    """Names of the arrays in which slices of one class differ; `classes` has labels for the last axes of each."""
    wrong = []
    for name, labels in classes.items():
        array = arrays[name]
        index = [np.arange(size) for size in array.shape[: array.ndim - len(labels)]]
        index += [np.unique(each, return_index=True)[1][np.unique(each, return_inverse=True)[1]] for each in labels]
        if not np.array_equal(array, array[np.ix_(*index)], equal_nan=array.dtype.kind == "f"):
            wrong.append(name)
    return wrong


def check_tied(net, x, y, parameters, signals, **settings):
    """Train, and assert at every step that parameters, gradients, activations and error signals are tied.

    `parameters` has the labels of each axis of each parameter, `signals` those of the units of each layer. A run that
    diverges is checked up to there.
    """
    steps = 0

    def check(step):
        nonlocal steps
        steps += 1
        found = step.gradients
        wrong = {
            "activations": unequal(found.activations, signals),
            "error signals": unequal(found.error_signals, signals),
            "gradients": unequal(found.parameters, parameters),
            "parameters": unequal(step.network.parameters, parameters),
        }
        assert not any(wrong.values()), f"at step {step.number} units of one class differ in {wrong}"

    assert not unequal(net.parameters, parameters), "units of one class differ at the start"
    assert parameters.keys() == net.parameters.keys(), "a parameter is not looked at"
    try:
        engine.train(net, x, y, callback=check, **settings)
    except engine.Diverged:
        assert steps > 0, "the first loss is not finite: nothing was tested"
    return steps


@st.composite
def runs(draw):
    """What a run takes beside the network: a loss, an optimizer, clipping, batches."""
    return {
        "loss": draw(st.sampled_from(["mse", "cross_entropy", "logistic"])),
        "optimizer": draw(st.sampled_from([*OPTIMIZERS.values()])),
        "steps": draw(st.integers(1, 6)),
        "clip": draw(st.sampled_from([None, engine.ClipNorm(0.1)])),
        "batch_size": draw(st.sampled_from([None, 1, 2])),
        "rng": draw(seeds),
    }


def sequences(batch, time, inputs, outputs, loss="mse", seed=0):
    """Inputs, (batch, time, inputs), and targets at each time that fit the loss."""
    x, y = random_data(batch * time, inputs, outputs, loss, seed=seed)
    return x.reshape(batch, time, inputs), y.reshape(batch, time, *y.shape[1:])


def check_layer(make, point, g, run):
    """Hold a layer's backward pass against its forward pass, at x and at every parameter.

    `make` builds the layer from a dict of parameters.
    """

    def parts(p):
        layer = make({name: array for name, array in p.items() if name != "x"})
        y, memory = layer.forward(p["x"], run)
        return y, layer.backward(g, memory, run)

    def gradient(p):
        back = parts(p)[1]
        return {"x": back.x} | back.parameters

    check_gradient(lambda p: (g * parts(p)[0]).sum(), gradient, point)


def check_network(net, x, y, **options):
    """Hold the gradients of a network against its loss."""
    start = {name: array.copy() for name, array in net.parameters.items()}

    def loss(p):
        for name, array in net.parameters.items():
            array[...] = p[name]
        return engine.gradients(net, x, y, **options).loss

    check_gradient(loss, engine.gradients(net, x, y, **options).parameters, start)


class Guarded(np.ndarray):
    """An array that refuses to be summed up, alone or in products, and makes what is computed from it refuse too."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        assert ufunc not in (np.matmul, np.vecdot), f"{ufunc.__name__} in place of run.product"
        assert (ufunc, method) != (np.add, "reduce"), "a sum in place of run.product"
        if out is not None:
            options["out"] = tuple(np.asarray(each) for each in out)
        found = getattr(ufunc, method)(*map(np.asarray, inputs), **options)
        return out[0] if out is not None else found.view(Guarded)

    def __array_function__(self, function, types, arguments, options):
        assert function not in (np.dot, np.einsum, np.inner, np.tensordot), f"{function} in place of run.product"
        found = super().__array_function__(function, types, arguments, options)
        return found.view(Guarded) if type(found) is np.ndarray else found  # `np.where` would drop the guard


def check_products(layer, x, product):
    """Hold a layer to forming all its sums of products through `run.product`, forwards and backwards.

    What BLAS makes of equal units depends on the machine; this does not.
    """
    run = engine.Run(lambda a, b: product(np.asarray(a), np.asarray(b)).view(Guarded))
    y, memory = layer.forward(x.view(Guarded), run)
    back = layer.backward(y, memory, run)
    weights = [
        gradient for part, gradient in back.parameters.items() if not part.endswith("bias")
    ]  # `summed` adds rows
    for array in (y, back.x, *weights):
        assert isinstance(array, Guarded), "not computed from what was guarded"
        for reduce in (np.sum, lambda a: a @ a.T, lambda a: np.einsum("...i->i", a)):
            with pytest.raises(AssertionError, match=r"in place of run\.product"):
                reduce(array)


def check_first(layer, x):
    """Hold a layer to leaving out the gradient at the inputs where nobody asks for it, and nothing else."""
    run = engine.Run(PRODUCTS["tie_preserving"])
    y, memory = layer.forward(x, run)
    asked, not_asked = (layer.backward(y, memory, run._replace(first=first)) for first in (False, True))
    assert asked.x.shape == x.shape
    assert not_asked.x is None
    np.testing.assert_array_equal(not_asked.error, asked.error)
    for part, gradient in asked.parameters.items():
        np.testing.assert_array_equal(not_asked.parameters[part], gradient)


def check_graph(net, x, without_effect=(), **orders):
    """Hold a graph to its word: units that are reordered in all arrays that run over their space change no output.

    But leaving out one of the arrays does, except for those `without_effect`. `orders` has orders other than a turn of
    all units by one, by the last part of the space's name; None leaves the space as it is.
    """
    graph, wanted = net.graph, net(x)
    start = {name: array.copy() for name, array in net.parameters.items()}
    turned = 0

    def outputs_with(arrays):
        for name, array in net.parameters.items():
            array[...] = arrays.get(name, start[name])
        return net(x)

    for space in graph.spaces:
        order = orders.get(space.name.split(".")[-1], np.roll(np.arange(space.units), 1))
        if space.name in (*graph.inputs, *graph.outputs) or order is None:
            continue
        moved = {}
        for name, axes in axes_over(graph, space.name).items():
            moved[name] = graph.arrays[name]
            for axis in axes:
                moved[name] = moved[name].take(order, axis)
        for name in moved.keys() - net.parameters.keys():  # a mask
            np.testing.assert_array_equal(moved.pop(name), graph.arrays[name])
        np.testing.assert_allclose(outputs_with(moved), wanted, rtol=1e-9, atol=1e-12, err_msg=space.name)
        for left in moved.keys() - set(without_effect):
            others = {name: array for name, array in moved.items() if name != left}
            assert abs(outputs_with(others) - wanted).max() > 1e-6, f"{left} has no part in {space.name}"
        turned += 1
    return turned
