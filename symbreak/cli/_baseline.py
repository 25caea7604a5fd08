"""Baselines: the findings that a project knows, so that only what is new or worse is reported.

A finding is known where the baseline holds one of its code, in its file and at its place, that is as grave, and in
whose classes its units lie: more tied units at a known place are news. So are more weights, where a finding tells of
several by their names and not by units.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, final

from symbreak.findings import Finding, Level
from symbreak.reports import Report, split_files, split_place, visible

SCHEMA = 1
UNREAD = "SB301"  # what was not read can't be known
LISTED = 5  # findings in a message
NAMING = ("SB203", "SB208")  # their messages name the weights that belong together
LIKEWISE = re.compile(r"; likewise (?:in )?([0-9]+) more \w+(?: of weights)?$")
MEASURED = re.compile(r"[0-9]+\.[0-9]+")  # what a message measures may change from run to run

Place = tuple[str, str, str]  # code, file from the baseline's folder, place within it


@final
@dataclass(frozen=True)
class Known:
    """A finding of a baseline."""

    place: Place
    level: Level
    groups: tuple[frozenset[int], ...]
    names: str | None = None
    more: int | None = None

    def holds(self, finding: Finding) -> bool:
        """Whether a finding at this place is no news."""
        if finding.level > self.level:
            return False
        names, more = _told(finding)
        if (self.names is not None and names != self.names) or (self.more is not None and more > self.more):
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
        self._folder = Path(os.path.realpath(path)).parent
        self._known: dict[Place, list[Known]] = {}
        known, self._options = _read(path)
        for each in known:
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

    def gone(self, report: Report, options: Mapping[str, object]) -> list[str]:
        """List the known findings that a report has no more, of the files that it read whole and looked at alike."""
        if self._options not in (None, options):
            return []
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


def baseline_text(report: Report, path: str, version: str, options: Mapping[str, object]) -> str:
    """Write the findings of a report as a baseline that will lie at `path`, with the options on which they depend."""
    folder, files = Path(os.path.realpath(path)).parent, frozenset(report.files)
    rows: list[dict[str, Any]] = []
    for finding in report.findings:
        if finding.code != UNREAD:
            code, file, place = _place(finding, files, folder)
            groups = [list(group) for group in finding.groups]
            row = {"code": code, "level": str(finding.level), "file": file, "place": place, "groups": groups}
            names, more = _told(finding)
            rows.append({**row, **({"names": names} if names else {}), "more": more})
    lines = ",\n".join(json.dumps(row) for row in rows)
    head = json.dumps({"symbreak": "baseline", "schema": SCHEMA, "version": version, "options": options})[:-1]
    return f'{head}, "findings": [\n{lines}\n]}}' if rows else f'{head}, "findings": []}}'


def _told(finding: Finding) -> tuple[str, int]:
    """Give what a finding tells of weights by their names, and how many more it counts."""
    found = LIKEWISE.search(finding.message)
    names = finding.code in NAMING and not finding.groups
    return MEASURED.sub("*", LIKEWISE.sub("", finding.message)) if names else "", int(found[1]) if found else 0


def _place(finding: Finding, files: frozenset[str], folder: Path) -> Place:
    file, rest = split_place(finding.where, files)
    if not file and files:  # several files are named
        parts = split_files(finding.where, files)
        rest = ", ".join(_file(part, folder) if part in files else part for part in parts)
    return finding.code, _file(file, folder) if file else "", rest


def _file(path: str, folder: Path) -> str:
    try:
        return PurePath(os.path.relpath(os.path.realpath(path), folder)).as_posix()
    except (ValueError, OSError):  # another drive
        return PurePath(path).as_posix()


def _read(path: str) -> tuple[list[Known], object]:
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
    if not isinstance(found.get("findings"), list):
        raise _strange(path)
    try:
        return [_known(row) for row in found["findings"]], found.get("options")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _strange(path) from None


def _known(row: dict[str, Any]) -> Known:
    place, groups = (row["code"], row["file"], row["place"]), row["groups"]
    rows = isinstance(groups, list) and all(isinstance(group, list) for group in groups)
    if not rows or not all(isinstance(part, str) for part in place):
        raise TypeError
    if not all(type(unit) is int for group in groups for unit in group):
        raise TypeError
    names, more = row.get("names"), row.get("more")
    if not isinstance(names, str | None) or not (more is None or type(more) is int):
        raise TypeError
    return Known(place, Level[row["level"].upper()], tuple(map(frozenset, groups)), names, more)


def _strange(path: str) -> ValueError:
    return ValueError(f"{visible(path)} is no baseline: name one, or make one with --write-baseline F")
