"""What the page on other libraries says of them, measured again with those that are installed."""

import importlib
import os
from pathlib import Path

import pytest

from ._peers import CLAIMS, PEERS

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "peers.md"


@pytest.fixture(autouse=True)
def keras_on_jax(monkeypatch):
    if "KERAS_BACKEND" not in os.environ:
        monkeypatch.setenv("KERAS_BACKEND", "jax")


@pytest.mark.parametrize("claim", CLAIMS, ids=[f"{claim.peer}: {claim.what}" for claim in CLAIMS])
@pytest.mark.filterwarnings("ignore")
def test_a_peer_is_wrong_where_the_page_says_so_and_symbreak_is_not(claim):
    pytest.importorskip(claim.peer)
    theirs, ours = claim.measure(importlib.import_module(claim.peer))
    assert claim.holds(ours), f"symbreak: {ours!r}"
    assert not claim.holds(theirs), f"{claim.peer} is right now: {theirs!r}; take the line off the page"


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not beside the tests")
def test_the_page_has_a_line_for_every_claim_and_no_other():
    text = PAGE.read_text("utf-8")
    lines = [
        line.split("|")[1:] for line in text.splitlines() if line.startswith("| ") and not line.startswith("| what")
    ]
    assert [cells[0].strip() for cells in lines] == [claim.what for claim in CLAIMS]
    assert [cells[1].strip() for cells in lines] == [claim.right for claim in CLAIMS]
    for title in PEERS.values():
        assert f"\n## {title} " in text
