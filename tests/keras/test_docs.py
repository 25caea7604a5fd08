"""The pages on Keras, run."""

import doctest
import importlib.util
from pathlib import Path

import pytest

keras = pytest.importorskip("keras")
HOWTO = Path(__file__).parents[2] / "docs" / "howto"


@pytest.mark.parametrize(("page", "needs"), [("keras.md", ()), ("same-weights.md", ("torch", "jax", "flax"))])
def test_a_page_shows_what_happens(page, needs):
    if not (HOWTO / page).exists():
        pytest.skip("the tests were copied without the documentation")
    if keras.backend.backend() not in ("jax", "torch", "tensorflow"):
        pytest.skip("the backend has no gradients")
    for each in needs:
        if importlib.util.find_spec(each) is None:
            pytest.skip(f"{each} isn't installed")
    result = doctest.testfile(str(HOWTO / page), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0
