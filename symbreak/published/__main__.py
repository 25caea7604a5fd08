"""`python -m symbreak.published [NAME ...]`: compute the figures of these names, or all, and print them."""

import argparse
import sys
from collections.abc import Sequence

from symbreak.engine._checks import look_up
from symbreak.errors import UnknownName

from ._figures import FIGURES


def main(arguments: Sequence[str]) -> int:
    """Print figures; 2 for a name that is not in the table, with nothing computed."""
    parser = argparse.ArgumentParser(
        prog="python -m symbreak.published",
        description="Compute published figures and print each beside the number in print; about half a minute for all.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(FIGURES)}; all by default")
    names = parser.parse_args(arguments).names
    try:
        functions = [look_up(FIGURES, name, "figure") for name in names or FIGURES]
    except UnknownName as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for number, function in enumerate(functions):
        sys.stdout.write(("\n" if number else "") + f"{function()}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
