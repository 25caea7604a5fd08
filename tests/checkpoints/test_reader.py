"""What the interface promises for every reader, also for one that a newcomer writes."""

import zlib
from array import array

import numpy as np
import pytest

from symbreak.checkpoints import Checkpoint, Skipped, TensorInfo, _inflate, _json, _protobuf
from symbreak.checkpoints._source import Source
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA

INFO = TensorInfo("w", (2,), np.dtype("f4"))


class Newcomer(Checkpoint):
    """A reader of files that hold one tensor of ones."""

    def __init__(self, source, read):
        self.read = read
        super().__init__(source, "newcomer", {"w": INFO}, (Skipped("odd", "it is odd"),))

    def _read(self, info):
        return self.read(info)


@pytest.fixture
def source():
    with Source(DATA / "plain.npy") as opened:
        yield opened


def test_an_array_is_read_only_even_if_its_reader_forgot(source):
    array = Newcomer(source, lambda info: np.ones(info.shape, info.dtype))["w"]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2


def test_a_tensor_that_does_not_fit_in_memory_is_a_bad_checkpoint(source):
    def read(info):
        raise MemoryError

    with pytest.raises(BadCheckpoint, match=r"'w' does not fit in memory: shape \(2,\), float32; use"):
        Newcomer(source, read)["w"]


def test_names_lengths_and_membership_are_those_of_the_tensors(source):
    ckpt = Newcomer(source, None)
    assert (list(ckpt), len(ckpt), "w" in ckpt, "odd" in ckpt) == (["w"], 1, True, False)
    assert repr(ckpt) == f"<newcomer checkpoint '{DATA}/plain.npy': 1 tensors, 1 skipped>"


def test_what_a_file_says_can_t_be_changed(source):
    ckpt = Newcomer(source, None)
    with pytest.raises(TypeError):
        ckpt.tensors["x"] = INFO
    with pytest.raises(AttributeError):
        INFO.name = "x"


def test_closing_twice_is_fine(source):
    ckpt = Newcomer(source, None)
    ckpt.close()
    ckpt.close()
    with pytest.raises(ValueError, match="is closed"):
        ckpt["w"]


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, -1), (176, 1), (0, 177), (2**70, 2**70)])
def test_no_byte_outside_the_file_is_handed_out(source, start, length):
    with pytest.raises(BadCheckpoint, match=r"the thing should take .* bytes at offset .*, but the file has 176"):
        source.take(start, length, "the thing")
    with pytest.raises(BadCheckpoint, match="truncated or not what it claims"):
        source.view(start, length, "the thing")


# What several readers share.


@pytest.fixture
def opened(tmp_path):
    """Open a file of these bytes."""
    made = []

    def open_(content):
        (tmp_path / "a").write_bytes(content)
        made.append(Source(tmp_path / "a"))
        return made[-1]

    yield open_
    for source in made:
        source.close()


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_a_stream_unpacks_to_the_same_in_pieces_of_any_size(opened, monkeypatch, piece):
    """From a single byte nothing may come out yet."""
    content = bytes(range(256)) * 4
    packed = zlib.compress(content)
    source = opened(b"before" + packed)
    monkeypatch.setattr(_inflate, "IN", piece)
    monkeypatch.setattr(_inflate, "OUT", 100)
    stream = _inflate.Stream(6, len(packed), "it")
    assert b"".join(_inflate.unpack(source, stream)) == content
    with pytest.raises(BadCheckpoint, match="it is cut off within its zlib stream"):
        list(_inflate.unpack(source, _inflate.Stream(6, len(packed) - 1, "it")))


@pytest.mark.parametrize("piece", [11, 12, 24, 25])
def test_numbers_of_a_field_are_the_same_in_pieces_of_any_size(opened, monkeypatch, piece):
    """Also where the field ends with a piece, and nothing is left over."""
    values = [n % 128 if n % 2 else 128 + n for n in range(16)]
    raw = b"".join(bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7]) for n in values)
    assert len(raw) == 24
    monkeypatch.setattr(_protobuf, "PIECE", piece)
    found = list(_protobuf.stream_varints(opened(raw), array("Q", [0, 24]), "it"))
    assert np.concatenate(found).tolist() == values


def test_more_json_than_any_reader_needs_is_not_parsed(source, monkeypatch):
    monkeypatch.setattr(_json, "LARGEST", 8)
    assert _json.parse_object(source, b'{"a": 1}', "it") == {"a": 1}
    with pytest.raises(BadCheckpoint, match="it has 9 bytes of JSON; at most 8 are read"):
        _json.parse_object(source, b'{"a": 10}', "it")
