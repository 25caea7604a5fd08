"""What the formats' own libraries wrote is read bit for bit: from committed files, and live where they are there."""

import json
import pathlib

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from symbreak.checkpoints import open_checkpoint, save_safetensors
from tests.checkpoints._make import DATA, read_all

ROWS = [json.loads(line) for line in (DATA.parent / "expected.jsonl").read_text().splitlines()]
FILES = sorted({row[0] for row in ROWS})


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name)) if hasattr(ml_dtypes, name) else np.dtype(name)


def bits(array):
    """The bytes in C order, little-endian."""
    array = np.asarray(array)
    little = array if array.dtype.isbuiltin == 2 else array.astype(array.dtype.newbyteorder("<"))
    return little.tobytes()


@pytest.mark.parametrize("file", FILES)
def test_a_library_s_file_is_read_bit_for_bit(file):
    expected = {name: (dtype, tuple(shape), data) for f, name, dtype, shape, data in ROWS if f == file}
    with open_checkpoint(DATA / file) as ckpt:
        found = {name: (ckpt[name].dtype.name, ckpt[name].shape, bits(ckpt[name]).hex()) for name in ckpt}
        assert found == expected
        for info in ckpt.tensors.values():
            assert (info.shape, info.dtype) == (ckpt[info.name].shape, ckpt[info.name].dtype)
            with pytest.raises(ValueError, match="read-only"):
                ckpt[info.name][...] = 0


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("plain.npy", "npy"),
        ("stored.npz", "npz"),
        ("numpy.safetensors", "safetensors"),
        ("state.pt", "torch"),
        ("legacy.pt", "torch-legacy"),
        ("quantised.gguf", "gguf"),
        ("types.onnx", "onnx"),
        ("train_state.msgpack", "flax"),
        ("sharded_safetensors", "safetensors-sharded"),
        ("sharded_flax", "flax-sharded"),
        ("sharded_pytorch", "torch-sharded"),
        ("sharded_pytorch/pytorch_model.bin.index.json", "torch-sharded"),
    ],
)
def test_a_format_is_named_and_its_path_kept(file, kind):
    with open_checkpoint(DATA / file) as ckpt:
        assert ckpt.format == kind
        assert ckpt.path.startswith(str(DATA / file))
        assert repr(ckpt).startswith(f"<{kind} checkpoint '")


def test_tensors_come_in_the_order_of_the_file():
    with open_checkpoint(DATA / "state.pt") as ckpt:
        assert list(ckpt.tensors)[:4] == ["transposed", "sliced", "tied.a", "tied.b"]
    with open_checkpoint(DATA / "numpy.safetensors") as ckpt:
        offsets = [ckpt[name].__array_interface__["data"][0] for name in ckpt if ckpt.tensors[name].shape != (0, 3)]
        assert offsets == sorted(offsets)


MAPPED = ["plain.npy", "stored.npz", "numpy.safetensors", "state.pt", "sharded_safetensors", "legacy.pt", "plain.gguf"]
MAPPED += ["torch.onnx", "external_onnx/model.onnx", "train_state.msgpack", "sharded_flax"]


@pytest.mark.parametrize("file", MAPPED)
def test_plain_bytes_are_mapped_not_copied(file):
    """Two reads of one tensor share their memory, which only a view of the file can."""
    with open_checkpoint(DATA / file) as ckpt:
        first = next(iter(ckpt))
        assert np.shares_memory(ckpt[first], ckpt[first])


def test_tied_and_expanded_tensors_share_their_storage():
    with open_checkpoint(DATA / "state.pt") as ckpt:
        assert np.shares_memory(ckpt["tied.a"], ckpt["tied.b"])
        assert ckpt["expanded"].strides == (0, 0)


def test_an_array_outlives_its_checkpoint():
    with open_checkpoint(DATA / "plain.npy") as ckpt:
        array = ckpt["array"]
    assert array.sum() == np.arange(12).sum() / 2
    with pytest.raises(ValueError, match="is closed: read its tensors inside the `with` block"):
        ckpt["array"]


def test_a_name_that_is_not_there_is_a_key_error():
    with open_checkpoint(DATA / "plain.npy") as ckpt, pytest.raises(KeyError, match="has no tensor 'w'"):
        ckpt["w"]


def test_what_a_torch_file_holds_besides_tensors_is_reported_with_the_reason():
    with open_checkpoint(DATA / "unread.pt") as ckpt:
        reasons = {item.name: item.reason for item in ckpt.skipped}
    assert {name: reason.split(":")[0] for name, reason in reasons.items()} == {
        "quantized": "a quantized tensor",
        "sparse": "a sparse tensor",
        "meta": "a meta tensor",
        "array": "a pickled NumPy array",
        "conjugate": "a conjugate or negative view",
    }


def test_a_skipped_tensor_says_why_when_it_is_asked_for():
    with (
        open_checkpoint(DATA / "unread.pt") as ckpt,
        pytest.raises(ValueError, match=r"'sparse' can't be read: a sparse"),
    ):
        ckpt["sparse"]


def test_harmless_values_beside_the_tensors_are_not_reported():
    with open_checkpoint(DATA / "nested.ckpt") as ckpt:
        assert ckpt.skipped == ()


def test_a_saved_module_gives_its_tensors_and_is_told_once_whatever_modules_are_in_it():
    with open_checkpoint(DATA / "module.pt") as ckpt:
        assert "_modules.0._parameters.weight" in ckpt
        (item,) = ckpt.skipped
    assert item.name == "object"
    assert item.reason == "a whole module of the class torch.nn.modules.container.Sequential, which is not rebuilt"
    assert item.fix == "save its state_dict() in place of it: torch.save(model.state_dict(), FILE)"


NUMBERS = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float16", "float32", "float64", "complex64", "complex128"]


@st.composite
def arrays(draw, names, orders="<>"):
    dtype = np.dtype(draw(st.sampled_from(names)))
    dtype = dtype.newbyteorder(draw(st.sampled_from(orders)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    data = draw(st.binary(min_size=(size := int(np.prod(shape)) * dtype.itemsize), max_size=size))
    array = (np.frombuffer(data, np.uint8) > 127 if dtype.kind == "b" else np.frombuffer(data, dtype)).reshape(shape)
    return draw(st.sampled_from([array, np.asfortranarray(array), array.T, array[..., ::-1] if array.ndim else array]))


MEMBER = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='/\\:*?"<>|'), min_size=1, max_size=8
).filter(lambda name: name not in (".", "..", "file"))


@given(saved=st.dictionaries(MEMBER, arrays(NUMBERS + FLOATS), max_size=4), compress=st.booleans())
def test_what_numpy_saves_comes_back(tmp_path_factory, saved, compress):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    (np.savez_compressed if compress else np.savez)(path, **saved)
    found = read_all(path)
    assert {k: (v.dtype, v.shape, v.tobytes()) for k, v in found.items()} == {
        k: (v.dtype, v.shape, v.tobytes()) for k, v in saved.items()
    }
    for name, array in saved.items():
        np.save(path.with_suffix(".npy"), array)
        assert read_all(path.with_suffix(".npy"))["array"].tobytes() == array.tobytes(), name


def test_safetensors_of_the_library_come_back(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    arrays = {f"layer.{i}": np.random.default_rng(i).standard_normal((i, 3)).astype("f4") for i in range(4)}
    library.save_file(arrays, tmp_path / "a.safetensors", metadata={"k": "v"})
    with open_checkpoint(tmp_path / "a.safetensors") as ckpt:
        assert ckpt.metadata == {"k": "v"}
        assert {name: ckpt[name].tobytes() for name in ckpt} == {name: a.tobytes() for name, a in arrays.items()}


def torch_tensors():
    torch = pytest.importorskip("torch")
    plain = [
        torch.float32,
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int8,
        torch.int64,
        torch.uint8,
        torch.bool,
    ]
    extra = [torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32, torch.complex64, torch.complex128]
    views = [
        lambda t: t,
        lambda t: t.T,
        lambda t: t[1:],
        lambda t: t[:, ::2],
        lambda t: t[1, 2],
        lambda t: t[:0],
        lambda t: t[:, :1].expand(-1, 5),
        lambda t: t.unfold(1, 2, 1),
        lambda t: torch.nn.Parameter(t, requires_grad=False),
        torch.nn.Buffer,
    ]

    @st.composite
    def tensors(draw):
        base = torch.from_numpy(np.random.default_rng(draw(st.integers(0, 9))).integers(0, 2, (3, 4)).astype("f4"))
        return draw(st.sampled_from(views))(base.to(draw(st.sampled_from(plain + extra))))

    return tensors()


@given(data=st.data(), protocol=st.integers(2, 5), tie=st.booleans(), new=st.booleans())
def test_what_torch_saves_comes_back(tmp_path_factory, data, protocol, tie, new):
    torch = pytest.importorskip("torch")
    leaves = data.draw(st.lists(torch_tensors(), min_size=1, max_size=5))
    state = {f"l{i}": {"deep": [leaf]} if i % 2 else leaf for i, leaf in enumerate(leaves)}
    if tie:
        state["tied"] = leaves[0]
    path = tmp_path_factory.mktemp("pt") / "a.pt"
    torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    expected = {f"l{i}.deep.0" if i % 2 else f"l{i}": leaf for i, leaf in enumerate(leaves)}
    expected |= {"tied": leaves[0]} if tie else {}
    with open_checkpoint(path) as ckpt:
        assert list(ckpt) == list(expected)
        for name, leaf in expected.items():
            assert ckpt[name].shape == tuple(leaf.shape)
            assert ckpt[name].dtype.name == str(leaf.dtype).removeprefix("torch.")
            as_bytes = leaf.detach().contiguous().reshape(-1)
            assert ckpt[name].tobytes() == (as_bytes.view(torch.uint8).numpy().tobytes() if leaf.numel() else b"")
        assert ckpt.skipped == ()


EVERY = [np.dtype(n) for n in [*NUMBERS, "float16", "float32", "float64", "complex64"]] + [
    np.dtype(getattr(ml_dtypes, name))
    for name in ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]
]


@st.composite
def any_arrays(draw):
    dtype = draw(st.sampled_from(EVERY))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    data = draw(st.binary(min_size=(size := int(np.prod(shape)) * dtype.itemsize), max_size=size))
    array = (np.frombuffer(data, np.uint8) > 127 if dtype.kind == "b" else np.frombuffer(data, dtype)).reshape(shape)
    big = array if dtype.isbuiltin == 2 else array.astype(dtype.newbyteorder(">"))
    return draw(st.sampled_from([array, np.asfortranarray(array), array.T, big]))


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda name: name != "__metadata__")


@given(saved=st.dictionaries(NAMES, any_arrays(), max_size=5))
def test_what_we_save_comes_back_here_and_in_the_library(tmp_path_factory, saved):
    library = pytest.importorskip("safetensors.numpy")
    path = pathlib.Path(tmp_path_factory.mktemp("st"), "a.safetensors")
    save_safetensors(path, saved)
    found = read_all(path)
    expected = {name: (array.dtype.name, array.shape, bits(array)) for name, array in saved.items()}
    assert {name: (array.dtype.name, array.shape, array.tobytes()) for name, array in found.items()} == expected
    theirs = pytest.importorskip("safetensors").deserialize(path.read_bytes())  # the Rust reader, for every dtype
    assert {name: (tuple(view["shape"]), bytes(view["data"])) for name, view in theirs} == {
        name: facts[1:] for name, facts in expected.items()
    }
    if all(array.dtype.isbuiltin != 2 for array in saved.values()):
        arrays = library.load(path.read_bytes())
        assert {name: (array.dtype.name, array.shape, array.tobytes()) for name, array in arrays.items()} == expected
