"""A sharded model is read through its index, which can name nothing but plain files beside it."""

import json
import os
import shutil

import numpy as np
import pytest

from symbreak.checkpoints import find_checkpoints, open_checkpoint, save_safetensors
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, entry, safetensors

INDEX = "model.safetensors.index.json"


def model(folder, weight_map, **extra):
    """A folder with two shards, and an index that says `weight_map`."""
    save_safetensors(folder / "one.safetensors", {"a": np.ones(2, "f4")})
    save_safetensors(folder / "two.safetensors", {"b": np.ones(3, "f4"), "c": np.ones(4, "f4")})
    body = weight_map if isinstance(weight_map, str) else json.dumps({"weight_map": weight_map, **extra})
    (folder / INDEX).write_text(body)
    return folder / INDEX


SOUND = {"c": "two.safetensors", "a": "one.safetensors", "b": "two.safetensors"}


def test_tensors_come_in_the_order_of_the_index_by_folder_or_by_index(tmp_path):
    path = model(tmp_path, SOUND, metadata={"total_size": 36})
    for opened in (path, tmp_path):
        with open_checkpoint(opened) as ckpt:
            assert (list(ckpt), ckpt.skipped, ckpt.path) == (["c", "a", "b"], (), str(path))
            assert [ckpt[name].size for name in ckpt] == [4, 2, 3]


def test_a_path_out_of_the_folder_is_never_opened(tmp_path):
    """The file outside is sound, and would be read if the name were followed."""
    (tmp_path / "model").mkdir()
    save_safetensors(tmp_path / "outside.safetensors", {"a": np.ones(2)})
    path = model(tmp_path / "model", {"a": "../outside.safetensors"})
    with pytest.raises(BadCheckpoint, match="plain name"):
        open_checkpoint(path)


def skipped_of(path):
    with open_checkpoint(path) as ckpt:
        for name in ckpt:
            assert ckpt[name].size
        return list(ckpt), {item.name: item.reason for item in ckpt.skipped}


def test_a_missing_shard_costs_only_its_tensors(tmp_path):
    path = model(tmp_path, SOUND)
    (tmp_path / "two.safetensors").unlink()
    reason = "its shard 'two.safetensors' can't be opened: No such file or directory"
    assert skipped_of(path) == (["a"], {"b": reason, "c": reason})


def test_a_malformed_shard_costs_only_its_tensors(tmp_path):
    path = model(tmp_path, SOUND)
    (tmp_path / "one.safetensors").write_bytes((tmp_path / "one.safetensors").read_bytes() + b"x")
    read, skipped = skipped_of(path)
    assert read == ["c", "b"]
    assert "one.safetensors: the tensors take 8 bytes and the file has 9 for them" in skipped["a"]


def test_a_shard_that_is_a_symbolic_link_is_not_followed(tmp_path):
    path = model(tmp_path, SOUND)
    (tmp_path / "one.safetensors").rename(tmp_path / "elsewhere")
    (tmp_path / "one.safetensors").symlink_to(tmp_path / "elsewhere")
    read, skipped = skipped_of(path)
    assert read == ["c", "b"]
    assert "one.safetensors: is a symbolic link; put the file itself beside its index" in skipped["a"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no named pipes")
def test_a_shard_that_is_a_pipe_or_a_folder_does_not_hang(tmp_path):
    path = model(tmp_path, SOUND)
    (tmp_path / "one.safetensors").unlink()
    os.mkfifo(tmp_path / "one.safetensors")
    (tmp_path / "two.safetensors").unlink()
    (tmp_path / "two.safetensors").mkdir()
    read, skipped = skipped_of(path)
    assert read == []
    assert "is a named pipe" in skipped["a"]
    assert "is a folder" in skipped["b"]


def test_a_shard_of_another_format_is_skipped(tmp_path):
    path = model(tmp_path, SOUND)
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    (tmp_path / "x.npz").rename(tmp_path / "one.safetensors")
    read, skipped = skipped_of(path)
    assert read == ["c", "b"]
    assert "PyTorch" in skipped["a"] or "data.pkl" in skipped["a"]


def test_an_index_can_t_name_itself(tmp_path):
    read, skipped = skipped_of(model(tmp_path, {"a": INDEX}))
    assert read == []
    assert skipped == {"a": f"its shard '{INDEX}' is no file of safetensors, PyTorch or Flax"}


def test_tensors_on_which_index_and_shards_differ_are_reported(tmp_path):
    path = model(
        tmp_path, {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors", "d": "two.safetensors"}
    )
    with open_checkpoint(path) as ckpt:
        assert list(ckpt) == ["a", "c"]
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            ("b", "the index places it in 'one.safetensors', which does not have it"),
            ("d", "the index places it in 'two.safetensors', which does not have it"),
            ("b", "it is in 'two.safetensors', where the index does not place it"),
        ]


def test_a_tensor_that_its_shard_does_not_give_is_reported_once(tmp_path):
    path = model(tmp_path, SOUND | {"d": "two.safetensors"})
    (tmp_path / "two.safetensors").write_bytes(
        safetensors({"b": entry((1,), 0, 4), "c": entry((1,), 4, 8), "d": entry((4,), 8, 10, "F4")}, bytes(10))
    )
    with open_checkpoint(path) as ckpt:
        assert list(ckpt) == ["c", "a", "b"]
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            ("d", "F4 packs its values below one byte, which NumPy does not hold")
        ]


def test_a_folder_lists_an_index_in_place_of_its_shards(tmp_path):
    path = model(tmp_path, SOUND)
    save_safetensors(tmp_path / "adapter.safetensors", {"x": np.ones(1)})
    assert find_checkpoints(tmp_path) == [tmp_path / "adapter.safetensors", path]


def test_a_folder_with_an_index_that_is_malformed_still_lists_its_shards(tmp_path):
    path = model(tmp_path, {"a": "../one.safetensors", "b": "two.safetensors"})
    assert find_checkpoints(tmp_path) == [path, tmp_path / "one.safetensors", tmp_path / "two.safetensors"]


def test_of_two_copies_of_one_model_a_folder_opens_the_safetensors_one(tmp_path):
    shutil.copytree(DATA / "sharded_pytorch", tmp_path, dirs_exist_ok=True)
    shutil.copytree(DATA / "sharded_safetensors", tmp_path, dirs_exist_ok=True)
    with open_checkpoint(tmp_path) as ckpt:
        assert ckpt.format == "safetensors-sharded"
    assert [path.name for path in find_checkpoints(tmp_path)] == [INDEX, "pytorch_model.bin.index.json"]


def test_a_folder_of_two_models_is_not_guessed(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors.index.json").write_text('{"weight_map": {}}')
    with pytest.raises(BadCheckpoint, match=r"holds 2 sharded models; open one by its index: 'a\.safetensors"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("names", [("a", "a"), ("a", "b"), ("b", "a")])
def test_an_index_that_names_an_index_hides_neither(tmp_path, names):
    for index, other in zip("ab", names, strict=True):
        content = {"weight_map": {"w": "hidden.safetensors", "v": f"{other}.index.json"}}
        (tmp_path / f"{index}.index.json").write_text(json.dumps(content))
    save_safetensors(tmp_path / "hidden.safetensors", {"w": np.ones((2, 2))})
    assert find_checkpoints(tmp_path) == [tmp_path / "a.index.json", tmp_path / "b.index.json"]
    with open_checkpoint(tmp_path / "a.index.json") as ckpt:
        assert list(ckpt) == ["w"]
        assert [item.name for item in ckpt.skipped] == ["v"]
