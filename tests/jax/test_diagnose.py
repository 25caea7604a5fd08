"""What goes wrong in models of JAX's libraries: each case is named, each cure works, and healthy twins stay silent."""

import numpy as np
import pytest

import symbreak as sb

jax = pytest.importorskip("jax")
linen = pytest.importorskip("flax.linen")
jnp = jax.numpy

from symbreak.jax._diagnose import understood, wired_with  # noqa: E402
from tests.jax._models import LINEN, variables  # noqa: E402

X = jnp.ones((4, 6))
LEVELS = {"error", "warning"}


def codes(report) -> set[str]:
    """Give what is wrong: findings at warning and above."""
    return {finding.code for finding in report.findings if finding.level.name.lower() in LEVELS}


def draw(key, *shape):
    return jax.nn.initializers.lecun_normal()(jax.random.key(key), shape)


def mlp(params, x):
    return jax.nn.relu(x @ params["up"]) @ params["down"]


# Healthy models: all is understood, and nothing is found.


@pytest.mark.parametrize("name", LINEN)
def test_a_model_that_symbreak_initialized_is_understood_and_clean(name):
    model, x = LINEN[name]
    made = sb.jax.initialize(variables(model, x), rng=3)
    wired, arrays, note = wired_with(model, (made, x), {}, None)
    assert note is None
    assert (dict(wired.unknown), dict(wired.apart)) == ({}, {})
    assert understood(wired, arrays) == 1.0
    assert codes(sb.jax.diagnose(model, made, x)) == set()


def test_weights_of_jaxs_own_initializers_are_clean_too():
    params = {"up": draw(0, 6, 16), "down": draw(1, 16, 3)}
    assert codes(sb.jax.diagnose(mlp, params, X)) == set()


# Real cases.


def test_one_key_for_an_actor_and_a_critic_gives_one_stream_and_names_the_pair():
    init, key = sb.jax.initializers.he_normal(), jax.random.key(0)
    params = {"actor": {"up": init(key, (6, 16))}, "critic": {"up": init(key, (6, 16))}}
    params["actor"]["down"], params["critic"]["down"] = (
        init(jax.random.key(1), (16, 3)),
        init(jax.random.key(2), (16, 1)),
    )

    def apply(params, x):
        return mlp(params["actor"], x), mlp(params["critic"], x)

    report = sb.jax.diagnose(apply, params, X)
    assert codes(report) & {"SB204", "SB208", "SB206", "SB401"}, str(report)
    healthy = sb.jax.initialize(params, rng=0)
    assert codes(sb.jax.diagnose(apply, healthy, X)) == set()


def test_twin_critics_that_begin_alike_are_named():
    one = {"up": draw(0, 6, 16), "down": draw(1, 16, 1)}
    params = {"q1": one, "q2": jax.tree.map(lambda x: x + 0, one)}

    def apply(params, x):
        return jnp.minimum(mlp(params["q1"], x), mlp(params["q2"], x))

    assert codes(sb.jax.diagnose(apply, params, X)) & {"SB204", "SB206", "SB208"}
    assert codes(sb.jax.diagnose(apply, sb.jax.initialize(params, rng=1), X)) == set()


def test_experts_that_are_copies_of_one_are_named():
    params = {
        "router": {"kernel": draw(0, 6, 4)},
        "experts_up": jnp.stack([draw(1, 6, 16)] * 4),
        "experts_down": jnp.stack([draw(2, 16, 3)] * 4),
    }

    def apply(params, x):
        gates = jax.nn.softmax(x @ params["router"]["kernel"])
        each = jax.nn.relu(jnp.einsum("bd,edf->bef", x, params["experts_up"]))
        return jnp.einsum("bef,efd,be->bd", each, params["experts_down"], gates)

    assert "SB206" in codes(sb.jax.diagnose(apply, params, X))
    assert codes(sb.jax.diagnose(apply, sb.jax.initialize(params, rng=1), X)) == set()


def test_an_adapter_with_both_factors_at_zero_is_blocked():
    frozen, healthy = draw(0, 6, 8), {"lora_a": draw(1, 6, 2), "lora_b": jnp.zeros((2, 8))}

    def apply(params, x):
        return x @ frozen + x @ params["lora_a"] @ params["lora_b"]

    zero = jax.tree.map(jnp.zeros_like, healthy)
    assert "SB203" in codes(sb.jax.diagnose(apply, zero, X))
    assert "SB203" not in codes(sb.jax.diagnose(apply, healthy, X))
    assert "SB203" not in codes(sb.jax.diagnose(apply, sb.jax.initialize(zero, rng=1), X))


def test_one_layer_that_is_copied_in_a_stack_is_named():
    model, x = LINEN["transformer"]
    made = sb.jax.initialize(variables(model, x), rng=3)
    copied = {"params": {**made["params"], "LinenBlock_1": made["params"]["LinenBlock_0"]}}
    assert "SB204" in codes(sb.jax.diagnose(model, copied, x))


def test_query_key_and_value_from_one_key_are_named():
    init = sb.jax.initializers.lecun_normal()
    model, x = LINEN["transformer"]
    made = sb.jax.initialize(variables(model, x), rng=3)
    block = dict(made["params"]["LinenBlock_0"])
    attention = dict(block["MultiHeadDotProductAttention_0"])
    kernel = init(jax.random.key(0), (16, 16)).reshape(16, 2, 8)
    for part in ("query", "key", "value"):
        attention[part] = {**attention[part], "kernel": kernel}
    tied = {"params": {**made["params"], "LinenBlock_0": {**block, "MultiHeadDotProductAttention_0": attention}}}
    assert codes(sb.jax.diagnose(model, tied, x)) & {"SB204", "SB208"}


@pytest.mark.parametrize(("value", "code"), [(0.0, "SB203"), (0.1, "SB201")])
def test_a_constant_kernel_init_ties_all_units(value, code):
    init = linen.initializers.constant(value)
    model = linen.Sequential([linen.Dense(8, kernel_init=init), linen.relu, linen.Dense(3, kernel_init=init)])
    params = model.init(jax.random.key(0), X)
    assert code in codes(sb.jax.diagnose(model, params, X))
    assert codes(sb.jax.diagnose(model, sb.jax.initialize(params, rng=0), X)) == set()


def test_units_that_the_network_tells_apart_are_no_finding_and_those_that_stay_tied_are():
    up, down = draw(0, 6, 8), draw(1, 8, 3)
    tied = {"up": up.at[:, 3].set(up[:, 5]), "down": down.at[3].set(down[5])}
    report = sb.jax.diagnose(mlp, tied, X)
    (finding,) = [each for each in report.findings if each.code == "SB201"]
    assert finding.groups == ((3, 5),)
    assert report.partition["up"].tolist() == [0, 1, 2, 3, 4, 3, 5, 6]
    apart = {"up": tied["up"], "down": down}
    assert "SB201" not in codes(sb.jax.diagnose(mlp, apart, X))


def test_a_tie_of_gates_in_a_recurrent_cell_is_found():
    model, x = LINEN["lstm"]
    made = sb.jax.initialize(variables(model, x), rng=3)
    cell = {name: dict(part) for name, part in made["params"]["OptimizedLSTMCell_0"].items()}
    for name, part in cell.items():
        kernel = part["kernel"].at[:, 2].set(part["kernel"][:, 6])
        part["kernel"] = kernel.at[2].set(kernel[6]) if name.startswith("h") else kernel
    dense = made["params"]["Dense_0"]["kernel"]
    tied = {
        "params": {
            "OptimizedLSTMCell_0": cell,
            "Dense_0": {**made["params"]["Dense_0"], "kernel": dense.at[2].set(dense[6])},
        }
    }
    (finding,) = [each for each in sb.jax.diagnose(model, tied, x).findings if each.code == "SB201"]
    assert finding.groups == ((2, 6),)


def test_ties_that_are_claimed_stay_under_training_and_others_part():
    up, down = draw(0, 6, 8), draw(1, 8, 3)
    up = up.at[:, 3].set(up[:, 5]).at[:, 1].set(up[:, 2])
    params = {"up": up, "down": down.at[3].set(down[5])}
    labels = sb.jax.diagnose(mlp, params, X).partition["up"]
    assert labels[3] == labels[5]
    assert labels[1] != labels[2]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 6)), jnp.float32)
    grads = jax.grad(lambda params: (mlp(params, x) ** 2).mean())(params)
    after = jax.tree.map(lambda p, g: p - 0.5 * g, params, grads)
    np.testing.assert_allclose(after["up"][:, 3], after["up"][:, 5], rtol=1e-5, atol=1e-6)
    assert np.abs(np.asarray(after["up"][:, 1] - after["up"][:, 2])).max() > 1e-3


# The forms in which models come.


def test_a_module_a_function_and_haiku_are_diagnosed_alike():
    haiku = pytest.importorskip("haiku")
    equinox = pytest.importorskip("equinox")
    transformed = haiku.without_apply_rng(haiku.transform(lambda x: haiku.nets.MLP([8, 3])(x)))  # noqa: PLW0108
    params = sb.jax.initialize(jax.eval_shape(transformed.init, jax.random.key(0), X))
    layers = {"input_0", "mlp/~/linear_0", "mlp/~/linear_1"}
    assert set(sb.jax.diagnose(transformed, params, X).partition) >= layers
    assert set(sb.jax.diagnose(transformed.apply, params, X).partition) >= layers
    module = sb.jax.initialize(equinox.nn.MLP(6, 3, 8, 1, key=jax.random.key(0)))
    assert set(sb.jax.diagnose(module, X[0]).partition) >= {"input_0", "layers/0", "layers/1"}
    whole = sb.jax.diagnose(lambda model, x: jax.vmap(model)(x), module, X)
    assert set(whole.partition) >= {"input_0", "layers/0", "layers/1"}


def test_shapes_of_the_input_are_enough_and_arguments_go_on_by_name():
    class Model(linen.Module):
        @linen.compact
        def __call__(self, x, train):
            return linen.Dense(3)(linen.Dropout(0.5)(linen.Dense(8)(x), deterministic=not train))

    shapes = jax.eval_shape(lambda key: Model().init(key, X, train=False), jax.random.key(0))
    params = sb.jax.initialize(shapes)
    shape = jax.ShapeDtypeStruct((2, 6), jnp.float32)
    quiet = sb.jax.diagnose(Model(), params, shape, train=True, rngs={"dropout": jax.random.key(0)})
    assert sorted(len(labels) for name, labels in quiet.partition.items() if "axis" not in name) == [3, 6, 8]
    assert codes(quiet) == set()


class Training(linen.Module):
    """Writes statistics and values that it sows, and draws random numbers, as it is called."""

    @linen.compact
    def __call__(self, x, train=True):
        x = linen.BatchNorm(use_running_average=not train)(linen.Dense(8)(x))
        self.sow("intermediates", "hidden", x)
        return linen.Dense(3)(linen.Dropout(0.5, deterministic=not train)(linen.relu(x)))


def test_a_module_of_linen_is_followed_as_it_trains_without_a_word_on_state_or_random_numbers():
    model, x = Training(), jax.random.normal(jax.random.key(1), (4, 6))
    shapes = {name: tree for name, tree in variables(model, x).items() if name != "intermediates"}
    made = sb.jax.initialize(shapes, rng=0)
    for arguments in ({}, {"train": False}, {"mutable": ["batch_stats"], "rngs": {"dropout": jax.random.key(0)}}):
        report = sb.jax.diagnose(model, made, x, **arguments)
        assert report.findings == ()
        assert "params/Dense_0" in report.partition
    probe = sb.jax.probe(model, made, x, loss=lambda y: (y**2).mean())
    assert [(space.name, space.verdict) for space in probe.spaces] == [
        ("params/Dense_0", "agrees"),
        ("params/Dense_1", "agrees"),
    ]


# Fallbacks, and bad input.


def test_a_model_that_cannot_be_traced_is_wired_by_names_and_says_so():
    def apply(params, x):
        return mlp(params, x) if x.sum() > 0 else x  # a value decides

    params = {"up": draw(0, 6, 8), "down": draw(1, 8, 3)}
    report = sb.jax.diagnose(apply, params, X)
    notes = [finding.message for finding in report.findings if finding.code == "SB302"]
    assert any("the model can't be traced (TracerBoolConversionError: " in each for each in notes)
    fixes = {finding.fix for finding in report.findings if finding.code == "SB302"}
    assert [fix.partition(", or")[0] for fix in fixes] == [
        "pass an example that it can be called with, as in diagnose(model, variables, x)"
    ]
    assert codes(report) == set()


def test_names_that_say_more_than_what_is_computed_are_taken():
    def apply(params, x):
        h = jax.lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1, x @ params["fc1"]["kernel"])
        return h @ params["fc2"]["kernel"]

    params = {"fc1": {"kernel": draw(0, 6, 8)}, "fc2": {"kernel": draw(1, 8, 3)}}
    wired, _, note = wired_with(apply, (params, X), {}, None)
    if note is None:
        assert any("while" in reason for reason in wired.unknown.values())
    else:
        assert "the names of its arrays say more" in note.message


def test_without_an_input_the_names_connect_the_arrays():
    model = linen.Dense(3)
    found = sb.jax.wire(model, {"params": {"kernel": draw(0, 6, 3), "bias": jnp.zeros(3)}})
    assert found.rule.endswith("without an example of the input")
    report = sb.jax.diagnose(model, {"params": {"left": draw(0, 6, 3)}})
    assert report.findings[-1].message.startswith("no example of the model's input was given, so the names")
    assert "diagnose(model, variables, x)" in report.findings[-1].fix


def test_a_tree_alone_is_wired_by_names_and_an_example_beside_it_is_told_to_be_of_no_use():
    params = {"fc1": {"kernel": draw(0, 6, 8)}, "fc2": {"kernel": draw(1, 8, 3)}}
    assert sb.jax.wire(params).rule.endswith("without an example of the input")
    report = sb.jax.diagnose(params, X)
    (note,) = [each.message for each in report.findings if "traced" in each.message]
    assert note == "the model can't be traced (it is no function), so the names of its arrays connect them"
    assert set(report.partition) == set(sb.jax.diagnose(params).partition)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sb.jax.diagnose(linen.Dense(3)), "Dense holds no parameters: pass them after it"),
        (
            lambda: sb.jax.diagnose(linen.Dense(3), {"kernel": jnp.ones((6, 3)), "bias": jnp.ones(3)}, X),
            r"these have no 'params', but kernel, bias: pass \{'params': params\}, and the other collections",
        ),
        (lambda: sb.jax.diagnose(mlp, {"n": jnp.arange(3)}, X), "the tree has no arrays of numbers to judge"),
        (
            lambda: sb.jax.diagnose(mlp, {"up": jax.ShapeDtypeStruct((6, 8), jnp.float32)}, X),
            "up is a ShapeDtypeStruct",
        ),
    ],
)
def test_what_can_not_be_judged_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
