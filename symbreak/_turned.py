"""Weights that are drawn units first and turned into a framework's layout, so that all frameworks get the same ones.

Units first is the order of :meth:`Axes.matrices`: stacked copies, groups, output units, inputs, receptive field. A
layer of PyTorch lies so by itself, unless it is a transposed convolution. In memory the values then follow each other
as in any layout that only cuts or joins these axes, such as heads that are an axis of their own.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, final

import numpy as np
import numpy.typing as npt

from .axes import Axes, AxesLike
from .dtypes import DTypeLike
from .initializers import AbstractInitializer
from .initializers._base import Box, _boxes
from .streams import PIECE, Key, Window

Array = npt.NDArray[Any]

TOGETHER = 16  # units: half of the time that a whole box takes to be turned


@final
@dataclass(frozen=True)
class Turn:
    """How the array of a framework, of `given` shape, is made of one that is drawn units first.

    Attributes
    ----------
    given
        Shape in the framework.
    shape, axes
        Of the array that is drawn.
    cut, order
        The framework's array, reshaped to `cut` and transposed to `order`, holds the drawn one's values in C order.
    """

    given: tuple[int, ...]
    shape: tuple[int, ...]
    axes: AxesLike
    cut: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def back(self) -> tuple[int, ...]:
        """The transposition that undoes `order`."""
        return tuple(int(place) for place in np.argsort(self.order))

    def view(self, array: Array) -> Array:
        """Show an array of the framework, of any strides, in the order of the drawn one."""
        return array.reshape(self.cut).transpose(self.order)

    def turn(self, drawn: Array) -> Array:
        """Give the framework's array, C-ordered, from the drawn one."""
        values = drawn.reshape([self.cut[dim] for dim in self.order]).transpose(self.back)
        return np.ascontiguousarray(values).reshape(self.given)


@lru_cache(maxsize=1024)
def find_turn(shape: tuple[int, ...], axes: AxesLike) -> Turn | None:
    """Say how a weight of a layout is made of one that is drawn units first.

    Parameters
    ----------
    shape
        Of the weight, in the framework.
    axes
        Its layout; None is PyTorch's order.

    Returns
    -------
    Turn or None
        None where it lies units first already.
    """
    if axes is None or len(shape) < 2:
        return None
    found = Axes.of(axes, shape)
    ranks = {letter: rank for rank, letter in enumerate("bgoidhw")}
    if found.groups == 1 or found._grouped_axis == "o":
        cut, letters = list(shape), found.layout
        order = sorted(range(len(letters)), key=lambda dim: ranks[letters[dim]])
        sizes = [cut[dim] for dim in order]
        layout = "".join(letters[dim] for dim in order)
    else:  # all groups are counted along the inputs: they go before the units, and with them into one axis
        split = found.dims("i")[0]
        cut = [*shape[:split], found.groups, shape[split] // found.groups, *shape[split + 1 :]]
        letters = found.layout[:split] + "g" + found.layout[split:]
        order = sorted(range(len(letters)), key=lambda dim: ranks[letters[dim]])
        sizes = [cut[dim] for dim in order]
        at = found.layout.count("b")
        sizes[at : at + 2] = [sizes[at] * sizes[at + 1]]
        layout = "".join(letters[dim] for dim in order).replace("g", "")
    if order == list(range(len(order))) and tuple(sizes) == shape:
        return None
    drawn = replace(found, layout=layout, grouped="o" if found.groups != 1 else None)
    return Turn(shape, tuple(sizes), drawn, tuple(cut), tuple(order))


def draw(
    init: AbstractInitializer,
    shape: tuple[int, ...],
    key: Key,
    *,
    dtype: DTypeLike,
    axes: AxesLike,
    workers: int | None,
) -> Array:
    """Make a weight of a framework: that of its units-first shape, turned.

    Returns
    -------
    numpy.ndarray
        Of `shape`, C-ordered.
    """
    turn = find_turn(shape, axes)
    if turn is None:
        return init(shape, key, dtype=dtype, axes=axes, workers=workers)
    return turn.turn(init(turn.shape, key, dtype=dtype, axes=turn.axes, workers=workers))


def draw_region(
    init: AbstractInitializer,
    shape: tuple[int, ...],
    index: Sequence[slice],
    key: Key,
    *,
    dtype: DTypeLike,
    axes: AxesLike,
    workers: int | None = None,
) -> Array:
    """Make a box of a weight of a framework: ``draw(...)[index]``, bit for bit.

    Parameters
    ----------
    index
        A slice an axis of `shape`.

    Returns
    -------
    numpy.ndarray
        At a cost in proportion to its size where the class is elementwise.
    """
    turn, box = find_turn(shape, axes), tuple(index)
    if turn is None:
        return init.region(shape, box, key, dtype=dtype, axes=axes, workers=workers)
    if turn.cut != shape or len(turn.shape) != len(shape):  # groups are an axis of their own: no box in the drawn one
        return np.ascontiguousarray(draw(init, shape, key, dtype=dtype, axes=axes, workers=workers)[box])
    part = tuple(box[dim] for dim in turn.order)
    drawn = init.region(turn.shape, part, key, dtype=dtype, axes=turn.axes, workers=workers)
    return np.ascontiguousarray(drawn.transpose(turn.back))


def fill_tasks(init: AbstractInitializer, out: Array, key: Key, *, axes: AxesLike) -> Iterator[Callable[[], None]]:
    """Give the tasks that together write a weight into a framework's memory, in any order and on any threads.

    Parameters
    ----------
    out
        Of the framework's shape, writeable, of any strides and a floating dtype that the class makes.

    Yields
    ------
    callable
        What it writes no other does. A class that is not elementwise makes one task.
    """
    turn = find_turn(out.shape, axes)
    shape, layout = (out.shape, axes) if turn is None else (turn.shape, turn.axes)
    view = out if turn is None else turn.view(out)
    if not init.elementwise or out.size <= PIECE:
        yield partial(_write_whole, init, view, shape, key, layout)
        return
    found = None if layout is None else Axes.of(layout, shape)
    for box in _boxes(view.shape, PIECE):
        yield partial(_write_box, init, view, shape, key, found, box)


def _write_box(
    init: AbstractInitializer, view: Array, shape: tuple[int, ...], key: Key, axes: Axes | None, box: Box
) -> None:
    index, begin, end = box
    target, window = view[index], Window(math.prod(shape), np.array([begin]), end - begin)
    if target.flags.c_contiguous and target.dtype.isnative:
        init._fill(target, shape, window, key, axes, 1)
    else:
        part = np.empty(end - begin, view.dtype.newbyteorder("="))
        _assign(target, init._fill(part, shape, window, key, axes, 1).reshape(target.shape))


def _assign(target: Array, values: Array) -> None:
    """Copy across: where units lie side by side in the target, a few of them at a time stay in the cache."""
    if target.ndim < 2 or abs(target.strides[0]) > min(map(abs, target.strides[1:])):
        target[...] = values
        return
    for begin in range(0, len(target), TOGETHER):
        target[begin : begin + TOGETHER] = values[begin : begin + TOGETHER]


def _write_whole(init: AbstractInitializer, view: Array, shape: tuple[int, ...], key: Key, axes: AxesLike) -> None:
    if view.flags.c_contiguous and view.shape == shape:
        init.fill(view, key, axes=axes, workers=1)
    elif math.prod(shape):
        _assign(view, init(shape, key, dtype=view.dtype, axes=axes, workers=1).reshape(view.shape))
