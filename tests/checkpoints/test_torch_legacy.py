"""PyTorch files of before version 1.6: what torch.save wrote then, and Python 2 too, is read as torch reads it."""

import json

import numpy as np
import pytest

from symbreak.checkpoints import _opcodes, find_checkpoints, open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, dict_of, integer, name, pickled, read_all, text, tuple_of
from tests.checkpoints._make_legacy import FOUR, legacy, listed, record, storage, tensor, typed
from tests.checkpoints.test_pickles import attacks


def saved(folder, content):
    """Write a file, and return its path."""
    (folder / "a.pt").write_bytes(content)
    return folder / "a.pt"


def test_the_file_made_by_hand_is_one_that_torch_reads_too(tmp_path):
    torch = pytest.importorskip("torch")
    path = saved(tmp_path, legacy())
    theirs = torch.load(path, weights_only=True)
    assert theirs["w"].tolist() == read_all(path)["w"].tolist() == [0, 1, 2, 3]


def test_storages_that_are_shared_are_mapped_once():
    with open_checkpoint(DATA / "legacy_state.pt") as ckpt:
        assert ckpt.format == "torch-legacy"
        assert np.shares_memory(ckpt["model.tied.a"], ckpt["model.tied.b"])
        assert np.shares_memory(ckpt["model.transposed"], ckpt["model.sliced"])
        assert (ckpt["model.transposed"].strides, ckpt["model.expanded"].strides) == ((4, 12), (0, 0))


def test_a_tensor_that_numpy_can_t_hold_is_skipped_and_those_behind_it_are_read():
    with open_checkpoint(DATA / "legacy_state.pt") as ckpt:
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            ("quantized", "a quantized tensor: dequantize it before saving")
        ]
        assert len(ckpt) == 15


@pytest.mark.parametrize(("kind", "width"), [("QInt8", 1), ("QUInt8", 1), ("QInt32", 4), ("QUInt4x2", 1)])
def test_a_storage_without_a_numpy_type_is_stepped_over(tmp_path, kind, width):
    odd = tensor(over=storage(kind=f"torch.{kind}Storage", key="1"))
    content = legacy(dict_of(odd=odd, w=tensor()), record(bytes(4 * width)), record(), keys=("1", "0"))
    with open_checkpoint(saved(tmp_path, content)) as ckpt:
        assert ckpt["w"].tolist() == [0, 1, 2, 3]
        (item,) = ckpt.skipped
    assert item.reason == f"its elements are torch.{kind}Storage, which NumPy does not hold"


def test_a_saved_module_gives_its_tensors_and_its_source_is_not_looked_at():
    with open_checkpoint(DATA / "legacy_module.pt") as ckpt:
        assert list(ckpt) == ["_parameters.w", "_modules.inner._parameters.w"]
        (item,) = ckpt.skipped
    assert (item.name, item.reason) == ("object", "a whole module of the class __main__.Module, which is not rebuilt")


@pytest.mark.parametrize("shape", [(2,), (1,), (0,)])
def test_a_part_of_a_storage_is_counted_from_its_own_beginning(tmp_path, shape):
    part = tuple_of(text("9"), integer(1), integer(3))
    made = tensor(shape, offset=1, over=storage(view=part))
    assert read_all(saved(tmp_path, legacy(made)))["tensor"].tolist() == [2, 3][: shape[0]]


def test_an_untyped_storage_counts_bytes(tmp_path):
    made = typed("torch.uint16", storage(8, kind="torch.storage.UntypedStorage"))
    array = read_all(saved(tmp_path, legacy(made, record(np.arange(4, dtype="<u2").tobytes(), 8))))["tensor"]
    assert (array.dtype, array.tolist()) == (np.dtype("u2"), [0, 1, 2, 3])


def test_what_python_2_wrote_is_read(tmp_path):
    """Its texts are bytes, and an OrderedDict comes with a list of lists."""

    def old(value):
        return b"U" + bytes([len(value)]) + value.encode()

    identity = (old("storage"), name("torch.FloatStorage"), old("12"), old("cpu"), integer(4), b"N")
    made = tensor(over=tuple_of(*identity) + b"Q")
    state = name("collections.OrderedDict") + tuple_of(b"](](" + old("fc.weight") + made + b"ee") + b"R"
    content = legacy(state, keys=pickled(b"](" + old("12") + b"e"))
    assert {key: array.tolist() for key, array in read_all(saved(tmp_path, content)).items()} == {
        "fc.weight": [0, 1, 2, 3]
    }


def test_a_bare_storage_is_skipped_and_the_order_of_the_keys_is_that_of_the_bytes(tmp_path):
    state = dict_of(s=storage(key="b"), w=tensor(over=storage(key="a")))
    content = legacy(state, record(bytes(16)), record(), keys=("b", "a"))
    with open_checkpoint(saved(tmp_path, content)) as ckpt:
        assert ckpt["w"].tolist() == [0, 1, 2, 3]
        assert [(item.name, item.reason) for item in ckpt.skipped] == [("s", "a bare storage: it has no shape")]


def test_a_view_that_repeats_its_storage_without_measure_is_skipped(tmp_path):
    with open_checkpoint(saved(tmp_path, legacy(tensor((2**20, 2**20), (0, 0))))) as ckpt:
        assert [item.reason for item in ckpt.skipped] == [
            "a view of 4,398,046,511,104 bytes that repeats a storage of 4 elements"
        ]


def test_of_two_tensors_with_one_path_the_second_is_reported(tmp_path):
    state = dict_of(**{"a.b": tensor(), "a": dict_of(b=tensor((2,)))})
    with open_checkpoint(saved(tmp_path, legacy(state))) as ckpt:
        assert ckpt["a.b"].shape == (4,)
        assert [item.reason for item in ckpt.skipped] == ["another tensor of the file has this name too"]


@pytest.mark.parametrize("attack", sorted(attacks("x")))
def test_nothing_that_a_pickle_would_call_runs(tmp_path, attack):
    canary = tmp_path / "canary"
    for content in (legacy(object_pickle=attacks(canary)[attack][1]), legacy(keys=attacks(canary)[attack][1])):
        with pytest.raises(BadCheckpoint):
            read_all(saved(tmp_path, content))
        assert not canary.exists()


def test_a_pickle_without_end_is_read_no_further_than_the_limit(tmp_path, monkeypatch):
    """The storages behind it are bytes of the same file, so the file's size is no limit."""
    monkeypatch.setattr(_opcodes, "MOST_BYTES", 1000)
    path = saved(tmp_path, legacy(object_pickle=b"\x80\2" + b"N0" * 10_000))
    with pytest.raises(BadCheckpoint, match="its pickle has more than 1,000 bytes; save its state_dict alone"):
        open_checkpoint(path)
    path = saved(tmp_path, legacy(object_pickle=b"\x80\2B" + (2000).to_bytes(4, "little") + bytes(9000)))
    with pytest.raises(BadCheckpoint, match="its pickle has more than 1,000 bytes"):
        open_checkpoint(path)


@pytest.mark.parametrize("suffix", ["", ".bin", ".pth", ".npy"])
def test_it_is_told_by_its_content_whatever_its_protocol(tmp_path, suffix):
    for file in ("legacy.pt", "legacy_3.pt", "legacy_4.pt", "legacy_5.pt"):
        (tmp_path / f"{file}{suffix}").write_bytes((DATA / file).read_bytes())
    found = find_checkpoints(tmp_path)
    assert len(found) == 4
    assert all(open_checkpoint(path).format == "torch-legacy" for path in found)


def test_the_shards_of_a_model_may_be_of_it(tmp_path):
    (tmp_path / "a.bin").write_bytes(legacy(dict_of(**{"fc.weight": tensor()})))
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"fc.weight": "a.bin"}}))
    with open_checkpoint(index) as ckpt:
        assert (ckpt.format, ckpt["fc.weight"].tolist()) == ("torch-legacy-sharded", [0, 1, 2, 3])


def test_a_storage_of_nothing_is_read(tmp_path):
    content = legacy(tensor((0, 3), (3, 1), over=storage(0)), record(b"", 0))
    assert read_all(saved(tmp_path, content))["tensor"].shape == (0, 3)


def test_the_layout_is_five_pickles_and_the_storages():
    whole = legacy()
    assert whole.startswith(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02\x8a\x02\xe9\x03.")
    assert whole.endswith(pickled(listed("0")) + (4).to_bytes(8, "little") + FOUR)
