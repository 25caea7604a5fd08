"""What the interface promises for every reader, also for one that a newcomer writes."""

import numpy as np
import pytest

from symbreak.checkpoints import Checkpoint, Skipped, TensorInfo
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
