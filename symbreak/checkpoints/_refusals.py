"""What is not read, and told by content with certainty: one row each, with what to do.

A newcomer adds a row, and beside it the test of a few bytes, if one of those that are here does not do.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from symbreak.checkpoints._source import TRUNCATED, Source
from symbreak.checkpoints._zip import glimpse_names, has_end, looks_like_zip

Test = Callable[[Source], bool]


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


def has(at: int, *found: bytes) -> Test:
    """Recognise a file by bytes at some place; it counts from the end if it is negative."""
    return lambda source: source.data[at if at >= 0 else source.size + at :][: len(found[0])] in found


def names(test: Callable[[set[str]], bool]) -> Test:
    """Recognise a zip file by what its members are called."""
    return lambda source: looks_like_zip(source) and test(glimpse_names(source))


def text(*starts: bytes, within: bytes = b"") -> Test:
    """Recognise a text by how it begins, in either case, and by what else is in its first or last 4,096 bytes."""

    def test(source: Source) -> bool:
        head = source.data[:4096]
        begun = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(starts)
        return begun and within in head + source.data[-4096:]

    return test


def either(*tests: Test) -> Test:
    """Recognise what one of several recognises."""
    return lambda source: any(test(source) for test in tests)


def ends(listed: set[str], *endings: str) -> bool:
    """Whether a name ends so."""
    return any(name.endswith(endings) for name in listed)


def _is_lfs_pointer(source: Source) -> bool:
    return source.data[:20] == b"version https://git-" and PurePath(source.path).suffix.lower() in SUFFIXES


# Archives


def _tar(test: Callable[[list[bytes]], bool]) -> Test:
    """Recognise a tar archive, as it is or gzipped, by what its first members are called."""
    return lambda source: bool(found := list(_tar_names(source))) and test(found)


def _tar_names(source: Source) -> Iterator[bytes]:
    packed = _unpacked(source, 512)
    if packed[257:262] == b"ustar":
        yield packed[:100].split(b"\0")[0]
    at = 0
    for _ in range(100):
        head = source.data[at : at + 512]
        size = head[124:136].strip(b"\0 ")
        if head[257:262] != b"ustar":
            return
        yield head[:100].split(b"\0")[0]
        if not re.fullmatch(rb"[0-7]+", size):
            return
        at += 512 + (int(size, 8) + 511) // 512 * 512


def _unpacked(source: Source, length: int) -> bytes:
    """Return the first bytes of what a gzip file or zlib stream unpacks to, or none."""
    head = source.data[: 4 * length]
    if head[:2] not in (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        return b""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(head, length)
    except zlib.error:
        return b""


def packed(*starts: bytes) -> Test:
    """Recognise a file by the first bytes of what it unpacks to."""
    return lambda source: _unpacked(source, 64).startswith(starts)


# Pickles


def _pickle(*words: bytes) -> Test:
    """Recognise a pickle by a word near its beginning or end."""

    def test(source: Source) -> bool:
        return PICKLED(source) and any(word in source.data[: 1 << 16] + source.data[-1 << 16 :] for word in words)

    return test


# Messages of Google's protocol buffers have no magic: the numbers of their fields tell them.


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    value: int  # of an integer; else the length
    opening: bytes  # the first bytes
    stop: int  # where the next field begins


def _fields(source: Source, most: int = 100) -> list[_Field]:
    """Return the first fields of a message; none when it can't be one."""
    found: list[_Field] = []
    at = 0
    while at < source.size and len(found) < most:
        key, at = _varint(source, at)
        kind = key & 7
        value, at = _varint(source, at) if kind in (0, 2) else ({1: 8, 5: 4}.get(kind, 0), at)
        if at < 0 or not key >> 3 or kind in (3, 4, 6, 7):
            return []
        stop = at + (value if kind else 0)
        found.append(_Field(key >> 3, value, source.data[at : min(stop, at + 64)] if kind else b"", stop))
        at = stop
    return found


def _varint(source: Source, at: int) -> tuple[int, int]:
    """Return a number and where it ends, or -1 where there is none."""
    value = 0
    for i, byte in enumerate(source.data[at : at + 10] if at >= 0 else b""):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    return 0, -1


def _is_saved_model(source: Source) -> bool:
    """Whether it is a schema version of 1, and then graphs to its end, each of which begins with its own facts."""
    graphs = _fields(source)[1:] if source.data[:2] == b"\x08\x01" else []
    facts = bool(graphs) and all(field.number == 2 and field.opening[:1] == b"\n" for field in graphs)
    return facts and graphs[-1].stop == source.size


def _is_coreml(source: Source) -> bool:
    """Whether it is a version, a description that begins with an input, and the model under a number of its kind."""
    fields = _fields(source) if source.data[:1] == b"\x08" else []
    described = len(fields) > 2 and fields[1].number == 2 and fields[1].opening[:1] == b"\n"
    return described and any(field.number == 10 or field.number >= 200 for field in fields[2:])


def _is_caffe(source: Source) -> bool:
    """Whether it is a name, and then layers, each of which begins with a name and a type."""
    fields = _fields(source) if source.data[:1] == b"\n" else []
    layers = [field.opening for field in fields[1:] if field.number == 100]
    layered = all(LAYER.match(opening) is not None for opening in layers)
    return bool(layers) and fields[0].opening.isascii() and layered


def _is_paddle(source: Source) -> bool:
    """Whether it is a tensor of version 0 without levels, and then its description: the type, and lengths."""
    return PADDLE.match(source.data[:24]) is not None


def _is_darknet(source: Source) -> bool:
    """Whether its name says so, and it begins with a version, 0.1 or 0.2."""
    named = PurePath(source.path).suffix.lower() == ".weights"
    return named and source.data[:8] in (b"\0\0\0\0\1\0\0\0", b"\0\0\0\0\2\0\0\0")


LAYER = re.compile(rb"\n.[ -~]+\x12.[A-Za-z]+", re.DOTALL)
PADDLE = re.compile(rb"\0{16}[\4-\xff]\0{3}\x08[\0-\x18][\x10\x12]", re.DOTALL)

# Suffixes of weights. They decide one thing: a file that bears one and is not known by its content is not passed over.
SUFFIXES = frozenset(
    {
        *(".npy", ".npz", ".safetensors", ".pt", ".pth", ".ckpt", ".bin"),
        *(".h5", ".hdf5", ".keras", ".gguf", ".onnx", ".msgpack", ".mat"),
    }
)
TO_SAFETENSORS = "convert it to safetensors or npz"
FRAMEWORK = "load it with {}, and save its arrays with numpy.savez or as safetensors"
TRUSTED = "load it where you trust it, and save the arrays with numpy.savez or as safetensors"
RESAVE = "where you trust it, load it with torch.load(..., weights_only=False) and save the state_dict again"
SOURCE = "give the weights that it was made from"
UNPACK = "unpack it first"
FETCH = "fetch the file itself"
PICKLED = begins(*(bytes([0x80, version]) for version in range(2, 6)))

# Asked before the formats that are read, for a reader would take them for its own.
REFUSALS = (
    Refusal(lambda s: s.size == 0, "is empty", "the download or the save did not finish: repeat it", weights=False),
    Refusal(
        names(lambda n: any("data.pkl" in name for name in n) and (ends(n, "/constants.pkl") or _in_code(n))),
        "is a TorchScript archive, which holds a program",
        "save the state_dict of the module with torch.save or as safetensors",
    ),
    Refusal(_is_lfs_pointer, "is a git-lfs pointer: the file itself was not fetched", "run `git lfs pull`"),
    Refusal(_is_saved_model, "is a TensorFlow SavedModel", FRAMEWORK.format("TensorFlow")),
    Refusal(_is_coreml, "is a Core ML model", FRAMEWORK.format("coremltools")),
)
# Asked after them.
OTHERS = (
    # Models of other frameworks
    Refusal(
        has(-8, b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"),
        "is the index of a TensorFlow checkpoint",
        FRAMEWORK.format("tf.train.load_checkpoint"),
    ),
    Refusal(
        text(b"model_checkpoint_path:"),
        "says which TensorFlow checkpoint of its folder is the newest",
        FRAMEWORK.format("tf.train.load_checkpoint"),
        weights=False,
    ),
    Refusal(has(4, b"TFL3"), "is a TensorFlow Lite file", TO_SAFETENSORS),
    Refusal(
        text(b"{", within=b'"weightsManifest"'),
        "is a TensorFlow.js model",
        "convert it with tensorflowjs_converter to a Keras file",
    ),
    Refusal(
        lambda s: s.data[4:8] == b"\2\0\0\0" and s.data[64:68] == b"\xef\xbe\xad\xde",
        "is the file of weights of a Core ML package",
        FRAMEWORK.format("coremltools"),
    ),
    Refusal(
        begins(b"\x0c\xdb\x3a\x2a"),
        "is the manifest of an OCDBT store, as Orbax writes it",
        FRAMEWORK.format("Orbax or TensorStore"),
    ),
    Refusal(
        text(b"{", within=b'"zarr_format"'),
        "describes a zarr array, whose values lie beside it",
        FRAMEWORK.format("zarr"),
    ),
    Refusal(
        either(has(4, b"ET12"), has(4, b"PTMF")),
        "is a PyTorch program for devices (ExecuTorch or Mobile)",
        "save the state_dict of the module that it was exported from",
    ),
    Refusal(begins(b"\x12\1" + bytes(14)), "is a file of MXNet parameters", FRAMEWORK.format("MXNet")),
    Refusal(_is_paddle, "is a file of PaddlePaddle parameters", FRAMEWORK.format("PaddlePaddle")),
    Refusal(_pickle(b"StructuredToParameterName@@"), "is a pickle of PaddlePaddle's", FRAMEWORK.format("PaddlePaddle")),
    Refusal(_is_caffe, "is a Caffe model", FRAMEWORK.format("Caffe")),
    Refusal(_is_darknet, "is a file of Darknet weights", "convert it to PyTorch or ONNX"),
    Refusal(begins(b"ftrt", b"ptrt"), "is a TensorRT engine, compiled for one device", SOURCE),
    Refusal(
        text(b"<?xml", b"<net", within=b"<net "),
        "is the graph of an OpenVINO model, whose weights lie beside it",
        FRAMEWORK.format("OpenVINO"),
    ),
    Refusal(
        begins(b"tjgg", b"fmgg", b"lmgg"), "is a GGML file of before GGUF", "convert the original model to GGUF again"
    ),
    Refusal(begins(b"MZqFpD"), "is a llamafile or another program for all systems", "unzip the GGUF file from it"),
    Refusal(
        begins(b"\x7fELF", b"MZ\x90\0", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"),
        "is a program or a library",
        SOURCE,
        weights=False,
    ),
    # Archives
    Refusal(
        _tar(lambda n: any(name.endswith((b"model_config.yaml", b"model_weights.ckpt")) for name in n)),
        "is a NeMo archive",
        "unpack it with tar, and give model_weights.ckpt",
    ),
    Refusal(
        _tar(lambda n: {b"pickle", b"storages", b"tensors"} <= set(n)),
        "is a tar archive, as PyTorch wrote before version 0.1.10",
        RESAVE,
    ),
    Refusal(_tar(bool), "is a tar archive", "unpack it and give the file inside", weights=False),
    Refusal(
        lambda source: looks_like_zip(source) and not has_end(source),
        "is a zip file without the directory that ends it",
        TRUNCATED,
        weights=False,
    ),
    Refusal(looks_like_zip, "is a zip file without a checkpoint", "unpack it and give the file inside", weights=False),
    Refusal(begins(b"7z\xbc\xaf\x27\x1c"), "is a 7z archive", "unpack it and give the file inside", weights=False),
    Refusal(begins(b"Rar!\x1a\7"), "is a RAR archive", "unpack it and give the file inside", weights=False),
    Refusal(
        either(begins(b"RDX2\n", b"RDX3\n", b"X\n\0\0\0"), packed(b"RDX2\n", b"RDX3\n", b"X\n\0\0\0")),
        "is a file of R's (save or saveRDS)",
        "write the arrays from R as npy or HDF5",
        weights=False,
    ),
    Refusal(
        packed(*(bytes([0x80, version]) for version in range(2, 6))),
        "is a compressed pickle, as joblib writes it",
        TRUSTED,
        weights=False,
    ),
    Refusal(begins(b"\x1f\x8b"), "is compressed with gzip", UNPACK, weights=False),
    Refusal(begins(b"BZh"), "is compressed with bzip2", UNPACK, weights=False),
    Refusal(begins(b"\xfd7zXZ\0"), "is compressed with xz", UNPACK, weights=False),
    Refusal(begins(b"\x28\xb5\x2f\xfd"), "is compressed with Zstandard", UNPACK, weights=False),
    Refusal(begins(b"\x04\x22\x4d\x18"), "is compressed with LZ4", UNPACK, weights=False),
    # Pickles
    Refusal(_pickle(b"joblib.numpy_pickle"), "is a joblib file, a pickle with arrays in it", TRUSTED, weights=False),
    Refusal(_pickle(b"sklearn."), "is a pickle of scikit-learn's", TRUSTED, weights=False),
    Refusal(PICKLED, "is a bare pickle, which only running it could read", TRUSTED, weights=False),
    # Tables
    Refusal(begins(b"PAR1"), "is a Parquet table", "give the file of weights", weights=False),
    Refusal(begins(b"ARROW1", b"FEA1"), "is an Arrow or Feather table", "give the file of weights", weights=False),
    # Texts
    Refusal(begins(b"version https://git-"), "is a git-lfs pointer", "run `git lfs pull`", weights=False),
    Refusal(
        text(b"<!doctype html", b"<html"), "is an HTML page, such as a sign-in or error page", FETCH, weights=False
    ),
    Refusal(text(b"<?xml"), "is XML, such as the error message of a server", FETCH, weights=False),
    Refusal(
        text(b"{", b"["),
        "is JSON, but not the index of a sharded model",
        "give the file of weights, or an index with a weight_map",
        weights=False,
    ),
)
# Folders that are one model, by names of what lies in them.
FOLDERS = (
    ({"saved_model.pb"}, "is a TensorFlow SavedModel", FRAMEWORK.format("TensorFlow")),
    ({"_METADATA"}, "is an Orbax checkpoint", FRAMEWORK.format("Orbax")),
    ({"manifest.ocdbt"}, "is an OCDBT store, as Orbax writes it", FRAMEWORK.format("Orbax or TensorStore")),
    ({".zgroup"}, "is a zarr group", FRAMEWORK.format("zarr")),
    ({".zarray"}, "is a zarr array", FRAMEWORK.format("zarr")),
    ({"zarr.json"}, "is a zarr group or array", FRAMEWORK.format("zarr")),
    ({"Manifest.json", "Data"}, "is a Core ML package", FRAMEWORK.format("coremltools")),
)


def _in_code(listed: set[str]) -> bool:
    return any("/code/" in name for name in listed)
