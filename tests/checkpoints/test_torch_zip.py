"""What surrounds the pickle in a PyTorch file: records, byte order, and views that repeat their storage."""

import zlib

import ml_dtypes
import numpy as np
import pytest

from symbreak.checkpoints import open_checkpoint
from symbreak.errors import BadCheckpoint
from tests.checkpoints._make import (
    DATA,
    Zip,
    called,
    deflate,
    dict_of,
    integer,
    integers,
    name,
    pickled,
    read_all,
    storage,
    tensor,
    text,
    torch_zip,
    typed,
)

VALUES = np.arange(4, dtype="f4")


@pytest.mark.parametrize(("order", "code"), [(b"little", "<"), (b"big", ">"), (None, "<")])
def test_the_byte_order_record_is_honoured(tmp_path, order, code):
    program = pickled(dict_of(f=tensor(), h=tensor(over=storage(4, kind="torch.BFloat16Storage", key="1"))))
    halves = VALUES.astype(ml_dtypes.bfloat16).view("u2")
    records = {"0": VALUES.astype(code + "f4").tobytes(), "1": halves.astype(code + "u2").tobytes()}
    (tmp_path / "a.pt").write_bytes(torch_zip(program, records, order=order))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert ckpt["f"].tolist() == ckpt["h"].tolist() == [0, 1, 2, 3]
        assert (ckpt["f"].dtype, ckpt["h"].dtype) == (ckpt.tensors["f"].dtype, np.dtype(ml_dtypes.bfloat16))


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "expected"),
    [
        ((4,), (1,), 0, [0, 1, 2, 3]),
        ((2, 2), (1, 2), 0, [[0, 2], [1, 3]]),
        ((2,), (2,), 1, [1, 3]),
        ((2, 3), (0, 1), 1, [[1, 2, 3], [1, 2, 3]]),
        ((3, 2), (1, 1), 0, [[0, 1], [1, 2], [2, 3]]),
        ((), (), 2, 2),
        ((0, 3), (3, 1), 4, []),
        ((0,), (1,), 2**60, []),
    ],
)
def test_offsets_and_strides_select_elements(tmp_path, shape, strides, offset, expected):
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(tensor(shape, strides, offset=offset)), {"0": VALUES.tobytes()}))
    array = read_all(tmp_path / "a.pt")["tensor"]
    assert (array.shape, array.tolist()) == (shape, expected)


@pytest.mark.parametrize("stride", [2**60, 2**61, 2**63 - 1])
def test_a_stride_that_is_never_taken_may_be_any_number(tmp_path, stride):
    content = torch_zip(pickled(dict_of(w=tensor((1, 2), (stride, 1)))), {"0": np.arange(4, dtype="<f4").tobytes()})
    (tmp_path / "a.pt").write_bytes(content)
    np.testing.assert_array_equal(read_all(tmp_path / "a.pt")["w"], [[0, 1]])


def test_a_view_that_repeats_a_small_storage_without_measure_is_skipped(tmp_path):
    """It costs nothing until someone copies it: a file of a kilobyte would then ask for 4 TiB."""
    program = pickled(dict_of(bomb=tensor((2**20, 2**20), (0, 0)), expanded=tensor((1000, 4), (0, 1))))
    (tmp_path / "a.pt").write_bytes(torch_zip(program, {"0": VALUES.tobytes()}))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert list(ckpt) == ["expanded"]
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            ("bomb", "a view of 4,398,046,511,104 bytes that repeats a storage of 4 elements")
        ]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("float8_e4m3fn", "float8_e4m3fn"), ("uint16", "uint16"), ("uint64", "uint64"), ("half", "float16")],
)
def test_an_untyped_storage_takes_the_dtype_beside_it(tmp_path, kind, dtype):
    size = 4 * np.dtype(getattr(ml_dtypes, dtype, dtype)).itemsize
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(typed(f"torch.{kind}", size)), {"0": bytes(size)}))
    assert read_all(tmp_path / "a.pt")["tensor"].dtype.name == dtype


@pytest.mark.parametrize("flag", ["conj", "neg"])
def test_a_view_that_changes_values_is_skipped_over_a_storage_of_any_kind(tmp_path, flag):
    """What it changes stands last: of an untyped storage behind the dtype."""
    flags = b"".join([called(name("collections.OrderedDict")), b"(", text(flag), b"\x88", b"u"])
    plain, over = [integer(0), integers([4]), integers([1]), b"\x89"], storage(16, kind="torch.storage.UntypedStorage")
    hooks = called(name("collections.OrderedDict"))
    made = {
        "old": called(name("torch._utils._rebuild_tensor_v2"), storage(), *plain, hooks, flags),
        "new": called(name("torch._utils._rebuild_tensor_v3"), over, *plain, hooks, name("torch.float32"), flags),
    }
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(dict_of(**made)), {"0": bytes(16)}))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert len(ckpt) == 0
        reason = "a conjugate or negative view: save its resolve_conj().resolve_neg()"
        assert {item.name: item.reason for item in ckpt.skipped} == {"old": reason, "new": reason}


@pytest.mark.parametrize("kind", ["torch.float4_e2m1fn_x2", "torch.bits8", "evil.float32"])
def test_an_element_type_that_numpy_has_not_is_skipped_by_name(tmp_path, kind):
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(typed(kind, 16)), {"0": bytes(16)}))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert [item.reason for item in ckpt.skipped] == [f"its elements are {kind}, which NumPy does not hold"]


def test_a_storage_of_an_unknown_type_is_skipped_by_name(tmp_path):
    program = pickled(tensor(over=storage(4, kind="torch.QInt8Storage")))
    (tmp_path / "a.pt").write_bytes(torch_zip(program, {"0": bytes(4)}))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert [item.reason for item in ckpt.skipped] == [
            "its elements are torch.QInt8Storage, which NumPy does not hold"
        ]


def test_a_bare_storage_is_skipped(tmp_path):
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(dict_of(s=storage())), {"0": bytes(16)}))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert [(item.name, item.reason) for item in ckpt.skipped] == [("s", "a bare storage: it has no shape")]


def test_a_record_that_the_pickle_does_not_mention_is_reported(tmp_path):
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(tensor()), {"0": bytes(16), "1": b"secret"}))
    with open_checkpoint(tmp_path / "a.pt") as ckpt:
        assert [(item.name, item.reason) for item in ckpt.skipped] == [
            ("archive/data/1", "a record of the file that its pickle does not mention")
        ]


@pytest.mark.parametrize("file", ["state.pt", "no_checksums.pt"])
def test_a_damaged_storage_is_found_by_its_checksum_where_there_is_one(tmp_path, file):
    content = bytearray((DATA / file).read_bytes())
    at = content.index(np.arange(6, dtype="f4").tobytes())
    content[at] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    if file == "state.pt":
        with pytest.raises(BadCheckpoint, match="is damaged: its checksum does not match; fetch it again"):
            read_all(tmp_path / "a.pt")
    else:
        assert read_all(tmp_path / "a.pt")["w"][0, 0] != 0


def test_a_record_that_tensors_share_is_summed_once(tmp_path, monkeypatch):
    """Of a flat storage with a view for each parameter, the time was the number of views times its size."""
    state = dict_of(**{f"w{i}": tensor((1,), (1,), offset=i) for i in range(4)})
    (tmp_path / "a.pt").write_bytes(torch_zip(pickled(state), {"0": VALUES.tobytes()}))
    summed = []
    monkeypatch.setattr(zlib, "crc32", lambda data, crc32=zlib.crc32: summed.append(len(data)) or crc32(data))
    assert {name: array.tolist() for name, array in read_all(tmp_path / "a.pt").items()} == {
        "w0": [0],
        "w1": [1],
        "w2": [2],
        "w3": [3],
    }
    assert summed.count(VALUES.nbytes) == 1


def test_a_pickle_that_unpacks_out_of_proportion_is_refused(tmp_path):
    """Ten kilobytes would become ten million objects."""
    raw = deflate(pickled(b"(" + b"}" * 100_000 + b"t"))
    size = 100_000 + len(pickled(b"(t"))
    archive = Zip().add("a/data.pkl", pickled(b"(" + b"}" * 100_000 + b"t"), method=8, packed=raw)
    (tmp_path / "a.pt").write_bytes(archive.bytes())
    with pytest.raises(BadCheckpoint, match=rf"its pickle would unpack from {len(raw):,} to {size:,} bytes; store it"):
        open_checkpoint(tmp_path / "a.pt")


def test_a_pickle_without_a_checksum_is_read_though_it_was_deflated(tmp_path):
    """PyTorch can leave the checksums out, all of them being 0 then."""
    program, none = pickled(tensor()), {"crc": 0}
    archive = Zip().add("a/data.pkl", program, method=8, local=none, central=none)
    archive.add("a/data/0", VALUES.tobytes(), local=none, central=none)
    (tmp_path / "a.pt").write_bytes(archive.bytes())
    np.testing.assert_array_equal(read_all(tmp_path / "a.pt")["tensor"], VALUES[:4])


def test_records_that_were_deflated_are_read(tmp_path):
    made = Zip().add("a/data.pkl", pickled(tensor()), method=8).add("a/data/0", VALUES.tobytes(), method=8)
    (tmp_path / "a.pt").write_bytes(made.bytes())
    assert read_all(tmp_path / "a.pt")["tensor"].tolist() == [0, 1, 2, 3]
