"""What the safetensors format leaves open is read: padding, order, empty tensors; faulty files are in `malformed`."""

import json

import numpy as np
import pytest

from symbreak.checkpoints import open_checkpoint
from tests.checkpoints._make import entry, read_all, safetensors

D = bytes(8)


def test_an_empty_header_is_a_checkpoint_without_tensors(tmp_path):
    (tmp_path / "a").write_bytes(safetensors({}))
    with open_checkpoint(tmp_path / "a") as ckpt:
        assert (ckpt.format, len(ckpt), ckpt.skipped) == ("safetensors", 0, ())


def test_spaces_may_pad_the_header(tmp_path):
    (tmp_path / "a").write_bytes(safetensors(json.dumps({"a": entry()}).encode() + b"   ", D))
    assert read_all(tmp_path / "a")["a"].shape == (2,)


def test_tensors_come_by_offset_and_empty_ones_anywhere(tmp_path):
    header = {"z": entry(begin=8, end=16), "none": entry([0, 5], begin=8, end=8), "y": entry()}
    (tmp_path / "a").write_bytes(safetensors(header, np.arange(4, dtype="<f4").tobytes()))
    assert {name: array.tolist() for name, array in read_all(tmp_path / "a").items()} == {
        "y": [0, 1],
        "none": [],
        "z": [2, 3],
    }


@pytest.mark.parametrize(("code", "bits"), [("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6)])
def test_sub_byte_types_are_skipped_with_the_reason(tmp_path, code, bits):
    header = {"a": entry([4], end=bits // 2, dtype=code), "b": entry([1], begin=bits // 2, end=bits // 2 + 4)}
    (tmp_path / "a").write_bytes(safetensors(header, bytes(bits // 2 + 4)))
    with open_checkpoint(tmp_path / "a") as ckpt:
        assert list(ckpt) == ["b"]
        assert [(item.name, item.reason.split(",")[0]) for item in ckpt.skipped] == [
            ("a", f"{code} packs its values below one byte")
        ]


def test_a_name_keeps_its_characters_as_data(tmp_path):
    name = "\x1b[31m[bold]../\u202e"
    (tmp_path / "a").write_bytes(safetensors({name: entry()}, D))
    with open_checkpoint(tmp_path / "a") as ckpt:
        assert list(ckpt) == [name]
