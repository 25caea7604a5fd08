"""Another initializer's weights, times a number."""

from typing import Any, final

from ..axes import Axes, AxesLike
from ..streams import Stream
from ._base import AbstractInitializer, Array, Moments
from ._registry import register
from ._validate import SMALLEST, check_finite, check_scale
from ._wrapping import draw, wrap


@register("scaled")
@final
class Scaled(AbstractInitializer):
    """The weights of another initializer, each times one factor.

    It ties what the other ties, and is elementwise and portable where the other is.

    Parameters
    ----------
    init
        What :func:`symbreak.get` takes.
    factor
        A finite number that is not 0.

    Raises
    ------
    ValueError
        If the factor is 0 (that is `Zeros`), not finite, or lost in float32; when it is called, if the products leave
        the dtype.
    TypeError
        If `init` is no initializer.

    References
    ----------
    Radford et al. "Language models are unsupervised multitask learners". 2019, section 2.3, scales what writes to the
    residual stream so.

    Examples
    --------
    >>> import symbreak as sb
    >>> half = sb.Scaled(sb.HeNormal(), 0.5)
    >>> half.expected((64, 32)).std
    0.125
    >>> bool((half((64, 32), rng=0) == 0.5 * sb.HeNormal()((64, 32), rng=0)).all())
    True
    """

    init: AbstractInitializer
    factor: float

    _stretches = True

    def __post_init__(self) -> None:
        wrap(self, "init")
        check_finite(self, "factor")
        if self.factor == 0:
            raise ValueError("Scaled: factor is 0, which makes every weight zero; for that use `Zeros()`")
        check_scale(self, "factor", self.factor, SMALLEST)

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw the other's weights and multiply."""
        values = draw(self.init, shape, stream, axes)
        values *= values.dtype.type(self.factor)
        return values

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State the probability that two units are equal by chance: the other's."""
        return self.init.coincidence(shape, axes, one)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the other's moments, scaled."""
        one, size = self.init.expected(shape, axes), abs(self.factor)
        low, high = sorted((one.low * self.factor, one.high * self.factor))
        spectrum = one.singular_values and (one.singular_values[0] * size, one.singular_values[1] * size)
        return Moments(one.mean * self.factor, one.std * size, low, high, spectrum, one.kurtosis)
