"""The benchmarks: what is measured is kept, a short run says so, and results of two machines are never mixed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.json"
program = pytest.importorskip("benchmarks.__main__", reason="the tests were copied without the benchmarks")

from benchmarks import sizes  # noqa: E402 - found in the checkout only
from benchmarks._measure import Row, measure  # noqa: E402


def fake(monkeypatch, seconds=1.0):
    """Have one file of benchmarks, of one row, and one curve."""
    row = Row("what", "peer", lambda: None, lambda: None, goal=0.0, rounds=7)
    monkeypatch.setattr(program, "run", lambda name, rounds: list(program.measured([row], rounds)))
    curve = sizes.Curve("normal", "fills", False, [4], [seconds])
    monkeypatch.setattr(sizes, "curves", lambda **options: iter([curve]))


def written(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def test_a_run_writes_machine_versions_rows_and_curves(tmp_path, monkeypatch, capsys):
    fake(monkeypatch)
    path = tmp_path / "b.json"
    program.main(["ties", "sizes", "--json", str(path)])
    found = written(path)
    assert found["environment"].keys() >= {"python", "processor", "cores", "symbreak", "numpy", "torch"}
    (row,) = found["files"]["ties"]["results"]
    assert (row["name"], row["peer"], row["met"], len(row["samples"]["ours"])) == ("what", "peer", True, 7)
    assert found["curves"] == [
        {"name": "normal", "group": "fills", "limit": False, "bytes": [4], "seconds": [1.0], "rounds": None}
    ]
    assert "what" in capsys.readouterr().out


def test_a_short_run_says_so(tmp_path, monkeypatch):
    fake(monkeypatch)
    path = tmp_path / "b.json"
    program.main(["ties", "sizes", "--rounds", "2", "--json", str(path)])
    found = written(path)
    assert (found["files"]["ties"]["rounds"], found["curves"][0]["rounds"]) == (2, 2)
    assert len(found["files"]["ties"]["results"][0]["samples"]["ours"]) == 2


def test_a_run_adds_to_a_file_and_takes_the_place_of_what_it_repeats(tmp_path, monkeypatch):
    path = tmp_path / "b.json"
    fake(monkeypatch)
    program.main(["ties", "sizes", "--json", str(path)])
    fake(monkeypatch, seconds=2.0)
    program.main(["near", "sizes", "--json", str(path)])
    found = written(path)
    assert list(found["files"]) == ["ties", "near"]
    assert [curve["seconds"] for curve in found["curves"]] == [[2.0]]


def test_results_of_another_machine_are_refused(tmp_path, monkeypatch, capsys):
    path = tmp_path / "b.json"
    fake(monkeypatch)
    program.main(["ties", "--json", str(path)])
    document = written(path)
    document["environment"]["numpy"] = "1.0"
    path.write_text(json.dumps(document))
    with pytest.raises(SystemExit, match="2"):
        program.main(["near", "--json", str(path)])
    said = " ".join(capsys.readouterr().err.split())
    assert f"results of another machine or other versions: numpy 1.0 (here {np.__version__})" in said
    assert "name another file, or delete it" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["tie"], "no benchmarks are called tie; choose of fills"), (["--rounds", "0"], "--rounds is 1 or more; got 0")],
)
def test_a_wrong_call_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(arguments)
    assert message in " ".join(capsys.readouterr().err.split())


def test_curves_have_every_size_and_a_limit_in_each_group(monkeypatch):
    monkeypatch.setattr(sizes, "LEAST", 0.0)
    found = list(sizes.curves(rounds=1, sides=(8, 16)))
    assert [each.bytes for each in found] == [[256, 1024]] * len(found)
    assert all(second > 0 for each in found for second in each.seconds)
    for group in ("fills", "scans", "certificates"):
        assert {each.limit for each in found if each.group == group} == {True, False}


def test_the_matrix_product_that_is_the_limit_takes_four_thirds_n_cubed():
    """2 n n k flops, as k is the number of columns."""
    product = sizes.flops(30)
    assert 2 * 30 * 30 * product().shape[1] == 4 / 3 * 30**3


def test_turns_give_the_ratio_of_the_medians():
    result = measure(Row("w", "p", lambda: None, lambda: sum(range(20_000)), rounds=5))
    assert result.ratio == result.theirs / result.ours > 1


@pytest.mark.skipif(not PAGE.parent.exists(), reason="the tests were copied without the documentation")
def test_the_page_has_rows_of_every_kind():
    document = written(PAGE)
    assert document["schema_version"] == 2
    assert document["files"].keys() <= set(program.FILES)
    assert {curve["group"] for curve in document["curves"]} == {"fills", "scans", "certificates"}
    assert sum(len(part["results"]) for part in document["files"].values()) > 30


@pytest.mark.skipif(not PAGE.parent.exists(), reason="the tests were copied without the documentation")
def test_every_file_of_benchmarks_has_a_title_on_the_page():
    page = PAGE.with_suffix(".md").read_text("utf-8")
    titles = set(re.findall(r'"(\w+)": "[A-Z]', re.search(r"^TITLES = \{(.*?)^\}", page, re.DOTALL | re.MULTILINE)[1]))
    assert set(written(PAGE)["files"]) <= titles
