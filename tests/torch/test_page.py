"""The page on PyTorch prints what it shows."""

import pytest

from .. import _pages

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.skipif(not _pages.HOWTO.exists(), reason="the tests were copied without the documentation")


def test_the_page_prints_what_it_shows():
    blocks = list(_pages.run("torch.md"))
    assert len(blocks) > 5
    for code, shown, printed in blocks:
        assert printed == shown, code
