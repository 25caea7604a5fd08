"""The directive `error-list`: a section a part of the package, a paragraph a module, and an entry a message."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from error_messages import Message, messages, remedy
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("error-list", ErrorList)
    return {"parallel_read_safe": True}


KINDS = {  # how an exception reaches the reader, where its name does not say so
    "usage": "the command says it and ends with exit code 2",
    "_Refused": "the command says it and ends with exit code 2",
    "_Unusable": "the command says it and ends with exit code 2",
    "Unread": "finding SB301, of one tensor",
    "Unsupported": "finding SB301, of one tensor",
    "_Fault": "part of a finding SB301",
    "NotUnderstood": "reason of a finding SB302",
    "_Broken": "reason of a finding SB302",
    "Unsolved": "ValueError",
    "_Wrong": "part of a ValueError",
    "NotNumbers": "TypeError",
    "BadCheckpoint": "BadCheckpoint; of the command, finding SB301",
}
PARTS = {  # the first word of a module behind `symbreak`, and what it is for
    "initializers": "Initializers",
    "axes": "Layouts",
    "streams": "Keys and streams",
    "dtypes": "Data types",
    "rules": "Plans and rules",
    "recipes": "Recipes",
    "adapters": "Low-rank adapters",
    "attention": "Attention",
    "graph": "Graphs",
    "diagnosis": "The diagnostic",
    "checkpoints": "Saved weights and their wiring",
    "repair": "Repairs",
    "engine": "The engine",
    "testing": "Checks for tests",
    "reports": "Reports",
    "cli": "The command",
    "torch": "PyTorch",
    "jax": "JAX",
    "keras": "Keras",
}
OTHERS = "Everything else"


class ErrorList(Directive):
    """Write a section a part, a paragraph a module, and an entry a message."""

    def run(self) -> list[nodes.Node]:
        import symbreak

        root = Path(symbreak.__file__).parent
        self.state.document.settings.record_dependencies.add(str(root / "errors.py"))
        return list(page(messages(root), root))


def part_of(module: str) -> str:
    words = module.split(".")
    return PARTS.get(words[1].lstrip("_"), OTHERS) if len(words) > 1 else OTHERS


def page(found: list[Message], root: Path) -> Iterator[nodes.Node]:
    """Give the sections, in the order of `PARTS`."""
    for title in [*PARTS.values(), OTHERS]:
        here = [each for each in found if part_of(each.module) == title]
        if not here:
            continue
        name = nodes.fully_normalize_name(title)
        section = nodes.section(ids=[nodes.make_id(f"errors-{title}")], names=[name])
        section += nodes.title(text=title)
        for module in dict.fromkeys(each.module for each in here):
            subject_of = nodes.strong("", "", *marked(subject(module, root)))
            section += nodes.paragraph("", "", subject_of, classes=["error-subject"])
            section += entries([each for each in here if each.module == module])
        yield section


def subject(module: str, root: Path) -> str:
    """Give the first line of a module's docstring: what its messages are about."""
    path = root.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or module).split("\n")[0].replace("``", "`")


def entries(found: list[Message]) -> nodes.definition_list:
    listed = nodes.definition_list(classes=["errors"])
    for text, kind, what in dict.fromkeys((each.text, each.kind, remedy(each)) for each in found):
        item = nodes.definition_list_item()
        item += nodes.term("", "", nodes.literal(text=" ".join(text.split())))
        definition = nodes.definition()
        words = [nodes.emphasis(text=KINDS.get(kind, kind)), nodes.Text(". "), *marked(what or "")]
        definition += nodes.paragraph("", "", *words)
        item += definition
        listed += item
        if what is None:
            LOGGER.warning("no remedy is known of the message %r: say one in it, or in docs/_ext/remedies.py", text)
    return listed


def marked(text: str) -> list[nodes.Node]:
    """Set as code what stands in backticks, or looks like a call or an option."""
    parts = re.split(r"`([^`]+)`|(?<!\S)(@?[\w.]+\([^()]*\)|--[a-z-]+)", text)
    return [nodes.literal(text=part) if number % 3 else nodes.Text(part) for number, part in enumerate(parts) if part]
