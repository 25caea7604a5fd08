"""All pairs of rows within a distance: candidates from a filter that can't miss one, each compared in float64.

Two filters. A projection on orthonormal directions shortens every difference, so rows that are near are near in six
directions too, where a k-d tree finds them. And a product of two blocks of rows gives all their distances at once, up
to a rounding error that is allowed for. How many candidates the tree would give is counted before it is asked.

Bentley. "Multidimensional binary search trees used for associative searching". Commun. ACM 18 (1975).
"""

import itertools
from typing import final

import numpy as np
import numpy.typing as npt

from symbreak.diagnosis._rows import Array, Indices, Rows

DIRECTIONS = 6  # a k-d tree of more is slower, one of fewer is less sharp
SAMPLE = 512  # rows by which the directions of the largest variance are estimated
CANDIDATES = 1 << 22  # pairs that the tree may give: 64 MiB
FEW = 256  # rows up to which one product is all that is needed
ROWS = 2048  # rows of a block in a product
CHECKED = 1 << 12  # pairs that are compared between two looks at what is joined
SINGLE, DOUBLE = 2.0**-24, 2.0**-53  # half the distance from 1 to the next number


@final
class Classes:
    """Classes of rows that grow as pairs are joined."""

    def __init__(self, count: int) -> None:
        self.labels: Indices = np.arange(count)

    def join(self, first: Indices, second: Indices) -> None:
        """Join the classes of pairs of rows."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        size = len(self.labels)
        ends = self.labels[first], self.labels[second]
        joins = coo_array((np.ones(len(first), np.int8), ends), shape=(size, size))
        self.labels = connected_components(joins)[1].astype(np.intp)[self.labels]

    def apart(self, first: Indices, second: Indices) -> npt.NDArray[np.bool_]:
        """Say which pairs are not joined."""
        return np.asarray(self.labels[first] != self.labels[second])


@final
class Window:
    """Rows of like lengths, among which all pairs within a relative distance are joined.

    Parameters
    ----------
    rows, some
        The rows, and the numbers of those that are looked at.
    power
        The power of two by which they are divided, so that lengths are about one.
    tolerance
        Two rows are near when the length of their difference is at most this times that of the longer one.
    opposite
        Whether one of the two is taken with the other sign.
    workers
        Threads for the k-d tree.
    """

    def __init__(self, rows: Rows, some: Indices, power: int, tolerance: float, opposite: bool, workers: int) -> None:
        self._rows, self._some, self._power, self._tolerance = rows, some, power, tolerance
        self._opposite, self._workers = opposite, workers
        self._lengths = self._relative_lengths()

    def _relative_lengths(self) -> Array:
        return np.asarray(np.exp2(self._rows.log_lengths(self._some) - self._power))

    def join(self, classes: Classes) -> None:
        """Join all near pairs."""
        if len(self._some) <= FEW or not self._by_tree(classes):
            self._by_products(classes)

    def _by_tree(self, classes: Classes) -> bool:
        """Search by a k-d tree, unless it would give too many candidates; return whether it was done."""
        from scipy.spatial import cKDTree

        points = self._projected()
        radius = (self._tolerance * (1 + 1e-9) + self._rounding(DOUBLE)) * self._lengths.max()
        asked = -points if self._opposite else points
        tree = cKDTree(points)
        # Both ask for each pair twice, and for each row itself; asking row by row is what runs on several threads.
        if int(tree.query_ball_point(asked, radius, return_length=True, workers=self._workers).sum()) > 2 * CANDIDATES:
            return False
        found = tree.query_ball_point(asked, radius, workers=self._workers)
        first = np.repeat(np.arange(len(points)), [len(each) for each in found])
        second = np.fromiter(itertools.chain.from_iterable(found), np.intp, len(first))
        kept = second > first
        self._compare(first[kept], second[kept], classes)
        return True

    def _projected(self) -> Array:
        """Return the rows along a few orthonormal directions, those in which a sample of them varies most."""
        width, random = self._rows.width, np.random.Generator(np.random.PCG64DXSM(0))
        sample = self._take(np.sort(random.permutation(len(self._some))[:SAMPLE]))
        sample = sample - sample.mean(axis=0)
        probe = random.standard_normal((width, min(width, DIRECTIONS + 4)))
        basis = np.linalg.qr(sample.T @ (sample @ probe))[0]  # orthonormal also where the sample spans less
        basis = basis @ np.linalg.svd(sample @ basis, full_matrices=False)[2].T[:, :DIRECTIONS]
        points = np.empty((len(self._some), basis.shape[1]))
        for low in range(0, len(points), self._rows.step):
            part = slice(low, low + self._rows.step)
            points[part] = self._take(np.arange(len(points))[part]) @ basis
        return points

    def _by_products(self, classes: Classes) -> None:
        """Search by products of blocks of rows."""
        height = min(ROWS, 4 * self._rows.step)
        for top in range(0, len(self._some), height):
            upper = np.arange(top, min(top + height, len(self._some)))
            above = self._take(upper)
            for left in range(top, len(self._some), height):
                lower = np.arange(left, min(left + height, len(self._some)))
                beside = above if left == top else self._take(lower)
                self._multiply(upper, above, lower, beside, classes)

    def _multiply(self, upper: Indices, above: Array, lower: Indices, beside: Array, classes: Classes) -> None:
        """Compare the pairs of two blocks that a product does not rule out; a coarse one is followed by a fine one."""
        for kind, unit in ((np.float32, SINGLE), (np.float64, DOUBLE)):
            near = self._within(above.astype(kind), beside.astype(kind), unit)
            if not near.any():
                return
            if upper[0] == lower[0]:
                near = np.triu(near)  # each pair once
            first, second = np.nonzero(near)
            kept = classes.apart(self._some[upper[first]], self._some[lower[second]])
            first, second = first[kept], second[kept]
            if len(first) <= 4 * CHECKED:
                break
        self._compare(upper[first], lower[second], classes)

    def _within(self, above: Array, beside: Array, unit: float) -> npt.NDArray[np.bool_]:
        """Say which pairs can be near: those whose squared distance is at most that of the longest row's bound.

        The squared lengths are two more columns of the product, so that it is the distance itself, with a minus.
        """
        squares, others = (np.einsum("ij,ij->i", each, each)[:, np.newaxis] for each in (above, beside))
        one = np.concatenate([above, squares, np.ones_like(squares)], axis=1)
        other = np.concatenate([beside * (-2 if self._opposite else 2), -np.ones_like(others), -others], axis=1)
        longest = float(max(squares.max(), others.max()))
        return np.asarray(one @ other.T >= -(self._tolerance**2 + self._rounding(unit)) * longest)

    def _rounding(self, unit: float) -> float:
        """Give what rounding can add to a distance, relative to the longest row.

        Of a projected difference it is at most the square root of 24 a term, of a squared distance seven.
        """
        return 8 * (self._rows.width + 64) * unit

    def _compare(self, first: Indices, second: Indices, classes: Classes) -> None:
        """Join the pairs that are near; those that are joined already, by way of others, are left out."""
        kept = classes.apart(self._some[first], self._some[second])
        first, second = first[kept], second[kept]
        step = min(CHECKED, self._rows.step)
        while len(first):
            some, others = first[:step], second[:step]
            first, second = first[step:], second[step:]
            near = self._is_near(some, others)
            if near.any():
                classes.join(self._some[some[near]], self._some[others[near]])
                kept = classes.apart(self._some[first], self._some[second])
                first, second = first[kept], second[kept]

    def _is_near(self, first: Indices, second: Indices) -> npt.NDArray[np.bool_]:
        one, other = self._take(first), self._take(second)
        difference = one + other if self._opposite else one - other
        squares = np.einsum("ij,ij->i", difference, difference)
        lengths = np.maximum(np.einsum("ij,ij->i", one, one), np.einsum("ij,ij->i", other, other))
        return np.asarray(squares <= self._tolerance**2 * lengths)

    def _take(self, numbers: Indices) -> Array:
        return self._rows.take(self._some[numbers], self._power)
