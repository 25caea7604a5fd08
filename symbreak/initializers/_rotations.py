"""Unitary starts of recurrent weights: rotations, in planes of two units or of all at once, with determinant +1."""

import math
from typing import Any, ClassVar, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from ..streams import _elementary as elementary
from ._base import AbstractInitializer, Array, Moments
from ._orthogonal import Orthogonal
from ._registry import register

FORMS = ("rotation", "skew")


def _square(name: str, shape: tuple[int, ...], axes: AxesLike) -> tuple[Axes, int, int]:
    """Give the layout, the number of maps and their size."""
    found = Axes.of(axes, shape)
    maps, units, incoming = found._map_shape(shape)
    if found.splits != 1:
        parts = len(found.parts(shape))
        raise ValueError(f"{name}: rotations are square; make the {parts} parts that the axes split off one by one")
    if units != incoming:
        raise ValueError(
            f"{name}: a rotation takes as many units as it reads, but `shape` {shape} has {units} units that read "
            f"{incoming}; use `Orthogonal()`"
        )
    return found, maps, units


class _Planes(AbstractInitializer):
    """Base of the classes that turn each pair of neighbouring units by an angle of its own."""

    form: str = "rotation"

    elementwise = False

    cosine: ClassVar[float]  # mean of the cosine of an angle
    skew: ClassVar[tuple[float, float]]  # of an entry of a generator's block: second moment and bound

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"{type(self).__name__}: form is 'rotation' or 'skew'; got {self.form!r}")

    def _entries(self, u: Array) -> tuple[Array, Array]:
        """Give the diagonal and the upper entry of each block from uniforms on (-1, 1)."""
        raise NotImplementedError

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write a block of two for each pair of units; an odd unit is left as it is."""
        found, count, n = _square(type(self).__name__, shape, axes)
        maps = np.zeros((count, n, n), np.float64)
        if n % 2 and self.form == "rotation":
            maps[:, -1, -1] = 1.0
        first = np.arange(0, n - 1, 2)
        diagonal, upper = self._entries(stream.uniform((count, n // 2)).astype(np.float64))
        maps[:, first, first] = maps[:, first + 1, first + 1] = diagonal
        maps[:, first, first + 1] = upper
        maps[:, first + 1, first] = -upper
        return found.from_matrices(maps, shape)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments over all entries, most of which are zero."""
        sizes = as_shape(shape)
        _, _, n = _square(type(self).__name__, sizes, axes)
        paired = n - n % 2
        if not n:
            return Moments(0.0, 0.0, 0.0, 0.0)
        if self.form == "skew":
            second, high = self.skew
            bound = high if paired else 0.0
            # A fourth moment of 2.1 squares at most, and numbers that come in pairs.
            return Moments(0.0, math.sqrt(paired * second) / n, -bound, bound, kurtosis=4.2 * n * n / max(1, paired))
        mean = (paired * self.cosine + n % 2) / n**2  # the sines of a block cancel
        std = math.sqrt(max(0.0, 1 / n - mean * mean))
        return Moments(mean, std, -1.0 if paired else 1.0, 1.0, singular_values=(1.0, 1.0), kurtosis=max(3.0, n))

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State that of one unit of a generator, whose pair is equal to it where the angle is rounded to zero."""
        _, _, n = _square(type(self).__name__, shape, axes)
        return one / (n - 1) if self.form == "skew" and n > 1 else 0.0


@register("henaff")
@final
class Henaff(_Planes):
    """Rotations of pairs of units by angles uniform on (-pi, pi): eigenvalues all over the unit circle.

    Parameters
    ----------
    form
        ``"rotation"``: the orthogonal weight, blocks [[cos, sin], [-sin, cos]]. ``"skew"``: its generator, blocks
        [[0, angle], [-angle, 0]], for networks that take the matrix exponential of their parameter (expRNN).

    Raises
    ------
    ValueError
        For another form; when called, for a shape that is not square.

    Notes
    -----
    With an odd number of units the last one is not turned.

    References
    ----------
    Henaff, Szlam, LeCun. "Recurrent orthogonal networks and long-memory tasks". ICML 2016, section 3.
    :arxiv:`1602.06662`

    Lezcano-Casado, Martínez-Rubio. "Cheap orthogonal constraints in neural networks". ICML 2019 (the generator).
    :arxiv:`1901.08428`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> w = sb.Henaff()((6, 6), rng=0, dtype="float64")
    >>> bool(np.allclose(w @ w.T, np.eye(6))), round(float(np.linalg.det(w)), 12)
    (True, 1.0)
    """

    form: str = "rotation"

    cosine = 0.0
    skew = math.pi**2 / 3, math.pi

    def _entries(self, u: Array) -> tuple[Array, Array]:
        if self.form == "skew":
            return np.zeros_like(u), math.pi * u
        return elementary.cos_sin(4 * u)


@register("cayley")
@final
class Cayley(_Planes):
    r"""Rotations of pairs of units by angles uniform on (0, pi/2): eigenvalues in the right half of the unit circle.

    Parameters
    ----------
    form
        ``"rotation"``: the orthogonal weight W. ``"skew"``: the A of which it is the Cayley transform,
        :math:`W = (I + A)^{-1}(I - A)`, blocks [[0, s], [-s, 0]] with
        :math:`s = -\sqrt{(1 - \cos t) / (1 + \cos t)} = -\tan(t/2)` for the angle t.

    Raises
    ------
    ValueError
        For another form; when called, for a shape that is not square.

    Notes
    -----
    With an odd number of units the last one is not turned.

    References
    ----------
    Helfrich, Willmott, Ye. "Orthogonal recurrent neural networks with scaled Cayley transform". ICML 2018, section 4.3.
    :arxiv:`1707.09520`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> w = sb.Cayley()((6, 6), rng=0, dtype="float64")
    >>> a = sb.Cayley("skew")((6, 6), rng=0, dtype="float64")
    >>> bool(np.allclose(np.linalg.solve(np.eye(6) + a, np.eye(6) - a), w))
    True
    """

    form: str = "rotation"

    cosine = 2 / math.pi
    skew = 4 / math.pi - 1, 1.0

    def _entries(self, u: Array) -> tuple[Array, Array]:
        cosine, sine = elementary.cos_sin(u + 1)  # an angle of pi/4 (u + 1)
        return (np.zeros_like(u), -sine / (1 + cosine)) if self.form == "skew" else (cosine, sine)


@register("special_orthogonal")
@final
class SpecialOrthogonal(AbstractInitializer):
    """A rotation of all units at once, uniformly distributed (Haar) on SO(n): orthogonal with determinant +1.

    ``Orthogonal`` gives reflections half of the time, which no path of rotations reaches: a network that moves on SO(n)
    (by the matrix exponential of a skew-symmetric matrix) can only start at these.

    Raises
    ------
    ValueError
        When called, for a shape that is not square.

    Notes
    -----
    It is what ``Orthogonal`` gives, with the signs of the first unit turned where the determinant is -1. The numbers go
    through BLAS (``portable = False``).

    References
    ----------
    Stewart. "The efficient generation of random orthogonal matrices with an application to condition estimators". SIAM
    J. Numer. Anal. 17 (1980).

    Lezcano-Casado, Martínez-Rubio. "Cheap orthogonal constraints in neural networks". ICML 2019. :arxiv:`1901.08428`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> w = sb.SpecialOrthogonal()((20, 5, 5), rng=0, axes="boi", dtype="float64")
    >>> np.linalg.det(w).round(12).min()
    np.float64(1.0)
    """

    elementwise = False
    portable = False

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw from O(n), and turn one unit where the determinant is -1."""
        found, _, _ = _square("SpecialOrthogonal", shape, axes)
        maps = found.matrices(Orthogonal().sample(shape, stream, axes)).copy()
        maps[:, 0] *= np.linalg.slogdet(maps)[0].astype(maps.dtype)[:, None]
        return found.from_matrices(maps, shape)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0, 1 / sqrt(units), and the singular values."""
        sizes = as_shape(shape)
        _, _, n = _square("SpecialOrthogonal", sizes, axes)
        if n == 1:
            return Moments(1.0, 0.0, 1.0, 1.0, singular_values=(1.0, 1.0))
        return Moments(0.0, 1 / math.sqrt(n) if n else 0.0, -1.0, 1.0, singular_values=(1.0, 1.0))
