"""The search for equal units, at the speed at which memory can be read.

Units are hashed: their canonical bytes, read as integers, times fixed odd random numbers, summed modulo 2**64; or,
where floats can be read as they lie, their words times even ones, which takes no notice of signs. Units whose hashes
differ are different. The first few features tell most units apart, so of all of them only these are hashed; units that
agree there are hashed whole; those that agree then are compared. What agreed by accident, or by design of whoever made
the file, is hashed again in other ways. So the answer never depends on a hash, and the time is in proportion to the
size of the weight whatever is in it.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from .._threads import share
from ._bits import bits_of
from ._tiles import Block, Tiles, Units, Words

if TYPE_CHECKING:
    import hashlib

Indices = npt.NDArray[np.intp]

SAMPLE = 64  # units
SHARE = 1 << 23  # bytes of units below which one more thread costs more than it brings
LONG = 4  # tiles that are read in one call where they lie
FLAT = 1 << 20  # values that are looked at together
_CARRY = np.uint64(0x9E3779B97F4A7C15)  # odd; joins the hashes of the blocks of one unit


@final
class Search:
    """One search for ties."""

    def __init__(self, tiles: Tiles, workers: int) -> None:
        self.tiles = tiles
        self.workers = workers
        self.multipliers = _multipliers(tiles.width)
        # For words of 4 and of 8 bytes: their top bit times an even number is nothing.
        self.even = {4: self.multipliers.view(np.uint32) << np.uint32(1), 8: self.multipliers << np.uint64(1)}
        self.not_finite = np.zeros(tiles.units, np.bool_)
        self.nan = np.zeros(tiles.units, np.bool_)

    def run(self, finite: bool = False) -> tuple[Indices, Indices, Indices]:
        """Give the labels, the units that are zero, and those that are not finite.

        `finite` says that it is known already that every value is.
        """
        every = np.arange(self.tiles.units)
        signless = self.tiles.in_place
        heads = np.zeros(self.tiles.units, np.uint64)
        look = not finite and not self.tiles.bits.always_finite
        if look and self.tiles.rows is None:
            look = self._look()
        if self._begin(heads, signless, look):
            self._share(self._mark, self.tiles.units)
        if signless and not _tell(heads):
            signless = False
            self._begin(heads, signless, look=False)
        zero = self._zero(np.flatnonzero((heads == 0) & ~self.nan))
        rest = ~self.nan
        rest[zero] = False
        if rest.all() and self._all_alike(heads):
            return np.zeros_like(every), zero, np.flatnonzero(self.not_finite)
        units, firsts = _repeated(every[rest], heads[rest])
        again = np.zeros(self.tiles.units, np.bool_)
        again[units] = again[firsts] = True
        units = np.flatnonzero(again)
        roots = self._settle(units, self._whole(units, signless))
        roots[zero] = zero[:1]
        labels = (np.cumsum(roots == every) - 1)[roots]
        return labels, zero, np.flatnonzero(self.not_finite)

    def _all_alike(self, heads: Words) -> bool:
        """Whether all units are equal to the first; looked at only where their first features are, hash by hash."""
        if (heads != heads[0]).any():
            return False
        same = np.zeros(self.tiles.units, np.bool_)
        every = np.arange(self.tiles.units)
        self._share(partial(self._compare, every, np.zeros_like(every), same), self.tiles.units)
        return bool(same.all())

    def _begin(self, heads: Words, signless: bool, look: bool) -> bool:
        """Hash the first features of every unit; say whether, while they are at hand, the others look not finite."""
        rows, found = self.tiles.rows, [look and self.tiles.rows is None]
        in_place = rows is not None and signless  # nothing is copied, and threads wait less between longer calls
        tiles = LONG if in_place else 1

        def begin(low: int, high: int) -> None:
            buffer = self.tiles.buffer()
            for units in self.tiles.ranges(low, high, tiles):
                if look and not found[-1] and rows is not None and self.tiles.bits.suspicious(rows[units]):
                    found.append(True)
                heads[units] = self._hash(units, signless, self.tiles.head, buffer)

        self._share(begin, self.tiles.units, self.workers if look and rows is not None else 1)
        return found[-1]

    def _look(self) -> bool:
        """Say whether any value may be not finite, in the order of the memory."""
        flat, found = self.tiles.flat, [self.tiles.flat is None]

        def look(low: int, high: int) -> None:
            for begin in range(low, high, FLAT):
                if not found[-1] and flat is not None:
                    found.append(self.tiles.bits.suspicious(flat[np.newaxis, begin : min(begin + FLAT, high)]))

        if flat is not None:
            self._share(look, len(flat), size=flat.itemsize)
        return any(found)

    def _mark(self, low: int, high: int) -> None:
        """Mark the units from `low` to `high` that hold a value that is not finite."""
        buffer = self.tiles.buffer()
        for units in self.tiles.ranges(low, high):
            for block in self.tiles.blocks:
                marks = self.tiles.bits.not_finite(self.tiles.load(units, block, buffer)[1])
                if marks is not None:
                    self.not_finite[units] |= marks[0]
                    self.nan[units] |= marks[1]

    def _whole(self, units: Indices, signless: bool) -> Words:
        """Hash all features of some units."""
        if 2 * len(units) > self.tiles.units > len(units):  # all of them, in order, are read where they lie
            return self._whole(np.arange(self.tiles.units), signless)[units]
        hashes = np.zeros(len(units), np.uint64)

        def add(low: int, high: int) -> None:
            buffer = self.tiles.buffer()
            for some in self.tiles.ranges(low, high):
                picked = _as_slice(units[some])
                for block in self.tiles.blocks:
                    hashes[some] = hashes[some] * _CARRY + self._hash(picked, signless, block, buffer)

        self._share(add, len(units))
        return hashes

    def _hash(self, units: Units, signless: bool, block: Block, buffer: npt.NDArray[np.uint8]) -> Words:
        if signless:
            return self._signless(self.tiles.values(units, block, buffer))
        return self._sum(self.tiles.load(units, block, buffer)[0])

    def _sum(self, codes: npt.NDArray[Any]) -> Words:
        words = codes.astype(np.uint64, order="K", copy=False)
        hashed: Words = np.einsum("ij,j->i", words, self.multipliers[: words.shape[1]])
        return hashed

    def _signless(self, values: npt.NDArray[Any]) -> Words:
        """Hash floats as they lie: times even numbers, their sign bits vanish, and -0.0 counts as 0.0 does."""
        part = values.dtype.itemsize // (2 if values.dtype.kind == "c" else 1)
        words = values.view(f"u{part}")
        hashed: Words = np.einsum("ij,j->i", words, self.even[part][: words.shape[1]]).astype(np.uint64)
        return hashed * _CARRY  # the search for repeated ones looks at the top bits

    def _settle(self, units: Indices, keys: Words) -> Indices:
        """Find the first unit that each unit is equal to, where equal units have equal keys."""
        roots = np.arange(self.tiles.units)
        for rehash in self._rehashes():
            units, firsts = _repeated(units, keys)
            if not len(units):
                return roots
            same = self._alike(units, firsts)
            tried = np.flatnonzero(same)
            found = np.zeros(len(tried), np.bool_)
            self._share(partial(self._compare, units[tried], firsts[tried], found), len(tried))
            same[tried] = found
            roots[units[same]] = firsts[same]
            # Those left over share a hash with a unit they differ from. Equal ones are left over together.
            units = units[~same]
            keys = rehash(units)
        raise AssertionError("the hashes never end")

    def _rehashes(self) -> Iterator[Callable[[Indices], Words]]:
        """Give other hashes for units that the last one did not tell apart.

        A product modulo 2**64 carries only upwards, so that values whose low bits are all zero (small integers stored
        as floats) leave few bits of the first hash, and signs at most one. Folding the words, by a shift that brings
        no sign to where another is, cures that. What is left was made to collide.
        """
        yield self._folded
        for salt in itertools.count():
            yield partial(self._digests, salt)

    def _folded(self, units: Indices) -> Words:
        hashes = np.zeros(len(units), np.uint64)

        def fold(low: int, high: int) -> None:
            buffer = self.tiles.buffer()
            for some in self.tiles.ranges(low, high):
                for block in self.tiles.blocks:
                    codes, _ = self.tiles.load(units[some], block, buffer)
                    words = codes.astype(np.uint64, order="K", copy=False)
                    hashes[some] = hashes[some] * _CARRY + self._sum(words ^ (words >> np.uint64(29)))

        self._share(fold, len(units))
        return hashes

    def _digests(self, salt: int, units: Indices) -> Words:
        """Give units the same number where their digests are equal."""
        seen: dict[bytes, int] = {}
        numbers = np.zeros(len(units), np.uint64)
        buffer = self.tiles.buffer()
        for some in self.tiles.ranges(0, len(units)):
            digests = [_digest(salt) for _ in units[some]]
            for block in self.tiles.blocks:
                codes, _ = self.tiles.load(units[some], block, buffer)
                for digest, row in zip(digests, codes, strict=True):
                    digest.update(row.tobytes())
            numbers[some] = [seen.setdefault(digest.digest(), len(seen)) for digest in digests]
        return numbers

    def _alike(self, units: Indices, others: Indices) -> npt.NDArray[np.bool_]:
        """Compare the first values of units with those of the others: a unit and its negative share a signless hash."""
        if not self.tiles.in_place:
            return np.ones(len(units), np.bool_)
        first = self.tiles.view[:, 0]
        return np.asarray(first[units] == first[others])

    def _compare(self, units: Indices, others: Indices, same: npt.NDArray[np.bool_], low: int, high: int) -> None:
        """Compare units from `low` to `high` with the others, code by code."""
        left, right = self.tiles.buffer(), self.tiles.buffer()
        for some in self.tiles.ranges(low, high):
            one = others[some]
            one = one[:1] if (one == one[0]).all() else one
            equal = np.ones(some.stop - some.start, np.bool_)
            for block in self.tiles.blocks:
                mine = self.tiles.values(_as_slice(units[some]), block, left)
                theirs = self.tiles.values(one, block, right)
                equal &= (mine == theirs).all(axis=1)
            same[some] = equal

    def _zero(self, units: Indices) -> Indices:
        """Keep those units whose values are all zero."""
        zero = np.full(len(units), self.tiles.bits.has_zero)
        buffer = self.tiles.buffer()
        for some in self.tiles.ranges(0, len(units)):
            for block in self.tiles.blocks:
                zero[some] &= ~self.tiles.values(_as_slice(units[some]), block, buffer).any(axis=1)
        kept: Indices = units[zero]
        return kept

    def _share(
        self, work: Callable[[int, int], None], count: int, workers: int | None = None, size: int | None = None
    ) -> None:
        """Do `work(low, high)` on ranges that make up `count`, one a worker; each is of `size` bytes, or a unit's."""
        if not count:
            return
        enough = count * (self.tiles.unit_bytes if size is None else size) // SHARE
        workers = max(1, min(workers or self.workers, count, enough))
        edges = [count * worker // workers for worker in range(workers + 1)]

        def quietly(edges: tuple[int, int]) -> None:
            # A signalling NaN warns when it is touched; warnings are switched off for one thread at a time.
            with np.errstate(all="ignore"):
                work(*edges)

        share(quietly, itertools.pairwise(edges), workers)


def search_small(units: npt.NDArray[Any]) -> tuple[Indices, Indices, Indices]:
    """Give what `Search.run` does for a small weight, (units, ...): the bytes of its units are keys of a dictionary."""
    bits = bits_of(units.dtype)
    values = np.empty((len(units), units.size // len(units)), bits.dtype)
    bits.load(units, values.reshape(units.shape))
    marks = bits.not_finite(values)
    codes = values.view(np.uint8)
    if marks is None and (codes == codes[:1]).all():  # as biases and scales start
        every = np.arange(len(units))
        return np.zeros_like(every), every if bits.has_zero and not codes[:1].any() else every[:0], every[:0]
    data, width = codes.tobytes(), codes.shape[1]
    keys: list[object] = [data[begin : begin + width] for begin in range(0, len(data), width)]
    not_finite = np.zeros(len(units), np.bool_) if marks is None else marks[0]
    for unit in () if marks is None else np.flatnonzero(marks[1]).tolist():
        keys[unit] = object()  # equal to none
    seen: dict[object, int] = {}
    labels = np.array([seen.setdefault(key, len(seen)) for key in keys], np.intp)
    zero = ~codes.any(axis=1) if bits.has_zero else np.zeros(len(units), np.bool_)
    return labels, np.flatnonzero(zero), np.flatnonzero(not_finite)


def _repeated(units: Indices, keys: Words) -> tuple[Indices, Indices]:
    """Give the units whose key an earlier one has, and the first that has it."""
    ordered = np.sort(keys)
    shared = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(shared):
        return units[:0], units[:0]
    # A look at the top bits leaves few units to search for.
    marked = np.zeros(1 << 16, np.bool_)
    marked[shared >> np.uint64(48)] = True
    near = np.flatnonzero(marked[keys >> np.uint64(48)])
    units, keys = units[near], keys[near]
    places = np.minimum(np.searchsorted(shared, keys), len(shared) - 1)
    members = shared[places] == keys
    units, places = units[members], places[members]
    # `places` is the same for equal keys, and the units are in order: a stable sort puts the first of each key ahead.
    order = np.argsort(places, kind="stable")
    ahead = np.ones(len(order), np.bool_)
    ahead[1:] = places[order[1:]] != places[order[:-1]]
    firsts = np.empty_like(units)
    firsts[order] = units[order[np.maximum.accumulate(np.where(ahead, np.arange(len(order)), 0))]]
    later = firsts != units
    return units[later], firsts[later]


def _tell(heads: Words) -> bool:
    """Look at a few units: say whether their signless hashes use the low bits.

    They don't where the last bits of most values are zero, as those of small integers and of bfloat16 kept in float32
    are; half a word is too short a hash then.
    """
    few = heads[:: -(-len(heads) // SAMPLE)]
    return 2 * int(np.count_nonzero(few & np.uint64(0xFFF))) > len(few)


def _as_slice(units: Indices) -> Units:
    """Write consecutive units as a slice, which spares a copy."""
    first, last = int(units[0]), int(units[-1])
    consecutive = last - first == len(units) - 1 and bool((np.diff(units) == 1).all())
    return slice(first, last + 1) if consecutive else units


@functools.cache
def _multipliers(count: int) -> Words:
    """Give odd random numbers; the same at every call, so that a search takes the same time twice."""
    words: Words = np.random.PCG64DXSM(0).random_raw(count)
    return words | np.uint64(1)


def _digest(salt: int) -> "hashlib.blake2b":
    import hashlib  # loads OpenSSL

    return hashlib.blake2b(digest_size=32, salt=salt.to_bytes(hashlib.blake2b.SALT_SIZE, "little"))
