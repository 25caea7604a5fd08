"""MATLAB 7.3: names and axes as in MATLAB, and what a cell refers to."""

import h5py
import numpy as np
import pytest

from symbreak.checkpoints import _hdf5_child, find_checkpoints, open_checkpoint
from symbreak.checkpoints._mat73 import BLOCK
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, read_all

W = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def saved(tmp_path):
    """Write a file as MATLAB does, and return its path."""

    def save(write):
        path = tmp_path / "a.mat"
        with h5py.File(path, "w", userblock_size=BLOCK) as file:
            write(file)
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
        return path

    return save


def put(file, name, value, kind="double"):
    file[name] = value
    file[name].attrs["MATLAB_class"] = np.bytes_(kind)
    return file[name]


def cell(file, name, *parts, kind="cell", shape=None):
    made = np.array([part.ref for part in parts], h5py.ref_dtype)
    return put(file, name, made.reshape(shape or (len(parts), 1)), kind)


def skipped(path):
    """Give what is not read, and why: the child says what the same code says in this process, without limits."""
    with open_checkpoint(path) as ckpt, path.open("rb") as file:
        found = {item.name: item.reason for item in ckpt.skipped}
        here = dict(_hdf5_child.serve(file, {"matlab": True}).describe()["skipped"])
        assert {name.replace("/", "."): reason for name, reason in here.items()}.items() <= found.items()
    return found


def served(path):
    """Give what the child is to say, from this process."""
    with path.open("rb") as file:
        return _hdf5_child.serve(file, {"matlab": True}).describe()


def test_what_another_library_wrote_is_listed_with_what_is_not_read():
    with open_checkpoint(DATA / "version_73.mat") as ckpt:
        assert ckpt.format == "mat"
        assert ckpt.metadata["description"].startswith("MATLAB 7.3 MAT-file, Platform: hdf5storage")
    assert skipped(DATA / "version_73.mat") == {"label": "it holds text"}


def test_axes_are_those_of_matlab_and_values_are_mapped(saved):
    path = saved(lambda file: put(file, "w", np.arange(24.0).reshape(4, 3, 2)))
    with open_checkpoint(path) as ckpt:
        assert (ckpt["w"] == np.arange(24.0).reshape((2, 3, 4), order="F")).all()
        assert np.shares_memory(ckpt["w"], ckpt["w"])


def test_compressed_values_come_in_rows_of_matlab_s(saved):
    values = np.arange(600.0).reshape(20, 30)
    path = saved(lambda file: file.create_dataset("w", data=values, chunks=(7, 11), compression="gzip"))
    with open_checkpoint(path) as ckpt:
        blocks = list(ckpt.pieces("w", size=1000))
        assert len(blocks) > 1
        assert (np.concatenate(blocks) == values.T).all()
        assert (ckpt["w"] == values.T).all()


def test_logical_values_are_booleans_and_text_objects_and_sparse_matrices_are_named(saved):
    def write(file):
        put(file, "flag", np.ones((1, 2), "u1"), "logical")
        put(file, "text", np.ones((1, 2), "u2"), "char")
        put(file, "thing", np.ones((1, 6), "u4"), "dlnetwork").attrs["MATLAB_object_decode"] = 3
        file.create_group("sparse").attrs["MATLAB_sparse"] = np.uint64(3)
        put(file, "sparse/data", W)
        put(file, "no text", np.array([0, 0], "u8"), "char").attrs["MATLAB_empty"] = np.uint8(1)

    path = saved(write)
    assert [(name, array.dtype) for name, array in read_all(path).items()] == [("flag", np.bool_)]
    assert skipped(path) == {
        "text": "it holds text",
        "thing": "it holds an object of the class dlnetwork",
        "sparse": "a sparse matrix",
        "no text": "it holds text",
    }


@pytest.mark.parametrize(("kind", "dtype"), [("double", "f8"), ("single", "f4"), ("uint16", "u2"), ("int64", "i8")])
def test_an_empty_array_has_the_shape_that_stands_in_place_of_its_values(saved, kind, dtype):
    def write(file):
        put(file, "w", np.array([0, 4, 2], "u8"), kind).attrs["MATLAB_empty"] = np.uint8(1)

    path = saved(write)
    (array,) = read_all(path).values()
    assert (array.shape, array.dtype) == ((0, 4, 2), np.dtype(dtype))
    (said,) = served(path)["datasets"]
    assert (said[1], np.dtype(said[2])) == ((2, 4, 0), np.dtype(dtype))  # the axes in the order of HDF5


def test_an_empty_cell_is_nothing_to_read(saved):
    def write(file):
        put(file, "c", np.array([0, 0], "u8"), "cell").attrs["MATLAB_empty"] = np.uint8(1)
        put(file, "#refs#/a", np.array([0, 0], "u8"), "canonical empty").attrs["MATLAB_empty"] = np.uint8(1)

    path = saved(write)
    assert read_all(path) == {}
    assert skipped(path) == {"c": "it is empty, and of the class cell"}


def test_elements_of_cells_are_counted_in_matlab_s_order(saved):
    def write(file):
        parts = [put(file, f"#refs#/{i}", W + i) for i in range(4)]
        cell(file, "c", *parts, shape=(2, 2))

    arrays = read_all(saved(write))
    assert {name: array[0, 0] for name, array in arrays.items()} == {"c.0": 0, "c.1": 1, "c.2": 2, "c.3": 3}


def test_a_cell_array_of_two_names_is_looked_at_once_and_references_are_counted(saved, monkeypatch):
    def write(file):
        file["d"] = cell(file, "c", put(file, "#refs#/a", W), put(file, "#refs#/b", W))
        cell(file, "none", shape=(0, 1))

    path = saved(write)
    assert served(path)["cells"] == [("c", (2, 1), ["#refs#/a", "#refs#/b"]), ("none", (0, 1), [])]
    monkeypatch.setattr(_hdf5_child, "MOST_REFERENCES", 1)
    assert served(path)["skipped"] == [
        ("c", "with it, the file holds more than 1 references"),
        ("none", "with it, the file holds more than 1 references"),
    ]


def test_cells_in_cells_structures_in_cells_and_arrays_of_structures(saved):
    def write(file):
        inner = cell(file, "#refs#/b", put(file, "#refs#/c", W))
        put(file, "#refs#/d/w", W)
        cell(file, "s/c", inner, file["#refs#/d"])
        cell(file, "list/w", put(file, "#refs#/e", W), put(file, "#refs#/f", W), kind="")

    assert sorted(read_all(saved(write))) == ["list.0.w", "list.1.w", "s.c.0.0", "s.c.1.w"]


def test_a_reference_that_leads_nowhere_is_reported(saved):
    def write(file):
        file.create_dataset("c", (2, 1), h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")

    reason = "it is a reference that leads nowhere"
    assert skipped(saved(write)) == {"c.0": reason, "c.1": reason}


def test_cells_that_hold_themselves_have_names_of_an_end(saved):
    def write(file):
        made = cell(file, "#refs#/a", put(file, "#refs#/w", W), file["#refs#/w"])
        made[1] = made.ref

    (name,) = read_all(saved(write))
    assert name.startswith("#refs#.a.1.1.1")


def test_references_to_parts_of_arrays_are_not_read(saved):
    def write(file):
        made = put(file, "w", W)
        put(file, "r", np.array([made.regionref[0:1]], h5py.regionref_dtype), "cell")

    assert skipped(saved(write)) == {"r": "it holds references to other parts of the file"}


def test_only_hdf5_behind_the_notes_is_version_7_3(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"nothing of the kind")
    with pytest.raises(BadCheckpoint, match="is no checkpoint that is known"):
        open_checkpoint(tmp_path / "a.mat")
    assert find_checkpoints(tmp_path) == [tmp_path / "a.mat"]
