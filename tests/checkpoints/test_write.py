"""Our safetensors appear whole or not at all, and only with names and dtypes that the format has."""

import os
import shutil
import threading
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from symbreak.checkpoints import _write as writer
from symbreak.checkpoints import open_checkpoint, save_safetensors
from symbreak.checkpoints._write_npz import save_npz, save_npz_piecewise
from tests.checkpoints._make import read_all


def test_the_order_is_kept_and_the_first_tensor_is_aligned(tmp_path):
    save_safetensors(tmp_path / "a", {"z": np.ones((3, 5), "f4"), "a": np.ones(4, "f4"), "m": np.ones(2, "f2")})
    content = (tmp_path / "a").read_bytes()
    assert int.from_bytes(content[:8], "little") % 8 == 0
    assert list(read_all(tmp_path / "a")) == ["z", "a", "m"]


def test_where_the_order_would_misalign_a_tensor_larger_elements_come_first(tmp_path):
    save_safetensors(tmp_path / "a", {"x": np.ones(3, "i1"), "y": np.ones(1, "f8"), "z": np.ones(1, "f4")})
    found = read_all(tmp_path / "a")
    assert list(found) == ["y", "z", "x"]
    assert all(array.ctypes.data % array.itemsize == 0 for array in found.values())


def test_views_of_every_layout_are_written_in_c_order(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "PIECE", 8)  # so that the piecewise path is taken
    base = np.arange(120, dtype=">i4").reshape(4, 5, 6)
    arrays = {"t": base.T, "s": base[::2, ::-1], "f": np.asfortranarray(base), "z": base[1, 2, 3], "e": base[:0].T}
    save_safetensors(tmp_path / "a", arrays)
    found = read_all(tmp_path / "a")
    for name, array in arrays.items():
        assert found[name].dtype == np.dtype("<i4")
        assert np.array_equal(found[name], array)
        assert found[name].shape == array.shape


def test_notes_come_back(tmp_path):
    save_safetensors(tmp_path / "a", {}, {"made by": "größe \x1b"})
    with open_checkpoint(tmp_path / "a") as ckpt:
        assert (dict(ckpt.metadata), len(ckpt)) == ({"made by": "größe \x1b"}, 0)


@pytest.mark.parametrize(
    ("arrays", "metadata", "kind", "message"),
    [
        ({1: np.ones(1)}, None, TypeError, "a tensor's name is a str, but 1 is a int"),
        ({"__metadata__": np.ones(1)}, None, ValueError, "the format's own key: give notes as `metadata`"),
        ({"\ud800": np.ones(1)}, None, ValueError, r"'\\ud800' is no valid Unicode"),
        ({"a": np.array([{}])}, None, TypeError, "'a' has dtype object, which safetensors does not have; it has bool"),
        ({"a": np.ones(1, "c16")}, None, TypeError, "'a' has dtype complex128"),
        ({"a": np.array("text")}, None, TypeError, "'a' has dtype <U4"),
        ({"a": np.ones(1, [("f", "f4")])}, None, TypeError, "'a' has dtype"),
        ({"a": np.ones(1, ml_dtypes.int4)}, None, TypeError, "'a' has dtype int4"),
        ({"\x1b": np.array([{}])}, None, TypeError, r"'\\x1b' has dtype object"),
        ({}, {"a": 1}, TypeError, "metadata maps str to str, but 1 is a int"),
        ({}, {"a": "\ud800"}, ValueError, "no valid Unicode"),
    ],
)
def test_what_the_format_has_not_is_refused_before_anything_is_written(tmp_path, arrays, metadata, kind, message):
    with pytest.raises(kind, match=message):
        save_safetensors(tmp_path / "a", arrays, metadata)
    assert list(tmp_path.iterdir()) == []


def test_a_header_longer_than_the_format_allows_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "LARGEST", 79)
    with pytest.raises(ValueError, match="the header would take 80 bytes, and the format allows 79: split the model"):
        save_safetensors(tmp_path / "a", {"a" * 20: np.ones(1, "f4")})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(writer, "LARGEST", 80)
    save_safetensors(tmp_path / "a", {"a" * 20: np.ones(1, "f4")})


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_half_written(tmp_path, monkeypatch, step):
    save_safetensors(tmp_path / "a", {"w": np.ones(2)})
    before = (tmp_path / "a").read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        save_safetensors(tmp_path / "a", {"w": np.zeros(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == before


@pytest.mark.parametrize("save", [save_safetensors, save_npz])
def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch, save):
    arrays = {"w": np.zeros((100, 10)), "b": np.zeros(3, np.float32)}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(0, 0, 8_000))
    with pytest.raises(OSError, match=r"the file takes 8,\d+ bytes and its disk has 8,000 free; give another place"):
        save(tmp_path / "a", arrays)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match="8,000 free, beside the old file, which stays until this one is whole; give"):
        save(tmp_path / "a", arrays)
    assert (tmp_path / "a").read_bytes() == b"old"
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(0, 0, 9_000))
    save(tmp_path / "a", arrays)


def test_a_disk_that_does_not_tell_its_room_is_tried(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "not yours")

    monkeypatch.setattr(shutil, "disk_usage", refuse)
    save_safetensors(tmp_path / "a", {"w": np.zeros(3)})
    assert (tmp_path / "a").exists()


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(array):
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "_pieces", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_safetensors(tmp_path / "a", {"w": np.zeros(3)})
    assert list(tmp_path.iterdir()) == []


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths))[1])
    save_safetensors(tmp_path / "a", {"w": np.zeros(3)})
    assert calls[:2] == ["fsync", "replace"]


def test_a_folder_that_is_missing_or_in_the_way_is_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        save_safetensors(tmp_path / "no" / "a", {})
    with pytest.raises(IsADirectoryError, match="is a folder: give a file's name"):
        save_safetensors(tmp_path, {})


@pytest.mark.skipif(os.name != "posix", reason="Windows has no way to replace an open file")
def test_a_file_can_be_replaced_while_its_tensors_are_in_use(tmp_path):
    save_safetensors(tmp_path / "a", {"w": np.arange(3.0)})
    with open_checkpoint(tmp_path / "a") as ckpt:
        save_safetensors(tmp_path / "a", {"w": ckpt["w"] * 2})
        assert ckpt["w"].tolist() == [0, 1, 2]
    assert read_all(tmp_path / "a")["w"].tolist() == [0, 2, 4]


def test_a_new_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    save_safetensors(tmp_path / "a", {})
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_piece_is_written_while_the_next_is_made(monkeypatch):
    monkeypatch.setattr(writer, "LEAST", 3)
    writing, made = threading.Event(), threading.Event()
    written, threads = [], []

    def write(piece):
        threads.append(threading.current_thread())
        writing.set()
        if len(piece) >= 3:
            assert made.wait(20)
        written.append(bytes(piece))

    def pieces():
        yield memoryview(b"one")
        assert writing.wait(20)
        made.set()
        yield memoryview(b"2")  # not worth a thread
        assert written == [b"one", b"2"]
        yield memoryview(b"three")
        yield memoryview(b"four")

    with writer.behind() as write_each:
        write_each(pieces(), write)
        assert written == [b"one", b"2", b"three", b"four"]
    assert [thread is threading.main_thread() for thread in threads] == [False, True, False, False]


def test_a_piece_is_left_until_the_next_but_one_is_asked_for(monkeypatch):
    monkeypatch.setattr(writer, "LEAST", 1)
    buffers, written = [bytearray(4), bytearray(4)], []

    def pieces():
        for number in range(20):
            buffers[number % 2][:] = number.to_bytes(4, "little")
            yield memoryview(buffers[number % 2])

    with writer.behind() as write_each:
        write_each(pieces(), lambda piece: (threading.Event().wait(0.002), written.append(bytes(piece))))
    assert written == [number.to_bytes(4, "little") for number in range(20)]


@pytest.mark.parametrize("save", [writer.save_safetensors_piecewise, save_npz_piecewise])
def test_an_error_of_making_is_raised_and_nothing_is_left(tmp_path, save):
    def draw():
        yield np.zeros(1 << 22, np.float32)  # which takes some time to write
        raise ArithmeticError("no more")

    tensor = SimpleNamespace(shape=(1 << 23,), dtype=np.dtype("f4"), draw=draw)
    with pytest.raises(ArithmeticError, match="no more") as error:
        save(tmp_path / "a", {"w": tensor})
    assert error.value.__cause__ is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_error_of_writing_is_raised(place):
    def write(piece):
        if piece[0] == place:
            raise OSError(28, "No space left on device")

    pieces = (memoryview(bytes([number]) * writer.LEAST) for number in range(3))
    with pytest.raises(OSError, match="No space left"), writer.behind() as write_each:
        write_each(pieces, write)
