"""The abstract initializer: one method to write, and what the base class makes of it.

The law: ``region(shape, index, rng)`` is ``self(shape, rng)[index]``, bit for bit; ``fill`` and threads change nothing.
"""

import abc
import contextlib
import inspect
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, fields, is_dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, dataclass_transform, final, get_origin

import numpy as np
import numpy.typing as npt

from .._threads import share, share_out
from ..axes import DEFAULTS, Axes, AxesLike, as_shape
from ..dtypes import DTypeLike, as_float_dtype, compute_dtype
from ..streams import PIECE, Key, RngLike, Stream, Window, as_key, region
from ..streams._transforms import Spare
from ..streams._window import Piece

if TYPE_CHECKING:
    import concurrent.futures

Array = npt.NDArray[Any]
Sample = TypeVar("Sample", bound=Callable[..., Any])
Box = tuple[tuple[Any, ...], int, int]  # an index, and the positions that it stands for
Ties = Literal["breaks", "ties", "zeroes"]
SIGMAS_32, SIGMAS_64 = 6.8, 8.7  # where normals of either precision end
MOST_WORKERS = 4  # by default: beyond that the memory's bandwidth is the limit
KERAS = ("keras", "tf_keras")
JAX = ("jax", "jaxlib")  # whose arrays are keys
JAX_LIBRARIES = (*JAX, "flax", "haiku", "equinox")


@final
class _FrameworksOwn:
    """A method that a framework asks for, which no initializer of this package has: asking says what to pass."""

    def __get__(self, instance: object, owner: type) -> Any:
        shown = repr(instance) if instance is not None else f"{owner.__name__}(...)"
        raise AttributeError(_for_keras(shown))


@dataclass(frozen=True)
class Moments:
    """What an initializer promises about the entries of a weight, before they are rounded to its dtype.

    Attributes
    ----------
    mean, std
        Of an entry, over seeds.
    low, high
        Bounds that no entry passes, up to one rounding.
    singular_values
        Smallest and largest singular value of each (units, incoming) matrix where the class fixes them, else None.
    kurtosis
        Fourth central moment over the square of the second, at most: it says how far the standard deviation of one
        weight may be from `std`. 3 for a normal; more where only some entries are not zero.
    """

    mean: float
    std: float
    low: float
    high: float
    singular_values: tuple[float, float] | None = None
    kurtosis: float = 3.0


@dataclass_transform(frozen_default=True)
class AbstractInitializer(abc.ABC):
    """Base class of the initializers: subclass it and write ``sample``.

    Subclasses are made frozen dataclasses: their annotated fields are the constructor's parameters, and instances
    compare, hash and print by them. They hold no seed and no state.

    Attributes
    ----------
    ties
        What the class means to do: ``"breaks"`` (no two units equal), ``"ties"`` (all or some equal, on purpose) or
        ``"zeroes"``.
    elementwise
        True if an entry depends on its own position, the shape and the axes alone. Then regions, threads and `fill`
        cost in proportion to what is asked for; else the whole weight is made each time.
    portable
        True if the bits are the same on every machine; False for a class that goes through BLAS.

    Notes
    -----
    These three are the class's, except for what wraps other initializers: there they are the instance's.

    Examples
    --------
    >>> import symbreak as sb
    >>> class Signs(sb.AbstractInitializer):
    ...     "Each weight is plus or minus `size`."
    ...     size: float = 1.0
    ...
    ...     def sample(self, shape, stream, axes):
    ...         return stream.sign(shape) * self.size
    >>> Signs(0.5)((2, 3), rng=0).shape
    (2, 3)
    >>> Signs(0.5)
    Signs(size=0.5)
    """

    ties: ClassVar[Ties] = "breaks"
    elementwise: ClassVar[bool] = True
    portable: ClassVar[bool] = True
    name: ClassVar[str | None] = None  # set by `register`
    from_config = get_config = _FrameworksOwn()  # Keras copies and saves what has them
    _stretches: ClassVar[bool] = False  # whether values may leave float32, which constructors keep them in otherwise

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "expected" in vars(cls):
            cls.expected = _also_of_nothing(vars(cls)["expected"])  # type: ignore[method-assign]
        kinds: list[Any] = [get_origin(kind) for kind in inspect.get_annotations(cls).values()]
        # A class without fields of its own is frozen by what follows, and spares the time.
        if any(kind is not ClassVar for kind in kinds) or "__post_init__" in vars(cls):
            dataclass(frozen=True, repr=False)(cls)
            for name in ("__setattr__", "__delattr__"):  # this class's do the same, and let @dataclass be written too
                delattr(cls, name)

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}: make another {type(self).__name__}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}: make another {type(self).__name__}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    @abc.abstractmethod
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Make the weight.

        Parameters
        ----------
        shape
            Of the whole weight. Never empty.
        stream
            Where random numbers come from. Seen through a window it gives the values at some positions only, flat; an
            elementwise class need not care. What it gives may lie in memory that is used again: it is kept by nobody.
        axes
            The layout as it was given; :meth:`Axes.of(axes, shape) <symbreak.Axes.of>` fills in the default.

        Returns
        -------
        numpy.ndarray
            Float32 or float64 (``stream.dtype``), of `shape`; for an elementwise class, of the shape that the stream's
            draws have.
        """

    def sample_complex(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Make a complex weight: a class that takes complex dtypes writes this too, and is not elementwise.

        Parameters
        ----------
        shape, stream, axes
            As for `sample`. The stream gives the real numbers that the complex ones are made of.

        Returns
        -------
        numpy.ndarray
            Complex64 where the stream is of float32, else complex128; of `shape`.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no complex weights")

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean, standard deviation and bounds of the entries of a weight.

        Parameters
        ----------
        shape
            Of the weight.
        axes
            Its layout.

        Returns
        -------
        Moments
            Zeros for a shape without entries that the class could not make otherwise.

        Raises
        ------
        NotImplementedError
            If the class states none.
        """
        raise NotImplementedError(f"{type(self).__name__} does not state its moments; write `expected(shape, axes)`")

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State the probability that two units of one copy are equal by chance.

        Parameters
        ----------
        shape, axes
            Of the weight.
        one
            Probability that two values of a continuous distribution are rounded to the same number of the dtype.

        Returns
        -------
        float
            Here ``one ** incoming``: independent values of a continuous distribution. A class whose weights have few
            values, or are zero in most places, states its own.
        """
        return one ** incoming_of(shape, axes)

    def __call__(
        self,
        shape: Any,
        rng: RngLike = None,
        *more: Any,
        dtype: DTypeLike = "float32",
        axes: AxesLike = None,
        workers: int | None = None,
    ) -> Array:
        """Make a weight.

        Parameters
        ----------
        shape
            Of the weight.
        rng
            A :class:`Key`, None (fresh entropy), an integer or integers, or NumPy's SeedSequence, BitGenerator or
            Generator. Two calls with the same plain integer share a stream; name parameters with keys.
        dtype
            float16, float32, float64, bfloat16 or an 8-bit float; complex64 or complex128 where the class makes them.
            Values are computed in float32 (float64 for float64) and rounded once.
        axes
            The layout: ``"oi"``, ``"io"``, ``"oihw"``, ``"hwio"``, ..., or :class:`Axes`.
        workers
            Threads; by default up to four for large weights. They change the time, never the bits.
        more
            Nothing. It is there to say what to pass instead to a framework that calls its initializers otherwise.

        Returns
        -------
        numpy.ndarray
            Of `shape` and `dtype`, C-ordered.

        Raises
        ------
        TypeError, ValueError
            For a shape, dtype, axes or rng that makes no sense, a dtype that does not hold the values, or a call by a
            framework, whose weights have another layout.
        """
        if more or rng is None or not isinstance(shape, tuple) or isinstance(rng, type | np.dtype):
            self._refuse_frameworks(sys._getframe(1).f_globals.get("__name__"), shape, rng, more, axes)
        sizes = as_shape(shape)
        key, found, kind = as_key(rng), _as_axes(axes, sizes), self._as_dtype(dtype)
        self._check_fits(sizes, found, kind)
        out = np.empty(sizes, kind)
        return self._fill(out, sizes, Window.whole(out.size), key, found, workers)

    def _refuse_frameworks(self, caller: str | None, shape: Any, rng: Any, more: tuple[Any, ...], axes: Any) -> None:
        """Raise where a framework calls as it calls its own initializers, whose weights have another layout.

        Keras calls ``(shape, dtype=...)``, which says nothing that a person could not say: the module that calls tells.
        JAX and what builds on it call ``(key, shape, dtype)``, and Haiku ``(shape, dtype)``.
        """
        package = (caller or "").partition(".")[0]
        if package in KERAS and rng is None and axes is None:
            raise TypeError(_for_keras(repr(self)))
        made_by = type(shape).__module__.partition(".")[0]
        if made_by in JAX or isinstance(rng, type | np.dtype) or (more and package in JAX_LIBRARIES):
            how = "(shape, dtype)" if made_by not in JAX and not more else "(key, shape, dtype)"
            raise TypeError(
                f"{self!r} was called with {how}, as JAX's libraries call an initializer; its units lie along the "
                f"first axis, theirs along the last: pass `symbreak.jax.Initializer({self!r})`"
            )
        if more:
            raise TypeError(
                f"an initializer is called with a shape and an rng, all else by keyword; got {2 + len(more)} arguments "
                f"by place: {', '.join(map(repr, (shape, rng, *more)))}"
            )

    def fill(
        self,
        out: Array,
        rng: RngLike = None,
        *,
        axes: AxesLike = None,
        workers: int | None = None,
        executor: "concurrent.futures.Executor | None" = None,
    ) -> Array:
        """Write a weight into an array that exists.

        Parameters
        ----------
        out
            A writeable array or memory map of a floating type and any strides.
        rng, axes, workers
            As for calling the initializer.
        executor
            Any :class:`concurrent.futures.Executor` whose workers draw the parts; the bits are the same. Threads write
            into `out`; others open the file of a memory map, which must be theirs too, and write into that; of other
            arrays they send the parts back. A class that is not elementwise makes the whole on one worker.

        Returns
        -------
        numpy.ndarray
            `out`.

        Raises
        ------
        TypeError, ValueError
            If `out` is not a writeable floating array, or its dtype does not hold the values, or `executor` is no
            executor, before anything is written.
        Exception
            What a worker raised, or that its executor is broken. Parts of `out` may have been written by then.
        """
        if not isinstance(out, np.ndarray):
            raise TypeError(f"`out` is a NumPy array; got {type(out).__name__}")
        dtype = self._as_dtype(out.dtype)
        if not out.flags.writeable:
            raise ValueError("`out` is read-only; pass an array that may be written")
        key, found = as_key(rng), _as_axes(axes, out.shape)
        self._check_fits(out.shape, found, dtype)
        if executor is not None:
            self._fill_on(executor, out, key, found)
            return out
        if out.flags.c_contiguous and out.dtype.isnative:
            self._fill(out.view(np.ndarray), out.shape, Window.whole(out.size), key, found, workers)
            return out
        if not self.elementwise:
            out[...] = self._whole(out.shape, key, found, dtype)
            return out
        for box in _boxes(out.shape, PIECE):
            self._fill_box(out.shape, key, found, workers, out, box)
        return out

    def region(
        self,
        shape: Any,
        index: Any,
        rng: RngLike = None,
        *,
        dtype: DTypeLike = "float32",
        axes: AxesLike = None,
        workers: int | None = None,
    ) -> Array:
        """Make part of a weight: ``self(shape, rng)[index]``, bit for bit.

        Parameters
        ----------
        shape
            Of the whole weight.
        index
            Integers, slices with any step, Ellipsis and None, alone or in a tuple.
        rng, dtype, axes, workers
            As for calling the initializer.

        Returns
        -------
        numpy.ndarray
            At a cost in proportion to its size where the class is elementwise; else the whole is made and cut.

        Raises
        ------
        IndexError
            If the index does not fit the shape or is of another kind.
        TypeError, ValueError
            As for calling the initializer, or for a shape of 2**63 elements or more.

        Examples
        --------
        >>> import numpy as np, symbreak as sb
        >>> part = sb.HeNormal().region((1_000_000, 4096), np.s_[0:2, 512:1024], rng=0)
        >>> part.shape
        (2, 512)
        """
        sizes = as_shape(shape)
        key, found = as_key(rng), _as_axes(axes, sizes)
        kind = self._as_dtype(dtype)
        window, result, flips = region(sizes, index)
        if window.size:
            self._check_fits(sizes, found, kind)
        if not self.elementwise:
            return np.array(self._whole(sizes, key, found, kind)[index], order="C")
        out = np.empty(result, kind)
        self._fill(out, sizes, window, key, found, workers)
        return np.ascontiguousarray(out[flips]) if result else out

    def pieces(
        self,
        shape: Any,
        rng: RngLike = None,
        *,
        dtype: DTypeLike = "float32",
        axes: AxesLike = None,
        workers: int | None = None,
        size: int = 1 << 22,
    ) -> Iterator[Array]:
        """Make a weight piece by piece: joined, the pieces are ``self(shape, rng).ravel()``, bit for bit.

        Parameters
        ----------
        shape
            Of the whole weight.
        rng, dtype, axes, workers
            As for calling the initializer.
        size
            Elements of a piece; the last one may be smaller.

        Yields
        ------
        numpy.ndarray
            Flat, in C order. Each is written over when the next but one is asked for, so that one can be used on
            another thread while the next is made. Where the class is not elementwise, the whole is made and cut.

        Raises
        ------
        TypeError, ValueError
            As for calling the initializer, or for a size below 1.

        Examples
        --------
        >>> import symbreak as sb
        >>> [len(piece) for piece in sb.HeNormal().pieces((100, 30), rng=0, size=1024)]
        [1024, 1024, 952]
        """
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"size is a positive number of elements; got {size!r}")
        sizes = as_shape(shape)
        key, found, kind = as_key(rng), _as_axes(axes, sizes), self._as_dtype(dtype)
        self._check_fits(sizes, found, kind)
        return self._pieces(sizes, key, found, kind, workers, int(size))

    def _pieces(
        self, shape: tuple[int, ...], key: Key, axes: Axes | None, dtype: np.dtype[Any], workers: int | None, size: int
    ) -> Iterator[Array]:
        total = math.prod(shape)
        if not self.elementwise:
            flat = self._whole(shape, key, axes, dtype).reshape(-1)
            yield from (flat[begin : begin + size] for begin in range(0, total, size))
            return
        buffers = [np.empty(min(size, total - begin), dtype) for begin in range(0, min(total, 2 * size), size)]
        for number, begin in enumerate(range(0, total, size)):
            part = buffers[number % 2][: min(size, total - begin)]
            yield self._fill(part, shape, Window(total, np.array([begin]), len(part)), key, axes, workers)

    def to_config(self) -> dict[str, Any]:
        """Give a dict of plain values, for JSON, from which :func:`symbreak.from_config` makes an equal instance."""
        if "name" not in vars(type(self)):  # the name of a class it inherits from makes another class
            raise TypeError(f"{type(self).__name__} is not registered; decorate it with @symbreak.register('a_name')")
        values = {field.name: _plain(getattr(self, field.name)) for field in self._fields() if field.init}
        return {"name": self.name, **values}

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in self._fields()
            if field.init
            if field.default is MISSING or getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    @classmethod
    def _fields(cls) -> tuple[Field[Any], ...]:
        return fields(cls) if is_dataclass(cls) else ()

    @classmethod
    def _as_dtype(cls, dtype: DTypeLike | type[Any]) -> np.dtype[Any]:
        """Give the dtype of weights that the class makes; complex ones too where it has `sample_complex`."""
        if cls.sample_complex is not AbstractInitializer.sample_complex:
            with contextlib.suppress(TypeError, ValueError, SyntaxError):  # the error below says what is allowed
                found: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
                if dtype is not None and found in (np.complex64, np.complex128):
                    return found
        return as_float_dtype(dtype)

    def _check_fits(self, shape: tuple[int, ...], axes: Axes | None, dtype: np.dtype[Any]) -> None:
        """Refuse a dtype that does not hold the values, going by their bounds or, without, by their distribution."""
        narrow = dtype.itemsize == 1 or dtype == np.float16
        if not (narrow or self._stretches) or dtype.kind == "c" or not math.prod(shape):
            return
        try:
            value = self._farthest(shape, axes, SIGMAS_64 if dtype == np.float64 else SIGMAS_32)
        except Exception:  # it states none, or `sample` will say what is wrong with the shape
            return
        with np.errstate(all="ignore"):
            fits = np.isfinite(np.array([value]).astype(compute_dtype(dtype)).astype(dtype)).all()
        if not fits:
            raise ValueError(
                f"{self!r} reaches {value:.6g} for `shape` {shape}, but {dtype.name} ends at {_largest(dtype):.6g}; "
                f"take a wider dtype, or smaller values"
            )

    def _farthest(self, shape: tuple[int, ...], axes: Axes | None, sigmas: float) -> float:
        """Give the bound that is farthest from zero, or where there is none that many sigma from the mean."""
        stated = self.expected(shape, axes)
        reach = sigmas * stated.std
        low = stated.low if math.isfinite(stated.low) else stated.mean - reach
        high = stated.high if math.isfinite(stated.high) else stated.mean + reach
        return max(high, low, key=abs)

    def _whole(self, shape: tuple[int, ...], key: Key, axes: Axes | None, dtype: np.dtype[Any]) -> Array:
        out = np.empty(shape, dtype)
        return self._fill(out, shape, Window.whole(out.size), key, axes, None)

    def _fill(
        self, out: Array, shape: tuple[int, ...], window: Window, key: Key, axes: Axes | None, workers: int | None
    ) -> Array:
        """Write the values at `window` into the contiguous array `out`."""
        threads = _as_workers(workers, window.size)
        if window.size == 0:
            return out
        if out.dtype.kind == "c":
            real = np.dtype(np.float32 if out.dtype == np.complex64 else np.float64)
            out[...] = self.sample_complex(shape, Stream(key, dtype=real), axes)
            return out
        computed = compute_dtype(out.dtype)
        flat = out.reshape(-1)
        if not self.elementwise:
            buffer = flat if out.dtype == computed else None
            values = self.sample(shape, Stream(key, dtype=computed, out=buffer), axes)
            self._check(values, shape, shape)
            if values.ctypes.data != out.ctypes.data or values.strides != out.strides:  # else it was made in place
                _round(values, computed, out)
            return out

        in_place = out.dtype == computed
        pieces = window.pieces(computed.itemsize, threads)
        unchanged: Callable[..., bool] = getattr(self.sample, "as_written", lambda *_: False)
        if in_place and unchanged(self, shape, axes):
            stream = Stream(key, dtype=computed, window=window, out=flat)
            if threads == 1:
                self.sample(shape, stream, axes)
            else:
                share_out(lambda some: self.sample(shape, stream._only(some), axes), pieces, threads)
            return out

        def write(some: Iterator[Piece]) -> None:
            spare = Spare(computed)  # for values that are rounded
            for part, begin, end in some:
                target = flat[begin:end]
                place = target if in_place else spare.of(part.size)
                values = self.sample(shape, Stream(key, dtype=computed, window=part, out=place), axes)
                if values is not target:  # else it was drawn in place
                    self._check(values, (part.size,), shape)
                    _round(values, computed, target)

        share_out(write, pieces, threads)
        return out

    def _fill_on(self, executor: "concurrent.futures.Executor", out: Array, key: Key, axes: Axes | None) -> None:
        from ._executor import fill_on  # and with it concurrent.futures

        dtype = self._as_dtype(out.dtype)
        if not callable(getattr(executor, "submit", None)):
            raise TypeError(f"executor is a concurrent.futures.Executor; got {type(executor).__name__}")
        if not self.elementwise:
            out[...] = executor.submit(self._whole, out.shape, key, axes, dtype).result()
            return
        boxes = list(_boxes(out.shape, 4 * PIECE))
        draw = partial(self._draw_box, out.shape, key, axes, 1, dtype)
        fill_on(executor, out, boxes, draw, partial(self._fill_box, out.shape, key, axes, 1))

    def _draw_box(
        self, shape: tuple[int, ...], key: Key, axes: Axes | None, workers: int | None, dtype: np.dtype[Any], box: Box
    ) -> Array:
        index, begin, end = box
        part = np.empty(end - begin, dtype)
        self._fill(part, shape, Window(math.prod(shape), np.array([begin]), end - begin), key, axes, workers)
        return part.reshape(np.broadcast_to(np.int8(0), shape)[index].shape)

    def _fill_box(
        self, shape: tuple[int, ...], key: Key, axes: Axes | None, workers: int | None, out: Array, box: Box
    ) -> None:
        index, begin, end = box
        target = out[index]
        if isinstance(target, np.ndarray) and target.flags.c_contiguous and target.dtype.isnative:
            window = Window(math.prod(shape), np.array([begin]), end - begin)
            self._fill(target.view(np.ndarray), shape, window, key, axes, workers)
        else:
            out[index] = self._draw_box(shape, key, axes, workers, as_float_dtype(out.dtype), box)

    def _check(self, values: Any, wanted: tuple[int, ...], shape: tuple[int, ...]) -> None:
        got = getattr(values, "shape", None)
        kind = getattr(values, "dtype", None)
        if got != wanted or kind not in (np.float32, np.float64):
            hint = ", or set `elementwise = False` if entries depend on each other" if self.elementwise else ""
            raise ValueError(
                f"{type(self).__name__}.sample gave {type(values).__name__} of shape {got} and dtype {kind}; float32 "
                f"or float64 of shape {wanted} was due for a weight of shape {shape}; draw `shape` whole from the "
                f"stream and compute entry by entry{hint}"
            )


def as_written(when: Callable[..., bool] = lambda *_: True) -> Callable[[Sample], Sample]:
    """Mark a `sample` that gives what its stream wrote as it is: a thread calls it once then, not once a piece.

    Parameters
    ----------
    when
        Of the initializer, the shape and the axes: says whether it does. A class that overrides `sample` has no mark.
    """

    def mark(sample: Sample) -> Sample:
        sample.as_written = when  # type: ignore[attr-defined]
        return sample

    return mark


def _also_of_nothing(expected: Callable[..., Moments]) -> Callable[..., Moments]:
    """Let `expected` state zeros for shapes without entries that a class would refuse: every call makes them."""

    @wraps(expected)
    def stated(self: AbstractInitializer, shape: Any, axes: AxesLike = None) -> Moments:
        try:
            return expected(self, shape, axes)
        except ValueError:
            sizes = as_shape(shape)
            if math.prod(sizes):
                raise
            _as_axes(axes, sizes)
            return Moments(0.0, 0.0, 0.0, 0.0)

    return stated


def incoming_of(shape: tuple[int, ...], axes: AxesLike) -> int:
    """Give the weights that a unit has; without an order that is usual, units lie along the first axis."""
    if axes is None and len(shape) not in DEFAULTS:
        return math.prod(shape[1:])
    return Axes.of(axes, shape)._map_shape(shape)[2]


def _for_keras(shown: str) -> str:
    """Say what to give to a layer of Keras."""
    return (
        f"{shown} was handed to Keras, whose weights have their units along the last axis, not the first; pass "
        f"`symbreak.keras.Initializer({shown})`, which Keras can also copy and save"
    )


def _largest(dtype: np.dtype[Any]) -> float:
    import ml_dtypes  # for an error only

    return float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]


def _plain(value: Any) -> Any:
    """Give the configuration of an initializer, or of each in a tuple; anything else as it is."""
    if isinstance(value, AbstractInitializer):
        return value.to_config()
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _round(values: Array, computed: np.dtype[Any], out: Array) -> None:
    """Write values of a `sample` that computed in float64 as those that it would have given in `computed`."""
    with np.errstate(all="ignore"):
        out[...] = values.astype(computed, copy=False)


def run_tasks(tasks: Sequence[Callable[[], None]], workers: int | None = None) -> None:
    """Run tasks that don't depend on each other, on threads.

    Parameters
    ----------
    tasks
        Called once each, in order as threads are free.
    workers
        Threads; by default as many as there are cores, up to four.

    Raises
    ------
    ValueError
        For a number of workers that is not positive.
    """
    share(lambda task: task(), tasks, _as_workers(workers, max(1, len(tasks)) * PIECE))


def _as_workers(workers: int | None, size: int) -> int:
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(MOST_WORKERS, cores)
    elif isinstance(workers, bool) or not isinstance(workers, int | np.integer) or workers < 1:
        raise ValueError(f"workers is a positive number of threads or None; got {workers!r}")
    return int(max(1, min(workers, size // PIECE)))


def _as_axes(axes: AxesLike, shape: tuple[int, ...]) -> Axes | None:
    return None if axes is None else Axes.of(axes, shape)


def _boxes(shape: tuple[int, ...], most: int) -> Iterator[Box]:
    """Cut `shape` into boxes of about `most` elements that are contiguous in C order: index, begin, end."""
    size = int(np.prod(shape, dtype=object))
    if size == 0:
        return
    axis, inner = 0, size
    while axis < len(shape) and inner // shape[axis] > most:
        inner //= shape[axis]
        axis += 1
    if axis == len(shape):
        yield (), 0, size
        return
    inner //= shape[axis]
    step = max(1, most // inner)
    for place, outer in enumerate(np.ndindex(shape[:axis])):
        for first in range(0, shape[axis], step):
            last = min(first + step, shape[axis])
            begin = (place * shape[axis] + first) * inner
            yield (*outer, slice(first, last)), begin, begin + (last - first) * inner
