"""The gallery: every program runs, leaves one picture, and says what is to be seen on it."""

import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
pytest.importorskip("matplotlib", reason="the plot extra brings it")
if not DOCS.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)
sys.path.insert(0, str(DOCS / "_ext"))

import gallery  # noqa: E402 - found beside the pages

PROGRAMS = sorted((DOCS / "examples").glob("*.py"))
QUICK = {"shards", "untie", "coarse_types", "shared_seed"}  # run here; all are when the pages are built


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_says_what_it_shows(path):
    example = gallery.read(path)
    assert example.title
    assert len(example.picture) > 40
    assert 10 <= len(example.code.splitlines()) <= 70


def test_there_are_enough_in_every_part():
    parts = [gallery.read(path).part for path in PROGRAMS]
    assert len(parts) >= 15
    assert all(parts.count(part) >= 3 for part in gallery.PARTS)


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.stem in QUICK], ids=lambda path: path.stem)
def test_a_program_leaves_a_picture(path, tmp_path):
    image = tmp_path / "image.png"
    printed = gallery.run(path, image)
    assert image.read_bytes().startswith(b"\x89PNG")
    assert gallery.page(gallery.read(path), printed).count("```python") == 1


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_can_be_downloaded_from_its_page(path):
    (target,) = re.findall(r"\{download\}`[^<`]*<([^>]+)>`", gallery.page(gallery.read(path), ""))
    assert (DOCS / "gallery" / target).resolve() == path


def test_shards_are_the_whole(tmp_path):
    assert gallery.run(DOCS / "examples" / "shards.py", tmp_path / "image.png") == "equal, bit for bit: True"


def test_a_program_without_its_fields_is_refused(tmp_path):
    path = tmp_path / "bare.py"
    path.write_text('"""Only a title."""\n\nx = 1\n')
    with pytest.raises(ValueError, match=r"says a title, a text, 'Part: ' \(one of .*\) and 'Picture: '"):
        gallery.read(path)


def test_a_warning_of_a_program_is_an_error(tmp_path):
    path = tmp_path / "loud.py"
    path.write_text('"""Loud."""\n\nimport warnings\n\nwarnings.warn("heard")\n')
    with pytest.raises(UserWarning, match="heard"):
        gallery.run(path, tmp_path / "image.png")


def test_the_index_lists_every_program_once():
    examples = [gallery.read(path) for path in PROGRAMS]
    text = gallery.index(examples)
    assert all(text.count(f":link: {each.name}\n") == 1 for each in examples)
    assert all(text.count(f"\n{each.name}\n") == 1 for each in examples)
