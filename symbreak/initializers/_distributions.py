"""Weights drawn from one distribution, whatever the shape: normal, uniform, truncated normal, plus or minus one."""

import math
from dataclasses import field
from functools import lru_cache
from typing import Any, final

from ..axes import Axes, AxesLike
from ..streams import Stream, truncated_moments
from ..streams import _transforms as transforms
from ._base import AbstractInitializer, Array, Moments, as_written, incoming_of
from ._registry import register
from ._validate import LARGEST, SMALLEST, as_float, check_finite, check_reach, check_scale, check_std, is_real

INF = float("inf")
FARTHEST = 1e8  # sigma: beyond it the width of the tail is lost in the rounding of the bound
REACH = 14.0  # sigma: a normal passes through twice its radius, which ends below 7, and must not overflow there
NARROWEST = 1e-20  # sigma: below it the probability of the interval is lost in the digits that it is computed with
WIDEST = 1e3  # times the interval: a wider normal is uniform there but for a millionth


@register("normal", "random_normal", "gaussian")
@final
class Normal(AbstractInitializer):
    """Independent normals.

    Parameters
    ----------
    std
        Standard deviation, positive.
    mean
        Mean.

    Raises
    ------
    ValueError
        If a parameter is not finite, `std` is not positive or lost in float32, or values would leave float32; a std of
        0 is `Constant`.

    See Also
    --------
    TruncatedNormal : Without its tails.
    HeNormal : A variance that follows from the shape.
    Constant : What a standard deviation of 0 would be.

    References
    ----------
    Box, Muller. "A note on the generation of random normal deviates". Ann. Math. Statist. 29 (1958).

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Normal(0.02)((4, 8), rng=sb.Key(0)["head.weight"]).dtype
    dtype('float32')
    """

    std: float = 1.0
    mean: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_std(self)
        check_reach(self, REACH)

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw normals."""
        return stream.normal(shape, self.mean, self.std)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the parameters."""
        return Moments(self.mean, self.std, -INF, INF)


@register("uniform", "random_uniform")
@final
class Uniform(AbstractInitializer):
    """Independent uniforms on [low, high].

    Parameters
    ----------
    low, high
        Bounds, finite, ``low < high``.

    Raises
    ------
    ValueError
        If a bound is not finite, they are not in order, or their distance is lost in float32.

    See Also
    --------
    HeUniform, GlorotUniform : Bounds that follow from the shape.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Uniform(-0.05, 0.05).expected((4, 8)).std
    0.02886751345948129
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_finite(self, "low", "high")
        if not self.low < self.high:
            raise ValueError(f"Uniform: low is below high; got low={self.low!r}, high={self.high!r}")
        if self.high - self.low > 2.0**127:
            raise ValueError(f"Uniform: high - low is within float32; got low={self.low!r}, high={self.high!r}")
        check_scale(self, "high - low", self.high - self.low, SMALLEST * 2.0**32)  # it is cut into 2**32 steps

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw uniforms."""
        return stream.uniform(shape, self.low, self.high)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State midpoint, width / sqrt(12) and bounds."""
        return Moments((self.low + self.high) / 2, (self.high - self.low) / 12**0.5, self.low, self.high)


@register("truncated_normal", "trunc_normal")
@final
class TruncatedNormal(AbstractInitializer):
    """Independent normals cut to an interval.

    By default the standard deviation is that of the normal before it is cut; cut at two sigma, what is left has 0.8796
    of it, and :meth:`expected` states the truth. With ``corrected=True`` what is left has the one that is asked for, as
    in the VarianceScaling classes, JAX's and Keras'.

    Parameters
    ----------
    std
        Standard deviation, positive: before the cut, or after it where `corrected`.
    mean
        Mean before the cut.
    low, high
        Bounds, ``low < high``; one may be infinite.
    bounds
        ``"sigma"``: `low` and `high` count standard deviations (before the cut) from the mean, as in JAX and Keras.
        ``"absolute"``: they are values of the weight, as in PyTorch.
    corrected
        Whether `std` is what the weights have after the cut.

    Raises
    ------
    ValueError
        If a parameter is not finite, the bounds are not in order, both lie more than 1e8 sigma from the mean, or they
        are less than 1e-20 sigma apart; if a corrected std is more than absolute bounds leave room for (below the width
        over sqrt(12), which a uniform has); as for :class:`Normal`.

    See Also
    --------
    Normal : With its tails.
    HeTruncatedNormal : A variance that follows from the shape.

    References
    ----------
    Wichura. "Algorithm AS 241: the percentage points of the normal distribution". Appl. Statist. 37 (1988).

    Examples
    --------
    >>> import symbreak as sb
    >>> round(sb.TruncatedNormal(0.02).expected((4, 8)).std, 6)
    0.017593
    >>> sb.TruncatedNormal(0.02, corrected=True).expected((4, 8)).std
    0.02
    >>> sb.TruncatedNormal(0.02, low=-0.04, high=0.04, bounds="absolute").expected((4, 8)).high
    0.04
    """

    std: float = 1.0
    mean: float = field(default=0.0, kw_only=True)
    low: float = field(default=-2.0, kw_only=True)
    high: float = field(default=2.0, kw_only=True)
    bounds: str = field(default="sigma", kw_only=True)
    corrected: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_std(self)
        for name in ("low", "high"):
            value = getattr(self, name)
            if not is_real(value):
                raise ValueError(f"TruncatedNormal: {name} is a number or an infinity; got {value!r}")
            object.__setattr__(self, name, as_float(value))
        if self.bounds not in ("sigma", "absolute"):
            raise ValueError(f"TruncatedNormal: bounds is 'sigma' or 'absolute'; got {self.bounds!r}")
        if not isinstance(self.corrected, bool):
            raise ValueError(f"TruncatedNormal: corrected is True or False; got {self.corrected!r}")
        self._check_interval(self.std)
        if self.corrected:
            self._check_interval(self._parent())

    def _check_interval(self, std: float) -> None:
        low, high = self._sigma(std)
        if not self.low < self.high or not low < high:
            raise ValueError(f"TruncatedNormal: low is below high; got low={self.low!r}, high={self.high!r}")
        if low > FARTHEST or high < -FARTHEST:
            raise ValueError(
                f"TruncatedNormal: the interval from {low!r} to {high!r} sigma lies more than 1e8 sigma from the mean; "
                f"give bounds nearer to it"
            )
        if high - low < NARROWEST:
            raise ValueError(
                f"TruncatedNormal: the interval from {low!r} to {high!r} sigma is narrower than 1e-20 sigma; give "
                f"bounds farther apart, or use `Uniform`"
            )
        check_reach(self, (max(0.0, low, -high) + REACH) * (std / self.std))

    def _parent(self) -> float:
        """Give the standard deviation of the normal that is cut."""
        if not self.corrected:
            return self.std
        if self.bounds == "sigma":
            return self.std / truncated_moments(self.low, self.high).std
        return _parent_std(self.std, self.low - self.mean, self.high - self.mean)

    def _sigma(self, std: float) -> tuple[float, float]:
        if self.bounds == "sigma":
            return self.low, self.high
        return (self.low - self.mean) / std, (self.high - self.mean) / std

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw truncated normals."""
        std = self._parent()
        return stream.truncated_normal(shape, self.mean, std, *self._sigma(std))

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean and standard deviation after the cut, and the bounds of the weight."""
        std = self._parent()
        low, high = self._sigma(std)
        standard = truncated_moments(low, high)
        return Moments(
            self.mean + std * standard.mean,
            self.std if self.corrected else std * standard.std,
            self.low if self.bounds == "absolute" else self.mean + std * low,
            self.high if self.bounds == "absolute" else self.mean + std * high,
        )

    def _farthest(self, shape: tuple[int, ...], axes: Axes | None, sigmas: float) -> float:
        """Give the value farthest from zero that a draw reaches: bounds may lie far beyond."""
        std = self._parent()
        low, high = self._sigma(std)
        ends = max(low, -math.hypot(max(-high, 0.0), sigmas)), min(high, math.hypot(max(low, 0.0), sigmas))
        return max((self.mean + std * end for end in ends), key=abs)


@lru_cache(maxsize=256)
def _parent_std(std: float, low: float, high: float) -> float:
    """Give the standard deviation of the normal of mean 0 that has `std` once it is cut to [low, high].

    What is left grows with the normal's, from nothing to the uniform's; the method of false position with Illinois'
    weights finds where it is `std`.
    """

    def excess(parent: float) -> float:
        return parent * truncated_moments(low / parent, high / parent).std / std - 1.0

    near, below = std, excess(std)  # a cut takes away
    far, above = near, below
    while above < 0:
        near, below = far, above
        far *= 2.0
        if far > WIDEST * (high - low) or far > LARGEST:
            raise ValueError(
                f"TruncatedNormal: a std of {std!r} after the cut is more than bounds {high - low!r} apart leave room "
                f"for: less than {(high - low) / 12**0.5!r}, that of a uniform; give bounds farther apart"
            )
        above = excess(far)
    for _ in range(100):
        if abs(above) < 1e-14 or abs(far - near) <= 1e-15 * far:
            break
        middle = (near * above - far * below) / (above - below)
        found = excess(middle)
        if found * above < 0:
            near, below = far, above
        else:
            below /= 2.0
        far, above = middle, found
    return far


@register("rademacher", "random_sign")
@final
class Rademacher(AbstractInitializer):
    """Independent signs: each weight is plus or minus `std`, with probability one half.

    Of all distributions with this mean and variance it has the smallest fourth moment, so that a layer's output varies
    least from one draw to another. A unit with n inputs has one of 2**n patterns: narrow layers have equal units by
    chance, and an audit says so.

    Parameters
    ----------
    std
        Size of every weight, which is their standard deviation; positive.

    Raises
    ------
    ValueError
        If `std` is not positive, not finite, or lost in float32.

    References
    ----------
    Achlioptas. "Database-friendly random projections". J. Comput. Syst. Sci. 66 (2003), theorem 1.1.

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> np.unique(sb.Rademacher(0.5)((4, 8), rng=0))
    array([-0.5,  0.5], dtype=float32)
    """

    std: float = 1.0

    def __post_init__(self) -> None:
        check_std(self)

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw signs, of that size."""
        return stream._draw("sign", shape, transforms.sign, self.std)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0 and the size."""
        return Moments(0.0, self.std, -self.std, self.std)

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State that two signs are equal with probability one half."""
        return float(0.5 ** incoming_of(shape, axes))
