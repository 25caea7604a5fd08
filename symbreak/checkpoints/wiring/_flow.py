"""Units followed through a computation: each axis of a value is a product of spaces of units and of positions.

An operation is understood if renumbering the units of its inputs renumbers those of its outputs in a way that is known:
what is added unit by unit shares one space, what is reshaped into heads is a space of heads and one of units, and what
is laid end to end is cut where the pieces meet. So the arrays that a computation reads get their wiring from what it
does, and from no name. What isn't understood tells the units that it touches apart.
"""

import math
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import final

from symbreak.checkpoints.wiring._patterns import LONGEST
from symbreak.checkpoints.wiring._spec import MIXING, WEIGHT, Statement, Wiring
from symbreak.checkpoints.wiring._terms import Axes, Cut, Factors, Term

LARGEST_CUT = 4096  # pieces of one axis
PARTED = "heads that share keys and values are parted"


class NotUnderstood(Exception):  # noqa: N818 - says what the matter is
    """Something that units can't be followed through, with the reason."""


@final
@dataclass(eq=False)
class Var:
    """One factor of an axis: the units of a space, or positions.

    Parameters
    ----------
    size
        How many; None where nothing says it, as of a batch.
    units
        Whether they are units; else positions, which are told apart by where they are.
    name
        What it would be called.
    """

    size: int | None
    units: bool = False
    name: str = ""
    same: "Var | None" = None  # what it was found to be
    product: "tuple[Var, ...]" = ()  # what it was split into, the slowest first
    pieces: "tuple[Axis, ...]" = ()  # what it was cut into, end to end
    owners: "list[Var]" = field(default_factory=list)  # what was split into this and others
    members: "tuple[tuple[Var, ...], ...]" = ()  # of an axis whose indices were taken apart: what each of them has
    family: "tuple[Var, int] | None" = None  # such an axis, and the place among what its members have
    readings: dict[tuple[str, ...], None] = field(default_factory=dict)  # activations that readers see it through
    apart: str = ""
    input: bool = False
    output: bool = False
    groups: "Var | None" = None  # the key and value heads that these heads share
    copies: bool = False  # whether they are positions at which a value is the same
    stack: "Var | None" = None  # the stacked copies, one of which writes these units for each position


Axis = tuple[Var, ...]  # the slowest factor first; none for an axis of length 1


@final
@dataclass(frozen=True)
class Value:
    """What is known of a value: the factors of each of its axes, and the functions that its units passed through."""

    axes: tuple[Axis, ...]
    passed: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Part:
    """What is said of one axis of an array: roles and the factors that they run over, the slowest first."""

    terms: tuple[tuple[str, Axis | int], ...]
    by: "tuple[Part, ...]" = ()  # what it is for each piece of an axis that is cut, instead
    whole: bool = True  # whether that axis is another one


ONE = Part((("one", 1),))
FIELD = Part((("receptive", 0),))


def out(axis: Axis) -> Part:
    """Say that an array writes to the units of an axis."""
    return Part((("out", axis),))


def read(axis: Axis) -> Part:
    """Say that an array reads the units of an axis."""
    return Part((("in", axis),))


@final
@dataclass(frozen=True)
class _Said:
    tensor: str
    parts: tuple[Part, ...]
    kind: str
    norm: str | None = None


def find(var: Var) -> Var:
    """Give what a factor was found to be."""
    while var.same is not None:
        var = var.same
    return var


def expand(axis: Iterable[Var]) -> Axis:
    """Give the factors of an axis as they are split by now."""
    found: list[Var] = []
    for each in axis:
        var = find(each)
        found += expand(var.product) if var.product else [var]
    return tuple(found)


def length(axis: Axis) -> int | None:
    """Give the length of an axis, None where nothing says it."""
    sizes = [var.size for var in expand(axis)]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def rows(var: Var) -> list[tuple[Var, Axis]]:
    """List the axes that were split into this factor and others: each with all that it was split into."""
    found, open_ = [], list(var.owners)
    while open_:
        owner = open_.pop()
        above = find(owner).owners
        if above:
            open_ += above
        else:
            row = expand((owner,))
            found += [(find(owner), row)] if var in row else []
    return found[::-1]


def _inside(axis: Axis) -> list[Var]:
    """List the factors of an axis, and those of its pieces and of what its indices have."""
    found: list[Var] = []
    for var in expand(axis):
        inner = [*var.pieces, *var.members]
        found += [var, *(each for some in inner for each in _inside(some))]
    return found


def _under(owner: Var, top: Var) -> bool:
    """Whether a factor is what was split, or was split from it."""
    return find(owner) is find(top) or any(_under(each, top) for each in find(owner).owners)


def has_units(axis: Axis) -> bool:
    """Whether an axis runs over units, be it beside positions."""
    return any(var.units for var in expand(axis))


@final
class Flow:
    """Statements on the arrays that a computation reads, as they are found on the way.

    Parameters
    ----------
    rule
        On what evidence.
    """

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.said: list[_Said] = []
        self.ignored: dict[str, str] = {}
        self.doubts: dict[str, str] = {}
        self.names: dict[Var, str] = {}
        self.faults: set[str] = set()

    def var(self, size: int | None, *, units: bool = False, name: str = "") -> Var:
        """Make a factor that nothing is known of."""
        return Var(size, units, name)

    def space(self, size: int, name: str) -> Axis:
        """Make an axis over a space of its own."""
        return (self.var(size, units=True, name=name),)

    def call(self, axis: Axis, name: str) -> None:
        """Give the units of an axis the name of their layer, where they have none yet."""
        row = expand(axis)
        if len(row) == 1 and not row[0].readings and re.fullmatch(r".+_[0-9]+", row[0].name):
            row[0].name = name

    def say(self, tensor: str, parts: Sequence[Part], kind: str = WEIGHT, norm: str | None = None) -> None:
        """Say what the axes of an array are, and which norm it is of."""
        self.said.append(_Said(tensor, tuple(parts), kind, norm))

    def ignore(self, tensor: str, reason: str) -> None:
        """Say that an array belongs to no units."""
        self.ignored[tensor] = reason

    def doubt(self, tensor: str, reason: str) -> None:
        """Say why nothing certain is known of an array."""
        self.doubts.setdefault(tensor, reason)

    def units_of(self, axis: Axis) -> Axis:
        """Give an axis as one over units: positions that are summed over are an input's, and so told apart."""
        factors = expand(axis)
        if any(var.units for var in factors):
            return factors
        if len(factors) == 1:
            found = factors[0]
        else:
            found = self.var(length(axis))
            if not factors:
                found.units = found.input = True
                return (found,)
            for var in factors:
                self._tell_apart(var, "they are positions")
        found.units = found.input = True
        return (found,)

    def consume(self, value: Value, number: int) -> Axis:
        """Give an axis that a weight reads, and note through which functions it sees the units."""
        axis = self.units_of(value.axes[number])
        for var in _inside(axis):
            if var.units:
                var.readings[value.passed] = None
        return axis

    def tell_apart(self, values: Iterable[object], reason: str, *, fault: bool = False) -> None:
        """Tell the units of values apart; where that is for a `fault`, the arrays that run over them aren't known."""
        self.faults |= {reason} if fault else set()
        for value in values:
            for axis in value.axes if isinstance(value, Value) else ():
                for var in expand(axis):
                    self._tell_apart(var, reason)

    def show(self, axis: Axis) -> None:
        """Note that the world outside sees the units of an axis."""
        for var in expand(axis):
            for piece in var.pieces:
                self.show(piece)
            if var.owners or var.members:
                self._tell_apart(var, "the model gives them out")
            var.output = True

    def _tell_apart(self, var: Var, reason: str) -> None:
        var = find(var)
        var.apart = var.apart or reason
        inner = [*var.product, *(each for axis in var.pieces for each in axis)]
        inner += [each for some in var.members for each in some]
        if var.family is not None:
            inner += [some[var.family[1]] for some in var.family[0].members]
        for each in inner:
            if not find(each).apart:
                self._tell_apart(each, reason)

    def unify(self, one: Axis, other: Axis) -> Axis:
        """Find two axes to be the same: what is summed unit by unit, say.

        Raises
        ------
        NotUnderstood
            They can't be.
        """
        left, right = list(expand(one)), list(expand(other))
        while left and right:
            a, b = find(left[0]), find(right[0])
            if a.product or b.product:
                left, right = list(expand(left)), list(expand(right))
            elif a is b or a.size == b.size or a.size is None or b.size is None:
                self._join(a, b)
                left, right = left[1:], right[1:]
            elif a.size == 1:
                left = left[1:]
            elif b.size == 1:
                right = right[1:]
            elif a.size > b.size:
                left = [*self.split(a, b.size), *left[1:]]
            else:
                right = [*self.split(b, a.size), *right[1:]]
        if any(find(var).size != 1 for var in (*left, *right)):
            raise NotUnderstood(f"axes of lengths {length(one)} and {length(other)} meet")
        return expand(one)

    def _join(self, a: Var, b: Var) -> None:
        a, b = find(a), find(b)
        if a is b:
            return
        if a.family is not None or b.family is not None or a.members or b.members:
            raise NotUnderstood("parts of an axis are taken both together and apart")
        if a.pieces and b.pieces:
            self._align(a, b)
        elif a.product and b.product:
            self.unify(a.product, b.product)
        elif (a.pieces and b.product) or (b.pieces and a.product):
            raise NotUnderstood("an axis is both cut and split")
        groups = [each.groups for each in (a, b) if each.groups is not None]
        if groups and (a.product or b.product or a.pieces or b.pieces):
            raise NotUnderstood(PARTED)
        if b.pieces or b.product or (b.units and not a.units) or (a.size is None and b.size is not None):
            a, b = b, a
        told = a.units != b.units
        b.same = a
        a.units = a.units or b.units
        a.size = b.size if a.size is None else a.size
        a.name, a.apart, a.owners = a.name or b.name, a.apart or b.apart, a.owners + b.owners
        a.input, a.output, a.groups = a.input or b.input, a.output or b.output, a.groups or b.groups
        a.copies = a.copies and b.copies
        a.readings |= b.readings
        if len(groups) == 2:
            self.unify((groups[0],), (groups[1],))
        if a.stack is not None and b.stack is not None:
            self._join(a.stack, b.stack)
        a.stack = a.stack or b.stack
        if told:
            self._tell_apart(a, "they are added to positions")
        elif a.apart:
            reason, a.apart = a.apart, ""
            self._tell_apart(a, reason)

    def _align(self, a: Var, b: Var) -> None:
        """Cut two axes where either is cut, and find the pieces to be the same."""
        ends = [sorted(self._ends(var)) for var in (a, b)]
        both = sorted({*ends[0], *ends[1]})
        for var in (a, b):
            self.cut(var, both)
        for first, second in zip(a.pieces, b.pieces, strict=True):
            self.unify(first, second)

    def _ends(self, var: Var) -> list[int]:
        found, at = [], 0
        for piece in var.pieces:
            size = length(piece)
            if size is None:
                raise NotUnderstood("the length of a piece isn't known")
            at += size
            found.append(at)
        return found

    def split(self, var: Var, first: int) -> tuple[Var, Var]:
        """Split a factor into two, `first` being the size of the slower."""
        var = find(var)
        if var.size is None or var.pieces or var.members or var.family or var.size % first:
            raise NotUnderstood(f"an axis of {var.size} is split into {first} and others")
        if var.groups is not None:
            raise NotUnderstood(PARTED)
        slow = Var(first, var.units, f"{var.name}.heads", owners=[var], apart=var.apart)
        fast = Var(var.size // first, var.units, f"{var.name}.units", owners=[var], apart=var.apart)
        slow.copies = fast.copies = var.copies
        slow.input, slow.output = fast.input, fast.output = var.input, var.output
        if var.units:
            slow.readings, fast.readings = dict(var.readings), dict(var.readings)
            if var.input or var.output:  # inner spaces are seen with their heads alone
                for each in (slow, fast):
                    each.apart = each.apart or "they are seen outside"
        var.product = (slow, fast)
        return slow, fast

    def cut(self, var: Var, ends: Sequence[int]) -> None:
        """Cut a factor into pieces that end at these places."""
        var = find(var)
        if len(ends) > LARGEST_CUT:
            raise NotUnderstood(f"an axis is cut into {len(ends)}")
        if var.groups is not None and len(ends) > 1:
            raise NotUnderstood(PARTED)
        if not var.pieces:
            if var.product:
                raise NotUnderstood("an axis is both cut and split")
            var.pieces = (self._like(var, var.size, var.name),)
        pieces: list[Axis] = []
        begin = 0
        for piece in var.pieces:
            size = length(piece)
            if size is None:
                raise NotUnderstood("the length of a piece isn't known")
            inner = [end for end in ends if begin < end < begin + size]
            if not inner:
                pieces.append(piece)
            elif len(piece) == 1 and not find(piece[0]).product:
                whole, at = find(piece[0]), begin
                if whole.pieces:
                    self.cut(whole, [end - begin for end in inner])
                else:
                    some = []
                    for number, end in enumerate([*inner, begin + size]):
                        some.append(self._like(whole, end - at, f"{whole.name}.{number}"))
                        at = end
                    for top, row in rows(whole):  # pieces of a head's units are that head's
                        for each in some:
                            self._nest((*row[: row.index(whole)], *each), top.name)
                    whole.pieces = tuple(some)
                pieces += whole.pieces
            else:
                raise NotUnderstood("an axis of heads is cut within them")
            begin += size
        var.pieces = tuple(pieces)

    def _like(self, var: Var, size: int | None, name: str) -> Axis:
        made = self.var(size, units=var.units, name=name)
        made.apart, made.input, made.output = var.apart, var.input, var.output
        made.readings, made.stack = dict(var.readings), var.stack
        return (made,)

    def pieces(self, axis: Axis, sizes: Sequence[int]) -> list[Axis]:
        """Cut an axis into pieces of these lengths, end to end."""
        factors = [var for var in expand(axis) if var.size != 1 or len(expand(axis)) == 1]
        if len(factors) != 1 or (factors[0].size not in (None, sum(sizes))):
            raise NotUnderstood(f"an axis of {length(axis)} is cut into {list(sizes)}")
        var = factors[0]
        if not var.units:
            return [(self.var(size),) for size in sizes]
        ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
        self.cut(var, ends)
        found: list[Axis] = []
        begin, at = 0, 0
        for end in ends:
            some: list[Axis] = []
            while begin < end:
                some.append(var.pieces[at])
                begin += length(var.pieces[at]) or 0
                at += 1
            found.append(some[0] if len(some) == 1 else self.joined(some))
        return found

    def joined(self, axes: Sequence[Axis]) -> Axis:
        """Lay axes end to end."""
        sizes = [length(axis) for axis in axes]
        total = None if None in sizes else sum(size for size in sizes if size is not None)
        if not any(has_units(axis) for axis in axes):
            return (self.var(total),)
        made = self.var(total, units=True)
        for axis in map(self.units_of, axes):
            made.pieces += axis[0].pieces if len(axis) == 1 and axis[0].pieces else (axis,)
        if len(made.pieces) > LARGEST_CUT:
            raise NotUnderstood(f"{len(made.pieces)} pieces are laid end to end")
        return (made,)

    def member(self, value: Value, number: int, index: int) -> Value:
        """Take one index of an axis of a value: what is beside it there are units of their own."""
        factors = expand(value.axes[number])
        rest = value.axes[:number] + value.axes[number + 1 :]
        if not any(var.units for var in factors):
            return Value(rest, value.passed)
        if len(factors) != 1:
            raise NotUnderstood("one index of an axis over several spaces is taken")
        var = factors[0]
        top, row = next(iter(rows(var)), (var, ()))
        after = row[row.index(var) + 1 :] if var in row else ()
        if any(each.groups is not None for each in (var, *after)):
            raise NotUnderstood(PARTED)
        if not after or var.size is None or not -var.size <= index < var.size:
            raise NotUnderstood("units are taken by their number")
        if not var.members:
            if any(each.family or each.pieces or each.members for each in after):
                raise NotUnderstood("parts of an axis are taken both together and apart")
            ends = (".heads", ".units") if len(after) == 2 else ("",) * len(after)
            var.members = tuple(
                tuple(
                    self._like(each, each.size, f"{top.name}.{place}{end}")[0]
                    for each, end in zip(after, ends, strict=True)
                )
                for place in range(var.size)
            )
            for place, each in enumerate(after):
                each.family = (var, place)
            for some in var.members:
                self._nest(some, top.name)
        place = index % var.size

        def own(each: Var) -> Var:
            each = find(each)
            return var.members[place][each.family[1]] if each.family and each.family[0] is var else each

        return Value(tuple(tuple(own(each) for each in expand(axis)) for axis in rest), value.passed)

    def _nest(self, some: tuple[Var, ...], name: str) -> None:
        """Say that factors are those of one axis: heads, and their units."""
        if len(some) > 1:
            whole = self.var(math.prod(each.size or 1 for each in some), units=True, name=name)
            whole.product = some
            for each in some:
                each.owners = [*each.owners, whole]

    def reshape(self, value: Value, lengths: Sequence[int | Var | None]) -> Value:
        """Give the axes of a value other lengths: one may be -1, and a batch stands for its own length."""
        wanted: list[int | Var] = [-1 if each is None else each for each in lengths]
        if wanted.count(-1) > 1:
            raise NotUnderstood("more than one new length isn't known")
        factors = [var for axis in value.axes for var in expand(axis) if var.size != 1]
        made: list[Axis] = [()] * len(wanted)
        free = wanted.index(-1) if -1 in wanted else len(wanted)
        for number in range(free):
            made[number] = self._take(factors, wanted[number], last=False)
        for number in range(len(wanted) - 1, free, -1):
            made[number] = self._take(factors, wanted[number], last=True)
        if free < len(wanted):
            made[free] = tuple(factors)
        elif any(var.size != 1 for var in factors):
            raise NotUnderstood("the lengths of a reshape don't meet")
        return Value(self._repeated(made), value.passed)

    def _repeated(self, axes: Sequence[Axis]) -> tuple[Axis, ...]:
        """Take groups of heads, and the copies of each behind them, for heads that share what the group has."""
        found: list[Axis] = []
        heads: dict[Var, Var] = {}
        for axis in axes:
            row: list[Var] = []
            for var in expand(axis):
                if var.copies and var.size and row and row[-1].units and row[-1].size and row[-1].groups is None:
                    group = row.pop()
                    total = (group.size or 0) * var.size
                    row.append(self.var(total, units=True, name=f"{group.name}.repeated"))
                    row[-1].groups, heads[group] = group, row[-1]
                else:
                    row.append(var)
            found.append(tuple(row))
        for var in [var for axis in found for var in axis] if heads else []:
            for top, (first, *others) in rows(var):
                if others == [var] and first in heads:
                    self._nest((heads[first], var), f"{top.name}.repeated")
        return tuple(found)

    def _take(self, factors: list[Var], wanted: int | Var, *, last: bool) -> Axis:
        """Take the factors of one length away from an end of a row."""
        at = -1 if last else 0
        if isinstance(wanted, Var):
            if not factors or find(factors[at]) is not find(wanted):
                raise NotUnderstood("a length that isn't known is used where it doesn't belong")
            return (factors.pop(at),)
        found: list[Var] = []
        while wanted != 1:
            size = find(factors[at]).size if factors else None
            if size is None:
                raise NotUnderstood("a batch is reshaped together with units")
            if wanted % size == 0:
                found.insert(0 if last else len(found), find(factors.pop(at)))
                wanted //= size
            elif size % wanted == 0:
                slow, fast = self.split(factors.pop(at), size // wanted if last else wanted)
                factors.insert(len(factors) if last else 0, slow if last else fast)
                found.insert(0 if last else len(found), fast if last else slow)
                wanted = 1
            else:
                found.insert(0 if last else len(found), self._again(factors, wanted, last=last))
                wanted = 1
        return tuple(found)

    def release(self, heads: Axis, axes: Iterable[Axis]) -> None:
        """Note that what heads have is summed over them: its units are no longer those of each head alone."""
        gone = {var for var in expand(heads) if var.units}
        for var in (var for axis in axes for var in expand(axis)) if gone else ():
            var.owners = [
                owner
                for owner in var.owners
                if not any(gone & set(row) for top, row in rows(var) if _under(owner, top))
            ]

    def _again(self, factors: list[Var], wanted: int, *, last: bool) -> Var:
        """Take positions of which a length is not that of factors: they are told apart by where they are anyway."""
        size = 1
        while size % wanted:
            var = find(factors.pop(-1 if last else 0)) if factors else None
            if var is None or var.size is None or var.units:
                raise NotUnderstood(f"an axis of {size if var is None else var.size} is reshaped to {wanted}")
            size *= var.size
        if size > wanted:
            factors.insert(len(factors) if last else 0, self.var(size // wanted))
        return self.var(wanted)

    def shared(self) -> list[str]:
        """List the arrays that are parameters of the units of several spaces."""
        found: dict[str, set[frozenset[Var]]] = {}
        for said in self.said:
            if said.kind != WEIGHT:
                last = (var for var in self.vars_of(said) if not var.pieces)  # one axis may be cut again and again
                found.setdefault(said.tensor, set()).add(frozenset(last))
        return [tensor for tensor, spaces in found.items() if len(spaces) > 1]

    def part(self, tensor: str, reason: str) -> None:
        """Tell apart the units of an array."""
        for said in self.said:
            if said.tensor == tensor:
                self.tell_apart([Value((tuple(self.vars_of(said)),))], reason)

    def wiring(self) -> Wiring:
        """Give the statements, once everything was followed."""
        wiring = Wiring(self.rule, plain=True)
        for said in self.said:
            if re.search(r"[{}*]", said.tensor) or len(said.tensor) > LONGEST:
                self.doubt(said.tensor, "its name would be read as a pattern")
                self._tell_all(said, "a tensor that reads or writes them can't be named")
                continue
            try:
                _Speaker(self, said).speak(wiring)
            except NotUnderstood as fault:
                self.doubt(said.tensor, f"the units that it reads or writes are told apart: {fault}")
                self._tell_all(said, str(fault))
                with suppress(NotUnderstood):
                    _Speaker(self, said, flat=True).speak(wiring)
        for said in self.said:
            for reason in {var.apart for var in self.vars_of(said)} & self.faults:
                self.doubt(said.tensor, reason)
        for var, name in self.names.items():
            root = find(var)
            readings = dict.fromkeys(", ".join(passed) or "identity" for passed in root.readings)
            groups = self.names.get(find(root.groups), "") if root.groups is not None else ""
            if root.groups is not None and not groups:
                self._tell_apart(root, "what they share isn't known")
            activation = " or ".join(readings)
            wiring.space(
                name,
                units=root.size,
                activation=activation if activation and len(activation) <= 200 else "identity",
                apart="" if root.input or root.output else root.apart,
                input=root.input,
                output=root.output,
                groups=groups,
            )
        for tensor, reason in self.ignored.items():
            if not re.search(r"[{}*]", tensor):
                wiring.ignore(tensor, reason)
        for tensor, reason in self.doubts.items():
            if not re.search(r"[{}*]", tensor):
                wiring.doubt(tensor, reason)
        return wiring

    def _tell_all(self, said: _Said, reason: str) -> None:
        for var in self.vars_of(said):
            self._tell_apart(var, reason)

    def vars_of(self, said: _Said) -> list[Var]:
        """List the factors that an array runs over."""
        each_part = (each for part in said.parts for each in (part, *part.by))
        return [var for part in each_part for _, axis in part.terms if isinstance(axis, tuple) for var in _inside(axis)]

    def called(self, var: Var) -> str:
        """Give the name of the space of a factor."""
        if var not in self.names:
            stem = re.sub(r"[{}*\s]", "_", var.name)[: LONGEST // 2] or "units"
            name, number, taken = stem, 1, set(self.names.values())
            while name in taken:
                number += 1
                name = f"{stem}.{number}"
            self.names[var] = name
        return self.names[var]


@final
class _Speaker:
    """One array: what is said of it in the terms of a wiring."""

    def __init__(self, flow: Flow, said: _Said, *, flat: bool = False) -> None:
        self.flow, self.said, self.flat = flow, said, flat
        self.over: dict[str, None] = {}
        self.units: list[Var] = []

    def speak(self, wiring: Wiring) -> None:
        self.units = [var for var in self.flow.vars_of(self.said) if var.units]
        axes: Axes = tuple(self.axis(part) for part in self.said.parts)
        cut = [each for factors in axes for each in factors if isinstance(each, Cut) and not each.whole]
        if len(cut) > 1:
            raise NotUnderstood("two of its axes are cut into pieces")
        named = {term.space for factors in axes for term in _terms(factors)}
        over = tuple(name for name in self.over if name not in named)
        if over and (self.said.kind == WEIGHT or len(over) > 1):
            raise NotUnderstood("all heads share it")
        for spoken in _each_part(axes):
            roles = [term.role for term in spoken]
            if (self.said.kind == WEIGHT) != ("in" in roles) or "out" not in roles:
                raise NotUnderstood("it doesn't write to units that are known")
            spaces = [term.space for term in spoken if term.space and term.role != "in"]
            if len(set(spaces)) < len(spaces) or (self.said.kind != WEIGHT and roles.count("out") != 1):
                raise NotUnderstood("it runs over one space, or the heads of one, twice")
        cuts = any(isinstance(each, Cut) for factors in axes for each in factors)
        norm = None if cuts and self.said.norm in MIXING else self.said.norm  # its mean is over several spaces
        heads = tuple((Term("head", name),) for name in over)
        statement = Statement(self.said.tensor, axes, self.said.kind, heads, norm)
        for number, each in enumerate(wiring.statements):
            if (each.pattern, each.axes, each.over) == (statement.pattern, axes, heads):
                # equal parameters of several norms are often one array of a file
                wiring.statements[number] = each if each.norm == norm else replace(each, norm=None)
                return
        wiring.statements.append(statement)

    def axis(self, part: Part) -> Factors:
        if part.by:
            return (Cut(tuple((str(i), self.axis(each)) for i, each in enumerate(part.by)), part.whole),)
        found: list[Term | Cut] = []
        for role, what in part.terms:
            if isinstance(what, int):
                found.append(Term(role, size=what))
            else:
                found += self.factors(role, expand(what))
        return tuple(found) or (Term("one", size=1),)

    def factors(self, role: str, row: Axis) -> list[Term | Cut]:
        """Give the terms of factors: the last of one owner has the role, and those before it are heads."""
        found: list[Term | Cut] = []
        units = [var for var in row if var.units]
        whole = next((top for var in row for top, all_ in rows(var) if all_ == row), None)
        if self.flat and len(units) > 1 and whole is not None:  # told apart one by one, so that heads don't matter
            self.flow.tell_apart([Value((row, (whole,)))], units[0].apart)
            whole.apart = whole.apart or units[0].apart
            return [Term(role, self.flow.called(whole))]
        for number, var in enumerate(row):
            if var.members:
                rest = row[number + 1 :]
                if [find(each).family for each in rest] != [(var, place) for place in range(len(rest))]:
                    raise NotUnderstood("parts of an axis are taken both together and apart")
                pieces = [(str(i), self.factors(role, expand(some))) for i, some in enumerate(var.members)]
                return [*found, Cut(tuple((name, tuple(inner)) for name, inner in pieces))]
            if var.family is not None:
                raise NotUnderstood("parts of an axis are taken both together and apart")
            if not var.units and found and isinstance(found[-1], Term) and found[-1].role == "receptive":
                found[-1] = Term("receptive", size=found[-1].size * (var.size or 0))
            elif not var.units:
                found.append(Term("receptive", size=var.size or 0))
            elif var.pieces and (unit := _same(var)) is not None:
                found += [
                    Term("gate", size=len(var.pieces)),
                    Term(self.role(role, unit, [unit]), self.flow.called(unit)),
                ]
            elif var.pieces:
                found.append(Cut(tuple(self.pieces(role, var))))
            else:
                found.append(Term(self.role(role, var, units), self.flow.called(var)))
        return found

    def pieces(self, role: str, var: Var, before: str = "") -> list[tuple[str, Factors]]:
        found: list[tuple[str, Factors]] = []
        for number, axis in enumerate(var.pieces):
            row = expand(axis)
            if len(row) == 1 and row[0].pieces:
                found += self.pieces(role, row[0], f"{before}{number}.")
                continue
            inner = tuple(self.factors(role, row))
            if len(inner) == 1 and isinstance(inner[0], Cut):
                found += [(f"{before}{number}.{name}", factors) for name, factors in inner[0].parts]
                continue
            if any(isinstance(each, Cut) for each in inner):
                raise NotUnderstood("a piece of an axis is cut again")
            if any(isinstance(each, Term) and each.role == "receptive" and not each.size for each in inner):
                raise NotUnderstood("the number of its positions isn't known")
            found.append((f"{before}{number}", inner))
        return found

    def role(self, role: str, var: Var, units: list[Var]) -> str:
        """Give the role of a factor beside the other units of its axis, and note what heads it stands in."""
        if role == "stack":
            return role
        if any(each is not var and var in self.heads(each) for each in self.units):
            return "head"
        heads = self.heads(var)
        if len(heads) > 1 or any(each is not var and each not in heads for each in units):
            raise NotUnderstood("an axis runs over units of more spaces than heads and one of theirs")
        self.over |= {self.flow.called(each): None for each in heads}
        return role

    def heads(self, var: Var) -> list[Var]:
        """List the heads that the units stand in, those that the array has where they stand in several."""
        found = [[each for each in row[: row.index(var)] if each.units] for _, row in rows(var)]
        here = [some for some in found if all(each in self.units for each in some)]
        return (here or found or [[]])[0]


def _same(var: Var) -> Var | None:
    """Give the units that each piece of an axis runs over, as those of gates do; None if they differ."""
    rows_ = [expand(piece) for piece in var.pieces]
    first = rows_[0][0] if rows_[0] else None
    if len(rows_) < 2 or first is None or first.pieces or first.members or not first.units:
        return None
    return first if all(row == (first,) for row in rows_) else None


def _terms(factors: Factors) -> list[Term]:
    return [
        term
        for each in factors
        for term in ([each] if isinstance(each, Term) else [t for _, inner in each.parts for t in _terms(inner)])
    ]


def _each_part(axes: Axes) -> list[list[Term]]:
    """Give the terms of each part of an array, of the whole where no axis is cut."""
    count = max((len(each.parts) for factors in axes for each in factors if isinstance(each, Cut)), default=1)
    found: list[list[Term]] = [[] for _ in range(count)]
    for factors in axes:
        for each in factors:
            for number, terms in enumerate(found):
                terms += [each] if isinstance(each, Term) else _terms(each.parts[number][1])
    return found
