"""What is not read is refused by what it is, told by content and whatever its suffix, with what to do."""

import bz2
import gzip
import io
import lzma
import pickle
import struct
import tarfile
import zlib

import pytest

from symbreak.checkpoints import find_checkpoints, open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import Zip


def tar(*members):
    """A tar archive of small files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in members:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    return file.getvalue()


def field(number, value):
    """A field of a protocol buffer."""
    key = number << 3 | (0 if isinstance(value, int) else 2)
    return varint(key) + (varint(value) if isinstance(value, int) else varint(len(value)) + value)


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


GRAPH = field(1, field(4, b"serve") + field(5, b"2.16.1")) + field(2, b"nodes")
SAVED_MODEL = field(1, 1) + field(2, GRAPH)
COREML = field(1, 7) + field(2, field(1, field(1, b"image"))) + field(502, b"program")
CAFFE = field(1, b"LeNet") + field(100, field(1, b"conv1") + field(2, b"Convolution") + field(7, bytes(9)))
PADDLE = struct.pack("<IQIi", 0, 0, 0, 6) + field(1, 5) + field(2, 3) + field(2, 4) + bytes(48)
SORTED_TABLE = bytes(40) + bytes.fromhex("57fb808b247547db")

# By suffix where that is half of the evidence; else the content alone tells.
WEIGHTS = {
    "a TensorFlow SavedModel": (SAVED_MODEL, "is a TensorFlow SavedModel; load it with TensorFlow"),
    "a SavedModel of two graphs": (SAVED_MODEL + field(2, GRAPH), "is a TensorFlow SavedModel"),
    "a TensorFlow checkpoint": (SORTED_TABLE, r"is the index of a TensorFlow checkpoint; load it with tf\.train"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3", "is a TensorFlow Lite file; convert it to safetensors or npz"),
    "TensorFlow.js": (b'{"format": "layers-model", "weightsManifest": []}', r"is a TensorFlow\.js model; convert it"),
    "Core ML": (COREML, "is a Core ML model; load it with coremltools"),
    "an updatable Core ML model": (COREML[:-10] + field(10, 1), "is a Core ML model"),
    "weights of Core ML": (
        struct.pack("<2I", 1, 2).ljust(64, b"\0") + b"\xef\xbe\xad\xde" + bytes(60),
        "is the file of weights of a Core ML package; load it with coremltools",
    ),
    "OCDBT": (bytes.fromhex("0cdb3a2a8e000000"), "is the manifest of an OCDBT store, as Orbax writes it; load it"),
    "zarr 2": (b'{"chunks": [3], "zarr_format": 2}', "describes a zarr array, whose values lie beside it; load it"),
    "ExecuTorch": (b"\x3c\0\0\0ET12eh00", r"is a PyTorch program for devices \(ExecuTorch or Mobile\); save the"),
    "PyTorch Mobile": (b"\x18\0\0\0PTMF", "is a PyTorch program for devices"),
    "MXNet": (struct.pack("<3Q", 0x112, 0, 2) + bytes(30), "is a file of MXNet parameters; load it with MXNet"),
    "PaddlePaddle": (PADDLE, "is a file of PaddlePaddle parameters; load it with PaddlePaddle"),
    "a PaddlePaddle pickle": (
        pickle.dumps({"w": 1, "StructuredToParameterName@@": {}}, 2),
        "is a pickle of PaddlePaddle's; load it with PaddlePaddle",
    ),
    "Caffe": (CAFFE, "is a Caffe model; load it with Caffe"),
    "TensorRT": (b"ftrt" + bytes(20), "is a TensorRT engine, compiled for one device; give the weights that it was"),
    "OpenVINO": (
        b'<?xml version="1.0"?>\n<net name="m" version="11">',
        "is the graph of an OpenVINO model, whose weights lie beside it; load it with OpenVINO",
    ),
    "GGML": (b"tjgg\3\0\0\0", "is a GGML file of before GGUF; convert the original model to GGUF again"),
    "a llamafile": (b"MZqFpD='\n", "is a llamafile or another program for all systems; unzip the GGUF file from it"),
    "NeMo": (tar("./model_config.yaml", "./model_weights.ckpt"), r"is a NeMo archive; unpack it with tar, and give"),
    "NeMo, packed": (gzip.compress(tar("./model_config.yaml")), "is a NeMo archive"),
    "an old PyTorch file": (
        tar("sys_info", "pickle", "tensors", "storages"),
        r"is a tar archive, as PyTorch wrote before version 0\.1\.10; where you trust it, load it with torch",
    ),
}
OTHERS = {
    "a note of TensorFlow's": (b'model_checkpoint_path: "ckpt-1"', "says which TensorFlow checkpoint of its folder"),
    "ELF": (b"\x7fELF\2\1", "is a program or a library; give the weights that it was made from"),
    "a program of Windows": (b"MZ\x90\0", "is a program or a library"),
    "a program of macOS": (b"\xcf\xfa\xed\xfe", "is a program or a library"),
    "tar": (tar("a"), "is a tar archive; unpack it and give the file inside"),
    "a torn tar": (tar("a")[:300], "is a tar archive; unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "is a 7z archive; unpack it and give the file inside"),
    "RAR": (b"Rar!\x1a\7\1\0", "is a RAR archive; unpack it and give the file inside"),
    "a zip": (Zip().add("a.txt", b"x").bytes(), "is a zip file without a checkpoint; unpack it and give the file"),
    "R": (b"RDX3\nX\n", r"is a file of R's \(save or saveRDS\); write the arrays from R as npy or HDF5"),
    "R, packed": (gzip.compress(b"X\n\0\0\0\3\0\4"), "is a file of R's"),
    "a packed pickle": (
        zlib.compress(b"\x80\4\x95" + bytes(9)),
        "is a compressed pickle, as joblib writes it; load it",
    ),
    "a gzipped pickle": (gzip.compress(pickle.dumps({})), "is a compressed pickle, as joblib writes it"),
    "gzip": (gzip.compress(b"hello"), "is compressed with gzip; unpack it first"),
    "damaged gzip": (b"\x1f\x8b\x08\xff", "is compressed with gzip; unpack it first"),
    "bzip2": (bz2.compress(b""), "is compressed with bzip2; unpack it first"),
    "xz": (lzma.compress(b""), "is compressed with xz; unpack it first"),
    "Zstandard": (b"\x28\xb5\x2f\xfd", "is compressed with Zstandard; unpack it first"),
    "LZ4": (b"\x04\x22\x4d\x18", "is compressed with LZ4; unpack it first"),
    "joblib": (
        pickle.dumps({"w": "joblib.numpy_pickle"}),
        "is a joblib file, a pickle with arrays in it; load it where you trust it, and save the arrays",
    ),
    "scikit-learn": (pickle.dumps(["sklearn.svm._classes"]), "is a pickle of scikit-learn's; load it where you trust"),
    "a pickle": (b"\x80\x04\x95", "is a bare pickle, which only running it could read; load it where you trust it"),
    "Parquet": (b"PAR1\x15\4", "is a Parquet table; give the file of weights"),
    "Arrow": (b"ARROW1\0\0", "is an Arrow or Feather table; give the file of weights"),
    "Feather": (b"FEA1\0\0", "is an Arrow or Feather table"),
    "a page": (b"\n<!DOCTYPE html><html>", "is an HTML page, such as a sign-in or error page; fetch the file itself"),
    "XML": (b'<?xml version="1.0"?><Error/>', "is XML, such as the error message of a server; fetch the file itself"),
    "JSON": (b'{"a": 1}', "is JSON, but not the index of a sharded model; give the file of weights, or an index"),
    "JSON with a brace where safetensors has one": (b'{"abc": {"a": 1}}', "is JSON, but not the index"),
    "JSON of a list": (b"\xef\xbb\xbf [1]", "is JSON, but not the index"),
}
POINTER = b"version https://git-lfs.github.com/spec/v1\n"


@pytest.mark.parametrize("kind", WEIGHTS | OTHERS)
@pytest.mark.parametrize("suffix", ["", ".safetensors", ".npy", ".pt"])
def test_what_is_not_read_is_refused_by_what_it_is_whatever_its_suffix(tmp_path, kind, suffix):
    content, message = (WEIGHTS | OTHERS)[kind]
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(BadCheckpoint, match=message) as caught:
        open_checkpoint(tmp_path / f"a{suffix}")
    assert str(caught.value) == f"{tmp_path / f'a{suffix}'}: {caught.value.problem}; {caught.value.fix}"


@pytest.mark.parametrize("kind", WEIGHTS)
def test_a_folder_lists_what_holds_weights_so_that_it_is_not_passed_over(tmp_path, kind):
    (tmp_path / "a").write_bytes(WEIGHTS[kind][0])
    assert find_checkpoints(tmp_path) == [tmp_path / "a"]


@pytest.mark.parametrize("kind", OTHERS)
def test_a_folder_passes_over_what_need_not_hold_weights(tmp_path, kind):
    (tmp_path / "a").write_bytes(OTHERS[kind][0])
    assert find_checkpoints(tmp_path) == []


def test_an_empty_file_and_a_pointer_are_named(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"")
    with pytest.raises(BadCheckpoint, match="is empty; the download or the save did not finish: repeat it"):
        open_checkpoint(tmp_path / "a.pt")
    for name in ("a.safetensors", "notes.txt"):
        (tmp_path / name).write_bytes(POINTER)
        with pytest.raises(BadCheckpoint, match=r"is a git-lfs pointer.*; run `git lfs pull`"):
            open_checkpoint(tmp_path / name)
    assert [path.name for path in find_checkpoints(tmp_path)] == ["a.pt", "a.safetensors"]


def test_darknet_is_told_by_its_version_and_its_name(tmp_path):
    content = struct.pack("<3iQ", 0, 2, 5, 32013312) + bytes(64)
    (tmp_path / "yolo.weights").write_bytes(content)
    with pytest.raises(BadCheckpoint, match="is a file of Darknet weights; convert it to PyTorch or ONNX"):
        open_checkpoint(tmp_path / "yolo.weights")
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(BadCheckpoint, match="is no checkpoint that is known"):
        open_checkpoint(tmp_path / "other")
    assert find_checkpoints(tmp_path) == [tmp_path / "yolo.weights"]


TAR = b"%b" + bytes(24) + b"%-11b" + bytes(122) + b"ustar\x0000" + bytes(247)  # a header of 512 bytes

NOT_QUITE = {
    "a SavedModel that is cut off": SAVED_MODEL[:-1],
    "a SavedModel with something after it": SAVED_MODEL + field(3, 1),
    "a producer of ONNX": field(1, 1) + field(2, b"pytorch"),
    "a Core ML model without a model": COREML[: -len(field(502, b"program"))] + field(3, b"x"),
    "a Core ML model without an input": field(1, 7) + field(2, b"") + field(502, b""),
    "fields without end": b"\x08" + b"\xff" * 20,
    "a field of number 0": b"\x08\x01\x00\x01",
    "a group": field(1, 1) + b"\x13",
    "a Caffe model without layers": field(1, b"LeNet") + field(2, b"x"),
    "a Caffe layer without a type": field(1, b"LeNet") + field(100, field(1, b"conv1") + field(7, b"1")),
    "a Paddle tensor with levels": b"\0\0\0\0\1" + PADDLE[5:],
    "text": b"hello there",
}


@pytest.mark.parametrize("kind", NOT_QUITE)
def test_what_only_resembles_such_a_file_is_not_taken_for_it(tmp_path, kind):
    (tmp_path / "a").write_bytes(NOT_QUITE[kind])
    with pytest.raises(BadCheckpoint) as caught:
        open_checkpoint(tmp_path / "a")
    for name in ("SavedModel", "Core ML", "Caffe", "Paddle"):
        assert name not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "size", "what"), [(98, 0, "a NeMo archive"), (150, 0, "a tar archive"), (1, "?", "a tar archive")]
)
def test_of_a_tar_archive_a_hundred_files_are_looked_at_as_far_as_their_sizes_are_told(tmp_path, place, size, what):
    names = [b"%d.txt" % n for n in range(place)] + [b"model_config.yaml"]
    sizes = str(size).encode() * 11
    (tmp_path / "a").write_bytes(b"".join(TAR % (name.ljust(100, b"\0"), sizes) for name in names))
    with pytest.raises(BadCheckpoint, match=f"is {what}"):
        open_checkpoint(tmp_path / "a")


FOLDERS = {
    ("saved_model.pb", "variables/variables.index"): "is a TensorFlow SavedModel; load it with TensorFlow",
    ("_METADATA", "manifest.ocdbt"): "is an Orbax checkpoint; load it with Orbax",
    ("manifest.ocdbt", "d/1"): "is an OCDBT store, as Orbax writes it; load it with Orbax or TensorStore",
    (".zgroup",): "is a zarr group; load it with zarr",
    (".zarray", "0.0"): "is a zarr array; load it with zarr",
    ("zarr.json", "c/0/0"): "is a zarr group or array; load it with zarr",
    ("Manifest.json", "Data/com.apple.CoreML/model.mlmodel"): "is a Core ML package; load it with coremltools",
}


@pytest.mark.parametrize("members", FOLDERS)
def test_a_folder_that_is_one_model_is_refused_by_what_it_is(tmp_path, members):
    for member in members:
        (tmp_path / member).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / member).write_bytes(b"x")
    with pytest.raises(BadCheckpoint, match=FOLDERS[members]):
        open_checkpoint(tmp_path)


def test_a_folder_with_a_manifest_of_its_own_is_none_of_them(tmp_path):
    (tmp_path / "Manifest.json").write_text("{}")
    with pytest.raises(IsADirectoryError):
        open_checkpoint(tmp_path)
