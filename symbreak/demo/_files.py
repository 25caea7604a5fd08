"""Where the demonstration writes: a folder in which it replaces its own files, and no others."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

MAKER = "symbreak demo"

# A file of an earlier run has these bytes near its beginning: the first note of a safetensors header, and the text
# chunk of a PNG (PNG specification, section 11.3.3).
MARKS: Mapping[str, bytes] = {
    ".safetensors": f'{{"__metadata__":{{"made_by":"{MAKER}"'.encode(),
    ".png": f"tEXtSoftware\0{MAKER}".encode(),
}
HEAD = 1024  # bytes


@contextlib.contextmanager
def claimed(path: str | os.PathLike[str], names: tuple[str, ...]) -> Iterator[Path]:
    """Give a folder in which files may be written under `names`; it is made if it is not there.

    The place is tried before the work begins. A folder that was made, and is still empty when the work fails, is
    removed.

    Parameters
    ----------
    path
        The folder. The one around it must exist.
    names
        Of the files that are going to be written, ending in ``.safetensors`` or ``.png``.

    Raises
    ------
    FileExistsError
        A file of one of the names is there, and is not of an earlier run.
    OSError
        The folder can't be made or written to.
    """
    folder = Path(path)
    made = False
    if not folder.is_dir():
        folder.mkdir()
        made = True
    try:
        for name in names:
            if os.path.lexists(folder / name) and not _is_ours(folder / name):
                raise FileExistsError(
                    errno.EEXIST,
                    f"{name} is there and was not made by an earlier run; move it away or choose another folder",
                    str(folder),
                )
        with tempfile.TemporaryFile(dir=folder):
            yield folder
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return MARKS[path.suffix] in file.read(HEAD)
