"""HDF5: what is read, what is passed over and why, and that nothing leads out of the file or beyond its budgets."""

import importlib.metadata
import io
import itertools
import os
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from h5py import h5t
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.checkpoints import _child, _hdf5_child, _hdf5_values, find_checkpoints, open_checkpoint
from symbreak.checkpoints._child import Child
from symbreak.errors import BadCheckpoint, MissingExtra
from tests.checkpoints._make import DATA, read_all

W = np.arange(6, dtype="f4").reshape(2, 3)
PLUGIN = 32015  # the number of the Zstandard filter, which is a plug-in


@pytest.fixture
def saved(tmp_path):
    """Write a file through h5py, and return its path."""

    def save(write, name="a.h5", **options):
        with h5py.File(tmp_path / name, "w", **options) as file:
            write(file)
        return tmp_path / name

    return save


def skipped(path):
    """Give what is not read, and why: the child says what the same code says in this process, without limits."""
    with open_checkpoint(path) as ckpt, path.open("rb") as file:
        found = {item.name: item.reason for item in ckpt.skipped}
        assert dict(_hdf5_child.serve(file, {}).describe()["skipped"]).items() <= found.items()
    return found


def opened(write):
    """Write a file in the memory of this process, and give what the child would serve of it."""
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        write(file)
    return _hdf5_child.serve(made, {})


def test_what_is_not_read_is_named_with_its_reason():
    with open_checkpoint(DATA / "unread.h5") as ckpt:
        assert list(ckpt) == ["fine"]
        assert {item.name: item.reason for item in ckpt.skipped} == {
            "text": "it holds text",
            "words": "it holds text",
            "record": "it holds records of several fields",
            "lists": "it holds lists of different lengths",
            "reference": "it holds references to other parts of the file",
            "colours": "it holds enumerated names",
            "opaque": "it holds opaque bytes",
            "long": "it holds floats of 80 bits that NumPy does not have",
            "odd": "it holds integers of 17 bits in 4 bytes",
            "elsewhere": "it is a link to another file, which is not opened",
            "by way of": "it is a link to another file, which is not opened",
            "dangling": "it is a link that leads nowhere",
            "through a dataset": "it is a link that leads nowhere",
            "circle": "it is a soft link that leads in circles",
            "outside": "its values lie in another file, which is not opened",
            "virtual": "its values lie in other datasets, which may be those of other files",
        }
        with pytest.raises(BadCheckpoint, match="'text' can't be read: it holds text"):
            ckpt["text"]


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.h5")))
def test_what_is_read_is_what_h5py_reads(name):
    assert len(skipped(DATA / name)) == (16 if name == "unread.h5" else 0)
    with (DATA / name).open("rb") as file, h5py.File(DATA / name) as same:
        served = _hdf5_child.serve(file, {})
        for path, shape, code, _, _ in served.describe()["datasets"]:
            values, raw = same[path][()], b"".join(served.read(path))
            if isinstance(values, h5py.Empty):
                assert (shape, raw) == ((0,), b"")
            elif code in _hdf5_values.SIZES:  # NumPy has no such type
                assert len(raw) == np.prod(shape) * _hdf5_values.SIZES[code]
            else:
                assert (shape, np.dtype(code)) == (np.shape(values), np.asarray(values).dtype)
                assert raw == values.tobytes()


def test_strings_of_bytes_that_are_no_text_may_be_anything():
    served = opened(
        lambda file: (file.create_dataset("s", data=np.array([b"a\xff\x01", b"b"])), file.create_group("g"))
    )
    assert served.describe()["skipped"] == [("s", "it holds strings of bytes, which may be anything")]
    for name, reason in {
        "s": "it holds strings",
        "g": "it is no dataset",
        "n": "it is a link that leads nowhere",
    }.items():
        with pytest.raises(ValueError, match=f"'{name}' can't be read: {reason}"):
            list(served.read(name))


def test_two_opaque_bytes_are_a_bfloat16_where_keras_notes_it_beside_them():
    def write(file):
        for name in ("noted", "bare"):
            file[name] = np.array([0x3F80, 0xC000], "<u2").view("V2")
        file["noted"].attrs["dtype"] = "bfloat16"
        file["to a group"] = h5py.SoftLink("/")  # whose parts have names already

    served = opened(write)
    said = served.describe()
    assert [row[:3] for row in said["datasets"]] == [("noted", (2,), "bfloat16")]
    assert said["skipped"] == [("bare", "it holds opaque bytes")]
    assert np.frombuffer(b"".join(served.read("noted")), "<u2").tolist() == [0x3F80, 0xC000]


def test_of_the_notes_those_are_kept_that_are_a_text_a_whole_number_or_a_list_of_texts(monkeypatch):
    def write(file):
        file.attrs.update(
            {
                "text": "it",
                "bytes": np.bytes_(b"by"),
                "number": np.int32(7),
                "list": ["a", "b"],
                "real": 0.5,
                "numbers": [1, 2],
                "square": [["a"]],
                "long": np.bytes_(b"x" * 50),
            }
        )

    monkeypatch.setattr(_hdf5_child, "MOST_CHARACTERS", 49)
    served = opened(write)
    assert served.describe()["attributes"] == [
        ("", [("bytes", "by"), ("list", ["a", "b"]), ("number", 7), ("text", "it")])
    ]


def test_what_is_skipped_makes_a_report_that_is_not_ok_and_the_rest_is_judged():
    report = sb.diagnose(DATA / "unread.h5")
    assert (report.ok, report.arrays, len(report.skipped)) == (False, 1, 14)


def test_the_notes_of_a_file_are_kept():
    with open_checkpoint(DATA / "types.h5") as ckpt:
        assert (ckpt.format, dict(ckpt.metadata), dict(ckpt.structure)) == ("hdf5", {"author": "nobody"}, {})


def test_datasets_come_in_the_order_of_the_file(saved):
    names = [f"layer{i}/w" for i in (3, 1, 10, 2)]
    path = saved(lambda file: [file.create_dataset(name, data=W) for name in names])
    assert list(read_all(path)) == names


def test_plain_values_are_mapped_and_do_not_go_through_the_child(saved, monkeypatch):
    def read(child, name):
        raise AssertionError(name)

    monkeypatch.setattr(Child, "read", read)
    with open_checkpoint(DATA / "storage.h5") as ckpt:
        assert np.shares_memory(ckpt["plain"], ckpt["plain"])
        assert np.shares_memory(ckpt["group/again"], ckpt["soft"])
        with pytest.raises(AssertionError, match="deflated"):
            ckpt["deflated"]


def test_arrays_outlive_the_file():
    with open_checkpoint(DATA / "storage.h5") as ckpt:
        arrays = [ckpt["plain"], ckpt["deflated"]]
    assert [array.size for array in arrays] == [6, 1200]
    with pytest.raises(ValueError, match="is closed"):
        ckpt["plain"]


def test_closing_ends_the_child():
    ckpt = open_checkpoint(DATA / "storage.h5")
    (process,) = ckpt._file._child._idle
    ckpt.close()
    assert process.poll() is not None


@pytest.mark.parametrize("name", ["deflated", "lzf", "scaled", "plain", "compact"])
@pytest.mark.parametrize("size", [1, 100, 1000, 1 << 20])
def test_pieces_are_the_rows_in_order(name, size):
    with open_checkpoint(DATA / "storage.h5") as ckpt:
        assert (np.concatenate(list(ckpt.pieces(name, size))) == ckpt[name]).all()


@given(data=st.data(), shape=st.lists(st.integers(1, 7), min_size=1, max_size=4), widest=st.integers(1, 200))
def test_blocks_follow_one_another_whatever_the_chunks(data, shape, widest):
    chunk = [data.draw(st.integers(1, length)) for length in shape]
    array = np.arange(np.prod(shape), dtype=">i2").reshape(shape)
    with h5py.File(io.BytesIO(), "w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_hdf5_values, "WIDEST", widest)
        patch.setattr(_hdf5_values, "BLOCK", data.draw(st.integers(1, 200)))
        dataset = file.create_dataset("w", data=array, chunks=tuple(chunk), compression="gzip").id
        blocks = [bytes(block) for block in _hdf5_values.blocks(dataset, _hdf5_values.value_of(dataset, None))]
    assert b"".join(blocks) == array.tobytes()
    assert max(map(len, blocks)) <= max(widest, 2)


# Links.


def test_a_link_leads_out_of_the_file_by_no_way(saved):
    saved(lambda file: file.create_dataset("g/w", data=W), "other.h5")

    def write(file):
        file["fine"] = W
        file["group"] = h5py.ExternalLink("other.h5", "/g")
        file["whole"] = h5py.ExternalLink("other.h5", "/")
        file["below"] = h5py.SoftLink("/whole/g/w")
        file["twice"] = h5py.SoftLink("/hop")
        file["hop"] = h5py.SoftLink("group/w")

    path = saved(write)
    assert list(read_all(path)) == ["fine"]
    reason = "it is a link to another file, which is not opened"
    assert skipped(path) == dict.fromkeys(["group", "whole", "below", "twice", "hop"], reason)


def test_a_link_of_another_kind_is_not_followed(saved):
    path = saved(lambda file: (file.create_dataset("fine", data=W), file.__setitem__("x", h5py.ExternalLink("b", "c"))))
    data = path.read_bytes()
    at = data.index(b"\x01\x08\x40")  # the version of a link, its flags, and 64 for a link to another file
    path.write_bytes(data[: at + 2] + b"\x46" + data[at + 3 :])
    assert skipped(path) == {"x": "it is a link of the kind 70, which only a plug-in could follow"}


def test_groups_that_hold_one_another_are_walked_once(saved):
    def write(file):
        file["a/w"] = W
        file["a/root"] = file["/"]
        for i in range(40):  # two ways to each: 2^40 paths
            group = file.create_group(f"chain/{i}")
            file[f"chain/{i}"]["down"] = group
            if i:
                file[f"chain/{i - 1}"]["left"] = file[f"chain/{i - 1}"]["right"] = group
        file["chain/39/w"] = W

    assert len(read_all(saved(write))) == 2


def test_groups_in_groups_are_read_to_a_depth_and_refused_beyond_soon(saved):
    def write(depth):
        def nest(file):
            group = file
            for _ in range(depth):
                group = group.create_group("g")
            group["w"] = W

        return nest

    assert list(read_all(saved(write(499)))) == ["g/" * 499 + "w"]
    begin = time.monotonic()
    with pytest.raises(BadCheckpoint, match="its groups are nested more than 500 deep"):
        open_checkpoint(saved(write(3000)))
    assert time.monotonic() - begin < 20


# Budgets.


def test_a_dataset_that_claims_what_is_not_stored_is_skipped_and_the_others_are_read(saved):
    def write(file):
        file["fine"] = W
        file.create_dataset("fill", shape=(1 << 20, 1 << 20), dtype="f4", fillvalue=1.0)
        file.create_dataset("sparse", shape=(1 << 20, 1 << 20), dtype="f4", chunks=(1024, 1024))
        file.create_dataset("vast", shape=(1 << 31, 1 << 31), dtype="u1", chunks=(1024, 1024))
        file.create_dataset("small fill", shape=(100, 100), dtype="f4", fillvalue=1.0)

    path = saved(write)
    assert list(read_all(path)) == ["fine", "small fill"]
    assert skipped(path) == {
        "fill": "it claims 4398046511104 bytes and stores 0",
        "sparse": "it claims 4398046511104 bytes and stores 0",
        "vast": "it claims 4611686018427387904 bytes and stores 0",
    }


def test_a_stream_that_unpacks_a_thousandfold_is_skipped(saved):
    def write(file):
        made = file.create_dataset("w", shape=(100, 1 << 20), dtype="f4", chunks=(1, 1 << 20), compression=9)
        made[0] = 0
        _, packed = made.id.read_direct_chunk((0, 0))
        for row in range(1, 100):
            made.id.write_direct_chunk((row, 0), packed)

    assert list(skipped(saved(write))) == ["w"]


def test_datasets_that_claim_too_much_together_are_skipped(saved):
    def write(file):
        for i in range(25):
            file.create_dataset(f"w{i:02}", shape=(200, 1 << 20), dtype="u1")

    path = saved(write)
    with open_checkpoint(path) as ckpt:
        assert len(ckpt) == 20
    reason = f"with it, datasets claim {21 * 200 << 20} bytes, and the file has {path.stat().st_size:,}"
    assert skipped(path)["w20"] == reason


def test_names_of_one_dataset_are_read_until_they_claim_many_times_the_file(saved):
    def write(file):
        made = file.create_dataset("w", shape=(200, 1 << 20), dtype="u1")
        for i in range(4):
            file[f"x{i}"] = made

    path = saved(write)
    reason = "it is one more name of a dataset, and with it they claim many times what the file stores"
    assert skipped(path) == dict.fromkeys(["x1", "x2", "x3"], reason)


@pytest.mark.parametrize(
    ("constant", "message"),
    [
        ("MOST_OBJECTS", "it holds more than 3 groups and datasets"),
        ("MOST_CHARACTERS", "the paths of its parts have more than 3 characters"),
    ],
)
def test_parts_and_their_paths_are_counted(monkeypatch, constant, message):
    """In this process, in which a constant can be changed."""
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        file["a/b/c/d"] = W
    monkeypatch.setattr(_hdf5_child, constant, 3)
    with pytest.raises(ValueError, match=message):
        _hdf5_child.serve(made, {}).describe()


def test_attributes_are_counted(monkeypatch):
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        for i in range(10):
            file.attrs[f"{i}"] = "x" * 10
    monkeypatch.setattr(_hdf5_child, "MOST_CHARACTERS", 99)
    with pytest.raises(ValueError, match="its attributes have more than 99 characters"):
        _hdf5_child.serve(made, {}).describe()
    monkeypatch.setattr(_hdf5_child, "MOST_CHARACTERS", 100)
    assert len(_hdf5_child.serve(made, {}).describe()["attributes"][0][1]) == 10


# Types and filters that h5py does not write itself.


def test_a_filter_that_is_a_plug_in_is_not_looked_for(saved):
    def write(file):
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((2, 3))
        plan.set_filter(PLUGIN, h5py.h5z.FLAG_OPTIONAL, ())
        h5py.h5d.create(file.id, b"w", h5t.IEEE_F32LE, h5py.h5s.create_simple((2, 3)), plan)

    (reason,) = skipped(saved(write)).values()
    assert reason.startswith("its values are packed by the filter 32015, '")
    assert reason.endswith("', which is a plug-in")


def changed(kind, **edits):
    made = kind.copy()
    for name, value in edits.items():
        getattr(made, f"set_{name}")(*(value if isinstance(value, tuple) else (value,)))
    return made


def record(*fields):
    made = h5t.create(h5t.COMPOUND, sum(kind.get_size() for _, kind in fields))
    at = 0
    for name, kind in fields:
        made.insert(name, at, kind)
        at += kind.get_size()
    return made


F4, F8 = h5t.IEEE_F32LE, h5t.IEEE_F64LE


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (h5t.IEEE_F16BE, ">f2"),
        (h5t.STD_U64BE, ">u8"),
        (h5t.STD_I8BE, "|i1"),
        (record((b"r", F4), (b"i", F4)), "<c8"),
        (record((b"real", h5t.IEEE_F64BE), (b"imag", h5t.IEEE_F64BE)), ">c16"),
        (h5t.array_create(h5t.STD_I16LE, (2, 3)), "<i2"),
        (
            SimpleNamespace(get_class=lambda: 11, get_super=lambda: F4, get_size=lambda: 8, get_order=F4.get_order),
            "<c8",
        ),  # HDF5's own complex numbers, since 2.0
    ],
)
def test_a_type_is_told_by_its_description(kind, code):
    assert _hdf5_values.element(kind)[0] == code


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (changed(F4, order=h5t.ORDER_VAX), "it holds numbers in the byte order of another machine"),
        (changed(h5t.STD_I32LE, precision=20), "it holds integers of 20 bits in 4 bytes"),
        (changed(h5t.STD_I32LE, precision=16, offset=16), "it holds integers of 16 bits in 4 bytes"),
        (changed(F4, ebias=126), "it holds floats of 32 bits that NumPy does not have"),
        (changed(F4, norm=h5t.NORM_NONE), "it holds floats of 32 bits that NumPy does not have"),
        (changed(F4, fields=(31, 22, 9, 0, 22)), "it holds floats of 32 bits that NumPy does not have"),
        (record((b"i", F4), (b"r", F4)), "it holds records of several fields"),
        (record((b"r", F4), (b"i", F8)), "it holds records of several fields"),
        (record((b"r", F4), (b"j", F4)), "it holds records of several fields"),
        (record((b"r", h5t.IEEE_F16LE), (b"i", h5t.IEEE_F16LE)), "it holds records of several fields"),
        (record((b"r", h5t.STD_I32LE), (b"i", h5t.STD_I32LE)), "it holds records of several fields"),
        (h5t.STD_B8LE, "it holds bit fields"),
        (h5t.py_create(h5py.enum_dtype({"FALSE": 0, "TRUE": 1, "MAYBE": 2}, "i1"), logical=True), "enumerated names"),
    ],
)
def test_a_type_that_numpy_does_not_have_is_not_taken_for_another(kind, reason):
    with pytest.raises(_hdf5_values.Unread, match=reason):
        _hdf5_values.element(kind)


@pytest.mark.parametrize("pair", [*itertools.permutations(["FALSE", "TRUE", "MAYBE"], 2)])
def test_booleans_are_the_enumeration_of_false_and_true_alone(pair):
    kind = h5py.enum_dtype(dict(zip(pair, (0, 1), strict=True)), "i1")
    described = h5t.py_create(kind, logical=True)
    if pair == ("FALSE", "TRUE"):
        assert _hdf5_values.element(described)[0] == "|b1"
    else:
        with pytest.raises(_hdf5_values.Unread, match="it holds enumerated names"):
            _hdf5_values.element(described)


# Names.


def test_bytes_that_are_no_text_become_visible_in_a_name(saved):
    path = saved(lambda file: file.create_dataset(b"\xff\x1b[31m", data=W, compression="gzip"))
    with open_checkpoint(path) as ckpt:
        assert list(ckpt) == ["\\xff\x1b[31m"]
        assert (ckpt["\\xff\x1b[31m"] == W).all()


def test_of_two_tensors_of_one_name_the_second_is_skipped(saved):
    path = saved(lambda file: (file.create_dataset(b"\xff", data=W), file.create_dataset("\\xff", data=W + 1)))
    assert (read_all(path)["\\xff"] == W).all()
    assert skipped(path) == {"\\xff": "another tensor of the file has this name too"}


# The child, and its package.


@pytest.mark.parametrize("found", [None, "2.10.0", "3.14.0", "3.9"])
def test_a_missing_or_old_h5py_is_said_with_what_brings_it(monkeypatch, found):
    def version(name):
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    message = r"reading HDF5 needs h5py 3.16 or later, which is not installed: pip install 'symbreak\[files\]'"
    with pytest.raises(MissingExtra, match=message):
        open_checkpoint(DATA / "types.h5")
    assert not sb.diagnose(DATA / "types.h5").ok
    assert find_checkpoints(DATA / "types.h5") == [DATA / "types.h5"]


@pytest.mark.parametrize("found", ["3.16.0", "3.17.1", "4.0.0rc1"])
def test_a_newer_h5py_is_taken(monkeypatch, found):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: found)
    assert "fc1/weight" in read_all(DATA / "types.h5")


SAID = {"datasets": [], "skipped": [], "attributes": [], "cells": []}
ROW = ["w", [2], "<f4", 100, 1]


@pytest.mark.parametrize(
    "said",
    [
        {},
        SAID | {"datasets": None},
        SAID | {"datasets": [ROW[:4]]},
        SAID | {"datasets": [["w", [2], "O", 100, 1]]},
        SAID | {"datasets": [["w", [2], "<f4\0", 100, 1]]},
        SAID | {"datasets": [["w", ["2"], "<f4", 100, 1]]},
        SAID | {"datasets": [["w", [True], "<f4", 100, 1]]},
        SAID | {"datasets": [["w", [2], "<f4", 1.5, 1]]},
        SAID | {"datasets": [[1, [2], "<f4", 100, 1]]},
        SAID | {"skipped": [["w"]]},
        SAID | {"skipped": [["w", 1]]},
        SAID | {"attributes": [["w", {"a": 1}]]},
        SAID | {"cells": [["w", [2], ["a"]]]},
        SAID | {"cells": [["w", [1], [1]]]},
    ],
)
def test_nonsense_of_the_child_is_not_believed(monkeypatch, said):
    monkeypatch.setattr(Child, "describe", lambda child: said)
    with pytest.raises(BadCheckpoint, match="the process that reads it answered with nonsense"):
        open_checkpoint(DATA / "types.h5")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["w", [2], "<f4", 14354 - 7, 1], "'w' should take 8 bytes at offset 14,347, but the HDF5 file has 14,354"),
        (["w", [2], "<f4", -1, 1], "'w' should take 8 bytes at offset -1"),
        (["w", [-2], "<f4", 0, 1], "'w' has a negative axis length"),
        (["w", [1 << 62], "<f4", None, 1], "more bytes than an index can count"),
    ],
)
def test_what_the_child_claims_is_compared_with_the_file(monkeypatch, row, message):
    monkeypatch.setattr(Child, "describe", lambda child: SAID | {"datasets": [row]})
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(DATA / "types.h5")


def test_hdf5_behind_a_block_of_the_user_s_is_found(saved, tmp_path):
    path = saved(lambda file: file.create_dataset("w", data=W), userblock_size=4096)
    assert (read_all(path)["w"] == W).all()
    renamed = Path(path).rename(tmp_path / "data.bin")
    assert find_checkpoints(tmp_path) == [renamed]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere there is no such limit")
def test_a_file_in_which_hdf5_runs_in_circles_is_refused(tmp_path, monkeypatch):
    """HDF5 2.0 goes through the heap of long attributes by the sizes in it; that of the free space is 0 here."""
    monkeypatch.setattr(_child, "DESCRIBING", 1)
    data = bytearray((DATA / "keras_3_3.h5").read_bytes())
    at = data.index(b"GCOL") + 16
    while data[at : at + 2] != b"\0\0":
        at += 16 + -(-int.from_bytes(data[at + 8 : at + 16], "little") // 8) * 8
    data[at + 8 : at + 16] = bytes(8)
    (tmp_path / "a.h5").write_bytes(data)
    with pytest.raises(BadCheckpoint, match="the process that reads it used up its processor time"):
        open_checkpoint(tmp_path / "a.h5")
