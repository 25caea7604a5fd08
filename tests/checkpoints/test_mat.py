"""MAT-files of versions 4 and 5 are read as SciPy reads them, and mapped where they store values plain."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from symbreak.checkpoints import _inflate, _mat5, _spool, find_checkpoints, open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, read_all
from tests.checkpoints._make_mat import (
    DOUBLE,
    array,
    axes,
    doubles,
    element,
    fields,
    file5,
    flags,
    head,
    named,
    packed,
    small,
    variable4,
    weight,
)

SCIPY = Path(scipy.io.matlab.__file__).parent / "tests" / "data"
STRUCT, CELL, INT8 = 2, 1, 8


def opened(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    return open_checkpoint(tmp_path / "a.mat")


def same(one, other):
    assert (one.shape, one.dtype.newbyteorder("=")) == (other.shape, other.dtype.newbyteorder("="))
    np.testing.assert_array_equal(one, other)


def leaves(value, path):
    """Yield the numeric arrays in what SciPy loaded, by the names that we give them."""
    if isinstance(value, scipy.io.matlab.MatlabObject | scipy.io.matlab.MatlabFunction):
        return
    if isinstance(value, np.ndarray) and value.dtype.names:
        for i, item in enumerate(value.ravel(order="F")):
            for field in value.dtype.names:
                yield from leaves(item[field], f"{path}.{field}" if value.size == 1 else f"{path}.{i}.{field}")
    elif isinstance(value, np.ndarray) and value.dtype == object:
        for i, item in enumerate(value.ravel(order="F")):
            yield from leaves(item, f"{path}.{i}")
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        yield path, value


def as_scipy_has_it(path):
    """What SciPy reads. It drops imaginary parts when it is asked for MATLAB's own types, so both ways are joined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of variables of one name
        typed, stored = (scipy.io.loadmat(path, mat_dtype=typed) for typed in (True, False))
    found = {}
    for name in (name for name in typed if not name.startswith("__")):
        pairs = zip(leaves(typed[name], name), leaves(stored[name], name), strict=True)
        found |= {path: other if other.dtype.kind == "c" else own for (path, own), (_, other) in pairs}
    return found


# SciPy refuses or renames what is in these on grounds of its own.
APART = {"bad_miutf8_array_name.mat", "nasty_duplicate_fieldnames.mat", "testhdf5_7.4_GLNX86.mat"}


@pytest.mark.parametrize("path", sorted(SCIPY.glob("*.mat")), ids=lambda path: path.name)
def test_the_files_of_scipy_s_own_tests_are_read_as_scipy_reads_them(path):
    """Written by MATLAB 4 to 8 on four machines, by Octave and by hand, some of them malformed."""
    if path.name in APART:
        return
    try:
        expected = as_scipy_has_it(path)
    except Exception:
        with pytest.raises(BadCheckpoint):
            read_all(path)
        return
    found = read_all(path)
    assert set(found) == set(expected)
    for name, values in found.items():
        same(values, expected[name])


NUMBERS = st.one_of(
    hnp.floating_dtypes(endianness="<", sizes=(32, 64)),
    hnp.integer_dtypes(endianness="<"),
    hnp.unsigned_integer_dtypes(endianness="<"),
    hnp.complex_number_dtypes(endianness="<", sizes=(64, 128)),
    st.just(np.dtype("?")),
)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4)
ARRAYS = hnp.arrays(NUMBERS, SHAPES)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
TREES = st.recursive(ARRAYS, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=6)


def flat(tree, path=""):
    for name, value in tree.items():
        yield from flat(value, f"{path}{name}.") if isinstance(value, dict) else [(f"{path}{name}", value)]


@given(tree=st.dictionaries(NAMES, TREES, max_size=3), compressed=st.booleans())
def test_what_scipy_writes_in_version_5_is_read(tmp_path_factory, tree, compressed):
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    scipy.io.savemat(path, tree, do_compression=compressed)
    found = read_all(path)
    expected = dict(flat(tree))
    assert set(found) == set(expected)
    for name, values in found.items():
        same(values, expected[name])


FOUR = hnp.arrays(
    st.sampled_from(["<f8", "<f4", "<i4", "<i2", "<u2", "u1", "<c16", "<c8"]),
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5),
)


@given(arrays=st.dictionaries(NAMES, FOUR, min_size=1, max_size=3))
def test_what_scipy_writes_in_version_4_is_read(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    scipy.io.savemat(path, arrays, format="4")
    found = read_all(path)
    assert list(found) == list(arrays)
    for name, values in found.items():
        same(values, arrays[name])


@pytest.mark.parametrize("file", ["version_4.mat", "version_5.mat", "version_7.mat"])
def test_what_holds_no_numbers_is_skipped_with_the_reason(file):
    with open_checkpoint(DATA / file) as ckpt:
        assert ckpt.format == "mat"
        reasons = {item.name: item.reason for item in ckpt.skipped}
    texts = {"label": "it holds text"} | ({} if file == "version_4.mat" else {"cell.1": "it holds text"})
    assert reasons == texts | {"links": "it holds a sparse array; full() in MATLAB makes one that is read"}


def test_the_header_s_text_is_kept():
    with open_checkpoint(DATA / "version_5.mat") as ckpt:
        assert ckpt.metadata["header"].startswith("MATLAB 5.0 MAT-file Platform: ")


@pytest.mark.parametrize(
    ("file", "name"), [("version_4.mat", "weight"), ("version_5.mat", "weight"), ("version_5.mat", "flags")]
)
def test_plain_values_are_mapped_not_copied(file, name):
    with open_checkpoint(DATA / file) as ckpt:
        assert np.shares_memory(ckpt[name], ckpt[name])
        assert ckpt[name].flags.f_contiguous


@pytest.mark.parametrize("order", ["<", ">"])
def test_either_byte_order_is_read_as_scipy_reads_it(tmp_path, order):
    content = file5(weight("w", (2, 3), order), packed(weight("v", (3, 2), order), order), order=order)
    with opened(tmp_path, content) as ckpt:
        loaded = scipy.io.loadmat(io.BytesIO(content))
        for name in ("w", "v"):
            same(ckpt[name], loaded[name])
            assert ckpt[name].dtype.str == order + "f8"
    kind, values = (1000 if order == ">" else 0), np.arange(12, dtype=order + "f8").tobytes()
    content = variable4("w", kind=kind, pair=1, data=values, order=order) + variable4("v", kind=kind, order=order)
    with opened(tmp_path, content) as ckpt:
        loaded = scipy.io.loadmat(io.BytesIO(content))
        for name in ("w", "v"):
            same(ckpt[name], loaded[name])


@pytest.mark.parametrize(
    ("kind", "code"), [(1, "i1"), (2, "u1"), (3, "i2"), (4, "u2"), (5, "i4"), (6, "u4"), (7, "f4")]
)
@pytest.mark.parametrize("step", [4, 1 << 20])
def test_doubles_in_a_narrower_type_become_doubles_again(tmp_path, monkeypatch, kind, code, step):
    """MATLAB stores the double 3.0 as the byte 3."""
    monkeypatch.setattr(_mat5, "STEP", step)
    values = element(kind, np.arange(6, dtype="<" + code).tobytes())
    content = file5(array(flags(DOUBLE), axes(2, 3), named("w"), values))
    with opened(tmp_path, content) as ckpt:
        same(ckpt["w"], np.arange(6.0).reshape((2, 3), order="F"))
        assert ckpt.tensors["w"].dtype == np.float64


def test_complex_values_are_joined_in_steps(tmp_path, monkeypatch):
    monkeypatch.setattr("symbreak.checkpoints._mat4.STEP", 3)
    values = np.arange(14.0).reshape(7, 2) * (1 + 2j)
    scipy.io.savemat(tmp_path / "a.mat", {"w": values}, format="4")
    same(read_all(tmp_path / "a.mat")["w"], values)


def test_truth_of_doubles_as_matlab_5_wrote_it_is_truth(tmp_path):
    content = file5(array(flags(DOUBLE, 0x200), axes(1, 3), named("w"), doubles(0, 1, 1)))
    with opened(tmp_path, content) as ckpt:
        same(ckpt["w"], np.array([[False, True, True]]))


OTHERS = {
    "complex integers": (flags(INT8, 0x800), small(1, b"\1\2"), small(1, b"\3\4")),
    "an array of class 99": (flags(99), doubles(1)),
    "text": (flags(4), small(16, b"hi")),
    "an object of a class": (flags(3), doubles(1)),
    "a function": (flags(16), doubles(1)),
}


@pytest.mark.parametrize("reason", OTHERS)
@pytest.mark.parametrize("inside", [False, True])
def test_what_is_not_read_costs_only_itself(tmp_path, reason, inside):
    first, *rest = OTHERS[reason]
    odd = array(first, axes(1, 2), named("" if inside else "odd"), *rest)
    if inside:
        odd = array(flags(STRUCT), axes(1, 1), named("s"), fields("odd", "w"), odd, weight(""))
    with opened(tmp_path, file5(odd, packed(odd), weight("after"))) as ckpt:
        assert list(ckpt) == (["s.w", "after"] if inside else ["after"])
        assert ckpt["after"].shape == (2, 3)
        assert f"it holds {reason}" in ckpt.skipped[0].reason


def test_an_object_of_matlab_s_own_has_no_axes(tmp_path):
    """Its name follows the flags: an array would have its lengths there."""
    odd = array(flags(17), named("table"), named("MCOS"), named("table"), weight(""))
    with opened(tmp_path, file5(odd, weight())) as ckpt:
        assert list(ckpt) == ["w"]
        assert [(item.name, item.reason.split(",")[0]) for item in ckpt.skipped] == [
            ("table", "it holds an object of a class")
        ]


def test_the_variable_without_a_name_is_matlab_s_notes(tmp_path):
    with opened(tmp_path, file5(weight(""), weight("w"))) as ckpt:
        assert list(ckpt) == ["w"]
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            ("__function_workspace__", "it holds MATLAB's notes on functions and objects")
        ]


@pytest.mark.parametrize("content", [file5(weight(), weight()), variable4() + variable4()])
def test_of_two_variables_of_one_name_the_second_is_reported(tmp_path, content):
    with opened(tmp_path, content) as ckpt:
        assert list(ckpt) == ["w"]
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            ("w", "another array of the file has this name too")
        ]


def test_complex_integers_of_version_4_are_skipped(tmp_path):
    with opened(tmp_path, variable4(kind=20, pair=1, size=4) + variable4("v")) as ckpt:
        assert list(ckpt) == ["v"]
        assert [item.reason for item in ckpt.skipped] == ["it holds complex integers, which NumPy does not have"]


def test_the_empty_array_of_a_cell_or_field_has_no_values(tmp_path):
    content = file5(array(flags(CELL), axes(1, 2), named("c"), element(14, b""), weight("")))
    with opened(tmp_path, content) as ckpt:
        assert {name: info.shape for name, info in ckpt.tensors.items()} == {"c.0": (0, 0), "c.1": (2, 3)}
        assert ckpt["c.0"].shape == (0, 0)


@pytest.mark.parametrize("shape", [(0, 0), (2**30, 1)])
def test_a_struct_of_no_fields_or_no_elements_holds_nothing(tmp_path, shape):
    none = small(5, struct.pack("<i", 8)) + element(1, b"")
    with opened(tmp_path, file5(array(flags(STRUCT), axes(*shape), named("s"), none), weight())) as ckpt:
        assert list(ckpt) == ["w"]


def test_names_that_are_not_ascii_are_read(tmp_path):
    with opened(tmp_path, file5(weight("größe"), weight("größe".encode("latin-1")))) as ckpt:
        assert list(ckpt) == ["größe"]
        assert [item.name for item in ckpt.skipped] == ["größe"]


def test_a_file_of_no_variables_has_no_tensors(tmp_path):
    with opened(tmp_path, head()) as ckpt:
        assert (ckpt.format, len(ckpt), ckpt.skipped) == ("mat", 0, ())


def test_version_7_3_is_hdf5_and_not_read_here(tmp_path):
    content = b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\0\2IM" + bytes(384)
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(BadCheckpoint) as caught:
        read_all(tmp_path / "a.mat")
    assert "MAT-file of version 5" not in str(caught.value)
    assert "header" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        bytes(200),
        struct.pack("<5i", 0, 2, 3, 0, 2) + b"9\0" + bytes(48),
        struct.pack("<5i", 0, 2, 3, 2, 2) + b"w\0" + bytes(48),
        struct.pack("<5i", 0, 2, 3, 0, 300) + b"w" * 299 + b"\0" + bytes(48),
        struct.pack("<5i", 5052, 2, 3, 0, 2) + b"w\0" + bytes(48),
        struct.pack("<5i", 0, 2, -3, 0, 2) + b"w\0" + bytes(48),
        struct.pack("<4i", 0, 2, 3, 0),
    ],
)
def test_what_only_resembles_version_4_is_not_taken_for_it(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadCheckpoint, match="is no checkpoint that is known"):
        read_all(tmp_path / "a")
    assert find_checkpoints(tmp_path) == []


def test_opening_a_packed_weight_unpacks_only_its_beginning(tmp_path, monkeypatch):
    values = np.random.default_rng(0).standard_normal((1000, 100))
    scipy.io.savemat(tmp_path / "a.mat", {"w": values}, do_compression=True)
    pieces = []
    unpack = _inflate.unpack

    def counted(source, stream):
        for piece in unpack(source, stream):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(_inflate, "unpack", counted)
    monkeypatch.setattr(_mat5, "unpack", counted)
    with open_checkpoint(tmp_path / "a.mat") as ckpt:
        assert sum(pieces) <= _inflate.OUT
        pieces.clear()
        same(ckpt["w"], values)
        assert sum(pieces) == ckpt["w"].nbytes + 56


def test_the_arrays_of_one_struct_are_unpacked_together(tmp_path, monkeypatch):
    tree = {f"w{i}": np.full((3, 2), float(i)) for i in range(20)}
    scipy.io.savemat(tmp_path / "a.mat", {"s": tree, "t": tree}, do_compression=True)
    times = []
    collect = _mat5.collect
    monkeypatch.setattr(_mat5, "collect", lambda *arguments: times.append(1) or collect(*arguments))
    found = read_all(tmp_path / "a.mat")
    assert [found[f"{s}.w{i}"][0, 0] for s in "st" for i in range(20)] == [*range(20), *range(20)]
    assert len(times) == 2


def test_what_is_unpacked_or_converted_and_large_lies_in_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(_spool, "IN_MEMORY", 10)
    values = np.arange(200).reshape(20, 10) * (1 + 1j)
    scipy.io.savemat(tmp_path / "a.mat", {"w": values}, do_compression=True)
    with open_checkpoint(tmp_path / "a.mat") as ckpt:
        found = ckpt["w"]
        same(np.concatenate(list(ckpt.pieces("w", size=64))), values)
    same(found, values)


def test_a_stream_out_of_all_proportion_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_inflate, "BUDGET", 10_000)
    scipy.io.savemat(tmp_path / "a.mat", {"w": np.zeros((100, 100))}, do_compression=True)
    with pytest.raises(BadCheckpoint, match=r"would unpack from \d+ to 80,056 bytes; save it without compression"):
        open_checkpoint(tmp_path / "a.mat")


def test_names_out_of_all_proportion_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_mat5, "MOST_CHARACTERS", 100)
    inner = {f"w{i}": np.zeros((1, 1)) for i in range(20)}
    scipy.io.savemat(tmp_path / "a.mat", {"a_long_name": inner})
    with pytest.raises(BadCheckpoint, match="its names take more than 100 characters; save the weights alone"):
        open_checkpoint(tmp_path / "a.mat")


def test_cut_off_anywhere_but_between_variables_it_is_refused(tmp_path):
    variables = [weight("w"), packed(weight("v")), array(flags(CELL), axes(1, 1), named("c"), weight(""))]
    between = {len(file5(*variables[:number])) for number in range(len(variables))}
    content = file5(*variables)
    for length in range(1, len(content)):
        (tmp_path / "a.mat").write_bytes(content[:length])
        if length in between:
            read_all(tmp_path / "a.mat")
        else:
            with pytest.raises(BadCheckpoint):
                read_all(tmp_path / "a.mat")
