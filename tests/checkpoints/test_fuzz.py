"""A little fuzzing in every run of the tests, and what longer fuzzing found: all of it is read or refused."""

import sys

import pytest
from hypothesis import given

from tests.fuzz._edits import edited
from tests.fuzz._target import Target
from tests.fuzz.checkpoints import FOUND, seeds

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the alarm and the limits are POSIX's")


@pytest.fixture(scope="module")
def target():
    target = Target()
    yield target
    target.close()


@given(data=edited([path.read_bytes() for path in seeds("")]))
def test_mutations_of_valid_files_are_read_or_refused(target, data):
    target(data)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*")) if FOUND.is_dir() else [], ids=lambda path: path.name)
def test_what_fuzzing_found_is_read_or_refused(target, path):
    target(path.read_bytes())


@pytest.mark.parametrize("path", seeds(""), ids=lambda path: path.name)
def test_the_files_that_mutations_start_from_are_taken(target, path):
    before = target.read + target.refused
    target(path.read_bytes())
    assert target.read + target.refused == before + 1
