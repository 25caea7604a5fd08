"""The start of Nguyen and Widrow: weights and biases together, so that the units share out the space of the inputs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..axes import Axes, AxesLike, as_shape
from ..dtypes import DTypeLike, as_float_dtype
from ..streams import RngLike, Stream, as_key
from ._base import Array


class WeightAndBias(NamedTuple):
    """The two parameters of a layer.

    Attributes
    ----------
    weight
        Of the shape that was asked for.
    bias
        One number for each unit.
    """

    weight: Array
    bias: Array


def nguyen_widrow(
    shape: Any,
    rng: RngLike = None,
    *,
    low: npt.ArrayLike = -1.0,
    high: npt.ArrayLike = 1.0,
    active: Sequence[float] = (-1.0, 1.0),
    dtype: DTypeLike = "float32",
    axes: AxesLike = None,
) -> WeightAndBias:
    r"""Make the weight and the bias of a hidden layer whose units each bend in a part of the inputs of their own.

    For H units and I inputs on [-1, 1] the incoming weights of a unit have a random direction and the length
    :math:`\beta = 0.7 H^{1/I}`; the biases go in equal steps from :math:`-\beta` to :math:`\beta`, with the sign of the
    unit's first weight. Along its direction a unit is active, between the two ends of the activation's bend, on an
    interval :math:`2 / \beta` long; with one input these intervals tile the range of the inputs.

    Parameters
    ----------
    shape
        Of the weight.
    rng
        As for an initializer; the directions are drawn from ``Key(rng)["weight"]``.
    low, high
        The range of the inputs: a number, or one for each input, ``low < high``.
    active
        Where the activation bends: (-1, 1) as in the paper, (-2, 2) is what MATLAB takes for tanh.
    dtype
        Of both arrays.
    axes
        The layout of the weight, as for an initializer.

    Returns
    -------
    WeightAndBias
        ``weight`` of `shape`, ``bias`` with one number for each unit (of each stacked copy, then (copies, units)).

    Raises
    ------
    TypeError, ValueError
        For a shape, dtype, axes or rng that makes no sense, groups, split axes, or ranges that are not in order.

    References
    ----------
    Nguyen, Widrow. "Improving the learning speed of 2-layer neural networks by choosing initial values of the adaptive
    weights". IJCNN 1990, volume 3, pages 21 to 26.

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> weight, bias = sb.nguyen_widrow((10, 1), rng=0, dtype="float64")
    >>> np.sort(-bias / weight[:, 0]).round(3)  # where the units bend
    array([-1.   , -0.778, -0.556, -0.333, -0.111,  0.111,  0.333,  0.556,
            0.778,  1.   ])
    """
    sizes = as_shape(shape)
    found = Axes.of(axes, sizes)
    kind = as_float_dtype(dtype)
    if found.groups != 1 or found.splits != 1:
        raise ValueError(f"nguyen_widrow makes one layer; make the groups or parts of {found.layout!r} one by one")
    copies, units, inputs = found._map_shape(sizes)
    starts, widths = _read_range(low, high, inputs)
    bend_low, bend_high = _read_active(active)

    maps = found.matrices(Stream(as_key(rng)["weight"], dtype=np.float64).normal(sizes)).copy()
    if maps.size:
        beta = 0.7 * units ** (1 / inputs)
        maps *= beta / np.sqrt(np.einsum("bui,bui->bu", maps, maps))[:, :, None]
        steps = np.linspace(-1, 1, units) if units > 1 else np.zeros(1)
        bias = beta * steps * np.copysign(1.0, maps[:, :, 0])
        # From [-1, 1] to where the activation bends, then from the inputs' own range to [-1, 1].
        half, middle = (bend_high - bend_low) / 2, (bend_high + bend_low) / 2
        maps *= half
        bias = half * bias + middle - maps @ (1 + 2 * starts / widths)
        maps *= 2 / widths
    else:
        bias = np.zeros((copies, units))
    with np.errstate(all="ignore"):
        weight = np.ascontiguousarray(
            found.from_matrices(maps, sizes).astype(np.float32 if kind != np.float64 else kind)
        )
        bias = (bias if "b" in found.layout else bias[0]).astype(weight.dtype)
        made = WeightAndBias(weight.astype(kind, copy=False), bias.astype(kind, copy=False))
    if not all(np.isfinite(each).all() for each in made):
        raise ValueError(
            f"nguyen_widrow: inputs between low={low!r} and high={high!r} take weights that {kind.name} doesn't hold; "
            f"scale the inputs, or take a wider dtype"
        )
    return made


def _read_range(low: npt.ArrayLike, high: npt.ArrayLike, inputs: int) -> tuple[Array, Array]:
    try:
        starts, ends = (np.broadcast_to(np.asarray(each, np.float64), (inputs,)) for each in (low, high))
    except (TypeError, ValueError):
        raise ValueError(
            f"nguyen_widrow: low and high are numbers, or one for each of the {inputs} inputs; got low={low!r}, "
            f"high={high!r}"
        ) from None
    if not (np.isfinite(starts).all() and np.isfinite(ends).all() and (starts < ends).all()):
        raise ValueError(
            f"nguyen_widrow: the inputs lie between low and high, low < high; got low={low!r}, high={high!r}"
        )
    return starts, ends - starts


def _read_active(active: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = map(float, active)
    except (TypeError, ValueError):
        raise ValueError(f"nguyen_widrow: active is two numbers, such as (-1, 1); got {active!r}") from None
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"nguyen_widrow: active is two numbers, the lower first; got {active!r}")
    return low, high
