"""What paths stand for: files, folders, and patterns such as ``models/**/*.safetensors``."""

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from symbreak.reports import Report

from ._judge import UNREADABLE, unread


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """A file to be judged; or, in place of one, the report of what could not be found.

    Parameters
    ----------
    path
        The file.
    size
        Its bytes, as far as they are known before it is opened.
    fault
        Why there is nothing to open.
    """

    path: str
    size: int = 0
    fault: Report | None = None


def list_entries(paths: Iterable[str | os.PathLike[str]]) -> list[Entry]:
    """List the files that paths stand for, each once, by whatever paths.

    Parameters
    ----------
    paths
        Files, folders, indexes of sharded models, or patterns: where nothing has the name itself, ``*``, ``?`` and
        ``[...]`` stand for parts of a name, and ``**`` for any number of folders.

    Returns
    -------
    list of Entry
        In the order of the paths, and within one in the order of the names.
    """
    entries: list[Entry] = []
    seen: set[str] = set()
    for path in paths:
        for entry in _one(os.fspath(path)):
            real = _real(entry.path)
            if real not in seen:
                seen.add(real)
                entries.append(entry)
    return entries


def _real(path: str) -> str:
    """Give where a path leads; the path itself if it is none."""
    try:
        return os.path.realpath(path) if path else ""
    except (OSError, ValueError):
        return path


def _one(path: str) -> list[Entry]:
    from symbreak.checkpoints import find_checkpoints

    if not path:  # Path("") would be the current folder
        return [Entry(path, fault=unread("''", "the path is empty", "name a file or a folder"))]
    matches = [path]
    if glob.has_magic(path) and not os.path.lexists(path):
        matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - the paths stay the caller's text
        if not matches:
            return [Entry(path, fault=unread(path, "no file has a name of this pattern", "check the pattern"))]
    entries: list[Entry] = []
    for match in matches:
        try:
            entries += [Entry(os.fspath(file), _size(file)) for file in find_checkpoints(match)]
        except UNREADABLE as error:  # a link that leads nowhere, for one: what else matches is judged
            entries.append(Entry(match, fault=unread(match, error)))
    if not entries:
        return [Entry(path, fault=unread(path, "there is no checkpoint in this folder"))]
    return entries


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
