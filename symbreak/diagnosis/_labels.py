"""Numberings of units by their classes: joined, and counted by first occurrence."""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


def joined(one: Indices, other: Indices) -> Indices:
    """Give each pair of two numberings one number, in the order of the pairs."""
    _, label = np.unique(one * (int(other.max(initial=0)) + 1) + other, return_inverse=True)
    return np.asarray(label, np.intp)


def first_seen(label: Indices) -> Indices:
    """Give classes new numbers, by first occurrence."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse])


def first_units(label: Indices) -> Indices:
    """Give the first unit of each unit's class."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return first[inverse]
