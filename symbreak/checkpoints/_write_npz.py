"""Our own writer of npz: whole or not at all, and of any name."""

import os
import zipfile
from collections.abc import Mapping

import numpy as np

from symbreak._visible import quoted
from symbreak.checkpoints._write import replacing


def save_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to an npz file without compression, bit for bit.

    Parameters
    ----------
    path
        Where; a file that is there is replaced when the new one is complete.
    arrays
        {name: array} of NumPy's own element types.

    Raises
    ------
    TypeError
        An element type that npy files don't have, such as bfloat16.
    OSError
        The file can't be written; what was at `path` is as it was.
    """
    for name, array in arrays.items():
        if array.dtype.isbuiltin == 2 or array.dtype.hasobject:
            raise TypeError(f"{quoted(name)} has dtype {array.dtype}, which npz does not have: write safetensors")
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
