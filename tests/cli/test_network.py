"""Saved models judged as one network: by their names, by a wiring file, and what is said where that can't be."""

import json
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak._scan import _run
from symbreak.checkpoints import save_safetensors
from symbreak.cli import main
from symbreak.errors import BadCheckpoint

RNG = np.random.default_rng(0)


def mlp(**changes):
    arrays = {
        "fc1.weight": RNG.normal(size=(6, 3)).astype("float32"),
        "fc1.bias": np.zeros(6, "float32"),
        "fc2.weight": RNG.normal(size=(2, 6)).astype("float32"),
    }
    return arrays | changes


def tied():
    arrays = mlp()
    arrays["fc1.weight"][4] = arrays["fc1.weight"][1]
    arrays["fc2.weight"][:, 4] = arrays["fc2.weight"][:, 1]
    return arrays


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_safetensors("tied.safetensors", tied())
    save_safetensors("free.safetensors", mlp())
    save_safetensors("odd.safetensors", {"up": RNG.normal(size=(6, 3)), "down": np.ones((2, 6))})
    return tmp_path


def found(capsys):
    report = json.loads(capsys.readouterr().out)
    return {(finding["code"], finding["where"]) for finding in report["findings"]}, report


def test_the_network_is_judged_where_it_is_asked_for(models, capsys):
    assert main(["check", "tied.safetensors", "--format", "json"]) == 1
    assert found(capsys)[0] == {
        ("SB102", "tied.safetensors: fc1.weight, axis 0"),
        ("SB102", "tied.safetensors: fc2.weight, axis 1"),
    }
    assert main(["check", "tied.safetensors", "--network", "--format", "json"]) == 1
    codes, report = found(capsys)
    assert ("SB201", "tied.safetensors: space fc1") in codes
    assert [each["space"] for each in report["classes"]] == ["tied.safetensors: fc1"]
    assert report["summary"]["arrays"] == 3
    assert main(["check", "free.safetensors", "--network"]) == 0
    assert "clean" in capsys.readouterr().out


def test_the_network_of_a_file_that_is_gone_on_with_is_judged_again(models, capsys):
    for _ in range(2):
        assert main(["check", "tied.safetensors", "--network", "--resume", "kept", "--format", "json"]) == 1
        assert ("SB201", "tied.safetensors: space fc1") in found(capsys)[0]


def test_names_that_no_rule_knows_are_noted_and_no_fault(models, capsys):
    assert main(["check", "odd.safetensors", "--network", "--ignore", "SB1", "--format", "json"]) == 0
    (finding,) = found(capsys)[1]["findings"]
    assert (finding["code"], finding["level"], finding["where"]) == ("SB302", "note", "odd.safetensors")
    assert (
        "no rule knows how its tensors are connected, so they are judged one by one: up (no rule" in finding["message"]
    )


WIRING = {
    "version": 1,
    "tensors": {"up": ["out hidden", "in x"], "down": ["out y", "in hidden"]},
}


def test_a_wiring_file_says_how_they_are_connected(models, capsys):
    arrays = {"up": np.ones((6, 3)), "down": np.ones((2, 6))}
    save_safetensors("odd.safetensors", arrays)
    Path("wiring.json").write_text(json.dumps(WIRING))
    assert main(["check", "odd.safetensors", "--wiring", "wiring.json", "--format", "json"]) == 1
    assert ("SB201", "odd.safetensors: space hidden") in found(capsys)[0]
    for wiring in ("wiring.json", WIRING):
        report = sb.diagnose("odd.safetensors", wiring=wiring)
        assert report.partition["odd.safetensors: hidden"].tolist() == [0] * 6
        assert sb.diagnose(arrays, wiring=wiring).partition["hidden"].tolist() == [0] * 6


def test_named_arrays_are_judged_as_a_network_too(models):
    report = sb.diagnose(tied(), wiring=True)
    assert "SB201" in {finding.code for finding in report.findings}
    assert report.classes[0].units == (1, 4)
    assert "SB201" not in {finding.code for finding in sb.diagnose(tied()).findings}
    assert sb.diagnose("tied.safetensors", wiring=True).classes[0].units == (1, 4)
    broken = mlp(**{"fc1.bias": np.full(6, np.nan, "float32")})
    report = sb.diagnose(broken, wiring=True)
    assert [finding.code for finding in report.findings] == ["SB108", "SB302"]
    assert not report.skipped
    assert not report.ok
    assert "fc1" not in report.partition


def test_a_network_that_is_not_finite_was_read_and_has_no_certificate(models, capsys):
    save_safetensors("nan.safetensors", mlp(**{"fc1.bias": np.full(6, np.nan, "float32")}))
    assert main(["check", "nan.safetensors", "--network", "--format", "json"]) == 1
    report = found(capsys)[1]
    assert [(each["code"], each["where"]) for each in report["findings"]] == [
        ("SB108", "nan.safetensors: fc1.bias"),
        ("SB302", "nan.safetensors: the network"),
    ]
    assert "there is no certificate: values that are not finite spread" in report["findings"][1]["message"]
    assert report["findings"][1]["message"].endswith(": fc1.bias")
    assert report["summary"]["skipped"] == 0
    assert main(["check", "nan.safetensors", "--network", "--ignore", "SB108,SB302"]) == 0
    assert "clean" not in capsys.readouterr().out  # 2 findings not selected


def test_a_configuration_says_what_names_do_not(models, capsys):
    rng = np.random.default_rng(1)
    names = {f"layers.0.self_attn.{part}_proj.weight": rng.normal(size=(8, 8)) for part in "qkvo"}
    block = {
        "embed_tokens.weight": rng.normal(size=(11, 8)), "norm.weight": np.ones(8), **names,
        "layers.0.mlp.gate_proj.weight": rng.normal(size=(12, 8)),
        "layers.0.mlp.up_proj.weight": rng.normal(size=(12, 8)),
        "layers.0.mlp.down_proj.weight": rng.normal(size=(8, 12)), "layers.0.input_layernorm.weight": np.ones(8),
        "layers.0.post_attention_layernorm.weight": np.ones(8), "lm_head.weight": rng.normal(size=(11, 8)),
    }  # fmt: skip
    save_safetensors("llama.safetensors", {f"model.{k}" if k != "lm_head.weight" else k: v for k, v in block.items()})
    assert main(["check", "llama.safetensors", "--network", "--format", "json"]) == 0
    assert any(code == "SB302" for code, _ in found(capsys)[0])
    config = {"model_type": "llama", "num_attention_heads": 2, "num_key_value_heads": 2, "hidden_act": "silu"}
    Path("settings.json").write_text(json.dumps(config))
    assert main(["check", "llama.safetensors", "--config", "settings.json", "--format", "json"]) == 0
    assert not found(capsys)[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--wiring", "gone.json"], "cannot read gone.json: No such file or directory"),
        (["--config", "gone.json"], "cannot read gone.json: No such file or directory"),
        (["--wiring", "bad.json"], "the wiring needs `version = 1`"),
        (["--config", "list.json"], "the configuration"),
    ],
)
def test_a_wiring_or_configuration_that_can_not_be_read_ends_the_call(models, capsys, options, message):
    Path("bad.json").write_text("{}")
    Path("list.json").write_text("[]")
    assert main(["check", "tied.safetensors", *options]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert not told.out


def test_a_wiring_that_does_not_meet_a_file_is_a_finding_and_the_other_files_are_judged(models, capsys):
    Path("wiring.json").write_text(json.dumps(WIRING))
    assert main(["check", "tied.safetensors", "odd.safetensors", "--wiring", "wiring.json", "--format", "json"]) == 2
    codes, report = found(capsys)
    assert ("SB301", "tied.safetensors") in codes
    assert "it can't be judged as a network: " in report["skipped"][0]["reason"]
    assert len(report["files"]) == 2


@pytest.mark.parametrize("error", [BadCheckpoint("free.safetensors: x", "is damaged", "fetch it again"), MemoryError()])
def test_a_fault_while_the_network_is_judged_hides_nothing_of_the_file(models, capsys, monkeypatch, error):
    def fail(*arguments):
        raise error

    np.savez("free.npz", **mlp(), note=np.array({}))
    monkeypatch.setattr(_run, "judge_wired", fail)
    assert main(["check", "free.npz", "--network", "--format", "json"]) == 2
    report = found(capsys)[1]
    assert [skipped["where"] for skipped in report["skipped"]] == ["free.npz", "free.npz: note"]
    assert "mend the wiring" not in report["findings"][0]["fix"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sb.diagnose(np.ones((2, 2)), wiring=True), "`wiring` and `config` are for named arrays and files"),
        (lambda: sb.diagnose(mlp(), config={}), "`config` goes with `wiring`"),
        (lambda: sb.diagnose(mlp(), wiring=3), "`wiring` is a path, a mapping or a Wiring; got int"),
        (lambda: sb.diagnose(sb.chain([(np.ones((2, 2)), None)]), wiring=True), "`wiring` is not for a network"),
    ],
)
def test_options_that_do_not_go_together_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_what_can_not_be_read_is_told_once_where_files_are_compared_too(models, capsys):
    Path("cut.npz").write_bytes(b"PK\3\4")
    assert main(["check", "cut.npz", "gone.npz", "free.safetensors", "--compare", "--format", "json"]) == 2
    report = found(capsys)[1]
    assert [skipped["where"] for skipped in report["skipped"]] == ["cut.npz", "gone.npz"]
    assert [finding["code"] for finding in report["findings"]] == ["SB301", "SB301"]


@pytest.mark.parametrize("path", [".", "*.safetensors", "free.safetensors"])
def test_a_report_never_replaces_weights_that_a_folder_or_a_pattern_stands_for(models, capsys, path):
    before = Path("free.safetensors").read_bytes()
    assert main(["check", path, "--output", "free.safetensors"]) == 2
    assert "would replace free.safetensors, which is to be read; name another file" in capsys.readouterr().err
    assert Path("free.safetensors").read_bytes() == before


def test_a_report_never_replaces_a_shard_of_what_is_read(models, capsys):
    weight = {"metadata": {}, "weight_map": dict.fromkeys(mlp(), "free.safetensors")}
    Path("model.safetensors.index.json").write_text(json.dumps(weight))
    assert main(["check", "model.safetensors.index.json", "--output", "free.safetensors"]) == 2
    assert "would replace model.safetensors.index.json, which is to be read" in capsys.readouterr().err
    assert main(["check", ".", "--output", "report.txt"]) == 1


def test_an_empty_path_is_not_the_current_folder(models, capsys):
    assert main(["check", "", "--format", "json"]) == 2
    assert found(capsys)[0] == {("SB301", "''")}


def test_a_check_that_needs_an_extra_has_the_command_in_one_line(models, capsys, monkeypatch):
    import importlib.metadata

    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    Path("model.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert main(["check", "model.weights.h5"]) == 2
    assert capsys.readouterr().out.splitlines()[:3] == [
        "error SB301 model.weights.h5",
        "    reading HDF5 needs h5py 3.16 or later, which is not installed",
        "    fix: pip install 'symbreak[files]'",
    ]


def test_a_repair_that_needs_an_extra_says_so(models, capsys, monkeypatch):
    import symbreak.checkpoints
    from symbreak.errors import MissingExtra

    def fail(path):
        raise MissingExtra("h5py", "files", "reading HDF5")

    monkeypatch.setattr(symbreak.checkpoints, "open_checkpoint", fail)
    assert main(["repair", "tied.safetensors", "-o", "out.npz"]) == 2
    assert "pip install 'symbreak[files]'" in capsys.readouterr().err
