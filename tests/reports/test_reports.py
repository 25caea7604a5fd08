"""Reports: the verdict, and how it is written as text, JSON and HTML."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak.findings import CODES, Finding, Level
from symbreak.reports import Report, Skipped, fold_units, to_sarif, to_text, visible

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "two\nlines\rand\ttabs",
    "right\u202eto left\u2066",
    "zero\u200bwidth\ufeff",
    "next\x85line\u2028sep\u2029",
    "bell\x07\x00\x9b31m",
    "tag\U000e0041",
    "lone \ud800 surrogate",
    "<script>alert('x')</script>&amp;\"",
    "[bold red]markup[/]",
    "C:\\weights\\x1b",
]


def finding(code="SB102", where="fc1.weight, axis 0", message="2 units have equal weights: 0, 1", groups=((0, 1),)):
    return Finding.of(code, where, message, groups)


def note():
    return Finding("SB102", Level.NOTE, "w", (), "text", "fix")


@pytest.mark.parametrize(
    ("report", "ok", "verdict"),
    [
        (Report(arrays=3), True, "clean: nothing found in 3 arrays"),
        (Report(arrays=1, files=("a",)), True, "clean: nothing found in 1 array of 1 file"),
        (Report(), True, "nothing to judge: read 0 arrays"),
        (Report(files=("a",)), True, "nothing to judge: read 0 arrays of 1 file"),
        (Report((finding(),), arrays=2), False, "1 warning; read 2 arrays"),
        (Report((finding("SB101"), finding(), finding()), arrays=2), False, "1 error, 2 warnings; read 2 arrays"),
        (Report((note(),), arrays=1), True, "1 note; read 1 array"),
        (Report(skipped=(Skipped("a", "b"),), arrays=5), False, "1 not read; read 5 arrays"),
        (Report(skipped=(Skipped("a", "b"),)), False, "1 not read; read 0 arrays"),
    ],
)
def test_the_verdict_follows_from_what_was_read_and_found(report, ok, verdict):
    assert report.ok is ok
    assert report.verdict == verdict
    assert str(report).splitlines()[-1] == verdict
    assert verdict in report._repr_html_()


@given(
    arrays=st.integers(0, 3),
    codes=st.lists(st.sampled_from(sorted(CODES)), max_size=3),
    skipped=st.integers(0, 2),
)
def test_clean_is_said_only_of_what_was_all_read(arrays, codes, skipped):
    report = Report(tuple(finding(code) for code in codes), (Skipped("a", "b"),) * skipped, arrays=arrays)
    said = "clean" in str(report)
    assert said == (arrays > 0 and not codes and not skipped)
    assert report.ok == (not skipped and all(CODES[code].level == Level.NOTE for code in codes))


def test_a_report_is_written_in_80_columns():
    text = str(
        Report(
            (
                finding("SB101", "model.safetensors: encoder.layers.0.weight", "all 64 units are equal: zero", ()),
                finding("SB301", "a.pt", "the file is cut off after 3 bytes, and " * 4, ()),
            ),
            (Skipped("a.pt", "the file is cut off"), Skipped("b", "because")),
            arrays=1,
            files=("model.safetensors",),
        )
    )
    assert text == (
        "error SB101 model.safetensors: encoder.layers.0.weight\n"
        "    all 64 units are equal: zero\n"
        "    fix: draw the weight from a random initializer, such as HeNormal() or\n"
        "         GlorotUniform()\n"
        "error SB301 a.pt\n"
        "    the file is cut off after 3 bytes, and the file is cut off after 3 bytes,\n"
        "    and the file is cut off after 3 bytes, and the file is cut off after 3\n"
        "    bytes, and\n"
        "    fix: check the path, fetch the file again, or save the weights as\n"
        "         safetensors, npz or npy\n"
        "skipped b: because\n"
        "2 errors, 2 not read; read 1 array of 1 file"
    )


def test_colour_is_of_the_levels_only_and_on_request():
    report = Report((finding(),), arrays=1)
    assert "\x1b" not in to_text(report)
    assert to_text(report, colour=True).startswith("\x1b[33mwarning\x1b[0m SB102 fc1.weight")
    assert re.sub(r"\x1b\[\d*m", "", to_text(report, colour=True)) == to_text(report)


def everywhere(text):
    return Report((Finding.of("SB102", text, text, (), text),), (Skipped(text + "!", text),), {}, (text,), 1)


@pytest.mark.parametrize("name", HOSTILE)
def test_text_shows_hostile_names_and_obeys_none(name):
    text = str(everywhere(name))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert len(text.splitlines()) == len(str(everywhere("plain")).splitlines())
    json.dumps(text).encode("ascii")


@pytest.mark.parametrize("name", HOSTILE)
def test_json_gives_hostile_names_back_in_ascii(name):
    written = everywhere(name).to_json()
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written)["findings"][0]["where"] == name
    assert json.loads(written)["files"] == [name]


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add((tag, *attrs))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_html_shows_hostile_names_as_text(name):
    parser = _Tags()
    markup = everywhere(name)._repr_html_()
    parser.feed(markup)
    plain = {(tag,) for tag in ("div", "p", "table", "thead", "tbody", "tr")}
    assert parser.tags <= plain | {(tag, ("style", "text-align:left")) for tag in ("th", "td")}
    assert markup.isprintable()
    assert visible(name) in parser.text


def test_a_long_name_is_cut_in_the_middle():
    text = str(Report((finding(where="a" * 10_000 + "z"),), arrays=1))
    assert len(text) < 600
    assert "aaaz" in text


@given(st.text())
def test_visible_text_prints_and_keeps_what_printed_before(text):
    shown = visible(text, 10_000)
    assert shown.isprintable()
    if text.isprintable() and "::" not in text and "##[" not in text:
        assert shown == text


@pytest.mark.parametrize(
    "name", ["::error::x", "::Add-Mask::e", "a ::set-output name=b::c", "::stop-commands", "a##[error]b"]
)
def test_a_name_is_no_command_of_a_workflow(name):
    """GitHub's runner obeys `::command::` after the spaces that begin a line, and `##[command]` anywhere in it."""
    folded = Finding.of("SB102", f"{'w' * 70}: {name}", "m")  # the name comes to the beginning of a line
    report = Report((folded, *everywhere(name).findings), everywhere(name).skipped, {}, (name, "b"), 1)
    for text in (to_text(report), report.to_json(), to_sarif(report), report._repr_html_()):
        assert "##[" not in text
        assert not re.search(r"^\s*::(error|add-mask|set-output|stop-commands)", text, re.MULTILINE | re.IGNORECASE)
    assert json.loads(report.to_json())["files"][0] == name


@pytest.mark.parametrize("name", ["aten::linear", "model::/layers.0::group_norm", "a#b", "::", "errors::x"])
def test_colons_that_are_no_command_are_left(name):
    assert visible(name) == name


@pytest.mark.parametrize(
    ("units", "text"),
    [
        ([], ""),
        ([3], "3"),
        ([3, 4], "3, 4"),
        ([3, 4, 5], "3-5"),
        ([*range(64), 70], "0-63, 70"),
        ([1, 3, 5], "1, 3, 5"),
        ([0, 1, 5, 6, 7, 9, 10], "0, 1, 5-7, 9, 10"),
        (range(0, 24, 2), "0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22"),
        (range(0, 26, 2), "0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, ... (13 in all)"),
    ],
)
def test_units_are_folded_into_ranges(units, text):
    assert fold_units(units) == text


@given(st.sets(st.integers(0, 60)))
def test_folded_units_can_be_read_back(units):
    text = fold_units(sorted(units), runs=1000)
    pieces = [list(map(int, piece.split("-"))) for piece in text.split(", ") if piece]
    assert {unit for piece in pieces for unit in range(piece[0], piece[-1] + 1)} == units


def test_the_dictionary_has_the_schema_of_version_1():
    report = Report((finding(),), (Skipped("b.pt", "why"),), {"w": np.zeros(2, int)}, ("a.npz", "b.pt"), 4)
    expected = {
        "schema_version": 1,
        "files": ["a.npz", "b.pt"],
        "findings": [
            {
                "code": "SB102",
                "level": "warning",
                "where": "fc1.weight, axis 0",
                "groups": [[0, 1]],
                "message": "2 units have equal weights: 0, 1",
                "fix": CODES["SB102"].fix,
            }
        ],
        "skipped": [{"where": "b.pt", "reason": "why"}],
        "summary": {"ok": False, "files": 2, "arrays": 4, "errors": 0, "warnings": 1, "notes": 0, "skipped": 1},
    }
    assert report.to_dict() == expected
    assert json.loads(report.to_json()) == expected


def test_reports_merge_in_order():
    first = Report((finding(),), (), {"a": np.array([0, 0])}, ("a",), 1)
    second = Report((finding("SB101"),), (Skipped("c", "d"),), {"b": np.array([0])}, ("b",), 2)
    both = Report.merged([first, second])
    assert both.findings == (finding(), finding("SB101"))
    assert both.skipped == (Skipped("c", "d"),)
    assert list(both.partition) == ["a", "b"]
    assert both.files == ("a", "b")
    assert both.arrays == 3
    assert Report.merged([]).to_dict() == Report().to_dict()


def test_a_selection_of_codes_keeps_what_was_skipped():
    report = Report((finding(), finding("SB101"), finding("SB301")), (Skipped("c", "d"),), arrays=1)
    assert [f.code for f in report.only(["SB101"]).findings] == ["SB101"]
    assert report.only([]).skipped == report.skipped
    assert not report.only([]).ok


def test_findings_are_chosen_by_level():
    report = Report((note(), finding(), finding("SB101")), arrays=1)
    assert [[f.level for f in report.at_least(level)] for level in Level] == [
        [Level.NOTE, Level.WARNING, Level.ERROR],
        [Level.WARNING, Level.ERROR],
        [Level.ERROR],
    ]
