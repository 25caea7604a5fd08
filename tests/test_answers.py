"""What the certificate of a network answers: units that are equal in one weight, and not tied in the network."""

import json
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import save_safetensors
from symbreak.cli import main
from symbreak.findings import Level

NOTE, WARNING, ERROR = Level.NOTE, Level.WARNING, Level.ERROR


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def mlp():
    return {"fc1.weight": draw(6, 3), "fc1.bias": np.zeros(6), "fc2.weight": draw(5, 6), "fc3.weight": draw(2, 5)}


def equal(report):
    """Give {place: level} of what is said of equal units in single weights."""
    return {finding.where: finding.level for finding in report.findings if finding.code in ("SB101", "SB102")}


def test_units_that_are_read_differently_are_no_warning_where_the_network_is_judged():
    arrays = mlp()
    arrays["fc1.weight"][4] = arrays["fc1.weight"][1]
    assert equal(sb.diagnose(arrays)) == {"fc1.weight, axis 0": WARNING}
    report = sb.diagnose(arrays, wiring=True)
    assert report.ok
    one, two = report.findings
    assert (one.code, one.level, one.groups) == ("SB102", NOTE, ((1, 4),))
    assert one.message == (
        "2 units have equal weights: 1, 4; not tied all the same: the network tells them apart (space fc1; see SB202)"
    )
    assert one.fix == "nothing: training can tell these units apart"
    assert (two.code, two.where) == ("SB202", "space fc1")


def test_units_that_read_differently_are_no_warning():
    arrays = mlp()
    arrays["fc2.weight"][:, 4] = arrays["fc2.weight"][:, 1]
    (finding,) = sb.diagnose(arrays, wiring=True).findings
    assert (finding.level, finding.where) == (NOTE, "fc2.weight, axis 1")
    assert finding.message.endswith("the network tells them apart (space fc1)")


def test_a_constant_weight_is_no_error_where_its_units_are_told_apart():
    arrays = mlp()
    arrays["fc1.weight"][:] = 0.5
    assert equal(sb.diagnose(arrays)) == {"fc1.weight": ERROR}
    assert equal(sb.diagnose(arrays, wiring=True)) == {"fc1.weight": NOTE}
    arrays["fc2.weight"][:] = 0.5
    assert equal(sb.diagnose(arrays, wiring=True)) == {"fc1.weight": ERROR, "fc2.weight": ERROR}


def test_one_tie_among_equal_units_keeps_the_warning():
    arrays = mlp()
    arrays["fc1.weight"][[3, 4]] = arrays["fc1.weight"][1]
    assert equal(sb.diagnose(arrays, wiring=True)) == {"fc1.weight, axis 0": NOTE}
    arrays["fc2.weight"][:, 4] = arrays["fc2.weight"][:, 3]
    report = sb.diagnose(arrays, wiring=True)
    assert equal(report) == {"fc1.weight, axis 0": WARNING, "fc2.weight, axis 1": WARNING}
    assert report.classes[0].units == (3, 4)


def tied_ends():
    """The wiring of a network whose table is its last layer too; the file has it under a second name."""
    return {
        "version": 1,
        "tensors": {
            "table": {"axes": ["in token", "out stream"], "also": [["out word", "in stream"]]},
            "up": ["out hidden", "in stream"],
            "down": ["out stream", "in hidden"],
        },
        "spaces": {"token": {"input": True}, "word": {"output": True}},
        "ignore": {"last": "the same tensor as table"},
    }


@pytest.mark.parametrize("copied", [True, False])
def test_a_second_name_of_an_embedding_is_answered_with_the_first(copied, tmp_path):
    """A file has an array that is the embedding and the output layer under both names; the wiring has one."""
    table, up, down = draw(9, 4), draw(5, 4, seed=1), draw(4, 5, seed=2)
    table[:, 3], down[3] = table[:, 2], down[2]
    last = table if copied else table + 1
    arrays = {"table": table, "up": up, "down": down, "last": last}
    level = NOTE if copied else WARNING
    found = equal(sb.diagnose(arrays, wiring=tied_ends()))
    assert found == {"table, axis 1": NOTE, "down, axis 0": NOTE, "last, axis 1": level}
    save_safetensors(tmp_path / "m.safetensors", arrays)
    (tmp_path / "w.json").write_text(json.dumps(tied_ends()))
    code = main(["check", str(tmp_path / "m.safetensors"), "--wiring", str(tmp_path / "w.json")])
    assert code == (0 if copied else 1)


def test_a_constant_is_no_evidence_of_a_second_name():
    arrays = {"table": np.full((9, 4), 0.5), "up": draw(5, 4), "down": draw(4, 5), "last": np.full((9, 4), 0.5)}
    assert equal(sb.diagnose(arrays, wiring=tied_ends())) == {"table": NOTE, "last": ERROR}


def test_units_that_the_data_tell_apart_are_not_tied():
    arrays = mlp()
    arrays["fc1.weight"][:, 2] = arrays["fc1.weight"][:, 0]
    arrays["fc3.weight"][1] = arrays["fc3.weight"][0]
    assert equal(sb.diagnose(arrays)) == {"fc1.weight, axis 1": WARNING, "fc3.weight, axis 0": ERROR}
    found = equal(sb.diagnose(arrays, wiring=True))
    assert found == {"fc1.weight, axis 1": NOTE, "fc3.weight, axis 0": NOTE}


def test_blocked_units_keep_the_finding():
    arrays = mlp()
    arrays["fc1.weight"][:], arrays["fc1.bias"][:] = -1, [-1, -2, -3, -4, -5, -6]
    wiring = {
        "version": 1,
        "tensors": {
            "fc1.weight": ["out a", "in x"],
            "fc1.bias": {"axes": ["out a"], "kind": "bias"},
            "fc2.weight": ["out b", "in a"],
            "fc3.weight": ["out y", "in b"],
        },
        "spaces": {"a": {"activation": "relu"}, "x": {"activation": "relu"}},
    }
    assert equal(sb.diagnose(arrays, wiring=wiring)) == {"fc1.weight": NOTE}
    arrays["fc1.weight"][:] = 0
    report = sb.diagnose(arrays, wiring=wiring)
    assert "SB203" in {finding.code for finding in report.findings}
    assert equal(report) == {"fc1.weight": ERROR}


@pytest.mark.parametrize(("shape", "level"), [((7, 11), NOTE), ((7, 12), WARNING)])
def test_what_a_tensor_that_is_not_known_may_touch_is_not_answered(shape, level):
    arrays = mlp() | {"strange": draw(*shape)}
    arrays["fc1.weight"][4] = arrays["fc1.weight"][1]
    wiring = {
        "version": 1,
        "tensors": {
            "fc1.weight": ["out a", "in x"],
            "fc1.bias": {"axes": ["out a"], "kind": "bias"},
            "fc2.weight": ["out b", "in a"],
            "fc3.weight": ["out y", "in b"],
        },
    }
    assert equal(sb.diagnose(arrays, wiring=wiring)) == {"fc1.weight, axis 0": level}


def llama():
    names = {f"layers.0.self_attn.{part}_proj.weight": draw(8, 8, seed=n) for n, part in enumerate("qkvo")}
    names["layers.0.self_attn.q_proj.weight"][5] = names["layers.0.self_attn.q_proj.weight"][1]
    names["layers.0.self_attn.v_proj.weight"][3] = names["layers.0.self_attn.v_proj.weight"][2]
    block = {
        "embed_tokens.weight": draw(11, 8), "norm.weight": np.ones(8), **names,
        "layers.0.mlp.gate_proj.weight": draw(12, 8, seed=4),
        "layers.0.mlp.up_proj.weight": draw(12, 8, seed=5),
        "layers.0.mlp.down_proj.weight": draw(8, 12, seed=6), "layers.0.input_layernorm.weight": np.ones(8),
        "layers.0.post_attention_layernorm.weight": np.ones(8),
    }  # fmt: skip
    return {f"model.{name}": array for name, array in block.items()} | {"lm_head.weight": draw(11, 8, seed=7)}


@pytest.mark.parametrize(("heads", "level"), [({}, WARNING), ({"num_attention_heads": 2}, NOTE)])
def test_units_of_heads_are_answered_where_the_heads_are_known(heads, level):
    places = [f"model.layers.0.self_attn.{part}_proj.weight, axis 0" for part in "qv"]
    config = {"model_type": "llama", "hidden_act": "silu", **heads}
    assert equal(sb.diagnose(llama(), wiring=True, config=config)) == dict.fromkeys(places, level)


PART = ["head heads", "out {}"]
QKV = {part: ["head heads", f"out {part}"] for part in ("one", "two", "value")}
WITHIN = {part: f"out {part}" for part in QKV}


@pytest.mark.parametrize("within", [False, True])
def test_fused_parts_are_told_apart(within):
    """Rows of a fused array: `place` gives the row of a part, a head and a unit."""
    place = (lambda part, head, unit: head * 9 + part * 3 + unit) if within else (
        lambda part, head, unit: part * 6 + head * 3 + unit
    )  # fmt: skip
    wiring = {
        "version": 1,
        "tensors": {
            "qkv": [["head heads", WITHIN] if within else QKV, "in x"],
            "mix": ["out y", ["head heads", "in value"]],
            "top": ["out z", "in y"],
            **{f"read.{part}": ["out y", ["head heads", f"in {part}"]] for part in ("one", "two")},
        },
        "spaces": {"heads": {"units": 2}, "x": {"input": True}},
    }
    arrays = {"qkv": draw(18, 5), "mix": draw(4, 6, seed=1), "top": draw(3, 4, seed=2)}
    arrays |= {f"read.{part}": draw(4, 6, seed=seed) for seed, part in ((3, "one"), (4, "two"))}

    def found(*rows, tied=False):
        mine = {name: array.copy() for name, array in arrays.items()}
        mine["qkv"][rows[1]] = mine["qkv"][rows[0]]
        if tied:
            mine["mix"][:, 4] = mine["mix"][:, 3]
        return equal(sb.diagnose(mine, wiring=wiring)).get("qkv, axis 0")

    assert found(place(2, 1, 0), place(2, 1, 1)) == NOTE  # read differently
    assert found(place(2, 1, 0), place(2, 1, 1), tied=True) == WARNING
    assert found(place(2, 1, 0), place(2, 1, 2), tied=True) == NOTE
    assert found(place(1, 1, 0), place(1, 1, 1), tied=True) == NOTE
    assert found(place(1, 0, 0), place(2, 0, 0)) == NOTE  # parts are compared apart
    assert found(place(2, 0, 0), place(2, 1, 0)) == NOTE  # in two heads
    del arrays["qkv"]
    arrays["qkv"] = np.repeat(draw(18, 1), 5, axis=1)  # the inputs
    assert equal(sb.diagnose(arrays, wiring=wiring))["qkv, axis 1"] == NOTE


def test_units_of_experts_are_tied_if_they_are_in_one_expert():
    wiring = {
        "version": 1,
        "tensors": {
            "up": ["stack experts", "out hidden", "in x"],
            "down": ["stack experts", "out y", "in hidden"],
            "router": ["out experts", "in x"],
        },
    }
    arrays = {"up": draw(2, 4, 5), "down": draw(2, 3, 4, seed=1), "router": draw(2, 5, seed=2)}
    arrays["up"][:, 3] = arrays["up"][:, 1]
    assert equal(sb.diagnose(arrays, wiring=wiring)) == {"up, axis 1": NOTE}
    arrays["down"][1, :, 3] = arrays["down"][1, :, 1]
    assert equal(sb.diagnose(arrays, wiring=wiring)) == {"up, axis 1": WARNING}
    arrays["up"][1], arrays["down"][1] = arrays["up"][0], arrays["down"][0]
    assert "SB201" not in {each.code for each in sb.diagnose(arrays, wiring=wiring).findings}


def test_two_gates_of_one_unit_are_no_pair_of_units():
    wiring = {
        "version": 1,
        "tensors": {
            "ih": [["gate 4", "out cell"], "in x"],
            "hh": [["gate 4", "out cell"], "in cell"],
            "top": ["out y", "in cell"],
        },
    }
    arrays = {"ih": draw(12, 5), "hh": draw(12, 3, seed=1), "top": draw(2, 3, seed=2)}
    arrays["ih"][1] = arrays["ih"][0]
    assert equal(sb.diagnose(arrays, wiring=wiring)) == {"ih, axis 0": NOTE}
    arrays["ih"][1], arrays["ih"][3] = draw(5, seed=3), arrays["ih"][0]
    assert equal(sb.diagnose(arrays, wiring=wiring)) == {"ih, axis 0": WARNING}


@pytest.fixture
def untied(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = mlp()
    arrays["fc1.weight"][4], arrays["fc2.weight"][:, 4] = arrays["fc1.weight"][1], arrays["fc2.weight"][:, 1]
    save_safetensors("tied.safetensors", arrays)
    assert main(["repair", "tied.safetensors", "-o", "free.safetensors", "--untie"]) == 0
    return tmp_path


def test_a_file_that_was_untied_is_no_fault_as_a_network(untied, capsys):
    assert main(["check", "free.safetensors"]) == 1
    assert main(["check", "free.safetensors", "--network"]) == 0
    assert main(["check", "tied.safetensors", "--network"]) == 1
    capsys.readouterr()
    assert main(["check", "tied.safetensors", "free.safetensors", "--network", "--format", "json"]) == 1
    rows = json.loads(capsys.readouterr().out)["findings"]
    found = {(row["where"], row["level"]) for row in rows if row["code"] == "SB102"}
    assert found == {
        ("tied.safetensors: fc1.weight, axis 0", "warning"),
        ("tied.safetensors: fc2.weight, axis 1", "warning"),
        ("free.safetensors: fc1.weight, axis 0", "note"),
    }
    assert equal(sb.diagnose("free.safetensors", wiring=True)) == {"free.safetensors: fc1.weight, axis 0": NOTE}


def test_what_is_kept_for_another_scan_is_what_is_said_without_the_network(untied, capsys):
    for options, code in ((["--network"], 0), ([], 1), (["--network"], 0)):
        assert main(["check", "free.safetensors", "--resume", "kept", *options]) == code
    assert '"warning"' in Path("kept").read_text()
