"""Values that come in pieces: nothing is lost or added, wherever they are kept."""

import itertools
import os
import pathlib
import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from symbreak.checkpoints import _spool, open_checkpoint
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._spool import Spooled, blocks, collect, gather
from symbreak.errors import BadCheckpoint

from ._make import Zip, npy


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("spool") / "file"
    path.write_bytes(b"x")
    with Source(path) as opened:
        yield opened


PLACES = {"memory": 1 << 26, "a file": 0}


def cut(data, cuts):
    """The data in pieces, some of them empty."""
    ends = [0, *sorted(min(at, len(data)) for at in cuts), len(data)]
    return [data[low:high] for low, high in itertools.pairwise(ends)]


@pytest.mark.parametrize("place", PLACES)
@given(data=st.binary(min_size=1, max_size=300), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_the_pieces_are_joined_whatever_the_cuts(source, place, data, cuts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_spool, "IN_MEMORY", PLACES[place])
        joined = collect(source, iter(cut(data, cuts)), len(data), "the array")
    assert bytes(joined) == data
    assert joined.readonly


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("claim", "reason"),
    [(11, "'w' gives 10 of the 11 bytes that it claims"), (9, "'w' gives more than the 9 bytes that it claims")],
)
def test_another_size_than_claimed_is_refused(source, monkeypatch, place, claim, reason):
    monkeypatch.setattr(_spool, "IN_MEMORY", PLACES[place])
    with pytest.raises(BadCheckpoint, match=reason):
        collect(source, [b"12345", b"67890"], claim, "'w'")


def test_no_room_for_a_temporary_file_is_said_before_anything_is_written(source, monkeypatch):
    monkeypatch.setattr(_spool, "IN_MEMORY", 0)
    with pytest.raises(OSError, match=r"'w' takes 1,180,591,620,717,411,303,424 bytes, and .* set TMPDIR"):
        collect(source, iter([b"1"]), 1 << 70, "'w'")


def test_an_array_outlives_the_file_that_held_it(source, monkeypatch):
    monkeypatch.setattr(_spool, "IN_MEMORY", 0)
    array = gather(source, [np.arange(6.0).tobytes()], np.dtype("f8"), (2, 3), "'w'")
    assert not array.flags.writeable
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple),
    size=st.integers(1, 100),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_blocks_joined_are_the_array(source, shape, size, cuts):
    array = np.arange(np.prod(shape), dtype="i2").reshape(shape)
    found = list(blocks(source, cut(array.tobytes(), cuts), array.dtype, shape, size, "'w'"))
    assert np.array_equal(np.concatenate(found), array)
    rows = max(1, size // max(array[:1].nbytes, 1))
    assert all(len(block) == rows for block in found[:-1])


KINDS = {
    "stored npz": np.savez,
    "deflated npz": np.savez_compressed,
    "npy": np.save,
    "fortran order": lambda path, w: np.savez_compressed(path, w=np.asfortranarray(w)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (7, 3), (5, 2, 3), (4, 0)])
def test_the_pieces_of_a_tensor_are_the_tensor(tmp_path, kind, shape):
    path = tmp_path / ("w.npy" if kind == "npy" else "w.npz")
    KINDS[kind](path, **{"arr" if kind == "npy" else "w": np.random.default_rng(0).normal(size=shape)})
    with open_checkpoint(path) as ckpt:
        (name,) = ckpt
        whole, found = ckpt[name], list(ckpt.pieces(name, size=50))
    assert np.array_equal(np.concatenate(found) if shape else found[0], whole)
    assert not any(block.flags.writeable and block.size for block in found)
    assert shape != (7, 3) or len(found) == 4


def test_a_block_of_no_bytes_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", w=np.eye(3))
    with (
        open_checkpoint(tmp_path / "w.npz") as ckpt,
        pytest.raises(ValueError, match="positive number of bytes; got 0"),
    ):
        next(ckpt.pieces("w", size=0))


def test_a_damaged_member_is_refused_in_pieces_too(tmp_path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (25, 100), }\n"
    data = npy(header, bytes(10_000))
    path = tmp_path / "w.npz"
    path.write_bytes(Zip().add("w.npy", data, method=8, local={"crc": 1}, central={"crc": 1}).bytes())
    with open_checkpoint(path) as ckpt, pytest.raises(BadCheckpoint, match="its checksum does not match"):
        list(ckpt.pieces("w"))


MEASURE = """
import pathlib, sys
import numpy as np
from symbreak.diagnosis import find_ties
from symbreak.checkpoints import open_checkpoint
with open_checkpoint(sys.argv[1]) as ckpt:
    w = ckpt["w"]
    find_ties(w)
lines = pathlib.Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))
"""


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_large_deflated_array_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "w.npz"
    np.savez_compressed(path, w=np.zeros((4096, 8192), "f4"))  # 128 MiB, of a few kilobytes
    assert int(_python(MEASURE, path)) < 100 * 1024


def _python(program, *arguments):
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.skipif(os.name != "posix", reason="a nameless file is passed on by its handle")
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_a_nameless_file_holds_the_pieces_and_can_be_passed_on(source, data, cuts):
    spooled = Spooled(source, iter(cut(data, cuts)), len(data), "the file")
    handle = spooled.reopen()
    spooled.close()
    with open(handle, "rb") as file:  # noqa: PTH123 - a handle
        assert os.pread(file.fileno(), 400, 0) == data
    assert bytes(spooled.data) == data


def test_a_nameless_file_of_another_size_is_refused(source):
    with pytest.raises(BadCheckpoint, match="'w' gives 10 of the 11 bytes that it claims"):
        Spooled(source, [bytes(10)], 11, "'w'")
