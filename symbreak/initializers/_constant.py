"""Weights that are all equal: what must not be done to a hidden layer, and what biases and norms start at."""

from typing import Any, final

from ..axes import Axes, AxesLike
from ..streams import Stream
from ._base import AbstractInitializer, Array, Moments
from ._registry import register
from ._validate import check_finite


@register("constant")
@final
class Constant(AbstractInitializer):
    """Every entry has one value, so that all units of a layer are equal and stay equal.

    Parameters
    ----------
    value
        A finite number.

    References
    ----------
    Rumelhart, Hinton, Williams. "Learning representations by back-propagating errors". Nature 323 (1986): equal
    starting weights can never become different, because the error signals are equal too.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Constant(0.5)((2, 3))
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]], dtype=float32)
    """

    value: float

    ties = "ties"

    def __post_init__(self) -> None:
        check_finite(self, "value")

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Fill with the value."""
        return stream.full(shape, self.value)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the value, with standard deviation 0."""
        return Moments(self.value, 0.0, self.value, self.value)


@register("zeros", "zero")
@final
class Zeros(AbstractInitializer):
    """Every entry is zero: what biases start at.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Zeros()(2)
    array([0., 0.], dtype=float32)
    """

    ties = "zeroes"

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Fill with zeros."""
        return stream.full(shape, 0.0)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State zero."""
        return Moments(0.0, 0.0, 0.0, 0.0)


@register("ones", "one")
@final
class Ones(AbstractInitializer):
    """Every entry is one: what the scales of norms start at.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Ones()(2)
    array([1., 1.], dtype=float32)
    """

    ties = "ties"

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Fill with ones."""
        return stream.full(shape, 1.0)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State one."""
        return Moments(1.0, 0.0, 1.0, 1.0)
