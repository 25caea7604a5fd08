"""What a scan tells, step by step."""

from dataclasses import dataclass
from typing import final

from symbreak.reports import Report

State = tuple[tuple[str, int, int], ...]  # the files behind a checkpoint: path, bytes, time of change in nanoseconds

Judged = tuple[tuple[str, Report], ...]  # names of arrays, and what was found in them


@final
@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a scan adds. Joined in order, the reports of all steps are that of the scan.

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
    """

    entry: int
    report: Report
    done: int = 0
    arrays: int = 0
    read: int = 0
    size: int = 0
    judged: Judged = ()
    state: State = ()
