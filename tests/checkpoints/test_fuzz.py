"""A little fuzzing in every run of the tests, and what longer fuzzing found: all of it is read or refused."""

import os
import signal
import sys
import time

import numpy as np
import pytest
from hypothesis import given

from symbreak.checkpoints import open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import read_all
from tests.checkpoints.malformed import FILE, hdf5
from tests.fuzz import _target
from tests.fuzz._edits import edited
from tests.fuzz._target import Target, in_this_process
from tests.fuzz.checkpoints import FOUND, guarded, holds_hdf5, seeds

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the alarm and the limits are POSIX's")


@pytest.fixture(scope="module")
def target():
    target = Target()
    yield target
    target.close()


@given(data=edited([path.read_bytes() for path in seeds("")]))
def test_mutations_of_valid_files_are_read_or_refused(target, data):
    target(data)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*")) if FOUND.is_dir() else [], ids=lambda path: path.name)
def test_what_fuzzing_found_is_read_or_refused(target, path):
    target(path.read_bytes())


@pytest.mark.parametrize("path", seeds(""), ids=lambda path: path.name)
def test_the_files_that_mutations_start_from_are_taken(target, path):
    before = target.read + target.refused
    target(path.read_bytes())
    assert target.read + target.refused == before + 1


# Some faults end the process that meets them.
REFUSED = {name: (content, message) for name, content, message in hdf5.files() if message != "ended by SIG"}


def described(path):
    with open_checkpoint(path) as ckpt:
        return ckpt.format, dict(ckpt.metadata), ckpt.skipped, {name: np.array(ckpt[name]) for name in ckpt}


@pytest.mark.parametrize("path", [path for path in seeds("") if holds_hdf5(path)], ids=lambda path: path.name)
def test_hdf5_is_the_same_without_its_process(path):
    """So what is fuzzed in one process holds for the other."""
    *facts, arrays = described(path)
    with in_this_process():
        *others, again = described(path)
    assert facts == others
    assert list(arrays) == list(again)
    assert all(arrays[name].tobytes() == again[name].tobytes() for name in arrays)
    assert {name: each.dtype for name, each in arrays.items()} == {name: each.dtype for name, each in again.items()}


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_hdf5_is_refused_without_its_process_too(tmp_path, name):
    content, message = REFUSED[name]
    (tmp_path / FILE).write_bytes(content)
    with in_this_process(), pytest.raises(BadCheckpoint, match=message):
        read_all(tmp_path / FILE)


def test_an_input_that_ends_the_process_is_kept(tmp_path, monkeypatch, capsys):
    def crash(path, seconds, number):
        path.write_bytes(b"the last input")
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("tests.fuzz.checkpoints.FOUND", tmp_path / "fuzz")
    assert guarded(crash, 1, 0) == 1
    (kept,) = (tmp_path / "fuzz").iterdir()
    assert kept.read_bytes() == b"the last input"
    assert "RuntimeError: the process was ended by signal 9" in capsys.readouterr().err
    assert guarded(lambda path, seconds, number: None, 1, 0) == 0


def test_an_input_that_hangs_within_hdf5_is_tried_with_limits_and_fuzzing_goes_on(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("tests.fuzz.checkpoints.FOUND", tmp_path / "fuzz")
    monkeypatch.setattr(_target, "HANG", 0.2)

    def hang(path, seconds, number):
        if number == 0:
            _target.watched(lambda data: path.write_bytes(data) and time.sleep(9))(b"no checkpoint")

    assert guarded(hang, 5, 0) == 0
    assert "an input hangs within HDF5" in capfd.readouterr().err
    assert not (tmp_path / "fuzz").exists()
