"""MATLAB's files since version 7.3: HDF5 behind a block of 512 bytes, with the axes in the reverse order.

MATLAB stores columns first, so the first axis of its arrays is the last of the dataset's. Structures are groups; a cell
array is a dataset of references to objects in the group `#refs#`, which have no other name. Names are those of the
earlier versions' reader: `net.fc1.weight`, `layers.0`, counted from 0 in MATLAB's order.
"""

from collections.abc import Iterator

from symbreak.checkpoints._hdf5 import MAGIC, Hdf5
from symbreak.checkpoints._hdf5_file import Hdf5File
from symbreak.checkpoints._reader import Checkpoint, Skipped
from symbreak.checkpoints._source import Source

OPENING = b"MATLAB 7.3 MAT-file"
BLOCK = 512  # bytes before the HDF5 file
TEXT = 116  # bytes of notes at the beginning
DEEPEST = 100  # cells in cells


def looks_like_mat73(source: Source) -> bool:
    """Whether the file begins as MATLAB begins it, and is HDF5 behind that."""
    return source.data[: len(OPENING)] == OPENING and source.data[BLOCK : BLOCK + len(MAGIC)] == MAGIC


def read_mat73(source: Source) -> Checkpoint:
    """Open a MATLAB file of version 7.3."""
    file = Hdf5File(source, matlab=True)
    try:
        notes = source.data[:TEXT].rstrip(b" \0").decode("latin-1")
        names = _Names(file)
        named = {path: names.name(path) for path in [*file.datasets, *(path for path, _ in file.skipped)]}
        return Hdf5(file, "mat", named, list(names.lost()), {"description": notes}, reverse=True)
    except BaseException:
        file.close()
        raise


class _Names:
    def __init__(self, file: Hdf5File) -> None:
        self.file = file
        self.known: dict[str, tuple[str, int]] = {}  # path of what a reference leads to: the cell, and which it is
        for path, cells in file.cells.items():
            for number, target in enumerate(cells.targets):
                if target is not None:
                    self.known.setdefault(target, (path, number))

    def name(self, path: str, depth: int = 0) -> str:
        """Return what MATLAB calls what lies at a path."""
        parts = path.split("/")
        for at in range(len(parts), 0, -1):
            found = self.known.get("/".join(parts[:at]))
            if found is not None and depth < DEEPEST:
                return ".".join([self.element(*found, depth + 1), *parts[at:]])
        return ".".join(parts)

    def element(self, path: str, number: int, depth: int) -> str:
        parent, _, last = path.rpartition("/")
        if parent and self.file.attributes.get(path, {}).get("MATLAB_class") != "cell":
            return f"{self.name(parent, depth)}.{number}.{last}"  # a field of an array of structures
        return f"{self.name(path, depth)}.{number}"

    def lost(self) -> Iterator[Skipped]:
        """Yield the references that lead nowhere."""
        for path, cells in self.file.cells.items():
            for number, target in enumerate(cells.targets):
                if target is None:
                    yield Skipped(self.element(path, number, 0), "it is a reference that leads nowhere")
