"""From what is said of tensors to the graph: patterns are filled in, sizes found, axes split into views.

Rules may say more than a file holds, and what doesn't meet is reported and left out. A user's file may not: there the
same is an error.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import prod
from typing import Any, NamedTuple, final

import numpy as np

from symbreak._visible import quoted
from symbreak.checkpoints.wiring._helpers import LENGTHS, MADE, helper_statements, labels, lengths
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._patterns import fill, match, matches, placeholders
from symbreak.checkpoints.wiring._sizes import Sizes, Unsolved
from symbreak.checkpoints.wiring._spec import WEIGHT, SpaceSpec, Wiring
from symbreak.checkpoints.wiring._terms import Axes, Cut, Factors, Term, parts, terms
from symbreak.graph import OF_NORMS, Axis, LayerGraph, PerUnit, Space, Weight

Array = np.ndarray[Any, np.dtype[Any]]

COUNTERS = ("num_batches_tracked", "position_ids", "inv_freq")  # what frameworks keep beside weights


class Said(NamedTuple):
    """A statement of one tensor: `file` is its name in the file, `name` the one that the rules know.

    Of a mask, `multiplies` is the array that it multiplies, by its name in the file.
    """

    name: str
    file: str
    shape: tuple[int, ...]
    axes: Axes
    kind: str
    over: Axes
    norm: str | None = None
    multiplies: str | None = None


@final
@dataclass
class Built:
    """A graph, and what was left out of it and why."""

    graph: LayerGraph | None
    unknown: dict[str, str]
    apart: dict[str, str]
    wiring: Wiring  # as it was given, without what met nothing


@final
@dataclass
class _Builder:
    wiring: Wiring
    names: Names
    read: Callable[[str], Array]
    unknown: dict[str, str] = field(default_factory=dict)
    used: Wiring = field(default_factory=Wiring)
    touched: list[tuple[str, tuple[int, ...] | None, tuple[str, ...]]] = field(default_factory=list)
    apart: dict[str, str] = field(default_factory=dict)

    def leave_out(self, file: str, reason: str, shape: tuple[int, ...] | None, spaces: Iterable[str] = ()) -> None:
        """Note a tensor that isn't in the graph: it may touch `spaces`, and any whose size its shape could run over."""
        self.unknown.setdefault(file, reason)
        self.touched.append((file, shape, tuple(spaces)))


def build(
    wiring: Wiring,
    names: Names,
    read: Callable[[str], Array],
    outside: Mapping[str, tuple[str, tuple[int, ...] | None]],
) -> Built:
    """Make the graph.

    Parameters
    ----------
    wiring
        What is said.
    names
        The tensors.
    read
        Gives the values of a tensor by its name in the file.
    outside
        Tensors that are in the file and can't be part of a graph: why, and the shape where it is known.

    Raises
    ------
    ValueError
        A statement of a strict wiring that doesn't meet the tensors.
    """
    work = _Builder(wiring, names, read)
    work.used = Wiring(wiring.rule, unknown=wiring.unknown, plain=wiring.plain, strict=True)
    for file, (reason, shape) in outside.items():
        work.leave_out(file, reason, shape)
    said = _fill_in(work)
    said += helper_statements(said, names)
    _leave_out_the_rest(work, {each.file for each in said})
    specs = _space_specs(work, said)
    sizes, said = _solve(work, said, specs)
    if not any(each.kind == WEIGHT for each in said):
        return Built(None, work.unknown, {}, work.used)
    return _assemble(work, said, sizes, specs)


def _fill_in(work: _Builder) -> list[Said]:
    """Find the tensors of each statement, and put their numbers into the names of spaces."""
    found: list[Said] = []
    shapes = work.names.shapes
    for statement in work.wiring.statements:
        hits = work.names.find(statement.pattern)
        if not hits and work.wiring.strict:
            near = get_close_matches(statement.pattern, list(shapes)[:10_000], n=3, cutoff=0)
            raise ValueError(
                f"the wiring names {quoted(statement.pattern)}, and no tensor is called so; nearest: "
                f"{', '.join(map(quoted, near)) or 'there is none'}"
            )
        work.used.statements += [statement] * bool(hits)
        for name, numbers in hits:
            axes, over = _filled(statement.axes, numbers), _filled(statement.over, numbers)
            each = Said(name, work.names.files[name], shapes[name], axes, statement.kind, over, statement.norm)
            masked = fill(statement.multiplies, numbers)
            if masked and masked not in work.names.files and work.wiring.strict:
                raise ValueError(f"{quoted(name)} multiplies {quoted(masked)}, and no tensor is called so")
            found.append(each._replace(multiplies=work.names.files.get(masked, masked) if masked else None))
    return found


def _filled(axes: Axes, numbers: Mapping[str, str]) -> Axes:
    def put(factors: Factors) -> Factors:
        return tuple(
            each._replace(space=fill(each.space, numbers))
            if isinstance(each, Term)
            else Cut(tuple((part, put(inner)) for part, inner in each.parts), each.whole)
            for each in factors
        )

    return tuple(put(factors) for factors in axes)


def _leave_out_the_rest(work: _Builder, used: set[str]) -> None:
    """Report the tensors of which nothing is said, unless they are known to belong to no units."""
    for name, file in work.names.files.items():
        if file in used:
            continue
        shape = work.names.shapes[name]
        if name.rpartition(".")[2] in COUNTERS or all(length == 1 for length in shape):
            continue  # it belongs to no units, or to all of them alike
        ignored = next((pattern for pattern in work.wiring.ignored if match(pattern, name) is not None), None)
        if ignored is not None:
            work.used.ignore(ignored, work.wiring.ignored[ignored])
            continue
        reason = "the wiring says nothing of it" if work.wiring.strict else "no rule knows it"
        work.leave_out(file, reason, shape)
    for owner, helpers in work.names.helpers.items():
        for helper in helpers:
            if helper.name not in used:
                reason = f"it belongs to {quoted(owner)}, of which nothing is known"
                work.leave_out(helper.name, reason, work.names.helper_shapes[helper.name])
    for file in work.names.twice:
        work.leave_out(file, "without its wrapper it has the name of another tensor", None)


def _space_specs(work: _Builder, said: list[Said]) -> dict[str, SpaceSpec]:
    """Find what is said of each space that a tensor names."""
    names = dict.fromkeys(
        term.space for each in said for axes in (each.over, each.axes) for term in terms(axes) if term.space
    )
    found = {name: SpaceSpec() for name in names}
    wiring = work.wiring
    for pattern, spec in wiring.spaces.items():
        hits = [(pattern, dict[str, str]())] if pattern in names else []
        if not hits and (placeholders(pattern) or "*" in pattern):
            hits = matches(pattern, names)
        if not hits and wiring.strict:
            near = get_close_matches(pattern, list(names)[:10_000], n=3, cutoff=0)
            raise ValueError(
                f"the wiring says something of space {quoted(pattern)}, over which no tensor runs; nearest: "
                f"{', '.join(map(quoted, near)) or 'there is none'}"
            )
        work.used.spaces |= {pattern: spec} if hits else {}
        for name, numbers in hits:
            groups = fill(spec.groups, numbers)
            if groups and groups not in names:
                if wiring.strict:
                    raise ValueError(f"the wiring groups {quoted(name)} by {quoted(groups)}, over which no tensor runs")
                groups = ""
            found[name] = replace(spec, groups=groups)
    return found


def _solve(work: _Builder, said: list[Said], specs: Mapping[str, SpaceSpec]) -> tuple[Sizes, list[Said]]:
    """Find the sizes of all spaces, and leave out the statements that contradict those before them."""
    sizes = Sizes({name: spec.units for name, spec in specs.items() if spec.units is not None})
    waiting, kept = list(said), list[Said]()
    dropped: set[int] = set()

    def fail(number: int, each: Said, error: Unsolved) -> None:
        dropped.add(number)
        if work.wiring.strict:
            raise ValueError(f"{quoted(each.file)}: {error}") from None
        work.leave_out(each.file, f"it doesn't meet the others: {error}", each.shape, _spaces_of(each))

    open_ = list(range(len(waiting)))
    while True:
        news, still = False, []
        for number in open_:
            each = waiting[number]
            try:
                news |= sizes.learn(each.file, each.shape, each.axes)
            except Unsolved as error:
                fail(number, each, error)
                continue
            if not _is_solved(sizes, each):
                still.append(number)
        open_ = still
        if not news or not open_:
            break
    for number, each in enumerate(waiting):
        if number in dropped:
            continue
        try:  # against the sizes as they are now, which later statements may have given
            sizes.learn(each.file, each.shape, each.axes)
            for axes in (each.over, each.axes):
                for length, factors in zip(
                    (*((None,) * len(each.over)), *each.shape)[-len(axes) :] if axes else (), axes, strict=True
                ):
                    sizes.length(factors, length)
        except Unsolved as error:
            fail(number, each, error)
            continue
        kept.append(each)
    gone = {each.file for number, each in enumerate(waiting) if number in dropped}
    return sizes, [each for each in kept if each.file not in gone]


def _is_solved(sizes: Sizes, each: Said) -> bool:
    return all(term.space in sizes.known for axes in (each.over, each.axes) for term in terms(axes) if term.space)


def _spaces_of(each: Said) -> tuple[str, ...]:
    return tuple(term.space for axes in (each.over, each.axes) for term in terms(axes) if term.space)


class _Use(NamedTuple):
    """One use of an array, or of a part of it."""

    name: str
    array: Array
    axes: tuple[Axis, ...]
    kind: str
    norm: str | None = None
    multiplies: str | None = None


def _assemble(work: _Builder, said: list[Said], sizes: Sizes, specs: Mapping[str, SpaceSpec]) -> Built:
    uses: list[_Use] = []
    loaded: dict[str, Array] = {}
    aliases: dict[object, str] = {}
    masks: dict[str, tuple[str, Array]] = {}  # name and values, by what they multiply
    for each in sorted(said, key=lambda each: each.multiplies is not None):
        if each.file not in loaded:
            loaded[each.file] = work.read(each.file)
        array, kind = loaded[each.file], each.kind
        if each.multiplies is not None:
            weight = loaded.get(each.multiplies)
            name = "" if weight is None else each.multiplies
            if weight is not None and kind == WEIGHT:
                name = aliases.get((*_memory(weight), *weight.shape), "")
            reason = _misfit(each, array, name, masks)
            if reason and work.wiring.strict:
                raise ValueError(f"{quoted(each.file)}: {reason}")
            if reason:
                work.leave_out(each.file, reason, each.shape, _spaces_of(each))
            elif masks.setdefault(name, (each.file, array))[0] == each.file:  # else it is the same under a second name
                for part, use in _views(array, each, sizes):
                    end = f"[{part}]" if part else ""
                    uses.append(_Use(each.file + end, *use, kind, multiplies=name + end))
            continue
        name = aliases.setdefault((*_memory(array), *array.shape), each.file) if kind == WEIGHT else each.file
        if kind in MADE:
            computed = lengths if kind == LENGTHS else labels
            name, kind, array = f"{each.file}{MADE[kind]}", "label", computed(array, each.shape)
        for part, use in _views(array, each, sizes):
            uses.append(_Use(name + (f"[{part}]" if part else ""), *use, kind, each.norm if kind in OF_NORMS else None))
    uses += _masks(specs, sizes)
    specs = dict(specs)
    uses = _one_family_each(uses, specs, sizes)
    nested = _nested(uses)
    uses += _constants(work, specs, sizes, uses, nested)
    uses = _of_one_form(work, uses)
    weights, per_unit = _merge(uses)
    spaces = [name for name in specs if name in {axis.space for use in uses for axis in use.axes}]
    inputs, outputs = _outside(work, spaces, specs, sizes, uses, nested)
    graph = LayerGraph(
        [Space(name, sizes.known[name], specs[name].activation) for name in spaces],
        weights,
        per_unit,
        inputs=inputs,
        outputs=outputs,
    )
    return Built(graph, work.unknown, work.apart, work.used)


def _misfit(each: Said, mask: Array, name: str, others: Mapping[str, tuple[str, Array]]) -> str:
    """Say why an array can't be the mask of the one of that name; empty if it can."""
    if not name:
        return f"it masks {quoted(each.multiplies)}, which isn't in the graph"
    if not ((mask == 0) | (mask == 1)).all():
        return "a mask holds zeros and ones alone, and this one other values too"
    if name in others and _memory(others[name][1]) != _memory(mask):
        return f"{quoted(name)} has a mask of another name too"
    return ""


def _memory(array: Array) -> tuple[object, ...]:
    """Say where an array lies: two names of one array are one weight used twice."""
    return (array.__array_interface__["data"][0] if array.size else id(array), array.strides, array.dtype.str)


def _views(array: Array, each: Said, sizes: Sizes) -> Iterable[tuple[str, tuple[Array, tuple[Axis, ...]]]]:
    """Yield the parts of an array: a view whose axes are those of the terms, and their roles."""
    for part in parts(each.axes):
        view, axes, shape = array, list[Axis](), list[int]()
        for number, (length, factors) in enumerate(zip(each.shape, each.axes, strict=True)):
            view = _cut(view, len(each.shape) - number, length, factors, part, sizes)
            for term in terms((factors,), part):
                size = term.size or sizes.known.get(term.space) or sizes.positions(factors, length)
                shape.append(size)
                axes.append(Axis(term.role, term.space or None))
        view = view.reshape(shape)
        at = tuple(0 if axis.role == "one" else slice(None) for axis in axes)
        view, axes = view[at], [axis for axis in axes if axis.role != "one"]
        for term in reversed([term for factors in each.over for term in factors if isinstance(term, Term)]):
            view = np.broadcast_to(view, (sizes.known[term.space], *view.shape))
            axes.insert(0, Axis(term.role, term.space))
        yield part, (view, tuple(axes))


def _cut(view: Array, after: int, length: int, factors: Factors, part: str, sizes: Sizes) -> Array:
    """Keep one part of the axis that has `after - 1` axes behind it; split it where the cut is not all of it."""
    at = view.ndim - after
    place = next((number for number, factor in enumerate(factors) if isinstance(factor, Cut)), None)
    cut = None if place is None else factors[place]
    if place is None or not isinstance(cut, Cut) or cut.whole:
        return view
    before, behind = (sizes.length(some) for some in (factors[:place], factors[place + 1 :]))
    view = view.reshape(*view.shape[:at], before, length // before // behind, behind, *view.shape[at + 1 :])
    begin = 0
    for name, inner in cut.parts:
        end = begin + sizes.length(inner)
        if name == part:
            return view[(slice(None),) * (at + 1) + (slice(begin, end),)]
        begin = end
    raise AssertionError(part)


def _masks(specs: Mapping[str, SpaceSpec], sizes: Sizes) -> list[_Use]:
    """Say which head reads which key and value head."""
    found = []
    for name, spec in specs.items():
        if not spec.groups or spec.groups not in sizes.known or name not in sizes.known:
            continue
        heads, groups = sizes.known[name], sizes.known[spec.groups]
        if heads % groups:
            raise ValueError(f"{heads} units of {quoted(name)} can't share {groups} of {quoted(spec.groups)} evenly")
        mask = np.repeat(np.eye(groups, dtype=np.int8), heads // groups, axis=0)
        found.append(_Use(f"{name}.groups", mask, (Axis("out", name), Axis("in", spec.groups)), WEIGHT))
    return found


def _one_family_each(uses: list[_Use], specs: dict[str, SpaceSpec], sizes: Sizes) -> list[_Use]:
    """Give units that are told apart anyway a space in each family of heads: layers that share rotary positions.

    Of one space in heads that no array relates it could not be said which head goes with which.
    """

    def family(use: _Use) -> str:
        parent = next((axis.space for axis in use.axes if axis.role in ("head", "stack")), None) or ""
        seen: set[str] = set()
        while parent not in seen and parent in specs and specs[parent].groups:
            seen.add(parent)
            parent = specs[parent].groups
        return parent

    found: dict[str, dict[str, str]] = {}  # for each space that is told apart, its families: what it is called in each
    for use in uses:
        for axis in use.axes:
            if axis.space and axis.role in ("out", "in") and specs[axis.space].apart:
                names = found.setdefault(axis.space, {})
                names.setdefault(family(use), axis.space if not names else f"{use.name.rpartition('.')[0]}.units")
    several = {space: names for space, names in found.items() if len(names) > 1 and "" not in names}
    for space, names in several.items():
        for of, name in names.items():
            while name != space and name in specs:
                name += "'"
            names[of] = name
            specs[name], sizes.known[name] = specs[space], sizes.known[space]

    def moved(use: _Use) -> _Use:
        called = {space: names[family(use)] for space, names in several.items() if family(use) in names}
        axes = (axis._replace(space=called.get(axis.space or "", axis.space)) for axis in use.axes)
        return use._replace(axes=tuple(axes))

    return [moved(use) for use in uses] if several else uses


def _nested(uses: list[_Use]) -> dict[str, tuple[Axis, ...]]:
    """Find the spaces that stand beside heads or copies wherever they are named, and the axes of those.

    Where they stand beside others in every use, as beside the heads of queries and of keys that several share, they are
    those of the first.
    """
    found: dict[str, tuple[Axis, ...]] = {}
    for use in uses:
        over = tuple(axis for axis in use.axes if axis.role in ("head", "stack"))
        for axis in use.axes:
            if axis.role in ("out", "in") and axis.space:
                before = found.get(axis.space, over)
                found[axis.space] = over and (tuple(each for each in before if each in over) or before)
    return {space: over for space, over in found.items() if over}


def _constants(
    work: _Builder,
    specs: Mapping[str, SpaceSpec],
    sizes: Sizes,
    uses: list[_Use],
    nested: Mapping[str, tuple[Axis, ...]],
) -> list[_Use]:
    """Give each unit of a space a number, where something that no tensor shows tells it from others."""
    found = []
    named = {axis.space for use in uses for axis in use.axes}
    for name, spec in specs.items():
        if name not in named:
            continue
        over = tuple(axis for axis in nested.get(name, ()) if axis.space)
        axes = (*over, Axis("out", name))
        shape = tuple(sizes.known[str(axis.space)] for axis in axes)
        if spec.apart:  # from 1, as a unit that holds 0 counts as one that holds nothing
            array = np.broadcast_to(np.arange(1, shape[-1] + 1), shape)
            found.append(_Use(f"{name}.apart", array, axes, "constant"))
        if spec.norm_groups is not None and spec.norm_groups > 1:
            total = prod(shape)
            if total % spec.norm_groups and work.wiring.strict:
                raise ValueError(f"{total} units of {quoted(name)} don't make {spec.norm_groups} groups of a norm")
            each = 1 if total % spec.norm_groups else total // spec.norm_groups
            array = np.arange(total).reshape(shape) // each + 1
            found.append(_Use(f"{name}.norm_groups", array, axes, "label"))
    return found


def _of_one_form(work: _Builder, uses: list[_Use]) -> list[_Use]:
    """Leave out further uses of an array whose axes are split in another way: no graph can hold both."""
    first: dict[str, _Use] = {}
    kept = []
    for use in uses:
        one = first.setdefault(use.name, use)
        if use.kind == WEIGHT and use.array.shape != one.array.shape:
            reason = f"it is used twice, and its axes are split into {one.array.shape} and into {use.array.shape}"
            if work.wiring.strict:
                raise ValueError(f"{quoted(use.name)}: {reason}; state both uses alike")
            spaces = [axis.space for each in (one, use) for axis in each.axes if axis.space]
            work.leave_out(use.name, reason, use.array.shape, spaces)
            continue
        kept.append(use)
    return kept


def _merge(uses: list[_Use]) -> tuple[list[Weight], list[PerUnit]]:
    """Make one weight of all uses of an array."""
    weights: dict[str, list[_Use]] = {}
    per_unit: list[PerUnit] = []
    taken: dict[str, tuple[str, tuple[Axis, ...]]] = {}
    for use in uses:
        if use.kind == WEIGHT:
            before = weights.setdefault(use.name, [])
            if all(use.axes != one.axes for one in before):
                before.append(use)
        else:
            name = use.name if use.name not in taken else f"{use.name}@{use.axes[-1].space}"
            taken[name] = use.name, use.axes
            masked = next((one for one, said in taken.items() if said == (use.multiplies, use.axes)), use.multiplies)
            per_unit.append(PerUnit(name, use.array, use.axes, use.kind, use.norm, masked))
    found = [
        Weight(name, some[0].array, some[0].axes, tuple(use.axes for use in some[1:]), some[0].multiplies)
        for name, some in weights.items()
    ]
    return found, per_unit


def _outside(
    work: _Builder,
    spaces: list[str],
    specs: Mapping[str, SpaceSpec],
    sizes: Sizes,
    uses: list[_Use],
    nested: Mapping[str, tuple[Axis, ...]],
) -> tuple[list[str], list[str]]:
    """Find the spaces that the world outside sees, and those that a tensor of which nothing is known may touch."""
    roles: dict[str, set[str]] = {name: set() for name in spaces}
    for use in uses:
        for axis in use.axes:
            if axis.space and (use.kind == WEIGHT or axis.role in ("head", "stack")):
                roles[axis.space].add(axis.role)
    inputs = [name for name in spaces if specs[name].input]
    outputs = [name for name in spaces if specs[name].output]
    for name, found in roles.items():
        if name in nested or found & {"head", "stack"}:
            continue
        inputs += [name] * ("out" not in found)
        outputs += [name] * ("in" not in found)
    for file, shape, near in work.touched:
        for name in spaces:
            units = sizes.known[name]
            if name in work.apart or not (
                name in near or shape is None or (units > 1 and any(length % units == 0 for length in shape if length))
            ):
                continue
            work.apart[name] = f"{quoted(file)} may read or write it"
            inputs.append(name)
            outputs.append(name)
    return list(dict.fromkeys(inputs)), list(dict.fromkeys(outputs))
