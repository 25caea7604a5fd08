"""Initializers of what only a torch module has: a row that stays zero, the lengths of weight norm, fixed sinusoids."""

import math
from typing import Any, final

import numpy as np
import numpy.typing as npt

from .._turned import draw
from ..axes import Axes, AxesLike, as_shape
from ..initializers import AbstractInitializer, Moments
from ..streams import Key, Stream

Array = npt.NDArray[Any]


@final
class WithZeroRow(AbstractInitializer):
    """The weights of another initializer, and one row that is zero: the padding of an embedding.

    Parameters
    ----------
    init
        The other.
    row
        Which one.
    """

    init: AbstractInitializer
    row: int

    def __post_init__(self) -> None:
        for name in ("ties", "elementwise", "portable"):
            object.__setattr__(self, name, getattr(self.init, name))

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw, and write zeros."""
        values = self.init.sample(shape, stream, axes)
        kept = np.ones(shape[0], stream.dtype)
        kept[self.row] = 0
        return values * stream.along(kept, shape, 0)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the other's moments; the row is a share of the whole that is seldom seen."""
        sizes = as_shape(shape)
        other = self.init.expected(sizes, axes)
        share = 1 - 1 / max(1, sizes[0])
        mean = other.mean * share
        std = math.sqrt(max(0.0, share * (other.std**2 + other.mean**2) - mean**2))
        return Moments(mean, std, min(0.0, other.low), max(0.0, other.high), kurtosis=other.kurtosis / max(share, 0.5))

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State the other's: one row alone is zero."""
        return self.init.coincidence(shape, axes, one)


@final
class LengthOf(AbstractInitializer):
    """The lengths of the directions that another parameter holds, so that weight norm starts at what was drawn.

    The other parameter is drawn again, from its own key.

    Parameters
    ----------
    init
        What draws the directions.
    name
        The name of their key.
    shape, axes
        Of the directions.
    """

    init: AbstractInitializer
    name_of: str
    shape: tuple[int, ...]
    axes: Any = None

    ties = "ties"
    elementwise = False
    portable = False

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw the directions and measure them over all axes that `shape` has not."""
        key = Key(stream.key.seed)
        for name in (*stream.key.path[:-1], self.name_of):
            key = key[name]
        directions = draw(self.init, self.shape, key, dtype=stream.dtype, axes=self.axes, workers=None)
        over = tuple(dim for dim, size in enumerate(self.shape) if not shape or shape[dim] != size or size == 1)
        lengths = np.sqrt(np.sum(np.square(directions, dtype=np.float64), axis=over, keepdims=True))
        found: Array = lengths.reshape(shape).astype(stream.dtype)
        return found

    def __repr__(self) -> str:
        return f"LengthOf({self.name_of!r})"


@final
class Sinusoids(AbstractInitializer):
    """Sines and cosines of positions, as Whisper's encoder has them: (positions, channels), sines first.

    References
    ----------
    Vaswani et al. "Attention is all you need". NeurIPS 2017, section 3.5. :arxiv:`1706.03762`
    """

    ties = "ties"
    elementwise = False
    portable = False

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Compute them."""
        length, half = shape[0], shape[1] // 2
        rates = np.exp(-math.log(10_000) / max(1, half - 1) * np.arange(half))
        angles = np.arange(length)[:, None] * rates
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(stream.dtype)
