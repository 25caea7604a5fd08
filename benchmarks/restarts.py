"""A thousand restarts of a 2-4-1 tanh network on XOR, 2,000 steps each, against torch and jax."""

from collections.abc import Iterator

import numpy as np

import symbreak as sb
from symbreak import engine

from ._measure import Row, have

STARTS, STEPS, RATE = 1000, 2000, 0.3
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([[0], [1], [1], [0]], np.float32)
SHAPES = {"w1": (4, 2), "b1": (4,), "w2": (1, 4), "b2": (1,)}


def ours() -> sb.Restarts:
    """Train every start here, in one process, drawing included."""
    return sb.restarts([2, 4, 1], X, Y, starts=STARTS, steps=STEPS, optimizer=engine.SGD(RATE), rng=0)


def drawn(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the peers' starts, outside of what is timed."""
    found = {}
    for name, shape in SHAPES.items():
        values = rng.normal(size=(STARTS, *shape)) if name.startswith("w") else np.zeros((STARTS, *shape))
        found[name] = values.astype(np.float32)
    return found


def rows() -> Iterator[Row]:
    """Yield one row a peer. The losses of every step are computed by all sides, and the best weights kept by ours."""
    name = f"{STARTS} restarts, {STEPS} steps"
    if have("torch"):
        yield Row(name, "torch.func.vmap", ours, torch_side(), 8.0, rounds=3)  # 4 seconds a round
    if have("jax"):
        yield Row(name, "jax, jit + vmap", ours, jax_side(), 0.65, rounds=5)


def torch_side():
    """Step all starts with torch.func.vmap of value and gradient."""
    import torch

    torch.set_num_threads(2)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)

    def loss(p):
        hidden = torch.tanh(x @ p["w1"].T + p["b1"])
        return ((hidden @ p["w2"].T + p["b2"] - y) ** 2).mean()

    step = torch.func.vmap(torch.func.grad_and_value(loss))
    start = {name: torch.from_numpy(array) for name, array in drawn(np.random.default_rng(0)).items()}

    def run():
        p = start
        for _ in range(STEPS):
            gradients, _ = step(p)
            p = {name: p[name] - RATE * gradients[name] for name in p}
        return p

    return run


def jax_side():
    """Run all steps of all starts in one compiled call."""
    import jax
    import jax.numpy as jnp

    def loss(p):
        hidden = jnp.tanh(X @ p["w1"].T + p["b1"])
        return jnp.mean((hidden @ p["w2"].T + p["b2"] - Y) ** 2)

    def train(p):
        def step(p, _):
            value, gradients = jax.value_and_grad(loss)(p)
            return jax.tree.map(lambda a, g: a - RATE * g, p, gradients), value

        return jax.lax.scan(step, p, None, length=STEPS)

    compiled = jax.jit(jax.vmap(train))
    start = drawn(np.random.default_rng(0))
    return lambda: jax.block_until_ready(compiled(start))
