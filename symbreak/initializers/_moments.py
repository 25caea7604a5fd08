"""Moments by quadrature: of a function of one uniform variable, which may grow without bound towards either end."""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ._base import Array

PANELS = 80  # on each side, every one half as wide as the one before: what is left out is 2**-81 wide


@lru_cache(maxsize=1)
def _nodes() -> tuple[Array, Array]:
    """Give points of (0, 1/2), dense towards 0, and their weights."""
    points, weights = np.polynomial.legendre.leggauss(16)
    edges = 2.0 ** -np.arange(1, PANELS + 2)
    middle, half = (edges[:-1] + edges[1:]) / 2, (edges[:-1] - edges[1:]) / 2
    return (middle[:, None] + half[:, None] * points).ravel(), (half[:, None] * weights).ravel()


def of_uniform(function: Callable[[Array, Array], Array]) -> tuple[float, float, float]:
    """Give mean, standard deviation and kurtosis of ``function(u, 1 - u)`` for u uniform on (0, 1).

    Both u and 1 - u are given, as neither can be had from the other near an end.
    """
    near, weights = _nodes()
    values = np.concatenate([function(near, 1 - near), function(1 - near, near)])
    both = np.concatenate([weights, weights])
    both /= both.sum()
    mean = float(both @ values)
    variance = float(both @ (values - mean) ** 2)
    return mean, math.sqrt(variance), float(both @ (values - mean) ** 4) / variance**2
