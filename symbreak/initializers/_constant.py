"""Weights that are all equal: what must not be done to a hidden layer, and what biases and norms start at."""

from typing import Any, ClassVar, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..dtypes import EXTENSION_FLOATS
from ..streams import Stream
from ._base import AbstractInitializer, Array, Moments, as_written
from ._places import copy
from ._registry import register
from ._validate import LARGEST, check_finite

SHOWN = 1000  # values: a larger array is not shown in full


@register("constant")
@final
class Constant(AbstractInitializer):
    """Every entry has one value, so that all units of a layer are equal and stay equal; or an array, entry by entry.

    Parameters
    ----------
    value
        A finite number, or an array of them. An array is broadcast by NumPy's rules to the shape that is asked for: one
        of the weight's own shape is copied, stacked copies each get it whole.

    Raises
    ------
    ValueError
        If a value is not finite in float32; when called, if the array can't be broadcast to the shape.

    See Also
    --------
    Zeros, Ones : The two that have names.
    Perturbed : A constant with a little noise, whose units can become different.

    Notes
    -----
    An array is copied, as float64, and can't be changed. Whether its units are equal is up to it, and an audit does not
    complain; the policy of the class is ``"ties"``.

    References
    ----------
    Rumelhart, Hinton, Williams. "Learning representations by back-propagating errors". Nature 323 (1986): equal
    starting weights can never become different, because the error signals are equal too.

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> sb.Constant(0.5)((2, 3))
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]], dtype=float32)
    >>> sb.Constant(np.log([0.7, 0.2, 0.1]))(3, dtype="float64")  # the bias of a classifier: its classes' shares
    array([-0.35667494, -1.60943791, -2.30258509])
    """

    value: Any

    ties = "ties"
    _ends: ClassVar[tuple[float, float]] = (0.0, 0.0)  # of an array: its least and largest value

    def __post_init__(self) -> None:
        if isinstance(self.value, np.generic) or not (
            isinstance(self.value, list | tuple) or hasattr(self.value, "__array__")
        ):
            check_finite(self, "value")
            return
        try:
            found = np.asarray(self.value)
            real = found.dtype.kind in "iuf" or found.dtype.name in EXTENSION_FLOATS
            array = found.astype(np.float64) if real else None  # a copy
        except ValueError:  # rows of different lengths
            array = None
        if array is None:
            raise ValueError(
                f"Constant: value is a finite number within float32, or an array of them; got {self.value!r}"
            )
        if not array.ndim:
            object.__setattr__(self, "value", float(array))
            check_finite(self, "value")
            return
        wrong = ~(np.abs(array) <= LARGEST)
        if wrong.any():
            raise ValueError(
                f"Constant: values are finite within float32; got {array[wrong][0]!r} at index "
                f"{tuple(map(int, np.argwhere(wrong)[0]))} and {np.count_nonzero(wrong) - 1} others"
            )
        array.flags.writeable = False
        object.__setattr__(self, "value", array)
        object.__setattr__(self, "_ends", (float(array.min(initial=0.0)), float(array.max(initial=0.0))))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and np.array_equal(self.value, other.value)

    def __hash__(self) -> int:
        some = np.ravel(self.value)[:64].tolist()
        return hash((type(self), np.shape(self.value), *some))

    def __reduce__(self) -> tuple[Any, ...]:
        return Constant, (self.value,)  # an array that is unpickled could be written to

    def __repr__(self) -> str:
        if isinstance(self.value, float):
            return f"Constant({self.value!r})"
        if self.value.size > SHOWN:
            return f"Constant(<array of shape {self.value.shape}>)"
        return f"Constant({self.value.tolist()!r})"

    def to_config(self) -> dict[str, Any]:
        """Give the name, and the number or the array as nested lists."""
        return {"name": self.name, "value": self.value if isinstance(self.value, float) else self.value.tolist()}

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Fill with the value."""
        if isinstance(self.value, float):
            return stream.full(shape, self.value)
        every = self._as(shape)
        with np.errstate(all="ignore"):
            if self.value.size <= every.shape[-1]:  # cast what is repeated once
                every = np.broadcast_to(self.value.astype(stream.dtype), shape)
            return copy(stream, every)

    def _farthest(self, shape: tuple[int, ...], axes: Axes | None, sigmas: float) -> float:
        return self.value if isinstance(self.value, float) else max(reversed(self._ends), key=abs)

    def _as(self, shape: tuple[int, ...]) -> Array:
        try:
            return np.broadcast_to(self.value, shape)
        except ValueError:
            raise ValueError(
                f"Constant: an array of shape {np.shape(self.value)} can't be broadcast to `shape` {shape}; pass one "
                f"whose axes are those of the weight, or 1"
            ) from None

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the value, with standard deviation 0; of an array, what its entries have."""
        if isinstance(self.value, float):
            return Moments(self.value, 0.0, self.value, self.value)
        values = self._as(as_shape(shape))
        if not values.size:
            return Moments(0.0, 0.0, 0.0, 0.0)
        values = self.value  # each is repeated as often as the others
        return Moments(float(values.mean()), float(values.std()), float(values.min()), float(values.max()))


@register("zeros", "zero")
@final
class Zeros(AbstractInitializer):
    """Every entry is zero: what biases start at.

    See Also
    --------
    Constant : Any other value.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Zeros()(2)
    array([0., 0.], dtype=float32)
    """

    ties = "zeroes"

    @as_written()
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

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Fill with ones."""
        return stream.full(shape, 1.0)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State one."""
        return Moments(1.0, 0.0, 1.0, 1.0)
