"""Where findings are: their file and what is in it, and those that are alike but for the numbers in their names."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from symbreak.findings import Finding, Level

if TYPE_CHECKING:
    from ._report import Report, Space

NUMBERS = re.compile(r"[0-9]+")
AXIS = re.compile(r", axis [0-9]+$")


def split_place(where: str, files: Collection[str]) -> tuple[str, str]:
    """Cut a place into the file and what is in it.

    Parameters
    ----------
    where
        Of a finding, or of something that was skipped.
    files
        The files of the report.

    Examples
    --------
    >>> split_place("a.npz: fc1, axis 0", {"a.npz"}), split_place("a.npz", {"a.npz"}), split_place("fc1", ())
    (('a.npz', 'fc1, axis 0'), ('a.npz', ''), ('', 'fc1'))
    """
    if where in files:
        return where, ""
    end = where.find(": ")
    while end >= 0:
        if where[:end] in files:
            return where[:end], where[end + 2 :]
        end = where.find(": ", end + 1)
    return "", where


def files_of(report: "Report") -> frozenset[str]:
    """Give the files of a report, and the paths that led to none: what is said of them is said of a file, too."""
    files = frozenset(report.files)
    return files | {each.where for each in report.skipped if not split_place(each.where, files)[0]}


def split_files(where: str, files: Collection[str]) -> list[str]:
    """Cut a place that names several files, whose names may have commas in them.

    Examples
    --------
    >>> split_files("a.npz, b, c.npz, d", {"a.npz", "b, c.npz"})
    ['a.npz', 'b, c.npz', 'd']
    """
    parts, found, begin = where.split(", "), list[str](), 0
    while begin < len(parts):
        ends = range(begin + 1, len(parts) + 1)
        end = next((end for end in ends if ", ".join(parts[begin:end]) in files), begin + 1)
        found.append(", ".join(parts[begin:end]))
        begin = end
    return found


def tensor_of(rest: str) -> str:
    """Give the name of the tensor or space of a place within a file.

    Examples
    --------
    >>> tensor_of("fc1.weight, axis 0"), tensor_of("space layers.0")
    ('fc1.weight', 'layers.0')
    """
    return AXIS.sub("", rest).removeprefix("space ")


def form(text: str) -> str:
    """Give a name with * for its numbers.

    Examples
    --------
    >>> form("layers.10.weight, axis 0")
    'layers.*.weight, axis *'
    """
    return NUMBERS.sub("*", text)


def fold(findings: Iterable[Finding], least: int = 1) -> list[list[Finding]]:
    """Put findings together that say the same of places that differ in numbers alone, in the order of the first.

    Parameters
    ----------
    findings
        The findings.
    least
        How many must be alike; fewer are left by themselves.
    """
    every = list(findings)
    alike: dict[tuple[str, Level, str, str, str], list[int]] = {}
    for number, each in enumerate(every):
        alike.setdefault((each.code, each.level, form(each.where), each.message, each.fix), []).append(number)
    groups = [[number] for some in alike.values() if len(some) < least for number in some]
    groups += [some for some in alike.values() if len(some) >= least]
    return [[every[number] for number in group] for group in sorted(groups)]


@final
@dataclass
class Row:
    """What the overview says of one place.

    Parameters
    ----------
    file, rest
        As `split_place` gives them.
    units, distinct
        How many units there are, and how many differ; None where that is not known.
    findings
        What was found there.
    """

    file: str
    rest: str
    units: int | None = None
    distinct: int | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def level(self) -> Level:
        """The gravest of the findings."""
        return max((finding.level for finding in self.findings), default=Level.NOTE)

    @property
    def codes(self) -> str:
        """The codes, each once, with how often where that is more."""
        counts: dict[str, int] = {}
        for finding in self.findings:
            counts[finding.code] = counts.get(finding.code, 0) + 1
        return ", ".join(code if count == 1 else f"{code} x{count}" for code, count in counts.items())


def fold_rows(rows: Iterable[Row]) -> list[list[Row]]:
    """Put rows together that differ in the numbers of their names alone, in the order of the first."""
    alike: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault((row.file, form(row.rest), row.units, row.distinct, row.codes), []).append(row)
    return list(alike.values())


def named(rows: Sequence[Row]) -> str:
    """Name the place of rows that `fold_rows` put together."""
    if not rows[0].rest:
        return rows[0].file
    return rows[0].rest if len(rows) == 1 else f"{form(rows[0].rest)} ({len(rows)})"


def overview(report: "Report") -> list[Row]:
    """Give a row for each place in which something was found, in order."""
    spaces, _ = report.widths()
    widths: dict[str, Space] = {}
    for space in spaces:
        for name in (space.where, AXIS.sub("", space.where)):
            widths.setdefault(name, space)
    files, rows = files_of(report), dict[str, Row]()
    for finding in report.findings:
        row = rows.get(finding.where)
        if row is None:
            file, rest = split_place(finding.where, files)
            row = rows[finding.where] = Row(file, rest)
            _count_units(row, finding.where, widths)
        row.findings.append(finding)
    return list(rows.values())


def _count_units(row: Row, where: str, widths: "Mapping[str, Space]") -> None:
    """Look up the units of a place; a space of a network is called so in findings, and in the partition is not."""
    before = f"{row.file}: " if row.file else ""
    for name in (where, AXIS.sub("", where), before + row.rest.removeprefix("space ")):
        if name in widths:
            row.units, row.distinct = widths[name].units, widths[name].distinct
            return
