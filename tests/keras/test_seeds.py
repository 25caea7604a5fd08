"""Seeds in Keras: what follows from them, and that using an instance twice ties nothing."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import symbreak as sb  # noqa: E402
from symbreak.keras import Initializer  # noqa: E402
from symbreak.keras.initializers import HeNormal  # noqa: E402
from tests.keras._arrays import array  # noqa: E402

L = keras.layers


def dense(**options):
    layer = L.Dense(4, **options)
    layer.build((None, 3))
    return array(layer.kernel)


def test_one_instance_gives_two_weights_that_differ():
    for seed in (None, 0, keras.random.SeedGenerator(0)):
        init = HeNormal(seed=seed)
        assert (dense(kernel_initializer=init) != dense(kernel_initializer=init)).any()
    theirs = keras.initializers.HeNormal(seed=0)
    assert (dense(kernel_initializer=theirs) == dense(kernel_initializer=theirs)).all()  # what it is about


def test_a_seed_gives_the_same_model_again():
    def make():
        init = HeNormal(seed=0)
        return [dense(kernel_initializer=init), dense(kernel_initializer=init)]

    np.testing.assert_array_equal(make(), make())


def test_a_set_random_seed_gives_the_same_model_again():
    def make():
        keras.utils.set_random_seed(5)
        return dense(kernel_initializer=HeNormal()), dense(kernel_initializer=HeNormal())

    first, again = make(), make()
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).any()


def test_the_numbers_are_those_of_the_key_that_the_page_names():
    init = Initializer(sb.HeNormal(), seed=7)
    layer = L.Dense(4, kernel_initializer=init, name="head")
    layer.build((None, 3))
    np.testing.assert_array_equal(array(layer.kernel), sb.HeNormal()((3, 4), rng=sb.Key(7)["head"]["0"], axes="io"))
    np.testing.assert_array_equal(
        dense(kernel_initializer=init), sb.HeNormal()((3, 4), rng=sb.Key(7)["dense"]["1"], axes="io")
    )


@pytest.mark.parametrize("seed", [0, "generator"])
@pytest.mark.parametrize("kind", ["MultiHeadAttention", "GroupQueryAttention"])
def test_the_copies_that_attention_makes_are_not_equal(kind, seed):
    def make(cls):
        init = cls(seed=keras.random.SeedGenerator(0) if seed else 0)
        if kind == "MultiHeadAttention":
            layer = L.MultiHeadAttention(2, 3, kernel_initializer=init)
        else:
            layer = L.GroupQueryAttention(3, 2, 2, kernel_initializer=init)
        layer.build((None, 5, 4), (None, 5, 4))
        return {weight.path.split("/")[-2]: array(weight) for weight in layer.weights if weight.name == "kernel"}

    mine, theirs = make(HeNormal), make(keras.initializers.HeNormal)
    for one, other in (("query", "key"), ("query", "value"), ("key", "value")):
        assert (mine[one] != mine[other]).any()
        assert (theirs[one] == theirs[other]).all()  # q, k and v from one seed
    again = make(HeNormal)
    for name in mine:
        np.testing.assert_array_equal(mine[name], again[name])


def test_the_two_ways_of_a_bidirectional_layer_differ():
    layer = L.Bidirectional(L.LSTM(4, kernel_initializer=HeNormal(seed=0), recurrent_initializer=HeNormal(seed=1)))
    layer.build((None, 5, 3))
    for leaf in ("kernel", "recurrent_kernel"):
        one, other = (array(getattr(each.cell, leaf)) for each in (layer.forward_layer, layer.backward_layer))
        assert (one != other).any()


def test_experts_made_by_one_seed_and_named_apart_differ():
    experts = [L.Dense(4, kernel_initializer=HeNormal(seed=0), name=f"expert_{each}") for each in "ab"]
    for expert in experts:
        expert.build((None, 3))
    assert (array(experts[0].kernel) != array(experts[1].kernel)).any()


def test_automatic_numbers_do_not_matter_and_names_of_ones_own_do():
    first = dense(kernel_initializer=HeNormal(seed=0))  # dense_4 or so
    np.testing.assert_array_equal(first, dense(kernel_initializer=HeNormal(seed=0)))
    assert (first != dense(kernel_initializer=HeNormal(seed=0), name="mine_4")).any()


@pytest.mark.parametrize("copy", ["clone", "config", "json"])
def test_a_copy_of_a_model_ties_nothing_that_one_instance_made(copy):
    init = HeNormal(seed=0)
    layers = [L.Dense(4, kernel_initializer=init) for _ in range(3)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    made = {
        "clone": lambda: keras.models.clone_model(model),
        "config": lambda: keras.Sequential.from_config(model.get_config()),
        "json": lambda: keras.models.model_from_json(model.to_json()),
    }[copy]
    first, again = ([array(layer.kernel) for layer in made().layers] for _ in range(2))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (first[one] != first[other]).any()
    np.testing.assert_array_equal(first, again)


def test_a_bidirectional_layer_gives_the_same_again():
    def make():
        layer = L.Bidirectional(L.LSTM(4, kernel_initializer=HeNormal(seed=0)))
        layer.build((None, 5, 3))
        return array(layer.forward_layer.cell.kernel)

    np.testing.assert_array_equal(make(), make())


def test_the_layer_that_asks_is_seen():
    """It is Keras' own affair how it keeps its scopes: a version that keeps them otherwise fails here."""
    from symbreak.keras._seeds import asking_layer, open_scopes

    seen = []

    class Spy(keras.initializers.Initializer):
        def __call__(self, shape, dtype=None):
            seen.append((asking_layer(), [name for name, _ in open_scopes()]))
            return keras.ops.zeros(shape, dtype)

    layer = L.LSTM(2, kernel_initializer=Spy(), name="memory")
    layer.build((None, 5, 3))
    assert seen == [(layer.cell, ["memory", layer.cell.name])]
    assert asking_layer() is None
    assert open_scopes() == []
