"""ONNX models: messages that break the wire format, tensors that don't fit their values, references to other files."""

from collections.abc import Iterator

from tests.checkpoints._make_onnx import (
    BOOL,
    BYTES,
    FIXED32,
    INT4,
    INT8,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    VARINT,
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

W = initializer()


def nested(levels):
    """A graph in a node of a graph, and so on."""
    graph = W
    for _ in range(levels):
        graph = node("If", attribute("then_branch", field(6, graph)))
    return graph


def listed(number, values, dims=(2,), kind=INT32):
    """A tensor whose values are a list of integers."""
    return initializer(dims=dims, kind=kind, raw=None, more=packed(number, values))


# The wire format, in a graph after a sound tensor.
WIRE = {
    "a group": (tag(99, 3), "the graph has a field of wire type 3; it is damaged"),
    "an end of a group": (tag(99, 4), "a field of wire type 4"),
    "a wire type that is not there": (tag(99, 7), "a field of wire type 7"),
    "field 0": (tag(0, VARINT) + b"\1", "the graph has a field of number 0"),
    "a field of 30 bits": (tag(1 << 29, VARINT) + b"\1", "the graph has a field of number 536870912"),
    "a tag without end": (b"\xff" * 10, "the graph has a number of more than 64 bits"),
    "an integer of 11 bytes": (tag(99, VARINT) + b"\x80" * 10 + b"\0", "a number of more than 64 bits"),
    "an integer of 65 bits": (tag(99, VARINT) + b"\xff" * 9 + b"\2", "a number of more than 64 bits"),
    "half an integer": (tag(99, VARINT) + b"\xff", "the graph ends within a number"),
    "half a number of 32 bits": (tag(99, FIXED32) + b"\0\0", "should take 4 bytes, where 2 are left"),
    "half a number of 64 bits": (tag(99, 1) + b"\0\0", "field 99 of the graph should take 8 bytes, where 2 are left"),
    "a node beyond its graph": (tag(1, BYTES) + b"\x20", "field 1 of the graph should take 32 bytes, where 0 are left"),
    "a length of 2^63": (
        tag(5, BYTES) + varint(1 << 63),
        "should take 9,223,372,036,854,775,808 bytes, where 0 are left",
    ),
    "a graph's name that is a number": (field(2, 7), "in the graph, name has wire type 0 and should be a text"),
    "a node that is a number": (field(1, 7), "in the graph, node has wire type 0 and should be parts"),
    "a name twice": (field(2, "a") * 2, "the graph has two fields name"),
    "a name that is not UTF-8": (field(2, b"\xff"), "the graph has a text that is not UTF-8"),
    "a name of 65,537 bytes": (field(2, b"a" * 65_537), "a name of 65,537 bytes; at most 65,536"),
    "a node's input that is not UTF-8": (field(1, field(1, b"\xff")), "node 0 has a text that is not UTF-8"),
    "34 graphs in one another": (nested(34), "nested more than 100 messages deep"),
    "5,000 graphs in one another": (nested(5000), "nested more than 100 messages deep"),
    "an attribute twice": (
        node("A", attribute("a", field(3, 1)), attribute("a", field(3, 2))),
        "node 0 has the attribute 'a' twice",
    ),
    "an attribute of two values": (
        node("A", attribute("a", field(3, 1) + field(5, tensor()))),
        "attribute 0, 'a', holds two values, i and t",
    ),
    "an attribute that refers to another and holds a tensor": (
        node("A", attribute("a", field(21, "b") + field(5, tensor()))),
        "attribute 0, 'a', holds t and refers to 'b'",
    ),
    "an attribute with a number of another size": (
        node("A", attribute("a", tag(2, 1) + bytes(8))),
        "in the graph, node 0, attribute 0, f has wire type 1 and should be a number of 32 bits",
    ),
    "numbers of an attribute that are cut": (
        node("A", attribute("a", field(7, bytes(5)))),
        "in the graph, node 0, attribute 0, floats ends within a number",
    ),
    "integers of an attribute that are cut": (node("A", attribute("a", field(8, b"\x80"))), "in .*, ints ends within"),
    "an integer of an attribute that is too long": (
        node("A", attribute("a", field(8, b"\x80" * 11 + b"\1"))),
        "attribute 0 has a number of more than 64 bits",
    ),
    "a tensor beyond its attribute": (
        node("A", attribute("a", tag(5, BYTES) + b"\x20")),
        "should take 32 bytes, where 0 are left",
    ),
    "an input whose type is a number": (field(11, field(1, "x") + field(2, 1)), "in the graph, input 0, type has wire"),
    "an axis without end": (
        field(12, field(1, "x") + field(2, field(1, field(2, field(1, tag(1, VARINT)))))),
        "the graph, output 0, shape, axis 0 ends within a number",
    ),
    "two tensors of one name": (W, "two tensors of one graph are called 'W'"),
    "a constant called like a weight": (
        node("Constant", attribute("value", field(5, tensor(None))), outputs=("W",)),
        "two tensors of one graph are called 'W'",
    ),
    "a sparse tensor called like a weight": (field(15, field(1, tensor())), "two tensors of one graph are called 'W'"),
    "two tensors of one name in a body": (
        node("If", attribute("b", field(6, W + W)), name="if"),
        "two tensors of one graph are called 'if/b/W'",
    ),
    "a tensor without a name": (initializer(None), "the graph, initializer 1 has no name"),
    "a name of escapes": (initializer("\x1b[31m\u202e", (3,)), r"'\\x1b\[31m\\u202e' needs 12 bytes"),
}
# The tensor of a graph.
TENSORS = {
    "a negative length": (initializer(dims=(-2,)), "'W' has a negative axis length"),
    "a product that wraps": (initializer(dims=(1 << 32, (1 << 32) + 1)), "more bytes than an index can count"),
    "a product that wraps to 0": (initializer(dims=(1 << 32, 1 << 32), raw=b""), "more bytes than an index can count"),
    "a vast axis of none": (initializer(dims=(0, 1 << 62, 4), raw=b""), "more bytes than an index can count"),
    "65 axes": (initializer(dims=(1,) * 65, raw=bytes(4)), "'W' has 65 axes; an array has at most 64"),
    "1,000 axes": (initializer(dims=(1,) * 1000), "'W' has 1,000 bytes of axes"),
    "an axis of 65 bits": (
        initializer(dims=(), more=field(1, b"\xff" * 9 + b"\2")),
        "'W' has a number of more than 64 bits",
    ),
    "an axis of 32 bits": (
        initializer(dims=(), more=tag(1, FIXED32) + bytes(4)),
        "in the graph, initializer 0, dims has wire type 5 and should be integers",
    ),
    "raw values too few": (initializer(raw=bytes(7)), "'W' needs 8 bytes for its shape, but its raw_data has 7"),
    "raw values too many": (initializer(raw=bytes(9)), "'W' needs 8 bytes for its shape, but its raw_data has 9"),
    "a claim of gigabytes": (initializer(dims=(1 << 30,)), "'W' needs 4294967296 bytes for its shape"),
    "raw values twice": (initializer(more=field(9, bytes(8))), "the graph, initializer 0 has two fields raw_data"),
    "no values": (initializer(raw=None), "'W' has no values, and needs 8 bytes for its shape"),
    "values in two fields": (
        initializer(more=field(4, bytes(8))),
        "'W' has its values twice, in raw_data and in float",
    ),
    "values in a field of another type": (
        listed(5, [1, 2], kind=1),
        "'W' is float32 and has int32_data; its values should be in raw_data or float_data",
    ),
    "numbers too few": (
        initializer(raw=None, more=field(4, bytes(4))),
        "8 bytes for its shape, but its float_data has 4",
    ),
    "half a number": (initializer(raw=None, more=field(4, bytes(7))), "in .*, float_data ends within a number"),
    "half an integer in a list": (
        initializer(kind=INT64, raw=None, more=field(7, b"\1\x80")),
        "in the graph, initializer 0, int64_data ends within a number",
    ),
    "integers fewer than bytes can hold": (
        listed(7, [1], kind=INT64),
        "'W' needs 2 numbers, which its int64_data of 1 bytes can't hold",
    ),
    "integers more than bytes can hold": (
        listed(7, [1 << 62] * 3, dims=(1,), kind=INT64),
        "'W' needs 1 numbers, which its int64_data of 27 bytes can't hold",
    ),
    "integers too few": (listed(5, [1 << 20]), "'W' needs 2 numbers for its shape, and its int32_data has 1"),
    "integers too many": (listed(5, [1, 2, 3]), "'W' gives more than the 8 bytes that it claims"),
    "an integer too long in a list": (
        initializer(kind=INT64, raw=None, more=field(7, b"\x80" * 10 + b"\1\1")),
        "'W' has a number of more than 64 bits",
    ),
    "256 in a byte": (listed(5, [1, 256], kind=UINT8), "'W' has 256 in its int32_data, which its type does not hold"),
    "-129 in a byte": (listed(5, [1, -129], kind=INT8), "'W' has -129 in its int32_data"),
    "-1 without a sign": (listed(5, [1, -1], kind=UINT16), "'W' has -1 in its int32_data"),
    "2^32 in 32 bits": (listed(11, [1, 1 << 32], kind=UINT32), "'W' has 4294967296 in its uint64_data"),
    "truth of 2": (listed(5, [1, 2], kind=BOOL), "'W' has 2 in its int32_data"),
    "truth that is neither": (initializer(kind=BOOL, raw=b"\1\7"), "'W' holds truth values that are neither 0 nor 1"),
    "half bytes too few": (initializer(dims=(3,), kind=INT4, raw=b"\0"), "'W' needs 2 bytes for its shape"),
    "half bytes too many": (listed(5, [1, 2, 3], (3,), INT4), "'W' needs 2 numbers for its shape, .* int32_data has 3"),
    "half bytes of 9 bits": (listed(5, [1, 256], (3,), INT4), "'W' has 256 in its int32_data"),
    "a place that is not known": (initializer(more=field(14, 2)), "'W' has the data_location 2; known are 0 and 1"),
    "a tensor of a body": (
        node("If", attribute("then_branch", field(6, initializer(raw=b""))), name="if"),
        "'if/then_branch/W' needs 8 bytes for its shape, but its raw_data has 0",
    ),
    "a tensor of an attribute": (
        node("Odd", attribute("table", field(5, tensor(raw=b"")))),
        "'Odd_0/table' needs 8 bytes for its shape, but its raw_data has 0",
    ),
}
LOCATIONS = {
    "no location": None,
    "an empty location": "",
    "an absolute path": "/etc/passwd",
    "a step up": "../w.bin",
    "a step up from below": "more/../../w.bin",
    "a step within": "more/../w.bin",
    "the folder itself": ".",
    "the folder above": "..",
    "an empty part": "more//w.bin",
    "a folder for a name": "more/",
    "a backslash": "..\\w.bin",
    "a drive": "C:w.bin",
    "a URL": "file:///etc/passwd",
    "a zero byte": "w.bin\0.txt",
    "a name of 256 bytes": "x" * 256,
}
BESIDE = {
    "an unknown key": (external("w.bin", mode="w"), "'W' says 'mode' of its file; known are location, offset"),
    "a base path": (external("w.bin", basepath="/etc"), "'W' says 'basepath' of its file"),
    "a key twice": (
        external("w.bin") + field(13, field(1, "location") + field(2, "w.bin")),
        "'W' says the location of its file twice",
    ),
    "a negative offset": (external("w.bin", offset=-1), "'W' has the offset '-1' in its file; it should be a number"),
    "an offset with an underscore": (external("w.bin", offset="1_0"), "has the offset '1_0' in its file"),
    "an offset in other digits": (external("w.bin", offset="\uff11"), "has the offset '\uff11' in its file"),
    "an offset with a space": (external("w.bin", offset=" 1"), "has the offset ' 1' in its file"),
    "an offset of 5,000 digits": (external("w.bin", offset="9" * 5000), "has the offset '999"),
    "a length that is text": (external("w.bin", length="all"), "has the length 'all' in its file"),
    "another length": (external("w.bin", length=12), "'W' needs 8 bytes for its shape, and has 12"),
    "an offset beyond the file": (
        external("w.bin", offset=10**18),
        "'W' should take 8 bytes at offset 1,000,000,000,000,000,000 of 'w.bin', which has 8; that file is truncated",
    ),
    "an end beyond the file": (external("w.bin", offset=1, length=8), "at offset 1 of 'w.bin', which has 8"),
    "a shape beyond the file": (external("w.bin", dims=(1 << 40,)), "should take 4398046511104 bytes at offset 0"),
    "values here and there": (
        external("w.bin") + field(9, bytes(8)),
        "'W' has its values in another file, and raw_data",
    ),
}


def files() -> Iterator[tuple[str, bytes | dict[str, bytes], str]]:
    """Give each fault's name, the files, and the message."""
    for name, (part, message) in WIRE.items():
        yield name, model(W, part), message
    for name, (graph, message) in TENSORS.items():
        yield f"a tensor with {name}", model(graph), message
    for name, location in LOCATIONS.items():
        said = {"model.onnx": model(field(5, external(location))), "w.bin": bytes(8), "more/w.bin": bytes(8)}
        yield f"a file by {name}", said, "'W' is in the file '.*'; a file of values must have a plain name"
    for name, (said, message) in BESIDE.items():
        yield f"a file with {name}", {"model.onnx": model(field(5, said)), "w.bin": bytes(8)}, message
    yield "no graph", field(1, 10) + field(2, "test"), "is no checkpoint that is known"
    yield "no version", field(7, W), "is no checkpoint that is known"
    yield "a version of 2^40", field(1, 1 << 40) + field(7, W), "is no checkpoint that is known"
    yield (
        "an unknown field before the graph",
        field(1, 10) + field(99, 1) + field(7, W),
        "is no checkpoint that is known",
    )
    yield "a graph twice", model(W) + field(7, W), "the model has two fields graph"
    yield "a version twice", model(W, more=field(1, 10)), "the model has two fields ir_version"
    yield "a note twice", model(W, more=field(14, field(1, "a")) * 2), "the model has the note 'a' twice"
    yield "a domain that is a number", model(W, more=field(4, 1)), "in the model, domain has wire type 0"
    yield "a file that is cut short", model(W)[:-20], "should take .* bytes, where .* are left; it is truncated"
    yield "a file that is cut short at its end", model(W)[:-1], "field 8 of the model should take 4 bytes, where 3"
    operators = field(8, field(2, 21))
    yield "operators twice", model(W, more=operators), "the model imports the operators of '' twice"
    yield "no operators", field(1, 10) + field(7, W), "the model has no opset_import; it is truncated"
    yield "something behind it", model(W) + b"\0", "the model has a field of number 0"
