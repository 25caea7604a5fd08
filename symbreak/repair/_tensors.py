"""The tensors of a file, after their network was repaired: what a graph has views of, and goes back there."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from symbreak.errors import CannotRepair
from symbreak.graph import LayerGraph
from symbreak.reports import visible

from ._facts import is_mask

Array = npt.NDArray[Any]

# What a framework computes a weight from: the end of its name, and that of the tensor beside it that says so.
COMPUTED = {
    "_v": "_g",  # weight norm
    "_orig": "_u",  # spectral norm
    ".original1": ".original0",
    ".original": ".0._u",
}


class Change(NamedTuple):
    """What a repair changed in one tensor.

    Attributes
    ----------
    name
        Of the tensor.
    before, after
        Its shape; that of a tensor of which units were merged is smaller.
    values
        How many values are other ones, of those that are left.

    Examples
    --------
    >>> print(Change("fc1.weight", (4, 2), (4, 2), 3))
    fc1.weight: 3 of 8 values
    """

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    values: int

    def __str__(self) -> str:
        if self.before != self.after:
            return f"{visible(self.name)}: {list(self.before)} -> {list(self.after)}"
        size = int(np.prod(self.after, dtype=np.int64))
        return f"{visible(self.name)}: {self.values:,} of {size:,} values"


def rewrite(
    tensors: Mapping[str, Array], before: LayerGraph, after: LayerGraph
) -> tuple[dict[str, Array], list[Change]]:
    """Bring what a repair changed in a graph back to the tensors that the graph was made from.

    Parameters
    ----------
    tensors
        {name: tensor}, in C order.
    before
        A graph whose arrays are views of them: whole tensors or parts, with their axes in any order, split or not.
    after
        What a repair made of the graph.

    Returns
    -------
    tuple
        All tensors, in order, those that changed as new arrays; and what changed.

    Raises
    ------
    CannotRepair
        A change that the tensors can't hold: of an array that is computed from a tensor and not stored, of a tensor
        from which a framework computes the weight (weight norm, spectral norm), of one whose other parts are not in
        the graph, one that would not stay rectangular, or one whose parts, such as queries, keys and values, would not
        keep their proportions.
    """
    work = _Tensors(tensors)
    olds, news = before.arrays, after.arrays
    for name, old in olds.items():
        new = news[name]
        places = work.places(old)
        if not places:
            _check_computed(name, old, new)
        for place in places:
            work.write(place, old, new, name)
    _check_parts(before, after, work)
    return work.result()


def _check_parts(before: LayerGraph, after: LayerGraph, work: "_Tensors") -> None:
    """Refuse to shrink the parts of one tensor apart: whoever reads it cuts it where they always lay."""
    found: dict[str, tuple[str, Fraction]] = {}
    arrays = after.weights
    for each in before.connections:
        new, out = arrays[each.name], [n for n, axis in enumerate(each.axes) if axis.role in ("out", "head")]
        share = Fraction(prod(new.shape[n] for n in out), prod(each.array.shape[n] for n in out))
        for place in work.places(each.array):
            name, first = found.setdefault(place.tensor, (each.name, share))
            if share != first:
                raise CannotRepair(
                    f"{visible(name)!r} and {visible(each.name)!r} lie in one tensor, {visible(place.tensor)!r}, which "
                    f"is cut by their proportions, and would keep {first} and {share} of their units"
                )


def _check_computed(name: str, old: Array, new: Array) -> None:
    """Refuse a change of an array that is not in the file; masks follow from the sizes, and a constant may be cut."""
    if old.shape == new.shape and (old.size == 0 or np.array_equal(old, new)):
        return
    if not is_mask(old):
        raise CannotRepair(
            f"{visible(name)!r} is not stored in the file as it is wired, so a change of it can't be either"
        )


class _Place(NamedTuple):
    tensor: str
    offset: int  # elements


@final
class _Tensors:
    """Copies of the tensors that something is written to, and which of their elements the repaired network keeps."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self.tensors = tensors
        self.names = list(tensors)
        self.starts = np.array([_address(array) for array in tensors.values()], np.uint64)
        self.ends = self.starts + np.array([array.nbytes for array in tensors.values()], np.uint64)
        self.copies: dict[str, Array] = {}
        self.kept: dict[str, Array] = {}
        self.covered: dict[str, Array] = {}
        self.cut: set[str] = set()

    def places(self, array: Array) -> list[_Place]:
        """Find the tensors that an array lies in; more than one where they share memory."""
        if not array.size:
            return []
        at = np.uint64(_address(array))
        found = []
        for number in np.flatnonzero((self.starts <= at) & (at < self.ends)).tolist():
            name = self.names[number]
            tensor, offset = self.tensors[name], int(at - self.starts[number])
            size = tensor.itemsize
            steps = [stride // size for stride in array.strides]
            reach = offset // size + sum((n - 1) * step for n, step in zip(array.shape, steps, strict=True))
            whole = array.dtype == tensor.dtype and offset % size == 0 and all(s % size == 0 for s in array.strides)
            if whole and min(steps, default=0) >= 0 and reach < tensor.size:
                found.append(_Place(name, offset // size))
        return found

    def write(self, place: _Place, old: Array, new: Array, name: str) -> None:
        """Write the first units of each axis of an array, as many as are left."""
        part = tuple(slice(0, length) for length in new.shape)
        tensor = self.tensors[place.tensor]
        changed = old.shape != new.shape or not _is_same(old, new)
        if place.tensor not in self.kept:
            self.kept[place.tensor] = np.zeros(tensor.size, np.bool_)
            self.covered[place.tensor] = np.zeros(tensor.size, np.bool_)
        _strided(self.kept[place.tensor], place.offset, old)[part] = True
        _strided(self.covered[place.tensor], place.offset, old)[...] = True
        if not changed:
            return
        if (other := _computes(place.tensor, self.tensors)) is not None:
            raise CannotRepair(
                f"the weight that {visible(place.tensor)!r} stands for is computed from it and {visible(other)!r}, so "
                f"its values can't be changed one by one: take the norm out first"
            )
        if place.tensor not in self.copies:
            self.copies[place.tensor] = np.array(tensor, order="C")
        target = _strided(self.copies[place.tensor].reshape(-1), place.offset, old)[part]
        target[...] = new
        if not np.array_equal(target, new):
            raise CannotRepair(f"units share values of {visible(name)!r}, and would need different ones")
        if old.shape != new.shape:
            self.cut.add(place.tensor)

    def result(self) -> tuple[dict[str, Array], list[Change]]:
        found: dict[str, Array] = {}
        changes = []
        for name, tensor in self.tensors.items():
            found[name] = tensor
            if name in self.copies:
                found[name] = self._cut(name) if name in self.cut else self.copies[name]
                same = found[name].shape == tensor.shape
                values = int((found[name] != tensor).sum()) if same else found[name].size
                if not same or values:
                    changes.append(Change(name, tensor.shape, found[name].shape, values))
        return found, changes

    def _cut(self, name: str) -> Array:
        """Keep the indices of each axis at which the repaired network has something."""
        tensor = self.tensors[name]
        if not self.covered[name].all():
            raise CannotRepair(f"only a part of {visible(name)!r} is in the network, so it can't be made smaller")
        kept = self.kept[name].reshape(tensor.shape)
        axes = range(tensor.ndim)
        indices = [np.flatnonzero(kept.any(axis=tuple(a for a in axes if a != axis))) for axis in axes]
        grid = np.ix_(*indices)
        if not kept[grid].all():
            raise CannotRepair(f"what would be left of {visible(name)!r} has not the same number of units everywhere")
        return np.ascontiguousarray(self.copies[name][grid])


def _is_same(old: Array, new: Array) -> bool:
    return (_address(old) == _address(new) and old.strides == new.strides) or np.array_equal(old, new)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _strided(flat: Array, offset: int, like: Array) -> Array:
    """View flat elements as an array lies among those of its tensor."""
    strides = tuple(stride // like.itemsize * flat.itemsize for stride in like.strides)
    return np.lib.stride_tricks.as_strided(flat[offset:], like.shape, strides)


def _computes(name: str, names: Iterable[str]) -> str | None:
    """Give the tensor beside this one that shows that a weight is computed from both."""
    for end, other in COMPUTED.items():
        beside = name.removesuffix(end) + other
        if name.endswith(end) and beside in names:
            return beside
    return None
