"""A weight in parts along one axis, each with an initializer of its own."""

import math
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ..axes import Axes, AxesLike, as_shape
from ..streams import Key, Stream, Window
from ..streams._transforms import BLOCK, Spare
from ._base import AbstractInitializer, Array, Moments, Ties, as_written
from ._registry import register
from ._wrapping import drawn_coincidence, mix, promise, wrap


@register("blocks")
@final
class Blocks(AbstractInitializer):
    """A weight cut along one axis into parts, each a weight of its own with its own initializer.

    Part k is what its initializer makes of the part's shape, with the part's own fans, from the stream
    ``rng[str(k)]``. It is elementwise and portable where all parts are.

    Parameters
    ----------
    inits
        One initializer a part, as :func:`symbreak.get` takes it.
    sizes
        How many indices of the axis each part takes; one of them may be -1, for the rest. None for equal parts.
    axis
        ``"o"`` (units), ``"i"`` (inputs) or ``"b"`` (stacked copies), of which the layout has one; or the number of
        the axis. A vector's only axis is ``"o"``.

    Raises
    ------
    ValueError
        If there are no parts, or not one size a part; when it is called, if the parts don't fit the axis, or the layout
        splits or groups it already.
    TypeError
        If a part is no initializer, or `sizes` are no integers.

    Notes
    -----
    Along the units, the policy is ``"breaks"`` if all parts break ties, where one that does not may have one unit;
    along the inputs, if any does: units differ in that part. Otherwise it is ``"zeroes"`` if all parts are zero, and
    ``"ties"``.

    Examples
    --------
    An embedding whose last row, for padding, is zero:

    >>> import symbreak as sb
    >>> init = sb.Blocks((sb.Normal(0.02), sb.Zeros()), sizes=(-1, 1))
    >>> w = init((5, 3), rng=sb.Key(0))
    >>> w[-1]
    array([0., 0., 0.], dtype=float32)
    >>> bool((w[:4] == sb.Normal(0.02)((4, 3), rng=sb.Key(0)["0"])).all())
    True
    """

    inits: tuple[AbstractInitializer, ...]
    sizes: tuple[int, ...] | None = None
    axis: int | str = field(default="o")

    def __post_init__(self) -> None:
        if not isinstance(self.inits, tuple | list) or not self.inits:
            raise ValueError(f"Blocks: inits is a tuple of initializers, one a part; got {self.inits!r}")
        if self.sizes is not None:
            object.__setattr__(self, "sizes", _read_sizes(self.sizes, len(self.inits)))
        whole = isinstance(self.axis, int) and not isinstance(self.axis, bool)
        if not whole and self.axis not in ("o", "i", "b"):
            raise ValueError(f"Blocks: axis is 'o', 'i', 'b' or the number of an axis; got {self.axis!r}")
        wrap(self, "inits", ties="breaks")
        promise(self, self.inits, self._policy())

    def _policy(self) -> Ties:
        breaks = [init.ties == "breaks" for init in self.inits]
        if all(breaks) or (self.axis == "i" and any(breaks)):
            return "breaks"
        others = [k for k, each in enumerate(breaks) if not each]
        if self.axis == "o" and self.sizes is not None and [self.sizes[k] for k in others] == [1]:
            return "breaks"
        return "zeroes" if all(init.ties == "zeroes" for init in self.inits) else "ties"

    @as_written()
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw, of each part, the values that the stream's window shows."""
        dim, edges = self._cut(shape, axes)
        inner, within = math.prod(shape[dim + 1 :]), _without_splits(axes, dim)
        parts = []
        for k, (begin, end) in enumerate(edges):
            sizes: tuple[int, ...] = (*shape[:dim], end - begin, *shape[dim + 1 :])
            if math.prod(sizes):
                place = _Place(begin * inner, end * inner, shape[dim] * inner)
                parts.append(_Part(self.inits[k], stream.key[str(k)], sizes, within, place))
        out = stream.empty(shape)
        flat = out.reshape(-1)
        if not self.elementwise:
            for part in parts:
                part.place.write_run(flat, 0, flat.size, part.whole(stream.dtype))
            return out
        spare = Spare(stream.dtype)
        for window, begin, end in stream._parts(flat.size):
            for part in parts:
                part.write(window, flat[begin:end], spare)
        return out

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State the probability that two units are equal by chance: entries that are drawn tell them apart."""
        return drawn_coincidence(self, shape, axes, one)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments of an entry of any part."""
        sizes = as_shape(shape)
        found = None if axes is None else Axes.of(axes, sizes)
        dim, edges = self._cut(sizes, found)
        parts: list[tuple[int, ...]] = [(*sizes[:dim], end - begin, *sizes[dim + 1 :]) for begin, end in edges]
        inner = _without_splits(found, dim)
        stated = [init.expected(part, inner) for init, part in zip(self.inits, parts, strict=True)]
        total = math.prod(sizes)
        shares = [math.prod(part) / total if total else 0.0 for part in parts]
        return mix(zip(shares, stated, strict=True))

    def _cut(self, shape: tuple[int, ...], axes: Axes | None) -> tuple[int, list[tuple[int, int]]]:
        """Give the axis, and where each part begins and ends."""
        dim = self._dim(shape, axes)
        size = shape[dim]
        if axes is not None and (axes.splits != 1 or axes.groups != 1) and dim in axes.dims(axes._grouped_axis + "o"):
            raise ValueError(f"Blocks: axes {axes.layout!r} split or group axis {dim} already; give one of the two")
        if self.sizes is None:
            if size % len(self.inits):
                raise ValueError(
                    f"Blocks: axis {dim} of `shape` {shape} has size {size}, which can't be cut into "
                    f"{len(self.inits)} equal parts; give their sizes"
                )
            sizes = [size // len(self.inits)] * len(self.inits)
        else:
            rest = size - sum(each for each in self.sizes if each >= 0)
            sizes = [rest if each < 0 else each for each in self.sizes]
        if min(sizes) < 0 or sum(sizes) != size:
            raise ValueError(f"Blocks: sizes {self.sizes} don't add up to axis {dim} of `shape` {shape}, {size}")
        return dim, list(pairwise(accumulate(sizes, initial=0)))

    def _dim(self, shape: tuple[int, ...], axes: Axes | None) -> int:
        if isinstance(self.axis, str):
            if len(shape) == 1 and self.axis == "o":
                return 0
            found = Axes.of(axes, shape)
            dims = found.dims(self.axis)
            if len(dims) != 1:
                raise ValueError(
                    f"Blocks: axes {found.layout!r} have {len(dims)} axes {self.axis!r}; name one by number"
                )
            return dims[0]
        if not -len(shape) <= self.axis < len(shape):
            raise ValueError(f"Blocks: `shape` {shape} has no axis {self.axis}")
        return self.axis % len(shape)


@dataclass(frozen=True)
class _Part:
    """One part: its initializer, and where its values lie in the whole weight."""

    init: AbstractInitializer
    key: Key
    shape: tuple[int, ...]
    axes: Axes | None
    place: "_Place"

    def whole(self, dtype: np.dtype[Any]) -> Array:
        """Give all values, flat."""
        values = self.init.sample(self.shape, Stream(self.key, dtype=dtype), self.axes)
        self.init._check(values, self.shape, self.shape)
        return values.reshape(-1)

    def write(self, window: Window, out: Array, spare: Spare) -> None:
        """Write the values that lie in the window, which is `out`: of each run, a run of the part.

        Those that lie apart in `out` are drawn into `spare` memory first.
        """
        before = self.place.before
        if len(window.starts) == 1:
            start = int(window.starts[0])
            begin = before(start)
            length = before(start + window.length) - begin
            if length == len(out):  # the whole window: drawn in place
                values = self._draw(np.array([begin]), length, out)
                if values is not out:
                    out[...] = values
            elif length:  # with what else is in the stream's blocks, which are drawn whole anyway
                first = begin // BLOCK * BLOCK
                last = min(-(-(begin + length) // BLOCK) * BLOCK, math.prod(self.shape))
                values = self._draw(np.array([first]), last - first, spare.of(last - first))
                self.place.write_run(out, start, window.length, values[begin - first :][:length])
            return
        begins = before(window.starts)
        lengths = before(window.starts + window.length) - begins
        rows = out.reshape(-1, window.length)
        for length in np.unique(lengths[lengths > 0]).tolist():
            runs = np.flatnonzero(lengths == length)
            values = self._draw(begins[runs], length, spare.of(len(runs) * length))
            positions = window.starts[runs][:, None] + np.arange(window.length)
            taken = rows[runs]
            taken[self.place.holds(positions)] = values
            rows[runs] = taken

    def _draw(self, starts: npt.NDArray[np.int64], length: int, out: Array) -> Array:
        seen = Window(math.prod(self.shape), starts, length)
        values = self.init.sample(self.shape, Stream(self.key, dtype=out.dtype, window=seen, out=out), self.axes)
        self.init._check(values, (seen.size,), self.shape)
        return values


class _Place:
    """The positions [begin, end) of every period of a flat array."""

    def __init__(self, begin: int, end: int, period: int) -> None:
        self.begin, self.end, self.period = begin, end, period

    def before(self, positions: Any) -> Any:
        """Count the positions of the part that come before each, or before one."""
        width = self.end - self.begin
        if isinstance(positions, int):
            turns, at = divmod(positions, max(self.period, 1))
            return turns * width + min(max(at - self.begin, 0), width)
        turns, at = np.divmod(positions, max(self.period, 1))
        return turns * width + np.clip(at - self.begin, 0, width)

    def holds(self, positions: Array) -> Array:
        """Say which positions are in the part."""
        at = positions % self.period
        held: Array = (self.begin <= at) & (at < self.end)
        return held

    def write_run(self, out: Array, start: int, length: int, values: Array) -> None:
        """Write the part's values of the run [start, start + length), which is `out`, in order."""
        at = used = 0
        while at < length:
            place = (start + at) % self.period
            whole = (length - at) // self.period
            if place == 0 and whole:
                width = self.end - self.begin
                size = whole * width
                rows = out[at : at + whole * self.period].reshape(whole, self.period)
                rows[:, self.begin : self.end] = values[used : used + size].reshape(whole, width)
                at, used = at + whole * self.period, used + size
                continue
            stop = min(self.period - place, length - at)
            first, last = (min(max(edge - place, 0), stop) for edge in (self.begin, self.end))
            out[at + first : at + last] = values[used : used + last - first]
            at, used = at + stop, used + last - first


def _read_sizes(sizes: Any, parts: int) -> tuple[int, ...]:
    try:
        found = tuple(sizes)
    except TypeError:
        raise TypeError(f"Blocks: sizes are integers, one a part; got {sizes!r}") from None
    if not all(isinstance(size, int | np.integer) and not isinstance(size, bool) for size in found):
        raise TypeError(f"Blocks: sizes are integers, one a part; got {sizes!r}")
    if len(found) != parts or min(found) < -1 or found.count(-1) > 1:
        raise ValueError(f"Blocks: sizes has one size a part, {parts} in all, of which one may be -1; got {sizes!r}")
    return tuple(int(size) for size in found)


def _without_splits(axes: Axes | None, dim: int) -> Axes | None:
    """Give the layout of a part: fused parts along another axis stay."""
    return replace(axes, splits=1) if axes is not None and dim in axes.dims("o") else axes
