"""Norms are the statistics that they say, their backward passes are gradients, and what is tied stays tied."""

import contextlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._losses import LOSSES
from symbreak.engine._products import PRODUCTS
from symbreak.testing import check_gradient
from tests.engine._networks import in_torch, loss_in_torch, random_data
from tests.engine._optimizers import OPTIMIZERS
from tests.engine._units import check_run, classes_of, differences
from tests.engine._units import residual_network as residual

RUN = engine.Run(PRODUCTS["tie_preserving"])
REST = RUN._replace(training=False)
NORMS = {
    "layer": lambda p, **options: engine.LayerNorm(p["scale"], p["shift"], **options),
    "layer without shift": lambda p, **options: engine.LayerNorm(p["scale"], **options),
    "rms": lambda p, **options: engine.RMSNorm(p["scale"], **options),
    "batch": lambda p, **options: engine.BatchNorm(p["scale"], p["shift"], **options),
}
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).flatmap(
    lambda first: st.integers(1, 5).map(lambda units: (*first, units))
)
seeds = st.integers(0, 2**32)


def random_point(shape, seed):
    rng = np.random.default_rng(seed)
    size = shape[-1]
    return {"x": rng.normal(size=shape), "scale": rng.normal(size=size), "shift": rng.normal(size=size)}, rng


@given(shape=shapes, eps=st.sampled_from([1e-5, 0.1]), seed=seeds)
def test_norms_are_what_a_slow_loop_makes_of_their_formulas(shape, eps, seed):
    point, _ = random_point(shape, seed)
    x, scale, shift = point["x"], point["scale"], point["shift"]
    for where in np.ndindex(shape[:-1]):
        units = x[where]
        mean = sum(units) / len(units)
        variance = sum((u - mean) ** 2 for u in units) / len(units)
        square = sum(u**2 for u in units) / len(units)
        for j, u in enumerate(units):
            a = (u - mean) / np.sqrt(variance + eps)
            wanted = {"layer": a * scale[j] + shift[j], "layer without shift": a * scale[j]}
            wanted["rms"] = u / np.sqrt(square + eps) * scale[j]
            for norm, value in wanted.items():
                y, _ = NORMS[norm](point, eps=eps).forward(x, RUN)
                assert y[where][j] == pytest.approx(value, rel=1e-11, abs=1e-11), norm
    if x[..., 0].size > 1:
        y, _ = engine.BatchNorm(scale, shift, eps=eps).forward(x, RUN)
        for j in range(shape[-1]):
            values = x[..., j].ravel().tolist()
            mean = sum(values) / len(values)
            variance = sum((value - mean) ** 2 for value in values) / len(values)
            wanted = (x[..., j] - mean) / np.sqrt(variance + eps) * scale[j] + shift[j]
            np.testing.assert_allclose(y[..., j], wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("training", [True, False])
@given(shape=shapes, seed=seeds)
def test_backward_is_the_gradient_of_forward(norm, training, shape, seed):
    point, rng = random_point(shape, seed)
    assume(norm != "batch" or point["x"][..., 0].size > 1)
    g = rng.normal(size=shape)
    run = RUN._replace(training=training)
    kept = {"mean": rng.normal(size=shape[-1]), "variance": rng.uniform(0.5, 2, size=shape[-1])}
    point = {"x": point["x"]} | {name: point[name] for name in NORMS[norm](point).parameters}

    def layer(p):
        made = NORMS[norm](p, eps=0.1)  # the slope of a norm of nearly equal units is as large as 1 / sqrt(eps)
        for name, array in made.buffers.items():
            array[...] = kept[name]
        return made

    def gradient(p):
        _, memory = layer(p).forward(p["x"], run)
        back = layer(p).backward(g, memory, run)
        np.testing.assert_array_equal(back.error, g)
        return {"x": back.x} | back.parameters

    check_gradient(lambda p: (g * layer(p).forward(p["x"], run)[0]).sum(), gradient, point)


RESIDUAL = ["pre", "post"]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("order", RESIDUAL)
@settings(max_examples=max(settings().max_examples // 2, 1))
@given(
    loss=st.sampled_from(sorted(LOSSES)), sizes=st.tuples(*[st.integers(2, 5)] * 3), batch=st.integers(2, 5), seed=seeds
)
def test_gradients_of_a_residual_block_are_the_slopes_of_its_loss(norm, order, loss, sizes, batch, seed):
    """The stream is read twice, by the block and by the sum; the norms stand before the block, or after the sum."""
    inputs, stream, hidden = sizes

    def build():
        return residual(order, lambda p: NORMS[norm](p, eps=0.1), (inputs, stream, hidden, 3), seed=seed)

    net = build()
    x, y = random_data(batch, inputs, 3, loss, seed=seed)
    found = engine.gradients(net, x, y, loss=loss)

    def value(parameters):
        other = build()
        for name, array in other.parameters.items():
            array[...] = parameters[name]
        return engine.gradients(other, x, y, loss=loss).loss

    check_gradient(value, found.parameters, net.parameters, rounding=1e-14)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("order", RESIDUAL)
@pytest.mark.parametrize("positions", [(), (4,)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("product", ["tie_preserving", "blas"])
def test_gradients_of_a_residual_block_are_those_of_torch(norm, order, positions, dtype, product):
    torch = pytest.importorskip("torch")
    net = residual(order, NORMS[norm], (5, 6, 7, 3), seed=3, dtype=dtype, product=product)
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(6, *positions, 5)), rng.normal(size=(6, *positions, 3))
    p = {name: torch.tensor(array, requires_grad=True) for name, array in net.parameters.items()}
    given_x = torch.tensor(x.astype(dtype), requires_grad=True)

    def dense(name, h):
        return torch.nn.functional.linear(h, p[f"{name}.weight"], p[f"{name}.bias"])

    def normalize(h):
        scale, shift = p["norm.scale"], p.get("norm.shift")
        if norm == "rms":
            return torch.nn.functional.rms_norm(h, h.shape[-1:], scale, eps=1e-6)
        if norm == "batch":
            flat = h.reshape(-1, h.shape[-1])
            return torch.nn.functional.batch_norm(flat, None, None, scale, shift, training=True).reshape(h.shape)
        return torch.nn.functional.layer_norm(h, h.shape[-1:], scale, shift)

    stream = in_torch("tanh")(dense("embed", given_x))
    inner = normalize(stream) if order == "pre" else stream
    total = stream + dense("down", in_torch("tanh")(dense("up", inner)))
    value = loss_in_torch("mse")(dense("head", total if order == "pre" else normalize(total)), torch.tensor(y))
    value.backward()

    close = {"rtol": 2e-4, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-12}
    found = engine.gradients(net, x, y)
    assert found.loss == pytest.approx(value.item(), rel=close["rtol"])
    assert found.parameters.keys() == p.keys()
    for name, gradient in found.parameters.items():
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, p[name].grad.numpy(), **close, err_msg=name)
    at_x = found.error_signals["embed"] @ net.parameters["embed.weight"]
    np.testing.assert_allclose(at_x, given_x.grad.numpy(), **close)


@pytest.mark.parametrize("positions", [(), (4,)])
@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.7])
def test_the_statistics_that_batch_norm_keeps_are_those_of_torch(positions, momentum):
    """The running variance is that over n - 1, while what the batch is divided by is that over n."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    scale, shift = rng.normal(size=3), rng.normal(size=3)
    layer = engine.BatchNorm(scale, shift, momentum=momentum, eps=1e-3)
    net = engine.Network([layer])
    peer = torch.nn.BatchNorm1d(3, eps=1e-3, momentum=momentum, dtype=torch.float64)
    with torch.no_grad():
        peer.weight[...], peer.bias[...] = torch.tensor(scale), torch.tensor(shift)

    def of_torch(x):  # positions stand last there
        y = peer(torch.tensor(np.moveaxis(x, -1, 1))).detach().numpy()
        return np.moveaxis(y, 1, -1)

    for _ in range(4):
        x = rng.normal(2.0, 3.0, size=(5, *positions, 3))
        engine.train(net, x, x, optimizer=engine.SGD(1e-300), steps=1)
        np.testing.assert_allclose(engine.gradients(net, x, x).activations["layers.0"], of_torch(x), rtol=1e-12)
        np.testing.assert_allclose(layer.buffers["mean"], peer.running_mean.numpy(), rtol=1e-12)
        np.testing.assert_allclose(layer.buffers["variance"], peer.running_var.numpy(), rtol=1e-12)
    peer.eval()
    np.testing.assert_allclose(net(x), of_torch(x), rtol=1e-12)


def test_only_training_changes_the_statistics_that_batch_norm_keeps():
    layer = engine.BatchNorm(np.ones(2, "float32"), np.zeros(2, "float32"))
    net = engine.Network([layer])
    x = np.array([[1.0, 2.0], [3.0, 6.0]])
    net(x)
    rest = engine.gradients(net, x, x, training=False)
    assert rest.buffers == {}
    np.testing.assert_allclose(rest.activations["layers.0"], x / np.sqrt(1 + 1e-5), rtol=1e-6)
    found = engine.gradients(net, x, x)
    np.testing.assert_allclose(found.buffers["layers.0.mean"], [0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(found.buffers["layers.0.variance"], [0.9 + 0.2, 0.9 + 0.8], rtol=1e-6)
    np.testing.assert_array_equal(layer.buffers["mean"], [0, 0])
    np.testing.assert_array_equal(layer.buffers["variance"], [1, 1])
    engine.train(net, x, x, optimizer=engine.SGD(0.1), steps=1)
    for name, array in net.buffers.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, found.buffers[name])


def test_the_statistics_of_a_batch_norm_that_is_used_twice_follow_the_mean_over_its_uses():
    norm = engine.BatchNorm(np.ones(1), np.zeros(1), momentum=0.5, eps=1e-9)
    stretch = engine.Dense(np.full((1, 1), 3.0), np.full(1, 7.0))
    net = engine.Network({"first": norm, "middle": stretch, "second": norm})
    x = np.array([[1.0], [3.0]])
    found = engine.gradients(net, x, x)
    assert found.buffers.keys() == {"first.mean", "first.variance"}
    np.testing.assert_allclose(found.buffers["first.mean"], [(2 + 7) / 2 / 2], rtol=1e-8)
    np.testing.assert_allclose(found.buffers["first.variance"], [1 / 2 + (2 + 18) / 2 / 2], rtol=1e-8)
    engine.train(net, x, x, optimizer=engine.SGD(1e-9), steps=100)  # at rest it then is between what its uses saw
    np.testing.assert_allclose([norm.buffers["mean"][0], norm.buffers["variance"][0]], [4.5, 10], rtol=1e-5)


def test_a_norm_keeps_large_means_out_of_its_variance():
    """The variance is the mean of squared differences, not a difference of large squares."""
    x = 1e8 + np.array([[0.0, 1.0, 2.0, 3.0]])
    y, _ = engine.LayerNorm(np.ones(4)).forward(x, RUN)
    np.testing.assert_allclose(y, engine.LayerNorm(np.ones(4)).forward(x - 1e8, RUN)[0], rtol=1e-6)
    y, _ = engine.BatchNorm(np.ones(1), np.zeros(1)).forward(x.T, RUN)
    np.testing.assert_allclose(y, engine.BatchNorm(np.ones(1), np.zeros(1)).forward(x.T - 1e8, RUN)[0], rtol=1e-6)


# Ties.

AWKWARD = [17, 33, 65, 100]  # widths at which BLAS rounds the units at the edge of its tiles otherwise
BATCH_NORM_AT_33 = [17, 100, 65, 33]  # one a norm: at 33 BLAS breaks the sum over such a batch, at 100 it doesn't
widths = st.integers(1, 8) | st.sampled_from(AWKWARD)
optimizers = st.sampled_from(sorted(OPTIMIZERS)).map(OPTIMIZERS.__getitem__)


@st.composite
def runs(draw):
    """A residual network's sizes and build, data, and settings of a run."""
    loss = draw(st.sampled_from(sorted(LOSSES)))
    sizes = (draw(st.integers(1, 9)), draw(widths), draw(widths), draw(st.integers(2, 3)))
    positions = draw(st.sampled_from([(), (3,)]))
    batch = draw(st.integers(2, 12) | st.just(33))
    rng = np.random.default_rng(draw(seeds))
    x = rng.normal(size=(batch, *positions, sizes[0]))
    y = rng.normal(size=(batch, *positions, sizes[-1])) if loss == "mse" else rng.integers(2, size=(batch, *positions))
    if loss == "logistic":
        y = rng.integers(2, size=(batch, *positions, sizes[-1]))
    build = {
        "order": draw(st.sampled_from(RESIDUAL)),
        "activation": draw(st.sampled_from(["tanh", "relu", "gelu", "identity"])),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "sizes": sizes,
        "norm": NORMS[draw(st.sampled_from(sorted(NORMS)))],
    }
    fits = [size for size in range(1, batch + 1) if batch % size != 1 or positions]  # a single row has no variance
    training = {
        "loss": loss,
        "steps": draw(st.integers(1, 12)),
        "optimizer": draw(optimizers),
        "batch_size": draw(st.none() | st.sampled_from([size for size in fits if size > 1])),
        "rng": draw(seeds),
    }
    return build, x, y, training


@given(run=runs(), value=st.sampled_from([0.5, 0.1, -0.3]))
def test_a_constant_start_keeps_stream_and_block_tied_through_norms_at_every_step(run, value):
    build, x, y, training = run
    net = residual(**build, constant=value)
    labels = {"embed": np.zeros(build["sizes"][1], int), "up": np.zeros(build["sizes"][2], int)}
    check_run(net, x, y, labels, **training)


@given(run=runs(), kinds=st.integers(1, 3), seed=seeds)
def test_copied_units_stay_tied_through_norms_at_every_step(run, kinds, seed):
    build, x, y, training = run
    rng = np.random.default_rng(seed)
    labels = {"embed": rng.integers(kinds, size=build["sizes"][1]), "up": rng.integers(kinds, size=build["sizes"][2])}
    net = residual(**build, seed=seed, labels=labels)
    check_run(net, x, y, labels, **training)


@pytest.mark.parametrize("order", RESIDUAL)
@pytest.mark.parametrize(("norm", "width"), [*zip(NORMS, BATCH_NORM_AT_33, strict=True)])
def test_copied_units_stay_tied_through_norms_for_dozens_of_steps(order, norm, width):
    labels = {"embed": np.arange(width) % 3, "up": np.arange(width + 1) // 2}
    net = residual(order, NORMS[norm], (8, width, width + 1, 3), seed=width, labels=labels)
    x, y = random_data(33, 8, 3, "mse", seed=width)
    optimizer = replace(OPTIMIZERS["AdamW"], learning_rate=0.01)
    assert check_run(net, x, y, labels, optimizer=optimizer, steps=40, batch_size=11) == 40


@given(run=runs(), seed=seeds)
def test_a_random_start_ties_no_units_through_norms(run, seed):
    build, x, y, training = run
    net = residual(**build, seed=seed)
    for space, labels in classes_of(net).items():
        assert len(set(labels)) == len(labels), f"units of {space!r} are tied at the start"

    def check(step):
        if all(np.isfinite(array).all() for array in net.parameters.values()):
            for space, labels in classes_of(net).items():
                assert len(set(labels)) == len(labels), f"units of {space!r} are tied at step {step.number}"

    with contextlib.suppress(engine.Diverged):  # what runs away is looked at up to there
        engine.train(net, x, y, callback=check, **training)


HELD = [
    ("layer", "scale"), ("layer", "shift"), ("rms", "scale"),
    ("batch", "scale"), ("batch", "shift"), ("batch", "mean"), ("batch", "variance"),
]  # fmt: skip


@pytest.mark.parametrize(("norm", "part"), HELD)
def test_units_that_differ_in_what_a_norm_holds_of_them_are_not_tied(norm, part):
    net = residual("pre", NORMS[norm], (2, 4, 3, 1), constant=0.5)
    labels = {"embed": np.zeros(4, int), "up": np.zeros(3, int)}
    assert not differences(net, labels)
    (net.parameters | net.buffers)[f"norm.{part}"][0] += 0.25
    assert differences(net, labels) == [f"norm.{part} of embed"]
    assert len(set(classes_of(net)["embed"])) == 2


# The graph, and what is refused.


@pytest.mark.parametrize(("norm", "parts"), [("layer", 2), ("layer without shift", 1), ("rms", 1), ("batch", 4)])
@pytest.mark.parametrize("order", RESIDUAL)
def test_the_graph_has_what_a_norm_holds_as_parameters_of_the_units_of_the_stream(norm, parts, order):
    net = residual(order, NORMS[norm], (2, 5, 3, 1))
    for array in net.buffers.values():
        array += np.arange(5)
    graph = net.graph
    assert {space.name: space.units for space in graph.spaces} == {"input": 2, "embed": 5, "up": 3, "output": 1}
    assert graph.writers("embed") == ("embed.weight", "down.weight")
    assert graph.readers("embed") == ("up.weight", "head.weight")
    held = [each for each in graph.per_unit if each.name.startswith("norm.")]
    assert len(held) == parts
    for each in held:
        assert each.space == "embed"
        assert each.name == f"norm.{each.kind}"
        np.testing.assert_array_equal(each.array, (net.parameters | net.buffers)[each.name])
    assert graph.arrays.keys() == net.parameters.keys() | net.buffers.keys()


def test_norms_say_what_they_are():
    ones = np.ones(3)
    shown = [engine.LayerNorm(ones, ones), engine.LayerNorm(ones), engine.RMSNorm(ones), engine.BatchNorm(ones, ones)]
    assert [*map(repr, shown)] == ["LayerNorm(3)", "LayerNorm(3, no shift)", "RMSNorm(3)", "BatchNorm(3)"]


ONES = np.ones(3)
EXACT = np.array([Fraction(1)] * 3)
MODULAR = np.array([engine.Residue(1)] * 3)
MAKES = {
    "layer": engine.LayerNorm,
    "rms": lambda scale, shift=None, **options: engine.RMSNorm(scale, **options),
    "batch": lambda scale, shift=None, **options: engine.BatchNorm(
        scale, np.zeros_like(scale) if shift is None else shift, **options
    ),
}
BAD = {
    "two axes": ((np.ones((3, 1)),), {}, ValueError, r"the scale of an? .* norm has one axis, .*; got \(3, 1\)"),
    "no units": ((np.ones(0),), {}, ValueError, r"\(units,\), of 1 or more; got \(0,\)"),
    "a list": (([1.0],), {}, TypeError, "a scale must be a NumPy array, not a list; use np.asarray"),
    "nan": ((np.array([np.nan, 1]),), {}, ValueError, "a scale must be finite; 1 of its values are not"),
    "fractions": ((EXACT,), {}, TypeError, "norm takes a square root, which exact numbers don't have; give it float32"),
    "residues": ((MODULAR,), {}, TypeError, "norm takes a square root, which exact numbers don't have"),
    "no eps": ((ONES,), {"eps": 0.0}, ValueError, "eps must be a positive number; got 0.0"),
}
BAD_SHIFTS = {
    "a shift that would broadcast": (
        np.ones(1),
        ValueError,
        r"shape \(3,\), .* needs a shift of that shape, not \(1,\)",
    ),
    "a shift of another dtype": (np.ones(3, "float32"), TypeError, "scale is float64 and the shift float32"),
}


@pytest.mark.parametrize("norm", MAKES)
@pytest.mark.parametrize("case", BAD)
def test_norms_of_what_makes_no_sense_are_refused(norm, case):
    arguments, options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        MAKES[norm](*arguments, **options)


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("case", BAD_SHIFTS)
def test_shifts_that_make_no_sense_are_refused(norm, case):
    shift, error, message = BAD_SHIFTS[case]
    with pytest.raises(error, match=message):
        MAKES[norm](ONES, shift)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, np.nan, "half"])
def test_a_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match="the momentum of a batch norm must be a number of 0 or more and below 1; got"):
        engine.BatchNorm(ONES, ONES, momentum=momentum)


def test_a_batch_of_one_value_a_unit_has_no_variance_to_train_with():
    net = engine.Network([engine.BatchNorm(ONES, ONES)])
    x = np.ones((3, 3))
    with pytest.raises(
        engine.Halted,
        match=r"at step 1, after .*: .* needs two values or more of each unit .* has shape \(1, 3\): give more rows",
    ):
        engine.train(net, x, x, optimizer=engine.SGD(0.1), steps=2, batch_size=2)
    assert net(x[:1]).shape == (1, 3)  # at rest it has the buffers
    twice = x[:1].reshape(1, 1, 3).repeat(2, axis=1)  # one row of two positions
    assert np.isfinite(engine.gradients(net, twice, twice).loss)


def test_a_norm_of_another_width_is_refused():
    for layer in (engine.LayerNorm(ONES), engine.RMSNorm(ONES), engine.BatchNorm(ONES, ONES)):
        with pytest.raises(ValueError, match=r"'layers.0' writes 2 units, but 'layers.1' reads 3"):
            engine.Network([engine.Dense(np.ones((2, 1))), layer])


def test_statistics_that_overflow_are_told_where_the_loss_is_finite():
    net = engine.Network([engine.BatchNorm(np.ones(1, "float32"), np.zeros(1, "float32"))])
    with pytest.raises(
        engine.Diverged, match=r"'layers\.0\.variance' holds values that are not finite at step 1, after"
    ):
        engine.train(net, [[1e25], [-1e25]], [1.0, -1.0], optimizer=engine.SGD(0.1), steps=1)
