"""A batch in Keras: equal units are seen, gradients are right, and the model is left as it was."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import symbreak as sb  # noqa: E402
from symbreak.keras._taps import find_taps, listening  # noqa: E402
from tests.keras._arrays import array  # noqa: E402
from tests.keras._models import every_layer, transformer  # noqa: E402

L = keras.layers
pytestmark = pytest.mark.skipif(
    keras.backend.backend() not in ("jax", "torch", "tensorflow"), reason="the backend has no gradients"
)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5)).astype("float32")
Y = RNG.normal(size=(6, 2)).astype("float32")


def small(activation="tanh", dropout=False):
    given = keras.Input((5,))
    x = L.Dense(8, activation=activation, name="hidden")(given)
    x = L.Dropout(0.5, seed=0)(x) if dropout else x
    model = keras.Model(given, L.Dense(2, name="last")(x))
    sb.keras.initialize(model, rng=1)
    return model


def tie(model, outgoing=True):
    kernel, last = array(model.get_layer("hidden").kernel).copy(), array(model.get_layer("last").kernel).copy()
    kernel[:, 3] = kernel[:, 1]
    last[3] = last[1]
    model.get_layer("hidden").kernel.assign(kernel)
    if outgoing:
        model.get_layer("last").kernel.assign(last)
    return model


def space(probe, name):
    return next(each for each in probe.spaces if each.name == name)


def test_equal_units_are_seen_and_the_certificate_agrees():
    probe = sb.keras.probe(tie(small()), (X, Y), "mse")
    assert space(probe, "hidden").groups == ((1, 3),)
    assert space(probe, "hidden").verdict == "agrees"
    assert space(probe, "last").groups == ()
    assert not probe.ok
    assert "hidden: 1, 3" in str(probe)


def test_units_that_are_read_differently_have_other_gradients():
    probe = sb.keras.probe(tie(small(), outgoing=False), (X, Y), "mse")
    assert probe.ok
    assert space(probe, "hidden").verdict == "agrees"


def test_a_healthy_model_is_silent_in_every_layer():
    model = every_layer()
    sb.keras.initialize(model)
    images = RNG.normal(size=(3, 8, 8, 3)).astype("float32")
    probe = sb.keras.probe(model, images, lambda outputs: keras.ops.mean(outputs**2))
    assert probe.ok, str(probe)
    assert {"conv2d", "bidirectional", "multi_head_attention/query"} <= {
        each.name.rstrip("_0123456789") if "/" not in each.name else "multi_head_attention/query"
        for each in probe.spaces
    }


def test_activations_gradients_and_loss_are_those_of_a_model_by_hand():
    model = small()
    w, b = (array(each) for each in model.get_layer("hidden").weights)
    v, c = (array(each) for each in model.get_layer("last").weights)
    hidden = np.tanh(X @ w + b)
    error = hidden @ v + c - Y
    seen = {}

    class Recorder(sb._probe.Recorder):
        def activations(self, name, values, axis=-1):
            seen[name, "activations"] = np.asarray(values)
            super().activations(name, values, axis)

        def gradients(self, name, values, axis=-1):
            seen[name, "gradients"] = np.asarray(values)
            super().gradients(name, values, axis)

    from symbreak.keras import _probe

    before = _probe.Recorder
    _probe.Recorder = Recorder
    try:
        probe = sb.keras.probe(model, (X, Y), "mse")
    finally:
        _probe.Recorder = before
    assert probe.loss == pytest.approx(float(np.mean(error**2)), rel=1e-5)
    np.testing.assert_allclose(seen["hidden", "activations"], hidden, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(seen["last", "gradients"], error / 6, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(seen["hidden", "gradients"], error @ v.T / 6, rtol=1e-4, atol=1e-6)


def test_dead_units_are_seen_through_the_function_after_their_layer():
    model = small(activation=None)
    model = keras.Sequential(
        [keras.Input((5,)), L.Dense(8, name="hidden"), L.ReLU(name="relu"), L.Dense(2, name="last")]
    )
    sb.keras.initialize(model)
    bias = np.zeros(8, "float32")
    bias[2] = -100
    model.get_layer("hidden").bias.assign(bias)
    probe = sb.keras.probe(model, (X, Y), "mse")
    assert space(probe, "relu").dead == (2,)
    assert space(probe, "hidden").dead == ()
    assert space(probe, "hidden").still == (2,)
    assert space(probe, "relu").verdict != "unknown"


def test_dropout_separates_units_in_training():
    model = tie(small(dropout=True))
    assert space(sb.keras.probe(model, (X, Y), "mse"), "hidden").groups == ((1, 3),)
    probe = sb.keras.probe(model, (X, Y), "mse", training=True)
    assert space(probe, "hidden").groups == ()
    assert space(probe, "hidden").verdict == "fewer"


def test_the_model_is_left_as_it_was():
    model = keras.Sequential(
        [keras.Input((5,)), L.Dense(8), L.BatchNormalization(), L.Dropout(0.5), L.Dense(2, activity_regularizer="l2")]
    )
    before = [array(each).copy() for each in model.variables]
    calls = [vars(layer).get("call") for layer in model.layers]
    losses = len(model.losses)
    sb.keras.probe(model, (X, Y), "mse", training=True)
    for one, other in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(one, array(other))
    assert [vars(layer).get("call") for layer in model.layers] == calls
    assert len(model.losses) == losses
    if keras.backend.backend() == "torch":
        assert all(each.value.grad is None for each in model.trainable_variables)


def test_the_model_is_left_as_it_was_where_it_fails():
    model = small()
    with pytest.raises(ZeroDivisionError):
        sb.keras.probe(model, X, lambda outputs: 1 / 0)
    assert not any("call" in vars(layer) for layer in model.layers)


def test_a_frozen_model_and_a_call_of_ones_own_are_probed():
    model = transformer()
    model.trainable = False
    tokens = np.array([[1, 2, 3, 4, 5], [3, 1, 4, 1, 5]])
    probe = sb.keras.probe(model, (tokens, tokens), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    names = [each.name for each in probe.spaces]
    assert "block_1/attention/query" in names
    assert "block_0/up" in names
    assert probe.ok
    assert space(probe, "block_0/up").verdict == "agrees"


def test_a_layer_used_twice_counts_both_uses():
    given = keras.Input((4,))
    shared = L.Dense(4, activation="tanh", name="shared")
    model = keras.Model(given, shared(shared(given)))
    heard = []
    with listening(find_taps(model), lambda tap, _, output: (heard.append(tap.name), output)[1]):
        model(np.ones((2, 4), "float32"))
    assert heard == ["shared", "shared"]
    assert sb.keras.probe(model, np.ones((2, 4), "float32"), keras.ops.sum).spaces[0].samples == 4


class Beside(keras.Model):
    """A layer of which nothing reads what it gives."""

    def __init__(self):
        super().__init__()
        self.read, self.unread = L.Dense(4, name="read"), L.Dense(2, name="unread")

    def call(self, x):
        self.unread(x)
        return self.read(x)


def test_layers_to_which_no_gradient_comes_are_left_out():
    model = Beside()
    model(X)
    probe = sb.keras.probe(model, X, keras.ops.sum)
    assert [each.name for each in probe.spaces] == ["read"]
    assert dict(probe.left_out) == {"unread": "no gradient comes to it"}
    nothing = sb.keras.probe(model, X, lambda _: keras.ops.sum(keras.ops.convert_to_tensor(X)))
    assert (nothing.spaces, set(nothing.left_out)) == ((), {"read", "unread"})


def test_channels_that_lie_before_positions_are_units():
    """As those that lie after them: both models compute the same."""
    image = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")
    kernel = np.random.default_rng(1).normal(size=(3, 3, 3, 4)).astype("float32")
    kernel[..., 2] = kernel[..., 1]
    found = []
    for form, given in (("channels_last", image), ("channels_first", np.moveaxis(image, -1, 1))):
        layer = L.Conv2D(4, 3, data_format=form, name="conv")
        model = keras.Sequential([keras.Input(given.shape[1:]), layer, L.GlobalAveragePooling2D(form)])
        try:
            layer.kernel.assign(kernel)
            probe = sb.keras.probe(model, given, lambda y: keras.ops.sum(y**2), certificate=False)
        except Exception as error:  # TensorFlow has no such convolution on a CPU
            if form == "channels_last" or keras.backend.backend() != "tensorflow":
                raise
            pytest.skip(str(error)[:80])
        found.append([(each.name, each.units, each.samples, each.groups) for each in probe.spaces])
    assert found[0] == found[1]
    assert found[0] == [("conv", 4, 24, ((1, 2),))]


def test_a_compiled_model_brings_its_loss():
    model = small()
    model.compile("sgd", "mae")
    probe = sb.keras.probe(model, (X, Y), certificate=False)
    assert probe.loss == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)
    assert {each.verdict for each in probe.spaces} == {"unknown"}


@pytest.mark.parametrize(
    ("batch", "loss", "error", "message"),
    [
        ((X, Y), None, ValueError, "which loss?"),
        (X, "mse", TypeError, "the loss 'mse' needs targets"),
    ],
)
def test_a_loss_that_makes_no_sense_is_refused(batch, loss, error, message):
    with pytest.raises(error, match=message):
        sb.keras.probe(small(), batch, loss)
