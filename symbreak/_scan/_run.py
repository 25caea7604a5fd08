"""The scan itself: files one after the other, their arrays in batches, here or on the workers of an executor."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING

from symbreak.diagnosis import Source, judge_together, processors
from symbreak.errors import BadCheckpoint
from symbreak.findings import Finding
from symbreak.reports import Report, visible

from ._entries import Entry
from ._judge import UNREADABLE, Options, judge_tensor, unread
from ._step import EMPTY, Judged, State, Step
from ._wired import judge_wired

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from symbreak.checkpoints import Checkpoint
    from symbreak.checkpoints._reader import TensorInfo

    from ._kept import Kept

BATCH = 1 << 24  # bytes of arrays in a batch
MOST = 256  # arrays in a batch
PARALLEL = 1 << 24  # bytes of arrays in a file below which threads cost more than they bring
LISTED = 5  # names in a message before it is cut short
PART = "save it as an array of numbers; if it is no weight, save the weights without it"


def scan(
    entries: Sequence[Entry],
    options: Options,
    *,
    executor: "Executor | None" = None,
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
            yield from _judge_file(number, entry.path, options, executor, kept, alone=len(entries) == 1)


def _judge_groups(
    checkpoint: "Checkpoint",
    path: str,
    groups: list[tuple[str, ...]],
    sizes: dict[str, int],
    options: Options,
    executor: "Executor | None",
) -> Iterator[Judged]:
    """Judge the batches on the workers of an executor, on threads that share the open file, or here."""
    one, total = replace(options, workers=1), sum(sizes.values())
    workers = options.workers or processors()
    if executor is not None:
        from ._workers import in_order

        work = partial(judge_batch, path, checkpoint.state, options=one)
        yield from in_order(executor, work, groups, path)
    elif workers < 2 or len(groups) < 2 or total < PARALLEL or 2 * max(sizes.values()) > total:
        for group in groups:
            yield judge_some(checkpoint, path, group, options)
    else:
        from ._workers import in_order, threads

        with threads(workers) as pool:
            yield from in_order(pool, partial(judge_some, checkpoint, path, options=one), groups, path)


def judge_batch(path: str, state: State, names: tuple[str, ...], options: Options) -> Judged:
    """Judge some arrays of a file on a worker, which opens it anew."""
    from symbreak.checkpoints import open_checkpoint

    try:
        with open_checkpoint(path) as checkpoint:
            if [facts[1:] for facts in checkpoint.state] != [facts[1:] for facts in state]:
                raise _changed(path)
            return judge_some(checkpoint, path, names, options)
    except UNREADABLE as error:
        return tuple((name, unread(f"{path}: {name}", error)) for name in names)


def _judge_file(
    number: int, path: str, options: Options, executor: "Executor | None", kept: "Kept | None", *, alone: bool
) -> Iterator[Step]:
    from symbreak.checkpoints import open_checkpoint

    yield Step(number, Report(files=(path,)))
    try:
        with open_checkpoint(path) as checkpoint:
            before = {} if kept is None else kept.find(path, checkpoint.state)
            judged = dict(before)
            for step in _judge_all(number, checkpoint, path, options, executor, before):
                for name, report in step.judged:
                    if options.wiring and report.findings:  # the pictures are those of the step
                        judged[name] = replace(report, pictures=())
                yield step
            together = _judge_together(checkpoint, path)
            if together.findings:
                yield Step(number, together)
            yield from _judge_network(number, checkpoint, path, options, judged)
            yield from _passed_over(number, checkpoint, path, alone)
            skipped = [
                unread(f"{path}: {each.name}", each.reason, each.fix or PART)
                for each in checkpoint.skipped
                if not each.text
            ]
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
    executor: "Executor | None",
    before: dict[str, Report],
) -> Iterator[Step]:
    """Judge the arrays of an open file, those of `before` excepted, whose reports are there."""
    sizes = {name: _bytes(info) for name, info in checkpoint.tensors.items()}
    step = Step(number, Report(), 0, len(sizes), 0, sum(sizes.values()), state=checkpoint.state)
    old = tuple((name, before[name]) for name in sizes if name in before)
    new = {name: size for name, size in sizes.items() if name not in before}
    groups = _batches(new)
    done: dict[str, Report] = dict(old)
    for judged in _judge_groups(checkpoint, path, groups, new, options, executor):
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


def _judge_network(
    number: int, checkpoint: "Checkpoint", path: str, options: Options, judged: dict[str, Report]
) -> Iterator[Step]:
    if not options.wiring:
        return
    try:
        report, answers = judge_wired(checkpoint, options, path, judged.items())
        yield Step(number, report, answers=answers)
    except UNREADABLE as error:  # what comes after it of the file is told all the same
        yield Step(number, unread(path, error))
    except ValueError as error:
        fix = "mend the wiring or the configuration; `symbreak explain SB302` says what else there is"
        yield Step(number, unread(path, f"it can't be judged as a network: {visible(error, 500)}", fix))


def _passed_over(number: int, checkpoint: "Checkpoint", path: str, alone: bool) -> Iterator[Step]:
    """Note what holds no weights (SB303); of a file without arrays that is alone it is said at the end of the scan."""
    texts = [visible(each.name) for each in checkpoint.skipped if each.text]
    said = []
    if texts:
        listed = ", ".join(texts[:LISTED]) + (", ..." if len(texts) > LISTED else "")
        what = "1 array holds text, which is" if len(texts) == 1 else f"{len(texts)} arrays hold text, which is"
        said.append(Finding.of("SB303", path, f"{what} no weight: {listed}"))
    if not alone and not checkpoint.tensors and len(texts) == len(checkpoint.skipped):
        said.append(Finding.of("SB303", path, "it holds no array of numbers", fix=EMPTY))
    if said:
        yield Step(number, Report(tuple(said)))


def _judge_together(checkpoint: "Checkpoint", path: str) -> Report:
    """Judge the arrays of an open file together; it takes the beginning of each, whoever judged them one by one."""
    arrays = {name: (info.shape, info.dtype) for name, info in checkpoint.tensors.items()}
    return judge_together(Source(arrays, checkpoint.pieces, UNREADABLE), lambda name: f"{path}: {name}")


def judge_some(checkpoint: "Checkpoint", path: str, names: tuple[str, ...], options: Options) -> Judged:
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
