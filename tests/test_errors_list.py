"""The page of every error message: read from the source, so that a new message is on it, and each has a remedy."""

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

import symbreak

EXTENSIONS = Path(__file__).parents[1] / "docs" / "_ext"
if not EXTENSIONS.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)
sys.path.insert(0, str(EXTENSIONS))

from error_messages import HOLE, Message, messages, remedy  # noqa: E402 - found beside the pages

PACKAGE = Path(symbreak.__file__).parent


@pytest.fixture(scope="module")
def found() -> list[Message]:
    return messages(PACKAGE)


def listing() -> ModuleType:
    """Give the module that makes the page, where the docs extra is there."""
    pytest.importorskip("sphinx", reason="the docs extra brings it")
    return importlib.import_module("error_list")


def package(folder: Path, source: str) -> list[Message]:
    """Read the messages of a package of one module, `symbreak.engine`."""
    root = folder / "symbreak"
    root.mkdir(exist_ok=True)
    (root / "engine.py").write_text(f'"""Made up."""\n\n{source}')
    return messages(root)


def test_every_message_has_a_remedy(found):
    """One that it says itself, one given beside it, or a line of the table: nothing stands for all of the rest."""
    assert [(each.module, each.line, each.text) for each in found if remedy(each) is None] == []


def test_a_message_that_says_nothing_of_what_to_do_has_none(tmp_path):
    (message,) = package(tmp_path, "def f(x):\n    raise RuntimeError('everything went up in smoke')\n")
    assert remedy(message) is None


def test_a_new_message_appears_with_its_placeholders(tmp_path):
    made = "f'{weight.shape} and {len(weight)} of {type(self).__name__}; use `g`'"
    source = f"def f(weight):\n    raise ValueError({made})\n"
    text = "<shape> and <number> of <class>; use `g`"
    assert package(tmp_path, source) == [Message("symbreak.engine", 4, "ValueError", text)]


def test_the_page_has_a_new_message_under_its_part_and_its_module_with_its_remedy(tmp_path):
    text = "<shape> and more; use `g`"
    source = "def f(weight):\n    raise ValueError(f'{weight.shape} and more; use `g`')\n"
    shown = next(listing().page(package(tmp_path, source), tmp_path / "symbreak")).astext()
    assert "The engine" in shown
    assert "Made up." in shown
    assert text in shown
    assert "ValueError. Use g." in shown


def test_names_in_the_subject_of_a_module_are_set_as_code(tmp_path):
    found = package(tmp_path, "def f():\n    raise ValueError('too long; use `g`')\n")
    (tmp_path / "symbreak" / "engine.py").write_text('"""The names of ``jax.nn`` and `plan`."""\n')
    shown = next(listing().page(found, tmp_path / "symbreak"))[1]
    assert shown.astext() == "The names of jax.nn and plan."
    assert [each.astext() for each in shown.findall(lambda node: node.tagname == "literal")] == ["jax.nn", "plan"]


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("WHY = 'the world is flat'\ndef f():\n    raise ValueError(WHY)\n", ["the world is flat"]),
        ("def f():\n    why = 'too short' if X else 'too long a'\n    raise OSError(why)", ["too short", "too long a"]),
        ("def f(x):\n    raise ValueError('so long a' + f' message of {x}')\n", [f"so long a message of {HOLE}"]),
        ("def f():\n    raise OSError(say())\ndef say():\n    return f'{x.size} is far off'", ["<size> is far off"]),
        ("def f(x):\n    return TypeError('made here, raised elsewhere')\n", ["made here, raised elsewhere"]),
        ("class Own(ValueError):\n    pass\ndef f(x):\n    raise Own('its own error')\n", ["its own error"]),
        ("def f(error):\n    raise ValueError(str(error))\n", []),
        ("def f(error):\n    raise ValueError(f'{error}')\n", []),
    ],
    ids=["constant", "local", "sum", "helper", "returned", "own class", "passed on", "passed on in a string"],
)  # fmt: skip
def test_messages_are_read_however_they_are_made(tmp_path, source, texts):
    assert sorted(each.text for each in package(tmp_path, source)) == sorted(texts)


@pytest.mark.parametrize(
    ("kind", "text", "fix", "expected"),
    [
        ("BadCheckpoint", "the zip is cut", "copy it again", "Copy it again."),
        ("ValueError", "Normal: std is 0; for that use `Zeros()`", None, "For that use `Zeros()`."),
        ("ValueError", "Uniform: low is below high; got low=2", None, "Give what is allowed: low is below high."),
        ("UnknownName", "no initializer is called 'he'; did you mean 'he_normal'?", None, "Did you mean 'he_normal'?"),
    ],
)
def test_a_remedy_is_read_from_the_message(kind, text, fix, expected):
    assert remedy(Message("symbreak.elsewhere", 1, kind, text, fix)) == expected


def test_a_fix_that_is_given_beside_a_problem_is_its_remedy(tmp_path):
    source = "def f(source):\n    raise source.bad('the file is cut off', 'copy it again')\n"
    (message,) = package(tmp_path, source)
    assert (message.kind, message.text, remedy(message)) == ("BadCheckpoint", "the file is cut off", "Copy it again.")


def test_a_missing_extra_is_told_with_its_command(found):
    told = [remedy(each) for each in found if each.kind == "MissingExtra"]
    assert told
    assert all(each.startswith("Pip install 'symbreak[") or HOLE in each for each in told)


def test_messages_that_users_meet_are_there(found):
    texts = {each.text for each in found}
    assert any(text.startswith("no initializer is called <name>") for text in texts)
    assert any("hits no parameter; correct or remove it" in text for text in texts)
    assert len(found) > 900


def test_nearly_all_that_is_raised_is_read(found):
    """What is raised without a message of its own passes one on, or is a protocol of Python."""
    nodes = [node for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    raised = sum(isinstance(node, ast.Raise) and node.exc is not None for node in nodes)
    assert len({(each.module, each.line) for each in found}) > 0.85 * raised


def test_entries_say_each_message_once():
    twice = [Message("symbreak.graph", line, "ValueError", "one is a number; got two") for line in (1, 2)]
    assert len(listing().entries(twice)) == 1
