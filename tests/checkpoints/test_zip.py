"""A zip archive whose facts disagree, whose bytes are shared or unowned, or that is a bomb, is refused."""

import struct
import zipfile

import numpy as np
import pytest

from symbreak.checkpoints import open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, Zip, deflate, npy, npy_of, read_all

ONE = npy_of(3)


def bomb(claim):
    """A deflated npy of zeros that claims a size, which its few bytes could not all be checked against."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({claim - 128},), }}".ljust(117) + "\n"
    return npy(header)


def nested():
    """A member that lies inside the bytes of another, which a small file can repeat without end."""
    inner = Zip().add("b.npy", ONE)
    made = Zip().add("a.npy", inner.body)
    return made.add("b.npy", ONE, at=len(made.body) - len(inner.body)).bytes()


def behind(junk):
    """A sound archive behind other bytes, which it knows of: a file of two kinds."""
    made = Zip()
    made.body = junk
    return made.add("a.npy", ONE).bytes()


FAULTS = {
    "truncated": (Zip().add("a.npy", ONE).bytes()[:-1], "does not end the file"),
    "a comment": (Zip().add("a.npy", ONE).bytes(comment=b"hello"), "does not end the file"),
    "several disks": (Zip().add("a.npy", ONE).bytes()[:-18] + b"\1\0\1\0" + bytes(14), "spans several disks"),
    "a comment that is not there": (
        Zip().add("a.npy", ONE).bytes()[:-2] + b"\5\0",
        "does not end the file",
    ),
    "something before it": (behind(b"PK\3\4junk"), "8 bytes come before the first member of the zip"),
    "something after it": (Zip().add("a.npy", ONE).bytes() + b"x", "does not end the file"),
    "a member too few": (Zip().add("a.npy", ONE).bytes(count=2), "claims 2 members and lists 1"),
    "a directory elsewhere": (Zip().add("a.npy", ONE).bytes(start=3), "directory is not where its end says"),
    "a name twice": (Zip().add("a.npy", ONE).add("a.npy", ONE).bytes(), "two members are called 'a.npy'"),
    "two arrays of one name": (Zip().add("a.npy", ONE).add("a", ONE).bytes(), "two arrays are called 'a'"),
    "one member listed twice": (
        Zip().add("a.npy", ONE).add("b.npy", ONE, at=0).bytes(),
        "'a.npy' overlaps what comes after it",
    ),
    "one member listed twice by name": (
        Zip().add("a.npy", ONE).add("a.npy", ONE, at=0).bytes(),
        "overlaps what comes after it",
    ),
    "another name inside": (Zip().add("a.npy", ONE, local={"name": b"b.npy"}).bytes(), "differ in what they claim"),
    "another size inside": (
        Zip().add("a.npy", ONE, local={"size": 9, "packed": 9}).bytes(),
        "differ in what they claim",
    ),
    "another checksum inside": (Zip().add("a.npy", ONE, local={"crc": 9}).bytes(), "differ in what they claim"),
    "another method inside": (Zip().add("a.npy", ONE, local={"method": 8}).bytes(), "differ in what they claim"),
    "a member inside another": (nested(), "'a.npy' overlaps what comes after it"),
    "a size beyond the file": (
        Zip().add("a.npy", ONE, local={"packed": 999, "size": 999}, central={"packed": 999, "size": 999}).bytes(),
        "should take 999 bytes",
    ),
    "bytes of nobody": (Zip().add("a.npy", ONE, after=b"hidden").bytes(), "6 bytes after 'a.npy' belong to no member"),
    "no header there": (Zip().add("a.npy", ONE, central={"header": 5}).bytes(), "there is no member where"),
    "encrypted": (Zip().add("a.npy", ONE, local={"flags": 1}, central={"flags": 1}).bytes(), "is encrypted"),
    "LZMA": (Zip().add("a.npy", ONE, method=14).bytes(), "packed with method 14"),
    "stored, two sizes": (
        Zip().add("a.npy", ONE, local={"size": 8}, central={"size": 8}).bytes(),
        "is stored, yet claims",
    ),
    "a damaged byte": (Zip().add("a.npy", ONE, packed=ONE[:-1] + b"\1").bytes(), "its checksum does not match"),
    "damaged deflate": (Zip().add("a.npy", ONE, method=8, packed=b"\xff" * 50).bytes(), "is damaged"),
    "deflate that ends early": (
        Zip().add("a.npy", ONE, method=8, packed=deflate(ONE)[:-3]).bytes(),
        "does not unpack to the 80 bytes",
    ),
    "deflate with a tail": (
        Zip().add("a.npy", ONE, method=8, packed=deflate(ONE) + b"tail").bytes(),
        "does not unpack",
    ),
    "deflate of more than it claims": (
        Zip().add("a.npy", ONE, method=8, packed=deflate(ONE + bytes(999))).bytes(),
        "does not unpack to the 80 bytes",
    ),
    "deflate of less than it claims": (
        Zip().add("a.npy", npy_of(30), method=8, packed=deflate(npy_of(30)[:-9])).bytes(),
        "does not unpack to the",
    ),
    "more than deflate can give": (
        Zip().add("a.npy", ONE, method=8, local={"size": 10**6}, central={"size": 10**6}).bytes(),
        "more than deflate can give",
    ),
    "no zip64 field": (
        Zip().add("a.npy", ONE, local={"size": 2**32 - 1}, central={"size": 2**32 - 1}).bytes(),
        "lacks the zip64 field",
    ),
    "a parent": (Zip().add("../a.npy", ONE).bytes(), r"'\.\./a\.npy', which is no plain relative name"),
    "an absolute path": (Zip().add("/etc/a.npy", ONE).bytes(), "no plain relative name"),
    "a backslash": (Zip().add("..\\a.npy", ONE).bytes(), "no plain relative name"),
    "a drive": (Zip().add("C:/a.npy", ONE).bytes(), "no plain relative name"),
    "a NUL": (Zip().add("a\0.npy", ONE).bytes(), r"'a\\x00\.npy', which is no plain"),
    "a name that is not UTF-8": (Zip().add(b"\xff.npy", ONE).bytes(), "name is not UTF-8"),
    "a malformed array": (Zip().add("a.npy", npy("{}")).bytes(), "'a.npy' has a malformed npy header"),
    "an array in a lying member": (Zip().add("a.npy", ONE + b"x").bytes(), "'a.npy' should take 80 bytes"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_and_named(tmp_path, fault):
    content, message = FAULTS[fault]
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadCheckpoint, match=message) as caught:
        read_all(tmp_path / "a.npz")
    assert str(caught.value).isprintable()


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


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (10, "the zip's two ends differ in what they claim"),  # members
        (12, "the zip's two ends differ in what they claim"),  # bytes of the directory
        (16, "the zip's two ends differ in what they claim"),  # its offset
        (-20 + 4, "the zip64 end is malformed"),  # the locator's disk
        (-20 - 56 + 4, "the zip64 end is malformed"),  # its own length
        (-20 - 56 + 32, "the zip's two ends differ in what they claim"),  # its count of members
    ],
)
def test_two_ends_that_differ_are_refused(tmp_path, at, message):
    """PyTorch writes the end of a zip twice, in two widths."""
    content = bytearray((DATA / "bare.pt").read_bytes())
    content[len(content) - 22 + at] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(tmp_path / "a.pt")


def test_nothing_may_lie_between_the_two_ends(tmp_path):
    content = (DATA / "bare.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(content[:-42] + b"hidden" + content[-42:])
    with pytest.raises(BadCheckpoint, match="something lies between the zip64 end and its locator"):
        open_checkpoint(tmp_path / "a.pt")


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
