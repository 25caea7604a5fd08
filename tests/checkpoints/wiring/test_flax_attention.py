"""Attention of flax.linen is known by its kernels, which have an axis of heads; flax runs it where it is installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from symbreak.checkpoints import wire
from tests.checkpoints.wiring._permute import closed, places
from tests.checkpoints.wiring._planted import plantable, planted, tied
from tests.checkpoints.wiring._run_flax import SHAPES


@pytest.mark.parametrize("before", ["", "params/block/attention/", "params.block.attention."])
def test_its_heads_are_those_of_its_kernels(before):
    sign = "." if before.endswith(".") else "/"
    arrays, _ = places({before + name.replace("/", sign): shape for name, shape in SHAPES.items()})
    found = wire(arrays)
    assert found.rule == "Flax attention"
    assert not found.unknown
    assert set(found.graph.arrays) == set(arrays)
    at = before.rstrip("./") or "attention"
    assert sorted(closed(found.graph)) == [f"{at}{sign}{each}" for each in ("heads", "query_key", "value")]


def test_keras_s_names_of_it_are_known_where_no_configuration_is_there():
    shapes = {f"attention/{name.replace('out/', 'attention_output/')}": shape for name, shape in SHAPES.items()}
    arrays, _ = places(shapes)
    assert wire(arrays).rule == "Flax attention"
    assert not wire(arrays).unknown


@pytest.mark.parametrize("changed", [{"query/kernel": (6, 12)}, {"value/kernel": (5, 2, 4)}, {"out/kernel": (12, 7)}])
def test_kernels_that_are_not_those_of_heads_are_not_known(changed):
    arrays, _ = places(SHAPES | changed)
    assert "Flax" not in wire(arrays).rule


def test_a_tie_in_any_space_is_found_and_none_where_there_is_none():
    at, total = places(SHAPES)
    values = np.random.default_rng(0).normal(size=total)
    assert tied(wire({name: values[places_] for name, places_ in at.items()}).graph) == set()
    graph = wire(at).graph
    for space in plantable(graph):
        moved_ = values[planted(graph, space, total)]
        assert tied(wire({name: moved_[places_] for name, places_ in at.items()}).graph), space


def test_renumbering_the_units_of_a_space_on_all_its_axes_changes_nothing_and_on_all_but_one_does():
    """In a process of its own: JAX warns of every later fork in the one that imports it."""
    if importlib.util.find_spec("flax") is None:
        pytest.skip("flax is not installed")
    run = [sys.executable, "-W", "ignore", "-m", "tests.checkpoints.wiring._run_flax"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
