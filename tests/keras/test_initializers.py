"""Initializers with Keras' names: what Keras' own test suite asks of them, and that they are distributed alike."""

import inspect
import json
import math

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import symbreak as sb  # noqa: E402
from symbreak.keras import Initializer, initializers  # noqa: E402
from tests.keras._arrays import array  # noqa: E402

RANDOM = {cls.__name__: cls for cls in initializers.RANDOM}
# The parameters of each that aren't its defaults.
OTHERS = {
    "RandomNormal": {"mean": 0.5, "stddev": 0.1},
    "RandomUniform": {"minval": -1.0, "maxval": 2.0},
    "TruncatedNormal": {"mean": -0.5, "stddev": 0.2},
    "VarianceScaling": {"scale": 0.5, "mode": "fan_avg", "distribution": "uniform", "input_axes": [0],
                        "output_axes": [1]},
    "Orthogonal": {"gain": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in dir(keras.initializers) if name[0] != "_"])
def test_every_name_of_keras_is_there(name):
    if name in ("Initializer", "get", "serialize", "deserialize"):
        return
    mine, theirs = getattr(initializers, name), getattr(keras.initializers, name)
    assert mine.__name__ == theirs.__name__


@pytest.mark.parametrize("name", RANDOM)
def test_the_constructors_take_what_keras_takes(name):
    mine, theirs = (
        inspect.signature(each.__init__).parameters for each in (RANDOM[name], getattr(keras.initializers, name))
    )
    assert [(each.name, each.default) for each in mine.values()] == [
        (each.name, each.default) for each in theirs.values()
    ]


@pytest.mark.parametrize("name", RANDOM)
def test_the_moments_are_keras_own(name):
    mine = array(RANDOM[name](seed=0)((120, 400)))
    theirs = array(getattr(keras.initializers, name)(seed=0)((120, 400)))
    assert mine.dtype == theirs.dtype == np.float32
    assert mine.shape == (120, 400)
    assert abs(mine.mean() - theirs.mean()) < 0.02 * theirs.std()
    assert abs(mine.std() / theirs.std() - 1) < 0.01
    far, bound = (
        np.quantile(np.abs(each), 0.999) for each in (mine, theirs)
    )  # on PyTorch Keras passes the cut, rarely
    assert far == pytest.approx(bound, rel=0.06)


def test_no_truncated_value_passes_two_sigma():
    values = np.abs(array(initializers.HeNormal(seed=0)((120, 4000))))
    assert values.max() <= 2 * math.sqrt(2 / 120) / 0.87962566103423978


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 25), ("fan_out", 20), ("fan_avg", 22.5)])
@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "untruncated_normal", "uniform", "Uniform"])
def test_variance_scaling_has_the_variance_of_its_mode(mode, fan, distribution):
    init = initializers.VarianceScaling(2.0, mode, distribution, seed=1234)
    values = array(init((25, 20)))
    assert values.std() == pytest.approx(math.sqrt(2.0 / fan), rel=0.1)
    assert init.distribution == {"normal": "truncated_normal", "Uniform": "uniform"}.get(distribution, distribution)


def test_axes_say_over_what_fans_are_counted():
    with_axes = initializers.VarianceScaling(2.0, seed=1, input_axes=[0], output_axes=[1, 2])
    assert array(with_axes((32, 4, 16))).std() == pytest.approx(math.sqrt(2 / 32), rel=0.1)
    assert array(initializers.VarianceScaling(2.0, seed=1)((32, 4, 16))).std() == pytest.approx(
        math.sqrt(2 / 128), rel=0.1
    )


@pytest.mark.parametrize("shape", [(5, 5), (30, 7), (3, 3, 4, 6), (2, 2, 2, 2, 3, 4)])
def test_orthogonal_is_a_matrix_with_one_column_a_unit(shape):
    values = array(initializers.Orthogonal(gain=2.0, seed=1234)(shape)).reshape(-1, shape[-1])
    small = values.T @ values if len(values) > shape[-1] else values @ values.T
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)


@pytest.mark.parametrize(("shape", "fan_in"), [((), 1), ((7,), 7), ((2, 3, 2, 3, 4, 5), 144)])
def test_shapes_of_any_rank_have_keras_fans(shape, fan_in):
    bound = array(initializers.LecunUniform(seed=0)(shape)).ravel()
    assert np.abs(bound).max() <= math.sqrt(3 / fan_in)


@pytest.mark.parametrize("name", RANDOM)
def test_a_configuration_makes_an_equal_one(name):
    first = RANDOM[name](**OTHERS.get(name, {}), seed=3)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(first)))
    assert config["registered_name"] == f"symbreak>{name}"
    back = keras.saving.deserialize_keras_object(config)
    assert type(back) is RANDOM[name]
    assert back.get_config() == first.get_config()
    assert {key: first.get_config()[key] for key in OTHERS.get(name, {})} == OTHERS.get(name, {})
    np.testing.assert_array_equal(array(back((6, 5))), array(first((6, 5))))
    np.testing.assert_array_equal(array(first.clone()((6, 5))), array(back.clone()((6, 5))))
    assert repr(back).startswith(f"{name}(")
    assert "seed=3" in repr(back)


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_generator_is_saved_with_it(name):
    first = RANDOM[name](seed=keras.random.SeedGenerator(1337))
    before = array(first((6, 5)))
    assert (before != array(first((6, 5)))).any()
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(first))
    np.testing.assert_array_equal(array(back((6, 5))), before)  # it begins anew, as Keras' does


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_dtype_is_the_one_that_is_asked_for(dtype):
    for cls in (*initializers.RANDOM, lambda seed: Initializer(sb.HeNormal(), seed)):
        values = cls(seed=0)((8, 4), dtype=dtype)
        assert keras.backend.standardize_dtype(values.dtype) == dtype
    exact = array(keras.ops.cast(initializers.HeNormal(seed=0)((8, 4), dtype=dtype), "float32"))
    whole = array(initializers.HeNormal(seed=0)((8, 4)))
    np.testing.assert_array_equal(exact, whole.astype(sb.Zeros()(1, dtype=dtype).dtype).astype(np.float32))


def test_the_default_dtype_is_keras_floatx():
    keras.config.set_floatx("float16")
    try:
        assert keras.backend.standardize_dtype(initializers.HeNormal()((3, 4)).dtype) == "float16"
    finally:
        keras.config.set_floatx("float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.VarianceScaling(scale=-1.0), "VarianceScaling: scale is positive; got -1.0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "mode is one of 'fan_in', 'fan_out', 'fan_avg'; got 'fan'"),
        (lambda: initializers.VarianceScaling(distribution="cauchy"), "distribution is one of .*; got 'cauchy'"),
        (lambda: initializers.HeNormal(seed="a"), "seed is an integer of 0 or more, None, or .*SeedGenerator; got 'a'"),
        (lambda: initializers.HeNormal(seed=-1), "seed is an integer of 0 or more.*got -1"),
        (lambda: initializers.HeNormal(seed=True), "seed is an integer.*got True"),
        (lambda: initializers.Orthogonal()((3,)), r"Orthogonal: a weight has two axes or more; got the shape \(3,\)"),
        (lambda: Initializer("he_norml"), "no initializer is called 'he_norml'; did you mean 'he_normal'"),
        (lambda: Initializer(sb.HeNormal())((3,)), "a weight needs an output and an input axis"),
        (lambda: initializers.RandomNormal(stddev=0.0), r"std is 0, which makes every weight equal; for that use `Con"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises((ValueError, LookupError), match=message):
        make()


# Any initializer of the shelf.


@pytest.mark.parametrize(
    "init",
    [sb.HeNormal(), sb.Orthogonal(gain=0.5), sb.Scaled(sb.Orthogonal(), 2.0), sb.Sparse(0.5), sb.Constant(0.5)],
    ids=repr,
)  # fmt: skip
def test_the_shelf_is_wrapped_saved_and_copied(init):
    first = Initializer(init, seed=3)
    back = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(first))))
    assert back.initializer == init
    assert repr(back) == f"Initializer({init!r}, seed=3)"
    made = array(back((6, 4)))
    np.testing.assert_array_equal(made, array(first((6, 4))))
    np.testing.assert_array_equal(made, init((6, 4), rng=sb.Key(3)[""]["0"], axes="io"))


def test_a_layout_of_ones_own_is_saved_too():
    first = Initializer("he_normal", seed=0, axes=sb.Axes("oi", splits=2))
    back = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(first))))
    assert back.axes == sb.Axes("oi", splits=2)
    assert Initializer("he_normal", axes="iohw").axes == sb.Axes("iohw")
    assert array(back((6, 400))).std() == pytest.approx(math.sqrt(2 / 400), rel=0.1)


def test_a_model_is_saved_and_loaded_without_custom_objects(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, kernel_initializer=Initializer(sb.DeltaOrthogonal(), seed=1)),
            keras.layers.Flatten(),
            keras.layers.Dense(5, kernel_initializer=initializers.HeNormal(seed=1)),
        ]
    )
    model.save(tmp_path / "model.keras")
    back = keras.saving.load_model(tmp_path / "model.keras")
    assert back.layers[0].kernel_initializer.initializer == sb.DeltaOrthogonal()
    assert type(back.layers[2].kernel_initializer) is initializers.HeNormal
    for one, other in zip(model.weights, back.weights, strict=True):
        np.testing.assert_array_equal(array(one), array(other))


def test_keras_is_told_what_to_pass_by_a_plain_initializer():
    with pytest.raises(
        TypeError, match=r"HeNormal\(\) was handed to Keras.*symbreak\.keras\.Initializer\(HeNormal\(\)\)"
    ):
        keras.layers.Dense(3, kernel_initializer=sb.HeNormal()).build((None, 4))
    with pytest.raises(AttributeError, match=r"symbreak\.keras\.Initializer\(HeNormal"):
        keras.layers.MultiHeadAttention(2, 3, kernel_initializer=sb.HeNormal()).build((None, 5, 4), (None, 5, 4))
