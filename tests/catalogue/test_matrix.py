"""The page with the catalogue: what the rules of other tools see, and what they don't."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sphinx")
HELPER = Path(__file__).parents[2] / "docs" / "_ext" / "catalogue.py"
if not HELPER.exists():
    pytest.skip("the tests were copied without the documentation", allow_module_level=True)


@pytest.fixture(scope="module")
def helper():
    spec = importlib.util.spec_from_file_location("catalogue_page", HELPER)
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_the_rules_fire_on_what_they_are_for_and_not_on_random_weights(helper):
    healthy = {"a": random(20, 16), "b": random(20, 16, seed=1), "c.bias": np.zeros((4, 5)), "d": np.ones(9)}
    assert {name: rule(healthy) for name, rule in helper.RULES.items()} == dict.fromkeys(helper.RULES, False)
    tied = random(20, 16)
    tied[7] = 2 * tied[3]
    assert helper.clusters({"a": tied})
    assert not helper.duplicates({"a": tied})
    tied[7] = tied[3]
    assert helper.duplicates({"a": tied})
    assert helper.duplicates({"a": tied.T})
    assert helper.variance({"a": np.full((5, 9), 0.3)})
    assert helper.variance({"a": 1e-5 * random(5, 9)})  # an absolute threshold: a small scale is enough
    assert helper.equal_tensors({"a": tied, "b": tied.copy()})


def test_the_matrix_has_a_line_a_case_and_symbreak_tells_all_apart(helper):
    *rows, counts = helper.matrix()
    assert [each[0].split(".")[0] for each in rows] == [str(number) for number in range(1, 20)]
    assert counts[:2] == ["told apart, of 19", "19"]
    for number in range(len(helper.RULES)):
        told = int(counts[2 + number])
        assert told == sum(each[2 + number] == "yes" for each in rows)
        assert 0 < told < 15
