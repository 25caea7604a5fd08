"""Codes on the command line: by prefix, several at a time."""

import argparse

from symbreak.findings import select_codes


def code_prefix(text: str) -> tuple[str, ...]:
    """Read one code, or the beginning of several."""
    try:
        return select_codes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def code_list(text: str) -> tuple[str, ...]:
    """Read codes or their beginnings, separated by commas."""
    return tuple(code for prefix in text.split(",") for code in code_prefix(prefix))
