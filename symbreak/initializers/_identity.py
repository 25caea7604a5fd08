"""Identities: each unit passes one input on, through the middle of its receptive field.

A network of such layers, or a residual branch, starts as the identity. What an identity is where there are more units
than inputs is where the classes differ: refused, zero, or the inputs once more.
"""

import abc
import math
from dataclasses import field
from functools import lru_cache
from typing import Any, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from . import _places as place
from ._base import AbstractInitializer, Array, Moments
from ._registry import register
from ._validate import check_gain


class _AbstractIdentity(AbstractInitializer):
    """Base of the classes whose units read some inputs with weight `gain`, and no others."""

    gain: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        check_gain(self)

    @abc.abstractmethod
    def _pairs(self, units: int, inputs: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Give units and the inputs that they read, in one part of one copy of a weight."""

    def _each_part(self, axes: Axes, shape: tuple[int, ...]) -> tuple[int, Array, Array, Any]:
        """Give the number of copies and groups, and over all parts of one: units, their inputs, and the taps."""
        copies, _, incoming = axes._map_shape(shape)
        taps = max(1, int(np.prod(place.field(axes, shape))))
        units, read = [], []
        for part in place.parts(axes, shape):
            some, theirs = self._pairs(part.stop - part.start, incoming if self._patches else incoming // taps, shape)
            units.append(some + part.start)
            read.append(theirs)
        every, seen = np.concatenate(units), np.concatenate(read)
        return (copies, every, *(np.divmod(seen, taps) if self._patches else (seen, place.centre(axes, shape))))

    @property
    def _patches(self) -> bool:
        """Whether every tap of an input counts as an input of its own, or the middle one is read alone."""
        return False

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write `gain` where a unit reads an input."""
        return place.scatter(stream, shape, self._places(Axes.of(axes, shape), shape), self.gain)

    @lru_cache(maxsize=4)  # noqa: B019 - small, and asked for once a piece of one weight
    def _places(self, axes: Axes, shape: tuple[int, ...]) -> place.Indices:
        """Give the positions that are not zero, ascending."""
        copies, units, inputs, taps = self._each_part(axes, shape)
        at = place.Coordinates(np.arange(copies)[:, None], units, inputs, np.asarray(taps, np.int64))
        return np.sort(place.places(axes, shape, at))

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the share of the weights that are `gain`, the others being zero, and the singular values."""
        sizes = as_shape(shape)
        found = Axes.of(axes, sizes)
        copies, units, incoming = found._map_shape(sizes)
        if not copies * units * incoming:
            return Moments(0.0, 0.0, 0.0, 0.0)
        _, some, _, _ = self._each_part(found, sizes)
        share = len(some) / (units * incoming)
        low, high = sorted((0.0 if share < 1 else self.gain, self.gain))
        return Moments(self.gain * share, abs(self.gain) * (share * (1 - share)) ** 0.5, low, high)


@register("identity", "eye")
@final
class Identity(_AbstractIdentity):
    """Each unit reads one input, its own: the identity, or a cyclic shift of it, times `gain`.

    In a convolution it is read through the middle of the receptive field, ``(size - 1) // 2`` along each axis, which
    padding "same" of PyTorch, JAX and Keras lays over the unit's own position: layers pass their input on. Every
    stacked copy, group, and part that the axes split off is an identity of its own. With fewer units than inputs the
    last inputs are not read.

    Parameters
    ----------
    gain
        Of every weight that is not zero; finite, not zero.
    shift
        Unit u reads input ``(u + shift) % inputs``.

    Raises
    ------
    ValueError
        If `gain` is zero, lost in float32, or not finite, or `shift` no integer; when called, if there are more units
        than inputs, whose rest would be zero and tied.

    See Also
    --------
    Dirac : For convolutions.
    PaddedIdentity : For more or fewer units than inputs.

    References
    ----------
    Le, Jaitly, Hinton. "A simple way to initialize recurrent networks of rectified linear units". 2015.
    :arxiv:`1504.00941`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Identity(gain=0.5, shift=1)((3, 3))
    array([[0. , 0.5, 0. ],
           [0. , 0. , 0.5],
           [0.5, 0. , 0. ]], dtype=float32)
    """

    shift: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_gain(self)
        if not isinstance(self.shift, int | np.integer) or isinstance(self.shift, bool):
            raise ValueError(f"Identity: shift is an integer; got {self.shift!r}")
        object.__setattr__(self, "shift", int(self.shift))

    def _pairs(self, units: int, inputs: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
        if units > inputs > 0:
            raise ValueError(
                f"Identity: a unit has an input of its own, but `shape` {shape} has {units} units and {inputs} inputs; "
                f"the others are zero with `Dirac()`, repeat inputs with `PaddedIdentity()`, mix them with `ZerO()`"
            )
        every = np.arange(units if inputs else 0)
        return every, (every + self.shift) % max(1, inputs)

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State that nothing is left to chance."""
        return 0.0


@register("dirac")
@final
class Dirac(_AbstractIdentity):
    """An identity convolution, as ``dirac_`` of PyTorch makes it: where there are no inputs left, units are zero.

    As :class:`Identity`, but with more units than inputs the rest of them are zero, and so tied until something behind
    them tells them apart (``ties = "ties"``). In a grouped convolution (``Axes(..., groups=n)``) each group is a Dirac
    kernel of its own.

    Parameters
    ----------
    gain
        Of every weight that is not zero; finite, not zero.

    Raises
    ------
    ValueError
        If `gain` is zero, lost in float32, or not finite.

    See Also
    --------
    Identity : For dense layers.
    DeltaOrthogonal : A random rotation in the middle of the kernel.

    Notes
    -----
    Along an axis of even size PyTorch's is one tap further, at ``size // 2``, which shifts the image by one under
    padding "same".

    References
    ----------
    Zagoruyko, Komodakis. "DiracNets: training very deep neural networks without skip-connections". 2017.
    :arxiv:`1706.00388`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Dirac()((2, 2, 3))
    array([[[0., 1., 0.],
            [0., 0., 0.]],
    <BLANKLINE>
           [[0., 0., 0.],
            [0., 1., 0.]]], dtype=float32)
    """

    ties = "ties"

    def _pairs(self, units: int, inputs: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
        every = np.arange(min(units, inputs))
        return every, every


@register("padded_identity")
@final
class PaddedIdentity(_AbstractIdentity):
    """Identities side by side: unit u reads every input j with the same remainder modulo the shorter side.

    In a convolution it does so through the middle of the receptive field, or all over it (`patches`). With more units
    than inputs, units repeat: those a whole number of input widths apart are equal, on purpose (``ties = "ties"``).
    What reads them must differ, or they stay equal.

    Parameters
    ----------
    gain
        Of every weight that is not zero; finite, not zero. IDInit starts the last layer of a residual branch with a
        gain near zero, such as 1e-6.
    patches
        Whether each tap of a convolution counts as an input of its own, so that units read different places of their
        patch (IDInit's "patch-maintain"), or inputs are read through the middle alone ("channel-maintain"), which
        passes an image on. A layer without taps is the same either way.

    Raises
    ------
    ValueError
        If `gain` is zero, lost in float32, or not finite.
    TypeError
        If `patches` is no bool.

    Notes
    -----
    With `patches` the inputs of unit u are its patch laid out flat, the taps of the first input before those of the
    second, as in ``weight.flatten(1)`` of PyTorch, whatever the layout.

    References
    ----------
    Pan et al. "IDInit: a universal and stable initialization method for neural network training". ICLR 2025, whose
    padded identity-like matrices these are. :arxiv:`2503.04626`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.PaddedIdentity()((4, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    >>> sb.PaddedIdentity()((2, 3)).tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    >>> sb.PaddedIdentity(patches=True)((2, 1, 3)).tolist()
    [[[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]]
    """

    patches: bool = field(default=False, kw_only=True)
    ties = "ties"

    def __post_init__(self) -> None:
        check_gain(self)
        if not isinstance(self.patches, bool | np.bool_):
            raise TypeError(f"PaddedIdentity: patches is True or False; got {self.patches!r}")
        object.__setattr__(self, "patches", bool(self.patches))

    @property
    def _patches(self) -> bool:
        return self.patches

    def _pairs(self, units: int, inputs: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
        every, side = np.arange(max(units, inputs) if units and inputs else 0), max(1, min(units, inputs))
        return (every, every % side) if units >= inputs else (every % side, every)


@register("zer_o", "zero_hadamard")
@final
class ZerO(AbstractInitializer):
    r"""Only zeros and one number: an identity, or columns of a Hadamard matrix where units outnumber inputs.

    With m units and n < m inputs the weight is :math:`I_{m,p} H_p I_{p,n} / \sqrt{p}`, where H is Sylvester's Hadamard
    matrix of order p, the power of two at or above m: a partial identity would keep the rank of what follows at n for
    ever, this does not. In a convolution it stands in the middle of the receptive field. Nothing is random.

    Raises
    ------
    ValueError
        When called, if the shape has no output or no input axis.

    Notes
    -----
    Units whose numbers differ by a multiple of the power of two at or above n are equal: expanding by more than it
    ties units (``ties = "ties"``), until what reads them tells them apart. The scale is that of the authors' code, with
    which columns have length one where m is a power of two; the paper's is sqrt(2) times as large.

    References
    ----------
    Zhao, Schäfer, Anandkumar. "ZerO initialization: initializing neural networks with only zeros and ones". TMLR 2022,
    algorithms 1 and 2. :arxiv:`2110.12661`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.ZerO()((2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    >>> sb.ZerO()((4, 3)).tolist()
    [[0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5], [0.5, -0.5, -0.5]]
    """

    ties = "ties"

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write the identity, or the signs of Sylvester's matrix: the parity of the bits that unit and input share."""
        found = Axes.of(axes, shape)
        places = self._identity(found, shape)
        if places is not None:
            return place.scatter(stream, shape, places, 1.0)
        scale, inputs = self._scale(found, shape), self._inputs(found, shape)
        middle, kind = place.centre(found, shape), stream.dtype.type
        sizes = [part.stop - part.start for part in place.parts(found, shape)]
        begin_of_unit = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
        scale_of_unit = np.repeat(np.array(scale, stream.dtype), sizes)
        narrow_of_unit = np.repeat(np.array(sizes) <= inputs, sizes)

        def entries(at: place.Coordinates) -> Array:
            unit, size = at.unit, kind(scale[0])
            if len(sizes) > 1:
                unit, size = at.unit - begin_of_unit[at.unit], scale_of_unit[at.unit]
            odd = np.bitwise_count(unit & at.input) & 1
            values = np.where(odd, -size, size)
            if min(sizes) <= inputs:
                values = np.where(narrow_of_unit[at.unit], (unit == at.input) * size, values)
            if place.field(found, shape):
                values = np.where(at.tap == middle, values, kind(0))
            return np.asarray(values)

        return place.evaluate(stream, shape, found, entries)

    @lru_cache(maxsize=4)  # noqa: B019 - small, and asked for once a piece of one weight
    def _identity(self, axes: Axes, shape: tuple[int, ...]) -> place.Indices | None:
        """Give the positions of ones where the weight has nothing else, as it does not widen."""
        return Dirac()._places(axes, shape) if set(self._scale(axes, shape)) == {1.0} else None

    @staticmethod
    def _inputs(axes: Axes, shape: tuple[int, ...]) -> int:
        return axes._map_shape(shape)[2] // max(1, int(np.prod(place.field(axes, shape))))

    def _scale(self, axes: Axes, shape: tuple[int, ...]) -> list[float]:
        """Give the size of what is not zero in each part."""
        inputs = self._inputs(axes, shape)
        sizes = [part.stop - part.start for part in place.parts(axes, shape)]
        return [1.0 if size <= inputs else math.sqrt(2.0 ** -(size - 1).bit_length()) for size in sizes]

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments of the entries."""
        sizes = as_shape(shape)
        found = Axes.of(axes, sizes)
        copies, units, incoming = found._map_shape(sizes)
        if not copies * units * incoming:
            return Moments(0.0, 0.0, 0.0, 0.0)
        inputs, total, square, low = self._inputs(found, sizes), 0.0, 0.0, 0.0
        scales = self._scale(found, sizes)
        for scale, part in zip(scales, place.parts(found, sizes), strict=True):
            size = part.stop - part.start
            if size <= inputs:
                total, square = total + size, square + size
                continue
            total += scale * float(_column_sums(size)[:inputs].sum())
            square += scale**2 * size * inputs
            low = min(low, -scale)
        mean = total / (units * incoming)
        spread = square / (units * incoming) - mean**2
        return Moments(mean, max(0.0, spread) ** 0.5, low, max(scales))


def _column_sums(size: int) -> Array:
    """Sum each column of the first `size` rows of Sylvester's matrix, by the fast Walsh-Hadamard transform."""
    width = 1 << (size - 1).bit_length()
    sums: Array = (np.arange(width) < size).astype(np.float64)
    half = 1
    while half < width:
        pairs = sums.reshape(-1, 2, half)
        sums = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
        half *= 2
    return sums
