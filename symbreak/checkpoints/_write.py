"""Our own writer of safetensors: whole or not at all."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from symbreak._visible import quoted, visible
from symbreak.checkpoints._dtypes import SAFETENSORS
from symbreak.checkpoints._json import LARGEST
from symbreak.checkpoints._safetensors import METADATA

CODES = {dtype: code for code, dtype in SAFETENSORS.items()}
ALIGNMENT = 8  # bytes; the header is padded with spaces so that the first tensor starts at a multiple
PIECE = 1 << 24  # elements converted at a time


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
        The file can't be written; what was at `path` is as it was.

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
    checked = {name: _checked(name, value) for name, value in arrays.items()}
    ordered = dict(sorted(checked.items(), key=lambda item: -item[1].itemsize)) if _misaligned(checked) else checked
    header: dict[str, object] = {METADATA: _notes(metadata)} if metadata else {}
    end = 0
    for name, array in ordered.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": CODES[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    if len(text) > LARGEST:
        raise ValueError(
            f"the header would take {len(text):,} bytes, and the format allows {LARGEST:,}: split the model"
        )
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in ordered.values():
            for piece in _pieces(array):
                file.write(piece)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a new file beside `path` that takes its place when the block ends well, and vanishes when it does not."""
    target = os.fspath(path)
    if os.path.isdir(target):  # noqa: PTH112 - the path stays the caller's text
        raise IsADirectoryError(21, "is a folder: give a file's name", target)
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


def _flush_folder(folder: str) -> None:
    """Make the new name last through a power cut, where the system can flush a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _checked(name: object, value: ArrayLike) -> np.ndarray:
    if not isinstance(name, str):
        raise TypeError(f"a tensor's name is a str, but {visible(repr(name))} is a {type(name).__name__}")
    if name == METADATA:
        raise ValueError(f"{METADATA} is the format's own key: give notes as `metadata`")
    _check_unicode(name)
    array = np.asarray(value)
    if array.dtype.name not in CODES:
        known = ", ".join(CODES)
        raise TypeError(
            f"{quoted(name)} has dtype {visible(array.dtype)}, which safetensors does not have; it has {known}"
        )
    return array


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


def _misaligned(arrays: Mapping[str, np.ndarray]) -> bool:
    at = 0
    for array in arrays.values():
        if at % array.itemsize:
            return True
        at += array.nbytes
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
