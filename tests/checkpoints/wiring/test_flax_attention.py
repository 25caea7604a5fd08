"""Attention of flax.linen is known by its kernels, which have an axis of heads; flax runs it where it is installed."""

import numpy as np
import pytest

from symbreak.checkpoints import wire
from tests.checkpoints.wiring._permute import axes_over, closed, moved, places
from tests.checkpoints.wiring._planted import plantable, planted, tied

SHAPES = {
    "query/kernel": (6, 3, 4),
    "query/bias": (3, 4),
    "key/kernel": (5, 3, 4),
    "key/bias": (3, 4),
    "value/kernel": (5, 3, 4),
    "value/bias": (3, 4),
    "query_ln/scale": (4,),
    "key_ln/scale": (4,),
    "out/kernel": (3, 4, 7),
    "out/bias": (7,),
}
SAME = 1e-5


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


@pytest.mark.filterwarnings("ignore")
def test_renumbering_the_units_of_a_space_on_all_its_axes_changes_nothing_and_on_all_but_one_does():
    linen = pytest.importorskip("flax.linen")
    jax = pytest.importorskip("jax")
    module = linen.MultiHeadDotProductAttention(num_heads=3, qkv_features=12, out_features=7, normalize_qk=True)
    x, y = (np.sin(np.arange(np.prod(shape)).reshape(shape)) for shape in ((2, 4, 6), (2, 5, 5)))
    tree = module.init(jax.random.key(0), x, y)["params"]
    shapes = {f"{part}/{leaf}": tree[part][leaf].shape for part in tree for leaf in tree[part]}
    assert shapes == SHAPES
    at, total = places(shapes)
    values = np.random.default_rng(0).normal(size=total)

    def run(values):
        new = {part: {leaf: values[at[f"{part}/{leaf}"]] for leaf in tree[part]} for part in tree}
        return np.asarray(module.apply({"params": new}, x, y))

    graph = wire(at).graph
    before = run(values)
    scale = np.abs(before).max()
    for space in closed(graph):
        assert np.abs(run(values[moved(graph, space, total)]) - before).max() < SAME * scale
        for name, number in axes_over(graph, space):
            after = run(values[moved(graph, space, total, without=(name, number))])
            assert np.abs(after - before).max() > SAME * scale or name in ("key/bias",), (space, name, number)
