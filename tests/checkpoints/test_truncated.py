"""Files that are cut short: whatever the format, the remedy is to fetch or save the file again."""

import pytest

from symbreak.checkpoints import open_checkpoint
from symbreak.checkpoints._source import TRUNCATED
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import DATA, read_all

FILES = [
    "big_endian.npy", "stored.npz", "deflated.npz", "numpy.safetensors", "plain.gguf", "bare.pt", "legacy.pt",
    "model.onnx", "train_state.msgpack", "keras_3_15.weights.h5", "keras_3_15.keras", "version_4.mat",
    "version_5.mat", "version_73.mat",
]  # fmt: skip
PADDING = {"plain.gguf": 32}  # bytes that may be missing at the end


@pytest.mark.parametrize("kept", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_the_remedy_is_to_fetch_it_again(tmp_path, name, kept):
    (path,) = DATA.rglob(name)
    whole = path.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(kept * (len(whole) - PADDING.get(name, 0))) - 1])
    with pytest.raises(BadCheckpoint) as caught:
        read_all(tmp_path / "cut")
    assert caught.value.fix == TRUNCATED


def test_what_comes_after_a_zip_is_no_sign_of_a_cut(tmp_path):
    (path,) = DATA.rglob("stored.npz")
    (tmp_path / "more").write_bytes(path.read_bytes() + b"more of it, and more and more")
    with pytest.raises(BadCheckpoint, match="something comes after the zip's directory; pack it again"):
        open_checkpoint(tmp_path / "more")
