"""Initial weights as Dask arrays: each block is drawn where it is needed, with the bits of the whole weight."""

import contextlib
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .axes import AxesLike, as_shape
from .dtypes import DTypeLike
from .initializers import AbstractInitializer
from .streams import Key, RngLike, as_key

try:
    import dask.array
    from dask.base import tokenize
except ImportError as error:
    raise ImportError(f"symbreak.dask needs Dask ({error}): pip install 'symbreak[dask]'") from error

da: Any = dask.array  # whose functions have no types


def draw(
    initializer: AbstractInitializer,
    shape: Any,
    rng: RngLike = None,
    *,
    dtype: DTypeLike = "float32",
    axes: AxesLike = None,
    chunks: Any = "auto",
) -> "dask.array.Array":
    """Make a weight as a Dask array, lazily, one region a block.

    Parameters
    ----------
    initializer
        What makes it.
    shape
        Of the weight.
    rng, dtype, axes
        As for calling the initializer. With ``rng=None`` the entropy is fresh once, for all blocks and computations.
    chunks
        The sizes of the blocks, as Dask takes them.

    Returns
    -------
    dask.array.Array
        Its blocks cost what their regions cost, and no block needs another. Where the class is not elementwise, the
        whole is made by one task and cut.

    Raises
    ------
    TypeError, ValueError
        As for calling the initializer, at once; chunks that don't fit the shape.
    ImportError
        When the module is imported without Dask.

    Examples
    --------
    >>> import symbreak as sb
    >>> from symbreak.dask import draw
    >>> w = draw(sb.HeNormal(), (100_000, 4096), rng=sb.Key(0)["embedding"], chunks=(10_000, 4096))
    >>> w.numblocks
    (10, 1)
    >>> part = w[50_000:50_002, :3].compute()
    >>> bool((part == sb.HeNormal().region((100_000, 4096), np.s_[50_000:50_002, :3], sb.Key(0)["embedding"])).all())
    True
    """
    if not isinstance(initializer, AbstractInitializer):
        raise TypeError(f"draw takes an initializer; got {initializer!r}")
    sizes, kind, key = as_shape(shape), initializer._as_dtype(dtype), as_key(rng)
    _refuse(initializer, sizes, key, axes)
    blocks = da.core.normalize_chunks(chunks, sizes, dtype=kind)
    name = f"symbreak-{tokenize(initializer, sizes, key, kind.name, axes)}"
    meta = np.empty((0,) * len(sizes), kind)
    if not initializer.elementwise:
        whole = partial(initializer, sizes, key, dtype=kind.name, axes=axes)
        one = da.map_blocks(
            partial(_whole, whole), chunks=tuple((size,) for size in sizes), dtype=kind, meta=meta, name=name
        )
        cut: dask.array.Array = one.rechunk(blocks)
        return cut
    block = partial(_block, initializer, sizes, key, kind.name, axes)
    name = f"{name}-{tokenize(blocks)}"
    drawn: dask.array.Array = da.map_blocks(block, chunks=blocks, dtype=kind, meta=meta, name=name)
    return drawn


def _refuse(initializer: AbstractInitializer, shape: tuple[int, ...], key: Key, axes: AxesLike) -> None:
    """Raise what making the weight would raise, without making it."""
    if initializer.elementwise:
        initializer.region(shape, tuple(slice(0, 1) for _ in shape), key, axes=axes)
    else:
        with contextlib.suppress(NotImplementedError):
            initializer.expected(shape, axes)


def _whole(make: Any) -> npt.NDArray[Any]:
    made: npt.NDArray[Any] = make()
    return made


def _block(
    initializer: AbstractInitializer,
    shape: tuple[int, ...],
    key: Key,
    dtype: str,
    axes: AxesLike,
    block_info: Any = None,
) -> npt.NDArray[Any]:
    place = tuple(slice(begin, end) for begin, end in block_info[None]["array-location"])
    return initializer.region(shape, place, key, dtype=dtype, axes=axes, workers=1)
