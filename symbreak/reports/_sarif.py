"""A report as SARIF 2.1.0, which code-scanning services take, and the fingerprints by which they know a finding again.

References
----------
OASIS. "Static Analysis Results Interchange Format (SARIF) Version 2.1.0". 2020.
https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from symbreak._visible import to_ascii_json, visible
from symbreak.findings import CODES, Finding, Level

from ._places import files_of, split_files, split_place, tensor_of

if TYPE_CHECKING:
    from ._report import Report

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MESSAGE = 2000  # characters of a message
NAMES = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "note"}


def to_sarif(report: "Report", version: str = "") -> str:
    """Write a report as SARIF 2.1.0, in ASCII.

    Parameters
    ----------
    report
        The report. What was not read is among the notifications, and the run is then not successful.
    version
        Of symbreak.

    Returns
    -------
    str
        One run. A result names the file, the tensor or space, and a fingerprint of both and the code: it stays the same
        from run to run, whatever the message says.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> from symbreak.reports import to_sarif
    >>> report = sb.diagnose(np.ones((3, 2)))
    >>> import json
    >>> [result["ruleId"] for result in json.loads(to_sarif(report))["runs"][0]["results"]]
    ['SB101']
    """
    rules = list(CODES)
    files = files_of(report)
    driver: dict[str, Any] = {"name": "symbreak", "rules": [_rule(code) for code in rules]}
    if version:
        driver["version"] = version
    seen: dict[str, int] = {}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not report.skipped,
                "toolExecutionNotifications": [
                    {
                        "level": "error",
                        "message": {"text": _text(f"{each.where}: {each.reason}")},
                        "locations": _locations(each.where, files),
                    }
                    for each in report.skipped
                ],
            }
        ],
        "artifacts": [{"location": {"uri": uri_of(file)}} for file in dict.fromkeys(report.files)],
        "results": [_result(finding, files, rules, seen) for finding in report.findings],
    }
    return to_ascii_json({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def fingerprint(finding: Finding, files: "frozenset[str]") -> str:
    """Give a hash of what a finding is: its code, its file and what is in it, without the units and the message."""
    file, rest = split_place(finding.where, files)
    if not file:  # several files, perhaps
        rest = ", ".join(relative(part) if part in files else part for part in split_files(rest, files))
    parts = (finding.code, relative(file) if file else "", rest)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def relative(path: str) -> str:
    """Write a path from the working folder, with / between its parts, where it lies below; else as it is.

    Examples
    --------
    >>> relative("./runs/../runs/a.npz")
    'runs/a.npz'
    """
    plain = os.path.normpath(path)
    try:
        below = os.path.relpath(plain) if os.path.isabs(plain) else plain  # noqa: PTH117 - text in, text out
    except ValueError:  # another drive
        return PurePath(plain).as_posix()
    return PurePath(plain if below.startswith(os.pardir) else below).as_posix()


def uri_of(path: str) -> str:
    """Write a path as a URI, relative where it lies below the working folder.

    Examples
    --------
    >>> uri_of("runs/a b.npz")
    'runs/a%20b.npz'
    """
    short = relative(path)
    if os.path.isabs(short):  # noqa: PTH117 - as above
        return Path(short).as_uri()
    escaped = quote(short.encode("utf-8", "surrogateescape" if _encodes(short) else "surrogatepass"), safe="/")
    return escaped if ":" not in escaped.split("/")[0] else f"./{escaped}"


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _rule(code: str) -> dict[str, Any]:
    row = CODES[code]
    causes = "\n".join(f"- {cause}" for cause in row.causes)
    return {
        "id": code,
        "shortDescription": {"text": row.sentence},
        "fullDescription": {"text": row.why},
        "help": {
            "text": f"{row.why}\nUsual causes:\n{causes}\nWhat to do: {row.fix}.",
            "markdown": f"{row.why}\n\nUsual causes:\n\n{causes}\n\nWhat to do: {row.fix}.",
        },
        "defaultConfiguration": {"level": NAMES[row.level]},
    }


def _result(finding: Finding, files: "frozenset[str]", rules: Sequence[str], seen: dict[str, int]) -> dict[str, Any]:
    print_ = fingerprint(finding, files)
    seen[print_] = seen.get(print_, 0) + 1  # a second one at the same place is told apart by its number
    text = f"{finding.message}. What to do: {finding.fix}."
    place = {"ruleIndex": rules.index(finding.code)} if finding.code in CODES else {}
    return {
        "ruleId": finding.code,
        **place,
        "level": NAMES[finding.level],
        "message": {"text": _text(text)},
        "locations": _locations(finding.where, files),
        "partialFingerprints": {"symbreak/v1": f"{print_}:{seen[print_]}"},
    }


def _locations(where: str, files: "frozenset[str]") -> list[dict[str, Any]]:
    """Say where something is: in what file, at its first line since tensors have none, and under what name.

    GitHub takes no log in which one result has no file.
    """
    file, rest = split_place(where, files)
    if not file and (several := [part for part in split_files(where, files) if part in files]):
        return [location for part in several for location in _locations(part, files)]
    location: dict[str, Any] = {}
    if file:
        location["physicalLocation"] = {"artifactLocation": {"uri": uri_of(file)}, "region": {"startLine": 1}}
    if rest:
        kind = "object" if not rest.startswith("space ") else "module"
        named = {"name": _text(tensor_of(rest)), "fullyQualifiedName": _text(rest), "kind": kind}
        location["logicalLocations"] = [named]
    return [location]


def _text(text: str) -> str:
    return visible(text, MESSAGE)
