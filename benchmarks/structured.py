"""Sparse, delta-orthogonal, Dirac and ZerO weights of 4096 units against torch, jax and SciPy."""

from collections.abc import Iterator

import numpy as np

import symbreak as sb

from ._measure import Row, have

N = 4096


def rows() -> Iterator[Row]:
    """Yield one row a scheme that a peer has, and ZerO against SciPy's Hadamard matrix."""
    key = sb.Key(0)["w"]
    if have("torch"):
        import torch

        torch.set_num_threads(2)
        dense, kernel = torch.zeros(N, N), torch.zeros(N, N, 3)
        own, taps = np.zeros((N, N), np.float32), np.zeros((N, N, 3), np.float32)
        for share in (15 / N, 0.1, 0.5):
            yield Row(
                f"sparse {N}, {share:.2g} of the inputs", "torch.nn.init",
                lambda share=share: sb.Sparse(share).fill(own, key),
                lambda share=share: torch.nn.init.sparse_(dense, 1 - share), 1.0, rounds=3,
            )  # fmt: skip
        yield Row(
            f"dirac {N}, 3 taps", "torch.nn.init", lambda: sb.Dirac().fill(taps, key),
            lambda: torch.nn.init.dirac_(kernel), 1.0, rounds=5,
        )  # fmt: skip
        yield Row(
            f"identity {N}", "torch.nn.init", lambda: sb.Identity().fill(own, key), lambda: torch.nn.init.eye_(dense),
        )  # fmt: skip
    if have("jax"):
        import jax

        theirs = jax.jit(jax.nn.initializers.delta_orthogonal(), static_argnums=(1,))
        seed = jax.random.key(0)
        yield Row(
            f"delta-orthogonal {N}, 3 taps", "jax.nn.initializers, jit",
            lambda: sb.DeltaOrthogonal()((3, N, N), key, axes="wio"),
            lambda: theirs(seed, (3, N, N)).block_until_ready(), 1.0, rounds=1,
        )  # fmt: skip
    from scipy import linalg

    yield Row(
        f"ZerO {N}, from {N // 2} inputs", "scipy.linalg.hadamard", lambda: sb.ZerO()((N, N // 2), key),
        lambda: linalg.hadamard(N, "float32")[:, : N // 2] / 64,
    )  # fmt: skip
