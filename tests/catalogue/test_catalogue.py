"""The catalogue of real accidents: what must be found is found, and of each healthy twin nothing is said."""

import re

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import save_safetensors
from symbreak.cli import main
from symbreak.findings import CODES, Level
from tests.catalogue._cases import cases

CASES = cases()
IDS = [f"{case.number}-{case.title.replace(' ', '-')}" for case in CASES]
one_by_one = pytest.mark.parametrize("case", CASES, ids=IDS)


def save(files, folder):
    paths = [folder / f"model_{number}.safetensors" for number in range(len(files))]
    for path, arrays in zip(paths, files, strict=True):
        save_safetensors(path, arrays)
    return [str(path) for path in paths]


def grave(report):
    return {finding.code for finding in report.at_least(Level.WARNING)}


def test_the_catalogue_has_nineteen_classes():
    assert [case.number for case in CASES] == list(range(1, 20))
    assert all(code in CODES for case in CASES for code in case.codes)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", seen) for case in CASES for seen in case.seen)


def check(files, folder, capsys):
    """Run the command on files, and give the exit code and the codes in its output."""
    code = main(["check", *save(files, folder), "--compare"])
    return code, set(re.findall(r"^(?:warning|error) (SB\d+)", capsys.readouterr().out, re.MULTILINE))


@one_by_one
def test_the_sick_file_has_these_findings_and_no_others(case, tmp_path, capsys):
    assert check(case.sick, tmp_path, capsys) == (1, set(case.codes))


@one_by_one
def test_of_the_healthy_twin_nothing_is_said(case, tmp_path, capsys):
    assert check(case.healthy, tmp_path, capsys) == (0, set())


@one_by_one
def test_arrays_in_memory_are_judged_as_in_a_file(case, tmp_path):
    for arrays in (*case.sick, *case.healthy):
        (path,) = save([arrays], tmp_path)
        in_file = [(f.code, f.where.removeprefix(f"{path}: "), f.groups, f.message) for f in sb.diagnose(path).findings]
        assert [(f.code, f.where, f.groups, f.message) for f in sb.diagnose(arrays).findings] == in_file


@one_by_one
def test_the_twins_have_the_same_names_shapes_and_dtypes(case):
    for sick, healthy in zip(case.sick, case.healthy, strict=True):
        assert {name: (array.shape, array.dtype) for name, array in sick.items()} == {
            name: (array.shape, array.dtype) for name, array in healthy.items()
        }


def test_torch_copies_its_encoder_as_the_catalogue_has_it():
    torch = pytest.importorskip("torch")
    ours = next(case for case in CASES if case.number == 1).sick[0]
    layer = torch.nn.TransformerEncoderLayer(16, 2, dim_feedforward=32)
    theirs = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).state_dict()
    assert {name: tuple(array.shape) for name, array in theirs.items()} == {n: a.shape for n, a in ours.items()}
    report = sb.diagnose({name: array.numpy() for name, array in theirs.items()})
    assert grave(report) == {"SB204"}
    assert report.findings[0].groups == ((0, 1, 2),)


def test_a_multiplied_list_of_torch_is_found(tmp_path):
    torch = pytest.importorskip("torch")
    block = torch.nn.Linear(8, 8)
    torch.save(torch.nn.ModuleList([block] * 3).state_dict(), tmp_path / "m.pt")
    assert grave(sb.diagnose(tmp_path / "m.pt")) == {"SB204"}
    torch.save(torch.nn.ModuleList([torch.nn.Linear(8, 8) for _ in range(3)]).state_dict(), tmp_path / "m.pt")
    assert grave(sb.diagnose(tmp_path / "m.pt")) == set()


@pytest.mark.parametrize("case", [case for case in CASES if case.certificate], ids=lambda case: case.title)
def test_the_certificate_of_the_wired_network_names_its_tied_units(case):
    def graph(arrays):
        weights = [np.asarray(array) for array in arrays.values() if array.ndim == 2]
        biases = [array for array in arrays.values() if array.ndim == 1] or [None] * len(weights)
        if "W1" in arrays:  # (in, out)
            weights = [array.T for array in weights]
        return sb.chain(list(zip(weights, biases, strict=True)), activation="tanh")

    assert case.certificate <= grave(sb.diagnose(graph(case.sick[0])))
    assert grave(sb.diagnose(graph(case.healthy[0]))) == set()
