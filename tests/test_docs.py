"""The documentation says what is true: examples give what they show, and every public name and code has its page."""

import datetime as dt
import doctest
import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

import symbreak
from symbreak.findings import CODES

ROOT = Path(__file__).parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
REFERENCE = DOCS / "reference"
MADE = {"generated", "codes", "gallery"}  # when the pages are built
PAGES = sorted(path for path in DOCS.rglob("*") if path.suffix in {".md", ".rst"} and not MADE & set(path.parts))
SOURCES = [path for path in (README, *PAGES) if path.exists()]

pytestmark = pytest.mark.skipif(not README.exists(), reason="the tests were copied without the documentation")


# What the pages on frameworks list is looked up where these are installed.
FRAMEWORKS = {"torch": ("torch", "transformers"), "jax": ("jax",), "keras": ("keras",)}


def have(part: str) -> bool:
    """Say whether what the page of a part needs is installed."""
    return all(importlib.util.find_spec(each) is not None for each in FRAMEWORKS.get(part, ()))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def documented() -> set[str]:
    """Give the full names that the reference lists."""
    found = set()
    for path in REFERENCE.glob("*.rst"):
        if not have(path.stem):
            continue
        module, listing = "", False
        for line in path.read_text("utf-8").splitlines():
            if named := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = named[1]
            elif line.startswith(".. autosummary::"):
                listing = True
            elif listing and (entry := re.match(r"   ([A-Za-z_][\w.]*)$", line)):
                found.add(f"{module}.{entry[1]}")
            elif line and not line.startswith(" "):
                listing = False
    return found


def resolve(name: str) -> object:
    """Give the object of a full name, whatever part of it is modules."""
    words = name.split(".")
    for cut in range(len(words) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(words[:cut]))
        except ModuleNotFoundError:
            continue
        for word in words[cut:]:
            found = getattr(found, word)
        return found
    raise AssertionError(f"{name} leads nowhere")


def public(name: str) -> list[str]:
    """Give the full names of the classes and functions that a module has for its users."""
    module = importlib.import_module(name)
    listed = [each for each in getattr(module, "__all__", dir(module)) if not each.startswith("_")]
    return [
        f"{name}.{each}"
        for each in listed
        if inspect.isroutine(value := getattr(module, each)) or inspect.isclass(value)
    ]


def test_the_readme_example_prints_what_it_shows():
    code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README.read_text("utf-8"), re.DOTALL).groups()
    paths = os.environ | {"PYTHONPATH": str(Path(symbreak.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=paths, check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == (shown, "", 0)


def test_the_readme_example_is_ten_lines():
    code = re.search(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)[1]
    assert len(code.splitlines()) <= 10


@pytest.mark.parametrize("command", ["pip install '.[all]' && symbreak demo", "pip install -e '.[test]' && pytest"])
def test_the_readme_has_the_two_commands(command):
    assert f"```console\n{command}\n```" in README.read_text("utf-8")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_links_between_pages_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text("utf-8"))
    lost = [link for link in links if not (path.parent / link).exists()]
    assert [link for link in lost if not MADE & set(Path(link).parts)] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if ">>> " in path.read_text("utf-8")], ids=name_of)
def test_sessions_in_the_pages_print_what_they_show(path):
    text = re.sub(r"^```.*$", "", path.read_text("utf-8"), flags=re.MULTILINE)
    session = doctest.DocTestParser().get_doctest(text, {}, name_of(path), str(path), 0)
    assert session.examples
    imports = " ".join(re.findall(r"^>>> (?:import|from) .*", text, re.MULTILINE))
    for framework in sorted(set(re.findall(r"\b(?:equinox|flax|haiku|jax|keras|torch)\b", imports))):
        pytest.importorskip(framework)
    assert doctest.DocTestRunner().run(session).failed == 0


def test_every_public_name_is_in_the_reference():
    modules = ["symbreak", "symbreak.adapters", "symbreak.attention", "symbreak.checkpoints", "symbreak.diagnosis",
               "symbreak.engine", "symbreak.errors", "symbreak.repair", "symbreak.streams",
               "symbreak.testing"]  # fmt: skip
    if have("torch"):
        modules += ["symbreak.torch", "symbreak.torch.init"]
    if have("jax"):
        modules += ["symbreak.jax"]
    shown = [resolve(name) for name in documented()]
    lost = [name for module in modules for name in public(module) if resolve(name) not in shown]
    # PyTorch's deprecated names are shown by those that took their place.
    assert [name for name in lost if inspect.unwrap(resolve(name)) not in shown] == []


def test_the_reference_lists_nothing_that_is_not_there():
    assert len(documented()) > 50
    assert [name for name in documented() if not inspect.getdoc(resolve(name))] == []


def see_also(name: str) -> list[str]:
    """Give the names to which the page of a name sends its readers."""
    after = (inspect.getdoc(resolve(name)) or "").partition("\nSee Also\n--------\n")[2].partition("\n\n")[0]
    return [each for line in after.splitlines() for each in line.partition(" : ")[0].split(", ")]


def test_names_to_see_also_have_pages():
    pages, lost = documented(), []
    for name in sorted(pages):
        module = name.rpartition(".")[0]
        lost += [(name, each) for each in see_also(name) if not {each, f"{module}.{each}"} & (pages - {name})]
    missing = [part for part in FRAMEWORKS if not have(part)]
    assert [(name, each) for name, each in lost if not each.startswith(tuple(f"symbreak.{x}" for x in missing))] == []


@pytest.mark.parametrize("name", ["diagnose", "merge", "untie", "plan", "gain", "fans", "HeNormal", "GlorotUniform",
                                  "TruncatedNormal", "Orthogonal", "Constant", "engine.train"])  # fmt: skip
def test_names_that_readers_come_for_send_them_on(name):
    assert len(see_also(f"symbreak.{name}")) >= 2


def test_every_code_is_explained():
    for row in CODES.values():
        assert row.why.endswith(".")
        assert row.causes
        assert row.fix


def changes() -> dict[str, str]:
    """Give the sections of the changelog, the newest first, by their headings."""
    _, *sections = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    return dict(section.split("\n", 1) for section in sections)


def test_the_changelog_has_an_unreleased_section_above_the_releases_with_one_line_a_capability():
    headings = list(changes())
    assert headings[0] == "Unreleased"
    assert len(headings) > 1
    for heading, entries in changes().items():
        lines = re.findall(r"^- (.+)$", entries, re.MULTILINE)
        assert lines or heading == "Unreleased"
        assert bool(lines) != ("Nothing yet." in entries)
        assert [line for line in lines if not re.match(r"(Added|Changed|Fixed|Removed|Deprecated) ", line)] == []


def test_citation_changelog_and_package_name_one_version_and_one_day():
    citation = dict(
        re.findall(r"^(version|date-released): (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    )
    assert citation["version"] == symbreak.__version__
    assert list(changes())[1] == f"{citation['version']} ({citation['date-released']})"
    day = dt.date.fromisoformat(citation["date-released"])
    assert day.isoformat() == citation["date-released"]
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", symbreak.__version__)


def test_the_page_on_ci_pins_the_version_that_there_is():
    page = (ROOT / "docs/howto/ci.md").read_text("utf-8")
    assert re.findall(r"rev: v([0-9.]+)", page) == [symbreak.__version__]


# The page on the format of the streams says enough to draw them again: here is someone who does.


def read_key(seed: int, names: list[str], lane: str) -> np.random.PCG64DXSM:
    parts = ["int", str(seed), "", *names, lane]
    text = f"1,{len(names)};".encode() + b"".join(len(p.encode()).to_bytes(8, "little") + p.encode() for p in parts)
    digest = hashlib.blake2b(text, digest_size=32, person=b"symbreak-v1").digest()
    generator = np.random.PCG64DXSM()
    state = {"state": int.from_bytes(digest[:16], "little"), "inc": int.from_bytes(digest[16:], "little") | 1}
    generator.state = {"bit_generator": "PCG64DXSM", "state": state, "has_uint32": 0, "uinteger": 0}
    return generator


def read_items(lane: str, bits: int) -> list[int]:
    """Give the items of the first block."""
    words = read_key(7, ["fc1.weight", "é"], lane).random_raw(512 * bits // 64).tolist()
    return words if bits == 64 else [half for word in words for half in (word % 2**32, word >> 32)]


def signed(item: int, bits: int) -> int:
    return item - 2**bits if item >= 2 ** (bits - 1) else item


def drawn(distribution: str, bits: int, **parameters: float) -> np.ndarray:
    key = symbreak.Key(7)["fc1.weight"]["é"]
    stream = symbreak.Stream(key, dtype=f"float{bits}")
    return getattr(stream, distribution)(512, **parameters).astype(np.float64)


PRECISIONS = pytest.mark.parametrize(("bits", "kept"), [(32, 32), (64, 53)])


@PRECISIONS
def test_uniforms_can_be_drawn_again_from_the_page(bits, kept):
    k = np.array([signed(item, bits) >> (bits - kept) for item in read_items(f"uniform{bits}", bits)])
    centred = k.astype(f"float{bits}") + np.array(0.5, f"float{bits}")
    scale = np.array(2 / 2**kept * (1 - 2**-24 if bits == 32 else 1), f"float{bits}")
    assert drawn("uniform", bits).tolist() == (centred * scale).tolist()


@PRECISIONS
def test_signs_can_be_drawn_again_from_the_page(bits, kept):
    items = read_items(f"sign{bits}", bits)
    assert drawn("sign", bits).tolist() == [-1.0 if item >> (bits - 1) else 1.0 for item in items]


@PRECISIONS
def test_normals_can_be_drawn_again_from_the_page(bits, kept):
    items = read_items(f"normal{bits}", bits)
    u = np.array([((item >> (bits - kept)) + 0.5) / 2**kept for item in items[:256]])
    r = np.sqrt(-2 * np.log(u)) * [-1 if item & 1 else 1 for item in items[:256]]
    a = np.pi / 2 * np.array([(signed(item, bits) >> (bits - kept)) / 2 ** (kept - 1) for item in items[256:]])
    expected = np.concatenate([r * np.cos(a), r * np.sin(a)])
    tolerance = 3e-6 if bits == 32 else 1e-14
    np.testing.assert_allclose(drawn("normal", bits), expected, rtol=0, atol=tolerance)


@PRECISIONS
def test_truncated_normals_can_be_drawn_again_from_the_page(bits, kept):
    tops = [signed(item, bits) >> (bits - kept) for item in read_items(f"truncated{bits}", bits)]
    inside = (np.array(tops) + 0.5) / 2**kept + 0.5
    expected = ndtri(ndtr(-2.0) + inside * (ndtr(2.0) - ndtr(-2.0)))
    tolerance = 2e-6 if bits == 32 else 1e-13
    np.testing.assert_allclose(drawn("truncated_normal", bits), expected, rtol=0, atol=tolerance)


def test_the_files_that_contributors_are_sent_to_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"[`(]((?:symbreak|tests|docs|\.ci)/[\w./-]+|\.ci/run|CHANGELOG\.md)", text))
    real = {each for each in named if not re.fullmatch(r"_?(test_)?name\.py", Path(each).name)}
    assert len(real) > 20
    assert [each for each in real if not (ROOT / each).exists()] == []


def test_names_that_contributors_are_told_are_there():
    """Each is looked for in the file that the sentence names first."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    pairs = [
        ("symbreak/findings.py", "_TABLE"),
        ("symbreak/checkpoints/_formats.py", "FORMATS"),
        ("tests/initializers/test_promises.py", "TABLE"),
        ("tests/streams/_golden.py", "INITIALIZERS"),
    ]
    for path, name in pairs:
        assert re.search(rf"`{re.escape(path)}`: a row of\s+`{name}`", text), path
        assert re.search(rf"^{name}\b.*=", (ROOT / path).read_text("utf-8"), re.MULTILINE), path
