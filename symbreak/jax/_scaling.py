r"""JAX's own distributions, whose fans are counted from axes: those that symbreak's layouts can't say too.

For real dtypes a value is one of :class:`symbreak.Normal`, :class:`symbreak.Uniform` or a truncated normal with the
standard deviation that follows. A complex one is drawn so that the mean of its squared modulus is the variance: normal
parts of half the variance each; uniform on a disk; or normal with a modulus of at most two, whose square is
exponential, cut at four, with mean :math:`1 - 4 / (e^4 - 1)` before it is scaled.
"""

import math
from collections.abc import Sequence
from dataclasses import field
from typing import Any, final

import numpy as np

from symbreak.axes import RECEPTIVE, Axes, AxesLike, as_shape
from symbreak.initializers import AbstractInitializer, DeltaOrthogonal, Moments, Orthogonal
from symbreak.initializers._base import Array, as_written
from symbreak.initializers._validate import as_float, is_real
from symbreak.initializers._variance_scaling import CUT, CUT_STD
from symbreak.streams import Stream

Places = int | tuple[int, ...]  # one axis or several
INF = float("inf")
MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
DISTRIBUTIONS = ("truncated_normal", "normal", "uniform")
CUT_MODULUS = math.sqrt(1 - CUT**2 / math.expm1(CUT**2))  # root mean square of a complex normal cut at modulus 2


def as_places(axis: Any, name: str) -> Places:
    """Read an axis or a sequence of axes.

    Raises
    ------
    TypeError
        For anything else.
    """
    several = isinstance(axis, Sequence | np.ndarray) and not isinstance(axis, str)
    found = tuple(axis) if several else (axis,)
    if not all(isinstance(each, int | np.integer) and not isinstance(each, bool) for each in found):
        raise TypeError(f"{name} is an axis or a sequence of axes; got {axis!r}")
    return tuple(int(each) for each in found) if several else int(axis)


def dims(places: Places, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Give the axes of a shape that `places` names, counted from the front.

    Raises
    ------
    ValueError
        If the shape hasn't such an axis.
    """
    found = (places,) if isinstance(places, int) else places
    rank = len(shape)
    if any(not -rank <= each < rank for each in found):
        raise ValueError(
            f"{name}={places!r} is no axis of a weight of shape {shape}; say in_axis, out_axis and batch_axis of it, "
            f"or for a bias take `zeros`"
        )
    return tuple(each % rank for each in found)


def count_fans(shape: tuple[int, ...], in_axis: Places, out_axis: Places, batch_axis: Places) -> tuple[float, float]:
    """Count fan in and fan out as JAX does: what no axis names is the receptive field; 0 for an empty weight.

    Raises
    ------
    ValueError
        If the shape hasn't the axes.
    """
    inputs, units, copies = (
        math.prod(shape[dim] for dim in dims(places, shape, name))
        for places, name in ((in_axis, "in_axis"), (out_axis, "out_axis"), (batch_axis, "batch_axis"))
    )
    size = math.prod(shape)
    if not size:
        return 0.0, 0.0
    return size / (units * copies), size / (inputs * copies)


class AbstractJax(AbstractInitializer):
    """Base of JAX's own distributions: they count axes for themselves, and need no layout."""


class _ComplexToo(AbstractJax):
    """Base of the classes that make complex weights too, entry by entry."""

    def _complex(self, shape: tuple[int, ...], stream: Stream, distribution: str, std: float) -> Array:
        pairs = (*shape, 2)
        kind = np.result_type(stream.dtype, np.complex64)
        if distribution == "normal":
            return np.ascontiguousarray(stream.normal(pairs, std=std / math.sqrt(2.0))).view(kind).reshape(shape)
        both = stream.uniform(pairs, 0.0, 1.0)
        first, turn = both[..., 0], both[..., 1]
        if distribution == "uniform":
            squared = 2.0 * first
        else:
            squared = -np.log1p(first * np.expm1(-(CUT**2)))
            std /= CUT_MODULUS
        made = np.sqrt(squared) * np.exp(2j * np.pi * turn) * std
        return np.asarray(made, kind)


@final
class JaxNormal(_ComplexToo):
    """Normal with mean 0, complex dtypes too."""

    stddev: float = 1e-2

    def __post_init__(self) -> None:
        object.__setattr__(self, "stddev", as_positive(self.stddev, "normal", "stddev"))

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw normals."""
        return stream.normal(shape, std=self.stddev)

    def sample_complex(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw two normals an entry."""
        return self._complex(shape, stream, "normal", self.stddev)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0 and the standard deviation."""
        as_shape(shape)
        return Moments(0.0, self.stddev, -INF, INF)


@final
class JaxVarianceScaling(_ComplexToo):
    """Mean 0 and variance ``scale / fan``, with the fans that JAX counts from the axes."""

    scale: float
    mode: str
    distribution: str
    in_axis: Places = field(default=-2)
    out_axis: Places = field(default=-1)
    batch_axis: Places = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", as_positive(self.scale, "variance_scaling", "scale"))
        for name, allowed in (("mode", MODES), ("distribution", DISTRIBUTIONS)):
            if getattr(self, name) not in allowed:
                known = ", ".join(map(repr, allowed))
                raise ValueError(f"variance_scaling: {name} is one of {known}; got {getattr(self, name)!r}")
        for name in ("in_axis", "out_axis", "batch_axis"):
            object.__setattr__(self, name, as_places(getattr(self, name), name))

    def std(self, shape: tuple[int, ...]) -> float:
        """Give the standard deviation of an entry."""
        fan_in, fan_out = count_fans(shape, self.in_axis, self.out_axis, self.batch_axis)
        fans = {
            "fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2,
            "fan_geo_avg": math.sqrt(fan_in * fan_out),
        }  # fmt: skip
        return math.sqrt(self.scale / fans[self.mode]) if fans[self.mode] else 0.0

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw with the standard deviation that the fans call for."""
        std = self.std(shape)
        if self.distribution == "normal":
            return stream.normal(shape, std=std)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * std
            return stream.uniform(shape, -limit, limit)
        return stream.truncated_normal(shape, std=std / CUT_STD, low=-CUT, high=CUT)

    def sample_complex(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw two numbers an entry."""
        return self._complex(shape, stream, self.distribution, self.std(shape))

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0, the standard deviation that the fans call for, and the bounds of the distribution."""
        std = self.std(as_shape(shape))
        reach = {"normal": INF, "uniform": math.sqrt(3.0), "truncated_normal": CUT / CUT_STD}[self.distribution]
        return Moments(0.0, std, -reach * std, reach * std)


def as_positive(value: Any, function: str, name: str) -> float:
    """Read a positive number, which may be an array of JAX's with one.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    return as_number(value, function, name, positive=True)


def as_number(value: Any, function: str, name: str, *, positive: bool = False) -> float:
    """Read a number, which may be an array of JAX's with one.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    number = value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value
    if not is_real(number):
        raise TypeError(f"{function}: {name} is a number; got {value!r}")
    found = as_float(number)
    if not math.isfinite(found) or (positive and found <= 0):
        hint = "; for a constant weight take `constant` or `zeros`" if found == 0 else ""
        raise ValueError(f"{function}: {name} is a {'positive' if positive else 'finite'} number; got {value!r}{hint}")
    return found


@final
class JaxOrthogonal(AbstractJax):
    """Orthonormal columns, or rows where they are fewer: the units along one axis, all others their inputs."""

    gain: float = 1.0
    column_axis: int = -1

    elementwise = False
    portable = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", Orthogonal(gain=as_number(self.gain, "orthogonal", "scale")).gain)
        object.__setattr__(self, "column_axis", as_axis(self.column_axis))

    def _axes(self, shape: tuple[int, ...]) -> Axes:
        if len(shape) < 2:
            raise ValueError(f"orthogonal makes weights of two axes or more; got the shape {shape}")
        (column,) = dims(self.column_axis, shape, "column_axis")
        return Axes("".join("o" if dim == column else "i" for dim in range(len(shape))))

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw what symbreak's own class draws in this layout."""
        return Orthogonal(gain=self.gain).sample(shape, stream, self._axes(shape))

    def sample_complex(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw a unitary matrix."""
        return Orthogonal(gain=self.gain).sample_complex(shape, stream, self._axes(shape))

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State what symbreak's own class states."""
        sizes = as_shape(shape)
        return Orthogonal(gain=self.gain).expected(sizes, self._axes(sizes))


@final
class JaxDeltaOrthogonal(AbstractJax):
    """An orthogonal matrix in the middle of the receptive field, which comes before inputs and units."""

    gain: float = 1.0
    column_axis: int = -1

    elementwise = False
    portable = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", DeltaOrthogonal(gain=as_number(self.gain, "delta_orthogonal", "scale")).gain)
        object.__setattr__(self, "column_axis", as_axis(self.column_axis))

    def _axes(self, shape: tuple[int, ...]) -> Axes:
        if not 3 <= len(shape) <= 5:
            raise ValueError(f"delta_orthogonal makes weights of three, four or five axes; got the shape {shape}")
        if shape[-1] < shape[-2]:
            raise ValueError(
                f"delta_orthogonal makes weights with at least as many units (the last axis) as inputs (the one before "
                f"it); got the shape {shape}; Initializer(DeltaOrthogonal()) makes others too"
            )
        (column,) = dims(self.column_axis, shape[-2:], "column_axis")
        return Axes(RECEPTIVE[5 - len(shape) :] + ("io" if column else "oi"))

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw what symbreak's own class draws in this layout."""
        return DeltaOrthogonal(gain=self.gain).sample(shape, stream, self._axes(shape))

    def sample_complex(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw a unitary matrix."""
        return DeltaOrthogonal(gain=self.gain).sample_complex(shape, stream, self._axes(shape))

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State what symbreak's own class states."""
        sizes = as_shape(shape)
        return DeltaOrthogonal(gain=self.gain).expected(sizes, self._axes(sizes))


def as_axis(axis: Any) -> int:
    """Read the one axis that columns lie along."""
    found = as_places(axis, "column_axis")
    if not isinstance(found, int):
        raise TypeError(f"column_axis is one axis; got {axis!r}")
    return found
