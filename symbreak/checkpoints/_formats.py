"""The formats that are read, and those that are refused by name: one row each, told apart by content alone.

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
from symbreak.checkpoints._mat73 import looks_like_mat73, read_mat73
from symbreak.checkpoints._npy import Npy, looks_like_npy
from symbreak.checkpoints._npz import Npz
from symbreak.checkpoints._onnx import Onnx, looks_like_onnx
from symbreak.checkpoints._reader import Checkpoint
from symbreak.checkpoints._safetensors import Safetensors, looks_like_safetensors
from symbreak.checkpoints._sharded import Sharded, looks_like_index
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._torch_legacy import TorchLegacy, looks_like_torch_legacy
from symbreak.checkpoints._torch_zip import TorchZip
from symbreak.checkpoints._zip import glimpse_names, looks_like_zip

Test = Callable[[Source], bool]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is read."""

    recognises: Test
    reader: Callable[[Source], Checkpoint]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A kind of file that is refused: what it is, and what to do."""

    recognises: Test
    what: str
    fix: str
    weights: bool = True  # it would hold weights, so a folder's listing must not pass it over


def begins(*starts: bytes) -> Test:
    """Recognise a file by its first bytes."""
    return lambda source: source.data[: max(map(len, starts))].startswith(starts)


def names(test: Callable[[set[str]], bool]) -> Test:
    """Recognise a zip file by what its members are called."""
    return lambda source: looks_like_zip(source) and test(glimpse_names(source))


def _ends(listed: set[str], *ends: str) -> bool:
    return any(name.endswith(ends) for name in listed)


def _is_legacy_tar(source: Source) -> bool:
    return source.data[257:262] == b"ustar"


def _is_text(source: Source, *starts: bytes) -> bool:
    return source.data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(starts)


def _is_lfs_pointer(source: Source) -> bool:
    return source.data[:20] == b"version https://git-" and PurePath(source.path).suffix.lower() in SUFFIXES


# Suffixes of weights. They decide one thing: a file that bears one and is not known by its content is not passed over.
SUFFIXES = frozenset(
    {".npy", ".npz", ".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".h5", ".hdf5", ".keras", ".gguf", ".onnx", ".mat"}
    | {".msgpack"}
)
TO_SAFETENSORS = "convert it to safetensors or npz"
RESAVE = "where you trust it, load it with torch.load(..., weights_only=False) and save the state_dict again"

REFUSALS = (
    Refusal(lambda s: s.size == 0, "is empty", "the download or the save did not finish: repeat it", weights=False),
    Refusal(
        names(lambda n: any("data.pkl" in name for name in n) and (_ends(n, "/constants.pkl") or _in_code(n))),
        "is a TorchScript archive, which holds a program",
        "save the state_dict of the module with torch.save or as safetensors",
    ),
    Refusal(_is_lfs_pointer, "is a git-lfs pointer: the file itself was not fetched", "run `git lfs pull`"),
)
OTHERS = (
    Refusal(_is_legacy_tar, "is a tar archive, as PyTorch wrote before version 0.1.10", RESAVE),
    Refusal(looks_like_zip, "is a zip file without a checkpoint", "unpack it and give the file inside", weights=False),
    Refusal(
        begins(*(bytes([0x80, version]) for version in range(2, 6))),
        "is a bare pickle, which only running it could read",
        "load it where you trust it, and save the arrays with numpy.savez or as safetensors",
        weights=False,
    ),
    Refusal(
        begins(b"tjgg", b"fmgg", b"lmgg"), "is a GGML file of before GGUF", "convert the original model to GGUF again"
    ),
    Refusal(begins(b"\x1f\x8b"), "is compressed with gzip", "unpack it first", weights=False),
    Refusal(begins(b"BZh"), "is compressed with bzip2", "unpack it first", weights=False),
    Refusal(begins(b"\xfd7zXZ\0"), "is compressed with xz", "unpack it first", weights=False),
    Refusal(begins(b"\x28\xb5\x2f\xfd"), "is compressed with Zstandard", "unpack it first", weights=False),
    Refusal(lambda s: s.data[4:8] == b"TFL3", "is a TensorFlow Lite file", TO_SAFETENSORS, weights=False),
    Refusal(begins(b"MATLAB 5.0"), "is a MATLAB file", TO_SAFETENSORS, weights=False),
    Refusal(begins(b"version https://git-"), "is a git-lfs pointer", "run `git lfs pull`", weights=False),
    Refusal(
        lambda s: _is_text(s, b"<!doctype html", b"<html"),
        "is an HTML page, such as a sign-in or error page",
        "fetch the file itself",
        weights=False,
    ),
    Refusal(
        lambda s: _is_text(s, b"{", b"["),
        "is JSON, but not the index of a sharded model",
        "give the file of weights, or an index with a weight_map",
        weights=False,
    ),
)

FORMATS = (
    Format(looks_like_npy, Npy),
    Format(looks_like_gguf, Gguf),
    Format(looks_like_torch_legacy, TorchLegacy),
    Format(names(lambda n: _ends(n, "/data.pkl")), TorchZip),
    Format(names(holds_keras), read_keras),
    Format(names(lambda n: not n or _ends(n, ".npy")), Npz),
    Format(looks_like_index, Sharded),
    Format(looks_like_safetensors, Safetensors),
    Format(looks_like_mat73, read_mat73),
    Format(looks_like_hdf5, read_hdf5),
    Format(looks_like_onnx, Onnx),
    Format(looks_like_flax, Flax),
)


def _in_code(listed: set[str]) -> bool:
    return any("/code/" in name for name in listed)


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
