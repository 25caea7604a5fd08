"""A report as annotations of GitHub's workflows, and as Markdown for the summary of a job.

References
----------
GitHub Docs. "Workflow commands for GitHub Actions": the escapes, and $GITHUB_STEP_SUMMARY.
GitHub. "GitHub Flavored Markdown Spec", sections 2.4 and 4.10: backslash escapes, and tables.
GitHub Docs. "Writing mathematical expressions": a dollar that begins none stands in a span.
"""

import html
import re
from typing import TYPE_CHECKING

from symbreak._visible import visible
from symbreak.findings import CODES, Finding, Level

from ._places import files_of, fold, fold_rows, named, overview, split_files, split_place
from ._sarif import relative

if TYPE_CHECKING:
    from ._report import Report

MESSAGE = 2000  # characters of a message
LONGEST = 4096  # characters of a path
ROWS = 200  # rows of a table: a summary takes 1 MiB
COMMANDS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
SPECIAL = re.compile(r"([\\`*_\[\]<>|~&@#]|^[-+=]|(?<=www)\.|:(?=//))", re.IGNORECASE)
LISTED = re.compile(r"^([0-9]+)([.)])")  # would begin a list


def to_github(report: "Report") -> str:
    """Write a line for each finding that a workflow of GitHub's shows as an annotation, and the verdict in the last.

    A workflow shows the first ten of each level; findings that are alike but for numbers in their names are one.

    Parameters
    ----------
    report
        The report.

    Returns
    -------
    str
        Lines, without a line end after the last.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> from symbreak.reports import to_github
    >>> report = sb.diagnose(np.ones((3, 2)))
    >>> to_github(report).split("::")[1]
    'error title=SB101 weight%2C axis 0'
    """
    files = files_of(report)
    lines = [_annotation(group, files) for group in fold(report.findings)]
    unread = {finding.where for finding in report.findings if finding.code == "SB301"}
    lines += [
        f"::error title=not read::{_data(visible(f'{each.where}: {each.reason}', MESSAGE))}"
        for each in report.skipped
        if each.where not in unread
    ]
    return "\n".join([*lines, _plain(report.verdict)])


def to_markdown(report: "Report") -> str:
    """Write a report as Markdown: the verdict, a table of where the findings are, and what each kind means.

    Parameters
    ----------
    report
        The report.

    Returns
    -------
    str
        A heading, a table, and a section for each code.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> from symbreak.reports import to_markdown
    >>> report = sb.diagnose(np.ones((3, 2)))
    >>> print(to_markdown(report).splitlines()[0])
    ### symbreak: 1 error; read 1 array
    """
    lines = [f"### symbreak: {_escaped(report.verdict)}", ""]
    lines += [f"Wired by: {_escaped(report.evidence)}", ""] if report.evidence else []
    rows = sorted(overview(report), key=lambda row: -row.level)
    if rows:
        lines += ["| level | file | tensor or space | units | distinct | findings |", "|---|---|---|--:|--:|---|"]
        folded = fold_rows(rows)
        for same in folded[:ROWS]:
            row = same[0]
            name = named(same) if row.rest else ""
            units = "" if row.units is None else str(row.units)
            distinct = "" if row.distinct is None else str(row.distinct)
            cells = (str(row.level), _escaped(row.file), _escaped(name), units, distinct, row.codes)
            lines.append(f"| {' | '.join(cells)} |")
        if more := sum(map(len, folded[ROWS:])):
            lines += ["", f"and {more} more"]
    if report.skipped:
        lines += ["", "Not read:", ""]
        lines += [f"- {_escaped(f'{each.where}: {each.reason}')}" for each in report.skipped[:ROWS]]
        if len(report.skipped) > ROWS:
            lines.append(f"- and {len(report.skipped) - ROWS} more")
    for code in sorted({finding.code for finding in report.findings} & set(CODES)):
        lines += ["", *_about(code, [finding for finding in report.findings if finding.code == code])]
    return "\n".join(lines)


def _annotation(group: list[Finding], files: "frozenset[str]") -> str:
    finding = group[0]
    file, rest = split_place(finding.where, files)
    title = f"{finding.code} {rest}".strip()
    if not file:  # of several the first: an annotation stands at one
        file = next((part for part in split_files(rest, files) if part in files), "")
    more = "" if len(group) == 1 else f" (and {len(group) - 1} more like it, to {group[-1].where})"
    properties = [f"file={_property(relative(file), LONGEST)}"] if file else []
    properties.append(f"title={_property(title)}")
    text = visible(f"{finding.where}: {finding.message}{more}; what to do: {finding.fix}", MESSAGE)
    return f"::{COMMANDS[finding.level]} {','.join(properties)}::{_data(text)}"


def _about(code: str, findings: list[Finding]) -> list[str]:
    row = CODES[code]
    first = findings[0]
    return [
        f"<details><summary>{code}: {html.escape(row.sentence)} ({len(findings)})</summary>",
        "",
        _escaped(row.why),
        "",
        f"- {_escaped(f'{first.where}: {first.message}')}",
        *([f"- and {len(findings) - 1} more"] if len(findings) > 1 else []),
        "",
        f"What to do: {_escaped(first.fix)}.",
        "",
        "</details>",
    ]


def _data(text: str) -> str:
    """Escape the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str, limit: int = 200) -> str:
    """Escape a property of a workflow command; a path too is made safe to show, since the log shows it."""
    return _data(visible(text, limit)).replace(":", "%3A").replace(",", "%2C")


def _plain(text: str) -> str:
    """Keep a line from being taken for a command."""
    return text.replace("::", ": :")


def _escaped(text: str) -> str:
    """Escape what Markdown and HTML would act on, mentions, links and formulas too, on one line."""
    escaped = LISTED.sub(r"\1\\\2", SPECIAL.sub(r"\\\1", visible(text, MESSAGE)))
    return escaped.replace("$", "<span>$</span>")
