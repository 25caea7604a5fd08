"""List the codes that a diagnosis can give, and the names of the initializers and the recipes."""

import argparse
import textwrap

from symbreak.findings import CODES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes its arguments
    """Print one line a code, the initializers, and the recipes."""
    from symbreak import initializers, recipes

    for row in CODES.values():
        print(f"{row.code}  {row.level!s:<8} {row.sentence}")
    for title, names in (("initializers", initializers.names()), ("recipes", recipes.names())):
        print(f"\n{title}")
        for line in textwrap.wrap(", ".join(names), 76, break_long_words=False):
            print(f"    {line}")
    return 0
