"""What stands between single backticks in a docstring: a link where it is a class or a full name, else emphasis.

A parameter is written so, too, and may be called as a function is: words in small letters without a dot are no links.
A link may be shown as something else than its full name: `engine.mlp <symbreak.engine.mlp>`.
"""

import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

NAME = re.compile(r"[A-Z]\w+|\w+(\.\w+)+")
TITLED = re.compile(r"(?P<title>[^<>]+) <(?P<target>[^<>]+)>")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_role("name", name)
    app.connect("missing-reference", emphasise, priority=900)  # lists of other projects have been asked by then
    return {"parallel_read_safe": True}


def name(
    role: str, rawtext: str, text: str, lineno: int, inliner: Inliner, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    titled = TITLED.fullmatch(text)
    text, target = (titled["title"], titled["target"]) if titled else (text, text)
    if not NAME.fullmatch(target):
        return [nodes.emphasis(rawtext, text)], []
    context = inliner.document.settings.env.ref_context
    node = pending_xref(
        rawtext, nodes.literal(rawtext, text, classes=["xref", "py", "py-obj"]), refdomain="py", reftype="obj",
        reftarget=target, refexplicit=titled is not None, perhaps=True,
    )  # fmt: skip
    node["py:module"], node["py:class"] = context.get("py:module"), context.get("py:class")
    return [node], []


def emphasise(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element) -> nodes.Element | None:
    return nodes.emphasis("", node.astext()) if node.get("perhaps") else None
