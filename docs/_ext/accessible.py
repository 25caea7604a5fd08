"""The captions of the sidebar say at which level they are headings, which Sphinx leaves out."""

from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", say_levels, priority=900)  # the theme has made the sidebar by then
    return {"parallel_read_safe": True}


def say_levels(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(' role="heading"', ' role="heading" aria-level="2"')
