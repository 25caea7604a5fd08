"""How the tensors of a file are understood to be connected, as text of 80 columns.

Spaces that differ in the numbers of their names alone, such as those of the blocks of a transformer, are shown once.
"""

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from symbreak.reports import visible

if TYPE_CHECKING:
    from symbreak.checkpoints import Wired
    from symbreak.graph import LayerGraph

WIDTH = 80
LISTED = 6  # names in a row; more are shown with * for their numbers, and cut short


class _Shown(NamedTuple):
    """What is said of a space, and the names of what runs over it."""

    name: str
    facts: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def form(self) -> tuple[object, ...]:
        """What it has in common with those that are shown with it."""
        return _form(self.name), self.facts, tuple((title, tuple(map(_form, names))) for title, names in self.rows)


def wiring_text(path: str, found: "Wired") -> str:
    """Say on what evidence a file is wired, each space with what writes and what reads it, and what is not known."""
    if found.graph is None:
        lines = _fill(f"{visible(path)}: nothing says how its tensors are connected", "", "  ")
    else:
        graph = found.graph
        counts = (
            f"{len(graph.spaces)} spaces, {len(graph.connections)} weights, {len(graph.per_unit)} per-unit parameters"
        )
        lines = _fill(f"{visible(path)}: wired by {visible(found.rule)}; {counts}", "", "  ")
        alike: dict[tuple[object, ...], list[_Shown]] = {}
        for space in graph.spaces:
            shown = _shown(graph, space.name)
            alike.setdefault(shown.form, []).append(shown)
        for some in alike.values():
            lines += _space(some[0], [each.name for each in some])
    for title, notes in (("not known", found.unknown), ("told apart", found.apart)):
        lines += [f"  {title}"] if notes else []
        reasons: dict[str, list[str]] = {}
        for name, reason in notes.items():
            reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            lines += _fill(f"{listed(names)}: {visible(reason)}", "    ", "      ")
    return "\n".join(lines)


def _shown(graph: "LayerGraph", name: str) -> _Shown:
    space = graph.space(name)
    own = {each.name: each for each in graph.per_unit if each.space == name}
    ends = [word for word, ends in (("an input", graph.inputs), ("an output", graph.outputs)) if name in ends]
    apart = {f"{name}.apart"} & set(own)
    facts = [f"{space.units} {'unit' if space.units == 1 else 'units'}", space.activation, *ends]
    facts += ["each told apart"] if apart else []
    rows = (
        ("written by", graph.writers(name)),
        ("read by", graph.readers(name)),
        ("heads of", _within(graph, name)),
        ("per unit", tuple(each for each in own if each not in apart)),
    )
    return _Shown(name, ", ".join(facts), tuple((title, names) for title, names in rows if names))


def _within(graph: "LayerGraph", name: str) -> tuple[str, ...]:
    """Name the spaces whose units stand in the units of this one, which are heads or copies, wherever they are."""
    rows = [use for weight in graph.connections for use in weight.uses] + [each.axes for each in graph.per_unit]
    heads: dict[str, set[str]] = {}
    for axes in rows:
        here = {axis.space or "" for axis in axes if axis.role in ("head", "stack")}
        for axis in axes:
            if axis.role in ("out", "in") and axis.space:
                heads.setdefault(axis.space, set()).update(here or {""})
    return tuple(space for space, found in heads.items() if name in found and "" not in found)


def _form(name: str) -> str:
    return re.sub(r"[0-9]+", "*", name)


def _space(shown: _Shown, names: Sequence[str]) -> list[str]:
    title = visible(names[0])
    if len(names) > 1:
        title += f" and {len(names) - 1} more like it, to {visible(names[-1])}"
    lines = _fill(f"{title}: {shown.facts}", "  ", "      ")
    for what, some in shown.rows:
        short = some if len(some) <= LISTED else tuple(dict.fromkeys(map(_form, some)))
        lines += _fill(f"{what} {listed(short)}", "    ", "      ")
    return lines


def listed(names: Sequence[str]) -> str:
    """Name the first few, and count the others."""
    more = len(names) - LISTED
    return ", ".join(map(visible, names[:LISTED])) + (f" and {more} more" if more > 0 else "")


def _fill(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=True, break_on_hyphens=False
    )
