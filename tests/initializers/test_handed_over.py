"""What an initializer says to a framework that calls it as it calls its own."""

import types

import numpy as np
import pytest

import symbreak as sb

INIT = sb.HeNormal()


def called_in(module: str, **names):
    """Call as a function of another module does."""
    code = "def call(): return init(*args, **kwargs)"
    scope = {"__name__": module, "init": INIT, "args": (), "kwargs": {}} | names
    exec(code, scope)
    return scope["call"]()


def keys(module: str, array):
    """Give an array that another package has made."""
    kind = types.new_class("ArrayImpl", (np.ndarray,))
    kind.__module__ = module
    return array.view(kind)


@pytest.mark.parametrize("module", ["keras.src.backend.common.variables", "tf_keras.src.engine"])
def test_keras_is_told_what_to_pass(module):
    with pytest.raises(
        TypeError, match=r"HeNormal\(\) was handed to Keras.*`symbreak\.keras\.Initializer\(HeNormal\(\)\)`"
    ):
        called_in(module, args=((3, 4),), kwargs={"dtype": "float32"})


@pytest.mark.parametrize("name", ["from_config", "get_config"])
def test_what_keras_asks_for_to_copy_is_answered_with_what_to_pass(name):
    assert not hasattr(INIT, name)
    assert not hasattr(sb.HeNormal, name)
    with pytest.raises(AttributeError, match=r"pass `symbreak\.keras\.Initializer\(HeNormal\(\)\)`"):
        getattr(INIT, name)
    with pytest.raises(AttributeError, match=r"pass `symbreak\.keras\.Initializer\(HeNormal\(\.\.\.\)\)`"):
        getattr(sb.HeNormal, name)


def test_a_person_may_call_the_same_way():
    assert called_in("somebodys.module", args=((3, 4),), kwargs={"dtype": "float32"}).shape == (3, 4)


@pytest.mark.parametrize("kwargs", [{"rng": 0}, {"axes": "io"}])
def test_keras_may_call_what_says_its_stream_or_layout(kwargs):
    assert called_in("keras.src.somewhere", args=((3, 4),), kwargs=kwargs).shape == (3, 4)


@pytest.mark.parametrize("more", [(), ("float32",), (np.float32, None)])
def test_jax_is_told_what_to_pass(more):
    key = keys("jaxlib._jax", np.zeros(2, np.uint32))
    with pytest.raises(TypeError, match=r"with \(key, shape, dtype\).*`symbreak\.jax\.Initializer\(HeNormal\(\)\)`"):
        INIT(key, (3, 4), *more)


def test_flax_is_told_what_to_pass_whatever_its_key_is():
    with pytest.raises(TypeError, match=r"symbreak\.jax\.Initializer"):
        called_in("flax.linen.linear", args=(np.zeros(2, np.uint32), (3, 4), np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.dtype("float32")])
def test_haiku_is_told_what_to_pass(dtype):
    with pytest.raises(TypeError, match=r"with \(shape, dtype\).*symbreak\.jax\.Initializer"):
        INIT((3, 4), dtype)


def test_other_arguments_by_place_are_named():
    with pytest.raises(TypeError, match=r"all else by keyword; got 3 arguments by place: \(3, 4\), 0, 'float64'"):
        INIT((3, 4), 0, "float64")


def test_a_jax_array_is_a_key_to_real_jax():
    jax = pytest.importorskip("jax")
    for key in (jax.random.key(0), jax.random.PRNGKey(0)):
        with pytest.raises(TypeError, match=r"symbreak\.jax\.Initializer"):
            INIT(key, (3, 4), jax.numpy.float32)
    with pytest.raises(TypeError, match=r"symbreak\.jax\.Initializer"):
        jax.jit(lambda key: INIT(key, (3, 4)))(jax.random.key(0))
