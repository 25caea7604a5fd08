"""What a project always wants, [tool.symbreak], and what it knows, a baseline."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from symbreak.cli import main


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a file of a constant and a tied weight."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    write_model(tied=(1, 4))
    return tmp_path


def write_model(tied=(), name="m.npz"):
    weight = random(8, 5)
    for unit in tied[1:]:
        weight[unit] = weight[tied[0]]
    np.savez(name, **{"fc1.weight": np.full((4, 3), 0.5, np.float32), "fc2.weight": weight})


def settings(text, path="pyproject.toml"):
    Path(path).write_text(f"[tool.symbreak]\n{text}\n", "utf-8")


def check(capsys, *arguments):
    """Run a check; give its code, {(code, level) of findings}, and what it said on stderr."""
    code = main(["check", "m.npz", "--format", "json", *arguments])
    out, err = capsys.readouterr()
    found = json.loads(out)["findings"] if out else []
    return code, [(each["code"], each["level"]) for each in found], err


BOTH = [("SB101", "error"), ("SB102", "warning")]


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("", 1, BOTH),
        ("select = ['SB102']", 1, BOTH[1:]),
        ("select = ['sb1']", 1, BOTH),
        ("ignore = ['SB102']", 1, BOTH[:1]),
        ("ignore = ['SB10']", 0, []),
        ("fail-on = 'error'\nignore = ['SB101']", 0, BOTH[1:]),
        ("[tool.symbreak.levels]\nSB101 = 'note'\nSB102 = 'note'", 0, [("SB101", "note"), ("SB102", "note")]),
        ("[tool.symbreak.levels]\nSB10 = 'note'\nSB102 = 'error'", 1, [("SB101", "note"), ("SB102", "error")]),
        ("[tool.symbreak.per-tensor-ignores]\n'fc1.*' = ['SB1']", 1, BOTH[1:]),
        ("[tool.symbreak.per-tensor-ignores]\n'fc?.weight' = ['SB101', 'SB102']", 0, []),
        ("[tool.symbreak.per-tensor-ignores]\n'fc[!1].weight' = ['SB102']", 1, BOTH[:1]),
        ("[tool.symbreak.per-tensor-ignores]\n'fc1' = ['SB1']", 1, BOTH),
    ],
)
def test_settings_select_ignore_and_change_levels(here, capsys, text, code, found):
    settings(text)
    assert check(
        capsys,
    ) == (code, found, "")


def test_the_tolerance_of_the_settings_is_that_of_the_check(here, capsys):
    close = random(8, 5)
    close[4] = close[1] * np.float32(1 + 1e-4)
    np.savez("m.npz", fc=close)
    assert check(capsys)[1] == []
    settings("tolerance = 0.01")
    assert check(capsys)[1] == [("SB103", "warning")]
    assert check(capsys, "--tolerance", "0")[1] == []


def test_options_come_before_settings(here, capsys):
    settings("select = ['SB101']\nfail-on = 'error'")
    assert check(capsys, "--select", "SB102") == (0, BOTH[1:], "")
    assert check(capsys, "--select", "SB102", "--fail-on", "warning")[0] == 1
    assert check(capsys, "--no-settings") == (1, BOTH, "")


def test_codes_that_leave_nothing_to_look_for_are_exit_code_2(here, capsys):
    """Else the check would pass for ever."""
    refused = (
        "symbreak: --ignore, or ignore of [tool.symbreak], leaves none of the codes that are selected: leave it out\n"
    )
    assert check(capsys, "--select", "SB101", "--ignore", "SB1") == (2, [], refused)
    assert check(capsys, "--ignore", "SB") == (2, [], refused)
    settings("ignore = ['SB102']")
    assert check(capsys, "--select", "SB102") == (2, [], refused)
    assert check(capsys, "--select", "SB102,SB101") == (1, BOTH[:1], "")


def test_settings_are_those_of_the_nearest_file_that_has_some(here, capsys, monkeypatch):
    settings("ignore = ['SB1']")
    Path("a/b").mkdir(parents=True)
    Path("a/pyproject.toml").write_text("[project]\nname = 'no symbreak here'\n[tool.other]\n")
    monkeypatch.chdir("a/b")
    os.link("../../m.npz", "m.npz")
    assert check(capsys) == (0, [], "")
    settings("ignore = ['SB102']", "../pyproject.toml")
    assert check(capsys) == (1, BOTH[:1], "")


def test_other_settings_are_read_by_name(here, capsys):
    settings("ignore = ['SB1']")
    settings("ignore = ['SB102']", "strict.toml")
    assert check(capsys, "--settings", "strict.toml") == (1, BOTH[:1], "")


def test_a_broken_file_of_another_project_above_is_none_of_ours(here, capsys):
    Path("pyproject.toml").write_text("[project\n")
    assert check(capsys) == (1, BOTH, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ignroe = []", "pyproject.toml: [tool.symbreak] has no key 'ignroe'; the nearest is 'ignore'"),
        ("ignore = ['SB999']", "[tool.symbreak] ignore: no code begins with 'SB999'; the nearest are SB"),
        (
            "ignore = 'SB1'",
            "ignore: a list of codes, or their beginnings, is needed, such as ['SB101', 'SB2']; got 'SB1'",
        ),
        ("select = [1]", "select: a list of codes, or their beginnings, is needed"),
        ("tolerance = 2", "tolerance: a relative distance from 0 to 0.5 is needed; got 2"),
        ("tolerance = true", "tolerance: a relative distance from 0 to 0.5 is needed; got True"),
        ("fail-on = 'fatal'", "fail-on: one of note, warning, error is needed; got 'fatal'"),
        ("baseline = 3", "baseline: a path is needed; got 3"),
        ("levels = 'high'", "levels: a table from codes to levels is needed; got 'high'"),
        ("levels = {SB101 = 'fatal'}", "levels: 'SB101' needs one of note, warning, error; got 'fatal'"),
        ("levels = {SB9 = 'note'}", "levels: no code begins with 'SB9'"),
        ("levels = {SB3 = 'note'}", "levels: SB301 says that something was not read, and is always an error"),
        ("per-tensor-ignores = []", "per-tensor-ignores: a table from globs to lists of codes is needed; got []"),
        ("per-tensor-ignores = {'' = ['SB1']}", "a glob is empty; '*' matches every name"),
        (
            "per-tensor-ignores = {'a[b' = ['SB1']}",
            "the [ in the glob 'a[b' is not closed; [[] stands for the character",
        ),
        ("per-tensor-ignores = {'a' = 'SB1'}", "'a': a list of codes, or their beginnings, is needed"),
        ("per-tensor-ignores = {'a' = ['X']}", "'a': no code begins with 'X'"),
        ("select = [\n", "pyproject.toml is no TOML file: "),
        ("'\\u001b[31m' = 1", "has no key '\\x1b[31m'"),
    ],
)
def test_wrong_settings_are_exit_code_2_and_say_what_is_wrong(here, capsys, text, message):
    settings("") if "\\u001b" in text else None
    Path("pyproject.toml").write_text(f"[tool.symbreak]\n{text}\n".replace("'\\u001b[31m'", '"\\u001b[31m"'))
    code, found, err = check(capsys)
    assert (code, found) == (2, [])
    assert message in err
    assert err.startswith("symbreak: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()


def test_settings_that_are_not_there_are_exit_code_2(here, capsys):
    assert check(capsys, "--settings", "no.toml") == (
        2,
        [],
        "symbreak: cannot read no.toml: No such file or directory\n",
    )
    Path("other.toml").write_text("[tool]\nsymbreak = 3\n")
    assert "[tool.symbreak] is a table; got 3" in check(capsys, "--settings", "other.toml")[2]
    Path("other.toml").write_text("[project]\n")
    assert check(capsys, "--settings", "other.toml")[2] == "symbreak: other.toml has no table [tool.symbreak]\n"
    with pytest.raises(SystemExit):
        main(["check", "m.npz", "--settings", "other.toml", "--no-settings"])


def test_what_the_network_told_apart_stays_a_note(here, capsys):
    """SB102 of one weight that its network answers is a note whatever the level of SB102 is."""
    first, second = random(6, 4), random(2, 6)
    first[3] = first[1]
    np.savez("m.npz", **{"0.weight": first, "0.bias": np.zeros(6), "2.weight": second, "2.bias": np.zeros(2)})
    assert ("SB102", "note") in check(capsys, "--network")[1]
    settings("levels = {SB102 = 'error'}")
    assert ("SB102", "note") in check(capsys, "--network")[1]
    assert ("SB102", "error") in check(capsys)[1]


# Baselines


def test_what_a_baseline_holds_is_not_reported_and_is_counted(here, capsys):
    code, found, err = check(capsys, "--write-baseline", "known.json")
    assert (code, found, err) == (0, BOTH, "")
    assert check(capsys, "--baseline", "known.json") == (0, [], "")
    assert main(["check", "m.npz", "--baseline", "known.json"]) == 0
    assert capsys.readouterr().out == "2 in the baseline; read 2 arrays of 1 file\n"
    assert main(["check", "m.npz", "--baseline", "known.json", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["known"] == 2


def test_more_tied_units_at_a_known_place_are_news(here, capsys):
    check(capsys, "--write-baseline", "known.json")
    write_model(tied=(1, 4, 6))
    assert check(capsys, "--baseline", "known.json") == (1, BOTH[1:], "")
    check(capsys, "--write-baseline", "known.json")
    write_model(tied=(1, 4))  # fewer are no news
    assert check(capsys, "--baseline", "known.json") == (0, [], "")


def test_more_weights_of_one_stream_at_a_known_place_are_news(here, capsys):
    """Their finding has no units: its message names them."""
    drawn = random(30, 20)
    arrays = {
        "a": drawn,
        "b": 2 * drawn[:20],
        "c": np.random.default_rng(1).standard_normal((9, 30)).astype(np.float32),
    }
    np.savez("m.npz", **arrays)
    assert check(capsys, "--write-baseline", "known.json")[1] == [("SB208", "warning")]
    assert check(capsys, "--baseline", "known.json") == (0, [], "")
    np.savez("m.npz", **arrays | {"c": drawn[:9] * 3})
    assert check(capsys, "--baseline", "known.json") == (1, [("SB208", "warning")], "")
    known = json.loads(Path("known.json").read_text())
    for key in ("names", "more"):  # a baseline of before them
        del known["findings"][0][key]
    Path("known.json").write_text(json.dumps(known))
    assert check(capsys, "--baseline", "known.json") == (0, [], "")


def test_more_of_the_same_elsewhere_is_news_and_less_is_not(here, capsys):
    """A finding that tells of one place and counts the others."""
    zero = np.zeros((4, 6), np.float32)

    def write(pairs):
        np.savez("m.npz", **{f"{n}.q.lora_{kind}.weight": zero for n in range(pairs) for kind in "AB"})

    settings("select = ['SB203']")
    write(3)
    assert check(capsys, "--write-baseline", "known.json") == (0, [("SB203", "error")], "")
    write(2)
    assert check(capsys, "--baseline", "known.json") == (0, [], "")
    write(4)
    assert check(capsys, "--baseline", "known.json") == (1, [("SB203", "error")], "")


def test_a_graver_level_is_news(here, capsys):
    check(capsys, "--write-baseline", "known.json")
    settings("levels = {SB102 = 'error'}")
    assert check(capsys, "--baseline", "known.json") == (1, [("SB102", "error")], "")


def test_what_is_gone_is_said_and_is_no_fault(here, capsys):
    check(capsys, "--write-baseline", "known.json")
    write_model()
    code, found, err = check(capsys, "--baseline", "known.json")
    assert (code, found) == (0, [])
    assert err == (
        "symbreak: 1 finding is gone that known.json holds: SB102 m.npz: fc2.weight, axis 0; "
        "--write-baseline known.json brings it up to date\n"
    )


def test_nothing_is_called_gone_of_what_was_not_looked_at(here, capsys):
    """Other files, codes that are left out, files that could not be read."""
    write_model(name="other.npz")
    assert main(["check", "m.npz", "other.npz", "--write-baseline", "known.json"]) == 0
    capsys.readouterr()
    assert check(capsys, "--baseline", "known.json") == (0, [], "")
    assert check(capsys, "--baseline", "known.json", "--ignore", "SB1") == (0, [], "")
    Path("m.npz").write_bytes(b"PK\3\4")
    assert check(capsys, "--baseline", "known.json")[2] == ""


def test_nothing_is_called_gone_by_a_check_that_looks_for_less(here, capsys):
    close = random(8, 5)
    close[4] = close[1] * np.float32(1 + 1e-4)
    np.savez("m.npz", fc=close)
    assert check(capsys, "--tolerance", "0.01", "--write-baseline", "known.json")[1] == [("SB103", "warning")]
    assert check(capsys, "--baseline", "known.json") == (0, [], "")
    assert check(capsys, "--baseline", "known.json", "--network")[2] == ""
    np.savez("m.npz", fc=random(8, 5))
    assert "1 finding is gone" in check(capsys, "--baseline", "known.json", "--tolerance", "0.01")[2]


def test_a_baseline_holds_from_any_folder(here, capsys, monkeypatch):
    Path("ci").mkdir()
    assert main(["check", "m.npz", "--write-baseline", "ci/known.json"]) == 0
    monkeypatch.chdir("ci")
    assert main(["check", "../m.npz", "--baseline", "known.json"]) == 0
    assert main(["check", str(here / "m.npz"), "--baseline", "known.json"]) == 0
    settings("baseline = 'ci/known.json'", here / "pyproject.toml")
    assert main(["check", "../m.npz"]) == 0
    assert main(["check", "../m.npz", "--no-settings"]) == 1


def test_what_could_not_be_read_is_never_known(here, capsys):
    Path("m.npz").write_bytes(b"PK\3\4")
    assert check(capsys, "--write-baseline", "known.json")[0] == 2
    assert json.loads(Path("known.json").read_text())["findings"] == []
    assert check(capsys, "--baseline", "known.json")[:2] == (2, [("SB301", "error")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"symbreak": "baseline", "schema": 2, "findings": []}', "known.json is a baseline of version 2, and this is "
         "symbreak's version 1: write it again with --write-baseline known.json"),
        ("{", "known.json is no baseline: name one, or make one with --write-baseline F"),
        ("[]", "known.json is no baseline"),
        ("{}", "known.json is no baseline"),
        ('{"symbreak": "baseline", "schema": 1}', "known.json is no baseline"),
        ('{"symbreak": "baseline", "schema": 1, "findings": [{"code": "SB101"}]}', "known.json is no baseline"),
        ('{"symbreak": "baseline", "schema": 1, "findings": [{"code": 1, "file": "", "place": "", "level": "note", '
         '"groups": []}]}', "known.json is no baseline"),
        ("[" * 100_000, "known.json is no baseline"),
        *[(f'{{"symbreak": "baseline", "schema": 1, "findings": {findings}}}', "known.json is no baseline")
          for findings in ("{}", "null", '["a"]')],
        *[('{"symbreak": "baseline", "schema": 1, "findings": [{"code": "SB101", "level": "error", "file": "m.npz", '
           f'"place": "fc1.weight", "groups": {groups}}}]}}', "known.json is no baseline")
          for groups in ('[], "more": "1"', '[], "names": 1', "{}",
                         "[[1e999]]", "[[0.5]]", '[["1"]]', '["1"]', "[true]", "[[true]]")],
    ],
)  # fmt: skip
def test_a_strange_baseline_is_exit_code_2(here, capsys, content, message):
    Path("known.json").write_text(content)
    code, found, err = check(capsys, "--baseline", "known.json")
    assert (code, found) == (2, [])
    assert message in err
    assert err.count("\n") == 1


def test_baselines_that_cannot_be_read_or_written_are_exit_code_2(here, capsys):
    assert check(capsys, "--baseline", "no.json") == (
        2,
        [],
        "symbreak: there is no baseline no.json: make one with --write-baseline no.json\n",
    )
    code, found, err = check(capsys, "--write-baseline", "no/such/known.json")
    assert (code, found) == (2, [])
    assert err == "symbreak: cannot write to no/such/known.json: there is no folder no/such; make it first\n"
    before = Path("m.npz").read_bytes()
    code, found, err = check(capsys, "--write-baseline", "m.npz")
    assert (code, found) == (2, [])
    assert "--write-baseline m.npz would replace m.npz, which is to be read; name another file" in err
    assert Path("m.npz").read_bytes() == before


@pytest.mark.parametrize("option", ["--baseline", "--settings", "--wiring", "--config", "--resume"])
def test_a_report_replaces_no_file_that_an_option_names(here, capsys, option):
    """What --resume names need not be there yet."""
    refused = "symbreak: {} would replace named, which is to be read; name another file\n"
    Path("link").symlink_to("named")
    assert check(capsys, option, "named", "--output", "link") == (2, [], refused.format("--output link"))
    Path("named").write_text("mine")
    assert check(capsys, option, "named", "--output", "./named") == (2, [], refused.format("--output ./named"))
    if option != "--baseline":  # which is brought up to date
        both = check(capsys, option, "named", "--write-baseline", "named")
        assert both == (2, [], refused.format("--write-baseline named"))
    assert Path("named").read_text() == "mine"


def test_a_report_replaces_neither_the_settings_nor_their_baseline(here, capsys):
    settings("baseline = 'known.json'")
    check(capsys, "--write-baseline", "known.json")
    for name in ("known.json", "pyproject.toml"):
        before = Path(name).read_text()
        code, _, err = check(capsys, "--output", name)
        assert code == 2
        assert f"--output {name} would replace " in err
        assert Path(name).read_text() == before
    assert check(capsys, "--write-baseline", "known.json")[0] == 0


def test_links_that_lead_to_themselves_are_exit_code_2(here, capsys):
    Path("loop").symlink_to("loop")
    reason = os.strerror(errno.ELOOP)
    assert check(capsys, "--output", "loop")[::2] == (2, f"symbreak: cannot write to loop: {reason}\n")
    assert check(capsys, "--write-baseline", "loop", "--output", "o")[::2] == (
        2,
        f"symbreak: cannot write to loop: {reason}\n",
    )
    assert check(capsys, "--baseline", "loop")[::2] == (2, f"symbreak: cannot read loop: {reason}\n")
    assert Path("loop").is_symlink()


def test_a_report_and_a_baseline_are_two_files(here, capsys):
    code, found, err = check(capsys, "--output", "./a.json", "--write-baseline", "a.json")
    assert (code, found) == (2, [])
    assert err == "symbreak: --output and --write-baseline both name ./a.json; name two files\n"
    assert not Path("a.json").exists()


# Formats and colour


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("html", "<!DOCTYPE html>"),
        ("sarif", '{"$schema": '),
        ("github", "::error file=m.npz,title=SB101 fc1.weight::"),
        ("markdown", "### symbreak: 1 error, 1 warning; read 2 arrays of 1 file"),
    ],
)
def test_every_format_goes_to_stdout_or_to_a_file(here, capsys, name, begins):
    assert main(["check", "m.npz", "--format", name]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith(begins)
    assert main(["check", "m.npz", "--format", name, "--output", "out"]) == 1
    assert Path("out").read_text("utf-8") == shown
    if name == "html":
        assert shown.count("<svg") == 2  # the samples came through the scan


def test_colour_is_forced_and_declined_by_the_environment(here, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["check", "m.npz"])
    assert "\x1b[31merror\x1b[0m SB101" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    main(["check", "m.npz"])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "")
    main(["check", "m.npz"])
    assert "\x1b" not in capsys.readouterr().out
