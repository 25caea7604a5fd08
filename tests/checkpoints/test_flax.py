"""Flax's msgpack files: arrays are read where they lie, named by the path that leads to them, or reported."""

import json
import shutil

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import symbreak as sb
from symbreak.checkpoints import _flax, find_checkpoints, open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, read_all
from tests.checkpoints._make_flax import array, chunked, extension, head, integer, listed, mapped, raw, text

W = ("w", array(data=np.array([1, 2], "<f4").tobytes()))


@pytest.fixture
def written(tmp_path):
    """Write a file."""

    def write(content):
        (tmp_path / "a.msgpack").write_bytes(content)
        return tmp_path / "a.msgpack"

    return write


def reasons(path):
    """Read all of a file; give the names that are read, and the reasons for those that are not."""
    with open_checkpoint(path) as ckpt:
        for name in ckpt:
            assert ckpt[name].shape == ckpt.tensors[name].shape
        return list(ckpt), {item.name: item.reason for item in ckpt.skipped}


# What is a file of Flax's.


@pytest.mark.parametrize(
    "content",
    [
        mapped(W),
        mapped(W)[:48],  # the error of a file that is cut short says so
        mapped(("params", mapped(("w", chunked()))))[:127],
        b"\x82\xa4step\x05" + text("w") + array(),
        b"\x91" + array(),
        array(),
        b"\xde\x00\x01\xa1w" + array(),
    ],
)
def test_a_file_is_known_by_its_content(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b.msgpack").write_bytes(b"hello")
    assert find_checkpoints(tmp_path) == [tmp_path / "a", tmp_path / "b.msgpack"]


@pytest.mark.parametrize(
    "content",
    [
        b"\x80",
        b"\x81\xa1a\x01",
        b"\x89HDF\r\n\x1a",
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"\x80\x04\x95" + bytes(20),
        mapped(("a", extension(b"x", 5))),
        mapped(("a", extension(listed(integer(1))))),
        mapped((integer(1), array())),
        mapped(("a", listed(*[b"\1"] * 20_000)), W),
        array()[:12],
    ],
)
def test_what_merely_begins_like_one_is_none(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert find_checkpoints(tmp_path) == []
    with pytest.raises(BadCheckpoint):
        open_checkpoint(tmp_path / "a")


# Values and names.


def test_leaves_that_are_no_arrays_are_passed_over_and_those_of_no_numbers_are_reported():
    names, skipped = reasons(DATA / "leaves.msgpack")
    assert {"scalar", "axisless", "list/0", "bfloat16"} < set(names)
    assert not {"step", "rate", "note", "none", "pole", "raw", "yes"} & (set(names) | set(skipped))
    assert skipped == {
        "words": "its elements are str64, which are not numbers",
        "days": "its elements are datetime64[D], which are not numbers",
    }


def test_an_extension_that_is_not_known_is_reported_and_a_time_is_not():
    assert reasons(DATA / "others.msgpack") == (
        ["w"],
        {"pair/1/deep": "an extension of type 9, which Flax does not write"},
    )


def test_arrays_that_orbax_keeps_elsewhere_are_reported(written):
    path = written(
        mapped(
            W,
            (
                "a",
                mapped(("b", text("PLACEHOLDER://a.b"))),
            ),
            ("c", text("PLACEHOLDER")),
        )
    )
    assert reasons(path) == (["w"], {"a/b": "Orbax keeps its values in other files, which are not read"})


VALUES = {
    "nil": b"\xc0",
    "true": b"\xc3",
    "false": b"\xc2",
    "small integers": listed(b"\x7f", b"\xe0"),
    "integers": listed(
        *(head(first, size, 1) for first, size in zip(range(0xCC, 0xD4), [1, 2, 4, 8] * 2, strict=True))
    ),
    "numbers": listed(b"\xca" + bytes(4), b"\xcb" + bytes(8)),
    "texts": listed(b"\xa1a", head(0xD9, 1, 1) + b"a", head(0xDA, 2, 1) + b"a", head(0xDB, 4, 1) + b"a"),
    "bytes": listed(*(head(first, size, 1) + b"a" for first, size in [(0xC4, 1), (0xC5, 2), (0xC6, 4)])),
    "lists": listed(b"\x90", b"\x91\xc0", head(0xDC, 2, 1) + b"\xc0", head(0xDD, 4, 0)),
    "maps": listed(b"\x80", b"\x81\xa1a\xc0", head(0xDE, 2, 1) + b"\xa1a\xc0", head(0xDF, 4, 0)),
    "complex": extension(listed(b"\xcb" + bytes(8), b"\xcb" + bytes(8)), 2),
    "times": listed(b"\xd6\xff" + bytes(4), b"\xd7\xff" + bytes(8), head(0xC7, 1, 12) + b"\xff" + bytes(12)),
}


@pytest.mark.parametrize("kind", VALUES)
def test_every_kind_of_value_is_walked_over_by_its_length(written, kind):
    assert reasons(written(mapped(("a", VALUES[kind]), W))) == (["w"], {})


@pytest.mark.parametrize(("first", "size"), [(0xD4, 1), (0xD5, 2), (0xD6, 4), (0xD7, 8), (0xD8, 16)])
def test_extensions_of_fixed_sizes_are_walked_over(written, first, size):
    reason = "an extension of type -7, which Flax does not write"
    path = written(mapped(W, ("a", bytes([first, 256 - 7]) + bytes(size)), ("v", array())))
    assert reasons(path) == (["w", "v"], {"a": reason})


@pytest.mark.parametrize(("first", "size"), [(0xC7, 1), (0xC8, 2), (0xC9, 4)])
def test_an_array_is_read_whatever_the_size_of_its_heads(written, first, size):
    """Small files have small heads; Flax writes the ones that fit."""
    content = b"\x93\x91\x02" + text("float32") + head(0xC4, 1, 8) + np.array([1, 2], "<f4").tobytes()
    path = written(mapped(("w", head(first, size, len(content)) + b"\1" + content)))
    assert read_all(path)["w"].tolist() == [1, 2]


def test_the_name_of_a_dtype_may_be_bytes(written):
    """As msgpack had texts before it had bytes of their own."""
    content = listed(listed(integer(2)), raw(b"float32"), raw(bytes(8)))
    assert reasons(written(mapped(("w", extension(content))))) == (["w"], {})


def test_two_paths_of_one_text_are_one_array_and_one_that_is_reported(written):
    path = written(mapped(("a/b", array()), ("a", mapped(("b", array())))))
    assert reasons(path) == (["a/b"], {"a/b": "another array of the file has this name too"})


def test_500_levels_are_read(written):
    path = written(b"\x91" * 500 + array())
    assert reasons(path) == (["/".join("0" * 500)], {})


def test_chunks_are_joined_whole_and_piece_by_piece(written):
    with open_checkpoint(DATA / "chunks.msgpack") as ckpt:
        whole = ckpt["a/w"]
        blocks = list(ckpt.pieces("a/w", 16))
        assert [block.shape for block in blocks] == [(1, 4)] * 5
        assert np.concatenate(blocks).tobytes() == whole.tobytes()
        assert not np.shares_memory(ckpt["a/w"], whole)
    path = written(mapped(("w", chunked(chunks=[W[1]]))))
    with open_checkpoint(path) as ckpt:
        assert ckpt["w"].tolist() == [1, 2]
        assert np.shares_memory(ckpt["w"], ckpt["w"])  # one chunk is mapped


def test_chunks_may_have_any_sizes(written):
    parts = [array((n,), data=np.arange(n, dtype="<f4").tobytes()) for n in (1, 0, 3)]
    assert read_all(written(mapped(("w", chunked((2, 2), parts)))))["w"].tolist() == [[0, 0], [1, 2]]


@pytest.mark.parametrize("file", ["train_state.msgpack", "leaves.msgpack"])
def test_arrays_that_lie_at_odd_places_are_judged(file):
    """NumPy's own types have to be aligned in C; a file does not align them."""
    assert sb.diagnose(DATA / file).arrays > 10


# Budgets.


@pytest.mark.parametrize(
    ("name", "limit", "message"),
    [
        ("MOST_VALUES", 8, "it has more than 8 values; save arrays, not lists of numbers"),
        ("MOST_CHARACTERS", 8, "it has names of more than 8 characters; nest its arrays less"),
    ],
)
def test_the_values_and_the_names_are_counted(written, monkeypatch, name, limit, message):
    content = mapped(W, ("deep/name", array()))
    open_checkpoint(written(content)).close()
    monkeypatch.setattr(_flax, name, limit)
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(written(content))


# Other files.


def test_a_sharded_model_may_be_of_msgpack_files(tmp_path):
    with open_checkpoint(DATA / "sharded_flax") as ckpt:
        assert (ckpt.format, list(ckpt)) == ("flax-sharded", ["h/0/kernel", "h/0/bias", "head/kernel"])
    shutil.copytree(DATA / "sharded_flax", tmp_path, dirs_exist_ok=True)
    index = tmp_path / "flax_model.msgpack.index.json"
    assert find_checkpoints(tmp_path) == [index]
    body = json.loads(index.read_text())
    body["weight_map"]["gone"] = "flax_model-00001-of-00002.msgpack"
    index.write_text(json.dumps(body))
    assert list(reasons(index)[1]) == ["gone"]


# Against the library that writes them.

KINDS = ["bool", "uint8", "int16", "int64", "float16", "float32", "float64", "complex64", "bfloat16", "float8_e4m3fn"]
LEAVES = st.tuples(
    st.sampled_from(KINDS), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), st.binary(min_size=9)
)
TREES = st.dictionaries(
    st.text(st.characters(exclude_characters="/", codec="utf-8"), max_size=5),
    st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8),
    max_size=4,
)


def _made(leaf):
    kind, shape, seed = leaf
    drawn = np.random.default_rng(list(seed)).integers(0, 2, shape)
    return drawn.astype(getattr(ml_dtypes, kind, kind))


def _flat(tree, path=""):
    for key, item in tree.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{path}{key}/")
        else:
            yield path + key, _made(item)


@given(tree=TREES)
def test_what_msgpack_packs_is_read_bit_for_bit(tmp_path_factory, tree):
    msgpack = pytest.importorskip("msgpack")

    def pack(item):
        if isinstance(item, dict):
            return {key: pack(each) for key, each in item.items()}
        made = _made(item)
        return msgpack.ExtType(1, msgpack.packb((made.shape, made.dtype.name, made.tobytes())))

    path = tmp_path_factory.mktemp("flax") / "a"
    path.write_bytes(msgpack.packb({"first": pack(("bool", (1,), b"\0")), "tree": pack(tree), "step": 3}))
    found = read_all(path)
    expected = dict(_flat(tree, "tree/"))
    assert list(found) == ["first", *expected]
    for name, made in expected.items():
        assert (found[name].dtype, found[name].shape) == (made.dtype, made.shape)
        assert found[name].tobytes() == made.tobytes()


# To the end.


def test_the_state_of_an_optimizer_is_not_judged_and_the_parameters_are(tmp_path):
    tied = np.ones((4, 3), "<f4")
    tied[1:3] = [[1, 2, 3], [4, 5, 6]]
    same = array((4, 3), data=tied.tobytes())
    layer = mapped(("Dense_0", mapped(("kernel", same))))
    moments = mapped(("0", mapped(("count", array((), "int32", bytes(4))), ("mu", layer), ("nu", layer))))
    old = mapped(("state", mapped(("param_states", layer))))
    parts = {"params": layer, "opt_state": moments, "optimizer": old}
    (tmp_path / "a.msgpack").write_bytes(mapped(("step", b"\5"), *parts.items()))
    report = sb.diagnose(tmp_path / "a.msgpack")
    assert {finding.where.split(": ")[1] for finding in report.findings} == {"params/Dense_0/kernel, axis 0"}
    assert report.arrays == 5
