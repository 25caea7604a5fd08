"""Pages that need a framework: their code is run where it is installed, and must print what the page shows.

Such a page has plain blocks of ``python``, run in order in one namespace, each followed by a block of ``text`` if it
prints. The pages that are built with code cells need no framework.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

HOWTO = Path(__file__).parents[1] / "docs" / "howto"
BLOCKS = re.compile(r"```python\n(?P<code>.*?)```(?:\n\n```text\n(?P<shown>.*?)```)?", re.DOTALL)


def run(name: str) -> Iterator[tuple[str, str, str]]:
    """Run the blocks of a page: for each its code, what the page shows, and what was printed."""
    text = (HOWTO / name).read_text("utf-8")
    space: dict[str, object] = {"__name__": "page"}
    for block in BLOCKS.finditer(text):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block["code"], name, "exec"), space)
        yield block["code"], block["shown"] or "", printed.getvalue()


def rewrite(name: str) -> None:
    """Put what the code prints into the page; look at the difference before it is kept."""
    outputs = iter([printed for _, _, printed in run(name)])

    def shown(block: re.Match[str]) -> str:
        printed = next(outputs)
        code = f"```python\n{block['code']}```"
        return f"{code}\n\n```text\n{printed}```" if printed else code

    path = HOWTO / name
    path.write_text(BLOCKS.sub(shown, path.read_text("utf-8")), "utf-8")
