"""Built pages can be read by everybody: captions say their level, terminal colours stand out from their ground."""

import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
if not DOCS.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)
pytest.importorskip("sphinx", reason="the docs extra brings it")
sys.path.insert(0, str(DOCS / "_ext"))

import accessible  # noqa: E402 - found beside the pages
import sources  # noqa: E402

STYLE = (DOCS / "_static" / "symbreak.css").read_text("utf-8")
LIGHT, DARK = "#f2f2f2", "#202020"  # the grounds of code in the theme


def luminance(colour: str) -> float:
    """Give the relative luminance of a colour, as WCAG 2.2 defines it."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_colours_of_a_terminal_stand_out():
    found = re.findall(r"^(.*)\.-Color-(\w+) \{ color: (#\w{6}); \}", STYLE, re.MULTILINE)
    assert {name for _, name, _ in found} == {"Red", "Yellow", "Cyan"}
    weak = [
        (name, colour) for where, name, colour in found if contrast(colour, DARK if "body" in where else LIGHT) < 4.5
    ]
    assert weak == []


def test_captions_of_the_sidebar_say_their_level():
    context = {"furo_navigation_tree": '<p class="caption" role="heading"><span>Learn</span></p>'}
    accessible.say_levels(None, "index", "page.html", context, None)
    assert context["furo_navigation_tree"] == '<p class="caption" role="heading" aria-level="2"><span>Learn</span></p>'


def test_the_way_back_from_a_source_leads_to_the_page_of_the_name():
    link = '<a class="viewcode-back" href="../a.html#symbreak.graph.chain">[docs]</a><a href="#x">x</a>'
    context = {"body": link}
    sources.lead_back(None, "howto/ci", "page.html", context, None)
    assert context["body"] == link
    sources.lead_back(None, "_modules/symbreak/graph", "page.html", context, None)
    assert context["body"] == '<a class="viewcode-back" href="../a.html">[docs]</a><a href="#x">x</a>'


def test_drawers_of_the_theme_are_told_apart_by_name():
    script = (DOCS / "_static" / "accessible.js").read_text("utf-8")
    names = dict(re.findall(r'querySelector\("aside\.(\S+)"\)\?\.setAttribute\("aria-label", "([^"]+)"\)', script))
    assert set(names) == {"sidebar-drawer", "toc-drawer"}
    assert len(set(names.values())) == 2


def test_a_signature_of_several_lines_is_no_list_of_descriptions():
    body = (
        '<dt class="sig"><span class="sig-paren">(</span>\n<dl>\n<dd><em>x</em>,</dd>\n</dl>\n)</dt><dl><dd>y</dd></dl>'
    )
    context = {"body": body}
    accessible.write_lines(None, "a", "page.html", context, None)
    assert context["body"] == (
        '<dt class="sig"><span class="sig-paren">(</span>\n<div class="parameters">\n<div class="parameter"><em>x</em>,'
        "</div>\n</div>\n)</dt><dl><dd>y</dd></dl>"
    )
