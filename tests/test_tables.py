"""Tables: columns that line up, and lines that a terminal shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import recipes
from symbreak._table import INDENT, LINE, folded, html_table, table

from .recipes import _models

WORDS = st.text(st.sampled_from("ab1 ./,(_=)"), max_size=60)


def test_a_table_that_fits_is_laid_out_as_it_always_was():
    text = table(("name", "n"), [("fc1.weight", "7"), ("b", "1,000")], right=(1,), fold=(0,))
    assert text == "name            n\nfc1.weight      7\nb           1,000"


def test_a_column_is_folded_where_that_takes_the_fewest_lines():
    words = "one two three four five six seven eight"
    rows = [(20 * "a", "short", words), (20 * "b", words, "y"), *[(20 * "c", "s", "y")] * 9]
    lines = table(("p", "q", "r"), rows, fold=(0, 1, 2)).split("\n")
    assert max(map(len, lines)) <= LINE
    assert [line[:20] for line in lines if line[0] in "abc"] == [20 * "a", 20 * "b", *[20 * "c"] * 9]
    assert len(lines) <= 12 + 3  # where folding the first column alone would take 11 more


def test_in_a_notebook_text_is_aligned_to_the_left_and_numbers_as_notebooks_do():
    rows = [("fc1.weight", "1,000", "0.5", "-", "7 of 8"), ("12", "-3e-05", "nan", "", "inf")]
    shown = html_table("head", ("name", "n", "std", "none", "units"), rows)
    left = " style='text-align:left'"
    styles = [left, "", "", "", left]
    for tag, texts in (("th", ("name", "n", "std", "none", "units")), ("td", rows[0]), ("td", rows[1])):
        cells = "".join(f"<{tag}{style}>{text}</{tag}>" for style, text in zip(styles, texts, strict=True))
        assert f"<tr>{cells}</tr>" in shown
    assert html_table("head", ("name",), []).count(left) == 1


def test_what_cannot_be_folded_is_shown_in_full():
    assert table(("a", "b"), [("x" * 60, "y" * 60)], fold=(0,)).split("\n")[1].endswith("y" * 60)


@given(text=WORDS, width=st.integers(10, 80))
def test_folding_loses_nothing_but_spaces_and_keeps_to_the_width(text, width):
    lines = folded(text, width)
    assert all(len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(line.startswith(INDENT) for line in lines[1:])


def test_numbers_are_not_broken_and_names_are_behind_their_marks():
    assert folded("Glorot x gamma = 1.177", 20) == ["Glorot x gamma =", "  1.177"]
    assert folded("h.0.attn.c_proj.weight", 17) == ["h.0.attn.c_proj.", "  weight"]
    assert folded("attention_out", 10) == ["attention_", "  out"]
    assert folded("a" * 14, 10) == ["a" * 10, "  aaaa"]


MODELS = {"gpt2": _models.gpt2(), "llama": _models.llama(), "bert": _models.bert(), "both": _models.both()}


@pytest.mark.parametrize("name", ["deepnorm", "gpt2", "small_init", "spectral", "subln"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_plan_of_every_recipe_is_at_most_80_columns_wide(name, model):
    found = recipes.get(name)(model)
    lines = str(found).split("\n")
    assert max(map(len, lines)) <= LINE
    told = "".join(line.split("  ")[0] if line[:1] != " " else line[2:].split("  ")[0] for line in lines)
    assert all(parameter in told for parameter in model)


def test_long_names_rules_and_initializers_are_folded_in_every_part_of_a_plan():
    name = ".".join(["a_layer_with_a_long_name"] * 4)
    shapes = {f"{name}.weight": (64, 32), f"{name}.bias": (64,), f"{name}.other": (3,)}
    init = sb.Blocks((sb.HeNormal(), sb.Scaled(sb.GlorotUniform(), 0.5), sb.Scaled(sb.LecunNormal(), 0.25)), (-1, 8, 8))
    plan = sb.plan(shapes, {f"*{name}.weight": init, "*.bias": "zeros", f"{name}.{name}": "ones"})
    lines = str(plan).split("\n")
    assert max(map(len, lines)) <= LINE
    assert "  ".join(lines).replace(" ", "").count(f"hitsnothing:{name}.{name}") == 1
    assert "".join(lines).replace(" ", "").count(f"norulehits:{name}.other") == 1
