"""Every promise of the initializers, asked of somebody's own: what holds for the shelf should hold for a plug-in."""

import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from ..axes import Axes, AxesLike, as_shape
from ..diagnosis import find_ties
from ..dtypes import EXTENSION_FLOATS, NUMPY_FLOATS, as_float_dtype
from ..initializers import AbstractInitializer, Moments, from_config
from ..streams import Key, RngLike, as_key

Array = npt.NDArray[Any]
Layout = tuple[Sequence[int], AxesLike]

LAYOUTS: tuple[Layout, ...] = (
    ((96, 160), None),
    ((160, 96), "io"),
    ((32, 16, 3, 3), None),
    ((3, 3, 16, 32), "hwio"),
    ((16, 32, 3, 3), "iohw"),
    ((4, 48, 32), "boi"),
    ((192, 96), Axes("oi", splits=3)),
    ((64, 4, 3, 3), Axes("oihw", groups=8)),
)
# For classes that are particular about shapes: squares, biases, one input, kernels to resample, frames; and few units.
FAMILIES: tuple[tuple[Layout, ...], ...] = (
    (((48, 48), None), ((30, 30), "io"), ((6, 12, 12), "boi")),
    tuple(((size,), None) for size in (128, 96, 7, *range(1, 33))),
    (((12, 1), None),),
    (((6, 6, 4, 4), "iohw"), ((24, 1, 4, 4), Axes("oihw", groups=24))),
    tuple(((units, 1, 16), None) for units in (18, 16, 9)) + tuple(((units, 16), None) for units in (18, 16, 9)),
)
FEW: tuple[Layout, ...] = tuple(((units, inputs), None) for units in range(2, 13) for inputs in range(2, 13))
EACH = 2  # layouts of a family that are asked about
WEIGHTS = 32  # drawn for one comparison of moments
SIGMAS = 7.0  # of the mean over these weights: chance passes it once in 1e7
SHARED = (1030, 1100)  # large enough for two threads
LARGEST = (1 << 16, 1 << 12)  # 1 GB in float32
BESIDE = 32 << 20  # bytes that a region of one entry may take
SEEN = ("float32", "float64")  # dtypes in which units are equal on purpose alone
COARSE = tuple(name for name in NUMPY_FLOATS + EXTENSION_FLOATS if name != "float64" and name != "float32")

# Runs in a process of its own: the instance and the layout come on stdin, the bytes go to stdout.
PROGRAM = """
import pickle, sys
try:
    initializer, shape, axes, key = pickle.load(sys.stdin.buffer)
except Exception:
    sys.exit(77)
sys.stdout.buffer.write(initializer(shape, key, axes=axes).tobytes())
"""
NOT_THERE = 77


@dataclass(frozen=True)
class _Asked:
    """An initializer, and what it is asked about."""

    init: AbstractInitializer
    layouts: tuple[tuple[tuple[int, ...], AxesLike], ...]
    key: Key

    def make(self, shape: tuple[int, ...], axes: AxesLike, *, name: str = "w", **others: Any) -> Array:
        return self.init(shape, self.key[name], axes=axes, **others)

    def takes(self, shape: tuple[int, ...], axes: AxesLike) -> bool:
        """Tell whether the class makes weights of this shape; those that can't raise a ValueError."""
        try:
            self.make(shape, axes)
        except ValueError:
            return False
        return True

    def taken(self, layouts: Iterable[Layout]) -> "Iterator[tuple[tuple[int, ...], AxesLike]]":
        """Give the layouts that the class takes."""
        return ((tuple(shape), axes) for shape, axes in layouts if self.takes(tuple(shape), axes))

    def units(self, shape: tuple[int, ...], axes: AxesLike, weight: Array) -> Iterator[Array]:
        """Give the matrices (units, incoming), one a copy, group and part; a vector has one incoming weight a unit."""
        if len(shape) < 2:
            yield weight.reshape(-1, 1)
            return
        found = Axes.of(axes, shape)
        for matrix in found.matrices(weight):
            for part in found.parts(shape) if found.splits != 1 else (slice(None),):
                yield matrix[part]


def check_initializer(
    initializer: AbstractInitializer, *, layouts: Iterable[Layout] | None = None, rng: RngLike = 0
) -> None:
    """Assert that an initializer keeps the promises that symbreak's own keep.

    They are: it is a value (compares, hashes, pickles, can't be changed, and comes back from its configuration if it is
    registered); it holds no state; every dtype is float32 or float64 rounded once; a region, a fill of any strides, and
    any number of threads give the same bits as the whole weight; a region of one entry of a huge weight takes little
    memory, where the class is elementwise; the realised mean, standard deviation, bounds and singular values are those
    of ``expected``, where the class states them; equal units are found exactly where its tie policy says so; an axis of
    size zero gives an empty array; and a fresh process with the processor's vector instructions switched off gives the
    same bits, where the class is portable and can be imported there.

    Parameters
    ----------
    initializer
        An instance, with the parameters that it should be asked with.
    layouts
        Pairs of a shape and axes, on which the promises are asked; by default dense, convolutional, transposed,
        stacked, split and grouped weights, but for those that the class refuses with a ValueError. If it refuses them
        all, or ties no units of them though it says so, squares, biases, frames and small weights are tried too.
    rng
        What the weights are drawn from, as calling an initializer takes it.

    Raises
    ------
    AssertionError
        Some promises are broken. The message says which, with numbers, all of them at once.
    TypeError
        For something that is not an instance of :class:`symbreak.AbstractInitializer`, or `layouts` that are no pairs.
    ValueError
        If the class takes none of all these shapes, or refuses one that was given, or none are given.

    Notes
    -----
    Moments are compared over 32 weights, in float64, with the spread among these weights as the yardstick, whatever
    the distribution of the entries and however they depend on each other. With a random `rng`, one comparison in ten
    million fails by chance; a standard deviation that is off by one percent is found.

    Examples
    --------
    >>> import symbreak as sb
    >>> from symbreak.testing import check_initializer
    >>> check_initializer(sb.HeNormal())
    >>> class Wide(sb.AbstractInitializer):
    ...     "Meant to have standard deviation 1."
    ...
    ...     def sample(self, shape, stream, axes):
    ...         return stream.uniform(shape, -2, 2)
    ...
    ...     def expected(self, shape, axes=None):
    ...         return sb.Moments(0.0, 1.0, -2.0, 2.0)
    >>> check_initializer(Wide(), layouts=[((64, 100), None)])
    Traceback (most recent call last):
    AssertionError: Wide() breaks 1 of 11 promises:
      moments: for shape (64, 100) the standard deviation is 1.15..., but `expected` states 1
    """
    _refuse_others(initializer)
    asked = _Asked(initializer, (), as_key(rng))
    if layouts is None:
        taken = _find_layouts(asked)
    else:
        taken = _read_layouts(layouts)
        for shape, axes in taken:
            asked.make(shape, axes)
    asked = _Asked(initializer, taken, asked.key)
    broken = [
        f"{name}: {sentence}" for name, promise in PROMISES.items() for sentence in _sentences(promise, asked)[:3]
    ]
    if broken:
        kinds = len({sentence.partition(":")[0] for sentence in broken})
        raise AssertionError(
            f"{initializer!r} breaks {kinds} of {len(PROMISES)} promises:\n" + "\n".join(f"  {each}" for each in broken)
        )


def _find_layouts(asked: _Asked) -> tuple[tuple[tuple[int, ...], AxesLike], ...]:
    """Give the usual layouts that a class takes, or where it takes none, or ties no units of them, some others."""
    usual = tuple(asked.taken(LAYOUTS))
    if usual and (asked.init.ties != "ties" or any(_equal_and_zero(asked, *each, "float32")[1] for each in usual)):
        return usual
    others = tuple(each for family in FAMILIES for each in islice(asked.taken(family), EACH))
    others = others or usual or tuple(islice(asked.taken(FEW), EACH))
    if not others:
        shape, axes = LAYOUTS[0]
        try:
            asked.make(tuple(shape), axes)
        except ValueError as error:
            raise ValueError(
                f"{asked.init!r} makes none of the shapes that are tried, and says of {shape}: {error}; name "
                f"shapes that it makes: layouts=[((8, 8), None)]"
            ) from None
    return (*usual, *(each for each in others if each not in usual))


def _read_layouts(layouts: Iterable[Layout]) -> tuple[tuple[tuple[int, ...], AxesLike], ...]:
    try:
        found = tuple((as_shape(shape), axes) for shape, axes in layouts)
    except (TypeError, ValueError) as error:
        raise TypeError(f"layouts are pairs of a shape and axes, such as ((8, 8), None): {error}") from None
    if not found:
        raise ValueError("layouts are pairs of a shape and axes, one at least; got none")
    return found


def _refuse_others(initializer: object) -> None:
    if not isinstance(initializer, AbstractInitializer):
        named = isinstance(initializer, str) and f"take symbreak.get({initializer!r})"
        hint = "make an instance of it: Name()" if isinstance(initializer, type) else "subclass AbstractInitializer"
        raise TypeError(f"check_initializer takes an initializer; got {initializer!r}: {named or hint}")


def _sentences(promise: Callable[[_Asked], Iterator[str]], asked: _Asked) -> list[str]:
    found: list[str] = []
    try:
        found.extend(promise(asked))
    except Exception as error:  # what is wrong with somebody's class is told, whatever it is
        found.append(f"raised {type(error).__name__}: {error}")
    return found


def _value(asked: _Asked) -> Iterator[str]:
    init = asked.init
    try:
        hash(init)
    except TypeError as error:
        yield f"it can't be hashed: {error}"
    try:
        twin = pickle.loads(pickle.dumps(init))  # noqa: S301 -- made in this line
    except (pickle.PicklingError, AttributeError):
        twin = None  # a class inside a function can't be pickled, by anybody
    if twin is not None and twin != init:
        yield f"pickled and back it is {twin!r}"
    for name in ("an_attribute", *(field.name for field in init._fields())):
        try:
            setattr(init, name, getattr(init, name, None))
        except AttributeError:
            continue
        yield f"the attribute {name!r} can be assigned to"
    if "name" in vars(type(init)):
        back = from_config(json.loads(json.dumps(init.to_config())))
        if back != init:
            yield f"its configuration through JSON makes {back!r}"


def _state(asked: _Asked) -> Iterator[str]:
    for shape, axes in asked.layouts:
        first = asked.make(shape, axes)
        asked.make(shape, axes, name="another")
        if different := _differences(asked.make(shape, axes), first):
            yield f"for shape {shape} the same key gave other bits the second time: {different}"


def _dtypes(asked: _Asked) -> Iterator[str]:
    for shape, axes in asked.layouts:
        single = asked.make(shape, axes)
        for dtype in ("float32", "float64", *COARSE):
            with np.errstate(all="ignore"):
                rounded = single.astype(as_float_dtype(dtype))
            try:
                made = asked.make(shape, axes, dtype=dtype)
            except ValueError:
                if dtype not in SEEN and not np.isfinite(rounded).all():
                    continue  # the dtype does not hold the values, and it says so
                raise
            if made.shape != shape or made.dtype != rounded.dtype or not made.flags.c_contiguous:
                yield f"{dtype} of shape {shape} came as {made.dtype} of shape {made.shape}, strides {made.strides}"
            elif dtype not in SEEN:
                if different := _differences(made, rounded):
                    yield f"for shape {shape} {dtype} is not the float32 weight rounded once: {different}"
            elif wrong := int(np.count_nonzero(~np.isfinite(made))):
                yield f"for shape {shape} {wrong} of {made.size} values in {dtype} are not finite"


def _region(asked: _Asked) -> Iterator[str]:
    for shape, axes in asked.layouts:
        whole = asked.make(shape, axes)
        middle = tuple(slice(size // 3, size // 3 + max(1, size // 2)) for size in shape)
        backwards = tuple(slice(None, None, -2) for _ in shape)
        for index in (middle, backwards, tuple(size - 1 for size in shape), (Ellipsis, slice(0, 1)), (slice(2, 2),)):
            part = asked.init.region(shape, index, asked.key["w"], axes=axes)
            if different := _differences(part, whole[index]):
                yield f"region({shape}, {_shown(index)}) is not that part of the whole: {different}"


def _fill(asked: _Asked) -> Iterator[str]:
    for shape, axes in asked.layouts:
        made = asked.make(shape, axes)
        alternate = (slice(None, None, -2),) * len(shape)
        targets = {
            "an array": np.full(shape, 9, np.float32),
            "an array in Fortran order": np.full(shape, 9, np.float32, order="F"),
            "every other entry": np.full([2 * size for size in shape], 9, np.float32)[alternate],
            "an array of the other byte order": np.full(shape, 9, np.dtype(np.float32).newbyteorder("S")),
        }  # fmt: skip
        for what, out in targets.items():
            asked.init.fill(out, asked.key["w"], axes=axes)
            if different := _differences(out.astype(np.float32), made):
                yield f"filling {what} of shape {shape} differs from calling: {different}"


def _threads(asked: _Asked) -> Iterator[str]:
    shape, axes = next(((SHARED, each) for each in (None, "io") if asked.takes(SHARED, each)), asked.layouts[0])
    one = asked.make(shape, axes, workers=1)
    for workers in (2, 3):
        if different := _differences(asked.make(shape, axes, workers=workers), one):
            yield f"with {workers} threads a weight of shape {shape} has other bits: {different}"


def _memory(asked: _Asked) -> Iterator[str]:
    if not asked.init.elementwise or not any(len(shape) == 2 for shape, _ in asked.layouts):
        return
    tracemalloc.start()
    try:
        asked.init.region(LARGEST, (slice(7, 8), slice(9, 10)), asked.key)
        _, peak = tracemalloc.get_traced_memory()
    except ValueError:
        return  # it takes other shapes
    except MemoryError as error:
        yield f"one entry of a weight of shape {LARGEST} takes too much memory: {error}"
        return
    finally:
        tracemalloc.stop()
    if peak > BESIDE:
        yield f"one entry of a weight of shape {LARGEST} takes {peak / 2**20:.0f} MB; at most {BESIDE >> 20} are due"


def _moments(asked: _Asked) -> Iterator[str]:
    for shape, axes in asked.layouts:
        try:
            stated = asked.init.expected(shape, axes)
        except NotImplementedError:
            return
        drawn = np.stack([asked.make(shape, axes, name=f"{k}", dtype="float64") for k in range(WEIGHTS)])
        yield from _compare(shape, stated, drawn)
        if stated.singular_values is not None and len(shape) >= 2:
            low, high = stated.singular_values
            for matrix in asked.units(shape, axes, drawn[0]):
                found = np.linalg.svd(matrix, compute_uv=False)
                slack = 1e-5 * max(abs(low), abs(high))
                if found.size and (found.min() < low - slack or found.max() > high + slack):
                    yield (
                        f"for shape {shape} the singular values go from {found.min():.6g} to {found.max():.6g}, but "
                        f"`expected` states {low:.6g} to {high:.6g}"
                    )
                    break


def _compare(shape: tuple[int, ...], stated: Moments, drawn: Array) -> Iterator[str]:
    slack = 1e-6 * max([abs(bound) for bound in (stated.low, stated.high, stated.mean) if np.isfinite(bound)] + [0.0])
    low, high = float(drawn.min()), float(drawn.max())
    if low < stated.low - slack or high > stated.high + slack:
        yield (
            f"for shape {shape} the values go from {low:.6g} to {high:.6g}, but `expected` states {stated.low:.6g} to "
            f"{stated.high:.6g}"
        )
    flat = drawn.reshape(len(drawn), -1)
    first = flat.mean(1)
    second = ((flat - stated.mean) ** 2).mean(1)
    mean, variance = float(first.mean()), float(second.mean())
    if abs(mean - stated.mean) > SIGMAS * first.std(ddof=1) / len(drawn) ** 0.5 + slack:
        yield f"for shape {shape} the mean is {mean:.6g}, but `expected` states {stated.mean:.6g}"
    rounding = 1e-6 * (stated.std**2 + slack)
    if abs(variance - stated.std**2) > SIGMAS * second.std(ddof=1) / len(drawn) ** 0.5 + rounding:
        yield (
            f"for shape {shape} the standard deviation is {variance**0.5:.6g}, but `expected` states {stated.std:.6g}"
        )


def _ties(asked: _Asked) -> Iterator[str]:
    policy = asked.init.ties
    found = [
        (shape, dtype, *_equal_and_zero(asked, shape, axes, dtype)) for shape, axes in asked.layouts for dtype in SEEN
    ]
    for shape, dtype, units, equal, zero in found:
        if policy == "breaks" and len(shape) > 1 and (equal or zero):
            yield (
                f"`ties` is 'breaks', but for shape {shape} in {dtype} {equal} of {units} units equal others and "
                f"{zero} are zero"
            )
        elif policy == "zeroes" and zero < units:
            yield f"`ties` is 'zeroes', but for shape {shape} in {dtype} {units - zero} of {units} units are not"
    if policy == "ties" and not any(equal for *_, equal, _ in found):  # some tie in some shapes only
        yield "`ties` is 'ties', but no two units are equal for " + ", ".join(f"{shape}" for shape, _ in asked.layouts)


def _equal_and_zero(asked: _Asked, shape: tuple[int, ...], axes: AxesLike, dtype: str) -> tuple[int, int, int]:
    """Count the units of a weight, those that equal another, and those that are zero."""
    maps = [each for each in asked.units(shape, axes, asked.make(shape, axes, dtype=dtype)) if each.shape[1]]
    equal = sum(len(labels) - len(np.unique(labels)) for labels in (find_ties(each).labels for each in maps))
    zero = sum(int(np.count_nonzero(~each.any(1))) for each in maps)
    return sum(len(each) for each in maps), equal, zero


def _empty(asked: _Asked) -> Iterator[str]:
    for shape, axes in asked.layouts:
        for axis, size in enumerate(shape):
            if isinstance(axes, Axes) and (axes.splits != 1 or axes.groups != 1):
                continue
            smaller = tuple(size - 1 if k == axis else each for k, each in enumerate(shape))
            if size < 2 or not asked.takes(smaller, axes):
                continue  # a class that is particular about this axis may be so about zero
            none = tuple(0 if k == axis else each for k, each in enumerate(shape))
            try:
                made = asked.make(none, axes)
            except Exception as error:  # told below, whatever it is
                yield f"shape {none} raised {type(error).__name__}: {error}"
                continue
            if made.shape != none:
                yield f"shape {none} gave shape {made.shape}"


def _portable(asked: _Asked) -> Iterator[str]:
    if not asked.init.portable or type(asked.init).__module__ == "__main__":
        return
    shape, axes = asked.layouts[0]
    here = asked.make(shape, axes)
    try:
        message = pickle.dumps((asked.init, shape, axes, asked.key["w"]))
    except (pickle.PicklingError, AttributeError):
        return
    found: Any = np.show_config(mode="dicts")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "NPY_DISABLE_CPU_FEATURES": " ".join(found["SIMD Extensions"].get("found", [])),
        "OPENBLAS_CORETYPE": "Nehalem",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
    }
    done = subprocess.run(  # noqa: S603 -- this very program
        [sys.executable, "-c", PROGRAM], input=message, env=environment, capture_output=True, check=False
    )
    if done.returncode == NOT_THERE:
        return
    if done.returncode:
        yield f"a fresh process failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1]}"
        return
    there = np.frombuffer(done.stdout, np.float32).reshape(shape)
    if different := _differences(there, here):
        yield f"without the processor's vector instructions a weight of shape {shape} has other bits: {different}"


PROMISES: dict[str, Callable[[_Asked], Iterator[str]]] = {
    "value": _value,
    "state": _state,
    "dtypes": _dtypes,
    "region": _region,
    "fill": _fill,
    "threads": _threads,
    "memory": _memory,
    "moments": _moments,
    "ties": _ties,
    "empty": _empty,
    "portable": _portable,
}


def _differences(got: Array, due: Array) -> str:
    """Say how two arrays differ in their bits; nothing if they don't."""
    if got.shape != due.shape:
        return f"shape {got.shape} where {due.shape} is due"
    one, other = np.ascontiguousarray(got), np.ascontiguousarray(due)
    if one.dtype == other.dtype and one.tobytes() == other.tobytes():
        return ""
    unlike = one.reshape(-1).view(f"V{one.itemsize}") != other.reshape(-1).view(f"V{other.itemsize}")
    with np.errstate(all="ignore"):
        largest = np.nanmax(np.abs(one.astype(np.float64) - other.astype(np.float64)), initial=0.0)
    return f"{int(np.count_nonzero(unlike))} of {one.size} entries, by up to {largest:.3g}"


def _shown(index: Sequence[Any]) -> str:
    parts = [
        f"{each.start if each.start is not None else ''}:{each.stop if each.stop is not None else ''}"
        + (f":{each.step}" if each.step is not None else "")
        if isinstance(each, slice)
        else "..."
        if each is Ellipsis
        else str(each)
        for each in index
    ]
    return f"[{', '.join(parts)}]"
