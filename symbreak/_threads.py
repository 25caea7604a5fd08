"""Work shared between threads, of which the one that asks is one."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def share(work: Callable[[Item], object], items: Iterable[Item], threads: int) -> None:
    """Do `work` on every item, each on the thread that is free next; an error of any is raised."""
    if threads == 1:
        for item in items:
            work(item)
        return
    waiting = iter(list(items))  # next() on it is one step of the interpreter, so that threads may share it

    def take() -> None:
        for item in waiting:
            work(item)

    from concurrent.futures import ThreadPoolExecutor  # a third of the time to import symbreak

    with ThreadPoolExecutor(threads - 1) as executor:
        others = [executor.submit(take) for _ in range(threads - 1)]
        take()
        for other in others:
            other.result()
