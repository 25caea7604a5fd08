"""A step of training in the engine against PyTorch's eager mode, and the tie-preserving product against BLAS."""

from collections.abc import Callable, Iterator

import numpy as np

from symbreak import engine
from symbreak.engine._products import blas, tie_preserving

from ._measure import Row, have

STEPS = 200
RATE = 0.1


def rows() -> Iterator[Row]:
    """Yield the rows of both networks, each product against torch, and those of the product alone."""
    if have("torch"):
        for sizes, batch, goals in (([2, 4, 1], 4, (4.0, 4.0)), ([64, 128, 10], 64, (2.0, None))):
            for dtype in ("float32", "float64"):
                for product, goal in zip(("blas", "tie_preserving"), goals, strict=True):
                    name = f"{STEPS} steps of {'-'.join(map(str, sizes))}, {dtype}, {product}"
                    goal = goal if dtype == "float32" else None  # torch's own default
                    sides = ours(sizes, batch, dtype, product), torch_side(sizes, batch, dtype)
                    yield Row(name, "torch, eager", *sides, goal, rounds=15)
    rng = np.random.default_rng(0)
    for a, b, dtype, goal in (
        ((64, 64), (128, 64), "float64", 8.0),
        ((64, 64), (128, 64), "float32", None),
        ((256, 512), (512, 512), "float64", None),
    ):
        left, right = rng.normal(size=a).astype(dtype), rng.normal(size=b).astype(dtype)
        yield Row(
            f"tie-preserving product, {a[0]} x {a[1]} x {b[0]}, {dtype}",
            "BLAS",
            lambda left=left, right=right: [tie_preserving(left, right) for _ in range(20)],
            lambda left=left, right=right: [blas(left, right) for _ in range(20)],
            goal,
            at_most=True,
            rounds=31,
        )


def data(sizes: list[int], batch: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Give inputs and targets."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(batch, sizes[0])).astype(dtype), rng.normal(size=(batch, sizes[-1])).astype(dtype)


def ours(sizes: list[int], batch: int, dtype: str, product: str) -> Callable[[], object]:
    """Train with the engine: checks, history and all."""
    x, y = data(sizes, batch, dtype)
    net = engine.mlp(sizes, init="glorot_uniform", rng=0, dtype=dtype, product=product)
    return lambda: engine.train(net, x, y, optimizer=engine.SGD(RATE), steps=STEPS)


def torch_side(sizes: list[int], batch: int, dtype: str) -> Callable[[], object]:
    """Train with torch.nn and torch.optim.SGD, one thread: products as small as these don't gain by two."""
    import torch

    torch.set_num_threads(1)
    x, y = (torch.from_numpy(array) for array in data(sizes, batch, dtype))
    net = torch.nn.Sequential(
        torch.nn.Linear(sizes[0], sizes[1]), torch.nn.Tanh(), torch.nn.Linear(sizes[1], sizes[2])
    ).to(getattr(torch, dtype))
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(x), y).backward()
            optimizer.step()

    return run
