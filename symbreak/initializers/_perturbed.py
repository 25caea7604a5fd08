"""Another initializer's weights with a little noise, so that no two units are equal."""

import math
from dataclasses import field
from typing import Any, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from ..streams._transforms import DOUBLE, SINGLE, scratch
from ._base import AbstractInitializer, Array, Moments, as_written
from ._registry import register
from ._validate import check_finite
from ._wrapping import draw, wrap

LEAST = 2.0**-18  # of the size of a weight: 32 steps of float32, so that noise survives the addition


@register("perturbed")
@final
class Perturbed(AbstractInitializer):
    """The weights of another initializer, plus uniform noise in proportion to their size: it breaks every tie.

    The noise has the standard deviation ``noise * sqrt(mean**2 + std**2)``, with the moments that the other states for
    the shape, and goes up to sqrt(3) times that. A weight that is all zero has no size to go by, and is refused.

    Parameters
    ----------
    init
        What :func:`symbreak.get` takes; one that states its moments.
    noise
        From 2**-18 to 1. Coarse dtypes need more to keep units apart: bfloat16 rounds to 1 part in 256, and the audit
        says where chance ties them.

    Raises
    ------
    ValueError
        For a noise out of range; when it is called, if the other's weights are all zero.
    TypeError
        If `init` is no initializer.
    NotImplementedError
        When it is called, if the other does not state its moments.

    See Also
    --------
    Constant : The start that needs it most.
    untie : The same for a network that is tied already.

    References
    ----------
    Rumelhart, Hinton, Williams. "Learning representations by back-propagating errors". Nature 323 (1986): small random
    weights break the symmetry.

    Chen, Goodfellow, Shlens. "Net2Net". ICLR 2016, section 2.2, adds a small noise to copied units. :arxiv:`1511.05641`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> init = sb.Perturbed(sb.Constant(0.5), noise=0.02)
    >>> init.ties, init.expected((4, 3)).std
    ('breaks', 0.01)
    >>> len(np.unique(init((4, 3), rng=0), axis=0))
    4
    """

    init: AbstractInitializer
    noise: float = field(default=0.01)

    def __post_init__(self) -> None:
        wrap(self, "init", ties="breaks")
        check_finite(self, "noise")
        if not LEAST <= self.noise <= 1:
            raise ValueError(f"Perturbed: noise is from {LEAST:.2g} to 1, a share of the weights; got {self.noise!r}")

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw the other's weights, and the noise from a stream of its own."""
        std = self._std(self.init.expected(shape, axes))
        whole = None if self.elementwise else draw(self.init, shape, stream, axes)
        out = stream.empty(shape) if whole is None else whole
        flat, reach = out.reshape(-1), math.sqrt(3) * std
        p = DOUBLE if stream.dtype == np.float64 else SINGLE
        noise_key = stream.key["noise"]
        for window, begin, end in stream._parts(flat.size):
            values = place = flat[begin:end]
            if whole is None:
                part = Stream(stream.key, dtype=stream.dtype, window=window, out=place)
                values = draw(self.init, shape, part, axes)
            (cached,) = scratch((window.size,), p=p)  # which uniforms need none of: it is in the cache
            noise = Stream(noise_key, dtype=stream.dtype, window=window, out=cached).uniform(shape, -reach, reach)
            np.add(values, noise, place)
        return out

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the other's mean, the two variances together, and the other's bounds, moved by the noise."""
        one = self.init.expected(shape, axes)
        if math.prod(as_shape(shape)) == 0:
            return one
        noise = self._std(one)
        reach = math.sqrt(3) * noise
        kurtosis = max(3.0, one.kurtosis)
        return Moments(one.mean, math.hypot(one.std, noise), one.low - reach, one.high + reach, kurtosis=kurtosis)

    def _std(self, one: Moments) -> float:
        size = math.hypot(one.mean, one.std)
        if size == 0:
            raise ValueError(
                f"Perturbed: {self.init!r} makes every weight zero, so there is no size that noise could be relative "
                f"to; use `Normal(std)`"
            )
        return self.noise * size
