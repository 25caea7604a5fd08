"""A comparison shows what was published, ours and the difference, in 80 columns; the table of figures is complete."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import symbreak
from symbreak.published import FIGURES, Comparison, Row, __main__

ROWS = (
    Row("a height", 1.5, 1.25, "measured"),
    Row("a count", None, 200_000.0, "counted " * 20),
    Row("b", 0.0, -1e-9, "measured"),
)
SHOWN = """\
A title
Somebody, somewhere

             published     ours  difference
1  a height        1.5     1.25       -0.25
2  a count           -  200,000           -
3  b                 0   -1e-09      -1e-09

1, 3: measured
2: counted counted counted counted counted counted counted counted counted
  counted counted counted counted counted counted counted counted counted
  counted counted"""


def test_the_difference_is_ours_less_the_published():
    assert [row.difference for row in ROWS] == [-0.25, None, -1e-9]


def test_a_comparison_prints_as_a_table():
    assert str(Comparison("A title", "Somebody, somewhere", ROWS)) == SHOWN


def test_neighbouring_rows_made_one_way_are_named_together():
    rows = tuple(Row(f"row {n}", None, 1.0, "other" if n == 4 else "same") for n in range(1, 7))
    shown = str(Comparison("A title", "Somebody", rows))
    assert "\n1-3, 5-6: same\n4: other" in shown


def test_a_row_is_found_by_what_it_is_of():
    found = Comparison("A title", "Somebody", ROWS)
    assert found["a count"] is ROWS[1]
    with pytest.raises(KeyError, match="no row of this figure is called 'a coun'; there are a height, a count, b"):
        found["a coun"]


def test_the_table_has_every_figure_of_the_package_and_each_has_its_page():
    functions = {
        name for name in dir(symbreak.published)
        if callable(value := getattr(symbreak.published, name)) and not isinstance(value, type) and name[0] != "_"
    }  # fmt: skip
    assert functions == {function.__name__ for function in FIGURES.values()}
    docs = Path(__file__).parents[2] / "docs" / "published"
    if not docs.exists():
        pytest.skip("the tests were copied without the documentation")
    index = (docs / "index.md").read_text("utf-8")
    for name, function in FIGURES.items():
        assert f"\n{name}\n" in index
        assert f"published.{function.__name__}(" in (docs / f"{name}.md").read_text("utf-8")


def test_the_module_prints_figures_by_name(monkeypatch, capsys):
    made = Comparison("A title", "Somebody, somewhere", ROWS)
    monkeypatch.setitem(FIGURES, "one", lambda: made)
    assert __main__.main(["one"]) == 0
    assert capsys.readouterr().out == f"{SHOWN}\n"
    assert __main__.main(["one", "one"]) == 0
    assert capsys.readouterr().out == f"{SHOWN}\n\n{SHOWN}\n"


def test_the_module_prints_all_figures_without_a_name(monkeypatch, capsys):
    for name in FIGURES:
        monkeypatch.setitem(FIGURES, name, lambda name=name: name)
    assert __main__.main([]) == 0
    assert capsys.readouterr().out == "\n\n".join(FIGURES) + "\n"


def test_another_name_is_refused_with_the_nearest():
    environment = os.environ | {"PYTHONPATH": str(Path(symbreak.__file__).parents[1])}
    command = [sys.executable, "-m", "symbreak.published", "symetry"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == "no figure is called 'symetry'; did you mean 'symmetry'?\n"
    assert (done.stdout, done.returncode) == ("", 2)
