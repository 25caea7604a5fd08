"""From a key of JAX's to one of symbreak's: its words are the seed, so that equal keys give equal weights.

Typed keys (``jax.random.key``) and the older arrays of words (``jax.random.PRNGKey``) are the same key where their
words are.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from symbreak.streams import Key

NAME = "jax.random.key"  # part of the stream's format: the path that tells these seeds from plain ones


def words_of(key: Any) -> Any:
    """Give the words of one key, traced where the key is.

    Raises
    ------
    TypeError
        For anything that is not one key of JAX's.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        if key.shape:
            raise TypeError(f"an initializer takes one key; got an array of keys of shape {key.shape}; use jax.vmap")
        return jax.random.key_data(key)
    if dtype is None or np.dtype(dtype) != np.uint32 or not key.shape:
        raise TypeError(f"an initializer takes a key of JAX's, such as jax.random.key(0); got {_shown(key)}")
    if len(key.shape) > 1:
        raise TypeError(f"an initializer takes one key; got an array of words of shape {key.shape}; use jax.vmap")
    return key


def key_of(words: npt.NDArray[np.uint32]) -> Key:
    """Give the key that the words of a key of JAX's are the seed of."""
    return Key([int(word) for word in words])[NAME]


def _shown(key: Any) -> str:
    shape, dtype = getattr(key, "shape", None), getattr(key, "dtype", None)
    return repr(key) if dtype is None else f"an array of shape {shape} and dtype {dtype}"
