"""The documentation hangs together: every page is reached, every link leads to a heading, and all is spelt."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {"generated", "codes", "gallery", "_build", "_templates"}  # made when the pages are built, and what makes them
PAGES = sorted(path for path in DOCS.rglob("*") if path.suffix in {".md", ".rst"} and not MADE & set(path.parts))

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the tests were copied without the documentation")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def listed(path: Path) -> list[Path]:
    """Give the pages that the tables of contents of a page name, with or without a title before them."""
    text, found = path.read_text("utf-8"), []
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL)
    blocks += re.findall(r"\.\. toctree::\n((?:   .*\n|\n)+)", text + "\n")
    for line in "\n".join(blocks).splitlines():
        name = re.sub(r".*<(.*)>", r"\1", line.strip())
        if name and not name.startswith(":"):
            found.append(path.parent / name)
    return found


def test_every_page_is_in_one_table_of_contents():
    named = [each.resolve() for path in PAGES for each in listed(path)]
    pages = {path.with_suffix("").resolve() for path in PAGES} - {(DOCS / "index").resolve()}
    assert sorted(pages - set(named)) == []
    assert sorted({each for each in named if named.count(each) > 1}) == []


def test_tables_of_contents_name_pages_that_are_there():
    pages = {path.with_suffix("").resolve() for path in PAGES}
    lost = [each for path in PAGES for each in listed(path) if each.resolve() not in pages]
    assert [each for each in lost if not MADE & set(each.parts)] == []


def headings(path: Path) -> set[str]:
    """Give the anchors of a page in Markdown, as GitHub and MyST make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=name_of)
def test_links_lead_to_headings_that_are_there(path):
    links = re.findall(r"\]\(([^)\s]*)#([^)\s]+)\)", path.read_text("utf-8"))
    inside = [(page, anchor) for page, anchor in links if "://" not in page]
    lost = [
        f"{page}#{anchor}"
        for page, anchor in inside
        if (target := path.parent / page if page else path).suffix == ".md" and anchor not in headings(target)
    ]
    assert lost == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_cross_references_by_doc_lead_somewhere(path):
    named = re.findall(r"(?:\{doc\}|:doc:)`(?:[^`<]*<)?([^`<>]+)>?`", path.read_text("utf-8"))
    lost = []
    for name in named:
        target = DOCS / name[1:] if name.startswith("/") else path.parent / name
        if not MADE & set(target.parts) and not any(target.with_suffix(end).exists() for end in (".md", ".rst")):
            lost.append(name)
    assert lost == []


@pytest.mark.parametrize("path", [path for path in PAGES if "{code-cell}" in path.read_text("utf-8")], ids=name_of)
def test_pages_with_cells_are_run(path):
    """A page whose head does not name a kernel would show its cells and run none."""
    assert path.read_text("utf-8").startswith("---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n")


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pictures_are_described(path):
    """Cells that show a figure say what is to be seen, for those who don't see it."""
    cells = re.findall(r"```\{code-cell\}\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    shown = [cell for cell in cells if "plt.show()" in cell or re.search(r"= \S+\.plot\(", cell)]
    assert [cell for cell in shown if "    alt: " not in cell] == []


def test_words_are_spelt():
    """The common misspellings that codespell knows, as `.ci/run lint` does; docs/spelling.txt has what is none."""
    pytest.importorskip("codespell_lib", reason="the lint extra brings it")
    command = [sys.executable, "-m", "codespell_lib"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)


def test_a_misspelt_page_is_found(tmp_path):
    pytest.importorskip("codespell_lib", reason="the lint extra brings it")
    (tmp_path / "page.md").write_text("Two units are equall for every input.\n")
    command = [sys.executable, "-m", "codespell_lib", str(tmp_path / "page.md")]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert "equall ==> equal" in done.stdout


def test_the_lint_step_checks_the_spelling():
    assert re.search(r"^    codespell$", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert any(each.startswith("codespell") for each in settings["project"]["optional-dependencies"]["lint"])
    assert (ROOT / settings["tool"]["codespell"]["ignore-words"]).exists()


def test_links_of_built_pages_are_checked(tmp_path):
    """`.ci/run docs` runs this program on all of them."""
    (tmp_path / "one.html").write_text('<p id="here"><a href="two.html#there">x</a><a href="#here">x</a></p>')
    two = '<p id="there"><a href="one.html#gone">x</a><a href="lost.html">x</a><img src="one.html">'
    two += '<img src="one.html" alt="../_images/3df3.png"></p>'
    (tmp_path / "two.html").write_text(two)
    command = [sys.executable, str(ROOT / ".ci/check_links.py"), str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "two.html: the picture one.html has no text",
        "two.html: the picture one.html has no text but the name of a file, '../_images/3df3.png'",
        "two.html: lost.html leads to no file",
        "two.html: one.html#gone leads to no anchor",
    ]
    assert "python .ci/check_links.py" in (ROOT / ".ci/run").read_text("utf-8")


CELL = re.compile(r"^```\{code-cell\}\n(---\n.*?\n---\n|(?::[^\n]*\n)+|)(.*?)^```", re.DOTALL | re.MULTILINE)


def names(code: str, kind: type[ast.expr_context]) -> set[str]:
    """Give the names that a piece of Python reads (`ast.Load`) or makes (`ast.Store`)."""
    made, tree = set[str](), ast.parse(re.sub(r"^[%!].*", "", code, flags=re.MULTILINE))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, kind):
            made.add(node.id)
        elif kind is ast.Store and isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(each.asname or each.name).split(".")[0] for each in node.names}
        elif kind is ast.Store and isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif kind is ast.Store and isinstance(node, ast.arg):
            made.add(node.arg)
        elif kind is ast.Store and isinstance(node, ast.ExceptHandler) and node.name:
            made.add(node.name)
    return made


def unexplained(text: str) -> list[str]:
    """Give the names that cells which a reader sees take from cells that no reader sees."""
    cells = [
        (head, code) for head, code in CELL.findall(text) if not code.startswith("%%") and "remove-input" not in head
    ]
    seen = [code for head, code in cells if "remove-cell" not in head]
    hidden = [code for head, code in cells if "remove-cell" in head]
    made = set().union(*(names(code, ast.Store) for code in seen))
    read = set().union(*(names(code, ast.Load) for code in seen))
    return sorted(read & set().union(*(names(code, ast.Store) for code in hidden)) - made)


@pytest.mark.parametrize("path", [path for path in PAGES if "remove-cell" in path.read_text("utf-8")], ids=name_of)
def test_readers_see_where_the_names_of_a_cell_come_from(path):
    assert unexplained(path.read_text("utf-8")) == []


def test_a_cell_that_needs_a_hidden_one_is_found():
    page = "```{code-cell}\n:tags: [remove-cell]\n\nimport numpy as np\n```\n\n```{code-cell}\nx = np.ones(3)\n```\n"
    assert unexplained(page) == ["np"]
