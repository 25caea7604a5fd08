"""Signatures in the reference: aliases by their names, arrays without parameters, and what a framework's base hides."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import symbreak as sb

DOCS = Path(__file__).parents[1] / "docs"
if not DOCS.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)
pytest.importorskip("sphinx", reason="the docs extra brings it")
sys.path.insert(0, str(DOCS / "_ext"))

import signatures  # noqa: E402 - found beside the pages
from docutils import nodes  # noqa: E402
from sphinx.addnodes import desc_name, desc_parameter, desc_parameterlist, desc_signature, pending_xref  # noqa: E402
from sphinx.ext.autodoc.mock import _MockObject  # noqa: E402
from sphinx.util.inspect import signature, stringify_signature  # noqa: E402


def shorten(what, obj, text):
    """Call what autodoc calls with a signature that it has made."""
    events = {}
    signatures.setup(SimpleNamespace(connect=events.__setitem__))
    return events["autodoc-process-signature"](None, what, "name", obj, None, text, None)[0]


@pytest.mark.parametrize("method", ["__call__", "fill", "region", "pieces"])
def test_sources_of_random_numbers_are_told_by_one_name(method):
    function = getattr(sb.HeNormal, method)
    text = stringify_signature(signature(function, bound_method=True), unqualified_typehints=True)
    assert "rng: ~symbreak.streams.RngLike = None" in shorten("method", function, text)


def test_classes_with_a_base_of_a_framework_show_their_own_parameters():
    callback = _MockObject()

    class Monitor(callback):
        def __init__(self, *, every: int = 10) -> None:
            pass

    assert shorten("class", Monitor, "(*args: ~typing.Any, **kwargs: ~typing.Any)") == "(*, every: int = 10)"


def test_arrays_and_dtypes_are_written_without_parameters():
    names = {"ndarray": "numpy.ndarray", "dtype": "numpy.dtype"}
    shown = desc_signature()
    for word in ["dict", "[", "str", ",", "ndarray", "[", "Any", ",", "dtype", "[", "Any", "]", "]", "]", "dtype", "x"]:
        shown += pending_xref("", nodes.Text(word), reftarget=names[word]) if word in names else nodes.inline("", word)
    document = nodes.document(None, None)
    document += shown
    signatures.plain(None, document)
    assert " ".join(each.astext() for each in shown) == "dict [ str , ndarray ] dtype x"


def test_defaults_are_told_by_their_value():
    assert shorten("function", sb.restarts, "(init: str = GLOROT, steps: int = NO_SUCH)") == (
        "(init: str = GlorotNormal(), steps: int = NO_SUCH)"
    )


@pytest.mark.parametrize(("limit", "several"), [(10, True), (88, False)])
def test_what_fits_on_a_line_stands_on_one(limit, several):
    shown = desc_signature("", "", desc_name("", "sample"))
    shown += desc_parameterlist("", desc_parameter("", "shape"), multi_line_parameter_list=True)
    document = nodes.document(None, None)
    document += shown
    app = SimpleNamespace(config=SimpleNamespace(python_maximum_signature_line_length=limit))
    signatures.plain(app, document)
    assert shown[1]["multi_line_parameter_list"] is several
