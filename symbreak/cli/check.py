"""Say which units of saved weights are tied.

Exit code: 0 if everything was read and nothing was found at --fail-on or above, 1 if something was found, 2 if
something could not be read; what was found is printed all the same.
"""

import argparse
import sys
from pathlib import Path

from symbreak.cli._codes import code_list
from symbreak.cli._output import output, wants_colour
from symbreak.cli._progress import progress
from symbreak.findings import CODES, Level
from symbreak.reports import Report, to_text, visible

FORMATS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take paths, and how to judge and to print."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="a file, a folder of files, or a sharded model's index"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="how to print the result (default: text)")
    parser.add_argument("--output", metavar="FILE", help="write the result to a file instead of stdout")
    for option, text in (
        ("--select", "only these codes, or those that begin so: SB1,SB301"),
        ("--ignore", "not these codes; what could not be read counts all the same"),
    ):
        parser.add_argument(option, metavar="CODES", type=code_list, action="extend", default=[], help=text)
    levels = [str(level) for level in reversed(Level)]
    parser.add_argument(
        "--fail-on", choices=levels, default="warning", help="lowest level for code 1 (default: warning)"
    )
    parser.add_argument(
        "--tolerance",
        metavar="T",
        type=_tolerance,
        help="report units too whose relative distance is at most T, from 0 to 0.5 (SB103, SB104, SB105)",
    )
    parser.add_argument("--exit-zero", action="store_true", help="exit with 0 whatever was found, if all was read")


def run(arguments: argparse.Namespace) -> int:
    """Judge the paths, print the report, and give the exit code."""
    if replaced := _replaced(arguments.output, arguments.paths):
        print(
            f"symbreak: --output {visible(arguments.output)} would replace {visible(replaced)}, which is to be read; "
            f"name another file",
            file=sys.stderr,
        )
        return 2
    try:
        with output(arguments.output) as write:
            report = _judge(arguments)
            write(_render(report, arguments))
        if arguments.output is not None:
            print(report.verdict, file=sys.stderr)  # so that the log of a CI job isn't empty
    except OSError as error:  # the report itself takes in whatever can't be read
        if arguments.output is None:
            raise
        print(f"symbreak: cannot write to {visible(arguments.output)}: {error.strerror or error}", file=sys.stderr)
        return 2
    if report.skipped:
        return 2
    failed = report.at_least(Level[arguments.fail_on.upper()])
    return 1 if failed and not arguments.exit_zero else 0


def _tolerance(text: str) -> float:
    from symbreak.diagnosis import check_tolerance

    try:
        value = float(text)
        check_tolerance(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a relative distance from 0 to 0.5 is needed; got {visible(text)}") from None
    return value


def _replaced(target: str | None, paths: list[str]) -> str | None:
    """Give the path to be read that is the file to be written."""
    if target is None or not Path(target).exists():
        return None
    return next((path for path in paths if Path(path).exists() and Path(path).samefile(target)), None)


def _judge(arguments: argparse.Namespace) -> Report:
    from symbreak._api import diagnose_path

    seen = set[Path]()
    with progress() as tell:
        report = Report.merged(
            diagnose_path(path, progress=tell, seen=seen, tolerance=arguments.tolerance) for path in arguments.paths
        )
    return report.only(set(arguments.select or CODES) - set(arguments.ignore))


def _render(report: Report, arguments: argparse.Namespace) -> str:
    if arguments.format == "json":
        return report.to_json()
    return to_text(report, colour=arguments.output is None and wants_colour())
