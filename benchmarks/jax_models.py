"""What symbreak costs a model of JAX's: the monitor beside steps of training, and initial weights beside JAX's own."""

from collections.abc import Iterator

import symbreak as sb

from ._measure import Row, have

WIDTH, LAYERS, BATCH = 512, 4, 64
EVERY = 100  # steps, the monitor's default


def rows() -> Iterator[Row]:
    """Yield the rows, if JAX is installed."""
    if not have("jax"):
        return
    import jax
    import jax.numpy as jnp

    def layer(last: bool) -> dict[str, jax.ShapeDtypeStruct]:
        size = WIDTH if last else 4 * WIDTH
        return {
            "kernel": jax.ShapeDtypeStruct((4 * WIDTH if last else WIDTH, size), jnp.float32),
            "bias": jax.ShapeDtypeStruct((size,), jnp.float32),
        }

    shapes = {f"layers_{n}": {"Dense_0": layer(False), "Dense_1": layer(True)} for n in range(LAYERS)}
    params = sb.jax.initialize(shapes, rng=0)

    def loss(params, x):
        for each in params.values():
            x = x + jax.nn.relu(x @ each["Dense_0"]["kernel"] + each["Dense_0"]["bias"]) @ each["Dense_1"]["kernel"]
        return (x**2).mean()

    step = jax.jit(lambda params, x: jax.tree.map(lambda p, g: p - 1e-3 * g, params, jax.grad(loss)(params, x)))
    x = jnp.ones((BATCH, WIDTH))

    def trained() -> None:
        for _ in range(3):
            jax.block_until_ready(step(params, x))

    monitor = sb.jax.Monitor(every=EVERY)

    def looked() -> None:  # as often in these steps as in all: three of a hundred
        for _ in range(3):
            monitor.look(params)

    yield Row("monitor of an MLP, a look a step", "a step of training", looked, trained, EVERY * 0.01, at_most=True)
    names = {"kernel": jax.nn.initializers.he_normal(), "bias": jax.nn.initializers.zeros}

    @jax.jit
    def theirs(key):
        flat, structure = jax.tree_util.tree_flatten_with_path(shapes)
        keys = jax.random.split(key, len(flat))
        made = [names[path[-1].key](k, s.shape, s.dtype) for k, (path, s) in zip(keys, flat, strict=True)]
        return structure.unflatten(made)

    yield Row(
        "initialize an MLP", "jax.nn.initializers, jit",
        lambda: jax.block_until_ready(sb.jax.initialize(shapes, rng=0, workers=2)),
        lambda: jax.block_until_ready(theirs(jax.random.key(0))),
    )  # fmt: skip
