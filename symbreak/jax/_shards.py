"""Arrays over several devices: each device's part is drawn alone, with the bits that the whole has there."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from symbreak.axes import Axes
from symbreak.initializers import AbstractInitializer
from symbreak.streams import Key

Array = npt.NDArray[Any]
Index = tuple[slice, ...] | None  # None for a number, without axes


def as_sharding(given: Any) -> "Sharding | None":
    """Read a sharding, or the axes of the mesh that is set.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        Axes where no mesh is set.
    """
    if given is None or isinstance(given, Sharding):
        return given
    if not isinstance(given, PartitionSpec):
        raise TypeError(f"out_sharding is a sharding of JAX's, a PartitionSpec or None; got {given!r}")
    mesh = jax.sharding.get_mesh() if hasattr(jax.sharding, "get_mesh") else None
    if mesh is None or not mesh.shape:
        raise ValueError(f"{given} names axes of a mesh, but none is set; pass NamedSharding(mesh, {given})")
    return NamedSharding(mesh, given)


def check_divides(sharding: Sharding, shape: tuple[int, ...], what: str) -> None:
    """Refuse a shape that the devices can't share evenly.

    Raises
    ------
    ValueError
        If they can't.
    """
    if isinstance(sharding, NamedSharding) and len(sharding.spec) > len(shape):
        raise ValueError(
            f"{what} of shape {shape} can't be sharded as {sharding}: it says where {len(sharding.spec)} axes go, and "
            f"there are {len(shape)}"
        )
    try:
        sharding.shard_shape(shape)
    except ValueError as error:
        raise ValueError(f"{what} of shape {shape} can't be sharded as {sharding}: {error}") from None


def drawer(
    initializer: AbstractInitializer, shape: tuple[int, ...], key: Key, dtype: np.dtype[Any], axes: Axes | str | None
) -> Callable[[Index], Array]:
    """Give a function that draws a region of a weight; the whole is made once where that is how its class draws."""
    if initializer.elementwise and dtype.kind != "c":
        return lambda index: initializer.region(shape, index or (), key, dtype=dtype, axes=axes)
    whole: list[Array] = []

    def cut(index: Index) -> Array:
        if not whole:
            whole.append(initializer(shape, key, dtype=dtype, axes=axes))
        return whole[0][index or ()]

    return cut


def place(shape: tuple[int, ...], dtype: np.dtype[Any], sharding: Sharding, draw: Callable[[Index], Array]) -> Any:
    """Make an array of JAX's whose parts are drawn for their devices; a part that several hold is drawn once."""
    made: dict[tuple[tuple[int, int], ...], Array] = {}

    def part(index: Index) -> Array:
        where = tuple(each.indices(size)[:2] for each, size in zip(index or (), shape, strict=True))
        if where not in made:
            made.clear()  # devices with the same part come one after the other, or draw it again
            made[where] = draw(index)
        return made[where]

    return jax.make_array_from_callback(shape, sharding, part, dtype=dtype)
