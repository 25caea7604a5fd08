"""Our own writer of npz: whole or not at all, and of any name."""

import math
import os
import zipfile
from collections.abc import Mapping

import numpy as np

from symbreak._visible import quoted
from symbreak.checkpoints._write import Piecewise, behind, replacing


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
        The file can't be written, or its disk has no room for it; what was at `path` is as it was.
    """
    for name, array in arrays.items():
        _check_dtype(name, array.dtype)
    size = sum(array.nbytes for array in arrays.values())
    with replacing(path, size) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def save_npz_piecewise(path: str | os.PathLike[str], tensors: Mapping[str, Piecewise]) -> None:
    """Write tensors to an npz file as they are made, two pieces in memory at a time.

    Parameters
    ----------
    path
        As for :func:`save_npz`.
    tensors
        {name: tensor that gives its pieces}.

    Raises
    ------
    TypeError, OSError
        As for :func:`save_npz`, before anything is made.
    """
    for name, tensor in tensors.items():
        _check_dtype(name, tensor.dtype)
    size = sum(math.prod(each.shape) * each.dtype.itemsize for each in tensors.values())  # and some for the names
    with (
        replacing(path, size) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
        behind() as write_each,
    ):
        for name, tensor in tensors.items():
            header = {
                "descr": np.lib.format.dtype_to_descr(tensor.dtype),
                "fortran_order": False,
                "shape": tensor.shape,
            }
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                write_each((piece.view(np.uint8).data for piece in tensor.draw()), member.write)


def _check_dtype(name: str, dtype: np.dtype) -> None:
    if dtype.isbuiltin == 2 or dtype.hasobject:
        raise TypeError(f"{quoted(name)} has dtype {dtype}, which npz does not have: write safetensors")
