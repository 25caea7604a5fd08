"""What Sphinx leaves out: the level of the sidebar's captions, and the names in its list of parameters.

A signature of several lines is a list of descriptions of nothing, which a screen reader can't read: lines are enough.
"""

import re
from typing import Any

from sphinx.application import Sphinx

SEVERAL = re.compile(r'(<span class="sig-paren">\(</span>\s*)<dl>(.*?)</dl>', re.DOTALL)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", say_levels, priority=900)  # the theme has made the sidebar by then
    app.connect("html-page-context", write_lines)
    return {"parallel_read_safe": True}


def say_levels(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(' role="heading"', ' role="heading" aria-level="2"')


def write_lines(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["body"] = SEVERAL.sub(lines, context.get("body", ""))


def lines(found: re.Match[str]) -> str:
    inside = found[2].replace("<dd>", '<div class="parameter">').replace("</dd>", "</div>")
    return f'{found[1]}<div class="parameters">{inside}</div>'
