"""A report as compact text: 80 columns, the verdict on the last line, nothing that a terminal would obey."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symbreak._visible import visible
from symbreak.findings import Level

if TYPE_CHECKING:
    from ._report import Report

COLUMNS = 80
RUNS = 12  # runs of units in a list before it is cut short
COLOURS = {Level.NOTE: "36", Level.WARNING: "33", Level.ERROR: "31"}  # SGR parameters, ECMA-48 section 8.3.117
MESSAGE = 2000  # characters of a message


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
    """Write a report as text.

    Parameters
    ----------
    report
        The report.
    colour
        Whether to colour the levels with ANSI escape sequences.

    Returns
    -------
    str
        Lines of at most 80 columns, as far as names allow it; no line end after the last.
    """
    lines = []
    for finding in report.findings:
        level = f"\x1b[{COLOURS[finding.level]}m{finding.level}\x1b[0m" if colour else str(finding.level)
        first = _wrap(f"{finding.code} {visible(finding.where)}", " " * (len(str(finding.level)) + 1), "    ")
        lines += [f"{level} {first[0].lstrip()}", *first[1:]]
        lines += _wrap(visible(finding.message, MESSAGE), "    ", "    ")
        lines += _wrap(f"fix: {visible(finding.fix, MESSAGE)}", "    ", "         ")
    unread = {finding.where for finding in report.findings if finding.code == "SB301"}
    for skipped in report.skipped:
        if skipped.where not in unread:
            lines += _wrap(f"skipped {visible(skipped.where)}: {visible(skipped.reason, MESSAGE)}", "", "    ")
    return "\n".join([*lines, *_wrap(report.verdict, "", "")])


def _wrap(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text, COLUMNS, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    ) or [first]
