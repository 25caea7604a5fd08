"""Orthogonal weights from the uniform (Haar) distribution, as a product of random reflections.

The QR of a Gaussian matrix does twice the work that is needed: its reflections are independent, so they can be drawn
one by one, from Gaussian vectors of falling length, and multiplied together [1]_. The product is formed from the last
block of reflections back, each block in the compact form I - V T V' [2]_; scaled so that every reflection is I - v v',
the inverse of T is the unit upper triangle of V'V [3]_.

.. [1] Stewart. "The efficient generation of random orthogonal matrices with an application to condition estimators".
   SIAM J. Numer. Anal. 17 (1980).
.. [2] Schreiber, Van Loan. "A storage-efficient WY representation for products of Householder transformations". SIAM J.
   Sci. Stat. Comput. 10 (1989).
.. [3] Joffrain et al. "Accumulating Householder transformations, revisited". ACM Trans. Math. Softw. 32 (2006).
"""

import math
from collections.abc import Callable
from dataclasses import field
from typing import Any, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import PIECE, Stream, Window
from ._base import AbstractInitializer, Array, Moments
from ._places import parts
from ._registry import register
from ._validate import check_gain

CHUNK = 1 << 18  # elements of a product that is subtracted while it is still in cache


@register("orthogonal")
@final
class Orthogonal(AbstractInitializer):
    """Orthogonal rows or columns, whichever are fewer, uniformly distributed (Haar).

    The units' incoming weights are the rows of a (units, incoming) matrix, the receptive field among the incoming.
    Every stacked copy, group, and part that the axes split off is orthogonal on its own. With ``dtype="complex64"`` or
    ``"complex128"`` it is unitary, uniformly distributed on the unitary group.

    Parameters
    ----------
    gain
        Every singular value; finite, not zero.

    Raises
    ------
    ValueError
        If `gain` is zero, lost in float32, or not finite.

    See Also
    --------
    DeltaOrthogonal : For convolutions.
    SpecialOrthogonal, Henaff, Cayley : Rotations, for recurrent weights.
    LooksLinear : For layers followed by ReLU.

    Notes
    -----
    The numbers go through BLAS, whose rounding depends on the machine (``portable = False``): the random vectors are
    the same everywhere, the weights agree to rounding.

    References
    ----------
    Saxe, McClelland, Ganguli. "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".
    ICLR 2014. :arxiv:`1312.6120`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> w = sb.Orthogonal()((4, 8), rng=0, dtype="float64")
    >>> bool(np.allclose(w @ w.T, np.eye(4)))
    True
    """

    gain: float = field(default=1.0, kw_only=True)

    elementwise = False
    portable = False

    def __post_init__(self) -> None:
        check_gain(self)

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Multiply random reflections together, one matrix a copy, group and part."""
        found = Axes.of(axes, shape)
        maps = found.matrices(stream.empty(shape))
        if not maps.flags.c_contiguous:
            maps = np.empty(maps.shape, stream.dtype)
        return found.from_matrices(fill_maps(maps, found, shape, stream, self.gain), shape)

    def sample_complex(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Multiply random complex reflections together, one matrix a copy, group and part."""
        found = Axes.of(axes, shape)
        maps = np.empty(found._map_shape(shape), np.result_type(stream.dtype, np.complex64))
        return found.from_matrices(fill_maps(maps, found, shape, stream, self.gain), shape)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0, gain / sqrt(larger side), and the singular values."""
        sizes = as_shape(shape)
        found = Axes.of(axes, sizes)
        _, units, incoming = found._map_shape(sizes)
        each = [part.stop - part.start for part in parts(found, sizes)]
        variance = sum(size / units / max(size, incoming) for size in each) if units * incoming else 0.0
        gain = abs(self.gain)
        return Moments(0.0, gain * math.sqrt(variance), -gain, gain, singular_values=(gain, gain))


def fill_maps(maps: Array, axes: Axes, shape: tuple[int, ...], stream: Stream, gain: float) -> Array:
    """Fill (copies and groups, units, incoming) with Haar-distributed matrices times a gain, one a part of units."""
    for number, each in enumerate(maps):
        for part, units in enumerate(parts(axes, shape)):
            _fill_haar(each[units], stream[f"{number},{part}"])
    if gain != 1.0:
        maps *= maps.dtype.type(gain)
    return maps


def _fill_haar(out: Array, stream: Stream) -> None:
    """Write a Haar-distributed matrix with orthonormal rows or columns, whichever are fewer."""
    if out.shape[0] >= out.shape[1]:
        _accumulate(out, stream)
    else:
        columns = np.empty(out.shape[::-1], out.dtype)
        _accumulate(columns, stream)
        out[...] = columns.T


def _accumulate(q: Array, stream: Stream) -> None:
    """Write H_0 H_1 ... H_{k-1} D into the (n, k) array `q`, n >= k: reflections H_j, signs D.

    H_j = I - v v' maps a Gaussian vector x, the entries j: of row j of a (k, n) array, to -sign(x_0) |x| e_0; D holds
    the signs that make the diagonal of the triangular factor positive, without which the product is not Haar
    distributed. Where `q` is complex, v' is the conjugate too, and signs are phases.
    """
    n, k = q.shape
    width = 32 if k <= 512 else 128 if k <= 3072 else 256
    gaussians = _complex_gaussians(stream, n, k) if q.dtype.kind == "c" else _gaussians(stream, n, k)
    q[...] = 0
    for j in range((k - 1) // width * width, -1, -width):
        b = min(width, k - j)
        v, signs = _reflectors(gaussians(j, b))  # (b, n - j)
        adjoint = v.conj() if q.dtype.kind == "c" else v  # of the columns that v holds as rows
        inverse = np.triu(adjoint @ v.T, 1)
        np.einsum("ii->i", inverse)[:] = 1
        t = _unit_upper_inverse(inverse)
        head, tail = v[:, :b], v[:, b:]
        head_adjoint, tail_adjoint = adjoint[:, :b], adjoint[:, b:]
        if j + b < k:
            right = q[j + b :, j + b :]
            product = t @ (tail_adjoint @ right)
            np.matmul(head.T, product, out=q[j : j + b, j + b :])
            np.negative(q[j : j + b, j + b :], out=q[j : j + b, j + b :])
            rows = max(1, CHUNK // product.shape[1])
            for first in range(0, len(right), rows):
                right[first : first + rows] -= tail[:, first : first + rows].T @ product
        left = q[j:, j : j + b]
        np.matmul(v.T, -(t @ head_adjoint), out=left)
        np.einsum("ii->i", left[:b])[:] += 1
        left *= signs


def _unit_upper_inverse(u: Array) -> Array:
    """Invert an upper triangular matrix with ones on its diagonal, by halves: products are faster than elimination."""
    if len(u) <= 32:
        return np.linalg.inv(u)
    half = len(u) // 2
    out = np.zeros_like(u)
    first = out[:half, :half] = _unit_upper_inverse(u[:half, :half])
    last = out[half:, half:] = _unit_upper_inverse(u[half:, half:])
    out[:half, half:] = first @ (u[:half, half:] @ -last)
    return out


def _gaussians(stream: Stream, n: int, k: int) -> Callable[[int, int], Array]:
    """Give a function that draws the entries j: of rows j to j + b of a (k, n) array of normals."""
    if n * k <= PIECE:
        every = stream.normal((k, n))
        return lambda j, b: every[j : j + b, j:]

    def draw(j: int, b: int) -> Array:
        window = Window(k * n, (j + np.arange(b)) * n + j, n - j)
        return Stream(stream.key, dtype=stream.dtype, window=window).normal((k, n)).reshape(b, n - j)

    return draw


def _complex_gaussians(stream: Stream, n: int, k: int) -> Callable[[int, int], Array]:
    """Give the same for complex normals: real and imaginary parts have streams of their own."""
    real, imaginary = _gaussians(stream["real"], n, k), _gaussians(stream["imaginary"], n, k)
    return lambda j, b: np.asarray(real(j, b) + imaginary(j, b) * np.complex64(1j))


def _reflectors(x: Array) -> tuple[Array, Array]:
    """Turn Gaussian rows into reflections of length sqrt(2), zero before the diagonal, and their signs."""
    b = len(x)
    v = np.triu(x)
    diagonal = np.einsum("ii->i", v[:, :b])
    signs = diagonal / np.abs(diagonal) if v.dtype.kind == "c" else np.copysign(1, diagonal)
    diagonal += signs * np.sqrt(_squares(v))
    v *= np.sqrt(2 / _squares(v))[:, None]
    return v, -signs


def _squares(v: Array) -> Array:
    """Give the squared length of each row."""
    if v.dtype.kind == "c":
        return np.asarray(np.einsum("ij,ij->i", v.real, v.real) + np.einsum("ij,ij->i", v.imag, v.imag))
    return np.asarray(np.einsum("ij,ij->i", v, v))
