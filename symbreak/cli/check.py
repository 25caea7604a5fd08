"""Say which units of saved weights are tied.

Exit code: 0 if everything was read and nothing was found at --fail-on or above, 1 if something was found, 2 if
something could not be read; what was found is printed all the same.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from symbreak.cli._codes import code_list
from symbreak.cli._output import cannot_write, file_name, file_or_stdout, is_one, is_same, output, wants_colour, why_not
from symbreak.cli._progress import progress
from symbreak.findings import Level
from symbreak.reports import Report, to_text, visible

if TYPE_CHECKING:
    from symbreak._scan import ConfigLike, Entry, Kept, Step, WiringLike
    from symbreak.cli._baseline import Baseline
    from symbreak.cli._settings import Settings

FORMATS = ("text", "json", "html", "sarif", "github", "markdown")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take paths, and how to judge and to print."""
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="a file, a folder of files, a sharded model's index, or a pattern such as 'models/**/*.npz'",
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="how to print the result (default: text)")
    parser.add_argument(
        "--output", metavar="FILE", type=file_or_stdout, help="write the result to this file; - is stdout (default)"
    )
    for option, text in (
        ("--select", "only these codes, or those that begin so: SB1,SB301"),
        ("--ignore", "not these codes; what could not be read counts all the same"),
    ):
        parser.add_argument(option, metavar="CODES", type=code_list, action="extend", default=[], help=text)
    levels = [str(level) for level in reversed(Level)]
    parser.add_argument("--fail-on", choices=levels, help="lowest level for code 1 (default: warning)")
    parser.add_argument(
        "--baseline",
        metavar="F",
        type=file_name,
        help="don't report the findings that this file holds, and say which of them are gone",
    )
    parser.add_argument(
        "--write-baseline",
        metavar="F",
        type=file_name,
        help="keep every finding in this file; exit with 0 if all was read",
    )
    settings = parser.add_mutually_exclusive_group()
    settings.add_argument(
        "--settings",
        metavar="F",
        type=file_name,
        help="a TOML file with a table [tool.symbreak] (default: the nearest pyproject.toml that has one); the options "
        "here come before it",
    )
    settings.add_argument("--no-settings", action="store_true", help="read no such file")
    parser.add_argument(
        "--tolerance",
        metavar="T",
        type=_tolerance,
        help="report units too whose relative distance is at most T, from 0 to 0.5 (SB103, SB104, SB105)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=_workers,
        help="threads (default: one for each processor); the result is the same",
    )
    parser.add_argument(
        "--resume",
        metavar="FILE",
        type=file_name,
        help="keep in FILE what was judged, and don't judge again what is kept there",
    )
    parser.add_argument(
        "--compare", action="store_true", help="report weights that are the same in several of the files too (SB401)"
    )
    parser.add_argument(
        "--run",
        dest="one_run",
        action="store_true",
        help="take the files for those of one run, in the order given, and say how equal units come apart; files that "
        "differ in the number of a step or an epoch alone are taken so without it",
    )
    parser.add_argument(
        "--network",
        action="store_true",
        help="judge each file as one network too, as far as it is known how its tensors are connected (SB2)",
    )
    parser.add_argument(
        "--wiring",
        metavar="F",
        type=file_name,
        help="a file that says how the tensors of one model are connected; implies --network",
    )
    parser.add_argument(
        "--config",
        metavar="F",
        type=file_name,
        help="the model's config.json (default: the one beside the file); implies --network",
    )
    parser.add_argument(
        "--show-wiring",
        action="store_true",
        help="judge nothing, but print how the tensors of each file are understood to be connected",
    )
    parser.add_argument("--exit-zero", action="store_true", help="exit with 0 whatever was found, if all was read")


def run(arguments: argparse.Namespace) -> int:
    """Judge the paths, print the report, and give the exit code."""
    if arguments.output and arguments.write_baseline and is_one(arguments.output, arguments.write_baseline):
        print(
            f"symbreak: --output and --write-baseline both name {visible(arguments.output)}; name two files",
            file=sys.stderr,
        )
        return 2
    try:
        _keep_what_is_read(arguments)
        if arguments.show_wiring:
            return _show_wiring(arguments)
        settings = _settings(arguments)
        _keep(arguments, (settings.baseline, arguments.settings), [])
        baseline = _baseline(settings)
        keep = _keep_baseline(arguments)
        with output(arguments.output) as write, _kept(arguments) as kept, keep as write_baseline:
            whole = _judge(arguments, kept)
            report = settings.apply(whole)
            if baseline is not None:
                report = baseline.apply(report)
                if gone := baseline.gone(whole, _options(arguments)):
                    from symbreak.cli._baseline import gone_text

                    print(f"symbreak: {gone_text(settings.baseline or '', gone)}", file=sys.stderr)
            write(_render(report, arguments))
            write_baseline(report)
        if arguments.output is not None:
            print(report.verdict, file=sys.stderr)  # so that the log of a CI job isn't empty
    except _Unusable as error:
        print(f"symbreak: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # the report itself takes in whatever can't be read
        if arguments.output is None:
            raise
        print(f"symbreak: {cannot_write(arguments.output, error)}", file=sys.stderr)
        return 2
    if kept is not None and kept.failed:
        return 2
    if report.skipped:
        return 2
    failed = report.at_least(Level[(settings.fail_on or "warning").upper()])
    return 1 if failed and not arguments.exit_zero and arguments.write_baseline is None else 0


def _settings(arguments: argparse.Namespace) -> "Settings":
    """Give the settings of the project, those of the command line before them; the tolerance becomes an argument."""
    from symbreak.cli._settings import Settings, find_settings, read_settings

    settings = Settings()
    path = None if arguments.settings is None else Path(arguments.settings)
    try:
        if path is None and not arguments.no_settings:
            path = find_settings(Path.cwd())
        if path is not None:
            settings = read_settings(path)
    except OSError as error:
        where = visible(error.filename or arguments.settings or "the working folder")
        raise _Unusable(f"cannot read {where}: {error.strerror or error}") from None
    except ValueError as error:
        raise _Unusable(str(error)) from None
    arguments.settings = None if path is None else str(path)
    if arguments.tolerance is None:
        arguments.tolerance = settings.tolerance
    settings = replace(
        settings,
        select=tuple(arguments.select) or settings.select,
        ignore=tuple(arguments.ignore) or settings.ignore,
        fail_on=arguments.fail_on or settings.fail_on,
        baseline=None if arguments.write_baseline is not None else arguments.baseline or settings.baseline,
    )
    if not settings.codes:
        raise _Unusable(
            "--ignore, or ignore of [tool.symbreak], leaves none of the codes that are selected: leave it out"
        )
    return settings


def _baseline(settings: "Settings") -> "Baseline | None":
    if settings.baseline is None:
        return None
    from symbreak.cli._baseline import Baseline

    try:
        return Baseline(settings.baseline)
    except FileNotFoundError:
        path = visible(settings.baseline)
        raise _Unusable(f"there is no baseline {path}: make one with --write-baseline {path}") from None
    except OSError as error:
        raise _Unusable(f"cannot read {visible(settings.baseline)}: {error.strerror or error}") from None
    except ValueError as error:
        raise _Unusable(str(error)) from None


@contextlib.contextmanager
def _keep_baseline(arguments: argparse.Namespace) -> "Iterator[Callable[[Report], None]]":
    """Give a function that keeps the findings of a report in a file; the place is tried before the scan begins."""
    path = arguments.write_baseline
    if path is None:
        yield lambda report: None  # noqa: ARG005 - there is nothing to keep
        return
    from symbreak import __version__
    from symbreak.cli._baseline import baseline_text

    with contextlib.ExitStack() as stack:
        try:
            write = stack.enter_context(output(path))
        except OSError as error:
            raise _Unusable(cannot_write(path, error)) from None
        yield lambda report: write(baseline_text(report, path, __version__, _options(arguments)))


def _options(arguments: argparse.Namespace) -> dict[str, object]:
    """Give what decides which findings are looked for."""
    network = bool(arguments.wiring or arguments.network or arguments.config is not None)
    return {"network": network, "tolerance": arguments.tolerance}


def _tolerance(text: str) -> float:
    from symbreak.diagnosis import check_tolerance

    try:
        value = float(text)
        check_tolerance(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a relative distance from 0 to 0.5 is needed; got {visible(text)}") from None
    return value


def _keep_what_is_read(arguments: argparse.Namespace) -> None:
    """Refuse to write over the files of the call; a baseline is brought up to date under its own name."""
    named = (arguments.settings, arguments.wiring, arguments.config, arguments.resume)
    _keep(arguments, named, arguments.paths)


def _keep(arguments: argparse.Namespace, named: Iterable[str | None], paths: list[str]) -> None:
    files = [path for path in named if path is not None]
    for option, target in (("--output", arguments.output), ("--write-baseline", arguments.write_baseline)):
        if target is None:
            continue
        if replaced := next((file for file in files if is_one(file, target)), None) or _replaced(target, paths):
            raise _Unusable(
                f"{option} {visible(target)} would replace {visible(replaced)}, which is to be read; name another file"
            )


def _replaced(target: str, paths: list[str]) -> str | None:
    """Give the path to be read that is the file to be written, or holds it: a folder, a pattern, an index."""
    if not os.path.isfile(target):  # noqa: PTH113 - where it may not be looked at, writing says so
        return None
    if named := next((path for path in paths if is_same(path, target)), None):
        return named
    from symbreak._scan import UNREADABLE, list_entries
    from symbreak.checkpoints import open_checkpoint

    for entry in list_entries(paths):
        if is_same(entry.path, target):
            return entry.path
        if entry.fault is None and Path(entry.path).resolve().parent == Path(target).resolve().parent:
            with contextlib.suppress(*UNREADABLE), open_checkpoint(entry.path) as ckpt:  # shards and files beside it
                if any(is_same(file, target) for file, *_ in ckpt.state):
                    return entry.path
    return None


def _workers(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"a positive number of threads is needed; got {visible(text)}")
    return int(text)


class _Unusable(Exception):  # noqa: N818 - says what is the matter
    """A file that an option names can't be used."""


class _Keeper:
    """Keeps what is judged; where that fails, the scan goes on without, and the exit code says so."""

    def __init__(self, kept: "Kept", path: str) -> None:
        self.kept, self._path, self.failed = kept, path, False

    def add(self, path: str, step: "Step") -> None:
        if self.failed:
            return
        try:
            self.kept.add(path, step.state, step.judged)
        except OSError as error:
            self.failed = True
            reason = error.strerror or error
            print(f"symbreak: cannot write to {visible(self._path)}: {reason}; going on without", file=sys.stderr)


@contextlib.contextmanager
def _kept(arguments: argparse.Namespace) -> "Iterator[_Keeper | None]":
    if arguments.resume is None:
        yield None
        return
    from symbreak import __version__
    from symbreak._scan import Kept

    try:
        kept = Kept(arguments.resume, {"version": __version__, "tolerance": arguments.tolerance})
    except OSError as error:
        raise _Unusable(f"cannot use {visible(arguments.resume)}: {why_not(arguments.resume, error)}") from None
    except ValueError as error:
        raise _Unusable(str(error)) from None
    with kept:
        yield _Keeper(kept, arguments.resume)


def _judge(arguments: argparse.Namespace, keeper: _Keeper | None) -> Report:
    from symbreak._scan import (
        Options,
        Step,
        bounded,
        compare,
        find_runs,
        guarded,
        joined,
        list_entries,
        one_run,
        scan,
        with_growth,
    )

    options = Options(arguments.workers, arguments.tolerance, {}, *_wired(arguments), arguments.format == "html")
    entries = list_entries(arguments.paths)
    kept = None if keeper is None else keeper.kept

    def begin_at(number: int) -> "Iterator[Step]":
        return map(_light, bounded(scan(entries, options, kept=kept, begin=number)))

    steps: list[Step] = []
    last = None
    report = None
    try:
        with progress(entries) as tell:
            for step in guarded(entries, begin_at):
                last = step
                steps.append(replace(step, judged=()))
                if keeper is not None:
                    keeper.add(entries[step.entry].path, step)
                tell(step)
        if arguments.compare:
            told = {skipped.where for step in steps for skipped in step.report.skipped}  # not to be said twice
            steps.append(Step(len(entries), compare([entry.path for entry in entries if entry.path not in told])))
        report = joined(steps)
        return with_growth(report, one_run(entries) if arguments.one_run else find_runs(entries), guarded)
    except KeyboardInterrupt:
        if report is not None:  # all was judged; what is left is how it grew
            return Report.merged([report, _not_followed()])
        steps.append(Step(len(entries), _interrupted(entries, last)))
    return joined(steps)


def _light(step: "Step") -> "Step":
    """Leave out the classes of units, which no output shows: of a million arrays they take half of the memory."""
    judged = tuple((name, replace(report, partition={})) for name, report in step.judged)
    return replace(step, report=step.report.counted(), judged=judged)


def _show_wiring(arguments: argparse.Namespace) -> int:
    """Print how the tensors of each file are understood to be connected."""
    from symbreak._scan import UNREADABLE, list_entries, unread
    from symbreak.checkpoints import open_checkpoint, wire
    from symbreak.cli._show import wiring_text

    wiring, config = _wired(arguments)
    given = None if isinstance(wiring, bool) else wiring
    faults: list[Report] = []
    with output(arguments.output) as write:
        for entry in list_entries(arguments.paths):
            if entry.fault is not None:
                faults.append(entry.fault)
                continue
            try:
                with open_checkpoint(entry.path) as ckpt:
                    write(wiring_text(entry.path, wire(ckpt, config=config, wiring=given)))
            except UNREADABLE as error:
                faults.append(unread(entry.path, error))
            except ValueError as error:
                raise _Unusable(f"{visible(entry.path)}: {error}") from None
        if faults:
            write(to_text(Report.merged(faults)))
    return 2 if faults else 0


def _wired(arguments: argparse.Namespace) -> "tuple[WiringLike, ConfigLike]":
    """Read what says how tensors are connected; --config, too, asks for the network."""
    from symbreak._scan import read_wired

    try:
        return read_wired(arguments.wiring or arguments.network or arguments.config is not None, arguments.config)
    except OSError as error:
        path = visible(error.filename or arguments.wiring or arguments.config)
        raise _Unusable(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise _Unusable(str(error)) from None


def _interrupted(entries: "Sequence[Entry]", last: "Step | None") -> Report:
    """Report what was not judged when the scan was interrupted."""
    from symbreak._scan import unread

    number = 0 if last is None else last.entry
    done = "" if last is None or not last.arrays else f" after {last.done} of its {last.arrays} arrays"
    more = len(entries) - number - 1
    others = f", and {more} more {'file was' if more == 1 else 'files were'} not read" if more else ""
    fix = "check again; --resume FILE keeps what was judged"
    return unread(entries[number].path if entries else "", f"the scan was interrupted{done}{others}", fix)


def _not_followed() -> Report:
    """Report that it was not seen to the end how units come apart."""
    from symbreak._scan import unread

    reason = "the scan was interrupted when every file was judged, before it was seen how equal units come apart"
    return unread("the files of a run", reason, "check again")


def _render(report: Report, arguments: argparse.Namespace) -> str:
    if arguments.format == "text":
        return to_text(report, colour=arguments.output is None and wants_colour())
    if arguments.format == "json":
        return report.to_json()
    from symbreak import __version__, reports

    if arguments.format == "sarif":
        return reports.to_sarif(report, __version__)
    write = {"html": reports.to_page, "github": reports.to_github, "markdown": reports.to_markdown}
    return write[arguments.format](report)
