"""Weights drawn from one distribution, whatever the shape: normal, uniform, truncated normal."""

from dataclasses import field
from typing import Any, final

from ..axes import Axes, AxesLike
from ..streams import Stream, truncated_moments
from ._base import AbstractInitializer, Array, Moments
from ._registry import register
from ._validate import SMALLEST, as_float, check_finite, check_reach, check_scale, check_std, is_real

INF = float("inf")
FARTHEST = 1e8  # sigma: beyond it the width of the tail is lost in the rounding of the bound
REACH = 14.0  # sigma: a normal passes through twice its radius, which ends below 7, and must not overflow there
NARROWEST = 1e-20  # sigma: below it the probability of the interval is lost in the digits that it is computed with


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

    The standard deviation is that of the normal before it is cut; cut at two sigma, what is left has 0.8796 of it.
    The VarianceScaling classes correct for that, this one does as it is told; :meth:`expected` states the truth.

    Parameters
    ----------
    std
        Standard deviation before the cut, positive.
    mean
        Mean before the cut.
    low, high
        Bounds, ``low < high``; one may be infinite.
    bounds
        ``"sigma"``: `low` and `high` count standard deviations from the mean, as in JAX and Keras. ``"absolute"``:
        they are values of the weight, as in PyTorch.

    Raises
    ------
    ValueError
        If a parameter is not finite, the bounds are not in order, both lie more than 1e8 sigma from the mean, or they
        are less than 1e-20 sigma apart; as for :class:`Normal`.

    References
    ----------
    Wichura. "Algorithm AS 241: the percentage points of the normal distribution". Appl. Statist. 37 (1988).

    Examples
    --------
    >>> import symbreak as sb
    >>> round(sb.TruncatedNormal(0.02).expected((4, 8)).std, 6)
    0.017593
    >>> sb.TruncatedNormal(0.02, low=-0.04, high=0.04, bounds="absolute").expected((4, 8)).high
    0.04
    """

    std: float = 1.0
    mean: float = field(default=0.0, kw_only=True)
    low: float = field(default=-2.0, kw_only=True)
    high: float = field(default=2.0, kw_only=True)
    bounds: str = field(default="sigma", kw_only=True)

    def __post_init__(self) -> None:
        check_std(self)
        for name in ("low", "high"):
            value = getattr(self, name)
            if not is_real(value):
                raise ValueError(f"TruncatedNormal: {name} is a number or an infinity; got {value!r}")
            object.__setattr__(self, name, as_float(value))
        if self.bounds not in ("sigma", "absolute"):
            raise ValueError(f"TruncatedNormal: bounds is 'sigma' or 'absolute'; got {self.bounds!r}")
        low, high = self._sigma()
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
        check_reach(self, max(0.0, low, -high) + REACH)

    def _sigma(self) -> tuple[float, float]:
        if self.bounds == "sigma":
            return self.low, self.high
        return (self.low - self.mean) / self.std, (self.high - self.mean) / self.std

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw truncated normals."""
        low, high = self._sigma()
        return stream.truncated_normal(shape, self.mean, self.std, low, high)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean and standard deviation after the cut, and the bounds of the weight."""
        low, high = self._sigma()
        standard = truncated_moments(low, high)
        return Moments(
            self.mean + self.std * standard.mean,
            self.std * standard.std,
            self.low if self.bounds == "absolute" else self.mean + self.std * low,
            self.high if self.bounds == "absolute" else self.mean + self.std * high,
        )
