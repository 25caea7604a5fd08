"""Whatever the bytes, a file is read or refused with BadCheckpoint; and no memory is asked for on its word."""

import ast
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak.checkpoints
from symbreak.checkpoints import find_checkpoints
from tests.checkpoints import _make_mat as mat
from tests.checkpoints._make import (
    DATA,
    Zip,
    deflate,
    dict_of,
    npy,
    pickled,
    refusal,
    safetensors,
    storage,
    tensor,
    torch_zip,
)
from tests.checkpoints._make_flax import array
from tests.checkpoints._make_flax import text as key
from tests.checkpoints._make_gguf import LIST, TEXT, UINT8, gguf, items, pair, text, u64
from tests.checkpoints._make_gguf import tensor as tensor_entry
from tests.checkpoints._make_legacy import legacy, record
from tests.checkpoints._make_legacy import storage as legacy_storage
from tests.checkpoints._make_legacy import tensor as legacy_tensor
from tests.checkpoints._make_onnx import attribute, field, initializer, model
from tests.checkpoints._make_onnx import node as operator

# By content: what each library wrote, and a PyTorch file put together by hand, in which no byte is padding.
FILES = ("plain.npy", "deflated.npz", "numpy.safetensors", "chunks.msgpack")
SMALL = {file: (DATA / file).read_bytes() for file in FILES}
SMALL["by hand.onnx"] = model(operator("Gemm", attribute("transB", field(3, 1)), inputs=("x", "W")), initializer())
MAT = mat.file5(mat.weight(), mat.packed(mat.weight("v")))
SMALL["by hand.pt"] = torch_zip(pickled(dict_of(w=tensor((2, 2), (1, 2)))), {"0": bytes(16)})
SMALL["by hand, legacy.pt"] = legacy()
SMALL["by hand.gguf"] = gguf([pair("a", UINT8, b"\0")], [tensor_entry()], bytes(32))
LARGER = {file: (DATA / file).read_bytes() for file in ("stored.npz", "bare.pt")}
FLIPS = [(file, flip) for file in SMALL for flip in (0x01, 0x20, 0x80, 0xFF)] + [(file, 0x04) for file in LARGER]
PACKAGE = pathlib.Path(symbreak.checkpoints.__file__).parent


def is_clear(message):
    """Whether a file was read, or refused in one printable line."""
    return message is None or message.isprintable()


@pytest.mark.parametrize("file", [*SMALL, *LARGER])
def test_every_strict_prefix_is_refused(tmp_path, file):
    content = (SMALL | LARGER)[file]
    for length in range(len(content)):
        (tmp_path / "a").write_bytes(content[:length])
        assert refusal(tmp_path / "a") is not None, length


@pytest.mark.exhaustive
@pytest.mark.parametrize(("file", "flip"), FLIPS)
def test_every_flipped_byte_is_read_or_refused(tmp_path, file, flip):
    content = (SMALL | LARGER)[file]
    refused = 0
    for at in range(len(content)):
        (tmp_path / "a").write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
        message = refusal(tmp_path / "a")
        assert is_clear(message), at
        refused += message is not None
    assert refused > len(content) // 3


@pytest.mark.parametrize("content", [MAT, mat.variable4() + mat.variable4("v")], ids=["version 5", "version 4"])
@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_every_flipped_byte_of_a_mat_file_is_read_or_refused(tmp_path, content, flip):
    """Most of the bytes are values, and a file that ends between two variables is whole."""
    for at in range(len(content)):
        (tmp_path / "a").write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
        assert is_clear(refusal(tmp_path / "a")), at


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_every_flipped_byte_of_an_index_is_read_or_refused(tmp_path, flip):
    shutil.copytree(DATA / "sharded_safetensors", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "model.safetensors.index.json"
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
        assert is_clear(refusal(path)), at
        find_checkpoints(tmp_path)


OPCODES = (
    b"\x80\x95.N\x88\x89KMJ\x8a\x8bG\x8cX\x8dCB\x8e\x96)\x85\x86\x87t]ae}su\x8f\x90\x91(01qr\x94hjc\x93R\x81\x92bQio"
)
PARTS = st.sampled_from(
    [OPCODES[i : i + 1] for i in range(len(OPCODES))] + [tensor(), storage(), dict_of(w=tensor()), b"K\0"]
)


@given(program=st.lists(st.one_of(PARTS, st.binary(max_size=3)), max_size=30))
def test_any_program_is_read_or_refused(tmp_path_factory, program):
    path = tmp_path_factory.mktemp("any") / "a.pt"
    path.write_bytes(torch_zip(pickled(*program), {"0": bytes(16)}))
    assert is_clear(refusal(path))
    assert find_checkpoints(path.parent) in ([], [path])


STARTS = [
    b"",
    b"\x93NUMPY\1\0",
    b"PK\3\4",
    b"PK\5\6",
    b"{",
    b"\x80\2",
    b"\x05\0\0\0\0\0\0\0{",
    b"GGUF\3\0\0\0",
    b"GGUF\0\0\0\3",
    legacy()[:15],
    legacy()[:30],
    b"\x08\x0a\x3a",
    model(initializer()),
    b"\x81\xa1w\xc7",
    b"\x82" + key("w") + array(),
]
# Of what is refused, that which is told by more than its first bytes; and MAT-files.
STARTS += [b"\x08\1\x12", b"\n\3abc", bytes(16), b"\x1f\x8b\x08\0", b"x\x9c", b"<?xml", b"a" * 257 + b"ustar"]
STARTS += [mat.head("<"), mat.head(">"), bytes(4) + b"\2\0\0\0\3\0\0\0"]


@given(start=st.sampled_from(STARTS), content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, start, content):
    path = tmp_path_factory.mktemp("any") / "a"
    path.write_bytes(start + content)
    assert is_clear(refusal(path))
    assert find_checkpoints(path.parent) in ([], [path])


def bombs():
    """Small files that claim gigabytes."""
    zeros = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }\n"
    claim = npy(zeros % (3 << 30))
    sizes = {"packed": 3 << 30, "size": 3 << 30}
    text_claim = b"X" + (2**31 + 2**30).to_bytes(4, "little")
    vast = legacy_tensor((3 << 30,), over=legacy_storage(3 << 30))
    return {
        "npy.header": npy("", version=(2, 0), length=2**32 - 1),
        "npy.shape": claim,
        "npz.shape": Zip().add("a.npy", claim).bytes(),
        "npz.member": Zip().add("a.npy", claim, local=sizes, central=sizes).bytes(),
        "npz.deflated": Zip()
        .add(
            "a.npy",
            claim,
            method=8,
            packed=deflate(claim) + bytes(3 << 20),
            local={"size": 3 << 30},
            central={"size": 3 << 30},
        )
        .bytes(),
        "npz.directory": Zip().add("a.npy", claim).bytes(count=2**16 - 1),
        "safetensors.header": safetensors(b"{", length=99_999_999),
        "safetensors.shape": safetensors({"a": {"dtype": "U8", "shape": [3 << 30], "data_offsets": [0, 3 << 30]}}),
        "pt.text": torch_zip(pickled(text_claim)),
        "legacy.text": legacy(text_claim),
        "legacy.storage": legacy(vast, record(b"1234", 3 << 30)),
        "gguf.key": gguf([text("a", size=3 << 30)]),
        "gguf.list": gguf([pair("a", LIST, items(UINT8, count=3 << 30))]),
        "gguf.texts": gguf([pair("a", LIST, items(TEXT, count=3 << 27))]),
        "gguf.text": gguf([pair("a", TEXT, u64(3 << 30))]),
        "gguf.tensors": gguf(counts=(3 << 30, 0)),
        "gguf.shape": gguf([], [tensor_entry(dims=(3 << 30,))], bytes(32)),
        "gguf.blocks": gguf([], [tensor_entry(dims=(3 << 30,), kind=10)], bytes(32)),
        "pt.storage": torch_zip(pickled(tensor((3 << 30,), over=storage(3 << 30))), {"0": b"1234"}),
    }


CHILD = """
import resource, sys
from symbreak.checkpoints import open_checkpoint
from symbreak.errors import BadCheckpoint
import ml_dtypes
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), used + (256 << 20)))
try:
    bytearray(512 << 20)
except MemoryError:
    pass
else:
    sys.exit('the limit does not hold')
for path in sys.argv[1:]:
    try:
        with open_checkpoint(path) as ckpt:
            for name in ckpt:
                ckpt[name]
    except BadCheckpoint as error:
        assert 'memory' not in str(error), error
    else:
        sys.exit('read: ' + path)
print('refused', len(sys.argv) - 1)
"""


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="the child measures itself as Linux allows")
def test_files_that_claim_gigabytes_are_refused_within_256_megabytes(tmp_path):
    for name, content in bombs().items():
        (tmp_path / name).write_bytes(content)
    paths = sorted(str(path) for path in tmp_path.iterdir())
    root = str(PACKAGE.parent.parent)
    # Threads that start late would take their memory from the limit.
    quiet = os.environ | {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *paths],
        capture_output=True,
        text=True,
        cwd=root,
        env=quiet,
        check=False,
        timeout=120,
    )
    assert (child.stdout, child.stderr, child.returncode) == (f"refused {len(paths)}\n", "", 0)


MODULES = {"pickle", "_pickle", "pickletools", "marshal", "shelve", "torch", "importlib", "subprocess", "ctypes"}
BUILTINS = {"eval", "exec", "compile", "__import__", "getattr"}
METHODS = {"load", "loads", "eval", "exec"}
ALLOWED = {("_dtypes.py", "getattr"), ("_json.py", "loads"), ("_source.py", "getattr"), ("_child.py", "loads")}
ALLOWED |= {("_file.py", "loads"), ("_file.py", "getattr")}  # TOML of a wiring file; fields that its reader names
STARTS = {("_child.py", "importlib"), ("_child.py", "subprocess")}  # modules that a reader names, never a file
STARTS |= {("_hdf5_file.py", "importlib")}  # importlib.metadata, for the version of a package


def test_no_code_path_can_unpickle_or_evaluate():
    for file in sorted(PACKAGE.rglob("*.py")):
        source = file.read_text()
        assert "Unpickler" not in source
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                loaded = MODULES & {name.split(".")[0] for name in names}
                assert {(file.name, name) for name in loaded} <= STARTS, (file.name, names)
            if isinstance(node, ast.Call):
                method = isinstance(node.func, ast.Attribute)
                called = node.func.attr if method else getattr(node.func, "id", "")
                assert called not in (METHODS if method else BUILTINS) or (file.name, called) in ALLOWED, file.name


LOADED = "import sys, numpy; before = set(sys.modules); import symbreak.checkpoints; print(*set(sys.modules) - before)"


def test_importing_the_readers_loads_no_framework_and_no_pickle_of_ours():
    child = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, cwd=PACKAGE.parent.parent, check=True
    )
    loaded = {name.split(".")[0] for name in child.stdout.split()}
    assert "symbreak" in loaded
    assert not loaded & {"torch", "ml_dtypes", "scipy", "safetensors", "h5py", "pickle", "zipfile"}
