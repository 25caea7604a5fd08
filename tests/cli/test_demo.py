"""The command `demo`: what it prints, what it writes, and what it does without what it would like to have."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak import demo
from symbreak.cli import build_parser, main
from symbreak.reports import to_text
from tests.cli.test_cli import ROOT, in_a_terminal

FILES = ["constant.safetensors", "demo.png", "he_normal.safetensors"]
QUICK = ["--steps", "30"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tmp_path


def listed(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_it_writes_two_files_and_a_picture_and_says_so(here, capsys):
    assert main(["demo", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert listed(".") == ["symbreak-demo"]
    assert listed("symbreak-demo") == FILES
    written = out.split("\nwritten:\n")[1].splitlines()
    assert sorted(written) == [f"    {Path('symbreak-demo', name)}" for name in FILES]


def test_the_table_says_what_the_files_hold(here, capsys):
    load_file = pytest.importorskip("safetensors.numpy").load_file
    assert main(["demo", *QUICK]) == 0
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert re.split(r"  +", table[0]) == ["start", "test accuracy", "training loss", "distinct units", "verdict"]
    x, labels = demo.load_digits().test
    for row, start in zip(table[1:], demo.STARTS, strict=True):
        name, accuracy, _, distinct, _ = re.split(r"  +", row)
        w = {key: array.astype(float) for key, array in load_file(f"symbreak-demo/{start.file}.safetensors").items()}
        outputs = np.tanh(x @ w["layers.0.weight"].T + w["layers.0.bias"]) @ w["layers.1.weight"].T
        right = np.count_nonzero((outputs + w["layers.1.bias"]).argmax(axis=1) == labels)
        assert name == start.name
        assert abs(float(accuracy.rstrip("%")) / 100 * len(labels) - right) < 1.3  # one image on the border
        assert distinct == f"{len(np.unique(w['layers.0.weight'], axis=0))} of 32"
    assert table[1].split("  ")[-1].startswith("2 errors")
    assert table[2].split("  ")[-1] == "clean"


def test_the_findings_are_those_of_check(here, capsys):
    assert main(["demo", *QUICK]) == 0
    out = capsys.readouterr().out
    path = Path("symbreak-demo", "constant.safetensors")
    assert main(["check", str(path)]) == 1
    assert f"\n\n{capsys.readouterr().out}\n" in out
    assert to_text(sb.diagnose(path)) in out
    assert main(["check", str(path.with_name("he_normal.safetensors"))]) == 0


def test_the_text_fits_80_columns(here, capsys):
    assert main(["demo", *QUICK]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_second_run_prints_and_writes_the_same(here, capsys):
    assert main(["demo", *QUICK]) == 0
    first = capsys.readouterr(), [Path("symbreak-demo", name).read_bytes() for name in FILES]
    assert main(["demo", *QUICK]) == 0
    assert (capsys.readouterr(), [Path("symbreak-demo", name).read_bytes() for name in FILES]) == first
    assert main(["demo", *QUICK, "--seed", "1"]) == 0
    assert Path("symbreak-demo", FILES[2]).read_bytes() != first[1][2]


def test_seed_steps_and_folder_are_the_callers(here, capsys):
    assert main(["demo", "--output", "mine", "--seed", "5", "--steps", "1"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "1 step of SGD, seed 5" in out
    assert listed("mine") == FILES
    expected = demo.train_from(demo.STARTS[1], demo.load_digits(), seed=5, steps=1)
    saved = pytest.importorskip("safetensors.numpy").load_file("mine/he_normal.safetensors")
    assert saved["layers.0.weight"].tobytes() == expected.parameters["layers.0.weight"].tobytes()


def test_by_default_it_trains_for_as_long_as_the_module_says():
    arguments = build_parser().parse_args(["demo"])
    assert (arguments.steps, arguments.seed, arguments.output) == (demo.STEPS, 0, "symbreak-demo")


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("--steps", "0", 1), ("--steps", "-3", 1), ("--steps", "many", 1), ("--steps", "1.5", 1), ("--seed", "-1", 0)],
)
def test_a_count_that_makes_no_sense_is_exit_code_2(here, capsys, option, value, least):
    with pytest.raises(SystemExit) as stop:
        main(["demo", f"{option}={value}"])
    assert stop.value.code == 2
    assert f"argument {option}: '{value}' is no whole number of {least} or more" in capsys.readouterr().err
    assert listed(".") == []


@pytest.mark.parametrize("target", ["no/such/folder", "file", "file/below", "\x1b[31m/below"])
def test_a_folder_that_cannot_be_written_is_exit_code_2_and_leaves_nothing(here, capsys, monkeypatch, target):
    Path("file").write_text("x")
    monkeypatch.setattr(demo, "train_from", lambda *_, **__: pytest.fail("trained before the folder was tried"))
    assert main(["demo", "--output", target]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"symbreak: cannot write to {target}: ".replace("\x1b", r"\x1b"))
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    assert listed(".") == ["file"]


def test_a_file_that_it_did_not_make_is_kept_and_is_exit_code_2(here, capsys):
    Path("symbreak-demo").mkdir()
    Path("symbreak-demo/demo.png").write_bytes(b"mine")
    assert main(["demo", *QUICK]) == 2
    assert capsys.readouterr() == (
        "",
        "symbreak: cannot write to symbreak-demo: demo.png is there and was not made by an earlier run; move it away "
        "or choose another folder\n",
    )
    assert listed("symbreak-demo") == ["demo.png"]
    assert Path("symbreak-demo/demo.png").read_bytes() == b"mine"


def test_a_disk_that_fills_up_is_exit_code_2_and_leaves_nothing_half_written(here, capsys, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["demo", *QUICK]) == 2
    assert capsys.readouterr() == ("", "symbreak: cannot write to symbreak-demo: No space left on device\n")
    assert listed(".") == []


def test_an_interrupt_leaves_nothing(here, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train_from", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr() == ("", "")
    assert listed(".") == []


def test_without_matplotlib_all_but_the_picture_is_there(here, capsys):
    assert main(["demo", *QUICK, "--output", "with"]) == 0
    whole = capsys.readouterr().out.replace("with", "without").replace(f"    {Path('without', 'demo.png')}\n", "")
    Path("shadow").mkdir()
    Path("shadow/matplotlib.py").write_text("raise ImportError('not installed')")
    done = subprocess.run(
        [sys.executable, "-m", "symbreak", "demo", *QUICK, "--output", "without"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{here / 'shadow'}{os.pathsep}{ROOT}"},
        check=False,
        timeout=120,
        text=True,
    )
    assert done.returncode == 0
    needs = "symbreak: the picture needs matplotlib, which is not installed: pip install 'symbreak[plot]'\n"
    assert done.stderr == needs
    assert done.stdout.split("\n\n")[1:2] == whole.split("\n\n")[1:2]
    assert done.stdout.split("\nwritten:\n")[1] == whole.split("\nwritten:\n")[1]
    assert listed("without") == ["constant.safetensors", "he_normal.safetensors"]


def test_a_terminal_gets_a_live_bar_for_each_start(here):
    pytest.importorskip("rich")
    code, printed = in_a_terminal("demo", *QUICK, COLUMNS="80")
    assert code == 0
    plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", printed).decode()
    bars = [line for line in re.split(r"[\r\n]+", plain) if "steps, test accuracy" in line]
    for start in demo.STARTS:
        last = next(line for line in reversed(bars) if line.startswith(start.name))
        assert "30/30 steps, test accuracy" in last
        assert len(last) <= 80
    assert "written:" in plain


def test_no_color_takes_the_colours_away(here):
    coloured = re.compile(rb"\x1b\[[0-9;]*3[0-9]m")
    assert coloured.search(in_a_terminal("demo", *QUICK)[1])
    assert not coloured.search(in_a_terminal("demo", *QUICK, NO_COLOR="1")[1])


def test_without_rich_a_terminal_is_told_of_the_extra_and_gets_the_same_text(here, capsys):
    assert main(["demo", *QUICK]) == 0
    text = capsys.readouterr().out
    Path("rich.py").write_text("raise ImportError('not installed')")
    code, printed = in_a_terminal("demo", *QUICK, PYTHONPATH=f"{here}{os.pathsep}{ROOT}", NO_COLOR="1")
    assert code == 0
    needs = "symbreak: the progress bar needs rich, which is not installed: pip install 'symbreak[cli]'\n"
    assert printed.replace(b"\r\n", b"\n").decode() == needs + text


def test_a_number_of_steps_beyond_reason_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--output", str(tmp_path / "out"), "--steps", "9" * 20])
    assert stopped.value.code == 2
    assert "is more than 100,000,000, which is days of training" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
