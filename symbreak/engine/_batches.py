"""The rows of each batch, in an order that is drawn anew for each pass."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from symbreak.streams import Key, RngLike, as_key

from ._checks import as_count

Array = np.ndarray[Any, np.dtype[Any]]


def batches(count: int, size: int | None, rng: RngLike) -> Iterator[Any]:
    """Return the endless rows of the batches; all of them, in their order, where `size` is None."""
    if size is not None and as_count(size, "the batch size") > count:
        raise ValueError(f"the batch size, {size}, is more than the {count} rows there are; None takes all of them")
    return _all_rows() if size is None else _shuffled_rows(count, size, as_key(rng))


def _all_rows() -> Iterator[slice]:
    while True:
        yield slice(None)


def _shuffled_rows(count: int, size: int, key: Key) -> Iterator[Array]:
    epoch = 0
    while True:
        words = key[f"epoch.{epoch}"].bit_generator("batches").random_raw(count)
        order = np.argsort(words, kind="stable")
        yield from (order[start : start + size] for start in range(0, count, size))
        epoch += 1
