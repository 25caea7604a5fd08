"""Every malformed file of every format: one clear error, soon, in little memory, and in no other file's way."""

import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

import symbreak
from symbreak._visible import visible
from symbreak.checkpoints import open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import npy_of, read_all
from tests.checkpoints.malformed import corpus

CORPUS = {f"{fault.format}: {fault.name}": fault for fault in corpus()}
ROOT = Path(symbreak.__file__).parent.parent
SECONDS = 10.0  # of processor time; the longest takes about one, and tracing memory makes it some times as long
SOME = 5  # of so many faults one is shown as text too: a format that is read in a child takes a process each
MEMORY = 64 << 20  # bytes at once


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CORPUS)
def test_a_malformed_file_is_refused_by_name_soon_and_in_little_memory(tmp_path_factory, name):
    fault = CORPUS[name]
    path = fault.write(tmp_path_factory.mktemp("m"))
    tracemalloc.start()
    begin = os.times()
    try:
        with pytest.raises(BadCheckpoint) as caught:
            read_all(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    seconds = sum(os.times()[:4]) - sum(begin[:4])
    said = str(caught.value)
    assert said.startswith(f"{visible(path)}: ")
    assert re.search(fault.message, said.removeprefix(f"{visible(path)}: "))
    assert said.isprintable()
    assert "not enough memory" not in said
    assert seconds < SECONDS
    assert peak < MEMORY


def test_there_are_many_and_each_is_another():
    assert len(CORPUS) >= 200
    count = Counter(tuple(fault.files.items()) for fault in CORPUS.values())
    assert [next(iter(dict(files))) for files, times in count.items() if times > 1] == []
    assert len(CORPUS) == len(corpus())


def lay_out(folder, faults):
    """Write faults, each to a folder of its own with a sound file of one constant weight; return the paths to open."""
    sound = npy_of(6).replace(b"(6,), }\n", b"(3, 2)}\n")
    for number, fault in enumerate(faults):
        fault.write(folder / f"{number}")
        (folder / f"{number}" / "sound.npy").write_bytes(sound)
    with open_checkpoint(folder / "0" / "sound.npy") as ckpt:
        assert ckpt.tensors["array"].shape == (3, 2)
    return [f"{number}{os.sep}{next(iter(fault.files))}" for number, fault in enumerate(faults)]


def checked(folder, spare, form):
    """Check the folder in one call; nothing may be left behind in `spare`, the folder for temporary files."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "symbreak", "check", ".", "--format", form, "--select", "SB101,SB301"],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(spare)},
        check=False,
        timeout=1200,
    )
    assert (done.returncode, done.stderr.decode()) == (2, "")
    assert list(spare.iterdir()) == []
    return done.stdout.decode("ascii" if form == "json" else "utf-8")


@pytest.fixture
def folders(tmp_path):
    """One for the files, and one for what is temporary."""
    for name in ("files", "spare"):
        (tmp_path / name).mkdir()
    return tmp_path / "files", tmp_path / "spare"


@pytest.mark.exhaustive
def test_one_call_refuses_all_of_them_and_judges_every_sound_file(folders):
    paths = lay_out(folders[0], CORPUS.values())
    out = checked(*folders, "json")
    assert out.rstrip("\n").isprintable()
    report = json.loads(out)
    refused = [finding["where"] for finding in report["findings"] if finding["code"] == "SB301"]
    constant = {finding["where"].split(":")[0] for finding in report["findings"] if finding["code"] == "SB101"}
    assert {f"{number}{os.sep}sound.npy" for number in range(len(paths))} <= constant
    for path, name in zip(paths, CORPUS, strict=True):
        assert any(where == path or where.startswith(f"{path}: ") for where in refused), name
    assert all(finding["message"].isprintable() for finding in report["findings"])
    assert {item["where"] for item in report["skipped"]} == set(refused)


def test_the_text_of_such_a_call_is_printable_and_shows_no_traceback(folders):
    paths = lay_out(folders[0], list(CORPUS.values())[::SOME])
    lines = checked(*folders, "text").splitlines()
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith(("Traceback", "  File"))]
    whole = " ".join(line.strip() for line in lines)
    alike = sum(map(int, re.findall(r"error SB301 \S+ and (\d+) more like it", whole)))
    counted = sum(map(int, re.findall(r"more, none graver: .*?(\d+) SB301", whole)))
    assert whole.count("error SB301 ") + alike + counted >= len(paths)
    assert re.fullmatch(r"\d+ errors, \d+ not read; read \d+ arrays of \d+ files", lines[-1])
