"""What `symbreak check --show-wiring` prints: the graph that is understood, on what evidence, and what isn't known."""

import json
from pathlib import Path

import numpy as np
import pytest

from symbreak.checkpoints import save_safetensors
from symbreak.cli import main

DATA = Path(__file__).parents[1] / "data"
RNG = np.random.default_rng(0)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys, *arguments):
    code = main(["check", "--show-wiring", *map(str, arguments)])
    printed = capsys.readouterr()
    assert all(len(line) <= 80 for line in printed.out.splitlines())
    return code, printed.out, printed.err


def test_each_space_is_shown_with_its_size_what_writes_and_what_reads_it(here, capsys):
    arrays = {"fc1.weight": RNG.normal(size=(8, 3)), "fc1.bias": np.zeros(8), "fc2.weight": RNG.normal(size=(2, 8))}
    save_safetensors("m.safetensors", arrays)
    code, out, _ = shown(capsys, "m.safetensors")
    assert code == 0
    assert out == (
        "m.safetensors: wired by numbered layers; 3 spaces, 2 weights, 1 per-unit\n"
        "  parameters\n"
        "  fc1: 8 units, unknown\n"
        "    written by fc1.weight\n"
        "    read by fc2.weight\n"
        "    per unit fc1.bias\n"
        "  input: 3 units, identity, an input\n"
        "    read by fc1.weight\n"
        "  output: 2 units, identity, an output\n"
        "    written by fc2.weight\n"
    )


def test_blocks_that_are_alike_are_shown_once(here, capsys):
    rows = {row["model"]: row for row in map(json.loads, (DATA / "wirings.jsonl").read_text("utf-8").splitlines())}
    save_safetensors(
        "model.safetensors", {key: np.zeros(shape, "f4") for key, shape in rows["llama"]["tensors"].items()}
    )
    Path("config.json").write_text(json.dumps(rows["llama"]["config"]), "utf-8")
    _, out, _ = shown(capsys, "model.safetensors")
    assert "model.layers.0.mlp.hidden and 1 more like it, to model.layers.1.mlp.hidden: 20\n      units, silu" in out
    assert "heads of model.layers.0.self_attn.query_key, model.layers.0.self_attn.value" in out
    assert "6 units, identity, each told apart" in out
    assert "model.layers.*.self_attn.q_proj.weight" in out


@pytest.mark.parametrize(("file", "rule"), [("pictures.onnx", "ONNX graph"), ("steps.keras", "Keras configuration")])
def test_the_evidence_is_named(capsys, file, rule):
    code, out, _ = shown(capsys, DATA / "graphs" / file)
    assert code == 0
    assert f"wired by {rule}" in " ".join(out.split())


def test_what_is_not_known_is_named_with_the_reason(here, capsys):
    save_safetensors("m.safetensors", {"up": np.ones((6, 3)), "down": np.ones((2, 6))})
    code, out, _ = shown(capsys, "m.safetensors")
    assert code == 0
    assert "m.safetensors: nothing says how its tensors are connected\n  not known\n" in out
    assert "    up, down: no rule knows it" in out or "    down, up: no rule knows it" in out


def test_a_file_that_can_not_be_read_is_reported_and_the_others_are_shown(here, capsys):
    save_safetensors("a.safetensors", {"fc1.weight": np.ones((6, 3)), "fc2.weight": np.ones((2, 6))})
    Path("b.safetensors").write_bytes(b"no")
    code, out, _ = shown(capsys, "a.safetensors", "b.safetensors", "c.safetensors")
    assert code == 2
    assert "a.safetensors: wired by numbered layers" in out
    assert "SB301 b.safetensors" in out
    assert "SB301 c.safetensors" in out


def test_a_wiring_file_is_shown_and_one_that_does_not_fit_is_an_error(here, capsys):
    save_safetensors("m.safetensors", {"up": np.ones((6, 3)), "down": np.ones((2, 6))})
    Path("w.toml").write_text(
        'version = 1\n[tensors]\n"up" = ["out hidden", "in x"]\n"down" = ["out y", "in hidden"]\n', "utf-8"
    )
    code, out, _ = shown(capsys, "--wiring", "w.toml", "m.safetensors")
    assert (code, "wired by wiring;" in out) == (0, True)
    Path("w.toml").write_text('version = 1\n[tensors]\n"other" = ["out hidden", "in x"]\n', "utf-8")
    code, _, err = shown(capsys, "--wiring", "w.toml", "m.safetensors")
    assert code == 2
    assert "m.safetensors: the wiring names 'other'" in err.replace('"', "'")


def test_the_wiring_goes_to_a_file(here, capsys):
    save_safetensors("m.safetensors", {"fc1.weight": np.ones((6, 3)), "fc2.weight": np.ones((2, 6))})
    code, out, _ = shown(capsys, "--output", "wiring.txt", "m.safetensors")
    assert (code, out) == (0, "")
    assert "wired by numbered layers" in Path("wiring.txt").read_text("utf-8")
