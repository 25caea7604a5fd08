"""Which pages show a public name at work: found in their code, and told on the name's page in the reference.

`conf.py` hands the answer to the templates of the reference, as `uses`: full name -> documents, in the pages' order.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PARTS = ("tutorial", "quickstart", "howto", "explanation", "published", "examples")
BLOCKS = re.compile(r"^```(?:\{code-cell\}|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEAD = re.compile(r"\A---\n.*?^---\n|\A(?::[^\n]*\n)+", re.DOTALL | re.MULTILINE)  # of a cell: its tags, its picture


def uses(docs: Path) -> dict[str, list[str]]:
    """Give the documents that use each name of symbreak, the programs of the gallery as its pages."""
    found: dict[str, list[str]] = {}
    for part in PARTS:
        for path in sorted([docs / f"{part}.md", *(docs / part).glob("*.md"), *(docs / part).glob("*.py")]):
            if path.exists():
                page = Path("gallery", path.stem) if path.suffix == ".py" else path.relative_to(docs).with_suffix("")
                for name in sorted(names(code(path))):
                    found.setdefault(name, []).append(f"/{page.as_posix()}")
    return found


def code(path: Path) -> list[str]:
    """Give the pieces of Python that a page or a program holds, without what is the notebook's own."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        return [text]
    cells = [HEAD.sub("", block) for block in BLOCKS.findall(text)]
    cells = [cell for cell in cells if not cell.startswith(("%%", ">>> "))]  # a file to write; a session
    cells = [re.sub("^[%!].*", "", cell, flags=re.MULTILINE) for cell in cells]
    return [*cells, "\n".join(re.findall("^(?:>>> |[.]{3} )(.*)", text, re.MULTILINE))]


def names(pieces: list[str]) -> set[str]:
    """Give the full names that pieces of Python take from symbreak, by the names that they import it under."""
    trees = [ast.parse(piece) for piece in pieces]
    known = dict(pair for tree in trees for pair in imported(tree))
    found = {dotted(node, known) for tree in trees for node in ast.walk(tree)}
    return {name for name in found if name}


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.asname, each.name) for each in node.names if each.asname)
            yield from ((each.name.split(".")[0],) * 2 for each in node.names if not each.asname)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)


def dotted(node: ast.AST, known: dict[str, str]) -> str:
    """Give the full name of an expression, or nothing if it is not one of symbreak's."""
    if isinstance(node, ast.Name):
        full = known.get(node.id, "")
        return full if full.split(".")[0] == "symbreak" else ""
    if isinstance(node, ast.Attribute) and (before := dotted(node.value, known)):
        return f"{before}.{node.attr}"
    return ""
