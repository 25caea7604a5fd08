"""Weights that begin further on in the stream of another one, and weights that lie transposed (SB208).

Two arrays that share a stretch of one stream agree there, up to a factor and a constant, in whether each value is
larger than the one before. Of one array the comparisons in a window of 65 values are looked up among those at every
start of the other's beginning, so that a match is met whatever the distance. Windows stand every 64 values at first,
then every 2,048, in types of one byte every 256: an array is read in one pass, and one value of thirty, or of four, is
looked at then. Of matrices the beginning is taken by columns as well. The correlation of what follows decides.

What is found for certain, of draws in float32 or float64: a weight of 128 values that begins among the first 65,536 of
another one, one of 2,112 that begins among the first 1,046,528, and either where up to 400 values of its beginning were
overwritten and as many are left. Likewise a matrix that lies transposed, and whose columns have 128 values, or which
holds 2,112. Of more than 1,024 weights fewer starts are looked up: 64 from 32,768 weights on, and beyond 8,192 no
columns.

What can be missed: in bfloat16 one window of 65 values in forty changes, in 8-bit floats every second. Beyond 65,536
values there is one window to match, where the longer weight is of one byte there are eight, and before there are up to
sixteen. Streams that are drawn in blocks, as those of torch's CPU generator in 16 values, match where the distance is a
number of blocks.

What can be found by mistake: two independent windows of 65 values rise and fall alike, or the one as the other falls,
with a probability of 6e-17, and of those that do less than one in 1e20 correlates as asked for. Of 1,000 weights of a
million values 4e12 pairs of windows are looked at. Windows of which less than 12 values are larger than the one before,
as among many zeros, say too little.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from ._sketch import DISTINCT, PIECE, Sketch, Source, Values

Array = npt.NDArray[Any]
Codes = npt.NDArray[np.uint64]

BITS = 64  # comparisons of a window
FAST = (np.dtype(np.float32), np.dtype(np.float64))  # in this machine's byte order
DENSE, EVERY = 1 << 16, 1 << 11  # values up to which windows stand every 64, and how far apart they are from there on
EVERY_BYTE = 1 << 8  # how far apart they are where values are of one byte, and rounding changes many
LIMIT = 1 << 20  # values of an array that are read
# Places at which a window is looked up in the beginning of an array: where some are long, where none is, the fewest.
STARTS, NEAR_STARTS, LEAST_STARTS = 1 << 11, 1 << 9, 1 << 6
TABLE = 1 << 21  # windows that are looked up, for each order of the axes
ROWS = 16  # arrays whose beginnings are taken together
TOGETHER = 1 << 16  # windows that are taken together
HASHED = 22  # bits of a table in which windows of both kinds must meet
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: Knuth, "Sorting and searching", 6.4
TURNED = 1 << 13  # arrays beyond which matrices are not looked at by columns
TRIED = 4  # stretches of two arrays that are compared
COMPARED = 1 << 10  # values
LEAST_RISES = 12  # of 64 draws 32 on average, with a deviation of 2.3


class Place(NamedTuple):
    """Where a stretch begins: an array, whether it is taken by columns, and how many values go before."""

    name: str
    turned: bool
    begin: int


@final
@dataclass(frozen=True)
class Later:
    """Two places at which the same draws begin, and how far they are known to go."""

    one: Place
    other: Place
    count: int
    correlation: float


class _Beginning(NamedTuple):
    name: str
    turned: bool
    values: Array


class _Windows(NamedTuple):
    number: int  # of the beginning of the same array
    codes: Codes
    dense: int  # windows that stand every 64 values
    every: int  # how far apart the others are

    def position(self, window: int) -> int:
        """Give the value at which a window begins."""
        return min(window, self.dense) * BITS + max(0, window - self.dense) * self.every


def find_later(source: Source, sketches: Mapping[str, Sketch], together: Mapping[str, int]) -> list[Later]:
    """Find pairs of weights that share a stretch of one stream, one pair for each weight.

    Parameters
    ----------
    source
        The arrays.
    sketches
        Those that may be weights.
    together
        A number for each weight that was found to begin as others do: these are not compared with each other.
    """
    # Imported late: they are what this module's results are judged with.
    from ._one_stream import correlation, is_same

    drawn = [sketch for sketch in sketches.values() if sketch.drawn and sketch.count >= 2 * BITS]
    if len(drawn) < 2:
        return []
    far = any(source.size(sketch.name) > DENSE for sketch in drawn)
    starts = min(STARTS if far else NEAR_STARTS, max(LEAST_STARTS, TABLE // len(drawn)))
    beginnings: list[_Beginning] = []
    read: list[_Windows] = []
    for sketch in drawn:
        try:
            found, codes = _read(source, sketch.name, max(starts + BITS, COMPARED), turned=len(drawn) <= TURNED)
        except source.errors:
            continue
        every = _every(source.arrays[sketch.name][1])
        read.append(_Windows(len(beginnings), codes, DENSE // BITS, every))
        beginnings += found
    # Of weights that begin alike the longest stands for all.
    longest: dict[int, str] = {}
    for name, number in sorted(together.items(), key=lambda item: -source.size(item[0])):
        longest.setdefault(number, name)
    pairs = _matches(beginnings, read, starts, together.keys() - set(longest.values()))
    result: list[Later] = []
    group: dict[str, object] = {**{sketch.name: sketch.name for sketch in drawn}, **together}
    for (first, second), places in pairs.items():
        names = beginnings[first].name, beginnings[second].name
        if group[names[0]] == group[names[1]]:
            continue
        for p, s in places[:TRIED]:
            try:
                shared = list(_compared(source, beginnings[first], p, beginnings[second], s, correlation))
            except source.errors:
                continue
            same = [each for each in shared if is_same(sketches[names[0]], sketches[names[1]], each.correlation)]
            if same:
                result.append(same[0])
                old, new = group[names[1]], group[names[0]]
                group = {name: new if number == old else number for name, number in group.items()}
                break
    return result


def _read(source: Source, name: str, count: int, *, turned: bool) -> tuple[list[_Beginning], Codes]:
    """Give the beginning of an array, and of a matrix by columns too; and the codes of its windows."""
    shape, dtype = source.arrays[name]
    every = _every(dtype)
    columns = shape[1] if turned and len(shape) == 2 and min(shape) > 1 else 0
    begin: list[Array] = []
    edge: list[Array] = []
    codes: list[Codes] = []
    carry, seen, have = np.empty(0, dtype), 0, 0  # values before `seen` are done with
    for piece in source.pieces(name, min(PIECE, LIMIT * dtype.itemsize)):
        if columns:
            edge.append(np.array(piece[:, : -(-count // shape[0])]))
        flat = piece.reshape(-1)[: LIMIT - have]
        if have < count:
            begin.append(np.array(flat[: count - have]))
        have += len(flat)
        while len(flat):
            # Only where two pieces meet are values copied.
            part = np.concatenate([carry, flat[:every]]) if len(carry) else flat
            done, found = _codes_from(part, seen, every)
            codes.append(found)
            seen += done
            if not len(carry) or len(flat) <= every:
                carry = np.array(part[done:])
                break
            flat = flat[done - len(carry) :]
            carry = flat[:0]
        if have >= LIMIT:
            break
    if seen >= DENSE and len(carry) > BITS:  # the last window stands before less than `every` values
        part = _numbers(carry[: BITS + 1])
        codes.append(_codes((part[1:] > part[:-1]).reshape(1, BITS)))
    found_ = [_Beginning(name, False, _numbers(np.concatenate(begin)))]
    if edge:
        rows = np.concatenate(edge)
        by_column = rows.T if len(rows) == shape[0] else rows[:, :1].T
        values = _numbers(by_column.reshape(-1)[:count])
        if len(values) >= 2 * BITS:
            found_.append(_Beginning(name, True, values))
    return found_, np.concatenate(codes) if codes else np.empty(0, np.uint64)


def _every(dtype: np.dtype[Any]) -> int:
    return EVERY_BYTE if dtype.itemsize == 1 else EVERY


def _codes_from(values: Array, seen: int, every: int) -> tuple[int, Codes]:
    """Give the codes of the windows in some values, of which `seen` go before, and how many values are done with."""
    found: list[Codes] = []
    done = 0
    if seen < DENSE:
        many = min((DENSE - seen) // BITS, max(0, len(values) - 1) // BITS)
        part = _numbers(values[: many * BITS + 1])
        if many:
            found.append(_codes((part[1:] > part[:-1]).reshape(many, BITS)))
        done = many * BITS
    if seen + done >= DENSE:
        rest = values[done:]
        many = len(rest) // every
        if many:
            part = _numbers(rest[: many * every].reshape(many, every)[:, : BITS + 1])
            found.append(_codes(part[:, 1:] > part[:, :-1]))
        done += many * every
    return done, np.concatenate(found) if found else np.empty(0, np.uint64)


def _numbers(values: Array) -> Array:
    """Give values as floats that are compared at once; of complex ones the real parts."""
    real = values.real if values.dtype.kind == "c" else values
    if real.dtype in FAST:
        return np.ascontiguousarray(real)
    with np.errstate(all="ignore"):
        return real.astype(np.float64)


def _codes(rises: npt.NDArray[np.bool_]) -> Codes:
    """Give the codes of windows, (windows, 64): the same for values times a factor."""
    return _canonical(np.packbits(rises, bitorder="little").view("<u8").astype(np.uint64))


def _rolling(rises: npt.NDArray[np.bool_], starts: int) -> Codes:
    """Give the codes of the windows at the first starts of each row, (rows, starts)."""
    codes: npt.NDArray[Any] = rises[:, : starts + BITS - 1].view(np.uint8)
    step = 1
    while step < BITS:  # each time twice as many comparisons, in words as wide as that takes
        wider = codes[:, step:].astype(f"u{max(1, step // 4)}")
        codes = codes[:, :-step] | np.left_shift(wider, step, out=wider)
        step *= 2
    return _canonical(codes)


def _canonical(codes: Codes) -> Codes:
    """Turn the codes of windows that begin with a rise around, so that values times -1 have the same; in place."""
    codes ^= np.uint64(0) - (codes & np.uint64(1))
    return codes


def _tells(codes: Codes) -> npt.NDArray[np.bool_]:
    """Say which windows have enough values that are larger, and enough that are smaller, than the one before."""
    count = np.bitwise_count(codes)
    return (count >= LEAST_RISES) & (count <= BITS - LEAST_RISES)


def _hash(codes: Codes) -> Codes:
    return (codes * MIX) >> np.uint64(64 - HASHED)


def _met(some: Iterable[Codes]) -> npt.NDArray[np.bool_]:
    """Mark, in a table by hash, the windows that there are."""
    met = np.zeros(1 << HASHED, np.bool_)
    for codes in some:
        met[_hash(codes)] = True
    return met


def _matches(
    beginnings: list[_Beginning], read: list[_Windows], starts: int, left_out: Set[str] = frozenset()
) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Give, for pairs of arrays, the places of windows that agree: {(one, other): [(in one, in other), ...]}.

    The beginnings of arrays that are `left_out` are not looked up.
    """
    every = list(read)
    for number, each in enumerate(beginnings):
        if each.turned:
            rises = each.values[1:] > each.values[:-1]
            codes = _codes(rises[: len(rises) // BITS * BITS].reshape(-1, BITS))
            every.append(_Windows(number, codes, len(codes), BITS))
    asked = [number for number, each in enumerate(beginnings) if each.name not in left_out]
    if not asked:
        return {}
    table, owner, begin = _looked_up(beginnings, asked, starts, _met(codes for _, codes in _in_groups(every)))
    met = _met([table])
    names = {name: at for at, name in enumerate(dict.fromkeys(each.name for each in beginnings))}
    same = np.array([names[each.name] for each in beginnings], np.intp)
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for some, codes in _in_groups(every):
        near = np.flatnonzero(met[_hash(codes)])
        near = near[_tells(codes[near])]
        low, high = (np.searchsorted(table, codes[near], side) for side in ("left", "right"))
        ends = np.cumsum([len(every[place].codes) for place in some])
        which = np.searchsorted(ends, near, "right")
        owns = np.array([every[each].number for each in some], np.intp)[which]
        at = np.repeat(np.arange(len(near)), high - low)
        found = np.arange(len(at)) + np.repeat(high - np.cumsum(high - low), high - low)
        other = same[owner[found]] != same[owns[at]]
        for window, match in zip(at[other].tolist(), found[other].tolist(), strict=True):
            kept = pairs.setdefault((int(owns[window]), int(owner[match])), [])
            if len(kept) < TRIED:
                windows = every[some[which[window]]]
                inside = int(near[window] - ends[which[window]]) + len(windows.codes)
                kept.append((windows.position(inside), int(begin[match])))
    return pairs


def _in_groups(every: list[_Windows]) -> Iterator[tuple[range, Codes]]:
    """Give the windows of several arrays at a time: their places in the list, and their codes end to end."""
    begin = size = 0
    for place, windows in enumerate(every):
        size += len(windows.codes)
        if size >= TOGETHER or place + 1 == len(every):
            yield range(begin, place + 1), np.concatenate([each.codes for each in every[begin : place + 1]])
            begin, size = place + 1, 0


def _looked_up(
    beginnings: list[_Beginning], asked: list[int], starts: int, met: npt.NDArray[np.bool_]
) -> tuple[Codes, Array, Array]:
    """Give windows at every start of some beginnings, where one like it may have been met: code, owner and start."""
    found: list[tuple[Codes, Array, Array]] = []
    for low in range(0, len(asked), ROWS):
        some = np.array(asked[low : low + ROWS])
        lengths = np.array([len(beginnings[number].values) - 1 for number in some.tolist()])
        rises = np.zeros((len(some), int(lengths.max())), np.bool_)
        for row, number in zip(rises, some.tolist(), strict=True):
            values = beginnings[number].values
            np.greater(values[1:], values[:-1], out=row[: len(values) - 1])
        codes = _rolling(rises, starts)
        inside = np.arange(codes.shape[1]) <= (lengths - BITS)[:, np.newaxis]
        rows, start = np.nonzero(met[_hash(codes)] & inside)
        near = codes[rows, start]
        kept = _tells(near)
        found.append((near[kept], some[rows[kept]], start[kept]))
    table, owner, begin = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.argsort(table, kind="stable")
    return table[order], owner[order], begin[order]


def _compared(
    source: Source, one: _Beginning, p: int, other: _Beginning, s: int, measure: Callable[[Values, Values], float]
) -> Iterator[Later]:
    """Compare what follows two places, from the beginning of one of the arrays on, and from where they were met."""
    back = min(p, s)
    for begin, from_ in dict.fromkeys([(p - back, s - back), (p, s)]):
        mine, yours = _stretch(source, one, begin), _stretch(source, other, from_)
        count = min(len(mine), len(yours))
        mine, yours = mine[:count], yours[:count]
        finite = bool(np.isfinite(mine).all() and np.isfinite(yours).all())
        if finite and min(len(np.unique(mine)), len(np.unique(yours))) >= DISTINCT:
            places = Place(one.name, one.turned, begin), Place(other.name, other.turned, from_)
            yield Later(*places, count, float(measure(mine, yours)))


def _stretch(source: Source, of: _Beginning, begin: int) -> Values:
    """Read some values from a place on."""
    if of.turned or begin + COMPARED <= len(of.values):
        return of.values[begin : begin + COMPARED].astype(np.float64)
    parts: list[Array] = []
    for low, flat in _flats(source, of.name):
        parts.append(_numbers(flat[max(0, begin - low) : begin + COMPARED - low]).astype(np.float64))
        if low + len(flat) >= begin + COMPARED:
            break
    return np.concatenate(parts)


def _flats(source: Source, name: str) -> Iterator[tuple[int, Array]]:
    low = 0
    for piece in source.pieces(name, PIECE):
        flat = piece.reshape(-1)
        yield low, flat
        low += len(flat)
