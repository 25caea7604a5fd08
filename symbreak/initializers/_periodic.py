"""Weights of layers whose activation is a sine."""

import math
from dataclasses import field
from typing import Any, final

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from ._base import AbstractInitializer, Array, Moments, as_written
from ._registry import register
from ._validate import as_float, is_real


@register("siren")
@final
class Siren(AbstractInitializer):
    r"""Uniforms for sine layers :math:`\sin(\omega_0 (W x + b))`: every layer's outputs are arcsine distributed.

    Hidden layers: uniform on :math:`\pm \sqrt{6 / \text{fan}_\text{in}} / \omega_0`, so that what the sine reads is
    normal and what it gives has the same distribution, near the arcsine, at any depth. The first layer reads
    coordinates in [-1, 1]: uniform on :math:`\pm 1 / \text{fan}_\text{in}`, which :math:`\omega_0` spreads over
    several periods.

    Parameters
    ----------
    w0
        The frequency that the layer multiplies with, positive; 1 if the weight is to hold it itself.
    first
        True for the first layer, whose weights don't depend on `w0`.

    Raises
    ------
    ValueError
        For a `w0` that is not positive.

    Notes
    -----
    The paper takes the variance v of what a sine reads for 1; from layer to layer it goes to 0.797, where
    v = 1 - exp(-2 v).

    Each part that the axes split off, and each group, counts its own inputs.

    References
    ----------
    Sitzmann et al. "Implicit neural representations with periodic activation functions". NeurIPS 2020, section 3.2 and
    theorem 1.8 of the supplement. :arxiv:`2006.09661`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Siren(first=True).expected((256, 2)).high
    0.5
    >>> round(sb.Siren().expected((256, 256)).high, 6)
    0.005103
    """

    w0: float = 30.0
    first: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not is_real(self.w0) or not 1e-15 <= as_float(self.w0) <= 1e15:
            raise ValueError(f"Siren: w0 is a positive frequency, 30 in the paper; got {self.w0!r}")
        object.__setattr__(self, "w0", float(self.w0))
        if not isinstance(self.first, bool):
            raise ValueError(f"Siren: first is True or False; got {self.first!r}")

    def _limit(self, shape: tuple[int, ...], axes: AxesLike) -> float:
        fan = Axes.of(axes, shape).part_fans(shape)[0].fan_in
        if not fan:
            return 0.0
        return 1 / fan if self.first else math.sqrt(6 / fan) / self.w0

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw uniforms."""
        limit = self._limit(shape, axes)
        return stream.uniform(shape, -limit, limit)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0, limit / sqrt(3), and the limits."""
        limit = self._limit(as_shape(shape), axes)
        return Moments(0.0, limit / math.sqrt(3), -limit, limit)
