"""A report as one HTML page that needs nothing else: no network, no script to be read; dark or light as the reader is.

What came from outside is escaped, and the page's own policy lets no other script run than the one below, by its hash.
"""

import base64
import hashlib
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symbreak._curves import curves_svg, growth_curves, growth_label
from symbreak._growth import Growth, by_run, spread_text
from symbreak._visible import counted, visible
from symbreak.findings import CODES, Finding

from ._picture import Picture, depth_svg
from ._places import Row, fold, overview

if TYPE_CHECKING:
    from ._report import Report, Space

BYTES = 4_000_000  # of the rows of the table; what is beyond is counted
MESSAGE = 2000  # characters of a message
SHORT = 240  # of one where there are many
MANY = 1000  # findings; also the rows of each part of the table that is folded
SHOWN = 300  # rows that are not: a browser lays out what it shows, and of what is folded only the first line
SPACES = 80  # bars
GROWTHS = 200  # weights of a run in its table
WIDTHS = {
    "level": "6rem",
    "code": "5rem",
    "units": "5rem",
    "distinct": "5.5rem",
    "file": "18%",
    "tensor or space": "26%",
}

# Every pair of colours of text and ground has a contrast of 4.5 or more (WCAG 2.2, 1.4.3); a test computes them.
LIGHT = {
    "ground": "#ffffff", "panel": "#f4f5f7", "text": "#1b1f24", "faint": "#57606a", "line": "#d0d7de",
    "link": "#0550ae", "error": "#b3261e", "warning": "#7a4b00", "note": "#0a5d66",
}  # fmt: skip
DARK = {
    "ground": "#15181c", "panel": "#1f242a", "text": "#e6e9ec", "faint": "#a4adb7", "line": "#3b434c",
    "link": "#7db7ff", "error": "#ff8a80", "warning": "#f0b45c", "note": "#6fd0da",
}  # fmt: skip

STYLE = """
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif}
header,main{max-width:72rem;margin:0 auto;padding:.5rem 1rem}
h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.3rem;margin:2rem 0 .5rem}h3{font-size:1.1rem;margin:0 0 .5rem}
a{color:var(--link)}code,.where{font-family:ui-monospace,monospace;font-size:.92em;overflow-wrap:anywhere}
.verdict{font-size:1.15rem;font-weight:600;margin:.2rem 0;overflow-wrap:anywhere}
.tiles{display:flex;flex-wrap:wrap;gap:.6rem;list-style:none;margin:1rem 0;padding:0}
.tiles li{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.4rem .9rem}
.tiles b{display:block;font-size:1.4rem}
section.code{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:1rem;margin:1rem 0}
figure{margin:1rem 0}figure svg{max-width:100%;height:auto}
figcaption{color:var(--faint);font-size:.9rem;overflow-wrap:anywhere}
.error{color:var(--error)}.warning{color:var(--warning)}.note{color:var(--note)}.level{font-weight:600}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:.5rem}
table{border-collapse:collapse;table-layout:fixed;width:100%;min-width:56rem;font-size:.9rem}caption{text-align:left;padding:.5rem;color:var(--faint)}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
td{overflow-wrap:anywhere}td a{white-space:nowrap}
table.growth{table-layout:auto;min-width:42rem}table.growth td.where{min-width:11rem}
table.growth td:last-child{min-width:14rem}h3.where{margin-top:1.5rem}
.n{text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:normal}
th button{all:unset;cursor:pointer;text-decoration:underline dotted}
:focus-visible,th button:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.tools{display:flex;flex-wrap:wrap;gap:.8rem;align-items:center;margin:.6rem 0}
.tools input,.tools select{font:inherit;color:inherit;background:var(--ground);border:1px solid var(--faint);
border-radius:.3rem;padding:.2rem .5rem}
@media print{.tools{display:none}}
"""

# Sorting and filtering, for readers whose browser runs it. Without it the table is in the order of the arrays.
SCRIPT = """
(function () {
  var tables = Array.prototype.slice.call(document.querySelectorAll("table.findings"));
  if (!tables.length) return;
  var bodies = tables.map(function (table) { return table.tBodies[0]; });
  var sizes = bodies.map(function (body) { return body.rows.length; }), rows = [];
  bodies.forEach(function (body) { rows = rows.concat(Array.prototype.slice.call(body.rows)); });
  var tools = document.createElement("div"), wanted = "", grave = { error: 0, warning: 1, note: 2 }, timer;
  tools.className = "tools";
  tools.innerHTML = '<label>Filter <input type="search" id="filter"></label> <label>Level <select id="level">' +
    '<option value="">every level</option><option>error</option><option>warning</option><option>note</option>' +
    '</select></label> <span role="status" id="shown"></span>';
  var first = tables[0].parentNode;
  first.parentNode.insertBefore(tools, first);
  var text = document.getElementById("filter"), level = document.getElementById("level");
  var shown = document.getElementById("shown");
  shown.textContent = rows.length + " of " + rows.length;
  function show() {
    var found = rows.filter(function (row) {
      return (!level.value || row.cells[0].textContent === level.value) &&
        (!wanted || row.textContent.toLowerCase().indexOf(wanted) >= 0);
    }), begin = 0;
    bodies.forEach(function (body, number) {
      var part = document.createDocumentFragment(), end = Math.min(begin + sizes[number], found.length);
      for (var place = begin; place < end; place += 1) part.appendChild(found[place]);
      body.textContent = "";
      body.appendChild(part);
      if (number) tables[number].closest("details").hidden = end === begin;
      begin = end;
    });
    shown.textContent = found.length + " of " + rows.length;
  }
  text.addEventListener("input", function () {
    clearTimeout(timer);
    timer = setTimeout(function () { wanted = text.value.toLowerCase(); show(); }, 120);
  });
  level.addEventListener("change", show);
  Array.prototype.forEach.call(tables[0].tHead.rows[0].cells, function (head, column) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.appendChild(button);
    button.addEventListener("click", function () {
      var down = head.getAttribute("aria-sort") === "ascending", number = head.className === "n";
      Array.prototype.forEach.call(head.parentNode.cells, function (each) { each.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      var keyed = rows.map(function (row) {
        var value = row.cells[column].textContent;
        return [column === 0 ? grave[value] : number ? (value === "" ? -1 : +value) : value, row];
      });
      var compare = new Intl.Collator("en", { numeric: true }).compare;
      keyed.sort(function (a, b) {
        var order = typeof a[0] === "number" ? a[0] - b[0] : compare(a[0], b[0]);
        return down ? -order : order;
      });
      rows = keyed.map(function (each) { return each[1]; });
      show();
    });
  });
})();
"""


def to_page(report: "Report") -> str:
    """Write a report as an HTML page.

    Parameters
    ----------
    report
        The report; its pictures are drawn.

    Returns
    -------
    str
        The page, of less than 5 MB: of very many findings the last ones are counted and not listed.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> from symbreak.reports import to_page
    >>> report = sb.diagnose(np.ones((3, 2)))
    >>> to_page(report).startswith("<!DOCTYPE html>")
    True
    """
    title = f"symbreak: {_safe(report.verdict)}"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src '{_hash(SCRIPT)}'"
    parts = [part(report) for part in (_summary, _contents, _depth, _growth, _codes, _skipped, _table)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{_colours()}{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + f"\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>"
    )


def pictures_of(report: "Report", findings: Sequence[Finding]) -> list[tuple[Finding, list[Picture]]]:
    """Give the findings that have pictures, each with them; of those that are alike the first."""
    found: dict[tuple[str, str], list[Picture]] = {}
    for picture in report.pictures:
        found.setdefault((picture.code, picture.where), []).append(picture)
    groups = ([each for each in group if (each.code, each.where) in found] for group in fold(findings))
    return [(group[0], found[group[0].code, group[0].where]) for group in groups if group]


def figure(finding: Finding, pictures: Sequence[Picture]) -> str:
    """Draw one finding, with what it says."""
    drawn = "".join(picture.svg() for picture in pictures)
    captions = " ".join(dict.fromkeys(picture.caption for picture in pictures))
    told = f"<span class='where'>{_safe(finding.where)}</span>: {_safe(finding.message[:MESSAGE])}. {_safe(captions)}"
    return f"<figure>{drawn}<figcaption>{told}</figcaption></figure>"


def depth_figure(spaces: "Sequence[Space]") -> str:
    """Draw how many units of the spaces of a network are distinct; of very many those in which units repeat."""
    shown = list(spaces)
    if len(shown) > SPACES:
        shown = [space for space in spaces if space.distinct < space.units][:SPACES] or shown[:SPACES]
    left = len(spaces) - len(shown)
    more = f" {left} other spaces are not shown." if left else ""
    bars = depth_svg([(space.where, space.units, space.distinct) for space in shown])
    text = f"Grey: the units of a space. In colour: how many of them differ; orange where not all do.{more}"
    return f"<figure>{bars}<figcaption>{text}</figcaption></figure>"


def _summary(report: "Report") -> str:
    facts = report.summary
    tiles = [counted(facts[f"{word}s"], word) for word in ("file", "array", "error", "warning", "note")]
    tiles.append(f"{facts['skipped']:,} not read")
    listed = "".join("<li><b>{}</b>{}</li>".format(*text.split(" ", 1)) for text in tiles)
    files = [_safe(file) for file in report.files]
    some = "".join(f"<li class='where'>{file}</li>" for file in files[:SPACES])
    more = f"<li>and {len(files) - SPACES} more</li>" if len(files) > SPACES else ""
    names = f"<details><summary>The files</summary><ul>{some}{more}</ul></details>" if files else ""
    evidence = f"<p>Wired by: {_safe(report.evidence)}</p>" if report.evidence else ""
    return (
        f"<header>\n<h1>What symbreak found</h1>\n<p class='verdict'>{_safe(report.verdict)}</p>{evidence}\n</header>\n"
        "<main>\n"
        f"<ul class='tiles'>{listed}</ul>\n{names}"
    )


def _contents(report: "Report") -> str:
    counts: dict[str, int] = {}
    for finding in report.findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
    rows = [
        f"<li><a href='#{code}'>{code}</a> {_safe(_about(code))}: {count}</li>"
        for code, count in sorted(counts.items())
    ]
    return f"<nav aria-label='Kinds of findings'><ul>{''.join(rows)}</ul></nav>" if rows else ""


def _depth(report: "Report") -> str:
    spaces = [space for space in report.widths()[0] if space.network]
    return f"<h2 id='depth'>Distinct units along depth</h2>\n{depth_figure(spaces)}" if spaces else ""


def growth_figure(growths: Sequence[Growth]) -> str:
    """Draw how the units of some weights of one run come apart."""
    curves = growth_curves(growths)
    left = len(growths) - len(curves)
    more = f" {left} more {'weight is' if left == 1 else 'weights are'} not drawn." if left else ""
    text = (
        "How far units are apart that were equal, relative to their length: a straight line is growth by one factor "
        f"{_safe(growths[0].each)}, and from 0.1 on they do work of their own.{more}"
    )
    drawn = curves_svg(curves, growths[0].along, growth_label(growths))
    return f"<figure>{drawn}<figcaption>{text}</figcaption></figure>"


def _growth(report: "Report") -> str:
    runs = by_run(report.growth)
    parts = ["<h2 id='growth'>Growth from the tied state</h2>"] if runs else []
    for run, some in runs.items():
        parts.append(f"<h3 class='where'>{_safe(run)}</h3>\n{growth_figure(some)}\n{_growth_table(some, _safe(run))}")
    return "\n".join(parts)


def _growth_table(growths: Sequence[Growth], run: str) -> str:
    growth = f"growth {_safe(growths[0].each)}"
    titles = [("tensor", ""), ("units", "n"), ("first spread", "n"), ("last", "n"), (growth, "n")]
    head = "".join(f"<th scope='col'{f' class={kind}' if kind else ''}>{title}</th>" for title, kind in titles)
    rows = []
    for each in growths[:GROWTHS]:
        factor = "" if each.factor is None else f"{each.factor:.5g}"
        numbers = (f"{each.units}", spread_text(each.spread[0]), spread_text(each.spread[-1]), factor)
        cells = "".join(f"<td class=n>{number}</td>" for number in numbers)
        rows.append(f"<tr><td class=where>{_safe(each.where)}</td>{cells}<td>{_safe(each.verdict)}</td></tr>")
    caption = f"{len(growths)} {'weight' if len(growths) == 1 else 'weights'}" + (
        f", the first {GROWTHS} here; --format json lists them all" if len(growths) > GROWTHS else ""
    )
    return (
        f"<div class='scroll' role='region' tabindex='0' aria-label='Growth: {run}'><table class='growth'>"
        f"<caption>{caption}</caption><thead><tr>{head}<th scope='col'>verdict</th></tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _codes(report: "Report") -> str:
    by_code: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_code.setdefault(finding.code, []).append(finding)
    sections = [_code(report, code, by_code[code]) for code in sorted(by_code, key=lambda each: _order(by_code[each]))]
    return "<h2>What it means</h2>\n" + "\n".join(sections) if sections else ""


def _order(findings: Sequence[Finding]) -> tuple[int, str]:
    return -max(finding.level for finding in findings), findings[0].code


def _code(report: "Report", code: str, findings: Sequence[Finding]) -> str:
    row = CODES.get(code)
    level = max(finding.level for finding in findings)
    times = f"{len(findings)} {'time' if len(findings) == 1 else 'times'}"
    parts = [
        f"<section class='code' aria-labelledby='{_safe(code)}'>",
        f"<h3 id='{_safe(code)}'>{_safe(code)}: {_safe(_about(code))}</h3>",
        f"<p><span class='level {level}'>{level}</span>, {times}</p>",
    ]
    if row is not None:
        causes = "".join(f"<li>{_safe(cause)}</li>" for cause in row.causes)
        parts += [f"<p>{_safe(row.why)}</p>", f"<p>Usual causes:</p><ul>{causes}</ul>"]
    fixes = list(dict.fromkeys(finding.fix for finding in findings))
    shown = "".join(f"<li>{_safe(fix[:MESSAGE])}</li>" for fix in fixes[:5])
    parts.append(f"<p>What to do:</p><ul>{shown}</ul>")
    drawn = pictures_of(report, findings)
    parts += [figure(finding, pictures) for finding, pictures in drawn]
    if drawn and len(drawn) < len(findings):
        left = len(findings) - len(drawn)
        parts.append(f"<p>{left} more {'has' if left == 1 else 'have'} no picture here; the table lists them.</p>")
    return "\n".join([*parts, "</section>"])


def _about(code: str) -> str:
    return CODES[code].sentence if code in CODES else "a code of another version"


def _skipped(report: "Report") -> str:
    if not report.skipped:
        return ""
    rows = "".join(
        f"<li><span class='where'>{_safe(each.where)}</span>: {_safe(each.reason[:MESSAGE])}</li>"
        for each in report.skipped[:MANY]
    )
    more = f"<li>and {len(report.skipped) - MANY} more</li>" if len(report.skipped) > MANY else ""
    return f"<h2>Not read</h2>\n<p>The verdict does not cover this.</p>\n<ul>{rows}{more}</ul>"


def _table(report: "Report") -> str:
    if not report.findings:
        return ""
    places = {row.findings[0].where: row for row in overview(report)}
    several = len(report.files) > 1
    common = {code: row.fix for code, row in CODES.items()}
    limit = MESSAGE if len(report.findings) <= MANY else SHORT
    rows: list[str] = []
    size = 0
    for finding in sorted(report.findings, key=lambda each: -each.level):
        fix = "" if finding.fix == common.get(finding.code) else f"; fix: {finding.fix}"
        row = _row(finding, places[finding.where], several, visible(finding.message, limit) + visible(fix, limit))
        size += len(row.encode())
        if size > BYTES:
            break
        rows.append(row)
    left = len(report.findings) - len(rows)
    more = f"<p>{left} more findings are left out here; --format json lists them all.</p>" if left else ""
    titles = [("level", ""), ("code", ""), ("tensor or space", ""), ("units", "n"), ("distinct", "n"), ("what", "")]
    titles[2:2] = [("file", "")] if several else []
    head = "".join(f"<th scope='col'{f' class={kind}' if kind else ''}>{title}</th>" for title, kind in titles)
    columns = "".join(f"<col style='width:{WIDTHS.get(title, 'auto')}'>" for title, _ in titles)
    first = _rows(rows[:SHOWN], f"{counted(len(rows), 'finding')}, the gravest first", head, columns)
    others = []
    for begin in range(SHOWN, len(rows), MANY):
        end = min(begin + MANY, len(rows))
        what = f"{begin + 1} to {end} of {len(rows)}"
        others.append(f"<details><summary>{what}</summary>{_rows(rows[begin:end], what, head, columns)}</details>")
    return "\n".join([f"<h2>Every finding</h2>\n{more}{first}", *others])


def _rows(rows: Sequence[str], caption: str, head: str, columns: str) -> str:
    return (
        f"<div class='scroll' role='region' tabindex='0' aria-label='Findings: {caption}'><table class='findings'>"
        f"<caption>{caption}</caption><colgroup>{columns}</colgroup><thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _row(finding: Finding, place: Row, several: bool, text: str) -> str:
    rest = place.rest or ("" if several else place.file)
    file = f"<td class=where>{_safe(place.file)}</td>" if several else ""
    units = "" if place.units is None else place.units
    distinct = "" if place.distinct is None else place.distinct
    return (
        f"<tr><td class={finding.level}>{finding.level}</td><td><a href='#{_safe(finding.code)}'>{_safe(finding.code)}"
        f"</a></td>{file}<td class=where>{_safe(rest)}</td><td class=n>{units}</td><td class=n>{distinct}</td>"
        f"<td>{html.escape(text)}</td></tr>"
    )


def _safe(text: str) -> str:
    return html.escape(visible(text, MESSAGE))


def _colours() -> str:
    light, dark = (";".join(f"--{name}:{value}" for name, value in each.items()) for each in (LIGHT, DARK))
    return f"\n:root{{color-scheme:light dark;{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
