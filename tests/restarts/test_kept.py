"""A run that is killed goes on from its checkpoint to the same bits, and from no other's."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak.errors import BadCheckpoint
from tests.restarts.test_executors import assert_same

X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]


def run(x=X, y=Y, sizes=(2, 4, 1), **options):
    return sb.restarts(list(sizes), x, y, **{"starts": 30, "steps": 20, "rng": 0, "batch": 7} | options)


class Stop(Exception):  # noqa: N818
    pass


def stopped_after(batches, path, **options):
    told = []

    def progress(done, of):
        told.append(done)
        if len(told) == batches:
            raise Stop

    with pytest.raises(Stop):
        run(checkpoint=path, progress=progress, **options)
    return told


@pytest.mark.parametrize("batches", [1, 3, 5])
@pytest.mark.parametrize("batch", [7, 4, 100])
def test_a_run_that_stopped_trains_what_is_left(tmp_path, batches, batch):
    path, told = tmp_path / "kept.npz", []
    finished = stopped_after(batches, path)[-1]
    result = run(checkpoint=path, batch=batch, progress=lambda done, of: told.append(done))
    assert_same(result, run())
    assert told[:1] == ([] if finished == 30 else [min(finished + batch, 30)])
    assert [each.name for each in tmp_path.iterdir()] == ["kept.npz"]


def test_gaps_are_filled(tmp_path):
    """Through an executor batches are ready in any order."""
    path, told = tmp_path / "kept.npz", []
    run(checkpoint=path)
    with np.load(path) as file:
        arrays = dict(file)
    for name in ("losses", "final_losses", "best", "final"):
        arrays[name][[0, 3, 4, 17, 29]] = 77
    arrays["done"][[0, 3, 4, 17, 29]] = False
    np.savez(path, **arrays)
    assert_same(run(checkpoint=path, progress=lambda done, of: told.append(done)), run())
    assert told == [26, 28, 29, 30]


PROGRAM = """
import sys, symbreak as sb
sb.restarts([2, 4, 1], [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], starts=600, steps=200, rng=0, batch=20,
            checkpoint=sys.argv[1], progress=lambda done, of: print(done, flush=True))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_run_that_was_killed_loses_no_finished_batch(tmp_path):
    path = tmp_path / "kept.npz"
    environment = os.environ | {"PYTHONPATH": str(Path(sb.__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, str(path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        told = [int(process.stdout.readline()) for _ in range(3)]
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().splitlines()]
    assert process.returncode == -signal.SIGKILL
    assert told[-1] < 600
    again = []
    options = {"starts": 600, "steps": 200, "batch": 20}
    result = run(checkpoint=path, progress=lambda done, of: again.append(done), **options)
    assert again[0] >= told[-1] + 20
    assert_same(result, run(**options | {"batch": None}))


def test_a_file_that_is_half_written_takes_no_place(tmp_path, monkeypatch):
    path = tmp_path / "kept.npz"
    stopped_after(2, path)
    before = path.read_bytes()

    def half(file, **arrays):
        file.write(before[: len(before) // 2])
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("symbreak._restarts._kept.np.savez", half)
        with pytest.raises(Stop):
            run(checkpoint=path)
    assert path.read_bytes() == before
    assert_same(run(checkpoint=path), run())
    assert [each.name for each in tmp_path.iterdir()] == ["kept.npz"]


class Dying(sb.Normal):
    """Ends its process when a worker draws start 20."""

    def sample(self, shape, stream, axes):
        if stream.key.path[0] == "20" and os.getpid() != PARENT:
            time.sleep(0.5)  # until what is finished is on its way
            os._exit(3)
        return super().sample(shape, stream, axes)


PARENT = os.getpid()


@pytest.mark.skipif(os.name != "posix", reason="needs fork, to find the class above")
def test_what_was_finished_when_an_executor_died_is_kept(tmp_path):
    path = tmp_path / "kept.npz"
    with (
        ProcessPoolExecutor(1, mp_context=get_context("fork")) as executor,
        pytest.raises(RuntimeError, match=r"stopped with 2 of 5 batches trained: .*those are kept in .*kept\.npz"),
    ):
        run(executor=executor, init=Dying(), checkpoint=path)
    with np.load(path) as file:
        assert file["done"].tolist() == [True] * 14 + [False] * 16
    assert_same(run(init=Dying(), checkpoint=path), run(init=Dying()))


OTHERS = {
    "sizes": {"sizes": (2, 5, 1)},
    "starts": {"starts": 31},
    "steps": {"steps": 21},
    "optimizer": {"optimizer": engine.SGD(0.25)},
    "activation": {"activation": "relu"},
    "init": {"init": sb.HeNormal()},
    "bias_init": {"bias_init": None},
    "rng": {"rng": 1},
    "dtype": {"dtype": "float64"},
    "batch_size": {"batch_size": 2},
    "tolerance": {"tolerance": 0.1},
    "x": {"x": [[0, 0], [0, 1], [1, 0], [1, 2]]},
    "y": {"y": [0, 1, 1, 0.5]},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_other_settings_is_refused_and_left_as_it_is(tmp_path, name):
    path = tmp_path / "kept.npz"
    stopped_after(1, path)
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=rf"npz was made with {name}=.*, and this run has {name}=.*; give the settings"
    ):
        run(checkpoint=path, **OTHERS[name])
    assert path.read_bytes() == before


def test_a_checkpoint_of_another_loss_is_refused(tmp_path):
    path = tmp_path / "kept.npz"
    options = {"sizes": (2, 4, 4), "x": X}
    run(checkpoint=path, y=np.eye(4), **options)
    with pytest.raises(ValueError, match="made with loss=mse, and this run has loss=cross_entropy"):
        run(checkpoint=path, y=[0, 1, 2, 3], loss="cross_entropy", **options)


def damage(path, kind):
    data = path.read_bytes()
    if kind == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "flipped":
        path.write_bytes(data.replace(np.load(path)["losses"].tobytes(), bytes(240)))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "another npz":
        np.savez(path, weights=np.eye(3))
    else:
        with np.load(path) as file:
            arrays = dict(file)
        if kind == "another format":
            arrays["settings"] = np.frombuffer(json.dumps({"format": "symbreak restarts 9"}).encode(), np.uint8)
        elif kind == "another shape":
            arrays["best"] = arrays["best"][:, :-1]
        elif kind == "another dtype":
            arrays["losses"] = arrays["losses"].astype("float32")
        elif kind == "a member less":
            del arrays["final"]
        elif kind == "no text":
            arrays["settings"] = np.full(9, 255, np.uint8)
        np.savez(path, **arrays)
    if kind in ("a shape that lies", "no array"):
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members["best.npy"] = members["best.npy"][:-4] if kind == "a shape that lies" else b"no header at all"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)


DAMAGES = {
    "cut": "BadZipFile",
    "flipped": "BadZipFile: Bad CRC-32",
    "empty": "BadZipFile",
    "another npz": "KeyError",
    "another format": "its settings are not of the format 'symbreak restarts 1'",
    "another shape": r"'best' has shape \(30, 16\)",
    "another dtype": "'losses' has shape .* and dtype float32",
    "a member less": "KeyError",
    "no text": "UnicodeDecodeError",
    "no array": "'best' has no header: the magic string is not correct",
    "a shape that lies": "'best' has not the length that its shape calls for",
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, kind):
    path = tmp_path / "kept.npz"
    run(checkpoint=path)
    damage(path, kind)
    with pytest.raises(BadCheckpoint, match=f"kept.npz is no checkpoint of restarts, or a damaged .*{DAMAGES[kind]}"):
        run(checkpoint=path)


def test_a_checkpoint_needs_starts_that_can_be_drawn_again(tmp_path):
    with pytest.raises(ValueError, match="must draw the same starts when it goes on; give `rng`, such as rng=0"):
        run(checkpoint=tmp_path / "kept.npz", rng=None)


def test_a_place_that_is_not_there_is_told_before_the_work(tmp_path, monkeypatch):
    worked = []
    monkeypatch.setattr("symbreak._restarts._run.train_batch", lambda *given: worked.append(given))
    with pytest.raises(FileNotFoundError):
        run(checkpoint=tmp_path / "nowhere" / "kept.npz")
    assert worked == []
