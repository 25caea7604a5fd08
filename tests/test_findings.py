"""The vocabulary: one table, whose rows are complete."""

import dataclasses
import re

import pytest

from symbreak.findings import CODES, Finding, Level, nearest_codes, select_codes


@pytest.mark.parametrize("row", CODES.values(), ids=CODES)
def test_a_row_is_complete(row):
    assert re.fullmatch(r"SB[1-4]\d\d", row.code)
    assert CODES[row.code] is row
    assert all([row.sentence, row.why, row.fix, row.causes, *row.causes])
    assert row.why.endswith(".")
    assert not any(text.endswith(".") for text in (row.sentence, row.fix, *row.causes))


def test_the_levels_are_those_of_the_contract():
    levels = {"SB101": "error", "SB102": "warning", "SB103": "warning", "SB104": "note", "SB105": "note"}
    levels |= {"SB106": "warning", "SB107": "note", "SB108": "error", "SB109": "warning"}
    levels |= {
        "SB201": "error",
        "SB202": "note",
        "SB203": "error",
        "SB301": "error",
        "SB302": "note",
        "SB303": "note",
        "SB401": "warning",
    }
    levels |= {f"SB{number}": "warning" for number in range(204, 209)}
    assert {code: str(row.level) for code, row in CODES.items()} == levels


def test_codes_are_unique_and_in_order():
    assert list(CODES) == sorted(set(CODES))


def test_levels_are_ordered():
    assert Level.NOTE < Level.WARNING < Level.ERROR


@pytest.mark.parametrize(
    ("prefix", "codes"),
    [
        ("SB101", ["SB101"]),
        ("SB10", [f"SB10{n}" for n in range(1, 10)]),
        ("sb3", ["SB301", "SB302", "SB303"]),
        (" SB1 ", [f"SB10{n}" for n in range(1, 10)]),
        ("SB", list(CODES)),
    ],
)
def test_codes_select_by_prefix(prefix, codes):
    assert list(select_codes(prefix)) == codes


@pytest.mark.parametrize("prefix", ["SB999", "", "  ", "101", "SB1011", "X", "B1"])
def test_a_prefix_of_no_code_is_refused_with_the_nearest(prefix):
    nearest = ", ".join(nearest_codes(prefix))
    message = re.escape(f"no code begins with {prefix!r}; the nearest are {nearest}")
    with pytest.raises(ValueError, match=message):
        select_codes(prefix)


def test_the_nearest_codes_are_near():
    assert nearest_codes("SB311", count=1) == ("SB301",)
    assert set(nearest_codes("sb100", count=9)) == set(select_codes("SB10"))


def test_a_finding_takes_level_and_remedy_from_its_code():
    finding = Finding.of("SB106", "w", "text", ((1,),))
    assert finding == Finding("SB106", Level.WARNING, "w", ((1,),), "text", CODES["SB106"].fix)
    assert Finding.of("SB106", "w", "text", fix="other").fix == "other"


def test_a_finding_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Finding.of("SB106", "w", "text").level = Level.NOTE
