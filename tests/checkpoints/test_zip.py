"""A zip archive is read as its writers write it, one faulty member costs only itself, and bombs go by their claim."""

import struct
import zipfile

import numpy as np
import pytest

from symbreak.checkpoints import open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import Zip, deflate, npy, npy_of, read_all

ONE = npy_of(3)


def bomb(claim):
    """A deflated npy of zeros that claims a size, which its few bytes could not all be checked against."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({claim - 128},), }}".ljust(117) + "\n"
    return npy(header)


def test_a_sound_archive_of_the_same_maker_is_read(tmp_path):
    """The faults above are faults of the archive, not of how it is made."""
    made = Zip().add("a.npy", ONE).add("b.npy", npy_of(5), method=8).add("empty/", b"")
    (tmp_path / "a.npz").write_bytes(made.bytes())
    assert {name: array.shape for name, array in read_all(tmp_path / "a.npz").items()} == {"a": (3,), "b": (5,)}


def test_members_that_follow_their_sizes_are_read(tmp_path):
    """A writer that can't seek gives the sizes after the bytes."""

    class Pipe:
        def __init__(self, file):
            self.write, self.flush = file.write, file.flush

    with (tmp_path / "a.npz").open("wb") as file, zipfile.ZipFile(Pipe(file), "w") as archive:
        archive.writestr("a.npy", ONE)
        archive.writestr("b.npy", ONE, zipfile.ZIP_DEFLATED)
    assert list(read_all(tmp_path / "a.npz")) == ["a", "b"]


def test_a_bomb_is_refused_by_its_claim(tmp_path):
    claim = 5 << 30
    packed = deflate(bomb(claim)) + bytes(6 << 20)
    made = Zip().add("a.npy", b"", method=8, packed=packed, local={"size": 0}, central={"size": 0})
    wide = struct.pack("<2HQ", 1, 8, claim)
    body = made.body[:22] + b"\xff" * 4 + made.body[26:28] + struct.pack("<H", len(wide)) + b"a.npy" + wide + packed
    directory = bytearray(made.directory)
    directory[24:28], directory[30:32] = b"\xff" * 4, struct.pack("<H", len(wide))
    made.body, made.directory = body, bytes(directory) + wide
    (tmp_path / "a.npz").write_bytes(made.bytes())
    with pytest.raises(BadCheckpoint, match=f"would unpack from {len(packed):,} to {claim:,} bytes; store it"):
        open_checkpoint(tmp_path / "a.npz")


def test_a_constant_array_that_packs_a_thousandfold_is_read(tmp_path):
    """Constant weights are this library's subject: they compress as well as any bomb."""
    np.savez_compressed(tmp_path / "a.npz", w=np.full((1000, 1000), 0.5))
    assert (tmp_path / "a.npz").stat().st_size * 500 < 8_000_000
    assert (read_all(tmp_path / "a.npz")["w"] == 0.5).all()


def test_what_is_no_array_is_skipped_with_the_reason(tmp_path):
    made = Zip().add("notes.txt", b"hello").add("w.npy", ONE)
    made.add("names.npy", npy("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }\n", bytes(4)))
    made.add("objects.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"\x80\x04N."))
    (tmp_path / "a.npz").write_bytes(made.bytes())
    with open_checkpoint(tmp_path / "a.npz") as ckpt:
        assert list(ckpt) == ["w"]
        assert [(item.name, item.reason.split(",")[0].split(" (")[0]) for item in ckpt.skipped] == [
            ("notes.txt", "it holds something other than an npy array"),
            ("names", "it holds text"),
            ("objects", "it holds Python objects"),
        ]


def test_a_name_as_tensorflow_has_them_is_no_drive(tmp_path):
    np.savez(tmp_path / "a.npz", **{"W:0": np.ones(1)})
    assert list(read_all(tmp_path / "a.npz")) == ["W:0"]


def test_an_archive_of_nothing_has_no_tensors(tmp_path):
    np.savez(tmp_path / "a.npz")
    with open_checkpoint(tmp_path / "a.npz") as ckpt:
        assert (ckpt.format, len(ckpt), ckpt.skipped) == ("npz", 0, ())


def test_only_one_member_is_damaged_and_the_others_are_read(tmp_path):
    content = Zip().add("a.npy", ONE).add("b.npy", ONE, packed=ONE[:-1] + b"\1").bytes()
    (tmp_path / "a.npz").write_bytes(content)
    with open_checkpoint(tmp_path / "a.npz") as ckpt:
        assert ckpt["a"].shape == (3,)
        with pytest.raises(BadCheckpoint, match=r"'b\.npy' is damaged"):
            ckpt["b"]
