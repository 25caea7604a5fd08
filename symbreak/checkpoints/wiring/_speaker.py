"""What was found of the axes of an array, said in the terms of a wiring: spaces, and the heads that they stand in."""

from dataclasses import replace
from typing import TYPE_CHECKING, final

from symbreak.checkpoints.wiring._factors import Axis, NotUnderstood, Part, Spoken, Value, Var, expand, find, rows
from symbreak.checkpoints.wiring._spec import MIXING, WEIGHT, Statement, Wiring
from symbreak.checkpoints.wiring._terms import Axes, Cut, Factors, Term

if TYPE_CHECKING:
    from symbreak.checkpoints.wiring._flow import Flow


@final
class Speaker:
    """One array: what is said of it in the terms of a wiring."""

    def __init__(self, flow: "Flow", said: Spoken, *, flat: bool = False) -> None:
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
