"""A convolution is the sum over windows that it says, and its backward pass is the gradient of its forward pass."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._products import PRODUCTS
from symbreak.errors import UnknownName
from symbreak.testing import check_gradient
from tests.engine._networks import in_torch
from tests.engine._optimizers import OPTIMIZERS
from tests.engine._spaces import RUN, check_run, loss_and_gradients

CONVOLUTIONS = {1: engine.Conv1d, 2: engine.Conv2d}
ACTIVATIONS = ["identity", "tanh", "square", "gelu"]
small = st.integers(1, 3)
seeds = st.integers(0, 2**32)


@st.composite
def convolutions(draw):
    """Shapes of x and of a weight, and the settings of a layer that reads x by it."""
    axes = draw(st.sampled_from([1, 2]))
    positions = [draw(st.integers(1, 6)) for _ in range(axes)]
    sizes = [draw(small) for _ in range(axes)]
    several = st.lists(small, min_size=axes, max_size=axes).map(tuple)
    paddings = st.lists(st.integers(0, 2), min_size=axes, max_size=axes).map(tuple)
    settings = {
        "stride": draw(small | several),
        "padding": draw(st.integers(0, 2) | paddings | st.sampled_from(["valid", "same"])),
        "groups": draw(small),
    }
    if settings["padding"] == "valid" or not np.any(settings["padding"]):
        positions = [max(pair) for pair in zip(positions, sizes, strict=True)]
    elif settings["padding"] != "same":
        around = np.broadcast_to(settings["padding"], axes)
        positions = [max(n, k - 2 * p) for n, k, p in zip(positions, sizes, around, strict=True)]
    inputs, units = draw(small), draw(small) * settings["groups"]
    return (draw(small), *positions, inputs * settings["groups"]), (units, inputs, *sizes), settings


def random_layer(weight_shape, seed=0, *, bias=True, activation="identity", **settings):
    rng = np.random.default_rng(seed)
    weight, offset = rng.normal(size=weight_shape), rng.normal(size=weight_shape[0])
    return CONVOLUTIONS[len(weight_shape) - 2](weight, offset if bias else None, activation, **settings)


def margins(positions, sizes, stride, padding):
    """How many zeros come before and after, axis by axis, as TensorFlow's guide defines SAME."""
    found = []
    for axis, (n, size) in enumerate(zip(positions, sizes, strict=True)):
        step = np.broadcast_to(stride, len(sizes))[axis]
        if padding == "same":
            needed = max(size - step if n % step == 0 else size - n % step, 0)
            found.append((needed // 2, needed - needed // 2))
        else:
            found.append((0, 0) if padding == "valid" else (np.broadcast_to(padding, len(sizes))[axis],) * 2)
    return found


def slow_convolution(x, weight, bias, stride, padding, groups):
    """The sum, number by number."""
    batch, *positions, _ = x.shape
    units, of_group, *sizes = weight.shape
    around = margins(positions, sizes, stride, padding)
    steps = np.broadcast_to(stride, len(sizes))
    counts = [(n + sum(m) - k) // s + 1 for n, m, k, s in zip(positions, around, sizes, steps, strict=True)]
    y = np.zeros((batch, *counts, units))
    for n, *where, unit in np.ndindex(y.shape):
        total = bias[unit]
        for i, *place in np.ndindex(of_group, *sizes):
            at = [w * s + p - m[0] for w, s, p, m in zip(where, steps, place, around, strict=True)]
            if all(0 <= a < size for a, size in zip(at, positions, strict=True)):
                total += weight[(unit, i, *place)] * x[(n, *at, unit // (units // groups) * of_group + i)]
        y[(n, *where, unit)] = total
    return y


@given(case=convolutions(), seed=seeds)
def test_a_convolution_sums_what_each_unit_reads_in_each_window(case, seed):
    x_shape, weight_shape, settings = case
    layer = random_layer(weight_shape, seed, **settings)
    x = np.random.default_rng([seed, 1]).normal(size=x_shape)
    y, _ = layer.forward(x, RUN)
    slow = slow_convolution(x, *layer.parameters.values(), **settings)
    assert y.shape == slow.shape == (x_shape[0], *layer.shape(x_shape[1:]))
    np.testing.assert_allclose(y, slow, rtol=1e-12, atol=1e-12)
    if settings["padding"] == "same":
        steps = np.broadcast_to(settings["stride"], len(x_shape) - 2)
        assert y.shape[1:-1] == tuple(-(-n // s) for n, s in zip(x_shape[1:-1], steps, strict=True))


@pytest.mark.parametrize("product", ["tie_preserving", "blas"])
@given(case=convolutions(), activation=st.sampled_from(ACTIVATIONS), bias=st.booleans(), seed=seeds)
def test_backward_is_the_gradient_of_forward(product, case, activation, bias, seed):
    x_shape, weight_shape, settings = case
    rng = np.random.default_rng(seed)
    run = engine.Run(PRODUCTS[product])
    point = {"x": rng.normal(size=x_shape), "weight": rng.normal(size=weight_shape)}
    if bias:
        point["bias"] = rng.normal(size=weight_shape[0])

    def layer(p):
        return CONVOLUTIONS[len(x_shape) - 2](p["weight"], p.get("bias"), activation, **settings)

    g = rng.normal(size=layer(point).forward(point["x"], run)[0].shape)

    def gradient(p):
        _, memory = layer(p).forward(p["x"], run)
        back = layer(p).backward(g, memory, run)
        return {"x": back.x} | back.parameters

    largest = abs(layer(point).forward(point["x"], run)[0]).max()
    check_gradient(
        lambda p: (g * layer(p).forward(p["x"], run)[0]).sum(),
        gradient,
        point,
        rounding=1e-15 * abs(g).sum() * max(1, largest),
    )


@given(case=convolutions(), activation=st.sampled_from(ACTIVATIONS), seed=seeds)
def test_gradients_are_those_of_torch(case, activation, seed):
    torch = pytest.importorskip("torch")
    x_shape, weight_shape, settings = case
    axes = len(x_shape) - 2
    rng = np.random.default_rng(seed)
    layer = random_layer(weight_shape, seed, activation=activation, **settings)
    x = rng.normal(size=x_shape)
    y, memory = layer.forward(x, RUN)
    g = rng.normal(size=y.shape)
    back = layer.backward(g, memory, RUN)

    around = margins(x_shape[1:-1], weight_shape[2:], settings["stride"], settings["padding"])
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in {"x": x, **layer.parameters}.items()}
    padded = torch.nn.functional.pad(tensors["x"].movedim(-1, 1), [n for pair in around[::-1] for n in pair])
    convolve = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d}[axes]
    z = convolve(padded, tensors["weight"], tensors["bias"], settings["stride"], groups=settings["groups"])
    z.retain_grad()
    value = in_torch(activation)(z)
    value.backward(torch.tensor(np.moveaxis(g, -1, 1)))
    np.testing.assert_allclose(y, value.detach().movedim(1, -1).numpy(), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(back.error, z.grad.movedim(1, -1).numpy(), rtol=1e-10, atol=1e-10)
    for name, gradient in {"x": back.x, **back.parameters}.items():
        np.testing.assert_allclose(gradient, tensors[name].grad.numpy(), rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch: slower, not otherwise
def test_padding_that_is_called_same_is_that_of_torch():
    torch = pytest.importorskip("torch")
    for sizes in itertools.product([1, 2, 3, 4], repeat=2):
        layer = random_layer((2, 3, *sizes), padding="same")
        x = np.random.default_rng(1).normal(size=(2, 5, 4, 3))
        weight, bias = (torch.tensor(array) for array in layer.parameters.values())
        y = torch.nn.functional.conv2d(torch.tensor(x).movedim(-1, 1), weight, bias, padding="same")
        np.testing.assert_allclose(layer.forward(x, RUN)[0], y.movedim(1, -1).numpy(), atol=1e-12)


def test_the_first_layer_of_a_network_is_spared_the_gradient_at_its_input():
    layer = random_layer((2, 3, 2))
    y, memory = layer.forward(np.ones((1, 4, 3)), RUN)
    assert layer.backward(y, memory, RUN._replace(first=True)).x is None


def residual(product="tie_preserving", seed=0):
    """Convolutions with a branch: what the stem writes is read twice."""
    body = random_layer((4, 2, 3, 3), seed + 1, activation="tanh", padding="same", groups=2)
    layers = {
        "stem": random_layer((4, 2, 2, 2), seed, activation="tanh", stride=(1, 2), padding=(1, 0)),
        "body": body,
        "sum": (engine.Add(), "stem", "body"),
        "again": body,
        "end": random_layer((3, 4, 2, 1), seed + 2),
    }
    return engine.Network(layers, product=product)


@pytest.mark.parametrize("seed", range(5))
def test_gradients_are_the_slopes_of_the_loss_where_values_and_layers_are_used_twice(seed):
    net = residual(seed=seed)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 3, 6, 2))
    y = rng.normal(size=net(x).shape)
    assert y.shape == (3, 3, 3, 3)
    check_gradient(*loss_and_gradients(net, x, y), net.parameters)


# Ties.


@st.composite
def tied_networks(draw, classes=None):
    """Two convolutions and a dense layer, with the classes of their units; the second may be in groups.

    Units are equal slice by slice, and those of different groups are in no class together.
    """
    axes = draw(st.sampled_from([1, 2]))
    groups = draw(st.sampled_from([1, 1, 2]))
    widths = [draw(st.integers(1, 4) | st.sampled_from(AWKWARD)) for _ in range(2)]
    widths = [-(-width // groups) * groups for width in widths]
    kinds = 1 if draw(st.booleans()) else draw(st.integers(1, 3))
    seed, dtype = draw(seeds), draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(seed)
    inputs, outputs = draw(small), draw(st.integers(2, 3))
    labels = [np.arange(inputs)]
    for width in widths:
        of_group = np.arange(width) * groups // width
        labels.append(of_group * kinds + rng.integers(kinds, size=width))
    labels.append(np.arange(outputs))

    def weight(above, below, *sizes):
        table = rng.normal(size=(above.max() + 1, below.max() + 1, *sizes)) / np.sqrt(len(below))
        return table[above][:, below].astype(dtype)

    def bias(above):
        return rng.normal(size=above.max() + 1)[above].astype(dtype)

    def convolution(above, below, groups=1):
        sizes = [draw(small) for _ in range(axes)]
        settings = {"stride": draw(st.integers(1, 2)), "padding": draw(st.sampled_from(["same", 1])), "groups": groups}
        parts = [
            weight(above[rows], below[columns], *sizes)
            for rows, columns in zip(
                np.split(np.arange(len(above)), groups), np.split(np.arange(len(below)), groups), strict=True
            )
        ]
        return CONVOLUTIONS[axes](
            np.concatenate(parts), bias(above), draw(st.sampled_from(["tanh", "relu"])), **settings
        )

    layers = [convolution(labels[1], labels[0]), convolution(labels[2], labels[1], groups)]
    x = rng.normal(size=(draw(st.integers(1, 4)), *(draw(st.integers(3, 6)) for _ in range(axes)), inputs))
    net = engine.Network([*layers, engine.Dense(weight(labels[3], labels[2]), bias(labels[3]))])
    return net, x, {"layers.0": labels[1], "layers.1": labels[2]}


AWKWARD = [17, 33, 65, 100]  # widths at which BLAS rounds the units at the edge of its tiles otherwise
runs = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(list(OPTIMIZERS.values())),
        "loss": st.sampled_from(["mse", "cross_entropy", "logistic"]),
        "steps": st.integers(1, 6),
        "batch_size": st.sampled_from([None, 1, 2]),
    }
)


@given(problem=tied_networks(), settings=runs)
def test_units_that_read_hold_and_write_the_same_stay_tied_at_every_step(problem, settings):
    net, x, classes = problem
    rng = np.random.default_rng(len(x))
    *places, outputs = net(x).shape
    labels = rng.integers(2, size=places)
    y = {
        "mse": rng.normal(size=(*places, outputs)),
        "cross_entropy": labels,
        "logistic": np.eye(outputs)[labels],
    }[settings["loss"]]
    settings["batch_size"] = min(settings["batch_size"] or len(x), len(x))
    check_run(net, x, y, classes, **settings)


@pytest.mark.parametrize("groups", [1, 2, 34])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_constant_start_stays_tied_to_the_last_bit_in_groups_too(groups, optimizer):
    """Units of different groups read different inputs; these are tied, so that the units are."""
    net = engine.Network(
        [
            engine.Conv2d(np.full((34, 1, 2, 2), 0.3), np.zeros(34), "tanh"),
            engine.Conv2d(np.full((34, 34 // groups, 3, 3), 0.05), np.zeros(34), "tanh", groups=groups, padding=1),
            engine.Dense(np.full((1, 34), 0.1)),
        ]
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 5, 4, 1)), rng.normal(size=(4, 4, 3, 1))
    steps = []

    def check(step):
        steps.append(step.number)
        for name in ("layers.0", "layers.1"):
            for signals in (step.gradients.activations, step.gradients.error_signals):
                assert np.array_equal(signals[name], np.repeat(signals[name][..., :1], 34, axis=-1)), name
            for array in (net.parameters[f"{name}.weight"], net.parameters[f"{name}.bias"]):
                assert np.array_equal(array, np.repeat(array[:1], 34, axis=0)), name

    engine.train(net, x, y, optimizer=OPTIMIZERS[optimizer], steps=10, callback=check)
    assert steps == list(range(10))
    assert abs(net.parameters["layers.1.weight"] - 0.05).min() > 1e-6, "nothing was trained"


def test_no_two_units_of_a_random_start_become_equal():
    net = residual()
    x = np.random.default_rng(0).normal(size=(3, 3, 6, 2))
    y = np.random.default_rng(1).normal(size=net(x).shape)
    engine.train(net, x, y, optimizer=engine.Adam(0.01), steps=30)
    for name, array in net.parameters.items():
        assert len(np.unique(array, axis=0)) == len(array), name


# Exact numbers.


def exactly(values, kind):
    array = np.empty(np.shape(values), object)
    for index in np.ndindex(array.shape):
        array[index] = kind(np.asarray(values)[index].item())
    return array


EQUAL_SUMS = np.array([[[0, 2, 4], [3, 2, 1], [3, 2, 1]], [[1, 2, 3], [3, 1, 2], [2, 3, 1]]])  # (width, units, inputs)


def equitable_network(kind, spoil=None):
    """Three units, then three more; those of the middle weight have equal sums at each place, not equal weights."""
    middle = np.moveaxis(EQUAL_SUMS, 0, -1).copy()
    if spoil:
        middle[spoil] += 1
    first = np.broadcast_to([[1, 2]], (3, 1, 2))
    end = np.broadcast_to([[[5, -1]]], (1, 3, 2))
    layers = [
        engine.Conv1d(exactly(first, kind), exactly(np.ones(3), kind), "square", padding=1),
        engine.Conv1d(exactly(middle, kind), exactly([2, 2, 2], kind), "square", stride=2, padding="same"),
        engine.Conv1d(exactly(end, kind)),
    ]
    return engine.Network(layers, product="exact")


def unequal_sums(net, found):
    """Which sums of weights, place by place, and which signals differ among the three units."""
    parts = {
        "incoming": net.parameters["layers.1.weight"].sum(axis=1),
        "outgoing": net.parameters["layers.1.weight"].sum(axis=0),
        "first": net.parameters["layers.0.weight"],
        "last": net.parameters["layers.2.weight"][0],
    }
    for name in ("layers.0", "layers.1"):
        parts[f"activations of {name}"] = np.moveaxis(found.activations[name], -1, 0)
        parts[f"errors of {name}"] = np.moveaxis(found.error_signals[name], -1, 0)
    return [what for what, units in parts.items() if (units != units[:1]).any()]


@pytest.mark.parametrize(("kind", "steps"), [(engine.Residue, 60), (Fraction, 1)])
@pytest.mark.parametrize("optimizer", ["SGD", "Momentum"])
def test_equal_sums_keep_units_tied_without_rounding(kind, steps, optimizer):
    net = equitable_network(kind)
    seen = []

    def check(step):
        seen.append(step.number)
        assert unequal_sums(net, step.gradients) == []
        middle = net.parameters["layers.1.weight"]
        assert (middle != middle[:1]).any()
        assert {type(number) for number in middle.flat} == {kind}

    x, y = np.array([[[1], [2], [-1], [3]]]), np.array([[[1], [0]]])
    engine.train(net, x, y, optimizer=OPTIMIZERS_EXACT[optimizer], steps=steps, callback=check)
    assert seen == list(range(steps))


OPTIMIZERS_EXACT = {"SGD": engine.SGD(0.25), "Momentum": engine.Momentum(0.25, momentum=0.5)}


def test_a_place_where_the_sums_differ_is_seen():
    net = equitable_network(engine.Residue, spoil=(1, 0, 1))
    found = engine.gradients(net, np.array([[[1], [2], [-1], [3]]]), np.array([[[1], [0]]]))
    assert {"incoming", "outgoing", "activations of layers.1"} <= set(unequal_sums(net, found))


@given(case=convolutions(), seed=seeds)
def test_fractions_are_computed_as_floats_are_but_for_rounding(case, seed):
    x_shape, weight_shape, settings = case
    assume(np.prod(x_shape) * np.prod(weight_shape) < 2000)
    rng = np.random.default_rng(seed)
    x, weight = rng.integers(-4, 5, x_shape) / 4, rng.integers(-4, 5, weight_shape) / 4
    found = []
    for kind, run in ((Fraction, engine.Run(PRODUCTS["exact"])), (float, RUN)):
        make = exactly if kind is Fraction else np.asarray
        arrays = [make(values, kind) for values in (x, weight)]
        layer = CONVOLUTIONS[len(x_shape) - 2](arrays[1], None, "square", **settings)
        y, memory = layer.forward(arrays[0], run)
        back = layer.backward(y, memory, run)
        found.append([np.asarray(array, float) for array in (y, back.x, back.error, back.parameters["weight"])])
    for exact, rounded in zip(*found, strict=True):
        np.testing.assert_allclose(rounded, exact, rtol=1e-12)


# Graphs.


@pytest.mark.parametrize("axes", [1, 2])
def test_the_graph_names_the_kernels_places(axes):
    sizes = (3, 2)[:axes]
    layers = [random_layer((4, 2, *sizes), activation="tanh"), random_layer((3, 4, *sizes), 1, bias=False)]
    net = engine.Network(layers)
    graph = net.graph
    assert [(space.name, space.units, space.activation) for space in graph.spaces] == [
        ("input", 2, "identity"),
        ("layers.0", 4, "tanh"),
        ("output", 3, "identity"),
    ]
    receptive = [("receptive", None)] * axes
    assert [weight.axes for weight in graph.connections] == [
        (("out", "layers.0"), ("in", "input"), *receptive),
        (("out", "output"), ("in", "layers.0"), *receptive),
    ]
    assert [(each.name, each.space, each.kind) for each in graph.per_unit] == [("layers.0.bias", "layers.0", "bias")]
    assert graph.arrays.keys() == net.parameters.keys()
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(graph.arrays[name], array)


def test_the_graph_writes_groups_out_and_says_where_they_cannot_read():
    grouped = random_layer((4, 3, 2), groups=2)
    graph = engine.Network([grouped]).graph
    assert [(weight.name, weight.axes) for weight in graph.connections] == [
        ("layers.0.mask", (("out", "output"), ("in", "input"))),
        ("layers.0.weight", (("out", "output"), ("in", "input"), ("receptive", None))),
    ]
    np.testing.assert_array_equal(graph.weights["layers.0.mask"], np.kron(np.eye(2), np.ones((2, 3))))
    assert not graph.weights["layers.0.weight"][graph.weights["layers.0.mask"] == 0].any()
    wide = engine.Conv1d(graph.weights["layers.0.weight"], grouped.parameters["bias"])
    x = np.random.default_rng(0).normal(size=(2, 5, 6))
    np.testing.assert_allclose(wide.forward(x, RUN)[0], grouped.forward(x, RUN)[0], rtol=1e-12)


# What is refused, and how layers show themselves.

W1, W2 = np.ones((4, 2, 3)), np.ones((4, 2, 3, 3))
BAD = {
    "a list": (engine.Conv1d, ([[[1.0]]],), {}, TypeError, "a weight must be a NumPy array, not a list"),
    "a weight of a dense layer": (
        engine.Conv1d, (np.ones((3, 2)),), {}, ValueError,
        r"a Conv1d has 3 axes, \(units, inputs, width\), of 1 or more; got \(3, 2\)",
    ),
    "a weight of a Conv1d": (
        engine.Conv2d, (W1,), {}, ValueError,
        r"a Conv2d has 4 axes, \(units, inputs, height, width\), of 1 or more; got \(4, 2, 3\)",
    ),
    "no width": (engine.Conv1d, (np.ones((4, 2, 0)),), {}, ValueError, r"of 1 or more; got \(4, 2, 0\)"),
    "a bias of the inputs": (engine.Conv1d, (W1, np.ones(2)), {}, ValueError, r"a bias of shape \(4,\), not \(2,\)"),
    "two dtypes": (engine.Conv1d, (W1, np.ones(4, "float32")), {}, TypeError, "give both one dtype"),
    "a misspelt activation": (engine.Conv1d, (W1, None, "than"), {}, UnknownName, "did you mean 'tanh'"),
    "an activation of exact numbers": (
        engine.Conv1d, (exactly(W1, Fraction), None, "tanh"), {}, TypeError, "needs a polynomial",
    ),
    "a stride of 0": (
        engine.Conv1d, (W1,), {"stride": 0}, ValueError, "a stride must be a whole number, 1 or more; got 0",
    ),
    "three strides": (
        engine.Conv2d, (W2,), {"stride": (1, 1, 1)}, ValueError,
        r"a stride must be a whole number, 1 or more, or 2 of them, \(height, width\); got \(1, 1, 1\)",
    ),
    "half a stride": (engine.Conv2d, (W2,), {"stride": (1, 0.5)}, ValueError, r"got \(1, 0.5\)"),
    "True for a stride": (engine.Conv2d, (W2,), {"stride": True}, ValueError, "got True"),
    "a padding below 0": (
        engine.Conv2d, (W2,), {"padding": -1}, ValueError, "a padding must be a whole number, 0 or more, .* got -1",
    ),
    "a padding misspelt": (
        engine.Conv2d, (W2,), {"padding": "full"}, ValueError, "a number, 0 or more, 'valid' or 'same'; got 'full'",
    ),
    "no groups": (engine.Conv1d, (W1,), {"groups": 0}, ValueError, "`groups` must be a whole number, 1 or more; got 0"),
    "groups that are not equal": (
        engine.Conv1d, (W1,), {"groups": 3}, ValueError,
        r"4 units, of a weight of shape \(4, 2, 3\), make no 3 equal groups",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_parameters_that_make_no_sense_are_refused(case):
    kind, arguments, settings, error, message = BAD[case]
    with pytest.raises(error, match=message):
        kind(*arguments, **settings)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (2, 5, 2),
            r"'layers.0', Conv2d\(.*\), can't read .*: it reads \(batch, height, width, 2\), not \('batch', 5, 2\)",
        ),
        ((2, 5, 5, 3), r"it reads \(batch, height, width, 2\), not \('batch', 5, 5, 3\)"),
        ((2, 2, 5, 2), "a window of 3x3 has no room in 2x5 positions$"),
    ],
)
def test_inputs_without_the_positions_that_it_reads_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        engine.Network([engine.Conv2d(W2)])(np.ones(shape))


def test_padding_counts_where_there_is_no_room():
    with pytest.raises(ValueError, match="a window of 3x3 has no room in 6x2 positions, padding included"):
        engine.Network([engine.Conv2d(W2, padding=(1, 0))])(np.ones((1, 4, 2, 2)))


def test_sizes_that_don_t_meet_are_refused():
    with pytest.raises(ValueError, match=r"'layers.0' writes 4 units, but 'layers.1' reads 6"):
        engine.Network([engine.Conv1d(W1), engine.Conv1d(np.ones((2, 3, 1)), groups=2)])


def test_a_convolution_says_what_it_is():
    assert repr(engine.Conv1d(W1, np.ones(4), "relu")) == "Conv1d(2 -> 4, 3, relu)"
    settings = {"stride": (1, 2), "padding": "same", "groups": 2}
    assert repr(engine.Conv2d(W2, **settings)) == (
        "Conv2d(4 -> 4, 3x3, stride 1x2, padding same, 2 groups, identity, no bias)"
    )


def test_a_convolution_owns_its_parameters():
    weight = np.ones((1, 1, 2))
    layer = engine.Conv1d(weight)
    layer.parameters["weight"] += 1
    np.testing.assert_array_equal(weight, np.ones((1, 1, 2)))
