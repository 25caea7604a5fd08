"""Orthogonal convolutions: an orthogonal matrix in the middle of the receptive field, and zeros around it."""

from dataclasses import field
from typing import Any, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from . import _places as place
from ._base import AbstractInitializer, Array, Moments
from ._orthogonal import fill_maps
from ._registry import register
from ._validate import check_gain


@register("delta_orthogonal")
@final
class DeltaOrthogonal(AbstractInitializer):
    """A Haar-distributed orthogonal matrix in the middle of the receptive field: the convolution is orthogonal itself.

    With as many units as inputs or more, the convolution keeps the norm of every image, times `gain`; with fewer, it
    keeps the norms in as many directions as it has units, loses the others, and its transpose keeps every norm. That
    holds at stride one with padding "same", zeros or circular, because only the middle is read. Every stacked copy,
    group, and part that the axes split off is orthogonal on its own. Complex dtypes give unitary ones.

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
    Orthogonal : For dense layers.
    Dirac : Without chance.

    Notes
    -----
    The middle is ``(size - 1) // 2`` along each axis. Like :class:`Orthogonal`, not ``portable``.

    References
    ----------
    Xiao et al. "Dynamical isometry and a mean field theory of CNNs: how to train 10,000-layer vanilla convolutional
    neural networks". ICML 2018, algorithm 1. :arxiv:`1806.05393`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> w = sb.DeltaOrthogonal()((8, 4, 3, 3), rng=0, dtype="float64")
    >>> bool(np.allclose(w[:, :, 1, 1].T @ w[:, :, 1, 1], np.eye(4))), int(np.count_nonzero(w))
    (True, 32)
    """

    gain: float = field(default=1.0, kw_only=True)

    elementwise = False
    portable = False

    def __post_init__(self) -> None:
        check_gain(self)

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write orthogonal matrices into the middle of zeros."""
        out = stream.empty(shape)
        out[...] = 0
        return self._write(out, stream, axes)

    def sample_complex(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write unitary matrices into the middle of zeros."""
        return self._write(np.zeros(shape, np.result_type(stream.dtype, np.complex64)), stream, axes)

    def _write(self, out: Array, stream: Stream, axes: Axes | None) -> Array:
        found = Axes.of(axes, out.shape)
        copies, units, incoming = found._map_shape(out.shape)
        inputs = incoming // int(np.prod(place.field(found, out.shape)))
        maps = fill_maps(np.empty((copies, units, inputs), out.dtype), found, out.shape, stream, self.gain)
        at = place.Coordinates(
            np.arange(copies)[:, None, None],
            np.arange(units)[:, None],
            np.arange(inputs),
            np.int64(place.centre(found, out.shape)),
        )
        out.reshape(-1)[place.places(found, out.shape, at)] = maps.ravel()
        return out

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0 and the standard deviation over all entries, zeros too."""
        sizes = as_shape(shape)
        found = Axes.of(axes, sizes)
        _, units, incoming = found._map_shape(sizes)
        if not units * incoming:
            return Moments(0.0, 0.0, 0.0, 0.0)
        taps = int(np.prod(place.field(found, sizes)))
        inputs, gain = incoming // taps, abs(self.gain)
        each = [part.stop - part.start for part in place.parts(found, sizes)]
        variance = sum(size / units / max(size, inputs) for size in each) / taps
        values = (gain, gain) if max(each) <= inputs or taps == 1 else None
        return Moments(0.0, gain * variance**0.5, -gain, gain, values, 3.0 * taps)

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State the probability that units agree in the middle: around it they do."""
        found = Axes.of(axes, shape)
        return float(one ** (found._map_shape(shape)[2] // max(1, int(np.prod(place.field(found, shape))))))
