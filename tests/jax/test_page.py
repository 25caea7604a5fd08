"""The page on JAX prints what it shows."""

import pytest

from .. import _pages

pytest.importorskip("jax")
pytest.importorskip("flax")

pytestmark = pytest.mark.skipif(not _pages.HOWTO.exists(), reason="the tests were copied without the documentation")


def test_the_page_prints_what_it_shows():
    blocks = list(_pages.run("jax.md"))
    assert len(blocks) > 5
    for code, shown, printed in blocks:
        assert printed == shown, code
