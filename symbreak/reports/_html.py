"""A report as an HTML table for notebooks; everything that came from outside is escaped."""

import html
from typing import TYPE_CHECKING

from symbreak._visible import visible

from ._text import MESSAGE

if TYPE_CHECKING:
    from ._report import Report

_HEAD = "<tr><th>level</th><th>code</th><th>where</th><th>what</th><th>fix</th></tr>"


def to_html(report: "Report") -> str:
    """Write a report as an HTML fragment: the verdict, and a table of the findings where there are any."""
    rows = [(str(f.level), f.code, f.where, f.message, f.fix) for f in report.findings]
    unread = {finding.where for finding in report.findings if finding.code == "SB301"}
    rows += [("skipped", "", s.where, s.reason, "") for s in report.skipped if s.where not in unread]
    body = "".join(f"<tr>{''.join(f'<td>{_safe(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead>{_HEAD}</thead><tbody>{body}</tbody></table>" if rows else ""
    return f"<div><p>{_safe(report.verdict)}</p>{table}</div>"


def _safe(text: str) -> str:
    return html.escape(visible(text, MESSAGE))
