"""The command `symbreak`: one file a subcommand, and the only part that prints.

Results go to stdout; progress and complaints go to stderr. The exit code is 0 if everything was read and nothing was
found, 1 if something was found, and 2 for a wrong call or something that could not be read.
"""

import argparse
import contextlib
import importlib
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence

import symbreak
from symbreak.cli._signals import Ended, raising

# A new command is a new row and a new file: the name on the command line, its module here, and one line of help.
COMMANDS = (
    ("check", "check", "say which units of saved weights are tied"),
    ("init", "init", "write the initial weights of a model to a file, by rules or a recipe"),
    ("repair", "repair", "merge, untie or draw again the tied units of saved weights"),
    ("list", "codes", "list what can be found, the initializers and the recipes"),
    ("explain", "explain", "explain a code: what it means, its causes, what to do"),
    ("demo", "demo", "train a network from a constant and a random start, and diagnose both"),
)

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
BROKEN_PIPE = 141  # 128 + SIGPIPE


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="symbreak", description="How a network's weights start, and whether its units can ever become different."
    )
    parser.add_argument("--version", action="version", version=f"symbreak {symbreak.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module, text in COMMANDS:
        command = importlib.import_module(f"symbreak.cli.{module}")
        child = commands.add_parser(name, help=text, description=_fill(command.__doc__), formatter_class=_Help)
        command.add_arguments(child)
        child.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit code.
    """
    with _closed_streams_replaced():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name may hold what the terminal's encoding has not
    try:
        with raising():
            arguments = build_parser().parse_args(argv)
            code = int(arguments.run(arguments))
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Ended as error:
        return error.code
    except BrokenPipeError:  # whoever read our output has left
        _abandon_stdout()
        return BROKEN_PIPE
    except OSError as error:  # a full disk, for one
        _abandon_stdout()
        print(f"symbreak: cannot write to stdout: {error.strerror or error}", file=sys.stderr)
        return 2
    return code


@contextlib.contextmanager
def _closed_streams_replaced() -> Iterator[None]:
    """Give what is written to a stream that the caller closed, as in ``symbreak check PATH >&-``, a place to go."""
    closed = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        for name in closed:
            setattr(sys, name, nowhere)
        try:
            yield
        finally:
            for name in closed:
                setattr(sys, name, None)


def _abandon_stdout() -> None:
    """Give what is still in the buffer somewhere to go, should Python write it once more at exit.

    References
    ----------
    The note on SIGPIPE in the documentation of Python's `signal` module.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fill(text: str | None) -> str:
    """Fill the paragraphs of a module's docstring to 80 columns."""
    return "\n\n".join(textwrap.fill(" ".join(paragraph.split()), 80) for paragraph in (text or "").split("\n\n"))


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help that keeps the paragraphs of a description."""
