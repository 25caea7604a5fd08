"""Windows that slide over positions: where they lie, what they see, and the way back.

Positions are the axes between batch and units: (batch, time, units), or (batch, height, width, units).
"""

from typing import Any, NamedTuple, final

import numpy as np

from ._exact import zeros
from ._layers import Array, Shape

AXES = {1: ("time",), 2: ("height", "width")}  # what the positions are called, by how many axes they have
SIZES = {1: ("width",), 2: ("height", "width")}  # what the sizes of a window are called


@final
class Windows(NamedTuple):
    """Windows of `sizes`, one every `strides` positions, over positions with zeros around them.

    Attributes
    ----------
    sizes
        Of a window, one along each axis.
    strides
        How many positions further the next one lies, along each axis.
    padding
        How many positions are added at both ends of each axis; or ``"same"``, for one window every stride: the fewest
        that do, an odd one at the end.
    """

    sizes: Shape
    strides: Shape
    padding: Shape | str

    def margins(self, positions: Shape) -> tuple[tuple[int, int], ...]:
        """Give how many positions are added before and after, along each axis."""
        if not isinstance(self.padding, str):
            return tuple((added, added) for added in self.padding)
        axes = zip(positions, self.sizes, self.strides, strict=True)
        added = [max((-(-n // stride) - 1) * stride + size - n, 0) for n, size, stride in axes]
        return tuple((total // 2, total - total // 2) for total in added)

    def counts(self, positions: Shape) -> Shape:
        """Give how many windows lie along each axis.

        Raises
        ------
        ValueError
            If there is room for none.
        """
        padded = tuple(n + sum(margin) for n, margin in zip(positions, self.margins(positions), strict=True))
        if any(n < size for n, size in zip(padded, self.sizes, strict=True)):
            around = "" if padded == positions else ", padding included"
            raise ValueError(f"a window of {shown(self.sizes)} has no room in {shown(padded)} positions{around}")
        return tuple((n - size) // step + 1 for n, size, step in zip(padded, self.sizes, self.strides, strict=True))

    def see(self, x: Array, fill: float = 0) -> Array:
        """View x, (batch, ..., units), through the windows: (batch, ..., units, *sizes), read-only."""
        _, *positions, _ = x.shape
        self.counts(tuple(positions))
        margins = self.margins(tuple(positions))
        if np.any(margins):
            padded = np.full(_padded(x.shape, margins), fill, x.dtype)
            padded[_inside(x.shape, margins)] = x
            x = padded
        windows = np.lib.stride_tricks.sliding_window_view(x, self.sizes, axis=tuple(range(1, x.ndim - 1)))
        view: Array = windows[(slice(None), *(slice(None, None, stride) for stride in self.strides))]
        return view

    def put_back(self, g: Array, shape: Shape) -> Array:
        """Sum g, (batch, ..., units, *sizes), at the positions that the windows see; `shape` is that of x.

        It is the transpose of `see`. The windows' places are added one after the other, the same for each unit.
        """
        _, *positions, _ = shape
        margins = self.margins(tuple(positions))
        counts = self.counts(tuple(positions))
        total = zeros(_padded(shape, margins), g)
        for place in np.ndindex(*self.sizes):
            axes = zip(place, counts, self.strides, strict=True)
            seen = tuple(slice(first, first + count * stride, stride) for first, count, stride in axes)
            total[(slice(None), *seen)] += g[(..., *place)]
        return total[_inside(shape, margins)]


def per_axis(value: Any, axes: int, least: int, what: str) -> Shape:
    """Return a whole number for each axis of the positions, or raise; one number stands for all."""
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    whole = all(isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers)
    if not whole or len(numbers) != axes or min(numbers) < least:
        several = "" if axes == 1 else f", or {axes} of them, ({', '.join(SIZES[axes])})"
        raise ValueError(f"{what} must be a whole number, {least} or more{several}; got {value!r}")
    return tuple(int(number) for number in numbers)


def check_axes(shape: Shape, axes: int, units: int | None = None) -> Shape:
    """Return the positions of one row of x, or raise if it has not so many axes of them, or not so many units."""
    if len(shape) != axes + 1 or units not in (None, shape[-1]):
        wanted = ", ".join(("batch", *AXES[axes], str(units or "units")))
        raise ValueError(f"it reads ({wanted}), not {('batch', *shape)}")
    return shape[:-1]


def shown(sizes: Shape) -> str:
    return "x".join(map(str, sizes))


def _padded(shape: Shape, margins: tuple[tuple[int, int], ...]) -> Shape:
    batch, *positions, units = shape
    return (batch, *(n + before + after for n, (before, after) in zip(positions, margins, strict=True)), units)


def _inside(shape: Shape, margins: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    return (slice(None), *(slice(before, before + n) for n, (before, _) in zip(shape[1:-1], margins, strict=True)))
