"""The certificate of eight dense weights against reading them once, without ties and all tied; its memory; untying."""

import resource
from collections.abc import Iterator

import numpy as np

import symbreak as sb

from ._measure import Row

UNITS, LAYERS = 4096, 8


def graph(weights: list[np.ndarray]) -> sb.LayerGraph:
    """Wire weights one after the other, with biases of zero."""
    return sb.chain([(weight, np.zeros(len(weight), np.float32)) for weight in weights])


def rows() -> Iterator[Row]:
    """Yield the rows: a random start, a constant one, and ten thousand copies of one unit."""
    init = sb.HeNormal()
    free = [init((UNITS, UNITS), sb.Key(0)[f"layers.{number}"]) for number in range(LAYERS)]
    copied = [init((10_000, 512), sb.Key(1)["in"])[:1].repeat(10_000, axis=0), np.ones((16, 10_000), np.float32)]
    for name, weights in (
        ("no ties", free),
        ("all units tied", [np.full_like(free[0], 0.5) for _ in range(LAYERS)]),
        ("10,000 equal units", copied),
    ):
        net = graph(weights)
        goal = None if name.startswith("10") else 6.0
        yield Row(
            f"certificate, {name}", "X.sum() of each weight",
            lambda net=net: sb.diagnose(net, workers=2), lambda weights=weights: sum(w.sum() for w in weights),
            goal, at_most=True, rounds=7,
        )  # fmt: skip
    net = graph([np.full_like(free[0], 0.5) for _ in range(3)])
    yield Row(
        "untie, three weights, all units tied", "their certificate",
        lambda: sb.untie(net, rng=0), lambda: sb.diagnose(net, workers=2), 10.0, at_most=True, rounds=3,
    )  # fmt: skip


def peak() -> float:
    """Give the largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
