"""What initializers that are made of others share: what they promise, their moments, and functions of the position."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..axes import Axes, AxesLike, units_first
from ..streams import Stream
from ._base import AbstractInitializer, Array, Moments, Ties
from ._registry import get


def wrap(instance: Any, *names: str, ties: Ties | None = None) -> None:
    """Read the named fields as initializers, and promise of the instance what all of them promise."""
    parts: list[AbstractInitializer] = []
    for name in names:
        value = getattr(instance, name)
        try:
            several = name == "inits" and isinstance(value, tuple | list)
            read = tuple(get(each) for each in value) if several else get(value)
        except TypeError as error:
            raise TypeError(f"{type(instance).__name__}: {name}: {error}") from None
        object.__setattr__(instance, name, read)
        parts += read if isinstance(read, tuple) else [read]
    promise(instance, parts, ties)


def promise(instance: Any, parts: Iterable[AbstractInitializer], ties: Ties | None = None) -> None:
    """Set the policy, and `elementwise` and `portable` where all parts are."""
    parts = list(parts)
    object.__setattr__(instance, "ties", parts[0].ties if ties is None else ties)
    object.__setattr__(instance, "elementwise", all(part.elementwise for part in parts))
    object.__setattr__(instance, "portable", all(part.portable for part in parts))
    if any(part._stretches for part in parts):
        object.__setattr__(instance, "_stretches", True)


def drawn_coincidence(init: AbstractInitializer, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
    """State the probability that two units are equal by chance where some entries are fixed, at most.

    Those drawn tell units apart: in a pair, those of the unit that has more of them. A unit without any is what it is
    meant to be.
    """
    first, second = (init(shape, seed, axes=axes) for seed in (0, 1))
    found = units_first(first != second, axes)
    drawn = np.sort(np.count_nonzero(found, axis=2), axis=1)  # (maps, units): the k-th has k units before it
    maps, units = drawn.shape
    pairs = np.where(drawn > 0, np.arange(units) * float(one) ** drawn, 0.0)
    return float(pairs.sum() / max(1, maps * units * (units - 1) / 2))


def mix(parts: Iterable[tuple[float, Moments]]) -> Moments:
    """Give the moments of an entry that is of each kind with the probability given.

    The fourth moment takes every part for symmetric about its mean.
    """
    kinds = [(share, each) for share, each in parts if share > 0]
    if not kinds:
        return Moments(0.0, 0.0, 0.0, 0.0)
    mean = math.fsum(share * each.mean for share, each in kinds)
    away = [(share, each.std**2, (each.mean - mean) ** 2, each.kurtosis) for share, each in kinds]
    variance = math.fsum(share * (own + gap) for share, own, gap, _ in away)
    fourth = math.fsum(share * (own * own * kurtosis + 6 * own * gap + gap * gap) for share, own, gap, kurtosis in away)
    return Moments(
        mean,
        math.sqrt(variance),
        min(each.low for _, each in kinds),
        max(each.high for _, each in kinds),
        kurtosis=max(1.0, fourth / variance**2) if variance > 0 else 3.0,
    )


def draw(init: AbstractInitializer, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
    """Give another initializer's weights as an array that may be changed."""
    buffer = stream.out
    values = init.sample(shape, stream, axes)
    fresh = values.base is None or (buffer is not None and np.may_share_memory(values, buffer))
    if fresh and values.flags.writeable and values.flags.c_contiguous:
        return values
    return np.array(values, order="C")  # it may be a view of something that is kept


def by_position(shape: tuple[int, ...], stream: Stream, rule: Callable[..., Array]) -> Array:
    """Give what `rule` makes of the indices of each position that the stream shows.

    Parameters
    ----------
    shape
        Of the whole weight, at least one axis.
    stream
        Its window says which positions.
    rule
        Called with one integer array an axis; they broadcast together.

    Returns
    -------
    numpy.ndarray
        Of `shape`; through a window, flat.
    """
    window, last = stream.window, shape[-1]
    if window is None or len(window.starts) == 1:  # one run lies in whole rows of the last axis
        begin, size = (0, math.prod(shape)) if window is None else (int(window.starts[0]), window.length)
        first, stop = begin // last, -(-(begin + size) // last)
        rows = np.unravel_index(np.arange(first, stop), shape[:-1]) if len(shape) > 1 else ()
        found = rule(*(row[:, None] for row in rows), np.arange(last)[None])
        found = np.broadcast_to(found, (stop - first, last))
        if window is None:
            return found.reshape(shape)
        return found.reshape(-1)[begin - first * last :][:size]
    positions = (window.starts[:, None] + np.arange(window.length)).ravel()
    return np.broadcast_to(rule(*np.unravel_index(positions, shape)), positions.shape)


def shown(values: Array, stream: Stream) -> Array:
    """Give the entries of a whole array that the stream's window shows, flat; all of it without a window."""
    window = stream.window
    if window is None:
        return values
    flat = values.reshape(-1)
    if len(window.starts) == 1:
        return flat[int(window.starts[0]) :][: window.length]
    found: Array = flat[(window.starts[:, None] + np.arange(window.length)).ravel()]
    return found
