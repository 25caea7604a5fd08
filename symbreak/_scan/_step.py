"""What a scan tells, step by step."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import final

from symbreak.findings import Finding
from symbreak.reports import Report

from ._judge import unread

State = tuple[tuple[str, int, int], ...]  # the files behind a checkpoint: path, bytes, time of change in nanoseconds

EMPTY = "check that the weights were saved into it"
FEW = 3  # files in a message before it is cut short

Judged = tuple[tuple[str, Report], ...]  # names of arrays, and what was found in them


@final
@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a scan adds. Joined in order by `joined`, the reports of all steps are that of the scan.

    Parameters
    ----------
    entry
        Which of the entries is in work.
    report
        What is added.
    done, arrays
        How many arrays of the file have been judged, and how many it has.
    read, size
        How many bytes of arrays have been judged, and how many the file has.
    judged
        (name, report) of the arrays that were judged in this step.
    state
        What the file was when it was opened.
    answers
        Findings of steps before, and what takes their place.
    """

    entry: int
    report: Report
    done: int = 0
    arrays: int = 0
    read: int = 0
    size: int = 0
    judged: Judged = ()
    state: State = ()
    answers: tuple[tuple[Finding, Finding], ...] = ()


def joined(steps: Iterable[Step]) -> Report:
    """Join the reports of steps in order, with what later ones answer of those before.

    Where files were read and no array was in them, nothing was judged, and that is no success.
    """
    every = list(steps)
    answers = {old: new for step in every for old, new in step.answers}
    report = Report.merged(step.report for step in every)
    report = replace(report, findings=tuple(answers.get(finding, finding) for finding in report.findings))
    if report.files and not report.arrays and not report.skipped:
        listed = ", ".join(report.files[:FEW]) + (", ..." if len(report.files) > FEW else "")
        none = (
            "there is no array of numbers in it" if len(report.files) == 1 else "there is no array of numbers in them"
        )
        return Report.merged([report, unread(listed, f"{none}, so nothing was judged", EMPTY)])
    return report
