"""The text of large reports: what is alike is told once, the gravest come first, and a table says where."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.findings import Finding, Level
from symbreak.reports import Report, Skipped, to_text
from symbreak.reports._places import fold, form, overview, split_place, tensor_of
from symbreak.reports._text import ALIKE, LINES, MOST
from tests.reports.test_reports import HOSTILE


def found(where, code="SB102", message="2 units have equal weights: 0, 1"):
    return Finding.of(code, where, message, ((0, 1),))


def table_of(text):
    """The lines of the table: between the two empty ones."""
    return text.split("\n\n")[1].splitlines() if "\n\n" in text else []


def test_findings_that_are_alike_are_told_once_from_four_on():
    blocks = [found(f"blocks.{n}.weight, axis 0") for n in range(ALIKE)]
    text = to_text(Report(tuple(blocks), arrays=4))
    assert text.count("warning SB102") == 1
    assert text.startswith(
        "warning SB102 blocks.0.weight, axis 0 and 3 more like it, to blocks.3.weight,\n    axis 0\n"
    )
    assert to_text(Report(tuple(blocks[1:]), arrays=3)).count("warning SB102") == ALIKE - 1


@pytest.mark.parametrize(
    "other",
    [
        found("heads.9.weight, axis 0"),
        found("blocks.9.weight, axis 0", message="3 units have equal weights: 0-2"),
        found("blocks.9.weight, axis 0", code="SB103"),
        Finding("SB102", Level.NOTE, "blocks.9.weight, axis 0", (), "2 units have equal weights: 0, 1", "fix"),
    ],
)
def test_what_says_something_else_is_told_by_itself(other):
    blocks = [found(f"blocks.{n}.weight, axis 0") for n in range(ALIKE)]
    text = to_text(Report((*blocks[:2], other, *blocks[2:]), arrays=5))
    lines = [line for line in text.splitlines() if re.match("(warning|note) SB", line)]
    assert len(lines) == 2
    assert lines[1].split()[1:3] == [other.code, other.where.split()[0]]


@given(st.lists(st.sampled_from(["a.1", "a.2", "b.1", "b.2", "c"]), max_size=12), st.integers(1, 4))
def test_folding_loses_nothing_and_keeps_the_order_of_the_first(names, least):
    every = [found(name) for name in names]
    groups = fold(every, least)
    assert sorted(each.where for group in groups for each in group) == sorted(names)
    places = [[next(n for n, one in enumerate(every) if one is each) for each in group] for group in groups]
    assert places == sorted(map(sorted, places))
    assert all(len({form(each.where) for each in group}) == 1 for group in groups)
    assert all(len(group) == 1 or len(group) >= least for group in groups)


def test_of_very_many_the_gravest_are_told_in_order_and_the_others_counted():
    notes = [found(f"{chr(97 + n % 26)}{chr(97 + n // 26)}", "SB104", f"m{n}") for n in range(MOST)]
    errors = [found(f"z{chr(97 + n)}", "SB101", f"e{n}") for n in range(5)]
    text = to_text(Report((*notes, *errors), arrays=1))
    assert text.count("error SB101") == 5
    assert text.count("note SB104") == MOST - 5
    assert "\n... and 5 more, none graver: 5 SB104; --format json and html list them all\n" in text
    assert text.index("note SB104 aa") < text.index("error SB101 za")


def test_the_table_says_how_many_units_there_are_and_how_many_differ():
    arrays = {f"blocks.{n}.weight": np.full((8, 4), 0.5) for n in range(5)}
    arrays["head"] = np.repeat(np.random.default_rng(0).standard_normal((3, 7)), 2, axis=0)
    assert table_of(str(sb.diagnose(arrays))) == [
        "file, tensor or space  units  distinct  findings",
        "blocks.*.weight (5)        8         1  SB101",
        "head, axis 0               6         3  SB102",
    ]


def test_in_several_files_each_is_a_line_with_its_tensors_below():
    report = Report(
        (found("a.npz: w"), found("b.npz: v"), Finding.of("SB301", "c.npz", "cut")), files=("a.npz", "b.npz", "c.npz")
    )
    assert table_of(to_text(report)) == [
        "file, tensor or space  units  distinct  findings",
        "a.npz",
        "  w                        -         -  SB102",
        "b.npz",
        "  v                        -         -  SB102",
        "c.npz                      -         -  SB301",
    ]


def test_a_few_findings_of_one_file_need_no_table():
    few = [found(name) for name in "abc"]
    assert table_of(to_text(Report(tuple(few), files=("x",)))) == []
    assert table_of(to_text(Report((*few, found("d")), files=("x",)))) != []
    assert table_of(to_text(Report(files=("x", "y"), arrays=2))) == []


def test_a_long_table_is_cut_and_counted():
    names = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(100)]
    report = Report(tuple(found(name, message=f"m{name}") for name in names), arrays=100)
    lines = table_of(to_text(report))
    assert len(lines) == LINES + 2
    assert lines[-1] == f"... and {100 - LINES} more places"


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 300, "größe/" * 40])
def test_the_table_keeps_to_80_columns_and_obeys_no_name(name):
    report = Report(
        tuple(found(f"{name}.{kind}", code, kind) for code in ("SB101", "SB106") for kind in "abc"), arrays=1
    )
    for colour in (False, True):
        lines = table_of(to_text(report, colour))
        plain = [re.sub(r"\x1b\[\d*m", "", line) for line in lines]
        assert len(plain) == 4
        assert all(len(line) <= 80 for line in plain)
        assert all(line.isprintable() for line in plain)


@pytest.mark.parametrize("name", ["\u5c42.\u91cd\u307f", "\u5c42" * 60, "e\u0301" * 12, "\U0001f600"])
def test_wide_characters_and_marks_leave_the_columns_where_they_are(name):
    """As a terminal shows them: two columns for a wide character, none for an accent of its own."""
    lines = table_of(to_text(Report(tuple(found(each, message=each) for each in (name, "a", "b", "c")), arrays=1)))
    ends = set()
    for line in lines:
        before = line[: line.rindex("  ")]
        marks = sum(unicodedata.combining(char) > 0 for char in before)
        ends.add(len(before) - marks + sum(unicodedata.east_asian_width(char) == "W" for char in before))
    assert len(ends) == 1
    assert ends.pop() <= 73


def test_the_verdict_is_the_last_line_however_long():
    levels = [Finding("SB102", level, f"{level}", (), "m", "f") for level in Level]
    report = Report(tuple(levels), (Skipped("a", "b"),), {}, ("f",) * 1000, 100_000, unselected=1000, known=1000)
    assert len(report.verdict) > 80
    assert to_text(report).splitlines()[-1] == report.verdict


def test_colour_in_the_table_is_of_the_codes_only():
    report = Report(tuple(found(f"w{c}", "SB101" if c == "a" else "SB104", c) for c in "abcd"), arrays=1)
    lines = table_of(to_text(report, colour=True))
    assert lines[1].endswith("\x1b[31mSB101\x1b[0m")
    assert lines[2].endswith("\x1b[36mSB104\x1b[0m")
    assert [re.sub(r"\x1b\[\d*m", "", line) for line in lines] == table_of(to_text(report))


def test_many_codes_at_one_place_are_cut_at_a_whole_one():
    codes = ["SB101", "SB102", "SB103", "SB104", "SB105"]
    report = Report(tuple(found("w", code) for code in codes), arrays=1)
    assert table_of(to_text(report))[1].endswith("SB101, SB102, ...")
    twice = Report(tuple(found("w", message=str(n)) for n in range(5)), arrays=1)
    assert table_of(to_text(twice))[1].endswith("SB102 x5")


@pytest.mark.parametrize(
    ("where", "files", "place"),
    [
        ("a.npz: fc, axis 0", {"a.npz"}, ("a.npz", "fc, axis 0")),
        ("a: b.npz: c: d", {"a: b.npz"}, ("a: b.npz", "c: d")),
        ("a: b", {"a", "a: b"}, ("a: b", "")),
        ("a, b", {"a", "b"}, ("", "a, b")),
        ("w", (), ("", "w")),
        ("x: y", (), ("", "x: y")),
    ],
)
def test_a_place_is_cut_into_file_and_rest(where, files, place):
    assert split_place(where, files) == place


def test_a_place_is_named_by_its_tensor_or_space():
    assert tensor_of("fc, axis 12") == "fc"
    assert tensor_of("space layers.0") == "layers.0"
    assert tensor_of("fc, axis x") == "fc, axis x"


def test_the_units_of_a_place_are_found_by_the_names_that_findings_use():
    init = sb.HeNormal()
    tied = init((6, 5), rng=0).copy()
    tied[3] = tied[1]
    by_layout = sb.diagnose(tied.T, axes="io")
    assert [(row.units, row.distinct) for row in overview(by_layout)] == [(6, 5)]
    graph = sb.chain([(np.full((4, 2), 0.5), None), (np.ones((1, 4)), None)])
    assert [(row.rest, row.units, row.distinct) for row in overview(sb.diagnose(graph))] == [("space layers.0", 4, 1)]
    stacked = sb.diagnose(np.stack([tied, init((6, 5), rng=1)]), axes="boi")
    assert [(row.rest, row.units) for row in overview(stacked)] == [("weight, axis 1, copy 0", None)]  # of copies apart


def test_counts_outlive_the_classes_of_units():
    """The command leaves the classes out, and its table says the same."""
    arrays = {"a": np.ones((4, 3)), "b": np.eye(5, 9)[:, ::-1], "c": np.random.default_rng(0).standard_normal((4, 3))}
    report = sb.diagnose(arrays)
    light = report.counted()
    assert light.partition == {}
    assert str(light) == str(report)
    assert light.widths() == report.widths()
    assert light.counted().widths() == light.widths()
