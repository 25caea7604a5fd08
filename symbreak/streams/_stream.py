"""The stream that an initializer's `sample` draws from: distributions by position, on a window of the positions."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from . import _transforms as transforms
from ._key import Key, RngLike, as_key
from ._transforms import DOUBLE, SINGLE, Array
from ._truncated import truncated_normal
from ._window import Piece, Window, draw
from ._words import borrow, give_back

Shape = Sequence[int] | int
PRECISIONS = {np.dtype(np.float32): SINGLE, np.dtype(np.float64): DOUBLE}


@final
class Stream:
    """Random numbers by position: element i depends on the key, the distribution and i alone.

    A stream is pure: the same call gives the same numbers. Each distribution has words of its own; two draws of one
    distribution need two streams, ``stream["first"]`` and ``stream["second"]``.

    Seen through a window, a draw gives the values at the window's positions only, as a flat array. That is how one
    ``sample`` method serves whole arrays, regions and threads: arithmetic entry by entry does not notice.

    Parameters
    ----------
    rng
        What :func:`~symbreak.streams.as_key` takes.
    dtype
        ``"float32"`` or ``"float64"``: float64 has words of its own, with 53 random bits.
    window
        The positions to give; None for all.
    out
        A flat array that the first draw, or :meth:`empty`, may use for its result. That of an initializer's stream may
        be used again for other values.

    Examples
    --------
    >>> from symbreak.streams import Stream
    >>> Stream(0).uniform(3).dtype
    dtype('float32')
    >>> bool((Stream(0).normal((2, 3)).ravel() == Stream(0).normal(6)).all())
    True
    """

    __slots__ = ("_key", "_out", "_pieces", "_precision", "_window")

    def __init__(
        self,
        rng: RngLike,
        *,
        dtype: npt.DTypeLike = np.float32,
        window: Window | None = None,
        out: Array | None = None,
    ) -> None:
        self._key: Key = as_key(rng)
        found = np.dtype(dtype)
        precision = PRECISIONS.get(found)
        if precision is None:
            raise TypeError(f"a stream computes in float32 or float64, not {found}; round its values once at the end")
        self._precision = precision
        self._window = window
        self._out = out
        self._pieces: Iterable[Piece] | None = None  # what this stream writes of the window, gone through once

    @property
    def key(self) -> Key:
        """The key that the numbers follow from."""
        return self._key

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values: float32 or float64."""
        kind: np.dtype[Any] = np.dtype(self._precision.real)
        return kind

    @property
    def window(self) -> Window | None:
        """The positions that draws give; None for all."""
        return self._window

    @property
    def out(self) -> Array | None:
        """The flat array that the first draw may use, until it does."""
        return self._out

    def __getitem__(self, name: str) -> "Stream":
        return Stream(self._key[name], dtype=self.dtype, window=self._window)

    def whole(self) -> "Stream":
        """Give this stream without its window."""
        return Stream(self._key, dtype=self.dtype)

    def _only(self, pieces: Iterable[Piece]) -> "Stream":
        """Give this stream for one result, of which the pieces given are written; the others are another thread's."""
        found = Stream(self._key, dtype=self.dtype, window=self._window, out=self._out)
        found._pieces = pieces
        return found

    def _parts(self, size: int) -> Iterable[Piece]:
        """Give the pieces of a result of `size` elements that this stream writes: its own, or all."""
        return self._pieces or (self._window or Window.whole(size)).pieces(self.dtype.itemsize)

    def uniform(self, shape: Shape, low: float = -1.0, high: float = 1.0) -> Array:
        """Draw uniforms on [low, high].

        Parameters
        ----------
        shape
            Of the whole array.
        low, high
            Bounds. They can occur through rounding, but for -1 and 1: the default is open, and never zero.

        Returns
        -------
        numpy.ndarray
            Of `shape`; through a window, flat. 32 random bits in float32, 53 in float64.
        """
        return self._draw("uniform", shape, transforms.uniform, low, high)

    def normal(self, shape: Shape, mean: float = 0.0, std: float = 1.0) -> Array:
        """Draw normals by the method of Box and Muller.

        Parameters
        ----------
        shape
            Of the whole array.
        mean, std
            Of the distribution.

        Returns
        -------
        numpy.ndarray
            Of `shape`; through a window, flat. Float32 reaches 6.7 standard deviations, float64 8.6.
        """
        return self._draw("normal", shape, transforms.normal, mean, std)

    def truncated_normal(
        self, shape: Shape, mean: float = 0.0, std: float = 1.0, low: float = -2.0, high: float = 2.0
    ) -> Array:
        """Draw normals cut to an interval, through their quantile function.

        Parameters
        ----------
        shape
            Of the whole array.
        mean, std
            Of the normal before it is cut.
        low, high
            Bounds in standard deviations from the mean; any ``low < high``, however far out.

        Returns
        -------
        numpy.ndarray
            Of `shape`; through a window, flat. Within the bounds up to the rounding of the scaling.
        """
        return self._draw("truncated", shape, truncated_normal, mean, std, low, high)

    def sign(self, shape: Shape) -> Array:
        """Draw -1 and +1, each with probability one half; through a window, flat."""
        return self._draw("sign", shape, transforms.sign)

    def full(self, shape: Shape, value: float) -> Array:
        """Give a constant array of `shape`; through a window, flat."""
        out = self.empty(shape)
        flat = out.reshape(-1)
        for _, begin, end in self._parts(flat.size):
            flat[begin:end] = value
        return out

    def empty(self, shape: Shape) -> Array:
        """Give an uninitialised array of `shape` for the result, in the memory that is being filled where that fits.

        Once: a second call gives other memory.

        Parameters
        ----------
        shape
            Of the whole array.

        Returns
        -------
        numpy.ndarray
            Of `shape`, C-ordered; through a window, flat.
        """
        return self._empty(_as_shape(shape))

    def _empty(self, shape: tuple[int, ...]) -> Array:
        if self._window is None:
            if self._out is not None and self._out.size == math.prod(shape):
                out, self._out = self._out, None
                return out.reshape(shape)
            return np.empty(shape, self.dtype)
        if math.prod(shape) != self._window.total:
            raise ValueError(
                f"an elementwise `sample` draws the whole of its shape, {self._window.total} elements; it asked for "
                f"{shape}: draw something else from `stream.whole()`, and set `elementwise = False` if entries depend "
                f"on each other"
            )
        if self._out is not None and len(self._out) == self._window.size:
            out, self._out = self._out, None
            return out
        return np.empty(self._window.size, self.dtype)

    def permutation(self, n: int, size: int | None = None) -> npt.NDArray[np.int64]:
        """Draw permutations of 0 ... n - 1: the order of n words. Not by position, so it ignores the window.

        Parameters
        ----------
        n
            Number of things to permute.
        size
            Number of permutations; None for one.

        Returns
        -------
        numpy.ndarray
            (n,) or (size, n), int64.
        """
        rows = 1 if size is None else size
        words = self._key.bit_generator("permutation").random_raw(rows * n).reshape(rows, n)
        order = np.argsort(words, axis=-1, kind="stable").astype(np.int64, copy=False)
        return order[0] if size is None else order

    def along(self, values: npt.ArrayLike, shape: Sequence[int], axis: int) -> Array:
        """Give, for each position of an array of `shape`, the entry of `values` at its index along `axis`.

        Parameters
        ----------
        values
            One number an index of the axis, ``(shape[axis],)``.
        shape
            Of the whole array.
        axis
            The axis that `values` lies along.

        Returns
        -------
        numpy.ndarray
            Broadcastable to `shape`; through a window, flat. An elementwise ``sample`` multiplies by it to scale the
            units of a weight apart.
        """
        values = np.asarray(values, self.dtype)
        if self._window is None:
            return values.reshape([-1 if k == axis % len(shape) else 1 for k in range(len(shape))])
        positions = (self._window.starts[:, None] + np.arange(self._window.length)).ravel()
        inner = math.prod(shape[axis % len(shape) + 1 :])
        return np.asarray(values[positions // inner % shape[axis]])

    def _draw(
        self, name: Literal["uniform", "normal", "truncated", "sign"], shape: Shape, transform: Any, *settings: Any
    ) -> Array:
        sizes = _as_shape(shape)
        out = self._empty(sizes)
        if out.size:
            p, flat = self._precision, out.reshape(-1)
            lane = name + p.name
            words = borrow(self._key, lane)
            with np.errstate(all="ignore"):
                for window, begin, end in self._parts(flat.size):
                    draw(words, p, window, transform, settings, flat[begin:end])
            give_back(self._key, lane, words)
        return out


def _as_shape(shape: Shape) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    return tuple(int(size) for size in sizes)
