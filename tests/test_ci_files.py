"""What other people's machines run as it stands: the hooks of pre-commit, and the examples of the page on CI."""

import re
from pathlib import Path

import pytest

from symbreak.checkpoints._refusals import SUFFIXES
from symbreak.cli import build_parser
from symbreak.cli._settings import read_settings
from symbreak.findings import Level

ROOT = Path(__file__).parents[1]
HOOKS, PAGE = ROOT / ".pre-commit-hooks.yaml", ROOT / "docs/howto/ci.md"
pytestmark = pytest.mark.skipif(not HOOKS.exists(), reason="the tests were copied without the hooks and the docs")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_the_hooks_take_every_format_and_are_commands_that_there_are():
    yaml = pytest.importorskip("yaml")
    hooks = yaml.safe_load(HOOKS.read_text("utf-8"))
    assert [hook["id"] for hook in hooks] == ["symbreak", "symbreak-network"]
    for hook in hooks:
        command, *options = hook["entry"].split()
        assert command == "symbreak"
        build_parser().parse_args([*options, "model.npz"])
    for suffix in SUFFIXES - {".bin"}:
        assert re.search(hooks[0]["files"], f"models/a{suffix}"), suffix
    assert re.search(hooks[0]["files"], "pytorch_model.bin")
    assert re.search(hooks[0]["files"], "pytorch_model-00001-of-00002.bin")
    for other in ("firmware.bin", "a.npz.txt", "a.py", "npz"):
        assert not re.search(hooks[0]["files"], other), other


def test_the_hooks_of_the_page_are_those_that_there_are():
    yaml = pytest.importorskip("yaml")
    (config,) = [yaml.safe_load(text) for text in blocks("yaml") if text.startswith("repos:")]
    known = {hook["id"] for hook in yaml.safe_load(HOOKS.read_text("utf-8"))}
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for hook in hooks} <= known
    for hook in hooks:  # its pattern takes the place of ours
        assert re.search(hook["files"], "models/a/b.safetensors")
        assert not re.search(hook["files"], "models/README.md")
        assert not re.search(hook["files"], "models/config.json")


def test_the_commands_of_the_workflow_are_understood():
    yaml = pytest.importorskip("yaml")
    (workflow,) = [yaml.safe_load(text) for text in blocks("yaml") if text.startswith("name:")]
    runs = [step["run"] for step in workflow["jobs"]["symbreak"]["steps"] if "run" in step]
    commands = [run.split(" >> ")[0].split() for run in runs if run.startswith("symbreak ")]
    formats = [build_parser().parse_args(command[1:]).format for command in commands]
    assert formats == ["github", "markdown", "sarif"]


def test_the_settings_of_the_page_are_read(tmp_path):
    (text,) = blocks("toml")
    (tmp_path / "pyproject.toml").write_text(text, "utf-8")
    settings = read_settings(tmp_path / "pyproject.toml")
    assert settings.tolerance == 0.01
    assert settings.fail_on == "error"
    assert settings.levels == {"SB102": Level.ERROR, "SB109": Level.NOTE}
    assert settings.baseline == str(tmp_path / "known.json")
    assert [glob for glob, _ in settings.tensors] == ["lm_head.*", "*.position_*"]


def test_every_key_of_the_settings_is_on_the_page():
    from symbreak.cli._settings import KEYS

    (text,) = blocks("toml")
    for key in KEYS:
        assert re.search(rf"^{key} =|^\[tool.symbreak.{key}\]", text, re.MULTILINE), key
