"""The diagnosis of Keras models: what is known of their wiring, faults that it names, and healthy twins."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import symbreak as sb  # noqa: E402
from symbreak.keras._wire import understood  # noqa: E402
from tests.keras._arrays import array  # noqa: E402
from tests.keras._models import Block, every_layer, transformer  # noqa: E402

L = keras.layers


def codes(report) -> set[str]:
    return {finding.code for finding in report.findings if finding.level.name != "NOTE"}


def shares(model, *args) -> float:
    return understood(sb.keras.wire(model, *args), sb.keras.arrays(model))


def tie(layer, leaf="kernel", axis=-1, units=(0, 1)):
    values = np.moveaxis(array(getattr(layer, leaf)).copy(), axis, 0)
    values[units[1]] = values[units[0]]
    getattr(layer, leaf).assign(np.moveaxis(values, 0, axis))


def small(**options):
    given = keras.Input((6,), name="given")
    x = L.Dense(8, activation="tanh", name="first", **options)(given)
    return keras.Model(given, L.Dense(2, name="last", **options)(x))


# What is known.


def test_the_layers_of_a_functional_model_are_wired_by_its_configuration():
    model = small()
    wired = sb.keras.wire(model)
    assert wired.rule == "Keras configuration"
    assert shares(model) == 1
    assert wired.graph.writers("first") == ("first/kernel",)
    assert wired.graph.readers("first") == ("last/kernel",)


def test_models_in_models_and_sequential_ones_are_wired():
    inner = keras.Sequential([keras.Input((6,)), L.Dense(8, activation="relu"), L.Dense(5)], name="inner")
    given = keras.Input((6,))
    model = keras.Model(given, L.Dense(3)(inner(given)))
    assert shares(model) == 1
    assert sb.keras.diagnose(model).ok
    tie(inner.layers[0])
    tie(inner.layers[1], axis=0)
    report = sb.keras.diagnose(model)
    assert "SB201" in codes(report)
    assert any(finding.where == f"space inner.{inner.layers[0].name}" for finding in report.findings)


def test_most_of_every_layer_is_understood_and_nothing_false_is_said():
    model = every_layer()
    sb.keras.initialize(model)
    assert shares(model) > 0.5  # what comes after a PReLU over positions or a grouped query is told apart
    assert sb.keras.diagnose(model).ok


@pytest.mark.parametrize("example", [None, np.zeros((2, 5), "int32")], ids=["as built", "example"])
def test_a_call_of_ones_own_is_followed_into_ones_own_layers(example):
    model = transformer()
    names = [layer.name for layer in model.layers]
    before = vars(Block).get("__call__")
    wired = sb.keras.wire(model, example)
    assert wired.rule == "the model's own call"
    assert understood(wired, sb.keras.arrays(model)) == 1
    writers = set(wired.graph.writers("embed"))
    assert writers == {"embed/embeddings"} | {
        f"block_{number}/{leaf}/kernel" for number in (0, 1) for leaf in ("attention/attention_output", "down")
    }
    assert [layer.name for layer in model.layers] == names  # the model is as it was
    assert vars(Block).get("__call__") is before
    assert model(np.zeros((2, 5), "int32")).shape == (2, 5, 20)


def test_a_call_that_cannot_be_followed_leaves_the_names_and_says_so():
    class Odd(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = L.Dense(4, name="fc1"), L.Dense(2, name="fc2")

        def call(self, x):
            if float(keras.ops.sum(x)) > 0:  # no symbol has a value
                x = x + 1
            return self.fc2(self.fc1(x))

    model = Odd()
    model(np.ones((2, 3), "float32"))
    report = sb.keras.diagnose(model, np.ones((2, 3), "float32"))
    assert report.ok
    note = next(finding for finding in report.findings if "could not be followed" in finding.message)
    assert note.code == "SB302"
    assert note.fix.startswith("pass an example that it can be called with, as in diagnose(model, x), or say how they")
    assert "could not be followed" in sb.keras.wire(model, np.ones((2, 3), "float32")).rule


class Built(keras.Model):
    """Says in words of its own what it was built with."""

    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2, name="dense")

    def build(self, _):
        self.dense.build((None, 3))
        self.built = True

    def get_build_config(self):
        return {"input_shape": "three"}

    def call(self, x):
        return self.dense(x)


def test_a_model_that_does_not_say_what_it_was_built_with_needs_an_example():
    model = Built()
    model.build(None)
    why = "no example of its input was given, and it doesn't say what it was built with"
    assert sb.keras.wire(model).rule.endswith(f", as {why}")
    assert sb.keras.wire(model, np.ones((2, 3), "float32")).rule == "the model's own call"


class Called(L.Layer):
    """Holds another layer, and has a `__call__` of its own."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inside = L.Dense(4, name="inside")

    def __call__(self, x):
        return super().__call__(x)

    def call(self, x):
        return self.inside(x)


class Holder(keras.Model):
    def __init__(self):
        super().__init__()
        self.called, self.last = Called(name="called"), L.Dense(2, name="last")

    def call(self, x):
        return self.last(self.called(x))


def test_a_layer_with_a_call_operator_of_its_own_is_followed_and_left_as_it_was():
    before, model, x = Called.__call__, Holder(), np.ones((2, 3), "float32")
    model(x)
    wired = sb.keras.wire(model, x)
    assert (wired.rule, dict(wired.unknown)) == ("the model's own call", {})
    assert [space.name for space in wired.graph.spaces if space.units == 4] == ["called/inside"]
    assert Called.__call__ is before


def test_a_weight_that_a_call_reads_itself_is_named():
    class Shifted(keras.Model):
        def build(self, _):
            self.fc1, self.fc2 = L.Dense(4, name="fc1"), L.Dense(2, name="fc2")
            self.fc1.build((None, 3))
            self.fc2.build((None, 4))
            self.shift = self.add_weight(shape=(1, 4), name="shift", initializer="normal")

        def call(self, x):
            return self.fc2(self.fc1(x) + self.shift)

    model = Shifted(name="shifted")
    model(np.ones((2, 3), "float32"))
    notes = [each.message for each in sb.keras.diagnose(model).findings if each.code == "SB302"]
    assert any("it reads the weight shifted/shift itself, not by way of one of Keras' layers" in each for each in notes)


def test_a_layer_alone_is_diagnosed_by_its_arrays():
    layer = L.Dense(4)
    layer.build((None, 3))
    assert sb.keras.diagnose(layer).ok
    layer.kernel.assign(np.full((3, 4), 0.5))
    assert codes(sb.keras.diagnose(layer)) == {"SB101"}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: np.zeros(3), TypeError, "a model or layer of Keras 3 is needed"),
        (lambda: keras.Sequential([L.Dense(3)]), ValueError, "has no weights yet"),
        (
            lambda: keras.Sequential([keras.Input((3,)), L.ReLU()]),
            ValueError,
            "has no weights, so there is nothing to judge",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        sb.keras.diagnose(make())


# Real cases: each is named, cured by `initialize`, and its healthy twin stays silent.


def constant_kernels():
    return small(kernel_initializer=keras.initializers.Constant(0.1))


def one_seed_for_query_key_and_value():
    given = keras.Input((5, 8))
    x = L.MultiHeadAttention(2, 4, kernel_initializer=keras.initializers.GlorotUniform(seed=0), name="attention")(
        given, given
    )
    return keras.Model(given, L.Dense(3)(x))


def one_instance_for_actor_and_critic():
    init = keras.initializers.HeNormal(seed=0)
    given = keras.Input((6,))
    heads = []
    for name in ("actor", "critic"):
        x = L.Dense(16, activation="tanh", kernel_initializer=init, name=f"{name}_hidden")(given)
        heads.append(L.Dense(2, name=f"{name}_out")(x))
    return keras.Model(given, heads)


def twin_critics():
    """Twin Q networks from one seed: the smaller of two equal values is no safeguard."""
    given = keras.Input((6,))
    towers = []
    for each in "ab":
        x = L.Dense(
            16, activation="relu", kernel_initializer=keras.initializers.HeNormal(seed=1), name=f"q_{each}_hidden"
        )(given)
        towers.append(L.Dense(1, kernel_initializer=keras.initializers.HeNormal(seed=2), name=f"q_{each}_out")(x))
    return keras.Model(given, towers)


def copied_blocks():
    """Blocks made from one configuration, and weights copied from the first: as warm starts do."""
    given = keras.Input((8,))
    x = given
    layers = [L.Dense(8, activation="relu", name=f"block_{number}") for number in range(3)]
    for layer in layers:
        x = layer(x)
    model = keras.Model(given, L.Dense(2)(x))
    for layer in layers[1:]:
        layer.set_weights(layers[0].get_weights())
    return model


def adapters_at_zero():
    model = small()
    for name in ("first", "last"):
        layer = model.get_layer(name)
        layer.enable_lora(2)
        layer.lora_kernel_a.assign(np.zeros(layer.lora_kernel_a.shape))
    return model


CASES = {
    constant_kernels: {"SB201", "SB101"},
    one_seed_for_query_key_and_value: {"SB208"},
    one_instance_for_actor_and_critic: {"SB208"},
    twin_critics: {"SB208"},
    copied_blocks: {"SB204"},
    adapters_at_zero: {"SB203", "SB101"},
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_fault_is_named_and_cured(case):
    model = case()
    assert codes(sb.keras.diagnose(model)) == CASES[case]
    sb.keras.initialize(model)
    report = sb.keras.diagnose(model)
    assert not codes(report), str(report)


def test_the_initializers_here_make_no_such_fault():
    init = sb.keras.initializers.HeNormal(seed=0)
    given = keras.Input((5, 8))
    x = L.MultiHeadAttention(2, 4, kernel_initializer=init)(given, given)
    x = L.Dense(8, kernel_initializer=init)(x)
    x = L.Dense(8, kernel_initializer=init)(x)
    assert not codes(sb.keras.diagnose(keras.Model(given, x)))


def test_an_application_of_keras_is_wired_initialized_and_clean():
    model = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=10, alpha=0.35)
    plan = sb.keras.initialize(model)
    assert len(plan.rows) == len(model.weights)
    assert plan.audit(sb.keras.arrays(model)).ok
    assert shares(model) >= 0.9
    assert not codes(sb.keras.diagnose(model))
    tie(model.get_layer("Conv1"))
    for leaf in ("gamma", "beta"):
        tie(model.get_layer("bn_Conv1"), leaf)
    depthwise = next(layer for layer in model.layers if isinstance(layer, L.DepthwiseConv2D))
    tie(depthwise, axis=2)
    tie(model.get_layer("expanded_conv_project"), axis=2)
    report = sb.keras.diagnose(model)
    assert "SB201" in codes(report)  # the planted tie is found
    assert any("Conv1" in finding.where for finding in report.findings)


class Operations(keras.Model):
    """Functions of Keras' where layers could be."""

    def __init__(self, scale=None):
        super().__init__()
        self.first, self.last = L.Dense(8, name="first"), L.Dense(2, name="last")
        self.scale = scale

    def call(self, x):
        x = keras.ops.relu(self.first(x))
        x = x * 0.5 if self.scale is None else keras.ops.multiply(x, self.scale)
        return self.last(keras.ops.mean(x, axis=1))


def test_operations_are_followed():
    model = Operations()
    model(np.zeros((2, 5, 4), "float32"))
    example = np.zeros((2, 5, 4), "float32")
    assert shares(model, example) == 1
    assert sb.keras.wire(model, example).graph.space("first").activation == "relu"
    tie(model.first)
    tie(model.last, axis=0)
    assert "SB201" in codes(sb.keras.diagnose(model, example))


def test_a_constant_that_meets_the_units_may_break_a_tie():
    """Units that the constant scales apart are not tied, though all their weights are equal."""
    model = Operations(np.arange(8, dtype="float32"))
    example = np.zeros((2, 5, 4), "float32")
    model(example)
    tie(model.first)
    tie(model.last, axis=0)
    report = sb.keras.diagnose(model, example)
    assert "SB201" not in codes(report)
    assert any(finding.code == "SB302" for finding in report.findings)


def test_the_scale_of_a_residual_branch_is_one_number_a_unit():
    from keras.src.applications.convnext import LayerScale

    given = keras.Input((6,))
    x = L.Dense(8, name="stem")(given)
    branch = LayerScale(1e-6, 8)(L.Dense(8, name="out")(L.Dense(16, activation="gelu", name="up")(x)))
    model = keras.Model(given, L.Dense(2, name="head")(L.Add()([x, branch])))
    plan = sb.keras.initialize(model)
    assert [row.initializer for row in plan.rows if row.role == "residual_gain"] == [sb.Constant(1e-6)]
    assert shares(model) == 1
    assert not codes(sb.keras.diagnose(model))
    for name in ("stem", "out"):
        tie(model.get_layer(name))
    for name in ("up", "head"):
        tie(model.get_layer(name), axis=0)
    assert "SB201" in codes(sb.keras.diagnose(model))
    scale = next(each for each in model.weights if "kernel" not in each.path and "bias" not in each.path)
    scale.assign(np.linspace(1, 2, 8))  # which tells the two apart
    assert "SB201" not in codes(sb.keras.diagnose(model))
