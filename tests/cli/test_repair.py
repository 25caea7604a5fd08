"""The command `repair`: what it writes, what it says, and what it refuses."""

import os
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import symbreak as sb
import symbreak.checkpoints
from symbreak.checkpoints import open_checkpoint, save_safetensors
from symbreak.cli import _wired, main
from symbreak.graph import LayerGraph, Space, Weight
from tests.checkpoints._make import dict_of, pickled, storage, tensor, torch_zip


def dense(dtype="float32"):
    """Three layers; the units of the first hidden one are tied in two classes."""
    rng = np.random.default_rng(0)
    first, second, third = (rng.normal(size=shape).astype(dtype) for shape in ((4, 3), (5, 4), (2, 5)))
    label = [0, 0, 1, 1]
    return {
        "fc1.weight": first[label],
        "fc1.bias": np.array([1, 1, 2, 2]).astype(dtype),
        "fc2.weight": second[:, label],
        "fc2.bias": np.zeros(5).astype(dtype),
        "fc3.weight": third,
    }


def outputs(arrays, x):
    for number in (1, 2, 3):
        x = x @ arrays[f"fc{number}.weight"].astype(float).T + arrays.get(f"fc{number}.bias", np.zeros(1)).astype(float)
        x = np.tanh(x) if number < 3 else x
    return x


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_safetensors("in.safetensors", dense(), {"made_by": "a test", "note": "kept\n"})
    return Path("in.safetensors")


def files():
    return sorted(path.name for path in Path().iterdir())


def read(path):
    with open_checkpoint(path) as ckpt:
        return {name: np.array(ckpt[name]) for name in ckpt}, dict(ckpt.metadata)


X = np.random.default_rng(1).normal(size=(6, 3))


@pytest.mark.parametrize("how", ["--merge", "--untie", "--reinit"])
def test_a_repaired_file_has_the_names_dtypes_and_metadata_of_the_old_one(model, how, capsys):
    before, state = read(model), model.read_bytes()
    assert main(["repair", "in.safetensors", "-o", "out.safetensors", how]) == 0
    assert capsys.readouterr().err == ""
    assert model.read_bytes() == state
    arrays, metadata = read("out.safetensors")
    assert list(arrays) == list(before[0])
    assert metadata == before[1]
    assert [array.dtype for array in arrays.values()] == [np.dtype("float32")] * 5
    same = np.abs(outputs(arrays, X) - outputs(before[0], X)).max() < 1e-6
    assert same == (how != "--reinit")
    graph = sb.chain([(arrays[f"fc{n}.weight"], arrays.get(f"fc{n}.bias")) for n in (1, 2, 3)])
    assert sb.diagnose(graph).classes == ()
    assert files() == ["in.safetensors", "out.safetensors"]


MERGED = """\
merged (wired by {rule})
  space fc1: 4 -> 2 units
  fc1.weight: [4, 3] -> [2, 3]
  fc1.bias: [4] -> [2]
  fc2.weight: [5, 4] -> [5, 2]
2 other tensors as before; written to out.safetensors
a configuration of the model must be given the new sizes
"""

UNTIED = """\
untied (wired by {rule})
  fc2.weight: 20 of 20 values
4 other tensors as before; written to out.safetensors
"""

DRAWN = """\
drawn again (wired by {rule})
  fc1.weight: 12 of 12 values
4 other tensors as before; written to out.safetensors
"""


@pytest.mark.parametrize(
    ("how", "text"), [(["--merge"], MERGED), (["--untie"], UNTIED), ([], UNTIED), (["--reinit"], DRAWN)]
)
def test_every_change_is_listed(model, how, text, capsys):
    assert main(["repair", "in.safetensors", "-o", "out.safetensors", *how]) == 0
    out = capsys.readouterr().out
    rule = out.splitlines()[0].split("wired by ")[1].removesuffix(")")
    assert rule
    assert out == text.format(rule=rule)


def test_the_seed_decides_the_numbers(model):
    for seed, out in (("7", "a.npz"), ("7", "b.npz"), ("8", "c.npz")):
        save_safetensors("in.safetensors", dense())
        assert main(["repair", "in.safetensors", "-o", out, "--seed", seed]) == 0
    a, b, c = (read(name)[0]["fc2.weight"] for name in ("a.npz", "b.npz", "c.npz"))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("dtype", ["float64", "float16", ">f4", ml_dtypes.bfloat16])
@pytest.mark.parametrize("out", ["out.npz", "out.safetensors"])
def test_element_types_stay(tmp_path, monkeypatch, dtype, out, capsys):
    monkeypatch.chdir(tmp_path)
    if dtype is ml_dtypes.bfloat16:
        save_safetensors("in", dense(dtype))
    else:
        np.savez("in.npz", **dense(dtype))
        Path("in.npz").rename("in")
    code = main(["repair", "in", "-o", out, "--merge"])
    if out == "out.npz" and dtype is ml_dtypes.bfloat16:
        assert code == 2
        assert "'fc1.weight' has dtype bfloat16, which npz does not have: write safetensors" in capsys.readouterr().err
        return
    assert code == 0
    arrays, _ = read(out)
    wanted = np.dtype(dtype) if out == "out.npz" else np.dtype(dtype).newbyteorder("=")
    assert {array.dtype for array in arrays.values()} == {wanted}
    assert arrays["fc2.weight"].shape == (5, 2)


def test_a_pytorch_file_is_repaired_to_safetensors(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arrays = {"fc1.weight": np.ones((3, 2), "float32"), "fc2.weight": np.full((1, 3), 0.5, "float32")}
    records = {str(number): array.tobytes() for number, array in enumerate(arrays.values())}
    tensors = {
        name: tensor(array.shape, (array.shape[1], 1), over=storage(array.size, key=str(number)))
        for number, (name, array) in enumerate(arrays.items())
    }
    Path("in.pt").write_bytes(torch_zip(pickled(dict_of(**tensors)), records))
    assert main(["repair", "in.pt", "-o", "out.safetensors", "--merge"]) == 0
    found, _ = read("out.safetensors")
    assert found["fc1.weight"].tolist() == [[1.0, 1.0]]
    assert found["fc2.weight"].tolist() == [[1.5]]


def test_a_file_without_ties_is_copied(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("in.npz", **{"a.weight": rng.normal(size=(4, 3)), "b.weight": rng.normal(size=(2, 4))})
    assert main(["repair", "in.npz", "-o", "out.npz"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("no tied units are known (wired by ")
    assert out.endswith("): out.npz has the tensors of in.npz as they are\n")
    one, two = read("in.npz")[0], read("out.npz")[0]
    assert all(np.array_equal(one[name], array) for name, array in two.items())


def redundant():
    """Units 1 and 4 of the hidden layer are equal for every input, and are read differently."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(5, 3)), rng.normal(size=(2, 5))
    first[4] = first[1]
    return {"fc1.weight": first, "fc1.bias": np.zeros(5), "fc2.weight": second}


REDUNDANT = """\
merged (wired by {rule})
  space fc1: 5 -> 4 units
  fc1.weight: [5, 3] -> [4, 3]
  fc1.bias: [5] -> [4]
  fc2.weight: [2, 5] -> [2, 4]
0 other tensors as before; written to out.npz
a configuration of the model must be given the new sizes
"""


def test_redundant_units_are_merged_where_that_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = redundant()
    np.savez("in.npz", **before)
    assert main(["repair", "in.npz", "-o", "out.npz", "--merge", "--redundant"]) == 0
    out = capsys.readouterr().out
    rule = out.splitlines()[0].split("wired by ")[1].removesuffix(")")
    assert out == REDUNDANT.format(rule=rule)
    arrays, _ = read("out.npz")
    hidden = [np.tanh(X @ each["fc1.weight"].T) @ each["fc2.weight"].T for each in (before, arrays)]
    np.testing.assert_allclose(*hidden, rtol=1e-13)


@pytest.mark.parametrize("how", [[], ["--untie"], ["--reinit"], ["--merge"]])
def test_redundant_units_of_a_file_without_ties_are_named(tmp_path, monkeypatch, capsys, how):
    monkeypatch.chdir(tmp_path)
    np.savez("in.npz", **redundant())
    assert main(["repair", "in.npz", "-o", "out.npz", *how]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("no tied units are known (wired by ")
    assert second == (
        "units are redundant (SB202), 2 of space fc1: they separate at the next step, or --merge --redundant merges "
        "them"
    )
    assert all(np.array_equal(array, redundant()[name]) for name, array in read("out.npz")[0].items())


def refused(capsys, *arguments):
    assert main(["repair", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_the_input_is_never_the_output(model, capsys):
    state = model.read_bytes()
    Path("link.safetensors").symlink_to("in.safetensors")
    os.link("in.safetensors", "hard.safetensors")
    for out in ("in.safetensors", "./in.safetensors", "link.safetensors", "hard.safetensors"):
        err = refused(capsys, "in.safetensors", "-o", out)
        assert err == f"symbreak: {out} is to be read, and what is read is never changed; name another file\n"
    assert model.read_bytes() == state


def test_a_shard_is_not_written_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arrays = dense()
    save_safetensors("one.safetensors", {"fc1.weight": arrays["fc1.weight"], "fc1.bias": arrays["fc1.bias"]})
    save_safetensors("two.safetensors", {name: a for name, a in arrays.items() if not name.startswith("fc1")})
    where = {name: "one.safetensors" if name.startswith("fc1") else "two.safetensors" for name in arrays}
    Path("model.safetensors.index.json").write_text(f'{{"weight_map": {where}}}'.replace("'", '"'))
    err = refused(capsys, "model.safetensors.index.json", "-o", "two.safetensors")
    assert "two.safetensors is to be read" in err
    assert main(["repair", "model.safetensors.index.json", "-o", "out.safetensors"]) == 0
    assert np.abs(outputs(read("out.safetensors")[0], X) - outputs(arrays, X)).max() < 1e-6


def test_what_cannot_be_repaired_is_said_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("in.npz", **{"a.weight": np.ones((4, 3)), "b.weight": np.full((2, 4), 3, np.int8)})
    err = refused(capsys, "in.npz", "-o", "out.npz", "--untie")
    reason = "space 'a' would keep 4 units in 1 class: 'b.weight', int8, holds no fractions"
    assert err == f"symbreak: in.npz: can't untie all units: {reason}\n"
    np.savez("nan.npz", **{"a.weight": np.ones((4, 3)), "b.weight": np.full((2, 4), np.nan)})
    assert "'b.weight' has values that are not finite" in refused(capsys, "nan.npz", "-o", "out.npz")
    assert files() == ["in.npz", "nan.npz"]


def test_tensors_of_one_reason_are_told_in_one_line(tmp_path, monkeypatch, capsys):
    """A model of 24 blocks, all but its attention unknown, was told in 240 lines."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    known = {"lstm.weight_ih_l0": rng.normal(size=(16, 3)), "lstm.weight_hh_l0": rng.normal(size=(16, 4))}
    odd = {f"mixer.{n}.odd": rng.normal(size=(7 + n, 31)) for n in range(9)}
    for count in (1, 9):
        save_safetensors("in.safetensors", known | dict(list(odd.items())[:count]))
        assert main(["repair", "in.safetensors", "-o", "out.safetensors"]) == 0
        said = capsys.readouterr().err.splitlines()
        shown = "mixer.0.odd reads or writes"
        if count == 9:
            shown = ", ".join(f"mixer.{n}.odd" for n in range(6)) + " and 3 more read or write"
        assert said == [
            f"symbreak: ties of what {shown} may stay: no rule knows it",
            "symbreak: a file can say how they are connected, --wiring F",
        ]
    statements = ", ".join(f'"mixer.{n}.odd" = "not of this network"' for n in range(8))
    Path("w.json").write_text(
        '{"version": 1, "tensors": {"lstm.weight_ih_l0": [{"i": "out h", "f": "out h", "g": "out h", "o": "out h"}, '
        '"in x"]}, "ignore": {' + statements.replace(" = ", ": ") + "}}"
    )
    assert main(["repair", "in.safetensors", "-o", "out.safetensors", "--wiring", "w.json"]) == 0
    assert "a file can say" not in capsys.readouterr().err


def test_tensors_that_no_rule_knows_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("in.npz", strange=np.ones((4, 3)), other=np.ones((7, 5)))
    err = refused(capsys, "in.npz", "-o", "out.npz")
    assert (
        "in.npz: no rule knows how its tensors are connected, and a repair needs that; say it in a file: --wiring F"
        in err
    )


def test_what_is_no_model_is_refused_with_what_a_repair_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("w.npy", np.ones((4, 3)))
    err = refused(capsys, "w.npy", "-o", "out.npz")
    whole = (
        "a repair takes a whole model, in which one weight reads what another writes; sb.reinit draws one weight again"
    )
    assert err == f"symbreak: w.npy holds 1 array, and {whole}\n"
    np.savez("none.npz")
    assert refused(capsys, "none.npz", "-o", "out.npz").startswith("symbreak: none.npz holds no arrays, and a repair")
    takes = "a repair takes one file, or a folder with the *.index.json of a sharded model"
    assert refused(capsys, ".", "-o", "out.npz") == f"symbreak: . is a folder; {takes}\n"


def test_a_file_of_which_something_can_not_be_read_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("in.npz", **dense(), note=np.array(["text"]))
    err = refused(capsys, "in.npz", "-o", "out.npz")
    assert err.startswith("symbreak: in.npz: not all of it can be read, and so not be written: note: it holds ")
    Path("cut.npz").write_bytes(Path("in.npz").read_bytes()[:100])
    assert "cut.npz" in refused(capsys, "cut.npz", "-o", "out.npz")
    assert refused(capsys, "none.npz", "-o", "out.npz").startswith("symbreak: cannot read none.npz: No such file")


def test_a_place_that_can_not_be_written_is_said(model, capsys):
    err = refused(capsys, "in.safetensors", "-o", "nowhere/out.safetensors")
    where = "nowhere/out.safetensors"
    assert err == f"symbreak: cannot write to {where}: there is no folder nowhere; make it first\n"


def test_an_old_file_stays_where_the_new_one_fails(model, capsys, monkeypatch):
    Path("out.npz").write_bytes(b"old")

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    save_safetensors("plain.safetensors", dense())
    monkeypatch.setattr(np.lib.format, "write_array", fail)
    assert "cannot write to out.npz: No space left on device" in refused(capsys, "plain.safetensors", "-o", "out.npz")
    assert Path("out.npz").read_bytes() == b"old"
    assert files() == ["in.safetensors", "out.npz", "plain.safetensors"]


def test_metadata_is_not_lost_in_silence(model, capsys):
    err = refused(capsys, "in.safetensors", "-o", "out.npz")
    assert err.startswith(
        "symbreak: npz has no place for the metadata of the file, ['made_by', 'note']: write safetensors"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out.pt"], "out.pt should end in .safetensors or .npz, the formats that are written"),
        (["-o", "out.npz", "--space", "fc1"], "--space is for --merge; the other repairs take every tied unit"),
        (
            ["-o", "out.npz", "--redundant"],
            "--redundant is for --merge; the other repairs leave redundant units to training",
        ),
        (["-o", "out.npz", "--untie", "--redundant"], "--redundant is for --merge; "),
        (
            ["-o", "out.safetensors", "--merge", "--space", "fc9"],
            "in.safetensors: no space is called 'fc9'; did you mean 'fc",
        ),
    ],
)
def test_wrong_calls_say_what_is_wrong(model, capsys, arguments, message):
    assert message in refused(capsys, "in.safetensors", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out.npz", "--merge", "--untie"], "not allowed with argument"),
        (["-o", "out.npz", "--seed", "-1"], "a whole number of 0 or more is needed; got -1"),
        ([], "the following arguments are required: -o/--output"),
    ],
)
def test_wrong_options_are_exit_code_2(model, capsys, arguments, message):
    with pytest.raises(SystemExit) as leaving:
        main(["repair", "in.safetensors", *arguments])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err


def test_names_of_a_file_are_shown_escaped(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_safetensors("in.safetensors", {"a\x1b[31m.weight": np.ones((3, 2)), "b.weight": np.ones((1, 3))})
    assert main(["repair", "in.safetensors", "-o", "out.safetensors", "--reinit"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"a\x1b[31m.weight: 6 of 6 values" in out


@pytest.mark.parametrize(
    ("middle", "more"),
    [(np.arange(4.0)[:, None] * np.ones((1, 4)), ""), (np.ones((4, 1)) * [1.0, 1, 2, 2], " (and 1 more so)")],
)
def test_copies_of_a_tensor_that_are_no_longer_equal_are_named(tmp_path, monkeypatch, capsys, middle, more):
    monkeypatch.chdir(tmp_path)
    layers = [np.ones((4, 3)), middle, middle.copy(), np.ones((2, 4))]
    save_safetensors("in.safetensors", {f"fc{number}.weight": array for number, array in enumerate(layers, 1)})
    assert main(["repair", "in.safetensors", "-o", "out.safetensors"]) == 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"fc2.weight was equal to fc3.weight{more} and no longer is: if the model has one array for both" in err


@pytest.mark.parametrize("said", ["", '[ignore]\nhead = "the same tensor as embed"\n'])
def test_a_second_name_of_a_shared_array_is_drawn_again_as_the_first(tmp_path, monkeypatch, capsys, said):
    """A state dict has an embedding that is the output layer too under both names; which is loaded last counts."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    label = [0, 1, 2, 2]
    table = rng.normal(size=(5, 4))[:, label]
    mix = rng.normal(size=(4, 4))[label][:, label]
    save_safetensors("in.safetensors", {"embed": table, "mix": mix, "head": table.copy()})
    Path("w.toml").write_text(
        """version = 1
        [tensors]
        embed = { axes = ["in tokens", "out stream"], also = [["out classes", "in stream"]] }
        mix = ["out stream", "in stream"]
        """
        + said
    )
    assert main(["repair", "in.safetensors", "-o", "out.safetensors", "--wiring", "w.toml", "--reinit"]) == 0
    assert capsys.readouterr().err == ""
    arrays = read("out.safetensors")[0]
    assert (arrays["embed"] == arrays["head"]).all()
    assert (arrays["embed"] != table).any(axis=0).tolist() == [False, False, True, True]
    err = refused(capsys, "in.safetensors", "-o", "merged.safetensors", "--wiring", "w.toml", "--merge")
    assert "'embed' is shared between spaces: it both writes these units and reads them" in err


def test_constant_tensors_are_equal_by_chance(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    layers = [np.ones((4, 3)), np.ones((4, 4)), np.ones((4, 4)), np.ones((2, 4))]
    save_safetensors("in.safetensors", {f"fc{number}.weight": array for number, array in enumerate(layers, 1)})
    assert main(["repair", "in.safetensors", "-o", "out.safetensors"]) == 0
    assert capsys.readouterr().err == ""


def separate(table, head, inputs=("tokens",), outputs=("logits",)):
    """An embedding and an output layer as two arrays."""
    arrays = {"embed": table, "head": head}
    weights = [
        Weight("embed", table, [("in", "tokens"), ("out", "stream")]),
        Weight("head", head, [("out", "logits"), ("in", "stream")]),
    ]
    spaces = [Space("tokens", len(table)), Space("stream", table.shape[1]), Space("logits", len(head))]
    return LayerGraph(spaces, weights, inputs=inputs, outputs=outputs), arrays


def test_an_output_layer_with_the_values_of_the_embedding_is_a_copy_of_it():
    table = np.arange(12.0).reshape(3, 4)
    assert _wired.find_copies(*separate(table, table.copy())) == {"head": "embed"}


@pytest.mark.parametrize(
    ("head", "ends"),
    [
        (np.arange(12.0).reshape(3, 4) + np.eye(3, 4), {}),
        (np.arange(12.0).reshape(3, 4).astype("float32"), {}),
        (np.arange(20.0).reshape(5, 4), {}),
        (np.arange(12.0).reshape(3, 4), {"inputs": ["tokens", "stream"], "outputs": ["logits", "stream"]}),
        (np.arange(12.0).reshape(3, 4), {"outputs": []}),
    ],
)
def test_others_are_no_copies(head, ends):
    assert _wired.find_copies(*separate(np.arange(12.0).reshape(3, 4), head, **ends)) == {}


def test_a_constant_output_layer_is_no_copy_of_a_constant_embedding():
    assert _wired.find_copies(*separate(np.ones((3, 4)), np.ones((3, 4)))) == {}


def wired_by(monkeypatch, make, rule):
    """Let the command take the graph that `make` makes of the tensors."""
    monkeypatch.setattr(_wired, "find_graph", lambda arrays, path, wiring, config: (make(arrays), rule, {}))


def tied_embedding(arrays):
    both = Weight(
        "table", arrays["table"], [("in", "tokens"), ("out", "stream")], also=[[("out", "logits"), ("in", "stream")]]
    )
    up = Weight("up", arrays["up"], [("out", "mlp"), ("in", "stream")])
    down = Weight("down", arrays["down"], [("out", "stream"), ("in", "mlp")])
    spaces = [Space("tokens", 3), Space("stream", 4), Space("logits", 3), Space("mlp", 2)]
    return LayerGraph(spaces, [both, up, down], inputs=["tokens"], outputs=["logits"])


def test_a_merge_that_is_refused_names_the_spaces_that_can_be_merged(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_safetensors(
        "in.safetensors", {"table": np.ones((3, 4)) * [[1], [2], [3]], "up": np.ones((2, 4)), "down": np.ones((4, 2))}
    )
    wired_by(monkeypatch, tied_embedding, "mine")
    call = ["in.safetensors", "-o", "out.safetensors", "--merge"]
    assert refused(capsys, *call).endswith("and its sum; the others can be merged: --space mlp\n")
    assert main(["repair", *call, "--space", "mlp"]) == 0
    assert read("out.safetensors")[0]["up"].shape == (1, 4)


@pytest.mark.parametrize(("rule", "factor"), [("mine", 2.0), ("T5", 4.0), ("mine, T5", 4.0)])
def test_attention_without_the_root_is_known_by_its_rule(tmp_path, monkeypatch, rule, factor):
    monkeypatch.chdir(tmp_path)
    names = {"q": "qk", "k": "qk", "v": "v"}
    save_safetensors("in.safetensors", {"q": np.ones((4, 3)), "k": np.ones((4, 3)), "v": np.eye(2, 3), "o": np.eye(2)})

    def make(arrays):
        weights = [Weight(name, arrays[name], [("out", out), ("in", "x")]) for name, out in names.items()]
        weights.append(Weight("o", arrays["o"], [("out", "y"), ("in", "v")]))
        spaces = [Space("x", 3), Space("qk", 4), Space("v", 2), Space("y", 2)]
        return LayerGraph(spaces, weights, inputs=["x"], outputs=["y"])

    wired_by(monkeypatch, make, rule)
    assert main(["repair", "in.safetensors", "-o", "out.safetensors", "--merge"]) == 0
    assert read("out.safetensors")[0]["q"].tolist() == [[factor] * 3]


@pytest.mark.skipif(not hasattr(symbreak.checkpoints, "wire"), reason="without wiring only stacks of layers are known")
def test_a_wiring_says_how_the_tensors_are_connected(tmp_path, monkeypatch, capsys):
    """An LSTM in the layout of PyTorch: the four gates of all units below each other."""
    monkeypatch.chdir(tmp_path)
    rng, label = np.random.default_rng(0), [0, 1, 0, 1]
    reads = np.ascontiguousarray(rng.normal(size=(4, 2, 3))[:, label].reshape(16, 3))
    recurrent = np.ascontiguousarray(rng.normal(size=(4, 2, 2))[:, label][:, :, label].reshape(16, 4))
    out = rng.normal(size=(2, 2))[:, label]
    save_safetensors("in.safetensors", {"ih": reads, "hh": recurrent, "out": out})
    Path("wiring.toml").write_text(
        """
        version = 1
        [tensors]
        "ih" = [["gate 4", "out cell"], "in x"]
        "hh" = [["gate 4", "out cell"], "in cell"]
        "out" = ["out y", "in cell"]
        """
    )
    call = ["repair", "in.safetensors", "-o", "out.safetensors", "--wiring", "wiring.toml"]
    assert main([*call, "--merge"]) == 0
    found, _ = read("out.safetensors")
    assert np.array_equal(found["ih"], reads.reshape(4, 4, 3)[:, :2].reshape(8, 3))
    parts = recurrent.reshape(4, 4, 2, 2)[:, :2].sum(axis=2)
    np.testing.assert_allclose(found["hh"], parts.reshape(8, 2), rtol=1e-15)
    np.testing.assert_allclose(found["out"], out.reshape(2, 2, 2).sum(axis=1), rtol=1e-15)
    assert main([*call, "--untie"]) == 0
    assert np.array_equal(read("out.safetensors")[0]["ih"], reads)
    capsys.readouterr()
    Path("wiring.toml").write_text("version = 1\n[tensors]\n'other' = ['out y', 'in x']\n")
    assert "'other'" in refused(capsys, *call[1:])
    assert "cannot read none.toml" in refused(capsys, *call[1:4], "--wiring", "none.toml")


@pytest.mark.skipif(not hasattr(symbreak.checkpoints, "wire"), reason="without wiring only stacks of layers are known")
def test_copies_of_the_embedding_stay_copies(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 2))[:, [0, 0, 1, 1]]
    up, down = rng.normal(size=(3, 2))[:, [0, 0, 1, 1]], rng.normal(size=(2, 3))[[0, 0, 1, 1]]
    save_safetensors("in.safetensors", {"embed": table, "up": up, "down": down, "head": table.copy()})
    Path("wiring.toml").write_text(
        """
        version = 1
        [tensors]
        "embed" = ["in tokens", "out stream"]
        "up" = ["out mlp", "in stream"]
        "down" = ["out stream", "in mlp"]
        "head" = ["out logits", "in stream"]
        """
    )
    call = ["repair", "in.safetensors", "-o", "out.safetensors", "--wiring", "wiring.toml"]
    assert main([*call, "--untie"]) == 0
    found, _ = read("out.safetensors")
    assert np.array_equal(found["embed"], table)
    assert np.array_equal(found["head"], table)
    assert not np.array_equal(found["up"], up)
    assert main([*call, "--reinit"]) == 0
    found, _ = read("out.safetensors")
    assert np.array_equal(found["embed"], found["head"])
    assert not np.array_equal(found["embed"], table)
    assert capsys.readouterr().err == ""


def test_only_the_named_spaces_are_merged(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ones = {"a.weight": np.ones((3, 2)), "b.weight": np.ones((4, 3)), "c.weight": np.ones((1, 4))}
    np.savez("in.npz", **ones)
    assert main(["repair", "in.npz", "-o", "out.npz", "--merge", "--space", "b"]) == 0
    assert {name: array.shape for name, array in read("out.npz")[0].items()} == {
        "a.weight": (3, 2),
        "b.weight": (1, 3),
        "c.weight": (1, 1),
    }


GRAPHS = Path(__file__).parents[1] / "data" / "graphs"


def test_a_model_that_brings_its_graph_is_repaired_by_it(tmp_path, monkeypatch, capsys):
    """Its layers are numbered, and a norm lies between them: by their numbers alone, too, but then by less evidence."""
    monkeypatch.chdir(tmp_path)
    data, weights = bytearray((GRAPHS / "dense.onnx").read_bytes()), read(GRAPHS / "dense.onnx")[0]
    for name, axis in (("0.weight", 0), ("0.bias", 0), ("3.weight", 1)):
        old = weights[name]
        new = np.take(old, [0, 0, *range(2, old.shape[axis])], axis=axis)
        at = data.index(old.tobytes())
        data[at : at + old.nbytes] = new.tobytes()
    Path("tied.onnx").write_bytes(data)
    assert main(["repair", "tied.onnx", "-o", "out.safetensors", "--reinit"]) == 0
    assert "wired by ONNX graph" in capsys.readouterr().out
    after = read("out.safetensors")[0]
    assert list(after) == list(weights)
    assert not np.array_equal(after["0.weight"][0], after["0.weight"][1])


def test_a_model_whose_graph_is_not_understood_is_not_repaired_by_names(tmp_path, monkeypatch, capsys):
    """A node of another domain stands between two layers, which by their names would be a plain row."""
    monkeypatch.chdir(tmp_path)
    data = (GRAPHS / "dense.onnx").read_bytes()
    assert data.count(b"Tanh") >= 1
    Path("odd.onnx").write_bytes(data.replace(b"Tanh", b"Tuna"))
    assert main(["repair", "odd.onnx", "-o", "out.safetensors", "--reinit"]) == 0
    printed = capsys.readouterr()
    assert "Tuna" in printed.out + printed.err
    assert "no tied units are known" in printed.out
