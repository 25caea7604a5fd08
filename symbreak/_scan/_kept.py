"""What a scan judged, kept in a file, so that one that was interrupted goes on where it stopped.

A line of JSON for each array, after one for the settings, is appended as the scan goes; a line that was cut off is no
loss. An array is judged again when the file that held it, its settings or the version of symbreak differ.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from symbreak._visible import visible
from symbreak.findings import Finding, Level
from symbreak.reports import Report

from ._step import State

SCHEMA = 1


class Kept:
    """A file of what was judged.

    Parameters
    ----------
    path
        The file; made where there is none.
    settings
        What the reports depend on beside the files, ready for JSON.

    Raises
    ------
    OSError
        It can't be read or written.
    ValueError
        It is something else, or was made with other settings.
    """

    def __init__(self, path: str | os.PathLike[str], settings: dict[str, Any]) -> None:
        self._path = os.fspath(path)
        self._known: dict[tuple[str, str], dict[str, Report]] = {}
        head = {"symbreak": "judged arrays", "schema": SCHEMA, **settings}
        self._stream = Path(path).open("a+b")  # noqa: SIM115 - it is closed by `close`
        try:
            self._load(head)
        except BaseException:
            self._stream.close()
            raise

    def find(self, path: str, state: State) -> dict[str, Report]:
        """Return {name: report} of what was judged of a file, if it is still what it was."""
        return dict(self._known.get((path, _key(state)), {}))

    def add(self, path: str, state: State, judged: Iterable[tuple[str, Report]]) -> None:
        """Append what was judged; what could not be read is tried again another time.

        Raises
        ------
        OSError
            It can't be written.
        """
        lines = [_line(path, state, name, report) for name, report in judged if not report.skipped]
        if lines:
            self._stream.write("".join(lines).encode())
            self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _load(self, head: dict[str, Any]) -> None:
        self._stream.seek(0)
        whole = 0
        for number, line in enumerate(self._stream):
            if not line.endswith(b"\n"):  # cut off when the scan was
                break
            if number == 0:
                self._check(line, head)
            else:
                self._take(line, number)
            whole += len(line)
        if whole == 0:
            if self._stream.seek(0, os.SEEK_END) and not self._is_ours(head):
                raise self._strange(1)
            self._stream.truncate(0)
            self._stream.write(json.dumps(head).encode() + b"\n")
            self._stream.flush()
        else:
            self._stream.truncate(whole)

    def _is_ours(self, head: dict[str, Any]) -> bool:
        """Say whether a first line that was cut off is the beginning of ours."""
        self._stream.seek(0)
        return json.dumps(head).encode().startswith(self._stream.read(1 << 16))

    def _check(self, line: bytes, head: dict[str, Any]) -> None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise self._strange(1) from None
        if not isinstance(found, dict) or found.get("symbreak") != head["symbreak"]:
            raise self._strange(1)
        for name, value in head.items():
            if found.get(name) != value:
                was, now = _setting(name, found.get(name)), _setting(name, value)
                raise ValueError(
                    f"{visible(self._path)} was made with {was}, and this scan has {now}; name another file"
                )

    def _take(self, line: bytes, number: int) -> None:
        try:
            row = json.loads(line)
            findings = tuple(
                Finding(code, Level[level.upper()], where, tuple(map(tuple, groups)), message, fix)
                for code, level, where, groups, message, fix in row["findings"]
            )
            report = Report(findings, arrays=row["arrays"])
            self._known.setdefault((row["file"], json.dumps(row["state"])), {})[row["name"]] = report
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise self._strange(number + 1) from None

    def _strange(self, line: int) -> ValueError:
        return ValueError(
            f"{visible(self._path)} is no file that a scan keeps what it judged in (line {line}); name another file"
        )


def _setting(name: str, value: object) -> str:
    """Write a setting for people.

    Examples
    --------
    >>> _setting("tolerance", None), _setting("tolerance", 0.01), _setting("version", "1.2")
    ('no tolerance', 'a tolerance of 0.01', "version '1.2'")
    """
    if name != "tolerance":
        return f"{name} {visible(repr(value))}"
    return "no tolerance" if value is None else f"a tolerance of {visible(repr(value))}"


def _line(path: str, state: State, name: str, report: Report) -> str:
    findings = [
        [each.code, str(each.level), each.where, each.groups, each.message, each.fix] for each in report.findings
    ]
    row = {"file": path, "state": state, "name": name, "arrays": report.arrays, "findings": findings}
    return json.dumps(row) + "\n"


def _key(state: State) -> str:
    return json.dumps(state)
