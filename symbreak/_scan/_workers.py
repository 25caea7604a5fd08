"""Batches of arrays on the workers of an executor, and their reports in order."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor

from ._judge import unread
from ._step import Judged

Names = tuple[str, ...]


@contextlib.contextmanager
def threads(count: int) -> Iterator[Executor]:
    """Give an executor of threads; at the end, what has not begun is left undone."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(
    executor: Executor, work: Callable[[Names], Judged], groups: Sequence[Names], path: str
) -> Iterator[Judged]:
    """Yield what is judged in the order of the batches, a few of which are in work at a time.

    Batches whose workers died are reported as not read.
    """
    waiting: deque[tuple[Names, Future[Judged] | BaseException]] = deque()
    ahead = 2 * (os.cpu_count() or 1)
    try:
        for group in groups:
            try:
                waiting.append((group, executor.submit(work, group)))
            except RuntimeError as error:  # it is broken, or was shut down
                waiting.append((group, error))
            if len(waiting) > ahead:
                yield _result(*waiting.popleft(), path)
        while waiting:
            yield _result(*waiting.popleft(), path)
    finally:
        for _, future in waiting:
            if isinstance(future, Future):
                future.cancel()


def _result(names: Names, future: Future[Judged] | BaseException, path: str) -> Judged:
    if isinstance(future, BaseException):
        return _lost(names, path, future)
    try:
        return future.result()
    except (BrokenExecutor, CancelledError) as error:
        return _lost(names, path, error)


def _lost(names: Names, path: str, error: BaseException) -> Judged:
    reason = f"the executor's workers are gone: {error or type(error).__name__}"
    return tuple((name, unread(f"{path}: {name}", reason, "scan again with workers that live")) for name in names)
