"""Kernels that enlarge images: bilinear interpolation, and sub-pixel convolutions that start as nearest neighbours."""

import math
from dataclasses import field
from typing import Any, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from . import _places as place
from ._base import AbstractInitializer, Array, Moments
from ._registry import register
from ._variance_scaling import HeNormal
from ._wrapping import wrap


@register("bilinear")
@final
class Bilinear(AbstractInitializer):
    """The kernel of linear interpolation: a transposed convolution that enlarges each channel by itself.

    Along an axis of size k the weights are ``1 - |x - (k - 1) / 2| / f``, with f = ceil(k / 2): a size of ``2 f - f %
    2`` enlarges f times, at stride f and padding ``(size - f + 1) // 2``. Unit c reads input c; in a layout with one
    input a group, each group is such a kernel.

    Raises
    ------
    ValueError
        When called, if there is no receptive field, or a group has not as many units as inputs.

    References
    ----------
    Long, Shelhamer, Darrell. "Fully convolutional networks for semantic segmentation". CVPR 2015, section 3.3.
    :arxiv:`1411.4038`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Bilinear()((1, 1, 4), axes="iow")
    array([[[0.25, 0.75, 0.75, 0.25]]], dtype=float32)
    """

    def _filter(self, axes: Axes, shape: tuple[int, ...]) -> Array:
        """Give the weight of each tap."""
        sizes = place.field(axes, shape)
        _, units, incoming = axes._map_shape(shape)
        inputs = incoming // max(1, math.prod(sizes))
        if not sizes or units != inputs:
            what = f"{units} units and {inputs} inputs a group" if sizes else "no receptive field"
            raise ValueError(
                f"Bilinear: enlarges every channel by itself, in a convolution with as many units as inputs; `shape` "
                f"{shape} has {what}; name the axes, such as 'iohw' or Axes('iohw', groups=channels)"
            )
        weights: Array = np.ones(1)
        for size in sizes:
            along = 1 - np.abs(np.arange(size) - (size - 1) / 2) / ((size + 1) // 2)
            weights = (weights[:, None] * along).ravel()
        return weights

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write the kernel where a unit reads its own channel."""
        found = Axes.of(axes, shape)
        weights = self._filter(found, shape)
        copies, units, _ = found._map_shape(shape)
        unit = np.arange(units)[:, None]
        at = place.Coordinates(np.arange(copies)[:, None, None], unit, unit, np.arange(len(weights)))
        values = np.broadcast_to(weights, (copies, units, len(weights))).ravel()
        places = place.places(found, shape, at)
        order = np.argsort(places)
        return place.scatter(stream, shape, places[order], values[order])

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments of the entries."""
        sizes = as_shape(shape)
        found = Axes.of(axes, sizes)
        if not math.prod(sizes):
            return Moments(0.0, 0.0, 0.0, 0.0)
        weights, units = self._filter(found, sizes), found._map_shape(sizes)[1]
        mean, square = float(weights.mean()) / units, float((weights**2).mean()) / units
        return Moments(
            mean, math.sqrt(max(0.0, square - mean**2)), min(0.0, float(weights.min())), float(weights.max())
        )


@register("icnr")
@final
class ICNR(AbstractInitializer):
    """Sub-pixel convolutions without checkerboards: the units that make one pixel's block start equal.

    A convolution with ``scale ** d`` units a channel, whose outputs are laid out as a block of pixels, starts as a
    convolution at low resolution followed by nearest-neighbour enlargement. The ties are meant (``ties = "ties"``); the
    block's pixels get different errors, so training breaks them.

    Parameters
    ----------
    init
        Makes the kernel at low resolution: what :func:`symbreak.get` takes.
    scale
        How many times larger each of the d axes of the receptive field becomes, 2 or more.
    order
        How units are laid out as pixels. ``"CRD"``: the units of one channel are neighbours, as for PyTorch's
        ``PixelShuffle``; ``"DCR"``: those of one pixel are, as for TensorFlow's and JAX's ``depth_to_space``. The names
        are those of ONNX.

    Raises
    ------
    ValueError
        For a parameter that is none of these; when called, if the units are no multiple of ``scale ** d``, or the
        layout has no receptive field, several output axes, or splits.

    References
    ----------
    Aitken et al. "Checkerboard artifact free sub-pixel convolution". 2017. :arxiv:`1707.02937`

    Examples
    --------
    >>> import symbreak as sb
    >>> w = sb.ICNR("he_normal", scale=2)((12, 3, 5, 5), rng=0)
    >>> bool((w[0] == w[3]).all()), bool((w[0] == w[4]).any())
    (True, False)
    """

    init: AbstractInitializer = field(default=HeNormal())
    scale: int = field(default=2, kw_only=True)
    order: str = field(default="CRD", kw_only=True)

    ties = "ties"
    elementwise = False

    def __post_init__(self) -> None:
        wrap(self, "init", ties="ties")
        object.__setattr__(self, "elementwise", False)  # a repeated unit is somewhere else
        if not isinstance(self.scale, int | np.integer) or isinstance(self.scale, bool) or self.scale < 2:
            raise ValueError(f"ICNR: scale is an integer of 2 or more; got {self.scale!r}")
        object.__setattr__(self, "scale", int(self.scale))
        if self.order not in ("CRD", "DCR"):
            raise ValueError(f"ICNR: order is 'CRD' (PyTorch) or 'DCR' (TensorFlow, JAX); got {self.order!r}")

    def _small(self, axes: Axes, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
        """Give the shape of the kernel at low resolution, the axis that is repeated, and how often."""
        dims = axes.dims("o")
        times = self.scale ** len(place.field(axes, shape))
        grouped = axes.groups > 1 and (axes._grouped_axis == "i" or self.order == "DCR")
        if times == 1 or len(dims) != 1 or axes.splits != 1 or grouped:
            raise ValueError(
                f"ICNR: takes the kernel of a convolution with one output axis, without splits (and without groups for "
                f"'DCR' and for transposed ones); got `shape` {shape}, {axes}"
            )
        units = shape[dims[0]]
        if units % (times * (axes.groups if axes.groups > 1 else 1)):
            raise ValueError(
                f"ICNR: {self.scale}-fold enlargement takes a multiple of {times} units a group; `shape` {shape} has "
                f"{units // axes.groups}"
            )
        return (*shape[: dims[0]], units // times, *shape[dims[0] + 1 :]), dims[0], times

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw the kernel at low resolution, and repeat its units."""
        small, dim, times = self._small(Axes.of(axes, shape), shape)
        kernel = self.init.sample(small, Stream(stream.key, dtype=stream.dtype), axes)
        if self.order == "CRD":
            return np.repeat(kernel, times, axis=dim)
        return np.concatenate([kernel] * times, axis=dim)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State what the kernel at low resolution has."""
        sizes = as_shape(shape)
        if not math.prod(sizes):
            return Moments(0.0, 0.0, 0.0, 0.0)
        small, _, _ = self._small(Axes.of(axes, sizes), sizes)
        found = self.init.expected(small, axes)
        return Moments(found.mean, found.std, found.low, found.high)
