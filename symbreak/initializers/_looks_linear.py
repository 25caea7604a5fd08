"""Mirrored weights, with which a network of rectifiers starts as a linear one."""

import math
from dataclasses import field
from typing import Any, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from ._base import AbstractInitializer, Array, Moments
from ._orthogonal import Orthogonal
from ._registry import register
from ._wrapping import wrap

POSITIONS = ("first", "hidden", "last")


@register("looks_linear")
@final
class LooksLinear(AbstractInitializer):
    """Units in pairs of opposite sign, which next layers read with opposite weights: through ReLU the sum is linear.

    As ``relu(h) - relu(-h) = h``, layers of S, -S and of ``[[S, -S], [-S, S]]`` compute the product of the matrices S,
    exactly, whatever their depth: gradients neither shatter nor vanish. No two units are equal; those of a pair differ
    in sign, which SB105 notes, and training separates what they do.

    Parameters
    ----------
    init
        Makes S, of half the units and half the inputs: what :func:`symbreak.get` takes.
    position
        ``"hidden"``: units and inputs come in pairs. ``"first"``: the inputs don't (the data). ``"last"``: the units
        don't (the output).

    Raises
    ------
    ValueError
        For a position that is none of these; when called, if what comes in pairs is not even, or the layout has groups,
        splits, or several output or input axes.

    References
    ----------
    Balduzzi et al. "The shattered gradients problem: if resnets are the answer, then what is the question?". ICML 2017,
    section 4. :arxiv:`1702.08591`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> relu = lambda h: np.maximum(h, 0)
    >>> first = sb.LooksLinear(position="first")((8, 4), rng=1, dtype="float64")
    >>> last = sb.LooksLinear(position="last")((4, 8), rng=2, dtype="float64")
    >>> x = np.array([1.0, -2.0, 3.0, -4.0])
    >>> bool(np.allclose(last @ relu(first @ x), last[:, :4] @ first[:4] @ x))
    True
    """

    init: AbstractInitializer = field(default=Orthogonal())
    position: str = field(default="hidden", kw_only=True)

    elementwise = False

    def __post_init__(self) -> None:
        wrap(self, "init")
        object.__setattr__(self, "elementwise", False)  # a mirrored half is somewhere else
        if self.position not in POSITIONS:
            raise ValueError(
                f"LooksLinear: position is one of {', '.join(map(repr, POSITIONS))}; got {self.position!r}"
            )

    def _half(self, axes: Axes, shape: tuple[int, ...]) -> tuple[tuple[int, ...], list[int]]:
        """Give the shape of S, and the axes along which it is mirrored."""
        units, inputs = axes.dims("o"), axes.dims("i")
        if axes.groups != 1 or axes.splits != 1 or len(units) != 1 or len(inputs) != 1:
            raise ValueError(
                f"LooksLinear: takes layouts of one output and one input axis, without groups and splits; got {axes}"
            )
        mirrored = {"first": [units[0]], "hidden": [units[0], inputs[0]], "last": [inputs[0]]}[self.position]
        odd = [dim for dim in mirrored if shape[dim] % 2]
        if odd:
            what = "units" if odd[0] == units[0] else "inputs"
            raise ValueError(
                f"LooksLinear: position {self.position!r} takes {what} in pairs; `shape` {shape} has {shape[odd[0]]}"
            )
        return tuple(size // 2 if dim in mirrored else size for dim, size in enumerate(shape)), mirrored

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw S and mirror it."""
        half, mirrored = self._half(Axes.of(axes, shape), shape)
        values = self.init.sample(half, Stream(stream.key, dtype=stream.dtype), axes)
        for dim in mirrored:
            values = np.concatenate([values, -values], axis=dim)
        return values

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0 and the size of what makes S."""
        sizes = as_shape(shape)
        if not math.prod(sizes):
            return Moments(0.0, 0.0, 0.0, 0.0)
        found = self.init.expected(self._half(Axes.of(axes, sizes), sizes)[0], axes)
        reach = max(abs(found.low), abs(found.high))
        return Moments(0.0, math.hypot(found.mean, found.std), -reach, reach, kurtosis=2 * found.kurtosis)

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State what units of S have: the other half of the inputs repeats the first."""
        return self.init.coincidence(self._half(Axes.of(axes, shape), shape)[0], axes, one)
