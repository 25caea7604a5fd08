"""An npy header is read in every way that NumPy writes it; what holds no numbers is refused by name."""

import ml_dtypes
import numpy as np
import pytest

from symbreak.checkpoints import open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import npy, npy_of, read_all

SOUND = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n"
DATA = bytes(12)


@pytest.mark.parametrize(
    "header",
    [
        SOUND,
        "{'shape': (3,), 'fortran_order': False, 'descr': '<f4'}",
        '{"descr": "<f4", "fortran_order": False, "shape": (3,)}   \n',
        "{'descr':'<f4','fortran_order':False,'shape':(3L,),}",  # Python 2
    ],
)
def test_a_header_is_read_in_any_order_and_spacing(tmp_path, header):
    (tmp_path / "a.npy").write_bytes(npy(header, np.arange(3, dtype="<f4").tobytes()))
    assert read_all(tmp_path / "a.npy")["array"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("header", [SOUND[1:], SOUND.replace(":", ",", 1), SOUND.replace(":", "", 1)])
def test_a_header_without_its_brace_or_a_colon_is_malformed(tmp_path, header):
    (tmp_path / "a.npy").write_bytes(npy(header, DATA))
    with pytest.raises(BadCheckpoint, match="malformed npy header at character"):
        open_checkpoint(tmp_path / "a.npy")


def test_a_scalar_and_an_empty_array_have_their_shapes(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy(SOUND.replace("3,", ""), bytes(4)))
    (tmp_path / "b.npy").write_bytes(npy_of(0))
    assert read_all(tmp_path / "a.npy")["array"].shape == ()
    assert read_all(tmp_path / "b.npy")["array"].shape == (0,)


def test_objects_of_numpy_itself_are_refused_unread(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object))
    with pytest.raises(BadCheckpoint, match="Python objects"):
        open_checkpoint(tmp_path / "a.npy")


def test_a_bfloat16_array_that_numpy_saved_is_named_as_such(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3, ml_dtypes.bfloat16))
    with pytest.raises(BadCheckpoint, match=r"descr '<V2'\); save numbers, or safetensors for bfloat16"):
        open_checkpoint(tmp_path / "a.npy")
