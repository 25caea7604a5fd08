"""The way back from a page of source leads to the page of the name, which may have another address than the source."""

import re
from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", lead_back)
    return {"parallel_read_safe": True}


def lead_back(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out the anchor, which is the name in the module of the source: pages are anchored by the public name."""
    if page.startswith("_modules/"):
        context["body"] = re.sub(r'(class="viewcode-back" href="[^"#]*)#[^"]*"', r'\1"', context["body"])
