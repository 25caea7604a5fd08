"""Names between single backticks: which become links, and what is shown where one leads nowhere."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

DOCS = Path(__file__).parents[1] / "docs"
if not DOCS.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)
pytest.importorskip("sphinx", reason="the docs extra brings it")
sys.path.insert(0, str(DOCS / "_ext"))

import names  # noqa: E402 - found beside the pages
from docutils import nodes  # noqa: E402
from sphinx.addnodes import pending_xref  # noqa: E402


@pytest.mark.parametrize("text", ["LayerGraph", "symbreak.diagnosis.find_near_ties", "concurrent.futures.Executor"])
def test_classes_and_full_names_are_links(text):
    assert names.NAME.fullmatch(text)


@pytest.mark.parametrize("text", ["gain", "axes", "plan", "X", "a b", "f(x)"])
def test_parameters_and_formulas_are_none(text):
    assert names.name("name", f"`{text}`", text, 1, None)[0][0].astext() == text
    assert isinstance(names.name("name", f"`{text}`", text, 1, None)[0][0], nodes.emphasis)


def test_a_link_may_be_shown_as_something_else_than_its_name():
    document = SimpleNamespace(settings=SimpleNamespace(env=SimpleNamespace(ref_context={})))
    inliner = SimpleNamespace(document=document)
    text = "engine.mlp <symbreak.engine.mlp>"
    (found,) = names.name("name", f"`{text}`", text, 1, inliner)[0]
    assert (found.astext(), found["reftarget"], found["refexplicit"]) == ("engine.mlp", "symbreak.engine.mlp", True)
    (found,) = names.name("name", "`Stream`", "Stream", 1, inliner)[0]
    assert (found.astext(), found["reftarget"], found["refexplicit"]) == ("Stream", "Stream", False)


def test_a_name_without_a_page_is_emphasised_and_no_other_role_is_touched():
    shown = nodes.literal("", "Lost")
    found = names.emphasise(None, None, pending_xref("", shown, perhaps=True), shown)
    assert isinstance(found, nodes.emphasis)
    assert found.astext() == "Lost"
    assert names.emphasise(None, None, pending_xref("", shown), shown) is None
