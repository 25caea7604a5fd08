"""GGUF: every kind of value and of tensor, both byte orders, and the values of quantised blocks bit for bit."""

import importlib.util
import struct
import subprocess
import sys
import time
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.checkpoints import _gguf, open_checkpoint
from symbreak.checkpoints._ggml import KINDS, dequantised
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, read_all
from tests.checkpoints._make_gguf import (
    BOOL,
    FLOAT16,
    LIST,
    Q4_0,
    Q8_0,
    TEXT,
    UINT8,
    UINT32,
    gguf,
    items,
    pair,
    tensor,
    text,
    u32,
    u64,
)

DECODED = {kind.name: kind for kind in KINDS.values() if kind.arithmetic is not None}
OURS = [name for name, kind in DECODED.items() if not kind.codebook]
ALIGNMENT = "general.alignment"
PLAIN = np.arange(8, dtype="<f4")


def saved(folder, content):
    """Write a file, and return its path."""
    (folder / "a.gguf").write_bytes(content)
    return folder / "a.gguf"


def q8_0(scale, *integers):
    """A block of Q8_0: 32 integers, the last of those given over and over."""
    values = [*integers, *[integers[-1]] * (32 - len(integers))]
    return struct.pack("<e32b", scale, *values)


# What the file says of the model


def test_the_architecture_and_its_keys_are_kept_for_the_wiring_and_short_values_as_notes():
    with open_checkpoint(DATA / "plain.gguf") as ckpt:
        assert ckpt.structure == {
            "architecture": "llama",
            "hyperparameters": {
                "block_count": 2,
                "embedding_length": 8,
                "attention.head_count": [2, 2],
                "attention.head_count_kv": 1,
                "rope.freq_base": 10000.0,
            },
        }
        assert ckpt.metadata == {
            "general.architecture": "llama",
            "general.name": "small",
            "llama.block_count": "2",
            "llama.embedding_length": "8",
            "llama.attention.head_count_kv": "1",
            "llama.rope.freq_base": "10000.0",
            "test.u8": "200",
            "test.i8": "-5",
            "test.u16": "60000",
            "test.i16": "-30000",
            "test.i32": "-2147483648",
            "test.u64": "9223372036854775808",
            "test.i64": "-4611686018427387904",
            "test.f32": "0.5",
            "test.f64": "1e+300",
            "test.bool": "True",
        }


def test_both_byte_orders_say_the_same():
    with open_checkpoint(DATA / "plain.gguf") as little, open_checkpoint(DATA / "big_endian.gguf") as big:
        assert (big.metadata, big.structure) == (little.metadata, little.structure)
        for name in little:
            np.testing.assert_array_equal(big[name], little[name])
            assert big[name].dtype.newbyteorder("=") == little[name].dtype
        assert big["token_embd.weight"].dtype == np.dtype(">f4")


def test_version_2_is_read_like_version_3(tmp_path):
    content = bytearray((DATA / "plain.gguf").read_bytes())
    content[4] = 2
    found, expected = read_all(saved(tmp_path, content)), read_all(DATA / "plain.gguf")
    assert {name: array.tobytes() for name, array in found.items()} == {n: a.tobytes() for n, a in expected.items()}


@pytest.mark.parametrize(("length", "kept"), [(1024, True), (1025, False)])
def test_a_list_is_kept_when_it_is_no_longer_than_a_model_has_layers(tmp_path, length, kept):
    values = [u32(i) for i in range(length)]
    pairs = [pair("general.architecture", TEXT, text("m")), pair("m.each", LIST, items(UINT32, *values))]
    with open_checkpoint(saved(tmp_path, gguf(pairs))) as ckpt:
        expected = {"each": list(range(length))} if kept else {}
        assert ckpt.structure == {"architecture": "m", "hyperparameters": expected}


def test_lists_of_truths_and_texts_are_kept_and_lists_of_lists_are_passed(tmp_path):
    pairs = [
        pair("general.architecture", TEXT, text("m")),
        pair("m.truths", LIST, items(BOOL, b"\1", b"\0")),
        pair("m.texts", LIST, items(TEXT, text("a"), text(b"\xff"))),
        pair("m.long", LIST, items(TEXT, text("a"), text("b" * 1001))),
        pair("m.lists", LIST, items(LIST, items(UINT8, b"\1"), items(TEXT, text("a")), items(LIST))),
        pair("m.none", LIST, items(UINT32)),
        pair("m.last", BOOL, b"\1"),
        pair("mm.other", BOOL, b"\1"),
    ]
    with open_checkpoint(saved(tmp_path, gguf(pairs))) as ckpt:
        own = {"truths": [True, False], "texts": ["a", "\ufffd"], "none": [], "last": True}
        assert ckpt.structure == {"architecture": "m", "hyperparameters": own}


@pytest.mark.parametrize("pairs", [[], [pair("general.architecture", UINT8, b"\1")]])
def test_without_an_architecture_nothing_is_said_of_the_wiring(tmp_path, pairs):
    with open_checkpoint(saved(tmp_path, gguf(pairs))) as ckpt:
        assert ckpt.structure == {}


def test_a_vocabulary_is_walked_and_not_built(tmp_path):
    """Of 300,000 texts, none is made: the library of the format makes an array of each."""
    words = b"".join(text(f"{i:07}") for i in range(300_000))
    path = saved(tmp_path, gguf([pair("tokens", LIST, items(TEXT, words, count=300_000))], [tensor()], PLAIN.tobytes()))
    tracemalloc.start()
    begin = time.process_time()
    assert list(read_all(path)) == ["w"]
    seconds, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 3
    assert peak < 1 << 20


def test_a_header_of_endless_texts_or_bytes_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path, gguf([pair("a", LIST, items(TEXT, *[text("")] * 20))]))
    monkeypatch.setattr(_gguf, "MOST_WALKED", 19)
    with pytest.raises(BadCheckpoint, match="its header lists more than 19 texts; leave the tokenizer out"):
        open_checkpoint(path)
    monkeypatch.setattr(_gguf, "LARGEST", 100)
    with pytest.raises(BadCheckpoint, match="its header has more than 100 bytes; leave the tokenizer out"):
        open_checkpoint(saved(tmp_path, gguf([pair("a", TEXT, text("x" * 99))])))


@pytest.mark.parametrize(
    ("limit", "content", "message"),
    [
        ("MOST_KEYS", gguf([pair("a", UINT8, b"\0"), pair("b", UINT8, b"\0")]), "it has 2 keys; at most 1 are read"),
        ("MOST_TENSORS", gguf([], [tensor("a"), tensor("b")]), "it has 2 tensors; at most 1 are read"),
        ("MOST_WALKED", gguf([pair("a", LIST, items(LIST, items(UINT8)))]), "lists more than 1 texts"),
    ],
)
def test_a_header_of_too_many_things_is_refused(tmp_path, monkeypatch, limit, content, message):
    monkeypatch.setattr(_gguf, limit, 1)
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(saved(tmp_path, content))


def test_lists_are_kept_up_to_a_budget_and_numbers_always(tmp_path, monkeypatch):
    monkeypatch.setattr(_gguf, "MOST_KEPT", 3)
    pairs = [pair("general.architecture", TEXT, text("m"))]
    pairs += [pair(f"m.{key}", LIST, items(UINT8, b"\1", b"\2")) for key in "ab"]
    pairs += [pair("m.texts", LIST, items(TEXT, text("a"))), pair(ALIGNMENT, UINT32, u32(8))]
    with open_checkpoint(saved(tmp_path, gguf(pairs, [tensor()], PLAIN.tobytes(), alignment=8))) as ckpt:
        assert ckpt.structure["hyperparameters"] == {"a": [1, 2]}
        assert (ckpt.metadata[ALIGNMENT], ckpt["w"].tolist()) == ("8", PLAIN.tolist())


def test_a_part_of_a_split_model_is_read_alone(tmp_path):
    """Each part has a header of its own, so that none has to be opened for another."""
    pairs = [pair("split.no", 2, b"\1\0"), pair("split.count", 2, b"\3\0")]
    with open_checkpoint(saved(tmp_path, gguf(pairs, [tensor("blk.7.ffn_up.weight")], PLAIN.tobytes()))) as ckpt:
        assert ckpt.metadata == {"split.no": "1", "split.count": "3"}
        assert list(ckpt) == ["blk.7.ffn_up.weight"]


# Where the tensors lie


def test_axes_are_listed_from_the_innermost(tmp_path):
    path = saved(tmp_path, gguf([], [tensor(dims=(4, 2))], PLAIN.tobytes()))
    assert read_all(path)["w"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_tensors_come_in_the_order_of_the_header_wherever_they_lie(tmp_path):
    data = PLAIN.tobytes() + (PLAIN + 8).tobytes()
    found = read_all(saved(tmp_path, gguf([], [tensor("z", offset=32), tensor("a")], data)))
    assert {name: array[0] for name, array in found.items()} == {"z": 8, "a": 0}
    assert list(found) == ["z", "a"]


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_the_alignment_of_the_file_is_honoured(tmp_path, alignment):
    offset = -(-32 // alignment) * alignment
    made = [tensor("a"), tensor("b", dims=(1,), offset=offset)]
    pairs = [pair(ALIGNMENT, UINT32, u32(alignment))]
    data = PLAIN.tobytes().ljust(offset, b"\0") + PLAIN[5:6].tobytes()
    found = read_all(saved(tmp_path, gguf(pairs, made, data, alignment=alignment)))
    assert (found["a"].tolist(), found["b"].tolist()) == (PLAIN.tolist(), [5])


@pytest.mark.parametrize("missing", range(29))
def test_the_padding_of_the_last_tensor_may_be_there_or_not(tmp_path, missing):
    content = gguf([], [tensor(dims=(1,))], PLAIN[1:2].tobytes() + bytes(28 - missing))
    assert read_all(saved(tmp_path, content))["w"].tolist() == [1]


def test_tensors_without_values_take_no_place(tmp_path):
    made = [tensor("a"), tensor("none", dims=(0, 3), offset=0), tensor("last", dims=(4, 0), kind=FLOAT16, offset=32)]
    found = read_all(saved(tmp_path, gguf([], made, PLAIN.tobytes())))
    assert {name: array.shape for name, array in found.items()} == {"a": (8,), "none": (3, 0), "last": (0, 4)}


def test_a_tensor_without_axes_is_one_value(tmp_path):
    assert read_all(saved(tmp_path, gguf([], [tensor(dims=())], b"\0\0\x80?")))["w"].item() == 1


def test_a_file_without_tensors_is_read(tmp_path):
    with open_checkpoint(saved(tmp_path, gguf())) as ckpt:
        assert (len(ckpt), ckpt.skipped) == (0, ())


def test_plain_values_are_mapped_and_the_others_are_made():
    with open_checkpoint(DATA / "plain.gguf") as ckpt:
        for name in ckpt:
            assert np.shares_memory(ckpt[name], ckpt[name])
    with open_checkpoint(DATA / "quantised.gguf") as ckpt:
        assert not np.shares_memory(ckpt["Q4_0.weight"], ckpt["Q4_0.weight"])


# What is not read


def test_what_is_not_decoded_is_skipped_by_the_name_of_its_type_and_the_rest_is_read():
    with open_checkpoint(DATA / "unread.gguf") as ckpt:
        assert list(ckpt) == ["plain"]
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            (
                name,
                f"it is quantised as {name}, which is not decoded: convert it to F16 or Q8_0 with llama-quantize",
            )
            for name in ("Q8_K", "Q1_0")
        ]


CODEBOOKS = [(number, kind) for number, kind in KINDS.items() if kind.codebook]


@pytest.mark.parametrize(("number", "kind"), CODEBOOKS, ids=[kind.name for _, kind in CODEBOOKS])
def test_codebooks_are_those_of_the_library_and_without_it_the_extra_is_named(tmp_path, monkeypatch, number, kind):
    blocks = np.random.default_rng(number).integers(0, 256, (6, kind.size), np.uint8)
    path = saved(tmp_path, gguf([], [tensor(dims=(512, 3), kind=number)], blocks.tobytes()))
    if importlib.util.find_spec("gguf") is not None:
        library = importlib.import_module("gguf")
        with np.errstate(all="ignore"):
            expected = library.quants.dequantize(blocks, library.GGMLQuantizationType[kind.name]).reshape(3, 512)
        np.testing.assert_array_equal(read_all(path)["w"], expected)
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setitem(sys.modules, "gguf.quants", None)
    with open_checkpoint(path) as ckpt:
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            (
                "w",
                f"it is quantised as {kind.name}, which takes gguf: pip install 'symbreak[files]', or convert it to "
                "F16 or Q8_0 with llama-quantize",
            )
        ]


def test_the_library_of_codebooks_is_loaded_for_them_alone(tmp_path):
    """In a fresh process: a file without them must not wait for it."""
    code = (
        "import sys; from symbreak.checkpoints import open_checkpoint as o; [c[n] for c in [o(sys.argv[1])] for n in c]"
    )
    check = f"{code}; assert 'gguf' not in sys.modules"
    subprocess.run([sys.executable, "-c", check, DATA / "quantised.gguf"], check=True)


def test_blocks_in_a_big_endian_file_are_skipped():
    with open_checkpoint(DATA / "big_endian.gguf") as ckpt:
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            ("packed", "it is quantised as Q8_0 in a big-endian file: convert the little-endian original")
        ]


def test_a_type_that_is_not_known_is_skipped_and_its_neighbours_are_read(tmp_path):
    """How many bytes it takes is not known: it ends where the next one begins, or with the file."""
    made = [tensor("a"), tensor("odd", kind=77, offset=32), tensor("b", offset=128), tensor("last", 4 * (1,), 5, 160)]
    found = gguf([], made, PLAIN.tobytes() + bytes(96) + PLAIN.tobytes() + bytes(1000))
    with open_checkpoint(saved(tmp_path, found)) as ckpt:
        assert ckpt["a"].tolist() == ckpt["b"].tolist() == PLAIN.tolist()
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            (
                name,
                f"its elements are of GGML's type {kind}, which is not known: "
                "convert it to F16 or Q8_0 with llama-quantize",
            )
            for name, kind in (("odd", 77), ("last", 5))
        ]


@pytest.mark.parametrize("magic", [b"tjgg", b"fmgg", b"lmgg"])
def test_files_of_before_gguf_are_refused_by_name(tmp_path, magic):
    with pytest.raises(BadCheckpoint, match="is a GGML file of before GGUF; convert the original model to GGUF again"):
        open_checkpoint(saved(tmp_path, magic + bytes(60)))


# Quantised values


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", DECODED)
@given(seed=st.integers(0, 2**32 - 1))
def test_blocks_give_the_values_of_the_library_bit_for_bit(name, seed):
    library = pytest.importorskip("gguf")
    kind = DECODED[name]
    assert library.GGML_QUANT_SIZES[library.GGMLQuantizationType[name]] == (kind.values, kind.size)
    blocks = np.random.default_rng(seed).integers(0, 256, (64, kind.size), np.uint8)
    with np.errstate(all="ignore"):
        expected = library.quants.dequantize(blocks, library.GGMLQuantizationType[name])
    found = np.frombuffer(b"".join(dequantised(memoryview(blocks.tobytes()), kind)), "<f4").reshape(expected.shape)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_array_equal(found.view("u4")[~np.isnan(found)], expected.view("u4")[~np.isnan(found)])


def test_all_types_of_the_library_are_known_with_their_sizes():
    library = pytest.importorskip("gguf")
    sizes = {int(number): size for number, size in library.GGML_QUANT_SIZES.items()}
    # Q8_1 was changed without a new number; no file holds it, for it is what activations are turned into.
    assert {number: (kind.values, kind.size) for number, kind in KINDS.items()} == {
        number: size for number, size in sizes.items() if number != 9
    }


@pytest.mark.parametrize(
    ("kind", "block", "values"),
    [
        (2, struct.pack("<e16B", 0.5, *[0x1F] * 16), [3.5] * 16 + [-3.5] * 16),
        (3, struct.pack("<2e16B", 0.5, -1, *[0x1F] * 16), [6.5] * 16 + [-0.5] * 16),
        (6, struct.pack("<eI16B", 0.5, 1, *[0x10] * 16), [0.0] + [-8.0] * 15 + [-7.5] * 16),
        (7, struct.pack("<2eI16B", 0.5, 1, 1 << 31, *[0x10] * 16), [1.0] * 16 + [1.5] * 15 + [9.5]),
        (8, q8_0(0.25, -128, 127), [-32.0] + [31.75] * 31),
        (39, bytes([128, *[0x7F] * 16]), [-12.0] * 16 + [12.0] * 16),
        (20, struct.pack("<e16B", 2, *[0xF0] * 16), [-254.0] * 16 + [226.0] * 16),
    ],
    ids=lambda value: KINDS[value].name if isinstance(value, int) else "",
)
def test_blocks_worked_out_by_hand(tmp_path, kind, block, values):
    path = saved(tmp_path, gguf([], [tensor(dims=(32,), kind=kind)], block))
    assert read_all(path)["w"].tolist() == values


@pytest.mark.parametrize("name", OURS)
def test_pieces_of_quantised_values_are_the_whole(name, monkeypatch):
    monkeypatch.setattr("symbreak.checkpoints._ggml.PIECE", 4 * 256)
    with open_checkpoint(DATA / "quantised.gguf") as ckpt:
        blocks = list(ckpt.pieces(f"{name}.weight", size=1))
        assert [len(block) for block in blocks] == [1] * len(blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), ckpt[f"{name}.weight"])


def test_pieces_of_turned_values_are_the_whole(monkeypatch):
    monkeypatch.setattr("symbreak.checkpoints._gguf.PIECE", 4)
    with open_checkpoint(DATA / "big_endian.gguf") as ckpt:
        blocks = list(ckpt.pieces("output.weight", size=1))
        np.testing.assert_array_equal(np.concatenate(blocks), ckpt["output.weight"])
        assert (len(blocks), ckpt["output.weight"].dtype) == (3, np.dtype(ml_dtypes.bfloat16))


def test_many_blocks_come_in_pieces_of_little_memory(tmp_path):
    """64 MiB of values from 17 MiB of blocks, one MiB at a time."""
    rows, block = 1 << 14, q8_0(0.5, 1, 2, 3)
    path = saved(tmp_path, gguf([], [tensor(dims=(1024, rows), kind=Q8_0)], block * (32 * rows)))
    with open_checkpoint(path) as ckpt:
        tracemalloc.start()
        total = sum(float(piece.sum()) for piece in ckpt.pieces("w", size=1 << 20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert total == rows * 32 * (0.5 + 1 + 1.5 * 30)
    assert peak < 16 << 20


def test_equal_blocks_are_equal_units_and_so_are_blocks_of_equal_values(tmp_path):
    """What is compared are the values that a model computes with, such as half the scale times twice the integers."""
    rng = np.random.default_rng(0)
    rows = [q8_0(0.5, *rng.integers(-60, 60, 32)) for _ in range(40)]
    rows[30] = rows[3]
    rows[31] = struct.pack("<e32b", 0.25, *(2 * np.frombuffer(rows[7][2:], "i1")))
    path = saved(tmp_path, gguf([], [tensor("fc.weight", dims=(32, 40), kind=Q8_0)], b"".join(rows)))
    report = sb.diagnose(path)
    (finding,) = [finding for finding in report.findings if finding.code == "SB102"]
    assert sorted(map(tuple, finding.groups)) == [(3, 30), (7, 31)]


@pytest.mark.parametrize("scale", [float("inf"), float("nan")])
def test_a_scale_that_is_not_finite_is_found(tmp_path, scale):
    path = saved(tmp_path, gguf([], [tensor(dims=(32,), kind=Q8_0)], q8_0(scale, 0, 1)))
    assert not np.isfinite(read_all(path)["w"]).any()
    assert "SB108" in {str(finding.code) for finding in sb.diagnose(path).findings}


@pytest.mark.parametrize("shape", [(32,), (32, 3), (64, 2, 3), (32, 2, 1, 3)])
def test_rows_are_whole_blocks_whatever_the_axes(tmp_path, shape):
    count = int(np.prod(shape)) // 32
    data = b"".join(q8_0(1, i) for i in range(count))
    array = read_all(saved(tmp_path, gguf([], [tensor(dims=shape, kind=Q8_0)], data)))["w"]
    assert array.shape == shape[::-1]
    assert array.reshape(-1, 32).tolist() == [[i] * 32 for i in range(count)]


def test_what_the_library_writes_comes_back(tmp_path):
    """A name of any letters, and values in every plain type."""
    library = pytest.importorskip("gguf")
    made = library.GGUFWriter(tmp_path / "a.gguf", "größe\x1b")
    arrays = {f"{t}.重み": np.arange(12, dtype=t).reshape(3, 4) for t in ("f2", "f4", "f8", "i1", "i2", "i4", "i8")}
    for name, array in arrays.items():
        made.add_tensor(name, array)
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    with open_checkpoint(tmp_path / "a.gguf") as ckpt:
        assert ckpt.structure["architecture"] == "größe\x1b"
        assert {name: (ckpt[name].dtype, ckpt[name].tolist()) for name in ckpt} == {
            name: (array.dtype, array.tolist()) for name, array in arrays.items()
        }


def test_an_offset_is_eight_bytes_and_the_count_of_axes_four():
    """The layout as it is written down: what is said of a tensor, byte by byte."""
    assert tensor("w", (2, 3), Q4_0, 64) == u64(1) + b"w" + u32(2) + u64(2) + u64(3) + u32(2) + u64(64)
