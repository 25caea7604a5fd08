"""An initializer of symbreak's as JAX's libraries call one: with a key, a shape, a dtype and a sharding."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast, final

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from symbreak.axes import RECEPTIVE, Axes, AxesLike, as_shape
from symbreak.initializers import AbstractInitializer, get

from ._keys import key_of, words_of
from ._scaling import AbstractJax, Places, as_places, dims
from ._shards import as_sharding, check_divides, drawer, place

Array = npt.NDArray[Any]


@final
@dataclass(frozen=True)
class Initializer:
    """One of symbreak's initializers in the form that JAX's libraries call: ``(key, shape, dtype, out_sharding)``.

    It works eagerly and under ``jit``, ``vmap`` and ``eval_shape``, with the same bits: the words of the key are the
    seed of one of symbreak's keys, and under a trace the host draws when the program runs. Instances are frozen,
    comparable and hashable, as fields of Flax modules and static arguments must be.

    Parameters
    ----------
    initializer
        What :func:`symbreak.get` takes. Its distribution is symbreak's: ``HeNormal()`` is a plain normal here too,
        while ``symbreak.jax.initializers.he_normal()`` is JAX's, which is truncated.
    in_axis, out_axis, batch_axis
        Which axes are inputs, output units and stacked copies, as in ``jax.nn.initializers``; the others are the
        receptive field. The default is the layout of Flax and Haiku: ``"io"``, ``"hwio"``.
    dtype
        Where the call names none; by default float32, or float64 where ``jax_enable_x64`` is set.
    axes
        The layout in symbreak's letters or as an `Axes`, with groups and splits, instead of the three axes.

    Raises
    ------
    TypeError, ValueError
        For parameters that make no sense.

    Notes
    -----
    In Haiku, which calls initializers with a shape and a dtype alone, the key is ``haiku.next_rng_key()``.

    Under ``jit`` the host draws the whole weight, wherever it goes; with a sharding and without ``jit`` each device's
    part is drawn alone.

    Examples
    --------
    >>> import jax
    >>> import symbreak as sb
    >>> init = sb.jax.Initializer(sb.Orthogonal(gain=0.5))
    >>> init(jax.random.key(0), (3, 3, 16, 32)).shape
    (3, 3, 16, 32)
    """

    initializer: AbstractInitializer
    in_axis: Places = -2
    out_axis: Places = -1
    batch_axis: Places = ()
    dtype: Any = None
    axes: AxesLike = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "initializer", get(self.initializer))
        for name in ("in_axis", "out_axis", "batch_axis"):
            object.__setattr__(self, name, as_places(getattr(self, name), name))
        if self.axes is not None and not isinstance(self.axes, Axes):
            object.__setattr__(self, "axes", Axes(self.axes))

    def __call__(self, key: Any, shape: Any = None, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        """Make a weight.

        Parameters
        ----------
        key
            Of JAX's: ``jax.random.key(0)`` or ``jax.random.PRNGKey(0)``, which give the same.
        shape
            Of the weight.
        dtype
            Of the weight; float64 is float32 unless ``jax_enable_x64`` is set, as everywhere in JAX.
        out_sharding
            A sharding, or a PartitionSpec over the mesh that is set.

        Returns
        -------
        jax.Array

        Raises
        ------
        TypeError, ValueError
            For a key, shape, dtype or sharding that makes no sense.
        """
        if isinstance(key, list | tuple):  # Haiku has no key to give
            key, shape, dtype = _key_of_haiku(key), key, shape
        sizes = as_shape(shape)
        kind = np.dtype(jax.dtypes.canonicalize_dtype(self._dtype(dtype)))
        self.initializer._as_dtype(kind)
        layout, words, sharding = self.layout(sizes), words_of(key), as_sharding(out_sharding)
        if sharding is not None:
            check_divides(sharding, sizes, "a weight")
        if not isinstance(words, jax.core.Tracer):
            source = key_of(np.asarray(words))
            if sharding is None:
                return jnp.asarray(self.initializer(sizes, source, dtype=kind, axes=layout))
            draw = drawer(self.initializer, sizes, source, kind, layout)
            made: jax.Array = place(sizes, kind, sharding, draw)
            return made

        def on_host(given: Any) -> Array:
            rows = np.asarray(given).reshape(-1, given.shape[-1])
            drawn = [self.initializer(sizes, key_of(row), dtype=kind, axes=layout) for row in rows]
            return np.stack(drawn).reshape(*given.shape[:-1], *sizes)

        struct = jax.ShapeDtypeStruct(sizes, kind)  # type: ignore[no-untyped-call]
        traced: jax.Array = jax.pure_callback(on_host, struct, words, vmap_method="broadcast_all")
        return traced if sharding is None else _constrained(traced, sharding)

    def layout(self, shape: Sequence[int]) -> Axes | None:
        """Give the layout of a weight of some shape, None for one without an input and an output axis.

        Parameters
        ----------
        shape
            Of the weight.

        Returns
        -------
        Axes or None

        Raises
        ------
        ValueError
            If the shape hasn't the axes, or they can't be said as a layout.
        """
        sizes = as_shape(shape)
        if self.axes is not None:
            return Axes.of(self.axes, sizes)
        if isinstance(self.initializer, AbstractJax) or (len(sizes) < 2 and (self.in_axis, self.out_axis) == (-2, -1)):
            return None
        named = [("b", self.batch_axis, "batch_axis"), ("i", self.in_axis, "in_axis"), ("o", self.out_axis, "out_axis")]
        letters = dict.fromkeys(range(len(sizes)), "")
        for letter, places, name in named:
            for dim in dims(places, sizes, name):
                if letters[dim]:
                    raise ValueError(
                        f"axis {dim} of a weight of shape {sizes} is named twice by in_axis, out_axis and batch_axis"
                    )
                letters[dim] = letter
        field_ = [dim for dim, letter in letters.items() if not letter]
        if len(field_) > len(RECEPTIVE):
            raise ValueError(
                f"a weight of shape {sizes} has {len(field_)} axes that in_axis, out_axis and batch_axis don't name; a "
                f"receptive field has at most {len(RECEPTIVE)}"
            )
        letters |= dict(zip(field_, RECEPTIVE[len(RECEPTIVE) - len(field_) :], strict=True))
        return Axes("".join(letters.values()))

    def _dtype(self, dtype: Any) -> Any:
        given = self.dtype if dtype is None else dtype
        return jnp.result_type(float) if given is None else given


def _key_of_haiku(shape: Any) -> Any:
    haiku = sys.modules.get("haiku")
    if haiku is None:
        raise TypeError(f"an initializer takes a key of JAX's before the shape; got {shape!r}")
    return haiku.next_rng_key()


def _constrained(traced: jax.Array, sharding: Any) -> jax.Array:
    mesh = getattr(sharding, "mesh", None)
    if mesh is not None and any("explicit" in str(kind).lower() for kind in getattr(mesh, "axis_types", ())):
        return cast("jax.Array", jax.sharding.reshard(traced, sharding))  # type: ignore[no-untyped-call]
    return cast("jax.Array", jax.lax.with_sharding_constraint(traced, sharding))  # type: ignore[no-untyped-call]
