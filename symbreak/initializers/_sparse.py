"""Sparse weights: every unit reads the same small number of inputs, chosen at random."""

import math
from dataclasses import field
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from . import _places as place
from ._base import AbstractInitializer, Array, Moments, incoming_of
from ._registry import register
from ._validate import check_std, is_real

MANY = 64  # inputs: more are chosen all at a time, as many or fewer one after the other
BLOCK = 1 << 18  # words at a time. Part of the stream's format: another value means other weights.


@register("sparse")
@final
class Sparse(AbstractInitializer):
    """Each unit reads exactly `inputs` inputs, chosen at random, with normal weights; the others are zero.

    How strongly a unit is driven then does not depend on the number of inputs that there are, and units are as
    different as can be. No unit is dead. PyTorch's ``sparse_`` counts the other way round, so many zeros for each
    *input*, and can leave units without any: for that, give the axes in the other order (``axes="io"`` for a ``"oi"``
    weight).

    Parameters
    ----------
    inputs
        How many of its inputs a unit reads, all where it has no more; or the share that it reads, between 0 and 1, of
        which at least one. The receptive field counts among the inputs.
    std
        Standard deviation of the weights that are not zero; positive.

    Raises
    ------
    ValueError
        If `inputs` is neither, or as for :class:`Normal`.

    References
    ----------
    Martens. "Deep learning via Hessian-free optimization". ICML 2010, section 5.

    Sutskever, Martens, Dahl, Hinton. "On the importance of initialization and momentum in deep learning". ICML 2013,
    section 3.

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> w = sb.Sparse(15)((64, 784), rng=0)
    >>> np.unique(np.count_nonzero(w, axis=1))
    array([15])
    """

    inputs: float = 15
    std: float = field(default=1.0, kw_only=True)

    elementwise = False

    def __post_init__(self) -> None:
        count = isinstance(self.inputs, int | np.integer) and not isinstance(self.inputs, bool) and self.inputs >= 1
        share = is_real(self.inputs) and not isinstance(self.inputs, int | np.integer) and 0 < self.inputs < 1
        if not count and not share:
            raise ValueError(
                f"Sparse: inputs is how many a unit reads, an integer of 1 or more, or a share between 0 and 1; got "
                f"{self.inputs!r}"
            )
        object.__setattr__(self, "inputs", int(self.inputs) if count else float(self.inputs))
        check_std(self)

    def _count(self, incoming: int) -> int:
        """Give how many of so many inputs a unit reads."""
        if isinstance(self.inputs, int):
            return min(self.inputs, incoming)
        return max(1, math.ceil(self.inputs * incoming - 1e-9))

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Choose inputs for each unit, and draw their weights."""
        found = Axes.of(axes, shape)
        copies, units, incoming = found._map_shape(shape)
        count = self._count(incoming)
        if count > MANY:
            chosen = choose_many(stream["inputs"], copies * units, incoming, count)
            weights = stream.normal(shape, std=self.std)
            weights *= found.from_matrices(chosen.reshape(copies, units, incoming), shape)
            return weights
        taps = max(1, math.prod(place.field(found, shape)))
        few = choose_few(stream["inputs"], copies * units, incoming, count)
        unit = np.arange(copies * units)[:, None]
        at = place.Coordinates(unit // units, unit % units, few // taps, few % taps)
        out = stream.empty(shape)
        out[...] = 0
        out.reshape(-1)[place.places(found, shape, at)] = stream.normal(few.size, std=self.std)
        return out

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0 and the standard deviation over all entries, zeros too."""
        sizes = as_shape(shape)
        incoming = Axes.of(axes, sizes)._map_shape(sizes)[2]
        if not incoming:
            return Moments(0.0, 0.0, 0.0, 0.0)
        share = self._count(incoming) / incoming
        return Moments(0.0, self.std * share**0.5, -math.inf, math.inf, kurtosis=3.0 / share)

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State the probability that two units read the same inputs with the same weights."""
        incoming = incoming_of(shape, axes)
        count = self._count(incoming)
        return one**count / math.comb(incoming, count)


def choose_few(stream: Stream, rows: int, n: int, k: int) -> place.Indices:
    """Choose k of n without repetition, all sets equally likely, for each row: (rows, k).

    By Floyd's method [1]_: the j-th is any of the first n - k + j + 1, or the last of them where that is taken already.

    .. [1] Bentley, Floyd. "Programming pearls: a sample of brilliance". Commun. ACM 30 (1987).
    """
    words = stream.key.bit_generator("choice").random_raw(rows * k).reshape(rows, k)
    fractions = (words >> np.uint64(11)) * 2.0**-53
    found: place.Indices = np.empty((rows, k), np.int64)
    for j in range(k):
        most = n - k + j
        some = (fractions[:, j] * (most + 1)).astype(np.int64)
        taken = (found[:, :j] == some[:, None]).any(axis=1)
        found[:, j] = np.where(taken, most, some)
    return found


def choose_many(stream: Stream, rows: int, n: int, k: int) -> npt.NDArray[np.bool_]:
    """Choose the same way, as a mask (rows, n): the places of the k smallest of n words of 32 bits."""
    generator = stream.key.bit_generator("choice")
    mask = np.empty((rows, n), np.bool_)
    step = max(1, BLOCK // n)
    for first in range(0, rows, step):
        some = mask[first : first + step]
        raw = generator.random_raw(-(-some.size // 2)).astype("<u8", copy=False)
        words = raw.view("<u4")[: some.size].reshape(some.shape)
        largest = np.partition(words, k - 1, axis=1)[:, k - 1 : k]
        np.less_equal(words, largest, out=some)
        for row in np.flatnonzero(some.sum(axis=1) != k):  # two equal words, once in millions of rows: the first counts
            equal = np.flatnonzero(words[row] == largest[row])
            some[row, equal[len(equal) - (int(some[row].sum()) - k) :]] = False
    return mask
