"""What each axis of a weight is: output units, inputs, receptive field, stacked copies; and the fans that follow.

A layout is a string with one letter an axis:

===  ==================================================================================================
o    output units; several are read as one (``"ioo"``: the kernel of attention with heads, in Keras)
i    inputs; several are read as one
b    stacked copies: experts, heads, layers or members, each a weight of its own
d    depth of the receptive field; likewise ``h`` height and ``w`` width
===  ==================================================================================================
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, final

import numpy as np
import numpy.typing as npt

AxesLike: TypeAlias = "Axes | str | None"

DEFAULTS = {2: "oi", 3: "oiw", 4: "oihw", 5: "oidhw"}
RECEPTIVE = "dhw"
EXAMPLES = (
    "'oi' (PyTorch linear), 'io' (Keras dense), 'oihw' and 'hwio' (convolutions), 'iohw' and 'hwoi' (transposed "
    "convolutions), 'boi' (stacked copies)"
)


class Fans(NamedTuple):
    """How many inputs feed one output unit, and how many output units one input feeds.

    Attributes
    ----------
    fan_in
        Inputs of a unit, times the positions of the receptive field.
    fan_out
        Units that an input feeds, times the same.

    Examples
    --------
    >>> import symbreak as sb
    >>> fan_in, fan_out = sb.fans((64, 3, 7, 7))
    >>> fan_in, fan_out
    (147, 3136)
    """

    fan_in: int
    fan_out: int


@final
@dataclass(frozen=True)
class Axes:
    """The layout of a weight.

    Parameters
    ----------
    layout
        One letter an axis: ``o``, ``i``, ``b``, ``d``, ``h``, ``w``; at least one ``o`` and one ``i``.
    groups
        Groups of a grouped convolution; a unit reads the inputs of its own group only. They lie along the output axis,
        whose size counts all groups while the input axis counts one (PyTorch, Keras), unless the layout is that of a
        transposed convolution in PyTorch (``io`` before the receptive field): there it is the other way round.
    grouped
        ``"o"`` or ``"i"`` says along which axis all groups are counted, where the rule above does not hold. Keras'
        depthwise kernel (height, width, channels, multiplier) is ``Axes("hwio", groups=channels, grouped="i")``.
    splits
        Parts that are fused along the output axis, each a weight of its own: a number of equal parts (4 for the gates
        of an LSTM, 3 for fused q, k, v) or their sizes.

    Raises
    ------
    ValueError
        For a layout, groups or splits that make no sense.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.fans((512, 4, 3, 3), axes=sb.Axes("oihw", groups=128))
    Fans(fan_in=36, fan_out=36)
    >>> sb.fans((96, 32), axes=sb.Axes("oi", splits=3))
    Fans(fan_in=32, fan_out=32)
    """

    layout: str
    groups: int = 1
    grouped: str | None = None
    splits: int | tuple[int, ...] = 1

    def __post_init__(self) -> None:
        if not isinstance(self.layout, str):
            raise TypeError(f"a layout is a string with one letter an axis, such as {EXAMPLES}; got {self.layout!r}")
        repeated = [letter for letter in RECEPTIVE if self.layout.count(letter) > 1]
        unknown = [letter for letter in self.layout if letter not in "oib" + RECEPTIVE]
        if repeated or unknown or "o" not in self.layout or "i" not in self.layout:
            raise ValueError(
                f"the layout {self.layout!r} is not one letter an axis, of o (units), i (inputs), b (copies), d, h, w "
                f"(receptive field), with at least one o and one i; such as {EXAMPLES}"
            )
        if not _is_count(self.groups):
            raise ValueError(f"groups is a positive integer; got {self.groups!r}")
        if self.grouped not in (None, "o", "i"):
            raise ValueError(f"grouped is 'o' or 'i', the axis that counts all groups; got {self.grouped!r}")
        if isinstance(self.splits, Iterable):
            object.__setattr__(self, "splits", tuple(self.splits))
        sizes = self.splits if isinstance(self.splits, tuple) else (self.splits,)
        if not sizes or not all(_is_count(size) for size in sizes):
            raise ValueError(f"splits is a number of equal parts or the sizes of the parts; got {self.splits!r}")

    @classmethod
    def of(cls, axes: AxesLike, shape: Sequence[int]) -> "Axes":
        """Read `axes` for a weight of `shape`; None is PyTorch's order, ``"oi"`` to ``"oidhw"``.

        Parameters
        ----------
        axes
            An Axes, a layout, or None.
        shape
            Of the weight.

        Returns
        -------
        Axes

        Raises
        ------
        ValueError
            If the number of axes, the groups or the splits don't fit the shape.
        """
        sizes = as_shape(shape)
        return _read(axes if axes is None or isinstance(axes, Axes) else cls(axes), sizes)

    @property
    def _grouped_axis(self) -> str:
        if self.grouped is not None:
            return self.grouped
        core = self.layout.replace("b", "")
        transposed = core.startswith("io") and core[-1] in RECEPTIVE
        return "i" if transposed else "o"

    def dims(self, letters: str) -> tuple[int, ...]:
        """Give the dimensions that carry any of `letters`, in order."""
        return tuple(dim for dim, letter in enumerate(self.layout) if letter in letters)

    def _size(self, letters: str, shape: Sequence[int]) -> int:
        return math.prod(shape[dim] for dim in self.dims(letters))

    def units(self, shape: Sequence[int]) -> int:
        """Give the number of output units of one copy, over all groups."""
        return self._size("o", shape) * (self.groups if self._grouped_axis == "i" else 1)

    def parts(self, shape: Sequence[int]) -> tuple[slice, ...]:
        """Give the slices of the output axis that `splits` makes."""
        units = self._size("o", shape)
        sizes = self.splits if isinstance(self.splits, tuple) else (units // self.splits,) * self.splits
        edges = itertools.accumulate(sizes, initial=0)
        return tuple(slice(begin, end) for begin, end in itertools.pairwise(edges))

    def part_fans(self, shape: Sequence[int]) -> tuple[Fans, ...]:
        """Give the fans of each part that `splits` makes."""
        receptive = self._size(RECEPTIVE, shape)
        inputs = self._size("i", shape)
        along_i = self._grouped_axis == "i"
        fan_in = receptive * (inputs // self.groups if along_i else inputs)
        return tuple(
            Fans(fan_in, receptive * ((part.stop - part.start) // (1 if along_i else self.groups)))
            for part in self.parts(shape)
        )

    def matrices(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Show a weight as its linear maps: (copies and groups, units, incoming and receptive field).

        Parameters
        ----------
        array
            Of a shape that fits the layout.

        Returns
        -------
        numpy.ndarray
            A view where the strides allow it, else a copy.
        """
        expanded, order = self._expanded(array.shape)
        maps = array.reshape(expanded).transpose(order)
        return maps.reshape(self._map_shape(array.shape))

    def from_matrices(self, matrices: npt.NDArray[Any], shape: Sequence[int]) -> npt.NDArray[Any]:
        """Undo :meth:`matrices`.

        Parameters
        ----------
        matrices
            (copies and groups, units, incoming).
        shape
            Of the weight.

        Returns
        -------
        numpy.ndarray
            Of `shape`; a view where the strides allow it.
        """
        expanded, order = self._expanded(shape)
        maps = matrices.reshape([expanded[dim] for dim in order])
        return maps.transpose(np.argsort(order)).reshape(tuple(shape))

    def _map_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        along_o = self._grouped_axis == "o"
        units = self._size("o", shape) // (self.groups if along_o else 1)
        inputs = self._size("i", shape) // (1 if along_o else self.groups)
        return self._size("b", shape) * self.groups, units, inputs * self._size(RECEPTIVE, shape)

    def _expanded(self, shape: Sequence[int]) -> tuple[list[int], list[int]]:
        """Split the groups off their axis: the longer shape, and the order copies, groups, units, inputs, receptive."""
        split = self.dims(self._grouped_axis)[0]
        expanded = [*shape[:split], self.groups, shape[split] // self.groups, *shape[split + 1 :]]
        letters = self.layout[:split] + "g" + self.layout[split:]
        ranks = {"b": 0, "g": 1, "o": 2, "i": 3}
        return expanded, sorted(range(len(letters)), key=lambda dim: ranks.get(letters[dim], 4))


def fans(shape: Sequence[int], axes: AxesLike = None) -> Fans:
    """Count the inputs that feed one output unit of a weight, and the output units that one input feeds.

    Parameters
    ----------
    shape
        Of the weight.
    axes
        Its layout; by default ``"oi"``, ``"oiw"``, ``"oihw"`` or ``"oidhw"``, the order of PyTorch.

    Returns
    -------
    Fans
        ``fan_in`` and ``fan_out``: receptive field and groups counted, stacked copies not. Where `axes` splits the
        output axis into unequal parts, ``fan_out`` is that of all parts together.

    Raises
    ------
    ValueError
        If the shape has no output or no input axis, or does not fit `axes`.

    See Also
    --------
    Axes : Layouts with groups, copies and fused parts.
    VarianceScaling : What divides by them.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks". AISTATS 2010, section
    4.2.1 (dense).

    He et al. "Delving deep into rectifiers". ICCV 2015, section 2.2 (convolutions). :arxiv:`1502.01852`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.fans((64, 3, 7, 7))
    Fans(fan_in=147, fan_out=3136)
    >>> sb.fans((7, 7, 3, 64), axes="hwio")
    Fans(fan_in=147, fan_out=3136)
    >>> sb.fans((64, 16, 4, 4), axes="iohw")
    Fans(fan_in=1024, fan_out=256)
    """
    shape = as_shape(shape)
    found = Axes.of(axes, shape)
    each = found.part_fans(shape)
    if len(set(each)) == 1:
        return each[0]
    return Fans(each[0].fan_in, sum(part.fan_out for part in each))


def units_first(array: npt.NDArray[Any], axes: AxesLike) -> npt.NDArray[Any]:
    """Show a weight as (maps, units, incoming): one map a stacked copy and group."""
    if axes is None and array.ndim not in DEFAULTS:  # no order is usual: units along the first axis
        return np.asarray(array).reshape(1, len(array), -1)
    return Axes.of(axes, array.shape).matrices(np.asarray(array))


def as_shape(shape: Any) -> tuple[int, ...]:
    """Read a shape: a non-negative integer or a sequence of them.

    Raises
    ------
    TypeError, ValueError
        If it is anything else, or negative.
    """
    entries = (shape,) if isinstance(shape, int | np.integer) else shape
    try:
        sizes = tuple(entries)
    except TypeError:
        raise TypeError(f"`shape` is an integer or a sequence of integers; got {shape!r}") from None
    if not all(isinstance(size, int | np.integer) and not isinstance(size, bool) for size in sizes):
        raise TypeError(f"`shape` is an integer or a sequence of integers; got {shape!r}")
    if any(size < 0 for size in sizes):
        raise ValueError(f"`shape` has a negative size: {shape!r}")
    return tuple(int(size) for size in sizes)


@lru_cache(maxsize=256)
def _read(axes: Axes | None, shape: tuple[int, ...]) -> Axes:
    """Fill in the usual order, and check the layout against the shape; it is asked for once a piece of one weight."""
    if axes is None and len(shape) not in DEFAULTS:
        remedy = "for a bias use `Zeros()`" if len(shape) == 1 else "name them: axes='boi', for instance"
        raise ValueError(f"a weight needs an output and an input axis, but `shape` is {shape}; {remedy}")
    found = Axes(DEFAULTS[len(shape)]) if axes is None else axes
    if len(found.layout) != len(shape):
        raise ValueError(f"axes {found.layout!r} names {len(found.layout)} axes, but `shape` is {shape}")
    units = found._size("o", shape)
    if isinstance(found.splits, tuple):
        if sum(found.splits) != units:
            raise ValueError(
                f"splits {found.splits} add up to {sum(found.splits)}, but `shape` {shape} has {units} units"
            )
    elif units % found.splits:
        raise ValueError(f"{units} units of `shape` {shape} can't be split into {found.splits} equal parts")
    if found.splits != 1 and found.layout.count("o") != 1:
        raise ValueError(f"splits lie along one output axis, but axes {found.layout!r} has several")
    counted = shape[found.dims(found._grouped_axis)[0]]
    if counted % found.groups:
        raise ValueError(
            f"axis {found._grouped_axis!r} of `shape` {shape} has size {counted}, which "
            f"{found.groups} groups don't divide"
        )
    if found.groups != 1 and found.splits != 1:
        raise ValueError(f"axes {found.layout!r} has both groups and splits; initialise the parts one by one")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value > 0)
