"""ONNX models: what they hold is read where it lies, named by its path, or reported; their graphs are kept as data."""

import os
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import symbreak as sb
from symbreak.checkpoints import _onnx_files, _protobuf, find_checkpoints, open_checkpoint
from symbreak.checkpoints._onnx import Onnx
from symbreak.checkpoints._source import Source
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, read_all
from tests.checkpoints._make_onnx import (
    BOOL,
    BYTES,
    DOUBLE,
    FLOAT,
    INT4,
    INT8,
    INT64,
    attribute,
    external,
    field,
    initializer,
    model,
    node,
    packed,
    tag,
    tensor,
    varint,
)

W = initializer(raw=np.array([1, 2], "<f4").tobytes())


@pytest.fixture
def written(tmp_path):
    """Write a model, and files beside it."""

    def write(content, **beside):
        for name, data in beside.items():
            (tmp_path / f"{name}.bin").write_bytes(data)
        (tmp_path / "model.onnx").write_bytes(content)
        return tmp_path / "model.onnx"

    return write


def reasons(path):
    """Read all of a file; give the names that are read, and the reasons for those that are not."""
    with open_checkpoint(path) as ckpt:
        for name in ckpt:
            assert ckpt[name].shape == ckpt.tensors[name].shape
        return list(ckpt), {item.name: item.reason for item in ckpt.skipped}


# What is a model.


@pytest.mark.parametrize(
    "content",
    [
        model(W),
        model(W)[: len(model(W)) // 2],  # the error of a file that is cut short says so
        field(7, W) + field(1, 10) + field(8, field(2, 1)),
        field(1, 2) + field(7, b""),
        field(1, 10) + field(2, "pytorch") + field(20, b"") + field(7, W) + field(8, b""),
    ],
)
def test_a_model_is_known_by_its_content(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b.onnx").write_bytes(b"hello")
    assert find_checkpoints(tmp_path) == [tmp_path / "a", tmp_path / "b.onnx"]


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\x08\x12\x07pytorch",
        b"\x0a\x07\x0a\x01x\x12\x02OK",  # a GraphDef of TensorFlow
        b":\x04:D:D hello",
        b"\x08\x07:\x05hello",
        field(1, 10) + field(2, 5) + field(7, W),
        field(1, 0) + field(7, W),
        field(1, -1) + field(7, W),
        field(1, 10) * 2000 + field(7, W),
        field(1, 10) + field(7, field(3, 1)),
        tag(1, BYTES) + b"\1\1" + field(7, W),
    ],
)
def test_what_merely_begins_like_a_model_is_none(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert find_checkpoints(tmp_path) == []
    with pytest.raises(BadCheckpoint, match="is no checkpoint that is known"):
        open_checkpoint(tmp_path / "a")


def test_a_reader_that_is_given_a_model_without_a_graph_says_so(written):
    with Source(written(field(1, 2))) as source, pytest.raises(BadCheckpoint, match="the model has no graph; save"):
        Onnx(source)


# Values.


@pytest.mark.parametrize(
    ("kind", "more", "values"),
    [
        (FLOAT, field(4, np.array([1, -2], "<f4").tobytes()), np.array([1, -2], "f4")),
        (
            FLOAT,
            tag(4, 5) + np.array(1, "<f4").tobytes() + tag(4, 5) + np.array(-2, "<f4").tobytes(),
            np.float32([1, -2]),
        ),
        (
            DOUBLE,
            tag(10, 1) + np.array(1, "<f8").tobytes() + field(10, np.array(2, "<f8").tobytes()),
            np.array([1.0, 2]),
        ),
        (INT64, packed(7, [-(2**63), 2**63 - 1]), np.array([-(2**63), 2**63 - 1])),
        (INT64, field(7, 5) + field(7, -1), np.array([5, -1])),
        (INT64, packed(7, [300]) + field(7, b"") + field(7, -1), np.array([300, -1])),
        (INT8, packed(5, [-128, 127]), np.array([-128, 127], "i1")),
        (BOOL, packed(5, [1, 0]), np.array([True, False])),
        (INT4, packed(5, [0xF1]), np.array([1, -1], ml_dtypes.int4)),
        (INT4, field(9, b"\x8f"), np.array([-1, -8], ml_dtypes.int4)),
        (16, packed(5, [0x3F80, 0xBF80]), np.array([1, -1], ml_dtypes.bfloat16)),
    ],
)
def test_values_are_the_same_in_one_piece_in_several_and_one_by_one(written, kind, more, values):
    path = written(model(initializer(kind=kind, raw=None, more=more)))
    with open_checkpoint(path) as ckpt:
        for read in (ckpt["W"], np.concatenate(list(ckpt.pieces("W", 1)))):
            assert read.dtype == values.dtype
            assert read.tobytes() == values.tobytes()


def test_integers_are_decoded_across_the_ends_of_pieces(written, monkeypatch):
    """Numbers of one to ten bytes, in pieces of eleven."""
    monkeypatch.setattr(_protobuf, "PIECE", 11)
    values = [(-1) ** i * (1 << i) for i in range(63)] * 3
    path = written(model(initializer(dims=(63 * 3,), kind=INT64, raw=None, more=packed(7, values))))
    assert read_all(path)["W"].tolist() == values
    broken = packed(7, [1, 2]) + field(7, b"\x80" * 30 + b"\1")
    with pytest.raises(BadCheckpoint, match="'W' has a number of more than 64 bits"):
        read_all(written(model(initializer(dims=(9,), kind=INT64, raw=None, more=broken))))


def test_an_empty_tensor_and_one_without_axes_are_read(written):
    empty, scalar = initializer("none", (0, 3), raw=None), initializer("one", (), raw=bytes(4))
    with open_checkpoint(written(model(empty, scalar, initializer("raw", (0,), raw=b"")))) as ckpt:
        assert {name: ckpt[name].shape for name in ckpt} == {"none": (0, 3), "one": (), "raw": (0,)}


def test_fields_that_are_not_known_are_passed_over(written):
    new = field(1000, "new") + field(1001, 5) + field(1002, 0.5) + tag(1003, 1) + bytes(8)
    path = written(model(field(5, tensor(more=new)), new, more=new))
    assert reasons(path) == (["W"], {})


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (tensor(kind=0), "its element type is not defined"),
        (tensor(kind=8, raw=None, more=field(6, "a") * 2), "its elements are texts, not numbers"),
        (tensor(kind=27), "float6_e2m3 packs its values below one byte in more ways than one"),
        (tensor(kind=28), "float6_e3m2 packs its values below one byte in more ways than one"),
        (tensor(kind=99), "its elements are of type 99, which is not known"),
        (tensor(kind=-1), "its elements are of type -1, which is not known"),
        (tensor(more=field(3, b"")), "it is stored in segments, which no library writes"),
    ],
)
def test_a_tensor_that_can_t_be_read_is_reported_and_the_others_are_read(written, made, reason):
    path = written(model(field(5, made), initializer("V")))
    assert reasons(path) == (["V"], {"W": reason})
    with pytest.raises(BadCheckpoint, match=f"'W' can't be read: {reason}"), open_checkpoint(path) as ckpt:
        ckpt["W"]


@pytest.mark.skipif(os.name != "posix", reason="the file takes no room where files may have holes")
def test_a_model_larger_than_the_memory_that_it_may_take_opens_at_once(tmp_path):
    rows = 3 << 20
    head = tensor(dims=(rows, 256), raw=None) + tag(9, BYTES) + varint(rows * 1024)
    begin = field(1, 10) + field(8, field(2, 21))
    size = len(head) + rows * 1024
    graph = tag(5, BYTES) + varint(size) + head
    content = begin + tag(7, BYTES) + varint(len(graph) + rows * 1024) + graph
    with (tmp_path / "large.onnx").open("wb") as file:  # 3 GiB, of which the file system stores the ends
        file.write(content)
        file.truncate(len(content) + rows * 1024)
        file.seek(-4, os.SEEK_END)
        file.write(np.array(7, "<f4").tobytes())
    tracemalloc.start()
    with open_checkpoint(tmp_path / "large.onnx") as ckpt:
        assert ckpt.tensors["W"].shape == (rows, 256)
        assert ckpt["W"][-1, -2:].tolist() == [0, 7]
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


# Names.


def test_two_paths_of_one_text_are_one_tensor_and_one_that_is_reported(written):
    body = node("If", attribute("b", field(6, W)), name="if")
    path = written(model(initializer("if/b/W"), body))
    assert reasons(path) == (["if/b/W"], {"if/b/W": "another tensor of the file has this name too"})


@pytest.mark.parametrize(("domain", "name"), [("", "y"), ("ai.onnx", "y"), ("test", "Constant_0/value")])
def test_a_constant_is_called_by_its_output_where_it_is_onnx_s_own(written, domain, name):
    made = node("Constant", attribute("value", field(5, tensor(None))), field(7, domain))
    assert reasons(written(model(made))) == ([name], {})


def test_what_is_not_read_of_the_committed_models():
    assert reasons(DATA / "graphs.onnx")[1] == {
        "sparse": "a sparse tensor: save it dense",
        "texts": "its elements are texts, not numbers",
        "undefined": "its element type is not defined",
    }
    for file in ("types.onnx", "torch.onnx", "external_onnx/model.onnx"):
        assert reasons(DATA / file)[1] == {}


def test_sparse_tensors_of_attributes_are_reported(written):
    sparse = field(1, tensor(None))
    odd = node("Odd", attribute("one", field(22, sparse)), attribute("many", field(23, sparse) * 2))
    reason = "a sparse tensor: save it dense"
    path = written(model(odd))
    assert reasons(path) == ([], dict.fromkeys(["Odd_0/one", "Odd_0/many/0", "Odd_0/many/1"], reason))
    with open_checkpoint(path) as ckpt:
        assert ckpt.structure["graph"]["nodes"][0]["attributes"] == {
            "one": {"tensor": "Odd_0/one"},
            "many": {"tensors": ["Odd_0/many/0", "Odd_0/many/1"]},
        }


# The graph.


def test_the_graph_is_kept_with_its_nodes_attributes_bodies_and_functions():
    with open_checkpoint(DATA / "graphs.onnx") as ckpt:
        said, notes = ckpt.structure, ckpt.metadata
    assert notes == {"producer_name": "test", "author": "nobody"}
    assert (said["ir_version"], said["producer_name"], said["opset"]) == (10, "test", {"": 21, "test": 1})
    graph = said["graph"]
    assert (graph["name"], graph["path"], graph["initializers"]) == ("main", "", ["W", "texts", "undefined", "sparse"])
    assert graph["inputs"] == [{"name": "x", "type": "float32", "shape": ["n", 3]}]
    assert graph["outputs"] == [{"name": "s", "type": "float32", "shape": ["n", None]}]
    constant, loop, fill, odd, scale = graph["nodes"]
    assert constant == {
        "op_type": "Constant",
        "name": "",
        "inputs": [],
        "outputs": ["k"],
        "attributes": {"value": {"tensor": "k"}},
    }
    assert (loop["name"], loop["inputs"], loop["outputs"]) == ("loop", ["", "flag"], ["y"])
    body = loop["attributes"]["body"]["graph"]
    assert (body["path"], body["initializers"]) == ("loop/body/", ["W"])
    gemm = body["nodes"][0]["attributes"]["else_branch"]["graph"]["nodes"][1]
    assert gemm["inputs"] == ["x", "W", "c"]
    assert gemm["attributes"] == {"alpha": 0.5, "transB": 1}
    assert fill["attributes"] == {"value": {"tensor": "ConstantOfShape_2/value"}}
    assert odd["domain"] == scale["domain"] == "test"
    assert odd["attributes"] == {
        "axes": [1, -2],
        "blob": None,
        "mode": "linear",
        "scales": [0.5, 1.5],
        "tables": {"tensors": ["odd/tables/0", "odd/tables/1"]},
        "words": ["a", "b"],
    }
    (function,) = said["functions"]
    assert {key: function[key] for key in ("domain", "name", "inputs", "outputs", "attributes", "path")} == {
        "domain": "test",
        "name": "Scale",
        "inputs": ["x"],
        "outputs": ["s"],
        "attributes": ["rate"],
        "path": "test/Scale/",
    }
    assert (function["opset"], [each["op_type"] for each in function["nodes"]]) == ({"": 21}, ["Constant", "Mul"])
    assert said["training"][0]["initialization"]["initializers"] == ["W"]


def test_every_name_of_a_tensor_in_the_graph_is_that_of_a_tensor_in_the_file():
    for file in ("graphs.onnx", "torch.onnx"):
        with open_checkpoint(DATA / file) as ckpt:
            known = set(ckpt) | {item.name for item in ckpt.skipped}
            assert known == set(_tensors(dict(ckpt.structure)))


def _tensors(said):
    """Yield the names of tensors in a description of a graph."""
    if isinstance(said, list):
        for item in said:
            yield from _tensors(item)
    elif isinstance(said, dict):
        yield from (said["path"] + name for name in said.get("initializers", []))
        yield from [said["tensor"]] if "tensor" in said else said.get("tensors", [])
        for item in said.values():
            yield from _tensors(item)


@pytest.mark.parametrize(
    ("more", "value"),
    [
        (field(8, packed(8, range(4096))[3:]), list(range(4096))),
        (field(8, bytes(50_000)), None),
        (field(7, bytes(4 * 4096)), [0.0] * 4096),
        (field(7, bytes(4 * 4097)), None),
        (field(8, 1) + field(8, -1), [1, -1]),
        (field(4, "x" * 4096), "x" * 4096),
        (field(4, "x" * 4097), None),
        (field(4, b"\xff"), None),
        (field(9, "a") + field(9, b"\xff"), ["a", None]),
        (field(9, "a") * 4096, ["a"] * 4096),
        (field(9, "a") * 4097, None),
        (field(2, -0.5), -0.5),
        (field(3, -5), -5),
        (field(14, b""), None),
        (field(21, "rate"), {"reference": "rate"}),
        (b"", None),
        *((field(20, kind), value) for kind, value in {1: 0.0, 2: 0, 3: "", 6: [], 7: [], 8: [], 13: None}.items()),
        (field(11, field(2, "g")), {"graphs": ["g"]}),
    ],
)
def test_an_attribute_is_kept_where_it_is_short_and_plain(written, more, value):
    with open_checkpoint(written(model(node("A", attribute("a", more))))) as ckpt:
        found = ckpt.structure["graph"]["nodes"][0]["attributes"]["a"]
    if isinstance(found, dict) and "graphs" in found:
        found = {"graphs": [graph["name"] for graph in found["graphs"]]}
    assert found == value


def test_an_input_of_another_kind_or_of_an_unknown_type_has_no_shape(written):
    kinds = [b"", field(2, field(4, b"")), field(2, field(1, field(1, 99))), field(2, field(1, field(1, 1)))]
    inputs = [field(11, field(1, f"x{i}") + kind) for i, kind in enumerate(kinds)]
    with open_checkpoint(written(model(*inputs))) as ckpt:
        found = [(each["type"], each["shape"]) for each in ckpt.structure["graph"]["inputs"]]
    assert found == [(None, None), (None, None), (None, None), ("float32", None)]


# Other files.


def test_a_file_that_is_not_there_costs_only_its_tensors(written):
    path = written(model(W, field(5, external("gone.bin", "V"))))
    assert reasons(path) == (["W"], {"V": "its file 'gone.bin' can't be opened: No such file or directory"})


def test_links_are_not_followed(written, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "w.bin").write_bytes(bytes(8))
    (tmp_path / "link.bin").symlink_to(tmp_path / "elsewhere" / "w.bin")
    (tmp_path / "more").symlink_to(tmp_path / "elsewhere")
    os.link(tmp_path / "elsewhere" / "w.bin", tmp_path / "hard.bin")
    places = {"A": "link.bin", "B": "more/w.bin", "C": "hard.bin"}
    path = written(model(W, *(field(5, external(place, name)) for name, place in places.items())))
    assert reasons(path) == (
        ["W"],
        {
            "A": "its file 'link.bin' is or lies behind a symbolic link: put the file itself beside the model",
            "B": "its file 'more/w.bin' is or lies behind a symbolic link: put the file itself beside the model",
            "C": "its file 'hard.bin' has other names too, by hard links: put a copy of it beside the model",
        },
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_not_opened(written, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    path = written(model(field(5, external("pipe", "A")), field(5, external("folder", "B"))))
    assert reasons(path)[1] == {
        "A": "its file 'pipe' is a named pipe",
        "B": "its file 'folder' can't be opened: is a folder, where a file is needed",
    }


def test_a_model_is_read_from_wherever_it_is_opened(written, monkeypatch, tmp_path):
    path = written(model(field(5, external("w.bin", checksum="any"))), w=np.array([1, 2], "<f4").tobytes())
    monkeypatch.chdir(tmp_path)
    assert read_all("model.onnx")["W"].tolist() == read_all(path)["W"].tolist() == [1, 2]


def test_an_offset_without_a_length_takes_what_the_shape_needs(written):
    path = written(model(field(5, external("w.bin", offset=4))), w=np.array([0, 1, 2, 3], "<f4").tobytes())
    assert read_all(path)["W"].tolist() == [1, 2]


def test_a_file_is_opened_once_and_seen_to_change(written, monkeypatch):
    places = [field(5, external("w.bin", f"W{i}", offset=4 * i, dims=(1,))) for i in range(4)]
    path = written(model(*places), w=bytes(16))
    monkeypatch.setattr(_onnx_files, "MOST_FILES", 1)
    with open_checkpoint(path) as ckpt:
        assert [size for _, size, _ in ckpt.state] == [path.stat().st_size, 16]
        assert not ckpt.changed()
        kept = ckpt["W0"]
        path.with_name("w.bin").write_bytes(bytes(17))
        assert ckpt.changed()
    assert kept.tolist() == [0]
    assert [file.data for file in ckpt._files] == [b""]  # closed with the model
    with pytest.raises(BadCheckpoint, match="it names more than 1 files; save its values in one file"):
        open_checkpoint(written(model(*places, field(5, external("v.bin", "V"))), v=bytes(8)))


# Budgets.


@pytest.mark.parametrize(
    ("name", "limit", "message"),
    [
        ("MOST_FIELDS", 14, "it has more than 14 fields; save the weights apart from the graph"),
        ("MOST_CHARACTERS", 3, "it has names of more than 3 characters; shorten them"),
    ],
)
def test_the_fields_and_the_names_are_counted(written, monkeypatch, name, limit, message):
    path = written(model(initializer("name"), initializer("b")))
    open_checkpoint(path).close()
    monkeypatch.setattr(_protobuf, name, limit)
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(path)


def test_as_many_graphs_in_one_another_as_the_library_takes_are_read(written):
    graph = W
    for _ in range(32):
        graph = node("If", attribute("b", field(6, graph)), name="n")
    assert reasons(written(model(graph))) == (["n/b/" * 32 + "W"], {})


# Against the format's own library.


@pytest.mark.parametrize("file", ["types.onnx", "graphs.onnx", "torch.onnx", "external_onnx/model.onnx"])
def test_the_graph_is_that_of_the_format_s_own_library(file):
    onnx = pytest.importorskip("onnx")
    loaded = onnx.load(DATA / file)
    with open_checkpoint(DATA / file) as ckpt:
        said = ckpt.structure
    assert (said["ir_version"], said["opset"]) == (
        loaded.ir_version,
        {each.domain: each.version for each in loaded.opset_import},
    )
    same_graph(onnx, said["graph"], loaded.graph)


def same_graph(onnx, said, graph):
    assert said["name"] == graph.name
    assert [each["name"] for each in said["inputs"]] == [each.name for each in graph.input]
    assert [each["name"] for each in said["outputs"]] == [each.name for each in graph.output]
    assert [each["op_type"] for each in said["nodes"]] == [each.op_type for each in graph.node]
    for found, each in zip(said["nodes"], graph.node, strict=True):
        assert (found["name"], found["inputs"], found["outputs"]) == (each.name, [*each.input], [*each.output])
        assert list(found["attributes"]) == [known.name for known in each.attribute]
        for known in each.attribute:
            value, kept = onnx.helper.get_attribute_value(known), found["attributes"][known.name]
            if known.type == onnx.AttributeProto.GRAPH:
                same_graph(onnx, kept["graph"], value)
            elif known.type in (onnx.AttributeProto.INT, onnx.AttributeProto.FLOAT):
                assert kept == value
            elif known.type == onnx.AttributeProto.INTS:
                assert kept == list(value)
            elif known.type == onnx.AttributeProto.STRING and kept is not None:
                assert kept.encode() == value


KINDS = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32"]
KINDS += ["float64", "complex64", "complex128"]
KINDS += ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4"]


@given(
    kind=st.sampled_from(KINDS),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    seed=st.integers(0, 2**32 - 1),
    raw=st.booleans(),
)
def test_what_the_library_writes_is_read_bit_for_bit(tmp_path_factory, kind, shape, seed, raw):
    onnx = pytest.importorskip("onnx")
    dtype = np.dtype(getattr(ml_dtypes, kind, kind))
    drawn = np.random.default_rng(seed).integers(-8, 8, shape)
    values = (drawn % 2 if kind == "bool" else drawn if dtype.kind != "u" and kind != "uint4" else abs(drawn)).astype(
        dtype
    )
    made = onnx.numpy_helper.from_array(values, "w")
    if not raw:
        plain = values.reshape(-1).astype(
            np.complex128 if dtype.kind == "c" else np.float64 if kind != "bool" else bool
        )
        made = onnx.helper.make_tensor("w", made.data_type, shape, plain.tolist())
    graph = onnx.helper.make_graph([], "g", [], [], [made])
    path = tmp_path_factory.mktemp("onnx") / "a.onnx"
    onnx.save(onnx.helper.make_model(graph), path)
    read = read_all(path)["w"]
    assert (read.dtype, read.shape) == (dtype, shape)
    assert read.tobytes() == onnx.numpy_helper.to_array(made).tobytes() == values.tobytes()


# To the end.


def test_tied_units_of_a_model_are_found(tmp_path, written):
    weight = np.arange(12, dtype="<f4").reshape(4, 3)
    weight[3] = weight[1]
    report = sb.diagnose(written(model(initializer("fc.weight", (4, 3), raw=weight.tobytes()))))
    assert [(finding.code, finding.groups) for finding in report.findings] == [("SB102", ((1, 3),))]
    assert report.findings[0].where.endswith("model.onnx: fc.weight, axis 0")
