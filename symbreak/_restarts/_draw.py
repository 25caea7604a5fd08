"""The first weights of many starts, each as its own key gives them, drawn together.

A start's weights are few, and a call of an initializer costs more than they do. An elementwise `sample` does not notice
where its values stand, so that it can make those of many starts at once, from the words of each one's key.
"""

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from symbreak.initializers import AbstractInitializer
from symbreak.streams import Key
from symbreak.streams import _transforms as transforms
from symbreak.streams._key import draw_words
from symbreak.streams._truncated import truncated_normal

Array = np.ndarray[Any, np.dtype[Any]]

AT_ONCE = 128  # blocks: what a transform reads and writes then stays in a core's cache


def draw_beside(
    init: AbstractInitializer, shape: tuple[int, ...], keys: Sequence[Key], dtype: np.dtype[Any], out: Array
) -> None:
    """Write ``init(shape, rng=key, dtype=dtype)`` for every key into `out`, to the bit.

    Parameters
    ----------
    init
        The initializer.
    shape
        Of one weight.
    keys
        One a start.
    dtype
        float32 or float64.
    out
        (entries, starts), of that dtype.
    """
    size = len(out)
    together = max(1, AT_ONCE // -(-size // transforms.BLOCK))
    beside = init.elementwise
    for begin in range(0, len(keys), together):
        some = keys[begin : begin + together]
        values = _together(init, shape, some, dtype) if beside and len(some) > 2 else None
        if values is not None and not begin:
            # A `sample` that says it goes entry by entry, and does not, has other values before or behind some: a sum
            # over all of them, or a difference from the first, shows in the first start or in the last.
            beside = all(
                np.array_equal(values[k], _alone(init, shape, some[k], dtype), equal_nan=True) for k in (0, -1)
            )
        if values is None or not beside:
            values = np.stack([_alone(init, shape, key, dtype) for key in some])
        out[:, begin : begin + together] = values.T


def _alone(init: AbstractInitializer, shape: tuple[int, ...], key: Key, dtype: np.dtype[Any]) -> Array:
    return init(shape, rng=key, dtype=dtype, workers=1).ravel()


def _together(
    init: AbstractInitializer, shape: tuple[int, ...], keys: Sequence[Key], dtype: np.dtype[Any]
) -> Array | None:
    """Make the weights, (keys, entries), or None where `sample` needs more than draws or does not take them so."""
    stream: Any = _Beside(keys, dtype)
    size = int(np.prod(shape))
    try:
        values = init.sample(shape, stream, None)
        if values.shape != (len(keys) * size,) or values.dtype not in (np.float32, np.float64):
            return None
    except Exception:
        return None
    with np.errstate(all="ignore"):  # as the initializer rounds
        return values.astype(dtype, copy=False).reshape(len(keys), size)


@final
class _Beside:
    """Stands where `sample` expects a `symbreak.streams.Stream`: a draw gives every key's values, flat, key after key.

    What belongs to one key alone, such as `key` and `permutation`, it does not have.
    """

    def __init__(self, keys: Sequence[Key], dtype: np.dtype[Any]) -> None:
        self._keys = keys
        self._precision = transforms.DOUBLE if dtype == np.float64 else transforms.SINGLE
        self.dtype = dtype

    def __getitem__(self, name: str) -> "_Beside":
        return _Beside([key[name] for key in self._keys], self.dtype)

    def uniform(self, shape: Any, low: float = -1.0, high: float = 1.0) -> Array:
        return self._draw("uniform", shape, transforms.uniform, low, high)

    def normal(self, shape: Any, mean: float = 0.0, std: float = 1.0) -> Array:
        return self._draw("normal", shape, transforms.normal, mean, std)

    def truncated_normal(
        self, shape: Any, mean: float = 0.0, std: float = 1.0, low: float = -2.0, high: float = 2.0
    ) -> Array:
        return self._draw("truncated", shape, truncated_normal, mean, std, low, high)

    def sign(self, shape: Any) -> Array:
        return self._draw("sign", shape, transforms.sign)

    def full(self, shape: Any, value: float) -> Array:
        return np.full(len(self._keys) * int(np.prod(shape)), value, self.dtype)

    def along(self, values: Any, shape: Sequence[int], axis: int) -> Array:
        lying = np.asarray(values, self.dtype).reshape([-1 if k == axis % len(shape) else 1 for k in range(len(shape))])
        return np.tile(np.broadcast_to(lying, shape).ravel(), len(self._keys))

    def _draw(self, name: str, shape: Any, transform: Any, *settings: float) -> Array:
        p, size, keys = self._precision, int(np.prod(shape)), self._keys
        blocks = -(-size // transforms.BLOCK)
        words = np.empty((len(keys), blocks * transforms.BLOCK * p.bits // 64), np.uint64)
        draw_words(keys, name + p.name, words)
        values = np.empty((len(keys), blocks * transforms.BLOCK), p.real)
        with np.errstate(all="ignore"):
            transform(p.items(words).reshape(-1, transforms.BLOCK), values.reshape(-1, transforms.BLOCK), p, *settings)
        return values[:, :size].ravel()
