"""The command `init`: what it writes, in how much memory, what it says, and what it refuses."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import symbreak as sb
from symbreak import recipes
from symbreak.checkpoints import open_checkpoint, save_safetensors
from symbreak.cli import main

SHAPES = {"fc.weight": [64, 32], "fc.bias": [64], "conv.weight": [8, 4, 3, 3], "out.weight": [10, 64]}
RULES = {
    "*.bias": sb.Zeros(),
    "conv.*": sb.Rule("he_normal", axes="oihw", dtype="float16"),
    "out.*": sb.Blocks((sb.Normal(0.02), sb.Zeros()), (-1, 1)),
    "*": sb.HeNormal(),
}
TOML = """\
[rules]
"*.bias" = "zeros"
"conv.*" = { initializer = "he_normal", axes = "oihw", dtype = "float16" }
"out.*" = { name = "blocks", inits = [{ name = "normal", std = 0.02 }, { name = "zeros" }], sizes = [-1, 1] }
"*" = { name = "he_normal" }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("shapes.json").write_text(json.dumps(SHAPES))
    Path("rules.toml").write_text(TOML)


def read(path):
    with open_checkpoint(path) as ckpt:
        return {name: np.array(ckpt[name]) for name in ckpt}


def wanted(seed=0, **options):
    return sb.initialize({name: tuple(shape) for name, shape in SHAPES.items()}, RULES, seed, **options)


def check_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("out", ["out.safetensors", "out.npz"])
def test_the_file_has_the_bits_of_the_plan(out, capsys):
    assert main(["init", "--shapes", "shapes.json", "--rules", "rules.toml", "--seed", "7", "-o", out]) == 0
    found = read(out)
    check_same({name: found[name] for name in SHAPES}, wanted(7))
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out == f"4 parameters, 3,040 values, seed 7; written to {out}\n"


def test_one_of_a_kind_is_no_plural(capsys):
    Path("one.json").write_text('{"scale.bias": [1]}')
    Path("all.toml").write_text('[rules]\n"*" = "zeros"\n')
    assert main(["init", "--shapes", "one.json", "--rules", "all.toml", "-o", "out.npz"]) == 0
    assert capsys.readouterr().out == "1 parameter, 1 value, seed 0; written to out.npz\n"


def test_workers_and_dtype(capsys):
    call = ["init", "--shapes", "shapes.json", "--rules", "rules.toml", "--dtype", "bfloat16"]
    for workers, out in (("1", "a.safetensors"), ("2", "b.safetensors")):
        assert main([*call, "--workers", workers, "-o", out]) == 0
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
    expected = wanted(dtype="bfloat16")
    found = read("a.safetensors")
    check_same({name: found[name] for name in expected}, expected)


def test_json_says_what_toml_says():
    import tomllib

    Path("rules.json").write_text(json.dumps(tomllib.loads(TOML)))
    for rules, out in (("rules.toml", "a.npz"), ("rules.json", "b.npz")):
        assert main(["init", "--shapes", "shapes.json", "--rules", rules, "-o", out]) == 0
    check_same(read("a.npz"), read("b.npz"))


def test_a_file_gives_names_dtypes_and_metadata_and_its_integers():
    steps = np.arange(5)
    old = {
        "b": np.full((3, 4), np.nan, np.float16),
        "a": np.ones((2, 3), ml_dtypes.bfloat16),
        "steps": steps,
        "mask": np.eye(3, dtype=bool),
    }
    save_safetensors("old.safetensors", old, {"format": "pt"})
    Path("rules.json").write_text('{"rules": {"*": "he_normal"}}')
    assert main(["init", "--like", "old.safetensors", "--rules", "rules.json", "-o", "new.safetensors"]) == 0
    expected = sb.initialize({**old}, {"*": "he_normal"}, 0)
    found = read("new.safetensors")
    check_same({name: found[name] for name in old}, expected)
    assert np.array_equal(found["steps"], steps)
    with open_checkpoint("new.safetensors") as ckpt:
        assert dict(ckpt.metadata) == {"format": "pt"}
    assert np.isnan(read("old.safetensors")["b"]).all()


def test_shapes_may_have_dtypes():
    Path("shapes.toml").write_text('a = [3, 4]\nb = { shape = [4], dtype = "float16" }\n')
    Path("rules.json").write_text('{"rules": {"*": "normal"}}')
    assert main(["init", "--shapes", "shapes.toml", "--rules", "rules.json", "-o", "out.npz"]) == 0
    assert [array.dtype.name for array in read("out.npz").values()] == ["float32", "float16"]


GPT = {
    "wte.weight": [100, 16],
    "h.0.attn.c_attn.weight": [48, 16],
    "h.0.attn.c_proj.weight": [16, 16],
    "h.0.mlp.c_fc.weight": [64, 16],
    "h.0.mlp.c_proj.weight": [16, 64],
    "lm_head.weight": [100, 16],
    "odd": [16, 16],
}


def test_a_recipe_with_rules_and_roles_of_its_own():
    Path("shapes.json").write_text(json.dumps(GPT))
    Path("rules.toml").write_text(
        '[rules]\n"lm_head.weight" = { name = "same_as", parameter = "wte.weight" }\n[roles]\n"odd" = "mlp_in"\n'
        '[recipe]\nname = "gpt2"\nstd = 0.1\n'
    )
    assert main(["init", "--shapes", "shapes.json", "--rules", "rules.toml", "-o", "out.npz"]) == 0
    found = read("out.npz")
    plan = recipes.GPT2(std=0.1)(
        {name: tuple(shape) for name, shape in GPT.items()},
        roles={"odd": "mlp_in"},
        rules={"lm_head.weight": sb.SameAs("wte.weight")},
    ).plan()
    check_same(found, plan.initialize(0))
    assert np.array_equal(found["lm_head.weight"], found["wte.weight"])


def test_a_recipe_by_name(capsys):
    Path("shapes.json").write_text(json.dumps({name: shape for name, shape in GPT.items() if name != "odd"}))
    assert main(["init", "--shapes", "shapes.json", "--recipe", "gpt2", "--plan"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^h\.0\.mlp\.c_proj\.\S* +mlp_out ", out, re.M)
    assert "std / sqrt(2" in out
    assert sorted(path.name for path in Path().iterdir()) == ["rules.toml", "shapes.json"]


def test_the_plan_is_shown_even_where_it_is_wrong(capsys):
    Path("rules.json").write_text('{"rules": {"fc.*": "ones", "nope": "ones"}}')
    assert main(["init", "--shapes", "shapes.json", "--rules", "rules.json", "--plan"]) == 2
    captured = capsys.readouterr()
    assert "no rule hits: conv.weight\n" in captured.out
    assert "symbreak: no rule hits 'conv.weight', 'out.weight' (2 of 4 parameters)" in captured.err


def refused(capsys, *call):
    """Run a call that is refused, and give what it says; nothing is written."""
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    assert main(["init", *call]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before
    assert captured.err.startswith("symbreak: ")
    return captured.err


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["--shapes", "shapes.json", "-o", "o.npz"], "say what each parameter gets: --rules F, --recipe NAME, or both"),
        (["--shapes", "shapes.json", "--rules", "rules.toml"], "say where the weights go: -o OUT; or --plan"),
        (["--shapes", "shapes.json", "--rules", "rules.toml", "-o", "o.pt"], "o.pt should end in .safetensors or .npz"),
        (["--shapes", "shapes.json", "--rules", "none.toml", "-o", "o.npz"], "cannot read none.toml: No such file"),
        (["--like", "none", "--rules", "rules.toml", "-o", "o.npz"], "cannot read none: No such file"),
        (["--like", "rules.toml", "--rules", "rules.toml", "-o", "o.npz"], "rules.toml: is JSON, but not the index of"),
        (
            ["--shapes", "shapes.json", "--rules", "rules.toml", "-o", "o.npz", "--dtype", "int8"],
            "weights can't be made as 'int8'",
        ),
        (
            ["--shapes", "shapes.json", "--rules", "rules.toml", "-o", "o.npz", "--dtype", "bfloat16"],
            "'fc.weight' has dtype bfloat16, which npz does not have: write safetensors",
        ),
        (["--shapes", "shapes.json", "--recipe", "gtp2", "-o", "o.npz"], "no recipe is called 'gtp2'; recipes are"),
        (["--shapes", "shapes.json", "--recipe", "gpt2", "-o", "o.npz"], "no role is known for 'out.weight' (1 of 4"),
        (
            ["--shapes", "shapes.json", "--rules", "rules.toml", "-o", "no/o.npz"],
            "cannot write to no/o.npz: there is no folder no;",
        ),
    ],
)
def test_what_can_not_be_done_is_refused(call, message, capsys):
    if "'out.weight'" in message:
        Path("shapes.json").write_text(
            json.dumps({"fc.weight": [4, 4], "fc.bias": [4], "out.weight": [3, 4], "wte": [3, 4]})
        )
    assert message in refused(capsys, *call)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.json", "{", "r.json is not JSON (TOML files end in .toml): Expecting"),
        ("r.toml", "a = ", "r.toml is not TOML: Invalid value"),
        ("r.json", b"\xff", "r.json is not UTF-8 at byte 0"),
        ("r.json", "[1]", "r.json holds no JSON object, with names for keys"),
        ("r.json", "[" * 100_000, "r.json is nested too deeply"),
        ("r.json", '{"rules": {"a": "ones", "a": "zeros"}}', "the key 'a' is there twice"),
        ("r.json", "{}", "r.json has the keys 'rules', 'roles', 'recipe', 'axes', one of them at least"),
        ("r.json", '{"rule": {}}', "'axes', one of them at least; got 'rule'"),
        ("r.json", '{"rules": ["ones"]}', "r.json: 'rules' is a table with globs for keys; got ['ones']"),
        ("r.json", '{"rules": {"*": "onez"}}', "r.json: the rule '*': no initializer is called 'onez'; did you mean"),
        ("r.json", '{"rules": {"*": 3}}', "r.json: the rule '*': an initializer is given by name"),
        ("r.json", '{"rules": {"*": {"initializer": "ones", "axis": "oi"}}}', "a rule has the keys 'initializer'"),
        ("r.json", '{"rules": {"*": {"initializer": "ones", "axes": "zz"}}}', "r.json: the rule '*': the layout 'zz'"),
        ("r.json", '{"rules": {"*": {"initializer": "ones", "axes": {"splits": 3}}}}', "axes are a layout, or a table"),
        ("r.json", '{"rules": {"*": {"initializer": "ones", "dtype": "int8"}}}', "weights can't be made as 'int8'"),
        ("r.json", '{"recipe": 3}', "r.json: 'recipe' is a name, or a table with its name and options; got 3"),
        ("r.json", '{"recipe": {"name": "gpt2", "stdd": 1}}', "the recipe 'gpt2' can't be made with {'stdd': 1}"),
        ("r.json", '{"recipe": "gpt2", "roles": {"*": "hiden"}}', "'*' has no role that is known: 'hiden'; roles are"),
    ],
)  # fmt: skip
def test_a_file_of_rules_that_makes_no_sense_is_refused(name, text, message, capsys):
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in refused(capsys, "--shapes", "shapes.json", "--rules", name, "-o", "o.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"w": "big"}',
            "s.json: 'w' is a list of sizes, such as [64, 32], or a table with 'shape' and 'dtype'; got big",
        ),
        ('{"w": [3, -1]}', "s.json: 'w' is a list of sizes"),
        ('{"w": [3, true]}', "s.json: 'w' is a list of sizes"),
        ('{"w": [3, 1e99]}', "s.json: 'w' is a list of sizes"),
        ('{"w": {"shape": [3], "size": 1}}', "s.json: 'w' is a list of sizes"),
        ('{"w": {"dtype": "float32"}}', "s.json: 'w' is a list of sizes"),
        ('{"w": {"shape": [3], "dtype": "int8"}}', "s.json: 'w': weights can't be made as 'int8'"),
    ],
)
def test_shapes_that_make_no_sense_are_refused(text, message, capsys):
    Path("s.json").write_text(text)
    assert message in refused(capsys, "--shapes", "s.json", "--rules", "rules.toml", "-o", "o.npz")


def test_what_is_read_is_never_written(capsys):
    save_safetensors("m.safetensors", {name: np.zeros(shape, "f4") for name, shape in SHAPES.items()})
    Path("twin.safetensors").symlink_to("m.safetensors")
    for out in ("m.safetensors", "twin.safetensors"):
        said = refused(capsys, "--like", "m.safetensors", "--rules", "rules.toml", "-o", out)
        assert f"{out} is to be read, and what is read is never changed; name another file" in said


def test_a_file_of_which_not_all_can_be_read_is_no_model(capsys):
    np.savez("m.npz", w=np.ones((2, 2)), names=np.array(["a"], dtype=object))
    said = refused(capsys, "--like", "m.npz", "--rules", "rules.toml", "-o", "new.npz")
    assert "symbreak: m.npz: not all of it can be read: names: " in said


def test_the_plan_of_a_file_needs_no_place_to_write(capsys):
    np.savez("m.npz", **{name: np.zeros(shape, "f4") for name, shape in SHAPES.items()})
    assert main(["init", "--like", "m.npz", "--rules", "rules.toml", "--plan"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in SHAPES)


def test_a_shard_is_never_written_over(capsys):
    save_safetensors("s1.safetensors", {name: np.zeros(shape, "f4") for name, shape in SHAPES.items()})
    index = {"metadata": {}, "weight_map": dict.fromkeys(SHAPES, "s1.safetensors")}
    Path("m.safetensors.index.json").write_text(json.dumps(index))
    call = ["--like", "m.safetensors.index.json", "--rules", "rules.toml"]
    assert "s1.safetensors is to be read" in refused(capsys, *call, "-o", "s1.safetensors")
    assert main(["init", *call, "-o", "other.safetensors"]) == 0


def test_two_recipes_are_one_too_many(capsys):
    Path("r.json").write_text('{"recipe": "gpt2"}')
    said = refused(capsys, "--shapes", "shapes.json", "--rules", "r.json", "--recipe", "gpt2", "-o", "o.npz")
    assert "the file of rules has a recipe, GPT2(std=0.02, per_layer=False), and --recipe names another" in said


@pytest.mark.parametrize(
    "option", [["--seed", "-1"], ["--seed", "one"], ["--workers", "0"], ["--shapes", "a", "--like", "b"]]
)
def test_a_wrong_call_is_a_usage_error(option, capsys):
    with pytest.raises(SystemExit) as error:
        main(["init", "--shapes", "shapes.json", "--rules", "rules.toml", "-o", "o.npz", *option])
    assert error.value.code == 2
    assert "usage: symbreak init" in capsys.readouterr().err


def test_a_disk_that_is_full_leaves_what_was_there(monkeypatch, capsys):
    Path("out.npz").write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    said = refused(capsys, "--shapes", "shapes.json", "--rules", "rules.toml", "-o", "out.npz")
    assert "cannot write to out.npz: No space left on device" in said


def test_a_disk_without_room_is_told_before_anything_is_made(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(0, 0, 1000))
    monkeypatch.setattr(sb.HeNormal, "sample", None)
    said = refused(capsys, "--shapes", "shapes.json", "--rules", "rules.toml", "-o", "out.npz")
    assert "cannot write to out.npz: the file takes 11,584 bytes and its disk has 1,000 free; give another" in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("out", ["out.safetensors", "out.npz"])
@pytest.mark.parametrize(("number", "code"), [(15, 143), (1, 129)])
def test_a_process_that_is_ended_takes_its_file_away(out, number, code, monkeypatch):
    def end(_):
        os.kill(os.getpid(), number)

    Path(out).write_bytes(b"old")
    before = sorted(Path().iterdir())
    monkeypatch.setattr(os, "fsync", end)
    handler = signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is ignored
    try:
        assert main(["init", "--shapes", "shapes.json", "--rules", "rules.toml", "-o", out]) == code
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, handler)
    assert sorted(Path().iterdir()) == before
    assert Path(out).read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_a_process_that_is_ended_while_it_draws_leaves_nothing():
    Path("shapes.json").write_text('{"w": [50000, 4096]}')
    Path("rules.json").write_text('{"rules": {"*": "normal"}}')
    call = ["init", "--shapes", "shapes.json", "--rules", "rules.json", "-o", "out.safetensors"]
    with subprocess.Popen([sys.executable, "-m", "symbreak", *call]) as process:
        while not any(path.stat().st_size > 1 << 20 for path in Path().glob("*.tmp")):
            assert process.poll() is None
            time.sleep(0.002)
        process.terminate()
        assert process.wait(60) == 143
    assert not [path for path in Path().iterdir() if path.name.startswith("out")]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a file")
@pytest.mark.parametrize("out", ["out.safetensors", "out.npz"])
def test_a_disk_that_fills_up_on_the_way_leaves_nothing(out):
    Path("shapes.json").write_text('{"w": [1000, 1000]}')
    Path("rules.json").write_text('{"rules": {"*": "normal"}}')
    limited = "import resource, sys; from symbreak.cli import main; from pathlib import Path; "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); sys.exit(main(sys.argv[1:]))"
    call = ["init", "--shapes", "shapes.json", "--rules", "rules.json", "-o", out]
    done = subprocess.run([sys.executable, "-c", limited, *call], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"symbreak: cannot write to {out}: File too large\n"
    assert not [path for path in Path().iterdir() if path.name.startswith("out")]


MEASURED = """
import pathlib, sys, threading
from symbreak.cli import main

def anonymous():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

peak, done = 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, anonymous())

thread = threading.Thread(target=watch)
thread.start()
code = main(sys.argv[1:])
done.set()
thread.join()
print(code, peak)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts anonymous memory in Linux's /proc")
def test_a_large_file_is_made_in_bounded_memory():
    """Two weights of 84 MB in less than 100 MB, of which Python and NumPy take 30."""
    Path("shapes.json").write_text('{"embed": [5120, 4096], "head": [4096, 5120], "w": [1024, 32]}')
    Path("rules.json").write_text(
        '{"rules": {"head": {"name": "same_as", "parameter": "embed", "transpose": true}, "*": {"name": "uniform"}}}'
    )
    call = ["init", "--shapes", "shapes.json", "--rules", "rules.json", "-o", "out.safetensors"]
    done = subprocess.run([sys.executable, "-c", MEASURED, *call], capture_output=True, text=True, check=True)
    code, peak = done.stdout.split()[-2:]
    assert code == "0"
    assert int(peak) < 100e6
    with open_checkpoint("out.safetensors") as ckpt:
        assert np.array_equal(ckpt["head"], ckpt["embed"].T)
        assert np.array_equal(ckpt["embed"], sb.Uniform()((5120, 4096), sb.Key(0)["embed"]))
