"""The formats that are read: one row each, told apart by content alone. What is refused by name is in `_refusals`.

A newcomer adds a reader in a file of its own and a row here.
"""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from symbreak.checkpoints._flax import Flax, looks_like_flax
from symbreak.checkpoints._gguf import Gguf, looks_like_gguf
from symbreak.checkpoints._hdf5 import looks_like_hdf5, read_hdf5
from symbreak.checkpoints._keras import holds_keras, read_keras
from symbreak.checkpoints._mat4 import Mat4, looks_like_mat4
from symbreak.checkpoints._mat5 import Mat5, looks_like_mat5
from symbreak.checkpoints._mat73 import looks_like_mat73, read_mat73
from symbreak.checkpoints._npy import Npy, looks_like_npy
from symbreak.checkpoints._npz import Npz
from symbreak.checkpoints._onnx import Onnx, looks_like_onnx
from symbreak.checkpoints._reader import Checkpoint
from symbreak.checkpoints._refusals import OTHERS, REFUSALS, SUFFIXES, Refusal, Test, ends, names
from symbreak.checkpoints._safetensors import Safetensors, looks_like_safetensors
from symbreak.checkpoints._sharded import Sharded, looks_like_index
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._torch_legacy import TorchLegacy, looks_like_torch_legacy
from symbreak.checkpoints._torch_zip import TorchZip


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is read."""

    recognises: Test
    reader: Callable[[Source], Checkpoint]


FORMATS = (
    Format(looks_like_npy, Npy),
    Format(looks_like_gguf, Gguf),
    Format(looks_like_torch_legacy, TorchLegacy),
    Format(names(lambda n: ends(n, "/data.pkl")), TorchZip),
    Format(names(holds_keras), read_keras),
    Format(names(lambda n: not n or ends(n, ".npy")), Npz),
    Format(looks_like_index, Sharded),
    Format(looks_like_safetensors, Safetensors),
    Format(looks_like_mat73, read_mat73),
    Format(looks_like_hdf5, read_hdf5),
    Format(looks_like_onnx, Onnx),
    Format(looks_like_mat5, Mat5),
    Format(looks_like_mat4, Mat4),
    Format(looks_like_flax, Flax),
)


def find_format(source: Source) -> Format | Refusal | None:
    """Return the row whose kind of file this is, or None when it is none that is known."""
    rows: tuple[Format | Refusal, ...] = (*REFUSALS, *FORMATS, *OTHERS)
    return next((row for row in rows if row.recognises(source)), None)


def is_checkpoint(source: Source) -> bool:
    """Whether a folder's listing must name this file: what says that it holds weights, readable or not."""
    row = find_format(source)
    if isinstance(row, Format):
        return True
    name = PurePath(source.path).name.lower()
    # Many things are called .bin; these are what the libraries of Hugging Face call weights.
    named = PurePath(name).suffix in SUFFIXES - {".bin"} or fnmatch.fnmatch(name, "*_model*.bin")
    return named or (row is not None and row.weights)
