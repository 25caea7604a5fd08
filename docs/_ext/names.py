"""What stands between single backticks in a docstring: a link where it is a class or a full name, else emphasis.

A parameter is written so, too, and may be called as a function is: words in small letters without a dot are no links.
"""

import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

NAME = re.compile(r"[A-Z]\w+|\w+(\.\w+)+")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_role("name", name)
    app.connect("missing-reference", emphasise, priority=900)  # lists of other projects have been asked by then
    return {"parallel_read_safe": True}


def name(
    role: str, rawtext: str, text: str, lineno: int, inliner: Inliner, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    if not NAME.fullmatch(text):
        return [nodes.emphasis(rawtext, text)], []
    context = inliner.document.settings.env.ref_context
    node = pending_xref(
        rawtext, nodes.literal(rawtext, text, classes=["xref", "py", "py-obj"]), refdomain="py", reftype="obj",
        reftarget=text, refexplicit=False, perhaps=True,
    )  # fmt: skip
    node["py:module"], node["py:class"] = context.get("py:module"), context.get("py:class")
    return [node], []


def emphasise(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element) -> nodes.Element | None:
    return nodes.emphasis("", node.astext()) if node.get("perhaps") else None
