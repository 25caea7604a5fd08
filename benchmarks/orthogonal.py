"""Haar orthogonal float32 matrices against torch's QR of a Gaussian."""

from collections.abc import Iterator

import symbreak as sb

from ._measure import Row, have

GOALS = {256: 0.8, 1024: None, 2048: 1.8, 4096: 1.8}


def rows() -> Iterator[Row]:
    """Yield one row a size."""
    if not have("torch"):
        return
    import torch

    torch.set_num_threads(2)
    init, key = sb.Orthogonal(), sb.Key(0)["w"]
    for n, goal in GOALS.items():
        tensor = torch.empty(n, n)
        yield Row(
            f"orthogonal {n}",
            "torch.nn.init",
            lambda n=n: init((n, n), key),
            lambda tensor=tensor: torch.nn.init.orthogonal_(tensor),
            goal,
            rounds=3 if n > 2048 else 7 if n > 256 else 41,
        )
