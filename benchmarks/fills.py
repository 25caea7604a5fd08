"""Filling an existing 4096 x 4096 float32 array: normal, uniform, truncated normal; and parts of it."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

import numpy as np

import symbreak as sb

from ._measure import Row, have

SHAPE = (4096, 4096)
WORKERS = 2
MORE = 25  # rounds of rows whose goal a disturbance of a second would decide
LONG = 75  # rounds where it is the second core that counts: a shared host gives more or less of it by the second
INF = float("inf")
# Every other elementwise class, and the fill of what it draws from. A uniform is drawn in 2 rounds of arithmetic and a
# logarithm of it takes 15 more; the normal, which is made of one too, is the fill that they are compared with.
SHELF = [
    (sb.Rademacher(0.02), "signs"),
    (sb.LecunNormal(), "normal"),
    (sb.GlorotUniform(), "uniform"),
    (sb.HeTruncatedNormal(), "truncated normal"),
    (sb.TruncatedNormal(0.02, corrected=True), "truncated normal"),
    (sb.TruncatedNormal(low=8, high=2000), "far tail"),
    (sb.Ones(), "constant"),
    (sb.Identity(), "constant"),
    (sb.Dirac(), "constant"),
    (sb.PaddedIdentity(), "constant"),
    (sb.ZerO(), "constant"),
    (sb.Constant(np.arange(4096.0)), "constant"),
    (sb.Siren(), "uniform"),
    (sb.LogOfUniform(), "normal"),
    (sb.LruThetaLog(), "normal"),
    (sb.LruNuLog(), "normal"),
    (sb.LruNuLog(0.9, 0.999), "normal"),
    (sb.MambaDtBias(), "normal"),
    (sb.Fourier(part="real"), "normal"),
]
CASES = [
    ("normal", sb.Normal(0.02), 1.4),
    ("uniform", sb.Uniform(-0.05, 0.05), 2.5),
    ("truncated normal", sb.TruncatedNormal(0.02), 10.0),
]

MADE_OF_OTHERS = [  # at most 1.5 times the fill of what they are made of
    ("scaled", sb.Scaled(sb.Uniform(), 0.5), sb.Uniform()),
    ("masked by a rule", sb.Masked(sb.Normal(), "lower"), sb.Normal()),
    ("blocks along the units", sb.Blocks((sb.Uniform(), sb.Uniform()), (-1, 1000)), sb.Uniform()),
    ("blocks of normals along the inputs", sb.Blocks((sb.Normal(), sb.Normal()), (-1, 1000), "i"), sb.Normal()),
    ("blocks of uniforms along the inputs", sb.Blocks((sb.Uniform(), sb.Uniform()), (-1, 1000), "i"), sb.Uniform()),
    ("perturbed", sb.Perturbed(sb.Constant(0.5)), sb.Uniform()),
    ("perturbed normal", sb.Perturbed(sb.Normal()), sb.Normal()),
]

# For the record: logarithms of uniforms, and a sum of two, against the fill of one uniform, which is no bound for them.
AGAINST_UNIFORM = [sb.LogOfUniform(), sb.LruThetaLog(), sb.MambaDtBias(), sb.LruNuLog(), sb.Perturbed(sb.Uniform())]


def rows() -> Iterator[Row]:
    """Yield the rows against torch, jax and NumPy, as far as they are installed."""
    out = np.zeros(SHAPE, np.float32)
    key = sb.Key(0)["w"]

    def ours(init: sb.AbstractInitializer, workers: int = WORKERS):
        return lambda: init.fill(out, key, workers=workers)

    for name, init, base in MADE_OF_OTHERS:
        yield Row(f"fill {name}", repr(base), ours(init), ours(base), 1.5, at_most=True, rounds=MORE)
    if have("torch"):
        yield from torch_rows(key)
    if have("jax"):
        import jax

        seed = jax.random.key(0)
        drawn = {
            "normal": jax.nn.initializers.normal(0.02),
            "uniform": jax.nn.initializers.uniform(0.05),
            "truncated normal": jax.nn.initializers.truncated_normal(0.02),
        }
        for name, init, _ in CASES:
            jitted = jax.jit(drawn[name], static_argnums=(1,))
            yield Row(
                f"fill {name}",
                "jax.nn.initializers, jit",
                ours(init),
                lambda f=jitted: f(seed, SHAPE).block_until_ready(),
            )
    if have("keras", "jax"):
        os.environ.setdefault("KERAS_BACKEND", "jax")
        import keras

        layers = {
            "normal": keras.initializers.RandomNormal(0.0, 0.02, seed=0),
            "uniform": keras.initializers.RandomUniform(-0.05, 0.05, seed=0),
            "truncated normal": keras.initializers.TruncatedNormal(0.0, 0.02, seed=0),
        }
        for name, init, _ in CASES:
            yield Row(
                f"fill {name}", f"keras.initializers, {keras.backend.backend()}", ours(init),
                lambda layer=layers[name]: np.asarray(layer(SHAPE)),
            )  # fmt: skip
    generator = np.random.default_rng(0)
    yield Row(
        "fill normal", "numpy Generator, one thread", ours(sb.Normal()),
        lambda: generator.standard_normal(dtype=np.float32, out=out),
    )  # fmt: skip
    yield Row(
        "fill uniform", "numpy Generator, one thread", ours(sb.Uniform(0, 1)),
        lambda: generator.random(dtype=np.float32, out=out),
    )  # fmt: skip
    with two_processes() as halves:
        for name, init, _ in CASES:
            yield Row(f"fill {name}, two workers", "itself, one worker", ours(init), ours(init, 1), 1.6, rounds=LONG)
            # What the machine's second core can give, to read the row above by: nothing is shared but the memory.
            both = partial(halves, init)
            yield Row(f"fill {name}, two processes", "one worker", both, ours(init, 1), rounds=LONG)
    yield from shelf_rows(out, key)
    init = sb.HeNormal()
    for what, index, goal in (("rows", np.s_[:512], 0.15), ("columns", np.s_[:, 1024:1536], 0.5)):
        yield Row(
            f"region, 1/8 of the {what}", "the whole",
            lambda index=index: init.region(SHAPE, index, key, workers=WORKERS),
            lambda: init(SHAPE, key, workers=WORKERS), goal, at_most=True, rounds=MORE,
        )  # fmt: skip


def torch_rows(key: sb.Key) -> Iterator[Row]:
    """Yield the rows against torch: in float32, which have goals, and in a wider and a narrower dtype."""
    import torch

    torch.set_num_threads(WORKERS)
    for dtype in ("float32", "float64", "bfloat16"):
        out, tensor = sb.Zeros()(SHAPE, 0, dtype=dtype), torch.zeros(SHAPE, dtype=getattr(torch, dtype))
        theirs = {
            "normal": partial(torch.nn.init.normal_, tensor, 0, 0.02),
            "uniform": partial(torch.nn.init.uniform_, tensor, -0.05, 0.05),
            "truncated normal": partial(torch.nn.init.trunc_normal_, tensor, 0, 0.02, -0.04, 0.04),
        }
        for name, init, goal in CASES:
            what, goal = (f"fill {name}", goal) if dtype == "float32" else (f"fill {name}, {dtype}", None)
            yield Row(what, "torch.nn.init", partial(init.fill, out, key, workers=WORKERS), theirs[name], goal)


@contextmanager
def two_processes() -> Iterator[Callable[[sb.AbstractInitializer], None]]:
    """Give a function that fills half of the array in each of two processes of one thread."""
    context = multiprocessing.get_context("spawn")  # of nothing that this process has running
    ends, processes = [], []
    for _ in range(2):
        here, there = context.Pipe()
        processes.append(context.Process(target=fill_half, args=(there,), daemon=True))
        processes[-1].start()
        ends.append(here)

    def halves(init: sb.AbstractInitializer) -> None:
        for end in ends:
            end.send(init)
        for end in ends:
            end.recv()

    yield halves
    for end, process in zip(ends, processes, strict=True):
        end.send(None)
        process.join()


def fill_half(end: Connection) -> None:
    """Fill half of the array for each initializer that comes, until None does."""
    out, key = np.zeros((SHAPE[0] // 2, SHAPE[1]), np.float32), sb.Key(0)["w"]
    while (init := end.recv()) is not None:
        init.fill(out, key, workers=1)
        end.send(None)


def shelf_rows(out: np.ndarray, key: sb.Key) -> Iterator[Row]:
    """Yield, for every elementwise class, its time against that of the fill of its distribution, at most 1.5 times."""
    from symbreak.streams import Stream

    class Signs(sb.AbstractInitializer):
        def sample(self, shape, stream: Stream, axes):
            return stream.sign(shape)

    fills = {
        "signs": Signs(),
        "normal": sb.Normal(),
        "uniform": sb.Uniform(),
        "truncated normal": sb.TruncatedNormal(),
        "far tail": sb.TruncatedNormal(low=8, high=INF),
        "constant": sb.Constant(0.5),
    }
    for init, name in SHELF:
        target = out[:2049] if isinstance(init, sb.Fourier) else out
        yield Row(
            f"fill {type(init).__name__}", f"the fill of {name}",
            lambda init=init, target=target: init.fill(target, key, workers=WORKERS),
            lambda init=fills[name], target=target: init.fill(target, key, workers=WORKERS),
            None if isinstance(init, sb.Fourier) else 1.5,  # a spectrum is nobody's distribution
            at_most=True, rounds=MORE,
        )  # fmt: skip
    for init in AGAINST_UNIFORM:
        yield Row(
            f"fill {init!r}", "one fill of uniform",
            lambda init=init: init.fill(out, key, workers=WORKERS),
            lambda: fills["uniform"].fill(out, key, workers=WORKERS), at_most=True,
        )  # fmt: skip
