"""Whatever files are called, however many there are and whatever the system refuses: it is said, and nothing breaks."""

import json
import os
import resource
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import save_safetensors
from symbreak.cli import main
from symbreak.cli.check import FORMATS

ROOT = Path(sb.__file__).parent.parent
NAMES = {
    "escapes": "\x1b[2J\x1b]0;owned\x07",
    "line ends": "a\r\n::error file=x::owned\nerror SB101 b",
    "directions": "\u202egnp.\u2066x\u200f\u061c",
    "nothing to see": "\u200b\ufeff\u00ad\u2060",
    "tags": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "quotes": "\"'`&quot;%0A%25 ${x} {{x}}",
    "rich's markup": "[red]x[/red][link=file:///etc]y[/link]",
    "Markdown": "**a** [b](javascript:x) | c |",
    "formulas": "=cmd|' /C calc'!A0",
    "control characters": "\x00\x08\x7f\x85\x9b31m",
    "half of a pair": "\U000e0041\ud7ff",
    "a text without end": "layers." * 300,
}


def run(*arguments, **options):
    """Run the command as a process."""
    return subprocess.run(
        [*options.pop("prefix", []), sys.executable, "-W", "error", "-m", "symbreak", "check", *arguments],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=300,
        text=True,
        **options,
    )


def plain(text):
    """Whether nothing in a text acts on a terminal or turns it around; its own line ends are left."""
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A file of constant weights and one that is cut off for each name, as far as a file can have it."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(NAMES.values()):
        save_safetensors(f"{number}.safetensors", {name: np.ones((4, 3)), f"{name}2": np.array([[np.nan, 1.0]] * 3)})
        file = name.replace("\0", "").replace("/", "|")[:80]
        Path(f"{file}.npy").write_bytes(b"\x93NUMPY\1\0")
        np.save(f"{file}x.npy", np.ones((4, 3)))
    return tmp_path


@pytest.mark.parametrize("form", FORMATS)
def test_names_act_on_nothing_in_any_format(hostile, capsys, form):
    assert main(["check", ".", "--format", form]) == 2
    out, err = capsys.readouterr()
    assert plain(out)
    assert err == ""
    assert main(["check", ".", "--format", form, "--output", "out.x"]) == 2
    assert plain(Path("out.x").read_text())
    assert plain(capsys.readouterr().err)


def test_json_keeps_names_as_they_are(hostile, capsys):
    main(["check", "9.safetensors", "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert f"9.safetensors: {NAMES['control characters']}" in {finding["where"] for finding in report["findings"]}


def test_html_has_no_tag_or_attribute_of_a_name_s(hostile):
    class Tags(HTMLParser):
        found = ()

        def handle_starttag(self, tag, attributes):
            self.found = {*self.found, tag, *(key for key, _ in attributes)}

    tags = Tags()
    text = sb.diagnose(".")._repr_html_()
    tags.feed(text)
    assert not {"script", "img", "src", "onerror"} & set(tags.found)
    assert plain(text)


def test_two_thousand_files_are_judged(tmp_path):
    values = np.random.default_rng(0).standard_normal((2000, 8, 4))
    for number in range(2000):
        np.save(tmp_path / f"{number:04}.npy", values[number])
    np.save(tmp_path / "1000.npy", np.ones((8, 4)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run(".", cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("error SB101 1000.npy")
    assert done.stdout.endswith("1 error; read 2000 arrays of 2000 files\n")
    assert after.ru_utime - before.ru_utime < 15  # seconds; it takes a tenth of it


COUNT = """
import resource, sys, time
from symbreak.checkpoints import open_checkpoint
before = resource.getrusage(resource.RUSAGE_SELF)
with open_checkpoint(sys.argv[1]) as ckpt:
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(len(ckpt), after.ru_utime - before.ru_utime, after.ru_maxrss - before.ru_maxrss)
"""


@pytest.mark.parametrize("number", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_header_of_very_many_tensors_is_opened_in_proportion(tmp_path, number):
    entries = (f'"layer.{i}.w":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{i + 1}]}}' for i in range(number))
    header = ("{" + ",".join(entries) + "}").encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(number))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", COUNT, str(tmp_path / "a.safetensors")]
    out = subprocess.run(command, capture_output=True, check=True, env=environment, text=True, timeout=300).stdout
    count, seconds, kilobytes = out.split()
    assert int(count) == number
    assert float(seconds) < number / 10_000  # a seventh of it was measured
    assert int(kilobytes) < 2 * number  # half of it was measured


def test_a_report_that_does_not_fit_on_the_disk_leaves_nothing(hostile):
    """A limit on the size of files stands in for the disk: what is beyond it can't be written."""
    Path("old.txt").write_text("old")
    before = sorted(Path().iterdir())

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    for target in ("old.txt", "new.txt"):
        done = run(".", "--output", target, preexec_fn=limit)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"symbreak: cannot write to {target}: File too large\n"
    assert sorted(Path().iterdir()) == before
    assert Path("old.txt").read_text() == "old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
@pytest.mark.parametrize("form", FORMATS)
def test_a_full_device_is_exit_code_2(hostile, form):
    done = run(".", "--format", form, "--output", "/dev/full")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "symbreak: cannot write to /dev/full: No space left on device\n"
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "symbreak", "check", ".", "--format", form]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        printed = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False, timeout=99)
    assert printed.returncode == 2
    assert printed.stderr == b"symbreak: cannot write to stdout: No space left on device\n"


def test_a_disk_without_room_for_what_is_unpacked_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("symbreak.checkpoints._spool.IN_MEMORY", 10)
    monkeypatch.setattr("symbreak.checkpoints._spool.SPARE", 1 << 60)
    np.savez_compressed("a.npz", w=np.ones((3, 2)))
    np.save("b.npy", np.ones((3, 2)))
    assert main(["check", "a.npz", "b.npy"]) == 2
    out = capsys.readouterr().out
    assert "takes 176 bytes" in out
    assert "fix: set TMPDIR to a folder on a larger disk" in out
    assert "error SB101 b.npy" in out


# What the super-user may read in spite of its permissions, a process without these two rights may not.
MORTAL = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.skipif(sys.platform != "linux", reason="permissions as Linux has them")
def test_what_may_not_be_read_is_reported_and_the_rest_is_judged(tmp_path):
    prefix = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("the super-user may read everything")
        prefix = MORTAL
    (tmp_path / "locked").mkdir()
    for name in ("a", "b", "locked/c"):
        np.save(tmp_path / f"{name}.npy", np.ones((4, 3)))
    (tmp_path / "a.npy").chmod(0)
    (tmp_path / "locked").chmod(0)
    try:
        done = run(".", cwd=tmp_path, prefix=prefix)
        target = run("b.npy", "--output", "locked/out.txt", cwd=tmp_path, prefix=prefix)
        inside = run("locked/c.npy", "--output", "out.txt", cwd=tmp_path, prefix=prefix)
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert (done.returncode, done.stderr) == (2, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("error")] == [
        "error SB301 a.npy",
        "error SB101 b.npy: array",
        "error SB301 locked",
    ]
    assert done.stdout.count("Permission denied\n    fix: make it readable for you, or have its owner check it\n") == 2
    assert (target.returncode, target.stdout) == (2, "")
    assert target.stderr == "symbreak: cannot write to locked/out.txt: Permission denied\n"
    assert (inside.returncode, inside.stdout) == (2, "")
    assert (tmp_path / "out.txt").read_text().startswith("error SB301 locked/c.npy\n    Permission denied\n")
