"""The scan itself: files one after the other, their arrays in batches, here or on the workers of an executor."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, TypeAlias

from symbreak.errors import BadCheckpoint
from symbreak.reports import Report

from ._entries import Entry
from ._judge import UNREADABLE, Options, judge_tensor, unread
from ._step import State, Step

if TYPE_CHECKING:
    from symbreak.checkpoints import Checkpoint
    from symbreak.checkpoints._reader import TensorInfo

    from ._kept import Kept

BATCH = 1 << 24  # bytes of arrays in a batch
MOST = 256  # arrays in a batch
PARALLEL = 1 << 24  # bytes of arrays in a file below which threads cost more than they bring

Judged: TypeAlias = tuple[tuple[str, Report], ...]


def scan(
    entries: Sequence[Entry],
    options: Options,
    *,
    executor: Executor | None = None,
    kept: "Kept | None" = None,
    begin: int = 0,
) -> Iterator[Step]:
    """Judge the entries from `begin` on, in order.

    Parameters
    ----------
    entries
        What `list_entries` gave.
    options
        How to judge. The reports don't depend on the workers.
    executor
        Whose workers judge the batches: they must see the files under the same paths. None takes threads of this
        process.
    kept
        What an earlier scan judged; it is not read again where the file has not changed.
    begin
        The number of the first entry.

    Yields
    ------
    Step
        The first of a file names it, and others add its arrays.
    """
    for number in range(begin, len(entries)):
        entry = entries[number]
        if entry.fault is not None:
            yield Step(number, entry.fault)
        else:
            yield from _judge_file(number, entry.path, options, executor, kept)


def judge_batch(path: str, state: State, names: tuple[str, ...], options: Options) -> Judged:
    """Judge some arrays of a file on a worker, which opens it anew."""
    from symbreak.checkpoints import open_checkpoint

    try:
        with open_checkpoint(path) as checkpoint:
            if [facts[1:] for facts in checkpoint.state] != [facts[1:] for facts in state]:
                raise _changed(path)
            return _judge_some(checkpoint, path, names, options)
    except UNREADABLE as error:
        return tuple((name, unread(f"{path}: {name}", error)) for name in names)


def _judge_file(
    number: int, path: str, options: Options, executor: Executor | None, kept: "Kept | None"
) -> Iterator[Step]:
    from symbreak.checkpoints import open_checkpoint

    yield Step(number, Report(files=(path,)))
    try:
        with open_checkpoint(path) as checkpoint:
            before = {} if kept is None else kept.find(path, checkpoint.state)
            yield from _judge_all(number, checkpoint, path, options, executor, before)
            skipped = [unread(f"{path}: {skipped.name}", skipped.reason) for skipped in checkpoint.skipped]
            if checkpoint.changed():
                skipped.append(unread(path, _changed(path)))
            if skipped:
                yield Step(number, Report.merged(skipped))
    except UNREADABLE as error:
        yield Step(number, unread(path, error))


def _judge_all(
    number: int,
    checkpoint: "Checkpoint",
    path: str,
    options: Options,
    executor: Executor | None,
    before: dict[str, Report],
) -> Iterator[Step]:
    """Judge the arrays of an open file, those of `before` excepted, whose reports are there."""
    sizes = {name: _bytes(info) for name, info in checkpoint.tensors.items()}
    step = Step(number, Report(), 0, len(sizes), 0, sum(sizes.values()), state=checkpoint.state)
    old = tuple((name, before[name]) for name in sizes if name in before)
    new = {name: size for name, size in sizes.items() if name not in before}
    groups = _batches(new)
    with ExitStack() as stack:
        submit = _submitter(stack, checkpoint, path, new, options, executor, len(groups))
        done: dict[str, Report] = dict(old)
        for judged in _in_order(submit, groups, path):
            read = step.read + sum(sizes[name] for name, _ in judged)
            step = replace(step, report=Report(), done=step.done + len(judged), read=read, judged=judged)
            if old:  # the order of the file is that of the report, so it waits for the end
                done.update(judged)
                yield step
            else:
                yield replace(step, report=Report.merged(report for _, report in judged))
    if old:
        whole = Report.merged(done[name] for name in sizes)
        yield replace(step, report=whole, done=len(sizes), read=step.size, judged=())


def _submitter(
    stack: ExitStack,
    checkpoint: "Checkpoint",
    path: str,
    sizes: dict[str, int],
    options: Options,
    executor: Executor | None,
    groups: int,
) -> Callable[[tuple[str, ...]], "Future[Judged] | Judged"]:
    """Choose who judges the batches: the workers of an executor, threads that share the open file, or this one."""
    one = replace(options, workers=1)
    if executor is not None:
        state = checkpoint.state
        return lambda names: executor.submit(judge_batch, path, state, names, one)
    workers = options.workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    total = sum(sizes.values())
    if (workers or 1) < 2 or groups < 2 or total < PARALLEL or 2 * max(sizes.values()) > total:
        return lambda names: _judge_some(checkpoint, path, names, options)
    pool = ThreadPoolExecutor(workers)
    stack.callback(pool.shutdown, cancel_futures=True)
    return lambda names: pool.submit(_judge_some, checkpoint, path, names, one)


def _in_order(
    submit: Callable[[tuple[str, ...]], "Future[Judged] | Judged"], groups: list[tuple[str, ...]], path: str
) -> Iterator[Judged]:
    """Yield what is judged in the order of the batches, a few of which are in work at a time."""
    waiting: deque[tuple[tuple[str, ...], Future[Judged] | Judged]] = deque()
    ahead = 2 * (os.cpu_count() or 1)
    try:
        for group in groups:
            try:
                waiting.append((group, submit(group)))
            except (BrokenExecutor, RuntimeError) as error:
                waiting.append((group, _lost(group, path, error)))
            if len(waiting) > ahead or not isinstance(waiting[0][1], Future):
                yield _result(*waiting.popleft(), path)
        while waiting:
            yield _result(*waiting.popleft(), path)
    finally:
        for _, future in waiting:
            if isinstance(future, Future):
                future.cancel()


def _result(names: tuple[str, ...], future: "Future[Judged] | Judged", path: str) -> Judged:
    if not isinstance(future, Future):
        return future
    try:
        return future.result()
    except (BrokenExecutor, CancelledError) as error:
        return _lost(names, path, error)


def _lost(names: tuple[str, ...], path: str, error: BaseException) -> Judged:
    reason = f"the executor's workers are gone: {error or type(error).__name__}"
    return tuple((name, unread(f"{path}: {name}", reason, "scan again with workers that live")) for name in names)


def _judge_some(checkpoint: "Checkpoint", path: str, names: tuple[str, ...], options: Options) -> Judged:
    return tuple((name, judge_tensor(checkpoint, name, f"{path}: {name}", options)) for name in names)


def _batches(sizes: dict[str, int]) -> list[tuple[str, ...]]:
    """Cut names into batches of arrays that take about the same time."""
    groups: list[tuple[str, ...]] = []
    group: list[str] = []
    total = 0
    for name, size in sizes.items():
        group.append(name)
        total += size
        if total >= BATCH or len(group) >= MOST:
            groups.append(tuple(group))
            group, total = [], 0
    return [*groups, tuple(group)] if group else groups


def _bytes(info: "TensorInfo") -> int:
    return prod(info.shape) * info.dtype.itemsize


def _changed(path: str) -> BadCheckpoint:
    problem, fix = "was changed while it was read", "check it again when nothing writes to it"
    return BadCheckpoint(f"{path}: {problem}; {fix}", problem, fix)
