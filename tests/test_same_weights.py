"""One seed, one table of names: the same weights in PyTorch, JAX and Keras, whatever their layouts.

Each model is built three times. The table says what the same parameter is called in each; its key is PyTorch's name.
"""

import importlib.util
import os

import numpy as np
import pytest

for _package in ("torch", "jax", "flax", "keras"):
    pytest.importorskip(_package)
if importlib.util.find_spec("symbreak.jax") is None:
    pytest.skip("there is no symbreak.jax", allow_module_level=True)
os.environ.setdefault("KERAS_BACKEND", "torch")

import flax.linen as flax  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import keras  # noqa: E402
import torch  # noqa: E402

import symbreak as sb  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # Keras' own, with NumPy 2
L = keras.layers
WIDTH, HEADS, TOKENS = 8, 2, 11
HEAD = WIDTH // HEADS


# PyTorch: a name for each part; Sequential with names keeps them short.


class TorchAttention(torch.nn.Module):
    """Attention with a linear layer each for queries, keys, values and the output."""

    def __init__(self):
        super().__init__()
        for name in ("query", "key", "value", "out"):
            setattr(self, name, torch.nn.Linear(WIDTH, WIDTH))


def torch_mlp():
    return torch.nn.ModuleDict({"fc1": torch.nn.Linear(6, 16), "fc2": torch.nn.Linear(16, 3)})


def torch_convnet():
    return torch.nn.ModuleDict(
        {
            "stem": torch.nn.Conv2d(3, 8, 3),
            "norm": torch.nn.BatchNorm2d(8),
            "grouped": torch.nn.Conv2d(8, 12, 3, groups=2),
            "head": torch.nn.Linear(12, 4),
        }
    )


def torch_transformer():
    return torch.nn.ModuleDict(
        {
            "embed": torch.nn.Embedding(TOKENS, WIDTH),
            "norm1": torch.nn.LayerNorm(WIDTH),
            "attention": TorchAttention(),
            "norm2": torch.nn.LayerNorm(WIDTH),
            "up": torch.nn.Linear(WIDTH, 4 * WIDTH),
            "down": torch.nn.Linear(4 * WIDTH, WIDTH),
            "head": torch.nn.Linear(WIDTH, TOKENS),
        }
    )


# JAX, with Flax.


class FlaxMlp(flax.Module):
    """Two dense layers."""

    @flax.compact
    def __call__(self, x):
        return flax.Dense(3, name="fc2")(flax.tanh(flax.Dense(16, name="fc1")(x)))


class FlaxConvnet(flax.Module):
    """Two convolutions, one in groups, around a batch norm."""

    @flax.compact
    def __call__(self, x):
        x = flax.BatchNorm(use_running_average=True, name="norm")(flax.Conv(8, (3, 3), name="stem")(x))
        x = flax.Conv(12, (3, 3), feature_group_count=2, name="grouped")(flax.relu(x))
        return flax.Dense(4, name="head")(x.mean((1, 2)))


class FlaxTransformer(flax.Module):
    """One block."""

    @flax.compact
    def __call__(self, x):
        x = flax.Embed(TOKENS, WIDTH, name="embed")(x)
        y = flax.LayerNorm(name="norm1")(x)
        x = x + flax.MultiHeadDotProductAttention(HEADS, name="attention")(y, y)
        y = flax.gelu(flax.Dense(4 * WIDTH, name="up")(flax.LayerNorm(name="norm2")(x)))
        return flax.Dense(TOKENS, name="head")(x + flax.Dense(WIDTH, name="down")(y))


# Keras.


def keras_mlp():
    return keras.Sequential([keras.Input((6,)), L.Dense(16, "tanh", name="fc1"), L.Dense(3, name="fc2")])


def keras_convnet():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(8, 3, name="stem"),
            L.BatchNormalization(name="norm"),
            L.Conv2D(12, 3, groups=2, name="grouped"),
            L.GlobalAveragePooling2D(),
            L.Dense(4, name="head"),
        ]
    )


def keras_transformer():
    given = keras.Input((5,), dtype="int32")
    x = L.Embedding(TOKENS, WIDTH, name="embed")(given)
    y = L.LayerNormalization(name="norm1")(x)
    x = L.Add()([x, L.MultiHeadAttention(HEADS, HEAD, name="attention")(y, y)])
    y = L.Dense(4 * WIDTH, "gelu", name="up")(L.LayerNormalization(name="norm2")(x))
    return keras.Model(given, L.Dense(TOKENS, name="head")(L.Add()([x, L.Dense(WIDTH, name="down")(y)])))


# The tables: PyTorch's name, Flax's, Keras', and how the array of PyTorch's becomes theirs.


def same(array):
    return array


def turned(array):
    return array.T


def convolution(array):
    return array.transpose(2, 3, 1, 0)


def heads_in(array):
    return array.reshape(HEADS, HEAD, WIDTH).transpose(2, 0, 1)


def heads_out(array):
    return array.T.reshape(HEADS, HEAD, WIDTH)


def split(array):
    return array.reshape(HEADS, HEAD)


def dense(name, kernel=turned):
    return [
        (f"{name}.weight", f"params/{name}/kernel", f"{name}/kernel", kernel),
        (f"{name}.bias", f"params/{name}/bias", f"{name}/bias", same),
    ]


def norm(name):
    return [
        (f"{name}.weight", f"params/{name}/scale", f"{name}/gamma", same),
        (f"{name}.bias", f"params/{name}/bias", f"{name}/beta", same),
    ]


TABLES = {
    "mlp": [*dense("fc1"), *dense("fc2")],
    "convnet": [*dense("stem", convolution), *norm("norm"), *dense("grouped", convolution), *dense("head")],
    "transformer": [
        ("embed.weight", "params/embed/embedding", "embed/embeddings", same),
        *norm("norm1"), *norm("norm2"), *dense("up"), *dense("down"), *dense("head"),
        *(
            row
            for name in ("query", "key", "value")
            for row in (
                (f"attention.{name}.weight", f"params/attention/{name}/kernel", f"attention/{name}/kernel", heads_in),
                (f"attention.{name}.bias", f"params/attention/{name}/bias", f"attention/{name}/bias", split),
            )
        ),
        ("attention.out.weight", "params/attention/out/kernel", "attention/attention_output/kernel", heads_out),
        ("attention.out.bias", "params/attention/out/bias", "attention/attention_output/bias", same),
    ],
}  # fmt: skip
MODELS = {
    "mlp": (torch_mlp, FlaxMlp, jnp.zeros((1, 6)), keras_mlp),
    "convnet": (torch_convnet, FlaxConvnet, jnp.zeros((1, 8, 8, 3)), keras_convnet),
    "transformer": (torch_transformer, FlaxTransformer, jnp.zeros((1, 5), jnp.int32), keras_transformer),
}
# PyTorch's own linear layers don't say that they are parts of an attention.
ROLES = {
    "attention.out.weight": "attention_out",
    **{f"attention.{name}.weight": name for name in ("query", "key", "value")},
}
RULES = {
    "defaults": None,
    "by role": {"@linear": sb.GlorotUniform(), "@conv": sb.Orthogonal(), "@query": sb.TruncatedNormal(0.02)},
}


def statistics(names):
    """Say which names of a table are running statistics, which PyTorch keeps apart from its parameters."""
    return {name for name in names if "moving" in name or "batch_stats" in name}


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("case", MODELS)
def test_one_seed_gives_the_same_weights_and_audits_in_all_three(case, rules):
    make_torch, make_flax, example, make_keras = MODELS[case]
    table, given = TABLES[case], RULES[rules]
    used = {row: given[row] for row in given or {} if row != "@conv" or case == "convnet"}
    if case != "transformer":
        used.pop("@query", None)
    options = {"rules": used if given else None, "rng": 7}

    in_torch = make_torch()
    torch_plan = sb.torch.initialize(in_torch, **options, roles=ROLES if case == "transformer" else None)
    ours = {name: each.detach().numpy() for name, each in in_torch.named_parameters()}

    variables = jax.eval_shape(make_flax().init, jax.random.key(0), example)
    to_torch = {row[1]: row[0] for row in table}
    told = options | {"rules": used if given else None}
    if case == "convnet":  # the arrays of Flax don't say that a convolution is one in groups
        init = sb.HeNormal() if given is None else given["@conv"]
        told["rules"] = {"params/grouped/kernel": sb.Rule(init, axes=sb.Axes("hwio", groups=2)), **used}
    jax_plan = sb.jax.plan(variables, told["rules"], names=to_torch)
    in_jax = sb.jax.initialize(variables, **told, names=to_torch)
    flat = {
        "/".join(step.key for step in path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(in_jax)[0]
    }

    in_keras = make_keras()
    keras_plan = sb.keras.initialize(in_keras, **options, names={row[2]: row[0] for row in table})
    arrays = sb.keras.arrays(in_keras)

    assert set(ours) == {row[0] for row in table}
    assert set(flat) - statistics(flat) == {row[1] for row in table}
    assert set(arrays) - statistics(arrays) == {row[2] for row in table}
    for name, by_flax, by_keras, turn in table:
        np.testing.assert_array_equal(flat[by_flax], turn(ours[name]), err_msg=by_flax)
        np.testing.assert_array_equal(arrays[by_keras], turn(ours[name]), err_msg=by_keras)

    audits = torch_plan.audit(ours), jax_plan.audit(flat), keras_plan.audit(arrays)
    assert all(each.ok for each in audits)
    for name, by_flax, by_keras, _ in table:
        judged = [audit.parameters[each] for audit, each in zip(audits, (name, by_flax, by_keras), strict=True)]
        assert len({each.role for each in judged}) == 1, name
        assert len({each.fans for each in judged if len(each.shape) > 1}) <= 1, name
        assert len({each.expected for each in judged}) == 1, name
        for figure in ("mean", "std"):
            assert getattr(judged[1], figure) == pytest.approx(getattr(judged[0], figure), rel=1e-5, abs=1e-9)
            assert getattr(judged[2], figure) == pytest.approx(getattr(judged[0], figure), rel=1e-5, abs=1e-9)


def test_weights_by_name_are_those_of_symbreak_itself():
    model = keras_mlp()
    sb.keras.initialize(model, rng=7, names={"fc1/kernel": "fc1.weight"})
    alone = sb.initialize({"fc1.weight": (16, 6)}, {"*": sb.HeNormal()}, rng=7)["fc1.weight"]
    np.testing.assert_array_equal(sb.keras.arrays(model)["fc1/kernel"], alone.T)


@pytest.mark.parametrize("name", ["pos", "pos_embed", "positional_embedding", "cls_token"])
@pytest.mark.parametrize("shape", [(7, 6), (1, 7, 6)])
def test_a_table_that_a_module_holds_itself_is_the_same_in_all_three(name, shape):
    class InTorch(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_parameter(name, torch.nn.Parameter(torch.empty(shape)))

    class InKeras(keras.layers.Layer):
        def build(self, _):
            self.add_weight(shape=shape, name=name)

    in_torch, in_keras = InTorch(), InKeras()
    in_keras.build(None)
    plan = sb.torch.initialize(in_torch, rng=0)
    ours = getattr(in_torch, name).detach().numpy()
    in_jax = sb.jax.initialize({name: jax.ShapeDtypeStruct(shape, "float32")}, rng=0)
    sb.keras.initialize(in_keras, rng=0)
    assert repr(plan.rows[0].initializer) == "Normal(std=0.02)"
    np.testing.assert_array_equal(in_jax[name], ours)
    np.testing.assert_array_equal(sb.keras.arrays(in_keras)[name], ours)
