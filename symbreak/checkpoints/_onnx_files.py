"""Values that an ONNX model keeps in other files: each reference is checked before anything is opened.

A model is a file of strangers, and what it names must lie beside it or below: no absolute path, no step up, no
backslash, no drive, no URL, no link, symbolic or hard, and no key that is not known. The length is that of the shape.

The keys are those of [1].

[1] https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
"""

import os
import re
from collections.abc import Iterator
from typing import final

from symbreak._visible import number, quoted, visible
from symbreak.checkpoints._onnx_messages import PAIR
from symbreak.checkpoints._protobuf import Message
from symbreak.checkpoints._source import Source
from symbreak.errors import BadCheckpoint

KEYS = {"location", "offset", "length", "checksum"}
MOST_FILES = 10_000
LONGEST_NAME = 255  # bytes; what a file system gives a name
PLAIN = re.compile(r"[^/\\:\x00]+\Z")
NATURAL = re.compile(r"[0-9]{1,19}\Z")


@final
class SideFiles:
    """The files of values of one model, each opened once.

    Parameters
    ----------
    source
        The model.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._opened: dict[str, Source | str] = {}

    def find(self, tensor: Message, needed: int, what: str) -> tuple[Source, int] | str:
        """Return the file in which a tensor's bytes lie and where they begin, or why it can't be read.

        Raises
        ------
        BadCheckpoint
            The reference is malformed or leads out of the folder, or the bytes are not all in the file.
        """
        said = self._said(tensor, what)
        location = said.get("location", "")
        if not _is_plain(location):
            raise self._source.bad(
                f"{what} is in the file {quoted(location)}",
                "a file of values must have a plain name, beside the model or in a folder below it",
            )
        begin = self._bytes(said, "offset", 0, what)
        length = self._bytes(said, "length", needed, what)
        if length != needed:
            raise self._source.bad(f"{what} needs {number(needed)} bytes for its shape, and has {number(length)}")
        file = self._file(location)
        if isinstance(file, str):
            return file
        if begin + needed > file.size:
            raise self._source.bad(
                f"{what} should take {number(needed)} bytes at offset {begin:,} of {quoted(location)}, which has "
                f"{file.size:,}",
                "that file is truncated or another model's: fetch or save it again",
            )
        return file, begin

    def _said(self, tensor: Message, what: str) -> dict[str, str]:
        said: dict[str, str] = {}
        for pair in tensor.parts("external_data", PAIR, f"{what}, reference"):
            key = pair.texts.get("key", "")
            if key not in KEYS:
                raise self._source.bad(
                    f"{what} says {quoted(key)} of its file", "known are location, offset, length and checksum"
                )
            if key in said:
                raise self._source.bad(f"{what} says the {key} of its file twice")
            said[key] = pair.texts.get("value", "")
        return said

    def _bytes(self, said: dict[str, str], key: str, default: int, what: str) -> int:
        text = said.get(key)
        if text is None:
            return default
        if not NATURAL.match(text):
            raise self._source.bad(f"{what} has the {key} {quoted(text)} in its file", "it should be a number of bytes")
        return int(text)

    def _file(self, location: str) -> Source | str:
        if location not in self._opened:
            if len(self._opened) == MOST_FILES:
                raise self._source.bad(f"it names more than {MOST_FILES:,} files", "save its values in one file")
            self._opened[location] = self._open(location)
        return self._opened[location]

    def _open(self, location: str) -> Source | str:
        """Open a file, or say why it can't be; no part of its path may be a link."""
        name = f"its file {quoted(location)}"
        path = os.path.dirname(self._source.path)  # noqa: PTH120 - the path stays the caller's text
        for part in location.split("/"):
            path = os.path.join(path, part)  # noqa: PTH118
            if os.path.islink(path):  # noqa: PTH114
                return f"{name} is or lies behind a symbolic link: put the file itself beside the model"
        try:
            if os.stat(path, follow_symlinks=False).st_nlink > 1 and os.path.isfile(path):  # noqa: PTH113, PTH116
                return f"{name} has other names too, by hard links: put a copy of it beside the model"
            return Source(path, follow=False)
        except OSError as error:
            return f"{name} can't be opened: {visible(error.strerror)}"
        except BadCheckpoint as error:
            return f"{name} {visible(error.problem)}"

    def __iter__(self) -> Iterator[Source]:
        return (file for file in self._opened.values() if isinstance(file, Source))

    def close(self) -> None:
        """Let go of all files."""
        for file in self:
            file.close()


def _is_plain(location: str) -> bool:
    parts = location.split("/")
    return all(PLAIN.match(p) and p not in (".", "..") and len(p.encode()) <= LONGEST_NAME for p in parts)
