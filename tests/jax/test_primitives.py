"""One function after another between two dense layers: which units can be renumbered behind it, tried on the function.

Where a space is said to be closed, its units are renumbered in the model on all axes that the graph names, which may
change nothing, and on all but one, which must.
"""

from types import SimpleNamespace

import numpy as np
import pytest

import symbreak as sb

jax = pytest.importorskip("jax")
jnp, lax = jax.numpy, jax.lax

from symbreak.jax._diagnose import wired_with  # noqa: E402
from symbreak.jax._lax import follow  # noqa: E402
from symbreak.jax._trace import Trace  # noqa: E402
from tests.checkpoints.wiring._permute import closed  # noqa: E402
from tests.jax._renumbered import Runner, renumber  # noqa: E402

X = jnp.asarray(np.arange(15).reshape(5, 3) % 4, jnp.float32)
SHAPES = {
    "w": (3, 8), "v": (8, 2), "b": (8,), "c": (8,), "m": (8, 8), "n": (8, 8), "o": (8, 8), "p": (8, 8), "up": (4, 8),
    "low": (4, 8), "wide": (8, 16), "column": (8, 1), "row": (1, 8), "down": (16, 8), "stack": (2, 8, 8),
    "groups": (2, 4), "rows": (5, 8),
}  # fmt: skip
RNG = np.random.default_rng(0)
ARRAYS = {name: RNG.normal(size=shape).astype("f4") for name, shape in SHAPES.items()}
WINDOWS = lax.GatherDimensionNumbers(offset_dims=(1, 2), collapsed_slice_dims=(), start_index_map=(0,))
UNITS_FIRST = lax.GatherDimensionNumbers(offset_dims=(0,), collapsed_slice_dims=(0,), start_index_map=(0,))


def coin(shape):
    return jax.random.bernoulli(jax.random.key(0), 0.5, shape)


def group_mean(h):
    """Give each unit the mean of its group of four."""
    means = h.reshape(5, 2, 4).mean(-1, keepdims=True)
    return jnp.broadcast_to(means, (5, 2, 4)).reshape(5, 8)


def joined(*arrays, axis=1):
    return jnp.concatenate(arrays, axis)


def at(x):
    """Give a position that isn't known before the model runs."""
    return x[0, 0].astype(int)


@jax.jit
def gelu(h):
    """A function of another meaning than the one of its name: it reads all units at once."""
    return h - h.mean(-1, keepdims=True)


def model(middle, names):
    """Give a function of arrays with something between two dense layers, and its arrays."""

    def apply(p, x):
        return middle(x @ p["w"], p, x) @ p["v"]

    return apply, {name: ARRAYS[name] for name in ("w", "v", *names.split())}


# name: the arrays that are read, the closed spaces, the function of the hidden values
FOLLOWED = {
    # axes
    "a kernel in heads": (
        "m", ["m.heads", "m.units"],
        lambda h, p, x: jnp.einsum("bi,ihd->bhd", h, p["m"].reshape(8, 2, 4)).reshape(5, 8),
    ),
    "means of groups": ("", ["w.heads", "w.units"], lambda h, p, x: h - group_mean(h)),
    "means of groups, turned": ("", ["w.heads", "w.units"], lambda h, p, x: (h.T - group_mean(h).T).T),
    "means over positions, in groups": (
        "", ["w.heads", "w.units"],
        lambda h, p, x: h - jnp.broadcast_to(h.reshape(5, 2, 4).mean(0), (5, 2, 4)).reshape(5, 8),
    ),
    "two means of groups": ("", ["w.heads", "w.units"], lambda h, p, x: h - group_mean(h) * group_mean(h**2)),
    "a bias spread over positions": (
        "b", ["w"], lambda h, p, x: h + jnp.broadcast_to(p["b"], (1, 5, 8)).reshape(5, 1, 8)[:, 0],
    ),
    "numbers turned": ("", ["w"], lambda h, p, x: h + jnp.full((8, 5), 2.0).T),
    "kernels end to end, turned": (
        "up low", ["w", "up", "low"], lambda h, p, x: h @ joined(p["up"], p["low"], axis=0).T,
    ),
    "a masked kernel, turned": ("m n", ["w", "m"], lambda h, p, x: h @ (p["m"] * p["n"]).T),
    "a sum over no axes": ("", ["w"], lambda h, p, x: lax.reduce_sum_p.bind(h, axes=(), out_sharding=None)),
    "stretches of kernels end to end": (
        "m n", ["w", "m"],
        lambda h, p, x: h @ joined(p["m"], p["n"])[:, :8] + h @ joined(p["m"], p["n"])[:, 8:],
    ),
    # positions
    "numbers end to end": ("", ["w"], lambda h, p, x: h * joined(jnp.ones((2, 8)), jnp.zeros((3, 8)), axis=0)),
    "numbers before values": ("", ["w"], lambda h, p, x: joined(jnp.ones((2, 8)), h, 2 * h, axis=0)),
    "a token of its own": ("b", ["w"], lambda h, p, x: joined(h, jnp.broadcast_to(p["b"], (3, 8)), axis=0)),
    "a stretch of what is spread": ("b", ["w"], lambda h, p, x: h + jnp.broadcast_to(p["b"], (10, 8))[:5]),
    "pieces of what is spread": ("b", ["w"], lambda h, p, x: h + jnp.split(jnp.broadcast_to(p["b"], (10, 8)), 2)[1]),
    "a stretch of numbers": ("", ["w"], lambda h, p, x: h + lax.dynamic_slice(jnp.ones((9, 8)), (at(x), 0), (5, 8))),
    "a stretch from anywhere": ("", ["w"], lambda h, p, x: lax.dynamic_slice(h, (at(x), 0), (3, 8))),
    "a stretch from a place": ("", ["w"], lambda h, p, x: lax.dynamic_slice(h, (1, 0), (3, 8))),
    "numbers over values": ("", ["w"], lambda h, p, x: lax.dynamic_update_slice(h, jnp.zeros((2, 8)), (1, 0))),
    "values over numbers": ("", ["w"], lambda h, p, x: lax.dynamic_update_slice(jnp.zeros((9, 8)), h, (1, 0))),
    "values over values": ("", ["w"], lambda h, p, x: lax.dynamic_update_slice(h, jnp.sin(h)[:2], (1, 0))),
    "one position": ("", ["w"], lambda h, p, x: h + jnp.take(h, 2, axis=0)),
    "one position for all": ("", ["w"], lambda h, p, x: h + jnp.take(h, jnp.full(5, 2), axis=0)),
    "the position of the least": ("", ["w"], lambda h, p, x: h * h.argmin(0)),
    # values
    "a barrier": ("", ["w"], lambda h, p, x: lax.optimization_barrier(h)),
    "sums of numbers": ("", ["w"], lambda h, p, x: h * jnp.cumsum(jnp.ones((5, 8)), 0)),
    "nothing of the values": ("", ["w"], lambda h, p, x: h + jnp.sin(h) * 0),
    "bounds": ("", ["w"], lambda h, p, x: lax.clamp(-1.0, h, 1.0)),
    "bounds of each unit": (
        "b c", ["w"],
        lambda h, p, x: lax.clamp(
            jnp.broadcast_to(-jnp.abs(p["b"]), (5, 8)), h, jnp.broadcast_to(jnp.abs(p["c"]), (5, 8))
        ),
    ),
    "one of two by chance": ("", ["w"], lambda h, p, x: jnp.where(coin((5, 1)), h, jnp.tanh(h))),
    "numbers by chance": ("", ["w"], lambda h, p, x: h * jnp.where(coin((5, 1)), 1.0, 0.5)),
    # kernels
    "a product with zeros": ("", ["w"], lambda h, p, x: h + h @ jnp.zeros((8, 8))),
    "kernels end to end, bent": (
        "m n down", ["w", "m", "n", "down"], lambda h, p, x: h @ jnp.tanh(joined(p["m"], p["n"])) @ p["down"],
    ),
    "kernels end to end and a number": (
        "m n down", ["w", "m", "n", "down"], lambda h, p, x: h @ (joined(p["m"], p["n"]) + 1.0) @ p["down"],
    ),
    "masked kernels end to end": (
        "m n o p down", ["w", "m", "n", "down"],
        lambda h, p, x: h @ (joined(p["m"], p["n"]) * joined(p["o"], p["p"])) @ p["down"],
    ),
    "gates end to end": (
        "m n wide down", ["w", "m", "n", "down"],
        lambda h, p, x: ((h @ joined(p["m"], p["n"])) * (h @ p["wide"])) @ p["down"],
    ),
    # calls
    "an activation of an array": ("b", ["w"], lambda h, p, x: h * jax.nn.relu(p["b"])),
    "an activation with slopes of its own": ("b", ["w"], lambda h, p, x: jax.nn.leaky_relu(h, p["b"])),
    "an activation that spreads": (
        "", ["w"], lambda h, p, x: h + jax.nn.leaky_relu(h.mean(-1, keepdims=True), jnp.full(8, 0.1)),
    ),
    "a function of an activation's name": ("", ["w"], lambda h, p, x: gelu(h)),
    # loops
    "a loop that counts": ("", ["w"], lambda h, p, x: lax.scan(lambda c, y: (c + 1, y * c), 0.0, h)[1]),
    "a loop that begins with values": (
        "", ["w"], lambda h, p, x: lax.scan(lambda c, y: (jnp.tanh(c + y), c), h[0], h)[1],
    ),
    "a loop over what is repeated": (
        "", ["w"], lambda h, p, x: h + lax.scan(lambda c, y: (c, y), 0.0, jnp.broadcast_to(h.mean(0), (5, 8)))[1],
    ),
    "a loop over a bias that is repeated": (
        "b", ["w"], lambda h, p, x: h + lax.scan(lambda c, y: (c, y), 0.0, jnp.broadcast_to(p["b"], (5, 8)))[1],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLLOWED)
def test_units_can_be_renumbered_behind_it(name):
    names, spaces, middle = FOLLOWED[name]
    apply, arrays = model(middle, names)
    run = Runner(apply, arrays, X)
    assert closed(run.graph) == spaces
    held = {each.name for each in (*run.graph.connections, *run.graph.per_unit)}
    assert set(arrays) <= {each.partition("[")[0].partition("@")[0] for each in held}
    renumber(run, spaces)


# name: the arrays that are read, the array that is left open, and the reason
REFUSED = {
    "numbers between values": (
        "", "w", "'concatenate_1' isn't understood: no rule", lambda h, p, x: joined(h, jnp.ones((2, 8)), h, axis=0),
    ),
    "padding by a value": (
        "", "w", "'pad_4' isn't understood: no rule", lambda h, p, x: lax.pad(h, h[0, 0], ((1, 1, 0), (0, 0, 0))),
    ),
    "a product with ones": ("", "w", "'dot_general_1' isn't understood: no rule", lambda h, p, x: h @ jnp.ones((8, 8))),
    "a fixed blur": (
        "", "w", "'conv_general_dilated_4' isn't understood: no rule",
        lambda h, p, x: lax.conv_general_dilated(h.T[:, None], jnp.ones((1, 1, 3)), (1,), "SAME")[:, 0].T,
    ),
    "two indices": ("", "w", "gather", lambda h, p, x: h * h[np.array([2, 0, 1]), np.array([2, 0, 1])].sum()),
    "rows of numbers": ("", "w", "", lambda h, p, x: h + jnp.zeros((9, 8))[x[:, 0].astype(int)]),
    "windows from anywhere": (
        "", "w", "gather", lambda h, p, x: lax.gather(h, x[:, :1].astype(int), WINDOWS, (2, 8)).sum(1),
    ),
    "rows with the units first": (
        "", "w", "gather", lambda h, p, x: lax.gather(h, x[:, :1].astype(int), UNITS_FIRST, (1, 8)).T,
    ),
    "kernels end to end, cut across": (
        "m n", "m", "it joins arrays of the file", lambda h, p, x: h @ joined(p["m"], p["n"])[:, 4:12],
    ),
    "kernels end to end, read as one": (
        "m n", "m", "it joins arrays of the file", lambda h, p, x: joined(h, h) @ joined(p["m"], p["n"], axis=0),
    ),
    "kernels end to end and a whole one": (
        "m n wide down", "wide", "before it isn't understood",
        lambda h, p, x: h @ (joined(p["m"], p["n"]) + p["wide"]) @ p["down"],
    ),
    "a masked kernel, bent": ("m n", "m", "arrays of the file meet", lambda h, p, x: h @ jnp.exp(p["m"] * p["n"])),
    "a scale in the kernel": ("b m", "b", "no rule knows it", lambda h, p, x: h @ (p["b"] * p["m"])),
    "an outer product": ("column row", "row", "no rule knows it", lambda h, p, x: h @ (p["column"] * p["row"])),
    "a scale in kernels end to end": (
        "m n column down", "column", "no rule knows it",
        lambda h, p, x: h @ (joined(p["m"], p["n"]) * p["column"]) @ p["down"],
    ),
    "biases for a kernel": (
        "b c", "b", "arrays of the file meet", lambda h, p, x: h @ jnp.broadcast_to(p["b"] * p["c"], (8, 8)),
    ),
    "an array that writes no units": (
        "rows", "rows", "it sums over all units that an array reads",
        lambda h, p, x: h * jnp.einsum("bi,bi->b", h, p["rows"])[:, None],
    ),
    "a bias in groups, spread": (
        "groups", "groups", "isn't understood",
        lambda h, p, x: h + jnp.broadcast_to(p["groups"][None], (5, 2, 4)).reshape(5, 8),
    ),
    "a bias spread, in groups": (
        "b", "b", "isn't understood",
        lambda h, p, x: (h.reshape(5, 2, 4) + jnp.broadcast_to(p["b"], (5, 8)).reshape(5, 2, 4)).reshape(5, 8),
    ),
    "layers that give out what they read": (
        "stack", "stack", "'stack.scan' isn't understood: no rule knows it",
        lambda h, p, x: lax.scan(lambda c, w: (jnp.tanh(c @ w), c), h, p["stack"])[1].sum(0),
    ),
    "layers, each turned": (
        "stack", "stack", "'stack.scan' isn't understood: no rule knows it",
        lambda h, p, x: lax.scan(lambda c, w: (jnp.tanh(c @ w), None), h, p["stack"].transpose(0, 2, 1))[0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_named_and_no_space_that_it_touches_is_closed(name):
    names, array, reason, middle = REFUSED[name]
    apply, arrays = model(middle, names)
    wired, _, note = wired_with(apply, (arrays, X), {}, None)
    assert note is None
    assert reason in wired.unknown[array]
    assert closed(wired.graph) == []


PICKED = {
    "the largest two": lambda h, p, x: h * lax.top_k(h, 2)[0].sum(-1, keepdims=True),
    "the place of the largest": lambda h, p, x: h * h.argmax(-1)[:, None],
}


@pytest.mark.parametrize("name", PICKED)
def test_units_of_which_one_is_picked_are_told_apart(name):
    apply, arrays = model(PICKED[name], "")
    wired, _, _ = wired_with(apply, (arrays, X), {}, None)
    assert dict(wired.unknown) == {}
    assert closed(wired.graph) == []


def test_a_largest_value_that_the_model_gives_out_tells_its_units_apart_and_one_that_nothing_reads_does_not():
    def apply(p, x):
        h = x @ p["w"]
        return jax.nn.softmax(h) @ p["v"], h.max(-1)

    arrays = {name: ARRAYS[name] for name in ("w", "v")}
    assert closed(sb.jax.wire(lambda p, x: apply(p, x)[0], arrays, X).graph) == ["w"]
    assert closed(sb.jax.wire(apply, arrays, X).graph) == []


def test_a_key_that_the_model_is_called_with_tells_nothing_apart():
    def apply(p, x, key):
        h = x @ p["w"]
        return (h * jax.random.bernoulli(key, 0.5, (5, 1))) @ p["v"]

    run = Runner(apply, {name: ARRAYS[name] for name in ("w", "v")}, X, jax.random.key(3))
    assert closed(run.graph) == ["w"]
    assert [each["shape"] for each in run.graph_["inputs"]] == [[5, 3]]
    renumber(run, ["w"])


def test_a_call_that_carries_no_program_becomes_a_node_of_its_name():
    """As one of another version of JAX might; the name of an activation is no proof."""
    trace, aval = Trace(), SimpleNamespace(shape=(5, 8))
    value = trace.enter((5, 8), "input")
    given, made = SimpleNamespace(aval=aval), SimpleNamespace(aval=aval)
    trace.values = {id(given): value}
    trace.read = lambda atom: trace.values[id(atom)]
    equation = SimpleNamespace(
        primitive=SimpleNamespace(name="jit"), params={"name": "relu"}, invars=[given], outvars=[made]
    )
    (found,) = follow(trace, equation, SimpleNamespace(eqns=[equation]))
    assert found.shape == (5, 8)
    assert [(node["op_type"], node["inputs"]) for node in trace.nodes] == [("jit", [value.name])]
