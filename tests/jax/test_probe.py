"""A batch shows which units agree in activations and gradients, and a monitor which do while a model trains."""

import numpy as np
import pytest

import symbreak as sb

jax = pytest.importorskip("jax")
linen = pytest.importorskip("flax.linen")
nnx = pytest.importorskip("flax.nnx")
jnp = jax.numpy

from tests.jax._models import LINEN, variables  # noqa: E402

X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6)), jnp.float32)


def draw(key, *shape):
    return jax.nn.initializers.lecun_normal()(jax.random.key(key), shape)


WEIGHTS = ("kernel", "embedding")


def squares(y):
    return (y**2).mean()


def planted():
    up, down = draw(0, 6, 8), draw(1, 8, 3)
    up = up.at[:, 3].set(up[:, 5]).at[:, 0].set(0.0)
    return {"up": up, "bias": jnp.arange(8.0).at[3].set(5.0).at[0].set(-1.0), "down": down.at[3].set(down[5])}


def mlp(params, x):
    return jax.nn.relu(x @ params["up"] + params["bias"]) @ params["down"]


def test_activations_and_gradients_are_those_that_one_computes_by_hand():
    from symbreak.jax._watch import find_spots, observed

    params = planted()
    names = sorted(params)
    closed = jax.make_jaxpr(lambda leaves, x: squares(mlp(dict(zip(names, leaves, strict=True)), x)))(
        [params[name] for name in names], X
    )
    spots, lost = find_spots(closed.jaxpr, dict(zip(closed.jaxpr.invars, names, strict=False)))
    assert lost == []
    value, seen, grads = observed(closed, spots, [*(params[name] for name in names), X], lambda given: given[0])
    hidden = jax.nn.relu(X @ params["up"] + params["bias"])
    by_spot = {spot.tensor: spot.variable for spot in spots}
    np.testing.assert_allclose(seen[by_spot["up"]], hidden, rtol=1e-6)
    expected = jax.grad(lambda h: squares(h @ params["down"]))(hidden)
    np.testing.assert_allclose(grads[by_spot["up"]], expected, rtol=1e-5)
    assert value == pytest.approx(float(squares(mlp(params, X))), rel=1e-6)


def test_units_that_agree_are_found_beside_the_certificate_and_dead_ones_too():
    probe = sb.jax.probe(mlp, planted(), X, loss=squares)
    hidden, out = probe.spaces
    assert (hidden.name, hidden.units, hidden.samples, hidden.distinct) == ("up", 8, 5, 7)
    assert hidden.groups == ((3, 5),)
    assert hidden.verdict == "agrees"
    assert hidden.dead == (0,)
    assert (out.name, out.distinct) == ("down", 3)
    assert probe.loss == pytest.approx(float(squares(mlp(planted(), X))), rel=1e-6)
    assert "up: 3, 5" in str(probe)


def test_a_healthy_twin_has_no_two_units_that_agree():
    params = sb.jax.initialize({**planted(), "bias": jnp.zeros(8)}, rng=0)
    probe = sb.jax.probe(mlp, params, X, loss=squares)
    assert all(space.distinct == space.units for space in probe.spaces)


@pytest.mark.parametrize("name", ["transformer", "simple", "scanned"])
def test_every_layer_of_a_model_is_probed_and_agrees_with_the_certificate(name):
    model, x = LINEN[name]
    count = np.arange(x.size).reshape(x.shape)
    params = sb.jax.initialize(variables(model, x), rng=1)
    probe = sb.jax.probe(
        model, params, jnp.asarray(count % 7 if name == "transformer" else np.sin(count)), loss=squares
    )
    assert dict(probe.left_out) == {}
    assert {space.verdict for space in probe.spaces} <= {"agrees", "unknown"}
    assert sum(space.verdict == "agrees" for space in probe.spaces) >= 0.75 * len(probe.spaces)
    weights = [path for path, _ in jax.tree_util.tree_flatten_with_path(params)[0] if path[-1].key in WEIGHTS]
    assert len(probe.spaces) >= len(weights)


def plain(state):
    """Give a state as NumPy's arrays, keys by their words."""
    return jax.tree.map(
        lambda x: np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x), state
    )


def test_a_module_of_nnx_is_left_as_it_was():
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.up, self.down = nnx.Linear(6, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)
            self.norm, self.drop = nnx.BatchNorm(8, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.down(self.drop(nnx.relu(self.norm(self.up(x)))))

    model = sb.jax.initialize(Model(nnx.Rngs(0)))
    before = plain(nnx.state(model))
    probe = sb.jax.probe(model, X, loss=squares)
    after = plain(nnx.state(model))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), before, after))
    assert [space.name for space in probe.spaces] == ["up", "down"]


def test_a_function_that_is_a_loss_needs_no_other():
    probe = sb.jax.probe(lambda params, x: squares(mlp(params, x)), planted(), X)
    assert [space.distinct for space in probe.spaces] == [7, 3]


def test_what_has_no_loss_or_no_weights_is_refused():
    with pytest.raises(ValueError, match=r"a loss is one number .*; the model gives \[\(5, 3\)\]; pass loss="):
        sb.jax.probe(mlp, planted(), X)
    with pytest.raises(ValueError, match="no array of the model is read as a weight"):
        sb.jax.probe(lambda params, x: (x * params["b"]).sum(), {"b": jnp.ones(6)}, X)


def kernel_of_twins(*shape):
    """Draw a kernel whose units 2 and 5 are equal."""
    kernel = draw(3, *shape)
    return kernel.at[..., 2].set(kernel[..., 5])


def test_units_of_a_convolution_are_its_channels_wherever_they_lie():
    image = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4, 4, 2)), jnp.float32)
    params = {"up": kernel_of_twins(3, 3, 2, 8), "down": draw(1, 8, 3).at[2].set(0.0).at[5].set(0.0)}

    def last(params, x):
        h = jax.lax.conv_general_dilated(x, params["up"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jax.nn.relu(h).mean((1, 2)) @ params["down"]

    def second(params, x):
        dimensions = ("NHWC", "HWIO", "NCHW")
        h = jax.lax.conv_general_dilated(x, params["up"], (1, 1), "SAME", dimension_numbers=dimensions)
        return jax.nn.relu(h).mean((2, 3)) @ params["down"]

    for model in (last, second):
        hidden, out = sb.jax.probe(model, params, image, loss=squares).spaces
        assert (hidden.name, hidden.units, hidden.samples, hidden.groups) == ("up", 8, 48, ((2, 5),))
        assert hidden.still == (2, 5)
        assert (out.name, out.units, out.samples) == ("down", 3, 3)


def test_a_weight_that_writes_no_units_has_no_space():
    def model(params, x):
        return jnp.tanh(x @ params["up"]) * (x @ params["one"])[:, None] @ params["down"]

    params = {"up": draw(0, 6, 8), "one": draw(1, 6, 1)[:, 0], "down": draw(2, 8, 3)}
    probe = sb.jax.probe(model, params, X, loss=squares)
    assert [(space.name, space.units) for space in probe.spaces] == [("up", 8), ("down", 3)]


@jax.custom_jvp
def beside(weight, x):
    """Give a weight back, and what it makes of values."""
    return weight, x @ weight


beside.defjvp(lambda given, tangents: (beside(*given), jax.jvp(lambda w, x: (w, x @ w), given, tangents)[1]))


@pytest.mark.parametrize("call", [beside, jax.checkpoint(lambda weight, x: (weight, x @ weight))])
def test_a_weight_that_a_call_gives_back_is_still_that_weight(call):
    def model(params, x):
        weight, h = call(params["up"], x)
        return jnp.tanh(h + jnp.tanh(x @ weight)) @ params["down"]

    def plain(params, x):
        return jnp.tanh(x @ params["up"] + jnp.tanh(x @ params["up"])) @ params["down"]

    params = {"up": kernel_of_twins(6, 8), "down": draw(1, 8, 3)}
    found, expected = (sb.jax.probe(each, params, X, loss=squares) for each in (model, plain))
    rows = [
        [(space.name, space.units, space.samples, space.groups) for space in each.spaces] for each in (found, expected)
    ]
    assert rows[0] == rows[1]
    assert [row[:2] for row in rows[0]] == [("up", 8), ("down", 3)]


def one_device(function):
    mesh, spec = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("x",)), jax.sharding.PartitionSpec()
    return jax.shard_map(function, mesh=mesh, in_specs=(spec, spec), out_specs=spec)


WITHIN = {
    "a choice": lambda h, w, x: jax.lax.cond(x.sum() > 0, lambda: h @ w, lambda: h),
    "a loop": lambda h, w, x: jax.lax.stop_gradient(
        jax.lax.fori_loop(0, x[0, 0].astype(int), lambda _, c: c @ w, jax.lax.stop_gradient(h))
    ),
    "a mesh": lambda h, w, x: one_device(lambda h, w: h @ w)(h, w),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHIN)
def test_a_weight_within_what_can_not_be_run_step_by_step_is_left_out_by_name(name):
    def model(params, x):
        h = jnp.tanh(x @ params["up"])
        return (h + WITHIN[name](h, params["within"], x)) @ params["down"]

    params = {"up": draw(0, 6, 8), "within": draw(1, 8, 8), "down": draw(2, 8, 3)}
    probe = sb.jax.probe(model, params, X, loss=squares)
    assert dict(probe.left_out) == {"within": "it is used within a loop or a choice that can't be run step by step"}
    assert [space.name for space in probe.spaces] == ["up", "down"]


# The monitor.


def test_a_monitor_counts_the_units_of_every_weight_of_every_layout():
    params = {
        "Dense_0": {"kernel": draw(0, 6, 8).at[:, 3].set(0.0).at[:, 5].set(0.0), "bias": jnp.zeros(8)},
        "Conv_0": {"kernel": jnp.ones((3, 3, 4, 8))},
        "attention": {"query": {"kernel": draw(1, 6, 8).reshape(6, 2, 4)}},
        "Embed_0": {"embedding": draw(2, 10, 4)},
        "count": jnp.arange(3),
    }
    told = []
    monitor = sb.jax.Monitor(every=10, log=lambda step, numbers: told.append((step, numbers)))
    for step in range(1, 31):
        monitor(jnp.asarray(step), params)
    rows = {name: (row.units, row.distinct, row.dead) for name, row in monitor.latest.items()}
    assert rows == {
        "Dense_0/kernel": (8, 7, 2),
        "Conv_0/kernel": (8, 1, 0),
        "attention/query/kernel": (8, 8, 0),
        "Embed_0/embedding": (4, 4, 0),
    }
    assert [step for step, _ in told] == [10, 20, 30]
    assert told[0][1]["dead/Dense_0/kernel"] == 2.0
    assert "looked 3 times in 30 steps, every 10" in str(monitor)


def test_a_monitor_sees_units_part_and_takes_modules_too():
    model = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
    model.kernel[...] = jnp.ones((4, 3))
    monitor = sb.jax.Monitor(every=1)
    monitor(1, model)
    model.kernel[...] = draw(0, 4, 3)
    monitor(2, model)
    assert [(row.step, row.distinct) for row in monitor.rows] == [(1, 1), (2, 3)]
    (growth,) = monitor.growth
    assert (growth.where, growth.units, growth.places, growth.spread[0], growth.apart) == ("kernel", 3, (1, 2), 0.0, 2)


def test_a_monitor_counts_alike_in_arrays_of_numpy_and_in_those_that_lie_elsewhere(monkeypatch):
    from symbreak.jax import _monitor

    kernel = draw(0, 6, 8).at[:, 3].set(0.0).at[:, 5].set(0.0)
    params = {"up": {"kernel": kernel}, "attention": {"query": {"kernel": draw(1, 6, 8).reshape(6, 2, 4)}}}

    def counts(tree):
        return {name: (row.units, row.distinct, row.dead) for name, row in sb.jax.Monitor().look(tree).items()}

    expected = {"up/kernel": (8, 7, 2), "attention/query/kernel": (8, 8, 0)}
    assert counts(jax.tree.map(np.asarray, params)) == expected
    monkeypatch.setattr(_monitor, "_is_near", lambda array: False)
    assert counts(params) == expected


def test_bad_input_to_a_monitor_is_refused():
    with pytest.raises(ValueError, match="`every` is a whole number of steps, 1 or more; got 0"):
        sb.jax.Monitor(every=0)
    with pytest.raises(TypeError, match="`log` is called with a step"):
        sb.jax.Monitor(log=3)
    with pytest.raises(ValueError, match="the tree has no weights to look at"):
        sb.jax.Monitor(every=1)(1, {"b": jnp.ones(3)})
