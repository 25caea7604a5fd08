"""How far a run has come is told when it is asked for, and on a terminal; never else."""

import builtins
import io
import itertools
import re
import sys
from types import SimpleNamespace

import pytest

import symbreak as sb
from symbreak._restarts._progress import describe, watching

X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def stderr_of(monkeypatch, stream, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    sb.restarts([2, 4, 1], X, Y, **{"starts": 20, "steps": 120, "rng": 0, "batch": 8} | options)
    return stream.getvalue()


@pytest.fixture
def no_rich(monkeypatch):
    load = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "rich":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.parametrize(
    ("done", "before", "seconds", "text"),
    [
        (0, 0, 5.0, "0 of 1000 starts"),
        (200, 200, 5.0, "200 of 1000 starts"),
        (200, 0, 0.0, "200 of 1000 starts"),
        (200, 0, 10.0, "200 of 1000 starts, 20 a second, 0:00:40 left"),
        (500, 400, 0.5, "500 of 1000 starts, 200 a second, 0:00:02 left"),
        (400.5, 400, 5.0, "400 of 1000 starts, 0.1 a second, 1:39:55 left"),
        (1000, 0, 3.0, "1000 of 1000 starts, 333 a second, 0:00:00 left"),
    ],
)
def test_the_rate_is_that_of_this_run_and_the_time_left_follows_from_it(done, before, seconds, text):
    assert describe(done, before, 1000, seconds) == text


@pytest.mark.parametrize("progress", [None, False])
def test_nothing_is_written_where_no_terminal_is(monkeypatch, capsys, progress):
    assert stderr_of(monkeypatch, io.StringIO(), progress=progress) == ""
    assert capsys.readouterr().out == ""


def test_nothing_is_written_on_a_terminal_when_it_is_not_wanted(monkeypatch):
    assert stderr_of(monkeypatch, Terminal(), progress=False) == ""


def test_a_log_gets_a_line_a_batch(monkeypatch, capsys):
    lines = stderr_of(monkeypatch, io.StringIO(), progress=True).splitlines()
    assert [line.split(",")[0] for line in lines] == [f"{done} of 20 starts" for done in (8, 16, 20)]
    assert all(re.fullmatch(r".* starts, [\d.e+]+ a second, \d:\d\d:\d\d left", line) for line in lines)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("progress", [None, True])
def test_a_terminal_shows_a_bar_that_goes_away(monkeypatch, capsys, progress):
    pytest.importorskip("rich")
    shown = stderr_of(monkeypatch, Terminal(), progress=progress)
    assert "20 of 20 starts" in shown
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in shown
    assert shown.endswith("\x1b[2K")  # the line is cleared
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("no_rich")
@pytest.mark.parametrize("progress", [None, True])
def test_without_rich_it_is_a_plain_line_that_goes_away(monkeypatch, progress):
    monkeypatch.setattr("symbreak._restarts._progress.PAUSE", float("inf"))  # nothing between batches, however slow
    clock = SimpleNamespace(monotonic=itertools.count(0.0).__next__)  # else the last rate may be the shorter one
    monkeypatch.setattr("symbreak._restarts._progress.time", clock)
    shown = stderr_of(monkeypatch, Terminal(), progress=progress)
    assert "\n" not in shown
    assert "\x1b" not in shown
    writings = [text.rstrip() for text in shown.split("\r")]
    assert writings[0] == ""
    assert writings[-2:] == ["", ""]
    assert [text.split(",")[0] for text in writings[-5:-2]] == [f"{done} of 20 starts" for done in (8, 16, 20)]
    blank = shown.rsplit("\r", 2)[1]
    assert len(blank) == len(shown.rsplit("\r", 3)[1])  # what stood there is overwritten


@pytest.mark.usefixtures("no_rich")
def test_a_line_goes_away_when_a_run_is_stopped(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)

    def interrupted():
        with watching(None, 0, 10) as watch:
            watch.finished(5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stream.getvalue().startswith("\r5 of 10 starts")
    assert re.search(r"\r +\r$", stream.getvalue())


def test_a_batch_is_followed_while_it_is_trained(monkeypatch):
    seen = []
    monkeypatch.setattr("symbreak._restarts._progress.Watch.within", lambda self, done: seen.append(done))
    sb.restarts([2, 4, 1], X, Y, starts=20, steps=120, rng=0, batch=8, progress=False)
    within = [0, 8 * 50 / 120, 8 * 100 / 120]
    assert seen == pytest.approx([*within, *(8 + each for each in within), *(16 + each / 2 for each in within)])


def test_a_run_that_goes_on_begins_where_it_was(monkeypatch, tmp_path):
    path = tmp_path / "kept.npz"
    sb.restarts([2, 4, 1], X, Y, starts=20, steps=120, rng=0, checkpoint=path)
    assert stderr_of(monkeypatch, io.StringIO(), progress=True, checkpoint=path) == ""
    assert describe(20, 20, 20, 1.0) == "20 of 20 starts"


@pytest.mark.parametrize("progress", ["yes", 2, 0.5])
def test_what_is_no_way_to_tell_is_refused(progress):
    with pytest.raises(TypeError, match=r"`progress` is True, False, None for a bar .*; got"):
        sb.restarts([2, 4, 1], X, Y, starts=2, steps=1, rng=0, progress=progress)
