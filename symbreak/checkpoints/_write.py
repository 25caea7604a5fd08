"""Our own writer of safetensors: whole or not at all."""

import errno
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import ArrayLike

from symbreak._visible import quoted, visible
from symbreak.checkpoints._dtypes import SAFETENSORS
from symbreak.checkpoints._json import LARGEST
from symbreak.checkpoints._safetensors import METADATA

CODES = {dtype: code for code, dtype in SAFETENSORS.items()}
ALIGNMENT = 8  # bytes; the header is padded with spaces so that the first tensor starts at a multiple
PIECE = 1 << 24  # elements converted at a time
LEAST = 1 << 20  # bytes: a smaller piece is written sooner than it is handed to another thread


class Piecewise(Protocol):
    """A tensor that is made when it is written: `draw` gives flat arrays of `dtype`, in C order.

    Each array is valid until the next but one is asked for: it is written while the next is made.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def draw(self) -> Callable[[], Iterator[np.ndarray]]: ...


@dataclass(frozen=True)
class Entry:
    """What is known of a tensor before it is written, and its bytes."""

    dtype: np.dtype
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[memoryview]]

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


def save_safetensors(
    path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays to a safetensors file, in C order and little-endian, bit for bit.

    The file appears whole or not at all: it is written beside its place, flushed to the disk, and then moved there.

    Parameters
    ----------
    path
        Where; a file that is there is replaced. The folder must exist.
    arrays
        {name: array} of bool, integers to 64 bits, float16, float32, float64, complex64, and the bfloat16 and 8-bit
        floats of ``ml_dtypes``. The file keeps their order, unless that would leave an array misaligned: then larger
        elements come first.
    metadata
        Notes of your own, {text: text}.

    Raises
    ------
    TypeError
        A name, a note or an element type that the format does not have.
    ValueError
        The name ``__metadata__``, or one that is no valid Unicode.
    OSError
        The file can't be written, or its disk has no room for it; what was at `path` is as it was.

    References
    ----------
    https://github.com/huggingface/safetensors, section "Format".

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from symbreak.checkpoints import open_checkpoint, save_safetensors
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_safetensors(path, {"w": np.eye(2), "b": np.zeros(2)}, {"made_by": "an example"})
    >>> with open_checkpoint(path) as ckpt:
    ...     list(ckpt), dict(ckpt.metadata)
    (['w', 'b'], {'made_by': 'an example'})
    """
    _save({name: _checked(name, value) for name, value in arrays.items()}, path, metadata)


def save_safetensors_piecewise(
    path: str | os.PathLike[str], tensors: Mapping[str, Piecewise], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file as they are made, two pieces in memory at a time.

    Parameters
    ----------
    path, metadata
        As for :func:`save_safetensors`.
    tensors
        {name: tensor that gives its pieces}.

    Raises
    ------
    TypeError, ValueError, OSError
        As for :func:`save_safetensors`, before anything is made.
    """
    checked = {}
    for name, tensor in tensors.items():
        _check_name(name)
        _check_dtype(name, tensor.dtype)
        checked[name] = Entry(tensor.dtype, tensor.shape, partial(_drawn, tensor.draw))
    _save(checked, path, metadata)


def _drawn(draw: Callable[[], Iterator[np.ndarray]]) -> Iterator[memoryview]:
    for piece in draw():
        yield from _pieces(piece)


def _save(checked: Mapping[str, Entry], path: str | os.PathLike[str], metadata: Mapping[str, str] | None) -> None:
    ordered = (
        dict(sorted(checked.items(), key=lambda item: -item[1].dtype.itemsize)) if _misaligned(checked) else checked
    )
    header: dict[str, object] = {METADATA: _notes(metadata)} if metadata else {}
    end = 0
    for name, each in ordered.items():
        begin, end = end, end + each.nbytes
        header[name] = {"dtype": CODES[each.dtype.name], "shape": list(each.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    if len(text) > LARGEST:
        raise ValueError(
            f"the header would take {len(text):,} bytes, and the format allows {LARGEST:,}: split the model"
        )
    with replacing(path, 8 + len(text) + end) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        with behind() as write_each:
            write_each((piece for each in ordered.values() for piece in each.pieces()), file.write)


@contextmanager
def behind() -> Iterator[Callable[[Iterable[memoryview], Callable[[memoryview], object]], None]]:
    """Give a function that writes each of some pieces on a thread of its own while the next one is made.

    It returns when all are written. A piece is left alone when the next but one is asked for, so that two buffers do.
    An error of making or of writing is raised; what was begun is ended first.
    """
    from concurrent.futures import Future, ThreadPoolExecutor  # a third of the time to import symbreak

    with ThreadPoolExecutor(1) as executor:

        def write_each(pieces: Iterable[memoryview], write: Callable[[memoryview], object]) -> None:
            last: Future[object] | None = None
            try:
                for piece in pieces:
                    if last is not None:
                        last.result()
                        last = None
                    if piece.nbytes < LEAST:
                        write(piece)
                    else:
                        last = executor.submit(write, piece)
            finally:  # also of an error: what is written to is closed next
                if last is not None:
                    last.result()

        yield write_each


@contextmanager
def replacing(path: str | os.PathLike[str], size: int = 0) -> Iterator[BinaryIO]:
    """Give a new file beside `path` that takes its place when the block ends well, and vanishes when it does not.

    A disk on which `size` bytes are not free is refused before anything is written.
    """
    target = os.fspath(path)
    if os.path.isdir(target):  # noqa: PTH112 - the path stays the caller's text
        raise IsADirectoryError(21, "is a folder: give a file's name", target)
    _check_room(target, size)
    beside = f"{target}.{secrets.token_hex(8)}.tmp"
    try:
        with open(beside, "xb") as file:  # noqa: PTH123
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)  # noqa: PTH105
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)  # noqa: PTH108
        raise
    _flush_folder(os.path.dirname(target) or ".")  # noqa: PTH120


def _check_room(target: str, size: int) -> None:
    try:
        free = shutil.disk_usage(os.path.dirname(target) or ".").free  # noqa: PTH120
    except OSError:  # writing will tell
        return
    if size > free:
        kept = ", beside the old file, which stays until this one is whole" if os.path.exists(target) else ""  # noqa: PTH110
        text = f"the file takes {size:,} bytes and its disk has {free:,} free{kept}; give another place"
        raise OSError(errno.ENOSPC, text, target)


def _flush_folder(folder: str) -> None:
    """Make the new name last through a power cut, where the system can flush a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _checked(name: object, value: ArrayLike) -> Entry:
    _check_name(name)
    array = np.asarray(value)
    _check_dtype(name, array.dtype)
    return Entry(array.dtype, array.shape, partial(_pieces, array))


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a tensor's name is a str, but {visible(repr(name))} is a {type(name).__name__}")
    if name == METADATA:
        raise ValueError(f"{METADATA} is the format's own key: give notes as `metadata`")
    _check_unicode(name)


def _check_dtype(name: object, dtype: np.dtype) -> None:
    if dtype.name not in CODES:
        known = ", ".join(CODES)
        raise TypeError(f"{quoted(name)} has dtype {visible(dtype)}, which safetensors does not have; it has {known}")


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{quoted(text)} is no valid Unicode: it has a lone surrogate") from None


def _notes(metadata: Mapping[str, str]) -> dict[str, str]:
    for pair in metadata.items():
        for text in pair:
            if not isinstance(text, str):
                raise TypeError(f"metadata maps str to str, but {visible(repr(text))} is a {type(text).__name__}")
            _check_unicode(text)
    return dict(metadata)


def _misaligned(entries: Mapping[str, Entry]) -> bool:
    at = 0
    for each in entries.values():
        if at % each.dtype.itemsize:
            return True
        at += each.nbytes
    return False


def _pieces(array: np.ndarray) -> Iterator[memoryview]:
    """Yield the bytes in C order, little-endian; what is stored so already is not copied."""
    if not array.dtype.isnative or not array.flags.c_contiguous:
        little = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("<")
        flat = array.reshape(-1) if array.ndim < 2 or array.size <= PIECE else None
        if flat is None:
            for row in array:  # one row's copy at a time
                yield from _pieces(row)
            return
        array = np.ascontiguousarray(flat, dtype=little)
    yield array.reshape(-1).view(np.uint8).data
