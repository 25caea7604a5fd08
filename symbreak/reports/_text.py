"""A report as compact text: 80 columns, the verdict on the last line, nothing that a terminal would obey."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symbreak._growth import by_run
from symbreak._visible import columns, visible
from symbreak.findings import Finding, Level

from ._places import fold, fold_rows, named, overview

if TYPE_CHECKING:
    from ._report import Report

COLUMNS = 80
RUNS = 12  # runs of units in a list before it is cut short
COLOURS = {Level.NOTE: "36", Level.WARNING: "33", Level.ERROR: "31"}  # SGR parameters, ECMA-48 section 8.3.117
MESSAGE = 2000  # characters of a message
ALIKE = 4  # findings that are alike are told as one from this number on
MOST = 100  # findings that are told; others are counted
FEW = 3  # findings up to which a report of one file needs no table
LINES = 40  # lines of the table; other rows are counted
CODES = 22  # columns for the codes
GROWTHS = 20  # weights that are told of each run; others are counted


def fold_units(units: Sequence[int], runs: int = RUNS) -> str:
    """Write units in order, runs of three and more as ranges; a long list is cut short and counted.

    Examples
    --------
    >>> fold_units([0, 1, 2, 3, 70, 71, 80])
    '0-3, 70, 71, 80'
    >>> fold_units(range(0, 40, 2), runs=3)
    '0, 2, 4, ... (20 in all)'
    """
    pieces: list[str] = []
    start = 0
    while start < len(units):
        stop = start + 1
        while stop < len(units) and units[stop] == units[stop - 1] + 1:
            stop += 1
        if stop - start < 3:
            stop = start + 1
        if len(pieces) == runs:
            return f"{', '.join(pieces)}, ... ({len(units)} in all)"
        pieces.append(str(units[start]) if stop == start + 1 else f"{units[start]}-{units[stop - 1]}")
        start = stop
    return ", ".join(pieces)


def to_text(report: "Report", colour: bool = False) -> str:
    """Write a report as text: each finding, a table of where they are, and the verdict.

    Findings that say the same of places that differ in numbers alone, such as the blocks of a transformer, are told as
    one. Of more than a hundred the gravest are told and the others counted. The table is left out where a few findings
    of one file are all there is. Where files are those of one run, it is told how equal units come apart.

    Parameters
    ----------
    report
        The report.
    colour
        Whether to colour the levels with ANSI escape sequences.

    Returns
    -------
    str
        Lines of at most 80 columns, as far as names allow it, and the verdict in one; no line end after the last.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> from symbreak.reports import to_text
    >>> report = sb.diagnose(np.ones((3, 2)))
    >>> print(to_text(report).splitlines()[0])
    error SB101 weight, axis 0
    """
    lines = []
    told = _gravest(fold(report.findings, ALIKE))
    for group in told:
        lines += _finding(group, colour)
    lines += _left_out(report.findings, told)
    unread = {finding.where for finding in report.findings if finding.code == "SB301"}
    for skipped in report.skipped:
        if skipped.where not in unread:
            lines += _wrap(f"skipped {visible(skipped.where)}: {visible(skipped.reason, MESSAGE)}", "", "    ")
    lines += _table(report, colour)
    lines += _growth(report)
    if report.evidence:
        lines += _wrap(f"wired by: {visible(report.evidence, MESSAGE)}", "", "    ")
    return "\n".join([*lines, report.verdict])  # one line, however much it counts


def _finding(group: Sequence[Finding], colour: bool) -> list[str]:
    """Tell one finding, or several that are alike."""
    finding = group[0]
    level = _coloured(str(finding.level), finding.level, colour)
    where = visible(finding.where)
    if len(group) > 1:
        where += f" and {len(group) - 1} more like it, to {visible(group[-1].where)}"
    first = _wrap(f"{finding.code} {where}", " " * (len(str(finding.level)) + 1), "    ")
    lines = [f"{level} {first[0].lstrip()}", *first[1:]]
    lines += _wrap(visible(finding.message, MESSAGE), "    ", "    ")
    return lines + _wrap(f"fix: {visible(finding.fix, MESSAGE)}", "    ", "         ")


def _gravest(groups: Sequence[list[Finding]]) -> list[list[Finding]]:
    if len(groups) <= MOST:
        return list(groups)
    order = sorted(range(len(groups)), key=lambda number: -groups[number][0].level)[:MOST]
    return [groups[number] for number in sorted(order)]


def _left_out(findings: Sequence[Finding], told: Sequence[Sequence[Finding]]) -> list[str]:
    count = len(findings) - sum(map(len, told))
    if not count:
        return []
    codes = Counter(finding.code for finding in findings) - Counter(each.code for group in told for each in group)
    listed = ", ".join(f"{number} {code}" for code, number in sorted(codes.items()))
    return _wrap(f"... and {count} more, none graver: {listed}; --format json and html list them all", "", "    ")


def _table(report: "Report", colour: bool) -> list[str]:
    """Lay out where the findings are: a line for each tensor or space, under its file."""
    if not report.findings or (len(report.findings) <= FEW and len(report.files) < 2):
        return []
    rows = overview(report)
    titles = ("file, tensor or space", "units", "distinct", "findings")
    lines, shown, file = list[tuple[str, str, str, str, Level]](), 0, None
    for same in fold_rows(rows):
        if len(lines) >= LINES:
            break
        row = same[0]
        if row.file != file and (row.file or file):
            file = row.file
            if row.rest:
                lines.append((file or "several files", "", "", "", Level.NOTE))
        name = f"  {named(same)}" if file is not None and row.rest else named(same)
        counts = ("-" if row.units is None else str(row.units), "-" if row.distinct is None else str(row.distinct))
        codes = row.codes if len(row.codes) <= CODES else row.codes[: row.codes.rfind(",", 0, CODES - 4)] + ", ..."
        lines.append((name, *counts, codes, row.level))
        shown += len(same)
    cells = list(zip(titles, *(line[:4] for line in lines), strict=True))
    wide = [max(map(len, column)) for column in cells[1:]]
    room = COLUMNS - sum(wide) - 6
    name_width = min(room, max(columns(visible(line[0], room)) for line in (titles, *lines)))
    found = ["", _laid(titles, name_width, wide)]
    for line in lines:
        text = _laid((_fitted(line[0], name_width), line[1], line[2], line[3]), name_width, wide)
        codes = line[3]
        found.append(text[: len(text) - len(codes)] + _coloured(codes, line[4], colour) if codes else text)
    if more := len(rows) - shown:
        found.append(f"... and {more} more {'place' if more == 1 else 'places'}")
    return [*found, ""]


def _growth(report: "Report") -> list[str]:
    """Tell how units that were equal come apart along the files of each run."""
    lines = []
    for run, some in by_run(report.growth).items():
        files = len({file for each in some for file in each.files})
        lines += _wrap(f"growth along {files} files, {visible(run)}:", "", "    ")
        for each in some[:GROWTHS]:
            lines += _wrap(f"{visible(each.where)}: {each.sentence}", "    ", "        ")
        if more := len(some) - GROWTHS if len(some) > GROWTHS else 0:
            lines += _wrap(f"... and {more} more; --format json lists them all", "    ", "        ")
    return [*lines, ""] if lines else []


def _laid(line: tuple[str, ...], name: int, wide: Sequence[int]) -> str:
    return f"{line[0]}{' ' * (name - columns(line[0]))}  {line[1]:>{wide[0]}}  {line[2]:>{wide[1]}}  {line[3]}".rstrip()


def _fitted(name: str, width: int) -> str:
    indent = name[: len(name) - len(name.lstrip(" "))][:2]
    whole = visible(name.removeprefix(indent))
    room = limit = max(width - len(indent), 16)
    while columns(shown := visible(whole, limit)) > room and limit > 16:
        limit -= 1
    return indent + shown


def _coloured(text: str, level: Level, colour: bool) -> str:
    return f"\x1b[{COLOURS[level]}m{text}\x1b[0m" if colour and text else text


def _wrap(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text, COLUMNS, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    ) or [first]
