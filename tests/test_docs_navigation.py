"""The sidebar that is made once is the one that Sphinx and the theme make for each page, byte for byte."""

import subprocess
import sys
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[1] / "docs" / "_ext"
if not EXTENSIONS.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)
pytest.importorskip("furo", reason="the docs extra brings it")

PAGES = {
    "index": "Start\n=====\n\n{toctree}   a <b>\n   deep/index\n\n"
    ".. toctree::\n   :caption: More\n\n   last & least <z>\n",
    "b": "B\n=\n\nPart\n----\n\nText.\n",
    "z": "Z\n=\n\n{toctree}   Elsewhere <https://example.org/a?b&c>\n   deep/inner/one\n",
    "deep/index": "Deep\n====\n\n{toctree}   inner/one\n   inner/two\n",
    "deep/inner/one": "One\n===\n\nText.\n",
    "deep/inner/two": "Two\n===\n\n{toctree}   three\n",
    "deep/inner/three": "Three\n=====\n\nText.\n",
    "alone": ":orphan:\n\nAlone\n=====\n\nText.\n",
}
CONFIG = """\
import sys
sys.path.insert(0, {folder!r})
extensions = {extensions}
html_theme = "furo"
project = "p"
html_last_updated_fmt = None
"""


def build(folder, extensions):
    """Build the pages in a process of its own, and give them all."""
    for name, text in PAGES.items():
        path = folder / f"{name}.rst"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{toctree}", ".. toctree::\n\n"))
    (folder / "conf.py").write_text(CONFIG.format(folder=str(EXTENSIONS), extensions=extensions))
    command = [sys.executable, "-m", "sphinx", "-q", "-j", "2", str(folder), str(folder / "html")]
    subprocess.run(command, check=True, capture_output=True)
    return {path.relative_to(folder): path.read_text("utf-8") for path in sorted((folder / "html").rglob("*.html"))}


def test_every_page_is_the_same(tmp_path):
    plain = build(tmp_path / "plain", [])
    made = build(tmp_path / "made", ["navigation"])
    assert len(plain) == len(PAGES) + 2  # the index of names, and the search
    assert list(made) == list(plain)
    for name, text in plain.items():
        assert made[name] == text, name
    three = plain[Path("html/deep/inner/three.html")]
    assert three.count("current-page") == 1  # and there is something to get wrong
    assert three.count('checked=""') == 2
