"""The gallery: each program of docs/examples is run, and becomes a page with its text, its picture and what it prints.

A program begins with its title, says what it shows, and has two more lines in its docstring: `Part:`, under which it is
listed, and `Picture:`, what is to be seen, for those who don't see it. It leaves one figure.
"""

import ast
import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PARTS = ("Tied units", "Getting away", "Starts", "Depth", "Numbers", "Files and repairs")


@dataclass(frozen=True)
class Example:
    """A program: its name, what its docstring says, and the code that follows."""

    name: str
    title: str
    text: str
    part: str
    picture: str
    code: str


def setup(app: "Sphinx") -> dict[str, bool]:
    app.connect("builder-inited", write_gallery)
    return {"parallel_read_safe": True}


def write_gallery(app: "Sphinx") -> None:
    source, folder = Path(app.srcdir) / "examples", Path(app.srcdir) / "gallery"
    examples = [read(path) for path in sorted(source.glob("*.py"))]
    (folder / "images").mkdir(parents=True, exist_ok=True)
    pages = {"index.md": index(examples)}
    for example in examples:
        shown = run(source / f"{example.name}.py", folder / "images" / f"{example.name}.png")
        pages[f"{example.name}.md"] = page(example, shown)
    for old in {path.name for path in folder.glob("*.md")} - set(pages):
        (folder / old).unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def read(path: Path) -> Example:
    """Take a program apart."""
    source = path.read_text("utf-8")
    docstring = ast.get_docstring(tree := ast.parse(source)) or ""
    title, *rest = docstring.split("\n\n")
    fields = dict(each.split(": ", 1) for each in rest if each.startswith(("Part: ", "Picture: ")))
    text = "\n\n".join(each for each in rest if not each.startswith(("Part: ", "Picture: ")))
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno or 0 :]).strip("\n")
    if fields.get("Part") not in PARTS or "Picture" not in fields or not text:
        raise ValueError(f"{path}: says a title, a text, 'Part: ' (one of {', '.join(PARTS)}) and 'Picture: '")
    return Example(path.stem, title.rstrip("."), text, fields["Part"], " ".join(fields["Picture"].split()), code)


def run(path: Path, image: Path) -> str:
    """Run a program in a folder of its own, save its figure, and give what it printed; a warning is an error."""
    import matplotlib.pyplot as plt

    printed, here = io.StringIO(), Path.cwd()
    plt.close("all")
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(printed),
        warnings.catch_warnings(),
        plt.rc_context(fname=str(Path(__file__).parents[1] / "matplotlibrc")),
    ):
        plt.switch_backend("Agg")
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
        os.chdir(folder)
        try:
            exec(compile(path.read_text("utf-8"), str(path), "exec"), {"__name__": "__main__"})
        finally:
            os.chdir(here)
        (number,) = plt.get_fignums()
        plt.figure(number).savefig(image)
    plt.close("all")
    return printed.getvalue().rstrip()


def page(example: Example, printed: str) -> str:
    shown = f"\n```text\n{printed}\n```\n" if printed else ""
    return (
        f"# {example.title}\n\n{example.text}\n\n"
        f":::{{div}} wide\n```{{image}} images/{example.name}.png\n"
        f":alt: {example.picture}\n:class: picture\n```\n:::\n\n"
        f"```python\n{example.code}\n```\n{shown}\n"
        f"{{download}}`The program: {example.name}.py <../examples/{example.name}.py>`\n"
    )


def index(examples: Iterable[Example]) -> str:
    """Write the page of all pictures, part by part."""
    listed = list(examples)
    lines = [
        "# Gallery",
        "",
        f"{len(listed)} short programs with a picture each. All of them were run when these pages were built; copy one "
        "and run it, with symbreak [installed](../index.md#install) as `[plot]` or `[all]`.",
        "",
    ]
    for part in PARTS:
        lines += [f"## {part}", "", "::::{grid} 1 2 3 3", ":gutter: 3", ""]
        for each in listed:
            if each.part == part:
                lines += [
                    f":::{{grid-item-card}} {each.title}",
                    f":link: {each.name}",
                    ":link-type: doc",
                    f":img-top: images/{each.name}.png",
                    f":img-alt: {each.picture}",
                    ":class-card: sd-h-100",
                    ":::",
                    "",
                ]
        lines += ["::::", ""]
    return "\n".join(
        [
            *lines,
            "```{toctree}",
            ":hidden:",
            "",
            *(each.name for part in PARTS for each in listed if each.part == part),
            "```",
            "",
        ]
    )
