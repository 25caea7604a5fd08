"""The sidebar's tree of pages, made once: Sphinx makes it anew for every page, half of the time that writing one takes.

What differs from page to page is where links lead from there, and which entry is the page's own. The result is what the
theme makes of Sphinx's tree, byte for byte.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from furo.navigation import get_navigation_tree
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

TAG = re.compile(r'(<ul>|</ul>|<li class="[^"]*">|</li>|<input [^>]*/>|<a class="reference internal" href="[^"]*">)')
HREF = re.compile(r'href="([^"]*)"')


@dataclass
class Tree:
    """The tree as it is on the first page, cut at the tags that may change."""

    parts: list[str]
    links: dict[int, str] = field(default_factory=dict)  # where each link stands, and where it leads
    inside: dict[int, list[int]] = field(default_factory=dict)  # where the lists and entries that it is in begin
    boxes: dict[int, int] = field(default_factory=dict)  # of an entry with entries of its own: where its box stands

    @classmethod
    def of(cls, html: str) -> "Tree":
        """Read what the theme has made."""
        tree, open_tags = cls(TAG.split(html)), list[int]()
        for place, part in enumerate(tree.parts):
            if part.startswith(("<ul", "<li ")):
                open_tags.append(place)
            elif part in ("</ul>", "</li>"):
                open_tags.pop()
            elif part.startswith("<input "):
                tree.boxes[open_tags[-1]] = place
            elif place % 2:
                tree.links[place] = HREF.findall(part)[0]
                tree.inside[place] = open_tags.copy()
        return tree

    def seen_from(self, page: str) -> str:
        """Write the tree as it is on the page at `page`."""
        parts = self.parts.copy()
        own = [place for place, target in self.links.items() if target == page]
        for place, target in self.links.items():
            parts[place] = f'<a class="reference internal" href="{relative_uri(page, target)}">'
        for place in own:
            parts[place] = '<a class="current reference internal" href="#">'
        for around in sorted({around for place in own for around in self.inside[place]}):
            if parts[around] == "<ul>":
                parts[around] = '<ul class="current">'
                continue
            last = " current-page" if around == self.inside[own[-1]][-1] else ""
            level, *more = parts[around].removesuffix('">').split(" has-children")
            parts[around] = f'{level} current{" has-children" if more else ""}{last}">'
            if around in self.boxes:
                box = self.boxes[around]
                parts[box] = parts[box].replace(' class="', ' checked="" class="')
        return "".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", leave_out, priority=400)  # before the theme, and after it
    app.connect("html-page-context", put_in, priority=600)
    return {"parallel_read_safe": True}


def leave_out(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the theme no tree to work on."""
    if "toctree" in context:
        context["toctree_of_sphinx"] = context["toctree"]
        context["toctree"] = lambda **options: ""


def put_in(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Put the tree where the theme would have."""
    if "toctree_of_sphinx" not in context:
        return
    context["toctree"] = context.pop("toctree_of_sphinx")
    builder: Any = app.builder
    if not hasattr(builder, "navigation"):
        whole = {"collapse": False, "titles_only": True, "maxdepth": -1, "includehidden": True}
        html = builder._get_local_toctree(app.config.root_doc, **whole)
        builder.navigation = Tree.of(get_navigation_tree(html))
    context["furo_navigation_tree"] = builder.navigation.seen_from(builder.get_target_uri(page))
