"""Another initializer's weights where a mask keeps them, zero elsewhere."""

import math
import re
from collections.abc import Callable
from typing import Any, TypeAlias, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from . import _places as place
from ._base import AbstractInitializer, Array, Moments
from ._registry import register
from ._wrapping import by_position, draw, drawn_coincidence, mix, shown, wrap

NOTHING = Moments(0.0, 0.0, 0.0, 0.0)
SHOWN = 64  # entries of a mask that `repr` writes out

# unit, input, numbers of units and inputs, the number after the colon -> whether the entry is kept
Rule: TypeAlias = Callable[[Array, Array, int, int, int], Array]
RULES: dict[str, Rule] = {
    "lower": lambda o, i, *_: i <= o,
    "upper": lambda o, i, *_: i >= o,
    "diagonal": lambda o, i, *_: i == o,
    "blocks": lambda o, i, units, inputs, n: o * n // units == i * n // inputs,
}
ALLOWED = "an array of bools, 'lower', 'upper', 'diagonal' or 'blocks:n'"


@register("masked")
@final
class Masked(AbstractInitializer):
    """The weights of another initializer where a mask keeps them, and zero elsewhere.

    Fans are counted as if there were no mask.

    Parameters
    ----------
    init
        What :func:`symbreak.get` takes.
    mask
        An array of bools of the weight's shape, True for what is kept; or a rule on the unit o and the input i, both
        counted from 0 along their axes: ``"lower"`` keeps i <= o, ``"upper"`` i >= o, ``"diagonal"`` i == o, and
        ``"blocks:n"`` what lies in the same of n equal parts of the units and of the inputs. A rule is the same at
        every place of a receptive field and in every stacked copy and group, of which each counts its own units and
        inputs.

    Raises
    ------
    ValueError
        For a mask that is neither; when it is called, for a shape that the mask does not fit, or a rule that would tie
        units of that shape (see the notes).
    TypeError
        If `init` is no initializer.

    Notes
    -----
    Units that keep no input are all zero and so are tied with each other. A rule that would leave two or more of them
    in a weight is refused for its shape. An array may do so: its policy is ``"zeroes"`` where it keeps nothing, and
    ``"ties"`` where two slices along one axis keep nothing. :meth:`dead` lists the units.

    References
    ----------
    Germain, Gregor, Murray, Larochelle. "MADE: masked autoencoder for distribution estimation". ICML 2015, section 4.
    :arxiv:`1502.03509`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Masked(sb.Ones(), "lower")((3, 3))
    array([[1., 0., 0.],
           [1., 1., 0.],
           [1., 1., 1.]], dtype=float32)
    >>> sb.Masked(sb.HeNormal(), [[True, False], [False, False], [False, False]]).ties
    'ties'
    """

    init: AbstractInitializer
    mask: Any

    def __post_init__(self) -> None:
        if isinstance(self.mask, str):
            _read(self.mask)
            wrap(self, "init")
            return
        keep = np.array(self.mask)
        if keep.dtype != np.bool_ or keep.ndim == 0:
            raise ValueError(f"Masked: mask is {ALLOWED}; got {_short(self.mask)}")
        keep.flags.writeable = False
        object.__setattr__(self, "mask", keep)
        wrap(self, "init", ties="zeroes" if not keep.any() else "ties" if _empty_slices(keep) else None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Masked) or self.init != other.init or type(self.mask) is not type(other.mask):
            return False
        return bool(np.array_equal(self.mask, other.mask))

    def __hash__(self) -> int:
        array = isinstance(self.mask, np.ndarray)
        return hash((self.init, (self.mask.shape, self.mask.tobytes()) if array else self.mask))

    def __repr__(self) -> str:
        return f"Masked(init={self.init!r}, mask={_short(self.mask)})"

    def to_config(self) -> dict[str, Any]:
        """Give a dict of plain values; an array as nested lists."""
        mask = self.mask.tolist() if isinstance(self.mask, np.ndarray) else self.mask
        return {"name": self.name, "init": self.init.to_config(), "mask": mask}

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw the other's weights, and keep some."""
        rule = self._keep(shape, axes)
        keep = shown(self.mask, stream) if rule is None else by_position(shape, stream, rule)
        values = draw(self.init, shape, stream, axes)
        # As bits, for all or nothing: a choice by entry is slow where the mask is irregular.
        whole = np.int64 if values.dtype == np.float64 else np.int32
        bits = np.negative(np.ascontiguousarray(keep).view(np.int8)).astype(whole)
        np.bitwise_and(values.view(whole), bits, out=values.view(whole))
        return values

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State the probability that two units are equal by chance: entries that are drawn tell them apart."""
        return drawn_coincidence(self, shape, axes, one)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments of an entry anywhere: the other's for the share that is kept, and zeros."""
        sizes = as_shape(shape)
        one = self.init.expected(sizes, axes)
        size = math.prod(sizes)
        kept = self._count(sizes, None if axes is None else Axes.of(axes, sizes)) / size if size else 0.0
        return one if kept == 1 else mix([(kept, one), (1 - kept, NOTHING)])

    def dead(self, shape: Any, axes: AxesLike = None) -> tuple[int, ...]:
        """List the units that keep no input: all of them zero, and so equal.

        Parameters
        ----------
        shape
            Of the weight.
        axes
            Its layout.

        Returns
        -------
        tuple of int
            Counted along the units of each stacked copy and group in turn.

        Examples
        --------
        >>> import symbreak as sb
        >>> sb.Masked(sb.HeNormal(), [[True, False], [False, False], [False, False]]).dead((3, 2))
        (1, 2)
        """
        sizes = as_shape(shape)
        found = Axes.of(axes, sizes)
        if isinstance(self.mask, str):
            maps, units, inputs = _sides(found, sizes)
            kept = self._rule(found, sizes)(np.arange(units)[:, None], np.arange(inputs)[None]).any(axis=1)
            return tuple(np.flatnonzero(~np.tile(kept, maps)).tolist())
        self._keep(sizes, found)
        return tuple(np.flatnonzero(~found.matrices(self.mask).any(axis=2)).tolist())

    def _rule(self, axes: Axes, shape: tuple[int, ...]) -> Callable[[Array, Array], Array]:
        name, n = _read(self.mask)
        _, units, inputs = _sides(axes, shape)
        return lambda o, i: RULES[name](o, i, units, inputs, n)

    def _keep(self, shape: tuple[int, ...], axes: Axes | None) -> Callable[..., Array] | None:
        """Give the rule as a function of the indices, None for an array, once it is known to fit."""
        if not isinstance(self.mask, str):
            if self.mask.shape != shape:
                raise ValueError(f"Masked: the mask has shape {self.mask.shape}, and the weight {shape}")
            return None
        found = Axes.of(axes, shape)
        _, units, inputs = _sides(found, shape)
        dead = _dead(self.mask, units, inputs) * found.groups
        if dead > 1 and min(units, inputs) > 0:
            raise ValueError(
                f"Masked: {self.mask!r} leaves {dead} of {units * found.groups} units without any of {inputs} inputs, "
                f"and they would be tied; give the mask as an array to have that"
            )
        rule = self._rule(found, shape)

        def keep(*indices: Array) -> Array:
            if found.groups != 1:
                at = place.coordinates(found, shape, indices)
                return rule(at.unit, at.input)
            return rule(_ravel(indices, found.dims("o"), shape), _ravel(indices, found.dims("i"), shape))

        return keep

    def _count(self, shape: tuple[int, ...], axes: Axes | None) -> int:
        self._keep(shape, axes)
        if not isinstance(self.mask, str):
            return int(np.count_nonzero(self.mask))
        found = Axes.of(axes, shape)
        maps, units, inputs = _sides(found, shape)
        return _kept(self.mask, units, inputs) * maps * math.prod(place.field(found, shape))


def _sides(axes: Axes, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Give the numbers of copies and groups, of units, and of inputs, the receptive field not counted."""
    maps, units, incoming = axes._map_shape(shape)
    return maps, units, incoming // max(1, math.prod(place.field(axes, shape)))


def _read(mask: str) -> tuple[str, int]:
    """Read a rule: its name, and the number after the colon."""
    if mask in RULES and mask != "blocks":
        return mask, 0
    found = re.fullmatch(r"blocks:([1-9][0-9]{0,8})", mask)
    if not found:
        raise ValueError(f"Masked: mask is {ALLOWED}; got {mask!r}")
    return "blocks", int(found[1])


def _dead(mask: str, units: int, inputs: int) -> int:
    """Count the units that a rule leaves without an input."""
    name, n = _read(mask)
    if name == "lower":
        return 0
    if name == "blocks":
        if n <= inputs:
            return 0
        taken = {i * n // inputs for i in range(inputs)}
        return sum(o * n // units not in taken for o in range(units))
    return max(0, units - inputs)


def _kept(mask: str, units: int, inputs: int) -> int:
    """Count the pairs of a unit and an input that a rule keeps."""
    name, n = _read(mask)
    least = min(units, inputs)
    if name == "diagonal":
        return least
    if name == "blocks":
        o, i = (np.bincount(np.arange(size) * n // max(size, 1), minlength=n) for size in (units, inputs))
        return int(np.dot(o, i))
    lower = least * (least + 1) // 2 + (units - least) * inputs
    return lower if name == "lower" else units * inputs - lower + least


def _ravel(indices: tuple[Array, ...], dims: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Read several axes as one."""
    number: Any = 0
    for dim in dims:
        number = number * shape[dim] + indices[dim]
    return number if isinstance(number, np.ndarray) else np.zeros(1, np.int64)


def _empty_slices(keep: Array) -> bool:
    """Say whether, along some axis, two slices keep nothing."""
    others = (tuple(dim for dim in range(keep.ndim) if dim != axis) for axis in range(keep.ndim))
    return any(np.count_nonzero(~keep.any(axis=rest)) > 1 for rest in others)


def _short(mask: Any) -> str:
    if not isinstance(mask, np.ndarray):
        return repr(mask)[:SHOWN]
    if mask.size <= SHOWN:
        return repr(mask.tolist())
    return f"<{np.count_nonzero(mask):,} of {mask.size:,} kept, shape {mask.shape}>"
