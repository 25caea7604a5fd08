"""Baselines: the findings that a project knows, so that only what is new or worse is reported.

A finding is known where the baseline holds one of its code, in its file and at its place, that is as grave, and in
whose classes its units lie: more tied units at a known place are news.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, final

from symbreak.findings import Finding, Level
from symbreak.reports import Report, split_place, visible

SCHEMA = 1
UNREAD = "SB301"  # what was not read can't be known
LISTED = 5  # findings in a message

Place = tuple[str, str, str]  # code, file from the baseline's folder, place within it


@final
@dataclass(frozen=True)
class Known:
    """A finding of a baseline."""

    place: Place
    level: Level
    groups: tuple[frozenset[int], ...]

    def holds(self, finding: Finding) -> bool:
        """Whether a finding at this place is no news."""
        if finding.level > self.level:
            return False
        return not self.groups or (
            bool(finding.groups) and all(any(group >= set(each) for group in self.groups) for each in finding.groups)
        )


@final
class Baseline:
    """The known findings of a project.

    Parameters
    ----------
    path
        The file; the paths of other files in it are relative to its folder.

    Raises
    ------
    OSError
        It can't be read.
    ValueError
        It is no baseline, or one of another version.
    """

    def __init__(self, path: str) -> None:
        self._folder = Path(path).resolve().parent
        self._known: dict[Place, list[Known]] = {}
        for each in _read(path):
            self._known.setdefault(each.place, []).append(each)

    def apply(self, report: Report) -> Report:
        """Leave out the findings that are known; the verdict counts them."""
        files = frozenset(report.files)
        new = report.filtered(
            lambda finding: (
                not any(each.holds(finding) for each in self._known.get(_place(finding, files, self._folder), ()))
            )
        )
        known = report.known + len(report.findings) - len(new.findings)
        return replace(new, unselected=report.unselected, known=known)

    def gone(self, report: Report) -> list[str]:
        """List the known findings that a report has no more, of the files that it read whole."""
        files = frozenset(report.files)
        there = {_place(finding, files, self._folder) for finding in report.findings}
        unread = {_file(split_place(each.where, files)[0], self._folder) for each in report.skipped}
        read = {_file(file, self._folder) for file in report.files} - unread
        lost = [place for place in self._known if place not in there and place[1] in read]
        return [f"{code} {file}{': ' if rest else ''}{rest}" for code, file, rest in lost]


def gone_text(path: str, gone: list[str]) -> str:
    """Say which known findings are gone."""
    listed = "; ".join(map(visible, gone[:LISTED])) + ("; ..." if len(gone) > LISTED else "")
    are = "1 finding is" if len(gone) == 1 else f"{len(gone)} findings are"
    return f"{are} gone that {visible(path)} holds: {listed}; --write-baseline {visible(path)} brings it up to date"


def baseline_text(report: Report, path: str, version: str) -> str:
    """Write the findings of a report as a baseline that will lie at `path`."""
    folder, files = Path(path).resolve().parent, frozenset(report.files)
    rows: list[dict[str, Any]] = []
    for finding in report.findings:
        if finding.code != UNREAD:
            code, file, place = _place(finding, files, folder)
            groups = [list(group) for group in finding.groups]
            rows.append({"code": code, "level": str(finding.level), "file": file, "place": place, "groups": groups})
    lines = ",\n".join(json.dumps(row) for row in rows)
    head = json.dumps({"symbreak": "baseline", "schema": SCHEMA, "version": version})[:-1]
    return f'{head}, "findings": [\n{lines}\n]}}' if rows else f'{head}, "findings": []}}'


def _place(finding: Finding, files: frozenset[str], folder: Path) -> Place:
    file, rest = split_place(finding.where, files)
    if not file and files:  # several files are named
        parts = finding.where.split(", ")
        rest = ", ".join(_file(part, folder) if part in files else part for part in parts)
    return finding.code, _file(file, folder) if file else "", rest


def _file(path: str, folder: Path) -> str:
    try:
        return PurePath(os.path.relpath(Path(path).resolve(), folder)).as_posix()
    except (ValueError, OSError):  # another drive
        return PurePath(path).as_posix()


def _read(path: str) -> Iterable[Known]:
    try:
        found = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError):
        raise _strange(path) from None
    if not isinstance(found, dict) or found.get("symbreak") != "baseline":
        raise _strange(path)
    if found.get("schema") != SCHEMA:
        raise ValueError(
            f"{visible(path)} is a baseline of version {visible(found.get('schema'))}, and this is symbreak's version "
            f"{SCHEMA}: write it again with --write-baseline {visible(path)}"
        )
    try:
        return [_known(row) for row in found["findings"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _strange(path) from None


def _known(row: dict[str, Any]) -> Known:
    place = (row["code"], row["file"], row["place"])
    if not all(isinstance(part, str) for part in place):
        raise TypeError
    return Known(place, Level[row["level"].upper()], tuple(frozenset(map(int, group)) for group in row["groups"]))


def _strange(path: str) -> ValueError:
    return ValueError(f"{visible(path)} is no baseline: make one with --write-baseline {visible(path)}")
