"""Formulas of the documentation read as their source does: what the converter gets wrong is mended or refused."""

import re
import sys
from pathlib import Path

import pytest

import symbreak

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
if not DOCS.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)
pytest.importorskip("sphinx", reason="the docs extra brings it")
sys.path.insert(0, str(DOCS / "_ext"))

import mathml  # noqa: E402 - found beside the pages
from docutils import nodes  # noqa: E402
from docutils.utils.math.latex2mathml import tex2mathml  # noqa: E402

PAGES = [path for path in DOCS.rglob("*") if path.suffix in {".md", ".rst"}]
MODULES = [*Path(symbreak.__file__).parent.rglob("*.py"), *(DOCS / "examples").glob("*.py")]


@pytest.mark.parametrize(
    "tex", [r"\tfrac12 x", r"\frac ab", r"\dot w_j", r"\dot{w}_j", r"\overline{x}^2", r"\hat\beta_1"]
)
def test_formulas_that_would_read_otherwise_are_refused(tex):
    assert len(mathml.misread(tex)) == 1


@pytest.mark.parametrize("tex", [r"\tfrac{1}{2} x", r"\dot w + w_j", r"\overline{x^2}", r"w_j^2", r"\frac{dx_i}{dt}"])
def test_other_formulas_are_not(tex):
    assert mathml.misread(tex) == []


def test_the_converter_still_gets_them_wrong():
    """Once it does not, the table can go."""
    assert "<mn>12</mn>" in tex2mathml(r"\frac12 x")
    assert "munderover" in tex2mathml(r"\dot w_j")


def test_a_formula_that_is_misread_ends_the_build(caplog):
    with caplog.at_level("WARNING"):
        mathml.formula(nodes.math(r"\tfrac12 x", r"\tfrac12 x"))
    assert "the fraction needs braces" in caplog.text


def test_no_formula_of_the_project_is_misread():
    formulas = []
    for path in [*PAGES, *MODULES]:
        text = path.read_text("utf-8")
        formulas += [(path.name, each) for each in re.findall(r":math:`([^`]+)`", text)]
        formulas += [(path.name, each) for each in re.findall(r"\.\. math::((?:.*\n)(?: +.*\n)*)", text)]
        if path.suffix == ".md":
            formulas += [(path.name, each) for each in re.findall(r"\$([^$]+)\$", text)]
    assert len(formulas) > 150
    assert [each for each in formulas if mathml.misread(each[1])] == []


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"o \tanh(c)", "o~tanh(c)"),
        (r"\ln 2L", "ln~2L"),
        (r"\ln M \ln 2", "ln~M~ln~2"),
        (r"=\tan(x)", "=tan(x)"),
        (r"x^2 \sin x", "x2~sin~x"),
        (r"a\,\sin(x)", "a~sin(x)"),
    ],
)
def test_names_of_functions_stand_apart(tex, shown):
    text = re.sub("<mspace[^>]*>", "~", mathml.spaced(tex2mathml(tex)).replace("&ApplyFunction;", ""))
    assert re.sub(r"<[^>]*>|\s", "", text) == shown
