"""One page a finding code, and a table of all of them, from the table that `symbreak explain` prints."""

import re
from pathlib import Path

from sphinx.application import Sphinx

from symbreak.findings import CODES, Code

FAMILIES = {"1": "One weight", "2": "Networks", "3": "Files", "4": "Several files"}  # by the code's first digit

CODE = re.compile(
    r"(`[^`]+`)|((?<![\w-])--[a-z-]+(?: [A-Z]+\b)?|\[\w+\(\)\] \* \d+|[\w.]+\([^()]*\)(?:\[[^\]]*\])?|"
    r"torch(?:\.\w+)+|\w+\.json)"
)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}


def write_pages(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "codes"
    folder.mkdir(exist_ok=True)
    pages = {f"{row.code}.md": page(row) for row in CODES.values()} | {"index.md": index()}
    for old in {path.name for path in folder.glob("*.md")} - set(pages):
        (folder / old).unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def page(row: Code) -> str:
    causes = "\n".join(f"- {sentence(cause)}" for cause in row.causes)
    return f"""# {row.code}: {row.sentence}

Level: **{row.level}**

## What it means

{coded(row.why)}

## What usually causes it

{causes}

## What to do

{sentence(row.fix)}
"""


def index() -> str:
    parts = [
        "# Findings\n\nEvery finding has a code. `symbreak explain SB101` prints its page, `symbreak list` prints this "
        "table; `--select` and `--ignore` take codes or their first letters.\n\nBy default the command exits with 1 "
        "at a warning or an error; a note changes nothing.\n"
    ]
    for digit, title in FAMILIES.items():
        rows = [row for row in CODES.values() if row.code[2] == digit]
        if rows:
            lines = "\n".join(f"| [{row.code}]({row.code}.md) | {row.level} | {row.sentence} |" for row in rows)
            parts.append(f"## {title}\n\n| code | level | what |\n|---|---|---|\n{lines}\n")
    listed = "\n".join(CODES)
    parts.append(f"```{{toctree}}\n:hidden:\n\n{listed}\n```\n")
    return "\n".join(parts)


def sentence(text: str) -> str:
    return coded(text[0].upper() + text[1:] + ".")


def coded(text: str) -> str:
    """Set as code what stands in a terminal as itself: calls, options with their argument, and names with dots."""
    parts = CODE.split(text)  # what stands around, what is marked already, and what is to be, in turn
    return "".join(f"`{part}`" if number % 3 == 2 else part for number, part in enumerate(parts) if part)
