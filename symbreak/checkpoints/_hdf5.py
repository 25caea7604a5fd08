"""HDF5 files of any origin, and Keras' own: `.weights.h5`, and the whole models of before the `.keras` archive."""

from collections.abc import Iterator, Mapping, Sequence
from typing import final

import numpy as np

from symbreak._visible import quoted, visible
from symbreak.checkpoints._arrays import Buffer, check_bool
from symbreak.checkpoints._hdf5_file import Dataset, Hdf5File
from symbreak.checkpoints._json import parse_object
from symbreak.checkpoints._keras_names import holds_variables, is_legacy, legacy_names, variable_names
from symbreak.checkpoints._reader import TEXT, Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._spool import Spooled
from symbreak.errors import BadCheckpoint

MAGIC = b"\x89HDF\r\n\x1a\n"
CONFIG = "model_config"


def looks_like_hdf5(source: Source) -> bool:
    """Whether the signature begins the file, or stands behind a block of the user's, as HDF5 allows."""
    place = 0
    while place < source.size:
        if source.data[place : place + len(MAGIC)] == MAGIC:
            return True
        place = 2 * place or 512
    return False


def read_hdf5(source: Source) -> Checkpoint:
    """Open an HDF5 file."""
    file = Hdf5File(source)
    try:
        notes = file.attributes.get("", {})
        metadata = {
            name: str(value) for name, value in notes.items() if name != CONFIG and isinstance(value, str | int)
        }
        if not is_legacy(file):
            variables = holds_variables(file)
            names = variable_names(file, {}) if variables else {}
            return Hdf5(file, "keras-h5" if variables else "hdf5", names, metadata=metadata)
        names, missing = legacy_names(file)
        config = notes.get(CONFIG)
        structure: Mapping[str, object] = {}
        if isinstance(config, str):
            structure, fault = parse_config(source, config.encode("utf-8", "surrogateescape"), CONFIG)
            missing = [*missing, *fault]
        return Hdf5(file, "keras-h5", names, missing, metadata, structure)
    except BaseException:
        file.close()
        raise


def parse_config(source: Source, text: bytes, what: str) -> tuple[Mapping[str, object], list[Skipped]]:
    """Return the configuration of a model, or why it can't be read: the weights still can."""
    try:
        return parse_object(source, text, what), []
    except BadCheckpoint as error:
        return {}, [Skipped(what, visible(error.problem, limit=1000))]


@final
class Hdf5(Checkpoint):
    """One HDF5 file, or what holds one.

    Parameters
    ----------
    file
        The HDF5 file; it is closed with this.
    format
        The format's name.
    names
        {path: name} of the datasets whose name is not their path, in the order in which they are listed. A name that
        is another's too is not used.
    skipped
        What can't be read beside what the file names itself.
    metadata, structure
        As in `Checkpoint`.
    spooled
        Where the HDF5 file was unpacked to; it is closed with this.
    reverse
        Whether the axes are read in the reverse order, as MATLAB has them.
    """

    def __init__(
        self,
        file: Hdf5File,
        format: str,  # noqa: A002 - the attribute's name
        names: Mapping[str, str],
        skipped: Sequence[Skipped] = (),
        metadata: Mapping[str, str] | None = None,
        structure: Mapping[str, object] | None = None,
        *,
        spooled: Spooled | None = None,
        reverse: bool = False,
    ) -> None:
        self._file, self._spooled, self._reverse = file, spooled, reverse
        self._at: dict[str, Dataset] = {}
        tensors: dict[str, TensorInfo] = {}
        unread = [Skipped(_shown(names.get(path, path)), reason, reason == TEXT) for path, reason in file.skipped]
        unread += skipped
        for path, name in distinct(file, names).items():
            dataset = file.datasets[path]
            if name in tensors:
                unread.append(Skipped(name, "another tensor of the file has this name too"))
                continue
            self._at[name] = dataset
            tensors[name] = TensorInfo(name, dataset.shape[::-1] if reverse else dataset.shape, dataset.dtype)
        super().__init__(file.source, format, tensors, tuple(unread), metadata or {}, structure or {})

    def _read(self, info: TensorInfo) -> np.ndarray:
        what = quoted(info.name)
        array = check_bool(self._source, self._file.read(self._at[info.name], what), what)
        return array.T if self._reverse else array

    def _stream(self, info: TensorInfo) -> Iterator[Buffer] | None:
        return None if self._reverse else self._file.stream(self._at[info.name])

    def close(self) -> None:
        """Let go of the file, and end the process that reads it."""
        self._file.close()
        if self._spooled is not None:
            self._spooled.close()
        super().close()


def distinct(file: Hdf5File, names: Mapping[str, str]) -> dict[str, str]:
    """Return {path: name} of all datasets, those of `names` first; what is not named, or not alone, has its path."""
    order = [path for path in names if path in file.datasets]
    order += [path for path in file.datasets if path not in names]
    shown = {path: _shown(names.get(path, path)) for path in order}
    count: dict[str, int] = {}
    for name in shown.values():
        count[name] = count.get(name, 0) + 1
    return {path: name if count[name] == 1 else _shown(path) for path, name in shown.items()}


def _shown(name: str) -> str:
    """Return a name in which bytes that are no UTF-8 are escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
