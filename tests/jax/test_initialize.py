"""Whole models of JAX's libraries: what their parameters are, and weights that no sharding changes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak.errors import RuleError

jax = pytest.importorskip("jax")
jnp = jax.numpy

from symbreak.jax._tree import read_model  # noqa: E402

F32 = jnp.float32
ALONE = jax.sharding.SingleDeviceSharding(jax.devices()[0])
GRID = jax.sharding.NamedSharding(
    jax.sharding.Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("a", "b")), jax.sharding.PartitionSpec("a", "b")
)


def struct(*shape, dtype=F32):
    return jax.ShapeDtypeStruct(shape, dtype)


def said(plan) -> dict[str, tuple[str, str | None]]:
    """Give role and layout by name."""
    return {row.name: (row.role, row.axes and sb.Axes.of(row.axes, row.shape).layout) for row in plan.rows}


def same(a, b) -> bool:
    return a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()


def numpy_of(tree):
    return jax.tree.map(np.asarray, tree)


def test_a_tree_of_shardings_places_what_it_names_and_leaves_the_rest():
    shapes = {"fc1": {"kernel": struct(8, 16), "bias": struct(16)}}
    one = jax.sharding.NamedSharding(GRID.mesh, jax.sharding.PartitionSpec("a"))
    made = sb.jax.initialize(shapes, rng=1, shardings={"fc1": {"kernel": GRID, "bias": one}})["fc1"]
    assert (made["kernel"].sharding, made["bias"].sharding) == (GRID, one)
    part = sb.jax.initialize(shapes, rng=1, shardings={"fc1": {"kernel": GRID}})["fc1"]
    assert part["kernel"].sharding == GRID
    assert part["bias"].sharding != one
    assert same(part["kernel"], sb.jax.initialize(shapes, rng=1)["fc1"]["kernel"])


# Names alone: the variables of Flax linen, the parameters of Haiku.

NAMES = {
    "params/Dense_0/kernel": ((8, 16), "linear", "io"),
    "params/Dense_0/bias": ((16,), "bias", None),
    "params/layers/Dense_0/kernel": ((4, 8, 16), "linear", "bio"),
    "params/Conv_0/kernel": ((3, 3, 8, 16), "conv", "hwio"),
    "params/Conv_1/kernel": ((5, 8, 16), "conv", "wio"),
    "params/Conv_2/kernel": ((3, 3, 3, 8, 16), "conv", "dhwio"),
    "params/DenseGeneral_0/kernel": ((8, 2, 3), "linear", "ioo"),
    "params/DenseGeneral_0/bias": ((2, 3), "bias", None),
    "params/MultiHeadDotProductAttention_0/query/kernel": ((8, 2, 4), "query", "ioo"),
    "params/MultiHeadDotProductAttention_0/key/kernel": ((8, 2, 4), "key", "ioo"),
    "params/MultiHeadDotProductAttention_0/value/kernel": ((8, 2, 4), "value", "ioo"),
    "params/MultiHeadDotProductAttention_0/value/bias": ((2, 4), "bias", None),
    "params/MultiHeadDotProductAttention_0/out/kernel": ((2, 4, 8), "attention_out", "iio"),
    "params/plain/query/kernel": ((8, 8), "query", "io"),
    "params/plain/key/kernel": ((8, 8), "key", "io"),
    "params/plain/value/kernel": ((8, 8), "value", "io"),
    "params/stack/attention/query/kernel": ((6, 8, 2, 4), "query", "bioo"),
    "params/stack/attention/out/kernel": ((6, 2, 4, 8), "attention_out", "biio"),
    "params/Embed_0/embedding": ((50, 8), "embedding", None),
    "params/pos_encoder/embedding": ((50, 8), "position", None),
    "params/pos_embedding": ((1, 50, 8), "position", None),
    "params/cls": ((1, 1, 8), "token", None),
    "params/LayerNorm_0/scale": ((8,), "norm", None),
    "params/PReLU_0/negative_slope": ((), "slope", None),
    "params/moe/experts_up": ((4, 8, 16), "expert", "bio"),
    "params/moe/router/kernel": ((8, 4), "router", "io"),
    "params/block/layer_scale": ((8,), "residual_gain", None),
    "params/norm/gamma": ((8,), "norm", None),
    "params/norm/beta": ((8,), "bias", None),
    "params/LSTMCell_0/hf/bias": ((4,), "forget_bias", None),
    "params/LSTMCell_0/hi/bias": ((4,), "bias", None),
    "params/LSTMCell_0/hg/bias": ((4,), "bias", None),
    "params/LSTMCell_0/ho/bias": ((4,), "bias", None),
    "params/LSTMCell_0/ii/kernel": ((3, 4), "recurrent_in", "io"),
    "params/LSTMCell_0/hi/kernel": ((4, 4), "recurrent", "io"),
    "params/ConvLSTMCell_0/ii/kernel": ((3, 3, 3, 4), "recurrent_in", "hwio"),
    "params/ConvLSTMCell_0/hi/kernel": ((3, 3, 4, 4), "recurrent", "hwio"),
    "params/SimpleCell_0/i/kernel": ((3, 4), "recurrent_in", "io"),
    "params/SimpleCell_0/h/kernel": ((4, 4), "recurrent", "io"),
    "params/lora/lora_a": ((8, 2), "adapter", "io"),
    "params/lora/lora_b": ((2, 8), "adapter", "io"),
    "batch_stats/BatchNorm_0/mean": ((8,), "running_mean", None),
    "batch_stats/BatchNorm_0/var": ((8,), "running_var", None),
    "batch_stats/SpectralNorm_0/Dense_0/kernel/u": ((1, 8), "spectral", None),
    "hk/mlp/~/linear_0/w": ((8, 16), "linear", "io"),
    "hk/mlp/~/linear_0/b": ((16,), "bias", None),
    "hk/conv2_d/w": ((3, 3, 8, 16), "conv", "hwio"),
    "hk/conv2_d_transpose/w": ((3, 3, 16, 8), "conv", "hwoi"),
    "hk/embed/embeddings": ((50, 8), "embedding", None),
    "hk/layer_norm/offset": ((8,), "bias", None),
    "hk/lstm/linear/w": ((9, 20), "recurrent_in", "io"),
    "hk/vanilla_rnn/~/input_to_hidden/w": ((3, 5), "recurrent_in", "io"),
    "hk/vanilla_rnn/~/hidden_to_hidden/w": ((5, 5), "recurrent", "io"),
    "hk/gru/w_h": ((5, 15), "recurrent", "io"),
    "hk/batch_norm/~/mean_ema/average": ((1, 5), "running_mean", None),
    "odd/vector": ((8,), "unknown_vector", None),
    "odd/matrix": ((8, 4), "unknown_weight", "io"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_role_and_layout(name):
    shapes = {each: struct(*shape) for each, (shape, *_) in NAMES.items()}
    found = said(sb.jax.plan(shapes))
    assert found[name] == tuple(NAMES[name][1:])


@jax.tree_util.register_pytree_with_keys_class
class Pair:
    """A tree of somebody's own, whose steps are plain words."""

    def __init__(self, up, down):
        self.up, self.down = up, down

    def tree_flatten_with_keys(self):
        return (("up", self.up), ("down", self.down)), None

    @classmethod
    def tree_unflatten(cls, _, parts):
        return cls(*parts)


def test_steps_of_a_tree_of_ones_own_are_names_as_they_are():
    made = sb.jax.initialize(Pair({"kernel": struct(3, 4)}, [struct(4, 2)]), rng=1)
    assert isinstance(made, Pair)
    assert [row.name for row in sb.jax.plan(made).rows] == ["up/kernel", "down/0"]
    assert same(made.up["kernel"], sb.jax.initialize({"up": {"kernel": struct(3, 4)}}, rng=1)["up"]["kernel"])


def test_fused_gates_are_split_and_the_gate_that_keeps_starts_open():
    shapes = {"cell": {"lstm": {"linear": {"w": struct(9, 20)}}, "gru": {"w_i": struct(3, 15)}}}
    assert [row.axes for row in sb.jax.plan(shapes).rows] == [sb.Axes("io", splits=3), sb.Axes("io", splits=4)]
    gates = {"hf": {"bias": struct(4)}, "hi": {"bias": struct(4)}, "hg": {"bias": struct(4)}, "ho": {"bias": struct(4)}}
    made = sb.jax.initialize(gates)
    assert made["hf"]["bias"].tolist() == [1.0] * 4
    assert made["hi"]["bias"].tolist() == [0.0] * 4


# Modules.


def test_modules_of_nnx_say_what_names_do_not():
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.table = nnx.Embed(10, 8, rngs=rngs)
            self.up = nnx.List([nnx.Linear(8, 8, rngs=rngs) for _ in range(2)])
            self.up_again = self.up[0]
            self.general = nnx.LinearGeneral((2, 4), (8, 3), axis=(-2, -1), rngs=rngs)
            self.mixed = nnx.Einsum("abd,bdc->abc", (2, 8, 4), (2, 4), rngs=rngs)
            self.open = nnx.Einsum("...d,dc...->...c", (8, 4), rngs=rngs)
            self.grouped = nnx.Conv(8, 16, (3, 3), feature_group_count=4, rngs=rngs)
            self.back = nnx.ConvTranspose(8, 16, (3,), transpose_kernel=True, rngs=rngs)
            self.lstm = nnx.OptimizedLSTMCell(3, 8, rngs=rngs)
            self.gru = nnx.GRUCell(3, 8, rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.drop = nnx.Dropout(0.1, rngs=rngs)

    model = nnx.eval_shape(lambda: Model(nnx.Rngs(0)))
    plan = sb.jax.plan(model)
    rows = {row.name: row for row in plan.rows}
    expected = {
        "general/kernel": "iioo",
        "mixed/kernel": "bio",
        "open/kernel": "io",
        "grouped/kernel": sb.Axes("hwio", groups=4, grouped="o"),
        "back/kernel": sb.Axes("woi", grouped="o"),
        "lstm/dense_i/kernel": sb.Axes("io", splits=4),
        "lstm/dense_h/kernel": sb.Axes("io", splits=4),
        "gru/dense_i/kernel": sb.Axes("io", splits=3),
        "up/0/kernel": "io",
    }
    assert {name: rows[name].axes for name in expected} == expected
    assert (rows["lstm/dense_h/bias"].role, rows["gru/dense_i/bias"].role) == ("forget_bias", "bias")
    assert (rows["norm/mean"].role, rows["norm/var"].role) == ("running_mean", "running_var")
    assert len(rows) == len([name for name in rows if not name.startswith("up_again")])  # shared: drawn once
    made = sb.jax.initialize(model, rng=3)
    assert made is model
    assert model.up_again is model.up[0]
    assert model.lstm.dense_h.bias[...].tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    twin = sb.initialize({"up/0/kernel": (8, 8)}, {"*": "he_normal"}, 3)["up/0/kernel"]
    assert np.asarray(model.up[0].kernel[...]).tobytes() == np.ascontiguousarray(twin.T).tobytes()


def test_a_module_of_nnx_keeps_its_keys_and_counters():
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.up = nnx.Linear(8, 8, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)

    model = Model(nnx.Rngs(0))
    before, kept = model.up.kernel[...], jax.random.key_data(model.drop.rngs.key[...])
    sb.jax.initialize(model, rng=3)
    assert same(jax.random.key_data(model.drop.rngs.key[...]), kept)
    assert not same(model.up.kernel[...], before)
    state = nnx.state(model)
    again = sb.jax.initialize(nnx.eval_shape(lambda: nnx.state(model)), rng=3)
    assert same(again["up"]["kernel"][...], state["up"]["kernel"][...])


def test_states_of_nnx_are_read_without_a_warning_where_equinox_is_loaded():
    nnx = pytest.importorskip("flax.nnx")
    pytest.importorskip("equinox")
    state = nnx.eval_shape(lambda: nnx.state(nnx.Linear(8, 8, rngs=nnx.Rngs(0))))
    assert sb.jax.initialize(state, rng=3)["kernel"][...].shape == (8, 8)


def test_modules_of_equinox_lie_as_in_pytorch():
    equinox = pytest.importorskip("equinox")
    keys = iter([*map(jax.random.key, range(20))])
    model = {
        "mlp": equinox.nn.MLP(4, 3, 8, 1, key=next(keys)),
        "conv": equinox.nn.Conv2d(4, 8, 3, groups=2, key=next(keys)),
        "table": equinox.nn.Embedding(10, 8, key=next(keys)),
        "attention": equinox.nn.MultiheadAttention(2, 8, key=next(keys)),
        "norm": equinox.nn.LayerNorm(8),
        "lstm": equinox.nn.LSTMCell(3, 8, key=next(keys)),
    }
    many = equinox.filter_vmap(lambda key: equinox.nn.Linear(4, 8, key=key))
    model["stack"] = equinox.filter_eval_shape(many, jax.eval_shape(jax.random.split, next(keys)))
    plan = sb.jax.plan(model)
    rows = {row.name: row for row in plan.rows}
    assert rows["conv/weight"].axes == sb.Axes("oihw", groups=2)
    assert rows["lstm/weight_ih"].axes == sb.Axes("oi", splits=4)
    assert (rows["attention/query_proj/weight"].role, rows["attention/output_proj/weight"].role) == (
        "query",
        "attention_out",
    )
    assert [rows[name].role for name in ("table/weight", "norm/weight", "norm/bias", "lstm/bias")] == [
        "embedding",
        "norm",
        "bias",
        "forget_bias",
    ]
    assert rows["stack/weight"].axes == "boi"
    made = sb.jax.initialize(model, rng=5)
    twin = sb.initialize({"mlp/layers/0/weight": (8, 4)}, {"*": "he_normal"}, 5)["mlp/layers/0/weight"]
    assert np.asarray(made["mlp"].layers[0].weight).tobytes() == twin.tobytes()
    assert made["mlp"].activation is model["mlp"].activation


def test_modules_of_equinox_are_found_in_trees_of_ones_own():
    nn = pytest.importorskip("equinox").nn
    key = jax.random.key(0)
    tree = Pair(nn.Conv2d(3, 4, 3, key=key), Bag(nn.Linear(3, 4, key=key), [nn.Embedding(5, 6, key=key)]))
    found = {row.name: (row.role, row.axes) for row in sb.jax.plan(tree).rows}
    assert found["up/weight"] == ("conv", sb.Axes("oihw", groups=1))
    assert found["down/0/weight"] == ("linear", "oi")
    assert found["down/1/0/weight"] == ("embedding", None)


def test_arrays_of_modules_of_equinox_are_known_within_other_trees_and_in_modules_of_ones_own():
    equinox = pytest.importorskip("equinox")

    class PReLU(equinox.Module):
        weight: jax.Array

    class Scaled(equinox.Module):
        weight: jax.Array

    class Held(equinox.Module):
        bag: "Bag"

    key = jax.random.key(0)
    model = {
        "gru": equinox.nn.GRUCell(3, 8, key=key),
        "slope": PReLU(jnp.full(8, 0.25)),
        "scaled": Scaled(jnp.ones(8)),
        "held": Held(Bag(equinox.nn.Linear(3, 4, key=key), jnp.ones((2, 3)))),
    }
    rows = {row.name: (row.role, row.axes) for row in sb.jax.plan(model).rows}
    assert rows["gru/weight_ih"] == ("recurrent_in", sb.Axes("oi", splits=3))
    assert [rows[name][0] for name in ("gru/bias_n", "slope/weight", "scaled/weight")] == [
        "bias",
        "slope",
        "unknown_vector",
    ]
    assert rows["held/bag/0/weight"] == ("linear", "oi")


class Bag:
    """A tree of somebody's own, whose parts have no names."""

    def __init__(self, *parts):
        self.parts = parts


jax.tree_util.register_pytree_node(Bag, lambda bag: (bag.parts, None), lambda _, parts: Bag(*parts))


def test_variables_of_linen_are_made_from_shapes_alone_and_run():
    linen = pytest.importorskip("flax.linen")

    class Model(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.Embed(10, 8)(x)
            x = linen.MultiHeadDotProductAttention(2)(linen.LayerNorm()(x))
            x = linen.RNN(linen.OptimizedLSTMCell(8))(x)
            return linen.Dense(3)(linen.BatchNorm(use_running_average=True)(x))

    model, x = Model(), jnp.ones((2, 5), int)
    made = sb.jax.initialize(jax.eval_shape(model.init, jax.random.key(0), x), rng=1)
    assert np.isfinite(jax.jit(model.apply)(made, x)).all()
    assert sb.diagnose({name: np.asarray(value) for name, value in read_model(made).arrays().items()}, wiring=True).ok
    boxed = linen.Partitioned(struct(8, 4), ("x", None))
    (row,) = sb.jax.plan({"Dense_0": {"kernel": boxed}}).rows
    assert row.name == "Dense_0/kernel"
    assert sb.jax.initialize({"Dense_0": {"kernel": boxed}})["Dense_0"]["kernel"].names == ("x", None)


# Weights.


def test_a_kernel_is_the_units_first_weight_of_its_name_turned():
    shapes = {
        "fc": {"kernel": struct(8, 16)},
        "conv": {"kernel": struct(3, 5, 8, 16)},
        "query": {"kernel": struct(8, 2, 4)},
    }
    rules = {"*": "glorot_normal"}
    made = numpy_of(sb.jax.initialize(shapes, rules, 9))
    twins = sb.initialize({"fc/kernel": (16, 8), "conv/kernel": (16, 8, 3, 5), "query/kernel": (8, 8)}, rules, 9)
    np.testing.assert_array_equal(made["fc"]["kernel"], twins["fc/kernel"].T)
    np.testing.assert_array_equal(made["conv"]["kernel"], twins["conv/kernel"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(made["query"]["kernel"].reshape(8, 8), twins["query/kernel"].T)


def test_rules_roles_recipes_and_names_work_as_in_a_plan():
    shapes = {"fc1": {"kernel": struct(8, 16), "bias": struct(16)}, "fc2": {"kernel": struct(16, 4), "bias": struct(4)}}
    plan = sb.jax.plan(shapes, {"fc2/kernel": sb.Zeros(), "@bias": sb.Normal(0.1)})
    assert [type(row.initializer).__name__ for row in plan.rows] == ["Normal", "HeNormal", "Normal", "Zeros"]
    plan = sb.jax.plan(shapes, roles={"fc2/*": "norm"})
    assert [row.role for row in plan.rows] == ["bias", "linear", "norm", "norm"]
    table = {"fc1/kernel": "up.weight"}
    made = sb.jax.initialize(shapes, rng=2, names=table)
    twin = sb.initialize({"up.weight": (16, 8)}, {"*": "he_normal"}, 2)["up.weight"]
    np.testing.assert_array_equal(made["fc1"]["kernel"], twin.T)
    gpt = sb.recipes.GPT2() if hasattr(sb.recipes, "GPT2") else "gpt2"
    assert sb.jax.plan({"h": {"0": {"mlp": {"c_fc": {"kernel": struct(8, 32)}}}}}, recipe=gpt).rows[0].role


def test_a_plan_audits_the_arrays_of_a_tree_and_refuses_the_tree_itself():
    shapes = {
        "fc1": {"kernel": struct(8, 16), "bias": struct(16, dtype=jnp.bfloat16)},
        "steps": struct(dtype=jnp.int32),
    }
    made = sb.jax.initialize(shapes, rng=0)
    found, plan = sb.jax.arrays(made), sb.jax.plan(shapes)
    assert {name: (type(array), array.dtype.name) for name, array in found.items()} == {
        "fc1/bias": (np.ndarray, "bfloat16"), "fc1/kernel": (np.ndarray, "float32"),
    }  # fmt: skip
    assert same(found["fc1/kernel"], made["fc1"]["kernel"])
    assert plan.audit(found).ok
    with pytest.raises(TypeError, match=r"by name, and 'fc1' holds others: .* pass symbreak\.jax\.arrays\(tree\)"):
        plan.audit(made)
    with pytest.raises(ValueError, match="fc1/bias is a ShapeDtypeStruct without values"):
        sb.jax.arrays(shapes)


def test_dtypes_are_those_of_the_leaves():
    shapes = {"a": struct(4, 8, dtype=jnp.bfloat16), "b": struct(4, 8), "n": jnp.arange(3), "k": jax.random.key(0)}
    made = sb.jax.initialize(shapes, rng=0)
    assert (made["a"].dtype, made["b"].dtype) == (jnp.bfloat16, F32)
    assert made["n"] is shapes["n"]
    assert made["k"] is shapes["k"]
    assert sb.jax.initialize(shapes, dtype="float16")["b"].dtype == jnp.float16
    assert same(
        sb.jax.initialize({"a": struct(4, 8, dtype=np.float64)})["a"], sb.jax.initialize({"a": struct(4, 8)})["a"]
    )


def test_a_key_of_jaxs_is_a_seed_too():
    shapes = {"a": struct(4, 8)}
    made = [sb.jax.initialize(shapes, rng=rng)["a"] for rng in (jax.random.key(1), jax.random.PRNGKey(1), 1)]
    assert same(made[0], made[1])
    assert not same(made[0], made[2])


SHARDED = """
import json, sys, hashlib
import jax, jax.numpy as jnp, numpy as np
import symbreak as sb
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

count = int(sys.argv[1])
assert len(jax.devices()) == count
mesh = Mesh(np.array(jax.devices()).reshape(-1, 2 if count > 1 else 1), ("x", "y"))
def struct(shape, spec, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))
shapes = {
    "rows": {"kernel": struct((16, 24), P("x", None))}, "columns": {"kernel": struct((16, 24), P(None, "y"))},
    "both": {"kernel": struct((3, 3, 8, 16), P(None, None, "y", "x"), jnp.bfloat16)},
    "whole": {"kernel": struct((8, 8), P())}, "orthogonal": {"kernel": struct((16, 16), P("x", "y"))},
    "query": {"kernel": struct((8, 4, 4), P(None, "x", "y"))}, "number": struct((), P()),
}
made = sb.jax.initialize(shapes, {"orthogonal/*": "orthogonal", "number": sb.Normal()}, rng=3)
def digest(x):
    return hashlib.sha256(np.asarray(x).tobytes()).hexdigest()
found = {jax.tree_util.keystr(path): digest(x) for path, x in jax.tree_util.tree_flatten_with_path(made)[0]}
kept = all(jax.tree.leaves(jax.tree.map(lambda x, s: x.sharding == s.sharding, made, shapes)))
parts = sorted({s.data.shape for s in made["rows"]["kernel"].addressable_shards})
one = sb.jax.initialize({"rows": {"kernel": jnp.zeros((16, 24))}}, rng=3, shardings=NamedSharding(mesh, P("x")))
init = sb.jax.initializers.he_normal()
call = init(jax.random.key(0), (16, 24), None, NamedSharding(mesh, P("x", "y")))
inside = jax.jit(lambda key: init(key, (16, 24), None, NamedSharding(mesh, P("x", "y"))))(jax.random.key(0))
jitted = jax.jit(lambda key: init(key, (16, 24)), out_shardings=NamedSharding(mesh, P("x", "y")))(jax.random.key(0))
with jax.set_mesh(mesh):
    named = init(jax.random.key(0), (16, 24), None, P("x", "y"))
calls = [digest(each) for each in (call, inside, jitted, named)]
spread = [len(each.sharding.device_set) for each in (call, inside, jitted, named)]
ties = sb.jax.initializers.Orthogonal()(jax.random.key(0), (16, 24), None, NamedSharding(mesh, P("x", "y")))
try:
    sb.jax.initialize({"odd": struct((3, 5), P(None, "y"))} if count > 1 else {})
except Exception as error:
    refused = str(error)
print(json.dumps([found, kept, parts, digest(one["rows"]["kernel"]), calls, spread, digest(ties), refused]))
"""


@pytest.fixture(scope="module")
def by_count():
    root = str(Path(sb.__file__).parents[1])
    started = {}
    for count in (1, 2, 8):
        flags = f"--xla_force_host_platform_device_count={count}"
        env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": root}
        command = [sys.executable, "-c", SHARDED, str(count)]
        started[count] = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = {}
    ended = {count: (process, *process.communicate(timeout=300)) for count, process in started.items()}
    for count, (process, out, errors) in ended.items():
        assert process.returncode == 0, errors
        found[count] = json.loads(out)
    return found


def test_weights_have_the_same_bits_on_one_two_and_eight_devices(by_count):
    alone = by_count[1]
    for found in by_count.values():
        assert found[0] == alone[0]
        assert found[3] == alone[3]
        assert found[4] == [alone[4][0]] * 4
        assert found[6] == alone[6]
        assert found[1]
    assert len(set(alone[0].values())) == len(alone[0])


def test_each_device_holds_its_part_alone(by_count):
    assert [by_count[count][2] for count in (1, 2, 8)] == [[[16, 24]], [[16, 24]], [[4, 24]]]
    assert [by_count[count][5] for count in (1, 2, 8)] == [[1] * 4, [2] * 4, [8] * 4]


def test_a_sharding_that_does_not_divide_is_refused_by_name(by_count):
    assert "the parameter odd of shape (3, 5) can't be sharded as NamedSharding" in by_count[8][7]


# Bad input.


def test_what_holds_no_parameters_is_refused():
    with pytest.raises(RuleError, match="the tree has no parameters to initialize"):
        sb.jax.initialize({"n": jnp.arange(3)})
    with pytest.raises(TypeError, match="is a function, which holds no parameters"):
        sb.jax.initialize(jnp.tanh)


def test_an_array_alone_is_refused():
    with pytest.raises(TypeError, match=r"an array alone, of shape \(3, 4\), has no name to draw it by; pass a tree"):
        sb.jax.initialize(jnp.ones((3, 4)))


def test_two_arrays_of_one_name_are_refused():
    """They would be drawn from one key, and be equal."""
    with pytest.raises(ValueError, match=r"two arrays of the tree are called a/b/kernel, .*: rename a step"):
        sb.jax.initialize({"a/b": {"kernel": struct(2, 3)}, "a": {"b/kernel": struct(2, 3)}})


def test_a_key_that_is_traced_is_refused():
    shapes = {"kernel": struct(2, 3)}
    given = {jax.jit: jax.random.key(0), jax.vmap: jax.random.split(jax.random.key(0), 2)}
    for transform in (jax.jit, jax.vmap):
        with pytest.raises(TypeError, match="drawn on the host, so `rng` can't be a key that is traced by jit or vmap"):
            transform(lambda key: sb.jax.initialize(shapes, rng=key)["kernel"])(given[transform])


def test_a_module_of_linen_is_refused_with_what_to_pass():
    linen = pytest.importorskip("flax.linen")
    with pytest.raises(
        TypeError, match=r"flax\.linen, Dense, holds no parameters; pass its variables: jax\.eval_shape"
    ):
        sb.jax.initialize(linen.Dense(3))


def test_an_nnx_module_without_parameters_is_refused():
    nnx = pytest.importorskip("flax.nnx")

    class Empty(nnx.Module):
        pass

    with pytest.raises(RuleError, match="the module Empty has no parameters to initialize"):
        sb.jax.initialize(Empty())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rules": {"fc1/kernl": "he_normal"}}, "hits no parameter; .*; the nearest is 'fc1/kernel'"),
        ({"rules": {"@embeding": "zeros"}}, "hits no parameter"),
        ({"rules": {"*": "he_normal"}}, r"gives HeNormal\(\) to 'fc1/bias', which it can't make: .*Zeros"),
        ({"names": {"fc3/kernel": "x"}}, "`names` has 'fc3/kernel', which is no parameter; the nearest is"),
        ({"shardings": {"fc3": ALONE}}, "names fc3, which is no parameter"),
        ({"shardings": 3}, "one sharding, or a tree of them like the model; it is a int"),
        ({"rng": jnp.zeros((2, 2), jnp.uint32)}, r"one key; got an array of words of shape \(2, 2\)"),
        ({"rng": "a"}, "rng takes a Key"),
        ({"shardings": GRID}, r"the parameter fc1/bias of shape \(16,\) can't be sharded as .*: .* where 2 axes go"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(options, message):
    shapes = {"fc1": {"kernel": struct(8, 16), "bias": struct(16)}}
    with pytest.raises((ValueError, TypeError, RuleError), match=message):
        sb.jax.initialize(shapes, **options)


def test_without_jax_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['jax'] = None\nimport symbreak\ntry: symbreak.jax\nexcept ImportError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "symbreak.jax needs JAX, which is not installed: pip install 'symbreak[jax]'\n"
