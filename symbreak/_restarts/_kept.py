"""The starts that are trained, in memory and in a file from which a run that was killed goes on.

The file is a NumPy zip. It is replaced whole after each batch, so that at any moment a complete one is there.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import numpy as np

from symbreak.errors import BadCheckpoint

from ._batch import Settings
from ._record import Trained
from ._result import Restarts

Array = np.ndarray[Any, np.dtype[Any]]

FORMAT = "symbreak restarts 1"
MOST_NOTES = 1 << 20  # bytes of settings


@final
class Kept:
    """Every start's row, and which of them are filled.

    Parameters
    ----------
    settings
        What decides what becomes of a start.
    starts
        How many there are.
    path
        The file, or None for none. One that is there is read, and must be of the same settings and starts.
    """

    def __init__(self, settings: Settings, starts: int, path: str | os.PathLike[str] | None) -> None:
        self._settings = settings
        self._path = None if path is None else Path(path)
        entries = settings.layout[-1].end
        self.rows: dict[str, Any] = {
            "done": np.zeros(starts, bool),
            "losses": np.zeros(starts),
            "final_losses": np.zeros(starts),
            "steps": np.zeros(starts, np.int64),
            "best": np.zeros((starts, entries), settings.dtype),
            "final": np.zeros((starts, entries), settings.dtype),
        }
        self._notes = _notes(settings, starts)
        if self._path is not None and self._path.exists():
            self._read(self._path)
        else:
            self._write()  # so that a place that can't be written to is known before the work

    @property
    def done(self) -> int:
        """How many starts are trained."""
        return int(np.count_nonzero(self.rows["done"]))

    def missing(self, batch: int) -> Iterator[tuple[int, int]]:
        """Yield the first number and the count of batches of starts that are not trained."""
        waiting = np.flatnonzero(~self.rows["done"])
        for run in np.split(waiting, np.flatnonzero(np.diff(waiting) > 1) + 1):
            for begin in range(0, len(run), batch):
                yield int(run[begin]), min(batch, len(run) - begin)

    def put(self, trained: Trained) -> None:
        """Take in a batch, and replace the file."""
        rows = slice(trained.first, trained.first + len(trained.losses))
        for name, array in self.rows.items():
            array[rows] = True if name == "done" else getattr(trained, name)
        self._write()

    def result(self) -> Restarts:
        """Name the parts of the entries."""
        layout, starts = self._settings.layout, len(self.rows["done"])
        best, final = (
            {slot.name: self.rows[name][:, slot.begin : slot.end].reshape(starts, *slot.shape) for slot in layout}
            for name in ("best", "final")
        )
        losses, final_losses, steps = (self.rows[name] for name in ("losses", "final_losses", "steps"))
        return Restarts(losses, final_losses, steps, best, final, self._settings.activation, self._settings.loss)

    def _write(self) -> None:
        if self._path is None:
            return
        notes = np.frombuffer(json.dumps(self._notes).encode(), np.uint8)
        part = self._path.with_name(self._path.name + ".part")
        with part.open("wb") as file:
            np.savez(file, settings=notes, **self.rows)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)

    def _read(self, path: Path) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                notes = json.loads(_member(archive, "settings", (None,), np.dtype(np.uint8)).tobytes())
                self._compare(path, notes)
                for name, array in self.rows.items():
                    array[...] = _member(archive, name, array.shape, array.dtype)
        except (zipfile.BadZipFile, EOFError, KeyError, UnicodeDecodeError, json.JSONDecodeError, _Wrong) as error:
            raise BadCheckpoint(
                f"{path} is no checkpoint of restarts, or a damaged one ({type(error).__name__.strip('_')}: {error}); "
                f"move it away or give another path"
            ) from error

    def _compare(self, path: Path, notes: Any) -> None:
        if not isinstance(notes, dict) or notes.get("format") != FORMAT:
            raise _Wrong(f"its settings are not of the format {FORMAT!r}")
        for name, ours in self._notes.items():
            if notes.get(name) != ours:
                raise ValueError(
                    f"the checkpoint {path} was made with {name}={notes.get(name)}, and this run has {name}={ours}; "
                    f"give the settings of then, or another path"
                )


class _Wrong(Exception):  # noqa: N818 - what is in the file
    """A file that holds something else."""


def _member(archive: zipfile.ZipFile, name: str, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> Array:
    """Read one array whose shape and dtype are known, asking for no more memory than it takes."""
    with archive.open(f"{name}.npy") as file:
        try:
            np.lib.format.read_magic(file)
            got, fortran, kind = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise _Wrong(f"{name!r} has no header: {error}") from error
        known = len(got) == len(shape) and all(
            have == want or want is None for have, want in zip(got, shape, strict=True)
        )
        if not known or fortran or kind != dtype:
            raise _Wrong(f"{name!r} has shape {got} and dtype {kind}")
        most = MOST_NOTES if None in shape else int(np.prod(got)) * dtype.itemsize
        data = file.read(most + 1)
    if len(data) != int(np.prod(got)) * dtype.itemsize:
        raise _Wrong(f"{name!r} has not the length that its shape calls for")
    return np.frombuffer(data, dtype).reshape(got)


def _notes(settings: Settings, starts: int) -> dict[str, str]:
    """Say in words what decides the result; what was not trained by the same words is refused."""
    return {
        "format": FORMAT,
        "sizes": str(list(settings.sizes)),
        "starts": str(starts),
        "steps": str(settings.steps),
        "optimizer": repr(settings.optimizer),
        "activation": settings.activation,
        "loss": settings.loss,
        "init": repr(settings.init),
        "bias_init": repr(settings.bias_init),
        "rng": repr(settings.key),
        "dtype": str(settings.dtype),
        "batch_size": str(settings.batch_size),
        "tolerance": str(settings.tolerance),
        "x": _digest(settings.x),
        "y": _digest(settings.t),
    }


def _digest(array: Array) -> str:
    digest = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()
    return f"{array.dtype} {array.shape} {digest}"
