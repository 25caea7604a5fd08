"""The page in a browser: it renders under its own policy, sorts and filters, is accessible, and opens fast.

Needs Chromium; the rules of axe-core are asked where a package that holds it is installed.
"""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from symbreak.reports import Report, to_page
from tests.data.make_reports import sample
from tests.reports.test_formats import many

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


def opened(path, *options):
    """Open a file in a browser without a window, and give the page as it then is."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--virtual-time-budget=5000",
        f"--user-data-dir={path.parent}/profile", *options, "--dump-dom", f"file://{path}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def probed(tmp_path, report, script, *options):
    """Run a script in the page, which its policy would refuse, and give what it left in `window.found`."""
    markup = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", to_page(report))
    telling = "<script>document.documentElement.dataset.found = JSON.stringify(window.found)</script>"
    page = tmp_path / "probed.html"
    page.write_text(markup.replace("</body>", f"{script}{telling}</body>"), "utf-8")
    dom = opened(page, *options)
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found is not None
    import html

    return json.loads(html.unescape(found[1]))


def test_the_page_renders_and_its_own_script_is_the_one_that_its_policy_lets_run(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(to_page(sample()), "utf-8")
    dom = opened(page)
    assert 'id="filter"' in dom
    assert "<button" in dom
    assert f"{len(sample().findings)} of {len(sample().findings)}" in dom
    other = tmp_path / "other.html"
    other.write_text(to_page(sample()).replace("</body>", "<script>document.title = 'ran'</script></body>"), "utf-8")
    assert "<title>ran</title>" not in opened(other)


SORTED = """<script>
var rows = function () { return Array.from(document.querySelectorAll("table.findings tbody tr")); };
var column = function (n) { return rows().map(function (row) { return row.cells[n].textContent; }); };
var heads = document.querySelectorAll("table.findings thead button");
window.found = {};
heads[3].click(); found.place = column(3);
heads[4].click(); found.up = column(4);
heads[4].click(); found.down = column(4);
found.aria = Array.from(document.querySelectorAll("th[aria-sort]")).map(function (e) { return e.ariaSort; });
document.getElementById("level").value = "warning";
document.getElementById("level").dispatchEvent(new Event("change"));
found.warnings = column(0); found.status = document.getElementById("shown").textContent;
found.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
</script>"""


def test_the_table_sorts_filters_and_says_so(tmp_path):
    found = probed(tmp_path, sample(), SORTED)
    assert [name for name in found["place"] if "blocks" in name] == [f"blocks.{n}.mlp.weight" for n in range(5)]
    assert found["up"] == ["", "4", "6", *["8"] * 5, "12"]
    assert found["down"] == found["up"][::-1]
    assert found["aria"] == ["descending"]
    assert found["warnings"] == ["warning"]
    assert found["status"] == "1 of 9"


def test_on_a_phone_nothing_but_the_table_and_pictures_scrolls_aside(tmp_path):
    assert probed(tmp_path, sample(), SORTED, "--window-size=500,800")["wide"] == 0


CURVES = """<script>
var drawn = Array.from(document.querySelectorAll("svg")).filter(function (e) {
  return (e.getAttribute("aria-label") || "").indexOf("spread of units") === 0;
});
window.found = drawn.map(function (e) {
  var box = e.getBoundingClientRect(), all = [], line = e.querySelector("path[stroke='#0072b2']");
  e.querySelectorAll("path, text").forEach(function (part) { all.push(part.getBoundingClientRect()); });
  return {
    inside: all.every(function (r) {
      return r.left >= box.left - 1 && r.right <= box.right + 1 && r.top >= box.top - 1 && r.bottom <= box.bottom + 1;
    }),
    wide: box.width, high: box.height, length: line.getTotalLength(), ink: getComputedStyle(e).fill,
    text: parseFloat(getComputedStyle(e).fontSize) * box.width / e.viewBox.baseVal.width,
    table: e.closest("figure").nextElementSibling.innerText
  };
});
</script>"""


@pytest.mark.parametrize("width", [500, 1200])
def test_growth_is_drawn_whole_and_large_enough_to_read_beside_its_numbers(tmp_path, width):
    found = probed(tmp_path, sample(), CURVES, f"--window-size={width},800")
    assert len(found) == 2
    for each in found:
        assert each["inside"]
        assert each["high"] > 200
        assert each["wide"] <= width
        assert each["text"] >= 10  # pixels of a letter
        assert each["length"] > 100
    assert "apart since step 400" in found[0]["table"]


def test_growth_is_drawn_in_the_colour_of_the_text_of_the_theme(tmp_path):
    light, dark = (
        probed(tmp_path, sample(), CURVES, f"--blink-settings=preferredColorScheme={theme}")[0]["ink"]
        for theme in (1, 0)
    )
    assert (light, dark) == ("rgb(27, 31, 36)", "rgb(230, 233, 236)")


def axe() -> str | None:
    for package in ("axe_playwright_python", "axe_core_python"):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            path = Path(spec.submodule_search_locations[0]) / "axe.min.js"
            if path.is_file():
                return path.read_text("utf-8")
    return None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(tmp_path, theme):
    rules = axe()
    if rules is None:
        pytest.skip("needs axe-core: pip install axe-playwright-python")
    script = f"<script>{rules}</script>" + (
        "<script>axe.run().then(function (r) { window.found = r.violations.map(function (v) { return "
        "[v.id, v.impact, v.nodes.map(function (n) { return n.html; })]; }); "
        "document.documentElement.dataset.found = JSON.stringify(window.found); });</script>"
    )
    options = (
        ["--blink-settings=preferredColorScheme=0"] if theme == "dark" else ["--blink-settings=preferredColorScheme=1"]
    )
    markup = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", to_page(sample()))
    page = tmp_path / "axe.html"
    page.write_text(markup.replace("</body>", f"{script}</body>"), "utf-8")
    dom = opened(page, *options)
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found is not None
    assert found[1] == "[]"


@pytest.mark.slow  # a time, on a machine that has nothing else to do
def test_ten_thousand_findings_open_in_less_than_two_seconds(tmp_path):
    page = tmp_path / "many.html"
    markup = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", to_page(many(10_000)))
    script = (
        "<script>addEventListener('load', function () { requestAnimationFrame(function () { setTimeout(function () {"
        "document.documentElement.dataset.time = performance.now(); }, 0); }); });</script>"
    )
    page.write_text(markup.replace("</body>", f"{script}</body>"), "utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
        "--timeout=20000", "--dump-dom", f"file://{page}",
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert float(re.search(r'data-time="([0-9.]+)"', dom)[1]) < 2000


def test_a_clean_report_renders(tmp_path):
    page = tmp_path / "clean.html"
    page.write_text(to_page(Report(arrays=2)), "utf-8")
    assert "clean: nothing found in 2 arrays" in opened(page)
