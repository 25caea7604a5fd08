"""The Hessian along the directions in which two tied units differ, from gradients alone.

The loss is the same after a swap of two tied units. So its Hessian takes what changes sign under the swap to what
changes sign under it, and there it is a block of its own, no matter what other units or classes do. With n inputs, a
bias and k outputs the block has n + 1 + k rows. Any two units of a class give the same one: with m units the Hessian
has it m - 1 times.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from symbreak.graph import LayerGraph

from ._classes import TiedClass, axes_over, swap
from ._network import Gradients, Network, gradients

Array = np.ndarray[Any, np.dtype[Any]]

FORMED = 200  # directions. Up to here the block is formed and all of its eigenvalues are found.
LOWEST = 6  # how many of the lowest eigenvalues are found of a larger block


class Spectrum(NamedTuple):
    """Eigenvalues of one block."""

    eigenvalues: Array  # ascending: all of them, or the lowest and the largest
    directions: int  # rows of the block
    resolution: float  # what is nearer to zero can't be told from it, and is given as zero


class Block:
    """The Hessian's block of one class, as something that multiplies vectors.

    A vector has one entry for each pair of entries of the parameters that the swap exchanges: how far the two move
    apart, over the square root of 2, so that lengths are those of parameters.
    """

    def __init__(
        self, net: Network, graph: LayerGraph, entries: Mapping[str, Array], tied: TiedClass, x: Any, y: Any, loss: str
    ) -> None:
        self.net = deepcopy(net)
        self.batch = x, y, loss
        self.pairs = _pairs(net, graph, entries, tied)
        self.start = {name: net.parameters[name].ravel() for name in self.pairs}
        self.directions = sum(len(first) for first, _ in self.pairs.values())
        # A cube root balances a difference's two errors: h**2 from the third derivative, eps / h from rounding. Divided
        # by the length of what the units read and write, for it is their products that enter the activations.
        found = gradients(net, x, y, loss=loss, rng=0)
        root = float(np.finfo(net.dtype).eps) ** (1 / 3)
        self.step = root / _longest([] if net.vocabulary else [np.asarray(x)], found)
        self.noise = 256 * root**2  # of the largest eigenvalue: h**2, with a margin; 1e-8 in float64, 6e-3 in float32
        self._check_tied(tied, found)

    def _check_tied(self, tied: TiedClass, found: Gradients) -> None:
        largest = max(float(abs(g).max()) for g in found.parameters.values())
        for name, part in zip(self.pairs, self._apart(found), strict=True):
            if part.size and abs(part).max() > self.noise * largest:
                raise ValueError(
                    f"units {tied.units[0]} and {tied.units[1]} of {tied.space!r} are equal, but their gradients in "
                    f"{name!r} differ by {abs(part).max():.3g}: noise drawn for each unit, such as dropout, separates "
                    f"them at once"
                )

    def _apart(self, found: Gradients) -> list[Array]:
        """Give the difference of the gradients of each pair, one array a parameter."""
        return [
            found[name].ravel()[first] - found[name].ravel()[second] for name, (first, second) in self.pairs.items()
        ]

    def __matmul__(self, vector: Array) -> Array:
        """Multiply by a vector, through one gradient.

        The central difference needs a gradient on each side, but the two points are each other's swap, and so are their
        gradients: the difference of the two units' gradients at one of them is all there is to know.
        """
        length = float(np.linalg.norm(vector))
        if not length:
            return np.zeros_like(vector)
        shift = vector * (self.step / length / np.sqrt(2))
        parameters = self.net.parameters
        begin = 0
        for name, (first, second) in self.pairs.items():
            part = shift[begin : begin + len(first)]
            parameters[name].flat[first] = self.start[name][first] + part
            parameters[name].flat[second] = self.start[name][second] - part
            begin += len(first)
        x, y, loss = self.batch
        apart = self._apart(gradients(self.net, x, y, loss=loss, rng=0))
        product: Array = np.concatenate(apart).astype(np.float64) * (length / self.step / np.sqrt(2))
        return product

    def spectrum(self) -> Spectrum:
        """Find the eigenvalues: all of a small block; the lowest few and the largest of a large one."""
        return self._formed() if self.directions <= FORMED else self._by_products()

    def _formed(self) -> Spectrum:
        matrix = np.stack([self @ row for row in np.eye(self.directions)], axis=1)
        error = float(np.linalg.norm(matrix - matrix.T, 2))  # of a Hessian it would be zero
        return self._rounded(np.linalg.eigvalsh((matrix + matrix.T) / 2), error)

    def _by_products(self) -> Spectrum:
        from scipy.sparse.linalg import LinearOperator, eigsh

        size = self.directions
        one, other = np.cos(np.arange(size)), np.sin(np.sqrt(2) * np.arange(size))  # fixed, and of no special direction
        one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
        error = float(abs(other @ (self @ one) - one @ (self @ other)) * np.sqrt(size))
        operator = LinearOperator((size, size), matvec=self.__matmul__, dtype=np.float64)
        lowest = eigsh(operator, k=LOWEST, which="SA", v0=one, tol=self.noise, return_eigenvectors=False)
        largest = eigsh(operator, k=1, which="LA", v0=one, tol=self.noise, return_eigenvectors=False)
        return self._rounded(np.sort(np.concatenate([lowest, largest])), error)

    def _rounded(self, eigenvalues: Array, error: float) -> Spectrum:
        resolution = 4 * error + self.noise * float(abs(eigenvalues).max())
        return Spectrum(np.where(abs(eigenvalues) <= resolution, 0.0, eigenvalues), self.directions, resolution)


def _pairs(
    net: Network, graph: LayerGraph, entries: Mapping[str, Array], tied: TiedClass
) -> dict[str, tuple[Array, Array]]:
    """Give the entries that a swap of two units exchanges, of each parameter that has some: the one, and the other."""
    swapped = [
        np.stack([entries[name], swap(entries[name], axes, *tied.units[:2])], axis=-1).reshape(-1, 2)
        for name, axes in (axes_over(graph, tied.space) or {}).items()
    ]
    pairs = np.concatenate(swapped)
    pairs = np.unique(pairs[(pairs[:, 0] > 0) & (pairs[:, 0] < pairs[:, 1])], axis=0) - 1
    found, begin = {}, 0
    for name, array in net.parameters.items():
        own = pairs[(pairs[:, 0] >= begin) & (pairs[:, 0] < begin + array.size)] - begin
        if len(own):
            found[name] = own[:, 0], own[:, 1]
        begin += array.size
    return found


def _longest(inputs: list[Array], found: Gradients) -> float:
    """Give the largest norm of what a layer reads for one row of the batch, with the 1 that biases read."""
    rows = (each.astype(np.float64).reshape(len(each), -1) for each in (*inputs, *found.activations.values()))
    return max(float(np.sqrt(1 + np.square(each).sum(axis=1)).max()) for each in rows)
