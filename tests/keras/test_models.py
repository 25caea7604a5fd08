"""Whole Keras models: names, roles and layouts of every layer, and weights that are those of every framework."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import symbreak as sb  # noqa: E402
from symbreak.errors import RuleError  # noqa: E402
from tests.keras._arrays import array  # noqa: E402
from tests.keras._models import every_layer, transformer  # noqa: E402

L = keras.layers
ROLES = {
    "conv2d/kernel": "conv", "batch_normalization/gamma": "norm", "batch_normalization/beta": "bias",
    "batch_normalization/moving_mean": "running_mean", "batch_normalization/moving_variance": "running_var",
    "depthwise_conv2d/kernel": "conv", "separable_conv2d/depthwise_kernel": "conv", "conv2d_transpose/kernel": "conv",
    "p_re_lu/alpha": "slope", "bidirectional/forward_lstm/lstm_cell/kernel": "recurrent_in",
    "bidirectional/backward_lstm/lstm_cell/recurrent_kernel": "recurrent", "gru/gru_cell/bias": "bias",
    "bidirectional/forward_lstm/lstm_cell/bias": "forget_bias", "multi_head_attention/query/kernel": "query",
    "multi_head_attention/key/bias": "bias", "grouped_query_attention/value/kernel": "value",
    "grouped_query_attention/attention_output/kernel": "attention_out", "rms_normalization/scale": "norm",
    "einsum_dense/kernel": "linear", "time_distributed/dense/kernel": "linear", "sequential/mine/kernel": "linear",
}  # fmt: skip
# Keras' layout of a weight, and how the array that is drawn units first becomes it
TURNED = {
    "conv2d/kernel": ((8, 3, 3, 3), sb.Axes("oihw"), lambda w: w.transpose(2, 3, 1, 0)),
    "conv2d_1/kernel": ((8, 4, 3, 3), sb.Axes("oihw", groups=2), lambda w: w.transpose(2, 3, 1, 0)),
    "conv2d_transpose/kernel": ((4, 4, 2, 2), sb.Axes("oihw"), lambda w: w.transpose(2, 3, 0, 1)),
    "depthwise_conv2d/kernel": (
        (16, 1, 3, 3), sb.Axes("oihw", groups=8), lambda w: w.reshape(8, 2, 3, 3).transpose(2, 3, 0, 1)
    ),
    "multi_head_attention/query/kernel": ((6, 6), sb.Axes("oi"), lambda w: w.reshape(2, 3, 6).transpose(2, 0, 1)),
    "multi_head_attention/attention_output/kernel": ((6, 6), sb.Axes("oi"), lambda w: w.T.reshape(2, 3, 6)),
    "bidirectional/forward_lstm/lstm_cell/kernel": ((16, 4), sb.Axes("oi", splits=4), lambda w: w.T),
    "sequential/mine/kernel": ((4, 5), sb.Axes("oi"), lambda w: w.T),
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    keras.utils.clear_session()
    return every_layer()


def test_every_weight_is_planned_with_its_role(model):
    plan = sb.keras.plan(model)
    found = {row.name: row.role for row in plan.rows}
    assert len(found) == len(model.weights)
    assert {name: found[name] for name in ROLES} == ROLES
    assert not any(role in ("unknown_weight", "unknown_vector") for role in found.values())
    assert "multi_head_attention/query/kernel" in plan.names
    assert max(map(len, str(plan).splitlines())) <= 80


def test_the_plan_is_carried_out_and_audited(model):
    plan = sb.keras.initialize(model, rng=3)
    arrays = sb.keras.arrays(model)
    assert plan.audit(arrays).ok
    planned = plan.initialize(3)
    assert list(arrays) == list(planned)
    for name, values in planned.items():
        np.testing.assert_array_equal(arrays[name], values, err_msg=name)
        assert arrays[name].dtype == values.dtype


@pytest.mark.parametrize("name", TURNED)
def test_a_weight_is_that_of_its_name_in_pytorchs_order(model, name):
    plan = sb.keras.initialize(model, rng=3)
    row = next(each for each in plan.rows if each.name == name)
    shape, axes, turn = TURNED[name]
    twin = sb.initialize({name: shape}, {name: sb.Rule(row.initializer, axes=axes)}, rng=3)[name]
    np.testing.assert_array_equal(sb.keras.arrays(model)[name], turn(twin))


def test_the_forget_gate_starts_open_and_the_others_do_not(model):
    sb.keras.initialize(model)
    bias = sb.keras.arrays(model)["bidirectional/forward_lstm/lstm_cell/bias"]
    np.testing.assert_array_equal(bias, [0] * 4 + [1] * 4 + [0] * 8)  # input, forget, cell, output


def test_a_model_that_is_made_again_gets_the_same_weights():
    def make():
        model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dense(3)])
        sb.keras.initialize(model, rng=0)
        return list(sb.keras.arrays(model).values()), model.layers[0].name

    (first, name), (again, other) = make(), make()
    assert name != other  # dense and dense_2, or so
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(first[0], sb.HeNormal()((3, 4), rng=sb.Key(0)["dense/kernel"]).T)
    np.testing.assert_array_equal(first[2], sb.HeNormal()((3, 3), rng=sb.Key(0)["dense_1/kernel"]).T)


def test_a_model_with_a_call_of_its_own_is_covered():
    model = transformer()
    plan = sb.keras.initialize(model)
    assert len(plan.rows) == len(model.weights)
    assert plan.audit(sb.keras.arrays(model)).ok
    assert {row.role for row in plan.rows} == {
        "embedding", "norm", "bias", "query", "key", "value", "attention_out", "linear"
    }  # fmt: skip
    assert "block_1/attention/query/kernel" in plan.names


def test_rules_roles_recipes_and_names_are_those_of_a_plan():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="one"), L.Dense(3, name="two")])
    sb.keras.initialize(
        model, {"one/*": sb.Constant(2.0), "@linear": sb.Orthogonal()}, rng=1, names={"two/kernel": "other"}
    )
    arrays = sb.keras.arrays(model)
    assert (arrays["one/kernel"] == 2).all()
    assert (arrays["one/bias"] == 2).all()
    np.testing.assert_array_equal(arrays["two/kernel"], sb.Orthogonal()((3, 3), rng=sb.Key(1)["other"]).T)
    sb.keras.initialize(model, names=lambda name: f"net.{name}")
    np.testing.assert_array_equal(
        sb.keras.arrays(model)["one/kernel"], sb.HeNormal()((3, 4), rng=sb.Key(0)["net.one/kernel"]).T
    )
    recipe = sb.keras.initialize(transformer(), recipe="gpt2", roles={"embed/*": "embedding", "head/*": "readout",
        "*/up/kernel": "mlp_in", "*/down/kernel": "mlp_out", "*/query/kernel": "query", "*/key/kernel": "key",
        "*/value/kernel": "value", "*/attention_output/kernel": "attention_out", "*/bias": "bias"})  # fmt: skip
    assert any(row.expected is not None and row.expected.std == pytest.approx(0.02) for row in recipe.rows)


def test_tied_weights_are_drawn_once_and_named():
    shared = L.Dense(4, name="shared")
    given = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), shared], name="inner")
    model = keras.Model(given, inner(shared(given)))
    plan = sb.keras.initialize(model)
    rows = {row.name: row for row in plan.rows}
    assert rows["inner/shared/kernel"].source == "shared/kernel"
    arrays = sb.keras.arrays(model)
    np.testing.assert_array_equal(arrays["inner/shared/kernel"], arrays["shared/kernel"])
    with pytest.raises(RuleError, match=r"hits 'inner/shared/kernel', which is tied to 'shared/kernel'"):
        sb.keras.plan(model, {"inner/*": "zeros"})


def test_counters_and_what_adapt_measured_are_kept():
    norm = L.Normalization()
    norm.adapt(np.array([[1.0, 2.0], [3.0, 6.0]], "float32"))
    model = keras.Sequential([keras.Input((2,)), norm, L.Dense(2)])
    plan = sb.keras.initialize(model)
    assert "3 kept as they are" in str(plan)
    kept = next(name for name in plan.kept if name.endswith("mean"))
    np.testing.assert_array_equal(sb.keras.arrays(model)[kept], [2, 4])
    assert plan.audit(sb.keras.arrays(model)).ok


def test_the_vector_of_a_spectral_norm_begins_small():
    model = keras.Sequential([keras.Input((5,)), L.SpectralNormalization(L.Dense(4), name="norm"), L.Dense(1)])
    rows = {row.name: row for row in sb.keras.plan(model).rows}
    vector = rows["norm/vector_u"]
    assert (vector.role, vector.initializer) == ("power_iteration", sb.Normal(0.02))
    assert [row.role for row in rows.values() if row.name.endswith("kernel")] == ["linear", "linear"]


def test_adapters_start_changing_nothing():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    model.layers[0].enable_lora(2)
    plan = sb.keras.initialize(model)
    roles = {row.name.rpartition("/")[2]: row for row in plan.rows}
    assert (sb.keras.arrays(model)[roles["lora_kernel_b"].name] == 0).all()
    assert roles["lora_kernel_a"].initializer == sb.HeUniform()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtypes_are_kept(dtype):
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, dtype=dtype, name="one")])
    sb.keras.initialize(model)
    values = sb.keras.arrays(model)["one/kernel"]
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, sb.HeNormal()((3, 4), rng=sb.Key(0)["one/kernel"], dtype=dtype).T)


def test_layers_of_one_name_are_told_apart():
    class Twins(L.Layer):
        def __init__(self):
            super().__init__(name="twins")
            self.parts = [L.Dense(3, name="part"), L.Dense(3, name="part")]

        def build(self, shape):
            for part in self.parts:
                part.build(shape)
            super().build(shape)

        def call(self, x):
            return self.parts[0](x) + self.parts[1](x)

    twins = Twins()
    twins.build((None, 4))
    sb.keras.initialize(twins)
    arrays = sb.keras.arrays(twins)
    assert list(arrays) == ["part/kernel", "part/bias", "part/kernel:2", "part/bias:2"]
    assert (arrays["part/kernel"] != arrays["part/kernel:2"]).any()


class NoWeights(L.Layer):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("make", "kwargs", "error", "message"),
    [
        (lambda: keras.Sequential([L.Dense(3)]), {}, ValueError, r"has no weights yet in .*: call it on a batch, or"),
        (lambda: {"w": np.zeros(3)}, {}, TypeError, r"a model or layer of Keras 3 is needed; got builtins\.dict"),
        (lambda: keras.Sequential([keras.Input((3,)), L.ReLU()]), {}, RuleError, r"has no parameters to initialize"),
        (
            lambda: keras.Sequential([keras.Input((3,)), L.Dense(2, name="head")]), {"rules": {"haed/*": "zeros"}},
            RuleError, r"the rule 'haed/\*' hits no parameter.*the nearest is 'head/",
        ),
        (
            lambda: keras.Sequential([keras.Input((3,)), L.Dense(2, name="head")]), {"names": {"haed/kernel": "w"}},
            ValueError, r"`names` has 'haed/kernel', which is no parameter; the nearest is 'head/kernel'",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, kwargs, error, message):
    with pytest.raises(error, match=message):
        sb.keras.plan(make(), **kwargs)


def test_nothing_is_written_where_the_plan_fails():
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    before = array(model.weights[0])
    with pytest.raises(RuleError):
        sb.keras.initialize(model, {"nothing": "zeros"})
    np.testing.assert_array_equal(array(model.weights[0]), before)
