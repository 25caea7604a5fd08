"""Work shared between threads, of which the one that asks is one."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def share(work: Callable[[Item], object], items: Iterable[Item], threads: int) -> None:
    """Do `work` on every item, each on the thread that is free next.

    After an error no further item is begun, and it is raised when no thread is at work any more.
    """

    def each(some: Iterator[Item]) -> None:
        for item in some:
            work(item)

    share_out(each, items, threads)


def share_out(work: Callable[[Iterator[Item]], object], items: Iterable[Item], threads: int) -> None:
    """Do `work` on every thread, for the items that its iterator gives: the next one, each time that it asks.

    Errors are as for :func:`share`.
    """
    if threads == 1:
        work(iter(items))
        return
    waiting = deque(items)
    errors: list[BaseException] = []

    def rest() -> Iterator[Item]:
        while waiting:
            try:
                item = waiting.popleft()  # one step of the interpreter, so that threads may share it
            except IndexError:  # another thread was faster
                return
            yield item

    def take() -> None:
        try:
            work(rest())
        except BaseException as error:
            waiting.clear()
            errors.append(error)

    # Not an executor, which takes twice as long to begin and to end, and as long to import as a third of symbreak.
    others = [threading.Thread(target=take, name="symbreak") for _ in range(min(threads, len(waiting)) - 1)]
    begun = []
    try:
        for other in others:
            other.start()
            begun.append(other)
        work(rest())
        for other in begun:
            other.join()
    except BaseException:  # of the work, for want of a thread, or the user's Ctrl-C, also while the others end
        waiting.clear()
        raise
    finally:
        for other in begun:
            other.join()
    if errors:
        raise errors[0]
