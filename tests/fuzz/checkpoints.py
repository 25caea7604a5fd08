"""Fuzz the readers of saved files for a stated time.

``python -m tests.fuzz.checkpoints --seconds 600`` mutates the files of tests/data with atheris, which is guided by the
lines that an input reaches, or without it (``--by hypothesis``, also where atheris is not installed) as Hypothesis
draws. ``--only gguf`` takes the files whose names hold it. ``--here`` takes those that hold HDF5, and runs in this
process the code that else reads each of them in one of its own. An input that is neither read nor refused is written to
tests/data/fuzz, where the tests read it ever after; the exit code is then 1.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

DATA = Path(__file__).parent.parent / "data"
FOUND = DATA / "fuzz"
FOUND_ONE, HUNG, FAILED = 1, 1, 3  # exit codes: ours, that of a watched process that hangs, that of one that failed
LARGEST = 1 << 16  # bytes of a seed; larger files are slow to mutate, and show nothing that small ones don't


def seeds(only: str) -> list[Path]:
    """List the small files that mutations start from."""
    files = [path for path in sorted(DATA.rglob("*")) if path.is_file() and path.stat().st_size <= LARGEST]
    kept = [path for path in files if only in path.name and path.suffix not in {".py", ".jsonl"}]
    return [path for path in kept if path.name != ".gitattributes"]


def holds_hdf5(path: Path) -> bool:
    """Whether HDF5 is in a file."""
    return b"\x89HDF\r\n\x1a\n" in path.read_bytes()


def keep(data: bytes, error: BaseException) -> None:
    """Write an input that was found, and say what it did."""
    FOUND.mkdir(exist_ok=True)
    path = FOUND / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    print(f"{type(error).__name__}: {error}\nkept as {path}", file=sys.stderr)


def guarded(fuzz: Callable[[Path, float, int], object], seconds: float, number: int) -> int:
    """Fuzz in a fork, so that an input that ends the process, as a fault in HDF5 would, is kept as well.

    One that hangs within HDF5 is tried in a process with limits, as readers have it, and the fork begins anew.
    """
    memory, end = Path("/dev/shm"), time.monotonic() + seconds
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        path = Path(folder) / "input"
        while True:
            code = _forked(lambda number=number: fuzz(path, end - time.monotonic(), number))
            if code < 0:
                keep(path.read_bytes(), RuntimeError(f"the process was ended by signal {-code}"))
                return 1
            if code != HUNG or time.monotonic() > end:
                return FOUND_ONE if code not in (0, HUNG) else 0
            print("an input hangs within HDF5; trying it in a process with limits", file=sys.stderr)
            code = _forked(partial(_look, path.read_bytes()))
            if code:
                keep(path.read_bytes(), RuntimeError("it is neither read nor refused in a process with limits"))
                return FOUND_ONE
            number += 1_000_000


def _look(data: bytes) -> None:
    from . import _target

    _target.SECONDS = 120  # the process is ended after 8 seconds of its processor's time, which may be shared
    _target.Target()(data)


def _forked(work: Callable[[], object]) -> int:
    """Do some work in a fork; return its exit code, or less than 0 where a signal ended it."""
    child = os.fork()
    if child == 0:
        code = FAILED
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def by_hypothesis(files: list[Path], seconds: float, number: int, path: Path, here: bool = False) -> int:
    """Draw mutations until the time is over; return how many inputs were tried."""
    from ._edits import edited
    from ._target import Target, in_this_process, limits, watched

    target, end, tried = Target(path), time.monotonic() + seconds, 0
    look = watched(target) if here else target
    contents = [path.read_bytes() for path in files]
    last = b""

    while time.monotonic() < end:

        @seed(number + tried)
        @settings(max_examples=500, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(edited(contents))
        def one(data: bytes) -> None:
            nonlocal last, tried
            tried += 1
            if time.monotonic() < end:
                last = data
                look(data)

        try:
            with limits(), in_this_process() if here else contextlib.nullcontext():
                one()
        except BaseException as error:
            keep(last, error)
            raise
    print(f"hypothesis: {tried:,} inputs, {target.read:,} read and {target.refused:,} refused", file=sys.stderr)
    return tried


def by_atheris(files: list[Path], seconds: float, number: int, path: Path, here: bool = False) -> None:
    """Let libFuzzer mutate the files, guided by the lines of the readers; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["symbreak.checkpoints", "symbreak._visible", "symbreak.errors"]):
        from ._target import Target, in_this_process, limits, watched

        if here:
            from symbreak.checkpoints import _hdf5_child  # noqa: F401 - so that its lines guide the mutations
    look = watched(Target(path)) if here else Target(path)

    def one(data: bytes) -> None:
        try:
            look(data)
        except BaseException as error:
            keep(data, error)
            raise

    with tempfile.TemporaryDirectory() as folder, limits(), in_this_process() if here else contextlib.nullcontext():
        for file in files:
            (Path(folder) / file.name).write_bytes(file.read_bytes())
        options = [f"-max_total_time={seconds:.0f}", f"-max_len={LARGEST}", f"-seed={number + 1}", "-rss_limit_mb=0"]
        atheris.Setup([sys.argv[0], *options, "-verbosity=0", "-print_final_stats=1", folder], one)
        atheris.Fuzz()


def main() -> None:
    """Read the arguments and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.checkpoints", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default="", help="a part of the names of the files to start from")
    parser.add_argument("--by", choices=("atheris", "hypothesis"), help="by default atheris, where it is installed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help="read HDF5 in this process")
    arguments = parser.parse_args()
    files = [path for path in seeds(arguments.only) if not arguments.here or holds_hdf5(path)]
    if not files:
        sys.exit(f"no file of tests/data has {arguments.only!r} in its name")
    have = importlib.util.find_spec("atheris") is not None
    by = by_atheris if (arguments.by or ("atheris" if have else "hypothesis")) == "atheris" else by_hypothesis
    fuzz = lambda path, seconds, number: by(files, seconds, number, path, arguments.here)  # noqa: E731
    sys.exit(guarded(fuzz, arguments.seconds, arguments.seed))


if __name__ == "__main__":
    main()
