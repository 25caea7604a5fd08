"""safetensors files: headers that break a rule of the format, also where its own library lets it pass."""

import json

from tests.checkpoints._make import entry, safetensors


def raw(**fields):
    """A header with fields given as JSON text."""
    facts = {"dtype": '"F32"', "shape": "[2]", "data_offsets": "[0,8]"} | fields
    return ('{"a":{' + ",".join(f'"{key}":{value}' for key, value in facts.items()) + "}}").encode()


D = bytes(8)
TWO = json.dumps(entry())
FAULTS = {
    "a header beyond the file": (
        safetensors({"a": entry()}, D, length=10**6),
        "should take 1,000,000 bytes at offset 8",
    ),
    "a header of 2^63 bytes": (safetensors({"a": entry()}, D, length=2**63), "claims 9,223,372,036,854,775,808 bytes"),
    "a header of 100 MB and one": (safetensors({"a": entry()}, D, length=10**8 + 1), "at most 100,000,000"),
    "no closing brace": (safetensors(b'{"a":1', D), "not a JSON object padded with spaces"),
    "padding other than spaces": (safetensors(b"{}\n"), "not a JSON object padded with spaces"),
    "not UTF-8": (safetensors(b'{"\xff":1}'), "not UTF-8 at byte 2"),
    "a name twice": (safetensors(f'{{"a":{TWO},"a":{TWO}}}'.encode(), D), "has the key 'a' twice"),
    "a field twice": (safetensors(b'{"a":{"dtype":"F32","dtype":"F32"}}', D), "has the key 'dtype' twice"),
    "NaN": (safetensors(raw(shape="[NaN]"), D), "holds NaN"),
    "Infinity": (safetensors(raw(shape="[-Infinity]"), D), "holds -Infinity"),
    "100,000 levels": (safetensors(b'{"a":' + b"[" * 100_000 + b"}"), "not JSON|nested"),
    "100,000 closed levels": (safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
    "5,000 digits": (safetensors(raw(shape="[" + "9" * 5000 + "]"), D), "not usable JSON"),
    "a lone surrogate": (safetensors(raw(dtype='"F32"').replace(b'"a"', b'"\\ud800"'), D), "lone surrogate"),
    "an entry that is a list": (safetensors({"a": []}), "'a' is an array, not an object"),
    "an unknown field": (safetensors({"a": entry(more=1)}, D), "fields that don't match .*'more'"),
    "a missing field": (safetensors({"a": {"dtype": "F32", "shape": [2]}}, D), "'data_offsets'"),
    "an unknown dtype": (safetensors({"a": entry(dtype="F7")}, D), "has the dtype 'F7'; known are BOOL"),
    "a dtype that is a number": (safetensors({"a": entry(dtype=7)}, D), "has the dtype '7'"),
    "a shape that is a number": (safetensors(raw(shape="2"), D), "has the shape '2'"),
    "a negative length": (safetensors({"a": entry([-2])}, D), r"has the shape '\[-2\]'"),
    "a fractional length": (safetensors({"a": entry([2.0])}, D), r"has the shape '\[2.0\]'"),
    "a length that is true": (safetensors(raw(shape="[true, 2]"), D), r"has the shape '\[True, 2\]'"),
    "offsets that are true": (safetensors(raw(data_offsets="[false,8]"), D), "has the data_offsets"),
    "three offsets": (safetensors(raw(data_offsets="[0,8,8]"), D), "has the data_offsets"),
    "offsets that go back": (safetensors({"a": entry(begin=8, end=0)}, D), "has the data_offsets"),
    "an overlap": (
        safetensors({"a": entry(), "b": entry(begin=4, end=12)}, bytes(12)),
        "'b' overlaps what comes before",
    ),
    "one run for two": (safetensors({"a": entry(), "b": entry()}, D), "overlaps"),
    "a hole": (safetensors({"a": entry(), "b": entry(begin=9, end=17)}, bytes(17)), "'b' leaves a hole before it"),
    "a hole at the start": (safetensors({"a": entry(begin=1, end=9)}, bytes(9)), "leaves a hole before it"),
    "trailing bytes": (safetensors({"a": entry()}, D + b"x"), "take 8 bytes and the file has 9 for them"),
    "missing bytes": (safetensors({"a": entry()}, D[1:]), "take 8 bytes and the file has 7 for them"),
    "trailing bytes after nothing": (safetensors({}, b"x"), "take 0 bytes and the file has 1"),
    "a span that is too short": (safetensors({"a": entry([3])}, D), "needs 12 bytes for its shape.* give it 8"),
    "a product that wraps": (safetensors({"a": entry([2**32, 2**32 + 1])}, D), "more bytes than an index can count"),
    "a product that wraps to 0": (
        safetensors({"a": entry([2**32, 2**32], end=0)}),
        "more bytes than an index can count",
    ),
    "a vast axis of none": (safetensors({"a": entry([0, 2**62, 4], end=0)}), "more bytes than an index can count"),
    "65 axes": (safetensors({"a": entry([1] * 65, end=4)}, bytes(4)), "has 65 axes"),
    "a sub-byte span": (safetensors({"a": entry([3], dtype="F4")}, D), "needs 12 / 8 bytes"),
    "notes that are numbers": (safetensors({"__metadata__": {"a": 1}}), "__metadata__ is not an object of strings"),
    "notes that are a list": (safetensors({"__metadata__": []}), "__metadata__ is not an object of strings"),
    "truth that is neither": (safetensors({"a": entry([8], dtype="BOOL")}, b"\7" + bytes(7)), "neither 0 nor 1"),
    "a name of escapes": (
        safetensors({"\x1b[31m\u202e[bold]": entry([3])}, D),
        r"'\\x1b\[31m\\u202e\[bold\]' needs 12 bytes",
    ),
}


def files():
    """Yield (fault, content, message)."""
    for fault, (content, message) in FAULTS.items():
        yield fault, content, message
