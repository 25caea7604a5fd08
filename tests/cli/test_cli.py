"""The command: what it prints, where, and with which exit code."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import symbreak
from symbreak.cli import main
from symbreak.findings import CODES, select_codes

ROOT = Path(symbreak.__file__).parent.parent


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Small files, one of each kind, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    np.savez("sound.npz", fc1=random(6, 5), bias=np.zeros(6))
    np.savez("constant.npz", fc1=np.full((64, 32), 0.5, np.float32))
    tied = random(6, 5)
    tied[4] = tied[1]
    np.save("tied.npy", tied)
    Path("cut.npz").write_bytes(Path("sound.npz").read_bytes()[:100])
    return tmp_path


def run(*arguments, **options):
    """Run the command as a process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "symbreak", *arguments],
        capture_output=True,
        env=environment,
        check=False,
        timeout=120,
        **options,
    )


CONSTANT = """\
error SB101 constant.npz: fc1
    all 64 units of axis 0 and all 32 units of axis 1 are equal: every weight is
    0.5
    fix: draw the weight from a random initializer, such as HeNormal() or
         GlorotUniform()
1 error; read 1 array of 1 file
"""

TIED = """\
warning SB102 tied.npy: {name}, axis 0
    2 units have equal weights: 1, 4
    fix: draw the equal units again from a random initializer, or add a little
         noise to all of a group but one
1 warning; read 1 array of 1 file
"""


def test_a_constant_weight_is_exit_code_1(models, capsys):
    assert main(["check", "constant.npz"]) == 1
    assert capsys.readouterr() == (CONSTANT, "")


def test_tied_units_are_exit_code_1(models, capsys):
    assert main(["check", "tied.npy"]) == 1
    out = capsys.readouterr().out
    name = out.split("tied.npy: ")[1].split(",")[0]
    assert out == TIED.format(name=name)


def test_sound_weights_are_exit_code_0(models, capsys):
    assert main(["check", "sound.npz"]) == 0
    assert capsys.readouterr() == ("clean: nothing found in 2 arrays of 1 file\n", "")


def test_what_cannot_be_read_is_exit_code_2_and_the_rest_is_judged(models, capsys):
    assert main(["check", "missing.npz", "constant.npz", "cut.npz"]) == 2
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "error SB301 missing.npz"
    assert CONSTANT.splitlines()[0] in lines
    assert any(line == "error SB301 cut.npz" for line in lines)
    assert lines[-1] == "3 errors, 2 not read; read 1 array of 2 files"
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["constant.npz"], 1),
        (["constant.npz", "--fail-on", "error"], 1),
        (["tied.npy"], 1),
        (["tied.npy", "--fail-on", "error"], 0),
        (["tied.npy", "--fail-on", "note"], 1),
        (["sound.npz", "--fail-on", "note"], 0),
        (["constant.npz", "--exit-zero"], 0),
        (["cut.npz", "--exit-zero"], 2),
        (["cut.npz", "--ignore", "SB301"], 2),
        (["cut.npz", "--select", "SB1"], 2),
        (["constant.npz", "--ignore", "SB101"], 0),
        (["constant.npz", "--ignore", "SB1"], 0),
        (["constant.npz", "--ignore", "SB102,SB106"], 1),
        (["constant.npz", "--ignore", "SB102,sb101"], 0),
        (["constant.npz", "--select", "SB102"], 0),
        (["constant.npz", "--select", "SB102", "--select", "SB101"], 1),
        (["constant.npz", "--select", "SB1", "--ignore", "SB101"], 0),
        (["sound.npz", "constant.npz"], 1),
        (["."], 2),
    ],
)
def test_the_exit_code_follows_from_the_options(models, arguments, code):
    assert main(["check", *arguments]) == code


def test_json_on_stdout_is_the_report(models, capsys):
    assert main(["check", "constant.npz", "cut.npz", "--format", "json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["schema_version", "files", "findings", "skipped", "summary"]
    assert report["schema_version"] == 1
    assert report["files"] == ["constant.npz", "cut.npz"]
    assert [finding["code"] for finding in report["findings"]] == ["SB101", "SB301"]
    assert [skipped["where"] for skipped in report["skipped"]] == ["cut.npz"]


def test_a_file_takes_the_result_instead_of_stdout(models, capsys):
    assert main(["check", "constant.npz", "--output", "out.txt"]) == 1
    assert capsys.readouterr() == ("", "1 error; read 1 array of 1 file\n")  # the log of a job isn't empty
    assert Path("out.txt").read_text() == CONSTANT
    assert main(["check", "sound.npz", "--output", "out.txt"]) == 0
    assert Path("out.txt").read_text().startswith("clean")


def test_a_dash_is_stdout(models, capsys):
    assert main(["check", "constant.npz", "--output", "-"]) == 1
    assert capsys.readouterr().out == CONSTANT
    assert not Path("-").exists()


@pytest.mark.parametrize("target", ["sound.npz", "./sound.npz", "link.npz"])
def test_the_file_that_is_read_is_never_replaced_by_the_report(target, models, capsys):
    Path("link.npz").symlink_to("sound.npz")
    before = Path("sound.npz").read_bytes()
    assert main(["check", "constant.npz", "sound.npz", "--output", target]) == 2
    told = capsys.readouterr().err
    assert f"--output {target} would replace sound.npz, which is to be read; name another file" in told
    assert Path("sound.npz").read_bytes() == before


def test_a_report_may_replace_what_lies_beside_the_models(models):
    assert main(["check", "constant.npz", "--output", "notes.txt"]) == 1
    assert main(["check", ".", "--output", "notes.txt"]) in (1, 2)  # the folder is read, this file of it is not
    assert "constant.npz" in Path("notes.txt").read_text()


def test_an_output_keeps_its_permissions_and_its_link(models):
    Path("real.txt").write_text("old")
    Path("real.txt").chmod(0o640)
    Path("link.txt").symlink_to("real.txt")
    main(["check", "sound.npz", "--output", "link.txt"])
    assert Path("link.txt").is_symlink()
    assert Path("real.txt").read_text().startswith("clean")
    assert stat.S_IMODE(Path("real.txt").stat().st_mode) == 0o640
    mask = os.umask(0o027)
    try:
        main(["check", "sound.npz", "--output", "new.txt"])
    finally:
        os.umask(mask)
    assert stat.S_IMODE(Path("new.txt").stat().st_mode) == 0o640


def test_an_output_is_replaced_whole_or_not_at_all(models, monkeypatch):
    Path("out.txt").write_text("old")

    def broken(*arguments, **options):
        raise RuntimeError

    monkeypatch.setattr("symbreak.cli.check.to_text", broken)
    before = sorted(Path().iterdir())
    with pytest.raises(RuntimeError):
        main(["check", "sound.npz", "--output", "out.txt"])
    assert Path("out.txt").read_text() == "old"
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("target", ["no/such/folder/out.txt", ".", "sound.npz/out.txt", "\x1b[31m/out.txt"])
def test_an_output_that_cannot_be_written_is_exit_code_2(models, capsys, target):
    assert main(["check", "constant.npz", "--output", target]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("symbreak: cannot write to ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    assert ("there is no folder" in err) == (target not in (".", "sound.npz/out.txt"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_an_output_that_is_no_regular_file_is_written_to_and_not_replaced(models):
    """A pipe stands in for devices: were it replaced, nothing outside the temporary folder would be lost."""
    os.mkfifo("pipe")
    both = os.open("pipe", os.O_RDWR)  # neither end waits for the other, and a pipe holds more than the report
    try:
        assert main(["check", "sound.npz", "--output", "pipe"]) == 0
        assert stat.S_ISFIFO(Path("pipe").lstat().st_mode)
        assert os.read(both, 4096).startswith(b"clean")
    finally:
        os.close(both)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["chekc"], "invalid choice: 'chekc'"),
        (["check"], "the following arguments are required: PATH"),
        (["check", "a", "--format", "xml"], "invalid choice: 'xml'"),
        (["check", "a", "--select", "SB999"], "no code begins with 'SB999'; the nearest are SB"),
        *[
            (["check", "a", option, ""], f"argument {option}: the path is empty; name a file")
            for option in (
                "--output",
                "--baseline",
                "--write-baseline",
                "--settings",
                "--resume",
                "--wiring",
                "--config",
            )
        ],
        (["repair", "a", "-o", "b.npz", "--wiring", ""], "argument --wiring: the path is empty; name a file"),
        (["init", "--shapes", "", "-o", "b.npz"], "argument --shapes: the path is empty; name a file"),
        (["check", "a", "--ignore", "SB101,"], "no code begins with ''; the nearest are SB"),
        (["explain", "SB311"], "no code begins with 'SB311'; the nearest are SB301"),
        (["explain", "\x1b[31m"], r"no code begins with '\x1b[31m'; the nearest are SB"),
    ],
)
def test_a_wrong_call_is_exit_code_2_and_says_what_is_wrong(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "\x1b" not in err


def test_list_names_every_code_initializer_and_recipe(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for row in CODES.values():
        assert f"{row.code}  {row.level!s:<8} {row.sentence}\n" in out
    codes, names = out.split("\ninitializers\n")
    assert len(codes.splitlines()) == len(CODES)
    initializers, recipes = ("".join(part.split()).split(",") for part in names.split("\nrecipes\n"))
    assert initializers == symbreak.names()
    assert recipes == symbreak.recipes.names()


@pytest.mark.parametrize("code", CODES)
def test_explain_says_all_that_the_table_knows(capsys, code):
    assert main(["explain", code.lower()]) == 0
    out = capsys.readouterr().out
    row = CODES[code]
    assert out.startswith(f"{code} ({row.level}): {row.sentence}\n")
    joined = " ".join(out.split())
    for text in (row.why, *row.causes, f"What to do: {row.fix}."):
        assert text in joined
    assert max(map(len, out.splitlines())) <= 80


def test_explain_takes_the_beginning_of_codes(capsys):
    assert main(["explain", "SB10"]) == 0
    out = capsys.readouterr().out
    assert [code for code in CODES if f"{code} (" in out] == list(select_codes("SB10"))


@pytest.mark.parametrize("command", [[], ["check"], ["list"], ["explain"]])
def test_help_fits_80_columns(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"symbreak {symbreak.__version__}\n"


def test_the_process_gives_the_same_output_and_code(models):
    done = run("check", "constant.npz")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (1, CONSTANT, b"")


def test_names_are_printed_whatever_the_terminals_encoding(models):
    np.savez("m.npz", **{"größe\u202e\x1b[31m\n": np.ones((3, 2))})
    done = run("check", "m.npz", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1
    assert done.stderr == b""
    assert rb"gr\xf6\xdfe\u202e\x1b[31m\n" in done.stdout
    assert b"\x1b" not in done.stdout


def test_no_colour_in_a_pipe(models):
    assert b"\x1b" not in run("check", "constant.npz").stdout


def in_a_terminal(*arguments, **environment):
    """Run the command with stdout and stderr on a terminal, and give what it printed."""
    pty = pytest.importorskip("pty")
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "symbreak", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment},
    )
    os.close(theirs)
    printed = b""
    try:
        while piece := os.read(mine, 65536):
            printed += piece
    except OSError:  # the other end is closed
        pass
    os.close(mine)
    return process.wait(60), printed


def test_a_terminal_gets_colour_unless_it_is_declined(models):
    coloured = b"\x1b[31merror\x1b[0m SB101 constant.npz"
    code, printed = in_a_terminal("check", "constant.npz")
    assert code == 1
    assert coloured in printed
    assert coloured not in in_a_terminal("check", "constant.npz", NO_COLOR="1")[1]
    assert coloured not in in_a_terminal("check", "constant.npz", TERM="dumb")[1]


def test_a_file_gets_no_colour_even_from_a_terminal(models):
    assert in_a_terminal("check", "constant.npz", "--output", "out.txt")[0] == 1
    assert Path("out.txt").read_text() == CONSTANT


def test_progress_shows_hostile_names_as_text(models):
    pytest.importorskip("rich")
    name = "[red]\x1b]0;owned\x07.npz"
    np.savez(name, w=np.ones((3, 2)))
    printed = in_a_terminal("check", name)[1]
    assert b"\x1b]0;owned" not in printed
    assert rb"[red]\x1b]0;owned\x07.npz" in printed


def test_without_rich_a_terminal_gets_the_same_text(models):
    Path("rich.py").write_text("raise ImportError('not installed')")
    code, printed = in_a_terminal("check", "constant.npz", PYTHONPATH=f"{models}{os.pathsep}{ROOT}", NO_COLOR="1")
    assert code == 1
    assert printed.replace(b"\r\n", b"\n").decode() == CONSTANT


@pytest.mark.exhaustive
@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("arguments", "code"), [("check tied.npy", 1), ("check cut.npz", 2), ("list", 0)])
def test_a_closed_stream_changes_no_code(models, closed, arguments, code):
    command = f"{sys.executable} -W error -m symbreak {arguments} {closed}"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert b"ignored" not in done.stderr


def test_a_reader_that_leaves_is_no_error(models):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "symbreak", "list"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_disk_is_exit_code_2():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "symbreak", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
            timeout=120,
        )
    assert done.returncode == 2
    assert done.stderr == b"symbreak: cannot write to stdout: No space left on device\n"


def test_the_command_starts_without_what_it_does_not_use():
    script = (
        "import sys, symbreak.cli\n"
        "symbreak.cli.build_parser()\n"
        "print(sorted({'scipy', 'rich', 'ml_dtypes', 'torch', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    )
    assert done.stdout == b"[]\n", done.stderr


def test_what_the_options_leave_out_is_counted_and_nothing_is_called_clean(models, capsys):
    assert main(["check", "constant.npz", "--ignore", "SB1"]) == 0
    assert capsys.readouterr().out == "1 finding not selected; read 1 array of 1 file\n"
    assert main(["check", "sound.npz", "--ignore", "SB1"]) == 0
    assert capsys.readouterr().out.startswith("clean")


def test_a_file_is_reported_once_by_whatever_paths_it_is_given(models, capsys):
    Path("folder").mkdir()
    Path("constant.npz").rename("folder/constant.npz")
    assert main(["check", "folder", "folder/constant.npz", "folder/../folder", "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert len(report["findings"]) == 1
    assert report["summary"]["files"] == 1


def test_what_can_not_be_read_is_told_with_one_path_and_its_own_remedy(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("table.npy").write_bytes(b"something else")
    assert main(["check", "table.npy", "gone.npy"]) == 2
    told = capsys.readouterr().out
    assert told.count("table.npy") == 1
    assert "fix: give npy, npz, safetensors, GGUF, .pt, ONNX, Flax, .h5, .keras or .mat" in " ".join(told.split())
    assert told.count("gone.npy") == 1
    assert "fix: check the path\n" in told
    assert "fetch the file again" not in told
