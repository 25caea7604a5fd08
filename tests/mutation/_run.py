"""Judge mutants: a process that has collected the tests once forks for each, changes the code in place and runs them.

Nothing is imported or collected again, so a mutant costs little more than its tests. A time limit counts seconds of the
processor, which a busy machine doesn't stretch.
"""

import contextlib
import functools
import gc
import os
import resource
import select
import signal
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ._map import Map, measure
from ._mutants import Mutant

KILLED, SURVIVED, TIMED_OUT, NO_TESTS = "killed", "survived", "timed out", "no tests"
MEMORY = 4 << 30  # bytes that a mutant's tests may take beyond what was taken before
PLAIN = (bool, int, float, str, tuple)


class Runner:
    """A pytest plugin that runs the mutants instead of the tests."""

    def __init__(
        self,
        sources: list[Path],
        kept: Path,
        profile: str,
        budget: float,
        chosen: list[Mutant],
        tell: Callable[[str], None],
    ) -> None:
        self.sources, self.kept, self.chosen, self.tell = sources, kept, chosen, tell
        self.profile, self.budget = profile, budget
        self.verdicts: list[tuple[Mutant, str, str]] = []
        self.kills: Counter[tuple[str, str]] = Counter()
        self.failed: list[str] = []
        self.on_failure: Callable[[str], None] | None = None

    def pytest_sessionstart(self) -> None:
        """Draw the same examples for each mutant, and shrink none: any failure will do."""
        from hypothesis import Phase, settings

        some, phases = settings.get_profile(self.profile), (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", some, phases=phases, derandomize=True, database=None)
        settings.load_profile("mutation")

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed or report.skipped:
            self.failed.append(report.nodeid)
            if report.failed and self.on_failure:
                self.on_failure(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session) -> bool:
        session.config.pluginmanager.unregister(name="terminalreporter")
        items = {item.nodeid: item for item in session.items}
        if not self.kept.exists():
            _forked(lambda out: measure(session, self.sources, self.run_afresh).save(self.kept), None)
        ways = Map.load(self.kept)
        self.tell(f"{len(ways.seconds)} of {len(items)} tests pass, in {sum(ways.seconds.values()):.0f} s")
        gc.collect()
        gc.freeze()
        for mutant in self.chosen:
            tests = ways.tests(mutant, self.kills, self.budget)
            verdict, killer = NO_TESTS, ""
            if tests:
                work = partial(self.judge, mutant, [items[each] for each in tests])
                verdict, killer = _forked(work, 10 + 4 * sum(ways.seconds[test] for test in tests))
            if verdict == KILLED:
                self.kills[mutant.path + mutant.scope, killer] += 1
            self.verdicts.append((mutant, verdict, killer))
            self.tell(f"{verdict:9} {mutant}" + (f" by {killer}" if killer else ""))
        return True

    def run(self, item, following=None) -> bool:
        """Run one test; whether it passed."""
        before = len(self.failed)
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return len(self.failed) == before

    def run_afresh(self, item, following=None) -> bool:
        """Run one test as if it were the first: what others left in caches would hide which lines it needs."""
        _forget()
        return self.run(item, following)

    def judge(self, mutant: Mutant, items: list[Any], out: int) -> None:
        """Run the tests until one fails. Called in a process of its own, which this ends."""

        def fail(name: str) -> None:
            os.write(out, name.encode())
            os._exit(1)

        self.on_failure = fail
        try:
            apply(mutant)
        except Exception as error:
            fail(f"import: {error!r}")
        for item, following in zip(items, [*items[1:], None], strict=True):
            self.run(item, following)


def _forked(work: Callable[[int], None], limit: float | None) -> tuple[str, str]:
    """Do `work(file descriptor)` in a fork: what became of it, and what it wrote to the descriptor."""
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 5))
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
        try:
            work(write)
        except BaseException:
            os._exit(3)
        os._exit(0)
    os.close(write)
    handle = os.pidfd_open(child)
    try:
        ended, _, _ = select.select([handle], [], [], None if limit is None else 10 * limit)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # the child, if it hangs, and what its tests left behind
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = os.read(read, 4096).decode()
    os.close(read)
    os.close(handle)
    if not ended or status == -signal.SIGXCPU:
        return TIMED_OUT, ""
    return (SURVIVED if status == 0 else KILLED), text or ("" if status == 0 else f"exit {status}")


def apply(mutant: Mutant) -> None:
    """Change the code of functions that are imported already, and the constants of every module that holds them."""
    module = sys.modules[mutant.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")]
    fresh = {key: vars(module)[key] for key in ("__name__", "__package__", "__file__", "__spec__")}
    exec(compile(mutant.source, str(module.__file__), "exec"), fresh)
    functions = dict(_functions(fresh, str(module.__file__)))
    for name, function in _functions(vars(module), str(module.__file__)):
        if name in functions:
            for part in ("__code__", "__defaults__", "__kwdefaults__"):
                setattr(function, part, getattr(functions[name], part))
    if not mutant.scope:
        for name, old in list(vars(module).items()):
            new = fresh.get(name)
            if name == mutant.name or (isinstance(new, PLAIN) and type(new) is type(old) and new != old):
                for each in _ours():
                    if vars(each).get(name) is old:
                        setattr(each, name, new)
    _forget()


def _ours() -> list[types.ModuleType]:
    return [each for name, each in sys.modules.items() if name.partition(".")[0] == "symbreak"]


def _functions(namespace: dict[str, Any], file: str, prefix: str = "") -> Iterator[tuple[str, types.FunctionType]]:
    """Find the functions that a module defines, in its classes and under their decorators too."""
    for name, value in list(namespace.items()):
        if isinstance(value, type) and value.__qualname__ == prefix + name:
            yield from _functions(dict(vars(value)), file, f"{prefix}{name}.")
        for part in (value.fget, value.fset) if isinstance(value, property) else (value,):
            if isinstance(part, staticmethod | classmethod):
                part = part.__func__
            elif isinstance(part, functools.cached_property):
                part = part.func
            while isinstance(part, types.FunctionType | functools._lru_cache_wrapper) and hasattr(part, "__wrapped__"):
                part = part.__wrapped__
            if isinstance(part, types.FunctionType) and part.__code__.co_filename == file:
                yield part.__qualname__, part


def _forget() -> None:
    """Empty the caches that functions keep: what they hold was computed before the change, or for another test."""
    for module in _ours():
        for value in vars(module).values():
            inside = vars(value).values() if isinstance(value, type) and value.__module__ == module.__name__ else ()
            for each in (value, *inside):
                each = getattr(each, "__func__", each)
                if isinstance(each, functools._lru_cache_wrapper):
                    each.cache_clear()
