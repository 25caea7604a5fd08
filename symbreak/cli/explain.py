"""Explain one code: what it means for training, what usually causes it, and what to do about it."""

import argparse
import textwrap

from symbreak.cli._codes import code_prefix
from symbreak.findings import CODES, Code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a code, or the beginning of several."""
    parser.add_argument("codes", metavar="CODE", type=code_prefix, help="such as SB101, or SB1 for all that begin so")


def run(arguments: argparse.Namespace) -> int:
    """Print a page for each code."""
    print("\n\n".join(_page(CODES[code]) for code in arguments.codes))
    return 0


def _page(row: Code) -> str:
    causes = [_fill(cause, "  - ", "    ") for cause in row.causes]
    return "\n".join(
        [
            f"{row.code} ({row.level}): {row.sentence}",
            "",
            _fill(row.why),
            "",
            "What usually causes it:",
            *causes,
            "",
            _fill(f"What to do: {row.fix}."),
        ]
    )


def _fill(text: str, first: str = "", later: str = "") -> str:
    return textwrap.fill(text, 80, initial_indent=first, subsequent_indent=later)
