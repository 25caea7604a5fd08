"""A report as an HTML fragment for notebooks; everything that came from outside is escaped."""

import html
from typing import TYPE_CHECKING

from symbreak._growth import by_run
from symbreak._table import html_cells
from symbreak._visible import visible

from ._text import MESSAGE

if TYPE_CHECKING:
    from ._report import Report

_TITLES = ("level", "code", "where", "what", "fix")
_LEFT = [True] * len(_TITLES)  # all text; notebooks align to the right what says nothing of it
ROWS = 100  # rows of the table; other findings are counted
FIGURES = 3  # findings that are drawn


def to_html(report: "Report") -> str:
    """Write a report as an HTML fragment: the verdict, and where there are any the findings, a few with pictures.

    A notebook shows a report by it.

    Parameters
    ----------
    report
        The report.

    Returns
    -------
    str
        One ``<div>``, with everything escaped that comes from the arrays.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> from symbreak.reports import to_html
    >>> report = sb.diagnose(np.ones((3, 2)))
    >>> to_html(report)[:33]
    '<div><p>1 error; read 1 array</p>'
    """
    rows = [(str(f.level), f.code, f.where, f.message, f.fix) for f in report.findings]
    unread = {finding.where for finding in report.findings if finding.code == "SB301"}
    rows += [("skipped", "", s.where, s.reason, "") for s in report.skipped if s.where not in unread]
    shown = ([visible(cell, MESSAGE) for cell in row] for row in rows[:ROWS])
    body = "".join(f"<tr>{html_cells('td', row, _LEFT)}</tr>" for row in shown)
    head = f"<thead><tr>{html_cells('th', _TITLES, _LEFT)}</tr></thead>"
    table = f"<table>{head}<tbody>{body}</tbody></table>" if rows else ""
    more = f"<p>and {len(rows) - ROWS} more</p>" if len(rows) > ROWS else ""
    evidence = f"<p>wired by: {_safe(report.evidence)}</p>" if report.evidence else ""
    return f"<div><p>{_safe(report.verdict)}</p>{table}{more}{evidence}{_figures(report)}</div>"


def _figures(report: "Report") -> str:
    if not report.pictures and not report.spaces and not report.growth:
        return ""
    from ._page import depth_figure, figure, growth_figure, pictures_of

    drawn = "".join(figure(*each) for each in pictures_of(report, report.findings)[:FIGURES])
    network = [space for space in report.spaces if space.network]
    depth = depth_figure(network) if any(space.distinct < space.units for space in network) else ""
    runs = list(by_run(report.growth).values())[:FIGURES]
    return drawn + depth + "".join(map(growth_figure, runs))


def _safe(text: str) -> str:
    return html.escape(visible(text, MESSAGE))
