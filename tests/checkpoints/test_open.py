"""What a path leads to is told by content; what is not read is refused by what it is; system errors come through."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak._visible import number, visible
from symbreak.checkpoints import find_checkpoints, open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, Zip, npy_of, read_all, safetensors

REFUSED = {
    "text": (b"hello there", "is no checkpoint that is known: it begins with 68 65 6c 6c 6f 20 74 68"),
}

FORMATS = ["plain.npy", "stored.npz", "numpy.safetensors", "state.pt", "legacy.pt", "quantised.gguf", "types.onnx"]
FORMATS += ["leaves.msgpack"]


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("suffix", [".safetensors", ".npy", ".pt"])
def test_what_is_not_read_is_refused_by_what_it_is_whatever_its_suffix(tmp_path, kind, suffix):
    content, message = REFUSED[kind]
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(tmp_path / f"a{suffix}")


def test_a_torch_file_that_holds_a_program_is_refused_by_name():
    with pytest.raises(BadCheckpoint, match="is a TorchScript archive, which holds a program; save the state_dict"):
        open_checkpoint(DATA / "script.pt")


@pytest.mark.parametrize("file", FORMATS)
def test_a_suffix_that_lies_changes_nothing(tmp_path, file):
    (tmp_path / "a.h5").write_bytes((DATA / file).read_bytes())
    assert list(read_all(tmp_path / "a.h5")) == list(read_all(DATA / file))


def test_paths_may_be_text_or_path_or_bytes_like_objects(tmp_path):
    assert read_all(str(DATA / "plain.npy")).keys() == read_all(DATA / "plain.npy").keys()


def test_the_systems_errors_come_through(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        open_checkpoint(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="nothing"):
        find_checkpoints(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match=r"is a folder without the \*\.index\.json of a sharded model"):
        open_checkpoint(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the super-user may read everything")
def test_a_file_that_may_not_be_read_says_so_and_is_listed(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(1))
    (tmp_path / "a.npy").chmod(0)
    with pytest.raises(PermissionError):
        open_checkpoint(tmp_path / "a.npy")
    assert find_checkpoints(tmp_path) == [tmp_path / "a.npy"]


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), FileNotFoundError(2, "gone"), OSError(5, "broken")])
def test_an_error_of_the_system_comes_through_and_the_file_is_listed(tmp_path, monkeypatch, error):
    """The super-user may read everything, and a file that vanishes in between is rare: so it is raised by hand."""
    np.save(tmp_path / "a.npy", np.ones(1))

    def refuse(path, flags):
        raise error

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(type(error)):
        open_checkpoint(tmp_path / "a.npy")
    assert find_checkpoints(tmp_path) == [tmp_path / "a.npy"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no named pipes")
def test_pipes_sockets_and_devices_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadCheckpoint, match="is a named pipe; give the path of a regular file"):
        open_checkpoint(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        with pytest.raises(BadCheckpoint, match="is a socket"):
            open_checkpoint(tmp_path / "s")
    with pytest.raises(BadCheckpoint, match="is a character device"):
        open_checkpoint("/dev/zero")
    assert find_checkpoints(tmp_path) == []


def test_a_folder_lists_checkpoints_by_content_sorted_and_below(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    np.save(tmp_path / "z.npy", np.ones(1))
    for name in ("b/c/weights.data", "b/a.npy", ".git/object"):
        (tmp_path / name).write_bytes(npy_of(1))
    (tmp_path / "b" / "model").write_bytes(safetensors({}))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "config.json").write_text('{"a": 1}')
    (tmp_path / "tokenizer.json").write_text('{"abc": {"a": 1}}')
    (tmp_path / "data.zip").write_bytes(Zip().add("a.txt", b"x").bytes())
    (tmp_path / "sklearn.pkl").write_bytes(b"\x80\x04N.")
    (tmp_path / "link.npy").symlink_to(tmp_path / "z.npy")
    (tmp_path / "broken.npy").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b" / "loop.pt").symlink_to("loop.pt")
    (tmp_path / "broken.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    found = find_checkpoints(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "b/a.npy",
        "b/c/weights.data",
        "b/loop.pt",
        "b/model",
        "broken.npy",
        "z.npy",
    ]


@pytest.mark.skipif(os.name != "posix", reason="Windows has shorter paths")
def test_folders_a_thousand_deep_are_walked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        Path("a").mkdir()
        os.chdir("a")
    np.save("w.npy", np.ones(1))
    os.chdir(tmp_path)
    try:
        assert find_checkpoints(".") == [Path(*"a" * 1200, "w.npy")]
    finally:  # shutil.rmtree runs out of stack too
        Path(*"a" * 1200, "w.npy").unlink()
        for depth in range(1200, 0, -1):
            Path(*"a" * depth).rmdir()


def test_a_file_is_itself_whatever_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    assert find_checkpoints(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b""),
        ("model.pt", b"hello"),
        ("model", (DATA / "legacy.pt").read_bytes()[:-1]),
        ("model.data", b"GGUF\3\0\0\0"),
        ("weights", b"\x89HDF\r\n\x1a\n"),
        ("pytorch_model.bin", b"version https://git-lfs.github.com/spec/v1\n"),
        ("a.npz", (DATA / "stored.npz").read_bytes()[:-9]),
        ("half-fetched", (DATA / "numpy.safetensors").read_bytes()[:40]),
    ],
)
def test_weights_that_can_t_be_read_are_listed_so_that_opening_says_so(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert find_checkpoints(tmp_path) == [tmp_path / name]
    with pytest.raises(BadCheckpoint):
        open_checkpoint(tmp_path / name)


def test_a_path_of_escapes_is_shown_escaped(tmp_path):
    path = tmp_path / "\x1b[2J\u202e.npy"
    path.write_bytes(b"x")
    with pytest.raises(BadCheckpoint, match=r"\\x1b\[2J\\u202e\.npy: is no checkpoint"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fc1.weight", "fc1.weight"),
        ("größe 重み", "größe 重み"),
        ("\x1b[31m\r\n\t\x7f\x9b", r"\x1b[31m\r\n\t\x7f\x9b"),
        ("\u202e\u2066\u200b\ufeff\u2028", r"\u202e\u2066\u200b\ufeff\u2028"),
        ("\U000e0041\udcff\xa0", r"\U000e0041\udcff\xa0"),
        ("a" * 300, "a" * 97 + " ... " + "a" * 97),
    ],
)
def test_what_does_not_print_becomes_visible(text, shown):
    assert visible(text) == shown


def test_vast_integers_are_shown_by_their_bits():
    assert (number(-5), number(10**20)) == ("-5", "an integer of 67 bits")
    assert number(1 << 100_000) == "an integer of 100001 bits"


def test_a_link_to_a_file_outside_is_listed_and_one_to_a_file_inside_is_not(tmp_path):
    """The folders of a model hub's cache hold links to files beside them."""
    outside, folder = tmp_path / "blobs", tmp_path / "snapshot"
    outside.mkdir()
    folder.mkdir()
    np.save(outside / "blob.npy", np.eye(2))
    np.save(folder / "own.npy", np.eye(3))
    (folder / "linked.npy").symlink_to(outside / "blob.npy")
    (folder / "again.npy").symlink_to(folder / "own.npy")
    (folder / "broken.npy").symlink_to(outside / "gone.npy")
    (folder / "notes.txt").symlink_to(tmp_path)
    assert [file.name for file in find_checkpoints(folder)] == ["broken.npy", "linked.npy", "own.npy"]
    with open_checkpoint(folder / "linked.npy") as checkpoint:
        assert (checkpoint["array"] == np.eye(2)).all()
    report = sb.diagnose(folder)
    assert [skipped.where for skipped in report.skipped] == [str(folder / "broken.npy")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_is_named_like_a_checkpoint_is_listed(tmp_path):
    os.mkfifo(tmp_path / "model.pt")
    os.mkfifo(tmp_path / "log")
    np.save(tmp_path / "fine.npy", np.eye(2))
    assert [file.name for file in find_checkpoints(tmp_path)] == ["fine.npy", "model.pt"]
    assert [skipped.where for skipped in sb.diagnose(tmp_path).skipped] == [str(tmp_path / "model.pt")]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "adapter_model.bin"])
def test_an_empty_file_with_the_name_of_weights_is_listed(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "other.bin").write_bytes(b"")
    assert [file.name for file in find_checkpoints(tmp_path)] == [name]


def test_a_folder_that_can_not_be_looked_into_is_listed_and_the_others_are_judged(tmp_path, monkeypatch):
    np.save(tmp_path / "fine.npy", np.eye(2))
    (tmp_path / "locked").mkdir()
    scan, listdir = os.scandir, os.listdir

    def refuse(function):
        def wrapped(path="."):
            if os.fspath(path).endswith("locked"):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return function(path)

        return wrapped

    monkeypatch.setattr(os, "scandir", refuse(scan))
    monkeypatch.setattr(os, "listdir", refuse(listdir))
    assert [file.name for file in find_checkpoints(tmp_path)] == ["fine.npy", "locked"]
    report = sb.diagnose(tmp_path)
    assert [skipped.where for skipped in report.skipped] == [str(tmp_path / "locked")]
    assert report.arrays == 1
