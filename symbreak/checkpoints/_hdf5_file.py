"""One HDF5 file as a child process describes it: what it says is checked as if a stranger had said it."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TypeVar, final

import numpy as np

from symbreak._visible import quoted
from symbreak.checkpoints._arrays import Buffer, as_array, check_shape
from symbreak.checkpoints._child import Child
from symbreak.checkpoints._dtypes import element_type
from symbreak.checkpoints._source import TRUNCATED, Source
from symbreak.checkpoints._spool import gather
from symbreak.errors import BadCheckpoint, MissingExtra

NEEDED = (3, 16)  # of h5py: some malformed files crash the HDF5 that comes with earlier ones
NUMBERS = {"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "b1"}
OTHERS = {"bfloat16", "float8_e4m3fn", "float8_e5m2"}

Attributes = dict[str, object]
T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Dataset:
    """What the child says of one dataset."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int | None  # where the values lie in the HDF5 file, if they lie there plain and in order
    address: int  # where its header lies, which tells whether two paths lead to one dataset


@final
@dataclass(frozen=True, slots=True)
class Cells:
    """A dataset of MATLAB's whose elements are references: the paths of what they lead to, None for nowhere."""

    shape: tuple[int, ...]
    targets: tuple[str | None, ...]


@final
class Hdf5File:
    """A file, or a part of one, that is HDF5.

    Parameters
    ----------
    source
        The file that holds it.
    begin, size
        Where in that the HDF5 file lies; by default it is all of it.
    data
        Gives the bytes of the HDF5 file; by default those of that part.
    opened
        Gives a handle of a file in which it lies so; by default one of `source`.
    matlab
        Whether MATLAB wrote it.

    Raises
    ------
    MissingExtra
        h5py is missing, or so old that malformed files crash it.
    BadCheckpoint
        The file is malformed.
    """

    def __init__(
        self,
        source: Source,
        *,
        begin: int = 0,
        size: int | None = None,
        data: Callable[[], memoryview] | None = None,
        opened: Callable[[], int] | None = None,
        matlab: bool = False,
    ) -> None:
        _check_h5py()
        self.source = source
        self.size = source.size - begin if size is None else size
        self._data = data or (lambda: source.view(begin, self.size, "its HDF5"))
        module, options = "symbreak.checkpoints._hdf5_child", {"matlab": matlab}
        self._child = Child(source, module, begin=begin, size=self.size, options=options, opened=opened)
        try:
            self._take(self._child.describe())
        except BaseException as error:
            self._child.close()
            if isinstance(error, KeyError | TypeError | ValueError) and not isinstance(error, BadCheckpoint):
                raise source.bad("the process that reads it answered with nonsense") from None
            raise

    def read(self, dataset: Dataset, what: str) -> np.ndarray:
        """Return the values: a view of the file where they lie plain in it."""
        if dataset.offset is not None:
            return as_array(self._data(), dataset.dtype, dataset.shape, start=dataset.offset)
        return gather(self.source, self._child.read(dataset.path), dataset.dtype, dataset.shape, what)

    def stream(self, dataset: Dataset) -> Iterator[Buffer] | None:
        """Yield the values' bytes in C order; None where `read` maps them."""
        return self._child.read(dataset.path) if dataset.offset is None else None

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def _take(self, said: dict[str, object]) -> None:
        """Keep what the child says; raise TypeError or ValueError where it is not what was asked for."""
        self.datasets = {found.path: found for found in (self._dataset(*row) for row in _rows(said["datasets"], 5))}
        self.skipped = [(_of(str, path), _of(str, reason)) for path, reason in _rows(said["skipped"], 2)]
        self.attributes: dict[str, Attributes] = {
            _of(str, path): {_of(str, name): value for name, value in _rows(pairs, 2)}
            for path, pairs in _rows(said["attributes"], 2)
        }
        self.cells = {_of(str, path): self._cells(*rest) for path, *rest in _rows(said["cells"], 3)}
        self._check_places()

    def _dataset(self, path: object, shape: object, code: object, offset: object, address: object) -> Dataset:
        path, code = _of(str, path), _of(str, code)
        lengths = tuple(_of(int, length) for length in _of(list, shape))
        if code not in OTHERS and code.lstrip("<>|") not in NUMBERS:
            raise ValueError(code)
        dtype = element_type(code) if code in OTHERS else np.dtype(code)
        size = check_shape(self.source, lengths, dtype.itemsize, quoted(path))
        place = None if offset is None else _of(int, offset)
        if place is not None and (place < 0 or place + size > self.size):
            claim = f"should take {size:,} bytes at offset {place:,}, but the HDF5 file has {self.size:,}"
            raise self.source.bad(f"{quoted(path)} {claim}", TRUNCATED)
        return Dataset(path, lengths, dtype, place, _of(int, address))

    def _cells(self, shape: object, targets: object) -> Cells:
        lengths = tuple(_of(int, length) for length in _of(list, shape))
        found = tuple(None if target is None else _of(str, target) for target in _of(list, targets))
        if len(found) != prod(lengths):
            raise ValueError(lengths)
        return Cells(lengths, found)

    def _check_places(self) -> None:
        """Raise BadCheckpoint where two datasets share bytes: a small file would claim to hold a large one."""
        own = {found.address: found for found in self.datasets.values() if found.offset is not None}
        placed = sorted(own.values(), key=lambda found: found.offset or 0)
        for first, second in itertools.pairwise(placed):
            end = (first.offset or 0) + prod(first.shape) * first.dtype.itemsize
            if end > (second.offset or 0):
                raise self.source.bad(f"{quoted(first.path)} and {quoted(second.path)} share bytes of the file")


def _rows(value: object, length: int) -> Iterator[list[object]]:
    """Yield the rows of a table that came as JSON; raise where one has another length."""
    for row in _of(list, value):
        if len(_of(list, row)) != length:
            raise ValueError(row)
        yield row


def _of(kind: type[T], value: object) -> T:
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _check_h5py() -> None:
    """Raise MissingExtra unless h5py is there; it is imported by the child alone."""
    import importlib.metadata
    import re

    try:
        found = importlib.metadata.version("h5py")
    except importlib.metadata.PackageNotFoundError:
        found = ""
    numbers = tuple(int(each) for each in re.findall(r"\d+", found)[:2])
    if numbers < NEEDED:
        raise MissingExtra("h5py 3.16 or later", "files", "reading HDF5")
