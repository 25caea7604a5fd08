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
from typing import final

from symbreak.checkpoints.wiring._factors import (
    Axis,
    NotUnderstood,
    Part,
    Spoken,
    Value,
    Var,
    expand,
    find,
    has_units,
    inside,
    is_under,
    length,
    rows,
)
from symbreak.checkpoints.wiring._patterns import LONGEST
from symbreak.checkpoints.wiring._speaker import Speaker
from symbreak.checkpoints.wiring._spec import WEIGHT, Wiring

LARGEST_CUT = 4096  # pieces of one axis
PARTED = "heads that share keys and values are parted"


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
        self.said: list[Spoken] = []
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
        self.said.append(Spoken(tensor, tuple(parts), kind, norm))

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
        for var in inside(axis):
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
        """Find two factors to be the same; neither is split, as what is split stands for its product."""
        a, b = find(a), find(b)
        if a is b:
            return
        if a.family is not None or b.family is not None or a.members or b.members:
            raise NotUnderstood("parts of an axis are taken both together and apart")
        if a.pieces and b.pieces:
            self._align(a, b)
        groups = [each.groups for each in (a, b) if each.groups is not None]
        if groups and (a.pieces or b.pieces):
            raise NotUnderstood(PARTED)
        if b.pieces or (b.units and not a.units) or (a.size is None and b.size is not None):
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
            within = [top for top, row in rows(var) if gone & set(row[: row.index(var)])]
            var.owners = [owner for owner in var.owners if not any(is_under(owner, top) for top in within)]

    def _again(self, factors: list[Var], wanted: int, *, last: bool) -> Var:
        """Take positions of which a length is not that of factors: they are told apart by where they are anyway."""
        size = 1
        while size % wanted:
            var = find(factors.pop(-1 if last else 0)) if factors else None
            if var is None or var.size is None or var.units:
                raise NotUnderstood(f"an axis of {size if var is None else var.size} is reshaped to {wanted}")
            size *= var.size
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
                Speaker(self, said).speak(wiring)
            except NotUnderstood as fault:
                self.doubt(said.tensor, f"the units that it reads or writes are told apart: {fault}")
                self._tell_all(said, str(fault))
                with suppress(NotUnderstood):
                    Speaker(self, said, flat=True).speak(wiring)
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

    def _tell_all(self, said: Spoken, reason: str) -> None:
        for var in self.vars_of(said):
            self._tell_apart(var, reason)

    def vars_of(self, said: Spoken) -> list[Var]:
        """List the factors that an array runs over."""
        each_part = (each for part in said.parts for each in (part, *part.by))
        return [var for part in each_part for _, axis in part.terms if isinstance(axis, tuple) for var in inside(axis)]

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
