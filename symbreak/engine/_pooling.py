"""Pooling: the largest value, or the mean, of what each unit says in a window.

It goes unit by unit, and through a window in one order for all units, so that units that are equal stay so.
"""

from typing import Any, final

import numpy as np

from ._exact import Residue, kind_of
from ._layers import AbstractLayer, Array, Backward, Run, Shape, summed
from ._windows import AXES, SIZES, Windows, check_axes, per_axis, shown
from ._wiring import Wire, Wiring

Sizes = int | tuple[int, ...]


class AbstractPool(AbstractLayer):
    """Windows that slide over the positions of each unit: the part that the kinds of pooling share."""

    inputs = units = None
    _windows: Windows

    def shape(self, *shapes: Shape) -> Shape:
        """Give the shape of one row's output: the windows along each axis, and the units."""
        positions = check_axes(shapes[0], len(self._windows.sizes))
        return (*self._windows.counts(positions), shapes[0][-1])

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Pass its source on: it goes unit by unit."""
        return sources[0]

    def __repr__(self) -> str:
        sizes, strides, padding = self._windows
        settings = [shown(sizes)] + ([f"stride {shown(strides)}"] if strides != sizes else [])
        settings += [f"padding {shown(padding)}"] if isinstance(padding, tuple) and any(padding) else []
        return f"{type(self).__name__}({', '.join(settings)})"


@final
class MaxPool(AbstractPool):
    """The largest value of each window, unit by unit.

    Where several are the largest, the gradient goes to the first of them, row by row, for every unit alike.

    Parameters
    ----------
    size
        Of a window: one number for (batch, time, units), a pair for (batch, height, width, units).
    stride
        How many positions one window lies after the other; by default the size, so that windows don't overlap.
    padding
        How many positions are added at both ends, fewer than the size; none of them is ever the largest.

    Raises
    ------
    ValueError
        Sizes, strides or paddings that make no sense.
    TypeError
        When it runs, residues, which have no order.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> image = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> y, _ = engine.MaxPool((2, 2)).forward(image, engine.Run(np.inner))
    >>> y[0, ..., 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """

    def __init__(self, size: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        self.parameters = {}
        self._windows = _read_windows(size, stride, padding)

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Find the largest values; the memory is (shape of the input, place of the largest in each window)."""
        if x.dtype == object and kind_of(x) is Residue:
            raise TypeError(f"residues have no order, and so no largest; {self!r} takes fractions or floats")
        windows = self._windows.see(x, -np.inf)
        flat = windows.reshape(*windows.shape[: -len(self._windows.sizes)], -1)
        largest = flat.argmax(axis=-1)[..., np.newaxis]  # the first of several
        return np.take_along_axis(flat, largest, axis=-1)[..., 0], (x.shape, largest)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Hand the gradient of each window to its largest value."""
        shape, largest = memory
        sizes = self._windows.sizes
        places = largest == np.arange(np.prod(sizes))
        of_windows = np.where(places, g[..., np.newaxis], 0).reshape(*g.shape, *sizes)
        return Backward(self._windows.put_back(of_windows, shape), g, {})


@final
class AveragePool(AbstractPool):
    """The mean of each window, unit by unit.

    Parameters
    ----------
    size
        Of a window: one number for (batch, time, units), a pair for (batch, height, width, units).
    stride
        How many positions one window lies after the other; by default the size, so that windows don't overlap.

    Raises
    ------
    ValueError
        Sizes or strides that make no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> image = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> y, _ = engine.AveragePool((2, 2)).forward(image, engine.Run(np.inner))
    >>> y[0, ..., 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """

    def __init__(self, size: Sizes, *, stride: Sizes | None = None) -> None:
        self.parameters = {}
        self._windows = _read_windows(size, stride, 0)
        self._places = int(np.prod(self._windows.sizes))

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the means; the memory is the shape of the input."""
        windows = self._windows.see(x)
        total = summed(windows.reshape(-1, self._places).T)
        return (total / self._places).reshape(windows.shape[: -len(self._windows.sizes)]), x.shape

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Hand each value of a window its share of the gradient."""
        sizes = self._windows.sizes
        share = (g / self._places).reshape(*g.shape, *(1 for _ in sizes))
        return Backward(self._windows.put_back(np.broadcast_to(share, (*g.shape, *sizes)), memory), g, {})


@final
class GlobalAveragePool(AbstractLayer):
    """The mean of each unit over all positions: (batch, ..., units) to (batch, units).

    References
    ----------
    Lin, Chen, Yan. "Network in network". ICLR 2014, section 3.2. :arxiv:`1312.4400`

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> image = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> engine.GlobalAveragePool().forward(image, engine.Run(np.inner))[0]
    array([[7.5]])
    """

    inputs = units = None

    def __init__(self) -> None:
        self.parameters = {}

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Compute the means; the memory is the shape of the input."""
        batch, *positions, units = x.shape
        count = int(np.prod(positions))
        first = x.reshape(batch, count, units).swapaxes(0, 1).reshape(count, -1)  # positions first
        return (summed(first) / count).reshape(batch, units), x.shape

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Hand each position its share of the gradient."""
        batch, *positions, units = memory
        share = (g / int(np.prod(positions))).reshape(batch, *(1 for _ in positions), units)
        return Backward(np.broadcast_to(share, memory), g, {})

    def shape(self, *shapes: Shape) -> Shape:
        """Give the units alone."""
        if len(shapes[0]) < 2:
            raise ValueError(
                f"it reads (batch, ..., units), with positions to average over, not {('batch', *shapes[0])}"
            )
        return shapes[0][-1:]

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Pass its source on: it goes unit by unit."""
        return sources[0]

    def __repr__(self) -> str:
        return "GlobalAveragePool()"


def _read_windows(size: Any, stride: Any, padding: Any) -> Windows:
    axes = len(size) if isinstance(size, tuple | list) else 1
    if axes not in AXES:
        raise ValueError(f"windows have one size or two, {SIZES[1][0]} or ({', '.join(SIZES[2])}); got {size!r}")
    sizes = per_axis(size, axes, 1, "the size of a window")
    added = per_axis(padding, axes, 0, "a padding")
    if any(n >= size for n, size in zip(added, sizes, strict=True)):
        raise ValueError(
            f"a padding of {shown(added)} lets windows of {shown(sizes)} see nothing else; make it less than the size"
        )
    return Windows(sizes, sizes if stride is None else per_axis(stride, axes, 1, "a stride"), added)
