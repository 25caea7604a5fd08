"""What the commands that write weights to a file have in common: the place, the seed, and how they say no."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from symbreak.cli._output import is_same
from symbreak.reports import visible

SUFFIXES = (".safetensors", ".npz")


class Refused(Exception):  # noqa: N818 - says what is the matter
    """The file can't be written, and why."""


def run_refusing(lines: Callable[[], list[str]]) -> int:
    """Print the lines that say what was done, or why it was not; give the exit code."""
    try:
        found = lines()
    except Refused as error:
        print(f"symbreak: {error}", file=sys.stderr)
        return 2
    if found:
        print("\n".join(found))
    return 0


def seed(text: str) -> int:
    """Read the number of --seed."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"a whole number of 0 or more is needed; got {visible(text)}")
    return int(text)


def check_suffix(target: str) -> None:
    """Refuse a file of a format that isn't written."""
    if Path(target).suffix not in SUFFIXES:
        raise Refused(f"{visible(target)} should end in {' or '.join(SUFFIXES)}, the formats that are written")


def refuse_same(target: str, paths: Iterable[str | None]) -> None:
    """Refuse to write over what is read."""
    if any(path is not None and is_same(path, target) for path in paths):
        raise Refused(f"{visible(target)} is to be read, and what is read is never changed; name another file")
