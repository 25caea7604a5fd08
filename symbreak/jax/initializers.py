"""The names of ``jax.nn.initializers``, with their signatures and distributions, and every class of symbreak's shelf.

A name in lower case keeps JAX's distribution: ``he_normal()`` is truncated, as in JAX. A class keeps symbreak's:
``symbreak.jax.initializers.HeNormal()`` is the plain normal that ``symbreak.HeNormal()`` is, as a callable of JAX's
form, with `in_axis`, `out_axis`, `batch_axis`, `axes` and `dtype` beside its own parameters.
"""

import typing as _typing
from collections.abc import Callable as _Callable

import jax as _jax
import jax.numpy as _jnp

import symbreak.initializers as _shelf
from symbreak.axes import as_shape as _as_shape
from symbreak.jax._initializer import Initializer as Initializer
from symbreak.jax._scaling import JaxDeltaOrthogonal as _JaxDeltaOrthogonal
from symbreak.jax._scaling import JaxNormal as _JaxNormal
from symbreak.jax._scaling import JaxOrthogonal as _JaxOrthogonal
from symbreak.jax._scaling import JaxVarianceScaling as _JaxVarianceScaling
from symbreak.jax._scaling import Places as _Places
from symbreak.jax._scaling import as_number as _as_number
from symbreak.jax._scaling import as_positive as _as_positive
from symbreak.jax._shards import as_sharding as _as_sharding

_Any = _typing.Any
_NAMES = (
    "Initializer", "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
    "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal", "ones", "orthogonal",
    "truncated_normal", "uniform", "variance_scaling", "xavier_normal", "xavier_uniform", "zeros",
)  # fmt: skip


def zeros(key: _Any, shape: _Any, dtype: _Any = None, out_sharding: _Any = None) -> _jax.Array:  # noqa: ARG001
    """Make an array of zeros, of any dtype.

    Parameters
    ----------
    key
        Not looked at.
    shape, dtype, out_sharding
        As for an :class:`symbreak.jax.Initializer`.

    Returns
    -------
    jax.Array

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> initializers.zeros(jax.random.key(0), (2,)).tolist()
    [0.0, 0.0]
    """
    return _full(0, shape, dtype, out_sharding)


def ones(key: _Any, shape: _Any, dtype: _Any = None, out_sharding: _Any = None) -> _jax.Array:  # noqa: ARG001
    """Make an array of ones, of any dtype.

    Parameters
    ----------
    key
        Not looked at.
    shape, dtype, out_sharding
        As for an :class:`symbreak.jax.Initializer`.

    Returns
    -------
    jax.Array

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> initializers.ones(jax.random.key(0), (2,)).tolist()
    [1.0, 1.0]
    """
    return _full(1, shape, dtype, out_sharding)


def constant(value: _Any, dtype: _Any = None) -> _Callable[..., _jax.Array]:
    """Give an initializer whose arrays hold one value, or one that broadcasts; all units of a weight are tied then.

    Parameters
    ----------
    value
        A number or an array.
    dtype
        Where the call names none; any.

    Returns
    -------
    callable
        Of ``(key, shape, dtype, out_sharding)``.

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.constant(0.5)
    >>> init(jax.random.key(0), (2,)).tolist()
    [0.5, 0.5]
    """

    def init(
        key: _Any,  # noqa: ARG001 - JAX's form
        shape: _Any,
        dtype: _Any = dtype,
        out_sharding: _Any = None,
    ) -> _jax.Array:
        return _full(value, shape, dtype, out_sharding)

    return init


def uniform(scale: _Any = 1e-2, dtype: _Any = None) -> Initializer:
    """Give an initializer of uniforms from 0 to `scale`: of one sign, as JAX has it.

    Parameters
    ----------
    scale
        The upper bound; the lower one where it is negative.
    dtype
        Where the call names none.

    Returns
    -------
    Initializer

    Raises
    ------
    TypeError, ValueError
        If `scale` is no finite number, or 0.

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.uniform(0.1)
    >>> w = init(jax.random.key(0), (64, 32))
    >>> bool((w >= 0).all() and (w <= 0.1).all())
    True
    """
    size = _as_number(scale, "uniform", "scale")
    if size == 0:
        raise ValueError("uniform: scale is 0, which makes every weight zero; for that take `zeros`")
    return Initializer(_shelf.Uniform(min(size, 0.0), max(size, 0.0)), dtype=dtype)


def normal(stddev: _Any = 1e-2, dtype: _Any = None) -> Initializer:
    """Give an initializer of normals with mean 0.

    Parameters
    ----------
    stddev
        Positive.
    dtype
        Where the call names none; complex too.

    Returns
    -------
    Initializer

    Raises
    ------
    TypeError, ValueError
        If `stddev` is no positive number.

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.normal(0.02)
    >>> init(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """
    return Initializer(_JaxNormal(stddev), dtype=dtype)


def truncated_normal(stddev: _Any = 1e-2, dtype: _Any = None, lower: _Any = -2.0, upper: _Any = 2.0) -> Initializer:
    """Give an initializer of normals with mean 0 that are cut.

    Parameters
    ----------
    stddev
        Positive; the standard deviation before the cut, as in JAX.
    dtype
        Where the call names none.
    lower, upper
        Where they are cut, in standard deviations.

    Returns
    -------
    Initializer

    Raises
    ------
    TypeError, ValueError
        If `stddev` is no positive number, or the bounds are none.

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.truncated_normal(0.02)
    >>> w = init(jax.random.key(0), (64, 32))
    >>> bool((abs(w) <= 0.04).all())
    True
    """
    std = _as_positive(stddev, "truncated_normal", "stddev")
    low, high = (_as_number(bound, "truncated_normal", name) for bound, name in ((lower, "lower"), (upper, "upper")))
    return Initializer(_shelf.TruncatedNormal(std, low=low, high=high), dtype=dtype)


def variance_scaling(
    scale: _Any,
    mode: str,
    distribution: str,
    in_axis: _Places = -2,
    out_axis: _Places = -1,
    batch_axis: _Places = (),
    dtype: _Any = None,
) -> Initializer:
    """Give an initializer with mean 0 and variance ``scale / fan``.

    Parameters
    ----------
    scale
        Positive.
    mode
        ``"fan_in"``, ``"fan_out"``, ``"fan_avg"`` or ``"fan_geo_avg"`` (the root of their product).
    distribution
        ``"truncated_normal"`` (cut at two sigma, variance corrected), ``"normal"`` or ``"uniform"``; for complex dtypes
        the modulus is cut at two, and a uniform is one on a disk.
    in_axis, out_axis, batch_axis
        One axis each, or several; what they don't name is the receptive field. One axis may be both in and out, as
        Flax has it of embeddings.
    dtype
        Where the call names none; complex too.

    Returns
    -------
    Initializer

    Raises
    ------
    TypeError, ValueError
        If a parameter is none of these; for a shape without the axes, when it is called.

    Notes
    -----
    The variance of a complex truncated normal is ``scale / fan``; JAX's is 1.9 % larger, as its constant leaves out
    what the cut takes from the total.

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.variance_scaling(1.0, "fan_in", "normal")
    >>> init(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """
    return Initializer(_JaxVarianceScaling(scale, mode, distribution, in_axis, out_axis, batch_axis), dtype=dtype)


def glorot_uniform(
    in_axis: _Places = -2, out_axis: _Places = -1, batch_axis: _Places = (), dtype: _Any = None
) -> Initializer:
    """Give ``variance_scaling(1.0, "fan_avg", "uniform")``.

    Parameters
    ----------
    in_axis, out_axis, batch_axis, dtype
        As for :func:`variance_scaling`.

    Returns
    -------
    Initializer

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.glorot_uniform()
    >>> init(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def glorot_normal(
    in_axis: _Places = -2, out_axis: _Places = -1, batch_axis: _Places = (), dtype: _Any = None
) -> Initializer:
    """Give ``variance_scaling(1.0, "fan_avg", "truncated_normal")``.

    Parameters
    ----------
    in_axis, out_axis, batch_axis, dtype
        As for :func:`variance_scaling`.

    Returns
    -------
    Initializer

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.glorot_normal()
    >>> init(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """
    return variance_scaling(1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def lecun_uniform(
    in_axis: _Places = -2, out_axis: _Places = -1, batch_axis: _Places = (), dtype: _Any = None
) -> Initializer:
    """Give ``variance_scaling(1.0, "fan_in", "uniform")``.

    Parameters
    ----------
    in_axis, out_axis, batch_axis, dtype
        As for :func:`variance_scaling`.

    Returns
    -------
    Initializer

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.lecun_uniform()
    >>> init(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(
    in_axis: _Places = -2, out_axis: _Places = -1, batch_axis: _Places = (), dtype: _Any = None
) -> Initializer:
    """Give ``variance_scaling(1.0, "fan_in", "truncated_normal")``.

    Parameters
    ----------
    in_axis, out_axis, batch_axis, dtype
        As for :func:`variance_scaling`.

    Returns
    -------
    Initializer

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.lecun_normal()
    >>> init(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(
    in_axis: _Places = -2, out_axis: _Places = -1, batch_axis: _Places = (), dtype: _Any = None
) -> Initializer:
    """Give ``variance_scaling(2.0, "fan_in", "uniform")``.

    Parameters
    ----------
    in_axis, out_axis, batch_axis, dtype
        As for :func:`variance_scaling`.

    Returns
    -------
    Initializer

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.he_uniform()
    >>> init(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def he_normal(
    in_axis: _Places = -2, out_axis: _Places = -1, batch_axis: _Places = (), dtype: _Any = None
) -> Initializer:
    """Give ``variance_scaling(2.0, "fan_in", "truncated_normal")``.

    Parameters
    ----------
    in_axis, out_axis, batch_axis, dtype
        As for :func:`variance_scaling`.

    Returns
    -------
    Initializer

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.he_normal()
    >>> init(jax.random.key(0), (64, 32)).shape  # flax.linen.Dense(32, kernel_init=init)
    (64, 32)
    """
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def orthogonal(scale: _Any = 1.0, column_axis: int = -1, dtype: _Any = None) -> Initializer:
    """Give an initializer of orthonormal columns, or rows where they are fewer.

    Parameters
    ----------
    scale
        Every singular value; not zero.
    column_axis
        The axis that counts the columns; all others count the rows.
    dtype
        Where the call names none; complex too.

    Returns
    -------
    Initializer

    Raises
    ------
    TypeError, ValueError
        If `scale` is no number or zero, or for a shape of fewer than two axes, when it is called.

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.orthogonal()
    >>> w = init(jax.random.key(0), (64, 32))
    >>> bool(abs(w.T @ w - jax.numpy.eye(32)).max() < 1e-5)
    True
    """
    return Initializer(_JaxOrthogonal(scale, column_axis), dtype=dtype)


def delta_orthogonal(scale: _Any = 1.0, column_axis: int = -1, dtype: _Any = None) -> Initializer:
    """Give an initializer of an orthogonal matrix in the middle of the receptive field, and zeros around it.

    Parameters
    ----------
    scale
        Every singular value of the matrix; not zero.
    column_axis
        The axis of the matrix that counts the columns.
    dtype
        Where the call names none; complex too.

    Returns
    -------
    Initializer

    Raises
    ------
    TypeError, ValueError
        If `scale` is no number or zero, or for a shape of other than three to five axes, or of fewer units than inputs,
        when it is called.

    Examples
    --------
    >>> import jax
    >>> from symbreak.jax import initializers
    >>> init = initializers.delta_orthogonal()
    >>> init(jax.random.key(0), (3, 3, 16, 32)).shape
    (3, 3, 16, 32)
    """
    return Initializer(_JaxDeltaOrthogonal(scale, column_axis), dtype=dtype)


xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


def _full(value: _Any, shape: _Any, dtype: _Any, out_sharding: _Any) -> _jax.Array:
    kind = _jnp.result_type(float) if dtype is None else dtype
    filled: _jax.Array = _jnp.full(_as_shape(shape), value, kind, device=_as_sharding(out_sharding))
    return filled


def _shelved(name: str) -> _Callable[..., Initializer]:
    cls = getattr(_shelf, name)

    def make(
        *args: _Any,
        in_axis: _Places = -2,
        out_axis: _Places = -1,
        batch_axis: _Places = (),
        axes: _Any = None,
        dtype: _Any = None,
        **parameters: _Any,
    ) -> Initializer:
        return Initializer(cls(*args, **parameters), in_axis, out_axis, batch_axis, dtype, axes=axes)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"Give ``symbreak.{name}(...)`` as a :class:`symbreak.jax.Initializer` of JAX's form."
    return make


def _classes() -> list[str]:
    return [name for name in _shelf.FAMILIES if name[0].isupper() and name not in _OTHERS]


_OTHERS = {"AbstractInitializer", "AbstractVarianceScaling", "Critical", "Moments", "SameAs", "WeightAndBias"}


def __getattr__(name: str) -> _Callable[..., Initializer]:
    if name not in _classes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _shelved(name)
    return made


def __dir__() -> list[str]:
    return sorted({*_NAMES, *_classes()})


__all__ = list(_NAMES)
