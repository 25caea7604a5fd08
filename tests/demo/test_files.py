"""The folder of the demonstration: its own files are replaced, others never, and a failure leaves nothing."""

from pathlib import Path

import numpy as np
import pytest

from symbreak.checkpoints import save_safetensors
from symbreak.demo import claimed

NAMES = ("a.safetensors", "b.png")


def write_ours(path):
    save_safetensors(path, {"w": np.ones(3)}, {"made_by": "symbreak demo", "seed": "0"})


def test_a_folder_is_made(tmp_path):
    with claimed(tmp_path / "new", NAMES) as folder:
        assert folder.is_dir()
        assert folder == tmp_path / "new"
        (folder / "a.safetensors").write_bytes(b"x")
    assert [path.name for path in folder.iterdir()] == ["a.safetensors"]


def test_files_of_other_names_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with claimed(tmp_path, NAMES):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_files_of_an_earlier_run_may_be_replaced(tmp_path):
    from matplotlib.figure import Figure

    write_ours(tmp_path / "a.safetensors")
    Figure().savefig(tmp_path / "b.png", metadata={"Software": "symbreak demo"})
    with claimed(tmp_path, NAMES) as folder:
        assert folder == tmp_path


def plant_foreign_tensors(folder):
    save_safetensors(folder / "a.safetensors", {"w": np.ones(3)}, {"made_by": "someone else"})


def plant_foreign_picture(folder):
    from matplotlib.figure import Figure

    Figure().savefig(folder / "b.png")


def plant_folder(folder):
    (folder / "b.png").mkdir()


def plant_dangling_link(folder):
    (folder / "a.safetensors").symlink_to(folder / "nowhere")


def plant_our_tensors_as_a_picture(folder):
    write_ours(folder / "b.png")


def plant_empty(folder):
    (folder / "a.safetensors").write_bytes(b"")


@pytest.mark.parametrize(
    ("plant", "name"),
    [
        (plant_foreign_tensors, "a.safetensors"),
        (plant_foreign_picture, "b.png"),
        (plant_folder, "b.png"),
        (plant_dangling_link, "a.safetensors"),
        (plant_our_tensors_as_a_picture, "b.png"),
        (plant_empty, "a.safetensors"),
    ],
)
def test_what_an_earlier_run_did_not_make_is_refused(tmp_path, plant, name):
    plant(tmp_path)
    message = f"{name} is there and was not made by an earlier run; move it away or choose another folder"
    with pytest.raises(FileExistsError, match=message), claimed(tmp_path, NAMES):
        pytest.fail("the folder was given all the same")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_folder_that_was_made_goes_when_the_work_fails(tmp_path, error):
    with pytest.raises(error), claimed(tmp_path / "new", NAMES):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_when_the_work_fails(tmp_path):
    with pytest.raises(RuntimeError), claimed(tmp_path, NAMES):
        raise RuntimeError
    assert tmp_path.is_dir()


def test_what_was_written_stays_when_later_work_fails(tmp_path):
    def work():
        with claimed(tmp_path / "new", NAMES) as folder:
            write_ours(folder / "a.safetensors")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("where", ["no/such/folder", "file", "file/below"])
def test_a_place_that_cannot_be_is_refused(tmp_path, where):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=str(Path(where).name)), claimed(tmp_path / where, NAMES):
        pytest.fail("the folder was given all the same")
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_that_may_not_be_written_to_is_refused_before_the_work(tmp_path, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)  # the permissions of a folder don't bind root
    with pytest.raises(PermissionError), claimed(tmp_path / "new", NAMES):
        pytest.fail("the folder was given all the same")
    assert list(tmp_path.iterdir()) == []
