"""Wiring read off what a model computes: units can be renumbered on all axes that it names, and on no fewer."""

import numpy as np
import pytest

import symbreak as sb

jax = pytest.importorskip("jax")
linen = pytest.importorskip("flax.linen")
nnx = pytest.importorskip("flax.nnx")
jnp = jax.numpy

from symbreak.jax._diagnose import understood, wired_with  # noqa: E402
from tests.checkpoints.wiring._permute import closed  # noqa: E402
from tests.checkpoints.wiring._planted import plantable, planted, tied  # noqa: E402
from tests.jax._models import IDS, LINEN, NnxTransformer, variables  # noqa: E402
from tests.jax._renumbered import Runner, example_of, renumber  # noqa: E402


@pytest.fixture(scope="module")
def runners():
    found = {}
    for name, (model, x) in LINEN.items():
        found[name] = Runner(model, sb.jax.initialize(variables(model, x), rng=1), example_of(x))
    model = nnx.eval_shape(lambda: NnxTransformer(nnx.Rngs(0)))
    model.eval()
    for _, variable in nnx.to_flat_state(nnx.state(model)):
        if jnp.issubdtype(variable.get_value().dtype, jax.dtypes.prng_key):
            variable.set_value(jax.random.key(0))
    found["nnx"] = Runner(sb.jax.initialize(model, rng=1), example_of(IDS))
    return found


SPACES = {  # those of which every axis is known
    "transformer": 9,
    "nnx": 9,
    "convolutions": 4,
    "lstm": 1,
    "gru": 1,
    "simple": 1,
    "scanned": 4,
}


@pytest.mark.parametrize("name", SPACES)
def test_renumbering_the_units_of_a_space_on_all_its_axes_changes_nothing_and_on_all_but_one_does(name, runners):
    run = runners[name]
    spaces = closed(run.graph)
    assert len(spaces) == SPACES[name], spaces
    renumber(run, spaces, some=1 if len(run.arrays) < 20 else 5)


@pytest.mark.parametrize("name", SPACES)
def test_a_tie_in_any_space_is_found_and_none_where_there_is_none(name, runners):
    run = runners[name]
    values = np.random.default_rng(0).normal(size=run.total)

    def judged(values):
        return run.built({key: values[run.places[key]] for key in run.arrays})

    assert tied(judged(values)) == set()
    spaces = plantable(run.graph)
    for space in spaces[:: max(1, len(spaces) // 3)]:
        assert tied(judged(values[planted(run.graph, space, run.total)])), space


def test_spaces_are_named_by_their_layers_and_by_the_functions_that_they_pass():
    model, x = LINEN["convolutions"]
    wired = sb.jax.wire(model, sb.jax.initialize(variables(model, x)), x)
    assert wired.rule == "the model as it computes"
    assert (dict(wired.unknown), dict(wired.apart)) == ({}, {})
    spaces = {space.name: space.activation for space in wired.graph.spaces}
    assert spaces["params/Conv_0"] == "relu"
    assert wired.graph.inputs == ("input_0",)
    assert wired.graph.outputs == ("params/Dense_0",)


# Functions, primitive by primitive: two dense layers with something between them.

W, V = np.random.default_rng(0).normal(size=(2, 8, 8)).astype("f4")
B = np.arange(8.0, dtype="f4") + 1


def between(middle, **params):
    """Wire `middle` between two dense layers of 8 units; give the graph and what isn't known."""
    arrays = {"w": W[:3], "v": V[:, :2], **params}

    def apply(params, x):
        return middle(x @ params["w"], params) @ params["v"]

    wired, every, note = wired_with(apply, (arrays, jnp.ones((5, 3))), {}, None)
    assert note is None
    return wired, every


ALIKE = {
    "relu": lambda h, p: jax.nn.relu(h),
    "gelu": lambda h, p: jax.nn.gelu(h),
    "silu": lambda h, p: jax.nn.silu(h),
    "leaky": lambda h, p: jax.nn.leaky_relu(h),
    "relu6": lambda h, p: jax.nn.relu6(h),
    "softplus": lambda h, p: jax.nn.softplus(h),
    "elu": lambda h, p: jax.nn.elu(h),
    "tanh": lambda h, p: jnp.tanh(h),
    "clip": lambda h, p: jnp.clip(h, -1, 1),
    "softmax": lambda h, p: jax.nn.softmax(h),
    "where": lambda h, p: jnp.where(h > 0, h, 0.1 * h),
    "residual": lambda h, p: h + jnp.sin(h) * 2,
    "layer norm": lambda h, p: (h - h.mean(-1, keepdims=True)) * jax.lax.rsqrt(h.var(-1, keepdims=True) + 1e-5),
    "scaled norm": lambda h, p: h * (jax.lax.rsqrt((h**2).mean(-1, keepdims=True)) * p["b"]),
    "batch norm": lambda h, p: (h - p["b"]) * (jax.lax.rsqrt(p["c"] + 1e-5) * p["b"]) + p["c"],
    "sum of two biases": lambda h, p: h + (p["b"] + p["c"]),
    "one more scale": lambda h, p: h * (1 + p["b"]),
    "reshape": lambda h, p: (h.reshape(5, 2, 4) * 2).reshape(5, 8),
    "transposes": lambda h, p: jnp.moveaxis(h.T[None], 0, 1)[:, 0].T,
    "jit": lambda h, p: jax.jit(lambda a: jnp.tanh(a) + 1)(h),
    "checkpoint": lambda h, p: jax.checkpoint(jnp.tanh)(h),
    "vmap": lambda h, p: jax.vmap(jnp.tanh)(h),
    "cut and joined": lambda h, p: jnp.concatenate(jnp.split(h, 2, -1), -1),
    "dropout": lambda h, p: h * jax.random.bernoulli(jax.random.key(0), 0.5, h.shape),
    "bfloat16": lambda h, p: h.astype(jnp.bfloat16).astype(jnp.float32),
    "stop_gradient": lambda h, p: h + jax.lax.stop_gradient(h),
    "positions summed": lambda h, p: h - h.sum(0, keepdims=True),
    "positions in reverse": lambda h, p: jnp.cumsum(h, 0)[::-1],
    "every other position": lambda h, p: jnp.repeat(h, 2, 0)[::2],
    "padded positions": lambda h, p: jnp.pad(h, ((1, 1), (0, 0)))[1:-1],
    "custom gradient": lambda h, p: _doubled(h),
    "scan": lambda h, p: jax.lax.scan(lambda c, x: (c, jnp.tanh(x)), 0.0, h)[1],
    "recurrence": lambda h, p: jax.lax.scan(lambda c, x: ((c := jnp.tanh(x + c * p["b"])), c), jnp.zeros(8), h)[1],
}  # fmt: skip
ONE_SPACE = set(ALIKE) - {"reshape", "cut and joined"}


@jax.custom_vjp
def _doubled(x):
    return 2 * x


_doubled.defvjp(lambda x: (2 * x, None), lambda _, g: (g,))


@pytest.mark.parametrize("name", ALIKE)
def test_what_treats_all_units_alike_keeps_their_space(name):
    used = {"b": B, "c": B[::-1].copy()} if "p[" in _source(name) else {}
    used = {key: array for key, array in used.items() if f'p["{key}"]' in _source(name)}
    wired, _ = between(ALIKE[name], **used)
    assert dict(wired.unknown) == {}
    held = {each.partition("[")[0].partition("@")[0] for each in wired.graph.arrays}
    assert {"w", "v", *used} <= held
    spaces = closed(wired.graph)
    assert spaces
    if name in ONE_SPACE:
        assert spaces == ["w"]


def _source(name):
    import inspect

    lines = inspect.getsource(inspect.getmodule(test_what_treats_all_units_alike_keeps_their_space)).splitlines()
    return next(line for line in lines if line.strip().startswith(f'"{name}": lambda'))


TOLD_APART = {
    "noise": (lambda h, p: h * jnp.asarray(B), "constants"),
    "units by number": (lambda h, p: h.at[:, 3].set(0.0), "isn't understood"),
    "sorted": (lambda h, p: jnp.sort(h, -1), "sort"),
    "maximum": (lambda h, p: h + h.max(-1, keepdims=True), ""),
    "sums along units": (lambda h, p: jnp.cumsum(h, -1), "it takes units for positions"),
    "kernel of kernels": (lambda h, p: h @ (p["m"] @ p["m"]), "it multiplies arrays"),
    "while": (lambda h, p: jax.lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1, h), "while"),
}


@pytest.mark.parametrize("name", TOLD_APART)
def test_what_does_not_treat_all_units_alike_tells_them_apart(name):
    middle, reason = TOLD_APART[name]
    wired, _ = between(middle, **({"m": V} if "kernel" in name else {}))
    if wired.graph is not None:
        assert "w" not in closed(wired.graph) or reason == "constants"
    if reason not in ("", "constants"):
        assert any(reason in each for each in wired.unknown.values()), dict(wired.unknown)
    if reason == "constants":
        assert any(each.name.startswith("constants/0") for each in wired.graph.per_unit)


def test_random_numbers_tell_units_apart_where_that_is_asked_for():
    def apply(params, x):
        h = x @ params["w"]
        return (h * jax.random.bernoulli(jax.random.key(0), 0.5, h.shape)) @ params["v"]

    arrays, x = {"w": W[:3], "v": V[:, :2]}, jnp.ones((5, 3))
    assert closed(sb.jax.wire(apply, arrays, x).graph) == ["w"]
    assert closed(sb.jax.wire(apply, arrays, x, noise=True).graph) == []


def test_an_input_is_seen_by_its_own_units_and_an_output_too():
    wired = sb.jax.wire(lambda p, x: x @ p["w"], {"w": W}, jnp.ones((2, 8)))
    assert closed(wired.graph) == []
    assert understood(wired, {"w": W}) == 1.0


def test_a_kernel_that_is_masked_or_normalized_is_one_weight_and_the_mask_another():
    mask = np.triu(np.ones((8, 8), "f4"))
    wired, every = between(lambda h, p: h @ (p["m"] * jnp.asarray(mask)), m=V)
    assert dict(wired.unknown) == {}
    assert {"m", "constants/0"} <= {each.name for each in wired.graph.connections}
    assert set(closed(wired.graph)) == {"w", "m"}
    assert every["constants/0"].tolist() == mask.tolist()


def test_experts_that_are_one_array_are_copies_in_heads_of_their_own():
    experts = {
        "up": np.random.default_rng(0).normal(size=(4, 8, 6)),
        "down": np.random.default_rng(1).normal(size=(4, 6, 8)),
    }

    def middle(h, p):
        gates = jax.nn.softmax(h @ p["router"])
        each = jax.nn.relu(jnp.einsum("bd,edf->bef", h, p["up"]))
        return jnp.einsum("bef,efd,be->bd", each, p["down"], gates)

    wired, _ = between(middle, router=V[:, :4], **experts)
    assert wired.graph is not None
    assert understood(wired, {"w": W}) >= 0


def test_arrays_that_are_read_as_a_whole_and_layer_by_layer_fall_back_to_names():
    def apply(params, x):
        state, _ = jax.lax.scan(lambda c, w: (jnp.tanh(c @ w), None), x, params["stack"])
        return state + params["stack"].sum()

    _, _, note = wired_with(apply, ({"stack": np.ones((2, 3, 3))}, jnp.ones((2, 3))), {}, None)
    assert "stack is read both as a whole and layer by layer" in note.message
