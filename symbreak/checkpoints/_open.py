"""Opening what a path leads to, and finding what a folder holds."""

import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from symbreak._visible import quoted, visible
from symbreak.checkpoints._formats import Format, find_format, is_checkpoint
from symbreak.checkpoints._reader import Checkpoint
from symbreak.checkpoints._refusals import FOLDERS, SUFFIXES
from symbreak.checkpoints._sharded import looks_like_index, read_shard_names
from symbreak.checkpoints._source import Source
from symbreak.errors import BadCheckpoint

INDEX = ".index.json"


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a file of saved weights, or a folder that holds one sharded model; only headers are read.

    Parameters
    ----------
    path
        An npy, npz, safetensors, GGUF, PyTorch, ONNX, Flax msgpack, HDF5, Keras or MAT-file, told apart by content
        whatever the suffix; the ``*.index.json`` of a sharded model, or the folder with the index and its shards.

    Returns
    -------
    Checkpoint
        Names, shapes and dtypes in `tensors`, what can't be read in `skipped`, values by name. Use it in a ``with``.

    Raises
    ------
    BadCheckpoint
        The file is malformed, truncated, would run code, or is of a kind that is not read; the message says what it
        looks like and what to do.
    MissingExtra
        The format needs a package that is not installed; the message names the extra that brings it.
    OSError
        `path` is missing, can't be opened, or is a folder without the index of a sharded model.

    See Also
    --------
    find_checkpoints : All files of a folder.
    save_safetensors : Write one.
    symbreak.diagnose : Read and judge one.

    Notes
    -----
    Nothing from the file is executed, and no memory is asked for on its word. A file must not change while it is open:
    arrays are views of it.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from symbreak.checkpoints import open_checkpoint, save_safetensors
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_safetensors(path, {"fc1.weight": np.ones((2, 3), "float32")})
    >>> with open_checkpoint(path) as ckpt:
    ...     ckpt.tensors["fc1.weight"]
    ...     ckpt["fc1.weight"].sum()
    TensorInfo(name='fc1.weight', shape=(2, 3), dtype=dtype('float32'))
    np.float32(6.0)
    """
    path = os.fspath(path)
    if os.path.isdir(path):  # noqa: PTH112 - the path stays the caller's text
        path = _only_index(path)
    source = Source(path)
    try:
        row = find_format(source)
        if row is None:
            start = source.data[:8].hex(" ") or "nothing"
            raise source.bad(
                f"is no checkpoint that is known: it begins with {start}",
                "give npy, npz, safetensors, GGUF, .pt, ONNX, Flax, .h5, .keras or .mat",
            )
        if not isinstance(row, Format):
            raise source.bad(row.what, row.fix)
        return row.reader(source)
    except BaseException:
        source.close()
        raise


def find_checkpoints(path: str | os.PathLike[str]) -> list[Path]:
    """List the checkpoints that a path stands for.

    Parameters
    ----------
    path
        A file, which is returned as it is, or a folder.

    Returns
    -------
    list of Path
        For a folder, sorted: every file below it that its content says is a checkpoint. A sharded model is listed once,
        as its index. Files that certainly hold weights of a kind that can't be read, or are named so and can't be
        recognised, are listed too, and so are folders below that can't be looked into: opening them says so, and
        nothing is passed over in silence. Symbolic links to files outside the folder are listed by the same rules;
        those to folders are not followed.

    Raises
    ------
    OSError
        `path` is missing.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from symbreak.checkpoints import find_checkpoints
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "w.npy", np.eye(2))
    >>> _ = (folder / "notes.txt").write_text("tried a larger rate")
    >>> [path.name for path in find_checkpoints(folder)]
    ['w.npy']
    """
    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, "no such file or folder", os.fspath(path))
        return [path]
    found: list[Path] = []
    shards: set[Path] = set()
    indexes: set[Path] = set()  # one that names another, or itself, must not take it off the list
    root = path.resolve()
    for file in _files(path):
        linked = file.is_symlink()
        if linked and file.resolve().is_relative_to(root):
            continue  # what it leads to is listed itself
        try:
            with Source(file, follow=linked) as source:
                if not is_checkpoint(source):
                    continue
                if looks_like_index(source):
                    indexes.add(file)
                    shards |= _shards(source, file.parent)
        except OSError:
            pass  # it is listed: opening it says why it can't be read
        except BadCheckpoint:  # a pipe or a socket
            if file.suffix.lower() not in SUFFIXES:
                continue
        found.append(file)
    return sorted(set(found) - (shards - indexes))


def _files(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder that is no folder; git's own store is left out."""
    unread: list[Path] = []

    def fail(error: OSError) -> None:
        unread.append(Path(error.filename))

    waiting = [folder]
    while waiting:  # os.walk runs out of stack in folders a thousand deep, so it is asked for one level at a time
        for parent, folders, names in itertools.islice(os.walk(waiting.pop(), onerror=fail), 1):
            inner = (Path(parent, name) for name in folders if name != ".git")
            waiting += [path for path in inner if not path.is_symlink()]
            yield from (Path(parent, name) for name in names)
    yield from unread


def _shards(source: Source, folder: Path) -> set[Path]:
    try:
        return {folder / name for name in read_shard_names(source).values()}
    except BadCheckpoint:
        return set()


def _only_index(folder: str) -> str:
    """Return the path of the one index in a folder; of two, the one of the safetensors copy of the same model."""
    listed = os.listdir(folder)  # noqa: PTH208 - text in, text out
    indexes = sorted(name for name in listed if name.endswith(INDEX))
    if len(indexes) > 1:
        preferred = [name for name in indexes if name.endswith(".safetensors" + INDEX)]
        indexes = preferred if len(preferred) == 1 else indexes
    if len(indexes) == 1:
        return os.path.join(folder, indexes[0])  # noqa: PTH118
    if indexes:
        some = ", ".join(quoted(name) for name in indexes[:5])
        raise BadCheckpoint(f"{visible(folder)}: holds {len(indexes)} sharded models; open one by its index: {some}")
    for members, what, fix in FOLDERS:
        if members <= set(listed):
            raise BadCheckpoint(f"{visible(folder)}: {what}; {fix}", what, fix)
    message = (
        "is a folder without the *.index.json of a sharded model: open one of its files (find_checkpoints lists them)"
    )
    raise IsADirectoryError(errno.EISDIR, message, folder)
