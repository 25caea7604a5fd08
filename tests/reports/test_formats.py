"""Reports as files for people and services: each format against its golden file and what its reader demands."""

import itertools
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak.findings import CODES, Finding, Level
from symbreak.reports import Report, Skipped, to_github, to_markdown, to_page, to_sarif, visible
from tests.data.make_reports import FOLDER, FORMATS, sample
from tests.reports.test_reports import HOSTILE, everywhere


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_is_written_as_its_golden_file_has_it(name):
    """`python tests/data/make_reports.py` writes them anew."""
    assert FORMATS[name](sample()) + "\n" == (FOLDER / name).read_text("utf-8")


def test_the_golden_files_are_those_of_the_formats():
    assert {path.name for path in FOLDER.iterdir()} == set(FORMATS)


# SARIF


def sarif(report):
    log = json.loads(to_sarif(report, "1.2.3"))
    assert log["version"] == "2.1.0"
    assert len(log["runs"]) == 1
    return log["runs"][0]


def test_sarif_meets_the_schema():
    """The schema is OASIS's and is not ours to keep: SYMBREAK_SARIF_SCHEMA names a copy."""
    path = os.environ.get("SYMBREAK_SARIF_SCHEMA")
    if not path:
        pytest.skip("SYMBREAK_SARIF_SCHEMA names no copy of sarif-schema-2.1.0.json")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(Path(path).read_text("utf-8"))
    for report in (sample(), Report(), *map(everywhere, HOSTILE)):
        jsonschema.validate(json.loads(to_sarif(report, "1.2.3")), schema)


def test_sarif_has_what_its_standard_demands():
    """Sections 3.27.5 (ruleId), 3.27.6 (ruleIndex), 3.27.10 (level), 3.4.3 (uri), 3.20.14 (executionSuccessful)."""
    run = sarif(sample())
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(CODES)
    assert run["tool"]["driver"]["version"] == "1.2.3"
    assert run["invocations"][0]["executionSuccessful"] is False
    assert len(run["results"]) == len(sample().findings)
    uris = {artifact["location"]["uri"] for artifact in run["artifacts"]}
    assert uris == {"runs/a.npz", "runs/b%2C%20c.npz", "net.onnx", "cut.npz"}
    for result, finding in zip(run["results"], sample().findings, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.code
        assert result["level"] == str(finding.level)
        assert result["message"]["text"].startswith(visible(finding.message, 2000))
        places = [place["physicalLocation"]["artifactLocation"]["uri"] for place in result["locations"]]
        assert places
        assert set(places) <= uris
        assert all(re.fullmatch(r"[A-Za-z0-9._~!$&'()*+;=:@/%-]+", uri) for uri in places)


def test_a_fingerprint_outlives_the_message_and_the_units_and_not_the_place(tmp_path, monkeypatch):
    def prints(*findings, files=("a.npz",)):
        return [each["partialFingerprints"]["symbreak/v1"] for each in sarif(Report(findings, files=files))["results"]]

    first = Finding.of("SB102", "a.npz: fc1, axis 0", "2 units have equal weights: 0, 1", ((0, 1),))
    other = Finding.of("SB102", "a.npz: fc1, axis 0", "3 units have equal weights: 0-2", ((0, 1, 2),))
    assert prints(first) == prints(other)
    assert prints(first) != prints(Finding.of("SB102", "a.npz: fc1, axis 1", "", ()))
    assert prints(first) != prints(Finding.of("SB103", "a.npz: fc1, axis 0", "", ()))
    twice = prints(first, other)
    assert len(set(twice)) == 2
    assert twice[0] == prints(first)[0]
    monkeypatch.chdir(tmp_path)
    by_other_ways = [Finding.of("SB102", f"{path}: fc1, axis 0", "") for path in ("./a.npz", f"{tmp_path}/a.npz")]
    for finding in by_other_ways:
        assert prints(finding, files=(finding.where.split(": ")[0],)) == prints(first)


def test_weights_that_files_share_are_located_in_each():
    shared = Finding.of("SB401", "a.npz, b, c.npz", "3 weights are the same in 2 files: w")
    report = Report((shared,), files=("a.npz", "b, c.npz"), arrays=2)
    (result,) = sarif(report)["results"]
    places = [place["physicalLocation"]["artifactLocation"]["uri"] for place in result["locations"]]
    assert places == ["a.npz", "b%2C%20c.npz"]
    assert to_github(report).startswith("::warning file=a.npz,title=SB401 a.npz%2C b%2C c.npz::")
    dotted = Report((Finding.of("SB401", "./a.npz, ./b, c.npz", "m"),), files=("./a.npz", "./b, c.npz"), arrays=2)
    assert sarif(dotted)["results"][0]["partialFingerprints"] == result["partialFingerprints"]


def test_a_path_that_leads_to_no_file_is_where_its_finding_is():
    """GitHub refuses a whole log for one result without a file, and with it the findings of all other files."""
    fault = Finding.of("SB301", "no such.npz", "no such file or folder")
    inside = Finding.of("SB301", "a.npz: w", "is cut off")
    skipped = (Skipped(fault.where, fault.message), Skipped(inside.where, inside.message))
    report = Report((fault, inside), skipped, files=("a.npz",))
    run = sarif(report)
    for each in (*run["results"], *run["invocations"][0]["toolExecutionNotifications"]):
        assert len(each["locations"]) == 1
        assert each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] in ("no%20such.npz", "a.npz")
    assert [artifact["location"]["uri"] for artifact in run["artifacts"]] == ["a.npz"]
    assert to_github(report).startswith("::error file=no such.npz,title=SB301::")
    assert "| error | no such.npz |  |" in to_markdown(report)


def test_an_annotation_has_the_whole_path():
    path = "/".join(["folder"] * 60) + "/a.npz"
    assert to_github(Report((Finding.of("SB102", path, "m"),), files=(path,))).startswith(f"::warning file={path},")


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a b.npz", "a%20b.npz"),
        ("c:d.npz", "./c%3Ad.npz"),
        ("größe.npz", "gr%C3%B6%C3%9Fe.npz"),
        ("50%.npz", "50%25.npz"),
        ("/elsewhere/x y.npz", "file:///elsewhere/x%20y.npz"),
        ("lone\udc80.npz", "lone%80.npz"),
        ("\ud800.npz", "%ED%A0%80.npz"),
    ],
)
def test_paths_are_written_as_uris(path, uri):
    run = sarif(Report((Finding.of("SB301", path, "x"),), files=(path,)))
    found = run["artifacts"][0]["location"]["uri"]
    assert found in (uri, uri.removeprefix("./"))
    assert "%3A" in found or ":" not in found.split("/")[0] or found.startswith("file:")


@pytest.mark.parametrize("name", HOSTILE)
def test_sarif_and_annotations_and_markdown_show_hostile_names_as_text(name):
    assert to_sarif(everywhere(name)).isascii()
    for write in (to_github, to_markdown):
        text = write(everywhere(name))
        assert all(char.isprintable() or char == "\n" for char in text)
        assert len(text.splitlines()) == len(write(everywhere("plain")).splitlines())


# Annotations


def parsed(line):
    """Read an annotation as GitHub's runner does: `::command key=value,...::data`, with its escapes undone."""
    command, properties, data = re.fullmatch(r"::(\w+) (.*?)::(.*)", line).groups()

    def undone(text):
        for escape, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            text = text.replace(escape, char)
        return text

    return command, dict(map(undone, each.split("=", 1)) for each in properties.split(",")), undone(data)


def test_an_annotation_is_read_back_whatever_the_name():
    for name in [*HOSTILE, "a: b, c%0Ad=::error::"]:
        line = to_github(everywhere(name)).splitlines()[0]
        command, properties, data = parsed(line)
        assert command == "warning"
        assert properties["file"] == visible(os.path.normpath(name)) or "/" in name
        assert properties["title"] == "SB102"
        assert visible(name) in data


def test_levels_are_commands_and_the_verdict_is_none():
    levels = [Finding("SB102", level, "w", (), "text", "fix") for level in Level]
    lines = to_github(Report(tuple(levels), arrays=1)).splitlines()
    assert [line.split(" ")[0] for line in lines[:-1]] == ["::notice", "::warning", "::error"]
    assert lines[-1] == "1 error, 1 warning, 1 note; read 1 array"


def test_what_is_skipped_without_a_finding_is_an_annotation():
    assert to_github(Report(skipped=(Skipped("a.pt", "is 100% cut"),))).splitlines()[0] == (
        "::error title=not read::a.pt: is 100%25 cut"
    )


# Markdown


def test_markdown_acts_on_nothing_in_a_name():
    """Mentions, links, images, tags, emphasis, code and the bars of the table are escaped."""
    name = "@team <img> [x](http://y) www.z.org *b* _i_ `c` | ~s~ #1 &amp;"
    text = to_markdown(Report((Finding.of("SB102", name, "m"),), arrays=1))
    (row,) = [line for line in text.splitlines() if line.startswith("| warning")]
    cells = re.split(r"(?<!\\)\|", row)
    assert len(cells) == 8
    unescaped = re.sub(r"\\.", "", cells[3])
    assert not set("@<>[]*_`|~#&") & set(unescaped)
    assert "://" not in unescaped
    assert "www." not in unescaped
    assert re.sub(r"\\(.)", r"\1", cells[3]).strip() == name


def test_a_dollar_begins_no_formula():
    text = to_markdown(Report((Finding.of("SB102", "a$x$b", "m"),), arrays=1))
    assert "| a<span>$</span>x<span>$</span>b |" in text
    assert "$" not in text.replace("<span>$</span>", "")


@pytest.mark.parametrize("name", ["- a", "+ a", "1. a", "12) a", "= a"])
def test_a_name_begins_no_list(name):
    text = to_markdown(Report((Finding.of("SB102", name, "m"),), arrays=1))
    (line,) = [line for line in text.splitlines() if line.startswith("- ")]
    assert "\\" in line[: len(name) + 2]


def test_long_markdown_is_cut_and_counted():
    many = tuple(Finding.of("SB102", f"w{chr(97 + n % 26)}{chr(97 + n // 26)}", f"m{n}") for n in range(600))
    text = to_markdown(Report(many, arrays=600))
    assert sum(line.startswith("| warning") for line in text.splitlines()) == 200
    assert "and 400 more" in text
    assert len(text) < 100_000


# The page


class Page(HTMLParser):
    """What is in a page: its tags with their attributes, the text, and whether every tag that opens is closed."""

    VOID = frozenset({"meta", "col", "br", "rect", "path"})

    def __init__(self, markup):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_holds_every_finding_its_explanation_and_its_fix_without_a_script():
    page = Page(to_page(sample()))
    for finding in sample().findings:
        row = CODES[finding.code]
        for text in (finding.message, finding.fix, row.sentence, row.why, *row.causes):
            assert visible(text, 2000) in page.text
        assert visible(finding.where.split(": ", 1)[-1], 2000) in page.text
    assert sample().verdict in page.text
    for growth in sample().growth:
        assert visible(growth.where) in page.text
        assert growth.verdict in page.text
    # A heat map and distances of the tied weight and of the network, the depth, and the growth in each of two runs.
    assert len(page.all("svg")) == 7


def test_one_of_a_kind_is_no_plural_on_the_page():
    page = to_page(sb.diagnose({"w": np.ones((4, 3))}))
    assert "<li><b>1</b>array</li><li><b>1</b>error</li><li><b>0</b>warnings</li>" in page
    assert "<caption>1 finding, the gravest first</caption>" in page


def test_the_page_needs_nothing_from_outside():
    markup = to_page(sample())
    page = Page(markup)
    policy = next(attributes["content"] for attributes in page.all("meta") if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy.split("script-src")[1]
    for _, attributes in page.tags:
        assert not {"src", "srcset", "action", "data"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in markup
    assert "@import" not in markup


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_shows_hostile_names_as_text(name):
    plain, page = Page(to_page(everywhere("plain"))), Page(to_page(everywhere(name)))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert visible(name) in page.text


def test_headings_landmarks_labels_and_tables_are_as_readers_of_screens_need_them():
    page = Page(to_page(sample()))
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert len(page.all("main")) == len(page.all("header")) == len(page.all("title")) == 1
    assert all(each["scope"] == "col" for each in page.all("th"))
    assert all(each.get("role") == "img" and each.get("aria-label") for each in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {each["href"][1:] for each in page.all("a")} <= set(ids)
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in page.all("div") if "role" in each)


def luminance(colour):
    """WCAG 2.2: relative luminance."""
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_every_colour_of_text_stands_out_from_its_ground():
    """WCAG 2.2, 1.4.3: a contrast of 4.5 at least, light and dark."""
    from symbreak.reports._page import DARK, LIGHT

    for colours in (LIGHT, DARK):
        for text in ("text", "faint", "link", "error", "warning", "note"):
            for ground in ("ground", "panel"):
                low, high = sorted([luminance(colours[text]), luminance(colours[ground])])
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def many(count, message="{0} units have equal weights: 1-{0}"):
    return Report(
        tuple(
            Finding.of(
                ("SB101", "SB102", "SB104")[n % 3],
                f"checkpoints/model.safetensors: encoder.layers.{n}.attention.weight, axis 0",
                message.format(n + 2),
                ((0, 1),),
            )
            for n in range(count)
        ),
        files=("checkpoints/model.safetensors", "b"),
        arrays=count,
    )


def test_ten_thousand_findings_are_all_there_and_take_less_than_5_mb():
    markup = to_page(many(10_000))
    assert len(markup.encode()) < 5_000_000
    assert markup.count("<tr><td") == 10_000
    assert markup.count("<details><summary>") == 11  # the files, and ten parts that are folded


def test_findings_beyond_the_size_are_counted_and_the_gravest_are_kept():
    report = many(21_000)
    markup = to_page(report)
    assert len(markup.encode()) < 5_000_000
    listed = markup.count("<tr><td")
    assert f"<p>{21_000 - listed} more findings are left out here; --format json lists them all.</p>" in markup
    assert markup.count("<td class=error>") == markup.count("<td class=warning>") == 7_000
    assert 0 < markup.count("<td class=note>") == listed - 14_000 < 7_000


def test_a_picture_of_each_code_is_drawn_and_others_are_counted():
    import symbreak as sb

    draw = np.random.default_rng(0).standard_normal
    arrays = {f"{chr(97 + n)}.weight": np.repeat(draw((3, 4)), 2, axis=0) for n in range(20)}
    page = Page(to_page(sb.diagnose(arrays)))
    assert len(page.all("svg")) == 24  # twelve findings, each with its weights and its distances
    assert "8 more have no picture here" in page.text


def test_a_long_message_is_cut_and_a_clean_report_has_no_table():
    long = Report((Finding.of("SB102", "w", "x" * 100_000),), arrays=1)
    assert len(to_page(long)) < 40_000
    clean = Page(to_page(Report(arrays=3)))
    assert clean.all("table") == []
    assert "clean: nothing found in 3 arrays" in clean.text


@pytest.mark.parametrize(("tied", "shown"), [(3, 3), (89, 80)])
def test_of_very_many_spaces_those_that_repeat_are_drawn(tied, shown):
    weights = list(np.random.default_rng(0).normal(size=(91, 3, 3)))
    for number in range(tied):
        weights[number] = weights[number][[0, 0, 2]]
        weights[number + 1] = weights[number + 1][:, [0, 0, 2]]
    page = Page(to_page(sb.diagnose(sb.chain([(weight, None) for weight in weights]))))
    assert f"{90 - shown} other spaces are not shown." in page.text
    assert page.text.count("2 of 3") == shown
    assert "3 of 3" not in page.text


def test_many_arrays_that_were_not_read_are_counted():
    report = Report(arrays=1, skipped=tuple(Skipped(f"w{number}", "its dtype is object") for number in range(205)))
    lines = to_markdown(report).splitlines()
    assert sum("its dtype is object" in line for line in lines) == 200
    assert lines[-1] == "- and 5 more"


@pytest.mark.parametrize(
    "report", [Report(arrays=3), Report(), Report(arrays=3, unselected=2), Report(arrays=3, known=1)]
)
def test_the_title_is_the_verdict(report):
    assert f"<title>symbreak: {report.verdict}</title>" in to_page(report)
