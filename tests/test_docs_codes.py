"""The pages of finding codes: what stands in a terminal as itself is set as code."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
if not DOCS.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)
pytest.importorskip("sphinx", reason="the docs extra brings it")
sys.path.insert(0, str(DOCS / "_ext"))

import code_pages  # noqa: E402 - found beside the pages


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("such as HeNormal() or GlorotUniform().", "such as `HeNormal()` or `GlorotUniform()`."),
        ("a key such as sb.Key(seed)['member 1'].", "a key such as `sb.Key(seed)['member 1']`."),
        ("as in [Layer()] * 6, so", "as in `[Layer()] * 6`, so"),
        ("in a file, --wiring F, or with --config F.", "in a file, `--wiring F`, or with `--config F`."),
        ("see `symbreak repair`.", "see `symbreak repair`."),
        ("units (all of them) are tied - at every step.", "units (all of them) are tied - at every step."),
    ],
)
def test_calls_and_options_are_marked(text, shown):
    assert code_pages.coded(text) == shown


@pytest.mark.parametrize("row", code_pages.CODES.values(), ids=lambda row: row.code)
def test_no_page_has_a_call_or_an_option_as_prose(row):
    prose = "".join(code_pages.page(row).split("`")[::2])
    assert "()" not in prose
    assert "--" not in prose
