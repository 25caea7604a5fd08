"""Finding nearly equal units of one weight against a search of all pairs by Faiss."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

import symbreak as sb
from symbreak.diagnosis import find_near_ties

from ._measure import Row, have

SHAPE, PAIRS, TOLERANCE = (50_000, 768), 500, 0.01
WORKERS = 2


def planted() -> tuple[npt.NDArray[Any], list[tuple[int, ...]]]:
    """Return a random weight with pairs of units planted at nine tenths of the tolerance, and the pairs."""
    weight = sb.Normal()(SHAPE, sb.Key(0)["w"])
    random = np.random.default_rng(0)
    pairs = random.permutation(SHAPE[0])[: 2 * PAIRS].reshape(-1, 2)
    noise = random.standard_normal((PAIRS, SHAPE[1]))
    lengths = np.linalg.norm(weight[pairs[:, 0]], axis=1) / np.linalg.norm(noise, axis=1)
    weight[pairs[:, 1]] = weight[pairs[:, 0]] + 0.9 * TOLERANCE * lengths[:, np.newaxis] * noise
    return weight, sorted(tuple(sorted(pair)) for pair in pairs.tolist())


def rows() -> Iterator[Row]:
    """Yield the row, once every planted pair is found and nothing else."""
    weight, pairs = planted()
    if sorted(find_near_ties(weight, TOLERANCE, workers=WORKERS).groups) != pairs:
        raise AssertionError("what was found is not what was planted")
    if not have("faiss"):
        return
    import faiss

    faiss.omp_set_num_threads(WORKERS)
    longest = float(np.linalg.norm(weight, axis=1).max())

    def search() -> object:
        """Find all pairs within the distance; the index is built each time, as ours is."""
        index = faiss.IndexFlatL2(SHAPE[1])
        index.add(weight)
        return index.range_search(weight, (TOLERANCE * longest) ** 2)

    name = f"near ties {SHAPE[0]} x {SHAPE[1]} at {TOLERANCE:g}"
    ours = lambda: find_near_ties(weight, TOLERANCE, workers=WORKERS)  # noqa: E731
    yield Row(name, "faiss IndexFlatL2.range_search", ours, search, 15.0, rounds=3)
