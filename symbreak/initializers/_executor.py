"""Filling an array on the workers of an executor: threads, processes, or other machines.

Workers that share the memory write into it, those that can open the file of a memory map write into that; from all
others the regions come back and are copied. The bits are those of one fill, because an entry depends on its position.
"""

import mmap
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._base import Array, Box

AHEAD = 16  # regions in work at a time: enough for the workers, few enough for the memory


@dataclass(frozen=True)
class Mapped:
    """Where in a file an array lies, for a process that opens it anew."""

    path: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    def open(self) -> Array:
        """Map the array."""
        whole: Array = np.memmap(self.path, np.uint8, "r+")
        return np.ndarray(self.shape, self.dtype, whole, self.offset, self.strides)

    @classmethod
    def find(cls, out: Array) -> "Mapped | None":
        """Say where `out` lies if writing to it writes to a file, and its strides go forward; else None."""
        if not isinstance(out, np.memmap) or out.mode == "c" or not out.filename or min(out.strides, default=0) < 0:
            return None
        mapping = getattr(out, "_mmap", None)
        if not isinstance(mapping, mmap.mmap):
            return None
        start = np.frombuffer(mapping, np.uint8).ctypes.data
        inside = out.offset % mmap.ALLOCATIONGRANULARITY
        return cls(str(out.filename), out.ctypes.data - start + out.offset - inside, out.shape, out.strides, out.dtype)


def fill_on(
    executor: Executor, out: Array, boxes: list[Box], draw: Callable[[Box], Array], write: Callable[[Array, Box], None]
) -> None:
    """Fill the boxes of `out`, a few at a time.

    Parameters
    ----------
    executor
        Of threads, processes or others.
    out
        The array.
    boxes
        What to write, each on its own.
    draw
        Gives the values of a box. Sent to workers that can't write into `out`.
    write
        Writes the values of a box into the array that it is given. Sent to workers that can.
    """
    mapped = None if isinstance(executor, ThreadPoolExecutor) else Mapped.find(out)

    def submit(box: Box) -> Future[Any]:
        if isinstance(executor, ThreadPoolExecutor):
            return executor.submit(write, out, box)
        if mapped is not None:
            return executor.submit(_write_mapped, write, mapped, box)
        return executor.submit(draw, box)

    def finish(box: Box, values: Array | None) -> None:
        if values is not None:
            out[box[0]] = values

    waiting: deque[tuple[Box, Future[Any]]] = deque()
    try:
        for box in boxes:
            waiting.append((box, submit(box)))
            if len(waiting) >= AHEAD:
                done, future = waiting.popleft()
                finish(done, future.result())
        while waiting:
            done, future = waiting.popleft()
            finish(done, future.result())
    finally:
        wait([future for _, future in waiting if not future.cancel()])  # nobody writes once the caller is told


def _write_mapped(write: Callable[[Array, Box], None], mapped: Mapped, box: Box) -> None:
    write(mapped.open(), box)
