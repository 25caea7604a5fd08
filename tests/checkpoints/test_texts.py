"""Text beside weights is no weight and no fault; bytes that may be anything are, and so is a file without arrays."""

import json

import h5py
import numpy as np
import pytest
import scipy.io

import symbreak as sb
from symbreak.checkpoints import open_checkpoint, wire
from symbreak.cli import main

W = np.random.default_rng(0).normal(size=(4, 3))
PICKLED = b"\x80\x04\x95numpy"


def npz(path, **more):
    np.savez(path, w=W, **more)
    return f"{path}.npz"


def hdf5(path, **more):
    with h5py.File(path, "w") as file:
        for name, value in {"w": W, **more}.items():
            file[name] = value
    return path


def mat(path, **more):
    scipy.io.savemat(path, {"w": W, **more})
    return path


TEXTS = [
    (npz, {"names": np.array(["cat", "dög"]), "note": np.array("hello")}),
    (npz, {"names": np.array([b"cat", b"mouse"]), "note": np.array("dög\n".encode())}),
    (hdf5, {"names": ["cat", "dög"], "note": "hello"}),
    (hdf5, {"names": np.array([b"cat", b"mouse"]), "note": np.bytes_("dög\n".encode())}),
    (mat, {"names": np.array(["cat", "dog"]), "note": "hello"}),
]


@pytest.mark.parametrize(("save", "texts"), TEXTS)
def test_text_is_noted_and_no_fault(tmp_path, monkeypatch, capsys, save, texts):
    monkeypatch.chdir(tmp_path)
    path = save("a", **texts)
    with open_checkpoint(path) as ckpt:
        assert {item.name for item in ckpt.skipped if item.text} == {"names", "note"}
    assert main(["check", path, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (finding,) = report["findings"]
    assert (finding["code"], finding["level"], finding["where"]) == ("SB303", "note", path)
    assert finding["message"] == "2 arrays hold text, which is no weight: names, note"
    assert report["skipped"] == []
    assert sb.diagnose(path).ok


def test_one_text_and_many_are_told_in_one_sentence(tmp_path):
    path = npz(tmp_path / "a", note=np.array("x"))
    assert sb.diagnose(path).findings[0].message == "1 array holds text, which is no weight: note"
    path = npz(tmp_path / "b", **{f"n{number}": np.array("x") for number in range(7)})
    assert sb.diagnose(path).findings[0].message == "7 arrays hold text, which is no weight: n0, n1, n2, n3, n4, ..."


@pytest.mark.parametrize(
    ("save", "values", "reason"),
    [
        (npz, np.array(PICKLED), "it holds byte strings (descr '|S8')"),
        (npz, np.array([b"x" * 20_000]), "it holds byte strings (descr '|S20000')"),
        (npz, np.array([{}], object), "it holds Python objects"),
        (npz, np.zeros(2, "V2"), "it holds void bytes"),
        (hdf5, np.array(PICKLED), "it holds strings of bytes, which may be anything"),
        (hdf5, np.array([b"x" * 999] * 2000), "it holds strings of bytes, which may be anything"),
        (hdf5, np.void(PICKLED), "it holds opaque bytes"),
    ],
)
def test_what_could_be_weights_is_not_passed_over(tmp_path, monkeypatch, capsys, save, values, reason):
    monkeypatch.chdir(tmp_path)
    path = save("a", odd=values)
    assert main(["check", path, "--format", "json"]) == 2
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["code"], finding["where"]) == ("SB301", f"{path}: odd")
    assert finding["message"].startswith(reason)
    assert finding["fix"] == "save it as an array of numbers; if it is no weight, save the weights without it"


def test_text_breaks_no_tie_of_a_network(tmp_path):
    arrays = {"fc1.weight": np.ones((4, 3)), "fc2.weight": np.ones((2, 4))}
    np.savez(tmp_path / "a.npz", **arrays, note=np.array("x"))
    with open_checkpoint(tmp_path / "a.npz") as ckpt:
        found = wire(ckpt)
        assert (dict(found.unknown), dict(found.apart)) == ({}, {})
    np.savez(tmp_path / "a.npz", **arrays, note=np.array({}))
    with open_checkpoint(tmp_path / "a.npz") as ckpt:
        assert set(wire(ckpt).apart) == {"fc1", "input", "output"}


def empty(path):
    np.savez(path)
    return f"{path}.npz"


def test_a_file_without_arrays_is_no_success(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    one, two = empty("one"), empty("two")
    assert main(["check", one]) == 2
    assert capsys.readouterr().out.splitlines() == [
        "error SB301 one.npz",
        "    there is no array of numbers in it, so nothing was judged",
        "    fix: check that the weights were saved into it",
        "1 error, 1 not read; read 0 arrays of 1 file",
    ]
    assert not sb.diagnose(one).ok
    hdf5("text", note="x")
    with h5py.File("text", "a") as file:
        del file["w"]
    report = sb.diagnose("text")
    assert [finding.code for finding in report.findings] == ["SB303", "SB301"]
    report = sb.diagnose(".")
    assert [(finding.code, finding.where) for finding in report.findings] == [
        ("SB303", one),
        ("SB303", "text"),
        ("SB303", "text"),
        ("SB303", two),
        ("SB301", "one.npz, text, two.npz"),
    ]
    assert report.skipped[0].reason == "there is no array of numbers in them, so nothing was judged"
    np.save("three.npy", W)
    assert main(["check", "."]) == 0
    assert capsys.readouterr().out.count("it holds no array of numbers") == 3
